#include "base/text.h"

#include "base/mem.h"

uint32_t str_hash(str s)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 16777619u;
    return h ^ h >> 15;
}

bool text_room(ingle_text *t, size_t more)
{
    const size_t need = size_add(size_add(t->n, more), 1);
    if (need <= t->capacity)
        return true;
    size_t capacity = size_add(t->capacity, t->capacity / 2);
    if (capacity < need)
        capacity = need < 64 ? 64 : need;
    char *moved = mem_resize(&t->allocator, t->bytes, capacity);
    if (!moved)
        return false;
    t->bytes = moved;
    t->capacity = capacity;
    t->bytes[t->n] = 0;
    return true;
}

bool text_add(ingle_text *t, const char *bytes, size_t n)
{
    if (!text_room(t, n))
        return false;
    if (n)
        memcpy(t->bytes + t->n, bytes, n);
    t->n += n;
    t->bytes[t->n] = 0;
    return true;
}

bool text_add_str(ingle_text *t, str s)
{
    return text_add(t, s.p, s.n);
}

bool text_add_byte(ingle_text *t, char byte)
{
    return text_add(t, &byte, 1);
}

bool tokens_add(ingle_tokens *t, int32_t id)
{
    int32_t *ids = mem_grow(&t->allocator, t->ids, t->n, &t->capacity, sizeof *ids);
    if (!ids)
        return false;
    t->ids = ids;
    t->ids[t->n++] = id;
    return true;
}

void ingle_text_free(ingle_text *text)
{
    if (!text)
        return;
    mem_free(&text->allocator, text->bytes);
    text->bytes = NULL;
    text->n = text->capacity = 0;
}

void ingle_tokens_free(ingle_tokens *tokens)
{
    if (!tokens)
        return;
    mem_free(&tokens->allocator, tokens->ids);
    tokens->ids = NULL;
    tokens->n = tokens->capacity = 0;
}
