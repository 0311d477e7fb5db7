/* The template engine's own types, shared by the files of src/chat: values, syntax tree, the run.
 *
 * Everything made while rendering lives in the run's arena and goes with it; nothing is freed
 * earlier. Functions that can fail return false after jinja_fail or jinja_no_memory filled the
 * error. Strings are UTF-8 always: the lexer and the JSON reader refuse anything else. */
#ifndef INGLE_CHAT_JINJA_H
#define INGLE_CHAT_JINJA_H

#include "base/error.h"
#include "chat/template.h"

/* Budgets. A template that passes one ends with ERR_TEMPLATE. docs/templates.md states them. */
enum {
    JINJA_MAX_SOURCE = 1 << 20,        // bytes of template
    JINJA_MAX_NESTING = 150,           // of the syntax tree
    JINJA_MAX_DEPTH = 500,             // of evaluation: the tree, macro calls, values in values
    JINJA_MAX_RANGE = 100000,          // items of range(), as jinja2's sandbox
    JINJA_MAX_STEPS = 1500000,         // evaluations, bytes / 64 and items moved
    JINJA_STEPS_PER_KIB = 4000,        // on top, for each KiB of context
    JINJA_MAX_OUTPUT = 32 << 20,       // bytes of text
    JINJA_MAX_MEMORY = 96 << 20,       // bytes of values; on top, 16 times the context
    JINJA_STACK = 2048,                // argument values kept on the run's stack
};

/* ---- values ------------------------------------------------------------------------------- */

typedef enum {
    JINJA_MISSING, // no value at all: an argument not given, a variable not set
    JINJA_UNDEFINED,
    JINJA_NONE,
    JINJA_BOOL,
    JINJA_INT,
    JINJA_BIG, // an integer beyond 64 bits that came from JSON: can be printed, not calculated with
    JINJA_FLOAT,
    JINJA_STRING,
    JINJA_LIST,
    JINJA_TUPLE,
    JINJA_DICT,
    JINJA_RANGE,
    JINJA_ITERATOR, // what Python's generators are: items that are handed out once
    JINJA_VIEW,     // dict.keys(), values(), items()
    JINJA_NAMESPACE,
    JINJA_FUNCTION,
    JINJA_METHOD,
    JINJA_MACRO,
    JINJA_LOOP,
    JINJA_CYCLER,
    JINJA_JOINER
} jinja_type;

typedef struct jinja_value jinja_value;
typedef struct jinja_list jinja_list;
typedef struct jinja_dict jinja_dict;
typedef struct jinja_method jinja_method;
typedef struct jinja_macro jinja_macro;
typedef struct jinja_loop jinja_loop;
typedef struct jinja_builtin jinja_builtin;
typedef struct jinja_node jinja_node;
typedef struct jinja_scope jinja_scope;
typedef struct jinja_run jinja_run;

typedef struct {
    int64_t start, stop, step, n; // n items; stop is as it was asked for
} jinja_range;

/* Text with the origin of each byte: marks [n] of 0 (template) or 1 (context), or NULL when all
 * bytes have the origin `user`. */
typedef struct {
    const char *p;
    size_t n;
    const uint8_t *marks;
} jinja_text;

struct jinja_value {
    uint8_t type;   // jinja_type
    bool user;      // STRING: origin of all bytes, where text.marks is NULL
    bool markup;    // STRING: what Python has as Markup: joins escape the other side
    uint8_t detail; // VIEW: jinja_view; UNDEFINED: jinja_lack; TUPLE: 1 for groupby's pairs
    union {
        bool truth;
        int64_t integer;
        double number;
        jinja_text text; // STRING, BIG (as written), UNDEFINED (the name that was looked for)
        jinja_list *list; // LIST, TUPLE, ITERATOR
        jinja_dict *dict; // DICT, VIEW, NAMESPACE
        jinja_range *range;
        const jinja_builtin *function;
        jinja_method *method;
        jinja_macro *macro;
        jinja_loop *loop;
    } as;
};

typedef enum { JINJA_KEYS, JINJA_VALUES, JINJA_ITEMS } jinja_view;

/* What an undefined value is short of; LACK_OF + the type of the object that lacks the name. */
enum { JINJA_LACK_NAME, JINJA_LACK_ARGUMENT, JINJA_LACK_SAID, JINJA_LACK_OF };

