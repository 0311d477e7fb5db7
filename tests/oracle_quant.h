/* What every tensor format means, value by value: where the bits of value i lie and what scale
 * applies, in double precision, one field at a time. Written from the formats' descriptions
 * (docs/formats.md) and sharing no code with src/quant; slow on purpose.
 *
 * The grids of the IQ formats are the one thing taken from the library; test_quant.c compares them
 * with the SHA-256 of the published ones. */
#ifndef INGLE_ORACLE_QUANT_H
#define INGLE_ORACLE_QUANT_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "quant/iq_grids.h"

/* `width` bits from bit number `bit` of the block, where bit 0 is the lowest of byte 0. */
static unsigned field(const uint8_t *b, int bit, int width)
{
    unsigned value = 0;
    for (int k = 0; k < width; k++)
        value |= (unsigned)((b[(bit + k) / 8] >> (bit + k) % 8) & 1) << k;
    return value;
}

static int signed_byte(const uint8_t *b, int byte)
{
    return b[byte] < 128 ? b[byte] : (int)b[byte] - 256;
}

/* sign 1, exponent, mantissa from the top, IEEE 754 */
static double ieee(uint64_t bits, int exponent_bits, int mantissa_bits)
{
    const int bias = (1 << (exponent_bits - 1)) - 1, top = (1 << exponent_bits) - 1;
    const uint64_t mantissa = bits & (((uint64_t)1 << mantissa_bits) - 1);
    const int exponent = (int)(bits >> mantissa_bits & (uint64_t)top);
    const double sign = bits >> (exponent_bits + mantissa_bits) & 1 ? -1 : 1;
    if (exponent == top)
        return mantissa ? NAN : sign * INFINITY;
    if (exponent == 0)
        return sign * ldexp((double)mantissa, 1 - bias - mantissa_bits);
    return sign * ldexp((double)(mantissa + ((uint64_t)1 << mantissa_bits)),
                        exponent - bias - mantissa_bits);
}

static double half(const uint8_t *b, int byte)
{
    return ieee(field(b, 8 * byte, 16), 5, 10);
}

/* ---- one value each ------------------------------------------------------------------------ */

static uint64_t little_endian(const uint8_t *b, int bytes)
{
    uint64_t v = 0;
    for (int k = bytes - 1; k >= 0; k--)
        v = v * 256 + b[k];
    return v;
}

/* two's complement by hand */
static double integer(const uint8_t *b, int bytes)
{
    const uint64_t v = little_endian(b, bytes), top = (uint64_t)1 << (8 * bytes - 1);
    return (double)(v & (top - 1)) - (v & top ? ldexp(1, 8 * bytes - 1) : 0);
}

static double value_f32(const uint8_t *b, int i)
{
    (void)i;
    return ieee(little_endian(b, 4), 8, 23);
}

static double value_f16(const uint8_t *b, int i)
{
    (void)i;
    return half(b, 0);
}

static double value_bf16(const uint8_t *b, int i)
{
    (void)i;
    return ieee(little_endian(b, 2), 8, 7);
}

static double value_f64(const uint8_t *b, int i)
{
    (void)i;
    return ieee(little_endian(b, 8), 11, 52);
}

static double value_i8(const uint8_t *b, int i)
{
    (void)i;
    return integer(b, 1);
}

static double value_i16(const uint8_t *b, int i)
{
    (void)i;
    return integer(b, 2);
}

static double value_i32(const uint8_t *b, int i)
{
    (void)i;
    return integer(b, 4);
}

static double value_i64(const uint8_t *b, int i)
{
    (void)i;
    // The subtraction of doubles above is inexact at 64 bits: add the halves, each exact.
    const double high = integer(b + 4, 4), low = (double)little_endian(b, 4);
    return ldexp(high, 32) + low;
}

/* ---- blocks of 32 -------------------------------------------------------------------------- */

/* Bit number of the nibble of value i of 32, when the nibbles start at `byte`. */
static int nibble32(int byte, int i)
{
    return i < 16 ? 8 * (byte + i) : 8 * (byte + i - 16) + 4;
}

static double value_q4_0(const uint8_t *b, int i)
{
    return half(b, 0) * ((double)field(b, nibble32(2, i), 4) - 8);
}

static double value_q4_1(const uint8_t *b, int i)
{
    return half(b, 0) * field(b, nibble32(4, i), 4) + half(b, 2);
}

static double value_q5_0(const uint8_t *b, int i)
{
    return half(b, 0) * (field(b, nibble32(6, i), 4) + 16.0 * field(b, 16 + i, 1) - 16);
}

static double value_q5_1(const uint8_t *b, int i)
{
    return half(b, 0) * (field(b, nibble32(8, i), 4) + 16.0 * field(b, 32 + i, 1)) + half(b, 2);
}

