/* The IQ formats: groups of 8 or 4 values named by an index into a fixed grid (IQ1 IQ2 IQ3), and
 * single values named by an index into an uneven scale (IQ4). d is f16 throughout; an octet is 8
 * values, a run 32; q is a grid index, g a grid value.
 *
 *   IQ2_XXS  66  d, runs[8]{q u8[4], u32: signs 4 x 7 bits, scale 4}  d (s + 1/2) / 4 g
 *   IQ2_XS   74  d, octets u16[32]{q 9 bits, signs 7}, scales[8]      same, s per 16 values
 *   IQ2_S    82  d, q[32], signs[32], qh[8], scales[8]                same, q 10 bits
 *   IQ3_XXS  98  d, q[64], u32[8]{signs 4 x 7 bits, scale 4}          d (s + 1/2) / 2 g
 *   IQ3_S   110  d, q[64], qh[8], signs[32], scales[4]                d (2 s + 1) g, s per run
 *   IQ1_S    50  d, q[32], u16[8]{qh 4 x 3 bits, scale 3, shift 1}    d (2 s + 1) (g +- 1/8)
 *   IQ1_M    56  q[32], qh[16]{per octet: 3 bits, shift 1}, u16[4]{scales 4 x 3 bits, d's nibble}
 *   IQ4_NL   18  d, qs[16]                                            d T[q], 32 values
 *   IQ4_XS  136  d, scales_h u16, scales_l[4], qs[128]                d (s - 32) T[q], s 6 bits
 *
 * Seven sign bits stand for eight: the number of minus signs in an octet is even. An index never
 * has more bits than its grid has points for, so nothing in a block can point outside. */
#include "quant/blocks.h"
#include "quant/iq_grids.h"

enum { VALUES = 256, OCTETS = 32, RUNS = 8 };

static unsigned eight_signs(uint32_t seven)
{
    seven &= 127;
    uint32_t parity = seven ^ seven >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    return seven | (parity & 1) << 7;
}

/* Not a branch: signs are as good as random. */
static float signed_by(float value, unsigned signs, int bit)
{
    return float_of_bits(bits_of_float(value) ^ (uint32_t)(signs >> bit & 1) << 31);
}

/* ---- IQ2: 8 values a grid point ------------------------------------------------------------ */

static void put_iq2(float *restrict out, uint16_t point, unsigned signs, float scale)
{
    static const float levels[4] = {8, 25, 43, 0}; // no point has the fourth
    for (int i = 0; i < 8; i++)
        out[i] = signed_by(scale * levels[point >> 2 * i & 3], signs, i);
}

static float iq2_scale(float d, int s)
{
    return d * (0.5f + (float)s) * 0.25f;
}

void dequantize_iq2_xxs(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 66, out += VALUES) {
        const float d = load_f16(b);
        for (int k = 0; k < OCTETS; k++) {
            const uint8_t *run = b + 2 + 8 * (k / 4);
            const uint32_t rest = load_u32(run + 4);
            put_iq2(out + 8 * k, QUANT_GRID_OCTET(quant_grid_iq2_xxs, run[k % 4]), eight_signs(rest >> 7 * (k % 4)),
                    iq2_scale(d, (int)(rest >> 28)));
        }
    }
}

void dequantize_iq2_xs(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 74, out += VALUES) {
        const float d = load_f16(b);
        for (int k = 0; k < OCTETS; k++) {
            const unsigned q = load_u16(b + 2 + 2 * k);
            const int s = b[66 + k / 4] >> 4 * (k / 2 % 2) & 15;
            put_iq2(out + 8 * k, QUANT_GRID_OCTET(quant_grid_iq2_xs, q & 511), eight_signs(q >> 9), iq2_scale(d, s));
        }
    }
}

void dequantize_iq2_s(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 82, out += VALUES) {
        const float d = load_f16(b);
        const uint8_t *q = b + 2, *signs = b + 34, *qh = b + 66, *scales = b + 74;
        for (int k = 0; k < OCTETS; k++) {
            const int index = q[k] | (qh[k / 4] >> 2 * (k % 4) & 3) << 8;
            const int s = scales[k / 4] >> 4 * (k / 2 % 2) & 15;
            put_iq2(out + 8 * k, QUANT_GRID_OCTET(quant_grid_iq2_s, index), signs[k], iq2_scale(d, s));
        }
    }
}

/* ---- IQ3: 4 values a grid point ------------------------------------------------------------ */

static void put_iq3(float *restrict out, uint16_t point, const float levels[8], unsigned signs,
                    float scale)
{
    for (int i = 0; i < 4; i++)
        out[i] = signed_by(scale * levels[point >> 3 * i & 7], signs, i);
}

