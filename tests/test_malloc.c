/* The WebAssembly builds' own malloc (src/wasm/malloc.c) on a heap that this program makes: blocks keep
 * what was written into them, never overlap, and come back together once they are free. */
#include "harness.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define malloc own_malloc
#define calloc own_calloc
#define realloc own_realloc
#define free own_free
void *own_malloc(size_t n);
void *own_calloc(size_t n, size_t each);
void *own_realloc(void *p, size_t n);
void own_free(void *p);

enum { MOST = 64 << 20 };
static _Alignas(65536) uint8_t memory[MOST];
static size_t grown, most; // bytes that the heap has and may have
static uintptr_t heap_start(void);
static uintptr_t heap_stop(void);
static bool heap_extend(size_t n);
#include "../src/wasm/malloc.c"

enum { FIRST = 3 * PAGE, USED = 1000 };

static uintptr_t heap_start(void)
{
    return (uintptr_t)memory + USED;
}

static uintptr_t heap_stop(void)
{
    return (uintptr_t)memory + grown;
}

static bool heap_extend(size_t n)
{
    const size_t bytes = (n + PAGE - 1) / PAGE * PAGE;
    if (bytes > most - grown)
        return false;
    grown += bytes;
    return true;
}

static void start(size_t bytes)
{
    memset(&heap, 0, sizeof heap);
    memset(memory, 0xA5, MOST);
    grown = bytes;
    most = MOST;
}

/* Every chunk from the first to the last: sizes agree with the neighbours', no two free ones touch, each
 * free one is in its bin and nothing else is. How many bytes are free. */
static size_t checked(void)
{
    size_t free_bytes = 0, n_free = 0, n_listed = 0;
    uint32_t before = 0;
    chunk *c = (chunk *)(((uintptr_t)memory + USED + HEAD + UNIT - 1) / UNIT * UNIT - HEAD);
    for (bool was_free = false; c != heap.end; c = after(c)) {
        CHECK(c->before == before && c->size >= UNIT && c < heap.end);
        CHECK(!(was_free && room_at(c)));
        was_free = room_at(c);
        before = c->size & ~1u;
        free_bytes += room_at(c);
        n_free += was_free;
    }
    CHECK(heap.end->before == before && heap.end->size == 1);
    for (size_t i = 0; i < BINS; i++)
        for (const chunk *f = heap.bins[i], *last = NULL; f; last = f, f = f->next, n_listed++)
            CHECK(room_at(f) && bin_of(f->size) == i && f->last == last);
    CHECK(n_free == n_listed);
    return free_bytes;
}

static void fill(uint8_t *p, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(seed + i * 7);
}

static bool holds(const uint8_t *p, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != (uint8_t)(seed + i * 7))
            return false;
    return true;
}

static uint32_t random_below(uint32_t *state, uint32_t n)
{
    *state = *state * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)*state * n >> 32);
}

static void keeps_what_is_written(void)
{
    enum { N = 300 };
    static struct {
        uint8_t *p;
        size_t n;
        uint32_t seed;
    } blocks[N];
    start(FIRST);
    uint32_t state = 1;
    for (uint32_t turn = 0; turn < 40000; turn++) {
        const uint32_t i = random_below(&state, N);
        const size_t n = random_below(&state, 1u << random_below(&state, turn % 50 ? 12 : 20));
        CHECK(!blocks[i].p || holds(blocks[i].p, blocks[i].n, blocks[i].seed));
        if (random_below(&state, 3) == 0) {
            own_free(blocks[i].p);
            blocks[i].p = NULL;
            continue;
        }
        uint8_t *p = own_realloc(blocks[i].p, n);
        CHECK(p && (uintptr_t)p % UNIT == 0);
        if (!p)
            return;
        CHECK(!blocks[i].p || holds(p, n < blocks[i].n ? n : blocks[i].n, blocks[i].seed));
        fill(p, n, turn);
        blocks[i].p = p;
        blocks[i].n = n;
        blocks[i].seed = turn;
        if (turn % 500 == 0)
            checked();
    }
    for (size_t i = 0; i < N; i++) {
        CHECK(!blocks[i].p || holds(blocks[i].p, blocks[i].n, blocks[i].seed));
        own_free(blocks[i].p);
        blocks[i].p = NULL;
    }
    CHECK(checked() > grown - USED - 3 * UNIT); // one chunk again
}

static void grows_in_place(void)
{
    start(FIRST);
    uint8_t *small = own_malloc(10), *large = own_malloc(100);
    uint8_t *const first = large;
    fill(large, 100, 3);
    for (size_t n = 1 << 10; n < (60 << 20); n = n * 5 / 4) {
        large = own_realloc(large, n);
        CHECK(large == first);
        CHECK(grown < n + FIRST + PAGE); // no more than what is asked for, to a page
    }
    CHECK(holds(large, 100, 3));
    own_free(large);
    own_free(small);
    const size_t before = grown;
    for (int i = 0; i < 10; i++) { // as large again fits where it was
        large = own_malloc(50 << 20);
        CHECK(large != NULL);
        own_free(large);
    }
    CHECK(grown == before);
    checked();
}

static void says_when_memory_is_out(void)
{
    start(PAGE); // less than the first call wants to find
    CHECK(!own_malloc(MOST) && !own_malloc(SIZE_MAX) && !own_malloc((size_t)UINT32_MAX - 100));
    CHECK(own_calloc(SIZE_MAX / 2, 3) == NULL);
    uint8_t *p = own_malloc(40 << 20);
    CHECK(p != NULL);
    fill(p, 1000, 9);
    CHECK(!own_malloc(40 << 20) && !own_realloc(p, MOST) && holds(p, 1000, 9));
    uint8_t *zeros = own_calloc(1000, 10);
    CHECK(zeros != NULL);
    for (size_t i = 0; zeros && i < 10000; i++)
        CHECK(zeros[i] == 0);
    own_free(NULL);
    own_free(p);
    own_free(zeros);
    checked();
}

TESTS(T(keeps_what_is_written) T(grows_in_place) T(says_when_memory_is_out))
