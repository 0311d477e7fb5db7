/* Python's string methods. Positions count code points; origin marks follow the bytes. */
#include "base/utf8.h"
#include "chat/jinja.h"

static uint32_t code_at(str s, size_t i, size_t *used)
{
    return utf8_decode((const uint8_t *)s.p + i, s.n - i, used, NULL);
}

static bool give(const jinja_call *c, const jinja_buffer *b, jinja_value *out)
{
    *out = jinja_take(b);
    out->markup = c->self.markup;
    return true;
}

/* ---- case --------------------------------------------------------------------------------- */

typedef enum { CASE_LOWER, CASE_UPPER, CASE_SWAP, CASE_TITLE, CASE_CAPITAL } letter_case;

static bool add_cased(jinja_run *r, jinja_buffer *b, uint32_t c, bool upper, bool title, bool user)
{
    if (upper && c == 0xDF) // the one small letter without a capital that is common
        return jinja_add(r, b, title ? "Ss" : "SS", 2, user);
    return jinja_add_code(r, b, upper ? jinja_upper(c) : jinja_lower(c), user);
}

static bool is_letter(uint32_t c)
{
    return jinja_lower(c) != c || jinja_upper(c) != c || c == 0xDF;
}

/* A sigma at the end of a word has a small form of its own. */
static bool final_sigma(str s, size_t i, size_t used, bool inside)
{
    size_t next;
    return inside && (i + used >= s.n || !is_letter(code_at(s, i + used, &next)));
}

static bool change_case(jinja_run *r, const jinja_value *text, letter_case how, jinja_value *out)
{
    const str s = jinja_str(text);
    jinja_buffer b = {0};
    bool inside = false; // behind a letter of the same word
    for (size_t i = 0, used; i < s.n; i += used) {
        const uint32_t c = code_at(s, i, &used);
        const bool letter = is_letter(c), small = jinja_upper(c) != c || c == 0xDF;
        const bool upper = how == CASE_UPPER || (how == CASE_SWAP && small) ||
                           (how == CASE_TITLE && !inside) || (how == CASE_CAPITAL && i == 0);
        if (!(c == 0x3A3 && !upper && final_sigma(s, i, used, inside)
                  ? jinja_add_code(r, &b, 0x3C2, jinja_mark_at(text, i))
              : letter ? add_cased(r, &b, c, upper, how >= CASE_TITLE, jinja_mark_at(text, i))
                     : jinja_add_part(r, &b, text, i, used)) ||
            (i % 4 == 0 && !jinja_spend(r, 1)))
            return false;
        inside = letter;
    }
    *out = jinja_take(&b);
    out->markup = text->markup;
    return true;
}

bool jinja_case(jinja_run *r, const jinja_value *text, bool upper, jinja_value *out)
{
    return change_case(r, text, upper ? CASE_UPPER : CASE_LOWER, out);
}

static bool lower(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return change_case(r, &c->self, CASE_LOWER, out);
}

static bool upper(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return change_case(r, &c->self, CASE_UPPER, out);
}

static bool swapcase(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return change_case(r, &c->self, CASE_SWAP, out);
}

static bool title(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return change_case(r, &c->self, CASE_TITLE, out);
}

static bool capitalize(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return change_case(r, &c->self, CASE_CAPITAL, out);
}

/* ---- strip, split, join ------------------------------------------------------------------- */

/* Whether the character at s [i] is one to strip. */
static bool stripped(str s, size_t i, const jinja_value *chars, size_t *used)
{
    const uint32_t c = code_at(s, i, used);
    if (chars->type != JINJA_STRING)
        return jinja_is_space(c);
    return jinja_find(jinja_str(chars), (str){s.p + i, *used}, 0) != SIZE_MAX;
}

bool jinja_strip(jinja_run *r, const jinja_value *text, const jinja_value *chars, int sides,
                 jinja_value *out)
{
    const str s = jinja_str(text);
    size_t start = 0, end = s.n, used;
    if (chars->type != JINJA_STRING && chars->type != JINJA_MISSING && chars->type != JINJA_NONE)
        return jinja_fail(r, "strip arg must be None or str");
    const size_t cost = chars->type == JINJA_STRING ? 1 + chars->as.text.n / 64 : 1;
    if (sides & 1)
        while (start < end && stripped(s, start, chars, &used)) {
            start += used;
            if (start % 32 == 0 && !jinja_spend(r, cost))
                return false;
        }
    while ((sides & 2) && end > start) {
        size_t at = end - 1;
        while (at > start && ((unsigned char)s.p[at] & 0xC0) == 0x80)
            at--;
        if (!stripped(s, at, chars, &used))
            break;
        end = at;
        if (end % 32 == 0 && !jinja_spend(r, cost))
            return false;
    }
    *out = jinja_part(text, start, end - start);
    return true;
}

