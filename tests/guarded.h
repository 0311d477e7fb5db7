/* What the op suite's programs share: memory between pages that cannot be touched, inputs of every kind, and
 * weights by their formats' definitions. */
#ifndef INGLE_TESTS_GUARDED_H
#define INGLE_TESTS_GUARDED_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef __wasi__
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "oracle_decoder.h"
#include "oracle_quant.h"
#include "support.h"

/* Half a unit in the last place of a float. Limits are bounds on rounding, worked out beside each check: a path may
 * sum in any order, and n terms in floats are off by at most n U sum |term|. */
#define U 0x1p-24

/* ---- memory between guard pages --------------------------------------------------------------- */

/* One stretch of memory a purpose, used again and again: its blocks begin at its first byte or end
 * at its last. */
typedef struct {
    uint8_t *first;
    size_t bytes;
} guarded;

#ifdef __wasi__
/* No pages to guard here: a margin with the pattern at both ends shows what is written over, but not
 * what is read. */
enum { MARGIN = 4096 };

static inline guarded guard(size_t bytes)
{
    uint8_t *p = aligned_alloc(64, (bytes + 63) / 64 * 64 + 2 * MARGIN);
    if (!p) {
        printf("guarded memory: no memory\n");
        exit(1);
    }
    memset(p, 0xA5, (bytes + 63) / 64 * 64 + 2 * MARGIN);
    return (guarded){p + MARGIN, (bytes + 63) / 64 * 64};
}
#else
enum { MARGIN = 0 };

static inline guarded guard(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t inner = (bytes + page - 1) / page * page;
    uint8_t *p =
        mmap(NULL, inner + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p, page, PROT_NONE) ||
        mprotect(p + page + inner, page, PROT_NONE)) {
        printf("guarded memory: no guarded memory\n");
        exit(1);
    }
    return (guarded){p + page, inner};
}
#endif

enum { FRONT, BACK, SIDES };

/* Where a block of `bytes` lies; the rest is filled with a pattern that `untouched` looks for. */
static inline void *place(guarded *g, int side, size_t bytes)
{
    if (bytes > g->bytes) {
        printf("guarded memory: a guarded block of %zu bytes is too small for %zu\n", g->bytes, bytes);
        exit(1);
    }
    memset(g->first, 0xA5, g->bytes);
    return side == FRONT ? g->first : g->first + g->bytes - bytes;
}

static inline bool is_pattern(const uint8_t *p, size_t n)
{
    return n == 0 || (p[0] == 0xA5 && memcmp(p, p + 1, n - 1) == 0);
}

static inline bool untouched(const guarded *g, const void *block, size_t bytes)
{
    const uint8_t *first = g->first - MARGIN, *b = block, *end = g->first + g->bytes + MARGIN;
    return is_pattern(first, (size_t)(b - first)) && is_pattern(b + bytes, (size_t)(end - b) - bytes);
}

static guarded mem_packed, mem_w, mem_f, mem_q, mem_d, mem_sums, mem_starts, mem_block_sums, mem_y,
    mem_scratch;

static inline void map_memory(void)
{
    if (mem_w.first)
        return;
    mem_packed = guard(512 * 1024);
    mem_w = guard(256 * 1024);
    mem_f = guard(256 * 1024);
    mem_q = guard(64 * 1024);
    mem_d = guard(128 * 1024);
    mem_sums = guard(8 * 1024);
    mem_starts = guard(8 * 1024);
    mem_block_sums = guard(8 * 1024);
    mem_y = guard(128 * 1024);
    mem_scratch = guard(128 * 1024);
}

/* ---- values ----------------------------------------------------------------------------------- */

typedef enum { RANDOM, ZEROS, LARGE, TINY, VANISHING, ALTERNATING, SPIKE, KINDS } kind;

static inline void fill(kind k, float *x, size_t n, uint64_t *seed)
{
    for (size_t i = 0; i < n; i++)
        switch (k) {
        case LARGE:
            x[i] = test_random_float(seed) * 1e15f;
            break;
        case TINY:
            x[i] = test_random_float(seed) * 1e-15f;
            break;
        case VANISHING: // around the smallest normal numbers
            x[i] = test_random_float(seed) * 4e-37f;
            break;
        case ALTERNATING:
            x[i] = i % 2 ? -1 : 1;
            break;
        case SPIKE:
            x[i] = i == n / 2 ? 1000 : test_random_float(seed) * 0.01f;
            break;
        case RANDOM:
            x[i] = test_random_float(seed) * 2;
            break;
        case ZEROS:
        case KINDS:
            x[i] = 0;
        }
}

static inline const oracle_format *oracle_of(uint32_t id)
{
    for (size_t i = 0; i < ORACLE_FORMATS; i++)
        if (oracle_formats[i].id == id)
            return &oracle_formats[i];
    return NULL;
}

/* Every value of a matrix, by the definition of its format. */
static inline void read_weights(const oracle_format *f, const uint8_t *blocks, size_t n, double *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = f->value(blocks + i / (size_t)f->values * (size_t)f->bytes,
                          (int)(i % (size_t)f->values));
}

#endif
