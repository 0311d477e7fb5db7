/* Text: buffers that carry origin marks, Python's str() and repr(), HTML escaping, code points and
 * the case mapping of Latin, Greek and Cyrillic letters. */
#include <math.h>
#include <stdio.h>

#include "base/utf8.h"
#include "chat/jinja.h"

/* ---- buffers ------------------------------------------------------------------------------ */

static bool room(jinja_run *r, jinja_buffer *b, size_t more)
{
    if (b->capacity - b->n >= more)
        return jinja_spend(r, more / 64);
    size_t capacity = size_mul(b->capacity, 2);
    if (capacity < size_add(b->n, more))
        capacity = size_add(b->n, more);
    if (capacity < 48)
        capacity = 48;
    if (capacity > JINJA_MAX_OUTPUT * 2u)
        return jinja_fail(r, "a text is longer than the %d MiB allowed", JINJA_MAX_OUTPUT >> 20);
    char *p = jinja_alloc(r, size_mul(capacity, 2), 1);
    if (!p)
        return false;
    uint8_t *marks = (uint8_t *)p + capacity;
    if (b->n) {
        memcpy(p, b->p, b->n);
        memcpy(marks, b->marks, b->n);
    }
    b->p = p;
    b->marks = marks;
    b->capacity = capacity;
    return jinja_spend(r, more / 64);
}

bool jinja_add(jinja_run *r, jinja_buffer *b, const char *p, size_t n, bool user)
{
    if (n == 0)
        return true;
    if (!room(r, b, n))
        return false;
    memcpy(b->p + b->n, p, n);
    memset(b->marks + b->n, user, n);
    b->n += n;
    return true;
}

bool jinja_add_part(jinja_run *r, jinja_buffer *b, const jinja_value *text, size_t at, size_t n)
{
    if (!text->as.text.marks)
        return jinja_add(r, b, text->as.text.p + at, n, text->user);
    if (n == 0)
        return true;
    if (!room(r, b, n))
        return false;
    memcpy(b->p + b->n, text->as.text.p + at, n);
    memcpy(b->marks + b->n, text->as.text.marks + at, n);
    b->n += n;
    return true;
}

bool jinja_add_text(jinja_run *r, jinja_buffer *b, const jinja_value *text)
{
    return jinja_add_part(r, b, text, 0, text->as.text.n);
}

bool jinja_add_code(jinja_run *r, jinja_buffer *b, uint32_t code, bool user)
{
    char bytes[4];
    return jinja_add(r, b, bytes, utf8_encode(code, bytes), user);
}

jinja_value jinja_take(const jinja_buffer *b)
{
    jinja_value v = {.type = JINJA_STRING, .as.text = {b->n ? b->p : "", b->n, NULL}};
    if (b->n) {
        v.user = b->marks[0];
        if (memchr(b->marks, !v.user, b->n))
            v.as.text.marks = b->marks;
    }
    return v;
}

/* Long texts are joined with room to spare and remembered, so that the next join to the same text
 * is an append. What earlier values see of it does not change. */
static bool concat_long(jinja_run *r, const jinja_value *a, const jinja_value *b, jinja_value *out)
{
    const size_t n = a->as.text.n, more = b->as.text.n;
    jinja_tail *tail = NULL;
    for (size_t i = 0; i < 4; i++)
        if (r->tails[i].p == a->as.text.p && r->tails[i].n == n && r->tails[i].capacity - n >= more)
            tail = &r->tails[i];
    jinja_buffer to;
    if (tail) {
        to = (jinja_buffer){tail->p, tail->marks, n, tail->capacity};
    } else {
        to = (jinja_buffer){0};
        if (!room(r, &to, size_mul(size_add(n, more), 2)) || !jinja_add_text(r, &to, a))
            return false;
        tail = &r->tails[r->next_tail++ % 4];
    }
    if (!jinja_add_text(r, &to, b))
        return false;
    *tail = (jinja_tail){to.p, to.marks, to.n, to.capacity};
    *out = (jinja_value){.type = JINJA_STRING, .user = true, .as.text = {to.p, to.n, to.marks}};
    return true;
}

