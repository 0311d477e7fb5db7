#!/usr/bin/env python3
"""Writes a GGUF file with random weights in the shape of a Llama or Qwen2, to measure speed with.
Standard library only.

    python3 bench/make_gguf.py --preset smollm2-135m --type q4_0 OUT.gguf

The text that comes out is noise, but the time a token takes is that of a real model of the same
shape and formats: scales are those of real weights, so that no value is denormal or overflows.
Matrices have the formats that llama-quantize gives them; where a row is no multiple of 256, a
K-quant falls back as it does there (Q4_K to Q5_0, Q6_K to Q8_0). The tokenizer has bytes and single
letters only, whatever the family: "a b c" is one token a letter. Rows of the head that belong to bytes
are zero, so that greedy answers are valid UTF-8, which some engines insist on. Not for anything but speed."""
import argparse
import math
import os
import random
import struct
import sys
from collections import namedtuple

# family: general.architecture. rope_scaled: divisors of the rotation's frequencies, as Llama 3.2 has. n_rot: values of a head
# that turn; 0 = all.
Shape = namedtuple("Shape", "family d_model n_layers n_heads n_kv_heads d_ff n_vocab tied_head "
                            "rope_base n_ctx rope_scaled n_rot", defaults=(False, 0))
PRESETS = {
    "tiny": Shape("llama", 256, 2, 4, 2, 512, 512, False, 1e4, 2048),
    "tiny-narrow": Shape("llama", 64, 2, 4, 2, 256, 512, True, 1e4, 2048),
    "tiny-qwen2": Shape("qwen2", 256, 2, 4, 2, 512, 512, True, 1e6, 2048),
    "tiny-scaled": Shape("llama", 256, 2, 4, 2, 512, 512, True, 5e5, 16384, True),
    "tiny-phi": Shape("llama", 320, 2, 4, 4, 416, 512, False, 1e4, 2048, False, 32),
    "smollm2-135m": Shape("llama", 576, 30, 9, 3, 1536, 49152, True, 1e5, 8192),
    "tinyllama-1.1b": Shape("llama", 2048, 22, 32, 4, 5632, 32000, False, 1e4, 2048),
    "qwen2-0.5b": Shape("qwen2", 896, 24, 14, 2, 4864, 151936, True, 1e6, 32768),
    "qwen2-1.5b": Shape("qwen2", 1536, 28, 12, 2, 8960, 151936, True, 1e6, 32768),
    "llama-3.2-1b": Shape("llama", 2048, 16, 32, 8, 8192, 128256, True, 5e5, 131072, True),
    "llama-3.2-3b": Shape("llama", 3072, 28, 24, 8, 8192, 128256, True, 5e5, 131072, True),
    # Phi-2's sizes, its heads of 80 of which 32 turn, and its bytes, in a Llama's order: its own blocks have no gate (so d_ff is
    # 10240 there) and add attention and the rest to the same input.
    "phi-2": Shape("llama", 2560, 32, 32, 32, 6816, 51200, False, 1e4, 2048, False, 32),
    "llama-2-7b": Shape("llama", 4096, 32, 32, 32, 11008, 32000, False, 1e4, 4096),
}
# type of the file: (its number in general.file_type, format of matrices, of the head)
TYPES = {
    "f16": (1, "F16", "F16"),
    "q4_0": (2, "Q4_0", "Q6_K"),
    "q4_1": (3, "Q4_1", "Q6_K"),
    "q8_0": (7, "Q8_0", "Q8_0"),
    "q4_k": (14, "Q4_K", "Q6_K"),
}
FALLBACK = {"Q4_K": "Q5_0", "Q6_K": "Q8_0"}
# format: (number in the file, values a block, bytes a block); F16 is made 32 values at a time
FORMATS = {
    "F32": (0, 1, 4), "F16": (1, 32, 64), "Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20), "Q5_0": (6, 32, 22),
    "Q8_0": (8, 32, 34), "Q4_K": (12, 256, 144), "Q6_K": (14, 256, 210),
}
SPREAD = 0.02  # standard deviation of the weights, as in trained models of this size
ALIGN = 32
BYTES = range(3, 259)  # ids of the vocabulary's bytes
U32, I32, FLOAT, BOOL, TEXT, LIST = 4, 5, 6, 7, 8, 9


def text(s):
    b = s.encode("utf-8")
    return struct.pack("<Q", len(b)) + b


def scalar(kind, value):
    if kind == TEXT:
        return text(value)
    return struct.pack({U32: "<I", I32: "<i", FLOAT: "<f", BOOL: "<?"}[kind], value)


def entry(key, kind, value):
    if isinstance(value, list):
        head = struct.pack("<IIQ", LIST, kind, len(value))
        return text(key) + head + b"".join(scalar(kind, v) for v in value)
    return text(key) + struct.pack("<I", kind) + scalar(kind, value)


