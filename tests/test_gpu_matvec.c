/* The product of one token on a GPU against the same sums in double, over formats, shapes, prologues and
 * epilogues, in each mode of the device.
 *
 *     test_gpu_matvec            the tests
 *     test_gpu_matvec bench [NAME [f32]]     microseconds a dispatch, for matrices of known models, beside reading alone
 *
 * Where activations are rounded to int8 the reference rounds them in the same way, so what is left is
 * the order of float sums. */
#include "harness.h"

#include <math.h>

#include "gpu/op_matvec.h"
#include "gpu_support.h"
#include "quant/quant.h"
#include "support.h"

enum { MOST_ROWS = 300, MOST_COLS = 2048, MOST_SPLITS = 16 };

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

/* ---- cases ------------------------------------------------------------------------------------ */

/* What attention left for a product to merge: heads x d_head columns in `room` splits of `chunk` positions, of
 * which those up to `position` are in use. */
typedef struct {
    uint32_t heads, d_head, room, chunk, window, position;
} split_work;

typedef struct {
    uint32_t format;
    uint64_t rows, cols;
    matvec_epilogue epilogue;
    bool norm, bias;
    matvec_shape shape;      // threads 0: the usual one
    bool rounded;            // x is int8 already
    const split_work *merge; // x is in parts
    bool gives_rounded;      // a gate's result is int8
    uint32_t zero_from, zero_to; // rows of zeros
    uint16_t scale;          // Q8_0: of all blocks, as a half; 0: their own
    uint64_t max_binding;    // 0: the device's
} test_case_of;

/* x as it is in memory, and as the products see it: in[i] * factor, good to slack[i] * factor. */
typedef struct {
    float x[MOST_COLS], gain[MOST_COLS];
    float partials[2 * MOST_COLS * MOST_SPLITS];
    uint8_t bytes[2 * MOST_COLS]; // int8, then scales
    double in[MOST_COLS], slack[MOST_COLS], factor;
} input;

static bool is_gate(matvec_epilogue e)
{
    return e == MATVEC_GATE_SILU || e == MATVEC_GATE_GELU;
}

static uint64_t outs_of(const test_case_of *c)
{
    return is_gate(c->epilogue) ? c->rows / 2 : c->rows;
}

static void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = test_random_float(&seed);
}

/* in as a kernel rounds it. It knows in[i] to slack[i], so both may be to either side of a tie, where a GPU's
 * division and product, each good to some units in the last place, may decide as well: a step more then. The
 * scale is as good as the largest value. */
static void round_input(input *k, size_t n)
{
    for (size_t b = 0; b < n; b += 16) {
        double most = 0, off = 0;
        const size_t end = b + 16 < n ? b + 16 : n;
        for (size_t i = b; i < end; i++) {
            most = fmax(most, fabs(k->in[i]));
            off = fmax(off, k->slack[i]);
        }
        for (size_t i = b; i < end; i++) {
            const double exact = most > 0 ? k->in[i] * 127 / most : 0, step = most / 127;
            const double near = 127 * 0x1p-20 + (most > 0 ? 254 * off / most : 0);
            k->in[i] = rint(exact) * step;
            k->slack[i] = (fabs(fabs(exact - rint(exact)) - 0.5) < near ? step : 0) + fabs(rint(exact)) * off / 127;
        }
    }
}

/* x that the host has rounded, as gpu_rounded_in lays it out. */
static void give_rounded(input *k, size_t n)
{
    const gpu_rounded at = gpu_rounded_in((gpu_slice){0}, n, 1);
    int8_t *q = (int8_t *)k->bytes;
    float d[MOST_COLS / 16];
    int32_t sums[MOST_COLS / 16];
    quant_activations(k->x, n, q, d, sums);
    memcpy(k->bytes + at.d.offset, d, n / 16 * sizeof *d);
    for (size_t i = 0; i < n; i++)
        k->in[i] = q[i] * (double)d[i / 16];
}

/* Random sums of splits as attend_partial.wgsl lays them out, where none is in use NaN below a top above all others,
 * and what they make together. exp2 is good to 3 + 2 |x| units of 2^-23, a difference x to one of 2^-24, sums of n
 * to n of 2^-24, a division to 2.5 of 2^-23. */
