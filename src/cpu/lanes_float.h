/* The ops between the products, on floats: norms, gates, rotation, attention. Written once for every
 * instruction set: an ISA's file defines what lanes.h lists and the following, and includes this file,
 * which then defines fill_float(cpu_kernels *).
 *
 *   vf_add vf_sub vf_div vf_min vf_max   a NaN on the left comes out as the right or stays NaN
 *   vf_round(v)          to the nearest integer
 *   vf_exp2(v, n)        v * 2^n, n whole and -127 ... 145, reaching infinity
 *   vf_sum(v) vf_most(v) over the lanes; vf_first(v) the first of them
 *   vf_below(v, n, w)    lanes 0 ... n - 1 from v, the others from w; n is any int
 *   HAS_HALF             defined where vf_store_f16(p, v) rounds to half precision, ties to even
 *   ATTEND_ROWS          queries that are worked on together, 2 ... 4: that many times four
 *                        registers of sums, and a few more, must fit
 */
#include <math.h>

#include "cpu/kernels.h"

/* e^x: x = n ln 2 + r, a polynomial in r of degree 6, relative error below 2e-7; infinity beyond what
 * float holds, and never below its smallest normal number. */
LANES_INLINE vf vf_exp(vf x)
{
    x = vf_max(vf_min(x, vf_set1(100)), vf_set1(-87.3f));
    const vf n = vf_round(vf_mul(x, vf_set1(1.44269504f)));
    vf r = vf_fma(n, vf_set1(-0.693359375f), x);
    r = vf_fma(n, vf_set1(2.12194440e-4f), r);
    vf p = vf_set1(1.0f / 720);
    p = vf_fma(p, r, vf_set1(1.0f / 120));
    p = vf_fma(p, r, vf_set1(1.0f / 24));
    p = vf_fma(p, r, vf_set1(1.0f / 6));
    p = vf_fma(p, r, vf_set1(0.5f));
    p = vf_fma(p, r, vf_set1(1));
    p = vf_fma(p, r, vf_set1(1));
    return vf_exp2(p, n);
}

/* ---- norms and gates ---------------------------------------------------------------------------- */

static LANES_TARGET void norm(const graph_norm *n, const float *weight, const float *bias, const float *x, float *y,
                              size_t width)
{
    const size_t whole = width / LANES * LANES;
    float mean = 0;
    if (n->kind == GRAPH_NORM_LAYER) { // in double: what is left of it after x - mean must hold
        double sum = 0;
        for (size_t i = 0; i < width; i++)
            sum += (double)x[i];
        mean = (float)(sum / (double)width);
    }
    const vf means = vf_set1(mean);
    vf squares = vf_zero();
    for (size_t i = 0; i < whole; i += LANES) {
        const vf v = vf_sub(vf_load(x + i), means);
        squares = vf_fma(v, v, squares);
    }
    float square = vf_sum(squares);
    for (size_t i = whole; i < width; i++)
        square += (x[i] - mean) * (x[i] - mean);
    const float scale = 1 / sqrtf(square / (float)width + n->eps);
    for (size_t i = 0; i < whole; i += LANES) {
        const vf v = vf_mul(vf_mul(vf_sub(vf_load(x + i), means), vf_set1(scale)), vf_load(weight + i));
        vf_store(y + i, bias ? vf_add(v, vf_load(bias + i)) : v);
    }
    for (size_t i = whole; i < width; i++)
        y[i] = (x[i] - mean) * scale * weight[i] + (bias ? bias[i] : 0);
}

/* Both are x * sigmoid(z): silu with z = x, gelu's tanh form with z = 2 sqrt(2/pi) (x + 0.044715 x^3). */
LANES_INLINE vf gated(graph_epilogue kind, vf x, vf up)
{
    vf z = x;
    if (kind == GRAPH_GATE_GELU)
        z = vf_mul(vf_set1(1.5957691216f), vf_fma(vf_mul(vf_set1(0.044715f), x), vf_mul(x, x), x));
    const vf e = vf_exp(vf_sub(vf_zero(), z));
    return vf_mul(vf_div(x, vf_add(vf_set1(1), e)), up);
}

