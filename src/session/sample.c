/* Sampling: from logits to one token id. Owns the order of the filters, the penalty window and the
 * random source. It refuses to guess: a NaN among the logits, or nothing left to choose from, is
 * an error and never an arbitrary token.
 *
 * Order and defaults are llama.cpp's: bias, penalties, top-k, typical, top-p, min-p, temperature,
 * draw. Ties go to the lower id everywhere, so a choice never depends on how a sort was written.
 * Sums are in double: over 150,000 small floats single precision would lose the tail.
 *
 * A logit of +infinity shares all probability with its like; -infinity is never chosen. */
#include "session/sample.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/model.h"

/* A token still in the running. Its .logprob holds what the step at hand orders by, here called
 * the key: the logit, the typical filter's score, at last the weight; heaps are thus shared with
 * ingle_top_choices. The logit itself is looked up by id. */
typedef ingle_choice candidate;

struct ingle_sampler {
    ingle_allocator allocator;
    ingle_sampling opt; // logit_bias points to our copy
    uint32_t n_vocab;
    uint64_t n_draws;  // so far; the next draw's number
    ingle_logit_bias *bias; // [opt.n_logit_bias]
    float *adjusted;        // [n_vocab] logits after bias and penalties; NULL if there are none
    candidate *candidates;  // [candidate_room]; NULL where a plain arg-max does
    uint32_t *counts;       // [n_vocab] occurrences in the window; NULL without penalties
    int32_t *window;        // ring of the last window_size tokens; NULL when all are remembered
    size_t window_size, window_used, window_next;
};

/* ---- options ------------------------------------------------------------------------------ */

void ingle_sampling_init(ingle_sampling *s)
{
    *s = (ingle_sampling){
        .temperature = 0.8f,
        .top_k = 40,
        .top_p = 0.95f,
        .min_p = 0.05f,
        .typical_p = 1.0f,
        .repeat_penalty = 1.0f,
        .repeat_last_n = 64,
    };
}

static bool is_unset(const ingle_sampling *s)
{
    return s->temperature == 0 && s->top_k == 0 && s->top_p == 0 && s->min_p == 0 &&
           s->typical_p == 0 && s->repeat_penalty == 0 && s->repeat_last_n == 0 &&
           s->presence_penalty == 0 && s->frequency_penalty == 0 && s->seed == 0 &&
           s->n_logit_bias == 0;
}

static ingle_sampling resolve(const ingle_sampling *opt)
{
    ingle_sampling s;
    if (opt && !is_unset(opt))
        s = *opt;
    else
        ingle_sampling_init(&s);
    return s;
}

static ingle_status check_options(const ingle_sampling *s, uint32_t n_vocab, ingle_error *err)
{
    const struct {
        const char *name;
        float value;
        bool negative; // allowed
    } numbers[] = {
        {"temperature", s->temperature, true},
        {"top_p", s->top_p, false},
        {"min_p", s->min_p, false},
        {"typical_p", s->typical_p, false},
        {"repeat_penalty", s->repeat_penalty, false},
        {"presence_penalty", s->presence_penalty, true},
        {"frequency_penalty", s->frequency_penalty, true},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!isfinite(numbers[i].value) || (!numbers[i].negative && numbers[i].value < 0))
            return error_set(err, INGLE_ERR_USAGE, "%s %g is no finite number%s", numbers[i].name,
                             (double)numbers[i].value, numbers[i].negative ? "" : " from 0 up");
    if (s->repeat_penalty == 0)
        return error_set(err, INGLE_ERR_USAGE,
                         "repeat_penalty is 0: sampling options start from ingle_sampling_init");
    if (s->repeat_last_n < -1)
        return error_set(err, INGLE_ERR_USAGE, "repeat_last_n %d is below -1", (int)s->repeat_last_n);
    if (s->n_logit_bias && !s->logit_bias)
        return error_set(err, INGLE_ERR_USAGE, "logit_bias is NULL but n_logit_bias is %zu",
                         s->n_logit_bias);
    for (size_t i = 0; i < s->n_logit_bias; i++) {
        const ingle_logit_bias *b = &s->logit_bias[i];
        if (b->id < 0 || (uint32_t)b->id >= n_vocab)
            return error_set(err, INGLE_ERR_USAGE, "logit_bias of token %d: the vocabulary has %u",
                             (int)b->id, (unsigned)n_vocab);
        if (isnan(b->bias) || b->bias == INFINITY)
            return error_set(err, INGLE_ERR_USAGE,
                             "logit_bias of token %d is neither finite nor -infinity", (int)b->id);
    }
    return INGLE_OK;
}

