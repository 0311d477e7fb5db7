/* Packing: a block of a file's format as fields of planes. What fields mean is said at the head of
 * wgsl/quant/<format>.wgsl. Bits of a block's columns lie so that a shift and a mask take four columns
 * apart: byte c of a word has columns c, 4 + c, 8 + c ...
 *
 * Formats that kernels do not read keep every value: each goes to one with scales as fine and integers as
 * large, or to plain floats. What is wider than f32 becomes what quant_traits.dequantize makes of it,
 * which every backend computes with. */
#include "gpu/planes_pack.h"

#include "quant/blocks.h"

static uint8_t *field(const lane *l, size_t unit)
{
    return l->at + unit * l->unit;
}

static void store_u16(uint8_t *to, uint32_t v)
{
    const uint16_t half = (uint16_t)v;
    memcpy(to, &half, sizeof half);
}

static void store_u32(uint8_t *to, uint32_t v)
{
    memcpy(to, &v, sizeof v);
}

static void store_f32(uint8_t *to, float v)
{
    memcpy(to, &v, sizeof v);
}

/* Sixteen bytes, `flip` turned over in each word. */
static void copy_16(uint8_t *to, const uint8_t *from, uint32_t flip)
{
    for (size_t i = 0; i < 4; i++)
        store_u32(to + 4 * i, load_u32(from + 4 * i) ^ flip);
}

/* 32 signed bytes in two parts. */
static void copy_32(const lane *to, const void *from, size_t b)
{
    memcpy(field(to, b), from, 16);
    memcpy(field(to, b) + to->part, (const uint8_t *)from + 16, 16);
}

/* ---- blocks of 32 -------------------------------------------------------------------------------- */

static void pack_q4_0(const lane *to, const uint8_t *from, size_t b)
{
    copy_16(field(&to[0], b), from + 2, 0x88888888);
    memcpy(field(&to[1], b), from, 2);
}

static void pack_q4_1(const lane *to, const uint8_t *from, size_t b)
{
    memcpy(field(&to[0], b), from + 4, 16);
    memcpy(field(&to[1], b), from, 4);
}

/* Fifth bits in order of columns, as bits j of bytes c. */
static uint32_t spread_fifths(uint32_t bits)
{
    uint32_t spread = 0;
    for (uint32_t j = 0; j < 8; j++)
        spread |= ((bits >> 4 * j & 15) * 0x00204081 & 0x01010101) << j; // four copies, 7 bits apart
    return spread;
}

static void pack_q5_0(const lane *to, const uint8_t *from, size_t b)
{
    memcpy(field(&to[0], b), from + 6, 16);
    store_u32(field(&to[1], b), ~spread_fifths(load_u32(from + 2)));
    memcpy(field(&to[2], b), from, 2);
}

static void pack_q5_1(const lane *to, const uint8_t *from, size_t b)
{
    memcpy(field(&to[0], b), from + 8, 16);
    store_u32(field(&to[1], b), spread_fifths(load_u32(from + 4)));
    memcpy(field(&to[1], b) + 4, from, 4);
}

static void pack_q8_0(const lane *to, const uint8_t *from, size_t b)
{
    copy_32(&to[0], from + 2, b);
    memcpy(field(&to[1], b), from, 2);
}

static void pack_q8_1(const lane *to, const uint8_t *from, size_t b)
{
    copy_32(&to[0], from + 4, b);
    memcpy(field(&to[1], b), from, 2);
}

enum { F16_ONE = 0x3C00 };

static void pack_i8(const lane *to, const uint8_t *from, size_t b)
{
    copy_32(&to[0], from, b);
    store_u16(field(&to[1], b), F16_ONE);
}

/* Codes of IQ4 have their top bit flipped for iq4_bytes of weights.wgsl. */
static void pack_iq4_nl(const lane *to, const uint8_t *from, size_t b)
{
    pack_q4_0(to, from, b);
}

/* A code of E2M1 without the other zero. */
static unsigned e2m1_code(unsigned code)
{
    return code == 8 ? 0 : code;
}

