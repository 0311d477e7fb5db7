/* Speed of every kernel of a product: of one token over weights that no cache near the core holds (GB/s
 * of weights, as large a share of reading as can be), and of many tokens over a layer's matrix (GMAC/s).
 * Measures only; tests/test_cpu.c checks the same kernels. */
#include "kernel_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cpu/cpu_impl.h"
#include "cpu_paths.h"
#ifndef __wasi__
#include "host/host.h"
#endif
#include "support.h"
#include "tiny_model.h"
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

enum { N_COLS = 2048, N_TOKENS = 128, BIG = 64 << 20, LAYER_ROWS = 1536, CHUNK = 32, PASSES = 5, READS = 40 };

typedef struct {
    const cpu_kernels *k;
    cpu_rows one, many;
    float *y;      // [N_TOKENS][CHUNK]
    void *scratch;
    double read;   // bytes a second
} bench;

static double now(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *room(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!p) {
        fprintf(stderr, "no memory for %zu bytes\n", bytes);
        exit(1);
    }
#ifndef __wasi__
    host_large_pages(p, bytes);
#endif
    memset(p, 0, bytes);
    return p;
}

/* ---- what the machine can do -------------------------------------------------------------------- */

static double read_speed(void)
{
    uint64_t *data = room(BIG);
    volatile uint64_t sum = 0;
    double best = 0;
    memset(data, 1, BIG);
    for (int i = 0; i < READS; i++) {
        const double start = now();
        sum = sum + cpu_read_all(data, BIG / sizeof *data);
        const double speed = (double)BIG / (now() - start);
        best = speed > best ? speed : best;
    }
    free(data);
    return best;
}

#if defined(__x86_64__) && defined(__GNUC__)
enum { DOTS = 1 << 22 };

/* Eight independent sums, so that nothing waits for a result; the empty statement keeps each product. */
#define STEP(dot, sum)   \
    sum = dot(sum, x);   \
    __asm__("" : "+v"(x), "+v"(sum));
#define PEAK(name, isa, vector, ones, zero, add, dot)                                          \
    __attribute__((target(isa))) static int name(void)                                         \
    {                                                                                          \
        vector x = ones(1), a = zero(), b = a, c = a, d = a, e = a, f = a, g = a, h = a;       \
        for (int i = 0; i < DOTS; i++) {                                                       \
            STEP(dot, a) STEP(dot, b) STEP(dot, c) STEP(dot, d)                                \
            STEP(dot, e) STEP(dot, f) STEP(dot, g) STEP(dot, h)                                \
        }                                                                                      \
        int first;                                                                             \
        a = add(add(add(a, b), add(c, d)), add(add(e, f), add(g, h)));                         \
        memcpy(&first, &a, sizeof first);                                                      \
        return first;                                                                          \
    }
#define DOT_AVX2(sum, x) \
    _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(x, x), _mm256_set1_epi16(1)))
#define DOT_VNNI(sum, x) _mm512_dpbusd_epi32(sum, x, x)
PEAK(peak_avx2, "avx2", __m256i, _mm256_set1_epi8, _mm256_setzero_si256, _mm256_add_epi32, DOT_AVX2)
PEAK(peak_vnni, "avx512f,avx512bw,avx512vl,avx512vnni", __m512i, _mm512_set1_epi8, _mm512_setzero_si512, _mm512_add_epi32, DOT_VNNI)

static void print_dots(void)
{
    volatile int sink = 0;
    double avx2 = 0, vnni = 0;
    for (int i = 0; i < PASSES; i++) {
        double start = now();
        if (cpu_has_avx2()) {
            sink = sink + peak_avx2();
            const double speed = 8.0 * (double)DOTS * 32 / (now() - start);
            avx2 = speed > avx2 ? speed : avx2;
        }
        start = now();
        if (cpu_has_avx512()) {
            sink = sink + peak_vnni();
            const double speed = 8.0 * (double)DOTS * 64 / (now() - start);
            vnni = speed > vnni ? speed : vnni;
        }
    }
    if (avx2 > 0)
        printf("int8 dot products in registers, AVX2: %.0f GMAC/s\n", avx2 * 1e-9);
    if (vnni > 0)
        printf("int8 dot products in registers, AVX-512 VNNI: %.0f GMAC/s\n", vnni * 1e-9);
}
#else
static void print_dots(void)
{
}
#endif

