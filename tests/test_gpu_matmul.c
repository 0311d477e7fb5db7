/* What prompts are made of on the GPU, against the same sums in doubles: products of many tokens
 * (op_matmul) over the formats, shapes and epilogues, and norms with their rounding to int8 (op_norm).
 *
 *     test_gpu_matmul          the tests; skipped, and said so, where there is no GPU
 *     test_gpu_matmul bench    speed of the products at models' shapes, as a table (matmul_bench.c)
 *
 * Limits are bounds on rounding, worked out beside each check; U is half a unit in the last place of a
 * float. Kernels may sum in any order: n terms in floats are off by at most n U sum |term|. */
#include "harness.h"

#include <math.h>

#include "gpu/op_matmul.h"
#include "gpu_support.h"
#include "matmul_bench.h"
#include "support.h"
#include "tiny_model.h"

#define U 0x1p-24

/* ---- the device ------------------------------------------------------------------------------- */

typedef struct {
    gpu_player player;
    recorder r;
    ingle_allocator allocator;
    test_memory memory;
} device;

/* False, and the test is skipped, where there is none. */
static bool open_device(device *d, const char *test)
{
    *d = (device){0};
    if (!test_gpu_open(&d->player, NULL, test)) {
        test_skip = 1;
        return false;
    }
    d->allocator = test_allocator(&d->memory);
    recorder_init(&d->r, &d->player, &(gpu_modes){0}, &d->allocator);
    return true;
}

static void close_device(device *d)
{
    recorder_free(&d->r);
    d->player.close(d->player.user);
    CHECK_MSG(d->memory.live == 0, "%ld blocks are left", d->memory.live);
}

static void *must(size_t bytes)
{
    void *p = calloc(bytes ? bytes : 1, 1);
    if (!p) {
        printf("test_gpu_matmul: no memory\n");
        exit(1);
    }
    return p;
}

/* Buffers that a test drops all at once. */
enum { BUFFERS_MAX = 16 };

typedef struct {
    device *d;
    gpu_slice all[BUFFERS_MAX];
    size_t n;
} buffers;

static gpu_slice room(buffers *b, size_t bytes)
{
    return b->all[b->n++] = recorder_buffer(&b->d->r, bytes, "test");
}

static gpu_slice filled(buffers *b, const void *from, size_t bytes)
{
    const gpu_slice s = room(b, bytes);
    recorder_write(&b->d->r, s, from, bytes);
    return s;
}

static void drop(buffers *b)
{
    while (b->n)
        recorder_drop(&b->d->r, &b->all[--b->n]);
}

/* Runs the open section and reads. */
static bool run_and_read(device *d, uint32_t section, gpu_slice from, void *to, size_t bytes)
{
    const bool ok = test_gpu_run(&d->r, section) && test_gpu_read(&d->r, from, to, bytes);
    CHECK(ok);
    return ok;
}

static void fill(float *x, size_t n, float limit, uint64_t *seed)
{
    for (size_t i = 0; i < n; i++)
        x[i] = test_random_float(seed) * limit;
}

/* ---- products --------------------------------------------------------------------------------- */

typedef struct {
    uint32_t format;
    uint32_t rows, cols, n_tokens; // of the matrix, and tokens there are
    uint32_t spare;                // tokens that the grid has beyond those
    graph_epilogue epilogue;
    bool matrix;                   // by subgroup matrices, in f16
    bool bias, int8, wide;         // wide: rows of out are longer than needed, at both ends where that can be
    matmul_shape shape;            // tokens 0: the usual one
    uint64_t max_binding;          // 0: the device's
} product;

static bool is_gate(graph_epilogue e)
{
    return e == GRAPH_GATE_SILU || e == GRAPH_GATE_GELU;
}

/* Weights as they are in a file: a hundred random blocks in random order, since drawing one is slow. */
static uint8_t *random_matrix(const product *p, uint64_t *seed)
{
    enum { DRAWN = 100 };
    const quant_traits *t = quant_find(p->format);
    const size_t n = (size_t)p->rows * p->cols / t->values;
    uint8_t *drawn = must((size_t)DRAWN * t->bytes), *blocks = must(n * t->bytes);
    tiny_blocks(p->format, (size_t)DRAWN * t->values, 1, seed, drawn);
    for (size_t i = 0; i < n; i++)
        memcpy(blocks + i * t->bytes, drawn + test_random(seed) % DRAWN * t->bytes, t->bytes);
    free(drawn);
    return blocks;
}

/* Sizes of what a value of a matrix is made of: |d q| + |m|, where value = d q - m. A block whose quants
 * are zeros is -m. */