void dequantize_iq3_xxs(const void *blocks, float *restrict out, size_t n)
{
    static const float levels[8] = {4, 12, 20, 28, 36, 44, 52, 62};
    for (const uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 98, out += VALUES) {
        const float d = load_f16(b);
        for (int k = 0; k < OCTETS; k++) {
            const uint32_t rest = load_u32(b + 66 + 4 * (k / 4));
            const unsigned signs = eight_signs(rest >> 7 * (k % 4));
            const float scale = d * (0.5f + (float)(rest >> 28)) * 0.5f;
            const uint8_t *q = b + 2 + 2 * k;
            put_iq3(out + 8 * k, QUANT_GRID_QUAD(quant_grid_iq3_xxs, q[0]), levels, signs, scale);
            put_iq3(out + 8 * k + 4, QUANT_GRID_QUAD(quant_grid_iq3_xxs, q[1]), levels, signs >> 4, scale);
        }
    }
}

void dequantize_iq3_s(const void *blocks, float *restrict out, size_t n)
{
    static const float levels[8] = {1, 3, 5, 7, 9, 11, 13, 15};
    for (const uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 110, out += VALUES) {
        const float d = load_f16(b);
        const uint8_t *q = b + 2, *qh = b + 66, *signs = b + 74, *scales = b + 106;
        for (int k = 0; k < 64; k++) {
            const int index = q[k] | (qh[k / 8] >> k % 8 & 1) << 8;
            const int s = scales[k / 16] >> 4 * (k / 8 % 2) & 15;
            const unsigned four_signs = (unsigned)(signs[k / 2] >> 4 * (k % 2) & 15);
            put_iq3(out + 4 * k, QUANT_GRID_QUAD(quant_grid_iq3_s, index), levels, four_signs,
                    d * (float)(2 * s + 1));
        }
    }
}

/* ---- IQ1: 8 values a grid point, all moved by an eighth ------------------------------------ */

static void put_iq1(float *restrict out, uint16_t point, bool down, float scale)
{
    const float shift = down ? -0.125f : 0.125f;
    for (int i = 0; i < 8; i++)
        out[i] = scale * ((float)((point >> 2 * i & 3) - 1) + shift);
}

void dequantize_iq1_s(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 50, out += VALUES) {
        const float d = load_f16(b);
        for (int k = 0; k < OCTETS; k++) {
            const int rest = load_u16(b + 34 + 2 * (k / 4));
            const int index = b[2 + k] | (rest >> 3 * (k % 4) & 7) << 8;
            const float scale = d * (float)(2 * (rest >> 12 & 7) + 1);
            put_iq1(out + 8 * k, QUANT_GRID_OCTET(quant_grid_iq1, index), rest >> 15, scale);
        }
    }
}

void dequantize_iq1_m(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 56, out += VALUES) {
        int scales[4];
        unsigned d_bits = 0;
        for (int i = 0; i < 4; i++) {
            scales[i] = load_u16(b + 48 + 2 * i);
            d_bits |= (unsigned)(scales[i] >> 12) << 4 * i;
        }
        const float d = float_of_f16((uint16_t)d_bits);
        for (int k = 0; k < OCTETS; k++) {
            const int rest = b[32 + k / 2] >> 4 * (k % 2) & 15;
            const int sub = k / 2, s = scales[sub / 4] >> 3 * (sub % 4) & 7; // s per 16 values
            put_iq1(out + 8 * k, QUANT_GRID_OCTET(quant_grid_iq1, b[k] | (rest & 7) << 8), rest >> 3,
                    d * (float)(2 * s + 1));
        }
    }
}

/* ---- IQ4: an uneven scale ------------------------------------------------------------------ */

static void put_iq4(float *restrict out, const uint8_t *qs, float scale)
{
    static const float uneven[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                     1,    13,   25,  38,  53,  69,  89,  113};
    for (int j = 0; j < 16; j++) {
        out[j] = scale * uneven[qs[j] & 15];
        out[j + 16] = scale * uneven[qs[j] >> 4];
    }
}

void dequantize_iq4_nl(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= 32; n -= 32, b += 18, out += 32)
        put_iq4(out, b + 2, load_f16(b));
}

void dequantize_iq4_xs(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 136, out += VALUES) {
        const float d = load_f16(b);
        const int scales_h = load_u16(b + 2);
        for (int run = 0; run < RUNS; run++) {
            const int low = b[4 + run / 2] >> 4 * (run % 2) & 15, high = scales_h >> 2 * run & 3;
            put_iq4(out + 32 * run, b + 8 + 16 * run, d * (float)((low | high << 4) - 32));
        }
    }
}
