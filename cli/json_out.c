/* Writing JSON (RFC 8259). Owns the text until it is printed. */
#include "json_out.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "buffer.h"
#include "output.h"

static void add(json_out *j, const char *bytes, size_t n)
{
    j->failed = j->failed || !buf_add(&j->text, bytes, n);
}

static void value(json_out *j, const char *text)
{
    if (j->comma)
        add(j, ",", 1);
    add(j, text, strlen(text));
    j->comma = true;
}

void jout_open(json_out *j, char bracket)
{
    value(j, bracket == '{' ? "{" : "[");
    j->comma = false;
}

void jout_close(json_out *j, char bracket)
{
    add(j, &bracket, 1);
    j->comma = true;
}

static void quoted(json_out *j, const char *text, size_t n)
{
    add(j, "\"", 1);
    for (size_t i = 0; i < n;) {
        uint32_t code;
        const size_t length = char_decode(text + i, n - i, &code);
        char escape[8];
        if (code == '"' || code == '\\') {
            add(j, "\\", 1);
            add(j, text + i, 1);
        } else if (code == '\n') {
            add(j, "\\n", 2);
        } else if (code == '\t') {
            add(j, "\\t", 2);
        } else if (code < 32 || code == 127) {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)code);
            add(j, escape, 6);
        } else if (code == 0xFFFD) {
            add(j, "\xEF\xBF\xBD", 3);
        } else {
            add(j, text + i, length);
        }
        i += length;
    }
    add(j, "\"", 1);
}

void jout_key(json_out *j, const char *key)
{
    if (j->comma)
        add(j, ",", 1);
    quoted(j, key, strlen(key));
    add(j, ":", 1);
    j->comma = false;
}

void jout_string(json_out *j, const char *text, size_t n)
{
    if (j->comma)
        add(j, ",", 1);
    quoted(j, text, n);
    j->comma = true;
}

void jout_text(json_out *j, const char *text)
{
    if (text)
        jout_string(j, text, strlen(text));
    else
        jout_null(j);
}

void jout_uint(json_out *j, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, number);
    value(j, text);
}

void jout_int(json_out *j, int64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, number);
    value(j, text);
}

void jout_real(json_out *j, double number, int digits)
{
    char text[40];
    snprintf(text, sizeof text, "%.*g", digits, number);
    value(j, isfinite(number) ? text : "null");
}

void jout_bool(json_out *j, bool truth)
{
    value(j, truth ? "true" : "false");
}

void jout_null(json_out *j)
{
    value(j, "null");
}

bool jout_ok(const json_out *j)
{
    return !j->failed;
}

ingle_status jout_print(json_out *j, ingle_error *err)
{
    add(j, "\n", 1);
    const size_t n = j->text.n;
    if (!j->failed)
        out_bytes(j->text.bytes, n);
    const bool failed = j->failed;
    ingle_text_free(&j->text);
    *j = (json_out){0};
    err->status = INGLE_OK;
    return failed ? out_error(err, INGLE_ERR_MEMORY, "no room for %zu bytes of JSON", n) : INGLE_OK;
}
