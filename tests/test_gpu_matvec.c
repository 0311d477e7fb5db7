/* The product of one token on a GPU against the same sums in double, over formats, shapes, prologues and
 * epilogues, in each mode of the device.
 *
 *     test_gpu_matvec            the tests
 *     test_gpu_matvec bench      microseconds a dispatch, for matrices of known models, beside reading alone
 *
 * Where activations are rounded to int8 the reference rounds them in the same way, so what is left is
 * the order of float sums. */
#include "harness.h"

#include <math.h>

#include "gpu/op_matvec.h"
#include "gpu_support.h"
#include "quant/quant.h"
#include "support.h"

enum { MOST_ROWS = 300, MOST_COLS = 2048 };

static gpu_player player;
static recorder rec;

/* ---- a random matrix and what it should give -------------------------------------------------- */

typedef struct {
    graph_tensor tensor;
    uint8_t *bytes;
    float *values; // [rows][cols]
} test_matrix;

static uint64_t seed = 1;

/* Random bytes are blocks of any format; scales are then set to something sensible by dequantising and
 * looking: formats with float scales get theirs from a quantiser where there is one. */
static bool make_matrix(test_matrix *m, uint32_t format, uint64_t rows, uint64_t cols)
{
    const quant_traits *t = quant_find(format);
    uint64_t bytes;
    if (!quant_bytes(format, rows * cols, &bytes) || cols % t->values)
        return false;
    m->bytes = malloc((size_t)bytes);
    m->values = malloc((size_t)(rows * cols) * sizeof(float));
    if (t->quantize) {
        for (uint64_t i = 0; i < rows * cols; i++)
            m->values[i] = test_random_float(&seed);
        for (uint64_t r = 0; r < rows; r++)
            t->quantize(m->values + r * cols, m->bytes + r * (bytes / rows), (size_t)cols);
    } else {
        for (uint64_t i = 0; i < bytes; i++)
            m->bytes[i] = (uint8_t)test_random(&seed);
        // halves with small exponents at the ends of blocks, where these formats keep their scales
        for (uint64_t b = 0; b < bytes / t->bytes; b++) {
            uint8_t *block = m->bytes + b * t->bytes;
            const uint16_t small = (uint16_t)(0x2000 | (test_random(&seed) & 0x03FF)); // about 2^-7
            const bool first = format == QUANT_Q5_0 || format == QUANT_Q5_1 || format == QUANT_Q4_K ||
                               format == QUANT_Q5_K || format == QUANT_IQ4_NL || format == QUANT_IQ4_XS;
            memcpy(first ? block : block + t->bytes - 2, &small, 2);
            if (format == QUANT_Q5_1 || format == QUANT_Q4_K || format == QUANT_Q5_K)
                memcpy(block + 2, &small, 2);
            if (format == QUANT_Q2_K)
                memcpy(block + t->bytes - 4, &small, 2);
            if (format == QUANT_MXFP4)
                block[0] = (uint8_t)(118 + test_random(&seed) % 8);
        }
    }
    for (uint64_t r = 0; r < rows; r++)
        t->dequantize(m->bytes + r * (bytes / rows), m->values + r * cols, (size_t)cols);
    m->tensor = (graph_tensor){"w", m->bytes, format, rows, cols, true};
    return true;
}

static void free_matrix(test_matrix *m)
{
    free(m->bytes);
    free(m->values);
}

/* x as the kernel multiplies it; slack[i]: by how much it may differ, because x 127 / max is so near a tie
 * that the GPU's division and product, each good to some units in the last place, may decide it. */
static void rounded(const float *x, size_t n, bool int8, double *out, double *slack)
{
    for (size_t b = 0; b < n; b += 16) {
        float most = 0;
        const size_t end = b + 16 < n ? b + 16 : n;
        for (size_t i = b; i < end; i++)
            most = fmaxf(most, fabsf(x[i]));
        for (size_t i = b; i < end; i++) {
            const double exact = most > 0 ? (double)x[i] * 127 / (double)most : 0, step = (double)most / 127;
            out[i] = int8 ? rint(exact) * step : (double)x[i];
            slack[i] = int8 && fabs(fabs(exact - rint(exact)) - 0.5) < 127 * 0x1p-20 ? step : 0;
        }
    }
}

typedef struct {
    uint32_t format;
    uint64_t rows, cols;
    matvec_epilogue epilogue;
    bool norm, bias;
    matvec_shape shape; // threads 0: the usual one
} test_case_of;

static double act(matvec_epilogue e, double x)
{
    return e == MATVEC_GATE_SILU ? x / (1 + exp(-x)) : 0.5 * x * (1 + tanh(0.7978845608 * (x + 0.044715 * x * x * x)));
}

