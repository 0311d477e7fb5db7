/* Tokens chosen on the GPU: queued by the burst, each feeding the next step, read back together. The host
 * knows how many were queued and takes them in order; what it does not take is forgotten with the next run. */
#include "base/error.h"
#include "gpu/gpu_impl.h"

ingle_status gpu_open_bursts(gpu *g, ingle_error *err)
{
    const ingle_status status = op_sample_open(&g->sample, g->r, g->graph->sizes.n_vocab, GPU_RING, g->opt.n_ctx, err);
    g->can_sample = status == INGLE_OK;
    if (status == INGLE_ERR_UNSUPPORTED) // larger vocabularies are sampled on the CPU
        return error_clear(err);
    g->chosen = recorder_buffer(g->r, GPU_RING * sizeof(uint32_t), "chosen");
    return status;
}

ingle_status gpu_reopen_bursts(gpu *g, ingle_error *err)
{
    if (!g->can_sample)
        return INGLE_OK;
    op_sample_close(&g->sample, g->r);
    return op_sample_open(&g->sample, g->r, g->graph->sizes.n_vocab, GPU_RING, g->opt.n_ctx, err);
}

bool gpu_can_sample(const gpu *g, const ingle_sampling *s)
{
    return g->can_sample && op_sample_supports(s, g->graph->sizes.n_vocab);
}

/* Head, then choice. */
static void record_choice(gpu *g, gpu_slice x)
{
    gpu_record_head(g, x);
    op_sample_dispatch(&g->sample, g->r, g->logits, g->state, g->ids, g->chosen);
}

ingle_status gpu_record_bursts(gpu *g, ingle_error *err)
{
    if (!g->can_sample)
        return INGLE_OK;
    mem_free(&g->allocator, g->steps_of);
    g->steps_of = mem_alloc(&g->allocator, g->n_buckets * sizeof *g->steps_of);
    if (!g->steps_of)
        return error_memory(err, g->n_buckets * sizeof *g->steps_of, "sections");
    g->choice_section = recorder_section(g->r);
    record_choice(g, g->hidden);
    gpu_end_section(g);
    for (uint32_t i = 0; i < g->n_buckets; i++) {
        g->steps_of[i] = recorder_section(g->r);
        gpu_record_one(g, gpu_bucket_positions(g, (uint64_t)GPU_BUCKET_FIRST << i));
        record_choice(g, g->values[g->graph->hidden]);
        gpu_end_section(g);
    }
    return INGLE_OK;
}

static ingle_status sample_begin(gpu *g, const ingle_sampling *s, const int32_t *ids, size_t n, uint32_t n_draws,
                                 ingle_error *err)
{
    const uint32_t counters[2] = {n_draws, 0}; // and tokens in the ring
    ingle_status status = gpu_drain(g, err);
    if (status == INGLE_OK)
        status = op_sample_begin(&g->sample, g->r, s, ids, n, err);
    if (status != INGLE_OK)
        return status;
    recorder_write(g->r, gpu_part(g->state, 2 * sizeof(uint32_t), 0), counters, sizeof counters);
    return recorder_play(g->r, err);
}

ingle_status gpu_sample_begin(gpu *g, const ingle_sampling *s, const int32_t *ids, size_t n, uint32_t n_draws,
                              ingle_error *err)
{
    gpu_enter(g);
    const ingle_status status = sample_begin(g, s, ids, n, n_draws, err);
    gpu_leave(g);
    return status;
}

ingle_status gpu_wait_bursts(gpu *g, ingle_error *err)
{
    for (; g->burst_first < g->burst_next; g->burst_first++) {
        const gpu_burst *b = &g->bursts[g->burst_first % GPU_MOST_BURSTS];
        const ingle_status status = b->there ? INGLE_OK : recorder_wait(g->r, b->ticket, NULL, err);
        if (status != INGLE_OK)
            return status;
    }
    return INGLE_OK;
}

ingle_status gpu_drain(gpu *g, ingle_error *err)
{
    ingle_status status = gpu_wait_ready(g, err);
    if (status == INGLE_OK)
        status = gpu_wait_bursts(g, err);
    if (status == INGLE_OK)
        g->queued = g->taken = 0;
    return status == INGLE_OK ? gpu_wait_logits(g, err) : status;
}

size_t gpu_queued(const gpu *g)
{
    return g->queued - g->taken;
}

static ingle_status queue(gpu *g, uint32_t n, ingle_error *err)
{
    gpu_burst *b = &g->bursts[g->burst_next % GPU_MOST_BURSTS];
    if (n == 0 || g->burst_next - g->burst_first == GPU_MOST_BURSTS || gpu_queued(g) + n > GPU_RING)
        return error_set(err, INGLE_ERR_USAGE, "%u tokens queued beside %zu", (unsigned)n, gpu_queued(g));
    uint32_t steps = n;
    if (g->queued == 0) { // the prompt's last token has been computed: only a choice
        recorder_run(g->r, g->choice_section, 1);
        steps--;
    }
    if (steps)
        recorder_run(g->r, g->steps_of[gpu_bucket(g, g->position + steps)], steps);
    b->ticket = recorder_read(g->r, gpu_part(g->chosen, 0, GPU_RING * sizeof(uint32_t)), b->ring);
    b->end = g->queued + n;
    b->there = false;
    g->position += steps;
    g->queued += n;
    g->burst_next++;
    return recorder_play(g->r, err);
}

ingle_status gpu_queue(gpu *g, uint32_t n, ingle_error *err)
{
    gpu_enter(g);
    const ingle_status status = queue(g, n, err);
    gpu_leave(g);
    return status;
}

static ingle_status take(gpu *g, int32_t *id, ingle_error *err)
{
    if (g->taken == g->queued)
        return error_set(err, INGLE_ERR_USAGE, "no token is queued");
    gpu_burst *b = &g->bursts[g->burst_first % GPU_MOST_BURSTS];
    if (!b->there) {
        const ingle_status status = recorder_wait(g->r, b->ticket, NULL, err);
        if (status != INGLE_OK)
            return status;
        b->there = true;
    }
    const uint32_t token = b->ring[g->taken % GPU_RING];
    if (token == SAMPLE_NAN)
        return error_set(err, INGLE_ERR_FORMAT, "the logits hold NaN: the model or its file is broken");
    if (token == SAMPLE_NO_TOKEN)
        return error_set(err, INGLE_ERR_FORMAT, "no token is left to choose from");
    g->taken++;
    if (g->taken == b->end)
        g->burst_first++;
    *id = (int32_t)token;
    return INGLE_OK;
}

ingle_status gpu_take(gpu *g, int32_t *id, ingle_error *err)
{
    gpu_enter(g);
    const ingle_status status = take(g, id, err);
    gpu_leave(g);
    return status;
}
