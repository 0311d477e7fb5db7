/* NEON with dot products: the primitives that lanes.h and the float ops are written in. For the files
 * of this instruction set only; empty where the compiler has none of it.
 *
 * A file that defines NEON_I8MM before it includes this gets the matrix instructions as well. */
#ifndef INGLE_CPU_LANES_NEON_H
#define INGLE_CPU_LANES_NEON_H

#include "cpu/kernels.h"

/* Little-endian only, as the packed weights are. clang has the intrinsics of instructions that are not
 * in its default set since 16 (15 by Apple's count). */
#if defined(__aarch64__) && defined(__AARCH64EL__)
#if defined(__ARM_FEATURE_DOTPROD) && defined(__ARM_FEATURE_MATMUL_INT8)
#define CPU_NEON 1
#elif defined(__apple_build_version__)
#define CPU_NEON (__clang_major__ >= 15)
#elif defined(__clang__)
#define CPU_NEON (__clang_major__ >= 16)
#elif defined(__GNUC__)
#define CPU_NEON (__GNUC__ >= 10)
#endif
#endif
#ifndef CPU_NEON
#define CPU_NEON 0
#endif

#if CPU_NEON
#include <arm_neon.h>

#if defined(__clang__) && defined(NEON_I8MM)
#define LANES_TARGET __attribute__((target("dotprod,i8mm")))
#elif defined(__clang__)
#define LANES_TARGET __attribute__((target("dotprod")))
#elif defined(NEON_I8MM)
#define LANES_TARGET __attribute__((target("arch=armv8.2-a+dotprod+i8mm")))
#else
#define LANES_TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#endif
#define LANES_INLINE static inline __attribute__((always_inline)) LANES_TARGET

/* Both operands are signed, so bytes of Q8_0 and IQ4_NL lose their 128 and any of them fits. */
enum {
    LANES = 4, TILE_VECTORS = 2, TILE_TOKENS = 4, PREFETCH_BYTES = 4608, PREFETCH_NEAR_BYTES = 1152,
    STREAMS = 1, HIGH_IN_PLACE = 0, SPLIT_BYTES = 0, BYTE_ZERO = 0
};
enum { ATTEND_ROWS = 4 };
/* Four products of at most `most` x 128 to 32 bits. */
#define ACC_STEPS(most) (INT32_MAX / ((most) * 128 * 4))
#define PREFETCH_FAR(p)  __builtin_prefetch((p), 0, 2)
#define PREFETCH_NEAR(p) __builtin_prefetch((p), 0, 3)

#define ACC_INT32

typedef int32x4_t vi;
typedef int32x4_t vacc;
typedef float32x4_t vf;

LANES_INLINE vi vi_load(const void *p)
{
    return vreinterpretq_s32_u8(vld1q_u8(p));
}

LANES_INLINE void vi_store(void *p, vi v)
{
    vst1q_u8(p, vreinterpretq_u8_s32(v));
}

LANES_INLINE vi vi_set1(int32_t x)
{
    return vdupq_n_s32(x);
}

LANES_INLINE vi vi_bytes(int x)
{
    return vreinterpretq_s32_s8(vdupq_n_s8((int8_t)x));
}

LANES_INLINE vi vi_add(vi a, vi b)
{
    return vaddq_s32(a, b);
}

LANES_INLINE vi vi_and(vi a, vi b)
{
    return vandq_s32(a, b);
}

LANES_INLINE vi vi_or(vi a, vi b)
{
    return vorrq_s32(a, b);
}

/* Shifts by a count that is a constant once inlined; a negative one is to the right. */
LANES_INLINE vi vi_left(vi v, int by)
{
    return vreinterpretq_s32_u16(vshlq_u16(vreinterpretq_u16_s32(v), vdupq_n_s16((int16_t)by)));
}

LANES_INLINE vi vi_right(vi v, int by)
{
    return vi_left(v, -by);
}

LANES_INLINE vi vi_left32(vi v, int by)
{
    return vshlq_s32(v, vdupq_n_s32(by));
}

