#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/utf8.h"

/* ---- numbers ------------------------------------------------------------------------------ */

/* A decimal rounds to the same double whatever follows its first 768 significant digits, but for
 * whether anything but zeros follows. */
enum { SIGNIFICANT = 768 };

/* Collects significant digits without a decimal point, which is what a locale could change. */
typedef struct {
    char digits[SIGNIFICANT + 32];
    size_t n;
    int64_t shift; // value = digits * 10^shift
    bool more;     // something but zeros was left out
} decimal;

static void decimal_add(decimal *d, char digit, bool fraction)
{
    if (d->n == 0 && digit == '0') {
        d->shift -= fraction;
    } else if (d->n < SIGNIFICANT) {
        d->digits[d->n++] = digit;
        d->shift -= fraction;
    } else {
        d->more = d->more || digit != '0';
        d->shift += !fraction;
    }
}

static double decimal_value(decimal *d, int64_t exponent)
{
    if (d->n == 0)
        return 0;
    if (d->more) {
        d->digits[d->n++] = '1';
        d->shift--;
    }
    int64_t power = d->shift + exponent;
    // Beyond these the result is an infinity or zero, whatever the (at most 800) digits are.
    power = power > 4000 ? 4000 : power < -4000 ? -4000 : power;
    snprintf(d->digits + d->n, 16, "e%d", (int)power);
    return strtod(d->digits, NULL);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool json_read_double(str text, double *out)
{
    decimal d = {.n = 0};
    size_t i = 0, n_digits = 0;
    const bool minus = text.n > 0 && text.p[0] == '-';
    if (text.n > 0 && (text.p[0] == '-' || text.p[0] == '+'))
        i++;
    for (; i < text.n && is_digit(text.p[i]); i++, n_digits++)
        decimal_add(&d, text.p[i], false);
    if (i < text.n && text.p[i] == '.')
        for (i++; i < text.n && is_digit(text.p[i]); i++, n_digits++)
            decimal_add(&d, text.p[i], true);
    int64_t exponent = 0;
    if (n_digits && i < text.n && (text.p[i] == 'e' || text.p[i] == 'E')) {
        const bool down = ++i < text.n && text.p[i] == '-';
        if (i < text.n && (text.p[i] == '-' || text.p[i] == '+'))
            i++;
        if (i == text.n)
            return false;
        for (; i < text.n && is_digit(text.p[i]); i++)
            exponent = exponent < INT64_MAX / 20 ? exponent * 10 + (text.p[i] - '0') : exponent;
        exponent = down ? -exponent : exponent;
    }
    if (n_digits == 0 || i != text.n)
        return false;
    const double value = decimal_value(&d, exponent);
    *out = minus ? -value : value;
    return true;
}

/* The digits of x to n places; out [n]. Returns the exponent of the first. */
static int digits_to(double x, int n, char *out)
{
    char text[48];
    snprintf(text, sizeof text, "%.*e", n - 1, x);
    int got = 0;
    const char *p = text;
    for (; *p && *p != 'e'; p++) // whatever the locale puts after the first digit is passed over
        if (is_digit(*p) && got < n)
            out[got++] = *p;
    return *p ? atoi(p + 1) : 0;
}

static double digits_read(const char *digits, int n, int exponent)
{
    char text[48];
    snprintf(text, sizeof text, "%.*se%d", n, digits, exponent - (n - 1));
    return strtod(text, NULL);
}

/* At a power of two the doubles below lie closer than those above, and the nearest decimal of n
 * digits may fall to the wrong side while its upper neighbour reads back. */
static bool step_up(char *digits, int n)
{
    for (int i = n - 1; i >= 0; i--) {
        if (digits[i]++ != '9')
            return true;
        digits[i] = '0';
    }
    return false;
}

int json_shortest_digits(double x, char digits[18], int *exponent)
{
    x = fabs(x);
    if (!(x > 0)) {
        memcpy(digits, "0", 2);
        *exponent = 1;
        return 1;
    }
    // Any decimal of up to 15 digits survives the way through a normal double.
    int n = x < 2.3e-308 ? 1 : 15, first = 0;
    for (; n <= 17; n++) {
        first = digits_to(x, n, digits);
        if (!(digits_read(digits, n, first) < x) && !(digits_read(digits, n, first) > x))
            break;
        if (n == 16 && step_up(digits, n) && !(digits_read(digits, n, first) < x) &&
            !(digits_read(digits, n, first) > x))
            break;
    }
    n = n > 17 ? 17 : n;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    digits[n] = 0;
    *exponent = first + 1;
    return n;
}

size_t json_print_double(char out[JSON_DOUBLE_TEXT], double x)
{
    if (isnan(x) || isinf(x))
        return (size_t)snprintf(out, JSON_DOUBLE_TEXT, "%s", isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
    char digits[18];
    int point;
    const int n = json_shortest_digits(x, digits, &point);
    char *p = out;
    if (signbit(x))
        *p++ = '-';
    if (point > 16 || point < -3) {
        *p++ = digits[0];
        if (n > 1)
            *p++ = '.';
        memcpy(p, digits + 1, (size_t)(n - 1));
        p += n - 1;
        p += snprintf(p, 8, "e%c%02d", point > 0 ? '+' : '-', abs(point - 1));
        return (size_t)(p - out);
    }
    if (point <= 0) {
        *p++ = '0';
        *p++ = '.';
        for (int i = point; i < 0; i++)
            *p++ = '0';
    }
    for (int i = 0; i < n || i < point; i++) {
        if (i == point && i > 0)
            *p++ = '.';
        *p++ = i < n ? digits[i] : '0';
    }
    if (point >= n) {
        *p++ = '.';
        *p++ = '0';
    }
    *p = 0;
    return (size_t)(p - out);
}

bool json_write_double(ingle_text *out, double x)
{
    char text[JSON_DOUBLE_TEXT];
    return text_add(out, text, json_print_double(text, x));
}

/* ---- reading ------------------------------------------------------------------------------ */

typedef struct {
    const char *bytes;
    size_t n, at;
    arena *memory;
    ingle_error *err;
} reader;

static ingle_status fail(const reader *r, size_t at, const char *what)
{
    size_t line = 1, start = 0;
    for (size_t i = 0; i < at && i < r->n; i++)
        if (r->bytes[i] == '\n') {
            line++;
            start = i + 1;
        }
    return error_set(r->err, INGLE_ERR_FORMAT, "JSON, line %zu column %zu: %s", line, at - start + 1,
                     what);
}

static void skip_space(reader *r)
{
    while (r->at < r->n) {
        const char c = r->bytes[r->at];
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r')
            return;
        r->at++;
    }
}

static bool read_hex4(const char *p, size_t n, uint32_t *out)
{
    if (n < 4)
        return false;
    *out = 0;
    for (int i = 0; i < 4; i++) {
        const char c = p[i];
        const int digit = is_digit(c)             ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0)
            return false;
        *out = *out * 16 + (uint32_t)digit;
    }
    return true;
}

/* The escape at r->at (behind the backslash) into out; *n grows by what was written. */
static ingle_status read_escape(reader *r, char *out, size_t *n)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *known = r->at < r->n && r->bytes[r->at] ? strchr(from, r->bytes[r->at]) : NULL;
    if (known) {
        out[(*n)++] = to[known - from];
        r->at++;
        return INGLE_OK;
    }
    uint32_t code, low;
    if (r->at >= r->n || r->bytes[r->at] != 'u' ||
        !read_hex4(r->bytes + r->at + 1, r->n - r->at - 1, &code))
        return fail(r, r->at, "unknown escape");
    r->at += 5;
    if (code >= 0xD800 && code < 0xDC00 && r->n - r->at >= 6 && r->bytes[r->at] == '\\' &&
        r->bytes[r->at + 1] == 'u' && read_hex4(r->bytes + r->at + 2, 4, &low) && low >= 0xDC00 &&
        low < 0xE000) {
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        r->at += 6;
    }
    if (code >= 0xD800 && code < 0xE000)
        code = UTF8_REPLACEMENT;
    *n += utf8_encode(code, out + *n);
    return INGLE_OK;
}