bool jinja_concat(jinja_run *r, const jinja_value *a, const jinja_value *b, jinja_value *out)
{
    if (a->markup || b->markup) { // Python's Markup escapes the side that is none
        jinja_value left, right;
        if (!jinja_escape(r, a, &left) || !jinja_escape(r, b, &right))
            return false;
        left.markup = right.markup = false;
        if (!jinja_concat(r, &left, &right, out))
            return false;
        out->markup = true;
        return true;
    }
    if (a->as.text.n == 0 || b->as.text.n == 0) {
        *out = a->as.text.n ? *a : *b;
        return true;
    }
    if (a->as.text.n >= 512)
        return concat_long(r, a, b, out);
    jinja_buffer to = {0};
    if (!jinja_add_text(r, &to, a) || !jinja_add_text(r, &to, b))
        return false;
    *out = jinja_take(&to);
    return true;
}

/* ---- code points -------------------------------------------------------------------------- */

size_t jinja_count(str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return n;
}

size_t jinja_offset(str s, size_t code)
{
    size_t i = 0;
    for (; i < s.n && code > 0; code--)
        for (i++; i < s.n && ((unsigned char)s.p[i] & 0xC0) == 0x80;)
            i++;
    return i;
}

bool jinja_is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

bool jinja_is_digit(uint32_t c)
{
    return c >= '0' && c <= '9';
}

/* Letters with upper and lower case side by side, the upper one even. */
static bool paired_even(uint32_t c)
{
    return (c >= 0x100 && c <= 0x137 && c != 0x130 && c != 0x131) || (c >= 0x14A && c <= 0x177) ||
           (c >= 0x1A0 && c <= 0x1A5) ||
           (c >= 0x1DE && c <= 0x1EF) || (c >= 0x246 && c <= 0x24F) || (c >= 0x1F8 && c <= 0x21F) || (c >= 0x222 && c <= 0x233) ||
           (c >= 0x370 && c <= 0x373) || (c >= 0x3D8 && c <= 0x3EF) || (c >= 0x460 && c <= 0x481) ||
           (c >= 0x48A && c <= 0x4BF) || (c >= 0x4D0 && c <= 0x52F) || (c >= 0x1E00 && c <= 0x1E95) ||
           (c >= 0x1EA0 && c <= 0x1EFF);
}

static bool paired_odd(uint32_t c)
{
    return (c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E) || c == 0x1AF || c == 0x1B0 || (c >= 0x1CD && c <= 0x1DC) ||
           (c >= 0x4C1 && c <= 0x4CE);
}

uint32_t jinja_lower(uint32_t c)
{
    if ((c >= 'A' && c <= 'Z') || (c >= 0xC0 && c <= 0xDE && c != 0xD7) ||
        (c >= 0x391 && c <= 0x3AB && c != 0x3A2) || (c >= 0x410 && c <= 0x42F))
        return c + 32;
    if (c < 0x100)
        return c;
    if (c >= 0x400 && c <= 0x40F)
        return c + 80;
    if (c >= 0x531 && c <= 0x556)
        return c + 48;
    if (paired_even(c))
        return c | 1;
    if (paired_odd(c))
        return c + (c & 1);
    switch (c) {
    case 0x178: return 0xFF;
    case 0x386: return 0x3AC;
    case 0x388: case 0x389: case 0x38A: return c + 37;
    case 0x38C: return 0x3CC;
    case 0x38E: case 0x38F: return c + 63;
    case 0x4C0: return 0x4CF;
    case 0x1E9E: return 0xDF;
    default: return c >= 0xFF21 && c <= 0xFF3A ? c + 32 : c;
    }
}

uint32_t jinja_upper(uint32_t c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 0xE0 && c <= 0xFE && c != 0xF7) ||
        (c >= 0x3B1 && c <= 0x3CB && c != 0x3C2) || (c >= 0x430 && c <= 0x44F))
        return c - 32;
    if (c < 0xB5)
        return c;
    if (c >= 0x450 && c <= 0x45F)
        return c - 80;
    if (c >= 0x561 && c <= 0x586)
        return c - 48;
    if (paired_even(c))
        return c & ~1u;
    if (paired_odd(c))
        return c & 1 ? c : c - 1;
    switch (c) {
    case 0xB5: return 0x39C;
    case 0xFF: return 0x178;
    case 0x131: return 'I';
    case 0x17F: return 'S';
    case 0x3AC: return 0x386;
    case 0x3AD: case 0x3AE: case 0x3AF: return c - 37;
    case 0x3C2: return 0x3A3;
    case 0x3CC: return 0x38C;
    case 0x3CD: case 0x3CE: return c - 63;
    case 0x4CF: return 0x4C0;
    default: return c >= 0xFF41 && c <= 0xFF5A ? c - 32 : c;
    }
}