struct jinja_list {
    jinja_value *items; // [n]
    size_t n, capacity;
    size_t next;      // ITERATOR: how many are handed out; CYCLER, JOINER: the state
    const char *name; // ITERATOR: what Python calls it
};

typedef struct {
    jinja_value key, value;
    uint32_t hash;
} jinja_pair;

struct jinja_dict {
    jinja_pair *pairs; // [n], in order of insertion
    size_t n, capacity;
    uint32_t *slots; // [n_slots] 1 + index into pairs, 0 = free; NULL until the dict is large
    size_t n_slots;
};

struct jinja_method {
    const jinja_builtin *what;
    jinja_value self;
};

struct jinja_macro {
    const jinja_node *node; // MACRO or CALL_BLOCK
    jinja_scope *scope;     // where it was defined
};

/* ---- syntax tree -------------------------------------------------------------------------- */

typedef enum {
    NODE_CONST,     // value
    NODE_NAME,      // name
    NODE_LIST,      // list
    NODE_TUPLE,     // list
    NODE_DICT,      // list of PAIR
    NODE_PAIR,      // a: b
    NODE_ATTRIBUTE, // a.text
    NODE_ITEM,      // a[b]
    NODE_SLICE,     // a:b:c, each may be NULL; stands in an ITEM
    NODE_CALL,      // a(list)
    NODE_FILTER,    // a|builtin(list); a NULL within a filter block
    NODE_TEST,      // a is builtin(list)
    NODE_NAMED,     // text=a in an argument list
    NODE_STAR,      // *a in an argument list
    NODE_STAR2,     // **a in an argument list
    NODE_NOT,
    NODE_NEGATE,
    NODE_PLUS,
    NODE_AND,
    NODE_OR,
    NODE_BINARY,  // a op b
    NODE_CONCAT,  // list joined by ~
    NODE_COMPARE, // a, then list of OPERAND
    NODE_OPERAND, // op a
    NODE_CHOICE,  // a if b else c; c may be NULL

    NODE_DATA,       // value
    NODE_PRINT,      // list of expressions
    NODE_IF,         // list of BRANCH
    NODE_BRANCH,     // a: body; a NULL is else
    NODE_FOR,        // for a in b if c: body, orelse; flag: recursive
    NODE_SET,        // a = b
    NODE_SET_BLOCK,  // a = body through the filters b
    NODE_NAMESPACE,  // name.text as a target
    NODE_WITH,       // list of PAIR (target, value): body
    NODE_MACRO,      // name, list of PARAMETER: body
    NODE_PARAMETER,  // name = a; a may be NULL
    NODE_CALL_BLOCK, // a is the CALL; list of PARAMETER: body
    NODE_FILTER_BLOCK, // b the filters: body
    NODE_SCOPE,        // body with names of its own (block, generation)
    NODE_BREAK,
    NODE_CONTINUE
} jinja_kind;

typedef enum {
    OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_FLOORDIV, OP_MOD, OP_POW,
    OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_IN, OP_NOT_IN
} jinja_op;

enum { MACRO_CALLER = 1, MACRO_KWARGS = 2, MACRO_VARARGS = 4 }; // names its body reads

struct jinja_node {
    uint8_t kind;   // jinja_kind
    uint8_t op;     // jinja_op
    uint8_t flags;  // MACRO, CALL_BLOCK: MACRO_*; FOR: recursive; TEST: negated
    uint16_t depth; // 1 + that of the deepest child
    uint32_t line;
    uint32_t name;  // index into the template's names
    uint32_t n;     // items of list
    str text;       // attribute, keyword, filter or test name
    const jinja_builtin *builtin; // FILTER, TEST: NULL if there is none of that name
    jinja_value value;
    jinja_node *a, *b, *c;
    jinja_node *list, *body, *orelse; // linked by next
    jinja_node *next;
};

struct chat_template {
    arena memory;
    const jinja_node *body;
    const str *names; // [n_names]
    uint32_t n_names;
    size_t n_source;
};

/* ---- tokens ------------------------------------------------------------------------------- */

typedef enum {
    TOKEN_DATA, TOKEN_PRINT_BEGIN, TOKEN_PRINT_END, TOKEN_BLOCK_BEGIN, TOKEN_BLOCK_END,
    TOKEN_NAME, TOKEN_STRING, TOKEN_INTEGER, TOKEN_FLOAT, TOKEN_OP, TOKEN_END
} jinja_token_type;

