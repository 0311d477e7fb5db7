/* Values: making them, dictionaries, truth, equality, order, iteration. Owns Python's rules for
 * these; refuses by a typed error what Python refuses by an exception. */
#include <math.h>

#include "base/utf8.h"
#include "chat/jinja.h"

/* ---- making ------------------------------------------------------------------------------- */

jinja_value jinja_none(void)
{
    return (jinja_value){.type = JINJA_NONE};
}

jinja_value jinja_bool(bool b)
{
    return (jinja_value){.type = JINJA_BOOL, .as.truth = b};
}

jinja_value jinja_int(int64_t i)
{
    return (jinja_value){.type = JINJA_INT, .as.integer = i};
}

jinja_value jinja_float(double d)
{
    return (jinja_value){.type = JINJA_FLOAT, .as.number = d};
}

jinja_value jinja_literal(const char *text)
{
    return (jinja_value){.type = JINJA_STRING, .as.text = {text, strlen(text), NULL}};
}

jinja_value jinja_undefined(str name, unsigned lack)
{
    return (jinja_value){
        .type = JINJA_UNDEFINED, .detail = (uint8_t)lack, .as.text = {name.p, name.n, NULL}};
}

jinja_value jinja_part(const jinja_value *text, size_t start, size_t n)
{
    jinja_value part = *text;
    part.as.text.p += start;
    part.as.text.n = n;
    if (part.as.text.marks)
        part.as.text.marks += start;
    return part;
}

str jinja_str(const jinja_value *text)
{
    return (str){text->as.text.p, text->as.text.n};
}

bool jinja_mark_at(const jinja_value *text, size_t i)
{
    return text->as.text.marks ? text->as.text.marks[i] : text->user;
}

bool jinja_has_user(const jinja_value *text)
{
    const jinja_text *t = &text->as.text;
    return t->marks ? t->n && memchr(t->marks, 1, t->n) != NULL : text->user;
}

const char *jinja_type_name(const jinja_value *v)
{
    static const char *const names[] = {
        "missing", "Undefined", "NoneType", "bool",      "int",       "int",    "float",
        "str",     "list",      "tuple",    "dict",      "range",     "generator", "dict_keys",
        "Namespace", "function", "builtin_function_or_method", "Macro", "LoopContext", "Cycler",
        "Joiner"};
    if (v->type == JINJA_STRING && v->markup)
        return "Markup";
    if (v->type == JINJA_VIEW)
        return v->detail == JINJA_KEYS ? "dict_keys" : v->detail == JINJA_VALUES ? "dict_values"
                                                                                 : "dict_items";
    return names[v->type];
}

bool jinja_is_number(const jinja_value *v)
{
    return v->type == JINJA_INT || v->type == JINJA_BOOL || v->type == JINJA_FLOAT;
}

double jinja_number(const jinja_value *v)
{
    return v->type == JINJA_FLOAT ? v->as.number
           : v->type == JINJA_BOOL ? (double)v->as.truth
                                   : (double)v->as.integer;
}

/* ---- lists -------------------------------------------------------------------------------- */

bool jinja_list_new(jinja_run *r, jinja_type type, size_t capacity, jinja_value *out)
{
    jinja_list *list = jinja_alloc(r, 1, sizeof *list);
    if (!list)
        return false;
    *list = (jinja_list){.name = "generator"};
    if (capacity) {
        list->items = jinja_alloc(r, capacity, sizeof *list->items);
        if (!list->items)
            return false;
        list->capacity = capacity;
    }
    *out = (jinja_value){.type = (uint8_t)type, .as.list = list};
    return true;
}

bool jinja_list_add(jinja_run *r, jinja_list *list, const jinja_value *v)
{
    if (list->n == list->capacity) {
        const size_t more = list->capacity < 4 ? 4 : size_mul(list->capacity, 2);
        jinja_value *items = jinja_alloc(r, more, sizeof *items);
        if (!items)
            return false;
        if (list->n)
            memcpy(items, list->items, list->n * sizeof *items);
        list->items = items;
        list->capacity = more;
    }
    list->items[list->n++] = *v;
    return true;
}

/* ---- dictionaries ------------------------------------------------------------------------- */

