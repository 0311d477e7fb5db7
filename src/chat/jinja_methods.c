/* Methods of lists, dictionaries and the small objects; those of strings are in jinja_strings.c. */
#include "chat/jinja.h"

/* ---- lists -------------------------------------------------------------------------------- */

static bool append(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    *out = jinja_none();
    return jinja_list_add(r, c->self.as.list, &c->v[0]);
}

static bool extend(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_value more;
    if (!jinja_to_list(r, &c->v[0], &more))
        return false;
    for (size_t i = 0; i < more.as.list->n; i++)
        if (!jinja_list_add(r, c->self.as.list, &more.as.list->items[i]))
            return false;
    *out = jinja_none();
    return true;
}

static bool insert(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_list *list = c->self.as.list;
    int64_t at;
    if (!jinja_want_int(r, &c->v[0], 0, &at) || !jinja_list_add(r, list, &c->v[1]) ||
        !jinja_spend(r, list->n / 16))
        return false;
    const int64_t n = (int64_t)list->n - 1;
    at = at < 0 ? at + n : at;
    at = at < 0 ? 0 : at > n ? n : at;
    memmove(list->items + at + 1, list->items + at, (size_t)(n - at) * sizeof *list->items);
    list->items[at] = c->v[1];
    *out = jinja_none();
    return true;
}

static void take_out(jinja_list *list, size_t at)
{
    list->n--;
    memmove(list->items + at, list->items + at + 1, (list->n - at) * sizeof *list->items);
}

static bool list_pop(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_list *list = c->self.as.list;
    int64_t at;
    if (!jinja_want_int(r, &c->v[0], -1, &at) || !jinja_spend(r, list->n / 16))
        return false;
    at = at < 0 ? at + (int64_t)list->n : at;
    if (at < 0 || at >= (int64_t)list->n)
        return jinja_fail(r, list->n ? "pop index out of range" : "pop from empty list");
    *out = list->items[at];
    take_out(list, (size_t)at);
    return true;
}

static bool list_find(jinja_run *r, const jinja_call *c, size_t *at)
{
    const jinja_list *list = c->self.as.list;
    bool same = false;
    for (*at = 0; *at < list->n; ++*at) {
        if (!jinja_spend(r, 1) || !jinja_equal(r, &list->items[*at], &c->v[0], &same))
            return false;
        if (same)
            return true;
    }
    return jinja_fail(r, "the value is not in list");
}

static bool list_remove(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    size_t at;
    if (!list_find(r, c, &at))
        return false;
    take_out(c->self.as.list, at);
    *out = jinja_none();
    return true;
}

static bool list_index(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    size_t at;
    if (!list_find(r, c, &at))
        return false;
    *out = jinja_int((int64_t)at);
    return true;
}

static bool list_count(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    const jinja_list *list = c->self.as.list;
    int64_t n = 0;
    for (size_t i = 0; i < list->n; i++) {
        bool same;
        if (!jinja_spend(r, 1) || !jinja_equal(r, &list->items[i], &c->v[0], &same))
            return false;
        n += same;
    }
    *out = jinja_int(n);
    return true;
}

static bool list_clear(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    (void)r;
    c->self.as.list->n = 0;
    *out = jinja_none();
    return true;
}

static bool list_copy(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return jinja_to_list(r, &c->self, out);
}

static bool list_reverse(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_list *list = c->self.as.list;
    for (size_t i = 0; i < list->n / 2; i++) {
        const jinja_value v = list->items[i];
        list->items[i] = list->items[list->n - 1 - i];
        list->items[list->n - 1 - i] = v;
    }
    *out = jinja_none();
    return jinja_spend(r, list->n / 16);
}

/* ---- dictionaries ------------------------------------------------------------------------- */

static bool view(const jinja_call *c, jinja_view kind, jinja_value *out)
{
    *out = c->self;
    out->type = JINJA_VIEW;
    out->detail = (uint8_t)kind;
    return true;
}

static bool keys(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    (void)r;
    return view(c, JINJA_KEYS, out);
}

static bool values(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    (void)r;
    return view(c, JINJA_VALUES, out);
}

static bool items(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    (void)r;
    return view(c, JINJA_ITEMS, out);
}

static bool get(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_pair *pair;
    if (!jinja_dict_find(r, c->self.as.dict, &c->v[0], &pair))
        return false;
    *out = pair ? pair->value : c->v[1].type == JINJA_MISSING ? jinja_none() : c->v[1];
    return true;
}

