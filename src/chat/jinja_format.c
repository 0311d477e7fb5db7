/* Formatting: the % operator, str.format, strftime. Owns Python's format languages;
 * refuses widths and precisions beyond any sensible text. */
#include <math.h>
#include <stdio.h>

#include "base/utf8.h"
#include "chat/jinja.h"

enum { MAX_WIDTH = 4096, MAX_PRECISION = 120 };

typedef struct {
    uint32_t fill;
    char align, sign, type, group; // 0 = not given
    bool alternate;
    int64_t width, precision; // precision -1 = not given
} spec;

/* Adds text with fill to its width; digits_at: where '=' puts the fill (behind a sign). */
static bool pad(jinja_run *r, jinja_buffer *b, const jinja_value *text, const spec *s, char align,
                size_t digits_at)
{
    const str t = jinja_str(text);
    const int64_t n = (int64_t)jinja_count(t), more = s->width > n ? s->width - n : 0;
    const int64_t before = align == '>' || align == '=' ? more : align == '^' ? more / 2 : 0;
    if (align == '=' && !jinja_add_part(r, b, text, 0, digits_at))
        return false;
    const size_t from = align == '=' ? digits_at : 0;
    for (int64_t i = 0; i < before; i++)
        if (!jinja_add_code(r, b, s->fill, false))
            return false;
    if (!jinja_add_part(r, b, text, from, t.n - from))
        return false;
    for (int64_t i = before; i < more; i++)
        if (!jinja_add_code(r, b, s->fill, false))
            return false;
    return true;
}

static jinja_value plain(const char *text, size_t n)
{
    return (jinja_value){.type = JINJA_STRING, .as.text = {text, n, NULL}};
}

/* Puts the group mark between thousands of the digits at text [n]; room for a third more. */
static size_t group_digits(char *text, size_t n, size_t from, char mark, size_t every)
{
    size_t end = from;
    while (end < n && ((text[end] >= '0' && text[end] <= '9') || (text[end] >= 'a' && text[end] <= 'f')))
        end++;
    for (size_t at = end; at > from + every;) {
        at -= every;
        memmove(text + at + 1, text + at, n - at);
        text[at] = mark;
        n++;
    }
    return n;
}

static bool format_int(jinja_run *r, jinja_buffer *b, int64_t value, const spec *s)
{
    char digits[72], text[240];
    const unsigned base = s->type == 'x' || s->type == 'X' ? 16 : s->type == 'o' ? 8
                          : s->type == 'b'                  ? 2
                                                            : 10;
    size_t n = 0, d = sizeof digits;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--d] = (s->type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef")[left % base];
        left /= base;
    } while (left);
    if (value < 0 || s->sign == '+' || s->sign == ' ')
        text[n++] = value < 0 ? '-' : s->sign;
    if (s->alternate && base != 10) {
        text[n++] = '0';
        text[n++] = s->type;
    }
    const size_t head = n;
    for (size_t have = sizeof digits - d; (int64_t)have < s->precision && n < 130; have++)
        text[n++] = '0';
    memcpy(text + n, digits + d, sizeof digits - d);
    n += sizeof digits - d;
    if (s->group)
        n = group_digits(text, n, head, s->group, base == 10 ? 3 : 4);
    const jinja_value v = plain(text, n);
    return pad(r, b, &v, s, s->align ? s->align : '>', head);
}

/* printf's text with a point, whatever the locale has. */
static size_t fix_point(char *text)
{
    char *to = text, *p = text;
    while (*p == '-' || *p == '+' || (*p >= '0' && *p <= '9'))
        *to++ = *p++;
    if (*p && *p != 'e' && *p != 'E') {
        *to++ = '.';
        while (*p && !(*p >= '0' && *p <= '9') && *p != 'e' && *p != 'E')
            p++;
    }
    while (*p)
        *to++ = *p++;
    *to = 0;
    return (size_t)(to - text);
}

