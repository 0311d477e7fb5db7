/* Expressions: tokens to a syntax tree in the template's arena, by recursive descent with a cap on
 * nesting. Owns Jinja's operators and their order; refuses unknown filters and tests, but only
 * outside of conditions, as Jinja does. */
#include "chat/jinja_parse.h"

static jinja_node *parse_unary(parser *p, bool filters);

void *parser_fail(parser *p, uint32_t line, const char *what, str name)
{
    if (p->status == INGLE_OK)
        p->status = error_set(p->err, INGLE_ERR_TEMPLATE, "line %u: %s%s%.*s%s", (unsigned)line, what,
                              name.n ? " '" : "", STR_ARG(name), name.n ? "'" : "");
    return NULL;
}

str parser_token_text(const jinja_token *t)
{
    static const str kinds[] = {{"text", 4},         {"{{", 2},        {"}}", 2}, {"{%", 2},
                                {"%}", 2},           {"", 0},          {"a string", 8},
                                {"a number", 8},     {"a number", 8},  {"", 0},
                                {"end of template", 15}};
    if (t->type == TOKEN_NAME)
        return t->text;
    return t->type == TOKEN_OP ? (str){t->op, t->op[1] ? 2 : 1} : kinds[t->type];
}

void *parser_unexpected(parser *p)
{
    return parser_fail(p, p->token->line, "unexpected", parser_token_text(p->token));
}

bool parser_at_op(const parser *p, const char *op)
{
    return p->token->type == TOKEN_OP && p->token->op[0] == op[0] && p->token->op[1] == op[1];
}

bool parser_at_word(const parser *p, const char *word)
{
    return p->token->type == TOKEN_NAME && str_equal(p->token->text, str_of(word));
}

bool parser_skip_op(parser *p, const char *op)
{
    const bool found = parser_at_op(p, op);
    p->token += found;
    return found;
}

bool parser_skip_word(parser *p, const char *word)
{
    const bool found = parser_at_word(p, word);
    p->token += found;
    return found;
}

bool parser_expect_op(parser *p, const char *op)
{
    if (parser_skip_op(p, op))
        return true;
    parser_unexpected(p);
    return false;
}

jinja_node *parser_make(parser *p, jinja_kind kind, uint32_t line)
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
bool parser_adopt(parser *p, jinja_node *parent, const jinja_node *child)
{
    if (child && child->depth >= parent->depth)
        parent->depth = (uint16_t)(child->depth + 1);
    if (parent->depth <= JINJA_MAX_NESTING)
        return true;
    parser_fail(p, parent->line, "nested too deeply", STR(""));
    return false;
}

/* Appends child to a list; *last is its last node. */
bool parser_append(parser *p, jinja_node *parent, jinja_node **last, jinja_node *child)
{
    if (!child)
        return false;
    if (*last)
        (*last)->next = child;
    else
        parent->list = child;
    *last = child;
    parent->n++;
    return parser_adopt(p, parent, child);
}

bool parser_deeper(parser *p)
{
    if (++p->depth <= JINJA_MAX_NESTING)
        return true;
    parser_fail(p, p->token->line, "nested too deeply", STR(""));
    return false;
}

jinja_node *parser_make1(parser *p, jinja_kind kind, uint32_t line, jinja_node *a)
{
    jinja_node *n = a ? parser_make(p, kind, line) : NULL;
    if (!n)
        return NULL;
    n->a = a;
    return parser_adopt(p, n, a) ? n : NULL;
}

jinja_node *parser_make2(parser *p, jinja_kind kind, uint32_t line, jinja_node *a, jinja_node *b)
{
    jinja_node *n = a && b ? parser_make1(p, kind, line, a) : NULL;
    if (!n)
        return NULL;
    n->b = b;
    return parser_adopt(p, n, b) ? n : NULL;
}

static jinja_node *make_const(parser *p, uint32_t line, jinja_value value)
{
    jinja_node *n = parser_make(p, NODE_CONST, line);
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

jinja_node *parser_name(parser *p)
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
    jinja_node *n = parser_make(p, NODE_NAME, t->line);
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
    jinja_node *n = parser_make(p, NODE_LIST, p->token->line), *last = NULL;
    p->token++;
    while (n && !parser_skip_op(p, "]")) {
        if (last && !parser_expect_op(p, ","))
            return NULL;
        if (parser_skip_op(p, "]"))
            break;
        if (!parser_append(p, n, &last, parser_expression(p)))
            return NULL;
    }
    return n;
}