static bool dict_pop(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_dict *d = c->self.as.dict;
    jinja_pair *pair;
    if (!jinja_dict_find(r, d, &c->v[0], &pair) || !jinja_spend(r, d->n / 8))
        return false;
    if (!pair && c->v[1].type == JINJA_MISSING)
        return jinja_fail(r, "pop() of a key that is not there");
    *out = pair ? pair->value : c->v[1];
    if (pair)
        jinja_dict_remove(d, pair);
    return true;
}

static bool setdefault(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    const jinja_value v = c->v[1].type == JINJA_MISSING ? jinja_none() : c->v[1];
    jinja_pair *pair;
    if (!jinja_dict_find(r, c->self.as.dict, &c->v[0], &pair))
        return false;
    *out = pair ? pair->value : v;
    return pair || jinja_dict_set(r, c->self.as.dict, &c->v[0], &v);
}

static bool update(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_dict *d = c->self.as.dict;
    *out = jinja_none();
    if (c->rest.n > 1 || (c->rest.n == 1 && c->rest.items[0].type != JINJA_DICT))
        return jinja_fail(r, "update() takes a dictionary and keywords");
    for (size_t i = 0; c->rest.n && i < c->rest.items[0].as.dict->n; i++) {
        const jinja_pair pair = c->rest.items[0].as.dict->pairs[i];
        if (!jinja_spend(r, 1) || !jinja_dict_set(r, d, &pair.key, &pair.value))
            return false;
    }
    for (size_t i = 0; i < c->rest.n_named; i++) {
        const str name = c->rest.named[i].name;
        const jinja_value key = {.type = JINJA_STRING, .as.text = {name.p, name.n, NULL}};
        if (!jinja_dict_set(r, d, &key, &c->rest.named[i].value))
            return false;
    }
    return true;
}

static bool dict_copy(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    const jinja_dict *d = c->self.as.dict;
    if (!jinja_spend(r, d->n) || !jinja_dict_new(r, JINJA_DICT, out))
        return false;
    for (size_t i = 0; i < d->n; i++)
        if (!jinja_dict_add(r, out->as.dict, &d->pairs[i].key, &d->pairs[i].value))
            return false;
    return true;
}

static bool dict_clear(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    (void)r;
    c->self.as.dict->n = 0;
    c->self.as.dict->slots = NULL;
    *out = jinja_none();
    return true;
}

/* ---- numbers and the rest ----------------------------------------------------------------- */

static bool is_integer(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    (void)r;
    const double d = c->self.as.number;
    *out = jinja_bool(d > -9e18 && d < 9e18 && (double)(int64_t)d >= d && (double)(int64_t)d <= d);
    return true;
}

static bool cycler_next(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    (void)r;
    jinja_list *list = c->self.as.list;
    *out = list->items[list->next];
    list->next = (list->next + 1) % list->n;
    return true;
}

static bool cycler_reset(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    (void)r;
    c->self.as.list->next = 0;
    *out = jinja_none();
    return true;
}

const jinja_builtin *jinja_method_named(const jinja_value *v, str name)
{
    static const jinja_builtin lists[] = {
        {"append", append, "/object", 1},      {"extend", extend, "/iterable", 1},
        {"insert", insert, "/index object", 2}, {"pop", list_pop, "/index", 0},
        {"remove", list_remove, "/value", 1},  {"clear", list_clear, "", 0},
        {"copy", list_copy, "", 0},            {"reverse", list_reverse, "", 0},
        {"index", list_index, "/value", 1},    {"count", list_count, "/value", 1},
    };
    static const jinja_builtin dicts[] = {
        {"items", items, "", 0},
        {"keys", keys, "", 0},
        {"values", values, "", 0},
        {"get", get, "/key default", 1},
        {"pop", dict_pop, "/key default", 1},
        {"setdefault", setdefault, "/key default", 1},
        {"update", update, "*", 0},
        {"copy", dict_copy, "", 0},
        {"clear", dict_clear, "", 0},
    };
    static const jinja_builtin floats[] = {{"is_integer", is_integer, "", 0}};
    static const jinja_builtin cyclers[] = {{"next", cycler_next, "", 0},
                                            {"reset", cycler_reset, "", 0},
                                            {"current", cycler_next, "", 0}}; // never called: a value
    switch (v->type) {
    case JINJA_STRING:
        return jinja_string_method(name);
    case JINJA_LIST:
        return jinja_row(lists, sizeof lists / sizeof *lists, name);
    case JINJA_TUPLE: // index and count
        return jinja_row(lists + 8, 2, name);
    case JINJA_DICT:
        return jinja_row(dicts, sizeof dicts / sizeof *dicts, name);
    case JINJA_FLOAT:
        return jinja_row(floats, 1, name);
    case JINJA_CYCLER:
        return jinja_row(cyclers, 3, name);
    default:
        return NULL;
    }
}
