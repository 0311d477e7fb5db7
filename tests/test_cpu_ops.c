/* The op suite, what stands between the products: rounding, norms, rotation, attention and gates of every path in
 * CPU_PATHS against what they mean; and how a path is chosen. test_cpu.c has the products. */
#include "harness.h"

#include <float.h>
#include <math.h>

#include "cpu/kernels.h"
#include "cpu_paths.h"
#include "guarded.h"

/* ---- activations ------------------------------------------------------------------------------ */

/* A path's own rounding to int8 gives what quant_activations gives, to the bit: ties, values that
 * are no numbers, and scales at the edge of what is kept included. */
static void activations_are_the_same_everywhere(void)
{
    enum { N = 16 * 9 };
    static const float odd[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, FLT_MIN, 127 * FLT_MIN, 126 * FLT_MIN, 0, -0.0f};
    uint64_t seed = 6;
    map_memory();
    for (size_t path = 0; path < N_PATHS; path++) {
        cpu_kernels k;
        CHECK(cpu_select(&k, paths[path]));
        for (int round = 0; k.quantise && round < 60; round++) {
            float *x = place(&mem_f, BACK, N * sizeof *x);
            int8_t want_q[N];
            float want_d[N / 16];
            int32_t want_sums[N / 16];
            fill((kind)(round % KINDS), x, N, &seed);
            for (int i = 0; round % 3 == 1 && i < N; i++) // with a peak of 127 these are ties
                x[i] = i % 16 ? (float)(int)(test_random(&seed) % 253 - 126) + 0.5f : 127;
            if (round % 3 == 2)
                x[test_random(&seed) % N] = odd[(size_t)round / 3 % (sizeof odd / sizeof *odd)];
            quant_activations(x, N, want_q, want_d, want_sums);
            int8_t *q = place(&mem_q, BACK, N);
            float *d = place(&mem_d, BACK, sizeof want_d);
            int32_t *sums = place(&mem_sums, BACK, sizeof want_sums);
            k.quantise(x, N, q, d, sums);
            CHECK_MSG(memcmp(q, want_q, N) == 0 && memcmp(sums, want_sums, sizeof want_sums) == 0, "%s round %d",
                      k.name, round);
            for (int i = 0; i < N / 16; i++)
                CHECK_MSG(d[i] == want_d[i] || (isnan(d[i]) && isnan(want_d[i])), "%s round %d: %g, %g", k.name, round,
                          (double)d[i], (double)want_d[i]);
            CHECK(untouched(&mem_q, q, N) && untouched(&mem_d, d, sizeof want_d));
        }
    }
}

/* A path's own half precision is the format's, to the bit; but what is no number may be any other. */
static void halves_are_the_same_everywhere(void)
{
    enum { N = 16 * 9 + 5 };
    static const float odd[] = {INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 65504, 65519.996f, 65520, 6e-8f, 2.98e-8f,
                                2.9802322e-8f, 6.1e-5f, 6.09e-5f, 0, -0.0f, FLT_MIN, -FLT_MIN, 1.00048828f, 1.0014648f};
    uint64_t seed = 8;
    map_memory();
    for (size_t path = 0; path < N_PATHS; path++) {
        cpu_kernels k;
        CHECK(cpu_select(&k, paths[path]));
        for (size_t n = 1; k.halve && n <= N; n += n < 40 ? 1 : 31) {
            float *x = place(&mem_f, BACK, n * sizeof *x);
            uint16_t *half = place(&mem_y, BACK, n * sizeof *half), want[N];
            for (size_t i = 0; i < n; i++)
                x[i] = test_random(&seed) % 4 ? ldexpf(test_random_float(&seed), (int)(test_random(&seed) % 44) - 26)
                                              : odd[test_random(&seed) % (sizeof odd / sizeof *odd)];
            quant_find(QUANT_F16)->quantize(x, want, n);
            k.halve(x, n, half);
            CHECK_MSG(memcmp(half, want, n * sizeof *half) == 0, "%s, %zu values", k.name, n);
            CHECK(untouched(&mem_y, half, n * sizeof *half));
            x[0] = NAN;
            k.halve(x, n, half);
            CHECK((half[0] & 0x7FFF) > 0x7C00);
        }
    }
}

/* ---- norms ------------------------------------------------------------------------------------ */

