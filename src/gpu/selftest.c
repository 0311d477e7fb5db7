/* The inputs are such that every way of computing gives the same answer: rounding activations to int8 loses
 * nothing (each 16 are whole multiples of 1/127 of their largest, which is a power of two times 127), gains are
 * powers of two. What is left are the rounding of sums and of half precision, and the limits follow from those.
 *
 * Matrices and their products are small ones made for this; rotation, attention and sampling run as the model
 * will run them, on the session's own cache, which holds nothing yet. */
#include "gpu/selftest.h"

#include <math.h>

#include "base/error.h"
#include "gpu/op_embed.h"
#include "gpu/op_matmul.h"
#include "gpu/op_matvec.h"
#include "gpu/op_norm.h"
#include "gpu/op_rope_kv.h"

enum { ROWS = 32, COLS = 256, TOKENS = 6, MOST_RESULTS = 128, MOST_FORMATS = QUANT_ID_END, MOST_BUFFERS = 192 };
static const float EPS = 1e-5f;

typedef struct {
    const char *what;
    uint32_t format; // of the matrix, or QUANT_ID_END
    gpu_slice out;
    size_t n;
    bool rounded; // to int8
    float *want, *limit, *got; // [n]; limit: by how much they may differ; behind got: what was read, if rounded
    uint32_t ticket;
} result;

struct gpu_selftest {
    ingle_allocator allocator;
    recorder *r;
    bool recorded; // the section is
    uint32_t section;
    bool running;
    uint64_t random;
    gpu_matrix matrices[MOST_FORMATS];
    size_t n_matrices, n_buffers, n_results, n_checked;
    gpu_slice buffers[MOST_BUFFERS];
    void *memory[4 * MOST_BUFFERS]; // [n_memory]: what is played from, and results
    size_t n_memory;
    result results[MOST_RESULTS];
    gpu_slice one, many; // state of a pass of one token, at TOKENS - 1, and of TOKENS
    gpu_slice x, ids, gain;
    attend_op merge; // what leaves the first token of x in parts
    float activations[TOKENS * COLS];
    ingle_error error;  // sticky
};

/* ---- data ------------------------------------------------------------------------------------- */

static uint32_t random_word(gpu_selftest *t)
{
    t->random = t->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(t->random >> 33);
}

/* Stays until the test is closed; never NULL for long: without memory `error` is set. */
static void *take(gpu_selftest *t, size_t bytes)
{
    void *p = t->n_memory < sizeof t->memory / sizeof *t->memory ? mem_zero(&t->allocator, 1, bytes) : NULL;
    if (p)
        t->memory[t->n_memory++] = p;
    else if (t->error.status == INGLE_OK)
        error_memory(&t->error, bytes, "the GPU's self-test");
    return p;
}

static gpu_slice room(gpu_selftest *t, size_t bytes)
{
    if (t->n_buffers == MOST_BUFFERS)
        error_set(&t->error, INGLE_ERR_INTERNAL, "the GPU's self-test has too many buffers");
    if (t->error.status != INGLE_OK)
        return (gpu_slice){0};
    return t->buffers[t->n_buffers++] = recorder_buffer(t->r, bytes, "self-test");
}

static gpu_slice filled(gpu_selftest *t, const void *from, size_t bytes)
{
    const gpu_slice s = room(t, bytes);
    void *copy = take(t, bytes);
    if (copy) {
        memcpy(copy, from, bytes);
        recorder_write(t->r, s, copy, bytes);
    }
    return s;
}

/* A result to compare, its buffer and memory; NULL without memory. */
static result *expect(gpu_selftest *t, const char *what, uint32_t format, size_t n)
{
    const size_t bytes = n * sizeof(float) + (size_t)gpu_rounded_bytes(n, 1); // room for either
    float *memory = take(t, 2 * n * sizeof *memory + bytes);
    if (t->n_results == MOST_RESULTS)
        error_set(&t->error, INGLE_ERR_INTERNAL, "the GPU's self-test has too many results");
    if (!memory || t->error.status != INGLE_OK)
        return NULL;
    result *k = &t->results[t->n_results++];
    *k = (result){.what = what, .format = format, .n = n, .want = memory, .limit = memory + n, .got = memory + 2 * n};
    k->out = room(t, bytes);
    return k;
}

