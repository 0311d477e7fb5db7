/* Kernels chosen by measuring: over the null player, whose clock here runs as kernels' constants say. */
#include "base/error.h"
#include "gpu/gpu_impl.h"
#include "gpu/tape_read.h"
#include "gpu/tune.h"
#include "harness.h"
#include "model/model.h"
#include "tiny_model.h"

enum { MOST = 2048, KEPT = 8192 };

/* A device whose best products have `threads` a workgroup; each doubling or halving of them takes as long again. */
typedef struct {
    uint32_t threads;
    uint64_t int8, subgroups; // microseconds more a dispatch
    uint32_t bad;             // kernels of so many threads do not compile; 0: all do
} speed;

typedef struct {
    gpu_player null;
    speed speed;
    uint32_t n_ctx; // of sessions; 0: the model's
    uint64_t pipelines[MOST], sections[MOST]; // nanoseconds
    uint64_t clock, answers[MOST];            // of stamps, by ticket
    bool is_ready[MOST], is_bad;              // ticket is READY's; a kernel did not compile
    unsigned stamps;
    unsigned char kept[KEPT];
    size_t n_kept, n_remembered;
} device;

static uint32_t constant_of(const char *code, const char *name)
{
    const char *at = strstr(code, name);
    return at ? (uint32_t)strtoul(at + strlen(name), NULL, 10) : 0;
}

static uint32_t doublings(uint32_t a, uint32_t b)
{
    uint32_t n = 0;
    for (; a != b; n++)
        *(a < b ? &a : &b) *= 2;
    return n;
}

static uint64_t cost_of(device *d, const uint32_t *w)
{
    char *code = calloc(w[4] + 1, 1);
    memcpy(code, tape_address(w + 2), w[4]);
    const uint32_t threads = constant_of(code, "const T = ");
    const bool product = strstr(code, "const TPR = ");
    uint64_t cost = 5000;
    cost += product ? doublings(d->speed.threads, threads) * 5000 : 0;
    cost += product && strstr(code, "dot4I8Packed") ? d->speed.int8 * 1000 : 0;
    cost += product && strstr(code, "enable subgroups") ? d->speed.subgroups * 1000 : 0;
    d->is_bad = d->is_bad || (product && threads == d->speed.bad);
    free(code);
    return cost;
}

static void note(device *d, const uint32_t *w)
{
    switch (w[0]) {
    case TAPE_PIPELINE:
        CHECK(w[1] < MOST);
        d->pipelines[w[1] % MOST] = cost_of(d, w);
        break;
    case TAPE_SECTION:
        d->sections[w[1] % MOST] = 0;
        for (uint32_t i = 0; i < w[2]; i++)
            d->sections[w[1] % MOST] += d->pipelines[w[3 + i * TAPE_SECTION_WORDS] % MOST];
        break;
    case TAPE_RUN:
        d->clock += w[2] * d->sections[w[1] % MOST];
        break;
    case TAPE_READY:
        d->is_ready[w[1] % MOST] = true;
        break;
    case TAPE_STAMP:
        d->stamps++;
        d->answers[w[1] % MOST] = d->clock / 100000 * 100000; // as browsers round it
        break;
    default:
        break;
    }
}

static ingle_status play(void *user, const uint32_t *words, size_t n, ingle_error *err)
{
    device *d = user;
    for (size_t at = 0; at < n; at += tape_command_words(words + at, n - at))
        note(d, words + at);
    return d->null.play(d->null.user, words, n, err);
}

static ingle_status wait_for(void *user, uint32_t ticket, uint64_t *answer, ingle_error *err)
{
    device *d = user;
    const ingle_status status = d->null.wait(d->null.user, ticket, NULL, err);
    if (answer)
        *answer = d->answers[ticket % MOST];
    if (status == INGLE_OK && d->is_ready[ticket % MOST] && d->is_bad) {
        d->is_bad = false;
        return error_set(err, INGLE_ERR_DEVICE, "a kernel does not compile");
    }
    return status;
}

static void close_it(void *user)
{
    device *d = user;
    d->null.close(d->null.user);
}

static size_t recall(void *user, void *to, size_t most)
{
    const device *d = user;
    if (d->n_kept > most)
        return 0;
    memcpy(to, d->kept, d->n_kept);
    return d->n_kept;
}

static void remember(void *user, const void *bytes, size_t n)
{
    device *d = user;
    CHECK(n <= KEPT);
    memcpy(d->kept, bytes, n);
    d->n_kept = n;
    d->n_remembered++;
}

static const tiny_shape shape = {.n_layers = 2, .n_heads = 4, .n_kv_heads = 2, .d_model = 256, .d_ff = 512, .n_vocab = TINY_VOCAB,
                                 .n_ctx = 1024, .format = QUANT_Q4_0, .seed = 3};

/* A session on the device, ready. What the device keeps stays. */
typedef struct {
    ingle_model *model;
    char *bytes;
    gpu_shared *shared;
    gpu *g;
} opened;

