/* The parser: tokens to a syntax tree in the template's arena, by recursive descent with a cap on
 * nesting. Owns Jinja's grammar and its compile-time refusals: unknown tags, filters and tests
 * (the latter two are an error only outside of conditions, as in Jinja). */
#include "chat/jinja.h"

enum { MAX_MACROS = 16 }; // macros within macros that are watched for caller, kwargs, varargs

typedef struct {
    chat_template *t;
    const jinja_token *token;
    ingle_error *err;
    ingle_status status;
    int depth;
    bool soft;           // within an if: an unknown filter fails when it runs, not now
    uint32_t lack_line;  // the first unknown filter or test outside of an if; 0 = none
    str lack;
    const char *lack_kind;
    int in_loop;
    jinja_node *macros[MAX_MACROS];
    int n_macros;
} parser;

typedef jinja_node *rule(parser *p);

static jinja_node *parse_expression(parser *p);
static jinja_node *parse_unary(parser *p, bool filters);
static jinja_node *parse_tuple(parser *p, rule *item, const char *end_word, bool parentheses);
static jinja_node *parse_body(parser *p, const char *const *ends, size_t n_ends);

static void *fail(parser *p, uint32_t line, const char *what, str name)
{
    if (p->status == INGLE_OK)
        p->status = error_set(p->err, INGLE_ERR_TEMPLATE, "line %u: %s%s%.*s%s", (unsigned)line, what,
                              name.n ? " '" : "", STR_ARG(name), name.n ? "'" : "");
    return NULL;
}

static str token_text(const jinja_token *t)
{
    static const str kinds[] = {{"text", 4},         {"{{", 2},        {"}}", 2}, {"{%", 2},
                                {"%}", 2},           {"", 0},          {"a string", 8},
                                {"a number", 8},     {"a number", 8},  {"", 0},
                                {"end of template", 15}};
    if (t->type == TOKEN_NAME)
        return t->text;
    return t->type == TOKEN_OP ? (str){t->op, t->op[1] ? 2 : 1} : kinds[t->type];
}

static void *unexpected(parser *p)
{
    return fail(p, p->token->line, "unexpected", token_text(p->token));
}

static bool at_op(const parser *p, const char *op)
{
    return p->token->type == TOKEN_OP && p->token->op[0] == op[0] && p->token->op[1] == op[1];
}

static bool at_word(const parser *p, const char *word)
{
    return p->token->type == TOKEN_NAME && str_equal(p->token->text, str_of(word));
}

static bool skip_op(parser *p, const char *op)
{
    const bool found = at_op(p, op);
    p->token += found;
    return found;
}

static bool skip_word(parser *p, const char *word)
{
    const bool found = at_word(p, word);
    p->token += found;
    return found;
}

static bool expect_op(parser *p, const char *op)
{
    if (skip_op(p, op))
        return true;
    unexpected(p);
    return false;
}

static bool expect_block_end(parser *p)
{
    if (p->token->type != TOKEN_BLOCK_END) {
        unexpected(p);
        return false;
    }
    p->token++;
    return true;
}

static jinja_node *make(parser *p, jinja_kind kind, uint32_t line)
{
    jinja_node *n = arena_zero(&p->t->memory, 1, sizeof *n);
    if (!n) {
        if (p->status == INGLE_OK)
            p->status = error_memory(p->err, sizeof *n, "template");
        return NULL;
    }
    n->kind = (uint8_t)kind;
    n->line = line;
    n->depth = 1;
    return n;
}

/* Notes a child, so that a tree's height is known and capped; chains such as 1+1+... grow to the
 * left without any recursion of the parser. */
static bool adopt(parser *p, jinja_node *parent, const jinja_node *child)
{
    if (child && child->depth >= parent->depth)
        parent->depth = (uint16_t)(child->depth + 1);
    if (parent->depth <= JINJA_MAX_NESTING)
        return true;
    fail(p, parent->line, "nested too deeply", STR(""));
    return false;
}

/* Appends child to a list; *last is its last node. */
static bool append(parser *p, jinja_node *parent, jinja_node **last, jinja_node *child)
{
    if (!child)
        return false;
    if (*last)
        (*last)->next = child;
    else
        parent->list = child;
    *last = child;
    parent->n++;
    return adopt(p, parent, child);
}

static bool deeper(parser *p)
{
    if (++p->depth <= JINJA_MAX_NESTING)
        return true;
    fail(p, p->token->line, "nested too deeply", STR(""));
    return false;
}

static jinja_node *make1(parser *p, jinja_kind kind, uint32_t line, jinja_node *a)
{
    jinja_node *n = a ? make(p, kind, line) : NULL;
    if (!n)
        return NULL;
    n->a = a;
    return adopt(p, n, a) ? n : NULL;
}

