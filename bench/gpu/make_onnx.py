#!/usr/bin/env python3
"""Writes a decoder with random weights as a folder of ONNX files for transformers.js. Standard library only.

    python3 bench/gpu/make_onnx.py --preset qwen2-0.5b --act f16 FOLDER

Shapes are those of bench/make_gguf.py. Operators are the fused ones that ONNX Runtime's own model builder emits:
MatMulNBits (4 bits in blocks of 32), GroupQueryAttention with its rotation, SkipSimplifiedLayerNormalization; QKV is
one product, logits are of the last token alone. act: type of the activations, f16 (dtype 'q4f16') or f32 ('q4'); one
folder holds both. Not for anything but speed."""
import argparse
import json
import math
import os
import random
import runpy
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
GGUF = runpy.run_path(os.path.join(HERE, "..", "make_gguf.py"))
FLOAT, UINT8, INT32, INT64, FLOAT16 = 1, 2, 6, 7, 10  # ONNX's types
N_CTX = 4096
POOL = 1 << 18
OWN = "com.microsoft"  # where the fused operators are


# Protocol buffers: a field is its number and kind, then the value.
def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def number(field, n):
    return varint(field << 3) + varint(n)


def data(field, b):
    b = b.encode() if isinstance(b, str) else b
    return varint(field << 3 | 2) + varint(len(b)) + b


def attribute(name, value):
    if isinstance(value, float):
        return data(1, name) + varint(2 << 3 | 5) + struct.pack("<f", value) + number(20, 1)
    return data(1, name) + number(3, value) + number(20, 2)


