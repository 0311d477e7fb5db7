/* NEON: the ops between the products, on floats. */
#include "cpu/lanes_neon.h"

#if CPU_NEON
#include <math.h>

#define INLINE PRIMITIVE
#define TARGET LANES_TARGET

/* 2^n for -126 <= n <= 127. */
INLINE vf power_of_2(int32x4_t n)
{
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
}

/* e^x: x = n ln 2 + r, a polynomial in r of degree 6; infinity beyond what float holds, and never
 * below its smallest normal number. NaN stays. */
INLINE vf exp_of(vf x)
{
    x = vmaxq_f32(vminq_f32(x, vf_set1(100)), vf_set1(-87.3f));
    const vf n = vrndnq_f32(vf_mul(x, vf_set1(1.44269504f)));
    vf r = vfmsq_f32(x, n, vf_set1(0.693359375f));
    r = vfmsq_f32(r, n, vf_set1(-2.12194440e-4f));
    vf p = vf_fma(vf_set1(1.0f / 720), r, vf_set1(1.0f / 120));
    p = vf_fma(p, r, vf_set1(1.0f / 24));
    p = vf_fma(p, r, vf_set1(1.0f / 6));
    p = vf_fma(p, r, vf_set1(0.5f));
    p = vf_fma(p, r, vf_set1(1));
    p = vf_fma(p, r, vf_set1(1));
    const int32x4_t i = vcvtq_s32_f32(n), half = vshrq_n_s32(i, 1);
    return vf_mul(vf_mul(p, power_of_2(half)), power_of_2(vsubq_s32(i, half)));
}

/* In doubles: what rounding leaves of the mean would be in every value. */
static TARGET float mean_of(const float *x, size_t n)
{
    float64x2_t even = vdupq_n_f64(0), odd = even;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const vf v = vf_load(x + i);
        even = vaddq_f64(even, vcvt_f64_f32(vget_low_f32(v)));
        odd = vaddq_f64(odd, vcvt_high_f64_f32(v));
    }
    double sum = vaddvq_f64(vaddq_f64(even, odd));
    for (; i < n; i++)
        sum += (double)x[i];
    return (float)(sum / (double)n);
}

