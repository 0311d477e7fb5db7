#!/usr/bin/env python3
"""Writes the parts of GPU kernels (src/gpu/wgsl) as C strings.

    python3 tools/embed_wgsl.py src/gpu/wgsl OUT.c

Comments, indentation and empty lines go: the text travels in the page's download. What it defines is
declared in src/gpu/shader.h.
"""
import os
import re
import sys


def shrink(text):
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    lines = (re.sub(r"\s+", " ", re.sub(r"//.*", "", line)).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line) + "\n"


def c_array(name, text):
    """As numbers: C promises string literals of 4,095 characters only."""
    codes = [str(byte) for byte in text.encode("ascii")] + ["0"]
    lines = (",".join(codes[i:i + 40]) for i in range(0, len(codes), 40))
    return f"static const char {name}[] = {{\n" + ",\n".join(lines) + "};\n"


def files(top):
    for at, folders, names in os.walk(top):
        folders.sort()
        for name in sorted(names):
            if name.endswith(".wgsl"):
                path = os.path.join(at, name)
                yield os.path.relpath(path, top)[: -len(".wgsl")].replace(os.sep, "/"), path


def main(top, out):
    arrays, rows = [], []
    for name, path in files(top):
        with open(path, encoding="ascii") as f:
            arrays.append(c_array("part_" + re.sub(r"\W", "_", name), shrink(f.read())))
            rows.append(f'    {{"{name}", part_{re.sub(r"[^a-zA-Z0-9_]", "_", name)}}},\n')
    text = ("/* Made by tools/embed_wgsl.py from src/gpu/wgsl: not to be edited. */\n"
            '#include "gpu/shader.h"\n\n' + "".join(arrays) +
            "\nconst shader_file shader_files[] = {\n" + "".join(rows) + "    {NULL, NULL}};\n")
    os.makedirs(os.path.dirname(out), exist_ok=True)
    with open(out, "w", encoding="utf-8") as f:
        f.write(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
