/* Speed of prompts' products on a GPU, for the shapes of known models: each tile of each kind of product,
 * over some copies of a matrix, dispatch after dispatch. What a product fetches is little beside what it
 * computes, so it does not matter that a large GPU keeps the copies in its cache.
 * Measures only; tests/test_gpu_matmul.c checks the same kernels. */
#include "matmul_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gpu/op_matmul.h"
#include "gpu_support.h"
#include "support.h"
#include "tiny_model.h"

typedef struct {
    const char *name;
    uint32_t cols, rows;
    graph_epilogue epilogue;
} layer_matrix;

enum { MATRICES = 4, MOST_COPIES = 8, COPIES_BYTES = 16 << 20, TOKENS = 512 };

static const struct {
    const char *name;
    uint32_t n_layers;
    layer_matrix matrices[MATRICES];
} models[] = {
    {"Qwen2-0.5B", 24, {{"q, k, v", 896, 1152, GRAPH_STORE}, {"output", 896, 896, GRAPH_ADD},
                        {"gate, up", 896, 9728, GRAPH_GATE_SILU}, {"down", 4864, 896, GRAPH_ADD}}},
    {"Llama-3.2-1B", 16, {{"q, k, v", 2048, 3072, GRAPH_STORE}, {"output", 2048, 2048, GRAPH_ADD},
                          {"gate, up", 2048, 16384, GRAPH_GATE_SILU}, {"down", 8192, 2048, GRAPH_ADD}}},
};

static const matmul_shape int8_shapes[] = {{32, 2, false},  {32, 4, false},  {64, 1, false}, {64, 2, false}, {64, 4, false},
                                           {128, 1, false}, {128, 2, false}, {64, 2, true},  {128, 2, true}};
/* How products are computed, and with which tiles. */
typedef enum { BY_FLOATS, BY_INT8, BY_MATRICES } way;
static const char *const way_names[] = {"float", "int8", "matrices"};
static const matmul_shape matrix_shapes[] = {{128, 2, false}};
static const matmul_shape float_shapes[] = {{32, 1, false}, {64, 1, false}, {128, 1, false}};
enum { MOST_SHAPES = 9 };

#define WARM_SECONDS 0.5
#define CELL_SECONDS 0.1 // of each of two rounds
#define ALL_SECONDS 110.0

typedef struct {
    gpu_player player;
    recorder r;
    gpu_slice state, x, rounded, out;
    gpu_matrix copies[MATRICES][MOST_COPIES]; // of a model's matrices
    uint32_t n_copies[MATRICES];
    double start; // of the program
    way way;
} bench;

