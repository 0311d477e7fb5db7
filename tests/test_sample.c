/* Samplers: every filter against distributions worked out by hand, their order, penalties, the
 * random source, and the probabilities that go with a token. */
#include "harness.h"

#include <math.h>
#include <stdint.h>

#include "session/sample.h"
#include "support.h"

enum { N = 5, DRAWS = 20000 };

/* Half, a quarter, an eighth and two sixteenths: surprises of 1, 2, 3, 4 and 4 bits, entropy 1.875
 * bits, so that every filter's outcome can be read off. */
static const double halves[N] = {0.5, 0.25, 0.125, 0.0625, 0.0625};
static float halves_logits[N];

static void make_logits(void)
{
    for (size_t i = 0; i < N; i++)
        halves_logits[i] = (float)log(halves[i]) + 3; // a shift changes nothing
}

/* Everything off: the draw follows the softmax. */
static ingle_sampling plain(void)
{
    ingle_sampling o;
    ingle_sampling_init(&o);
    o.temperature = 1;
    o.top_k = 0;
    o.top_p = 1;
    o.min_p = 0;
    o.seed = 7;
    return o;
}

static ingle_sampler *open(uint32_t n_vocab, const ingle_sampling *o)
{
    ingle_sampler *s = NULL;
    ingle_error err;
    CHECK_MSG(sampler_open(&s, n_vocab, NULL, o, &err) == INGLE_OK, "%s", err.text);
    return s;
}

static int32_t pick(ingle_sampler *s, const float *logits)
{
    int32_t id = -1;
    ingle_error err;
    CHECK_MSG(ingle_sampler_pick(s, logits, &id, &err) == INGLE_OK, "%s", err.text);
    return id;
}

/* Draws DRAWS times and holds the counts against want [n] (which need not sum to 1). What want
 * gives 0 must never come; for the others chi-square stays under the 99.99 % point for up to four
 * degrees of freedom, 23.5. Seeds are fixed, so this passes or fails for good. */
