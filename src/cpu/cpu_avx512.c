/* AVX-512 with VNNI (Ice Lake and Zen 4 on). Weights in groups of 16 rows, a row a lane: `vpdpbusd`
 * takes four columns of unsigned weights and a broadcast of four int8 activations; what was added to
 * make a weight unsigned comes off again as `zero * sum(x)`, the accumulator's start value.
 * Decode is bound by memory: prefetching runs PREFETCH bytes ahead and, behind the end of a chunk,
 * goes on in this thread's next one. Prefill unpacks two groups to bytes once for all tokens. */
#include "cpu/kernels.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <immintrin.h>
#include <math.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")))
#define INLINE static inline __attribute__((always_inline)) TARGET

enum { PREFETCH = 4608, BLOCK = 32 };

INLINE __m512i line(const uint8_t *p)
{
    return _mm512_loadu_si512(p);
}

INLINE __m512i four(const int8_t *x)
{
    int32_t v;
    memcpy(&v, x, sizeof v);
    return _mm512_set1_epi32(v);
}

INLINE __m512 halves(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

INLINE __m512 bytes_to_ps(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}

INLINE __m512 signed_bytes_to_ps(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}

/* Where prefetching stands: `at` runs ahead of the weights, jumps to `next` at `end`. */
typedef struct {
    const uint8_t *at, *end, *next;
} ahead;

INLINE void prefetch(ahead *a, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        _mm_prefetch((const char *)a->at + i, _MM_HINT_T0);
    a->at += bytes;
    if (a->at >= a->end) {
        a->at = a->next;
        a->end = (const uint8_t *)UINTPTR_MAX;
    }
}

/* ---- sums of one block of 32 columns, 16 rows: start + sum q x --------------------------------- */

INLINE __m512i low(__m512i v)
{
    return _mm512_and_si512(v, _mm512_set1_epi8(15));
}

INLINE __m512i high(__m512i v)
{
    return _mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(15));
}

/* By a number that is constant once loops are unrolled; compilers disagree on the type that the
 * immediate form takes. */
INLINE __m512i shift(__m512i v, int by)
{
    return _mm512_srl_epi16(v, _mm_cvtsi32_si128(by));
}

INLINE __m512i dot_nibbles(const uint8_t *p, const int8_t *x, __m512i start)
{
    __m512i a = start, b = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        const __m512i v = line(p + 64 * j);
        a = _mm512_dpbusd_epi32(a, low(v), four(x + 4 * j));
        // High nibbles stay where they are: sixteen times the sum, taken off once at the end.
        b = _mm512_dpbusd_epi32(b, _mm512_and_si512(v, _mm512_set1_epi8((char)0xF0)), four(x + 16 + 4 * j));
    }
    return _mm512_add_epi32(a, _mm512_srai_epi32(b, 4));
}

INLINE __m512i dot_table(const uint8_t *p, const int8_t *x, __m512i start)
{
    // IQ4_NL's values + 128
    const __m512i table = _mm512_broadcast_i32x4(_mm_setr_epi8(
        1, 24, 45, 63, 79, 93, 106, 118, (char)129, (char)141, (char)153, (char)166, (char)181, (char)197,
        (char)217, (char)241));
    __m512i a = start, b = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        const __m512i v = line(p + 64 * j);
        a = _mm512_dpbusd_epi32(a, _mm512_shuffle_epi8(table, low(v)), four(x + 4 * j));
        b = _mm512_dpbusd_epi32(b, _mm512_shuffle_epi8(table, high(v)), four(x + 16 + 4 * j));
    }
    return _mm512_add_epi32(a, b);
}

INLINE __m512i dot_bytes(const uint8_t *p, const int8_t *x, __m512i start)
{
    __m512i a = start, b = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int j = 0; j < 8; j += 2) {
        a = _mm512_dpbusd_epi32(a, line(p + 64 * j), four(x + 4 * j));
        b = _mm512_dpbusd_epi32(b, line(p + 64 * j + 64), four(x + 4 * j + 4));
    }
    return _mm512_add_epi32(a, b);
}

/* Line j of a block with fifth or high bits, its low and its high columns as bytes. */
INLINE __m512i low5(__m512i v, __m512i fifth, int j)
{
    return _mm512_or_si512(low(v), _mm512_and_si512(_mm512_slli_epi16(shift(fifth, j), 4),
                                                    _mm512_set1_epi8(16)));
}

