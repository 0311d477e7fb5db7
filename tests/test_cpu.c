/* The op suite, products: every kernel of every path in CPU_PATHS against what the op means, over the formats
 * and over shapes around the blocks, with buffers between pages that cannot be touched.
 *
 *     test_cpu            the tests; a new path joins by itself
 *     test_cpu bench      speed of each path's products, as a table (kernel_bench.c)
 */
#include "harness.h"

#include <float.h>
#include <math.h>

#include "cpu/kernels.h"
#include "cpu_paths.h"
#include "guarded.h"
#include "kernel_bench.h"

/* ---- matrix products -------------------------------------------------------------------------- */

enum { ROWS = 20, COLS_MAX = 1024, TOKENS_MAX = 33, STRIDE = 18 };

typedef struct {
    graph_tensor w;
    double values[ROWS * COLS_MAX];
    cpu_rows x;
    float x_values[TOKENS_MAX * COLS_MAX];
} product;

/* What follows from d and sums, each in a place that ends with it. */
static void derive(cpu_rows *x)
{
    const size_t n = x->n_tokens * (x->q_stride / 16);
    int32_t *starts = place(&mem_starts, BACK, n * sizeof *starts);
    float *block_sums = place(&mem_block_sums, BACK, n / 2 * sizeof *block_sums);
    cpu_derive_sums(x->d, x->sums, n, starts, block_sums);
    x->starts = starts;
    x->block_sums = block_sums;
}

/* Inputs as a kernel gets them: floats if it reads floats, else int8 in blocks, and nothing else. */
static void place_inputs(product *p, bool int8, int side, size_t n_tokens)
{
    const size_t cols = p->x.cols, stride = (cols + 31) / 32 * 32, blocks = stride / 16;
    p->x = (cpu_rows){.n_tokens = n_tokens, .cols = cols, .f_stride = cols, .q_stride = stride};
    if (!int8) {
        float *f = place(&mem_f, side, n_tokens * cols * sizeof *f);
        memcpy(f, p->x_values, n_tokens * cols * sizeof *f);
        p->x.f = f;
        return;
    }
    int8_t *q = place(&mem_q, side, n_tokens * stride);
    float *d = place(&mem_d, side, n_tokens * blocks * sizeof *d);
    int32_t *sums = place(&mem_sums, side, n_tokens * blocks * sizeof *sums);
    for (size_t t = 0; t < n_tokens; t++)
        quant_activations(p->x_values + t * cols, cols, q + t * stride, d + t * blocks, sums + t * blocks);
    p->x.q = q;
    p->x.d = d;
    p->x.sums = sums;
    derive(&p->x);
}

/* The true product of row r and token t, and how far a kernel may be off.
 *
 * Floats: (n + 2) U sum |w x|, and nothing below the smallest normal number counts.
 * Integers: each input was rounded by at most d/2 (or flushed, below 127 FLT_MIN), which is worth
 * |w| d/2 in the sum. The rest is float arithmetic over blocks: a format with a minimum, w = d q + m,
 * adds d q x and m x apart, each of at most four times the row's largest |w|. */
static double true_product(const product *p, size_t r, size_t t, bool int8, double *limit)
{
    const size_t cols = p->x.cols;
    const double *w = p->values + r * cols;
    const float *x = p->x_values + t * cols;
    double sum = 0, all = 0, largest = 0, rounded = 0, inputs = 0, step = 0;
    float peak = 0;
    for (size_t i = 0; i < cols; i++) {
        if (i % 16 == 0) { // a block of inputs
            peak = 0;
            for (size_t j = i; j < i + 16 && j < cols; j++)
                peak = fmaxf(peak, fabsf(x[j]));
            // The scale and the division are floats too, hence a little over a half.
            step = fmax((double)peak / 127 * (0.5 + 260 * U), 127 * (double)FLT_MIN);
        }
        const double size = fabs(w[i]), term = w[i] * (double)x[i];
        sum += term;
        all += fabs(term);
        largest = size > largest ? size : largest;
        rounded += size * step;
        inputs += (double)peak;
    }
    const double n = (double)cols;
    *limit = int8 ? rounded + (n / 16 + 8) * U * 8 * largest * inputs : (n + 2) * U * all;
    *limit += n * (largest + 1) * (double)FLT_MIN;
    return sum;
}

