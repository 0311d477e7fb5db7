"""The files that speed is measured on (bench/make_gguf.py): each type's opens, its matrices have the
formats that llama-quantize would give them, and its logits are finite and not all alike."""
import json
import math
import os
import runpy
import struct
import subprocess
import sys
import tempfile
from types import SimpleNamespace

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INGLE = os.path.join(TOP, os.environ.get("INGLE_BUILD", "build/native"), "ingle")
make_gguf = SimpleNamespace(**runpy.run_path(os.path.join(TOP, "bench", "make_gguf.py")))

# (preset, type): formats of a layer's matrices, of those with rows of d_ff, of the head
FORMATS = {
    ("tiny", "q4_0"): ("Q4_0", "Q4_0", "Q6_K"),
    ("tiny", "q4_1"): ("Q4_1", "Q4_1", "Q6_K"),
    ("tiny", "q8_0"): ("Q8_0", "Q8_0", "Q8_0"),
    ("tiny", "q4_k"): ("Q4_K", "Q4_K", "Q6_K"),
    ("tiny-narrow", "q4_0"): ("Q4_0", "Q4_0", "Q8_0"),
    ("tiny-narrow", "q4_1"): ("Q4_1", "Q4_1", "Q8_0"),
    ("tiny-narrow", "q8_0"): ("Q8_0", "Q8_0", "Q8_0"),
    ("tiny-narrow", "q4_k"): ("Q5_0", "Q4_K", "Q8_0"),
    ("tiny-narrow", "f16"): ("F16", "F16", "F16"),
    ("tiny-qwen2", "q4_0"): ("Q4_0", "Q4_0", "Q6_K"),
    ("tiny-qwen2", "f16"): ("F16", "F16", "F16"),
    ("tiny-scaled", "q4_0"): ("Q4_0", "Q4_0", "Q6_K"),
    ("tiny-phi", "q4_0"): ("Q4_0", "Q4_0", "Q8_0"),
}


def output(*argv):
    return subprocess.run([INGLE, *argv], check=True, stdout=subprocess.PIPE).stdout


def check(folder, preset, kind):
    path = os.path.join(folder, f"{preset}-{kind}.gguf")
    make_gguf.write(path, preset, kind)
    matrix, down, head = FORMATS[preset, kind]
    info = json.loads(output("info", "-m", path, "--json"))
    found = {t["name"]: t["format"] for t in info["tensors"]}
    shape = make_gguf.PRESETS[preset]
    assert ("output.weight" in found) != shape.tied_head
    assert ("blk.0.attn_q.bias" in found) == (shape.family == "qwen2")
    assert ("rope_freqs.weight" in found) == shape.rope_scaled
    assert found["blk.0.attn_q.weight"] == found["blk.1.ffn_up.weight"] == matrix, found
    assert found["blk.1.ffn_down.weight"] == down, found
    assert found.get("output.weight", found["token_embd.weight"]) == head, found
    assert output("tokenize", "-m", path, "-p", "a b c").split() == [b"1", b"260", b"263", b"265"]
    raw = output("logits", "-m", path, "--ids", "1 260 263 265")
    logits = struct.unpack(f"<{len(raw) // 4}f", raw)
    n_vocab = shape.n_vocab
    assert len(logits) % n_vocab == 0 and len(logits) >= n_vocab
    assert all(map(math.isfinite, logits))
    last = logits[-n_vocab:]
    assert not any(last[i] for i in make_gguf.BYTES) and all(last[259:])
    mean = sum(last) / n_vocab
    spread = math.sqrt(sum((x - mean) ** 2 for x in last) / n_vocab)
    assert 0.05 < spread < 5, spread  # of a normed row times weights of 0.02 a value: 0.16 to 0.32


def scales_are_normal():
    """No scale of any block is denormal as a half, so no kernel is slowed down by one."""
    pool = make_gguf.Pool(1, 64)
    for name, at in (("F16", []), ("Q4_0", [0]), ("Q4_1", [0, 2]), ("Q5_0", [0]),
                     ("Q8_0", [0]), ("Q4_K", [0, 2]), ("Q6_K", [208])):
        for _ in range(64):
            block = make_gguf.block(name, pool.rng)
            assert len(block) == make_gguf.FORMATS[name][2]
            assert all(abs(struct.unpack_from("<e", block, i)[0]) >= 2.0 ** -14 for i in at), name


def divisors_are_llamas():
    """The divisors of Llama 3.2 1B: fast pairs keep their speed, slow ones go 32 times slower."""
    divisors = make_gguf.rope_divisors(make_gguf.PRESETS["llama-3.2-1b"])
    assert len(divisors) == 32 and divisors == sorted(divisors)
    assert divisors[0] == 1.0 and math.isclose(divisors[-1], 32.0)
    assert sum(1.0 < d < 31.9 for d in divisors) == 3, divisors


def same_seed_same_bytes(folder):
    def bytes_of(seed):
        path = os.path.join(folder, "seed.gguf")
        make_gguf.write(path, "tiny-qwen2", "q4_0", seed)
        with open(path, "rb") as f:
            return f.read()
    assert bytes_of(1) == bytes_of(1) != bytes_of(2)


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        cases = [(f"{p} {k}", check, (folder, p, k)) for p, k in FORMATS]
        cases += [("scales", scales_are_normal, ()), ("divisors", divisors_are_llamas, ()),
                  ("seed", same_seed_same_bytes, (folder,))]
        for name, test, args in cases:
            try:
                test(*args)
            except Exception as e:  # a case that fails must not hide the others
                failed += 1
                print(f"FAIL  {name}: {e!r}")
    print(f"tests/test_make_gguf.py: {len(cases) - failed} passed, {failed} failed, 0 skipped")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
