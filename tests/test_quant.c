/* Tensor formats: every decoder against the literal one of oracle_quant.h, the writers against
 * their error bounds and known blocks, the 16-bit floats exhaustively. */
#include "harness.h"
#include "oracle_quant.h"
#include "quant/quant.h"
#include "support.h"

#include <float.h>

static uint32_t float_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static float float_from(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* ---- table --------------------------------------------------------------------------------- */

static void knows_every_format(void)
{
    int found = 0;
    for (uint32_t id = 0; id < 1000; id++)
        found += quant_find(id) != NULL;
    CHECK(found == ORACLE_FORMATS);
    CHECK(!quant_find(UINT32_MAX) && !quant_find(QUANT_ID_END));
    for (int k = 0; k < ORACLE_FORMATS; k++) {
        const oracle_format *want = &oracle_formats[k];
        const quant_traits *got = quant_find(want->id);
        CHECK_MSG(got != NULL, "%s", want->name);
        if (!got)
            continue;
        CHECK_TEXT(got->name, want->name);
        CHECK(got->id == want->id && got->values == (uint32_t)want->values);
        CHECK(got->bytes == (uint32_t)want->bytes && got->dequantize);
    }
    const uint32_t written[] = {QUANT_F32,  QUANT_F16,  QUANT_BF16,
                                QUANT_Q8_0, QUANT_Q4_0, QUANT_Q4_1};
    for (size_t k = 0; k < sizeof written / sizeof *written; k++)
        CHECK(quant_find(written[k])->quantize != NULL);
    CHECK(quant_find(QUANT_Q6_K)->quantize == NULL);
}

static void names_foreign_ids(void)
{
    CHECK_TEXT(quant_foreign_name(4), "Q4_2 (removed)");
    CHECK_TEXT(quant_foreign_name(144), "IQ4_KS (ik_llama.cpp)");
    CHECK(strncmp(quant_foreign_name(36), "I2_S", 4) == 0);
    CHECK(strstr(quant_foreign_name(202), "_R4") && strstr(quant_foreign_name(399), "_R4"));
    CHECK(!quant_foreign_name(43) && !quant_foreign_name(201) && !quant_foreign_name(400));
    CHECK(!quant_foreign_name(UINT32_MAX));
    for (uint32_t id = 0; id < 1000; id++) // no id has both a format and a foreign name
        CHECK_MSG(!quant_find(id) || !quant_foreign_name(id), "id %u", (unsigned)id);
}

static void counts_bytes(void)
{
    uint64_t bytes = 77;
    CHECK(quant_bytes(QUANT_Q4_0, 0, &bytes) && bytes == 0);
    CHECK(quant_bytes(QUANT_Q4_0, 32, &bytes) && bytes == 18);
    CHECK(quant_bytes(QUANT_Q6_K, 256000, &bytes) && bytes == 210000);
    CHECK(quant_bytes(QUANT_F32, 3, &bytes) && bytes == 12);
    CHECK(!quant_bytes(QUANT_Q4_0, 31, &bytes) && !quant_bytes(QUANT_Q4_0, 33, &bytes));
    CHECK(!quant_bytes(QUANT_Q4_K, 128, &bytes));
    CHECK(!quant_bytes(4, 32, &bytes) && !quant_bytes(1000, 32, &bytes));
    // The largest count that fits, and the next.
    CHECK(quant_bytes(QUANT_F64, UINT64_MAX / 8, &bytes) && bytes == UINT64_MAX - 7);
    CHECK(!quant_bytes(QUANT_F64, UINT64_MAX / 8 + 1, &bytes));
    CHECK(!quant_bytes(QUANT_F32, UINT64_MAX, &bytes));
    CHECK(quant_bytes(QUANT_Q8_K, UINT64_MAX / 292 * 256, &bytes));
    CHECK(!quant_bytes(QUANT_Q8_K, UINT64_MAX / 292 * 256 + 256, &bytes));
}

/* ---- 16-bit floats ------------------------------------------------------------------------- */

static void reads_every_half(void)
{
    for (uint32_t h = 0; h < 65536; h++) {
        const double want = ieee(h, 5, 10);
        const float got = quant_f16_to_f32((uint16_t)h);
        if (isnan(want)) {
            const uint32_t bits = float_bits(got);
            CHECK_MSG(isnan(got) && bits >> 31 == h >> 15 && (bits >> 13 & 1023) == (h & 1023),
                      "%04X", (unsigned)h);
            CHECK(quant_f32_to_f16(got) == (h | 0x200));
        } else {
            CHECK_MSG((double)got == want && !signbit(got) == !(h >> 15), "%04X", (unsigned)h);
            CHECK_MSG(quant_f32_to_f16(got) == h, "%04X", (unsigned)h);
        }
        const double wide = ieee(h, 8, 7);
        const float bf = quant_bf16_to_f32((uint16_t)h);
        if (isnan(wide)) {
            CHECK(isnan(bf) && quant_f32_to_bf16(bf) == (h | 0x40));
        } else {
            CHECK_MSG((double)bf == wide, "%04X", (unsigned)h);
            CHECK_MSG(quant_f32_to_bf16(bf) == h, "%04X", (unsigned)h);
        }
    }
}

typedef uint16_t narrow_fn(float f);

/* For neighbours a < b of a 16-bit format (bit patterns a, a + 1): their midpoint goes to the even
 * one, a hair either side of it to the nearer one. */
static void check_rounding(narrow_fn *narrow, uint32_t a, float low, float high)
{
    const float middle = (float)(((double)low + (double)high) / 2);
    const uint32_t even = a % 2 ? a + 1 : a;
    for (int sign = 0; sign < 2; sign++) {
        const uint32_t s = sign ? 0x8000 : 0;
        const float m = sign ? -middle : middle;
        const float toward = sign ? -low : low, away = sign ? -high : high;
        CHECK_MSG(narrow(m) == (s | even), "%04X", (unsigned)a);
        CHECK_MSG(narrow(nextafterf(m, toward)) == (s | a), "%04X", (unsigned)a);
        CHECK_MSG(narrow(nextafterf(m, away)) == (s | (a + 1)), "%04X", (unsigned)a);
    }
}

static void rounds_to_nearest_even(void)
{
    for (uint32_t a = 0; a < 0x7BFF; a++)
        check_rounding(quant_f32_to_f16, a, quant_f16_to_f32((uint16_t)a),
                       quant_f16_to_f32((uint16_t)(a + 1)));
    // Above the largest half the next step would be 65536: its middle, 65520, is already Inf.
    check_rounding(quant_f32_to_f16, 0x7BFF, 65504.0f, 65536.0f);
    for (uint32_t a = 0; a < 0x7F7F; a++)
        check_rounding(quant_f32_to_bf16, a, quant_bf16_to_f32((uint16_t)a),
                       quant_bf16_to_f32((uint16_t)(a + 1)));
    CHECK(quant_f32_to_f16(FLT_MAX) == 0x7C00 && quant_f32_to_f16(-FLT_MAX) == 0xFC00);
    CHECK(quant_f32_to_f16(INFINITY) == 0x7C00 && quant_f32_to_f16(65536.0f) == 0x7C00);
    CHECK(quant_f32_to_bf16(FLT_MAX) == 0x7F80 && quant_f32_to_bf16(-INFINITY) == 0xFF80);
    CHECK(quant_f32_to_f16(-0.0f) == 0x8000 && quant_f32_to_f16(FLT_MIN) == 0);
    // A NaN whose payload lies only in the bits that are cut stays a NaN.
    CHECK(quant_f32_to_f16(float_from(0x7F800001)) == 0x7E00);
    CHECK(quant_f32_to_bf16(float_from(0xFF800001)) == 0xFFC0);
}

/* ---- reading ------------------------------------------------------------------------------- */

/* A finite half; about every second one from the edges of the format. */
static uint16_t random_half(uint64_t *state)
{
    static const uint16_t edges[] = {0x0000, 0x8000, 0x0001, 0x83FF, 0x0400,
                                     0x8400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF};
    const uint64_t r = test_random(state);
    if (r & 1)
        return edges[r / 2 % (sizeof edges / sizeof *edges)];
    const uint16_t h = (uint16_t)(r >> 32);
    return (h & 0x7C00) == 0x7C00 ? (uint16_t)(h & 0xBFFF) : h;
}

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v & 255);
    p[1] = (uint8_t)(v >> 8);
}

