/* The filter tojson: Python's json.dumps without HTML escaping, as Transformers has it. Refuses
 * what json.dumps refuses, and an indent that is wider than any sensible text. */
#include <math.h>
#include <stdio.h>

#include "base/utf8.h"
#include "chat/jinja.h"

typedef struct {
    jinja_run *r;
    jinja_buffer b;
    bool ascii, sort, pretty;
    jinja_value indent, item, key; // texts; item and key are the separators
} dumper;

static bool dump_text(dumper *d, const jinja_value *v)
{
    static const char special[] = "\"\\\n\r\t\f\b", letters[] = "\"\\nrtfb";
    const str s = jinja_str(v);
    jinja_run *r = d->r;
    if (!jinja_add(r, &d->b, "\"", 1, false))
        return false;
    for (size_t i = 0, used; i < s.n; i += used) {
        // Runs of plain text go in one piece.
        for (used = 0; i + used < s.n; used++) {
            const unsigned char c = (unsigned char)s.p[i + used];
            if (c < 0x20 || c == '"' || c == '\\' || (d->ascii && c >= 0x7F))
                break;
        }
        if (used) {
            if (!jinja_add_part(r, &d->b, v, i, used))
                return false;
            continue;
        }
        const uint32_t c = utf8_decode((const uint8_t *)s.p + i, s.n - i, &used, NULL);
        const char *found = c && c < 0x80 ? strchr(special, (int)c) : NULL;
        char text[16];
        int n;
        if (found)
            n = snprintf(text, sizeof text, "\\%c", letters[found - special]);
        else if (c == 0x7F)
            n = snprintf(text, sizeof text, "\x7F");
        else if (c < 0x10000)
            n = snprintf(text, sizeof text, "\\u%04x", (unsigned)c);
        else
            n = snprintf(text, sizeof text, "\\u%04x\\u%04x", (unsigned)(0xD800 + ((c - 0x10000) >> 10)),
                         (unsigned)(0xDC00 + ((c - 0x10000) & 0x3FF)));
        if (!jinja_add(r, &d->b, text, (size_t)n, jinja_mark_at(v, i)))
            return false;
    }
    return jinja_add(r, &d->b, "\"", 1, false);
}

static bool dump_number(dumper *d, const jinja_value *v)
{
    if (v->type == JINJA_FLOAT && !(fabs(v->as.number) <= 1.7976931348623157e308)) {
        const char *name = isnan(v->as.number) ? "NaN" : v->as.number > 0 ? "Infinity" : "-Infinity";
        return jinja_add(d->r, &d->b, name, strlen(name), false);
    }
    return jinja_add_repr(d->r, &d->b, v);
}

static bool dump(dumper *d, const jinja_value *v, int level);

static bool dump_break(dumper *d, int level)
{
    if (!d->pretty)
        return true;
    if (!jinja_add(d->r, &d->b, "\n", 1, false))
        return false;
    for (int i = 0; i < level; i++)
        if (!jinja_add_text(d->r, &d->b, &d->indent))
            return false;
    return true;
}

static bool dump_list(dumper *d, const jinja_list *list, int level)
{
    if (list->n == 0)
        return jinja_add(d->r, &d->b, "[]", 2, false);
    if (!jinja_add(d->r, &d->b, "[", 1, false))
        return false;
    for (size_t i = 0; i < list->n; i++)
        if ((i && !jinja_add_text(d->r, &d->b, &d->item)) || !dump_break(d, level + 1) ||
            !dump(d, &list->items[i], level + 1))
            return false;
    return dump_break(d, level) && jinja_add(d->r, &d->b, "]", 1, false);
}

static bool dump_key(dumper *d, const jinja_value *key)
{
    if (key->type == JINJA_STRING)
        return dump_text(d, key);
    if (!jinja_is_number(key) && key->type != JINJA_NONE && key->type != JINJA_BIG)
        return jinja_fail(d->r, "keys must be str, int, float, bool or None, not %s",
                          jinja_type_name(key));
    return jinja_add(d->r, &d->b, "\"", 1, false) && dump(d, key, 0) &&
           jinja_add(d->r, &d->b, "\"", 1, false);
}