static void pack_mxfp4(const lane *to, const uint8_t *from, size_t b)
{
    uint8_t *q = field(&to[0], b);
    for (size_t j = 0; j < 16; j++)
        q[j] = (uint8_t)(e2m1_code(from[1 + j] & 15) | e2m1_code(from[1 + j] >> 4) << 4);
    *field(&to[1], b) = from[0];
}

/* A file's block is 64 columns in runs of 16, a run's first 8 in low nibbles. Scale 7F counts as 0; the
 * sign bit does not count. */
static void pack_nvfp4(const lane *to, const uint8_t *from, size_t b)
{
    for (size_t i = 0; i < 2; i++) {
        const uint8_t *runs = from + 4 + 16 * i;
        uint8_t *q = field(&to[0], b + i), *s = field(&to[1], b + i);
        for (size_t j = 0; j < 8; j++) {
            q[j] = (uint8_t)(e2m1_code(runs[j] & 15) | e2m1_code(runs[8 + j] & 15) << 4);
            q[8 + j] = (uint8_t)(e2m1_code(runs[j] >> 4) | e2m1_code(runs[8 + j] >> 4) << 4);
        }
        for (size_t h = 0; h < 2; h++)
            s[h] = from[2 * i + h] == 0x7F ? 0 : from[2 * i + h] & 0x7F;
    }
}

/* ---- blocks of 256 with scales of sub-blocks ------------------------------------------------------ */

/* The low or the high nibbles of 32 bytes as one block. */
static void put_nibbles(uint8_t *restrict to, const uint8_t *restrict from, bool high)
{
    for (size_t j = 0; j < 16; j++)
        to[j] = (uint8_t)(high ? from[j] >> 4 | (from[16 + j] & 0xF0) : (from[j] & 15) | from[16 + j] << 4);
}

/* A bit of each of 32 bytes: bit j of byte c is of byte 4 j + c. */
static uint32_t gather_bits(const uint8_t *from, int bit)
{
    uint32_t word = 0;
    for (int j = 0; j < 8; j++)
        word |= (load_u32(from + 4 * j) >> bit & 0x01010101) << j;
    return word;
}

/* Two bits of each of 32 bytes, 16 a word: bits 2 f and 2 f + 1 of byte c are of byte 4 f + c. */
static void put_pairs(uint8_t *to, const uint8_t *from, int bit, uint32_t flip)
{
    for (int half = 0; half < 2; half++) {
        uint32_t word = 0;
        for (int f = 0; f < 4; f++)
            word |= (load_u32(from + 16 * half + 4 * f) >> bit & 0x03030303) << 2 * f;
        store_u32(to + 4 * half, word ^ flip);
    }
}

/* Blocks of 32 within one of 256 whose two-bit fields are in 64 bytes: each half of 128 columns has 32
 * bytes, in them four blocks. */
static void put_quarters(const lane *to, const uint8_t *from, size_t b, uint32_t flip)
{
    for (size_t i = 0; i < 8; i++)
        put_pairs(field(to, b + i), from + 32 * (i / 4), (int)(2 * (i % 4)), flip);
}

static void pack_q2_k(const lane *to, const uint8_t *from, size_t b)
{
    put_quarters(&to[0], from + 16, b, 0);
    for (size_t i = 0; i < 8; i++)
        memcpy(field(&to[1], b + i), from + 2 * i, 2);
    memcpy(field(&to[2], b / 8), from + 80, 4);
}

static void pack_q3_k(const lane *to, const uint8_t *from, size_t b)
{
    const uint8_t *packed = from + 96;
    put_quarters(&to[0], from + 32, b, 0);
    for (size_t i = 0; i < 8; i++)
        store_u32(field(&to[1], b + i), ~gather_bits(from, (int)i));
    for (size_t sub = 0; sub < 16; sub++) {
        const int low = packed[sub % 8] >> 4 * (sub / 8) & 15, high = packed[8 + sub % 4] >> 2 * (sub / 4) & 3;
        field(&to[2], b + sub / 2)[sub % 2] = (uint8_t)((low | high << 4) - 32);
    }
    memcpy(field(&to[3], b / 8), from + 108, 2);
}

