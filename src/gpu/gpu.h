/* The GPU backend: runs a graph. What the sessions of a model share owns the device (the player), weights and
 * kernels; a session owns its cache and activations in GPU memory. Both borrow the graph, and the tensors'
 * bytes while they open. Sessions of one model may be used by several threads: calls take turns.
 *
 * Nothing here waits for the GPU where the host cannot: such calls give INGLE_WAIT, and are made again
 * with the same arguments once the host has an answer (player.h). */
#ifndef INGLE_GPU_GPU_H
#define INGLE_GPU_GPU_H

#include "gpu/player.h"
#include "gpu/recorder.h"
#include "graph/graph.h"

/* Whether kernels are chosen by measuring them (tune.h): where that is quick, or as soon as it is possible. */
typedef enum { GPU_MEASURE_USUALLY, GPU_MEASURE_NEVER, GPU_MEASURE_ALWAYS } gpu_measure;

typedef struct {
    uint32_t n_ctx, n_batch;     // both > 0
    uint32_t k_format, v_format; // quant ids of the cache: F16 or Q8_0
    const gpu_modes *modes;      // NULL = the best for this device
    bool unchecked;              // no self-test: for players that compute nothing
    gpu_measure measure;
} gpu_options;

typedef struct gpu_shared gpu_shared;
typedef struct gpu gpu;

gpu_modes gpu_best_modes(const gpu_limits *limits);

/* What gpu_open would take, in bytes of GPU memory. ERR_UNSUPPORTED as gpu_open. */
typedef struct {
    uint64_t weights, kv, scratch;
} gpu_needs;

ingle_status gpu_plan(const graph *g, const gpu_options *opt, gpu_needs *out, ingle_error *err);

/* Takes the player, also when it fails. streamed: matrices have no data; they are fed. */
ingle_status gpu_shared_open(gpu_shared **out, const graph *g, const gpu_player *player, bool streamed,
                             const ingle_allocator *a, ingle_error *err);
void gpu_shared_close(gpu_shared *d);                     // after its sessions; NULL is a no-op
const gpu_limits *gpu_shared_limits(const gpu_shared *d);
size_t gpu_shared_sessions(const gpu_shared *d);          // that are open
bool gpu_shared_broken(const gpu_shared *d);              // the device is of no more use
void gpu_shared_abandon(gpu_shared *d); // closes a broken device now, and what is left with its last session

/* The streamed way: one session is opened, which says what goes where; then every tensor of the file is fed
 * as its bytes come, one tensor at a time, front to back (those that the graph does not name, and vectors, are
 * no matter); then, the graph's vectors being there, end. Runs wait for that. ERR_FORMAT: bytes are missing. */
ingle_status gpu_shared_feed(gpu_shared *d, str tensor, const void *bytes, size_t n, ingle_error *err);
ingle_status gpu_shared_end(gpu_shared *d, ingle_error *err);

/* The kernels are still being compiled when it returns: gpu_ready says when they are usable, and right: modes
 * whose kernels do not compile, or fail the self-test (selftest.h), are given up - f16, subgroups, int8 - and the
 * kernels compiled anew. ERR_DEVICE: kernels without any are wrong, too. ERR_UNSUPPORTED: an op, format or size without a
 * kernel, named. */
ingle_status gpu_open(gpu **out, gpu_shared *d, const gpu_options *opt, const ingle_allocator *a, ingle_error *err);
ingle_status gpu_ready(gpu *g, ingle_error *err);
bool gpu_was_ready(const gpu *g); // it has all that it asked for
void gpu_close(gpu *g);

/* What a token reads, and multiplies in a prompt, the head left out. */
typedef struct {
    uint64_t weights, kv; // bytes: in all, and for each token before it
    uint64_t products;
} gpu_costs;

void gpu_token_costs(const gpu *g, gpu_costs *out);

const char *gpu_name(const gpu *g); // "gpu/int8+subgroups (NVIDIA ...)"; final once ready
const char *gpu_notes(const gpu *g); // "", or a line for each mode that failed the self-test, and why

/* How many tokens the next run may have: n_batch, or fewer where the GPU is so slow that a pass of as many would
 * hold it for long. Waits for all passes but the last, so that at most two are under way. INGLE_WAIT. */
ingle_status gpu_pass_most(gpu *g, size_t *n, ingle_error *err);

/* Queues tokens ids [n], 1 <= n <= n_batch, at positions first ... first + n - 1, as cpu_run does; the
 * last one's logits can be asked for then, or tokens be chosen after it. */
ingle_status gpu_run(gpu *g, const int32_t *ids, size_t n, size_t first, ingle_error *err);

/* Logits of token `row` of the last run, *logits [n_vocab], until the next call. INGLE_WAIT. */
ingle_status gpu_logits(gpu *g, size_t row, const float **logits, ingle_error *err);

/* Choosing tokens on the GPU, after a run: begin says how, ids [n] being the timeline so far, n_draws the draws so far; queue asks
 * for the next n, which the GPU computes one after the other; take gives them in order. A token that is taken
 * has been chosen; it is in the cache once the one after it is. What was queued and is not taken is dropped by
 * the next run or begin. At most GPU_MOST_QUEUED are queued at a time. */
enum { GPU_MOST_QUEUED = 64 };
bool gpu_can_sample(const gpu *g, const ingle_sampling *s);
ingle_status gpu_sample_begin(gpu *g, const ingle_sampling *s, const int32_t *ids, size_t n, uint32_t n_draws,
                              ingle_error *err);
ingle_status gpu_queue(gpu *g, uint32_t n, ingle_error *err);
size_t gpu_queued(const gpu *g);
ingle_status gpu_take(gpu *g, int32_t *id, ingle_error *err); // INGLE_WAIT; ERR_FORMAT: logits are NaN

/* Writes what a token costs as dispatches for people: one line each. */
bool gpu_print(gpu *g, ingle_text *out);

#endif