static void check_product(const cpu_kernels *k, product *p, const oracle_format *f, int side,
                          size_t row, size_t n_rows, size_t n_tokens)
{
    const bool int8 = k->reads_int8[f->id];
    const size_t bytes = ((n_tokens - 1) * STRIDE + n_rows) * sizeof(float);
    const size_t scratch = p->x.cols * CPU_ROW_SCRATCH;
    place_inputs(p, int8, side, n_tokens);
    float *y = place(&mem_y, side, bytes);
    // Scratch is aligned, so at the end only as near as that allows.
    void *work = place(&mem_scratch, side, (scratch + 63) / 64 * 64);
    k->matmul[f->id](&p->w, row, n_rows, &p->x, y, STRIDE, work);
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t r = 0; r < n_rows; r++) {
            double limit;
            const double want = true_product(p, row + r, t, int8, &limit);
            const double got = (double)y[t * STRIDE + r];
            CHECK_MSG(fabs(got - want) <= limit,
                      "%s %s %zux%zu row %zu token %zu: %.9g, %.9g +- %g", k->name, f->name, n_rows,
                      p->x.cols, r, t, got, want, limit);
            y[t * STRIDE + r] = 0;
        }
    memset(y, 0xA5,
           bytes); // what was written was zeroed above; what lies between must be as it was
    CHECK(untouched(&mem_y, y, bytes));
    CHECK(untouched(&mem_scratch, work, scratch));
}

/* Between the rows of y, too, nothing is written. */
static void check_gaps(const cpu_kernels *k, product *p, const oracle_format *f, size_t n_rows)
{
    enum { TOKENS = 3 };
    place_inputs(p, k->reads_int8[f->id], BACK, TOKENS);
    float *y = place(&mem_y, BACK, TOKENS * STRIDE * sizeof *y);
    k->matmul[f->id](&p->w, 1, n_rows, &p->x, y, STRIDE,
                     place(&mem_scratch, FRONT, COLS_MAX * CPU_ROW_SCRATCH));
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t i = n_rows * sizeof *y; i < STRIDE * sizeof *y; i++)
            CHECK(((const uint8_t *)(y + t * STRIDE))[i] == 0xA5);
}

/* The packed form of the same matrix, its last `n` groups: one token by gemv, any number by gemm. Rows
 * beyond the matrix are zeros. */
