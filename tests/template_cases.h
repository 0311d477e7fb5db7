/* Made by tools/check_template.py --table: what Python jinja2 3.1.6 renders. */
static const char context_text[] =
    "{\"s\": \"Hello, W\303\266rld\", \"e\": \"\", \"sp\": \"  a b\\t c \\n\", \"q\": \"i"
    "t's \\\"q\\\" \\\\ \\n\\t\\u0007 \303\251 \342\200\213 \360\237\230\200\", \"u\": \""
    "\316\221\316\243 \320\237\321\200\320\270\320\262\320\265\321\202 \303\277\", \"n\":"
    " 7, \"z\": 0, \"neg\": -3, \"f\": 2.5, \"g\": 1e+16, \"h\": 0.1, \"t\": true, \"no\""
    ": false, \"nil\": null, \"l\": [3, 1, 2], \"m\": [\"b\", \"A\", \"c\", \"a\"], \"mix"
    "ed\": [1, \"x\", null, true, 2.5, [1], {\"k\": \"v\"}], \"d\": {\"b\": 1, \"a\": 2, "
    "\"items\": 3, \"C\": \"x\"}, \"deep\": {\"x\": {\"y\": [1, {\"z\": \"end\"}]}}, \"ob"
    "js\": [{\"n\": \"x\", \"v\": 3, \"g\": \"A\"}, {\"n\": \"Y\", \"v\": 1, \"g\": \"b\""
    "}, {\"n\": \"z\", \"v\": 2, \"g\": \"a\"}], \"messages\": [{\"role\": \"system\", \""
    "content\": \"S\"}, {\"role\": \"user\", \"content\": \" U \"}, {\"role\": \"assistan"
    "t\", \"content\": null}], \"html\": \"<a href='x'>&amp; b</a>\", \"lines\": \"one\\n"
    "\\ntwo\\r\\n three\", \"big\": 123456789012345678901234567890}";

