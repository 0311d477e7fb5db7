/* A model's weights as one kernel path wants them: packed where that wins, else as in the file.
 * Made once and shared by all sessions of the model on that path. Owns the packed memory; borrows
 * the graph and its tensors. */
#ifndef INGLE_CPU_WEIGHTS_H
#define INGLE_CPU_WEIGHTS_H

#include "cpu/cpu.h"
#include "cpu/kernels.h"
#include "cpu/pool.h"

typedef struct cpu_weights cpu_weights;

/* Bytes that opening would take, and bytes of the file's tensors that it stands for. */
uint64_t cpu_weights_bytes(const graph *g, const cpu_kernels *k, uint64_t *replaced);

ingle_status cpu_weights_open(cpu_weights **out, const graph *g, const cpu_kernels *k, pool *p, cpu_source source,
                              const ingle_allocator *a, ingle_error *err);
void cpu_weights_close(cpu_weights *w);

bool cpu_weights_in_place(const cpu_weights *w);
bool cpu_weights_serve(const cpu_weights *w, const cpu_kernels *k); // can k read all that is packed?

/* Is packed what the path would pack, and nothing else? */
bool cpu_weights_suit(const cpu_weights *w, const cpu_kernels *k);

/* Row `row` of the matrix that was packed in place at data, as in the file; false if there is none. */
bool cpu_weights_row(const cpu_weights *w, const void *data, uint64_t row, uint8_t *out);

/* NULL when the tensor is used as it is. */
const cpu_packed *cpu_weights_get(const cpu_weights *w, graph_weight tensor);

#endif
