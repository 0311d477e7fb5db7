/* How kernels read weights: for each format, a kernel writes out what load_block, unpack_block and
 * floats_of make of every block, and op_embed gathers rows; both are compared with what the format's own
 * reader says. Skipped without Dawn's library or an adapter for it (make gpu-tools installs both).
 *
 * All of it must be equal, not near: a scale of 11 bits times one of 6 times an integer of 7 fits f32, and
 * with a minimum there is one rounding, fused or not. The one thing left open is what a device makes of
 * numbers that f32 holds as subnormals only: it may take them for 0. */
#include "harness.h"
#include "gpu/op_embed.h"
#include "gpu_support.h"
#include "quant/quant.h"
#include "support.h"

#include <math.h>

/* ---- a device ----------------------------------------------------------------------------------- */

typedef struct {
    gpu_player player;
    recorder r;
} device;

static bool open_device(device *d, const char *test)
{
    if (!test_gpu_open(&d->player, NULL, test)) {
        test_skip = 1;
        return false;
    }
    recorder_init(&d->r, &d->player, &(gpu_modes){.dot_int8 = true}, NULL);
    return true;
}

static void close_device(device *d)
{
    recorder_free(&d->r);
    d->player.close(d->player.user);
}

/* ---- tensors ------------------------------------------------------------------------------------ */

/* Where f16 scales lie in a block. */
static const struct {
    uint32_t format;
    int at[2];
} scales[] = {
    {QUANT_Q4_0, {0, -1}},    {QUANT_Q4_1, {0, 2}},     {QUANT_Q5_0, {0, -1}},   {QUANT_Q5_1, {0, 2}},
    {QUANT_Q8_0, {0, -1}},    {QUANT_Q8_1, {0, 2}},     {QUANT_Q2_K, {80, 82}},  {QUANT_Q3_K, {108, -1}},
    {QUANT_Q4_K, {0, 2}},     {QUANT_Q5_K, {0, 2}},     {QUANT_Q6_K, {208, -1}}, {QUANT_IQ2_XXS, {0, -1}},
    {QUANT_IQ2_XS, {0, -1}},  {QUANT_IQ3_XXS, {0, -1}}, {QUANT_IQ1_S, {0, -1}},  {QUANT_IQ4_NL, {0, -1}},
    {QUANT_IQ3_S, {0, -1}},   {QUANT_IQ2_S, {0, -1}},   {QUANT_IQ4_XS, {0, -1}}, {QUANT_TQ1_0, {52, -1}},
    {QUANT_TQ2_0, {64, -1}},  {QUANT_Q1_0, {0, -1}},    {QUANT_Q2_0, {0, -1}},   {QUANT_F16, {0, -1}},
};

/* A finite half, every second one from the edges. */
static uint16_t random_half(uint64_t *random)
{
    static const uint16_t edges[] = {0x0000, 0x0001, 0x83FF, 0x0400, 0x8400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF};
    const uint64_t v = test_random(random);
    if (v & 1)
        return edges[v / 2 % (sizeof edges / sizeof *edges)];
    return (uint16_t)((v >> 32 & 0x7C00) == 0x7C00 ? v >> 32 & 0xBFFF : v >> 32);
}

/* Random bits, scales finite and no result beyond f32. */
static void fill_block(uint8_t *b, const quant_traits *t, uint64_t *random)
{
    for (uint32_t i = 0; i < t->bytes; i++)
        b[i] = (uint8_t)(test_random(random) >> 17);
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++)
        for (int k = 0; k < 2; k++)
            if (scales[i].format == t->id && scales[i].at[k] >= 0)
                memcpy(b + scales[i].at[k], &(uint16_t){random_half(random)}, 2);
    const float f = test_random_float(random) * (float)(1 << test_random(random) % 20);
    if (t->id == QUANT_IQ1_M)
        b[55] &= 0xBF; // the exponent of d is not 31
    else if (t->id == QUANT_MXFP4)
        b[0] = (uint8_t)(b[0] % 3 ? 100 + b[0] % 50 : b[0] % 250);
    else if (t->id == QUANT_F32 || t->id == QUANT_Q8_K)
        memcpy(b, &f, sizeof f);
    else if (t->id == QUANT_F64)
        memcpy(b, &(double){f}, sizeof(double));
    else if (t->id == QUANT_BF16)
        quant_find(QUANT_BF16)->quantize(&f, b, 1);
}

typedef struct {
    graph_tensor tensor;
    uint8_t *data;
    float *values; // [rows][cols]
    gpu_matrix matrix;
} table;

static void make_table(table *m, device *d, uint32_t format, uint64_t rows, uint64_t cols, uint64_t *random)
{
    const quant_traits *t = quant_find(format);
    uint64_t bytes = 0;
    CHECK(quant_bytes(format, rows * cols, &bytes));
    m->data = malloc((size_t)bytes);
    m->values = malloc((size_t)(rows * cols) * sizeof *m->values);
    for (uint64_t at = 0; at < bytes; at += t->bytes)
        fill_block(m->data + at, t, random);
    t->dequantize(m->data, m->values, (size_t)(rows * cols));
    m->tensor = (graph_tensor){.name = t->name, .data = m->data, .format = format, .rows = rows, .cols = cols};
    const matrix_source s = {.tensors = {&m->tensor}, .n_tensors = 1};
    ingle_error e = {0};
    CHECK_MSG(matrix_open(&m->matrix, &d->r, &s, &(ingle_allocator){0}, &e) == INGLE_OK, "%s", e.text);
}

