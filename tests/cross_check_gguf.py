#!/usr/bin/env python3
"""Compares `ingle dump` with the decoders of the Python package gguf, format by format.

    pip install gguf numpy
    make && python3 tests/cross_check_gguf.py [path of ingle, default ./ingle]

Writes a GGUF file with one tensor of random blocks (finite scales, extremes among them) for every
format that the package knows, dumps each tensor and compares the values. Ends with status 1 if one
differs by more than 1e-6 of its size. Formats without a decoder in the package are named.
"""
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from gguf import GGUFWriter
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

ROWS, BLOCKS = 7, 12  # of a tensor; blocks are those of one row
TOLERANCE = 1e-6
EDGES = np.array([0, 0x8000, 1, 0x83FF, 0x0400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF], np.uint16)

# Byte offsets of the f16 scales of a block.
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q8_1": [0, 2],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0], "IQ1_S": [0],
    "IQ4_NL": [0], "IQ4_XS": [0], "TQ1_0": [52], "TQ2_0": [64], "F16": [0], "Q1_0": [0],
}


def finite_halves(rng, n):
    halves = rng.integers(0, 65536, n, dtype=np.uint16)
    halves = np.where(halves & 0x7C00 == 0x7C00, halves & 0xBFFF, halves)
    return np.where(rng.integers(0, 4, n) == 0, rng.choice(EDGES, n), halves).astype(np.uint16)


def random_blocks(rng, fmt, n, size):
    blocks = rng.integers(0, 256, (n, size), dtype=np.uint8)
    for offset in HALVES.get(fmt.name, []):
        blocks[:, offset:offset + 2] = finite_halves(rng, n).view(np.uint8).reshape(n, 2)
    if fmt.name == "IQ1_M":  # the scale's nibbles lie on top of four words
        halves = finite_halves(rng, n)
        for k in range(4):
            nibble = (halves >> 4 * k & 15).astype(np.uint8)
            blocks[:, 49 + 2 * k] = blocks[:, 49 + 2 * k] & 15 | nibble << 4
    if fmt.name in ("F32", "BF16"):  # no infinities, no NaN
        blocks[:, -1] &= 0xBF
    return blocks


def expected(raw, fmt):
    """The package's values, or None if it has no decoder for fmt."""
    plain = {"F64": np.float64, "I8": np.int8, "I16": np.int16, "I32": np.int32, "I64": np.int64}
    if fmt.name in plain:
        return raw.view(plain[fmt.name]).astype(np.float32)
    try:
        return dequantize(raw, fmt)
    except NotImplementedError:
        return None


def worst_difference(got, want):
    """The largest difference relative to the value wanted; equal values (Inf, NaN too) count 0."""
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    difference = np.abs(got.astype(np.float64) - want.astype(np.float64))
    relative = difference / np.maximum(np.abs(want.astype(np.float64)), np.finfo(np.float64).tiny)
    return float(np.max(np.where(same, 0, relative), initial=0.0))


def write_model(path, rng):
    writer = GGUFWriter(path, "llama")
    tensors = {}
    for fmt in GGMLQuantizationType:
        values, size = GGML_QUANT_SIZES[fmt]
        blocks = random_blocks(rng, fmt, ROWS * BLOCKS, size)
        raw = blocks.reshape(ROWS, BLOCKS * size)
        name = f"random.{fmt.name.lower()}"
        writer.add_tensor(name, raw, raw_shape=raw.shape, raw_dtype=fmt)
        tensors[name] = (fmt, raw)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors


def main():
    ingle = sys.argv[1] if len(sys.argv) > 1 else "./ingle"
    np.seterr(all="ignore")
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "random.gguf")
        for name, (fmt, raw) in write_model(path, np.random.default_rng(1)).items():
            want = expected(raw, fmt)
            dumped = subprocess.run([ingle, "dump", "-m", path, name], capture_output=True)
            got = np.frombuffer(dumped.stdout, "<f4")
            if dumped.returncode:
                print(f"{fmt.name:8} FAILED: {dumped.stderr.decode().strip()}")
                failed += 1
            elif want is None:
                print(f"{fmt.name:8} not in the package")
            elif got.size != want.size:
                print(f"{fmt.name:8} FAILED: {got.size} values, {want.size} expected")
                failed += 1
            else:
                worst = worst_difference(got, want.reshape(-1))
                verdict = "ok" if worst <= TOLERANCE else "FAILED"
                failed += worst > TOLERANCE
                print(f"{fmt.name:8} {verdict}: {got.size} values, worst difference {worst:.1e}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
