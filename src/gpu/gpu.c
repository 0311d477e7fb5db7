#include "gpu/gpu.h"

#include <stdio.h>

#include "base/error.h"
#include "gpu/gpu_impl.h"
#include "gpu/op_norm.h"
#include "gpu/selftest.h"
#include "gpu/tune.h"

/* ---- opening ---------------------------------------------------------------------------------- */

gpu_modes gpu_best_modes(const gpu_limits *l)
{
    gpu_modes m = {.dot_int8 = l->packed_dot != 0, .rolled = l->software != 0};
    // A kernel counts on every subgroup being this large: only where there is one size.
    if (l->subgroup_min == l->subgroup_max && l->subgroup_min >= 4)
        m.subgroup = l->subgroup_min;
    m.f16 = l->f16 && l->matrices;
    return m;
}

static void name_backend(gpu *g)
{
    snprintf(g->name, sizeof g->name, "gpu/%s%s%s (%s)", g->modes.dot_int8 ? "int8" : "f32",
             g->modes.subgroup ? "+subgroups" : "", g->modes.f16 ? "+f16" : "", g->shared->player.limits.name);
}

static ingle_status take_lists(gpu *g, ingle_error *err)
{
    const ingle_allocator *a = &g->allocator;
    const size_t layers = g->graph->sizes.n_layers;
    g->steps = mem_zero(a, g->graph->n_ops, sizeof *g->steps);
    g->values = mem_zero(a, g->graph->n_values, sizeof *g->values);
    g->k_cache = mem_zero(a, layers, sizeof *g->k_cache);
    g->v_cache = mem_zero(a, layers, sizeof *g->v_cache);
    g->host_logits = mem_alloc(a, size_mul(g->graph->sizes.n_vocab, sizeof *g->host_logits));
    if (!g->steps || !g->values || !g->k_cache || !g->v_cache || !g->host_logits)
        return error_memory(err, layers, "a GPU session");
    return INGLE_OK;
}

/* Work is cut for lengths of context that double. */
uint32_t gpu_bucket_positions(const gpu *g, uint64_t n_positions)
{
    uint64_t most = GPU_BUCKET_FIRST;
    while (most < n_positions)
        most *= 2;
    return most < g->opt.n_ctx ? (uint32_t)most : g->opt.n_ctx;
}

uint32_t gpu_bucket(const gpu *g, uint64_t n_positions)
{
    uint32_t i = 0;
    while (i + 1 < g->n_buckets && (uint64_t)GPU_BUCKET_FIRST << i < n_positions)
        i++;
    return i;
}

/* Bytes of the largest buffer of activations for a pass of so many tokens. */
static uint64_t widest_rows(const gpu *g, uint32_t n_tokens)
{
    const graph_sizes *s = &g->graph->sizes;
    const graph_op *head = &g->graph->ops[g->graph->n_ops - 1];
    uint64_t width = ((uint64_t)s->n_heads + 2 * (uint64_t)s->n_kv_heads) * s->d_head;
    width = width > g->graph->in_width ? width : g->graph->in_width;
    for (size_t i = 0; i < g->graph->n_values; i++)
        if ((graph_value)i != head->u.linear.out[0] && g->graph->values[i].width > width)
            width = g->graph->values[i].width;
    const uint64_t padded = (width + 31) / 32 * 32, floats = padded * sizeof(float) * n_tokens;
    const uint64_t rounded = gpu_rounded_bytes(padded, n_tokens);
    return floats > rounded ? floats : rounded;
}

/* As many tokens in a pass as the limits hold; a context that they do not hold is refused before anything is made. */
static ingle_status fit_limits(gpu *g, ingle_error *err)
{
    const gpu_limits *l = &g->shared->player.limits;
    const uint64_t most = l->max_binding < l->max_buffer ? l->max_binding : l->max_buffer;
    const uint64_t k = kv_k_bytes(&g->kv), v = kv_v_bytes(&g->kv), cache = k > v ? k : v;
    const uint64_t logits = (uint64_t)g->graph->sizes.n_vocab * sizeof(float);
    while (g->opt.n_batch > 1 && widest_rows(g, g->opt.n_batch) > most)
        g->opt.n_batch /= 2;
    if (cache > most)
        return error_set(err, INGLE_ERR_MEMORY, "a context of %u tokens: %llu bytes in a buffer; this GPU allows %llu",
                         g->opt.n_ctx, (unsigned long long)cache, (unsigned long long)most);
    if (logits > most || widest_rows(g, 1) > most)
        return error_set(err, INGLE_ERR_MEMORY, "a row of %llu bytes; this GPU allows %llu",
                         (unsigned long long)(logits > most ? logits : widest_rows(g, 1)), (unsigned long long)most);
    g->pass_most = g->opt.n_batch < GPU_PASS_FIRST ? g->opt.n_batch : GPU_PASS_FIRST;
    return INGLE_OK;
}

