#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

size_t size_mul(size_t n, size_t size)
{
    return size && n > SIZE_MAX / size ? SIZE_MAX : n * size;
}

size_t size_add(size_t a, size_t b)
{
    return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

bool u64_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    if (b && a > UINT64_MAX / b)
        return false;
    *out = a * b;
    return true;
}

bool u64_add(uint64_t a, uint64_t b, uint64_t *out)
{
    if (a > UINT64_MAX - b)
        return false;
    *out = a + b;
    return true;
}

void *mem_resize(const ingle_allocator *a, void *ptr, size_t bytes)
{
    if (bytes > PTRDIFF_MAX)
        return NULL;
    return a && a->resize ? a->resize(a->user, ptr, bytes) : realloc(ptr, bytes);
}

void *mem_alloc(const ingle_allocator *a, size_t bytes)
{
    return mem_resize(a, NULL, bytes ? bytes : 1);
}

void *mem_zero(const ingle_allocator *a, size_t n, size_t size)
{
    const size_t bytes = size_mul(n, size);
    if (!a || !a->resize) // calloc leaves untouched pages unmapped, which big caches rely on
        return bytes > PTRDIFF_MAX ? NULL : calloc(bytes ? bytes : 1, 1);
    void *p = mem_alloc(a, bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

void mem_free(const ingle_allocator *a, void *ptr)
{
    if (!ptr)
        return;
    if (a && a->resize)
        a->resize(a->user, ptr, 0);
    else
        free(ptr);
}

void *mem_grow(const ingle_allocator *a, void *items, size_t n, size_t *capacity, size_t size)
{
    if (n < *capacity)
        return items;
    const size_t more = *capacity < 8 ? 8 : size_add(*capacity, *capacity / 2);
    void *moved = mem_resize(a, items, size_mul(more, size));
    if (moved)
        *capacity = more;
    return moved;
}

/* ---- arena -------------------------------------------------------------------------------- */

enum { ARENA_ALIGN = 16, ARENA_CHUNK = 64 * 1024 };

struct arena_chunk {
    arena_chunk *next;
    size_t used, size; // of data
    union {
        long double align;
        unsigned char bytes[1];
    } data;
};

void *arena_alloc(arena *a, size_t bytes)
{
    bytes = size_add(bytes ? bytes : 1, ARENA_ALIGN - 1);
    if (bytes == SIZE_MAX)
        return NULL;
    bytes &= ~(size_t)(ARENA_ALIGN - 1);
    arena_chunk *c = a->chunks;
    if (!c || c->size - c->used < bytes) {
        const size_t head = offsetof(arena_chunk, data);
        // Big blocks get a chunk of their own behind the current one, which stays in use.
        const bool own = bytes > ARENA_CHUNK / 4;
        const size_t size = own ? bytes : ARENA_CHUNK;
        const size_t whole = size_add(head, size);
        if (a->limit && (whole > a->limit || a->bytes > a->limit - whole))
            return NULL;
        arena_chunk *fresh = mem_alloc(&a->allocator, whole);
        if (!fresh)
            return NULL;
        a->bytes += whole;
        fresh->used = 0;
        fresh->size = size;
        if (own && c) {
            fresh->next = c->next;
            c->next = fresh;
        } else {
            fresh->next = c;
            a->chunks = fresh;
        }
        c = fresh;
    }
    void *p = c->data.bytes + c->used;
    c->used += bytes;
    return p;
}

void *arena_zero(arena *a, size_t n, size_t size)
{
    const size_t bytes = size_mul(n, size);
    void *p = arena_alloc(a, bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

char *arena_text(arena *a, const char *bytes, size_t n)
{
    char *copy = arena_alloc(a, size_add(n, 1));
    if (copy) {
        if (n)
            memcpy(copy, bytes, n);
        copy[n] = 0;
    }
    return copy;
}

void arena_free(arena *a)
{
    while (a->chunks) {
        arena_chunk *next = a->chunks->next;
        mem_free(&a->allocator, a->chunks);
        a->chunks = next;
    }
    a->bytes = 0;
}
