#!/usr/bin/env python3
"""Writes src/token/unicode_tables.c from the Unicode character database.

    python3 tools/gen_unicode.py [FOLDER] > src/token/unicode_tables.c

FOLDER holds UnicodeData.txt, PropList.txt, Scripts.txt and DerivedNormalizationProps.txt (Debian:
package unicode-data, /usr/share/unicode). The checked-in tables are Unicode 15.0.0.
"""
import os
import sys

FOLDER = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/unicode"
CATEGORIES = ("Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp "
              "Cc Cf Cs Co").split()
BLOCK = 256          # code points in a block of the second stage: fewer pack better, if larger
LIMIT = 0x32400      # beyond: see unicode_tables.c's reader (planes 14-16 are ranges)
NFC_CHECK, NFD_CHECK, HAN = 32, 64, 128
HANGUL = range(0xAC00, 0xD7A4)


def rows(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as f:
        for line in f:
            line = line.split("#")[0].strip()
            if line:
                yield [field.strip() for field in line.split(";")]


def span(text):
    first, _, last = text.partition("..")
    return range(int(first, 16), int(last or first, 16) + 1)


def read():
    category, lower, decomposition, ccc, opened = {}, {}, {}, {}, None
    for row in rows("UnicodeData.txt"):
        code = int(row[0], 16)
        if row[1].endswith("First>"):
            opened = code
            continue
        for c in range(code if opened is None else opened, code + 1):
            category[c] = row[2]
        opened = None
        if row[3] != "0":
            ccc[code] = int(row[3])
        if row[5] and not row[5].startswith("<"):
            decomposition[code] = [int(x, 16) for x in row[5].split()]
        if row[13]:
            lower[code] = int(row[13], 16)
    han = {c for row in rows("Scripts.txt") if row[1] == "Han" for c in span(row[0])}
    not_yes, excluded = set(), set()
    for row in rows("DerivedNormalizationProps.txt"):
        if row[1] == "NFC_QC":
            not_yes.update(span(row[0]))
        if row[1] == "Full_Composition_Exclusion":
            excluded.update(span(row[0]))
    return category, lower, decomposition, ccc, han, not_yes, excluded


def ranges_of(pairs, merge):
    """Joins consecutive (code, value) pairs into [first, last, value] where merge agrees."""
    out = []
    for code, value in sorted(pairs):
        if out and merge(out[-1], code, value):
            out[-1][1] = code
        else:
            out.append([code, code, value])
    return out


def array(kind, name, values, per_line=16):
    print(f"const {kind} {name}[{len(values)}] = {{")
    for i in range(0, len(values), per_line):
        print("    " + " ".join(f"{v}," for v in values[i:i + per_line]))
    print("};\n")


def structs(kind, name, values, per_line=6):
    array(kind, name, ["{" + ", ".join(str(x) for x in v) + "}" for v in values], per_line)


def main():
    category, lower, decomposition, ccc, han, not_yes, excluded = read()

    def entry(c):
        value = CATEGORIES.index(category.get(c, "Cn"))
        value |= NFC_CHECK if c in not_yes or c in ccc else 0
        value |= NFD_CHECK if c in decomposition or c in ccc or c in HANGUL else 0
        return value | (HAN if c in han else 0)

    blocks, index, stage1 = [], {}, []
    for start in range(0, LIMIT, BLOCK):
        block = tuple(entry(c) for c in range(start, start + BLOCK))
        if block not in index:
            index[block] = len(blocks)
            blocks.append(block)
        stage1.append(index[block])
    for c, name in category.items():      # what the reader assumes about the planes beyond
        if c >= LIMIT:
            wanted = ("Co" if c >= 0xF0000 else "Mn" if c >= 0xE0100 else "Cf")
            assert name == wanted and c not in ccc and c not in decomposition, hex(c)
            assert c >= 0xE0000 and (name != "Cf" or c == 0xE0001 or 0xE0020 <= c < 0xE0080)
            assert name != "Mn" or 0xE0100 <= c < 0xE01F0
            assert name != "Co" or c & 0xFFFF < 0xFFFE

    table = [(c, *d, *([0] * (2 - len(d)))) for c, d in sorted(decomposition.items())]
    # The reader takes apart the first half of a pair again, never the second.
    assert not any(row[2] in decomposition for row in table)
    composites = [i for i, row in enumerate(table) if row[2] and row[0] not in excluded]
    composites.sort(key=lambda i: (table[i][1], table[i][2]))
    classes = ranges_of(ccc.items(), lambda r, c, v: r[1] == c - 1 and r[2] == v)
    # Lower-case mappings: a range has one difference and one step (1, or 2 where cases alternate).
    cases = []
    for c, d in sorted((c, l - c) for c, l in lower.items()):
        last = cases[-1] if cases else None
        if last and last[2] == d and c - last[1] in (1, 2) and last[3] in (0, c - last[1]):
            last[1], last[3] = c, c - last[1]
        else:
            cases.append([c, c, d, 0])
    cases = [[a, b, d, step or 1] for a, b, d, step in cases]

    print("/* Unicode 15.0.0 tables, written by tools/gen_unicode.py from the Unicode character database\n"
          " * (Copyright 1991-2022 Unicode, Inc., Unicode License v3). Do not edit: change the generator. */")
    print('#include "token/unicode.h"\n')
    assert len(blocks) <= 256
    array("uint8_t", "unicode_stage1", stage1, 24)
    array("uint8_t", "unicode_stage2", [x for b in blocks for x in b], 24)
    array("uint8_t", "unicode_pairs",
          [row[column] >> shift & 255 for column in range(3) for shift in (0, 8, 16) for row in table], 24)
    array("uint16_t", "unicode_composites", composites)
    structs("unicode_class_range", "unicode_class_ranges", [(a, b - a + 1, v) for a, b, v in classes])
    structs("unicode_case_range", "unicode_case_ranges", cases)
    print("const unicode_counts unicode_count = {%d, %d, %d, %d, 0x%X};"
          % (len(table), len(composites), len(classes), len(cases), LIMIT))
    size = (len(stage1) + len(blocks) * BLOCK + len(table) * 9 + len(composites) * 2
            + len(classes) * 8 + len(cases) * 12)
    print(f"{size} bytes of tables; {len(blocks)} blocks, {len(table)} decompositions, "
          f"{len(composites)} composites, {len(classes)} class ranges, {len(cases)} case ranges", file=sys.stderr)


if __name__ == "__main__":
    main()
