/* Filters over sequences: sorting, picking, grouping, mapping. What Python makes lazily is made at
 * once and handed out once. */
#include <math.h>

#include "chat/jinja.h"

/* ---- attributes of items ------------------------------------------------------------------ */

/* item.a.b.0 along a dotted path; a MISSING or none path is the item itself. */
static bool follow(jinja_run *r, const jinja_value *item, const jinja_value *path,
                   const jinja_value *otherwise, jinja_value *out)
{
    *out = *item;
    if (path->type == JINJA_MISSING || path->type == JINJA_NONE)
        return true;
    jinja_value part = *path;
    const str s = path->type == JINJA_STRING ? jinja_str(path) : (str){"", 0};
    for (size_t i = 0; i <= s.n;) {
        size_t end = i, digits = 0;
        int64_t index = 0;
        for (; end < s.n && s.p[end] != '.'; end++) {
            if (!jinja_is_digit((unsigned char)s.p[end]))
                continue;
            digits++;
            index = index > 1000000000 ? index : index * 10 + (s.p[end] - '0');
        }
        if (path->type == JINJA_STRING)
            part = digits && digits == end - i ? jinja_int(index) : jinja_part(path, i, end - i);
        if (!jinja_spend(r, 1) || !jinja_item(r, out, &part, out))
            return false;
        if (out->type == JINJA_UNDEFINED && otherwise && otherwise->type != JINJA_MISSING &&
            otherwise->type != JINJA_NONE)
            *out = *otherwise;
        i = end + 1;
    }
    return true;
}

static bool fold(jinja_run *r, const jinja_value *v, bool keep_case, jinja_value *out)
{
    *out = *v;
    return keep_case || v->type != JINJA_STRING || jinja_case(r, v, false, out);
}

static bool key_of(jinja_run *r, const jinja_value *item, const jinja_value *path, bool keep_case,
                   jinja_value *out)
{
    return follow(r, item, path, NULL, out) && fold(r, out, keep_case, out);
}

/* ---- sorting ------------------------------------------------------------------------------ */

typedef struct {
    jinja_value key, item;
} keyed;

/* Whether b must come before a. listed: the keys stand in lists, which Python compares for equality
 * first, so that equal keys need no order. */
static bool before(jinja_run *r, const keyed *b, const keyed *a, bool listed, bool down, bool *out)
{
    bool same = false;
    int c;
    *out = false;
    if (!jinja_spend(r, 2) || (listed && !jinja_equal(r, &a->key, &b->key, &same)))
        return false;
    if (same)
        return true;
    if (!jinja_order(r, &b->key, &a->key, &c))
        return false;
    *out = down ? c == 1 : c == -1;
    return true;
}

/* A stable merge sort of items [n]; spare [n]. *out is the one that holds the result. */
static bool sort(jinja_run *r, keyed *items, keyed *spare, size_t n, bool listed, bool down, keyed **out)
{
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t lo = 0; lo < n; lo += 2 * width) {
            const size_t mid = n - lo < width ? n : lo + width;
            const size_t hi = n - mid < width ? n : mid + width;
            for (size_t i = lo, a = lo, b = mid; i < hi; i++) {
                bool second = a >= mid;
                if (a < mid && b < hi && !before(r, &items[b], &items[a], listed, down, &second))
                    return false;
                spare[i] = second ? items[b++] : items[a++];
            }
        }
        keyed *swap = items;
        items = spare;
        spare = swap;
    }
    *out = items;
    return true;
}

