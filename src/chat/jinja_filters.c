/* Filters over text and numbers; those over sequences are in jinja_sequences.c. Refuses random and
 * urlize, which no chat template has a use for. */
#include <math.h>
#include <stdio.h>

#include "base/utf8.h"
#include "chat/jinja.h"

const jinja_builtin *jinja_row(const jinja_builtin *rows, size_t n, str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_equal(name, str_of(rows[i].name)))
            return &rows[i];
    return NULL;
}

bool jinja_want_int(jinja_run *r, const jinja_value *v, int64_t otherwise, int64_t *out)
{
    *out = otherwise;
    if (v->type == JINJA_MISSING)
        return true;
    if (v->type == JINJA_UNDEFINED)
        return jinja_fail_undefined(r, v);
    if (v->type != JINJA_INT && v->type != JINJA_BOOL)
        return jinja_fail(r, "'%s' object cannot be interpreted as an integer", jinja_type_name(v));
    *out = v->type == JINJA_INT ? v->as.integer : v->as.truth;
    return true;
}

bool jinja_want_text(jinja_run *r, const jinja_value *v, const char *what)
{
    return v->type == JINJA_STRING || jinja_fail(r, "%s must be str, not %s", what, jinja_type_name(v));
}

/* ---- text --------------------------------------------------------------------------------- */

static bool string(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return jinja_to_text(r, &c->self, out);
}

static bool safe(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    if (!jinja_to_text(r, &c->self, out))
        return false;
    out->markup = true;
    return true;
}

static bool escape(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return jinja_to_text(r, &c->self, out) && jinja_escape(r, out, out);
}

static bool forceescape(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    if (!jinja_to_text(r, &c->self, out))
        return false;
    out->markup = false;
    return jinja_escape(r, out, out);
}

/* A method of str(value), with the filter's own arguments. */
static bool method(jinja_run *r, const jinja_call *c, const char *name, jinja_value *out)
{
    const jinja_args none = {0};
    jinja_value text;
    return jinja_to_text(r, &c->self, &text) &&
           jinja_call_builtin(r, jinja_string_method(str_of(name)), &text, &none, out);
}

static bool lower(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return method(r, c, "lower", out);
}

static bool upper(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return method(r, c, "upper", out);
}

static bool capitalize(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return method(r, c, "capitalize", out);
}

/* Words begin behind space, hyphen and opening brackets; unlike str.title, not behind digits. */
static bool title(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_value text, piece, cased;
    jinja_buffer b = {0};
    if (!jinja_to_text(r, &c->self, &text))
        return false;
    const str s = jinja_str(&text);
    bool begin = true;
    for (size_t i = 0, used; i < s.n; i += used) {
        const uint32_t code = utf8_decode((const uint8_t *)s.p + i, s.n - i, &used, NULL);
        piece = jinja_part(&text, i, used);
        if (!jinja_case(r, &piece, begin, &cased) || !jinja_add_text(r, &b, &cased) || !jinja_spend(r, 1))
            return false;
        begin = jinja_is_space(code) || (code < 128 && code && strchr("-({[<", (int)code));
    }
    *out = jinja_take(&b);
    return true;
}

static bool trim(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_value text;
    return jinja_to_text(r, &c->self, &text) && jinja_strip(r, &text, &c->v[0], 3, out);
}

static bool replace(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_value text, from, to;
    int64_t count = -1;
    if (!jinja_to_text(r, &c->self, &text) || !jinja_to_text(r, &c->v[0], &from) ||
        !jinja_to_text(r, &c->v[1], &to) ||
        (c->v[2].type != JINJA_NONE && !jinja_want_int(r, &c->v[2], -1, &count)))
        return false;
    text.markup = false;
    return jinja_replace(r, &text, &from, &to, count, out);
}

