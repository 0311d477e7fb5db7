/* A graph as steps of the GPU backend. */
#include <math.h>

#include "base/error.h"
#include "gpu/gpu_impl.h"
#include "gpu/op_matvec.h"

static const graph_tensor *tensor(const gpu *g, graph_weight w)
{
    return &g->graph->tensors[w];
}

/* ---- vectors and tables ----------------------------------------------------------------------- */

/* A vector as it is in the file, f32. */
static gpu_slice vector(gpu *g, graph_weight w, ingle_status *status, ingle_error *err)
{
    if (w < 0)
        return (gpu_slice){0};
    const matrix_source order = {.n_tensors = 1};
    return gpu_shared_vector(g->shared, &w, &order, tensor(g, w)->name, status, err);
}

static const graph_rope *rope_of(const gpu *g)
{
    for (size_t i = 0; i < g->graph->n_ops; i++) {
        const graph_op *op = &g->graph->ops[i];
        if (op->kind == GRAPH_ROPE_KV && op->u.rope_kv.rope.kind != GRAPH_ROPE_NONE)
            return &op->u.rope_kv.rope;
    }
    return NULL;
}

/* Cosine and sine of each position's angles, [n_ctx][n_rot / 2]. */
ingle_status gpu_upload_rope(gpu *g, ingle_error *err)
{
    enum { ROWS = 64 };
    const graph_rope *rope = rope_of(g);
    if (!rope)
        return INGLE_OK;
    const uint32_t half = rope->n_rot / 2;
    const size_t row = (size_t)half * 2;
    float *rows = mem_alloc(&g->allocator, size_mul(ROWS * sizeof *rows, row));
    if (!rows)
        return error_memory(err, ROWS * row * sizeof *rows, "a table of rotations");
    ingle_status status = INGLE_OK;
    for (uint32_t first = 0; status == INGLE_OK && first < g->opt.n_ctx; first += ROWS) {
        const uint32_t n = g->opt.n_ctx - first < ROWS ? g->opt.n_ctx - first : ROWS;
        for (uint32_t p = 0; p < n; p++)
            for (uint32_t i = 0; i < half; i++) {
                const double angle = (double)(first + p) * (double)rope->theta[i];
                rows[p * row + 2 * i] = (float)cos(angle) * rope->scale;
                rows[p * row + 2 * i + 1] = (float)sin(angle) * rope->scale;
            }
        recorder_write(g->r, gpu_part(g->rope, first * row * sizeof *rows, 0), rows, n * row * sizeof *rows);
        status = recorder_play(g->r, err);
    }
    mem_free(&g->allocator, rows);
    return status;
}

static bool alike(const matrix_source *s)
{
    for (uint32_t i = 1; i < s->n_tensors; i++)
        if (s->tensors[i]->format != s->tensors[0]->format || s->tensors[i]->cols != s->tensors[0]->cols)
            return false;
    return true;
}

/* ---- steps ------------------------------------------------------------------------------------ */

static void lower_norm(gpu *g, gpu_step *st, const graph_norm *n, ingle_status *status, ingle_error *err)
{
    if (n->kind == GRAPH_NORM_NONE)
        return;
    st->gain = vector(g, n->weight, status, err);
    st->gain_bias = vector(g, n->bias, status, err);
}

/* Q, K and V with their rotation. Formats that differ make matrices of their own. */
static void lower_qkv(gpu *g, gpu_step *st, const graph_linear *l, const graph_rope_kv *turn, ingle_status *status,
                      ingle_error *err)
{
    const graph_sizes *sizes = &g->graph->sizes;
    matrix_source all = {.n_tensors = 3,
                         .order = turn->rope.kind == GRAPH_ROPE_HALVES ? MATRIX_PAIRS : MATRIX_ROWS,
                         .n_paired = 2,
                         .d_head = sizes->d_head,
                         .n_rot = turn->rope.n_rot};
    for (int i = 0; i < 3; i++)
        all.tensors[i] = tensor(g, l->weight[i]);
    st->kind = GPU_QKV;
    st->turn = turn;
    st->n_w = alike(&all) ? 1 : 3;
    for (uint32_t i = 0; i < st->n_w; i++) {
        matrix_source own = all;
        if (st->n_w > 1) {
            own.n_tensors = 1;
            own.tensors[0] = all.tensors[i];
            own.order = i < 2 ? all.order : MATRIX_ROWS;
        }
        st->w[i] = gpu_shared_matrix(g->shared, &own, status, err);
        st->bias[i] = gpu_shared_vector(g->shared, l->bias + i, &own, "qkv bias", status, err);
    }
    const graph_weight norms[2] = {turn->q_norm, turn->k_norm};
    matrix_source heads = all;
    heads.n_tensors = heads.n_paired = 2;
    heads.tensors[0] = heads.tensors[1] = &g->shared->head;
    st->head_gains = gpu_shared_vector(g->shared, norms, &heads, "head norms", status, err);
}