static jinja_node *make2(parser *p, jinja_kind kind, uint32_t line, jinja_node *a, jinja_node *b)
{
    jinja_node *n = a && b ? make1(p, kind, line, a) : NULL;
    if (!n)
        return NULL;
    n->b = b;
    return adopt(p, n, b) ? n : NULL;
}

static jinja_node *make_const(parser *p, uint32_t line, jinja_value value)
{
    jinja_node *n = make(p, NODE_CONST, line);
    if (n)
        n->value = value;
    return n;
}

/* ---- primary expressions ------------------------------------------------------------------ */

static void note_special(parser *p, str name)
{
    const unsigned flag = str_equal(name, STR("caller"))    ? MACRO_CALLER
                          : str_equal(name, STR("kwargs"))  ? MACRO_KWARGS
                          : str_equal(name, STR("varargs")) ? MACRO_VARARGS
                                                            : 0;
    for (int i = 0; i < p->n_macros; i++)
        p->macros[i]->flags = (uint8_t)(p->macros[i]->flags | flag);
}

static jinja_node *parse_name(parser *p)
{
    const jinja_token *t = p->token++;
    static const struct {
        str word;
        uint8_t type;
        bool truth;
    } words[] = {{{"true", 4}, JINJA_BOOL, true},   {{"True", 4}, JINJA_BOOL, true},
                 {{"false", 5}, JINJA_BOOL, false}, {{"False", 5}, JINJA_BOOL, false},
                 {{"none", 4}, JINJA_NONE, false},  {{"None", 4}, JINJA_NONE, false}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_equal(t->text, words[i].word))
            return make_const(p, t->line,
                              words[i].type == JINJA_NONE ? jinja_none() : jinja_bool(words[i].truth));
    note_special(p, t->text);
    jinja_node *n = make(p, NODE_NAME, t->line);
    if (n) {
        n->name = t->name;
        n->text = t->text;
    }
    return n;
}

/* Strings side by side are one. */
static jinja_node *parse_strings(parser *p)
{
    const jinja_token *first = p->token;
    size_t n = 0;
    for (; p->token->type == TOKEN_STRING; p->token++)
        n += p->token->text.n;
    char *text = (char *)first->text.p;
    if (p->token > first + 1) {
        text = arena_alloc(&p->t->memory, n);
        if (!text) {
            p->status = error_memory(p->err, n, "template");
            return NULL;
        }
        n = 0;
        for (const jinja_token *t = first; t < p->token; t++) {
            memcpy(text + n, t->text.p, t->text.n);
            n += t->text.n;
        }
    }
    jinja_value v = jinja_literal("");
    v.as.text = (jinja_text){text, n, NULL};
    return make_const(p, first->line, v);
}

static jinja_node *parse_list(parser *p)
{
    jinja_node *n = make(p, NODE_LIST, p->token->line), *last = NULL;
    p->token++;
    while (n && !skip_op(p, "]")) {
        if (last && !expect_op(p, ","))
            return NULL;
        if (skip_op(p, "]"))
            break;
        if (!append(p, n, &last, parse_expression(p)))
            return NULL;
    }
    return n;
}

static jinja_node *parse_dict(parser *p)
{
    jinja_node *n = make(p, NODE_DICT, p->token->line), *last = NULL;
    p->token++;
    while (n && !skip_op(p, "}")) {
        if (last && !expect_op(p, ","))
            return NULL;
        if (skip_op(p, "}"))
            break;
        const uint32_t line = p->token->line;
        jinja_node *key = parse_expression(p);
        if (!key || !expect_op(p, ":"))
            return NULL;
        if (!append(p, n, &last, make2(p, NODE_PAIR, line, key, parse_expression(p))))
            return NULL;
    }
    return n;
}

static jinja_node *parse_primary(parser *p)
{
    const jinja_token *t = p->token;
    jinja_node *n = NULL;
    if (!deeper(p))
        return NULL;
    if (t->type == TOKEN_NAME) {
        n = parse_name(p);
    } else if (t->type == TOKEN_STRING) {
        n = parse_strings(p);
    } else if (t->type == TOKEN_INTEGER || t->type == TOKEN_FLOAT) {
        p->token++;
        n = make_const(p, t->line,
                       t->type == TOKEN_FLOAT ? jinja_float(t->number) : jinja_int(t->integer));
    } else if (at_op(p, "(")) {
        p->token++;
        n = parse_tuple(p, parse_expression, NULL, true);
        if (n && !expect_op(p, ")"))
            n = NULL;
    } else if (at_op(p, "[")) {
        n = parse_list(p);
    } else if (at_op(p, "{")) {
        n = parse_dict(p);
    } else {
        unexpected(p);
    }
    p->depth--;
    return n;
}

/* ---- calls, subscripts, filters, tests ---------------------------------------------------- */

