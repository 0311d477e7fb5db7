/* AMX (Sapphire Rapids on): prompts as matrix products of brain floats. Weights are unpacked once for
 * all tokens of a pass, times their scales, to bfloat16, and multiplied by activations in bfloat16 into
 * float32 tiles: no integer sums and no scales in the inner loop, three times the rate of `vpdpbusd`.
 * Rounding both sides to 8 bits of mantissa costs less than int8 activations do (docs/architecture.md).
 * Fewer tokens than a tile has rows, and one token, go the AVX-512 way. */
#include "cpu/kernels.h"

#if defined(__x86_64__) && defined(__linux__) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
#include <cpuid.h>

#include "cpu/lanes_avx512.h"
#include "cpu/lanes_packed.h"
#include "host/host.h"

#define AMX_TARGET __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma,f16c")))
#define AMX_INLINE static inline __attribute__((always_inline)) AMX_TARGET

/* A tile: 16 rows of 64 bytes, which are 32 columns of W. So many of them, two groups wide, lie in the
 * first-level cache beside the activations that stream past. */
enum { TILE_BYTES = 1024, COLUMNS = 32, SLAB = 12 };

/* As `ldtilecfg` reads it. */
typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shapes;

/* Floats of byte c of each 32-bit lane. */
AMX_INLINE vf byte_floats(vi v, int c)
{
    const __m128i spread = _mm_set_epi32((int)0xFFFFFF0C, (int)0xFFFFFF08, (int)0xFFFFFF04, (int)0xFFFFFF00);
    return vf_int(_mm512_shuffle_epi8(v, _mm512_add_epi32(_mm512_broadcast_i32x4(spread), _mm512_set1_epi32(c))));
}

/* Lane r: a[r] in the lower half, b[r] in the upper. */
AMX_INLINE __m512i pair(vf a, vf b)
{
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(b, a));
}

/* Block b of the unit w as a tile: line i holds columns 2i and 2i + 1 of 16 rows. */
AMX_INLINE void unpack_tile(pack_kind kind, const uint8_t *w, size_t b, uint8_t *to)
{
    const uint8_t *p = w + head_of(kind) + block_of(kind) * b;
    for (int half = 0; half < 2; half++) {
        const vf scale = part_scale(kind, w, kind == PACK_Q6_K ? 2 * b + (size_t)half : b, 0);
        const vf zero = vf_mul(scale, vf_set1((float)-zero_of(kind)));
        const vf offset = has_min(kind) ? part_min(kind, w, b, 0) : zero;
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++, to += 128) {
            const vi v = weights(kind, p, j, half);
            vf f[4];
#pragma GCC unroll 4
            for (int c = 0; c < 4; c++)
                f[c] = vf_fma(byte_floats(v, c), scale, offset);
            vi_store(to, pair(f[0], f[1]));
            vi_store(to + 64, pair(f[2], f[3]));
        }
    }
}

/* y[t * y_stride + r] of 32 rows and 16 or 32 tokens: set, or added to where more. panel: two tiles a
 * block of columns. */
