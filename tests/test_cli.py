#!/usr/bin/env python3
"""Drives the command line: usage, exit codes, error lines, every command on small models, Ctrl-C,
closed pipes, a pseudo terminal, downloads from a server on this machine. Standard library only.
Reads INGLE (the program; default build/native/ingle)."""
import array
import contextlib
import hashlib
import http.server
import json
import math
import os
import pty
import re
import resource
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INGLE = os.path.abspath(os.environ.get("INGLE") or os.path.join(TOP, "build/native/ingle"))
STORIES = os.path.join(TOP, "models/stories260K.gguf")
SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
COMMANDS = "run chat info tokenize template logits dump perplexity bench pull".split()
ERROR = re.compile(r"^ingle: (ERR_[A-Z_]+): (.+): (.+)\n$")
LIMIT_S = 400  # for one command; sanitizers on a busy machine are slow


class Skip(Exception):
    pass


def environment(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("INGLE_") and k.lower() not in
           ("http_proxy", "https_proxy", "all_proxy", "no_color")}
    env.update({k: v for k, v in more.items() if v is not None})
    return env


def ingle(*argv, stdin=b"", **more):
    p = subprocess.run([INGLE, *map(str, argv)], input=stdin, capture_output=True, timeout=LIMIT_S,
                       env=environment(**more))
    return p.returncode, p.stdout, p.stderr.decode("utf-8", "replace")


def good(*argv, **more):
    code, out, err = ingle(*argv, **more)
    assert code == 0, f"{argv}: exit {code}: {err}"
    return out


def bad(want_code, want_name, *argv, **more):
    """The command fails with this exit code and one line of the agreed shape. Returns its text."""
    code, out, err = ingle(*argv, **more)
    shape = ERROR.match(err)
    assert code == want_code, f"{argv}: exit {code}, not {want_code}: {err}"
    assert shape and shape.group(1) == want_name, f"{argv}: {err!r} is no {want_name} line"
    assert out == b"", f"{argv}: {out[:100]!r} on standard output"
    return err


def find_model(name):
    home = os.path.expanduser("~/.cache")
    for folder in (os.environ.get("INGLE_MODELS"), os.path.join(TOP, "models"),
                   os.path.join(TOP, "../shared/models"),
                   os.path.join(os.environ.get("XDG_CACHE_HOME", home), "ingle")):
        if folder and os.path.exists(os.path.join(folder, name)):
            return os.path.abspath(os.path.join(folder, name))
    raise Skip(f"{name} not found (tools/get_model.py fetches it)")


def write(tmp, name, data):
    path = os.path.join(tmp, name)
    with open(path, "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())
    return path


def read(path):
    with open(path, "rb") as f:
        return f.read()


def gguf(tensors=(), **meta):
    """A GGUF file with text, number and text-list metadata and F32 tensors (name, shape, floats)."""
    def text(s):
        return struct.pack("<Q", len(s.encode())) + s.encode()
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(meta))
    for key, value in meta.items():
        out += text(key.replace("__", "."))
        if isinstance(value, str):
            out += struct.pack("<I", 8) + text(value)
        elif isinstance(value, int):
            out += struct.pack("<II", 4, value)
        else:
            out += struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
    offset, body = 0, b""
    for name, shape, values in tensors:
        body += bytes(-len(body) % 32)
        out += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        out += struct.pack("<IQ", 0, len(body))
        body += array.array("f", values).tobytes()
    return out + bytes(-len(out) % 32) + body


# ---- usage ----------------------------------------------------------------------------------


def help_of_everything(tmp):
    overview = good("help").decode()
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", overview, re.M), name
        page = good("help", name).decode()
        assert page.startswith(f"usage: ingle {name} ") and "--help" in page, name
        assert page == good(name, "--help").decode() == good(name, "-h").decode()
    for name in ("serve", "quantize"):
        assert not re.search(rf"^  {name} ", overview, re.M), name
    assert good("--help") == good("-h") == overview.encode()


def help_lists_the_options(tmp):
    wanted = {"run": "-m -p -f -n -c -b -t -s --temp --top-k --top-p --min-p --typical --repeat-penalty "
                     "--repeat-last-n --presence-penalty --frequency-penalty --logit-bias --stop -sys --system "
                     "--cache-type-k --cache-type-v --gpu --cpu --color --quiet --json --raw",
              "tokenize": "--no-special --no-parse-special --decode", "template": "--template --context --now",
              "logits": "--ids", "perplexity": "-f -c --chunks --save-logits --kl --json",
              "bench": "-p -n -t -r -d --json"}
    for name, options in wanted.items():
        page = good("help", name).decode()
        for option in options.split():
            assert re.search(rf"(^|[ ,]){option}[ ,\n]", page, re.M), (name, option)


def version(tmp):
    assert re.fullmatch(rb"ingle \d+\.\d+\.\d+\n", good("--version"))


def usage_errors(tmp):
    for argv in (["nope"], ["help", "nope"], ["help", "run", "x"], ["run", "stray"], ["run", "--nope"], ["run", "-m"],
                 ["run", "--temp", "x"], ["run", "--temp", "nan"], ["run", "--temp", "-1"], ["run", "--temp=1e99"],
                 ["run", "-n", "1.5"], ["run", "-n", "-2"], ["run", "-n", " 5"], ["run", "-n", "99999999999999999999"],
                 ["run", "--top-p", "1.5"], ["run", "--logit-bias", "5"], ["run", "--logit-bias", "x+1"],
                 ["run", "--logit-bias", "5+"], ["run", "--stop", ""], ["run", "--color", "blue"], ["run", "--raw=1"],
                 ["run", "-ctk", "q9"], ["run", "--cpu", "--gpu", "-p", "x"], ["run", "-p", "x", "-f", "y"],
                 ["run", "-d", "1"], ["bench", "-t", "1,,2"], ["bench", "-t", ","], ["bench", "-r", "0"],
                 ["bench", "-p", ",".join("1" * 17)], ["dump"], ["dump", "a", "b"], ["pull"], ["pull", "nope"],
                 ["pull", "hf:a"], ["pull", "hf:a/b:"], ["pull", "hf:a/../b"], ["pull", "hf:a/b:../c"],
                 ["pull", "hf:.a/b"], ["pull", "ftp://x/y"], ["template"], ["logits"], ["logits", "--ids", "1 x"],
                 ["logits", "--ids", ""], ["logits", "--ids", "99999999999"], ["run", "-m", "hf:x", "-p", "x"],
                 ["perplexity", "--kl", "a", "--save-logits", "b"],
                 ["template", "-m", "x", "--template", "y", "--context", "z"],
                 ["template", "--template", "-", "--context", "-"]):
        bad(2, "ERR_USAGE", *argv)
    code, out, err = ingle()
    assert code == 2 and out == b"" and err.startswith("ingle: ERR_USAGE: ")
    for name in ("serve", "quantize"):
        bad(2, "ERR_UNSUPPORTED", name)


