/* A session: one timeline of tokens, its backend, its logits. Keeps the timeline and the backend's
 * cache in step: the cache holds exactly the tokens in ids, whatever failed or was cancelled. */
#include "session/session.h"

#include <stdio.h>

#include "base/error.h"
#include "quant/quant.h"

enum { DEFAULT_MAX_CTX = 4096, DEFAULT_BATCH = 512, MAX_CTX = 1 << 22, MAX_THREADS = 256 };

static uint32_t kv_format(ingle_kv_type type)
{
    return type == INGLE_KV_Q8_0 ? QUANT_Q8_0 : type == INGLE_KV_Q4_0 ? QUANT_Q4_0 : QUANT_F16;
}

ingle_status session_resolve(const ingle_model *m, const ingle_session_options *opt, cpu_options *out, ingle_error *err)
{
    const ingle_session_options zero = {0};
    const ingle_session_options *o = opt ? opt : &zero;
    if (m->runnable.status != INGLE_OK) {
        if (err)
            *err = m->runnable;
        return m->runnable.status;
    }
    uint32_t n_ctx = o->n_ctx;
    if (n_ctx == 0) {
        n_ctx = m->info.n_ctx_train ? m->info.n_ctx_train : DEFAULT_MAX_CTX;
        n_ctx = n_ctx < DEFAULT_MAX_CTX ? n_ctx : DEFAULT_MAX_CTX;
    }
    if (n_ctx > MAX_CTX)
        return error_set(err, INGLE_ERR_USAGE, "a context of %u tokens; %d at most", n_ctx, MAX_CTX);
    uint32_t n_batch = o->n_batch ? o->n_batch : DEFAULT_BATCH;
    n_batch = n_batch < n_ctx ? n_batch : n_ctx;
    uint32_t n_threads = o->n_threads ? o->n_threads : host_core_count();
    // Every phase of a token waits for every worker: one without a processor would hold up all others.
    const uint32_t processors = host_processor_count(), most = processors < MAX_THREADS ? processors : MAX_THREADS;
    n_threads = n_threads < most ? n_threads : most;
    *out = (cpu_options){n_ctx, n_batch, n_threads, kv_format(o->kv_k), kv_format(o->kv_v), o->cpu,
                         m->n_maps ? CPU_MAPPED : m->streamed ? CPU_OWNED : CPU_SHARED};
    return INGLE_OK;
}

/* A GPU is used where it is asked for, and by itself where the host offers one or the weights are there. */
static bool wants_gpu(const ingle_model *m, const ingle_session_options *opt, bool offered)
{
    const ingle_backend backend = opt ? opt->backend : INGLE_BACKEND_AUTO;
    return backend == INGLE_BACKEND_GPU || (backend == INGLE_BACKEND_AUTO && (m->gpu_data || m->on_gpu || offered));
}

static ingle_status gpu_memory(const ingle_model *m, const cpu_options *o, ingle_memory *out, ingle_error *err)
{
    const gpu_options opt = {.n_ctx = o->n_ctx, .n_batch = o->n_batch, .k_format = o->k_format, .v_format = o->v_format};
    gpu_needs needs;
    const ingle_status status = gpu_plan(&m->graph, &opt, &needs, err);
    if (status == INGLE_OK)
        *out = (ingle_memory){.weights = needs.weights,
                              .kv = needs.kv,
                              .scratch = needs.scratch,
                              .tables = m->tables_bytes,
                              .n_ctx = o->n_ctx,
                              .n_threads = 1,
                              .cpu = "none"};
    return status;
}

ingle_status ingle_session_memory(const ingle_model *m, const ingle_session_options *opt,
                                  ingle_memory *out, ingle_error *err)
{
    *out = (ingle_memory){0};
    error_clear(err);
    cpu_options o;
    cpu_needs needs;
    ingle_status status = session_resolve(m, opt, &o, err);
    if (status == INGLE_OK && wants_gpu(m, opt, gpu_host_offers()))
        return gpu_memory(m, &o, out, err);
    if (status == INGLE_OK)
        status = cpu_plan(&m->graph, &o, &needs, err);
    if (status != INGLE_OK)
        return status;
    *out = (ingle_memory){.weights = m->info.weight_bytes - needs.replaced + needs.packed,
                          .kv = needs.kv,
                          .scratch = needs.scratch + sizeof(int32_t) * (uint64_t)o.n_ctx,
                          .tables = m->tables_bytes,
                          .n_ctx = o.n_ctx,
                          .n_threads = o.n_threads,
                          .cpu = needs.path};
    return INGLE_OK;
}

