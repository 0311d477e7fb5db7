/* AVX-512 with VNNI (Ice Lake and Zen 4 on): 16 rows a register, `vpdpbusd` takes four columns at
 * once of any unsigned weight. Tiles of 32 rows by 5 tokens: two weights share each broadcast, and 20
 * of the 32 registers hold sums. */
#include "cpu/kernels.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include "cpu/lanes_avx512.h"
#include "cpu/lanes.h"

void cpu_fill_avx512(cpu_kernels *k)
{
    fill_lanes(k);
    cpu_fill_avx512_float(k);
}

bool cpu_has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("f16c");
}

#else

void cpu_fill_avx512(cpu_kernels *k)
{
    (void)k;
}

bool cpu_has_avx512(void)
{
    return false;
}

#endif
