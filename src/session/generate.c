/* Generation: sync the prompt, then one token a step through the sampler, with text that never
 * holds half a character or a piece of a stop string. */
#include <math.h>
#include <stdatomic.h>

#include "base/error.h"
#include "base/text.h"
#include "session/sample.h"
#include "session/session.h"

/* Tokens that are queued on a GPU: two bursts and more, so that it never waits for us, and bursts that take
 * about as long as a frame, so that text comes smoothly and little is computed in vain after a stop. */
enum { BURST_MOST = 16, BURSTS_AHEAD = 3 };
static const double BURST_MS = 8;

struct ingle_generation {
    ingle_session *session;
    ingle_sampler *sampler;
    ingle_detokenizer *detokenizer;
    ingle_text held;  // text that may be the start of a stop string
    ingle_text shown; // the part given out
    str *stops;       // [n_stops], texts behind them in the same block
    size_t n_stops;
    int32_t pending;  // chosen but not yet on the timeline; -1 = none
    bool on_gpu;      // tokens are chosen there, by the burst
    uint32_t opened;  // the session's count when choosing began on its GPU; 0 = it has not
    uint32_t n_chosen;
    uint32_t burst;   // tokens queued together; what the caller wants, or what keeps text flowing
    bool burst_fixed;
    uint32_t to_mark; // tokens to take until the clock is read again
    double mark_ms;
    uint32_t left;    // tokens that may still be chosen
    bool ignore_eos, logprobs, ended;
    atomic_bool cancelled;
};

static ingle_status copy_stops(ingle_generation *g, const ingle_generate_options *opt, ingle_error *err)
{
    size_t bytes = size_mul(opt->n_stops, sizeof *g->stops);
    for (size_t i = 0; i < opt->n_stops; i++)
        bytes = size_add(bytes, strlen(opt->stops[i]));
    if (opt->n_stops == 0)
        return INGLE_OK;
    g->stops = mem_alloc(&g->session->model->allocator, bytes);
    if (!g->stops)
        return error_memory(err, bytes, "stop strings");
    char *text = (char *)(g->stops + opt->n_stops);
    for (size_t i = 0; i < opt->n_stops; i++) {
        const size_t n = strlen(opt->stops[i]);
        if (n == 0)
            continue; // an empty stop string stops nothing
        memcpy(text, opt->stops[i], n);
        g->stops[g->n_stops++] = (str){text, n};
        text += n;
    }
    return INGLE_OK;
}

/* Never to be chosen: an end token that is to be ignored, and rows of the head beyond the
 * vocabulary, which pad its size and are no words. */
static bool forbidden(const ingle_model *m, int32_t id, size_t n_tokens, bool ignore_eos)
{
    return (size_t)id >= n_tokens || (ignore_eos && ingle_token_is_end(m, id));
}

/* What is forbidden goes as biases behind the caller's own. */
static ingle_status open_sampler(ingle_generation *g, const ingle_generate_options *opt,
                                 ingle_error *err)
{
    const ingle_model *m = g->session->model;
    const int32_t n_vocab = (int32_t)m->info.n_vocab;
    const gguf_value *words = gguf_find(&m->file, "tokenizer.ggml.tokens");
    const size_t n_tokens = words ? (size_t)words->n_items : 0;
    ingle_sampling sampling;
    if (opt->has_sampling)
        sampling = opt->sampling;
    else
        ingle_sampling_init(&sampling);
    size_t n_forbidden = 0;
    for (int32_t id = 0; id < n_vocab; id++)
        n_forbidden += forbidden(m, id, n_tokens, opt->ignore_eos);
    if (n_forbidden == 0)
        return ingle_sampler_open(&g->sampler, m, &sampling, err);
    const size_t n = sampling.n_logit_bias;
    const size_t bytes = size_mul(size_add(n, n_forbidden), sizeof(ingle_logit_bias));
    ingle_logit_bias *bias = mem_alloc(&m->allocator, bytes);
    if (!bias)
        return error_memory(err, bytes, "logit biases");
    if (n)
        memcpy(bias, sampling.logit_bias, n * sizeof *bias);
    size_t at = n;
    for (int32_t id = 0; id < n_vocab; id++)
        if (forbidden(m, id, n_tokens, opt->ignore_eos))
            bias[at++] = (ingle_logit_bias){id, -INFINITY};
    sampling.logit_bias = bias;
    sampling.n_logit_bias = at;
    const ingle_status status = ingle_sampler_open(&g->sampler, m, &sampling, err);
    mem_free(&m->allocator, bias);
    return status;
}

