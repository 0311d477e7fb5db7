/* Tests: what may stand behind "is". */
#include "chat/jinja.h"

static bool answer(jinja_value *out, bool yes)
{
    *out = jinja_bool(yes);
    return true;
}

#define TYPE_TEST(name, condition)                                                 \
    static bool name(jinja_run *r, const jinja_call *c, jinja_value *out)          \
    {                                                                              \
        (void)r;                                                                   \
        const jinja_value *v = &c->self;                                           \
        return answer(out, condition);                                             \
    }

TYPE_TEST(is_defined, v->type != JINJA_UNDEFINED)
TYPE_TEST(is_undefined, v->type == JINJA_UNDEFINED)
TYPE_TEST(is_none, v->type == JINJA_NONE)
TYPE_TEST(is_boolean, v->type == JINJA_BOOL)
TYPE_TEST(is_true, v->type == JINJA_BOOL && v->as.truth)
TYPE_TEST(is_false, v->type == JINJA_BOOL && !v->as.truth)
TYPE_TEST(is_integer, v->type == JINJA_INT || v->type == JINJA_BIG)
TYPE_TEST(is_float, v->type == JINJA_FLOAT)
TYPE_TEST(is_number, jinja_is_number(v) || v->type == JINJA_BIG)
TYPE_TEST(is_string, v->type == JINJA_STRING)
TYPE_TEST(is_escaped, v->type == JINJA_STRING && v->markup)
TYPE_TEST(is_mapping, v->type == JINJA_DICT)
/* Has a length and items by number or key. Undefined has both, as Python's hooks for it do. */
TYPE_TEST(is_sequence, v->type == JINJA_STRING || v->type == JINJA_LIST || v->type == JINJA_TUPLE ||
                           v->type == JINJA_DICT || v->type == JINJA_RANGE ||
                           v->type == JINJA_UNDEFINED)
TYPE_TEST(is_iterable, v->type == JINJA_STRING || v->type == JINJA_LIST || v->type == JINJA_TUPLE ||
                           v->type == JINJA_DICT || v->type == JINJA_RANGE ||
                           v->type == JINJA_UNDEFINED || v->type == JINJA_ITERATOR ||
                           v->type == JINJA_VIEW || v->type == JINJA_LOOP)
TYPE_TEST(is_callable, v->type == JINJA_FUNCTION || v->type == JINJA_METHOD || v->type == JINJA_MACRO ||
                           v->type == JINJA_LOOP || v->type == JINJA_JOINER ||
                           v->type == JINJA_UNDEFINED)

static bool divisible(jinja_run *r, const jinja_value *v, const jinja_value *by, int64_t want,
                      jinja_value *out)
{
    jinja_value rest;
    bool same;
    const jinja_value wanted = jinja_int(want);
    if (!jinja_binary(r, OP_MOD, v, by, &rest) || !jinja_equal(r, &rest, &wanted, &same))
        return false;
    return answer(out, same);
}

static bool is_odd(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    const jinja_value two = jinja_int(2);
    return divisible(r, &c->self, &two, 1, out);
}

static bool is_even(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    const jinja_value two = jinja_int(2);
    return divisible(r, &c->self, &two, 0, out);
}

static bool is_divisibleby(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return divisible(r, &c->self, &c->v[0], 0, out);
}

static bool compare(jinja_run *r, const jinja_call *c, jinja_op op, jinja_value *out)
{
    bool result;
    if (!jinja_compare(r, op, &c->self, &c->v[0], &result))
        return false;
    return answer(out, result);
}

#define COMPARE_TEST(name, op)                                            \
    static bool name(jinja_run *r, const jinja_call *c, jinja_value *out) \
    {                                                                     \
        return compare(r, c, op, out);                                    \
    }

COMPARE_TEST(is_equal, OP_EQ)
COMPARE_TEST(is_unequal, OP_NE)
COMPARE_TEST(is_less, OP_LT)
COMPARE_TEST(is_less_equal, OP_LE)
COMPARE_TEST(is_greater, OP_GT)
COMPARE_TEST(is_greater_equal, OP_GE)
COMPARE_TEST(is_in, OP_IN)

/* Python's identity: for values without one of their own, equality of type and value. */
static bool is_sameas(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    const jinja_value *a = &c->self, *b = &c->v[0];
    bool same = a->type == b->type;
    if (same && (a->type == JINJA_LIST || a->type == JINJA_TUPLE || a->type == JINJA_ITERATOR))
        same = a->as.list == b->as.list;
    else if (same && (a->type == JINJA_DICT || a->type == JINJA_NAMESPACE))
        same = a->as.dict == b->as.dict;
    else if (same && !jinja_equal(r, a, b, &same))
        return false;
    return answer(out, same);
}

static bool cased(jinja_run *r, const jinja_call *c, const char *method, jinja_value *out)
{
    jinja_value text;
    const jinja_args none = {0};
    if (!jinja_to_text(r, &c->self, &text))
        return false;
    return jinja_call_builtin(r, jinja_string_method(str_of(method)), &text, &none, out);
}

static bool is_lower(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return cased(r, c, "islower", out);
}

static bool is_upper(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    return cased(r, c, "isupper", out);
}

static bool is_filter(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    (void)r;
    return answer(out, c->self.type == JINJA_STRING && jinja_filter_named(jinja_str(&c->self)) != NULL);
}

static bool is_test(jinja_run *r, const jinja_call *c, jinja_value *out)
{
    (void)r;
    return answer(out, c->self.type == JINJA_STRING && jinja_test_named(jinja_str(&c->self)) != NULL);
}

const jinja_builtin *jinja_test_named(str name)
{
    static const jinja_builtin rows[] = {
        {"defined", is_defined, "", 0},
        {"undefined", is_undefined, "", 0},
        {"none", is_none, "", 0},
        {"string", is_string, "", 0},
        {"mapping", is_mapping, "", 0},
        {"iterable", is_iterable, "", 0},
        {"sequence", is_sequence, "", 0},
        {"boolean", is_boolean, "", 0},
        {"true", is_true, "", 0},
        {"false", is_false, "", 0},
        {"integer", is_integer, "", 0},
        {"float", is_float, "", 0},
        {"number", is_number, "", 0},
        {"callable", is_callable, "", 0},
        {"escaped", is_escaped, "", 0},
        {"odd", is_odd, "", 0},
        {"even", is_even, "", 0},
        {"divisibleby", is_divisibleby, "num", 1},
        {"lower", is_lower, "", 0},
        {"upper", is_upper, "", 0},
        {"sameas", is_sameas, "other", 1},
        {"in", is_in, "seq", 1},
        {"filter", is_filter, "", 0},
        {"test", is_test, "", 0},
        {"==", is_equal, "/b", 1},
        {"eq", is_equal, "/b", 1},
        {"equalto", is_equal, "/b", 1},
        {"!=", is_unequal, "/b", 1},
        {"ne", is_unequal, "/b", 1},
        {"<", is_less, "/b", 1},
        {"lt", is_less, "/b", 1},
        {"lessthan", is_less, "/b", 1},
        {"<=", is_less_equal, "/b", 1},
        {"le", is_less_equal, "/b", 1},
        {">", is_greater, "/b", 1},
        {"gt", is_greater, "/b", 1},
        {"greaterthan", is_greater, "/b", 1},
        {">=", is_greater_equal, "/b", 1},
        {"ge", is_greater_equal, "/b", 1},
    };
    return jinja_row(rows, sizeof rows / sizeof *rows, name);
}