/* Sixteen partial sums, as the portable path has them. */
static TARGET float sum_squares(const float *x, size_t n, float mean)
{
    const vf means = vf_set1(mean);
    vf s[4] = {vf_zero(), vf_zero(), vf_zero(), vf_zero()};
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (size_t j = 0; j < 4; j++) {
            const vf v = vsubq_f32(vf_load(x + i + LANES * j), means);
            s[j] = vf_fma(v, v, s[j]);
        }
    float sum = vaddvq_f32(vaddq_f32(vaddq_f32(s[0], s[1]), vaddq_f32(s[2], s[3])));
    for (; i < n; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return sum;
}

static TARGET void norm(const graph_norm *n, const float *weight, const float *bias, const float *x, float *y,
                        size_t width)
{
    const float mean = n->kind == GRAPH_NORM_LAYER ? mean_of(x, width) : 0;
    const float scale = 1 / sqrtf(sum_squares(x, width, mean) / (float)width + n->eps);
    const vf means = vf_set1(mean), scales = vf_set1(scale);
    size_t i = 0;
    for (; i + LANES <= width; i += LANES) {
        vf v = vf_mul(vf_mul(vsubq_f32(vf_load(x + i), means), scales), vf_load(weight + i));
        if (bias)
            v = vaddq_f32(v, vf_load(bias + i));
        vf_store(y + i, v);
    }
    for (; i < width; i++)
        y[i] = (x[i] - mean) * scale * weight[i] + (bias ? bias[i] : 0);
}

/* As quant_activations, to the bit: the division is exact, the conversion rounds ties to even.
 * Magnitudes compare as integers, with infinity and NaN on top. */
static TARGET void quantise(const float *x, size_t n, int8_t *q, float *d, int32_t *sums)
{
    for (size_t b = 0; b < n / 16; b++, x += 16, q += 16) {
        vf v[4];
        uint32x4_t most = vdupq_n_u32(0);
        for (size_t i = 0; i < 4; i++) {
            v[i] = vf_load(x + LANES * i);
            most = vmaxq_u32(most, vreinterpretq_u32_f32(vabsq_f32(v[i])));
        }
        const float peak = vgetq_lane_f32(vreinterpretq_f32_u32(vdupq_n_u32(vmaxvq_u32(most))), 0);
        const float scale = peak / 127;
        if (!(peak <= 3.4028235e38f) || scale < 1.17549435e-38f) { // rare: the plain way
            quant_activations(x, 16, q, d + b, sums + b);
            continue;
        }
        int32x4_t i[4];
        for (size_t j = 0; j < 4; j++)
            i[j] = vcvtnq_s32_f32(vdivq_f32(v[j], vf_set1(scale)));
        const int16x8_t low = vcombine_s16(vmovn_s32(i[0]), vmovn_s32(i[1]));
        const int16x8_t high = vcombine_s16(vmovn_s32(i[2]), vmovn_s32(i[3]));
        vst1q_s8(q, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
        d[b] = scale;
        sums[b] = vaddvq_s32(vaddq_s32(vaddq_s32(i[0], i[1]), vaddq_s32(i[2], i[3])));
    }
}

/* Both are x * sigmoid(z): silu with z = x, gelu's tanh form with z = 2 sqrt(2/pi) (...). */
INLINE vf gated(graph_epilogue kind, vf x, vf up)
{
    vf z = x;
    if (kind == GRAPH_GATE_GELU)
        z = vf_mul(vf_set1(1.5957691216f), vf_fma(vf_mul(vf_set1(0.044715f), x), vf_mul(x, x), x));
    const vf e = exp_of(vnegq_f32(z));
    return vf_mul(vdivq_f32(x, vaddq_f32(vf_set1(1), e)), up);
}

static TARGET void gate(graph_epilogue kind, const float *g, const float *up, float *out, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vf_store(out + i, gated(kind, vf_load(g + i), vf_load(up + i)));
    if (i == n)
        return;
    float rest[3][LANES] = {{0}};
    memcpy(rest[0], g + i, (n - i) * sizeof *g);
    memcpy(rest[1], up + i, (n - i) * sizeof *up);
    vf_store(rest[2], gated(kind, vf_load(rest[0]), vf_load(rest[1])));
    memcpy(out + i, rest[2], (n - i) * sizeof *out);
}

/* ---- attention ---------------------------------------------------------------------------------- */

INLINE void softmax(float *s, size_t n)
{
    vf most = vf_set1(-INFINITY), total = vf_zero();
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        most = vmaxq_f32(most, vf_load(s + i));
    float highest = vmaxvq_f32(most);
    for (size_t j = i; j < n; j++)
        highest = s[j] > highest ? s[j] : highest;
    for (i = 0; i + LANES <= n; i += LANES) {
        const vf e = exp_of(vsubq_f32(vf_load(s + i), vf_set1(highest)));
        total = vaddq_f32(total, e);
        vf_store(s + i, e);
    }
    float sum = vaddvq_f32(total);
    for (size_t j = i; j < n; j++) {
        s[j] = vgetq_lane_f32(exp_of(vf_set1(s[j] - highest)), 0);
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
        for (size_t i = 0; i < d; i += LANES)
            vf_store(row + i, vf_f16(k + 2 * i));
        for (size_t h = 0; h < group; h++) {
            vf even = vf_zero(), odd = vf_zero();
            for (size_t i = 0; i < d; i += 2 * LANES) {
                even = vf_fma(vf_load(row + i), vf_load(q + h * d + i), even);
                odd = vf_fma(vf_load(row + i + LANES), vf_load(q + h * d + i + LANES), odd);
            }
            scores[h * n + j] = vaddvq_f32(vaddq_f32(even, odd)) * c->scale;
        }
    }
}

/* Sixteen values of `heads` (1 ... 4) heads: their sums stay in registers over all positions. */
INLINE void sum_values(const cpu_cache *c, const uint8_t *v, const float *scores, size_t n, float *out, size_t heads)
{
    vf sum[4][4];
    for (size_t h = 0; h < heads; h++)
        for (size_t i = 0; i < 4; i++)
            sum[h][i] = vf_zero();
    for (size_t j = 0; j < n; j++, v += c->v_row)
        for (size_t i = 0; i < 4; i++) {
            const vf value = vf_f16(v + 8 * i);
            for (size_t h = 0; h < heads; h++)
                sum[h][i] = vf_fma(vf_set1(scores[h * n + j]), value, sum[h][i]);
        }
    for (size_t h = 0; h < heads; h++)
        for (size_t i = 0; i < 4; i++)
            vf_store(out + h * c->d_head + 4 * i, sum[h][i]);
}

static TARGET void attend(const cpu_cache *c, uint32_t kv_head, const float *q, size_t first, size_t last,
                          float *out, float *scratch)
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
        for (; h + 3 <= group; h += 3)
            sum_values(c, v + 2 * i, scores + h * n, n, out + h * d + i, 3);
        for (; h < group; h++)
            sum_values(c, v + 2 * i, scores + h * n, n, out + h * d + i, 1);
    }
}

void cpu_fill_neon_float(cpu_kernels *k)
{
    k->norm = norm;
    k->quantise = quantise;
    k->gate = gate;
    k->attend = attend;
}

#endif