/* The items of v by the keys that paths (separated by commas) give. */
static bool sorted(jinja_run *r, const jinja_value *v, const jinja_value *paths, bool keep_case,
                   bool listed, bool down, keyed **out, size_t *n)
{
    jinja_value list;
    if (!jinja_to_list(r, v, &list))
        return false;
    *n = list.as.list->n;
    keyed *items = jinja_alloc(r, size_mul(*n + 1, 2), sizeof *items);
    if (!items)
        return false;
    const bool several = paths->type == JINJA_STRING && jinja_find(jinja_str(paths), STR(","), 0) != SIZE_MAX;
    for (size_t i = 0; i < *n; i++) {
        items[i].item = list.as.list->items[i];
        if (!several) {
            if (!key_of(r, &items[i].item, paths, keep_case, &items[i].key))
                return false;
            continue;
        }
        if (!jinja_list_new(r, JINJA_LIST, 0, &items[i].key))
            return false;
        for (size_t at = 0; at <= paths->as.text.n;) {
            size_t end = jinja_find(jinja_str(paths), STR(","), at);
            end = end == SIZE_MAX ? paths->as.text.n : end;
            const jinja_value path = jinja_part(paths, at, end - at);
            jinja_value key;
            if (!key_of(r, &items[i].item, &path, keep_case, &key) ||
                !jinja_list_add(r, items[i].key.as.list, &key))
                return false;
            at = end + 1;
        }
    }
    return sort(r, items, items + *n, *n, listed, down, out);
}

static bool give_items(jinja_run *r, const keyed *items, size_t n, jinja_value *out)
{
    if (!jinja_list_new(r, JINJA_LIST, n, out))
        return false;
    for (size_t i = 0; i < n; i++)
        out->as.list->items[i] = items[i].item;
    out->as.list->n = n;
    return true;
}

static bool sort_filter(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    keyed *items;
    size_t n;
    return sorted(r, &c->self, &c->v[2], jinja_truth(&c->v[1]), true, jinja_truth(&c->v[0]), &items,
                  &n) &&
           give_items(r, items, n, out);
}

static bool dictsort(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    const jinja_value *by = &c->v[1];
    keyed *items;
    size_t n;
    if (c->self.type == JINJA_UNDEFINED)
        return jinja_fail_undefined(r, &c->self);
    if (c->self.type != JINJA_DICT)
        return jinja_fail(r, "'%s object' has no attribute 'items'", jinja_type_name(&c->self));
    const bool by_value = by->type == JINJA_STRING && str_equal(jinja_str(by), STR("value"));
    if (!by_value && by->type != JINJA_MISSING &&
        !(by->type == JINJA_STRING && str_equal(jinja_str(by), STR("key"))))
        return jinja_fail(r, "You can only sort by either \"key\" or \"value\"");
    jinja_value pairs = c->self;
    pairs.type = JINJA_VIEW;
    pairs.detail = JINJA_ITEMS;
    const jinja_value path = jinja_int(by_value);
    return sorted(r, &pairs, &path, jinja_truth(&c->v[0]), false, jinja_truth(&c->v[2]), &items,
                  &n) &&
           give_items(r, items, n, out);
}

static bool groupby(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    const bool keep_case = jinja_truth(&c->v[2]);
    jinja_value list, key;
    if (!jinja_to_list(r, &c->self, &list) || !jinja_list_new(r, JINJA_LIST, 0, out))
        return false;
    const size_t n = list.as.list->n;
    keyed *items = jinja_alloc(r, size_mul(n + 1, 2), sizeof *items), *result;
    if (!items)
        return false;
    for (size_t i = 0; i < n; i++) {
        items[i].item = list.as.list->items[i];
        if (!follow(r, &items[i].item, &c->v[0], &c->v[1], &key) ||
            !fold(r, &key, keep_case, &items[i].key))
            return false;
    }
    if (!sort(r, items, items + n, n, false, false, &result))
        return false;
    for (size_t i = 0; i < n;) {
        jinja_value group, members;
        bool same = true;
        if (!jinja_list_new(r, JINJA_TUPLE, 2, &group) || !jinja_list_new(r, JINJA_LIST, 0, &members) ||
            !follow(r, &result[i].item, &c->v[0], &c->v[1], &key))
            return false;
        for (const size_t first = i; i < n && same;) {
            if (!jinja_list_add(r, members.as.list, &result[i++].item) ||
                (i < n && !jinja_equal(r, &result[i].key, &result[first].key, &same)))
                return false;
        }
        group.detail = 1;
        if (!jinja_list_add(r, group.as.list, &key) || !jinja_list_add(r, group.as.list, &members) ||
            !jinja_list_add(r, out->as.list, &group))
            return false;
    }
    return true;
}

