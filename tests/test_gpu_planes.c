/* Packing weights into planes, without a GPU: what is packed is read back with a literal reader, field by
 * field as the heads of src/gpu/wgsl/quant say, and compared with the format's own. */
#include "harness.h"
#include "gpu/planes.h"
#include "oracle_quant.h"
#include "support.h"

/* ---- planes, read value by value ---------------------------------------------------------------- */

typedef struct {
    gpu_planes p;
    const uint8_t *planes[PLANES_MAX];
} packed;

/* Fields of four bytes and more: those of a row, then those of the next. */
static const uint8_t *by_row(const packed *m, int plane, uint64_t row, uint64_t index, int bytes)
{
    return m->planes[plane] + row * (m->p.plane[plane].pair_bytes / 2) + index * (uint64_t)bytes;
}

/* Fields of two bytes. */
static const uint8_t *by_pair(const packed *m, int plane, uint64_t row, uint64_t unit)
{
    return m->planes[plane] + row / 2 * m->p.plane[plane].pair_bytes + 4 * unit + 2 * (row % 2);
}

/* Fields of one byte. */
static const uint8_t *by_four(const packed *m, int plane, uint64_t row, uint64_t b)
{
    return m->planes[plane] + row / 2 * m->p.plane[plane].pair_bytes + 4 * (b / 2) + 2 * (b % 2) + row % 2;
}

static unsigned nibble(const packed *m, uint64_t row, uint64_t col)
{
    const uint8_t *q = by_row(m, 0, row, col / 32, 16);
    return field(q, (int)(8 * (col % 16) + 4 * (col % 32 / 16)), 4);
}

/* Bit of a word in which bit j of byte c is of column 4 j + c. */
static unsigned spread_bit(const uint8_t *word, uint64_t col)
{
    return field(word, (int)(8 * (col % 4) + col % 32 / 4), 1);
}

/* Two bits of two words in which bits 2 f, 2 f + 1 of byte c are of column 4 f + c. */
static unsigned two_bits(const uint8_t *words, uint64_t col)
{
    return field(words + 4 * (col % 32 / 16), (int)(8 * (col % 4) + 2 * (col % 16 / 4)), 2);
}

static int two_complement(unsigned code, int bits)
{
    return (int)code - (code >> (bits - 1) ? 1 << bits : 0);
}

static double eight_bits(const packed *m, uint64_t row, uint64_t col)
{
    const uint64_t nb = m->p.n_blocks;
    return signed_byte(by_row(m, 0, row, col % 32 / 16 * nb + col / 32, 16), (int)(col % 16));
}

static double plane_q4_0(const packed *m, uint64_t row, uint64_t col)
{
    return half(by_pair(m, 1, row, col / 32), 0) * two_complement(nibble(m, row, col), 4);
}

static double plane_q4_1(const packed *m, uint64_t row, uint64_t col)
{
    const uint8_t *dm = by_row(m, 1, row, col / 32, 4);
    return half(dm, 0) * nibble(m, row, col) + half(dm, 2);
}

static double plane_q5_0(const packed *m, uint64_t row, uint64_t col)
{
    const unsigned sign = spread_bit(by_row(m, 1, row, col / 32, 4), col);
    return half(by_pair(m, 2, row, col / 32), 0) * two_complement(nibble(m, row, col) | sign << 4, 5);
}

static double plane_q5_1(const packed *m, uint64_t row, uint64_t col)
{
    const uint8_t *x = by_row(m, 1, row, col / 32, 8);
    return half(x, 4) * (nibble(m, row, col) + 16.0 * spread_bit(x, col)) + half(x, 6);
}

static double plane_q8_0(const packed *m, uint64_t row, uint64_t col)
{
    return half(by_pair(m, 1, row, col / 32), 0) * eight_bits(m, row, col);
}

static double plane_q2_k(const packed *m, uint64_t row, uint64_t col)
{
    const unsigned s = by_pair(m, 1, row, col / 32)[col % 32 / 16];
    const uint8_t *d = by_row(m, 2, row, col / 256, 4);
    return half(d, 0) * (s % 16) * two_bits(by_row(m, 0, row, col / 32, 8), col) - half(d, 2) * (s / 16);
}

