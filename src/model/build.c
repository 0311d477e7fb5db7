#include "model/build.h"

#include <math.h>
#include <stdio.h>

#include "base/error.h"
#include "model/archs.h"
#include "quant/quant.h"

/* Sizes beyond these are damaged files, not models; they keep every product below inside 64 bits
 * and the graph's arrays small. */
enum { MAX_LAYERS = 1024, MAX_HEADS = 4096, MAX_WIDTH = 1 << 20, MAX_VOCAB = 1 << 24 };

enum { NAME_SIZE = 96 };

static const char *key_of(const model_builder *b, const char *key, char text[NAME_SIZE])
{
    snprintf(text, NAME_SIZE, "%s.%s", b->prefix, key);
    return text;
}

uint32_t build_u32(model_builder *b, const char *key)
{
    char name[NAME_SIZE];
    uint32_t value = 0;
    if (b->status == INGLE_OK && !gguf_get_u32(b->file, key_of(b, key, name), &value))
        b->status = error_set(b->err, INGLE_ERR_FORMAT, "key %s is missing or no integer", name);
    return value;
}

uint32_t build_u32_or(model_builder *b, const char *key, uint32_t otherwise)
{
    char name[NAME_SIZE];
    uint32_t value;
    return gguf_get_u32(b->file, key_of(b, key, name), &value) ? value : otherwise;
}

float build_f32_or(model_builder *b, const char *key, float otherwise)
{
    char name[NAME_SIZE];
    float value;
    return gguf_get_f32(b->file, key_of(b, key, name), &value) ? value : otherwise;
}

/* ---- tensors ---------------------------------------------------------------------------------- */

/* "blk.%u.attn_q.weight" with the layer, or a name without a number. */
static void tensor_name(char text[NAME_SIZE], const char *name, uint32_t layer)
{
    const char *mark = strstr(name, "%u");
    if (mark)
        snprintf(text, NAME_SIZE, "%.*s%u%s", (int)(mark - name), name, layer, mark + 2);
    else
        snprintf(text, NAME_SIZE, "%s", name);
}

bool build_has_tensor(const model_builder *b, const char *name, uint32_t layer)
{
    char text[NAME_SIZE];
    tensor_name(text, name, layer);
    return gguf_find_tensor(b->file, text) != NULL;
}

/* Finds a tensor of the expected shape (cols contiguous; rows 1 for a vector). */
static const gguf_tensor *find(model_builder *b, const char *name, uint32_t layer, uint64_t rows,
                               uint64_t cols)
{
    char text[NAME_SIZE];
    if (b->status != INGLE_OK)
        return NULL;
    tensor_name(text, name, layer);
    const gguf_tensor *t = gguf_find_tensor(b->file, text);
    if (!t) {
        b->status = error_set(b->err, INGLE_ERR_FORMAT, "tensor %s is missing", text);
    } else if (t->shape[0] != cols || t->shape[1] != rows || t->shape[2] != 1 || t->shape[3] != 1) {
        b->status = error_set(b->err, INGLE_ERR_FORMAT,
                              "tensor %s: %llu x %llu expected, the file has %llu x %llu", text,
                              (unsigned long long)cols, (unsigned long long)rows,
                              (unsigned long long)t->shape[0], (unsigned long long)t->shape[1]);
    } else if (!quant_find(t->format)) {
        b->status = error_set(b->err, INGLE_ERR_UNSUPPORTED, "tensor %s: format %u is not known",
                              text, t->format);
    }
    return b->status == INGLE_OK ? t : NULL;
}

static const uint8_t *data_of(const model_builder *b, const gguf_tensor *t)
{
    return b->model->data[t - b->file->tensors];
}

/* Names and small arrays live as long as the graph. */
static graph_weight add_tensor(model_builder *b, const gguf_tensor *t, const void *data,
                               uint32_t format, uint64_t rows, uint64_t cols)
{
    const char *name = arena_text(&b->graph->memory, t->name.p, t->name.n);
    if (!name) {
        b->status = error_memory(b->err, t->name.n, "a tensor's name");
        return GRAPH_NONE;
    }
    return graph_add_tensor(b->graph, &(graph_tensor){name, data, format, rows, cols, false});
}

