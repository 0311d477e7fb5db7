/* WebAssembly SIMD: the ops between the products, on floats. */
#include "cpu/kernels.h"

#ifdef __wasm_simd128__
#include <math.h>

#include "cpu/lanes_wasm.h"

#define INLINE static inline __attribute__((always_inline))

INLINE v128_t load(const float *p)
{
    return wasm_v128_load(p);
}

INLINE v128_t set1(float x)
{
    return wasm_f32x4_splat(x);
}

INLINE v128_t add_product(v128_t a, v128_t b, v128_t c)
{
    return wasm_f32x4_add(wasm_f32x4_mul(a, b), c);
}

INLINE float sum_of(v128_t v)
{
    v = wasm_f32x4_add(v, wasm_i32x4_shuffle(v, v, 2, 3, 0, 1));
    return wasm_f32x4_extract_lane(v, 0) + wasm_f32x4_extract_lane(v, 1);
}

INLINE float most_of(v128_t v)
{
    v = wasm_f32x4_pmax(v, wasm_i32x4_shuffle(v, v, 2, 3, 0, 1));
    v = wasm_f32x4_pmax(v, wasm_i32x4_shuffle(v, v, 1, 0, 3, 2));
    return wasm_f32x4_extract_lane(v, 0);
}

/* 2^n for -126 <= n <= 127. */
INLINE v128_t power_of_2(v128_t n)
{
    return wasm_i32x4_shl(wasm_i32x4_add(n, wasm_i32x4_splat(127)), 23);
}

/* e^x: x = n ln 2 + r, a polynomial in r of degree 6; infinity beyond what float holds, and never
 * below its smallest normal number. NaN stays. */
INLINE v128_t exp_of(v128_t x)
{
    x = wasm_f32x4_pmax(wasm_f32x4_pmin(x, set1(100)), set1(-87.3f));
    const v128_t n = wasm_f32x4_nearest(wasm_f32x4_mul(x, set1(1.44269504f)));
    v128_t r = wasm_f32x4_sub(x, wasm_f32x4_mul(n, set1(0.693359375f)));
    r = wasm_f32x4_sub(r, wasm_f32x4_mul(n, set1(-2.12194440e-4f)));
    v128_t p = add_product(set1(1.0f / 720), r, set1(1.0f / 120));
    p = add_product(p, r, set1(1.0f / 24));
    p = add_product(p, r, set1(1.0f / 6));
    p = add_product(p, r, set1(0.5f));
    p = add_product(p, r, set1(1));
    p = add_product(p, r, set1(1));
    const v128_t i = wasm_i32x4_trunc_sat_f32x4(n), half = wasm_i32x4_shr(i, 1);
    return wasm_f32x4_mul(wasm_f32x4_mul(p, power_of_2(half)), power_of_2(wasm_i32x4_sub(i, half)));
}

/* Sixteen partial sums, as the portable path has them. */
static float sum_squares(const float *x, size_t n, v128_t mean)
{
    v128_t s[4] = {set1(0), set1(0), set1(0), set1(0)};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t j = 0; j < 4; j++) {
            const v128_t v = wasm_f32x4_sub(load(x + i + 4 * j), mean);
            s[j] = add_product(v, v, s[j]);
        }
    float sum = sum_of(wasm_f32x4_add(wasm_f32x4_add(s[0], s[1]), wasm_f32x4_add(s[2], s[3])));
    for (const float m = wasm_f32x4_extract_lane(mean, 0); i < n; i++)
        sum += (x[i] - m) * (x[i] - m);
    return sum;
}

static void norm(const graph_norm *n, const float *weight, const float *bias, const float *x, float *y,
                 size_t width)
{
    float mean = 0;
    if (n->kind == GRAPH_NORM_LAYER) {
        double sum = 0;
        for (size_t i = 0; i < width; i++)
            sum += (double)x[i];
        mean = (float)(sum / (double)width);
    }
    const v128_t means = set1(mean);
    const float scale = 1 / sqrtf(sum_squares(x, width, means) / (float)width + n->eps);
    const v128_t scales = set1(scale);
    size_t i = 0;
    for (; i + 4 <= width; i += 4) {
        v128_t v = wasm_f32x4_mul(wasm_f32x4_mul(wasm_f32x4_sub(load(x + i), means), scales), load(weight + i));
        if (bias)
            v = wasm_f32x4_add(v, load(bias + i));
        wasm_v128_store(y + i, v);
    }
    for (; i < width; i++)
        y[i] = (x[i] - mean) * scale * weight[i] + (bias ? bias[i] : 0);
}

/* As quant_activations, to the bit: the division is exact, `nearest` rounds ties to even. Magnitudes
 * compare as integers, with infinity and NaN on top. */
static void quantise(const float *x, size_t n, int8_t *q, float *d, int32_t *sums)
{
    for (size_t b = 0; b < n / 16; b++, x += 16, q += 16) {
        v128_t v[4], most = wasm_i32x4_splat(0);
        for (size_t i = 0; i < 4; i++) {
            v[i] = load(x + 4 * i);
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
            v[i] = wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(wasm_f32x4_div(v[i], set1(scale))));
        wasm_v128_store(q, wasm_i8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(v[0], v[1]),
                                                   wasm_i16x8_narrow_i32x4(v[2], v[3])));
        v128_t sum = wasm_i32x4_add(wasm_i32x4_add(v[0], v[1]), wasm_i32x4_add(v[2], v[3]));
        sum = wasm_i32x4_add(sum, wasm_i32x4_shuffle(sum, sum, 2, 3, 0, 1));
        d[b] = scale;
        sums[b] = wasm_i32x4_extract_lane(sum, 0) + wasm_i32x4_extract_lane(sum, 1);
    }
}

