/* The steps of the GPU backend as dispatches: for one token, whose kernels find everything that changes in
 * `state`, and for many. */
#include "gpu/gpu_impl.h"
#include "gpu/op_attend.h"
#include "gpu/op_embed.h"
#include "gpu/op_matmul.h"
#include "gpu/op_matvec.h"
#include "gpu/op_norm.h"
#include "gpu/op_rope_kv.h"

static uint32_t q_width(const gpu *g)
{
    return g->graph->sizes.n_heads * g->graph->sizes.d_head;
}

static uint32_t kv_width(const gpu *g)
{
    return g->graph->sizes.n_kv_heads * g->graph->sizes.d_head;
}

static uint32_t qkv_width(const gpu *g)
{
    return q_width(g) + 2 * kv_width(g);
}

/* Where in a row of qkv the result of a QKV step's matrix i goes. */
static uint32_t qkv_first(const gpu *g, uint32_t i)
{
    return i == 0 ? 0 : i == 1 ? q_width(g) : q_width(g) + kv_width(g);
}

/* ---- what both share -------------------------------------------------------------------------- */

static void embed(gpu *g, const gpu_step *st, uint32_t n_tokens)
{
    const embed_op op = {.label = "embed",
                         .table = st->w[0],
                         .scale = st->op->u.embed.scale,
                         .state = g->state,
                         .ids = g->ids,
                         .out = st->out,
                         .n_tokens = n_tokens};
    op_embed(g->r, &op);
}

/* The step's norm of its input: f32 to `out`, or int8 to g->rounded where out is absent. */
static void norm(gpu *g, const gpu_step *st, const graph_norm *n, uint32_t width, gpu_slice out, uint32_t n_tokens)
{
    const norm_op op = {.label = n->kind == GRAPH_NORM_NONE ? "round" : "norm",
                        .kind = n->kind,
                        .width = width,
                        .eps = n->eps,
                        .gain = st->gain,
                        .bias = st->gain_bias,
                        .state = g->state,
                        .x = st->in,
                        .out = out,
                        .rounded = gpu_rounded_in(g->rounded, width, g->opt.n_batch)};
    op_norm(g->r, &op, n_tokens);
}

static void rope_kv(gpu *g, const gpu_step *st, uint32_t n_tokens)
{
    const graph_rope_kv *turn = st->turn;
    const bool turns = turn->rope.kind != GRAPH_ROPE_NONE;
    const rope_kv_op op = {.label = "rope_kv",
                           .kv = g->kv,
                           .n_heads = g->graph->sizes.n_heads,
                           .n_tokens = n_tokens,
                           .kind = turns ? GRAPH_ROPE_PAIRS : GRAPH_ROPE_NONE, // rows are in pair order
                           .n_rot = turn->rope.n_rot,
                           .state = g->state,
                           .qkv = g->qkv,
                           .out = g->q,
                           .rope = g->rope,
                           .norm_q = turn->q_norm >= 0,
                           .norm_k = turn->k_norm >= 0,
                           .norms = st->head_gains,
                           .norm_eps = turn->norm_eps,
                           .k_cache = g->k_cache[turn->layer],
                           .v_cache = g->v_cache[turn->layer]};
    op_rope_kv(g->r, &op);
}

static attend_op attend_op_of(const gpu *g, const gpu_step *st, uint32_t n_tokens, uint32_t max_positions)
{
    const graph_attend *a = &st->op->u.attend;
    return (attend_op){.label = "attend",
                          .kv = g->kv,
                          .n_heads = g->graph->sizes.n_heads,
                          .n_tokens = n_tokens,
                          .max_positions = max_positions,
                          .window = a->window,
                          .scale = a->scale,
                          .state = g->state,
                          .q = g->q,
                          .k_cache = g->k_cache[a->layer],
                          .v_cache = g->v_cache[a->layer],
                          .out = st->out,
                          .partials = g->partials};
}

/* Where a single token's input of that width is that was rounded. */
static gpu_rounded rounded_one(const gpu *g, uint64_t width)
{
    return gpu_rounded_in(g->rounded, width, 1);
}

