/* The session's insides, for generation. */
#ifndef INGLE_SESSION_SESSION_H
#define INGLE_SESSION_SESSION_H

#include "cpu/cpu.h"
#include "gpu/gpu.h"
#include "model/model.h"

enum { SESSION_MOST_LOSSES = 3 };

/* Where a session's GPUs come from: gpu_host_open, or a test's own. */
typedef struct {
    ingle_status (*open)(void *user, gpu_player *out, const ingle_allocator *a, ingle_error *err);
    void *user;
    bool offers; // used unasked
} session_players;

struct ingle_session {
    const ingle_model *model;
    cpu *cpu; // one of the two; none while the GPU is gone
    gpu *gpu;
    session_players players;
    cpu_options options;  // for both; names are the copies below
    uint32_t gpu_batch;   // tokens of a GPU's longest pass: fewer where memory is short; 0 = no GPU any more
    bool may_use_cpu;     // when there is none
    char cpu_name[32], gpu_names[64]; // what kernels may use; empty = all
    bool has_gpu_names;
    bool lost;            // the GPU is gone, or its successor lacks some of the timeline
    uint32_t opened;      // how often a backend was
    size_t replayed;      // tokens of the timeline that the successor has
    double losses_ms[SESSION_MOST_LOSSES]; // when GPUs went away, the last ones
    uint32_t n_losses;
    char why[240];        // the last one's words
    int32_t *ids; // [n_ctx], the first `length` are the timeline
    size_t length;
    size_t last_run;     // tokens in the backend's last run
    bool fresh;          // the last run ends with the timeline's last token: its logits can be had
    const float *logits; // those, once they are at hand
    uint32_t n_ctx;
    uint32_t burst; // tokens that a GPU was last asked for at a time; 0 = none yet
    bool (*progress)(void *user, size_t done, size_t total);
    void *progress_user;
    char backend[192];
};

extern const session_players session_host_players; // whether they are offered is gpu_host_offers'

/* ingle_session_open with GPUs from elsewhere. */
ingle_status session_open(ingle_session **out, const ingle_model *m, const ingle_session_options *opt,
                          const session_players *players, ingle_error *err);
ingle_status session_open_cpu(ingle_session *s, ingle_error *err);

/* The options with every 0 replaced by what it stands for; ERR_USAGE, or why the model cannot run. */
ingle_status session_resolve(const ingle_model *m, const ingle_session_options *opt, cpu_options *out, ingle_error *err);

/* session_gpu.c: a session on the GPU, on what the model's others have there. ERR_DEVICE_LOST: weights that went
 * there as they were loaded are gone with it. */
ingle_status session_open_gpu(ingle_session *s, ingle_error *err);
void session_close_gpu(ingle_session *s); // a device that failed is given up, though others have sessions there

/* ingle_loader_use_gpu on a player of the caller's; takes it, also when it fails. others: where memory is short, their
 * devices come in its place; NULL: there are none. */
ingle_status session_load_on(ingle_loader *loader, const gpu_player *player, const session_players *others,
                             const ingle_session_options *opt, ingle_error *err);

/* ingle_loader_revive in the same way. */
ingle_status session_load_again(ingle_loader *loader, const ingle_model *model, const gpu_player *player,
                                const session_players *others, const ingle_session_options *opt, ingle_error *err);

/* Computes tokens ids [*n] behind the `first` that the backend has, or as many as go in one pass: *n is that. */
ingle_status session_run(ingle_session *s, const int32_t *ids, size_t *n, size_t first, ingle_error *err);

/* revive.c. Whether status, which a call on s->gpu gave with err, means that the backend must be opened again: then
 * it is closed, and the call is to be made again after session_revive. */
bool session_lost(ingle_session *s, ingle_status status, const ingle_error *err);
/* Plans shorter passes than of *n_batch tokens; false where they are as short as is sensible. */
bool session_take_less(uint32_t *n_batch);
/* A backend that has the timeline, if there is none: a GPU where the host has one, else the CPU where that is
 * allowed. ERR_DEVICE_LOST; INGLE_WAIT. */
ingle_status session_revive(ingle_session *s, ingle_error *err);

/* Logits [n_vocab] after the last token; the session must be fresh. INGLE_WAIT. */
ingle_status session_logits(ingle_session *s, const float **logits, ingle_error *err);

/* What d is given follows the text of ids [n]: its first word keeps the space that stands before
 * it. */
void detokenizer_follow(ingle_detokenizer *d, const int32_t *ids, size_t n);

#endif