static double plane_q3_k(const packed *m, uint64_t row, uint64_t col)
{
    const unsigned low = two_bits(by_row(m, 0, row, col / 32, 8), col);
    const unsigned sign = spread_bit(by_row(m, 1, row, col / 32, 4), col);
    const double s = signed_byte(by_pair(m, 2, row, col / 32), (int)(col % 32 / 16));
    return half(by_pair(m, 3, row, col / 256), 0) * s * two_complement(low | sign << 2, 3);
}

static double plane_q4_k(const packed *m, uint64_t row, uint64_t col)
{
    const uint8_t *s = by_pair(m, 1, row, col / 32), *d = by_row(m, 2, row, col / 256, 4);
    return half(d, 0) * s[0] * nibble(m, row, col) - half(d, 2) * s[1];
}

static double plane_q5_k(const packed *m, uint64_t row, uint64_t col)
{
    const uint8_t *s = by_pair(m, 2, row, col / 32), *d = by_row(m, 3, row, col / 256, 4);
    const double q = nibble(m, row, col) + 16.0 * spread_bit(by_row(m, 1, row, col / 32, 4), col);
    return half(d, 0) * s[0] * q - half(d, 2) * s[1];
}

static double plane_q6_k(const packed *m, uint64_t row, uint64_t col)
{
    const unsigned high = two_bits(by_row(m, 1, row, col / 32, 8), col);
    const double s = signed_byte(by_pair(m, 2, row, col / 32), (int)(col % 32 / 16));
    const double d = value_f32(by_row(m, 3, row, col / 256, 4), 0);
    return d * s * two_complement(nibble(m, row, col) | high << 4, 6);
}

static double plane_q8_k(const packed *m, uint64_t row, uint64_t col)
{
    const double s = signed_byte(by_pair(m, 1, row, col / 32), (int)(col % 32 / 16));
    return value_f32(by_row(m, 2, row, col / 256, 4), 0) * s * eight_bits(m, row, col);
}

static double plane_iq4_nl(const packed *m, uint64_t row, uint64_t col)
{
    return half(by_pair(m, 1, row, col / 32), 0) * iq4_codes[nibble(m, row, col) ^ 8];
}

static double plane_iq4_xs(const packed *m, uint64_t row, uint64_t col)
{
    const double s = signed_byte(by_four(m, 1, row, col / 32), 0);
    return half(by_pair(m, 2, row, col / 256), 0) * s * iq4_codes[nibble(m, row, col) ^ 8];
}

static double plane_tq2_0(const packed *m, uint64_t row, uint64_t col)
{
    const int negative = two_complement(two_bits(by_row(m, 0, row, col / 32, 8), col), 2);
    return half(by_pair(m, 1, row, col / 256), 0) * -negative;
}

static double plane_q2_0(const packed *m, uint64_t row, uint64_t col)
{
    const int negative = two_complement(two_bits(by_row(m, 0, row, col / 32, 8), col), 2);
    return half(by_pair(m, 1, row, col / 64), 0) * -negative;
}

static double plane_mxfp4(const packed *m, uint64_t row, uint64_t col)
{
    CHECK(nibble(m, row, col) != 8); // kernels count on it
    return e2m1(nibble(m, row, col)) * ldexp(1, *by_four(m, 1, row, col / 32) - 127);
}

static double plane_nvfp4(const packed *m, uint64_t row, uint64_t col)
{
    const unsigned s = by_pair(m, 1, row, col / 32)[col % 32 / 16];
    CHECK(nibble(m, row, col) != 8 && s < 128);
    return e2m1(nibble(m, row, col)) * (s < 8 ? ldexp(s, -9) : ldexp(8 + s % 8, (int)(s / 8) - 10));
}

static const uint8_t *in_parts(const packed *m, uint64_t row, uint64_t col, uint64_t a_part)
{
    return by_row(m, 0, row, col % 32 / a_part * m->p.n_blocks + col / 32, 16) + 16 / a_part * (col % a_part);
}

static double plane_f16(const packed *m, uint64_t row, uint64_t col)
{
    return half(in_parts(m, row, col, 8), 0);
}

