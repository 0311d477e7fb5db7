/* The 256-value formats with quantised sub-block scales: Q2_K Q3_K Q4_K Q5_K Q6_K Q8_K.
 *
 *   Q2_K  84  scales[16], qs[64], d f16, dmin f16        d sc q - dmin m,  q 2 bits
 *   Q3_K 110  hmask[32], qs[64], scales[12], d f16       d (sc - 32) q,    q 3 bits less 4
 *   Q4_K 144  d f16, dmin f16, scales[12], qs[128]       d sc q - dmin m,  q 4 bits
 *   Q5_K 176  d f16, dmin f16, scales[12], qh[32], qs[128]                 q 5 bits
 *   Q6_K 210  ql[128], qh[64], scales i8[16], d f16      d sc (q - 32),    q 6 bits
 *   Q8_K 292  d f32, q i8[256], sums i16[16]             d q
 *
 * Sub-blocks are 16 values (Q2_K, Q3_K, Q6_K) or 32 (Q4_K, Q5_K). Q2_K keeps a sub-block's scale
 * in the low nibble of its byte, its minimum in the high one; Q3_K, Q4_K and Q5_K pack 6-bit
 * scales as unpack_scales and unpack_scale_min say. */
#include "quant/blocks.h"

enum { VALUES = 256 };

void dequantize_q2_k(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 84, out += VALUES) {
        const float d = load_f16(b + 80), dmin = load_f16(b + 82);
        for (int sub = 0; sub < 16; sub++) {
            // Each half of the block has 32 bytes; its four fields are four runs of 32 values.
            const uint8_t *qs = b + 16 + 32 * (sub / 8) + 16 * (sub % 2);
            const int shift = 2 * (sub / 2 % 4);
            const float scale = d * (float)(b[sub] & 15), min = dmin * (float)(b[sub] >> 4);
            for (int j = 0; j < 16; j++)
                out[16 * sub + j] = scale * (float)(qs[j] >> shift & 3) - min;
        }
    }
}

/* Q3_K: low 4 bits of scale j in nibble j / 8 of byte j % 8, its high 2 bits in field j / 4 of byte
 * 8 + j % 4. */
static void unpack_scales(const uint8_t *packed, int8_t *scales)
{
    for (int j = 0; j < 16; j++) {
        const int low = packed[j % 8] >> 4 * (j / 8) & 15;
        const int high = packed[8 + j % 4] >> 2 * (j / 4) & 3;
        scales[j] = (int8_t)((low | high << 4) - 32);
    }
}

void dequantize_q3_k(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 110, out += VALUES) {
        const float d = load_f16(b + 108);
        int8_t scales[16];
        unpack_scales(b + 96, scales);
        for (int sub = 0; sub < 16; sub++) {
            const uint8_t *qs = b + 32 + 32 * (sub / 8) + 16 * (sub % 2);
            const uint8_t *hmask = b + 16 * (sub % 2);
            const int shift = 2 * (sub / 2 % 4);
            const float scale = d * (float)scales[sub];
            for (int j = 0; j < 16; j++) {
                const int high = hmask[j] >> sub / 2 & 1; // set: nothing to subtract
                out[16 * sub + j] = scale * (float)((qs[j] >> shift & 3) + 4 * high - 4);
            }
        }
    }
}

/* Q4_K, Q5_K: scales 0-3 and minima 0-3 are the low 6 bits of bytes 0-3 and 4-7. Scale and minimum
 * j of 4-7 have their low 4 bits in byte j + 4 (low, high nibble), their high 2 bits on top of
 * bytes j - 4 and j. */
static void unpack_scale_min(const uint8_t *packed, int j, int *scale, int *min)
{
    if (j < 4) {
        *scale = packed[j] & 63;
        *min = packed[j + 4] & 63;
    } else {
        *scale = (packed[j + 4] & 15) | packed[j - 4] >> 6 << 4;
        *min = packed[j + 4] >> 4 | packed[j] >> 6 << 4;
    }
}

void dequantize_q4_k(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 144, out += VALUES) {
        const float d = load_f16(b), dmin = load_f16(b + 2);
        for (int sub = 0; sub < 8; sub++) {
            const uint8_t *qs = b + 16 + 32 * (sub / 2);
            const int shift = 4 * (sub % 2);
            int sc, m;
            unpack_scale_min(b + 4, sub, &sc, &m);
            const float scale = d * (float)sc, min = dmin * (float)m;
            for (int j = 0; j < 32; j++)
                out[32 * sub + j] = scale * (float)(qs[j] >> shift & 15) - min;
        }
    }
}

void dequantize_q5_k(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 176, out += VALUES) {
        const float d = load_f16(b), dmin = load_f16(b + 2);
        const uint8_t *qh = b + 16; // bit s of byte j: fifth bit of value j of sub-block s
        for (int sub = 0; sub < 8; sub++) {
            const uint8_t *qs = b + 48 + 32 * (sub / 2);
            const int shift = 4 * (sub % 2);
            int sc, m;
            unpack_scale_min(b + 4, sub, &sc, &m);
            const float scale = d * (float)sc, min = dmin * (float)m;
            for (int j = 0; j < 32; j++) {
                const int q = (qs[j] >> shift & 15) | (qh[j] >> sub & 1) << 4;
                out[32 * sub + j] = scale * (float)q - min;
            }
        }
    }
}

void dequantize_q6_k(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 210, out += VALUES) {
        const float d = load_f16(b + 208);
        for (int sub = 0; sub < 16; sub++) {
            // A half of 128 values is four runs of 32: runs 0 and 2 share 32 bytes of ql, runs 1
            // and 3 the next 32; all four share 32 bytes of qh.
            const int half = sub / 8, run = sub / 2 % 4, side = 16 * (sub % 2);
            const uint8_t *ql = b + 64 * half + 32 * (run % 2) + side;
            const uint8_t *qh = b + 128 + 32 * half + side;
            const int low = 4 * (run / 2), high = 2 * run;
            const float scale = d * (float)(int8_t)b[192 + sub];
            for (int j = 0; j < 16; j++) {
                const int q = (ql[j] >> low & 15) | (qh[j] >> high & 3) << 4;
                out[16 * sub + j] = scale * (float)(q - 32);
            }
        }
    }
}

void dequantize_q8_k(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 292, out += VALUES) {
        const float d = float_of_bits(load_u32(b));
        for (int j = 0; j < VALUES; j++)
            out[j] = d * (float)(int8_t)b[4 + j];
    }
}
