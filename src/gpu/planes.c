/* Planes: the formats that kernels read and where each field of a block lies.
 *
 * A plane holds one field for each row and each unit of blocks; its size says how fields lie:
 *
 *   16, 8, 4 bytes  [row][part][unit]; a field of several parts is 16 bytes a part
 *   2 bytes         [row / 2][unit][row % 2]
 *   1 byte          [row / 2][unit / 2][unit % 2][row % 2]
 *
 * Refuses formats that are not in quant/formats.h. */
#include "gpu/planes.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "gpu/planes_pack.h"

enum { PLANE_ALIGN = 256 };

typedef struct {
    uint8_t bytes;  // of a field, or of each of its parts; 0: no such plane
    uint8_t parts;  // more than one: 16 bytes each
    uint8_t blocks; // that share a field: a unit
} plane_shape;

typedef struct {
    uint32_t format;
    const char *part;
    bool integers;
    plane_shape planes[PLANES_MAX];
} kernel_format;

static const kernel_format kernel_formats[] = {
    {QUANT_Q4_0, "quant/q4_0", true, {{16, 1, 1}, {2, 1, 1}}},
    {QUANT_Q4_1, "quant/q4_1", true, {{16, 1, 1}, {4, 1, 1}}},
    {QUANT_Q5_0, "quant/q5_0", true, {{16, 1, 1}, {4, 1, 1}, {2, 1, 1}}},
    {QUANT_Q5_1, "quant/q5_1", true, {{16, 1, 1}, {8, 1, 1}}},
    {QUANT_Q8_0, "quant/q8_0", true, {{16, 2, 1}, {2, 1, 1}}},
    {QUANT_Q2_K, "quant/q2_k", true, {{8, 1, 1}, {2, 1, 1}, {4, 1, 8}}},
    {QUANT_Q3_K, "quant/q3_k", true, {{8, 1, 1}, {4, 1, 1}, {2, 1, 1}, {2, 1, 8}}},
    {QUANT_Q4_K, "quant/q4_k", true, {{16, 1, 1}, {2, 1, 1}, {4, 1, 8}}},
    {QUANT_Q5_K, "quant/q5_k", true, {{16, 1, 1}, {4, 1, 1}, {2, 1, 1}, {4, 1, 8}}},
    {QUANT_Q6_K, "quant/q6_k", true, {{16, 1, 1}, {8, 1, 1}, {2, 1, 1}, {4, 1, 8}}},
    {QUANT_Q8_K, "quant/q8_k", true, {{16, 2, 1}, {2, 1, 1}, {4, 1, 8}}},
    {QUANT_IQ4_NL, "quant/iq4_nl", true, {{16, 1, 1}, {2, 1, 1}}},
    {QUANT_IQ4_XS, "quant/iq4_xs", true, {{16, 1, 1}, {1, 1, 1}, {2, 1, 8}}},
    {QUANT_TQ2_0, "quant/tq2_0", true, {{8, 1, 1}, {2, 1, 8}}},
    {QUANT_Q2_0, "quant/q2_0", true, {{8, 1, 1}, {2, 1, 2}}},
    {QUANT_MXFP4, "quant/mxfp4", true, {{16, 1, 1}, {1, 1, 1}}},
    {QUANT_NVFP4, "quant/nvfp4", true, {{16, 1, 1}, {2, 1, 1}}},
    {QUANT_F16, "quant/f16", false, {{16, 4, 1}}},
    {QUANT_BF16, "quant/bf16", false, {{16, 4, 1}}},
    {QUANT_F32, "quant/f32", false, {{16, 8, 1}}},
};

static const kernel_format *find_kernel_format(uint32_t format)
{
    for (size_t i = 0; i < sizeof kernel_formats / sizeof *kernel_formats; i++)
        if (kernel_formats[i].format == format)
            return &kernel_formats[i];
    return NULL;
}

static uint64_t units_of(const plane_shape *s, uint64_t n_blocks)
{
    return (n_blocks + s->blocks - 1) / s->blocks;
}

