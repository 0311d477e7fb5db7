/* The executor: memory of a session and the loop over the graph's ops. All threads walk the ops
 * together; each op is one or two phases with a barrier after each. */
#include "cpu/cpu.h"

#include <math.h>

#include "base/error.h"
#include "cpu/kernels.h"
#include "cpu/pool.h"

/* A chunk of rows is what one ticket hands out: small enough to share out evenly, large enough that
 * the ticket costs nothing. */
enum { CHUNK_ROWS = 16, ALIGN = 64, BLOCK = 32, MAX_ROPES = 8 };

typedef struct {
    const float *theta; // which op's frequencies
    float scale;
    uint32_t half;      // n_rot / 2
    float *cos_sin;     // [n_batch][half][2]
} rope_table;

struct cpu {
    ingle_allocator allocator;
    const graph *graph;
    cpu_options opt;
    cpu_kernels kernels;
    pool *pool;
    void *block; // all of the below in one allocation
    uint8_t *kv;

    float *values;    // [n_batch] times the plan
    float *normed;    // [n_batch][in_width]
    int8_t *q;        // [n_batch][in_width rounded up to 32]
    float *d;         // [n_batch][q_stride / 32]
    int32_t *sums;    // the same
    float *logits;    // [CPU_HEAD_ROWS][n_vocab]
    uint8_t *scratch; // [n_threads][thread_bytes]
    rope_table ropes[MAX_ROPES];
    size_t n_ropes;
    size_t k_row, v_row, k_head, v_head, thread_bytes;

    // the run in hand
    const int32_t *ids;
    size_t n, first; // tokens, position of the first
    size_t head_row, head_rows;
};

/* ---- memory ----------------------------------------------------------------------------------- */

static size_t aligned(size_t bytes)
{
    return size_add(bytes, ALIGN - 1) / ALIGN * ALIGN;
}

/* Gives the next `bytes` of a block, or with base NULL only counts them. */
static void *carve(uint8_t *base, size_t *at, size_t bytes)
{
    void *p = base ? base + *at : NULL;
    *at = size_add(*at, aligned(bytes));
    return p;
}

static size_t q_stride(const graph *g)
{
    return (size_t)(g->in_width + BLOCK - 1) / BLOCK * BLOCK;
}

/* Tile of one chunk (two with a gate), a row's unpacking, and attention's scores. */
static size_t thread_bytes(const graph *g, const cpu_options *opt)
{
    const size_t tile = size_mul(2 * CHUNK_ROWS * sizeof(float), opt->n_batch);
    const size_t row = size_mul(q_stride(g), CPU_ROW_SCRATCH);
    const size_t group = g->sizes.n_heads / g->sizes.n_kv_heads;
    const size_t scores = size_mul(size_add(size_mul(group, opt->n_ctx), g->sizes.d_head), sizeof(float));
    const size_t most = row > scores ? row : scores;
    return size_add(aligned(tile), aligned(most));
}

static size_t lay_out(cpu *c, const graph *g, const cpu_options *opt, uint8_t *base)
{
    size_t at = 0;
    const size_t n = opt->n_batch, stride = q_stride(g);
    c->values = carve(base, &at, size_mul(size_mul(n, (size_t)g->plan_width), sizeof(float)));
    c->normed = carve(base, &at, size_mul(size_mul(n, (size_t)g->in_width), sizeof(float)));
    c->q = carve(base, &at, size_mul(n, stride));
    c->d = carve(base, &at, size_mul(size_mul(n, stride / BLOCK), sizeof(float)));
    c->sums = carve(base, &at, size_mul(size_mul(n, stride / BLOCK), sizeof(int32_t)));
    c->logits = carve(base, &at, size_mul(CPU_HEAD_ROWS * sizeof(float), g->sizes.n_vocab));
    c->thread_bytes = thread_bytes(g, opt);
    c->scratch = carve(base, &at, size_mul(opt->n_threads, c->thread_bytes));
    for (size_t i = 0; i < c->n_ropes; i++)
        c->ropes[i].cos_sin =
            carve(base, &at, size_mul(n, (size_t)c->ropes[i].half * 2 * sizeof(float)));
    return at;
}