/* r->at is behind the opening quote. Escapes only shrink, so the source's length is room enough. */
static ingle_status read_string(reader *r, str *out)
{
    size_t end = r->at;
    while (end < r->n && r->bytes[end] != '"')
        end += r->bytes[end] == '\\' ? 2 : 1;
    if (end >= r->n)
        return fail(r, r->n, "a string has no end");
    char *text = arena_alloc(r->memory, size_add(end - r->at, 1));
    if (!text)
        return error_memory(r->err, end - r->at, "JSON");
    size_t n = 0;
    while (r->at < end) {
        const unsigned char c = (unsigned char)r->bytes[r->at];
        if (c == '\\') {
            r->at++;
            const ingle_status status = read_escape(r, text, &n);
            if (status != INGLE_OK)
                return status;
        } else if (c < 0x20) {
            return fail(r, r->at, "control character in a string");
        } else if (c < 0x80) {
            text[n++] = (char)c;
            r->at++;
        } else {
            size_t used;
            bool valid;
            utf8_decode((const uint8_t *)r->bytes + r->at, end - r->at, &used, &valid);
            if (!valid)
                return fail(r, r->at, "not UTF-8");
            memcpy(text + n, r->bytes + r->at, used);
            n += used;
            r->at += used;
        }
    }
    r->at++;
    text[n] = 0;
    *out = (str){text, n};
    return INGLE_OK;
}

