/* The thread pool: every piece goes to one thread once, whatever threads there are and however they are
 * delayed, and nobody passes a barrier before the others have reached it. */
#include "harness.h"

#include <stdatomic.h>
#include <time.h>

#include "cpu/pool.h"
#include "support.h"

enum { MOST_THREADS = 9, MOST_PIECES = 300, PHASES = 60 };

typedef struct {
    pool *pool;
    atomic_uint taken[PHASES][MOST_PIECES], arrived[PHASES];
    atomic_uint order_faults, early, workers;
    bool delays;
} work;

static size_t pieces_of(int phase)
{
    static const size_t counts[] = {0, 1, 2, 3, 7, 8, 64, MOST_PIECES};
    return counts[phase % 8];
}

static void nap(uint64_t *seed)
{
    if (test_random(seed) % 16 == 0)
        nanosleep(&(struct timespec){0, (long)(test_random(seed) % 200000)}, NULL);
}

/* A thread's own part comes first and in order. */
static void run_phase(work *w, int phase, uint32_t thread, uint64_t *seed)
{
    const size_t n = pieces_of(phase), n_threads = pool_threads(w->pool);
    const size_t first = n * thread / n_threads, end = n * (thread + 1) / n_threads;
    size_t piece, last = 0;
    bool any = false;
    while (pool_take(w->pool, thread, n, &piece)) {
        const bool own = piece >= first && piece < end;
        if (piece >= n || (own && any && piece < last))
            atomic_fetch_add(&w->order_faults, 1);
        if (own) {
            last = piece;
            any = true;
        }
        if (piece < n)
            atomic_fetch_add(&w->taken[phase][piece], 1);
        if (w->delays)
            nap(seed);
    }
    atomic_fetch_add(&w->arrived[phase], 1);
    pool_barrier(w->pool);
    if (atomic_load(&w->arrived[phase]) != n_threads)
        atomic_fetch_add(&w->early, 1);
}

static void run_phases(void *arg, uint32_t thread)
{
    work *w = arg;
    uint64_t seed = thread + 1;
    atomic_fetch_add(&w->workers, 1);
    for (int phase = 0; phase < PHASES; phase++)
        run_phase(w, phase, thread, &seed);
}

static void check(uint32_t n_threads, bool delays)
{
    static work w;
    memset(&w, 0, sizeof w);
    test_memory memory = {0};
    const ingle_allocator a = test_allocator(&memory);
    w.pool = pool_open(n_threads, &a);
    w.delays = delays;
    CHECK(w.pool != NULL);
    if (!w.pool)
        return;
    CHECK(pool_threads(w.pool) == n_threads);
    for (int run = 1; run <= 2; run++) { // the second with the counters of the first
        pool_run(w.pool, run_phases, &w);
        for (int phase = 0; phase < PHASES; phase++) {
            for (size_t i = 0; i < MOST_PIECES; i++)
                CHECK_MSG(atomic_load(&w.taken[phase][i]) == (i < pieces_of(phase) ? (unsigned)run : 0),
                          "%u threads, phase %d, piece %zu: %u times", n_threads, phase, i,
                          atomic_load(&w.taken[phase][i]));
            atomic_store(&w.arrived[phase], 0);
        }
        CHECK(atomic_load(&w.workers) == (unsigned)run * n_threads);
        CHECK(atomic_load(&w.order_faults) == 0 && atomic_load(&w.early) == 0);
    }
    pool_close(w.pool);
}

static void every_piece_once(void)
{
    for (uint32_t n = 1; n <= MOST_THREADS; n += n < 3 ? 1 : 2)
        check(n, false);
}

static void late_threads_lose_pieces_not_work(void)
{
    check(2, true);
    check(MOST_THREADS, true);
}

static void closing_nothing_is_fine(void)
{
    pool_close(NULL);
}

TESTS(T(every_piece_once) T(late_threads_lose_pieces_not_work) T(closing_nothing_is_fine))