/* Random bits, with scales that are finite. Formats without scales may hold anything. */
static void random_block(uint8_t *b, const oracle_format *f, uint64_t *state)
{
    for (int i = 0; i < f->bytes; i++)
        b[i] = (uint8_t)(test_random(state) >> 13);
    for (int k = 0; k < 2; k++) {
        if (f->halves[k] >= 0)
            put16(b + f->halves[k], random_half(state));
    }
    if (f->id == QUANT_IQ1_M) {
        const uint32_t h = random_half(state);
        for (int k = 0; k < 4; k++)
            b[49 + 2 * k] = (uint8_t)((b[49 + 2 * k] & 15) | (h >> 4 * k & 15) << 4);
    }
    if (f->id == QUANT_Q8_K && (b[3] & 127) > 120)
        b[3] &= 0xBF; // 2^120 times 128 is beyond f32
    if (f->id == QUANT_F64 && test_random(state) % 2)
        b[7] = (uint8_t)((b[7] & 0x80) | 0x3F); // else nearly all are beyond f32
}

/* Products of a scale and small integers are exact in f32 (11 bits times at most 13), so a value
 * is rounded once, or twice where a 32- or 64-bit scale or integer comes in: 2^-23 at most, and
 * half a unit where the result is subnormal. That is well inside 1e-6. */
