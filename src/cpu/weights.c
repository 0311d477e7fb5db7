#include "cpu/weights.h"

#include "base/error.h"
#include "host/host.h"

struct cpu_weights {
    ingle_allocator allocator;
    const graph *graph;
    pool *pool; // while packing
    cpu_source source;
    bool *packed_before; // [graph->n_tensors]: by another name, while packing in place
    uint8_t *rows; // [n_threads][largest sixteen rows], while packing in place
    size_t rows_bytes;
    void *block; // NULL: packed in place
    cpu_packed packed[]; // [graph->n_tensors]; data NULL: not packed
};

/* Only matrices that a linear multiplies by: rows of embeddings are gathered from the file. */
static bool is_packed(const graph *g, const cpu_kernels *k, size_t tensor)
{
    const graph_tensor *t = &g->tensors[tensor];
    const pack_kind kind = pack_kind_of(t->format);
    return t->multiplied && kind != PACK_NONE && k->gemv[kind] && t->rows >= PACK_ROWS;
}

uint64_t cpu_weights_bytes(const graph *g, const cpu_kernels *k, uint64_t *replaced)
{
    uint64_t bytes = 0;
    *replaced = 0;
    for (size_t i = 0; i < g->n_tensors; i++) {
        if (!is_packed(g, k, i))
            continue;
        const graph_tensor *t = &g->tensors[i];
        const cpu_packed p = pack_plan(pack_kind_of(t->format), t->rows, t->cols);
        uint64_t raw = 0;
        quant_bytes(t->format, t->rows * t->cols, &raw);
        bytes += (uint64_t)p.n_groups * p.group_bytes;
        *replaced += raw;
    }
    return bytes;
}

/* Groups first ... end - 1 of tensor i, in steps after each of which a mapped file's pages can go: beside
 * the packed weights little of the file is in memory at any time. */
static void pack_part(const cpu_weights *w, size_t i, size_t first, size_t end)
{
    enum { STEP_BYTES = 1 << 20 };
    const cpu_packed *p = &w->packed[i];
    const graph_tensor *t = &w->graph->tensors[i];
    const size_t step = STEP_BYTES / p->group_bytes + 1;
    uint64_t row_bytes = 0;
    quant_bytes(t->format, t->cols, &row_bytes);
    for (size_t at = first; at < end; at += step) {
        const size_t n = end - at < step ? end - at : step;
        pack_groups(p, (uint8_t *)(uintptr_t)p->data, t, at, n);
        const size_t row = at * PACK_ROWS, row_end = (at + n) * PACK_ROWS < p->rows ? (at + n) * PACK_ROWS : p->rows;
        if (w->source == CPU_MAPPED && row_end > row)
            host_file_forget((const uint8_t *)t->data + row * row_bytes, (row_end - row) * (size_t)row_bytes);
    }
}

/* Every thread takes groups of every tensor in turn. */
static void pack_all(void *arg, uint32_t thread)
{
    const cpu_weights *w = arg;
    const size_t n_threads = pool_threads(w->pool);
    for (size_t i = 0; i < w->graph->n_tensors; i++) {
        const size_t n = w->packed[i].n_groups;
        if (w->packed[i].data)
            pack_part(w, i, n * thread / n_threads, n * (thread + 1) / n_threads);
    }
}

/* ---- in place --------------------------------------------------------------------------------- */

static size_t row_bytes_of(const graph_tensor *t)
{
    uint64_t bytes = 0;
    quant_bytes(t->format, t->cols, &bytes);
    return (size_t)bytes;
}

/* A matrix's groups, last to first: a packed group is never smaller than its rows in the file, so it
 * covers none that is still to be packed. */
static void pack_where_it_lies(const cpu_packed *p, const graph_tensor *t, uint8_t *rows)
{
    uint8_t *data = (uint8_t *)(uintptr_t)p->data;
    const size_t row_bytes = row_bytes_of(t);
    cpu_packed one = *p;
    graph_tensor some = *t;
    one.n_groups = 1;
    some.data = rows;
    for (size_t g = p->n_groups; g-- > 0;) {
        const size_t first = g * PACK_ROWS, left = p->rows - first;
        one.rows = left < PACK_ROWS ? left : PACK_ROWS;
        some.rows = one.rows;
        memcpy(rows, data + first * row_bytes, one.rows * row_bytes);
        pack_groups(&one, data + g * p->group_bytes, &some, 0, 1);
    }
}

static void pack_in_place(void *arg, uint32_t thread)
{
    cpu_weights *w = arg;
    for (size_t i = thread; i < w->graph->n_tensors; i += pool_threads(w->pool))
        if (w->packed[i].data && !w->packed_before[i])
            pack_where_it_lies(&w->packed[i], &w->graph->tensors[i], w->rows + thread * w->rows_bytes);
}

