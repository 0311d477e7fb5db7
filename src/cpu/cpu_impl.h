/* The executor's insides, shared by cpu.c (memory, runs), cpu_linear.c (products) and cpu_ops.c (the
 * other ops). */
#ifndef INGLE_CPU_CPU_IMPL_H
#define INGLE_CPU_CPU_IMPL_H

#include "cpu/cpu.h"
#include "cpu/kernels.h"
#include "cpu/pool.h"
#include "cpu/weights.h"

/* Rows of int8 are padded to 32 values, the block of most formats; their scales stand for 16. */
enum { CPU_ALIGN = 64, CPU_PAD = 32, CPU_BLOCK = 16, CPU_MAX_ROPES = 8 };

/* Rows of one chunk: of one token at most ONE_ROWS, of many MANY_ROWS. */
enum { CPU_ONE_ROWS = 1024, CPU_MANY_ROWS = 32 };

typedef struct {
    const float *theta; // which op's frequencies
    float scale;
    uint32_t half;  // n_rot / 2
    float *cos_sin; // [n_batch][half][2]
} cpu_rope_table;

/* What is worked out once for each op; for those that are no linear, only what follows. */
typedef struct {
    const graph_op *following; // the next linear, whose weights can be fetched ahead; may be NULL
    const cpu_packed *packed[GRAPH_MAX_OUT]; // NULL: as in the file
    bool int8;         // some weight reads int8 inputs
    bool wide;         // all weights have kernels for bfloat16 inputs
    bool fine;         // the head: what rounding left over is multiplied too
    bool gated;        // output 0 is made of weights 0 and 1
    uint32_t n_out;    // outputs with rows of their own: 1 if gated
    uint32_t one_rows; // rows a chunk for one token; multiple of 16
} cpu_step;

/* Rows as int8: see cpu_rows. */
typedef struct {
    int8_t *q;
    float *d, *block_sums;
    int32_t *sums, *starts;
} cpu_int8;

/* One thread's own memory. */
typedef struct {
    float *tile;   // two of CPU_MANY_ROWS x n_batch or CPU_ONE_ROWS
    float *normed; // [in_width], for one token
    cpu_int8 q;    // the same token
    void *work;    // a row's unpacking, panels, or attention's scores
    cpu_panels panels; // in work
} cpu_thread;

struct cpu {
    ingle_allocator allocator;
    const graph *graph;
    cpu_options opt;
    cpu_kernels kernels;
    pool *pool;
    const cpu_weights *weights;
    cpu_step *steps; // [n_ops]
    void *block;     // all of the below in one allocation
    uint8_t *kv;

    float *values;  // [n_batch] times the plan
    float *normed;  // [n_batch][in_width]
    cpu_int8 q;     // [n_batch][in_width rounded up to 32]
    uint16_t *wide; // [n_batch rounded up to CPU_WIDE_TOKENS][q_stride], if some kernel reads it
    cpu_int8 fine;  // [CPU_HEAD_ROWS][q_stride]: what q left over, as int8 again
    float *logits;  // [CPU_HEAD_ROWS][n_vocab]
    cpu_thread *threads; // [n_threads]
    cpu_rope_table ropes[CPU_MAX_ROPES];
    size_t n_ropes;
    size_t k_row, v_row, k_head, v_head;
    bool k_tiled; // see cpu_cache
    size_t k_ctx; // positions that a layer's keys have room for

    // the run in hand
    const int32_t *ids;
    size_t n, first; // tokens, position of the first
    size_t head_row, head_rows;
};

static inline float *cpu_value(const cpu *c, graph_value v, size_t token)
{
    const graph_value_info *info = &c->graph->values[v];
    return c->values + info->offset * c->opt.n_batch + token * info->width;
}

static inline const float *cpu_vector(const cpu *c, graph_weight w)
{
    return w < 0 ? NULL : c->graph->tensors[w].data;
}

/* Each is called on all threads and ends with a barrier. */
void cpu_fill_ropes(cpu *c, uint32_t thread); // (but this one, which the next op's barrier covers)
void cpu_embed(cpu *c, const graph_embed *op, uint32_t thread);
void cpu_norm(cpu *c, const graph_norm_op *op, uint32_t thread);
void cpu_rope_kv(cpu *c, const graph_op *op, uint32_t thread);
void cpu_attend(cpu *c, const graph_op *op, uint32_t thread);

/* Before a linear, without a barrier: asks for the lines of the cache that its outputs, if they are keys, go into. */
void cpu_ask_new_lines(const cpu *c, const graph_op *op, uint32_t thread);

/* Tokens row ... row + n - 1. logits: NULL, or where the one output goes (the head). */
void cpu_linear(cpu *c, const graph_op *op, size_t row, size_t n, float *logits, uint32_t thread);
void cpu_plan_steps(cpu *c);

/* What this thread will read first in the linear after this op, most likely. one: of one token. */
cpu_ahead cpu_read_following(const cpu *c, const cpu_step *s, bool one, uint32_t thread);

/* The sum of n words, n a multiple of 8: reads as fast as this machine can. */
uint64_t cpu_read_all(const uint64_t *words, size_t n);

#endif
