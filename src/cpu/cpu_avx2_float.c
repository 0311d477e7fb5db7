/* AVX2: the ops between the products, on floats. Widths that are not whole registers end in plain C. */
#include "cpu/kernels.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <immintrin.h>
#include <math.h>

#define TARGET __attribute__((target("avx2,fma,f16c")))
#define INLINE static inline __attribute__((always_inline)) TARGET

enum { LANES = 8, MAX_VECTORS = 16 }; // heads of up to 128 values

INLINE float sum_of(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

INLINE float most_of(__m256 v)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

/* e^x as in cpu_avx512_float.c; 2^n is put together from two halves, so that it reaches infinity. */
INLINE __m256 exp_ps(__m256 x)
{
    x = _mm256_max_ps(_mm256_min_ps(x, _mm256_set1_ps(100)), _mm256_set1_ps(-87.3f));
    const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)), 8);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
    __m256 p = _mm256_set1_ps(1.0f / 720);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1));
    const __m256i i = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(i, 1), bias = _mm256_set1_epi32(127);
    const __m256 a = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
    const __m256 b =
        _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(i, half), bias), 23));
    return _mm256_mul_ps(_mm256_mul_ps(p, a), b);
}

static TARGET void norm(const graph_norm *n, const float *weight, const float *bias, const float *x, float *y,
                        size_t width)
{
    const size_t whole = width / LANES * LANES;
    float mean = 0;
    if (n->kind == GRAPH_NORM_LAYER) {
        __m256 sum = _mm256_setzero_ps();
        for (size_t i = 0; i < whole; i += LANES)
            sum = _mm256_add_ps(sum, _mm256_loadu_ps(x + i));
        mean = sum_of(sum);
        for (size_t i = whole; i < width; i++)
            mean += x[i];
        mean /= (float)width;
    }
    const __m256 means = _mm256_set1_ps(mean);
    __m256 squares = _mm256_setzero_ps();
    for (size_t i = 0; i < whole; i += LANES) {
        const __m256 v = _mm256_sub_ps(_mm256_loadu_ps(x + i), means);
        squares = _mm256_fmadd_ps(v, v, squares);
    }
    float square = sum_of(squares);
    for (size_t i = whole; i < width; i++)
        square += (x[i] - mean) * (x[i] - mean);
    const float scale = 1 / sqrtf(square / (float)width + n->eps);
    for (size_t i = 0; i < whole; i += LANES) {
        const __m256 v = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(x + i), means), _mm256_set1_ps(scale));
        __m256 to = _mm256_mul_ps(v, _mm256_loadu_ps(weight + i));
        if (bias)
            to = _mm256_add_ps(to, _mm256_loadu_ps(bias + i));
        _mm256_storeu_ps(y + i, to);
    }
    for (size_t i = whole; i < width; i++)
        y[i] = (x[i] - mean) * scale * weight[i] + (bias ? bias[i] : 0);
}

