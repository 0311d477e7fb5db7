#include "graph/graph.h"

#include <stdio.h>

#include "base/error.h"
#include "quant/quant.h"

void graph_init(graph *g, const graph_sizes *sizes, const ingle_allocator *a)
{
    memset(g, 0, sizeof *g);
    g->sizes = *sizes;
    g->memory.allocator = *a;
    g->hidden = GRAPH_NONE;
}

void graph_free(graph *g)
{
    const ingle_allocator *a = &g->memory.allocator;
    mem_free(a, g->ops);
    mem_free(a, g->values);
    mem_free(a, g->tensors);
    g->ops = NULL;
    g->values = NULL;
    g->tensors = NULL;
    arena_free(&g->memory);
}

/* Room for one more item at the end of an array; false (and sticky) when memory runs out. */
static bool grow(graph *g, void **items, size_t n, size_t *capacity, size_t size)
{
    if (g->status != INGLE_OK)
        return false;
    void *moved = mem_grow(&g->memory.allocator, *items, n, capacity, size);
    if (!moved) {
        g->status = INGLE_ERR_MEMORY;
        return false;
    }
    *items = moved;
    return true;
}

graph_value graph_add_value(graph *g, const char *name, uint64_t width)
{
    void *items = g->values;
    if (!grow(g, &items, g->n_values, &g->values_capacity, sizeof *g->values))
        return 0;
    g->values = items;
    g->values[g->n_values] = (graph_value_info){name, (uint32_t)width, -1, -1, 0};
    return (graph_value)g->n_values++;
}

graph_weight graph_add_tensor(graph *g, const graph_tensor *t)
{
    void *items = g->tensors;
    if (!grow(g, &items, g->n_tensors, &g->tensors_capacity, sizeof *g->tensors))
        return 0;
    g->tensors = items;
    g->tensors[g->n_tensors] = *t;
    return (graph_weight)g->n_tensors++;
}

graph_op *graph_add_op(graph *g, graph_op_kind kind, const char *label, uint32_t layer)
{
    void *items = g->ops;
    if (grow(g, &items, g->n_ops, &g->ops_capacity, sizeof *g->ops)) {
        g->ops = items;
        char text[48];
        if (layer == GRAPH_NO_LAYER)
            snprintf(text, sizeof text, "%s", label);
        else
            snprintf(text, sizeof text, "layer %u %s", layer, label);
        graph_op *op = &g->ops[g->n_ops];
        memset(op, 0, sizeof *op);
        op->kind = kind;
        op->label = arena_text(&g->memory, text, strlen(text));
        if (op->label) {
            g->n_ops++;
            return op;
        }
        g->status = INGLE_ERR_MEMORY;
    }
    g->spare = (graph_op){.kind = kind};
    return &g->spare;
}

void graph_add_head(graph *g, const graph_norm *norm, graph_value in, graph_weight w)
{
    const graph_value logits = graph_add_value(g, "logits", g->sizes.n_vocab);
    graph_op *op = graph_add_op(g, GRAPH_LINEAR, "head", GRAPH_NO_LAYER);
    op->u.linear = (graph_linear){.norm = *norm,
                                  .in = in,
                                  .n_out = 1,
                                  .weight = {w, GRAPH_NONE, GRAPH_NONE},
                                  .bias = {GRAPH_NONE, GRAPH_NONE, GRAPH_NONE},
                                  .out = {logits, GRAPH_NONE, GRAPH_NONE}};
    g->hidden = in;
}

size_t graph_operands(const graph_op *op, graph_value out[GRAPH_MAX_OPERANDS])
{
    size_t n = 0;
    switch (op->kind) {
    case GRAPH_EMBED:
        out[n++] = op->u.embed.out;
        break;
    case GRAPH_NORM:
        out[n++] = op->u.norm.in;
        out[n++] = op->u.norm.out;
        break;
    case GRAPH_LINEAR:
        out[n++] = op->u.linear.in;
        for (uint32_t i = 0; i < op->u.linear.n_out; i++)
            if (op->u.linear.out[i] >= 0)
                out[n++] = op->u.linear.out[i];
        break;
    case GRAPH_ROPE_KV:
        out[n++] = op->u.rope_kv.q;
        out[n++] = op->u.rope_kv.k;
        out[n++] = op->u.rope_kv.v;
        break;
    case GRAPH_ATTEND:
        out[n++] = op->u.attend.q;
        out[n++] = op->u.attend.out;
        break;
    case GRAPH_OP_COUNT:
        break;
    }
    return n;
}

/* ---- checks: our own builders' mistakes, found at load and named ------------------------------ */

static uint32_t width(const graph *g, graph_value v)
{
    return v < 0 ? 0 : g->values[v].width;
}

static bool weight_is(const graph *g, graph_weight w, uint64_t rows, uint64_t cols)
{
    return w >= 0 && g->tensors[w].rows == rows && g->tensors[w].cols == cols;
}

static bool norm_fits(const graph *g, const graph_norm *n, uint32_t cols)
{
    return n->kind == GRAPH_NORM_NONE || (weight_is(g, n->weight, 1, cols) &&
                                          (n->bias < 0 || weight_is(g, n->bias, 1, cols)));
}

