#!/usr/bin/env python3
"""Writes a llama-family GGUF file with random weights, to measure speed with. Standard library only.

    python3 bench/make_gguf.py --preset smollm2-135m --type q4_0 OUT.gguf

The text that comes out is noise, but the time a token takes is that of a real model of the same
shape and formats: scales are those of real weights, so that no value is denormal or overflows.
Matrices have the formats that llama-quantize gives them; where a row is no multiple of 256, a
K-quant falls back as it does there (Q4_K to Q5_0, Q6_K to Q8_0). The tokenizer has bytes and single
letters only: "a b c" is one token a letter. Not for anything but speed."""
import argparse
import os
import random
import struct
import sys

PRESETS = {
    # name: (d_model, n_layers, n_heads, n_kv_heads, d_ff, n_vocab, tied head, rope base, n_ctx)
    "tiny": (256, 2, 4, 2, 512, 512, False, 10000.0, 2048),
    "tiny-narrow": (64, 2, 4, 2, 256, 512, True, 10000.0, 2048),
    "smollm2-135m": (576, 30, 9, 3, 1536, 49152, True, 100000.0, 8192),
    "tinyllama-1.1b": (2048, 22, 32, 4, 5632, 32000, False, 10000.0, 2048),
}
# type of the file: (its number in general.file_type, format of matrices, of the head)
TYPES = {
    "q4_0": (2, "Q4_0", "Q6_K"),
    "q4_1": (3, "Q4_1", "Q6_K"),
    "q8_0": (7, "Q8_0", "Q8_0"),
    "q4_k": (14, "Q4_K", "Q6_K"),
}
FALLBACK = {"Q4_K": "Q5_0", "Q6_K": "Q8_0"}
# format: (number in the file, values a block, bytes a block)
FORMATS = {
    "F32": (0, 1, 4), "Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20), "Q5_0": (6, 32, 22),
    "Q8_0": (8, 32, 34), "Q4_K": (12, 256, 144), "Q6_K": (14, 256, 210),
}
SPREAD = 0.02  # standard deviation of the weights, as in trained models of this size
ALIGN = 32
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


class Pool:
    """A few thousand random blocks of each format; a tensor is filled from places in it drawn at
    random, which is as good for speed and takes no time."""

    def __init__(self, seed, n_blocks=8192):
        self.rng, self.n_blocks, self.blocks = random.Random(seed), n_blocks, {}

    def write(self, f, name, n):
        _, per, size = FORMATS[name]
        if name == "F32":  # norms
            f.write(struct.pack("<f", 1.0) * n)
            return
        if name not in self.blocks:
            self.blocks[name] = b"".join(block(name, self.rng) for _ in range(self.n_blocks))
        left = n // per
        while left:
            start = self.rng.randrange(self.n_blocks)
            count = min(left, self.n_blocks - start)
            f.write(self.blocks[name][start * size:(start + count) * size])
            left -= count


def tensors_of(preset, kind):
    """(name, dimensions, format) of all tensors."""
    d_model, n_layers, n_heads, n_kv_heads, d_ff, n_vocab, tied, _, _ = PRESETS[preset]
    d_kv = d_model // n_heads * n_kv_heads
    _, matrix, head = TYPES[kind]

    def tensor(name, columns, rows, wanted):
        fits = columns % FORMATS[wanted][1] == 0
        return name, (columns, rows), wanted if fits else FALLBACK[wanted]

    out = [tensor("token_embd.weight", d_model, n_vocab, head if tied else matrix)]
    if not tied:
        out.append(tensor("output.weight", d_model, n_vocab, head))
    out.append(("output_norm.weight", (d_model,), "F32"))
    for i in range(n_layers):
        out += [(f"blk.{i}.attn_norm.weight", (d_model,), "F32"),
                (f"blk.{i}.ffn_norm.weight", (d_model,), "F32")]
        out += [tensor(f"blk.{i}.{name}.weight", columns, rows, matrix) for name, columns, rows in (
            ("attn_q", d_model, d_model), ("attn_k", d_model, d_kv), ("attn_v", d_model, d_kv),
            ("attn_output", d_model, d_model), ("ffn_gate", d_model, d_ff),
            ("ffn_up", d_model, d_ff), ("ffn_down", d_ff, d_model))]
    return out


def metadata_of(preset, kind):
    d_model, n_layers, n_heads, n_kv_heads, d_ff, n_vocab, _, rope_base, n_ctx = PRESETS[preset]
    tokens, scores, kinds = vocabulary(n_vocab)
    return [
        ("general.architecture", TEXT, "llama"),
        ("general.name", TEXT, f"random {preset} {kind}"),
        ("general.file_type", U32, TYPES[kind][0]),
        ("general.quantization_version", U32, 2),
        ("llama.vocab_size", U32, n_vocab),
        ("llama.context_length", U32, n_ctx),
        ("llama.embedding_length", U32, d_model),
        ("llama.block_count", U32, n_layers),
        ("llama.feed_forward_length", U32, d_ff),
        ("llama.rope.dimension_count", U32, d_model // n_heads),
        ("llama.rope.freq_base", FLOAT, rope_base),
        ("llama.attention.head_count", U32, n_heads),
        ("llama.attention.head_count_kv", U32, n_kv_heads),
        ("llama.attention.layer_norm_rms_epsilon", FLOAT, 1e-5),
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


def write(path, preset, kind, seed=1):
    """Writes the file beside its place first, so that one that is there is whole."""
    tensors, metadata = tensors_of(preset, kind), metadata_of(preset, kind)
    infos, offset, sizes = [], 0, []
    for name, shape, fmt in tensors:
        number, per, size = FORMATS[fmt]
        n = shape[0] * (shape[1] if len(shape) == 2 else 1)
        infos.append(text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, number, offset))
        sizes.append((n, n // per * size))
        offset += -(-sizes[-1][1] // ALIGN) * ALIGN
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    header += b"".join(entry(*m) for m in metadata) + b"".join(infos)
    pool = Pool(seed)
    with open(path + ".part", "wb") as f:
        f.write(header + bytes(-len(header) % ALIGN))
        for (_, _, fmt), (n, n_bytes) in zip(tensors, sizes):
            pool.write(f, fmt, n)
            f.write(bytes(-n_bytes % ALIGN))
    os.replace(path + ".part", path)
    return sum(n for n, _ in sizes), offset


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