/* Partial results of attention: of the widest pass that goes the way of single tokens, at any length of
 * context. */
static void open_partials(gpu *g)
{
    const graph_sizes *s = &g->graph->sizes;
    recorder *r = g->r;
    uint64_t partials = 0;
    for (uint32_t n = 1; n <= ATTEND_FEW && n <= g->opt.n_batch; n++)
        for (uint64_t most = GPU_BUCKET_FIRST; most < 2 * (uint64_t)g->opt.n_ctx; most *= 2) {
            const attend_op op = {
                .kv = g->kv, .n_heads = s->n_heads, .n_tokens = n, .max_positions = gpu_bucket_positions(g, most)};
            const uint64_t bytes = attend_partial_bytes(r, &op);
            partials = bytes > partials ? bytes : partials;
        }
    g->partials = recorder_buffer(r, partials, "partials");
}

static void open_buffers(gpu *g)
{
    const graph_sizes *s = &g->graph->sizes;
    const uint64_t rows = g->opt.n_batch, d_q = (uint64_t)s->n_heads * s->d_head;
    const uint64_t d_qkv = d_q + 2 * (uint64_t)s->n_kv_heads * s->d_head;
    recorder *r = g->r;
    g->state = recorder_buffer(r, 16 * sizeof(uint32_t), "state");
    g->ids = recorder_buffer(r, rows * sizeof(uint32_t), "ids");
    g->logits = recorder_buffer(r, s->n_vocab * sizeof(float), "logits");
    g->hidden = recorder_buffer(r, (uint64_t)s->d_model * sizeof(float), "hidden");
    g->qkv = recorder_buffer(r, rows * d_qkv * sizeof(float), "qkv");
    g->q = recorder_buffer(r, rows * d_q * sizeof(float), "q");
    for (uint32_t i = 0; i < s->n_layers; i++) {
        g->k_cache[i] = recorder_buffer(r, kv_k_bytes(&g->kv), "k cache");
        g->v_cache[i] = recorder_buffer(r, kv_v_bytes(&g->kv), "v cache");
    }
    open_partials(g);
    const uint64_t widest = (g->graph->in_width + 31) / 32 * 32;
    g->normed = recorder_buffer(r, rows * widest * sizeof(float), "normed");
    g->rounded = recorder_buffer(r, gpu_rounded_bytes(widest, rows), "rounded");
}

void gpu_end_section(gpu *g)
{
    recorder_section_end(g->r);
    if (g->r->error.status == INGLE_OK)
        g->sections[g->n_sections++] = g->r->open_section;
}

/* Dispatches of one token for each length of context that differs, and those of the head. */
static ingle_status record_sections(gpu *g, ingle_error *err)
{
    uint32_t n = 1;
    while (n < GPU_MOST_BUCKETS && (uint64_t)GPU_BUCKET_FIRST << (n - 1) < g->opt.n_ctx)
        n++;
    mem_free(&g->allocator, g->buckets);
    g->buckets = mem_alloc(&g->allocator, n * sizeof *g->buckets);
    if (!g->buckets)
        return error_memory(err, n * sizeof *g->buckets, "sections");
    g->n_buckets = n;
    for (uint32_t i = 0; i < n; i++) {
        g->buckets[i] = recorder_section(g->r);
        gpu_record_one(g, gpu_bucket_positions(g, (uint64_t)GPU_BUCKET_FIRST << i));
        gpu_end_section(g);
    }
    const ingle_status status = gpu_record_bursts(g, err);
    if (status != INGLE_OK)
        return status;
    g->head_section = recorder_section(g->r);
    gpu_record_head(g, g->hidden);
    gpu_end_section(g);
    g->pass_section = recorder_section(g->r); // asks for the kernels of prompts, long and short
    for (uint32_t rows = g->opt.n_batch; rows > 1; rows /= 2)
        gpu_record_many(g, rows, g->opt.n_ctx);
    gpu_end_section(g);
    return INGLE_OK;
}