/* Whether what a step gives goes to the next one as it is, and nowhere else. */
static bool goes_on(const gpu *g, const gpu_step *st)
{
    const gpu_step *next = st + 1;
    const bool attends = st->kind == GPU_ATTEND;
    if (next == g->steps + g->n_steps || next->kind != GPU_LINEAR || (!attends && st->kind != GPU_LINEAR))
        return false;
    const graph_value v = attends ? st->op->u.attend.out : st->op->u.linear.out[0];
    const graph_linear *l = &next->op->u.linear;
    return l->in == v && l->epilogue == GRAPH_ADD && l->norm.kind == GRAPH_NORM_NONE &&
           g->graph->values[v].last == next->op - g->graph->ops;
}

static void fuse_with_next(const gpu *g, gpu_step *st)
{
    st->rounds = st->merges = false;
    if (!goes_on(g, st))
        return;
    const gpu_matrix *w = st[1].w[0];
    const graph_sizes *s = &g->graph->sizes;
    const bool takes = w->cols % 32 == 0 && matvec_takes_rounded(g->r, w); // whole blocks
    if (st->kind == GPU_ATTEND) {
        st->rounds = s->d_head % 16 == 0 && takes;
        st->merges = matvec_takes_merge(g->r, w);
    } else {
        const graph_epilogue e = st->op->u.linear.epilogue;
        st->rounds = (e == GRAPH_GATE_SILU || e == GRAPH_GATE_GELU) && takes &&
                     matvec_gives_rounded(g->r, st->w[0], e == GRAPH_GATE_SILU ? MATVEC_GATE_SILU : MATVEC_GATE_GELU);
    }
}

/* Whether a decoding QKV rotates and writes the cache itself. */
static bool fuses_rotation(const gpu *g, const gpu_step *st)
{
    const uint32_t n_bindings = st->bias[0].bytes ? 10 : 9; // not every GPU has more than 8
    return st->kind == GPU_QKV && st->n_w == 1 && g->shared->player.limits.max_bindings >= n_bindings &&
           !st->head_gains.bytes && st->op->u.linear.norm.kind == GRAPH_NORM_RMS &&
           matvec_takes_norm(g->r, st->w[0], MATVEC_QKV) && g->opt.k_format == QUANT_F16 &&
           g->opt.v_format == QUANT_F16;
}

void gpu_fuse(gpu *g)
{
    for (size_t i = 0; i < g->n_steps; i++) {
        fuse_with_next(g, &g->steps[i]);
        g->steps[i].fused = fuses_rotation(g, &g->steps[i]);
    }
}

static void lower_linear(gpu *g, gpu_step *st, const graph_linear *l, ingle_status *status, ingle_error *err)
{
    matrix_source s = {.n_tensors = l->n_out, .order = MATRIX_ROWS};
    for (uint32_t i = 0; i < l->n_out; i++)
        s.tensors[i] = tensor(g, l->weight[i]);
    st->kind = GPU_LINEAR;
    st->n_w = 1;
    if (l->n_out > 1)
        s.order = MATRIX_INTERLEAVED;
    const bool gate = l->epilogue == GRAPH_GATE_SILU || l->epilogue == GRAPH_GATE_GELU;
    if (*status == INGLE_OK && (l->n_out != (gate ? 2u : 1u) || !alike(&s)))
        *status = error_set(err, INGLE_ERR_UNSUPPORTED, "%s: matrices of formats that differ, on a GPU", st->label);
    st->w[0] = gpu_shared_matrix(g->shared, &s, status, err);
    st->bias[0] = gpu_shared_vector(g->shared, l->bias, &s, "bias", status, err);
}

static gpu_slice value_of(const gpu *g, graph_value v)
{
    return v < 0 ? (gpu_slice){0} : g->values[v];
}

