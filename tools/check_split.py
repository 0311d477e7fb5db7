#!/usr/bin/env python3
"""Compares src/token/split*.c with regular expressions over random text.

    pip install tokenizers && python3 tools/check_split.py [TEXTS] [SEED]

Each pre-tokenizer rule is stated here as the regular expressions of the tokenizer file that it
stands for; Hugging Face's tokenizers library (which uses Oniguruma) splits by those, our code by its
matchers, and every piece must agree. Prints a line a rule; exits 1 if any differs.
"""
import ctypes
import os
import random
import subprocess
import sys
import tempfile
import unicodedata

from tokenizers import Regex, pre_tokenizers

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

G = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
ABBREV = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"


def words(number, letters=r"\p{L}+", others=r" ?[^\s\p{L}\p{N}]+[\r\n]*", spaces=SPACES):
    return ABBREV + r"|[^\r\n\p{L}\p{N}]?" + letters + "|" + number + "|" + others + "|" + spaces


def cased(number, abbrev, han="", tail=r"[\r\n/]*"):
    up, low = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}" + han + "]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}" + han + "]"
    head = r"[^\r\n\p{L}\p{N}]?"
    return (f"{head}{up}*{low}+{abbrev}|{head}{up}+{low}*{abbrev}|{number}"
            r"| ?[^\s\p{L}\p{N}]+" + tail + "|" + SPACES)


def ranges_in(path, name):
    """The character class that a range table of split_rules.c writes out."""
    text = open(path, encoding="utf-8").read()
    body = text[text.index(f"split_range {name}[] = {{"):]
    body = body[body.index("= {") + 3:body.index("};")]
    body = "\n".join(line.split("//")[0] for line in body.split("\n"))
    codes = [int(x, 16) for x in body.replace("{", " ").replace("}", " ").replace(",", " ").split()]
    escape = lambda c: "\\x{%X}" % c
    return "".join(escape(a) + "-" + escape(b) for a, b in zip(codes[::2], codes[1::2]))


RULES_C = os.path.join(ROOT, "src/token/split_rules.c")
L3, Q2 = words(r"\p{N}{1,3}"), words(r"\p{N}")
O4 = cased(r"\p{N}{1,3}", ABBREV + "?")
V3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
      r"| ?[\p{P}\p{S}]+[\r\n]*|" + SPACES)
KANA = "[一-龥぀-ゟ゠-ヿ]+"
PUNCT = r"[\p{P}$+<=>^`|~]"
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
HALVES = "|".join(r"\s{%d}(?!\S)" % n for n in (512, 256, 128, 64, 32, 16, 8, 4)) + r"|\s{1,2}(?!\S)|\s{1}"
RULES = {
    "default": [PUNCT + "+", G, r"\p{N}+", "[0-9][0-9][0-9]"],
    "gpt-2": [G],
    "starcoder": [r"\p{N}", G],
    "llama-bpe": [L3],
    "qwen2": [Q2],
    "qwen35": [words(r"\p{N}", r"[\p{L}\p{M}]+", r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*")],
    "minicpm5": [r"\p{N}{1,3}", words(r"\p{N}+")],
    "seed-coder": [words(r"\p{N}{1}", others=r" ?[^\s\p{L}\p{N}\r\n]+")],
    "jais-2": [words(r"\p{N}{1,3}", spaces=r"\s*[\r\n]+|" + HALVES)],
    "exaone-moe": [words(r"\p{N}", r"(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+", r" ?[^\s\p{L}\p{N}]+[\r\n/]?",
                         r"\s*[\r\n]|\s+(?!\S)|\s+")],
    "laguna": [r"[^\n]+|[\n]+", Q2],
    "bailingmoe": [r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
                   r"|\s*[\r\n]|\s+(?!\S)|\s+"],
    "tekken": [cased(r"\p{N}", "")],
    "gpt-4o": [O4],
    "tiny_aya": [r"\d{1,3}(?=(?:\d{3})*\b)", O4],
    "youtu": ["[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|" + KANA, cased(r"\p{N}", ABBREV + "?")],
    "kimi-k2": [r"[\p{Han}]+|" + cased(r"\p{N}{1,3}", ABBREV + "?", r"&&[^\p{Han}]", r"[\r\n]*")],
    "deepseek-llm": ["[\r\n]", r"\s?[" + ranges_in(RULES_C, "cased_ranges") + "]+",
                     r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", "[一-龥ࠀ-一가-\ud7ff]+", r"\p{N}+"],
    "deepseek-coder": ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-\ud7ff]+", r"\p{N}"],
    "deepseek-v3": [r"\p{N}{1,3}", KANA, V3],
    "afmoe": [r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))", "[" + ranges_in(RULES_C, "asian_ranges") + "]+", V3],
    "falcon": [PUNCT + "+", G, "[0-9][0-9][0-9]"],
    "bloom": [BLOOM],
    "viking": [BLOOM, r"\p{N}"],
    "superbpe": [r"\p{N}+", r"(?=(\d{3})+(?!\d))"],
    "chameleon": ["<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", r"([\t\n]|    |  )", r"\p{N}",
                  PUNCT, G],
    "gemma4": [r"[^\n]+|[\n]+"],
}


class Str(ctypes.Structure):
    _fields_ = [("p", ctypes.c_char_p), ("n", ctypes.c_size_t)]


class Splitter(ctypes.Structure):
    _fields_ = [("a", ctypes.c_void_p), ("ch", ctypes.c_void_p), ("ch_capacity", ctypes.c_size_t),
                ("ends", ctypes.POINTER(ctypes.c_uint32)), ("spare", ctypes.c_void_p), ("n", ctypes.c_size_t),
                ("ends_capacity", ctypes.c_size_t), ("spare_capacity", ctypes.c_size_t)]


def load(folder):
    path = os.path.join(folder, "split.so")
    names = ["token/split", "token/split_rules", "token/unicode", "token/unicode_tables", "base/mem",
             "base/text", "base/error", "base/utf8"]
    files = [os.path.join(ROOT, "src", name + ".c") for name in names]
    subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-O2", "-shared", "-fPIC", "-I" + os.path.join(ROOT, "src"),
                    "-I" + os.path.join(ROOT, "include"), *files, "-o", path], check=True)
    library = ctypes.CDLL(path)
    library.split_find.restype = ctypes.c_void_p
    library.split_find.argtypes = [Str]
    library.split_text.argtypes = [ctypes.POINTER(Splitter), ctypes.c_void_p, Str, ctypes.c_void_p]
    return library