static void give_partials(input *k, const split_work *w)
{
    const uint32_t d = w->d_head, last = w->position;
    const uint32_t first = w->window && last >= w->window ? last + 1 - w->window : 0;
    const uint32_t n = (last - first / 16 * 16) / w->chunk + 1;
    const double u = 0x1p-24;
    CHECK_MSG(n <= w->room, "%u splits, room for %u", (unsigned)n, (unsigned)w->room);
    for (size_t i = 0; i < (size_t)w->heads * w->room * (d + 4); i++)
        k->partials[i] = i % (d + 4) == d ? 30000 : NAN;
    for (uint32_t h = 0; h < w->heads; h++) {
        float *head = k->partials + (size_t)h * w->room * (d + 4);
        double top = -INFINITY, total = 0, total_off = 0;
        for (uint32_t s = 0; s < n; s++) {
            float *split = head + s * (d + 4);
            fill(split, d);
            split[d] = 20 * test_random_float(&seed);
            split[d + 1] = 1.5f + test_random_float(&seed);
            top = fmax(top, (double)split[d]);
        }
        for (uint32_t i = 0; i < d; i++) {
            double sum = 0, size = 0, off = 0;
            total = total_off = 0;
            for (uint32_t s = 0; s < n; s++) {
                const float *split = head + s * (d + 4);
                const double x = top - (double)split[d], f = exp2(-x), f_off = f * (6 + 5 * x) * u;
                sum += f * (double)split[i];
                size += f * fabs((double)split[i]);
                off += f_off * fabs((double)split[i]);
                total += f * (double)split[d + 1];
                total_off += f_off * (double)split[d + 1];
            }
            k->in[h * d + i] = sum / total;
            k->slack[h * d + i] = (off + (n + 2) * u * size + fabs(sum) * (total_off / total + (n + 7) * u)) / total;
        }
    }
}

static void make_input(input *k, const test_case_of *c, bool int8)
{
    const size_t n = (size_t)c->cols;
    double squares = 0;
    fill(k->x, n);
    fill(k->gain, n);
    memset(k->slack, 0, sizeof k->slack);
    for (size_t i = 0; i < n; i++) {
        squares += (double)k->x[i] * (double)k->x[i];
        k->in[i] = (double)(c->norm ? k->x[i] * k->gain[i] : k->x[i]);
    }
    k->factor = c->norm ? 1 / sqrt(squares / (double)n + 1e-5) : 1;
    if (c->merge)
        give_partials(k, c->merge);
    if (c->rounded)
        give_rounded(k, n);
    else if (int8)
        round_input(k, n);
}

static double act(matvec_epilogue e, double x)
{
    return e == MATVEC_GATE_SILU ? x / (1 + exp(-x)) : 0.5 * x * (1 + tanh(0.7978845608 * (x + 0.044715 * x * x * x)));
}

/* Results and, for each, a bound on rounding: a GPU's dot may sum in any order, so n terms are off by at
 * most n 2^-24 of the sum of their sizes; an int8 product adds the rounding of two scales. */
static void expect(const test_case_of *c, const test_matrix *m, const input *k, const float *bias, const float *before,
                   double *y, double *limit)
{
    const size_t n = (size_t)c->cols;
    for (uint64_t r = 0; r < c->rows; r++) {
        double sum = 0, size = 0, open = 0;
        for (size_t i = 0; i < n; i++) {
            const double w = (double)m->values[r * n + i];
            sum += w * k->in[i];
            size += fabs(w * k->in[i]);
            open += fabs(w) * k->slack[i];
        }
        y[r] = sum * k->factor + (c->bias ? (double)bias[r] : 0);
        limit[r] = ((double)(n + 64) * 0x1p-24 * size + open) * fabs(k->factor) + fabs(y[r]) * 0x1p-22;
    }
    if (is_gate(c->epilogue)) {
        for (uint64_t r = 0; r < c->rows / 2; r++) {
            const double g = y[2 * r], u = y[2 * r + 1], off = limit[2 * r] * fabs(u) + limit[2 * r + 1] * fabs(g);
            y[r] = act(c->epilogue, g) * u;
            // the slope of either is at most 1.13; exp and tanh of a GPU are good to some 2^-19 of their result
            limit[r] = g == 0 || u == 0 ? off : 1.2 * off + fabs(g * u) * 0x1p-17 + 1e-7;
        }
    } else if (c->epilogue == MATVEC_ADD) {
        for (uint64_t r = 0; r < c->rows; r++) {
            y[r] += (double)before[r];
            limit[r] += (fabs((double)before[r]) + (c->bias ? fabs((double)bias[r]) : 0)) * 0x1p-23; // added first
        }
    }
}

