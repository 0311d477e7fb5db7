/* Writing GGUF (version 3). Collects the two lists of the header; refuses what the reader refuses,
 * by reading it back. */
#include <inttypes.h>
#include <stdlib.h>

#include "file/gguf_scan.h"
#include "quant/quant.h"

static void fail(gguf_writer *w, ingle_status status, const char *what, str name)
{
    if (w->error.status == INGLE_OK)
        error_set(&w->error, status, "writing %.*s: %s", STR_ARG(name), what);
}

/* The first thing every call does; also hands the allocator on. */
static bool ready(gguf_writer *w)
{
    if (w->error.status != INGLE_OK)
        return false;
    w->values.allocator = w->tensors.allocator = w->allocator;
    return true;
}

static bool put_u32(ingle_text *t, uint32_t x)
{
    return text_add(t, (const char *)&x, sizeof x);
}

static bool put_u64(ingle_text *t, uint64_t x)
{
    return text_add(t, (const char *)&x, sizeof x);
}

static bool put_str(ingle_text *t, str s)
{
    return put_u64(t, s.n) && text_add_str(t, s);
}

static bool put_zeros(ingle_text *t, uint64_t n)
{
    static const char zeros[64];
    for (; n > sizeof zeros; n -= sizeof zeros)
        if (!text_add(t, zeros, sizeof zeros))
            return false;
    return text_add(t, zeros, (size_t)n);
}

static uint32_t alignment(const gguf_writer *w)
{
    return w->alignment ? w->alignment : 32;
}

/* ---- values ------------------------------------------------------------------------------- */

/* general.alignment says where tensors go, so the writer must follow what it writes. */
static void follow_alignment(gguf_writer *w, str key, gguf_type type, const void *value)
{
    const gguf_value v = {.type = type, .item_type = type, .n_items = 1,
                          .bytes = {value, gguf_type_bytes(type)}};
    int64_t x;
    if (w->n_tensors)
        fail(w, INGLE_ERR_USAGE, "the alignment comes before the first tensor", key);
    else if (!gguf_item_i64(&v, 0, &x) || x < 8 || x > GGUF_ALIGNMENT_MAX || (x & (x - 1)) != 0)
        fail(w, INGLE_ERR_USAGE, "an alignment is a power of two from 8 to 1048576", key);
    else
        w->alignment = (uint32_t)x;
    w->has_alignment = true;
}

/* Closes a value: counts it, or reports that memory ran out. */
static void close_value(gguf_writer *w, str key, bool ok)
{
    if (!ok)
        fail(w, INGLE_ERR_MEMORY, "no memory", key);
    w->n_values++;
}

static void write_scalar(gguf_writer *w, str key, gguf_type type, const void *value)
{
    if (!ready(w))
        return;
    const size_t bytes = gguf_type_bytes(type);
    if (bytes == 0) {
        fail(w, INGLE_ERR_USAGE, "not a type of numbers", key);
        return;
    }
    if (str_equal(key, STR("general.alignment")))
        follow_alignment(w, key, type, value);
    close_value(w, key, put_str(&w->values, key) && put_u32(&w->values, type) &&
                            text_add(&w->values, value, bytes));
}

static void write_array(gguf_writer *w, str key, gguf_type item_type, const void *items, uint64_t n)
{
    if (!ready(w))
        return;
    const size_t size = gguf_type_bytes(item_type);
    if (size == 0 || n > PTRDIFF_MAX / size) {
        fail(w, INGLE_ERR_USAGE, "not an array of numbers", key);
        return;
    }
    close_value(w, key, put_str(&w->values, key) && put_u32(&w->values, GGUF_ARRAY) &&
                            put_u32(&w->values, item_type) && put_u64(&w->values, n) &&
                            text_add(&w->values, items, (size_t)n * size));
}

static void write_str(gguf_writer *w, str key, str value)
{
    if (ready(w))
        close_value(w, key, put_str(&w->values, key) && put_u32(&w->values, GGUF_STRING) &&
                                put_str(&w->values, value));
}

static bool open_strs(gguf_writer *w, str key, uint64_t n)
{
    return put_str(&w->values, key) && put_u32(&w->values, GGUF_ARRAY) &&
           put_u32(&w->values, GGUF_STRING) && put_u64(&w->values, n);
}

void gguf_write_scalar(gguf_writer *w, const char *key, gguf_type type, const void *value)
{
    write_scalar(w, str_of(key), type, value);
}

void gguf_write_u32(gguf_writer *w, const char *key, uint32_t value)
{
    write_scalar(w, str_of(key), GGUF_U32, &value);
}

void gguf_write_i32(gguf_writer *w, const char *key, int32_t value)
{
    write_scalar(w, str_of(key), GGUF_I32, &value);
}

void gguf_write_u64(gguf_writer *w, const char *key, uint64_t value)
{
    write_scalar(w, str_of(key), GGUF_U64, &value);
}

void gguf_write_f32(gguf_writer *w, const char *key, float value)
{
    write_scalar(w, str_of(key), GGUF_F32, &value);
}

void gguf_write_bool(gguf_writer *w, const char *key, bool value)
{
    const uint8_t byte = value;
    write_scalar(w, str_of(key), GGUF_BOOL, &byte);
}