static bool format_float(jinja_run *r, jinja_buffer *b, double value, const spec *s)
{
    char text[1024];
    if (!jinja_spend(r, 32)) // printf of a double is slow
        return false;
    const int precision = s->precision < 0 ? 6 : (int)s->precision;
    const char type = s->type ? s->type : 'g';
    size_t n = 0;
    if (!isnan(value) && (signbit(value) || s->sign == '+' || s->sign == ' '))
        text[n++] = signbit(value) ? '-' : s->sign;
    const size_t head = n;
    const double size = fabs(value);
    if (isnan(size) || isinf(size)) {
        n += (size_t)snprintf(text + n, 8, "%s", isnan(size) ? "nan" : "inf");
    } else if (!s->type && s->precision < 0) {
        n += json_print_double(text + n, size);
    } else {
        char fmt[8] = {'%', '.', '*', type == '%' ? 'f' : type, 0};
        snprintf(text + n, sizeof text - n - 8, fmt, precision, type == '%' ? size * 100 : size);
        n += fix_point(text + n);
        if (!s->type && !strpbrk(text + head, ".e")) {
            text[n++] = '.';
            text[n++] = '0';
        }
        if (type == '%')
            text[n++] = '%';
    }
    if (s->group)
        n = group_digits(text, n, head, s->group, 3);
    const jinja_value v = plain(text, n);
    return pad(r, b, &v, s, s->align ? s->align : '>', head);
}

static bool format_text(jinja_run *r, jinja_buffer *b, const jinja_value *text, const spec *s, char align)
{
    jinja_value v = *text;
    if (s->precision >= 0)
        v = jinja_part(text, 0, jinja_offset(jinja_str(text), (size_t)s->precision));
    return pad(r, b, &v, s, s->align ? s->align : align, 0);
}

static bool is_type(char c, const char *types)
{
    return c && strchr(types, c);
}

static bool too_wide(const spec *s)
{
    return s->width > MAX_WIDTH || s->precision > MAX_PRECISION;
}

/* ---- the % operator ----------------------------------------------------------------------- */

typedef struct {
    jinja_run *r;
    const jinja_value *format, *values;
    str f;
    size_t i, next; // byte of the format, argument
    jinja_buffer b;
} percent;

static bool next_value(percent *p, jinja_value *out)
{
    const jinja_value *v = p->values;
    if (v->type == JINJA_TUPLE ? p->next >= v->as.list->n : p->next > 0)
        return jinja_fail(p->r, "not enough arguments for format string");
    *out = v->type == JINJA_TUPLE ? v->as.list->items[p->next] : *v;
    p->next++;
    return true;
}

/* Digits or '*' as a number. */
static bool read_count(percent *p, int64_t *out)
{
    jinja_value v = jinja_none();
    if (p->i < p->f.n && p->f.p[p->i] == '*') {
        p->i++;
        if (!next_value(p, &v))
            return false;
        if (v.type != JINJA_INT)
            return jinja_fail(p->r, "* wants int");
        *out = v.as.integer;
        return true;
    }
    *out = 0;
    for (; p->i < p->f.n && p->f.p[p->i] >= '0' && p->f.p[p->i] <= '9'; p->i++)
        *out = *out > MAX_WIDTH ? *out : *out * 10 + (p->f.p[p->i] - '0');
    return true;
}

static bool percent_value(percent *p, const jinja_value *v, const spec *s)
{
    jinja_run *r = p->r;
    jinja_value text;
    if (s->type == 's' || s->type == 'r' || s->type == 'a') {
        jinja_buffer repr = {0};
        if (s->type == 's' ? !jinja_to_text(r, v, &text) : !jinja_add_repr(r, &repr, v))
            return false;
        if (s->type != 's')
            text = jinja_take(&repr);
        else if (p->format->markup && !jinja_escape(r, &text, &text))
            return false;
        return format_text(r, &p->b, &text, s, '>');
    }
    if (s->type == 'c') {
        if (v->type == JINJA_STRING && jinja_count(jinja_str(v)) == 1)
            return format_text(r, &p->b, v, s, '>');
        if (v->type != JINJA_INT || v->as.integer < 0 || v->as.integer > 0x10FFFF ||
            (v->as.integer >= 0xD800 && v->as.integer < 0xE000))
            return jinja_fail(r, "%%c requires int or char");
        return jinja_add_code(r, &p->b, (uint32_t)v->as.integer, false);
    }
    if (!jinja_is_number(v))
        return jinja_fail(r, "%%%c format: a number is required, not %s", s->type, jinja_type_name(v));
    if (is_type(s->type, "eEfFgG"))
        return format_float(r, &p->b, jinja_number(v), s);
    if (v->type == JINJA_FLOAT && (is_type(s->type, "xXo") || !(fabs(v->as.number) < 9e18)))
        return jinja_fail(r, "%%%c format: an integer is required, not float", s->type);
    spec whole = *s;
    whole.type = is_type(s->type, "iu") ? 'd' : s->type;
    return format_int(r, &p->b, v->type == JINJA_FLOAT ? (int64_t)v->as.number
                                : v->type == JINJA_BOOL ? v->as.truth
                                                        : v->as.integer,
                      &whole);
}