static void read_sizes(uint32_t format, const uint8_t *blocks, size_t n, const float *values, float *out)
{
    static const struct {
        uint32_t format, first, end; // bytes of a block that are quants
    } with_minima[] = {{QUANT_Q4_1, 4, 20}, {QUANT_Q5_1, 4, 24}, {QUANT_Q2_K, 16, 80}, {QUANT_Q4_K, 16, 144},
                       {QUANT_Q5_K, 16, 176}};
    const quant_traits *t = quant_find(format);
    uint32_t first = 0, end = 0;
    for (size_t i = 0; i < sizeof with_minima / sizeof *with_minima; i++)
        if (with_minima[i].format == format) {
            first = with_minima[i].first;
            end = with_minima[i].end;
        }
    for (size_t at = 0; at < n; at += t->values, blocks += t->bytes) {
        uint8_t empty[256];
        float minus[256] = {0};
        memcpy(empty, blocks, t->bytes);
        memset(empty + first, 0, end - first);
        if (end)
            t->dequantize(empty, minus, t->values);
        for (uint32_t i = 0; i < t->values; i++)
            out[at + i] = fabsf(values[at + i] - minus[i]) + fabsf(minus[i]);
    }
}

/* All a product needs, and the results before and after. */
typedef struct {
    product p;
    uint8_t *blocks;         // of the file, [rows][cols]
    float *w, *sizes;        // [rows][cols]
    float *x, *bias;         // [n_tokens][cols], [rows]
    int8_t *q;               // [n_tokens][cols]
    float *d;                // [n_tokens][cols / 16]
    float *before, *after;   // [n_tokens + spare][width]
    uint32_t width, first, columns; // of out; the first column written, and how many are
} work;

static work open_work(const product *p, uint64_t *seed)
{
    const size_t n_w = (size_t)p->rows * p->cols, n_x = (size_t)p->n_tokens * p->cols;
    work k = {.p = *p, .columns = is_gate(p->epilogue) ? p->rows / 2 : p->rows};
    k.width = k.columns + (p->wide ? 3 : 0);
    k.first = p->wide && p->epilogue == GRAPH_STORE ? 2 : 0;
    const size_t n_out = (size_t)(p->n_tokens + p->spare) * k.width;
    k.blocks = random_matrix(p, seed);
    k.w = must(n_w * sizeof *k.w);
    k.sizes = must(n_w * sizeof *k.sizes);
    quant_find(p->format)->dequantize(k.blocks, k.w, n_w);
    read_sizes(p->format, k.blocks, n_w, k.w, k.sizes);
    k.x = must(n_x * sizeof *k.x);
    k.bias = must(p->rows * sizeof *k.bias);
    k.before = must(n_out * sizeof *k.before);
    k.after = must(n_out * sizeof *k.after);
    fill(k.x, n_x, 2, seed);
    if (p->bias)
        fill(k.bias, p->rows, 1, seed);
    fill(k.before, n_out, 1, seed);
    if (p->int8) {
        int32_t *sums = must(n_x / 16 * sizeof *sums);
        k.q = must(n_x);
        k.d = must(n_x / 16 * sizeof *k.d);
        quant_activations(k.x, n_x, k.q, k.d, sums);
        free(sums);
    }
    return k;
}

