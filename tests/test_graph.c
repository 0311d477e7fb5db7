/* The graph: what its printer shows, that its memory plan keeps living values apart, that its checks
 * name what does not fit, and that the CPU computes the steps that no family of today has. */
#include "harness.h"

#include <math.h>

#include "cpu/cpu.h"
#include "cpu/kernels.h"
#include "graph/graph.h"
#include "model/model.h"
#include "oracle_decoder.h"
#include "cpu_paths.h"
#include "support.h"
#include "tiny_model.h"

/* ---- the printer ------------------------------------------------------------------------------ */

/* tests/golden/stories260K.graph.txt is what a person should read for this model; a change of the
 * graph or of the printer is a change of that file, to be looked at. */
static void a_known_model_prints_as_it_should(void)
{
    const char *path = test_find_model("stories260K.gguf");
    size_t n;
    char *want = test_read_file("tests/golden/stories260K.graph.txt", &n);
    if (!path || !want) {
        SKIP("models/stories260K.gguf or its golden text is not there");
        free(want);
        return;
    }
    ingle_model *m = NULL;
    ingle_error err;
    ingle_text text = {0};
    CHECK_MSG(ingle_model_open(&m, path, NULL, &err) == INGLE_OK, "%s", err.text);
    if (m) {
        CHECK(ingle_model_print_graph(m, &text, &err) == INGLE_OK && text.n == strlen(text.bytes));
        CHECK_TEXT(text.bytes, want);
    }
    ingle_text_free(&text);
    ingle_model_close(m);
    free(want);
}

static bool prints(const tiny_shape *shape, const char *what)
{
    char *file;
    ingle_text text = {0};
    ingle_model *m = tiny_model_open(shape, &file);
    CHECK(graph_print(&m->graph, &text));
    const bool found = text.bytes && strstr(text.bytes, what);
    if (!found)
        printf("%s is not in:\n%s", what, text.bytes);
    ingle_text_free(&text);
    ingle_model_close(m);
    free(file);
    return found;
}

static void options_show(void)
{
    const tiny_shape shape = {"llama",
                              1,
                              4,
                              2,
                              64,
                              0,
                              96,
                              TINY_VOCAB,
                              64,
                              .format = QUANT_Q4_0,
                              .qkv_bias = true,
                              .window = 7,
                              .tied = true,
                              .n_rot = 12};
    CHECK(prints(&shape, "blk.0.attn_q.weight(Q4_0 64x64) blk.0.attn_q.bias(F32 1x64) -> q[64]"));
    CHECK(prints(&shape, "window 7"));
    CHECK(prints(&shape, "rope pairs 12"));
    CHECK(prints(&shape, "silu(gate)*up"));
    CHECK(prints(&shape, "token_embd.weight(Q4_0 320x64) -> logits[320]"));
}

/* A model that cannot run has no graph to show; it says why. */
static void refusals_are_shown_instead(void)
{
    const tiny_shape shape = {"abacus", 1, 1, 1, 32, 0, 32, TINY_VOCAB, 64, .seed = 1};
    char *file;
    ingle_text text = {0};
    ingle_error err;
    ingle_model *m = tiny_model_open(&shape, &file);
    CHECK(ingle_model_print_graph(m, &text, &err) == INGLE_ERR_UNSUPPORTED && text.n == 0);
    CHECK(strstr(err.text, "abacus") && ingle_model_print_graph(m, &text, NULL) == err.status);
    ingle_model_close(m);
    free(file);
}

/* Layers use the same memory again: the plan does not grow with them. */
static void plans_do_not_grow_with_layers(void)
{
    uint64_t width[2];
    for (uint32_t i = 0; i < 2; i++) {
        const tiny_shape shape = {"llama", i ? 9 : 1, 2, 1, 32, 0, 80, TINY_VOCAB, 64, .seed = 1};
        char *file;
        ingle_model *m = tiny_model_open(&shape, &file);
        width[i] = m->graph.plan_width;
        ingle_model_close(m);
        free(file);
    }
    // x and hidden [80] in the feed-forward; while attending three of 32, as heads take k's and v's.
    CHECK(width[0] == width[1] && width[0] == 32 + 80);
}