/* Results and, for each, a bound on rounding: a GPU's dot may sum in any order, so n terms are off by at
 * most n 2^-24 of the sum of their sizes; an int8 product adds the rounding of two scales. */
static void expect(const test_case_of *c, const test_matrix *m, const float *x, const float *gain, const float *bias,
                   const float *before, bool int8, double *y, double *limit)
{
    const size_t n = (size_t)c->cols;
    float *scaled = malloc(n * sizeof *scaled);
    double *in = malloc(n * sizeof *in), *slack = malloc(n * sizeof *slack), squares = 0;
    for (size_t i = 0; i < n; i++) {
        squares += (double)x[i] * (double)x[i];
        scaled[i] = c->norm ? x[i] * gain[i] : x[i];
    }
    const double factor = c->norm ? 1 / sqrt(squares / (double)n + 1e-5) : 1;
    rounded(scaled, n, int8, in, slack);
    for (uint64_t r = 0; r < c->rows; r++) {
        double sum = 0, size = 0, open = 0;
        for (size_t i = 0; i < n; i++) {
            const double w = (double)m->values[r * n + i];
            sum += w * in[i];
            size += fabs(w * in[i]);
            open += fabs(w) * slack[i];
        }
        y[r] = sum * factor + (c->bias ? (double)bias[r] : 0);
        limit[r] = ((double)(n + 64) * 0x1p-24 * size + open) * fabs(factor) + fabs(y[r]) * 0x1p-22;
    }
    if (c->epilogue == MATVEC_GATE_SILU || c->epilogue == MATVEC_GATE_GELU) {
        for (uint64_t r = 0; r < c->rows / 2; r++) {
            const double g = y[2 * r], u = y[2 * r + 1];
            y[r] = act(c->epilogue, g) * u;
            // the slope of either is at most 1.13; exp and tanh of a GPU are good to some 2^-19 of their result
            limit[r] = 1.2 * (limit[2 * r] * fabs(u) + limit[2 * r + 1] * fabs(g)) + fabs(g * u) * 0x1p-17 + 1e-7;
        }
    } else if (c->epilogue == MATVEC_ADD) {
        for (uint64_t r = 0; r < c->rows; r++) {
            y[r] += (double)before[r];
            limit[r] += fabs(y[r]) * 0x1p-23;
        }
    }
    free(scaled);
    free(in);
    free(slack);
}

static void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = test_random_float(&seed);
}

static void try_case(const test_case_of *c)
{
    static float x[MOST_COLS], gain[MOST_COLS], bias[MOST_ROWS], before[MOST_ROWS], got[MOST_ROWS];
    static double y[MOST_ROWS], limit[MOST_ROWS];
    test_matrix m;
    if (!make_matrix(&m, c->format, c->rows, c->cols))
        return;
    const matrix_source source = {.tensors = {&m.tensor}, .n_tensors = 1};
    const ingle_allocator none = {0};
    ingle_error e;
    gpu_matrix w;
    if (matrix_open(&w, &rec, &source, &none, &e) != INGLE_OK) {
        CHECK_MSG(false, "%s", e.text);
        free_matrix(&m);
        return;
    }
    fill(x, MOST_COLS);
    fill(gain, MOST_COLS);
    fill(bias, MOST_ROWS);
    fill(before, MOST_ROWS);
    const size_t n_out = c->epilogue == MATVEC_GATE_SILU || c->epilogue == MATVEC_GATE_GELU ? (size_t)c->rows / 2 : (size_t)c->rows;
    gpu_slice dx = test_gpu_buffer(&rec, x, (size_t)c->cols * 4, "x"), dg = test_gpu_buffer(&rec, gain, (size_t)c->cols * 4, "gain");
    gpu_slice db = test_gpu_buffer(&rec, bias, (size_t)c->rows * 4, "bias"), out = test_gpu_buffer(&rec, before, n_out * 4, "out");
    matvec_op op = {.label = "matvec", .w = &w, .x = dx, .eps = 1e-5f, .epilogue = c->epilogue, .out = out,
                    .shape = c->shape.threads ? &c->shape : NULL};
    if (c->norm)
        op.gain = dg;
    if (c->bias)
        op.bias = db;
    const bool int8 = rec.modes.dot_int8 && w.parts[0].planes.integers;
    expect(c, &m, x, gain, bias, before, int8, y, limit);
    const uint32_t section = recorder_section(&rec);
    op_matvec(&rec, &op);
    if (test_gpu_run(&rec, section) && test_gpu_read(&rec, out, got, n_out * 4)) {
        int wrong = 0;
        for (size_t i = 0; i < n_out; i++)
            wrong += !(fabs((double)got[i] - y[i]) <= limit[i]);
        CHECK_MSG(wrong == 0, "%s %llux%llu epilogue %d norm %d int8 %d: %d wrong, first %g for %g (limit %g)",
                  quant_find(c->format)->name, (unsigned long long)c->rows, (unsigned long long)c->cols, (int)c->epilogue,
                  c->norm, int8, wrong, (double)got[0], y[0], limit[0]);
    } else {
        CHECK_MSG(false, "%s", "no answer");
    }
    matrix_close(&w, &rec);
    recorder_drop(&rec, &dx);
    recorder_drop(&rec, &dg);
    recorder_drop(&rec, &db);
    recorder_drop(&rec, &out);
    free_matrix(&m);
}