static void begin_here(ingle_generation *g, const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ingle_sampler_accept(g->sampler, ids[i]);
    sampler_skip(g->sampler, g->n_chosen);
    g->on_gpu = false;
}

/* Who chooses: the GPU that computes, from the first step on, unless it cannot or logits are wanted here. */
static void begin(ingle_generation *g, const int32_t *prompt, size_t n)
{
    ingle_session *s = g->session;
    g->on_gpu = s->gpu && !g->logprobs && s->fresh && gpu_can_sample(s->gpu, sampler_options(g->sampler));
    if (!g->on_gpu)
        begin_here(g, prompt, n);
}

ingle_status ingle_generation_open(ingle_generation **out, ingle_session *s, const int32_t *prompt,
                                   size_t n, const ingle_generate_options *opt, ingle_error *err)
{
    const ingle_generate_options zero = {0};
    *out = NULL;
    error_clear(err);
    if (!opt)
        opt = &zero;
    ingle_generation *g = mem_zero(&s->model->allocator, 1, sizeof *g);
    if (!g)
        return error_memory(err, sizeof *g, "a generation");
    g->session = s;
    g->pending = -1;
    g->left = opt->n_predict ? opt->n_predict : UINT32_MAX;
    g->ignore_eos = opt->ignore_eos;
    g->logprobs = opt->logprobs;
    g->burst_fixed = opt->burst > 0;
    g->burst = opt->burst ? opt->burst : s->burst ? s->burst : 1; // the last answer's is a good start
    g->burst = g->burst < BURST_MOST ? g->burst : BURST_MOST;
    g->held.allocator = g->shown.allocator = s->model->allocator;
    ingle_status status = copy_stops(g, opt, err);
    if (status == INGLE_OK)
        status = open_sampler(g, opt, err);
    if (status == INGLE_OK)
        status = ingle_detokenizer_open(&g->detokenizer, s->model,
                                        opt->special ? INGLE_PARSE_SPECIAL : 0, err);
    if (status == INGLE_OK)
        status = ingle_session_sync(s, prompt, n, NULL, err);
    if (status == INGLE_OK)
        detokenizer_follow(g->detokenizer, prompt, n);
    if (status == INGLE_OK)
        begin(g, prompt, n);
    if (status == INGLE_OK)
        *out = g;
    else
        ingle_generation_close(g);
    return status;
}

void ingle_generation_close(ingle_generation *g)
{
    if (!g)
        return;
    const ingle_allocator *a = &g->session->model->allocator;
    ingle_sampler_close(g->sampler);
    ingle_detokenizer_close(g->detokenizer);
    ingle_text_free(&g->held);
    ingle_text_free(&g->shown);
    mem_free(a, g->stops);
    mem_free(a, g);
}

void ingle_generation_cancel(ingle_generation *g)
{
    atomic_store(&g->cancelled, true);
}

/* ---- stop strings ----------------------------------------------------------------------------- */

/* Where the first whole stop string begins in held, or held.n. */
static size_t find_stop(const ingle_generation *g)
{
    for (size_t at = 0; at < g->held.n; at++)
        for (size_t i = 0; i < g->n_stops; i++)
            if (str_starts((str){g->held.bytes + at, g->held.n - at}, g->stops[i]))
                return at;
    return g->held.n;
}