static void close_work(work *k)
{
    void *const all[] = {k->blocks, k->w, k->sizes, k->x, k->bias, k->q, k->d, k->before, k->after};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static gpu_rounded upload_rounded(buffers *b, const work *k)
{
    const uint32_t n = k->p.n_tokens, cols = k->p.cols;
    const gpu_rounded to = gpu_rounded_in(room(b, (size_t)gpu_rounded_bytes(cols, n)), cols, n);
    recorder_write(&b->d->r, to.q, k->q, (size_t)n * cols);
    recorder_write(&b->d->r, to.d, k->d, (size_t)n * cols / 16 * sizeof *k->d);
    return to;
}

static bool compute(device *d, work *k)
{
    const product *p = &k->p;
    buffers b = {.d = d};
    gpu_matrix m = {0};
    ingle_error e = {0};
    const graph_tensor t = {"w", k->blocks, p->format, p->rows, p->cols, true};
    const matrix_source source = {.tensors = {&t}, .n_tensors = 1};
    const uint64_t max_binding = d->player.limits.max_binding;
    const uint32_t state[4] = {0, p->n_tokens, 0, 0}, n_grid = p->n_tokens + p->spare;
    const size_t out_bytes = (size_t)n_grid * k->width * sizeof(float);
    d->r.modes.dot_int8 = p->int8;
    d->r.modes.rolled = !d->r.modes.rolled; // every other product
    if (p->max_binding)
        d->player.limits.max_binding = p->max_binding;
    const ingle_status status = matrix_open(&m, &d->r, &source, &d->allocator, &e);
    d->player.limits.max_binding = max_binding;
    CHECK_MSG(status == INGLE_OK, "%s", e.text);
    bool ok = status == INGLE_OK;
    if (ok) {
        CHECK(matmul_takes_int8(&d->r, &m) == p->int8);
        CHECK(!p->max_binding || m.n_parts > 1);
        matmul_op op = {.label = "matmul", .w = &m, .matrices = p->matrix, .epilogue = p->epilogue, .out_width = p->wide ? k->width : 0,
                        .out_first = k->first};
        op.state = filled(&b, state, sizeof state);
        op.out = filled(&b, k->before, out_bytes);
        op.shape = p->shape.tokens ? &p->shape : NULL;
        if (p->bias)
            op.bias = filled(&b, k->bias, p->rows * sizeof *k->bias);
        if (p->int8)
            op.rounded = upload_rounded(&b, k);
        else
            op.x = filled(&b, k->x, (size_t)p->n_tokens * p->cols * sizeof *k->x);
        const uint32_t section = recorder_section(&d->r);
        op_matmul(&d->r, &op, n_grid);
        ok = run_and_read(d, section, op.out, k->after, out_bytes);
        drop(&b);
    }
    matrix_close(&m, &d->r);
    return ok;
}

/* One row times one token, with the bias: the value and how far off a kernel may be. */
typedef struct {
    double value, limit;
} sum;

/* A weight is one rounding off what src/quant gives, each of d q and m another; a product with it, with
 * the scales of 16, and the sum of 16 with its own scale are roundings of 3 more. Integers add exactly,
 * so int8 has two sums of terms a block, and two of minima; floats have one a column. Then the bias. By matrices, both
 * factors are rounded to f16 (x a sixteenth of it), whose smallest are whole multiples of 2^-24, and sums may drop their
 * last bit instead of rounding it. */
static sum row_sum(const work *k, uint32_t token, uint32_t row)
{
    const product *p = &k->p;
    const float *w = k->w + (size_t)row * p->cols, *size = k->sizes + (size_t)row * p->cols;
    const float *x = k->x + (size_t)token * p->cols, *d = k->d ? k->d + (size_t)token * p->cols / 16 : NULL;
    const int8_t *q = k->q ? k->q + (size_t)token * p->cols : NULL;
    double value = 0, sizes = 0, rounded = 0;
    for (uint32_t i = 0; i < p->cols; i++) {
        const double xi = q ? (double)q[i] * (double)d[i / 16] : (double)x[i];
        value += (double)w[i] * xi;
        sizes += (double)size[i] * fabs(xi);
        rounded += fabs(xi) * (fabs((double)w[i]) * 0x1.01p-10 + 0x1p-25) + fabs((double)w[i]) * 0x1p-21;
    }
    const double n_terms = p->int8 ? (p->cols + 31) / 32 * 4 : p->cols;
    const double bias = (double)k->bias[row];
    const double off = U * ((n_terms + 8) * sizes + 2 * (fabs(value) + fabs(bias)));
    return (sum){value + bias, p->matrix ? 2 * off + rounded : off};
}

/* WGSL's exp is right to 3 + 2 |x| units in the last place, a quotient to 2.5, tanh to 1e-5. */
static sum gate_sum(const work *k, uint32_t token, uint32_t i)
{
    const sum g = row_sum(k, token, 2 * i), up = row_sum(k, token, 2 * i + 1);
    const double x = g.value, size = fabs(x);
    double act, off;
    if (k->p.epilogue == GRAPH_GATE_SILU) {
        act = x / (1 + exp(-x));
        off = fabs(act) * 2 * U * (3 + 2 * size + 2.5 + 2);
    } else {
        act = 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
        off = 0.5 * size * (1e-5 + 8 * U * (1 + size + size * size * size));
    }
    off += 1.2 * g.limit; // neither is steeper than 1.13
    return (sum){act * up.value, off * (fabs(up.value) + up.limit) + fabs(act) * up.limit + 2 * U * fabs(act * up.value)};
}

static void check_one(const work *k, uint32_t token, uint32_t column)
{
    const product *p = &k->p;
    const size_t at = (size_t)token * k->width + k->first + column;
    sum want = is_gate(p->epilogue) ? gate_sum(k, token, column) : row_sum(k, token, column);
    if (p->epilogue == GRAPH_ADD) {
        want.value += (double)k->before[at];
        want.limit += U * (fabs(want.value) + fabs((double)k->before[at]));
    }
    const double off = fabs((double)k->after[at] - want.value);
    CHECK_MSG(off <= want.limit + 1e-30,
              "%s %u x %u, %u tokens, %s, tile %u x %u, epilogue %d: [%u][%u] is %.9g, want %.9g +- %.2g",
              quant_find(p->format)->name, p->rows, p->cols, p->n_tokens, p->matrix ? "matrices" : p->int8 ? "int8" : "float", p->shape.tokens,
              p->shape.blocks, (int)p->epilogue, token, column, (double)k->after[at], want.value, want.limit);
}

/* Every value where that is soon done, else some of them everywhere; and that nothing else was written. */
static void check_work(const work *k, uint64_t *seed)
{
    const product *p = &k->p;
    const size_t n_out = (size_t)p->n_tokens * k->columns, budget = 4u << 20;
    const size_t n = n_out * p->cols < budget ? n_out : budget / p->cols + 4;
    for (size_t i = 0; i < n && test_bad < 20; i++) {
        const size_t any = n == n_out ? i : i == 0 ? 0 : i == 1 ? n_out - 1 : test_random(seed) % n_out;
        check_one(k, (uint32_t)(any / k->columns), (uint32_t)(any % k->columns));
    }
    for (uint32_t token = 0; token < p->n_tokens + p->spare; token++)
        for (uint32_t i = 0; i < k->width; i++) {
            const size_t at = (size_t)token * k->width + i;
            const bool written = token < p->n_tokens && i >= k->first && i < k->first + k->columns;
            CHECK_MSG(written || memcmp(k->before + at, k->after + at, sizeof *k->after) == 0,
                      "[%u][%u] of %u x %u was written", token, i, p->n_tokens, k->columns);
        }
}

static bool has_integers(uint32_t format)
{
    gpu_planes p;
    return planes_plan(&p, format, 2, 256, NULL) == INGLE_OK && p.integers;
}

static void try_one(device *d, const product *p, uint64_t *seed)
{
    work k = open_work(p, seed);
    if (compute(d, &k))
        check_work(&k, seed);
    close_work(&k);
}

/* With matrices, too, where the device has them. */
static void try(device *d, const product *p, uint64_t *seed)
{
    try_one(d, p, seed);
    if (p->int8 || !d->player.limits.matrices || !has_integers(p->format) || p->format == QUANT_MXFP4)
        return;
    product by_matrices = *p;
    by_matrices.matrix = true;
    try_one(d, &by_matrices, seed);
}

static const uint32_t formats[] = {QUANT_Q4_0, QUANT_Q4_1, QUANT_Q5_0,   QUANT_Q5_1,   QUANT_Q8_0,  QUANT_Q2_K,
                                   QUANT_Q3_K, QUANT_Q4_K, QUANT_Q5_K,   QUANT_Q6_K,   QUANT_IQ4_NL, QUANT_IQ4_XS,
                                   QUANT_TQ2_0, QUANT_MXFP4, QUANT_F16,  QUANT_BF16,   QUANT_F32};
enum { N_FORMATS = sizeof formats / sizeof *formats };

/* Kernels are slow to compile where the GPU is software, so the tests below try much with each. */
static void every_format(void)
{
    device d;
    uint64_t seed = 1;
    if (!open_device(&d, __func__))
        return;
    for (size_t i = 0; i < N_FORMATS; i++)
        for (int int8 = 0; int8 <= has_integers(formats[i]); int8++) {
            const product p = {.format = formats[i], .rows = 70, .cols = 512, .n_tokens = 37, .int8 = int8,
                               .shape = {64, 2, i % 2}};
            try(&d, &p, &seed);
        }
    close_device(&d);
}

/* Every tile, and every epilogue with and without a bias, minima, and spare columns in out. */
static void every_tile(void)
{
    static const matmul_shape shapes[] = {{32, 1, false},  {32, 2, true},  {32, 4, false}, {64, 1, true},
                                          {64, 2, false},  {64, 4, true},  {128, 1, true}, {128, 2, false},
                                          {32, 0, false},  {64, 0, false}, {128, 0, false}, {64, 0, false}};
    device d;
    uint64_t seed = 2;
    if (!open_device(&d, __func__))
        return;
    for (uint32_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const bool int8 = shapes[i].blocks > 0;
        const product p = {.format = i / 4 % 2 ? QUANT_Q4_0 : QUANT_Q4_1, .rows = 130, .cols = 96, .n_tokens = 133,
                           .spare = 40, .epilogue = (graph_epilogue)(i % 4), .bias = i / 2 % 2, .int8 = int8,
                           .wide = i % 3 == 0, .shape = {shapes[i].tokens, int8 ? shapes[i].blocks : 1, shapes[i].by_bits}};
        if (matmul_shape_bytes(int8, &p.shape) <= d.player.limits.max_workgroup_memory)
            try(&d, &p, &seed);
        else
            printf("every_tile: %u x %u does not fit this device\n", p.shape.tokens, p.shape.blocks);
    }
    close_device(&d);
}

static void every_number_of_tokens(void)
{
    device d;
    uint64_t seed = 3;
    if (!open_device(&d, __func__))
        return;
    for (uint32_t n = 1; n <= 70; n++) {
        const product p = {.format = QUANT_Q4_0, .rows = 67, .cols = 96, .n_tokens = n, .int8 = n % 2,
                           .spare = n % 3 ? 0 : 70, .shape = {32, 2, false}};
        try(&d, &p, &seed);
    }
    close_device(&d);
}

/* Rows around the tiles' edges, long and short ones, as many tokens as a pass has: the usual tiles. */
static void every_size(void)
{
    static const struct {
        uint32_t rows, cols, n_tokens;
    } sizes[] = {{1, 32, 3}, {2, 64, 128}, {63, 160, 20}, {200, 4864, 70}, {66, 896, 512}, {65, 32, 512}};
    device d;
    uint64_t seed = 3;
    if (!open_device(&d, __func__))
        return;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int int8 = 0; int8 < 2; int8++) {
            const product p = {.format = i % 2 ? QUANT_Q4_1 : QUANT_Q8_0, .rows = sizes[i].rows,
                               .cols = sizes[i].cols, .n_tokens = sizes[i].n_tokens, .int8 = int8};
            try(&d, &p, &seed);
        }
    close_device(&d);
}

