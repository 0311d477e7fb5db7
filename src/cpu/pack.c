#include "cpu/kernels.h"

const uint8_t cpu_iq4_bytes[16] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};

static const struct {
    uint32_t format, columns, bytes;
} kinds[PACK_KIND_COUNT] = {
#define ROW(format, columns, bytes) {QUANT_##format, columns, bytes},
    PACK_KINDS(ROW)
#undef ROW
};

pack_kind pack_kind_of(uint32_t format)
{
    for (int kind = 0; kind < PACK_KIND_COUNT; kind++)
        if (kinds[kind].format == format)
            return (pack_kind)kind;
    return PACK_NONE;
}

cpu_packed pack_plan(pack_kind kind, uint64_t rows, uint64_t cols)
{
    cpu_packed p = {.kind = kind,
                    .unit_columns = kinds[kind].columns,
                    .rows = (size_t)rows,
                    .cols = (size_t)cols,
                    .unit_bytes = kinds[kind].bytes};
    p.n_groups = (p.rows + PACK_ROWS - 1) / PACK_ROWS;
    p.n_units = (p.cols + p.unit_columns - 1) / p.unit_columns;
    p.group_bytes = p.n_units * p.unit_bytes;
    return p;
}

/* ---- blocks of 32 ----------------------------------------------------------------------------- */

/* Where in a file's block the parts lie, and where in a unit. */
typedef struct {
    uint32_t block_bytes, quants_at; // of the file; the scale is at 0, the minimum at 2
    uint32_t fifths_at;              // 32 fifth bits; 0: none
    uint32_t lines;                  // of a block's quants in a unit
    bool has_min;
    uint32_t flip; // xor on each four bytes of quants
} block_shape;

static const block_shape shapes[] = {
    [PACK_Q4_0] = {18, 2, 0, 4, false, 0},
    [PACK_IQ4_NL] = {18, 2, 0, 4, false, 0},
    [PACK_Q4_1] = {20, 4, 0, 4, true, 0},
    [PACK_Q5_0] = {22, 6, 2, 4, false, 0},
    [PACK_Q5_1] = {24, 8, 4, 4, true, 0},
    [PACK_Q8_0] = {34, 2, 0, 8, false, 0x80808080},
};

static size_t line_count(const block_shape *s)
{
    return s->lines + (s->fifths_at ? 1 : 0);
}

/* Fifth bits of 32 columns, in order, and as the four bytes of a lane: byte c holds columns 4j + c as bits
 * j and 16 + 4j + c as bits 4 + j. */
static uint32_t spread_fifths(uint32_t in_order)
{
    uint32_t lane = 0;
    for (uint32_t i = 0; i < 32; i++)
        lane |= (in_order >> i & 1) << (8 * (i % 4) + i / 4);
    return lane;
}

static uint32_t gather_fifths(uint32_t lane)
{
    uint32_t in_order = 0;
    for (uint32_t i = 0; i < 32; i++)
        in_order |= (lane >> (8 * (i % 4) + i / 4) & 1) << i;
    return in_order;
}

/* One row's blocks into its lane of a unit; n is 2, or 1 in front of padding. */
static void pack_pair(const block_shape *s, const uint8_t *blocks, size_t n, size_t lane, uint8_t *unit)
{
    uint8_t *lines = unit + PACK_LINE * (s->has_min ? 2u : 1u);
    for (size_t b = 0; b < n; b++) {
        const uint8_t *from = blocks + b * s->block_bytes;
        memcpy(unit + 32 * b + 2 * lane, from, 2);
        if (s->has_min)
            memcpy(unit + PACK_LINE + 32 * b + 2 * lane, from + 2, 2);
        uint8_t *to = lines + b * line_count(s) * PACK_LINE + 4 * lane;
        for (size_t j = 0; j < s->lines; j++) { // four bytes of a row stay together
            uint32_t word;
            memcpy(&word, from + s->quants_at + 4 * j, sizeof word);
            word ^= s->flip;
            memcpy(to + j * PACK_LINE, &word, sizeof word);
        }
        if (s->fifths_at) {
            const uint8_t *f = from + s->fifths_at; // little-endian in the file, bytes in a lane
            const uint32_t word = spread_fifths((uint32_t)f[0] | (uint32_t)f[1] << 8 | (uint32_t)f[2] << 16 |
                                                (uint32_t)f[3] << 24);
            for (size_t c = 0; c < 4; c++)
                to[s->lines * PACK_LINE + c] = (uint8_t)(word >> 8 * c);
        }
    }
}

/* ---- super-blocks of 256 ---------------------------------------------------------------------- */

