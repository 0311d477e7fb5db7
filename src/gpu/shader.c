#include "gpu/shader.h"

#include <stdio.h>

static bool add(shader *s, ingle_text *t, const char *bytes, size_t n)
{
    if (s->status == INGLE_OK && !text_add(t, bytes, n))
        s->status = INGLE_ERR_MEMORY;
    return s->status == INGLE_OK;
}

static void fail(shader *s, const char *what)
{
    if (s->status == INGLE_OK) {
        s->status = INGLE_ERR_INTERNAL;
        snprintf(s->fault, sizeof s->fault, "%s", what);
    }
}

void shader_init(shader *s, const ingle_allocator *a)
{
    *s = (shader){0};
    if (a)
        s->recipe.allocator = s->text.allocator = s->head.allocator = *a;
}

void shader_free(shader *s)
{
    ingle_text_free(&s->recipe);
    ingle_text_free(&s->text);
    ingle_text_free(&s->head);
}

/* ---- the recipe -------------------------------------------------------------------------------- */

/* An entry is one of these, a name or text with its NUL, and a constant's bits. */
enum { ENABLE = 'e', ROLL = 'r', U32 = 'u', F32 = 'f', PART = 'p', CODE = 'c' };

static void note(shader *s, char what, const char *name, uint32_t bits)
{
    add(s, &s->recipe, &what, 1);
    add(s, &s->recipe, name, strlen(name) + 1);
    if (what == U32 || what == F32)
        add(s, &s->recipe, (const char *)&bits, sizeof bits);
}

void shader_enable(shader *s, const char *feature)
{
    note(s, ENABLE, feature, 0);
}

void shader_roll(shader *s)
{
    note(s, ROLL, "", 0);
}

void shader_u32(shader *s, const char *name, uint64_t value)
{
    if (value > UINT32_MAX)
        fail(s, name);
    note(s, U32, name, (uint32_t)value);
}

void shader_f32(shader *s, const char *name, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits >> 23 & 0xFF) == 0xFF)
        fail(s, name); // WGSL has no such constants
    note(s, F32, name, bits);
}

void shader_part(shader *s, const char *name)
{
    note(s, PART, name, 0);
}

void shader_part_of(shader *s, const char *folder, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    shader_part(s, path);
}

void shader_code(shader *s, const char *text)
{
    note(s, CODE, text, 0);
}

/* ---- constants --------------------------------------------------------------------------------- */

/* A line "before name after". */
static void add_line(shader *s, ingle_text *t, const char *before, const char *name, const char *after)
{
    add(s, t, before, strlen(before));
    add(s, t, name, strlen(name));
    add(s, t, after, strlen(after));
}

static void write_u32(shader *s, const char *name, uint32_t value)
{
    char text[32];
    snprintf(text, sizeof text, " = %luu;\n", (unsigned long)value);
    add_line(s, &s->text, "const ", name, text);
    if (value >= SHADER_MOST_TURNS || strlen(name) >= sizeof s->constants->name)
        return;
    if (s->n_constants == SHADER_MOST_CONSTANTS) {
        fail(s, "too many constants");
        return;
    }
    snprintf(s->constants[s->n_constants].name, sizeof s->constants->name, "%s", name);
    s->constants[s->n_constants++].value = value;
}

static void write_f32(shader *s, const char *name, uint32_t bits)
{
    char text[48];
    const int exponent = (int)(bits >> 23 & 0xFF);
    snprintf(text, sizeof text, " = %s0x%d.%06lxp%df;\n", bits >> 31 ? "-" : "", exponent > 0,
             (unsigned long)(bits & 0x7FFFFF) << 1, exponent > 0 ? exponent - 127 : -126);
    add_line(s, &s->text, "const ", name, text);
}

/* ---- files and bindings ----------------------------------------------------------------------- */

static const char *find_part(const char *name)
{
    for (const shader_file *f = shader_files; f->name; f++)
        if (strcmp(f->name, name) == 0)
            return f->text;
    return NULL;
}

/* Notes the binding whose declaration goes on at text: "(auto) var<storage, read_write> name: ...". */
static void note_binding(shader *s, const char *text)
{
    const char *end = strchr(text, '>'), *name = end ? end + 1 : text;
    while (*name == ' ')
        name++;
    const size_t n = strcspn(name, ": ");
    if (!end || s->n_bindings == TAPE_MAX_BINDINGS || n == 0 || n >= sizeof s->bindings->name) {
        fail(s, "too many bindings, or a wrong one");
        return;
    }
    shader_binding *b = &s->bindings[s->n_bindings++];
    memcpy(b->name, name, n);
    b->name[n] = 0;
    const char *writes = strstr(text, "read_write");
    b->writes = writes && writes < end;
}

/* ---- loops ------------------------------------------------------------------------------------ */

static bool starts_with(const char *at, const char *end, const char *word)
{
    const size_t n = strlen(word);
    return (size_t)(end - at) >= n && memcmp(at, word, n) == 0;
}