static bool near(float got, double want)
{
    if (isnan(want))
        return isnan(got);
    if (fabs(want) >= 0x1.ffffffp127)
        return (double)got == (want < 0 ? -INFINITY : INFINITY);
    return fabs((double)got - want) <= fabs(want) * 0x1p-23 + 0x1p-150;
}

static void check_reading(const oracle_format *f, int n_blocks, uint64_t *state)
{
    static float out[300 * 256 + 1];
    const quant_traits *traits = quant_find(f->id);
    const size_t n = (size_t)n_blocks * (size_t)f->values;
    // At even and odd addresses, ending where the allocation ends: the sanitizer sees every step
    // beyond.
    uint8_t *memory = malloc((size_t)(n_blocks * f->bytes + n_blocks % 2 + !n_blocks));
    uint8_t *first = memory + n_blocks % 2;
    CHECK(memory != NULL);
    if (!memory)
        return;
    for (int k = 0; k < n_blocks; k++)
        random_block(first + k * f->bytes, f, state);
    for (size_t i = 0; i <= n; i++)
        out[i] = 12345.0f;
    traits->dequantize(first, out, n);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *b = first + i / (size_t)f->values * (size_t)f->bytes;
        const double want = f->value(b, (int)(i % (size_t)f->values));
        CHECK_MSG(near(out[i], want), "%s value %zu: got %.9g, want %.9g", f->name, i,
                  (double)out[i], want);
    }
    CHECK_MSG(out[n] == 12345.0f, "%s wrote past %zu values", f->name, n);
    free(memory);
}

static void reads_as_described(void)
{
    uint64_t state = 1;
    for (int k = 0; k < ORACLE_FORMATS; k++) {
        const oracle_format *f = &oracle_formats[k];
        const int counts[] = {0, 1, 2, 3, 7, 300};
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
            check_reading(f, counts[c], &state);
        quant_find(f->id)->dequantize(NULL, NULL, 0);
    }
}

