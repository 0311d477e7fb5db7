/* Operators, subscripts and attributes, with Python's meaning. Integers have 64 bits: where Python
 * would go on, the result is refused. */
#include <math.h>

#include "chat/jinja.h"

static const char *const op_names[] = {"+",  "-", "*",  "/", "//", "%",  "** or pow()", "==",
                                       "!=", "<", "<=", ">", ">=", "in", "not in"};

static bool no_operator(jinja_run *r, jinja_op op, const jinja_value *a, const jinja_value *b)
{
    if (a->type == JINJA_UNDEFINED || b->type == JINJA_UNDEFINED)
        return jinja_fail_undefined(r, a->type == JINJA_UNDEFINED ? a : b);
    if (a->type == JINJA_BIG || b->type == JINJA_BIG)
        return jinja_fail(r, "an integer beyond 64 bits cannot be calculated with");
    if (op == OP_ADD && (a->type == JINJA_STRING || a->type == JINJA_LIST || a->type == JINJA_TUPLE))
        return jinja_fail(r, "can only concatenate %s (not \"%s\") to %s", jinja_type_name(a),
                          jinja_type_name(b), jinja_type_name(a));
    return jinja_fail(r, "unsupported operand type(s) for %s: '%s' and '%s'", op_names[op],
                      jinja_type_name(a), jinja_type_name(b));
}

/* ---- numbers ------------------------------------------------------------------------------ */

static bool overflow(jinja_run *r)
{
    return jinja_fail(r, "an integer beyond 64 bits");
}

static bool add_int(int64_t a, int64_t b, int64_t *out)
{
    if (b > 0 ? a > INT64_MAX - b : a < INT64_MIN - b)
        return false;
    *out = a + b;
    return true;
}

static bool mul_int(int64_t a, int64_t b, int64_t *out)
{
    const uint64_t x = a < 0 ? 0 - (uint64_t)a : (uint64_t)a, y = b < 0 ? 0 - (uint64_t)b : (uint64_t)b;
    const bool minus = (a < 0) != (b < 0);
    uint64_t z;
    if (!u64_mul(x, y, &z) || z > (uint64_t)INT64_MAX + minus)
        return false;
    *out = minus ? (int64_t)(0 - z) : (int64_t)z;
    return true;
}

static bool pow_int(int64_t base, int64_t exponent, int64_t *out)
{
    int64_t result = 1;
    while (exponent > 0) {
        if ((exponent & 1) && !mul_int(result, base, &result))
            return false;
        exponent >>= 1;
        if (exponent > 0 && !mul_int(base, base, &base))
            return false;
    }
    *out = result;
    return true;
}

static int64_t as_int(const jinja_value *v)
{
    return v->type == JINJA_BOOL ? v->as.truth : v->as.integer;
}

static bool binary_float(jinja_run *r, jinja_op op, double a, double b, jinja_value *out)
{
    double d = 0;
    if (b == 0 && (op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD))
        return jinja_fail(r, "float division by zero");
    switch (op) {
    case OP_ADD: d = a + b; break;
    case OP_SUB: d = a - b; break;
    case OP_MUL: d = a * b; break;
    case OP_DIV: d = a / b; break;
    case OP_POW:
        d = pow(a, b);
        if ((isnan(d) && !isnan(a) && !isnan(b)) || (isinf(d) && !isinf(a) && !isinf(b)))
            return jinja_fail(r, "the power has no real value that fits");
        break;
    default: { // Python: the remainder has the divisor's sign, a = (a // b) * b + a % b
        double mod = fmod(a, b), div = (a - mod) / b;
        if (mod < 0 || mod > 0) {
            if ((b < 0) != (mod < 0)) {
                mod += b;
                div -= 1;
            }
        } else {
            mod = copysign(0, b);
        }
        double whole = floor(div);
        whole += div - whole > 0.5;
        d = op == OP_MOD ? mod : (div < 0 || div > 0) ? whole : copysign(0, a / b);
        break;
    }
    }
    *out = jinja_float(d);
    return true;
}