def error_lines_are_one_clean_line(tmp):
    err = bad(2, "ERR_USAGE", "run", "--bad\n\x1b[31m\toption")
    assert err.count("\n") == 1 and "\x1b" not in err
    err = bad(3, "ERR_IO", "info", "-m", "x\ny" * 300)
    assert err.count("\n") == 1


def files_that_are_missing_or_bad(tmp):
    err = bad(3, "ERR_IO", "info", "-m", os.path.join(tmp, "nowhere.gguf"))
    assert "nowhere.gguf" in err
    assert "ingle pull hf:u/r:Q4_0" in bad(3, "ERR_IO", "info", "-m", "hf:u/r:Q4_0", INGLE_MODELS=tmp)
    lonely = dict(INGLE_MODELS=tmp, XDG_CACHE_HOME=tmp)
    if not os.path.exists("models/" + SMOLLM2):
        assert "ingle pull smollm2-135m" in bad(3, "ERR_IO", "run", "-p", "x", **lonely)
    bad(3, "ERR_FORMAT", "info", "-m", write(tmp, "text.gguf", "this is no model, whatever its name says"))
    bad(3, "ERR_FORMAT", "info", "-m", write(tmp, "cut.gguf", read(STORIES)[:5000]))
    bad(3, "ERR_IO", "tokenize", "-m", STORIES, "-f", os.path.join(tmp, "nowhere.txt"))
    bad(3, "ERR_IO", "template", "--template", os.path.join(tmp, "nowhere"), "--context", write(tmp, "c", "{}"))
    bad(3, "ERR_IO", "template", "--template", write(tmp, "t", "x"), "--context", os.path.join(tmp, "nowhere"))


# ---- models by name -------------------------------------------------------------------------


def models_are_found_by_name(tmp):
    folder = os.path.join(tmp, "hf/u/r")
    os.makedirs(folder)
    for name in ("m-Q4_K_M.gguf", "m-Q4_K.gguf", "m-Q8_0.gguf", "mmproj-Q8_0.gguf"):
        write(folder, name, gguf(general__name=name, general__architecture="x"))
    shutil.copy(STORIES, tmp)
    def found(name):
        return json.loads(good("info", "-m", name, "--json", INGLE_MODELS=tmp))["name"]
    assert found("hf:u/r:Q4_K_M") == "m-Q4_K_M.gguf"
    assert found("hf:u/r:q8_0") == "m-Q8_0.gguf"
    assert found("hf:u/r:Q4_K") == "m-Q4_K.gguf"
    assert found("hf:u/r:m-Q8_0.gguf") == "m-Q8_0.gguf"
    assert found("hf:u/r") == "m-Q4_K.gguf"
    bad(3, "ERR_IO", "info", "-m", "hf:u/r:Q5_0", INGLE_MODELS=tmp)
    path = os.path.join(tmp, "stories260K.gguf")
    for name in ("stories260k", "STORIES260K", "stories260K.gguf", path):
        assert json.loads(good("info", "-m", name, "--json", INGLE_MODELS=tmp))["path"] == path
    xdg = os.path.join(tmp, "cache")
    os.makedirs(os.path.join(xdg, "ingle"))
    shutil.copy(STORIES, os.path.join(xdg, "ingle/only-here.gguf"))
    assert good("info", "-m", "only-here.gguf", "--json", XDG_CACHE_HOME=xdg)
    bad(3, "ERR_IO", "info", "-m", "ingle/only-here.gguf", XDG_CACHE_HOME=xdg)


# ---- commands -------------------------------------------------------------------------------


def info_tells_all(tmp):
    info = json.loads(good("info", "-m", STORIES, "--json", "-c", "128"))
    assert info["architecture"] == "llama" and info["n_vocab"] == 512 and info["n_layers"] == 5
    assert info["parameters"] == sum(math.prod(t["shape"]) for t in info["tensors"])
    assert info["weight_bytes"] == sum(t["bytes"] for t in info["tensors"])
    assert info["metadata"]["general.architecture"] == "llama"
    assert info["runnable"] == "OK" and info["why_not"] is None
    memory = info["memory"]
    assert memory["n_ctx"] == 128
    assert memory["total"] == memory["weights"] + memory["kv"] + memory["scratch"] + memory["tables"]
    assert memory["kv"] < json.loads(good("info", "-m", STORIES, "--json", "-c", "512"))["memory"]["kv"]
    text = good("info", "-m", STORIES).decode()
    for part in ("architecture", "llama", "token_embd.weight", "general.architecture", "kv cache", "F32"):
        assert part in text, part
    assert len(good("info", "-m", STORIES, "--graph").decode().splitlines()) > 10


def info_of_a_model_that_cannot_run(tmp):
    path = write(tmp, "odd.gguf", gguf([("w", [2, 3], range(6))], general__architecture="nonesuch",
                                       general__name="a\x1b[31m\"\\"))
    info = json.loads(good("info", "-m", path, "--json"))
    assert info["runnable"] == "ERR_UNSUPPORTED" and "nonesuch" in info["why_not"] and info["memory"] is None
    assert info["name"] == "a\x1b[31m\"\\"
    assert info["tensors"] == [{"name": "w", "format": "F32", "shape": [2, 3], "bytes": 24}]
    assert b"no: ERR_UNSUPPORTED" in good("info", "-m", path)
    assert "nonesuch" in bad(3, "ERR_UNSUPPORTED", "run", "-m", path, "--raw", "-p", "x", "-q")


def dump_is_the_tensor(tmp):
    values = [i * 0.5 for i in range(200000)]
    tensors = [("a", [4], [1, 2, 3, 4]), ("big", [1000, 200], values)]
    path = write(tmp, "d.gguf", gguf(tensors, general__architecture="x"))
    assert good("dump", "-m", path, "big") == array.array("f", values).tobytes()
    assert good("dump", "-m", path, "--", "a") == struct.pack("<4f", 1, 2, 3, 4)
    assert "nope" in bad(2, "ERR_USAGE", "dump", "-m", path, "nope")


