/* Token rows of a quantised table as f32: wgsl/embed.wgsl. */
#ifndef INGLE_GPU_OP_EMBED_H
#define INGLE_GPU_OP_EMBED_H

#include "gpu/matrix.h"

/* out[t] = table[ids[t]] * scale for t < tokens in the pass. An id beyond the table writes nothing. */
typedef struct {
    const char *label;
    const gpu_matrix *table; // [n_vocab, cols], cols a multiple of 4
    float scale;
    gpu_slice state;   // docs/gpu.md
    gpu_slice ids;     // u32 [n_tokens]
    gpu_slice out;     // f32 [n_tokens][cols]
    uint64_t n_tokens; // that a pass has at most
} embed_op;

void op_embed(recorder *r, const embed_op *op);

#endif