static bool linear_fits(const graph *g, const graph_linear *l)
{
    const bool gate = l->epilogue == GRAPH_GATE_SILU || l->epilogue == GRAPH_GATE_GELU;
    bool fits = l->n_out >= 1 && l->n_out <= GRAPH_MAX_OUT && (!gate || l->n_out == 2) &&
                norm_fits(g, &l->norm, width(g, l->in));
    for (uint32_t i = 0; fits && i < l->n_out; i++) {
        const graph_value out = l->out[gate ? 0 : i];
        const uint32_t rows = width(g, out);
        fits = out != l->in && // other threads still read the input
               weight_is(g, l->weight[i], rows, width(g, l->in)) &&
               (l->bias[i] < 0 || weight_is(g, l->bias[i], 1, rows));
    }
    return fits;
}

static bool op_fits(const graph *g, const graph_op *op)
{
    const graph_sizes *s = &g->sizes;
    const uint32_t d_q = s->n_heads * s->d_head, d_kv = s->n_kv_heads * s->d_head;
    switch (op->kind) {
    case GRAPH_EMBED:
        return weight_is(g, op->u.embed.table, s->n_vocab, width(g, op->u.embed.out));
    case GRAPH_NORM:
        return width(g, op->u.norm.in) == width(g, op->u.norm.out) &&
               norm_fits(g, &op->u.norm.norm, width(g, op->u.norm.in));
    case GRAPH_LINEAR:
        return linear_fits(g, &op->u.linear);
    case GRAPH_ROPE_KV: {
        const graph_rope_kv *r = &op->u.rope_kv;
        return width(g, r->q) == d_q && width(g, r->k) == d_kv && width(g, r->v) == d_kv &&
               (r->q_norm < 0 || weight_is(g, r->q_norm, 1, s->d_head)) &&
               (r->k_norm < 0 || weight_is(g, r->k_norm, 1, s->d_head)) &&
               r->rope.n_rot <= s->d_head && r->rope.n_rot % 2 == 0 && r->layer < s->n_layers;
    }
    case GRAPH_ATTEND:
        return width(g, op->u.attend.q) == d_q && width(g, op->u.attend.out) == d_q &&
               op->u.attend.layer < s->n_layers;
    case GRAPH_OP_COUNT:
        break;
    }
    return false;
}

/* ---- the plan: values that never live together share memory ----------------------------------- */

static void find_lifetimes(graph *g)
{
    for (size_t i = 0; i < g->n_ops; i++) {
        graph_value used[GRAPH_MAX_OPERANDS];
        const size_t n = graph_operands(&g->ops[i], used);
        for (size_t j = 0; j < n; j++) {
            graph_value_info *v = &g->values[used[j]];
            if (v->first < 0)
                v->first = (int32_t)i;
            v->last = (int32_t)i;
        }
    }
}

static bool overlap(const graph_value_info *a, const graph_value_info *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* First fit, in order of appearance: each value goes to the lowest offset that is clear of every
 * placed value whose life overlaps its own. The logits have a buffer of their own. */
static void plan(graph *g)
{
    const graph_value logits = g->ops[g->n_ops - 1].u.linear.out[0];
    for (graph_value i = 0; i < (graph_value)g->n_values; i++) {
        graph_value_info *v = &g->values[i];
        if (i == logits || v->first < 0)
            continue;
        uint64_t at = 0;
        for (graph_value j = 0; j < i; j++) {
            const graph_value_info *placed = &g->values[j];
            if (j == logits || placed->first < 0 || !overlap(v, placed))
                continue;
            if (at < placed->offset + placed->width && placed->offset < at + v->width) {
                at = placed->offset + placed->width;
                j = -1; // the new place may collide with one looked at before
            }
        }
        v->offset = at;
        if (at + v->width > g->plan_width)
            g->plan_width = at + v->width;
    }
}

ingle_status graph_finish(graph *g, ingle_error *err)
{
    if (g->status != INGLE_OK)
        return error_set(err, g->status, "graph: no room for its ops");
    const graph_op *last = g->n_ops ? &g->ops[g->n_ops - 1] : NULL;
    if (!last || last->kind != GRAPH_LINEAR || g->hidden < 0 || last->u.linear.in != g->hidden ||
        width(g, last->u.linear.out[0]) != g->sizes.n_vocab)
        return error_set(err, INGLE_ERR_INTERNAL, "graph: it does not end in a head");
    for (size_t i = 0; i < g->n_ops; i++) {
        const graph_op *op = &g->ops[i];
        if (!op_fits(g, op))
            return error_set(err, INGLE_ERR_INTERNAL, "graph: the widths of %s do not fit",
                             op->label);
        if (op->kind != GRAPH_LINEAR)
            continue;
        if (width(g, op->u.linear.in) > g->in_width)
            g->in_width = width(g, op->u.linear.in);
        for (uint32_t j = 0; j < op->u.linear.n_out; j++)
            g->tensors[op->u.linear.weight[j]].multiplied = true;
    }
    find_lifetimes(g);
    plan(g);
    return INGLE_OK;
}