static bool parse_argument(parser *p, jinja_node *call, jinja_node **last, bool *named)
{
    const jinja_token *t = p->token;
    jinja_node *a = NULL;
    if (skip_op(p, "**")) {
        a = make1(p, NODE_STAR2, t->line, parse_expression(p));
        *named = true;
    } else if (skip_op(p, "*")) {
        a = make1(p, NODE_STAR, t->line, parse_expression(p));
    } else if (t->type == TOKEN_NAME && t[1].type == TOKEN_OP && t[1].op[0] == '=' && !t[1].op[1]) {
        p->token += 2;
        a = make1(p, NODE_NAMED, t->line, parse_expression(p));
        if (a)
            a->text = t->text;
        *named = true;
    } else if (*named) {
        fail(p, t->line, "invalid syntax for function call expression", STR(""));
    } else {
        a = parse_expression(p);
    }
    return append(p, call, last, a);
}

/* "(" is the current token. */
static bool parse_arguments(parser *p, jinja_node *call)
{
    jinja_node *last = NULL;
    bool named = false;
    p->token++;
    while (!skip_op(p, ")")) {
        if (last && !expect_op(p, ","))
            return false;
        if (skip_op(p, ")"))
            break;
        if (!parse_argument(p, call, &last, &named))
            return false;
    }
    return true;
}

static jinja_node *parse_call(parser *p, jinja_node *callee)
{
    jinja_node *n = make1(p, NODE_CALL, p->token->line, callee);
    return n && parse_arguments(p, n) ? n : NULL;
}

static bool at_slice_end(const parser *p)
{
    return at_op(p, "]") || at_op(p, ",") || at_op(p, ":");
}

/* One subscript: an expression or a slice. */
static jinja_node *parse_subscribed(parser *p)
{
    const uint32_t line = p->token->line;
    jinja_node *bounds[3] = {NULL, NULL, NULL};
    if (!at_op(p, ":")) {
        bounds[0] = parse_expression(p);
        if (!bounds[0] || !at_op(p, ":"))
            return bounds[0];
    }
    jinja_node *n = make(p, NODE_SLICE, line);
    for (int i = 1; n && i < 3 && skip_op(p, ":"); i++)
        if (!at_slice_end(p) && !(bounds[i] = parse_expression(p)))
            return NULL;
    if (!n)
        return NULL;
    n->a = bounds[0];
    n->b = bounds[1];
    n->c = bounds[2];
    return adopt(p, n, n->a) && adopt(p, n, n->b) && adopt(p, n, n->c) ? n : NULL;
}

static jinja_node *parse_subscript(parser *p, jinja_node *of)
{
    const jinja_token *t = p->token++;
    if (t->op[0] == '.') {
        const jinja_token *name = p->token++;
        if (name->type == TOKEN_INTEGER)
            return make2(p, NODE_ITEM, t->line, of,
                         make_const(p, t->line, jinja_int(name->integer)));
        if (name->type != TOKEN_NAME) {
            p->token--;
            return fail(p, t->line, "expected name or number", STR(""));
        }
        jinja_node *n = make1(p, NODE_ATTRIBUTE, t->line, of);
        if (n)
            n->text = name->text;
        return n;
    }
    // Nothing between the brackets is the empty tuple, as a key that is never there.
    jinja_node *key = at_op(p, "]") ? make(p, NODE_TUPLE, t->line) : parse_subscribed(p);
    if (key && at_op(p, ",")) {
        jinja_node *tuple = make(p, NODE_TUPLE, t->line), *last = NULL;
        if (!tuple || !append(p, tuple, &last, key))
            return NULL;
        while (skip_op(p, ","))
            if (!append(p, tuple, &last, parse_subscribed(p)))
                return NULL;
        key = tuple;
    }
    jinja_node *n = make2(p, NODE_ITEM, t->line, of, key);
    return n && expect_op(p, "]") ? n : NULL;
}

static jinja_node *parse_postfix(parser *p, jinja_node *n)
{
    while (n) {
        if (at_op(p, ".") || at_op(p, "["))
            n = parse_subscript(p, n);
        else if (at_op(p, "("))
            n = parse_call(p, n);
        else
            break;
    }
    return n;
}

/* A filter's or test's name, which may have dots. */
static bool parse_dotted(parser *p, str *name)
{
    const jinja_token *first = p->token;
    if (first->type != TOKEN_NAME) {
        unexpected(p);
        return false;
    }
    *name = first->text;
    p->token++;
    while (at_op(p, ".") && p->token[1].type == TOKEN_NAME) {
        const str part = p->token[1].text;
        char *joined = arena_alloc(&p->t->memory, name->n + part.n + 1);
        if (!joined) {
            p->status = error_memory(p->err, part.n, "template");
            return false;
        }
        memcpy(joined, name->p, name->n);
        joined[name->n] = '.';
        memcpy(joined + name->n + 1, part.p, part.n);
        *name = (str){joined, name->n + part.n + 1};
        p->token += 2;
        if (name->n > 200)
            return fail(p, first->line, "a name is too long", STR("")) != NULL;
    }
    return true;
}

