/* One- and two-bit formats for models trained that way: TQ1_0 TQ2_0 Q1_0 Q2_0.
 *
 *   TQ1_0 256/54  qs[48], qh[4], d f16   d t,        t of -1 0 1, five (qh: four) to a byte
 *   TQ2_0 256/66  qs[64], d f16          d (q - 1),  q 2 bits
 *   Q1_0  128/18  d f16, bits[16]        d or -d,    bit j of byte j / 8, set for d
 *   Q2_0   64/18  d f16, qs[16]          d (q - 1),  q in bits 2 (j % 4) of byte j / 4 */
#include "quant/blocks.h"

/* Writes `digits` runs of `width` values, one digit of every byte a run. A byte is a fraction of
 * 256 in base 3, first digit most significant: times 3 to the power k modulo 256 drops the first k
 * digits, and three times the rest, above 256, is digit k. */
static void read_trits(float *restrict out, const uint8_t *bytes, int width, int digits, float d)
{
    unsigned power = 1;
    for (int k = 0; k < digits; k++, power *= 3) {
        for (int j = 0; j < width; j++) {
            const unsigned rest = bytes[j] * power & 255u;
            out[k * width + j] = d * (float)((int)(rest * 3 >> 8) - 1);
        }
    }
}

void dequantize_tq1_0(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= 256; n -= 256, b += 54, out += 256) {
        const float d = load_f16(b + 52);
        read_trits(out, b, 32, 5, d);
        read_trits(out + 160, b + 32, 16, 5, d);
        read_trits(out + 240, b + 48, 4, 4, d);
    }
}

void dequantize_tq2_0(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= 256; n -= 256, b += 66, out += 256) {
        const float d = load_f16(b + 64);
        for (int run = 0; run < 8; run++) { // 32 bytes hold four runs of 32 values
            const uint8_t *qs = b + 32 * (run / 4);
            const int shift = 2 * (run % 4);
            for (int j = 0; j < 32; j++)
                out[32 * run + j] = d * (float)((qs[j] >> shift & 3) - 1);
        }
    }
}

void dequantize_q1_0(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= 128; n -= 128, b += 18, out += 128) {
        const float d = load_f16(b);
        for (int j = 0; j < 128; j++)
            out[j] = b[2 + j / 8] >> j % 8 & 1 ? d : -d;
    }
}

void dequantize_q2_0(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= 64; n -= 64, b += 18, out += 64) {
        const float d = load_f16(b);
        for (int j = 0; j < 64; j++)
            out[j] = d * (float)((b[2 + j / 4] >> 2 * (j % 4) & 3) - 1);
    }
}
