/* Statements: runs the syntax tree's statements, loops and macros. Owns scopes: the body of a
 * loop, macro, with, set block and filter block has names of its own; if has none. */
#include "chat/jinja.h"

struct jinja_loop {
    jinja_run *run;
    jinja_scope *scope;     // around the loop
    const jinja_node *node; // FOR
    const jinja_list *items;
    size_t index;           // of the current item
    int depth;              // of recursion, from 0
    bool has_last;          // changed() was asked before, with
    jinja_value last;
};

static bool set_in(jinja_run *r, jinja_scope *s, uint32_t name, const jinja_value *v)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->variables[i].name == name) {
            s->variables[i].value = *v;
            return jinja_spend(r, i / 8);
        }
    if (s->n == s->capacity) {
        const size_t more = s->capacity ? s->capacity * 2 : 4;
        jinja_variable *variables = jinja_alloc(r, more, sizeof *variables);
        if (!variables)
            return false;
        if (s->n)
            memcpy(variables, s->variables, s->n * sizeof *variables);
        s->variables = variables;
        s->capacity = more;
    }
    s->variables[s->n++] = (jinja_variable){name, *v};
    return jinja_spend(r, s->n / 8);
}

bool jinja_set(jinja_run *r, jinja_scope *s, uint32_t name, const jinja_value *v)
{
    if (s)
        return set_in(r, s, name, v);
    r->top[name] = *v;
    return true;
}

static jinja_scope *scope_new(jinja_run *r, jinja_scope *parent)
{
    jinja_scope *s = jinja_alloc(r, 1, sizeof *s);
    if (s)
        *s = (jinja_scope){.parent = parent};
    return s;
}

static bool lookup_namespace(jinja_run *r, const jinja_scope *s, const jinja_node *target,
                             jinja_value *out)
{
    const jinja_node name = {.kind = NODE_NAME, .name = target->name, .line = target->line};
    return jinja_eval(r, (jinja_scope *)s, &name, out);
}

/* Gives v to a target: a name, an attribute of a namespace, or a tuple of targets. */
static bool assign(jinja_run *r, jinja_scope *s, const jinja_node *target, const jinja_value *v)
{
    jinja_value space, items;
    if (target->kind == NODE_NAME)
        return jinja_set(r, s, target->name, v);
    if (target->kind == NODE_NAMESPACE) {
        const jinja_value key = {.type = JINJA_STRING, .as.text = {target->text.p, target->text.n, NULL}};
        if (!lookup_namespace(r, s, target, &space))
            return false;
        if (space.type != JINJA_NAMESPACE)
            return jinja_fail(r, "cannot assign attribute on non-namespace object");
        return jinja_dict_set(r, space.as.dict, &key, v);
    }
    if (!jinja_to_list(r, v, &items))
        return false;
    if (items.as.list->n != target->n)
        return jinja_fail(r, items.as.list->n > target->n ? "too many values to unpack (expected %u)"
                                                          : "not enough values to unpack (expected %u)",
                          (unsigned)target->n);
    const jinja_node *t = target->list;
    for (size_t i = 0; t; t = t->next, i++)
        if (!assign(r, s, t, &items.as.list->items[i]))
            return false;
    return true;
}

/* Runs a body into a text of its own. */
static bool capture(jinja_run *r, jinja_scope *s, const jinja_node *body, jinja_value *out)
{
    jinja_buffer b = {0};
    jinja_flow flow = JINJA_FLOW_ON;
    if (!jinja_exec(r, s, body, &b, &flow))
        return false;
    *out = jinja_take(&b);
    return true;
}

/* ---- loops -------------------------------------------------------------------------------- */

size_t jinja_loop_length(const jinja_loop *loop)
{
    return loop->items->n;
}

static bool loop_cycle(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    if (c->rest.n == 0)
        return jinja_fail(r, "no items for cycling given");
    *out = c->rest.items[c->self.as.loop->index % c->rest.n];
    return true;
}