/* The distinct rotations of the graph; most models have one. */
static ingle_status find_ropes(cpu *c, const graph *g, ingle_error *err)
{
    for (size_t i = 0; i < g->n_ops; i++) {
        if (g->ops[i].kind != GRAPH_ROPE_KV || g->ops[i].u.rope_kv.rope.kind == GRAPH_ROPE_NONE)
            continue;
        const graph_rope *r = &g->ops[i].u.rope_kv.rope;
        size_t j = 0;
        while (j < c->n_ropes && c->ropes[j].theta != r->theta)
            j++;
        if (j < c->n_ropes)
            continue;
        if (j == MAX_ROPES)
            return error_set(err, INGLE_ERR_UNSUPPORTED, "more than %d kinds of rotation", MAX_ROPES);
        c->ropes[c->n_ropes++] = (rope_table){r->theta, r->scale, r->n_rot / 2, NULL};
    }
    return INGLE_OK;
}

static ingle_status cache_row(const graph *g, uint32_t format, size_t *head, size_t *row,
                              ingle_error *err)
{
    const quant_traits *t = quant_find(format);
    uint64_t bytes;
    if (!t || !t->quantize || !quant_bytes(format, g->sizes.d_head, &bytes))
        return error_set(err, INGLE_ERR_UNSUPPORTED, "a %s cache of heads of %u values",
                         t ? t->name : "?", g->sizes.d_head);
    *head = (size_t)bytes;
    *row = (size_t)bytes * g->sizes.n_kv_heads;
    return INGLE_OK;
}

static size_t kv_bytes(const cpu *c, const graph *g, const cpu_options *opt)
{
    return size_mul(size_mul(size_add(c->k_row, c->v_row), opt->n_ctx), g->sizes.n_layers);
}

/* Everything but allocating; c is zeroed. */
static ingle_status prepare(cpu *c, const graph *g, const cpu_options *opt, ingle_error *err)
{
    c->graph = g;
    c->opt = *opt;
    if (!cpu_select(&c->kernels, opt->path))
        return error_set(err, INGLE_ERR_USAGE, "no CPU path is called %.40s", opt->path);
    ingle_status status = find_ropes(c, g, err);
    if (status == INGLE_OK)
        status = cache_row(g, opt->k_format, &c->k_head, &c->k_row, err);
    if (status == INGLE_OK)
        status = cache_row(g, opt->v_format, &c->v_head, &c->v_row, err);
    for (size_t i = 0; status == INGLE_OK && i < g->n_tensors; i++)
        if (!c->kernels.matmul[g->tensors[i].format])
            status = error_set(err, INGLE_ERR_UNSUPPORTED, "tensor %.100s: no CPU kernel for %s",
                               g->tensors[i].name, quant_find(g->tensors[i].format)->name);
    return status;
}

ingle_status cpu_plan(const graph *g, const cpu_options *opt, cpu_needs *out, ingle_error *err)
{
    cpu c = {0};
    const ingle_status status = prepare(&c, g, opt, err);
    *out = (cpu_needs){0};
    if (status == INGLE_OK)
        *out = (cpu_needs){kv_bytes(&c, g, opt), lay_out(&c, g, opt, NULL), c.kernels.name};
    return status;
}

ingle_status cpu_open(cpu **out, const graph *g, const cpu_options *opt, const ingle_allocator *a,
                      ingle_error *err)
{
    *out = NULL;
    cpu *c = mem_zero(a, 1, sizeof *c);
    if (!c)
        return error_memory(err, sizeof *c, "a CPU backend");
    c->allocator = *a;
    ingle_status status = prepare(c, g, opt, err);
    if (status == INGLE_OK) {
        const size_t bytes = size_add(lay_out(c, g, opt, NULL), ALIGN), kv = kv_bytes(c, g, opt);
        c->block = mem_alloc(a, bytes);
        c->kv = mem_zero(a, kv, 1); // pages that no token has reached yet cost nothing
        c->pool = pool_open(opt->n_threads, a);
        if (!c->kv)
            status = error_memory(err, kv, "the KV cache");
        else if (!c->block || !c->pool)
            status = error_memory(err, bytes, "activations");
        else
            lay_out(c, g, opt, (uint8_t *)c->block + (ALIGN - (uintptr_t)c->block % ALIGN) % ALIGN);
    }
    if (status == INGLE_OK)
        *out = c;
    else
        cpu_close(c);
    return status;
}

