#include "tiny_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/gguf.h"
#include "support.h"

static void stop(const char *what)
{
    printf("tiny_model: %s\n", what);
    exit(1);
}

static void *must(void *p)
{
    if (!p)
        stop("no memory");
    return p;
}

/* ---- blocks ----------------------------------------------------------------------------------- */

/* Formats of single numbers that the library only reads: small integers and doubles. */
static bool number_blocks(const quant_traits *t, size_t n, float limit, uint64_t *seed,
                          uint8_t *out)
{
    if (t->quantize || t->values != 1)
        return false;
    for (size_t i = 0; i < n; i++, out += t->bytes) {
        const double x = (double)test_random_float(seed) * (double)limit;
        const int64_t whole = (int64_t)(test_random(seed) % 7) - 3;
        if (t->id == QUANT_F64)
            memcpy(out, &x, sizeof x);
        else
            memcpy(out, &whole, t->bytes); // little-endian: the low bytes
    }
    return true;
}

/* Blocks with scales inside them are drawn until their values have a sensible size: no layout need
 * be known, and every other bit is random. */
static void drawn_block(const quant_traits *t, float limit, uint64_t *seed, uint8_t *out)
{
    float values[256];
    for (int turn = 0; turn < 1000000; turn++) {
        for (uint32_t i = 0; i < t->bytes; i++)
            out[i] = (uint8_t)(test_random(seed) >> 56);
        t->dequantize(out, values, t->values);
        float most = 0;
        for (uint32_t i = 0; i < t->values; i++)
            most = fabsf(values[i]) <= most ? most
                   : isfinite(values[i])    ? fabsf(values[i])
                                            : INFINITY;
        if (most <= limit && most >= limit / 8)
            return;
    }
    stop("no random block of a sensible size");
}

void tiny_blocks(uint32_t format, size_t n, float limit, uint64_t *seed, void *out)
{
    const quant_traits *t = quant_find(format);
    uint8_t *to = out;
    if (number_blocks(t, n, limit, seed, to))
        return;
    float values[256];
    for (size_t at = 0; at < n; at += t->values, to += t->bytes) {
        if (!t->quantize) {
            drawn_block(t, limit, seed, to);
            continue;
        }
        for (uint32_t i = 0; i < t->values; i++)
            values[i] = test_random_float(seed) * limit;
        t->quantize(values, to, t->values);
    }
}

/* ---- vocabulary ------------------------------------------------------------------------------- */

/* "\xE2\x96\x81" is the mark that stands for a space. */
static const char *const pieces[] = {
    "\xE2\x96\x81the", "he", "th", "\xE2\x96\x81t", "in", "er",    "\xE2\x96\x81\x61",
    "an",              "on", "re", "\n",            "ello", "hello", "\xE2\x96\x81hello"};

static void add_vocabulary(gguf_writer *w, const tiny_shape *s)
{
    const uint32_t n = s->n_tokens ? s->n_tokens : s->n_vocab;
    str *tokens = must(calloc(n, sizeof *tokens));
    char(*texts)[16] = must(calloc(n, sizeof *texts));
    float *scores = must(calloc(n, sizeof *scores));
    int32_t *types = must(calloc(n, sizeof *types));
    static const char *const specials[] = {"<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"};
    for (uint32_t i = 0; i < n; i++) {
        types[i] = 1;
        scores[i] = -(float)i;
        if (i < TINY_BYTE_0) {
            snprintf(texts[i], sizeof *texts, "%s", specials[i]);
            types[i] = i == TINY_UNK ? 2 : 3;
        } else if (i < TINY_SPACE) {
            snprintf(texts[i], sizeof *texts, "<0x%02X>", i - TINY_BYTE_0);
            types[i] = 6;
        } else if (i == TINY_SPACE) {
            snprintf(texts[i], sizeof *texts, "\xE2\x96\x81");
        } else if (i < TINY_PIECES) {
            snprintf(texts[i], sizeof *texts, "%c", (char)('a' + (int)(i - TINY_LETTER_A)));
        } else if (i - TINY_PIECES < sizeof pieces / sizeof *pieces) {
            snprintf(texts[i], sizeof *texts, "%s", pieces[i - TINY_PIECES]);
            scores[i] = -(float)(i - TINY_PIECES);
        } else {
            snprintf(texts[i], sizeof *texts, "W%u", i);
        }
        tokens[i] = str_of(texts[i]);
    }
    gguf_write_str(w, "tokenizer.ggml.model", STR("llama"));
    gguf_write_strs(w, "tokenizer.ggml.tokens", tokens, n);
    gguf_write_array(w, "tokenizer.ggml.scores", GGUF_F32, scores, n);
    gguf_write_array(w, "tokenizer.ggml.token_type", GGUF_I32, types, n);
    gguf_write_u32(w, "tokenizer.ggml.bos_token_id", TINY_BOS);
    gguf_write_u32(w, "tokenizer.ggml.eos_token_id", TINY_EOS);
    gguf_write_u32(w, "tokenizer.ggml.unknown_token_id", TINY_UNK);
    gguf_write_bool(w, "tokenizer.ggml.add_bos_token", true);
    if (s->no_space_prefix)
        gguf_write_bool(w, "tokenizer.ggml.add_space_prefix", false);
    free(tokens);
    free(texts);
    free(scores);
    free(types);
}

