/* NEON with the matrix instructions (Armv8.6, Neoverse V1 and N2, Apple M2 on): prefill in tiles of
 * `smmla`, two rows by two tokens by eight columns. Integer sums are the same however they are taken,
 * and what is done with them is lanes.h's, so the numbers are those of the path before it, which also
 * keeps the float ops and one token. */
#define NEON_I8MM
#include "cpu/lanes_neon.h"

#if CPU_NEON
#include "host/host.h"

#define OWN_TILES
#include "cpu/lanes.h"

/* Two lines are 128 bytes that hold eight columns of row after row: an even line waits in the first
 * half of its place for the odd one. */
LANES_INLINE void panel_store(uint8_t *part, size_t line, size_t sub, vi v)
{
    uint8_t *place = part + 128 * (line / 2) + 32 * sub;
    if (line % 2 == 0) {
        vi_store(place, v);
        return;
    }
    const vi even = vi_load(place);
    vi_store(place, vzip1q_s32(even, v));
    vi_store(place + 16, vzip2q_s32(even, v));
}

/* Tokens go in pairs, half a register each; the last of an odd number is paired with itself. */
LANES_INLINE void tile_sums(pack_kind kind, const uint8_t *part, size_t row, size_t first, const int8_t *q,
                            size_t q_stride, vi sums[TILE_VECTORS][TILE_TOKENS], int n)
{
    enum { PAIRS = TILE_TOKENS / 2 };
    (void)kind;
    const int pairs = (n + 1) / 2;
    int8x16_t x[2][PAIRS];
    for (int p = 0; p < pairs; p++) {
        const int8_t *even = q + 2 * (size_t)p * q_stride, *odd = 2 * p + 1 < n ? even + q_stride : even;
        const int64x2_t a = vreinterpretq_s64_s8(vld1q_s8(even)), b = vreinterpretq_s64_s8(vld1q_s8(odd));
        x[0][p] = vreinterpretq_s8_s64(vzip1q_s64(a, b));
        x[1][p] = vreinterpretq_s8_s64(vzip2q_s64(a, b));
    }
    part += 64 * first + 8 * row;
    for (int v = 0; v < TILE_VECTORS; v++) {
        vi low[PAIRS], high[PAIRS]; // row 0: tokens 0, 1; row 1: the same; and rows 2 and 3
        for (int p = 0; p < pairs; p++)
            low[p] = high[p] = vi_set1(0);
        for (int k = 0; k < 2; k++) {
            const int8x16_t w_low = vreinterpretq_s8_s32(vi_load(part + 128 * k + 32 * v));
            const int8x16_t w_high = vreinterpretq_s8_s32(vi_load(part + 128 * k + 32 * v + 16));
            for (int p = 0; p < pairs; p++) {
                low[p] = vmmlaq_s32(low[p], w_low, x[k][p]);
                high[p] = vmmlaq_s32(high[p], w_high, x[k][p]);
            }
        }
        for (int p = 0; p < pairs; p++) {
            sums[v][2 * p] = vuzp1q_s32(low[p], high[p]);
            if (2 * p + 1 < n)
                sums[v][2 * p + 1] = vuzp2q_s32(low[p], high[p]);
        }
    }
}

void cpu_fill_i8mm(cpu_kernels *k)
{
    fill_lanes(k);
}

bool cpu_has_i8mm(void)
{
    const unsigned both = HOST_ARM_DOTPROD | HOST_ARM_I8MM;
    return (host_arm_features() & both) == both;
}

#else

void cpu_fill_i8mm(cpu_kernels *k)
{
    (void)k;
}

bool cpu_has_i8mm(void)
{
    return false;
}

#endif