/* As quant_activations, to the bit: the division is exact, the conversion rounds ties to even. */
static TARGET void quantise(const float *x, size_t n, int8_t *q, float *d, int32_t *sums)
{
    const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7FFFFFFF));
    for (size_t b = 0; b < n / 16; b++, x += 16, q += 16) {
        const __m256 u = _mm256_loadu_ps(x), v = _mm256_loadu_ps(x + LANES);
        const float most = most_of(_mm256_max_ps(_mm256_and_ps(u, magnitude), _mm256_and_ps(v, magnitude)));
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

/* Eight results of gate(); see cpu_avx512_float.c. */
INLINE __m256 gate_eight(graph_epilogue kind, __m256 x, __m256 up)
{
    __m256 z = x;
    if (kind == GRAPH_GATE_GELU)
        z = _mm256_mul_ps(_mm256_set1_ps(1.5957691216f),
                          _mm256_fmadd_ps(_mm256_mul_ps(_mm256_set1_ps(0.044715f), x), _mm256_mul_ps(x, x), x));
    const __m256 e = exp_ps(_mm256_sub_ps(_mm256_setzero_ps(), z));
    return _mm256_mul_ps(_mm256_div_ps(x, _mm256_add_ps(_mm256_set1_ps(1), e)), up);
}

static TARGET void gate(graph_epilogue kind, const float *g, const float *up, float *out, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        _mm256_storeu_ps(out + i, gate_eight(kind, _mm256_loadu_ps(g + i), _mm256_loadu_ps(up + i)));
    if (i < n) {
        float rest[3][LANES] = {{0}};
        memcpy(rest[0], g + i, (n - i) * sizeof *g);
        memcpy(rest[1], up + i, (n - i) * sizeof *up);
        _mm256_storeu_ps(rest[2], gate_eight(kind, _mm256_loadu_ps(rest[0]), _mm256_loadu_ps(rest[1])));
        memcpy(out + i, rest[2], (n - i) * sizeof *out);
    }
}

/* ---- attention ---------------------------------------------------------------------------------- */

INLINE __m256 load_half(const uint8_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

static TARGET void softmax(float *s, size_t n)
{
    float most = -INFINITY, total = 0;
    for (size_t j = 0; j < n; j++)
        most = s[j] > most ? s[j] : most;
    __m256 totals = _mm256_setzero_ps();
    size_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        const __m256 e = exp_ps(_mm256_sub_ps(_mm256_loadu_ps(s + j), _mm256_set1_ps(most)));
        totals = _mm256_add_ps(totals, e);
        _mm256_storeu_ps(s + j, e);
    }
    total = sum_of(totals);
    for (; j < n; j++) {
        s[j] = expf(s[j] - most);
        total += s[j];
    }
    for (j = 0; j < n; j++)
        s[j] *= 1 / total;
}

/* Heads of 8 * vectors values over a half-precision cache: a key is read once for the group's heads. */
INLINE void attend_half(const cpu_cache *c, uint32_t kv_head, const float *q, size_t first, size_t last,
                        float *out, float *scores, size_t vectors)
{
    const size_t group = c->n_heads / c->n_kv_heads, d = LANES * vectors, n = last - first + 1;
    const uint8_t *k = c->k + first * c->k_row + kv_head * c->k_head;
    const uint8_t *v = c->v + first * c->v_row + kv_head * c->v_head;
    for (size_t j = 0; j < n; j++, k += c->k_row)
        for (size_t h = 0; h < group; h++) {
            __m256 a = _mm256_setzero_ps(), b = a;
#pragma GCC unroll 8
            for (size_t i = 0; i < vectors; i += 2) {
                a = _mm256_fmadd_ps(load_half(k + 16 * i), _mm256_loadu_ps(q + h * d + LANES * i), a);
                b = _mm256_fmadd_ps(load_half(k + 16 * i + 16), _mm256_loadu_ps(q + h * d + LANES * i + LANES), b);
            }
            scores[h * n + j] = sum_of(_mm256_add_ps(a, b)) * c->scale;
        }
    for (size_t h = 0; h < group; h++) {
        softmax(scores + h * n, n);
        for (size_t at = 0; at < vectors; at += 8) { // eight registers of sums at a time
            __m256 sum[8];
            const uint8_t *value = v + 16 * at;
#pragma GCC unroll 8
            for (size_t i = 0; i < 8; i++)
                sum[i] = _mm256_setzero_ps();
            for (size_t j = 0; j < n; j++, value += c->v_row)
#pragma GCC unroll 8
                for (size_t i = 0; i < 8; i++)
                    sum[i] = _mm256_fmadd_ps(_mm256_set1_ps(scores[h * n + j]), load_half(value + 16 * i), sum[i]);
#pragma GCC unroll 8
            for (size_t i = 0; i < 8; i++)
                _mm256_storeu_ps(out + h * d + LANES * (at + i), sum[i]);
        }
    }
}

static TARGET void attend(const cpu_cache *c, uint32_t kv_head, const float *q, size_t first, size_t last,
                          float *out, float *scratch)
{
    const bool half = c->k_format->id == QUANT_F16 && c->v_format->id == QUANT_F16;
    if (half && c->d_head == 64)
        attend_half(c, kv_head, q, first, last, out, scratch, 8);
    else if (half && c->d_head == 128)
        attend_half(c, kv_head, q, first, last, out, scratch, MAX_VECTORS);
    else
        cpu_attend_portable(c, kv_head, q, first, last, out, scratch);
}

void cpu_fill_avx2_float(cpu_kernels *k)
{
    k->norm = norm;
    k->quantise = quantise;
    k->gate = gate;
    k->attend = attend;
}

#endif
