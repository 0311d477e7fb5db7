#include "gpu/tape_print.h"

#include <stdio.h>

#include "base/error.h"
#include "gpu/tape_read.h"

typedef struct {
    char label[TAPE_LABEL];
    uint32_t writes; // a pipeline's
} printed_name;

typedef struct {
    uint32_t n, writes;
    uint32_t buffers[TAPE_MAX_BINDINGS];
} printed_group;

struct tape_printer {
    ingle_allocator allocator;
    TAPE_LIST(printed_name) buffers;
    TAPE_LIST(printed_name) pipelines;
    TAPE_LIST(printed_group) groups;
    void *grown;
    ingle_text *out;
    bool failed; // for want of memory
};

/* The commands as tape.h lists them. */
static const struct {
    const char *name, *words;
} commands[TAPE_COMMAND_COUNT] = {
#define PRINTED(NAME, words, names) [TAPE_##NAME] = {#NAME, names},
    TAPE_COMMANDS(PRINTED)
#undef PRINTED
};

/* What is repeated in two of them. */
static const char *items_of(uint32_t command)
{
    return command == TAPE_GROUP ? "buffer offset:2 bytes:2" : "pipeline group x y z";
}

tape_printer *tape_printer_open(const ingle_allocator *a)
{
    tape_printer *p = mem_zero(a, 1, sizeof *p);
    if (p && a)
        p->allocator = *a;
    return p;
}

void tape_printer_close(tape_printer *p)
{
    if (!p)
        return;
    const ingle_allocator a = p->allocator;
    mem_free(&a, p->buffers.items);
    mem_free(&a, p->pipelines.items);
    mem_free(&a, p->groups.items);
    mem_free(&a, p);
}

/* ---- names of objects ----------------------------------------------------------------------------- */

/* Keeps item `number` of a list; those before it that were never heard of are zeros. */
#define KEEP(p, list, number, value)                                                            \
    do {                                                                                        \
        while (!(p)->failed && (list).n <= (number)) {                                          \
            (p)->failed = !TAPE_GROW(&(p)->allocator, list, (p)->grown);                        \
            if (!(p)->failed)                                                                   \
                memset(&(list).items[(list).n++], 0, sizeof *(list).items);                     \
        }                                                                                       \
        if (!(p)->failed)                                                                       \
            (list).items[number] = (value);                                                     \
    } while (0)

enum { MOST_OBJECTS = 1 << 20 }; // a number beyond is a broken tape's

static void remember(tape_printer *p, const uint32_t *w)
{
    printed_name name = {0};
    printed_group group = {0};
    if (w[0] > TAPE_GROUP || w[1] >= MOST_OBJECTS) // SUBMIT has no word after it
        return;
    switch (w[0]) {
    case TAPE_BUFFER:
        tape_label(name.label, w + 4);
        KEEP(p, p->buffers, w[1], name);
        break;
    case TAPE_PIPELINE:
        tape_label(name.label, w + 7);
        name.writes = w[6];
        KEEP(p, p->pipelines, w[1], name);
        break;
    case TAPE_GROUP:
        group.writes = w[2] < p->pipelines.n ? p->pipelines.items[w[2]].writes : 0;
        for (; group.n < w[3] && group.n < TAPE_MAX_BINDINGS; group.n++)
            group.buffers[group.n] = w[4 + (size_t)group.n * TAPE_GROUP_WORDS];
        KEEP(p, p->groups, w[1], group);
        break;
    default: break;
    }
}

/* ---- text ----------------------------------------------------------------------------------------- */

static void add(tape_printer *p, const char *text)
{
    p->failed = p->failed || !text_add_str(p->out, str_of(text));
}

static void add_number(tape_printer *p, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, " %llu", (unsigned long long)number);
    add(p, text);
}

static void add_label(tape_printer *p, const char *label)
{
    add(p, " \"");
    add(p, label);
    add(p, "\"");
}

static const char *buffer_label(const tape_printer *p, uint32_t number)
{
    return number < p->buffers.n ? p->buffers.items[number].label : "?";
}

/* The buffers of a group, in the order of its bindings; what is written has a "!". */
static void add_group(tape_printer *p, uint32_t number)
{
    if (number >= p->groups.n)
        return;
    const printed_group *g = &p->groups.items[number];
    add(p, " (");
    for (uint32_t i = 0; i < g->n; i++) {
        add(p, i ? ", " : "");
        add(p, buffer_label(p, g->buffers[i]));
        add(p, g->writes >> i & 1 ? "!" : "");
    }
    add(p, ")");
}

static bool is(str name, const char *text)
{
    return str_equal(name, str_of(text));
}

/* One word, or two, with its name. from and to are buffers where they are one word, else addresses. */
static void add_word(tape_printer *p, str name, bool wide, const uint32_t *w)
{
    if (is(name, "label") || is(name, "n_label") || (wide && (is(name, "from") || is(name, "to") || is(name, "code"))))
        return;
    char text[24];
    snprintf(text, sizeof text, " %.*s", STR_ARG(name));
    add(p, text);
    add_number(p, wide ? tape_u64(w) : w[0]);
    if (is(name, "buffer") || is(name, "from") || is(name, "to"))
        add_label(p, buffer_label(p, w[0]));
    else if (is(name, "pipeline"))
        add_label(p, w[0] < p->pipelines.n ? p->pipelines.items[w[0]].label : "?");
    else if (is(name, "group"))
        add_group(p, w[0]);
}

/* Words by their names, such as "buffer offset:2"; returns what comes after them. */
static const uint32_t *add_words(tape_printer *p, const char *names, const uint32_t *w)
{
    while (*names) {
        const str name = {names, strcspn(names, ": ")};
        names += name.n;
        const bool wide = *names == ':';
        add_word(p, name, wide, w);
        w += wide ? 2 : 1;
        names += strcspn(names, " ");
        names += *names == ' ';
    }
    return w;
}

static void add_command(tape_printer *p, const uint32_t *w, size_t n)
{
    char name[16];
    const uint32_t *const end = w + n;
    snprintf(name, sizeof name, n > 1 ? "%-8s" : "%s", commands[w[0]].name);
    add(p, name);
    const char *items = items_of(w[0]);
    for (w = add_words(p, commands[w[0]].words, w + 1); w < end;) {
        add(p, "\n        ");
        w = add_words(p, items, w);
    }
    add(p, "\n");
}

ingle_status tape_print(tape_printer *p, ingle_text *out, const uint32_t *words, size_t n, ingle_error *err)
{
    p->out = out;
    p->failed = false;
    for (size_t at = 0, size; at < n && !p->failed; at += size) {
        size = tape_command_words(words + at, n - at);
        if (size == 0)
            return error_set(err, INGLE_ERR_INTERNAL, "word %zu of %zu is %u: no command, or cut short", at, n,
                             words[at]);
        remember(p, words + at);
        add_command(p, words + at, size);
    }
    return p->failed ? error_set(err, INGLE_ERR_MEMORY, "no memory for a tape's text") : INGLE_OK;
}