static bool extreme(jinja_run *r, const jinja_call *c, bool largest, jinja_value *out)
{
    jinja_walk w;
    jinja_value item, key, best = jinja_none();
    bool more, any = false;
    if (!jinja_walk_start(r, &c->self, &w))
        return false;
    for (;;) {
        int order = 0;
        if (!jinja_walk_next(r, &w, &item, &more))
            return false;
        if (!more)
            break;
        if (!key_of(r, &item, &c->v[1], jinja_truth(&c->v[0]), &key) ||
            (any && !jinja_order(r, &key, &best, &order)))
            return false;
        if (!any || order == (largest ? 1 : -1)) {
            best = key;
            *out = item;
        }
        any = true;
    }
    if (!any)
        *out = jinja_undefined(STR("No aggregated item, sequence was empty."), JINJA_LACK_SAID);
    return true;
}

static bool min(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return extreme(r, c, false, out);
}

static bool max(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return extreme(r, c, true, out);
}

static bool unique(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_walk w;
    jinja_value item, key, seen;
    bool more;
    if (!jinja_walk_start(r, &c->self, &w) || !jinja_list_new(r, JINJA_ITERATOR, 0, out) ||
        !jinja_dict_new(r, JINJA_DICT, &seen))
        return false;
    for (;;) {
        jinja_pair *pair;
        if (!jinja_walk_next(r, &w, &item, &more))
            return false;
        if (!more)
            return true;
        if (!key_of(r, &item, &c->v[1], jinja_truth(&c->v[0]), &key) ||
            !jinja_dict_find(r, seen.as.dict, &key, &pair))
            return false;
        if (!pair && (!jinja_dict_add(r, seen.as.dict, &key, &key) || !jinja_list_add(r, out->as.list, &item)))
            return false;
    }
}

static bool sum(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_walk w;
    jinja_value item, v;
    bool more;
    *out = c->v[1].type == JINJA_MISSING ? jinja_int(0) : c->v[1];
    if (out->type == JINJA_STRING)
        return jinja_fail(r, "sum() can't sum strings");
    if (!jinja_walk_start(r, &c->self, &w))
        return false;
    for (;;) {
        if (!jinja_walk_next(r, &w, &item, &more))
            return false;
        if (!more)
            return true;
        if (!follow(r, &item, &c->v[0], NULL, &v) || !jinja_binary(r, OP_ADD, out, &v, out))
            return false;
    }
}

/* ---- map, select, reject ------------------------------------------------------------------ */

static const jinja_value *named(const jinja_args *args, const char *name)
{
    for (size_t i = 0; i < args->n_named; i++)
        if (str_equal(args->named[i].name, str_of(name)))
            return &args->named[i].value;
    return NULL;
}

static bool map(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    const jinja_args *args = &c->rest;
    const jinja_value *path = args->n ? NULL : named(args, "attribute");
    const jinja_builtin *filter = NULL;
    jinja_walk w;
    jinja_value item, v;
    bool more;
    if (!jinja_list_new(r, JINJA_ITERATOR, 0, out))
        return false;
    if (!jinja_truth(&c->self))
        return true;
    if (!path) {
        if (!args->n)
            return jinja_fail(r, "map requires a filter argument");
        if (!jinja_want_text(r, &args->items[0], "map's filter"))
            return false;
        filter = jinja_filter_named(jinja_str(&args->items[0]));
        if (!filter)
            return jinja_fail(r, "No filter named '%.*s'", STR_ARG(jinja_str(&args->items[0])));
    }
    const jinja_args rest = jinja_args_after(args, 1);
    if (!jinja_walk_start(r, &c->self, &w) || !jinja_enter(r))
        return false;
    for (;;) {
        if (!jinja_walk_next(r, &w, &item, &more))
            return false;
        if (!more)
            break;
        if (!(filter ? jinja_call_builtin(r, filter, &item, &rest, &v)
                     : follow(r, &item, path, named(args, "default"), &v)) ||
            !jinja_list_add(r, out->as.list, &v))
            return false;
    }
    r->depth--;
    return true;
}

