/* Chat templates: opening, closing, rendering. Owns the run's set-up: names, context, budgets. */
#include "chat/template.h"

#include "chat/jinja.h"

ingle_status jinja_open(chat_template **out, str source, const jinja_options *opt,
                        const ingle_allocator *a, ingle_error *err)
{
    jinja_tokens tokens;
    *out = NULL;
    chat_template *t = mem_zero(a, 1, sizeof *t);
    if (!t)
        return error_memory(err, sizeof *t, "template");
    if (a)
        t->memory.allocator = *a;
    t->n_source = source.n;
    ingle_status status = jinja_lex(&tokens, source, opt, &t->memory, err);
    if (status == INGLE_OK)
        status = jinja_parse(t, &tokens, err);
    mem_free(a, tokens.tokens);
    if (status != INGLE_OK) {
        chat_template_close(t);
        return status;
    }
    *out = t;
    return error_clear(err);
}

ingle_status chat_template_open(chat_template **out, str source, const ingle_allocator *a,
                                ingle_error *err)
{
    return jinja_open(out, source, &(jinja_options){.trim_blocks = true, .lstrip_blocks = true}, a, err);
}

void chat_template_close(chat_template *t)
{
    if (!t)
        return;
    const ingle_allocator a = t->memory.allocator;
    arena_free(&t->memory);
    mem_free(&a, t);
}

/* Two digits at text, between low and high. */
static bool two_digits(const char *text, int low, int high, int *out)
{
    for (int i = 0; i < 2; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    *out = (text[0] - '0') * 10 + (text[1] - '0');
    return *out >= low && *out <= high;
}

bool chat_time_parse(const char *text, chat_time *out)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd";
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int century, year;
    *out = (chat_time){0};
    if (!text || strlen(text) != sizeof shape - 1)
        return false;
    for (size_t i = 0; i < sizeof shape - 1; i++)
        if (shape[i] != 'd' && text[i] != shape[i])
            return false;
    if (!two_digits(text, 0, 99, &century) || !two_digits(text + 2, 0, 99, &year) ||
        !two_digits(text + 5, 1, 12, &out->month) || !two_digits(text + 8, 1, 31, &out->day) ||
        !two_digits(text + 11, 0, 23, &out->hour) || !two_digits(text + 14, 0, 59, &out->minute) ||
        !two_digits(text + 17, 0, 60, &out->second))
        return false;
    out->year = century * 100 + year;
    const bool leap = (out->year % 4 == 0 && out->year % 100 != 0) || out->year % 400 == 0;
    return out->year > 0 && out->day <= days[out->month - 1] - (out->month == 2 && !leap);
}

static bool is_trusted(const char *const *trusted, str name)
{
    for (; trusted && *trusted; trusted++)
        if (str_equal(name, str_of(*trusted)))
            return true;
    return false;
}

uint32_t jinja_name_number(const chat_template *t, str name)
{
    for (uint32_t lo = 0, hi = t->n_names; lo < hi;) {
        const uint32_t mid = lo + (hi - lo) / 2;
        const str at = t->names[mid];
        const size_t n = at.n < name.n ? at.n : name.n;
        int c = n ? memcmp(at.p, name.p, n) : 0;
        c = c ? c : (at.n > name.n) - (at.n < name.n);
        if (c == 0)
            return mid;
        if (c > 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return UINT32_MAX;
}

/* The values of the names that the template says: the context's, else the global functions'. */
static bool set_names(jinja_run *r, const json *context, const char *const *trusted)
{
    const uint32_t n = r->t->n_names;
    r->context = jinja_alloc(r, n, sizeof *r->context);
    r->top = jinja_alloc(r, n, sizeof *r->top);
    r->stack = jinja_alloc(r, JINJA_STACK, sizeof *r->stack);
    if (!r->context || !r->top || !r->stack)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        const jinja_builtin *f = jinja_global_named(r->t->names[i]);
        r->top[i] = (jinja_value){.type = JINJA_MISSING};
        r->context[i] = f ? (jinja_value){.type = JINJA_FUNCTION, .as.function = f} : r->top[i];
    }
    for (const json *c = context->first; c; c = c->next) {
        const uint32_t i = jinja_name_number(r->t, c->key);
        if (i != UINT32_MAX && !jinja_from_json(r, c, !is_trusted(trusted, c->key), &r->context[i]))
            return false;
    }
    return true;
}

static size_t count_bytes(const json *v)
{
    size_t n = size_add(v->key.n, v->text.n);
    for (const json *c = v->first; c; c = c->next) // as deep as the JSON reader lets through
        n = size_add(n, size_add(count_bytes(c), 16));
    return n;
}

static ingle_status give(jinja_run *r, const jinja_buffer *b, ingle_text *out, ingle_text *marks)
{
    if (b->n > JINJA_MAX_OUTPUT)
        return error_set(r->err, INGLE_ERR_TEMPLATE, "the text is longer than the %d MiB allowed",
                         JINJA_MAX_OUTPUT >> 20);
    const size_t n_out = out->n;
    if (!text_add(out, b->p, b->n))
        return error_memory(r->err, b->n, "template");
    if (marks && !text_add(marks, (const char *)b->marks, b->n)) {
        out->n = n_out; // both or neither
        out->bytes[n_out] = 0;
        return error_memory(r->err, b->n, "template");
    }
    return error_clear(r->err);
}

ingle_status chat_template_render(const chat_template *t, const json *context,
                                  const char *const *trusted, const chat_time *now,
                                  ingle_text *out, ingle_text *marks, ingle_error *err)
{
    if (context->type != JSON_OBJECT)
        return error_set(err, INGLE_ERR_FORMAT, "a template's context must be a JSON object");
    const size_t bytes = count_bytes(context);
    jinja_run r = {.t = t, .err = err, .now = now};
    jinja_buffer b = {0};
    jinja_flow flow = JINJA_FLOW_ON;
    r.memory.allocator = t->memory.allocator;
    r.memory.limit = size_add(JINJA_MAX_MEMORY, size_mul(bytes, 16));
    r.steps = JINJA_MAX_STEPS + (int64_t)(bytes / 1024 * JINJA_STEPS_PER_KIB);
    ingle_status status;
    if (set_names(&r, context, trusted) && jinja_exec(&r, NULL, t->body, &b, &flow))
        status = give(&r, &b, out, marks);
    else
        status = r.status;
    arena_free(&r.memory);
    return status;
}
