/* ingle bench: speed of prompts (pp) and of generation (tg), at depths, over numbers of threads.
 * Each test runs once unmeasured, then -r times; the median and the best are reported. Tokens are
 * random but the same in every run. Generation is held against what bounds it: the bytes that a token
 * moves (weights, and the cache at the test's mean length) and the speed at which the same threads
 * read memory of that size; prompts are given in operations, two a multiply-add of a matrix. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "setup.h"

typedef struct {
    bool prompt;
    uint32_t n, depth, threads;
} bench_test;

typedef struct {
    const options *o;
    const setup_model *m;
    ingle_session *session;
    const char *backend;
    bool gpu;
    int32_t *ids;      // [longest depth + longest test]
    ingle_limits limits;
    term_bar bar;
    uint64_t done, total;
} bench;

/* Milliseconds of n tokens after the first, chosen by the session itself after `depth` tokens (one at
 * least): a GPU chooses them without us. */
static double measure_generation(bench *b, const bench_test *t, ingle_error *err)
{
    ingle_generate_options opt = {.has_sampling = true, .n_predict = t->n + 1, .ignore_eos = true};
    ingle_generation *g;
    double start = 0;
    ingle_sampling_init(&opt.sampling);
    opt.sampling.temperature = 0;
    ingle_session_truncate(b->session, 0);
    ingle_status status = ingle_generation_open(&g, b->session, b->ids, t->depth ? t->depth : 1, &opt, err);
    for (uint32_t i = 0; status == INGLE_OK && i <= t->n; i++) {
        ingle_part part;
        status = ingle_generation_next(g, &part, err);
        if (i == 0)
            start = term_ms();
        if (status == INGLE_OK && term_interrupted())
            status = out_error(err, INGLE_ERR_CANCELLED, "interrupted");
    }
    const double ms = term_ms() - start;
    ingle_generation_close(g);
    return status == INGLE_OK ? ms : -1;
}

