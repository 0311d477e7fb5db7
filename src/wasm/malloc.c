/* malloc and its kin for the WebAssembly builds, a third of the C library's, whose many cases serve
 * more threads and system calls than there are here. Only the leader calls them: no lock. Memory goes
 * back to these lists, never to JavaScript, which cannot take it.
 *
 * The heap is one row of chunks up to memory's end. A chunk begins with its neighbour's size and its
 * own, 8 bytes; what the caller gets follows and is aligned to 16. Free chunks never lie side by side:
 * they are joined at once, and each hangs in the bin of its size, four bins to a power of two. The
 * last 8 bytes are a chunk in use without room, so that every chunk has one after it. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    UNIT = 4 * sizeof(void *), // 16: sizes are multiples
    HEAD = 8, // bytes before what the caller gets
    PAGE = 65536,
    BINS = 112,
    WALK_MOST = 64 // chunks looked at in a bin whose chunks may be too small
};

typedef struct chunk {
    uint32_t before;           // bytes of the chunk before, 0 = this is the first
    uint32_t size;             // bytes, these included; the lowest bit: in use
    struct chunk *next, *last; // of a free one: in its bin
} chunk;

static struct {
    chunk *bins[BINS];
    chunk *end; // the last chunk, which has no room; NULL at first
} heap;

#ifdef __wasm__

extern unsigned char __heap_base;

static uintptr_t heap_start(void)
{
    return (uintptr_t)&__heap_base;
}

/* Adds at least n bytes to memory. */
static bool heap_extend(size_t n)
{
    return __builtin_wasm_memory_grow(0, n / PAGE + (n % PAGE != 0)) != SIZE_MAX;
}

static uintptr_t heap_stop(void)
{
    return __builtin_wasm_memory_size(0) * PAGE; // 4 GiB wraps to 0, as do all sums with it
}

#endif

static uint32_t room_at(const chunk *c) // bytes, if it is free
{
    return c->size & 1 ? 0 : c->size;
}

static chunk *after(const chunk *c)
{
    return (chunk *)((uintptr_t)c + (c->size & ~1u));
}

static size_t bin_of(uint32_t size)
{
    const uint32_t n = size / UNIT;
    if (n < 4)
        return n;
    const unsigned top = 31 - (unsigned)__builtin_clz(n);
    return 4 * top - 4 + (n >> (top - 2) & 3);
}

static void take_out(chunk *c)
{
    if (c->last)
        c->last->next = c->next;
    else
        heap.bins[bin_of(c->size)] = c->next;
    if (c->next)
        c->next->last = c->last;
}

/* Makes size bytes at c a free chunk, joined with free neighbours. */
static void put_in(chunk *c, uint32_t size)
{
    chunk *follows = (chunk *)((uintptr_t)c + size);
    if (room_at(follows)) {
        take_out(follows);
        size += follows->size;
    }
    chunk *leads = (chunk *)((uintptr_t)c - c->before);
    if (c->before && room_at(leads)) {
        take_out(leads);
        size += leads->size;
        c = leads;
    }
    c->size = size;
    after(c)->before = size;
    chunk **bin = &heap.bins[bin_of(size)];
    c->next = *bin;
    c->last = NULL;
    if (*bin)
        (*bin)->last = c;
    *bin = c;
}

/* Gives c, which has all of what is between it and the next chunk in use, just size bytes. */
static void cut(chunk *c, uint32_t whole, uint32_t size)
{
    c->size = size | 1;
    chunk *rest = after(c);
    rest->before = size;
    if (whole > size)
        put_in(rest, whole - size);
}

/* Adds room at the heap's end, so that its last chunk, joined with what is free there, has size bytes. */
static bool extend(uint32_t size)
{
    chunk *c = heap.end;
    if (!c)
        c = (chunk *)(((heap_start() + HEAD + UNIT - 1) & ~(uintptr_t)(UNIT - 1)) - HEAD);
    else if (c->before) {
        const uint32_t room = room_at((chunk *)((uintptr_t)c - c->before));
        size -= room < size ? room : 0;
    }
    // The first call takes what memory there is.
    if ((heap.end || heap_stop() - (uintptr_t)c < PAGE) && !heap_extend(size))
        return false;
    if (!heap.end)
        c->before = 0;
    heap.end = (chunk *)(heap_stop() - HEAD);
    heap.end->size = 1;
    put_in(c, (uint32_t)((uintptr_t)heap.end - (uintptr_t)c));
    return true;
}

static chunk *find(uint32_t size)
{
    size_t bin = bin_of(size);
    int n = 0;
    for (chunk *c = heap.bins[bin]; c && n < WALK_MOST; c = c->next, n++)
        if (c->size >= size)
            return c;
    while (++bin < BINS)
        if (heap.bins[bin])
            return heap.bins[bin];
    return NULL;
}

/* Bytes of the chunk for n of the caller's; 0 = there is none so large. */
static uint32_t size_for(size_t n)
{
    return n > UINT32_MAX - PAGE ? 0 : ((uint32_t)n + HEAD + UNIT - 1) & ~(uint32_t)(UNIT - 1);
}

static void *allocate(size_t n)
{
    const uint32_t size = size_for(n);
    if (!size)
        return NULL;
    chunk *c;
    while (!(c = find(size)))
        if (!extend(size))
            return NULL;
    take_out(c);
    cut(c, c->size, size);
    return (char *)c + HEAD;
}

void *malloc(size_t n)
{
    return allocate(n);
}

void *calloc(size_t n, size_t each)
{
    if (each && n > SIZE_MAX / each)
        return NULL;
    void *p = allocate(n * each); // not malloc: a compiler would see calloc in what follows
    return p ? memset(p, 0, n * each) : NULL;
}

void free(void *p)
{
    if (!p)
        return;
    chunk *c = (chunk *)((char *)p - HEAD);
    put_in(c, c->size & ~1u);
}

/* In place where the next chunk is free or the heap can grow: a model's weights are not moved. */
void *realloc(void *p, size_t n)
{
    if (!p)
        return allocate(n);
    const uint32_t size = size_for(n);
    if (!size)
        return NULL;
    chunk *c = (chunk *)((char *)p - HEAD);
    const uint32_t have = c->size & ~1u;
    uint32_t whole = have + room_at(after(c));
    if (size > whole && (uintptr_t)c + whole == (uintptr_t)heap.end && extend(size - have))
        whole = have + room_at(after(c));
    if (size <= whole) {
        if (whole > have)
            take_out(after(c));
        cut(c, whole, size);
        return p;
    }
    void *moved = allocate(n);
    if (moved) {
        memcpy(moved, p, have - HEAD);
        free(p);
    }
    return moved;
}
