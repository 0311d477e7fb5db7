/* ingle logits and ingle dump share one duty: float32 values in little-endian order. This file has
 * the first and the writer of both. */
#include "floats.h"

#include <string.h>

#include "buffer.h"
#include "cmd.h"
#include "setup.h"

void floats_write(const float *values, size_t n)
{
    const uint16_t probe = 1;
    uint8_t low;
    memcpy(&low, &probe, 1);
    if (low) { // this machine is little-endian
        out_bytes(values, n * sizeof *values);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], 4);
        const uint8_t bytes[4] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16),
                                  (uint8_t)(bits >> 24)};
        out_bytes(bytes, 4);
    }
}

typedef struct {
    size_t n_vocab, n_ids;
    term_bar bar;
} row_writer;

static bool write_row(void *user, size_t i, const float *logits)
{
    row_writer *w = user;
    floats_write(logits, w->n_vocab);
    term_bar_show(&w->bar, i + 1, w->n_ids);
    return !term_interrupted() && out_push();
}

static ingle_status score(const setup_model *m, const options *o, const ingle_tokens *ids,
                          ingle_error *err)
{
    ingle_session *session = NULL;
    term_bar bar;
    ingle_session_options opt = setup_session(o, &bar);
    opt.progress = NULL; // the rows themselves show how far it is
    if (opt.n_ctx == 0 && ids->n <= UINT32_MAX)
        opt.n_ctx = (uint32_t)ids->n;
    row_writer w = {.n_vocab = m->info->n_vocab, .n_ids = ids->n};
    ingle_status status = ingle_session_open(&session, m->model, &opt, err);
    term_bar_start(&w.bar, "logits", !o->quiet, false);
    if (status == INGLE_OK)
        status = ingle_session_score(session, ids->ids, ids->n, write_row, &w, err);
    ingle_session_close(session);
    term_clear_bar();
    return status;
}

int cmd_logits(const options *o)
{
    setup_model m;
    ingle_tokens ids = {0};
    ingle_error err;
    int code = EXIT_DONE;
    if (!o->ids)
        return out_failf("--ids", INGLE_ERR_USAGE, "missing; see ingle help logits");
    if (buf_parse_ids(&ids, o->ids, strlen(o->ids), &err) != INGLE_OK)
        code = out_fail("--ids", &err);
    else if (ids.n == 0)
        code = out_failf("--ids", INGLE_ERR_USAGE, "no ids are given");
    if (code == EXIT_DONE)
        code = setup_open(&m, o);
    if (code == EXIT_DONE) {
        // A failed write also ends as ERR_CANCELLED; out_finish then says what happened.
        if (score(&m, o, &ids, &err) != INGLE_OK && out_push())
            code = out_fail(m.name, &err);
        setup_close(&m);
    }
    ingle_tokens_free(&ids);
    return code;
}