AMX_INLINE void multiply_tiles(const uint8_t *panel, size_t n_blocks, const uint16_t *x, size_t x_stride, float *y,
                               size_t y_stride, bool two, bool more)
{
    const size_t x_bytes = x_stride * sizeof *x, y_bytes = y_stride * sizeof *y;
    float *y_two = y + (two ? 16 * y_stride : 0);
    if (more) {
        _tile_loadd(0, y, y_bytes);
        _tile_loadd(1, y + 16, y_bytes);
        _tile_loadd(2, y_two, y_bytes);
        _tile_loadd(3, y_two + 16, y_bytes);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (size_t b = 0; b < n_blocks; b++, panel += 2 * TILE_BYTES, x += COLUMNS) {
        _tile_loadd(6, panel, 64);
        _tile_loadd(7, panel + TILE_BYTES, 64);
        _tile_loadd(4, x, x_bytes);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        if (two) {
            _tile_loadd(5, x + 16 * x_stride, x_bytes);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, y, y_bytes);
    _tile_stored(1, y + 16, y_bytes);
    if (two) {
        _tile_stored(2, y_two, y_bytes);
        _tile_stored(3, y_two + 16, y_bytes);
    }
}

/* A lone group's second half is computed from whatever the panel holds. */
AMX_INLINE void gemm_wide(pack_kind kind, const cpu_packed *w, size_t group, size_t n_groups, const cpu_rows *x,
                          float *y, size_t y_stride, uint8_t *panel, const uint8_t *next)
{
    const size_t n_blocks = w->cols / COLUMNS, unit_blocks = w->unit_columns / COLUMNS;
    const size_t n_slabs = (n_blocks + SLAB - 1) / SLAB, n_blocks_of_tokens = (x->n_tokens + 31) / 32;
    // What comes next is as long as this, and is fetched while tiles are multiplied.
    const size_t fetch = next ? n_groups * w->group_bytes / (n_slabs * n_blocks_of_tokens) + 63 : 0;
    for (size_t s = 0; s < n_slabs; s++) {
        const size_t first = n_blocks * s / n_slabs, n = n_blocks * (s + 1) / n_slabs - first;
        for (size_t i = 0; i < n_groups; i++) {
            const uint8_t *unit = w->data + (group + i) * w->group_bytes;
            for (size_t b = 0; b < n; b++)
                unpack_tile(kind, unit + (first + b) / unit_blocks * w->unit_bytes, (first + b) % unit_blocks,
                            panel + (2 * b + i) * TILE_BYTES);
        }
        for (size_t t = 0; t < x->n_tokens; t += 32) {
            const uint16_t *from = x->wide + t * x->q_stride + first * COLUMNS;
            for (size_t i = 0; i < fetch; i += 64, next += 64)
                PREFETCH_FAR(next);
            if (x->n_tokens - t > 16)
                multiply_tiles(panel, n, from, x->q_stride, y + t * y_stride, y_stride, true, s > 0);
            else
                multiply_tiles(panel, n, from, x->q_stride, y + t * y_stride, y_stride, false, s > 0);
        }
    }
}

AMX_INLINE void with_tiles(pack_kind kind, const cpu_packed *w, size_t group, size_t n, const cpu_rows *x, float *y,
                           size_t y_stride, void *scratch, const uint8_t *next)
{
    tile_shapes shapes = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shapes.row_bytes[i] = 64;
        shapes.rows[i] = 16;
    }
    _tile_loadconfig(&shapes);
    for (size_t g = 0; g < n; g += 2)
        gemm_wide(kind, w, group + g, n - g < 2 ? 1 : 2, x, y + 16 * g, y_stride, scratch,
                  g + 2 < n ? w->data + (group + g + 2) * w->group_bytes : next);
    _tile_release();
}

static AMX_TARGET void round_wide(const float *x, size_t n, uint16_t *out)
{
    for (size_t i = 0; i < n; i += 32)
        vi_store(out + i, (__m512i)_mm512_cvtne2ps_pbh(vf_load(x + i + 16), vf_load(x + i)));
}

#define WIDE_KERNEL(kind, columns, bytes)                                                                  \
    static AMX_TARGET void wide_##kind(const cpu_packed *w, size_t group, size_t n, const cpu_rows *x,     \
                                       float *y, size_t y_stride, void *scratch, const uint8_t *next)      \
    {                                                                                                      \
        with_tiles(PACK_##kind, w, group, n, x, y, y_stride, scratch, next);                               \
    }
PACK_KINDS(WIDE_KERNEL)
#undef WIDE_KERNEL

void cpu_fill_amx(cpu_kernels *k)
{
#define WIDE_ROW(kind, columns, bytes) k->wide[PACK_##kind] = wide_##kind;
    PACK_KINDS(WIDE_ROW)
#undef WIDE_ROW
    k->round_wide = round_wide;
}

bool cpu_has_amx(void)
{
    unsigned a, b, c, d;
    const unsigned tile = 1u << 24, tile_bf16 = 1u << 22, vector_bf16 = 1u << 5;
    if (!cpu_has_avx512() || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & tile) || !(d & tile_bf16))
        return false;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & vector_bf16) && host_allow_tiles();
}

#else

void cpu_fill_amx(cpu_kernels *k)
{
    (void)k;
}

bool cpu_has_amx(void)
{
    return false;
}

#endif
