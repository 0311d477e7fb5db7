/* The public text functions: tokenize, detokenize, stream, chat templates. Thin: they join a model
 * with src/token and src/chat. */
#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "chat/template.h"
#include "session/session.h"

static ingle_status need_tokens(const ingle_model *m, ingle_error *err)
{
    if (m->tokens)
        return INGLE_OK;
    if (err)
        *err = m->token_error;
    return m->token_error.status;
}

ingle_status ingle_tokenize(const ingle_model *m, const char *text, size_t n, unsigned flags,
                            ingle_tokens *out, ingle_error *err)
{
    error_clear(err);
    const ingle_status status = need_tokens(m, err);
    return status == INGLE_OK ? token_encode(m->tokens, (str){text, n}, NULL, flags, out, err) : status;
}

ingle_status ingle_detokenize(const ingle_model *m, const int32_t *ids, size_t n, unsigned flags,
                              ingle_text *out, ingle_error *err)
{
    error_clear(err);
    const ingle_status status = need_tokens(m, err);
    return status == INGLE_OK
               ? token_decode(m->tokens, ids, n, (flags & INGLE_PARSE_SPECIAL) != 0, out, err)
               : status;
}

bool ingle_token_is_end(const ingle_model *m, int32_t id)
{
    return m->tokens && token_is_end(m->tokens, id);
}

/* ---- streaming -------------------------------------------------------------------------------- */

struct ingle_detokenizer {
    const ingle_model *model;
    ingle_text raw;  // bytes of the last tokens: shown ones, then an unfinished character
    ingle_text text; // what push gave
    bool special;
    bool begun; // text came before what is next
};

ingle_status ingle_detokenizer_open(ingle_detokenizer **out, const ingle_model *m, unsigned flags,
                                    ingle_error *err)
{
    *out = NULL;
    error_clear(err);
    const ingle_status status = need_tokens(m, err);
    if (status != INGLE_OK)
        return status;
    ingle_detokenizer *d = mem_zero(&m->allocator, 1, sizeof *d);
    if (!d)
        return error_memory(err, sizeof *d, "a detokenizer");
    d->model = m;
    d->special = (flags & INGLE_PARSE_SPECIAL) != 0;
    d->raw.allocator = d->text.allocator = m->allocator;
    *out = d;
    return INGLE_OK;
}

void ingle_detokenizer_close(ingle_detokenizer *d)
{
    if (!d)
        return;
    const ingle_allocator *a = &d->model->allocator;
    ingle_text_free(&d->raw);
    ingle_text_free(&d->text);
    mem_free(a, d);
}

/* As token_decode: a control token that leaves no text is not the first of the text. */
static bool is_text(const ingle_detokenizer *d, int32_t id)
{
    return d->special || !token_is_control(d->model->tokens, id);
}

void detokenizer_follow(ingle_detokenizer *d, const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n && !d->begun; i++)
        d->begun = is_text(d, ids[i]);
}

/* Moves n raw bytes to text, ill-formed ones as U+FFFD. */
static bool show(ingle_detokenizer *d, size_t n)
{
    const uint8_t *p = (const uint8_t *)d->raw.bytes;
    for (size_t i = 0, used; i < n; i += used) {
        char encoded[4];
        const uint32_t code = utf8_decode(p + i, n - i, &used, NULL);
        if (!text_add(&d->text, encoded, utf8_encode(code, encoded)))
            return false;
    }
    memmove(d->raw.bytes, d->raw.bytes + n, d->raw.n - n);
    d->raw.n -= n;
    return true;
}

ingle_status ingle_detokenizer_push(ingle_detokenizer *d, int32_t id, const char **text, size_t *n,
                                    ingle_error *err)
{
    error_clear(err);
    *text = "";
    *n = 0;
    d->text.n = 0;
    if (id != -1) {
        const ingle_status status =
            token_bytes(d->model->tokens, id, d->special, !d->begun, &d->raw, err);
        if (status != INGLE_OK)
            return status;
        d->begun = d->begun || is_text(d, id);
    }
    const size_t ready = id == -1 ? d->raw.n : utf8_cut((const uint8_t *)d->raw.bytes, d->raw.n);
    if (ready && !show(d, ready))
        return error_memory(err, ready, "text");
    if (d->text.n) {
        *text = d->text.bytes;
        *n = d->text.n;
    }
    return INGLE_OK;
}

/* ---- chat templates --------------------------------------------------------------------------- */

/* Adds "key": "text" to the context unless it states it itself. */
static bool add_text(json *object, json *slot, const char *key, str text)
{
    if (json_get(object, key))
        return false;
    *slot = (json){.type = JSON_STRING, .key = str_of(key), .text = text, .next = object->first};
    object->first = slot;
    object->n++;
    return true;
}

