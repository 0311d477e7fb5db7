/* The op suite: every kernel of every path in CPU_PATHS against what the op means, over the formats
 * and over shapes around the blocks, with buffers between pages that cannot be touched.
 *
 *     test_cpu            the tests; a new path joins by itself
 *     test_cpu bench      speed of each path's products, as a table (kernel_bench.c)
 *
 * Limits are bounds on rounding, worked out beside each check; U is half a unit in the last place
 * of a float. A path may sum in any order: n terms in floats are off by at most n U sum |term|. */
#include "harness.h"

#include <float.h>
#include <math.h>
#ifndef __wasi__
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "cpu/kernels.h"
#include "cpu_paths.h"
#include "kernel_bench.h"
#include "oracle_decoder.h"
#include "oracle_quant.h"
#include "support.h"

#define U 0x1p-24

/* ---- memory between guard pages --------------------------------------------------------------- */

/* One stretch of memory a purpose, used again and again: its blocks begin at its first byte or end
 * at its last. */
typedef struct {
    uint8_t *first;
    size_t bytes;
} guarded;

#ifdef __wasi__
/* No pages to guard here: a margin with the pattern at both ends shows what is written over, but not
 * what is read. */
enum { MARGIN = 4096 };

static guarded guard(size_t bytes)
{
    uint8_t *p = aligned_alloc(64, (bytes + 63) / 64 * 64 + 2 * MARGIN);
    if (!p) {
        printf("test_cpu: no memory\n");
        exit(1);
    }
    memset(p, 0xA5, (bytes + 63) / 64 * 64 + 2 * MARGIN);
    return (guarded){p + MARGIN, (bytes + 63) / 64 * 64};
}
#else
enum { MARGIN = 0 };

static guarded guard(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t inner = (bytes + page - 1) / page * page;
    uint8_t *p =
        mmap(NULL, inner + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p, page, PROT_NONE) ||
        mprotect(p + page + inner, page, PROT_NONE)) {
        printf("test_cpu: no guarded memory\n");
        exit(1);
    }
    return (guarded){p + page, inner};
}
#endif

enum { FRONT, BACK, SIDES };

/* Where a block of `bytes` lies; the rest is filled with a pattern that `untouched` looks for. */
static void *place(guarded *g, int side, size_t bytes)
{
    if (bytes > g->bytes) {
        printf("test_cpu: a guarded block of %zu bytes is too small for %zu\n", g->bytes, bytes);
        exit(1);
    }
    memset(g->first, 0xA5, g->bytes);
    return side == FRONT ? g->first : g->first + g->bytes - bytes;
}

static bool is_pattern(const uint8_t *p, size_t n)
{
    return n == 0 || (p[0] == 0xA5 && memcmp(p, p + 1, n - 1) == 0);
}

static bool untouched(const guarded *g, const void *block, size_t bytes)
{
    const uint8_t *first = g->first - MARGIN, *b = block, *end = g->first + g->bytes + MARGIN;
    return is_pattern(first, (size_t)(b - first)) && is_pattern(b + bytes, (size_t)(end - b) - bytes);
}

static guarded mem_packed, mem_w, mem_f, mem_q, mem_d, mem_sums, mem_starts, mem_block_sums, mem_y,
    mem_scratch;

static void map_memory(void)
{
    if (mem_w.first)
        return;
    mem_packed = guard(512 * 1024);
    mem_w = guard(256 * 1024);
    mem_f = guard(256 * 1024);
    mem_q = guard(64 * 1024);
    mem_d = guard(128 * 1024);
    mem_sums = guard(8 * 1024);
    mem_starts = guard(8 * 1024);
    mem_block_sums = guard(8 * 1024);
    mem_y = guard(128 * 1024);
    mem_scratch = guard(128 * 1024);
}

/* ---- values ----------------------------------------------------------------------------------- */