static double value_q8_0(const uint8_t *b, int i)
{
    return half(b, 0) * signed_byte(b, 2 + i);
}

static double value_q8_1(const uint8_t *b, int i)
{
    return half(b, 0) * signed_byte(b, 4 + i);
}

/* ---- blocks of 256 with scales of sub-blocks ----------------------------------------------- */

/* 64 bytes of 2-bit fields: 128 values in 32 bytes, value 32 f + l in field f of byte l. */
static int pair256(int byte, int i)
{
    const int chunk = i / 128, f = i % 128 / 32, l = i % 32;
    return 8 * (byte + 32 * chunk + l) + 2 * f;
}

static double value_q2_k(const uint8_t *b, int i)
{
    const int sub = i / 16;
    return half(b, 80) * field(b, 8 * sub, 4) * field(b, pair256(16, i), 2) -
           half(b, 82) * field(b, 8 * sub + 4, 4);
}

static double value_q3_k(const uint8_t *b, int i)
{
    const int j = i / 16;
    const double scale = field(b, 8 * (96 + j % 8) + (j < 8 ? 0 : 4), 4) +
                         16.0 * field(b, 8 * (104 + j % 4) + 2 * (j / 4), 2) - 32;
    const double q = field(b, pair256(32, i), 2) - (field(b, 8 * (i % 32) + i / 32, 1) ? 0.0 : 4.0);
    return half(b, 108) * scale * q;
}

/* 6-bit scales (which 0) and minima (which 1) of eight sub-blocks in 12 bytes at `byte`. */
static double six_bits(const uint8_t *b, int byte, int which, int sub)
{
    if (sub < 4)
        return field(b, 8 * (byte + 4 * which + sub), 6);
    return field(b, 8 * (byte + 8 + sub - 4) + 4 * which, 4) +
           16.0 * field(b, 8 * (byte + 4 * which + sub - 4) + 6, 2);
}

static int nibble64(int byte, int i)
{
    return 8 * (byte + i / 64 * 32 + i % 32) + (i % 64 < 32 ? 0 : 4);
}

static double value_q4_k(const uint8_t *b, int i)
{
    return half(b, 0) * six_bits(b, 4, 0, i / 32) * field(b, nibble64(16, i), 4) -
           half(b, 2) * six_bits(b, 4, 1, i / 32);
}

static double value_q5_k(const uint8_t *b, int i)
{
    const double q = field(b, nibble64(48, i), 4) + 16.0 * field(b, 8 * (16 + i % 32) + i / 32, 1);
    return half(b, 0) * six_bits(b, 4, 0, i / 32) * q - half(b, 2) * six_bits(b, 4, 1, i / 32);
}

static double value_q6_k(const uint8_t *b, int i)
{
    const int chunk = i / 128, r = i % 128 / 32, l = i % 32;
    const int low_byte[4] = {l, l + 32, l, l + 32}, low_bit[4] = {0, 0, 4, 4};
    const double q = field(b, 8 * (64 * chunk + low_byte[r]) + low_bit[r], 4) +
                     16.0 * field(b, 8 * (128 + 32 * chunk + l) + 2 * r, 2);
    return half(b, 208) * signed_byte(b, 192 + i / 16) * (q - 32);
}

static double value_q8_k(const uint8_t *b, int i)
{
    return ieee(little_endian(b, 4), 8, 23) * signed_byte(b, 4 + i);
}

/* ---- grids --------------------------------------------------------------------------------- */

static int grid2(int point, int i) // IQ2: value i of 8
{
    const int levels[3] = {0x08, 0x19, 0x2B};
    return levels[point / (1 << 2 * i) % 4];
}

static int grid1(int point, int i) // IQ1
{
    return point / (1 << 2 * i) % 4 - 1;
}

static int grid3_xxs(int point, int i) // value i of 4
{
    const int level = point / (1 << 3 * i) % 8;
    return level == 7 ? 62 : 4 + 8 * level;
}

static int grid3_s(int point, int i)
{
    return 1 + 2 * (point / (1 << 3 * i) % 8);
}

/* The sign of value i of 8 from the 7 bits at `bit`: the last makes the count of minuses even. */
static double sign_of_seven(const uint8_t *b, int bit, int i)
{
    unsigned minuses = 0;
    if (i < 7)
        return field(b, bit + i, 1) ? -1 : 1;
    for (int k = 0; k < 7; k++)
        minuses += field(b, bit + k, 1);
    return minuses % 2 ? -1 : 1;
}

static double value_iq2_xxs(const uint8_t *b, int i)
{
    const int run = 2 + 8 * (i / 32), octet = i % 32 / 8; // 4 indices, then 28 sign bits and scale
    return half(b, 0) * (field(b, 8 * (run + 4) + 28, 4) + 0.5) / 4 *
           grid2(QUANT_GRID_OCTET(quant_grid_iq2_xxs, b[run + octet]), i % 8) *
           sign_of_seven(b, 8 * (run + 4) + 7 * octet, i % 8);
}

