/* Chat templates: the Jinja subset that real models' templates use, rendered as Python jinja2 does
 * with Transformers' settings (sandboxed, trim_blocks, lstrip_blocks, loop controls, the
 * generation tag, tojson without HTML escaping). Templates are hostile: depth, steps and output
 * are capped, values are data only, an unknown construct is ERR_TEMPLATE that names it. */
#ifndef INGLE_CHAT_TEMPLATE_H
#define INGLE_CHAT_TEMPLATE_H

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"

typedef struct chat_template chat_template;

/* Parses source (copied). Line numbers appear in errors. */
ingle_status chat_template_open(chat_template **out, str source, const ingle_allocator *a,
                                ingle_error *err);
void chat_template_close(chat_template *t);

typedef struct {
    int year, month, day, hour, minute, second; // month, day from 1; local time
} chat_time;

bool chat_time_parse(const char *text, chat_time *out); // "2024-07-26T12:00:00"

/* Renders with the top-level names of context (an object). Appends the text to out and, if marks
 * is not NULL, one byte a byte of text to marks: 1 where the byte came from context's strings, 0
 * where it came from the template's own text. Origins follow a string through concatenation,
 * slicing, trim, split, replace, join, case mapping and tojson.
 * `trusted` names (NULL-terminated list, may be NULL) are context keys whose strings count as the
 * template's own, such as bos_token. */
ingle_status chat_template_render(const chat_template *t, const json *context,
                                  const char *const *trusted, const chat_time *now,
                                  ingle_text *out, ingle_text *marks, ingle_error *err);

#endif