typedef enum { RANDOM, ZEROS, LARGE, TINY, VANISHING, ALTERNATING, SPIKE, KINDS } kind;

static void fill(kind k, float *x, size_t n, uint64_t *seed)
{
    for (size_t i = 0; i < n; i++)
        switch (k) {
        case LARGE:
            x[i] = test_random_float(seed) * 1e15f;
            break;
        case TINY:
            x[i] = test_random_float(seed) * 1e-15f;
            break;
        case VANISHING: // around the smallest normal numbers
            x[i] = test_random_float(seed) * 4e-37f;
            break;
        case ALTERNATING:
            x[i] = i % 2 ? -1 : 1;
            break;
        case SPIKE:
            x[i] = i == n / 2 ? 1000 : test_random_float(seed) * 0.01f;
            break;
        case RANDOM:
            x[i] = test_random_float(seed) * 2;
            break;
        case ZEROS:
        case KINDS:
            x[i] = 0;
        }
}

static const oracle_format *oracle_of(uint32_t id)
{
    for (size_t i = 0; i < ORACLE_FORMATS; i++)
        if (oracle_formats[i].id == id)
            return &oracle_formats[i];
    return NULL;
}

/* Every value of a matrix, by the definition of its format. */
static void read_weights(const oracle_format *f, const uint8_t *blocks, size_t n, double *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = f->value(blocks + i / (size_t)f->values * (size_t)f->bytes,
                          (int)(i % (size_t)f->values));
}

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

/* ---- activations ------------------------------------------------------------------------------ */

/* A path's own rounding to int8 gives what quant_activations gives, to the bit: ties, values that
 * are no numbers, and scales at the edge of what is kept included. */
static void activations_are_the_same_everywhere(void)
{
    enum { N = 16 * 9 };
    static const float odd[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, FLT_MIN, 127 * FLT_MIN, 126 * FLT_MIN, 0, -0.0f};
    uint64_t seed = 6;
    map_memory();
    for (size_t path = 0; path < N_PATHS; path++) {
        cpu_kernels k;
        CHECK(cpu_select(&k, paths[path]));
        for (int round = 0; k.quantise && round < 60; round++) {
            float *x = place(&mem_f, BACK, N * sizeof *x);
            int8_t want_q[N];
            float want_d[N / 16];
            int32_t want_sums[N / 16];
            fill((kind)(round % KINDS), x, N, &seed);
            for (int i = 0; round % 3 == 1 && i < N; i++) // with a peak of 127 these are ties
                x[i] = i % 16 ? (float)(int)(test_random(&seed) % 253 - 126) + 0.5f : 127;
            if (round % 3 == 2)
                x[test_random(&seed) % N] = odd[(size_t)round / 3 % (sizeof odd / sizeof *odd)];
            quant_activations(x, N, want_q, want_d, want_sums);
            int8_t *q = place(&mem_q, BACK, N);
            float *d = place(&mem_d, BACK, sizeof want_d);
            int32_t *sums = place(&mem_sums, BACK, sizeof want_sums);
            k.quantise(x, N, q, d, sums);
            CHECK_MSG(memcmp(q, want_q, N) == 0 && memcmp(sums, want_sums, sizeof want_sums) == 0, "%s round %d",
                      k.name, round);
            for (int i = 0; i < N / 16; i++)
                CHECK_MSG(d[i] == want_d[i] || (isnan(d[i]) && isnan(want_d[i])), "%s round %d: %g, %g", k.name, round,
                          (double)d[i], (double)want_d[i]);
            CHECK(untouched(&mem_q, q, N) && untouched(&mem_d, d, sizeof want_d));
        }
    }
}

