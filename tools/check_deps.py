#!/usr/bin/env python3
"""The house rules that a machine can hold. Standard library only.

    python3 tools/check_deps.py [TOP [LIBRARY]]     prints a line a fault; exit status 1 if any

Over the sources of TOP: which folder may include which, how it writes that, which system headers it
may see, and that no two files have one name. Over LIBRARY (libingle.a, by nm): no variable that can
change, nothing that prints, exits or aborts, and public names that are exactly the header's.
"""
import os
import re
import subprocess
import sys

# A folder of src/ may include itself and these.
BELOW = {
    "base": "",
    "host": "base",
    "quant": "base",
    "token": "base",
    "file": "base quant",
    "graph": "base quant",
    "chat": "base token",
    "model": "base host quant token file graph",
    "cpu": "base host quant graph",
    "gpu": "base host quant graph",
    "session": "base host quant token file graph chat model cpu gpu",
    "calib": "base host quant token file graph chat model cpu gpu session",
    "wasm": "base host session",
}
C11_HEADERS = set("assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign "
                  "stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar "
                  "wchar wctype".split())
# What needs an operating system is the host's, what needs an instruction set the kernels'.
KEPT_OUT = {"assert", "complex", "locale", "setjmp", "signal", "threads", "time", "wchar", "wctype"}
INTRINSICS = {"immintrin", "arm_neon", "arm_acle", "wasm_simd128", "cpuid"}
FORBIDDEN_CALLS = re.compile(
    r"^_*(?:f|v|vf|w|d|vd)?printf(?:_chk)?$|^_*(?:puts|fputs|fputc|putc|putchar|perror|exit|_exit|_Exit|quick_exit|"
    r"abort|assert_fail|assert_perror_fail|assert|raise|atexit|longjmp|setlocale|rand|srand|strtok|localtime|gmtime)$")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def sources(top, folder):
    """Paths relative to top of the C sources under a folder."""
    for at, folders, files in os.walk(os.path.join(top, folder)):
        folders.sort()
        for name in sorted(files):
            if name.endswith((".c", ".h")):
                yield os.path.relpath(os.path.join(at, name), top)


def system_header_fault(path, header):
    name = header[:-2]
    folder = path.split(os.sep)[1]
    if folder == "host" or (name in INTRINSICS and folder in ("cpu", "quant")):
        return None
    if name not in C11_HEADERS:
        return f"<{header}> is no C11 header: what needs a system belongs in src/host"
    if name in KEPT_OUT:
        return f"<{header}> has no place in the library outside src/host"
    return None


def include_faults(top):
    for path in sources(top, "src"):
        folder = path.split(os.sep)[1]
        if folder not in BELOW:
            yield f"{path}: src/{folder} is not in the dependency rule of tools/check_deps.py"
            continue
        allowed = {folder, *BELOW[folder].split()}
        for kind, name in INCLUDE.findall(read(os.path.join(top, path))):
            if kind == "<":
                fault = system_header_fault(path, name)
                if fault:
                    yield f"{path}: {fault}"
            elif name == "ingle.h":
                continue
            elif "/" not in name or not os.path.exists(os.path.join(top, "src", name)):
                yield f'{path}: "{name}" is no path from src (as "quant/quant.h" is)'
            elif name.split("/")[0] not in allowed:
                yield f"{path}: src/{folder} may not include {name} (it may: {' '.join(sorted(allowed))})"


def cli_faults(top):
    """The command line sees the public header and its own headers only."""
    for path in sources(top, "cli"):
        for kind, name in INCLUDE.findall(read(os.path.join(top, path))):
            if kind == '"' and name != "ingle.h" and not os.path.exists(os.path.join(top, "cli", name)):
                yield f"{path}: cli may not include {name}"
    text = read(os.path.join(top, "include", "ingle.h"))
    for kind, name in INCLUDE.findall(text):
        if kind == '"' or name[:-2] not in ("stdbool", "stddef", "stdint"):
            yield f"include/ingle.h: includes {name}"


def name_faults(top):
    seen = {}
    for folder in ("include", "src", "cli", "tests", "fuzz", "bench", "examples"):
        for path in sources(top, folder):
            name = os.path.basename(path)
            if name in seen:
                yield f"{path}: the name is taken by {seen[name]}"
            seen.setdefault(name, path)


def declared(header):
    """Names of the functions that a header declares."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", header, flags=re.S)
    text = re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", " ", text, flags=re.M)
    return set(re.findall(r"\b(ingle_\w+)\s*\(", text))


def symbols(library):
    """(object, name, class, section) of every symbol of an archive, from nm's table format."""
    out = subprocess.run(["nm", "-f", "sysv", library], capture_output=True, text=True, check=True).stdout
    member = "?"
    for line in out.splitlines():
        head = re.search(r"from .*\[(.*)\]:$", line)
        if head:
            member = head.group(1)
        fields = [field.strip() for field in line.split("|")]
        if len(fields) == 7 and fields[0] != "Name":
            yield member, fields[0], fields[2], fields[6]


def symbol_faults(library, header):
    defined = set()
    for member, name, kind, section in symbols(library):
        if kind == "U":
            if FORBIDDEN_CALLS.match(name):
                yield f"{member}: calls {name}"
            continue
        # Tables of pointers lie in .data.rel.ro: the loader fills them in, then they are read-only.
        if kind.upper() in "BDCSG" and not section.startswith(".data.rel.ro"):
            yield f"{member}: {name} is a variable that can change ({section})"
        if kind == "T" and name.startswith("ingle_"):
            defined.add(name)
        elif kind.isupper() and kind != "T" and name.startswith("ingle_"):
            yield f"{member}: {name} is public data"
    for name in sorted(defined - declared(header)):
        yield f"{name} is defined with a public name but not declared in include/ingle.h"
    for name in sorted(declared(header) - defined):
        yield f"{name} is declared in include/ingle.h but defined nowhere"


def source_faults(top):
    return [*include_faults(top), *cli_faults(top), *name_faults(top)]


def main(argv):
    top = argv[0] if argv else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    faults = source_faults(top)
    if len(argv) > 1:
        faults += symbol_faults(argv[1], read(os.path.join(top, "include", "ingle.h")))
    print("\n".join(faults) if faults else "no fault")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