static void note_lack(parser *p, const jinja_node *n, const char *kind)
{
    if (n->builtin || p->soft || p->lack_line)
        return;
    p->lack_line = n->line;
    p->lack = n->text;
    p->lack_kind = kind;
}

/* The name of a filter on a; a may be NULL (filter blocks). */
static jinja_node *parse_filter(parser *p, jinja_node *a)
{
    jinja_node *n = make(p, NODE_FILTER, p->token->line);
    if (!n || !parse_dotted(p, &n->text))
        return NULL;
    n->a = a;
    n->builtin = jinja_filter_named(n->text);
    note_lack(p, n, "No filter named");
    if (!adopt(p, n, a) || (at_op(p, "(") && !parse_arguments(p, n)))
        return NULL;
    return n;
}

static bool at_test_argument(const parser *p)
{
    const uint8_t type = p->token->type;
    if (type == TOKEN_NAME)
        return !at_word(p, "else") && !at_word(p, "or") && !at_word(p, "and");
    return type == TOKEN_STRING || type == TOKEN_INTEGER || type == TOKEN_FLOAT || at_op(p, "(") ||
           at_op(p, "[") || at_op(p, "{");
}

static jinja_node *parse_test(parser *p, jinja_node *a)
{
    jinja_node *n = make1(p, NODE_TEST, p->token->line, a), *last = NULL;
    if (!n)
        return NULL;
    n->flags = skip_word(p, "not");
    if (!parse_dotted(p, &n->text))
        return NULL;
    n->builtin = jinja_test_named(n->text);
    note_lack(p, n, "No test named");
    if (at_op(p, "("))
        return parse_arguments(p, n) ? n : NULL;
    if (at_test_argument(p)) {
        if (at_word(p, "is"))
            return fail(p, n->line, "You cannot chain multiple tests with is", STR(""));
        jinja_node *argument = parse_primary(p);
        if (!append(p, n, &last, parse_postfix(p, argument)))
            return NULL;
    }
    return n;
}

static jinja_node *parse_filters(parser *p, jinja_node *n)
{
    while (n) {
        if (skip_op(p, "|"))
            n = parse_filter(p, n);
        else if (skip_word(p, "is"))
            n = parse_test(p, n);
        else if (at_op(p, "("))
            n = parse_call(p, n);
        else
            break;
    }
    return n;
}

/* ---- operators, from the tightest --------------------------------------------------------- */

static jinja_node *parse_unary(parser *p, bool filters)
{
    const uint32_t line = p->token->line;
    jinja_node *n = NULL;
    if (!deeper(p))
        return NULL;
    if (skip_op(p, "-"))
        n = make1(p, NODE_NEGATE, line, parse_unary(p, false));
    else if (skip_op(p, "+"))
        n = make1(p, NODE_PLUS, line, parse_unary(p, false));
    else
        n = parse_primary(p);
    n = parse_postfix(p, n);
    if (filters)
        n = parse_filters(p, n);
    p->depth--;
    return n;
}

static jinja_node *binary(parser *p, jinja_node *a, jinja_op op, rule *operand)
{
    const uint32_t line = p->token->line;
    p->token++;
    jinja_node *n = make2(p, NODE_BINARY, line, a, operand(p));
    if (n)
        n->op = (uint8_t)op;
    return n;
}

static jinja_node *parse_operand(parser *p)
{
    return parse_unary(p, true);
}

static jinja_node *parse_power(parser *p)
{
    jinja_node *n = parse_operand(p);
    while (n && at_op(p, "**"))
        n = binary(p, n, OP_POW, parse_operand);
    return n;
}

static jinja_node *parse_product(parser *p)
{
    jinja_node *n = parse_power(p);
    while (n) {
        if (at_op(p, "*"))
            n = binary(p, n, OP_MUL, parse_power);
        else if (at_op(p, "/"))
            n = binary(p, n, OP_DIV, parse_power);
        else if (at_op(p, "//"))
            n = binary(p, n, OP_FLOORDIV, parse_power);
        else if (at_op(p, "%"))
            n = binary(p, n, OP_MOD, parse_power);
        else
            break;
    }
    return n;
}

static jinja_node *parse_concat(parser *p)
{
    const uint32_t line = p->token->line;
    jinja_node *first = parse_product(p);
    if (!first || !at_op(p, "~"))
        return first;
    jinja_node *n = make(p, NODE_CONCAT, line), *last = NULL;
    if (!n || !append(p, n, &last, first))
        return NULL;
    while (skip_op(p, "~"))
        if (!append(p, n, &last, parse_product(p)))
            return NULL;
    return n;
}