static bool binary_int(jinja_run *r, jinja_op op, int64_t a, int64_t b, jinja_value *out)
{
    int64_t i = 0;
    bool good = true;
    switch (op) {
    case OP_ADD: good = add_int(a, b, &i); break;
    case OP_SUB: good = b == INT64_MIN ? a < 0 : add_int(a, -b, &i);
        if (b == INT64_MIN && good)
            i = (int64_t)((uint64_t)a - (uint64_t)b);
        break;
    case OP_MUL: good = mul_int(a, b, &i); break;
    case OP_POW:
        if (b < 0) {
            if (a == 0)
                return jinja_fail(r, "0 cannot be raised to a negative power");
            return binary_float(r, op, (double)a, (double)b, out);
        }
        good = pow_int(a, b, &i);
        break;
    case OP_DIV:
        if (b == 0)
            return jinja_fail(r, "division by zero");
        *out = jinja_float((double)a / (double)b);
        return true;
    default:
        if (b == 0)
            return jinja_fail(r, "integer division or modulo by zero");
        good = !(a == INT64_MIN && b == -1) || op == OP_MOD;
        if (good && b != -1) {
            const bool down = a % b != 0 && (a % b < 0) != (b < 0);
            i = op == OP_MOD ? a % b + (down ? b : 0) : a / b - down;
        } else if (good) {
            i = op == OP_MOD ? 0 : -a;
        }
        break;
    }
    *out = jinja_int(i);
    return good || overflow(r);
}

bool jinja_negate(jinja_run *r, const jinja_value *v, bool plus, jinja_value *out)
{
    if (v->type == JINJA_FLOAT) {
        *out = jinja_float(plus ? v->as.number : -v->as.number);
        return true;
    }
    if (v->type == JINJA_INT || v->type == JINJA_BOOL) {
        const int64_t i = as_int(v);
        *out = jinja_int(plus || i == INT64_MIN ? i : -i);
        return plus || i != INT64_MIN || overflow(r);
    }
    if (v->type == JINJA_UNDEFINED)
        return jinja_fail_undefined(r, v);
    return jinja_fail(r, "bad operand type for unary %c: '%s'", plus ? '+' : '-', jinja_type_name(v));
}

/* ---- sequences ---------------------------------------------------------------------------- */

static bool repeat(jinja_run *r, const jinja_value *v, int64_t times, jinja_value *out)
{
    const size_t n = v->type == JINJA_STRING ? v->as.text.n : v->as.list->n;
    const size_t count = times > 0 && n > 0 ? (size_t)times : 0;
    if (size_mul(n, count) > JINJA_MAX_OUTPUT || (uint64_t)count != (uint64_t)(n && times > 0 ? times : 0))
        return jinja_fail(r, "a repetition of %zu by %lld is too long", n, (long long)times);
    if (v->type == JINJA_STRING) {
        jinja_buffer b = {0};
        for (size_t i = 0; i < count; i++)
            if (!jinja_add_text(r, &b, v) || (i % 16 == 0 && !jinja_spend(r, 1)))
                return false;
        *out = jinja_take(&b);
        out->markup = v->markup;
        return true;
    }
    if (!jinja_spend(r, n * count) || !jinja_list_new(r, v->type, n * count, out))
        return false;
    for (size_t i = 0; i < n * count; i++)
        out->as.list->items[i] = v->as.list->items[i % n];
    out->as.list->n = n * count;
    return true;
}

static bool join_lists(jinja_run *r, const jinja_value *a, const jinja_value *b, jinja_value *out)
{
    const jinja_list *x = a->as.list, *y = b->as.list;
    if (!jinja_spend(r, x->n + y->n) || !jinja_list_new(r, a->type, x->n + y->n, out))
        return false;
    if (x->n)
        memcpy(out->as.list->items, x->items, x->n * sizeof *x->items);
    if (y->n)
        memcpy(out->as.list->items + x->n, y->items, y->n * sizeof *y->items);
    out->as.list->n = x->n + y->n;
    return true;
}

static bool is_sequence(const jinja_value *v)
{
    return v->type == JINJA_STRING || v->type == JINJA_LIST || v->type == JINJA_TUPLE;
}