static bool has_penalties(const ingle_sampling *s)
{
    return s->repeat_last_n != 0 &&
           (s->repeat_penalty != 1 || s->presence_penalty != 0 || s->frequency_penalty != 0);
}

/* Only the typical filter can drop the most probable token; under all others temperature 0 means
 * the arg-max, whatever they keep. */
static bool is_plain_greedy(const ingle_sampling *s)
{
    return s->temperature <= 0 && s->typical_p >= 1;
}

static size_t candidate_room(const ingle_sampling *s, uint32_t n_vocab)
{
    return s->top_k > 0 && (uint32_t)s->top_k < n_vocab ? (size_t)s->top_k : n_vocab;
}

/* ---- open and close ----------------------------------------------------------------------- */

/* Bytes of every block that open allocates, 0 for those it leaves out. */
typedef struct {
    size_t bias, adjusted, candidates, counts, window;
} block_sizes;

static block_sizes sizes_for(const ingle_sampling *s, uint32_t n_vocab)
{
    const bool penalties = has_penalties(s);
    block_sizes b = {0};
    b.bias = size_mul(s->n_logit_bias, sizeof(ingle_logit_bias));
    if (penalties || s->n_logit_bias)
        b.adjusted = size_mul(n_vocab, sizeof(float));
    if (!is_plain_greedy(s))
        b.candidates = size_mul(candidate_room(s, n_vocab), sizeof(candidate));
    if (penalties)
        b.counts = size_mul(n_vocab, sizeof(uint32_t));
    if (penalties && s->repeat_last_n > 0)
        b.window = size_mul((size_t)s->repeat_last_n, sizeof(int32_t));
    return b;
}

uint64_t sampler_bytes(uint32_t n_vocab, const ingle_sampling *opt)
{
    const ingle_sampling s = resolve(opt);
    const block_sizes b = sizes_for(&s, n_vocab);
    return (uint64_t)sizeof(ingle_sampler) + b.bias + b.adjusted + b.candidates + b.counts +
           b.window;
}

static bool take_blocks(ingle_sampler *s, const block_sizes *b)
{
    const ingle_allocator *a = &s->allocator;
    return (!b->bias || (s->bias = mem_alloc(a, b->bias))) &&
           (!b->adjusted || (s->adjusted = mem_alloc(a, b->adjusted))) &&
           (!b->candidates || (s->candidates = mem_alloc(a, b->candidates))) &&
           (!b->counts || (s->counts = mem_zero(a, b->counts, 1))) &&
           (!b->window || (s->window = mem_alloc(a, b->window)));
}

