#include "gpu/op_sample.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

enum {
    GROUP_LOGITS = 1024, // of a workgroup of the scan
    MOST_SLICES = 4096,  // the pick reads all their maxima
    PICK_THREADS = 256,
    LEAST_SLICE = 32,
    ROOM = 512,   // tokens in workgroup memory: 4 KiB, and n^2 comparisons to sort them
    MOST_SUBGROUP = 256,
    MOST_K = 100, // of 128 rows; of independent logits, 195 reach the bound then
};

/* ---- kernels ---------------------------------------------------------------------------------- */

static void add_constants(shader *s, const op_sample *op, uint32_t n_slices)
{
    const struct {
        const char *name;
        uint32_t value;
    } flags[] = {
        {"GREEDY", SAMPLE_GREEDY}, {"PENALTIES", SAMPLE_PENALTIES}, {"BIASES", SAMPLE_BIASES},
        {"TOP_P", SAMPLE_HAS_TOP_P}, {"MIN_P", SAMPLE_HAS_MIN_P}, {"SLICE_SUMS", SAMPLE_SLICE_SUMS},
        {"NAN_AMONG_LOGITS", SAMPLE_NAN}, {"NO_TOKEN", SAMPLE_NO_TOKEN},
    };
    shader_u32(s, "N_VOCAB", op->n_vocab);
    shader_u32(s, "SLICE", op->slice);
    shader_u32(s, "N_SLICES", n_slices);
#define SAMPLE_CONSTANT(NAME) shader_u32(s, "AT_" #NAME, SAMPLE_AT_##NAME);
    SAMPLE_WORDS(SAMPLE_CONSTANT)
#undef SAMPLE_CONSTANT
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        shader_u32(s, flags[i].name, flags[i].value);
}

static uint32_t scan_kernel(const op_sample *op, recorder *r, uint32_t n_slices)
{
    const bool use_subgroups = r->modes.subgroup >= op->slice / 4;
    shader s;
    shader_init(&s, &r->allocator);
    if (use_subgroups)
        shader_enable(&s, "subgroups");
    add_constants(&s, op, n_slices);
    shader_part(&s, "sample_scan");
    shader_part(&s, "sample_order");
    shader_part(&s, "sample_adjust");
    shader_part(&s, "sample_weight");
    shader_part(&s, use_subgroups ? "sample_segment_subgroup" : "sample_segment");
    return recorder_kernel_of(r, &s, "sample_scan");
}

static uint32_t pick_kernel(const op_sample *op, recorder *r, uint32_t n_slices)
{
    static const char *const parts[] = {"sample_pick", "sample_few",  "sample_many", "sample_wide",
                                        "sample_draw", "sample_order", "sample_weight", "sample_finish"};
    const bool use_subgroups = r->modes.subgroup > 1 && r->modes.subgroup <= MOST_SUBGROUP;
    shader s;
    shader_init(&s, &r->allocator);
    add_constants(&s, op, n_slices);
    if (use_subgroups) {
        shader_enable(&s, "subgroups");
        shader_u32(&s, "SUBGROUP", r->modes.subgroup);
    }
    shader_u32(&s, "RING", op->ring);
    shader_u32(&s, "ROOM", ROOM);
    shader_u32(&s, "MOST_K", MOST_K);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        shader_part(&s, parts[i]);
    shader_part(&s, use_subgroups ? "sample_sums_subgroup" : "sample_sums");
    shader_part(&s, r->modes.rolled ? "loops_rolled" : "loops_unrolled");
    return recorder_kernel_of(r, &s, "sample_pick");
}

/* ---- open and close --------------------------------------------------------------------------- */

static uint32_t n_groups_of(const op_sample *op)
{
    return (op->n_vocab + GROUP_LOGITS - 1) / GROUP_LOGITS;
}

