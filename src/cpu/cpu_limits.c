/* What bounds a session's speed: bytes and products of a token, and how fast this machine's memory is
 * read by as many threads. Measures reading only, on memory of its own. */
#include <stdatomic.h>
#include <string.h>

#include "base/error.h"
#include "cpu/cpu_impl.h"
#include "host/host.h"

/* A stream of reads needs lines asked for far ahead, and again closer while they are under way (lanes_avx512.h):
 * the fastest of what was tried on one thread of a Xeon with AMX, 22 GB/s from memory and 29 from its third-level
 * cache; asked for once, 12 kB ahead, it was 20 and 29. Wider loads gain nothing. */
enum { READ_AHEAD = 9216, READ_AGAIN = 6912 };

enum { LINE = 64, PIECE = 1 << 17, PASSES = 8 };
static const uint64_t least_bytes = (uint64_t)64 << 20;

typedef struct {
    pool *pool;
    uint64_t *data; // n_pieces of PIECE bytes, on a line's boundary
    size_t n_pieces;
    bool fill;
    _Atomic uint64_t sum; // what is read must be used, or it is not read
} reading;

uint64_t cpu_read_all(const uint64_t *at, size_t n)
{
    uint64_t sums[8] = {0};
    for (const uint64_t *end = at + n; at < end; at += 8) {
        cpu_ask((const uint8_t *)at + READ_AHEAD);
        cpu_ask_near((const uint8_t *)at + READ_AGAIN);
        for (int k = 0; k < 8; k++)
            sums[k] += at[k];
    }
    uint64_t all = 0;
    for (int k = 0; k < 8; k++)
        all += sums[k];
    return all;
}

static void read_all(void *arg, uint32_t thread)
{
    reading *r = arg;
    size_t piece;
    uint64_t sum = 0;
    while (pool_take(r->pool, thread, r->n_pieces, &piece)) {
        uint64_t *at = r->data + piece * (PIECE / sizeof *at);
        if (r->fill) // pages are there once they are written
            memset(at, (int)piece & 0x7f, PIECE);
        else
            sum += cpu_read_all(at, PIECE / sizeof *at);
    }
    atomic_fetch_add_explicit(&r->sum, sum, memory_order_relaxed);
    pool_barrier(r->pool);
}

/* Bytes a second of the fastest pass over at least `bytes`; 0: no memory. */
static double read_speed(const cpu *c, uint64_t bytes)
{
    const uint64_t wanted = bytes > least_bytes ? bytes : least_bytes;
    const uint64_t n_pieces = (wanted + PIECE - 1) / PIECE;
    if (n_pieces > SIZE_MAX / PIECE - 1)
        return 0;
    const size_t n = (size_t)n_pieces * PIECE;
    void *block = mem_alloc(&c->allocator, n + LINE);
    if (!block)
        return 0;
    host_large_pages(block, n + LINE);
    void *line = (uint8_t *)block + (LINE - (uintptr_t)block % LINE);
    reading r = {.pool = c->pool, .data = line, .n_pieces = (size_t)n_pieces, .fill = true};
    pool_run(c->pool, read_all, &r);
    r.fill = false;
    double best = 0;
    for (int i = 0; i < PASSES; i++) {
        const double start = host_now_ms();
        pool_run(c->pool, read_all, &r);
        const double ms = host_now_ms() - start;
        const double speed = ms > 0 ? (double)n / (ms * 1e-3) : 0;
        best = speed > best ? speed : best;
    }
    mem_free(&c->allocator, block);
    return best;
}

ingle_status cpu_measure_limits(cpu *c, cpu_limits *out, ingle_error *err)
{
    const graph *g = c->graph;
    *out = (cpu_limits){.kv = (uint64_t)(c->k_row + c->v_row) * g->sizes.n_layers};
    const graph_weight head = g->ops[g->n_ops - 1].u.linear.weight[0];
    for (size_t i = 0; i < g->n_tensors; i++) {
        const graph_tensor *t = &g->tensors[i];
        if (!t->multiplied)
            continue; // rows that are gathered, vectors
        const cpu_packed *p = cpu_weights_get(c->weights, (graph_weight)i);
        uint64_t bytes = 0;
        if (p)
            bytes = (uint64_t)p->n_groups * p->group_bytes;
        else
            quant_bytes(t->format, t->rows * t->cols, &bytes);
        out->weights += bytes;
        if ((graph_weight)i != head)
            out->products += t->rows * t->cols;
    }
    out->read_per_second = read_speed(c, out->weights);
    return out->read_per_second > 0 ? INGLE_OK : error_memory(err, (size_t)out->weights, "measuring how fast memory is read");
}
