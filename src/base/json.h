/* JSON (RFC 8259): a reader into an arena, and text escaping. Refuses: depth over 200, ill-formed
 * UTF-8, a byte order mark. Lone surrogates in escapes are read as U+FFFD; of duplicate keys the
 * last value stands, in the place of the first. */
#ifndef INGLE_BASE_JSON_H
#define INGLE_BASE_JSON_H

#include "base/mem.h"
#include "base/text.h"

enum { JSON_MAX_DEPTH = 200 };

typedef enum {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_INTEGER,
    JSON_FLOAT,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
} json_type;

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

/* The whole of bytes [n] is one value. Everything lives in memory, strings included. ERR_FORMAT
 * names the line and column. */
ingle_status json_parse(const json **out, const char *bytes, size_t n, arena *memory,
                        ingle_error *err);
const json *json_get(const json *object, const char *key); // NULL if absent or no object

/* Appends "text" with quotes and escapes. ascii: non-ASCII characters become \uXXXX. */
bool json_write_str(ingle_text *out, str text, bool ascii);

/* Appends the shortest decimal text that reads back as x, in Python's repr form (1.0, 1e+16,
 * nan, inf). Independent of the locale. */
bool json_write_double(ingle_text *out, double x);

enum { JSON_DOUBLE_TEXT = 32 }; // room for what json_print_double writes, NUL included

/* The same into out; returns its length. */
size_t json_print_double(char out[JSON_DOUBLE_TEXT], double x);

/* The shortest digits (1-17, no trailing zero) and exponent with x = 0.digits * 10^exponent, for a
 * finite x; the sign is left out. Returns the number of digits; 0 is "0" with exponent 1. */
int json_shortest_digits(double x, char digits[18], int *exponent);

/* Reads a decimal number, [-+] digits [. digits] [e [-+] digits], correctly rounded and independent
 * of the locale; false unless all of text is such a number. Too large a number is an infinity. */
bool json_read_double(str text, double *out);

#endif