ingle_status op_sample_open(op_sample *op, recorder *r, uint32_t n_vocab, uint32_t ring, uint32_t window,
                            ingle_error *err)
{
    *op = (op_sample){.n_vocab = n_vocab, .ring = ring, .window = window, .slice = LEAST_SLICE,
                      .allocator = r->allocator};
    if (n_vocab == 0 || n_vocab > SAMPLE_MOST_TOKENS)
        return error_set(err, INGLE_ERR_UNSUPPORTED, "sampling on the GPU among %u tokens; %u at most",
                         (unsigned)n_vocab, (unsigned)SAMPLE_MOST_TOKENS);
    const uint32_t logits = n_groups_of(op) * GROUP_LOGITS;
    while (logits / op->slice > MOST_SLICES)
        op->slice *= 2;
    const uint32_t n_slices = (logits / op->slice + PICK_THREADS - 1) / PICK_THREADS * PICK_THREADS;
    const uint64_t keys = (uint64_t)n_slices * op->slice * sizeof(uint32_t);
    const uint64_t history = op_sample_history_words(n_vocab, window) * sizeof(uint32_t);
    const uint64_t largest = keys > history ? keys : history;
    const gpu_limits *l = &r->player->limits;
    if (largest > l->max_buffer || largest > l->max_binding)
        return error_set(err, INGLE_ERR_UNSUPPORTED, "sampling on the GPU: a buffer of %llu bytes", (unsigned long long)largest);
    op->settings = recorder_buffer(r, sizeof op->words, "sample settings");
    op->history = recorder_buffer(r, history, "sample history");
    op->keys = recorder_buffer(r, keys, "sample keys");
    op->slices = recorder_buffer(r, (uint64_t)n_slices * 2 * sizeof(uint32_t), "sample slices");
    op->scan = scan_kernel(op, r, n_slices);
    op->pick = pick_kernel(op, r, n_slices);
    if (err)
        *err = r->error;
    return r->error.status;
}

void op_sample_close(op_sample *op, recorder *r)
{
    recorder_drop(r, &op->settings);
    recorder_drop(r, &op->history);
    recorder_drop(r, &op->keys);
    recorder_drop(r, &op->slices);
    mem_free(&op->allocator, op->history_words);
    op->history_words = NULL;
}

void op_sample_dispatch(const op_sample *op, recorder *r, gpu_slice logits, gpu_slice state, gpu_slice ids,
                        gpu_slice chosen)
{
    const gpu_bind binds[] = {
        {"logits", logits}, {"state", state}, {"ids", ids}, {"chosen", chosen},
        {"settings", op->settings}, {"history", op->history}, {"keys", op->keys}, {"slices", op->slices},
    };
    const size_t n = sizeof binds / sizeof *binds;
    recorder_dispatch(r, op->scan, binds, n, n_groups_of(op), 1, 1);
    recorder_dispatch(r, op->pick, binds, n, 1, 1, 1);
}

/* ---- settings --------------------------------------------------------------------------------- */

