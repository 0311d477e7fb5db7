/* Sampling on the GPU against the CPU's sampler: random logits and settings, sequences in bursts,
 * and what must never be chosen.
 *
 *     test_gpu_sample          the tests
 *     test_gpu_sample bench    microseconds a token, for settings and vocabularies
 *
 * Both choose by the same rules and the same random words; only the rounding of weights differs. Where
 * the tokens differ, the reference here works out in double which tokens the rounding may decide
 * between, and the GPU's must be one of them. Such cases are counted, and must be rare. */
#include "harness.h"

#include <math.h>

#include "gpu/op_sample.h"
#include "gpu_support.h"
#include "host/host.h"
#include "session/sample.h"
#include "support.h"

enum { RING = 64, WINDOW = 300 };

/* ---- one choice on the GPU -------------------------------------------------------------------- */

typedef struct {
    gpu_player player;
    recorder r;
    op_sample op;
    gpu_slice logits, state, ids, chosen;
    uint32_t section, n_vocab;
} fixture;

static bool settle(fixture *f)
{
    ingle_error e = {0};
    const uint32_t ready = recorder_ready(&f->r);
    const bool ok = recorder_play(&f->r, &e) == INGLE_OK && recorder_wait(&f->r, ready, NULL, &e) == INGLE_OK;
    CHECK_MSG(ok, "%s", e.text);
    return ok;
}

static bool open_vocab(fixture *f, uint32_t n_vocab)
{
    ingle_error e = {0};
    f->n_vocab = n_vocab;
    CHECK_MSG(op_sample_open(&f->op, &f->r, n_vocab, RING, WINDOW, &e) == INGLE_OK, "%s", e.text);
    f->logits = recorder_buffer(&f->r, (uint64_t)n_vocab * sizeof(float), "logits");
    f->section = recorder_section(&f->r);
    op_sample_dispatch(&f->op, &f->r, f->logits, f->state, f->ids, f->chosen);
    recorder_section_end(&f->r);
    return settle(f);
}

static void close_vocab(fixture *f)
{
    op_sample_close(&f->op, &f->r);
    recorder_drop(&f->r, &f->logits);
}

/* With the subgroups that the device has, or without. */
static bool open_device(fixture *f, const char *test, bool with_subgroups)
{
    *f = (fixture){0};
    if (!test_gpu_open(&f->player, NULL, test)) {
        test_skip = 1;
        return false;
    }
    gpu_modes modes[4];
    test_gpu_modes(&f->player.limits, modes);
    if (!with_subgroups)
        modes[0].subgroup = 0;
    modes[0].rolled = f->player.limits.software != 0;
    recorder_init(&f->r, &f->player, &modes[0], NULL);
    f->state = recorder_buffer(&f->r, 4 * sizeof(uint32_t), "state");
    f->ids = recorder_buffer(&f->r, sizeof(uint32_t), "ids");
    f->chosen = recorder_buffer(&f->r, RING * sizeof(uint32_t), "chosen");
    return true;
}

static void close_device(fixture *f)
{
    recorder_free(&f->r);
    f->player.close(f->player.user);
}

/* The token of draw 0 after ids [n]. */
static uint32_t choose(fixture *f, const ingle_sampling *o, const int32_t *ids, size_t n, const float *logits)
{
    ingle_error e = {0};
    static const uint32_t start[4] = {7, 3, 0, 0};
    uint32_t token = 0;
    CHECK_MSG(op_sample_begin(&f->op, &f->r, o, ids, n, &e) == INGLE_OK, "%s", e.text);
    recorder_write(&f->r, f->logits, logits, f->n_vocab * sizeof *logits);
    recorder_write(&f->r, f->state, start, sizeof start);
    recorder_run(&f->r, f->section, 1);
    CHECK(test_gpu_read(&f->r, f->chosen, &token, sizeof token));
    return token;
}

/* ---- what may be chosen ----------------------------------------------------------------------- */

typedef struct {
    uint32_t id;
    double x;      // adjusted logit
    double weight; // exp((x - max) / temperature)
    double error;  // of the GPU's weight, at most
} token_weight;

static int in_order(const void *a, const void *b)
{
    const token_weight *p = a, *q = b;
    if (p->x != q->x)
        return p->x > q->x ? -1 : 1;
    return p->id < q->id ? -1 : p->id > q->id;
}

static int in_ids(const void *a, const void *b)
{
    const token_weight *p = a, *q = b;
    return p->id < q->id ? -1 : p->id > q->id;
}

/* The GPU's weight: (x - max) rounded once, times the rounded inverse, rounded: 3 half units of |y|;
 * exp within 2 units; a sum over a slice in f32, at most 10 additions. 2^-44 is lost in fixed point. */