/* The pairs in the order of their keys: merge sort, which may fail on keys without an order. */
static bool sort_pairs(jinja_run *r, const jinja_dict *from, jinja_pair **out)
{
    const size_t n = from->n;
    jinja_pair *items = jinja_alloc(r, size_mul(n, 2), sizeof *items), *spare = items + n;
    if (!items)
        return false;
    memcpy(items, from->pairs, n * sizeof *items);
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t lo = 0; lo < n; lo += 2 * width) {
            const size_t mid = n - lo < width ? n : lo + width;
            const size_t hi = n - mid < width ? n : mid + width;
            for (size_t i = lo, a = lo, b = mid; i < hi; i++) {
                int c = 0;
                if (a < mid && b < hi &&
                    (!jinja_spend(r, 1) || !jinja_order(r, &items[b].key, &items[a].key, &c)))
                    return false;
                spare[i] = b >= hi || (a < mid && c >= 0) ? items[a++] : items[b++];
            }
        }
        jinja_pair *swap = items;
        items = spare;
        spare = swap;
    }
    *out = items;
    return true;
}

static bool dump_dict(dumper *d, const jinja_dict *dict, int level)
{
    jinja_pair *pairs = dict->pairs;
    if (dict->n == 0)
        return jinja_add(d->r, &d->b, "{}", 2, false);
    if ((d->sort && !sort_pairs(d->r, dict, &pairs)) || !jinja_add(d->r, &d->b, "{", 1, false))
        return false;
    for (size_t i = 0; i < dict->n; i++)
        if ((i && !jinja_add_text(d->r, &d->b, &d->item)) || !dump_break(d, level + 1) ||
            !dump_key(d, &pairs[i].key) || !jinja_add_text(d->r, &d->b, &d->key) ||
            !dump(d, &pairs[i].value, level + 1))
            return false;
    return dump_break(d, level) && jinja_add(d->r, &d->b, "}", 1, false);
}

static bool dump(dumper *d, const jinja_value *v, int level)
{
    if (!jinja_spend(d->r, 1))
        return false;
    if (v->type == JINJA_NONE)
        return jinja_add(d->r, &d->b, "null", 4, false);
    if (v->type == JINJA_BOOL)
        return jinja_add(d->r, &d->b, v->as.truth ? "true" : "false", v->as.truth ? 4 : 5, false);
    if (jinja_is_number(v) || v->type == JINJA_BIG)
        return dump_number(d, v);
    if (v->type == JINJA_STRING)
        return dump_text(d, v);
    if (v->type != JINJA_LIST && v->type != JINJA_TUPLE && v->type != JINJA_DICT)
        return jinja_fail(d->r, "Object of type %s is not JSON serializable", jinja_type_name(v));
    if (!jinja_enter(d->r))
        return false;
    if (!(v->type == JINJA_DICT ? dump_dict(d, v->as.dict, level) : dump_list(d, v->as.list, level)))
        return false;
    d->r->depth--;
    return true;
}

static bool dump_indent(dumper *d, const jinja_value *indent)
{
    d->indent = jinja_literal("");
    if (indent->type == JINJA_NONE || indent->type == JINJA_MISSING)
        return true;
    d->pretty = true;
    d->item = jinja_literal(",");
    if (indent->type == JINJA_STRING) {
        d->indent = *indent;
        return true;
    }
    int64_t n;
    if (!jinja_want_int(d->r, indent, 0, &n))
        return false;
    if (n > 64)
        return jinja_fail(d->r, "tojson: an indent of %lld is too wide", (long long)n);
    static const char spaces[] = "                                                                ";
    d->indent = jinja_literal("");
    d->indent.as.text = (jinja_text){spaces, n > 0 ? (size_t)n : 0, NULL};
    return true;
}

/* tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False) */
bool jinja_tojson(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    dumper d = {.r = r,
                .ascii = jinja_truth(&c->v[0]),
                .sort = jinja_truth(&c->v[3]),
                .item = jinja_literal(", "),
                .key = jinja_literal(": ")};
    if (!dump_indent(&d, &c->v[1]))
        return false;
    if (c->v[2].type != JINJA_MISSING && c->v[2].type != JINJA_NONE) {
        const jinja_value *pair = &c->v[2];
        if ((pair->type != JINJA_TUPLE && pair->type != JINJA_LIST) || pair->as.list->n != 2 ||
            pair->as.list->items[0].type != JINJA_STRING || pair->as.list->items[1].type != JINJA_STRING)
            return jinja_fail(r, "tojson: separators must be two strings");
        d.item = pair->as.list->items[0];
        d.key = pair->as.list->items[1];
    }
    if (!dump(&d, &c->self, 0))
        return false;
    *out = jinja_take(&d.b);
    return true;
}