/* Every byte value at every place of a block, scales aside, with a scale of 1. */
static void reads_every_code(void)
{
    static uint8_t block[292];
    static float out[256];
    for (int k = 0; k < ORACLE_FORMATS; k++) {
        const oracle_format *f = &oracle_formats[k];
        if (f->values == 1)
            continue;
        for (int code = 0; code < 256; code++) {
            memset(block, code, sizeof block);
            for (int s = 0; s < 2; s++) {
                if (f->halves[s] >= 0)
                    put16(block + f->halves[s], 0x3C00);
            }
            if (f->id == QUANT_IQ1_M && code >= 0x78 && code % 128 >= 0x78)
                continue; // its scattered scale would be Inf or NaN
            if (f->id == QUANT_Q8_K)
                memcpy(block, &(float){1.0f}, 4);
            quant_find(f->id)->dequantize(block, out, (size_t)f->values);
            for (int i = 0; i < f->values; i++)
                CHECK_MSG(near(out[i], f->value(block, i)), "%s code %d value %d", f->name, code,
                          i);
        }
    }
}

/* Blocks worked out by hand. */
static void reads_known_blocks(void)
{
    float out[256];

    uint8_t q4_0[18] = {0x00, 0x3C, 0xF0, 0x08}; // d 1; then zeros, which are -8
    quant_find(QUANT_Q4_0)->dequantize(q4_0, out, 32);
    CHECK(out[0] == -8 && out[16] == 7 && out[1] == 0 && out[17] == -8 && out[31] == -8);

    uint8_t q6_k[210] = {[0] = 0x21, [128] = 0x03, [192] = 0xFE, [208] = 0x00, [209] = 0x38};
    quant_find(QUANT_Q6_K)->dequantize(q6_k, out, 256); // d 0.5, first scale -2, q 0x31
    CHECK(out[0] == 0.5f * -2 * (0x31 - 32) && out[1] == 32 && out[16] == 0);

    uint8_t tq1_0[54] = {[0] = 0xF5, [52] = 0x00, [53] = 0x40}; // d 2
    quant_find(QUANT_TQ1_0)->dequantize(tq1_0, out, 256);
    const float trits[5] = {2, 2, 0, 2, 0}; // 0xF5 / 256 begins 0.22121 in base 3
    for (int k = 0; k < 5; k++)
        CHECK(out[32 * k] == trits[k]);
    CHECK(out[1] == -2 && out[160] == -2 && out[240] == -2);

    uint8_t mxfp4[17] = {128, 0x7F, 0xA1}; // scale 2
    quant_find(QUANT_MXFP4)->dequantize(mxfp4, out, 32);
    CHECK(out[0] == -12 && out[16] == 12 && out[1] == 1 && out[17] == -2 && out[2] == 0);
    mxfp4[0] = 0; // 2^-127, subnormal
    quant_find(QUANT_MXFP4)->dequantize(mxfp4, out, 32);
    CHECK(out[0] == -6 * 0x1p-127f && out[1] == 0x1p-128f);
    mxfp4[0] = 255; // 2^128 is beyond f32, but half of it is not
    quant_find(QUANT_MXFP4)->dequantize(mxfp4, out, 32);
    CHECK(out[1] == 0x1p127f && isinf(out[0]));

    uint8_t nvfp4[36] = {0x38, 0x7F, 0x01, 0x7E, [4] = 0x72, [12] = 0x77, [20] = 0x07, [28] = 0x0F};
    quant_find(QUANT_NVFP4)->dequantize(nvfp4, out, 64); // scales 1, none, 2^-9, 448
    CHECK(out[0] == 1 && out[8] == 6 && out[16] == 0 && out[32] == 6 * 0x1p-9f && out[48] == -2688);

    uint8_t iq4_nl[18] = {0x00, 0xBC, 0x0F, 0x81}; // d -1
    quant_find(QUANT_IQ4_NL)->dequantize(iq4_nl, out, 32);
    CHECK(out[0] == -113 && out[16] == 127 && out[1] == 104 && out[17] == -1);

    uint8_t q1_0[18] = {0x00, 0x3C, 0x05};
    quant_find(QUANT_Q1_0)->dequantize(q1_0, out, 128);
    CHECK(out[0] == 1 && out[1] == -1 && out[2] == 1 && out[3] == -1 && out[127] == -1);

    const int64_t wide[2] = {INT64_MIN, (INT64_C(1) << 53) + 1};
    quant_find(QUANT_I64)->dequantize(wide, out, 2);
    CHECK(out[0] == -0x1p63f && out[1] == 0x1p53f);
}