static LANES_TARGET void gate(graph_epilogue kind, const float *g, const float *up, float *out, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vf_store(out + i, gated(kind, vf_load(g + i), vf_load(up + i)));
    for (; i < n; i++)
        out[i] = vf_first(gated(kind, vf_set1(g[i]), vf_set1(up[i])));
}

/* ---- rotation, half precision ------------------------------------------------------------------- */

/* Two loops that the compiler can turn into registers of this instruction set. */
static LANES_TARGET void rotate(const graph_rope *r, const float *cos_sin, float *x)
{
    const size_t half = r->n_rot / 2;
    if (r->kind == GRAPH_ROPE_PAIRS) {
        for (size_t i = 0; i < 2 * half; i += 2) {
            const float c = cos_sin[i], s = cos_sin[i + 1], x0 = x[i], x1 = x[i + 1];
            x[i] = x0 * c - x1 * s;
            x[i + 1] = x0 * s + x1 * c;
        }
        return;
    }
    for (size_t i = 0; i < half; i++) {
        const float c = cos_sin[2 * i], s = cos_sin[2 * i + 1], x0 = x[i], x1 = x[i + half];
        x[i] = x0 * c - x1 * s;
        x[i + half] = x0 * s + x1 * c;
    }
}

#ifdef HAS_HALF
static LANES_TARGET void halve(const float *x, size_t n, uint16_t *out)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vf_store_f16(out + i, vf_load(x + i));
    for (; i < n; i++) {
        uint16_t halves[LANES];
        vf_store_f16(halves, vf_set1(x[i]));
        out[i] = halves[0];
    }
}
#endif

/* ---- attention ---------------------------------------------------------------------------------- */

/* Keys are taken in blocks of CPU_KEY_BLOCK positions, counted from the first of the cache, with the
 * softmax's maximum and total carried along (FlashAttention, Dao et al. 2022): so a query's numbers do
 * not depend on what else is computed with it. Rows are queries: the heads of a group, token by token. */
enum { KEYS = CPU_KEY_BLOCK, VECTORS = 4, SLICE = CPU_ATTEND_ROWS };

/* So few rows take half precision as it lies in the cache: turning it to floats first would cost more
 * than it saves, unless the conversion is dear. */
enum { FEW_ROWS = LANES == 4 ? ATTEND_ROWS : 2 * ATTEND_ROWS };

/* A block: in the cache, or as floats with the keys turned. */
typedef struct {
    const uint8_t *k_half, *v_half;
    size_t k_tile, v_row;          // bytes from 16 positions to the next, from one to the next
    float *keys, *values;          // [d][KEYS], [KEYS][d]
    // Of a block in the cache: the next one, or if there is none what comes after; either may be NULL
    const uint8_t *next_k, *next_v;
    cpu_ahead *ahead;
} key_block;

LANES_INLINE void fetch_ahead(cpu_ahead *a)
{
    if (a && a->at < a->end) {
        PREFETCH_FAR(a->at + a->turn * a->stream_bytes);
        a->turn = (a->turn + 1) % STREAMS;
        a->at += a->turn == 0 ? 64 : 0;
    }
}

/* Attention waits for memory unless it has asked a block before: 32 bytes of each tile of VECTORS * LANES
 * keys, i-th pair of them in turns. */
LANES_INLINE void fetch_keys(const key_block *b, size_t key, size_t i)
{
    if (PREFETCH_BYTES > 0 && b->next_k)
        for (size_t t = i % 2; t < VECTORS * LANES / 16; t += 2)
            PREFETCH_FAR(b->next_k + (key / 16 + t) * b->k_tile + 32 * i);
    else if (PREFETCH_BYTES > 0)
        fetch_ahead(b->ahead);
}

/* The same of the values of row j, those at ... of `vectors` registers. */
LANES_INLINE void fetch_values(const key_block *b, size_t j, size_t at, size_t vectors)
{
    if (PREFETCH_BYTES > 0 && b->next_v)
        for (size_t i = 0; i < 2 * LANES * vectors; i += 64)
            PREFETCH_FAR(b->next_v + j * b->v_row + 2 * at + i);
    else if (PREFETCH_BYTES > 0)
        fetch_ahead(b->ahead);
}

