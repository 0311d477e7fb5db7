/* A model's weights as one kernel path wants them: packed where that wins, else as in the file.
 * Made once and shared by all sessions of the model on that path. Owns the packed memory; borrows
 * the graph and its tensors. */
#ifndef INGLE_CPU_WEIGHTS_H
#define INGLE_CPU_WEIGHTS_H

#include "cpu/kernels.h"
#include "cpu/pool.h"

typedef struct cpu_weights cpu_weights;

/* Bytes that opening would take, and bytes of the file's tensors that it stands for. */
uint64_t cpu_weights_bytes(const graph *g, const cpu_kernels *k, uint64_t *replaced);

/* mapped: the tensors lie in a mapped file, whose pages are given back as they are packed. */
ingle_status cpu_weights_open(cpu_weights **out, const graph *g, const cpu_kernels *k, pool *p, bool mapped,
                              const ingle_allocator *a, ingle_error *err);
void cpu_weights_close(cpu_weights *w);

/* NULL when the tensor is used as it is. */
const cpu_packed *cpu_weights_get(const cpu_weights *w, graph_weight tensor);

#endif
