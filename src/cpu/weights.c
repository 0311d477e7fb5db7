#include "cpu/weights.h"

#include "base/error.h"
#include "host/host.h"

struct cpu_weights {
    ingle_allocator allocator;
    const graph *graph;
    pool *pool; // while packing
    bool mapped;
    void *block;
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

/* Every thread takes groups of every tensor in turn. */
static void pack_all(void *arg, uint32_t thread)
{
    cpu_weights *w = arg;
    const size_t n_threads = pool_threads(w->pool);
    for (size_t i = 0; i < w->graph->n_tensors; i++) {
        const cpu_packed *p = &w->packed[i];
        if (!p->data)
            continue;
        const size_t first = p->n_groups * thread / n_threads, end = p->n_groups * (thread + 1) / n_threads;
        const graph_tensor *t = &w->graph->tensors[i];
        uint64_t row_bytes = 0;
        pack_groups(p, (uint8_t *)(uintptr_t)p->data, t, first, end - first);
        quant_bytes(t->format, t->cols, &row_bytes);
        const size_t row = first * PACK_ROWS, row_end = end * PACK_ROWS < p->rows ? end * PACK_ROWS : p->rows;
        if (w->mapped && row_end > row)
            host_file_forget((const uint8_t *)t->data + row * row_bytes, (row_end - row) * (size_t)row_bytes);
    }
}

ingle_status cpu_weights_open(cpu_weights **out, const graph *g, const cpu_kernels *k, pool *p, bool mapped,
                              const ingle_allocator *a, ingle_error *err)
{
    *out = NULL;
    uint64_t replaced;
    const uint64_t bytes = cpu_weights_bytes(g, k, &replaced);
    if (bytes > SIZE_MAX / 2)
        return error_set(err, INGLE_ERR_MEMORY, "packed weights take %llu bytes", (unsigned long long)bytes);
    cpu_weights *w = mem_zero(a, 1, size_add(sizeof *w, size_mul(g->n_tensors, sizeof *w->packed)));
    void *block = mem_alloc(a, (size_t)bytes + PACK_LINE);
    if (!w || !block) {
        mem_free(a, w);
        mem_free(a, block);
        return error_memory(err, (size_t)bytes, "packed weights");
    }
    host_large_pages(block, (size_t)bytes);
    *w = (cpu_weights){.allocator = *a, .graph = g, .pool = p, .mapped = mapped, .block = block};
    uint8_t *at = (uint8_t *)block + (PACK_LINE - (uintptr_t)block % PACK_LINE) % PACK_LINE;
    for (size_t i = 0; i < g->n_tensors; i++) {
        if (!is_packed(g, k, i))
            continue;
        const graph_tensor *t = &g->tensors[i];
        w->packed[i] = pack_plan(pack_kind_of(t->format), t->rows, t->cols);
        w->packed[i].data = at;
        at += w->packed[i].n_groups * w->packed[i].group_bytes;
    }
    pool_run(p, pack_all, w);
    w->pool = NULL;
    *out = w;
    return INGLE_OK;
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