/* One session at a time makes or finds the shared weights. */
ingle_status session_open_cpu(ingle_session *s, ingle_error *err)
{
    ingle_model *m = (ingle_model *)(uintptr_t)s->model;
    if (m->on_gpu)
        return error_set(err, INGLE_ERR_USAGE, "a session on the CPU: the weights went to the GPU as they were loaded");
    while (atomic_flag_test_and_set(&m->backend_lock))
        host_relax();
    cpu_shared *shared = m->backend_data;
    const ingle_status status = cpu_open(&s->cpu, &m->graph, &s->options, &shared, &m->allocator, err);
    m->backend_data = shared;
    m->backend_free = cpu_shared_free;
    m->backend_row = cpu_shared_row;
    atomic_flag_clear(&m->backend_lock);
    if (status == INGLE_OK)
        snprintf(s->backend, sizeof s->backend, "cpu/%s", cpu_path(s->cpu));
    return status;
}

/* The names outlive the call: a backend may have to be opened again. */
static ingle_status keep_names(ingle_session *s, const ingle_session_options *opt, ingle_error *err)
{
    const str on_cpu = str_of(opt && opt->cpu ? opt->cpu : ""), on_gpu = str_of(opt && opt->gpu ? opt->gpu : "");
    if (on_cpu.n >= sizeof s->cpu_name || on_gpu.n >= sizeof s->gpu_names)
        return error_set(err, INGLE_ERR_USAGE, "no kernels have so long a name");
    memcpy(s->cpu_name, on_cpu.p, on_cpu.n);
    memcpy(s->gpu_names, on_gpu.p, on_gpu.n);
    s->options.path = opt && opt->cpu ? s->cpu_name : NULL;
    s->has_gpu_names = opt && opt->gpu;
    return INGLE_OK;
}

static ingle_status host_player(void *user, gpu_player *out, const ingle_allocator *a, ingle_error *err)
{
    (void)user;
    return gpu_host_open(out, a, err);
}

const session_players session_host_players = {.open = host_player};

ingle_status ingle_session_open(ingle_session **out, const ingle_model *m,
                                const ingle_session_options *opt, ingle_error *err)
{
    const session_players host = {host_player, NULL, gpu_host_offers()};
    return session_open(out, m, opt, &host, err);
}

ingle_status session_open(ingle_session **out, const ingle_model *m, const ingle_session_options *opt,
                          const session_players *players, ingle_error *err)
{
    *out = NULL;
    error_clear(err);
    cpu_options o;
    ingle_status status = session_resolve(m, opt, &o, err);
    if (status != INGLE_OK)
        return status;
    ingle_session *s = mem_zero(&m->allocator, 1, sizeof *s);
    if (!s)
        return error_memory(err, sizeof *s, "a session");
    s->model = m;
    s->n_ctx = o.n_ctx;
    s->options = o;
    s->gpu_batch = o.n_batch;
    s->players = *players;
    s->may_use_cpu = !opt || opt->backend == INGLE_BACKEND_AUTO;
    s->opened = 1;
    s->progress = opt ? opt->progress : NULL;
    s->progress_user = opt ? opt->progress_user : NULL;
    s->ids = mem_alloc(&m->allocator, size_mul(o.n_ctx, sizeof *s->ids));
    if (!s->ids)
        status = error_memory(err, size_mul(o.n_ctx, sizeof *s->ids), "a timeline");
    if (status == INGLE_OK)
        status = keep_names(s, opt, err);
    if (status == INGLE_OK && !wants_gpu(m, opt, players->offers))
        status = session_open_cpu(s, err);
    else if (status == INGLE_OK)
        do
            status = session_open_gpu(s, err);
        while (status == INGLE_ERR_MEMORY && session_take_less(&s->gpu_batch));
    if (status != INGLE_OK) {
        ingle_session_close(s);
        return status;
    }
    *out = s;
    return INGLE_OK;
}

void ingle_session_close(ingle_session *s)
{
    if (!s)
        return;
    const ingle_allocator *a = &s->model->allocator;
    cpu_close(s->cpu);
    session_close_gpu(s);
    mem_free(a, s->ids);
    mem_free(a, s);
}

/* ---- computing -------------------------------------------------------------------------------- */

