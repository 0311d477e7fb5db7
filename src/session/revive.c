/* A session whose GPU went away, failed or had too little memory: the backend is opened again, on the GPU that the host
 * has by then, weights go up again, and the timeline is computed again as a prompt is. Owns how often that is
 * tried, and when the CPU takes over. Refuses after the third loss within a minute: such a GPU will not last. */
#include <stdio.h>

#include "base/error.h"
#include "session/session.h"

enum { LEAST_BATCH = 32, BATCH_STEP = 4 };

/* As many losses as SESSION_MOST_LOSSES within this time are the last. */
static const double LOSSES_MS = 60000;

bool session_take_less(uint32_t *n_batch)
{
    if (*n_batch <= LEAST_BATCH)
        return false;
    *n_batch = *n_batch / BATCH_STEP > LEAST_BATCH ? *n_batch / BATCH_STEP : LEAST_BATCH;
    return true;
}

bool session_lost(ingle_session *s, ingle_status status, const ingle_error *err)
{
    const bool short_of = status == INGLE_ERR_MEMORY;
    // what another session asked for took the device's last memory, and the device with it: a loss, too
    const bool gone = status == INGLE_ERR_DEVICE_LOST || (short_of && s->gpu && gpu_was_ready(s->gpu));
    if (!s->gpu || !(gone || short_of || status == INGLE_ERR_DEVICE) || (!gone && s->model->on_gpu))
        return false;
    if (gone)
        s->losses_ms[s->n_losses++ % SESSION_MOST_LOSSES] = host_now_ms();
    else if (!short_of || !session_take_less(&s->gpu_batch)) {
        if (!s->may_use_cpu)
            return false;
        s->gpu_batch = 0;
    }
    snprintf(s->why, sizeof s->why, "%s", err ? err->text : "");
    session_close_gpu(s);
    s->lost = true;
    s->replayed = 0;
    s->logits = NULL;
    return true;
}

static bool too_often(const ingle_session *s)
{
    const double first = s->losses_ms[s->n_losses % SESSION_MOST_LOSSES]; // the oldest that is remembered
    return s->n_losses >= SESSION_MOST_LOSSES && host_now_ms() - first < LOSSES_MS;
}

/* A host that cannot wait says ERR_DEVICE_LOST until it has asked for another GPU. */
static ingle_status open_again(ingle_session *s, ingle_error *err)
{
    ingle_error e = {0};
    ingle_status status = INGLE_ERR_DEVICE_LOST;
    const bool often = too_often(s), wanted = !often && s->gpu_batch > 0;
    if (wanted)
        do
            status = session_open_gpu(s, &e);
        while (status == INGLE_ERR_MEMORY && session_take_less(&s->gpu_batch));
    if (wanted && status == INGLE_ERR_DEVICE_LOST)
        return error_set(err, status, "%.110s; %.110s", s->why, e.text);
    if (status != INGLE_OK && s->may_use_cpu && session_open_cpu(s, NULL) == INGLE_OK) // a build may be without
        status = INGLE_OK;
    else if (status == INGLE_ERR_MEMORY)
        return error_set(err, status, "%s", e.text);
    else if (status != INGLE_OK)
        status = often ? error_set(err, INGLE_ERR_DEVICE_LOST, "the GPU went away %d times within a minute: %.160s",
                                   SESSION_MOST_LOSSES, s->why)
                       : error_set(err, INGLE_ERR_DEVICE_LOST, "%.110s; and now: %.110s", s->why, e.text);
    s->opened += status == INGLE_OK;
    return status;
}

static ingle_status replay(ingle_session *s, ingle_error *err)
{
    while (s->replayed < s->length) {
        size_t n = s->length - s->replayed;
        const ingle_status status = session_run(s, s->ids + s->replayed, &n, s->replayed, err);
        if (status != INGLE_OK)
            return status;
        s->replayed += n;
        s->last_run = n;
        s->fresh = true;
    }
    return INGLE_OK;
}

ingle_status session_revive(ingle_session *s, ingle_error *err)
{
    ingle_error e = {0};
    ingle_status status;
    if (!s->lost)
        return INGLE_OK;
    do {
        status = s->gpu || s->cpu ? INGLE_OK : open_again(s, &e);
        if (status == INGLE_OK)
            status = replay(s, &e);
    } while (session_lost(s, status, &e));
    s->lost = status != INGLE_OK;
    if (status != INGLE_OK && err)
        *err = e;
    return status;
}
