/* Norms of all tokens of a pass, as f32 or rounded to int8 for op_matmul; and rounding alone. Decoding has
 * norms inside its products (op_matvec.h); this is for prompts, and for norms that stand alone. */
#ifndef INGLE_GPU_OP_NORM_H
#define INGLE_GPU_OP_NORM_H

#include "gpu/rounded.h"
#include "graph/graph.h"

typedef struct {
    const char *label;
    graph_norm_kind kind; // NONE: rounds only
    uint32_t width;       // a multiple of 4
    float eps;
    gpu_slice gain, bias; // f32 [width]; bias: of LAYER, may be absent
    gpu_slice state;
    gpu_slice x;          // f32 [token][width]
    gpu_slice out;        // f32 [token][width], another than x; or absent, and
    gpu_rounded rounded;
} norm_op;

/* For the first state[1] tokens, n_tokens at most. */
void op_norm(recorder *r, const norm_op *op, uint32_t n_tokens);

#endif