/* Checked before anything is computed, so that a refusal changes nothing. */
static ingle_status check(const ingle_session *s, size_t length, const int32_t *ids, size_t n,
                          ingle_error *err)
{
    const int32_t n_vocab = (int32_t)s->model->graph.sizes.n_vocab;
    if (n == 0 || !ids)
        return error_set(err, INGLE_ERR_USAGE, "no tokens");
    if (n > s->n_ctx - length)
        return error_set(err, INGLE_ERR_CONTEXT_FULL, "%zu tokens after %zu; the context holds %u", n,
                         length, s->n_ctx);
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= n_vocab)
            return error_set(err, INGLE_ERR_USAGE, "token %zu has id %d; the vocabulary has %d", i,
                             ids[i], n_vocab);
    return INGLE_OK;
}

/* Gives the logits of tokens [n] of the run just done, in pieces of the head's rows; *seen of them were given. */
static ingle_status visit_rows(ingle_session *s, size_t n, size_t before,
                               bool (*row)(void *user, size_t i, const float *logits), void *user, bool *go_on,
                               size_t *seen, ingle_error *err)
{
    const size_t n_vocab = s->model->graph.sizes.n_vocab, most = s->gpu ? 1 : CPU_HEAD_ROWS;
    for (*seen = 0; *go_on && *seen < n;) {
        const size_t rows = n - *seen < most ? n - *seen : most;
        const float *logits = s->gpu ? NULL : cpu_head(s->cpu, *seen, rows);
        const ingle_status status = s->gpu ? gpu_logits(s->gpu, *seen, &logits, err) : INGLE_OK;
        if (status != INGLE_OK)
            return status;
        s->logits = logits + (rows - 1) * n_vocab;
        for (size_t i = 0; *go_on && i < rows; i++, (*seen)++)
            *go_on = row(user, before + *seen, logits + i * n_vocab);
    }
    return INGLE_OK;
}

ingle_status session_run(ingle_session *s, const int32_t *ids, size_t *n, size_t first, ingle_error *err)
{
    size_t most = s->options.n_batch;
    const ingle_status status = s->gpu ? gpu_pass_most(s->gpu, &most, err) : INGLE_OK;
    if (status != INGLE_OK)
        return status;
    *n = *n < most ? *n : most;
    if (s->gpu)
        return gpu_run(s->gpu, ids, *n, first, err);
    cpu_run(s->cpu, ids, *n, first);
    return INGLE_OK;
}

static ingle_status run(ingle_session *s, const int32_t *ids, size_t *n, ingle_error *err)
{
    const size_t wanted = *n;
    ingle_error e = {0};
    ingle_status status;
    do {
        *n = wanted;
        status = session_revive(s, &e);
        if (status == INGLE_OK)
            status = session_run(s, ids, n, s->length, &e);
    } while (session_lost(s, status, &e));
    if (status != INGLE_OK && err)
        *err = e;
    return status;
}

/* Appends checked tokens in batches; with row, every token's logits are visited. */
static ingle_status compute(ingle_session *s, const int32_t *ids, size_t n,
                            bool (*row)(void *user, size_t i, const float *logits), void *user,
                            ingle_error *err)
{
    for (size_t done = 0; done < n;) {
        size_t now = n - done, seen = 0;
        bool go_on = true;
        ingle_error e = {0};
        ingle_status status = run(s, ids + done, &now, err);
        if (status != INGLE_OK)
            return status;
        s->logits = NULL;
        memmove(s->ids + s->length, ids + done, now * sizeof *ids); // ids may be the session's own
        s->length += now;
        s->last_run = now;
        s->fresh = true;
        if (row)
            status = visit_rows(s, now, done, row, user, &go_on, &seen, &e);
        if (session_lost(s, status, &e)) { // the others are computed again
            s->length -= now - seen;
            s->fresh = false;
            done += seen;
            continue;
        }
        if (status != INGLE_OK && err)
            *err = e;
        if (status != INGLE_OK || !go_on) {
            s->logits = NULL; // of a token before the last
            return status != INGLE_OK ? status
                                      : error_set(err, INGLE_ERR_CANCELLED, "stopped after %zu of %zu tokens", done + now, n);
        }
        done += now;
        if (s->progress && !s->progress(s->progress_user, done, n) && done < n)
            return error_set(err, INGLE_ERR_CANCELLED, "stopped after %zu of %zu tokens", done, n);
    }
    return INGLE_OK;
}

