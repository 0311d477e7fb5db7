#include "attend_oracle.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "quant/quant.h"
#include "support.h"

static void *must(size_t bytes)
{
    void *p = calloc(bytes ? bytes : 1, 1);
    if (!p) {
        printf("attend_oracle: no memory\n");
        exit(1);
    }
    return p;
}

/* ---- the cache by the letter ------------------------------------------------------------------ */

/* Number, from the buffer's start, of the eight with value `dim`. */
static size_t eight_of(const kv_layout *l, bool is_k, uint32_t head, uint32_t position, uint32_t dim)
{
    const size_t eights = l->d_head / 8, vectors = l->n_ctx;
    return is_k ? (head * eights + dim / 8) * vectors + position : (head * vectors + position) * eights + dim / 8;
}

static size_t value_byte(const kv_layout *l, bool is_k, uint32_t head, uint32_t position, uint32_t dim)
{
    const size_t eight = eight_of(l, is_k, head, position, dim);
    const bool half = (is_k ? l->k_type : l->v_type) == QUANT_F16;
    return half ? eight * 16 + dim % 8 * 2 : eight * 8 + dim % 8;
}

/* q8_0: of the scale of the block with value `dim`. */
static size_t scale_byte(const kv_layout *l, bool is_k, uint32_t head, uint32_t position, uint32_t dim)
{
    const size_t words = (l->d_head + 63) / 64, vectors = l->n_ctx;
    const size_t word =
        is_k ? (head * words + dim / 64) * vectors + position : (head * vectors + position) * words + dim / 64;
    return (size_t)l->n_kv_heads * vectors * l->d_head + word * 4 + dim / 32 % 2 * 2;
}

static void store_half(uint8_t *at, uint16_t h)
{
    at[0] = (uint8_t)h;
    at[1] = (uint8_t)(h >> 8);
}

static double load_half(const uint8_t *at)
{
    return (double)quant_f16_to_f32((uint16_t)(at[0] | at[1] << 8));
}

static void fill(const kv_layout *l, bool is_k, uint8_t *bytes, uint32_t n_positions, uint64_t *random)
{
    const uint16_t nan = 0x7e00;
    const bool half = (is_k ? l->k_type : l->v_type) == QUANT_F16;
    for (uint32_t h = 0; h < l->n_kv_heads; h++)
        for (uint32_t p = 0; p < l->n_ctx; p++)
            for (uint32_t d = 0; d < l->d_head; d++) {
                uint8_t *at = bytes + value_byte(l, is_k, h, p, d);
                /* away from 0: devices may take subnormal halves for 0 */
                const float x = test_random_float(random), y = fabsf(x) < 0.001f ? 0.5f : x;
                if (half)
                    store_half(at, p < n_positions ? quant_f32_to_f16(y) : nan);
                else
                    *at = (uint8_t)(int)(127 * y);
                if (!half && d % 32 == 0)
                    store_half(bytes + scale_byte(l, is_k, h, p, d),
                               p < n_positions ? quant_f32_to_f16((2 + y) / 254) : nan);
            }
}

static void decode(const kv_layout *l, bool is_k, const uint8_t *bytes, double *values)
{
    const bool half = (is_k ? l->k_type : l->v_type) == QUANT_F16;
    for (uint32_t h = 0; h < l->n_kv_heads; h++)
        for (uint32_t p = 0; p < l->n_ctx; p++)
            for (uint32_t d = 0; d < l->d_head; d++) {
                const uint8_t *at = bytes + value_byte(l, is_k, h, p, d);
                values[((size_t)h * l->n_ctx + p) * l->d_head + d] =
                    half ? load_half(at) : (double)(int8_t)*at * load_half(bytes + scale_byte(l, is_k, h, p, d));
            }
}

void oracle_cache_decode(oracle_cache *c)
{
    decode(&c->layout, true, c->k_bytes, c->k);
    decode(&c->layout, false, c->v_bytes, c->v);
}

void oracle_cache_open(oracle_cache *c, const kv_layout *l, uint32_t n_positions, uint64_t *random)
{
    const size_t values = (size_t)l->n_kv_heads * l->n_ctx * l->d_head;
    *c = (oracle_cache){*l, must((size_t)kv_k_bytes(l)), must((size_t)kv_v_bytes(l)), must(values * sizeof(double)),
                        must(values * sizeof(double))};
    fill(l, true, c->k_bytes, n_positions, random);
    fill(l, false, c->v_bytes, n_positions, random);
    oracle_cache_decode(c);
}

void oracle_cache_close(oracle_cache *c)
{
    free(c->k_bytes);
    free(c->v_bytes);
    free(c->k);
    free(c->v);
}

/* ---- attention -------------------------------------------------------------------------------- */

/* Scores are in powers of two: s = scale log2(e) q . k, weights 2^(s - top). With u = 2^-24, a kernel's
 * score is off by at most (d_head + 6) u sum |q k| scale log2(e): products, their sum in any order, the
 * scale's rounding. WGSL allows exp2 3 + 2 |x| units of 2^-23; changes of the top multiply that in, over
 * differences that add up to no more than the range of the scores. So a weight is off by a factor of up to
 * 1 + rho, and the quotient sum(w v) / sum(w) by the first sum below; the second is what adding up and
 * dividing may cost. */
void oracle_attend(const oracle_cache *c, uint32_t kv_head, const float *q, uint32_t first, uint32_t last, float scale,
                   uint32_t rescales, double *out, double *bound, double *scratch)
{
    const uint32_t d = c->layout.d_head, n = last - first + 1;
    const double *k = c->k + ((size_t)kv_head * c->layout.n_ctx + first) * d;
    const double *v = c->v + ((size_t)kv_head * c->layout.n_ctx + first) * d;
    const double u = 0x1p-24, log2e = 1.4426950408889634, ln2 = 0.6931471805599453;
    double *score = scratch, *rho = scratch + n, top = -INFINITY, least = INFINITY, total = 0;
    for (uint32_t j = 0; j < n; j++) {
        double sum = 0, size = 0;
        for (uint32_t i = 0; i < d; i++) {
            sum += (double)q[i] * k[(size_t)j * d + i];
            size += fabs((double)q[i] * k[(size_t)j * d + i]);
        }
        score[j] = sum * (double)scale * log2e;
        rho[j] = (d + 6) * u * size * fabs((double)scale) * log2e * ln2;
        top = score[j] > top ? score[j] : top;
        least = score[j] < least ? score[j] : least;
    }
    for (uint32_t j = 0; j < n; j++) {
        const double x = top - score[j];
        rho[j] += (3 + 2 * x) * 2 * u + x * u * ln2;
        rho[j] += (3 * rescales + 2 * (top - least)) * 2 * u;
        score[j] = exp2(-x);
        total += score[j];
    }
    for (uint32_t i = 0; i < d; i++) {
        double sum = 0, size = 0, off = 0;
        for (uint32_t j = 0; j < n; j++) {
            sum += score[j] * v[(size_t)j * d + i];
            size += score[j] * fabs(v[(size_t)j * d + i]);
        }
        out[i] = sum / total;
        for (uint32_t j = 0; j < n; j++)
            off += score[j] * rho[j] * (fabs(v[(size_t)j * d + i]) + fabs(out[i]));
        bound[i] = off / total + (n + rescales + 8) * u * (size / total + fabs(out[i]));
    }
}