/* scores[r][key ... key + VECTORS * LANES - 1] of n rows (a constant). */
LANES_INLINE void score_keys(const key_block *b, bool in_cache, const float *const *q, int n, size_t d, size_t key,
                             float *scores)
{
    vf sum[ATTEND_ROWS][VECTORS];
    const uint8_t *half[VECTORS];
    for (size_t v = 0; v < VECTORS; v++) {
        const size_t at = key + LANES * v;
        half[v] = in_cache ? b->k_half + at / 16 * b->k_tile + 2 * (at % 16) : NULL;
        for (int r = 0; r < n; r++)
            sum[r][v] = vf_zero();
    }
    for (size_t i = 0; i < d; i++) {
        vf k[VECTORS];
        if (in_cache)
            fetch_keys(b, key, i);
#pragma GCC unroll 4
        for (size_t v = 0; v < VECTORS; v++)
            k[v] = in_cache ? vf_f16(half[v] + 32 * i) : vf_load(b->keys + KEYS * i + key + LANES * v);
#pragma GCC unroll 4
        for (int r = 0; r < n; r++) {
            const vf x = vf_set1(q[r][i]);
#pragma GCC unroll 4
            for (size_t v = 0; v < VECTORS; v++)
                sum[r][v] = vf_fma(k[v], x, sum[r][v]);
        }
    }
    for (int r = 0; r < n; r++)
        for (size_t v = 0; v < VECTORS; v++)
            vf_store(scores + KEYS * r + key + LANES * v, sum[r][v]);
}

/* Values at ... of n rows: out = out * keep + sum of n_keys weighted values. n, vectors: constants. */
LANES_INLINE void sum_values(const key_block *b, bool in_cache, const float *weights, const float *keep, int n,
                             size_t d, size_t at, size_t vectors, size_t n_keys, float *out)
{
    vf sum[ATTEND_ROWS][VECTORS];
    for (int r = 0; r < n; r++)
        for (size_t v = 0; v < vectors; v++)
            sum[r][v] = vf_mul(vf_load(out + d * (size_t)r + at + LANES * v), vf_set1(keep[r]));
    const uint8_t *half = b->v_half + 2 * at;
    const float *value = b->values + at;
    for (size_t j = 0; j < n_keys; j++, half += b->v_row, value += d) {
        vf x[VECTORS];
        if (in_cache)
            fetch_values(b, j, at, vectors);
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++)
            x[v] = in_cache ? vf_f16(half + 2 * LANES * v) : vf_load(value + LANES * v);
#pragma GCC unroll 4
        for (int r = 0; r < n; r++) {
            const vf p = vf_set1(weights[KEYS * r + (int)j]);
#pragma GCC unroll 4
            for (size_t v = 0; v < vectors; v++)
                sum[r][v] = vf_fma(p, x[v], sum[r][v]);
        }
    }
    for (int r = 0; r < n; r++)
        for (size_t v = 0; v < vectors; v++)
            vf_store(out + d * (size_t)r + at + LANES * v, sum[r][v]);
}

/* A row's scores, of which from ... end - 1 count, become weights e^(s - most). Returns what the sums so
 * far are to be multiplied by. */
LANES_INLINE float weigh(float *s, int n_keys, int from, int end, float scale, float *most, float *total)
{
    const vf none = vf_set1(-INFINITY);
    vf high = none, sum = vf_zero();
    for (int j = 0; j < n_keys; j += LANES) {
        vf v = vf_below(vf_mul(vf_load(s + j), vf_set1(scale)), end - j, none);
        v = vf_below(none, from - j, v);
        vf_store(s + j, v);
        high = vf_max(v, high);
    }
    float highest = vf_most(high);
    highest = *most > highest ? *most : highest;
    const bool any = from < end && highest > -INFINITY;
    for (int j = 0; j < n_keys; j += LANES) {
        vf v = any ? vf_below(vf_exp(vf_sub(vf_load(s + j), vf_set1(highest))), end - j, vf_zero()) : vf_zero();
        v = vf_below(vf_zero(), from - j, v);
        vf_store(s + j, v);
        sum = vf_add(sum, v);
    }
    if (!any && highest == *most)
        return 1;
    const float keep = vf_first(vf_exp(vf_set1(*most - highest)));
    *most = highest;
    *total = *total * keep + vf_sum(sum);
    return keep;
}

