/* Attention on the GPU, and the cache that it reads.
 *
 * The cache of a layer is two buffers, K and V, each in its own type. Vectors lie in eights (8 values), keys
 * so that a thread a position reads words that are neighbours:
 *
 *     K: [KV head][d_head / 8][n_ctx] eights        V: [KV head][n_ctx][d_head / 8] eights
 *
 * An eight is 16 bytes in f16, the even value of a word low. In q8_0 it is 8 bytes; after all of a buffer's
 * eights come its scales, halves, one for 32 values: [KV head][words][n_ctx] for K, [KV head][n_ctx][words] for
 * V, words = d_head / 64 rounded up, two scales each, the even one low.
 *
 * Out of one token, attention is split over workgroups by position (wgsl/attend_one.wgsl); out of many, it
 * goes in tiles (wgsl/attend_many.wgsl). Both compute in f32. */
#ifndef INGLE_GPU_OP_ATTEND_H
#define INGLE_GPU_OP_ATTEND_H

#include "gpu/rounded.h"

typedef struct {
    uint32_t k_type, v_type; // QUANT_F16 or QUANT_Q8_0
    uint32_t n_ctx, n_kv_heads, d_head;
} kv_layout;

enum { KV_MAX_HEAD = 256 };

/* ERR_UNSUPPORTED: another type; heads of no multiple of 8 values (q8_0: 32), or above KV_MAX_HEAD; more values
 * than kernels count in 32 bits. */
ingle_status kv_check(const kv_layout *l, ingle_error *err);
uint64_t kv_k_bytes(const kv_layout *l);
uint64_t kv_v_bytes(const kv_layout *l);

/* Adds to a kernel what kv.wgsl needs and that part; then parts that read, or write, K and V. */
void kv_add_layout(shader *s, const kv_layout *l);
void kv_add_readers(shader *s, const kv_layout *l);
void kv_add_writers(shader *s, const kv_layout *l);

/* How the attention of single tokens is cut; what is fastest depends on device, model and context. */
typedef struct {
    uint32_t threads; // a workgroup: a power of two
    uint32_t chunk;   // positions a workgroup: a power of two
    uint32_t heads;   // query heads a workgroup: divides those that share a KV head
} attend_shape;

typedef struct {
    const char *label;
    kv_layout kv;
    uint32_t n_heads;
    uint32_t n_tokens;      // of the largest pass
    uint32_t max_positions; // passes end before this position: what the work is cut for
    uint32_t window;        // positions that a token sees; 0 = all
    float scale;
    gpu_slice state, q, k_cache, v_cache; // q: f32 [token][n_heads][d_head] in pair order
    gpu_slice out;                        // f32 [token][n_heads][d_head]; another buffer than q's
    gpu_rounded rounded;                  // instead of out, if there; up to ATTEND_FEW tokens, d_head % 16 = 0
    gpu_slice partials;                   // attend_partial_bytes; may be shared by layers
    bool leave_partials;                  // with more than one split: no merging, out is not written
    const attend_shape *shape;            // NULL: a usual one
} attend_op;

/* Keys and values of the pass's tokens are in the cache already. Up to ATTEND_FEW tokens go the way of single
 * ones. Two dispatches where single tokens' work is split, else one. */
enum { ATTEND_FEW = 4 };
void op_attend(recorder *r, const attend_op *op);

/* For a product that merges the splits as it reads them: adds constants and parts that define
 *     fn merged(i: u32) -> vec4<f32>     // values 4i ... 4i + 3 of out
 * and bind `partials` and `state` (part state is the caller's to add). Only where attend_splits is above 1. */
void attend_add_merge(shader *s, const recorder *r, const attend_op *op);

/* Workgroups that share a head's positions; 1 where op_attend writes out at once. */
uint32_t attend_splits(const recorder *r, const attend_op *op);
uint64_t attend_partial_bytes(const recorder *r, const attend_op *op); // 0 with one split

attend_shape attend_usual_shape(const recorder *r, const attend_op *op);

/* Shapes worth measuring on this device, the usual one first: their number, at most ATTEND_SHAPES. */
enum { ATTEND_SHAPES = 24 };
uint32_t attend_list_shapes(const recorder *r, const attend_op *op, attend_shape out[ATTEND_SHAPES]);

#endif
