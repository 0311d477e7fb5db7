/* What several test programs share: an allocator that fails on demand, a random source, files. */
#ifndef INGLE_SUPPORT_H
#define INGLE_SUPPORT_H

#include "ingle.h"

/* Counts live blocks and bytes, and fails the Nth request (1-based; 0 = never), and every later
 * one too if `forever`. */
typedef struct {
    long fail_at, requests, live;
    bool forever;
} test_memory;

ingle_allocator test_allocator(test_memory *m);

/* Runs work with the 1st, 2nd, 3rd ... allocation failing (once, then for ever), until a run needs
 * no failure. work returns the status it got. Each run must end OK or ERR_MEMORY and leave nothing
 * allocated. Returns how many sites were tried, or -1 after printing what went wrong. */
long test_every_allocation(ingle_status (*work)(void *user, const ingle_allocator *a), void *user);

/* splitmix64 */
uint64_t test_random(uint64_t *state);
float test_random_float(uint64_t *state); // uniform in [-1, 1)

/* Gives bytes [n] to `feed`, chunk bytes at a time (0: of random lengths, 0 too), each in memory of its own whose ends
 * the sanitizer guards; ends with the first failure. */
typedef ingle_status (*test_feeder)(void *to, const void *bytes, size_t n, ingle_error *err);
ingle_status test_feed(test_feeder feed, void *to, const char *bytes, size_t n, size_t chunk, uint64_t seed,
                       ingle_error *err);

/* Whole file, NUL appended; NULL if it is not there. free() it. */
char *test_read_file(const char *path, size_t *n);
bool test_file_exists(const char *path);

/* Path of a model by file name: $INGLE_MODELS, models/, ../shared/models, ~/.cache/ingle; NULL if
 * nowhere. Static memory, until the next call. */
const char *test_find_model(const char *name);

/* Dawn's library for tests on a GPU: $INGLE_DAWN, or where make gpu-tools put it; NULL if nowhere. */
const char *test_find_dawn(void);

#endif
