#!/usr/bin/env python3
"""What C programs cannot test about the project: that the public header compiles alone, that its
usage example works as it stands, that the house rules hold, and that their checkers see a breach.
Standard library only. Reads INGLE_BUILD (folder with libingle.a), CC, CXX, SAN."""
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tools"))
import check_api
import check_deps
import run_tests

LIBRARY = os.path.join(TOP, os.environ.get("INGLE_BUILD", "build/native"), "libingle.a")
CC = shlex.split(os.environ.get("CC", "cc"))
CXX = shlex.split(os.environ.get("CXX", "c++"))
SAN = shlex.split(os.environ.get("SAN", ""))
SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"


class Skip(Exception):
    pass


def call(argv, **more):
    p = subprocess.run(argv, capture_output=True, text=True, errors="replace", **more)
    return p.returncode, p.stdout, p.stderr


def must(argv, **more):
    code, out, err = call(argv, **more)
    assert code == 0, f"{shlex.join(argv)} ended with {code}:\n{out}{err}"
    return out


def find_model(name):
    home = os.path.expanduser("~/.cache")
    for folder in (os.environ.get("INGLE_MODELS"), os.path.join(TOP, "models"), os.path.join(TOP, "../shared/models"),
                   os.path.join(os.environ.get("XDG_CACHE_HOME", home), "ingle"), os.path.join(home, "ingle")):
        if folder and os.path.exists(os.path.join(folder, name)):
            return os.path.abspath(os.path.join(folder, name))
    raise Skip(f"{name} not found (tools/get_model.py fetches it)")


# ---- the header -----------------------------------------------------------------------------


def header_compiles_alone_as_c(tmp):
    for std in ("c11", "c17"):
        must([*CC, "-std=" + std, "-Wall", "-Wextra", "-Wpedantic", "-Wstrict-prototypes", "-Werror", "-fsyntax-only",
              "-x", "c", os.path.join(TOP, "include/ingle.h")])


def header_compiles_alone_as_cpp(tmp):
    if not shutil.which(CXX[0]):
        raise Skip(f"no C++ compiler ({CXX[0]})")
    for std in ("c++11", "c++20"):
        must([*CXX, "-std=" + std, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-x", "c++",
              os.path.join(TOP, "include/ingle.h")])


def library_links_from_cpp(tmp):
    if not shutil.which(CXX[0]):
        raise Skip(f"no C++ compiler ({CXX[0]})")
    source = os.path.join(tmp, "version.cpp")
    with open(source, "w", encoding="utf-8") as f:
        f.write('#include "ingle.h"\n#include <cstdio>\n'
                "int main() { ingle_sampling s; ingle_sampling_init(&s); std::puts(ingle_version()); }\n")
    program = os.path.join(tmp, "version")
    must([*CXX, "-std=c++11", "-Wall", "-Wextra", "-Werror", "-I", os.path.join(TOP, "include"), source, LIBRARY,
          "-o", program, "-lm", "-pthread", *SAN])
    version = re.search(r'#define INGLE_VERSION "(.*)"', check_deps.read(os.path.join(TOP, "include/ingle.h")))
    assert must([program]) == version.group(1) + "\n"


# ---- the usage example ----------------------------------------------------------------------


def build_example(tmp):
    """The example of the header's head comment, as the body of main."""
    head = check_deps.read(os.path.join(TOP, "include/ingle.h")).split("*/")[0]
    example = re.search(r"(?:^ \*(?: {3}.*)?\n)+", head, re.M)
    assert example and "ingle_generation_next" in example.group(), "the example was not found"
    body = re.sub(r"^ \* {0,3}", "", example.group(), flags=re.M)
    source = os.path.join(tmp, "example.c")
    with open(source, "w", encoding="utf-8") as f:
        f.write('#include "ingle.h"\n#include <stdio.h>\n#include <string.h>\nint main(void)\n{\n'
                f"{body}\n    return err.status != INGLE_OK;\n}}\n")
    program = os.path.join(tmp, "example")
    must([*CC, "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", os.path.join(TOP, "include"), source,
          LIBRARY, "-o", program, "-lm", "-pthread", *SAN])
    return program


def example_without_a_model(tmp):
    code, out, err = call([build_example(tmp)], cwd=tmp)
    assert code == 1 and out == "" and re.fullmatch(r"ERR_IO: .*model\.gguf.*\n", err), (code, out, err)