typedef struct {
    uint8_t type; // jinja_token_type
    char op[2];   // TOKEN_OP: its one or two characters
    uint32_t line;
    uint32_t name;  // NAME: its index
    str text;       // DATA, NAME; STRING: unescaped
    int64_t integer;
    double number;
} jinja_token;

typedef struct {
    jinja_token *tokens; // [n], the last is TOKEN_END; free with the allocator
    size_t n, capacity;
    str *names; // [n_names], in the template's arena
    uint32_t n_names;
} jinja_tokens;

typedef struct {
    bool trim_blocks, lstrip_blocks; // as Transformers sets them: both
} jinja_options;

ingle_status jinja_lex(jinja_tokens *out, str source, const jinja_options *opt, arena *memory,
                       ingle_error *err);
ingle_status jinja_parse(chat_template *t, const jinja_tokens *tokens, ingle_error *err);

/* chat_template_open with other whitespace options, for comparing with a plain jinja2. */
ingle_status jinja_open(chat_template **out, str source, const jinja_options *opt,
                        const ingle_allocator *a, ingle_error *err);

/* ---- the run ------------------------------------------------------------------------------ */

typedef struct {
    char *p;
    uint8_t *marks;
    size_t n, capacity;
} jinja_buffer;

typedef struct {
    uint32_t name;
    jinja_value value;
} jinja_variable;

struct jinja_scope {
    jinja_scope *parent; // NULL: the names of the whole template
    jinja_variable *variables;
    size_t n, capacity;
};

/* A text that was made by joining and still has room behind it, so that `x = x + y` in a loop
 * moves y only. */
typedef struct {
    char *p;
    uint8_t *marks;
    size_t n, capacity;
} jinja_tail;

struct jinja_run {
    const chat_template *t;
    arena memory;
    ingle_error *err;
    ingle_status status;
    const chat_time *now;
    int64_t steps;          // left
    uint32_t line;          // of the node at work
    int depth;
    jinja_value *context;   // [n_names] the context's and the global names' values
    jinja_value *top;       // [n_names] names set at the template's top level
    jinja_value *stack;     // [JINJA_STACK] arguments
    size_t n_stack;
    jinja_tail tails[4];
    size_t next_tail;
};

/* Arguments as given. */
typedef struct {
    str name;
    jinja_value value;
} jinja_named;

typedef struct {
    jinja_value *items; // [n]
    size_t n;
    jinja_named *named; // [n_named]
    size_t n_named;
} jinja_args;

/* All but the first n positional arguments. */
static inline jinja_args jinja_args_after(const jinja_args *args, size_t n)
{
    const bool more = args->n > n; // else items may be NULL, which must not be counted from
    return (jinja_args){more ? args->items + n : NULL, more ? args->n - n : 0, args->named, args->n_named};
}

/* A call of a builtin: v[i] is the i-th of its parameters, or MISSING; rest is what its "*" takes. */
typedef struct {
    jinja_value self; // methods: the object; filters and tests: the value
    jinja_value *v;
    jinja_args rest;
} jinja_call;

/* params: names separated by spaces; a leading "/" means they cannot be given by name (as in most
 * of Python's string methods), a trailing "*" that more may follow. The first `required` must be
 * given. For filters and tests the value on the left is self, not a parameter. */
struct jinja_builtin {
    const char *name;
    bool (*run)(jinja_run *r, const jinja_call *call, jinja_value *out);
    const char *params;
    uint8_t required;
};

enum { JINJA_MAX_PARAMS = 8 };

/* Sets the error to "line N: ..." and returns false. */
bool jinja_fail(jinja_run *r, const char *fmt, ...) INGLE_PRINTF(2, 3);
bool jinja_fail_undefined(jinja_run *r, const jinja_value *v);
bool jinja_no_memory(jinja_run *r, size_t bytes);
bool jinja_spend(jinja_run *r, size_t steps); // false when the budget is used up
void *jinja_alloc(jinja_run *r, size_t n, size_t size); // not cleared; NULL after an error
bool jinja_enter(jinja_run *r); // one level deeper; pair with r->depth--

/* ---- values: jinja_value.c ---------------------------------------------------------------- */

