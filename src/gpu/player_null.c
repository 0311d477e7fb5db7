/* A player without a GPU: checks each command of a tape as WebGPU and tape.h would have it, keeps what
 * state that takes, and counts. Owns numbers, labels and sizes, no memory of buffers. Refuses, as
 * ERR_INTERNAL with the command and the object, the first fault; nothing after it is looked at. */
#include "gpu/player.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"
#include "gpu/tape_read.h"

enum { BINDING_ALIGN = 256, WORD_ALIGN = 4 };

typedef struct {
    bool alive;
    bool recorded; // used by what is not yet submitted
    uint64_t bytes;
    char label[TAPE_LABEL];
} null_buffer;

typedef struct {
    uint32_t n_bindings, writes;
    bool ready;
    char label[TAPE_LABEL];
} null_pipeline;

typedef struct {
    uint32_t buffer;
    uint64_t offset, bytes;
} null_binding;

typedef struct {
    uint32_t pipeline;
    bool alive;    // no buffer of it was freed
    uint32_t made; // how many had the number before
    null_binding bindings[TAPE_MAX_BINDINGS];
} null_group;

typedef struct {
    uint32_t pipeline, group, group_made;
} null_dispatch;

typedef struct {
    null_dispatch *dispatches; // [n]
    uint32_t n;
} null_section;

typedef enum { NULL_READ, NULL_READY, NULL_STAMP, NULL_ANSWERED } null_ticket_kind;

typedef struct {
    null_ticket_kind kind;
    uint32_t n; // bytes to read; pipelines to be ready
    void *to;
} null_ticket;

typedef struct {
    gpu_null_counts counts; // first: gpu_null_get_counts
    gpu_limits limits;
    ingle_allocator allocator;
    TAPE_LIST(null_buffer) buffers;
    TAPE_LIST(null_pipeline) pipelines;
    TAPE_LIST(null_group) groups;
    TAPE_LIST(null_section) sections;
    TAPE_LIST(null_ticket) tickets;
    bool in_pass, recording; // a compute pass is open; there is something to submit
    void *grown;
} null_player;

static ingle_status fault(ingle_error *err, const char *fmt, ...) INGLE_PRINTF(2, 3);