static bool loop_changed(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    jinja_loop *loop = c->self.as.loop;
    jinja_value now;
    bool same = false;
    if (!jinja_list_new(r, JINJA_TUPLE, c->rest.n, &now))
        return false;
    for (size_t i = 0; i < c->rest.n; i++)
        if (!jinja_list_add(r, now.as.list, &c->rest.items[i]))
            return false;
    if (loop->has_last && !jinja_equal(r, &now, &loop->last, &same))
        return false;
    loop->last = now;
    loop->has_last = true;
    *out = jinja_bool(!same);
    return true;
}

static jinja_value neighbour(const jinja_loop *loop, bool next)
{
    const size_t n = loop->items->n, i = loop->index;
    if (next ? i + 1 < n : i > 0)
        return loop->items->items[next ? i + 1 : i - 1];
    return jinja_undefined(next ? STR("there is no next item") : STR("there is no previous item"),
                           JINJA_LACK_SAID);
}

bool jinja_loop_attribute(jinja_run *r, jinja_loop *loop, str name, jinja_value *out)
{
    static const jinja_builtin methods[] = {{"cycle", loop_cycle, "*", 0},
                                            {"changed", loop_changed, "*", 0}};
    static const char *const names[] = {"index",  "index0", "revindex", "revindex0",
                                        "length", "depth",  "depth0"};
    const int64_t i = (int64_t)loop->index, n = (int64_t)loop->items->n;
    const int64_t values[] = {i + 1, i, n - i, n - i - 1, n, loop->depth + 1, loop->depth};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        if (str_equal(name, str_of(names[k]))) {
            *out = jinja_int(values[k]);
            return true;
        }
    if (str_equal(name, STR("first")) || str_equal(name, STR("last"))) {
        *out = jinja_bool(name.p[0] == 'f' ? i == 0 : i == n - 1);
    } else if (str_equal(name, STR("previtem")) || str_equal(name, STR("nextitem"))) {
        const jinja_value v = neighbour(loop, name.p[0] == 'n');
        // Undefined here means the item, not that loop lacks the attribute.
        *out = v;
    } else {
        const jinja_builtin *what = jinja_row(methods, 2, name);
        jinja_method *method = what ? jinja_alloc(r, 1, sizeof *method) : NULL;
        if (!method)
            return what == NULL;
        *method = (jinja_method){what, {.type = JINJA_LOOP, .as.loop = loop}};
        *out = (jinja_value){.type = JINJA_METHOD, .as.method = method};
    }
    return true;
}

/* The items of the loop, those that its "if" lets through. */
static bool loop_items(jinja_run *r, jinja_scope *s, const jinja_node *n, const jinja_value *over,
                       jinja_value *out)
{
    jinja_walk w;
    jinja_value item, test;
    bool more;
    // A list is walked where it lies: nothing is copied, and what the body appends is met, too.
    if (!n->c && over->type == JINJA_LIST) {
        *out = *over;
        return true;
    }
    if (!jinja_walk_start(r, over, &w) || !jinja_list_new(r, JINJA_LIST, 0, out))
        return false;
    jinja_scope *inner = n->c ? scope_new(r, s) : NULL;
    if (n->c && !inner)
        return false;
    for (;;) {
        if (!jinja_walk_next(r, &w, &item, &more))
            return false;
        if (!more)
            return true;
        if (n->c) {
            inner->n = 0;
            if (!assign(r, inner, n->a, &item) || !jinja_eval(r, inner, n->c, &test))
                return false;
            if (!jinja_truth(&test))
                continue;
        }
        if (!jinja_list_add(r, out->as.list, &item))
            return false;
    }
}