/* ---- random graphs ---------------------------------------------------------------------------- */

enum { MAX_VALUES = 400, VOCAB = 50 };

typedef struct {
    graph g;
    uint64_t seed;
    // Found while building, apart from the plan: which op touches a value first and last.
    int first[MAX_VALUES], last[MAX_VALUES];
    uint32_t width[MAX_VALUES];
    int n_values, n_ops;
} built;

static uint32_t pick(built *b, uint32_t n)
{
    return (uint32_t)(test_random(&b->seed) % n);
}

static graph_value new_value(built *b)
{
    const uint32_t width = 1 + pick(b, 40);
    b->width[b->n_values] = width;
    b->first[b->n_values] = -1;
    b->n_values++;
    return graph_add_value(&b->g, "v", width);
}

static void touch(built *b, graph_value v)
{
    if (b->first[v] < 0)
        b->first[v] = b->n_ops;
    b->last[v] = b->n_ops;
}

static graph_weight matrix(built *b, uint32_t rows, uint32_t cols)
{
    static const float nothing[1];
    return graph_add_tensor(&b->g, &(graph_tensor){"w", nothing, QUANT_F32, rows, cols, false});
}

static graph_norm norm_of(built *b, graph_value v)
{
    return (graph_norm){GRAPH_NORM_RMS, matrix(b, 1, b->width[v]), GRAPH_NONE, 1e-5f};
}

/* A value that has been written; mostly a recent one. */
static graph_value old_value(built *b)
{
    const uint32_t reach = pick(b, 4) ? 4 : (uint32_t)b->n_values;
    const uint32_t n = (uint32_t)b->n_values;
    return (graph_value)(n - 1 - pick(b, reach < n ? reach : n));
}

static void random_linear(built *b)
{
    const graph_value in = old_value(b);
    graph_linear l = {.in = in,
                      .n_out = 1 + pick(b, 3),
                      .weight = {-1, -1, -1},
                      .bias = {-1, -1, -1},
                      .out = {-1, -1, -1}};
    if (pick(b, 2))
        l.norm = norm_of(b, in);
    l.epilogue = l.n_out == 2 && pick(b, 2) ? GRAPH_GATE_SILU : GRAPH_STORE;
    const graph_value onto = old_value(b);
    if (l.n_out == 1 && onto != in && pick(b, 2))
        l.epilogue = GRAPH_ADD;
    touch(b, in);
    for (uint32_t i = 0; i < l.n_out; i++) {
        if (i == 0 || l.epilogue != GRAPH_GATE_SILU) {
            l.out[i] = l.epilogue == GRAPH_ADD ? onto : new_value(b);
            touch(b, l.out[i]);
        }
        const uint32_t rows = b->width[l.out[l.epilogue == GRAPH_GATE_SILU ? 0 : i]];
        l.weight[i] = matrix(b, rows, b->width[in]);
        if (pick(b, 3) == 0)
            l.bias[i] = matrix(b, 1, rows);
    }
    graph_add_op(&b->g, GRAPH_LINEAR, "linear", (uint32_t)b->n_ops)->u.linear = l;
    b->n_ops++;
}

static void random_norm(built *b)
{
    const graph_value in = old_value(b);
    touch(b, in);
    b->width[b->n_values] = b->width[in];
    b->first[b->n_values] = -1;
    const graph_value out = graph_add_value(&b->g, "n", b->width[in]);
    b->n_values++;
    touch(b, out);
    graph_add_op(&b->g, GRAPH_NORM, "norm", (uint32_t)b->n_ops)->u.norm =
        (graph_norm_op){norm_of(b, in), in, out};
    b->n_ops++;
}

