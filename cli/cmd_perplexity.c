/* ingle perplexity, chunked as llama.cpp does it. The whole text is tokenized
 * (with a beginning token if the model adds one) and cut into chunks of n_ctx tokens; the first
 * token of each chunk is replaced by the beginning token if the model adds one; the tokens at
 * n_ctx/2 .. n_ctx - 1 are predicted from those before them and scored. Text after the last whole
 * chunk is not used. llama.cpp's tool scores one token less a chunk, the first of these: measured,
 * its figure is 0.2 to 0.3 % higher for that (stories260K and SmolLM2-135M, 256 and 512 tokens). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "cmd.h"
#include "logprobs.h"
#include "setup.h"

typedef struct {
    const setup_model *m;
    const options *o;
    ingle_session *session;
    ingle_tokens ids;
    uint32_t n_ctx, n_chunks, n_vocab;
    int32_t bos;            // put at the start of each chunk; -1 = none
    logprobs_file *save, *base;
    logprobs_row *row;      // of the base
    double *kl;             // [n_chunks * scored in a chunk]
    size_t n_kl, n_same_top;
    // of the running chunk
    const int32_t *next;    // [i] the token that row i predicts
    uint64_t n_rows_done, n_rows;
    term_bar bar;
    ingle_error *err;       // of the files; the session's own comes by return
    // sums over all rows
    double nll, nll2;
    uint64_t count;
} scoring;

/* log of the sum of exp(logits), in double. */
static double log_sum(const float *logits, uint32_t n, uint32_t *top)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - (double)logits[best]);
    *top = best;
    return (double)logits[best] + log(sum);
}

static bool compare(scoring *s, const float *logits, double lse, uint32_t top)
{
    if (logprobs_read(s->base, s->row, s->err) != INGLE_OK)
        return false;
    double kl = 0;
    for (uint32_t i = 0; i < s->n_vocab; i++) {
        const double base = logprobs_value(s->row, i);
        kl += exp(base) * (base - ((double)logits[i] - lse));
    }
    s->kl[s->n_kl++] = kl;
    s->n_same_top += s->row->top == top;
    return true;
}

static bool score_row(void *user, size_t i, const float *logits)
{
    scoring *s = user;
    uint32_t top;
    const double lse = log_sum(logits, s->n_vocab, &top);
    const double nll = lse - (double)logits[s->next[i]];
    s->nll += nll;
    s->nll2 += nll * nll;
    s->count++;
    if (s->save && logprobs_write(s->save, logits, lse, top, s->err) != INGLE_OK)
        return false;
    if (s->base && !compare(s, logits, lse, top))
        return false;
    term_bar_show(&s->bar, ++s->n_rows_done, s->n_rows);
    return !term_interrupted();
}

static ingle_status score_chunk(scoring *s, uint32_t chunk, ingle_error *err)
{
    int32_t *ids = s->ids.ids + (size_t)chunk * s->n_ctx;
    const uint32_t first = logprobs_first(s->n_ctx), n = logprobs_scored(s->n_ctx);
    const int32_t kept = ids[0];
    if (s->bos >= 0)
        ids[0] = s->bos;
    s->next = ids + first + 1;
    ingle_session_truncate(s->session, 0);
    ingle_status status = ingle_session_append(s->session, ids, first, err);
    if (status == INGLE_OK) {
        s->err->status = INGLE_OK;
        status = ingle_session_score(s->session, ids + first, n, score_row, s, err);
        if (s->err->status != INGLE_OK) { // the row stopped it because of a file
            *err = *s->err;
            status = err->status;
        }
    }
    ids[0] = kept;
    return status;
}

