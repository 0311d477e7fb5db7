/* Writing JSON: one object at a time, built in memory, then one line on standard output. */
#ifndef INGLE_CLI_JSON_OUT_H
#define INGLE_CLI_JSON_OUT_H

#include "ingle.h"

/* Start from {0}. A failed allocation is remembered; jout_print or jout_ok tell. */
typedef struct {
    ingle_text text;
    bool comma, failed;
} json_out;

void jout_open(json_out *j, char bracket);  // '{' or '['
void jout_close(json_out *j, char bracket); // '}' or ']'
void jout_key(json_out *j, const char *key);
void jout_string(json_out *j, const char *text, size_t n); // ill-formed UTF-8 becomes U+FFFD
void jout_text(json_out *j, const char *text);             // NULL writes null
void jout_uint(json_out *j, uint64_t value);
void jout_int(json_out *j, int64_t value);
void jout_real(json_out *j, double value, int digits); // significant digits; not finite = null
void jout_bool(json_out *j, bool value);
void jout_null(json_out *j);

bool jout_ok(const json_out *j);

/* Prints the text and a line end on standard output and frees it. ERR_MEMORY if anything failed. */
ingle_status jout_print(json_out *j, ingle_error *err);

#endif