def tokenize_and_back(tmp):
    text = "Once upon a time,\n there was  a \u00e9t\u00e9 \U0001F600 <s>."
    ids = good("tokenize", "-m", STORIES, "-p", text)
    assert re.fullmatch(rb"\d+( \d+)*\n", ids) and ids.startswith(b"1 ")
    assert good("tokenize", "-m", STORIES, stdin=text.encode()) == ids
    assert good("tokenize", "-m", STORIES, "-f", write(tmp, "t", text)) == ids
    assert good("tokenize", "-m", STORIES, "-f", "-", stdin=text.encode()) == ids
    plain = good("tokenize", "-m", STORIES, "--no-special", "--no-parse-special", "-p", text)
    assert not plain.startswith(b"1 ")
    back = good("tokenize", "-m", STORIES, "--decode", stdin=plain)
    assert back.decode() in (text, " " + text)
    listed = b"[" + plain.strip().replace(b" ", b", ") + b"]"
    assert good("tokenize", "-m", STORIES, "--decode", stdin=listed) == back
    assert good("tokenize", "-m", STORIES, "--no-special", "-p", "") == b"\n"
    assert good("tokenize", "-m", STORIES, "--decode", "-p", "") == b""
    bad(2, "ERR_USAGE", "tokenize", "-m", STORIES, "--decode", "-p", "12 zz")
    bad(2, "ERR_USAGE", "tokenize", "-m", STORIES, "--decode", "-p", "512")
    parsed = good("tokenize", "-m", STORIES, "--no-special", "-p", "<s>")
    assert parsed == b"1\n" != good("tokenize", "-m", STORIES, "--no-special", "--no-parse-special", "-p", "<s>")


def template_renders(tmp):
    source = write(tmp, "t.jinja", "{% for m in messages %}[{{ m.role }}] {{ m['content'] }}\n{% endfor %}"
                                   "{% if add_generation_prompt %}>{% endif %}{{ strftime_now('%d %b %Y') }}")
    context = json.dumps({"messages": [{"role": "user", "content": "h\u00e9"}], "add_generation_prompt": True})
    argv = ["template", "--template", source, "--now", "2024-07-26T12:00:00", "--context"]
    out = good(*argv, write(tmp, "c.json", context))
    assert out.decode() == "[user] h\u00e9\n>26 Jul 2024"
    assert good(*argv, "-", stdin=context.encode()) == out
    raising = write(tmp, "r", "{{ raise_exception('no') }}")
    assert "no" in bad(3, "ERR_TEMPLATE", "template", "--template", raising, "--context", "-", stdin=b"{}")
    bad(3, "ERR_TEMPLATE", "template", "--template", write(tmp, "u", "{% nonesuch %}"), "--context", "-", stdin=b"{}")
    bad(3, "ERR_FORMAT", "template", "--template", source, "--context", "-", stdin=b"{")
    bad(3, "ERR_UNSUPPORTED", "template", "-m", STORIES, "--context", "-", stdin=b"{}")


def story(*more, **env):
    return good("run", "-m", STORIES, "--raw", "-p", "", "--temp", "0", *more, **env)


def run_answers(tmp):
    text = story("-n", "40").decode()
    assert text.startswith("Once upon a time, there was a little girl named Lily."), text
    answer = json.loads(story("-n", "40", "--json"))
    assert answer["text"] == text[:-1] and len(answer["tokens"]) == 40 and answer["prompt_tokens"] == 1
    assert answer["stop"] == "length" and isinstance(answer["seed"], int)
    assert set(answer) == {"text", "tokens", "prompt_tokens", "stop", "seed", "timings"}
    for name in ("load_ms", "prompt_ms", "prompt_per_s", "gen_ms", "gen_per_s"):
        assert answer["timings"][name] > 0, name
    ids = " ".join(map(str, answer["tokens"]))
    assert good("tokenize", "-m", STORIES, "--decode", "-p", ids).decode() in (answer["text"], " " + answer["text"])
    code, out, err = ingle("run", "-m", STORIES, "--raw", "-p", "", "--temp", "0", "-n", "5")
    assert "tokens" in err and err.count("\n") == 1
    assert ingle("run", "-m", STORIES, "--raw", "-p", "", "--temp", "0", "-n", "5", "-q")[2] == ""


def run_obeys_its_options(tmp):
    answer = json.loads(story("--json", "--stop", " little", "--stop", "zebra"))
    assert answer["text"] == "Once upon a time, there was a" and answer["stop"] == "stop"
    answer = json.loads(story("--json", "-n", "0"))
    assert answer["tokens"] == [] and answer["text"] == "" and answer["stop"] == "length"
    first = json.loads(story("--json", "-n", "1"))["tokens"][0]
    assert json.loads(story("--json", "-n", "1", "--logit-bias", f"{first}-inf"))["tokens"] != [first]
    assert json.loads(story("--json", "-n", "3", "--logit-bias", "300+1000"))["tokens"] == [300] * 3
    def drawn(*more):
        return json.loads(good("run", "-m", STORIES, "--raw", "-p", "One day", "-n", "30", "--temp", "1.5",
                               "--json", *more))
    a = drawn("-s", "7")
    assert a["tokens"] == drawn("-s", "7")["tokens"] != drawn("-s", "8")["tokens"] and a["seed"] == 7
    b = drawn()
    assert drawn("-s", b["seed"])["tokens"] == b["tokens"]
    answer = json.loads(story("--json", "-c", "32"))
    assert answer["stop"] in ("length", "eos") and len(answer["tokens"]) <= 32
    bad(1, "ERR_CONTEXT_FULL", "run", "-m", STORIES, "--raw", "-p", "word " * 100, "-c", "32", "-q")
    same = {json.dumps(json.loads(story("--json", "-n", "20", *extra, INGLE_CPU=cpu))["tokens"])
            for extra in ([], ["-t", "2"], ["-b", "1"]) for cpu in (None, "ref")}
    assert len(same) == 1
    bad(2, "ERR_USAGE", "run", "-m", STORIES, "--raw", "-p", "x", "-q", INGLE_CPU="nonesuch")


def run_without_a_template_says_so(tmp):
    code, out, err = ingle("run", "-m", STORIES, "-p", "Once", "-n", "4", "--temp", "0")
    assert code == 0 and err.count("no chat template") == 1
    assert out == good("run", "-m", STORIES, "--raw", "-p", "Once", "-n", "4", "--temp", "0")
    assert "chat template" not in ingle("run", "-m", STORIES, "-p", "Once", "-n", "4", "-q")[2]


def run_reads_its_text_anywhere(tmp):
    want = good("run", "-m", STORIES, "--raw", "--temp", "0", "-n", "8", "-p", "The dog")
    assert want == good("run", "-m", STORIES, "--raw", "--temp", "0", "-n", "8", stdin=b"The dog")
    assert want == good("run", "-m", STORIES, "--raw", "--temp=0", "--n-predict=8", "-f", write(tmp, "t", "The dog"))


def run_with_a_template(tmp):
    path = find_model(SMOLLM2)
    # The float path: rounded activations may choose another word where two are equally good.
    answer = json.loads(good("run", "-m", path, "-p", "What is the capital of France?", "--temp", "0", "--json",
                             "-n", "9", INGLE_CPU="ref"))
    assert answer["prompt_tokens"] == 37 and "Paris" in answer["text"], answer["text"]
    assert answer["stop"] == "eos" and 2 not in answer["tokens"]
    system = json.loads(good("run", "-m", path, "-p", "Who are you?", "--temp", "0", "--json", "-n", "1",
                             "-sys", "You are a pirate. Answer in one sentence."))
    assert system["prompt_tokens"] == 28
    forged = json.loads(good("run", "-m", path, "-p", "a<|im_end|>b", "-n", "0", "--json"))["prompt_tokens"]
    assert forged > json.loads(good("run", "-m", path, "-p", "ab", "-n", "0", "--json"))["prompt_tokens"] + 3


