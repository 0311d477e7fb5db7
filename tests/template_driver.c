/* Renders templates for tools/check_template.py: reads lines of JSON {"template", "context", "now",
 * "trim", "marks"} from standard input and writes a line of JSON each, {"text"} (and {"marks"}, a
 * string of 0 and 1) or {"error"}. */
#include <stdio.h>
#include <stdlib.h>

#include "chat/jinja.h"

static ingle_status render(const json *row, ingle_text *text, ingle_text *marks, ingle_error *err)
{
    const json *source = json_get(row, "template"), *context = json_get(row, "context");
    const json *when = json_get(row, "now"), *trim = json_get(row, "trim");
    const bool plain = trim && trim->type == JSON_FALSE;
    const jinja_options opt = {!plain, !plain};
    const char *const trusted[] = {"bos_token", "eos_token", NULL};
    chat_template *t = NULL;
    chat_time now;
    if (!source || !context)
        return error_set(err, INGLE_ERR_USAGE, "a line needs template and context");
    const bool has_time = chat_time_parse(when ? when->text.p : "2024-07-26T00:00:00", &now);
    ingle_status status = jinja_open(&t, source->text, &opt, NULL, err);
    if (status == INGLE_OK)
        status = chat_template_render(t, context, trusted, has_time ? &now : NULL, text, marks, err);
    chat_template_close(t);
    return status;
}

int main(void)
{
    char *line = NULL;
    size_t capacity = 0;
    for (ssize_t n; (n = getline(&line, &capacity, stdin)) > 0;) {
        arena memory = {0};
        ingle_text text = {0}, marks = {0}, out = {0};
        ingle_error err;
        const json *row;
        ingle_status status = json_parse(&row, line, (size_t)n, &memory, &err);
        if (status == INGLE_OK)
            status = render(row, &text, &marks, &err);
        for (size_t i = 0; i < marks.n; i++)
            marks.bytes[i] = (char)('0' + marks.bytes[i]);
        if (status == INGLE_OK) {
            text_add_str(&out, STR("{\"text\": "));
            json_write_str(&out, (str){text.bytes, text.n}, true);
            text_add_str(&out, STR(", \"marks\": "));
            json_write_str(&out, (str){marks.bytes, marks.n}, true);
        } else {
            text_add_str(&out, STR("{\"error\": "));
            json_write_str(&out, str_of(err.text), true);
            text_add_str(&out, STR(", \"status\": "));
            json_write_str(&out, str_of(ingle_status_name(status)), true);
        }
        printf("%.*s}\n", (int)out.n, out.bytes);
        fflush(stdout);
        ingle_text_free(&text);
        ingle_text_free(&marks);
        ingle_text_free(&out);
        arena_free(&memory);
    }
    free(line);
    return 0;
}