static void check_packed(const cpu_kernels *k, product *p, const oracle_format *f, size_t n, size_t n_tokens)
{
    enum { STEP = 2 * PACK_ROWS + 3 };
    const pack_kind packing = pack_kind_of(f->id);
    if (packing == PACK_NONE || !k->gemv[packing])
        return;
    CHECK(k->gemm[packing] != NULL);
    cpu_packed w = pack_plan(packing, ROWS, p->x.cols);
    const size_t bytes = w.n_groups * w.group_bytes, first = w.n_groups - n;
    uint8_t *data = place(&mem_packed, BACK, bytes);
    pack_groups(&w, data, &p->w, 0, w.n_groups);
    CHECK(untouched(&mem_packed, data, bytes));
    w.data = data;
    const size_t row_bytes = p->x.cols / (size_t)f->values * (size_t)f->bytes;
    for (size_t row = 0; row < ROWS; row++) { // the way back
        uint8_t *raw = place(&mem_f, BACK, row_bytes);
        pack_row(&w, row, raw);
        CHECK_MSG(memcmp(raw, (const uint8_t *)p->w.data + row * row_bytes, row_bytes) == 0, "%s row %zu", f->name, row);
        CHECK(untouched(&mem_f, raw, row_bytes));
    }
    place_inputs(p, true, BACK, n_tokens);
    const size_t y_bytes = ((n_tokens - 1) * STEP + n * PACK_ROWS) * sizeof(float);
    float *y = place(&mem_y, BACK, y_bytes);
    const size_t scratch = (p->x.cols * CPU_PANEL_BYTES + 63) / 64 * 64;
    void *work = place(&mem_scratch, BACK, scratch);
    if (n_tokens == 1)
        k->gemv[packing](&w, first, n, &p->x, y, (cpu_next){0});
    else
        k->gemm[packing](&w, first, n, &p->x, y, STEP, work, NULL);
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t r = 0; r < n * PACK_ROWS; r++) {
            const size_t row = first * PACK_ROWS + r;
            double limit = 0;
            const double want = row < ROWS ? true_product(p, row, t, true, &limit) : 0;
            const double got = (double)y[t * STEP + r];
            CHECK_MSG(fabs(got - want) <= limit, "%s packed %s %zu columns, row %zu token %zu of %zu: %.9g, %.9g +- %g",
                      k->name, f->name, p->x.cols, row, t, n_tokens, got, want, limit);
            y[t * STEP + r] = 0;
        }
    memset(y, 0xA5, y_bytes);
    CHECK(untouched(&mem_y, y, y_bytes) && untouched(&mem_scratch, work, scratch));
}

/* Inputs and weights as brain floats are off by 2^-9 each; the sums are those of floats. Whole blocks of
 * tokens and rows are written, and nothing else. */
static void check_wide(const cpu_kernels *k, product *p, const oracle_format *f, size_t n, size_t n_tokens)
{
    enum { STEP = 2 * CPU_WIDE_ROWS + 16 };
    const pack_kind packing = pack_kind_of(f->id);
    if (packing == PACK_NONE || !k->wide[packing])
        return;
    CHECK(k->round_wide != NULL);
    cpu_packed w = pack_plan(packing, ROWS, p->x.cols);
    uint8_t *data = place(&mem_packed, BACK, w.n_groups * w.group_bytes);
    const size_t first = w.n_groups - n, cols = p->x.cols; // whole blocks of 32
    pack_groups(&w, data, &p->w, 0, w.n_groups);
    w.data = data;
    const size_t room = (n_tokens + CPU_WIDE_TOKENS - 1) / CPU_WIDE_TOKENS * CPU_WIDE_TOKENS;
    uint16_t *wide = place(&mem_f, BACK, room * cols * sizeof *wide);
    for (size_t t = 0; t < n_tokens; t++)
        k->round_wide(p->x_values + t * cols, cols, wide + t * cols);
    const size_t rows = (n * PACK_ROWS + CPU_WIDE_ROWS - 1) / CPU_WIDE_ROWS * CPU_WIDE_ROWS;
    const size_t y_bytes = ((room - 1) * STEP + rows) * sizeof(float);
    float *y = place(&mem_y, BACK, y_bytes);
    cpu_panels panels = {.bytes = place(&mem_scratch, BACK, CPU_PANELS_BYTES)};
    p->x = (cpu_rows){.n_tokens = n_tokens, .cols = cols, .q_stride = cols, .wide = wide};
    // A call before has unpacked the first columns already, or not.
    if (n_tokens % 2)
        k->wide[packing](&w, 0, 1, &p->x, y, STEP, &panels, (cpu_next){data + first * w.group_bytes, n, 0});
    k->wide[packing](&w, first, n, &p->x, y, STEP, &panels, (cpu_next){data, 1, 0});
    CHECK(panels.holds == data);
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t r = 0; r < n * PACK_ROWS; r++) {
            const size_t row = first * PACK_ROWS + r;
            double want = 0, all = 0, largest = 0, w_sum = 1, x_sum = 1;
            for (size_t i = 0; i < cols && row < ROWS; i++) {
                const double a = p->values[row * cols + i], b = (double)p->x_values[t * cols + i];
                want += a * b;
                all += fabs(a * b);
                largest = fmax(largest, fabs(a));
                w_sum += fabs(a);
                x_sum += fabs(b);
            }
            // A weight is put together in floats from terms of at most four times the largest.
            const double limit = ldexp(all, -8) * 1.01 + (double)(cols + 2) * U * all + 16 * U * largest * x_sum +
                                 (w_sum + x_sum) * (double)FLT_MIN;
            const double got = (double)y[t * STEP + r];
            CHECK_MSG(fabs(got - want) <= limit, "%s wide %s %zu columns, row %zu token %zu of %zu: %.9g, %.9g +- %g",
                      k->name, f->name, cols, row, t, n_tokens, got, want, limit);
        }
    for (size_t t = 0; t + 1 < room; t++)
        for (size_t i = rows; i < STEP; i++)
            CHECK(memcmp(y + t * STEP + i, "\xA5\xA5\xA5\xA5", 4) == 0);
    memset(y, 0xA5, y_bytes);
    CHECK(untouched(&mem_y, y, y_bytes) && untouched(&mem_scratch, panels.bytes, CPU_PANELS_BYTES));
}

