/* WebAssembly SIMD: the primitives that lanes.h and the float ops are written in. For the files of this
 * instruction set only. */
#ifndef INGLE_CPU_LANES_WASM_H
#define INGLE_CPU_LANES_WASM_H

#include "cpu/kernels.h"

#include <wasm_simd128.h>

#define LANES_TARGET
#define LANES_INLINE static inline __attribute__((always_inline))

#define ACC_INT32
#ifdef __wasm_relaxed_simd__
#define ACC_STEPS(most) 1000000
#define SPLIT_BYTES 1
#else
/* Four products of at most `most` x 128 to 32 bits. */
#define ACC_STEPS(most) (INT32_MAX / ((most) * 128 * 4))
#define SPLIT_BYTES 0
#endif

/* Lines cannot be asked for here, and the processor does so by itself a stream and a page at a time. Nibbles
 * multiplied in 16-byte registers from memory in pages of 4 kB, one thread, GB/s: 6.1 in one stream, 7.7 in two, 10.5
 * in four, 13 in eight. */
enum {
    LANES = 4, TILE_VECTORS = 2, TILE_TOKENS = 4, PREFETCH_BYTES = 0, PREFETCH_NEAR_BYTES = 0,
    STREAMS = 8, HIGH_IN_PLACE = 0, BYTE_ZERO = 128, ATTEND_ROWS = 3
};
/* Engines put a constant offset into the load itself, but clang adds it to a sum that it knows. Unrolled, it
 * would sort a block's loop by rows, so that engines run out of registers. Together 4 % of a token. */
#define KEEP(p) __asm__("" : "+r"(p))
#define ROLLED  _Pragma("clang loop unroll(disable)")
#define PREFETCH_FAR(p)  ((void)(p))
#define PREFETCH_NEAR(p) ((void)(p))

typedef v128_t vi;
typedef v128_t vacc;
typedef v128_t vf;

LANES_INLINE vi vi_load(const void *p)
{
    return wasm_v128_load(p);
}

LANES_INLINE void vi_store(void *p, vi v)
{
    wasm_v128_store(p, v);
}

LANES_INLINE vi vi_set1(int32_t x)
{
    return wasm_i32x4_splat(x);
}

LANES_INLINE vi vi_bytes(int x)
{
    return wasm_i8x16_splat((int8_t)x);
}

LANES_INLINE vi vi_add(vi a, vi b)
{
    return wasm_i32x4_add(a, b);
}

LANES_INLINE vi vi_and(vi a, vi b)
{
    return wasm_v128_and(a, b);
}

LANES_INLINE vi vi_or(vi a, vi b)
{
    return wasm_v128_or(a, b);
}

LANES_INLINE vi vi_left(vi v, int by)
{
    return wasm_i16x8_shl(v, (uint32_t)by);
}

LANES_INLINE vi vi_right(vi v, int by)
{
    return wasm_u16x8_shr(v, (uint32_t)by);
}

LANES_INLINE vi vi_left32(vi v, int by)
{
    return wasm_i32x4_shl(v, (uint32_t)by);
}

LANES_INLINE vi vi_byte(vi v)
{
    return v;
}

LANES_INLINE vi vi_iq4(vi nibbles)
{
    return wasm_i8x16_swizzle(wasm_v128_load(cpu_iq4_bytes), nibbles);
}

LANES_INLINE vi vi_four(const int8_t *x)
{
    return wasm_v128_load32_splat(x);
}

LANES_INLINE vacc acc_zero(void)
{
    return wasm_i32x4_splat(0);
}

/* 32-bit sums: the even and the odd columns of 16-bit lanes. */
LANES_INLINE vacc acc_dot_byte(vacc sum, vi w, vi x)
{
    const v128_t even = wasm_i32x4_dot_i16x8(wasm_v128_and(w, wasm_i16x8_splat(255)),
                                             wasm_i16x8_shr(wasm_i16x8_shl(x, 8), 8));
    const v128_t odd = wasm_i32x4_dot_i16x8(wasm_u16x8_shr(w, 8), wasm_i16x8_shr(x, 8));
    return wasm_i32x4_add(sum, wasm_i32x4_add(even, odd));
}

LANES_INLINE vi acc_sum_byte(vacc sum)
{
    return sum;
}