class Graph:
    """Nodes and tensors; large tensors go to a file beside the model as they come, and are never held."""

    def __init__(self, path, act, seed=1):
        rng = random.Random(seed)
        self.type, self.letter, self.size = (FLOAT16, "e", 2) if act == "f16" else (FLOAT, "f", 4)
        self.nodes, self.tensors, self.offset = [], [], 0
        self.file, self.file_name = open(path, "wb"), os.path.basename(path)
        self.bits = rng.randbytes(1 << 22)
        self.scales = self.pack([0.02 / 4.6 * rng.uniform(0.8, 1.2) for _ in range(POOL)])
        self.values = self.pack([rng.gauss(0, 0.02) for _ in range(POOL)])

    def pack(self, values):
        return struct.pack(f"<{len(values)}{self.letter}", *values)

    def node(self, op, inputs, outputs, domain="", **attributes):
        b = b"".join(data(1, i) for i in inputs) + b"".join(data(2, o) for o in outputs)
        b += data(3, f"{outputs[0]}/{op}") + data(4, op)
        b += b"".join(data(5, attribute(k, v)) for k, v in attributes.items())
        self.nodes.append(data(1, b + data(7, domain)))
        return outputs[0]

    def integers(self, name, dims, values):
        return self.tensor(name, INT64, dims, data(9, struct.pack(f"<{len(values)}q", *values)))

    def vector(self, name, values):
        return self.tensor(name, self.type, [len(values)], data(9, self.pack(values)))

    def tensor(self, name, kind, dims, rest):
        b = b"".join(number(1, d) for d in dims) + number(2, kind) + data(8, name)
        self.tensors.append(data(5, b + rest))
        return name

    def large(self, name, kind, dims, n_bytes, pool):
        """A tensor in the file beside, filled with the bytes of pool again and again."""
        places = (("location", self.file_name), ("offset", self.offset), ("length", n_bytes))
        rest = b"".join(data(13, data(1, key) + data(2, str(value))) for key, value in places)
        self.tensor(name, kind, dims, rest + number(14, 1))
        for start in range(0, n_bytes, len(pool)):
            self.file.write(pool[:n_bytes - start])
        padding = -n_bytes % 4096
        self.file.write(bytes(padding))
        self.offset += n_bytes + padding
        return name

    def product(self, x, name, n_in, n_out):
        bits = self.large(f"{name}.bits", UINT8, (n_out, n_in // 32, 16), n_out * n_in // 2, self.bits)
        scales = self.large(f"{name}.scales", self.type, (n_out, n_in // 32), n_out * n_in // 32 * self.size, self.scales)
        return self.node("MatMulNBits", [x, bits, scales], [f"{name}.out"], OWN, K=n_in, N=n_out, bits=4, block_size=32,
                         accuracy_level=4)


def add_inputs(g, shape):
    """Lengths out of the mask, angles of the rotation, the embedding."""
    g.integers("one", [1], [1])
    g.integers("axis1", [], [1])
    g.integers("axis0", [1], [0])
    g.integers("end", [1], [1 << 60])
    g.node("ReduceSum", ["attention_mask", "one"], ["mask_sum"], keepdims=0)
    g.node("Sub", ["mask_sum", "one"], ["mask_last"])
    g.node("Cast", ["mask_last"], ["seqlens_k"], to=INT32)
    g.node("Shape", ["attention_mask"], ["mask_shape"])
    g.node("Gather", ["mask_shape", "axis1"], ["total64"], axis=0)
    g.node("Cast", ["total64"], ["total_length"], to=INT32)
    d_head = shape.d_model // shape.n_heads
    divisors = GGUF["rope_divisors"](shape) if shape.rope_scaled else [1.0] * (d_head // 2)
    speeds = [shape.rope_base ** (-2 * i / d_head) / d for i, d in enumerate(divisors)]
    for name, turn in (("cos", math.cos), ("sin", math.sin)):
        raw = g.pack([turn(p * speed) for p in range(N_CTX) for speed in speeds])
        g.large(name, g.type, (N_CTX, d_head // 2), len(raw), raw)
    dims = (shape.n_vocab, shape.d_model)
    table = g.large("embedding", g.type, dims, math.prod(dims) * g.size, g.values)
    return g.node("Gather", [table, "input_ids"], ["embedded"], axis=0)


def add_norm(g, x, residual, name, shape):
    """(the normed sum of x and residual, that sum); without a residual x is the sum."""
    weight = g.vector(f"{name}.weight", [1.0] * shape.d_model)
    if residual is None:
        return g.node("SimplifiedLayerNormalization", [x, weight], [name], axis=-1, epsilon=1e-6, stash_type=1), x
    g.node("SkipSimplifiedLayerNormalization", [residual, x, weight], [name, "", "", f"{name}.sum"], OWN, epsilon=1e-6)
    return name, f"{name}.sum"


def add_layer(g, i, x, residual, shape):
    d_model, d_head = shape.d_model, shape.d_model // shape.n_heads
    n_qkv = (shape.n_heads + 2 * shape.n_kv_heads) * d_head
    y, residual = add_norm(g, x, residual, f"l{i}.norm1", shape)
    qkv = g.product(y, f"l{i}.qkv", d_model, n_qkv)
    if shape.family == "qwen2":
        qkv = g.node("Add", [qkv, g.vector(f"l{i}.bias", [0.01] * n_qkv)], [f"l{i}.biased"])
    past = [f"past_key_values.{i}.key", f"past_key_values.{i}.value"]
    present = [f"present.{i}.key", f"present.{i}.value"]
    y = g.node("GroupQueryAttention", [qkv, "", "", *past, "seqlens_k", "total_length", "cos", "sin"],
               [f"l{i}.attended", *present], OWN, num_heads=shape.n_heads, kv_num_heads=shape.n_kv_heads, do_rotary=1,
               rotary_interleaved=0, scale=1 / math.sqrt(d_head))
    x = g.product(y, f"l{i}.o", d_model, d_model)
    y, residual = add_norm(g, x, residual, f"l{i}.norm2", shape)
    gate, up = g.product(y, f"l{i}.gate", d_model, shape.d_ff), g.product(y, f"l{i}.up", d_model, shape.d_ff)
    opened = g.node("Mul", [gate, g.node("Sigmoid", [gate], [f"l{i}.sigmoid"])], [f"l{i}.silu"])
    return g.product(g.node("Mul", [opened, up], [f"l{i}.gated"]), f"l{i}.down", shape.d_ff, d_model), residual


def add_head(g, x, residual, shape):
    y, _ = add_norm(g, x, residual, "last_norm", shape)
    g.node("Neg", ["num_logits_to_keep"], ["negative"])
    g.node("Unsqueeze", ["negative", "axis0"], ["from"])
    y = g.node("Slice", [y, "from", "end", "one"], ["last"])
    g.node("Cast", [g.product(y, "head", shape.d_model, shape.n_vocab)], ["logits"], to=FLOAT)


def ports_of(g, shape):
    """The model's inputs and outputs."""
    def port(field, name, kind, dims):
        sizes = b"".join(data(1, data(2, d) if isinstance(d, str) else number(1, d)) for d in dims)
        return data(field, data(1, name) + data(2, data(1, number(1, kind) + data(2, sizes))))

    def cache(field, name, length):
        return b"".join(port(field, f"{name}.{i}.{part}", g.type, ("batch_size", shape.n_kv_heads, length, d_head))
                        for i in range(shape.n_layers) for part in ("key", "value"))

    d_head = shape.d_model // shape.n_heads
    return b"".join((
        port(11, "input_ids", INT64, ("batch_size", "sequence_length")),
        port(11, "attention_mask", INT64, ("batch_size", "total_sequence_length")),
        port(11, "num_logits_to_keep", INT64, ()), cache(11, "past_key_values", "past_sequence_length"),
        port(12, "logits", FLOAT, ("batch_size", "num_logits", shape.n_vocab)), cache(12, "present", "total_sequence_length")))


def config_of(shape):
    name = {"qwen2": "Qwen2ForCausalLM", "llama": "LlamaForCausalLM"}[shape.family]
    return {
        "model_type": shape.family, "architectures": [name], "hidden_size": shape.d_model, "num_hidden_layers": shape.n_layers,
        "num_attention_heads": shape.n_heads, "num_key_value_heads": shape.n_kv_heads, "intermediate_size": shape.d_ff,
        "vocab_size": shape.n_vocab, "max_position_embeddings": N_CTX, "head_dim": shape.d_model // shape.n_heads,
        "bos_token_id": 1, "eos_token_id": None,
        "transformers.js_config": {"use_external_data_format": True, "kv_cache_dtype": {"q4f16": "float16", "fp16": "float16"}},
    }


def write(folder, shape, act):
    """Returns how many bytes the tensors have."""
    os.makedirs(os.path.join(folder, "onnx"), exist_ok=True)
    path = os.path.join(folder, "onnx", {"f16": "model_q4f16", "f32": "model_q4"}[act] + ".onnx")
    g = Graph(path + "_data", act)
    x, residual = add_inputs(g, shape), None
    for i in range(shape.n_layers):
        x, residual = add_layer(g, i, x, residual, shape)
    add_head(g, x, residual, shape)
    g.file.close()
    graph = b"".join(g.nodes) + data(2, "random") + b"".join(g.tensors) + ports_of(g, shape)
    versions = data(8, data(1, "") + number(2, 21)) + data(8, data(1, OWN) + number(2, 1))
    with open(path, "wb") as f:
        f.write(number(1, 10) + data(2, "make_onnx") + data(7, graph) + versions)
    settings = {"bos_token_id": 1, "eos_token_id": None, "pad_token_id": 0, "do_sample": False}
    for name, content in (("config.json", config_of(shape)), ("generation_config.json", settings)):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            json.dump(content, f)
    return g.offset


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", default="qwen2-0.5b", choices=GGUF["PRESETS"])
    parser.add_argument("--act", default="f16", choices=["f16", "f32"])
    parser.add_argument("folder")
    a = parser.parse_args()
    n_bytes = write(a.folder, GGUF["PRESETS"][a.preset], a.act)
    print(f"{a.folder}: {n_bytes / 1e6:.1f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()