static void build(built *b, uint64_t seed, const ingle_allocator *a)
{
    memset(b, 0, sizeof *b);
    b->seed = seed;
    graph_init(&b->g, &(graph_sizes){1, 1, 1, 8, 8, 8, VOCAB}, a);
    const graph_value x = new_value(b);
    touch(b, x);
    graph_add_op(&b->g, GRAPH_EMBED, "embed", GRAPH_NO_LAYER)->u.embed =
        (graph_embed){matrix(b, VOCAB, b->width[x]), x, 1};
    b->n_ops++;
    const uint32_t n = 1 + pick(b, 60);
    for (uint32_t i = 0; i < n && b->g.status == INGLE_OK; i++) {
        if (pick(b, 4))
            random_linear(b);
        else
            random_norm(b);
    }
    const graph_value in = old_value(b);
    touch(b, in);
    const graph_norm norm = norm_of(b, in);
    graph_add_head(&b->g, &norm, in, matrix(b, VOCAB, b->width[in]));
}

static void living_values_never_share_memory(void)
{
    static built b;
    uint64_t saved = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        ingle_error err;
        build(&b, seed, &(ingle_allocator){0});
        CHECK_MSG(graph_finish(&b.g, &err) == INGLE_OK, "%s", err.text);
        uint64_t end = 0, all = 0;
        for (int i = 0; i < b.n_values; i++) {
            const graph_value_info *v = &b.g.values[i];
            if (b.first[i] < 0)
                continue;
            CHECK(v->first == b.first[i] && v->last == b.last[i] && v->width == b.width[i]);
            end = v->offset + v->width > end ? v->offset + v->width : end;
            all += v->width;
            for (int j = 0; j < i; j++) {
                const graph_value_info *w = &b.g.values[j];
                const bool together =
                    b.first[j] >= 0 && b.first[i] <= b.last[j] && b.first[j] <= b.last[i];
                const bool shared =
                    v->offset < w->offset + w->width && w->offset < v->offset + v->width;
                CHECK_MSG(!together || !shared, "graph %d: values %d and %d", (int)seed, i, j);
            }
        }
        CHECK(b.g.plan_width == end && end <= all);
        saved += all - end;
        graph_free(&b.g);
    }
    CHECK(saved > 10000); // and it is worth having
}

/* ---- checks ----------------------------------------------------------------------------------- */

/* One op of each kind with everything in place, ready to be broken. Heads: 2 of 4, one KV head. */
typedef struct {
    graph g;
    graph_op *embed, *norm, *qkv, *rope, *attend, *gate, *head;
} fitting;

static graph_weight weight(graph *g, uint64_t rows, uint64_t cols)
{
    return graph_add_tensor(g, &(graph_tensor){"w", NULL, QUANT_F32, rows, cols, false});
}