/* One directive; p->i is behind the '%'. */
static bool percent_directive(percent *p)
{
    const str f = p->f;
    spec s = {.fill = ' ', .precision = -1};
    jinja_value v = jinja_none();
    bool zero = false, named = false;
    if (p->i < f.n && f.p[p->i] == '(') {
        const size_t close = jinja_find(f, STR(")"), p->i);
        if (close == SIZE_MAX || p->values->type != JINJA_DICT)
            return jinja_fail(p->r, close == SIZE_MAX ? "incomplete format key" : "format requires a mapping");
        const jinja_value key = jinja_part(p->format, p->i + 1, close - p->i - 1);
        jinja_pair *pair;
        if (!jinja_dict_find(p->r, p->values->as.dict, &key, &pair))
            return false;
        if (!pair)
            return jinja_fail(p->r, "no '%.*s' for the format string", STR_ARG(jinja_str(&key)));
        v = pair->value;
        named = true;
        p->next = SIZE_MAX / 2;
        p->i = close + 1;
    }
    for (; p->i < f.n && is_type(f.p[p->i], "#0- +"); p->i++) {
        if (f.p[p->i] == '-')
            s.align = '<';
        else if (f.p[p->i] == '0')
            zero = true;
        else if (f.p[p->i] == '#')
            s.alternate = true;
        else if (s.sign != '+')
            s.sign = f.p[p->i];
    }
    if (!read_count(p, &s.width))
        return false;
    if (s.width < 0) {
        s.align = '<';
        s.width = s.width < -MAX_WIDTH ? MAX_WIDTH + 1 : -s.width;
    }
    if (p->i < f.n && f.p[p->i] == '.') {
        p->i++;
        if (!read_count(p, &s.precision))
            return false;
        s.precision = s.precision < 0 ? 0 : s.precision;
    }
    while (p->i < f.n && is_type(f.p[p->i], "hlL"))
        p->i++;
    if (p->i >= f.n)
        return jinja_fail(p->r, "incomplete format");
    s.type = f.p[p->i++];
    if (s.type == '%')
        return jinja_add(p->r, &p->b, "%", 1, false);
    if (!is_type(s.type, "srcadiuxXoeEfFgG"))
        return jinja_fail(p->r, "unsupported format character '%c'", s.type);
    if (s.type != 's' && too_wide(&s))
        return jinja_fail(p->r, "a format's width or precision is too large");
    if (s.width > MAX_WIDTH)
        return jinja_fail(p->r, "a format's width is too large");
    if (zero && !s.align && !is_type(s.type, "srac")) {
        s.fill = '0';
        s.align = '=';
    }
    return (named || next_value(p, &v)) && percent_value(p, &v, &s);
}

bool jinja_percent(jinja_run *r, const jinja_value *format, const jinja_value *values,
                   jinja_value *out)
{
    percent p = {.r = r, .format = format, .values = values, .f = jinja_str(format)};
    while (p.i < p.f.n) {
        size_t end = jinja_find(p.f, STR("%"), p.i);
        end = end == SIZE_MAX ? p.f.n : end;
        if (!jinja_add_part(r, &p.b, format, p.i, end - p.i))
            return false;
        p.i = end + 1;
        if (end < p.f.n && (!jinja_spend(r, 1) || !percent_directive(&p)))
            return false;
    }
    const bool single = values->type != JINJA_TUPLE && values->type != JINJA_DICT &&
                        values->type != JINJA_LIST && values->type != JINJA_RANGE;
    if (values->type == JINJA_TUPLE ? p.next < values->as.list->n : single && p.next == 0)
        return jinja_fail(r, "not all arguments converted during string formatting");
    *out = jinja_take(&p.b);
    out->markup = format->markup;
    return true;
}

/* ---- str.format --------------------------------------------------------------------------- */