static void weigh(token_weight *t, size_t n, double temperature)
{
    const double unit = 1.0 / (1 << 24);
    double max = t[0].x;
    for (size_t i = 1; i < n; i++)
        max = t[i].x > max ? t[i].x : max;
    for (size_t i = 0; i < n; i++) {
        const double y = t[i].x == max ? 0 : (t[i].x - max) / temperature;
        t[i].weight = exp(y);
        t[i].error = t[i].weight * (3 * -y + 4 + 10) * unit + 1.0 / 17592186044416.0;
        if (y == -INFINITY)
            t[i].error = 0;
        if (t[i].x == max)
            t[i].error = t[i].weight * 10 * unit;
    }
}

typedef struct {
    double weight, error;
} total_weight;

static total_weight total_of(const token_weight *t, size_t n)
{
    total_weight all = {0};
    for (size_t i = 0; i < n; i++) {
        all.weight += t[i].weight;
        all.error += t[i].error;
    }
    return all;
}

/* Whether a draw u may fall on id among t [n], all errors taken together on both sides. */
static bool draw_may_give(token_weight *t, size_t n, const ingle_sampling *o, uint32_t id, double u)
{
    weigh(t, n, (double)o->temperature);
    const total_weight all = total_of(t, n);
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += t[i].weight;
        if (t[i].id == id)
            return u * all.weight >= sum - t[i].weight - 2 * all.error && u * all.weight <= sum + 2 * all.error;
    }
    return false;
}

/* Keeps of t [n], in the order of choice, what min-p does; CPU and GPU compare the same floats. */
static size_t keep_min_p(token_weight *t, size_t n, float max, float share)
{
    size_t kept = 0;
    const float least = max + logf(share);
    for (size_t i = 0; i < n; i++)
        if (t[i].x >= (double)least || t[i].x == (double)max)
            t[kept++] = t[i];
    return kept;
}

static bool may_give(const float *x, uint32_t n_vocab, const ingle_sampling *o, uint64_t draw, uint32_t id)
{
    token_weight *t = malloc(2 * n_vocab * sizeof *t), *part = t + n_vocab;
    size_t n = 0;
    for (uint32_t i = 0; i < n_vocab; i++)
        if (x[i] > -INFINITY)
            t[n++] = (token_weight){.id = i, .x = (double)x[i]};
    qsort(t, n, sizeof *t, in_order);
    const float max = (float)t[0].x;
    const bool by_id = o->top_k <= 0 && o->top_p >= 1;
    if (o->top_k > 0 && (size_t)o->top_k < n)
        n = (size_t)o->top_k;
    weigh(t, n, 1);
    const total_weight all = total_of(t, n);
    const double goal = (double)o->top_p * all.weight;
    double sum = 0;
    bool may = false;
    for (size_t cut = 1; cut <= n && !may; cut++) { // each number of tokens that top-p may keep
        sum += t[cut - 1].weight;
        const double before = sum - t[cut - 1].weight;
        if (o->top_p < 1 ? (cut > 1 && before - 2 * all.error > goal) || (cut < n && sum + 2 * all.error < goal)
                         : cut < n)
            continue;
        memcpy(part, t, cut * sizeof *t);
        size_t kept = o->min_p > 0 ? keep_min_p(part, cut, max, o->min_p) : cut;
        if (by_id)
            qsort(part, kept, sizeof *part, in_ids);
        may = draw_may_give(part, kept, o, id, sample_uniform(o->seed, draw));
    }
    free(t);
    return may;
}

/* ---- random cases ----------------------------------------------------------------------------- */

static uint64_t seed = 1;

static uint32_t below(uint32_t n)
{
    return (uint32_t)(test_random(&seed) >> 33) % n;
}

static float uniform(void)
{
    return (test_random_float(&seed) + 1) / 2;
}

static float normal(void)
{
    float sum = 0;
    for (int i = 0; i < 6; i++)
        sum += test_random_float(&seed);
    return sum * 0.7071f;
}

static void fill_logits(float *x, uint32_t n)
{
    const uint32_t kind = below(8);
    const float spread = kind == 0 ? 0.01f : kind == 1 ? 12 : 1 + 3 * uniform(), shift = 20 * normal();
    for (uint32_t i = 0; i < n; i++)
        x[i] = kind == 7 ? 1.5f : shift + spread * normal();
    if (kind == 2) // ties
        for (uint32_t i = 0; i < n; i++)
            x[i] = floorf(x[i] * 2) / 2;
    if (kind == 3) // one far above
        x[below(n)] += 100 * uniform();
    if (kind == 4) // steep, as trained models are
        for (uint32_t i = 0; i < n; i++)
            x[i] = shift - 4 * logf(1 + 1000 * uniform());
    if (below(4) == 0) // many forbidden
        for (uint32_t i = 0; i < n; i++)
            x[i] = below(3) ? x[i] : -INFINITY;
    if (below(24) == 0)
        for (uint32_t i = below(3) + 1; i > 0; i--)
            x[below(n)] = INFINITY;
    if (below(8) == 0)
        x[below(n)] = -0.0f;
}

