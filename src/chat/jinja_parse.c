/* Statements: the tags of a template and the text between them. Owns the table of tags; refuses
 * those that would reach for another template. */
#include "chat/jinja_parse.h"

static jinja_node *parse_body(parser *p, const char *const *ends, size_t n_ends);

static bool expect_block_end(parser *p)
{
    if (p->token->type != TOKEN_BLOCK_END) {
        parser_unexpected(p);
        return false;
    }
    p->token++;
    return true;
}

static jinja_node *parse_target_item(parser *p)
{
    const jinja_token *t = p->token;
    if (parser_at_op(p, "(")) {
        if (!parser_deeper(p))
            return NULL;
        p->token++;
        jinja_node *n = parser_tuple(p, parse_target_item, NULL, true);
        p->depth--;
        return n && parser_expect_op(p, ")") ? n : NULL;
    }
    if (t->type != TOKEN_NAME)
        return parser_unexpected(p);
    if (t[1].type == TOKEN_OP && t[1].op[0] == '.') {
        jinja_node *n = parser_make(p, NODE_NAMESPACE, t->line);
        p->token += 2;
        if (p->token->type != TOKEN_NAME)
            return parser_unexpected(p);
        if (n) {
            n->name = t->name;
            n->text = p->token++->text;
        }
        return n;
    }
    jinja_node *n = parser_name(p);
    if (n && n->kind != NODE_NAME)
        return parser_fail(p, t->line, "can't assign to", t->text);
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
    return body && parser_adopt(p, n, body);
}