static bool is_int(const jinja_value *v)
{
    return v->type == JINJA_INT || v->type == JINJA_BOOL;
}

bool jinja_binary(jinja_run *r, jinja_op op, const jinja_value *a, const jinja_value *b,
                  jinja_value *out)
{
    if (jinja_is_number(a) && jinja_is_number(b)) {
        if (a->type == JINJA_FLOAT || b->type == JINJA_FLOAT)
            return binary_float(r, op, jinja_number(a), jinja_number(b), out);
        return binary_int(r, op, as_int(a), as_int(b), out);
    }
    if (op == OP_ADD && a->type == b->type) {
        if (a->type == JINJA_STRING)
            return jinja_concat(r, a, b, out);
        if (a->type == JINJA_LIST || a->type == JINJA_TUPLE)
            return join_lists(r, a, b, out);
    }
    if (op == OP_MOD && a->type == JINJA_STRING)
        return jinja_percent(r, a, b, out);
    if (op == OP_MUL && is_sequence(a) && is_int(b))
        return repeat(r, a, as_int(b), out);
    if (op == OP_MUL && is_sequence(b) && is_int(a))
        return repeat(r, b, as_int(a), out);
    return no_operator(r, op, a, b);
}

bool jinja_compare(jinja_run *r, jinja_op op, const jinja_value *a, const jinja_value *b, bool *out)
{
    int c;
    switch (op) {
    case OP_EQ:
    case OP_NE:
        if (!jinja_equal(r, a, b, out))
            return false;
        *out = *out == (op == OP_EQ);
        return true;
    case OP_IN:
    case OP_NOT_IN:
        if (!jinja_contains(r, b, a, out))
            return false;
        *out = *out == (op == OP_IN);
        return true;
    default:
        if (!jinja_order(r, a, b, &c))
            return false;
        *out = c != 2 && (op == OP_LT   ? c < 0
                          : op == OP_LE ? c <= 0
                          : op == OP_GT ? c > 0
                                        : c >= 0);
        return true;
    }
}

/* ---- slices ------------------------------------------------------------------------------- */

static bool bound(jinja_run *r, const jinja_value *v, int64_t otherwise, int64_t *out)
{
    *out = otherwise;
    if (v->type == JINJA_NONE || v->type == JINJA_MISSING)
        return true;
    if (v->type == JINJA_UNDEFINED)
        return jinja_fail(r, "slice indices must be integers, not Undefined");
    if (!is_int(v))
        return jinja_fail(r, "slice indices must be integers or None");
    *out = as_int(v);
    return true;
}

static int64_t clamp(int64_t i, int64_t n, int64_t low, int64_t high)
{
    i = i < 0 ? i + n : i;
    return i < low ? low : i > high ? high : i;
}

static bool slice_text(jinja_run *r, const jinja_value *v, int64_t start, int64_t step, int64_t n,
                       jinja_value *out)
{
    const str s = jinja_str(v);
    if (!jinja_spend(r, s.n / 64))
        return false;
    if (step == 1) {
        const size_t from = jinja_offset(s, (size_t)start);
        const str rest = {s.p + from, s.n - from};
        *out = jinja_part(v, from, jinja_offset(rest, (size_t)n));
        return true;
    }
    const bool ascii = jinja_count(s) == s.n;
    size_t *offsets = NULL;
    if (!ascii) {
        const size_t count = jinja_count(s);
        offsets = jinja_alloc(r, count + 1, sizeof *offsets);
        if (!offsets)
            return false;
        for (size_t i = 0, k = 0; k <= count; k++) {
            offsets[k] = i;
            i += k < count ? jinja_offset((str){s.p + i, s.n - i}, 1) : 0;
        }
    }
    jinja_buffer b = {0};
    for (int64_t k = 0; k < n; k++) {
        const size_t c = (size_t)(start + k * step);
        const size_t at = offsets ? offsets[c] : c;
        if (!jinja_add_part(r, &b, v, at, offsets ? offsets[c + 1] - at : 1) ||
            (k % 4 == 0 && !jinja_spend(r, 1)))
            return false;
    }
    *out = jinja_take(&b);
    out->markup = v->markup;
    return true;
}

