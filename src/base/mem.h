/* Memory: the caller's allocator, an arena, and size arithmetic that cannot wrap. */
#ifndef INGLE_BASE_MEM_H
#define INGLE_BASE_MEM_H

#include "ingle.h"

/* n * size and a + b in size_t; SIZE_MAX where they would wrap (no allocation of SIZE_MAX
 * succeeds, so a wrapped size ends as ERR_MEMORY). */
size_t size_mul(size_t n, size_t size);
size_t size_add(size_t a, size_t b);
bool u64_mul(uint64_t a, uint64_t b, uint64_t *out); // false where it would wrap
bool u64_add(uint64_t a, uint64_t b, uint64_t *out);

/* All take a NULL or zeroed allocator as the C library's. NULL on failure. */
void *mem_alloc(const ingle_allocator *a, size_t bytes); // bytes 0 gives a 1-byte block
void *mem_zero(const ingle_allocator *a, size_t n, size_t size);
void *mem_resize(const ingle_allocator *a, void *ptr, size_t bytes); // bytes > 0
void mem_free(const ingle_allocator *a, void *ptr);

/* Many small things freed together. Start from {.allocator = ...}. */
typedef struct arena_chunk arena_chunk;
typedef struct {
    ingle_allocator allocator;
    arena_chunk *chunks;
    size_t bytes; // taken from the allocator so far
    size_t limit; // refuse to take more than this; 0 = no limit
} arena;

void *arena_alloc(arena *a, size_t bytes); // 16-byte aligned, not cleared; NULL on failure
void *arena_zero(arena *a, size_t n, size_t size);
char *arena_text(arena *a, const char *bytes, size_t n); // NUL-terminated copy
void arena_free(arena *a);

/* Growing arrays: makes room for one more item of `size` bytes in items [n] of *capacity.
 * Returns the array (perhaps moved) or NULL, and then the old one still stands. */
void *mem_grow(const ingle_allocator *a, void *items, size_t n, size_t *capacity, size_t size);

#endif
