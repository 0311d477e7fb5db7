/* Parsing a GGUF header into tables. The walk is gguf_scan's: a first one over all items tells
 * whether the header is whole and how many items there are, a second one fills tables of that
 * size. What needs all items at once (names that are there twice, where tensors lie) is here. */
#include "file/gguf.h"

#include <inttypes.h>

#include "file/gguf_index.h"
#include "file/gguf_scan.h"

/* ---- sorting ------------------------------------------------------------------------------ */

typedef bool before_fn(const gguf *g, uint32_t a, uint32_t b);

int gguf_compare(str a, str b)
{
    const size_t n = a.n < b.n ? a.n : b.n;
    const int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

static bool key_before(const gguf *g, uint32_t a, uint32_t b)
{
    return gguf_compare(g->values[a].key, g->values[b].key) < 0;
}

static bool name_before(const gguf *g, uint32_t a, uint32_t b)
{
    return gguf_compare(g->tensors[a].name, g->tensors[b].name) < 0;
}

static bool offset_before(const gguf *g, uint32_t a, uint32_t b)
{
    return g->tensors[a].offset < g->tensors[b].offset;
}

/* Bottom-up merge sort of 0 ... n-1 into ids; n log n whatever the names. */
static void sort_ids(const gguf *g, uint32_t *ids, uint32_t *scratch, size_t n, before_fn *before)
{
    for (size_t i = 0; i < n; i++)
        ids[i] = (uint32_t)i;
    for (size_t run = 1; run < n; run *= 2) {
        for (size_t from = 0; from < n; from += 2 * run) {
            const size_t mid = from + run < n ? from + run : n, end = mid + run < n ? mid + run : n;
            size_t a = from, b = mid, to = from;
            while (a < mid && b < end)
                scratch[to++] = before(g, ids[b], ids[a]) ? ids[b++] : ids[a++];
            while (a < mid)
                scratch[to++] = ids[a++];
            while (b < end)
                scratch[to++] = ids[b++];
        }
        memcpy(ids, scratch, n * sizeof *ids);
    }
}

bool gguf_sort_names(const gguf *g, uint32_t *ids, uint32_t *scratch, str *twice)
{
    sort_ids(g, ids, scratch, g->n_tensors, name_before);
    for (size_t i = 1; i < g->n_tensors; i++)
        if (str_equal(g->tensors[ids[i - 1]].name, g->tensors[ids[i]].name)) {
            *twice = g->tensors[ids[i]].name;
            return false;
        }
    return true;
}

/* ---- parsing ------------------------------------------------------------------------------ */

/* Walks over everything that is there. *event is END when the header is whole. */
static ingle_status first_walk(gguf_scan *s, const void *bytes, size_t n, gguf_scan_event *event,
                               ingle_error *err)
{
    do {
        const ingle_status status = gguf_scan_next(s, bytes, n, event, err);
        if (status != INGLE_OK)
            return status;
    } while (*event != GGUF_SCAN_MORE && *event != GGUF_SCAN_END);
    return INGLE_OK;
}

static ingle_status make_tables(gguf *g, ingle_error *err)
{
    g->values = arena_alloc(&g->memory, size_mul(g->n_values, sizeof *g->values));
    g->tensors = arena_alloc(&g->memory, size_mul(g->n_tensors, sizeof *g->tensors));
    g->by_offset = arena_alloc(&g->memory, size_mul(g->n_tensors, sizeof *g->by_offset));
    g->index = arena_zero(&g->memory, 1, sizeof *g->index);
    if (g->index) {
        g->index->by_key = arena_alloc(&g->memory, size_mul(g->n_values, sizeof *g->index->by_key));
        g->index->by_name = arena_alloc(&g->memory, size_mul(g->n_tensors, sizeof *g->index->by_name));
    }
    if (!g->values || !g->tensors || !g->by_offset || !g->index || !g->index->by_key || !g->index->by_name)
        return error_memory(err, size_add(size_mul(g->n_values, sizeof *g->values),
                                          size_mul(g->n_tensors, sizeof *g->tensors)),
                            "table of GGUF keys and tensors");
    g->index->capacity = g->n_tensors;
    g->index->next_part = 1;
    return INGLE_OK;
}

/* The second walk, over bytes that the first found whole. */
static ingle_status fill_tables(gguf *g, const void *bytes, size_t n, uint64_t total, ingle_error *err)
{
    gguf_scan s = {.total = total};
    gguf_scan_event event;
    size_t n_values = 0, n_tensors = 0;
    do {
        const ingle_status status = gguf_scan_next(&s, bytes, n, &event, err);
        if (status != INGLE_OK)
            return status;
        if (event == GGUF_SCAN_VALUE)
            g->values[n_values++] = s.value;
        else if (event == GGUF_SCAN_TENSOR)
            g->tensors[n_tensors++] = s.tensor;
    } while (event != GGUF_SCAN_END && event != GGUF_SCAN_MORE);
    return INGLE_OK;
}

static ingle_status index_names(gguf *g, uint32_t *scratch, ingle_error *err)
{
    struct gguf_index *index = g->index;
    sort_ids(g, index->by_key, scratch, g->n_values, key_before);
    for (size_t i = 1; i < g->n_values; i++) {
        const str key = g->values[index->by_key[i]].key;
        if (str_equal(g->values[index->by_key[i - 1]].key, key))
            return error_set(err, INGLE_ERR_FORMAT, "key %.*s is there twice", STR_ARG(key));
    }
    str twice;
    if (!gguf_sort_names(g, index->by_name, scratch, &twice))
        return error_set(err, INGLE_ERR_FORMAT, "tensor %.*s is there twice", STR_ARG(twice));
    index->n_named = g->n_tensors;
    return INGLE_OK;
}

/* general.alignment and the split.* keys. */
static ingle_status read_settings(gguf *g, ingle_error *err)
{
    g->alignment = 32;
    g->n_parts = 1;
    const gguf_value *v = gguf_find(g, "general.alignment");
    int64_t x;
    if (v) {
        if (v->type == GGUF_ARRAY || !gguf_item_i64(v, 0, &x) || x < 8 || x > GGUF_ALIGNMENT_MAX ||
            (x & (x - 1)) != 0) {
            char text[32];
            gguf_print_value(g, v, text, sizeof text);
            return error_set(err, INGLE_ERR_FORMAT,
                             "general.alignment is %s, not a power of two from 8 to %d", text,
                             GGUF_ALIGNMENT_MAX);
        }
        g->alignment = (uint64_t)x;
    }
    gguf_get_u32(g, "split.count", &g->n_parts);
    gguf_get_u32(g, "split.no", &g->part_no);
    if (g->n_parts == 0)
        g->n_parts = 1;
    if (g->n_parts > UINT16_MAX || g->part_no >= g->n_parts)
        return error_set(err, INGLE_ERR_FORMAT,
                         "split.no %" PRIu32 " and split.count %" PRIu32 " make no set of parts",
                         g->part_no, g->n_parts);
    return INGLE_OK;
}

/* Where the data section starts and each tensor lies; list_end is where the tensor list ends. */
static ingle_status place_tensors(gguf *g, uint64_t list_end, uint64_t total, ingle_error *err)
{
    // list_end <= GGUF_HEADER_MAX, so this cannot wrap.
    g->header_bytes = (list_end + g->alignment - 1) & ~(g->alignment - 1);
    for (size_t i = 0; i < g->n_tensors; i++) {
        gguf_tensor *t = &g->tensors[i];
        uint64_t end;
        t->part = g->part_no;
        if (t->offset & (g->alignment - 1))
            return error_set(err, INGLE_ERR_FORMAT,
                             "tensor %.*s begins at %" PRIu64 " of the data, no multiple of %" PRIu64,
                             STR_ARG(t->name), t->offset, g->alignment);
        if (!u64_add(t->offset, g->header_bytes, &t->offset) || !u64_add(t->offset, t->bytes, &end))
            return error_set(err, INGLE_ERR_FORMAT, "tensor %.*s ends beyond any file",
                             STR_ARG(t->name));
        if (end > total)
            return error_set(err, INGLE_ERR_FORMAT,
                             "tensor %.*s ends at byte %" PRIu64 ", the file has %" PRIu64,
                             STR_ARG(t->name), end, total);
    }
    return INGLE_OK;
}

static ingle_status check_overlap(const gguf *g, ingle_error *err)
{
    for (size_t i = 1; i < g->n_tensors; i++) {
        const gguf_tensor *a = &g->tensors[g->by_offset[i - 1]], *b = &g->tensors[g->by_offset[i]];
        if (b->offset - a->offset < a->bytes)
            return error_set(err, INGLE_ERR_FORMAT,
                             "tensor %.*s begins at byte %" PRIu64 ", within tensor %.*s",
                             STR_ARG(b->name), b->offset, STR_ARG(a->name));
    }
    return INGLE_OK;
}

static ingle_status build(gguf *g, const void *bytes, size_t n, uint64_t total, uint64_t list_end,
                          ingle_error *err)
{
    uint32_t *scratch = NULL;
    ingle_status status = make_tables(g, err);
    if (status == INGLE_OK)
        status = fill_tables(g, bytes, n, total, err);
    if (status != INGLE_OK)
        return status;
    const size_t most = g->n_values > g->n_tensors ? g->n_values : g->n_tensors;
    scratch = mem_alloc(&g->memory.allocator, size_mul(most, sizeof *scratch));
    if (!scratch)
        return error_memory(err, size_mul(most, sizeof *scratch), "sorting GGUF keys and tensors");
    status = index_names(g, scratch, err);
    if (status == INGLE_OK)
        status = read_settings(g, err);
    if (status == INGLE_OK)
        status = place_tensors(g, list_end, total, err);
    if (status == INGLE_OK) {
        sort_ids(g, g->by_offset, scratch, g->n_tensors, offset_before);
        status = check_overlap(g, err);
    }
    mem_free(&g->memory.allocator, scratch);
    return status;
}

ingle_status gguf_parse(gguf *out, const void *bytes, size_t n, uint64_t total, uint64_t *need,
                        const ingle_allocator *a, ingle_error *err)
{
    *out = (gguf){.n_parts = 0};
    *need = 0;
    if (total < n)
        return error_set(err, INGLE_ERR_INTERNAL, "GGUF: %zu bytes of a file of %" PRIu64, n, total);
    gguf_scan s = {.total = total};
    gguf_scan_event event;
    ingle_status status = first_walk(&s, bytes, n, &event, err);
    if (status != INGLE_OK)
        return status;
    if (event == GGUF_SCAN_MORE) {
        const uint64_t half_more = n + (uint64_t)n / 2;
        *need = half_more > s.need ? half_more : s.need;
        *need = *need > total ? total : *need;
        return error_clear(err);
    }
    *out = (gguf){.version = s.version, .n_values = (size_t)s.n_values, .n_tensors = (size_t)s.n_tensors};
    if (a)
        out->memory.allocator = *a;
    status = build(out, bytes, n, total, s.at, err);
    if (status != INGLE_OK) {
        gguf_free(out);
        return status;
    }
    return error_clear(err);
}

void gguf_free(gguf *g)
{
    if (!g)
        return;
    arena_free(&g->memory);
    *g = (gguf){.n_parts = 0};
}

/* ---- finding ------------------------------------------------------------------------------ */

const gguf_value *gguf_find(const gguf *g, const char *key)
{
    const str want = str_of(key);
    for (size_t low = 0, high = g->n_values; low < high;) {
        const size_t mid = low + (high - low) / 2;
        const gguf_value *v = &g->values[g->index->by_key[mid]];
        const int c = gguf_compare(want, v->key);
        if (c == 0)
            return v;
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

const gguf_tensor *gguf_find_tensor(const gguf *g, const char *name)
{
    const str want = str_of(name);
    for (size_t low = 0, high = g->index ? g->index->n_named : 0; low < high;) {
        const size_t mid = low + (high - low) / 2;
        const gguf_tensor *t = &g->tensors[g->index->by_name[mid]];
        const int c = gguf_compare(want, t->name);
        if (c == 0)
            return t;
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}