/* A path's own half precision is the format's, to the bit; but what is no number may be any other. */
static void halves_are_the_same_everywhere(void)
{
    enum { N = 16 * 9 + 5 };
    static const float odd[] = {INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 65504, 65519.996f, 65520, 6e-8f, 2.98e-8f,
                                2.9802322e-8f, 6.1e-5f, 6.09e-5f, 0, -0.0f, FLT_MIN, -FLT_MIN, 1.00048828f, 1.0014648f};
    uint64_t seed = 8;
    map_memory();
    for (size_t path = 0; path < N_PATHS; path++) {
        cpu_kernels k;
        CHECK(cpu_select(&k, paths[path]));
        for (size_t n = 1; k.halve && n <= N; n += n < 40 ? 1 : 31) {
            float *x = place(&mem_f, BACK, n * sizeof *x);
            uint16_t *half = place(&mem_y, BACK, n * sizeof *half), want[N];
            for (size_t i = 0; i < n; i++)
                x[i] = test_random(&seed) % 4 ? ldexpf(test_random_float(&seed), (int)(test_random(&seed) % 44) - 26)
                                              : odd[test_random(&seed) % (sizeof odd / sizeof *odd)];
            quant_find(QUANT_F16)->quantize(x, want, n);
            k.halve(x, n, half);
            CHECK_MSG(memcmp(half, want, n * sizeof *half) == 0, "%s, %zu values", k.name, n);
            CHECK(untouched(&mem_y, half, n * sizeof *half));
            x[0] = NAN;
            k.halve(x, n, half);
            CHECK((half[0] & 0x7FFF) > 0x7C00);
        }
    }
}

/* ---- norms ------------------------------------------------------------------------------------ */

/* RMS: n squares summed in floats make the mean off by (n + 2) U of itself and the root by half
 * that; three more roundings follow: (n/2 + 6) U |y|. Squares below the smallest normal number may
 * be lost, which shows against eps. LAYER also rounds the mean: |mean| U, which moves every value by
 * that much and the deviation by at most as much. */
static void check_norm(const cpu_kernels *k, graph_norm_kind which, size_t width, kind values,
                       float eps, bool bias, bool in_place, uint64_t *seed)
{
    float *x = place(&mem_f, BACK, width * sizeof *x), *w = place(&mem_w, BACK, width * sizeof *w);
    float *b = place(&mem_d, BACK, width * sizeof *b);
    fill(values, x, width, seed);
    if (which == GRAPH_NORM_LAYER && values == RANDOM)
        for (size_t i = 0; i < width; i++)
            x[i] += 3;
    fill(RANDOM, w, width, seed);
    fill(RANDOM, b, width, seed);
    double mean = 0, square = 0;
    for (size_t i = 0; which == GRAPH_NORM_LAYER && i < width; i++)
        mean += (double)x[i] / (double)width;
    for (size_t i = 0; i < width; i++)
        square += ((double)x[i] - mean) * ((double)x[i] - mean);
    const double n = (double)width, scale = 1 / sqrt(square / n + (double)eps);
    double want[2048], limit[2048];
    for (size_t i = 0; i < width; i++) {
        const double y = ((double)x[i] - mean) * scale * (double)w[i],
                     add = bias ? (double)b[i] : 0;
        want[i] = y + add;
        const double off = 2 * U * fabs(mean) * scale; // of (x - mean) * scale
        limit[i] = (n / 2 + 6) * U * fabs(y) + 2 * off * (fabs((double)w[i]) + fabs(y)) +
                   2 * U * fabs(add) + fabs(y) * n * (double)FLT_MIN / (double)eps +
                   (double)FLT_MIN;
    }
    float *y = in_place ? x : place(&mem_y, BACK, width * sizeof *y);
    k->norm(&(graph_norm){which, 0, bias ? 0 : GRAPH_NONE, eps}, w, bias ? b : NULL, x, y, width);
    for (size_t i = 0; i < width; i++)
        CHECK_MSG(fabs((double)y[i] - want[i]) <= limit[i],
                  "%s kind %d width %zu values %d [%zu]: %.9g, %.9g +- %g", k->name, (int)which,
                  width, (int)values, i, (double)y[i], want[i], limit[i]);
    CHECK(untouched(in_place ? &mem_f : &mem_y, y, width * sizeof *y));
}