static jinja_node *parse_if(parser *p, uint32_t line)
{
    static const char *const ends[] = {"elif", "else", "endif"};
    jinja_node *n = parser_make(p, NODE_IF, line), *last = NULL;
    const bool soft = p->soft;
    bool otherwise = false;
    p->soft = true;
    while (n) {
        jinja_node *branch = parser_make(p, NODE_BRANCH, p->token->line);
        if (!branch)
            return NULL;
        if (!otherwise) {
            branch->a = parser_tuple(p, parser_or, NULL, false);
            if (!branch->a || !parser_adopt(p, branch, branch->a))
                return NULL;
        }
        if (!expect_block_end(p) ||
            !adopt_body(p, branch, parse_body(p, otherwise ? ends + 2 : ends, otherwise ? 1 : 3)) ||
            !parser_append(p, n, &last, branch))
            return NULL;
        otherwise = parser_at_word(p, "else");
        if (parser_at_word(p, "endif"))
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
    jinja_node *n = parser_make(p, NODE_FOR, line);
    if (!n || !(n->a = parser_tuple(p, parse_target_item, "in", false)))
        return NULL;
    if (n->a->kind == NODE_NAMESPACE)
        return parser_fail(p, line, "can't assign to", n->a->text);
    if (!parser_skip_word(p, "in"))
        return parser_unexpected(p);
    if (!(n->b = parser_tuple(p, parser_or, "recursive", false)) || !parser_adopt(p, n, n->b))
        return NULL;
    const bool soft = p->soft;
    p->soft = false;
    if (parser_skip_word(p, "if") && (!(n->c = parser_expression(p)) || !parser_adopt(p, n, n->c)))
        return NULL;
    n->flags = parser_skip_word(p, "recursive");
    p->in_loop++;
    if (!expect_block_end(p) || !adopt_body(p, n, parse_body(p, ends, 2)))
        return NULL;
    p->in_loop--;
    if (parser_skip_word(p, "else")) {
        jinja_node *orelse = expect_block_end(p) ? parse_body(p, ends, 1) : NULL;
        if (!orelse || !parser_adopt(p, n, orelse))
            return NULL;
        n->orelse = orelse->list;
    }
    p->soft = soft;
    p->token++;
    return expect_block_end(p) ? n : NULL;
}

static jinja_node *parse_set(parser *p, uint32_t line)
{
    jinja_node *target = parser_tuple(p, parse_target_item, NULL, false);
    if (target && parser_skip_op(p, "=")) {
        jinja_node *n = parser_make2(p, NODE_SET, line, target, parser_tuple(p, parser_expression, NULL, false));
        return n && expect_block_end(p) ? n : NULL;
    }
    jinja_node *n = parser_make1(p, NODE_SET_BLOCK, line, target);
    if (!n)
        return NULL;
    if (target->kind == NODE_TUPLE)
        return parser_unexpected(p);
    while (parser_skip_op(p, "|"))
        if (!(n->b = parser_filter(p, n->b)))
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
    jinja_node *n = parser_make(p, NODE_WITH, line), *last = NULL;
    while (n && p->token->type != TOKEN_BLOCK_END) {
        if (last && !parser_expect_op(p, ","))
            return NULL;
        jinja_node *target = parse_target_item(p);
        if (!target || !parser_expect_op(p, "=") ||
            !parser_append(p, n, &last, parser_make2(p, NODE_PAIR, line, target, parser_expression(p))))
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
    if (!parser_expect_op(p, "("))
        return false;
    while (!parser_skip_op(p, ")")) {
        if (last && !parser_expect_op(p, ","))
            return false;
        if (parser_skip_op(p, ")"))
            break;
        const jinja_token *t = p->token;
        if (t->type != TOKEN_NAME)
            return parser_unexpected(p) != NULL;
        p->token++;
        jinja_node *parameter = parser_make(p, NODE_PARAMETER, t->line);
        if (!parameter)
            return false;
        parameter->name = t->name;
        parameter->text = t->text;
        if (parser_skip_op(p, "=")) {
            if (!(parameter->a = parser_expression(p)) || !parser_adopt(p, parameter, parameter->a))
                return false;
        } else if (last && last->a) {
            return parser_fail(p, t->line, "non-default argument follows default argument", STR("")) != NULL;
        }
        if (!parser_append(p, n, &last, parameter))
            return false;
    }
    return true;
}

static bool parse_macro_body(parser *p, jinja_node *n, const char *end)
{
    if (p->n_macros == MAX_MACROS)
        return parser_fail(p, n->line, "macros nested too deeply", STR("")) != NULL;
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
    jinja_node *n = parser_make(p, NODE_MACRO, line);
    if (p->token->type != TOKEN_NAME)
        return parser_unexpected(p);
    if (!n)
        return NULL;
    n->name = p->token->name;
    n->text = p->token++->text;
    return parse_signature(p, n) && parse_macro_body(p, n, "endmacro") ? n : NULL;
}

static jinja_node *parse_call_block(parser *p, uint32_t line)
{
    jinja_node *n = parser_make(p, NODE_CALL_BLOCK, line);
    if (!n || (parser_at_op(p, "(") && !parse_signature(p, n)))
        return NULL;
    n->text = STR("caller");
    n->a = parser_expression(p);
    if (!n->a || !parser_adopt(p, n, n->a))
        return NULL;
    if (n->a->kind != NODE_CALL)
        return parser_fail(p, line, "expected call", STR(""));
    return parse_macro_body(p, n, "endcall") ? n : NULL;
}

static jinja_node *parse_filter_block(parser *p, uint32_t line)
{
    jinja_node *n = parser_make(p, NODE_FILTER_BLOCK, line);
    if (!n)
        return NULL;
    do {
        if (!(n->b = parser_filter(p, n->b)))
            return NULL;
    } while (parser_skip_op(p, "|"));
    const bool soft = p->soft;
    p->soft = false;
    if (!parser_adopt(p, n, n->b) || !expect_block_end(p) || !adopt_body(p, n, parse_body_of(p, "endfilter")))
        return NULL;
    p->soft = soft;
    return n;
}

/* generation marks the assistant's part for training: its body is all that counts here. */
static jinja_node *parse_generation(parser *p, uint32_t line)
{
    jinja_node *n = parser_make(p, NODE_SCOPE, line);
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
    jinja_node *n = parser_make(p, NODE_SCOPE, line);
    const jinja_token *name = p->token;
    if (name->type != TOKEN_NAME)
        return parser_unexpected(p);
    p->token++;
    parser_skip_word(p, "scoped");
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
    jinja_node *n = parser_make(p, NODE_PRINT, line), *last = NULL;
    while (n && p->token->type != TOKEN_BLOCK_END) {
        if (last && !parser_expect_op(p, ","))
            return NULL;
        if (!parser_append(p, n, &last, parser_expression(p)))
            return NULL;
    }
    return n && expect_block_end(p) ? n : NULL;
}

static jinja_node *parse_jump(parser *p, uint32_t line, jinja_kind kind)
{
    if (!p->in_loop)
        return parser_fail(p, line, "break or continue outside of a loop", STR(""));
    jinja_node *n = parser_make(p, kind, line);
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
        return parser_fail(p, t->line, "tag name expected", STR(""));
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (!str_equal(t->text, str_of(tags[i].tag)))
            continue;
        p->token++;
        return tags[i].parse ? tags[i].parse(p, t->line)
                             : parser_fail(p, t->line, "a chat template cannot use the tag", t->text);
    }
    return parser_fail(p, t->line, "unknown tag", t->text);
}

static bool at_end_tag(const parser *p, const char *const *ends, size_t n_ends)
{
    for (size_t i = 0; i < n_ends; i++)
        if (parser_at_word(p, ends[i]))
            return true;
    return false;
}

static jinja_node *parse_piece(parser *p)
{
    const jinja_token *t = p->token++;
    if (t->type == TOKEN_DATA) {
        jinja_node *n = parser_make(p, NODE_DATA, t->line);
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
        return parser_unexpected(p);
    }
    jinja_node *n = parser_make(p, NODE_PRINT, t->line), *last = NULL;
    if (!n || !parser_append(p, n, &last, parser_tuple(p, parser_expression, NULL, false)))
        return NULL;
    if (p->token->type != TOKEN_PRINT_END)
        return parser_unexpected(p);
    p->token++;
    return n;
}

/* Statements up to one of the end tags, whose name is then the current token; without end tags, up
 * to the end of the template. Returns a node that holds them as its list. */
static jinja_node *parse_body(parser *p, const char *const *ends, size_t n_ends)
{
    jinja_node *body = parser_make(p, NODE_SCOPE, p->token->line), *last = NULL;
    if (!body || !parser_deeper(p))
        return NULL;
    for (;;) {
        if (p->token->type == TOKEN_END) {
            if (n_ends)
                return parser_fail(p, p->token->line, "the template ends where this is missing:",
                            str_of(ends[n_ends - 1]));
            break;
        }
        if (p->token->type == TOKEN_BLOCK_BEGIN) {
            p->token++;
            if (at_end_tag(p, ends, n_ends))
                break;
            p->token--;
        }
        if (!parser_append(p, body, &last, parse_piece(p)))
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
        parser_fail(&p, p.lack_line, p.lack_kind, p.lack);
    t->body = body ? body->list : NULL;
    return p.status;
}
