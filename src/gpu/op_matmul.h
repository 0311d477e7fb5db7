/* Y = X W^T (+ bias) for all tokens of a pass, with what comes after it: what a prompt's time goes into.
 * wgsl/matmul_int8.wgsl, wgsl/matmul_float.wgsl and wgsl/matmul_matrix.wgsl say how. */
#ifndef INGLE_GPU_OP_MATMUL_H
#define INGLE_GPU_OP_MATMUL_H

#include "gpu/matrix.h"
#include "gpu/op_norm.h"

/* How the work is cut; what is fastest depends on device, matrix and tokens. A workgroup makes
 * `tokens` x 64 results. */
typedef struct {
    uint32_t tokens; // 32, 64 or 128
    uint32_t blocks; // int8: of 32 columns a step, 1 ... 256 / tokens, 4 at most
    bool by_bits;    // int8: sums become floats by additions alone, not by conversions
} matmul_shape;

typedef struct {
    const char *label;
    const gpu_matrix *w;
    gpu_slice state;
    bool matrices;            // by subgroup matrices, which the device has to have
    gpu_slice x;              // f32 [token][cols]; or, not by matrices and if matmul_takes_int8,
    gpu_rounded rounded;
    gpu_slice bias;           // f32 [rows], in the matrix's order; or absent
    graph_epilogue epilogue;  // GATE: rows 2i and 2i + 1 of w are row i of the gate and of up
    gpu_slice out;            // f32 [token][out_width], not what x is in
    uint32_t out_width;       // 0 = rows; a gate: rows / 2
    uint32_t out_first;       // STORE: column of out that row 0 goes to
    const matmul_shape *shape; // NULL: a usual one; matrices have only one
} matmul_op;

/* Whether products with w take rounded activations on this device. */
bool matmul_takes_int8(const recorder *r, const gpu_matrix *w);

/* Whether f16 holds the weights, so that matrices may take them; and whether they usually do, for so many tokens. */
bool matmul_suits_matrices(const gpu_matrix *w);
bool matmul_takes_matrices(const recorder *r, const gpu_matrix *w, uint32_t n_tokens);

/* For the first state[1] tokens, n_tokens at most. */
void op_matmul(recorder *r, const matmul_op *op, uint32_t n_tokens);

/* Bytes of workgroup memory that a shape takes. */
uint32_t matmul_shape_bytes(bool int8, const matmul_shape *shape);
matmul_shape matmul_usual_shape(const recorder *r, const gpu_matrix *w, uint32_t n_tokens);

#endif