static bool read_integer(str text, int64_t *out)
{
    const bool minus = text.p[0] == '-';
    uint64_t value = 0;
    for (size_t i = minus; i < text.n; i++) {
        uint64_t digit = (uint64_t)(text.p[i] - '0');
        if (!is_digit(text.p[i]) || !u64_mul(value, 10, &value) || !u64_add(value, digit, &value))
            return false;
    }
    if (value > (uint64_t)INT64_MAX + minus)
        return false;
    *out = minus ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

static ingle_status read_number(reader *r, json *value)
{
    const size_t start = r->at;
    const char *p = r->bytes;
    size_t i = start + (p[start] == '-');
    const size_t whole = i;
    while (i < r->n && is_digit(p[i]))
        i++;
    bool good = i > whole && (p[whole] != '0' || i == whole + 1);
    if (good && i < r->n && p[i] == '.') {
        const size_t fraction = ++i;
        while (i < r->n && is_digit(p[i]))
            i++;
        good = i > fraction;
    }
    if (good && i < r->n && (p[i] == 'e' || p[i] == 'E')) {
        i++;
        if (i < r->n && (p[i] == '+' || p[i] == '-'))
            i++;
        const size_t exponent = i;
        while (i < r->n && is_digit(p[i]))
            i++;
        good = i > exponent;
    }
    if (!good)
        return fail(r, i, "not a number");
    r->at = i;
    char *text = arena_text(r->memory, p + start, i - start);
    if (!text)
        return error_memory(r->err, i - start, "JSON");
    value->text = (str){text, i - start};
    value->type = read_integer(value->text, &value->integer) ? JSON_INTEGER : JSON_FLOAT;
    if (!json_read_double(value->text, &value->number))
        return fail(r, start, "not a number");
    return INGLE_OK;
}

static ingle_status read_word(reader *r, json *value)
{
    static const struct {
        str word;
        json_type type;
    } words[] = {
        {{"null", 4}, JSON_NULL}, {{"false", 5}, JSON_FALSE}, {{"true", 4}, JSON_TRUE}};
    const str rest = {r->bytes + r->at, r->n - r->at};
    for (size_t i = 0; i < 3; i++)
        if (str_starts(rest, words[i].word)) {
            value->type = words[i].type;
            r->at += words[i].word.n;
            return INGLE_OK;
        }
    return fail(r, r->at, r->at < r->n ? "a value was expected" : "ends too early");
}

/* ---- duplicate keys ----------------------------------------------------------------------- */

static int key_order(const json *a, const json *b)
{
    const size_t n = a->key.n < b->key.n ? a->key.n : b->key.n;
    const int c = n ? memcmp(a->key.p, b->key.p, n) : 0;
    return c ? c : (a->key.n > b->key.n) - (a->key.n < b->key.n);
}

/* Merge sort of items [n] by key, stable; spare [n]. Iterative: hostile sizes cost no stack. */
static json **sort_keys(json **items, json **spare, size_t n)
{
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t lo = 0; lo < n; lo += 2 * width) {
            const size_t mid = n - lo < width ? n : lo + width;
            const size_t hi = n - mid < width ? n : mid + width;
            size_t a = lo, b = mid;
            for (size_t i = lo; i < hi; i++)
                spare[i] = b >= hi || (a < mid && key_order(items[a], items[b]) <= 0) ? items[a++]
                                                                                      : items[b++];
        }
        json **swap = items;
        items = spare;
        spare = swap;
    }
    return items;
}

