/* The table of formats, sizes, names of ids that are not ours, half and bfloat16 conversion, and
 * the int8 form of activations. The formats themselves are in the family files. */
#include "quant/quant.h"

#include <float.h>

#include "base/mem.h"
#include "quant/blocks.h"

const quant_traits *quant_find(uint32_t id)
{
    static const quant_traits table[QUANT_ID_END] = {
#define ROW_READ(NAME, lower, id, values, bytes) \
    [id] = {#NAME, id, values, bytes, dequantize_##lower, NULL},
#define ROW_WRITE(NAME, lower, id, values, bytes) \
    [id] = {#NAME, id, values, bytes, dequantize_##lower, quantize_##lower},
        QUANT_FORMATS(ROW_READ, ROW_WRITE)
#undef ROW_READ
#undef ROW_WRITE
    };
    return id < QUANT_ID_END && table[id].name ? &table[id] : NULL;
}

const char *quant_foreign_name(uint32_t id)
{
    static const struct {
        uint32_t id;
        const char *name;
    } names[] = {
        {4, "Q4_2 (removed)"},
        {5, "Q4_3 (removed)"},
        {31, "Q4_0_4_4 (removed)"},
        {32, "Q4_0_4_8 (removed)"},
        {33, "Q4_0_8_8 (removed)"},
        {36, "I2_S (BitNet) or IQ4_NL_4_4 (removed)"},
        {37, "I8_S (BitNet) or IQ4_NL_4_8 (removed)"},
        {38, "TL1 (BitNet) or IQ4_NL_8_8 (removed)"},
        {97, "Q8_0_X4 (ik_llama.cpp)"},
        {98, "Q8_0_X4 or Q8_1_X4 (ik_llama.cpp)"},
        {99, "Q8_1_X4 or Q8_2_X4 (ik_llama.cpp)"},
        {133, "Q6_0 (ik_llama.cpp)"},
        {134, "IQ1_BN (ik_llama.cpp)"},
        {135, "IQ2_BN (ik_llama.cpp)"},
        {136, "Q8_K64 (ik_llama.cpp)"},
        {137, "IQ2_K (ik_llama.cpp)"},
        {138, "IQ3_K (ik_llama.cpp)"},
        {139, "IQ4_K (ik_llama.cpp)"},
        {140, "IQ5_K (ik_llama.cpp)"},
        {141, "IQ6_K (ik_llama.cpp)"},
        {142, "IQ2_TN (ik_llama.cpp, removed) or PQ2_0 (PrismML)"},
        {143, "IQ1_TN (ik_llama.cpp, removed) or PTQ1_0 (PrismML)"},
        {144, "IQ4_KS (ik_llama.cpp)"},
        {145, "IQ2_KS (ik_llama.cpp)"},
        {146, "IQ4_KSS (ik_llama.cpp)"},
        {147, "Q8_K16 (ik_llama.cpp)"},
        {148, "Q8_K32 (ik_llama.cpp)"},
        {149, "Q8_KR8 (ik_llama.cpp)"},
        {150, "Q8_K128 (ik_llama.cpp)"},
        {151, "Q8_KV (ik_llama.cpp)"},
        {152, "IQ5_KS (ik_llama.cpp)"},
        {153, "IQ2_KT (ik_llama.cpp)"},
        {154, "IQ3_KT (ik_llama.cpp)"},
        {155, "IQ4_KT (ik_llama.cpp)"},
        {156, "IQ3_KS (ik_llama.cpp)"},
        {157, "IQ2_KL (ik_llama.cpp)"},
        {158, "IQ1_KT (ik_llama.cpp)"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].id == id)
            return names[i].name;
    }
    // Some forty ids of one scheme: the format's own id and 200 or more, rows woven together.
    return id >= 202 && id <= 399 ? "row-interleaved _R4/_R8/_R16 (ik_llama.cpp)" : NULL;
}

bool quant_bytes(uint32_t id, uint64_t n, uint64_t *bytes)
{
    const quant_traits *traits = quant_find(id);
    return traits && n % traits->values == 0 && u64_mul(n / traits->values, traits->bytes, bytes);
}

float quant_f16_to_f32(uint16_t h)
{
    return float_of_f16(h);
}

uint16_t quant_f32_to_f16(float f)
{
    return f16_of_float(f);
}

float quant_bf16_to_f32(uint16_t h)
{
    return float_of_bf16(h);
}

uint16_t quant_f32_to_bf16(float f)
{
    return bf16_of_float(f);
}

uint64_t quant_room(uint32_t format, uint64_t rows, uint64_t cols)
{
    const quant_traits *t = quant_find(format);
    uint64_t bytes;
    if (!t)
        return UINT64_MAX;
    if (t->values == 1)
        return u64_mul(rows, cols, &bytes) && u64_mul(bytes, t->bytes, &bytes) ? bytes : UINT64_MAX;
    uint64_t blocks = cols / t->values;
    blocks += t->values == 32 ? blocks % 2 : 0;
    return u64_mul(blocks, t->bytes + (t->values == 256 ? 4u : 0), &bytes) && rows <= UINT64_MAX - 15 &&
                   u64_mul(bytes, (rows + 15) / 16 * 16, &bytes)
               ? bytes
               : UINT64_MAX;
}

/* v, |v| < 2^22, to the nearest integer, ties to even: at 1.5 * 2^23 the unit of a float is 1, so
 * the sum is rounded by the FPU. Unlike rintf it becomes vector code on every target. */
static int32_t nearest(float v)
{
    return (int32_t)bits_of_float(v + 0x1.8p23f) - 0x4B400000;
}

void quant_activations(const float *in, size_t n, int8_t *q, float *d, int32_t *sums)
{
    for (; n >= 16; n -= 16, in += 16, q += 16) {
        // Magnitudes compare as integers like floats do, with Inf and NaN on top.
        uint32_t peak = 0;
        for (int j = 0; j < 16; j++) {
            const uint32_t magnitude = bits_of_float(in[j]) & 0x7FFFFFFFu;
            peak = magnitude > peak ? magnitude : peak;
        }
        const float scale = float_of_bits(peak) / 127;
        const bool finite = peak < 0x7F800000u;
        int32_t sum = 0;
        if (finite && scale >= FLT_MIN) {
            for (int j = 0; j < 16; j++) {
                const int32_t v = nearest(in[j] / scale);
                q[j] = (int8_t)v;
                sum += v;
            }
            *d = scale;
        } else {
            memset(q, 0, 16);
            *d = finite ? 0 : float_of_bits(0x7FC00000u);
        }
        d++;
        *sums++ = sum;
    }
}
