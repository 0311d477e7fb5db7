#!/usr/bin/env python3
"""Line coverage of src/ from a build with --coverage whose programs have run. Standard library only.

    python3 tools/coverage.py BUILD [--lines]     e.g. build/cov; --lines lists what never ran

Reads what `gcov --json-format` makes of each object. A line counts once, as run if any copy of it
ran (a header's inline function has a copy in each object). Prints a line a file, worst first, and
closes with "src: NN.N % of N lines".
"""
import json
import os
import subprocess
import sys


def counts_of(build):
    """{source: {line: times run}} over all objects of src/ under build."""
    lines = {}
    for at, _, names in os.walk(os.path.join(build, "src")):
        for name in sorted(names):
            if not name.endswith(".gcno"):
                continue
            out = subprocess.run(["gcov", "--json-format", "--stdout", os.path.join(at, name)],
                                 capture_output=True, text=True, check=True).stdout
            for text in out.splitlines():
                for entry in json.loads(text)["files"]:
                    path = os.path.normpath(entry["file"])
                    if not path.startswith("src" + os.sep):
                        continue
                    of_file = lines.setdefault(path, {})
                    for line in entry["lines"]:
                        n = line["line_number"]
                        of_file[n] = of_file.get(n, 0) + line["count"]
    return lines


def ranges(numbers):
    """"3-5 9" for [3, 4, 5, 9]."""
    runs = []
    for n in sorted(numbers):
        if runs and n == runs[-1][1] + 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def main(argv):
    build = next((a for a in argv if not a.startswith("-")), "build/cov")
    lines = counts_of(build)
    share = {path: sum(count > 0 for count in of_file.values()) / max(1, len(of_file))
             for path, of_file in lines.items()}
    for path in sorted(lines, key=lambda p: (share[p], p)):
        print(f"{100 * share[path]:5.1f} % of {len(lines[path]):4} lines  {path}")
        if "--lines" in argv:
            missed = [n for n, count in lines[path].items() if count == 0]
            if missed:
                print(f"        never run: {ranges(missed)}")
    total = sum(len(of_file) for of_file in lines.values())
    if total == 0:
        print(f"coverage: nothing measured under {build}", file=sys.stderr)
        return 1
    run = sum(count > 0 for of_file in lines.values() for count in of_file.values())
    print(f"src: {100 * run / total:.1f} % of {total} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