static void check_draws(ingle_sampler *s, const float *logits, const double *want, size_t n,
                        const char *what)
{
    int counts[N] = {0};
    double total = 0, chi = 0;
    for (size_t i = 0; i < n; i++)
        total += want[i];
    for (int i = 0; i < DRAWS; i++) {
        const int32_t id = pick(s, logits);
        if (id >= 0 && (size_t)id < n)
            counts[id]++;
    }
    for (size_t i = 0; i < n; i++) {
        const double expected = (double)DRAWS * want[i] / total;
        CHECK_MSG(expected > 0 || counts[i] == 0, "%s: token %zu came %d times", what, i, counts[i]);
        if (expected > 0)
            chi += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    CHECK_MSG(chi < 23.5, "%s: chi-square %.1f", what, chi);
}

static void check_halves(const ingle_sampling *o, const double *want, const char *what)
{
    make_logits();
    ingle_sampler *s = open(N, o);
    check_draws(s, halves_logits, want, N, what);
    ingle_sampler_close(s);
}

/* ---- filters ------------------------------------------------------------------------------ */

static void defaults_are_llama_cpps(void)
{
    ingle_sampling o;
    ingle_sampling_init(&o);
    CHECK(o.temperature == 0.8f && o.top_k == 40 && o.top_p == 0.95f && o.min_p == 0.05f);
    CHECK(o.typical_p == 1 && o.repeat_penalty == 1 && o.repeat_last_n == 64);
    CHECK(o.presence_penalty == 0 && o.frequency_penalty == 0 && o.seed == 0);
    CHECK(o.logit_bias == NULL && o.n_logit_bias == 0);
}

static void softmax_is_drawn_from(void)
{
    const ingle_sampling o = plain();
    check_halves(&o, halves, "no filter");
}

static void temperature_sharpens_and_flattens(void)
{
    ingle_sampling o = plain();
    double want[N];
    const float temperatures[] = {0.5f, 2, 1e9f};
    for (size_t t = 0; t < 3; t++) {
        o.temperature = temperatures[t];
        for (size_t i = 0; i < N; i++)
            want[i] = pow(halves[i], 1 / (double)o.temperature);
        check_halves(&o, want, "temperature");
    }
    o.temperature = 1e-30f; // no overflow on the way to arg-max
    check_halves(&o, (double[N]){1}, "temperature next to 0");
}

typedef struct {
    const char *what;
    int32_t top_k;
    float typical_p, top_p, min_p, temperature;
    unsigned kept; // bit i: token i can be drawn
} filter_case;

static void filters_keep_what_they_should(void)
{
    static const filter_case cases[] = {
        {"top-k 1", 1, 1, 1, 0, 1, 0x01},
        {"top-k 2", 2, 1, 1, 0, 1, 0x03},
        {"top-k 4: the lower id of two equals", 4, 1, 1, 0, 1, 0x0F},
        {"top-k 5", 5, 1, 1, 0, 1, 0x1F},
        {"top-k beyond the vocabulary", 2000000000, 1, 1, 0, 1, 0x1F},
        {"top-k below 0 is off", -3, 1, 1, 0, 1, 0x1F},
        {"top-p 0 keeps one", 0, 1, 0, 0, 1, 0x01},
        {"top-p 0.49", 0, 1, 0.49f, 0, 1, 0x01},
        {"top-p 0.51", 0, 1, 0.51f, 0, 1, 0x03},
        {"top-p 0.76", 0, 1, 0.76f, 0, 1, 0x07},
        {"top-p 0.9: the lower id of two equals", 0, 1, 0.9f, 0, 1, 0x0F},
        {"top-p 0.99", 0, 1, 0.99f, 0, 1, 0x1F},
        {"min-p 0.1", 0, 1, 1, 0.1f, 1, 0x1F},
        {"min-p 0.2", 0, 1, 1, 0.2f, 1, 0x07},
        {"min-p 0.3", 0, 1, 1, 0.3f, 1, 0x03},
        {"min-p 0.6", 0, 1, 1, 0.6f, 1, 0x01},
        {"min-p over 1 keeps one", 0, 1, 1, 5, 1, 0x01},
        // distance of surprise to entropy in bits: 0.875, 0.125, 1.125, 2.125, 2.125
        {"typical 0.2", 0, 0.2f, 1, 0, 1, 0x02},
        {"typical 0.3", 0, 0.3f, 1, 0, 1, 0x03},
        {"typical 0.8", 0, 0.8f, 1, 0, 1, 0x07},
        {"typical 0.9", 0, 0.9f, 1, 0, 1, 0x0F},
        {"typical 0", 0, 0, 1, 0, 1, 0x02},
        // order: each of these would keep something else the other way round
        {"top-k, then top-p of what is left", 2, 1, 0.6f, 0, 1, 0x01},
        {"top-k before typical", 1, 0.2f, 1, 0, 1, 0x01},
        {"typical before top-p", 0, 0.2f, 0.45f, 0, 1, 0x02},
        {"typical, then top-p by probability again", 0, 0.8f, 0.5f, 0, 1, 0x01},
        {"typical before min-p", 0, 0.2f, 1, 0.9f, 1, 0x02},
        {"top-p before temperature", 0, 1, 0.7f, 0, 100, 0x03},
        {"min-p before temperature", 0, 1, 1, 0.2f, 100, 0x07},
        {"all at once", 4, 0.95f, 0.9f, 0.2f, 1, 0x07},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const filter_case *c = &cases[i];
        ingle_sampling o = plain();
        o.top_k = c->top_k;
        o.typical_p = c->typical_p;
        o.top_p = c->top_p;
        o.min_p = c->min_p;
        o.temperature = c->temperature;
        double want[N];
        for (size_t t = 0; t < N; t++)
            want[t] = c->kept >> t & 1 ? pow(halves[t], 1 / (double)c->temperature) : 0;
        check_halves(&o, want, c->what);
    }
}

/* With four equal tokens the shares are exact: half of the whole is reached by two, passed by
 * three. */
static void top_p_is_reached_and_typical_is_passed(void)
{
    const float equal[4] = {1, 1, 1, 1};
    ingle_sampling o = plain();
    o.top_p = 0.5f;
    ingle_sampler *s = open(4, &o);
    check_draws(s, equal, (double[4]){1, 1}, 4, "top-p, exactly");
    ingle_sampler_close(s);
    o.top_p = 1;
    o.typical_p = 0.5f;
    s = open(4, &o);
    check_draws(s, equal, (double[4]){1, 1, 1}, 4, "typical, exactly");
    ingle_sampler_close(s);
    const float far[4] = {-1e5f, 2, 2, -1e5f}; // probabilities that are 0 have no part in the entropy
    o.typical_p = 0.4f;
    s = open(4, &o);
    check_draws(s, far, (double[4]){0, 1}, 4, "typical beside nothing");
    ingle_sampler_close(s);
}

static void temperature_0_is_the_arg_max(void)
{
    const float logits[] = {-3, 2, 7, 7, -INFINITY};
    ingle_sampling o = plain();
    for (int negative = 0; negative < 2; negative++) {
        o.temperature = negative ? -1 : 0;
        o.top_k = 3;
        o.top_p = 0.9f;
        o.min_p = 0.1f;
        ingle_sampler *s = open(N, &o);
        CHECK(pick(s, logits) == 2); // the lower id of two equals
        ingle_sampler_close(s);
    }
    make_logits();
    o.temperature = 0;
    o.top_k = 0;
    o.top_p = 1;
    o.typical_p = 0.2f; // the one filter that can drop the most probable token
    ingle_sampler *s = open(N, &o);
    CHECK(pick(s, halves_logits) == 1);
    ingle_sampler_close(s);
}

/* Of every length and at every place, alone and with an equal one behind it. */
static void arg_max_wherever_it_is(void)
{
    float logits[40];
    ingle_sampling o = plain();
    o.temperature = 0;
    for (uint32_t n = 1; n <= 40; n++) {
        ingle_sampler *s = open(n, &o);
        for (uint32_t at = 0; at < n; at++)
            for (uint32_t behind = at; behind < n; behind += 3) {
                for (uint32_t i = 0; i < n; i++)
                    logits[i] = -100 - (float)(i * 7 % 5);
                logits[at] = logits[behind] = -50;
                CHECK_MSG(pick(s, logits) == (int32_t)at, "%u of %u", (unsigned)at, (unsigned)n);
            }
        ingle_sampler_close(s);
    }
}

/* ---- extremes ----------------------------------------------------------------------------- */

static void extremes(void)
{
    ingle_sampling o = plain();
    const double even[N] = {1, 1, 1, 1, 1};
    const float equal[N] = {-5, -5, -5, -5, -5};
    const float one[N] = {-INFINITY, -INFINITY, -1000, -INFINITY, -INFINITY};
    const float infinite[N] = {0, INFINITY, 5, INFINITY, -INFINITY};
    const float wide[N] = {-3e38f, 3e38f, 0, -3e38f, -3e38f};
    const double two[N] = {0, 1, 0, 1, 0};
    ingle_sampler *s = open(N, &o);
    check_draws(s, equal, even, N, "all equal");
    check_draws(s, one, (double[N]){0, 0, 1}, N, "one left");
    check_draws(s, infinite, two, N, "two infinite");
    check_draws(s, wide, (double[N]){0, 1}, N, "as wide as floats go");
    ingle_sampler_close(s);
    o.top_k = 3; // every filter at work
    o.top_p = 0.99f;
    o.min_p = 0.01f;
    o.typical_p = 0.99f;
    s = open(N, &o);
    check_draws(s, equal, (double[N]){1, 1, 1}, N, "all equal, filtered");
    check_draws(s, one, (double[N]){0, 0, 1}, N, "one left, filtered");
    check_draws(s, infinite, two, N, "two infinite, filtered");
    check_draws(s, wide, (double[N]){0, 1}, N, "wide, filtered");
    ingle_sampler_close(s);
    s = open(1, NULL);
    CHECK(pick(s, &equal[0]) == 0);
    ingle_sampler_close(s);
}

static void bad_logits_are_refused(void)
{
    const float nan_first[3] = {NAN, 1, 2}, nan_last[3] = {9, 1, NAN};
    const float nothing[3] = {-INFINITY, -INFINITY, -INFINITY}, good[3] = {0, 1, 2};
    ingle_sampling o = plain();
    for (int kind = 0; kind < 3; kind++) {
        o.temperature = kind == 0 ? 0 : 1;
        o.top_k = kind == 2 ? 1 : 0;
        ingle_sampler *s = open(3, &o), *other = open(3, &o);
        const float *bad[] = {nan_first, nan_last, nothing};
        for (size_t i = 0; i < 3; i++) {
            int32_t id = 0;
            ingle_error err;
            CHECK(ingle_sampler_pick(s, bad[i], &id, &err) == INGLE_ERR_FORMAT);
            CHECK(id == -1 && err.status == INGLE_ERR_FORMAT);
            CHECK(strstr(err.text, i < 2 ? "NaN" : "-infinity") != NULL);
            CHECK(ingle_sampler_pick(s, bad[i], &id, NULL) == INGLE_ERR_FORMAT);
        }
        for (int i = 0; i < 50; i++) // a refusal takes no random number
            CHECK(pick(s, good) == pick(other, good));
        ingle_sampler_close(s);
        ingle_sampler_close(other);
    }
}

/* ---- bias and penalties ------------------------------------------------------------------- */

static void bias_adds_and_forbids(void)
{
    const ingle_logit_bias bias[] = {
        {0, -INFINITY}, {1, (float)log(2.0)}, {3, 1}, {3, (float)log(4.0) - 1}};
    ingle_sampling o = plain();
    ingle_logit_bias copy[4];
    memcpy(copy, bias, sizeof copy);
    o.logit_bias = copy;
    o.n_logit_bias = 4;
    make_logits();
    ingle_sampler *s = open(N, &o);
    memset(copy, 0, sizeof copy); // the sampler has its own
    float before[N];
    memcpy(before, halves_logits, sizeof before);
    check_draws(s, halves_logits, (double[N]){0, 0.5, 0.125, 0.25, 0.0625}, N, "bias");
    CHECK(memcmp(before, halves_logits, sizeof before) == 0);
    ingle_sampler_close(s);
    o.temperature = 0;
    o.logit_bias = bias;
    s = open(N, &o);
    CHECK(pick(s, halves_logits) == 1);
    ingle_sampler_close(s);
}

static void penalties_follow_their_formula(void)
{
    const float logits[4] = {2, -1, 1, 0};
    ingle_sampling o = plain();
    o.repeat_penalty = 2;
    o.presence_penalty = 0.25f;
    o.frequency_penalty = 0.5f;
    ingle_sampler *s = open(4, &o);
    double want[4] = {exp(2), exp(-1), exp(1), exp(0)};
    check_draws(s, logits, want, 4, "nothing accepted yet");
    for (int i = 0; i < 3; i++)
        ingle_sampler_accept(s, 0);
    ingle_sampler_accept(s, 1);
    ingle_sampler_accept(s, -1); // no tokens of this vocabulary
    ingle_sampler_accept(s, 4);
    want[0] = exp(2.0 / 2 - 3 * 0.5 - 0.25);
    want[1] = exp(-1.0 * 2 - 0.5 - 0.25);
    check_draws(s, logits, want, 4, "penalties");
    ingle_sampler_close(s);
    o.repeat_penalty = 1; // each of them alone
    o.frequency_penalty = 0;
    o.presence_penalty = -1; // negative: likes to repeat
    s = open(4, &o);
    ingle_sampler_accept(s, 3);
    ingle_sampler_accept(s, 3);
    check_draws(s, logits, (double[4]){exp(2), exp(-1), exp(1), exp(1)}, 4, "presence");
    ingle_sampler_close(s);
}

/* Greedy between two tokens of which accepting one makes the other win. */
static void window_forgets(void)
{
    const float logits[3] = {1, 0.5f, -9};
    ingle_sampling o = plain();
    o.temperature = 0;
    o.presence_penalty = 1;
    o.repeat_last_n = 3;
    ingle_sampler *s = open(3, &o);
    CHECK(pick(s, logits) == 0);
    ingle_sampler_accept(s, 0);
    CHECK(pick(s, logits) == 1);
    ingle_sampler_accept(s, 0);
    ingle_sampler_accept(s, 2);
    ingle_sampler_accept(s, 2); // the window: 0 2 2
    CHECK(pick(s, logits) == 1);
    ingle_sampler_accept(s, 2); // 2 2 2
    CHECK(pick(s, logits) == 0);
    for (int i = 0; i < 100; i++) { // round the ring many times
        ingle_sampler_accept(s, i % 5 == 0 ? 0 : 2);
        CHECK((pick(s, logits) == 1) == (i % 5 < 3));
    }
    ingle_sampler_close(s);

    o.repeat_last_n = 0; // looks back on none
    s = open(3, &o);
    ingle_sampler_accept(s, 0);
    CHECK(pick(s, logits) == 0);
    ingle_sampler_close(s);

    o.repeat_last_n = -1; // on all
    s = open(3, &o);
    ingle_sampler_accept(s, 0);
    for (int i = 0; i < 1000; i++)
        ingle_sampler_accept(s, 2);
    CHECK(pick(s, logits) == 1);
    ingle_sampler_close(s);

    o.presence_penalty = 0; // neutral
    s = open(3, &o);
    ingle_sampler_accept(s, 0);
    CHECK(pick(s, logits) == 0);
    ingle_sampler_close(s);
}

static void bias_then_penalties_then_filters(void)
{
    // bias first: (-1 + 2) / 2 = 0.5 beats 0.25; penalty first would give -1 * 2 + 2 = 0
    const float logits[2] = {-1, 0.25f};
    const ingle_logit_bias bias = {0, 2};
    ingle_sampling o = plain();
    o.temperature = 0;
    o.logit_bias = &bias;
    o.n_logit_bias = 1;
    o.repeat_penalty = 2;
    ingle_sampler *s = open(2, &o);
    ingle_sampler_accept(s, 0);
    CHECK(pick(s, logits) == 0);
    ingle_sampler_close(s);

    const float close_by[2] = {1, 0.9f};
    o = plain();
    o.top_k = 1;
    o.repeat_penalty = 2;
    s = open(2, &o);
    ingle_sampler_accept(s, 0);
    CHECK(pick(s, close_by) == 1);
    ingle_sampler_close(s);

    const float forbidden[2] = {-INFINITY, 1}; // stays so, however much repeating is liked
    o = plain();
    o.repeat_penalty = 0.5f;
    o.frequency_penalty = -3e38f;
    s = open(2, &o);
    ingle_sampler_accept(s, 0);
    ingle_sampler_accept(s, 0);
    CHECK(pick(s, forbidden) == 1);
    ingle_sampler_close(s);
}

/* ---- many tokens -------------------------------------------------------------------------- */

enum { MANY = 3001 };

static int by_choice(const void *a, const void *b)
{
    const ingle_choice *x = a, *y = b;
    if (x->logprob != y->logprob)
        return x->logprob > y->logprob ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

/* Random logits with many ties, and all of them sorted by the C library. */
static void make_many(float *logits, ingle_choice *sorted)
{
    uint64_t state = 5;
    for (size_t i = 0; i < MANY; i++) {
        logits[i] = (float)(int)(test_random_float(&state) * 200) / 16;
        sorted[i] = (ingle_choice){(int32_t)i, logits[i]};
    }
    qsort(sorted, MANY, sizeof *sorted, by_choice);
}

static void top_k_matches_a_full_sort(void)
{
    static float logits[MANY];
    static ingle_choice sorted[MANY];
    make_many(logits, sorted);
    ingle_sampling o = plain();
    o.temperature = 1e9f; // all that are kept are equally probable
    const int32_t ks[] = {1, 2, 7, 40, 100};
    for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) {
        static unsigned char seen[MANY];
        memset(seen, 0, sizeof seen);
        o.top_k = ks[i];
        ingle_sampler *s = open(MANY, &o);
        for (int d = 0; d < 30 * ks[i]; d++)
            seen[pick(s, logits)] = 1;
        for (int32_t j = 0; j < MANY; j++)
            CHECK_MSG(seen[sorted[j].id] == (j < ks[i]), "k %d, rank %d", (int)ks[i], (int)j);
        ingle_sampler_close(s);
    }
}

static void top_choices_match_a_full_sort(void)
{
    static float logits[MANY];
    static ingle_choice sorted[MANY], out[MANY + 1];
    make_many(logits, sorted);
    double sum = 0;
    for (size_t i = 0; i < MANY; i++)
        sum += exp((double)logits[i]);
    const size_t ns[] = {0, 1, 2, 17, MANY - 1, MANY, MANY + 1};
    for (size_t i = 0; i < sizeof ns / sizeof *ns; i++) {
        const size_t n = ingle_top_choices(logits, MANY, out, ns[i]);
        CHECK(n == (ns[i] < MANY ? ns[i] : MANY));
        for (size_t j = 0; j < n; j++) {
            CHECK_MSG(out[j].id == sorted[j].id, "n %zu, rank %zu", ns[i], j);
            CHECK(fabs((double)out[j].logprob - ((double)logits[out[j].id] - log(sum))) < 1e-5);
            CHECK(out[j].logprob == ingle_logprob(logits, MANY, out[j].id));
        }
    }
}

/* Of two tokens, the better one's log probability is -ln(1 + e^-x): near 0, so it shows how good the
 * exponential is. Allowed: a float's rounding, 2^-24 of the value (and the exponential's 3e-10), and
 * the rounding of a sum near 1 in double, 2^-53, and of its logarithm. */
static void logprobs_are_exact_to_a_float(void)
{
    for (int i = 0; i <= 6000; i++) {
        const float two[2] = {0, -(float)i / 200};
        const double want = -log1p(exp((double)two[1]));
        const double off = fabs((double)ingle_logprob(two, 2, 0) - want);
        CHECK_MSG(off <= 6.0e-8 * -want + 2.3e-16, "%g: off by %g", (double)two[1], off);
    }
}

static void logprobs_at_the_edges(void)
{
    make_logits();
    for (int32_t i = 0; i < N; i++)
        CHECK(fabs((double)ingle_logprob(halves_logits, N, i) - log(halves[i])) < 1e-6);
    CHECK(ingle_logprob(halves_logits, N, -1) == -INFINITY);
    CHECK(ingle_logprob(halves_logits, N, N) == -INFINITY);
    const float one[1] = {-1e30f};
    CHECK(ingle_logprob(one, 1, 0) == 0);
    const float far[2] = {3e38f, -3e38f};
    CHECK(ingle_logprob(far, 2, 0) == 0 && ingle_logprob(far, 2, 1) < -1e38f);

    ingle_choice out[4];
    const float holes[4] = {-INFINITY, 1, NAN, 2}; // neither of the holes is a choice
    CHECK(ingle_top_choices(holes, 4, out, 4) == 2 && out[0].id == 3 && out[1].id == 1);
    CHECK(isnan(ingle_logprob(holes, 4, 1)));
    const float nothing[2] = {-INFINITY, -INFINITY};
    CHECK(ingle_top_choices(nothing, 2, out, 2) == 0);
    CHECK(ingle_logprob(nothing, 2, 1) == -INFINITY);
    CHECK(ingle_top_choices(nothing, 0, out, 2) == 0);
    const float infinite[3] = {INFINITY, 0, INFINITY};
    CHECK(ingle_top_choices(infinite, 3, out, 2) == 2 && out[0].id == 0 && out[1].id == 2);
    CHECK(fabs((double)out[0].logprob + log(2.0)) < 1e-6);
    CHECK(ingle_logprob(infinite, 3, 1) == -INFINITY);
    const float many[9] = {1, 2, INFINITY, 3, -INFINITY, INFINITY, INFINITY, 4, INFINITY};
    CHECK(fabs((double)ingle_logprob(many, 9, 8) + log(4.0)) < 1e-6);
    CHECK(ingle_logprob(many, 9, 0) == -INFINITY);
}

/* ---- the random source -------------------------------------------------------------------- */

/* Known answers published with the generator (Random123, kat_vectors, philox 4x32 10). */
static void philox_known_answers(void)
{
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t block[4];
        memcpy(block, cases[i].counter, sizeof block);
        sample_philox(block, cases[i].key);
        CHECK_MSG(memcmp(block, cases[i].want, sizeof block) == 0, "case %zu: %08x", i,
                  (unsigned)block[0]);
    }
    CHECK(sample_uniform(0, 0) == (0x6627e8d5 + 0.5) / 4294967296.0);
}