/* ---- one token -------------------------------------------------------------------------------- */

/* A product with its norm inside where that fits, else after a dispatch of its own. */
static void product_one(gpu *g, const gpu_step *st, uint32_t i, matvec_op *op)
{
    const graph_norm *n = &st->op->u.linear.norm;
    op->w = st->w[i];
    op->x = st->in;
    op->bias = st->bias[i];
    if (n->kind == GRAPH_NORM_RMS && matvec_takes_norm(g->r, st->w[i], op->epilogue)) {
        op->gain = st->gain;
        op->eps = n->eps;
    } else if (n->kind != GRAPH_NORM_NONE) {
        norm(g, st, n, (uint32_t)st->w[i]->cols, g->normed, 1);
        op->x = g->normed;
    }
    op_matvec(g->r, op);
}

static void qkv_one(gpu *g, const gpu_step *st)
{
    if (st->fused) {
        matvec_op op = {.label = "qkv",
                        .epilogue = MATVEC_QKV,
                        .out = g->q,
                        .state = g->state,
                        .rope = g->rope,
                        .k_cache = g->k_cache[st->turn->layer],
                        .v_cache = g->v_cache[st->turn->layer],
                        .kv = g->kv,
                        .n_heads = g->graph->sizes.n_heads,
                        .n_rot = st->turn->rope.kind == GRAPH_ROPE_NONE ? 0 : st->turn->rope.n_rot};
        product_one(g, st, 0, &op);
        return;
    }
    for (uint32_t i = 0; i < st->n_w; i++) {
        matvec_op op = {.label = "qkv", .epilogue = MATVEC_STORE, .out = g->qkv, .out_first = qkv_first(g, i)};
        product_one(g, st, i, &op);
    }
    rope_kv(g, st, 1);
}

/* Splits of attention that the product after it merges: more take longer there than a dispatch of their own. */
enum { MOST_MERGED = 16 };

static bool leaves_splits(const gpu *g, const gpu_step *st, const attend_op *op)
{
    const uint32_t splits = attend_splits(g->r, op);
    return st->merges && splits > 1 && splits <= MOST_MERGED;
}

bool gpu_merges(const gpu *g, const gpu_step *st, uint32_t max_positions)
{
    if (st == g->steps || st[-1].kind != GPU_ATTEND || max_positions == 0)
        return false;
    const attend_op attention = attend_op_of(g, st - 1, 1, max_positions);
    return leaves_splits(g, st - 1, &attention);
}

static void attend_one(gpu *g, const gpu_step *st, uint32_t max_positions)
{
    attend_op op = attend_op_of(g, st, 1, max_positions);
    op.leave_partials = leaves_splits(g, st, &op);
    if (st->rounds && !op.leave_partials)
        op.rounded = rounded_one(g, (uint64_t)op.n_heads * op.kv.d_head);
    op_attend(g->r, &op);
}

matvec_epilogue gpu_epilogue(const gpu_step *st)
{
    static const matvec_epilogue epilogues[] = {MATVEC_STORE, MATVEC_ADD, MATVEC_GATE_SILU, MATVEC_GATE_GELU};
    if (st->kind == GPU_QKV)
        return st->fused ? MATVEC_QKV : MATVEC_STORE;
    return epilogues[st->op->u.linear.epilogue];
}

static void linear_one(gpu *g, const gpu_step *st, uint32_t max_positions)
{
    static const char *const labels[] = {"product", "product, add", "gate, up", "gate, up"};
    const graph_epilogue e = st->op->u.linear.epilogue;
    matvec_op op = {.label = labels[e], .epilogue = gpu_epilogue(st), .out = st->out, .state = g->state};
    const gpu_step *before = st - 1; // the first step is the embedding
    attend_op attention;
    if (gpu_merges(g, st, max_positions)) {
        attention = attend_op_of(g, before, 1, max_positions);
        op.merge = &attention;
    } else if (before->rounds) {
        op.rounded = rounded_one(g, st->w[0]->cols);
    }
    if (st->rounds)
        op.out_rounded = rounded_one(g, st->w[0]->rows / 2);
    product_one(g, st, 0, &op);
}

