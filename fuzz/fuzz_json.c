/* JSON text: what is accepted can be written again and then reads as the same value. */
#include "base/json.h"
#include "fuzz.h"

static bool write_value(ingle_text *out, const json *v, bool ascii)
{
    switch (v->type) {
    case JSON_NULL: return text_add_str(out, STR("null"));
    case JSON_FALSE: return text_add_str(out, STR("false"));
    case JSON_TRUE: return text_add_str(out, STR("true"));
    case JSON_INTEGER: return text_add_str(out, v->text);
    case JSON_FLOAT: return text_add_str(out, v->text);
    case JSON_STRING: return json_write_str(out, v->text, ascii);
    default: break;
    }
    const bool object = v->type == JSON_OBJECT;
    bool ok = text_add_byte(out, object ? '{' : '[');
    for (const json *c = v->first; c && ok; c = c->next)
        ok = (c == v->first || text_add_byte(out, ',')) &&
             (!object || (json_write_str(out, c->key, ascii) && text_add_byte(out, ':'))) &&
             write_value(out, c, ascii);
    return ok && text_add_byte(out, object ? '}' : ']');
}

static bool same_number(double a, double b)
{
    return a == b || (a != a && b != b);
}

/* Depth is bounded by the reader. */
static void check_same(const json *a, const json *b)
{
    MUST(a->type == b->type && a->n == b->n && str_equal(a->key, b->key));
    if (a->type == JSON_STRING)
        MUST(str_equal(a->text, b->text));
    if (a->type == JSON_INTEGER || a->type == JSON_FLOAT)
        MUST(a->integer == b->integer && same_number(a->number, b->number));
    size_t n = 0;
    const json *y = b->first;
    for (const json *x = a->first; x; x = x->next, y = y->next, n++) {
        MUST(y != NULL);
        check_same(x, y);
    }
    MUST(y == NULL && n == a->n);
}

/* Shortest decimal text reads back as the same number. */
static void check_numbers(const json *v)
{
    if (v->type == JSON_FLOAT) {
        ingle_text out = {0};
        MUST(json_write_double(&out, v->number));
        if (v->number - v->number == 0) // not "inf"
            MUST(strtod(out.bytes, NULL) == v->number);
        ingle_text_free(&out);
    }
    for (const json *c = v->first; c; c = c->next)
        check_numbers(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    arena memory = {.limit = (size_t)64 << 20}, again = {.limit = (size_t)64 << 20};
    const json *v, *copy;
    ingle_error err;
    const ingle_status status = json_parse(&v, (const char *)bytes, n, &memory, &err);
    fuzz_check_error(status, &err);
    if (status == INGLE_OK) {
        check_numbers(v);
        for (int ascii = 0; ascii < 2; ascii++) {
            ingle_text out = {0};
            MUST(write_value(&out, v, ascii != 0));
            MUST(json_parse(&copy, out.bytes, out.n, &again, &err) == INGLE_OK);
            check_same(v, copy);
            ingle_text_free(&out);
        }
    }
    arena_free(&memory);
    arena_free(&again);
    return 0;
}