static jinja_node *parse_dict(parser *p)
{
    jinja_node *n = parser_make(p, NODE_DICT, p->token->line), *last = NULL;
    p->token++;
    while (n && !parser_skip_op(p, "}")) {
        if (last && !parser_expect_op(p, ","))
            return NULL;
        if (parser_skip_op(p, "}"))
            break;
        const uint32_t line = p->token->line;
        jinja_node *key = parser_expression(p);
        if (!key || !parser_expect_op(p, ":"))
            return NULL;
        if (!parser_append(p, n, &last, parser_make2(p, NODE_PAIR, line, key, parser_expression(p))))
            return NULL;
    }
    return n;
}

static jinja_node *parse_primary(parser *p)
{
    const jinja_token *t = p->token;
    jinja_node *n = NULL;
    if (!parser_deeper(p))
        return NULL;
    if (t->type == TOKEN_NAME) {
        n = parser_name(p);
    } else if (t->type == TOKEN_STRING) {
        n = parse_strings(p);
    } else if (t->type == TOKEN_INTEGER || t->type == TOKEN_FLOAT) {
        p->token++;
        n = make_const(p, t->line,
                       t->type == TOKEN_FLOAT ? jinja_float(t->number) : jinja_int(t->integer));
    } else if (parser_at_op(p, "(")) {
        p->token++;
        n = parser_tuple(p, parser_expression, NULL, true);
        if (n && !parser_expect_op(p, ")"))
            n = NULL;
    } else if (parser_at_op(p, "[")) {
        n = parse_list(p);
    } else if (parser_at_op(p, "{")) {
        n = parse_dict(p);
    } else {
        parser_unexpected(p);
    }
    p->depth--;
    return n;
}

/* ---- calls, subscripts, filters, tests ---------------------------------------------------- */

static bool parse_argument(parser *p, jinja_node *call, jinja_node **last, bool *named)
{
    const jinja_token *t = p->token;
    jinja_node *a = NULL;
    if (parser_skip_op(p, "**")) {
        a = parser_make1(p, NODE_STAR2, t->line, parser_expression(p));
        *named = true;
    } else if (parser_skip_op(p, "*")) {
        a = parser_make1(p, NODE_STAR, t->line, parser_expression(p));
    } else if (t->type == TOKEN_NAME && t[1].type == TOKEN_OP && t[1].op[0] == '=' && !t[1].op[1]) {
        p->token += 2;
        a = parser_make1(p, NODE_NAMED, t->line, parser_expression(p));
        if (a)
            a->text = t->text;
        *named = true;
    } else if (*named) {
        parser_fail(p, t->line, "invalid syntax for function call expression", STR(""));
    } else {
        a = parser_expression(p);
    }
    return parser_append(p, call, last, a);
}

/* "(" is the current token. */
static bool parse_arguments(parser *p, jinja_node *call)
{
    jinja_node *last = NULL;
    bool named = false;
    p->token++;
    while (!parser_skip_op(p, ")")) {
        if (last && !parser_expect_op(p, ","))
            return false;
        if (parser_skip_op(p, ")"))
            break;
        if (!parse_argument(p, call, &last, &named))
            return false;
    }
    return true;
}

static jinja_node *parse_call(parser *p, jinja_node *callee)
{
    jinja_node *n = parser_make1(p, NODE_CALL, p->token->line, callee);
    return n && parse_arguments(p, n) ? n : NULL;
}

static bool at_slice_end(const parser *p)
{
    return parser_at_op(p, "]") || parser_at_op(p, ",") || parser_at_op(p, ":");
}

/* One subscript: an expression or a slice. */
static jinja_node *parse_subscribed(parser *p)
{
    const uint32_t line = p->token->line;
    jinja_node *bounds[3] = {NULL, NULL, NULL};
    if (!parser_at_op(p, ":")) {
        bounds[0] = parser_expression(p);
        if (!bounds[0] || !parser_at_op(p, ":"))
            return bounds[0];
    }
    jinja_node *n = parser_make(p, NODE_SLICE, line);
    for (int i = 1; n && i < 3 && parser_skip_op(p, ":"); i++)
        if (!at_slice_end(p) && !(bounds[i] = parser_expression(p)))
            return NULL;
    if (!n)
        return NULL;
    n->a = bounds[0];
    n->b = bounds[1];
    n->c = bounds[2];
    return parser_adopt(p, n, n->a) && parser_adopt(p, n, n->b) && parser_adopt(p, n, n->c) ? n : NULL;
}

