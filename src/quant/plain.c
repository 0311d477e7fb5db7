/* Formats without blocks: floats of three sizes and integers. Integers become the nearest float;
 * an F64 beyond the range of f32 becomes an infinity. */
#include "quant/blocks.h"

void dequantize_f32(const void *blocks, float *restrict out, size_t n)
{
    if (n)
        memcpy(out, blocks, n * sizeof *out);
}

void quantize_f32(const float *in, void *restrict blocks, size_t n)
{
    if (n)
        memcpy(blocks, in, n * sizeof *in);
}

void dequantize_f16(const void *blocks, float *restrict out, size_t n)
{
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n; i++)
        out[i] = float_of_f16(load_u16(b + 2 * i));
}

void quantize_f16(const float *in, void *restrict blocks, size_t n)
{
    uint8_t *b = blocks;
    for (size_t i = 0; i < n; i++) {
        const uint16_t h = f16_of_float(in[i]);
        memcpy(b + 2 * i, &h, sizeof h);
    }
}

void dequantize_bf16(const void *blocks, float *restrict out, size_t n)
{
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n; i++)
        out[i] = float_of_bf16(load_u16(b + 2 * i));
}

void quantize_bf16(const float *in, void *restrict blocks, size_t n)
{
    uint8_t *b = blocks;
    for (size_t i = 0; i < n; i++) {
        const uint16_t h = bf16_of_float(in[i]);
        memcpy(b + 2 * i, &h, sizeof h);
    }
}

#define READ_AS(type)                           \
    const uint8_t *b = blocks;                  \
    for (size_t i = 0; i < n; i++) {            \
        type v;                                 \
        memcpy(&v, b + i * sizeof v, sizeof v); \
        out[i] = (float)v;                      \
    }

void dequantize_f64(const void *blocks, float *restrict out, size_t n)
{
    READ_AS(double)
}

void dequantize_i8(const void *blocks, float *restrict out, size_t n)
{
    READ_AS(int8_t)
}

void dequantize_i16(const void *blocks, float *restrict out, size_t n)
{
    READ_AS(int16_t)
}

void dequantize_i32(const void *blocks, float *restrict out, size_t n)
{
    READ_AS(int32_t)
}

void dequantize_i64(const void *blocks, float *restrict out, size_t n)
{
    READ_AS(int64_t)
}