static opened open_on(device *d, gpu_measure measure, const gpu_modes *modes, bool timestamps, bool software)
{
    const gpu_limits usual = {.name = "usual", .max_buffer = 256u << 20, .max_binding = 128u << 20,
                              .max_workgroup_memory = 32768, .max_workgroup_threads = 256, .max_groups = 65535,
                              .max_bindings = 10, .subgroup_min = 32, .subgroup_max = 32, .packed_dot = 1,
                              .timestamps = timestamps, .software = software};
    ingle_error e = {0};
    const ingle_allocator plain = {0};
    opened o = {.model = tiny_model_open(&shape, &o.bytes)};
    d->clock = d->stamps = d->is_bad = 0;
    memset(d->is_ready, 0, sizeof d->is_ready);
    CHECK_MSG(gpu_null_open(&d->null, &usual, NULL, &e) == INGLE_OK, "%s", e.text);
    const gpu_player player = {.user = d, .limits = usual, .play = play, .wait = wait_for, .close = close_it,
                               .recall = recall, .remember = remember};
    const gpu_options opt = {.n_ctx = d->n_ctx ? d->n_ctx : shape.n_ctx, .n_batch = 8, .k_format = QUANT_F16, .v_format = QUANT_F16, .modes = modes,
                             .unchecked = true, .measure = measure};
    CHECK_MSG(gpu_shared_open(&o.shared, &o.model->graph, &player, false, &plain, &e) == INGLE_OK, "%s", e.text);
    CHECK_MSG(gpu_open(&o.g, o.shared, &opt, &plain, &e) == INGLE_OK, "%s", e.text);
    CHECK_MSG(o.g && gpu_ready(o.g, &e) == INGLE_OK, "%s", e.text);
    return o;
}

static void shut(opened *o)
{
    gpu_close(o->g);
    gpu_shared_close(o->shared);
    ingle_model_close(o->model);
    free(o->bytes);
}

/* Whether every product of decoding has a shape of its own, as many threads as are best here, or as near as it may come. */
static bool all_best(const opened *o, uint32_t threads)
{
    bool all = true;
    for (size_t i = 0; i < o->g->n_steps; i++) {
        const gpu_step *st = &o->g->steps[i];
        if (st->kind != GPU_QKV && st->kind != GPU_LINEAR)
            continue;
        const bool merges = gpu_merges(o->g, st, gpu_bucket_positions(o->g, 512));
        const matvec_shape *own = merges ? &st->w[0]->merging : &st->w[0]->shape;
        matvec_shape nearer = *own;
        nearer.threads = own->threads < threads ? own->threads * 2 : own->threads / 2;
        o->g->r->modes = o->g->modes;
        all = all && own->threads && (own->threads == threads ||
                                      !matvec_shape_suits(o->g->r, st->w[0], gpu_epilogue(st), merges, &nearer));
    }
    return all;
}

/* Whether no product has a shape of its own. */
static bool all_usual(const opened *o)
{
    bool all = true;
    for (size_t i = 0; i < o->shared->n_weights; i++)
        all = all && !o->shared->weights[i].m.shape.threads && !o->shared->weights[i].m.merging.threads;
    return all;
}

static void finds_the_fastest(void)
{
    static const uint32_t best[] = {32, 64, 128, 256};
    for (size_t i = 0; i < sizeof best / sizeof *best; i++) {
        device d = {.speed = {.threads = best[i]}};
        opened o = open_on(&d, GPU_MEASURE_USUALLY, NULL, true, false);
        CHECK_MSG(all_best(&o, best[i]), "%u", (unsigned)best[i]);
        CHECK(o.g->modes.dot_int8 && o.g->modes.subgroup == 32); // no other is much faster
        CHECK(d.stamps > 0 && d.n_remembered == 1);
        CHECK_TEXT(gpu_notes(o.g), "");
        shut(&o);
    }
}

/* In contexts in which attention leaves no splits, and in some. */
static void measures_for_any_context(void)
{
    static const uint32_t contexts[] = {8, 128, 256, 400, 1000};
    for (size_t i = 0; i < sizeof contexts / sizeof *contexts; i++) {
        device d = {.speed = {.threads = 64}, .n_ctx = contexts[i]};
        opened o = open_on(&d, GPU_MEASURE_USUALLY, NULL, true, false);
        CHECK_MSG(all_best(&o, 64), "%u", (unsigned)contexts[i]);
        shut(&o);
    }
}