/* How many bytes of held can be shown: all before the earliest place where a stop string may have
 * begun. */
static size_t safe_length(const ingle_generation *g)
{
    for (size_t at = 0; at < g->held.n; at++)
        for (size_t i = 0; i < g->n_stops; i++)
            if (str_starts(g->stops[i], (str){g->held.bytes + at, g->held.n - at}))
                return at;
    return g->held.n;
}

/* Moves the first n held bytes to what is shown in this step. */
static ingle_status give(ingle_generation *g, size_t n, ingle_part *part, ingle_error *err)
{
    if (n == 0)
        return INGLE_OK;
    if (!text_add(&g->shown, g->held.bytes, n))
        return error_memory(err, n, "text");
    memmove(g->held.bytes, g->held.bytes + n, g->held.n - n);
    g->held.n -= n;
    part->text = g->shown.bytes;
    part->n_text = g->shown.n;
    return INGLE_OK;
}

/* Adds the text of id (-1: the end) and gives out what is certain. */
static ingle_status show(ingle_generation *g, int32_t id, ingle_part *part, ingle_error *err)
{
    const char *text;
    size_t n;
    ingle_status status = ingle_detokenizer_push(g->detokenizer, id, &text, &n, err);
    if (status != INGLE_OK)
        return status;
    if (n && !text_add(&g->held, text, n))
        return error_memory(err, n, "text");
    const size_t stop = find_stop(g);
    if (stop < g->held.n) {
        part->stop = INGLE_STOP_TEXT;
        return give(g, stop, part, err);
    }
    return give(g, id < 0 ? g->held.n : safe_length(g), part, err);
}

static ingle_status end(ingle_generation *g, ingle_stop stop, ingle_part *part, ingle_error *err)
{
    g->ended = true;
    const ingle_status status = show(g, -1, part, err);
    if (part->stop == INGLE_STOP_NONE)
        part->stop = stop;
    return status;
}

/* ---- steps ------------------------------------------------------------------------------------ */

/* The next token from logits that are here. */
static ingle_status choose_here(ingle_generation *g, int32_t *id, float *logprob, ingle_error *err)
{
    ingle_session *s = g->session;
    const float *logits;
    ingle_status status = INGLE_OK;
    if (g->pending >= 0)
        status = ingle_session_append(s, &g->pending, 1, err);
    if (status != INGLE_OK)
        return status;
    g->pending = -1;
    status = session_logits(s, &logits, err);
    if (status == INGLE_OK)
        status = ingle_sampler_pick(g->sampler, logits, id, err);
    if (status != INGLE_OK)
        return status;
    ingle_sampler_accept(g->sampler, *id);
    if (g->logprobs)
        *logprob = ingle_logprob(logits, s->model->info.n_vocab, *id);
    return INGLE_OK;
}

/* Longer bursts while they take less than BURST_MS, by the time that as many tokens as are queued took. */
static void set_burst(ingle_generation *g)
{
    const double now = host_now_ms();
    if (g->to_mark > 0 && --g->to_mark > 0)
        return;
    if (g->mark_ms > 0 && !g->burst_fixed) {
        const double ms = (now - g->mark_ms) / (double)BURSTS_AHEAD;
        if (ms < BURST_MS / 2 && g->burst < BURST_MOST)
            g->burst *= 2;
        else if (ms > BURST_MS && g->burst > 1)
            g->burst /= 2;
        g->session->burst = g->burst;
    }
    g->mark_ms = now;
    g->to_mark = g->burst * BURSTS_AHEAD;
}

/* Sees to it that the session's GPU goes on with this answer: at its start, and when the session has another GPU
 * than the one that began. Draws are numbered and the timeline is what penalties look back on, so nothing else of
 * the answer's past counts. Where there is only the CPU, it chooses from then on. */