/* Positions start ... start + n - 1 as floats. */
LANES_INLINE void load_block(const cpu_cache *c, uint32_t kv_head, size_t start, size_t n, const key_block *b,
                             float *row)
{
    const size_t d = c->d_head;
    for (size_t j = 0; j < n && c->k_tiled; j += 16)
        for (size_t i = 0; i < 16 * d; i += LANES)
            vf_store(b->keys + KEYS * (i / 16) + j + i % 16, vf_f16(b->k_half + j / 16 * b->k_tile + 2 * i));
    for (size_t j = 0; j < n; j++) {
        const size_t at = start + j;
        if (!c->k_tiled) {
            c->k_format->dequantize(c->k + at * c->k_row + kv_head * c->k_head, row, d);
            for (size_t i = 0; i < d; i++)
                b->keys[KEYS * i + j] = row[i];
        }
        if (c->v_format->id != QUANT_F16)
            c->v_format->dequantize(c->v + at * c->v_row + kv_head * c->v_head, b->values + d * j, d);
        else
            for (size_t i = 0; i < d; i += LANES)
                vf_store(b->values + d * j + i, vf_f16(b->v_half + j * b->v_row + 2 * i));
    }
}

/* Scores of n rows (a constant) over a block, and their values. */
LANES_INLINE void score_rows(const key_block *b, bool in_cache, const float *const *q, int n, size_t d, size_t n_keys,
                             float *scores)
{
    for (size_t key = 0; key < n_keys; key += VECTORS * LANES)
        score_keys(b, in_cache, q, n, d, key, scores);
}

LANES_INLINE void value_rows(const key_block *b, bool in_cache, const float *weights, const float *keep, int n,
                             size_t d, size_t n_keys, float *out)
{
    size_t at = 0;
    for (; at + VECTORS * LANES <= d; at += VECTORS * LANES)
        sum_values(b, in_cache, weights, keep, n, d, at, VECTORS, n_keys, out);
    for (; at < d; at += LANES)
        sum_values(b, in_cache, weights, keep, n, d, at, 1, n_keys, out);
}

/* do(n) with n the constant that `left`, at most ATTEND_ROWS, is. */
#define WITH_ROWS(left, do)                    \
    switch (left) {                            \
    case 1:                                    \
        do(1);                                 \
        break;                                 \
    case 2:                                    \
        do(2);                                 \
        break;                                 \
    case 3:                                    \
        do(ATTEND_ROWS < 3 ? ATTEND_ROWS : 3); \
        break;                                 \
    default:                                   \
        do(ATTEND_ROWS);                       \
        break;                                 \
    }

/* Up to SLICE rows; row r is head r % group of token r / group. */
typedef struct {
    const float *q[SLICE];
    float *out[SLICE];
    size_t position[SLICE];
    float most[SLICE], total[SLICE], keep[SLICE];
    int n;
} attend_rows;