static void set_weights(product *p, const oracle_format *f, int side, size_t cols, uint64_t *seed)
{
    const size_t bytes = ROWS * cols / (size_t)f->values * (size_t)f->bytes;
    uint8_t *data = place(&mem_w, side, bytes);
    tiny_blocks(f->id, ROWS * cols, 1, seed, data);
    p->w = (graph_tensor){f->name, data, f->id, ROWS, cols, false};
    p->x = (cpu_rows){.cols = cols};
    read_weights(f, data, ROWS * cols, p->values);
}

/* A broken file's scale that is no number makes its row none, and no other row, however it is multiplied. (To
 * WebAssembly's kernels every half is a number, see lanes_wasm.h.) */
static void check_nan(const cpu_kernels *k, product *p, const oracle_format *f, uint64_t *seed)
{
    enum { BROKEN = 3, TOKENS = CPU_WIDE_TOKENS };
    const pack_kind packing = pack_kind_of(f->id);
    const bool shows = strcmp(k->name, "wasm") != 0;
    const size_t cols = (size_t)f->values * 2, row_bytes = 2 * (size_t)f->bytes;
    if (packing == PACK_NONE || !k->gemv[packing])
        return;
    set_weights(p, f, BACK, cols, seed);
    memset((uint8_t *)(uintptr_t)p->w.data + BROKEN * row_bytes, 0xFF, row_bytes);
    cpu_packed w = pack_plan(packing, ROWS, cols);
    uint8_t *data = place(&mem_packed, BACK, w.n_groups * w.group_bytes);
    pack_groups(&w, data, &p->w, 0, w.n_groups);
    w.data = data;
    fill(RANDOM, p->x_values, TOKENS * cols, seed);
    for (int wide = 0; wide <= (k->wide[packing] != NULL); wide++) {
        float *y = place(&mem_y, BACK, TOKENS * CPU_WIDE_ROWS * sizeof *y);
        uint8_t *work = place(&mem_scratch, BACK, CPU_PANELS_BYTES);
        if (wide) {
            uint16_t *x = place(&mem_f, BACK, TOKENS * cols * sizeof *x);
            k->round_wide(p->x_values, TOKENS * cols, x);
            p->x = (cpu_rows){.n_tokens = TOKENS, .cols = cols, .q_stride = cols, .wide = x};
            k->wide[packing](&w, 0, 1, &p->x, y, CPU_WIDE_ROWS, &(cpu_panels){.bytes = work}, (cpu_next){0});
        } else {
            place_inputs(p, true, BACK, TOKENS);
            k->gemm[packing](&w, 0, 1, &p->x, y, CPU_WIDE_ROWS, work, NULL);
        }
        for (size_t t = 0; t < TOKENS; t++)
            for (size_t r = 0; r < PACK_ROWS; r++)
                CHECK_MSG(isnan(y[t * CPU_WIDE_ROWS + r]) == (r == BROKEN && shows), "%s %s row %zu token %zu: %g", k->name, f->name, r, t,
                          (double)y[t * CPU_WIDE_ROWS + r]);
    }
}