/* 6 bits each of eight scales and eight minima, as Q4_K and Q5_K keep them. */
static void put_scales(const lane *to, const uint8_t *packed, size_t b)
{
    for (size_t j = 0; j < 8; j++) {
        uint8_t *s = field(to, b + j);
        if (j < 4) {
            s[0] = packed[j] & 63;
            s[1] = packed[j + 4] & 63;
        } else {
            s[0] = (uint8_t)((packed[j + 4] & 15) | packed[j - 4] >> 6 << 4);
            s[1] = (uint8_t)(packed[j + 4] >> 4 | packed[j] >> 6 << 4);
        }
    }
}

static void pack_q4_k(const lane *to, const uint8_t *from, size_t b)
{
    for (size_t i = 0; i < 8; i++)
        put_nibbles(field(&to[0], b + i), from + 16 + 32 * (i / 2), i % 2);
    put_scales(&to[1], from + 4, b);
    memcpy(field(&to[2], b / 8), from, 4);
}

static void pack_q5_k(const lane *to, const uint8_t *from, size_t b)
{
    for (size_t i = 0; i < 8; i++) {
        put_nibbles(field(&to[0], b + i), from + 48 + 32 * (i / 2), i % 2);
        store_u32(field(&to[1], b + i), gather_bits(from + 16, (int)i));
    }
    put_scales(&to[2], from + 4, b);
    memcpy(field(&to[3], b / 8), from, 4);
}

static void pack_q6_k(const lane *to, const uint8_t *from, size_t b)
{
    for (size_t i = 0; i < 8; i++) { // 128 columns in 64 bytes: blocks 0, 1 in the low nibbles, 2, 3 in the high
        put_nibbles(field(&to[0], b + i), from + 64 * (i / 4) + 32 * (i % 2), i / 2 % 2);
        memcpy(field(&to[2], b + i), from + 192 + 2 * i, 2);
    }
    put_quarters(&to[1], from + 128, b, 0xAAAAAAAA);
    store_f32(field(&to[3], b / 8), load_f16(from + 208));
}

static void pack_q8_k(const lane *to, const uint8_t *from, size_t b)
{
    for (size_t i = 0; i < 8; i++) {
        copy_32(&to[0], from + 4 + 32 * i, b + i);
        memset(field(&to[1], b + i), 1, 2);
    }
    memcpy(field(&to[2], b / 8), from, 4);
}

static void pack_iq4_xs(const lane *to, const uint8_t *from, size_t b)
{
    const int scales_h = load_u16(from + 2);
    for (size_t i = 0; i < 8; i++) {
        const int low = from[4 + i / 2] >> 4 * (i % 2) & 15, high = scales_h >> 2 * i & 3;
        copy_16(field(&to[0], b + i), from + 8 + 16 * i, 0x88888888);
        *field(&to[1], b + i) = (uint8_t)((low | high << 4) - 32);
    }
    memcpy(field(&to[2], b / 8), from, 2);
}

/* ---- two bits: -1 ... 2, kept as the negative's two's complement ------------------------------------ */

static void pack_tq2_0(const lane *to, const uint8_t *from, size_t b)
{
    put_quarters(&to[0], from, b, 0x55555555); // 1 - q is q with its low bit flipped
    memcpy(field(&to[1], b / 8), from + 64, 2);
}

static void pack_tq1_0(const lane *to, const uint8_t *from, size_t b)
{
    uint8_t block[54], q[256];
    float values[256];
    memcpy(block, from, 52);
    store_u16(block + 52, F16_ONE);
    dequantize_tq1_0(block, values, 256);
    for (size_t i = 0; i < 256; i++)
        q[i] = (uint8_t)(int8_t)-values[i];
    for (size_t i = 0; i < 8; i++)
        put_pairs(field(&to[0], b + i), q + 32 * i, 0, 0);
    memcpy(field(&to[1], b / 8), from + 52, 2);
}

static void pack_q2_0(const lane *to, const uint8_t *from, size_t b)
{
    uint8_t q[64];
    for (size_t i = 0; i < 64; i++)
        q[i] = from[2 + i / 4] >> 2 * (i % 4) & 3;
    for (size_t i = 0; i < 2; i++)
        put_pairs(field(&to[0], b + i), q + 32 * i, 0, 0x55555555);
    memcpy(field(&to[1], b / 2), from, 2);
}