static bool keep_going(void *user, size_t done, size_t total)
{
    (void)user, (void)done, (void)total;
    return !term_interrupted();
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static ingle_status report(scoring *s, ingle_error *err)
{
    const double n = (double)s->count, mean = s->nll / n;
    const double variance = s->nll2 / n - mean * mean;
    const double ppl = exp(mean);
    const double spread = s->count > 1 && variance > 0 ? sqrt(variance / (n - 1)) * ppl : 0;
    double kl_mean = NAN, kl_p99 = NAN, same = NAN;
    if (s->n_kl) {
        kl_mean = 0;
        for (size_t i = 0; i < s->n_kl; i++)
            kl_mean += s->kl[i] / (double)s->n_kl;
        qsort(s->kl, s->n_kl, sizeof *s->kl, by_value);
        kl_p99 = s->kl[(size_t)(0.99 * (double)(s->n_kl - 1))];
        same = (double)s->n_same_top / (double)s->n_kl;
    }
    if (!s->o->json) {
        out_printf("perplexity %.4f +/- %.4f (%u chunks of %u, %llu tokens scored, nll %.5f)\n",
                   ppl, spread, s->n_chunks, s->n_ctx, (unsigned long long)s->count, mean);
        if (s->n_kl)
            out_printf("against the base: KL mean %.6f, 99 %% below %.6f, same top token %.2f %%\n",
                       kl_mean, kl_p99, same * 100);
        return INGLE_OK;
    }
    json_out j = {0};
    jout_open(&j, '{');
    jout_key(&j, "ppl");
    jout_real(&j, ppl, 9);
    jout_key(&j, "stderr");
    jout_real(&j, spread, 6);
    jout_key(&j, "nll");
    jout_real(&j, mean, 10);
    jout_key(&j, "chunks");
    jout_uint(&j, s->n_chunks);
    jout_key(&j, "tokens");
    jout_uint(&j, s->count);
    jout_key(&j, "kl_mean");
    jout_real(&j, kl_mean, 6);
    jout_key(&j, "kl_p99");
    jout_real(&j, kl_p99, 6);
    jout_key(&j, "top1_agreement");
    jout_real(&j, same, 6);
    jout_close(&j, '}');
    return jout_print(&j, err);
}

/* ---- what is scored ----------------------------------------------------------------------- */

/* The beginning token if the model puts one before a text, else -1. */
static ingle_status find_bos(scoring *s, ingle_error *err)
{
    ingle_tokens none = {0};
    const ingle_status status = ingle_tokenize(s->m->model, "", 0, INGLE_ADD_SPECIAL, &none, err);
    s->bos = none.n > 0 && none.ids[0] == s->m->info->bos ? none.ids[0] : -1;
    ingle_tokens_free(&none);
    return status;
}

static ingle_status cut(scoring *s, ingle_error *err)
{
    const size_t whole = s->ids.n / s->n_ctx;
    if (whole == 0)
        return out_error(err, INGLE_ERR_USAGE, "the text has %zu tokens, a chunk needs %u",
                         s->ids.n, s->n_ctx);
    s->n_chunks = whole < UINT32_MAX ? (uint32_t)whole : UINT32_MAX;
    if (s->o->chunks && s->o->chunks < s->n_chunks)
        s->n_chunks = s->o->chunks;
    return INGLE_OK;
}

/* Is the text given with -f the one that the base was made from? */
static ingle_status check_text(scoring *s, const ingle_text *text, ingle_error *err)
{
    ingle_tokens ids = {0};
    ingle_status status =
        ingle_tokenize(s->m->model, text->bytes, text->n, INGLE_ADD_SPECIAL, &ids, err);
    if (status == INGLE_OK &&
        (ids.n < s->ids.n || memcmp(ids.ids, s->ids.ids, s->ids.n * sizeof *ids.ids) != 0))
        status = out_error(err, INGLE_ERR_USAGE, "made from another text than -f's");
    ingle_tokens_free(&ids);
    return status;
}

/* Tokens, context and number of chunks from the base file. */
static ingle_status take_base(scoring *s, const ingle_text *text, ingle_error *err)
{
    logprobs_head head;
    ingle_status status = logprobs_open(&s->base, s->o->kl, &head, &s->ids, err);
    if (status != INGLE_OK)
        return status;
    if (head.n_vocab != s->n_vocab)
        return out_error(err, INGLE_ERR_FORMAT, "made with a vocabulary of %u, the model has %u",
                         head.n_vocab, s->n_vocab);
    if (s->o->n_ctx && s->o->n_ctx != head.n_ctx)
        return out_error(err, INGLE_ERR_USAGE, "made with -c %u", head.n_ctx);
    s->n_ctx = head.n_ctx;
    if (s->o->file && check_text(s, text, err) != INGLE_OK)
        return err->status;
    status = cut(s, err);
    const uint64_t rows = (uint64_t)s->n_chunks * logprobs_scored(s->n_ctx);
    if (status == INGLE_OK && rows < SIZE_MAX / sizeof *s->kl)
        s->kl = malloc((size_t)rows * sizeof *s->kl);
    s->row = logprobs_row_open(s->n_vocab);
    if (status == INGLE_OK && (!s->kl || !s->row))
        status = out_error(err, INGLE_ERR_MEMORY, "no room for the comparison");
    return status;
}

static ingle_status take_text(scoring *s, const ingle_text *text, ingle_error *err)
{
    s->n_ctx = s->o->n_ctx ? s->o->n_ctx : 512;
    if (s->n_ctx < 4)
        return out_error(err, INGLE_ERR_USAGE, "-c must be at least 4");
    ingle_status status = ingle_tokenize(s->m->model, text->bytes, text->n, INGLE_ADD_SPECIAL,
                                         &s->ids, err);
    if (status == INGLE_OK)
        status = cut(s, err);
    if (status == INGLE_OK && s->o->save_logits) {
        const logprobs_head head = {s->n_vocab, s->n_ctx, s->n_chunks};
        status = logprobs_create(&s->save, s->o->save_logits, &head, s->ids.ids, err);
    }
    return status;
}

static ingle_status score_all(scoring *s, ingle_error *err)
{
    term_bar unused;
    ingle_session_options opt = setup_session(s->o, &unused);
    opt.n_ctx = s->n_ctx;
    opt.progress = keep_going;
    s->n_rows = (uint64_t)s->n_chunks * logprobs_scored(s->n_ctx);
    ingle_status status = ingle_session_open(&s->session, s->m->model, &opt, err);
    term_bar_start(&s->bar, "perplexity", !s->o->quiet, false);
    for (uint32_t i = 0; status == INGLE_OK && i < s->n_chunks; i++)
        status = score_chunk(s, i, err);
    term_clear_bar();
    if (status == INGLE_OK && s->save)
        status = logprobs_finish(s->save, err);
    if (status == INGLE_OK)
        status = report(s, err);
    return status;
}

static int run(scoring *s, const ingle_text *text, ingle_error *err)
{
    const char *what = s->o->kl ? s->o->kl : s->m->name;
    ingle_status status = s->o->kl ? take_base(s, text, err) : take_text(s, text, err);
    if (status == INGLE_OK) {
        what = s->m->name;
        status = find_bos(s, err);
    }
    for (size_t i = 0; status == INGLE_OK && i < s->ids.n; i++)
        if (s->ids.ids[i] < 0 || (uint32_t)s->ids.ids[i] >= s->n_vocab)
            status = out_error(err, INGLE_ERR_FORMAT, "token %zu is %d, the vocabulary has %u", i,
                               (int)s->ids.ids[i], s->n_vocab);
    if (status == INGLE_OK)
        status = score_all(s, err);
    return status == INGLE_OK ? EXIT_DONE : out_fail(what, err);
}

int cmd_perplexity(const options *o)
{
    setup_model m;
    ingle_text text = {0};
    ingle_error err = {0}, file_err = {0};
    if (o->kl && o->save_logits)
        return out_failf("--kl", INGLE_ERR_USAGE, "--save-logits is given too");
    int code = setup_open(&m, o);
    if (code != EXIT_DONE)
        return code;
    scoring s = {.m = &m, .o = o, .n_vocab = m.info->n_vocab, .bos = -1, .err = &file_err};
    if (!o->kl || o->file) // the --kl file has the tokens; a text given too must be the same
        code = setup_text(&text, o);
    if (code == EXIT_DONE)
        code = run(&s, &text, &err);
    ingle_session_close(s.session);
    logprobs_close(s.save);
    logprobs_close(s.base);
    logprobs_row_close(s.row);
    free(s.kl);
    ingle_tokens_free(&s.ids);
    ingle_text_free(&text);
    setup_close(&m);
    return code;
}