static void norms(void)
{
    static const size_t widths[] = {1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 64, 100, 576, 2048};
    static const float eps[] = {1e-5f, 1e-6f, 1e-12f};
    uint64_t seed = 4;
    map_memory();
    for (size_t path = 0; path < N_PATHS; path++) {
        cpu_kernels k;
        CHECK(cpu_select(&k, paths[path]));
        for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
            for (int values = 0; values < KINDS; values++)
                for (int variant = 0; variant < 4; variant++)
                    check_norm(&k, variant & 1 ? GRAPH_NORM_LAYER : GRAPH_NORM_RMS, widths[i],
                               (kind)values, eps[(i + (size_t)values) % 3], variant == 3,
                               variant & 2, &seed);
    }
}

/* ---- rotation --------------------------------------------------------------------------------- */

/* Two products and a sum: 3 U (|x0| + |x1|) |length|. Values beyond n_rot stay as they are. */
static void rotations(void)
{
    static const uint32_t heads[] = {2, 8, 14, 32, 64, 80, 128};
    uint64_t seed = 5;
    map_memory();
    for (size_t path = 0; path < N_PATHS; path++)
        for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
            for (uint32_t n_rot = 2; n_rot <= heads[i]; n_rot += n_rot < 8 ? 2 : 8)
                for (int halves = 0; halves < 2; halves++) {
                    cpu_kernels k;
                    CHECK(cpu_select(&k, paths[path]));
                    const uint32_t d = heads[i];
                    float *x = place(&mem_f, BACK, d * sizeof *x), before[128];
                    float *turn = place(&mem_d, BACK, n_rot * sizeof *turn);
                    fill(RANDOM, x, d, &seed);
                    memcpy(before, x, d * sizeof *x);
                    for (uint32_t j = 0; j < n_rot / 2; j++) {
                        const double angle = (double)test_random_float(&seed) * 1000;
                        turn[2 * j] = (float)(1.2 * cos(angle));
                        turn[2 * j + 1] = (float)(1.2 * sin(angle));
                    }
                    k.rotate(&(graph_rope){halves ? GRAPH_ROPE_HALVES : GRAPH_ROPE_PAIRS, n_rot,
                                           NULL, 1.2f},
                             turn, x);
                    for (uint32_t j = 0; j < n_rot / 2; j++) {
                        const uint32_t a = halves ? j : 2 * j,
                                       b = halves ? j + n_rot / 2 : 2 * j + 1;
                        const double x0 = (double)before[a], x1 = (double)before[b];
                        const double c = (double)turn[2 * j], s = (double)turn[2 * j + 1];
                        const double limit = 3 * U * (fabs(x0) + fabs(x1)) * 1.2;
                        CHECK(fabs((double)x[a] - (x0 * c - x1 * s)) <= limit);
                        CHECK(fabs((double)x[b] - (x0 * s + x1 * c)) <= limit);
                    }
                    CHECK(memcmp(x + n_rot, before + n_rot, (d - n_rot) * sizeof *x) == 0);
                    CHECK(untouched(&mem_f, x, d * sizeof *x));
                }
}

/* ---- attention -------------------------------------------------------------------------------- */

typedef struct {
    uint32_t group, n_kv_heads, d_head;
    uint32_t format; // of keys; values have the next one of the list
    size_t n_tokens, position, window;
    float size; // of queries: large ones make the softmax a choice
} attention;

enum { CONTEXT = 320, HEAD_MAX = 128 };

