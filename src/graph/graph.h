/* The graph: a model's computation as a flat list of fused transformer steps over numbered values.
 *
 * A graph is made once a model, by its family's arch_<family>.c through the functions below, is
 * immutable afterwards and says nothing of batch, context or threads. A value is an activation
 * [n_tokens, width] f32; a weight is a tensor of the file. Backends run the ops in order.
 * Owns its arrays and small converted weights; borrows tensor data. */
#ifndef INGLE_GRAPH_GRAPH_H
#define INGLE_GRAPH_GRAPH_H

#include "base/mem.h"
#include "base/text.h"

typedef int32_t graph_value;  // index into values; GRAPH_NONE = absent
typedef int32_t graph_weight; // index into weights; GRAPH_NONE = absent

enum { GRAPH_NONE = -1, GRAPH_MAX_OUT = 3 };
#define GRAPH_NO_LAYER UINT32_MAX

/* A matrix [rows, cols] of blocks along cols, or a vector (rows = 1) in f32. */
typedef struct {
    const char *name;
    const void *data;
    uint32_t format; // quant id
    uint64_t rows, cols;
    bool multiplied; // a linear multiplies by it (set by graph_finish), so backends may re-pack it
} graph_tensor;

typedef enum { GRAPH_NORM_NONE, GRAPH_NORM_RMS, GRAPH_NORM_LAYER } graph_norm_kind;

/* RMS:   y = x / sqrt(mean(x^2) + eps) * weight
 * LAYER: y = (x - mean) / sqrt(var + eps) * weight + bias */
typedef struct {
    graph_norm_kind kind;
    graph_weight weight, bias; // [width]; bias may be NONE
    float eps;
} graph_norm;

typedef enum {
    GRAPH_STORE,     // out = y
    GRAPH_ADD,       // out += y  (residual)
    GRAPH_GATE_SILU, // weight 0 gives gate, weight 1 up: out[0] = silu(gate) * up
    GRAPH_GATE_GELU  // the same with gelu (tanh form)
} graph_epilogue;

typedef enum { GRAPH_ROPE_NONE, GRAPH_ROPE_PAIRS, GRAPH_ROPE_HALVES } graph_rope_kind;

/* Rotary embedding of the first n_rot values of each head. PAIRS turns (2i, 2i+1), HALVES turns
 * (i, i + n_rot/2), by position * theta[i]; both are scaled by `scale` (YaRN). */
typedef struct {
    graph_rope_kind kind;
    uint32_t n_rot;
    const float *theta; // [n_rot / 2], owned by the graph
    float scale;
} graph_rope;

/* ---- the ops: one struct each, one row in GRAPH_OPS --------------------------------------- */

#define GRAPH_OPS(X) X(EMBED, embed) X(NORM, norm) X(LINEAR, linear) X(ROPE_KV, rope_kv) X(ATTEND, attend)

/* out[t] = table[id[t]] * scale */
typedef struct {
    graph_weight table; // [n_vocab, d_model]
    graph_value out;
    float scale;
} graph_embed;

/* out = norm(in), where it cannot be a linear's prologue */
typedef struct {
    graph_norm norm;
    graph_value in, out;
} graph_norm_op;

/* x' = norm(x); y_i = W_i x' + b_i for i < n_out; then the epilogue */
typedef struct {
    graph_norm norm;
    graph_value in;
    uint32_t n_out;                    // weights; outputs are as many, or 1 with a gate
    graph_weight weight[GRAPH_MAX_OUT]; // [width of out i, width of in]
    graph_weight bias[GRAPH_MAX_OUT];   // [width of out i] or NONE
    graph_value out[GRAPH_MAX_OUT];
    graph_epilogue epilogue;
} graph_linear;

/* Per head: q = rope(rms(q) * q_norm), k likewise; q stays in place, k and v go to the cache of
 * `layer` at the token's position in the cache's storage type. */
typedef struct {
    graph_value q, k, v;         // [n_heads * d_head], [n_kv_heads * d_head] twice
    graph_weight q_norm, k_norm; // [d_head] or NONE
    float norm_eps;
    graph_rope rope;
    uint32_t layer; // in the cache
} graph_rope_kv;

/* out[t, h] = sum_j softmax_j(scale * q[t, h] . k[j, h / group]) v[j, h / group],
 * j <= position of t, and j > position - window if window. */
typedef struct {
    graph_value q, out; // [n_heads * d_head]
    uint32_t layer;
    float scale;
    uint32_t window; // 0 = all
} graph_attend;

typedef enum {
#define GRAPH_ENUM(NAME, field) GRAPH_##NAME,
    GRAPH_OPS(GRAPH_ENUM)
#undef GRAPH_ENUM
    GRAPH_OP_COUNT
} graph_op_kind;

typedef struct {
    graph_op_kind kind;
    const char *label; // "layer 3 qkv", owned by the graph
    union {
        graph_embed embed;
        graph_norm_op norm;
        graph_linear linear;
        graph_rope_kv rope_kv;
        graph_attend attend;
    } u;
} graph_op;

typedef struct {
    const char *name;
    uint32_t width;
    int32_t first, last; // ops that write it first and read it last
    uint64_t offset;     // floats a token before it in the activation memory (the plan)
} graph_value_info;

/* Sizes that hold for the whole model. */
typedef struct {
    uint32_t n_layers, n_heads, n_kv_heads, d_model, d_head, d_ff, n_vocab;
} graph_sizes;

typedef struct {
    graph_sizes sizes;
    graph_op *ops; // [n_ops]; the last one is the head: a linear that gives the logits
    size_t n_ops, ops_capacity;
    graph_value_info *values;
    size_t n_values, values_capacity;
    graph_tensor *tensors;
    size_t n_tensors, tensors_capacity;
    graph_value hidden;  // what the head reads
    uint64_t plan_width; // floats a token for all values but the logits
    uint64_t in_width;   // widest input of a linear
    arena memory;
    ingle_status status; // sticky: the first failure of a building call
    graph_op spare;      // what graph_add_op gives after a failure
} graph;

/* ---- building: all are no-ops after a failure, which graph_finish reports ------------------ */

void graph_init(graph *g, const graph_sizes *sizes, const ingle_allocator *a);
graph_value graph_add_value(graph *g, const char *name, uint64_t width);
graph_weight graph_add_tensor(graph *g, const graph_tensor *t);
/* Adds an op; the label is printed from the format. Returns it for filling in (never NULL). */
graph_op *graph_add_op(graph *g, graph_op_kind kind, const char *label, uint32_t layer);
/* The head: logits = W norm(in). Nothing may follow it. */
void graph_add_head(graph *g, const graph_norm *norm, graph_value in, graph_weight w);
/* Checks widths, plans the memory. */
ingle_status graph_finish(graph *g, ingle_error *err);
void graph_free(graph *g);

/* Text for people: one line an op with its operands, shapes and formats, and the plan. */
bool graph_print(const graph *g, ingle_text *out);

/* Values an op reads or writes (a value both read and written appears once), and how many. */
enum { GRAPH_MAX_OPERANDS = 1 + GRAPH_MAX_OUT };
size_t graph_operands(const graph_op *op, graph_value out[GRAPH_MAX_OPERANDS]);

#endif
