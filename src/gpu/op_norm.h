/* Norms of all tokens of a pass, as f32 or rounded to int8 for op_matmul; and rounding alone. Decoding has
 * norms inside its products (op_matvec.h); this is for prompts, and for norms that stand alone. */
#ifndef INGLE_GPU_OP_NORM_H
#define INGLE_GPU_OP_NORM_H

#include "gpu/recorder.h"
#include "graph/graph.h"

/* Activations as int8, each 16 columns with one scale as quant_activations makes them:
 *     q: int8 [token][blocks of 32 columns][32]
 *     d: f32  [token][blocks of 32 columns][2]
 * Columns beyond the width, up to a whole block, are zeros. */
typedef struct {
    gpu_slice q, d;
} gpu_rounded;

uint64_t gpu_rounded_bytes(uint64_t width, uint64_t n_tokens);
/* Where they lie in a slice of that many bytes or more, for these numbers. */
gpu_rounded gpu_rounded_in(gpu_slice room, uint64_t width, uint64_t n_tokens);

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