static jinja_node *parse_sum(parser *p)
{
    jinja_node *n = parse_concat(p);
    while (n) {
        if (at_op(p, "+"))
            n = binary(p, n, OP_ADD, parse_concat);
        else if (at_op(p, "-"))
            n = binary(p, n, OP_SUB, parse_concat);
        else
            break;
    }
    return n;
}

static bool skip_comparison(parser *p, jinja_op *op)
{
    static const struct {
        char text[3];
        jinja_op op;
    } ops[] = {{"==", OP_EQ}, {"!=", OP_NE}, {"<", OP_LT},
               {"<=", OP_LE}, {">", OP_GT},  {">=", OP_GE}};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (skip_op(p, ops[i].text)) {
            *op = ops[i].op;
            return true;
        }
    if (skip_word(p, "in")) {
        *op = OP_IN;
        return true;
    }
    if (at_word(p, "not") && p->token[1].type == TOKEN_NAME &&
        str_equal(p->token[1].text, STR("in"))) {
        p->token += 2;
        *op = OP_NOT_IN;
        return true;
    }
    return false;
}

static jinja_node *parse_compare(parser *p)
{
    const uint32_t line = p->token->line;
    jinja_node *first = parse_sum(p), *n = NULL, *last = NULL;
    jinja_op op;
    while (first && skip_comparison(p, &op)) {
        if (!n && !(n = make1(p, NODE_COMPARE, line, first)))
            return NULL;
        jinja_node *operand = make1(p, NODE_OPERAND, line, parse_sum(p));
        if (!append(p, n, &last, operand))
            return NULL;
        operand->op = (uint8_t)op;
    }
    return n ? n : first;
}

static jinja_node *parse_not(parser *p)
{
    const uint32_t line = p->token->line;
    if (!skip_word(p, "not"))
        return parse_compare(p);
    if (!deeper(p))
        return NULL;
    jinja_node *n = make1(p, NODE_NOT, line, parse_not(p));
    p->depth--;
    return n;
}

static jinja_node *parse_and(parser *p)
{
    const uint32_t line = p->token->line;
    jinja_node *n = parse_not(p);
    while (n && skip_word(p, "and"))
        n = make2(p, NODE_AND, line, n, parse_not(p));
    return n;
}

static jinja_node *parse_or(parser *p)
{
    const uint32_t line = p->token->line;
    jinja_node *n = parse_and(p);
    while (n && skip_word(p, "or"))
        n = make2(p, NODE_OR, line, n, parse_and(p));
    return n;
}

static jinja_node *parse_expression(parser *p)
{
    const uint32_t line = p->token->line, lack_line = p->lack_line;
    if (!deeper(p))
        return NULL;
    jinja_node *n = parse_or(p);
    while (n && skip_word(p, "if")) {
        jinja_node *choice = make2(p, NODE_CHOICE, line, n, parse_or(p));
        if (choice && skip_word(p, "else")) {
            choice->c = parse_expression(p);
            if (!choice->c || !adopt(p, choice, choice->c))
                choice = NULL;
        }
        n = choice;
        p->lack_line = lack_line; // what it lacks is found out only if it is chosen
    }
    p->depth--;
    return n;
}

static bool at_tuple_end(const parser *p, const char *end_word)
{
    return p->token->type == TOKEN_PRINT_END || p->token->type == TOKEN_BLOCK_END || at_op(p, ")") ||
           (end_word && at_word(p, end_word));
}

/* One item, or a tuple where a comma stands. */
static jinja_node *parse_tuple(parser *p, rule *item, const char *end_word, bool parentheses)
{
    const uint32_t line = p->token->line;
    jinja_node *first = NULL, *tuple = NULL, *last = NULL;
    bool comma = false;
    while (!(comma || !first ? at_tuple_end(p, end_word) : true)) {
        jinja_node *n = item(p);
        if (!n)
            return NULL;
        if (!first) {
            first = n;
        } else {
            if (!tuple && (!(tuple = make(p, NODE_TUPLE, line)) || !append(p, tuple, &last, first)))
                return NULL;
            if (!append(p, tuple, &last, n))
                return NULL;
        }
        comma = skip_op(p, ",");
    }
    if (tuple || (first && !comma))
        return tuple ? tuple : first;
    if (!first && !parentheses)
        return fail(p, line, "expected an expression, got", token_text(p->token));
    tuple = make(p, NODE_TUPLE, line);
    return tuple && (!first || append(p, tuple, &last, first)) ? tuple : NULL;
}

/* ---- statements --------------------------------------------------------------------------- */