/* ---- the tests -------------------------------------------------------------------------------- */

static const uint32_t formats[] = {QUANT_Q4_0, QUANT_Q4_1, QUANT_Q5_0, QUANT_Q5_1, QUANT_Q8_0, QUANT_Q4_K,
                                   QUANT_Q5_K, QUANT_Q6_K, QUANT_Q2_K, QUANT_Q3_K, QUANT_IQ4_NL, QUANT_IQ4_XS,
                                   QUANT_TQ2_0, QUANT_MXFP4, QUANT_F16, QUANT_BF16, QUANT_F32};

static void in_each_mode(void (*work)(void))
{
    gpu_modes modes[4];
    if (!test_gpu_open(&player, NULL, "matvec")) {
        test_skip = 1;
        return;
    }
    const size_t n = test_gpu_modes(&player.limits, modes);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && !test_gpu_open(&player, NULL, "matvec"))
            return;
        recorder_init(&rec, &player, &modes[i], NULL);
        work();
        player.close(player.user);
        recorder_free(&rec);
    }
}

static void each_format(void)
{
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
        try_case(&(test_case_of){formats[f], 37, 512, MATVEC_STORE, false, false, {0}});
        try_case(&(test_case_of){formats[f], 64, 768, MATVEC_ADD, true, true, {0}});
    }
}

static void every_format(void)
{
    in_each_mode(each_format);
}

static void each_shape(void)
{
    static const matvec_shape shapes[] = {{32, 1, 1, 1}, {64, 4, 2, 2}, {128, 8, 4, 4}, {256, 4, 1, 8}, {256, 2, 2, 1}};
    static const uint64_t cols[] = {32, 64, 96, 576, 896, 2048};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t c = 0; c < sizeof cols / sizeof *cols; c++) {
            matvec_shape shape = shapes[s];
            if (rec.modes.subgroup && shape.per_row > rec.modes.subgroup)
                shape.per_row = rec.modes.subgroup;
            try_case(&(test_case_of){QUANT_Q4_0, 1 + s * 50, cols[c], MATVEC_STORE, true, false, shape});
            try_case(&(test_case_of){QUANT_Q8_0, 2 + s * 30, cols[c], MATVEC_STORE, false, true, shape});
        }
}

static void every_shape(void)
{
    in_each_mode(each_shape);
}

static void each_epilogue(void)
{
    for (uint64_t rows = 2; rows < 200; rows = rows * 3 + 2) {
        const uint64_t even = rows / 2 * 2;
        try_case(&(test_case_of){QUANT_Q4_0, even, 576, MATVEC_GATE_SILU, true, false, {0}});
        try_case(&(test_case_of){QUANT_Q4_1, even, 576, MATVEC_GATE_GELU, true, true, {0}});
        try_case(&(test_case_of){QUANT_F32, rows, 172, MATVEC_ADD, false, false, {0}});
        try_case(&(test_case_of){QUANT_F32, rows, 64, MATVEC_STORE, true, false, {0}});
    }
}

static void every_epilogue(void)
{
    in_each_mode(each_epilogue);
}

/* ---- bench ------------------------------------------------------------------------------------ */

typedef struct {
    const char *name;
    uint32_t format;
    uint64_t rows, cols;
    bool norm;
    matvec_epilogue epilogue;
} bench_matrix;