void gguf_write_str(gguf_writer *w, const char *key, str value)
{
    write_str(w, str_of(key), value);
}

void gguf_write_array(gguf_writer *w, const char *key, gguf_type item_type, const void *items,
                      uint64_t n)
{
    write_array(w, str_of(key), item_type, items, n);
}

void gguf_write_strs(gguf_writer *w, const char *key, const str *items, uint64_t n)
{
    if (!ready(w))
        return;
    bool ok = open_strs(w, str_of(key), n);
    for (uint64_t i = 0; i < n && ok; i++)
        ok = put_str(&w->values, items[i]);
    close_value(w, str_of(key), ok);
}

void gguf_write_value(gguf_writer *w, const gguf *g, const gguf_value *v)
{
    if (v->type == GGUF_STRING) {
        write_str(w, v->key, v->bytes);
    } else if (v->type != GGUF_ARRAY) {
        write_scalar(w, v->key, v->type, v->bytes.p);
    } else if (v->item_type != GGUF_STRING) {
        write_array(w, v->key, v->item_type, v->bytes.p, v->n_items);
    } else if (ready(w)) { // item by item, as version 1 has other lengths
        bool ok = open_strs(w, v->key, v->n_items);
        size_t cursor = 0;
        str item;
        while (ok && gguf_next_str(g, v, &cursor, &item))
            ok = put_str(&w->values, item);
        close_value(w, v->key, ok);
    }
}

/* ---- tensors ------------------------------------------------------------------------------ */

uint64_t gguf_padding(const gguf_writer *w, uint64_t bytes)
{
    return (0 - bytes) & (uint64_t)(alignment(w) - 1);
}

/* Bytes of a tensor; false if its shape and format do not go together. */
static bool tensor_bytes(uint32_t format, uint32_t n_dims, const uint64_t *shape, uint64_t *out)
{
    if (n_dims < 1 || n_dims > 4 || !quant_find(format) || !quant_bytes(format, shape[0], out))
        return false;
    for (uint32_t i = 1; i < n_dims; i++)
        if (!u64_mul(*out, shape[i], out))
            return false;
    return *out > 0;
}

uint64_t gguf_write_tensor(gguf_writer *w, str name, uint32_t format, uint32_t n_dims,
                           const uint64_t *shape)
{
    if (!ready(w))
        return 0;
    const uint64_t offset = w->data_bytes;
    uint64_t bytes, end;
    if (!tensor_bytes(format, n_dims, shape, &bytes) || !u64_add(offset, bytes, &end) ||
        !u64_add(end, gguf_padding(w, end), &end)) {
        fail(w, INGLE_ERR_USAGE, "no tensor has this shape in this format", name);
        return 0;
    }
    bool ok = put_str(&w->tensors, name) && put_u32(&w->tensors, n_dims);
    for (uint32_t i = 0; i < n_dims; i++)
        ok = ok && put_u64(&w->tensors, shape[i]);
    if (!ok || !put_u32(&w->tensors, format) || !put_u64(&w->tensors, offset)) {
        fail(w, INGLE_ERR_MEMORY, "no memory", name);
        return 0;
    }
    w->n_tensors++;
    w->data_bytes = end;
    return offset;
}

/* ---- the header --------------------------------------------------------------------------- */

static bool put_header(gguf_writer *w, ingle_text *out, size_t start)
{
    if (!text_add(out, "GGUF", 4) || !put_u32(out, 3) || !put_u64(out, w->n_tensors) ||
        !put_u64(out, w->n_values) || !text_add(out, w->values.bytes, w->values.n) ||
        !text_add(out, w->tensors.bytes, w->tensors.n))
        return false;
    return put_zeros(out, gguf_padding(w, out->n - start));
}

ingle_status gguf_write_header(gguf_writer *w, ingle_text *out, ingle_error *err)
{
    if (w->alignment && w->alignment != 32 && !w->has_alignment) {
        // Tensors may have been announced with it already: only the key is missing.
        const uint64_t n_tensors = w->n_tensors;
        w->n_tensors = 0;
        gguf_write_u32(w, "general.alignment", w->alignment);
        w->n_tensors = n_tensors;
    }
    if (w->error.status != INGLE_OK)
        return error_set(err, w->error.status, "%s", w->error.text);
    const size_t start = out->n;
    uint64_t total, need;
    if (!put_header(w, out, start)) {
        out->n = start;
        return error_memory(err, size_add(w->values.n, w->tensors.n), "GGUF header");
    }
    gguf check;
    ingle_status status = INGLE_ERR_USAGE;
    if (!u64_add(out->n - start, w->data_bytes, &total))
        error_set(err, status, "writing a GGUF file: it would be too large");
    else
        status = gguf_parse(&check, out->bytes + start, out->n - start, total, &need, &w->allocator, err);
    if (status != INGLE_OK) {
        out->n = start;
        if (status == INGLE_ERR_FORMAT && err)
            err->status = INGLE_ERR_USAGE;
        return status == INGLE_ERR_FORMAT ? INGLE_ERR_USAGE : status;
    }
    gguf_free(&check);
    return error_clear(err);
}

void gguf_writer_free(gguf_writer *w)
{
    if (!w)
        return;
    ingle_text_free(&w->values);
    ingle_text_free(&w->tensors);
}