static jinja_node *parse_target_item(parser *p)
{
    const jinja_token *t = p->token;
    if (at_op(p, "(")) {
        if (!deeper(p))
            return NULL;
        p->token++;
        jinja_node *n = parse_tuple(p, parse_target_item, NULL, true);
        p->depth--;
        return n && expect_op(p, ")") ? n : NULL;
    }
    if (t->type != TOKEN_NAME)
        return unexpected(p);
    if (t[1].type == TOKEN_OP && t[1].op[0] == '.') {
        jinja_node *n = make(p, NODE_NAMESPACE, t->line);
        p->token += 2;
        if (p->token->type != TOKEN_NAME)
            return unexpected(p);
        if (n) {
            n->name = t->name;
            n->text = p->token++->text;
        }
        return n;
    }
    jinja_node *n = parse_name(p);
    if (n && n->kind != NODE_NAME)
        return fail(p, t->line, "can't assign to", t->text);
    return n;
}

static jinja_node *parse_body_of(parser *p, const char *end)
{
    const char *const ends[] = {end};
    jinja_node *body = parse_body(p, ends, 1);
    return body && ++p->token && expect_block_end(p) ? body : NULL;
}

/* A list of statements hangs on a node, so that an empty one is not NULL. */
static bool adopt_body(parser *p, jinja_node *n, jinja_node *body)
{
    n->body = body ? body->list : NULL;
    return body && adopt(p, n, body);
}

static jinja_node *parse_if(parser *p, uint32_t line)
{
    static const char *const ends[] = {"elif", "else", "endif"};
    jinja_node *n = make(p, NODE_IF, line), *last = NULL;
    const bool soft = p->soft;
    bool otherwise = false;
    p->soft = true;
    while (n) {
        jinja_node *branch = make(p, NODE_BRANCH, p->token->line);
        if (!branch)
            return NULL;
        if (!otherwise) {
            branch->a = parse_tuple(p, parse_or, NULL, false);
            if (!branch->a || !adopt(p, branch, branch->a))
                return NULL;
        }
        if (!expect_block_end(p) ||
            !adopt_body(p, branch, parse_body(p, otherwise ? ends + 2 : ends, otherwise ? 1 : 3)) ||
            !append(p, n, &last, branch))
            return NULL;
        otherwise = at_word(p, "else");
        if (at_word(p, "endif"))
            break;
        p->token++;
    }
    p->soft = soft;
    p->token++;
    return n && expect_block_end(p) ? n : NULL;
}

static jinja_node *parse_for(parser *p, uint32_t line)
{
    static const char *const ends[] = {"endfor", "else"};
    jinja_node *n = make(p, NODE_FOR, line);
    if (!n || !(n->a = parse_tuple(p, parse_target_item, "in", false)))
        return NULL;
    if (n->a->kind == NODE_NAMESPACE)
        return fail(p, line, "can't assign to", n->a->text);
    if (!skip_word(p, "in"))
        return unexpected(p);
    if (!(n->b = parse_tuple(p, parse_or, "recursive", false)) || !adopt(p, n, n->b))
        return NULL;
    const bool soft = p->soft;
    p->soft = false;
    if (skip_word(p, "if") && (!(n->c = parse_expression(p)) || !adopt(p, n, n->c)))
        return NULL;
    n->flags = skip_word(p, "recursive");
    p->in_loop++;
    if (!expect_block_end(p) || !adopt_body(p, n, parse_body(p, ends, 2)))
        return NULL;
    p->in_loop--;
    if (skip_word(p, "else")) {
        jinja_node *orelse = expect_block_end(p) ? parse_body(p, ends, 1) : NULL;
        if (!orelse || !adopt(p, n, orelse))
            return NULL;
        n->orelse = orelse->list;
    }
    p->soft = soft;
    p->token++;
    return expect_block_end(p) ? n : NULL;
}

static jinja_node *parse_set(parser *p, uint32_t line)
{
    jinja_node *target = parse_tuple(p, parse_target_item, NULL, false);
    if (target && skip_op(p, "=")) {
        jinja_node *n = make2(p, NODE_SET, line, target, parse_tuple(p, parse_expression, NULL, false));
        return n && expect_block_end(p) ? n : NULL;
    }
    jinja_node *n = make1(p, NODE_SET_BLOCK, line, target);
    if (!n)
        return NULL;
    if (target->kind == NODE_TUPLE)
        return unexpected(p);
    while (skip_op(p, "|"))
        if (!(n->b = parse_filter(p, n->b)))
            return NULL;
    const bool soft = p->soft;
    p->soft = false;
    if (!expect_block_end(p) || !adopt_body(p, n, parse_body_of(p, "endset")))
        return NULL;
    p->soft = soft;
    return n;
}

