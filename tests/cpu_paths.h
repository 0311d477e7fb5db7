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

#endif