/* Keys [n][n_kv_heads * d] of halves in the order that cpu_cache tells of. What no position fills is NaN. */
static void tile_keys(const uint8_t *rows, size_t n, size_t width, uint8_t *tiled)
{
    const size_t n_tiles = (n + CPU_KEY_BLOCK - 1) / CPU_KEY_BLOCK * CPU_KEY_BLOCK / 16;
    for (size_t i = 0; i < n_tiles * 16 * width; i++)
        memcpy(tiled + 2 * i, &(uint16_t){0x7E00}, 2);
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < width; i++)
            memcpy(tiled + 2 * (j / 16 * 16 * width + 16 * i + j % 16), rows + 2 * (j * width + i), 2);
}

/* One query head over keys first ... last, from the definition. size: what the sum's terms come to. */
static void true_attention(const cpu_cache *c, const float *q, const oracle_format *kt, const uint8_t *keys,
                           const oracle_format *vt, uint32_t kv, size_t first, size_t last, double *want, double *limit)
{
    const size_t d = c->d_head, n = last - first + 1;
    double total = 0, off = 0, highest = -INFINITY, score[CONTEXT], size[HEAD_MAX] = {0}, row[HEAD_MAX];
    for (size_t j = 0; j < n; j++) {
        double dot = 0, all = 0;
        read_weights(kt, keys + (first + j) * c->k_row + kv * c->k_head, d, row);
        for (size_t i = 0; i < d; i++) {
            dot += (double)q[i] * row[i];
            all += fabs((double)q[i] * row[i]);
        }
        score[j] = dot * (double)c->scale;
        off = fmax(off, ((double)d + 3) * U * (double)c->scale * all);
        highest = fmax(highest, score[j]);
    }
    for (size_t j = 0; j < n; j++)
        total += exp(score[j] - highest);
    for (size_t i = 0; i < d; i++)
        want[i] = 0;
    for (size_t j = 0; j < n; j++) {
        read_weights(vt, c->v + (first + j) * c->v_row + kv * c->v_head, d, row);
        for (size_t i = 0; i < d; i++) {
            want[i] += exp(score[j] - highest) / total * row[i];
            size[i] += exp(score[j] - highest) / total * fabs(row[i]);
        }
    }
    // Each block of keys multiplies what the ones before it gave.
    const double roundings = (double)n + 12 + (double)(last / CPU_KEY_BLOCK) * 10;
    for (size_t i = 0; i < d; i++)
        limit[i] = size[i] * (2 * off + roundings * U) + (double)n * (double)FLT_MIN;
}

/* A score is off by (d + 3) U scale sum |q k|, a weight by the factor e^(2 that) and 8 U (exp, sum,
 * division), and n products are summed: p |v| (2 off + (n + 12) U) in all. */
