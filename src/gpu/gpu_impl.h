/* The insides of the GPU backend, for shared.c (device and weights), lower.c (graph to steps), record.c (steps
 * to dispatches), burst.c and gpu.c. */
#ifndef INGLE_GPU_GPU_IMPL_H
#define INGLE_GPU_GPU_IMPL_H

#include <stdatomic.h>

#include "gpu/gpu.h"
#include "gpu/matrix_feed.h"
#include "gpu/op_attend.h"
#include "gpu/op_matvec.h"
#include "gpu/op_sample.h"

enum { GPU_RING = 64, GPU_MOST_BURSTS = 64, GPU_BUCKET_FIRST = 256, GPU_MOST_BUCKETS = 32, GPU_PASS_FIRST = 128 };

typedef enum { GPU_EMBED, GPU_NORM, GPU_QKV, GPU_LINEAR, GPU_ATTEND } gpu_step_kind;

/* An op of the graph, or two that go together, with what it needs on the device. */
typedef struct {
    gpu_step_kind kind;
    const char *label;
    const graph_op *op;       // QKV: the linear
    const graph_rope_kv *turn; // QKV: what follows it
    const gpu_matrix *w[GRAPH_MAX_OUT]; // borrowed from gpu_shared.weights
    uint32_t n_w;             // QKV: 1 if its matrices are one; a gate: 1, rows interleaved
    gpu_slice bias[GRAPH_MAX_OUT], gain, gain_bias;
    gpu_slice head_gains; // QKV: norms of query and key heads, [2][d_head] in pair order
    gpu_slice in, out;
    bool fused; // QKV: a decoding product rotates and writes the cache itself
    bool rounds; // decoding: the result goes to the next step only, which multiplies int8
    bool merges; // an attention's: decoding, the next step can take what the splits left
} gpu_step;

/* A matrix on the device and what it was made of, to find it again. */
typedef struct {
    gpu_matrix m;
    matrix_source source;
    matrix_feed feed; // while its tensors are awaited
} gpu_weight;

/* Vectors of the graph as one on the device, in the order of the matrix whose rows they go with. */
typedef struct {
    graph_weight w[GRAPH_MAX_OUT]; // [order.n_tensors]; GRAPH_NONE = zeros
    matrix_source order; // without tensors: w[0] as it is in the file
    const char *label;
    gpu_slice slice;
} gpu_vector;

struct gpu_shared {
    ingle_allocator allocator;
    const graph *graph;
    gpu_player player;
    gpu_modes best;
    recorder r;
    graph_tensor head; // rows of a head: norms of heads go with it
    gpu_weight *weights; // [n_weights] of weights_room
    size_t n_weights, weights_room;
    gpu_vector *vectors; // [n_vectors]
    size_t n_vectors, vectors_capacity;
    bool awaits;    // tensors are still to come
    bool tuned;     // a session measures, or has measured, what is fastest: tune.h
    gpu *first;     // the session that was opened meanwhile
    size_t n_sessions;
    gpu *closed;    // sessions into whose memory something is still to be read
    bool abandoned; // closes with its last session
    atomic_flag lock; // one call at a time
};

/* Tokens queued together, and the ring as it was when they were chosen. */
typedef struct {
    uint32_t ticket;
    size_t end; // of the answer's tokens, those before this one are in the ring
    bool there;
    uint32_t ring[GPU_RING];
} gpu_burst;

typedef struct gpu_selftest gpu_selftest; // selftest.h
typedef struct gpu_tuning gpu_tuning;     // tune.c

struct gpu {
    ingle_allocator allocator;
    gpu_shared *shared;
    gpu *next_closed;
    const graph *graph;
    gpu_options opt;
    gpu_modes modes;
    recorder *r; // the device's
    char name[192];
    char notes[512];        // a line for each mode that was given up
    gpu_selftest *selftest; // NULL once it has passed
    gpu_tuning *tuning;     // NULL: nothing is being measured
    bool modes_forced;

    gpu_step *steps; // [n_steps]; the last is the head
    size_t n_steps;
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
    uint32_t sections[2 * GPU_MOST_BUCKETS + 3]; // [n_sections]: all of the session's
    uint32_t n_sections;
    uint32_t ready;        // ticket
    bool is_compiled, is_ready;

    op_sample sample;
    bool can_sample;
    gpu_slice chosen;        // ring of GPU_RING tokens
    uint32_t choice_section; // a token from `hidden`
    uint32_t *steps_of;      // [n_buckets] sections: one token computed, the next chosen
    gpu_burst bursts[GPU_MOST_BURSTS]; // burst_first ... burst_next - 1 are not yet taken
    size_t burst_first, burst_next;
    size_t queued, taken;    // tokens of this answer
    size_t position;         // of the token that is computed next