void cpu_close(cpu *c)
{
    if (!c)
        return;
    const ingle_allocator a = c->allocator;
    pool_close(c->pool);
    mem_free(&a, c->block);
    mem_free(&a, c->kv);
    mem_free(&a, c);
}

/* ---- ops -------------------------------------------------------------------------------------- */

static float *value_row(const cpu *c, graph_value v, size_t token)
{
    const graph_value_info *info = &c->graph->values[v];
    return c->values + info->offset * c->opt.n_batch + token * info->width;
}

static const float *vector(const cpu *c, graph_weight w)
{
    return w < 0 ? NULL : c->graph->tensors[w].data;
}

static float *thread_tile(const cpu *c, uint32_t thread)
{
    return (float *)(void *)(c->scratch + thread * c->thread_bytes);
}

static void *thread_rows(const cpu *c, uint32_t thread)
{
    return c->scratch + thread * c->thread_bytes +
           aligned(2 * CHUNK_ROWS * sizeof(float) * c->opt.n_batch);
}

/* The rotations of all positions of the run, once for all layers. The angle is taken in double: a
 * float loses it beyond a few thousand positions. */
static void fill_ropes(cpu *c, uint32_t thread)
{
    for (size_t i = 0; i < c->n_ropes; i++) {
        const rope_table *r = &c->ropes[i];
        for (size_t t = thread; t < c->n; t += pool_threads(c->pool)) {
            float *to = r->cos_sin + t * r->half * 2;
            for (uint32_t j = 0; j < r->half; j++) {
                const double angle = (double)(c->first + t) * (double)r->theta[j];
                to[2 * j] = (float)cos(angle) * r->scale;
                to[2 * j + 1] = (float)sin(angle) * r->scale;
            }
        }
    }
}

static void run_embed(cpu *c, const graph_embed *op, uint32_t thread)
{
    const graph_tensor *w = &c->graph->tensors[op->table];
    const quant_traits *format = quant_find(w->format);
    const size_t row_bytes = (size_t)w->cols / format->values * format->bytes;
    for (size_t t = thread; t < c->n; t += pool_threads(c->pool)) {
        float *to = value_row(c, op->out, t);
        format->dequantize((const uint8_t *)w->data + (size_t)c->ids[t] * row_bytes, to,
                           (size_t)w->cols);
        if (op->scale != 1)
            for (size_t i = 0; i < w->cols; i++)
                to[i] *= op->scale;
    }
    pool_barrier(c->pool);
}

static void run_norm(cpu *c, const graph_norm_op *op, uint32_t thread)
{
    for (size_t t = thread; t < c->n; t += pool_threads(c->pool))
        c->kernels.norm(&op->norm, vector(c, op->norm.weight), vector(c, op->norm.bias),
                        value_row(c, op->in, t), value_row(c, op->out, t),
                        c->graph->values[op->in].width);
    pool_barrier(c->pool);
}

/* Phase one of a linear: the inputs of tokens row ... row + n - 1, normed and as int8. */
static cpu_rows linear_inputs(cpu *c, const graph_linear *op, size_t row, size_t n, uint32_t thread)
{
    const size_t width = c->graph->values[op->in].width, stride = (width + BLOCK - 1) / BLOCK * BLOCK;
    const bool normed = op->norm.kind != GRAPH_NORM_NONE;
    bool int8 = false;
    for (uint32_t i = 0; i < op->n_out; i++)
        int8 |= c->kernels.reads_int8[c->graph->tensors[op->weight[i]].format];
    for (size_t t = thread; t < n; t += pool_threads(c->pool)) {
        const float *x = value_row(c, op->in, row + t);
        if (normed) {
            float *to = c->normed + t * width;
            c->kernels.norm(&op->norm, vector(c, op->norm.weight), vector(c, op->norm.bias), x, to,
                            width);
            x = to;
        }
        if (int8) // such formats have rows of whole blocks
            quant_activations(x, width, c->q + t * stride, c->d + t * (stride / BLOCK),
                              c->sums + t * (stride / BLOCK));
    }
    pool_barrier(c->pool);
    return (cpu_rows){.n_tokens = n,
                      .cols = width,
                      .f = normed ? c->normed : value_row(c, op->in, row),
                      .f_stride = width,
                      .q = c->q,
                      .d = c->d,
                      .sums = c->sums,
                      .q_stride = stride};
}