enum { SMALL_DICT = 8 }; // up to here a scan is as fast as a table

bool jinja_dict_new(jinja_run *r, jinja_type type, jinja_value *out)
{
    jinja_dict *d = jinja_alloc(r, 1, sizeof *d);
    if (!d)
        return false;
    *d = (jinja_dict){0};
    *out = (jinja_value){.type = (uint8_t)type, .as.dict = d};
    return true;
}

static uint32_t mix(uint64_t x)
{
    x = (x ^ x >> 32) * 0x9E3779B97F4A7C15u;
    return (uint32_t)(x ^ x >> 32);
}

/* Equal keys hash alike: 1, 1.0 and True are one key. */
static bool hash_of(jinja_run *r, const jinja_value *key, uint32_t *out)
{
    switch (key->type) {
    case JINJA_STRING:
    case JINJA_BIG:
        *out = str_hash(jinja_str(key));
        return jinja_spend(r, key->as.text.n / 64);
    case JINJA_BOOL:
        *out = mix(key->as.truth);
        return true;
    case JINJA_INT:
        *out = mix((uint64_t)key->as.integer);
        return true;
    case JINJA_FLOAT:
        if (trunc(key->as.number) == key->as.number && fabs(key->as.number) < 9e18)
            *out = mix((uint64_t)(int64_t)key->as.number);
        else
            memcpy(out, &key->as.number, sizeof *out);
        return true;
    case JINJA_TUPLE:
        *out = 17;
        if (!jinja_enter(r))
            return false;
        for (size_t i = 0; i < key->as.list->n; i++) {
            uint32_t item;
            if (!hash_of(r, &key->as.list->items[i], &item))
                return false;
            *out = mix((uint64_t)*out << 32 | item);
        }
        r->depth--;
        return true;
    case JINJA_LIST:
    case JINJA_DICT:
        return jinja_fail(r, "unhashable type: '%s'", jinja_type_name(key));
    default:
        *out = mix(key->type);
        return true;
    }
}

static bool build_slots(jinja_run *r, jinja_dict *d)
{
    size_t n_slots = 32;
    while (n_slots < 2 * (d->n + 1))
        n_slots = size_mul(n_slots, 2);
    if (!d->slots || d->n_slots != n_slots) {
        d->slots = jinja_alloc(r, n_slots, sizeof *d->slots);
        d->n_slots = n_slots;
    }
    if (!d->slots)
        return false;
    memset(d->slots, 0, n_slots * sizeof *d->slots);
    for (size_t i = 0; i < d->n; i++) {
        size_t at = d->pairs[i].hash & (n_slots - 1), probes = 0;
        for (; d->slots[at]; at = (at + 1) & (n_slots - 1))
            probes++;
        if (probes && !jinja_spend(r, probes))
            return false;
        d->slots[at] = (uint32_t)(i + 1);
    }
    return true;
}

/* Probes beyond the first count as steps, so keys chosen to collide meet the budget. */
static bool find(jinja_run *r, jinja_dict *d, const jinja_value *key, uint32_t hash,
                 jinja_pair **out)
{
    *out = NULL;
    bool same;
    if (d->n <= SMALL_DICT) {
        for (size_t i = 0; i < d->n; i++) {
            if (d->pairs[i].hash != hash)
                continue;
            if (!jinja_equal(r, &d->pairs[i].key, key, &same))
                return false;
            if (same) {
                *out = &d->pairs[i];
                return true;
            }
        }
        return true;
    }
    if (!d->slots && !build_slots(r, d))
        return false;
    for (size_t at = hash & (d->n_slots - 1); d->slots[at]; at = (at + 1) & (d->n_slots - 1)) {
        jinja_pair *pair = &d->pairs[d->slots[at] - 1];
        if (pair->hash == hash) {
            if (!jinja_equal(r, &pair->key, key, &same))
                return false;
            if (same) {
                *out = pair;
                return true;
            }
        }
        if (!jinja_spend(r, 1))
            return false;
    }
    return true;
}

bool jinja_dict_find(jinja_run *r, jinja_dict *d, const jinja_value *key, jinja_pair **out)
{
    uint32_t hash = 0;
    return hash_of(r, key, &hash) && find(r, d, key, hash, out);
}