static void check_format(const cpu_kernels *k, product *p, const oracle_format *f, uint64_t *seed)
{
    static const size_t single[] = {1, 2, 15, 16, 17, 31, 32, 33, 100, 257};
    static const size_t blocks[] = {1, 2, 3, 5, 8, 16};
    static const size_t tokens[] = {1, 2, 5, 33}, rows[] = {16, 1, 3, 17};
    const size_t n_cols = f->values == 1 ? 10 : 6;
    for (size_t i = 0; i < n_cols; i++) {
        const size_t cols = f->values == 1 ? single[i] : blocks[i] * (size_t)f->values;
        if (cols > COLS_MAX)
            break;
        set_weights(p, f, i % 2 ? FRONT : BACK, cols, seed);
        for (int x = 0; x < KINDS; x++) {
            const size_t n_tokens = tokens[(i + (size_t)x) % 4],
                         n_rows = rows[(i / 2 + (size_t)x) % 4];
            fill((kind)x, p->x_values, n_tokens * cols, seed);
            check_product(k, p, f, x % SIDES, x % 4 == 1 ? 0 : ROWS - n_rows, n_rows, n_tokens);
            check_packed(k, p, f, 1 + (size_t)x % 2, n_tokens);
            check_packed(k, p, f, 2 - (size_t)x % 2, 1 + (size_t)x);
            check_wide(k, p, f, 1 + ((size_t)x + i) % 2, tokens[3] - 4 * (size_t)x);
        }
        check_gaps(k, p, f, rows[i % 4]);
    }
    check_nan(k, p, f, seed);
}

static void products(void)
{
    static product p;
    map_memory();
    for (size_t path = 0; path < N_PATHS; path++) {
        cpu_kernels k;
        CHECK(cpu_select(&k, paths[path]));
        CHECK_TEXT(k.name, paths[path]);
        uint64_t seed = 1;
        for (uint32_t id = 0; id < QUANT_ID_END; id++) {
            CHECK((k.matmul[id] != NULL) == (quant_find(id) != NULL));
            if (!k.matmul[id])
                continue;
            const oracle_format *f = oracle_of(id);
            CHECK_MSG(f != NULL, "no definition of format %u", id);
            if (f)
                check_format(&k, &p, f, &seed);
        }
    }
}

/* The reference is the definition to the last bit but one: double sums, rounded once. */
static void reference_products_are_exact(void)
{
    static product p;
    cpu_kernels k;
    uint64_t seed = 2;
    map_memory();
    CHECK(cpu_select(&k, "ref"));
    for (size_t i = 0; i < ORACLE_FORMATS; i++) {
        const oracle_format *f = &oracle_formats[i];
        CHECK(!k.reads_int8[f->id]);
        set_weights(&p, f, BACK, f->values == 1 ? 77 : 256, &seed);
        fill(RANDOM, p.x_values, 2 * p.x.cols, &seed);
        place_inputs(&p, false, FRONT, 2);
        float y[2 * ROWS];
        k.matmul[f->id](&p.w, 0, ROWS, &p.x, y, ROWS,
                        place(&mem_scratch, FRONT, COLS_MAX * CPU_ROW_SCRATCH));
        for (size_t t = 0; t < 2; t++)
            for (size_t r = 0; r < ROWS; r++) {
                double limit;
                const double want = true_product(&p, r, t, false, &limit);
                // Weights are floats there and doubles here: IQ scales may differ in the last bit.
                const double got = (double)y[t * ROWS + r], all = limit / U / (double)p.x.cols;
                CHECK_MSG(fabs(got - want) <= 2 * U * (fabs(want) + all), "%s: %.9g, %.9g", f->name,
                          got, want);
            }
    }
}

