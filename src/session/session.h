/* The session's insides, for generation. */
#ifndef INGLE_SESSION_SESSION_H
#define INGLE_SESSION_SESSION_H

#include "cpu/cpu.h"
#include "model/model.h"

struct ingle_session {
    const ingle_model *model;
    cpu *cpu;
    int32_t *ids; // [n_ctx], the first `length` are the timeline
    size_t length;
    size_t last_run;     // tokens in the backend's last run
    const float *logits; // after the last token; NULL when they are not at hand
    uint32_t n_ctx, n_batch;
    bool (*progress)(void *user, size_t done, size_t total);
    void *progress_user;
    char backend[32];
};

/* What d is given follows the text of ids [n]: its first word keeps the space that stands before
 * it. */
void detokenizer_follow(ingle_detokenizer *d, const int32_t *ids, size_t n);

#endif