ingle_status session_logits(ingle_session *s, const float **logits, ingle_error *err)
{
    ingle_error e = {0};
    ingle_status status;
    do {
        status = session_revive(s, &e);
        if (status == INGLE_OK && !s->logits && s->gpu)
            status = gpu_logits(s->gpu, s->last_run - 1, &s->logits, &e);
        else if (status == INGLE_OK && !s->logits)
            s->logits = cpu_head(s->cpu, s->last_run - 1, 1);
    } while (session_lost(s, status, &e));
    if (status != INGLE_OK && err)
        *err = e;
    *logits = s->logits;
    return status;
}

ingle_status ingle_session_append(ingle_session *s, const int32_t *ids, size_t n, ingle_error *err)
{
    error_clear(err);
    const ingle_status status = check(s, s->length, ids, n, err);
    return status == INGLE_OK ? compute(s, ids, n, NULL, NULL, err) : status;
}

ingle_status ingle_session_score(ingle_session *s, const int32_t *ids, size_t n,
                                 bool (*row)(void *user, size_t i, const float *logits), void *user,
                                 ingle_error *err)
{
    error_clear(err);
    const ingle_status status = check(s, s->length, ids, n, err);
    return status == INGLE_OK ? compute(s, ids, n, row, user, err) : status;
}

ingle_status ingle_session_sync(ingle_session *s, const int32_t *ids, size_t n, size_t *reused,
                                ingle_error *err)
{
    error_clear(err);
    size_t common = 0;
    if (reused)
        *reused = 0;
    const ingle_status status = check(s, 0, ids, n, err);
    if (status != INGLE_OK)
        return status;
    while (common < n && common < s->length && s->ids[common] == ids[common])
        common++;
    if (common == n && common == s->length && s->fresh) {
        if (reused)
            *reused = n;
        return session_revive(s, err);
    }
    if (common == n) // all there, but the logits are of a later token: compute the last one again
        common--;
    ingle_session_truncate(s, common);
    if (reused)
        *reused = common;
    return compute(s, ids + common, n - common, NULL, NULL, err);
}

void ingle_session_truncate(ingle_session *s, size_t n)
{
    if (n >= s->length)
        return;
    s->length = n; // the cache beyond is overwritten before it is read
    s->replayed = s->replayed < n ? s->replayed : n;
    s->fresh = false;
    s->logits = NULL;
}

/* ---- questions -------------------------------------------------------------------------------- */

size_t ingle_session_length(const ingle_session *s)
{
    return s->length;
}

const int32_t *ingle_session_ids(const ingle_session *s)
{
    return s->ids;
}

uint32_t ingle_session_context(const ingle_session *s)
{
    return s->n_ctx;
}

const char *ingle_session_backend(const ingle_session *s)
{
    return s->gpu ? gpu_name(s->gpu) : s->backend; // a GPU's may change until it is ready
}

const char *ingle_session_notes(const ingle_session *s)
{
    return s->gpu ? gpu_notes(s->gpu) : "";
}

ingle_status ingle_session_ready(ingle_session *s, ingle_error *err)
{
    ingle_error e = {0};
    ingle_status status;
    error_clear(err);
    do {
        status = session_revive(s, &e);
        if (status == INGLE_OK && s->gpu)
            status = gpu_ready(s->gpu, &e);
    } while (session_lost(s, status, &e));
    if (status != INGLE_OK && err)
        *err = e;
    return status;
}

ingle_status ingle_session_limits(ingle_session *s, ingle_limits *out, ingle_error *err)
{
    cpu_limits limits;
    error_clear(err);
    *out = (ingle_limits){0};
    if (s->gpu) {
        gpu_costs costs;
        gpu_token_costs(s->gpu, &costs);
        *out = (ingle_limits){.weights = costs.weights, .kv = costs.kv, .products = costs.products};
        return INGLE_OK;
    }
    const ingle_status status = cpu_measure_limits(s->cpu, &limits, err);
    *out = (ingle_limits){limits.weights, limits.kv, limits.products, limits.read_per_second};
    return status;
}

ingle_status ingle_session_finish(ingle_session *s, ingle_error *err)
{
    const float *logits;
    error_clear(err);
    if (!s->fresh)
        return error_set(err, INGLE_ERR_USAGE, "no token has been computed since the timeline was cut");
    return session_logits(s, &logits, err);
}

const float *ingle_session_logits(const ingle_session *s)
{
    ingle_error ignored;
    ingle_session *now = (ingle_session *)(uintptr_t)s; // logits are made when they are asked for
    return ingle_session_finish(now, &ignored) == INGLE_OK ? s->logits : NULL;
}