/* RMS: n squares summed in floats make the mean off by (n + 2) U of itself and the root by half
 * that; three more roundings follow: (n/2 + 6) U |y|. Squares below the smallest normal number may
 * be lost, which shows against eps. LAYER also rounds the mean: |mean| U, which moves every value by
 * that much and the deviation by at most as much. */
static void check_norm(const cpu_kernels *k, graph_norm_kind which, size_t width, kind values,
                       float eps, bool bias, bool in_place, uint64_t *seed)
{
    float *x = place(&mem_f, BACK, width * sizeof *x), *w = place(&mem_w, BACK, width * sizeof *w);
    float *b = place(&mem_d, BACK, width * sizeof *b);
    fill(values, x, width, seed);
    if (which == GRAPH_NORM_LAYER && values == RANDOM)
        for (size_t i = 0; i < width; i++)
            x[i] += 3;
    fill(RANDOM, w, width, seed);
    fill(RANDOM, b, width, seed);
    double mean = 0, square = 0;
    for (size_t i = 0; which == GRAPH_NORM_LAYER && i < width; i++)
        mean += (double)x[i] / (double)width;
    for (size_t i = 0; i < width; i++)
        square += ((double)x[i] - mean) * ((double)x[i] - mean);
    const double n = (double)width, scale = 1 / sqrt(square / n + (double)eps);
    double want[2048], limit[2048];
    for (size_t i = 0; i < width; i++) {
        const double y = ((double)x[i] - mean) * scale * (double)w[i],
                     add = bias ? (double)b[i] : 0;
        want[i] = y + add;
        const double off = 2 * U * fabs(mean) * scale; // of (x - mean) * scale
        limit[i] = (n / 2 + 6) * U * fabs(y) + 2 * off * (fabs((double)w[i]) + fabs(y)) +
                   2 * U * fabs(add) + fabs(y) * n * (double)FLT_MIN / (double)eps +
                   (double)FLT_MIN;
    }
    float *y = in_place ? x : place(&mem_y, BACK, width * sizeof *y);
    k->norm(&(graph_norm){which, 0, bias ? 0 : GRAPH_NONE, eps}, w, bias ? b : NULL, x, y, width);
    for (size_t i = 0; i < width; i++)
        CHECK_MSG(fabs((double)y[i] - want[i]) <= limit[i],
                  "%s kind %d width %zu values %d [%zu]: %.9g, %.9g +- %g", k->name, (int)which,
                  width, (int)values, i, (double)y[i], want[i], limit[i]);
    CHECK(untouched(in_place ? &mem_f : &mem_y, y, width * sizeof *y));
}

static void norms(void)
{
    static const size_t widths[] = {1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 64, 100, 576, 2048};
    static const float eps[] = {1e-5f, 1e-6f, 1e-12f};
    uint64_t seed = 4;
    map_memory();
    for (size_t path = 0; path < N_PATHS; path++) {
        cpu_kernels k;
        CHECK(cpu_select(&k, paths[path]));
        for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
            for (int values = 0; values < KINDS; values++)
                for (int variant = 0; variant < 4; variant++)
                    check_norm(&k, variant & 1 ? GRAPH_NORM_LAYER : GRAPH_NORM_RMS, widths[i],
                               (kind)values, eps[(i + (size_t)values) % 3], variant == 3,
                               variant & 2, &seed);
    }
}

/* ---- rotation --------------------------------------------------------------------------------- */

