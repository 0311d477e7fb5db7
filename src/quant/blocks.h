/* What the format files share: their declarations, unaligned little-endian fields, and the half
 * and bfloat16 conversions in a form that inlines into loops.
 *
 * Blocks come from files and are not aligned, so fields are copied out, never cast. Hosts are
 * little-endian, as every GGUF file that we read is. */
#ifndef INGLE_QUANT_BLOCKS_H
#define INGLE_QUANT_BLOCKS_H

#include <string.h>

#include "quant/quant.h"

#define QUANT_DECLARE_READ(NAME, lower, id, values, bytes) \
    void dequantize_##lower(const void *blocks, float *out, size_t n);
#define QUANT_DECLARE_WRITE(NAME, lower, id, values, bytes) \
    QUANT_DECLARE_READ(NAME, lower, id, values, bytes)      \
    void quantize_##lower(const float *in, void *blocks, size_t n);
QUANT_FORMATS(QUANT_DECLARE_READ, QUANT_DECLARE_WRITE)
#undef QUANT_DECLARE_READ
#undef QUANT_DECLARE_WRITE

static inline uint16_t load_u16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint32_t load_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline float float_of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t bits_of_float(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* Selects instead of branches, so that a loop over it can become vector code. Subnormals go
 * through an integer, not a subnormal float: a host that flushes those to zero reads them too. */
static inline float float_of_f16(uint16_t h)
{
    const uint32_t magnitude = h & 0x7FFFu, sign = (uint32_t)(h & 0x8000u) << 16;
    const uint32_t rebias = (127u - 15u) << 23; // f32 bias less f16 bias
    uint32_t normal = (magnitude << 13) + rebias;
    normal += magnitude >= 0x7C00u ? rebias : 0; // Inf, NaN: exponent 31 becomes 255
    const uint32_t tiny = bits_of_float((float)(int32_t)magnitude * 0x1p-24f);
    return float_of_bits((magnitude < 0x0400u ? tiny : normal) | sign);
}

static inline uint16_t f16_of_float(float f)
{
    const uint32_t bits = bits_of_float(f), magnitude = bits & 0x7FFFFFFFu;
    const uint32_t sign = bits >> 16 & 0x8000u;
    uint32_t h;
    if (magnitude > 0x7F800000u) {
        h = 0x7E00u | (magnitude >> 13 & 0x3FFu); // quiet, keeps what fits of the payload
    } else if (magnitude >= 0x47800000u) {
        h = 0x7C00u; // 65536 and more; 65520 to 65536 carry into Inf below
    } else if (magnitude < 0x38800000u) {
        // Subnormal result: its unit is 2^-24, the unit of floats just above 0.5, so this sum
        // makes the FPU round to nearest even at the right place.
        h = bits_of_float(float_of_bits(magnitude) + 0.5f) - bits_of_float(0.5f);
    } else {
        const uint32_t odd = magnitude >> 13 & 1u;
        h = (magnitude - ((127u - 15u) << 23) + 0xFFFu + odd) >> 13;
    }
    return (uint16_t)(sign | h);
}

static inline float float_of_bf16(uint16_t h)
{
    return float_of_bits((uint32_t)h << 16);
}

static inline uint16_t bf16_of_float(float f)
{
    const uint32_t bits = bits_of_float(f);
    const uint32_t quiet = bits >> 16 | 0x40u;
    const uint32_t rounded = (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16;
    return (uint16_t)((bits & 0x7FFFFFFFu) > 0x7F800000u ? quiet : rounded);
}

/* The f16 field at p, as most scales are stored. */
static inline float load_f16(const uint8_t *p)
{
    return float_of_f16(load_u16(p));
}

#endif