INLINE __m512i high5(__m512i v, __m512i fifth, int j)
{
    return _mm512_or_si512(high(v), _mm512_and_si512(shift(fifth, j), _mm512_set1_epi8(16)));
}

INLINE __m512i two_bits(__m512i v, int j)
{
    return _mm512_and_si512(_mm512_slli_epi16(shift(v, 2 * j), 4), _mm512_set1_epi8(48));
}

INLINE __m512i dot_five(const uint8_t *p, const int8_t *x)
{
    const __m512i fifth = line(p + 256);
    __m512i a = _mm512_setzero_si512(), b = a;
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        const __m512i v = line(p + 64 * j);
        a = _mm512_dpbusd_epi32(a, low5(v, fifth, j), four(x + 4 * j));
        b = _mm512_dpbusd_epi32(b, high5(v, fifth, j), four(x + 16 + 4 * j));
    }
    return _mm512_add_epi32(a, b);
}

/* ---- one token: y[16 g + r] -------------------------------------------------------------------- */

INLINE __m512 add_scaled(__m512 sum, __m512i i, __m512 scale, float d)
{
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(i), _mm512_mul_ps(scale, _mm512_set1_ps(d)), sum);
}

INLINE __m512i times(int32_t sum, int32_t zero)
{
    return _mm512_set1_epi32(-zero * sum);
}

INLINE int32_t sum32(const cpu_rows *x, size_t b)
{
    return x->sums[2 * b] + x->sums[2 * b + 1];
}

INLINE void pair(pack_kind kind, const uint8_t *w, const cpu_rows *x, size_t b, size_t n_blocks,
                 __m512 *f)
{
    const size_t head = kind == PACK_Q4_1 ? 128 : 64, block = kind == PACK_Q8_0 ? 512 : 256;
#pragma GCC unroll 2
    for (size_t u = 0; u < 2; u++) {
        if (u && b + u >= n_blocks) // padding
            break;
        const int8_t *q = x->q + BLOCK * (b + u);
        const uint8_t *p = w + head + block * u;
        const float d = x->d[b + u];
        const int32_t sum = sum32(x, b + u);
        __m512i i;
        if (kind == PACK_Q8_0)
            i = dot_bytes(p, q, times(sum, 128));
        else if (kind == PACK_IQ4_NL)
            i = dot_table(p, q, times(sum, 128));
        else
            i = dot_nibbles(p, q, kind == PACK_Q4_0 ? times(sum, 8) : _mm512_setzero_si512());
        f[u] = add_scaled(f[u], i, halves(w + 32 * u), d);
        if (kind == PACK_Q4_1)
            f[u] = _mm512_fmadd_ps(halves(w + 64 + 32 * u), _mm512_set1_ps(d * (float)sum), f[u]);
    }
}

INLINE void super_45(pack_kind kind, const uint8_t *w, const cpu_rows *x, size_t b, __m512 *f)
{
    const __m512 d = halves(w), dmin = halves(w + 32);
    const size_t block = kind == PACK_Q5_K ? 320 : 256;
    __m512 mins = _mm512_setzero_ps();
    for (size_t u = 0; u < 8; u++) {
        const int8_t *q = x->q + BLOCK * (b + u);
        const uint8_t *p = w + 320 + block * u;
        const __m512i i = kind == PACK_Q5_K ? dot_five(p, q) : dot_nibbles(p, q, _mm512_setzero_si512());
        const __m512 scale = _mm512_mul_ps(d, bytes_to_ps(w + 64 + 16 * u));
        f[u % 2] = add_scaled(f[u % 2], i, scale, x->d[b + u]);
        mins = _mm512_fmadd_ps(bytes_to_ps(w + 192 + 16 * u),
                               _mm512_set1_ps(x->d[b + u] * (float)sum32(x, b + u)), mins);
    }
    f[0] = _mm512_fnmadd_ps(dmin, mins, f[0]);
}

