/* ingle bench: speed of prompts (pp) and of generation (tg), at depths, over numbers of threads.
 * Each test runs once unmeasured, then -r times; the median and the best are reported. Tokens are
 * random but the same in every run. */
#include <stdio.h>
#include <stdlib.h>

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
    int32_t *ids;      // [longest depth + longest test]
    uint64_t weights;  // bytes read for one token
    term_bar bar;
    uint64_t done, total;
} bench;

/* Milliseconds of one run; < 0 on failure. */
static double measure(bench *b, const bench_test *t, ingle_error *err)
{
    ingle_session_truncate(b->session, 0);
    if (t->depth && ingle_session_append(b->session, b->ids, t->depth, err) != INGLE_OK)
        return -1;
    const int32_t *ids = b->ids + t->depth;
    const double start = term_ms();
    if (t->prompt)
        return ingle_session_append(b->session, ids, t->n, err) == INGLE_OK ? term_ms() - start
                                                                           : -1;
    for (uint32_t i = 0; i < t->n; i++) {
        if (term_interrupted()) {
            out_error(err, INGLE_ERR_CANCELLED, "interrupted");
            return -1;
        }
        if (ingle_session_append(b->session, ids + i, 1, err) != INGLE_OK)
            return -1;
    }
    return term_ms() - start;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static ingle_status report(const bench *b, const bench_test *t, double *rates, uint32_t n,
                           ingle_error *err)
{
    char name[64];
    qsort(rates, n, sizeof *rates, by_value);
    const double median = n % 2 ? rates[n / 2] : (rates[n / 2 - 1] + rates[n / 2]) / 2;
    const double best = rates[n - 1];
    const double gbps = (double)b->weights * median * 1e-9;
    const int length = snprintf(name, sizeof name, "%s%u", t->prompt ? "pp" : "tg", t->n);
    if (t->depth)
        snprintf(name + length, sizeof name - (size_t)length, "@d%u", t->depth);
    term_clear_bar();
    if (!b->o->json) {
        char rate[16] = "-";
        if (!t->prompt)
            snprintf(rate, sizeof rate, "%.2f", gbps);
        out_printf("| %-12s | %7u | %11.2f | %11.2f | %7s | %-14s |\n", name, t->threads, median,
                   best, rate, b->backend);
        out_push();
        return INGLE_OK;
    }
    json_out j = {0};
    jout_open(&j, '{');
    jout_key(&j, "test");
    jout_text(&j, name);
    jout_key(&j, "threads");
    jout_uint(&j, t->threads);
    jout_key(&j, "per_s_median");
    jout_real(&j, median, 6);
    jout_key(&j, "per_s_best");
    jout_real(&j, best, 6);
    jout_key(&j, "gbps"); // a prompt's pass reads the weights once for many tokens
    if (t->prompt)
        jout_null(&j);
    else
        jout_real(&j, gbps, 4);
    jout_key(&j, "backend");
    jout_text(&j, b->backend);
    jout_close(&j, '}');
    const ingle_status status = jout_print(&j, err);
    out_push();
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
    return report(b, t, rates, n, err);
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
        b->weights = memory.weights;
        b->backend = ingle_session_backend(b->session);
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
    const uint32_t n_ctx = most(depths) + (longest ? longest : 1);
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
        out_printf("| %-12s | %7s | %11s | %11s | %7s | %-14s |\n"
                   "|--------------|--------:|------------:|------------:|--------:|"
                   "----------------|\n",
                   "test", "threads", "median t/s", "best t/s", "GB/s", "backend");
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