static bool choose(jinja_run *r, const jinja_call *c, bool keep, bool attribute, jinja_value *out)
{
    const jinja_args *args = &c->rest;
    const size_t at = attribute;
    const jinja_builtin *test = NULL;
    jinja_walk w;
    jinja_value item, v;
    bool more;
    if (!jinja_list_new(r, JINJA_ITERATOR, 0, out))
        return false;
    if (!jinja_truth(&c->self))
        return true;
    if (args->n < at)
        return jinja_fail(r, "Missing parameter for attribute name");
    if (args->n > at) {
        if (!jinja_want_text(r, &args->items[at], "the test's name"))
            return false;
        test = jinja_test_named(jinja_str(&args->items[at]));
        if (!test)
            return jinja_fail(r, "No test named '%.*s'", STR_ARG(jinja_str(&args->items[at])));
    }
    const jinja_args rest = jinja_args_after(args, at + 1);
    if (!jinja_walk_start(r, &c->self, &w) || !jinja_enter(r))
        return false;
    for (;;) {
        if (!jinja_walk_next(r, &w, &item, &more))
            return false;
        if (!more)
            break;
        v = item;
        if ((attribute && !follow(r, &item, &args->items[0], NULL, &v)) ||
            (test && !jinja_call_builtin(r, test, &v, &rest, &v)))
            return false;
        if (jinja_truth(&v) == keep && !jinja_list_add(r, out->as.list, &item))
            return false;
    }
    r->depth--;
    return true;
}

static bool select_filter(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return choose(r, c, true, false, out);
}

static bool reject(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return choose(r, c, false, false, out);
}

static bool selectattr(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return choose(r, c, true, true, out);
}

static bool rejectattr(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return choose(r, c, false, true, out);
}

/* ---- shapes ------------------------------------------------------------------------------- */

static bool list(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return jinja_to_list(r, &c->self, out);
}

static bool items(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_value view = c->self;
    if (c->self.type == JINJA_UNDEFINED)
        return jinja_list_new(r, JINJA_ITERATOR, 0, out);
    if (c->self.type != JINJA_DICT)
        return jinja_fail(r, "Can only get item pairs from a mapping.");
    view.type = JINJA_VIEW;
    view.detail = JINJA_ITEMS;
    if (!jinja_to_list(r, &view, out))
        return false;
    out->type = JINJA_ITERATOR;
    return true;
}

static bool first(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_walk w;
    bool more;
    if (!jinja_walk_start(r, &c->self, &w) || !jinja_walk_next(r, &w, out, &more))
        return false;
    if (!more)
        *out = jinja_undefined(STR("No first item, sequence was empty."), JINJA_LACK_SAID);
    return true;
}

static bool last(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    const jinja_value minus = jinja_int(-1);
    jinja_value all;
    if (c->self.type == JINJA_ITERATOR)
        return jinja_fail(r, "'generator' object is not reversible");
    if (c->self.type == JINJA_STRING) // no need to take it apart
        return c->self.as.text.n ? jinja_item(r, &c->self, &minus, out)
                                 : (*out = jinja_undefined(STR("No last item, sequence was empty."),
                                                           JINJA_LACK_SAID),
                                    true);
    if (!jinja_to_list(r, &c->self, &all))
        return false;
    *out = all.as.list->n ? all.as.list->items[all.as.list->n - 1]
                          : jinja_undefined(STR("No last item, sequence was empty."), JINJA_LACK_SAID);
    return true;
}

static bool reverse(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    if (c->self.type == JINJA_STRING) {
        const jinja_value bounds[3] = {jinja_none(), jinja_none(), jinja_int(-1)};
        return jinja_slice(r, &c->self, bounds, out);
    }
    if (!jinja_to_list(r, &c->self, out))
        return false;
    jinja_list *l = out->as.list;
    for (size_t i = 0; i < l->n / 2; i++) {
        const jinja_value v = l->items[i];
        l->items[i] = l->items[l->n - 1 - i];
        l->items[l->n - 1 - i] = v;
    }
    if (c->self.type != JINJA_ITERATOR) {
        out->type = JINJA_ITERATOR;
        l->name = "list_reverseiterator";
    }
    return true;
}

static bool length(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    int64_t n;
    if (!jinja_length(r, &c->self, &n))
        return false;
    *out = jinja_int(n);
    return true;
}