static void make_fitting(fitting *f)
{
    graph *g = &f->g;
    graph_init(g, &(graph_sizes){1, 2, 1, 6, 4, 5, VOCAB}, &(ingle_allocator){0});
    const graph_value x = graph_add_value(g, "x", 6), n = graph_add_value(g, "n", 6);
    const graph_value q = graph_add_value(g, "q", 8), k = graph_add_value(g, "k", 4);
    const graph_value v = graph_add_value(g, "v", 4), heads = graph_add_value(g, "heads", 8);
    const graph_value hidden = graph_add_value(g, "hidden", 5);
    const graph_norm norm = {GRAPH_NORM_LAYER, weight(g, 1, 6), weight(g, 1, 6), 1e-5f};
    const graph_weight none = GRAPH_NONE;
    graph_add_op(g, GRAPH_EMBED, "embed", GRAPH_NO_LAYER)->u.embed =
        (graph_embed){weight(g, VOCAB, 6), x, 2};
    graph_add_op(g, GRAPH_NORM, "norm", 0)->u.norm = (graph_norm_op){norm, x, n};
    graph_add_op(g, GRAPH_LINEAR, "qkv", 0)->u.linear =
        (graph_linear){.in = n,
                       .n_out = 3,
                       .out = {q, k, v},
                       .weight = {weight(g, 8, 6), weight(g, 4, 6), weight(g, 4, 6)},
                       .bias = {weight(g, 1, 8), none, weight(g, 1, 4)}};
    graph_add_op(g, GRAPH_ROPE_KV, "rope", 0)->u.rope_kv = (graph_rope_kv){
        q, k, v, weight(g, 1, 4), weight(g, 1, 4), 1e-6f, {GRAPH_ROPE_HALVES, 4, NULL, 1}, 0};
    graph_add_op(g, GRAPH_ATTEND, "attend", 0)->u.attend = (graph_attend){q, heads, 0, 0.5f, 0};
    graph_add_op(g, GRAPH_LINEAR, "gate", 0)->u.linear =
        (graph_linear){.in = heads,
                       .n_out = 2,
                       .out = {hidden, none, none},
                       .weight = {weight(g, 5, 8), weight(g, 5, 8), none},
                       .bias = {none, none, none},
                       .epilogue = GRAPH_GATE_GELU};
    const graph_norm last = {GRAPH_NORM_RMS, weight(g, 1, 5), none, 1e-5f};
    graph_add_head(g, &last, hidden, weight(g, VOCAB, 5));
    graph_op **ops[] = {&f->embed, &f->norm, &f->qkv, &f->rope, &f->attend, &f->gate, &f->head};
    for (size_t i = 0; i < 7; i++)
        *ops[i] = &g->ops[i];
}

static void check_refusal(fitting *f, const char *label)
{
    ingle_error err;
    CHECK_MSG(graph_finish(&f->g, &err) == INGLE_ERR_INTERNAL, "%s", label);
    CHECK_MSG(strstr(err.text, label), "%s: %s", label, err.text);
    graph_free(&f->g);
}

static void what_fits_is_taken_and_printed(void)
{
    fitting f;
    ingle_error err;
    ingle_text text = {0};
    make_fitting(&f);
    CHECK_MSG(graph_finish(&f.g, &err) == INGLE_OK, "%s", err.text);
    CHECK(f.g.in_width == 8 && f.g.hidden == 6);
    CHECK(graph_print(&f.g, &text));
    CHECK(strstr(text.bytes, "layernorm eps 1e-05") && strstr(text.bytes, "gelu(gate)*up") &&
          strstr(text.bytes, "scale 2") && strstr(text.bytes, "rope halves 4"));
    graph_value used[GRAPH_MAX_OPERANDS];
    CHECK(graph_operands(f.qkv, used) == 4 && used[0] == 1 && used[3] == 4);
    CHECK(graph_operands(f.gate, used) == 2 && graph_operands(f.rope, used) == 3);
    CHECK(graph_operands(f.attend, used) == 2 && graph_operands(f.norm, used) == 2);
    CHECK(graph_operands(f.embed, used) == 1);
    ingle_text_free(&text);
    graph_free(&f.g);
}

