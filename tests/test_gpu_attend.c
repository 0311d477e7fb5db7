/* Attention on the GPU and its cache, against the same in doubles (attend_oracle.h): writing the cache
 * (op_rope_kv, and in pairs as products do), single tokens, many tokens.
 *
 *     test_gpu_attend          the tests; skipped, and said so, where there is no GPU
 *     test_gpu_attend bench    microseconds of each shape at models' sizes (attend_bench.c)
 *
 * Every case runs without subgroups, and with as many threads in one as the device has and half as many.
 * Limits are bounds on rounding, worked out where they are used. */
#include "harness.h"

#include <math.h>

#include "attend_bench.h"
#include "attend_oracle.h"
#include "gpu/op_matvec.h"
#include "gpu/op_rope_kv.h"
#include "gpu_support.h"
#include "quant/quant.h"
#include "support.h"

/* ---- the device ------------------------------------------------------------------------------- */

typedef struct {
    gpu_player player;
    recorder r;
    ingle_allocator allocator;
    test_memory memory;
    gpu_slice buffers[12];
    size_t n_buffers;
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
        printf("test_gpu_attend: no memory\n");
        exit(1);
    }
    return p;
}

static gpu_slice room(device *d, uint64_t bytes)
{
    return d->buffers[d->n_buffers++] = recorder_buffer(&d->r, bytes, "test");
}

/* A buffer with these bytes, which stay until finish(). */
static gpu_slice filled(device *d, const void *from, uint64_t bytes)
{
    const gpu_slice s = room(d, bytes);
    recorder_write(&d->r, s, from, (size_t)bytes);
    return s;
}

/* Compiles what the section needs, runs it and reads the slices; false after saying what went wrong. */
static bool run_and_read(device *d, uint32_t section, const gpu_slice *from, void *const *to, size_t n,
                         const char *what)
{
    ingle_error e = {0};
    uint32_t tickets[4];
    const uint32_t ready = recorder_ready(&d->r);
    ingle_status status = recorder_play(&d->r, &e);
    if (status == INGLE_OK)
        status = recorder_wait(&d->r, ready, NULL, &e);
    recorder_run(&d->r, section, 1);
    for (size_t i = 0; i < n; i++)
        tickets[i] = recorder_read(&d->r, from[i], to[i]);
    if (status == INGLE_OK)
        status = recorder_play(&d->r, &e);
    for (size_t i = 0; status == INGLE_OK && i < n; i++)
        status = recorder_wait(&d->r, tickets[i], NULL, &e);
    CHECK_MSG(status == INGLE_OK, "%s: %s", what, e.text);
    return status == INGLE_OK;
}

static void drop_buffers(device *d)
{
    while (d->n_buffers)
        recorder_drop(&d->r, &d->buffers[--d->n_buffers]);
}

static const float sentinel = -12345;