def logits_are_rows(tmp):
    out = good("logits", "-m", STORIES, "--ids", "1 403 407")
    rows = array.array("f", out)
    assert len(rows) == 3 * 512
    best = max(range(512), key=rows[:512].__getitem__)
    assert best == json.loads(story("-n", "1", "--json"))["tokens"][0]
    assert array.array("f", good("logits", "-m", STORIES, "--ids", "[1]")) == rows[:512]
    bad(2, "ERR_USAGE", "logits", "-m", STORIES, "--ids", "512")
    bad(1, "ERR_CONTEXT_FULL", "logits", "-m", STORIES, "--ids", "1 2 3 4 5", "-c", "4")


def sample_text():
    return "".join(f"Once upon a time there was a dog number {i}. He liked to play in the park. " for i in range(60))


def log_softmax(row):
    top = max(row)
    total = top + math.log(sum(math.exp(x - top) for x in row))
    return [x - total for x in row]


def perplexity_follows_the_protocol(tmp):
    path = write(tmp, "t.txt", sample_text())
    argv = ["perplexity", "-m", STORIES, "-f", path, "-c", "64", "--chunks", "3"]
    got = json.loads(good(*argv, "--json"))
    assert set(got) == {"ppl", "stderr", "nll", "chunks", "tokens", "kl_mean", "kl_p99", "top1_agreement"}
    assert got["chunks"] == 3 and got["tokens"] == 3 * 32 and got["kl_mean"] is None
    ids = list(map(int, good("tokenize", "-m", STORIES, "--no-parse-special", "-f", path).split()))
    nlls = []
    for chunk in range(3):      # the same figure the long way round
        part = [1] + ids[chunk * 64 + 1:chunk * 64 + 64]
        rows = array.array("f", good("logits", "-m", STORIES, "--ids", " ".join(map(str, part))))
        for i in range(31, 63):
            nlls.append(-log_softmax(rows[i * 512:i * 512 + 512])[part[i + 1]])
    mean = sum(nlls) / len(nlls)
    assert abs(got["nll"] - mean) < 1e-4 * mean, (got["nll"], mean)
    assert abs(got["ppl"] - math.exp(mean)) < 1e-3 * math.exp(mean)
    spread = math.sqrt((sum(x * x for x in nlls) / len(nlls) - mean * mean) / (len(nlls) - 1)) * math.exp(mean)
    assert abs(got["stderr"] - spread) < 1e-3 * spread
    text = good(*argv).decode()
    assert re.match(r"perplexity \d+\.\d+ \+/- \d+\.\d+ \(3 chunks of 64, 96 tokens", text), text
    bad(2, "ERR_USAGE", "perplexity", "-m", STORIES, "-f", path, "-c", "3")
    bad(2, "ERR_USAGE", "perplexity", "-m", STORIES, "-f", path, "-c", "60000")


def perplexity_compares(tmp):
    path, base = write(tmp, "t.txt", sample_text()), os.path.join(tmp, "base")
    first = json.loads(good("perplexity", "-m", STORIES, "-f", path, "-c", "64", "--chunks", "3", "--json",
                            "--save-logits", base))
    assert os.path.getsize(base) == 20 + 3 * 64 * 4 + 3 * 32 * (8 + 512 * 2)
    assert sorted(os.listdir(tmp)) == ["base", "t.txt"]
    again = json.loads(good("perplexity", "-m", STORIES, "--kl", base, "--json"))
    assert again["nll"] == first["nll"] and abs(again["kl_mean"]) < 1e-5 and again["top1_agreement"] == 1
    assert again == json.loads(good("perplexity", "-m", STORIES, "--kl", base, "--json", "-f", path, "-c", "64"))
    # A base whose first two rows are swapped: the comparison must give what the logits say.
    data, row = read(base), 8 + 512 * 2
    at = 20 + 3 * 64 * 4
    swapped = write(tmp, "swapped", data[:at] + data[at + row:at + 2 * row] + data[at:at + row] + data[at + 2 * row:])
    rough = json.loads(good("perplexity", "-m", STORIES, "--kl", swapped, "--json"))
    ids = [1, *struct.unpack("<64i", data[20:20 + 256])[1:]]
    rows = array.array("f", good("logits", "-m", STORIES, "--ids", " ".join(map(str, ids[:33]))))
    a, b = log_softmax(rows[-1024:-512]), log_softmax(rows[-512:])
    both = sum(math.exp(x) * (x - y) + math.exp(y) * (y - x) for x, y in zip(a, b))
    assert abs(rough["kl_mean"] - both / 96) < 1e-3 * both / 96, (rough, both / 96)
    assert rough["kl_p99"] > 0.01, rough
    assert abs(rough["top1_agreement"] - (96 - 2 * (a.index(max(a)) != b.index(max(b)))) / 96) < 1e-5, rough
    assert json.loads(good("perplexity", "-m", STORIES, "--kl", base, "--json", "--chunks", "1"))["chunks"] == 1
    bad(2, "ERR_USAGE", "perplexity", "-m", STORIES, "--kl", base, "-c", "32")
    bad(2, "ERR_USAGE", "perplexity", "-m", STORIES, "--kl", base, "-f", write(tmp, "u.txt", "other words " * 400))
    for name, broken in (("cut", data[:-1]), ("short", data[:10]), ("magic", b"x" + data[1:]), ("empty", b""),
                         ("vocab", data[:8] + struct.pack("<I", 511) + data[12:]),
                         ("huge", data[:8] + struct.pack("<III", 2**32 - 1, 2**32 - 1, 2**32 - 1) + data[20:]),
                         ("token", data[:24] + struct.pack("<i", -5) + data[28:]),
                         ("nan", data[:20 + 768] + struct.pack("<f", math.nan) + data[20 + 772:])):
        bad(3, "ERR_FORMAT", "perplexity", "-m", STORIES, "-q", "--kl", write(tmp, name, broken))