static void drop_sections(gpu *g)
{
    while (g->n_sections > 0)
        recorder_drop_section(g->r, g->sections[--g->n_sections]);
}

/* Asks for all kernels, and those of the self-test, which computes with vectors of the graph. */
static ingle_status prepare(gpu *g, ingle_error *err)
{
    ingle_status status = record_sections(g, err);
    if (status == INGLE_OK && !g->opt.unchecked && !g->shared->awaits)
        status = selftest_open(&g->selftest, g, err);
    if (status != INGLE_OK)
        return status;
    if (!g->shared->awaits) // gpu_settle asks, then
        g->ready = recorder_ready(g->r);
    return recorder_play(g->r, err);
}

/* What it can do only when the weights are there. */
ingle_status gpu_settle(gpu *g, ingle_error *err)
{
    ingle_status status = gpu_upload_rope(g, err);
    g->r->modes = g->modes;
    if (status == INGLE_OK && !g->opt.unchecked)
        status = selftest_open(&g->selftest, g, err);
    if (status != INGLE_OK)
        return status;
    g->ready = recorder_ready(g->r);
    return recorder_play(g->r, err);
}

/* All that a session has on the device. */
static ingle_status open_all(gpu *g, ingle_error *err)
{
    ingle_status status = kv_check(&g->kv, err);
    if (status == INGLE_OK)
        status = fit_limits(g, err);
    if (status == INGLE_OK)
        status = take_lists(g, err);
    if (status == INGLE_OK) {
        open_buffers(g);
        status = gpu_open_bursts(g, err);
    }
    if (status == INGLE_OK)
        status = gpu_lower(g, err);
    if (status == INGLE_OK)
        status = tune_recall(g, err);
    return status == INGLE_OK ? prepare(g, err) : status;
}

/* Values that share a buffer are dropped once. */
static void drop_values(gpu *g)
{
    for (size_t i = 0; g->values && i < g->graph->n_values; i++) {
        gpu_slice s = g->values[i];
        for (size_t j = i; j < g->graph->n_values; j++)
            if (g->values[j].buffer == s.buffer)
                g->values[j] = (gpu_slice){0};
        if (s.buffer != g->logits.buffer)
            recorder_drop(g->r, &s);
    }
}

static void drop_buffers(gpu *g)
{
    gpu_slice *const own[] = {&g->state, &g->ids, &g->rope, &g->logits, &g->hidden, &g->qkv, &g->q,
                              &g->normed, &g->rounded, &g->partials, &g->chosen};
    drop_values(g);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        recorder_drop(g->r, own[i]);
    for (uint32_t i = 0; g->k_cache && g->v_cache && i < g->graph->sizes.n_layers; i++) {
        recorder_drop(g->r, &g->k_cache[i]);
        recorder_drop(g->r, &g->v_cache[i]);
    }
    op_sample_close(&g->sample, g->r);
}

/* Gives back all that a session has on the device. What was to be read still goes into its memory, which is freed
 * after that: a host may not be able to wait for it now. */
static void close_there(gpu *g)
{
    gpu_shared *const d = g->shared;
    ingle_error ignored;
    recorder_recover(g->r); // other sessions need not suffer from what this one asked for
    selftest_close(g->selftest, g);
    tune_close(g);
    drop_buffers(g);
    drop_sections(g);
    recorder_play(g->r, &ignored);
    d->n_sessions--;
    if (d->first == g)
        d->first = NULL;
    g->next_closed = d->closed;
    d->closed = g;
}

/* Takes the answers that nobody has asked for; false: some are still to come. */
static bool answered(gpu *g)
{
    ingle_status status = gpu_wait_passes(g, 0, NULL);
    if (status != INGLE_WAIT)
        status = gpu_wait_bursts(g, NULL);
    if (status != INGLE_WAIT)
        status = gpu_wait_logits(g, NULL);
    return status != INGLE_WAIT; // what failed will not come
}