bool jinja_is_alpha(uint32_t c)
{
    if (c < 0x80)
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (c < 0xC0)
        return c == 0xAA || c == 0xB5 || c == 0xBA;
    // Signs among the letters' blocks, punctuation and symbols, private use, emoji.
    if (c == 0xD7 || c == 0xF7 || (c >= 0x300 && c <= 0x36F) || (c >= 0x2000 && c <= 0x2070) ||
        (c >= 0x20A0 && c <= 0x20FF) || (c >= 0x2190 && c <= 0x2BFF) || (c >= 0x3000 && c <= 0x3004) ||
        (c >= 0x3008 && c <= 0x3030) || (c >= 0xE000 && c <= 0xF8FF) || (c >= 0xFE00 && c <= 0xFE6F) ||
        (c >= 0xFF00 && c <= 0xFF20) || (c >= 0x1F000 && c <= 0x1FAFF) || c == UTF8_REPLACEMENT)
        return false;
    return true;
}

/* ---- searching ---------------------------------------------------------------------------- */

enum { SHORT_NEEDLE = 32 }; // up to here comparing at each place is as good

static inline unsigned char byte_at(str s, size_t i, bool back)
{
    return (unsigned char)s.p[back ? s.n - 1 - i : i];
}

/* Where the needle's greatest suffix starts, by one order of bytes or the other, and its period. */
static size_t greatest_suffix(str w, bool back, bool other, size_t *period)
{
    size_t start = 0, j = 1, k = 0;
    *period = 1;
    while (j + k < w.n) {
        const unsigned char a = byte_at(w, j + k, back), b = byte_at(w, start + k, back);
        if (a == b) {
            if (++k == *period) {
                j += *period;
                k = 0;
            }
        } else if (other ? a > b : a < b) {
            j += k + 1;
            k = 0;
            *period = j - start;
        } else {
            start = j++;
            k = 0;
            *period = 1;
        }
    }
    return start;
}

/* The two-way search of Crochemore and Perrin: linear in time, constant in space, so that long
 * needles that nearly match everywhere are no attack. back: reads both from their ends. */
static size_t two_way(str s, str w, bool back)
{
    size_t p1, p2;
    const size_t s1 = greatest_suffix(w, back, false, &p1), s2 = greatest_suffix(w, back, true, &p2);
    const size_t cut = s1 > s2 ? s1 : s2;
    size_t period = s1 > s2 ? p1 : p2, memory = 0, i;
    bool repeats = cut + period <= w.n;
    for (i = 0; repeats && i < cut; i++)
        repeats = byte_at(w, i, back) == byte_at(w, i + period, back);
    if (!repeats)
        period = (cut > w.n - cut ? cut : w.n - cut) + 1;
    for (size_t at = 0; at + w.n <= s.n;) {
        i = cut > memory ? cut : memory;
        while (i < w.n && byte_at(w, i, back) == byte_at(s, at + i, back))
            i++;
        if (i < w.n) {
            at += i - cut + 1;
            memory = 0;
            continue;
        }
        for (i = cut; i > memory && byte_at(w, i - 1, back) == byte_at(s, at + i - 1, back);)
            i--;
        if (i <= memory)
            return at;
        at += period;
        memory = repeats ? w.n - period : 0;
    }
    return SIZE_MAX;
}

size_t jinja_find_last(str s, str what)
{
    if (what.n > s.n)
        return SIZE_MAX;
    if (what.n > SHORT_NEEDLE) {
        const size_t at = two_way(s, what, true);
        return at == SIZE_MAX ? at : s.n - what.n - at;
    }
    for (size_t i = s.n - what.n + 1; i-- > 0;)
        if (memcmp(s.p + i, what.p, what.n) == 0)
            return i;
    return SIZE_MAX;
}