typedef int grid_fn(int point, int i);

static void check_grid(const char *name, const uint8_t *low, const uint8_t *high, int points, int values,
                       grid_fn *get, const char *want)
{
    ingle_sha256 h;
    char hex[65];
    ingle_sha256_init(&h);
    const uint8_t *const grid[2] = {low, high};
    for (int p = 0; p < points; p++) {
        const int point = values == 8 ? QUANT_GRID_OCTET(grid, p) : QUANT_GRID_QUAD(grid, p);
        for (int i = 0; i < values; i++) {
            const int8_t v = (int8_t)get(point, i);
            ingle_sha256_add(&h, &v, 1);
        }
    }
    ingle_sha256_end(&h, hex);
    CHECK_MSG(strcmp(hex, want) == 0, "%s: %s", name, hex);
}

/* SHA-256 of the grids as the PyPI package gguf 0.19.0 expands them itself, taken as signed bytes:
 * init_grid() of the class, then grid.astype(int8).tobytes(). */
static void has_the_published_grids(void)
{
    check_grid("iq2_xxs", quant_grid_iq2_xxs[0], quant_grid_iq2_xxs[1], 256, 8, grid2,
               "05826b5d3e472a3a78f196be62ac78acf81df0f909626e12ab9fa2a5d490dd54");
    check_grid("iq2_xs", quant_grid_iq2_xs[0], quant_grid_iq2_xs[1], 512, 8, grid2,
               "06e47aaca60b4dc1d9b5a3f34540437058a6b142b4d7a59d5ded769b4d1bf1de");
    check_grid("iq2_s", quant_grid_iq2_s[0], quant_grid_iq2_s[1], 1024, 8, grid2,
               "e1aa1473412b0552c2174c30ef22ab4073f6a181b85a17056e8249bd2932fd88");
    check_grid("iq3_xxs", quant_grid_iq3_xxs[0], quant_grid_iq3_xxs[1], 256, 4, grid3_xxs,
               "46e35f5a997efdee6c99ce57854c8a0d4f0ff8ca57e5e8a60c0793ea580acf5d");
    check_grid("iq3_s", quant_grid_iq3_s[0], quant_grid_iq3_s[1], 512, 4, grid3_s,
               "bd1af4945a1717c65610b0284e4628b9a1ba3b306fae3a06f6e5f597356e349f");
    check_grid("iq1", quant_grid_iq1[0], quant_grid_iq1[1], 2048, 8, grid1,
               "07540ffc1aeaf6ad4d97e96b0fcc765aae39671d4ae4a27bbd0e796fde167c6a");
}

/* ---- writing ------------------------------------------------------------------------------- */

/* The value of a block's step, which is a power of two here. */
static void check_scale(const uint8_t *b, float want)
{
    const uint16_t h = quant_f32_to_f16(want);
    CHECK(b[0] == (h & 255) && b[1] == h >> 8);
}

static void writes_known_q4_0(float step)
{
    float in[32];
    uint8_t b[18];
    for (int i = 0; i < 32; i++)
        in[i] = step * (float)(i % 16 - 8);
    in[16] = -7.5f * step; // ties go up: 1, 9
    in[17] = 0.5f * step;
    in[31] = 8 * step; // as far as the first value, which sets the sign: cut to 7
    quant_find(QUANT_Q4_0)->quantize(in, b, 32);
    check_scale(b, step);
    CHECK(b[2] == 0x10 && b[3] == 0x91 && b[17] == 0xFF);
    for (int j = 2; j < 15; j++)
        CHECK(b[2 + j] == j * 17);
}

static void writes_known_q4_1(float step)
{
    float in[32];
    uint8_t b[20];
    for (int i = 0; i < 32; i++)
        in[i] = 2.0f + step * (float)(i % 16);
    in[16] = 2.0f + 0.5f * step; // a tie
    quant_find(QUANT_Q4_1)->quantize(in, b, 32);
    check_scale(b, step);
    check_scale(b + 2, 2.0f);
    CHECK(b[4] == 0x10);
    for (int j = 1; j < 16; j++)
        CHECK(b[4 + j] == j * 17);
}