static bool indent(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_value with = c->v[0], text, lines;
    jinja_buffer b = {0};
    int64_t width;
    if (c->self.type == JINJA_UNDEFINED)
        return jinja_fail_undefined(r, &c->self);
    if (!jinja_want_text(r, &c->self, "indent's value"))
        return false;
    if (with.type != JINJA_STRING) {
        const jinja_value none = jinja_literal(""), missing = {.type = JINJA_MISSING};
        if (!jinja_want_int(r, &with, 4, &width) || !jinja_center(r, &none, width, &missing, 1, &with))
            return false;
    }
    // A newline is added first, so that a last line without one counts like the others.
    const jinja_value newline = jinja_literal("\n");
    if (!jinja_concat(r, &c->self, &newline, &text) || !jinja_split_lines(r, &text, false, &lines))
        return false;
    const jinja_list *l = lines.as.list;
    const bool blank = jinja_truth(&c->v[2]);
    if (jinja_truth(&c->v[1]) && !jinja_add_text(r, &b, &with))
        return false;
    for (size_t i = 0; i < l->n; i++)
        if ((i && !jinja_add(r, &b, "\n", 1, false)) ||
            (i && (blank || l->items[i].as.text.n) && !jinja_add_text(r, &b, &with)) ||
            !jinja_add_text(r, &b, &l->items[i]))
            return false;
    *out = jinja_take(&b);
    out->markup = c->self.markup;
    return true;
}

static bool truncate(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    int64_t length, leeway, n;
    const jinja_value dots = jinja_literal("..."), *end = c->v[2].type == JINJA_MISSING ? &dots : &c->v[2];
    const jinja_value no_leeway = {.type = JINJA_MISSING};
    if (!jinja_want_int(r, &c->v[0], 255, &length) || !jinja_want_text(r, end, "truncate's end") ||
        !jinja_want_int(r, c->v[3].type == JINJA_NONE ? &no_leeway : &c->v[3], 5, &leeway) ||
        !jinja_length(r, &c->self, &n))
        return false;
    const int64_t tail = (int64_t)jinja_count(jinja_str(end));
    if (length < tail || leeway < 0)
        return jinja_fail(r, "truncate: expected length >= %lld and leeway >= 0", (long long)tail);
    *out = c->self;
    if (leeway > INT64_MAX - length || n <= length + leeway)
        return true;
    if (!jinja_want_text(r, &c->self, "truncate's value"))
        return false;
    jinja_value head = jinja_part(&c->self, 0, jinja_offset(jinja_str(&c->self), (size_t)(length - tail)));
    if (!jinja_truth(&c->v[1])) {
        size_t at = head.as.text.n;
        while (at > 0 && head.as.text.p[at - 1] != ' ')
            at--;
        head = at ? jinja_part(&head, 0, at - 1) : head;
    }
    return jinja_concat(r, &head, end, out);
}

static bool center(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    const jinja_value missing = {.type = JINJA_MISSING};
    jinja_value text;
    int64_t width;
    return jinja_want_int(r, &c->v[0], 80, &width) && jinja_to_text(r, &c->self, &text) &&
           jinja_center(r, &text, width, &missing, 0, out);
}

static bool wordcount(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_value text;
    int64_t n = 0;
    bool inside = false;
    if (!jinja_to_text(r, &c->self, &text) || !jinja_spend(r, text.as.text.n / 32))
        return false;
    const str s = jinja_str(&text);
    for (size_t i = 0, used; i < s.n; i += used) {
        const uint32_t code = utf8_decode((const uint8_t *)s.p + i, s.n - i, &used, NULL);
        const bool word = jinja_is_alpha(code) || jinja_is_digit(code) || code == '_';
        n += word && !inside;
        inside = word;
    }
    *out = jinja_int(n);
    return true;
}