static double plane_bf16(const packed *m, uint64_t row, uint64_t col)
{
    return value_bf16(in_parts(m, row, col, 8), 0);
}

static double plane_f32(const packed *m, uint64_t row, uint64_t col)
{
    return value_f32(in_parts(m, row, col, 4), 0);
}

/* Name of the part, bytes for 256 columns, a literal reader. */
static const struct {
    uint32_t format;
    const char *part;
    uint64_t bytes;
    double (*value)(const packed *m, uint64_t row, uint64_t col);
} readers[] = {
    {QUANT_Q4_0, "quant/q4_0", 144, plane_q4_0},
    {QUANT_Q4_1, "quant/q4_1", 160, plane_q4_1},
    {QUANT_Q5_0, "quant/q5_0", 176, plane_q5_0},
    {QUANT_Q5_1, "quant/q5_1", 192, plane_q5_1},
    {QUANT_Q8_0, "quant/q8_0", 272, plane_q8_0},
    {QUANT_Q2_K, "quant/q2_k", 84, plane_q2_k},
    {QUANT_Q3_K, "quant/q3_k", 114, plane_q3_k}, // scales of 6 bits are bytes here
    {QUANT_Q4_K, "quant/q4_k", 148, plane_q4_k},
    {QUANT_Q5_K, "quant/q5_k", 180, plane_q5_k},
    {QUANT_Q6_K, "quant/q6_k", 212, plane_q6_k},
    {QUANT_Q8_K, "quant/q8_k", 276, plane_q8_k},
    {QUANT_IQ4_NL, "quant/iq4_nl", 144, plane_iq4_nl},
    {QUANT_IQ4_XS, "quant/iq4_xs", 138, plane_iq4_xs},
    {QUANT_TQ2_0, "quant/tq2_0", 66, plane_tq2_0},
    {QUANT_Q2_0, "quant/q2_0", 72, plane_q2_0},
    {QUANT_MXFP4, "quant/mxfp4", 136, plane_mxfp4},
    {QUANT_NVFP4, "quant/nvfp4", 144, plane_nvfp4},
    {QUANT_F16, "quant/f16", 512, plane_f16},
    {QUANT_BF16, "quant/bf16", 512, plane_bf16},
    {QUANT_F32, "quant/f32", 1024, plane_f32},
};

enum { READERS = sizeof readers / sizeof *readers };

/* What a file's format becomes: itself where a kernel reads it, else the smallest that loses nothing. */
static uint32_t kernel_format_of(uint32_t format)
{
    switch (format) {
    case QUANT_Q8_1: case QUANT_I8: return QUANT_Q8_0;
    case QUANT_IQ2_XXS: case QUANT_IQ2_XS: case QUANT_IQ2_S: return QUANT_Q8_K;
    case QUANT_IQ3_XXS: case QUANT_IQ3_S: case QUANT_IQ1_S: case QUANT_IQ1_M: return QUANT_Q6_K;
    case QUANT_TQ1_0: return QUANT_TQ2_0;
    case QUANT_Q1_0: return QUANT_Q2_0;
    case QUANT_I16: case QUANT_I32: case QUANT_I64: case QUANT_F64: return QUANT_F32;
    default: return format;
    }
}

/* ---- packing ------------------------------------------------------------------------------------ */

/* Planes in allocations of their own, exactly as large as planned, each byte `fill` beforehand. */
static bool open_planes(packed *m, uint8_t *out[PLANES_MAX], uint64_t rows, int fill)
{
    for (uint32_t i = 0; i < m->p.n_planes; i++) {
        const size_t bytes = (size_t)((rows + 1) / 2 * m->p.plane[i].pair_bytes);
        m->planes[i] = out[i] = malloc(bytes);
        if (!out[i])
            return false;
        memset(out[i], fill, bytes);
    }
    return true;
}

static void close_planes(uint8_t *out[PLANES_MAX])
{
    for (int i = 0; i < PLANES_MAX; i++)
        free(out[i]);
}

static bool same(float got, float want)
{
    return got == want || (isnan(got) && isnan(want));
}