/* ---- one case --------------------------------------------------------------------------------- */

enum { UNTOUCHED = 0x5A };

/* A gate's result as int8: its scale is as good as its largest value, a value as good as that and half a step. Beyond
 * the last nothing is written. */
static int wrong_rounded(const uint8_t *got, const double *y, const double *limit, uint64_t n)
{
    const gpu_rounded at = gpu_rounded_in((gpu_slice){0}, n, 1);
    const int8_t *q = (const int8_t *)got;
    int wrong = 0;
    for (uint64_t b = 0; b < n / 16; b++) {
        double most = 0, off = 0;
        float d;
        memcpy(&d, got + at.d.offset + b * sizeof d, sizeof d);
        for (uint64_t i = 16 * b; i < 16 * b + 16; i++) {
            most = fmax(most, fabs(y[i]));
            off = fmax(off, limit[i]);
        }
        wrong += !(fabs(127 * (double)d - most) <= off + most * 0x1p-20);
        for (uint64_t i = 16 * b; i < 16 * b + 16; i++)
            wrong += !(fabs(q[i] * (double)d - y[i]) <= limit[i] + (double)d * (0.5 + 127 * 0x1p-20)) ||
                     (d == 0 && q[i] != 0);
    }
    for (uint64_t i = n; i < at.d.offset; i++)
        wrong += got[i] != UNTOUCHED;
    return wrong;
}

/* NULL: the matrix cannot be had, and that has been said. */
static gpu_matrix *open_matrix(gpu_matrix *w, test_matrix *m, const test_case_of *c)
{
    if (!make_matrix(m, c->format, c->rows, c->cols))
        return NULL;
    const size_t row = (size_t)c->cols / quant_find(c->format)->values * quant_find(c->format)->bytes;
    for (size_t at = 0; c->scale && at < row * c->rows; at += 34)
        memcpy(m->bytes + at, &c->scale, sizeof c->scale);
    if (c->scale)
        quant_find(c->format)->dequantize(m->bytes, m->values, (size_t)(c->rows * c->cols));
    memset(m->bytes + c->zero_from * row, 0, (c->zero_to - c->zero_from) * row);
    memset(m->values + c->zero_from * c->cols, 0, (size_t)((c->zero_to - c->zero_from) * c->cols) * sizeof *m->values);
    const matrix_source source = {.tensors = {&m->tensor}, .n_tensors = 1};
    const ingle_allocator none = {0};
    ingle_error e;
    const uint64_t all = player.limits.max_binding;
    player.limits.max_binding = c->max_binding ? c->max_binding : all;
    const ingle_status status = matrix_open(w, &rec, &source, &none, &e);
    player.limits.max_binding = all;
    CHECK_MSG(status == INGLE_OK, "%s", e.text);
    CHECK_MSG(status != INGLE_OK || (w->n_parts > 1) == (c->max_binding > 0), "%u parts", (unsigned)w->n_parts);
    if (status == INGLE_OK)
        return w;
    free_matrix(m);
    return NULL;
}

/* What is on the device of a case, dropped when it is done. */
typedef struct {
    gpu_slice x, gain, bias, out, state, partials;
} case_buffers;