static const int32_t some_k[] = {0, 0, 0, 1, 2, 5, 40, 40, 100, 128, 129, 300, 2000, 1000000};

static ingle_sampling random_settings(void)
{
    ingle_sampling o;
    ingle_sampling_init(&o);
    o.temperature = below(8) == 0 ? 0 : below(8) == 0 ? 0.01f : 0.2f + 2 * uniform();
    o.top_k = some_k[below(sizeof some_k / sizeof *some_k)];
    o.top_p = below(3) == 0 ? 1 : below(10) == 0 ? 0 : uniform();
    o.min_p = below(2) ? 0 : below(10) == 0 ? 1.5f : powf(0.5f, 12 * uniform());
    o.seed = test_random(&seed);
    if (below(2)) {
        o.repeat_last_n = (int32_t)below(3) * 20 - 1;
        o.repeat_penalty = below(3) ? 1 + uniform() : 1;
        o.presence_penalty = below(2) ? 0 : normal();
        o.frequency_penalty = below(2) ? 0 : 0.3f * normal();
    }
    return o;
}

static size_t random_bias(ingle_logit_bias *bias, size_t most, uint32_t n_vocab)
{
    const size_t n = below(3) ? 0 : below(4) ? below(5) : below((uint32_t)most);
    for (size_t i = 0; i < n; i++)
        bias[i] = (ingle_logit_bias){(int32_t)below(n_vocab), below(2) ? -INFINITY : 3 * normal()};
    return n;
}

/* The logits that the choice is among; the CPU's sampler keeps its own to itself. Computed like there. */
static void adjust(float *x, uint32_t n_vocab, const ingle_sampling *o, const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < o->n_logit_bias; i++)
        x[o->logit_bias[i].id] += o->logit_bias[i].bias;
    const size_t from = o->repeat_last_n < 0 || (size_t)o->repeat_last_n >= n ? 0 : n - (size_t)o->repeat_last_n;
    for (uint32_t id = 0; id < n_vocab; id++) {
        uint32_t count = 0;
        for (size_t i = from; i < n; i++)
            count += (uint32_t)ids[i] == id;
        if (count == 0 || x[id] == -INFINITY || o->repeat_last_n == 0)
            continue;
        x[id] = x[id] <= 0 ? x[id] * o->repeat_penalty : x[id] / o->repeat_penalty;
        x[id] -= (float)count * o->frequency_penalty + o->presence_penalty;
    }
}

static int32_t cpu_choice(const ingle_sampling *o, uint32_t n_vocab, const int32_t *ids, size_t n, const float *logits)
{
    ingle_sampler *s = NULL;
    ingle_error e = {0};
    int32_t id = -1;
    CHECK_MSG(sampler_open(&s, n_vocab, NULL, o, &e) == INGLE_OK, "%s", e.text);
    for (size_t i = 0; i < n; i++)
        ingle_sampler_accept(s, ids[i]);
    ingle_sampler_pick(s, logits, &id, &e);
    ingle_sampler_close(s);
    return id;
}

static void describe(const ingle_sampling *o, char *out, size_t size)
{
    snprintf(out, size, "temp %g k %d p %g min %g last %d repeat %g pres %g freq %g bias %zu", (double)o->temperature,
             (int)o->top_k, (double)o->top_p, (double)o->min_p, (int)o->repeat_last_n, (double)o->repeat_penalty,
             (double)o->presence_penalty, (double)o->frequency_penalty, o->n_logit_bias);
}

/* One case. True if rounding decided it. */
static bool one_case(fixture *f, float *logits, float *adjusted)
{
    enum { IDS = 60, BIASES = 3000 };
    static ingle_logit_bias bias[BIASES];
    const uint32_t n_vocab = f->n_vocab;
    int32_t ids[IDS];
    const size_t n = below(IDS);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)below(below(2) ? n_vocab : (n_vocab + 7) / 8);
    ingle_sampling o = random_settings();
    o.n_logit_bias = random_bias(bias, BIASES, n_vocab);
    o.logit_bias = bias;
    fill_logits(logits, n_vocab);
    const int32_t want = cpu_choice(&o, n_vocab, ids, n, logits);
    const uint32_t got = choose(f, &o, ids, n, logits);
    if (want < 0) {
        memcpy(adjusted, logits, n_vocab * sizeof *logits);
        adjust(adjusted, n_vocab, &o, ids, n);
        bool nan = false;
        for (uint32_t i = 0; i < n_vocab; i++)
            nan |= adjusted[i] != adjusted[i];
        CHECK_MSG(got == (nan ? SAMPLE_NAN : SAMPLE_NO_TOKEN), "%u tokens: %x where there is none", (unsigned)n_vocab,
                  (unsigned)got);
        return false;
    }
    if (got == (uint32_t)want && n_vocab > 40)
        return false;
    char text[200];
    describe(&o, text, sizeof text);
    memcpy(adjusted, logits, n_vocab * sizeof *logits);
    adjust(adjusted, n_vocab, &o, ids, n);
    if (o.temperature > 0) // the reference must agree with the CPU
        CHECK_MSG(may_give(adjusted, n_vocab, &o, 0, (uint32_t)want), "reference: %u tokens, %s: not %d",
                  (unsigned)n_vocab, text, (int)want);
    if (got == (uint32_t)want)
        return false;
    CHECK_MSG(got < n_vocab && o.temperature > 0 && may_give(adjusted, n_vocab, &o, 0, got), "%u tokens, %s: %d, not %d",
              (unsigned)n_vocab, text, (int)got, (int)want);
    return true;
}