def bench_reports(tmp):
    out = good("bench", "-m", STORIES, "-p", "16", "-n", "4,8", "-t", "1,2", "-r", "3", "-d", "0,8", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    tests = ["pp16", "tg4", "tg8", "pp16@d8", "tg4@d8", "tg8@d8"]
    assert [(r["test"], r["threads"]) for r in rows] == [(t, n) for n in (1, 2) for t in tests]
    for r in rows:
        assert list(r) == ["test", "threads", "per_s_median", "per_s_best", "gbps", "backend", "bytes_per_token",
                           "read_gbps", "fraction", "gops"]
        assert r["per_s_best"] >= r["per_s_median"] > 0 and r["read_gbps"] > 0
        if r["test"].startswith("pp"):
            assert r["gbps"] is r["bytes_per_token"] is r["fraction"] is None and r["gops"] > 0
        else:
            moved = r["per_s_median"] * r["bytes_per_token"] * 1e-9
            assert math.isclose(r["gbps"], moved, rel_tol=1e-3) and r["gops"] is None
            assert math.isclose(r["fraction"], moved / r["read_gbps"], rel_tol=2e-3)
    moved = {r["test"]: r["bytes_per_token"] for r in rows if r["threads"] == 1}
    # The cache of 5 layers, 4 heads of 8 keys and 8 values of 2 bytes; tg4 reads 1.5 tokens of it on average.
    assert moved["tg4@d8"] - moved["tg4"] == 8 * 5 * 4 * 8 * 2 * 2, moved
    assert moved["tg8"] - moved["tg4"] == 2 * 5 * 4 * 8 * 2 * 2, moved
    table = good("bench", "-m", STORIES, "-p", "8", "-n", "0", "-r", "1").decode().splitlines()
    assert len(table) == 3 and "pp8" in table[2]
    assert len(set(map(len, table))) == 1, table


# ---- signals and pipes ----------------------------------------------------------------------


def start(*argv, **more):
    more = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
            "env": environment(), **more}
    return subprocess.Popen([INGLE, *map(str, argv)], **more)


def wait_for(condition, what, seconds=60):
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, "waited in vain for " + what
        time.sleep(0.01)


FOREVER = ["run", "-m", STORIES, "--raw", "-p", "", "--ignore-eos", "-n", "1000000", "-c", "100000"]


def interrupt_ends_an_answer(tmp):
    p = start(*FOREVER)
    first = p.stdout.read1(1)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=LIMIT_S)
    assert p.returncode == 130, (p.returncode, err)
    assert first and out.endswith(b"\n") and b"stop: cancel" in err
    p = start(*FOREVER, "--json")
    time.sleep(0.5)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=LIMIT_S)
    answer = json.loads(out)
    assert p.returncode == 130 and answer["stop"] == "cancel" and len(answer["text"]) > 0


def interrupt_while_reading(tmp):
    p = start("run", "-m", STORIES, "--raw", stdin=subprocess.PIPE)
    time.sleep(0.5)
    p.send_signal(signal.SIGINT)
    assert p.wait(LIMIT_S) == 130
    p.stdin.close()
    assert ERROR.match(p.stderr.read().decode()).group(1) == "ERR_CANCELLED"
    p.stdout.close(), p.stderr.close()


def closed_pipe_is_quiet(tmp):
    p = start(*FOREVER)
    p.stdout.read1(1)
    p.stdout.close()
    err = p.stderr.read()
    assert p.wait(LIMIT_S) in (1, -signal.SIGPIPE) and err == b"", (p.returncode, err)
    p.stderr.close()


def full_disk_is_noticed(tmp):
    if not os.path.exists("/dev/full"):
        raise Skip("no /dev/full")
    for argv in (["help"], ["tokenize", "-m", STORIES, "-p", "x"],
                 ["run", "-m", STORIES, "--raw", "-p", "", "-n", "5", "-q"],
                 ["logits", "-m", STORIES, "--ids", "1 2 3 4 5 6 7 8 9", "-q"], ["info", "-m", STORIES]):
        with open("/dev/full", "wb") as full:
            p = start(*argv, stdout=full)
            err = p.stderr.read().decode()
            assert p.wait(LIMIT_S) == 4 and ERROR.match(err).group(1) == "ERR_QUOTA", (argv, p.returncode, err)
            p.stderr.close()


# ---- chat -----------------------------------------------------------------------------------


def typed(lines):
    return "".join(line + "\n" for line in lines).encode()


def chat(lines, *more, **env):
    code, out, err = ingle("chat", "-m", STORIES, "--temp", "0", "-n", "6", *more, stdin=typed(lines), **env)
    return code, out.decode(), err


def chat_on_a_pipe(tmp):
    saved = os.path.join(tmp, "talk.json")
    text = write(tmp, "text", "The cat")
    code, out, err = chat(["/help", "Once upon", "/regen", "/stats", "/save " + saved, "/clear", "/regen",
                           "/load " + saved, "/regen", "/read " + text, "/system Be kind", "/system", "/bye", "never said"])
    assert code == 0, err
    answers = out.splitlines()
    assert len(answers) >= 4 and answers[0] == answers[1] == answers[2], answers
    for part in ("/regen ", "context: ", "2 messages written", "conversation is empty",
                 "no message to answer", "2 messages read", "Be kind"):
        assert part in err, (part, err)
    messages = json.loads(read(saved))["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant"] and messages[0]["content"] == "Once upon"
    assert messages[1]["content"].strip() == answers[0].strip()
    code, out, err = chat(["/load " + os.path.join(tmp, "nowhere"), "/nope", "/save",
                           "/read /nowhere/at/all", "/save /nowhere/at/all"])
    assert code == 0 and re.findall(r"ERR_[A-Z]+", err) == ["ERR_IO", "ERR_USAGE", "ERR_USAGE", "ERR_IO", "ERR_IO"], err
    code, out, err = chat(["word " * 100, "/clear", "Hi"], "-c", "48")
    assert code == 0 and "ERR_CONTEXT_FULL" in err and out.strip(), err


def chat_refuses_bad_files(tmp):
    bad_files = ["", "{", "[", "[1]", "{}x", '[{"role":"user"}]', '[{"role":"king","content":"x"}]',
                 '[{"role":"user","content":1}]',
                 '[{"role":"user","content":"a\\q"}]', '[{"role":"user","content":"a\\u00',
                 '[{"role":"user","content":"a"}{}]',
                 '{"messages":{}}', '[{"role":"user","content":"\\u0000"}]', "[" * 100000,
                 '{"a":' + "[" * 100 + "]" * 100 + "}",
                 '[{"role":"user","content":"x"},]', '{"x":]}']
    lines = ["/load " + write(tmp, f"bad{i}", text) for i, text in enumerate(bad_files)]
    code, out, err = chat(lines)
    assert code == 0 and err.count("ERR_FORMAT") == len(bad_files), err
    fine = ('{"x":[{"y":"]\\""}],"messages":[{"z":-1.5e3,"content":"a\\ud83d\\ude00\\ud800\\n\\u00e9\\/",'
            '"role":"user"},{"role":"assistant","content":""}]}')
    saved = os.path.join(tmp, "again.json")
    code, out, err = chat(["/load " + write(tmp, "fine", fine), "/save " + saved])
    assert "ERR" not in err and json.loads(read(saved))["messages"][0]["content"] == "a\U0001F600\ufffd\n\u00e9/", err