static const char *next_line(const char *at, const char *end)
{
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    return stop ? stop + 1 : end;
}

static const uint32_t *find_constant(const shader *s, const char *name, size_t n)
{
    for (uint32_t i = 0; i < s->n_constants; i++)
        if (strlen(s->constants[i].name) == n && memcmp(s->constants[i].name, name, n) == 0)
            return &s->constants[i].value;
    return NULL;
}

/* [at, end) with `with` for each $name. */
static void substitute(shader *s, ingle_text *to, const char *at, const char *end, const char *name, size_t n,
                       const char *with)
{
    for (const char *mark; (mark = memchr(at, '$', (size_t)(end - at)));) {
        const bool ours = (size_t)(end - mark) > n && memcmp(mark + 1, name, n) == 0;
        add(s, to, at, (size_t)(mark - at) + (ours ? 0 : 1));
        if (ours)
            add(s, to, with, strlen(with));
        at = mark + 1 + (ours ? n : 0);
    }
    add(s, to, at, (size_t)(end - at));
}

static void add_body(shader *s, const char *at, const char *end);

static void add_turn(shader *s, const char *at, const char *end, const char *name, size_t n, const char *with)
{
    ingle_text body = {.allocator = s->text.allocator};
    substitute(s, &body, at, end, name, n, with);
    add(s, &s->text, "{\n", 2);
    add_body(s, body.bytes, body.bytes + body.n);
    add(s, &s->text, "}\n", 2);
    ingle_text_free(&body);
}

/* at: behind "@for "; the end of what it takes up. */
static const char *add_loop(shader *s, const char *at, const char *end)
{
    const size_t n = strcspn(at, " "), n_count = strcspn(at + n + 1, "\n");
    const char *count_name = at + n + 1, *body = next_line(count_name, end), *stop = body;
    const uint32_t *count = find_constant(s, count_name, n_count);
    char text[80];
    for (int depth = 1; stop < end; stop = next_line(stop, end)) {
        depth += starts_with(stop, end, "@for ") - starts_with(stop, end, "@end");
        if (depth == 0)
            break;
    }
    if (!count || n > 8 || n_count > 15 || stop == end) {
        fail(s, "a loop over what is no constant, or without an end");
        return end;
    }
    if (s->rolled) {
        snprintf(text, sizeof text, "for (var %.*s = 0u; %.*s < %s(%.*s); %.*s++) ", (int)n, at, (int)n, at, "turns",
                 (int)n_count, count_name, (int)n, at); // the name by itself: tools/embed_wgsl.py leaves it alone
        add(s, &s->text, text, strlen(text));
        snprintf(text, sizeof text, "%.*s", (int)n, at);
        add_turn(s, body, stop, at, n, text);
    }
    for (uint32_t i = 0; i < *count && !s->rolled; i++) {
        snprintf(text, sizeof text, "%luu", (unsigned long)i);
        add_turn(s, body, stop, at, n, text);
    }
    return next_line(stop, end);
}

static void add_body(shader *s, const char *at, const char *end)
{
    while (s->status == INGLE_OK && at < end) {
        const char *line = next_line(at, end);
        if (starts_with(at, end, "@for ")) {
            at = add_loop(s, at + 5, end);
            continue;
        }
        add(s, &s->text, at, (size_t)(line - at));
        at = line;
    }
}

/* ---- parts ------------------------------------------------------------------------------------ */

static void write_part(shader *s, const char *at)
{
    static const char mark[] = "@binding(auto)";
    for (const char *next; s->status == INGLE_OK && (next = strstr(at, mark)); at = next + strlen(mark)) {
        char number[24];
        snprintf(number, sizeof number, "@binding(%u)", (unsigned)s->n_bindings);
        note_binding(s, next + strlen(mark));
        add_body(s, at, next);
        add(s, &s->text, number, strlen(number));
    }
    add_body(s, at, at + strlen(at));
}

static void write_file(shader *s, const char *name)
{
    const char *text = find_part(name);
    if (text)
        write_part(s, text);
    else
        fail(s, name);
}

bool shader_write(shader *s)
{
    for (size_t at = 0; s->status == INGLE_OK && at < s->recipe.n;) {
        const char what = s->recipe.bytes[at], *name = s->recipe.bytes + at + 1;
        uint32_t bits = 0;
        at += 2 + strlen(name);
        if (what == U32 || what == F32) {
            memcpy(&bits, s->recipe.bytes + at, sizeof bits);
            at += sizeof bits;
        }
        switch (what) {
        case ENABLE:
            add_line(s, &s->head, "enable ", name, ";\n");
            break;
        case ROLL:
            s->rolled = true;
            break;
        case U32:
            write_u32(s, name, bits);
            break;
        case F32:
            write_f32(s, name, bits);
            break;
        case PART:
            write_file(s, name);
            break;
        default:
            write_part(s, name);
            break;
        }
    }
    return add(s, &s->head, s->text.bytes, s->text.n);
}
