#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets into fuzz/corpus/<name>/seed-*. Standard library only;
writes the same bytes each time. Inputs that fuzzing found worth keeping lie beside them under
other names and are left alone.

    python3 fuzz/make_seeds.py
"""
import math
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
PACK = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "?", U64: "Q",
        I64: "q", F64: "d"}
BLOCK = {0: (1, 4), 1: (1, 2), 2: (32, 18), 8: (32, 34), 14: (256, 210)}  # format: values, bytes


def save(target, name, data):
    folder = os.path.join(HERE, "corpus", target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "seed-" + name), "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())


# ---- GGUF ----------------------------------------------------------------------------------------

class Gguf:
    def __init__(self, version=3, alignment=32):
        self.version, self.alignment = version, alignment
        self.values, self.tensors = [], []
        if alignment != 32:
            self.add("general.alignment", U32, alignment)

    def size(self, n):
        return struct.pack("<I" if self.version == 1 else "<Q", n)

    def text(self, s):
        b = s if isinstance(s, bytes) else s.encode()
        return self.size(len(b)) + b

    def item(self, kind, x):
        return self.text(x) if kind == STRING else struct.pack("<" + PACK[kind], x)

    def add(self, key, kind, value):
        if isinstance(value, list):
            body = struct.pack("<II", ARRAY, kind) + self.size(len(value))
            body += b"".join(self.item(kind, x) for x in value)
        else:
            body = struct.pack("<I", kind) + self.item(kind, value)
        self.values.append(self.text(key) + body)

    def tensor(self, name, shape, fmt=0, data=None):
        values, size = BLOCK[fmt]
        n = math.prod(shape) // values * size
        self.tensors.append((name, shape, fmt, n, data))

    def bytes(self):
        out = b"GGUF" + struct.pack("<I", self.version)
        out += self.size(len(self.tensors)) + self.size(len(self.values)) + b"".join(self.values)
        at, data = 0, b""
        for name, shape, fmt, n, given in self.tensors:
            out += self.text(name) + struct.pack("<I", len(shape))
            out += b"".join(self.size(d) for d in shape) + struct.pack("<IQ", fmt, at)
            body = given if given is not None else noise(name, n, fmt)
            data += body + bytes(-n % self.alignment)
            at = len(data)
        return out + bytes(-len(out) % self.alignment) + data


def noise(name, n, fmt):
    """Small weights: plausible floats, any quants."""
    seed = sum(name.encode())
    out = bytearray()
    while len(out) < n:
        seed = seed * 1103515245 + 12345 & 0x7FFFFFFF
        if fmt == 0:
            out += struct.pack("<f", (seed % 2001 - 1000) / 4000)
        else:
            out.append(seed >> 16 & 0x2B)  # halves made of it are small
    return bytes(out[:n])


def byte_letter(b):
    """GPT-2's letter for a byte."""
    itself = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return chr(b if b in itself else 256 + [x for x in range(256) if x not in itself].index(b))


def vocabulary(g, kind):
    """A small vocabulary of each tokenizer kind; returns its size."""
    special = ["<unk>", "<s>", "</s>", "<|im_end|>"]
    types = [2, 3, 3, 3]
    words = ["the", "he", "in", "ing", "er", "hel", "lo", "12", "é", "你"]
    if kind == "gpt2":
        tokens = special + [byte_letter(b) for b in range(256)] + ["he", "in", "Ġt", "Ġthe", "ing"]
        g.add("tokenizer.ggml.merges", STRING, ["h e", "i n", "Ġ t", "Ġt he", "in g"])
        g.add("tokenizer.ggml.pre", STRING, "llama-bpe")
    elif kind == "bert":
        letters = [chr(c) for c in range(97, 123)]
        tokens = special + ["[CLS]", "[SEP]", "[UNK]"] + letters + ["▁" + c for c in letters]
        tokens += words + ["▁" + w for w in words]
        types += [3, 3, 3]
    else:
        tokens = special + [f"<0x{b:02X}>" for b in range(256)]
        types += [6] * 256
        tokens += [chr(c) for c in range(97, 123)] + ["▁"] + words + ["▁" + w for w in words]
    types += [1] * (len(tokens) - len(types))
    g.add("tokenizer.ggml.model", STRING, kind)
    g.add("tokenizer.ggml.tokens", STRING, tokens)
    g.add("tokenizer.ggml.token_type", I32, types)
    if kind in ("llama", "t5"):
        g.add("tokenizer.ggml.scores", F32, [-i / 8 for i in range(len(tokens))])
    g.add("tokenizer.ggml.bos_token_id", U32, 1)
    g.add("tokenizer.ggml.eos_token_id", U32, 2)
    g.add("tokenizer.ggml.unknown_token_id", U32, 0)
    g.add("tokenizer.ggml.add_bos_token", BOOL, True)
    return len(tokens)