/* Where a kernel puts the result as int8. */
static gpu_rounded as_int8(result *k)
{
    k->rounded = true;
    return gpu_rounded_in(k->out, k->n, 1);
}

/* Splits as attention leaves them, that differ and make the first token's activations. The last is not in use. */
static void make_splits(gpu_selftest *t)
{
    enum { HEADS = 4, SPLITS = 4, D = COLS / HEADS, SIZE = D + 4 };
    static const attend_shape two = {.threads = 64, .chunk = 2, .heads = 1};
    static const float tops[SPLITS] = {5, 4, 3, 30000}; // weights of 1, 1/2, 1/4
    static const float sums[SPLITS] = {1, 2, 4, NAN}, totals[SPLITS] = {2, 1, 2, NAN}; // 3 in all
    float partials[HEADS * SPLITS * SIZE];
    for (uint32_t i = 0; i < HEADS * SPLITS * SIZE; i++) {
        const uint32_t head = i / SIZE / SPLITS, s = i / SIZE % SPLITS, at = i % SIZE;
        partials[i] = at < D ? sums[s] * t->activations[head * D + at] : at == D ? tops[s] : totals[s];
    }
    t->merge = (attend_op){.kv = {.n_ctx = 8, .n_kv_heads = HEADS, .d_head = D}, .n_heads = HEADS, .n_tokens = 1,
                           .max_positions = SPLITS * 2,
                           .partials = filled(t, partials, sizeof partials), .shape = &two};
}

static void fill_inputs(gpu_selftest *t)
{
    static const uint32_t one[4] = {TOKENS - 1, 1, 0, 0}, many[4] = {0, TOKENS, 0, 0};
    static const uint32_t ids[TOKENS] = {3, 0, ROWS - 1, 7, 7, 10};
    float gain[COLS];
    for (uint32_t i = 0; i < TOKENS * COLS; i++) {
        const int q = i % 16 == i / 16 % 16 ? 127 : (int)(random_word(t) % 255) - 127;
        t->activations[i] = ldexpf((float)q, (int)(i / COLS) + (int)(i / 16 % 3) - 10);
    }
    for (uint32_t i = 0; i < COLS; i++)
        gain[i] = ldexpf(1, (int)(i / 16 % 4) - 2);
    t->one = filled(t, one, sizeof one);
    t->many = filled(t, many, sizeof many);
    t->ids = filled(t, ids, sizeof ids);
    t->x = filled(t, t->activations, sizeof t->activations);
    t->gain = filled(t, gain, sizeof gain);
    make_splits(t);
}

static float gain_of(uint32_t column)
{
    return ldexpf(1, (int)(column / 16 % 4) - 2);
}

/* 1 / sqrt(mean square + eps) of a token's activations. */
static double rms_factor(const float *x)
{
    double squares = 0;
    for (uint32_t i = 0; i < COLS; i++)
        squares += (double)x[i] * (double)x[i];
    return 1 / sqrt(squares / (double)COLS + (double)EPS);
}

/* ---- matrices --------------------------------------------------------------------------------- */

/* Blocks of the format: quantised random values, or, where nothing quantises, bytes of which any two make a
 * half between 1/16 and 1/4 in size, so that scales are sensible wherever a format has them. */
static gpu_matrix *make_matrix(gpu_selftest *t, uint32_t format, float **values)
{
    const quant_traits *traits = quant_find(format);
    uint64_t bytes = 0;
    quant_bytes(format, ROWS * COLS, &bytes);
    uint8_t *blocks = take(t, (size_t)bytes);
    *values = take(t, ROWS * COLS * sizeof **values);
    if (t->error.status != INGLE_OK)
        return NULL;
    for (uint32_t i = 0; traits->quantize && i < ROWS * COLS; i++)
        (*values)[i] = (float)((int)(random_word(t) % 2001) - 1000) / 1000;
    for (uint64_t i = 0; !traits->quantize && i < bytes; i++) {
        const uint32_t random = random_word(t);
        blocks[i] = (uint8_t)((random & 0x83) | (random & 0x100 ? 0x2C : 0x30));
    }
    for (uint32_t row = 0; row < ROWS; row++) {
        uint8_t *from = blocks + row * (size_t)(bytes / ROWS);
        if (traits->quantize)
            traits->quantize(*values + row * COLS, from, COLS);
        traits->dequantize(from, *values + row * COLS, COLS);
    }
    const graph_tensor tensor = {"self-test", blocks, format, ROWS, COLS, true};
    const matrix_source source = {.tensors = {&tensor}, .n_tensors = 1};
    gpu_matrix *m = &t->matrices[t->n_matrices++];
    if (matrix_open(m, t->r, &source, &t->allocator, &t->error) != INGLE_OK)
        return NULL;
    return m;
}