static bool read_spec(jinja_run *r, str t, spec *s)
{
    size_t i = 0, used = 0;
    *s = (spec){.fill = ' ', .precision = -1};
    if (t.n) {
        const uint32_t first = utf8_decode((const uint8_t *)t.p, t.n, &used, NULL);
        if (used < t.n && is_type(t.p[used], "<>=^")) {
            s->fill = first;
            s->align = t.p[used];
            i = used + 1;
        } else if (is_type(t.p[0], "<>=^")) {
            s->align = t.p[i++];
        }
    }
    if (i < t.n && is_type(t.p[i], "+- "))
        s->sign = t.p[i++];
    if (i < t.n && t.p[i] == '#') {
        s->alternate = true;
        i++;
    }
    if (i < t.n && t.p[i] == '0') {
        if (!s->align) {
            s->fill = '0';
            s->align = '=';
        }
        i++;
    }
    for (; i < t.n && t.p[i] >= '0' && t.p[i] <= '9'; i++)
        s->width = s->width > MAX_WIDTH ? s->width : s->width * 10 + (t.p[i] - '0');
    if (i < t.n && is_type(t.p[i], ",_"))
        s->group = t.p[i++];
    if (i + 1 < t.n && t.p[i] == '.' && t.p[i + 1] >= '0' && t.p[i + 1] <= '9') {
        s->precision = 0;
        for (i++; i < t.n && t.p[i] >= '0' && t.p[i] <= '9'; i++)
            s->precision = s->precision > MAX_WIDTH ? s->precision : s->precision * 10 + (t.p[i] - '0');
    }
    if (i < t.n)
        s->type = t.p[i++];
    if (i != t.n)
        return jinja_fail(r, "invalid format specifier '%.*s'", STR_ARG(t));
    return (s->width <= MAX_WIDTH && (s->type == 's' || !s->type || s->precision <= MAX_PRECISION)) ||
           jinja_fail(r, "a format's width or precision is too large");
}

static bool format_value(jinja_run *r, jinja_buffer *b, const jinja_value *v, str spec_text)
{
    spec s;
    jinja_value text;
    if (spec_text.n == 0 || !jinja_is_number(v)) {
        if (!read_spec(r, spec_text, &s) || !jinja_to_text(r, v, &text))
            return false;
        if ((s.type && s.type != 's') || s.align == '=' || (spec_text.n && v->type != JINJA_STRING))
            return jinja_fail(r, "format specifier '%.*s' does not fit an object of type '%s'",
                              STR_ARG(spec_text), jinja_type_name(v));
        return format_text(r, b, &text, &s, '<');
    }
    if (!read_spec(r, spec_text, &s))
        return false;
    if (is_type(s.type, "eEfFgG%") || v->type == JINJA_FLOAT) {
        if (s.type && !is_type(s.type, "eEfFgG%"))
            return jinja_fail(r, "Unknown format code '%c' for object of type 'float'", s.type);
        return too_wide(&s) ? jinja_fail(r, "a format's precision is too large")
                            : format_float(r, b, jinja_number(v), &s);
    }
    if ((s.type && !is_type(s.type, "dxXobn")) || s.precision >= 0)
        return jinja_fail(r, "Unknown format code '%c' for object of type 'int'", s.type);
    return format_int(r, b, v->type == JINJA_BOOL ? v->as.truth : v->as.integer, &s);
}

/* Whether name is all digits; more than six of them are past any item. */
static bool field_index(str name, int64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] < '0' || name.p[i] > '9')
            return false;
        *out = *out > 1000000 ? *out : *out * 10 + (name.p[i] - '0');
    }
    return true;
}

static bool field_base(jinja_run *r, const jinja_call *c, str name, int64_t *next, jinja_value *out)
{
    int64_t index;
    if (field_index(name, &index)) {
        if (name.n ? *next > 0 : *next < 0)
            return jinja_fail(r, "cannot mix automatic and manual field numbering");
        if (!name.n)
            index = (*next)++;
        else
            *next = -1;
        if (index >= (int64_t)c->rest.n)
            return jinja_fail(r, "Replacement index %lld out of range", (long long)index);
        *out = c->rest.items[index];
        return true;
    }
    for (size_t i = 0; i < c->rest.n_named; i++)
        if (str_equal(c->rest.named[i].name, name)) {
            *out = c->rest.named[i].value;
            return true;
        }
    return jinja_fail(r, "no argument '%.*s' for format()", STR_ARG(name));
}