typedef struct {
    uint32_t n_vocab, cases;
} vocab_cases;

static void run_cases(const char *test, bool with_subgroups, const vocab_cases *sizes, size_t n_sizes)
{
    fixture f;
    if (!open_device(&f, test, with_subgroups))
        return;
    unsigned near = 0, cases = 0;
    for (size_t i = 0; i < n_sizes; i++) {
        float *logits = malloc(2 * sizes[i].n_vocab * sizeof *logits);
        const bool ok = open_vocab(&f, sizes[i].n_vocab);
        for (uint32_t k = 0; ok && k < sizes[i].cases && test_bad < 20; k++)
            near += one_case(&f, logits, logits + sizes[i].n_vocab);
        cases += sizes[i].cases;
        close_vocab(&f);
        free(logits);
    }
    printf("# %s: %u cases, %u decided by rounding\n", test, cases, near);
    CHECK_MSG(near * 200 <= cases, "%u of %u cases were decided by rounding", near, cases);
    close_device(&f);
}

static void random_cases(void)
{
    static const vocab_cases sizes[] = {{1, 50},     {2, 200},    {31, 400},   {32, 400},    {33, 400},
                                        {1000, 1500}, {4097, 500}, {49152, 200}, {151936, 100}};
    run_cases(__func__, true, sizes, sizeof sizes / sizeof *sizes);
}

static void random_cases_without_subgroups(void)
{
    static const vocab_cases sizes[] = {{33, 300}, {1000, 1000}, {151936, 50}};
    run_cases(__func__, false, sizes, sizeof sizes / sizeof *sizes);
}

/* ---- sequences -------------------------------------------------------------------------------- */

enum { SEQUENCE = 200, SEQUENCE_VOCAB = 1500 };

/* A model of its kind: logits that depend on the last token and the position, exact in f32. */
static const char model_source[] =
    "@group(0) @binding(auto) var<storage, read> ids: array<u32>;\n"
    "@group(0) @binding(auto) var<storage, read> state: array<u32>;\n"
    "@group(0) @binding(auto) var<storage, read_write> logits: array<f32>;\n"
    "fn mix(x: u32) -> u32 { let y = (x ^ (x >> 16u)) * 0x7feb352du; return (y ^ (y >> 15u)) * 0x846ca68bu; }\n"
    "@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) at: vec3<u32>) {\n"
    "    let h = mix(at.x + mix(ids[0] + mix(state[0])));\n"
    "    if (at.x < arrayLength(&logits)) { logits[at.x] = f32(h >> 12u) / 131072.0; }\n"
    "}\n";

static uint32_t mix(uint32_t x)
{
    const uint32_t y = (x ^ (x >> 16)) * 0x7feb352du;
    return (y ^ (y >> 15)) * 0x846ca68bu;
}

static void model_logits(uint32_t id, uint32_t position, float *logits)
{
    const uint32_t after = mix(id + mix(position));
    for (uint32_t i = 0; i < SEQUENCE_VOCAB; i++)
        logits[i] = (float)(mix(i + after) >> 12) / 131072;
}

static uint32_t model_kernel(fixture *f)
{
    shader s;
    shader_init(&s, NULL);
    shader_code(&s, model_source);
    return recorder_kernel_of(&f->r, &s, "model");
}

/* After the prompt's n tokens, its last at position n - 1. */
static void cpu_sequence(const ingle_sampling *o, const int32_t *prompt, size_t n, uint32_t out[SEQUENCE])
{
    static float logits[SEQUENCE_VOCAB];
    ingle_sampler *s = NULL;
    ingle_error e = {0};
    CHECK_MSG(sampler_open(&s, SEQUENCE_VOCAB, NULL, o, &e) == INGLE_OK, "%s", e.text);
    for (size_t i = 0; i < n; i++)
        ingle_sampler_accept(s, prompt[i]);
    int32_t id = prompt[n - 1];
    for (uint32_t i = 0; i < SEQUENCE; i++) {
        model_logits((uint32_t)id, (uint32_t)n - 1 + i, logits);
        CHECK_MSG(ingle_sampler_pick(s, logits, &id, &e) == INGLE_OK, "%s", e.text);
        ingle_sampler_accept(s, id);
        out[i] = (uint32_t)id;
    }
    ingle_sampler_close(s);
}

