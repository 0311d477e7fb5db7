#!/usr/bin/env python3
"""Writes the parts of GPU kernels (src/gpu/wgsl) as C strings.

    python3 tools/embed_wgsl.py src/gpu/wgsl OUT.c [SOURCE.c ...]

Comments, indentation and empty lines go. With the C sources that put kernels together the text is that
of a page's download, nearly three kilobytes less: no spaces that WGSL can do without, its own short
names of vectors, and others for all that is declared in the parts and that those sources do not name.
What it defines is declared in src/gpu/shader.h.
"""
from collections import Counter
import os
import re
import string
import sys

WORD = r"[A-Za-z_]\w*"
SWIZZLE = r"[xyzw]{1,4}|[rgba]{1,4}"
DECLARATIONS = (rf"\b(?:fn|let|const|struct|override|alias|var)\s+({WORD})", rf"\bvar<[^>]*>\s*({WORD})",
                rf"[(,{{]\s*(?:@\w+(?:\([^)]*\))?\s*)*({WORD})\s*:")  # the last: parameters and members
BINDING = rf"\bvar<storage[^>]*>\s*({WORD})"
LOOP = rf"@for ({WORD})"
FUNCTION = rf"\b(?:fn|struct|alias)\s+({WORD})"
CALL = rf"({WORD})\("
ATTRIBUTE = r"@\w+(?:\([^)]*\))?|\bvar<[^>]*>"
KEYWORDS = {"as", "do", "fn", "if", "in", "is", "of", "or"}  # of up to two letters, reserved ones too


def shrink(text):
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    lines = (re.sub(r"\s+", " ", re.sub(r"//.*", "", line)).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line) + "\n"


def tighten(text):
    pieces = re.split(r"^(@for .*|@end)\n", text, flags=re.M)  # shader.h's loops, which are lines
    for i, piece in enumerate(pieces):
        if i % 2:
            pieces[i] += "\n"
            continue
        piece = re.sub(r"(?<=[(){}\[\];,:])\s+|\s+(?=[(){}\[\];,:])", "", piece)
        piece = re.sub(r"(?<=\w)\s+(?=[^\w\s])|(?<=[^\w\s])\s+(?=\w)", "", piece)  # two signs stay apart
        pieces[i] = re.sub(r"\b(vec[234])<([fui])32>", r"\1\2", piece.rstrip()) + ("\n" if piece else "")
    return "".join(pieces).rstrip() + "\n"


def shorten(parts, sources):
    """The parts [name: text] with short names, the same ones in all: parts use what others declare."""
    whole = "\n".join(parts.values())
    counts = Counter(re.findall(WORD, whole))
    literals = " ".join(re.findall(r'"(?:[^"\\\n]|\\.)*"', sources))
    named = set(re.findall(rf'"({WORD})"', literals)) | set(re.findall(CALL, literals)) | {"main"}
    named |= set(re.findall(BINDING, whole)) | set(re.findall(LOOP, whole))
    # WGSL's own words, which a variable may have for a name elsewhere.
    named |= set(re.findall(CALL, whole)) - set(re.findall(FUNCTION, whole))
    named |= set(re.findall(WORD, " ".join(re.findall(ATTRIBUTE, whole))))
    declared = {word for pattern in DECLARATIONS for word in re.findall(pattern, whole)}
    long = {word for word in declared - named if len(word) > 1 and not re.fullmatch(SWIZZLE, word)}
    taken = (set(counts) - long) | named | KEYWORDS

    def names():
        for rest in ("", *(string.ascii_letters + string.digits)):
            yield from (first + rest for first in string.ascii_letters)

    free = (name for name in names() if name not in taken and not re.fullmatch(SWIZZLE, name))
    short = dict(zip(sorted(long, key=lambda word: (-counts[word], word)), free))
    assert len(short) == len(long)
    return {name: re.sub(WORD, lambda m: short.get(m[0], m[0]), text) for name, text in parts.items()}


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


def main(top, out, *sources):
    parts = {}
    for name, path in files(top):
        with open(path, encoding="ascii") as f:
            parts[name] = shrink(f.read())
    if sources:
        parts = shorten({name: tighten(text) for name, text in parts.items()},
                        "".join(open(path, encoding="utf-8").read() for path in sources))
    arrays, rows = [], []
    for name, text in parts.items():
        symbol = "part_" + re.sub(r"\W", "_", name)
        arrays.append(c_array(symbol, text))
        rows.append(f'    {{"{name}", {symbol}}},\n')
    text = ("/* Made by tools/embed_wgsl.py from src/gpu/wgsl: not to be edited. */\n"
            '#include "gpu/shader.h"\n\n' + "".join(arrays) +
            "\nconst shader_file shader_files[] = {\n" + "".join(rows) + "    {NULL, NULL}};\n")
    os.makedirs(os.path.dirname(out), exist_ok=True)
    with open(out, "w", encoding="utf-8") as f:
        f.write(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
