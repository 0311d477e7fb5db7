/* AVX-512: the ops between the products (lanes_float.h), and activations to int8. */
#include "cpu/kernels.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include "cpu/lanes_avx512.h"
#include "cpu/lanes_float.h"

/* As quant_activations, to the bit: the division is exact, the conversion rounds ties to even. */
static LANES_TARGET void quantise(const float *x, size_t n, int8_t *q, float *d, int32_t *sums)
{
    for (size_t b = 0; b < n / 16; b++, x += 16, q += 16) {
        const __m512 v = _mm512_loadu_ps(x);
        const float most = _mm512_reduce_max_ps(_mm512_abs_ps(v));
        if (_mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q) || !(most <= 3.4028235e38f) ||
            most / 127 < 1.17549435e-38f) { // rare: the plain way
            quant_activations(x, 16, q, d + b, sums + b);
            continue;
        }
        const __m512i i = _mm512_cvtps_epi32(_mm512_div_ps(v, _mm512_set1_ps(most / 127)));
        _mm_storeu_si128((__m128i *)(void *)q, _mm512_cvtepi32_epi8(i));
        d[b] = most / 127;
        sums[b] = _mm512_reduce_add_epi32(i);
    }
}

void cpu_fill_avx512_float(cpu_kernels *k)
{
    fill_float(k);
    k->quantise = quantise;
}

#endif
