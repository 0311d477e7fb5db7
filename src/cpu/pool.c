#include "cpu/pool.h"

#include <stdatomic.h>

#include "host/host.h"

/* About 30 us of spinning: longer than a phase of one token, far shorter than a time slice. */
enum { SPIN_TURNS = 1000, CACHE_LINE = 64 };

/* Words that different threads write lie on cache lines of their own. */
typedef struct {
    _Atomic uint32_t value;
    char pad[CACHE_LINE - sizeof(uint32_t)];
} word;

typedef struct {
    _Atomic uint64_t value;
    char pad[CACHE_LINE - sizeof(uint64_t)];
} word64;

struct pool {
    word generation; // of the barrier: changes when all have arrived
    word arrived;
    word job;      // changes when there is work (or the end)
    word sleepers; // threads that gave up spinning somewhere
    ingle_allocator allocator;
    uint32_t n_threads;
    bool closing;
    void (*work)(void *arg, uint32_t thread);
    void *arg;
    struct member {
        word64 taken; // of its part of the range: generation << 32 | how many pieces
        pool *pool;
        host_thread *thread;
        uint32_t index;
    } members[];
};

/* Returns once w is no longer `old`. */
static void wait_change(pool *p, word *w, uint32_t old)
{
    for (int turn = 0; turn < SPIN_TURNS; turn++) {
        if (atomic_load_explicit(&w->value, memory_order_acquire) != old)
            return;
        host_relax();
    }
    atomic_fetch_add(&p->sleepers.value, 1);
    while (atomic_load(&w->value) == old)
        host_wait((uint32_t *)&w->value, old);
    atomic_fetch_sub(&p->sleepers.value, 1);
}

/* Changes w. A sleeper either sees the new value before it sleeps or has been counted: both sides
 * use sequentially consistent operations in opposite order. */
static void change(pool *p, word *w)
{
    atomic_fetch_add(&w->value, 1);
    if (atomic_load(&p->sleepers.value))
        host_wake((uint32_t *)&w->value);
}

void pool_barrier(pool *p)
{
    if (p->n_threads == 1) {
        atomic_fetch_add_explicit(&p->generation.value, 1, memory_order_relaxed);
        return;
    }
    const uint32_t now = atomic_load_explicit(&p->generation.value, memory_order_acquire);
    if (atomic_fetch_add(&p->arrived.value, 1) + 1 < p->n_threads) {
        wait_change(p, &p->generation, now);
        return;
    }
    atomic_store(&p->arrived.value, 0);
    change(p, &p->generation);
}

/* The next piece of the owner's part, whoever asks. A count of an earlier generation means none yet. */
static bool take_from(pool *p, uint32_t owner, size_t n, size_t *piece)
{
    const uint64_t now = atomic_load_explicit(&p->generation.value, memory_order_relaxed);
    const size_t first = n * owner / p->n_threads, end = n * (owner + 1) / p->n_threads;
    _Atomic uint64_t *taken = &p->members[owner].taken.value;
    uint64_t seen = atomic_load_explicit(taken, memory_order_relaxed);
    for (;;) {
        const size_t count = seen >> 32 == now ? (size_t)(seen & UINT32_MAX) : 0;
        if (count >= end - first)
            return false;
        if (atomic_compare_exchange_weak_explicit(taken, &seen, now << 32 | (count + 1), memory_order_relaxed,
                                                  memory_order_relaxed)) {
            *piece = first + count;
            return true;
        }
    }
}

bool pool_take(pool *p, uint32_t thread, size_t n, size_t *piece)
{
    for (uint32_t i = 0; i < p->n_threads; i++)
        if (take_from(p, (thread + i) % p->n_threads, n, piece))
            return true;
    return false;
}

static void member_main(void *arg)
{
    struct member *self = arg;
    pool *p = self->pool;
    for (uint32_t job = 0;; job++) {
        wait_change(p, &p->job, job);
        if (p->closing)
            return;
        p->work(p->arg, self->index);
        pool_barrier(p);
    }
}

void pool_run(pool *p, void (*work)(void *arg, uint32_t thread), void *arg)
{
    p->work = work;
    p->arg = arg;
    if (p->n_threads > 1)
        change(p, &p->job);
    work(arg, 0);
    pool_barrier(p);
}

pool *pool_open(uint32_t n_threads, const ingle_allocator *a)
{
    const size_t bytes = sizeof(pool) + n_threads * sizeof(struct member); // [0] is the caller's
    pool *p = mem_zero(a, 1, bytes);
    if (!p)
        return NULL;
    p->allocator = *a;
    p->n_threads = 1;
    // The count is final before anyone is let out of the first wait: workers read it only in runs.
    for (uint32_t i = 1; i < n_threads; i++) {
        struct member *m = &p->members[p->n_threads];
        m->pool = p;
        m->index = p->n_threads;
        m->thread = host_thread_start(member_main, m);
        if (!m->thread)
            break;
        p->n_threads++;
    }
    return p;
}

void pool_close(pool *p)
{
    if (!p)
        return;
    p->closing = true;
    if (p->n_threads > 1)
        change(p, &p->job);
    for (uint32_t i = 1; i < p->n_threads; i++)
        host_thread_join(p->members[i].thread);
    const ingle_allocator a = p->allocator;
    mem_free(&a, p);
}

uint32_t pool_threads(const pool *p)
{
    return p->n_threads;
}
