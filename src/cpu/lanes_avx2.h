/* AVX2: the primitives that lanes.h and the float ops are written in. For the files of this
 * instruction set only. */
#ifndef INGLE_CPU_LANES_AVX2_H
#define INGLE_CPU_LANES_AVX2_H

#include "cpu/kernels.h"

#include <immintrin.h>

#define LANES_TARGET __attribute__((target("avx2,fma,f16c")))
#define LANES_INLINE static inline __attribute__((always_inline)) LANES_TARGET

enum {
    LANES = 8, TILE_VECTORS = 2, TILE_TOKENS = 3, PREFETCH_BYTES = 3584, PREFETCH_NEAR_BYTES = 2816,
    STREAMS = 3, HIGH_IN_PLACE = 0, SPLIT_BYTES = 1, BYTE_ZERO = 128, ATTEND_ROWS = 3
};
/* Each step adds two products of at most `most` x 128 to 16 bits. */
#define ACC_STEPS(most) (32767 / ((most) * 128 * 2))
#define PREFETCH_FAR(p)  _mm_prefetch((const char *)(p), _MM_HINT_T1)
#define PREFETCH_NEAR(p) _mm_prefetch((const char *)(p), _MM_HINT_T0)

typedef __m256i vi;
typedef __m256i vacc;
typedef __m256 vf;

LANES_INLINE vi vi_load(const void *p)
{
    return _mm256_loadu_si256(p);
}

LANES_INLINE void vi_store(void *p, vi v)
{
    _mm256_storeu_si256(p, v);
}

LANES_INLINE vi vi_set1(int32_t x)
{
    return _mm256_set1_epi32(x);
}

LANES_INLINE vi vi_bytes(int x)
{
    return _mm256_set1_epi8((char)x);
}

LANES_INLINE vi vi_add(vi a, vi b)
{
    return _mm256_add_epi32(a, b);
}

LANES_INLINE vi vi_and(vi a, vi b)
{
    return _mm256_and_si256(a, b);
}

LANES_INLINE vi vi_or(vi a, vi b)
{
    return _mm256_or_si256(a, b);
}

LANES_INLINE vi vi_left(vi v, int by)
{
    return _mm256_sll_epi16(v, _mm_cvtsi32_si128(by));
}

LANES_INLINE vi vi_right(vi v, int by)
{
    return _mm256_srl_epi16(v, _mm_cvtsi32_si128(by));
}

LANES_INLINE vi vi_left32(vi v, int by)
{
    return _mm256_sll_epi32(v, _mm_cvtsi32_si128(by));
}

LANES_INLINE vi vi_byte(vi v)
{
    return v;
}

LANES_INLINE vi vi_iq4(vi nibbles)
{
    return _mm256_shuffle_epi8(
        _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)cpu_iq4_bytes)), nibbles);
}

LANES_INLINE vi vi_four(const int8_t *x)
{
    int32_t v;
    memcpy(&v, x, sizeof v);
    return _mm256_set1_epi32(v);
}

LANES_INLINE vacc acc_zero(void)
{
    return _mm256_setzero_si256();
}

LANES_INLINE vacc acc_dot(vacc sum, vi w, vi x)
{
    return _mm256_add_epi16(sum, _mm256_maddubs_epi16(w, x));
}

LANES_INLINE vi acc_sum(vacc sum)
{
    return _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
}

LANES_INLINE vacc acc_dot_byte(vacc sum, vi w, vi x)
{
    return acc_dot(sum, w, x);
}

LANES_INLINE vi acc_sum_byte(vacc sum)
{
    return acc_sum(sum);
}

LANES_INLINE vf vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

LANES_INLINE void vf_store(float *p, vf v)
{
    _mm256_storeu_ps(p, v);
}

LANES_INLINE vf vf_zero(void)
{
    return _mm256_setzero_ps();
}

LANES_INLINE vf vf_set1(float x)
{
    return _mm256_set1_ps(x);
}

LANES_INLINE vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}

LANES_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}

LANES_INLINE vf vf_int(vi v)
{
    return _mm256_cvtepi32_ps(v);
}

LANES_INLINE vf vf_f16(const uint8_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

LANES_INLINE vf vf_u8(const uint8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}

LANES_INLINE vf vf_i8(const uint8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}

LANES_INLINE vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}

LANES_INLINE vf vf_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}

LANES_INLINE vf vf_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}

LANES_INLINE vf vf_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}

LANES_INLINE vf vf_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}

LANES_INLINE vf vf_round(vf v)
{
    return _mm256_round_ps(v, 8);
}

/* In two halves, so that it reaches infinity. */
LANES_INLINE vf vf_exp2(vf v, vf n)
{
    const __m256i i = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(i, 1), bias = _mm256_set1_epi32(127);
    const __m256 a = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
    const __m256 b = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(i, half), bias), 23));
    return _mm256_mul_ps(_mm256_mul_ps(v, a), b);
}

LANES_INLINE float vf_sum(vf v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

LANES_INLINE float vf_most(vf v)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

LANES_INLINE float vf_first(vf v)
{
    return _mm256_cvtss_f32(v);
}

LANES_INLINE vf vf_below(vf v, int n, vf other)
{
    const __m256i lane = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
    return _mm256_blendv_ps(other, v, _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane)));
}

#define HAS_HALF
LANES_INLINE void vf_store_f16(uint16_t *p, vf v)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

#endif
