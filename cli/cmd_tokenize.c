/* ingle tokenize: text to ids, and with --decode ids to text. */
#include <inttypes.h>
#include <stdio.h>

#include "buffer.h"
#include "cmd.h"
#include "setup.h"

static ingle_status encode(const ingle_model *model, const options *o, const ingle_text *text,
                           ingle_error *err)
{
    ingle_tokens ids = {0};
    const unsigned flags = (o->no_special ? 0u : INGLE_ADD_SPECIAL) |
                           (o->no_parse_special ? 0u : INGLE_PARSE_SPECIAL);
    const ingle_status status = ingle_tokenize(model, text->bytes, text->n, flags, &ids, err);
    if (status == INGLE_OK) {
        char number[16];
        for (size_t i = 0; i < ids.n; i++) {
            const int n = snprintf(number, sizeof number, i ? " %" PRId32 : "%" PRId32, ids.ids[i]);
            out_bytes(number, (size_t)n);
        }
        out_bytes("\n", 1);
    }
    ingle_tokens_free(&ids);
    return status;
}

static ingle_status decode(const ingle_model *model, const options *o, const ingle_text *text,
                           ingle_error *err)
{
    ingle_tokens ids = {0};
    ingle_text out = {0};
    const unsigned flags = o->no_parse_special ? 0u : INGLE_PARSE_SPECIAL;
    ingle_status status = buf_parse_ids(&ids, text->bytes, text->n, err);
    if (status == INGLE_OK)
        status = ingle_detokenize(model, ids.ids, ids.n, flags, &out, err);
    if (status == INGLE_OK)
        out_text(out.bytes, out.n);
    ingle_text_free(&out);
    ingle_tokens_free(&ids);
    return status;
}

int cmd_tokenize(const options *o)
{
    setup_model m;
    ingle_text text = {0};
    ingle_error err = {0};
    int code = setup_open(&m, o);
    if (code != EXIT_DONE)
        return code;
    code = setup_text(&text, o);
    if (code == EXIT_DONE) {
        const ingle_status status = o->decode ? decode(m.model, o, &text, &err)
                                              : encode(m.model, o, &text, &err);
        if (status != INGLE_OK)
            code = out_fail(m.name, &err);
    }
    ingle_text_free(&text);
    setup_close(&m);
    return code;
}