/* Graphs name few matrices twice (a head that is the embedding): the first name packs it. */
static bool is_named_before(const cpu_weights *w, size_t tensor)
{
    for (size_t i = 0; i < tensor; i++)
        if (w->packed[i].data && w->packed[i].data == w->graph->tensors[tensor].data)
            return true;
    return false;
}

bool cpu_weights_in_place(const cpu_weights *w)
{
    for (size_t i = 0; w->source == CPU_OWNED && i < w->graph->n_tensors; i++)
        if (w->packed[i].data)
            return true;
    return false;
}

bool cpu_weights_serve(const cpu_weights *w, const cpu_kernels *k)
{
    for (size_t i = 0; i < w->graph->n_tensors; i++)
        if (w->packed[i].data && !k->gemv[w->packed[i].kind])
            return false;
    return true;
}

bool cpu_weights_suit(const cpu_weights *w, const cpu_kernels *k)
{
    for (size_t i = 0; i < w->graph->n_tensors; i++)
        if ((w->packed[i].data != NULL) != is_packed(w->graph, k, i))
            return false;
    return true;
}

bool cpu_weights_row(const cpu_weights *w, const void *data, uint64_t row, uint8_t *out)
{
    for (size_t i = 0; w->source == CPU_OWNED && i < w->graph->n_tensors; i++)
        if (w->packed[i].data && w->packed[i].data == data) {
            pack_row(&w->packed[i], (size_t)row, out);
            return true;
        }
    return false;
}

/* ---- opening and closing ---------------------------------------------------------------------- */

static void plan(cpu_weights *w, const cpu_kernels *k, uint8_t *at)
{
    for (size_t i = 0; i < w->graph->n_tensors; i++) {
        if (!is_packed(w->graph, k, i))
            continue;
        const graph_tensor *t = &w->graph->tensors[i];
        cpu_packed p = pack_plan(pack_kind_of(t->format), t->rows, t->cols);
        if (w->source == CPU_OWNED) {
            w->packed_before[i] = is_named_before(w, i);
            p.data = t->data;
        } else {
            p.data = at;
            at += p.n_groups * p.group_bytes;
        }
        if (w->rows_bytes < PACK_ROWS * row_bytes_of(t))
            w->rows_bytes = PACK_ROWS * row_bytes_of(t);
        w->packed[i] = p;
    }
}

ingle_status cpu_weights_open(cpu_weights **out, const graph *g, const cpu_kernels *k, pool *p, cpu_source source,
                              const ingle_allocator *a, ingle_error *err)
{
    *out = NULL;
    const bool in_place = source == CPU_OWNED;
    uint64_t replaced, bytes = cpu_weights_bytes(g, k, &replaced);
    if (bytes > SIZE_MAX / 2)
        return error_set(err, INGLE_ERR_MEMORY, "packed weights take %llu bytes", (unsigned long long)bytes);
    cpu_weights *w = mem_zero(a, 1, size_add(sizeof *w, size_mul(g->n_tensors, sizeof *w->packed)));
    bool *before = mem_zero(a, g->n_tensors, sizeof *before);
    void *block = in_place ? NULL : mem_alloc(a, (size_t)bytes + PACK_LINE);
    if (!w || !before || (!in_place && !block))
        goto no_memory;
    *w = (cpu_weights){
        .allocator = *a, .graph = g, .pool = p, .source = source, .block = block, .packed_before = before};
    if (block)
        host_large_pages(block, (size_t)bytes);
    plan(w, k, block ? (uint8_t *)block + (PACK_LINE - (uintptr_t)block % PACK_LINE) % PACK_LINE : NULL);
    if (in_place) {
        bytes = size_mul(w->rows_bytes, pool_threads(p));
        w->rows = mem_alloc(a, (size_t)bytes);
        if (!w->rows)
            goto no_memory;
    }
    pool_run(p, in_place ? pack_in_place : pack_all, w);
    mem_free(a, w->rows);
    mem_free(a, before);
    w->rows = NULL;
    w->packed_before = NULL;
    w->pool = NULL;
    *out = w;
    return INGLE_OK;
no_memory:
    mem_free(a, w);
    mem_free(a, before);
    mem_free(a, block);
    return error_memory(err, (size_t)bytes, "packed weights");
}

void cpu_weights_close(cpu_weights *w)
{
    if (!w)
        return;
    const ingle_allocator a = w->allocator;
    mem_free(&a, w->block);
    mem_free(&a, w);
}

const cpu_packed *cpu_weights_get(const cpu_weights *w, graph_weight tensor)
{
    return w && w->packed[tensor].data ? &w->packed[tensor] : NULL;
}