static void multiply(cpu *c, graph_weight w, graph_weight bias, size_t row, size_t n_rows,
                     const cpu_rows *x, float *tile, uint32_t thread)
{
    const graph_tensor *t = &c->graph->tensors[w];
    c->kernels.matmul[t->format](t, row, n_rows, x, tile, CHUNK_ROWS, thread_rows(c, thread));
    const float *b = vector(c, bias);
    if (b)
        for (size_t i = 0; i < x->n_tokens; i++)
            for (size_t r = 0; r < n_rows; r++)
                tile[i * CHUNK_ROWS + r] += b[row + r];
}

/* Rows row ... of output i: product in a tile, then to where it belongs. out is [n][out_width]. */
static void run_chunk(cpu *c, const graph_linear *op, uint32_t i, size_t row, size_t n_rows,
                      const cpu_rows *x, float *out, size_t out_width, uint32_t thread)
{
    float *tile = thread_tile(c, thread), *up = tile + CHUNK_ROWS * c->opt.n_batch;
    multiply(c, op->weight[i], op->bias[i], row, n_rows, x, tile, thread);
    const bool gated = op->epilogue == GRAPH_GATE_SILU || op->epilogue == GRAPH_GATE_GELU;
    if (gated)
        multiply(c, op->weight[1], op->bias[1], row, n_rows, x, up, thread);
    for (size_t t = 0; t < x->n_tokens; t++) {
        const float *from = tile + t * CHUNK_ROWS;
        float *to = out + t * out_width + row;
        if (gated)
            c->kernels.gate(op->epilogue, from, up + t * CHUNK_ROWS, to, n_rows);
        else if (op->epilogue == GRAPH_ADD)
            for (size_t r = 0; r < n_rows; r++)
                to[r] += from[r];
        else
            memcpy(to, from, n_rows * sizeof *to);
    }
}

/* logits: NULL, or where the one output goes instead of its value (the head). */
static void run_linear(cpu *c, const graph_linear *op, size_t row, size_t n, float *logits,
                       uint32_t thread)
{
    const cpu_rows x = linear_inputs(c, op, row, n, thread);
    const bool gated = op->epilogue == GRAPH_GATE_SILU || op->epilogue == GRAPH_GATE_GELU;
    const uint32_t n_out = gated ? 1 : op->n_out;
    size_t chunk = pool_ticket(c->pool), before = 0; // chunks of the outputs before this one
    for (uint32_t i = 0; i < n_out; i++) {
        const size_t rows = c->graph->values[op->out[i]].width;
        const size_t n_chunks = (rows + CHUNK_ROWS - 1) / CHUNK_ROWS;
        float *out = logits ? logits : value_row(c, op->out[i], row);
        for (; chunk < before + n_chunks; chunk = pool_ticket(c->pool)) {
            const size_t at = (chunk - before) * CHUNK_ROWS;
            const size_t n_rows = rows - at < CHUNK_ROWS ? rows - at : CHUNK_ROWS;
            run_chunk(c, op, i, at, n_rows, &x, out, rows, thread);
        }
        before += n_chunks;
    }
    pool_barrier(c->pool);
}

static void turn_heads(cpu *c, const graph_rope_kv *op, graph_weight norm, float *x, uint32_t n_heads,
                       size_t token)
{
    const uint32_t d = c->graph->sizes.d_head;
    const graph_norm rms = {GRAPH_NORM_RMS, norm, GRAPH_NONE, op->norm_eps};
    const float *cos_sin = NULL;
    for (size_t i = 0; i < c->n_ropes; i++)
        if (c->ropes[i].theta == op->rope.theta)
            cos_sin = c->ropes[i].cos_sin + token * c->ropes[i].half * 2;
    for (uint32_t h = 0; h < n_heads; h++) {
        float *head = x + (size_t)h * d;
        if (norm >= 0)
            c->kernels.norm(&rms, vector(c, norm), NULL, head, head, d);
        if (op->rope.kind != GRAPH_ROPE_NONE)
            c->kernels.rotate(&op->rope, cos_sin, head);
    }
}