/* The same in bursts of `burst` steps. Checks the counters and the next step's input too. */
static void gpu_sequence(fixture *f, uint32_t section, const ingle_sampling *o, const int32_t *prompt, size_t n,
                         uint32_t burst, uint32_t out[SEQUENCE])
{
    const uint32_t start[4] = {(uint32_t)n - 1, 1, 0, 0}, first = (uint32_t)prompt[n - 1];
    uint32_t ring[RING], state[4], last;
    ingle_error e = {0};
    CHECK_MSG(op_sample_begin(&f->op, &f->r, o, prompt, n, &e) == INGLE_OK, "%s", e.text);
    recorder_write(&f->r, f->state, start, sizeof start);
    recorder_write(&f->r, f->ids, &first, sizeof first);
    for (uint32_t at = 0; at < SEQUENCE;) {
        const uint32_t steps = at + burst < SEQUENCE ? burst : SEQUENCE - at;
        recorder_run(&f->r, section, steps);
        CHECK(test_gpu_read(&f->r, f->chosen, ring, sizeof ring));
        for (const uint32_t end = at + steps; at < end; at++)
            out[at] = ring[at % RING];
    }
    CHECK(test_gpu_read(&f->r, f->state, state, sizeof state));
    CHECK(test_gpu_read(&f->r, f->ids, &last, sizeof last));
    CHECK(state[0] == n - 1 + SEQUENCE && state[1] == 1 && state[2] == SEQUENCE && state[3] == SEQUENCE);
    CHECK(last == out[SEQUENCE - 1]);
}

/* Where the sequences part, rounding must have decided; what follows is another text. */
static bool check_parting(const ingle_sampling *o, const int32_t *prompt, size_t n, const uint32_t *want,
                          const uint32_t *got)
{
    static float logits[SEQUENCE_VOCAB];
    int32_t said[SEQUENCE + 64];
    uint32_t at = 0;
    while (at < SEQUENCE && want[at] == got[at])
        at++;
    if (at == SEQUENCE)
        return false;
    memcpy(said, prompt, n * sizeof *said);
    for (uint32_t i = 0; i < at; i++)
        said[n + i] = (int32_t)want[i];
    model_logits((uint32_t)said[n + at - 1], (uint32_t)n - 1 + at, logits);
    adjust(logits, SEQUENCE_VOCAB, o, said, n + at);
    CHECK_MSG(got[at] < SEQUENCE_VOCAB && o->temperature > 0 && may_give(logits, SEQUENCE_VOCAB, o, at, got[at]),
              "token %u: %d, not %d", (unsigned)at, (int)got[at], (int)want[at]);
    return true;
}

static void bursts(void)
{
    static const uint32_t lengths[] = {1, 4, 16};
    static const ingle_sampling settings[] = {
        {.top_p = 1, .typical_p = 1, .repeat_penalty = 1.3f, .repeat_last_n = 20}, // greedy
        {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .typical_p = 1, .repeat_penalty = 1, .seed = 5},
        {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .typical_p = 1, .repeat_penalty = 1.5f,
         .repeat_last_n = 64, .presence_penalty = 0.5f, .frequency_penalty = 0.25f, .seed = 6},
        {.temperature = 1.2f, .top_p = 0.9f, .typical_p = 1, .repeat_penalty = 1, .repeat_last_n = -1,
         .frequency_penalty = 1.5f, .seed = 7},
        {.temperature = 0.5f, .top_p = 1, .typical_p = 1, .repeat_penalty = 1.1f, .repeat_last_n = 1, .seed = 8},
    };
    static const int32_t prompt[] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4};
    enum { N_PROMPT = sizeof prompt / sizeof *prompt };
    fixture f;
    if (!open_device(&f, __func__, true))
        return;
    open_vocab(&f, SEQUENCE_VOCAB);
    const uint32_t model = model_kernel(&f), section = recorder_section(&f.r);
    const gpu_slice logits = gpu_part(f.logits, 0, SEQUENCE_VOCAB * sizeof(float));
    const gpu_bind binds[] = {{"ids", f.ids}, {"state", f.state}, {"logits", logits}};
    recorder_dispatch(&f.r, model, binds, 3, (SEQUENCE_VOCAB + 63) / 64, 1, 1);
    op_sample_dispatch(&f.op, &f.r, f.logits, f.state, f.ids, f.chosen);
    recorder_section_end(&f.r);
    settle(&f);
    unsigned parted = 0;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        uint32_t want[SEQUENCE], got[3][SEQUENCE];
        cpu_sequence(&settings[i], prompt, N_PROMPT, want);
        for (size_t k = 0; k < 3; k++)
            gpu_sequence(&f, section, &settings[i], prompt, N_PROMPT, lengths[k], got[k]);
        CHECK_MSG(memcmp(got[0], got[1], sizeof want) == 0, "settings %zu: bursts of 1 and 4 differ", i);
        CHECK_MSG(memcmp(got[0], got[2], sizeof want) == 0, "settings %zu: bursts of 1 and 16 differ", i);
        parted += check_parting(&settings[i], prompt, N_PROMPT, want, got[0]);
    }
    CHECK_MSG(parted <= 1, "%u of the sequences parted from the CPU's", parted);
    close_vocab(&f);
    close_device(&f);
}

