/* The 32-value formats: Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q8_1, and writing of Q4_0 Q4_1 Q8_0.
 *
 *   Q4_0 18  d f16, qs[16]                 (q - 8) d
 *   Q4_1 20  d f16, m f16, qs[16]          q d + m
 *   Q5_0 22  d f16, qh u32, qs[16]         (q - 16) d
 *   Q5_1 24  d f16, m f16, qh u32, qs[16]  q d + m
 *   Q8_0 34  d f16, q i8[32]               q d
 *   Q8_1 36  d f16, s f16, q i8[32]        q d        (s = d sum(q), not needed here)
 *
 * qs[j] holds value j in its low nibble and value j + 16 in its high one; bit j of qh is the fifth
 * bit of value j.
 *
 * The writers round as the formats' first implementation does (Q4: add a half and cut; Q8: halves
 * away from zero; with the scale before it is rounded to f16), so files come out the same. Finite
 * values always give finite blocks: a scale beyond f16 is cut to 65504. A NaN is written as the
 * middle of the block's range; an infinity makes the block's scale infinite. */
#include <float.h>
#include <math.h>

#include "quant/blocks.h"

enum { VALUES = 32, HALF = 16 };

void dequantize_q4_0(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 18, out += VALUES) {
        const float d = load_f16(b);
        const uint8_t *qs = b + 2;
        for (int j = 0; j < HALF; j++) {
            out[j] = (float)((qs[j] & 15) - 8) * d;
            out[j + HALF] = (float)((qs[j] >> 4) - 8) * d;
        }
    }
}

void dequantize_q4_1(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 20, out += VALUES) {
        const float d = load_f16(b), m = load_f16(b + 2);
        const uint8_t *qs = b + 4;
        for (int j = 0; j < HALF; j++) {
            out[j] = (float)(qs[j] & 15) * d + m;
            out[j + HALF] = (float)(qs[j] >> 4) * d + m;
        }
    }
}

void dequantize_q5_0(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 22, out += VALUES) {
        const float d = load_f16(b);
        const uint32_t qh = load_u32(b + 2);
        const uint8_t *qs = b + 6;
        for (int j = 0; j < HALF; j++) {
            const int low = (qs[j] & 15) | (int)(qh >> j & 1) << 4;
            const int high = qs[j] >> 4 | (int)(qh >> (j + HALF) & 1) << 4;
            out[j] = (float)(low - 16) * d;
            out[j + HALF] = (float)(high - 16) * d;
        }
    }
}

void dequantize_q5_1(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 24, out += VALUES) {
        const float d = load_f16(b), m = load_f16(b + 2);
        const uint32_t qh = load_u32(b + 4);
        const uint8_t *qs = b + 8;
        for (int j = 0; j < HALF; j++) {
            const int low = (qs[j] & 15) | (int)(qh >> j & 1) << 4;
            const int high = qs[j] >> 4 | (int)(qh >> (j + HALF) & 1) << 4;
            out[j] = (float)low * d + m;
            out[j + HALF] = (float)high * d + m;
        }
    }
}

static void scale_bytes(float *restrict out, const uint8_t *q, float d)
{
    for (int j = 0; j < VALUES; j++)
        out[j] = (float)(int8_t)q[j] * d;
}

void dequantize_q8_0(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 34, out += VALUES)
        scale_bytes(out, b + 2, load_f16(b));
}

void dequantize_q8_1(const void *blocks, float *restrict out, size_t n)
{
    for (const uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 36, out += VALUES)
        scale_bytes(out, b + 4, load_f16(b));
}

/* f cut to what f16 holds, except that an infinity stays one. */
static float within_f16(float f)
{
    if (fabsf(f) > FLT_MAX)
        return f;
    return f > 65504 ? 65504 : f < -65504 ? -65504 : f;
}

/* most - least, cut to FLT_MAX where only the subtraction made it infinite. */
static float distance(float least, float most)
{
    const float d = most - least;
    return d > FLT_MAX && most <= FLT_MAX && least >= -FLT_MAX ? FLT_MAX : d;
}

static void store_f16(uint8_t *p, float f)
{
    const uint16_t h = f16_of_float(f);
    memcpy(p, &h, sizeof h);
}

static uint8_t cut_nibble(float v)
{
    if (v != v)
        return 8;
    return v < 0 ? 0 : v < 15 ? (uint8_t)v : 15;
}

void quantize_q4_0(const float *in, void *restrict blocks, size_t n)
{
    for (uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 18, in += VALUES) {
        float peak = 0; // the value furthest from 0, with its sign: it becomes -8
        for (int j = 0; j < VALUES; j++) {
            if (fabsf(in[j]) > fabsf(peak))
                peak = in[j];
        }
        const float d = within_f16(peak / -8), inverse = d != 0 ? 1 / d : 0;
        store_f16(b, d);
        for (int j = 0; j < HALF; j++) {
            const uint8_t low = cut_nibble(in[j] * inverse + 8.5f);
            const uint8_t high = cut_nibble(in[j + HALF] * inverse + 8.5f);
            b[2 + j] = (uint8_t)(low | high << 4);
        }
    }
}

void quantize_q4_1(const float *in, void *restrict blocks, size_t n)
{
    for (uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 20, in += VALUES) {
        float least = INFINITY, most = -INFINITY;
        for (int j = 0; j < VALUES; j++) {
            least = in[j] < least ? in[j] : least;
            most = in[j] > most ? in[j] : most;
        }
        if (least > most) // nothing but NaN
            least = most = 0;
        const float m = within_f16(least), d = within_f16(distance(least, most) / 15);
        const float inverse = d != 0 ? 1 / d : 0;
        store_f16(b, d);
        store_f16(b + 2, m);
        for (int j = 0; j < HALF; j++) {
            const uint8_t low = cut_nibble((in[j] - m) * inverse + 0.5f);
            const uint8_t high = cut_nibble((in[j + HALF] - m) * inverse + 0.5f);
            b[4 + j] = (uint8_t)(low | high << 4);
        }
    }
}

static int8_t round_byte(float v)
{
    if (v != v)
        return 0;
    if (fabsf(v) > 127) // only where the scale was cut, or by a rounding
        return v > 0 ? 127 : -127;
    const int whole = (int)v;
    const float rest = v - (float)whole; // exact, unlike v + 0.5
    return (int8_t)(whole + (rest >= 0.5f) - (rest <= -0.5f));
}

void quantize_q8_0(const float *in, void *restrict blocks, size_t n)
{
    for (uint8_t *b = blocks; n >= VALUES; n -= VALUES, b += 34, in += VALUES) {
        float peak = 0;
        for (int j = 0; j < VALUES; j++)
            peak = fabsf(in[j]) > peak ? fabsf(in[j]) : peak;
        const float d = within_f16(peak / 127), inverse = d != 0 ? 1 / d : 0;
        store_f16(b, d);
        for (int j = 0; j < VALUES; j++)
            b[2 + j] = (uint8_t)round_byte(in[j] * inverse);
    }
}