void gpu_free_closed(gpu_shared *d, bool gone)
{
    for (gpu **at = &d->closed; *at;) {
        gpu *const g = *at;
        if (!gone && !answered(g)) {
            at = &g->next_closed;
            continue;
        }
        *at = g->next_closed;
        const ingle_allocator a = g->allocator;
        mem_free(&a, g->steps);
        mem_free(&a, g->values);
        mem_free(&a, g->k_cache);
        mem_free(&a, g->v_cache);
        mem_free(&a, g->buckets);
        mem_free(&a, g->steps_of);
        mem_free(&a, g->host_logits);
        mem_free(&a, g);
    }
}

void gpu_close(gpu *g)
{
    if (!g)
        return;
    gpu_shared *const d = g->shared;
    gpu_enter(g);
    close_there(g);
    gpu_free_closed(d, false);
    const bool last = d->abandoned && d->n_sessions == 0;
    atomic_flag_clear(&d->lock);
    if (last)
        gpu_shared_close(d);
}

ingle_status gpu_open(gpu **out, gpu_shared *d, const gpu_options *opt, const ingle_allocator *a, ingle_error *err)
{
    *out = NULL;
    if (d->first)
        return error_set(err, INGLE_ERR_USAGE, "a session beside another whose weights are still to come");
    gpu *g = mem_zero(a, 1, sizeof *g);
    if (!g)
        return error_memory(err, sizeof *g, "a GPU session");
    if (a)
        g->allocator = *a;
    g->shared = d;
    g->graph = d->graph;
    g->opt = *opt;
    g->opt.unchecked = opt->unchecked || d->player.blind;
    g->modes = opt->modes ? *opt->modes : d->best;
    g->modes_forced = opt->modes != NULL;
    name_backend(g);
    g->r = &d->r;
    g->kv = (kv_layout){opt->k_format, opt->v_format, opt->n_ctx, g->graph->sizes.n_kv_heads, g->graph->sizes.d_head};
    gpu_enter(g);
    d->n_sessions++;
    const ingle_status status = open_all(g, err);
    if (status == INGLE_OK && d->awaits)
        d->first = g;
    if (status == INGLE_OK)
        *out = g;
    else
        close_there(g); // within the call: its failure is no other session's
    gpu_free_closed(d, false);
    atomic_flag_clear(&d->lock); // not gpu_leave: g may be gone
    return status;
}

/* Matrices count once (a head that is the embedding); activations without attention's partial results,
 * which depend on the device. */
ingle_status gpu_plan(const graph *gr, const gpu_options *opt, gpu_needs *out, ingle_error *err)
{
    const graph_sizes *s = &gr->sizes;
    const kv_layout kv = {opt->k_format, opt->v_format, opt->n_ctx, s->n_kv_heads, s->d_head};
    *out = (gpu_needs){0};
    ingle_status status = kv_check(&kv, err);
    for (size_t i = 0; status == INGLE_OK && i < gr->n_tensors; i++) {
        const graph_tensor *t = &gr->tensors[i];
        gpu_planes p = {.bytes = t->cols * sizeof(float)};
        bool before = false;
        for (size_t j = 0; j < i; j++)
            before = before || strcmp(gr->tensors[j].name, t->name) == 0;
        if (t->rows > 1)
            status = planes_plan(&p, t->format, t->rows, t->cols, err);
        out->weights += before ? 0 : p.bytes;
    }
    if (status != INGLE_OK)
        return status;
    const uint64_t d_q = (uint64_t)s->n_heads * s->d_head, d_kv = (uint64_t)s->n_kv_heads * s->d_head;
    const uint64_t floats = gr->plan_width + 2 * d_q + 2 * d_kv + gr->in_width;
    out->kv = s->n_layers * (kv_k_bytes(&kv) + kv_v_bytes(&kv));
    out->scratch = opt->n_batch * floats * sizeof(float) + gpu_rounded_bytes(gr->in_width, opt->n_batch) +
                   2 * (uint64_t)s->n_vocab * sizeof(float);
    return INGLE_OK;
}

