/* The CPU backend: runs a graph for one session. Owns the KV cache, activations, logits and
 * threads; borrows the graph. Refuses at opening what no kernel here computes, by name. */
#ifndef INGLE_CPU_CPU_H
#define INGLE_CPU_CPU_H

#include "graph/graph.h"

enum { CPU_HEAD_ROWS = 8 }; // rows of logits at once: enough to share the head's unpacking

/* CPU_SHARED: in memory that must stay as it is. CPU_MAPPED: in a mapped file, whose pages are given
 * back as they are packed. CPU_OWNED: in the model's own memory, on 64-byte boundaries and with
 * quant_room bytes for each matrix; they are packed where they lie. */
typedef enum { CPU_SHARED, CPU_MAPPED, CPU_OWNED } cpu_source;

typedef struct {
    uint32_t n_ctx, n_batch, n_threads; // all > 0
    uint32_t k_format, v_format;        // quant ids of the cache: F16, Q8_0 or Q4_0
    const char *path;                   // highest allowed: "ref", "portable"; NULL = the best
    cpu_source source;                  // where the tensors lie
} cpu_options;

typedef struct cpu cpu;

/* Packed weights that the sessions of one model share. *shared starts as NULL, is looked in and
 * added to by cpu_open (the caller sees to it that one thread does so at a time) and freed after
 * the last session. */
typedef struct cpu_shared cpu_shared;
void cpu_shared_free(void *list);

/* Whether the matrix whose bytes were at data has been packed in place; then out is row `row` as in
 * the file. */
bool cpu_shared_row(const void *list, const void *data, uint64_t row, uint8_t *out);

ingle_status cpu_open(cpu **out, const graph *g, const cpu_options *opt, cpu_shared **shared,
                      const ingle_allocator *a, ingle_error *err);
void cpu_close(cpu *c);

/* What cpu_open would take. ERR_USAGE: no such path; ERR_UNSUPPORTED: a cache format that the
 * heads' length does not fit. */
typedef struct {
    uint64_t kv, scratch;
    uint64_t packed, replaced; // packed weights, and the bytes of the file that they stand for
    const char *path; // the one that will run
} cpu_needs;

ingle_status cpu_plan(const graph *g, const cpu_options *opt, cpu_needs *out, ingle_error *err);

/* Computes tokens ids [n], 1 <= n <= n_batch, at positions first ... first + n - 1, up to what the
 * head reads; the cache must hold positions below `first`. */
void cpu_run(cpu *c, const int32_t *ids, size_t n, size_t first);

/* Logits [n_rows, n_vocab] of tokens row ... row + n_rows - 1 of the last run, n_rows <=
 * CPU_HEAD_ROWS; valid until the next call. */
const float *cpu_head(cpu *c, size_t row, size_t n_rows);

/* What a token costs, and how fast this machine reads: see ingle_limits. ERR_MEMORY. */
typedef struct {
    uint64_t weights, kv, products;
    double read_per_second;
} cpu_limits;

ingle_status cpu_measure_limits(cpu *c, cpu_limits *out, ingle_error *err);

const char *cpu_path(const cpu *c);
uint32_t cpu_threads(const cpu *c);

#endif