static bool run_loop(jinja_run *r, jinja_scope *s, const jinja_node *n, const jinja_value *over,
                     int depth, jinja_buffer *out, jinja_flow *flow)
{
    jinja_value items;
    const uint32_t loop_name = jinja_name_number(r->t, STR("loop")); // if the template says it at all
    if (!loop_items(r, s, n, over, &items))
        return false;
    jinja_scope *inner = scope_new(r, s);
    jinja_loop *loop = jinja_alloc(r, 1, sizeof *loop);
    if (!inner || !loop)
        return false;
    *loop = (jinja_loop){r, s, n, items.as.list, 0, depth, false, {0}};
    const jinja_value loop_value = {.type = JINJA_LOOP, .as.loop = loop};
    bool ran = false; // jinja2 counts an iteration only at its end: not after break or continue
    for (; loop->index < loop->items->n; loop->index++) {
        inner->n = 0;
        if (!jinja_spend(r, 1) || (loop_name != UINT32_MAX && !set_in(r, inner, loop_name, &loop_value)) ||
            !assign(r, inner, n->a, &loop->items->items[loop->index]) ||
            !jinja_exec(r, inner, n->body, out, flow))
            return false;
        const bool stop = *flow == JINJA_FLOW_BREAK;
        ran = ran || *flow == JINJA_FLOW_ON;
        *flow = JINJA_FLOW_ON;
        if (stop)
            break;
    }
    if (ran || !n->orelse)
        return true;
    inner = scope_new(r, s);
    return inner && jinja_exec(r, inner, n->orelse, out, flow);
}

bool jinja_call_loop(jinja_run *r, jinja_loop *loop, const jinja_args *args, jinja_value *out)
{
    jinja_buffer b = {0};
    jinja_flow flow = JINJA_FLOW_ON;
    if (!loop->node->flags)
        return jinja_fail(r, "the loop must have the 'recursive' marker to be called recursively");
    if (args->n != 1 || args->n_named)
        return jinja_fail(r, "loop() takes one argument");
    if (!jinja_enter(r) ||
        !run_loop(r, loop->scope, loop->node, &args->items[0], loop->depth + 1, &b, &flow))
        return false;
    r->depth--;
    *out = jinja_take(&b);
    return true;
}

/* ---- macros ------------------------------------------------------------------------------- */

bool jinja_macro_attribute(jinja_run *r, const jinja_macro *m, str name, jinja_value *out)
{
    const unsigned flags = m->node->flags;
    if (str_equal(name, STR("name"))) {
        *out = jinja_literal("");
        out->as.text = (jinja_text){m->node->text.p, m->node->text.n, NULL};
    } else if (str_equal(name, STR("caller"))) {
        *out = jinja_bool((flags & MACRO_CALLER) != 0);
    } else if (str_equal(name, STR("catch_kwargs"))) {
        *out = jinja_bool((flags & MACRO_KWARGS) != 0);
    } else if (str_equal(name, STR("catch_varargs"))) {
        *out = jinja_bool((flags & MACRO_VARARGS) != 0);
    } else if (str_equal(name, STR("arguments"))) {
        if (!jinja_list_new(r, JINJA_TUPLE, m->node->n, out))
            return false;
        for (const jinja_node *p = m->node->list; p; p = p->next) {
            const jinja_value v = {.type = JINJA_STRING, .as.text = {p->text.p, p->text.n, NULL}};
            if (!jinja_list_add(r, out->as.list, &v))
                return false;
        }
    }
    return true;
}

static jinja_named *find_named(const jinja_args *args, str name)
{
    for (size_t i = 0; i < args->n_named; i++)
        if (str_equal(args->named[i].name, name))
            return &args->named[i];
    return NULL;
}