/* ---- what is no token ------------------------------------------------------------------------- */

static void no_token(void)
{
    enum { N = 3000 };
    static float logits[N];
    static ingle_logit_bias forbid_all[N];
    fixture f;
    if (!open_device(&f, __func__, true))
        return;
    open_vocab(&f, N);
    ingle_sampling o, greedy;
    ingle_sampling_init(&o);
    greedy = o;
    greedy.temperature = 0;
    for (int32_t i = 0; i < N; i++)
        forbid_all[i] = (ingle_logit_bias){i, -INFINITY};
    for (size_t i = 0; i < N; i++)
        logits[i] = (float)(i % 7);
    logits[2999] = NAN;
    CHECK(choose(&f, &o, NULL, 0, logits) == SAMPLE_NAN && choose(&f, &greedy, NULL, 0, logits) == SAMPLE_NAN);
    uint32_t state[4], next;
    CHECK(test_gpu_read(&f.r, f.ids, &next, sizeof next) && next == 0); // a row that is there
    CHECK(test_gpu_read(&f.r, f.state, state, sizeof state));
    CHECK(state[0] == 7 + 3 && state[1] == 1 && state[2] == 1 && state[3] == 1); // from 7, 3, 0, 0
    logits[2999] = -NAN;
    CHECK(choose(&f, &greedy, NULL, 0, logits) == SAMPLE_NAN);
    logits[2999] = 6;
    CHECK(choose(&f, &greedy, NULL, 0, logits) == 6); // the first of many
    for (size_t i = 0; i < N; i++)
        logits[i] = i == 1000 ? -0.0f : i == 2000 ? 0.0f : -1.0f; // equal, whatever their signs
    CHECK(choose(&f, &greedy, NULL, 0, logits) == 1000);
    o.logit_bias = greedy.logit_bias = forbid_all;
    o.n_logit_bias = greedy.n_logit_bias = N;
    CHECK(choose(&f, &o, NULL, 0, logits) == SAMPLE_NO_TOKEN && choose(&f, &greedy, NULL, 0, logits) == SAMPLE_NO_TOKEN);
    o.n_logit_bias = greedy.n_logit_bias = N - 1;
    CHECK(choose(&f, &o, NULL, 0, logits) == N - 1 && choose(&f, &greedy, NULL, 0, logits) == N - 1);
    logits[5] = INFINITY; // forbidden: what their sum is no one knows
    CHECK(choose(&f, &o, NULL, 0, logits) == SAMPLE_NAN && choose(&f, &greedy, NULL, 0, logits) == SAMPLE_NAN);
    close_vocab(&f);
    close_device(&f);
}

/* A token whose logit is divided, and one that has the quotient from the start, are equal to the last bit,
 * so the first of them is chosen; a unit less in the last place and it would be the other. */
static void equal_after_penalty(void)
{
    enum { N = 40 };
    float logits[N];
    fixture f;
    if (!open_device(&f, __func__, true))
        return;
    open_vocab(&f, N);
    ingle_sampling o;
    ingle_sampling_init(&o);
    o.temperature = 0;
    for (int i = 0; i < 300; i++) {
        const int32_t first = (int32_t)below(N / 2), second = first + 1 + (int32_t)below(N / 2 - 1);
        const int32_t divided = i % 2 ? first : second, other = i % 2 ? second : first;
        o.repeat_penalty = 1 + uniform() * (i % 3 ? 1.0f : 100.0f);
        for (int k = 0; k < N; k++)
            logits[k] = -1;
        logits[divided] = ldexpf(1 + uniform(), (int)below(40) - 20);
        logits[other] = logits[divided] / o.repeat_penalty;
        const uint32_t got = choose(&f, &o, &divided, 1, logits);
        CHECK_MSG(got == (uint32_t)first, "%a / %a: token %u of %d and %d", (double)logits[divided],
                  (double)o.repeat_penalty, (unsigned)got, (int)first, (int)second);
    }
    close_vocab(&f);
    close_device(&f);
}

/* ---- without a device ------------------------------------------------------------------------- */

