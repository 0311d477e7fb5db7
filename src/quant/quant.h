/* Tensor formats: sizes, dequantising any of them, quantising the simple ones.
 * Refuses nothing itself: callers check sizes against quant_bytes before they hand blocks in. */
#ifndef INGLE_QUANT_QUANT_H
#define INGLE_QUANT_QUANT_H

#include "ingle.h"
#include "quant/formats.h"

typedef enum {
#define QUANT_ENUM(NAME, lower, id, values, bytes) QUANT_##NAME = id,
    QUANT_FORMATS(QUANT_ENUM, QUANT_ENUM)
#undef QUANT_ENUM
    QUANT_ID_END = 43 // ids are below this; not all of them are formats
} quant_format;

typedef struct {
    const char *name;     // "Q4_0"
    uint32_t id;          // in GGUF files
    uint32_t values;      // a block
    uint32_t bytes;       // a block
    void (*dequantize)(const void *blocks, float *out, size_t n); // n: multiple of values
    void (*quantize)(const float *in, void *blocks, size_t n);    // NULL if there is none yet
} quant_traits;

/* NULL if id is no format we know. */
const quant_traits *quant_find(uint32_t id);

/* A name for ids of removed or foreign formats too ("IQ4_KS (ik_llama.cpp)"), for errors; NULL if
 * nobody we know uses the id. */
const char *quant_foreign_name(uint32_t id);

/* Bytes of n values; false if n is no multiple of the block or the size wraps. */
bool quant_bytes(uint32_t id, uint64_t n, uint64_t *bytes);

/* IEEE 754 half and bfloat16, round to nearest even; NaN stays NaN. */
float quant_f16_to_f32(uint16_t h);
uint16_t quant_f32_to_f16(float f);
float quant_bf16_to_f32(uint16_t h);
uint16_t quant_f32_to_bf16(float f);

/* Bytes in which a matrix can be kept whatever a backend makes of its layout: rows in sixteens, blocks
 * of 32 in pairs, blocks of 256 with four bytes more. At least quant_bytes; UINT64_MAX if too many. */
uint64_t quant_room(uint32_t format, uint64_t rows, uint64_t cols);

/* Activations: blocks of 16 int8 with one f32 scale each, d = max|x| / 127, q = round(x / d) to
 * nearest even; sums[b] = sum of the block's q, for weights that are stored with an offset or a
 * minimum. d and sums are [n / 16]; n a multiple of 16.
 * A block with a NaN or infinity gets d = NaN and q = 0, so that what is computed from it is NaN
 * too; one whose d would be subnormal gets d = 0 and q = 0.
 * Blocks of 16 because the divergence from float activations is half of what blocks of 32 cost
 * (SmolLM2-135M, 768 positions of WikiText-2: mean KL 0.0014 and 0.0024). */
void quant_activations(const float *in, size_t n, int8_t *q, float *d, int32_t *sums);

#endif