graph_weight build_matrix(model_builder *b, const char *name, uint32_t layer, uint64_t rows,
                          uint64_t cols)
{
    const gguf_tensor *t = find(b, name, layer, rows, cols);
    return t ? add_tensor(b, t, data_of(b, t), t->format, rows, cols) : GRAPH_NONE;
}

/* Something to do with a vector when its bytes are there, which may be only at the end of a stream. */
static void settle_later(model_builder *b, const gguf_tensor *t, float *values, size_t n, float *divided)
{
    model_vector *v = arena_alloc(b->memory, sizeof *v);
    if (!v) {
        b->status = error_memory(b->err, sizeof *v, "a vector");
        return;
    }
    *v = (model_vector){.tensor = t, .values = values, .n = n, .divided = divided};
    *b->model->last_vector = v;
    b->model->last_vector = &v->next;
}

graph_weight build_vector(model_builder *b, const char *name, uint32_t layer, uint64_t n)
{
    const gguf_tensor *t = find(b, name, layer, 1, n);
    if (!t)
        return GRAPH_NONE;
    const uint8_t **data = &b->model->data[t - b->file->tensors];
    if (!*data)
        *data = arena_alloc(b->memory, (size_t)t->bytes); // MAX_WIDTH values at most
    float *values = NULL;
    const bool converted = t->format != QUANT_F32 || (uintptr_t)*data % sizeof *values;
    if (*data && converted)
        values = arena_alloc(b->memory, size_mul((size_t)n, sizeof *values));
    if (!*data || (converted && !values)) {
        b->status = error_memory(b->err, (size_t)n * sizeof *values, "a vector");
        return GRAPH_NONE;
    }
    if (converted)
        settle_later(b, t, values, (size_t)n, NULL);
    return add_tensor(b, t, converted ? (const void *)values : *data, QUANT_F32, 1, n);
}

graph_weight build_optional_vector(model_builder *b, const char *name, uint32_t layer, uint64_t n)
{
    return build_has_tensor(b, name, layer) ? build_vector(b, name, layer, n) : GRAPH_NONE;
}

graph_norm build_rms(model_builder *b, const char *name, uint32_t layer)
{
    return (graph_norm){GRAPH_NORM_RMS, build_vector(b, name, layer, b->sizes.d_model), GRAPH_NONE,
                        b->norm_eps};
}

/* ---- rotary frequencies ----------------------------------------------------------------------- */

/* YaRN (arXiv 2309.00071): pairs that turn often keep their frequency, slow ones are interpolated,
 * with a ramp between the dimensions where a context of `original` tokens makes beta_fast and
 * beta_slow turns. */
static void apply_yarn(model_builder *b, float *theta, uint32_t n_rot, double base, double factor,
                       float *scale)
{
    const double pi = 3.14159265358979323846;
    const double original = build_u32_or(b, "rope.scaling.original_context_length",
                                         build_u32_or(b, "context_length", 4096));
    const double fast = (double)build_f32_or(b, "rope.scaling.yarn_beta_fast", 32.0f);
    const double slow = (double)build_f32_or(b, "rope.scaling.yarn_beta_slow", 1.0f);
    const double per = n_rot / (2 * log(base));
    double low = floor(per * log(original / (fast * 2 * pi)));
    double high = ceil(per * log(original / (slow * 2 * pi)));
    low = low < 0 ? 0 : low;
    high = high > n_rot - 1 ? n_rot - 1 : high;
    for (uint32_t i = 0; i < n_rot / 2; i++) {
        const double span = high - low < 0.001 ? 0.001 : high - low;
        double ramp = (i - low) / span; // 0 = keep, 1 = interpolate
        ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
        theta[i] = (float)((double)theta[i] * (ramp / factor + 1 - ramp));
    }
    *scale = build_f32_or(b, "rope.scaling.attn_factor", 1.0f) * (1.0f + 0.1f * logf((float)factor));
}