/* "name.attribute[key]" */
static bool field_value(jinja_run *r, const jinja_call *c, str path, int64_t *next, jinja_value *out)
{
    size_t i = 0;
    while (i < path.n && path.p[i] != '.' && path.p[i] != '[')
        i++;
    if (!field_base(r, c, (str){path.p, i}, next, out))
        return false;
    while (i < path.n) {
        const bool dot = path.p[i] == '.';
        const size_t start = ++i;
        while (i < path.n && (dot ? path.p[i] != '.' && path.p[i] != '[' : path.p[i] != ']'))
            i++;
        const str part = {path.p + start, i - start};
        jinja_value key = plain(part.p, part.n), got;
        if (!part.n || (!dot && i == path.n))
            return jinja_fail(r, "expected ']' or a name in format()");
        int64_t index = 0;
        if (!dot && field_index(part, &index))
            key = jinja_int(index);
        if (!(dot ? jinja_attribute(r, out, part, &got) : jinja_item(r, out, &key, &got)))
            return false;
        *out = got;
        i += !dot;
    }
    return true;
}

static bool format_field(jinja_run *r, const jinja_call *c, str field, int64_t *next, jinja_buffer *b)
{
    size_t colon = 0, bang;
    while (colon < field.n && field.p[colon] != ':')
        colon++;
    const str spec_text = {field.p + colon + (colon < field.n), colon < field.n ? field.n - colon - 1 : 0};
    str path = {field.p, colon};
    bang = jinja_find(path, STR("!"), 0);
    const char conversion = bang != SIZE_MAX && bang + 1 < path.n ? path.p[bang + 1] : 0;
    if (bang != SIZE_MAX)
        path.n = bang;
    jinja_value v, text;
    if (!field_value(r, c, path, next, &v))
        return false;
    if (bang != SIZE_MAX) {
        jinja_buffer repr = {0};
        if (!is_type(conversion, "rsa"))
            return jinja_fail(r, "unknown conversion in format()");
        if (conversion == 's' ? !jinja_to_text(r, &v, &text) : !jinja_add_repr(r, &repr, &v))
            return false;
        v = conversion == 's' ? text : jinja_take(&repr);
    }
    if (memchr(spec_text.p, '{', spec_text.n))
        return jinja_fail(r, "format() within format specifiers is not supported");
    return format_value(r, b, &v, spec_text);
}

bool jinja_format_method(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    const str f = jinja_str(&c->self);
    jinja_buffer b = {0};
    int64_t next = 0;
    for (size_t i = 0; i < f.n;) {
        size_t end = i;
        while (end < f.n && f.p[end] != '{' && f.p[end] != '}')
            end++;
        if (!jinja_add_part(r, &b, &c->self, i, end - i))
            return false;
        if (end == f.n)
            break;
        i = end + 1;
        if (i < f.n && f.p[i] == f.p[end]) {
            if (!jinja_add_part(r, &b, &c->self, i++, 1))
                return false;
            continue;
        }
        const size_t close = f.p[end] == '{' ? jinja_find(f, STR("}"), i) : SIZE_MAX;
        if (close == SIZE_MAX)
            return jinja_fail(r, "Single '%c' encountered in format string", f.p[end]);
        if (!jinja_spend(r, 1) || !format_field(r, c, (str){f.p + i, close - i}, &next, &b))
            return false;
        i = close + 1;
    }
    *out = jinja_take(&b);
    out->markup = c->self.markup;
    return true;
}

/* ---- strftime ----------------------------------------------------------------------------- */

static int day_of_year(const chat_time *t)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    const bool leap = (t->year % 4 == 0 && t->year % 100 != 0) || t->year % 400 == 0;
    return before[t->month - 1] + t->day + (leap && t->month > 2);
}

static int day_of_week(const chat_time *t) // 0 = Sunday
{
    static const int shift[] = {0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4};
    const int y = t->year - (t->month < 3);
    return (y + y / 4 - y / 100 + y / 400 + shift[t->month - 1] + t->day) % 7;
}

static int iso_week(const chat_time *t, int *year)
{
    const int monday = (day_of_week(t) + 6) % 7;
    const int week = (day_of_year(t) - 1 - monday + 10) / 7;
    chat_time end = {.year = t->year - 1, .month = 12, .day = 31};
    *year = t->year;
    if (week < 1) {
        *year = t->year - 1;
        return iso_week(&end, &(int){0});
    }
    end.year = t->year;
    if (week == 53 && (day_of_week(&end) + 6) % 7 < 3) {
        *year = t->year + 1;
        return 1;
    }
    return week;
}

