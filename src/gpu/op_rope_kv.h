/* Between the products of Q, K and V and attention, where no product does it as it writes: norm of each query
 * and key head, rotation, keys and values into the cache (op_attend.h), for all tokens of a pass.
 *
 * Only half precision can be written by a product instead (wgsl/kv_write_f16.wgsl): q8_0 needs the largest of
 * 32 values before it can write the first. */
#ifndef INGLE_GPU_OP_ROPE_KV_H
#define INGLE_GPU_OP_ROPE_KV_H

#include "gpu/op_attend.h"
#include "graph/graph.h"

typedef struct {
    const char *label;
    kv_layout kv;
    uint32_t n_heads;
    uint32_t n_tokens;    // of the largest pass
    graph_rope_kind kind;
    uint32_t n_rot;       // values of a head that turn, even
    gpu_slice state;
    gpu_slice qkv;        // f32 [token][n_heads + 2 n_kv_heads][d_head]: heads of Q, K and V
    gpu_slice out;        // f32 [token][n_heads][d_head]: queries in pair order; another buffer
    gpu_slice rope;       // f32 [n_ctx][n_rot / 2][2]: cos and sin, scaled; unless kind is NONE
    bool norm_q, norm_k;  // RMS over each head
    gpu_slice norms;      // f32 [2][d_head], weights of queries, then of keys; if either is normed
    float norm_eps;
    gpu_slice k_cache, v_cache;
} rope_kv_op;

void op_rope_kv(recorder *r, const rope_kv_op *op);

#endif
