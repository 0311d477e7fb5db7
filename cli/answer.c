/* One answer: the loop around ingle_generation_next. */
#include "answer.h"

#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "output.h"

static bool keep(answer *a, const ingle_part *part)
{
    if (!buf_add(&a->text, part->text, part->n_text))
        return false;
    if (part->id < 0 || part->stop == INGLE_STOP_EOS)
        return true;
    if (a->ids.n == a->ids.capacity) {
        const size_t capacity = a->ids.capacity ? a->ids.capacity * 2 : 256;
        int32_t *moved = realloc(a->ids.ids, capacity * sizeof *moved);
        if (!moved)
            return false;
        a->ids.ids = moved;
        a->ids.capacity = capacity;
    }
    a->ids.ids[a->ids.n++] = part->id;
    return true;
}

static void count(answer *a, const ingle_part *part, double start)
{
    if (part->id < 0)
        return;
    const double now = term_ms();
    if (a->n_drawn++ == 0) {
        a->first_ms = now;
        a->prompt_ms = now - start;
    }
    a->gen_ms = now - a->first_ms;
}

static ingle_status loop(answer *a, ingle_generation *g, bool print, double start, ingle_error *err)
{
    for (;;) {
        ingle_part part = {0};
        if (term_interrupted())
            ingle_generation_cancel(g);
        if (ingle_generation_next(g, &part, err) != INGLE_OK)
            return err->status;
        count(a, &part, start);
        if (!keep(a, &part))
            return out_error(err, INGLE_ERR_MEMORY, "no room for a longer answer");
        if (print && part.n_text) {
            out_text(part.text, part.n_text);
            if (!out_push()) // nobody reads any more; out_finish tells why
                part.stop = INGLE_STOP_CANCEL;
        }
        a->stop = part.stop;
        if (part.stop != INGLE_STOP_NONE)
            return INGLE_OK;
    }
}

ingle_status answer_make(answer *a, ingle_session *s, const ingle_tokens *prompt,
                         const ingle_generate_options *opt, bool nothing, bool print,
                         ingle_error *err)
{
    const double start = term_ms();
    ingle_generation *g = NULL;
    a->n_prompt = prompt->n;
    ingle_status status = ingle_generation_open(&g, s, prompt->ids, prompt->n, opt, err);
    term_clear_bar();
    a->prompt_ms = term_ms() - start;
    if (status == INGLE_ERR_CANCELLED && term_interrupted()) { // Ctrl-C within the prompt
        a->stop = INGLE_STOP_CANCEL;
        return INGLE_OK;
    }
    if (status == INGLE_OK && nothing)
        a->stop = INGLE_STOP_LENGTH;
    else if (status == INGLE_OK)
        status = loop(a, g, print, start, err);
    ingle_generation_close(g);
    return status;
}

void answer_free(answer *a)
{
    ingle_text_free(&a->text);
    ingle_tokens_free(&a->ids);
    *a = (answer){0};
}

double answer_prompt_rate(const answer *a)
{
    return a->prompt_ms > 0 ? (double)a->n_prompt / (a->prompt_ms * 1e-3) : 0;
}

double answer_gen_rate(const answer *a)
{
    return a->n_drawn > 1 && a->gen_ms > 0 ? (double)(a->n_drawn - 1) / (a->gen_ms * 1e-3) : 0;
}

void answer_messages(json_out *j, const answer_message *messages, size_t n)
{
    jout_open(j, '{');
    jout_key(j, "messages");
    jout_open(j, '[');
    for (size_t i = 0; i < n; i++) {
        jout_open(j, '{');
        jout_key(j, "role");
        jout_text(j, messages[i].role);
        jout_key(j, "content");
        jout_string(j, messages[i].content, messages[i].n_content);
        jout_close(j, '}');
    }
    jout_close(j, ']');
    jout_key(j, "add_generation_prompt");
    jout_bool(j, true);
    jout_close(j, '}');
}