static void writes_known_q8_0(float step)
{
    float in[32];
    uint8_t b[34];
    for (int i = 0; i < 32; i++)
        in[i] = (float)(i - 16) * step;
    in[31] = 127 * step;
    in[30] = -2.5f * step; // ties go away from zero
    in[29] = 2.5f * step;
    quant_find(QUANT_Q8_0)->quantize(in, b, 32);
    check_scale(b, step);
    CHECK(b[2 + 31] == 127 && (int8_t)b[2 + 30] == -3 && b[2 + 29] == 3);
    for (int i = 0; i < 29; i++)
        CHECK((int8_t)b[2 + i] == i - 16);
}

static void writes_known_blocks(void)
{
    float in[32], out[32];
    uint8_t b[34];
    for (int power = -3; power < 4; power++) {
        writes_known_q4_0(ldexpf(1, power));
        writes_known_q4_0(-ldexpf(1, power));
        writes_known_q4_1(ldexpf(1, power));
        writes_known_q8_0(ldexpf(1, power));
    }
    for (int i = 0; i < 32; i++)
        in[i] = -5;
    quant_find(QUANT_Q4_1)->quantize(in, b, 32); // no range at all
    quant_find(QUANT_Q4_1)->dequantize(b, out, 32);
    CHECK(out[0] == -5 && out[31] == -5);
    memset(in, 0, sizeof in);
    const uint32_t ids[] = {QUANT_Q4_0, QUANT_Q4_1, QUANT_Q8_0};
    for (int k = 0; k < 3; k++) {
        quant_find(ids[k])->quantize(in, b, 32);
        quant_find(ids[k])->dequantize(b, out, 32);
        for (int i = 0; i < 32; i++)
            CHECK(out[i] == 0);
    }
    const float two[2] = {1.0f, -1.0f / 3};
    uint16_t h[3] = {0, 0, 0xA5A5};
    quant_find(QUANT_F16)->quantize(two, h, 2);
    CHECK(h[0] == 0x3C00 && h[1] == 0xB555 && h[2] == 0xA5A5);
    quant_find(QUANT_BF16)->quantize(two, h, 2);
    CHECK(h[0] == 0x3F80 && h[1] == 0xBEAB && h[2] == 0xA5A5);
    float same[2];
    quant_find(QUANT_F32)->quantize(two, same, 2);
    CHECK(memcmp(same, two, sizeof two) == 0);
}

typedef struct {
    float peak, least, most;
} extremes;

static extremes extremes_of(const float *x)
{
    extremes e = {0, x[0], x[0]};
    for (int i = 0; i < 32; i++) {
        e.peak = fmaxf(e.peak, fabsf(x[i]));
        e.least = fminf(e.least, x[i]);
        e.most = fmaxf(e.most, x[i]);
    }
    return e;
}

/* How far a value may be from what was written: half a step (Q4_0: a step, since the side away
 * from the peak ends at 7, not 8), plus what rounding d and m to f16 (2^-11 of each) adds at the
 * largest q, plus f16's smallest unit times q, plus f32 rounding. */
static double bound_of(uint32_t id, const float *x)
{
    const extremes e = extremes_of(x);
    const double tiny = 0x1p-25, f16 = 0x1p-11, f32 = 0x1p-20;
    if (id == QUANT_Q8_0)
        return e.peak / 127.0 * (0.5 + 127 * f16 + 127 * f32) + 127 * tiny;
    if (id == QUANT_Q4_0)
        return e.peak / 8.0 * (1 + 8 * f16 + 8 * f32) + 8 * tiny;
    const double d = ((double)e.most - (double)e.least) / 15;
    const double m = fabs((double)e.least);
    return d * (0.5 + 15 * f16 + 15 * f32) + m * (f16 + f32) + 16 * tiny;
}