/* One directive as text; false if it is not known. */
static bool time_part(const chat_time *t, char c, char pad_with, char out[64])
{
    static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};
    static const char *const months[] = {"January",   "February", "March",    "April",
                                         "May",       "June",     "July",     "August",
                                         "September", "October",  "November", "December"};
    const char *day = days[day_of_week(t)], *month = months[t->month - 1];
    const int hour12 = t->hour % 12 ? t->hour % 12 : 12;
    int iso_year, value = -1, width = 2;
    const int week = iso_week(t, &iso_year);
    switch (c) {
    case 'Y': snprintf(out, 64, "%d", t->year); return true;
    case 'G': snprintf(out, 64, "%d", iso_year); return true;
    case 'B': snprintf(out, 64, "%s", month); return true;
    case 'b': case 'h': snprintf(out, 64, "%.3s", month); return true;
    case 'A': snprintf(out, 64, "%s", day); return true;
    case 'a': snprintf(out, 64, "%.3s", day); return true;
    case 'p': snprintf(out, 64, "%s", t->hour < 12 ? "AM" : "PM"); return true;
    case 'P': snprintf(out, 64, "%s", t->hour < 12 ? "am" : "pm"); return true;
    case 'Z': case 'z': out[0] = 0; return true; // local time without a zone, as datetime.now()
    case 'f': snprintf(out, 64, "000000"); return true;
    case 'n': snprintf(out, 64, "\n"); return true;
    case 't': snprintf(out, 64, "\t"); return true;
    case '%': snprintf(out, 64, "%%"); return true;
    case 'F': snprintf(out, 64, "%d-%02d-%02d", t->year, t->month, t->day); return true;
    case 'D': case 'x':
        snprintf(out, 64, "%02d/%02d/%02d", t->month, t->day, t->year % 100);
        return true;
    case 'T': case 'X': snprintf(out, 64, "%02d:%02d:%02d", t->hour, t->minute, t->second); return true;
    case 'R': snprintf(out, 64, "%02d:%02d", t->hour, t->minute); return true;
    case 'r':
        snprintf(out, 64, "%02d:%02d:%02d %s", hour12, t->minute, t->second, t->hour < 12 ? "AM" : "PM");
        return true;
    case 'c':
        snprintf(out, 64, "%.3s %.3s %2d %02d:%02d:%02d %d", day, month, t->day, t->hour, t->minute,
                 t->second, t->year);
        return true;
    case 'm': value = t->month; break;
    case 'd': value = t->day; break;
    case 'e': value = t->day; pad_with = pad_with == '0' ? ' ' : pad_with; break;
    case 'H': value = t->hour; break;
    case 'k': value = t->hour; pad_with = ' '; break;
    case 'I': value = hour12; break;
    case 'l': value = hour12; pad_with = ' '; break;
    case 'M': value = t->minute; break;
    case 'S': value = t->second; break;
    case 'y': value = t->year % 100; break;
    case 'C': value = t->year / 100; break;
    case 'j': value = day_of_year(t); width = 3; break;
    case 'u': value = (day_of_week(t) + 6) % 7 + 1; width = 1; break;
    case 'w': value = day_of_week(t); width = 1; break;
    case 'U': value = (day_of_year(t) + 6 - day_of_week(t)) / 7; break;
    case 'W': value = (day_of_year(t) + 6 - (day_of_week(t) + 6) % 7) / 7; break;
    case 'V': value = week; break;
    case 'g': value = iso_year % 100; break;
    default: return false;
    }
    snprintf(out, 64, pad_with == '0' ? "%0*d" : "%*d", pad_with ? width : 1, value);
    return true;
}

bool jinja_strftime(jinja_run *r, const jinja_value *format, jinja_value *out)
{
    if (!r->now)
        return jinja_fail(r, "strftime_now: there is no clock here");
    const str f = jinja_str(format);
    const bool user = jinja_has_user(format);
    jinja_buffer b = {0};
    for (size_t i = 0; i < f.n; i++) {
        char text[64];
        char pad_with = '0';
        const size_t start = i;
        if (f.p[i] != '%') {
            if (!jinja_add_part(r, &b, format, i, 1))
                return false;
            continue;
        }
        if (++i < f.n && (f.p[i] == '-' || f.p[i] == '_' || f.p[i] == '0'))
            pad_with = f.p[i++] == '-' ? 0 : f.p[i - 1] == '_' ? ' ' : '0';
        if (i < f.n && time_part(r->now, f.p[i], pad_with, text)) {
            if (!jinja_add(r, &b, text, strlen(text), user))
                return false;
        } else { // what is not known stands for itself
            i = i < f.n ? i : f.n - 1;
            if (!jinja_add_part(r, &b, format, start, i - start + 1))
                return false;
        }
    }
    *out = jinja_take(&b);
    return true;
}