static uint8_t *cache_of(const cpu *c, uint32_t layer, bool v)
{
    const size_t n_ctx = c->opt.n_ctx;
    return c->kv + layer * (c->k_row + c->v_row) * n_ctx + (v ? c->k_row * n_ctx : 0);
}

static void run_rope_kv(cpu *c, const graph_rope_kv *op, uint32_t thread)
{
    const graph_sizes *s = &c->graph->sizes;
    const size_t d_kv = (size_t)s->n_kv_heads * s->d_head;
    for (size_t t = thread; t < c->n; t += pool_threads(c->pool)) {
        float *k = value_row(c, op->k, t);
        turn_heads(c, op, op->q_norm, value_row(c, op->q, t), s->n_heads, t);
        turn_heads(c, op, op->k_norm, k, s->n_kv_heads, t);
        quant_find(c->opt.k_format)
            ->quantize(k, cache_of(c, op->layer, false) + (c->first + t) * c->k_row, d_kv);
        quant_find(c->opt.v_format)
            ->quantize(value_row(c, op->v, t), cache_of(c, op->layer, true) + (c->first + t) * c->v_row,
                       d_kv);
    }
    pool_barrier(c->pool);
}

static void run_attend(cpu *c, const graph_attend *op, uint32_t thread)
{
    const graph_sizes *s = &c->graph->sizes;
    const size_t group = s->n_heads / s->n_kv_heads, n_items = c->n * s->n_kv_heads;
    const cpu_cache cache = {.k = cache_of(c, op->layer, false),
                             .v = cache_of(c, op->layer, true),
                             .k_row = c->k_row,
                             .v_row = c->v_row,
                             .k_head = c->k_head,
                             .v_head = c->v_head,
                             .k_format = quant_find(c->opt.k_format),
                             .v_format = quant_find(c->opt.v_format),
                             .n_heads = s->n_heads,
                             .n_kv_heads = s->n_kv_heads,
                             .d_head = s->d_head,
                             .scale = op->scale};
    for (size_t item; (item = pool_ticket(c->pool)) < n_items;) {
        const size_t t = item / s->n_kv_heads, last = c->first + t;
        const uint32_t kv_head = (uint32_t)(item % s->n_kv_heads);
        const size_t begin = op->window && last + 1 > op->window ? last + 1 - op->window : 0;
        const size_t at = kv_head * group * s->d_head;
        c->kernels.attend(&cache, kv_head, value_row(c, op->q, t) + at, begin, last,
                          value_row(c, op->out, t) + at, thread_rows(c, thread));
    }
    pool_barrier(c->pool);
}

/* ---- runs ------------------------------------------------------------------------------------- */

static void run_body(void *arg, uint32_t thread)
{
    cpu *c = arg;
    fill_ropes(c, thread);
    for (size_t i = 0; i + 1 < c->graph->n_ops; i++) {
        const graph_op *op = &c->graph->ops[i];
        switch (op->kind) {
        case GRAPH_EMBED:
            run_embed(c, &op->u.embed, thread);
            break;
        case GRAPH_NORM:
            run_norm(c, &op->u.norm, thread);
            break;
        case GRAPH_LINEAR:
            run_linear(c, &op->u.linear, 0, c->n, NULL, thread);
            break;
        case GRAPH_ROPE_KV:
            run_rope_kv(c, &op->u.rope_kv, thread);
            break;
        case GRAPH_ATTEND:
            run_attend(c, &op->u.attend, thread);
            break;
        case GRAPH_OP_COUNT:
            break;
        }
    }
}

static void run_head(void *arg, uint32_t thread)
{
    cpu *c = arg;
    run_linear(c, &c->graph->ops[c->graph->n_ops - 1].u.linear, c->head_row, c->head_rows, c->logits,
               thread);
}

void cpu_run(cpu *c, const int32_t *ids, size_t n, size_t first)
{
    c->ids = ids;
    c->n = n;
    c->first = first;
    pool_run(c->pool, run_body, c);
}

const float *cpu_head(cpu *c, size_t row, size_t n_rows)
{
    c->head_row = row;
    c->head_rows = n_rows;
    pool_run(c->pool, run_head, c);
    return c->logits;
}

const char *cpu_path(const cpu *c)
{
    return c->kernels.name;
}

uint32_t cpu_threads(const cpu *c)
{
    return pool_threads(c->pool);
}