static void free_table(table *m, device *d)
{
    matrix_close(&m->matrix, &d->r);
    free(m->data);
    free(m->values);
}

static bool equal(float got, float want)
{
    return got == want || (got == 0 && fabsf(want) < 0x1p-124f); // subnormal, or a subnormal scale times 12
}

/* ---- blocks ------------------------------------------------------------------------------------- */

enum { FLOATS = 8, WORDS = FLOATS + 4 }; // vectors a block: floats_of; then lo, hi, d and m

/* Writes everything that is known of a block. The binding is numbered by hand: this is no part. */
static uint32_t blocks_kernel(device *d, const gpu_planes *p)
{
    static const char floats[] =
        "fn write_block(i: u32, x: Block) {\n"
        "    let v = floats_of(x);\n"
        "    for (var k = 0u; k < 8u; k++) { result[i * 12u + k] = bitcast<vec4<u32>>(v[k]); }\n";
    static const char integers[] =
        "    let w = unpack_block(x);\n"
        "    result[i * 12u + 8u] = w.lo;\n"
        "    result[i * 12u + 9u] = w.hi;\n"
        "    result[i * 12u + 10u] = bitcast<vec4<u32>>(vec4<f32>(w.d, w.m));\n"
        "    result[i * 12u + 11u] = vec4<u32>(u32(HAS_MIN));\n";
    static const char entry[] =
        "}\n"
        "@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {\n"
        "    if (id.x < ROWS * NB) { write_block(id.x, load_block(id.x / NB, id.x % NB)); }\n"
        "}\n";
    shader s;
    char code[1024];
    shader_init(&s, NULL);
    shader_u32(&s, "ROWS", p->rows);
    shader_u32(&s, "NB", p->n_blocks);
    shader_part(&s, p->part);
    if (p->integers) {
        shader_part(&s, "weights");
        shader_part(&s, "floats");
    }
    shader_code(&s, "@group(0) @binding(auto) var<storage, read_write> result: array<vec4<u32>>;\n");
    snprintf(code, sizeof code, "%s%s%s", floats, p->integers ? integers : "", entry);
    shader_code(&s, code);
    return recorder_kernel_of(&d->r, &s, p->part);
}

/* value k = byte k * d[k / 16] - m[k / 16], rounded once */
static float from_weights(const uint32_t *block, int k)
{
    float dm[4];
    memcpy(dm, block + 4 * (FLOATS + 2), sizeof dm);
    const uint32_t word = block[4 * FLOATS + k / 4];
    const int8_t byte = (int8_t)(word >> 8 * (k % 4) & 255);
    return (float)((double)byte * (double)dm[k / 16] - (double)dm[2 + k / 16]);
}

static void check_blocks(const table *m, const gpu_planes *p, const uint32_t *result)
{
    for (uint64_t i = 0; i < p->rows * p->n_blocks; i++) {
        const uint32_t *block = result + i * 4 * WORDS;
        const uint64_t row = i / p->n_blocks, first = i % p->n_blocks * 32;
        for (int k = 0; k < 32; k++) {
            const float want = first + (uint64_t)k < p->cols ? m->values[row * p->cols + first + (uint64_t)k] : 0;
            float got;
            memcpy(&got, block + k, sizeof got);
            CHECK_MSG(equal(got, want), "%s [%u][%u]: floats_of gives %.9g, want %.9g", m->tensor.name, (unsigned)row,
                      (unsigned)first + (unsigned)k, (double)got, (double)want);
            if (!p->integers)
                continue;
            got = from_weights(block, k);
            CHECK_MSG(equal(got, want), "%s [%u][%u]: unpack_block gives %.9g, want %.9g", m->tensor.name,
                      (unsigned)row, (unsigned)first + (unsigned)k, (double)got, (double)want);
        }
        const bool minima = block[4 * (FLOATS + 2) + 2] << 1 || block[4 * (FLOATS + 2) + 3] << 1;
        CHECK_MSG(!p->integers || block[4 * (FLOATS + 3)] || !minima, "%s: minima that do not count", m->tensor.name);
    }
}

static void check_format(device *d, uint32_t format, uint64_t rows, uint64_t cols, uint64_t *random)
{
    table m = {0};
    make_table(&m, d, format, rows, cols, random);
    CHECK(m.matrix.n_parts == 1);
    const gpu_matrix_part *part = &m.matrix.parts[0];
    const uint64_t n = rows * part->planes.n_blocks;
    const uint32_t kernel = blocks_kernel(d, &part->planes);
    gpu_slice out = recorder_buffer(&d->r, n * 16 * WORDS, "blocks");
    const gpu_bind binds[] = {{"wq", part->wq}, {"wx", part->wx}, {"result", out}};
    const uint32_t section = recorder_section(&d->r);
    recorder_dispatch(&d->r, kernel, binds, 3, (n + 63) / 64, 1, 1);
    uint32_t *result = calloc(1, (size_t)out.bytes);
    CHECK(result != NULL);
    if (result) {
        CHECK(test_gpu_run(&d->r, section) && test_gpu_read(&d->r, out, result, (size_t)out.bytes));
        check_blocks(&m, &part->planes, result);
    }
    free(result);
    recorder_drop(&d->r, &out);
    free_table(&m, d);
}

