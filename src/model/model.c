/* Opening models: by path (mapped), from memory, from a stream; and what can be asked of them. */
#include "model/model.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"
#include "model/build.h"
#include "model/vocab.h"
#include "quant/quant.h"

enum { META_VALUE_SIZE = 400 }; // a printed metadata value; chat templates are asked for apart

const ingle_allocator *model_allocator(const ingle_model *m)
{
    return &m->allocator;
}

void model_log(const ingle_model *m, const char *fmt, ...)
{
    if (!m->log)
        return;
    char line[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    m->log(m->log_user, line);
}

ingle_status model_create(ingle_model **out, const ingle_model_options *opt, ingle_error *err)
{
    const ingle_allocator allocator = opt ? opt->allocator : (ingle_allocator){0};
    ingle_model *m = mem_zero(&allocator, 1, sizeof *m);
    if (!m)
        return error_memory(err, sizeof *m, "a model");
    m->allocator = allocator;
    m->memory.allocator = allocator;
    m->log = opt ? opt->log : NULL;
    m->log_user = opt ? opt->log_user : NULL;
    m->last_vector = &m->vectors;
    *out = m;
    return INGLE_OK;
}

void ingle_model_close(ingle_model *m)
{
    if (!m)
        return;
    const ingle_allocator a = m->allocator;
    if (m->gpu_free)
        m->gpu_free(m->gpu_data);
    if (m->backend_free)
        m->backend_free(m->backend_data);
    if (m->runnable.status == INGLE_OK)
        graph_free(&m->graph);
    token_close(m->tokens);
    arena_free(&m->memory);
    if (m->stream)
        stream_close(m->stream);
    else
        gguf_free(&m->file);
    for (uint32_t i = 0; i < m->n_maps; i++)
        host_file_unmap(&m->maps[i]);
    mem_free(&a, m->maps);
    mem_free(&a, m->streamed);
    mem_free(&a, m);
}

/* ---- metadata --------------------------------------------------------------------------------- */

/* *out = a NUL-terminated copy of a text value, NULL if the key is absent; false: no memory. */
static bool text_of(ingle_model *m, const char *key, const char **out)
{
    str s;
    if (!gguf_get_str(&m->file, key, &s))
        return true;
    *out = arena_text(&m->memory, s.p, s.n);
    return *out != NULL;
}

/* general.file_type as people know it; the ids are llama.cpp's. */
static const char *file_type_name(uint32_t id)
{
    static const char *const names[] = {
        [0] = "F32",      [1] = "F16",      [2] = "Q4_0",     [3] = "Q4_1",      [7] = "Q8_0",
        [8] = "Q5_0",     [9] = "Q5_1",     [10] = "Q2_K",    [11] = "Q3_K_S",   [12] = "Q3_K_M",
        [13] = "Q3_K_L",  [14] = "Q4_K_S",  [15] = "Q4_K_M",  [16] = "Q5_K_S",   [17] = "Q5_K_M",
        [18] = "Q6_K",    [19] = "IQ2_XXS", [20] = "IQ2_XS",  [21] = "Q2_K_S",   [22] = "IQ3_XS",
        [23] = "IQ3_XXS", [24] = "IQ1_S",   [25] = "IQ4_NL",  [26] = "IQ3_S",    [27] = "IQ3_M",
        [28] = "IQ2_S",   [29] = "IQ2_M",   [30] = "IQ4_XS",  [31] = "IQ1_M",    [32] = "BF16",
        [36] = "TQ1_0",   [37] = "TQ2_0",   [38] = "MXFP4",   [39] = "NVFP4",    [40] = "Q1_0",
        [41] = "Q2_0",
    };
    return id < sizeof names / sizeof *names ? names[id] : NULL;
}

/* The format that holds most bytes, for files that state no type. */
static const char *commonest_format(const gguf *g)
{
    uint64_t bytes[QUANT_ID_END] = {0};
    uint32_t best = 0;
    for (size_t i = 0; i < g->n_tensors; i++)
        if (g->tensors[i].format < QUANT_ID_END)
            bytes[g->tensors[i].format] += g->tensors[i].bytes;
    for (uint32_t id = 0; id < QUANT_ID_END; id++)
        if (bytes[id] > bytes[best])
            best = id;
    return bytes[best] ? quant_find(best)->name : NULL;
}

static ingle_status print_meta(ingle_model *m, ingle_error *err)
{
    const gguf *g = &m->file;
    m->meta = arena_zero(&m->memory, g->n_values, 2 * sizeof *m->meta);
    if (!m->meta)
        return error_memory(err, g->n_values * 2 * sizeof *m->meta, "metadata");
    for (size_t i = 0; i < g->n_values; i++) {
        char text[META_VALUE_SIZE];
        gguf_print_value(g, &g->values[i], text, sizeof text);
        m->meta[2 * i] = arena_text(&m->memory, g->values[i].key.p, g->values[i].key.n);
        m->meta[2 * i + 1] = arena_text(&m->memory, text, strlen(text));
        if (!m->meta[2 * i] || !m->meta[2 * i + 1])
            return error_memory(err, sizeof text, "metadata");
    }
    m->tensor_names = arena_zero(&m->memory, g->n_tensors, sizeof *m->tensor_names);
    for (size_t i = 0; m->tensor_names && i < g->n_tensors; i++) {
        m->tensor_names[i] = arena_text(&m->memory, g->tensors[i].name.p, g->tensors[i].name.n);
        if (!m->tensor_names[i])
            return error_memory(err, g->tensors[i].name.n, "tensor names");
    }
    return m->tensor_names ? INGLE_OK : error_memory(err, g->n_tensors, "tensor names");
}

static ingle_status fill_info(ingle_model *m, ingle_error *err)
{
    ingle_model_info *info = &m->info;
    const gguf *g = &m->file;
    if (!text_of(m, "general.name", &info->name) ||
        !text_of(m, "general.architecture", &info->architecture) ||
        !text_of(m, "general.license", &info->licence) ||
        !text_of(m, "tokenizer.chat_template", &info->chat_template))
        return error_memory(err, (size_t)g->header_bytes, "metadata");
    uint32_t file_type;
    if (gguf_get_u32(g, "general.file_type", &file_type))
        info->file_type = file_type_name(file_type);
    if (!info->file_type)
        info->file_type = commonest_format(g);
    for (size_t i = 0; i < g->n_tensors; i++) {
        info->n_params += g->tensors[i].n_values;
        info->weight_bytes += g->tensors[i].bytes;
    }
    const gguf_value *vocabulary = gguf_find(g, "tokenizer.ggml.tokens");
    if (vocabulary && vocabulary->type == GGUF_ARRAY && vocabulary->n_items <= INT32_MAX)
        info->n_vocab = (uint32_t)vocabulary->n_items;
    info->bos = info->eos = -1;
    if (m->tokens) {
        info->tokenizer = token_kind(m->tokens);
        info->bos = token_bos(m->tokens);
        info->eos = token_eos(m->tokens);
    }
    if (info->architecture) {
        char key[128];
        snprintf(key, sizeof key, "%.90s.context_length", info->architecture);
        gguf_get_u32(g, key, &info->n_ctx_train);
    }
    info->runnable = m->runnable.status;
    if (info->runnable != INGLE_OK) {
        info->why_not = m->runnable.text;
        return INGLE_OK;
    }
    const graph_sizes *s = &m->graph.sizes;
    info->n_layers = s->n_layers;
    info->n_heads = s->n_heads;
    info->n_kv_heads = s->n_kv_heads;
    info->d_model = s->d_model;
    info->d_head = s->d_head;
    info->d_ff = s->d_ff;
    info->n_vocab = s->n_vocab; // rows of the head: what logits have
    return INGLE_OK;
}

/* Runs out of memory: the whole opening fails. Anything else: the part's error is kept. */
static ingle_status keep(ingle_status status, ingle_error *kept, ingle_error *err)
{
    if (status != INGLE_ERR_MEMORY)
        return INGLE_OK;
    if (err)
        *err = *kept;
    return status;
}

static ingle_status open_tokens(ingle_model *m)
{
    token_source source;
    ingle_status status = vocab_source(&source, &m->file, &m->memory, &m->token_error);
    if (status == INGLE_OK)
        status = token_open(&m->tokens, &source, &m->allocator, &m->token_error);
    return status;
}

ingle_status model_finish(ingle_model *m, ingle_error *err)
{
    error_clear(&m->token_error);
    ingle_status status = keep(open_tokens(m), &m->token_error, err);
    if (status != INGLE_OK)
        return status;
    error_clear(&m->runnable);
    m->runnable.status = INGLE_ERR_INTERNAL; // until there is a graph to free
    ingle_error why;
    error_clear(&why);
    build_graph(m, &m->memory, &m->graph, &why);
    m->runnable = why;
    if (why.status != INGLE_OK) { // the graph is gone
        m->vectors = NULL;
        m->last_vector = &m->vectors;
    }
    status = keep(why.status, &m->runnable, err);
    if (status == INGLE_OK)
        status = print_meta(m, err);
    if (status == INGLE_OK)
        status = fill_info(m, err);
    if (status != INGLE_OK)
        return status;
    m->tables_bytes = m->memory.bytes + m->file.memory.bytes + m->graph.memory.bytes +
                      (m->tokens ? token_table_bytes(m->tokens) : 0);
    return INGLE_OK;
}

void model_settle(ingle_model *m)
{
    for (const model_vector *v = m->vectors; v; v = v->next) {
        if (v->tensor)
            quant_find(v->tensor->format)->dequantize(m->data[v->tensor - m->file.tensors], v->values, v->n);
        for (size_t i = 0; v->divided && i < v->n; i++)
            v->divided[i] /= v->values[i];
    }
    m->vectors = NULL;
    m->last_vector = &m->vectors;
}

/* ---- opening ---------------------------------------------------------------------------------- */

static ingle_status parse_whole(ingle_model *m, const void *bytes, uint64_t size, ingle_error *err)
{
    uint64_t need = 0;
    const ingle_status status =
        gguf_parse(&m->file, bytes, (size_t)size, size, &need, &m->allocator, err);
    if (status == INGLE_OK && need)
        return error_set(err, INGLE_ERR_FORMAT, "the header goes on beyond the end of the file");
    return status;
}

static ingle_status point_at_data(ingle_model *m, ingle_error *err)
{
    m->data = arena_zero(&m->memory, m->file.n_tensors, sizeof *m->data);
    if (!m->data)
        return error_memory(err, m->file.n_tensors * sizeof *m->data, "a table of tensors");
    return INGLE_OK;
}

static ingle_status map_part(ingle_model *m, const char *path, ingle_error *err)
{
    host_file *maps = mem_resize(&m->allocator, m->maps, (m->n_maps + 1) * sizeof *maps);
    if (!maps)
        return error_memory(err, sizeof *maps, "a mapped file");
    m->maps = maps;
    maps[m->n_maps] = (host_file){0};
    const ingle_status status = host_file_map(&maps[m->n_maps], path, err);
    if (status == INGLE_OK)
        m->n_maps++;
    return status;
}

/* The further files of a split set lie beside the first and are named after it. */
static ingle_status map_other_parts(ingle_model *m, const char *path, ingle_error *err)
{
    char name[1024];
    uint32_t count = 0;
    for (uint32_t part = 1; part < m->file.n_parts; part++) {
        if (!gguf_split_name(path, part, &count, name, sizeof name))
            return error_set(err, INGLE_ERR_FORMAT,
                             "%.100s: a split of %u parts must be named ...-00001-of-%05u.gguf", path,
                             m->file.n_parts, m->file.n_parts);
        if (count != m->file.n_parts)
            return error_set(err, INGLE_ERR_FORMAT, "%.100s: named as %u parts, holds %u", path,
                             count, m->file.n_parts);
        ingle_status status = map_part(m, name, err);
        if (status == INGLE_OK)
            status = gguf_add_part(&m->file, part, m->maps[part].bytes, (size_t)m->maps[part].size,
                                   m->maps[part].size, err);
        if (status != INGLE_OK)
            return status;
    }
    return INGLE_OK;
}

static ingle_status finish_opening(ingle_model **out, ingle_model *m, ingle_status status, ingle_error *err)
{
    if (status == INGLE_OK)
        status = model_finish(m, err);
    if (status == INGLE_OK) {
        model_settle(m);
        *out = m;
    } else {
        ingle_model_close(m);
    }
    return status;
}

ingle_status ingle_model_open(ingle_model **out, const char *path, const ingle_model_options *opt,
                              ingle_error *err)
{
    *out = NULL;
    error_clear(err);
    if (!path)
        return error_set(err, INGLE_ERR_USAGE, "no path");
    ingle_model *m = NULL;
    ingle_status status = model_create(&m, opt, err);
    if (status == INGLE_OK)
        status = map_part(m, path, err);
    if (status == INGLE_OK)
        status = parse_whole(m, m->maps[0].bytes, m->maps[0].size, err);
    if (status == INGLE_OK)
        status = map_other_parts(m, path, err);
    if (status == INGLE_OK)
        status = point_at_data(m, err);
    for (size_t i = 0; status == INGLE_OK && i < m->file.n_tensors; i++) {
        const gguf_tensor *t = &m->file.tensors[i];
        m->data[i] = m->maps[t->part].bytes + t->offset;
    }
    return finish_opening(out, m, status, err);
}

ingle_status ingle_model_open_bytes(ingle_model **out, const void *bytes, size_t size,
                                    const ingle_model_options *opt, ingle_error *err)
{
    *out = NULL;
    error_clear(err);
    if (!bytes)
        return error_set(err, INGLE_ERR_USAGE, "no bytes");
    ingle_model *m = NULL;
    ingle_status status = model_create(&m, opt, err);
    if (status == INGLE_OK)
        status = parse_whole(m, bytes, size, err);
    if (status == INGLE_OK && m->file.n_parts > 1)
        status = error_set(err, INGLE_ERR_UNSUPPORTED, "one part of a split set of %u files",
                           m->file.n_parts);
    if (status == INGLE_OK)
        status = point_at_data(m, err);
    for (size_t i = 0; status == INGLE_OK && i < m->file.n_tensors; i++)
        m->data[i] = (const uint8_t *)bytes + m->file.tensors[i].offset;
    return finish_opening(out, m, status, err);
}

/* ---- questions -------------------------------------------------------------------------------- */

const ingle_model_info *ingle_model_get_info(const ingle_model *m)
{
    return &m->info;
}

size_t ingle_model_meta_count(const ingle_model *m)
{
    return m->file.n_values;
}

bool ingle_model_meta(const ingle_model *m, size_t i, const char **key, const char **value)
{
    if (i >= m->file.n_values)
        return false;
    *key = m->meta[2 * i];
    *value = m->meta[2 * i + 1];
    return true;
}

size_t ingle_model_tensor_count(const ingle_model *m)
{
    return m->file.n_tensors;
}

bool ingle_model_tensor(const ingle_model *m, size_t i, ingle_tensor *out)
{
    if (i >= m->file.n_tensors)
        return false;
    const gguf_tensor *t = &m->file.tensors[i];
    const quant_traits *format = quant_find(t->format);
    *out = (ingle_tensor){.name = m->tensor_names[i],
                          .format = format ? format->name : "unknown",
                          .n_dims = t->n_dims,
                          .n_values = t->n_values,
                          .bytes = t->bytes};
    memcpy(out->shape, t->shape, sizeof out->shape);
    return true;
}

/* Row by row, as the first of them says whether a backend has re-packed the matrix. */
static ingle_status read_repacked(const ingle_model *m, const gguf_tensor *t, const quant_traits *format,
                                  uint64_t first, size_t n, float *out, bool *done, ingle_error *err)
{
    const uint8_t *data = m->data[t - m->file.tensors];
    const uint64_t cols = t->shape[0];
    const size_t bytes = (size_t)(cols / format->values * format->bytes);
    uint8_t *row = mem_alloc(&m->allocator, bytes);
    if (!row)
        return error_memory(err, bytes, "a row");
    *done = true;
    while (n) {
        const uint64_t at = first % cols;
        const size_t take = n < cols - at ? n : (size_t)(cols - at);
        if (!m->backend_row(m->backend_data, data, first / cols, row)) {
            *done = false;
            break;
        }
        format->dequantize(row + at / format->values * format->bytes, out, take);
        first += take;
        out += take;
        n -= take;
    }
    mem_free(&m->allocator, row);
    return INGLE_OK;
}

/* Streamed weights may be re-packed by a session that is just being opened. */
static ingle_status read_values(const ingle_model *model, const gguf_tensor *t, const quant_traits *format,
                                uint64_t first, size_t n, float *out, ingle_error *err)
{
    ingle_model *m = (ingle_model *)(uintptr_t)model;
    ingle_status status = INGLE_OK;
    bool done = false;
    while (m->streamed && atomic_flag_test_and_set(&m->backend_lock))
        host_relax();
    if (m->streamed && m->backend_row)
        status = read_repacked(m, t, format, first, n, out, &done, err);
    if (status == INGLE_OK && !done)
        format->dequantize(m->data[t - m->file.tensors] + first / format->values * format->bytes, out, n);
    if (m->streamed)
        atomic_flag_clear(&m->backend_lock);
    return status;
}

ingle_status ingle_model_tensor_read(const ingle_model *m, const char *name, uint64_t first,
                                     uint64_t n, float *out, ingle_error *err)
{
    error_clear(err);
    const gguf_tensor *t = name ? gguf_find_tensor(&m->file, name) : NULL;
    if (!t)
        return error_set(err, INGLE_ERR_USAGE, "no tensor is called %.100s", name ? name : "NULL");
    const quant_traits *format = quant_find(t->format);
    if (!format)
        return error_set(err, INGLE_ERR_UNSUPPORTED, "tensor %.100s: format %u is not known", name,
                         t->format);
    if (first > t->n_values || n > t->n_values - first || first % format->values ||
        n % format->values || n > SIZE_MAX / sizeof *out)
        return error_set(err, INGLE_ERR_USAGE,
                         "tensor %.100s: values %llu + %llu of %llu are not whole blocks of %u in it",
                         name, (unsigned long long)first, (unsigned long long)n,
                         (unsigned long long)t->n_values, format->values);
    if (!m->data[t - m->file.tensors])
        return error_set(err, INGLE_ERR_UNSUPPORTED, "tensor %.100s was not kept: the weights are on the GPU", name);
    return read_values(m, t, format, first, (size_t)n, out, err);
}

ingle_status ingle_model_print_graph(const ingle_model *m, ingle_text *out, ingle_error *err)
{
    error_clear(err);
    if (m->runnable.status != INGLE_OK) {
        if (err)
            *err = m->runnable;
        return m->runnable.status;
    }
    return graph_print(&m->graph, out) ? INGLE_OK : error_memory(err, out->n, "the graph's text");
}