def gguf_seeds():
    made = {}
    for version in (1, 2, 3):
        g = Gguf(version)
        g.add("general.architecture", STRING, "llama")
        g.add("list", STRING, ["a", "", "ccc"])
        g.add("numbers", F32, [1.5, -2.0])
        g.tensor("a.weight", [4, 2])
        g.tensor("b.weight", [32, 2], 8)
        made[f"v{version}"] = g.bytes()
    g = Gguf(3, 64)
    for i, kind in enumerate(PACK):
        g.add(f"scalar.{kind}", kind, kind == BOOL or i)
        g.add(f"array.{kind}", kind, [kind == BOOL, i, i] if kind != BOOL else [True, False])
    g.add("split.no", U16, 0)
    g.add("split.count", U16, 2)
    g.add("split.tensors.count", I32, 2)
    g.tensor("x", [1])
    g.tensor("y", [2, 1, 1, 3], 1)
    made["types"] = g.bytes()
    made["empty"] = Gguf().bytes()
    for name, data in made.items():
        save("gguf", name, data)
        save("stream", name, data + b"\x07\x01\x3f\x20")
    for kind in ("gpt2", "llama", "t5", "bert"):
        g = Gguf()
        vocabulary(g, kind)
        save("vocabulary", kind, g.bytes())