static void fill_buffers(case_buffers *b, const test_case_of *c, const input *k, const float *bias, const float *before)
{
    uint8_t untouched[8 * MOST_ROWS];
    memset(untouched, UNTOUCHED, sizeof untouched);
    const size_t n = (size_t)c->cols;
    const uint32_t state[4] = {c->merge ? c->merge->position : 0, 1, 0, 0};
    const void *x = c->rounded ? (const void *)k->bytes : k->x;
    *b = (case_buffers){.x = test_gpu_buffer(&rec, x, c->rounded ? (size_t)gpu_rounded_bytes(n, 1) : n * 4, "x"),
                        .gain = test_gpu_buffer(&rec, k->gain, n * 4, "gain"),
                        .bias = test_gpu_buffer(&rec, bias, (size_t)c->rows * 4, "bias"),
                        .state = test_gpu_buffer(&rec, state, sizeof state, "state")};
    const split_work *m = c->merge;
    if (m)
        b->partials = test_gpu_buffer(&rec, k->partials, (size_t)m->heads * m->room * (m->d_head + 4) * 4, "partials");
    b->out = test_gpu_buffer(&rec, c->gives_rounded ? (const void *)untouched : before,
                             (size_t)(c->gives_rounded ? gpu_rounded_bytes(outs_of(c), 1) : outs_of(c) * 4), "out");
}

static void check_case(const test_case_of *c, const void *got, const double *y, const double *limit)
{
    const uint64_t n = outs_of(c);
    const float *floats = got;
    int wrong = c->gives_rounded ? wrong_rounded(got, y, limit, n) : 0;
    uint64_t first = 0;
    for (uint64_t i = n; !c->gives_rounded && i-- > 0;)
        if (!(fabs((double)floats[i] - y[i]) <= limit[i])) {
            wrong++;
            first = i;
        }
    CHECK_MSG(wrong == 0, "%s %llux%llu epilogue %d norm %d int8 %d subgroup %u shape %u %u %u %u: %d wrong, %llu: %g "
              "for %g (limit %g)", quant_find(c->format)->name, (unsigned long long)c->rows, (unsigned long long)c->cols,
              (int)c->epilogue, c->norm, rec.modes.dot_int8, (unsigned)rec.modes.subgroup, (unsigned)c->shape.threads,
              (unsigned)c->shape.per_row, (unsigned)c->shape.rows, (unsigned)c->shape.ahead, wrong,
              (unsigned long long)first, c->gives_rounded ? 0 : (double)floats[first], y[first], limit[first]);
}

/* The case's result, as it lies on the device. */
static bool run_case(const test_case_of *c, const gpu_matrix *w, const input *k, const float *bias, const float *before,
                     float got[2 * MOST_ROWS])
{
    case_buffers b;
    fill_buffers(&b, c, k, bias, before);
    attend_op parts;
    attend_shape cut;
    matvec_op op = {.label = "matvec", .w = w, .x = b.x, .eps = 1e-5f, .epilogue = c->epilogue, .out = b.out,
                    .state = b.state, .shape = c->shape.threads ? &c->shape : NULL};
    if (c->norm)
        op.gain = b.gain;
    if (c->bias)
        op.bias = b.bias;
    if (c->rounded)
        op.rounded = gpu_rounded_in(b.x, c->cols, 1);
    if (c->gives_rounded)
        op.out_rounded = gpu_rounded_in(b.out, outs_of(c), 1);
    if (c->merge) {
        cut = (attend_shape){64, c->merge->chunk, 1};
        parts = (attend_op){.kv = {.n_ctx = 4096, .n_kv_heads = 1, .d_head = c->merge->d_head},
                            .n_heads = c->merge->heads,
                            .n_tokens = 1,
                            .max_positions = c->merge->room * c->merge->chunk,
                            .window = c->merge->window, .partials = b.partials, .shape = &cut};
        op.merge = &parts;
    }
    const uint32_t section = recorder_section(&rec);
    op_matvec(&rec, &op);
    const size_t bytes = c->gives_rounded ? (size_t)gpu_rounded_bytes(outs_of(c), 1) : (size_t)outs_of(c) * 4;
    const bool ok = test_gpu_run(&rec, section) && test_gpu_read(&rec, b.out, got, bytes);
    CHECK_MSG(ok, "%s", "no answer");
    recorder_drop_section(&rec, section);
    gpu_slice *all[] = {&b.x, &b.gain, &b.bias, &b.out, &b.state, &b.partials};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]->bytes)
            recorder_drop(&rec, all[i]);
    return ok;
}