/* Weights whose scales are powers of two (and whose scales within a block are small), so that every
 * product and every sum of them, in any order, is a float: then the result is the integer sum. */
static void set_exact_weights(product *p, const oracle_format *f, size_t cols, unsigned quants,
                              uint64_t *seed)
{
    set_weights(p, f, BACK, cols, seed);
    uint8_t *data = (uint8_t *)(uintptr_t)p->w.data;
    const size_t n = ROWS * cols / (size_t)f->values;
    for (size_t b = 0; b < n; b++) {
        uint8_t *block = data + b * (size_t)f->bytes;
        for (int i = 0; i < f->bytes; i++)
            block[i] = quants < 256 ? (uint8_t)quants : block[i];
        for (int i = 0; i < 12 && (f->id == QUANT_Q4_K || f->id == QUANT_Q5_K); i++)
            block[4 + i] = (uint8_t)(test_random(seed) & 3);
        for (int i = 0; i < 16 && f->id == QUANT_Q6_K; i++)
            block[192 + i] = (uint8_t)(test_random(seed) % 4 - 2);
        for (int i = 0; i < 2; i++)
            if (f->halves[i] >= 0) { // 1/4, a half or 1, the same for the whole matrix
                const uint16_t half = (uint16_t)(i ? 0x3800 : 0x3400);
                memcpy(block + f->halves[i], &half, sizeof half);
            }
    }
    read_weights(f, data, ROWS * cols, p->values);
}

/* Sums of row r and the inputs x [cols] in units of 1/32: of weights, of their upper nibbles with 8 for the lower
 * ones, as bytes may be multiplied by what rounding left over, and of sizes. */
typedef struct {
    int64_t whole, upper, sizes;
} exact_sums;

static exact_sums sum_exactly(const product *p, const int8_t *x, size_t r)
{
    exact_sums s = {0, 0, 0};
    for (size_t i = 0; i < p->x.cols; i++) {
        const int64_t w = (int64_t)(p->values[r * p->x.cols + i] * 4), term = w * x[i];
        s.whole += term;
        s.upper += (((w + 128) & 0xF0) - 120) * x[i];
        s.sizes += term < 0 ? -term : term;
    }
    return s;
}

/* The packed form gives the very same numbers where sums are exact, token by token and together; so does what
 * rounding left over, by itself and added. */
