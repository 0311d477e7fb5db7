/* AVX2: the primitives that lanes.h and the float ops are written in. For the files of this
 * instruction set only. */
#ifndef INGLE_CPU_LANES_AVX2_H
#define INGLE_CPU_LANES_AVX2_H

#include "cpu/kernels.h"

#include <immintrin.h>

#define LANES_TARGET __attribute__((target("avx2,fma,f16c")))
#define PRIMITIVE    static inline __attribute__((always_inline)) LANES_TARGET

enum { LANES = 8, TILE_VECTORS = 2, TILE_TOKENS = 3, PREFETCH_BYTES = 4608, SPLIT_BYTES = 1, BYTE_ZERO = 128 };
/* Each step adds two products of at most `most` x 128 to 16 bits. */
#define ACC_STEPS(most) (32767 / ((most) * 128 * 2))
#define PREFETCH(p)     _mm_prefetch((const char *)(p), _MM_HINT_T0)

typedef __m256i vi;
typedef __m256i vacc;
typedef __m256 vf;

PRIMITIVE vi vi_load(const void *p)
{
    return _mm256_loadu_si256(p);
}

PRIMITIVE void vi_store(void *p, vi v)
{
    _mm256_storeu_si256(p, v);
}

PRIMITIVE vi vi_set1(int32_t x)
{
    return _mm256_set1_epi32(x);
}

PRIMITIVE vi vi_bytes(int x)
{
    return _mm256_set1_epi8((char)x);
}

PRIMITIVE vi vi_add(vi a, vi b)
{
    return _mm256_add_epi32(a, b);
}

PRIMITIVE vi vi_and(vi a, vi b)
{
    return _mm256_and_si256(a, b);
}

PRIMITIVE vi vi_or(vi a, vi b)
{
    return _mm256_or_si256(a, b);
}

PRIMITIVE vi vi_left(vi v, int by)
{
    return _mm256_sll_epi16(v, _mm_cvtsi32_si128(by));
}

PRIMITIVE vi vi_right(vi v, int by)
{
    return _mm256_srl_epi16(v, _mm_cvtsi32_si128(by));
}

PRIMITIVE vi vi_left32(vi v, int by)
{
    return _mm256_sll_epi32(v, _mm_cvtsi32_si128(by));
}

PRIMITIVE vi vi_byte(vi v)
{
    return v;
}

PRIMITIVE vi vi_iq4(vi nibbles)
{
    return _mm256_shuffle_epi8(
        _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)cpu_iq4_bytes)), nibbles);
}

PRIMITIVE vi vi_four(const int8_t *x)
{
    int32_t v;
    memcpy(&v, x, sizeof v);
    return _mm256_set1_epi32(v);
}

PRIMITIVE vacc acc_zero(void)
{
    return _mm256_setzero_si256();
}

PRIMITIVE vacc acc_dot(vacc sum, vi w, vi x)
{
    return _mm256_add_epi16(sum, _mm256_maddubs_epi16(w, x));
}

PRIMITIVE vi acc_sum(vacc sum)
{
    return _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
}

PRIMITIVE vacc acc_dot_byte(vacc sum, vi w, vi x)
{
    return acc_dot(sum, w, x);
}

PRIMITIVE vi acc_sum_byte(vacc sum)
{
    return acc_sum(sum);
}

PRIMITIVE vf vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

PRIMITIVE void vf_store(float *p, vf v)
{
    _mm256_storeu_ps(p, v);
}

PRIMITIVE vf vf_zero(void)
{
    return _mm256_setzero_ps();
}

PRIMITIVE vf vf_set1(float x)
{
    return _mm256_set1_ps(x);
}

PRIMITIVE vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}

PRIMITIVE vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}

PRIMITIVE vf vf_int(vi v)
{
    return _mm256_cvtepi32_ps(v);
}

PRIMITIVE vf vf_f16(const uint8_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

PRIMITIVE vf vf_u8(const uint8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}

PRIMITIVE vf vf_i8(const uint8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}

#endif