/* ---- kernels ------------------------------------------------------------------------------------ */

/* Seconds of the fastest of some runs. */
static double fastest(void (*run)(const bench *b, const void *w), const bench *b, const void *w)
{
    double best = 1e9;
    for (int i = 0; i <= PASSES; i++) {
        const double start = now();
        run(b, w);
        const double took = now() - start;
        if (i > 0 && took < best)
            best = took;
    }
    return best;
}

/* As many groups at once as a thread of the engine is given of such matrices. */
static void run_gemv(const bench *b, const void *weights)
{
    enum { GROUPS = 16 };
    const cpu_packed *w = weights;
    const size_t stream = cpu_stream_groups(GROUPS, b->k->streams) * w->group_bytes;
    for (size_t g = 0; g < w->n_groups; g += GROUPS) {
        const size_t n = w->n_groups - g < GROUPS ? w->n_groups - g : GROUPS;
        b->k->gemv[w->kind](w, g, n, &b->one, b->y, (cpu_next){w->data + (g + n) % w->n_groups * w->group_bytes, 0, stream});
    }
}

static void run_gemm(const bench *b, const void *weights)
{
    const cpu_packed *w = weights;
    cpu_panels panels = {.bytes = b->scratch};
    for (size_t g = 0; g < w->n_groups; g += 2) {
        const uint8_t *next = w->data + (g + 2) % w->n_groups * w->group_bytes;
        if (b->k->wide[w->kind])
            b->k->wide[w->kind](w, g, 2, &b->many, b->y, CHUNK, &panels, (cpu_next){next, 2, 0});
        else
            b->k->gemm[w->kind](w, g, 2, &b->many, b->y, CHUNK, b->scratch, next);
    }
}

static void run_one(const bench *b, const void *weights)
{
    const graph_tensor *w = weights;
    for (size_t row = 0; row < w->rows; row += CHUNK)
        b->k->matmul[w->format](w, row, CHUNK, &b->one, b->y, CHUNK, b->scratch);
}

static void run_many(const bench *b, const void *weights)
{
    const graph_tensor *w = weights;
    for (size_t row = 0; row < w->rows; row += CHUNK)
        b->k->matmul[w->format](w, row, CHUNK, &b->many, b->y, CHUNK, b->scratch);
}

static void print_kernel(const bench *b, const char *format, const char *kernel, double bytes, double one, double products, double many)
{
    const double speed = bytes / one;
    printf("| %-8s | %-7s | %-6s | %7.2f | %4.0f %% | %8.1f |\n", b->k->name, format, kernel, speed * 1e-9,
           100 * speed / b->read, products / many * 1e-9);
    fflush(stdout);
}

/* Random weights of a format, in whole chunks of rows, at least `bytes` of them. */
static graph_tensor random_matrix(const quant_traits *f, size_t bytes)
{
    const size_t row_bytes = N_COLS / f->values * f->bytes;
    const size_t rows = (bytes / row_bytes + CHUNK - 1) / CHUNK * CHUNK;
    uint8_t *data = room(rows * row_bytes);
    uint64_t seed = 8;
    tiny_blocks(f->id, (size_t)N_COLS * CHUNK, 1, &seed, data);
    for (size_t at = CHUNK * row_bytes; at < rows * row_bytes; at += CHUNK * row_bytes)
        memcpy(data + at, data, CHUNK * row_bytes);
    return (graph_tensor){f->name, data, f->id, rows, N_COLS, true};
}

static void bench_packed(bench *b, const quant_traits *f, pack_kind kind)
{
    const graph_tensor w = random_matrix(f, BIG);
    cpu_packed p = pack_plan(kind, w.rows, w.cols);
    uint8_t *data = room(p.n_groups * p.group_bytes);
    pack_groups(&p, data, &w, 0, p.n_groups);
    p.data = data;
    const double one = fastest(run_gemv, b, &p), bytes = (double)(p.n_groups * p.group_bytes);
    p.rows = LAYER_ROWS;
    p.n_groups = LAYER_ROWS / PACK_ROWS;
    const double many = fastest(run_gemm, b, &p);
    print_kernel(b, f->name, b->k->wide[kind] ? "wide" : "packed", bytes, one, (double)N_TOKENS * (double)LAYER_ROWS * (double)N_COLS, many);
    free(data);
    free((void *)(uintptr_t)w.data);
}

