# ingle: native library, command line, tests. `make help` lists what there is to make.
CC      ?= cc
AR      ?= ar
CFLAGS  ?= -O3 -g
WARN    := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
# -ffp-contract=off: a*b+c rounds the same on every compiler, so recorded texts hold everywhere.
FLAGS    = -std=c11 $(WARN) $(WERROR) -Iinclude -Isrc -D_GNU_SOURCE -ffp-contract=off -fno-math-errno -pthread -MMD -MP $(CFLAGS) $(SAN)
LIBS    := -lm -pthread
B       ?= build/native

LIB_SRC := $(filter-out src/host/host_wasm.c,$(wildcard src/*/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
CLI_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard cli/*.c))
TESTS   := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/test_*.c))

all: ingle libingle.a      ## the library and the command line

libingle.a: $(B)/libingle.a
	cp $< $@
ingle: $(B)/ingle
	cp $< $@

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(FLAGS) -c $< -o $@
$(B)/libingle.a: $(LIB_OBJ)
	rm -f $@ && $(AR) rcs $@ $^
$(B)/ingle: $(CLI_OBJ) $(B)/libingle.a
	$(CC) $(FLAGS) $^ -o $@ $(LIBS)
$(B)/tests/%: $(B)/tests/%.o $(B)/tests/support.o $(B)/libingle.a
	$(CC) $(FLAGS) $^ -o $@ $(LIBS)

clean:                     ## remove what was built
	rm -rf build ingle libingle.a

-include $(shell find build -name '*.d' 2>/dev/null)
.PHONY: all clean
.SECONDARY:
