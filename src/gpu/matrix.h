/* Matrices in GPU memory: one or more tensors of a file as one matrix of planes, rows in the order that
 * kernels want, in as many buffers as the device's limits ask for. */
#ifndef INGLE_GPU_MATRIX_H
#define INGLE_GPU_MATRIX_H

#include "gpu/planes.h"
#include "gpu/recorder.h"
#include "graph/graph.h"

typedef enum {
    MATRIX_ROWS,       // as in the file, one tensor after the other
    MATRIX_PAIRS,      // a tensor's heads with rows i and i + n_rot / 2 as rows 2i and 2i + 1
    MATRIX_INTERLEAVED // row i of two tensors as rows 2i and 2i + 1
} matrix_order;

enum { MATRIX_MAX_TENSORS = 3 };

typedef struct {
    const graph_tensor *tensors[MATRIX_MAX_TENSORS]; // of one format and one number of columns
    uint32_t n_tensors;
    matrix_order order;
    uint32_t n_paired;      // tensors that MATRIX_PAIRS reorders, from the first; the others stay
    uint32_t d_head, n_rot; // MATRIX_PAIRS
} matrix_source;

/* Rows first_row ... first_row + rows - 1, an even number each but in the last part. */
typedef struct {
    uint64_t first_row, rows;
    gpu_slice buffer, wq, wx; // all of it, and what kernels bind
    gpu_planes planes;
} gpu_matrix_part;

/* How a product of one token with it is cut: op_matvec.h. */
typedef struct {
    uint32_t threads; // a workgroup, T: a power of two
    uint32_t per_row; // threads that share rows, TPR: a power of two
    uint32_t rows;    // a thread, R: even where rows belong together
    uint32_t ahead;   // blocks of a row asked for ahead, U
} matvec_shape;

typedef struct {
    uint64_t rows, cols;
    uint32_t n_parts;
    gpu_matrix_part *parts;
    ingle_allocator allocator;
    matvec_shape shape, merging; // what was fastest here (tune.h), as usual and where x comes in splits; {0}: not known
} gpu_matrix;

static inline uint64_t gpu_matrix_bytes(const gpu_matrix *m)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < m->n_parts; i++)
        bytes += m->parts[i].planes.bytes;
    return bytes;
}

/* Row of tensor *tensor that is row `row` of the matrix; and the other way round. */
uint64_t matrix_row_of(const matrix_source *s, uint64_t row, uint32_t *tensor);
uint64_t matrix_place_of(const matrix_source *s, uint32_t tensor, uint64_t row);

/* Makes the buffers, to be filled by matrix_feed.h. ERR_UNSUPPORTED, ERR_MEMORY. */
ingle_status matrix_reserve(gpu_matrix *out, recorder *r, const matrix_source *s, const ingle_allocator *a,
                            ingle_error *err);

/* Makes the buffers and fills them with the tensors' data, playing what it records as it goes: no more
 * than a few MiB lie outside GPU memory at a time. Also the player's errors. */
ingle_status matrix_open(gpu_matrix *out, recorder *r, const matrix_source *s, const ingle_allocator *a,
                         ingle_error *err);
void matrix_close(gpu_matrix *m, recorder *r); // {0} is a no-op

#endif