graph_rope build_rope(model_builder *b, graph_rope_kind kind)
{
    graph_rope rope = {.kind = kind, .n_rot = b->n_rot, .scale = 1};
    if (b->status != INGLE_OK)
        return rope;
    const double base = (double)build_f32_or(b, "rope.freq_base", 10000.0f);
    double factor = (double)build_f32_or(b, "rope.scaling.factor", 1.0f);
    factor = factor == 0 ? 1 : factor; // some files state 0 for none
    float *theta = arena_alloc(&b->graph->memory, size_mul(b->n_rot / 2 + 1, sizeof *theta));
    if (!theta) {
        b->status = error_memory(b->err, b->n_rot * sizeof *theta / 2, "rotary frequencies");
        return rope;
    }
    if (!(base > 1) || !isfinite(base) || !(factor > 0) || !isfinite(factor)) {
        b->status = error_set(b->err, INGLE_ERR_FORMAT, "rope.freq_base %g, rope.scaling.factor %g",
                              base, factor);
        return rope;
    }
    for (uint32_t i = 0; i < b->n_rot / 2; i++)
        theta[i] = (float)pow(base, -2.0 * i / b->n_rot);

    str scaling = STR("linear"); // what a factor without a type means
    char key[NAME_SIZE];
    gguf_get_str(b->file, key_of(b, "rope.scaling.type", key), &scaling);
    if (str_equal(scaling, STR("linear"))) {
        for (uint32_t i = 0; i < b->n_rot / 2; i++)
            theta[i] = (float)((double)theta[i] / factor);
    } else if (str_equal(scaling, STR("yarn"))) {
        apply_yarn(b, theta, b->n_rot, base, factor, &rope.scale);
    } else if (scaling.n && !str_equal(scaling, STR("none"))) {
        b->status = error_set(b->err, INGLE_ERR_UNSUPPORTED, "rope scaling \"%.*s\" is not known",
                              STR_ARG(scaling));
    }
    const graph_weight divisors =
        build_optional_vector(b, "rope_freqs.weight", 0, b->n_rot / 2);
    if (b->status == INGLE_OK && divisors >= 0 && b->graph->status == INGLE_OK)
        settle_later(b, NULL, (float *)(uintptr_t)b->graph->tensors[divisors].data, b->n_rot / 2, theta);
    rope.theta = theta;
    return rope;
}

/* ---- shared pieces ---------------------------------------------------------------------------- */

static graph_value value(model_builder *b, const char *name, uint64_t width)
{
    return graph_add_value(b->graph, name, width);
}

graph_value build_embedding(model_builder *b, float scale)
{
    const graph_weight table =
        build_matrix(b, "token_embd.weight", 0, b->sizes.n_vocab, b->sizes.d_model);
    const graph_value x = value(b, "x", b->sizes.d_model);
    graph_add_op(b->graph, GRAPH_EMBED, "embed", GRAPH_NO_LAYER)->u.embed =
        (graph_embed){table, x, scale};
    return x;
}

void build_head(model_builder *b, const graph_norm *norm, graph_value x)
{
    const char *name = build_has_tensor(b, "output.weight", 0) ? "output.weight" : "token_embd.weight";
    const graph_weight w = build_matrix(b, name, 0, b->sizes.n_vocab, b->sizes.d_model);
    graph_add_head(b->graph, norm, x, w);
}

