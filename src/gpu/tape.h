/* The tape: a list of WebGPU calls as plain uint32_t words. The core writes it, a player carries it
 * out (player.h). Neither knows the other's insides: what a tape means is on this page.
 *
 * A command is a word TAPE_<NAME> and the words that TAPE_COMMANDS lists. Objects are numbered by who
 * writes the tape, each kind from 0 without gaps; a buffer's number is used again only after its FREE, a group's
 * after the FREE of one of its buffers: a section with a dead group no longer runs, whatever has the number by
 * then. A section that is given again takes the old one's place.
 * 64-bit numbers are two words, low first: sizes and offsets in bytes, and addresses in the core's
 * memory (the high word is 0 in WebAssembly). What an address points at is read or written while the
 * command is carried out, or, for READ, when its ticket is answered.
 *
 * Buffers are usable for everything a tape does and start as zeros. Offsets of bindings are multiples
 * of 256, other offsets and sizes of 4. A pipeline's code is WGSL with one entry point `main` and
 * bindings 0 ... n - 1 of group 0; bit i of `writes` says that binding i is read_write storage, else it
 * is read-only storage. Pipelines are compiled in the background, all at once: READY is answered when
 * all so far are usable, and DISPATCH and RUN need theirs to be.
 *
 * DISPATCH and RUN go into the open compute pass, opened when there is none; every other command that
 * touches a buffer ends it. Each dispatch sees what those before it wrote. SUBMIT ends what is open and
 * hands it to the GPU. READ is done after what was submitted before it and with it, WRITE after what
 * was submitted before it: a tape that writes what an open pass uses submits first. */
#ifndef INGLE_GPU_TAPE_H
#define INGLE_GPU_TAPE_H

#include "base/mem.h"
#include "base/text.h"

/* X(NAME, words that always follow, "their names") */
#define TAPE_COMMANDS(X)                                                                          \
    X(BUFFER, 6, "buffer bytes:2 label:2 n_label")           /* a new one */                      \
    X(FREE, 1, "buffer")                                     /* its groups are dead from now on */ \
    X(WRITE, 6, "buffer offset:2 from:2 bytes")              /* from the core's memory */         \
    X(PIPELINE, 9, "pipeline code:2 n_code n_bindings writes label:2 n_label")                     \
    X(GROUP, 3, "group pipeline n")                          /* then n x: buffer offset:2 bytes:2 */ \
    X(SECTION, 2, "section n")                               /* then n x: pipeline group x y z */ \
    X(DISPATCH, 5, "pipeline group x y z")                                                        \
    X(RUN, 2, "section times")                               /* its dispatches, over and over */  \
    X(COPY, 8, "from offset:2 to offset:2 bytes:2")                                               \
    X(READ, 7, "buffer offset:2 to:2 bytes ticket")          /* to the core's memory, submits */  \
    X(READY, 1, "ticket")                                    /* all pipelines */                  \
    X(STAMP, 1, "ticket")                                    /* GPU time; answers nanoseconds */  \
    X(SUBMIT, 0, "")

typedef enum {
    TAPE_END, // never written
#define TAPE_ENUM(NAME, words, names) TAPE_##NAME,
    TAPE_COMMANDS(TAPE_ENUM)
#undef TAPE_ENUM
    TAPE_COMMAND_COUNT
} tape_command;

enum { TAPE_GROUP_WORDS = 5, TAPE_SECTION_WORDS = 5, TAPE_MAX_BINDINGS = 10 };

/* A growing tape. Start from {.allocator = ...}; after a failure nothing more is added. */
typedef struct {
    uint32_t *words; // [n]
    size_t n, capacity;
    ingle_allocator allocator;
    bool failed;
} tape;

void tape_add(tape *t, uint32_t word);
void tape_add64(tape *t, uint64_t number);
void tape_add_address(tape *t, const void *address);
void tape_free(tape *t);

/* Words of the command at words [n], all that belong to it; 0 if it is none or goes beyond n. */
size_t tape_command_words(const uint32_t *words, size_t n);

#endif