jinja_value jinja_none(void);
jinja_value jinja_bool(bool b);
jinja_value jinja_int(int64_t i);
jinja_value jinja_float(double d);
jinja_value jinja_literal(const char *text); // borrowed, the template's own
jinja_value jinja_undefined(str name, unsigned lack);
jinja_value jinja_part(const jinja_value *text, size_t start, size_t n); // bytes of a string
str jinja_str(const jinja_value *text);
bool jinja_has_user(const jinja_value *text); // some byte came from the context
const char *jinja_type_name(const jinja_value *v); // as Python's: "str", "dict"
bool jinja_is_number(const jinja_value *v);   // int, bool or float
double jinja_number(const jinja_value *v);

bool jinja_list_new(jinja_run *r, jinja_type type, size_t capacity, jinja_value *out);
bool jinja_list_add(jinja_run *r, jinja_list *list, const jinja_value *v);
bool jinja_dict_new(jinja_run *r, jinja_type type, jinja_value *out);
bool jinja_dict_set(jinja_run *r, jinja_dict *d, const jinja_value *key, const jinja_value *v);
bool jinja_dict_add(jinja_run *r, jinja_dict *d, const jinja_value *key, const jinja_value *v);
/* *out is a place within d, or NULL; false for a key that Python cannot hash. */
bool jinja_dict_find(jinja_run *r, jinja_dict *d, const jinja_value *key, jinja_pair **out);
bool jinja_dict_get(jinja_run *r, jinja_dict *d, str key, jinja_pair **out);
void jinja_dict_remove(jinja_dict *d, jinja_pair *pair);

bool jinja_truth(const jinja_value *v);
bool jinja_equal(jinja_run *r, const jinja_value *a, const jinja_value *b, bool *out);
/* -1, 0, 1, or 2 where a NaN is in the way; fails for types without an order. */
bool jinja_order(jinja_run *r, const jinja_value *a, const jinja_value *b, int *out);
bool jinja_contains(jinja_run *r, const jinja_value *container, const jinja_value *item, bool *out);
bool jinja_length(jinja_run *r, const jinja_value *v, int64_t *out);
bool jinja_from_json(jinja_run *r, const json *source, bool user, jinja_value *out);

/* Walks what Python can iterate over. */
typedef struct {
    jinja_value over;
    size_t at; // item, or byte of a string
} jinja_walk;
bool jinja_walk_start(jinja_run *r, const jinja_value *v, jinja_walk *w);
bool jinja_walk_next(jinja_run *r, jinja_walk *w, jinja_value *out, bool *more);
bool jinja_to_list(jinja_run *r, const jinja_value *v, jinja_value *out); // a fresh list

/* ---- text: jinja_text.c ------------------------------------------------------------------- */

bool jinja_add(jinja_run *r, jinja_buffer *b, const char *p, size_t n, bool user);
bool jinja_add_text(jinja_run *r, jinja_buffer *b, const jinja_value *text);
bool jinja_add_part(jinja_run *r, jinja_buffer *b, const jinja_value *text, size_t at, size_t n);
bool jinja_add_code(jinja_run *r, jinja_buffer *b, uint32_t code, bool user);
jinja_value jinja_take(const jinja_buffer *b); // a string of it; b is done with
bool jinja_mark_at(const jinja_value *text, size_t i);

bool jinja_add_value(jinja_run *r, jinja_buffer *b, const jinja_value *v); // Python's str()
bool jinja_add_repr(jinja_run *r, jinja_buffer *b, const jinja_value *v);
bool jinja_to_text(jinja_run *r, const jinja_value *v, jinja_value *out); // str() as a string
bool jinja_escape(jinja_run *r, const jinja_value *text, jinja_value *out); // HTML, gives markup
bool jinja_concat(jinja_run *r, const jinja_value *a, const jinja_value *b, jinja_value *out);

size_t jinja_count(str s);                  // code points
size_t jinja_offset(str s, size_t code);    // byte of the code-th character; s.n beyond the end
bool jinja_is_space(uint32_t code);         // str.isspace
uint32_t jinja_lower(uint32_t code);
uint32_t jinja_upper(uint32_t code);
bool jinja_is_alpha(uint32_t code);
bool jinja_is_digit(uint32_t code);
size_t jinja_find(str s, str what, size_t from); // byte; SIZE_MAX if absent; linear time
size_t jinja_find_last(str s, str what);

/* ---- operators: jinja_ops.c, formatting: jinja_format.c ----------------------------------- */

bool jinja_binary(jinja_run *r, jinja_op op, const jinja_value *a, const jinja_value *b,
                  jinja_value *out);
