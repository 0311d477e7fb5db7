/* WebAssembly SIMD: 4 rows a register. Two builds of one file.
 *
 * Relaxed: `i16x8.relaxed_dot_i8x16_i7x16_s`, whose second operand is the weight: it is 0 ... 63, so
 * every engine gives the same sums, and they are kept in 16 bits like those of AVX2. Plain, and for
 * bytes in both: a 16-bit lane holds two columns of a row; the even and the odd one are cut out and
 * multiplied by `i32x4.dot_i16x8_s`, which leaves one row a lane at once.
 *
 * Floats are multiplied and added in two steps in both builds: relaxed_madd gains nothing here and
 * would round differently from engine to engine. */
#include "cpu/kernels.h"

#ifdef __wasm_simd128__
#include "cpu/lanes_wasm.h"
#include "cpu/lanes.h"

void cpu_fill_wasm(cpu_kernels *k)
{
    fill_lanes(k);
    cpu_fill_wasm_float(k);
}

bool cpu_has_wasm(void)
{
    return true;
}

#else

void cpu_fill_wasm(cpu_kernels *k)
{
    (void)k;
}

bool cpu_has_wasm(void)
{
    return false;
}

#endif