static void unsupported(void)
{
    ingle_sampling o;
    ingle_sampling_init(&o);
    CHECK(op_sample_supports(&o, 49152) && op_sample_supports(&o, SAMPLE_MOST_TOKENS));
    CHECK(!op_sample_supports(&o, SAMPLE_MOST_TOKENS + 1) && !op_sample_supports(&o, 0));
    o.typical_p = 0.9f;
    CHECK(!op_sample_supports(&o, 49152));
    gpu_player p;
    recorder r;
    op_sample op;
    ingle_error e = {0};
    CHECK(gpu_null_open(&p, NULL, NULL, &e) == INGLE_OK);
    recorder_init(&r, &p, &(gpu_modes){0}, NULL);
    CHECK(op_sample_open(&op, &r, SAMPLE_MOST_TOKENS + 1, RING, WINDOW, &e) == INGLE_ERR_UNSUPPORTED);
    CHECK_MSG(strstr(e.text, "524289"), "%s", e.text);
    op_sample_close(&op, &r);
    recorder_free(&r);
    p.close(p.user);
}

/* Counts and the ring after tokens that outran the window twice, some of them not of the vocabulary. */
static void history(void)
{
    enum { N = 10, SIZE = 3 };
    static const int32_t ids[] = {1, 2, -1, 2, 9, 2, 10, 7, 7};
    static const ingle_logit_bias bias[] = {{4, 1.5f}, {4, 2}, {0, -INFINITY}};
    uint32_t words[2 * N + 1 + SIZE], settings[SAMPLE_SETTINGS_WORDS];
    ingle_sampling o;
    ingle_sampling_init(&o);
    o.presence_penalty = 1;
    o.repeat_last_n = SIZE;
    o.logit_bias = bias;
    o.n_logit_bias = 3;
    CHECK(op_sample_history_words(N, SIZE) == sizeof words / sizeof *words);
    op_sample_settings(settings, &o, WINDOW);
    CHECK(settings[SAMPLE_AT_WINDOW] == SIZE);
    op_sample_history(words, N, settings, &o, ids, sizeof ids / sizeof *ids);
    for (uint32_t i = 0; i < N; i++)
        CHECK_MSG(words[2 * i] == (i == 2 ? 1u : i == 7 ? 2u : 0u), "token %u: %u", (unsigned)i, (unsigned)words[2 * i]);
    const float minus = -INFINITY, sum = 3.5f;
    CHECK(memcmp(&words[1], &minus, 4) == 0 && memcmp(&words[2 * 4 + 1], &sum, 4) == 0 && words[3] == 0);
    CHECK(words[2 * N] == 7 && words[2 * N + 1] == 7 && words[2 * N + 2] == 2 && words[2 * N + 3] == 7);
    o.repeat_last_n = WINDOW; // as long as any timeline
    op_sample_settings(settings, &o, WINDOW);
    CHECK(settings[SAMPLE_AT_WINDOW] == 0);
}

/* A whole answer against the null player, which checks every dispatch. */
static ingle_status recorded_answer(void *user, const ingle_allocator *a)
{
    const uint32_t n_vocab = *(const uint32_t *)user;
    gpu_player p;
    recorder r;
    op_sample op = {0};
    ingle_error e = {0};
    ingle_sampling o;
    ingle_sampling_init(&o);
    o.repeat_penalty = 1.1f;
    ingle_status status = gpu_null_open(&p, NULL, a, &e);
    if (status != INGLE_OK)
        return status;
    recorder_init(&r, &p, &(gpu_modes){.subgroup = 32}, a);
    status = op_sample_open(&op, &r, n_vocab, RING, WINDOW, &e);
    const gpu_slice logits = recorder_buffer(&r, n_vocab * sizeof(float), "logits"),
                    state = recorder_buffer(&r, 16, "state"), ids = recorder_buffer(&r, 4, "ids"),
                    chosen = recorder_buffer(&r, RING * sizeof(uint32_t), "chosen");
    const uint32_t ready = recorder_ready(&r);
    if (status == INGLE_OK)
        status = recorder_play(&r, &e);
    if (status == INGLE_OK)
        status = recorder_wait(&r, ready, NULL, &e);
    if (status == INGLE_OK)
        status = op_sample_begin(&op, &r, &o, (int32_t[]){1, 0}, 2, &e);
    if (status == INGLE_OK) {
        op_sample_dispatch(&op, &r, logits, state, ids, chosen);
        status = recorder_play(&r, &e);
    }
    if (status == INGLE_OK)
        CHECK(gpu_null_get_counts(&p)->dispatches == 2 && gpu_null_get_counts(&p)->passes == 1);
    else
        CHECK_MSG(status == INGLE_ERR_MEMORY, "%s", e.text);
    op_sample_close(&op, &r);
    recorder_free(&r);
    p.close(p.user);
    return status;
}

static void recorded(void)
{
    static uint32_t sizes[] = {1, 1024, 1025, 151936, SAMPLE_MOST_TOKENS};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        CHECK(recorded_answer(&sizes[i], NULL) == INGLE_OK);
    CHECK(test_every_allocation(recorded_answer, &sizes[1]) > 0);
}