static const struct {
    const char *source, *want; // want NULL: an error
} rows[] = {
    {"{{ s }}|{{ e }}|{{ sp }}|{{ q }}|{{ n }}|{{ f }}|{{ g }}|{{ h }}|{{ t }}|{{ nil }}|{"
     "{ l }}|{{ mixed }}|{{ d }}|{{ deep }}|{{ missing }}|{{ big }}",
     "Hello, W\303\266rld||  a b\t c \n|it's \"q\" \\ \n\t\007 \303\251 \342\200\213 \360"
     "\237\230\200|7|2.5|1e+16|0.1|True|None|[3, 1, 2]|[1, 'x', None, True, 2.5, [1], {'k'"
     ": 'v'}]|{'b': 1, 'a': 2, 'items': 3, 'C': 'x'}|{'x': {'y': [1, {'z': 'end'}]}}||1234"
     "56789012345678901234567890"},
    {"{{ [s, q, u, html] }} {{ {\"a\": 1.0, 2: \"b\", none: true, (1,2): []} }} {{ (1,) }}"
     " {{ () }} {{ (1, 2) }}",
     "['Hello, W\303\266rld', 'it\\'s \"q\" \\\\ \\n\\t\\x07 \303\251 \\u200b \360\237\230"
     "\200', '\316\221\316\243 \320\237\321\200\320\270\320\262\320\265\321\202 \303\277',"
     " \"<a href='x'>&amp; b</a>\"] {'a': 1.0, 2: 'b', None: True, (1, 2): []} (1,) () (1,"
     " 2)"},
    {"{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % -3 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 2 **"
     " 10 }} {{ 2 ** -1 }} {{ -2 ** 2 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 2 ** 3 ** 2 }} {"
     "{ 1 - 2 - 3 }} {{ 1 + 2 ~ 3 + 4 }}",
     NULL},
    {"{{ 1e3 }} {{ 1.5e-7 }} {{ 123456789.125 }} {{ 1e22 }} {{ 0.1 + 0.2 }} {{ 1e16 + 1 }}"
     " {{ 5e-324 }} {{ 1_000 }} {{ 0x1f }} {{ 0b11 }} {{ 0o17 }} {{ 1e100 }} {{ 9007199254"
     "740993.0 }}",
     "1000.0 1.5e-07 123456789.125 1e+22 0.30000000000000004 1e+16 5e-324 1000 31 3 15 1e+"
     "100 9007199254740992.0"},
    {"{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 == true }} {{ \"a\" < \"b\" }} {{ [1,2] "
     "< [1,3] }} {{ (1,) == [1] }} {{ nil == none }} {{ \"a\" in \"abc\" }} {{ 1 in [1,2] "
     "}} {{ \"b\" in d }} {{ 5 not in l }} {{ missing == missing2 }}",
     "True False True True True False True True True True True True"},
    {"{{ not t }} {{ not e }} {{ t and e }} {{ e or n }} {{ nil or missing or \"x\" }} {{ "
     "0 and 1/0 }}",
     "False True  7 x 0"},
    {"{{ \"a\" if t }} {{ \"a\" if no }} {{ \"a\" if no else \"b\" if no else \"c\" }} {{ "
     "(\"x\" if no) is defined }}",
     "a  c False"},
    {"{{ s[0] }}{{ s[-1] }}{{ s[7:9] }}{{ s[::-1] }}{{ s[1:-1:3] }}{{ s[99] }}{{ s[:3] }}{"
     "{ s[-3:] }}{{ u[::-1] }}{{ u[1] }} {{ l[::-1] }} {{ l[-1] }} {{ l[5] }} {{ l[1:] }} "
     "{{ range(10)[2:8:3] }} {{ range(5)[-1] }} {{ (1,2,3)[:-1] }}",
     "HdW\303\266dlr\303\266W ,olleHeoWlHelrld\303\277 \321\202\320\265\320\262\320\270"
     "\321\200\320\237 \316\243\316\221\316\243 [2, 1, 3] 2  [1, 2] range(2, 8, 3) 4 (1, 2"
     ")"},
    {"{{ missing.a }}",
     NULL},
    {"{{ missing[\"a\"] }}",
     NULL},
    {"{{ missing() }}",
     NULL},
    {"{{ nil.a }} {{ nil.a is defined }} {{ n.a }} {{ s.__class__ }} {{ s.nope }} {{ l.nop"
     "e }}",
     " False    "},
    {"{{ nil.a.b }}",
     NULL},
    {"{{ s.__class__.__mro__ }}",
     NULL},
    {"{{ s + 1 }}",
     NULL},
    {"{{ 1 + s }}",
     NULL},
    {"{{ l + [4] }} {{ l + (1,) }}",
     NULL},
    {"{{ [1] * 3 }} {{ \"ab\" * 3 }} {{ 2 * \"x\" }} {{ \"x\" * -1 }} {{ (1,) * 2 }}",
     "[1, 1, 1] ababab xx  (1, 1)"},
    {"{{ s.upper() }} {{ s.lower() }} {{ s.title() }} {{ s.capitalize() }} {{ s.swapcase()"
     " }} {{ u.upper() }} {{ u.lower() }} {{ \"stra\303\237e\".upper() }} {{ \"they're bil"
     "l's 3rd\".title() }} {{ \"they're bill's 3rd-x (y\".title() }}",
     "HELLO, W\303\226RLD hello, w\303\266rld Hello, W\303\266rld Hello, w\303\266rld hELL"
     "O, w\303\226RLD \316\221\316\243 \320\237\320\240\320\230\320\222\320\225\320\242 "
     "\305\270 \316\261\317\202 \320\277\321\200\320\270\320\262\320\265\321\202 \303\277 "
     "STRASSE They'Re Bill'S 3Rd They'Re Bill'S 3Rd-X (Y"},
    {"{{ sp.strip() }}|{{ sp.lstrip() }}|{{ sp.rstrip() }}|{{ \"xxaxx\".strip(\"x\") }}|{{"
     " \"abcba\".strip(\"ab\") }}|{{ \"\303\251a\303\251\".strip(\"\303\251\") }}",
     "a b\t c|a b\t c \n|  a b\t c|a|c|a"},
    {"{{ \"a,b,,c\".split(\",\") }} {{ \"a,b,,c\".split(\",\", 1) }} {{ \"a b  c \".split("
     ") }} {{ \"a b  c \".split(None, 1) }} {{ \"a,b,c\".rsplit(\",\", 1) }} {{ \" a b c "
     "\".rsplit(None, 1) }} {{ \"\".split() }} {{ \"\".split(\",\") }} {{ \"a b\".split(ma"
     "xsplit=1) }}",
     "['a', 'b', '', 'c'] ['a', 'b,,c'] ['a', 'b', 'c'] ['a', 'b  c '] ['a,b', 'c'] [' a b"
     "', 'c'] [] [''] ['a', 'b']"},
    {"{{ lines.splitlines() }} {{ lines.splitlines(true) }} {{ \"a\\n\".splitlines() }} {{"
     " \"\".splitlines() }}",
     "['one', '', 'two', ' three'] ['one\\n', '\\n', 'two\\r\\n', ' three'] ['a'] []"},
    {"{{ lines.splitlines() }} {{ lines.splitlines(true) }} {{ \"a\n\".splitlines() }} {{ "
     "\"\".splitlines() }}",
     "['one', '', 'two', ' three'] ['one\\n', '\\n', 'two\\r\\n', ' three'] ['a'] []"},
    {"{{ \"a-b-c\".partition(\"-\") }} {{ \"a-b-c\".rpartition(\"-\") }} {{ \"abc\".partit"
     "ion(\"-\") }} {{ \"abc\".rpartition(\"-\") }}",
     "('a', '-', 'b-c') ('a-b', '-', 'c') ('abc', '', '') ('', '', 'abc')"},
    {"{{ s.replace(\"l\", \"L\") }} {{ s.replace(\"l\", \"L\", 1) }} {{ \"abc\".replace(\""
     "\", \"-\") }} {{ \"abc\".replace(\"\", \"-\", 2) }} {{ s.find(\"o\") }} {{ s.rfind("
     "\"o\") }} {{ s.find(\"ld\") }} {{ s.find(\"zz\") }} {{ s.count(\"l\") }} {{ s.index("
     "\"W\") }} {{ \"aaa\".count(\"aa\") }} {{ \"abc\".count(\"\") }}",
     "HeLLo, W\303\266rLd HeLlo, W\303\266rld -a-b-c- -a-bc 4 4 10 -1 3 7 1 4"},
    {"{{ s.startswith(\"He\") }} {{ s.endswith(\"ld\") }} {{ s.startswith((\"x\", \"H\")) "
     "}} {{ s.startswith(\"ello\", 1) }} {{ s.endswith(\"\") }} {{ \"abc\".removeprefix(\""
     "ab\") }} {{ \"abc\".removesuffix(\"bc\") }}",
     "True True True True True c a"},
    {"{{ \", \".join([\"a\", \"b\"]) }} {{ \"-\".join(\"abc\") }} {{ \"\".join([]) }}",
     "a, b a-b-c "},
    {"{{ \", \".join([1]) }}",
     NULL},
    {"{{ \"abc\".center(10, \"*\") }}|{{ \"abc\".center(9) }}|{{ \"ab\".center(5) }}|{{ \""
     "ab\".ljust(4, \".\") }}|{{ \"ab\".rjust(4) }}|{{ \"42\".zfill(5) }}|{{ \"-42\".zfill"
     "(5) }}|{{ \"a\\tb\".expandtabs(4) }}",
     "***abc****|   abc   |  ab |ab..|  ab|00042|-0042|a   b"},
    {"{{ \"abc\".isalpha() }} {{ \"ab1\".isalnum() }} {{ \"12\".isdigit() }} {{ \" \".issp"
     "ace() }} {{ \"Ab\".isupper() }} {{ \"ab1\".islower() }} {{ \"Ab Cd\".istitle() }} {{"
     " \"\".isalpha() }} {{ \"\303\251\".isascii() }} {{ \"1.5\".isdigit() }}",
     "True True True True False True True False False False"},
    {"{{ \"{} {}\".format(1, \"a\") }} {{ \"{1} {0}\".format(1, 2) }} {{ \"{a}\".format(a="
     "3) }} {{ \"{:>5}|{:<5}|{:^5}\".format(\"a\", \"b\", \"c\") }} {{ \"{:.2f}\".format(3"
     ".14159) }} {{ \"{:05d}\".format(42) }} {{ \"{:,}\".format(1234567) }} {{ \"{:x} {:X}"
     " {:#x} {:b} {:o}\".format(255, 255, 255, 5, 8) }} {{ \"{:+d}\".format(3) }} {{ \"{!r"
     "}\".format(\"a\") }} {{ \"{{}}\".format() }} {{ \"{0[a]} {0.b}\".format({\"a\": 1}) "
     "}}",
     "1 a 2 1 3     a|b    |  c   3.14 00042 1,234,567 ff FF 0xff 101 10 +3 'a' {} 1 "},
    {"{{ \"{0[a]}\".format({\"a\": 1}) }} {{ \"{:e} {:g} {:%}\".format(12345.678, 0.0001, "
     "0.25) }} {{ \"{:10.3f}|\".format(2.5) }} {{ \"{:*^9}\".format(\"mid\") }} {{ \"{:_}"
     "\".format(1234567) }} {{ \"{:8}|{:8}|\".format(12, \"ab\") }} {{ \"{:.3}\".format(\""
     "abcdef\") }} {{ \"{:.3}\".format(3.14159) }} {{ \"{}\".format(none) }} {{ \"{}\".for"
     "mat([1, \"a\"]) }}",
     "1 1.234568e+04 0.0001 25.000000%      2.500| ***mid*** 1_234_567       12|ab      | "
     "abc 3.14 None [1, 'a']"},
    {"{{ \"%s %d %5.2f %r %%\" % (s, 42, 3.14159, \"x\") }} {{ \"%s\" % l }} {{ \"%(a)s\" "
     "% {\"a\": 5} }} {{ \"%05d|%-5d|%+d|% d\" % (42, 42, 42, 42) }} {{ \"%x %X %o %#x %e "
     "%g %c\" % (255, 255, 8, 255, 1234.5, 0.00001, \"z\") }} {{ \"%10s|%-10s|%.2s\" % (\""
     "ab\", \"cd\", \"efgh\") }} {{ \"%i\" % 3.9 }}",
     "Hello, W\303\266rld 42  3.14 'x' % [3, 1, 2] 5 00042|42   |+42| 42 ff FF 10 0xff 1.2"
     "34500e+03 1e-05 z         ab|cd        |ef 3"},
    {"{{ \"%d\" % \"x\" }}",
     NULL},
    {"{{ \"%s %s\" % 1 }}",
     NULL},
    {"{{ \"%s\" % (1, 2) }}",
     NULL},
    {"{{ \"%s and %s\"|format(\"a\", \"b\") }} {{ \"%(x)s\"|format(x=1) }}",
     "a and b 1"},
    {"{{ l|length }} {{ s|length }} {{ u|length }} {{ d|length }} {{ missing|length }} {{ "
     "range(4)|length }}",
     "3 12 11 4 0 4"},
    {"{{ n|length }}",
     NULL},
    {"{{ m|sort }} {{ m|sort(true) }} {{ m|sort(case_sensitive=true) }} {{ objs|sort(attri"
     "bute=\"v\")|map(attribute=\"n\")|list }} {{ objs|sort(attribute=\"g,n\")|map(attribu"
     "te=\"n\")|join }} {{ l|sort(reverse=true) }} {{ \"hello\"|sort }}",
     "['A', 'a', 'b', 'c'] ['c', 'b', 'A', 'a'] ['A', 'a', 'b', 'c'] ['Y', 'z', 'x'] xzY ["
     "3, 2, 1] ['e', 'h', 'l', 'l', 'o']"},
    {"{{ mixed|sort }}",
     NULL},
    {"{{ d|dictsort }} {{ d|dictsort(true) }} {{ d|dictsort(reverse=true) }}",
     "[('a', 2), ('b', 1), ('C', 'x'), ('items', 3)] [('C', 'x'), ('a', 2), ('b', 1), ('it"
     "ems', 3)] [('items', 3), ('C', 'x'), ('b', 1), ('a', 2)]"},
    {"{{ {\"a\": 2, \"b\": 1}|dictsort(by=\"value\") }} {{ {\"a\": 2, \"b\": 1}|dictsort(f"
     "alse, \"value\") }}",
     "[('b', 1), ('a', 2)] [('b', 1), ('a', 2)]"},
    {"{{ m|unique|list }} {{ [1, 1.0, true, 2]|unique|list }} {{ objs|unique(attribute=\"g"
     "\")|map(attribute=\"n\")|list }} {{ l|min }} {{ l|max }} {{ m|min }} {{ m|max(case_s"
     "ensitive=true) }} {{ []|min }} {{ objs|max(attribute=\"v\") }}",
     "['b', 'A', 'c'] [1, 2] ['x', 'Y'] 1 3 A c  {'n': 'x', 'v': 3, 'g': 'A'}"},
    {"{{ l|sum }} {{ objs|sum(attribute=\"v\") }} {{ l|sum(start=10) }} {{ [[1],[2]]|sum(s"
     "tart=[]) }} {{ [0.5, 1]|sum }}",
     "6 6 16 [1, 2] 1.5"},
    {"{{ [\"a\"]|sum }}",
     NULL},
    {"{{ l|first }} {{ l|last }} {{ s|first }} {{ s|last }} {{ []|first }} {{ []|last }} {"
     "{ d|first }} {{ d|last }} {{ \"\"|first }} {{ \"\"|last is defined }}",
     "3 2 H d   b C  False"},
    {"{{ l|reverse|list }} {{ s|reverse }} {{ range(3)|reverse|list }} {{ l|list }} {{ \"a"
     "b\"|list }} {{ d|list }} {{ d|items|list }} {{ missing|items|list }}",
     "[2, 1, 3] dlr\303\266W ,olleH [2, 1, 0] [3, 1, 2] ['a', 'b'] ['b', 'a', 'items', 'C'"
     "] [('b', 1), ('a', 2), ('items', 3), ('C', 'x')] []"},
    {"{{ n|items|list }}",
     NULL},
    {"{{ l|join }} {{ l|join(\"-\") }} {{ objs|join(\",\", attribute=\"n\") }} {{ mixed|jo"
     "in(\"|\") }} {{ \"abc\"|join(\".\") }} {{ missing|join }}",
     "312 3-1-2 x,Y,z 1|x|None|True|2.5|[1]|{'k': 'v'} a.b.c "},
    {"{{ [1,2,3,4,5]|batch(2)|list }} {{ [1,2,3]|batch(2, \"x\")|list }} {{ [1,2,3,4,5]|sl"
     "ice(2)|list }} {{ [1,2,3,4,5]|slice(3, \"f\")|list }} {{ [1,2,3,4]|slice(2, \"f\")|l"
     "ist }} {{ []|slice(2)|list }} {{ [1]|slice(3)|list }}",
     "[[1, 2], [3, 4], [5]] [[1, 2], [3, 'x']] [[1, 2, 3], [4, 5]] [[1, 2], [3, 4], [5, 'f"
     "']] [[1, 2, 'f'], [3, 4, 'f']] [[], []] [[1], [], []]"},
    {"{{ objs|groupby(\"g\") }} {% for g, items in objs|groupby(\"g\") %}{{ g }}={{ items|"
     "map(attribute=\"n\")|join }};{% endfor %} {{ (objs|groupby(\"v\"))[0].grouper }} {{ "
     "(objs|groupby(\"v\"))[0].list }} {{ objs|groupby(\"q\", default=\"zz\") }}",
     "[('A', [{'n': 'x', 'v': 3, 'g': 'A'}, {'n': 'z', 'v': 2, 'g': 'a'}]), ('b', [{'n': '"
     "Y', 'v': 1, 'g': 'b'}])] A=xz;b=Y; 1 [{'n': 'Y', 'v': 1, 'g': 'b'}] [('zz', [{'n': '"
     "x', 'v': 3, 'g': 'A'}, {'n': 'Y', 'v': 1, 'g': 'b'}, {'n': 'z', 'v': 2, 'g': 'a'}])]"},
    {"{{ m|map(\"upper\")|list }} {{ objs|map(attribute=\"n\")|list }} {{ objs|map(attribu"
     "te=\"zz\", default=\"-\")|list }} {{ [[1,2],[3]]|map(\"sum\")|list }} {{ [\"a,b\"]|m"
     "ap(\"replace\", \",\", \";\")|list }} {{ [[1,2]]|map(attribute=0)|list }} {{ [1.55, "
     "2.45]|map(\"round\", 1)|list }} {{ []|map(\"upper\")|list }}",
     "['B', 'A', 'C', 'A'] ['x', 'Y', 'z'] ['-', '-', '-'] [3, 3] ['a;b'] [1] [1.6, 2.5] ["
     "]"},
    {"{{ [1,2,3,4]|select(\"odd\")|list }} {{ [0,1,\"\",none,\"a\"]|select|list }} {{ [1,2"
     ",3]|reject(\"gt\", 1)|list }} {{ objs|selectattr(\"v\", \">\", 1)|map(attribute=\"n"
     "\")|list }} {{ objs|rejectattr(\"v\", \"eq\", 1)|list|length }} {{ objs|selectattr("
     "\"zz\")|list }} {{ objs|selectattr(\"zz\", \"undefined\")|list|length }} {{ [1,2,3]|"
     "select(\"in\", [2,3])|list }} {{ [1,2,4]|select(\"divisibleby\", 2)|list }}",
     "[1, 3] [1, 'a'] [1] ['x', 'z'] 2 [] 3 [2, 3] [2, 4]"},
    {"{{ m|map(\"nofilter\")|list }}",
     NULL},
    {"{{ m|select(\"notest\")|list }}",
     NULL},
    {"{{ m|nofilter }}",
     NULL},
    {"{% if no %}{{ m|nofilter }}{% endif %}ok",
     "ok"},
    {"{% if t %}{{ m|nofilter }}{% endif %}ok",
     NULL},
    {"{{ (m|nofilter) if no else \"ok\" }}",
     "ok"},
    {"{{ \"x\" if no else m|nofilter }}",
     NULL},
    {"{% for i in l %}{% if no %}{{ i|nofilter }}{% endif %}{% endfor %}ok",
     "ok"},
    {"{% if no %}{% for i in l %}{{ i|nofilter }}{% endfor %}{% endif %}ok",
     NULL},
    {"{{ m is notest }}",
     NULL},
    {"{% if no and (m is notest) %}{% endif %}ok",
     "ok"},
    {"{{ sp|trim }}|{{ \"xxaxx\"|trim(\"x\") }}|{{ 5|trim }}|{{ missing|trim }}",
     "a b\t c|a|5|"},
    {"{{ \"42\"|int }} {{ \"42.9\"|int }} {{ \"x\"|int }} {{ \"x\"|int(5) }} {{ \"0x1f\"|i"
     "nt(base=16) }} {{ \"1f\"|int(0, 16) }} {{ 3.99|int }} {{ true|int }} {{ nil|int }} {"
     "{ \" 12 \"|int }} {{ \"1_000\"|int }} {{ \"-7\"|int }} {{ \"1e3\"|int }} {{ l|int(9)"
     " }}",
     "42 42 0 5 31 31 3 1 0 12 1000 -7 1000 9"},
    {"{{ \"4.5\"|float }} {{ \"x\"|float }} {{ \"x\"|float(1.5) }} {{ 3|float }} {{ \"inf"
     "\"|float }} {{ \"1e3\"|float }} {{ nil|float }} {{ \" 2 \"|float }}",
     "4.5 0.0 1.5 3.0 inf 1000.0 0.0 2.0"},
    {"{{ 42.55|round }} {{ 42.55|round(1, \"floor\") }} {{ 42.55|round(1, \"ceil\") }} {{ "
     "2.5|round }} {{ 3.5|round }} {{ 2.675|round(2) }} {{ 42|round }} {{ 1234.5|round(-2)"
     " }} {{ 1250|round(-2) }} {{ -0.5|round }} {{ 42|round(1, \"floor\") }} {{ 1e20|round"
     " }}",
     "43.0 42.5 42.6 2.0 4.0 2.67 42 1200.0 1200 -0.0 42.0 1e+20"},
    {"{{ -3|abs }} {{ (-3)|abs }} {{ -2.5|abs }} {{ neg|abs }}",
     "3 3 2.5 3"},
    {"{{ s|upper }} {{ s|lower }} {{ s|title }} {{ \"hello world-foo (bar) 3rd\"|title }} "
     "{{ s|capitalize }} {{ \"abc DEF\"|capitalize }} {{ 5|upper }} {{ missing|upper }} {{"
     " nil|lower }}",
     "HELLO, W\303\226RLD hello, w\303\266rld Hello, W\303\266rld Hello World-Foo (Bar) 3r"
     "d Hello, w\303\266rld Abc def 5  none"},
    {"{{ lines|indent }} {{ lines|indent(2, true) }} {{ lines|indent(2, true, true) }} {{ "
     "lines|indent(\"> \") }} {{ \"a\\nb\\n\"|indent(2) }}| {{ \"\"|indent(2, true) }}| {{"
     " \"a\"|indent(first=true) }}",
     "one\n\n    two\n     three   one\n\n  two\n   three   one\n  \n  two\n   three one\n"
     "\n> two\n>  three a\n  b\n|   |     a"},
    {"{{ lines|indent }} {{ lines|indent(2, true) }} {{ lines|indent(2, true, true) }} {{ "
     "lines|indent(\"> \") }} {{ \"a\nb\n\"|indent(2) }}| {{ \"\"|indent(2, true) }}| {{ "
     "\"a\"|indent(first=true) }}",
     "one\n\n    two\n     three   one\n\n  two\n   three   one\n  \n  two\n   three one\n"
     "\n> two\n>  three a\n  b\n|   |     a"},
    {"{{ \"foo bar baz qux\"|truncate(9) }} {{ \"foo bar baz qux\"|truncate(9, true) }} {{"
     " \"foo bar baz qux\"|truncate(11) }} {{ \"foo bar baz qux\"|truncate(11, false, \".."
     ".\", 0) }} {{ \"foo\"|truncate(3) }} {{ \"foobarbazqux\"|truncate(5, false, \"\", 0)"
     " }}",
     "foo... foo ba... foo bar baz qux foo bar... foo fooba"},
    {"{{ \"the quick brown fox jumps\"|wordwrap(10) }} {{ \"aaaaaaaaaaaaaaa b\"|wordwrap(5"
     ") }} {{ \"a\\n\\nb c\"|wordwrap(3) }} {{ \"one two\"|wordwrap(3, wrapstring=\"|\") }"
     "} {{ \"aaaaaaaa\"|wordwrap(3, false) }} {{ \"well-known fact\"|wordwrap(6) }}",
     "the quick\nbrown fox\njumps aaaaa\naaaaa\naaaaa\nb a\n\nb c one|two aaaaaaaa well-\n"
     "known\nfact"},
    {"{{ \"the quick brown fox jumps\"|wordwrap(10) }} {{ \"aaaaaaaaaaaaaaa b\"|wordwrap(5"
     ") }} {{ \"a\n\nb c\"|wordwrap(3) }} {{ \"one two\"|wordwrap(3, wrapstring=\"|\") }} "
     "{{ \"aaaaaaaa\"|wordwrap(3, false) }} {{ \"well-known fact\"|wordwrap(6) }}",
     "the quick\nbrown fox\njumps aaaaa\naaaaa\naaaaa\nb a\n\nb c one|two aaaaaaaa well-\n"
     "known\nfact"},
    {"{{ \"one two  three\"|wordcount }} {{ \"a-b c_d \303\251\"|wordcount }} {{ \"foo\"|c"
     "enter(9) }}| {{ html|e }} {{ html|escape }} {{ html|forceescape }} {{ html|striptags"
     " }} {{ \"<!-- c --><p>a  b</p> c\"|striptags }} {{ html|safe }} {{ (html|e)|e }} {{ "
     "(html|safe)|forceescape }}",
     "3 4    foo   | &lt;a href=&#39;x&#39;&gt;&amp;amp; b&lt;/a&gt; &lt;a href=&#39;x&#39"
     ";&gt;&amp;amp; b&lt;/a&gt; &lt;a href=&#39;x&#39;&gt;&amp;amp; b&lt;/a&gt; & b a b c"
     " <a href='x'>&amp; b</a> &lt;a href=&#39;x&#39;&gt;&amp;amp; b&lt;/a&gt; &lt;a href="
     "&#39;x&#39;&gt;&amp;amp; b&lt;/a&gt;"},
    {"{{ (html|safe) + \"<\" }} {{ \"<\" + (html|safe) }} {{ (html|e) ~ \"<\" }} {{ [html|"
     "e] }} {{ (html|e)|upper }} {{ (html|e)|replace(\"b\", \"<\") }} {{ (html|e).replace("
     "\"b\", \"<\") }} {{ (html|e) is escaped }} {{ html is escaped }} {{ (\"%s\"|safe) % "
     "\"<\" }} {{ (\"<\"|e).join([\"<\", \"b\"]) }} {{ (\"x\"|safe) * 2 }} {{ (\"xy\"|safe"
     ")[0] is escaped }}",
     "<a href='x'>&amp; b</a>&lt; &lt;<a href='x'>&amp; b</a> &lt;a href=&#39;x&#39;&gt;&a"
     "mp;amp; b&lt;/a&gt;< [Markup('&lt;a href=&#39;x&#39;&gt;&amp;amp; b&lt;/a&gt;')] &LT"
     ";A HREF=&#39;X&#39;&GT;&AMP;AMP; B&LT;/A&GT; &lt;a href=&#39;x&#39;&gt;&amp;amp; <&l"
     "t;/a&gt; &lt;a href=&#39;x&#39;&gt;&amp;amp; &lt;&lt;/a&gt; True False &lt; &lt;&lt;"
     "b xx True"},
    {"{{ \"a b/c?d=\303\251&f\"|urlencode }} {{ {\"a b\": \"c/d\", \"e\": 1}|urlencode }} "
     "{{ [(\"a\", 1)]|urlencode }} {{ 5|urlencode }} {{ {\"class\": \"a b\", \"x\": none, "
     "\"y\": 5, \"z\": \"<\"}|xmlattr }} {{ {\"a\": 1}|xmlattr(false) }}",
     "a%20b/c%3Fd%3D%C3%A9%26f a+b=c%2Fd&e=1 a=1 5  class=\"a b\" y=\"5\" z=\"&lt;\" a=\"1"
     "\""},
    {"{{ 1000|filesizeformat }} {{ 1|filesizeformat }} {{ 0|filesizeformat }} {{ 1500000|f"
     "ilesizeformat }} {{ 1024|filesizeformat(true) }} {{ 123456789|filesizeformat(true) }"
     "} {{ \"300\"|filesizeformat }} {{ 1e15|filesizeformat }}",
     "1.0 kB 1 Byte 0 Bytes 1.5 MB 1.0 KiB 117.7 MiB 300 Bytes 1.0 PB"},
    {"{{ d|attr(\"a\") is defined }} {{ d|attr(\"items\") is defined }} {{ s|attr(\"upper"
     "\") is callable }} {{ s|string }} {{ 5|string + \"a\" }} {{ l|string }} {{ missing|s"
     "tring }} {{ l|pprint }}",
     "False True True Hello, W\303\266rld 5a [3, 1, 2]  [3, 1, 2]"},
    {"{{ missing|default(\"x\") }} {{ e|default(\"x\") }} {{ e|default(\"x\", true) }} {{ "
     "nil|default(\"x\") }} {{ nil|d(\"x\", true) }} {{ missing|d }} {{ d.zz|default(\"y\""
     ") }} {{ e|default(boolean=true, default_value=\"k\") }}",
     "x  x None x  y k"},
    {"{{ missing.x|default(\"y\") }}",
     NULL},
    {"{{ d|tojson }} {{ mixed|tojson }} {{ q|tojson }} {{ u|tojson(ensure_ascii=true) }} {"
     "{ \"\360\237\230\200\"|tojson(true) }} {{ deep|tojson(indent=2) }} {{ d|tojson(sort_"
     "keys=true) }} {{ d|tojson(separators=(\",\", \":\")) }} {{ d|tojson(indent=1, separa"
     "tors=(\", \", \":\")) }} {{ []|tojson(indent=4) }} {{ {}|tojson(indent=4) }} {{ [[],"
     " {}]|tojson(indent=2) }} {{ 1.0|tojson }} {{ none|tojson }} {{ html|tojson }} {{ {1:"
     " 2, true: 3, none: 4, 1.5: 5}|tojson }} {{ (1, 2)|tojson }} {{ d|tojson(indent=\"\\t"
     "\") }} {{ deep|tojson(indent=0) }} {{ big|tojson }} {{ \"\\x7f\"|tojson }}",
     "{\"b\": 1, \"a\": 2, \"items\": 3, \"C\": \"x\"} [1, \"x\", null, true, 2.5, [1], {"
     "\"k\": \"v\"}] \"it's \\\"q\\\" \\\\ \\n\\t\\u0007 \303\251 \342\200\213 \360\237"
     "\230\200\" \"\\u0391\\u03a3 \\u041f\\u0440\\u0438\\u0432\\u0435\\u0442 \\u00ff\" \""
     "\\ud83d\\ude00\" {\n  \"x\": {\n    \"y\": [\n      1,\n      {\n        \"z\": \"en"
     "d\"\n      }\n    ]\n  }\n} {\"C\": \"x\", \"a\": 2, \"b\": 1, \"items\": 3} {\"b\":"
     "1,\"a\":2,\"items\":3,\"C\":\"x\"} {\n \"b\":1, \n \"a\":2, \n \"items\":3, \n \"C\""
     ":\"x\"\n} [] {} [\n  [],\n  {}\n] 1.0 null \"<a href='x'>&amp; b</a>\" {\"1\": 3, \""
     "null\": 4, \"1.5\": 5} [1, 2] {\n\t\"b\": 1,\n\t\"a\": 2,\n\t\"items\": 3,\n\t\"C\":"
     " \"x\"\n} {\n\"x\": {\n\"y\": [\n1,\n{\n\"z\": \"end\"\n}\n]\n}\n} 12345678901234567"
     "8901234567890 \"\177\""},
    {"{{ missing|tojson }}",
     NULL},
    {"{{ {(1,2): 3}|tojson }}",
     NULL},
    {"{{ range(3)|tojson }}",
     NULL},
    {"{{ 1e400|tojson }} {{ (1e400 - 1e400)|tojson }} {{ -1e400 }}",
     "Infinity NaN -inf"},
    {"{{ s is string }} {{ n is number }} {{ n is integer }} {{ f is float }} {{ t is bool"
     "ean }} {{ t is number }} {{ t is integer }} {{ nil is none }} {{ l is sequence }} {{"
     " d is sequence }} {{ s is sequence }} {{ d is mapping }} {{ l is iterable }} {{ n is"
     " iterable }} {{ s is iterable }} {{ missing is iterable }} {{ missing is sequence }}"
     " {{ range is callable }} {{ s is callable }} {{ l|map(\"upper\") is sequence }} {{ d"
     ".items() is sequence }} {{ d.items() is iterable }} {{ range(3) is sequence }} {{ d."
     "keys() is mapping }}",
     "True True True True True True False True True True True True True False True True Tr"
     "ue True False False False True True False"},
    {"{{ n is odd }} {{ n is even }} {{ n is divisibleby 7 }} {{ n is divisibleby(2) }} {{"
     " t is true }} {{ no is false }} {{ 1 is true }} {{ s is lower }} {{ \"AB\" is upper "
     "}} {{ n is sameas 7 }} {{ l is sameas l }} {{ 1 is sameas true }} {{ \"a\" is in \"a"
     "bc\" }} {{ 1 is in [1] }} {{ n is eq 7 }} {{ n is ne 7 }} {{ n is gt 3 }} {{ n is le"
     "ssthan 3 }} {{ n is ge 7 }} {{ n is not eq 7 }} {{ \"upper\" is filter }} {{ \"nope"
     "\" is filter }} {{ \"odd\" is test }} {{ n is equalto 7.0 }} {{ missing is defined }"
     "} {{ missing is not defined }} {{ s is defined and n is defined }}",
     "True False True False True True False False True True True False True True True Fals"
     "e True False True False True False True True False True True"},
    {"{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex"
     "0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }"
     "}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle(\"a\", \"b\") }}{{ loop.changed"
     "(i) }};{% endfor %}",
     "1032TrueFalse3101aTrue;2121FalseFalse31032bTrue;3210FalseTrue3101aTrue;"},
    {"{% for i in [] %}x{% else %}none{% endfor %} {% for i in missing %}x{% else %}none{%"
     " endfor %} {% for i in l if i > 1 %}{{ i }}{{ loop.length }}{{ loop.last }}{% else %"
     "}none{% endfor %} {% for i in l if i > 9 %}{{ i }}{% else %}none{% endfor %}",
     "none none 32False22True none"},
    {"{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %} {% for k in d %}{{ k }}{% en"
     "dfor %} {% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %} {% for"
     " x in \"a\303\261b\" %}{{ x }}.{% endfor %} {% for x in range(3) %}{{ x }}{% endfor "
     "%} {% for x in 1, 2, 3 %}{{ x }}{% endfor %}",
     "b=1;a=2;items=3;C=x; baitemsC 123 a.\303\261.b. 012 123"},
    {"{% for a, b in [1] %}{% endfor %}",
     NULL},
    {"{% for a, b in [(1, 2, 3)] %}{% endfor %}",
     NULL},
    {"{% for i in n %}{% endfor %}",
     NULL},
    {"{% for i in range(10) %}{% if i == 3 %}{% continue %}{% endif %}{% if i == 6 %}{% br"
     "eak %}{% endif %}{{ i }}{% endfor %} {% for i in l %}{% break %}{% else %}else{% end"
     "for %}",
     "01245 else"},
    {"{% for i in [1, [2, [3]]] recursive %}{{ i if i is number else \"(\" ~ loop(i) ~ \")"
     "\" }}{{ loop.depth }}{% endfor %}",
     "11(22(33)2)1"},
    {"{% for i in [1] %}{{ loop([2]) }}{% endfor %}",
     NULL},
    {"{% set x = 1 %}{% for i in l %}{{ x }}{% set x = i %}{{ x }}{% endfor %}{{ x }}",
     "1311121"},
    {"{% for i in l %}{{ y }}{% set y = i %}{% endfor %}{{ y }}",
     ""},
    {"{% set ns = namespace(a=1, b=\"x\") %}{% for i in l %}{% set ns.a = ns.a + i %}{% en"
     "dfor %}{{ ns.a }}{{ ns.b }}{{ ns.c }}{{ ns }}{{ ns[\"a\"] }}",
     "7x<Namespace {'a': 7, 'b': 'x'}>7"},
    {"{% set s.x = 1 %}",
     NULL},
    {"{% set a, b = 1, 2 %}{{ a }}{{ b }} {% set c = 1, 2 %}{{ c }} {% set (p, q) = [3, 4]"
     " %}{{ p }}{{ q }}",
     "12 (1, 2) 34"},
    {"{% set x %}a{{ n }}b{% endset %}{{ x }}{{ x|length }} {% set y | upper | trim %} abc"
     " {% endset %}[{{ y }}] {% set x %}{% set inner = 5 %}{% endset %}{{ inner }}",
     "a7b3 [ABC] "},
    {"{% if t %}{% set k = 1 %}{% endif %}{{ k }} {% if no %}{% set s = \"no\" %}{% endif "
     "%}{{ s }} {% if no %}a{% elif n == 7 %}b{% else %}c{% endif %}",
     "1 Hello, W\303\266rld b"},
    {"{% with a=1, b=2 %}{{ a }}{{ b }}{% endwith %}{{ a }} {% with n=n+1 %}{{ n }}{% endw"
     "ith %}{{ n }} {% with %}{% set q=1 %}{{ q }}{% endwith %}",
     "12 87 1"},
    {"{% macro m(a, b=2, c=a) %}{{ a }},{{ b }},{{ c }};{% endmacro %}{{ m(1) }}{{ m(1, 3)"
     " }}{{ m(b=5, a=4) }}{{ m() }}{{ m(1, 2, 3) }}{{ m }}",
     "1,2,1;1,3,1;4,5,4;,2,;1,2,3;<Macro 'm'>"},
    {"{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }}{"
     "{ m() }}{{ m.name }}{{ m.arguments }}{{ m.catch_kwargs }}{{ m.catch_varargs }}{{ m.c"
     "aller }}",
     "1(2, 3){'x': 4}(){}m('a',)TrueTrueFalse"},
    {"{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
     NULL},
    {"{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}",
     NULL},
    {"{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}",
     NULL},
    {"{% macro m(t) %}[{{ caller(t) }}{{ caller(\"z\") }}]{% endmacro %}{% call(x) m(\"q\""
     ") %}<{{ x }}{{ n }}>{% endcall %}",
     "[<q7><z7>]"},
    {"{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}",
     NULL},
    {"{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}{% call m() %}{% endcal"
     "l %}",
     "FalseTrue"},
    {"{% macro m() %}{{ late }}{% endmacro %}{% set late = 3 %}{{ m() }}",
     "3"},
    {"{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) "
     "}}",
     "543210"},
    {"{% set v = 1 %}{% macro m() %}{{ v }}{% set v = 2 %}{{ v }}{% endmacro %}{{ m() }}{{"
     " v }}",
     "121"},
    {"{% for i in l %}{% macro m() %}{{ i }}{{ loop.index }}{% endmacro %}{{ m() }}{% endf"
     "or %}",
     "311223"},
    {"{% filter upper %}a{{ s }}b{% endfilter %} {% filter replace(\"a\", \"b\")|upper %}b"
     "anana{% endfilter %} {% filter trim %} x {% endfilter %}",
     "AHELLO, W\303\226RLDB BBNBNB x"},
    {"{% raw %}{{ x }}{% y %}{% endraw %} {%- raw -%} {{ a }} {%- endraw -%} z {# comment "
     "#}c{#- d -#} e",
     "{{ x }}{% y %}{{ a }}z ce"},
    {"{% block b %}in{{ n }}{% endblock %} {% block c %}x{% endblock c %} {% generation %}"
     "g{{ n }}{% endgeneration %} {% print 1, 2 %} {% print s %}",
     "in7 x g7 12 Hello, W\303\266rld"},
    {"{% include \"x\" %}",
     NULL},
    {"{% extends \"x\" %}",
     NULL},
    {"{% import \"x\" as y %}",
     NULL},
    {"{% from \"x\" import y %}",
     NULL},
    {"{% nope %}",
     NULL},
    {"{% if %}",
     NULL},
    {"{{ }}",
     NULL},
    {"{{ 1 +",
     NULL},
    {"{% if t %}",
     NULL},
    {"{% endif %}",
     NULL},
    {"{% for %}{% endfor %}",
     NULL},
    {"{{ 'abc }}",
     NULL},
    {"{{ (1, 2 }}",
     NULL},
    {"{{ [1, 2) }}",
     NULL},
    {"{{ a b }}",
     NULL},
    {"{{ {\"a\" 1} }}",
     NULL},
    {"{{ 1 if }}",
     NULL},
    {"{{ n | }}",
     NULL},
    {"{{ n is }}",
     NULL},
    {"{% set = 1 %}",
     NULL},
    {"{% set none = 1 %}",
     NULL},
    {"{% set true = 1 %}",
     NULL},
    {"{% for none in l %}{% endfor %}",
     NULL},
    {"{{ f(a=1, 2) }}",
     NULL},
    {"{{ dict(a=1, b=2) }} {{ dict({\"x\": 1}, y=2) }} {{ dict([(\"k\", \"v\")]) }} {{ dic"
     "t() }} {{ range(3)|list }} {{ range(1, 10, 3)|list }} {{ range(5, 0, -2)|list }} {{ "
     "range(3) }} {{ range(1, 4, 2) }}",
     "{'a': 1, 'b': 2} {'x': 1, 'y': 2} {'k': 'v'} {} [0, 1, 2] [1, 4, 7] [5, 3, 1] range("
     "0, 3) range(1, 4, 2)"},
    {"{% set c = cycler(\"a\", \"b\", \"c\") %}{{ c.next() }}{{ c.next() }}{{ c.current }}"
     "{{ c.reset() }}{{ c.next() }} {% set j = joiner(\", \") %}{{ j() }}a{{ j() }}b{{ j()"
     " }}c",
     "abcNonea a, b, c"},
    {"{{ strftime_now(\"%Y-%m-%d %H:%M:%S %B %b %A %a %j %y %p %I %d %% %e %F %T %D %R %U "
     "%W %V %u %w %-d %-m %C %G %h %c %x %X %r\") }}",
     "2024-07-26 09:05:03 July Jul Friday Fri 208 24 AM 09 26 % 26 2024-07-26 09:05:03 07/"
     "26/24 09:05 29 30 30 5 5 26 7 20 2024 Jul Fri Jul 26 09:05:03 2024 07/26/24 09:05:03"
     " 09:05:03 AM"},
    {"{{ raise_exception(\"my message\") }}",
     NULL},
    {"{{ range(100001) }}",
     NULL},
    {"{{ range(1, 2, 0) }}",
     NULL},
    {"{{ \"a\" \"b\" 'c' }} {{ 'a\\nb' }} {{ 'a\\'b' }} {{ \"\\x41\\u00e9\\U0001F600\\101"
     "\\z\" }} {{ \"tab\\there\" }} {{ '\\\\n' }}",
     "abc a\nb a'b A\303\251\360\237\230\200A\\z tab\there \\n"},
    {"{{ \"a\" \"b\" 'c' }} {{ 'a\nb' }} {{ 'a\\'b' }} {{ \"\\x41\\u00e9\\U0001F600\\101\\"
     "z\" }} {{ \"tab\\there\" }} {{ '\\\n' }}",
     "abc a\nb a'b A\303\251\360\237\230\200A\\z tab\there "},
    {"{{ {\"a\": 1}.a }} {{ [1, 2][0] }} {{ (1, 2)[1] }} {{ \"abc\"[1] }} {{ -n }} {{ +n }"
     "} {{ - -n }} {{ not not n }} {{ -n|abs }} {{ n|string|length }} {{ \"a\"|upper ~ \"b"
     "\"|upper }} {{ (n).bit is defined }}",
     "1 1 2 b -7 7 7 True 7 1 AB False"},
    {"{{ l.append(9) }}{{ l }} {{ l.pop() }}{{ l.pop(0) }}{{ l }} {{ l.insert(0, \"x\") }}"
     "{{ l }} {{ l.extend([1]) }}{{ l.remove(\"x\") }}{{ l.index(1) }}{{ l.count(1) }}{{ l"
     ".reverse() }}{{ l }}{{ l.copy() }} {{ l.clear() }}{{ l }}",
     "None[3, 1, 2, 9] 93[1, 2] None['x', 1, 2] NoneNone02None[1, 2, 1][1, 2, 1] None[]"},
    {"{{ d.update({\"z\": 1}, y=2) }}{{ d }} {{ d.pop(\"a\") }}{{ d.pop(\"nope\", 5) }}{{ "
     "d.setdefault(\"w\", 1) }}{{ d.setdefault(\"w\", 2) }}{{ d }}{{ d.copy() }}{{ d.clear"
     "() }}{{ d }}",
     "None{'b': 1, 'a': 2, 'items': 3, 'C': 'x', 'z': 1, 'y': 2} 2511{'b': 1, 'items': 3, "
     "'C': 'x', 'z': 1, 'y': 2, 'w': 1}{'b': 1, 'items': 3, 'C': 'x', 'z': 1, 'y': 2, 'w':"
     " 1}None{}"},
    {"{% set _ = l.append(1) %}{% for i in l %}{{ i }}{% endfor %}",
     "3121"},
    {"{{ [1, 2, 3]|map(\"string\")|join(\" \") }} {{ messages|map(attribute=\"role\")|uniq"
     "ue|join(\",\") }} {{ messages[0].role }} {{ messages[-1][\"content\"] }} {{ messages"
     "[1:]|length }} {{ messages|selectattr(\"role\", \"equalto\", \"user\")|first }} {{ ("
     "messages|last).role }} {{ messages[0][\"content\"] ~ nil ~ 1 }}",
     "1 2 3 system,user,assistant system None 2 {'role': 'user', 'content': ' U '} assista"
     "nt SNone1"},
    {"{{ f.is_integer() }} {{ 2.0.is_integer() }} {{ 2.0 is integer }} {{ 1 == true }} {{ "
     "{1: \"a\"}[true] }} {{ {1: \"a\"}[1.0] }} {{ \"1\" == 1 }} {{ [1, [2]] == [1, [2]] }"
     "} {{ {\"a\": [1]} == {\"a\": [1]} }} {{ none < 1 }}",
     NULL},
    {"{{ 1 / 0 }}",
     NULL},
    {"{{ 1 % 0 }}",
     NULL},
    {"{{ 1.0 // 0 }}",
     NULL},
    {"{{ \"\" .join(l) }}",
     NULL},
    {"{{ l[s] }} {{ s[nil] }} {{ d[l] }} {{ n[0] }} {{ d[nil] }} {{ l[1.0] }} {{ l[true] }"
     "}",
     "      1"},
    {"{{ l[1.0:] }}",
     NULL},
    {"{{ *l }}",
     NULL},
    {"{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{\"a\": 3, \"b"
     "\": 4}) }}{{ m(*[5], **{\"b\": 6}) }} {{ \"{} {}\".format(*l) }}",
     "123456 3 1"},
    {"{{ u.split(\" \") }} {{ u[3:5] }} {{ \"\303\251\303\211\".swapcase() }} {{ \"\303"
     "\261and\303\272\".capitalize() }} {{ \"\320\201\320\226\".lower() }} {{ \"\317\216"
     "\317\202\".upper() }} {{ \"a\\u0301\" | length }}",
     "['\316\221\316\243', '\320\237\321\200\320\270\320\262\320\265\321\202', '\303\277']"
     " \320\237\321\200 \303\211\303\251 \303\221and\303\272 \321\221\320\266 \316\217\316"
     "\243 2"},
    {"{% set x = [1,2,3] %}{% for a in x %}{% set outer = loop %}{% for b in x %}{{ outer."
     "index }}{{ loop.index }} {% endfor %}{% endfor %}",
     "11 12 13 21 22 23 31 32 33 "},
    {"{% for i in range(3) %}{% for j in range(3) %}{% if j == 1 %}{% break %}{% endif %}{"
     "{ i }}{{ j }} {% endfor %}{% endfor %}",
     "00 10 20 "},
    {"{{ [] is sequence }} {{ () is sequence }} {{ {} is sequence }} {{ none is sequence }"
     "} {{ 1.5 is number }} {{ \"1\" is number }} {{ [1,2]|tojson|length }}",
     "True True True False True False 6"},
    {"{{ \"a\" ~ 1 ~ none ~ true ~ 1.5 ~ [1] ~ missing }} {{ 1 ~ 2 }} {{ \"x\" ~ (1, 2) }}",
     "a1NoneTrue1.5[1] 12 x(1, 2)"},
    {"{%- if t -%}  a  {%- endif -%}  b  {%+ if t %} c {%+ endif +%}\\n d",
     "ab   c \\n d"},
    {"{%- if t -%}  a  {%- endif -%}  b  {%+ if t %} c {%+ endif +%}\n d",
     "ab   c \n d"},
    {"a\\n  {% if t %}\\n  b\\n  {% endif %}\\n  c {% if t %} d {% endif %}\\n\\n  {{ n }}"
     "\\n  {# c #}\\n  e\\n",
     "a\\n  \\n  b\\n  \\n  c  d \\n\\n  7\\n  \\n  e\\n"},
    {"a\n  {% if t %}\n  b\n  {% endif %}\n  c {% if t %} d {% endif %}\n\n  {{ n }}\n  {#"
     " c #}\n  e\n",
     "a\n  b\n  c  d \n  7\n  e"},
    {"  {%+ if t %}x{% endif +%}\\n y {%- if t %}\\n z{% endif -%}\\n w\\n\\n",
     "  x\\n y\\n z\\n w\\n\\n"},
    {"  {%+ if t %}x{% endif +%}\n y {%- if t %}\n z{% endif -%}\n w\n\n",
     "  x\n y zw\n"},
    {"{% if t %}\\n\\n\\nx{% endif %}\\n\\n{{ n }}\\n\\n{%- for i in l %}\\n  {{ i }}\\n{%"
     "- endfor %}\\n",
     "\\n\\n\\nx\\n\\n7\\n\\n\\n  3\\n\\n  1\\n\\n  2\\n\\n"},
    {"{% if t %}\n\n\nx{% endif %}\n\n{{ n }}\n\n{%- for i in l %}\n  {{ i }}\n{%- endfor "
     "%}\n",
     "\n\nx\n7  3  1  2"},
    {"{% set x = \"a\\n\" -%}\\n  {{- x -}}  \\n|{{ x }}",
     "\\na\n\\n|a\n"},
    {"{% set x = \"a\n\" -%}\n  {{- x -}}  \n|{{ x }}",
     "a\n|a\n"},
    {"line1\\r\\nline2\\rline3\\n{{ \"a\\r\\nb\" }}\\n",
     "line1\\r\\nline2\\rline3\\na\015\nb\\n"},
    {"line1\015\nline2\015line3\n{{ \"a\015\nb\" }}\n",
     "line1\nline2\nline3\na\nb"},
    {"{{- \"x\" }}  {{ \"y\" -}}   z{{+ n }}",
     "x  yz7"},
    {"{#\\n multi\\n#}\\nx{#- a -#}\\n y {##}{#-#} z",
     "\\nx\\n y  z"},
    {"{#\n multi\n#}\nx{#- a -#}\n y {##}{#-#} z",
     "xy  z"},
    {"{{ \"{{ x }}\" }} {{ '{% y %}' }} {{ {\"a\": {\"b\": {\"c\": 1}}}.a.b.c }} {{ {\"a\""
     ": 1}}}",
     "{{ x }} {% y %} 1 {'a': 1}"},
    {"{{ d.keys() == {\"b\": 1, \"a\": 2, \"items\": 3, \"C\": 9}.keys() }} {{ d.items() ="
     "= d.items() }} {{ d.values() == d.values() }} {{ range(3) == range(0, 3, 1) }} {{ ra"
     "nge(0) == range(2, 1) }} {{ range == range }} {{ n.a == nil.a }} {{ loop is defined "
     "}} {{ d.keys() != l }} {{ 3 in d.values() }} {{ (\"b\", 1) in d.items() }} {{ \"b\" "
     "in d.keys() }} {{ d == {\"b\": 1, \"a\": 2, \"items\": 3, \"C\": \"x\"} }} {{ d == {"
     "\"b\": 1} }} {{ {\"b\": 1, \"x\": 2} == {\"b\": 1, \"y\": 2} }}",
     "True True False True True True True False True True True True True False False"},
    {"{% set big_d = {} %}{% for i in range(40) %}{% set _ = big_d.update({i: i * i, \"k\""
     " ~ i: i}) %}{% endfor %}{{ big_d[39] }}{{ big_d[\"k7\"] }}{{ big_d[\"nope\"] }}{{ bi"
     "g_d[7.0] }}{{ big_d|length }}{{ big_d.pop(\"k3\") }}{{ big_d[\"k39\"] }}{{ \"k3\" in"
     " big_d }}{{ big_d.update(k3=1) }}{{ big_d|last }}{{ (1, \"a\") in {(1, \"a\"): 2} }}"
     "{{ {1.5: \"f\", (1, (2,)): \"t\"}[1.5] }}",
     "152174980339FalseNonek3Truef"},
    {"{{ 1 < 1.5 }} {{ 2 > 1.5 }} {{ 9007199254740993 == 9007199254740992.0 }} {{ 90071992"
     "54740993 > 9007199254740992.0 }} {{ 1e300 > 5 }} {{ -1e300 < 5 }} {{ (\"nan\"|float)"
     " == 1 }} {{ (\"nan\"|float) < 1 }} {{ 1 <= (\"nan\"|float) }} {{ [1, 2] < [1, 2, 3] "
     "}} {{ (2,) > (1, 9) }} {{ true < 2 }} {{ \"\303\251\" > \"z\" }} {{ \"inf\"|float }}"
     " {{ -(\"inf\"|float) }} {{ 5 is sameas 5 }} {{ d is sameas d }} {{ d is sameas {} }}",
     "True True False True True True False False False True True True True inf -inf True T"
     "rue False"},
    {"{{ (1, 2) < [1] }}",
     NULL},
    {"{{ missing < 1 }}",
     NULL},
    {"{{ -missing }}",
     NULL},
    {"{{ -s }}",
     NULL},
    {"{{ missing + 1 }}",
     NULL},
    {"{{ big + 1 }}{{ nope.x }}",
     NULL},
    {"{{ \"%s\" % missing }}|{{ \"%5s|%-5s|%05.1f|%+.2e|%G|%F\" % (\"a\", \"b\", 2.345, 12"
     "345.678, 0.00001, 1.5) }} {{ \"%c%c\" % (65, \"\303\251\") }} {{ \"%*d\" % (5, 42) }"
     "} {{ \"%.*f\" % (2, 1.005) }} {{ \"%-*d|\" % (5, 42) }} {{ \"%ld %hd\" % (1, 2) }} {"
     "{ \"%a\" % \"x\" }} {{ \"%#o %#X\" % (8, 255) }} {{ \"%.3d\" % 5 }} {{ \"%d\" % true"
     " }} {{ \"%x\" % -255 }} {{ \"%s\" % {} }} {{ \"%%\" % () }} {{ \"%(a)5d|%(a)s\" % {"
     "\"a\": 3} }} {{ \"%r\" % [\"a\"] }}",
     "|    a|b    |002.3|+1.23e+04|1E-05|1.500000 A\303\251    42 1.00 42   | 1 2 'x' 0o10"
     " 0XFF 005 1 -ff {} %     3|3 ['a']"},
    {"{{ \"%(a)s\" % {\"b\": 1} }}",
     NULL},
    {"{{ \"%(a)s\" % 1 }}",
     NULL},
    {"{{ \"%(a\" % {} }}",
     NULL},
    {"{{ \"%\" % 1 }}",
     NULL},
    {"{{ \"%y\" % 1 }}",
     NULL},
    {"{{ \"%c\" % \"ab\" }}",
     NULL},
    {"{{ \"%*d\" % (\"a\", 1) }}",
     NULL},
    {"{{ \"%x\" % 1.5 }}",
     NULL},
    {"{{ \"a\" % 1 }}",
     NULL},
    {"{{ \"{:d}\".format(\"a\") }}",
     NULL},
    {"{{ \"{:s}\".format(1) }}",
     NULL},
    {"{{ \"{:x}\".format(1.5) }}",
     NULL},
    {"{{ \"{:.2d}\".format(1) }}",
     NULL},
    {"{{ \"{0} {}\".format(1, 2) }}",
     NULL},
    {"{{ \"{} {0}\".format(1, 2) }}",
     NULL},
    {"{{ \"{}\".format() }}",
     NULL},
    {"{{ \"{x}\".format() }}",
     NULL},
    {"{{ \"{\".format() }}",
     NULL},
    {"{{ \"}\".format() }}",
     NULL},
    {"{{ \"{0[a}\".format({}) }}",
     NULL},
    {"{{ \"{!x}\".format(1) }}",
     NULL},
    {"{{ \"{:zz}\".format(1) }}",
     NULL},
    {"{{ \"{!s:>4}|{!r:<5}|{:=+6d}|{:^+7.1f}|{: d}|{:#b}|{:#o}|{:n}\".format(1, \"a\", 5, "
     "2.25, 3, 5, 8, 9) }} {{ \"{:,.2f}|{:e}|{:G}|{:%}\".format(12345.678, 0.5, 1e-10, 0.5"
     ") }} {{ \"{0[0]}{0[1][k]}\".format([1, {\"k\": \"v\"}]) }} {{ \"{:5}|{:>5}|{!s:5}\"."
     "format(true, \"\303\251\", none) }} {{ \"{:f}|{:.0f}|{:g}\".format(2, 2.5, 100000000"
     ".0) }} {{ \"{:}\".format(\"x\") }}",
     "   1|'a'  |+    5| +2.2  | 3|0b101|0o10|9 12,345.68|5.000000e-01|1E-10|50.000000% 1v"
     "     1|    \303\251|None  2.000000|2|1e+08 x"},
    {"{{ \"a\"|format(\"b\", c=1) }}",
     NULL},
    {"{{ l.index(99) }}",
     NULL},
    {"{{ l.remove(99) }}",
     NULL},
    {"{{ [].pop() }}",
     NULL},
    {"{{ l.pop(9) }}",
     NULL},
    {"{{ d.pop(\"zz\") }}",
     NULL},
    {"{{ d.update(5) }}",
     NULL},
    {"{{ d.update({}, {}) }}",
     NULL},
    {"{{ l.insert(-1, \"q\") }}{{ l }}{{ l.insert(99, \"z\") }}{{ l }}{{ l.pop(-2) }}{{ (1"
     ", 2, 1).count(1) }}{{ (1, 2).index(2) }}",
     "None[3, 1, 'q', 2]None[3, 1, 'q', 2, 'z']221"},
    {"{{ dict(1) }}",
     NULL},
    {"{{ dict([1]) }}",
     NULL},
    {"{{ dict([(1, 2, 3)]) }}",
     NULL},
    {"{{ dict({}, {}) }}",
     NULL},
    {"{{ cycler() }}",
     NULL},
    {"{{ range() }}",
     NULL},
    {"{{ range(\"a\") }}",
     NULL},
    {"{{ range(1, 2, 3, 4) }}",
     NULL},
    {"{{ namespace([(\"a\", 1)]).a }}{{ namespace({\"b\": 2}, c=3).b }}",
     "12"},
    {"{{ \"x\"|center(\"y\") }}",
     NULL},
    {"{{ \"abc\".center(9, \"ab\") }}",
     NULL},
    {"{{ \"a\".split(\"\") }}",
     NULL},
    {"{{ \"a\".partition(\"\") }}",
     NULL},
    {"{{ \"a\".index(\"b\") }}",
     NULL},
    {"{{ \"a\".startswith(1) }}",
     NULL},
    {"{{ \"a\".startswith((\"a\", 1)) }} {{ \"ab\".endswith((\"x\", \"b\")) }}",
     "True True"},
    {"{{ \"a\".endswith(1) }}",
     NULL},
    {"{{ \"a\".strip(1) }}",
     NULL},
    {"{{ \"a\".join(5) }}",
     NULL},
    {"{{ 1 in \"abc\" }}",
     NULL},
    {"{{ 1 in 5 }}",
     NULL},
    {"{{ l|sort(attribute=\"zz\") }}",
     "[3, 1, 2]"},
    {"{{ [none, none]|sort }} {{ [(1, \"b\"), (1, \"a\")]|sort }} {{ [true, 0, 2]|sort }} "
     "{{ objs|map(attribute=\"n\")|sort|list }} {{ {2: \"b\", 1: \"a\"}|dictsort }}",
     "[None, None] [(1, 'a'), (1, 'b')] [0, True, 2] ['x', 'Y', 'z'] [(1, 'a'), (2, 'b')]"},
    {"{{ s|dictsort }}",
     NULL},
    {"{{ d|dictsort(by=\"nope\") }}",
     NULL},
    {"{{ missing|dictsort }}",
     NULL},
    {"{{ d|dictsort }}{{ {\"a\": none, \"b\": 1}|dictsort(by=\"value\") }}",
     NULL},
    {"{{ [1]|batch(\"a\") }}{{ nope.x }}",
     NULL},
    {"{{ [1, 2]|slice(0)|list }}",
     NULL},
    {"{{ l|map }}{{ l|map|list }}",
     NULL},
    {"{{ l|map(5)|list }}",
     NULL},
    {"{{ l|selectattr|list }}",
     NULL},
    {"{{ l|select(5)|list }}",
     NULL},
    {"{{ missing|abs }}",
     NULL},
    {"{{ s|abs }}",
     NULL},
    {"{{ missing|int }}",
     NULL},
    {"{{ \"5\"|int(base=99) }}",
     "5"},
    {"{{ missing|float }}",
     NULL},
    {"{{ s|round }}",
     NULL},
    {"{{ 1.5|round(0, \"nope\") }}",
     NULL},
    {"{{ \"x\"|filesizeformat }}",
     NULL},
    {"{{ missing|round }}",
     NULL},
    {"{{ missing|indent }}",
     NULL},
    {"{{ 5|indent }}",
     NULL},
    {"{{ 5|wordwrap }}",
     NULL},
    {"{{ \"a\"|truncate(1) }}",
     NULL},
    {"{{ 5|truncate }}",
     NULL},
    {"{{ {\"a b\": 1}|xmlattr }}",
     NULL},
    {"{{ 5|xmlattr }}",
     NULL},
    {"{{ [1]|urlencode }}",
     NULL},
    {"{{ 5 is lower }} {{ missing is upper }} {{ s is filter }}",
     "False False False"},
    {"{{ 5 is filter }}",
     "False"},
    {"{{ s is odd }}",
     NULL},
    {"{{ n is divisibleby(0) }}",
     NULL},
    {"{{ d|tojson(separators=5) }}",
     NULL},
    {"{{ [1, \"a\", none]|tojson(indent=\"--\") }} {{ \"\\t\\b\\f\\r\\u2028\"|tojson }} {{"
     " -1.5e-9|tojson }} {{ {\"b\": 1, \"a\": {\"d\": 1, \"c\": 2}}|tojson(sort_keys=true,"
     " indent=1) }}",
     "[\n--1,\n--\"a\",\n--null\n] \"\\t\\b\\f\\r\342\200\250\" -1.5e-09 {\n \"a\": {\n  "
     "\"c\": 2,\n  \"d\": 1\n },\n \"b\": 1\n}"},
    {"{{ {1: 2, \"a\": 3}|tojson(sort_keys=true) }}",
     NULL},
    {"{% for i in l %}{{ loop.nope }}{% endfor %}",
     ""},
    {"{% for i in l %}{{ loop.cycle() }}{% endfor %}",
     NULL},
    {"{% for i in l recursive %}{{ loop(1, 2) }}{% endfor %}",
     NULL},
    {"{% for i in [1, 1, 2] %}{{ loop.changed(i) }}{{ loop|length }}{{ \"x\" if loop }}{% "
     "endfor %}",
     "True3xFalse3xTrue3x"},
    {"{% for i in l %}{{ loop.nextitem is defined }}{{ loop.previtem is defined }}{% endfo"
     "r %}",
     "TrueFalseTrueTrueFalseTrue"},
    {"{% macro m(a=1, b) %}{% endmacro %}",
     NULL},
    {"{% macro m(a, b=a ~ \"!\") %}{{ b }}{% endmacro %}{{ m(\"x\") }}{{ m(\"x\", b=\"y\")"
     " }}{{ m(**{\"a\": \"q\"}) }}",
     "x!yq!"},
    {"{% macro m(a) %}{{ a }}{% endmacro %}{{ m(**5) }}",
     NULL},
    {"{% macro m(a) %}{{ a }}{% endmacro %}{{ m(**missing) }}",
     NULL},
    {"{% macro m(a) %}{{ a }}{% endmacro %}{{ m(*5) }}",
     NULL},
    {"{% macro m(a) %}{{ a }}{% endmacro %}{{ m(a=1, **{\"a\": 2}) }}",
     NULL},
    {"{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}",
     NULL},
    {"{% call 5 %}{% endcall %}",
     NULL},
    {"{% with a = 1, (b, c) = (2, 3) %}{{ a }}{{ b }}{{ c }}{% endwith %}",
     "123"},
    {"{% set a, b = 1 %}",
     NULL},
    {"{% set ns = namespace() %}{% set ns.a, x = 1, 2 %}{{ ns.a }}{{ x }}",
     "12"},
    {"{% block b scoped %}x{% endblock b %}",
     "x"},
    {"{% print %}",
     ""},
    {"{% print 1 2 %}",
     NULL},
    {"{{ 1_0 }} {{ 1e-3 }} {{ 1E5 }} {{ 0 }} {{ 00 }}",
     "10 0.001 100000.0 0 0"},
    {"{{ 007 }}",
     NULL},
    {"{{ 0x }}",
     NULL},
    {"{{ 1.foo }}",
     ""},
    {"{{ a..b }}",
     NULL},
    {"{{ a[ }}",
     NULL},
    {"{{ a[1:2:3:4] }}",
     NULL},
    {"{{ d[1, 2] }} {{ {(1, 2): \"t\"}[1, 2] }}",
     " t"},
    {"{{ l[\"a\"] }} {{ l[missing] }} {{ s[\"upper\"]() }} {{ d[\"get\"](\"a\") }}",
     "  HELLO, W\303\226RLD 2"},
    {"{{ l[missing:] }}",
     NULL},
    {"{{ l[\"a\":] }}",
     NULL},
    {"{{ l[::0] }}",
     NULL},
    {"{{ l[-99:99] }} {{ l[2:0:-1] }} {{ l[::2] }} {{ l[9:] }} {{ s[5:1] }} {{ u[::2] }} {"
     "{ range(10, 0, -3)[::-1]|list }} {{ range(10)[3:] }} {{ range(0)[1:] }} {{ (1, 2, 3)"
     "[::-1] }}",
     "[3, 1, 2] [2, 1] [3, 2] []  \316\221 \321\200\320\262\321\202\303\277 [1, 4, 7, 10] "
     "range(3, 10) range(0, 0) (3, 2, 1)"},
    {"{{ 5.5 // 0.5 }} {{ -5.5 % 3 }} {{ 5.5 % -3 }} {{ 0.0 / 5 }} {{ -0.0 }} {{ 4 ** 0.5 "
     "}} {{ 2.0 ** 3 }} {{ 7 // -2 }} {{ 3 * 1.5 }} {{ 1 - 0.5 }} {{ true + true }} {{ -tr"
     "ue }} {{ +1.5 }}",
     "11.0 0.5 -0.5 0.0 -0.0 2.0 8.0 -4 4.5 0.5 2 -1 1.5"},
    {"{{ 0 ** -1 }}",
     NULL},
    {"{{ (-8) ** 0.5 }}{{ nope.x }}",
     NULL},
    {"{{ 5 % 0.0 }}",
     NULL},
    {"{{ \"\\u00e9\\x41\\U0001f600\\101\\n\\t\\\\\\'\\\"\\q\" }} {{ 'a\\",
     NULL},
    {"{{ \"\\u00e9\\x41\\U0001f600\\101\n\\t\\\\\\'\\\"\\q\" }} {{ 'a\\",
     NULL},
    {"b' }}",
     "b' }}"},
    {"{{ \"\\u12\" }}",
     NULL},
    {"{{ \"\\N{BULLET}\" }}{{ nope.x }}",
     NULL},
    {"{{ '\303\251'.upper() ~ '\303\237'.title() ~ \"\305\211\".lower() }} {{ \"ab\".isaln"
     "um() }} {{ \"\".isspace() }} {{ \"\".islower() }} {{ \"A1\".istitle() }} {{ \"aB\".i"
     "stitle() }} {{ \"\303\211\".isupper() }} {{ \"\303\251\".islower() }}",
     "\303\211Ss\305\211 True False False True False True True"},
    {"{{ (html|e).upper() }} {{ (\"<\"|e).split(\",\") }} {{ ((\"a\"|safe) ~ \"b\") is esc"
     "aped }} {{ (\"a\"|safe).replace(\"a\", \"<\") }} {{ \"a,b\"|safe|first is escaped }}"
     " {{ [(\"<\"|e)]|join }} {{ (\"%s\"|e)|format(\"<\") }} {{ (\"<\"|e)|trim is escaped "
     "}}",
     "&LT;A HREF=&#39;X&#39;&GT;&AMP;AMP; B&LT;/A&GT; [Markup('&lt;')] False &lt; False &l"
     "t; &lt; True"},
};
