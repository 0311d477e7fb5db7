/* The executor: memory of a session and the loop over the graph's ops. All threads walk the ops
 * together; each op is one or two phases with a barrier after each. */
#include "cpu/cpu_impl.h"

#include "base/error.h"
#include "host/host.h"

/* ---- memory ----------------------------------------------------------------------------------- */

static size_t aligned(size_t bytes)
{
    return size_add(bytes, CPU_ALIGN - 1) / CPU_ALIGN * CPU_ALIGN;
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
    return (size_t)(g->in_width + CPU_PAD - 1) / CPU_PAD * CPU_PAD;
}

static void lay_out_int8(cpu_int8 *q, size_t n, size_t stride, uint8_t *base, size_t *at)
{
    const size_t sixteens = size_mul(n, stride / CPU_BLOCK);
    q->q = carve(base, at, size_mul(n, stride));
    q->d = carve(base, at, size_mul(sixteens, sizeof *q->d));
    q->sums = carve(base, at, size_mul(sixteens, sizeof *q->sums));
    q->starts = carve(base, at, size_mul(sixteens, sizeof *q->starts));
    q->block_sums = carve(base, at, size_mul(sixteens / 2, sizeof *q->block_sums));
}

/* Attention's, or a panel's, which is larger than a row's unpacking. */
static size_t work_bytes(const graph *g, const cpu_options *opt)
{
    const size_t group = g->sizes.n_heads / g->sizes.n_kv_heads;
    const size_t attention = size_mul(cpu_attend_scratch(group, g->sizes.d_head, opt->n_ctx), sizeof(float));
    const size_t row = size_mul(q_stride(g), (size_t)CPU_PANEL_BYTES);
    const size_t panel = row > CPU_PANELS_BYTES ? row : CPU_PANELS_BYTES;
    return panel > attention ? panel : attention;
}

/* Kernels on bfloat16 work in whole blocks of tokens. */
static size_t wide_tokens(size_t n)
{
    return (n + CPU_WIDE_TOKENS - 1) / CPU_WIDE_TOKENS * CPU_WIDE_TOKENS;
}

static void lay_out_thread(cpu_thread *t, const graph *g, const cpu_options *opt, uint8_t *base, size_t *at)
{
    const size_t many = size_mul(CPU_MANY_ROWS, wide_tokens(opt->n_batch)), stride = q_stride(g);
    t->tile = carve(base, at, size_mul(2 * sizeof(float), many > CPU_ONE_ROWS ? many : CPU_ONE_ROWS));
    t->normed = carve(base, at, (size_t)g->in_width * sizeof(float));
    lay_out_int8(&t->q, 1, stride, base, at);
    t->work = carve(base, at, work_bytes(g, opt));
}

static size_t lay_out(cpu *c, const graph *g, const cpu_options *opt, uint8_t *base)
{
    size_t at = 0;
    const size_t n = opt->n_batch, stride = q_stride(g);
    c->values = carve(base, &at, size_mul(size_mul(n, (size_t)g->plan_width), sizeof(float)));
    c->normed = carve(base, &at, size_mul(size_mul(n, (size_t)g->in_width), sizeof(float)));
    lay_out_int8(&c->q, n, stride, base, &at);
    if (c->kernels.round_wide)
        c->wide = carve(base, &at, size_mul(size_mul(wide_tokens(n), stride), sizeof *c->wide));
    lay_out_int8(&c->fine, CPU_HEAD_ROWS, stride, base, &at);
    c->logits = carve(base, &at, size_mul(CPU_HEAD_ROWS * sizeof(float), g->sizes.n_vocab));
    c->steps = carve(base, &at, size_mul(g->n_ops, sizeof *c->steps));
    c->threads = carve(base, &at, size_mul(opt->n_threads, sizeof *c->threads));
    if (base) {
        for (uint32_t i = 0; i < opt->n_threads; i++)
            lay_out_thread(&c->threads[i], g, opt, base, &at);
    } else { // all alike: counted once, however many are asked for
        cpu_thread unplaced;
        size_t one = 0;
        lay_out_thread(&unplaced, g, opt, NULL, &one);
        at = size_add(at, size_mul(one, opt->n_threads));
    }
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
        if (j == CPU_MAX_ROPES)
            return error_set(err, INGLE_ERR_UNSUPPORTED, "more than %d kinds of rotation", CPU_MAX_ROPES);
        c->ropes[c->n_ropes++] = (cpu_rope_table){r->theta, r->scale, r->n_rot / 2, NULL};
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
    return size_mul(size_add(size_mul(c->k_row, c->k_ctx), size_mul(c->v_row, opt->n_ctx)), g->sizes.n_layers);
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
    c->k_tiled = c->kernels.tiles_keys && opt->k_format == QUANT_F16 && g->sizes.d_head % 16 == 0;
    c->k_ctx = c->k_tiled ? size_add(opt->n_ctx, CPU_KEY_BLOCK - 1) / CPU_KEY_BLOCK * CPU_KEY_BLOCK : opt->n_ctx;
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
    if (status == INGLE_OK) {
        *out = (cpu_needs){kv_bytes(&c, g, opt), lay_out(&c, g, opt, NULL), 0, 0, c.kernels.name};
        out->packed = cpu_weights_bytes(g, &c.kernels, &out->replaced);
    }
    return status;
}

