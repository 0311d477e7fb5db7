#!/usr/bin/env python3
"""Compares ingle's chat templates with Python's jinja2, set up as Transformers does.

    make build/native/tests/template_driver
    python3 tools/check_template.py [--seed N] [--random N] [--driver PATH] [--snippets FILE]
    python3 tools/check_template.py --table > tests/template_cases.h

Needs jinja2 3.1.6 (pip install jinja2==3.1.6). Renders the snippets below and then random
combinations of expressions, both ways; where Python raises, an error is wanted. Prints what
differs and, last, "N agree, M differ". A template that both refuse counts as agreeing. --table
writes the snippets with what Python makes of them as a C table, for a test that needs no Python.
"""
import argparse, datetime, json, random, re, signal, subprocess, sys
import jinja2, jinja2.ext, jinja2.sandbox


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def environment(trim=True):
    # The mutable sandbox: some models' templates append to lists, and ingle lets them.
    env = jinja2.sandbox.SandboxedEnvironment(trim_blocks=trim, lstrip_blocks=trim,
                                              extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = lambda x, ensure_ascii=False, indent=None, separators=None, sort_keys=False: json.dumps(
        x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda f: datetime.datetime(2024, 7, 26, 9, 5, 3).strftime(f)
    return env


CONTEXT = {
    "s": "Hello, Wörld", "e": "", "sp": "  a b\t c \n", "q": "it's \"q\" \\ \n\t\x07 é \u200b 😀", "u": "ΑΣ Привет ÿ",
    "n": 7, "z": 0, "neg": -3, "f": 2.5, "g": 1e16, "h": 0.1, "t": True, "no": False, "nil": None,
    "l": [3, 1, 2], "m": ["b", "A", "c", "a"], "mixed": [1, "x", None, True, 2.5, [1], {"k": "v"}],
    "d": {"b": 1, "a": 2, "items": 3, "C": "x"}, "deep": {"x": {"y": [1, {"z": "end"}]}},
    "objs": [{"n": "x", "v": 3, "g": "A"}, {"n": "Y", "v": 1, "g": "b"}, {"n": "z", "v": 2, "g": "a"}],
    "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": " U "}, {"role": "assistant", "content": None}],
    "html": "<a href='x'>&amp; b</a>", "lines": "one\n\ntwo\r\n three", "big": 123456789012345678901234567890,
}