/* Matrices in parts: columns of out follow each other as the parts' rows do. */
static void matrices_in_parts(void)
{
    device d;
    uint64_t seed = 4;
    if (!open_device(&d, __func__))
        return;
    for (int gate = 0; gate < 2; gate++) {
        const product p = {.format = QUANT_Q8_0, .rows = 150, .cols = 256, .n_tokens = 40, .int8 = gate, .bias = true,
                           .epilogue = gate ? GRAPH_GATE_SILU : GRAPH_ADD, .max_binding = 24 * 1024};
        try(&d, &p, &seed);
    }
    close_device(&d);
}

/* Columns that fill no whole block, which only formats of single numbers have. */
static void columns_of_no_whole_block(void)
{
    static const uint32_t cols[] = {4, 36, 100, 60};
    device d;
    uint64_t seed = 5;
    if (!open_device(&d, __func__))
        return;
    for (size_t i = 0; i < 4; i++) {
        const product p = {.format = i % 2 ? QUANT_F16 : QUANT_F32, .rows = 70, .cols = cols[i], .n_tokens = 9};
        try(&d, &p, &seed);
    }
    close_device(&d);
}

/* ---- norms ------------------------------------------------------------------------------------ */

enum { NORM_TOKENS = 5, NORM_SPARE = 2 };