static bool token_text(const ingle_model *m, int32_t id, ingle_text *out)
{
    return id < 0 || token_bytes(m->tokens, id, true, false, out, NULL) == INGLE_OK;
}

/* Renders source over the context; with a model, its bos_token and eos_token stand in it. */
static ingle_status render(const ingle_model *m, str source, str context, const char *now,
                           ingle_text *out, ingle_text *marks, ingle_error *err)
{
    static const char *const trusted[] = {"bos_token", "eos_token", NULL};
    const ingle_allocator *a = m ? &m->allocator : &out->allocator;
    const host_date today = host_local_date();
    chat_time at = {today.year, today.month, today.day, today.hour, today.minute, today.second};
    if (now && !chat_time_parse(now, &at))
        return error_set(err, INGLE_ERR_USAGE, "\"%.40s\" is no time like 2024-07-26T12:00:00", now);
    arena memory = {.allocator = *a};
    ingle_text bos = {.allocator = *a}, eos = {.allocator = *a};
    const json *parsed = NULL;
    chat_template *t = NULL;
    ingle_status status = json_parse(&parsed, context.p, context.n, &memory, err);
    if (status != INGLE_OK)
        goto done;
    if (parsed->type != JSON_OBJECT) {
        status = error_set(err, INGLE_ERR_FORMAT, "a template's context must be a JSON object");
        goto done;
    }
    json object = *parsed, bos_slot, eos_slot;
    if (m && m->tokens) {
        if (!token_text(m, token_bos(m->tokens), &bos) || !token_text(m, token_eos(m->tokens), &eos)) {
            status = error_memory(err, 64, "special tokens");
            goto done;
        }
        add_text(&object, &bos_slot, "bos_token", (str){bos.bytes ? bos.bytes : "", bos.n});
        add_text(&object, &eos_slot, "eos_token", (str){eos.bytes ? eos.bytes : "", eos.n});
    }
    status = chat_template_open(&t, source, a, err);
    if (status == INGLE_OK)
        status = chat_template_render(t, &object, m ? trusted : NULL, &at, out, marks, err);
done:
    chat_template_close(t);
    ingle_text_free(&bos);
    ingle_text_free(&eos);
    arena_free(&memory);
    return status;
}

ingle_status ingle_template_render(const char *source, size_t n_source, const char *context,
                                   size_t n_context, const char *now, ingle_text *out,
                                   ingle_error *err)
{
    error_clear(err);
    return render(NULL, (str){source, n_source}, (str){context, n_context}, now, out, NULL, err);
}

static ingle_status need_template(const ingle_model *m, ingle_error *err)
{
    return m->info.chat_template
               ? INGLE_OK
               : error_set(err, INGLE_ERR_UNSUPPORTED, "the model has no chat template");
}

ingle_status ingle_chat_render(const ingle_model *m, const char *context, size_t n_context,
                               const char *now, ingle_text *out, ingle_error *err)
{
    error_clear(err);
    const ingle_status status = need_template(m, err);
    return status == INGLE_OK ? render(m, str_of(m->info.chat_template), (str){context, n_context}, now,
                                       out, NULL, err)
                              : status;
}

ingle_status ingle_chat_tokenize(const ingle_model *m, const char *context, size_t n_context,
                                 const char *now, ingle_tokens *out, ingle_error *err)
{
    error_clear(err);
    ingle_text text = {.allocator = m->allocator}, marks = {.allocator = m->allocator};
    ingle_text bos = {.allocator = m->allocator};
    ingle_status status = need_template(m, err);
    if (status == INGLE_OK)
        status = need_tokens(m, err);
    if (status == INGLE_OK)
        status = render(m, str_of(m->info.chat_template), (str){context, n_context}, now, &text, &marks,
                        err);
    if (status == INGLE_OK) {
        // Many templates write the BOS themselves; then the vocabulary must not add a second one.
        // A message that begins with its text is no BOS: that stays text.
        token_text(m, token_bos(m->tokens), &bos);
        const bool has_bos = bos.n && str_starts((str){text.bytes, text.n}, (str){bos.bytes, bos.n}) &&
                             !memchr(marks.bytes, 1, bos.n);
        const unsigned flags = INGLE_PARSE_SPECIAL |
                               (token_adds_bos(m->tokens) && !has_bos ? INGLE_ADD_SPECIAL : 0u);
        status = token_encode(m->tokens, (str){text.bytes, text.n}, (const uint8_t *)marks.bytes, flags,
                              out, err);
    }
    ingle_text_free(&text);
    ingle_text_free(&marks);
    ingle_text_free(&bos);
    return status;
}