LANES_INLINE void attend_block(const cpu_cache *c, uint32_t kv_head, size_t start, size_t n_keys, bool in_cache,
                               attend_rows *rows, float *scratch)
{
    const size_t d = c->d_head;
    float *scores = scratch + 2 * KEYS * d, *sums = scores + SLICE * KEYS, *row = sums + SLICE * d;
    const bool ends = start + n_keys > rows->position[rows->n - 1], known = !ends || c->more_heads;
    const uint32_t then = ends ? kv_head + 1 : kv_head;
    const size_t next = ends ? cpu_first_block(c->window, rows->position[0]) : start + KEYS;
    const key_block b = {.k_half = cpu_block_keys(c, kv_head, start),
                         .v_half = cpu_block_values(c, kv_head, start),
                         .next_k = known ? cpu_block_keys(c, then, next) : NULL,
                         .next_v = known ? cpu_block_values(c, then, next) : NULL,
                         .k_tile = 16 * c->k_row,
                         .v_row = c->v_row,
                         .keys = scratch,
                         .values = scratch + KEYS * d,
                         .ahead = c->ahead};
    if (!in_cache && known && c->ahead)
        cpu_ask_block(c, then, next);
    if (!in_cache)
        load_block(c, kv_head, start, n_keys, &b, row);
    for (int r = 0; r < rows->n; r += ATTEND_ROWS) {
#define SCORE(n) score_rows(&b, in_cache, rows->q + r, n, d, n_keys, scores + KEYS * r)
        WITH_ROWS(rows->n - r, SCORE)
#undef SCORE
    }
    for (int r = 0; r < rows->n; r++) {
        const size_t last = rows->position[r], first = c->window && last + 1 > c->window ? last + 1 - c->window : 0;
        const int end = last < start ? 0 : last - start < KEYS ? (int)(last - start) + 1 : KEYS;
        const int from = first <= start ? 0 : first - start < KEYS ? (int)(first - start) : KEYS;
        rows->keep[r] = weigh(scores + KEYS * r, (int)n_keys, from, end, c->scale, &rows->most[r], &rows->total[r]);
    }
    for (int r = 0; r < rows->n; r += ATTEND_ROWS) {
#define VALUES(n) value_rows(&b, in_cache, scores + KEYS * r, rows->keep + r, n, d, n_keys, sums + d * (size_t)r)
        WITH_ROWS(rows->n - r, VALUES)
#undef VALUES
    }
}

LANES_INLINE void attend_slice(const cpu_cache *c, uint32_t kv_head, attend_rows *rows, float *scratch)
{
    const size_t d = c->d_head, last = rows->position[rows->n - 1], earliest = rows->position[0];
    float *sums = scratch + 2 * KEYS * d + SLICE * KEYS;
    const bool in_cache = rows->n <= FEW_ROWS && c->k_tiled && c->v_format->id == QUANT_F16;
    memset(sums, 0, (size_t)rows->n * d * sizeof *sums);
    for (size_t start = cpu_first_block(c->window, earliest); start <= last; start += KEYS) {
        const size_t n_keys = last + 1 - start < KEYS ? last + 1 - start : KEYS;
        if (in_cache)
            attend_block(c, kv_head, start, n_keys, true, rows, scratch);
        else
            attend_block(c, kv_head, start, n_keys, false, rows, scratch);
    }
    for (int r = 0; r < rows->n; r++)
        for (size_t i = 0; i < d; i += LANES)
            vf_store(rows->out[r] + i,
                     vf_mul(vf_load(sums + d * (size_t)r + i), vf_set1(1 / rows->total[r])));
}

static LANES_TARGET void attend(const cpu_cache *c, uint32_t kv_head, const float *q, size_t stride, size_t n_tokens,
                                size_t position, float *out, float *scratch)
{
    const size_t group = c->n_heads / c->n_kv_heads, n = n_tokens * group;
    if (c->d_head % 16) {
        cpu_attend_portable(c, kv_head, q, stride, n_tokens, position, out, scratch);
        return;
    }
    for (size_t r = 0; r < n;) {
        attend_rows rows;
        memset(&rows, 0, sizeof rows);
        for (; r < n && rows.n < SLICE; r++, rows.n++) {
            const size_t at = r / group * stride + r % group * c->d_head;
            rows.q[rows.n] = q + at;
            rows.out[rows.n] = out + at;
            rows.position[rows.n] = position + r / group;
            rows.most[rows.n] = -INFINITY;
            rows.total[rows.n] = 0;
        }
        attend_slice(c, kv_head, &rows, scratch);
    }
}

static void fill_float(cpu_kernels *k)
{
    k->norm = norm;
    k->gate = gate;
    k->rotate = rotate;
#ifdef HAS_HALF
    k->halve = halve;
#endif
    k->attend = attend;
    k->tiles_keys = true;
}