static void pack_q1_0(const lane *to, const uint8_t *from, size_t b)
{
    uint8_t q[128];
    for (size_t i = 0; i < 128; i++)
        q[i] = (uint8_t)(1 | (from[2 + i / 8] >> i % 8 & 1) << 1); // d is -1 times -1, -d is 1
    for (size_t i = 0; i < 4; i++)
        put_pairs(field(&to[0], b + i), q + 32 * i, 0, 0);
    memcpy(field(&to[1], b / 2), from, 2);
    memcpy(field(&to[1], b / 2 + 1), from, 2);
}

/* ---- grids: value = d / integers * (2 s + 1) * an integer, s for 16 columns ------------------------- */

typedef struct {
    size_t bytes; // of a block; d comes first
    float integers;
    void (*dequantize)(const void *blocks, float *out, size_t n);
    unsigned (*scale)(const uint8_t *from, size_t sub); // s
} grid;

/* A block's d, in whose place comes 1. IQ1_M keeps it in the top nibbles of four words. */
static float take_scale(const grid *g, uint8_t *block)
{
    if (g->dequantize != dequantize_iq1_m) {
        const float d = load_f16(block);
        store_u16(block, F16_ONE);
        return d;
    }
    unsigned d = 0;
    for (size_t i = 0; i < 4; i++) {
        uint8_t *top = block + 48 + 2 * i + 1;
        d |= (unsigned)(*top >> 4) << 4 * i;
        *top = (uint8_t)((*top & 15) | (F16_ONE >> 4 * i & 15) << 4);
    }
    return float_of_f16((uint16_t)d);
}

/* What the format's own reader makes of the block with d = 1, less the scales; all is exact. Returns
 * d / integers. */
static float read_grid(const grid *g, const uint8_t *from, uint8_t q[256], uint8_t scales[16])
{
    uint8_t block[128];
    float values[256];
    memcpy(block, from, g->bytes);
    const float d = take_scale(g, block);
    g->dequantize(block, values, 256);
    for (size_t sub = 0; sub < 16; sub++) {
        scales[sub] = (uint8_t)(2 * g->scale(from, sub) + 1);
        for (size_t i = 16 * sub; i < 16 * sub + 16; i++)
            q[i] = (uint8_t)(int8_t)(values[i] * g->integers / (float)scales[sub]);
    }
    return d / g->integers;
}

/* Integers up to 62: as Q8_K with scales. */
static void pack_grid_8(const grid *g, const lane *to, const uint8_t *from, size_t b)
{
    uint8_t q[256], scales[16];
    store_f32(field(&to[2], b / 8), read_grid(g, from, q, scales));
    for (size_t i = 0; i < 8; i++) {
        copy_32(&to[0], q + 32 * i, b + i);
        memcpy(field(&to[1], b + i), scales + 2 * i, 2);
    }
}

/* Integers up to 31: as Q6_K. */
static void pack_grid_6(const grid *g, const lane *to, const uint8_t *from, size_t b)
{
    uint8_t q[256], scales[16];
    store_f32(field(&to[3], b / 8), read_grid(g, from, q, scales));
    for (size_t i = 0; i < 8; i++) {
        put_nibbles(field(&to[0], b + i), q + 32 * i, false);
        put_pairs(field(&to[1], b + i), q + 32 * i, 4, 0);
        memcpy(field(&to[2], b + i), scales + 2 * i, 2);
    }
}

