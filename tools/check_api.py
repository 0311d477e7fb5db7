#!/usr/bin/env python3
"""Every function of the public header is explained there and called by a test. Standard library only.

    python3 tools/check_api.py [TOP]     prints a line a fault; exit status 1 if any

A declaration is explained by a comment in its paragraph (lines without an empty one between) or in
the paragraph before, where the type that it belongs to usually stands.
"""
import glob
import os
import re
import sys

from check_deps import declared, read


def unexplained(header):
    paragraphs = re.split(r"\n[ \t]*\n", header)
    before = ""
    for paragraph in paragraphs:
        for name in sorted(declared(paragraph)):
            # A section's ruler, "/* ---- errors --- */", explains nothing.
            text = re.sub(r"/\* -{4}.*?\*/", "", before + "\n" + paragraph)
            if "/*" not in text and "//" not in text:
                yield f"{name} has no comment in include/ingle.h"
        before = paragraph


def untested(header, tests):
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", tests, flags=re.S)
    for name in sorted(declared(header)):
        if not re.search(rf"\b{name}\s*\(", text):
            yield f"{name} is called by no test in tests/*.c"


def api_faults(top):
    header = read(os.path.join(top, "include", "ingle.h"))
    tests = "\n".join(read(path) for path in sorted(glob.glob(os.path.join(top, "tests", "*.c"))))
    return [*unexplained(header), *untested(header, tests)]


def main(argv):
    faults = api_faults(argv[0] if argv else os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    print("\n".join(faults) if faults else "no fault")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