static void check_attention(const cpu_kernels *k, const attention *a, uint64_t *seed)
{
    static const uint32_t formats[] = {QUANT_F16, QUANT_Q8_0, QUANT_Q4_0, QUANT_F16, QUANT_F32};
    static uint8_t rows[CONTEXT * 3 * HEAD_MAX * 4];
    const uint32_t kf = formats[a->format], vf = formats[a->format + 1];
    const size_t d = a->d_head, width = d * a->n_kv_heads, n_ctx = a->position + a->n_tokens;
    const oracle_format *kt = oracle_of(kf), *vt = oracle_of(vf);
    cpu_cache c = {.k = rows,
                   .k_row = width / (size_t)kt->values * (size_t)kt->bytes,
                   .v_row = width / (size_t)vt->values * (size_t)vt->bytes,
                   .k_head = d / (size_t)kt->values * (size_t)kt->bytes,
                   .v_head = d / (size_t)vt->values * (size_t)vt->bytes,
                   .k_tiled = k->tiles_keys && kf == QUANT_F16 && d % 16 == 0,
                   .k_format = quant_find(kf),
                   .v_format = quant_find(vf),
                   .n_heads = a->group * a->n_kv_heads,
                   .n_kv_heads = a->n_kv_heads,
                   .d_head = a->d_head,
                   .window = a->window,
                   .scale = 1 / sqrtf((float)d)};
    uint8_t *values = place(&mem_f, BACK, n_ctx * c.v_row);
    tiny_blocks(kf, n_ctx * width, 1, seed, rows);
    tiny_blocks(vf, n_ctx * width, 1, seed, values);
    c.v = values;
    if (c.k_tiled) {
        const size_t room = (n_ctx + CPU_KEY_BLOCK - 1) / CPU_KEY_BLOCK * CPU_KEY_BLOCK;
        uint8_t *tiled = place(&mem_w, BACK, room * c.k_row);
        tile_keys(rows, n_ctx, width, tiled);
        c.k = tiled;
    }
    for (uint32_t kv = 0; kv < a->n_kv_heads; kv++) {
        const size_t heads = a->group * d, stride = heads + 16, n = (a->n_tokens - 1) * stride + heads;
        const size_t scratch = cpu_attend_scratch(a->group, d, n_ctx) * sizeof(float);
        float *q = place(&mem_d, BACK, n * sizeof *q), *out = place(&mem_y, BACK, n * sizeof *out);
        float *work = place(&mem_scratch, BACK, scratch), alone[8 * HEAD_MAX];
        for (size_t i = 0; i < n; i++)
            q[i] = test_random_float(seed) * a->size;
        k->attend(&c, kv, q, stride, a->n_tokens, a->position, out, work);
        CHECK(untouched(&mem_y, out, n * sizeof *out) && untouched(&mem_scratch, work, scratch));
        for (size_t t = 0; t < a->n_tokens; t++) {
            const size_t last = a->position + t, first = a->window && last + 1 > a->window ? last + 1 - a->window : 0;
            k->attend(&c, kv, q + t * stride, stride, 1, last, alone, work);
            CHECK_MSG(memcmp(alone, out + t * stride, heads * sizeof *alone) == 0, "%s %s: token %zu of %zu alone",
                      k->name, kt->name, t, a->n_tokens);
            for (size_t h = 0; h < a->group && (t < 2 || t + 1 == a->n_tokens); h++) {
                double want[HEAD_MAX], limit[HEAD_MAX];
                true_attention(&c, q + t * stride + h * d, kt, rows, vt, kv, first, last, want, limit);
                for (size_t i = 0; i < d; i++) {
                    const double got = (double)out[t * stride + h * d + i];
                    CHECK_MSG(fabs(got - want[i]) <= limit[i], "%s %s heads %u:%u d %u, %zu ... %zu: %.9g, %.9g +- %g",
                              k->name, kt->name, a->group, a->n_kv_heads, a->d_head, first, last, got, want[i], limit[i]);
                }
            }
        }
    }
}

static void attentions(void)
{
    static const uint32_t heads[] = {32, 64, 96, 128}, odd_heads[] = {1, 8, 33, 80};
    static const size_t positions[] = {0, 1, 15, 63, 64, 100, 130}, tokens[] = {1, 2, 1, 9, 1, 30},
                        windows[] = {0, 0, 1, 0, 40, 0, 64, 100};
    uint64_t seed = 6;
    map_memory();
    for (size_t path = 0; path < N_PATHS; path++) {
        cpu_kernels k;
        CHECK(cpu_select(&k, paths[path]));
        for (uint32_t group = 1; group <= 8; group++)
            for (size_t i = 0; i < 4; i++)
                for (uint32_t format = 0; format < 4; format++) {
                    const size_t n = group * 16 + i * 4 + format;
                    const attention a = {group,
                                         1 + (group + format) % 3,
                                         format == 3 ? odd_heads[i] : heads[i],
                                         format,
                                         tokens[n % 6],
                                         positions[n % 7],
                                         windows[n / 3 % 8],
                                         i == 1 ? 60 : 3};
                    check_attention(&k, &a, &seed);
                }
    }
}

/* ---- gates ------------------------------------------------------------------------------------ */

