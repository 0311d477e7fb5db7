/* The thread pool: the same function on every thread, barriers inside it, work taken piece by piece.
 * Threads spin briefly, then sleep: a run is a few milliseconds of hundreds of short
 * phases, and between runs nothing burns. No lock and no allocation after pool_open. */
#ifndef INGLE_CPU_POOL_H
#define INGLE_CPU_POOL_H

#include "base/mem.h"

typedef struct pool pool;

/* n_threads counts the caller. Fewer start when the system gives fewer. NULL: no memory. */
pool *pool_open(uint32_t n_threads, const ingle_allocator *a);
void pool_close(pool *p); // NULL is a no-op
uint32_t pool_threads(const pool *p);

/* Runs work(arg, thread) on all threads, thread 0 being the caller; returns when all are done. */
void pool_run(pool *p, void (*work)(void *arg, uint32_t thread), void *arg);

/* Within work: waits until every thread is here. */
void pool_barrier(pool *p);

/* Within work: takes one of the pieces 0 ... n - 1, each of which goes to one thread once between two
 * barriers; n is the same for all. First those of the thread's own part of the range, in order, which
 * touches no memory that others write; then what other threads have left. False: none is left. */
bool pool_take(pool *p, uint32_t thread, size_t n, size_t *piece);

#endif