static jinja_node *parse_with(parser *p, uint32_t line)
{
    jinja_node *n = make(p, NODE_WITH, line), *last = NULL;
    while (n && p->token->type != TOKEN_BLOCK_END) {
        if (last && !expect_op(p, ","))
            return NULL;
        jinja_node *target = parse_target_item(p);
        if (!target || !expect_op(p, "=") ||
            !append(p, n, &last, make2(p, NODE_PAIR, line, target, parse_expression(p))))
            return NULL;
    }
    const bool soft = p->soft;
    p->soft = false;
    if (!n || !expect_block_end(p) || !adopt_body(p, n, parse_body_of(p, "endwith")))
        return NULL;
    p->soft = soft;
    return n;
}

/* (a, b=1) of a macro or call block. */
static bool parse_signature(parser *p, jinja_node *n)
{
    jinja_node *last = NULL;
    if (!expect_op(p, "("))
        return false;
    while (!skip_op(p, ")")) {
        if (last && !expect_op(p, ","))
            return false;
        if (skip_op(p, ")"))
            break;
        const jinja_token *t = p->token;
        if (t->type != TOKEN_NAME)
            return unexpected(p) != NULL;
        p->token++;
        jinja_node *parameter = make(p, NODE_PARAMETER, t->line);
        if (!parameter)
            return false;
        parameter->name = t->name;
        parameter->text = t->text;
        if (skip_op(p, "=")) {
            if (!(parameter->a = parse_expression(p)) || !adopt(p, parameter, parameter->a))
                return false;
        } else if (last && last->a) {
            return fail(p, t->line, "non-default argument follows default argument", STR("")) != NULL;
        }
        if (!append(p, n, &last, parameter))
            return false;
    }
    return true;
}

static bool parse_macro_body(parser *p, jinja_node *n, const char *end)
{
    if (p->n_macros == MAX_MACROS)
        return fail(p, n->line, "macros nested too deeply", STR("")) != NULL;
    const bool soft = p->soft;
    const int in_loop = p->in_loop;
    p->soft = false;
    p->in_loop = 0; // a macro is a function: no break out of it
    p->macros[p->n_macros++] = n;
    const bool good = expect_block_end(p) && adopt_body(p, n, parse_body_of(p, end));
    p->n_macros--;
    p->soft = soft;
    p->in_loop = in_loop;
    return good;
}

static jinja_node *parse_macro(parser *p, uint32_t line)
{
    jinja_node *n = make(p, NODE_MACRO, line);
    if (p->token->type != TOKEN_NAME)
        return unexpected(p);
    if (!n)
        return NULL;
    n->name = p->token->name;
    n->text = p->token++->text;
    return parse_signature(p, n) && parse_macro_body(p, n, "endmacro") ? n : NULL;
}

static jinja_node *parse_call_block(parser *p, uint32_t line)
{
    jinja_node *n = make(p, NODE_CALL_BLOCK, line);
    if (!n || (at_op(p, "(") && !parse_signature(p, n)))
        return NULL;
    n->text = STR("caller");
    n->a = parse_expression(p);
    if (!n->a || !adopt(p, n, n->a))
        return NULL;
    if (n->a->kind != NODE_CALL)
        return fail(p, line, "expected call", STR(""));
    return parse_macro_body(p, n, "endcall") ? n : NULL;
}

static jinja_node *parse_filter_block(parser *p, uint32_t line)
{
    jinja_node *n = make(p, NODE_FILTER_BLOCK, line);
    if (!n)
        return NULL;
    do {
        if (!(n->b = parse_filter(p, n->b)))
            return NULL;
    } while (skip_op(p, "|"));
    const bool soft = p->soft;
    p->soft = false;
    if (!adopt(p, n, n->b) || !expect_block_end(p) || !adopt_body(p, n, parse_body_of(p, "endfilter")))
        return NULL;
    p->soft = soft;
    return n;
}

/* generation marks the assistant's part for training: its body is all that counts here. */
static jinja_node *parse_generation(parser *p, uint32_t line)
{
    jinja_node *n = make(p, NODE_SCOPE, line);
    const bool soft = p->soft;
    p->soft = false;
    if (!n || !expect_block_end(p) || !adopt_body(p, n, parse_body_of(p, "endgeneration")))
        return NULL;
    p->soft = soft;
    return n;
}

/* Without inheritance a block is its body. */
static jinja_node *parse_block(parser *p, uint32_t line)
{
    jinja_node *n = make(p, NODE_SCOPE, line);
    const jinja_token *name = p->token;
    if (name->type != TOKEN_NAME)
        return unexpected(p);
    p->token++;
    skip_word(p, "scoped");
    static const char *const ends[] = {"endblock"};
    const bool soft = p->soft;
    p->soft = false;
    if (!n || !expect_block_end(p) || !adopt_body(p, n, parse_body(p, ends, 1)))
        return NULL;
    p->soft = soft;
    p->token++;
    if (p->token->type == TOKEN_NAME && str_equal(p->token->text, name->text))
        p->token++;
    return expect_block_end(p) ? n : NULL;
}