static void finds_the_fastest_modes(void)
{
    static const struct {
        uint64_t int8, subgroups;
        bool takes_int8, takes_subgroups;
    } cases[] = {{0, 0, true, true}, {30, 0, false, true}, {0, 30, true, false}, {30, 30, false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        device d = {.speed = {.threads = 64, .int8 = cases[i].int8, .subgroups = cases[i].subgroups}};
        opened o = open_on(&d, GPU_MEASURE_USUALLY, NULL, true, false);
        CHECK(o.g->modes.dot_int8 == cases[i].takes_int8 && (o.g->modes.subgroup != 0) == cases[i].takes_subgroups);
        CHECK(strstr(gpu_name(o.g), cases[i].takes_int8 ? "int8" : "f32"));
        CHECK(all_best(&o, 64));
        shut(&o);
    }
}

/* Modes that were asked for stay. */
static void keeps_modes_that_were_named(void)
{
    const gpu_modes wanted = {.subgroup = 32, .dot_int8 = true};
    device d = {.speed = {.threads = 64, .int8 = 30, .subgroups = 30}};
    opened o = open_on(&d, GPU_MEASURE_USUALLY, &wanted, true, false);
    CHECK(o.g->modes.dot_int8 && o.g->modes.subgroup == 32 && all_best(&o, 64));
    shut(&o);
}

static void remembers(void)
{
    device d = {.speed = {.threads = 32, .int8 = 30, .subgroups = 2}};
    opened first = open_on(&d, GPU_MEASURE_USUALLY, NULL, true, false);
    const unsigned stamps = d.stamps;
    shut(&first);
    opened again = open_on(&d, GPU_MEASURE_USUALLY, NULL, true, false);
    CHECK(stamps > 0 && d.stamps == 0 && d.n_remembered == 1);
    CHECK(all_best(&again, 32) && !again.g->modes.dot_int8);
    shut(&again);
    const gpu_modes other = {.subgroup = 32, .dot_int8 = true}; // nothing is known of these
    opened third = open_on(&d, GPU_MEASURE_USUALLY, &other, true, false);
    CHECK(d.stamps > 0 && d.n_remembered == 2 && all_best(&third, 32));
    shut(&third);
    opened fourth = open_on(&d, GPU_MEASURE_USUALLY, NULL, true, false); // and the first is still known
    CHECK(d.stamps == 0);
    shut(&fourth);
}

/* Storage may hold anything. */
static void checks_what_it_remembers(void)
{
    device d = {.speed = {.threads = 32}};
    opened first = open_on(&d, GPU_MEASURE_USUALLY, NULL, true, false);
    const size_t n = d.n_kept;
    shut(&first);
    for (int kind = 0; kind < 3; kind++) {
        if (kind == 0)
            d.n_kept = n - 4; // cut
        for (size_t i = kind == 1 ? 0 : 4; kind > 0 && i < n; i++) // another version; entries of noise
            if (kind == 1 || (i / 4 - 1) % 5 != 0)
                d.kept[i] = (unsigned char)(i * 37 + 11);
        opened o = open_on(&d, GPU_MEASURE_USUALLY, NULL, true, false);
        CHECK_MSG(d.stamps > 0, "%d", kind);
        CHECK_MSG(all_best(&o, 32) && o.g->modes.dot_int8, "%d", kind);
        CHECK(d.n_kept == n);
        shut(&o);
    }
}

static void measures_where_it_can(void)
{
    device d = {.speed = {.threads = 32}};
    static const struct {
        gpu_measure measure;
        bool timestamps, software, measures;
    } cases[] = {{GPU_MEASURE_USUALLY, true, false, true},  {GPU_MEASURE_USUALLY, false, false, false},
                 {GPU_MEASURE_USUALLY, true, true, false},  {GPU_MEASURE_ALWAYS, true, true, true},
                 {GPU_MEASURE_ALWAYS, false, true, false},  {GPU_MEASURE_NEVER, true, false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        d.n_kept = 0;
        opened o = open_on(&d, cases[i].measure, NULL, cases[i].timestamps, cases[i].software);
        CHECK_MSG((d.stamps > 0) == cases[i].measures && (cases[i].measures ? all_best(&o, 32) : all_usual(&o)), "case %zu", i);
        shut(&o);
    }
}

/* The usual kernels do. */
static void does_without(void)
{
    device d = {.speed = {.threads = 32, .bad = 64}};
    opened o = open_on(&d, GPU_MEASURE_USUALLY, NULL, true, false);
    CHECK(all_usual(&o) && o.g->modes.dot_int8 && o.g->modes.subgroup == 32 && d.n_remembered == 0);
    CHECK_MSG(strstr(gpu_notes(o.g), "measuring off: a kernel does not compile"), "%s", gpu_notes(o.g));
    shut(&o);
}

/* A second session has what the first found, and measures nothing. */
static void sessions_share(void)
{
    device d = {.speed = {.threads = 32}};
    opened o = open_on(&d, GPU_MEASURE_USUALLY, NULL, true, false);
    const unsigned stamps = d.stamps;
    gpu *second = NULL;
    ingle_error e = {0};
    const gpu_options opt = {.n_ctx = 256, .n_batch = 8, .k_format = QUANT_F16, .v_format = QUANT_F16, .unchecked = true};
    CHECK_MSG(gpu_open(&second, o.shared, &opt, NULL, &e) == INGLE_OK && gpu_ready(second, &e) == INGLE_OK, "%s", e.text);
    CHECK(d.stamps == stamps);
    gpu_close(second);
    shut(&o);
}

TESTS(T(finds_the_fastest) T(measures_for_any_context) T(finds_the_fastest_modes) T(keeps_modes_that_were_named) T(remembers) T(checks_what_it_remembers)
      T(measures_where_it_can) T(does_without) T(sessions_share))