/* Two products and a sum: 3 U (|x0| + |x1|) |length|. Values beyond n_rot stay as they are. */
static void rotations(void)
{
    static const uint32_t heads[] = {2, 8, 14, 32, 64, 80, 128};
    uint64_t seed = 5;
    map_memory();
    for (size_t path = 0; path < N_PATHS; path++)
        for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
            for (uint32_t n_rot = 2; n_rot <= heads[i]; n_rot += n_rot < 8 ? 2 : 8)
                for (int halves = 0; halves < 2; halves++) {
                    cpu_kernels k;
                    CHECK(cpu_select(&k, paths[path]));
                    const uint32_t d = heads[i];
                    float *x = place(&mem_f, BACK, d * sizeof *x), before[128];
                    float *turn = place(&mem_d, BACK, n_rot * sizeof *turn);
                    fill(RANDOM, x, d, &seed);
                    memcpy(before, x, d * sizeof *x);
                    for (uint32_t j = 0; j < n_rot / 2; j++) {
                        const double angle = (double)test_random_float(&seed) * 1000;
                        turn[2 * j] = (float)(1.2 * cos(angle));
                        turn[2 * j + 1] = (float)(1.2 * sin(angle));
                    }
                    k.rotate(&(graph_rope){halves ? GRAPH_ROPE_HALVES : GRAPH_ROPE_PAIRS, n_rot,
                                           NULL, 1.2f},
                             turn, x);
                    for (uint32_t j = 0; j < n_rot / 2; j++) {
                        const uint32_t a = halves ? j : 2 * j,
                                       b = halves ? j + n_rot / 2 : 2 * j + 1;
                        const double x0 = (double)before[a], x1 = (double)before[b];
                        const double c = (double)turn[2 * j], s = (double)turn[2 * j + 1];
                        const double limit = 3 * U * (fabs(x0) + fabs(x1)) * 1.2;
                        CHECK(fabs((double)x[a] - (x0 * c - x1 * s)) <= limit);
                        CHECK(fabs((double)x[b] - (x0 * s + x1 * c)) <= limit);
                    }
                    CHECK(memcmp(x + n_rot, before + n_rot, (d - n_rot) * sizeof *x) == 0);
                    CHECK(untouched(&mem_f, x, d * sizeof *x));
                }
}

/* ---- attention -------------------------------------------------------------------------------- */

typedef struct {
    uint32_t group, n_kv_heads, d_head;
    uint32_t format; // of keys; values have the next one of the list
    size_t n_tokens, position, window;
    float size; // of queries: large ones make the softmax a choice
} attention;

enum { CONTEXT = 320, HEAD_MAX = 128 };

/* Keys [n][n_kv_heads * d] of halves in the order that cpu_cache tells of. What no position fills is NaN. */
static void tile_keys(const uint8_t *rows, size_t n, size_t width, uint8_t *tiled)
{
    const size_t n_tiles = (n + CPU_KEY_BLOCK - 1) / CPU_KEY_BLOCK * CPU_KEY_BLOCK / 16;
    for (size_t i = 0; i < n_tiles * 16 * width; i++)
        memcpy(tiled + 2 * i, &(uint16_t){0x7E00}, 2);
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < width; i++)
            memcpy(tiled + 2 * (j / 16 * 16 * width + 16 * i + j % 16), rows + 2 * (j * width + i), 2);
}

/* One query head over keys first ... last, from the definition. size: what the sum's terms come to. */
static void true_attention(const cpu_cache *c, const float *q, const oracle_format *kt, const uint8_t *keys,
                           const oracle_format *vt, uint32_t kv, size_t first, size_t last, double *want, double *limit)
{
    const size_t d = c->d_head, n = last - first + 1;
    double total = 0, off = 0, highest = -INFINITY, score[CONTEXT], size[HEAD_MAX] = {0}, row[HEAD_MAX];
    for (size_t j = 0; j < n; j++) {
        double dot = 0, all = 0;
        read_weights(kt, keys + (first + j) * c->k_row + kv * c->k_head, d, row);
        for (size_t i = 0; i < d; i++) {
            dot += (double)q[i] * row[i];
            all += fabs((double)q[i] * row[i]);
        }
        score[j] = dot * (double)c->scale;
        off = fmax(off, ((double)d + 3) * U * (double)c->scale * all);
        highest = fmax(highest, score[j]);
    }
    for (size_t j = 0; j < n; j++)
        total += exp(score[j] - highest);
    for (size_t i = 0; i < d; i++)
        want[i] = 0;
    for (size_t j = 0; j < n; j++) {
        read_weights(vt, c->v + (first + j) * c->v_row + kv * c->v_head, d, row);
        for (size_t i = 0; i < d; i++) {
            want[i] += exp(score[j] - highest) / total * row[i];
            size[i] += exp(score[j] - highest) / total * fabs(row[i]);
        }
    }
    // Each block of keys multiplies what the ones before it gave.
    const double roundings = (double)n + 12 + (double)(last / CPU_KEY_BLOCK) * 10;
    for (size_t i = 0; i < d; i++)
        limit[i] = size[i] * (2 * off + roundings * U) + (double)n * (double)FLT_MIN;
}

/* A score is off by (d + 3) U scale sum |q k|, a weight by the factor e^(2 that) and 8 U (exp, sum,
 * division), and n products are summed: p |v| (2 off + (n + 12) U) in all. */