/* x += O attend(rope(norm(x) [Q K V])) */
void build_attention(model_builder *b, uint32_t layer, const graph_norm *norm,
                     const graph_rope *rope, const build_attention_options *opt, graph_value x)
{
    const graph_sizes *s = &b->sizes;
    const uint64_t d_q = (uint64_t)s->n_heads * s->d_head, d_kv = (uint64_t)s->n_kv_heads * s->d_head;
    const graph_value q = value(b, "q", d_q), k = value(b, "k", d_kv), v = value(b, "v", d_kv);
    graph_linear qkv = {.norm = *norm,
                        .in = x,
                        .n_out = 3,
                        .weight = {build_matrix(b, "blk.%u.attn_q.weight", layer, d_q, s->d_model),
                                   build_matrix(b, "blk.%u.attn_k.weight", layer, d_kv, s->d_model),
                                   build_matrix(b, "blk.%u.attn_v.weight", layer, d_kv, s->d_model)},
                        .bias = {GRAPH_NONE, GRAPH_NONE, GRAPH_NONE},
                        .out = {q, k, v}};
    if (opt->qkv_bias) {
        qkv.bias[0] = build_vector(b, "blk.%u.attn_q.bias", layer, d_q);
        qkv.bias[1] = build_vector(b, "blk.%u.attn_k.bias", layer, d_kv);
        qkv.bias[2] = build_vector(b, "blk.%u.attn_v.bias", layer, d_kv);
    }
    graph_add_op(b->graph, GRAPH_LINEAR, "qkv", layer)->u.linear = qkv;

    graph_rope_kv rotate = {q, k, v, GRAPH_NONE, GRAPH_NONE, b->norm_eps, *rope, layer};
    if (opt->qk_norm) {
        rotate.q_norm = build_vector(b, "blk.%u.attn_q_norm.weight", layer, s->d_head);
        rotate.k_norm = build_vector(b, "blk.%u.attn_k_norm.weight", layer, s->d_head);
    }
    graph_add_op(b->graph, GRAPH_ROPE_KV, "rope_kv", layer)->u.rope_kv = rotate;

    const graph_value heads = value(b, "heads", d_q);
    graph_add_op(b->graph, GRAPH_ATTEND, "attend", layer)->u.attend =
        (graph_attend){q, heads, layer, 1.0f / sqrtf((float)s->d_head), opt->window};

    graph_add_op(b->graph, GRAPH_LINEAR, "attn_out", layer)->u.linear = (graph_linear){
        .in = heads,
        .n_out = 1,
        .weight = {build_matrix(b, "blk.%u.attn_output.weight", layer, s->d_model, d_q), GRAPH_NONE,
                   GRAPH_NONE},
        .bias = {build_optional_vector(b, "blk.%u.attn_output.bias", layer, s->d_model), GRAPH_NONE,
                 GRAPH_NONE},
        .out = {x, GRAPH_NONE, GRAPH_NONE},
        .epilogue = GRAPH_ADD};
}

/* x += Down(act(Gate norm(x)) * Up norm(x)) */
void build_gated_ffn(model_builder *b, uint32_t layer, const graph_norm *norm, graph_epilogue gate,
                     graph_value x)
{
    const graph_sizes *s = &b->sizes;
    const graph_value hidden = value(b, "hidden", s->d_ff);
    graph_add_op(b->graph, GRAPH_LINEAR, "gate_up", layer)->u.linear = (graph_linear){
        .norm = *norm,
        .in = x,
        .n_out = 2,
        .weight = {build_matrix(b, "blk.%u.ffn_gate.weight", layer, s->d_ff, s->d_model),
                   build_matrix(b, "blk.%u.ffn_up.weight", layer, s->d_ff, s->d_model), GRAPH_NONE},
        .bias = {GRAPH_NONE, GRAPH_NONE, GRAPH_NONE},
        .out = {hidden, GRAPH_NONE, GRAPH_NONE},
        .epilogue = gate};
    graph_add_op(b->graph, GRAPH_LINEAR, "down", layer)->u.linear = (graph_linear){
        .in = hidden,
        .n_out = 1,
        .weight = {build_matrix(b, "blk.%u.ffn_down.weight", layer, s->d_model, s->d_ff), GRAPH_NONE,
                   GRAPH_NONE},
        .bias = {GRAPH_NONE, GRAPH_NONE, GRAPH_NONE},
        .out = {x, GRAPH_NONE, GRAPH_NONE},
        .epilogue = GRAPH_ADD};
}

/* ---- from file to graph ----------------------------------------------------------------------- */

static void refuse_size(model_builder *b, const char *what, uint64_t value, uint64_t limit)
{
    if (b->status == INGLE_OK && (value == 0 || value > limit))
        b->status = error_set(b->err, INGLE_ERR_FORMAT, "%s.%s is %llu; 1 to %llu make sense",
                              b->prefix, what, (unsigned long long)value, (unsigned long long)limit);
}