bool jinja_compare(jinja_run *r, jinja_op op, const jinja_value *a, const jinja_value *b, bool *out);
bool jinja_negate(jinja_run *r, const jinja_value *v, bool plus, jinja_value *out);
bool jinja_slice(jinja_run *r, const jinja_value *v, const jinja_value bounds[3], jinja_value *out);
bool jinja_item(jinja_run *r, const jinja_value *v, const jinja_value *key, jinja_value *out);
bool jinja_attribute(jinja_run *r, const jinja_value *v, str name, jinja_value *out);

bool jinja_percent(jinja_run *r, const jinja_value *format, const jinja_value *values,
                   jinja_value *out);
bool jinja_format_method(jinja_run *r, const jinja_call *c, jinja_value *out);
bool jinja_tojson(jinja_run *r, const jinja_call *c, jinja_value *out); // jinja_tojson.c
bool jinja_strftime(jinja_run *r, const jinja_value *format, jinja_value *out);

/* ---- evaluation: jinja_eval.c, jinja_exec.c ----------------------------------------------- */

typedef enum { JINJA_FLOW_ON, JINJA_FLOW_BREAK, JINJA_FLOW_CONTINUE } jinja_flow;

bool jinja_eval(jinja_run *r, jinja_scope *s, const jinja_node *n, jinja_value *out);
bool jinja_arguments(jinja_run *r, jinja_scope *s, const jinja_node *list, jinja_args *out);
bool jinja_call_value(jinja_run *r, const jinja_value *f, const jinja_args *args, jinja_value *out);
bool jinja_call_builtin(jinja_run *r, const jinja_builtin *f, const jinja_value *self,
                        const jinja_args *args, jinja_value *out);
bool jinja_filter_through(jinja_run *r, jinja_scope *s, const jinja_node *filters,
                          const jinja_value *v, jinja_value *out);
jinja_value *jinja_push(jinja_run *r, size_t n); // argument room; r->n_stack is restored after

bool jinja_exec(jinja_run *r, jinja_scope *s, const jinja_node *body, jinja_buffer *out,
                jinja_flow *flow);
bool jinja_set(jinja_run *r, jinja_scope *s, uint32_t name, const jinja_value *v);
bool jinja_call_macro(jinja_run *r, const jinja_macro *m, const jinja_args *args, jinja_value *out);
bool jinja_call_loop(jinja_run *r, jinja_loop *loop, const jinja_args *args, jinja_value *out);
bool jinja_loop_attribute(jinja_run *r, jinja_loop *loop, str name, jinja_value *out);
size_t jinja_loop_length(const jinja_loop *loop);
bool jinja_macro_attribute(jinja_run *r, const jinja_macro *m, str name, jinja_value *out);

/* ---- tables: one row an entry, NULL where there is none of that name ----------------------- */

const jinja_builtin *jinja_filter_named(str name);   // jinja_filters.c, jinja_sequences.c
const jinja_builtin *jinja_sequence_filter(str name);
const jinja_builtin *jinja_test_named(str name);     // jinja_tests.c
const jinja_builtin *jinja_global_named(str name);   // jinja_globals.c
const jinja_builtin *jinja_method_named(const jinja_value *v, str name); // jinja_methods.c
const jinja_builtin *jinja_string_method(str name);  // jinja_strings.c
uint32_t jinja_name_number(const chat_template *t, str name); // UINT32_MAX: not in the template
const jinja_builtin *jinja_row(const jinja_builtin *rows, size_t n, str name);

/* Filters that are methods too, and the other way round. */
bool jinja_strip(jinja_run *r, const jinja_value *text, const jinja_value *chars, int sides,
                 jinja_value *out); // sides: 1 left, 2 right
bool jinja_replace(jinja_run *r, const jinja_value *text, const jinja_value *from,
                   const jinja_value *to, int64_t count, jinja_value *out);
bool jinja_case(jinja_run *r, const jinja_value *text, bool upper, jinja_value *out);
bool jinja_split_lines(jinja_run *r, const jinja_value *text, bool keep, jinja_value *out);
bool jinja_center(jinja_run *r, const jinja_value *text, int64_t width, const jinja_value *fill,
                  int side, jinja_value *out); // side: -1 text left, 0 centre, 1 right

/* Arguments: a MISSING one takes the default; a wrong type fails. */
bool jinja_want_int(jinja_run *r, const jinja_value *v, int64_t otherwise, int64_t *out);
bool jinja_want_text(jinja_run *r, const jinja_value *v, const char *what);

#endif