static double value_iq2_xs(const uint8_t *b, int i)
{
    const int word = 8 * (2 + 2 * (i / 8));
    return half(b, 0) * (field(b, 8 * 66 + 4 * (i / 16), 4) + 0.5) / 4 *
           grid2(QUANT_GRID_OCTET(quant_grid_iq2_xs, (int)field(b, word, 9)), i % 8) *
           sign_of_seven(b, word + 9, i % 8);
}

static double value_iq2_s(const uint8_t *b, int i)
{
    const int index = b[2 + i / 8] + 256 * (int)field(b, 8 * 66 + 2 * (i / 8), 2);
    return half(b, 0) * (field(b, 8 * 74 + 4 * (i / 16), 4) + 0.5) / 4 *
           grid2(QUANT_GRID_OCTET(quant_grid_iq2_s, index), i % 8) * (field(b, 8 * 34 + i, 1) ? -1 : 1);
}

static double value_iq3_xxs(const uint8_t *b, int i)
{
    const int word = 8 * (66 + 4 * (i / 32));
    return half(b, 0) * (field(b, word + 28, 4) + 0.5) / 2 *
           grid3_xxs(QUANT_GRID_QUAD(quant_grid_iq3_xxs, b[2 + i / 4]), i % 4) *
           sign_of_seven(b, word + 7 * (i % 32 / 8), i % 8);
}

static double value_iq3_s(const uint8_t *b, int i)
{
    const int index = b[2 + i / 4] + 256 * (int)field(b, 8 * 66 + i / 4, 1);
    return half(b, 0) * (2 * field(b, 8 * 106 + 4 * (i / 32), 4) + 1) *
           grid3_s(QUANT_GRID_QUAD(quant_grid_iq3_s, index), i % 4) * (field(b, 8 * 74 + i, 1) ? -1 : 1);
}

static double value_iq1_s(const uint8_t *b, int i)
{
    const int word = 8 * (34 + 2 * (i / 32));
    const int index = b[2 + i / 8] + 256 * (int)field(b, word + 3 * (i % 32 / 8), 3);
    return half(b, 0) * (2 * field(b, word + 12, 3) + 1) *
           (grid1(QUANT_GRID_OCTET(quant_grid_iq1, index), i % 8) + (field(b, word + 15, 1) ? -0.125 : 0.125));
}

static double value_iq1_m(const uint8_t *b, int i)
{
    uint64_t d = 0; // its nibbles are on top of the four words of scales
    for (int k = 0; k < 4; k++)
        d += (uint64_t)field(b, 8 * (48 + 2 * k) + 12, 4) << 4 * k;
    const int octet = i / 8, sub = i / 16;
    const int index = b[octet] + 256 * (int)field(b, 8 * 32 + 4 * octet, 3);
    const double scale = 2 * field(b, 8 * (48 + 2 * (sub / 4)) + 3 * (sub % 4), 3) + 1;
    return ieee(d, 5, 10) * scale *
           (grid1(QUANT_GRID_OCTET(quant_grid_iq1, index), i % 8) +
            (field(b, 8 * 32 + 4 * octet + 3, 1) ? -0.125 : 0.125));
}

/* ---- codes that look a value up ------------------------------------------------------------ */

static const int iq4_codes[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113};

static double value_iq4_nl(const uint8_t *b, int i)
{
    return half(b, 0) * iq4_codes[field(b, nibble32(2, i), 4)];
}

static double value_iq4_xs(const uint8_t *b, int i)
{
    const int run = i / 32;
    const double scale = field(b, 32 + 4 * run, 4) + 16.0 * field(b, 16 + 2 * run, 2) - 32;
    return half(b, 0) * scale * iq4_codes[field(b, nibble32(8 + 16 * run, i % 32), 4)];
}

/* sign 1, exponent 2 (bias 1), mantissa 1, no infinities */
static double e2m1(unsigned code)
{
    const int exponent = code / 2 % 4, mantissa = code % 2;
    const double magnitude = exponent ? ldexp(2 + mantissa, exponent - 2) : mantissa * 0.5;
    return code / 8 ? -magnitude : magnitude;
}

static double value_mxfp4(const uint8_t *b, int i)
{
    return e2m1(field(b, nibble32(1, i), 4)) * ldexp(1, b[0] - 127);
}

