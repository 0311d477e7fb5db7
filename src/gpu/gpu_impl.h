/* The insides of the GPU backend, for lower.c (graph to steps, weights to the device), record.c (steps to
 * dispatches) and gpu.c. */
#ifndef INGLE_GPU_GPU_IMPL_H
#define INGLE_GPU_GPU_IMPL_H

#include "gpu/gpu.h"
#include "gpu/matrix.h"
#include "gpu/op_attend.h"

typedef enum { GPU_EMBED, GPU_NORM, GPU_QKV, GPU_LINEAR, GPU_ATTEND } gpu_step_kind;

/* An op of the graph, or two that go together, with what it needs on the device. */
typedef struct {
    gpu_step_kind kind;
    const char *label;
    const graph_op *op;       // QKV: the linear
    const graph_rope_kv *turn; // QKV: what follows it
    const gpu_matrix *w[GRAPH_MAX_OUT]; // borrowed from gpu.matrices
    uint32_t n_w;             // QKV: 1 if its matrices are one; a gate: 1, rows interleaved
    gpu_slice bias[GRAPH_MAX_OUT], gain, gain_bias;
    gpu_slice head_gains; // QKV: norms of query and key heads, [2][d_head] in pair order
    gpu_slice in, out;
    bool fused; // QKV: a decoding product rotates and writes the cache itself
} gpu_step;

/* A matrix on the device and what it was made of, to find it again. */
typedef struct {
    gpu_matrix m;
    matrix_source source;
} gpu_weight;

struct gpu {
    ingle_allocator allocator;
    const graph *graph;
    gpu_options opt;
    gpu_modes modes;
    gpu_player player;
    recorder r;
    char name[192];

    gpu_step *steps; // [n_steps]; the last is the head
    size_t n_steps;
    gpu_weight *weights; // [n_weights] of weights_room
    size_t n_weights, weights_room;
    gpu_slice *vectors; // [graph->n_tensors]: vectors on the device; bytes 0 = not there
    gpu_slice *values;  // [graph->n_values]; those that are never alive together share

    gpu_slice state, ids, rope, logits, hidden;
    gpu_slice qkv, q;               // [n_batch][rows of Q, K and V], [n_batch][d_q] in pair order
    gpu_slice normed, rounded;      // [n_batch] rows of a product's input, f32 or int8
    gpu_slice partials;             // of attention
    kv_layout kv;
    gpu_slice *k_cache, *v_cache;   // [n_layers]
    uint32_t n_rope;                // values of a head that turn; all layers alike

    uint32_t *buckets;     // [n_buckets] sections: one token, for contexts up to BUCKET_FIRST << i
    uint32_t n_buckets;
    uint32_t head_section; // logits of `hidden`
    uint32_t pass_section; // the last pass of many tokens
    uint32_t ready;        // ticket
    bool is_ready;

    size_t last_n;          // tokens of the last run
    float *host_logits;     // [n_vocab]
    uint32_t logits_ticket;
    size_t logits_row;
    enum { LOGITS_NONE, LOGITS_ASKED, LOGITS_THERE } logits_state;
    uint32_t host_state[4]; // what the last run wrote
};

enum { GPU_BUCKET_FIRST = 256 };

/* Graph to steps; matrices, vectors, tables to the device. */
ingle_status gpu_lower(gpu *g, ingle_error *err);

/* Dispatches of the steps but the head: one token, its context within max_positions; or n tokens. */
void gpu_record_one(gpu *g, uint32_t max_positions);
void gpu_record_many(gpu *g, uint32_t n_tokens, uint32_t max_positions);
void gpu_record_head(gpu *g, gpu_slice x); // logits of a token

#endif