void gpu_token_costs(const gpu *g, gpu_costs *out)
{
    *out = (gpu_costs){.kv = g->graph->sizes.n_layers * (kv_k_bytes(&g->kv) + kv_v_bytes(&g->kv)) / g->opt.n_ctx};
    for (const gpu_step *st = g->steps; st < g->steps + g->n_steps; st++)
        for (uint32_t i = 0; (st->kind == GPU_QKV || st->kind == GPU_LINEAR) && i < st->n_w; i++) {
            out->weights += gpu_matrix_bytes(st->w[i]);
            out->products += st + 1 < g->steps + g->n_steps ? st->w[i]->rows * st->w[i]->cols : 0;
        }
}

const char *gpu_name(const gpu *g)
{
    return g->name;
}

const char *gpu_notes(const gpu *g)
{
    return g->notes;
}

void gpu_set_modes(gpu *g, const gpu_modes *modes)
{
    g->modes = g->r->modes = *modes;
    if (!g->modes_forced)
        g->shared->best = *modes;
    name_backend(g);
    recorder_drop(g->r, &g->partials);
    open_partials(g);
    gpu_fuse(g);
}

/* All kernels anew, and their test. */
static ingle_status prepare_again(gpu *g, ingle_error *err)
{
    selftest_close(g->selftest, g);
    g->selftest = NULL;
    g->is_compiled = false;
    drop_sections(g);
    const ingle_status status = gpu_reopen_bursts(g, err);
    return status == INGLE_OK ? prepare(g, err) : status;
}

static void note(gpu *g, const char *what, const ingle_error *err)
{
    const size_t n = strlen(g->notes);
    snprintf(g->notes + n, sizeof g->notes - n, "%s%s off: %s", n ? "\n" : "", what, err->text);
    g->r->error = (ingle_error){0};
    g->r->broken = false; // the tape was carried out; some of its kernels are of no use
}

/* Gives up measuring, else shapes that were measured, else the most able mode, and notes what it cannot do. ERR_DEVICE if
 * there is nothing to give up. */
static ingle_status demote(gpu *g, ingle_error *err)
{
    gpu_modes m = g->modes;
    const bool measures = g->tuning != NULL;
    tune_close(g);
    if (tune_forget(g) || measures) {
        note(g, measures ? "measuring" : "measured shapes", err);
        return prepare_again(g, err);
    }
    if (!m.f16 && !m.subgroup && !m.dot_int8)
        return INGLE_ERR_DEVICE;
    note(g, m.f16 ? "f16" : m.subgroup ? "subgroups" : "int8", err);
    if (m.f16)
        m.f16 = false;
    else if (m.subgroup)
        m.subgroup = 0;
    else
        m.dot_int8 = false;
    gpu_set_modes(g, &m);
    return prepare_again(g, err);
}

bool gpu_was_ready(const gpu *g)
{
    return g->is_ready;
}

ingle_status gpu_wait_ready(gpu *g, ingle_error *err)
{
    ingle_error own = {0};
    err = err ? err : &own;
    if (g->shared->awaits)
        return error_set(err, INGLE_ERR_USAGE, "the weights are still to come");
    while (!g->is_ready) {
        bool changed = false;
        const bool tests = g->selftest || g->tuning;
        ingle_status status = g->is_compiled ? INGLE_OK : recorder_wait(g->r, g->ready, NULL, err);
        g->is_compiled = status == INGLE_OK;
        if (status == INGLE_OK && g->selftest)
            status = selftest_check(g->selftest, g, err);
        if (status == INGLE_OK) {
            selftest_close(g->selftest, g);
            g->selftest = NULL;
            status = tune_step(g, &changed, err);
        }
        if (status == INGLE_OK && changed)
            status = prepare_again(g, err);
        if (status == INGLE_ERR_DEVICE && tests && demote(g, err) == INGLE_OK)
            continue;
        if (status != INGLE_OK)
            return status;
        g->is_ready = !changed;
    }
    return error_clear(err);
}

ingle_status gpu_ready(gpu *g, ingle_error *err)
{
    gpu_enter(g);
    const ingle_status status = gpu_wait_ready(g, err);
    gpu_leave(g);
    return status;
}

/* ---- runs ------------------------------------------------------------------------------------- */

