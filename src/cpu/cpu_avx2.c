/* AVX2: 8 rows a register, products in 16 bits (`vpmaddubsw`), which hold eight products of 4-bit
 * weights, four of 5-bit, two of 6-bit ones with any int8, exactly; bytes are multiplied as two
 * nibbles. */
#include "cpu/kernels.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include "cpu/lanes_avx2.h"
#include "cpu/lanes.h"

void cpu_fill_avx2(cpu_kernels *k)
{
    fill_lanes(k);
    cpu_fill_avx2_float(k);
}

bool cpu_has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

#else

void cpu_fill_avx2(cpu_kernels *k)
{
    (void)k;
}

bool cpu_has_avx2(void)
{
    return false;
}

#endif