static void uniform_is_uniform(void)
{
    enum { BINS = 64, PER_BIN = 1000 };
    const uint64_t seeds[] = {0, 1, 0xFFFFFFFFFFFFFFFFu, 1ull << 32};
    double first[4];
    for (size_t k = 0; k < 4; k++) {
        int bins[BINS] = {0};
        double chi = 0;
        for (uint64_t i = 0; i < BINS * PER_BIN; i++) {
            const double u = sample_uniform(seeds[k], i);
            CHECK(u > 0 && u < 1);
            bins[(size_t)(u * (double)BINS)]++;
        }
        for (size_t b = 0; b < BINS; b++)
            chi += pow(bins[b] - PER_BIN, 2) / (double)PER_BIN;
        CHECK_MSG(chi < 115, "seed %zu: chi-square %.1f", k, chi); // 99.99 % point, 63 degrees
        first[k] = sample_uniform(seeds[k], 1ull << 32);           // the counter's high word counts
        CHECK(first[k] != sample_uniform(seeds[k], 0));
        for (size_t j = 0; j < k; j++)
            CHECK(first[j] != first[k]);
    }
}

static void same_seed_same_text(void)
{
    static float logits[MANY];
    static ingle_choice sorted[MANY];
    make_many(logits, sorted);
    ingle_sampling o = plain();
    ingle_sampler *a = open(MANY, &o), *b = open(MANY, &o);
    o.seed = 8;
    ingle_sampler *c = open(MANY, &o);
    int same = 0;
    for (int i = 0; i < 200; i++) {
        const int32_t id = pick(a, logits);
        CHECK(id == pick(b, logits));
        same += id == pick(c, logits);
    }
    CHECK_MSG(same < 100, "%d of 200 draws alike under two seeds", same);
    ingle_sampler_close(a);
    ingle_sampler_close(b);
    ingle_sampler_close(c);
}

