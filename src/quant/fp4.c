/* Four-bit floats (E2M1) under a shared scale: MXFP4 and NVFP4.
 *
 *   MXFP4 32/17  e, qs[16]        T[q] 2^(e - 128); value j low, value j + 16 high nibble
 *   NVFP4 64/36  scales[4], qs[32]  per 16 values: T[q] scale / 2; value j low, j + 8 high nibble
 *
 * T holds twice the E2M1 values, hence the halves above. Two codes are read as the engines that
 * write these files read them: e 255 (not a number in the MX specification) is 2^127, and an NVFP4
 * scale of 7F (not a number) is 0. The top bit of an NVFP4 scale says nothing. */
#include "quant/blocks.h"

static const float doubled_e2m1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

void dequantize_mxfp4(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= 32; n -= 32, b += 17, out += 32) {
        const uint32_t e = b[0];
        // 2^(e - 128); the two smallest are subnormal.
        const float d = float_of_bits(e < 2 ? 0x00200000u << e : (e - 1) << 23);
        for (int j = 0; j < 16; j++) {
            out[j] = d * doubled_e2m1[b[1 + j] & 15];
            out[j + 16] = d * doubled_e2m1[b[1 + j] >> 4];
        }
    }
}

/* Half of an unsigned E4M3 float (exponent bias 7). */
static float half_of_ue4m3(uint8_t code)
{
    const uint32_t exponent = code >> 3 & 15u, mantissa = code & 7u;
    if (code == 0x7F)
        return 0;
    if (exponent == 0)
        return (float)mantissa * 0x1p-10f;
    return float_of_bits((exponent + (127 - 7 - 1)) << 23 | mantissa << 20);
}

void dequantize_nvfp4(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= 64; n -= 64, b += 36, out += 64) {
        for (int sub = 0; sub < 4; sub++) {
            const float d = half_of_ue4m3(b[sub]);
            const uint8_t *qs = b + 4 + 8 * sub;
            for (int j = 0; j < 8; j++) {
                out[16 * sub + j] = d * doubled_e2m1[qs[j] & 15];
                out[16 * sub + j + 8] = d * doubled_e2m1[qs[j] >> 4];
            }
        }
    }
}
