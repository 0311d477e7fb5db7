/* The CPU paths that this machine can run, slowest first. */
#ifndef INGLE_CPU_PATHS_H
#define INGLE_CPU_PATHS_H

#include "cpu/kernels.h"

enum { CPU_PATHS_MAX = 16 };

static const char *paths[CPU_PATHS_MAX];

/* How many there are; fills in paths on the way. */
static inline size_t find_paths(void)
{
    size_t n = 0;
#define ADD(path)              \
    if (cpu_has_##path())      \
        paths[n++] = #path;
    CPU_PATHS(ADD)
#undef ADD
    return n;
}

#define N_PATHS find_paths()

/* The fastest path on which a token's numbers do not depend on how many are computed with it: one that
 * multiplies many tokens as it does one. */
static inline const char *exact_path(void)
{
    const char *best = NULL;
    for (size_t i = 0; i < N_PATHS; i++) {
        cpu_kernels k;
        if (cpu_select(&k, paths[i]) && !k.round_wide)
            best = paths[i];
    }
    return best;
}

#endif
