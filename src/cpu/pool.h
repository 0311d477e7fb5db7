/* The thread pool: the same function on every thread, barriers inside it, work handed out by
 * ticket. Threads spin briefly, then sleep: a run is a few milliseconds of hundreds of short
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

/* Within work: waits until every thread is here, and starts tickets at 0 again. */
void pool_barrier(pool *p);

/* Within work: 0, 1, 2 ... each to one thread, since the last barrier. */
uint32_t pool_ticket(pool *p);

#endif