/* One row's product: sums may be taken in any order, so n terms are off by at most n 2^-24 of the sum of their
 * sizes; scales and factors add a few units in the last place. */
static void want_product(result *k, size_t at, const float *w, const float *x, bool norm)
{
    const double factor = norm ? rms_factor(x) : 1;
    double sum = 0, size = 0;
    for (uint32_t i = 0; i < COLS; i++) {
        const double term = (double)w[i] * (double)x[i] * (norm ? (double)gain_of(i) : 1);
        sum += term;
        size += fabs(term);
    }
    k->want[at] = (float)(sum * factor);
    k->limit[at] = (float)(factor * size * (COLS + 64) * 0x1p-24);
}

/* What the session does with a format; all but the first, when it decodes. */
typedef struct {
    bool multiplied;
    bool takes_rounded; // input that is int8 already
    bool merges;        // input that is attention's splits
    bool gates[2];      // SiLU's and GELU's results as int8
    matvec_shape normed, plain, merging, gate; // how such products are cut, where that was measured
} format_uses;

/* GELU's 0.5 x (1 + tanh(z)) is x / (1 + exp(-2 z)). */
static double act_of(matvec_epilogue e, double x)
{
    return x / (1 + exp(e == MATVEC_GATE_SILU ? -x : -2 * 0.7978845608 * (x + 0.044715 * x * x * x)));
}

/* Rows 2i and 2i + 1 of products [ROWS], with their limits, are row i of the gate and of up. The slope of either
 * function is at most 1.13; a GPU's exp and tanh are good to some 2^-17. */
static void want_gate(result *k, matvec_epilogue e, const result *products)
{
    for (uint32_t i = 0; i < ROWS / 2; i++) {
        const double g = (double)products->want[2 * i], u = (double)products->want[2 * i + 1];
        const double off = (double)products->limit[2 * i] * fabs(u) + (double)products->limit[2 * i + 1] * fabs(g);
        k->want[i] = (float)(act_of(e, g) * u);
        k->limit[i] = (float)(1.2 * off + fabs(g * u) * 0x1p-17 + 1e-7);
    }
}

/* The first token's product as it is in a prompt's. */
static void test_plain(gpu_selftest *t, const char *what, matvec_op *op, const result *many)
{
    result *k = expect(t, what, many->format, ROWS);
    if (!k)
        return;
    op->out = k->out;
    op_matvec(t->r, op);
    memcpy(k->want, many->want, ROWS * sizeof *k->want);
    memcpy(k->limit, many->limit, ROWS * sizeof *k->limit);
}

/* The same by matrices: they take weights in f16, 2^-11 off, and may drop a sum's last bit instead of rounding it. */
static void test_matrices(gpu_selftest *t, matmul_op op, const result *many)
{
    result *k = expect(t, "a prompt's product by matrices", many->format, TOKENS * ROWS);
    if (!k)
        return;
    op.matrices = true;
    op.out = k->out;
    op_matmul(t->r, &op, TOKENS);
    memcpy(k->want, many->want, k->n * sizeof *k->want);
    for (size_t i = 0; i < k->n; i++)
        k->limit[i] = many->limit[i] * (2 + 0x1p13f / (COLS + 64));
}

