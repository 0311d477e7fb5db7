/* Finding tokens by text and merges by pair: two hash tables made when a vocabulary is opened.
 * A vocabulary may repeat texts (one that text may turn into wins, then the first), hold empty
 * ones (never found), and name unknown tokens in merges (left out). */
#include <string.h>

#include "base/error.h"
#include "token/token_impl.h"

/* Eight bytes at a time; the last word is padded and carries the length. */
uint64_t token_hash(const char *bytes, size_t n)
{
    const uint64_t k = 0x9E3779B97F4A7C15u;
    uint64_t h = n * k, word;
    for (; n >= 8; n -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        h = (h ^ word) * k;
        h ^= h >> 29;
    }
    word = 0;
    for (size_t i = 0; i < n; i++)
        word |= (uint64_t)(uint8_t)bytes[i] << 8 * i;
    h = (h ^ word) * k;
    h = (h ^ h >> 32) * k;
    return h ^ h >> 29;
}

static uint32_t table_size(size_t n) // a power of two with room for n at a load under 2/3; 0 = too many
{
    uint32_t size = 16;
    while (size / 3 * 2 < n) {
        if (size >= 1u << 30)
            return 0;
        size *= 2;
    }
    return size;
}

bool token_is_plain(const tokenizer *t, int32_t id)
{
    const uint8_t type = t->types[id];
    return type == TOKEN_NORMAL || type == TOKEN_USER_DEFINED || type == TOKEN_UNUSED;
}

/* The slot that holds text, or the empty one where it belongs; SIZE_MAX when out of reach. */
static size_t find_slot(const tokenizer *t, const char *text, size_t n, uint64_t hash, uint32_t reach)
{
    const token_index *x = &t->index;
    for (uint32_t i = 0; i <= reach; i++) {
        const size_t at = ((uint32_t)hash + i) & x->mask;
        const uint64_t slot = x->slots[at];
        if (!slot)
            return at;
        if (slot >> 32 == hash >> 32) {
            const str other = t->s.tokens[(uint32_t)slot - 1];
            if (other.n == n && memcmp(other.p, text, n) == 0)
                return at;
        }
    }
    return SIZE_MAX;
}

ingle_status token_index_build(tokenizer *t, ingle_error *err)
{
    const uint32_t size = table_size(t->s.n_tokens);
    token_index *x = &t->index;
    x->slots = size ? arena_zero(&t->memory, size, sizeof *x->slots) : NULL;
    if (!x->slots)
        return error_memory(err, size_mul(size, sizeof *x->slots), "the vocabulary's index");
    x->mask = size - 1;
    for (size_t id = 0; id < t->s.n_tokens; id++) {
        const str text = t->s.tokens[id];
        if (!text.n)
            continue;
        const uint64_t hash = token_hash(text.p, text.n);
        const size_t at = find_slot(t, text.p, text.n, hash, TABLE_REACH);
        if (at == SIZE_MAX)
            return error_set(err, INGLE_ERR_FORMAT, "the vocabulary's tokens collide on purpose");
        const uint64_t held = x->slots[at];
        if (held && (token_is_plain(t, (int32_t)((uint32_t)held - 1)) || !token_is_plain(t, (int32_t)id)))
            continue; // a repeated text
        x->slots[at] = (hash >> 32) << 32 | (uint32_t)(id + 1);
        const uint32_t distance = ((uint32_t)at - (uint32_t)hash) & x->mask;
        if (distance > x->reach)
            x->reach = distance;
        if (text.n > x->longest)
            x->longest = text.n;
    }
    return INGLE_OK;
}

int32_t token_find(const tokenizer *t, const char *text, size_t n)
{
    if (n == 0 || n > t->index.longest)
        return -1;
    const size_t at = find_slot(t, text, n, token_hash(text, n), t->index.reach);
    return at == SIZE_MAX ? -1 : (int32_t)(uint32_t)t->index.slots[at] - 1;
}