bool jinja_dict_get(jinja_run *r, jinja_dict *d, str key, jinja_pair **out)
{
    const jinja_value v = {.type = JINJA_STRING, .as.text = {key.p, key.n, NULL}};
    return jinja_dict_find(r, d, &v, out);
}

static bool add(jinja_run *r, jinja_dict *d, const jinja_value *key, const jinja_value *v,
                uint32_t hash)
{
    if (d->n == d->capacity) {
        const size_t more = d->capacity < 4 ? 4 : size_mul(d->capacity, 2);
        jinja_pair *pairs = jinja_alloc(r, more, sizeof *pairs);
        if (!pairs)
            return false;
        if (d->n)
            memcpy(pairs, d->pairs, d->n * sizeof *pairs);
        d->pairs = pairs;
        d->capacity = more;
    }
    d->pairs[d->n++] = (jinja_pair){*key, *v, hash};
    if (!d->slots)
        return true;
    if (2 * d->n > d->n_slots)
        return build_slots(r, d);
    size_t at = hash & (d->n_slots - 1);
    while (d->slots[at])
        at = (at + 1) & (d->n_slots - 1);
    d->slots[at] = (uint32_t)d->n;
    return true;
}

bool jinja_dict_add(jinja_run *r, jinja_dict *d, const jinja_value *key, const jinja_value *v)
{
    uint32_t hash = 0;
    return hash_of(r, key, &hash) && add(r, d, key, v, hash);
}

bool jinja_dict_set(jinja_run *r, jinja_dict *d, const jinja_value *key, const jinja_value *v)
{
    uint32_t hash = 0;
    jinja_pair *pair;
    if (!hash_of(r, key, &hash) || !find(r, d, key, hash, &pair))
        return false;
    if (!pair)
        return add(r, d, key, v, hash);
    pair->value = *v;
    return true;
}

void jinja_dict_remove(jinja_dict *d, jinja_pair *pair)
{
    const size_t at = (size_t)(pair - d->pairs);
    memmove(pair, pair + 1, (d->n - at - 1) * sizeof *pair);
    d->n--;
    d->slots = NULL; // every later index has moved
}

/* ---- truth, equality, order --------------------------------------------------------------- */

bool jinja_truth(const jinja_value *v)
{
    switch (v->type) {
    case JINJA_MISSING:
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        return false;
    case JINJA_BOOL:
        return v->as.truth;
    case JINJA_INT:
        return v->as.integer != 0;
    case JINJA_FLOAT:
        return v->as.number < 0 || v->as.number > 0 || isnan(v->as.number);
    case JINJA_STRING:
        return v->as.text.n > 0;
    case JINJA_LIST:
    case JINJA_TUPLE:
        return v->as.list->n > 0;
    case JINJA_DICT:
    case JINJA_VIEW:
        return v->as.dict->n > 0;
    case JINJA_RANGE:
        return v->as.range->n > 0;
    case JINJA_LOOP:
        return jinja_loop_length(v->as.loop) > 0;
    default:
        return true;
    }
}

/* Exact, as Python compares an int with a float. */
static int order_int_float(int64_t i, double d)
{
    if (isnan(d))
        return 2;
    if (d >= 9223372036854775808.0)
        return -1;
    if (d < -9223372036854775808.0)
        return 1;
    const int64_t whole = (int64_t)d; // towards zero
    if (i != whole)
        return i < whole ? -1 : 1;
    const double rest = d - (double)whole;
    return rest > 0 ? -1 : rest < 0 ? 1 : 0;
}

static int order_numbers(const jinja_value *a, const jinja_value *b)
{
    if (a->type == JINJA_FLOAT && b->type == JINJA_FLOAT) {
        const double x = a->as.number, y = b->as.number;
        return isnan(x) || isnan(y) ? 2 : (x > y) - (x < y);
    }
    const int64_t x = a->type == JINJA_BOOL ? a->as.truth : a->as.integer;
    const int64_t y = b->type == JINJA_BOOL ? b->as.truth : b->as.integer;
    if (b->type == JINJA_FLOAT)
        return order_int_float(x, b->as.number);
    if (a->type == JINJA_FLOAT) {
        const int c = order_int_float(y, a->as.number);
        return c == 2 ? 2 : -c;
    }
    return (x > y) - (x < y);
}