def vocabulary(n):
    """Tokens, scores and kinds of a SentencePiece vocabulary: bytes, letters, and fillers that no
    merge reaches."""
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)] + ["\u2581"]
    kinds = [2, 3, 3] + [6] * 256 + [1]
    for c in "abcdefghijklmnopqrstuvwxyz":
        tokens += [c, "\u2581" + c]
    tokens += [f"\u2039{i:05d}\u203a" for i in range(n - len(tokens))]
    kinds += [1] * (len(tokens) - len(kinds))
    scores = [0.0] * 259 + [-float(i) for i in range(len(tokens) - 259)]
    return tokens, scores, kinds


def k_scales(rng):
    """Eight 6-bit scales and the same eight as minimums, packed as Q4_K has them."""
    s = [rng.randint(24, 63) for _ in range(8)]
    low = [s[i] | (s[4 + i] >> 4) << 6 for i in range(4)]
    high = [(s[4 + i] & 15) | (s[4 + i] & 15) << 4 for i in range(4)]
    return bytes(low + low + high)


def block(name, rng):
    """One block of random values around 0 with a deviation of about SPREAD."""
    if name == "F16":
        return struct.pack("<32e", *(rng.gauss(0, SPREAD) for _ in range(32)))
    scale = SPREAD * rng.uniform(0.8, 1.2)
    if name == "Q4_0":
        return struct.pack("<e", scale / 4.6) + rng.randbytes(16)
    if name == "Q4_1":
        return struct.pack("<ee", scale / 4.6, -7.5 * scale / 4.6) + rng.randbytes(16)
    if name == "Q5_0":
        return struct.pack("<e", scale / 9.2) + rng.randbytes(20)
    if name == "Q8_0":
        return struct.pack("<e", scale / 74) + rng.randbytes(32)
    if name == "Q4_K":  # d * s * q - dmin * s: with dmin = 7.5 d the values lie around 0
        d = scale / 4.6 / 44
        return struct.pack("<ee", d, 7.5 * d) + k_scales(rng) + rng.randbytes(128)
    if name == "Q6_K":
        scales = bytes(rng.randint(6, 16) for _ in range(16))
        return rng.randbytes(192) + scales + struct.pack("<e", scale / 18.5 / 11)
    raise ValueError(name)