static bool slice_list(jinja_run *r, const jinja_value *v, int64_t start, int64_t step, int64_t n,
                       jinja_value *out)
{
    if (!jinja_spend(r, (size_t)n) || !jinja_list_new(r, v->type, (size_t)n, out))
        return false;
    for (int64_t k = 0; k < n; k++)
        out->as.list->items[k] = v->as.list->items[start + k * step];
    out->as.list->n = (size_t)n;
    return true;
}

static bool slice_range(jinja_run *r, const jinja_range *v, int64_t start, int64_t stop, int64_t step,
                        int64_t n, jinja_value *out)
{
    jinja_range *range = jinja_alloc(r, 1, sizeof *range);
    if (!range)
        return false;
    int64_t from, to, wide;
    if (!mul_int(v->step, step, &wide) || !mul_int(start, v->step, &from) || !mul_int(stop, v->step, &to) ||
        !add_int(v->start, from, &from) || !add_int(v->start, to, &to))
        return overflow(r);
    *range = (jinja_range){from, to, wide, n};
    *out = (jinja_value){.type = JINJA_RANGE, .as.range = range};
    return true;
}

bool jinja_slice(jinja_run *r, const jinja_value *v, const jinja_value bounds[3], jinja_value *out)
{
    if (v->type == JINJA_UNDEFINED)
        return jinja_fail_undefined(r, v);
    if (!is_sequence(v) && v->type != JINJA_RANGE)
        return jinja_fail(r, "'%s' object cannot be sliced", jinja_type_name(v));
    int64_t length, step, start, stop;
    if (!jinja_length(r, v, &length) || !bound(r, &bounds[2], 1, &step))
        return false;
    if (step == 0)
        return jinja_fail(r, "slice step cannot be zero");
    const int64_t low = step < 0 ? -1 : 0, high = step < 0 ? length - 1 : length;
    // A default counts from its own end, so it must not be taken as "from the back".
    if (!bound(r, &bounds[0], INT64_MAX, &start) || !bound(r, &bounds[1], INT64_MAX, &stop))
        return false;
    const bool has_start = bounds[0].type != JINJA_NONE && bounds[0].type != JINJA_MISSING;
    const bool has_stop = bounds[1].type != JINJA_NONE && bounds[1].type != JINJA_MISSING;
    start = has_start ? clamp(start, length, low, high) : step < 0 ? high : low;
    stop = has_stop ? clamp(stop, length, low, high) : step < 0 ? low : high;
    int64_t n = 0;
    if (step > 0 && start < stop)
        n = (stop - start - 1) / step + 1;
    else if (step < 0 && start > stop)
        n = step == INT64_MIN ? 1 : (start - stop - 1) / -step + 1;
    if (v->type == JINJA_RANGE)
        return slice_range(r, v->as.range, start, stop, step, n, out);
    if (n <= 1)
        step = 1; // far steps of a single item cannot overflow then
    start = n ? start : 0;
    return v->type == JINJA_STRING ? slice_text(r, v, start, step, n, out)
                                   : slice_list(r, v, start, step, n, out);
}

/* ---- subscripts and attributes ------------------------------------------------------------ */

static bool indexed(jinja_run *r, const jinja_value *v, int64_t i, jinja_value *out)
{
    int64_t n;
    if (!jinja_length(r, v, &n))
        return false;
    i = i < 0 ? i + n : i;
    if (i < 0 || i >= n) {
        *out = jinja_undefined(STR("an item of that number"), JINJA_LACK_OF + v->type);
    } else if (v->type == JINJA_RANGE) {
        *out = jinja_int(v->as.range->start + i * v->as.range->step);
    } else if (v->type == JINJA_STRING) {
        const str s = jinja_str(v);
        const size_t at = (size_t)n == s.n ? (size_t)i : jinja_offset(s, (size_t)i);
        *out = jinja_part(v, at, jinja_offset((str){s.p + at, s.n - at}, 1));
    } else {
        *out = v->as.list->items[i];
    }
    return true;
}