static const bench_matrix bench_matrices[] = {
    {"0.5B qkv", QUANT_Q4_0, 1152, 896, true, MATVEC_STORE},        {"0.5B o", QUANT_Q4_0, 896, 896, false, MATVEC_ADD},
    {"0.5B gate,up", QUANT_Q4_0, 9728, 896, true, MATVEC_GATE_SILU}, {"0.5B down", QUANT_Q4_0, 896, 4864, false, MATVEC_ADD},
    {"0.5B head", QUANT_Q8_0, 151936, 896, true, MATVEC_STORE},     {"1B qkv", QUANT_Q4_0, 3072, 2048, true, MATVEC_STORE},
    {"1B o", QUANT_Q4_0, 2048, 2048, false, MATVEC_ADD},            {"1B gate,up", QUANT_Q4_0, 16384, 2048, true, MATVEC_GATE_SILU},
    {"1B down", QUANT_Q4_0, 2048, 8192, false, MATVEC_ADD},         {"3B qkv", QUANT_Q4_0, 5120, 3072, true, MATVEC_STORE},
    {"3B o", QUANT_Q4_0, 3072, 3072, false, MATVEC_ADD},            {"3B gate,up", QUANT_Q4_0, 16384, 3072, true, MATVEC_GATE_SILU},
    {"3B down", QUANT_Q4_0, 3072, 8192, false, MATVEC_ADD},         {"7B qkv", QUANT_Q4_0, 12288, 4096, true, MATVEC_STORE},
    {"7B o", QUANT_Q4_0, 4096, 4096, false, MATVEC_ADD},
    {"7B gate,up", QUANT_Q4_0, 22016, 4096, true, MATVEC_GATE_SILU}, {"7B down", QUANT_Q4_0, 4096, 11008, false, MATVEC_ADD},
    {"7B head", QUANT_Q8_0, 32000, 4096, true, MATVEC_STORE},
};

enum { BENCH_COPIES_MOST = 64 };

/* A matrix of random bytes: speed does not depend on the values. */
static gpu_matrix random_matrix(const bench_matrix *b, gpu_matrix_part *part, const uint8_t *noise, size_t n_noise)
{
    ingle_error e;
    part->first_row = 0;
    part->rows = b->rows;
    planes_plan(&part->planes, b->format, b->rows, b->cols, &e);
    const gpu_planes *p = &part->planes;
    part->buffer = recorder_buffer(&rec, p->bytes, b->name);
    const uint64_t wq = p->n_planes > 1 ? p->plane[1].offset : p->bytes;
    part->wq = gpu_part(part->buffer, 0, wq);
    part->wx = gpu_part(part->buffer, wq, part->buffer.bytes - wq);
    for (uint64_t at = 0; at < part->buffer.bytes; at += n_noise) {
        const uint64_t left = part->buffer.bytes - at;
        recorder_write(&rec, gpu_part(part->buffer, at, 0), noise, left < n_noise ? (size_t)left : n_noise);
    }
    return (gpu_matrix){.rows = b->rows, .cols = b->cols, .n_parts = 1, .parts = part};
}

enum { BENCH_CHAIN = 192, BENCH_SHAPES_MOST = TEST_GPU_MOST_TIMED };

/* A section of dispatches, each reading what the last wrote, over copies of the matrix that no cache
 * holds. */
static uint32_t record_chain(const bench_matrix *b, const gpu_matrix *copies, size_t n_copies, gpu_slice x[2],
                             gpu_slice gain, const matvec_shape *shape)
{
    const uint32_t section = recorder_section(&rec);
    for (size_t i = 0; i < BENCH_CHAIN; i++) {
        matvec_op op = {.label = b->name, .w = &copies[i % n_copies], .x = x[i % 2], .eps = 1e-5f,
                        .epilogue = b->epilogue, .out = x[(i + 1) % 2], .shape = shape};
        if (b->norm)
            op.gain = gain;
        else if (matvec_takes_rounded(&rec, op.w))
            op.rounded = gpu_rounded_in(x[i % 2], b->cols, 1);
        if (b->epilogue == MATVEC_GATE_SILU && rec.modes.dot_int8 && shape->threads / shape->per_row * shape->rows % 32 == 0)
            op.out_rounded = gpu_rounded_in(x[(i + 1) % 2], b->rows / 2, 1);
        op_matvec(&rec, &op);
    }
    recorder_section_end(&rec);
    return section;
}