ingle_status sampler_open(ingle_sampler **out, uint32_t n_vocab, const ingle_allocator *a,
                          const ingle_sampling *opt, ingle_error *err)
{
    *out = NULL;
    error_clear(err);
    const ingle_sampling chosen = resolve(opt);
    if (n_vocab == 0 || n_vocab > INT32_MAX)
        return error_set(err, INGLE_ERR_USAGE, "a sampler over %u tokens", (unsigned)n_vocab);
    const ingle_status status = check_options(&chosen, n_vocab, err);
    if (status != INGLE_OK)
        return status;
    ingle_sampler *s = mem_zero(a, 1, sizeof *s);
    if (!s)
        return error_memory(err, sizeof *s, "sampler");
    if (a)
        s->allocator = *a;
    s->opt = chosen;
    s->n_vocab = n_vocab;
    const block_sizes b = sizes_for(&chosen, n_vocab);
    if (!take_blocks(s, &b)) {
        ingle_sampler_close(s);
        return error_memory(err, (size_t)sampler_bytes(n_vocab, opt), "sampler");
    }
    if (b.bias)
        memcpy(s->bias, chosen.logit_bias, b.bias);
    s->opt.logit_bias = s->bias;
    s->window_size = s->window ? (size_t)chosen.repeat_last_n : 0;
    *out = s;
    return INGLE_OK;
}

ingle_status ingle_sampler_open(ingle_sampler **out, const ingle_model *model,
                                const ingle_sampling *opt, ingle_error *err)
{
    return sampler_open(out, ingle_model_get_info(model)->n_vocab, model_allocator(model), opt,
                        err);
}

const ingle_sampling *sampler_options(const ingle_sampler *s)
{
    return &s->opt;
}

void ingle_sampler_close(ingle_sampler *s)
{
    if (!s)
        return;
    const ingle_allocator a = s->allocator;
    mem_free(&a, s->bias);
    mem_free(&a, s->adjusted);
    mem_free(&a, s->candidates);
    mem_free(&a, s->counts);
    mem_free(&a, s->window);
    mem_free(&a, s);
}

void sampler_skip(ingle_sampler *s, uint64_t n_draws)
{
    s->n_draws = n_draws;
}

/* ---- bias and penalties ------------------------------------------------------------------- */

void ingle_sampler_accept(ingle_sampler *s, int32_t id)
{
    if (!s->counts || id < 0 || (uint32_t)id >= s->n_vocab)
        return;
    s->counts[id]++;
    if (!s->window)
        return;
    if (s->window_used == s->window_size)
        s->counts[s->window[s->window_next]]--;
    else
        s->window_used++;
    s->window[s->window_next] = id;
    s->window_next = s->window_next + 1 == s->window_size ? 0 : s->window_next + 1;
}

/* A token that occurred is made less probable once by the factor (divided when its logit is
 * positive, multiplied when not, so that a factor over 1 always lowers it), then by a fixed amount,
 * then by an amount for each occurrence. */
static void apply_penalties(const ingle_sampler *s, float *logits)
{
    for (size_t i = 0; i < s->n_vocab; i++) {
        if (s->counts[i] == 0 || logits[i] == -INFINITY)
            continue;
        if (logits[i] <= 0)
            logits[i] *= s->opt.repeat_penalty;
        else
            logits[i] /= s->opt.repeat_penalty;
        logits[i] -= (float)s->counts[i] * s->opt.frequency_penalty + s->opt.presence_penalty;
    }
}

static const float *adjust(ingle_sampler *s, const float *logits)
{
    if (!s->adjusted)
        return logits;
    memcpy(s->adjusted, logits, s->n_vocab * sizeof *logits);
    for (size_t i = 0; i < s->opt.n_logit_bias; i++)
        s->adjusted[s->bias[i].id] += s->bias[i].bias;
    if (s->counts)
        apply_penalties(s, s->adjusted);
    return s->adjusted;
}

/* ---- heaps -------------------------------------------------------------------------------- */

/* The order of choice: greater key first, then lower id. */
static bool is_before(const candidate *a, const candidate *b)
{
    return a->logprob > b->logprob || (a->logprob == b->logprob && a->id < b->id);
}

static void swap(candidate *a, candidate *b)
{
    const candidate kept = *a;
    *a = *b;
    *b = kept;
}

/* Moves heap[i] down to its place. best_first: the root is the first in the order of choice;
 * otherwise the last. */
