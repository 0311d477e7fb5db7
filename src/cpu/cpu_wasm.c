/* WebAssembly SIMD: 4 rows a register. Two builds of one file.
 *
 * Relaxed: `i32x4.relaxed_dot_i8x16_i7x16_add_s`, one instruction where there is AVX-VNNI or SDOT. Its second
 * operand is the weight, which is 0 ... 63, or a nibble of a byte, so every engine gives the same sums.
 * Plain: a 16-bit lane holds two columns of a row; the even and the odd one are cut out and multiplied by
 * `i32x4.dot_i16x8_s`, which leaves one row a lane at once. */
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
