# ingle: native library, command line, tests. `make help` lists what there is to make.
CC      ?= cc
CXX     ?= c++
AR      ?= ar
PYTHON  ?= python3
CFLAGS  ?= -O3 -g
PREFIX  ?= /usr/local
WARN    := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
# -ffp-contract=off: a*b+c rounds the same on every compiler, so recorded texts hold everywhere.
FLAGS    = -std=c11 $(WARN) $(WERROR) -Iinclude -Isrc -D_GNU_SOURCE -ffp-contract=off -fno-math-errno -pthread -MMD -MP $(CFLAGS) $(SAN)
LIBS    := -lm -pthread -ldl
# Each flavour (native, sanitized, covered, strict) has a folder of its own and leaves the others be.
B       ?= build/native
# V=1 shows the commands in full.
Q       := $(if $(V),,@)
SAY      = @$(if $(V),true,echo)

# The parts of GPU kernels as C strings.
WGSL    := $(wildcard src/gpu/wgsl/*.wgsl src/gpu/wgsl/*/*.wgsl)
GEN_SRC := build/gen/wgsl_text.c
LIB_SRC := $(filter-out src/host/host_wasm.c src/token/unicode_wasm.c src/gpu/player_wasm.c src/cpu/absent_cpu.c src/gpu/absent_gpu.c \
             src/session/absent_gpu_session.c src/wasm/%.c,\
             $(wildcard src/*/*.c)) $(GEN_SRC)
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
CLI_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard cli/*.c))
TESTS   := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/test_*.c))
# tests/*.c that are no test program: what they share; each program links what it uses.
SUPPORT := $(patsubst %.c,$(B)/%.o,$(filter-out tests/test_%.c,$(wildcard tests/*.c)))
REPLAYS := $(patsubst fuzz/fuzz_%.c,$(B)/fuzz/replay_%,$(wildcard fuzz/fuzz_*.c))
ALL_OBJ := $(LIB_OBJ) $(CLI_OBJ) $(TESTS:%=%.o) $(SUPPORT) $(patsubst %.c,$(B)/%.o,$(wildcard fuzz/*.c bench/*.c))

all: ingle libingle.a      ## the command line and the library (what plain make does)

libingle.a: $(B)/libingle.a
	@cp $< $@
ingle: $(B)/ingle
	@cp $< $@

build/gen/wgsl_text.c: tools/embed_wgsl.py $(WGSL) build/gen/wgsl_list
	$(Q)$(PYTHON) tools/embed_wgsl.py src/gpu/wgsl $@
# The same with short names, for the page.
build/gen/wgsl_short.c: build/gen/wgsl_text.c $(wildcard src/gpu/*.[ch])
	$(Q)$(PYTHON) tools/embed_wgsl.py src/gpu/wgsl $@ $(filter src/%,$^)
build/gen/wgsl_list: FORCE
	@mkdir -p $(@D)
	@echo '$(WGSL)' | cmp -s - $@ || echo '$(WGSL)' > $@

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(SAY) "$(CC) $<"
	$(Q)$(CC) $(FLAGS) -c $< -o $@
$(B)/libingle.a: $(LIB_OBJ) $(B)/sources
	$(SAY) "$(AR) $@"
	$(Q)rm -f $@ && $(AR) rcs $@ $(LIB_OBJ)
$(B)/ingle: $(CLI_OBJ) $(B)/libingle.a $(B)/sources
	$(SAY) "$(CC) $@"
	$(Q)$(CC) $(FLAGS) $(CLI_OBJ) $(B)/libingle.a -o $@ $(LIBS)
$(B)/tests/support.a: $(SUPPORT) $(B)/sources
	$(Q)rm -f $@ && $(AR) rcs $@ $(SUPPORT)
$(B)/tests/%: $(B)/tests/%.o $(B)/tests/support.a $(B)/libingle.a
	$(SAY) "$(CC) $@"
	$(Q)$(CC) $(FLAGS) $^ -o $@ $(LIBS)

# Two stamps, rewritten only when they change: other flags rebuild everything, and a source that
# was added or taken away rebuilds the archive.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(FLAGS)' | cmp -s - $@ || echo '$(CC) $(FLAGS)' > $@
$(B)/sources: FORCE
	@mkdir -p $(@D)
	@echo '$(LIB_SRC) $(CLI_OBJ) $(SUPPORT)' | cmp -s - $@ || echo '$(LIB_SRC) $(CLI_OBJ) $(SUPPORT)' > $@
FORCE:

# The browser side is tested where it can be built; else it is skipped, and what it lacks is said.
test: all                  ## builds and runs every test, the browser's too; the last line is the total
	+@lacks=$$(MAKE='$(MAKE)' NODE='$(NODE)' sh tools/web_ready.sh) && \
	    { [ -n "$$lacks" ] || $(MAKE) --no-print-directory web-build wasm-tests; } && \
	    $(MAKE) --no-print-directory check WEB="$${lacks:-yes}"

check: $(B)/ingle $(B)/libingle.a $(TESTS) $(REPLAYS)
	+@INGLE_BUILD='$(B)' INGLE_WEB='$(WEB)' CC='$(CC)' CXX='$(CXX)' SAN='$(SAN)' MAKE='$(MAKE)' \
	    $(PYTHON) tools/run_tests.py

sanitize:                  ## the same tests under address and undefined-behaviour sanitizers
	+@$(MAKE) --no-print-directory check B=build/san CFLAGS='-O1 -g -fno-omit-frame-pointer' \
	    SAN='-fsanitize=address,undefined -fno-sanitize-recover=all'

strict:                    ## every C file with -Werror, by gcc and by clang where they are found
	+@n=0; for cc in gcc clang-19 clang; do \
	    command -v $$cc >/dev/null || continue; \
	    [ $$cc = clang ] && command -v clang-19 >/dev/null && continue; \
	    $(MAKE) --no-print-directory objects B=build/strict-$$cc CC=$$cc WERROR=-Werror || exit 1; \
	    echo "strict: $$cc: no warnings"; n=1; \
	done; [ $$n = 1 ] || { echo "strict: neither gcc nor clang found"; exit 1; }
	@$(MAKE) --no-print-directory strict-32

# The library must also hold where size_t has 32 bits (WebAssembly). Only the front end runs, with
# this machine's headers, so no 32-bit C library is needed but the one file that glibc asks for.
strict-32:
	@[ "$$(uname -m)" = x86_64 ] && command -v gcc >/dev/null || { echo "strict: no 32-bit pass here"; exit 0; }; \
	    mkdir -p build/strict-32/gnu && : > build/strict-32/gnu/stubs-32.h && \
	    gcc $(filter-out -MMD -MP,$(FLAGS)) -Werror -m32 -fsyntax-only -isystem build/strict-32 \
	        -isystem /usr/include/$$(gcc -print-multiarch) $(LIB_SRC) && \
	    echo "strict: no warnings where size_t has 32 bits"

objects: $(ALL_OBJ)

coverage:                  ## line coverage of src/ by the tests, per file and in all
	@find build/cov -name '*.gcda' -exec rm -f {} + 2>/dev/null || true
	+@$(MAKE) --no-print-directory check B=build/cov CC=gcc CFLAGS='-O1 -g' SAN='--coverage'; \
	    status=$$?; $(PYTHON) tools/coverage.py build/cov && exit $$status

demo: all                  ## fetches a small model (98 MB, once) and asks it a question
	@$(PYTHON) tools/get_model.py
	./ingle run -p "Why is the sky blue?" --temp 0 -n 100

memory: all                ## what info foretells of memory, beside what the system reports (Linux)
	@$(PYTHON) tools/get_model.py
	$(PYTHON) tools/measure_memory.py

install: all               ## into PREFIX (default /usr/local); DESTDIR is respected
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib $(DESTDIR)$(PREFIX)/include
	install -m 755 ingle $(DESTDIR)$(PREFIX)/bin/
	install -m 644 libingle.a $(DESTDIR)$(PREFIX)/lib/
	install -m 644 include/ingle.h $(DESTDIR)$(PREFIX)/include/

format-check:              ## shows where clang-format-19 would write it otherwise (a hint, no rule)
	@command -v clang-format-19 >/dev/null || { echo "format-check: no clang-format-19"; exit 0; }; \
	    clang-format-19 --dry-run $$(git ls-files '*.c' '*.h') 2>&1 | grep -c 'Wclang-format' || true

clean:                     ## removes what was built
	rm -rf build ingle libingle.a

help:                      ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' Makefile

-include $(shell find $(B) -name '*.d' 2>/dev/null)
.PHONY: all test check sanitize strict strict-32 objects coverage demo install format-check clean help FORCE
.SECONDARY:

# ---- fuzzing ------------------------------------------------------------------------------------
# One target a parser of foreign bytes: fuzz/fuzz_<name>.c with its seeds in fuzz/corpus/<name>/.
# fuzz-replay needs no clang and is part of the tests; fuzz explores with libFuzzer and sanitizers
# and leaves what it finds in build/fuzz/fuzz/<name>-crash-*, its own corpora beside it.
FUZZ         ?= $(patsubst fuzz/fuzz_%.c,%,$(sort $(wildcard fuzz/fuzz_*.c)))
FUZZ_SECONDS ?= 60
FUZZ_ROUNDS  ?= 20
FUZZ_CC      ?= clang-19

fuzz-replay: $(FUZZ:%=$(B)/fuzz/replay_%) ## every fuzz input, and damaged copies of it, once
	@passed=0; failed=0; for t in $(FUZZ); do \
	    run="$(B)/fuzz/replay_$$t -m $(FUZZ_ROUNDS)"; \
	    if $$run fuzz/corpus/$$t > $(B)/fuzz/replay_$$t.log 2>&1; then passed=$$((passed + 1)); \
	    else failed=$$((failed + 1)); tail -n 40 $(B)/fuzz/replay_$$t.log; \
	        echo "failed: $$t, with $$($$run -v fuzz/corpus/$$t 2>/dev/null | tail -n 1)"; fi; \
	done; echo "fuzz-replay: $$passed passed, $$failed failed, 0 skipped"; [ $$failed = 0 ]

fuzz:                      ## FUZZ_SECONDS of libFuzzer for each target (or FUZZ="name name")
	+@$(MAKE) --no-print-directory fuzz-run B=build/fuzz CC=$(FUZZ_CC) CFLAGS='-O1 -g' \
	    SAN='-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all'

fuzz-run: $(FUZZ:%=$(B)/fuzz/fuzz_%)
	@bad=0; for t in $(FUZZ); do \
	    mkdir -p $(B)/fuzz/corpus/$$t; dict=; [ -f fuzz/$$t.dict ] && dict=-dict=fuzz/$$t.dict; \
	    $(B)/fuzz/fuzz_$$t -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 \
	        -max_len=65536 -print_final_stats=1 -artifact_prefix=$(B)/fuzz/$$t- $$dict \
	        $(B)/fuzz/corpus/$$t fuzz/corpus/$$t > $(B)/fuzz/$$t.log 2>&1; code=$$?; \
	    [ $$code = 0 ] || { bad=1; grep -a -m 6 -e 'ERROR' -e 'SUMMARY' -e 'runtime error' \
	        -e 'broken promise' -e 'Test unit written' $(B)/fuzz/$$t.log; }; \
	    echo "fuzz: $$t: $$(sed -n 's/^stat::number_of_executed_units: *//p' $(B)/fuzz/$$t.log)" \
	        "executions, exit status $$code"; \
	done; exit $$bad

$(B)/fuzz/replay_%: $(B)/fuzz/fuzz_%.o $(B)/fuzz/replay.o $(B)/libingle.a
	$(CC) $(FLAGS) $^ -o $@ $(LIBS)
$(B)/fuzz/fuzz_%: $(B)/fuzz/fuzz_%.o $(B)/libingle.a
	$(CC) $(FLAGS) -fsanitize=fuzzer $^ -o $@ $(LIBS)
.PHONY: fuzz fuzz-run fuzz-replay

# ---- WebAssembly --------------------------------------------------------------------------------
# Five modules from the same sources: SIMD128 or relaxed SIMD, one thread or shared memory, and one for GPUs,
# which leaves the CPU's kernels out. clang and
# wasi-libc, no Emscripten. Compiled and linked apart, so that clang runs no optimiser it finds on the
# PATH; --no-check-features because Debian's wasi-libc is built without atomics, which is sound as
# long as only the leader allocates (src/host/host_wasm.c). make wasm-tools installs what is missing.
WASM_CC      ?= clang-19
WASM_LD      ?= wasm-ld-19
WASM_SYSROOT ?= /usr
WASM_CPU_BUILDS := simd relaxed simd-threads relaxed-threads
WASM_BUILDS  := $(WASM_CPU_BUILDS) gpu
WASM_OPT     ?= -Oz
# The kernels. -O3 is larger and no faster, and so is -O2 for what calls and feeds them. They are compiled
# to the end here: the linker, which compiles the rest, is told to leave loops' addresses as they are
# written (-disable-lsr), which takes 3 kB off a page's download.
WASM_HOT_OPT ?= -O2
WASM_HOT     := $(patsubst %,src/%.c,cpu/cpu_wasm cpu/cpu_wasm_float)
WASM_SRC     := $(filter-out src/host/host_posix.c src/host/cache_posix.c src/token/normalise.c src/gpu/player_native.c src/gpu/dawn.c,$(LIB_SRC)) \
                src/host/host_wasm.c src/token/unicode_wasm.c $(wildcard src/gpu/player_wasm.c src/wasm/*.c)
# A build has one backend; the other one's calls are refused.
wasm_src      = $(if $(filter gpu,$(1)),$(filter-out src/cpu/% $(GEN_SRC),$(WASM_SRC)) build/gen/wgsl_short.c src/cpu/absent_cpu.c,\
                $(filter-out src/gpu/% src/session/session_gpu.c src/session/revive.c $(GEN_SRC),$(WASM_SRC)) \
                src/gpu/absent_gpu.c src/session/absent_gpu_session.c)
WASM_FLAGS    = --target=wasm32-wasi --sysroot=$(WASM_SYSROOT) -isystem $(WASM_SYSROOT)/include/wasm32-wasi \
                -std=c11 $(WARN) $(WERROR) -Iinclude -Isrc -ffp-contract=off -fno-math-errno -fvisibility=hidden \
                -ffunction-sections -fdata-sections -flto -DNDEBUG -MMD -MP
WASM_BUILTINS = $(shell $(WASM_CC) --print-resource-dir)/lib/wasi/libclang_rt.builtins-wasm32.a
WASM_LINK     = -O2 -mllvm -disable-lsr --compress-relocations --no-entry --gc-sections --strip-all --import-memory --max-memory=4294967296 -z stack-size=1048576 \
                --stack-first --export=_initialize
wasm_features = -msimd128 -mbulk-memory -msign-ext -mnontrapping-fptoint $(if $(findstring relaxed,$(1)),-mrelaxed-simd) \
                $(if $(findstring threads,$(1)),-matomics)
wasm_link     = $(if $(findstring threads,$(1)),--shared-memory --no-check-features --export=__stack_pointer) \
                $(if $(filter gpu,$(1)),$(WASM_SMALL_LINK))
# What the GPU's build computes is little, so it is made smaller still, by 1.7 kB: only what gets smaller by it is inlined,
# of functions that do the same one is kept, what branches have in common is merged. A CPU would load 5 % slower.
WASM_SMALL      = -mllvm -inline-threshold=-15
WASM_SMALL_LINK = -mllvm -inline-threshold=-25 -mllvm -enable-merge-functions -mllvm -sink-common-insts -mllvm -enable-pre=0

wasm: wasm-check $(WASM_BUILDS:%=build/wasm/%.wasm) ## the WebAssembly modules, and their sizes
	@for b in $(WASM_BUILDS); do \
	    printf '%-16s %7d bytes' $$b $$(wc -c < build/wasm/$$b.wasm); \
	    if command -v brotli >/dev/null; then printf ', %6d brotli' $$(brotli -c -q 11 build/wasm/$$b.wasm | wc -c); fi; \
	    echo; \
	done

wasm-check:
	@for tool in $(WASM_CC) $(WASM_LD); do \
	    command -v $$tool >/dev/null || { echo "wasm: $$tool is missing: make wasm-tools"; exit 1; }; \
	done; for file in $(WASM_BUILTINS) $(WASM_SYSROOT)/lib/wasm32-wasi/libc.a; do \
	    [ -f $$file ] || { echo "wasm: $$file is missing: make wasm-tools"; exit 1; }; \
	done

wasm-tools:                ## installs clang, lld and wasi-libc for WebAssembly (Debian, Ubuntu)
	@sh tools/install_wasm.sh

define WASM_RULES
build/wasm/$(1)/%.o: %.c build/wasm/$(1)/flags
	@mkdir -p $$(@D)
	$$(SAY) "$(WASM_CC) $(1) $$<"
	$$(Q)$(WASM_CC) $$(WASM_FLAGS) $$(call wasm_features,$(1)) $$(if $$(filter $$(WASM_HOT) tests/%,$$<),$$(WASM_HOT_OPT),$$(WASM_OPT) $(if $(filter gpu,$(1)),$$(WASM_SMALL))) \
	    $$(if $$(filter $$(WASM_HOT),$$<),-fno-lto) -c $$< -o $$@
build/wasm/$(1)/flags: FORCE
	@mkdir -p $$(@D)
	@echo '$$(WASM_FLAGS) $$(WASM_LINK) $$(WASM_OPT) $$(WASM_HOT_OPT) $$(WASM_HOT) $$(WASM_SMALL) $$(WASM_SMALL_LINK) $$(WASM_SRC)' | cmp -s - $$@ || \
	    echo '$$(WASM_FLAGS) $$(WASM_LINK) $$(WASM_OPT) $$(WASM_HOT_OPT) $$(WASM_HOT) $$(WASM_SMALL) $$(WASM_SMALL_LINK) $$(WASM_SRC)' > $$@
build/wasm/$(1).wasm: $$(patsubst %.c,build/wasm/$(1)/%.o,$$(call wasm_src,$(1)))
	$$(SAY) "$(WASM_LD) $$@"
	$$(Q)$(WASM_LD) $$(WASM_LINK) $$(call wasm_link,$(1)) $$(WASM_SYSROOT)/lib/wasm32-wasi/crt1-reactor.o $$^ \
	    -L$$(WASM_SYSROOT)/lib/wasm32-wasi -lc -lm $$(WASM_BUILTINS) -o $$@
endef
$(foreach b,$(WASM_BUILDS),$(eval $(call WASM_RULES,$(b))))
-include $(shell find build/wasm -name '*.d' 2>/dev/null)
.PHONY: wasm wasm-check wasm-tools

# The kernels' tests as WebAssembly programs, under Node and in headless Chromium. Like the modules,
# they are handed their memory.
WASM_PROGRAMS := test_cpu test_cpu_ops
WASM_TESTS   := $(foreach b,$(WASM_CPU_BUILDS),$(WASM_PROGRAMS:%=build/wasm/$(b)/tests/%.wasm))
WASM_SHARED  := support oracle_decoder tiny_model kernel_bench
NODE         ?= node
# Node 20 has no relaxed SIMD (behind a flag it has one that sums wrongly): the builds are tried in the
# one that js/package.json asks for; the package itself in yours.
NODE_RELAXED  = $(firstword $(wildcard js/node_modules/node/bin/node) $(NODE))

define WASM_TEST_RULE
build/wasm/%/tests/$(1).wasm: build/wasm/%.wasm $$(patsubst %,tests/%.c,$(1) $$(WASM_SHARED)) $$(wildcard tests/*.h) Makefile
	@mkdir -p $$(@D)
	$$(SAY) "$$(WASM_CC) $$@"
	$$(Q)for t in $(1) $$(WASM_SHARED); do \
	    $$(WASM_CC) $$(WASM_FLAGS) $$(call wasm_features,$$*) -O2 -c tests/$$$$t.c -o $$(@D)/$(1)-$$$$t.o || exit 1; done
	$$(Q)$$(WASM_LD) --gc-sections --import-memory --max-memory=4294967296 -z stack-size=1048576 --stack-first \
	    $$(if $$(findstring threads,$$*),--shared-memory --no-check-features) \
	    $$(WASM_SYSROOT)/lib/wasm32-wasi/crt1-command.o $$(patsubst %,$$(@D)/$(1)-%.o,$(1) $$(WASM_SHARED)) \
	    $$(patsubst %.c,build/wasm/$$*/%.o,$$(filter src/base/% src/cpu/% src/quant/% src/graph/%,$$(WASM_SRC))) \
	    -L$$(WASM_SYSROOT)/lib/wasm32-wasi -lc -lm $$(WASM_BUILTINS) -o $$@
endef
$(foreach p,$(WASM_PROGRAMS),$(eval $(call WASM_TEST_RULE,$(p))))

wasm-tests: wasm $(WASM_TESTS)

test-ops: wasm-tests js/node_modules/.package-lock.json ## the kernels of each WebAssembly build, in Node and in Chromium
	@$(NODE_RELAXED) --no-warnings tests/wasm_ops.mjs

test-wasm: all wasm js/node_modules/.package-lock.json ## the WebAssembly modules by their exports, under Node
	@$(NODE_RELAXED) --no-warnings tests/wasm_smoke.mjs
.PHONY: test-ops test-wasm wasm-tests

# The GPU's tests as WebAssembly programs, on the package's player: in Node over Dawn (npm's webgpu and a
# Vulkan driver, make gpu-tools) and in headless Chromium. A program takes of the library and of what tests
# share what it uses.
GPU_BUILD  := build/wasm/simd-threads
GPU_TESTS  := $(patsubst tests/%.c,$(GPU_BUILD)/tests/%.wasm,$(wildcard tests/test_gpu_*.c))
GPU_SHARED := $(patsubst %.c,$(GPU_BUILD)/%.o,$(filter-out tests/test_% tests/template_driver.c,$(wildcard tests/*.c)) \
                $(filter-out src/wasm/%,$(WASM_SRC)))

$(GPU_BUILD)/tests/test_gpu_%.wasm: $(GPU_BUILD)/tests/test_gpu_%.o $(GPU_SHARED)
	$(SAY) "$(WASM_LD) $@"
	$(Q)$(WASM_LD) --gc-sections --import-memory --max-memory=4294967296 -z stack-size=1048576 --stack-first \
	    --shared-memory --no-check-features $(WASM_SYSROOT)/lib/wasm32-wasi/crt1-command.o $< \
	    --start-lib $(GPU_SHARED) --end-lib -L$(WASM_SYSROOT)/lib/wasm32-wasi -lc -lm $(WASM_BUILTINS) -o $@

build/wasm/gpu.mjs: $(addprefix js/src/,gpu.ts gpu_objects.ts player.ts readback.ts tickets.ts errors.ts error_codes.ts) js/node_modules/.package-lock.json
	$(Q)js/node_modules/.bin/esbuild --bundle --format=esm --log-level=warning js/src/gpu.ts --outfile=$@

gpu-web-tests: wasm-check $(GPU_TESTS) build/wasm/gpu.mjs

test-gpu-web: gpu-web-tests ## the GPU's tests through the package's player, in Node and in Chromium; GPU_ARGS=--no-f16, ..
	@$(NODE) --no-warnings tests/gpu_web.mjs $(GPU_ARGS)
.PHONY: gpu-web-tests test-gpu-web

# ---- 64-bit Arm ---------------------------------------------------------------------------------
# A cross build, linked statically so that it needs no system of its own, run under qemu's user mode as
# processors with and without the instructions that the kernels use. make arm-tools installs both.
ARM_CC    ?= aarch64-linux-gnu-gcc
ARM_AR    ?= aarch64-linux-gnu-ar
ARM_RUN   ?= qemu-aarch64
ARM_TESTS := test_cpu test_cpu_ops test_session test_quant test_model
ARM_ARGS  ?=

test-arm:                  ## the kernels for 64-bit Arm under qemu; ARM_ARGS=--model adds a real model
	+@for tool in $(firstword $(ARM_CC)) $(ARM_AR) $(ARM_RUN); do command -v $$tool >/dev/null || { \
	    echo "skipped: test-arm: $$tool is missing: make arm-tools"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }; done; \
	$(MAKE) --no-print-directory arm-programs B=build/arm64 CC='$(ARM_CC)' AR='$(ARM_AR)' WERROR=-Werror \
	    LIBS='$(LIBS) -static' && \
	$(PYTHON) tools/test_arm.py --build build/arm64 --run $(ARM_RUN) $(ARM_ARGS)

arm-programs: $(B)/ingle $(ARM_TESTS:%=$(B)/tests/%)

arm-tools:                 ## installs gcc for 64-bit Arm and qemu's user mode (Debian, Ubuntu)
	@sh tools/install_arm.sh
.PHONY: test-arm arm-programs arm-tools

# ---- the GPU ------------------------------------------------------------------------------------
# Tests of the native GPU player find Dawn's library by INGLE_DAWN or where gpu-tools puts it; without it
# they skip themselves.
gpu-tools:                 ## installs software Vulkan and, into build/gpu, Dawn, for tests (Debian, Ubuntu)
	@sh tools/install_gpu.sh

GPU_PROGRAMS := $(filter $(B)/tests/test_gpu_%,$(TESTS)) $(B)/tests/test_revive
# GPU_LANES=native or browser: one of the two.
test-gpu: all $(GPU_PROGRAMS) ## the GPU's tests on lavapipe (make gpu-tools) and, in headless Chromium, on SwiftShader
	+@lacks=$$(MAKE='$(MAKE)' NODE='$(NODE)' sh tools/web_ready.sh) && \
	    { [ -n "$$lacks" ] || $(MAKE) --no-print-directory web-build gpu-web-tests; } && \
	    INGLE_BUILD='$(B)' INGLE_WEB="$${lacks:-yes}" NODE='$(NODE)' $(PYTHON) tools/test_gpu.py $(GPU_LANES)
.PHONY: gpu-tools test-gpu

# ---- the web ------------------------------------------------------------------------------------
# The npm package (js/dist), the page (app/dist) and their tests, in Node and in headless Chromium.
PORT ?= 8080

web: web-build             ## builds the page with all it needs, serves it, prints its address
	@$(PYTHON) tools/get_model.py >/dev/null || echo "web: no model was fetched; choose a file in the page"
	@$(NODE) tools/serve.mjs --port $(PORT)

web-build: js/node_modules/.package-lock.json ## the WebAssembly modules, the npm package and the page
	+@$(MAKE) --no-print-directory wasm-check >/dev/null 2>&1 || $(MAKE) --no-print-directory wasm-tools
	+@$(MAKE) --no-print-directory wasm
	@cd js && $(NODE) build.mjs && $(NODE) ../app/build.mjs

js/node_modules/.package-lock.json: js/package.json js/package-lock.json
	@command -v npm >/dev/null || { echo "web: Node.js (20 or later) with npm is missing"; exit 1; }
	@cd js && npm ci --loglevel=error && touch node_modules/.package-lock.json

test-web: all web-build    ## tests of the package and the page; the last line is the total
	@$(NODE) --no-warnings js/test/run.mjs

# ACCEPT=--quick: a third of SmolLM2's recorded tokens, as in make test (make test ACCEPT= takes all).
accept-web: web-build      ## recorded answers through the package: each build, in Node and in Chromium
	@$(NODE_RELAXED) --no-warnings js/test/accept.mjs $(ACCEPT)
.PHONY: web web-build test-web accept-web

# ---- benchmarks ---------------------------------------------------------------------------------
# ingle beside other engines, on the same files (docs/benchmarks.md). They are packages of bench/
# alone, for Linux on x86-64; nothing of them is built, tested or published with ingle.
ARGS ?=

bench-peers: all web-build bench/node_modules/.package-lock.json ## beside llama.cpp and wllama: ARGS=--quick, --native, --browser, ..
	@$(PYTHON) tools/get_model.py >/dev/null || echo "bench: no real model was fetched; random weights stand in"
	@$(NODE) bench/peers.mjs $(ARGS)

# Not npm ci: it wants node-llama-cpp's programs for every other system, too, to be in the lock file.
bench/node_modules/.package-lock.json: bench/package.json bench/package-lock.json
	@command -v npm >/dev/null || { echo "bench: Node.js (20 or later) with npm is missing"; exit 1; }
	@cd bench && npm install --no-save --ignore-scripts --omit=optional --loglevel=error && touch node_modules/.package-lock.json

bench-kernels: $(B)/tests/test_cpu ## each product's kernels, in GB/s and GMAC/s beside this machine's limits
	@$< bench $(ARGS)
.PHONY: bench-peers bench-kernels