INLINE void super_6(const uint8_t *w, const cpu_rows *x, size_t b, __m512 *f)
{
    const __m512 d = halves(w);
    for (size_t u = 0; u < 8; u++) {
        const int8_t *q = x->q + BLOCK * (b + u);
        const uint8_t *p = w + 320 + 384 * u;
        const __m512i low_bits = line(p + 256), high_bits = line(p + 320);
        __m512i lo = times(x->sums[2 * (b + u)], 32), hi = times(x->sums[2 * (b + u) + 1], 32);
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            const __m512i v = line(p + 64 * j);
            lo = _mm512_dpbusd_epi32(lo, _mm512_or_si512(low(v), two_bits(low_bits, j)), four(q + 4 * j));
            hi = _mm512_dpbusd_epi32(hi, _mm512_or_si512(high(v), two_bits(high_bits, j)), four(q + 16 + 4 * j));
        }
        const uint8_t *s = w + 64 + 32 * u;
        f[0] = add_scaled(f[0], lo, _mm512_mul_ps(d, signed_bytes_to_ps(s)), x->d[b + u]);
        f[1] = add_scaled(f[1], hi, _mm512_mul_ps(d, signed_bytes_to_ps(s + 16)), x->d[b + u]);
    }
}

INLINE void gemv(pack_kind kind, const cpu_packed *w, size_t group, size_t n_groups, const cpu_rows *x,
                 float *y, const uint8_t *next)
{
    const size_t unit = w->unit_bytes, blocks = w->unit_columns / BLOCK, n_blocks = w->cols / BLOCK;
    const uint8_t *p = w->data + group * w->group_bytes;
    const uint8_t *end = p + n_groups * w->group_bytes;
    ahead a = {p + PREFETCH, end, next ? next : end};
    for (size_t g = 0; g < n_groups; g++) {
        __m512 f[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
        for (size_t u = 0; u < w->n_units; u++, p += unit) {
            prefetch(&a, unit);
            if (kind == PACK_Q4_K || kind == PACK_Q5_K)
                super_45(kind, p, x, u * blocks, f);
            else if (kind == PACK_Q6_K)
                super_6(p, x, u * blocks, f);
            else
                pair(kind, p, x, u * blocks, n_blocks, f);
        }
        _mm512_storeu_ps(y + 16 * g, _mm512_add_ps(f[0], f[1]));
    }
}

/* ---- many tokens -------------------------------------------------------------------------------- */

/* A panel: PANEL_GROUPS groups as bytes. Per part (32 columns, 16 for Q6_K): for each group its lines
 * of bytes, its 16 scales and, with minimums, 16 of those, all f32. */
enum { PANEL_GROUPS = 2, TILE_TOKENS = 5 };

typedef struct {
    int zero;         // off every byte
    size_t lines;     // of a part: 8 or 4
    size_t part_bytes; // of one group
    bool has_min;
} panel_shape;

INLINE panel_shape shape_of(pack_kind kind)
{
    const size_t lines = kind == PACK_Q6_K ? 4 : 8;
    const bool has_min = kind == PACK_Q4_1 || kind == PACK_Q4_K || kind == PACK_Q5_K;
    const int zero = kind == PACK_Q4_0 ? 8 : kind == PACK_Q8_0 || kind == PACK_IQ4_NL ? 128
                     : kind == PACK_Q6_K ? 32 : 0;
    return (panel_shape){zero, lines, lines * 64 + 64 + (has_min ? 64u : 0u), has_min};
}

INLINE void put(uint8_t *to, size_t i, __m512i v)
{
    _mm512_storeu_si512(to + 64 * i, v);
}

INLINE void put_ps(uint8_t *to, __m512 v)
{
    _mm512_storeu_ps(to, v);
}

/* Unit u of a group into its parts, which lie `stride` bytes apart. */
INLINE void unpack_unit(pack_kind kind, const uint8_t *w, uint8_t *to, size_t stride, size_t n_parts)
{
    const panel_shape s = shape_of(kind);
    const size_t columns = s.lines * 4;
    const __m512i table = _mm512_broadcast_i32x4(_mm_setr_epi8(
        1, 24, 45, 63, 79, 93, 106, 118, (char)129, (char)141, (char)153, (char)166, (char)181, (char)197,
        (char)217, (char)241));
    for (size_t part = 0; part < n_parts; part++, to += stride) {
        const size_t b = part * columns / BLOCK; // block of the unit
        if (kind == PACK_Q8_0) {
            for (size_t j = 0; j < 8; j++)
                put(to, j, line(w + 64 + 512 * b + 64 * j));
            put_ps(to + 512, halves(w + 32 * b));
        } else if (kind == PACK_Q4_0 || kind == PACK_Q4_1 || kind == PACK_IQ4_NL) {
            const uint8_t *p = w + (kind == PACK_Q4_1 ? 128 : 64) + 256 * b;
            for (size_t j = 0; j < 4; j++) {
                const __m512i v = line(p + 64 * j);
                put(to, j, kind == PACK_IQ4_NL ? _mm512_shuffle_epi8(table, low(v)) : low(v));
                put(to, j + 4, kind == PACK_IQ4_NL ? _mm512_shuffle_epi8(table, high(v)) : high(v));
            }
            put_ps(to + 512, halves(w + 32 * b));
            if (kind == PACK_Q4_1)
                put_ps(to + 576, halves(w + 64 + 32 * b));
        } else if (kind == PACK_Q4_K || kind == PACK_Q5_K) {
            const uint8_t *p = w + 320 + (kind == PACK_Q5_K ? 320 : 256) * b;
            const __m512i fifth = kind == PACK_Q5_K ? line(p + 256) : _mm512_setzero_si512();
            for (int j = 0; j < 4; j++) {
                const __m512i v = line(p + 64 * j);
                put(to, (size_t)j, kind == PACK_Q5_K ? low5(v, fifth, j) : low(v));
                put(to, (size_t)j + 4, kind == PACK_Q5_K ? high5(v, fifth, j) : high(v));
            }
            put_ps(to + 512, _mm512_mul_ps(halves(w), bytes_to_ps(w + 64 + 16 * b)));
            put_ps(to + 576, _mm512_mul_ps(_mm512_sub_ps(_mm512_setzero_ps(), halves(w + 32)),
                                           bytes_to_ps(w + 192 + 16 * b)));
        } else {
            const uint8_t *p = w + 320 + 384 * b;
            const __m512i bits = line(p + 256 + 64 * (part % 2));
            for (int j = 0; j < 4; j++) {
                const __m512i v = line(p + 64 * j);
                put(to, (size_t)j, _mm512_or_si512(part % 2 ? high(v) : low(v), two_bits(bits, j)));
            }
            put_ps(to + 256, _mm512_mul_ps(halves(w), signed_bytes_to_ps(w + 64 + 16 * part)));
        }
    }
}

/* y[t][16 g + r] for `groups` groups and n tokens, both known to the compiler. */
INLINE void tile(pack_kind kind, const uint8_t *panel, size_t n_parts, const cpu_rows *x, size_t token,
                 float *y, size_t y_stride, int groups, int n)
{
    const panel_shape s = shape_of(kind);
    __m512 f[PANEL_GROUPS][TILE_TOKENS];
    for (int g = 0; g < groups; g++)
        for (int t = 0; t < n; t++)
            f[g][t] = _mm512_setzero_ps();
    const int8_t *q = x->q + token * x->q_stride;
    const size_t d_stride = x->q_stride / BLOCK;
    const float *d = x->d + token * d_stride;
    const int32_t *sums = x->sums + token * 2 * d_stride;
    for (size_t part = 0; part < n_parts; part++) {
        __m512i i[PANEL_GROUPS][TILE_TOKENS];
        float sd[TILE_TOKENS];
#pragma GCC unroll 5
        for (int t = 0; t < n; t++) {
            const int32_t *st = sums + (size_t)t * 2 * d_stride;
            const int32_t sum = s.lines == 4 ? st[part] : st[2 * part] + st[2 * part + 1];
            const __m512i start = s.zero ? _mm512_set1_epi32(-s.zero * sum) : _mm512_setzero_si512();
            for (int g = 0; g < groups; g++)
                i[g][t] = start;
            sd[t] = (float)sum;
        }
#pragma GCC unroll 8
        for (size_t j = 0; j < s.lines; j++) {
            __m512i w[PANEL_GROUPS];
            for (int g = 0; g < groups; g++)
                w[g] = line(panel + (size_t)g * s.part_bytes + 64 * j);
#pragma GCC unroll 5
            for (int t = 0; t < n; t++) {
                const __m512i v = four(q + (size_t)t * x->q_stride + 4 * j);
                for (int g = 0; g < groups; g++)
                    i[g][t] = _mm512_dpbusd_epi32(i[g][t], w[g], v);
            }
        }
        for (int g = 0; g < groups; g++) {
            const uint8_t *tail = panel + (size_t)g * s.part_bytes + 64 * s.lines;
            const __m512 scale = _mm512_loadu_ps(tail);
#pragma GCC unroll 5
            for (int t = 0; t < n; t++) {
                const float dt = d[(size_t)t * d_stride + part * s.lines / 8];
                f[g][t] = add_scaled(f[g][t], i[g][t], scale, dt);
                if (s.has_min)
                    f[g][t] = _mm512_fmadd_ps(_mm512_loadu_ps(tail + 64), _mm512_set1_ps(dt * sd[t]), f[g][t]);
            }
        }
        panel += (size_t)groups * s.part_bytes;
        q += 4 * s.lines;
    }
    for (int g = 0; g < groups; g++)
        for (int t = 0; t < n; t++)
            _mm512_storeu_ps(y + (size_t)t * y_stride + 16 * (size_t)g, f[g][t]);
}

INLINE void tiles(pack_kind kind, const uint8_t *panel, size_t n_parts, const cpu_rows *x, float *y,
                  size_t y_stride, int groups)
{
    size_t t = 0;
    for (; t + 5 <= x->n_tokens; t += 5)
        tile(kind, panel, n_parts, x, t, y + t * y_stride, y_stride, groups, 5);
    switch (x->n_tokens - t) {
    case 4:
        tile(kind, panel, n_parts, x, t, y + t * y_stride, y_stride, groups, 4);
        break;
    case 3:
        tile(kind, panel, n_parts, x, t, y + t * y_stride, y_stride, groups, 3);
        break;
    case 2:
        tile(kind, panel, n_parts, x, t, y + t * y_stride, y_stride, groups, 2);
        break;
    case 1:
        tile(kind, panel, n_parts, x, t, y + t * y_stride, y_stride, groups, 1);
        break;
    }
}

INLINE void gemm(pack_kind kind, const cpu_packed *w, size_t group, size_t n_groups, const cpu_rows *x,
                 float *y, size_t y_stride, uint8_t *panel)
{
    const panel_shape s = shape_of(kind);
    const size_t unit_parts = w->unit_columns / (4 * s.lines), n_parts = w->cols / (4 * s.lines);
    for (size_t g = 0; g < n_groups; g += PANEL_GROUPS) {
        const size_t groups = n_groups - g < PANEL_GROUPS ? n_groups - g : PANEL_GROUPS;
        const size_t stride = groups * s.part_bytes;
        for (size_t i = 0; i < groups; i++) {
            const uint8_t *p = w->data + (group + g + i) * w->group_bytes;
            for (size_t part = 0; part < n_parts; part += unit_parts, p += w->unit_bytes)
                unpack_unit(kind, p, panel + part * stride + i * s.part_bytes, stride,
                            n_parts - part < unit_parts ? n_parts - part : unit_parts);
        }
        if (groups == 2)
            tiles(kind, panel, n_parts, x, y + 16 * g, y_stride, 2);
        else
            tiles(kind, panel, n_parts, x, y + 16 * g, y_stride, 1);
    }
}

#define KERNELS(kind, columns, bytes)                                                             \
    static TARGET void gemv_##kind(const cpu_packed *w, size_t group, size_t n, const cpu_rows *x, \
                                   float *y, const uint8_t *next)                                 \
    {                                                                                             \
        gemv(PACK_##kind, w, group, n, x, y, next);                                               \
    }                                                                                             \
    static TARGET void gemm_##kind(const cpu_packed *w, size_t group, size_t n, const cpu_rows *x, \
                                   float *y, size_t y_stride, void *scratch)                      \
    {                                                                                             \
        gemm(PACK_##kind, w, group, n, x, y, y_stride, scratch);                                  \
    }
PACK_KINDS(KERNELS)
#undef KERNELS

void cpu_fill_avx512(cpu_kernels *k)
{
#define ROW(kind, columns, bytes)          \
    k->gemv[PACK_##kind] = gemv_##kind;    \
    k->gemm[PACK_##kind] = gemm_##kind;
    PACK_KINDS(ROW)
#undef ROW
    cpu_fill_avx512_float(k);
}

bool cpu_has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("f16c");
}

#else

void cpu_fill_avx512(cpu_kernels *k)
{
    (void)k;
}

bool cpu_has_avx512(void)
{
    return false;
}

#endif