/* Items from..to of all, then fill up to n with v unless that is none. */
static bool add_row(jinja_run *r, const jinja_list *all, size_t from, size_t to, size_t n,
                    const jinja_value *v, jinja_value *out)
{
    jinja_value row;
    if (!jinja_list_new(r, JINJA_LIST, 0, &row))
        return false;
    for (size_t i = from; i < to; i++)
        if (!jinja_spend(r, 1) || !jinja_list_add(r, row.as.list, &all->items[i]))
            return false;
    while (v->type != JINJA_MISSING && v->type != JINJA_NONE && row.as.list->n < n)
        if (!jinja_spend(r, 1) || !jinja_list_add(r, row.as.list, v))
            return false;
    return jinja_list_add(r, out->as.list, &row);
}

static bool batch(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_value all;
    int64_t size;
    if (!jinja_want_int(r, &c->v[0], 0, &size) || !jinja_to_list(r, &c->self, &all) ||
        !jinja_list_new(r, JINJA_ITERATOR, 0, out))
        return false;
    const size_t n = all.as.list->n;
    const size_t width = size < 1 ? (n ? n : 1) : (uint64_t)size > n + 1 && c->v[1].type <= JINJA_NONE ? n + 1 : (size_t)size;
    for (size_t i = 0; i < n; i += width < n - i ? width : n - i)
        if (!add_row(r, all.as.list, i, width < n - i ? i + width : n, width, &c->v[1], out))
            return false;
    return true;
}

static bool slice(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_value all;
    int64_t slices;
    if (!jinja_want_int(r, &c->v[0], 0, &slices) || !jinja_to_list(r, &c->self, &all) ||
        !jinja_list_new(r, JINJA_ITERATOR, 0, out))
        return false;
    if (slices == 0)
        return jinja_fail(r, "integer division or modulo by zero");
    if (slices > JINJA_MAX_RANGE)
        return jinja_fail(r, "slice: %lld slices are too many", (long long)slices);
    const size_t n = all.as.list->n, k = slices > 0 ? (size_t)slices : 0;
    for (size_t i = 0, at = 0; i < k; i++) {
        const bool extra = i < n % k;
        const size_t size = n / k + extra;
        // A row without an extra item is filled by one, whether or not any row has one.
        if (!add_row(r, all.as.list, at, at + size, extra ? size : size + 1, &c->v[1], out))
            return false;
        at += size;
    }
    return true;
}

static bool join(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_walk w;
    jinja_value item, v, by = jinja_literal("");
    jinja_buffer b = {0};
    bool more;
    if ((c->v[0].type != JINJA_MISSING && !jinja_to_text(r, &c->v[0], &by)) ||
        !jinja_walk_start(r, &c->self, &w))
        return false;
    for (size_t i = 0;; i++) {
        if (!jinja_walk_next(r, &w, &item, &more))
            return false;
        if (!more)
            break;
        if ((i && !jinja_add_text(r, &b, &by)) || !follow(r, &item, &c->v[1], NULL, &v) ||
            !jinja_add_value(r, &b, &v))
            return false;
    }
    *out = jinja_take(&b);
    return true;
}

const jinja_builtin *jinja_sequence_filter(str name)
{
    static const jinja_builtin rows[] = {
        {"length", length, "", 0},
        {"count", length, "", 0},
        {"join", join, "d attribute", 0},
        {"list", list, "", 0},
        {"items", items, "", 0},
        {"first", first, "", 0},
        {"last", last, "", 0},
        {"reverse", reverse, "", 0},
        {"map", map, "*", 0},
        {"select", select_filter, "*", 0},
        {"reject", reject, "*", 0},
        {"selectattr", selectattr, "*", 0},
        {"rejectattr", rejectattr, "*", 0},
        {"sort", sort_filter, "reverse case_sensitive attribute", 0},
        {"dictsort", dictsort, "case_sensitive by reverse", 0},
        {"groupby", groupby, "attribute default case_sensitive", 1},
        {"unique", unique, "case_sensitive attribute", 0},
        {"min", min, "case_sensitive attribute", 0},
        {"max", max, "case_sensitive attribute", 0},
        {"sum", sum, "attribute start", 0},
        {"batch", batch, "linecount fill_with", 1},
        {"slice", slice, "slices fill_with", 1},
    };
    return jinja_row(rows, sizeof rows / sizeof *rows, name);
}