static void test_products(gpu_selftest *t, uint32_t format, const format_uses *uses)
{
    float *values;
    gpu_matrix *m = make_matrix(t, format, &values);
    result *one = expect(t, "a token's product", format, ROWS), *many = expect(t, "a prompt's product", format, TOKENS * ROWS);
    if (!m || !one || !many)
        return;
    matvec_op single = {.label = "test product", .w = m, .x = t->x, .gain = t->gain, .eps = EPS,
                        .epilogue = MATVEC_STORE, .out = one->out, .state = t->one};
    matmul_op several = {.label = "test products", .w = m, .state = t->many, .x = t->x, .epilogue = GRAPH_STORE,
                         .out = many->out};
    for (uint32_t row = 0; row < ROWS; row++)
        want_product(one, row, values + row * COLS, t->activations, true);
    for (uint32_t i = 0; i < TOKENS * ROWS; i++)
        want_product(many, i, values + i % ROWS * COLS, t->activations + i / ROWS * COLS, false);
    m->shape = uses->normed;
    op_matvec(t->r, &single);
    m->shape = uses->gate;
    for (matvec_epilogue e = MATVEC_GATE_SILU; e <= MATVEC_GATE_GELU; e++) {
        result *k = uses->gates[e - MATVEC_GATE_SILU] ? expect(t, "a token's gate", format, ROWS / 2) : NULL;
        if (!k)
            continue;
        matvec_op gate = single;
        gate.epilogue = e;
        if (matvec_gives_rounded(t->r, m, e))
            gate.out_rounded = as_int8(k);
        else
            gate.out = k->out;
        op_matvec(t->r, &gate);
        want_gate(k, e, one);
    }
    if (t->r->modes.dot_int8 && m->parts[0].planes.integers) {
        several.rounded = gpu_rounded_in(room(t, (size_t)gpu_rounded_bytes(COLS, TOKENS)), COLS, TOKENS);
        const norm_op round = {.label = "test round", .kind = GRAPH_NORM_NONE, .width = COLS, .state = t->many,
                               .x = t->x, .rounded = several.rounded};
        op_norm(t->r, &round, TOKENS);
    }
    op_matmul(t->r, &several, TOKENS);
    if (t->r->modes.f16 && matmul_suits_matrices(m))
        test_matrices(t, several, many);
    single.gain = (gpu_slice){0};
    m->shape = uses->plain;
    m->merging = uses->merging;
    if (uses->merges) {
        single.merge = &t->merge;
        test_plain(t, "a token's product of splits", &single, many);
        single.merge = NULL;
    }
    if (uses->takes_rounded) {
        single.rounded = several.rounded; // token 0 is the first
        test_plain(t, "a token's product of int8", &single, many);
    }
}

static void test_embed(gpu_selftest *t, uint32_t format)
{
    static const uint32_t ids[TOKENS] = {3, 0, ROWS - 1, 7, 7, 10};
    float *values;
    const gpu_matrix *m = make_matrix(t, format, &values);
    result *k = expect(t, "embedding", format, TOKENS * COLS);
    if (!m || !k)
        return;
    const embed_op op = {.label = "test embed", .table = m, .scale = 1, .state = t->many, .ids = t->ids, .out = k->out,
                         .n_tokens = TOKENS};
    op_embed(t->r, &op);
    for (uint32_t i = 0; i < TOKENS * COLS; i++) {
        k->want[i] = values[ids[i / COLS] * COLS + i % COLS];
        k->limit[i] = fabsf(k->want[i]) * 0x1p-22f + 0x1p-126f;
    }
}

static void test_norm(gpu_selftest *t, graph_norm_kind kind)
{
    result *k = expect(t, "norm", QUANT_ID_END, TOKENS * COLS);
    if (!k)
        return;
    const norm_op op = {.label = "test norm", .kind = kind, .width = COLS, .eps = EPS, .gain = t->gain,
                        .state = t->many, .x = t->x, .out = k->out};
    op_norm(t->r, &op, TOKENS);
    for (uint32_t token = 0; token < TOKENS; token++) {
        const float *x = t->activations + token * COLS;
        double mean = 0, squares = 0, most = 0;
        for (uint32_t i = 0; i < COLS; i++) {
            mean += kind == GRAPH_NORM_LAYER ? (double)x[i] / (double)COLS : 0;
            most = fmax(most, fabs((double)x[i]));
        }
        for (uint32_t i = 0; i < COLS; i++)
            squares += ((double)x[i] - mean) * ((double)x[i] - mean);
        const double factor = 1 / sqrt(squares / (double)COLS + (double)EPS);
        for (uint32_t i = 0; i < COLS; i++) {
            k->want[token * COLS + i] = (float)(((double)x[i] - mean) * factor * (double)gain_of(i));
            k->limit[token * COLS + i] = (float)(most * factor * (double)gain_of(i) * (COLS + 64) * 0x1p-24);
        }
    }
}

/* ---- rotation, cache, attention --------------------------------------------------------------- */

