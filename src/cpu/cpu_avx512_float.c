/* AVX-512: the ops between the products, on floats. */
#include "cpu/kernels.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <immintrin.h>
#include <math.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")))
#define INLINE static inline __attribute__((always_inline)) TARGET

/* e^x: x = n ln 2 + r, a polynomial in r of degree 6, relative error below 2e-7;
 * infinity beyond what float holds, and never below its smallest normal number. */
INLINE __m512 exp_ps(__m512 x)
{
    x = _mm512_max_ps(_mm512_min_ps(x, _mm512_set1_ps(100)), _mm512_set1_ps(-87.3f));
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 0);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    __m512 p = _mm512_set1_ps(1.0f / 720);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
    return _mm512_scalef_ps(p, n);
}

/* Lanes i ... of n, as a mask for what is left at the end. */
INLINE __mmask16 lanes(size_t i, size_t n)
{
    return n - i >= 16 ? (__mmask16)0xFFFF : (__mmask16)((1u << (n - i)) - 1);
}

static TARGET void norm(const graph_norm *n, const float *weight, const float *bias, const float *x, float *y,
                        size_t width)
{
    __m512 mean = _mm512_setzero_ps(), square = _mm512_setzero_ps();
    if (n->kind == GRAPH_NORM_LAYER) {
        for (size_t i = 0; i < width; i += 16)
            mean = _mm512_add_ps(mean, _mm512_maskz_loadu_ps(lanes(i, width), x + i));
        mean = _mm512_set1_ps(_mm512_reduce_add_ps(mean) / (float)width);
    }
    for (size_t i = 0; i < width; i += 16) {
        const __m512 v = _mm512_maskz_sub_ps(lanes(i, width), _mm512_maskz_loadu_ps(lanes(i, width), x + i), mean);
        square = _mm512_fmadd_ps(v, v, square);
    }
    const __m512 scale = _mm512_set1_ps(1 / sqrtf(_mm512_reduce_add_ps(square) / (float)width + n->eps));
    for (size_t i = 0; i < width; i += 16) {
        const __mmask16 m = lanes(i, width);
        const __m512 v = _mm512_mul_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(m, x + i), mean), scale);
        __m512 to = _mm512_mul_ps(v, _mm512_maskz_loadu_ps(m, weight + i));
        if (bias)
            to = _mm512_add_ps(to, _mm512_maskz_loadu_ps(m, bias + i));
        _mm512_mask_storeu_ps(y + i, m, to);
    }
}

/* As quant_activations, to the bit: the division is exact, the conversion rounds ties to even. */
static TARGET void quantise(const float *x, size_t n, int8_t *q, float *d, int32_t *sums)
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

static TARGET void gate(graph_epilogue kind, const float *g, const float *up, float *out, size_t n)
{
    const __m512 one = _mm512_set1_ps(1);
    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 m = lanes(i, n);
        const __m512 x = _mm512_maskz_loadu_ps(m, g + i), u = _mm512_maskz_loadu_ps(m, up + i);
        __m512 z = x; // both are x * sigmoid(z): silu with z = x, gelu's tanh form with z = 2 sqrt(2/pi) (...)
        if (kind == GRAPH_GATE_GELU)
            z = _mm512_mul_ps(_mm512_set1_ps(1.5957691216f),
                              _mm512_fmadd_ps(_mm512_mul_ps(_mm512_set1_ps(0.044715f), x), _mm512_mul_ps(x, x), x));
        const __m512 e = exp_ps(_mm512_sub_ps(_mm512_setzero_ps(), z));
        _mm512_mask_storeu_ps(out + i, m, _mm512_mul_ps(_mm512_div_ps(x, _mm512_add_ps(one, e)), u));
    }
}

/* ---- attention ---------------------------------------------------------------------------------- */

INLINE __m512 load_half(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

INLINE void softmax(float *s, size_t n)
{
    __m512 most = _mm512_set1_ps(-INFINITY), total = _mm512_setzero_ps();
    for (size_t j = 0; j < n; j += 16)
        most = _mm512_mask_max_ps(most, lanes(j, n), most, _mm512_maskz_loadu_ps(lanes(j, n), s + j));
    most = _mm512_set1_ps(_mm512_reduce_max_ps(most));
    for (size_t j = 0; j < n; j += 16) {
        const __mmask16 m = lanes(j, n);
        const __m512 e = _mm512_maskz_mov_ps(m, exp_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(m, s + j), most)));
        total = _mm512_add_ps(total, e);
        _mm512_mask_storeu_ps(s + j, m, e);
    }
    const __m512 scale = _mm512_set1_ps(1 / _mm512_reduce_add_ps(total));
    for (size_t j = 0; j < n; j += 16)
        _mm512_mask_storeu_ps(s + j, lanes(j, n),
                              _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes(j, n), s + j), scale));
}

/* Heads of 16 n values over a half-precision cache: a key is read once for the group's heads. */
INLINE void attend_half(const cpu_cache *c, uint32_t kv_head, const float *q, size_t first, size_t last,
                        float *out, float *scores, size_t vectors)
{
    const size_t group = c->n_heads / c->n_kv_heads, d = 16 * vectors, n = last - first + 1;
    const uint8_t *k = c->k + first * c->k_row + kv_head * c->k_head;
    const uint8_t *v = c->v + first * c->v_row + kv_head * c->v_head;
    for (size_t j = 0; j < n; j++, k += c->k_row) {
        __m512 key[8];
#pragma GCC unroll 8
        for (size_t i = 0; i < vectors; i++)
            key[i] = load_half(k + 32 * i);
        for (size_t h = 0; h < group; h++) {
            __m512 sum = _mm512_mul_ps(key[0], _mm512_loadu_ps(q + h * d));
#pragma GCC unroll 8
            for (size_t i = 1; i < vectors; i++)
                sum = _mm512_fmadd_ps(key[i], _mm512_loadu_ps(q + h * d + 16 * i), sum);
            scores[h * n + j] = _mm512_reduce_add_ps(sum) * c->scale;
        }
    }
    for (size_t h = 0; h < group; h++)
        softmax(scores + h * n, n);
    for (size_t h = 0; h < group; h++) {
        __m512 sum[8];
        const uint8_t *value = v;
#pragma GCC unroll 8
        for (size_t i = 0; i < vectors; i++)
            sum[i] = _mm512_setzero_ps();
        for (size_t j = 0; j < n; j++, value += c->v_row) {
            const __m512 p = _mm512_set1_ps(scores[h * n + j]);
#pragma GCC unroll 8
            for (size_t i = 0; i < vectors; i++)
                sum[i] = _mm512_fmadd_ps(p, load_half(value + 32 * i), sum[i]);
        }
#pragma GCC unroll 8
        for (size_t i = 0; i < vectors; i++)
            _mm512_storeu_ps(out + h * d + 16 * i, sum[i]);
    }
}

static TARGET void attend(const cpu_cache *c, uint32_t kv_head, const float *q, size_t first, size_t last,
                          float *out, float *scratch)
{
    const bool half = c->k_format->id == QUANT_F16 && c->v_format->id == QUANT_F16;
    if (half && c->d_head == 64)
        attend_half(c, kv_head, q, first, last, out, scratch, 4);
    else if (half && c->d_head == 128)
        attend_half(c, kv_head, q, first, last, out, scratch, 8);
    else
        cpu_attend_portable(c, kv_head, q, first, last, out, scratch);
}

void cpu_fill_avx512_float(cpu_kernels *k)
{
    k->norm = norm;
    k->quantise = quantise;
    k->gate = gate;
    k->attend = attend;
}

#endif