/* Weights of one block of 32 as numbers 0 ... 63, then into lines. */
static void put_block(const uint8_t q[32], size_t lane, uint8_t *lines, int bits)
{
    for (size_t i = 0; i < 16; i++) {
        const size_t j = i / 4, at = 4 * lane + i % 4;
        lines[j * PACK_LINE + at] = (uint8_t)((q[i] & 15) | (q[i + 16] & 15) << 4);
        if (bits == 5) {
            uint8_t *fifth = lines + 4 * PACK_LINE + at;
            *fifth = (uint8_t)(*fifth | (q[i] >> 4) << j | (q[i + 16] >> 4) << (4 + j));
        } else if (bits == 6) {
            uint8_t *low = lines + 4 * PACK_LINE + at, *high = low + PACK_LINE;
            *low = (uint8_t)(*low | (q[i] >> 4) << 2 * j);
            *high = (uint8_t)(*high | (q[i + 16] >> 4) << 2 * j);
        }
    }
}

/* Q4_K and Q5_K: d, dmin, 12 bytes of six-bit scales, (fifth bits,) nibbles. */
static void pack_k45(const uint8_t *from, bool five, size_t lane, uint8_t *unit)
{
    const uint8_t *s = from + 4, *qh = from + 16, *qs = from + (five ? 48 : 16);
    const size_t block = PACK_LINE * (five ? 5u : 4u);
    memcpy(unit + 2 * lane, from, 2);
    memcpy(unit + 32 + 2 * lane, from + 2, 2);
    for (size_t j = 0; j < 8; j++) {
        const int scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
        const int minimum = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | (s[j] >> 6) << 4;
        uint8_t q[32];
        for (size_t l = 0; l < 32; l++) {
            const int nibble = qs[32 * (j / 2) + l] >> (j % 2 ? 4 : 0) & 15;
            q[l] = (uint8_t)(nibble | (five ? (qh[l] >> j & 1) << 4 : 0));
        }
        unit[64 + 16 * j + lane] = (uint8_t)scale;
        unit[192 + 16 * j + lane] = (uint8_t)minimum;
        put_block(q, lane, unit + 320 + j * block, five ? 5 : 4);
    }
}

static void pack_k6(const uint8_t *from, size_t lane, uint8_t *unit)
{
    memcpy(unit + 2 * lane, from + 208, 2);
    for (size_t j = 0; j < 16; j++)
        unit[64 + 16 * j + lane] = from[192 + j];
    for (size_t j = 0; j < 8; j++) {
        // Columns 32j ...: quarter j % 4 of a half of 128.
        const uint8_t *ql = from + 64 * (j / 4) + 32 * (j % 2), *qh = from + 128 + 32 * (j / 4);
        uint8_t q[32];
        for (size_t l = 0; l < 32; l++)
            q[l] = (uint8_t)((ql[l] >> (j % 4 < 2 ? 0 : 4) & 15) | (qh[l] >> 2 * (j % 4) & 3) << 4);
        put_block(q, lane, unit + 320 + j * 6 * PACK_LINE, 6);
    }
}

/* ---- matrices --------------------------------------------------------------------------------- */

static void pack_unit(const cpu_packed *p, const uint8_t *row, size_t unit, size_t lane, uint8_t *to)
{
    if (p->unit_columns == 64) {
        const block_shape *s = &shapes[p->kind];
        const size_t left = p->cols / 32 - 2 * unit;
        pack_pair(s, row + 2 * unit * s->block_bytes, left < 2 ? left : 2, lane, to);
        return;
    }
    const quant_traits *format = quant_find(kinds[p->kind].format);
    const uint8_t *from = row + unit * format->bytes;
    if (p->kind == PACK_Q6_K)
        pack_k6(from, lane, to);
    else
        pack_k45(from, p->kind == PACK_Q5_K, lane, to);
}

void pack_groups(const cpu_packed *p, uint8_t *data, const graph_tensor *w, size_t first, size_t n)
{
    const quant_traits *format = quant_find(w->format);
    const size_t row_bytes = p->cols / format->values * format->bytes;
    for (size_t g = first; g < first + n; g++) {
        uint8_t *group = data + g * p->group_bytes;
        memset(group, 0, p->group_bytes);
        for (size_t lane = 0; lane < PACK_ROWS && g * PACK_ROWS + lane < p->rows; lane++) {
            const uint8_t *row = (const uint8_t *)w->data + (g * PACK_ROWS + lane) * row_bytes;
            for (size_t unit = 0; unit < p->n_units; unit++)
                pack_unit(p, row, unit, lane, group + unit * p->unit_bytes);
        }
    }
}

/* ---- the way back ----------------------------------------------------------------------------- */

