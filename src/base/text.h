/* Text: borrowed views and growing buffers. */
#ifndef INGLE_BASE_TEXT_H
#define INGLE_BASE_TEXT_H

#include <string.h>

#include "ingle.h"

/* A view of n bytes that someone else owns; not NUL-terminated. */
typedef struct {
    const char *p;
    size_t n;
} str;

#define STR(literal) ((str){(literal), sizeof(literal) - 1})
#define STR_ARG(s) ((s).n > 100 ? 100 : (int)(s).n), (s).p // for "%.*s" in an error: cut at 100

static inline str str_of(const char *text)
{
    return (str){text, text ? strlen(text) : 0};
}

static inline bool str_equal(str a, str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_starts(str s, str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

uint32_t str_hash(str s); // FNV-1a, for tables of trusted size (not against chosen collisions)

/* Growing text is the public ingle_text. All return false when memory runs out. */
bool text_room(ingle_text *t, size_t more); // capacity for `more` bytes beyond n (and the NUL)
bool text_add(ingle_text *t, const char *bytes, size_t n);
bool text_add_str(ingle_text *t, str s);
bool text_add_byte(ingle_text *t, char byte);
bool tokens_add(ingle_tokens *t, int32_t id);

#endif