int32_t token_find_plain(const tokenizer *t, const char *text, size_t n)
{
    const int32_t id = token_find(t, text, n);
    return id >= 0 && token_is_plain(t, id) ? id : -1;
}

void token_find_bytes(tokenizer *t)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t b = 0; b < 256; b++) {
        const char text[] = {'<', '0', 'x', digits[b >> 4], digits[b & 15], '>'};
        t->byte_ids[b] = token_find(t, text, sizeof text);
    }
}

/* ---- merges -------------------------------------------------------------------------------- */

static uint32_t pair_hash(int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    h = (h ^ h >> 32) * 0xD6E8FEB86659FD93u;
    return (uint32_t)(h >> 32);
}

static size_t find_pair_slot(const merge_table *m, int32_t left, int32_t right, uint32_t reach)
{
    const uint32_t hash = pair_hash(left, right);
    for (uint32_t i = 0; i <= reach; i++) {
        const size_t at = (hash + i) & m->mask;
        if (!m->slots[at])
            return at;
        const token_merge *item = &m->items[m->slots[at] - 1];
        if (item->left == left && item->right == right)
            return at;
    }
    return SIZE_MAX;
}

const token_merge *token_find_merge(const merge_table *m, int32_t left, int32_t right, uint32_t *rank)
{
    const size_t at = m->n ? find_pair_slot(m, left, right, m->reach) : SIZE_MAX;
    if (at == SIZE_MAX || !m->slots[at])
        return NULL;
    *rank = m->slots[at] - 1;
    return &m->items[*rank];
}

/* Reads "left right"; the first character may be a space itself. False if a token is unknown. */
static bool read_merge(const tokenizer *t, str text, ingle_text *joined, token_merge *out, bool *memory)
{
    const char *space = text.n > 2 ? memchr(text.p + 1, ' ', text.n - 1) : NULL;
    if (!space)
        return false;
    const size_t left = (size_t)(space - text.p), right = text.n - left - 1;
    out->left = token_find_plain(t, text.p, left);
    out->right = out->left < 0 ? -1 : token_find_plain(t, space + 1, right);
    if (out->right < 0)
        return false;
    joined->n = 0;
    if (!text_add(joined, text.p, left) || !text_add(joined, space + 1, right)) {
        *memory = false;
        return false;
    }
    out->merged = token_find_plain(t, joined->bytes, joined->n);
    return out->merged >= 0;
}

ingle_status token_merges_build(tokenizer *t, ingle_error *err)
{
    merge_table *m = &t->merges;
    const uint32_t size = table_size(t->s.n_merges);
    const size_t bytes = size_mul(t->s.n_merges, sizeof *m->items);
    m->slots = size ? arena_zero(&t->memory, size, sizeof *m->slots) : NULL;
    m->items = arena_alloc(&t->memory, bytes);
    if (!m->slots || !m->items)
        return error_memory(err, bytes, "the table of merges");
    m->mask = size - 1;
    ingle_text joined = {.allocator = t->memory.allocator};
    bool memory = true, reached = true;
    for (size_t i = 0; i < t->s.n_merges && memory && reached; i++) {
        token_merge merge;
        if (!read_merge(t, t->s.merges[i], &joined, &merge, &memory))
            continue;
        const size_t at = find_pair_slot(m, merge.left, merge.right, TABLE_REACH);
        reached = at != SIZE_MAX;
        if (!reached || m->slots[at]) // stated before: the first rank counts
            continue;
        const uint32_t distance = ((uint32_t)at - pair_hash(merge.left, merge.right)) & m->mask;
        if (distance > m->reach)
            m->reach = distance;
        m->items[m->n++] = merge; // ranks close up over what is left out, which keeps their order
        m->slots[at] = (uint32_t)m->n;
    }
    ingle_text_free(&joined);
    if (!memory)
        return error_memory(err, t->index.longest, "a merge");
    return reached ? INGLE_OK : error_set(err, INGLE_ERR_FORMAT, "the merges collide on purpose");
}