size_t jinja_find(str s, str what, size_t from)
{
    if (what.n == 0)
        return from <= s.n ? from : SIZE_MAX;
    if (from > s.n || s.n - from < what.n)
        return SIZE_MAX;
    if (what.n > SHORT_NEEDLE) {
        const size_t at = two_way((str){s.p + from, s.n - from}, what, false);
        return at == SIZE_MAX ? at : from + at;
    }
    const char *p = s.p + from, *end = s.p + s.n - what.n + 1;
    while (p < end && (p = memchr(p, what.p[0], (size_t)(end - p))) != NULL) {
        if (memcmp(p, what.p, what.n) == 0)
            return (size_t)(p - s.p);
        p++;
    }
    return SIZE_MAX;
}

/* ---- str() and repr() --------------------------------------------------------------------- */

static bool add_literal(jinja_run *r, jinja_buffer *b, const char *text)
{
    return jinja_add(r, b, text, strlen(text), false);
}

/* What str.isprintable refuses, as far as repr() meets it. */
static bool hidden(uint32_t c)
{
    return c < 32 || (c >= 127 && c < 161) || c == 0xAD || (c > 160 && jinja_is_space(c)) ||
           (c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E) ||
           (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF || (c >= 0xE000 && c <= 0xF8FF) ||
           (c >= 0xFFF0 && c <= 0xFFFB) || (c & 0xFFFE) == 0xFFFE || c >= 0xE0000;
}

static bool repr_text(jinja_run *r, jinja_buffer *b, const jinja_value *v)
{
    const str s = jinja_str(v);
    const bool single = s.n && memchr(s.p, '\'', s.n), both = single && memchr(s.p, '"', s.n);
    const char quote[2] = {single && !both ? '"' : '\'', 0};
    if ((v->markup && !add_literal(r, b, "Markup(")) || !add_literal(r, b, quote))
        return false;
    for (size_t i = 0, used; i < s.n; i += used) {
        const uint32_t c = utf8_decode((const uint8_t *)s.p + i, s.n - i, &used, NULL);
        const bool user = jinja_mark_at(v, i);
        char text[16];
        int n = 0;
        if (c == '\\' || c == (uint32_t)quote[0])
            n = snprintf(text, sizeof text, "\\%c", (char)c);
        else if (c == '\n' || c == '\r' || c == '\t')
            n = snprintf(text, sizeof text, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (hidden(c))
            n = snprintf(text, sizeof text, c < 256 ? "\\x%02x" : c < 65536 ? "\\u%04x" : "\\U%08x",
                         (unsigned)c);
        if (!(n ? jinja_add(r, b, text, (size_t)n, user) : jinja_add_part(r, b, v, i, used)))
            return false;
    }
    return add_literal(r, b, quote) && (!v->markup || add_literal(r, b, ")"));
}

static bool repr_items(jinja_run *r, jinja_buffer *b, const jinja_list *list, const char *open,
                       const char *close)
{
    if (!add_literal(r, b, open))
        return false;
    for (size_t i = 0; i < list->n; i++)
        if ((i && !add_literal(r, b, ", ")) || !jinja_add_repr(r, b, &list->items[i]))
            return false;
    return add_literal(r, b, close);
}

static bool repr_pairs(jinja_run *r, jinja_buffer *b, const jinja_dict *d)
{
    if (!add_literal(r, b, "{"))
        return false;
    for (size_t i = 0; i < d->n; i++)
        if ((i && !add_literal(r, b, ", ")) || !jinja_add_repr(r, b, &d->pairs[i].key) ||
            !add_literal(r, b, ": ") || !jinja_add_repr(r, b, &d->pairs[i].value))
            return false;
    return add_literal(r, b, "}");
}

static bool repr_view(jinja_run *r, jinja_buffer *b, const jinja_value *v)
{
    jinja_value list;
    return add_literal(r, b, jinja_type_name(v)) && add_literal(r, b, "(") &&
           jinja_to_list(r, v, &list) && repr_items(r, b, list.as.list, "[", "]") &&
           add_literal(r, b, ")");
}

static bool add_format(jinja_run *r, jinja_buffer *b, const char *fmt, const char *text)
{
    char line[120];
    snprintf(line, sizeof line, fmt, text);
    return add_literal(r, b, line);
}

static bool repr_range(jinja_run *r, jinja_buffer *b, const jinja_range *v)
{
    char text[100];
    const long long start = v->start, stop = v->stop, step = v->step;
    snprintf(text, sizeof text, step == 1 ? "range(%lld, %lld)" : "range(%lld, %lld, %lld)", start,
             stop, step);
    return add_literal(r, b, text);
}

static bool repr_nested(jinja_run *r, jinja_buffer *b, const jinja_value *v)
{
    switch (v->type) {
    case JINJA_LIST:
        return repr_items(r, b, v->as.list, "[", "]");
    case JINJA_TUPLE:
        return repr_items(r, b, v->as.list, "(", v->as.list->n == 1 ? ",)" : ")");
    case JINJA_DICT:
        return repr_pairs(r, b, v->as.dict);
    case JINJA_NAMESPACE:
        return add_literal(r, b, "<Namespace ") && repr_pairs(r, b, v->as.dict) &&
               add_literal(r, b, ">");
    default:
        return repr_view(r, b, v);
    }
}

bool jinja_add_repr(jinja_run *r, jinja_buffer *b, const jinja_value *v)
{
    char text[64];
    switch (v->type) {
    case JINJA_MISSING:
    case JINJA_UNDEFINED:
        return add_literal(r, b, "Undefined");
    case JINJA_NONE:
        return add_literal(r, b, "None");
    case JINJA_BOOL:
        return add_literal(r, b, v->as.truth ? "True" : "False");
    case JINJA_INT:
        snprintf(text, sizeof text, "%lld", (long long)v->as.integer);
        return jinja_spend(r, 2) && add_literal(r, b, text);
    case JINJA_FLOAT:
        json_print_double(text, v->as.number);
        return jinja_spend(r, 32) && add_literal(r, b, text);
    case JINJA_BIG:
        return jinja_add_text(r, b, v);
    case JINJA_STRING:
        return repr_text(r, b, v);
    case JINJA_RANGE:
        return repr_range(r, b, v->as.range);
    case JINJA_MACRO:
        snprintf(text, sizeof text, "%.*s", (int)(v->as.macro->node->text.n > 50 ? 50 : v->as.macro->node->text.n),
                 v->as.macro->node->text.p);
        return add_format(r, b, "<Macro '%s'>", text);
    case JINJA_ITERATOR:
        return add_format(r, b, "<%s object>", v->as.list->name);
    case JINJA_FUNCTION:
        return add_format(r, b, "<function %s>", v->as.function->name);
    case JINJA_METHOD:
        return add_format(r, b, "<method %s>", v->as.method->what->name);
    case JINJA_LOOP:
        return add_literal(r, b, "<LoopContext>");
    case JINJA_CYCLER:
    case JINJA_JOINER:
        return add_format(r, b, "<%s object>", jinja_type_name(v));
    default:
        break;
    }
    if (!jinja_enter(r) || !repr_nested(r, b, v))
        return false;
    r->depth--;
    return true;
}

bool jinja_add_value(jinja_run *r, jinja_buffer *b, const jinja_value *v)
{
    if (v->type == JINJA_STRING)
        return jinja_add_text(r, b, v);
    return v->type == JINJA_UNDEFINED || v->type == JINJA_MISSING || jinja_add_repr(r, b, v);
}

bool jinja_to_text(jinja_run *r, const jinja_value *v, jinja_value *out)
{
    if (v->type == JINJA_STRING) {
        *out = *v;
        return true;
    }
    jinja_buffer b = {0};
    if (!jinja_add_value(r, &b, v))
        return false;
    *out = jinja_take(&b);
    return true;
}

bool jinja_escape(jinja_run *r, const jinja_value *text, jinja_value *out)
{
    *out = *text;
    if (text->markup)
        return true;
    const str s = jinja_str(text);
    jinja_buffer b = {0};
    for (size_t i = 0; i < s.n; i++) {
        const char *to = s.p[i] == '&'    ? "&amp;"
                         : s.p[i] == '<'  ? "&lt;"
                         : s.p[i] == '>'  ? "&gt;"
                         : s.p[i] == '"'  ? "&#34;"
                         : s.p[i] == '\'' ? "&#39;"
                                          : NULL;
        if (!(to ? jinja_add(r, &b, to, strlen(to), jinja_mark_at(text, i))
                 : jinja_add_part(r, &b, text, i, 1)))
            return false;
    }
    *out = jinja_take(&b);
    out->markup = true;
    return true;
}