/* Of children with equal keys the first keeps its place and takes the last one's value. */
static ingle_status drop_duplicates(reader *r, json *object)
{
    const size_t n = object->n;
    if (n < 2)
        return INGLE_OK;
    json *small[64];
    json **items = small, **heap = NULL;
    if (n > 32) {
        heap = mem_alloc(&r->memory->allocator, size_mul(size_mul(n, 2), sizeof *heap));
        if (!heap)
            return error_memory(r->err, n, "JSON keys");
        items = heap;
    }
    size_t i = 0;
    for (json *c = object->first; c; c = c->next)
        items[i++] = c;
    json **sorted = sort_keys(items, items + n, n);
    bool doubled = false;
    for (size_t first = 0, next; first < n; first = next) {
        for (next = first + 1; next < n && key_order(sorted[first], sorted[next]) == 0; next++)
            sorted[next]->n = SIZE_MAX; // to be unlinked; its value moves first
        if (next > first + 1) {
            // A marked child's own count is lost, so count again what the last one holds.
            json *to = sorted[first], *from = sorted[next - 1], *after = to->next;
            size_t count = 0;
            for (const json *c = from->first; c; c = c->next)
                count++;
            *to = *from;
            to->n = count;
            to->next = after;
            doubled = true;
        }
    }
    if (doubled) {
        object->n = 0;
        for (json **link = &object->first; *link;) {
            if ((*link)->n == SIZE_MAX) {
                *link = (*link)->next;
            } else {
                object->n++;
                link = &(*link)->next;
            }
        }
    }
    mem_free(&r->memory->allocator, heap);
    return INGLE_OK;
}

/* ---- structure ---------------------------------------------------------------------------- */

typedef struct {
    json *value; // an open array or object
    json *last;  // its last child
} level;

static ingle_status read_key(reader *r, str *key)
{
    skip_space(r);
    if (r->at >= r->n || r->bytes[r->at] != '"')
        return fail(r, r->at, "a key was expected");
    r->at++;
    const ingle_status status = read_string(r, key);
    if (status != INGLE_OK)
        return status;
    skip_space(r);
    if (r->at >= r->n || r->bytes[r->at] != ':')
        return fail(r, r->at, "':' was expected");
    r->at++;
    return INGLE_OK;
}

static ingle_status read_value(reader *r, json *value)
{
    skip_space(r);
    const char c = r->at < r->n ? r->bytes[r->at] : 0;
    if (c == '[' || c == '{') {
        value->type = c == '[' ? JSON_ARRAY : JSON_OBJECT;
        r->at++;
        return INGLE_OK;
    }
    if (c == '"') {
        value->type = JSON_STRING;
        r->at++;
        return read_string(r, &value->text);
    }
    return c == '-' || is_digit(c) ? read_number(r, value) : read_word(r, value);
}

static bool take_byte(reader *r, char c)
{
    skip_space(r);
    if (r->at >= r->n || r->bytes[r->at] != c)
        return false;
    r->at++;
    return true;
}