/* ---- bench ------------------------------------------------------------------------------------ */

enum { BENCH_STEPS = 200, BENCH_ROUNDS = 7, BENCH_WARM_UP = 20000 };

static const struct {
    const char *name;
    ingle_sampling settings;
} bench_settings[] = {
    {"greedy", {.top_p = 1, .typical_p = 1, .repeat_penalty = 1}},
    {"greedy, penalties", {.top_p = 1, .typical_p = 1, .repeat_penalty = 1.1f, .repeat_last_n = 64}},
    {"0.8, k 40, p 0.95, min 0.05",
     {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .typical_p = 1, .repeat_penalty = 1}},
    {"the same, penalties",
     {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .typical_p = 1, .repeat_penalty = 1.1f,
      .repeat_last_n = 64}},
    {"0.8, p 0.95", {.temperature = 0.8f, .top_p = 0.95f, .typical_p = 1, .repeat_penalty = 1}},
    {"0.8, min 0.05", {.temperature = 0.8f, .top_p = 1, .min_p = 0.05f, .typical_p = 1, .repeat_penalty = 1}},
    {"1", {.temperature = 1, .top_p = 1, .typical_p = 1, .repeat_penalty = 1}},
    {"0.8, k 1000, p 0.95", {.temperature = 0.8f, .top_k = 1000, .top_p = 0.95f, .typical_p = 1, .repeat_penalty = 1}},
};

/* Nanoseconds a token, the best of some rounds, each queued behind the one before. */
static double bench_steps(fixture *f, const ingle_sampling *o)
{
    uint32_t begin[BENCH_ROUNDS], end[BENCH_ROUNDS];
    ingle_error e = {0};
    double best = 1e30;
    CHECK(op_sample_begin(&f->op, &f->r, o, NULL, 0, &e) == INGLE_OK);
    for (int i = 0; i < BENCH_ROUNDS; i++) {
        begin[i] = recorder_stamp(&f->r);
        recorder_run(&f->r, f->section, BENCH_STEPS);
        end[i] = recorder_stamp(&f->r);
        recorder_submit(&f->r);
    }
    recorder_play(&f->r, &e);
    for (int i = 0; i < BENCH_ROUNDS; i++) {
        uint64_t from = 0, to = 0;
        CHECK_MSG(recorder_wait(&f->r, begin[i], &from, &e) == INGLE_OK, "%s", e.text);
        CHECK_MSG(recorder_wait(&f->r, end[i], &to, &e) == INGLE_OK, "%s", e.text);
        const double ns = (double)(to - from) / (double)BENCH_STEPS;
        best = ns < best ? ns : best;
    }
    return best;
}

/* Logits as of a trained model, and flat ones, for which the filters keep thousands. */
static int bench(void)
{
    static const uint32_t sizes[] = {32000, 49152, 151936, 262144};
    for (int with_subgroups = 1; with_subgroups >= 0; with_subgroups--)
        for (size_t v = 0; v < sizeof sizes / sizeof *sizes; v++) {
            fixture f;
            if (!open_device(&f, "bench", with_subgroups))
                return 1;
            float *steep = malloc(2 * sizes[v] * sizeof *steep), *flat = steep + sizes[v];
            for (uint32_t i = 0; i < sizes[v]; i++) {
                steep[i] = 3 * normal() - 2 * logf(1e-4f + uniform());
                flat[i] = normal();
            }
            const double begin = host_now_ms();
            open_vocab(&f, sizes[v]);
            printf("%s, %u tokens, subgroups of %u, compiled in %.0f ms: us a token (steep, flat)\n", f.player.limits.name,
                   (unsigned)sizes[v], (unsigned)f.r.modes.subgroup, host_now_ms() - begin);
            recorder_run(&f.r, f.section, BENCH_WARM_UP); // a GPU's clock follows its load
            for (size_t i = 0; i < sizeof bench_settings / sizeof *bench_settings; i++) {
                double us[2];
                for (int k = 0; k < 2; k++) {
                    recorder_write(&f.r, f.logits, k ? flat : steep, sizes[v] * sizeof *steep);
                    us[k] = bench_steps(&f, &bench_settings[i].settings) / 1e3;
                }
                printf("  %-30s %8.2f %8.2f\n", bench_settings[i].name, us[0], us[1]);
            }
            close_vocab(&f);
            close_device(&f);
            free(steep);
        }
    return test_bad > 0;
}

int run_tests(int argc, char **argv);

#define main run_tests
TESTS(T(random_cases) T(random_cases_without_subgroups) T(bursts) T(no_token) T(equal_after_penalty) T(unsupported) T(history) T(recorded))
#undef main

int main(int argc, char **argv)
{
    return argc == 2 && strcmp(argv[1], "bench") == 0 ? bench() : run_tests(argc, argv);
}
