/* What everything that reads tapes needs: wide numbers, and lists of what a tape numbers. */
#ifndef INGLE_GPU_TAPE_READ_H
#define INGLE_GPU_TAPE_READ_H

#include "gpu/tape.h"

static inline uint64_t tape_u64(const uint32_t *w)
{
    return w[0] | (uint64_t)w[1] << 32;
}

static inline void *tape_address(const uint32_t *w)
{
    return (void *)(uintptr_t)tape_u64(w);
}

/* A list by number. Owners free its items. */
#define TAPE_LIST(type)      \
    struct {                 \
        type *items;         \
        size_t n, capacity;  \
    }

/* Makes room for one more item of a list; false without memory.
 * spare: a void * of the owner's. */
#define TAPE_GROW(allocator, list, spare)                                                                     \
    (((spare) = mem_grow(allocator, (list).items, (list).n, &(list).capacity, sizeof *(list).items)) != NULL && \
     ((list).items = (spare), true))

enum { TAPE_LABEL = 32 };

/* The start of a label, NUL-terminated. */
static inline void tape_label(char out[TAPE_LABEL], const uint32_t *w)
{
    const size_t n = w[2] < TAPE_LABEL - 1 ? w[2] : TAPE_LABEL - 1;
    if (n)
        memcpy(out, tape_address(w), n);
    out[n] = 0;
}

#endif