static void keeps_within_a_step(void)
{
    static const float sizes[] = {1.0f, 1e-3f, 100.0f, 3e4f, 1e-6f, 1e-9f, 1e-42f};
    const uint32_t ids[] = {QUANT_Q4_0, QUANT_Q4_1, QUANT_Q8_0};
    uint64_t state = 3;
    for (int round = 0; round < 2000; round++) {
        float in[96], out[96];
        uint8_t b[3 * 34 + 2];
        for (int i = 0; i < 96; i++)
            in[i] = test_random_float(&state) * sizes[round % 7] +
                    (round % 5 == 0 ? sizes[round % 7] : 0);
        for (int k = 0; k < 3; k++) {
            const quant_traits *t = quant_find(ids[k]);
            const size_t n_blocks = (size_t)round % 4;
            uint8_t *blocks = b + round % 2;
            memset(b, 0xA5, sizeof b);
            t->quantize(in, blocks, 32 * n_blocks);
            CHECK(blocks[n_blocks * t->bytes] == 0xA5);
            t->dequantize(blocks, out, 32 * n_blocks);
            for (size_t i = 0; i < 32 * n_blocks; i++) {
                const double bound = bound_of(ids[k], in + i / 32 * 32);
                CHECK_MSG(fabs((double)out[i] - (double)in[i]) <= bound, "%s %g became %g (%g)",
                          t->name, (double)in[i], (double)out[i], bound);
            }
        }
    }
}

/* Writing what was read gives the same values: the peak of a written block is on the grid. */
static void writes_again_what_it_read(void)
{
    uint64_t state = 4;
    for (int round = 0; round < 500; round++) {
        float in[32], once[32], twice[32];
        uint8_t b[34];
        for (int i = 0; i < 32; i++)
            in[i] = test_random_float(&state);
        const quant_traits *t = quant_find(QUANT_Q8_0);
        t->quantize(in, b, 32);
        t->dequantize(b, once, 32);
        t->quantize(once, b, 32);
        t->dequantize(b, twice, 32);
        CHECK(memcmp(once, twice, sizeof once) == 0);
    }
}

static void survives_extremes(void)
{
    static const float odd[] = {INFINITY, -INFINITY, NAN,   FLT_MAX, -FLT_MAX, FLT_MIN,
                                1e-45f,   0,         -0.0f, 1e10f,   -1e10f,   9e6f};
    const uint32_t ids[] = {QUANT_Q4_0, QUANT_Q4_1, QUANT_Q8_0, QUANT_F16, QUANT_BF16};
    uint64_t state = 5;
    for (int round = 0; round < 3000; round++) {
        float in[32], out[32];
        uint8_t b[128];
        bool finite = true;
        for (int i = 0; i < 32; i++) {
            in[i] = odd[test_random(&state) % (round % 2 ? 12 : 9)];
            if (round % 3 == 0 && fabsf(in[i]) > FLT_MAX)
                in[i] = 0;
            if (round % 3 == 0 && isnan(in[i]))
                in[i] = 1;
            finite = finite && isfinite(in[i]);
        }
        for (int k = 0; k < 5; k++) {
            quant_find(ids[k])->quantize(in, b, 32);
            quant_find(ids[k])->dequantize(b, out, 32);
            for (int i = 0; i < 32 && k < 3; i++)
                CHECK_MSG(!finite || isfinite(out[i]), "%u: %g", (unsigned)ids[k], (double)in[i]);
        }
    }
    // A scale beyond f16 is cut, and the values with it.
    float big[32] = {FLT_MAX, -FLT_MAX, 8e6f, 127.8f * 65504}, out[32];
    uint8_t b[34];
    quant_find(QUANT_Q8_0)->quantize(big, b, 32);
    quant_find(QUANT_Q8_0)->dequantize(b, out, 32);
    CHECK(out[0] == 127 * 65504.0f && out[1] == -127 * 65504.0f && out[4] == 0);
    CHECK(out[3] == 127 * 65504.0f);
    CHECK(fabsf(out[2] - 8e6f) <= 65504.0f / 2);
    quant_find(QUANT_Q4_1)->quantize(big, b, 32);
    quant_find(QUANT_Q4_1)->dequantize(b, out, 32);
    CHECK(out[0] == 15 * 65504.0f - 65504.0f && out[1] == -65504.0f);
    // One NaN, then nothing but NaN.
    for (int n_numbers = 1; n_numbers >= 0; n_numbers--) {
        for (int i = 0; i < 32; i++)
            big[i] = i < n_numbers ? 127 : NAN;
        for (int k = 0; k < 3; k++) {
            quant_find(ids[k])->quantize(big, b, 32);
            quant_find(ids[k])->dequantize(b, out, 32);
            const float middle = n_numbers && ids[k] == QUANT_Q4_1 ? 127 : 0;
            CHECK(out[0] == (n_numbers ? 127 : 0) && out[1] == middle && out[31] == middle);
        }
    }
}