def rope_divisors(shape):
    """What Llama 3.2 divides the frequencies of rotation by: 32 where a turn takes longer than the 8,192
    tokens it was first trained on, 1 where it takes less than a quarter of them, else between the two."""
    factor, low, high, trained = 32.0, 1.0, 4.0, 8192
    n_rot, out = shape.d_model // shape.n_heads, []
    for i in range(n_rot // 2):
        turns = trained * shape.rope_base ** (-2 * i / n_rot) / (2 * math.pi)
        part = min(max((turns - low) / (high - low), 0.0), 1.0)
        out.append(1.0 / ((1.0 - part) / factor + part))
    return out


def vector(name, n, shape, rng):
    """The values of a tensor of one row, which is F32 in files of any type."""
    if name == "rope_freqs.weight":
        return rope_divisors(shape)
    return [rng.gauss(0, SPREAD) for _ in range(n)] if name.endswith(".bias") else [1.0] * n


class Pool:
    """A few thousand random blocks of each format; a tensor is filled from places in it drawn at
    random, which is as good for speed and takes no time."""

    def __init__(self, seed, n_blocks=8192):
        self.rng, self.n_blocks, self.blocks = random.Random(seed), n_blocks, {}

    def write(self, f, name, n):
        _, per, size = FORMATS[name]
        if name not in self.blocks:
            self.blocks[name] = b"".join(block(name, self.rng) for _ in range(self.n_blocks))
        left = n // per
        while left:
            start = self.rng.randrange(self.n_blocks)
            count = min(left, self.n_blocks - start)
            f.write(self.blocks[name][start * size:(start + count) * size])
            left -= count


def write_matrix(f, pool, fmt, dims, n_bytes, zeros=range(0)):
    """zeros: the rows of which all values are 0; an all-zero block is that in every format."""
    columns, rows = dims
    pool.write(f, fmt, columns * zeros.start)
    f.write(bytes(n_bytes // rows * len(zeros)))
    pool.write(f, fmt, columns * (rows - zeros.stop))


def tensors_of(shape, kind):
    """(name, dimensions, format) of all tensors."""
    d_model, d_ff, n_vocab = shape.d_model, shape.d_ff, shape.n_vocab
    d_head = d_model // shape.n_heads
    d_kv = d_head * shape.n_kv_heads
    _, matrix, head = TYPES[kind]

    def tensor(name, columns, rows, wanted):
        fits = columns % FORMATS[wanted][1] == 0
        return name, (columns, rows), wanted if fits else FALLBACK[wanted]

    out = [tensor("token_embd.weight", d_model, n_vocab, head if shape.tied_head else matrix)]
    if not shape.tied_head:
        out.append(tensor("output.weight", d_model, n_vocab, head))
    out.append(("output_norm.weight", (d_model,), "F32"))
    if shape.rope_scaled:
        out.append(("rope_freqs.weight", (d_head // 2,), "F32"))
    for i in range(shape.n_layers):
        out += [(f"blk.{i}.attn_norm.weight", (d_model,), "F32"),
                (f"blk.{i}.ffn_norm.weight", (d_model,), "F32")]
        if shape.family == "qwen2":
            out += [(f"blk.{i}.attn_{name}.bias", (rows,), "F32")
                    for name, rows in (("q", d_model), ("k", d_kv), ("v", d_kv))]
        out += [tensor(f"blk.{i}.{name}.weight", columns, rows, matrix) for name, columns, rows in (
            ("attn_q", d_model, d_model), ("attn_k", d_model, d_kv), ("attn_v", d_model, d_kv),
            ("attn_output", d_model, d_model), ("ffn_gate", d_model, d_ff),
            ("ffn_up", d_model, d_ff), ("ffn_down", d_ff, d_model))]
    return out


def metadata_of(preset, kind):
    shape = PRESETS[preset]
    tokens, scores, kinds = vocabulary(shape.n_vocab)
    sizes = [
        ("vocab_size", U32, shape.n_vocab),
        ("context_length", U32, shape.n_ctx),
        ("embedding_length", U32, shape.d_model),
        ("block_count", U32, shape.n_layers),
        ("feed_forward_length", U32, shape.d_ff),
        ("rope.dimension_count", U32, shape.n_rot or shape.d_model // shape.n_heads),
        ("rope.freq_base", FLOAT, shape.rope_base),
        ("attention.head_count", U32, shape.n_heads),
        ("attention.head_count_kv", U32, shape.n_kv_heads),
        ("attention.layer_norm_rms_epsilon", FLOAT, 1e-6 if shape.family == "qwen2" else 1e-5),
    ]
    return [
        ("general.architecture", TEXT, shape.family),
        ("general.name", TEXT, f"random {preset} {kind}"),
        ("general.file_type", U32, TYPES[kind][0]),
        ("general.quantization_version", U32, 2),
        *((f"{shape.family}.{key}", type_, value) for key, type_, value in sizes),
        ("tokenizer.ggml.model", TEXT, "llama"),
        ("tokenizer.ggml.tokens", TEXT, tokens),
        ("tokenizer.ggml.scores", FLOAT, scores),
        ("tokenizer.ggml.token_type", I32, kinds),
        ("tokenizer.ggml.bos_token_id", U32, 1),
        ("tokenizer.ggml.eos_token_id", U32, 2),
        ("tokenizer.ggml.unknown_token_id", U32, 0),
        ("tokenizer.ggml.add_bos_token", BOOL, True),
        ("tokenizer.ggml.add_eos_token", BOOL, False),
        ("tokenizer.ggml.add_space_prefix", BOOL, False),
    ]


def header_of(tensors, metadata):
    """The file up to the tensors' data, and (values, bytes) of each tensor."""
    infos, offset, sizes = [], 0, []
    for name, dims, fmt in tensors:
        number, per, size = FORMATS[fmt]
        n = math.prod(dims)
        infos.append(text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, number, offset))
        sizes.append((n, n // per * size))
        offset += -(-sizes[-1][1] // ALIGN) * ALIGN
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    header += b"".join(entry(*m) for m in metadata) + b"".join(infos)
    return header + bytes(-len(header) % ALIGN), sizes


def write(path, preset, kind, seed=1):
    """Writes the file beside its place first, so that one that is there is whole. Returns how many
    values and bytes its tensors have."""
    shape = PRESETS[preset]
    tensors = tensors_of(shape, kind)
    header, sizes = header_of(tensors, metadata_of(preset, kind))
    pool, head = Pool(seed), "token_embd.weight" if shape.tied_head else "output.weight"
    with open(path + ".part", "wb") as f:
        f.write(header)
        for (name, dims, fmt), (n, n_bytes) in zip(tensors, sizes):
            if len(dims) == 1:
                f.write(struct.pack(f"<{n}f", *vector(name, n, shape, pool.rng)))
            else:
                write_matrix(f, pool, fmt, dims, n_bytes, BYTES if name == head else range(0))
            f.write(bytes(-n_bytes % ALIGN))
    os.replace(path + ".part", path)
    return tuple(map(sum, zip(*sizes)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", default="smollm2-135m", choices=PRESETS)
    parser.add_argument("--type", default="q4_0", choices=TYPES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("out")
    a = parser.parse_args()
    n_values, n_bytes = write(a.out, a.preset, a.type, a.seed)
    print(f"{a.out}: {n_values / 1e6:.1f} M weights, {n_bytes / 1e6:.1f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()