/* ---- metadata --------------------------------------------------------------------------------- */

tiny_shape tiny_resolve(const tiny_shape *shape)
{
    tiny_shape s = *shape;
    s.arch = s.arch ? s.arch : "llama";
    s.d_head = s.d_head ? s.d_head : s.d_model / s.n_heads;
    s.n_rot = s.n_rot ? s.n_rot : s.d_head;
    s.freq_base = s.freq_base > 0 ? s.freq_base : 10000.0f;
    s.eps = s.eps > 0 ? s.eps : 1e-5f;
    s.factor = s.factor > 0 ? s.factor : 1.0f;
    s.attn_factor = s.attn_factor > 0 ? s.attn_factor : 1.0f;
    s.original_ctx = s.original_ctx ? s.original_ctx : s.n_ctx;
    return s;
}

static const char *key(const tiny_shape *s, const char *name)
{
    static char text[100];
    snprintf(text, sizeof text, "%s.%s", s->arch ? s->arch : "llama", name);
    return text;
}

static void add_u32(gguf_writer *w, const tiny_shape *s, const char *name, uint32_t value)
{
    if (value)
        gguf_write_u32(w, key(s, name), value);
}

static void add_f32(gguf_writer *w, const tiny_shape *s, const char *name, float value)
{
    if (value > 0)
        gguf_write_f32(w, key(s, name), value);
}

static void add_metadata(gguf_writer *w, const tiny_shape *s)
{
    gguf_write_str(w, "general.architecture", str_of(s->arch ? s->arch : "llama"));
    gguf_write_str(w, "general.name", STR("tiny"));
    gguf_write_str(w, "general.license", STR("cc0-1.0"));
    add_u32(w, s, "block_count", s->n_layers);
    add_u32(w, s, "context_length", s->n_ctx);
    add_u32(w, s, "embedding_length", s->d_model);
    add_u32(w, s, "feed_forward_length", s->d_ff);
    add_u32(w, s, "attention.head_count", s->n_heads);
    add_u32(w, s, "attention.head_count_kv", s->n_kv_heads);
    add_u32(w, s, "attention.key_length", s->d_head);
    add_u32(w, s, "attention.value_length", s->d_head);
    add_u32(w, s, "attention.sliding_window", s->window);
    add_f32(w, s, "attention.layer_norm_rms_epsilon", s->eps);
    add_u32(w, s, "rope.dimension_count", s->n_rot);
    add_f32(w, s, "rope.freq_base", s->freq_base);
    if (s->scaling)
        gguf_write_str(w, key(s, "rope.scaling.type"), str_of(s->scaling));
    add_f32(w, s, "rope.scaling.factor", s->factor);
    add_f32(w, s, "rope.scaling.attn_factor", s->attn_factor);
    add_u32(w, s, "rope.scaling.original_context_length", s->original_ctx);
    if (!s->no_tokenizer)
        add_vocabulary(w, s);
    if (s->chat_template)
        gguf_write_str(w, "tokenizer.chat_template", str_of(s->chat_template));
}