/* What the parameters leave over becomes varargs and kwargs, or is refused. */
static bool set_rest(jinja_run *r, const jinja_macro *m, const jinja_args *args, jinja_scope *s)
{
    const jinja_node *node = m->node;
    jinja_value rest;
    if (node->flags & MACRO_VARARGS) {
        if (!jinja_list_new(r, JINJA_TUPLE, 0, &rest))
            return false;
        for (size_t i = node->n; i < args->n; i++)
            if (!jinja_list_add(r, rest.as.list, &args->items[i]))
                return false;
        if (!jinja_set(r, s, jinja_name_number(r->t, STR("varargs")), &rest))
            return false;
    } else if (args->n > node->n) {
        return jinja_fail(r, "macro '%.*s' takes not more than %u argument(s)", STR_ARG(node->text),
                          (unsigned)node->n);
    }
    if ((node->flags & MACRO_KWARGS) && !jinja_dict_new(r, JINJA_DICT, &rest))
        return false;
    for (size_t i = 0; i < args->n_named; i++) {
        const str name = args->named[i].name;
        bool known = (node->flags & MACRO_CALLER) && str_equal(name, STR("caller"));
        for (const jinja_node *p = node->list; p && !known; p = p->next)
            known = str_equal(p->text, name);
        if (!jinja_spend(r, node->n / 4))
            return false;
        if (known)
            continue;
        if (!(node->flags & MACRO_KWARGS))
            return jinja_fail(r, "macro '%.*s' takes no keyword argument '%.*s'", STR_ARG(node->text),
                              STR_ARG(name));
        const jinja_value key = {.type = JINJA_STRING, .as.text = {name.p, name.n, NULL}};
        if (!jinja_spend(r, 1) || !jinja_dict_set(r, rest.as.dict, &key, &args->named[i].value))
            return false;
    }
    return !(node->flags & MACRO_KWARGS) || jinja_set(r, s, jinja_name_number(r->t, STR("kwargs")), &rest);
}

static bool set_parameters(jinja_run *r, const jinja_macro *m, const jinja_args *args, jinja_scope *s)
{
    size_t i = 0;
    for (const jinja_node *p = m->node->list; p; p = p->next, i++) {
        const jinja_named *named = find_named(args, p->text);
        jinja_value v;
        if (!jinja_spend(r, 1 + args->n_named / 4))
            return false;
        if (named && i < args->n)
            return jinja_fail(r, "macro '%.*s' got multiple values for argument '%.*s'",
                              STR_ARG(m->node->text), STR_ARG(p->text));
        if (i < args->n)
            v = args->items[i];
        else if (named)
            v = named->value;
        else if (!p->a)
            v = jinja_undefined(p->text, JINJA_LACK_ARGUMENT);
        else if (!jinja_eval(r, s, p->a, &v))
            return false;
        if (!jinja_set(r, s, p->name, &v))
            return false;
    }
    return true;
}

bool jinja_call_macro(jinja_run *r, const jinja_macro *m, const jinja_args *args, jinja_value *out)
{
    jinja_scope *s = scope_new(r, m->scope);
    if (!s || !jinja_enter(r))
        return false;
    if (m->node->flags & MACRO_CALLER) {
        const jinja_named *caller = find_named(args, STR("caller"));
        const jinja_value v =
            caller ? caller->value : jinja_undefined(STR("No caller defined"), JINJA_LACK_SAID);
        if (!jinja_set(r, s, jinja_name_number(r->t, STR("caller")), &v))
            return false;
    }
    if (!set_rest(r, m, args, s) || !set_parameters(r, m, args, s) || !capture(r, s, m->node->body, out))
        return false;
    r->depth--;
    return true;
}

static bool make_macro(jinja_run *r, jinja_scope *s, const jinja_node *n, jinja_value *out)
{
    jinja_macro *m = jinja_alloc(r, 1, sizeof *m);
    if (!m)
        return false;
    *m = (jinja_macro){n, s};
    *out = (jinja_value){.type = JINJA_MACRO, .as.macro = m};
    return true;
}

static bool exec_call_block(jinja_run *r, jinja_scope *s, const jinja_node *n, jinja_buffer *out)
{
    const size_t mark = r->n_stack;
    jinja_value f, caller, text;
    jinja_args args;
    if (!make_macro(r, s, n, &caller) || !jinja_eval(r, s, n->a->a, &f) ||
        !jinja_arguments(r, s, n->a->list, &args))
        return false;
    jinja_named *named = jinja_alloc(r, args.n_named + 1, sizeof *named);
    if (!named)
        return false;
    if (args.n_named)
        memcpy(named, args.named, args.n_named * sizeof *named);
    named[args.n_named++] = (jinja_named){STR("caller"), caller};
    args.named = named;
    if (!jinja_call_value(r, &f, &args, &text))
        return false;
    r->n_stack = mark;
    return jinja_add_value(r, out, &text);
}

/* ---- statements --------------------------------------------------------------------------- */