void gpu_record_one(gpu *g, uint32_t max_positions)
{
    for (size_t i = 0; i + 1 < g->n_steps; i++) {
        const gpu_step *st = &g->steps[i];
        switch (st->kind) {
        case GPU_EMBED:
            embed(g, st, 1);
            break;
        case GPU_NORM:
            norm(g, st, &st->op->u.norm.norm, g->graph->values[st->op->u.norm.in].width, st->out, 1);
            break;
        case GPU_QKV:
            qkv_one(g, st);
            break;
        case GPU_LINEAR:
            linear_one(g, st, max_positions);
            break;
        case GPU_ATTEND:
            attend_one(g, st, max_positions);
            break;
        }
    }
}

void gpu_record_head(gpu *g, gpu_slice x)
{
    gpu_step head = g->steps[g->n_steps - 1];
    matvec_op op = {.label = "head", .epilogue = MATVEC_STORE, .out = g->logits};
    head.in = x;
    product_one(g, &head, 0, &op);
}

void gpu_record_products(gpu *g, const gpu_step *st, uint32_t max_positions)
{
    if (st->kind == GPU_QKV)
        qkv_one(g, st);
    else if (st + 1 == g->steps + g->n_steps)
        gpu_record_head(g, g->hidden);
    else
        linear_one(g, st, max_positions);
}

/* ---- many tokens ------------------------------------------------------------------------------ */

/* Products of one input: it is normed, and rounded where the products multiply int8, once. */
static void products_many(gpu *g, const gpu_step *st, matmul_op *op, uint32_t n_tokens)
{
    const graph_norm *n = &st->op->u.linear.norm;
    const uint32_t width = (uint32_t)st->w[0]->cols;
    bool has_int8 = false, has_floats = false;
    for (uint32_t i = 0; i < st->n_w; i++) {
        const bool int8 = !matmul_takes_matrices(g->r, st->w[i], n_tokens) && matmul_takes_int8(g->r, st->w[i]);
        has_int8 = has_int8 || int8;
        has_floats = has_floats || !int8;
    }
    op->state = g->state;
    op->x = st->in;
    op->rounded = gpu_rounded_in(g->rounded, width, g->opt.n_batch);
    if (has_int8)
        norm(g, st, n, width, (gpu_slice){0}, n_tokens);
    if (has_floats && n->kind != GRAPH_NORM_NONE) {
        norm(g, st, n, width, g->normed, n_tokens);
        op->x = g->normed;
    }
    for (uint32_t i = 0; i < st->n_w; i++) {
        op->w = st->w[i];
        op->matrices = matmul_takes_matrices(g->r, st->w[i], n_tokens);
        op->bias = st->bias[i];
        op->out_first = st->kind == GPU_QKV ? qkv_first(g, i) : 0;
        op_matmul(g->r, op, n_tokens);
    }
}

void gpu_record_many(gpu *g, uint32_t n_tokens, uint32_t max_positions)
{
    for (size_t i = 0; i + 1 < g->n_steps; i++) {
        const gpu_step *st = &g->steps[i];
        switch (st->kind) {
        case GPU_EMBED:
            embed(g, st, n_tokens);
            break;
        case GPU_NORM:
            norm(g, st, &st->op->u.norm.norm, g->graph->values[st->op->u.norm.in].width, st->out, n_tokens);
            break;
        case GPU_QKV: {
            matmul_op op = {.label = "qkv", .epilogue = GRAPH_STORE, .out = g->qkv, .out_width = qkv_width(g)};
            products_many(g, st, &op, n_tokens);
            rope_kv(g, st, n_tokens);
            break;
        }
        case GPU_LINEAR: {
            matmul_op op = {.label = st->op->u.linear.epilogue == GRAPH_ADD ? "product, add" : "product",
                            .epilogue = st->op->u.linear.epilogue,
                            .out = st->out};
            products_many(g, st, &op, n_tokens);
            break;
        }
        case GPU_ATTEND: {
            const attend_op op = attend_op_of(g, st, n_tokens, max_positions);
            op_attend(g->r, &op);
            break;
        }
        }
    }
}