/* k: the input, already made. */
static void try_input(const test_case_of *c, const gpu_matrix *w, const test_matrix *m, const input *k)
{
    static float bias[MOST_ROWS], before[MOST_ROWS], got[2 * MOST_ROWS];
    static double y[MOST_ROWS], limit[MOST_ROWS];
    fill(bias, MOST_ROWS);
    fill(before, MOST_ROWS);
    expect(c, m, k, bias, before, y, limit);
    if (run_case(c, w, k, bias, before, got))
        check_case(c, got, y, limit);
}

/* With its shape as this device can have it. */
static void try_case(const test_case_of *like)
{
    static input k;
    test_matrix m;
    gpu_matrix w;
    test_case_of c = *like;
    if (rec.modes.subgroup && c.shape.per_row > rec.modes.subgroup)
        c.shape.per_row = rec.modes.subgroup;
    if (c.shape.threads > player.limits.max_workgroup_threads)
        c.shape.threads = player.limits.max_workgroup_threads;
    if (!open_matrix(&w, &m, &c))
        return;
    make_input(&k, &c, rec.modes.dot_int8 && w.parts[0].planes.integers);
    try_input(&c, &w, &m, &k);
    matrix_close(&w, &rec);
    free_matrix(&m);
}

/* ---- the tests -------------------------------------------------------------------------------- */

static gpu_modes modes[4];
static size_t n_modes;

static bool open_device(void)
{
    if (!test_gpu_open(&player, NULL, "matvec")) {
        test_skip = 1;
        return false;
    }
    n_modes = test_gpu_modes(&player.limits, modes);
    recorder_init(&rec, &player, &modes[0], NULL);
    return true;
}

static void close_device(void)
{
    player.close(player.user);
    recorder_free(&rec);
}

/* Activations as int8 or f32, sums with and without subgroups in turns; false if the device has no such mode. */
static bool use_mode(bool int8, size_t turn)
{
    size_t n = 0;
    gpu_modes fit[4];
    for (size_t i = 0; i < n_modes; i++)
        if (modes[i].dot_int8 == int8)
            fit[n++] = modes[i];
    if (n > 0)
        rec.modes = fit[turn % n];
    return n > 0;
}

/* True, and the test skipped, where nothing is rounded. */
static bool no_int8(void)
{
    if (use_mode(true, 0))
        return false;
    SKIP("this device has no packed products");
    return true;
}

static const uint32_t formats[] = {QUANT_Q4_0, QUANT_Q4_1, QUANT_Q5_0, QUANT_Q5_1, QUANT_Q8_0, QUANT_Q4_K,
                                   QUANT_Q5_K, QUANT_Q6_K, QUANT_Q2_K, QUANT_Q3_K, QUANT_IQ4_NL, QUANT_IQ4_XS,
                                   QUANT_TQ2_0, QUANT_MXFP4, QUANT_F16, QUANT_BF16, QUANT_F32};

/* Each with int8 and with f32 activations: what a format reads and multiplies depends on nothing else. The input is
 * rounded already and a thread has two blocks of a row, because that is what software adapters compile soonest. */
static void every_format(void)
{
    const matvec_shape shape = {64, 8, 1, 1};
    if (!open_device())
        return;
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
        const bool floats = formats[f] == QUANT_F16 || formats[f] == QUANT_BF16 || formats[f] == QUANT_F32;
        if (!floats && use_mode(true, f))
            try_case(&(test_case_of){formats[f], 37, 512, MATVEC_STORE, .rounded = true, .shape = shape});
        use_mode(false, f);
        try_case(&(test_case_of){formats[f], 64, 512, MATVEC_STORE, .shape = shape});
    }
    close_device();
}

static void try_shape(matvec_shape shape, uint64_t rows, uint64_t cols, bool norm)
{
    if (norm)
        try_case(&(test_case_of){QUANT_Q4_0, rows, cols, MATVEC_STORE, .norm = true, .shape = shape});
    else
        try_case(&(test_case_of){QUANT_Q8_0, rows, cols, MATVEC_STORE, .bias = true, .shape = shape});
}

/* Threads, threads a row, rows and blocks ahead: in each mode once, at widths that threads take whole or not. Then
 * many rows and blocks at a time, which takes software adapters long to compile. */
