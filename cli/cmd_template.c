/* ingle template: renders a chat template, the model's own or one from a file. */
#include <stdio.h>
#include <string.h>

#include "buffer.h"
#include "cmd.h"
#include "setup.h"

static const char *display(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

static int render_file(const options *o, const ingle_text *context, ingle_text *out)
{
    ingle_text source = {0};
    ingle_error err;
    ingle_status status = buf_read_file(&source, o->template_file, &err);
    if (status == INGLE_OK)
        status = ingle_template_render(source.bytes, source.n, context->bytes, context->n, o->now,
                                       out, &err);
    ingle_text_free(&source);
    return status == INGLE_OK ? EXIT_DONE : out_fail(display(o->template_file), &err);
}

static int render_model(const options *o, const ingle_text *context, ingle_text *out)
{
    setup_model m;
    ingle_error err;
    int code = setup_open(&m, o);
    if (code != EXIT_DONE)
        return code;
    if (ingle_chat_render(m.model, context->bytes, context->n, o->now, out, &err) != INGLE_OK)
        code = out_fail(m.name, &err);
    setup_close(&m);
    return code;
}

int cmd_template(const options *o)
{
    if (o->template_file && o->model_given)
        return out_failf("--template", INGLE_ERR_USAGE, "-m is given too");
    if (!o->context_file)
        return out_failf("--context", INGLE_ERR_USAGE, "missing; see ingle help template");
    if (o->template_file && strcmp(o->template_file, "-") == 0 &&
        strcmp(o->context_file, "-") == 0)
        return out_failf("--context", INGLE_ERR_USAGE, "standard input is the template already");
    ingle_text context = {0}, text = {0};
    ingle_error err;
    int code;
    if (buf_read_file(&context, o->context_file, &err) != INGLE_OK)
        code = out_fail(display(o->context_file), &err);
    else
        code = o->template_file ? render_file(o, &context, &text)
                                : render_model(o, &context, &text);
    if (code == EXIT_DONE)
        out_text(text.bytes, text.n);
    ingle_text_free(&text);
    ingle_text_free(&context);
    return code;
}