static void check_attention(const cpu_kernels *k, const attention *a, uint64_t *seed)
{
    static const uint32_t formats[] = {QUANT_F16, QUANT_Q8_0, QUANT_Q4_0, QUANT_F16, QUANT_F32};
    static uint8_t rows[CONTEXT * 3 * HEAD_MAX * 4];
    const uint32_t kf = formats[a->format], vf = formats[a->format + 1];
    const size_t d = a->d_head, width = d * a->n_kv_heads, n_ctx = a->position + a->n_tokens;
    const oracle_format *kt = oracle_of(kf), *vt = oracle_of(vf);
    cpu_cache c = {.k = rows,
                   .k_row = width / (size_t)kt->values * (size_t)kt->bytes,
                   .v_row = width / (size_t)vt->values * (size_t)vt->bytes,
                   .k_head = d / (size_t)kt->values * (size_t)kt->bytes,
                   .v_head = d / (size_t)vt->values * (size_t)vt->bytes,
                   .k_tiled = k->tiles_keys && kf == QUANT_F16 && d % 16 == 0,
                   .k_format = quant_find(kf),
                   .v_format = quant_find(vf),
                   .n_heads = a->group * a->n_kv_heads,
                   .n_kv_heads = a->n_kv_heads,
                   .d_head = a->d_head,
                   .window = a->window,
                   .scale = 1 / sqrtf((float)d)};
    uint8_t *values = place(&mem_f, BACK, n_ctx * c.v_row);
    tiny_blocks(kf, n_ctx * width, 1, seed, rows);
    tiny_blocks(vf, n_ctx * width, 1, seed, values);
    c.v = values;
    if (c.k_tiled) {
        const size_t room = (n_ctx + CPU_KEY_BLOCK - 1) / CPU_KEY_BLOCK * CPU_KEY_BLOCK;
        uint8_t *tiled = place(&mem_w, BACK, room * c.k_row);
        tile_keys(rows, n_ctx, width, tiled);
        c.k = tiled;
    }
    for (uint32_t kv = 0; kv < a->n_kv_heads; kv++) {
        const size_t heads = a->group * d, stride = heads + 16, n = (a->n_tokens - 1) * stride + heads;
        const size_t scratch = cpu_attend_scratch(a->group, d, n_ctx) * sizeof(float);
        float *q = place(&mem_d, BACK, n * sizeof *q), *out = place(&mem_y, BACK, n * sizeof *out);
        float *work = place(&mem_scratch, BACK, scratch), alone[8 * HEAD_MAX];
        for (size_t i = 0; i < n; i++)
            q[i] = test_random_float(seed) * a->size;
        k->attend(&c, kv, q, stride, a->n_tokens, a->position, out, work);
        CHECK(untouched(&mem_y, out, n * sizeof *out) && untouched(&mem_scratch, work, scratch));
        for (size_t t = 0; t < a->n_tokens; t++) {
            const size_t last = a->position + t, first = a->window && last + 1 > a->window ? last + 1 - a->window : 0;
            k->attend(&c, kv, q + t * stride, stride, 1, last, alone, work);
            CHECK_MSG(memcmp(alone, out + t * stride, heads * sizeof *alone) == 0, "%s %s: token %zu of %zu alone",
                      k->name, kt->name, t, a->n_tokens);
            for (size_t h = 0; h < a->group && (t < 2 || t + 1 == a->n_tokens); h++) {
                double want[HEAD_MAX], limit[HEAD_MAX];
                true_attention(&c, q + t * stride + h * d, kt, rows, vt, kv, first, last, want, limit);
                for (size_t i = 0; i < d; i++) {
                    const double got = (double)out[t * stride + h * d + i];
                    CHECK_MSG(fabs(got - want[i]) <= limit[i], "%s %s heads %u:%u d %u, %zu ... %zu: %.9g, %.9g +- %g",
                              k->name, kt->name, a->group, a->n_kv_heads, a->d_head, first, last, got, want[i], limit[i]);
                }
            }
        }
    }
}