static bool strip(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return jinja_strip(r, &c->self, &c->v[0], 3, out);
}

static bool lstrip(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return jinja_strip(r, &c->self, &c->v[0], 1, out);
}

static bool rstrip(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return jinja_strip(r, &c->self, &c->v[0], 2, out);
}

static bool add_part(jinja_run *r, jinja_value *list, const jinja_value *text, size_t start, size_t n)
{
    const jinja_value part = jinja_part(text, start, n);
    return jinja_spend(r, 1) && jinja_list_add(r, list->as.list, &part);
}

static bool split_space(jinja_run *r, const jinja_value *text, int64_t max, jinja_value *list)
{
    const str s = jinja_str(text);
    size_t i = 0, used;
    for (;;) {
        while (i < s.n && jinja_is_space(code_at(s, i, &used)))
            i += used;
        if (i == s.n)
            return true;
        size_t end = i;
        if (max-- == 0)
            return add_part(r, list, text, i, s.n - i);
        while (end < s.n && !jinja_is_space(code_at(s, end, &used)))
            end += used;
        if (!add_part(r, list, text, i, end - i))
            return false;
        i = end;
    }
}

static bool split_at(jinja_run *r, const jinja_value *text, str by, int64_t max, jinja_value *list)
{
    const str s = jinja_str(text);
    size_t i = 0;
    for (; max != 0; max--) {
        const size_t end = jinja_find(s, by, i);
        if (end == SIZE_MAX)
            break;
        if (!add_part(r, list, text, i, end - i))
            return false;
        i = end + by.n;
    }
    return add_part(r, list, text, i, s.n - i);
}

static void reverse(jinja_list *list)
{
    for (size_t i = 0; i < list->n / 2; i++) {
        const jinja_value v = list->items[i];
        list->items[i] = list->items[list->n - 1 - i];
        list->items[list->n - 1 - i] = v;
    }
}

static bool rsplit_at(jinja_run *r, const jinja_value *text, str by, int64_t max, jinja_value *list)
{
    str s = jinja_str(text);
    for (; max != 0; max--) {
        const size_t at = jinja_find_last(s, by);
        if (at == SIZE_MAX)
            break;
        if (!add_part(r, list, text, at + by.n, s.n - at - by.n))
            return false;
        s.n = at;
    }
    if (!add_part(r, list, text, 0, s.n))
        return false;
    reverse(list->as.list);
    return true;
}

static bool rsplit_space(jinja_run *r, const jinja_value *text, int64_t max, jinja_value *list)
{
    jinja_value s = *text, none = jinja_none();
    for (;;) {
        if (!jinja_strip(r, &s, &none, 2, &s))
            return false;
        if (s.as.text.n == 0)
            break;
        size_t start = s.as.text.n, used;
        while (start > 0 && max != 0) {
            size_t at = start - 1;
            while (at > 0 && ((unsigned char)s.as.text.p[at] & 0xC0) == 0x80)
                at--;
            if (jinja_is_space(code_at(jinja_str(&s), at, &used)))
                break;
            start = at;
        }
        start = max == 0 ? 0 : start;
        if (!add_part(r, list, &s, start, s.as.text.n - start))
            return false;
        if (max-- == 0)
            break;
        s = jinja_part(&s, 0, start);
    }
    reverse(list->as.list);
    return true;
}

static bool split_either(jinja_run *r, const jinja_call *c, bool from_right, jinja_value *out)
{
    int64_t max;
    if (!jinja_want_int(r, &c->v[1], -1, &max) || !jinja_list_new(r, JINJA_LIST, 0, out) ||
        !jinja_spend(r, c->self.as.text.n / 16))
        return false;
    const jinja_value *by = &c->v[0];
    if (by->type == JINJA_MISSING || by->type == JINJA_NONE)
        return from_right ? rsplit_space(r, &c->self, max, out) : split_space(r, &c->self, max, out);
    if (!jinja_want_text(r, by, "the separator"))
        return false;
    if (by->as.text.n == 0)
        return jinja_fail(r, "empty separator");
    return from_right ? rsplit_at(r, &c->self, jinja_str(by), max, out)
                      : split_at(r, &c->self, jinja_str(by), max, out);
}