    struct {
        uint32_t ticket;
        uint32_t n;          // tokens
        double start_ms;     // when it was handed to the GPU
        bool waited;         // somebody was told to wait for it
        uint32_t state[4];   // what is read when it is done
    } passes[2];             // of many tokens: passes_first ... passes_next - 1 are under way
    size_t passes_first, passes_next;
    double pass_end_ms;      // when the last one was known to be done
    uint32_t pass_most;      // tokens

    size_t last_n;          // tokens of the last run
    float *host_logits;     // [n_vocab]
    uint32_t logits_ticket;
    size_t logits_row;
    enum { LOGITS_NONE, LOGITS_ASKED, LOGITS_THERE } logits_state;
    uint32_t host_state[4]; // what the last run wrote
};

/* One call at a time: all that a session does with the device is between these. */
void gpu_enter(gpu *g);
void gpu_leave(gpu *g);

/* The matrix made of these tensors: a new one, or one that is there (another session's; a head that is the
 * embedding). */
const gpu_matrix *gpu_shared_matrix(gpu_shared *d, const matrix_source *source, ingle_status *status, ingle_error *err);
/* Vectors w (each may be absent: zeros) as one in the order of a matrix, or w[0] as it is in the file where
 * the order has no tensors; nothing if all are absent. */
gpu_slice gpu_shared_vector(gpu_shared *d, const graph_weight *w, const matrix_source *order, const char *label,
                            ingle_status *status, ingle_error *err);

gpu_matrix *gpu_own_matrix(gpu_shared *d, const gpu_matrix *m); // one of those, to change its shape

/* Frees closed sessions whose reads have all been answered; with their device gone, all. */
void gpu_free_closed(gpu_shared *d, bool gone);

/* Other modes from now on; what was recorded is to be made anew. */
void gpu_set_modes(gpu *g, const gpu_modes *modes);
/* Which steps are one dispatch: that depends on the modes. */
void gpu_fuse(gpu *g);
/* Graph to steps; matrices and vectors to the device, or places for them. */
ingle_status gpu_lower(gpu *g, ingle_error *err);
ingle_status gpu_upload_rope(gpu *g, ingle_error *err);
ingle_status gpu_settle(gpu *g, ingle_error *err); // the weights have come
/* gpu_ready within a call. */
ingle_status gpu_wait_ready(gpu *g, ingle_error *err);

/* Dispatches of the steps but the head: one token, its context within max_positions; or n tokens. */
void gpu_record_one(gpu *g, uint32_t max_positions);
void gpu_record_many(gpu *g, uint32_t n_tokens, uint32_t max_positions);
/* Work is cut for lengths of context that double: the length for n positions, and which of the buckets. */
uint32_t gpu_bucket_positions(const gpu *g, uint64_t n_positions);
uint32_t gpu_bucket(const gpu *g, uint64_t n_positions);

/* pass.c: behind a pass of n tokens that has been recorded, and is played at once: submits it. */
void gpu_note_pass(gpu *g, size_t n);
/* Until at most so many are under way. INGLE_WAIT. */
ingle_status gpu_wait_passes(gpu *g, size_t most, ingle_error *err);

/* burst.c: buffers and kernels; sections, once the buckets are known. */
ingle_status gpu_open_bursts(gpu *g, ingle_error *err);
ingle_status gpu_record_bursts(gpu *g, ingle_error *err);
/* The sampler's kernels anew, in the modes of the moment. */
ingle_status gpu_reopen_bursts(gpu *g, ingle_error *err);
/* Waits for tokens that are queued. INGLE_WAIT. */
ingle_status gpu_wait_bursts(gpu *g, ingle_error *err);
/* Waits for logits that were asked for, if they were. INGLE_WAIT. */
ingle_status gpu_wait_logits(gpu *g, ingle_error *err);
/* Waits for what is queued, or was to be read by an answer that was given up, and forgets it. INGLE_WAIT. */
ingle_status gpu_drain(gpu *g, ingle_error *err);

void gpu_record_head(gpu *g, gpu_slice x); // logits of a token
matvec_epilogue gpu_epilogue(const gpu_step *st); // of a step's products of one token
/* A step's products of one token alone, its context within max_positions (0: whatever attention leaves, it is whole). */
void gpu_record_products(gpu *g, const gpu_step *st, uint32_t max_positions);
/* Whether a token's product puts attention's splits together then. */
bool gpu_merges(const gpu *g, const gpu_step *st, uint32_t max_positions);
void gpu_end_section(gpu *g); // and notes it as the session's

#endif