/* SiLU: exp and three roundings, 6 U of the value; where e^-x is no float any more the result, less
 * than 90 FLT_MIN, may be 0. GELU: 1 + tanh cancels for negative x, so 8 U |x|. */
static void check_gate(const cpu_kernels *k, graph_epilogue which, size_t n, const float *x)
{
    float *gate = place(&mem_f, BACK, n * sizeof *gate), *up = place(&mem_w, BACK, n * sizeof *up);
    float *out = place(&mem_y, BACK, n * sizeof *out);
    for (size_t i = 0; i < n; i++) {
        gate[i] = x[i];
        up[i] = i % 3 == 0 ? -1.0f : i % 3 == 1 ? 0.75f : 0;
    }
    k->gate(which, gate, up, out, n);
    for (size_t i = 0; i < n; i++) {
        const double v = (double)x[i], scale = fabs((double)up[i]);
        const bool silu = which == GRAPH_GATE_SILU;
        const double act = silu ? oracle_silu(v) : oracle_gelu(v);
        const double limit =
            scale * (silu ? 6 * U * fabs(act) : 8 * U * fabs(v)) + 90 * (double)FLT_MIN;
        CHECK_MSG(fabs((double)out[i] - act * (double)up[i]) <= limit, "%s %s(%g): %.9g, %.9g",
                  k->name, silu ? "silu" : "gelu", v, (double)out[i], act * (double)up[i]);
    }
    CHECK(untouched(&mem_y, out, n * sizeof *out));
}

static void gates(void)
{
    static const float extremes[] = {
        0,      -0.0f,  1e-30f, -1e-30f, 1e-38f, 50,      -50,      80,      -80,     87,    -87,
        88.5f,  -88.5f, 89,     -89,     103,    -103,    104,      -104,    1e4f,    -1e4f, 1e13f,
        -1e13f, 1e20f,  -1e20f, 3e38f,   -3e38f, FLT_MAX, -FLT_MAX, FLT_MIN, -FLT_MIN};
    enum { N_EXTREMES = sizeof extremes / sizeof *extremes };
    uint64_t seed = 7;
    map_memory();
    for (size_t path = 0; path < N_PATHS; path++) {
        cpu_kernels k;
        CHECK(cpu_select(&k, paths[path]));
        for (size_t n = 1; n <= 40; n++)
            for (int which = GRAPH_GATE_SILU; which <= GRAPH_GATE_GELU; which++) {
                float x[40];
                for (size_t i = 0; i < n; i++)
                    x[i] = test_random_float(&seed) * (n % 2 ? 12 : 1);
                check_gate(&k, (graph_epilogue)which, n, x);
                for (size_t i = 0; i < n; i++)
                    x[i] = extremes[(i + n * 7) % N_EXTREMES];
                check_gate(&k, (graph_epilogue)which, n, x);
            }
    }
}

/* ---- choosing --------------------------------------------------------------------------------- */

static void paths_are_chosen_by_name(void)
{
    cpu_kernels k;
    CHECK(cpu_select(&k, NULL));
    CHECK_TEXT(k.name, paths[N_PATHS - 1]);
    CHECK(!cpu_select(&k, "abacus") && !cpu_select(&k, "") && !cpu_select(&k, "re"));
    CHECK_TEXT(paths[0], "ref");
    for (size_t i = 0; i < N_PATHS; i++) {
        CHECK(cpu_select(&k, paths[i]));
        CHECK(k.norm && k.rotate && k.attend && k.gate);
    }
}

int run_tests(int argc, char **argv);

#define main run_tests
TESTS(T(products) T(reference_products_are_exact) T(integer_sums_are_exact) T(streams_change_nothing) T(activations_are_the_same_everywhere) T(halves_are_the_same_everywhere) T(norms) T(rotations)
      T(attentions) T(gates) T(paths_are_chosen_by_name))
#undef main

int main(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "bench") == 0 ? kernel_bench(argc > 2 ? argv[2] : NULL) : run_tests(argc, argv);
}