/* v[key] where that exists: *found. */
static bool item(jinja_run *r, const jinja_value *v, const jinja_value *key, jinja_value *out,
                 bool *found)
{
    jinja_pair *pair;
    *found = false;
    if (v->type == JINJA_DICT) {
        if (key->type == JINJA_LIST || key->type == JINJA_DICT)
            return true;
        if (!jinja_dict_find(r, v->as.dict, key, &pair))
            return false;
        *found = pair != NULL;
        if (pair)
            *out = pair->value;
    } else if ((is_sequence(v) || v->type == JINJA_RANGE) && is_int(key)) {
        if (!indexed(r, v, as_int(key), out))
            return false;
        *found = true;
    }
    return true;
}

/* What Python's getattr would find. */
static bool attribute(jinja_run *r, const jinja_value *v, str name, jinja_value *out, bool *found)
{
    jinja_pair *pair;
    *found = true;
    if (v->type == JINJA_NAMESPACE) {
        if (!jinja_dict_get(r, v->as.dict, name, &pair))
            return false;
        *found = pair != NULL;
        if (pair)
            *out = pair->value;
        return true;
    }
    if (v->type == JINJA_TUPLE && v->detail && str_equal(name, STR("grouper"))) {
        *out = v->as.list->items[0];
        return true;
    }
    if (v->type == JINJA_TUPLE && v->detail && str_equal(name, STR("list"))) {
        *out = v->as.list->items[1];
        return true;
    }
    if (v->type == JINJA_LOOP || v->type == JINJA_MACRO) {
        *out = jinja_undefined(name, JINJA_LACK_OF + v->type);
        const bool good = v->type == JINJA_LOOP ? jinja_loop_attribute(r, v->as.loop, name, out)
                                                : jinja_macro_attribute(r, v->as.macro, name, out);
        *found = good && out->type != JINJA_UNDEFINED;
        if (!good || *found)
            return good;
    }
    const jinja_builtin *what = jinja_method_named(v, name);
    *found = what != NULL;
    if (!what)
        return true;
    if (v->type == JINJA_CYCLER && str_equal(name, STR("current"))) {
        *out = v->as.list->items[v->as.list->next];
        return true;
    }
    jinja_method *method = jinja_alloc(r, 1, sizeof *method);
    if (!method)
        return false;
    *method = (jinja_method){what, *v};
    *out = (jinja_value){.type = JINJA_METHOD, .as.method = method};
    return true;
}

bool jinja_item(jinja_run *r, const jinja_value *v, const jinja_value *key, jinja_value *out)
{
    bool found;
    if (v->type == JINJA_UNDEFINED)
        return jinja_fail_undefined(r, v);
    if (!item(r, v, key, out, &found))
        return false;
    if (!found && key->type == JINJA_STRING && !attribute(r, v, jinja_str(key), out, &found))
        return false;
    if (!found)
        *out = jinja_undefined(key->type == JINJA_STRING ? jinja_str(key) : STR("an item of that key"),
                               JINJA_LACK_OF + v->type);
    return true;
}

bool jinja_attribute(jinja_run *r, const jinja_value *v, str name, jinja_value *out)
{
    bool found;
    if (v->type == JINJA_UNDEFINED)
        return jinja_fail_undefined(r, v);
    const bool hidden = name.n > 4 && str_starts(name, STR("__")) && name.p[name.n - 1] == '_' &&
                        name.p[name.n - 2] == '_';
    *out = jinja_undefined(name, JINJA_LACK_OF + v->type);
    if (hidden) // Python's own attributes, which the sandbox hides
        return true;
    if (!attribute(r, v, name, out, &found))
        return false;
    const jinja_value key = {.type = JINJA_STRING, .as.text = {name.p, name.n, NULL}};
    if (!found && !item(r, v, &key, out, &found))
        return false;
    if (!found)
        *out = jinja_undefined(name, JINJA_LACK_OF + v->type);
    return true;
}