/* The plain kernels are many times slower than reading, the reference more so: less will do. */
static void bench_plain(bench *b, const quant_traits *f)
{
    graph_tensor w = random_matrix(f, BIG / 8);
    const double bytes = (double)w.rows * (double)N_COLS / f->values * f->bytes;
    const double one = fastest(run_one, b, &w);
    w.rows = CHUNK * 2;
    const double many = fastest(run_many, b, &w);
    print_kernel(b, f->name, "rows", bytes, one, (double)N_TOKENS * (double)w.rows * (double)N_COLS, many);
    free((void *)(uintptr_t)w.data);
}

static void make_inputs(bench *b, float *x, uint16_t *wide)
{
    static int8_t q[N_TOKENS * N_COLS];
    static float d[N_TOKENS * N_COLS / 16];
    static int32_t sums[N_TOKENS * N_COLS / 16], starts[N_TOKENS * N_COLS / 16];
    static float block_sums[N_TOKENS * N_COLS / 32];
    uint64_t seed = 9;
    for (size_t i = 0; i < (size_t)N_TOKENS * N_COLS; i++)
        x[i] = test_random_float(&seed);
    quant_activations(x, (size_t)N_TOKENS * N_COLS, q, d, sums);
    cpu_derive_sums(d, sums, (size_t)N_TOKENS * N_COLS / 16, starts, block_sums);
    if (b->k->round_wide)
        for (size_t t = 0; t < N_TOKENS; t++)
            b->k->round_wide(x + t * N_COLS, N_COLS, wide + t * N_COLS);
    b->many = (cpu_rows){.n_tokens = N_TOKENS, .cols = N_COLS, .f = x, .f_stride = N_COLS, .q = q, .d = d, .sums = sums, .starts = starts, .block_sums = block_sums,
                         .q_stride = N_COLS, .wide = b->k->round_wide ? wide : NULL};
    b->one = b->many;
    b->one.n_tokens = 1;
    b->one.wide = NULL;
}

int kernel_bench(const char *name)
{
    float *x = room(N_TOKENS * N_COLS * sizeof *x);
    uint16_t *wide = room(N_TOKENS * N_COLS * sizeof *wide);
    bench b = {.y = room(N_TOKENS * CHUNK * sizeof *b.y), .scratch = room(N_COLS * CPU_PANEL_BYTES > CPU_PANELS_BYTES ? N_COLS * CPU_PANEL_BYTES : CPU_PANELS_BYTES), .read = read_speed()};
    printf("one thread; reading %d MB: %.1f GB/s\n", BIG >> 20, b.read * 1e-9);
    print_dots();
    printf("\n| path     | format  | kernel | 1 token: GB/s | of reading | %d tokens: GMAC/s |\n|---|---|---|--:|--:|--:|\n", N_TOKENS);
    cpu_kernels before = {0};
    for (size_t i = 0; i < N_PATHS; i++) {
        cpu_kernels k;
        cpu_select(&k, paths[i]);
        b.k = &k;
        make_inputs(&b, x, wide);
        for (uint32_t id = 0; id < QUANT_ID_END; id++) {
            const quant_traits *f = quant_find(id);
            if (!f || N_COLS % f->values != 0 || (name && !strstr(f->name, name)))
                continue;
            const pack_kind kind = pack_kind_of(id);
            // Only what this path does otherwise than those before it.
            if (kind != PACK_NONE && k.gemv[kind] && (k.gemv[kind] != before.gemv[kind] || k.wide[kind] != before.wide[kind]))
                bench_packed(&b, f, kind);
            else if (k.matmul[id] != before.matmul[id])
                bench_plain(&b, f);
        }
        before = k;
    }
    free(x);
    free(wide);
    free(b.y);
    free(b.scratch);
    return 0;
}