/* Heads of a token as rope_kv should leave them: normed where the model norms, turned. */
static void turn_head(const gpu *g, const graph_rope_kv *turn, graph_weight gain, uint32_t position, double *head)
{
    const uint32_t d_head = g->graph->sizes.d_head, n_rot = turn->rope.kind == GRAPH_ROPE_NONE ? 0 : turn->rope.n_rot;
    if (gain >= 0) {
        const float *gains = g->graph->tensors[gain].data;
        double squares = 0;
        for (uint32_t i = 0; i < d_head; i++)
            squares += head[i] * head[i];
        for (uint32_t i = 0; i < d_head; i++) {
            const bool apart = turn->rope.kind == GRAPH_ROPE_HALVES && i < n_rot;
            head[i] *= (double)gains[apart ? i / 2 + i % 2 * (n_rot / 2) : i] /
                       sqrt(squares / d_head + (double)turn->norm_eps);
        }
    }
    for (uint32_t i = 0; i < n_rot; i += 2) {
        const double angle = (double)position * (double)turn->rope.theta[i / 2];
        const double c = cos(angle) * (double)turn->rope.scale, s = sin(angle) * (double)turn->rope.scale;
        const double a = head[i], b = head[i + 1];
        head[i] = a * c - b * s;
        head[i + 1] = a * s + b * c;
    }
}

typedef struct {
    uint32_t n_tokens, n_heads, n_kv_heads, d_head, width; // width: of a token's Q, K and V
    double *rows;                                          // [n_tokens][width], turned
} heads;

static const double *head_of(const heads *h, uint32_t token, uint32_t head)
{
    return h->rows + (size_t)token * h->width + (size_t)head * h->d_head;
}

/* By how much half precision, or q8_0, may move a value of a vector whose largest is `most`. */
static double storage_error(uint32_t format, double most)
{
    return most * (format == QUANT_F16 ? 0x1p-11 : 0.5 / 127 + 0x1p-10);
}

static double largest(const double *x, uint32_t n)
{
    double most = 0;
    for (uint32_t i = 0; i < n; i++)
        most = fmax(most, fabs(x[i]));
    return most;
}

/* A score is off by what K's storage moves it, so weights by its exponential and the mean of V by that. */
static void want_attention(const gpu *g, const graph_attend *a, const heads *h, uint32_t token, uint32_t head, float *want,
                           float *limit)
{
    const uint32_t kv = head / (h->n_heads / h->n_kv_heads);
    const uint32_t first = a->window && token + 1 > a->window ? token + 1 - a->window : 0;
    const double *q = head_of(h, token, head);
    double scores[TOKENS], top = -INFINITY, total = 0, off = 0, most = 0, scores_most = 0;
    for (uint32_t p = first; p <= token; p++) {
        const double *k = head_of(h, p, h->n_heads + kv);
        double size = 0;
        scores[p] = 0;
        for (uint32_t i = 0; i < h->d_head; i++) {
            scores[p] += q[i] * k[i] * (double)a->scale;
            size += fabs(q[i]) * (double)a->scale;
        }
        top = fmax(top, scores[p]);
        const double k_most = largest(k, h->d_head);
        scores_most = fmax(scores_most, size * k_most);
        off = fmax(off, size * storage_error(g->kv.k_type, k_most));
        most = fmax(most, largest(head_of(h, p, h->n_heads + h->n_kv_heads + kv), h->d_head));
    }
    for (uint32_t p = first; p <= token; p++)
        total += exp(scores[p] - top);
    off += scores_most * (h->d_head + 64) * 0x1p-23; // sums and powers in f32
    for (uint32_t i = 0; i < h->d_head; i++) {
        double sum = 0;
        for (uint32_t p = first; p <= token; p++)
            sum += exp(scores[p] - top) / total * head_of(h, p, h->n_heads + h->n_kv_heads + kv)[i];
        want[i] = (float)sum;
        limit[i] = (float)(most * (exp(2 * off) - 1) + storage_error(g->kv.v_type, most) + most * 0x1p-18);
    }
}

static void make_heads(gpu_selftest *t, const gpu *g, const gpu_step *st, heads *h, float *rows)
{
    const graph_rope_kv *turn = st->turn;
    for (uint32_t i = 0; i < h->n_tokens * h->width; i++) {
        rows[i] = (float)((int)(random_word(t) % 255) - 127) / 128;
        h->rows[i] = (double)rows[i];
    }
    for (uint32_t token = 0; token < h->n_tokens; token++)
        for (uint32_t head = 0; head < h->n_heads + h->n_kv_heads; head++)
            turn_head(g, turn, head < h->n_heads ? turn->q_norm : turn->k_norm, token,
                      h->rows + (size_t)token * h->width + (size_t)head * h->d_head);
}

