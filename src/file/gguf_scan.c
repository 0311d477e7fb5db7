/* The walk over a GGUF header. Each scan_* function reads one item: it either advances s->at past
 * it, or sets s->need beyond the bytes at hand and changes nothing else that counts. */
#include "file/gguf_scan.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/utf8.h"
#include "quant/quant.h"

typedef struct {
    const uint8_t *p;
    uint64_t n;
} view;

size_t gguf_type_bytes(uint32_t type)
{
    static const uint8_t bytes[GGUF_TYPE_COUNT] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,  [GGUF_U16] = 2,  [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
        [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8};
    return type < GGUF_TYPE_COUNT ? bytes[type] : 0;
}

static uint64_t add_or_max(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Are there `more` bytes at p? If not, says how many are needed. */
static bool have(gguf_scan *s, view v, uint64_t p, uint64_t more)
{
    if (p <= v.n && more <= v.n - p)
        return true;
    s->need = add_or_max(p, more);
    return false;
}

static bool read_u32(gguf_scan *s, view v, uint64_t *p, uint32_t *out)
{
    if (!have(s, v, *p, 4))
        return false;
    *out = gguf_load_u32(v.p + *p);
    *p += 4;
    return true;
}

static bool read_length(gguf_scan *s, view v, uint64_t *p, uint64_t *out)
{
    const unsigned width = gguf_length_bytes(s->version);
    if (!have(s, v, *p, width))
        return false;
    *out = gguf_load_length(s->version, v.p + *p);
    *p += width;
    return true;
}

/* ---- errors ------------------------------------------------------------------------------- */

typedef struct {
    char text[160];
} item_label;

/* "key general.name", or "key 3 of 19" while its name is not there yet. */
static item_label label(const gguf_scan *s, view v)
{
    item_label l;
    const bool tensor = s->values_left == 0;
    const char *kind = tensor ? "tensor" : "key";
    const uint64_t count = tensor ? s->n_tensors : s->n_values;
    const uint64_t left = tensor ? s->tensors_left : s->values_left;
    if (s->version == 0)
        snprintf(l.text, sizeof l.text, "the GGUF header");
    else if (s->name_n) {
        const uint8_t *name = v.p + s->name_at;
        const size_t n = utf8_cut(name, s->name_n > 100 ? 100 : (size_t)s->name_n);
        snprintf(l.text, sizeof l.text, "%s %.*s", kind, (int)n, (const char *)name);
    } else
        snprintf(l.text, sizeof l.text, "%s %" PRIu64 " of %" PRIu64, kind, count - left + 1, count);
    return l;
}

/* The bytes at hand do not hold the item: may more come? */
static ingle_status may_go_on(const gguf_scan *s, view v, ingle_error *err)
{
    if (s->need > s->total)
        return error_set(err, INGLE_ERR_FORMAT,
                         "%s goes on to byte %" PRIu64 " or further, the file has %" PRIu64,
                         label(s, v).text, s->need, s->total);
    if (s->need > GGUF_HEADER_MAX)
        return error_set(err, INGLE_ERR_FORMAT,
                         "%s goes on to byte %" PRIu64 ", a header ends by %d", label(s, v).text,
                         s->need, GGUF_HEADER_MAX);
    return INGLE_OK;
}

/* ---- items -------------------------------------------------------------------------------- */

static ingle_status check_version(uint32_t version, ingle_error *err)
{
    if (version != 0 && (version & 0xFFFF) == 0)
        return error_set(err, INGLE_ERR_UNSUPPORTED,
                         "a big-endian GGUF file: only little-endian ones are read");
    if (version == 0)
        return error_set(err, INGLE_ERR_FORMAT, "GGUF version 0 does not exist");
    if (version > 3)
        return error_set(err, INGLE_ERR_UNSUPPORTED, "GGUF version %" PRIu32 ", known are 1 to 3",
                         version);
    return INGLE_OK;
}

/* Magic, version, counts. */
static ingle_status scan_head(gguf_scan *s, view v, ingle_error *err)
{
    if (v.n && memcmp(v.p, "GGUF", v.n < 4 ? (size_t)v.n : 4) != 0)
        return error_set(err, INGLE_ERR_FORMAT, "not a GGUF file: it does not begin with GGUF");
    if (!have(s, v, 0, 8))
        return INGLE_OK;
    const uint32_t version = gguf_load_u32(v.p + 4);
    const ingle_status status = check_version(version, err);
    if (status != INGLE_OK)
        return status;
    const unsigned width = gguf_length_bytes(version);
    if (!have(s, v, 8, 2 * width))
        return INGLE_OK;
    const uint64_t n_tensors = gguf_load_length(version, v.p + 8);
    const uint64_t n_values = gguf_load_length(version, v.p + 8 + width);
    const uint64_t at = 8 + 2 * width;
    // The least an item takes: a name of one byte, and a one-byte value or one dimension.
    const uint64_t least_value = width + 1 + 4 + 1, least_tensor = width + 1 + 4 + width + 4 + 8;
    if (n_tensors > GGUF_COUNT_MAX || n_values > GGUF_COUNT_MAX ||
        n_tensors * least_tensor + n_values * least_value > s->total - at)
        return error_set(err, INGLE_ERR_FORMAT,
                         "%" PRIu64 " keys and %" PRIu64 " tensors are more than a file of %" PRIu64
                         " bytes can hold (or than %d)",
                         n_values, n_tensors, s->total, GGUF_COUNT_MAX);
    s->version = version;
    s->n_values = s->values_left = n_values;
    s->n_tensors = s->tensors_left = n_tensors;
    s->at = at;
    return INGLE_OK;
}

/* A key or tensor name. *got is false when bytes are missing. */
static ingle_status scan_name(gguf_scan *s, view v, uint64_t *p, str *name, bool *got,
                              ingle_error *err)
{
    uint64_t n;
    *got = false;
    if (!read_length(s, v, p, &n))
        return INGLE_OK;
    if (n == 0 || n > GGUF_NAME_MAX)
        return error_set(err, INGLE_ERR_FORMAT, "%s has a name of %" PRIu64 " bytes, 1 to %d can be",
                         label(s, v).text, n, GGUF_NAME_MAX);
    if (!have(s, v, *p, n))
        return INGLE_OK;
    *name = (str){(const char *)v.p + *p, (size_t)n};
    for (size_t i = 0, used; i < n; i += used) {
        bool valid;
        const uint32_t c = utf8_decode(v.p + *p + i, (size_t)n - i, &used, &valid);
        if (!valid || c < 32 || (c >= 127 && c < 160))
            return error_set(err, INGLE_ERR_FORMAT, "the name of %s is no plain text at byte %zu",
                             label(s, v).text, i);
    }
    s->name_at = *p;
    s->name_n = n;
    *p += n;
    *got = true;
    return INGLE_OK;
}

/* Numbers [n] of an array, or the one of a scalar. */
static ingle_status scan_numbers(gguf_scan *s, view v, uint64_t *p, uint64_t n, bool *got,
                                 ingle_error *err)
{
    gguf_value *value = &s->value;
    uint64_t bytes;
    *got = false;
    if (!u64_mul(n, gguf_type_bytes(value->item_type), &bytes))
        return error_set(err, INGLE_ERR_FORMAT, "%s has an array of %" PRIu64 " items",
                         label(s, v).text, n);
    if (!have(s, v, *p, bytes))
        return INGLE_OK;
    if (value->item_type == GGUF_BOOL)
        for (uint64_t i = 0; i < bytes; i++)
            if (v.p[*p + i] > 1)
                return error_set(err, INGLE_ERR_FORMAT, "%s has a boolean of value %d, not 0 or 1",
                                 label(s, v).text, v.p[*p + i]);
    value->bytes = (str){(const char *)v.p + *p, (size_t)bytes};
    *p += bytes;
    *got = true;
    return INGLE_OK;
}

/* The head of an array; numbers with it, strings are left to scan_strings. */
static ingle_status scan_array(gguf_scan *s, view v, uint64_t *p, bool *got, ingle_error *err)
{
    uint32_t type;
    uint64_t n;
    *got = false;
    if (!read_u32(s, v, p, &type))
        return INGLE_OK;
    if (type != GGUF_STRING && gguf_type_bytes(type) == 0)
        return error_set(err, INGLE_ERR_FORMAT, "%s is an array of %s %" PRIu32, label(s, v).text,
                         type == GGUF_ARRAY ? "arrays, type" : "unknown type", type);
    if (!read_length(s, v, p, &n))
        return INGLE_OK;
    s->value.item_type = (gguf_type)type;
    s->value.n_items = n;
    if (type != GGUF_STRING)
        return scan_numbers(s, v, p, n, got, err);
    s->value.bytes = (str){(const char *)v.p + *p, 0};
    s->strings_left = n;
    *got = true;
    return INGLE_OK;
}

static ingle_status scan_value(gguf_scan *s, view v, ingle_error *err)
{
    uint64_t p = s->at, n;
    uint32_t type;
    bool got;
    s->name_n = 0;
    ingle_status status = scan_name(s, v, &p, &s->value.key, &got, err);
    if (status != INGLE_OK || !got || !read_u32(s, v, &p, &type))
        return status;
    if (type >= GGUF_TYPE_COUNT)
        return error_set(err, INGLE_ERR_FORMAT, "%s has a value of unknown type %" PRIu32,
                         label(s, v).text, type);
    s->value.type = s->value.item_type = (gguf_type)type;
    s->value.n_items = 1;
    if (type == GGUF_STRING) {
        if (!read_length(s, v, &p, &n) || !have(s, v, p, n))
            return INGLE_OK;
        s->value.bytes = (str){(const char *)v.p + p, (size_t)n};
        p += n;
    } else {
        status = type == GGUF_ARRAY ? scan_array(s, v, &p, &got, err)
                                    : scan_numbers(s, v, &p, 1, &got, err);
        if (status != INGLE_OK || !got)
            return status;
    }
    s->at = p;
    return INGLE_OK;
}

/* Goes over the strings of the open array; every call gets as far as the bytes allow. */
static void scan_strings(gguf_scan *s, view v)
{
    const unsigned width = gguf_length_bytes(s->version);
    uint64_t p = s->at, left = s->strings_left;
    while (left) {
        if (v.n - p < width)
            break;
        const uint64_t n = gguf_load_length(s->version, v.p + p);
        if (n > v.n - p - width)
            break;
        p += width + n;
        left--;
    }
    s->at = p;
    s->strings_left = left;
    if (left) {
        // Each of the rest takes its length at least; so a wrong count is seen at once.
        uint64_t text = v.n - p < width ? 0 : gguf_load_length(s->version, v.p + p), rest;
        if (!u64_mul(left, width, &rest))
            rest = UINT64_MAX;
        s->need = add_or_max(add_or_max(p, text), rest);
    } else {
        s->value.bytes.n = (size_t)((const char *)v.p + p - s->value.bytes.p);
    }
}

/* n_values and bytes of the tensor from its shape and format. */
static ingle_status size_tensor(const gguf_scan *s, view v, gguf_tensor *t, ingle_error *err)
{
    t->n_values = 1;
    for (uint32_t i = 0; i < t->n_dims; i++) {
        if (t->shape[i] == 0)
            return error_set(err, INGLE_ERR_FORMAT, "%s has no values: dimension %" PRIu32 " is 0",
                             label(s, v).text, i);
        if (!u64_mul(t->n_values, t->shape[i], &t->n_values) || t->n_values > INT64_MAX)
            return error_set(err, INGLE_ERR_FORMAT, "%s has dimensions whose product is too large",
                             label(s, v).text);
    }
    const quant_traits *format = quant_find(t->format);
    if (!format) {
        const char *name = quant_foreign_name(t->format);
        return error_set(err, INGLE_ERR_UNSUPPORTED, "%s has format %" PRIu32 "%s%s%s, which is not known",
                         label(s, v).text, t->format, name ? " (" : "", name ? name : "",
                         name ? ")" : "");
    }
    uint64_t row;
    if (!quant_bytes(t->format, t->shape[0], &row))
        return error_set(err, INGLE_ERR_FORMAT,
                         "%s has rows of %" PRIu64 " values, which are no whole %s blocks of %" PRIu32,
                         label(s, v).text, t->shape[0], format->name, format->values);
    if (!u64_mul(row, t->n_values / t->shape[0], &t->bytes))
        return error_set(err, INGLE_ERR_FORMAT, "%s is too large", label(s, v).text);
    return INGLE_OK;
}

static ingle_status scan_tensor(gguf_scan *s, view v, ingle_error *err)
{
    uint64_t p = s->at;
    bool got;
    gguf_tensor t = {.shape = {1, 1, 1, 1}};
    s->name_n = 0;
    ingle_status status = scan_name(s, v, &p, &t.name, &got, err);
    if (status != INGLE_OK || !got || !read_u32(s, v, &p, &t.n_dims))
        return status;
    if (t.n_dims < 1 || t.n_dims > 4)
        return error_set(err, INGLE_ERR_FORMAT, "%s has %" PRIu32 " dimensions, 1 to 4 can be",
                         label(s, v).text, t.n_dims);
    for (uint32_t i = 0; i < t.n_dims; i++)
        if (!read_length(s, v, &p, &t.shape[i]))
            return INGLE_OK;
    if (!read_u32(s, v, &p, &t.format) || !have(s, v, p, 8))
        return INGLE_OK;
    t.offset = gguf_load_u64(v.p + p);
    status = size_tensor(s, v, &t, err);
    if (status != INGLE_OK)
        return status;
    s->tensor = t;
    s->at = p + 8;
    return INGLE_OK;
}

ingle_status gguf_scan_next(gguf_scan *s, const void *bytes, size_t n, gguf_scan_event *event,
                            ingle_error *err)
{
    const view v = {bytes, n};
    ingle_status status = INGLE_OK;
    *event = GGUF_SCAN_MORE;
    s->need = s->at;
    if (s->version == 0) {
        status = scan_head(s, v, err);
        if (status == INGLE_OK && s->need <= n)
            *event = GGUF_SCAN_HEAD;
    } else if (s->values_left) {
        if (s->strings_left == 0)
            status = scan_value(s, v, err);
        if (status == INGLE_OK && s->strings_left && s->need <= n)
            scan_strings(s, v);
        if (status == INGLE_OK && s->need <= n) {
            s->values_left--;
            *event = GGUF_SCAN_VALUE;
        }
    } else if (s->tensors_left) {
        status = scan_tensor(s, v, err);
        if (status == INGLE_OK && s->need <= n) {
            s->tensors_left--;
            *event = GGUF_SCAN_TENSOR;
        }
    } else {
        *event = GGUF_SCAN_END;
    }
    return status == INGLE_OK && *event == GGUF_SCAN_MORE ? may_go_on(s, v, err) : status;
}
