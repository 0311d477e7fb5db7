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

/* Logits [n_vocab] after the last token; the session must be fresh. INGLE_WAIT. */
ingle_status session_logits(ingle_session *s, const float **logits, ingle_error *err);

/* What d is given follows the text of ids [n]: its first word keeps the space that stands before
 * it. */
void detokenizer_follow(ingle_detokenizer *d, const int32_t *ids, size_t n);

#endif
