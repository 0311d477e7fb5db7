/* Attention in doubles, and the GPU's cache by the letter of src/gpu/op_attend.h: what the kernels for
 * both are compared with. */
#ifndef INGLE_ATTEND_ORACLE_H
#define INGLE_ATTEND_ORACLE_H

#include "gpu/op_attend.h"

typedef struct {
    kv_layout layout;
    uint8_t *k_bytes, *v_bytes; // as the GPU has them
    double *k, *v;              // [n_kv_heads][n_ctx][d_head]
} oracle_cache;

/* Random values at positions below n_positions, NaN at all others. Ends the program without memory. */
void oracle_cache_open(oracle_cache *c, const kv_layout *l, uint32_t n_positions, uint64_t *random);
void oracle_cache_decode(oracle_cache *c); // k and v from the bytes
void oracle_cache_close(oracle_cache *c);

/* out[d_head] = softmax(scale q . k[j]) v[j] over j = first ... last, for one query head.
 * bound[d_head]: how far a kernel may be off that computes in f32 and changes its softmax's top up to
 * `rescales` times. scratch: n_ctx * 2 doubles. */
void oracle_attend(const oracle_cache *c, uint32_t kv_head, const float *q, uint32_t first, uint32_t last, float scale,
                   uint32_t rescales, double *out, double *bound, double *scratch);

#endif