static double now(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void must(ingle_status status, const ingle_error *e)
{
    if (status == INGLE_OK)
        return;
    printf("matmul_bench: %s\n", e->text);
    exit(1);
}

/* ---- time ------------------------------------------------------------------------------------- */

/* Seconds of the GPU's own clock if it has one, else from handing over to the answer. */
static double run(bench *b, uint32_t section, uint32_t times)
{
    ingle_error e = {0};
    uint32_t word;
    uint64_t first = 0, last = 0;
    const double start = now();
    const uint32_t t0 = recorder_stamp(&b->r);
    recorder_run(&b->r, section, times);
    const uint32_t t1 = recorder_stamp(&b->r), read = recorder_read(&b->r, gpu_part(b->state, 0, sizeof word), &word);
    must(recorder_play(&b->r, &e), &e);
    must(recorder_wait(&b->r, read, NULL, &e), &e);
    const double wall = now() - start;
    must(recorder_wait(&b->r, t0, &first, &e), &e);
    must(recorder_wait(&b->r, t1, &last, &e), &e);
    return last > first ? (double)(last - first) * 1e-9 : wall;
}

/* Seconds that the section takes, in a chain of at least CELL_SECONDS. */
static double measure(bench *b, uint32_t section)
{
    const double once = run(b, section, 1);
    if (once > CELL_SECONDS)
        return once;
    const uint32_t times = (uint32_t)(CELL_SECONDS / (once > 1e-5 ? once : 1e-5)) + 1;
    return run(b, section, times) / times;
}

static bool out_of_time(const bench *b)
{
    return now() - b->start > ALL_SECONDS;
}

/* ---- what is measured ------------------------------------------------------------------------- */

static void open_copies(bench *b, int which, const layer_matrix *m, uint32_t format)
{
    enum { DRAWN = 64 };
    const quant_traits *t = quant_find(format);
    const size_t n = (size_t)m->rows * m->cols / t->values;
    uint8_t *blocks = malloc(n * t->bytes);
    uint64_t seed = 1;
    if (!blocks)
        exit(1);
    tiny_blocks(format, (size_t)DRAWN * t->values, 1, &seed, blocks);
    for (size_t i = DRAWN; i < n; i++)
        memcpy(blocks + i * t->bytes, blocks + test_random(&seed) % DRAWN * t->bytes, t->bytes);
    const graph_tensor tensor = {m->name, blocks, format, m->rows, m->cols, true};
    const matrix_source source = {.tensors = {&tensor}, .n_tensors = 1};
    const size_t copies = COPIES_BYTES / (n * t->bytes) + 1;
    b->n_copies[which] = copies < MOST_COPIES ? (uint32_t)copies : MOST_COPIES;
    for (uint32_t i = 0; i < b->n_copies[which]; i++) {
        ingle_error e = {0};
        must(matrix_open(&b->copies[which][i], &b->r, &source, &(ingle_allocator){0}, &e), &e);
    }
    free(blocks);
}

static void close_copies(bench *b)
{
    for (int i = 0; i < MATRICES; i++)
        while (b->n_copies[i])
            matrix_close(&b->copies[i][--b->n_copies[i]], &b->r);
}

static uint32_t product_section(bench *b, int which, const layer_matrix *m, const matmul_shape *shape, uint32_t n_tokens)
{
    const uint32_t section = recorder_section(&b->r);
    for (uint32_t i = 0; i < b->n_copies[which]; i++) {
        const matmul_op op = {.label = m->name,
                              .w = &b->copies[which][i],
                              .matrices = b->way == BY_MATRICES,
                              .state = b->state,
                              .x = b->x,
                              .rounded = gpu_rounded_in(b->rounded, m->cols, n_tokens),
                              .epilogue = m->epilogue,
                              .out = b->out,
                              .shape = shape};
        op_matmul(&b->r, &op, n_tokens);
    }
    recorder_section_end(&b->r);
    return section;
}

/* The rounding that an int8 product's input needs: with an RMS norm, or of what the last op gave. */
static uint32_t rounding_section(bench *b, int which, const layer_matrix *m, uint32_t n_tokens)
{
    const uint32_t section = recorder_section(&b->r);
    for (uint32_t i = 0; i < b->n_copies[which]; i++) {
        const norm_op op = {.label = "round",
                            .kind = m->epilogue == GRAPH_ADD ? GRAPH_NORM_NONE : GRAPH_NORM_RMS,
                            .width = m->cols,
                            .eps = 1e-5f,
                            .gain = b->out,
                            .state = b->state,
                            .x = b->x,
                            .rounded = gpu_rounded_in(b->rounded, m->cols, n_tokens)};
        op_norm(&b->r, &op, n_tokens);
    }
    recorder_section_end(&b->r);
    return section;
}

static void compile(bench *b)
{
    ingle_error e = {0};
    const uint32_t ready = recorder_ready(&b->r);
    must(recorder_play(&b->r, &e), &e);
    must(recorder_wait(&b->r, ready, NULL, &e), &e);
}

/* ---- tables ----------------------------------------------------------------------------------- */

static bool same_shape(const matmul_shape *a, const matmul_shape *b, bool int8)
{
    return a->tokens == b->tokens && (!int8 || (a->blocks == b->blocks && a->by_bits == b->by_bits));
}

/* Seconds of a dispatch with each tile, the better of two rounds; NEVER where one does not fit. */
#define NEVER 1e9

static void measure_all(bench *b, int which, const uint32_t *sections, const bool *fits, size_t n, double *seconds)
{
    for (size_t i = 0; i < n; i++)
        seconds[i] = NEVER;
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < n; i++)
            if (fits[i] && !out_of_time(b)) {
                const double s = measure(b, sections[i]) / b->n_copies[which];
                seconds[i] = s < seconds[i] ? s : seconds[i];
            }
}

