/* Weights as GPU kernels read them: a matrix's blocks taken apart into planes of equal, aligned
 * fields, so that neighbouring threads read neighbouring words.
 *
 * Every format is seen in blocks of 32 columns. Plane 0 (binding wq) holds each block's quants, the
 * others (binding wx, one after the other) high bits, scales and minima; the part of WGSL named
 * quant/<format> knows what is where. What is smaller than a word lies by pairs of rows, the even row
 * first, so planes have an even number of rows.
 * Formats without kernels of their own are converted, losing nothing, to one that has them. */
#ifndef INGLE_GPU_PLANES_H
#define INGLE_GPU_PLANES_H

#include "quant/quant.h"

enum { PLANES_MAX = 4, PLANES_BLOCK = 32 };

typedef struct {
    uint64_t offset;     // in the matrix's bytes, a multiple of 256
    uint64_t pair_bytes; // of two rows
} gpu_plane;

typedef struct {
    uint32_t format;     // that kernels see; another than the file's if it was converted
    const char *part;    // "quant/q4_0"
    bool integers;       // unpack_block is there: products with int8 activations; else floats_of only
    uint64_t rows, cols; // cols as in the file; blocks beyond are zeros
    uint32_t n_blocks;   // a row
    uint32_t n_planes;
    gpu_plane plane[PLANES_MAX];
    uint64_t bytes; // of all planes
} gpu_planes;

/* How a matrix of a file's format lies on the GPU. ERR_UNSUPPORTED: a format that no kernel reads,
 * named. */
ingle_status planes_plan(gpu_planes *out, uint32_t format, uint64_t rows, uint64_t cols, ingle_error *err);

/* Packs n rows, an even number but at the matrix's end, of the file's `format`, one after the other
 * at `from`. out[i] gets plane i's bytes of these rows: (n + 1) / 2 * plane[i].pair_bytes.
 * scratch: planes_scratch(p) bytes. */
void planes_pack(const gpu_planes *p, uint32_t format, const void *from, uint64_t n, uint8_t *const out[PLANES_MAX],
                 void *scratch);
size_t planes_scratch(const gpu_planes *p);

#endif