/* The 1st, 2nd ... draw is the token into whose share of [0, 1) the 1st, 2nd ... number falls. */
static void draws_follow_the_documented_numbers(void)
{
    ingle_sampling o = plain();
    o.seed = 0x123456789ABCDEFu;
    o.top_k = N; // most probable first
    make_logits();
    float logits[N]; // least probable first; of the two sixteenths, 0 and 1, the lower id leads
    for (size_t i = 0; i < N; i++)
        logits[i] = halves_logits[N - 1 - i];
    ingle_sampler *s = open(N, &o);
    for (uint64_t i = 0; i < 1000; i++) {
        const double u = sample_uniform(o.seed, i);
        const int32_t want = u < 0.5 ? 4 : u < 0.75 ? 3 : u < 0.875 ? 2 : u < 0.9375 ? 0 : 1;
        CHECK(pick(s, logits) == want);
    }
    ingle_sampler_close(s);
}

/* ---- opening ------------------------------------------------------------------------------ */

static void options_unset_are_the_defaults(void)
{
    static float logits[MANY];
    static ingle_choice sorted[MANY];
    make_many(logits, sorted);
    ingle_sampling zero, init;
    memset(&zero, 0, sizeof zero);
    ingle_sampling_init(&init);
    ingle_sampler *s[3] = {open(MANY, NULL), open(MANY, &zero), open(MANY, &init)};
    int others = 0;
    for (int i = 0; i < 100; i++) {
        const int32_t id = pick(s[0], logits);
        CHECK(id == pick(s[1], logits) && id == pick(s[2], logits));
        others += id != sorted[0].id;
    }
    CHECK(others > 0); // not greedy
    for (size_t i = 0; i < 3; i++)
        ingle_sampler_close(s[i]);
    ingle_sampler_close(NULL);
}

