/* Building and walking the trie. Sorting is a merge sort over the first eight bytes as a number, so
 * that most comparisons touch no text. */
#include "token/trie.h"

#include "base/error.h"

typedef struct {
    uint64_t key; // first eight bytes, big-endian, zero-padded
    trie_entry entry;
} sorted;

static uint64_t key_of(str text)
{
    uint64_t key = 0;
    for (size_t i = 0; i < 8; i++)
        key = key << 8 | (i < text.n ? (uint8_t)text.p[i] : 0);
    return key;
}

static bool follows(const sorted *a, const sorted *b) // a > b
{
    if (a->key != b->key)
        return a->key > b->key;
    const str x = a->entry.text, y = b->entry.text;
    const size_t n = x.n < y.n ? x.n : y.n;
    const int order = memcmp(x.p, y.p, n);
    return order ? order > 0 : x.n > y.n;
}

static void merge_sort(sorted *items, sorted *room, size_t n)
{
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t low = 0; low + width < n; low += 2 * width) {
            const size_t middle = low + width, high = n - middle < width ? n : middle + width;
            if (!follows(&items[middle - 1], &items[middle]))
                continue;
            memcpy(room, items + low, width * sizeof *room);
            size_t i = 0, j = middle, out = low;
            while (i < width && j < high)
                items[out++] = follows(&room[i], &items[j]) ? items[j++] : room[i++];
            memcpy(items + out, room + i, (width - i) * sizeof *items);
        }
    }
}

/* Sorts entries and drops empty and repeated ones; returns how many are left, SIZE_MAX without
 * memory. */
static size_t sort_entries(trie_entry *entries, size_t n, const ingle_allocator *a)
{
    sorted *items = mem_alloc(a, size_mul(n, 2 * sizeof *items));
    if (!items)
        return SIZE_MAX;
    size_t used = 0;
    for (size_t i = 0; i < n; i++)
        if (entries[i].text.n && entries[i].text.n < UINT32_MAX)
            items[used++] = (sorted){key_of(entries[i].text), entries[i]};
    merge_sort(items, items + n, used);
    size_t kept = 0;
    for (size_t i = 0; i < used; i++)
        if (!kept || !str_equal(entries[kept - 1].text, items[i].entry.text))
            entries[kept++] = items[i].entry;
    mem_free(a, items);
    return kept;
}

/* How far the texts of a sorted range agree, from depth on. */
static uint32_t common(const trie_entry *first, const trie_entry *last, uint32_t depth)
{
    const size_t n = first->text.n < last->text.n ? first->text.n : last->text.n;
    size_t i = depth;
    while (i < n && first->text.p[i] == last->text.p[i])
        i++;
    return (uint32_t)i;
}

/* Fills the nodes level by level. bounds [2 * node] is the range of entries under each node. */
static size_t fill(trie_node *nodes, uint32_t *bounds, const trie_entry *entries, size_t n)
{
    size_t count = 1;
    nodes[0] = (trie_node){.id = -1};
    bounds[0] = 0;
    bounds[1] = (uint32_t)n;
    for (size_t at = 0; at < count; at++) {
        trie_node *node = &nodes[at];
        uint32_t low = bounds[2 * at];
        const uint32_t high = bounds[2 * at + 1];
        if (low < high && entries[low].text.n == node->depth)
            node->id = entries[low++].id;
        node->children = (uint32_t)count;
        while (low < high) {
            const uint8_t byte = (uint8_t)entries[low].text.p[node->depth];
            uint32_t end = low + 1;
            while (end < high && (uint8_t)entries[end].text.p[node->depth] == byte)
                end++;
            nodes[count] = (trie_node){.label = entries[low].text.p, .id = -1, .first = byte,
                                       .depth = common(&entries[low], &entries[end - 1], node->depth)};
            bounds[2 * count] = low;
            bounds[2 * count + 1] = end;
            count++;
            node->n_children++;
            low = end;
        }
    }
    return count;
}

ingle_status trie_build(trie *t, trie_entry *entries, size_t n, arena *memory,
                        const ingle_allocator *a, ingle_error *err)
{
    *t = (trie){0};
    if (n)
        n = sort_entries(entries, n, a);
    if (n == SIZE_MAX)
        return error_memory(err, size_mul(n, sizeof(sorted)), "sorting tokens");
    const size_t most = size_add(size_mul(n, 2), 1);
    trie_node *scratch = mem_alloc(a, size_mul(most, sizeof *scratch));
    uint32_t *bounds = mem_alloc(a, size_mul(most, 2 * sizeof *bounds));
    if (scratch && bounds) {
        t->n = fill(scratch, bounds, entries, n);
        t->nodes = arena_alloc(memory, size_mul(t->n, sizeof *t->nodes));
    }
    if (t->nodes) {
        memcpy(t->nodes, scratch, t->n * sizeof *t->nodes);
        for (uint32_t i = 0; i < t->nodes[0].n_children; i++)
            t->root[t->nodes[t->nodes[0].children + i].first] = t->nodes[0].children + i;
    }
    mem_free(a, scratch);
    mem_free(a, bounds);
    return t->nodes ? INGLE_OK : error_memory(err, size_mul(most, sizeof *scratch), "a trie of tokens");
}

static uint32_t child(const trie *t, const trie_node *node, uint8_t byte) // 0 = none
{
    size_t low = node->children, high = low + node->n_children;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (t->nodes[middle].first < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low < (size_t)node->children + node->n_children && t->nodes[low].first == byte ? (uint32_t)low : 0;
}

bool trie_next(const trie *t, trie_cursor *c, const char *text, size_t n)
{
    if (!t->nodes)
        return false;
    for (;;) {
        const trie_node *node = &t->nodes[c->node];
        if (node->depth >= n)
            return false;
        const uint8_t byte = (uint8_t)text[node->depth];
        const uint32_t next = c->node ? child(t, node, byte) : t->root[byte];
        if (!next)
            return false;
        const trie_node *to = &t->nodes[next];
        if (to->depth > n || memcmp(to->label + node->depth, text + node->depth, to->depth - node->depth))
            return false;
        c->node = next;
        if (to->id >= 0) {
            c->length = to->depth;
            c->id = to->id;
            return true;
        }
    }
}