static jinja_node *parse_subscript(parser *p, jinja_node *of)
{
    const jinja_token *t = p->token++;
    if (t->op[0] == '.') {
        const jinja_token *name = p->token++;
        if (name->type == TOKEN_INTEGER)
            return parser_make2(p, NODE_ITEM, t->line, of,
                         make_const(p, t->line, jinja_int(name->integer)));
        if (name->type != TOKEN_NAME) {
            p->token--;
            return parser_fail(p, t->line, "expected name or number", STR(""));
        }
        jinja_node *n = parser_make1(p, NODE_ATTRIBUTE, t->line, of);
        if (n)
            n->text = name->text;
        return n;
    }
    // Nothing between the brackets is the empty tuple, as a key that is never there.
    jinja_node *key = parser_at_op(p, "]") ? parser_make(p, NODE_TUPLE, t->line) : parse_subscribed(p);
    if (key && parser_at_op(p, ",")) {
        jinja_node *tuple = parser_make(p, NODE_TUPLE, t->line), *last = NULL;
        if (!tuple || !parser_append(p, tuple, &last, key))
            return NULL;
        while (parser_skip_op(p, ","))
            if (!parser_append(p, tuple, &last, parse_subscribed(p)))
                return NULL;
        key = tuple;
    }
    jinja_node *n = parser_make2(p, NODE_ITEM, t->line, of, key);
    return n && parser_expect_op(p, "]") ? n : NULL;
}

