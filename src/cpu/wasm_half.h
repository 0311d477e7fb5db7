/* Half precision in WebAssembly SIMD, which has no instruction for it. */
#ifndef INGLE_CPU_WASM_HALF_H
#define INGLE_CPU_WASM_HALF_H

#include <stdint.h>
#include <wasm_simd128.h>

/* The four halves at p as floats. Moved to a float's place and multiplied by 2^112 they are right,
 * subnormal ones included, but for infinities and NaN, which come out as 65536 or more and get their
 * exponent set. */
static inline __attribute__((always_inline)) v128_t cpu_wasm_halves(const uint8_t *p)
{
    const v128_t bits = wasm_v128_and(wasm_i32x4_shl(wasm_i32x4_load16x4(p), 13),
                                      wasm_i32x4_const_splat((int32_t)0x8FFFE000u));
    const v128_t f = wasm_f32x4_mul(bits, wasm_f32x4_const_splat(0x1p112f));
    const v128_t beyond = wasm_f32x4_ge(wasm_f32x4_abs(f), wasm_f32x4_const_splat(65536));
    return wasm_v128_or(f, wasm_v128_and(beyond, wasm_i32x4_const_splat(0x7F800000)));
}

#endif