static bool exec_print(jinja_run *r, jinja_scope *s, const jinja_node *n, jinja_buffer *out)
{
    jinja_value v;
    for (const jinja_node *c = n->list; c; c = c->next)
        if (!jinja_eval(r, s, c, &v) || !jinja_add_value(r, out, &v))
            return false;
    return true;
}

static bool exec_if(jinja_run *r, jinja_scope *s, const jinja_node *n, jinja_buffer *out,
                    jinja_flow *flow)
{
    for (const jinja_node *branch = n->list; branch; branch = branch->next) {
        jinja_value test = jinja_bool(true);
        if (branch->a && !jinja_eval(r, s, branch->a, &test))
            return false;
        if (jinja_truth(&test))
            return jinja_exec(r, s, branch->body, out, flow);
    }
    return true;
}

static bool exec_set_block(jinja_run *r, jinja_scope *s, const jinja_node *n)
{
    jinja_scope *inner = scope_new(r, s);
    jinja_value v;
    if (!inner || !capture(r, inner, n->body, &v) ||
        (n->b && !jinja_filter_through(r, inner, n->b, &v, &v)))
        return false;
    return assign(r, s, n->a, &v);
}

static bool exec_with(jinja_run *r, jinja_scope *s, const jinja_node *n, jinja_buffer *out,
                      jinja_flow *flow)
{
    jinja_scope *inner = scope_new(r, s);
    if (!inner)
        return false;
    for (const jinja_node *pair = n->list; pair; pair = pair->next) {
        jinja_value v; // worked out without the names that this very tag sets
        if (!jinja_eval(r, s, pair->b, &v) || !assign(r, inner, pair->a, &v))
            return false;
    }
    return jinja_exec(r, inner, n->body, out, flow);
}

static bool exec_filter_block(jinja_run *r, jinja_scope *s, const jinja_node *n, jinja_buffer *out)
{
    jinja_scope *inner = scope_new(r, s);
    jinja_value v;
    return inner && capture(r, inner, n->body, &v) &&
           jinja_filter_through(r, inner, n->b, &v, &v) && jinja_add_value(r, out, &v);
}

static bool exec_one(jinja_run *r, jinja_scope *s, const jinja_node *n, jinja_buffer *out,
                     jinja_flow *flow)
{
    jinja_value v;
    jinja_scope *inner;
    switch (n->kind) {
    case NODE_DATA:
        return jinja_add_text(r, out, &n->value);
    case NODE_PRINT:
        return exec_print(r, s, n, out);
    case NODE_IF:
        return exec_if(r, s, n, out, flow);
    case NODE_FOR:
        return jinja_eval(r, s, n->b, &v) && run_loop(r, s, n, &v, 0, out, flow);
    case NODE_SET:
        return jinja_eval(r, s, n->b, &v) && assign(r, s, n->a, &v);
    case NODE_SET_BLOCK:
        return exec_set_block(r, s, n);
    case NODE_WITH:
        return exec_with(r, s, n, out, flow);
    case NODE_MACRO:
        return make_macro(r, s, n, &v) && jinja_set(r, s, n->name, &v);
    case NODE_CALL_BLOCK:
        return exec_call_block(r, s, n, out);
    case NODE_FILTER_BLOCK:
        return exec_filter_block(r, s, n, out);
    case NODE_BREAK:
    case NODE_CONTINUE:
        *flow = n->kind == NODE_BREAK ? JINJA_FLOW_BREAK : JINJA_FLOW_CONTINUE;
        return true;
    default:
        inner = scope_new(r, s);
        return inner && jinja_exec(r, inner, n->body, out, flow);
    }
}

bool jinja_exec(jinja_run *r, jinja_scope *s, const jinja_node *body, jinja_buffer *out,
                jinja_flow *flow)
{
    for (const jinja_node *n = body; n && *flow == JINJA_FLOW_ON; n = n->next) {
        if (!jinja_enter(r))
            return false;
        r->line = n->line;
        if (!exec_one(r, s, n, out, flow))
            return false;
        r->depth--;
    }
    return true;
}