/* ---- tensors ---------------------------------------------------------------------------------- */

typedef struct {
    char name[64];
    uint64_t cols, rows; // rows 1: a vector
    bool vector;
    uint32_t format;
    float limit;  // of random values
    float middle; // that they are around (vectors)
} tensor;

typedef struct {
    const tiny_shape *shape;
    tensor *list;
    size_t n;
} tensors;

static tensor *add(tensors *all, const char *name, uint32_t layer, uint64_t cols, uint64_t rows)
{
    tensor t = {.cols = cols, .rows = rows, .format = all->shape->format};
    if (layer == UINT32_MAX)
        snprintf(t.name, sizeof t.name, "%s", name);
    else
        snprintf(t.name, sizeof t.name, "blk.%u.%s", layer, name);
    const tiny_shape *s = all->shape;
    if (s->skip_tensor && strcmp(s->skip_tensor, t.name) == 0) {
        static tensor nowhere;
        return &nowhere;
    }
    for (size_t i = 0; i < s->n_formats; i++)
        if (strstr(t.name, s->formats[i].part)) {
            t.format = s->formats[i].format;
            break;
        }
    // Sums of `cols` products then have the size of what goes in.
    t.limit = 1.7f / sqrtf((float)cols);
    all->list = must(realloc(all->list, (all->n + 1) * sizeof *all->list));
    all->list[all->n] = t;
    return &all->list[all->n++];
}

static void add_vector(tensors *all, const char *name, uint32_t layer, uint64_t n, float middle,
                       float limit)
{
    tensor *t = add(all, name, layer, n, 1);
    t->vector = true;
    t->format = QUANT_F32;
    t->middle = middle;
    t->limit = limit;
}

static void add_layer(tensors *all, const tiny_shape *s, uint32_t i)
{
    const uint64_t d_q = (uint64_t)s->n_heads * s->d_head;
    const uint64_t d_kv = (uint64_t)s->n_kv_heads * s->d_head;
    add_vector(all, "attn_norm.weight", i, s->d_model, 1, 0.3f);
    add(all, "attn_q.weight", i, s->d_model, d_q);
    add(all, "attn_k.weight", i, s->d_model, d_kv);
    add(all, "attn_v.weight", i, s->d_model, d_kv);
    if (s->qkv_bias) {
        add_vector(all, "attn_q.bias", i, d_q, 0, 0.5f);
        add_vector(all, "attn_k.bias", i, d_kv, 0, 0.5f);
        add_vector(all, "attn_v.bias", i, d_kv, 0, 0.5f);
    }
    if (s->qk_norm) {
        add_vector(all, "attn_q_norm.weight", i, s->d_head, 1, 0.3f);
        add_vector(all, "attn_k_norm.weight", i, s->d_head, 1, 0.3f);
    }
    add(all, "attn_output.weight", i, d_q, s->d_model);
    if (s->out_bias)
        add_vector(all, "attn_output.bias", i, s->d_model, 0, 0.5f);
    add_vector(all, "ffn_norm.weight", i, s->d_model, 1, 0.3f);
    add(all, "ffn_gate.weight", i, s->d_model, s->d_ff);
    add(all, "ffn_up.weight", i, s->d_model, s->d_ff);
    add(all, "ffn_down.weight", i, s->d_ff, s->d_model);
}

static tensors all_tensors(const tiny_shape *s)
{
    tensors all = {.shape = s};
    if (s->no_tensors)
        return all;
    add(&all, "token_embd.weight", UINT32_MAX, s->d_model, s->n_vocab)->limit = 1;
    for (uint32_t i = 0; i < s->n_layers; i++)
        add_layer(&all, s, i);
    add_vector(&all, "output_norm.weight", UINT32_MAX, s->d_model, 1, 0.3f);
    if (!s->tied)
        add(&all, "output.weight", UINT32_MAX, s->d_model, s->n_vocab);
    if (s->rope_divisors)
        add_vector(&all, "rope_freqs.weight", UINT32_MAX, s->n_rot / 2, 4, 3);
    for (size_t i = 0; i < all.n; i++) {
        tensor *t = &all.list[i];
        if (s->bad_tensor && strcmp(t->name, s->bad_tensor) == 0)
            *(t->vector ? &t->cols : &t->rows) += 1;
    }
    return all;
}

