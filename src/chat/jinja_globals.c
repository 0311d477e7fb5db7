/* Global functions: what a template can call by name. Refuses lipsum, which is random. */
#include "chat/jinja.h"

static bool range(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    int64_t start = 0, stop, step;
    const bool one = c->v[1].type == JINJA_MISSING;
    if ((!one && !jinja_want_int(r, &c->v[0], 0, &start)) ||
        !jinja_want_int(r, one ? &c->v[0] : &c->v[1], 0, &stop) || !jinja_want_int(r, &c->v[2], 1, &step))
        return false;
    if (step == 0)
        return jinja_fail(r, "range() arg 3 must not be zero");
    const uint64_t width = step > 0 ? (uint64_t)stop - (uint64_t)start : (uint64_t)start - (uint64_t)stop;
    const uint64_t stride = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    const bool empty = step > 0 ? start >= stop : start <= stop;
    const uint64_t n = empty ? 0 : (width - 1) / stride + 1;
    if (n > JINJA_MAX_RANGE)
        return jinja_fail(r, "Range too big. The sandbox blocks ranges larger than %d", JINJA_MAX_RANGE);
    jinja_range *v = jinja_alloc(r, 1, sizeof *v);
    if (!v)
        return false;
    *v = (jinja_range){start, stop, step, (int64_t)n};
    *out = (jinja_value){.type = JINJA_RANGE, .as.range = v};
    return true;
}

/* A dictionary or a list of pairs, then keywords. */
static bool fill_dict(jinja_run *r, const jinja_call *c, jinja_dict *d)
{
    jinja_walk w;
    jinja_value item, pair;
    bool more = c->rest.n > 0;
    if (c->rest.n > 1)
        return jinja_fail(r, "expected at most 1 argument, got %zu", c->rest.n);
    if (more && c->rest.items[0].type == JINJA_DICT) {
        const jinja_dict *from = c->rest.items[0].as.dict;
        for (size_t i = 0; i < from->n; i++)
            if (!jinja_spend(r, 1) || !jinja_dict_set(r, d, &from->pairs[i].key, &from->pairs[i].value))
                return false;
    } else if (more) {
        if (!jinja_walk_start(r, &c->rest.items[0], &w))
            return false;
        for (;;) {
            if (!jinja_walk_next(r, &w, &item, &more))
                return false;
            if (!more)
                break;
            if (!jinja_to_list(r, &item, &pair))
                return false;
            if (pair.as.list->n != 2)
                return jinja_fail(r, "a dictionary is made of pairs");
            if (!jinja_dict_set(r, d, &pair.as.list->items[0], &pair.as.list->items[1]))
                return false;
        }
    }
    for (size_t i = 0; i < c->rest.n_named; i++) {
        const str name = c->rest.named[i].name;
        const jinja_value key = {.type = JINJA_STRING, .as.text = {name.p, name.n, NULL}};
        if (!jinja_dict_set(r, d, &key, &c->rest.named[i].value))
            return false;
    }
    return true;
}

static bool dict(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return jinja_dict_new(r, JINJA_DICT, out) && fill_dict(r, c, out->as.dict);
}

static bool namespace(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return jinja_dict_new(r, JINJA_NAMESPACE, out) && fill_dict(r, c, out->as.dict);
}

static bool raise_exception(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    (void)out;
    jinja_value text;
    if (!jinja_to_text(r, &c->v[0], &text))
        return false;
    const str s = jinja_str(&text);
    r->status = error_set(r->err, INGLE_ERR_TEMPLATE, "%.*s", s.n > 1000 ? 1000 : (int)s.n, s.p);
    return false;
}

static bool strftime_now(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return jinja_want_text(r, &c->v[0], "strftime_now's format") && jinja_strftime(r, &c->v[0], out);
}

static bool cycler(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    if (c->rest.n == 0)
        return jinja_fail(r, "at least one item has to be provided");
    if (!jinja_list_new(r, JINJA_CYCLER, c->rest.n, out))
        return false;
    for (size_t i = 0; i < c->rest.n; i++)
        if (!jinja_list_add(r, out->as.list, &c->rest.items[i]))
            return false;
    return true;
}

static bool joiner(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    const jinja_value comma = jinja_literal(", ");
    return jinja_list_new(r, JINJA_JOINER, 1, out) &&
           jinja_list_add(r, out->as.list, c->v[0].type == JINJA_MISSING ? &comma : &c->v[0]);
}

static bool lipsum(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    (void)c;
    (void)out;
    return jinja_fail(r, "lipsum() is random and not supported");
}

const jinja_builtin *jinja_global_named(str name)
{
    static const jinja_builtin rows[] = {
        {"range", range, "/start stop step", 1},
        {"namespace", namespace, "*", 0},
        {"dict", dict, "*", 0},
        {"raise_exception", raise_exception, "message", 1},
        {"strftime_now", strftime_now, "format", 1},
        {"cycler", cycler, "*", 0},
        {"joiner", joiner, "sep", 0},
        {"lipsum", lipsum, "*", 0},
    };
    return jinja_row(rows, sizeof rows / sizeof *rows, name);
}