static bool split(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return split_either(r, c, false, out);
}

static bool rsplit(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return split_either(r, c, true, out);
}

/* Length of the line break at s [i], or 0. */
static size_t line_break(str s, size_t i)
{
    size_t used;
    const uint32_t c = code_at(s, i, &used);
    if (c == '\r' && i + 1 < s.n && s.p[i + 1] == '\n')
        return 2;
    return (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029
               ? used
               : 0;
}

bool jinja_split_lines(jinja_run *r, const jinja_value *text, bool keep, jinja_value *out)
{
    const str s = jinja_str(text);
    size_t start = 0;
    if (!jinja_list_new(r, JINJA_LIST, 0, out) || !jinja_spend(r, s.n / 32))
        return false;
    for (size_t i = 0; i < s.n;) {
        const size_t n = line_break(s, i);
        if (n) {
            if (!add_part(r, out, text, start, i - start + (keep ? n : 0)))
                return false;
            start = i + n;
        }
        i += n ? n : 1;
        while (i < s.n && ((unsigned char)s.p[i] & 0xC0) == 0x80)
            i++;
    }
    return start == s.n || add_part(r, out, text, start, s.n - start);
}

static bool splitlines(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return jinja_split_lines(r, &c->self, jinja_truth(&c->v[0]), out);
}

static bool join(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_walk w;
    jinja_value v;
    jinja_buffer b = {0};
    bool more;
    if (!jinja_walk_start(r, &c->v[0], &w))
        return false;
    for (size_t i = 0;; i++) {
        if (!jinja_walk_next(r, &w, &v, &more))
            return false;
        if (!more)
            return give(c, &b, out);
        if (v.type != JINJA_STRING)
            return jinja_fail(r, "sequence item %zu: expected str instance, %s found", i,
                              jinja_type_name(&v));
        if (c->self.markup && !jinja_escape(r, &v, &v))
            return false;
        if ((i && !jinja_add_text(r, &b, &c->self)) || !jinja_add_text(r, &b, &v))
            return false;
    }
}

static bool partition_at(jinja_run *r, const jinja_call *c, bool last, jinja_value *out)
{
    const str s = jinja_str(&c->self);
    if (!jinja_want_text(r, &c->v[0], "the separator"))
        return false;
    const str by = jinja_str(&c->v[0]);
    if (by.n == 0)
        return jinja_fail(r, "empty separator");
    const size_t at = last ? jinja_find_last(s, by) : jinja_find(s, by, 0);
    if (!jinja_spend(r, s.n / 16) || !jinja_list_new(r, JINJA_TUPLE, 3, out))
        return false;
    const size_t a = at != SIZE_MAX ? at : last ? 0 : s.n;
    const size_t b = at != SIZE_MAX ? at + by.n : last ? 0 : s.n;
    return add_part(r, out, &c->self, 0, a) && add_part(r, out, &c->self, a, b - a) &&
           add_part(r, out, &c->self, b, s.n - b);
}

static bool partition(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return partition_at(r, c, false, out);
}

static bool rpartition(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return partition_at(r, c, true, out);
}

/* ---- searching ---------------------------------------------------------------------------- */

/* The part of the text between the optional positions v[1] and v[2], as bytes. */
static bool window(jinja_run *r, const jinja_call *c, size_t *from, str *out)
{
    const str s = jinja_str(&c->self);
    const jinja_value bounds[3] = {c->v[1], c->v[2], jinja_none()};
    jinja_value part;
    *from = 0;
    *out = s;
    if (bounds[0].type == JINJA_MISSING && bounds[1].type == JINJA_MISSING)
        return true;
    if (!jinja_slice(r, &c->self, bounds, &part))
        return false;
    *out = jinja_str(&part);
    *from = (size_t)(out->p - s.p);
    return true;
}

static bool match_any(jinja_run *r, str s, const jinja_value *what, bool end, bool *out)
{
    *out = false;
    if (what->type == JINJA_TUPLE) {
        for (size_t i = 0; i < what->as.list->n && !*out; i++) {
            if (what->as.list->items[i].type == JINJA_TUPLE)
                return jinja_fail(r, "tuple for startswith or endswith must only contain str");
            if (!match_any(r, s, &what->as.list->items[i], end, out))
                return false;
        }
        return true;
    }
    if (!jinja_want_text(r, what, end ? "endswith's argument" : "startswith's argument"))
        return false;
    const str w = jinja_str(what);
    *out = w.n <= s.n && (w.n == 0 || memcmp(s.p + (end ? s.n - w.n : 0), w.p, w.n) == 0);
    return jinja_spend(r, 1 + w.n / 64);
}

static bool starts_or_ends(jinja_run *r, const jinja_call *c, bool end, jinja_value *out)
{
    size_t from;
    str s;
    bool matches;
    if (!window(r, c, &from, &s) || !match_any(r, s, &c->v[0], end, &matches))
        return false;
    *out = jinja_bool(matches);
    return true;
}

static bool startswith(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return starts_or_ends(r, c, false, out);
}

static bool endswith(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return starts_or_ends(r, c, true, out);
}

static bool find_in(jinja_run *r, const jinja_call *c, bool last, bool must, jinja_value *out)
{
    size_t from;
    str s;
    if (!jinja_want_text(r, &c->v[0], "what is looked for") || !window(r, c, &from, &s) ||
        !jinja_spend(r, s.n / 16))
        return false;
    const size_t at = last ? jinja_find_last(s, jinja_str(&c->v[0])) : jinja_find(s, jinja_str(&c->v[0]), 0);
    if (at == SIZE_MAX && must)
        return jinja_fail(r, "substring not found");
    *out = jinja_int(at == SIZE_MAX ? -1
                                    : (int64_t)jinja_count((str){c->self.as.text.p, from + at}));
    return true;
}

static bool find(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return find_in(r, c, false, false, out);
}

static bool rfind(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return find_in(r, c, true, false, out);
}

static bool position(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return find_in(r, c, false, true, out);
}

static bool rposition(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return find_in(r, c, true, true, out);
}

static bool count(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    size_t from, i = 0;
    int64_t n = 0;
    str s;
    if (!jinja_want_text(r, &c->v[0], "what is counted") || !window(r, c, &from, &s) ||
        !jinja_spend(r, s.n / 32))
        return false;
    const str what = jinja_str(&c->v[0]);
    if (what.n == 0)
        n = (int64_t)jinja_count(s) + 1;
    else
        for (; (i = jinja_find(s, what, i)) != SIZE_MAX; i += what.n)
            n++;
    *out = jinja_int(n);
    return true;
}

/* ---- replacing and filling ---------------------------------------------------------------- */

bool jinja_replace(jinja_run *r, const jinja_value *text, const jinja_value *from,
                   const jinja_value *to, int64_t limit, jinja_value *out)
{
    const str s = jinja_str(text), what = jinja_str(from);
    jinja_value with = *to;
    jinja_buffer b = {0};
    size_t i = 0;
    if (text->markup && !jinja_escape(r, to, &with))
        return false;
    if (!jinja_spend(r, s.n / 16))
        return false;
    for (; limit != 0; limit--) {
        if (what.n == 0) { // before each character and at the end
            size_t used = i < s.n ? jinja_offset((str){s.p + i, s.n - i}, 1) : 0;
            if (!jinja_spend(r, 1) || !jinja_add_text(r, &b, &with))
                return false;
            if (i == s.n)
                break;
            if (!jinja_add_part(r, &b, text, i, used))
                return false;
            i += used;
            continue;
        }
        const size_t at = jinja_find(s, what, i);
        if (at == SIZE_MAX)
            break;
        if (!jinja_spend(r, 1) || !jinja_add_part(r, &b, text, i, at - i) || !jinja_add_text(r, &b, &with))
            return false;
        i = at + what.n;
    }
    if (!jinja_add_part(r, &b, text, i, s.n - i))
        return false;
    *out = jinja_take(&b);
    out->markup = text->markup;
    return true;
}

static bool replace(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    int64_t limit;
    return jinja_want_text(r, &c->v[0], "replace() argument 1") &&
           jinja_want_text(r, &c->v[1], "replace() argument 2") &&
           jinja_want_int(r, &c->v[2], -1, &limit) &&
           jinja_replace(r, &c->self, &c->v[0], &c->v[1], limit, out);
}

static bool remove_affix(jinja_run *r, const jinja_call *c, bool end, jinja_value *out)
{
    if (!jinja_want_text(r, &c->v[0], end ? "removesuffix()'s argument" : "removeprefix()'s argument"))
        return false;
    const str s = jinja_str(&c->self), w = jinja_str(&c->v[0]);
    const bool has = w.n && w.n <= s.n && memcmp(s.p + (end ? s.n - w.n : 0), w.p, w.n) == 0;
    *out = has ? jinja_part(&c->self, end ? 0 : w.n, s.n - w.n) : c->self;
    return true;
}

static bool removeprefix(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return remove_affix(r, c, false, out);
}

static bool removesuffix(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return remove_affix(r, c, true, out);
}

bool jinja_center(jinja_run *r, const jinja_value *text, int64_t width, const jinja_value *fill,
                  int side, jinja_value *out)
{
    const int64_t n = (int64_t)jinja_count(jinja_str(text)), more = width > n ? width - n : 0;
    const jinja_value space = jinja_literal(" ");
    const jinja_value *with = fill->type == JINJA_MISSING ? &space : fill;
    jinja_buffer b = {0};
    if (with->type != JINJA_STRING || jinja_count(jinja_str(with)) != 1)
        return jinja_fail(r, "the fill character must be exactly one character long");
    // An odd space goes left where the width is odd too: so does Python.
    const int64_t left = side < 0 ? 0 : side > 0 ? more : more / 2 + (more & width & 1);
    if (more > JINJA_MAX_OUTPUT)
        return jinja_fail(r, "a width of %lld is too large", (long long)width);
    for (int64_t i = 0; i <= more; i++) {
        if (i == left && !jinja_add_text(r, &b, text))
            return false;
        if (i < more && (!jinja_add_text(r, &b, with) || (i % 16 == 0 && !jinja_spend(r, 1))))
            return false;
    }
    *out = jinja_take(&b);
    out->markup = text->markup;
    return true;
}

static bool fill_side(jinja_run *r, const jinja_call *c, int side, jinja_value *out)
{
    int64_t width;
    return jinja_want_int(r, &c->v[0], 0, &width) &&
           jinja_center(r, &c->self, width, &c->v[1], side, out);
}

static bool center(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return fill_side(r, c, 0, out);
}

static bool ljust(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return fill_side(r, c, -1, out);
}

static bool rjust(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return fill_side(r, c, 1, out);
}

static bool zfill(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    const str s = jinja_str(&c->self);
    const bool sign = s.n && (s.p[0] == '-' || s.p[0] == '+');
    const jinja_value zero = jinja_literal("0"), digits = jinja_part(&c->self, sign, s.n - sign);
    const jinja_value head = jinja_part(&c->self, 0, sign);
    int64_t width;
    return jinja_want_int(r, &c->v[0], 0, &width) &&
           jinja_center(r, &digits, width > INT64_MIN ? width - sign : width, &zero, 1, out) &&
           jinja_concat(r, &head, out, out);
}

static bool expandtabs(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    const str s = jinja_str(&c->self);
    jinja_buffer b = {0};
    int64_t size, column = 0;
    if (!jinja_want_int(r, &c->v[0], 8, &size))
        return false;
    if (size > 1000)
        return jinja_fail(r, "a tab size of %lld is too large", (long long)size);
    for (size_t i = 0, used; i < s.n; i += used) {
        const uint32_t code = code_at(s, i, &used);
        if (code == '\t') {
            const int64_t n = size > 0 ? size - column % size : 0;
            for (int64_t k = 0; k < n; k++)
                if (!jinja_add(r, &b, " ", 1, jinja_mark_at(&c->self, i)))
                    return false;
            column += n;
            continue;
        }
        column = code == '\n' || code == '\r' ? 0 : column + 1;
        if (!jinja_add_part(r, &b, &c->self, i, used) || (i % 16 == 0 && !jinja_spend(r, 1)))
            return false;
    }
    return give(c, &b, out);
}

/* ---- questions ---------------------------------------------------------------------------- */

/* True if every character passes and there is one; cased: instead, no letter of the wrong case and
 * at least one of the right. */
static bool all_of(jinja_run *r, const jinja_call *c, bool (*passes)(uint32_t), jinja_value *out)
{
    const str s = jinja_str(&c->self);
    bool good = s.n > 0;
    if (!jinja_spend(r, s.n / 32))
        return false;
    for (size_t i = 0, used; good && i < s.n; i += used)
        good = passes(code_at(s, i, &used));
    *out = jinja_bool(good);
    return true;
}

static bool alnum(uint32_t c)
{
    return jinja_is_alpha(c) || jinja_is_digit(c);
}

static bool ascii(uint32_t c)
{
    return c < 128;
}

static bool isalpha_(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return all_of(r, c, jinja_is_alpha, out);
}

static bool isdigit_(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return all_of(r, c, jinja_is_digit, out);
}

static bool isalnum_(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return all_of(r, c, alnum, out);
}

static bool isspace_(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return all_of(r, c, jinja_is_space, out);
}

static bool isascii_(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    if (!all_of(r, c, ascii, out))
        return false;
    if (c->self.as.text.n == 0)
        *out = jinja_bool(true);
    return true;
}

static bool cased(jinja_run *r, const jinja_call *c, bool want_upper, jinja_value *out)
{
    const str s = jinja_str(&c->self);
    bool seen = false, good = true;
    if (!jinja_spend(r, s.n / 32))
        return false;
    for (size_t i = 0, used; good && i < s.n; i += used) {
        const uint32_t code = code_at(s, i, &used);
        const bool is_upper = jinja_lower(code) != code, is_lower = jinja_upper(code) != code || code == 0xDF;
        seen = seen || (want_upper ? is_upper : is_lower);
        good = want_upper ? !is_lower : !is_upper;
    }
    *out = jinja_bool(good && seen);
    return true;
}

static bool islower_(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return cased(r, c, false, out);
}

static bool isupper_(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return cased(r, c, true, out);
}

static bool istitle_(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    const str s = jinja_str(&c->self);
    bool inside = false, good = true, seen = false;
    for (size_t i = 0, used; good && i < s.n; i += used) {
        const uint32_t code = code_at(s, i, &used);
        const bool is_upper = jinja_lower(code) != code, letter = is_letter(code);
        good = !letter || is_upper != inside;
        seen = seen || letter;
        inside = letter;
    }
    *out = jinja_bool(good && seen);
    return jinja_spend(r, s.n / 32);
}

const jinja_builtin *jinja_string_method(str name)
{
    static const jinja_builtin rows[] = {
        {"split", split, "sep maxsplit", 0},
        {"strip", strip, "/chars", 0},
        {"lstrip", lstrip, "/chars", 0},
        {"rstrip", rstrip, "/chars", 0},
        {"startswith", startswith, "/prefix start end", 1},
        {"endswith", endswith, "/suffix start end", 1},
        {"replace", replace, "/old new count", 2},
        {"lower", lower, "", 0},
        {"casefold", lower, "", 0},
        {"upper", upper, "", 0},
        {"title", title, "", 0},
        {"capitalize", capitalize, "", 0},
        {"swapcase", swapcase, "", 0},
        {"join", join, "/iterable", 1},
        {"format", jinja_format_method, "*", 0},
        {"find", find, "/sub start end", 1},
        {"rfind", rfind, "/sub start end", 1},
        {"index", position, "/sub start end", 1},
        {"rindex", rposition, "/sub start end", 1},
        {"count", count, "/sub start end", 1},
        {"rsplit", rsplit, "sep maxsplit", 0},
        {"splitlines", splitlines, "keepends", 0},
        {"partition", partition, "/sep", 1},
        {"rpartition", rpartition, "/sep", 1},
        {"removeprefix", removeprefix, "/prefix", 1},
        {"removesuffix", removesuffix, "/suffix", 1},
        {"center", center, "/width fillchar", 1},
        {"ljust", ljust, "/width fillchar", 1},
        {"rjust", rjust, "/width fillchar", 1},
        {"zfill", zfill, "/width", 1},
        {"expandtabs", expandtabs, "tabsize", 0},
        {"isalpha", isalpha_, "", 0},
        {"isdigit", isdigit_, "", 0},
        {"isdecimal", isdigit_, "", 0},
        {"isnumeric", isdigit_, "", 0},
        {"isalnum", isalnum_, "", 0},
        {"isspace", isspace_, "", 0},
        {"isascii", isascii_, "", 0},
        {"islower", islower_, "", 0},
        {"isupper", isupper_, "", 0},
        {"istitle", istitle_, "", 0},
    };
    return jinja_row(rows, sizeof rows / sizeof *rows, name);
}