static void what_does_not_fit_is_named(void)
{
#define BROKEN(label, ...)                                                                         \
    do {                                                                                           \
        fitting f;                                                                                 \
        make_fitting(&f);                                                                          \
        __VA_ARGS__;                                                                               \
        check_refusal(&f, label);                                                                  \
    } while (0)
    BROKEN("embed", f.embed->u.embed.out = 2);
    BROKEN("embed", f.embed->u.embed.table = GRAPH_NONE);
    BROKEN("layer 0 norm", f.norm->u.norm.out = 2);
    BROKEN("layer 0 norm", f.norm->u.norm.norm.weight = GRAPH_NONE);
    BROKEN("layer 0 norm", f.norm->u.norm.norm.bias = 2); // the embedding's table
    BROKEN("layer 0 qkv", f.qkv->u.linear.in = 2);
    BROKEN("layer 0 qkv", f.qkv->u.linear.out[2] = 2);
    BROKEN("layer 0 qkv", f.qkv->u.linear.out[1] = GRAPH_NONE);
    BROKEN("layer 0 qkv", f.qkv->u.linear.weight[1] = f.qkv->u.linear.weight[0]);
    BROKEN("layer 0 qkv", f.qkv->u.linear.bias[2] = f.qkv->u.linear.bias[0]);
    BROKEN("layer 0 qkv", f.qkv->u.linear.n_out = 0);
    BROKEN("layer 0 qkv", f.qkv->u.linear.n_out = 4);
    BROKEN("layer 0 qkv", f.qkv->u.linear.epilogue = GRAPH_GATE_SILU);
    BROKEN("layer 0 qkv", f.qkv->u.linear.out[0] = 1,
           f.qkv->u.linear.weight[0] = weight(&f.g, 6, 6));
    BROKEN("layer 0 rope", f.rope->u.rope_kv.q = 3);
    BROKEN("layer 0 rope", f.rope->u.rope_kv.v = 2);
    BROKEN("layer 0 rope", f.rope->u.rope_kv.k_norm = 0);
    BROKEN("layer 0 rope", f.rope->u.rope_kv.rope.n_rot = 6);
    BROKEN("layer 0 rope", f.rope->u.rope_kv.rope.n_rot = 3);
    BROKEN("layer 0 rope", f.rope->u.rope_kv.layer = 1);
    BROKEN("layer 0 attend", f.attend->u.attend.out = 0);
    BROKEN("layer 0 attend", f.attend->u.attend.layer = 7);
    BROKEN("layer 0 gate", f.gate->u.linear.weight[1] = f.head->u.linear.weight[0]);
    BROKEN("head", f.head->u.linear.norm.weight = 0);
    BROKEN("head", f.head->u.linear.out[0] = 0);
    BROKEN("head", f.g.n_ops--);
    BROKEN("head", f.g.n_ops = 0);
    BROKEN("head", f.g.hidden = GRAPH_NONE);
#undef BROKEN
}

/* ---- run on the CPU --------------------------------------------------------------------------- */

#define U 0x1p-24 // half a unit in the last place of a float

enum { WIDTH = 24, HIDDEN = 30 };

static graph_weight random_tensor(graph *g, uint64_t rows, uint64_t cols, float *values,
                                  uint64_t *seed)
{
    for (size_t i = 0; i < rows * cols; i++)
        values[i] = test_random_float(seed) * 2;
    return graph_add_tensor(g, &(graph_tensor){"w", values, QUANT_F32, rows, cols, false});
}

/* The steps that no family of today is made of: an embedding with a scale, a norm that stands
 * alone, a gate with biases and GELU. Against the same written out in doubles. */
