/* UTF-8 (Unicode 15, section 3.9): decoding with the maximal-subpart rule, encoding, cutting. */
#ifndef INGLE_BASE_UTF8_H
#define INGLE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UTF8_REPLACEMENT = 0xFFFD };

/* Decodes the character at bytes [n], n >= 1; *used is 1-4. An ill-formed sequence gives
 * UTF8_REPLACEMENT with *valid = false (if valid is not NULL) and uses its maximal subpart. */
uint32_t utf8_decode(const uint8_t *bytes, size_t n, size_t *used, bool *valid);

/* Writes code (<= 0x10FFFF, no surrogate) to out [4]; returns 1-4. */
size_t utf8_encode(uint32_t code, char *out);

/* The longest prefix of bytes [n] that does not end inside a sequence which more bytes could still
 * complete. Ill-formed bytes count as complete. */
size_t utf8_cut(const uint8_t *bytes, size_t n);

#endif