static void every_shape(void)
{
    static const matvec_shape shapes[] = {{32, 1, 1, 1}, {64, 4, 2, 1}, {128, 8, 1, 3}, {256, 16, 2, 1}, {512, 32, 1, 2}};
    static const uint64_t cols[] = {32, 64, 96, 576, 896, 2048};
    if (!open_device())
        return;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t k = 0; k < 4; k++) {
            use_mode(k % 2, k / 2);
            try_shape(shapes[s], 1 + s * 70, cols[(s + k) % 6], (s + k / 2) % 2);
        }
    use_mode(true, 0);
    try_shape((matvec_shape){128, 8, 1, 8}, 70, 2048, true);
    try_shape((matvec_shape){256, 32, 4, 1}, 299, 896, false);
    close_device();
}

/* With few rows and more, which are of several workgroups; in each mode one of them. */
static void every_epilogue(void)
{
    static const uint64_t rows[] = {2, 8, 26, 80};
    const matvec_shape pairs = {32, 8, 2, 1}, single = {32, 8, 1, 1};
    if (!open_device())
        return;
    for (size_t i = 0; i < n_modes; i++) {
        rec.modes = modes[i];
        try_case(&(test_case_of){QUANT_Q4_0, rows[i % 4], 576, MATVEC_GATE_SILU, .norm = true, .shape = pairs});
        try_case(&(test_case_of){QUANT_Q4_1, rows[(i + 1) % 4], 576, MATVEC_GATE_GELU, .bias = true, .shape = pairs});
        try_case(&(test_case_of){QUANT_Q5_0, rows[(i + 2) % 4] - 1, 96, MATVEC_ADD, .bias = true, .shape = single});
    }
    close_device();
}

/* Which only formats of single numbers have; in shapes as models get them. */
static void columns_of_no_whole_block(void)
{
    static const uint64_t cols[] = {172, 4, 36, 60};
    if (!open_device())
        return;
    for (size_t i = 0; i < 4; i++) {
        use_mode(false, i);
        try_case(&(test_case_of){i % 2 ? QUANT_F16 : QUANT_F32, 7 + 20 * i, cols[i], MATVEC_ADD, .norm = i / 2});
    }
    close_device();
}

static bool is_power(uint32_t n)
{
    return n > 0 && (n & (n - 1)) == 0;
}

/* The usual shape can be had on small devices and large ones, whatever the matrix. */
static void usual_shapes(void)
{
    static const gpu_limits devices[] = {
        {.max_workgroup_memory = 16384, .max_workgroup_threads = 128},
        {.max_workgroup_memory = 16384, .max_workgroup_threads = 256, .subgroup_min = 4, .subgroup_max = 4},
        {.max_workgroup_memory = 49152, .max_workgroup_threads = 1024, .subgroup_min = 32, .subgroup_max = 32},
    };
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
        for (uint64_t cols = 32; cols <= 32768; cols += cols / 64 * 32 + 32)
            for (int e = MATVEC_STORE; e <= MATVEC_QKV; e++)
                for (uint64_t rows = 32; rows <= 262144; rows *= 16) {
                    gpu_player p = {.limits = devices[i]};
                    const recorder r = {.player = &p,
                                        .modes = {.subgroup = devices[i].subgroup_min, .dot_int8 = cols % 3 > 0}};
                    gpu_matrix_part w = {.rows = rows};
                    ingle_error no;
                    CHECK(planes_plan(&w.planes, cols % 64 ? QUANT_Q4_1 : QUANT_F32, rows, cols, &no) == INGLE_OK);
                    const matvec_shape s = matvec_usual_shape(&r, &w, (matvec_epilogue)e);
                    const bool pairs = e >= MATVEC_GATE_SILU;
                    CHECK_MSG(is_power(s.threads) && s.threads <= devices[i].max_workgroup_threads &&
                                  is_power(s.per_row) && s.per_row <= s.threads &&
                                  (!r.modes.subgroup || s.per_row <= r.modes.subgroup) && s.rows > 0 &&
                                  !(pairs && s.rows % 2) && s.ahead > 0,
                              "device %zu, %llu x %llu, epilogue %d: shape %u %u %u %u", i, (unsigned long long)rows,
                              (unsigned long long)cols, e, (unsigned)s.threads, (unsigned)s.per_row, (unsigned)s.rows,
                              (unsigned)s.ahead);
                    // more than registers hold is never asked for at once, but a block of each row
                    const gpu_planes *q = &w.planes;
                    const uint64_t a_block = (q->plane[0].pair_bytes / 2 / q->n_blocks + 15) / 16 + q->n_planes - 1;
                    CHECK_MSG(s.ahead == 1 || s.rows * s.ahead * a_block <= 32, "%u x %u blocks of %llu loads",
                              (unsigned)s.rows, (unsigned)s.ahead, (unsigned long long)a_block);
                }
}