typedef struct {
    graph_norm_kind kind;
    uint32_t width;
    bool bias, int8;
} norm;

typedef struct {
    float *x, *gain, *bias, *out; // [NORM_TOKENS + NORM_SPARE][width] and [width]
    int8_t *q;                    // [NORM_TOKENS][stride]
    float *d;                     // [NORM_TOKENS][stride / 16]
    uint32_t stride;
} norm_work;

static bool run_norm(device *d, const norm *n, norm_work *k)
{
    const float eps = 1e-5f;
    const size_t n_out = (size_t)(NORM_TOKENS + NORM_SPARE) * n->width;
    const uint32_t state[4] = {7, NORM_TOKENS, 0, 0};
    buffers b = {.d = d};
    norm_op op = {.label = "norm", .kind = n->kind, .width = n->width, .eps = eps};
    op.state = filled(&b, state, sizeof state);
    op.x = filled(&b, k->x, n_out * sizeof(float));
    op.gain = filled(&b, k->gain, n->width * sizeof(float));
    if (n->bias)
        op.bias = filled(&b, k->bias, n->width * sizeof(float));
    if (n->int8)
        op.rounded = gpu_rounded_in(room(&b, (size_t)gpu_rounded_bytes(n->width, NORM_TOKENS)), n->width, NORM_TOKENS);
    else
        op.out = filled(&b, k->out, n_out * sizeof(float));
    const uint32_t section = recorder_section(&d->r);
    op_norm(&d->r, &op, NORM_TOKENS + NORM_SPARE);
    bool ok;
    if (n->int8)
        ok = run_and_read(d, section, op.rounded.q, k->q, (size_t)NORM_TOKENS * k->stride) &&
             test_gpu_read(&d->r, op.rounded.d, k->d, (size_t)NORM_TOKENS * k->stride / 16 * sizeof(float));
    else
        ok = run_and_read(d, section, op.out, k->out, n_out * sizeof(float));
    drop(&b);
    return ok;
}

/* y [width] and how far off each may be. A thread adds up a 64th of a row at most, then 64 threads' or
 * subgroups' sums are added: `chain` roundings. inverseSqrt is right to 2 units in the last place. */