# One template a line here; "\n" within one is written out.
SNIPPETS = r'''
{{ s }}|{{ e }}|{{ sp }}|{{ q }}|{{ n }}|{{ f }}|{{ g }}|{{ h }}|{{ t }}|{{ nil }}|{{ l }}|{{ mixed }}|{{ d }}|{{ deep }}|{{ missing }}|{{ big }}
{{ [s, q, u, html] }} {{ {"a": 1.0, 2: "b", none: true, (1,2): []} }} {{ (1,) }} {{ () }} {{ (1, 2) }}
{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % -3 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ -2 ** 2 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 2 ** 3 ** 2 }} {{ 1 - 2 - 3 }} {{ 1 + 2 ~ 3 + 4 }}
{{ 1e3 }} {{ 1.5e-7 }} {{ 123456789.125 }} {{ 1e22 }} {{ 0.1 + 0.2 }} {{ 1e16 + 1 }} {{ 5e-324 }} {{ 1_000 }} {{ 0x1f }} {{ 0b11 }} {{ 0o17 }} {{ 1e100 }} {{ 9007199254740993.0 }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 == true }} {{ "a" < "b" }} {{ [1,2] < [1,3] }} {{ (1,) == [1] }} {{ nil == none }} {{ "a" in "abc" }} {{ 1 in [1,2] }} {{ "b" in d }} {{ 5 not in l }} {{ missing == missing2 }}
{{ not t }} {{ not e }} {{ t and e }} {{ e or n }} {{ nil or missing or "x" }} {{ 0 and 1/0 }}
{{ "a" if t }} {{ "a" if no }} {{ "a" if no else "b" if no else "c" }} {{ ("x" if no) is defined }}
{{ s[0] }}{{ s[-1] }}{{ s[7:9] }}{{ s[::-1] }}{{ s[1:-1:3] }}{{ s[99] }}{{ s[:3] }}{{ s[-3:] }}{{ u[::-1] }}{{ u[1] }} {{ l[::-1] }} {{ l[-1] }} {{ l[5] }} {{ l[1:] }} {{ range(10)[2:8:3] }} {{ range(5)[-1] }} {{ (1,2,3)[:-1] }}
{{ d.items }} {{ d["items"] }} {{ d.a }} {{ d["zz"] }} {{ d.get("a") }} {{ d.get("zz", "dflt") }} {{ d.keys() }} {{ d.values() }} {{ d.items() }} {{ deep.x.y[1].z }} {{ deep["x"]["y"][0] }} {{ deep.x.y.0 }}
{{ missing.a }}
{{ missing["a"] }}
{{ missing() }}
{{ nil.a }} {{ nil.a is defined }} {{ n.a }} {{ s.__class__ }} {{ s.nope }} {{ l.nope }}
{{ nil.a.b }}
{{ s.__class__.__mro__ }}
{{ "".__class__ is defined }} {{ d.__class__ }} {{ l["__len__"] }} {{ [].append }}
{{ s + 1 }}
{{ 1 + s }}
{{ l + [4] }} {{ l + (1,) }}
{{ [1] * 3 }} {{ "ab" * 3 }} {{ 2 * "x" }} {{ "x" * -1 }} {{ (1,) * 2 }}
{{ s.upper() }} {{ s.lower() }} {{ s.title() }} {{ s.capitalize() }} {{ s.swapcase() }} {{ u.upper() }} {{ u.lower() }} {{ "straße".upper() }} {{ "they're bill's 3rd".title() }} {{ "they're bill's 3rd-x (y".title() }}
{{ sp.strip() }}|{{ sp.lstrip() }}|{{ sp.rstrip() }}|{{ "xxaxx".strip("x") }}|{{ "abcba".strip("ab") }}|{{ "éaé".strip("é") }}
{{ "a,b,,c".split(",") }} {{ "a,b,,c".split(",", 1) }} {{ "a b  c ".split() }} {{ "a b  c ".split(None, 1) }} {{ "a,b,c".rsplit(",", 1) }} {{ " a b c ".rsplit(None, 1) }} {{ "".split() }} {{ "".split(",") }} {{ "a b".split(maxsplit=1) }}
{{ lines.splitlines() }} {{ lines.splitlines(true) }} {{ "a\n".splitlines() }} {{ "".splitlines() }}
{{ "a-b-c".partition("-") }} {{ "a-b-c".rpartition("-") }} {{ "abc".partition("-") }} {{ "abc".rpartition("-") }}
{{ s.replace("l", "L") }} {{ s.replace("l", "L", 1) }} {{ "abc".replace("", "-") }} {{ "abc".replace("", "-", 2) }} {{ s.find("o") }} {{ s.rfind("o") }} {{ s.find("ld") }} {{ s.find("zz") }} {{ s.count("l") }} {{ s.index("W") }} {{ "aaa".count("aa") }} {{ "abc".count("") }}
{{ s.startswith("He") }} {{ s.endswith("ld") }} {{ s.startswith(("x", "H")) }} {{ s.startswith("ello", 1) }} {{ s.endswith("") }} {{ "abc".removeprefix("ab") }} {{ "abc".removesuffix("bc") }}
{{ ", ".join(["a", "b"]) }} {{ "-".join("abc") }} {{ "".join([]) }}
{{ ", ".join([1]) }}
{{ "abc".center(10, "*") }}|{{ "abc".center(9) }}|{{ "ab".center(5) }}|{{ "ab".ljust(4, ".") }}|{{ "ab".rjust(4) }}|{{ "42".zfill(5) }}|{{ "-42".zfill(5) }}|{{ "a\tb".expandtabs(4) }}
{{ "abc".isalpha() }} {{ "ab1".isalnum() }} {{ "12".isdigit() }} {{ " ".isspace() }} {{ "Ab".isupper() }} {{ "ab1".islower() }} {{ "Ab Cd".istitle() }} {{ "".isalpha() }} {{ "é".isascii() }} {{ "1.5".isdigit() }}
{{ "{} {}".format(1, "a") }} {{ "{1} {0}".format(1, 2) }} {{ "{a}".format(a=3) }} {{ "{:>5}|{:<5}|{:^5}".format("a", "b", "c") }} {{ "{:.2f}".format(3.14159) }} {{ "{:05d}".format(42) }} {{ "{:,}".format(1234567) }} {{ "{:x} {:X} {:#x} {:b} {:o}".format(255, 255, 255, 5, 8) }} {{ "{:+d}".format(3) }} {{ "{!r}".format("a") }} {{ "{{}}".format() }} {{ "{0[a]} {0.b}".format({"a": 1}) }}
{{ "{0[a]}".format({"a": 1}) }} {{ "{:e} {:g} {:%}".format(12345.678, 0.0001, 0.25) }} {{ "{:10.3f}|".format(2.5) }} {{ "{:*^9}".format("mid") }} {{ "{:_}".format(1234567) }} {{ "{:8}|{:8}|".format(12, "ab") }} {{ "{:.3}".format("abcdef") }} {{ "{:.3}".format(3.14159) }} {{ "{}".format(none) }} {{ "{}".format([1, "a"]) }}
{{ "%s %d %5.2f %r %%" % (s, 42, 3.14159, "x") }} {{ "%s" % l }} {{ "%(a)s" % {"a": 5} }} {{ "%05d|%-5d|%+d|% d" % (42, 42, 42, 42) }} {{ "%x %X %o %#x %e %g %c" % (255, 255, 8, 255, 1234.5, 0.00001, "z") }} {{ "%10s|%-10s|%.2s" % ("ab", "cd", "efgh") }} {{ "%i" % 3.9 }}
{{ "%d" % "x" }}
{{ "%s %s" % 1 }}
{{ "%s" % (1, 2) }}
{{ "%s and %s"|format("a", "b") }} {{ "%(x)s"|format(x=1) }}
{{ l|length }} {{ s|length }} {{ u|length }} {{ d|length }} {{ missing|length }} {{ range(4)|length }}
{{ n|length }}
{{ m|sort }} {{ m|sort(true) }} {{ m|sort(case_sensitive=true) }} {{ objs|sort(attribute="v")|map(attribute="n")|list }} {{ objs|sort(attribute="g,n")|map(attribute="n")|join }} {{ l|sort(reverse=true) }} {{ "hello"|sort }}
{{ mixed|sort }}
{{ d|dictsort }} {{ d|dictsort(true) }} {{ d|dictsort(reverse=true) }}
{{ {"a": 2, "b": 1}|dictsort(by="value") }} {{ {"a": 2, "b": 1}|dictsort(false, "value") }}
{{ m|unique|list }} {{ [1, 1.0, true, 2]|unique|list }} {{ objs|unique(attribute="g")|map(attribute="n")|list }} {{ l|min }} {{ l|max }} {{ m|min }} {{ m|max(case_sensitive=true) }} {{ []|min }} {{ objs|max(attribute="v") }}
{{ l|sum }} {{ objs|sum(attribute="v") }} {{ l|sum(start=10) }} {{ [[1],[2]]|sum(start=[]) }} {{ [0.5, 1]|sum }}
{{ ["a"]|sum }}
{{ l|first }} {{ l|last }} {{ s|first }} {{ s|last }} {{ []|first }} {{ []|last }} {{ d|first }} {{ d|last }} {{ ""|first }} {{ ""|last is defined }}
{{ l|reverse|list }} {{ s|reverse }} {{ range(3)|reverse|list }} {{ l|list }} {{ "ab"|list }} {{ d|list }} {{ d|items|list }} {{ missing|items|list }}
{{ n|items|list }}
{{ l|join }} {{ l|join("-") }} {{ objs|join(",", attribute="n") }} {{ mixed|join("|") }} {{ "abc"|join(".") }} {{ missing|join }}
{{ [1,2,3,4,5]|batch(2)|list }} {{ [1,2,3]|batch(2, "x")|list }} {{ [1,2,3,4,5]|slice(2)|list }} {{ [1,2,3,4,5]|slice(3, "f")|list }} {{ [1,2,3,4]|slice(2, "f")|list }} {{ []|slice(2)|list }} {{ [1]|slice(3)|list }}
{{ objs|groupby("g") }} {% for g, items in objs|groupby("g") %}{{ g }}={{ items|map(attribute="n")|join }};{% endfor %} {{ (objs|groupby("v"))[0].grouper }} {{ (objs|groupby("v"))[0].list }} {{ objs|groupby("q", default="zz") }}
{{ m|map("upper")|list }} {{ objs|map(attribute="n")|list }} {{ objs|map(attribute="zz", default="-")|list }} {{ [[1,2],[3]]|map("sum")|list }} {{ ["a,b"]|map("replace", ",", ";")|list }} {{ [[1,2]]|map(attribute=0)|list }} {{ [1.55, 2.45]|map("round", 1)|list }} {{ []|map("upper")|list }}
{{ [1,2,3,4]|select("odd")|list }} {{ [0,1,"",none,"a"]|select|list }} {{ [1,2,3]|reject("gt", 1)|list }} {{ objs|selectattr("v", ">", 1)|map(attribute="n")|list }} {{ objs|rejectattr("v", "eq", 1)|list|length }} {{ objs|selectattr("zz")|list }} {{ objs|selectattr("zz", "undefined")|list|length }} {{ [1,2,3]|select("in", [2,3])|list }} {{ [1,2,4]|select("divisibleby", 2)|list }}
{{ m|map("nofilter")|list }}
{{ m|select("notest")|list }}
{{ m|nofilter }}
{% if no %}{{ m|nofilter }}{% endif %}ok
{% if t %}{{ m|nofilter }}{% endif %}ok
{{ (m|nofilter) if no else "ok" }}
{{ "x" if no else m|nofilter }}
{% for i in l %}{% if no %}{{ i|nofilter }}{% endif %}{% endfor %}ok
{% if no %}{% for i in l %}{{ i|nofilter }}{% endfor %}{% endif %}ok
{{ m is notest }}
{% if no and (m is notest) %}{% endif %}ok
{{ sp|trim }}|{{ "xxaxx"|trim("x") }}|{{ 5|trim }}|{{ missing|trim }}
{{ "42"|int }} {{ "42.9"|int }} {{ "x"|int }} {{ "x"|int(5) }} {{ "0x1f"|int(base=16) }} {{ "1f"|int(0, 16) }} {{ 3.99|int }} {{ true|int }} {{ nil|int }} {{ " 12 "|int }} {{ "1_000"|int }} {{ "-7"|int }} {{ "1e3"|int }} {{ l|int(9) }}
{{ "4.5"|float }} {{ "x"|float }} {{ "x"|float(1.5) }} {{ 3|float }} {{ "inf"|float }} {{ "1e3"|float }} {{ nil|float }} {{ " 2 "|float }}
{{ 42.55|round }} {{ 42.55|round(1, "floor") }} {{ 42.55|round(1, "ceil") }} {{ 2.5|round }} {{ 3.5|round }} {{ 2.675|round(2) }} {{ 42|round }} {{ 1234.5|round(-2) }} {{ 1250|round(-2) }} {{ -0.5|round }} {{ 42|round(1, "floor") }} {{ 1e20|round }}
{{ -3|abs }} {{ (-3)|abs }} {{ -2.5|abs }} {{ neg|abs }}
{{ s|upper }} {{ s|lower }} {{ s|title }} {{ "hello world-foo (bar) 3rd"|title }} {{ s|capitalize }} {{ "abc DEF"|capitalize }} {{ 5|upper }} {{ missing|upper }} {{ nil|lower }}
{{ lines|indent }} {{ lines|indent(2, true) }} {{ lines|indent(2, true, true) }} {{ lines|indent("> ") }} {{ "a\nb\n"|indent(2) }}| {{ ""|indent(2, true) }}| {{ "a"|indent(first=true) }}
{{ "foo bar baz qux"|truncate(9) }} {{ "foo bar baz qux"|truncate(9, true) }} {{ "foo bar baz qux"|truncate(11) }} {{ "foo bar baz qux"|truncate(11, false, "...", 0) }} {{ "foo"|truncate(3) }} {{ "foobarbazqux"|truncate(5, false, "", 0) }}
{{ "the quick brown fox jumps"|wordwrap(10) }} {{ "aaaaaaaaaaaaaaa b"|wordwrap(5) }} {{ "a\n\nb c"|wordwrap(3) }} {{ "one two"|wordwrap(3, wrapstring="|") }} {{ "aaaaaaaa"|wordwrap(3, false) }} {{ "well-known fact"|wordwrap(6) }}
{{ "one two  three"|wordcount }} {{ "a-b c_d é"|wordcount }} {{ "foo"|center(9) }}| {{ html|e }} {{ html|escape }} {{ html|forceescape }} {{ html|striptags }} {{ "<!-- c --><p>a  b</p> c"|striptags }} {{ html|safe }} {{ (html|e)|e }} {{ (html|safe)|forceescape }}
{{ (html|safe) + "<" }} {{ "<" + (html|safe) }} {{ (html|e) ~ "<" }} {{ [html|e] }} {{ (html|e)|upper }} {{ (html|e)|replace("b", "<") }} {{ (html|e).replace("b", "<") }} {{ (html|e) is escaped }} {{ html is escaped }} {{ ("%s"|safe) % "<" }} {{ ("<"|e).join(["<", "b"]) }} {{ ("x"|safe) * 2 }} {{ ("xy"|safe)[0] is escaped }}
{{ "a b/c?d=é&f"|urlencode }} {{ {"a b": "c/d", "e": 1}|urlencode }} {{ [("a", 1)]|urlencode }} {{ 5|urlencode }} {{ {"class": "a b", "x": none, "y": 5, "z": "<"}|xmlattr }} {{ {"a": 1}|xmlattr(false) }}
{{ 1000|filesizeformat }} {{ 1|filesizeformat }} {{ 0|filesizeformat }} {{ 1500000|filesizeformat }} {{ 1024|filesizeformat(true) }} {{ 123456789|filesizeformat(true) }} {{ "300"|filesizeformat }} {{ 1e15|filesizeformat }}
{{ d|attr("a") is defined }} {{ d|attr("items") is defined }} {{ s|attr("upper") is callable }} {{ s|string }} {{ 5|string + "a" }} {{ l|string }} {{ missing|string }} {{ l|pprint }}
{{ missing|default("x") }} {{ e|default("x") }} {{ e|default("x", true) }} {{ nil|default("x") }} {{ nil|d("x", true) }} {{ missing|d }} {{ d.zz|default("y") }} {{ e|default(boolean=true, default_value="k") }}
{{ missing.x|default("y") }}
{{ d|tojson }} {{ mixed|tojson }} {{ q|tojson }} {{ u|tojson(ensure_ascii=true) }} {{ "😀"|tojson(true) }} {{ deep|tojson(indent=2) }} {{ d|tojson(sort_keys=true) }} {{ d|tojson(separators=(",", ":")) }} {{ d|tojson(indent=1, separators=(", ", ":")) }} {{ []|tojson(indent=4) }} {{ {}|tojson(indent=4) }} {{ [[], {}]|tojson(indent=2) }} {{ 1.0|tojson }} {{ none|tojson }} {{ html|tojson }} {{ {1: 2, true: 3, none: 4, 1.5: 5}|tojson }} {{ (1, 2)|tojson }} {{ d|tojson(indent="\t") }} {{ deep|tojson(indent=0) }} {{ big|tojson }} {{ "\x7f"|tojson }}
{{ missing|tojson }}
{{ {(1,2): 3}|tojson }}
{{ range(3)|tojson }}
{{ 1e400|tojson }} {{ (1e400 - 1e400)|tojson }} {{ -1e400 }}
{{ s is string }} {{ n is number }} {{ n is integer }} {{ f is float }} {{ t is boolean }} {{ t is number }} {{ t is integer }} {{ nil is none }} {{ l is sequence }} {{ d is sequence }} {{ s is sequence }} {{ d is mapping }} {{ l is iterable }} {{ n is iterable }} {{ s is iterable }} {{ missing is iterable }} {{ missing is sequence }} {{ range is callable }} {{ s is callable }} {{ l|map("upper") is sequence }} {{ d.items() is sequence }} {{ d.items() is iterable }} {{ range(3) is sequence }} {{ d.keys() is mapping }}
{{ n is odd }} {{ n is even }} {{ n is divisibleby 7 }} {{ n is divisibleby(2) }} {{ t is true }} {{ no is false }} {{ 1 is true }} {{ s is lower }} {{ "AB" is upper }} {{ n is sameas 7 }} {{ l is sameas l }} {{ 1 is sameas true }} {{ "a" is in "abc" }} {{ 1 is in [1] }} {{ n is eq 7 }} {{ n is ne 7 }} {{ n is gt 3 }} {{ n is lessthan 3 }} {{ n is ge 7 }} {{ n is not eq 7 }} {{ "upper" is filter }} {{ "nope" is filter }} {{ "odd" is test }} {{ n is equalto 7.0 }} {{ missing is defined }} {{ missing is not defined }} {{ s is defined and n is defined }}
{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle("a", "b") }}{{ loop.changed(i) }};{% endfor %}
{% for i in [] %}x{% else %}none{% endfor %} {% for i in missing %}x{% else %}none{% endfor %} {% for i in l if i > 1 %}{{ i }}{{ loop.length }}{{ loop.last }}{% else %}none{% endfor %} {% for i in l if i > 9 %}{{ i }}{% else %}none{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %} {% for k in d %}{{ k }}{% endfor %} {% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %} {% for x in "añb" %}{{ x }}.{% endfor %} {% for x in range(3) %}{{ x }}{% endfor %} {% for x in 1, 2, 3 %}{{ x }}{% endfor %}
{% for a, b in [1] %}{% endfor %}
{% for a, b in [(1, 2, 3)] %}{% endfor %}
{% for i in n %}{% endfor %}
{% for i in range(10) %}{% if i == 3 %}{% continue %}{% endif %}{% if i == 6 %}{% break %}{% endif %}{{ i }}{% endfor %} {% for i in l %}{% break %}{% else %}else{% endfor %}
{% for i in [1, [2, [3]]] recursive %}{{ i if i is number else "(" ~ loop(i) ~ ")" }}{{ loop.depth }}{% endfor %}
{% for i in [1] %}{{ loop([2]) }}{% endfor %}
{% set x = 1 %}{% for i in l %}{{ x }}{% set x = i %}{{ x }}{% endfor %}{{ x }}
{% for i in l %}{{ y }}{% set y = i %}{% endfor %}{{ y }}
{% set ns = namespace(a=1, b="x") %}{% for i in l %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.c }}{{ ns }}{{ ns["a"] }}
{% set s.x = 1 %}
{% set a, b = 1, 2 %}{{ a }}{{ b }} {% set c = 1, 2 %}{{ c }} {% set (p, q) = [3, 4] %}{{ p }}{{ q }}
{% set x %}a{{ n }}b{% endset %}{{ x }}{{ x|length }} {% set y | upper | trim %} abc {% endset %}[{{ y }}] {% set x %}{% set inner = 5 %}{% endset %}{{ inner }}
{% if t %}{% set k = 1 %}{% endif %}{{ k }} {% if no %}{% set s = "no" %}{% endif %}{{ s }} {% if no %}a{% elif n == 7 %}b{% else %}c{% endif %}
{% with a=1, b=2 %}{{ a }}{{ b }}{% endwith %}{{ a }} {% with n=n+1 %}{{ n }}{% endwith %}{{ n }} {% with %}{% set q=1 %}{{ q }}{% endwith %}
{% macro m(a, b=2, c=a) %}{{ a }},{{ b }},{{ c }};{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=5, a=4) }}{{ m() }}{{ m(1, 2, 3) }}{{ m }}
{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }}{{ m() }}{{ m.name }}{{ m.arguments }}{{ m.catch_kwargs }}{{ m.catch_varargs }}{{ m.caller }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}
{% macro m(t) %}[{{ caller(t) }}{{ caller("z") }}]{% endmacro %}{% call(x) m("q") %}<{{ x }}{{ n }}>{% endcall %}
{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}
{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}{% call m() %}{% endcall %}
{% macro m() %}{{ late }}{% endmacro %}{% set late = 3 %}{{ m() }}
{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}
{% set v = 1 %}{% macro m() %}{{ v }}{% set v = 2 %}{{ v }}{% endmacro %}{{ m() }}{{ v }}
{% for i in l %}{% macro m() %}{{ i }}{{ loop.index }}{% endmacro %}{{ m() }}{% endfor %}
{% filter upper %}a{{ s }}b{% endfilter %} {% filter replace("a", "b")|upper %}banana{% endfilter %} {% filter trim %} x {% endfilter %}
{% raw %}{{ x }}{% y %}{% endraw %} {%- raw -%} {{ a }} {%- endraw -%} z {# comment #}c{#- d -#} e
{% block b %}in{{ n }}{% endblock %} {% block c %}x{% endblock c %} {% generation %}g{{ n }}{% endgeneration %} {% print 1, 2 %} {% print s %}
{% include "x" %}
{% extends "x" %}
{% import "x" as y %}
{% from "x" import y %}
{% nope %}
{% if %}
{{ }}
{{ 1 +
{% if t %}
{% endif %}
{% for %}{% endfor %}
{{ 'abc }}
{{ (1, 2 }}
{{ [1, 2) }}
{{ a b }}
{{ {"a" 1} }}
{{ 1 if }}
{{ n | }}
{{ n is }}
{% set = 1 %}
{% set none = 1 %}
{% set true = 1 %}
{% for none in l %}{% endfor %}
{{ f(a=1, 2) }}
{{ dict(a=1, b=2) }} {{ dict({"x": 1}, y=2) }} {{ dict([("k", "v")]) }} {{ dict() }} {{ range(3)|list }} {{ range(1, 10, 3)|list }} {{ range(5, 0, -2)|list }} {{ range(3) }} {{ range(1, 4, 2) }}
{% set c = cycler("a", "b", "c") %}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }} {% set j = joiner(", ") %}{{ j() }}a{{ j() }}b{{ j() }}c
{{ strftime_now("%Y-%m-%d %H:%M:%S %B %b %A %a %j %y %p %I %d %% %e %F %T %D %R %U %W %V %u %w %-d %-m %C %G %h %c %x %X %r") }}
{{ raise_exception("my message") }}
{{ range(100001) }}
{{ range(1, 2, 0) }}
{{ "a" "b" 'c' }} {{ 'a\nb' }} {{ 'a\'b' }} {{ "\x41\u00e9\U0001F600\101\z" }} {{ "tab\there" }} {{ '\\n' }}
{{ {"a": 1}.a }} {{ [1, 2][0] }} {{ (1, 2)[1] }} {{ "abc"[1] }} {{ -n }} {{ +n }} {{ - -n }} {{ not not n }} {{ -n|abs }} {{ n|string|length }} {{ "a"|upper ~ "b"|upper }} {{ (n).bit is defined }}
{{ l.append(9) }}{{ l }} {{ l.pop() }}{{ l.pop(0) }}{{ l }} {{ l.insert(0, "x") }}{{ l }} {{ l.extend([1]) }}{{ l.remove("x") }}{{ l.index(1) }}{{ l.count(1) }}{{ l.reverse() }}{{ l }}{{ l.copy() }} {{ l.clear() }}{{ l }}
{{ d.update({"z": 1}, y=2) }}{{ d }} {{ d.pop("a") }}{{ d.pop("nope", 5) }}{{ d.setdefault("w", 1) }}{{ d.setdefault("w", 2) }}{{ d }}{{ d.copy() }}{{ d.clear() }}{{ d }}
{% set _ = l.append(1) %}{% for i in l %}{{ i }}{% endfor %}
{{ [1, 2, 3]|map("string")|join(" ") }} {{ messages|map(attribute="role")|unique|join(",") }} {{ messages[0].role }} {{ messages[-1]["content"] }} {{ messages[1:]|length }} {{ messages|selectattr("role", "equalto", "user")|first }} {{ (messages|last).role }} {{ messages[0]["content"] ~ nil ~ 1 }}
{{ f.is_integer() }} {{ 2.0.is_integer() }} {{ 2.0 is integer }} {{ 1 == true }} {{ {1: "a"}[true] }} {{ {1: "a"}[1.0] }} {{ "1" == 1 }} {{ [1, [2]] == [1, [2]] }} {{ {"a": [1]} == {"a": [1]} }} {{ none < 1 }}
{{ 1 / 0 }}
{{ 1 % 0 }}
{{ 1.0 // 0 }}
{{ "" .join(l) }}
{{ l[s] }} {{ s[nil] }} {{ d[l] }} {{ n[0] }} {{ d[nil] }} {{ l[1.0] }} {{ l[true] }}
{{ l[1.0:] }}
{{ *l }}
{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{"a": 3, "b": 4}) }}{{ m(*[5], **{"b": 6}) }} {{ "{} {}".format(*l) }}
{{ u.split(" ") }} {{ u[3:5] }} {{ "éÉ".swapcase() }} {{ "ñandú".capitalize() }} {{ "ЁЖ".lower() }} {{ "ώς".upper() }} {{ "a\u0301" | length }}
{% set x = [1,2,3] %}{% for a in x %}{% set outer = loop %}{% for b in x %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}
{% for i in range(3) %}{% for j in range(3) %}{% if j == 1 %}{% break %}{% endif %}{{ i }}{{ j }} {% endfor %}{% endfor %}
{{ [] is sequence }} {{ () is sequence }} {{ {} is sequence }} {{ none is sequence }} {{ 1.5 is number }} {{ "1" is number }} {{ [1,2]|tojson|length }}
{{ "a" ~ 1 ~ none ~ true ~ 1.5 ~ [1] ~ missing }} {{ 1 ~ 2 }} {{ "x" ~ (1, 2) }}
{%- if t -%}  a  {%- endif -%}  b  {%+ if t %} c {%+ endif +%}\n d
a\n  {% if t %}\n  b\n  {% endif %}\n  c {% if t %} d {% endif %}\n\n  {{ n }}\n  {# c #}\n  e\n
  {%+ if t %}x{% endif +%}\n y {%- if t %}\n z{% endif -%}\n w\n\n
{% if t %}\n\n\nx{% endif %}\n\n{{ n }}\n\n{%- for i in l %}\n  {{ i }}\n{%- endfor %}\n
{% set x = "a\n" -%}\n  {{- x -}}  \n|{{ x }}
line1\r\nline2\rline3\n{{ "a\r\nb" }}\n
{{- "x" }}  {{ "y" -}}   z{{+ n }}
{#\n multi\n#}\nx{#- a -#}\n y {##}{#-#} z
{{ "{{ x }}" }} {{ '{% y %}' }} {{ {"a": {"b": {"c": 1}}}.a.b.c }} {{ {"a": 1}}}
{{ d.keys() == {"b": 1, "a": 2, "items": 3, "C": 9}.keys() }} {{ d.items() == d.items() }} {{ d.values() == d.values() }} {{ range(3) == range(0, 3, 1) }} {{ range(0) == range(2, 1) }} {{ range == range }} {{ n.a == nil.a }} {{ loop is defined }} {{ d.keys() != l }} {{ 3 in d.values() }} {{ ("b", 1) in d.items() }} {{ "b" in d.keys() }} {{ d == {"b": 1, "a": 2, "items": 3, "C": "x"} }} {{ d == {"b": 1} }} {{ {"b": 1, "x": 2} == {"b": 1, "y": 2} }}
{% set big_d = {} %}{% for i in range(40) %}{% set _ = big_d.update({i: i * i, "k" ~ i: i}) %}{% endfor %}{{ big_d[39] }}{{ big_d["k7"] }}{{ big_d["nope"] }}{{ big_d[7.0] }}{{ big_d|length }}{{ big_d.pop("k3") }}{{ big_d["k39"] }}{{ "k3" in big_d }}{{ big_d.update(k3=1) }}{{ big_d|last }}{{ (1, "a") in {(1, "a"): 2} }}{{ {1.5: "f", (1, (2,)): "t"}[1.5] }}
{{ 1 < 1.5 }} {{ 2 > 1.5 }} {{ 9007199254740993 == 9007199254740992.0 }} {{ 9007199254740993 > 9007199254740992.0 }} {{ 1e300 > 5 }} {{ -1e300 < 5 }} {{ ("nan"|float) == 1 }} {{ ("nan"|float) < 1 }} {{ 1 <= ("nan"|float) }} {{ [1, 2] < [1, 2, 3] }} {{ (2,) > (1, 9) }} {{ true < 2 }} {{ "é" > "z" }} {{ "inf"|float }} {{ -("inf"|float) }} {{ 5 is sameas 5 }} {{ d is sameas d }} {{ d is sameas {} }}
{{ (1, 2) < [1] }}
{{ missing < 1 }}
{{ -missing }}
{{ -s }}
{{ missing + 1 }}
{{ big + 1 }}{{ nope.x }}
{{ "%s" % missing }}|{{ "%5s|%-5s|%05.1f|%+.2e|%G|%F" % ("a", "b", 2.345, 12345.678, 0.00001, 1.5) }} {{ "%c%c" % (65, "é") }} {{ "%*d" % (5, 42) }} {{ "%.*f" % (2, 1.005) }} {{ "%-*d|" % (5, 42) }} {{ "%ld %hd" % (1, 2) }} {{ "%a" % "x" }} {{ "%#o %#X" % (8, 255) }} {{ "%.3d" % 5 }} {{ "%d" % true }} {{ "%x" % -255 }} {{ "%s" % {} }} {{ "%%" % () }} {{ "%(a)5d|%(a)s" % {"a": 3} }} {{ "%r" % ["a"] }}
{{ "%(a)s" % {"b": 1} }}
{{ "%(a)s" % 1 }}
{{ "%(a" % {} }}
{{ "%" % 1 }}
{{ "%y" % 1 }}
{{ "%c" % "ab" }}
{{ "%*d" % ("a", 1) }}
{{ "%x" % 1.5 }}
{{ "a" % 1 }}
{{ "{:d}".format("a") }}
{{ "{:s}".format(1) }}
{{ "{:x}".format(1.5) }}
{{ "{:.2d}".format(1) }}
{{ "{0} {}".format(1, 2) }}
{{ "{} {0}".format(1, 2) }}
{{ "{}".format() }}
{{ "{x}".format() }}
{{ "{".format() }}
{{ "}".format() }}
{{ "{0[a}".format({}) }}
{{ "{!x}".format(1) }}
{{ "{:zz}".format(1) }}
{{ "{!s:>4}|{!r:<5}|{:=+6d}|{:^+7.1f}|{: d}|{:#b}|{:#o}|{:n}".format(1, "a", 5, 2.25, 3, 5, 8, 9) }} {{ "{:,.2f}|{:e}|{:G}|{:%}".format(12345.678, 0.5, 1e-10, 0.5) }} {{ "{0[0]}{0[1][k]}".format([1, {"k": "v"}]) }} {{ "{:5}|{:>5}|{!s:5}".format(true, "é", none) }} {{ "{:f}|{:.0f}|{:g}".format(2, 2.5, 100000000.0) }} {{ "{:}".format("x") }}
{{ "a"|format("b", c=1) }}
{{ l.index(99) }}
{{ l.remove(99) }}
{{ [].pop() }}
{{ l.pop(9) }}
{{ d.pop("zz") }}
{{ d.update(5) }}
{{ d.update({}, {}) }}
{{ l.insert(-1, "q") }}{{ l }}{{ l.insert(99, "z") }}{{ l }}{{ l.pop(-2) }}{{ (1, 2, 1).count(1) }}{{ (1, 2).index(2) }}
{{ dict(1) }}
{{ dict([1]) }}
{{ dict([(1, 2, 3)]) }}
{{ dict({}, {}) }}
{{ cycler() }}
{{ range() }}
{{ range("a") }}
{{ range(1, 2, 3, 4) }}
{{ namespace([("a", 1)]).a }}{{ namespace({"b": 2}, c=3).b }}
{{ "x"|center("y") }}
{{ "abc".center(9, "ab") }}
{{ "a".split("") }}
{{ "a".partition("") }}
{{ "a".index("b") }}
{{ "a".startswith(1) }}
{{ "a".startswith(("a", 1)) }} {{ "ab".endswith(("x", "b")) }}
{{ "a".endswith(1) }}
{{ "a".strip(1) }}
{{ "a".join(5) }}
{{ 1 in "abc" }}
{{ 1 in 5 }}
{{ l|sort(attribute="zz") }}
{{ [none, none]|sort }} {{ [(1, "b"), (1, "a")]|sort }} {{ [true, 0, 2]|sort }} {{ objs|map(attribute="n")|sort|list }} {{ {2: "b", 1: "a"}|dictsort }}
{{ s|dictsort }}
{{ d|dictsort(by="nope") }}
{{ missing|dictsort }}
{{ d|dictsort }}{{ {"a": none, "b": 1}|dictsort(by="value") }}
{{ [1]|batch("a") }}{{ nope.x }}
{{ [1, 2]|slice(0)|list }}
{{ l|map }}{{ l|map|list }}
{{ l|map(5)|list }}
{{ l|selectattr|list }}
{{ l|select(5)|list }}
{{ missing|abs }}
{{ s|abs }}
{{ missing|int }}
{{ "5"|int(base=99) }}
{{ missing|float }}
{{ s|round }}
{{ 1.5|round(0, "nope") }}
{{ "x"|filesizeformat }}
{{ missing|round }}
{{ missing|indent }}
{{ 5|indent }}
{{ 5|wordwrap }}
{{ "a"|truncate(1) }}
{{ 5|truncate }}
{{ {"a b": 1}|xmlattr }}
{{ 5|xmlattr }}
{{ [1]|urlencode }}
{{ 5 is lower }} {{ missing is upper }} {{ s is filter }}
{{ 5 is filter }}
{{ s is odd }}
{{ n is divisibleby(0) }}
{{ d|tojson(separators=5) }}
{{ [1, "a", none]|tojson(indent="--") }} {{ "\t\b\f\r\u2028"|tojson }} {{ -1.5e-9|tojson }} {{ {"b": 1, "a": {"d": 1, "c": 2}}|tojson(sort_keys=true, indent=1) }}
{{ {1: 2, "a": 3}|tojson(sort_keys=true) }}
{% for i in l %}{{ loop.nope }}{% endfor %}
{% for i in l %}{{ loop.cycle() }}{% endfor %}
{% for i in l recursive %}{{ loop(1, 2) }}{% endfor %}
{% for i in [1, 1, 2] %}{{ loop.changed(i) }}{{ loop|length }}{{ "x" if loop }}{% endfor %}
{% for i in l %}{{ loop.nextitem is defined }}{{ loop.previtem is defined }}{% endfor %}
{% macro m(a=1, b) %}{% endmacro %}
{% macro m(a, b=a ~ "!") %}{{ b }}{% endmacro %}{{ m("x") }}{{ m("x", b="y") }}{{ m(**{"a": "q"}) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(**5) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(**missing) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(*5) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(a=1, **{"a": 2}) }}
{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}
{% call 5 %}{% endcall %}
{% with a = 1, (b, c) = (2, 3) %}{{ a }}{{ b }}{{ c }}{% endwith %}
{% set a, b = 1 %}
{% set ns = namespace() %}{% set ns.a, x = 1, 2 %}{{ ns.a }}{{ x }}
{% block b scoped %}x{% endblock b %}
{% print %}
{% print 1 2 %}
{{ 1_0 }} {{ 1e-3 }} {{ 1E5 }} {{ 0 }} {{ 00 }}
{{ 007 }}
{{ 0x }}
{{ 1.foo }}
{{ a..b }}
{{ a[ }}
{{ a[1:2:3:4] }}
{{ d[1, 2] }} {{ {(1, 2): "t"}[1, 2] }}
{{ l["a"] }} {{ l[missing] }} {{ s["upper"]() }} {{ d["get"]("a") }}
{{ l[missing:] }}
{{ l["a":] }}
{{ l[::0] }}
{{ l[-99:99] }} {{ l[2:0:-1] }} {{ l[::2] }} {{ l[9:] }} {{ s[5:1] }} {{ u[::2] }} {{ range(10, 0, -3)[::-1]|list }} {{ range(10)[3:] }} {{ range(0)[1:] }} {{ (1, 2, 3)[::-1] }}
{{ 5.5 // 0.5 }} {{ -5.5 % 3 }} {{ 5.5 % -3 }} {{ 0.0 / 5 }} {{ -0.0 }} {{ 4 ** 0.5 }} {{ 2.0 ** 3 }} {{ 7 // -2 }} {{ 3 * 1.5 }} {{ 1 - 0.5 }} {{ true + true }} {{ -true }} {{ +1.5 }}
{{ 0 ** -1 }}
{{ (-8) ** 0.5 }}{{ nope.x }}
{{ 5 % 0.0 }}
{{ "\u00e9\x41\U0001f600\101\n\t\\\'\"\q" }} {{ 'a\
b' }}
{{ "\u12" }}
{{ "\N{BULLET}" }}{{ nope.x }}
{{ 'é'.upper() ~ 'ß'.title() ~ "ŉ".lower() }} {{ "ab".isalnum() }} {{ "".isspace() }} {{ "".islower() }} {{ "A1".istitle() }} {{ "aB".istitle() }} {{ "É".isupper() }} {{ "é".islower() }}
{{ (html|e).upper() }} {{ ("<"|e).split(",") }} {{ (("a"|safe) ~ "b") is escaped }} {{ ("a"|safe).replace("a", "<") }} {{ "a,b"|safe|first is escaped }} {{ [("<"|e)]|join }} {{ ("%s"|e)|format("<") }} {{ ("<"|e)|trim is escaped }}
'''