/* ---- activations --------------------------------------------------------------------------- */

static void quantizes_activations(void)
{
    enum { N = 4096 };
    static float in[N];
    static int8_t q[N + 1];
    static float d[N / 16 + 1];
    static int32_t sums[N / 16 + 1];
    uint64_t state = 6;
    for (int i = 0; i < N; i++)
        in[i] = test_random_float(&state) * ldexpf(1, i / 32 - 64);
    q[N] = 99, d[N / 16] = 99, sums[N / 16] = 99;
    quant_activations(in, N, q, d, sums);
    CHECK(q[N] == 99 && d[N / 16] == 99 && sums[N / 16] == 99);
    for (int b = 0; b < N / 16; b++) {
        float padded[32] = {0}; // extremes_of looks at 32
        memcpy(padded, in + 16 * b, 16 * sizeof *padded);
        const float scale = extremes_of(padded).peak / 127;
        int32_t sum = 0;
        CHECK(d[b] == scale);
        for (int i = 16 * b; i < 16 * b + 16; i++) {
            CHECK(q[i] == (int)nearbyintf(in[i] / scale));
            CHECK(fabs((double)q[i] * scale - (double)in[i]) <= (double)scale * 0.500016);
            sum += q[i];
        }
        CHECK(sums[b] == sum);
    }
}

static void rounds_activations_to_even(void)
{
    float in[16] = {127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 126.5f, -127};
    int8_t q[16];
    float d;
    int32_t sum;
    quant_activations(in, 16, q, &d, &sum);
    CHECK(d == 1 && q[0] == 127 && q[1] == 0 && q[2] == 2 && q[3] == 2 && q[4] == 0 && q[5] == -2 &&
          q[6] == -2 && q[7] == 126 && q[8] == -127 && q[9] == 0);
    CHECK(sum == 127 + 2 + 2 - 2 - 2 + 126 - 127);
}

static void bounds_odd_activations(void)
{
    const float odd[] = {0, 1e-40f, 127 * FLT_MIN, FLT_MAX, INFINITY, NAN};
    for (int k = 0; k < 6; k++) {
        float in[16] = {0};
        int8_t q[16];
        float d = 5;
        int32_t sum = 5;
        in[7] = -odd[k];
        quant_activations(in, 16, q, &d, &sum);
        if (k < 2)
            CHECK(d == 0 && q[7] == 0 && sum == 0);
        else if (k < 4)
            CHECK(q[7] == -127 && sum == -127 && isfinite(d) && d >= FLT_MIN);
        else
            CHECK(isnan(d) && q[7] == 0 && q[0] == 0 && sum == 0);
    }
    quant_activations(NULL, 0, NULL, NULL, NULL);
}

TESTS(T(knows_every_format) T(names_foreign_ids) T(counts_bytes) T(reads_every_half)
      T(rounds_to_nearest_even) T(reads_as_described) T(reads_every_code) T(reads_known_blocks)
      T(has_the_published_grids) T(writes_known_blocks) T(keeps_within_a_step)
      T(writes_again_what_it_read) T(survives_extremes) T(quantizes_activations)
      T(rounds_activations_to_even) T(bounds_odd_activations))
