/* Growing text for the command line, whole files, and what is needed of UTF-8. Uses the public
 * ingle_text with the C library's allocator; ingle_text_free returns the memory. */
#ifndef INGLE_CLI_BUFFER_H
#define INGLE_CLI_BUFFER_H

#include "ingle.h"

/* All append and return false when memory runs out; the text stays NUL-terminated. */
bool buf_add(ingle_text *t, const char *bytes, size_t n);
bool buf_add_text(ingle_text *t, const char *text);
bool buf_printf(ingle_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Appends the whole of a file, "-" = standard input. ERR_IO, ERR_MEMORY, ERR_CANCELLED (Ctrl-C). */
ingle_status buf_read_file(ingle_text *t, const char *path, ingle_error *err);

/* Writes bytes [n] to a file through a temporary one beside it. ERR_IO, ERR_QUOTA. */
ingle_status buf_write_file(const char *path, const char *bytes, size_t n, ingle_error *err);

/* Ids separated by spaces, line ends or commas, brackets around them allowed. ERR_USAGE names what
 * is no id. The list is ingle_tokens_free's. */
ingle_status buf_parse_ids(ingle_tokens *out, const char *text, size_t n, ingle_error *err);

/* Decodes the character at bytes [n], n >= 1, into *code; returns its length 1-4. An ill-formed
 * byte is U+FFFD of length 1. */
size_t char_decode(const char *bytes, size_t n, uint32_t *code);
int char_width(uint32_t code); // columns on a terminal: 0, 1 or 2

#endif
