/* The printer: what a person reads to see what a model computes. Its text is compared in tests, so
 * a change here shows as a change there. */
#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"
#include "graph/graph.h"
#include "quant/quant.h"

static bool add(ingle_text *out, const char *fmt, ...) INGLE_PRINTF(2, 3);

static bool add(ingle_text *out, const char *fmt, ...)
{
    char line[256];
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    return n >= 0 && text_add(out, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static bool add_value(const graph *g, ingle_text *out, graph_value v)
{
    return add(out, " %s[%u]", g->values[v].name, g->values[v].width);
}

static bool add_weight(const graph *g, ingle_text *out, graph_weight w)
{
    if (w < 0)
        return true;
    const graph_tensor *t = &g->tensors[w];
    const quant_traits *format = quant_find(t->format);
    return add(out, " %s(%s %llux%llu)", t->name, format ? format->name : "?",
               (unsigned long long)t->rows, (unsigned long long)t->cols);
}

static bool add_norm(const graph *g, ingle_text *out, const graph_norm *n)
{
    if (n->kind == GRAPH_NORM_NONE)
        return true;
    return add(out, " %s eps %g", n->kind == GRAPH_NORM_RMS ? "rms" : "layernorm", (double)n->eps) &&
           add_weight(g, out, n->weight) && add_weight(g, out, n->bias);
}

static bool add_linear(const graph *g, ingle_text *out, const graph_linear *l)
{
    static const char *const epilogues[] = {"", " add", " silu(gate)*up", " gelu(gate)*up"};
    bool ok = add_value(g, out, l->in) && add_norm(g, out, &l->norm);
    for (uint32_t i = 0; ok && i < l->n_out; i++) {
        ok = add_weight(g, out, l->weight[i]) && add_weight(g, out, l->bias[i]);
        if (ok && l->out[i] >= 0)
            ok = add(out, " ->") && add_value(g, out, l->out[i]);
    }
    return ok && add(out, "%s", epilogues[l->epilogue]);
}

static bool add_rope_kv(const graph *g, ingle_text *out, const graph_rope_kv *r)
{
    static const char *const kinds[] = {"none", "pairs", "halves"};
    return add_value(g, out, r->q) && add_value(g, out, r->k) && add_value(g, out, r->v) &&
           add_weight(g, out, r->q_norm) && add_weight(g, out, r->k_norm) &&
           add(out, " rope %s %u -> cache %u", kinds[r->rope.kind], r->rope.n_rot, r->layer);
}

static bool add_op(const graph *g, ingle_text *out, const graph_op *op)
{
    static const char *const names[] = {
#define NAME(NAME, field) #field,
        GRAPH_OPS(NAME)
#undef NAME
    };
    if (!add(out, "%-18s %-8s", op->label, names[op->kind]))
        return false;
    switch (op->kind) {
    case GRAPH_EMBED:
        return add_weight(g, out, op->u.embed.table) && add(out, " ->") &&
               add_value(g, out, op->u.embed.out) &&
               (op->u.embed.scale == 1 || add(out, " scale %g", (double)op->u.embed.scale));
    case GRAPH_NORM:
        return add_value(g, out, op->u.norm.in) && add_norm(g, out, &op->u.norm.norm) &&
               add(out, " ->") && add_value(g, out, op->u.norm.out);
    case GRAPH_LINEAR:
        return add_linear(g, out, &op->u.linear);
    case GRAPH_ROPE_KV:
        return add_rope_kv(g, out, &op->u.rope_kv);
    case GRAPH_ATTEND:
        return add_value(g, out, op->u.attend.q) &&
               add(out, " cache %u scale %g", op->u.attend.layer, (double)op->u.attend.scale) &&
               (op->u.attend.window == 0 || add(out, " window %u", op->u.attend.window)) &&
               add(out, " ->") && add_value(g, out, op->u.attend.out);
    case GRAPH_OP_COUNT:
        break;
    }
    return false;
}

bool graph_print(const graph *g, ingle_text *out)
{
    bool ok = true;
    for (size_t i = 0; ok && i < g->n_ops; i++)
        ok = add_op(g, out, &g->ops[i]) && text_add_byte(out, '\n');
    return ok && add(out, "plan: %llu floats a token\n", (unsigned long long)g->plan_width);
}