#define GRID(fmt, kernel, bytes, integers, ...)                                    \
    static unsigned scale_##fmt(const uint8_t *from, size_t sub)                    \
    {                                                                              \
        return (unsigned)(__VA_ARGS__);                                            \
    }                                                                              \
    static void pack_##fmt(const lane *to, const uint8_t *from, size_t b)          \
    {                                                                              \
        const grid g = {bytes, integers, dequantize_##fmt, scale_##fmt};           \
        kernel(&g, to, from, b);                                                   \
    }

/* Largest integers, in this order: 43, 43, 43, 31, 15, 9, 9. */
GRID(iq2_xxs, pack_grid_8, 66, 8, from[9 + 8 * (sub / 2)] >> 4)
GRID(iq2_xs, pack_grid_8, 74, 8, from[66 + sub / 2] >> 4 * (sub % 2) & 15)
GRID(iq2_s, pack_grid_8, 82, 8, from[74 + sub / 2] >> 4 * (sub % 2) & 15)
GRID(iq3_xxs, pack_grid_6, 98, 2, from[69 + 4 * (sub / 2)] >> 4)
GRID(iq3_s, pack_grid_6, 110, 1, from[106 + sub / 4] >> 4 * (sub / 2 % 2) & 15)
GRID(iq1_s, pack_grid_6, 50, 8, from[35 + 2 * (sub / 2)] >> 4 & 7)
GRID(iq1_m, pack_grid_6, 56, 8, load_u16(from + 48 + 2 * (sub / 4)) >> 3 * (sub % 4) & 7)

/* ---- plain values ---------------------------------------------------------------------------------- */

/* 32 values in order, 16 bytes a part. */
static void put_parts(const lane *to, const void *from, size_t n_parts, size_t b)
{
    for (size_t i = 0; i < n_parts; i++)
        memcpy(field(to, b) + i * to->part, (const uint8_t *)from + 16 * i, 16);
}

static void pack_f16(const lane *to, const uint8_t *from, size_t b)
{
    put_parts(to, from, 4, b);
}

static void pack_bf16(const lane *to, const uint8_t *from, size_t b)
{
    put_parts(to, from, 4, b);
}

static void pack_f32(const lane *to, const uint8_t *from, size_t b)
{
    put_parts(to, from, 8, b);
}

#define TO_FLOATS(fmt)                                                    \
    static void pack_##fmt(const lane *to, const uint8_t *from, size_t b) \
    {                                                                     \
        float values[32];                                                 \
        dequantize_##fmt(from, values, 32);                               \
        put_parts(to, values, 8, b);                                      \
    }

TO_FLOATS(f64)
TO_FLOATS(i16)
TO_FLOATS(i32)
TO_FLOATS(i64)

/* ---- the list -------------------------------------------------------------------------------------- */

/* X(format, lower, the format whose kernels read it) */
#define PACKINGS(X)          \
    X(Q4_0, q4_0, Q4_0)      \
    X(Q4_1, q4_1, Q4_1)      \
    X(Q5_0, q5_0, Q5_0)      \
    X(Q5_1, q5_1, Q5_1)      \
    X(Q8_0, q8_0, Q8_0)      \
    X(Q8_1, q8_1, Q8_0)      \
    X(I8, i8, Q8_0)          \
    X(Q2_K, q2_k, Q2_K)      \
    X(Q3_K, q3_k, Q3_K)      \
    X(Q4_K, q4_k, Q4_K)      \
    X(Q5_K, q5_k, Q5_K)      \
    X(Q6_K, q6_k, Q6_K)      \
    X(IQ3_XXS, iq3_xxs, Q6_K) \
    X(IQ3_S, iq3_s, Q6_K)    \
    X(IQ1_S, iq1_s, Q6_K)    \
    X(IQ1_M, iq1_m, Q6_K)    \
    X(Q8_K, q8_k, Q8_K)      \
    X(IQ2_XXS, iq2_xxs, Q8_K) \
    X(IQ2_XS, iq2_xs, Q8_K)  \
    X(IQ2_S, iq2_s, Q8_K)    \
    X(IQ4_NL, iq4_nl, IQ4_NL) \
    X(IQ4_XS, iq4_xs, IQ4_XS) \
    X(TQ2_0, tq2_0, TQ2_0)   \
    X(TQ1_0, tq1_0, TQ2_0)   \
    X(Q2_0, q2_0, Q2_0)      \
    X(Q1_0, q1_0, Q2_0)      \
    X(MXFP4, mxfp4, MXFP4)   \
    X(NVFP4, nvfp4, NVFP4)   \
    X(F16, f16, F16)         \
    X(BF16, bf16, BF16)      \
    X(F32, f32, F32)         \
    X(F64, f64, F32)         \
    X(I16, i16, F32)         \
    X(I32, i32, F32)         \
    X(I64, i64, F32)

const packing *packing_find(uint32_t format)
{
    static const packing list[] = {
#define ROW(from, lower, to) {QUANT_##from, QUANT_##to, pack_##lower},
        PACKINGS(ROW)
#undef ROW
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (list[i].from == format)
            return &list[i];
    return NULL;
}
