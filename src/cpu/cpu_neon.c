/* NEON with dot products (Armv8.2 on): 4 rows a register, `sdot` takes four columns at once of signed
 * weights, sums in 32 bits. Without that instruction the portable path runs. */
#include "cpu/lanes_neon.h"

#if CPU_NEON
#include "host/host.h"

#define OWN_TILES
#include "cpu/lanes.h"

LANES_INLINE void panel_store(uint8_t *part, size_t line, size_t sub, vi v)
{
    vi_store(part + 64 * line + 4 * LANES * sub, v);
}

/* Sixteen columns of a token are one register, of which `sdot` takes the four that it is told. */
LANES_INLINE void tile_sums(pack_kind kind, const uint8_t *part, size_t row, size_t first, const int8_t *q,
                            size_t q_stride, vi sums[TILE_VECTORS][TILE_TOKENS], int n)
{
    (void)kind;
    int8x16_t x[TILE_TOKENS];
    for (int t = 0; t < n; t++) {
        x[t] = vld1q_s8(q + (size_t)t * q_stride);
        for (int v = 0; v < TILE_VECTORS; v++)
            sums[v][t] = vi_set1(0);
    }
    part += 64 * first + 4 * row;
#define ADD_COLUMNS(j)                                                            \
    for (int v = 0; v < TILE_VECTORS; v++) {                                      \
        const int8x16_t w = vreinterpretq_s8_s32(vi_load(part + 64 * j + 16 * v)); \
        for (int t = 0; t < n; t++)                                               \
            sums[v][t] = vdotq_laneq_s32(sums[v][t], w, x[t], j);                 \
    }
    ADD_COLUMNS(0)
    ADD_COLUMNS(1)
    ADD_COLUMNS(2)
    ADD_COLUMNS(3)
#undef ADD_COLUMNS
}

void cpu_fill_neon(cpu_kernels *k)
{
    fill_lanes(k);
    cpu_fill_neon_float(k);
}

bool cpu_has_neon(void)
{
    return host_arm_features() & HOST_ARM_DOTPROD;
}

#else

void cpu_fill_neon(cpu_kernels *k)
{
    (void)k;
}

bool cpu_has_neon(void)
{
    return false;
}

#endif