static void want_norm(const norm *n, const norm_work *k, const float *x, sum *y)
{
    const double width = n->width, chain = width / 64 + 80;
    double mean = 0, sizes = 0, squares = 0;
    for (uint32_t i = 0; i < n->width; i++) {
        mean += (double)x[i] / width;
        sizes += fabs((double)x[i]) / width;
    }
    if (n->kind != GRAPH_NORM_LAYER)
        mean = sizes = 0;
    for (uint32_t i = 0; i < n->width; i++)
        squares += ((double)x[i] - mean) * ((double)x[i] - mean) / width;
    const double factor = n->kind == GRAPH_NORM_NONE ? 1 : 1 / sqrt(squares + (double)1e-5f);
    for (uint32_t i = 0; i < n->width; i++) {
        const double gain = n->kind == GRAPH_NORM_NONE ? 1 : (double)k->gain[i], bias = n->bias ? (double)k->bias[i] : 0;
        const double v = ((double)x[i] - mean) * factor * gain;
        y[i].value = v + bias;
        y[i].limit = n->kind == GRAPH_NORM_NONE ? 0
                                                : U * (fabs(factor * gain) * (chain + 2) * sizes +
                                                       fabs(v) * (chain / 2 + 12) + 2 * (fabs(y[i].value) + fabs(bias)));
    }
}

static void check_float(const norm *n, const norm_work *k, uint32_t token, const sum *y)
{
    for (uint32_t i = 0; i < n->width; i++) {
        const double got = (double)k->out[(size_t)token * n->width + i];
        CHECK_MSG(fabs(got - y[i].value) <= y[i].limit, "norm %d, width %u: [%u][%u] is %.9g, want %.9g +- %.2g",
                  (int)n->kind, n->width, token, i, got, y[i].value, y[i].limit);
    }
}

/* Quotients are right to 2.5 units in the last place, so a scale is off by 6 U at most, and what is
 * divided by it by so much more than half a step. */
static void check_rounded(const norm *n, const norm_work *k, uint32_t token, const sum *y)
{
    for (uint32_t at = 0; at < k->stride; at += 16) {
        const double d = (double)k->d[((size_t)token * k->stride + at) / 16];
        double most = 0, limit = 0;
        for (uint32_t i = at; i < at + 16 && i < n->width; i++) {
            most = fabs(y[i].value) > most ? fabs(y[i].value) : most;
            limit = y[i].limit > limit ? y[i].limit : limit;
        }
        CHECK_MSG(fabs(d * 127 - most) <= limit + 8 * U * most, "norm %d, width %u: scale of [%u][%u] is %g, want %g",
                  (int)n->kind, n->width, token, at, d, most / 127);
        for (uint32_t i = at; i < at + 16; i++) {
            const double q = k->q[(size_t)token * k->stride + i], want = i < n->width ? y[i].value : 0;
            const double off = fabs(q * d - want), most_off = d * (0.5 + 127 * 16 * U) + (i < n->width ? y[i].limit : 0);
            CHECK_MSG(off <= most_off, "norm %d, width %u: [%u][%u] is %g steps of %g, want %g", (int)n->kind, n->width,
                      token, i, q, d, want);
        }
    }
}

static norm_work open_norm(uint32_t width, uint64_t *seed)
{
    const size_t n = (size_t)(NORM_TOKENS + NORM_SPARE) * width;
    norm_work k = {.stride = (width + 31) / 32 * 32};
    k.x = must(n * sizeof(float));
    k.out = must(n * sizeof(float));
    k.gain = must(width * sizeof(float));
    k.bias = must(width * sizeof(float));
    k.q = must((size_t)NORM_TOKENS * k.stride);
    k.d = must((size_t)NORM_TOKENS * k.stride / 16 * sizeof(float));
    for (uint32_t t = 0; t < NORM_TOKENS + NORM_SPARE; t++) // each token of its own size, off zero
        for (uint32_t i = 0; i < width; i++)
            k.x[(size_t)t * width + i] = ldexpf(test_random_float(seed) + 0.25f, (int)t * 4 - 12);
    fill(k.gain, width, 2, seed);
    fill(k.bias, width, 1, seed);
    return k;
}