LANES_INLINE vacc acc_dot(vacc sum, vi w, vi x)
{
#ifdef __wasm_relaxed_simd__
    return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(x, w, sum);
#else
    return acc_dot_byte(sum, w, x);
#endif
}

LANES_INLINE vi acc_sum(vacc sum)
{
    return sum;
}

LANES_INLINE vf vf_load(const float *p)
{
    return wasm_v128_load(p);
}

LANES_INLINE void vf_store(float *p, vf v)
{
    wasm_v128_store(p, v);
}

LANES_INLINE vf vf_zero(void)
{
    return wasm_f32x4_splat(0);
}

LANES_INLINE vf vf_set1(float x)
{
    return wasm_f32x4_splat(x);
}

LANES_INLINE vf vf_mul(vf a, vf b)
{
    return wasm_f32x4_mul(a, b);
}

LANES_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return wasm_f32x4_add(wasm_f32x4_mul(a, b), c); // relaxed_madd rounds once or twice, and gains nothing here
}

LANES_INLINE vf vf_int(vi v)
{
    return wasm_f32x4_convert_i32x4(v);
}

/* The four halves at p as floats. Moved to a float's place they lack a factor of 2^112, which also makes
 * subnormal ones right. Infinity and NaN come out as 2^16 and more: no number of a sound file. */
LANES_INLINE vf vf_f16(const uint8_t *p)
{
    const v128_t bits = wasm_v128_and(wasm_i32x4_shl(wasm_i32x4_load16x4(p), 13),
                                      wasm_i32x4_const_splat((int32_t)0x8FFFE000u));
    return wasm_f32x4_mul(bits, wasm_f32x4_const_splat(0x1p112f));
}

LANES_INLINE vf vf_u8(const uint8_t *p)
{
    return vf_int(wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(p))));
}

LANES_INLINE vf vf_i8(const uint8_t *p)
{
    return vf_int(wasm_i32x4_extend_low_i16x8(wasm_i16x8_extend_low_i8x16(wasm_v128_load32_zero(p))));
}

LANES_INLINE vf vf_add(vf a, vf b)
{
    return wasm_f32x4_add(a, b);
}

LANES_INLINE vf vf_sub(vf a, vf b)
{
    return wasm_f32x4_sub(a, b);
}

LANES_INLINE vf vf_div(vf a, vf b)
{
    return wasm_f32x4_div(a, b);
}

LANES_INLINE vf vf_min(vf a, vf b)
{
    return wasm_f32x4_pmin(a, b);
}

LANES_INLINE vf vf_max(vf a, vf b)
{
    return wasm_f32x4_pmax(a, b);
}

LANES_INLINE vf vf_round(vf v)
{
    return wasm_f32x4_nearest(v);
}

/* In two halves, so that it reaches infinity. */
LANES_INLINE vf vf_exp2(vf v, vf n)
{
    const v128_t i = wasm_i32x4_trunc_sat_f32x4(n), half = wasm_i32x4_shr(i, 1), bias = wasm_i32x4_splat(127);
    const v128_t a = wasm_i32x4_shl(wasm_i32x4_add(half, bias), 23);
    const v128_t b = wasm_i32x4_shl(wasm_i32x4_add(wasm_i32x4_sub(i, half), bias), 23);
    return wasm_f32x4_mul(wasm_f32x4_mul(v, a), b);
}

LANES_INLINE float vf_sum(vf v)
{
    v = wasm_f32x4_add(v, wasm_i32x4_shuffle(v, v, 2, 3, 0, 1));
    return wasm_f32x4_extract_lane(v, 0) + wasm_f32x4_extract_lane(v, 1);
}

LANES_INLINE float vf_most(vf v)
{
    v = wasm_f32x4_pmax(v, wasm_i32x4_shuffle(v, v, 2, 3, 0, 1));
    v = wasm_f32x4_pmax(v, wasm_i32x4_shuffle(v, v, 1, 0, 3, 2));
    return wasm_f32x4_extract_lane(v, 0);
}

LANES_INLINE float vf_first(vf v)
{
    return wasm_f32x4_extract_lane(v, 0);
}

LANES_INLINE vf vf_below(vf v, int n, vf other)
{
    return wasm_v128_bitselect(v, other, wasm_i32x4_gt(wasm_i32x4_splat(n), wasm_i32x4_const(0, 1, 2, 3)));
}

#endif
