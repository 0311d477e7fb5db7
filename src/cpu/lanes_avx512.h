/* AVX-512: the primitives that lanes.h and the float ops are written in. For the files of this
 * instruction set only. */
#ifndef INGLE_CPU_LANES_AVX512_H
#define INGLE_CPU_LANES_AVX512_H

#include "cpu/kernels.h"

#include <immintrin.h>

#define LANES_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")))
#define LANES_INLINE static inline __attribute__((always_inline)) LANES_TARGET

/* Decode reads memory as fast as it comes only when it is asked for ahead, in each stream: into the second level,
 * which can wait for more lines at once than the first, and from there into the first, one line at a time. Whole
 * tokens a second of one thread of a server with AMX, variants in random order: of 143 MB that memory holds, 134 in
 * one stream, asked for 9.2 and 6.9 kB ahead, 135 in two, 142 in three and 141 in four, a half, 0.4 and a quarter as
 * far; of 90 MB in the third level 285, 298, 303, 298. Streams 72 to 92 kB apart are up to 10 % slower there, as if
 * they met in the memory's banks; on another such server they are not, and streams matter less. The second request
 * counts when it comes while the first is under way, an even number of lines behind: an odd one costs 5 %. */
enum {
    LANES = 16, TILE_VECTORS = 2, TILE_TOKENS = 5, PREFETCH_BYTES = 3584, PREFETCH_NEAR_BYTES = 2816,
    STREAMS = 3, HIGH_IN_PLACE = 1, SPLIT_BYTES = 0, BYTE_ZERO = 128, ATTEND_ROWS = 4
};
#define ACC_STEPS(most) 1000000
#define PREFETCH_FAR(p)  _mm_prefetch((const char *)(p), _MM_HINT_T1)
#define PREFETCH_NEAR(p) _mm_prefetch((const char *)(p), _MM_HINT_T0)

#define ACC_INT32

typedef __m512i vi;
typedef __m512i vacc;
typedef __m512 vf;

LANES_INLINE vi vi_load(const void *p)
{
    return _mm512_loadu_si512(p);
}

LANES_INLINE void vi_store(void *p, vi v)
{
    _mm512_storeu_si512(p, v);
}

LANES_INLINE vi vi_set1(int32_t x)
{
    return _mm512_set1_epi32(x);
}

LANES_INLINE vi vi_bytes(int x)
{
    return _mm512_set1_epi8((char)x);
}

LANES_INLINE vi vi_add(vi a, vi b)
{
    return _mm512_add_epi32(a, b);
}

LANES_INLINE vi vi_and(vi a, vi b)
{
    return _mm512_and_si512(a, b);
}

LANES_INLINE vi vi_or(vi a, vi b)
{
    return _mm512_or_si512(a, b);
}

/* Shifts by a number that is constant once loops are unrolled; compilers disagree on the type that
 * the immediate forms take. */
LANES_INLINE vi vi_left(vi v, int by)
{
    return _mm512_sll_epi16(v, _mm_cvtsi32_si128(by));
}

LANES_INLINE vi vi_right(vi v, int by)
{
    return _mm512_srl_epi16(v, _mm_cvtsi32_si128(by));
}

LANES_INLINE vi vi_left32(vi v, int by)
{
    return _mm512_sll_epi32(v, _mm_cvtsi32_si128(by));
}

LANES_INLINE vi vi_byte(vi v)
{
    return v;
}

LANES_INLINE vi vi_iq4(vi nibbles)
{
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)cpu_iq4_bytes)),
                               nibbles);
}

LANES_INLINE vi vi_four(const int8_t *x)
{
    int32_t v;
    memcpy(&v, x, sizeof v);
    return _mm512_set1_epi32(v);
}

LANES_INLINE vacc acc_zero(void)
{
    return _mm512_setzero_si512();
}

LANES_INLINE vacc acc_dot(vacc sum, vi w, vi x)
{
    return _mm512_dpbusd_epi32(sum, w, x);
}

LANES_INLINE vi acc_sum(vacc sum)
{
    return sum;
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
    return _mm512_loadu_ps(p);
}

LANES_INLINE void vf_store(float *p, vf v)
{
    _mm512_storeu_ps(p, v);
}

LANES_INLINE vf vf_zero(void)
{
    return _mm512_setzero_ps();
}

LANES_INLINE vf vf_set1(float x)
{
    return _mm512_set1_ps(x);
}

LANES_INLINE vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}

LANES_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}

LANES_INLINE vf vf_int(vi v)
{
    return _mm512_cvtepi32_ps(v);
}

LANES_INLINE vf vf_f16(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

LANES_INLINE vf vf_u8(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}

LANES_INLINE vf vf_i8(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}

LANES_INLINE vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}

LANES_INLINE vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}

LANES_INLINE vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}

LANES_INLINE vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}

LANES_INLINE vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}

LANES_INLINE vf vf_round(vf v)
{
    return _mm512_roundscale_ps(v, 0);
}

LANES_INLINE vf vf_exp2(vf v, vf n)
{
    return _mm512_scalef_ps(v, n);
}

LANES_INLINE float vf_sum(vf v)
{
    return _mm512_reduce_add_ps(v);
}

LANES_INLINE float vf_most(vf v)
{
    return _mm512_reduce_max_ps(v);
}

LANES_INLINE float vf_first(vf v)
{
    return _mm512_cvtss_f32(v);
}

LANES_INLINE vf vf_below(vf v, int n, vf other)
{
    const unsigned mask = n >= LANES ? 0xFFFFu : n <= 0 ? 0u : (1u << n) - 1u;
    return _mm512_mask_mov_ps(other, (__mmask16)mask, v);
}

#define HAS_HALF
LANES_INLINE void vf_store_f16(uint16_t *p, vf v)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

#endif