static void reads_every_block(void)
{
    device d;
    uint64_t random = 3;
    if (!open_device(&d, __func__))
        return;
    for (uint32_t format = 0; format < QUANT_ID_END; format++) {
        const quant_traits *t = quant_find(format);
        if (!t)
            continue;
        const uint64_t values = t->values == 1 ? 32 : t->values;
        check_format(&d, format, 40, values, &random);
        check_format(&d, format, 7, t->values == 1 ? 75 : 5 * values, &random);
    }
    close_device(&d);
}

/* ---- gathering ---------------------------------------------------------------------------------- */

enum { TOKENS = 7, GRID = 9, ROWS = 37 };

/* ids: some in the first, the middle and the last rows, one twice, one beyond the table. */
static void check_gather(device *d, const table *m, float scale, double tolerance)
{
    const uint64_t cols = m->tensor.cols;
    const uint32_t ids[GRID] = {0, ROWS - 1, 5, 5, ROWS, 18, 1, 2, 3}, state[4] = {100, TOKENS, 0, 0};
    gpu_slice s[3] = {test_gpu_buffer(&d->r, ids, sizeof ids, "ids"),
                      test_gpu_buffer(&d->r, state, sizeof state, "state"),
                      recorder_buffer(&d->r, GRID * cols * 4, "out")};
    const embed_op op = {.label = "embed", .table = &m->matrix, .scale = scale, .state = s[1], .ids = s[0],
                         .out = s[2], .n_tokens = GRID};
    const uint32_t section = recorder_section(&d->r);
    op_embed(&d->r, &op);
    float *out = calloc(1, (size_t)s[2].bytes);
    CHECK(out && test_gpu_run(&d->r, section) && test_gpu_read(&d->r, s[2], out, (size_t)s[2].bytes));
    for (uint64_t i = 0; out && i < GRID * cols; i++) {
        const uint64_t t = i / cols;
        const bool written = t < TOKENS && ids[t] < ROWS;
        const float want = written ? m->values[ids[t] * cols + i % cols] * scale : 0;
        CHECK_MSG(equal(out[i], want) || fabs((double)out[i] - (double)want) <= tolerance * fabs((double)want),
                  "%s token %u column %u: %.9g, want %.9g", m->tensor.name, (unsigned)t, (unsigned)(i % cols),
                  (double)out[i], (double)want);
    }
    free(out);
    for (int i = 0; i < 3; i++)
        recorder_drop(&d->r, &s[i]);
}

static void gathers_rows_of_every_format(void)
{
    device d;
    uint64_t random = 4;
    if (!open_device(&d, __func__))
        return;
    for (uint32_t format = 0; format < QUANT_ID_END; format++) {
        const quant_traits *t = quant_find(format);
        gpu_planes p;
        table m = {0};
        if (!t || planes_plan(&p, format, ROWS, 256, NULL) != INGLE_OK || p.format != format)
            continue; // what is converted has another's kernel
        make_table(&m, &d, format, ROWS, t->values == 1 ? 68 : 3 * (uint64_t)t->values, &random);
        check_gather(&d, &m, format % 2 ? 0.5f : 1.0f, 0); // exact: a power of two
        free_table(&m, &d);
    }
    close_device(&d);
}

/* A product of a rounded value: a device may multiply in another order, two roundings of 2^-24. */
static void scales_rows(void)
{
    device d;
    uint64_t random = 5;
    table m = {0};
    if (!open_device(&d, __func__))
        return;
    make_table(&m, &d, QUANT_Q8_0, ROWS, 96, &random);
    check_gather(&d, &m, 11.3137085f, 0x1p-23);
    free_table(&m, &d);
    close_device(&d);
}

/* As on a GPU that binds so little that the table goes into several buffers. */
static void gathers_from_parts(void)
{
    const uint32_t formats[] = {QUANT_Q4_0, QUANT_Q6_K, QUANT_F32};
    device d;
    uint64_t random = 6;
    if (!open_device(&d, __func__))
        return;
    const uint64_t usual = d.player.limits.max_binding;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        table m = {0};
        d.player.limits.max_binding = 2048;
        make_table(&m, &d, formats[i], ROWS, 256, &random);
        CHECK_MSG(m.matrix.n_parts > 2, "%u parts", (unsigned)m.matrix.n_parts);
        d.player.limits.max_binding = usual;
        check_gather(&d, &m, 1, 0);
        free_table(&m, &d);
    }
    close_device(&d);
}

TESTS(T(reads_every_block) T(gathers_rows_of_every_format) T(scales_rows) T(gathers_from_parts))