/* What the head reads: token row of the last run. */
static void pick_hidden(gpu *g, size_t row)
{
    const uint64_t bytes = (uint64_t)g->graph->sizes.d_model * sizeof(float);
    recorder_copy(g->r, gpu_part(g->values[g->graph->hidden], row * bytes, bytes), gpu_part(g->hidden, 0, bytes));
}

/* The section of a pass. A number of tokens or a length of context may need kernels that no pass had yet. */
static ingle_status prepare_pass(gpu *g, uint32_t n, size_t n_positions, ingle_error *err)
{
    const size_t before = g->r->n_kernels;
    recorder_section_again(g->r, g->pass_section);
    gpu_record_many(g, n, gpu_bucket_positions(g, n_positions));
    recorder_section_end(g->r);
    if (g->r->n_kernels > before) {
        g->ready = recorder_ready(g->r);
        g->is_compiled = g->is_ready = false;
    }
    const ingle_status status = recorder_play(g->r, err);
    return status == INGLE_OK ? gpu_wait_ready(g, err) : status;
}

static ingle_status run(gpu *g, const int32_t *ids, size_t n, size_t first, ingle_error *err)
{
    ingle_status status = gpu_drain(g, err);
    if (status == INGLE_OK && n > 1)
        status = prepare_pass(g, (uint32_t)n, first + n, err);
    if (status != INGLE_OK)
        return status;
    const uint32_t state[2] = {(uint32_t)first, (uint32_t)n};
    recorder_write(g->r, g->state, state, sizeof state);
    recorder_write(g->r, g->ids, ids, n * sizeof *ids);
    recorder_run(g->r, n == 1 ? g->buckets[gpu_bucket(g, first + 1)] : g->pass_section, 1);
    pick_hidden(g, n - 1);
    if (n > 1)
        gpu_note_pass(g, n);
    else
        recorder_submit(g->r);
    g->last_n = n;
    g->position = first + n;
    g->logits_state = LOGITS_NONE;
    return recorder_play(g->r, err);
}

ingle_status gpu_run(gpu *g, const int32_t *ids, size_t n, size_t first, ingle_error *err)
{
    gpu_enter(g);
    const ingle_status status = run(g, ids, n, first, err);
    gpu_leave(g);
    return status;
}

ingle_status gpu_wait_logits(gpu *g, ingle_error *err)
{
    if (g->logits_state != LOGITS_ASKED)
        return INGLE_OK;
    const ingle_status status = recorder_wait(g->r, g->logits_ticket, NULL, err);
    if (status == INGLE_OK)
        g->logits_state = LOGITS_THERE;
    return status;
}

static ingle_status read_logits(gpu *g, size_t row, const float **logits, ingle_error *err)
{
    *logits = NULL;
    ingle_status status = gpu_wait_logits(g, err);
    if (status == INGLE_OK && (g->logits_state == LOGITS_NONE || g->logits_row != row)) {
        const uint64_t bytes = g->graph->sizes.n_vocab * sizeof(float);
        pick_hidden(g, row);
        recorder_run(g->r, g->head_section, 1);
        g->logits_ticket = recorder_read(g->r, gpu_part(g->logits, 0, bytes), g->host_logits);
        g->logits_row = row;
        g->logits_state = LOGITS_ASKED;
        status = recorder_play(g->r, err);
        if (status == INGLE_OK)
            status = gpu_wait_logits(g, err);
    }
    if (status == INGLE_OK)
        *logits = g->host_logits;
    return status;
}

ingle_status gpu_logits(gpu *g, size_t row, const float **logits, ingle_error *err)
{
    gpu_enter(g);
    const ingle_status status = read_logits(g, row, logits, err);
    gpu_leave(g);
    return status;
}

bool gpu_print(gpu *g, ingle_text *out)
{
    ingle_error ignored;
    gpu_enter(g);
    g->r->listing = out;
    const uint32_t section = recorder_section(g->r);
    gpu_record_one(g, gpu_bucket_positions(g, 1));
    gpu_record_head(g, g->hidden);
    recorder_section_end(g->r);
    g->r->listing = NULL;
    const bool ok = recorder_play(g->r, &ignored) == INGLE_OK;
    if (ok)
        recorder_drop_section(g->r, section);
    gpu_leave(g);
    return ok;
}
