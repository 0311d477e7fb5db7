/* Reading and printing the values of a parsed GGUF header. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/utf8.h"
#include "file/gguf_scan.h"

const char *gguf_type_name(gguf_type type)
{
    static const char *const names[GGUF_TYPE_COUNT] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                                       "bool", "string", "array", "u64", "i64", "f64"};
    return (unsigned)type < GGUF_TYPE_COUNT ? names[type] : "unknown";
}

/* ---- numbers ------------------------------------------------------------------------------ */

/* A number as stored: one of three kinds. */
typedef struct {
    enum { NOT_A_NUMBER_TYPE, SIGNED, UNSIGNED, FLOATING } kind;
    int64_t i;
    uint64_t u;
    double f;
} number;

static number as_signed(int64_t i)
{
    return (number){.kind = SIGNED, .i = i};
}

static number as_unsigned(uint64_t u)
{
    return (number){.kind = UNSIGNED, .u = u};
}

static number as_floating(double f)
{
    return (number){.kind = FLOATING, .f = f};
}

static number load(const gguf_value *v, uint64_t i)
{
    const size_t bytes = gguf_type_bytes(v->item_type);
    if (bytes == 0 || i >= v->n_items)
        return (number){.kind = NOT_A_NUMBER_TYPE};
    union {
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
        float f32;
        double f64;
    } x;
    memcpy(&x, v->bytes.p + (size_t)i * bytes, bytes);
    switch (v->item_type) {
    case GGUF_U8:
    case GGUF_BOOL: return as_unsigned(x.u8);
    case GGUF_I8: return as_signed(x.i8);
    case GGUF_U16: return as_unsigned(x.u16);
    case GGUF_I16: return as_signed(x.i16);
    case GGUF_U32: return as_unsigned(x.u32);
    case GGUF_I32: return as_signed(x.i32);
    case GGUF_U64: return as_unsigned(x.u64);
    case GGUF_I64: return as_signed(x.i64);
    case GGUF_F32: return as_floating((double)x.f32);
    case GGUF_F64: return as_floating(x.f64);
    default: return (number){.kind = NOT_A_NUMBER_TYPE};
    }
}

bool gguf_item_i64(const gguf_value *v, uint64_t i, int64_t *out)
{
    const number x = load(v, i);
    switch (x.kind) {
    case SIGNED: *out = x.i; return true;
    case UNSIGNED:
        if (x.u > INT64_MAX)
            return false;
        *out = (int64_t)x.u;
        return true;
    case FLOATING: // whole numbers only; the bounds are exact doubles and also keep NaN out
        if (!(x.f >= -9223372036854775808.0 && x.f < 9223372036854775808.0) || x.f != floor(x.f))
            return false;
        *out = (int64_t)x.f;
        return true;
    default: return false;
    }
}

bool gguf_item_f64(const gguf_value *v, uint64_t i, double *out)
{
    const number x = load(v, i);
    switch (x.kind) {
    case SIGNED: *out = (double)x.i; return true;
    case UNSIGNED: *out = (double)x.u; return true;
    case FLOATING: *out = x.f; return true;
    default: return false;
    }
}

/* ---- by key ------------------------------------------------------------------------------- */

bool gguf_get_u32(const gguf *g, const char *key, uint32_t *out)
{
    const gguf_value *v = gguf_find(g, key);
    int64_t x;
    if (!v || !gguf_item_i64(v, 0, &x) || x < 0 || x > UINT32_MAX)
        return false;
    *out = (uint32_t)x;
    return true;
}

bool gguf_get_f32(const gguf *g, const char *key, float *out)
{
    const gguf_value *v = gguf_find(g, key);
    double x;
    if (!v || !gguf_item_f64(v, 0, &x) || (isfinite(x) && fabs(x) > (double)FLT_MAX))
        return false;
    *out = (float)x;
    return true;
}