static void matrices_in_parts(void)
{
    if (!open_device())
        return;
    use_mode(false, 0);
    try_case(&(test_case_of){QUANT_Q8_0, 149, 256, MATVEC_ADD, .bias = true, .max_binding = 12 * 1024});
    use_mode(true, 1);
    try_case(&(test_case_of){QUANT_Q8_0, 150, 256, MATVEC_GATE_SILU, .bias = true, .max_binding = 24 * 1024});
    if (use_mode(true, 0))
        try_case(&(test_case_of){QUANT_Q4_1, 140, 320, MATVEC_STORE, .bias = true, .rounded = true,
                                 .max_binding = 12 * 1024});
    close_device();
}

/* At widths that threads take whole or not, in a usual shape and others; every_format has all formats. */
static void input_that_is_rounded(void)
{
    static const test_case_of cases[] = {
        {QUANT_Q4_0, 33, 96, MATVEC_ADD, .rounded = true},
        {QUANT_Q4_1, 64, 608, MATVEC_ADD, .bias = true, .rounded = true},
        {QUANT_Q8_0, 21, 2048, MATVEC_STORE, .rounded = true, .shape = {128, 4, 1, 3}},
    };
    if (!open_device())
        return;
    for (size_t i = 0; i < sizeof cases / sizeof *cases && !no_int8(); i++) {
        use_mode(true, i);
        try_case(&cases[i]);
    }
    close_device();
}

/* With one split in use, some and all of those there is room for; windows begin within a split. */
static void splits_of_attention(void)
{
    static const split_work works[] = {
        {5, 64, 2, 512, 0, 0}, {12, 16, 16, 32, 0, 0}, {2, 80, 9, 128, 0, 0}, {1, 256, 3, 64, 150, 0},
    };
    static const uint32_t format[] = {QUANT_Q4_0, QUANT_Q8_0, QUANT_Q4_1, QUANT_F32};
    if (!open_device())
        return;
    for (size_t i = 0; i < sizeof works / sizeof *works; i++) {
        const uint32_t all = works[i].room * works[i].chunk;
        const uint32_t positions[] = {3, all / 2 + 5, works[i].window ? 1000 : all - 1};
        const uint64_t cols = (uint64_t)works[i].heads * works[i].d_head;
        use_mode(i % 2 || format[i] == QUANT_Q4_0, i / 2);
        for (size_t p = 0; p < 3; p++) {
            split_work w = works[i];
            w.position = positions[p];
            try_case(&(test_case_of){format[i], 19, cols, MATVEC_ADD, .bias = i % 2, .merge = &w,
                                     .shape = {64, 4, 1, 2}});
        }
    }
    close_device();
}

/* Results that are no whole number of workgroups', scales of nothing but zeros, up to the last. */
static void gates_that_are_rounded(void)
{
    static const test_case_of cases[] = {
        {QUANT_Q4_0, 96, 576, MATVEC_GATE_SILU, .norm = true, .shape = {64, 4, 2, 1}},
        {QUANT_Q4_1, 288, 128, MATVEC_GATE_GELU, .norm = true, .bias = true, .shape = {64, 4, 4, 1}},
        {QUANT_Q8_0, 160, 64, MATVEC_GATE_SILU, .zero_from = 32, .zero_to = 64, .shape = {128, 4, 4, 1}},
        {QUANT_Q8_0, 224, 64, MATVEC_GATE_GELU, .zero_from = 192, .zero_to = 224, .shape = {32, 2, 4, 2}},
        {QUANT_F16, 128, 96, MATVEC_GATE_SILU, .bias = true},
    };
    if (!open_device())
        return;
    for (size_t i = 0; i < sizeof cases / sizeof *cases && !no_int8(); i++) {
        use_mode(true, i);
        test_case_of c = cases[i];
        c.gives_rounded = true;
        try_case(&c);
    }
    close_device();
}