static void check_exact_packed(const cpu_kernels *k, product *p, const oracle_format *f)
{
    const pack_kind packing = pack_kind_of(f->id);
    if (packing == PACK_NONE || !k->gemv[packing])
        return;
    enum { PADDED = (ROWS + PACK_ROWS - 1) / PACK_ROWS * PACK_ROWS };
    float one[PADDED], left[PADDED], both[PADDED], many[8 * PADDED], many_left[8 * PADDED];
    cpu_packed w = pack_plan(packing, ROWS, p->x.cols);
    uint8_t *data = place(&mem_packed, BACK, w.n_groups * w.group_bytes);
    pack_groups(&w, data, &p->w, 0, w.n_groups);
    w.data = data;
    void *scratch = place(&mem_scratch, BACK, p->x.cols * CPU_PANEL_BYTES);
    cpu_rows all_left = p->x;
    all_left.is_rest = true;
    k->gemm[packing](&w, 0, w.n_groups, &p->x, many, PADDED, scratch, NULL);
    k->gemm[packing](&w, 0, w.n_groups, &all_left, many_left, PADDED, scratch, NULL);
    for (size_t t = 0; t < p->x.n_tokens; t++) {
        const cpu_rows x = cpu_row(&p->x, t), rest = cpu_row(&all_left, t);
        cpu_rows with_rest = x;
        with_rest.rest = &rest;
        k->gemv[packing](&w, 0, w.n_groups, &x, one, (cpu_next){0});
        k->gemv[packing](&w, 0, w.n_groups, &rest, left, (cpu_next){0});
        k->gemv[packing](&w, 0, w.n_groups, &with_rest, both, (cpu_next){0});
        for (size_t r = 0; r < ROWS; r++) {
            const exact_sums s = sum_exactly(p, x.q, r);
            if (s.sizes >= 1 << 22) // offsets of up to 128 make the partial sums larger than the terms
                continue;
            const double together = (double)many[t * PADDED + r] * 32, rest_together = (double)many_left[t * PADDED + r] * 32;
            const double alone = (double)one[r] * 32, rest_alone = (double)left[r] * 32;
            const bool bytes = f->id == QUANT_Q8_0 || f->id == QUANT_IQ4_NL;
            CHECK_MSG(alone == (double)s.whole && together == alone, "%s packed %s: %.17g and %.17g, %lld", k->name, f->name,
                      alone, together, (long long)s.whole);
            CHECK_MSG((rest_alone == (double)s.whole || (bytes && rest_alone == (double)s.upper)) && rest_together == rest_alone,
                      "%s packed %s, of the rest: %.17g and %.17g, %lld or %lld", k->name, f->name, rest_alone, rest_together,
                      (long long)s.whole, (long long)s.upper);
            CHECK_MSG((double)both[r] * 32 == alone + rest_alone, "%s packed %s, with the rest: %.17g, %.17g and %.17g", k->name,
                      f->name, (double)both[r] * 32, alone, rest_alone);
        }
    }
}

static void check_exact(const cpu_kernels *k, product *p, const oracle_format *f, int pattern, uint64_t *seed)
{
    enum { TOKENS = 5 };
    const size_t cols = p->x.cols, blocks = cols / 16;
    int8_t *q = place(&mem_q, BACK, TOKENS * cols);
    float *d = place(&mem_d, BACK, TOKENS * blocks * sizeof *d);
    int32_t *sums = place(&mem_sums, BACK, TOKENS * blocks * sizeof *sums);
    memset(sums, 0, TOKENS * blocks * sizeof *sums);
    for (size_t i = 0; i < TOKENS * cols; i++) {
        static const int8_t extreme[] = {127, -128, 1, -1};
        q[i] = pattern == 0   ? (int8_t)(test_random(seed) >> 56)
               : pattern == 1 ? 127
               : pattern == 2 ? -128
               : pattern == 3 ? (int8_t)(i % 2 ? 127 : -128)
                              : extreme[test_random(seed) % 4];
        sums[i / 16] += q[i];
        d[i / 16] = 0.125f;
    }
    p->x = (cpu_rows){.n_tokens = TOKENS, .cols = cols, .q = q, .d = d, .sums = sums, .q_stride = cols};
    derive(&p->x);
    float y[TOKENS * ROWS];
    k->matmul[f->id](&p->w, 0, ROWS, &p->x, y, ROWS, place(&mem_scratch, BACK, cols * CPU_ROW_SCRATCH));
    check_exact_packed(k, p, f);
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t r = 0; r < ROWS; r++) {
            const exact_sums s = sum_exactly(p, q + t * cols, r);
            CHECK(p->values[r * cols] * 4 == floor(p->values[r * cols] * 4));
            const double got = (double)y[t * ROWS + r] * 32;
            CHECK_MSG(s.sizes >= 1 << 24 || got == (double)s.whole, "%s %s pattern %d: %.17g, %lld",
                      k->name, f->name, pattern, got, (long long)s.whole);
        }
}