static void wrong_options_are_named(void)
{
    static const ingle_logit_bias below = {-1, 0}, above = {N, 0}, nan = {0, NAN},
                                  forced = {0, INFINITY};
    ingle_sampling o[20];
    const char *names[20];
    size_t n = 0;
#define WRONG(field, value, name) (o[n] = plain(), o[n].field = value, names[n++] = name)
    WRONG(temperature, NAN, "temperature");
    WRONG(temperature, INFINITY, "temperature");
    WRONG(top_p, -0.5f, "top_p");
    WRONG(top_p, NAN, "top_p");
    WRONG(min_p, -0.5f, "min_p");
    WRONG(typical_p, -1, "typical_p");
    WRONG(repeat_penalty, 0, "repeat_penalty");
    WRONG(repeat_penalty, -1, "repeat_penalty");
    WRONG(presence_penalty, -INFINITY, "presence_penalty");
    WRONG(frequency_penalty, NAN, "frequency_penalty");
    WRONG(repeat_last_n, -2, "repeat_last_n");
    WRONG(n_logit_bias, 1, "logit_bias");
    const ingle_logit_bias *biases[] = {&below, &above, &nan, &forced};
    for (size_t i = 0; i < 4; i++) {
        WRONG(logit_bias, biases[i], "logit_bias");
        o[n - 1].n_logit_bias = 1;
    }
#undef WRONG
    for (size_t i = 0; i < n; i++) {
        ingle_sampler *s = (ingle_sampler *)&n;
        ingle_error err;
        CHECK(sampler_open(&s, N, NULL, &o[i], &err) == INGLE_ERR_USAGE);
        CHECK(s == NULL);
        CHECK_MSG(strstr(err.text, names[i]) == err.text, "%zu: %s", i, err.text);
    }
    ingle_sampler *s;
    CHECK(sampler_open(&s, 0, NULL, NULL, NULL) == INGLE_ERR_USAGE);
    CHECK(sampler_open(&s, 0x80000000u, NULL, NULL, NULL) == INGLE_ERR_USAGE);
}

