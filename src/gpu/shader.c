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
        s->text.allocator = s->head.allocator = *a;
}

void shader_free(shader *s)
{
    ingle_text_free(&s->text);
    ingle_text_free(&s->head);
}

/* A line "before name after". */
static void add_line(shader *s, ingle_text *t, const char *before, const char *name, const char *after)
{
    add(s, t, before, strlen(before));
    add(s, t, name, strlen(name));
    add(s, t, after, strlen(after));
}

void shader_enable(shader *s, const char *feature)
{
    add_line(s, &s->head, "enable ", feature, ";\n");
}

void shader_u32(shader *s, const char *name, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof text, " = %luu;\n", (unsigned long)value);
    if (value > UINT32_MAX)
        fail(s, name);
    add_line(s, &s->text, "const ", name, text);
}

void shader_f32(shader *s, const char *name, float value)
{
    char text[48];
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    snprintf(text, sizeof text, " = bitcast<f32>(0x%08lxu);\n", (unsigned long)bits);
    add_line(s, &s->text, "const ", name, text);
}

/* ---- parts ------------------------------------------------------------------------------------ */

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

void shader_part(shader *s, const char *name)
{
    static const char mark[] = "@binding(auto)";
    const char *at = find_part(name);
    if (!at) {
        fail(s, name);
        return;
    }
    for (const char *next; s->status == INGLE_OK && (next = strstr(at, mark)); at = next + strlen(mark)) {
        char number[24];
        snprintf(number, sizeof number, "@binding(%u)", (unsigned)s->n_bindings);
        note_binding(s, next + strlen(mark));
        add(s, &s->text, at, (size_t)(next - at));
        add(s, &s->text, number, strlen(number));
    }
    add(s, &s->text, at, strlen(at));
}

void shader_part_of(shader *s, const char *folder, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    shader_part(s, path);
}