static void close_norm(norm_work *k)
{
    void *const all[] = {k->x, k->out, k->gain, k->bias, k->q, k->d};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void try_norm(device *d, const norm *n, uint64_t *seed)
{
    norm_work k = open_norm(n->width, seed);
    const size_t n_out = (size_t)(NORM_TOKENS + NORM_SPARE) * n->width;
    sum *y = must(n->width * sizeof *y);
    fill(k.out, n_out, 1, seed);
    float *before = must(n_out * sizeof *before);
    memcpy(before, k.out, n_out * sizeof *before);
    if (run_norm(d, n, &k)) {
        for (uint32_t t = 0; t < NORM_TOKENS; t++) {
            want_norm(n, &k, k.x + (size_t)t * n->width, y);
            if (n->int8)
                check_rounded(n, &k, t, y);
            else
                check_float(n, &k, t, y);
        }
        const size_t written = (size_t)NORM_TOKENS * n->width;
        CHECK(memcmp(before + written, k.out + written, (n_out - written) * sizeof *before) == 0);
    }
    free(before);
    free(y);
    close_norm(&k);
}

static void every_norm(void)
{
    static const uint32_t widths[] = {4, 100, 4864};
    device d;
    uint64_t seed = 6;
    if (!open_device(&d, __func__))
        return;
    const gpu_limits *l = &d.player.limits;
    const uint32_t subgroups[] = {0, l->subgroup_min == l->subgroup_max ? l->subgroup_min : 0};
    for (int s = 0; s < (subgroups[1] ? 2 : 1); s++)
        for (int kind = GRAPH_NORM_NONE; kind <= GRAPH_NORM_LAYER; kind++)
            for (int int8 = 0; int8 < 2; int8++)
                for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
                    const norm n = {(graph_norm_kind)kind, widths[w], kind == GRAPH_NORM_LAYER && w % 2, int8};
                    d.r.modes.subgroup = subgroups[s];
                    try_norm(&d, &n, &seed);
                }
    close_device(&d);
}

/* Zeros, infinities, NaN, and blocks around the smallest scale are rounded as the CPU does it. */
static void rounding_at_the_edges(void)
{
    enum { WIDTH = 16 * 64 };
    const norm n = {GRAPH_NORM_NONE, WIDTH, false, true};
    const uint32_t least = 0x03FE0000u; // 127 times the smallest normal number
    device d;
    uint64_t seed = 7;
    if (!open_device(&d, __func__))
        return;
    norm_work k = open_norm(WIDTH, &seed);
    for (uint32_t i = 0; i < NORM_TOKENS * WIDTH; i++) {
        const uint32_t block = i / 16;
        const float size = ldexpf(1, (int)(block % 240) - 120);
        uint32_t bits = block % 8 == 1 ? 0x7F800000u : block % 8 == 2 ? 0xFFC12345u : least - 2 + block % 5;
        k.x[i] = block % 8 == 0 ? 0 : size * test_random_float(&seed) * (block % 8 == 4 ? 1e-35f : 1);
        if (i % 16 == block % 16 && (block % 8 == 1 || block % 8 == 2))
            memcpy(&k.x[i], &bits, sizeof bits);
        if (block % 8 == 3) {
            k.x[i] = 0;
            if (i % 16 == 5)
                memcpy(&k.x[i], &bits, sizeof bits);
        }
    }
    if (run_norm(&d, &n, &k)) {
        static int8_t q[NORM_TOKENS * WIDTH];
        static float scale[NORM_TOKENS * WIDTH / 16];
        static int32_t sums[NORM_TOKENS * WIDTH / 16];
        quant_activations(k.x, NORM_TOKENS * WIDTH, q, scale, sums);
        for (uint32_t i = 0; i < NORM_TOKENS * WIDTH; i++) {
            const float got = k.d[i / 16], want = scale[i / 16];
            if (isnan(want) || want == 0) {
                CHECK_MSG((isnan(want) ? isnan(got) : got == 0) && k.q[i] == 0, "%g: scale %g, want %g", (double)k.x[i],
                          (double)got, (double)want);
                continue;
            }
            CHECK_MSG(fabsf(got - want) <= 8 * (float)U * want, "scale %g, want %g", (double)got, (double)want);
            const double exact = (double)k.x[i] / (double)want;
            const bool flushed = fabsf(k.x[i]) < 0x1p-126f && k.q[i] == 0; // WGSL allows subnormals to be zeros
            CHECK_MSG(k.q[i] == q[i] || flushed || fabs(fabs(exact - k.q[i]) - 0.5) < 127 * 16 * U,
                      "%g: %d, want %d", exact, k.q[i], q[i]);
        }
    }
    close_norm(&k);
    close_device(&d);
}

/* ---- without a GPU ---------------------------------------------------------------------------- */

enum { NULL_ROWS = 200, NULL_COLS = 64, NULL_TOKENS = 100 };