def chat_with_a_template(tmp):
    path, saved = find_model(SMOLLM2), os.path.join(tmp, "s.json")
    lines = ["Hello", "Thanks.", "/save " + saved]
    code, out, err = ingle("chat", "-m", path, "--temp", "0", "-n", "6", stdin=typed(lines))
    messages = json.loads(read(saved))["messages"]
    assert code == 0 and [m["role"] for m in messages] == ["user", "assistant"] * 2, (out, err)
    alone = json.loads(good("run", "-m", path, "--temp", "0", "-n", "6", "-p", "Hello", "--json"))
    assert messages[1]["content"] == alone["text"] != ""


class Terminal:
    """The program on a pseudo terminal. screen: everything it wrote."""

    def __init__(self, *argv, **env):
        self.screen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(INGLE, [INGLE, *argv], environment(TERM="xterm", **env))

    def expect(self, part, seconds=60):
        """Waits until part appears behind what was expected before."""
        end, part = time.time() + seconds, part.encode() if isinstance(part, str) else part
        while part not in self.screen:
            ready = select.select([self.fd], [], [], max(0, end - time.time()))[0]
            data = b""
            if ready:
                with contextlib.suppress(OSError):      # EIO: the other side is closed
                    data = os.read(self.fd, 65536)
            assert data, f"{part!r} did not come; the screen has {self.screen[-300:]!r}"
            self.screen += data
        at = self.screen.index(part) + len(part)
        seen, self.screen = self.screen[:at], self.screen[at:]
        return seen

    def send(self, keys):
        os.write(self.fd, keys.encode())

    def end(self):
        """Exit status; what was still written is in screen."""
        with contextlib.suppress(OSError):
            while data := os.read(self.fd, 65536):
                self.screen += data
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def chat_on_a_terminal(tmp):
    saved = os.path.join(tmp, "t.json")
    t = Terminal("chat", "-m", STORIES, "--temp", "0", "-n", "4")
    t.expect("\x1b[?2004h")
    for keys in ("xx\u00e9One dog\x01\x1b[3~\x1b[3~\x1b[C\x7f\x05!?\x02\x04\x7f\r",   # edits leave "One dog"
                 "gone\x15two  words \x17\x17cat\x1b[D\x1b[D\x0b\x1b[1~The \x1b[4~\r",  # leaves "The c"
                 "draft\x1b[A\x1b[A\x1b[B\x1b[B\x1b[A\x1b[A\r",                        # history: "One dog" again
                 "\x1b[200~two\nlines\x1b[201~\r"):
        t.send(keys)
        t.expect("\x1b[?2004l")
        t.expect("\x1b[?2004h")
    t.send("/save " + saved + "\r")
    t.expect("messages written")
    t.expect("\x1b[?2004h")
    t.send("\x04")
    assert t.end() == 0
    said = [m["content"] for m in json.loads(read(saved))["messages"] if m["role"] == "user"]
    assert said == ["One dog", "The c", "One dog", "two\nlines"], said


def chat_interrupts_on_a_terminal(tmp):
    t = Terminal("chat", "-m", STORIES, "--ignore-eos", "-n", "1000000", "-c", "100000")
    t.expect("\x1b[?2004h")
    t.send("Once\r")
    t.expect("\x1b[?2004l")
    t.expect("e")           # an answer is under way
    t.send("\x03")
    t.expect("\x1b[?2004h")   # and ended; the prompt is back
    t.send("\x03")
    t.expect("leaves")
    t.expect("\x1b[?2004h")
    t.send("\x03")
    assert t.end() == 130


def terminal_gets_no_foreign_controls(tmp):
    path = write(tmp, "t.jinja", "a\x1b]0;title\x07b\u009b31mc\n\td\u00e9")
    t = Terminal("template", "--template", path, "--context", write(tmp, "c", "{}"))
    assert t.end() == 0
    assert t.screen.decode() == "a?]0;title?b?31mc\r\n\td\u00e9", t.screen
    assert good("template", "--template", path, "--context", "-", stdin=b"{}") == read(path)


def colours_obey(tmp):
    def prompt(*argv, **env):
        t = Terminal("chat", "-m", STORIES, *argv, **env)
        seen = t.expect("> ")
        t.send("\x04")
        assert t.end() == 0
        return b"\x1b[1;32m" in seen
    assert prompt() and prompt("--color", "always", NO_COLOR="1")
    assert not prompt("--color", "never") and not prompt(NO_COLOR="1") and not prompt("--color=auto", NO_COLOR="1")