static void integer_sums_are_exact(void)
{
    static product p;
    size_t formats = 0;
    map_memory();
    for (size_t path = 0; path < N_PATHS; path++) {
        cpu_kernels k;
        uint64_t seed = 3;
        CHECK(cpu_select(&k, paths[path]));
        for (size_t i = 0; i < ORACLE_FORMATS; i++) {
            const oracle_format *f = &oracle_formats[i];
            if (!k.reads_int8[f->id])
                continue;
            formats++;
            CHECK_MSG(f->halves[0] >= 0, "%s: where do its scales lie?", f->name);
            const unsigned quants[] = {256, 0xFF, 0x00, 0x80, 0x7F, 0x88};
            for (size_t n = 1; n <= 3; n++)
                for (size_t j = 0; j < 6; j++)
                    for (int pattern = 0; pattern < 5; pattern++) {
                        set_exact_weights(&p, f, n * (size_t)(f->values < 32 ? 32 : f->values),
                                          quants[j], &seed);
                        check_exact(&k, &p, f, pattern, &seed);
                    }
        }
    }
    CHECK(formats >= 9);
}

/* However many groups gemv is given, and in however many streams it reads them, each comes out as by itself. */
static void check_streams(const cpu_kernels *k, product *p, const oracle_format *f, uint64_t *seed)
{
    enum { GROUPS = 21, ALL_ROWS = GROUPS * PACK_ROWS };
    const pack_kind packing = pack_kind_of(f->id);
    const size_t cols = f->values < 64 ? 96 : 2 * (size_t)f->values; // one unit and a half, or two
    float each[ALL_ROWS];
    if (packing == PACK_NONE || !k->gemv[packing])
        return;
    uint8_t *blocks = place(&mem_w, BACK, ALL_ROWS * cols / (size_t)f->values * (size_t)f->bytes);
    tiny_blocks(f->id, ALL_ROWS * cols, 1, seed, blocks);
    const graph_tensor raw = {f->name, blocks, f->id, ALL_ROWS, cols, false};
    cpu_packed w = pack_plan(packing, ALL_ROWS, cols);
    uint8_t *data = place(&mem_packed, BACK, w.n_groups * w.group_bytes);
    pack_groups(&w, data, &raw, 0, w.n_groups);
    w.data = data;
    p->x = (cpu_rows){.cols = cols};
    fill(RANDOM, p->x_values, cols, seed);
    place_inputs(p, true, BACK, 1);
    cpu_rows rest = p->x, x = p->x;
    rest.is_rest = true;
    for (int with_rest = 0; with_rest < 2; with_rest++) {
        x.rest = with_rest ? &rest : NULL;
        for (size_t g = 0; g < GROUPS; g++)
            k->gemv[packing](&w, g, 1, &x, each + PACK_ROWS * g, (cpu_next){0});
        for (size_t n = 1; n <= GROUPS; n++) {
            const size_t first = GROUPS - n, bytes = n * PACK_ROWS * sizeof(float);
            float *y = place(&mem_y, BACK, bytes);
            k->gemv[packing](&w, first, n, &x, y, (cpu_next){w.data, 0, w.group_bytes});
            CHECK_MSG(memcmp(y, each + PACK_ROWS * first, bytes) == 0, "%s %s, %zu groups differ from each alone", k->name,
                      f->name, n);
            memset(y, 0xA5, bytes);
            CHECK(untouched(&mem_y, y, bytes));
        }
    }
}

static void streams_change_nothing(void)
{
    static product p;
    map_memory();
    for (size_t path = 0; path < N_PATHS; path++) {
        cpu_kernels k;
        uint64_t seed = 5;
        CHECK(cpu_select(&k, paths[path]));
        for (size_t i = 0; i < ORACLE_FORMATS; i++)
            check_streams(&k, &p, &oracle_formats[i], &seed);
    }
}

int run_tests(int argc, char **argv);

#define main run_tests
TESTS(T(products) T(reference_products_are_exact) T(integer_sums_are_exact) T(streams_change_nothing))
#undef main

int main(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "bench") == 0 ? kernel_bench(argc > 2 ? argv[2] : NULL) : run_tests(argc, argv);
}