/* The last token by itself, as with few positions and, where that is cut into splits, with all there is room for. */
static void attend_one(gpu_selftest *t, const gpu *g, const gpu_step *attend, attend_op *op, const result *many)
{
    const size_t d_q = (size_t)op->n_heads * op->kv.d_head, before = many->n - d_q;
    for (int all = 0; all < 2; all++) {
        op->max_positions = gpu_bucket_positions(g, all ? g->opt.n_ctx : 1);
        result *k = all && attend_splits(t->r, op) == 1 ? NULL : expect(t, "a token's attention", QUANT_ID_END, d_q);
        if (!k)
            return;
        op->out = k->out;
        op->rounded = attend->rounds ? as_int8(k) : (gpu_rounded){0};
        op_attend(t->r, op);
        memcpy(k->want, many->want + before, d_q * sizeof *k->want);
        memcpy(k->limit, many->limit + before, d_q * sizeof *k->limit);
    }
}

/* One pass of all tokens writes the cache; the last token is then attended to a second time, by itself. */
static void test_attention(gpu_selftest *t, gpu *g, const gpu_step *qkv, const gpu_step *attend)
{
    const graph_sizes *s = &g->graph->sizes;
    const graph_rope_kv *turn = qkv->turn;
    const graph_attend *a = &attend->op->u.attend;
    const uint32_t n = g->opt.n_ctx < TOKENS ? g->opt.n_ctx : TOKENS, d_q = s->n_heads * s->d_head;
    heads h = {n, s->n_heads, s->n_kv_heads, s->d_head, d_q + 2 * s->n_kv_heads * s->d_head, NULL};
    h.rows = take(t, sizeof *h.rows * n * h.width);
    float *rows = take(t, sizeof *rows * n * h.width);
    result *many = expect(t, "a prompt's attention", QUANT_ID_END, (size_t)n * d_q);
    if (!h.rows || !rows || !many)
        return;
    make_heads(t, g, qkv, &h, rows);
    const gpu_slice from = filled(t, rows, sizeof *rows * n * h.width), q = room(t, sizeof(float) * n * d_q);
    const uint32_t all[4] = {0, n, 0, 0}, last[4] = {n - 1, 1, 0, 0};
    const gpu_slice passes[2] = {filled(t, all, sizeof all), filled(t, last, sizeof last)};
    const bool turns = turn->rope.kind != GRAPH_ROPE_NONE;
    const rope_kv_op rope = {.label = "rope_kv", .kv = g->kv, .n_heads = s->n_heads, .n_tokens = n,
                             .kind = turns ? GRAPH_ROPE_PAIRS : GRAPH_ROPE_NONE, .n_rot = turn->rope.n_rot,
                             .state = passes[0], .qkv = from, .out = q, .rope = g->rope,
                             .norm_q = turn->q_norm >= 0, .norm_k = turn->k_norm >= 0, .norms = qkv->head_gains,
                             .norm_eps = turn->norm_eps, .k_cache = g->k_cache[a->layer], .v_cache = g->v_cache[a->layer]};
    op_rope_kv(t->r, &rope);
    attend_op op = {.label = "attend", .kv = g->kv, .n_heads = s->n_heads, .n_tokens = n, .max_positions = g->opt.n_ctx,
                    .window = a->window, .scale = a->scale, .state = passes[0], .q = q, .k_cache = g->k_cache[a->layer],
                    .v_cache = g->v_cache[a->layer], .out = many->out, .partials = g->partials};
    op_attend(t->r, &op);
    for (uint32_t i = 0; i < n * s->n_heads; i++) {
        const size_t at = (size_t)i * s->d_head;
        want_attention(g, a, &h, i / s->n_heads, i % s->n_heads, many->want + at, many->limit + at);
    }
    float *turned = take(t, sizeof *turned * d_q);
    if (!turned)
        return;
    for (uint32_t i = 0; i < d_q; i++)
        turned[i] = (float)h.rows[(size_t)(n - 1) * h.width + i];
    op.n_tokens = 1;
    op.state = passes[1];
    op.q = filled(t, turned, sizeof *turned * d_q); // a section cannot copy
    attend_one(t, g, attend, &op, many);
}