static ingle_status fault(ingle_error *err, const char *fmt, ...)
{
    char text[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return error_set(err, INGLE_ERR_INTERNAL, "tape: %s", text);
}

static ingle_status no_memory(ingle_error *err)
{
    return error_set(err, INGLE_ERR_MEMORY, "no memory to check a tape");
}

#define GROW(p, list) TAPE_GROW(&(p)->allocator, list, (p)->grown)
#define LLU(x) (unsigned long long)(x)

/* ---- buffers -------------------------------------------------------------------------------------- */

static void submit(null_player *p)
{
    p->in_pass = false;
    if (!p->recording)
        return;
    p->recording = false;
    p->counts.submits++;
    for (size_t i = 0; i < p->buffers.n; i++)
        p->buffers.items[i].recorded = false;
}

static bool alive(const null_player *p, uint32_t buffer)
{
    return buffer < p->buffers.n && p->buffers.items[buffer].alive;
}

static ingle_status check_range(const null_player *p, const char *command, uint32_t buffer, uint64_t offset,
                                uint64_t bytes, uint64_t align, ingle_error *err)
{
    uint64_t end;
    if (!alive(p, buffer))
        return fault(err, "%s: there is no buffer %u", command, buffer);
    const null_buffer *b = &p->buffers.items[buffer];
    if (offset % align || bytes % WORD_ALIGN || bytes == 0)
        return fault(err, "%s: %llu bytes at %llu of buffer %u (%s): not aligned, or nothing", command, LLU(bytes),
                     LLU(offset), buffer, b->label);
    if (!u64_add(offset, bytes, &end) || end > b->bytes)
        return fault(err, "%s: %llu bytes at %llu of buffer %u (%s), which has %llu", command, LLU(bytes), LLU(offset),
                     buffer, b->label, LLU(b->bytes));
    return INGLE_OK;
}

static ingle_status check_label(const char *command, uint32_t number, const uint32_t *w, ingle_error *err)
{
    if (w[2] == 0 || !tape_address(w))
        return fault(err, "%s %u has no label", command, number);
    return INGLE_OK;
}

static ingle_status check_buffer(null_player *p, const uint32_t *w, ingle_error *err)
{
    const uint32_t number = w[0];
    const uint64_t bytes = tape_u64(w + 1);
    if (number > p->buffers.n || alive(p, number))
        return fault(err, "BUFFER %u is %s", number, alive(p, number) ? "there already" : "out of order");
    const ingle_status status = check_label("BUFFER", number, w + 3, err);
    if (status != INGLE_OK)
        return status;
    null_buffer b = {.alive = true, .bytes = bytes};
    tape_label(b.label, w + 3);
    if (bytes == 0 || bytes % WORD_ALIGN || bytes > p->limits.max_buffer)
        return fault(err, "BUFFER %u (%s) has %llu bytes: not a multiple of 4, or more than %llu", number, b.label,
                     LLU(bytes), LLU(p->limits.max_buffer));
    if (number == p->buffers.n && !GROW(p, p->buffers))
        return no_memory(err);
    p->buffers.items[number] = b;
    p->buffers.n += number == p->buffers.n;
    gpu_null_counts *c = &p->counts;
    c->buffers++;
    c->buffer_bytes += bytes;
    c->most_bytes = c->buffer_bytes > c->most_bytes ? c->buffer_bytes : c->most_bytes;
    return INGLE_OK;
}

static uint32_t bindings_of(const null_player *p, const null_group *g)
{
    return p->pipelines.items[g->pipeline].n_bindings;
}

static ingle_status check_free(null_player *p, const uint32_t *w, ingle_error *err)
{
    if (!alive(p, w[0]))
        return fault(err, "FREE: there is no buffer %u", w[0]);
    null_buffer *b = &p->buffers.items[w[0]];
    submit(p); // it must not go before what may use it
    for (size_t i = 0; i < p->groups.n; i++) {
        null_group *g = &p->groups.items[i];
        for (uint32_t k = 0; g->alive && k < bindings_of(p, g); k++)
            if (g->bindings[k].buffer == w[0]) {
                g->alive = false;
                p->counts.groups--;
            }
    }
    p->counts.buffers--;
    p->counts.buffer_bytes -= b->bytes;
    b->alive = false;
    return INGLE_OK;
}

static ingle_status check_write(null_player *p, const uint32_t *w, ingle_error *err)
{
    const ingle_status status = check_range(p, "WRITE", w[0], tape_u64(w + 1), w[5], WORD_ALIGN, err);
    if (status != INGLE_OK)
        return status;
    const null_buffer *b = &p->buffers.items[w[0]];
    if (!tape_address(w + 3))
        return fault(err, "WRITE to buffer %u (%s) from nowhere", w[0], b->label);
    if (b->recorded)
        return fault(err, "WRITE overtakes what is recorded with buffer %u (%s): SUBMIT first", w[0], b->label);
    p->in_pass = false;
    p->counts.written += w[5];
    return INGLE_OK;
}

static void use(null_player *p, uint32_t buffer)
{
    p->buffers.items[buffer].recorded = true;
    p->recording = true;
}

static ingle_status check_copy(null_player *p, const uint32_t *w, ingle_error *err)
{
    const uint64_t bytes = tape_u64(w + 6);
    ingle_status status = check_range(p, "COPY from", w[0], tape_u64(w + 1), bytes, WORD_ALIGN, err);
    if (status == INGLE_OK)
        status = check_range(p, "COPY to", w[3], tape_u64(w + 4), bytes, WORD_ALIGN, err);
    if (status != INGLE_OK)
        return status;
    if (w[0] == w[3])
        return fault(err, "COPY within buffer %u (%s)", w[0], p->buffers.items[w[0]].label);
    p->in_pass = false;
    use(p, w[0]);
    use(p, w[3]);
    return INGLE_OK;
}

/* ---- pipelines ------------------------------------------------------------------------------------ */

static const char *find(const char *from, const char *end, const char *what)
{
    const size_t n = strlen(what);
    for (; (size_t)(end - from) >= n; from++)
        if (memcmp(from, what, n) == 0)
            return from;
    return NULL;
}

static const char *number_at(const char *at, const char *end, uint32_t *number)
{
    *number = 0;
    while (at < end && *at >= '0' && *at <= '9' && *number < 1000)
        *number = *number * 10 + (uint32_t)(*at++ - '0');
    return at;
}

/* Bindings as the code declares them - @binding(number), then var<storage, read> or read_write - against
 * what PIPELINE says. */
static ingle_status check_code(const null_pipeline *pl, const char *code, size_t n, ingle_error *err)
{
    static const char mark[] = "@binding(";
    const char *const end = code + n;
    uint32_t seen = 0, number;
    for (const char *at = find(code, end, mark); at; at = find(at, end, mark)) {
        at = number_at(at + sizeof mark - 1, end, &number);
        const char *const close = find(at, end, ">");
        if (number >= pl->n_bindings || seen >> number & 1)
            return fault(err, "PIPELINE %s: binding %u is there twice or too many", pl->label, number);
        const bool writes = close && find(at, close, "read_write") != NULL;
        if (writes != (pl->writes >> number & 1))
            return fault(err, "PIPELINE %s: binding %u is %swritten, says its code", pl->label, number,
                         writes ? "" : "not ");
        seen |= 1u << number;
    }
    if (seen != (1u << pl->n_bindings) - 1)
        return fault(err, "PIPELINE %s: its code lacks some of %u bindings", pl->label, pl->n_bindings);
    return find(code, end, "fn main(") ? INGLE_OK : fault(err, "PIPELINE %s has no main", pl->label);
}

static ingle_status check_pipeline(null_player *p, const uint32_t *w, ingle_error *err)
{
    const uint32_t number = w[0];
    if (number != p->pipelines.n)
        return fault(err, "PIPELINE %u is out of order", number);
    ingle_status status = check_label("PIPELINE", number, w + 6, err);
    if (status != INGLE_OK)
        return status;
    null_pipeline pl = {.n_bindings = w[4], .writes = w[5]};
    tape_label(pl.label, w + 6);
    if (pl.n_bindings > p->limits.max_bindings || pl.n_bindings > TAPE_MAX_BINDINGS || pl.writes >> pl.n_bindings)
        return fault(err, "PIPELINE %u (%s): %u bindings, writes %#x; %u are allowed", number, pl.label, pl.n_bindings,
                     pl.writes, p->limits.max_bindings);
    if (!tape_address(w + 1))
        return fault(err, "PIPELINE %u (%s) has no code", number, pl.label);
    status = check_code(&pl, tape_address(w + 1), w[3], err);
    if (status != INGLE_OK)
        return status;
    if (!GROW(p, p->pipelines))
        return no_memory(err);
    p->pipelines.items[p->pipelines.n++] = pl;
    p->counts.pipelines++;
    return INGLE_OK;
}

/* WebGPU: a buffer that one binding writes may be in no other binding that reads, wherever; two that
 * write must not overlap. */
static ingle_status check_overlaps(const null_player *p, const null_group *g, ingle_error *err)
{
    const null_pipeline *pl = &p->pipelines.items[g->pipeline];
    for (uint32_t i = 0; i < pl->n_bindings; i++)
        for (uint32_t k = 0; k < i; k++) {
            const null_binding *a = &g->bindings[i], *b = &g->bindings[k];
            const bool a_writes = pl->writes >> i & 1, b_writes = pl->writes >> k & 1;
            const bool apart = a->offset + a->bytes <= b->offset || b->offset + b->bytes <= a->offset;
            if (a->buffer == b->buffer && (a_writes != b_writes || (a_writes && !apart)))
                return fault(err, "GROUP of %s: buffer %u (%s) in bindings %u and %u, %s", pl->label, a->buffer,
                             p->buffers.items[a->buffer].label, k, i,
                             a_writes && b_writes ? "which overlap" : "one of which writes");
        }
    return INGLE_OK;
}

static ingle_status check_group(null_player *p, const uint32_t *w, ingle_error *err)
{
    const bool again = w[0] < p->groups.n;
    if (w[0] > p->groups.n || w[1] >= p->pipelines.n)
        return fault(err, "GROUP %u is out of order, or of no pipeline: %u", w[0], w[1]);
    if (again && p->groups.items[w[0]].alive)
        return fault(err, "GROUP %u is there already", w[0]);
    const null_pipeline *pl = &p->pipelines.items[w[1]];
    null_group g = {.pipeline = w[1], .alive = true, .made = again ? p->groups.items[w[0]].made + 1 : 0};
    if (w[2] != pl->n_bindings)
        return fault(err, "GROUP %u has %u bindings, %s has %u", w[0], w[2], pl->label, pl->n_bindings);
    for (uint32_t i = 0; i < w[2]; i++) {
        const uint32_t *b = w + 3 + i * TAPE_GROUP_WORDS;
        g.bindings[i] = (null_binding){b[0], tape_u64(b + 1), tape_u64(b + 3)};
        char command[64];
        snprintf(command, sizeof command, "GROUP of %s", pl->label);
        const ingle_status status = check_range(p, command, b[0], tape_u64(b + 1), tape_u64(b + 3), BINDING_ALIGN, err);
        if (status != INGLE_OK)
            return status;
        if (g.bindings[i].bytes > p->limits.max_binding)
            return fault(err, "GROUP of %s: binding %u has %llu bytes, %llu are allowed", pl->label, i,
                         LLU(g.bindings[i].bytes), LLU(p->limits.max_binding));
    }
    const ingle_status status = check_overlaps(p, &g, err);
    if (status != INGLE_OK)
        return status;
    if (!again && !GROW(p, p->groups))
        return no_memory(err);
    p->groups.items[w[0]] = g;
    p->groups.n += !again;
    p->counts.groups++;
    p->counts.group_numbers = p->groups.n;
    return INGLE_OK;
}

/* ---- dispatches ----------------------------------------------------------------------------------- */

/* What can be known when a dispatch is written down: w is pipeline, group, x, y, z. */
static ingle_status check_dispatch_words(const null_player *p, const char *command, const uint32_t *w, ingle_error *err)
{
    if (w[0] >= p->pipelines.n || w[1] >= p->groups.n)
        return fault(err, "%s: there is no pipeline %u or no group %u", command, w[0], w[1]);
    const null_pipeline *pl = &p->pipelines.items[w[0]], *of = &p->pipelines.items[p->groups.items[w[1]].pipeline];
    if (pl->n_bindings != of->n_bindings || pl->writes != of->writes)
        return fault(err, "%s of %s with group %u, which was made for %s", command, pl->label, w[1], of->label);
    for (int i = 2; i < 5; i++)
        if (w[i] == 0 || w[i] > p->limits.max_groups)
            return fault(err, "%s of %s: a grid of %u x %u x %u, up to %u are allowed", command, pl->label, w[2], w[3],
                         w[4], p->limits.max_groups);
    return INGLE_OK;
}

/* What must be so when it runs; it does. */
static ingle_status run_dispatch(null_player *p, const char *command, null_dispatch d, ingle_error *err)
{
    const null_pipeline *pl = &p->pipelines.items[d.pipeline];
    const null_group *g = &p->groups.items[d.group];
    if (!pl->ready)
        return fault(err, "%s of %s, which is not known to be ready: wait for READY", command, pl->label);
    if (!g->alive || g->made != d.group_made)
        return fault(err, "%s of %s with group %u, a buffer of which was freed", command, pl->label, d.group);
    for (uint32_t i = 0; i < pl->n_bindings; i++)
        use(p, g->bindings[i].buffer);
    p->counts.passes += !p->in_pass;
    p->in_pass = p->recording = true;
    p->counts.dispatches++;
    return INGLE_OK;
}

/* Of words that were checked. */
static null_dispatch dispatch_at(const null_player *p, const uint32_t *w)
{
    return (null_dispatch){w[0], w[1], p->groups.items[w[1]].made};
}

static ingle_status check_dispatch(null_player *p, const uint32_t *w, ingle_error *err)
{
    const ingle_status status = check_dispatch_words(p, "DISPATCH", w, err);
    return status == INGLE_OK ? run_dispatch(p, "DISPATCH", dispatch_at(p, w), err) : status;
}

static ingle_status check_section(null_player *p, const uint32_t *w, ingle_error *err)
{
    const uint32_t number = w[0], n = w[1];
    if (number > p->sections.n)
        return fault(err, "SECTION %u is out of order", number);
    null_dispatch *dispatches = mem_zero(&p->allocator, n ? n : 1, sizeof *dispatches);
    const bool room = dispatches && (number < p->sections.n || GROW(p, p->sections));
    ingle_status status = room ? INGLE_OK : no_memory(err);
    for (uint32_t i = 0; i < n && status == INGLE_OK; i++) {
        const uint32_t *d = w + 2 + (size_t)i * TAPE_SECTION_WORDS;
        status = check_dispatch_words(p, "SECTION", d, err);
        if (status == INGLE_OK)
            dispatches[i] = dispatch_at(p, d);
    }
    if (status != INGLE_OK) {
        mem_free(&p->allocator, dispatches);
        return status;
    }
    if (number == p->sections.n)
        p->sections.items[p->sections.n++] = (null_section){0};
    mem_free(&p->allocator, p->sections.items[number].dispatches);
    p->sections.items[number] = (null_section){dispatches, n};
    return INGLE_OK;
}

static ingle_status check_run(null_player *p, const uint32_t *w, ingle_error *err)
{
    if (w[0] >= p->sections.n)
        return fault(err, "RUN: there is no section %u", w[0]);
    const null_section *s = &p->sections.items[w[0]];
    for (uint32_t times = w[1]; times; times--)
        for (uint32_t i = 0; i < s->n; i++) {
            const ingle_status status = run_dispatch(p, "RUN", s->dispatches[i], err);
            if (status != INGLE_OK)
                return status;
        }
    return INGLE_OK;
}

/* ---- answers -------------------------------------------------------------------------------------- */

static ingle_status add_ticket(null_player *p, const char *command, uint32_t number, null_ticket t, ingle_error *err)
{
    if (number != p->tickets.n)
        return fault(err, "%s: ticket %u is out of order", command, number);
    if (!GROW(p, p->tickets))
        return no_memory(err);
    p->tickets.items[p->tickets.n++] = t;
    return INGLE_OK;
}

static ingle_status check_read(null_player *p, const uint32_t *w, ingle_error *err)
{
    ingle_status status = check_range(p, "READ", w[0], tape_u64(w + 1), w[5], WORD_ALIGN, err);
    if (status == INGLE_OK && !tape_address(w + 3))
        status = fault(err, "READ of buffer %u (%s) to nowhere", w[0], p->buffers.items[w[0]].label);
    if (status == INGLE_OK)
        status = add_ticket(p, "READ", w[6], (null_ticket){NULL_READ, w[5], tape_address(w + 3)}, err);
    if (status != INGLE_OK)
        return status;
    p->recording = true; // the copy to where it can be read
    submit(p);
    p->counts.read += w[5];
    return INGLE_OK;
}

static ingle_status check_ready(null_player *p, const uint32_t *w, ingle_error *err)
{
    return add_ticket(p, "READY", w[0], (null_ticket){NULL_READY, (uint32_t)p->pipelines.n, NULL}, err);
}

static ingle_status check_stamp(null_player *p, const uint32_t *w, ingle_error *err)
{
    p->in_pass = false;
    return add_ticket(p, "STAMP", w[0], (null_ticket){.kind = NULL_STAMP}, err);
}

static ingle_status check_submit(null_player *p, const uint32_t *w, ingle_error *err)
{
    (void)w, (void)err;
    submit(p);
    return INGLE_OK;
}

static ingle_status null_play(void *user, const uint32_t *words, size_t n, ingle_error *err)
{
    typedef ingle_status command_fn(null_player *p, const uint32_t *w, ingle_error *err);
    static command_fn *const commands[TAPE_COMMAND_COUNT] = {
        [TAPE_BUFFER] = check_buffer, [TAPE_FREE] = check_free,       [TAPE_WRITE] = check_write,
        [TAPE_PIPELINE] = check_pipeline, [TAPE_GROUP] = check_group, [TAPE_SECTION] = check_section,
        [TAPE_DISPATCH] = check_dispatch, [TAPE_RUN] = check_run,     [TAPE_COPY] = check_copy,
        [TAPE_READ] = check_read, [TAPE_READY] = check_ready,         [TAPE_STAMP] = check_stamp,
        [TAPE_SUBMIT] = check_submit,
    };
    ingle_status status = n ? INGLE_OK : fault(err, "nothing to play");
    for (size_t at = 0, size; status == INGLE_OK && at < n; at += size) {
        size = tape_command_words(words + at, n - at);
        if (size == 0)
            return fault(err, "word %zu of %zu is %u: no command, or cut short", at, n, words[at]);
        status = commands[words[at]](user, words + at + 1, err);
    }
    return status;
}

static ingle_status null_wait(void *user, uint32_t ticket, uint64_t *answer, ingle_error *err)
{
    null_player *p = user;
    if (ticket >= p->tickets.n || p->tickets.items[ticket].kind == NULL_ANSWERED)
        return fault(err, "ticket %u was not given, or answered already", ticket);
    null_ticket *t = &p->tickets.items[ticket];
    if (t->kind == NULL_READ)
        memset(t->to, 0, t->n);
    for (uint32_t i = 0; t->kind == NULL_READY && i < t->n; i++)
        p->pipelines.items[i].ready = true;
    t->kind = NULL_ANSWERED;
    if (answer)
        *answer = 0;
    return INGLE_OK;
}

/* ---- opening and closing -------------------------------------------------------------------------- */

static void null_close(void *user)
{
    null_player *p = user;
    const ingle_allocator a = p->allocator;
    for (size_t i = 0; i < p->sections.n; i++)
        mem_free(&a, p->sections.items[i].dispatches);
    mem_free(&a, p->buffers.items);
    mem_free(&a, p->pipelines.items);
    mem_free(&a, p->groups.items);
    mem_free(&a, p->sections.items);
    mem_free(&a, p->tickets.items);
    mem_free(&a, p);
}

ingle_status gpu_null_open(gpu_player *out, const gpu_limits *limits, const ingle_allocator *a, ingle_error *err)
{
    static const gpu_limits least = {
        .name = "no GPU",
        .max_buffer = 256u << 20,
        .max_binding = 128u << 20,
        .max_workgroup_memory = 16384,
        .max_workgroup_threads = 256,
        .max_groups = 65535,
        .max_bindings = 8,
    };
    *out = (gpu_player){0};
    null_player *p = mem_zero(a, 1, sizeof *p);
    if (!p)
        return error_memory(err, sizeof *p, "a null player");
    if (a)
        p->allocator = *a;
    p->limits = limits ? *limits : least;
    *out = (gpu_player){.user = p, .limits = p->limits, .play = null_play, .wait = null_wait, .close = null_close, .blind = true};
    return INGLE_OK;
}

const gpu_null_counts *gpu_null_get_counts(const gpu_player *p)
{
    return &((const null_player *)p->user)->counts;
}