static const ingle_logit_bias some_bias[2] = {{0, 1}, {3, -2}};

static ingle_sampling everything(void)
{
    ingle_sampling o;
    ingle_sampling_init(&o);
    o.typical_p = 0.9f;
    o.repeat_penalty = 1.1f;
    o.repeat_last_n = 16;
    o.logit_bias = some_bias;
    o.n_logit_bias = 2;
    return o;
}

static ingle_status open_and_draw(void *user, const ingle_allocator *a)
{
    (void)user;
    const ingle_sampling o = everything();
    ingle_sampler *s;
    ingle_error err;
    const ingle_status status = sampler_open(&s, N, a, &o, &err);
    CHECK(status == err.status && (s == NULL) == (status != INGLE_OK));
    if (status != INGLE_OK)
        return status;
    for (int i = 0; i < 40; i++)
        ingle_sampler_accept(s, pick(s, halves_logits));
    ingle_sampler_close(s);
    return INGLE_OK;
}

static void every_allocation_may_fail(void)
{
    make_logits();
    CHECK(test_every_allocation(open_and_draw, NULL) == 6);
}

typedef struct {
    uint64_t bytes;
    int requests;
} byte_count;

static void *counting_resize(void *user, void *ptr, size_t bytes)
{
    byte_count *count = user;
    if (bytes) {
        count->bytes += bytes;
        count->requests++;
        return realloc(ptr, bytes);
    }
    free(ptr);
    return NULL;
}