/* One value that is not finite makes all rows NaN, rather than numbers: x is rounded by the kernel, by the kernel
 * after a norm, or was rounded before. */
static void what_is_not_finite(void)
{
    static const uint32_t values[] = {0x7F800000u, 0xFF800000u, 0x7FC00000u, 0xFFC12345u};
    static const float zeros[MOST_ROWS];
    static input k;
    if (!open_device())
        return;
    for (int form = 0; form < 3 && !no_int8(); form++) {
        const test_case_of c = {QUANT_Q8_0, 12, 128, MATVEC_STORE, .norm = form == 1, .rounded = form == 2,
                                .shape = {64, 4, 1, 1}};
        test_matrix m;
        gpu_matrix w;
        use_mode(true, (size_t)form);
        if (!open_matrix(&w, &m, &c))
            break;
        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
            float got[2 * MOST_ROWS];
            make_input(&k, &c, true);
            memcpy(&k.x[37 * i], &values[i], sizeof *k.x);
            if (c.rounded)
                give_rounded(&k, (size_t)c.cols);
            if (run_case(&c, &w, &k, zeros, zeros, got))
                for (uint64_t r = 0; r < c.rows; r++)
                    CHECK_MSG(isnan(got[r]), "form %d, %08x: %g", form, (unsigned)values[i], (double)got[r]);
        }
        matrix_close(&w, &rec);
        free_matrix(&m);
    }
    close_device();
}

/* Blocks of x whose largest is 127 times the smallest normal number, or next to that: what is below is zeros, as
 * quant_activations has it. Every other value is a few times the smallest normal number: none is subnormal. */
static void what_is_too_small(void)
{
    static input k;
    const test_case_of c = {QUANT_Q8_0, 12, 128, MATVEC_STORE, .scale = 0x4C00, .shape = {64, 4, 1, 1}};
    test_matrix m;
    gpu_matrix w;
    if (!open_device())
        return;
    if (!no_int8() && open_matrix(&w, &m, &c)) {
        for (uint32_t bits = 0x03FE0000u - 2; bits <= 0x03FE0000u + 2; bits++) {
            make_input(&k, &c, true);
            for (int i = 0; i < 128; i++)
                k.x[i] = i / 16 == 5 ? (float)(2 + test_random(&seed) % 120) * 0x1p-126f : 0;
            memcpy(&k.x[5 * 16 + bits % 16], &bits, sizeof bits);
            memset(k.slack, 0, sizeof k.slack);
            give_rounded(&k, (size_t)c.cols);
            CHECK((k.in[5 * 16] == 0) == (bits < 0x03FE0000u));
            try_input(&c, &w, &m, &k);
        }
        matrix_close(&w, &rec);
        free_matrix(&m);
    }
    close_device();
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
    if (!test_gpu_time(&rec, sections, n_shapes, (double)BENCH_CHAIN * (3e-6 + (double)bytes / 4e12), ns))
        return;
    for (size_t i = 0; i < n_shapes; i++)
        ns[i] *= 1e9 / (double)BENCH_CHAIN;
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

static int bench(const char *only, bool f32)
{
    static uint8_t noise[2 << 20];
    if (!test_gpu_open(&player, NULL, "bench"))
        return 0;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)(test_random(&seed) & 0x3F);
    test_gpu_modes(&player.limits, modes);
    modes[0].dot_int8 &= !f32;
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
TESTS(T(usual_shapes) T(every_format) T(every_shape) T(every_epilogue) T(columns_of_no_whole_block) T(matrices_in_parts) T(input_that_is_rounded)
      T(splits_of_attention) T(gates_that_are_rounded) T(what_is_not_finite)
      T(what_is_too_small))
#undef main

int main(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "bench") == 0 ? bench(argc > 2 ? argv[2] : NULL, argc > 3) : run_tests(argc, argv);
}