/* Steps for op i; how many ops it took. */
static size_t lower_op(gpu *g, size_t i, ingle_status *status, ingle_error *err)
{
    const graph_op *op = &g->graph->ops[i];
    const graph_op *next = i + 1 < g->graph->n_ops ? op + 1 : NULL;
    gpu_step *st = &g->steps[g->n_steps++];
    *st = (gpu_step){.op = op, .label = op->label};
    switch (op->kind) {
    case GRAPH_EMBED: {
        const matrix_source s = {.tensors = {tensor(g, op->u.embed.table)}, .n_tensors = 1};
        st->kind = GPU_EMBED;
        st->n_w = 1;
        st->w[0] = gpu_shared_matrix(g->shared, &s, status, err);
        st->out = value_of(g, op->u.embed.out);
        return 1;
    }
    case GRAPH_NORM:
        st->kind = GPU_NORM;
        lower_norm(g, st, &op->u.norm.norm, status, err);
        st->in = value_of(g, op->u.norm.in);
        st->out = value_of(g, op->u.norm.out);
        return 1;
    case GRAPH_LINEAR: {
        const graph_linear *l = &op->u.linear;
        lower_norm(g, st, &l->norm, status, err);
        st->in = value_of(g, l->in);
        st->out = value_of(g, l->out[0]);
        if (next && next->kind == GRAPH_ROPE_KV && l->n_out == 3 && l->out[0] == next->u.rope_kv.q &&
            l->out[1] == next->u.rope_kv.k && l->out[2] == next->u.rope_kv.v) {
            lower_qkv(g, st, l, &next->u.rope_kv, status, err);
            return 2;
        }
        lower_linear(g, st, l, status, err);
        return 1;
    }
    case GRAPH_ATTEND:
        st->kind = GPU_ATTEND;
        st->in = g->q;
        st->out = value_of(g, op->u.attend.out);
        return 1;
    case GRAPH_ROPE_KV:
    case GRAPH_OP_COUNT:
        break;
    }
    *status = error_set(err, INGLE_ERR_UNSUPPORTED, "op %s: not on a GPU", op->label);
    return 1;
}

/* ---- memory ----------------------------------------------------------------------------------- */

/* Values with one place in the plan are one buffer: they are never alive together. The logits are not in
 * the plan. */
static void open_values(gpu *g)
{
    const graph *gr = g->graph;
    const size_t logits = (size_t)gr->ops[gr->n_ops - 1].u.linear.out[0];
    for (size_t i = 0; i < gr->n_values; i++) {
        uint64_t width = 0;
        size_t same = i;
        for (size_t j = gr->n_values; j-- > 0;)
            if (j != logits && gr->values[j].offset == gr->values[i].offset) {
                width = gr->values[j].width > width ? gr->values[j].width : width;
                same = j;
            }
        if (i == logits) {
            g->values[i] = g->logits;
            continue;
        }
        const uint64_t floats = (width + 3) / 4 * 4 * (uint64_t)g->opt.n_batch;
        g->values[i] = same < i ? g->values[same] : recorder_buffer(g->r, floats * sizeof(float), gr->values[i].name);
    }
}

/* One table serves all layers. */
static ingle_status check_rope(const gpu *g, ingle_error *err)
{
    const graph_rope *rope = rope_of(g);
    for (size_t i = 0; i < g->graph->n_ops; i++) {
        const graph_op *op = &g->graph->ops[i];
        if (op->kind == GRAPH_ROPE_KV && op->u.rope_kv.rope.kind != GRAPH_ROPE_NONE && op->u.rope_kv.rope.theta != rope->theta)
            return error_set(err, INGLE_ERR_UNSUPPORTED, "layers that turn in different ways, on a GPU");
    }
    return INGLE_OK;
}

ingle_status gpu_lower(gpu *g, ingle_error *err)
{
    const graph_rope *rope = rope_of(g);
    ingle_status status = check_rope(g, err);
    if (status == INGLE_OK && rope) {
        g->n_rope = rope->n_rot;
        g->rope = recorder_buffer(g->r, (uint64_t)g->opt.n_ctx * (rope->n_rot / 2 * 2) * sizeof(float), "rope");
        if (!g->shared->awaits) // else its frequencies may be among what is to come
            status = gpu_upload_rope(g, err);
    }
    open_values(g);
    for (size_t i = 0; status == INGLE_OK && i < g->graph->n_ops;)
        i += lower_op(g, i, &status, err);
    if (status == INGLE_OK)
        gpu_fuse(g);
    return status;
}