static void print_us(double seconds)
{
    if (seconds < NEVER)
        printf(" %8.1f", seconds * 1e6);
    else
        printf("        -");
}

/* A matrix's row of the table; the seconds of the best tile, and of its rounding. */
static double row(bench *b, int which, const layer_matrix *m, const matmul_shape *shapes, size_t n_shapes, uint32_t n_tokens)
{
    const bool int8 = b->way == BY_INT8;
    const matmul_shape usual = matmul_usual_shape(&b->r, &b->copies[which][0], n_tokens);
    const double ops = 2.0 * m->rows * m->cols * n_tokens;
    uint32_t sections[MOST_SHAPES + 1] = {0};
    bool fits[MOST_SHAPES + 1] = {0};
    double seconds[MOST_SHAPES + 1], best = NEVER, usual_is = NEVER;
    for (size_t i = 0; i < n_shapes; i++) {
        fits[i] = b->way == BY_MATRICES || matmul_shape_bytes(int8, &shapes[i]) <= b->player.limits.max_workgroup_memory;
        if (fits[i])
            sections[i] = product_section(b, which, m, &shapes[i], n_tokens);
    }
    fits[n_shapes] = int8;
    if (int8)
        sections[n_shapes] = rounding_section(b, which, m, n_tokens);
    compile(b);
    measure_all(b, which, sections, fits, n_shapes + 1, seconds);
    printf("  %-9s %5u x %-5u", m->name, (unsigned)m->rows, (unsigned)m->cols);
    for (size_t i = 0; i < n_shapes; i++) {
        const bool is_usual = same_shape(&shapes[i], &usual, int8);
        best = seconds[i] < best ? seconds[i] : best;
        usual_is = is_usual ? seconds[i] : usual_is;
        if (seconds[i] < NEVER)
            printf(" %7.3f%c", ops / seconds[i] * 1e-12, is_usual ? '*' : ' ');
        else
            printf("       - ");
    }
    printf(" |");
    print_us(best);
    print_us(usual_is);
    if (int8)
        print_us(seconds[n_shapes]);
    printf("\n");
    fflush(stdout);
    return best + (int8 ? seconds[n_shapes] : 0);
}

static void write_state(bench *b, uint32_t n_tokens)
{
    ingle_error e = {0};
    const uint32_t words[4] = {0, n_tokens, 0, 0};
    recorder_write(&b->r, b->state, words, sizeof words);
    must(recorder_play(&b->r, &e), &e);
}