static jinja_node *parse_postfix(parser *p, jinja_node *n)
{
    while (n) {
        if (parser_at_op(p, ".") || parser_at_op(p, "["))
            n = parse_subscript(p, n);
        else if (parser_at_op(p, "("))
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
        parser_unexpected(p);
        return false;
    }
    *name = first->text;
    p->token++;
    while (parser_at_op(p, ".") && p->token[1].type == TOKEN_NAME) {
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
            return parser_fail(p, first->line, "a name is too long", STR("")) != NULL;
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
jinja_node *parser_filter(parser *p, jinja_node *a)
{
    jinja_node *n = parser_make(p, NODE_FILTER, p->token->line);
    if (!n || !parse_dotted(p, &n->text))
        return NULL;
    n->a = a;
    n->builtin = jinja_filter_named(n->text);
    note_lack(p, n, "No filter named");
    if (!parser_adopt(p, n, a) || (parser_at_op(p, "(") && !parse_arguments(p, n)))
        return NULL;
    return n;
}

static bool at_test_argument(const parser *p)
{
    const uint8_t type = p->token->type;
    if (type == TOKEN_NAME)
        return !parser_at_word(p, "else") && !parser_at_word(p, "or") && !parser_at_word(p, "and");
    return type == TOKEN_STRING || type == TOKEN_INTEGER || type == TOKEN_FLOAT || parser_at_op(p, "(") ||
           parser_at_op(p, "[") || parser_at_op(p, "{");
}

static jinja_node *parse_test(parser *p, jinja_node *a)
{
    jinja_node *n = parser_make1(p, NODE_TEST, p->token->line, a), *last = NULL;
    if (!n)
        return NULL;
    n->flags = parser_skip_word(p, "not");
    if (!parse_dotted(p, &n->text))
        return NULL;
    n->builtin = jinja_test_named(n->text);
    note_lack(p, n, "No test named");
    if (parser_at_op(p, "("))
        return parse_arguments(p, n) ? n : NULL;
    if (at_test_argument(p)) {
        if (parser_at_word(p, "is"))
            return parser_fail(p, n->line, "You cannot chain multiple tests with is", STR(""));
        jinja_node *argument = parse_primary(p);
        if (!parser_append(p, n, &last, parse_postfix(p, argument)))
            return NULL;
    }
    return n;
}

static jinja_node *parse_filters(parser *p, jinja_node *n)
{
    while (n) {
        if (parser_skip_op(p, "|"))
            n = parser_filter(p, n);
        else if (parser_skip_word(p, "is"))
            n = parse_test(p, n);
        else if (parser_at_op(p, "("))
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
    if (!parser_deeper(p))
        return NULL;
    if (parser_skip_op(p, "-"))
        n = parser_make1(p, NODE_NEGATE, line, parse_unary(p, false));
    else if (parser_skip_op(p, "+"))
        n = parser_make1(p, NODE_PLUS, line, parse_unary(p, false));
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
    jinja_node *n = parser_make2(p, NODE_BINARY, line, a, operand(p));
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
    while (n && parser_at_op(p, "**"))
        n = binary(p, n, OP_POW, parse_operand);
    return n;
}

static jinja_node *parse_product(parser *p)
{
    jinja_node *n = parse_power(p);
    while (n) {
        if (parser_at_op(p, "*"))
            n = binary(p, n, OP_MUL, parse_power);
        else if (parser_at_op(p, "/"))
            n = binary(p, n, OP_DIV, parse_power);
        else if (parser_at_op(p, "//"))
            n = binary(p, n, OP_FLOORDIV, parse_power);
        else if (parser_at_op(p, "%"))
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
    if (!first || !parser_at_op(p, "~"))
        return first;
    jinja_node *n = parser_make(p, NODE_CONCAT, line), *last = NULL;
    if (!n || !parser_append(p, n, &last, first))
        return NULL;
    while (parser_skip_op(p, "~"))
        if (!parser_append(p, n, &last, parse_product(p)))
            return NULL;
    return n;
}

static jinja_node *parse_sum(parser *p)
{
    jinja_node *n = parse_concat(p);
    while (n) {
        if (parser_at_op(p, "+"))
            n = binary(p, n, OP_ADD, parse_concat);
        else if (parser_at_op(p, "-"))
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
        if (parser_skip_op(p, ops[i].text)) {
            *op = ops[i].op;
            return true;
        }
    if (parser_skip_word(p, "in")) {
        *op = OP_IN;
        return true;
    }
    if (parser_at_word(p, "not") && p->token[1].type == TOKEN_NAME &&
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
        if (!n && !(n = parser_make1(p, NODE_COMPARE, line, first)))
            return NULL;
        jinja_node *operand = parser_make1(p, NODE_OPERAND, line, parse_sum(p));
        if (!parser_append(p, n, &last, operand))
            return NULL;
        operand->op = (uint8_t)op;
    }
    return n ? n : first;
}

static jinja_node *parse_not(parser *p)
{
    const uint32_t line = p->token->line;
    if (!parser_skip_word(p, "not"))
        return parse_compare(p);
    if (!parser_deeper(p))
        return NULL;
    jinja_node *n = parser_make1(p, NODE_NOT, line, parse_not(p));
    p->depth--;
    return n;
}

static jinja_node *parse_and(parser *p)
{
    const uint32_t line = p->token->line;
    jinja_node *n = parse_not(p);
    while (n && parser_skip_word(p, "and"))
        n = parser_make2(p, NODE_AND, line, n, parse_not(p));
    return n;
}

jinja_node *parser_or(parser *p)
{
    const uint32_t line = p->token->line;
    jinja_node *n = parse_and(p);
    while (n && parser_skip_word(p, "or"))
        n = parser_make2(p, NODE_OR, line, n, parse_and(p));
    return n;
}

jinja_node *parser_expression(parser *p)
{
    const uint32_t line = p->token->line, lack_line = p->lack_line;
    if (!parser_deeper(p))
        return NULL;
    jinja_node *n = parser_or(p);
    while (n && parser_skip_word(p, "if")) {
        jinja_node *choice = parser_make2(p, NODE_CHOICE, line, n, parser_or(p));
        if (choice && parser_skip_word(p, "else")) {
            choice->c = parser_expression(p);
            if (!choice->c || !parser_adopt(p, choice, choice->c))
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
    return p->token->type == TOKEN_PRINT_END || p->token->type == TOKEN_BLOCK_END || parser_at_op(p, ")") ||
           (end_word && parser_at_word(p, end_word));
}

/* One item, or a tuple where a comma stands. */
jinja_node *parser_tuple(parser *p, rule *item, const char *end_word, bool parentheses)
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
            if (!tuple && (!(tuple = parser_make(p, NODE_TUPLE, line)) || !parser_append(p, tuple, &last, first)))
                return NULL;
            if (!parser_append(p, tuple, &last, n))
                return NULL;
        }
        comma = parser_skip_op(p, ",");
    }
    if (tuple || (first && !comma))
        return tuple ? tuple : first;
    if (!first && !parentheses)
        return parser_fail(p, line, "expected an expression, got", parser_token_text(p->token));
    tuple = parser_make(p, NODE_TUPLE, line);
    return tuple && (!first || parser_append(p, tuple, &last, first)) ? tuple : NULL;
}