/* Records a norm and a product of one matrix and has them carried out. */
static ingle_status record_two(recorder *r, const gpu_matrix *m, bool int8, bool matrices, ingle_error *e)
{
    const size_t n_x = NULL_TOKENS * NULL_COLS * sizeof(float);
    const gpu_slice state = recorder_buffer(r, 16, "state"), x = recorder_buffer(r, n_x, "x"),
                    room = recorder_buffer(r, gpu_rounded_bytes(NULL_COLS, NULL_TOKENS), "rounded"),
                    normed = recorder_buffer(r, n_x, "normed"), gain = recorder_buffer(r, NULL_ROWS * sizeof(float), "gain"),
                    out = recorder_buffer(r, NULL_TOKENS * NULL_ROWS * sizeof(float), "out");
    const norm_op before = {.label = "norm", .kind = GRAPH_NORM_LAYER, .width = NULL_COLS, .gain = gain, .bias = gain,
                            .state = state, .x = x, .out = int8 ? (gpu_slice){0} : normed,
                            .rounded = gpu_rounded_in(room, NULL_COLS, NULL_TOKENS)};
    const matmul_op op = {.label = "product", .w = m, .matrices = matrices, .state = state, .x = normed, .rounded = before.rounded,
                          .bias = gain, .epilogue = GRAPH_GATE_GELU, .out = out};
    const uint32_t section = recorder_section(r);
    op_norm(r, &before, NULL_TOKENS);
    op_matmul(r, &op, NULL_TOKENS);
    recorder_section_end(r);
    const uint32_t ready = recorder_ready(r);
    ingle_status status = recorder_play(r, e);
    if (status == INGLE_OK)
        status = recorder_wait(r, ready, NULL, e);
    recorder_run(r, section, 1);
    return status == INGLE_OK ? recorder_play(r, e) : status;
}

/* Against the null player, which checks every binding and dispatch, with no more than every WebGPU device
 * has. */
static ingle_status record_all(void *user, const ingle_allocator *a)
{
    static uint8_t blocks[NULL_ROWS * NULL_COLS / 32 * 18];
    const int way = *(const int *)user; // floats, int8, matrices
    const graph_tensor t = {"w", blocks, QUANT_Q4_0, NULL_ROWS, NULL_COLS, true};
    const matrix_source source = {.tensors = {&t}, .n_tensors = 1};
    gpu_player p;
    recorder r;
    gpu_matrix m = {0};
    ingle_error e = {0};
    ingle_status status = gpu_null_open(&p, NULL, a, &e);
    if (status != INGLE_OK)
        return status;
    recorder_init(&r, &p, &(gpu_modes){.dot_int8 = way == 1, .f16 = way == 2}, a);
    status = matrix_open(&m, &r, &source, &r.allocator, &e);
    if (status == INGLE_OK)
        status = record_two(&r, &m, way == 1, way == 2, &e);
    if (status == INGLE_OK)
        CHECK(gpu_null_get_counts(&p)->dispatches == 2 && gpu_null_get_counts(&p)->pipelines == 2);
    else
        CHECK_MSG(status == INGLE_ERR_MEMORY, "%s", e.text);
    matrix_close(&m, &r);
    recorder_free(&r);
    p.close(p.user);
    return status;
}

static void recorded(void)
{
    for (int way = 0; way < 3; way++) {
        CHECK(record_all(&way, NULL) == INGLE_OK);
        CHECK(test_every_allocation(record_all, &way) > 0);
    }
}

/* The usual tiles fit the device, and are no larger than what there is to do. */
static void usual_shapes(void)
{
    static const uint32_t memories[] = {16384, 32768, 49152};
    gpu_matrix_part part = {.planes.integers = true};
    gpu_matrix m = {.parts = &part, .n_parts = 1};
    gpu_player p = {0};
    recorder r = {.player = &p};
    for (int i = 0; i < 3; i++)
        for (int int8 = 0; int8 < 2; int8++)
            for (m.rows = 32; m.rows < 100000; m.rows *= 3)
                for (uint32_t n = 1; n <= 512; n++) {
                    p.limits.max_workgroup_memory = memories[i];
                    r.modes.dot_int8 = int8;
                    const matmul_shape s = matmul_usual_shape(&r, &m, n);
                    CHECK(s.tokens == 32 || s.tokens == 64 || s.tokens == 128);
                    CHECK(matmul_shape_bytes(int8, &s) <= memories[i]);
                    CHECK(s.tokens == 32 || s.tokens / 2 < n);
                    CHECK(s.blocks >= 1 && s.blocks * s.tokens <= 256 && s.blocks <= 4);
                }
}

int run_tests(int argc, char **argv);

#define main run_tests
TESTS(T(recorded) T(usual_shapes) T(every_format) T(every_tile) T(every_number_of_tokens) T(every_size) T(matrices_in_parts)
      T(columns_of_no_whole_block) T(every_norm) T(rounding_at_the_edges))
#undef main

int main(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "bench") == 0 ? matmul_bench(argc - 2, argv + 2) : run_tests(argc, argv);
}