static ingle_status begin_there(ingle_generation *g, ingle_error *err)
{
    ingle_session *s = g->session;
    if (s->lost && g->pending >= 0) { // what was chosen is computed with the timeline
        s->ids[s->length++] = g->pending;
        g->pending = -1;
    }
    const ingle_sampling *sampling = sampler_options(g->sampler);
    ingle_status status = session_revive(s, err);
    if (status != INGLE_OK || g->opened == s->opened)
        return status;
    if (s->gpu && gpu_can_sample(s->gpu, sampling))
        status = gpu_sample_begin(s->gpu, sampling, s->ids, s->length, g->n_chosen, err);
    else
        begin_here(g, s->ids, s->length);
    if (status == INGLE_OK)
        g->opened = s->opened;
    return status;
}

/* Queues what keeps the GPU busy, and takes a token. */
static ingle_status take_there(ingle_generation *g, int32_t *id, ingle_error *err)
{
    ingle_session *s = g->session;
    ingle_status status = INGLE_OK;
    // tokens that may still be chosen, and fit: the last one needs no place
    const size_t room = s->n_ctx - s->length + (g->pending < 0 ? 1 : 0), most = g->left < room ? g->left : room;
    while (status == INGLE_OK && gpu_queued(s->gpu) < most && gpu_queued(s->gpu) <= (size_t)g->burst * (BURSTS_AHEAD - 1)) {
        const size_t more = most - gpu_queued(s->gpu);
        status = gpu_queue(s->gpu, more < g->burst ? (uint32_t)more : g->burst, err);
    }
    return status == INGLE_OK ? gpu_take(s->gpu, id, err) : status;
}

/* The next token that the GPU chose. The one before it is in the cache by then. */
static ingle_status choose_there(ingle_generation *g, int32_t *id, ingle_error *err)
{
    ingle_session *s = g->session;
    ingle_error e = {0};
    ingle_status status;
    do {
        status = begin_there(g, &e);
        if (status == INGLE_OK && g->on_gpu)
            status = take_there(g, id, &e);
    } while (session_lost(s, status, &e));
    if (status != INGLE_OK && err)
        *err = e;
    if (status != INGLE_OK || !g->on_gpu)
        return status;
    set_burst(g);
    s->fresh = false;
    s->logits = NULL;
    if (g->pending >= 0)
        s->ids[s->length++] = g->pending;
    g->pending = -1;
    return INGLE_OK;
}

ingle_status ingle_generation_next(ingle_generation *g, ingle_part *part, ingle_error *err)
{
    ingle_session *s = g->session;
    error_clear(err);
    *part = (ingle_part){.text = "", .id = -1};
    g->shown.n = 0;
    if (g->ended)
        return error_set(err, INGLE_ERR_USAGE, "the answer has ended");
    if (atomic_load(&g->cancelled))
        return end(g, INGLE_STOP_CANCEL, part, err);
    if (g->left == 0)
        return end(g, INGLE_STOP_LENGTH, part, err);
    if (g->pending >= 0 && s->length == s->n_ctx)
        return end(g, INGLE_STOP_LENGTH, part, err);
    int32_t id;
    ingle_status status = g->on_gpu ? choose_there(g, &id, err) : INGLE_OK;
    if (status == INGLE_OK && !g->on_gpu)
        status = choose_here(g, &id, &part->logprob, err);
    if (status != INGLE_OK)
        return status;
    g->n_chosen++;
    g->pending = id;
    g->left--;
    part->id = id;
    if (!g->ignore_eos && ingle_token_is_end(s->model, id))
        return end(g, INGLE_STOP_EOS, part, err);
    status = show(g, id, part, err);
    if (status == INGLE_OK && part->stop != INGLE_STOP_NONE)
        g->ended = true;
    if (status == INGLE_OK && !g->ended && g->left == 0)
        status = end(g, INGLE_STOP_LENGTH, part, err);
    return status;
}
