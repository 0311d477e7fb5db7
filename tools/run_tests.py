#!/usr/bin/env python3
"""Runs the test programs and adds up what they say. Standard library only.

    python3 tools/run_tests.py [NAME...]      only programs whose name holds a NAME

A program is $INGLE_BUILD/tests/test_* (built from tests/test_*.c), tests/test_*.py, the replay of
the fuzz corpora, or a make target that tests the browser side. Each closes with "NAME: N passed,
N failed, N skipped"; one that dies, hangs or says nothing counts as one failure. What a program
prints is shown when it fails; reasons for skipping are always shown. The last line is the total;
exit status 1 if anything failed.

As many run side by side as there are processors ($INGLE_JOBS: another number), those that take long
first; make targets one after the other, since they build in the same place.
"""
import glob
import os
import queue
import re
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("INGLE_BUILD", "build/native")
LIMIT_S = 900  # for one program; far beyond what any should take, sanitizers included
WEB_TARGETS = ("test-ops", "test-wasm", "test-web", "accept-web")
LONG = ("tests/test_cli.py", "tests/test_revive.c", "tests/test_cpu.c", "tests/test_cpu_ops.c", "tests/test_gpu_stream.c")
CLOSING = re.compile(r"^(?:.*: )?(\d+) passed, (\d+) failed, (\d+) skipped$")


def programs():
    """(name, argv) of every test program, C first: they are quick and fail nearest the cause."""
    for source in sorted(glob.glob("tests/test_*.c")):
        yield source, [os.path.join(BUILD, source[:-2])]
    if has_fuzz_replay():
        yield "fuzz-replay", [os.environ.get("MAKE", "make"), "--no-print-directory", "-s",
                              "fuzz-replay", "B=" + BUILD]
    for source in sorted(glob.glob("tests/test_*.py")):
        yield source, [sys.executable, source]
    # The browser side, when asked for: INGLE_WEB is "yes" or what it lacks on this machine.
    if os.environ.get("INGLE_WEB"):
        for target in WEB_TARGETS:
            yield target, [os.environ.get("MAKE", "make"), "--no-print-directory", "-s", target,
                           "ACCEPT=" + os.environ.get("ACCEPT", "--quick")]


def has_fuzz_replay():
    with open("Makefile", encoding="utf-8") as f:
        return re.search(r"^fuzz-replay:", f.read(), re.M) is not None


def environment():
    env = dict(os.environ, INGLE_BUILD=BUILD)
    env.setdefault("INGLE", os.path.join(TOP, BUILD, "ingle"))
    # Tests ask for absurd amounts on purpose: the answer must be NULL, as without sanitizers.
    env.setdefault("ASAN_OPTIONS", "allocator_may_return_null=1:detect_stack_use_after_return=1")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    return env


def run(name, argv, env):
    """Exit status (None: too slow) and all output of a program."""
    lacks = env.get("INGLE_WEB", "yes")
    if name in WEB_TARGETS and lacks != "yes":
        return 0, f"skipped: {name}: {lacks}\n0 passed, 0 failed, 1 skipped\n"
    try:
        p = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=LIMIT_S, close_fds=False)
        return p.returncode, p.stdout.decode("utf-8", "replace")
    except subprocess.TimeoutExpired as e:
        return None, (e.stdout or b"").decode("utf-8", "replace")
    except OSError as e:
        return 127, str(e) + "\n"


def judge(status, output):
    """(passed, failed, skipped, complaint) of one finished program."""
    counts = None
    for line in output.splitlines():
        found = CLOSING.match(line)
        if found:
            counts = [int(n) for n in found.groups()]
    if status is None:
        return 0, 1, 0, f"still running after {LIMIT_S} s"
    if counts is None:
        return 0, 1, 0, f"no closing line, exit status {status}"
    if status and not counts[1]:
        return counts[0], 1, counts[2], f"exit status {status} though nothing failed"
    if counts[1] and not status:
        return (*counts, "exit status 0 though something failed")
    return (*counts, "")


def report(name, status, output, seconds):
    """Prints what became of a program; its counts."""
    *counts, complaint = judge(status, output)
    shown = output if counts[1] else "".join(
        line + "\n" for line in output.splitlines() if line.startswith("skipped:"))
    sys.stdout.write(shown)
    if shown and not shown.endswith("\n"):
        print()
    print("{:4} {:28} {:4} passed {:3} failed {:3} skipped {:8.2f} s  {}".format(
        "FAIL" if counts[1] else "ok", name, *counts, seconds, complaint).rstrip(), flush=True)
    return counts


def side_by_side(chains, env, lanes):
    """Yields what run() gives for each program, as they end. A chain's programs take turns."""
    waiting, done = queue.SimpleQueue(), queue.SimpleQueue()

    def work():
        while True:
            try:
                chain = waiting.get_nowait()
            except queue.Empty:
                return
            for name, argv in chain:
                began = time.time()
                status, output = run(name, argv, env)
                done.put((name, status, output, time.time() - began))

    for chain in chains:
        waiting.put(chain)
    for _ in range(lanes):
        threading.Thread(target=work, daemon=True).start()
    for _ in range(sum(map(len, chains))):
        yield done.get()


def main(names):
    os.chdir(TOP)
    total = [0, 0, 0]
    start = time.time()
    wanted = [p for p in programs() if not names or any(n in p[0] for n in names)]
    targets = [p for p in wanted if p[0] in WEB_TARGETS or p[0] == "fuzz-replay"]
    others = sorted((p for p in wanted if p not in targets), key=lambda p: p[0] not in LONG)
    lanes = int(os.environ.get("INGLE_JOBS") or os.cpu_count() or 1)
    for result in side_by_side([targets, *([p] for p in others)], environment(), lanes):
        total = [a + b for a, b in zip(total, report(*result))]
    print(f"tests of {BUILD} took {time.time() - start:.1f} s")
    if not sum(total):
        print("no test ran")
    print("{} passed, {} failed, {} skipped".format(*total), flush=True)
    return 1 if total[1] or not sum(total) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