def example_with_a_model_without_template(tmp):
    os.symlink(find_model("stories260K.gguf"), os.path.join(tmp, "model.gguf"))
    code, out, err = call([build_example(tmp)], cwd=tmp)
    assert code == 1 and out == "" and re.fullmatch(r"ERR_UNSUPPORTED: .+\n", err), (code, out, err)


def example_answers(tmp):
    if SAN:
        raise Skip("a real model's answer takes minutes when instrumented")
    os.symlink(find_model(SMOLLM2), os.path.join(tmp, "model.gguf"))
    code, out, err = call([build_example(tmp)], cwd=tmp, timeout=600)
    # What it says hangs on the CPU's rounding; that it is an answer to this question does not.
    assert code == 0 and err == "" and len(out) > 40 and re.search("sky|blue|light", out), (code, out, err)


# ---- the house rules ------------------------------------------------------------------------


def none(faults):
    faults = list(faults)
    assert not faults, "\n" + "\n".join(faults)


def sources_keep_the_rules(tmp):
    none(check_deps.source_faults(TOP))


def library_keeps_the_rules(tmp):
    if SAN:
        raise Skip("instrumented code has variables of its own")
    if not shutil.which("nm"):
        raise Skip("no nm")
    none(check_deps.symbol_faults(LIBRARY, check_deps.read(os.path.join(TOP, "include/ingle.h"))))


def public_functions_are_explained_and_tested(tmp):
    none(check_api.api_faults(TOP))


