/* Half precision in WebAssembly SIMD, which has no instruction for it. */
#ifndef INGLE_CPU_WASM_HALF_H
#define INGLE_CPU_WASM_HALF_H

#include <stdint.h>
#include <wasm_simd128.h>

/* The four halves at p as floats. Moved to a float's place they lack a factor of 2^112, which also
 * makes subnormal ones right. Infinity and NaN would come out as 2^16 and more, the only such values:
 * another 2^112 takes these, and nothing else, beyond float, so that both end as infinity. */
static inline __attribute__((always_inline)) v128_t cpu_wasm_halves(const uint8_t *p)
{
    const v128_t much = wasm_f32x4_const_splat(0x1p112f), less = wasm_f32x4_const_splat(0x1p-112f);
    const v128_t bits = wasm_v128_and(wasm_i32x4_shl(wasm_i32x4_load16x4(p), 13),
                                      wasm_i32x4_const_splat((int32_t)0x8FFFE000u));
    return wasm_f32x4_mul(wasm_f32x4_mul(wasm_f32x4_mul(bits, much), much), less);
}

#endif