static void unpack_pair(const block_shape *s, const uint8_t *unit, size_t n, size_t lane, uint8_t *blocks)
{
    const uint8_t *lines = unit + PACK_LINE * (s->has_min ? 2u : 1u);
    for (size_t b = 0; b < n; b++) {
        uint8_t *to = blocks + b * s->block_bytes;
        memcpy(to, unit + 32 * b + 2 * lane, 2);
        if (s->has_min)
            memcpy(to + 2, unit + PACK_LINE + 32 * b + 2 * lane, 2);
        const uint8_t *from = lines + b * line_count(s) * PACK_LINE + 4 * lane;
        for (size_t j = 0; j < s->lines; j++)
            for (size_t c = 0; c < 4; c++)
                to[s->quants_at + 4 * j + c] = from[j * PACK_LINE + c] ^ (uint8_t)s->flip;
        if (s->fifths_at) {
            const uint8_t *f = from + s->lines * PACK_LINE;
            const uint32_t word = gather_fifths((uint32_t)f[0] | (uint32_t)f[1] << 8 | (uint32_t)f[2] << 16 |
                                                (uint32_t)f[3] << 24);
            for (size_t c = 0; c < 4; c++)
                to[s->fifths_at + c] = (uint8_t)(word >> 8 * c);
        }
    }
}

static void get_block(uint8_t q[32], size_t lane, const uint8_t *lines, int bits)
{
    for (size_t i = 0; i < 16; i++) {
        const size_t j = i / 4, at = 4 * lane + i % 4;
        const uint8_t nibbles = lines[j * PACK_LINE + at], *more = lines + 4 * PACK_LINE + at;
        int low = nibbles & 15, high = nibbles >> 4;
        if (bits == 5) {
            low |= (*more >> j & 1) << 4;
            high |= (*more >> (4 + j) & 1) << 4;
        } else if (bits == 6) {
            low |= (*more >> 2 * j & 3) << 4;
            high |= (more[PACK_LINE] >> 2 * j & 3) << 4;
        }
        q[i] = (uint8_t)low;
        q[i + 16] = (uint8_t)high;
    }
}

static void unpack_k45(const uint8_t *unit, bool five, size_t lane, uint8_t *to)
{
    uint8_t *s = to + 4, *qh = to + 16, *qs = to + (five ? 48 : 16);
    memset(to, 0, five ? 176 : 144);
    memcpy(to, unit + 2 * lane, 2);
    memcpy(to + 2, unit + 32 + 2 * lane, 2);
    for (size_t j = 0; j < 8; j++) {
        const uint8_t scale = unit[64 + 16 * j + lane], minimum = unit[192 + 16 * j + lane];
        if (j < 4) {
            s[j] |= scale;
            s[j + 4] |= minimum;
        } else {
            s[j + 4] = (uint8_t)((scale & 15) | (minimum & 15) << 4);
            s[j - 4] = (uint8_t)(s[j - 4] | (scale >> 4) << 6);
            s[j] = (uint8_t)(s[j] | (minimum >> 4) << 6);
        }
        uint8_t q[32];
        get_block(q, lane, unit + 320 + j * PACK_LINE * (five ? 5u : 4u), five ? 5 : 4);
        for (size_t l = 0; l < 32; l++) {
            qs[32 * (j / 2) + l] = (uint8_t)(qs[32 * (j / 2) + l] | (q[l] & 15) << (j % 2 ? 4 : 0));
            if (five)
                qh[l] = (uint8_t)(qh[l] | (q[l] >> 4) << j);
        }
    }
}

static void unpack_k6(const uint8_t *unit, size_t lane, uint8_t *to)
{
    memset(to, 0, 210);
    memcpy(to + 208, unit + 2 * lane, 2);
    for (size_t j = 0; j < 16; j++)
        to[192 + j] = unit[64 + 16 * j + lane];
    for (size_t j = 0; j < 8; j++) {
        uint8_t *ql = to + 64 * (j / 4) + 32 * (j % 2), *qh = to + 128 + 32 * (j / 4), q[32];
        get_block(q, lane, unit + 320 + j * 6 * PACK_LINE, 6);
        for (size_t l = 0; l < 32; l++) {
            ql[l] = (uint8_t)(ql[l] | (q[l] & 15) << (j % 4 < 2 ? 0 : 4));
            qh[l] = (uint8_t)(qh[l] | (q[l] >> 4) << 2 * (j % 4));
        }
    }
}

void pack_row(const cpu_packed *p, size_t row, uint8_t *out)
{
    const uint8_t *group = p->data + row / PACK_ROWS * p->group_bytes;
    const size_t lane = row % PACK_ROWS;
    for (size_t i = 0; i < p->n_units; i++, group += p->unit_bytes) {
        if (p->unit_columns == 64) {
            const size_t left = p->cols / 32 - 2 * i;
            unpack_pair(&shapes[p->kind], group, left < 2 ? left : 2, lane, out + 2 * i * shapes[p->kind].block_bytes);
        } else if (p->kind == PACK_Q6_K) {
            unpack_k6(group, lane, out + 210 * i);
        } else {
            unpack_k45(group, p->kind == PACK_Q5_K, lane, out + (p->kind == PACK_Q5_K ? 176u : 144u) * i);
        }
    }
}