static bool equal_dicts(jinja_run *r, jinja_dict *a, jinja_dict *b, bool *out)
{
    *out = a->n == b->n;
    for (size_t i = 0; *out && i < a->n; i++) {
        jinja_pair *pair;
        if (!find(r, b, &a->pairs[i].key, a->pairs[i].hash, &pair))
            return false;
        *out = pair != NULL;
        if (pair && !jinja_equal(r, &a->pairs[i].value, &pair->value, out))
            return false;
    }
    return true;
}

static bool equal_lists(jinja_run *r, const jinja_list *a, const jinja_list *b, bool *out)
{
    *out = a->n == b->n;
    for (size_t i = 0; *out && i < a->n; i++)
        if (!jinja_equal(r, &a->items[i], &b->items[i], out))
            return false;
    return true;
}

static bool equal_views(jinja_run *r, const jinja_value *a, const jinja_value *b, bool *out)
{
    if (a->detail == JINJA_ITEMS && b->detail == JINJA_ITEMS)
        return equal_dicts(r, a->as.dict, b->as.dict, out);
    *out = a->detail == JINJA_KEYS && b->detail == JINJA_KEYS && a->as.dict->n == b->as.dict->n;
    for (size_t i = 0; *out && i < a->as.dict->n; i++) {
        jinja_pair *pair;
        if (!jinja_dict_find(r, b->as.dict, &a->as.dict->pairs[i].key, &pair))
            return false;
        *out = pair != NULL;
    }
    return true;
}

static bool equal_same_type(jinja_run *r, const jinja_value *a, const jinja_value *b, bool *out)
{
    switch (a->type) {
    case JINJA_MISSING:
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        *out = true;
        return true;
    case JINJA_STRING:
    case JINJA_BIG:
        *out = str_equal(jinja_str(a), jinja_str(b));
        return jinja_spend(r, *out ? a->as.text.n / 64 : 0);
    case JINJA_LIST:
    case JINJA_TUPLE:
        return equal_lists(r, a->as.list, b->as.list, out);
    case JINJA_DICT:
        return equal_dicts(r, a->as.dict, b->as.dict, out);
    case JINJA_VIEW:
        return equal_views(r, a, b, out);
    case JINJA_RANGE: {
        const jinja_range *x = a->as.range, *y = b->as.range;
        *out = x->n == y->n && (x->n == 0 || (x->start == y->start &&
                                              (x->n == 1 || x->step == y->step)));
        return true;
    }
    case JINJA_METHOD:
        *out = a->as.method == b->as.method;
        return true;
    case JINJA_FUNCTION:
        *out = a->as.function == b->as.function;
        return true;
    case JINJA_MACRO:
        *out = a->as.macro == b->as.macro;
        return true;
    case JINJA_LOOP:
        *out = a->as.loop == b->as.loop;
        return true;
    case JINJA_NAMESPACE:
        *out = a->as.dict == b->as.dict;
        return true;
    default:
        *out = a->as.list == b->as.list;
        return true;
    }
}

bool jinja_equal(jinja_run *r, const jinja_value *a, const jinja_value *b, bool *out)
{
    *out = false;
    if (jinja_is_number(a) && jinja_is_number(b)) {
        *out = order_numbers(a, b) == 0;
        return true;
    }
    if (a->type != b->type)
        return true;
    if (!jinja_enter(r) || !equal_same_type(r, a, b, out))
        return false;
    r->depth--;
    return true;
}

static bool order_lists(jinja_run *r, const jinja_list *a, const jinja_list *b, int *out)
{
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        bool same;
        if (!jinja_equal(r, &a->items[i], &b->items[i], &same))
            return false;
        if (!same)
            return jinja_order(r, &a->items[i], &b->items[i], out);
    }
    *out = (a->n > b->n) - (a->n < b->n);
    return true;
}