static void sink(candidate *heap, size_t n, size_t i, bool best_first)
{
    const candidate moved = heap[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && is_before(&heap[child + 1], &heap[child]) == best_first)
            child++;
        if (is_before(&heap[child], &moved) != best_first)
            break;
        heap[i] = heap[child];
    }
    heap[i] = moved;
}

static void heapify(candidate *heap, size_t n, bool best_first)
{
    for (size_t i = n / 2; i-- > 0;)
        sink(heap, n, i, best_first);
}

static void sort(candidate *c, size_t n)
{
    heapify(c, n, false);
    while (n > 1) {
        swap(&c[0], &c[--n]);
        sink(c, n, 0, false);
    }
}

/* The first `room` (> 0) tokens in the order of choice, themselves in no order, without those of
 * -infinity and NaN. One pass: nearly every logit fails the comparison with the worst one kept. */
static size_t select_top(candidate *c, size_t room, const float *logits, size_t n_vocab)
{
    size_t n = 0;
    for (size_t i = 0; i < n_vocab; i++) {
        const float x = logits[i];
        if (!(x > (n == room ? c[0].logprob : -INFINITY)))
            continue;
        const candidate fresh = {(int32_t)i, x};
        if (n < room) {
            c[n++] = fresh;
            if (n == room && i + 1 < n_vocab)
                heapify(c, n, false);
        } else {
            c[0] = fresh;
            sink(c, n, 0, false);
        }
    }
    return n;
}

/* ---- filters: each takes c [n], n > 0, and returns how many stay, in front ----------------- */

/* exp(x) for x <= 0, within 3e-10 of itself; below -700 it stays at 1e-304, which is 0 to every
 * sum. Our own, because libraries differ in the last bit and a seed should give the same text on
 * every host; without branches or calls, so that a pass over all logits becomes vector code.
 * exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln 2 / 2, exp(r) by its series up to r^8. */