def cases(path):
    text = open(path, encoding="utf-8").read() if path else SNIPPETS
    for line in text.strip("\n").split("\n"):
        if line:
            yield line
            # The same with the written-out line breaks real ones, unless they stand in strings.
            if "\\n" in line:
                yield line.replace("\\r", "\r").replace("\\n", "\n")


ATOMS = ["s", "e", "sp", "q", "u", "n", "z", "neg", "f", "h", "t", "no", "nil", "l", "m", "mixed", "d", "deep", "objs",
         "html", "lines", "missing", "1", "0", "-2", "2.5", "'a'", "'x y'", "''", "[]", "{}", "(1, 2)", "range(3)", "none", "true",
         "messages", "[1, 'b', none]", "{'k': 'v', 'a': [1]}", "d.items()", "(l|map('string'))"]
FILTERS = ["length", "upper", "lower", "trim", "string", "list", "first", "last", "reverse", "sort", "unique", "join", "join('-')",
           "tojson", "int", "float", "round", "abs", "default('D')", "default('D', true)", "sum", "min", "max", "title",
           "capitalize", "replace('a', 'b')", "indent(2)", "truncate(5, true)", "wordcount", "e", "safe", "center(9)", "batch(2)", "slice(2)",
           "map('string')", "map('upper')", "select", "reject", "select('string')", "reject('none')", "selectattr('a')", "items",
           "dictsort", "groupby(0)", "map(attribute='a')", "map(attribute=0)", "urlencode", "striptags", "tojson(indent=1)",
           "format(1)", "wordwrap(4)", "attr('a')", "filesizeformat", "forceescape", "sort(attribute='v')", "pprint"]
