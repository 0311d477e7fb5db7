/* y = W norm(x) (+ bias) for one token, with what comes after it. Decoding is this op nearly all the time:
 * wgsl/matvec.wgsl says how. */
#ifndef INGLE_GPU_OP_MATVEC_H
#define INGLE_GPU_OP_MATVEC_H

#include "gpu/matrix.h"
#include "gpu/op_attend.h"

typedef enum { MATVEC_STORE, MATVEC_ADD, MATVEC_GATE_SILU, MATVEC_GATE_GELU, MATVEC_QKV } matvec_epilogue;

typedef struct {
    const char *label;
    const gpu_matrix *w;
    gpu_slice x;    // f32 [cols]; instead of it:
    gpu_rounded rounded;    // x as int8: only where matvec_takes_rounded
    const attend_op *merge; // x is what this left in partials: only where matvec_takes_merge
    gpu_slice gain; // f32 [cols]: RMS norm; none: x as it is
    float eps;
    gpu_slice bias; // f32 [rows], in the matrix's order; or none
    matvec_epilogue epilogue;
    gpu_slice out; // f32 [rows]; a gate: [rows / 2]; QKV: q in pair order
    gpu_rounded out_rounded; // a gate's, instead of out: only where matvec_gives_rounded
    uint32_t out_first; // MATVEC_STORE: where in out row 0 goes
    /* MATVEC_QKV: */
    gpu_slice state, rope, k_cache, v_cache;
    kv_layout kv; // both in f16
    uint32_t n_heads, n_rot;
    const matvec_shape *shape; // NULL: the matrix's, or a usual one
} matvec_op;

void op_matvec(recorder *r, const matvec_op *op);

/* Whether x and what the kernel keeps of it fit the device's workgroup memory; if not, norms go as a
 * dispatch of their own. */
bool matvec_takes_norm(const recorder *r, const gpu_matrix *w, matvec_epilogue epilogue);

/* Whether products with w, which have no norm, take x as int8; and take it in parts from attention. */
bool matvec_takes_rounded(const recorder *r, const gpu_matrix *w);
bool matvec_takes_merge(const recorder *r, const gpu_matrix *w);
/* Whether a gate's workgroups make whole scales of it. */
bool matvec_gives_rounded(const recorder *r, const gpu_matrix *w, matvec_epilogue epilogue);

matvec_shape matvec_usual_shape(const recorder *r, const gpu_matrix_part *w, matvec_epilogue epilogue);

/* What a product is cut by now: the matrix's shape, or a usual one. merges: x comes in splits. */
matvec_shape matvec_shape_of(const recorder *r, const gpu_matrix *w, matvec_epilogue epilogue, bool merges);
/* Whether the matrix may have this shape: one that the device can run, and of which all that is said above is the same
 * as of the usual one. */
bool matvec_shape_suits(const recorder *r, const gpu_matrix *w, matvec_epilogue epilogue, bool merges,
                        const matvec_shape *s);

#endif
