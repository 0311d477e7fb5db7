/* Tapes written by hand, word by word, for tests of those who read them. */
#ifndef INGLE_TAPE_HAND_H
#define INGLE_TAPE_HAND_H

#include "gpu/tape.h"

static inline void hand_words(tape *t, size_t n, const uint32_t *w)
{
    for (size_t i = 0; i < n; i++)
        tape_add(t, w[i]);
}

#define WORDS(t, ...) hand_words(t, sizeof((uint32_t[]){__VA_ARGS__}) / 4, (uint32_t[]){__VA_ARGS__})

static inline void hand_text(tape *t, const char *s)
{
    tape_add_address(t, s);
    tape_add(t, (uint32_t)strlen(s));
}

static inline void hand_buffer(tape *t, uint32_t number, uint64_t bytes, const char *label)
{
    WORDS(t, TAPE_BUFFER, number);
    tape_add64(t, bytes);
    hand_text(t, label);
}

static inline void hand_pipeline(tape *t, uint32_t number, const char *code, uint32_t n, uint32_t writes,
                                 const char *label)
{
    WORDS(t, TAPE_PIPELINE, number);
    hand_text(t, code);
    WORDS(t, n, writes);
    hand_text(t, label);
}

static inline void hand_write(tape *t, uint32_t number, uint64_t offset, const void *from, uint32_t bytes)
{
    WORDS(t, TAPE_WRITE, number);
    tape_add64(t, offset);
    tape_add_address(t, from);
    tape_add(t, bytes);
}

static inline void hand_read(tape *t, uint32_t number, uint64_t offset, void *to, uint32_t bytes, uint32_t ticket)
{
    WORDS(t, TAPE_READ, number);
    tape_add64(t, offset);
    tape_add_address(t, to);
    WORDS(t, bytes, ticket);
}

static inline void hand_copy(tape *t, uint32_t from, uint64_t offset, uint32_t to, uint64_t to_offset, uint64_t bytes)
{
    WORDS(t, TAPE_COPY, from);
    tape_add64(t, offset);
    tape_add(t, to);
    tape_add64(t, to_offset);
    tape_add64(t, bytes);
}

static inline void hand_binding(tape *t, uint32_t buffer, uint64_t offset, uint64_t bytes)
{
    tape_add(t, buffer);
    tape_add64(t, offset);
    tape_add64(t, bytes);
}

/* Each buffer from its start. */
static inline void hand_group(tape *t, uint32_t number, uint32_t pipeline, uint32_t n, const uint32_t *buffers,
                              uint64_t bytes)
{
    WORDS(t, TAPE_GROUP, number, pipeline, n);
    for (uint32_t i = 0; i < n; i++)
        hand_binding(t, buffers[i], 0, bytes);
}

#endif