static void steps_of_other_families(void)
{
    static float table[VOCAB * WIDTH], w[WIDTH], b[WIDTH], gate[HIDDEN * WIDTH], up[HIDDEN * WIDTH];
    static float gate_b[HIDDEN], up_b[HIDDEN], head[VOCAB * HIDDEN];
    uint64_t seed = 9;
    graph g;
    ingle_error err;
    graph_init(&g, &(graph_sizes){1, 1, 1, WIDTH, WIDTH, HIDDEN, VOCAB}, &(ingle_allocator){0});
    const graph_value x = graph_add_value(&g, "x", WIDTH), n = graph_add_value(&g, "n", WIDTH);
    const graph_value h = graph_add_value(&g, "h", HIDDEN);
    graph_add_op(&g, GRAPH_EMBED, "embed", GRAPH_NO_LAYER)->u.embed =
        (graph_embed){random_tensor(&g, VOCAB, WIDTH, table, &seed), x, 1.5f};
    const graph_norm norm = {GRAPH_NORM_LAYER, random_tensor(&g, 1, WIDTH, w, &seed),
                             random_tensor(&g, 1, WIDTH, b, &seed), 1e-3f};
    graph_add_op(&g, GRAPH_NORM, "norm", 0)->u.norm = (graph_norm_op){norm, x, n};
    graph_add_op(&g, GRAPH_LINEAR, "gate", 0)->u.linear =
        (graph_linear){.in = n,
                       .n_out = 2,
                       .out = {h, GRAPH_NONE, GRAPH_NONE},
                       .epilogue = GRAPH_GATE_GELU,
                       .weight = {random_tensor(&g, HIDDEN, WIDTH, gate, &seed),
                                  random_tensor(&g, HIDDEN, WIDTH, up, &seed)},
                       .bias = {random_tensor(&g, 1, HIDDEN, gate_b, &seed),
                                random_tensor(&g, 1, HIDDEN, up_b, &seed)}};
    graph_add_head(&g, &(graph_norm){0}, h, random_tensor(&g, VOCAB, HIDDEN, head, &seed));
    CHECK_MSG(graph_finish(&g, &err) == INGLE_OK, "%s", err.text);
    const int32_t ids[] = {3, 0, VOCAB - 1};
    for (size_t path = 0; path < N_PATHS; path++)
        for (uint32_t threads = 1; threads <= 3; threads += 2) {
            cpu *c = NULL;
            const cpu_options opt = {8, 3, threads, QUANT_F16, QUANT_F16, paths[path], CPU_SHARED};
            cpu_shared *shared = NULL;
            CHECK_MSG(cpu_open(&c, &g, &opt, &shared, &(ingle_allocator){0}, &err) == INGLE_OK, "%s",
                      err.text);
            if (!c)
                return;
            CHECK_TEXT(cpu_path(c), paths[path]);
            CHECK(cpu_threads(c) == threads);
            cpu_run(c, ids, 3, 0);
            const float *logits = cpu_head(c, 0, 3);
            for (size_t t = 0; t < 3; t++) {
                double in[WIDTH], mean = 0, square = 0, out[HIDDEN];
                for (size_t i = 0; i < WIDTH; i++) {
                    in[i] = 1.5 * (double)table[(size_t)ids[t] * WIDTH + i];
                    mean += in[i] / (double)WIDTH;
                }
                for (size_t i = 0; i < WIDTH; i++)
                    square += (in[i] - mean) * (in[i] - mean) / (double)WIDTH;
                for (size_t r = 0; r < HIDDEN; r++) {
                    double a = (double)gate_b[r], u = (double)up_b[r];
                    for (size_t i = 0; i < WIDTH; i++) {
                        const double y =
                            (in[i] - mean) / sqrt(square + 1e-3) * (double)w[i] + (double)b[i];
                        a += (double)gate[r * WIDTH + i] * y;
                        u += (double)up[r * WIDTH + i] * y;
                    }
                    out[r] = oracle_gelu(a) * u;
                }
                for (size_t r = 0; r < VOCAB; r++) {
                    double want = 0, all = 0;
                    for (size_t i = 0; i < HIDDEN; i++) {
                        want += (double)head[r * HIDDEN + i] * out[i];
                        all += fabs((double)head[r * HIDDEN + i] * out[i]);
                    }
                    // Some 100 roundings on the way to each term, and values of up to 100.
                    const double got = (double)logits[t * VOCAB + r], limit = 100 * U * (all + 100);
                    CHECK_MSG(fabs(got - want) < limit, "%s: %.9g, %.9g +- %g", paths[path], got,
                              want, limit);
                }
            }
            cpu_close(c);
            cpu_shared_free(shared);
        }
    graph_free(&g);
}

