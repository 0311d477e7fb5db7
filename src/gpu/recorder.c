#include "gpu/recorder.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"

struct recorder_kernel {
    char *recipe, *source; // source: until it has been played
    size_t n_recipe;
    uint32_t hash; // of the recipe
    const char *label; // the caller's, static
    shader_binding bindings[TAPE_MAX_BINDINGS];
    uint32_t n_bindings;
};

struct recorder_group {
    uint32_t kernel; // UINT32_MAX: dead
    uint32_t hash;   // of a dead one: the next dead one's number
    gpu_slice slices[TAPE_MAX_BINDINGS];
};

static void fail(recorder *r, ingle_status status, const char *fmt, ...) INGLE_PRINTF(3, 4);

static void fail(recorder *r, ingle_status status, const char *fmt, ...)
{
    if (r->error.status != INGLE_OK)
        return;
    char text[sizeof r->error.text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    error_set(&r->error, status, "%s", text);
}

static bool working(const recorder *r)
{
    return r->error.status == INGLE_OK;
}

void recorder_init(recorder *r, gpu_player *p, const gpu_modes *modes, const ingle_allocator *a)
{
    *r = (recorder){.player = p, .modes = *modes, .dead_group = UINT32_MAX};
    if (a)
        r->allocator = r->tape.allocator = r->section.allocator = *a;
}

void recorder_free(recorder *r)
{
    for (size_t i = 0; i < r->n_kernels; i++) {
        mem_free(&r->allocator, r->kernels[i].recipe);
        mem_free(&r->allocator, r->kernels[i].source);
    }
    mem_free(&r->allocator, r->kernels);
    mem_free(&r->allocator, r->groups);
    mem_free(&r->allocator, r->free_buffers);
    mem_free(&r->allocator, r->free_sections);
    tape_free(&r->tape);
    tape_free(&r->section);
}

static void add_command(recorder *r, tape_command command)
{
    tape_add(&r->tape, command);
}

static void add_label(recorder *r, const char *label)
{
    tape_add_address(&r->tape, label);
    tape_add(&r->tape, (uint32_t)strlen(label));
}

/* ---- buffers ---------------------------------------------------------------------------------- */

gpu_slice recorder_buffer(recorder *r, uint64_t bytes, const char *label)
{
    bytes = (bytes + GPU_ALIGN - 1) / GPU_ALIGN * GPU_ALIGN;
    bytes = bytes ? bytes : GPU_ALIGN;
    if (bytes > r->player->limits.max_buffer)
        fail(r, INGLE_ERR_MEMORY, "%s: a buffer of %llu bytes; this GPU allows %llu", label,
             (unsigned long long)bytes, (unsigned long long)r->player->limits.max_buffer);
    if (!working(r))
        return (gpu_slice){0};
    const uint32_t buffer = r->n_free ? r->free_buffers[--r->n_free] : r->n_buffers++;
    add_command(r, TAPE_BUFFER);
    tape_add(&r->tape, buffer);
    tape_add64(&r->tape, bytes);
    add_label(r, label);
    return (gpu_slice){buffer, 0, bytes};
}

/* Groups with the buffer are dead: another buffer may get its number, and other groups theirs. */
static void forget_groups(recorder *r, uint32_t buffer)
{
    for (uint32_t i = 0; i < r->n_groups; i++) {
        recorder_group *g = &r->groups[i];
        for (uint32_t k = 0; g->kernel != UINT32_MAX && k < r->kernels[g->kernel].n_bindings; k++)
            if (g->slices[k].buffer == buffer) {
                *g = (recorder_group){.kernel = UINT32_MAX, .hash = r->dead_group};
                r->dead_group = i;
            }
    }
}

void recorder_drop(recorder *r, gpu_slice *whole)
{
    if (!working(r) || whole->bytes == 0)
        return;
    uint32_t *free_buffers =
        mem_grow(&r->allocator, r->free_buffers, r->n_free, &r->free_capacity, sizeof *free_buffers);
    if (free_buffers) {
        r->free_buffers = free_buffers;
        r->free_buffers[r->n_free++] = whole->buffer;
    }
    forget_groups(r, whole->buffer);
    add_command(r, TAPE_FREE);
    tape_add(&r->tape, whole->buffer);
    *whole = (gpu_slice){0};
}

gpu_slice gpu_part(gpu_slice s, uint64_t offset, uint64_t bytes)
{
    return (gpu_slice){s.buffer, s.offset + offset, bytes};
}

void recorder_write(recorder *r, gpu_slice to, const void *from, size_t bytes)
{
    if (!working(r) || bytes == 0)
        return;
    add_command(r, TAPE_WRITE);
    tape_add(&r->tape, to.buffer);
    tape_add64(&r->tape, to.offset);
    tape_add_address(&r->tape, from);
    tape_add(&r->tape, (uint32_t)bytes);
}

/* ---- kernels ---------------------------------------------------------------------------------- */

static uint32_t add_kernel(recorder *r, shader *s, uint32_t hash, const char *label)
{
    recorder_kernel *kernels = mem_grow(&r->allocator, r->kernels, r->n_kernels, &r->kernels_capacity, sizeof *kernels);
    if (!kernels) {
        fail(r, INGLE_ERR_MEMORY, "no memory for kernel %s", label);
        return 0;
    }
    r->kernels = kernels;
    recorder_kernel *k = &kernels[r->n_kernels];
    *k = (recorder_kernel){.recipe = s->recipe.bytes, .n_recipe = s->recipe.n, .source = s->head.bytes, .hash = hash,
                           .label = label, .n_bindings = s->n_bindings};
    memcpy(k->bindings, s->bindings, sizeof k->bindings);
    s->recipe.bytes = s->head.bytes = NULL; // taken
    uint32_t writes = 0;
    for (uint32_t i = 0; i < k->n_bindings; i++)
        writes |= (uint32_t)k->bindings[i].writes << i;
    add_command(r, TAPE_PIPELINE);
    tape_add(&r->tape, (uint32_t)r->n_kernels);
    tape_add_address(&r->tape, k->source);
    tape_add(&r->tape, (uint32_t)s->head.n);
    tape_add(&r->tape, k->n_bindings);
    tape_add(&r->tape, writes);
    add_label(r, label);
    return (uint32_t)r->n_kernels++;
}

static uint32_t find_kernel(const recorder *r, str recipe, uint32_t hash)
{
    uint32_t i = 0;
    while (i < r->n_kernels && !(r->kernels[i].hash == hash &&
                                 str_equal(recipe, (str){r->kernels[i].recipe, r->kernels[i].n_recipe})))
        i++;
    return i;
}

uint32_t recorder_kernel_of(recorder *r, shader *s, const char *label)
{
    const str recipe = {s->recipe.bytes, s->recipe.n};
    const uint32_t hash = str_hash(recipe);
    uint32_t kernel = working(r) && s->status == INGLE_OK ? find_kernel(r, recipe, hash) : 0;
    if (working(r) && kernel == r->n_kernels)
        shader_write(s);
    if (s->status != INGLE_OK)
        fail(r, s->status, "kernel %s: %s", label, s->status == INGLE_ERR_MEMORY ? "no memory" : s->fault);
    if (working(r) && kernel == r->n_kernels)
        kernel = add_kernel(r, s, hash, label);
    shader_free(s);
    return kernel;
}

/* ---- dispatches ------------------------------------------------------------------------------- */

static uint32_t group_hash(uint32_t kernel, const gpu_slice *slices, uint32_t n)
{
    uint64_t h = kernel + 1;
    for (uint32_t i = 0; i < n; i++)
        h = (h ^ slices[i].buffer ^ slices[i].offset << 20 ^ slices[i].bytes << 7) * 0x9E3779B97F4A7C15u;
    return (uint32_t)(h >> 32);
}

static bool same_slices(const gpu_slice *a, const gpu_slice *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (a[i].buffer != b[i].buffer || a[i].offset != b[i].offset || a[i].bytes != b[i].bytes)
            return false;
    return true;
}

static uint32_t add_group(recorder *r, uint32_t kernel, uint32_t hash, const gpu_slice *slices)
{
    const uint32_t n = r->kernels[kernel].n_bindings;
    const bool dead = r->dead_group != UINT32_MAX;
    recorder_group *groups =
        dead ? r->groups : mem_grow(&r->allocator, r->groups, r->n_groups, &r->groups_capacity, sizeof *groups);
    if (!groups) {
        fail(r, INGLE_ERR_MEMORY, "no memory for a group");
        return 0;
    }
    r->groups = groups;
    const uint32_t number = dead ? r->dead_group : r->n_groups++;
    recorder_group *g = &groups[number];
    r->dead_group = dead ? g->hash : UINT32_MAX;
    *g = (recorder_group){.kernel = kernel, .hash = hash};
    memcpy(g->slices, slices, n * sizeof *slices);
    add_command(r, TAPE_GROUP);
    tape_add(&r->tape, number);
    tape_add(&r->tape, kernel);
    tape_add(&r->tape, n);
    for (uint32_t i = 0; i < n; i++) {
        tape_add(&r->tape, slices[i].buffer);
        tape_add64(&r->tape, slices[i].offset);
        tape_add64(&r->tape, slices[i].bytes);
    }
    return number;
}

static uint32_t find_group(recorder *r, uint32_t kernel, const gpu_slice *slices)
{
    const uint32_t n = r->kernels[kernel].n_bindings, hash = group_hash(kernel, slices, n);
    for (uint32_t i = 0; i < r->n_groups; i++)
        if (r->groups[i].hash == hash && r->groups[i].kernel == kernel && same_slices(r->groups[i].slices, slices, n))
            return i;
    return add_group(r, kernel, hash, slices);
}

static void list(recorder *r, const recorder_kernel *k, const gpu_slice *slices, const uint64_t grid[3])
{
    char line[160];
    snprintf(line, sizeof line, "%-20s %5llu %4llu %4llu ", k->label, (unsigned long long)grid[0],
             (unsigned long long)grid[1], (unsigned long long)grid[2]);
    bool ok = text_add_str(r->listing, str_of(line));
    for (uint32_t i = 0; ok && i < k->n_bindings; i++) {
        snprintf(line, sizeof line, " %s%s=%u", k->bindings[i].name, k->bindings[i].writes ? "!" : "", slices[i].buffer);
        ok = text_add_str(r->listing, str_of(line));
        if (ok && slices[i].offset) {
            snprintf(line, sizeof line, "+%llu", (unsigned long long)slices[i].offset);
            ok = text_add_str(r->listing, str_of(line));
        }
    }
    if (!ok || !text_add_byte(r->listing, '\n'))
        fail(r, INGLE_ERR_MEMORY, "no memory for a listing");
}

/* Slices in the order of the kernel's bindings; false if one is missing or too large. */
static bool match(recorder *r, const recorder_kernel *k, const gpu_bind *binds, size_t n, gpu_slice *out)
{
    for (uint32_t i = 0; i < k->n_bindings; i++) {
        size_t b = 0;
        while (b < n && strcmp(binds[b].name, k->bindings[i].name) != 0)
            b++;
        if (b == n || binds[b].slice.bytes == 0)
            fail(r, INGLE_ERR_INTERNAL, "kernel %s: nothing is bound to %s", k->label, k->bindings[i].name);
        else if (binds[b].slice.bytes > r->player->limits.max_binding)
            fail(r, INGLE_ERR_MEMORY, "kernel %s: %llu bytes for %s; this GPU binds %llu at most", k->label,
                 (unsigned long long)binds[b].slice.bytes, k->bindings[i].name,
                 (unsigned long long)r->player->limits.max_binding);
        else
            out[i] = binds[b].slice;
    }
    return working(r);
}

void recorder_dispatch(recorder *r, uint32_t kernel, const gpu_bind *binds, size_t n, uint64_t x, uint64_t y, uint64_t z)
{
    gpu_slice slices[TAPE_MAX_BINDINGS];
    const uint64_t grid[3] = {x, y, z};
    if (!working(r) || !match(r, &r->kernels[kernel], binds, n, slices))
        return;
    for (int i = 0; i < 3; i++)
        if (grid[i] == 0 || grid[i] > r->player->limits.max_groups)
            fail(r, INGLE_ERR_INTERNAL, "kernel %s: a grid of %llu x %llu x %llu", r->kernels[kernel].label,
                 (unsigned long long)x, (unsigned long long)y, (unsigned long long)z);
    if (!working(r))
        return;
    const uint32_t group = find_group(r, kernel, slices);
    tape *t = r->in_section ? &r->section : &r->tape;
    if (!r->in_section)
        tape_add(t, TAPE_DISPATCH);
    tape_add(t, kernel);
    tape_add(t, group);
    for (int i = 0; i < 3; i++)
        tape_add(t, (uint32_t)grid[i]);
    if (r->listing)
        list(r, &r->kernels[kernel], slices, grid);
}

/* ---- sections, reading, playing --------------------------------------------------------------- */

void recorder_section_again(recorder *r, uint32_t section)
{
    r->in_section = true;
    r->open_section = section;
    r->section.n = 0;
}

uint32_t recorder_section(recorder *r)
{
    recorder_section_again(r, r->n_free_sections ? r->free_sections[r->n_free_sections - 1] : r->n_sections);
    return r->open_section;
}

void recorder_drop_section(recorder *r, uint32_t section)
{
    uint32_t *list = mem_grow(&r->allocator, r->free_sections, r->n_free_sections, &r->free_sections_capacity, sizeof *list);
    if (!list)
        return;
    r->free_sections = list;
    list[r->n_free_sections++] = section;
}

void recorder_section_end(recorder *r)
{
    r->in_section = false;
    if (r->section.failed)
        fail(r, INGLE_ERR_MEMORY, "no memory for a section of %zu words", r->section.n);
    if (!working(r))
        return;
    if (r->open_section == r->n_sections) // a number is taken when there is something under it
        r->n_sections++;
    else if (r->n_free_sections && r->open_section == r->free_sections[r->n_free_sections - 1])
        r->n_free_sections--;
    add_command(r, TAPE_SECTION);
    tape_add(&r->tape, r->open_section);
    tape_add(&r->tape, (uint32_t)(r->section.n / TAPE_SECTION_WORDS));
    for (size_t i = 0; i < r->section.n; i++)
        tape_add(&r->tape, r->section.words[i]);
}

void recorder_run(recorder *r, uint32_t section, uint32_t times)
{
    if (!working(r))
        return;
    add_command(r, TAPE_RUN);
    tape_add(&r->tape, section);
    tape_add(&r->tape, times);
}

void recorder_copy(recorder *r, gpu_slice from, gpu_slice to)
{
    if (!working(r))
        return;
    add_command(r, TAPE_COPY);
    tape_add(&r->tape, from.buffer);
    tape_add64(&r->tape, from.offset);
    tape_add(&r->tape, to.buffer);
    tape_add64(&r->tape, to.offset);
    tape_add64(&r->tape, from.bytes);
}

uint32_t recorder_read(recorder *r, gpu_slice from, void *to)
{
    if (!working(r))
        return 0;
    add_command(r, TAPE_READ);
    tape_add(&r->tape, from.buffer);
    tape_add64(&r->tape, from.offset);
    tape_add_address(&r->tape, to);
    tape_add(&r->tape, (uint32_t)from.bytes);
    tape_add(&r->tape, r->n_tickets);
    return r->n_tickets++;
}

static uint32_t ask(recorder *r, tape_command command)
{
    if (!working(r))
        return 0;
    add_command(r, command);
    tape_add(&r->tape, r->n_tickets);
    return r->n_tickets++;
}

uint32_t recorder_ready(recorder *r)
{
    return ask(r, TAPE_READY);
}

uint32_t recorder_stamp(recorder *r)
{
    return ask(r, TAPE_STAMP);
}

void recorder_submit(recorder *r)
{
    if (working(r))
        add_command(r, TAPE_SUBMIT);
}

static ingle_status report(const recorder *r, ingle_error *err)
{
    if (err)
        *err = r->error;
    return r->error.status;
}

ingle_status recorder_play(recorder *r, ingle_error *err)
{
    if (r->tape.failed)
        fail(r, INGLE_ERR_MEMORY, "no memory for a tape of %zu words", r->tape.n);
    r->broken = r->broken || r->tape.failed;
    if (!r->broken && r->tape.n) { // after a failure, too: objects that were numbered before it must be there
        ingle_error e = {0};
        r->broken = r->player->play(r->player->user, r->tape.words, r->tape.n, &e) != INGLE_OK;
        if (r->broken && working(r))
            r->error = e;
    }
    r->tape.n = 0;
    for (; r->n_played < r->n_kernels; r->n_played++) {
        mem_free(&r->allocator, r->kernels[r->n_played].source);
        r->kernels[r->n_played].source = NULL;
    }
    return report(r, err);
}

bool recorder_recover(recorder *r)
{
    ingle_error ignored;
    if (working(r))
        return true;
    recorder_play(r, &ignored);
    if (r->broken)
        return false;
    r->error = (ingle_error){0};
    r->section.failed = r->in_section = false;
    return true;
}

ingle_status recorder_wait(recorder *r, uint32_t ticket, uint64_t *answer, ingle_error *err)
{
    if (!working(r))
        return report(r, err);
    ingle_error e = {0};
    const ingle_status status = r->player->wait(r->player->user, ticket, answer, &e);
    if (status != INGLE_OK && status != INGLE_WAIT)
        r->error = e;
    r->broken = r->broken || !working(r);
    if (err)
        *err = e;
    return status == INGLE_WAIT ? error_set(err, INGLE_WAIT, "the GPU has not answered yet") : status;
}
