/* Sampling on the GPU against the CPU's sampler: random logits and settings, sequences in bursts,
 * and what must never be chosen.
 *
 * Both choose by the same rules and the same random words; only the rounding of weights differs. Where
 * the tokens differ, the reference here works out in double which tokens the rounding may decide
 * between, and the GPU's must be one of them. Such cases are counted, and must be rare. */
#include "harness.h"

#include <math.h>

#include "gpu/op_sample.h"
#include "gpu_support.h"
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

static bool open_device(fixture *f, const char *test)
{
    *f = (fixture){0};
    if (!test_gpu_open(&f->player, NULL, test)) {
        test_skip = 1;
        return false;
    }
    gpu_modes modes[4];
    test_gpu_modes(&f->player.limits, modes);
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
 * exp within 2 units; a sum over a slice in f32, log2 1024 additions. 2^-44 is lost in fixed point. */
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

static bool may_give(const float *x, uint32_t n_vocab, const ingle_sampling *o, uint32_t id)
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
        may = draw_may_give(part, kept, o, id, sample_uniform(o->seed, 0));
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
    char dbg[200]; describe(&o, dbg, 200); if (getenv("DBG")) fprintf(stderr, "%u: %s -> %d\n", n_vocab, dbg, want);
    if (getenv("DBG") && n_vocab == 32) { for (uint32_t i = 0; i < n_vocab; i++) fprintf(stderr, " %a", (double)logits[i]); fprintf(stderr, "\n"); for (size_t i = 0; i < n; i++) fprintf(stderr, " %d", ids[i]); fprintf(stderr, "\n");}
    const uint32_t got = choose(f, &o, ids, n, logits);
    if (getenv("DBG") && n_vocab == 32) { uint32_t dd[64]; test_gpu_read(&f->r, f->chosen, dd, sizeof dd); fprintf(stderr, "got %u\n", got); for (int i = 0; i < 64; i++) fprintf(stderr, "%x%c", dd[i], i%20==0?10:32);  fprintf(stderr, "\n");}
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
    if (got == (uint32_t)want)
        return false;
    char text[200];
    describe(&o, text, sizeof text);
    memcpy(adjusted, logits, n_vocab * sizeof *logits);
    adjust(adjusted, n_vocab, &o, ids, n);
    CHECK_MSG(got < n_vocab && o.temperature > 0 && may_give(adjusted, n_vocab, &o, got), "%u tokens, %s: %d, not %d",
              (unsigned)n_vocab, text, (int)got, (int)want);
    return true;
}

static const struct {
    uint32_t n_vocab, cases;
} sizes[] = {{1, 50}, {2, 200}, {31, 400}, {32, 400}, {33, 400}, {1000, 1500}, {4097, 500}, {49152, 200}, {151936, 100}};

static void random_cases(void)
{
    fixture f;
    if (!open_device(&f, __func__))
        return;
    unsigned near = 0, cases = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        float *logits = malloc(2 * sizes[i].n_vocab * sizeof *logits);
        const bool ok = open_vocab(&f, sizes[i].n_vocab);
        for (uint32_t k = 0; ok && k < sizes[i].cases && test_bad < 20; k++)
            near += one_case(&f, logits, logits + sizes[i].n_vocab);
        cases += sizes[i].cases;
        fprintf(stderr, "DBG %u done near %u\n", sizes[i].n_vocab, near);
        close_vocab(&f);
        free(logits);
    }
    printf("# %u cases, %u decided by rounding\n", cases, near);
    CHECK_MSG(near * 200 <= cases, "%u of %u cases were decided by rounding", near, cases);
    close_device(&f);
}

TESTS(T(random_cases))