/* ---- sampling --------------------------------------------------------------------------------- */

/* A draw among logits of which one is certain. Tokens are compared as floats: they are below 2^24. */
static void test_sampling(gpu_selftest *t, gpu *g)
{
    const uint32_t n_vocab = g->graph->sizes.n_vocab, wanted = n_vocab * 2 / 3;
    const ingle_sampling how = {.temperature = 1, .top_k = 4, .top_p = 0.9f, .typical_p = 1, .repeat_penalty = 1, .seed = 1};
    float *logits = take(t, n_vocab * sizeof *logits);
    result *k = expect(t, "sampling", QUANT_ID_END, GPU_RING);
    if (!logits || !k || op_sample_begin(&g->sample, t->r, &how, NULL, 0, &t->error) != INGLE_OK)
        return;
    for (uint32_t i = 0; i < n_vocab; i++)
        logits[i] = i == wanted ? 90 : (float)(random_word(t) % 64);
    recorder_write(t->r, gpu_part(g->logits, 0, 0), logits, n_vocab * sizeof *logits);
    const uint32_t state[4] = {0, 1, 0, 0};
    op_sample_dispatch(&g->sample, t->r, g->logits, filled(t, state, sizeof state), room(t, TOKENS * sizeof(uint32_t)), k->out);
    k->n = 1;
    memcpy(k->want, &wanted, sizeof wanted); // bits
    k->limit[0] = -1;                        // the same bits
}

/* ---- all of it -------------------------------------------------------------------------------- */

static uint32_t format_of(const gpu *g, const gpu_matrix *m)
{
    size_t i = 0;
    while (&g->shared->weights[i].m != m)
        i++;
    return g->shared->weights[i].source.tensors[0]->format;
}

static void note_shape(const gpu *g, const gpu_step *st, format_uses *uses)
{
    for (uint32_t k = 0; k < st->n_w && st->kind != GPU_EMBED; k++) {
        format_uses *u = &uses[format_of(g, st->w[k])];
        const graph_epilogue e = st->kind == GPU_QKV ? GRAPH_STORE : st->op->u.linear.epilogue;
        *(e == GRAPH_STORE ? &u->normed : e == GRAPH_ADD ? &u->plain : &u->gate) = st->w[k]->shape;
        if (st->w[k]->merging.threads)
            u->merging = st->w[k]->merging;
    }
}

/* What decoding alone does: a step's result goes to the next one as int8, or in parts. */
static void note_pair(const gpu_selftest *t, const gpu *g, const gpu_step *st, format_uses *uses)
{
    if (!st->rounds && !st->merges)
        return;
    format_uses *next = &uses[format_of(g, st[1].w[0])];
    next->takes_rounded |= st->rounds;
    if (st->kind == GPU_ATTEND) {
        const attend_op op = {.kv = g->kv, .n_heads = g->graph->sizes.n_heads, .n_tokens = 1,
                              .max_positions = g->opt.n_ctx, .window = st->op->u.attend.window};
        next->merges |= st->merges && attend_splits(t->r, &op) > 1;
    } else {
        uses[format_of(g, st->w[0])].gates[st->op->u.linear.epilogue == GRAPH_GATE_GELU] = true;
    }
}

static void record(gpu_selftest *t, gpu *g)
{
    format_uses uses[QUANT_ID_END] = {{false}};
    bool normed[3] = {false};
    const gpu_step *qkv = NULL, *attend = NULL;
    uint32_t table = QUANT_ID_END;
    fill_inputs(t);
    t->section = recorder_section(t->r);
    for (size_t i = 0; i < g->n_steps; i++) {
        const gpu_step *st = &g->steps[i];
        qkv = st->kind == GPU_QKV ? st : qkv;
        attend = st->kind == GPU_ATTEND ? st : attend;
        for (uint32_t k = 0; k < st->n_w; k++) {
            const uint32_t format = format_of(g, st->w[k]);
            if (st->kind == GPU_EMBED)
                table = format;
            else
                uses[format].multiplied = true;
        }
        note_shape(g, st, uses);
        note_pair(t, g, st, uses);
        normed[st->kind == GPU_NORM ? st->op->u.norm.norm.kind
               : st->kind == GPU_QKV || st->kind == GPU_LINEAR ? st->op->u.linear.norm.kind
                                                               : GRAPH_NORM_NONE] = true;
    }
    for (uint32_t format = 0; format < QUANT_ID_END; format++)
        if (uses[format].multiplied)
            test_products(t, format, &uses[format]);
    if (table < QUANT_ID_END)
        test_embed(t, table);
    for (int kind = GRAPH_NORM_RMS; kind <= GRAPH_NORM_LAYER; kind++)
        if (normed[kind])
            test_norm(t, (graph_norm_kind)kind);
    if (qkv && attend)
        test_attention(t, g, qkv, attend);
    if (g->can_sample)
        test_sampling(t, g);
    recorder_section_end(t->r);
    t->recorded = t->r->error.status == INGLE_OK;
}