static uint64_t pair_bytes(const plane_shape *s, uint64_t n_blocks)
{
    const uint64_t units = units_of(s, n_blocks);
    if (s->bytes == 1)
        return 4 * ((units + 1) / 2);
    return 2 * units * s->parts * s->bytes;
}

ingle_status planes_plan(gpu_planes *out, uint32_t format, uint64_t rows, uint64_t cols, ingle_error *err)
{
    *out = (gpu_planes){0};
    const packing *packs = packing_find(format);
    if (!packs) {
        const char *name = quant_foreign_name(format);
        return error_set(err, INGLE_ERR_UNSUPPORTED, "no GPU kernel reads format %lu%s%s%s", (unsigned long)format,
                         name ? " (" : "", name ? name : "", name ? ")" : "");
    }
    const kernel_format *k = find_kernel_format(packs->to);
    *out = (gpu_planes){.format = k->format, .part = k->part, .integers = k->integers, .rows = rows, .cols = cols};
    const uint64_t n_blocks = cols / PLANES_BLOCK + (cols % PLANES_BLOCK != 0);
    bool fits = n_blocks <= UINT32_MAX;
    for (uint32_t i = 0; fits && i < PLANES_MAX && k->planes[i].bytes; i++) {
        gpu_plane *p = &out->plane[out->n_planes++];
        uint64_t bytes;
        p->pair_bytes = pair_bytes(&k->planes[i], n_blocks);
        p->offset = out->bytes + (PLANE_ALIGN - out->bytes % PLANE_ALIGN) % PLANE_ALIGN;
        fits = p->offset >= out->bytes && u64_mul(rows / 2 + rows % 2, p->pair_bytes, &bytes) &&
               u64_add(p->offset, bytes, &out->bytes);
    }
    if (!fits)
        return error_set(err, INGLE_ERR_MEMORY, "a matrix of %llu x %llu is larger than any memory",
                         (unsigned long long)rows, (unsigned long long)cols);
    out->n_blocks = (uint32_t)n_blocks;
    return INGLE_OK;
}

/* Row `row` of what starts at out. */
static lane lane_of(const plane_shape *s, uint64_t n_blocks, uint8_t *out, size_t row)
{
    const size_t units = (size_t)units_of(s, n_blocks), pair = (size_t)pair_bytes(s, n_blocks);
    uint8_t *at = out + row / 2 * pair;
    if (s->bytes == 1)
        return (lane){at + row % 2, 2, 0};
    if (s->bytes == 2)
        return (lane){at + row % 2 * 2, 4, 0};
    return (lane){at + row % 2 * (pair / 2), s->bytes, units * s->bytes};
}

void planes_pack(const gpu_planes *p, uint32_t format, const void *from, uint64_t n, uint8_t *const out[PLANES_MAX],
                 void *scratch)
{
    const quant_traits *traits = quant_find(format);
    const packing *packs = packing_find(format);
    const kernel_format *k = find_kernel_format(p->format);
    const size_t values = traits->values == 1 ? PLANES_BLOCK : traits->values; // packed at a time
    const size_t bytes = values / traits->values * traits->bytes, cols = (size_t)p->cols;
    const size_t rest = cols % values * traits->bytes; // only of formats without blocks
    const uint8_t *next = from;
    (void)scratch;
    for (uint32_t i = 0; i < p->n_planes; i++)
        memset(out[i], 0, (size_t)((n + 1) / 2 * p->plane[i].pair_bytes));
    for (size_t row = 0; row < n; row++) {
        lane to[PLANES_MAX];
        size_t b = 0;
        for (uint32_t i = 0; i < p->n_planes; i++)
            to[i] = lane_of(&k->planes[i], p->n_blocks, out[i], row);
        for (size_t left = cols / values; left > 0; left--, next += bytes, b += values / PLANES_BLOCK)
            packs->pack(to, next, b);
        if (rest) {
            uint8_t last[PLANES_BLOCK * sizeof(double)] = {0};
            memcpy(last, next, rest);
            packs->pack(to, last, b);
            next += rest;
        }
    }
}

size_t planes_scratch(const gpu_planes *p)
{
    (void)p;
    return 0;
}