static void check_values(const packed *m, const quant_traits *t, const uint8_t *file, uint64_t row_bytes)
{
    double (*value)(const packed *, uint64_t, uint64_t) = NULL;
    for (int i = 0; i < READERS; i++)
        if (readers[i].format == m->p.format)
            value = readers[i].value;
    CHECK(value != NULL);
    float *want = malloc((size_t)m->p.cols * sizeof *want);
    for (uint64_t row = 0; value && want && row < m->p.rows; row++) {
        t->dequantize(file + row * row_bytes, want, (size_t)m->p.cols);
        for (uint64_t col = 0; col < 32 * (uint64_t)m->p.n_blocks; col++) {
            const float got = (float)value(m, row, col), right = col < m->p.cols ? want[col] : 0;
            CHECK_MSG(same(got, right), "%s [%u][%u]: %.9g, want %.9g", t->name, (unsigned)row, (unsigned)col,
                      (double)got, (double)right);
        }
    }
    free(want);
}

/* All rows at once, and two at a time over other bytes, come out the same. */
static void check_steps(const packed *m, uint32_t format, const uint8_t *file, uint64_t row_bytes)
{
    packed again = {.p = m->p};
    uint8_t *out[PLANES_MAX] = {0}, *step[PLANES_MAX] = {0};
    CHECK(open_planes(&again, out, m->p.rows, 0x5A));
    for (uint64_t row = 0; row < m->p.rows; row += 2) {
        for (uint32_t i = 0; i < m->p.n_planes; i++)
            step[i] = out[i] + row / 2 * m->p.plane[i].pair_bytes;
        planes_pack(&m->p, format, file + row * row_bytes, row + 1 < m->p.rows ? 2 : 1, step, NULL);
    }
    for (uint32_t i = 0; i < m->p.n_planes; i++)
        CHECK_MSG(memcmp(out[i], m->planes[i], (size_t)((m->p.rows + 1) / 2 * m->p.plane[i].pair_bytes)) == 0,
                  "plane %u", (unsigned)i);
    close_planes(out);
}

static void check_row_beyond(const packed *m)
{
    for (uint32_t i = 0; m->p.rows % 2 && i < m->p.n_planes; i++) {
        const uint64_t bytes = m->p.plane[i].pair_bytes / 2;
        const uint8_t *second = m->planes[i] + m->p.rows * bytes;
        uint64_t bad = 0;
        for (uint64_t k = 0; i == 0 && k < bytes; k++)
            bad += second[k] != 0;
        CHECK_MSG(bad == 0, "%s: %llu bytes of the row beyond are not 0", m->p.part, (unsigned long long)bad);
    }
}

/* Blocks of random bytes; of one byte; of random bytes with scales at the edges of f16. */
typedef enum { ANY_BYTES, ONE_BYTE, EDGES } filling;

static void fill_blocks(uint8_t *b, size_t bytes, const oracle_format *f, filling how, uint64_t *random)
{
    static const uint16_t edges[] = {0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x3C00, 0xBC00,
                                     0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00};
    const uint8_t one = (uint8_t)test_random(random);
    for (size_t i = 0; i < bytes; i++)
        b[i] = how == ONE_BYTE ? one : (uint8_t)(test_random(random) >> 20);
    for (size_t at = 0; how == EDGES && at < bytes; at += (size_t)f->bytes)
        for (int k = 0; k < 2; k++)
            if (f->halves[k] >= 0)
                memcpy(b + at + f->halves[k], &edges[test_random(random) % (sizeof edges / sizeof *edges)], 2);
}

static void check_matrix(const oracle_format *f, uint64_t rows, uint64_t cols, filling how, uint64_t *random)
{
    const quant_traits *t = quant_find(f->id);
    packed m;
    uint8_t *out[PLANES_MAX] = {0};
    uint64_t row_bytes = 0;
    ingle_error e;
    CHECK_MSG(planes_plan(&m.p, f->id, rows, cols, &e) == INGLE_OK && quant_bytes(f->id, cols, &row_bytes), "%s",
              f->name);
    CHECK(m.p.rows == rows && m.p.cols == cols && m.p.n_blocks == (cols + 31) / 32);
    uint8_t *file = malloc((size_t)(rows * row_bytes));
    CHECK(file && open_planes(&m, out, rows, 0xA5));
    fill_blocks(file, (size_t)(rows * row_bytes), f, how, random);
    planes_pack(&m.p, f->id, file, rows, out, NULL);
    check_values(&m, t, file, row_bytes);
    check_steps(&m, f->id, file, row_bytes);
    check_row_beyond(&m);
    close_planes(out);
    free(file);
}