ingle_status selftest_open(gpu_selftest **out, gpu *g, ingle_error *err)
{
    gpu_selftest *t = *out = mem_zero(&g->allocator, 1, sizeof *t);
    if (!t)
        return error_memory(err, sizeof *t, "the GPU's self-test");
    t->allocator = g->allocator;
    t->r = g->r;
    t->random = 1;
    record(t, g);
    if (err && t->error.status != INGLE_OK)
        *err = t->error;
    return t->error.status;
}

/* The values of int8 and scales that were read behind `got`; their rounding is half a step, of which the scale is as
 * good as the largest value. */
static void unround(result *k)
{
    const char *from = (const char *)(k->got + k->n);
    const size_t scales = (size_t)gpu_rounded_in((gpu_slice){0}, k->n, 1).d.offset;
    for (size_t b = 0; b < k->n / 16; b++) {
        float d, most = 0;
        memcpy(&d, from + scales + b * sizeof d, sizeof d);
        for (size_t i = 16 * b; i < 16 * b + 16; i++)
            most = fmaxf(most, fabsf(k->want[i]) + k->limit[i]);
        for (size_t i = 16 * b; i < 16 * b + 16; i++) {
            k->got[i] = (float)*(const int8_t *)(from + i) * d;
            k->limit[i] += most * (1 + 0x1p-12f) / 254;
        }
    }
}

static ingle_status compare(const result *k, ingle_error *err)
{
    for (size_t i = 0; i < k->n; i++) {
        const bool right = k->limit[i] < 0 ? memcmp(k->got + i, k->want + i, sizeof *k->got) == 0
                                           : fabsf(k->got[i] - k->want[i]) <= k->limit[i]; // NaN is wrong
        if (!right)
            return error_set(err, INGLE_ERR_DEVICE, "self-test: %s%s%s: %g at %zu, %g is right", k->what,
                             k->format < QUANT_ID_END ? " in " : "",
                             k->format < QUANT_ID_END ? quant_find(k->format)->name : "", (double)k->got[i], i,
                             (double)k->want[i]);
    }
    return INGLE_OK;
}

ingle_status selftest_check(gpu_selftest *t, gpu *g, ingle_error *err)
{
    ingle_status status = INGLE_OK;
    if (!t->running) {
        t->running = true;
        recorder_run(g->r, t->section, 1);
        for (size_t i = 0; i < t->n_results; i++) {
            result *k = &t->results[i];
            const size_t bytes = k->rounded ? (size_t)gpu_rounded_bytes(k->n, 1) : k->n * sizeof(float);
            k->ticket = recorder_read(g->r, gpu_part(k->out, 0, bytes), k->rounded ? k->got + k->n : k->got);
        }
        status = recorder_play(g->r, err);
    }
    while (status == INGLE_OK && t->n_checked < t->n_results) {
        status = recorder_wait(g->r, t->results[t->n_checked].ticket, NULL, err);
        t->n_checked += status == INGLE_OK;
    }
    for (size_t i = 0; status == INGLE_OK && i < t->n_results; i++) {
        if (t->results[i].rounded)
            unround(&t->results[i]);
        status = compare(&t->results[i], err);
    }
    return status;
}

void selftest_close(gpu_selftest *t, gpu *g)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n_matrices; i++)
        matrix_close(&t->matrices[i], g->r);
    for (size_t i = 0; i < t->n_buffers; i++)
        recorder_drop(g->r, &t->buffers[i]);
    for (size_t i = 0; i < t->n_memory; i++)
        mem_free(&t->allocator, t->memory[i]);
    if (t->recorded)
        recorder_drop_section(g->r, t->section);
    mem_free(&g->allocator, t);
}