bool gguf_get_bool(const gguf *g, const char *key, bool *out)
{
    const gguf_value *v = gguf_find(g, key);
    int64_t x;
    if (!v || !gguf_item_i64(v, 0, &x) || x < 0 || x > 1)
        return false;
    *out = x == 1;
    return true;
}

bool gguf_get_str(const gguf *g, const char *key, str *out)
{
    const gguf_value *v = gguf_find(g, key);
    if (!v || v->type != GGUF_STRING)
        return false;
    *out = v->bytes;
    return true;
}

bool gguf_next_str(const gguf *g, const gguf_value *v, size_t *cursor, str *out)
{
    const unsigned width = gguf_length_bytes(g->version);
    if (v->type != GGUF_ARRAY || v->item_type != GGUF_STRING || *cursor >= v->bytes.n)
        return false;
    const char *p = v->bytes.p + *cursor;
    *out = (str){p + width, (size_t)gguf_load_length(g->version, p)}; // the parser checked it
    *cursor += width + out->n;
    return true;
}

/* ---- printing ----------------------------------------------------------------------------- */

typedef struct {
    char *text;
    size_t n, room; // room: for text, without the NUL
    bool full;
} printer;

static void put(printer *out, const char *bytes, size_t n)
{
    if (out->full)
        return;
    if (n > out->room - out->n) {
        out->full = true;
        return;
    }
    memcpy(out->text + out->n, bytes, n);
    out->n += n;
}

static void put_text(printer *out, str s)
{
    for (size_t i = 0, used; i < s.n && !out->full; i += used) {
        bool valid;
        const uint32_t c = utf8_decode((const uint8_t *)s.p + i, s.n - i, &used, &valid);
        const bool plain = valid && c >= 32 && !(c >= 127 && c < 160);
        put(out, plain ? s.p + i : "?", plain ? used : 1);
    }
}

static void put_number(printer *out, const gguf_value *v, uint64_t i)
{
    char text[48];
    const number x = load(v, i);
    if (v->item_type == GGUF_BOOL)
        snprintf(text, sizeof text, "%s", x.u ? "true" : "false");
    else if (x.kind == SIGNED)
        snprintf(text, sizeof text, "%" PRId64, x.i);
    else if (x.kind == UNSIGNED)
        snprintf(text, sizeof text, "%" PRIu64, x.u);
    else
        snprintf(text, sizeof text, v->item_type == GGUF_F32 ? "%.7g" : "%.15g", x.f);
    for (char *p = text; *p; p++) // some locales' decimal point
        if (*p == ',')
            *p = '.';
    put(out, text, strlen(text));
}

static void put_array(printer *out, const gguf *g, const gguf_value *v)
{
    char head[48];
    const int n = snprintf(head, sizeof head, "[%" PRIu64 " x %s]", v->n_items, gguf_type_name(v->item_type));
    put(out, head, (size_t)n);
    size_t cursor = 0;
    for (uint64_t i = 0; i < v->n_items && !out->full; i++) {
        put(out, i ? ", " : " ", i ? 2 : 1);
        str item;
        if (v->item_type != GGUF_STRING)
            put_number(out, v, i);
        else if (gguf_next_str(g, v, &cursor, &item))
            put_text(out, item);
    }
}

void gguf_print_value(const gguf *g, const gguf_value *v, char *text, size_t n)
{
    if (n == 0)
        return;
    printer out = {.text = text, .room = n - 1};
    if (v->type == GGUF_ARRAY)
        put_array(&out, g, v);
    else if (v->type == GGUF_STRING)
        put_text(&out, v->bytes);
    else
        put_number(&out, v, 0);
    if (out.full && out.room >= 3) {
        if (out.n > out.room - 3) {
            out.n = out.room - 3;
            while (out.n && ((unsigned char)text[out.n] & 0xC0) == 0x80)
                out.n--; // not inside a character
        }
        memcpy(text + out.n, "...", 3);
        out.n += 3;
    }
    text[out.n] = 0;
}
