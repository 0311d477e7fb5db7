#!/usr/bin/env python3
"""Runs a build for 64-bit Arm under qemu's user mode, as several processors. Standard library only.

    python3 tools/test_arm.py [--build build/arm64] [--run qemu-aarch64] [--model]

Each processor must choose the kernels meant for it, pass the op suite and tell the same story; two
test programs go through all of them, others through the best. --model also puts recorded texts of
SmolLM2-135M through them, which takes some minutes more. The last line is the total; exit status 1
if anything failed.
"""
import argparse
import array
import json
import os
import subprocess
import sys
import time

import run_tests

TOP = run_tests.TOP
GOLDEN = os.path.join(TOP, "..", "shared", "accept", "golden")
SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
# What qemu calls it, the path it should choose, its test programs. Without dot products the portable
# path runs, which other tests cover, and the machine's own compiler builds it: one text is enough.
PROCESSORS = (
    ("max", "i8mm", ("test_cpu", "test_cpu_ops", "test_session", "test_quant", "test_model")),
    ("neoverse-n1", "neon", ("test_cpu", "test_cpu_ops", "test_session")),
    ("cortex-a72", "portable", ()),
)
total = [0, 0, 0]


def report(name, counts, began, complaint=""):
    for i, n in enumerate(counts):
        total[i] += n
    print("{:4} {:34} {:4} passed {:3} failed {:3} skipped {:8.2f} s  {}".format(
        "FAIL" if counts[1] else "skip" if counts[2] and not counts[0] else "ok", name, *counts,
        time.time() - began, complaint).rstrip(), flush=True)


def check(name, holds, complaint, began):
    report(name, (1, 0, 0) if holds else (0, 1, 0), began, "" if holds else complaint)


def ingle(machine, *argv):
    """Output of the command line; none if it failed, and why."""
    p = subprocess.run([*machine, *argv], capture_output=True, timeout=run_tests.LIMIT_S)
    return (p.stdout, "") if p.returncode == 0 else (b"", p.stderr.decode("utf-8", "replace").strip()[-200:])


def run_program(cpu, machine, name, build):
    began = time.time()
    status, output = run_tests.run(name, [*machine, os.path.join(build, "tests", name)], dict(os.environ))
    *counts, complaint = run_tests.judge(status, output)
    for line in output.splitlines():
        if counts[1] or line.startswith("skipped:"):
            print(line)
    report(f"{cpu}: {name}", counts, began, complaint)


def check_path(cpu, machine, want):
    began = time.time()
    out, why = ingle(machine, "info", "-m", "models/stories260K.gguf", "--json")
    got = json.loads(out)["memory"]["cpu"] if out else why
    check(f"{cpu}: chooses {want}", got == want, f"it chose {got}", began)


def check_story(cpu, machine):
    """The ids that another engine gave, recorded; see the acceptance kit."""
    began = time.time()
    path = os.path.join(GOLDEN, "stories260K.json")
    if not os.path.exists(path):
        report(f"{cpu}: story", (0, 0, 1), began, "no ../shared/accept")
        return
    with open(path, encoding="utf-8") as f:
        want = json.load(f)["text_ids"]
    out, why = ingle(machine, "run", "-m", "models/stories260K.gguf", "--raw", "-p", "", "-n", str(len(want)),
                     "--temp", "0", "--json")
    got = json.loads(out)["tokens"] if out else []
    check(f"{cpu}: story of {len(want)} tokens", got == want, why or "other tokens than recorded", began)


def find_model(name):
    home = os.path.expanduser("~/.cache")
    for folder in (os.environ.get("INGLE_MODELS"), "models", "../shared/models",
                   os.path.join(os.environ.get("XDG_CACHE_HOME", home), "ingle"), os.path.join(home, "ingle")):
        if folder and os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    return None


def logits_of(machine, path, case):
    out, why = ingle(machine, "logits", "-m", path, "--ids", " ".join(map(str, case["prompt_ids"] + case["ids"])))
    return out, why


def judge_logits(out, case):
    """(choices as recorded, choices that differ though the recorded one was clear)."""
    first, rows = len(case["prompt_ids"]) - 1, array.array("f", out)
    n_vocab, agree, wrong = len(rows) // (first + 1 + len(case["ids"])), 0, 0
    for i, (want, gap) in enumerate(zip(case["ids"], case["gaps"])):
        row = rows[(first + i) * n_vocab:][:n_vocab]
        hit = n_vocab > 0 and max(range(n_vocab), key=row.__getitem__) == want
        agree += hit
        wrong += not hit and gap >= 0.5
    return agree, wrong


def check_model(cpu, machine, before):
    """Without `before`: token by token along all recorded texts, by the acceptance kit's rule, 97 % of the
    choices and all that are clear; returns the logits of the first, which other paths must give to the bit.
    Each text goes through at once, so this is prefill."""
    began = time.time()
    path, recorded = find_model(SMOLLM2), os.path.join(GOLDEN, "smollm2-q4_1.json")
    if not path or not os.path.exists(recorded):
        report(f"{cpu}: SmolLM2", (0, 0, 1), began, "no model, or no ../shared/accept")
        return None
    with open(recorded, encoding="utf-8") as f:
        cases = json.load(f)["greedy"]
    if before:
        out, why = logits_of(machine, path, cases[0])
        check(f"{cpu}: SmolLM2, to the bit", out == before, why or "other logits than the path before", began)
        return before
    agree = wrong = total_ids = 0
    for case in cases:
        out, why = logits_of(machine, path, case)
        before = before or out
        hits, misses = judge_logits(out, case)
        agree, wrong, total_ids = agree + hits, wrong + misses, total_ids + len(case["ids"])
    check(f"{cpu}: SmolLM2, {agree} of {total_ids}", agree >= 0.97 * total_ids and not wrong,
          why or f"{wrong} wrong where the choice is clear", began)
    return before


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build/arm64")
    p.add_argument("--run", default="qemu-aarch64")
    p.add_argument("--model", action="store_true", help="also texts of SmolLM2, where it is")
    args = p.parse_args()
    os.chdir(TOP)
    start, logits = time.time(), None
    for cpu, path, programs in PROCESSORS:
        machine = [args.run, "-cpu", cpu]
        command = [*machine, os.path.join(args.build, "ingle")]
        check_path(cpu, command, path)
        check_story(cpu, command)
        for name in programs:
            run_program(cpu, machine, name, args.build)
        if args.model and path != "portable":
            logits = check_model(cpu, command, logits)
    print(f"tests of {args.build} took {time.time() - start:.1f} s")
    print("{} passed, {} failed, {} skipped".format(*total), flush=True)
    return 1 if total[1] else 0


if __name__ == "__main__":
    sys.exit(main())