bool jinja_order(jinja_run *r, const jinja_value *a, const jinja_value *b, int *out)
{
    if (jinja_is_number(a) && jinja_is_number(b)) {
        *out = order_numbers(a, b);
        return true;
    }
    if (a->type == JINJA_UNDEFINED || b->type == JINJA_UNDEFINED)
        return jinja_fail_undefined(r, a->type == JINJA_UNDEFINED ? a : b);
    if (a->type == JINJA_STRING && b->type == JINJA_STRING) {
        const str x = jinja_str(a), y = jinja_str(b);
        const size_t n = x.n < y.n ? x.n : y.n;
        const int c = n ? memcmp(x.p, y.p, n) : 0; // UTF-8 keeps the order of code points
        *out = c < 0 ? -1 : c > 0 ? 1 : (x.n > y.n) - (x.n < y.n);
        return jinja_spend(r, n / 256);
    }
    if (a->type == b->type && (a->type == JINJA_LIST || a->type == JINJA_TUPLE)) {
        if (!jinja_enter(r) || !order_lists(r, a->as.list, b->as.list, out))
            return false;
        r->depth--;
        return true;
    }
    return jinja_fail(r, "'<' not supported between instances of '%s' and '%s'", jinja_type_name(a),
                      jinja_type_name(b));
}

static bool contains_item(jinja_run *r, const jinja_value *container, const jinja_value *item,
                          bool *out)
{
    jinja_walk w;
    jinja_value v;
    bool more;
    if (!jinja_walk_start(r, container, &w))
        return false;
    while (!*out) {
        if (!jinja_walk_next(r, &w, &v, &more))
            return false;
        if (!more)
            break;
        if (!jinja_equal(r, &v, item, out))
            return false;
    }
    return true;
}

bool jinja_contains(jinja_run *r, const jinja_value *container, const jinja_value *item, bool *out)
{
    jinja_pair *pair;
    *out = false;
    if (container->type == JINJA_STRING) {
        if (item->type != JINJA_STRING)
            return jinja_fail(r, "'in <string>' requires string as left operand, not %s",
                              jinja_type_name(item));
        *out = jinja_find(jinja_str(container), jinja_str(item), 0) != SIZE_MAX;
        return jinja_spend(r, container->as.text.n / 16);
    }
    if (container->type == JINJA_DICT ||
        (container->type == JINJA_VIEW && container->detail == JINJA_KEYS)) {
        if (!jinja_dict_find(r, container->as.dict, item, &pair))
            return false;
        *out = pair != NULL;
        return true;
    }
    return contains_item(r, container, item, out);
}

bool jinja_length(jinja_run *r, const jinja_value *v, int64_t *out)
{
    switch (v->type) {
    case JINJA_UNDEFINED:
        *out = 0;
        return true;
    case JINJA_STRING:
        *out = (int64_t)jinja_count(jinja_str(v));
        return jinja_spend(r, v->as.text.n / 64);
    case JINJA_LIST:
    case JINJA_TUPLE:
        *out = (int64_t)v->as.list->n;
        return true;
    case JINJA_DICT:
    case JINJA_VIEW:
        *out = (int64_t)v->as.dict->n;
        return true;
    case JINJA_RANGE:
        *out = v->as.range->n;
        return true;
    case JINJA_LOOP:
        *out = (int64_t)jinja_loop_length(v->as.loop);
        return true;
    default:
        return jinja_fail(r, "object of type '%s' has no len()", jinja_type_name(v));
    }
}

/* ---- iteration ---------------------------------------------------------------------------- */

bool jinja_walk_start(jinja_run *r, const jinja_value *v, jinja_walk *w)
{
    *w = (jinja_walk){*v, 0};
    switch (v->type) {
    case JINJA_UNDEFINED:
    case JINJA_STRING:
    case JINJA_LIST:
    case JINJA_TUPLE:
    case JINJA_DICT:
    case JINJA_RANGE:
    case JINJA_ITERATOR:
    case JINJA_VIEW:
        return true;
    default:
        return jinja_fail(r, "'%s' object is not iterable", jinja_type_name(v));
    }
}