static double exp_negative(double x)
{
    const double rounder = 6755399441055744.0; // 1.5 * 2^52: what is added to it loses its fraction
    const double y = x > -700 ? x : -700;
    const double shifted = y * 1.4426950408889634 + rounder, n = shifted - rounder;
    const double r = y - n * 0.6931471805599453;
    double p = 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 0.5;
    p = p * r + 1;
    p = p * r + 1;
    uint64_t bits; // the low bits of `shifted` are n; 2^n is n + 1023 in the exponent's place
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

/* A distribution over candidates: weights are exp(logit - max), total their sum. */
typedef struct {
    const float *logits;
    float max;
    double total;
} softmax;

static double below_max(const softmax *p, float x)
{
    return x == p->max ? 0 : (double)x - (double)p->max; // also where both are infinite
}

static double weight(const softmax *p, const candidate *c)
{
    return exp_negative(below_max(p, p->logits[c->id]));
}

static float max_logit(const candidate *c, size_t n, const float *logits)
{
    float max = logits[c[0].id];
    for (size_t i = 1; i < n; i++)
        max = logits[c[i].id] > max ? logits[c[i].id] : max;
    return max;
}

static softmax weigh(const candidate *c, size_t n, const float *logits)
{
    softmax p = {logits, max_logit(c, n, logits), 0};
    for (size_t i = 0; i < n; i++)
        p.total += weight(&p, &c[i]);
    return p;
}

/* Keeps the shortest run, in the order of choice, whose weights pass `share` of the total, or reach
 * it if that will do. A heap, so that the many which stay out are never sorted. */
static size_t keep_share(candidate *c, size_t n, const softmax *p, double share, bool reach)
{
    const double goal = share * p->total;
    double sum = 0;
    heapify(c, n, true);
    size_t left = n;
    do {
        swap(&c[0], &c[--left]); // taken ones grow down from the end
        sink(c, left, 0, true);
        sum += weight(p, &c[left]);
    } while (left > 0 && !(reach ? sum >= goal : sum > goal));
    for (size_t i = left, j = n - 1; i < j; i++, j--)
        swap(&c[i], &c[j]);
    memmove(c, c + left, (n - left) * sizeof *c);
    return n - left;
}

/* Locally typical sampling (Meister et al. 2022): tokens whose surprise -ln p is nearest to the
 * distribution's entropy come first, until their probabilities pass share. */
static size_t keep_typical(candidate *c, size_t n, const float *logits, float share)
{
    const softmax p = weigh(c, n, logits);
    const double log_total = log(p.total);
    double entropy = 0;
    for (size_t i = 0; i < n; i++) {
        const double w = weight(&p, &c[i]);
        entropy += w / p.total * (log_total - log(w)); // w is never 0
    }
    for (size_t i = 0; i < n; i++)
        c[i].logprob = -(float)fabs(log_total - below_max(&p, logits[c[i].id]) - entropy);
    n = keep_share(c, n, &p, (double)share, false);
    for (size_t i = 0; i < n; i++)
        c[i].logprob = logits[c[i].id];
    return n;
}

static size_t keep_top_p(candidate *c, size_t n, const float *logits, float share)
{
    const softmax p = weigh(c, n, logits);
    return keep_share(c, n, &p, (double)share, true);
}

static size_t keep_min_p(candidate *c, size_t n, const float *logits, float share)
{
    const float max = max_logit(c, n, logits), least = max + logf(share);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (logits[c[i].id] >= least || logits[c[i].id] == max)
            c[kept++] = c[i];
    return kept;
}

/* ---- choosing ----------------------------------------------------------------------------- */

static bool holds_nan(const float *logits, size_t n)
{
    unsigned bad = 0;
    for (size_t i = 0; i < n; i++)
        bad |= logits[i] != logits[i];
    return bad != 0;
}

/* In lanes, because a chain of comparisons is slow where eight side by side are one instruction. A
 * NaN is never greater. */
static float greatest(const float *logits, size_t n)
{
    enum { LANES = 8 };
    float lane[LANES];
    for (size_t j = 0; j < LANES; j++)
        lane[j] = -INFINITY;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            lane[j] = logits[i + j] > lane[j] ? logits[i + j] : lane[j];
    for (; i < n; i++)
        lane[0] = logits[i] > lane[0] ? logits[i] : lane[0];
    for (size_t j = 1; j < LANES; j++)
        lane[0] = lane[j] > lane[0] ? lane[j] : lane[0];
    return lane[0];
}

static int32_t find_greatest(const float *logits, size_t n)
{
    const float max = greatest(logits, n);
    size_t i = 0;
    while (max > -INFINITY && logits[i] != max)
        i++;
    return max > -INFINITY ? (int32_t)i : -1;
}

static int32_t first_in_order(const candidate *c, size_t n)
{
    const candidate *best = c;
    for (size_t i = 1; i < n; i++)
        if (is_before(&c[i], best))
            best = &c[i];
    return best->id;
}

/* Walks the candidates as they stand until their weights' sum passes u of the whole. The same
 * weights are summed in the same order twice, and u < 1, so the walk ends on a token of weight. */
static int32_t draw(candidate *c, size_t n, const float *logits, float temperature, double u)
{
    const softmax p = {logits, max_logit(c, n, logits), 0};
    double total = 0, sum = 0;
    for (size_t i = 0; i < n; i++) {
        c[i].logprob = (float)exp_negative(below_max(&p, logits[c[i].id]) / (double)temperature);
        total += (double)c[i].logprob;
    }
    size_t i = 0;
    while ((sum += (double)c[i].logprob) <= u * total && i + 1 < n)
        i++;
    return c[i].id;
}

/* What the filters leave of c [n]. */
static size_t filter(candidate *c, size_t n, const float *logits, const ingle_sampling *o)
{
    if (o->top_k > 0)
        sort(c, n);
    if (o->typical_p < 1)
        n = keep_typical(c, n, logits, o->typical_p);
    if (o->top_p < 1)
        n = keep_top_p(c, n, logits, o->top_p);
    if (o->min_p > 0)
        n = keep_min_p(c, n, logits, o->min_p);
    return n;
}

ingle_status ingle_sampler_pick(ingle_sampler *s, const float *logits, int32_t *id,
                                ingle_error *err)
{
    *id = -1;
    error_clear(err);
    const float *x = adjust(s, logits);
    if (holds_nan(x, s->n_vocab))
        return error_set(err, INGLE_ERR_FORMAT, "the logits hold NaN");
    if (is_plain_greedy(&s->opt)) {
        *id = find_greatest(x, s->n_vocab);
    } else {
        candidate *c = s->candidates;
        size_t n = select_top(c, candidate_room(&s->opt, s->n_vocab), x, s->n_vocab);
        if (n > 0)
            n = filter(c, n, x, &s->opt);
        if (n > 0 && s->opt.temperature <= 0)
            *id = first_in_order(c, n);
        else if (n > 0)
            *id = draw(c, n, x, s->opt.temperature, sample_uniform(s->opt.seed, s->n_draws++));
    }
    if (*id < 0)
        return error_set(err, INGLE_ERR_FORMAT,
                         "no token is left to choose: every logit is -infinity");
    return INGLE_OK;
}

/* ---- probabilities ------------------------------------------------------------------------ */

/* ln of the sum of exp(logit - *max) over all logits; NaN if one of them is. */
static double log_sum(const float *logits, size_t n_vocab, float *max)
{
    enum { LANES = 4 };
    double sum[LANES] = {0};
    const double top = (double)(*max = greatest(logits, n_vocab));
    if (holds_nan(logits, n_vocab))
        return NAN;
    size_t i = 0;
    if (isfinite(top))
        for (; i + LANES <= n_vocab; i += LANES)
            for (size_t j = 0; j < LANES; j++)
                sum[j] += exp_negative((double)logits[i + j] - top);
    const softmax p = {logits, *max, 0};
    for (; i < n_vocab; i++)
        sum[0] += exp_negative(below_max(&p, logits[i]));
    return log((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

static float logprob(float x, float max, double log_total)
{
    const softmax p = {NULL, max, 0};
    return x == -INFINITY ? x : (float)(below_max(&p, x) - log_total);
}

size_t ingle_top_choices(const float *logits, size_t n_vocab, ingle_choice *out, size_t n)
{
    if (n == 0 || n_vocab == 0)
        return 0;
    n = select_top(out, n < n_vocab ? n : n_vocab, logits, n_vocab);
    sort(out, n);
    float max;
    const double log_total = log_sum(logits, n_vocab, &max);
    for (size_t i = 0; i < n; i++)
        out[i].logprob = logprob(out[i].logprob, max, log_total);
    return n;
}

float ingle_logprob(const float *logits, size_t n_vocab, int32_t id)
{
    if (id < 0 || (size_t)id >= n_vocab)
        return -INFINITY;
    float max;
    const double log_total = log_sum(logits, n_vocab, &max);
    return logprob(logits[id], max, log_total);
}

/* ---- the random source -------------------------------------------------------------------- */

void sample_philox(uint32_t counter[4], const uint32_t key[2])
{
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * counter[0];
        const uint64_t p1 = (uint64_t)0xCD9E8D57u * counter[2];
        counter[0] = (uint32_t)(p1 >> 32) ^ counter[1] ^ k0;
        counter[1] = (uint32_t)p1;
        counter[2] = (uint32_t)(p0 >> 32) ^ counter[3] ^ k1;
        counter[3] = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

double sample_uniform(uint64_t seed, uint64_t number)
{
    uint32_t block[4] = {(uint32_t)number, (uint32_t)(number >> 32), 0, 0};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    sample_philox(block, key);
    return ((double)block[0] + 0.5) * (1.0 / 4294967296.0);
}