static void keeps_every_value(void)
{
    uint64_t random = 5;
    for (int k = 0; k < ORACLE_FORMATS; k++) {
        const oracle_format *f = &oracle_formats[k];
        const uint64_t odd_cols[] = {1, 31, 32, 33, 70}, blocks[] = {1, 2, 3, 5};
        for (uint64_t rows = 1; rows <= 5; rows++)
            for (filling how = ANY_BYTES; how <= EDGES; how++) {
                for (size_t i = 0; f->values == 1 && i < sizeof odd_cols / sizeof *odd_cols; i++)
                    check_matrix(f, rows, odd_cols[i], how, &random);
                for (size_t i = 0; f->values > 1 && i < sizeof blocks / sizeof *blocks; i++)
                    check_matrix(f, rows, blocks[i] * (uint64_t)f->values, how, &random);
            }
        for (int i = 0; i < 100; i++) // single blocks: extremes meet every code sooner or later
            check_matrix(f, 2, f->values == 1 ? 32 : (uint64_t)f->values, (filling)(i % 3), &random);
    }
}

/* ---- plans -------------------------------------------------------------------------------------- */

static void chooses_formats_that_lose_nothing(void)
{
    for (int k = 0; k < ORACLE_FORMATS; k++) {
        gpu_planes p;
        CHECK(planes_plan(&p, oracle_formats[k].id, 2, 256, NULL) == INGLE_OK);
        CHECK_MSG(p.format == kernel_format_of(oracle_formats[k].id), "%s", oracle_formats[k].name);
        for (int i = 0; i < READERS; i++)
            if (readers[i].format == p.format)
                CHECK_TEXT(p.part, readers[i].part);
        CHECK(p.integers == !(p.format == QUANT_F16 || p.format == QUANT_BF16 || p.format == QUANT_F32));
    }
}

static void wastes_nothing(void)
{
    for (int i = 0; i < READERS; i++) {
        gpu_planes p;
        uint64_t end = 0, bytes = 0;
        CHECK(planes_plan(&p, readers[i].format, 7, 512, NULL) == INGLE_OK);
        for (uint32_t k = 0; k < p.n_planes; k++) {
            CHECK(p.plane[k].offset % 256 == 0 && p.plane[k].offset >= end && p.plane[k].offset < end + 256);
            CHECK(p.plane[k].pair_bytes % 4 == 0);
            end = p.plane[k].offset + 4 * p.plane[k].pair_bytes;
            bytes += p.plane[k].pair_bytes;
        }
        CHECK(p.bytes == end);
        CHECK_MSG(bytes == 2 * 2 * readers[i].bytes, "%s: %llu bytes", p.part, (unsigned long long)bytes);
    }
}

static void refuses_what_it_does_not_know(void)
{
    gpu_planes p;
    ingle_error e;
    CHECK(planes_plan(&p, 144, 2, 256, &e) == INGLE_ERR_UNSUPPORTED && strstr(e.text, "IQ4_KS (ik_llama.cpp)"));
    CHECK(planes_plan(&p, 1000, 2, 256, &e) == INGLE_ERR_UNSUPPORTED && strstr(e.text, "1000"));
    CHECK(planes_plan(&p, QUANT_F32, UINT64_MAX, 32, &e) == INGLE_ERR_MEMORY);
    CHECK(planes_plan(&p, QUANT_Q5_K, UINT64_C(1) << 40, UINT64_C(1) << 30, &e) == INGLE_ERR_MEMORY);
    CHECK(planes_plan(&p, QUANT_Q4_0, 2, UINT64_MAX - 31, &e) == INGLE_ERR_MEMORY);
    CHECK(planes_plan(&p, QUANT_Q4_0, UINT64_C(1) << 40, 4096, &e) == INGLE_OK);
}

TESTS(T(keeps_every_value) T(chooses_formats_that_lose_nothing) T(wastes_nothing) T(refuses_what_it_does_not_know))