static size_t tensor_bytes(const tensor *t)
{
    uint64_t bytes;
    if (!quant_bytes(t->format, t->cols, &bytes))
        stop("a row is no whole number of blocks");
    return (size_t)(bytes * t->rows);
}

static void fill(const tensor *t, uint64_t seed, void *out)
{
    const size_t n = (size_t)(t->cols * t->rows);
    for (const char *p = t->name; *p;
         p++) // each tensor's values are its own, whatever else is there
        seed = (seed ^ (uint8_t)*p) * 0x100000001B3u;
    tiny_blocks(t->format, n, t->limit, &seed, out);
    if (t->vector)
        for (size_t i = 0; i < n; i++)
            ((float *)out)[i] += t->middle;
}

/* ---- files ------------------------------------------------------------------------------------ */

/* Tensors first ... end - 1 with the metadata. */
static char *write_file(gguf_writer *w, const tensors *all, size_t first, size_t end, size_t *n)
{
    for (size_t i = first; i < end; i++) {
        const tensor *t = &all->list[i];
        gguf_write_tensor(w, str_of(t->name), t->format, t->vector ? 1 : 2,
                          (const uint64_t[]){t->cols, t->rows});
    }
    ingle_text header = {0};
    ingle_error err;
    if (gguf_write_header(w, &header, &err) != INGLE_OK)
        stop(err.text);
    const bool has_data = !all->shape->no_data;
    *n = header.n + (has_data ? (size_t)w->data_bytes : 0);
    char *file = must(calloc(*n, 1)), *at = file + header.n;
    memcpy(file, header.bytes, header.n);
    for (size_t i = first; has_data && i < end; i++) {
        const size_t bytes = tensor_bytes(&all->list[i]);
        // Through a block of its own: vectors are filled as floats, and `at` may lie anywhere.
        void *values = must(malloc(bytes));
        fill(&all->list[i], all->shape->seed, values);
        memcpy(at, values, bytes);
        free(values);
        at += bytes + gguf_padding(w, bytes);
    }
    ingle_text_free(&header);
    gguf_writer_free(w);
    return file;
}

char *tiny_model_part(const tiny_shape *shape, uint32_t part_no, uint32_t n_parts, size_t *n)
{
    tiny_shape s = *shape;
    s.d_head = s.d_head ? s.d_head : s.d_model / s.n_heads;
    s.n_rot = s.n_rot ? s.n_rot : s.d_head;
    tensors all = all_tensors(&s);
    gguf_writer w = {0};
    if (part_no == 0)
        add_metadata(&w, shape);
    if (n_parts > 1) {
        const uint16_t no = (uint16_t)part_no, count = (uint16_t)n_parts;
        gguf_write_scalar(&w, "split.no", GGUF_U16, &no);
        gguf_write_scalar(&w, "split.count", GGUF_U16, &count);
        gguf_write_i32(&w, "split.tensors.count", (int32_t)all.n);
    }
    char *file =
        write_file(&w, &all, all.n * part_no / n_parts, all.n * (part_no + 1) / n_parts, n);
    free(all.list);
    return file;
}

char *tiny_model_file(const tiny_shape *shape, size_t *n)
{
    return tiny_model_part(shape, 0, 1, n);
}

ingle_model *tiny_model_open(const tiny_shape *shape, char **bytes)
{
    size_t n;
    ingle_model *model = NULL;
    ingle_error err;
    *bytes = tiny_model_file(shape, &n);
    if (ingle_model_open_bytes(&model, *bytes, n, NULL, &err) != INGLE_OK)
        stop(err.text);
    return model;
}