ODD = (" " * 12 + "\n" * 5 + "\r\t\u00a0\u3000\u2028\x0b" + "'" * 6 + "sStTrReEvVmMlLdD\u017f" + "0123456789" * 2
       + "½²Ⅷ٣०５𝟘" + "aAbBzZǅßéÉ" + "\u0301\u0303\u0903\u20dd\u200d\ufe0f" + "ʰªあア漢字々〇한글ㄅㆎกខက" + "/.,!?-_()[]{}<>|`~$+=^\"\\;:…。，、।۔،“”‘’—！：；〿﹏"
       + "€🚀🦙Ⓐ🄰\u0000\u0001\u200b\u00ad\ue000")


def random_text(rng):
    out = []
    while len(out) < rng.choice((3, 8, 20, 60)):
        kind = rng.random()
        if kind < 0.55:
            out.append(rng.choice(ODD))
        elif kind < 0.65:
            out.append(rng.choice(ODD) * rng.choice((1, 2, 3, 4, 5, 7, 9)))
        elif kind < 0.75:
            out.append(rng.choice(("'ll", "'RE", "'S", " '", "the", "  \n  ", "\r\n\r\n", "1234", "12345678", "HTTPServer",
                                   "<sentinel:12>", "IMGIMGABZ", "IMGIMGABCDEZ", " a b c", "é\u0301", "x/\n/")))
        else:
            c = chr(rng.choice((rng.randrange(0x80, 0x3100), rng.randrange(0x3100, 0xd800), rng.randrange(0xf900, 0x10000),
                                rng.randrange(0x10000, 0x20000))))
            if unicodedata.category(c) not in ("Cn", "Cs"):
                out.append(c)
    return "".join(out)


def main():
    count, rng = int(sys.argv[1]) if len(sys.argv) > 1 else 3000, random.Random(sys.argv[2] if len(sys.argv) > 2 else 1)
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        library = load(folder)
        work = Splitter()
        texts = [random_text(rng) for _ in range(count)] + [" " * n + t for n in (1, 2, 3, 4, 5, 8, 511, 512, 513, 600, 1030)
                                                            for t in ("", "x")]
        for name, patterns in RULES.items():
            rule = library.split_find(Str(name.encode(), len(name.encode())))
            oracle = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(p), "isolated") for p in patterns])
            wrong, shown = 0, ""
            for text in texts:
                data = text.encode()
                if library.split_text(ctypes.byref(work), rule, Str(data, len(data)), None):
                    sys.exit(f"{name}: split_text failed")
                ends = work.ends[:work.n]
                got = [data[a:b].decode("utf-8", "backslashreplace") for a, b in zip([0, *ends], ends)]
                want = [piece for piece, _ in oracle.pre_tokenize_str(text)]
                if got != want:
                    wrong += 1
                    at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
                    if not shown or len(text) < len(shown[0]):
                        shown = (text, got[max(0, at - 1):at + 3], want[max(0, at - 1):at + 3])
            bad += wrong > 0
            print(f"{'FAIL' if wrong else 'ok  '} {name}: {len(texts) - wrong}/{len(texts)} texts agree")
            if shown:
                print("     text %a\n     got  %a\n     want %a" % shown)
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