/* Milliseconds of one run; < 0 on failure. Logits are asked for, because a session makes them when they are. */
static double measure(bench *b, const bench_test *t, ingle_error *err)
{
    if (b->gpu && !t->prompt)
        return measure_generation(b, t, err);
    ingle_session_truncate(b->session, 0);
    if (t->depth && ingle_session_append(b->session, b->ids, t->depth, err) != INGLE_OK)
        return -1;
    const int32_t *ids = b->ids + t->depth;
    const double start = term_ms();
    if (t->prompt) {
        if (ingle_session_append(b->session, ids, t->n, err) != INGLE_OK)
            return -1;
        ingle_session_logits(b->session);
        return term_ms() - start;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        if (term_interrupted()) {
            out_error(err, INGLE_ERR_CANCELLED, "interrupted");
            return -1;
        }
        if (ingle_session_append(b->session, ids + i, 1, err) != INGLE_OK)
            return -1;
        ingle_session_logits(b->session);
    }
    return term_ms() - start;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One row, as it is printed. */
typedef struct {
    char name[64];
    uint32_t threads;
    double median, best;
    bool prompt;
    uint64_t bytes;              // tg: moved for a token
    double gbps, fraction, gops; // GB/s of these, in relation to reading; pp: billions of operations
} bench_row;

static bench_row row_of(const bench *b, const bench_test *t, double *rates, uint32_t n)
{
    bench_row row = {.threads = t->threads, .prompt = t->prompt};
    qsort(rates, n, sizeof *rates, by_value);
    row.median = n % 2 ? rates[n / 2] : (rates[n / 2 - 1] + rates[n / 2]) / 2;
    row.best = rates[n - 1];
    // Token i reads what is cached of depth + i tokens: the mean over the test counts.
    const double cached = (double)t->depth + ((double)t->n - 1) / 2;
    row.bytes = b->limits.weights + (uint64_t)((double)b->limits.kv * cached);
    row.gbps = (double)row.bytes * row.median * 1e-9;
    row.fraction = b->limits.read_per_second > 0 ? row.gbps * 1e9 / b->limits.read_per_second : 0;
    row.gops = 2e-9 * (double)b->limits.products * row.median;
    const int length = snprintf(row.name, sizeof row.name, "%s%u", t->prompt ? "pp" : "tg", t->n);
    if (t->depth)
        snprintf(row.name + length, sizeof row.name - (size_t)length, "@d%u", t->depth);
    return row;
}

static void print_row(const bench *b, const bench_row *row)
{
    char moved[16] = "-", gbps[16] = "-", read[32] = "-", gops[16] = "-";
    if (row->prompt) {
        snprintf(gops, sizeof gops, "%.0f", row->gops);
    } else {
        snprintf(moved, sizeof moved, "%.1f", (double)row->bytes * 1e-6);
        snprintf(gbps, sizeof gbps, "%.2f", row->gbps);
        if (b->limits.read_per_second > 0) // a GPU's is not measured
            snprintf(read, sizeof read, "%.0f %% of %.1f", row->fraction * 100, b->limits.read_per_second * 1e-9);
    }
    out_printf("| %-10s | %7u | %10.2f | %10.2f | %8s | %6s | %13s | %6s | %-14s |\n", row->name, row->threads,
               row->median, row->best, moved, gbps, read, gops, b->backend);
}

static void add_real(json_out *j, const char *key, bool present, double value, int digits)
{
    jout_key(j, key);
    if (present)
        jout_real(j, value, digits);
    else
        jout_null(j);
}

static ingle_status print_json(const bench *b, const bench_row *row, ingle_error *err)
{
    json_out j = {0};
    jout_open(&j, '{');
    jout_key(&j, "test");
    jout_text(&j, row->name);
    jout_key(&j, "threads");
    jout_uint(&j, row->threads);
    add_real(&j, "per_s_median", true, row->median, 6);
    add_real(&j, "per_s_best", true, row->best, 6);
    add_real(&j, "gbps", !row->prompt, row->gbps, 4); // a prompt reads weights once for many tokens
    jout_key(&j, "backend");
    jout_text(&j, b->backend);
    jout_key(&j, "bytes_per_token");
    if (row->prompt)
        jout_null(&j);
    else
        jout_uint(&j, row->bytes);
    const bool known = b->limits.read_per_second > 0;
    add_real(&j, "read_gbps", known, b->limits.read_per_second * 1e-9, 4);
    add_real(&j, "fraction", known && !row->prompt, row->fraction, 4);
    add_real(&j, "gops", row->prompt, row->gops, 4);
    jout_close(&j, '}');
    return jout_print(&j, err);
}

static ingle_status report(const bench *b, const bench_test *t, double *rates, uint32_t n,
                           ingle_error *err)
{
    const bench_row row = row_of(b, t, rates, n);
    ingle_status status = INGLE_OK;
    term_clear_bar();
    if (b->o->json)
        status = print_json(b, &row, err);
    else
        print_row(b, &row);
    out_push();
    return status;
}

/* What reads at its best here: measured again for each test, because other work may be in the way. */
static ingle_status measure_limits(bench *b, ingle_error *err)
{
    const double before = b->limits.read_per_second;
    const ingle_status status = ingle_session_limits(b->session, &b->limits, err);
    if (b->limits.read_per_second < before)
        b->limits.read_per_second = before;
    return status;
}

static ingle_status run_test(bench *b, const bench_test *t, ingle_error *err)
{
    double rates[1000];
    const uint32_t n = b->o->repetitions;
    for (uint32_t i = 0; i <= n; i++) {
        const double ms = measure(b, t, err);
        if (ms < 0)
            return err->status;
        term_bar_show(&b->bar, ++b->done, b->total);
        if (i > 0) // the first warms caches and clocks
            rates[i - 1] = ms > 0 ? t->n / (ms * 1e-3) : 0;
    }
    const ingle_status status = measure_limits(b, err);
    return status == INGLE_OK ? report(b, t, rates, n, err) : status;
}

static uint32_t most(const opt_counts *c)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n; i++)
        n = c->items[i] > n ? c->items[i] : n;
    return n;
}