static void attentions(void)
{
    static const uint32_t heads[] = {32, 64, 96, 128}, odd_heads[] = {1, 8, 33, 80};
    static const size_t positions[] = {0, 1, 15, 63, 64, 100, 130}, tokens[] = {1, 2, 1, 9, 1, 30},
                        windows[] = {0, 0, 1, 0, 40, 0, 64, 100};
    uint64_t seed = 6;
    map_memory();
    for (size_t path = 0; path < N_PATHS; path++) {
        cpu_kernels k;
        CHECK(cpu_select(&k, paths[path]));
        for (uint32_t group = 1; group <= 8; group++)
            for (size_t i = 0; i < 4; i++)
                for (uint32_t format = 0; format < 4; format++) {
                    const size_t n = group * 16 + i * 4 + format;
                    const attention a = {group,
                                         1 + (group + format) % 3,
                                         format == 3 ? odd_heads[i] : heads[i],
                                         format,
                                         tokens[n % 6],
                                         positions[n % 7],
                                         windows[n / 3 % 8],
                                         i == 1 ? 60 : 3};
                    check_attention(&k, &a, &seed);
                }
    }
}

/* ---- gates ------------------------------------------------------------------------------------ */

/* SiLU: exp and three roundings, 6 U of the value; where e^-x is no float any more the result, less
 * than 90 FLT_MIN, may be 0. GELU: 1 + tanh cancels for negative x, so 8 U |x|. */
static void check_gate(const cpu_kernels *k, graph_epilogue which, size_t n, const float *x)
{
    float *gate = place(&mem_f, BACK, n * sizeof *gate), *up = place(&mem_w, BACK, n * sizeof *up);
    float *out = place(&mem_y, BACK, n * sizeof *out);
    for (size_t i = 0; i < n; i++) {
        gate[i] = x[i];
        up[i] = i % 3 == 0 ? -1.0f : i % 3 == 1 ? 0.75f : 0;
    }
    k->gate(which, gate, up, out, n);
    for (size_t i = 0; i < n; i++) {
        const double v = (double)x[i], scale = fabs((double)up[i]);
        const bool silu = which == GRAPH_GATE_SILU;
        const double act = silu ? oracle_silu(v) : oracle_gelu(v);
        const double limit =
            scale * (silu ? 6 * U * fabs(act) : 8 * U * fabs(v)) + 90 * (double)FLT_MIN;
        CHECK_MSG(fabs((double)out[i] - act * (double)up[i]) <= limit, "%s %s(%g): %.9g, %.9g",
                  k->name, silu ? "silu" : "gelu", v, (double)out[i], act * (double)up[i]);
    }
    CHECK(untouched(&mem_y, out, n * sizeof *out));
}

static void gates(void)
{
    static const float extremes[] = {
        0,      -0.0f,  1e-30f, -1e-30f, 1e-38f, 50,      -50,      80,      -80,     87,    -87,
        88.5f,  -88.5f, 89,     -89,     103,    -103,    104,      -104,    1e4f,    -1e4f, 1e13f,
        -1e13f, 1e20f,  -1e20f, 3e38f,   -3e38f, FLT_MAX, -FLT_MAX, FLT_MIN, -FLT_MIN};
    enum { N_EXTREMES = sizeof extremes / sizeof *extremes };
    uint64_t seed = 7;
    map_memory();
    for (size_t path = 0; path < N_PATHS; path++) {
        cpu_kernels k;
        CHECK(cpu_select(&k, paths[path]));
        for (size_t n = 1; n <= 40; n++)
            for (int which = GRAPH_GATE_SILU; which <= GRAPH_GATE_GELU; which++) {
                float x[40];
                for (size_t i = 0; i < n; i++)
                    x[i] = test_random_float(&seed) * (n % 2 ? 12 : 1);
                check_gate(&k, (graph_epilogue)which, n, x);
                for (size_t i = 0; i < n; i++)
                    x[i] = extremes[(i + n * 7) % N_EXTREMES];
                check_gate(&k, (graph_epilogue)which, n, x);
            }
    }
}

/* ---- choosing --------------------------------------------------------------------------------- */

static void paths_are_chosen_by_name(void)
{
    cpu_kernels k;
    CHECK(cpu_select(&k, NULL));
    CHECK_TEXT(k.name, paths[N_PATHS - 1]);
    CHECK(!cpu_select(&k, "abacus") && !cpu_select(&k, "") && !cpu_select(&k, "re"));
    CHECK_TEXT(paths[0], "ref");
    for (size_t i = 0; i < N_PATHS; i++) {
        CHECK(cpu_select(&k, paths[i]));
        CHECK(k.norm && k.rotate && k.attend && k.gate);
    }
}

TESTS(T(activations_are_the_same_everywhere) T(halves_are_the_same_everywhere) T(norms) T(rotations) T(attentions) T(gates)
      T(paths_are_chosen_by_name))