static bool next_pair(jinja_run *r, const jinja_value *view, const jinja_pair *pair,
                      jinja_value *out)
{
    if (view->type == JINJA_DICT || view->detail == JINJA_KEYS) {
        *out = pair->key;
    } else if (view->detail == JINJA_VALUES) {
        *out = pair->value;
    } else {
        if (!jinja_list_new(r, JINJA_TUPLE, 2, out))
            return false;
        out->as.list->items[0] = pair->key;
        out->as.list->items[1] = pair->value;
        out->as.list->n = 2;
    }
    return true;
}

bool jinja_walk_next(jinja_run *r, jinja_walk *w, jinja_value *out, bool *more)
{
    const jinja_value *v = &w->over;
    *more = false;
    if (!jinja_spend(r, 1))
        return false;
    if (v->type == JINJA_STRING) {
        const str s = jinja_str(v);
        if (w->at >= s.n)
            return true;
        size_t used;
        utf8_decode((const uint8_t *)s.p + w->at, s.n - w->at, &used, NULL);
        *out = jinja_part(v, w->at, used);
        out->markup = false;
        w->at += used;
    } else if (v->type == JINJA_LIST || v->type == JINJA_TUPLE) {
        if (w->at >= v->as.list->n)
            return true;
        *out = v->as.list->items[w->at++];
    } else if (v->type == JINJA_ITERATOR) {
        if (v->as.list->next >= v->as.list->n)
            return true;
        *out = v->as.list->items[v->as.list->next++];
    } else if (v->type == JINJA_DICT || v->type == JINJA_VIEW) {
        if (w->at >= v->as.dict->n)
            return true;
        if (!next_pair(r, v, &v->as.dict->pairs[w->at++], out))
            return false;
    } else if (v->type == JINJA_RANGE) {
        if ((int64_t)w->at >= v->as.range->n)
            return true;
        *out = jinja_int(v->as.range->start + (int64_t)w->at++ * v->as.range->step);
    } else {
        return true;
    }
    *more = true;
    return true;
}

bool jinja_to_list(jinja_run *r, const jinja_value *v, jinja_value *out)
{
    jinja_walk w;
    jinja_value item;
    bool more;
    if (!jinja_walk_start(r, v, &w) || !jinja_list_new(r, JINJA_LIST, 0, out))
        return false;
    for (;;) {
        if (!jinja_walk_next(r, &w, &item, &more))
            return false;
        if (!more)
            return true;
        if (!jinja_list_add(r, out->as.list, &item))
            return false;
    }
}

/* ---- from JSON ---------------------------------------------------------------------------- */

static bool from_json_children(jinja_run *r, const json *source, bool user, jinja_value *out)
{
    for (const json *c = source->first; c; c = c->next) {
        jinja_value v, key = {.type = JINJA_STRING, .user = user, .as.text = {c->key.p, c->key.n, NULL}};
        if (!jinja_from_json(r, c, user, &v))
            return false;
        if (source->type == JSON_OBJECT ? !jinja_dict_add(r, out->as.dict, &key, &v)
                                        : !jinja_list_add(r, out->as.list, &v))
            return false;
    }
    return true;
}

bool jinja_from_json(jinja_run *r, const json *source, bool user, jinja_value *out)
{
    switch (source->type) {
    case JSON_NULL:
        *out = jinja_none();
        return true;
    case JSON_FALSE:
    case JSON_TRUE:
        *out = jinja_bool(source->type == JSON_TRUE);
        return true;
    case JSON_INTEGER:
        *out = jinja_int(source->integer);
        return true;
    case JSON_FLOAT:
        *out = jinja_float(source->number);
        for (size_t i = 0; i < source->text.n; i++)
            if (strchr(".eE", source->text.p[i]))
                return true;
        *out = (jinja_value){.type = JINJA_BIG, .as.text = {source->text.p, source->text.n, NULL}};
        return true;
    case JSON_STRING:
        *out = (jinja_value){.type = JINJA_STRING,
                             .user = user,
                             .as.text = {source->text.p, source->text.n, NULL}};
        return true;
    case JSON_ARRAY:
        if (!jinja_list_new(r, JINJA_LIST, source->n, out))
            return false;
        break;
    case JSON_OBJECT:
        if (!jinja_dict_new(r, JINJA_DICT, out))
            return false;
        break;
    }
    if (!jinja_enter(r) || !from_json_children(r, source, user, out))
        return false;
    r->depth--;
    return true;
}
