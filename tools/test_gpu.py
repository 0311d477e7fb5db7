#!/usr/bin/env python3
"""The GPU's tests on adapters that compute on the CPU, as `make test-gpu` runs them. Standard library only.

    python3 tools/test_gpu.py [native] [browser]      default: both

native: the programs tests/test_gpu_*.c and whole models, over Dawn and Mesa's lavapipe (f16, subgroups
of 8). browser: the same programs in headless Chromium on SwiftShader (subgroups of 4, no f16), of some
the tests that tell most, and a model through the package, there and in Node. All of it compiles most of
the time, each on one thread, so two run side by side, what takes longest first. What is missing is skipped aloud; the last line is the total; exit status
1 if anything failed.
"""
import glob
import os
import subprocess
import sys
import tempfile
import threading
import time

import run_tests

NODE = os.environ.get("NODE", "node")
DAWN = "build/gpu/node_modules/bun-webgpu-linux-x64/libwebgpu_wrapper.so"
# The recorded answer that SmolLM2 is judged along here; tools/agree_gpu.py takes all, and accept.mjs in a browser.
CASES = "raw-list"
# SwiftShader compiles slowly. Each kernel, each format; not every size of everything, nor what needs no device.
BROWSER_TESTS = ("matmul", "selftest:wrong_in_a_mode", "attend", "bursts", "matvec", "sample:without", "sample:bursts", "weights",
                 "player", "sample:history", "sample:recorded")
AT_ONCE = 2
printing = threading.Lock()
total = [0, 0, 0]


def native():
    if not os.environ.get("INGLE_DAWN") and not os.path.exists(DAWN):
        return "no Dawn library (make gpu-tools)"
    return ""


def browser():
    lacks = os.environ.get("INGLE_WEB", "yes")
    return "" if lacks == "yes" else lacks


def native_steps():
    for source in sorted(glob.glob("tests/test_gpu_*.c")):
        yield source, [os.path.join(run_tests.BUILD, source[:-2])]
    yield "tests/test_revive.c, a real device", [os.path.join(run_tests.BUILD, "tests/test_revive"), "real"]
    yield "whole models, native", [sys.executable, "tools/agree_gpu.py", "--cases", CASES]


def browser_steps():
    yield "the package on a GPU", [NODE, "--no-warnings", "js/test/run.mjs", "gpu.test.mjs"]
    for test in BROWSER_TESTS:
        yield "Chromium: " + test, [NODE, "--no-warnings", "tests/gpu_web.mjs", "chromium", "test_gpu_" + test]


LANES = {"browser": (browser, browser_steps), "native": (native, native_steps)}


def steps_of(names):
    for name in names:
        why_not, steps = LANES[name]
        if why_not():
            total[2] += 1
            print(f"skipped: {name}: {why_not()}", flush=True)
        else:
            yield from steps()


def run_steps(steps, env):
    """Runs what is left of the steps: each thread takes the next one."""
    while True:
        with printing:
            step, argv = next(steps, (None, None))
        if not step:
            return
        began = time.time()
        status, output = run_tests.run(step, argv, env)
        *counts, complaint = run_tests.judge(status, output)
        shown = [line for line in output.splitlines() if counts[1] or line.startswith("skipped:")]
        with printing:
            for i, n in enumerate(counts):
                total[i] += n
            print("".join(line + "\n" for line in shown), end="")
            print("{:4} {:38} {:4} passed {:3} failed {:3} skipped {:8.2f} s  {}".format(
                "FAIL" if counts[1] else "ok", step, *counts, time.time() - began, complaint).rstrip(), flush=True)


def main(names):
    os.chdir(run_tests.TOP)
    began = time.time()
    with tempfile.TemporaryDirectory() as runtime:
        env = run_tests.environment()
        env.setdefault("XDG_RUNTIME_DIR", runtime)  # Mesa wants one
        steps = steps_of(names or LANES)
        threads = [threading.Thread(target=run_steps, args=(steps, env)) for _ in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print(f"the GPU's tests took {time.time() - began:.0f} s")
    print("test-gpu: {} passed, {} failed, {} skipped".format(*total), flush=True)
    return 1 if total[1] or not sum(total) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