/* All tests at one number of threads. */
static ingle_status run_threads(bench *b, uint32_t threads, const opt_counts *lists[2],
                                const opt_counts *depths, uint32_t n_ctx, ingle_error *err)
{
    term_bar unused;
    ingle_session_options opt = setup_session(b->o, &unused);
    opt.n_threads = threads;
    opt.n_ctx = n_ctx;
    opt.progress = NULL;
    ingle_memory memory;
    ingle_status status = ingle_session_memory(b->m->model, &opt, &memory, err);
    if (status == INGLE_OK)
        status = ingle_session_open(&b->session, b->m->model, &opt, err);
    if (status == INGLE_OK) {
        b->backend = ingle_session_backend(b->session);
        b->gpu = strncmp(b->backend, "gpu", 3) == 0;
        b->limits = (ingle_limits){0};
        status = measure_limits(b, err);
    }
    for (uint32_t d = 0; d < depths->n; d++)
        for (int kind = 0; kind < 2; kind++)
            for (uint32_t i = 0; status == INGLE_OK && i < lists[kind]->n; i++) {
                const bench_test t = {kind == 0, lists[kind]->items[i], depths->items[d],
                                      memory.n_threads};
                if (t.n > 0)
                    status = run_test(b, &t, err);
            }
    ingle_session_close(b->session);
    b->session = NULL;
    return status;
}

static ingle_status run_all(bench *b, ingle_error *err)
{
    const options *o = b->o;
    static const opt_counts zero = {{0}, 1}, pp = {{512}, 1}, tg = {{128}, 1};
    const opt_counts *lists[2] = {o->bench_prompt.n ? &o->bench_prompt : &pp,
                                  o->bench_predict.n ? &o->bench_predict : &tg};
    const opt_counts *threads = o->bench_threads.n ? &o->bench_threads : &zero;
    const opt_counts *depths = o->bench_depth.n ? &o->bench_depth : &zero;
    const uint32_t longest = most(lists[0]) > most(lists[1]) ? most(lists[0]) : most(lists[1]);
    const uint32_t n_ctx = most(depths) + (longest ? longest : 1) + 1; // a GPU's test draws one more
    b->total = (uint64_t)threads->n * depths->n * (lists[0]->n + lists[1]->n) *
               (o->repetitions + 1u);
    b->ids = malloc(n_ctx * sizeof *b->ids);
    if (!b->ids || b->m->info->n_vocab == 0)
        return b->ids ? out_error(err, INGLE_ERR_UNSUPPORTED, "the model has no vocabulary")
                      : out_error(err, INGLE_ERR_MEMORY, "no room for %u tokens", n_ctx);
    uint32_t x = 1;
    for (uint32_t i = 0; i < n_ctx; i++) {
        x = x * 1664525u + 1013904223u;
        b->ids[i] = (int32_t)((x >> 8) % b->m->info->n_vocab);
    }
    if (!o->json)
        out_printf("| %-10s | %7s | %10s | %10s | %8s | %6s | %13s | %6s | %-14s |\n"
                   "|------------|--------:|-----------:|-----------:|---------:|-------:|--------------:|-------:|----------------|\n",
                   "test", "threads", "median t/s", "best t/s", "MB/token", "GB/s", "of reading", "GOP/s", "backend");
    ingle_status status = INGLE_OK;
    for (uint32_t i = 0; status == INGLE_OK && i < threads->n; i++)
        status = run_threads(b, threads->items[i], lists, depths, n_ctx, err);
    return status;
}

int cmd_bench(const options *o)
{
    setup_model m;
    ingle_error err;
    int code = setup_open(&m, o);
    if (code != EXIT_DONE)
        return code;
    bench b = {.o = o, .m = &m};
    term_bar_start(&b.bar, "bench", !o->quiet, false);
    if (run_all(&b, &err) != INGLE_OK) {
        out_push();
        code = out_fail(m.name, &err);
    }
    term_clear_bar();
    free(b.ids);
    setup_close(&m);
    return code;
}