static bool format(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_value text, values;
    if (c->rest.n && c->rest.n_named)
        return jinja_fail(r, "can't handle positional and keyword arguments at the same time");
    if (!jinja_to_text(r, &c->self, &text))
        return false;
    if (c->rest.n_named) {
        if (!jinja_dict_new(r, JINJA_DICT, &values))
            return false;
        for (size_t i = 0; i < c->rest.n_named; i++) {
            const str name = c->rest.named[i].name;
            const jinja_value key = {.type = JINJA_STRING, .as.text = {name.p, name.n, NULL}};
            if (!jinja_dict_set(r, values.as.dict, &key, &c->rest.named[i].value))
                return false;
        }
    } else {
        if (!jinja_list_new(r, JINJA_TUPLE, c->rest.n, &values))
            return false;
        for (size_t i = 0; i < c->rest.n; i++)
            if (!jinja_list_add(r, values.as.list, &c->rest.items[i]))
                return false;
    }
    return jinja_percent(r, &text, &values, out);
}

/* Drops comments and tags, joins what is left by single spaces and resolves the five entities. */
static bool striptags(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    static const struct {
        const char *name, *text;
    } entities[] = {{"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}, {"&#34;", "\""},
                    {"&#39;", "'"}, {"&quot;", "\""}};
    jinja_value text;
    jinja_buffer b = {0};
    bool gap = false;
    if (!jinja_to_text(r, &c->self, &text))
        return false;
    const str s = jinja_str(&text);
    size_t no_comment = SIZE_MAX, no_tag = SIZE_MAX; // from here on there is no end of these
    for (size_t i = 0, used; i < s.n; i += used) {
        const uint32_t code = utf8_decode((const uint8_t *)s.p + i, s.n - i, &used, NULL);
        const str rest = {s.p + i, s.n - i};
        if (!jinja_spend(r, i % 8 == 0))
            return false;
        const bool comment = str_starts(rest, STR("<!--"));
        if (code == '<' && (comment ? i < no_comment : i < no_tag)) {
            const size_t end = jinja_find(s, comment ? STR("-->") : STR(">"), i);
            if (end != SIZE_MAX) {
                used = end + (comment ? 3 : 1) - i;
                continue;
            }
            *(comment ? &no_comment : &no_tag) = i;
        }
        if (jinja_is_space(code)) {
            gap = b.n > 0;
            continue;
        }
        const char *plain = NULL;
        for (size_t k = 0; code == '&' && k < sizeof entities / sizeof *entities && !plain; k++)
            if (str_starts(rest, str_of(entities[k].name))) {
                plain = entities[k].text;
                used = strlen(entities[k].name);
            }
        if ((gap && !jinja_add(r, &b, " ", 1, jinja_mark_at(&text, i))) ||
            !(plain ? jinja_add(r, &b, plain, 1, jinja_mark_at(&text, i))
                    : jinja_add_part(r, &b, &text, i, used)))
            return false;
        gap = false;
    }
    *out = jinja_take(&b);
    return true;
}

static bool quote(jinja_run *r, jinja_buffer *b, const jinja_value *v, bool query)
{
    jinja_value text;
    if (!jinja_to_text(r, v, &text))
        return false;
    for (size_t i = 0; i < text.as.text.n; i++) {
        const unsigned char c = (unsigned char)text.as.text.p[i];
        const bool plain = c < 128 && (jinja_is_alpha(c) || jinja_is_digit(c) || strchr("_.-~", c)) && c;
        char hex[4];
        snprintf(hex, sizeof hex, "%%%02X", c);
        const bool user = jinja_mark_at(&text, i);
        if (!(plain || (c == '/' && !query) ? jinja_add_part(r, b, &text, i, 1)
              : c == ' ' && query           ? jinja_add(r, b, "+", 1, user)
                                            : jinja_add(r, b, hex, 3, user)) ||
            !jinja_spend(r, i % 4 == 0))
            return false;
    }
    return true;
}

static bool urlencode(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_buffer b = {0};
    jinja_value pairs = c->self, pair;
    jinja_walk w;
    bool more;
    if (c->self.type == JINJA_DICT) {
        pairs.type = JINJA_VIEW;
        pairs.detail = JINJA_ITEMS;
    } else if (c->self.type != JINJA_LIST && c->self.type != JINJA_TUPLE &&
               c->self.type != JINJA_ITERATOR && c->self.type != JINJA_VIEW &&
               c->self.type != JINJA_RANGE) {
        if (!quote(r, &b, &c->self, false))
            return false;
        *out = jinja_take(&b);
        return true;
    }
    if (!jinja_walk_start(r, &pairs, &w))
        return false;
    for (size_t i = 0;; i++) {
        if (!jinja_walk_next(r, &w, &pair, &more))
            return false;
        if (!more)
            break;
        if (!jinja_to_list(r, &pair, &pair))
            return false;
        if (pair.as.list->n != 2)
            return jinja_fail(r, "urlencode takes a string, a dictionary or pairs");
        if ((i && !jinja_add(r, &b, "&", 1, false)) || !quote(r, &b, &pair.as.list->items[0], true) ||
            !jinja_add(r, &b, "=", 1, false) || !quote(r, &b, &pair.as.list->items[1], true))
            return false;
    }
    *out = jinja_take(&b);
    return true;
}

static bool xmlattr(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_buffer b = {0};
    if (c->self.type != JINJA_DICT)
        return jinja_fail(r, "xmlattr takes a dictionary, not %s", jinja_type_name(&c->self));
    const bool space = c->v[0].type == JINJA_MISSING || jinja_truth(&c->v[0]);
    for (size_t i = 0; i < c->self.as.dict->n; i++) {
        const jinja_pair *pair = &c->self.as.dict->pairs[i];
        jinja_value key, v;
        if (pair->value.type == JINJA_NONE || pair->value.type == JINJA_UNDEFINED)
            continue;
        if (!jinja_want_text(r, &pair->key, "xmlattr's key"))
            return false;
        for (size_t k = 0; k < pair->key.as.text.n; k++)
            if (jinja_is_space((unsigned char)pair->key.as.text.p[k]) || strchr("/>=", pair->key.as.text.p[k]))
                return jinja_fail(r, "Invalid character in attribute name");
        if (!jinja_escape(r, &pair->key, &key) || !jinja_to_text(r, &pair->value, &v) ||
            !jinja_escape(r, &v, &v) || ((b.n || space) && !jinja_add(r, &b, " ", 1, false)) ||
            !jinja_add_text(r, &b, &key) || !jinja_add(r, &b, "=\"", 2, false) ||
            !jinja_add_text(r, &b, &v) || !jinja_add(r, &b, "\"", 1, false))
            return false;
    }
    *out = jinja_take(&b);
    return true;
}

/* ---- wordwrap ----------------------------------------------------------------------------- */

typedef struct {
    jinja_run *r;
    const jinja_value *by;
    bool break_long, break_hyphens;
    int64_t width;
    jinja_buffer b;
    bool any; // a line has been written
} wrapper;

static bool letter_at(str s, size_t i)
{
    return i < s.n && (jinja_is_alpha((unsigned char)s.p[i]) || (unsigned char)s.p[i] >= 128 || s.p[i] == '_');
}

/* A hyphen where textwrap would break: behind two letters, or a letter, a hyphen and one more, and
 * before two letters (a hyphen may stand between). */
static bool breaks_at(str s, size_t start, size_t i)
{
    const bool behind = i >= start + 2 && letter_at(s, i - 1) && letter_at(s, i - 2);
    const bool apart = i >= start + 3 && letter_at(s, i - 1) && s.p[i - 2] == '-' && letter_at(s, i - 3);
    const size_t next = i + 2 < s.n && s.p[i + 2] == '-' ? i + 3 : i + 2;
    return (behind || apart) && letter_at(s, i + 1) && letter_at(s, next);
}

/* The next chunk of a line at byte i: space, or a word up to space or behind such a hyphen. */
static size_t chunk_end(const wrapper *w, str s, size_t i)
{
    const bool space = jinja_is_space((unsigned char)s.p[i]);
    size_t end = i;
    while (end < s.n && jinja_is_space((unsigned char)s.p[end]) == space) {
        const bool hyphen = w->break_hyphens && s.p[end] == '-' && breaks_at(s, i, end);
        end++;
        if (hyphen)
            break;
    }
    return end;
}

static bool wrap_line(wrapper *w, const jinja_value *line, size_t from, size_t to)
{
    const str s = jinja_str(line);
    while (to > from && jinja_is_space((unsigned char)s.p[to - 1]))
        to--;
    if (to == from)
        return true;
    if (w->any && !jinja_add_text(w->r, &w->b, w->by))
        return false;
    w->any = true;
    return jinja_add_part(w->r, &w->b, line, from, to - from);
}

static bool wrap_paragraph(wrapper *w, const jinja_value *line)
{
    const str s = jinja_str(line);
    size_t start = 0, i = 0;
    int64_t column = 0;
    bool first = true;
    w->any = false;
    while (i < s.n) {
        const size_t end = chunk_end(w, s, i);
        const int64_t n = (int64_t)jinja_count((str){s.p + i, end - i});
        const bool space = jinja_is_space((unsigned char)s.p[i]);
        if (!jinja_spend(w->r, 1))
            return false;
        if (column == 0 && space && !first) { // a new line does not begin with space
            i = start = end;
            continue;
        }
        if (column + n <= w->width) {
            column += n;
            i = end;
            continue;
        }
        if (n > w->width && w->break_long && !space) {
            const size_t take = jinja_offset((str){s.p + i, end - i}, (size_t)(w->width - column));
            i += take;
        } else if (n > w->width && column == 0) {
            i = end;
        }
        if (!wrap_line(w, line, start, i))
            return false;
        start = i;
        column = 0;
        first = false;
    }
    return wrap_line(w, line, start, s.n);
}

static bool wordwrap(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    const jinja_value newline = jinja_literal("\n");
    wrapper w = {.r = r, .by = &newline};
    jinja_value lines;
    w.break_long = c->v[1].type == JINJA_MISSING || jinja_truth(&c->v[1]);
    w.break_hyphens = c->v[3].type == JINJA_MISSING || jinja_truth(&c->v[3]);
    if (c->v[2].type == JINJA_STRING)
        w.by = &c->v[2];
    if (c->self.type == JINJA_UNDEFINED)
        return jinja_fail_undefined(r, &c->self);
    if (!jinja_want_int(r, &c->v[0], 79, &w.width) || !jinja_want_text(r, &c->self, "wordwrap's value") ||
        !jinja_split_lines(r, &c->self, false, &lines))
        return false;
    if (w.width <= 0)
        return jinja_fail(r, "invalid width %lld (must be > 0)", (long long)w.width);
    for (size_t i = 0; i < lines.as.list->n; i++)
        if ((i && !jinja_add_text(r, &w.b, w.by)) || !wrap_paragraph(&w, &lines.as.list->items[i]))
            return false;
    *out = jinja_take(&w.b);
    return true;
}

/* ---- numbers ------------------------------------------------------------------------------ */

static bool absolute(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    const jinja_value *v = &c->self;
    if (v->type == JINJA_FLOAT) {
        *out = jinja_float(fabs(v->as.number));
        return true;
    }
    if (v->type == JINJA_UNDEFINED)
        return jinja_fail_undefined(r, v);
    if (!jinja_is_number(v))
        return jinja_fail(r, "bad operand type for abs(): '%s'", jinja_type_name(v));
    return jinja_negate(r, v, jinja_number(v) >= 0, out);
}

/* Text as Python's float() reads it: space around, underscores between digits, inf and nan. */
static bool read_float(const jinja_value *text, double *out)
{
    str s = jinja_str(text);
    char buffer[400];
    size_t n = 0;
    while (s.n && jinja_is_space((unsigned char)s.p[0]))
        s = (str){s.p + 1, s.n - 1};
    while (s.n && jinja_is_space((unsigned char)s.p[s.n - 1]))
        s.n--;
    for (size_t i = 0; i < s.n; i++) {
        const bool between = s.p[i] == '_' && i > 0 && i + 1 < s.n &&
                             jinja_is_digit((unsigned char)s.p[i - 1]) && jinja_is_digit((unsigned char)s.p[i + 1]);
        if (n + 1 >= sizeof buffer)
            return false;
        if (!between)
            buffer[n++] = (char)jinja_lower((unsigned char)s.p[i] < 128 ? (uint32_t)s.p[i] : '?');
    }
    const bool sign = n && (buffer[0] == '-' || buffer[0] == '+');
    const str word = {buffer + sign, n - sign};
    if (str_equal(word, STR("inf")) || str_equal(word, STR("infinity")) || str_equal(word, STR("nan"))) {
        const double d = word.p[0] == 'n' ? (double)NAN : (double)INFINITY;
        *out = buffer[0] == '-' ? -d : d;
        return true;
    }
    return json_read_double((str){buffer, n}, out);
}

/* *good: it is an integer as Python's int(text, base) reads it. Fails beyond 64 bits. */
static bool read_int(jinja_run *r, const jinja_value *text, int64_t base, int64_t *out, bool *good)
{
    str s = jinja_str(text);
    *good = false;
    while (s.n && jinja_is_space((unsigned char)s.p[0]))
        s = (str){s.p + 1, s.n - 1};
    while (s.n && jinja_is_space((unsigned char)s.p[s.n - 1]))
        s.n--;
    const bool minus = s.n && s.p[0] == '-';
    if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
        s = (str){s.p + 1, s.n - 1};
    const int mark = s.n > 2 && s.p[0] == '0' ? s.p[1] | 0x20 : 0;
    if (base == 0) // the prefix says it
        base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
    if (base < 2 || base > 36)
        return true;
    if ((base == 16 && mark == 'x') || (base == 8 && mark == 'o') || (base == 2 && mark == 'b'))
        s = (str){s.p + 2, s.n - 2};
    uint64_t value = 0;
    bool digit_before = false, wide = false;
    for (size_t i = 0; i < s.n; i++) {
        const int c = (unsigned char)s.p[i];
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'z' ? c - 'a' + 10
                          : c >= 'A' && c <= 'Z' ? c - 'A' + 10
                                                 : 99;
        if (c == '_' && digit_before && i + 1 < s.n) {
            digit_before = false;
            continue;
        }
        if (digit >= base)
            return true;
        wide = wide || !u64_mul(value, (uint64_t)base, &value) || !u64_add(value, (uint64_t)digit, &value) ||
               value > (uint64_t)INT64_MAX + minus;
        digit_before = true;
    }
    if (!digit_before)
        return true;
    if (wide)
        return jinja_fail(r, "int: an integer beyond 64 bits");
    *good = true;
    *out = minus ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

static bool to_int(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    const jinja_value *v = &c->self;
    int64_t i = 0, base;
    double d;
    bool good = false;
    *out = c->v[0].type == JINJA_MISSING ? jinja_int(0) : c->v[0];
    if (v->type == JINJA_UNDEFINED)
        return jinja_fail_undefined(r, v);
    if (v->type == JINJA_BIG) {
        *out = *v;
        return true;
    }
    if (v->type == JINJA_INT || v->type == JINJA_BOOL) {
        *out = jinja_int(v->type == JINJA_INT ? v->as.integer : v->as.truth);
        return true;
    }
    if (v->type == JINJA_STRING) {
        if (!jinja_want_int(r, &c->v[1], 10, &base) || !read_int(r, v, base, &i, &good))
            return false;
        if (good) {
            *out = jinja_int(i);
            return true;
        }
    }
    if (v->type == JINJA_FLOAT)
        d = v->as.number;
    else if (v->type != JINJA_STRING || !read_float(v, &d))
        return true;
    if (isnan(d) || isinf(d))
        return true;
    if (!(fabs(d) < 9.2e18))
        return jinja_fail(r, "int: an integer beyond 64 bits");
    *out = jinja_int((int64_t)d);
    return true;
}

static bool to_float(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    const jinja_value *v = &c->self;
    double d;
    *out = c->v[0].type == JINJA_MISSING ? jinja_float(0) : c->v[0];
    if (v->type == JINJA_UNDEFINED)
        return jinja_fail_undefined(r, v);
    if (jinja_is_number(v))
        *out = jinja_float(jinja_number(v));
    else if ((v->type == JINJA_STRING || v->type == JINJA_BIG) && read_float(v, &d))
        *out = jinja_float(d);
    return true;
}

/* To n places with ties to even of the exact value, as printf rounds. */
static double round_to(double d, int64_t places)
{
    char text[512];
    size_t n = 0;
    if (!(fabs(d) < 1e308) || places > 300)
        return d;
    if (places < 0) {
        const double scale = pow(10, (double)(places < -300 ? 300 : -places));
        return nearbyint(d / scale) * scale;
    }
    snprintf(text, sizeof text, "%.*f", (int)places, d);
    for (const char *p = text; *p; p++) // whatever the locale has for a point
        if (*p == '-' || (*p >= '0' && *p <= '9'))
            text[n++] = *p;
        else if (n == 0 || text[n - 1] != '.')
            text[n++] = '.';
    json_read_double((str){text, n}, &d);
    return d;
}

static bool round_filter(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    int64_t places;
    const jinja_value common = jinja_literal("common"), *how = c->v[1].type == JINJA_MISSING ? &common : &c->v[1];
    if (!jinja_want_int(r, &c->v[0], 0, &places) || !jinja_want_text(r, how, "round's method"))
        return false;
    if (c->self.type == JINJA_UNDEFINED)
        return jinja_fail_undefined(r, &c->self);
    if (!jinja_is_number(&c->self))
        return jinja_fail(r, "type %s doesn't define __round__ method", jinja_type_name(&c->self));
    const double d = jinja_number(&c->self);
    if (str_equal(jinja_str(how), STR("common"))) {
        if (c->self.type != JINJA_FLOAT && places >= 0)
            return jinja_negate(r, &c->self, true, out);
        *out = c->self.type == JINJA_FLOAT ? jinja_float(round_to(d, places))
                                           : jinja_int((int64_t)round_to(d, places));
        return true;
    }
    const bool up = str_equal(jinja_str(how), STR("ceil"));
    if (!up && !str_equal(jinja_str(how), STR("floor")))
        return jinja_fail(r, "method must be common, ceil or floor");
    const double scale = pow(10, (double)places), scaled = d * scale;
    if (isnan(scaled) || isinf(scaled))
        return jinja_fail(r, "cannot round this number");
    *out = jinja_float((up ? ceil(scaled) : floor(scaled)) / scale);
    return true;
}

static bool filesizeformat(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    static const char *const units[2][8] = {{"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"},
                                            {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"}};
    const bool binary = jinja_truth(&c->v[0]);
    const double base = binary ? 1024 : 1000;
    jinja_buffer b = {0};
    double d;
    char text[64];
    if (jinja_is_number(&c->self))
        d = jinja_number(&c->self);
    else if (c->self.type != JINJA_STRING || !read_float(&c->self, &d))
        return jinja_fail(r, "filesizeformat takes a number, not %s", jinja_type_name(&c->self));
    if (d >= 1 && d <= 1) {
        snprintf(text, sizeof text, "1 Byte");
    } else if (d < base) {
        snprintf(text, sizeof text, "%.0f Bytes", trunc(d));
    } else {
        double unit = base * base;
        int i = 0;
        for (; i < 7 && d >= unit; i++)
            unit *= base;
        const double tenths = round_to(base * d / unit, 1);
        size_t n = json_print_double(text, tenths);
        snprintf(text + n, sizeof text - n, " %s", units[binary][i]);
    }
    if (!jinja_add(r, &b, text, strlen(text), false))
        return false;
    *out = jinja_take(&b);
    return true;
}

/* ---- the rest ----------------------------------------------------------------------------- */

static bool default_filter(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    (void)r;
    const jinja_value empty = jinja_literal("");
    const bool lacks = c->self.type == JINJA_UNDEFINED || (jinja_truth(&c->v[1]) && !jinja_truth(&c->self));
    *out = !lacks ? c->self : c->v[0].type == JINJA_MISSING ? empty : c->v[0];
    return true;
}

static bool attr(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    if (!jinja_want_text(r, &c->v[0], "attr's name"))
        return false;
    const str name = jinja_str(&c->v[0]);
    if (c->self.type == JINJA_DICT && !jinja_method_named(&c->self, name)) {
        *out = jinja_undefined(name, JINJA_LACK_OF + JINJA_DICT);
        return true;
    }
    return jinja_attribute(r, &c->self, name, out);
}

/* One line only: Python's pprint breaks what is longer than 80 characters, and sorts keys. */
static bool pprint(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_buffer b = {0};
    if (!jinja_add_repr(r, &b, &c->self))
        return false;
    *out = jinja_take(&b);
    const bool nested = c->self.type != JINJA_STRING && jinja_find(jinja_str(out), STR("{"), 0) != SIZE_MAX;
    return (!nested && jinja_count(jinja_str(out)) < 80) ||
           jinja_fail(r, "pprint of dictionaries and of more than one line is not supported");
}

static bool unsupported(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    (void)c;
    (void)out;
    return jinja_fail(r, "the filters random and urlize are not supported");
}

const jinja_builtin *jinja_filter_named(str name)
{
    static const jinja_builtin rows[] = {
        {"tojson", jinja_tojson, "ensure_ascii indent separators sort_keys", 0},
        {"trim", trim, "chars", 0},
        {"default", default_filter, "default_value boolean", 0},
        {"d", default_filter, "default_value boolean", 0},
        {"string", string, "", 0},
        {"safe", safe, "", 0},
        {"lower", lower, "", 0},
        {"upper", upper, "", 0},
        {"replace", replace, "old new count", 2},
        {"indent", indent, "width first blank", 0},
        {"int", to_int, "default base", 0},
        {"float", to_float, "default", 0},
        {"capitalize", capitalize, "", 0},
        {"title", title, "", 0},
        {"truncate", truncate, "length killwords end leeway", 0},
        {"wordwrap", wordwrap, "width break_long_words wrapstring break_on_hyphens", 0},
        {"wordcount", wordcount, "", 0},
        {"center", center, "width", 0},
        {"format", format, "*", 0},
        {"abs", absolute, "", 0},
        {"round", round_filter, "precision method", 0},
        {"escape", escape, "", 0},
        {"e", escape, "", 0},
        {"forceescape", forceescape, "", 0},
        {"striptags", striptags, "", 0},
        {"urlencode", urlencode, "", 0},
        {"xmlattr", xmlattr, "autospace", 0},
        {"filesizeformat", filesizeformat, "binary", 0},
        {"attr", attr, "name", 1},
        {"pprint", pprint, "", 0},
        {"random", unsupported, "*", 0},
        {"urlize", unsupported, "*", 0},
    };
    const jinja_builtin *row = jinja_row(rows, sizeof rows / sizeof *rows, name);
    return row ? row : jinja_sequence_filter(name);
}
