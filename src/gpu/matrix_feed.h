/* Filling a matrix on the GPU while the bytes of its tensors come: each tensor's front to back, in pieces
 * of any length, the tensors in any order. Rows go to the GPU a few MiB at a time.
 *
 * Rows of a tensor that lie together in the matrix go as they come. Where rows of two tensors share words
 * of GPU memory (a gate and its up), the tensor that comes first is held until the last one comes. */
#ifndef INGLE_GPU_MATRIX_FEED_H
#define INGLE_GPU_MATRIX_FEED_H

#include "gpu/matrix.h"

/* {0} is one that has nothing to do. */
typedef struct {
    gpu_matrix *matrix;
    matrix_source source;
    ingle_allocator allocator;
    uint64_t row_bytes;                        // of the file
    uint64_t taken[MATRIX_MAX_TENSORS];        // bytes so far
    const uint8_t *whole[MATRIX_MAX_TENSORS];  // tensors that are all there: held, or the caller's
    uint8_t *held[MATRIX_MAX_TENSORS];
    /* Rows on their way: */
    uint32_t current;  // the tensor they are of
    uint64_t first, n; // rows of that tensor: the first, and as many as fit
    uint8_t *rows;     // in the matrix's order
    uint8_t *planes;   // what planes_pack makes of them, one after the other
    void *scratch;
} matrix_feed;

/* The matrix, made by matrix_reserve, must stay where it is. */
void matrix_feed_init(matrix_feed *f, gpu_matrix *m, const matrix_source *s, const ingle_allocator *a);
void matrix_feed_free(matrix_feed *f);

/* The next bytes [n] of tensor number `tensor` of the source; one tensor is fed at a time. The caller may
 * say that these are all of its bytes and stay until the matrix is full (stays): they need not be held then.
 * ERR_MEMORY, ERR_FORMAT (more than the tensor has), and the player's errors. */
ingle_status matrix_feed_take(matrix_feed *f, recorder *r, uint32_t tensor, const uint8_t *bytes, size_t n, bool stays,
                              ingle_error *err);
bool matrix_feed_full(const matrix_feed *f);
uint64_t matrix_feed_held(const matrix_feed *f); // bytes

#endif