/* ---- weights: shared by a model's sessions, a list --------------------------------- */

struct cpu_shared {
    cpu_shared *next;
    ingle_allocator allocator;
    const char *path;
    cpu_weights *weights;
};

void cpu_shared_free(void *list)
{
    for (cpu_shared *s = list; s;) {
        cpu_shared *next = s->next;
        const ingle_allocator a = s->allocator;
        cpu_weights_close(s->weights);
        mem_free(&a, s);
        s = next;
    }
}

bool cpu_shared_row(const void *list, const void *data, uint64_t row, uint8_t *out)
{
    for (const cpu_shared *s = list; s; s = s->next)
        if (cpu_weights_row(s->weights, data, row, out))
            return true;
    return false;
}

/* Paths that pack the same matrices share them. What was packed in place serves every path that can read
 * it, and no other. */
static ingle_status find_weights(cpu *c, cpu_shared **list, ingle_error *err)
{
    for (cpu_shared *s = *list; s; s = s->next) {
        const bool only = cpu_weights_in_place(s->weights);
        if (cpu_weights_suit(s->weights, &c->kernels) || (only && cpu_weights_serve(s->weights, &c->kernels))) {
            c->weights = s->weights;
            return INGLE_OK;
        }
        if (only)
            return error_set(err, INGLE_ERR_USAGE, "the weights are packed for the path %s, which %s cannot read", s->path,
                             c->kernels.name);
    }
    const cpu_source source = *list && c->opt.source == CPU_OWNED ? CPU_SHARED : c->opt.source;
    cpu_shared *s = mem_zero(&c->allocator, 1, sizeof *s);
    if (!s)
        return error_memory(err, sizeof *s, "packed weights");
    *s = (cpu_shared){.next = *list, .allocator = c->allocator, .path = c->kernels.name};
    const ingle_status status =
        cpu_weights_open(&s->weights, c->graph, &c->kernels, c->pool, source, &c->allocator, err);
    if (status != INGLE_OK) {
        mem_free(&c->allocator, s);
        return status;
    }
    c->weights = s->weights;
    *list = s;
    return INGLE_OK;
}

/* ---- opening and closing ------------------------------------------------------------------------ */

static ingle_status allocate(cpu *c, ingle_error *err)
{
    const size_t bytes = size_add(lay_out(c, c->graph, &c->opt, NULL), CPU_ALIGN);
    const size_t kv = kv_bytes(c, c->graph, &c->opt);
    c->kv = mem_zero(&c->allocator, kv, 1); // pages that no token has reached yet cost nothing
    if (!c->kv)
        return error_memory(err, kv, "the KV cache");
    c->block = mem_alloc(&c->allocator, bytes);
    c->pool = c->block ? pool_open(c->opt.n_threads, &c->allocator) : NULL;
    if (!c->pool)
        return error_memory(err, bytes, "activations");
    lay_out(c, c->graph, &c->opt, (uint8_t *)c->block + (CPU_ALIGN - (uintptr_t)c->block % CPU_ALIGN) % CPU_ALIGN);
    memset(c->steps, 0, c->graph->n_ops * sizeof *c->steps);
    return INGLE_OK;
}

ingle_status cpu_open(cpu **out, const graph *g, const cpu_options *opt, cpu_shared **shared,
                      const ingle_allocator *a, ingle_error *err)
{
    *out = NULL;
    cpu *c = mem_zero(a, 1, sizeof *c);
    if (!c)
        return error_memory(err, sizeof *c, "a CPU backend");
    c->allocator = *a;
    ingle_status status = prepare(c, g, opt, err);
    if (status == INGLE_OK)
        status = allocate(c, err);
    if (status == INGLE_OK)
        status = find_weights(c, shared, err);
    if (status == INGLE_OK) {
        cpu_plan_steps(c);
        *out = c;
    } else {
        cpu_close(c);
    }
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

/* ---- runs ------------------------------------------------------------------------------------- */

static void run_body(void *arg, uint32_t thread)
{
    cpu *c = arg;
    cpu_fill_ropes(c, thread);
    for (size_t i = 0; i + 1 < c->graph->n_ops; i++) {
        const graph_op *op = &c->graph->ops[i];
        switch (op->kind) {
        case GRAPH_EMBED:
            cpu_embed(c, &op->u.embed, thread);
            break;
        case GRAPH_NORM:
            cpu_norm(c, &op->u.norm, thread);
            break;
        case GRAPH_LINEAR:
            cpu_ask_new_lines(c, op, thread);
            cpu_linear(c, op, 0, c->n, NULL, thread);
            break;
        case GRAPH_ROPE_KV:
            cpu_rope_kv(c, op, thread);
            break;
        case GRAPH_ATTEND:
            cpu_attend(c, op, thread);
            break;
        case GRAPH_OP_COUNT:
            break;
        }
    }
}

static void run_head(void *arg, uint32_t thread)
{
    cpu *c = arg;
    cpu_linear(c, &c->graph->ops[c->graph->n_ops - 1], c->head_row, c->head_rows, c->logits,
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
