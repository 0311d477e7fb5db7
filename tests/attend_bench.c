/* Speed of attention on a GPU, for the shapes of known models: each way of cutting single tokens' work, and
 * prompts, over as many layers' caches as make the device fetch them from memory, dispatch after dispatch.
 * Measures only; tests/test_gpu_attend.c checks the same kernels. */
#include "attend_bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "gpu/op_attend.h"
#include "gpu_support.h"
#include "quant/quant.h"

static const struct {
    const char *name;
    uint32_t n_heads, n_kv_heads, d_head;
} models[] = {{"Qwen2-0.5B", 14, 2, 64},
              {"Llama-3.2-1B", 32, 8, 64},
              {"Llama-3.2-3B", 24, 8, 128},
              {"Llama-2-7B", 32, 32, 128}};
enum { MODELS = 4, MOST_TOKENS = 512, MOST_LAYERS = 200 };

#define CACHE_BYTES (128u << 20) // of K, and of V
#define ALL_SECONDS 50.0

typedef struct {
    gpu_player player;
    recorder r;
    gpu_slice state, q, out, partials, k, v; // k, v: [layer]
    uint32_t n_layers;
    double start; // of the program
} bench;

static double now(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool out_of_time(const bench *b)
{
    return now() - b->start > ALL_SECONDS;
}

static void must(bool good)
{
    if (!good)
        exit(1);
}

/* ---- time ------------------------------------------------------------------------------------- */

/* A section with the op on each layer's cache. */
static uint32_t record_layers(bench *b, const attend_op *op)
{
    const uint64_t k_bytes = b->k.bytes / b->n_layers, v_bytes = b->v.bytes / b->n_layers;
    const uint32_t section = recorder_section(&b->r);
    for (uint32_t i = 0; i < b->n_layers; i++) {
        attend_op layer = *op;
        layer.k_cache = gpu_part(b->k, i * k_bytes, kv_k_bytes(&op->kv));
        layer.v_cache = gpu_part(b->v, i * v_bytes, kv_v_bytes(&op->kv));
        op_attend(&b->r, &layer);
    }
    recorder_section_end(&b->r);
    return section;
}

/* ---- tables ----------------------------------------------------------------------------------- */

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + GPU_ALIGN - 1) / GPU_ALIGN * GPU_ALIGN;
}

/* An op at a context, on fresh caches. Zeros cost what other numbers do. */
static attend_op open_op(bench *b, int model, uint32_t type, uint32_t position, uint32_t n_tokens)
{
    const uint32_t end = position + n_tokens;
    attend_op op = {.label = "attend",
                    .kv = {type, type, end, models[model].n_kv_heads, models[model].d_head},
                    .n_heads = models[model].n_heads,
                    .n_tokens = n_tokens,
                    .max_positions = end,
                    .scale = 1 / sqrtf((float)models[model].d_head),
                    .state = b->state,
                    .q = b->q,
                    .out = b->out,
                    .partials = b->partials};
    const uint64_t k = aligned(kv_k_bytes(&op.kv)), v = aligned(kv_v_bytes(&op.kv)), most = CACHE_BYTES / k;
    b->n_layers = n_tokens > 1 ? 4 : most < 4 ? 4 : most > MOST_LAYERS ? MOST_LAYERS : (uint32_t)most;
    b->k = recorder_buffer(&b->r, b->n_layers * k, "k");
    b->v = recorder_buffer(&b->r, b->n_layers * v, "v");
    ingle_error e;
    const uint32_t words[4] = {position, n_tokens, 0, 0};
    recorder_write(&b->r, b->state, words, sizeof words);
    must(recorder_play(&b->r, &e) == INGLE_OK);
    return op;
}

static void close_op(bench *b)
{
    recorder_drop(&b->r, &b->k);
    recorder_drop(&b->r, &b->v);
}

static const char *type_name(uint32_t type)
{
    return quant_find(type)->name;
}