def model_seeds():
    g = Gguf()
    d, heads, ff, n_ctx = 32, 2, 32, 16
    g.add("general.architecture", STRING, "llama")
    for key, value in {"context_length": n_ctx, "embedding_length": d, "block_count": 1,
                       "feed_forward_length": ff, "attention.head_count": heads,
                       "attention.head_count_kv": 1, "rope.dimension_count": d // heads}.items():
        g.add("llama." + key, U32, value)
    g.add("llama.attention.layer_norm_rms_epsilon", F32, 1e-5)
    g.add("tokenizer.chat_template", STRING, "{% for m in messages %}<s>{{ m.content }}{% endfor %}")
    g.add("tokenizer.ggml.model", STRING, "llama")
    tokens = ["<unk>", "<s>", "</s>", "▁", "H", "i", "e", "l", "o", "▁H", "el"]
    g.add("tokenizer.ggml.tokens", STRING, tokens)
    g.add("tokenizer.ggml.scores", F32, [-float(i) for i in range(len(tokens))])
    g.add("tokenizer.ggml.token_type", I32, [2, 3, 3] + [1] * (len(tokens) - 3))
    g.tensor("token_embd.weight", [d, len(tokens)], 8)
    g.tensor("output_norm.weight", [d])
    for name, shape, fmt in [("attn_norm", [d], 0), ("attn_q", [d, d], 2), ("attn_k", [d, d // 2], 8),
                             ("attn_v", [d, d // 2], 1), ("attn_output", [d, d], 2), ("ffn_norm", [d], 0),
                             ("ffn_gate", [d, ff], 2), ("ffn_up", [d, ff], 2), ("ffn_down", [ff, d], 8)]:
        g.tensor(f"blk.0.{name}.weight", shape, fmt)
    save("model", "llama", g.bytes())
    g = Gguf()
    g.add("general.architecture", STRING, "llama")
    vocabulary(g, "gpt2")
    save("model", "vocabulary", g.bytes())


# ---- text ----------------------------------------------------------------------------------------

JSON = {
    "all": '{"a":[1,-2.5e3,true,false,null,""],"b":{"c":"\\u00e9\\ud83d\\ude00\\n"},"a":0}',
    "numbers": '[0,-0,1e400,9223372036854775807,9223372036854775808,0.1,5e-324,1E+2]',
    "deep": "[" * 150 + "]" * 150,
    "text": '"\\u0000\\ud800 é \\/ \\" \\\\"',
    "bad": '{"a" 1}',
}

TEMPLATES = {
    "chatml": "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + "
              "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
              "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "llama3": "{{- bos_token }}{%- if messages[0]['role'] == 'system' %}{%- set system = "
              "messages[0]['content']|trim %}{%- set messages = messages[1:] %}{%- else %}"
              "{%- set system = '' %}{%- endif %}{{ system }}{%- if tools is not none and tools %}"
              "{%- for t in tools %}{{ t | tojson(indent=4) }}{%- endfor %}{%- endif %}",
    "macro": "{%- macro show(x, sep=', ') -%}{% for k, v in x.items() | sort %}{{ k ~ '=' ~ v }}"
             "{{ sep if not loop.last }}{% endfor %}{%- endmacro -%}{{ show({'a': 1, 'b': [1, 2.5]}) }}"
             "{%- set ns = namespace(n=0) %}{% for i in range(5) if i % 2 %}{% set ns.n = ns.n + i %}"
             "{% endfor %}{{ ns.n }}",
    "think": "{% set content = messages[-1].content %}{% if '</think>' in content %}{% set content = "
             "content.split('</think>')[-1].lstrip('\n') %}{% endif %}{{ content | upper | replace('A', 'b') }}"
             "{{ raise_exception('stop') if content is not string else content[::-1] }}",
    "time": "{{ strftime_now('%d %b %Y') }}{# note #}{{ [3, 1, 2] | sort | join('-') }}"
            "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}"
            "{% generation %}{{ 7 // 2 ** 2 }}{% endgeneration %}",
    "context": "{{ x.y[0] }}{% for a, b in z %}{{ a }}{{ loop.index0 }}{% else %}none{% endfor %}"
               "\0{\"x\":{\"y\":[1.0,2]},\"z\":[[1,2],[3,4]]}",
}

TEXTS = {
    "english": "Hello world, it's 12345 don't  \t stop\n\n  [TOOL] <s> <|im_end|>  ",
    "scripts": "naïve Ünïcode 你好世界 こんにちは สวัสดี नमस्ते العربية 😀👩‍💻 e\u0301 ﬁ",
    "bytes": b"\xff\xfe\xc3\xa9\xc3 \xe4\xbd\xe4\xbd\xa0\xf0\x9f\x98\x80\xed\xa0\x80\x00 end",
    "runs": "aaaaaaaaaaaaaaaaaaaaaaaa 1111111111111 ''''''  \u3000\u00a0 \r\n\r\n__init__(self)=>{}",
}

DICTIONARY = {
    "json": ["\\u", "\\ud800", "true", "false", "null", "1e", "-0", "{}", "[]", "\":"],
    "template": """{% %} {{ }} {%- -%} {{- -}} {# #} if elif else endif for endfor in set endset macro
        endmacro call endcall filter endfilter generation endgeneration break continue namespace
        loop.index loop.last loop.previtem is not defined none true false and or recursive
        messages['content'] ['role'] |trim |tojson |join |length |items |default |replace |sort
        |selectattr |map |first |last |upper |string |int |float |list |unique |reverse |indent |safe
        .split( .strip( .items() .get( .append( .startswith( range( raise_exception( strftime_now(
        ~ ** // [::-1] [1:] 'a' 1.5 10000000000""".split(),
}


def text_seeds():
    for name, text in JSON.items():
        save("json", name, text)
    for name, text in TEMPLATES.items():
        save("template", name, text)
    for name, text in TEXTS.items():
        data = text if isinstance(text, bytes) else text.encode()
        save("utf8", name, data)
        save("split", name, b"\x06" + data)
        for kind in range(4):
            save("tokenizer", f"{name}-{kind}", bytes([kind, 16, 2 + 4 * kind]) + data)
    for kind in range(6):
        save("detokenizer", str(kind), bytes([kind, *range(0, 250, 7), 201, 1, 133, 1, 88, 2]))
    for name, words in DICTIONARY.items():
        with open(os.path.join(HERE, name + ".dict"), "w", encoding="utf-8") as f:
            for word in words:
                f.write('"{}"\n'.format(word.replace("\\", "\\\\").replace('"', '\\"')))


if __name__ == "__main__":
    gguf_seeds()
    model_seeds()
    text_seeds()