/* Both are x * sigmoid(z): silu with z = x, gelu's tanh form with z = 2 sqrt(2/pi) (...). */
INLINE v128_t gated(graph_epilogue kind, v128_t x, v128_t up)
{
    v128_t z = x;
    if (kind == GRAPH_GATE_GELU)
        z = wasm_f32x4_mul(set1(1.5957691216f),
                           add_product(wasm_f32x4_mul(set1(0.044715f), x), wasm_f32x4_mul(x, x), x));
    const v128_t e = exp_of(wasm_f32x4_neg(z));
    return wasm_f32x4_mul(wasm_f32x4_div(x, wasm_f32x4_add(set1(1), e)), up);
}

static void gate(graph_epilogue kind, const float *g, const float *up, float *out, size_t n)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        wasm_v128_store(out + i, gated(kind, load(g + i), load(up + i)));
    if (i == n)
        return;
    float rest[3][4] = {{0}};
    for (size_t j = i; j < n; j++) {
        rest[0][j - i] = g[j];
        rest[1][j - i] = up[j];
    }
    wasm_v128_store(rest[2], gated(kind, load(rest[0]), load(rest[1])));
    for (size_t j = i; j < n; j++)
        out[j] = rest[2][j - i];
}

/* ---- attention ---------------------------------------------------------------------------------- */

INLINE void softmax(float *s, size_t n)
{
    v128_t most = set1(-INFINITY), total = set1(0);
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        most = wasm_f32x4_pmax(most, load(s + i));
    float highest = most_of(most);
    for (size_t j = i; j < n; j++)
        highest = s[j] > highest ? s[j] : highest;
    for (i = 0; i + 4 <= n; i += 4) {
        const v128_t e = exp_of(wasm_f32x4_sub(load(s + i), set1(highest)));
        total = wasm_f32x4_add(total, e);
        wasm_v128_store(s + i, e);
    }
    float sum = sum_of(total);
    for (size_t j = i; j < n; j++) {
        s[j] = wasm_f32x4_extract_lane(exp_of(set1(s[j] - highest)), 0);
        sum += s[j];
    }
    const float scale = 1 / sum;
    for (i = 0; i < n; i++)
        s[i] *= scale;
}

/* scores[h * n + j] = q_h . k_j: a key is converted once for the heads that share it. */
INLINE void score_keys(const cpu_cache *c, const uint8_t *k, const float *q, size_t n, float *row, float *scores)
{
    const size_t group = c->n_heads / c->n_kv_heads, d = c->d_head;
    for (size_t j = 0; j < n; j++, k += c->k_row) {
        for (size_t i = 0; i < d; i += 4)
            wasm_v128_store(row + i, cpu_wasm_halves(k + 2 * i));
        for (size_t h = 0; h < group; h++) {
            v128_t even = set1(0), odd = set1(0);
            for (size_t i = 0; i < d; i += 8) {
                even = add_product(load(row + i), load(q + h * d + i), even);
                odd = add_product(load(row + i + 4), load(q + h * d + i + 4), odd);
            }
            scores[h * n + j] = sum_of(wasm_f32x4_add(even, odd)) * c->scale;
        }
    }
}

/* Sixteen values of `heads` (1 or 2) heads: their sums stay in registers over all positions. */
INLINE void sum_values(const cpu_cache *c, const uint8_t *v, const float *scores, size_t n, float *out, size_t heads)
{
    v128_t sum[2][4];
    for (size_t h = 0; h < heads; h++)
        for (size_t i = 0; i < 4; i++)
            sum[h][i] = set1(0);
    for (size_t j = 0; j < n; j++, v += c->v_row)
        for (size_t i = 0; i < 4; i++) {
            const v128_t value = cpu_wasm_halves(v + 8 * i);
            for (size_t h = 0; h < heads; h++)
                sum[h][i] = add_product(wasm_v128_load32_splat(scores + h * n + j), value, sum[h][i]);
        }
    for (size_t h = 0; h < heads; h++)
        for (size_t i = 0; i < 4; i++)
            wasm_v128_store(out + h * c->d_head + 4 * i, sum[h][i]);
}

static void attend(const cpu_cache *c, uint32_t kv_head, const float *q, size_t first, size_t last, float *out,
                   float *scratch)
{
    const size_t group = c->n_heads / c->n_kv_heads, d = c->d_head, n = last - first + 1;
    if (c->k_format->id != QUANT_F16 || c->v_format->id != QUANT_F16 || d % 16) {
        cpu_attend_portable(c, kv_head, q, first, last, out, scratch);
        return;
    }
    const uint8_t *k = c->k + first * c->k_row + kv_head * c->k_head;
    const uint8_t *v = c->v + first * c->v_row + kv_head * c->v_head;
    float *scores = scratch + d; // [group][n]
    score_keys(c, k, q, n, scratch, scores);
    for (size_t h = 0; h < group; h++)
        softmax(scores + h * n, n);
    for (size_t i = 0; i < d; i += 16) {
        size_t h = 0;
        for (; h + 2 <= group; h += 2)
            sum_values(c, v + 2 * i, scores + h * n, n, out + h * d + i, 2);
        if (h < group)
            sum_values(c, v + 2 * i, scores + h * n, n, out + h * d + i, 1);
    }
}

void cpu_fill_wasm_float(cpu_kernels *k)
{
    k->norm = norm;
    k->quantise = quantise;
    k->gate = gate;
    k->attend = attend;
}

#endif