static double value_nvfp4(const uint8_t *b, int i)
{
    const int sub = i / 16, l = i % 16;
    const unsigned code = field(b, 8 * (4 + 8 * sub + l % 8) + (l < 8 ? 0 : 4), 4);
    const int exponent = (int)field(b, 8 * sub + 3, 4), mantissa = (int)field(b, 8 * sub, 3);
    const double scale = exponent ? ldexp(8 + mantissa, exponent - 10) : ldexp(mantissa, -9);
    return e2m1(code) * (b[sub] == 0x7F ? 0 : scale);
}

/* ---- ternary and binary -------------------------------------------------------------------- */

static double value_tq1_0(const uint8_t *b, int i)
{
    int byte, digit;
    if (i < 160) {
        byte = i % 32;
        digit = i / 32;
    } else if (i < 240) {
        byte = 32 + (i - 160) % 16;
        digit = (i - 160) / 16;
    } else {
        byte = 48 + (i - 240) % 4;
        digit = (i - 240) / 4;
    }
    const int powers[5] = {81, 27, 9, 3, 1};
    const int number = b[byte] * 243 / 256; // the five digits as one number
    return half(b, 52) * (number / powers[digit] % 3 - 1);
}

static double value_tq2_0(const uint8_t *b, int i)
{
    return half(b, 64) * ((double)field(b, pair256(0, i), 2) - 1);
}

static double value_q1_0(const uint8_t *b, int i)
{
    return half(b, 0) * (field(b, 16 + i, 1) ? 1 : -1);
}

static double value_q2_0(const uint8_t *b, int i)
{
    return half(b, 0) * ((double)field(b, 16 + 2 * i, 2) - 1);
}

/* ---- the list ------------------------------------------------------------------------------ */

typedef struct {
    const char *name;
    uint32_t id;
    int values, bytes;
    double (*value)(const uint8_t *block, int i);
    int halves[2]; // byte offsets of f16 scales; -1 = none
} oracle_format;

static const oracle_format oracle_formats[] = {
    {"F32", 0, 1, 4, value_f32, {-1, -1}},
    {"F16", 1, 1, 2, value_f16, {-1, -1}},
    {"Q4_0", 2, 32, 18, value_q4_0, {0, -1}},
    {"Q4_1", 3, 32, 20, value_q4_1, {0, 2}},
    {"Q5_0", 6, 32, 22, value_q5_0, {0, -1}},
    {"Q5_1", 7, 32, 24, value_q5_1, {0, 2}},
    {"Q8_0", 8, 32, 34, value_q8_0, {0, -1}},
    {"Q8_1", 9, 32, 36, value_q8_1, {0, 2}},
    {"Q2_K", 10, 256, 84, value_q2_k, {80, 82}},
    {"Q3_K", 11, 256, 110, value_q3_k, {108, -1}},
    {"Q4_K", 12, 256, 144, value_q4_k, {0, 2}},
    {"Q5_K", 13, 256, 176, value_q5_k, {0, 2}},
    {"Q6_K", 14, 256, 210, value_q6_k, {208, -1}},
    {"Q8_K", 15, 256, 292, value_q8_k, {-1, -1}},
    {"IQ2_XXS", 16, 256, 66, value_iq2_xxs, {0, -1}},
    {"IQ2_XS", 17, 256, 74, value_iq2_xs, {0, -1}},
    {"IQ3_XXS", 18, 256, 98, value_iq3_xxs, {0, -1}},
    {"IQ1_S", 19, 256, 50, value_iq1_s, {0, -1}},
    {"IQ4_NL", 20, 32, 18, value_iq4_nl, {0, -1}},
    {"IQ3_S", 21, 256, 110, value_iq3_s, {0, -1}},
    {"IQ2_S", 22, 256, 82, value_iq2_s, {0, -1}},
    {"IQ4_XS", 23, 256, 136, value_iq4_xs, {0, -1}},
    {"I8", 24, 1, 1, value_i8, {-1, -1}},
    {"I16", 25, 1, 2, value_i16, {-1, -1}},
    {"I32", 26, 1, 4, value_i32, {-1, -1}},
    {"I64", 27, 1, 8, value_i64, {-1, -1}},
    {"F64", 28, 1, 8, value_f64, {-1, -1}},
    {"IQ1_M", 29, 256, 56, value_iq1_m, {-1, -1}},
    {"BF16", 30, 1, 2, value_bf16, {-1, -1}},
    {"TQ1_0", 34, 256, 54, value_tq1_0, {52, -1}},
    {"TQ2_0", 35, 256, 66, value_tq2_0, {64, -1}},
    {"MXFP4", 39, 32, 17, value_mxfp4, {-1, -1}},
    {"NVFP4", 40, 64, 36, value_nvfp4, {-1, -1}},
    {"Q1_0", 41, 128, 18, value_q1_0, {0, -1}},
    {"Q2_0", 42, 64, 18, value_q2_0, {0, -1}},
};

enum { ORACLE_FORMATS = sizeof oracle_formats / sizeof *oracle_formats };

#endif