/* The shapes worth a try; the usual one first. */
static size_t list_shapes(const bench_matrix *b, const gpu_matrix_part *part, matvec_shape *out)
{
    static const uint32_t threads[] = {128, 256, 512}, per_row[] = {8, 16, 32}, rows[] = {1, 2, 4}, ahead[] = {1, 2, 4, 8};
    const uint32_t n_blocks = part->planes.n_blocks;
    size_t n = 0;
    out[n++] = matvec_usual_shape(&rec, part, b->epilogue);
    for (size_t i = 0; i < 108; i++) {
        matvec_shape s = {threads[i % 3], per_row[i / 3 % 3], rows[i / 9 % 3], ahead[i / 27]};
        const uint32_t a_thread = (n_blocks + s.per_row - 1) / s.per_row;
        if (s.ahead == 1 && s.rows <= 2 && a_thread > 1 && a_thread <= 12)
            s.ahead = a_thread; // all at once
        const bool wasteful = s.per_row * s.ahead > n_blocks + n_blocks / 2, few = s.rows * s.ahead < 2;
        if ((b->epilogue == MATVEC_GATE_SILU && s.rows % 2) || s.rows * s.ahead > 16 || few || wasteful ||
            s.per_row > (rec.modes.subgroup ? rec.modes.subgroup : 32) || s.threads > rec.player->limits.max_workgroup_threads)
            continue;
        out[n++] = s;
    }
    return n;
}

static void bench_one(const bench_matrix *b, const uint8_t *noise, size_t n_noise)
{
    static gpu_matrix copies[BENCH_COPIES_MOST];
    static gpu_matrix_part parts[BENCH_COPIES_MOST];
    matvec_shape shapes[BENCH_SHAPES_MOST];
    uint32_t sections[BENCH_SHAPES_MOST];
    double ns[BENCH_SHAPES_MOST] = {0};
    const uint64_t about = b->rows * b->cols * 9 / 16;
    size_t n = (size_t)(300000000 / about) + 1;
    n = n > BENCH_COPIES_MOST ? BENCH_COPIES_MOST : n;
    for (size_t i = 0; i < n; i++)
        copies[i] = random_matrix(b, &parts[i], noise, n_noise);
    const size_t widest = (size_t)(b->rows > b->cols ? b->rows : b->cols) * 4;
    gpu_slice x[2] = {recorder_buffer(&rec, widest, "x0"), recorder_buffer(&rec, widest, "x1")};
    gpu_slice gain = recorder_buffer(&rec, b->cols * 4, "gain");
    const uint64_t bytes = parts[0].planes.bytes;
    const size_t n_shapes = list_shapes(b, &parts[0], shapes);
    for (size_t i = 0; i < n_shapes; i++)
        sections[i] = record_chain(b, copies, n, x, gain, &shapes[i]);
    if (!test_gpu_time(&rec, sections, n_shapes, BENCH_CHAIN * (3e-6 + (double)bytes / 4e12), ns))
        return;
    for (size_t i = 0; i < n_shapes; i++)
        ns[i] *= 1e9 / BENCH_CHAIN;
    printf("%-13s %6llu x %5llu %7.2f MB, reading %6.2f us; usual", b->name, (unsigned long long)b->rows,
           (unsigned long long)b->cols, (double)bytes / 1e6, 2.7 + (double)bytes / 4.7e6);
    for (int k = 0; k < 5; k++) { // the usual one, then the best four
        size_t at = 0;
        for (size_t i = 1; k > 0 && i < n_shapes; i++)
            if (at == 0 || ns[i] < ns[at])
                at = i;
        printf("%s (%u %u %u %u) %.2f", k == 1 ? "; best" : "", shapes[at].threads, shapes[at].per_row, shapes[at].rows,
               shapes[at].ahead, ns[at] / 1e3);
        ns[at] = k > 0 ? 1e30 : ns[at];
    }
    printf("\n");
    fflush(stdout);
    for (size_t i = 0; i < n; i++)
        recorder_drop(&rec, &parts[i].buffer);
    recorder_drop(&rec, &x[0]);
    recorder_drop(&rec, &x[1]);
    recorder_drop(&rec, &gain);
}

static int bench(const char *only)
{
    static uint8_t noise[2 << 20];
    gpu_modes modes[4];
    if (!test_gpu_open(&player, NULL, "bench"))
        return 0;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)(test_random(&seed) & 0x3F);
    test_gpu_modes(&player.limits, modes);
    recorder_init(&rec, &player, &modes[0], NULL);
    printf("%s, subgroups %u, int8 %d; shapes are (threads, a row, rows, ahead), times us a dispatch\n",
           player.limits.name, modes[0].subgroup, modes[0].dot_int8);
    for (size_t m = 0; m < sizeof bench_matrices / sizeof *bench_matrices; m++)
        if (!only || strstr(bench_matrices[m].name, only))
            bench_one(&bench_matrices[m], noise, sizeof noise);
    player.close(player.user);
    recorder_free(&rec);
    return 0;
}

int run_tests(int argc, char **argv);

#define main run_tests
TESTS(T(every_format) T(every_shape) T(every_epilogue))
#undef main

int main(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "bench") == 0 ? bench(argc > 2 ? argv[2] : NULL) : run_tests(argc, argv);
}