TESTS = ["defined", "none", "string", "mapping", "iterable", "sequence", "number", "integer", "float", "boolean", "true", "odd",
         "even", "lower", "upper", "callable", "sameas(n)", "eq(1)", "in([1, 'a'])", "divisibleby(2)", "gt(1)", "escaped"]
BINARY = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]
POSTFIX = ["[0]", "[-1]", "['a']", ".a", ".items", ".items()", "[1:]", "[::-1]", "[:2]", ".upper()", ".strip()", ".split()", ".split('a')",
           ".get('a')", ".keys()", ".title()", ".startswith('a')", ".replace('a', 'b')", "[1]", ".find('b')", ".count('a')", ".join('ab')",
           ".splitlines()", ".index(1)", ".values()", ".copy()", ".zfill(4)", ".center(6)", ".partition(' ')", ".isdigit()", ".isalpha()"]


def expression(rng, depth):
    if depth == 0:
        return rng.choice(ATOMS)
    inner = expression(rng, depth - 1)
    kind = rng.randrange(9)
    if kind < 3:
        return f"({inner})|{rng.choice(FILTERS)}"
    if kind == 3:
        return f"({inner}) is {rng.choice(['', 'not '])}{rng.choice(TESTS)}"
    if kind < 6:
        return f"({inner}) {rng.choice(BINARY)} ({expression(rng, rng.randrange(depth))})"
    if kind == 6:
        return f"({inner}) if ({expression(rng, 0)}) else ({expression(rng, rng.randrange(depth))})"
    return f"({inner}){rng.choice(POSTFIX)}"