/* What the executor has no room for is said when it opens, and when it is only asked. */
static void the_executor_says_what_it_cannot(void)
{
    static const float nothing[VOCAB * WIDTH];
    static const float theta[9][1];
    graph g;
    ingle_error err;
    cpu *c = NULL;
    cpu_needs needs;
    graph_init(&g, &(graph_sizes){1, 1, 1, WIDTH, WIDTH, WIDTH, VOCAB}, &(ingle_allocator){0});
    const graph_weight table =
        graph_add_tensor(&g, &(graph_tensor){"w", nothing, QUANT_F32, VOCAB, WIDTH, false});
    const graph_value x = graph_add_value(&g, "x", WIDTH);
    graph_add_op(&g, GRAPH_EMBED, "embed", GRAPH_NO_LAYER)->u.embed = (graph_embed){table, x, 1};
    for (size_t i = 0; i < 9; i++)
        graph_add_op(&g, GRAPH_ROPE_KV, "rope", (uint32_t)i)->u.rope_kv = (graph_rope_kv){
            x, x, x, GRAPH_NONE, GRAPH_NONE, 0, {GRAPH_ROPE_PAIRS, 2, theta[i], 1}, 0};
    graph_add_head(&g, &(graph_norm){0}, x, table);
    CHECK_MSG(graph_finish(&g, &err) == INGLE_OK, "%s", err.text);
    cpu_options opt = {8, 8, 1, QUANT_F16, QUANT_F16, NULL, CPU_SHARED};
    cpu_shared *shared = NULL;
    CHECK(cpu_open(&c, &g, &opt, &shared, &(ingle_allocator){0}, &err) == INGLE_ERR_UNSUPPORTED && !c);
    CHECK(shared == NULL);
    CHECK(strstr(err.text, "rotation") &&
          cpu_plan(&g, &opt, &needs, &err) == INGLE_ERR_UNSUPPORTED);
    g.n_ops--; // eight kinds are fine
    g.ops[9] = g.ops[10];
    CHECK(cpu_plan(&g, &opt, &needs, &err) == INGLE_OK && needs.path);
    opt.k_format = QUANT_Q4_K; // there is no writer of it
    CHECK(cpu_plan(&g, &opt, &needs, &err) == INGLE_ERR_UNSUPPORTED &&
          strstr(err.text, "Q4_K cache"));
    opt.k_format = 4711;
    CHECK(cpu_plan(&g, &opt, &needs, &err) == INGLE_ERR_UNSUPPORTED && needs.kv == 0);
    // Larger than any memory: the sum must not wrap into a small one.
    opt = (cpu_options){UINT32_MAX, UINT32_MAX, UINT32_MAX, QUANT_F32, QUANT_F32, NULL, CPU_SHARED};
    CHECK(cpu_plan(&g, &opt, &needs, &err) == INGLE_OK && needs.scratch > (uint64_t)1 << 50);
    graph_free(&g);
    cpu_close(NULL);
}

/* ---- memory runs out -------------------------------------------------------------------------- */

static ingle_status build_and_print(void *user, const ingle_allocator *a)
{
    static built b;
    ingle_text text = {.allocator = *a};
    ingle_error err = {0};
    build(&b, *(const uint64_t *)user, a);
    ingle_status status = graph_finish(&b.g, &err);
    CHECK(err.status == status);
    if (status == INGLE_OK && !graph_print(&b.g, &text))
        status = INGLE_ERR_MEMORY;
    ingle_text_free(&text);
    graph_free(&b.g);
    return status;
}

static void allocation_failures(void)
{
    for (uint64_t seed = 1; seed < 6; seed++)
        CHECK(test_every_allocation(build_and_print, &seed) > 5);
}

TESTS(T(a_known_model_prints_as_it_should) T(options_show) T(refusals_are_shown_instead)
      T(plans_do_not_grow_with_layers)
      T(living_values_never_share_memory) T(what_fits_is_taken_and_printed)
      T(what_does_not_fit_is_named) T(steps_of_other_families)
      T(the_executor_says_what_it_cannot) T(allocation_failures))
