/* The parser's two halves share this: its state, tokens, making nodes. Expressions are in
 * jinja_parse_expr.c, statements in jinja_parse.c. Functions that return a node or a flag give NULL
 * or false after parser_fail; the first failure stands. */
#ifndef INGLE_CHAT_JINJA_PARSE_H
#define INGLE_CHAT_JINJA_PARSE_H

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

/* Sets the error "line N: what 'name'"; returns NULL. */
void *parser_fail(parser *p, uint32_t line, const char *what, str name);
void *parser_unexpected(parser *p);
str parser_token_text(const jinja_token *t);

/* The current token: looking at it, and stepping over it if it is the one. */
bool parser_at_op(const parser *p, const char *op);
bool parser_at_word(const parser *p, const char *word);
bool parser_skip_op(parser *p, const char *op);
bool parser_skip_word(parser *p, const char *word);
bool parser_expect_op(parser *p, const char *op);

/* Nodes. parser_adopt notes a child, so that the height of the tree is capped; parser_append puts
 * one at the end of a list, whose last node *last is. */
jinja_node *parser_make(parser *p, jinja_kind kind, uint32_t line);
jinja_node *parser_make1(parser *p, jinja_kind kind, uint32_t line, jinja_node *a);
jinja_node *parser_make2(parser *p, jinja_kind kind, uint32_t line, jinja_node *a, jinja_node *b);
bool parser_adopt(parser *p, jinja_node *parent, const jinja_node *child);
bool parser_append(parser *p, jinja_node *parent, jinja_node **last, jinja_node *child);
bool parser_deeper(parser *p);

/* Expressions. parser_tuple reads one item, or a tuple where a comma stands; end_word may end it. */
jinja_node *parser_expression(parser *p);
jinja_node *parser_or(parser *p);
jinja_node *parser_name(parser *p);
jinja_node *parser_filter(parser *p, jinja_node *a);
jinja_node *parser_tuple(parser *p, rule *item, const char *end_word, bool parentheses);

#endif
