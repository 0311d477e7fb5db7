#!/usr/bin/env python3
"""Whole models on the GPU beside the CPU's float reference, natively. Standard library only.

    python3 tools/agree_gpu.py [--ingle ./ingle] [--modes int8,subgroups int8 ..] [--cases NAME ..]

stories260K has to give the same greedy ids. SmolLM2-135M is judged token by token along answers, so
that a near tie is not taken for more than it is: 97 % of the answers' tokens must be chosen after those
before them, and none missed where the choice was clear (the two best logits 0.5 or more apart). The
answers are recorded ones of another engine where ../shared has them, else they are made here, by the
CPU's float reference. --cases keeps it to some of them (gravity, capital, ..; none: stories260K alone).

Modes are what GPU kernels may use ($INGLE_GPU); one that the device does not have is skipped. Dawn's
library comes from $INGLE_DAWN or from where make gpu-tools puts it. The last line is the total; exit
status 1 if anything failed.
"""
import argparse
import array
import json
import os
import subprocess
import sys
import tempfile
import time

import get_model

TOP = get_model.TOP
DAWN = os.path.join(TOP, "build/gpu/node_modules/bun-webgpu-linux-x64/libwebgpu_wrapper.so")
STORIES = os.path.join(TOP, "models/stories260K.gguf")
RECORDED = os.path.join(TOP, "../shared/accept/golden/smollm2-q4_1.json")
MODES = ("int8,subgroups", "int8", "f32,subgroups", "f32")
AGREE = 0.97  # share of the tokens that must be chosen
CLEAR = 0.5   # gap between the two best logits from which on a choice is clear
PROMPTS = {"capital": "The capital of France is", "raw-list": "Three colours of the rainbow are",
           "story": "Once upon a time there was a fox who"}
total = {"passed": 0, "failed": 0, "skipped": 0}


class Failed(Exception):
    pass


def report(good, line):
    total["passed" if good else "failed"] += 1
    print(("ok: " if good else "FAIL: ") + line, flush=True)


def skip(line):
    total["skipped"] += 1
    print("skipped: " + line, flush=True)


def ingle(exe, *argv, **environment):
    p = subprocess.run([exe, *argv], capture_output=True, env=dict(os.environ, **environment))
    if p.returncode:
        raise Failed(p.stderr.decode("utf-8", "replace").strip()[-300:])
    return p.stdout


def rows_of(exe, model, ids, *argv, **environment):
    """Logits after each id."""
    out = ingle(exe, "logits", *argv, "-m", model, "--ids", " ".join(map(str, ids)), **environment)
    values = array.array("f", out)
    n_vocab = len(values) // len(ids)
    return [values[i * n_vocab:(i + 1) * n_vocab] for i in range(len(ids))]


def best(row):
    return max(range(len(row)), key=row.__getitem__)


def gap_of(row):
    first = best(row)
    return row[first] - max(value for i, value in enumerate(row) if i != first)


# ---- answers ------------------------------------------------------------------------------------

def greedy_ids(exe, model, prompt, n, *argv, **environment):
    out = ingle(exe, "run", *argv, "-m", model, "--raw", "-p", prompt, "-n", str(n), "--temp", "0", "--json", **environment)
    return json.loads(out)["tokens"]


def make_cases(exe, model):
    """Answers of the CPU's float reference."""
    for name, text in PROMPTS.items():
        prompt = [int(i) for i in ingle(exe, "tokenize", "-m", model, "-p", text).split()]
        ids = greedy_ids(exe, model, text, 32, "--cpu", INGLE_CPU="ref")
        rows = rows_of(exe, model, prompt + ids, "--cpu", INGLE_CPU="ref")[len(prompt) - 1:]
        yield {"name": name, "prompt_ids": prompt, "ids": ids, "gaps": [gap_of(row) for row in rows[:len(ids)]]}


def cases_of(exe, model, names):
    if os.path.exists(RECORDED):
        with open(RECORDED, encoding="utf-8") as f:
            cases = json.load(f)["greedy"]
    else:
        cases = list(make_cases(exe, model))
    return [c for c in cases if names is None or c["name"] in names]


# ---- checks -------------------------------------------------------------------------------------

def backend_of(exe, mode):
    """What runs when that mode is asked for, such as "gpu/int8+subgroups (..)"."""
    out = ingle(exe, "bench", "--gpu", "-m", STORIES, "-p", "1", "-n", "1", "-r", "1", "--json", INGLE_GPU=mode)
    return json.loads(out.decode().splitlines()[0])["backend"]


def check_stories(exe, mode):
    want = greedy_ids(exe, STORIES, "Once upon a time", 100, "--cpu", INGLE_CPU="ref")
    got = greedy_ids(exe, STORIES, "Once upon a time", 100, "--gpu", INGLE_GPU=mode)
    same = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
    report(got == want and len(want) > 20, f"stories260K, {mode}: {same}/{len(want)} greedy ids")


def check_smollm2(exe, model, mode, cases):
    began = time.time()
    agree = all_tokens = wrong = 0
    missed = []
    for case in cases:
        ids = case["prompt_ids"] + case["ids"]
        rows = rows_of(exe, model, ids, "--gpu", INGLE_GPU=mode)[len(case["prompt_ids"]) - 1:]
        for row, want, gap in zip(rows, case["ids"], case["gaps"]):
            hit = best(row) == want
            all_tokens += 1
            agree += hit
            wrong += not hit and gap >= CLEAR
            missed += [] if hit else [gap]
    gaps = f"; widest gap missed {max(missed):.2f}" if missed else ""
    report(agree >= AGREE * all_tokens and wrong == 0 and all_tokens > 0,
           f"SmolLM2, {mode}: {agree}/{all_tokens} choose the answer's token (97 % needed), {wrong} wrong where the choice "
           f"is clear{gaps} ({time.time() - began:.0f} s)")


def check_mode(exe, mode, model, cases):
    backend = backend_of(exe, mode)
    wanted = "gpu/" + mode.replace(",", "+") + " "
    if not backend.startswith(wanted):
        return skip(f"{mode}: this device runs {backend}")
    check_stories(exe, mode)
    if cases:
        check_smollm2(exe, model, mode, cases)
    return None


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--ingle", default=os.path.join(TOP, "ingle"))
    p.add_argument("--modes", nargs="+", default=MODES, metavar="MODE")
    p.add_argument("--cases", nargs="*", metavar="NAME", help="default: all")
    args = p.parse_args()
    exe = os.path.abspath(args.ingle)
    if not os.environ.get("INGLE_DAWN") and os.path.exists(DAWN):
        os.environ["INGLE_DAWN"] = DAWN
    with tempfile.TemporaryDirectory() as runtime:
        os.environ.setdefault("XDG_RUNTIME_DIR", runtime)  # Mesa wants one
        try:
            print(backend_of(exe, MODES[0]), flush=True)
        except Failed as e:
            skip(f"whole models on a GPU: {e}")
        else:
            run(exe, args)
    print("tools/agree_gpu.py: " + ", ".join(f"{n} {what}" for what, n in total.items()))
    return total["failed"] > 0


def run(exe, args):
    model = get_model.find() if args.cases != [] else None
    cases = cases_of(exe, model, args.cases) if model else []
    if args.cases != [] and not cases:
        skip("SmolLM2: " + ("no such answers" if model else "it was not fetched (tools/get_model.py)"))
    for mode in args.modes:
        try:
            check_mode(exe, mode, model, cases)
        except Failed as e:
            report(False, f"{mode}: {e}")


if __name__ == "__main__":
    sys.exit(main())
