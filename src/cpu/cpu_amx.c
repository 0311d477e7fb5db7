/* AMX (Sapphire Rapids on): prompts as matrix products of brain floats. Weights are unpacked once for
 * all tokens of a pass, times their scales, to bfloat16, and multiplied by activations in bfloat16 into
 * float32 tiles: no integer sums and no scales in the inner loop, three times the rate of `vpdpbusd`.
 * Rounding both sides to 8 bits of mantissa costs less than int8 activations do (docs/architecture.md).
 * Fewer tokens than a tile has rows, and one token, go the AVX-512 way. */
#include "cpu/kernels.h"

#if defined(__x86_64__) && defined(__linux__) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
#include <cpuid.h>
#include <math.h>

#include "cpu/lanes_avx512.h"
#include "cpu/lanes_packed.h"
#include "host/host.h"

#define AMX_TARGET __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma,f16c")))
#define AMX_INLINE static inline __attribute__((always_inline)) AMX_TARGET

/* A tile: 16 rows of 64 bytes, which are 32 columns of W. A slab is so many of them, two groups wide: one lies
 * in the first-level cache beside the activations that stream past, while the next one is unpacked. */
enum { TILE_BYTES = 1024, COLUMNS = 32, SLAB = 12, PANEL_BYTES = SLAB * 2 * TILE_BYTES, AHEAD = 1088 };
_Static_assert(2 * PANEL_BYTES <= CPU_PANELS_BYTES, "two panels have room");

/* As `ldtilecfg` reads it. */
typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shapes;

/* Bits of a weight, all of them significant; a byte holds them at its upper end when it becomes a float. */
AMX_INLINE int bits_of(pack_kind kind)
{
    return is_byte(kind) ? 8 : kind == PACK_Q6_K ? 6 : has_fifths(kind) ? 5 : 4;
}

/* Byte c of each lane, shifted down to so many bits, as a float: a dot product adds 64 times the byte to the bits
 * of 2^(bits + 9), of whose mantissa that is the last of the byte's. `above` tells what the float then stands
 * above its value: that is taken off here, or, where a product with the scale is exact, with the zero. */
AMX_INLINE vf byte_floats(pack_kind kind, vi v, int c, float above)
{
    const int32_t start = (127 + bits_of(kind) + 9) << 23;
    const vf f = (vf)_mm512_dpbusd_epi32(vi_set1(start), v, vi_set1(64 << 8 * c));
    return above == 0 ? f : vf_sub(f, vf_set1(above));
}

/* Lane r: a[r] in the lower half, b[r] in the upper, to the nearest. Quicker than vcvtne2ps2bf16, which is
 * many steps; but a NaN of all ones would come out as 0. */
AMX_INLINE __m512i pair(vf a, vf b)
{
    const vi half = vi_set1(0x8000), lower = _mm512_srli_epi32(vi_add((vi)a, half), 16);
    return _mm512_mask_blend_epi16(0xAAAAAAAAu, lower, vi_add((vi)b, half));
}

AMX_INLINE vf plain_nan(vf v)
{
    return _mm512_mask_mov_ps(v, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), vf_set1(NAN));
}

/* Columns 0 ... 15 (half 0) or 16 ... 31 of block b of the unit w, as half a tile: line i holds columns 2i and
 * 2i + 1 of 16 rows. Asks for the lines that are unpacked a little later. */
AMX_INLINE void unpack_half(pack_kind kind, const uint8_t *w, size_t b, int half, uint8_t *to)
{
    const uint8_t *p = w + head_of(kind) + block_of(kind) * b;
    const vf scale = plain_nan(part_scale(kind, w, kind == PACK_Q6_K ? 2 * b + (size_t)half : b, 0));
    const float zero = (float)(1 << (bits_of(kind) - 1)), above = 1024 * zero;
    const bool exact = !is_super(kind) && !has_min(kind); // a scale of 11 bits times 1025
    const vf offset = has_min(kind) ? plain_nan(part_min(kind, w, b, 0))
                                    : vf_mul(scale, vf_set1(exact ? -above - zero : 0));
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++, to += 128) {
        PREFETCH_NEAR(p + block_of(kind) / 2 * (size_t)half + 64 * j + AHEAD);
        const vi v = vi_left(weights(kind, p, j, half), 8 - bits_of(kind));
        vf f[4];
#pragma GCC unroll 4
        for (int c = 0; c < 4; c++)
            f[c] = vf_fma(byte_floats(kind, v, c, exact ? 0 : has_min(kind) ? above : above + zero), scale, offset);
        vi_store(to, pair(f[0], f[1]));
        vi_store(to + 64, pair(f[2], f[3]));
    }
}

/* A slab on its way into a panel: two tiles, of two groups, a block of columns. It is unpacked half a tile
 * at a time, so often that it is ready after `steps` calls of unpack_some: the matrix unit and the vector
 * units then work at the same time. */
typedef struct {
    const uint8_t *groups; // the first of them
    size_t group_bytes, unit_bytes, n_groups;
    size_t block, group, half; // what comes next
    uint8_t *to;           // the tiles of `block`
    size_t pieces, steps, due;
} unpacking;

AMX_INLINE unpacking unpack_begin(const cpu_packed *w, const uint8_t *groups, size_t n_groups, size_t first, size_t end,
                                  size_t steps, uint8_t *panel)
{
    return (unpacking){.groups = groups, .group_bytes = w->group_bytes, .unit_bytes = w->unit_bytes, .n_groups = n_groups,
                       .block = first, .to = panel, .pieces = 2 * n_groups * (end - first), .steps = steps};
}

