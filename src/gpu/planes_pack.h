/* Between planes.c, which knows where fields lie, and planes_pack.c, which knows what is in them. */
#ifndef INGLE_GPU_PLANES_PACK_H
#define INGLE_GPU_PLANES_PACK_H

#include "quant/quant.h"

/* One row's fields of a plane. */
typedef struct {
    uint8_t *at;
    size_t unit, part; // bytes from one to the next
} lane;

/* Packs a block of the file (32 values of a format without blocks) as blocks b and on of 32.
 * to: the planes of the format whose kernels read it. All bytes of its fields are written. */
typedef void pack_fn(const lane *to, const uint8_t *from, size_t b);

typedef struct {
    uint32_t from, to; // format of the file; format that kernels see
    pack_fn *pack;
} packing;

const packing *packing_find(uint32_t format); // NULL: no format of ours

#endif