def breach_of_the_include_rule_is_seen(tmp):
    """Each fault planted alone, in a copy: exactly that one more complaint must come."""
    for folder in ("src", "include", "cli"):
        shutil.copytree(os.path.join(TOP, folder), os.path.join(tmp, folder))
    before = check_deps.source_faults(tmp)
    plants = [
        ("src/base/planted.c", '#include "model/model.h"\n', "src/base may not include model/model.h"),
        ("src/quant/planted.c", '  #  include "token/token.h"\n', "src/quant may not include token/token.h"),
        ("src/cpu/planted.c", '#include "session/sample.h"\n', "src/cpu may not include session/sample.h"),
        ("src/base/planted.c", '#include "mem.h"\n', "no path from src"),
        ("src/base/planted.c", '#include "base/nowhere.h"\n', "no path from src"),
        ("src/base/planted.c", '#include "../base/mem.h"\n', "no path from src"),
        ("src/token/planted.c", "#include <unistd.h>\n", "no C11 header"),
        ("src/token/planted.c", "#include <assert.h>\n", "no place in the library"),
        ("src/token/planted.c", "#include <immintrin.h>\n", "no C11 header"),
        ("src/quant/text.c", "", "the name is taken"),
        ("src/misc/planted.c", "", "not in the dependency rule"),
        ("cli/planted.c", '#include "quant/quant.h"\n', "cli may not include"),
    ]
    for path, text, complaint in plants:
        path = os.path.join(tmp, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        fresh = [fault for fault in check_deps.source_faults(tmp) if fault not in before]
        os.remove(path)
        assert len(fresh) == 1 and complaint in fresh[0], (path, text, complaint, fresh)
    assert check_deps.source_faults(tmp) == before


def breach_of_the_library_rule_is_seen(tmp):
    if not shutil.which("nm") or not shutil.which("ar"):
        raise Skip("no nm or ar")
    with open(os.path.join(tmp, "planted.c"), "w", encoding="utf-8") as f:
        f.write("#include <assert.h>\n#include <stdio.h>\n#include <stdlib.h>\n"
                "int ingle_declared(int x);\nint ingle_extra(void);\nint ingle_data = 3;\n"
                "static int counter;\nstatic int *volatile started = &counter;\n"
                'static const char *const names[] = {"a", "b"};\n'
                "int ingle_extra(void) { return ++*started; }\n"
                "int ingle_declared(int x)\n{\n    assert(x != 5);\n    if (x == 1) exit(1);\n"
                '    if (x == 2) abort();\n    char out[9];\n    snprintf(out, sizeof out, "%s", names[x & 1]);\n'
                '    return x == 3 ? printf("%d", x) : x == 4 ? puts("four") : out[0];\n}\n')
    must([*CC, "-std=c11", "-O1", "-U_FORTIFY_SOURCE", "-c", "planted.c"], cwd=tmp)
    must(["ar", "rcs", "planted.a", "planted.o"], cwd=tmp)
    faults = "\n".join(check_deps.symbol_faults(os.path.join(tmp, "planted.a"),
                                                "int ingle_declared(int x); // ingle_comment()\nint ingle_missing(void);"))
    for complaint in ("calls __assert_fail", "calls exit", "calls abort", "calls printf", "calls puts",
                      "counter is a variable", "started is a variable", "ingle_data is a variable",
                      "ingle_data is public data", "ingle_extra is defined", "ingle_missing is declared"):
        assert complaint in faults, (complaint, faults)
    for innocent in ("snprintf", "names", "ingle_declared", "ingle_comment"):
        assert innocent not in faults, (innocent, faults)


def breach_of_the_api_rule_is_seen(tmp):
    for folder in ("include", "tests"):
        os.mkdir(os.path.join(tmp, folder))
    with open(os.path.join(tmp, "include/ingle.h"), "w", encoding="utf-8") as f:
        f.write("/* ---- things --- */\n\nint ingle_bare(void);\n\n/* Explained. */\nint ingle_good(void);\n"
                "int ingle_same(int (*call)(void));\n\n\nint ingle_after(void);\n\nint ingle_far(void); // yes\n")
    with open(os.path.join(tmp, "tests/test_x.c"), "w", encoding="utf-8") as f:
        f.write("/* ingle_far() */ int x = ingle_good(), y = ingle_same (0) + ingle_bare( );\n// ingle_after()\n")
    assert check_api.api_faults(tmp) == ["ingle_bare has no comment in include/ingle.h",
                                         "ingle_after is called by no test in tests/*.c",
                                         "ingle_far is called by no test in tests/*.c"], check_api.api_faults(tmp)


def runner_believes_no_silent_program(tmp):
    judge = run_tests.judge
    assert judge(0, "x\na.c: 3 passed, 0 failed, 1 skipped\n") == (3, 0, 1, "")
    assert judge(1, "a.c: 2 passed, 1 failed, 0 skipped\n") == (2, 1, 0, "")
    for status, output in ((0, ""), (0, "all is well\n"), (1, "a.c: 3 passed, 0 failed, 0 skipped\n"),
                           (-11, "a.c: 3 passed, 0 failed, 0 skipped\n"), (None, "half a li"), (127, "")):
        assert judge(status, output)[1] == 1, (status, output)
    assert judge(0, "a.c: 2 passed, 1 failed, 0 skipped\n")[1] == 1


def test_scripts_need_no_packages(tmp):
    ours = {os.path.basename(path)[:-3] for path in glob.glob(os.path.join(TOP, "tools/*.py"))}
    tools = [os.path.join(TOP, "tools", name) for name in ("run_tests.py", "check_deps.py", "check_api.py",
                                                            "coverage.py", "get_model.py")]
    for path in [*glob.glob(os.path.join(TOP, "tests/test_*.py")), *filter(os.path.exists, tools)]:
        for names in re.findall(r"^(?:import ([\w, ]+)|from (\w+))", check_deps.read(path), re.M):
            for name in re.findall(r"\w+", "".join(names)):
                assert name in sys.stdlib_module_names or name in ours, f"{path}: imports {name}"


CASES = [header_compiles_alone_as_c, header_compiles_alone_as_cpp, library_links_from_cpp, example_without_a_model,
         example_with_a_model_without_template, example_answers, sources_keep_the_rules, library_keeps_the_rules,
         public_functions_are_explained_and_tested, breach_of_the_include_rule_is_seen,
         breach_of_the_library_rule_is_seen, breach_of_the_api_rule_is_seen, runner_believes_no_silent_program,
         test_scripts_need_no_packages]


def main(names):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for case in CASES:
        if names and not any(name in case.__name__ for name in names):
            continue
        result = "passed"
        with tempfile.TemporaryDirectory() as tmp:
            try:
                case(tmp)
            except Skip as why:
                result = "skipped"
                print(f"skipped: {case.__name__}: {why}")
            except Exception as fault:  # a broken case is a failed case
                result = "failed"
                print(f"FAIL {case.__name__}: {type(fault).__name__}: {fault}")
        counts[result] += 1
    print("tests/test_house.py: {passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    return counts["failed"] > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