static void single_token(bench *b, int model, uint32_t type, uint32_t context)
{
    attend_op op = open_op(b, model, type, context - 1, 1);
    attend_shape shapes[ATTEND_SHAPES];
    const uint32_t n = attend_list_shapes(&b->r, &op, shapes);
    const double bytes = (double)(kv_k_bytes(&op.kv) + kv_v_bytes(&op.kv));
    printf("%s, %s cache, one token at %u positions, %.2f MB (* the usual shape)\n", models[model].name,
           type_name(type), (unsigned)context, bytes * 1e-6);
    uint32_t sections[ATTEND_SHAPES];
    double seconds[ATTEND_SHAPES];
    for (uint32_t i = 0; i < n; i++) {
        op.shape = &shapes[i];
        sections[i] = record_layers(b, &op);
    }
    must(test_gpu_time(&b->r, sections, n, b->n_layers * 5e-6, seconds));
    for (uint32_t i = 0; i < n; i++) {
        op.shape = &shapes[i];
        const double once = seconds[i] / b->n_layers;
        printf("  %4u threads, %4u positions, %2u heads, %3u splits: %7.2f us %6.0f GB/s%s\n",
               (unsigned)shapes[i].threads, (unsigned)shapes[i].chunk, (unsigned)shapes[i].heads,
               (unsigned)attend_splits(&b->r, &op), once * 1e6, bytes / once * 1e-9, i == 0 ? " *" : "");
    }
    fflush(stdout);
    close_op(b);
}

static void prompt(bench *b, int model, uint32_t type, uint32_t position)
{
    const attend_op op = open_op(b, model, type, position, MOST_TOKENS);
    const double pairs = (double)MOST_TOKENS * position + MOST_TOKENS * (MOST_TOKENS + 1) / 2.0;
    const double flops = 4 * pairs * models[model].d_head * models[model].n_heads;
    const uint32_t section = record_layers(b, &op);
    double seconds;
    must(test_gpu_time(&b->r, &section, 1, b->n_layers * 1e-3, &seconds));
    seconds /= b->n_layers;
    printf("%s, %s cache, %u tokens after %u: %8.1f us %6.2f TFLOP/s\n", models[model].name, type_name(type),
           (unsigned)MOST_TOKENS, (unsigned)position, seconds * 1e6, flops / seconds * 1e-12);
    fflush(stdout);
    close_op(b);
}

/* What is quick on slow devices comes first. */
static void tables(bench *b)
{
    static const uint32_t contexts[] = {256, 4096, 1024};
    for (int i = 0; i < 3; i++)
        for (int m = 0; m < MODELS && !out_of_time(b); m++)
            single_token(b, m, QUANT_F16, contexts[i]);
    for (uint32_t before = 0; before <= 3584; before += 3584)
        for (int m = 0; m < MODELS && !out_of_time(b); m++)
            prompt(b, m, QUANT_F16, before);
    for (int m = 0; m < MODELS && !out_of_time(b); m++)
        single_token(b, m, QUANT_Q8_0, contexts[1]);
    if (out_of_time(b))
        printf("stopped after %.0f s\n", ALL_SECONDS);
}

int attend_bench(void)
{
    bench b = {.start = now()};
    if (!test_gpu_open(&b.player, NULL, "attend_bench"))
        return 1;
    recorder_init(&b.r, &b.player, &(gpu_modes){0}, NULL);
    const uint64_t most = (uint64_t)MOST_TOKENS * 32 * 128 * 4;
    b.state = recorder_buffer(&b.r, 16, "state");
    b.q = recorder_buffer(&b.r, most, "q");
    b.out = recorder_buffer(&b.r, most, "out");
    b.partials = recorder_buffer(&b.r, 4u << 20, "partials");
    const gpu_limits *l = &b.player.limits;
    for (int on = l->subgroup_min == l->subgroup_max && l->subgroup_min; on >= 0 && !out_of_time(&b); on--) {
        b.r.modes = (gpu_modes){.subgroup = on ? l->subgroup_min : 0, .rolled = l->software};
        printf("\n%s, subgroups of %u\n", l->name, (unsigned)b.r.modes.subgroup);
        tables(&b);
    }
    recorder_free(&b.r);
    b.player.close(b.player.user);
    return 0;
}
