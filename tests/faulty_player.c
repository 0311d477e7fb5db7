#ifndef _GNU_SOURCE
#define _GNU_SOURCE // nanosleep, where the build does not ask for it (WebAssembly)
#endif
#include "faulty_player.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "gpu/gpu_impl.h"
#include "gpu/tape_read.h"
#include "tiny_model.h"

enum { MOST_TICKETS = 4096 };

typedef struct {
    uint32_t *to; // of a read of chosen tokens; NULL = of something else
    uint32_t ring[GPU_RING];
    double ms; // what was handed over takes
    bool waited;
} ticket;

typedef struct {
    faulty *f;
    gpu_player inner;
    bool lost;
    uint32_t state, chosen; // buffers
    uint32_t first_draw, n_chosen;
    double ms;
    ticket tickets[MOST_TICKETS];
} player;

int32_t faulty_token(uint32_t draw)
{
    return TINY_LETTER_A + (int32_t)(draw * 7 % 26);
}

/* ---- what passes by --------------------------------------------------------------------------- */

static ingle_status see_buffer(player *p, const uint32_t *w, ingle_error *err)
{
    faulty *f = p->f;
    char label[TAPE_LABEL];
    tape_label(label, w + 3);
    f->buffers++;
    if (f->no_memory_at && (f->buffers == f->no_memory_at || (f->no_memory_again && f->buffers > f->no_memory_at))) {
        snprintf(f->failed, sizeof f->failed, "%.60s", label);
        return error_set(err, INGLE_ERR_MEMORY, "buffer %s, %llu bytes: the GPU gave none", label,
                         (unsigned long long)tape_u64(w + 1));
    }
    if (strcmp(label, "state") == 0)
        p->state = w[0];
    if (strcmp(label, "chosen") == 0)
        p->chosen = w[0];
    return INGLE_OK;
}

static void see_write(player *p, const uint32_t *w)
{
    faulty *f = p->f;
    const uint32_t *words = tape_address(w + 3);
    if (w[0] != p->state)
        return;
    if (tape_u64(w + 1) == 0 && f->n_passes < FAULTY_MOST_PASSES) {
        memcpy(f->passes[f->n_passes++], words, 2 * sizeof *words);
        if (words[1] > 1)
            p->ms += f->ms_a_token * words[1];
    }
    if (tape_u64(w + 1) == 2 * sizeof *words && f->n_begun < FAULTY_MOST_PASSES) {
        f->draws[f->n_begun++] = p->first_draw = words[0];
        p->n_chosen = 0;
    }
}

static void see_read(player *p, const uint32_t *w)
{
    ticket *t = &p->tickets[w[6] % MOST_TICKETS];
    *t = (ticket){.ms = p->ms};
    p->ms = 0;
    if (!p->f->pretend || w[0] != p->chosen)
        return;
    t->to = tape_address(w + 3);
    for (uint32_t i = p->n_chosen > GPU_RING ? p->n_chosen - GPU_RING : 0; i < p->n_chosen; i++)
        t->ring[i % GPU_RING] = (uint32_t)faulty_token(p->first_draw + i);
}

static ingle_status see(player *p, const uint32_t *w, ingle_error *err)
{
    switch (w[0]) {
    case TAPE_BUFFER: return see_buffer(p, w + 1, err);
    case TAPE_WRITE: see_write(p, w + 1); break;
    case TAPE_READ:
        see_read(p, w + 1);
        p->f->to_answer++;
        break;
    case TAPE_READY: p->tickets[w[1] % MOST_TICKETS] = (ticket){0}, p->f->to_answer++; break;
    case TAPE_RUN: p->n_chosen += w[2]; break; // since an answer began, all that runs chooses
    default: break;
    }
    return INGLE_OK;
}

/* ---- the player ------------------------------------------------------------------------------- */

static ingle_status gone(player *p, ingle_error *err)
{
    p->lost = true;
    p->f->lose_now = false;
    return error_set(err, INGLE_ERR_DEVICE_LOST, "the GPU went away: a test's doing");
}

static ingle_status play(void *user, const uint32_t *words, size_t n, ingle_error *err)
{
    player *p = user;
    faulty *f = p->f;
    if (p->lost || f->lose_now)
        return gone(p, err);
    f->plays++;
    if (f->lose_at && f->plays == f->lose_at) {
        f->lose_at = f->lose_every ? f->plays + f->lose_every : 0;
        return gone(p, err);
    }
    if (f->plays == f->fault_at)
        return error_set(err, INGLE_ERR_DEVICE, "kernel attend: a test's doing");
    size_t at = 0, size;
    ingle_status status = INGLE_OK;
    for (; status == INGLE_OK && at < n; at += size) {
        size = tape_command_words(words + at, n - at);
        if (size == 0)
            break; // the inner player says what is wrong
        status = see(p, words + at, err);
        if (status != INGLE_OK)
            break;
    }
    ingle_error e = {0};
    const size_t whole = status == INGLE_OK ? n : at;
    const ingle_status done = whole ? p->inner.play(p->inner.user, words, whole, &e) : INGLE_OK;
    if (done != INGLE_OK && err)
        *err = e;
    return done != INGLE_OK ? done : status;
}

static ingle_status wait(void *user, uint32_t number, uint64_t *answer, ingle_error *err)
{
    player *p = user;
    ticket *t = &p->tickets[number % MOST_TICKETS];
    if (p->lost || p->f->lose_now)
        return gone(p, err);
    if (p->f->waits && !t->waited) {
        for (size_t i = 0; i < MOST_TICKETS; i++)
            p->tickets[i].waited = true;
        return INGLE_WAIT;
    }
    if (t->ms > 0)
        nanosleep(&(struct timespec){(time_t)(t->ms / 1000), (long)(t->ms * 1e6) % 1000000000}, NULL);
    t->ms = 0;
    const ingle_status status = p->inner.wait(p->inner.user, number, answer, err);
    if (status == INGLE_OK && t->to)
        memcpy(t->to, t->ring, sizeof t->ring);
    t->to = NULL;
    p->f->to_answer -= status == INGLE_OK;
    return status;
}

static void close(void *user)
{
    player *p = user;
    p->f->closed++;
    p->inner.close(p->inner.user);
    free(p);
}

static ingle_status open(void *user, gpu_player *out, const ingle_allocator *a, ingle_error *err)
{
    faulty *f = user;
    if (f->gone && f->opened)
        return error_set(err, INGLE_ERR_DEVICE, "no GPU adapter");
    player *p = calloc(1, sizeof *p);
    if (!p)
        return error_memory(err, sizeof *p, "a test's player");
    p->f = f;
    p->state = p->chosen = UINT32_MAX;
    const ingle_status status = f->open(&p->inner, a, err);
    if (status != INGLE_OK) {
        free(p);
        return status;
    }
    f->opened++;
    *out = (gpu_player){.user = p, .limits = p->inner.limits, .play = play, .wait = wait, .close = close,
                         .blind = p->inner.blind};
    return INGLE_OK;
}

session_players faulty_players(faulty *f, bool offers)
{
    return (session_players){open, f, offers};
}