static jinja_node *parse_print(parser *p, uint32_t line)
{
    jinja_node *n = make(p, NODE_PRINT, line), *last = NULL;
    while (n && p->token->type != TOKEN_BLOCK_END) {
        if (last && !expect_op(p, ","))
            return NULL;
        if (!append(p, n, &last, parse_expression(p)))
            return NULL;
    }
    return n && expect_block_end(p) ? n : NULL;
}

static jinja_node *parse_jump(parser *p, uint32_t line, jinja_kind kind)
{
    if (!p->in_loop)
        return fail(p, line, "break or continue outside of a loop", STR(""));
    jinja_node *n = make(p, kind, line);
    return n && expect_block_end(p) ? n : NULL;
}

static jinja_node *parse_break(parser *p, uint32_t line)
{
    return parse_jump(p, line, NODE_BREAK);
}

static jinja_node *parse_continue(parser *p, uint32_t line)
{
    return parse_jump(p, line, NODE_CONTINUE);
}

/* The tag's name is the current token. */
static jinja_node *parse_statement(parser *p)
{
    static const struct {
        const char *tag;
        jinja_node *(*parse)(parser *p, uint32_t line); // NULL: known to Jinja, not to us
    } tags[] = {
        {"if", parse_if},         {"for", parse_for},         {"set", parse_set},
        {"macro", parse_macro},   {"call", parse_call_block}, {"filter", parse_filter_block},
        {"with", parse_with},     {"print", parse_print},     {"generation", parse_generation},
        {"block", parse_block},   {"break", parse_break},     {"continue", parse_continue},
        {"include", NULL},        {"import", NULL},           {"from", NULL},
        {"extends", NULL},        {"autoescape", NULL},
    };
    const jinja_token *t = p->token;
    if (t->type != TOKEN_NAME)
        return fail(p, t->line, "tag name expected", STR(""));
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (!str_equal(t->text, str_of(tags[i].tag)))
            continue;
        p->token++;
        return tags[i].parse ? tags[i].parse(p, t->line)
                             : fail(p, t->line, "a chat template cannot use the tag", t->text);
    }
    return fail(p, t->line, "unknown tag", t->text);
}

static bool at_end_tag(const parser *p, const char *const *ends, size_t n_ends)
{
    for (size_t i = 0; i < n_ends; i++)
        if (at_word(p, ends[i]))
            return true;
    return false;
}

static jinja_node *parse_piece(parser *p)
{
    const jinja_token *t = p->token++;
    if (t->type == TOKEN_DATA) {
        jinja_node *n = make(p, NODE_DATA, t->line);
        if (n) {
            n->value = jinja_literal("");
            n->value.as.text = (jinja_text){t->text.p, t->text.n, NULL};
        }
        return n;
    }
    if (t->type == TOKEN_BLOCK_BEGIN)
        return parse_statement(p);
    if (t->type != TOKEN_PRINT_BEGIN) {
        p->token--;
        return unexpected(p);
    }
    jinja_node *n = make(p, NODE_PRINT, t->line), *last = NULL;
    if (!n || !append(p, n, &last, parse_tuple(p, parse_expression, NULL, false)))
        return NULL;
    if (p->token->type != TOKEN_PRINT_END)
        return unexpected(p);
    p->token++;
    return n;
}

/* Statements up to one of the end tags, whose name is then the current token; without end tags, up
 * to the end of the template. Returns a node that holds them as its list. */
static jinja_node *parse_body(parser *p, const char *const *ends, size_t n_ends)
{
    jinja_node *body = make(p, NODE_SCOPE, p->token->line), *last = NULL;
    if (!body || !deeper(p))
        return NULL;
    for (;;) {
        if (p->token->type == TOKEN_END) {
            if (n_ends)
                return fail(p, p->token->line, "the template ends where this is missing:",
                            str_of(ends[n_ends - 1]));
            break;
        }
        if (p->token->type == TOKEN_BLOCK_BEGIN) {
            p->token++;
            if (at_end_tag(p, ends, n_ends))
                break;
            p->token--;
        }
        if (!append(p, body, &last, parse_piece(p)))
            return NULL;
    }
    p->depth--;
    return body;
}

ingle_status jinja_parse(chat_template *t, const jinja_tokens *tokens, ingle_error *err)
{
    parser p = {.t = t, .token = tokens->tokens, .err = err};
    t->names = tokens->names;
    t->n_names = tokens->n_names;
    const jinja_node *body = parse_body(&p, NULL, 0);
    if (body && p.lack_line)
        fail(&p, p.lack_line, p.lack_kind, p.lack);
    t->body = body ? body->list : NULL;
    return p.status;
}
