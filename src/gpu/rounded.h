/* Activations as int8 in GPU memory: what one kernel writes for the products that follow. wgsl/round_int8.wgsl
 * makes them. */
#ifndef INGLE_GPU_ROUNDED_H
#define INGLE_GPU_ROUNDED_H

#include "gpu/recorder.h"

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

#endif
