/* JSON (RFC 8259): a reader into an arena, and text escaping. Refuses: depth over 200, ill-formed
 * UTF-8, lone surrogates in escapes are read as U+FFFD, duplicate keys keep the last value. */
#ifndef INGLE_BASE_JSON_H
#define INGLE_BASE_JSON_H

#include "base/mem.h"
#include "base/text.h"

typedef enum { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_INTEGER, JSON_FLOAT, JSON_STRING, JSON_ARRAY, JSON_OBJECT } json_type;

typedef struct json json;
struct json {
    json_type type;
    str key;         // within an object
    str text;        // string: unescaped; number: as written
    int64_t integer; // JSON_INTEGER: fits int64 (larger integers are JSON_FLOAT with their text)
    double number;   // JSON_INTEGER and JSON_FLOAT
    json *first;     // array, object: children in file order
    json *next;      // sibling
    size_t n;        // children
};

/* The whole of bytes [n] is one value. Everything lives in memory. ERR_FORMAT names the line and
 * column. */
ingle_status json_parse(const json **out, const char *bytes, size_t n, arena *memory,
                        ingle_error *err);
const json *json_get(const json *object, const char *key); // NULL if absent or no object

/* Appends "text" with quotes and escapes. ascii: non-ASCII characters become \uXXXX. */
bool json_write_str(ingle_text *out, str text, bool ascii);

/* Appends the shortest decimal text that reads back as x, in Python's repr form (1.0, 1e+16,
 * nan, inf). Independent of the locale. */
bool json_write_double(ingle_text *out, double x);

#endif