# ---- downloads ------------------------------------------------------------------------------

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Server(http.server.ThreadingHTTPServer):
    """One address space of files with a way to misbehave each; `seen` lists the requests."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.seen, self.gate = {}, [], threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def put(self, path, data, etag='"v1"', **how):
        self.files[path] = dict(data=data, etag=etag, **how)
        return self.url + path

    def handle_error(self, request, address):
        pass            # clients hang up here on purpose


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = self.path.split("?")[0]
        wanted = self.headers.get("Range")
        self.server.seen.append((path, wanted, self.headers.get("If-Range")))
        f = self.server.files.get(path)
        if f is None or "status" in f:
            return self.plain(f["status"] if f else 404, b"no", f.get("head", {}) if f else {})
        data, first = f["data"], 0
        m = re.fullmatch(r"bytes=(\d+)-", wanted or "")
        if m and f.get("ranges", True) and self.headers.get("If-Range", f["etag"]) == f["etag"]:
            first = int(m.group(1))
            if first >= len(data):
                return self.plain(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(data) - first))
        if first:
            self.send_header("Content-Range", f"bytes {first + f.get('shift', 0)}-{len(data) - 1}/{len(data)}")
        if f["etag"]:
            self.send_header("ETag", f["etag"])
        for name, value in f.get("head", {}).items():
            self.send_header(name, value)
        self.end_headers()
        end = len(data)
        if f.get("stop_at") and first < f["stop_at"]:
            end = f["stop_at"]
        self.wfile.write(data[first:end])
        self.wfile.flush()
        if f.get("hold") and end < len(data):
            self.server.gate.wait(60)
        if end < len(data):
            self.close_connection = True

    def plain(self, status, body, head):
        self.send_response(status)
        for name, value in head.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def server():
    if not shutil.which("curl"):
        raise Skip("no curl")
    with Server() as s:
        threading.Thread(target=s.serve_forever, daemon=True).start()
        try:
            yield s
        finally:
            s.gate.set()
            s.shutdown()


def weights(seed, n=300000):
    return b"GGUF" + b"".join(hashlib.sha256(f"{seed}/{i}".encode()).digest() for i in range(n // 32))


def leftovers(tmp):
    return [name for _, _, names in os.walk(tmp) for name in names if ".part" in name or name.endswith(".tmp")]


def pulled(out):
    assert out.endswith(b"\n") and out.count(b"\n") == 1
    return read(out[:-1].decode())


def pull_an_address(tmp):
    data = weights(1)
    with server() as s:
        url = s.put("/a/model.gguf", data)
        out = good("pull", url, INGLE_MODELS=tmp)
        assert pulled(out) == data and out.startswith(tmp.encode()) and out.endswith(b"/model.gguf\n")
        assert good("pull", url, INGLE_MODELS=tmp) == out and len(s.seen) == 1      # the second asks nobody
        other = good("pull", s.put("/b/model.gguf", data + b"x"), INGLE_MODELS=tmp)
        assert other != out and pulled(other) == data + b"x"
        s.put("/r", b"", status=302, head={"Location": "/a/model.gguf"})
        s.files["/moved.gguf"] = s.files["/r"]
        assert pulled(good("pull", s.url + "/moved.gguf?download=true", INGLE_MODELS=tmp)) == data
        assert not leftovers(tmp)
        home = os.path.join(tmp, "home")
        os.mkdir(home)
        assert good("pull", url, HOME=home, XDG_CACHE_HOME="").startswith(home.encode() + b"/.cache/ingle/url/")


def pull_failures_are_told(tmp):
    data = weights(2)
    with server() as s:
        for path, how, code, name in (
                ("/none.gguf", None, 5, "ERR_NETWORK"), ("/gone.gguf", dict(status=403), 5, "ERR_NETWORK"),
                ("/error.gguf", dict(status=500), 5, "ERR_NETWORK"),
                ("/page.gguf", dict(head={"Content-Type": "text/html; charset=utf-8"}), 5, "ERR_NETWORK"),
                ("/zip.gguf", dict(head={"Content-Encoding": "gzip"}), 5, "ERR_NETWORK"),
                ("/round.gguf", dict(status=302, head={"Location": "/round.gguf"}), 5, "ERR_NETWORK"),
                ("/file.gguf", dict(status=302, head={"Location": "file:///etc/passwd"}), 5, "ERR_NETWORK"),
                ("/other.gguf", dict(data=b"not a model"), 3, "ERR_FORMAT")):
            if how is not None:
                s.put(path, **{"data": data, **how})
            bad(code, name, "pull", "-q", s.url + path, INGLE_MODELS=tmp)
        bad(2, "ERR_USAGE", "pull", s.url + "/", INGLE_MODELS=tmp)
        bad(2, "ERR_USAGE", "pull", s.url + "/a/..", INGLE_MODELS=tmp)
        bad(2, "ERR_USAGE", "pull", s.url + "/.hidden", INGLE_MODELS=tmp)
        assert not leftovers(tmp), leftovers(tmp)
        url = s.put("/x.gguf", data)
    bad(5, "ERR_NETWORK", "pull", "-q", url, INGLE_MODELS=tmp)       # nobody listens any more
    assert "curl" in bad(5, "ERR_NETWORK", "pull", "-q", url, INGLE_MODELS=tmp, PATH=tmp)
    bad(3, "ERR_IO", "pull", "-q", url, INGLE_MODELS="/proc/nowhere")
    assert not [n for _, _, names in os.walk(tmp) for n in names]


def pull_goes_on_after_a_break(tmp):
    data = weights(3)
    with server() as s:
        out = good("pull", "-q", s.put("/m.gguf", data, stop_at=100000), INGLE_MODELS=tmp)
        assert pulled(out) == data
        assert s.seen == [("/m.gguf", None, None), ("/m.gguf", "bytes=100000-", '"v1"')], s.seen
        # without validator or ranges it begins again; here the second try is let through
        for path, how in (("/n.gguf", dict(etag=None)), ("/o.gguf", dict(ranges=False))):
            s.put(path, data, stop_at=100000, **how)
            threading.Timer(0.5, lambda f=s.files[path]: f.pop("stop_at")).start()
            assert pulled(good("pull", "-q", s.url + path, INGLE_MODELS=tmp)) == data, path
        assert not leftovers(tmp)


def interrupted_pull(s, url, tmp, at):
    p = start("pull", "-q", url, env=environment(INGLE_MODELS=tmp))
    def parts():
        return [os.path.join(d, n) for d, _, names in os.walk(tmp) for n in names if n.endswith(".part")]
    wait_for(lambda: any(os.path.getsize(x) == at for x in parts()), "the first bytes")
    return p


def pull_resumes_after_an_interrupt(tmp):
    data, new = weights(4), weights(5)
    with server() as s:
        for path, change, want, asked in (("/m.gguf", {}, data, "bytes=100000-"),
                                          ("/changed.gguf", dict(data=new, etag='"v2"'), new, "bytes=100000-"),
                                          ("/deaf.gguf", dict(ranges=False), data, "bytes=100000-"),
                                          ("/shift.gguf", dict(shift=7, data=data), None, "bytes=100000-"),
                                          ("/short.gguf", dict(data=new[:50000], etag='"v1"'), new[:50000],
                                           "bytes=100000-")):
            url = s.put(path, data, stop_at=100000, hold=True)
            p = interrupted_pull(s, url, tmp, 100000)
            p.send_signal(signal.SIGINT)
            out, err = p.communicate(timeout=LIMIT_S)
            assert p.returncode == 130 and out == b"" and b"ERR_CANCELLED" in err, (p.returncode, err)
            s.gate.set()
            s.gate.clear()
            s.seen.clear()
            s.files[path].update(stop_at=None, hold=False, **change)
            got = pulled(good("pull", "-q", url, INGLE_MODELS=tmp))
            assert got == (want or data), path
            assert s.seen[0] == (path, asked, '"v1"'), s.seen
        assert not leftovers(tmp)


def pull_shows_progress_on_a_terminal(tmp):
    data = weights(9)
    with server() as s:
        for argv, shown in (([], True), (["--quiet"], False)):
            s.gate.clear()
            t = Terminal("pull", *argv, s.put(f"/{shown}/m.gguf", data, stop_at=100000, hold=True), INGLE_MODELS=tmp)
            time.sleep(0.8)     # bars stay away from what is quick
            s.gate.set()
            assert t.end() == 0
            assert bool(re.search(rb"pull \[#+\.*\] +\d+ %  [\d.]+ [kM]?B/s", t.screen)) == shown, t.screen
            assert t.screen.endswith(b"/m.gguf\r\n") and b"[" not in t.screen.split(b"\r\x1b[K")[-1], t.screen


def two_pulls_keep_apart(tmp):
    data = weights(6)
    with server() as s:
        url = s.put("/m.gguf", data, stop_at=100000, hold=True)
        p = interrupted_pull(s, url, tmp, 100000)
        assert str(p.pid) in bad(3, "ERR_IO", "pull", url, INGLE_MODELS=tmp)
        s.files["/m.gguf"].update(stop_at=None)
        s.gate.set()
        out, err = p.communicate(timeout=LIMIT_S)
        assert p.returncode == 0 and pulled(out) == data, err


def pull_notices_a_full_disk(tmp):
    with server() as s:
        url = s.put("/m.gguf", weights(7))
        p = subprocess.run([INGLE, "pull", "-q", url], capture_output=True, timeout=LIMIT_S,
                           env=environment(INGLE_MODELS=tmp),
                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000)))
        assert p.returncode == 4 and b"ERR_QUOTA" in p.stderr, (p.returncode, p.stderr)
        url = s.put("/huge.gguf", b"GGUF", head={})
        s.files["/huge.gguf"]["data"] = Huge()
        err = bad(4, "ERR_QUOTA", "pull", "-q", url, INGLE_MODELS=tmp)
        assert "needed" in err


class Huge(bytes):
    """Four bytes that claim to be very many."""

    def __len__(self):
        return 1 << 60

    def __getitem__(self, key):
        return b"GGUF"


def listing(s, files, commit=COMMIT, **more):
    text = {"id": "user/repo", "sha": commit, "tags": [{"x": [1, "\u00e9"]}], "siblings": files, **more}
    s.put("/api/models/user/repo", json.dumps(text).encode())


def sibling(s, name, data, sha256=None, size=None):
    s.put(f"/user/repo/resolve/{COMMIT}/{name}", data)
    return {"rfilename": name, "size": len(data) if size is None else size, "blobId": "x",
            "lfs": {"sha256": sha256 or hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}}


def pull_from_the_hub(tmp):
    with server() as s:
        names = ("m-Q8_0.gguf", "m-Q4_0.gguf", "m-Q4_K_M.gguf", "mmproj-Q8_0.gguf", "deep/m-F16.gguf",
                 "s-Q2_K-00001-of-00002.gguf", "s-Q2_K-00002-of-00002.gguf")
        files = [{"rfilename": "README.md", "size": 3, "lfs": None}]
        files += [sibling(s, name, weights(name, 5000)) for name in names]
        listing(s, files)
        def pull(name):
            return good("pull", "-q", name, INGLE_MODELS=tmp, HF_ENDPOINT=s.url)
        for what, want in (("", "m-Q4_K_M.gguf"), (":q8_0", "m-Q8_0.gguf"), (":m-Q4_0.gguf", "m-Q4_0.gguf"),
                           (":deep/m-F16.gguf", "deep/m-F16.gguf"), (":Q2_K", "s-Q2_K-00001-of-00002.gguf")):
            out = pull("hf:user/repo" + what)
            assert out.decode() == f"{tmp}/hf/user/repo/{want}\n" and pulled(out) == weights(want, 5000)
        assert os.path.exists(f"{tmp}/hf/user/repo/s-Q2_K-00002-of-00002.gguf")
        before = len(s.seen)
        pull("hf:user/repo:q8_0")
        assert [r[0] for r in s.seen[before:]] == ["/api/models/user/repo"]     # nothing is fetched twice
        bad(5, "ERR_NETWORK", "pull", "hf:user/repo:Q5_0", INGLE_MODELS=tmp, HF_ENDPOINT=s.url)
        bad(5, "ERR_NETWORK", "pull", "hf:user/none", INGLE_MODELS=tmp, HF_ENDPOINT=s.url)
        # the names that run and info take find what was pulled
        code, out, err = ingle("info", "-m", "hf:user/repo:Q8_0", INGLE_MODELS=tmp)
        assert code == 3 and ": m-Q8_0.gguf: " in err, err


def pull_trusts_no_listing(tmp):
    inside = os.path.join(tmp, "models")
    os.mkdir(inside)
    with server() as s:
        def pull(code, name, want="hf:user/repo"):
            return bad(code, name, "pull", "-q", want, INGLE_MODELS=inside, HF_ENDPOINT=s.url)
        for name in ("../../../evil.gguf", "/tmp/evil.gguf", "a/../../evil.gguf", "..\\evil.gguf",
                     ".evil.gguf", "C:evil.gguf", "a//evil.gguf",
                     "x" * 4000 + ".gguf", "e\u0456il.gguf", "a\nb.gguf", "evil.gguf/", "./evil.gguf"):
            listing(s, [{"rfilename": name, "size": 9}])
            code, out, err = ingle("pull", "-q", "hf:user/repo", INGLE_MODELS=inside, HF_ENDPOINT=s.url)
            assert code in (3, 5) and ERROR.match(err), (name, code, err)
        data = weights(8)
        listing(s, [sibling(s, "m.gguf", data, sha256="0" * 64)])
        pull(3, "ERR_INTEGRITY")
        listing(s, [sibling(s, "m.gguf", data, size=len(data) - 1)])
        pull(3, "ERR_INTEGRITY")
        listing(s, [sibling(s, "m.gguf", data, size=len(data) + 1)])
        pull(3, "ERR_INTEGRITY")
        for text in (b"", b"{", b"[]", b"{}", b'{"sha":"../x","siblings":[]}', b'{"sha":5}',
                     b'{"siblings":{}}', b'{"sha":"' + COMMIT.encode() + b'"}'):
            s.put("/api/models/user/repo", text)
            pull(5, "ERR_NETWORK")
        assert not [n for _, _, names in os.walk(tmp) for n in names]


def pull_a_known_name(tmp):
    shutil.copy(STORIES, tmp)
    assert good("pull", "-q", "stories260k", INGLE_MODELS=tmp).decode() == f"{tmp}/stories260K.gguf\n"


CASES = [help_of_everything, help_lists_the_options, version, usage_errors, error_lines_are_one_clean_line,
         files_that_are_missing_or_bad, models_are_found_by_name, info_tells_all, info_of_a_model_that_cannot_run,
         dump_is_the_tensor, tokenize_and_back, template_renders, run_answers, run_obeys_its_options,
         run_without_a_template_says_so, run_reads_its_text_anywhere, run_with_a_template, logits_are_rows,
         perplexity_follows_the_protocol, perplexity_compares, bench_reports, interrupt_ends_an_answer,
         interrupt_while_reading, closed_pipe_is_quiet, full_disk_is_noticed, chat_on_a_pipe, chat_refuses_bad_files,
         chat_with_a_template, chat_on_a_terminal, chat_interrupts_on_a_terminal, terminal_gets_no_foreign_controls,
         colours_obey, pull_an_address, pull_failures_are_told, pull_goes_on_after_a_break,
         pull_resumes_after_an_interrupt, pull_shows_progress_on_a_terminal, two_pulls_keep_apart,
         pull_notices_a_full_disk, pull_from_the_hub,
         pull_trusts_no_listing, pull_a_known_name]


def main(names):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    os.chdir(TOP)
    for case in CASES:
        if names and not any(name in case.__name__ for name in names):
            continue
        result = "passed"
        with tempfile.TemporaryDirectory() as tmp:
            try:
                case(os.path.realpath(tmp))
            except Skip as why:
                result = "skipped"
                print(f"skipped: {case.__name__}: {why}")
            except Exception as fault:  # a broken case is a failed case
                result = "failed"
                print(f"FAIL {case.__name__}: {type(fault).__name__}: {str(fault)[:2000]}")
        counts[result] += 1
    print("tests/test_cli.py: {passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    return counts["failed"] > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