static float *random_floats(size_t n, float size, uint64_t *random)
{
    float *x = must(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = size * test_random_float(random);
    return x;
}

static uint32_t pick(uint64_t *random, uint32_t n)
{
    return (uint32_t)(test_random(random) % n);
}

/* Threads in a subgroup that kernels are told of: none, the device's number, half of it. */
static uint32_t subgroup_modes(const device *d, uint32_t modes[3])
{
    const uint32_t all = d->player.limits.subgroup_min;
    modes[0] = 0;
    modes[1] = all;
    modes[2] = all / 2;
    return all >= 4 ? 3 : all > 1 ? 2 : 1;
}

/* ---- attention -------------------------------------------------------------------------------- */

/* Where the result goes: f32; int8 with scales; in parts to a product that merges them, by the matrix that changes
 * nothing. */
typedef enum { AS_FLOATS, AS_INT8, BY_PRODUCT } result_form;

typedef struct {
    kv_layout kv;
    uint32_t group, window, max_positions, max_tokens; // what the kernel is made for
    uint32_t position, n_tokens;                       // what it is run with
    uint32_t subgroup;
    bool rolled;         // loops stay loops
    attend_shape shape;  // threads 0: the usual one
    result_form form;
} attention;

static const char *describe(const attention *a, char text[200])
{
    snprintf(text, 200, "%s/%s, %u x %u heads of %u, %u + %u of %u positions, window %u, subgroup %u, shape %u %u %u",
             a->kv.k_type == QUANT_F16 ? "f16" : "q8_0", a->kv.v_type == QUANT_F16 ? "f16" : "q8_0",
             (unsigned)a->kv.n_kv_heads, (unsigned)a->group, (unsigned)a->kv.d_head, (unsigned)a->position,
             (unsigned)a->n_tokens, (unsigned)a->kv.n_ctx, (unsigned)a->window, (unsigned)a->subgroup,
             (unsigned)a->shape.threads, (unsigned)a->shape.chunk, (unsigned)a->shape.heads);
    return text;
}

static attend_op op_of(const attention *a)
{
    return (attend_op){.label = "attend",
                       .kv = a->kv,
                       .n_heads = a->group * a->kv.n_kv_heads,
                       .n_tokens = a->max_tokens,
                       .max_positions = a->max_positions,
                       .window = a->window,
                       .scale = 1 / sqrtf((float)a->kv.d_head),
                       .shape = a->shape.threads ? &a->shape : NULL};
}

static const uint8_t untouched = 0x5A;

/* A head as int8 against what it should be: a scale is as good as its largest value, a value as good as that and half
 * a step. */
static void compare_rounded(const attention *a, const uint8_t *out, size_t at, const double *want, const double *bound)
{
    char text[200];
    const size_t d_q = (size_t)a->group * a->kv.n_kv_heads * a->kv.d_head;
    const gpu_rounded parts = gpu_rounded_in((gpu_slice){0}, d_q, a->max_tokens);
    for (uint32_t b = 0; b < a->kv.d_head; b += 16) {
        double most = 0, off = 0;
        float scale;
        memcpy(&scale, out + parts.d.offset + (at + b) / 16 * sizeof scale, sizeof scale);
        for (uint32_t i = b; i < b + 16; i++) {
            most = fmax(most, fabs(want[i]));
            off = fmax(off, bound[i]);
        }
        CHECK_MSG(fabs(127 * (double)scale - most) <= off + most * 0x1p-20, "%s: scale %g at %zu, not %g", describe(a, text),
                  (double)scale, at + b, most / 127);
        for (uint32_t i = b; i < b + 16; i++) {
            const double got = (double)scale * (int8_t)out[at + i];
            CHECK_MSG(fabs(got - want[i]) <= bound[i] + (double)scale * (0.5 + 127 * 0x1p-20), "%s: %g at %zu, not %g +- %g",
                      describe(a, text), got, at + i, want[i], bound[i] + (double)scale / 2);
        }
    }
}

/* Nothing is written of tokens beyond the pass's. */
static void check_beyond(const attention *a, const attend_op *op, const uint8_t *out)
{
    char text[200];
    const size_t d_q = (size_t)op->n_heads * a->kv.d_head;
    const gpu_rounded parts = gpu_rounded_in((gpu_slice){0}, d_q, a->max_tokens);
    for (size_t i = a->n_tokens * d_q; a->form == AS_INT8 && i < a->max_tokens * d_q; i++)
        CHECK_MSG(out[i] == untouched && out[parts.d.offset + i / 16 * 4] == untouched, "%s: written beyond the last token",
                  describe(a, text));
    for (size_t i = a->n_tokens * d_q; a->form != AS_INT8 && i < a->max_tokens * d_q; i++)
        CHECK_MSG(((const float *)(const void *)out)[i] == sentinel, "%s: written beyond the last token", describe(a, text));
}

/* Every value of out against the reference. */
static void compare(const attention *a, const attend_op *op, const oracle_cache *cache, const float *q,
                    const float *out, uint32_t rescales)
{
    char text[200];
    const uint32_t d = a->kv.d_head;
    double *want = must((size_t)d * 2 * sizeof *want), *scratch = must((size_t)a->kv.n_ctx * 2 * sizeof *scratch);
    for (uint32_t t = 0; t < a->n_tokens; t++)
        for (uint32_t h = 0; h < op->n_heads; h++) {
            const uint32_t last = a->position + t;
            const uint32_t first = a->window && last + 1 > a->window ? last + 1 - a->window : 0;
            const size_t at = ((size_t)t * op->n_heads + h) * d;
            oracle_attend(cache, h / a->group, q + at, first, last, op->scale, rescales, want, want + d, scratch);
            if (a->form == AS_INT8)
                compare_rounded(a, (const uint8_t *)out, at, want, want + d);
            for (uint32_t i = 0; a->form != AS_INT8 && i < d; i++)
                CHECK_MSG(fabs((double)out[at + i] - want[i]) <= want[d + i],
                          "%s: token %u head %u value %u: %g, not %g +- %g", describe(a, text), (unsigned)t,
                          (unsigned)h, (unsigned)i, (double)out[at + i], want[i], want[d + i]);
        }
    check_beyond(a, op, (const uint8_t *)out);
    free(want);
    free(scratch);
}

static void set_modes(device *d, const attention *a)
{
    d->r.modes = (gpu_modes){.subgroup = a->subgroup, .rolled = a->rolled};
}

/* The dispatches of a case as a section. */
static uint32_t record_attention(device *d, const attention *a, attend_op *op, const gpu_matrix *same)
{
    const uint64_t d_q = (uint64_t)op->n_heads * a->kv.d_head;
    const matvec_shape shape = {64, 4, 1, 1};
    const uint32_t section = recorder_section(&d->r);
    if (a->form == AS_INT8)
        op->rounded = gpu_rounded_in(op->out, d_q, op->n_tokens);
    op->leave_partials = a->form == BY_PRODUCT;
    op_attend(&d->r, op);
    if (a->form == BY_PRODUCT) {
        const matvec_op product = {.label = "product", .w = same, .merge = op, .epilogue = MATVEC_STORE, .out = op->out,
                                   .state = op->state, .shape = &shape};
        op_matvec(&d->r, &product);
    }
    recorder_section_end(&d->r);
    return section;
}

/* The matrix of n rows that changes nothing, in f32: its product is exact. */
static void open_same(device *d, gpu_matrix *out, uint32_t n)
{
    float *ones = must((size_t)n * n * sizeof *ones);
    for (uint32_t i = 0; i < n; i++)
        ones[(size_t)i * n + i] = 1;
    const graph_tensor tensor = {"same", ones, QUANT_F32, n, n, true};
    const matrix_source source = {.tensors = {&tensor}, .n_tensors = 1};
    ingle_error e;
    CHECK_MSG(matrix_open(out, &d->r, &source, &d->allocator, &e) == INGLE_OK, "%s", e.text);
    free(ones);
}

static void check_attention(device *d, const attention *a, uint64_t *random)
{
    char text[200];
    attend_op op = op_of(a);
    gpu_matrix same = {0};
    const size_t n = (size_t)op.n_tokens * op.n_heads * a->kv.d_head;
    const uint32_t state[4] = {a->position, a->n_tokens, 0, 0};
    const size_t bytes = a->form == AS_INT8 ? (size_t)gpu_rounded_bytes(n / op.n_tokens, op.n_tokens) : n * sizeof(float);
    float *q = random_floats(n, pick(random, 2) ? 1 : 8, random), *out = must(bytes);
    oracle_cache cache;
    oracle_cache_open(&cache, &a->kv, a->position + a->n_tokens, random);
    memset(out, untouched, bytes);
    for (size_t i = 0; a->form != AS_INT8 && i < n; i++)
        out[i] = sentinel;
    if (a->form == BY_PRODUCT)
        open_same(d, &same, (uint32_t)n);
    set_modes(d, a);
    op.state = filled(d, state, sizeof state);
    op.q = filled(d, q, n * sizeof *q);
    op.out = filled(d, out, bytes);
    op.k_cache = filled(d, cache.k_bytes, kv_k_bytes(&a->kv));
    op.v_cache = filled(d, cache.v_bytes, kv_v_bytes(&a->kv));
    if (attend_partial_bytes(&d->r, &op))
        op.partials = room(d, attend_partial_bytes(&d->r, &op));
    const uint32_t section = record_attention(d, a, &op, &same);
    const gpu_slice from = gpu_part(op.out, 0, bytes);
    if (run_and_read(d, section, &from, (void *[]){out}, 1, describe(a, text)))
        compare(a, &op, &cache, q, out, 2 + (a->position + a->n_tokens) / 64);
    oracle_cache_close(&cache);
    free(q);
    free(out);
    matrix_close(&same, &d->r);
    drop_buffers(d);
}

/* The i-th of many: numbers of heads and widths take turns, so that few cases see all of them. */
static attention some_attention(uint32_t i, uint64_t *random)
{
    static const uint32_t groups[] = {3, 1, 7, 2, 8}, heads[] = {64, 128, 96, 32, 256, 48, 80, 8, 40};
    attention a = {.group = groups[i % 5]};
    a.kv.n_kv_heads = 1 + pick(random, 3);
    a.kv.d_head = heads[i % 9];
    a.kv.k_type = a.kv.d_head % 32 == 0 && i % 4 >= 2 ? QUANT_Q8_0 : QUANT_F16;
    a.kv.v_type = a.kv.d_head % 32 == 0 && i % 2 == 1 ? QUANT_Q8_0 : QUANT_F16;
    a.window = i / 2 % 2 ? 0 : 1 + pick(random, 300);
    a.rolled = i % 3 > 0; // the others take software adapters long to compile
    return a;
}

/* A kernel is made once and run at several positions, as it takes seconds to compile on software adapters. */
static void check_positions(device *d, attention *a, const uint32_t *positions, size_t n, uint64_t *random)
{
    for (size_t i = 0; i < n; i++) {
        a->position = positions[i];
        if (a->position + a->n_tokens <= a->max_positions)
            check_attention(d, a, random);
    }
}

/* Positions where splits, windows and buckets begin and end, and any. */
static void check_single_tokens(device *d, attention *a, uint64_t *random)
{
    const attend_op op = op_of(a);
    set_modes(d, a);
    const uint32_t chunk = op.shape ? op.shape->chunk : attend_usual_shape(&d->r, &op).chunk;
    const uint32_t last = a->max_positions - a->n_tokens;
    const uint32_t positions[] = {0, 1, chunk - 1, chunk, a->window, a->window + 15, pick(random, last + 1), last};
    check_positions(d, a, positions, sizeof positions / sizeof *positions, random);
}

static void single_tokens(void)
{
    enum { CASES = 12 };
    device d;
    uint64_t random = 1;
    uint32_t modes[3];
    if (!open_device(&d, __func__))
        return;
    const uint32_t n_modes = subgroup_modes(&d, modes);
    for (uint32_t i = 0; i < CASES; i++) {
        attention a = some_attention(i, &random);
        a.max_tokens = i % 5 ? 1 : ATTEND_FEW;
        a.n_tokens = 1 + pick(&random, a.max_tokens);
        a.max_positions = 32u << pick(&random, 6);
        a.kv.n_ctx = a.max_positions + pick(&random, 40);
        a.subgroup = modes[i % n_modes];
        check_single_tokens(&d, &a, &random);
    }
    close_device(&d);
}

/* Shapes that are offered beside the usual one. */
static void other_shapes(void)
{
    device d;
    uint64_t random = 3;
    uint32_t modes[3], i = 0;
    if (!open_device(&d, __func__))
        return;
    const uint32_t n_modes = subgroup_modes(&d, modes);
    for (uint32_t d_head = 32; d_head <= 128; d_head *= 2) {
        attention a = {.group = 2, .kv = {QUANT_F16, QUANT_F16, 700, 2, d_head}, .max_positions = 700, .max_tokens = 1,
                       .n_tokens = 1};
        attend_shape shapes[ATTEND_SHAPES];
        a.subgroup = modes[i++ % n_modes];
        set_modes(&d, &a);
        const attend_op op = op_of(&a);
        const uint32_t n = attend_list_shapes(&d.r, &op, shapes);
        CHECK_MSG(n > 4, "%u shapes", (unsigned)n);
        for (uint32_t k = 1; k < n; k += 3 + pick(&random, 3)) {
            a.shape = shapes[k];
            a.rolled = k % 2 > 0;
            check_single_tokens(&d, &a, &random);
        }
    }
    close_device(&d);
}

/* Results as int8 and in parts: of one split and of several, heads of all kinds, several at a time; with more heads than
 * workgroup memory has room for at once. */
static void for_the_next_product(void)
{
    static const struct {
        attend_shape shape;
        uint32_t d_head, n_kv_heads, group, positions, tokens, window;
    } cases[] = {
        {{0, 0, 0}, 64, 1, 3, 64, 1, 0},          {{0, 0, 0}, 16, 2, 4, 32, ATTEND_FEW, 0},
        {{128, 64, 1}, 48, 2, 3, 300, 1, 0},      {{128, 64, 2}, 80, 2, 2, 64, 3, 40},
        {{128, 64, 8}, 256, 1, 8, 64, 1, 0},      {{64, 32, 2}, 96, 1, 2, 200, ATTEND_FEW, 70},
        {{64, 32, 1}, 32, 1, 5, 500, 1, 0},       {{128, 128, 1}, 112, 2, 1, 128, 2, 0},
    };
    device d;
    uint64_t random = 5;
    uint32_t modes[3], n_split = 0, n_product = 0;
    if (!open_device(&d, __func__))
        return;
    const uint32_t n_modes = subgroup_modes(&d, modes);
    for (uint32_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        attention a = {.kv = {QUANT_F16, QUANT_F16, cases[i].positions + 9, cases[i].n_kv_heads, cases[i].d_head},
                       .group = cases[i].group, .window = cases[i].window, .max_positions = cases[i].positions,
                       .max_tokens = cases[i].tokens, .n_tokens = 1 + cases[i].tokens / 2, .subgroup = modes[i % n_modes],
                       .rolled = true, .shape = cases[i].shape, .form = AS_INT8};
        const attend_op op = op_of(&a);
        set_modes(&d, &a);
        const bool split = attend_splits(&d.r, &op) > 1;
        const uint32_t last = a.max_positions - a.n_tokens, positions[] = {0, 33, last / 2, last};
        check_positions(&d, &a, positions, 4, &random);
        n_split += split;
        if (split && a.max_tokens == 1) {
            a.form = BY_PRODUCT;
            check_positions(&d, &a, positions, 4, &random);
            n_product++;
        }
    }
    CHECK(n_split >= 3 && n_product >= 2);
    close_device(&d);
}

static void many_tokens(void)
{
    enum { CASES = 9 };
    device d;
    uint64_t random = 2;
    if (!open_device(&d, __func__))
        return;
    for (uint32_t i = 0; i < CASES; i++) {
        static const uint32_t tokens[] = {1, 5, 64, 200, 0, 0};
        attention a = some_attention(i, &random);
        a.window = a.window % 130;
        a.max_tokens = 200;
        a.kv.n_ctx = a.max_positions = 400;
        for (size_t k = 0; k < sizeof tokens / sizeof *tokens; k++) {
            const uint32_t positions[] = {0, tokens[k] ? 63 : pick(&random, 200)};
            a.n_tokens = tokens[k] ? tokens[k] : 1 + pick(&random, a.max_tokens);
            check_positions(&d, &a, &positions[k % 2], 1, &random);
        }
    }
    close_device(&d);
}

/* ---- norm, rotation, the cache ---------------------------------------------------------------- */

typedef struct {
    kv_layout kv;
    uint32_t group, position, n_tokens, spare, n_rot;
    graph_rope_kind kind;
    bool norm_q, norm_k;
} rotation;

static const char *describe_rotation(const rotation *a, char text[200])
{
    snprintf(text, 200, "%s/%s, %u x %u heads of %u, %u + %u of %u positions, kind %d of %u, norms %d %d",
             a->kv.k_type == QUANT_F16 ? "f16" : "q8_0", a->kv.v_type == QUANT_F16 ? "f16" : "q8_0",
             (unsigned)a->kv.n_kv_heads, (unsigned)a->group, (unsigned)a->kv.d_head, (unsigned)a->position,
             (unsigned)a->n_tokens, (unsigned)a->kv.n_ctx, (int)a->kind, (unsigned)a->n_rot, a->norm_q, a->norm_k);
    return text;
}

/* One head x, normed by weight (NULL: not), turned, in pair order: y, and how far a kernel may be off. A norm's
 * sum of d squares is off by d u of itself, its root by half that, and 2 units of 2^-23 more; products and
 * sums of the rest: 8 u of what is added up. */
static void turn_head(const rotation *a, const float *x, const float *weight, float eps, const float *cos_sin,
                      double *y, double *bound)
{
    const uint32_t d = a->kv.d_head, pairs = a->kind == GRAPH_ROPE_NONE || !cos_sin ? 0 : a->n_rot / 2;
    const double u = 0x1p-24, off = (weight ? d / 2.0 + 8 : 0) * u + 8 * u;
    double square = 0, factor = 1;
    for (uint32_t i = 0; i < d; i++)
        square += (double)x[i] * (double)x[i];
    if (weight)
        factor = 1 / sqrt(square / d + (double)eps);
    for (uint32_t i = 0; i < d / 2; i++) {
        const bool halves = a->kind == GRAPH_ROPE_HALVES && i < pairs;
        const uint32_t at0 = halves ? i : 2 * i, at1 = halves ? i + pairs : 2 * i + 1;
        const double x0 = (double)x[at0] * factor * (weight ? (double)weight[at0] : 1);
        const double x1 = (double)x[at1] * factor * (weight ? (double)weight[at1] : 1);
        const double c = i < pairs ? (double)cos_sin[2 * i] : 1, s = i < pairs ? (double)cos_sin[2 * i + 1] : 0;
        y[2 * i] = x0 * c - x1 * s;
        y[2 * i + 1] = x0 * s + x1 * c;
        bound[2 * i] = off * (fabs(x0 * c) + fabs(x1 * s));
        bound[2 * i + 1] = off * (fabs(x0 * s) + fabs(x1 * c));
    }
}

/* What storing y may add to bound. f16: WGSL lets the rounding go either way, and takes what is below 2^-14
 * for 0 if it likes. q8_0: half a step of peak / 127, and the scale as a half. */
static void add_storage(uint32_t type, uint32_t d, const double *y, double *bound)
{
    for (uint32_t i = 0; i < d; i++) {
        if (type == QUANT_F16) {
            bound[i] += fmax(0x1p-10 * (fabs(y[i]) + bound[i]), 0x1p-14);
            continue;
        }
        double peak = 0;
        for (uint32_t j = i / 32 * 32; j < i / 32 * 32 + 32; j++)
            peak = fmax(peak, fabs(y[j]) + (j >= i ? bound[j] : 0));
        const double step = peak / 127;
        bound[i] += step / 2 + 0x1p-21 * fabs(y[i]) + (fabs(y[i]) + step / 2) * 0x1p-10 + 0x1p-23 * peak;
    }
}

typedef struct {
    rotation a;
    rope_kv_op op;
    float *q, *k, *v, *rope, *norms, *got_q;
    oracle_cache cache;       // as it is before
    uint8_t *got_k, *got_v;   // its bytes after
} rotation_run;

static void check_vector(const rotation_run *x, const char *what, const double *got, const double *want,
                         const double *bound)
{
    char text[200];
    for (uint32_t i = 0; i < x->a.kv.d_head; i++)
        CHECK_MSG(fabs(got[i] - want[i]) <= bound[i], "%s: %s value %u: %g, not %g +- %g",
                  describe_rotation(&x->a, text), what, (unsigned)i, got[i], want[i], bound[i]);
}

static void compare_queries(const rotation_run *x)
{
    const uint32_t d = x->a.kv.d_head, heads = x->op.n_heads;
    double got[KV_MAX_HEAD], want[KV_MAX_HEAD], bound[KV_MAX_HEAD];
    for (uint32_t t = 0; t < x->op.n_tokens; t++)
        for (uint32_t h = 0; h < heads; h++) {
            const float *from = x->q + ((size_t)t * heads + h) * d, *to = x->got_q + ((size_t)t * heads + h) * d;
            for (uint32_t i = 0; i < d; i++) {
                got[i] = (double)to[i];
                want[i] = (double)sentinel; // of tokens beyond the pass
                bound[i] = 0;
            }
            if (t < x->a.n_tokens)
                turn_head(&x->a, from, x->a.norm_q ? x->norms : NULL, x->op.norm_eps,
                          x->rope + (size_t)(x->a.position + t) * x->a.n_rot, want, bound);
            check_vector(x, "query", got, want, bound);
        }
}

/* after: the cache that was read back. Positions that are not the pass's must be as they were. */
static void compare_cache(const rotation_run *x, const oracle_cache *after)
{
    const uint32_t d = x->a.kv.d_head, heads = x->a.kv.n_kv_heads, n_ctx = x->a.kv.n_ctx;
    double want[KV_MAX_HEAD], bound[KV_MAX_HEAD];
    for (uint32_t h = 0; h < heads; h++)
        for (uint32_t p = 0; p < n_ctx; p++) {
            const size_t at = ((size_t)h * n_ctx + p) * d;
            const bool inside = p >= x->a.position && p < x->a.position + x->a.n_tokens;
            const size_t from = ((size_t)(p - x->a.position) * heads + h) * d;
            if (!inside) {
                memset(bound, 0, sizeof bound);
                check_vector(x, "another key", after->k + at, x->cache.k + at, bound);
                check_vector(x, "another value", after->v + at, x->cache.v + at, bound);
                continue;
            }
            turn_head(&x->a, x->k + from, x->a.norm_k ? x->norms + d : NULL, x->op.norm_eps,
                      x->rope + (size_t)p * x->a.n_rot, want, bound);
            add_storage(x->a.kv.k_type, d, want, bound);
            check_vector(x, "key", after->k + at, want, bound);
            for (uint32_t i = 0; i < d; i++) {
                want[i] = (double)x->v[from + i];
                bound[i] = 0;
            }
            add_storage(x->a.kv.v_type, d, want, bound);
            check_vector(x, "value", after->v + at, want, bound);
        }
}

static void make_rotation(rotation_run *x, uint64_t *random)
{
    const uint32_t d_head = x->a.kv.d_head, heads = x->a.group * x->a.kv.n_kv_heads, most = x->a.n_tokens + x->a.spare;
    const size_t n_q = (size_t)most * heads * d_head, n_k = (size_t)most * x->a.kv.n_kv_heads * d_head;
    x->q = random_floats(n_q, 3, random);
    x->k = random_floats(n_k, 3, random);
    x->v = random_floats(n_k, 3, random);
    x->rope = random_floats((size_t)x->a.kv.n_ctx * x->a.n_rot, 1, random); // any numbers do for cosines and sines
    x->norms = random_floats(2 * (size_t)d_head, 2, random);
    x->got_q = must(n_q * sizeof *x->got_q);
    x->got_k = must((size_t)kv_k_bytes(&x->a.kv));
    x->got_v = must((size_t)kv_v_bytes(&x->a.kv));
    oracle_cache_open(&x->cache, &x->a.kv, x->a.kv.n_ctx, random);
    x->op = (rope_kv_op){.label = "rope kv", .kv = x->a.kv, .n_heads = heads, .n_tokens = most, .kind = x->a.kind,
                         .n_rot = x->a.n_rot, .norm_q = x->a.norm_q, .norm_k = x->a.norm_k, .norm_eps = 0.25f};
}

static void free_rotation(rotation_run *x)
{
    void *const all[] = {x->q, x->k, x->v, x->rope, x->norms, x->got_q, x->got_k, x->got_v};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    oracle_cache_close(&x->cache);
}

/* A token's q, k and v side by side. */
static float *place_inputs(device *d, rotation_run *x)
{
    const uint32_t kv = x->a.kv.n_kv_heads * x->a.kv.d_head, q = kv * x->a.group, n = x->op.n_tokens;
    float *rows = must((size_t)n * (q + 2 * kv) * sizeof *rows);
    for (uint32_t t = 0; t < n; t++) {
        float *row = rows + (size_t)t * (q + 2 * kv);
        memcpy(row, x->q + (size_t)t * q, q * 4);
        memcpy(row + q, x->k + (size_t)t * kv, kv * 4);
        memcpy(row + q + kv, x->v + (size_t)t * kv, kv * 4);
    }
    x->op.qkv = filled(d, rows, (uint64_t)n * (q + 2 * kv) * 4);
    return rows;
}

/* Compares what the device left in x->got_q, got_k and got_v. */
static void compare_rotation(rotation_run *x)
{
    const size_t values = (size_t)x->a.kv.n_kv_heads * x->a.kv.n_ctx * x->a.kv.d_head * sizeof(double);
    oracle_cache after = x->cache;
    after.k_bytes = x->got_k;
    after.v_bytes = x->got_v;
    after.k = must(values);
    after.v = must(values);
    oracle_cache_decode(&after);
    compare_queries(x);
    compare_cache(x, &after);
    free(after.k);
    free(after.v);
}

static void check_rotation(device *d, const rotation *a, uint64_t *random)
{
    char text[200];
    rotation_run x = {.a = *a};
    make_rotation(&x, random);
    const uint32_t state[4] = {a->position, a->n_tokens, 0, 0};
    const size_t n_q = (size_t)x.op.n_tokens * x.op.n_heads * a->kv.d_head;
    float *rows = place_inputs(d, &x);
    for (size_t i = 0; i < n_q; i++)
        x.got_q[i] = sentinel;
    x.op.state = filled(d, state, sizeof state);
    x.op.out = filled(d, x.got_q, n_q * 4);
    if (a->kind != GRAPH_ROPE_NONE)
        x.op.rope = filled(d, x.rope, (uint64_t)a->kv.n_ctx * a->n_rot * 4);
    if (a->norm_q || a->norm_k)
        x.op.norms = filled(d, x.norms, (uint64_t)a->kv.d_head * 8);
    x.op.k_cache = filled(d, x.cache.k_bytes, kv_k_bytes(&a->kv));
    x.op.v_cache = filled(d, x.cache.v_bytes, kv_v_bytes(&a->kv));
    const uint32_t section = recorder_section(&d->r);
    op_rope_kv(&d->r, &x.op);
    recorder_section_end(&d->r);
    const gpu_slice from[] = {gpu_part(x.op.out, 0, n_q * 4), gpu_part(x.op.k_cache, 0, kv_k_bytes(&a->kv)),
                              gpu_part(x.op.v_cache, 0, kv_v_bytes(&a->kv))};
    if (run_and_read(d, section, from, (void *[]){x.got_q, x.got_k, x.got_v}, 3, describe_rotation(a, text)))
        compare_rotation(&x);
    free(rows);
    free_rotation(&x);
    drop_buffers(d);
}

static void norm_rotation_and_cache(void)
{
    enum { CASES = 18 };
    static const graph_rope_kind kinds[] = {GRAPH_ROPE_HALVES, GRAPH_ROPE_PAIRS, GRAPH_ROPE_NONE};
    device d;
    uint64_t random = 4;
    if (!open_device(&d, __func__))
        return;
    for (uint32_t i = 0; i < CASES; i++) {
        const attention like = some_attention(i, &random);
        rotation a = {.kv = like.kv, .group = like.group, .kind = kinds[i % 3]};
        a.n_tokens = pick(&random, 2) ? 1 : 1 + pick(&random, 20);
        a.spare = pick(&random, 3);
        a.position = pick(&random, 3) ? pick(&random, 60) : 0;
        a.n_rot = pick(&random, 2) ? a.kv.d_head : a.kv.d_head / 4 * 2;
        a.norm_q = pick(&random, 2) == 1;
        a.norm_k = pick(&random, 3) ? a.norm_q : !a.norm_q;
        a.kv.n_ctx = a.position + a.n_tokens + pick(&random, 30);
        check_rotation(&d, &a, &random);
    }
    close_device(&d);
}

/* ---- the cache written in pairs, as by products ----------------------------------------------- */

/* Key and value of (head, position, pair), as numbers that say which they are. */
static const char pairs_kernel[] =
    "@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {\n"
    "let pair = id.x % (D_HEAD / 2u); let head = id.x / (D_HEAD / 2u);\n"
    "if (head >= HEADS || id.y >= N_CTX) { return; }\n"
    "let x = vec2<f32>(f32(head * 512u + 2u * pair), f32(head * 512u + 2u * pair + 1u));\n"
    "write_k(head, id.y, pair, x + f32(id.y) / 16.0); write_v(head, id.y, pair, -x - f32(id.y) / 16.0); }\n";

static void pairs(void)
{
    const kv_layout l = {QUANT_F16, QUANT_F16, 10, 3, 40};
    device d;
    shader s;
    if (!open_device(&d, __func__))
        return;
    shader_init(&s, &d.allocator);
    shader_u32(&s, "D_HEAD", l.d_head);
    shader_u32(&s, "N_CTX", l.n_ctx);
    shader_u32(&s, "HEADS", l.n_kv_heads);
    shader_part(&s, "kv_write_f16");
    shader_code(&s, pairs_kernel);
    const gpu_slice k = room(&d, kv_k_bytes(&l)), v = room(&d, kv_v_bytes(&l));
    const gpu_bind binds[] = {{"kc", k}, {"vc", v}};
    const uint32_t kernel = recorder_kernel_of(&d.r, &s, "pairs"), section = recorder_section(&d.r);
    recorder_dispatch(&d.r, kernel, binds, 2, 1, l.n_ctx, 1);
    recorder_section_end(&d.r);
    uint64_t random = 5;
    oracle_cache c;
    oracle_cache_open(&c, &l, l.n_ctx, &random);
    const gpu_slice from[] = {gpu_part(k, 0, kv_k_bytes(&l)), gpu_part(v, 0, kv_v_bytes(&l))};
    if (run_and_read(&d, section, from, (void *[]){c.k_bytes, c.v_bytes}, 2, "pairs")) {
        oracle_cache_decode(&c);
        for (uint32_t h = 0; h < l.n_kv_heads; h++)
            for (uint32_t p = 0; p < l.n_ctx; p++)
                for (uint32_t i = 0; i < l.d_head; i++) {
                    const double want = h * 512 + i + p / 16.0, slack = want * 0x1p-10;
                    const size_t at = ((size_t)h * l.n_ctx + p) * l.d_head + i;
                    CHECK_MSG(fabs(c.k[at] - want) <= slack && fabs(c.v[at] + want) <= slack,
                              "%u %u %u: key %g, value %g, not +-%g", (unsigned)h, (unsigned)p, (unsigned)i,
                              c.k[at], c.v[at], want);
                }
    }
    oracle_cache_close(&c);
    drop_buffers(&d);
    close_device(&d);
}

/* ---- without a device ------------------------------------------------------------------------- */

static void layouts(void)
{
    ingle_error e;
    kv_layout l = {QUANT_F16, QUANT_Q8_0, 100, 2, 96};
    CHECK(kv_check(&l, &e) == INGLE_OK);
    CHECK(kv_k_bytes(&l) == 2 * 100 * 96 * 2);
    CHECK(kv_v_bytes(&l) == 2 * 100 * (96 + 2 * 4)); // two words of scales, half of one unused
    l.n_ctx = 33;
    l.n_kv_heads = 1;
    l.d_head = 64;
    CHECK(kv_v_bytes(&l) == 33 * 64 + 34 * 4); // scales are read in twos
    static const kv_layout wrong[] = {
        {QUANT_Q4_0, QUANT_F16, 8, 1, 64},  {QUANT_F16, QUANT_F32, 8, 1, 64},    {QUANT_F16, QUANT_F16, 8, 1, 36},
        {QUANT_F16, QUANT_Q8_0, 8, 1, 40},  {QUANT_F16, QUANT_F16, 8, 1, 0},     {QUANT_F16, QUANT_F16, 8, 1, 264},
        {QUANT_F16, QUANT_F16, 1u << 25, 2, 64},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_MSG(kv_check(&wrong[i], &e) == INGLE_ERR_UNSUPPORTED && *e.text, "%zu", i);
}

/* The usual shape fits small devices and large ones, at any context. */
static void shapes_fit(void)
{
    static const gpu_limits devices[] = {
        {.max_workgroup_memory = 16384, .max_workgroup_threads = 128},
        {.max_workgroup_memory = 16384, .max_workgroup_threads = 256, .subgroup_min = 4, .subgroup_max = 4},
        {.max_workgroup_memory = 49152, .max_workgroup_threads = 1024, .subgroup_min = 32, .subgroup_max = 32},
    };
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
        for (uint32_t d_head = 8; d_head <= 256; d_head += 8)
            for (uint32_t positions = 1; positions <= 1u << 17; positions *= 2) {
                gpu_player p = {.limits = devices[i]};
                recorder r = {.player = &p, .modes = {.subgroup = devices[i].subgroup_min, .rolled = i == 0}};
                const attend_op op = {.kv = {QUANT_F16, QUANT_F16, 1u << 17, 2, d_head}, .n_heads = 6, .n_tokens = 1,
                                      .max_positions = positions};
                attend_shape shapes[ATTEND_SHAPES];
                const uint32_t n = attend_list_shapes(&r, &op, shapes);
                for (uint32_t k = 0; k < n; k++) {
                    const attend_shape s = shapes[k];
                    const uint64_t loads = (uint64_t)s.chunk * (d_head / 8) / s.threads;
                    CHECK_MSG(s.threads <= devices[i].max_workgroup_threads && s.threads >= d_head / 8 &&
                                  3 % s.heads == 0,
                              "device %zu, heads of %u: shape %u %u %u", i, (unsigned)d_head, (unsigned)s.threads,
                              (unsigned)s.chunk, (unsigned)s.heads);
                    CHECK_MSG(loads <= 16, "device %zu, heads of %u: shape %u %u: %u loads a thread", i,
                              (unsigned)d_head, (unsigned)s.threads, (unsigned)s.chunk, (unsigned)loads);
                    attend_op shaped = op;
                    shaped.shape = &shapes[k];
                    const uint64_t splits = attend_splits(&r, &shaped);
                    CHECK(splits * s.chunk >= positions && (splits - 1) * s.chunk < positions);
                    CHECK(attend_partial_bytes(&r, &shaped) == (splits > 1 ? 6 * splits * (d_head + 4) * 4 : 0));
                }
            }
}

int run_tests(int argc, char **argv);

#define main run_tests
TESTS(T(layouts) T(shapes_fit) T(pairs) T(norm_rotation_and_cache) T(single_tokens) T(other_shapes) T(for_the_next_product)
      T(many_tokens))
#undef main

int main(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "bench") == 0 ? attend_bench() : run_tests(argc, argv);
}
