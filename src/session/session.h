/* The session's insides, for generation. */
#ifndef INGLE_SESSION_SESSION_H
#define INGLE_SESSION_SESSION_H

#include "cpu/cpu.h"
#include "gpu/gpu.h"
#include "model/model.h"

struct ingle_session {
    const ingle_model *model;
    cpu *cpu; // one of the two
    gpu *gpu;
    int32_t *ids; // [n_ctx], the first `length` are the timeline
    size_t length;
    size_t last_run;     // tokens in the backend's last run
    bool fresh;          // the last run ends with the timeline's last token: its logits can be had
    const float *logits; // those, once they are at hand
    uint32_t n_ctx, n_batch;
    uint32_t burst; // tokens that a GPU was last asked for at a time; 0 = none yet
    bool (*progress)(void *user, size_t done, size_t total);
    void *progress_user;
    char backend[192];
};

/* The options with every 0 replaced by what it stands for; ERR_USAGE, or why the model cannot run. */
ingle_status session_resolve(const ingle_model *m, const ingle_session_options *opt, cpu_options *out, ingle_error *err);

/* session_gpu.c: a session on the GPU, on what the model's others have there. */
ingle_status session_open_gpu(ingle_session *s, const cpu_options *o, const char *modes, ingle_error *err);

/* ingle_loader_use_gpu on a player of the caller's; takes it, also when it fails. */
ingle_status session_load_on(ingle_loader *loader, const gpu_player *player, const ingle_session_options *opt,
                             ingle_error *err);

/* Logits [n_vocab] after the last token; the session must be fresh. INGLE_WAIT. */
ingle_status session_logits(ingle_session *s, const float **logits, ingle_error *err);

/* What d is given follows the text of ids [n]: its first word keeps the space that stands before
 * it. */
void detokenizer_follow(ingle_detokenizer *d, const int32_t *ids, size_t n);

#endif
