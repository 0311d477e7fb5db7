/* Split sets: one model in several GGUF files. Owns how parts join and what they are called. */
#include <inttypes.h>
#include <stdio.h>

#include "base/error.h"
#include "file/gguf_index.h"

/* Is part, parsed by itself, part_no of g's set? */
static ingle_status check_part(const gguf *g, const gguf *part, uint32_t part_no, ingle_error *err)
{
    uint32_t no = 0, count = 0;
    if (!gguf_get_u32(part, "split.no", &no) || !gguf_get_u32(part, "split.count", &count) ||
        no != part_no || count != g->n_parts)
        return error_set(err, INGLE_ERR_FORMAT,
                         "part %" PRIu32 " of %" PRIu32 " says it is part %" PRIu32 " of %" PRIu32,
                         part_no + 1, g->n_parts, no + 1, count);
    return INGLE_OK;
}

/* Room for n tensors in g; what is there stays. */
static bool grow(gguf *g, size_t n)
{
    struct gguf_index *index = g->index;
    if (n <= index->capacity)
        return true;
    // Doubling, as the arena keeps the old tables.
    const size_t capacity = n > 2 * index->capacity ? n : 2 * index->capacity;
    gguf_tensor *tensors = arena_alloc(&g->memory, size_mul(capacity, sizeof *tensors));
    uint32_t *by_offset = arena_alloc(&g->memory, size_mul(capacity, sizeof *by_offset));
    if (!tensors || !by_offset)
        return false;
    memcpy(tensors, g->tensors, g->n_tensors * sizeof *tensors);
    memcpy(by_offset, g->by_offset, g->n_tensors * sizeof *by_offset);
    g->tensors = tensors;
    g->by_offset = by_offset;
    index->capacity = capacity;
    return true;
}

/* The set is whole: its names are unique and as many as it says. */
static ingle_status finish(gguf *g, ingle_error *err)
{
    const gguf_value *v = gguf_find(g, "split.tensors.count");
    int64_t count;
    if (v && (!gguf_item_i64(v, 0, &count) || count < 0 || (uint64_t)count != g->n_tensors)) {
        char text[32];
        gguf_print_value(g, v, text, sizeof text);
        return error_set(err, INGLE_ERR_FORMAT, "split.tensors.count is %s, the parts have %zu tensors",
                         text, g->n_tensors);
    }
    const size_t bytes = size_mul(g->n_tensors, sizeof *g->by_offset);
    uint32_t *by_name = arena_alloc(&g->memory, bytes), *scratch = mem_alloc(&g->memory.allocator, bytes);
    ingle_status status = INGLE_OK;
    str twice;
    if (!by_name || !scratch) {
        status = error_memory(err, bytes, "sorting the tensors of a split set");
    } else if (!gguf_sort_names(g, by_name, scratch, &twice)) {
        status = error_set(err, INGLE_ERR_FORMAT, "tensor %.*s is in two parts", STR_ARG(twice));
    } else {
        g->index->by_name = by_name;
        g->index->n_named = g->n_tensors;
    }
    mem_free(&g->memory.allocator, scratch);
    return status;
}

static ingle_status append(gguf *g, const gguf *part, uint32_t part_no, ingle_error *err)
{
    const size_t old = g->n_tensors, n = size_add(old, part->n_tensors);
    if (n > GGUF_COUNT_MAX)
        return error_set(err, INGLE_ERR_FORMAT, "a split set of %zu tensors, at most %d can be", n,
                         GGUF_COUNT_MAX);
    if (!grow(g, n))
        return error_memory(err, size_mul(n, sizeof *g->tensors), "table of tensors");
    for (size_t i = 0; i < part->n_tensors; i++) {
        g->tensors[old + i] = part->tensors[i];
        g->tensors[old + i].part = part_no;
        g->by_offset[old + i] = part->by_offset[i] + (uint32_t)old;
    }
    g->n_tensors = n;
    if (part_no + 1 < g->n_parts)
        return INGLE_OK;
    const ingle_status status = finish(g, err);
    if (status != INGLE_OK)
        g->n_tensors = old;
    return status;
}

ingle_status gguf_add_part(gguf *g, uint32_t part_no, const void *bytes, size_t n, uint64_t total,
                           ingle_error *err)
{
    if (g->part_no != 0)
        return error_set(err, INGLE_ERR_FORMAT,
                         "this is part %" PRIu32 " of %" PRIu32 ": open the first part",
                         g->part_no + 1, g->n_parts);
    if (!g->index || part_no != g->index->next_part || part_no >= g->n_parts)
        return error_set(err, INGLE_ERR_USAGE, "part %" PRIu32 " of %" PRIu32 " is not the next one",
                         part_no + 1, g->n_parts);
    gguf part;
    uint64_t need;
    ingle_status status = gguf_parse(&part, bytes, n, total, &need, &g->memory.allocator, err);
    if (status != INGLE_OK)
        return status;
    if (need)
        return error_set(err, INGLE_ERR_USAGE,
                         "part %" PRIu32 ": %zu bytes given, its header takes %" PRIu64 " or more",
                         part_no + 1, n, need);
    status = check_part(g, &part, part_no, err);
    if (status == INGLE_OK)
        status = append(g, &part, part_no, err);
    if (status == INGLE_OK)
        g->index->next_part++;
    gguf_free(&part);
    return status == INGLE_OK ? error_clear(err) : status;
}

/* ---- names -------------------------------------------------------------------------------- */

/* Five digits at p. */
static bool five_digits(const char *p, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 5; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        *out = *out * 10 + (uint32_t)(p[i] - '0');
    }
    return true;
}

bool gguf_split_name(const char *name, uint32_t part_no, uint32_t *count, char *out, size_t n)
{
    static const char pattern[] = "-00000-of-00000.gguf";
    const size_t length = strlen(name), tail = sizeof pattern - 1;
    uint32_t no, of;
    if (length < tail)
        return false;
    const char *p = name + length - tail;
    if (p[0] != '-' || !five_digits(p + 1, &no) || memcmp(p + 6, "-of-", 4) != 0 ||
        !five_digits(p + 10, &of) || strcmp(p + 15, ".gguf") != 0 || no < 1 || no > of)
        return false;
    if (count)
        *count = of;
    if (part_no >= of || n < length + 1)
        return false;
    memcpy(out, name, length + 1);
    char digits[16];
    snprintf(digits, sizeof digits, "%05" PRIu32, part_no + 1);
    memcpy(out + (length - tail) + 1, digits, 5);
    return true;
}
