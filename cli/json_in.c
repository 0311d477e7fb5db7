/* Reading JSON front to back. Text is foreign: every step checks the end, depth is bounded. */
#include "json_in.h"

#include <string.h>

#include "buffer.h"

enum { DEPTH_LIMIT = 64 };

json_in jin_over(const char *bytes, size_t n)
{
    return (json_in){.start = bytes, .p = bytes, .end = bytes + n, .first = true};
}

static bool fault(json_in *j, const char *what)
{
    if (!j->fault)
        j->fault = what;
    return false;
}

static void blanks(json_in *j)
{
    while (j->p < j->end && (*j->p == ' ' || *j->p == '\t' || *j->p == '\n' || *j->p == '\r'))
        j->p++;
}

char jin_peek(json_in *j)
{
    blanks(j);
    return j->fault || j->p == j->end ? 0 : *j->p;
}

bool jin_enter(json_in *j, char bracket)
{
    if (jin_peek(j) != bracket)
        return fault(j, bracket == '{' ? "an object is expected" : "a list is expected");
    j->p++;
    j->first = true;
    return true;
}

/* Stands before the next item of a list, or behind its closing bracket (false). */
static bool next_item(json_in *j, char bracket)
{
    const char c = jin_peek(j);
    if (c == bracket) {
        j->p++;
        j->first = false; // the list was an item of the one around it
        return false;
    }
    if (!j->first) {
        if (c != ',')
            return fault(j, "a comma or closing bracket is missing");
        j->p++;
    }
    j->first = false;
    return !j->fault;
}

static bool colon(json_in *j)
{
    if (jin_peek(j) != ':')
        return fault(j, "a colon is missing");
    j->p++;
    return true;
}

bool jin_member(json_in *j, ingle_text *key)
{
    return next_item(j, '}') && jin_string(j, key) && colon(j);
}

bool jin_item(json_in *j)
{
    return next_item(j, ']');
}

/* Four hex digits; -1 if they are none. */
static int32_t hex4(json_in *j)
{
    int32_t code = 0;
    if (j->end - j->p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        const char c = *j->p++;
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0)
            return -1;
        code = code * 16 + digit;
    }
    return code;
}

static bool add_code(ingle_text *out, uint32_t c)
{
    char b[4];
    size_t n;
    if (c < 0x80) {
        b[0] = (char)c;
        n = 1;
    } else if (c < 0x800) {
        b[0] = (char)(0xC0 | c >> 6);
        b[1] = (char)(0x80 | (c & 63));
        n = 2;
    } else if (c < 0x10000) {
        b[0] = (char)(0xE0 | c >> 12);
        b[1] = (char)(0x80 | (c >> 6 & 63));
        b[2] = (char)(0x80 | (c & 63));
        n = 3;
    } else {
        b[0] = (char)(0xF0 | c >> 18);
        b[1] = (char)(0x80 | (c >> 12 & 63));
        b[2] = (char)(0x80 | (c >> 6 & 63));
        b[3] = (char)(0x80 | (c & 63));
        n = 4;
    }
    return buf_add(out, b, n);
}

/* The escape behind a backslash. A lone surrogate reads as U+FFFD. */
static bool escape(json_in *j, ingle_text *out)
{
    if (j->p == j->end)
        return fault(j, "a text does not end");
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char c = *j->p++;
    const char *at = c ? strchr(from, c) : NULL;
    if (at)
        return buf_add(out, &to[at - from], 1) || fault(j, "memory has run out");
    int32_t code = c == 'u' ? hex4(j) : -1;
    if (code <= 0)
        return fault(j, "an escape is wrong");
    if (code >= 0xD800 && code < 0xDC00 && j->end - j->p >= 6 && j->p[0] == '\\' &&
        j->p[1] == 'u') {
        const char *back = j->p;
        j->p += 2;
        const int32_t low = hex4(j);
        if (low >= 0xDC00 && low < 0xE000)
            code = 0x10000 + (code - 0xD800) * 0x400 + (low - 0xDC00);
        else
            j->p = back;
    }
    if (code >= 0xD800 && code < 0xE000)
        code = 0xFFFD;
    return add_code(out, (uint32_t)code) || fault(j, "memory has run out");
}

bool jin_string(json_in *j, ingle_text *out)
{
    if (jin_peek(j) != '"')
        return fault(j, "a text is expected");
    j->p++;
    out->n = 0;
    if (!buf_add(out, "", 0))
        return fault(j, "memory has run out");
    while (j->p < j->end && *j->p != '"') {
        const char *start = j->p;
        while (j->p < j->end && *j->p != '"' && *j->p != '\\' && (unsigned char)*j->p >= 32)
            j->p++;
        if (j->p > start && !buf_add(out, start, (size_t)(j->p - start)))
            return fault(j, "memory has run out");
        if (j->p < j->end && (unsigned char)*j->p < 32)
            return fault(j, "a text holds a control character");
        if (j->p < j->end && *j->p == '\\') {
            j->p++;
            if (!escape(j, out))
                return false;
        }
    }
    if (j->p == j->end)
        return fault(j, "a text does not end");
    j->p++;
    return true;
}

bool jin_uint(json_in *j, uint64_t *out)
{
    const char c = jin_peek(j);
    if (c < '0' || c > '9')
        return fault(j, "a number is expected");
    uint64_t number = 0;
    while (j->p < j->end && *j->p >= '0' && *j->p <= '9') {
        const unsigned digit = (unsigned)(*j->p++ - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return fault(j, "a number is too large");
        number = number * 10 + digit;
    }
    if (j->p < j->end && (*j->p == '.' || *j->p == 'e' || *j->p == 'E'))
        return fault(j, "a whole number is expected");
    *out = number;
    return true;
}

/* Passes over a text without keeping it. */
static bool skip_string(json_in *j)
{
    for (j->p++; j->p < j->end && *j->p != '"'; j->p++)
        if (*j->p == '\\' && ++j->p == j->end)
            break;
    if (j->p >= j->end)
        return fault(j, "a text does not end");
    j->p++;
    return true;
}

bool jin_skip(json_in *j)
{
    // Brackets must match in number and kind; what stands between them is not judged further.
    char open[DEPTH_LIMIT];
    size_t depth = 0;
    do {
        const char c = jin_peek(j);
        if (c == 0)
            return fault(j, "a value is missing");
        if (c == '"') {
            if (!skip_string(j))
                return false;
        } else if (c == '{' || c == '[') {
            if (depth == DEPTH_LIMIT)
                return fault(j, "it is nested too deep");
            open[depth++] = c == '{' ? '}' : ']';
            j->p++;
        } else if (c == '}' || c == ']') {
            if (depth == 0 || open[--depth] != c)
                return fault(j, "brackets do not match");
            j->p++;
        } else if (c == ',' || c == ':') {
            if (depth == 0)
                return fault(j, "a value is missing");
            j->p++;
        } else {
            while (j->p < j->end && *j->p && !strchr(" \t\r\n,:[]{}\"", *j->p))
                j->p++;
            if (j->p < j->end && !*j->p)
                return fault(j, "a NUL byte stands in it");
        }
    } while (depth > 0);
    return true;
}

bool jin_end(json_in *j)
{
    return !j->fault && (jin_peek(j) == 0 && j->p == j->end ? true : fault(j, "more follows"));
}

size_t jin_line(const json_in *j)
{
    size_t line = 1;
    for (const char *p = j->start; p < j->p; p++)
        line += *p == '\n';
    return line;
}
