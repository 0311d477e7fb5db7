#!/usr/bin/env python3
"""What `ingle info` foretells of memory, beside what the system reports. Linux, standard library only.

    python3 tools/measure_memory.py [--ingle ./ingle] [-m MODEL] [-c 512]

Fills the context with one answer, watching the process, and compares its peak with the forecast.
Exit status 1 if they differ by more than 10 %, or if more than 32 MB lie outside weights, KV cache
and scratch.
"""
import argparse, json, subprocess, sys, time


def status(pid, key):
    try:
        for line in open(f"/proc/{pid}/status"):
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--ingle", default="./ingle")
    p.add_argument("-m", "--model", default="smollm2-135m")
    p.add_argument("-c", "--context", type=int, default=512)
    args = p.parse_args()
    model = ["-m", args.model, "-c", str(args.context)]
    info = json.loads(subprocess.run([args.ingle, "info", *model, "--json"], check=True, capture_output=True).stdout)
    told = info["memory"]
    run = subprocess.Popen([args.ingle, "run", *model, "--raw", "-p", "Once upon a time", "--temp", "1", "-s", "1", "--quiet",
                            "--logit-bias", f"{info['eos']}-1000", "-n", str(args.context)],
                           stdout=subprocess.DEVNULL)
    peak = 0
    while run.poll() is None:
        peak = max(peak, status(run.pid, "VmHWM"))
        time.sleep(0.01)
    parts = {k: told[k] for k in ("weights", "kv", "scratch", "tables")}
    total = sum(parts.values())
    rest = peak - parts["weights"] - parts["kv"] - parts["scratch"]
    print("foretold  " + "  ".join(f"{k} {v / 1e6:.1f} MB" for k, v in parts.items()) + f"  in all {total / 1e6:.1f} MB")
    print(f"reported  peak {peak / 1e6:.1f} MB resident ({(peak / total - 1) * 100:+.1f} %); "
          f"{rest / 1e6:.1f} MB beyond weights, KV cache and scratch")
    ok = run.returncode == 0 and abs(peak / total - 1) <= 0.10 and rest <= 32e6
    print("memory: 1 passed, 0 failed" if ok else "memory: 0 passed, 1 failed")
    sys.exit(not ok)


if __name__ == "__main__":
    main()