/* One step within the innermost open value: a child, or its end (*child = NULL). */
static ingle_status read_child(reader *r, level *top, json **child)
{
    const bool object = top->value->type == JSON_OBJECT;
    *child = NULL;
    if (take_byte(r, object ? '}' : ']'))
        return object ? drop_duplicates(r, top->value) : INGLE_OK;
    if (top->last && !take_byte(r, ','))
        return fail(r, r->at, r->at < r->n ? "',' or an end was expected" : "ends too early");
    json *c = arena_zero(r->memory, 1, sizeof *c);
    if (!c)
        return error_memory(r->err, sizeof *c, "JSON");
    ingle_status status = object ? read_key(r, &c->key) : INGLE_OK;
    if (status == INGLE_OK)
        status = read_value(r, c);
    if (status != INGLE_OK)
        return status;
    if (top->last)
        top->last->next = c;
    else
        top->value->first = c;
    top->last = c;
    top->value->n++;
    *child = c;
    return INGLE_OK;
}

static ingle_status read_tree(reader *r, json *root)
{
    level stack[JSON_MAX_DEPTH];
    size_t depth = 0;
    ingle_status status = read_value(r, root);
    json *fresh = root;
    while (status == INGLE_OK) {
        if (fresh && (fresh->type == JSON_ARRAY || fresh->type == JSON_OBJECT)) {
            if (depth == JSON_MAX_DEPTH)
                return fail(r, r->at, "nested too deeply");
            stack[depth++] = (level){fresh, NULL};
        }
        if (depth == 0)
            break;
        status = read_child(r, &stack[depth - 1], &fresh);
        if (status == INGLE_OK && !fresh)
            depth--;
    }
    return status;
}

ingle_status json_parse(const json **out, const char *bytes, size_t n, arena *memory,
                        ingle_error *err)
{
    reader r = {bytes, n, 0, memory, err};
    *out = NULL;
    json *root = arena_zero(memory, 1, sizeof *root);
    if (!root)
        return error_memory(err, sizeof *root, "JSON");
    const ingle_status status = read_tree(&r, root);
    if (status != INGLE_OK)
        return status;
    skip_space(&r);
    if (r.at != n)
        return fail(&r, r.at, "something follows the value");
    *out = root;
    return error_clear(err);
}

const json *json_get(const json *object, const char *key)
{
    if (!object || object->type != JSON_OBJECT)
        return NULL;
    const str wanted = str_of(key);
    const json *c = object->first;
    while (c && !str_equal(c->key, wanted))
        c = c->next;
    return c;
}

/* ---- writing ------------------------------------------------------------------------------ */

static bool write_unit(ingle_text *out, uint32_t unit)
{
    char text[8];
    snprintf(text, sizeof text, "\\u%04x", (unsigned)(unit & 0xFFFF));
    return text_add(out, text, 6);
}

static bool write_code(ingle_text *out, uint32_t code)
{
    if (code < 0x10000)
        return write_unit(out, code);
    return write_unit(out, 0xD800 + ((code - 0x10000) >> 10)) &&
           write_unit(out, 0xDC00 + ((code - 0x10000) & 0x3FF));
}

bool json_write_str(ingle_text *out, str text, bool ascii)
{
    bool good = text_add_byte(out, '"');
    for (size_t i = 0; good && i < text.n;) {
        const unsigned char c = (unsigned char)text.p[i];
        static const char special[] = "\"\\\n\r\t\f\b", letters[] = "\"\\nrtfb";
        const char *found = c ? strchr(special, c) : NULL;
        size_t used = 1;
        if (found) {
            const char pair[2] = {'\\', letters[found - special]};
            good = text_add(out, pair, 2);
        } else if (c < 0x20) {
            good = write_unit(out, c);
        } else if (c < 0x80) {
            good = text_add_byte(out, (char)c);
        } else {
            const uint32_t code =
                utf8_decode((const uint8_t *)text.p + i, text.n - i, &used, NULL);
            char bytes[4];
            good = ascii ? write_code(out, code) : text_add(out, bytes, utf8_encode(code, bytes));
        }
        i += used;
    }
    return good && text_add_byte(out, '"');
}