static void table(bench *b, size_t model, uint32_t format, way by, uint32_t n_tokens)
{
    static const matmul_shape *const shapes_of[] = {float_shapes, int8_shapes, matrix_shapes};
    static const size_t n_of[] = {sizeof float_shapes / sizeof *float_shapes, sizeof int8_shapes / sizeof *int8_shapes, 1};
    const matmul_shape *shapes = shapes_of[by];
    const size_t n_shapes = n_of[by];
    const bool int8 = by == BY_INT8;
    double layer = 0;
    b->way = by;
    b->r.modes.dot_int8 = int8;
    write_state(b, n_tokens);
    printf("\n%s, %s, %s, %u tokens: TOP/s by tile (tokens x blocks; b: by bits; *: the usual one) | best us, usual us%s\n",
           models[model].name, quant_find(format)->name, way_names[by], (unsigned)n_tokens,
           int8 ? ", rounding us" : "");
    printf("  %-23s", "rows x columns");
    for (size_t i = 0; i < n_shapes; i++) {
        char name[24];
        snprintf(name, sizeof name, "%ux%u%s", (unsigned)shapes[i].tokens, (unsigned)shapes[i].blocks,
                 shapes[i].by_bits ? "b" : "");
        printf(" %7s ", name);
    }
    printf("\n");
    for (int i = 0; i < MATRICES && !out_of_time(b); i++)
        layer += row(b, i, &models[model].matrices[i], shapes, n_shapes, n_tokens);
    if (!out_of_time(b))
        printf("  all layers' products%s: %.2f ms, %.0f tokens/s\n", int8 ? " and roundings" : "",
               layer * models[model].n_layers * 1e3, n_tokens / (layer * models[model].n_layers));
}

/* Idle GPUs run slowly: some work first. */
static void warm_up(bench *b)
{
    const double start = now();
    write_state(b, 128);
    b->r.modes.dot_int8 = false;
    open_copies(b, 0, &models[0].matrices[1], QUANT_Q4_0);
    const uint32_t section = product_section(b, 0, &models[0].matrices[1], NULL, 128);
    compile(b);
    while (now() - start < WARM_SECONDS)
        run(b, section, 10);
    close_copies(b);
}

static void tables(bench *b, size_t model, uint32_t format)
{
    for (int i = 0; i < MATRICES; i++)
        open_copies(b, i, &models[model].matrices[i], format);
    const gpu_matrix *w = &b->copies[0][0];
    const bool matrices = b->player.limits.matrices && matmul_suits_matrices(w), integers = w->parts[0].planes.integers;
    for (int by = matrices ? BY_MATRICES : integers ? BY_INT8 : BY_FLOATS; by >= BY_FLOATS; by--)
        for (uint32_t n_tokens = TOKENS; n_tokens >= 128 && !out_of_time(b); n_tokens /= 2)
            table(b, model, format, (way)by, n_tokens);
    close_copies(b);
}

static uint32_t format_named(const char *name)
{
    for (uint32_t id = 0; id < QUANT_ID_END; id++)
        if (quant_find(id) && strcmp(quant_find(id)->name, name) == 0)
            return id;
    printf("matmul_bench: no format %s\n", name);
    exit(1);
}

int matmul_bench(int n, char **args)
{
    static bench b;
    b.start = now();
    if (!test_gpu_open(&b.player, NULL, "matmul_bench"))
        return 0;
    recorder_init(&b.r, &b.player, &(gpu_modes){0}, NULL);
    const gpu_limits *l = &b.player.limits;
    printf("%s: workgroup memory %u, packed dot %u, time by %s\n", l->name, (unsigned)l->max_workgroup_memory,
           (unsigned)l->packed_dot, l->timestamps ? "timestamps" : "the wall clock");
    b.state = test_gpu_buffer(&b.r, NULL, 16, "state");
    b.x = test_gpu_buffer(&b.r, NULL, (size_t)TOKENS * 8192 * 4, "x");
    b.rounded = test_gpu_buffer(&b.r, NULL, (size_t)gpu_rounded_bytes(8192, TOKENS), "rounded");
    b.out = test_gpu_buffer(&b.r, NULL, (size_t)TOKENS * 16384 * 4, "out");
    warm_up(&b);
    for (int i = 0; i < (n > 0 ? n : 1); i++)
        for (size_t model = 0; model < sizeof models / sizeof *models && !out_of_time(&b); model++)
            tables(&b, model, n > 0 ? format_named(args[i]) : QUANT_Q4_0);
    if (out_of_time(&b))
        printf("\nnot all was measured: out of time\n");
    recorder_free(&b.r);
    b.player.close(b.player.user);
    return 0;
}