static void bytes_are_foretold_and_picks_allocate_nothing(void)
{
    static float logits[MANY];
    static ingle_choice sorted[MANY];
    make_many(logits, sorted);
    ingle_sampling o[4];
    o[0] = everything();
    o[1] = plain();
    ingle_sampling_init(&o[2]);
    o[3] = plain();
    o[3].temperature = 0;
    for (size_t i = 0; i < 4; i++) {
        byte_count count = {0};
        const ingle_allocator a = {counting_resize, &count};
        ingle_sampler *s;
        CHECK(sampler_open(&s, MANY, &a, &o[i], NULL) == INGLE_OK);
        CHECK(count.bytes == sampler_bytes(MANY, &o[i]));
        const int requests = count.requests;
        for (int d = 0; d < 40; d++)
            ingle_sampler_accept(s, pick(s, logits));
        CHECK(count.requests == requests);
        ingle_sampler_close(s);
    }
}

static void opens_over_a_model(void)
{
    const char *path = test_find_model("stories260K.gguf");
    if (!path) {
        SKIP("stories260K.gguf not found");
        return;
    }
    ingle_model *model;
    ingle_error err;
    ingle_sampler *s;
    if (ingle_model_open(&model, path, NULL, &err) != INGLE_OK) {
        CHECK_MSG(false, "%s", err.text);
        return;
    }
    CHECK(ingle_sampler_open(&s, model, NULL, &err) == INGLE_OK);
    static float logits[512];
    CHECK(ingle_model_get_info(model)->n_vocab == 512);
    logits[511] = 100; // the sampler looks at all of the vocabulary
    if (s)
        CHECK(pick(s, logits) == 511);
    ingle_sampler_close(s);
    ingle_model_close(model);
}

TESTS(T(defaults_are_llama_cpps) T(softmax_is_drawn_from) T(temperature_sharpens_and_flattens)
      T(filters_keep_what_they_should) T(top_p_is_reached_and_typical_is_passed)
      T(temperature_0_is_the_arg_max) T(arg_max_wherever_it_is) T(extremes)
      T(bad_logits_are_refused) T(bias_adds_and_forbids) T(penalties_follow_their_formula)
      T(window_forgets) T(bias_then_penalties_then_filters) T(top_k_matches_a_full_sort)
      T(top_choices_match_a_full_sort) T(logprobs_are_exact_to_a_float) T(logprobs_at_the_edges) T(philox_known_answers)
      T(uniform_is_uniform) T(same_seed_same_text) T(draws_follow_the_documented_numbers)
      T(options_unset_are_the_defaults) T(wrong_options_are_named) T(every_allocation_may_fail)
      T(bytes_are_foretold_and_picks_allocate_nothing) T(opens_over_a_model))