LANES_INLINE vi vi_byte(vi v)
{
    return veorq_s32(v, vi_bytes(-128));
}

LANES_INLINE vi vi_iq4(vi nibbles)
{
    const uint8x16_t values = vreinterpretq_u8_s32(vi_byte(vi_load(cpu_iq4_bytes)));
    return vreinterpretq_s32_u8(vqtbl1q_u8(values, vreinterpretq_u8_s32(nibbles)));
}

LANES_INLINE vi vi_four(const int8_t *x)
{
    int32_t v;
    memcpy(&v, x, sizeof v);
    return vdupq_n_s32(v);
}

LANES_INLINE vacc acc_zero(void)
{
    return vdupq_n_s32(0);
}

LANES_INLINE vacc acc_dot(vacc sum, vi w, vi x)
{
    return vdotq_s32(sum, vreinterpretq_s8_s32(w), vreinterpretq_s8_s32(x));
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
    return sum;
}

LANES_INLINE vf vf_load(const float *p)
{
    return vld1q_f32(p);
}

LANES_INLINE void vf_store(float *p, vf v)
{
    vst1q_f32(p, v);
}

LANES_INLINE vf vf_zero(void)
{
    return vdupq_n_f32(0);
}

LANES_INLINE vf vf_set1(float x)
{
    return vdupq_n_f32(x);
}

LANES_INLINE vf vf_mul(vf a, vf b)
{
    return vmulq_f32(a, b);
}

LANES_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}

LANES_INLINE vf vf_int(vi v)
{
    return vcvtq_f32_s32(v);
}

LANES_INLINE vf vf_f16(const uint8_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}

/* Four bytes, in the low half of eight. */
LANES_INLINE uint8x8_t cpu_neon_four(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return vcreate_u8(v);
}

LANES_INLINE vf vf_u8(const uint8_t *p)
{
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(cpu_neon_four(p)))));
}

LANES_INLINE vf vf_i8(const uint8_t *p)
{
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(cpu_neon_four(p))))));
}

LANES_INLINE vf vf_add(vf a, vf b)
{
    return vaddq_f32(a, b);
}

LANES_INLINE vf vf_sub(vf a, vf b)
{
    return vsubq_f32(a, b);
}

LANES_INLINE vf vf_div(vf a, vf b)
{
    return vdivq_f32(a, b);
}

LANES_INLINE vf vf_min(vf a, vf b)
{
    return vminq_f32(a, b);
}

LANES_INLINE vf vf_max(vf a, vf b)
{
    return vmaxq_f32(a, b);
}

LANES_INLINE vf vf_round(vf v)
{
    return vrndnq_f32(v);
}

/* In two halves, so that it reaches infinity. */
LANES_INLINE vf vf_exp2(vf v, vf n)
{
    const int32x4_t i = vcvtq_s32_f32(n), half = vshrq_n_s32(i, 1), bias = vdupq_n_s32(127);
    const int32x4_t a = vshlq_n_s32(vaddq_s32(half, bias), 23);
    const int32x4_t b = vshlq_n_s32(vaddq_s32(vsubq_s32(i, half), bias), 23);
    return vmulq_f32(vmulq_f32(v, vreinterpretq_f32_s32(a)), vreinterpretq_f32_s32(b));
}

LANES_INLINE float vf_sum(vf v)
{
    return vaddvq_f32(v);
}

LANES_INLINE float vf_most(vf v)
{
    return vmaxvq_f32(v);
}

LANES_INLINE float vf_first(vf v)
{
    return vgetq_lane_f32(v, 0);
}

LANES_INLINE vf vf_below(vf v, int n, vf other)
{
    static const int32_t lanes[LANES] = {0, 1, 2, 3};
    return vbslq_f32(vcltq_s32(vld1q_s32(lanes), vdupq_n_s32(n)), v, other);
}

#define HAS_HALF
LANES_INLINE void vf_store_f16(uint16_t *p, vf v)
{
    vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v)));
}

#endif
#endif
