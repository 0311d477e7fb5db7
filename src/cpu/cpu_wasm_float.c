/* WebAssembly SIMD: the ops between the products (lanes_float.h), and activations to int8. */
#include "cpu/kernels.h"

#ifdef __wasm_simd128__
#include "cpu/lanes_wasm.h"
#include "cpu/lanes_float.h"

/* As quant_activations, to the bit: the division is exact, `nearest` rounds ties to even. Magnitudes
 * compare as integers, with infinity and NaN on top. */
static void quantise(const float *x, size_t n, int8_t *q, float *d, int32_t *sums)
{
    for (size_t b = 0; b < n / 16; b++, x += 16, q += 16) {
        v128_t v[4], most = wasm_i32x4_splat(0);
        for (size_t i = 0; i < 4; i++) {
            v[i] = vf_load(x + 4 * i);
            most = wasm_i32x4_max(most, wasm_v128_and(v[i], wasm_i32x4_splat(0x7FFFFFFF)));
        }
        most = wasm_i32x4_max(most, wasm_i32x4_shuffle(most, most, 2, 3, 0, 1));
        most = wasm_i32x4_max(most, wasm_i32x4_shuffle(most, most, 1, 0, 3, 2));
        const float peak = wasm_f32x4_extract_lane(most, 0), scale = peak / 127;
        if (!(peak <= 3.4028235e38f) || scale < 1.17549435e-38f) { // rare: the plain way
            quant_activations(x, 16, q, d + b, sums + b);
            continue;
        }
        for (size_t i = 0; i < 4; i++)
            v[i] = wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(wasm_f32x4_div(v[i], vf_set1(scale))));
        wasm_v128_store(q, wasm_i8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(v[0], v[1]),
                                                   wasm_i16x8_narrow_i32x4(v[2], v[3])));
        v128_t sum = wasm_i32x4_add(wasm_i32x4_add(v[0], v[1]), wasm_i32x4_add(v[2], v[3]));
        sum = wasm_i32x4_add(sum, wasm_i32x4_shuffle(sum, sum, 2, 3, 0, 1));
        d[b] = scale;
        sums[b] = wasm_i32x4_extract_lane(sum, 0) + wasm_i32x4_extract_lane(sum, 1);
    }
}

void cpu_fill_wasm_float(cpu_kernels *k)
{
    fill_float(k);
    k->quantise = quantise;
}

#endif
