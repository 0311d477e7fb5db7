/* Expressions: evaluates the syntax tree, binds and makes calls, keeps the budgets of steps, depth
 * and memory. */
#include <stdarg.h>
#include <stdio.h>

#include "chat/jinja.h"

/* ---- budgets and errors ------------------------------------------------------------------- */

bool jinja_fail(jinja_run *r, const char *fmt, ...)
{
    char text[sizeof((ingle_error *)0)->text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (r->status == INGLE_OK)
        r->status = error_set(r->err, INGLE_ERR_TEMPLATE, "line %u: %s", (unsigned)r->line, text);
    return false;
}

bool jinja_fail_undefined(jinja_run *r, const jinja_value *v)
{
    const str name = jinja_str(v);
    if (v->detail == JINJA_LACK_SAID)
        return jinja_fail(r, "%.*s", STR_ARG(name));
    if (v->detail == JINJA_LACK_ARGUMENT)
        return jinja_fail(r, "parameter '%.*s' was not provided", STR_ARG(name));
    if (v->detail == JINJA_LACK_NAME)
        return jinja_fail(r, "'%.*s' is undefined", STR_ARG(name));
    const jinja_value of = {.type = (uint8_t)(v->detail - JINJA_LACK_OF)};
    if (of.type == JINJA_NONE)
        return jinja_fail(r, "'None' has no attribute '%.*s'", STR_ARG(name));
    return jinja_fail(r, "'%s object' has no attribute '%.*s'", jinja_type_name(&of), STR_ARG(name));
}

bool jinja_no_memory(jinja_run *r, size_t bytes)
{
    const arena *a = &r->memory;
    if (r->status != INGLE_OK)
        return false;
    // The arena refuses for its own limit in whole chunks of 64 KiB.
    if (a->limit && (bytes > a->limit || a->bytes > a->limit - bytes || a->limit - bytes - a->bytes < 1 << 17))
        return jinja_fail(r, "the memory allowed for a template (%zu MiB) is used up", a->limit >> 20);
    r->status = error_memory(r->err, bytes, "template");
    return false;
}

bool jinja_spend(jinja_run *r, size_t steps)
{
    if ((uint64_t)r->steps < steps)
        return jinja_fail(r, "the template takes too many steps");
    r->steps -= (int64_t)steps;
    return true;
}

void *jinja_alloc(jinja_run *r, size_t n, size_t size)
{
    const size_t bytes = size_mul(n, size);
    // Fresh memory is not free of time either: a page costs about as much as a few steps.
    if (!jinja_spend(r, bytes / 1024))
        return NULL;
    void *p = arena_alloc(&r->memory, bytes);
    if (!p)
        jinja_no_memory(r, bytes);
    return p;
}

bool jinja_enter(jinja_run *r)
{
    if (++r->depth <= JINJA_MAX_DEPTH)
        return jinja_spend(r, 1);
    return jinja_fail(r, "nested or recursive beyond %d levels", JINJA_MAX_DEPTH);
}

/* ---- names -------------------------------------------------------------------------------- */

static bool lookup(jinja_run *r, const jinja_scope *s, const jinja_node *n, jinja_value *out)
{
    for (; s; s = s->parent) {
        for (size_t i = 0; i < s->n; i++)
            if (s->variables[i].name == n->name && s->variables[i].value.type != JINJA_MISSING) {
                *out = s->variables[i].value;
                return jinja_spend(r, i / 8);
            }
        if (s->n > 8 && !jinja_spend(r, s->n / 8))
            return false;
    }
    *out = r->top[n->name].type != JINJA_MISSING ? r->top[n->name] : r->context[n->name];
    if (out->type == JINJA_MISSING)
        *out = jinja_undefined(n->text, JINJA_LACK_NAME);
    return true;
}

/* ---- calls -------------------------------------------------------------------------------- */

jinja_value *jinja_push(jinja_run *r, size_t n)
{
    if (n <= JINJA_STACK - r->n_stack) {
        r->n_stack += n;
        return r->stack + r->n_stack - n;
    }
    return jinja_alloc(r, n, sizeof(jinja_value));
}

static bool add_named(jinja_run *r, jinja_args *args, size_t *capacity, str name, const jinja_value *v)
{
    if (args->n_named == *capacity) {
        const size_t more = *capacity ? size_mul(*capacity, 2) : 4;
        jinja_named *named = jinja_alloc(r, more, sizeof *named);
        if (!named)
            return false;
        if (args->n_named)
            memcpy(named, args->named, args->n_named * sizeof *named);
        args->named = named;
        *capacity = more;
    }
    if (args->n_named < 16) // beyond that only ** can bring names, and a dictionary's differ
        for (size_t i = 0; i < args->n_named; i++)
            if (str_equal(args->named[i].name, name))
                return jinja_fail(r, "got multiple values for argument '%.*s'", STR_ARG(name));
    args->named[args->n_named++] = (jinja_named){name, *v};
    return true;
}

static bool spread_named(jinja_run *r, const jinja_value *v, jinja_args *args, size_t *capacity)
{
    if (v->type == JINJA_UNDEFINED)
        return jinja_fail_undefined(r, v);
    if (v->type != JINJA_DICT)
        return jinja_fail(r, "argument after ** must be a mapping, not %s", jinja_type_name(v));
    for (size_t i = 0; i < v->as.dict->n; i++) {
        const jinja_pair *pair = &v->as.dict->pairs[i];
        if (pair->key.type != JINJA_STRING)
            return jinja_fail(r, "keywords must be strings");
        if (!jinja_spend(r, 1) || !add_named(r, args, capacity, jinja_str(&pair->key), &pair->value))
            return false;
    }
    return true;
}

/* With * the number of arguments is known only as they come. */
static bool arguments_spread(jinja_run *r, jinja_scope *s, const jinja_node *list, jinja_args *out)
{
    jinja_value items, v;
    if (!jinja_list_new(r, JINJA_LIST, 0, &items))
        return false;
    for (const jinja_node *n = list; n; n = n->next) {
        if (n->kind == NODE_NAMED || n->kind == NODE_STAR2)
            continue;
        jinja_walk w;
        bool more;
        if (!jinja_eval(r, s, n->kind == NODE_STAR ? n->a : n, &v))
            return false;
        if (n->kind != NODE_STAR) {
            if (!jinja_list_add(r, items.as.list, &v))
                return false;
            continue;
        }
        if (!jinja_walk_start(r, &v, &w))
            return false;
        while (jinja_walk_next(r, &w, &v, &more) && more)
            if (!jinja_list_add(r, items.as.list, &v))
                return false;
        if (r->status != INGLE_OK)
            return false;
    }
    out->items = items.as.list->items;
    out->n = items.as.list->n;
    return true;
}

bool jinja_arguments(jinja_run *r, jinja_scope *s, const jinja_node *list, jinja_args *out)
{
    size_t n_plain = 0, named_capacity = 0;
    bool spread = false;
    *out = (jinja_args){0};
    for (const jinja_node *n = list; n; n = n->next) {
        spread = spread || n->kind == NODE_STAR;
        n_plain += n->kind != NODE_NAMED && n->kind != NODE_STAR2;
    }
    if (spread) {
        if (!arguments_spread(r, s, list, out))
            return false;
    } else if (n_plain) {
        out->items = jinja_push(r, n_plain);
        if (!out->items)
            return false;
        for (const jinja_node *n = list; n; n = n->next)
            if (n->kind != NODE_NAMED && n->kind != NODE_STAR2 &&
                !jinja_eval(r, s, n, &out->items[out->n++]))
                return false;
    }
    for (const jinja_node *n = list; n; n = n->next) {
        jinja_value v;
        if (n->kind != NODE_NAMED && n->kind != NODE_STAR2)
            continue;
        if (!jinja_eval(r, s, n->a, &v))
            return false;
        if (n->kind == NODE_NAMED ? !add_named(r, out, &named_capacity, n->text, &v)
                                  : !spread_named(r, &v, out, &named_capacity))
            return false;
    }
    return true;
}

/* The next parameter's name of a builtin; false at the end and at "*". */
static bool next_param(const char **p, str *name)
{
    while (**p == ' ' || **p == '/')
        (*p)++;
    if (!**p || **p == '*')
        return false;
    name->p = *p;
    while (**p && **p != ' ')
        (*p)++;
    name->n = (size_t)(*p - name->p);
    return true;
}

/* Puts given arguments to their parameters v [JINJA_MAX_PARAMS]. */
static bool bind(jinja_run *r, const jinja_builtin *f, const jinja_args *args, jinja_call *call)
{
    const char *p = f->params;
    const bool by_position = *p == '/', open = *p && p[strlen(p) - 1] == '*';
    size_t n = 0, taken = 0;
    str name;
    for (; next_param(&p, &name); n++) {
        call->v[n] = (jinja_value){.type = JINJA_MISSING};
        if (n < args->n)
            call->v[n] = args->items[n];
        for (size_t i = 0; i < args->n_named && !by_position; i++) {
            if (!str_equal(args->named[i].name, name))
                continue;
            if (n < args->n)
                return jinja_fail(r, "%s() got multiple values for argument '%.*s'", f->name,
                                  STR_ARG(name));
            call->v[n] = args->named[i].value;
            taken++;
        }
        if (n < f->required && call->v[n].type == JINJA_MISSING)
            return jinja_fail(r, "%s() missing required argument '%.*s'", f->name, STR_ARG(name));
    }
    call->rest = jinja_args_after(args, n);
    if (open)
        return true;
    if (args->n > n)
        return jinja_fail(r, "%s() takes at most %zu arguments (%zu given)", f->name, n, args->n);
    if (taken < args->n_named)
        return jinja_fail(r, by_position ? "%s() takes no keyword arguments"
                                         : "%s() got an unexpected keyword argument", f->name);
    return true;
}

bool jinja_call_builtin(jinja_run *r, const jinja_builtin *f, const jinja_value *self,
                        const jinja_args *args, jinja_value *out)
{
    const size_t mark = r->n_stack;
    jinja_call call = {.self = self ? *self : jinja_none(), .v = jinja_push(r, JINJA_MAX_PARAMS)};
    const bool good = call.v && bind(r, f, args, &call) && f->run(r, &call, out);
    r->n_stack = mark;
    return good;
}

static bool joiner_call(jinja_run *r, const jinja_value *f, jinja_value *out)
{
    (void)r;
    jinja_list *state = f->as.list;
    *out = state->next ? state->items[0] : jinja_literal("");
    state->next = 1;
    return true;
}

bool jinja_call_value(jinja_run *r, const jinja_value *f, const jinja_args *args, jinja_value *out)
{
    switch (f->type) {
    case JINJA_FUNCTION:
        return jinja_call_builtin(r, f->as.function, NULL, args, out);
    case JINJA_METHOD:
        return jinja_call_builtin(r, f->as.method->what, &f->as.method->self, args, out);
    case JINJA_MACRO:
        return jinja_call_macro(r, f->as.macro, args, out);
    case JINJA_LOOP:
        return jinja_call_loop(r, f->as.loop, args, out);
    case JINJA_JOINER:
        return joiner_call(r, f, out);
    case JINJA_UNDEFINED:
        return jinja_fail_undefined(r, f);
    default:
        return jinja_fail(r, "'%s' object is not callable", jinja_type_name(f));
    }
}

static bool eval_call(jinja_run *r, jinja_scope *s, const jinja_node *n, jinja_value *out)
{
    const size_t mark = r->n_stack;
    jinja_value f;
    jinja_args args;
    if (!jinja_eval(r, s, n->a, &f) || !jinja_arguments(r, s, n->list, &args))
        return false;
    r->line = n->line;
    const bool good = jinja_call_value(r, &f, &args, out);
    r->n_stack = mark;
    return good;
}

/* A filter or a test on v. */
static bool apply(jinja_run *r, jinja_scope *s, const jinja_node *n, const jinja_value *v,
                  jinja_value *out)
{
    const size_t mark = r->n_stack;
    jinja_args args;
    if (!n->builtin)
        return jinja_fail(r, "No %s named '%.*s'", n->kind == NODE_TEST ? "test" : "filter",
                          STR_ARG(n->text));
    if (!jinja_arguments(r, s, n->list, &args))
        return false;
    r->line = n->line;
    const bool good = jinja_call_builtin(r, n->builtin, v, &args, out);
    r->n_stack = mark;
    if (good && n->kind == NODE_TEST)
        *out = jinja_bool(jinja_truth(out) != (n->flags != 0));
    return good;
}

bool jinja_filter_through(jinja_run *r, jinja_scope *s, const jinja_node *filters,
                          const jinja_value *v, jinja_value *out)
{
    jinja_value inner = *v;
    if (!jinja_enter(r) || (filters->a && !jinja_filter_through(r, s, filters->a, v, &inner)))
        return false;
    r->depth--;
    return apply(r, s, filters, &inner, out);
}

/* ---- expressions -------------------------------------------------------------------------- */

static bool eval_items(jinja_run *r, jinja_scope *s, const jinja_node *n, jinja_value *out)
{
    jinja_value v;
    if (!jinja_list_new(r, n->kind == NODE_LIST ? JINJA_LIST : JINJA_TUPLE, n->n, out))
        return false;
    for (const jinja_node *c = n->list; c; c = c->next)
        if (!jinja_eval(r, s, c, &v) || !jinja_list_add(r, out->as.list, &v))
            return false;
    return true;
}

static bool eval_dict(jinja_run *r, jinja_scope *s, const jinja_node *n, jinja_value *out)
{
    jinja_value key, v;
    if (!jinja_dict_new(r, JINJA_DICT, out))
        return false;
    for (const jinja_node *c = n->list; c; c = c->next)
        if (!jinja_eval(r, s, c->a, &key) || !jinja_eval(r, s, c->b, &v) ||
            !jinja_dict_set(r, out->as.dict, &key, &v))
            return false;
    return true;
}

static bool eval_item(jinja_run *r, jinja_scope *s, const jinja_node *n, jinja_value *out)
{
    jinja_value of, key;
    if (!jinja_eval(r, s, n->a, &of))
        return false;
    if (n->b->kind != NODE_SLICE) {
        if (!jinja_eval(r, s, n->b, &key))
            return false;
        r->line = n->line;
        return jinja_item(r, &of, &key, out);
    }
    const jinja_node *const parts[3] = {n->b->a, n->b->b, n->b->c};
    jinja_value bounds[3];
    for (int i = 0; i < 3; i++) {
        bounds[i] = jinja_none();
        if (parts[i] && !jinja_eval(r, s, parts[i], &bounds[i]))
            return false;
    }
    r->line = n->line;
    return jinja_slice(r, &of, bounds, out);
}

static bool eval_concat(jinja_run *r, jinja_scope *s, const jinja_node *n, jinja_value *out)
{
    jinja_value v, text;
    *out = jinja_literal("");
    for (const jinja_node *c = n->list; c; c = c->next) {
        if (!jinja_eval(r, s, c, &v) || !jinja_to_text(r, &v, &text))
            return false;
        text.markup = false;
        if (!jinja_concat(r, out, &text, out))
            return false;
    }
    return true;
}

static bool eval_compare(jinja_run *r, jinja_scope *s, const jinja_node *n, jinja_value *out)
{
    jinja_value a, b;
    bool result = true;
    if (!jinja_eval(r, s, n->a, &a))
        return false;
    for (const jinja_node *c = n->list; c && result; c = c->next) {
        if (!jinja_eval(r, s, c->a, &b))
            return false;
        r->line = n->line;
        if (!jinja_compare(r, (jinja_op)c->op, &a, &b, &result))
            return false;
        a = b;
    }
    *out = jinja_bool(result);
    return true;
}

static bool eval_binary(jinja_run *r, jinja_scope *s, const jinja_node *n, jinja_value *out)
{
    jinja_value a, b;
    if (!jinja_eval(r, s, n->a, &a) || !jinja_eval(r, s, n->b, &b))
        return false;
    r->line = n->line;
    return jinja_binary(r, (jinja_op)n->op, &a, &b, out);
}

static bool eval_choice(jinja_run *r, jinja_scope *s, const jinja_node *n, jinja_value *out)
{
    jinja_value test;
    if (!jinja_eval(r, s, n->b, &test))
        return false;
    if (jinja_truth(&test))
        return jinja_eval(r, s, n->a, out);
    if (n->c)
        return jinja_eval(r, s, n->c, out);
    *out = jinja_undefined(STR("the inline if-expression was false and has no else"), JINJA_LACK_SAID);
    return true;
}

static bool eval_one(jinja_run *r, jinja_scope *s, const jinja_node *n, jinja_value *out)
{
    jinja_value v;
    switch (n->kind) {
    case NODE_CONST:
        *out = n->value;
        return true;
    case NODE_NAME:
        return lookup(r, s, n, out);
    case NODE_LIST:
    case NODE_TUPLE:
        return eval_items(r, s, n, out);
    case NODE_DICT:
        return eval_dict(r, s, n, out);
    case NODE_ATTRIBUTE:
        if (!jinja_eval(r, s, n->a, &v))
            return false;
        r->line = n->line;
        return jinja_attribute(r, &v, n->text, out);
    case NODE_ITEM:
        return eval_item(r, s, n, out);
    case NODE_CALL:
        return eval_call(r, s, n, out);
    case NODE_FILTER:
    case NODE_TEST:
        return jinja_eval(r, s, n->a, &v) && apply(r, s, n, &v, out);
    case NODE_NOT:
        if (!jinja_eval(r, s, n->a, &v))
            return false;
        *out = jinja_bool(!jinja_truth(&v));
        return true;
    case NODE_NEGATE:
    case NODE_PLUS:
        return jinja_eval(r, s, n->a, &v) && jinja_negate(r, &v, n->kind == NODE_PLUS, out);
    case NODE_AND:
    case NODE_OR:
        if (!jinja_eval(r, s, n->a, out))
            return false;
        return jinja_truth(out) == (n->kind == NODE_OR) || jinja_eval(r, s, n->b, out);
    case NODE_BINARY:
        return eval_binary(r, s, n, out);
    case NODE_CONCAT:
        return eval_concat(r, s, n, out);
    case NODE_COMPARE:
        return eval_compare(r, s, n, out);
    case NODE_CHOICE:
        return eval_choice(r, s, n, out);
    default:
        return jinja_fail(r, "a slice may only stand alone in a subscript");
    }
}

bool jinja_eval(jinja_run *r, jinja_scope *s, const jinja_node *n, jinja_value *out)
{
    if (!jinja_enter(r))
        return false;
    r->line = n->line;
    if (!eval_one(r, s, n, out))
        return false;
    r->depth--;
    return true;
}