bool op_sample_supports(const ingle_sampling *s, uint32_t n_vocab)
{
    return s->typical_p >= 1 && n_vocab > 0 && n_vocab <= SAMPLE_MOST_TOKENS;
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static uint32_t flags_of(const ingle_sampling *s)
{
    uint32_t flags = 0;
    if (s->temperature <= 0)
        flags |= SAMPLE_GREEDY;
    if (s->repeat_last_n != 0 && (s->repeat_penalty != 1 || s->presence_penalty != 0 || s->frequency_penalty != 0))
        flags |= SAMPLE_PENALTIES;
    if (s->n_logit_bias)
        flags |= SAMPLE_BIASES;
    if (s->top_p < 1)
        flags |= SAMPLE_HAS_TOP_P;
    if (s->min_p > 0)
        flags |= SAMPLE_HAS_MIN_P;
    if (s->temperature > 0 && s->top_k <= 0 && (s->top_p < 1 || !(s->min_p > 0)))
        flags |= SAMPLE_SLICE_SUMS;
    return flags;
}

/* Where exp(x) is nothing to the kernel's sums. */
#define NOTHING (-31.0f)

/* Of a temperature so small that its inverse is infinite, the kernel sees only FAR, which is 0. */
static float inverse_of(float temperature)
{
    return temperature > 1e-30f ? 1 / temperature : 0;
}

void op_sample_settings(uint32_t words[SAMPLE_SETTINGS_WORDS], const ingle_sampling *s, uint32_t window)
{
    const uint32_t flags = flags_of(s);
    const float temperature = s->temperature > 0 ? s->temperature : 1;
    const float sum_temperature = flags & SAMPLE_HAS_TOP_P ? 1 : temperature;
    const uint32_t last_n = s->repeat_last_n > 0 ? (uint32_t)s->repeat_last_n : 0;
    words[SAMPLE_AT_FLAGS] = flags;
    words[SAMPLE_AT_TOP_K] = s->top_k > 0 ? (uint32_t)s->top_k : 0;
    words[SAMPLE_AT_TOP_P] = s->top_p < 1 ? (uint32_t)((double)s->top_p * 4294967296.0) : UINT32_MAX;
    words[SAMPLE_AT_LOG_MIN_P] = bits_of(s->min_p > 0 ? logf(s->min_p) : 0);
    words[SAMPLE_AT_INVERSE] = bits_of(inverse_of(temperature));
    words[SAMPLE_AT_FAR] = bits_of(temperature > 1e-30f ? NOTHING * temperature : 0);
    words[SAMPLE_AT_SUM_INVERSE] = bits_of(inverse_of(sum_temperature));
    words[SAMPLE_AT_SUM_FAR] = bits_of(sum_temperature > 1e-30f ? NOTHING * sum_temperature : 0);
    words[SAMPLE_AT_SEED] = (uint32_t)s->seed;
    words[SAMPLE_AT_SEED_HIGH] = (uint32_t)(s->seed >> 32);
    words[SAMPLE_AT_REPEAT] = bits_of(s->repeat_penalty);
    words[SAMPLE_AT_FREQUENCY] = bits_of(s->frequency_penalty);
    words[SAMPLE_AT_PRESENCE] = bits_of(s->presence_penalty);
    words[SAMPLE_AT_WINDOW] = flags & SAMPLE_PENALTIES && last_n < window ? last_n : 0;
}

/* ---- history ---------------------------------------------------------------------------------- */

size_t op_sample_history_words(uint32_t n_vocab, uint32_t window)
{
    return 2 * (size_t)n_vocab + 1 + window;
}

/* As sample_finish.wgsl does with the tokens that follow. */
static void remember(uint32_t *words, uint32_t n_vocab, uint32_t size, uint32_t id)
{
    words[2 * (size_t)id]++;
    if (size == 0)
        return;
    uint32_t *came = &words[2 * (size_t)n_vocab], *slot = came + 1 + *came % size;
    if (*came >= size)
        words[2 * (size_t)*slot]--;
    *slot = id;
    (*came)++;
}

void op_sample_history(uint32_t *words, uint32_t n_vocab, const uint32_t settings[SAMPLE_SETTINGS_WORDS],
                       const ingle_sampling *s, const int32_t *ids, size_t n)
{
    memset(words, 0, (2 * (size_t)n_vocab + 1) * sizeof *words);
    for (size_t i = 0; i < s->n_logit_bias; i++) {
        uint32_t *bias = &words[2 * (size_t)s->logit_bias[i].id + 1];
        float sum;
        memcpy(&sum, bias, sizeof sum);
        *bias = bits_of(sum + s->logit_bias[i].bias);
    }
    if (!(settings[SAMPLE_AT_FLAGS] & SAMPLE_PENALTIES))
        return;
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= 0 && (uint32_t)ids[i] < n_vocab)
            remember(words, n_vocab, settings[SAMPLE_AT_WINDOW], (uint32_t)ids[i]);
}

ingle_status op_sample_begin(op_sample *op, recorder *r, const ingle_sampling *s, const int32_t *ids, size_t n,
                             ingle_error *err)
{
    op_sample_settings(op->words, s, op->window);
    recorder_write(r, op->settings, op->words, sizeof op->words);
    if (op->words[SAMPLE_AT_FLAGS] & (SAMPLE_PENALTIES | SAMPLE_BIASES)) {
        const size_t bytes = op_sample_history_words(op->n_vocab, op->window) * sizeof(uint32_t);
        if (!op->history_words)
            op->history_words = mem_zero(&op->allocator, 1, bytes);
        if (!op->history_words)
            return error_memory(err, bytes, "the GPU sampler's history");
        op_sample_history(op->history_words, op->n_vocab, op->words, s, ids, n);
        recorder_write(r, op->history, op->history_words, bytes);
    }
    return error_clear(err);
}
