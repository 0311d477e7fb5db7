/* AVX2: the ops between the products (lanes_float.h), and activations to int8. */
#include "cpu/kernels.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include "cpu/lanes_avx2.h"
#include "cpu/lanes_float.h"

/* As quant_activations, to the bit: the division is exact, the conversion rounds ties to even. */
static LANES_TARGET void quantise(const float *x, size_t n, int8_t *q, float *d, int32_t *sums)
{
    const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7FFFFFFF));
    for (size_t b = 0; b < n / 16; b++, x += 16, q += 16) {
        const __m256 u = _mm256_loadu_ps(x), v = _mm256_loadu_ps(x + LANES);
        const float most = vf_most(_mm256_max_ps(_mm256_and_ps(u, magnitude), _mm256_and_ps(v, magnitude)));
        const int nan = _mm256_movemask_ps(_mm256_cmp_ps(u, v, _CMP_UNORD_Q));
        if (nan || !(most <= 3.4028235e38f) || most / 127 < 1.17549435e-38f) { // rare: the plain way
            quant_activations(x, 16, q, d + b, sums + b);
            continue;
        }
        const __m256 scale = _mm256_set1_ps(most / 127);
        const __m256i i = _mm256_cvtps_epi32(_mm256_div_ps(u, scale));
        const __m256i j = _mm256_cvtps_epi32(_mm256_div_ps(v, scale));
        // Packing works on halves of registers: 0-3, 8-11, 4-7, 12-15 come out and are put in order.
        const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(i, j), 0xD8);
        const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
        _mm_storeu_si128((__m128i *)(void *)q, bytes);
        d[b] = most / 127;
        int32_t eight[LANES], sum = 0;
        _mm256_storeu_si256((__m256i *)(void *)eight, _mm256_add_epi32(i, j));
        for (int k = 0; k < LANES; k++)
            sum += eight[k];
        sums[b] = sum;
    }
}

void cpu_fill_avx2_float(cpu_kernels *k)
{
    fill_float(k);
    k->quantise = quantise;
}

#endif