def quoted(text, indent):
    """A C string literal, over as many lines as it takes."""
    escape = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
    lines, line = [], ""
    for byte in text.encode():
        char = chr(byte)
        char = escape.get(char, char if 32 <= byte < 127 else "\\%03o" % byte)
        if len(line) + len(char) > 84:
            lines, line = lines + [line], ""
        line += char
    return ("\n" + " " * indent).join('"%s"' % part for part in lines + [line])


def result(env, source):
    """What Python renders, or the exception that it raises."""
    try:
        signal.alarm(5)
        return env.from_string(source).render(**json.loads(json.dumps(CONTEXT)))
    except Exception as e:
        return e
    finally:
        signal.alarm(0)


def is_comparable(want):
    """Not an address or one of Python's own insides."""
    return isinstance(want, Exception) or not re.search("object |built-in|bound method|<function|<class|generator", want, re.I)


def print_table(env):
    print("/* Made by tools/check_template.py --table: what Python jinja2 3.1.6 renders. */")
    print("static const char context_text[] =\n    %s;\n" % quoted(json.dumps(CONTEXT, ensure_ascii=False), 4))
    print("static const struct {\n    const char *source, *want; // want NULL: an error\n} rows[] = {")
    for source in cases(None):
        want = result(env, source)
        if is_comparable(want):
            print("    {%s,\n     %s}," % (quoted(source, 5), "NULL" if isinstance(want, Exception) else quoted(want, 5)))
    print("};")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--driver", default="build/native/tests/template_driver")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--random", type=int, default=2000)
    ap.add_argument("--snippets")
    ap.add_argument("--table", action="store_true")
    args = ap.parse_args()
    env, rng = environment(), random.Random(args.seed)
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError()))
    if args.table:
        return print_table(env)
    driver = subprocess.Popen([args.driver], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    agree = differ = 0
    sources = list(cases(args.snippets))
    sources += ["{{ " + expression(rng, rng.randint(1, 4)) + " }}" for _ in range(args.random)]
    for source in sources:
        want = result(env, source)
        if not is_comparable(want):
            continue
        driver.stdin.write((json.dumps({"template": source, "context": CONTEXT, "now": "2024-07-26T09:05:03"}) + "\n").encode())
        driver.stdin.flush()
        got = json.loads(driver.stdout.readline())
        if isinstance(want, str) and got.get("text") == want or isinstance(want, Exception) and "error" in got:
            agree += 1
            continue
        differ += 1
        print(f"{source!r}\n    python {want!r}\n    ingle  {got.get('text', got.get('error'))!r}")
    print(f"{agree} agree, {differ} differ")
    return differ > 0


if __name__ == "__main__":
    sys.exit(main())