AMX_INLINE void unpack_piece(pack_kind kind, unpacking *u)
{
    const size_t blocks = is_super(kind) ? 8 : 2; // a unit
    const uint8_t *unit = u->groups + u->group * u->group_bytes + u->block / blocks * u->unit_bytes;
    uint8_t *tile = u->to + u->group * TILE_BYTES;
    if (u->half == 0) {
        unpack_half(kind, unit, u->block % blocks, 0, tile);
        u->half = 1;
        return;
    }
    unpack_half(kind, unit, u->block % blocks, 1, tile + TILE_BYTES / 2);
    u->half = 0;
    if (++u->group < u->n_groups)
        return;
    u->group = 0;
    u->block++;
    u->to += 2 * TILE_BYTES;
}

AMX_INLINE void unpack_some(pack_kind kind, unpacking *u)
{
    for (u->due += u->pieces; u->due >= u->steps; u->due -= u->steps)
        unpack_piece(kind, u);
}

/* y[t * y_stride + r] of 32 rows and 16 or 32 tokens: set, or added to where more. panel: two tiles a
 * block of columns. */
AMX_INLINE void multiply_tiles(pack_kind kind, const uint8_t *panel, size_t n_blocks, const uint16_t *x, size_t x_stride,
                               float *y, size_t y_stride, bool two, bool more, unpacking *u)
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
        unpack_some(kind, u);
    }
    _tile_stored(0, y, y_bytes);
    _tile_stored(1, y + 16, y_bytes);
    if (two) {
        _tile_stored(2, y_two, y_bytes);
        _tile_stored(3, y_two + 16, y_bytes);
    }
}

/* Two groups, or one: its second half is computed from whatever the panel holds. */
AMX_INLINE void gemm_wide(pack_kind kind, const cpu_packed *w, const uint8_t *groups, size_t n_groups, const cpu_rows *x,
                          float *y, size_t y_stride, cpu_panels *panels, cpu_next next)
{
    const size_t n_blocks = w->cols / COLUMNS, n_slabs = (n_blocks + SLAB - 1) / SLAB;
    const size_t n_blocks_of_tokens = (x->n_tokens + 31) / 32, first_end = n_blocks / n_slabs;
    if (panels->holds != groups) {
        unpacking u = unpack_begin(w, groups, n_groups, 0, first_end, 1, panels->bytes + panels->turn * PANEL_BYTES);
        unpack_some(kind, &u);
    }
    panels->holds = next.n_groups ? next.at : NULL;
    for (size_t s = 0; s < n_slabs; s++, panels->turn ^= 1) {
        const size_t first = n_blocks * s / n_slabs, end = n_blocks * (s + 1) / n_slabs, n = end - first;
        const size_t steps = n * n_blocks_of_tokens;
        const uint8_t *panel = panels->bytes + panels->turn * PANEL_BYTES;
        uint8_t *other = panels->bytes + (panels->turn ^ 1) * PANEL_BYTES;
        unpacking u = s + 1 < n_slabs ? unpack_begin(w, groups, n_groups, end, n_blocks * (s + 2) / n_slabs, steps, other)
                                      : unpack_begin(w, panels->holds, next.n_groups, 0, first_end, steps, other);
        for (size_t t = 0; t < x->n_tokens; t += 32) {
            const uint16_t *from = x->wide + t * x->q_stride + first * COLUMNS;
            if (x->n_tokens - t > 16)
                multiply_tiles(kind, panel, n, from, x->q_stride, y + t * y_stride, y_stride, true, s > 0, &u);
            else
                multiply_tiles(kind, panel, n, from, x->q_stride, y + t * y_stride, y_stride, false, s > 0, &u);
        }
    }
}

AMX_INLINE void with_tiles(pack_kind kind, const cpu_packed *w, size_t group, size_t n, const cpu_rows *x, float *y,
                           size_t y_stride, cpu_panels *panels, cpu_next next)
{
    tile_shapes shapes = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shapes.row_bytes[i] = 64;
        shapes.rows[i] = 16;
    }
    _tile_loadconfig(&shapes);
    for (size_t g = 0; g < n; g += 2) {
        const size_t left = n - g, after = left > 2 ? left - 2 : 0;
        const uint8_t *groups = w->data + (group + g) * w->group_bytes;
        const cpu_next then = after ? (cpu_next){groups + 2 * w->group_bytes, after < 2 ? after : 2, 0} : next;
        gemm_wide(kind, w, groups, left < 2 ? left : 2, x, y + 16 * g, y_stride, panels, then);
    }
    for (size_t i = 0; next.at && next.n_groups == 0 && i < n * w->group_bytes; i += 64)
        PREFETCH_FAR(next.at + i); // another op's
    _tile_release();
}

static AMX_TARGET void round_wide(const float *x, size_t n, uint16_t *out)
{
    for (size_t i = 0; i < n; i += 32)
        vi_store(out + i, (__m512i)_mm512_cvtne2ps_pbh(vf_load(x + i + 16), vf_load(x + i)));
}

#define WIDE_KERNEL(kind, columns, bytes)                                                                  \
    static AMX_TARGET void wide_##kind(const cpu_packed *w, size_t group, size_t n, const cpu_rows *x,     \
                                       float *y, size_t y_stride, cpu_panels *panels, cpu_next next)       \
    {                                                                                                      \
        with_tiles(PACK_##kind, w, group, n, x, y, y_stride, panels, next);                                \
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
