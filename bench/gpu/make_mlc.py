#!/usr/bin/env python3
"""Writes random weights as a folder for one of WebLLM's model libraries. Standard library only.

    python3 bench/gpu/make_mlc.py LIBRARY.wasm TOKENIZER_FOLDER FOLDER

Names, shapes and types of the weights are read from the metadata inside the library. TOKENIZER_FOLDER: tokenizer.json
and tokenizer_config.json of any model whose ids the vocabulary holds; they are copied. Not for anything but speed."""
import argparse
import json
import math
import os
import random
import shutil
import struct
import sys

SHARD_BYTES = 64 << 20
POOL = 1 << 20
SIZES = {"uint32": 4, "float16": 2, "float32": 4}


def metadata_of(path):
    """The record of JSON in the library that lists the weights."""
    with open(path, "rb") as f:
        b = f.read()
    inside = b.find(b'"params": [')
    end = b.find(b"\0", inside)
    start = inside
    while start > 0:  # back to the brace that opens the record
        start = b.rfind(b'{"', 0, start)
        try:
            record, _ = json.JSONDecoder().raw_decode(b[start:end].decode("latin-1"))
        except ValueError:
            continue
        if isinstance(record, dict) and "params" in record:
            return record
    raise SystemExit(f"{path} has no list of weights")


class Pool:
    """Random bytes of each kind of weight, made once and repeated."""

    def __init__(self, seed=1):
        rng = random.Random(seed)
        self.bits = rng.randbytes(POOL * 4)
        self.lists = {
            "scale": [0.02 / 4.6 * rng.uniform(0.8, 1.2) for _ in range(POOL // 4)],
            "weight": [rng.gauss(0, 0.02) for _ in range(POOL // 4)],
            "norm": [1.0] * (POOL // 4), "bias": [0.0] * (POOL // 4),
        }
        self.packed = {}

    def of(self, name, kind, n_dims):
        if kind == "uint32":
            return self.bits
        role = "weight"
        if name.endswith("q_scale"):
            role = "scale"
        elif n_dims == 1:
            role = "bias" if name.endswith("bias") else "norm"
        if (role, kind) not in self.packed:
            letter = {"float16": "e", "float32": "f"}[kind]
            self.packed[role, kind] = struct.pack(f"<{POOL // 4}{letter}", *self.lists[role])
        return self.packed[role, kind]


def write_shards(folder, params):
    """Writes the weights in files of SHARD_BYTES, a larger one by itself; returns the list of files."""
    pool, shards, f = Pool(), [], None
    for p in params:
        n_bytes = math.prod(p["shape"]) * SIZES[p["dtype"]]
        if f is None or shards[-1]["nbytes"] + n_bytes > SHARD_BYTES:
            if f:
                f.close()
            shards.append({"dataPath": f"params_shard_{len(shards)}.bin", "format": "raw-shard", "nbytes": 0, "records": []})
            f = open(os.path.join(folder, shards[-1]["dataPath"]), "wb")
        record = {"name": p["name"], "shape": p["shape"], "dtype": p["dtype"], "format": "raw", "nbytes": n_bytes}
        shards[-1]["records"].append({**record, "byteOffset": shards[-1]["nbytes"]})
        shards[-1]["nbytes"] += n_bytes
        raw = pool.of(p["name"], p["dtype"], len(p["shape"]))
        for start in range(0, n_bytes, len(raw)):
            f.write(raw[:n_bytes - start])
    f.close()
    return shards


def config_of(metadata, n_vocab):
    """A model that takes text as it is."""
    template = {
        "name": "plain", "system_template": "{system_message}", "system_message": "", "system_prefix_token_ids": None,
        "add_role_after_system_message": True, "roles": {"user": "", "assistant": ""},
        "role_templates": {"user": "{user_message}", "assistant": "{assistant_message}", "tool": "{tool_message}"},
        "messages": [], "seps": ["\n"], "role_content_sep": "", "role_empty_sep": "", "stop_str": [], "stop_token_ids": [2],
        "function_string": "", "use_function_calling": False,
    }
    return {
        "version": "0.1.0", "model_type": metadata["model_type"], "quantization": metadata["quantization"], "model_config": {},
        "vocab_size": n_vocab, "context_window_size": 4096, "sliding_window_size": -1,
        "prefill_chunk_size": metadata.get("prefill_chunk_size", 1024), "attention_sink_size": -1, "tensor_parallel_shards": 1,
        "mean_gen_len": 128, "max_gen_len": 512, "shift_fill_factor": 0.3, "temperature": 0.7, "presence_penalty": 0.0,
        "frequency_penalty": 0.0, "repetition_penalty": 1.0, "top_p": 0.95, "conv_template": template, "pad_token_id": 0,
        "bos_token_id": 1, "eos_token_id": 2, "tokenizer_files": ["tokenizer.json", "tokenizer_config.json"],
        "tokenizer_info": {"token_postproc_method": "byte_level", "prepend_space_in_encode": False, "strip_space_in_decode": False},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("library", "tokenizer", "folder"):
        parser.add_argument(name)
    a = parser.parse_args()
    metadata = metadata_of(a.library)
    params = metadata["params"]
    if not all(isinstance(d, int) for p in params for d in p["shape"]):
        raise SystemExit(f"{a.library} leaves sizes open")
    os.makedirs(a.folder, exist_ok=True)
    shards = write_shards(a.folder, params)
    n_bytes = sum(s["nbytes"] for s in shards)
    n_vocab = next(p["shape"][0] for p in params if "embed_tokens" in p["name"])
    index = {"metadata": {"ParamSize": len(params), "ParamBytes": n_bytes}, "records": shards}
    for name, content in (("ndarray-cache.json", index), ("mlc-chat-config.json", config_of(metadata, n_vocab))):
        with open(os.path.join(a.folder, name), "w", encoding="utf-8") as f:
            json.dump(content, f)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(os.path.join(a.tokenizer, name), a.folder)
    print(f"{a.folder}: {n_bytes / 1e6:.1f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()