static void read_sizes(model_builder *b)
{
    graph_sizes *s = &b->sizes;
    s->n_layers = build_u32(b, "block_count");
    s->d_model = build_u32(b, "embedding_length");
    s->d_ff = build_u32(b, "feed_forward_length");
    s->n_heads = build_u32(b, "attention.head_count");
    s->n_kv_heads = build_u32_or(b, "attention.head_count_kv", s->n_heads);
    refuse_size(b, "block_count", s->n_layers, MAX_LAYERS);
    refuse_size(b, "embedding_length", s->d_model, MAX_WIDTH);
    refuse_size(b, "feed_forward_length", s->d_ff, MAX_WIDTH);
    refuse_size(b, "attention.head_count", s->n_heads, MAX_HEADS);
    refuse_size(b, "attention.head_count_kv", s->n_kv_heads, s->n_heads);
    if (b->status != INGLE_OK)
        return;
    s->d_head = build_u32_or(b, "attention.key_length", s->d_model / s->n_heads);
    refuse_size(b, "attention.key_length", s->d_head, MAX_WIDTH / s->n_heads);
    if (b->status == INGLE_OK && build_u32_or(b, "attention.value_length", s->d_head) != s->d_head)
        b->status = error_set(b->err, INGLE_ERR_UNSUPPORTED,
                              "%s: keys of %u and values of another length", b->prefix, s->d_head);
    if (b->status == INGLE_OK && s->n_heads % s->n_kv_heads)
        b->status = error_set(b->err, INGLE_ERR_FORMAT, "%s: %u heads do not share %u KV heads",
                              b->prefix, s->n_heads, s->n_kv_heads);
    const gguf_tensor *table = gguf_find_tensor(b->file, "token_embd.weight");
    s->n_vocab = table && table->shape[1] <= MAX_VOCAB ? (uint32_t)table->shape[1] : 0;
    if (b->status == INGLE_OK && s->n_vocab == 0)
        b->status = error_set(b->err, INGLE_ERR_FORMAT, "tensor token_embd.weight is missing");
    b->n_rot = build_u32_or(b, "rope.dimension_count", s->d_head);
    if (b->status == INGLE_OK && (b->n_rot > s->d_head || b->n_rot % 2))
        b->status = error_set(b->err, INGLE_ERR_FORMAT, "%s.rope.dimension_count is %u, heads have %u",
                              b->prefix, b->n_rot, s->d_head);
    b->norm_eps = build_f32_or(b, "attention.layer_norm_rms_epsilon",
                               build_f32_or(b, "attention.layer_norm_epsilon", 1e-5f));
}

#define DECLARE(name, family) void arch_##family(model_builder *b);
MODEL_ARCHS(DECLARE)
#undef DECLARE

typedef struct {
    const char *name;
    void (*build)(model_builder *b);
} family;

static const family families[] = {
#define ROW(name, function) {name, arch_##function},
    MODEL_ARCHS(ROW)
#undef ROW
};

static const family *find_family(str name)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (str_equal(str_of(families[i].name), name))
            return &families[i];
    return NULL;
}

ingle_status build_graph(ingle_model *m, arena *memory, graph *g, ingle_error *err)
{
    str name = {0};
    if (m->file.n_tensors == 0)
        return error_set(err, INGLE_ERR_UNSUPPORTED, "the file is a vocabulary, without tensors");
    if (!gguf_get_str(&m->file, "general.architecture", &name))
        return error_set(err, INGLE_ERR_FORMAT, "key general.architecture is missing");
    const family *f = find_family(name);
    if (!f)
        return error_set(err, INGLE_ERR_UNSUPPORTED, "model family \"%.*s\" is not known",
                         STR_ARG(name));
    model_builder b = {.model = m,
                       .file = &m->file,
                       .graph = g,
                       .memory = memory,
                       .prefix = f->name,
                       .status = INGLE_OK,
                       .err = err};
    read_sizes(&b);
    if (b.status != INGLE_OK)
        return b.status;
    graph_init(g, &b.sizes, &m->allocator);
    f->build(&b);
    ingle_status status = b.status;
    if (status == INGLE_OK)
        status = graph_finish(g, err);
    if (status != INGLE_OK)
        graph_free(g);
    return status;
}
