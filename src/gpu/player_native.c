/* A tape carried out by Dawn (dawn.h). Owns the device's objects, by their numbers, and the read-backs
 * under way. Refuses, as ERR_INTERNAL, tapes that name what is not there; whether buffers, bindings and
 * grids fit together is Dawn's to check. A tape stops at the command that failed.
 *
 * Dispatches are three calls on handles found beforehand: a section is resolved when it first runs.
 * Read-backs each have a staging buffer of their own, mapped without waiting for one another, and used
 * again when answered. */
#include "gpu/player.h"

#include <stdio.h>

#include "base/error.h"
#include "gpu/dawn.h"
#include "gpu/tape_read.h"
#include "host/host.h"

enum { STAMPS = 64, STAMP_STRIDE = 256, STAGING_LEAST = 4096, WRITES_AHEAD = 32 << 20 };

typedef struct {
    dawn_buffer handle; // NULL = free
    uint64_t bytes;
} native_buffer;

/* Layouts that kernels share: by how many bindings there are and which of them are written. */
typedef struct {
    uint32_t n, writes;
    dawn_group_layout group;
    dawn_pipeline_layout pipeline;
} native_layout;

typedef enum { PIPELINE_COMPILING, PIPELINE_READY, PIPELINE_FAILED } pipeline_state;

typedef struct {
    dawn_pipeline handle;
    dawn_future future;
    uint32_t layout;
    pipeline_state state;
    bool told; // that it failed, since a section last named it
    char label[TAPE_LABEL];
    char *fault; // NULL = Dawn said nothing
} native_pipeline;

typedef struct {
    dawn_group handle; // NULL = dead
    uint32_t made;     // how many had the number before
    uint32_t n;
    uint32_t buffers[TAPE_MAX_BINDINGS];
} native_group;

typedef struct {
    dawn_pipeline pipeline;
    dawn_group group;
    uint32_t pipeline_number, group_number, group_made, x, y, z;
} native_dispatch;

typedef struct {
    native_dispatch *dispatches; // [n]
    uint32_t n;
    bool resolved; // handles are those of the numbers
} native_section;

typedef struct {
    dawn_buffer handle;
    uint64_t bytes;
    dawn_future mapping;
    bool busy, mapped;
} native_staging;

typedef enum { TICKET_READ, TICKET_STAMP, TICKET_NO_STAMP, TICKET_READY } ticket_kind;

typedef struct {
    uint32_t ticket;
    ticket_kind kind;
    bool submitted;   // reads and stamps: mapping is under way
    uint32_t staging; // their staging buffer
    uint32_t n;       // READY: how many pipelines
    void *to;
    uint64_t bytes;
} native_ticket;

typedef struct {
    dawn d;
    gpu_limits limits;
    ingle_allocator allocator;
    TAPE_LIST(native_buffer) buffers;
    TAPE_LIST(native_layout) layouts;
    TAPE_LIST(native_pipeline) pipelines;
    TAPE_LIST(native_group) groups;
    TAPE_LIST(native_section) sections;
    TAPE_LIST(native_staging) staging;
    TAPE_LIST(native_ticket) tickets; // not yet answered
    dawn_encoder encoder;        // NULL = nothing is recorded
    dawn_pass pass;              // NULL = none is open
    dawn_pipeline pass_pipeline; // what the pass has set
    dawn_group pass_group;
    dawn_query_set queries;
    dawn_buffer stamps; // resolved, STAMP_STRIDE bytes each
    uint32_t n_stamps;  // in the encoder
    uint64_t written;   // bytes since the GPU was last waited for
    char map_text[160]; // why mapping failed
    void *grown;        // GROW's
    char cache_name[16]; // of the file with what is kept for this adapter
} native;

static ingle_status no_memory(ingle_error *err)
{
    return error_set(err, INGLE_ERR_MEMORY, "no memory for the GPU's objects");
}

static ingle_status wrong(ingle_error *err, const char *what, uint32_t number)
{
    return error_set(err, INGLE_ERR_INTERNAL, "tape: %s %u", what, number);
}

#define GROW(p, list) TAPE_GROW(&(p)->allocator, list, (p)->grown)

static dawn_text text_at(const uint32_t *w)
{
    return (dawn_text){tape_address(w), w[2]};
}

static dawn_buffer buffer_of(const native *p, uint32_t number)
{
    return number < p->buffers.n ? p->buffers.items[number].handle : NULL;
}

/* ---- recording ------------------------------------------------------------------------------------ */

static dawn_encoder encoder(native *p)
{
    static const dawn_label_desc desc = {.label = {"tape", 4}};
    if (!p->encoder)
        p->encoder = p->d.call.DeviceCreateCommandEncoder(p->d.device, &desc);
    return p->encoder;
}

static dawn_pass begin_pass(native *p, const char *label, size_t n, const dawn_pass_timestamps *timestamps)
{
    const dawn_pass_desc desc = {.label = {label, n}, .timestamps = timestamps};
    return p->d.call.CommandEncoderBeginComputePass(encoder(p), &desc);
}

static dawn_pass open_pass(native *p)
{
    if (!p->pass) {
        p->pass = begin_pass(p, "dispatches", 10, NULL);
        p->pass_pipeline = NULL;
        p->pass_group = NULL;
    }
    return p->pass;
}

static void end_pass(native *p)
{
    if (!p->pass)
        return;
    p->d.call.ComputePassEncoderEnd(p->pass);
    p->d.call.ComputePassEncoderRelease(p->pass);
    p->pass = NULL;
}

static void on_mapped(uint32_t status, dawn_text message, void *user1, void *user2)
{
    native *p = user1;
    p->staging.items[(uintptr_t)user2].mapped = status == DAWN_SUCCESS;
    if (status != DAWN_SUCCESS)
        dawn_copy_text(p->map_text, sizeof p->map_text, message);
}

/* A buffer that is being mapped may not be in what is submitted, so this comes after. */
static void map_staging(native *p)
{
    for (size_t i = 0; i < p->tickets.n; i++) {
        native_ticket *t = &p->tickets.items[i];
        if (t->submitted || (t->kind != TICKET_READ && t->kind != TICKET_STAMP))
            continue;
        native_staging *s = &p->staging.items[t->staging];
        const dawn_callback callback = {NULL, DAWN_WAIT_ANY_ONLY, (host_function *)on_mapped, p,
                                        (void *)(uintptr_t)t->staging};
        s->mapping = p->d.call.BufferMapAsync(s->handle, DAWN_MAP_READ, 0, (size_t)t->bytes, callback);
        t->submitted = true;
    }
}

static void submit(native *p)
{
    static const dawn_label_desc desc = {.label = {"tape", 4}};
    if (!p->encoder)
        return;
    end_pass(p);
    const dawn_commands commands = p->d.call.CommandEncoderFinish(p->encoder, &desc);
    p->d.call.QueueSubmit(p->d.queue, 1, &commands);
    p->d.call.CommandBufferRelease(commands);
    p->d.call.CommandEncoderRelease(p->encoder);
    p->encoder = NULL;
    p->n_stamps = 0;
    map_staging(p);
}

/* ---- buffers -------------------------------------------------------------------------------------- */

static dawn_buffer create_buffer(native *p, uint64_t bytes, uint64_t usage, dawn_text label)
{
    const dawn_buffer_desc desc = {.label = label, .usage = usage, .bytes = bytes};
    return p->d.call.DeviceCreateBuffer(p->d.device, &desc);
}

static void drop_buffer(native *p, dawn_buffer b)
{
    if (!b)
        return;
    p->d.call.BufferDestroy(b);
    p->d.call.BufferRelease(b);
}

static ingle_status play_buffer(native *p, const uint32_t *w, ingle_error *err)
{
    const uint32_t number = w[0];
    const uint64_t bytes = tape_u64(w + 1);
    char label[TAPE_LABEL];
    tape_label(label, w + 3);
    if (number > p->buffers.n || buffer_of(p, number))
        return wrong(err, "BUFFER is out of order or there already:", number);
    if (bytes > p->limits.max_buffer)
        return error_set(err, INGLE_ERR_MEMORY, "buffer %s: %llu bytes; this GPU allows %llu", label,
                         (unsigned long long)bytes, (unsigned long long)p->limits.max_buffer);
    if (number == p->buffers.n && !GROW(p, p->buffers))
        return no_memory(err);
    const dawn_buffer handle =
        create_buffer(p, bytes, DAWN_USE_STORAGE | DAWN_USE_COPY_FROM | DAWN_USE_COPY_TO, text_at(w + 3));
    const ingle_status status = dawn_check(&p->d, "buffer", label, err);
    if (status != INGLE_OK || !handle) {
        drop_buffer(p, handle);
        return status != INGLE_OK ? status : error_set(err, INGLE_ERR_MEMORY, "buffer %s: the GPU gave none", label);
    }
    p->buffers.items[number] = (native_buffer){handle, bytes};
    p->buffers.n += number == p->buffers.n;
    return INGLE_OK;
}

static bool group_has(const native_group *g, uint32_t buffer)
{
    for (uint32_t i = 0; i < g->n; i++)
        if (g->buffers[i] == buffer)
            return true;
    return false;
}

/* What is recorded may use the buffer, and must reach the GPU while there is one. Sections are resolved
 * anew: those with a dead group no longer run. */
static ingle_status play_free(native *p, const uint32_t *w, ingle_error *err)
{
    const dawn_buffer handle = buffer_of(p, w[0]);
    if (!handle)
        return wrong(err, "FREE of no buffer", w[0]);
    submit(p);
    for (size_t i = 0; i < p->groups.n; i++) {
        native_group *g = &p->groups.items[i];
        if (!g->handle || !group_has(g, w[0]))
            continue;
        p->d.call.BindGroupRelease(g->handle);
        g->handle = NULL;
    }
    for (size_t i = 0; i < p->sections.n; i++)
        p->sections.items[i].resolved = false;
    drop_buffer(p, handle);
    p->buffers.items[w[0]] = (native_buffer){0};
    return INGLE_OK;
}

static void on_done(uint32_t status, void *user1, void *user2)
{
    (void)status, (void)user1, (void)user2;
}

/* Dawn keeps a copy of what is written until the GPU has taken it. A model's weights would all lie there,
 * so the GPU is waited for now and then. */
static ingle_status play_write(native *p, const uint32_t *w, ingle_error *err)
{
    static const dawn_callback done = {NULL, DAWN_WAIT_ANY_ONLY, (host_function *)on_done, NULL, NULL};
    const dawn_buffer handle = buffer_of(p, w[0]);
    if (!handle)
        return wrong(err, "WRITE to no buffer", w[0]);
    end_pass(p);
    p->d.call.QueueWriteBuffer(p->d.queue, handle, tape_u64(w + 1), tape_address(w + 3), w[5]);
    p->written += w[5];
    if (p->written < WRITES_AHEAD)
        return INGLE_OK;
    dawn_wait(&p->d, p->d.call.QueueOnSubmittedWorkDone(p->d.queue, done));
    p->written = 0;
    return INGLE_OK;
}

static ingle_status play_copy(native *p, const uint32_t *w, ingle_error *err)
{
    const dawn_buffer from = buffer_of(p, w[0]), to = buffer_of(p, w[3]);
    if (!from || !to)
        return wrong(err, "COPY with no buffer", from ? w[3] : w[0]);
    end_pass(p);
    p->d.call.CommandEncoderCopyBufferToBuffer(encoder(p), from, tape_u64(w + 1), to, tape_u64(w + 4), tape_u64(w + 6));
    return INGLE_OK;
}

/* ---- pipelines ------------------------------------------------------------------------------------ */

static void create_layouts(native *p, native_layout *l)
{
    dawn_layout_entry entries[TAPE_MAX_BINDINGS] = {0};
    for (uint32_t i = 0; i < l->n; i++) {
        entries[i].binding = i;
        entries[i].visibility = DAWN_STAGE_COMPUTE;
        entries[i].buffer.type = l->writes >> i & 1 ? DAWN_BINDING_STORAGE : DAWN_BINDING_READ_ONLY_STORAGE;
    }
    const dawn_group_layout_desc group = {.label = {"group", 5}, .n = l->n, .entries = entries};
    l->group = p->d.call.DeviceCreateBindGroupLayout(p->d.device, &group);
    const dawn_pipeline_layout_desc pipeline = {.label = {"pipeline", 8}, .n = 1, .layouts = &l->group};
    l->pipeline = p->d.call.DeviceCreatePipelineLayout(p->d.device, &pipeline);
}

/* The index of the layout; p->layouts.n without memory. */
static size_t find_layout(native *p, uint32_t n, uint32_t writes)
{
    size_t i = 0;
    while (i < p->layouts.n && !(p->layouts.items[i].n == n && p->layouts.items[i].writes == writes))
        i++;
    if (i == p->layouts.n && GROW(p, p->layouts)) {
        p->layouts.items[i] = (native_layout){.n = n, .writes = writes};
        create_layouts(p, &p->layouts.items[i]);
        p->layouts.n++;
    }
    return i;
}

static void keep_fault(native *p, native_pipeline *pl, const char *text)
{
    const size_t n = strlen(text) + 1;
    pl->state = PIPELINE_FAILED;
    if (!pl->fault && n > 1 && (pl->fault = mem_alloc(&p->allocator, n)) != NULL)
        memcpy(pl->fault, text, n);
}

static void on_pipeline(uint32_t status, dawn_pipeline handle, dawn_text message, void *user1, void *user2)
{
    native *p = user1;
    native_pipeline *pl = &p->pipelines.items[(uintptr_t)user2];
    char text[200];
    dawn_copy_text(text, sizeof text, message);
    pl->handle = handle;
    if (status == DAWN_SUCCESS && pl->state == PIPELINE_COMPILING)
        pl->state = PIPELINE_READY;
    else
        keep_fault(p, pl, text);
}

/* What is wrong with the WGSL is known at once, but told when READY is answered, as everywhere else. */
static ingle_status compile(native *p, uint32_t number, dawn_text code, dawn_text label, ingle_error *err)
{
    const dawn_wgsl wgsl = {{NULL, DAWN_CHAIN_WGSL}, code};
    const dawn_label_desc module_desc = {&wgsl.chain, label};
    native_pipeline *pl = &p->pipelines.items[number];
    const dawn_module module = p->d.call.DeviceCreateShaderModule(p->d.device, &module_desc);
    ingle_error e = {0};
    ingle_status status = dawn_check(&p->d, "kernel", pl->label, &e);
    if (status == INGLE_ERR_DEVICE)
        keep_fault(p, pl, e.text);
    else if (status != INGLE_OK && err)
        *err = e;
    if (status == INGLE_OK) {
        const dawn_pipeline_desc desc = {.label = label,
                                         .layout = p->layouts.items[pl->layout].pipeline,
                                         .compute = {.module = module, .entry = {"main", 4}}};
        const dawn_callback callback = {NULL, DAWN_WAIT_ANY_ONLY, (host_function *)on_pipeline, p,
                                        (void *)(uintptr_t)number};
        pl->future = p->d.call.DeviceCreateComputePipelineAsync(p->d.device, &desc, callback);
    }
    if (module)
        p->d.call.ShaderModuleRelease(module);
    return status == INGLE_ERR_DEVICE ? INGLE_OK : status;
}

static ingle_status play_pipeline(native *p, const uint32_t *w, ingle_error *err)
{
    const uint32_t number = w[0], n = w[4];
    if (number != p->pipelines.n || n > TAPE_MAX_BINDINGS)
        return wrong(err, "PIPELINE is out of order, or binds too much:", number);
    const size_t layout = find_layout(p, n, w[5]);
    if (layout == p->layouts.n || !GROW(p, p->pipelines))
        return no_memory(err);
    p->pipelines.items[p->pipelines.n++] = (native_pipeline){.layout = (uint32_t)layout};
    tape_label(p->pipelines.items[number].label, w + 6);
    return compile(p, number, text_at(w + 1), text_at(w + 6), err);
}

static ingle_status play_group(native *p, const uint32_t *w, ingle_error *err)
{
    const uint32_t number = w[0], n = w[2];
    const bool again = number < p->groups.n && !p->groups.items[number].handle;
    if ((number != p->groups.n && !again) || w[1] >= p->pipelines.n)
        return wrong(err, "GROUP is out of order, there already or of no pipeline:", number);
    const native_pipeline *pl = &p->pipelines.items[w[1]];
    native_group g = {.n = n};
    dawn_group_entry entries[TAPE_MAX_BINDINGS] = {0};
    if (n != p->layouts.items[pl->layout].n)
        return wrong(err, "GROUP has not as many bindings as its pipeline:", number);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t *b = w + 3 + i * TAPE_GROUP_WORDS;
        g.buffers[i] = b[0];
        entries[i] = (dawn_group_entry){.binding = i, .buffer = buffer_of(p, b[0]), .offset = tape_u64(b + 1),
                                        .bytes = tape_u64(b + 3)};
        if (!entries[i].buffer)
            return wrong(err, "GROUP binds no buffer:", number);
        if (entries[i].bytes > p->limits.max_binding)
            return error_set(err, INGLE_ERR_DEVICE, "kernel %s: %llu bytes in binding %u; this GPU binds %llu",
                             pl->label, (unsigned long long)entries[i].bytes, i,
                             (unsigned long long)p->limits.max_binding);
    }
    if (!again && !GROW(p, p->groups))
        return no_memory(err);
    g.made = again ? p->groups.items[number].made + 1 : 0;
    const dawn_group_desc desc = {.label = {pl->label, strlen(pl->label)},
                                  .layout = p->layouts.items[pl->layout].group, .n = n, .entries = entries};
    g.handle = p->d.call.DeviceCreateBindGroup(p->d.device, &desc);
    const ingle_status status = dawn_check(&p->d, "bindings of kernel", pl->label, err);
    if (status != INGLE_OK && g.handle)
        p->d.call.BindGroupRelease(g.handle);
    if (status != INGLE_OK)
        return status;
    p->groups.items[number] = g;
    p->groups.n += !again;
    return INGLE_OK;
}

/* ---- dispatches ----------------------------------------------------------------------------------- */

static ingle_status resolve(const native *p, native_dispatch *d, ingle_error *err)
{
    const native_pipeline *pl = d->pipeline_number < p->pipelines.n ? &p->pipelines.items[d->pipeline_number] : NULL;
    if (pl && pl->state == PIPELINE_FAILED)
        return error_set(err, INGLE_ERR_DEVICE, "kernel %s: %s", pl->label, pl->fault ? pl->fault : "refused");
    if (!pl || pl->state != PIPELINE_READY)
        return wrong(err, "a dispatch of a pipeline that is not ready:", d->pipeline_number);
    const native_group *g = d->group_number < p->groups.n ? &p->groups.items[d->group_number] : NULL;
    if (!g || !g->handle || g->made != d->group_made)
        return wrong(err, "a dispatch with no group", d->group_number);
    d->pipeline = pl->handle;
    d->group = g->handle;
    return INGLE_OK;
}

static native_dispatch dispatch_at(const native *p, const uint32_t *w)
{
    const uint32_t made = w[1] < p->groups.n ? p->groups.items[w[1]].made : 0;
    return (native_dispatch){
        .pipeline_number = w[0], .group_number = w[1], .group_made = made, .x = w[2], .y = w[3], .z = w[4]};
}

static void dispatch(native *p, const native_dispatch *d)
{
    const dawn_pass pass = p->pass;
    if (d->pipeline != p->pass_pipeline)
        p->d.call.ComputePassEncoderSetPipeline(pass, d->pipeline);
    if (d->group != p->pass_group)
        p->d.call.ComputePassEncoderSetBindGroup(pass, 0, d->group, 0, NULL);
    p->d.call.ComputePassEncoderDispatchWorkgroups(pass, d->x, d->y, d->z);
    p->pass_pipeline = d->pipeline;
    p->pass_group = d->group;
}

static ingle_status play_dispatch(native *p, const uint32_t *w, ingle_error *err)
{
    native_dispatch d = dispatch_at(p, w);
    const ingle_status status = resolve(p, &d, err);
    if (status != INGLE_OK)
        return status;
    open_pass(p);
    dispatch(p, &d);
    return INGLE_OK;
}

static ingle_status play_section(native *p, const uint32_t *w, ingle_error *err)
{
    const uint32_t number = w[0], n = w[1];
    if (number > p->sections.n)
        return wrong(err, "SECTION is out of order:", number);
    native_dispatch *dispatches = mem_zero(&p->allocator, n ? n : 1, sizeof *dispatches);
    if (!dispatches || (number == p->sections.n && !GROW(p, p->sections))) {
        mem_free(&p->allocator, dispatches);
        return no_memory(err);
    }
    for (uint32_t i = 0; i < n; i++) {
        dispatches[i] = dispatch_at(p, w + 2 + (size_t)i * TAPE_SECTION_WORDS);
        if (dispatches[i].pipeline_number < p->pipelines.n) // another mode may need what failed in one
            p->pipelines.items[dispatches[i].pipeline_number].told = false;
    }
    if (number == p->sections.n)
        p->sections.n++;
    else
        mem_free(&p->allocator, p->sections.items[number].dispatches);
    p->sections.items[number] = (native_section){.dispatches = dispatches, .n = n};
    return INGLE_OK;
}

static ingle_status play_run(native *p, const uint32_t *w, ingle_error *err)
{
    if (w[0] >= p->sections.n)
        return wrong(err, "RUN of no section", w[0]);
    native_section *s = &p->sections.items[w[0]];
    for (uint32_t i = 0; !s->resolved && i < s->n; i++) {
        const ingle_status status = resolve(p, &s->dispatches[i], err);
        if (status != INGLE_OK)
            return status;
    }
    s->resolved = true;
    open_pass(p);
    for (uint32_t times = w[1]; times; times--)
        for (uint32_t i = 0; i < s->n; i++)
            dispatch(p, &s->dispatches[i]);
    return INGLE_OK;
}

/* ---- answers -------------------------------------------------------------------------------------- */

/* The smallest idle staging buffer for bytes; if none is large enough, another idle one; p->staging.n if
 * all are busy. */
static size_t find_staging(const native *p, uint64_t bytes)
{
    size_t best = p->staging.n, idle = p->staging.n;
    for (size_t i = 0; i < p->staging.n; i++) {
        const native_staging *s = &p->staging.items[i];
        if (s->busy)
            continue;
        idle = i;
        if (s->bytes >= bytes && (best == p->staging.n || s->bytes < p->staging.items[best].bytes))
            best = i;
    }
    return best < p->staging.n ? best : idle;
}

static ingle_status enlarge_staging(native *p, native_staging *s, uint64_t bytes, ingle_error *err)
{
    uint64_t size = STAGING_LEAST;
    while (size < bytes)
        size *= 2;
    drop_buffer(p, s->handle);
    *s = (native_staging){.bytes = size};
    s->handle = create_buffer(p, size, DAWN_USE_MAP_READ | DAWN_USE_COPY_TO, (dawn_text){"read-back", 9});
    const ingle_status status = dawn_check(&p->d, "read-back", NULL, err);
    if (status != INGLE_OK) {
        drop_buffer(p, s->handle);
        *s = (native_staging){0};
    }
    return status;
}

static ingle_status take_staging(native *p, uint64_t bytes, uint32_t *taken, ingle_error *err)
{
    const size_t i = find_staging(p, bytes);
    if (i == p->staging.n && !GROW(p, p->staging))
        return no_memory(err);
    if (i == p->staging.n)
        p->staging.items[p->staging.n++] = (native_staging){0};
    native_staging *s = &p->staging.items[i];
    if (s->bytes < bytes) {
        const ingle_status status = enlarge_staging(p, s, bytes, err);
        if (status != INGLE_OK)
            return status;
    }
    s->busy = true;
    s->mapped = false;
    *taken = (uint32_t)i;
    return INGLE_OK;
}

/* Room for one more answer; a ticket that is still open is not given twice. */
static ingle_status new_ticket(native *p, native_ticket t, ingle_error *err)
{
    for (size_t i = 0; i < p->tickets.n; i++)
        if (p->tickets.items[i].ticket == t.ticket)
            return wrong(err, "not yet answered, but given again: ticket", t.ticket);
    if (!GROW(p, p->tickets))
        return no_memory(err);
    const bool reads = t.kind == TICKET_READ || t.kind == TICKET_STAMP;
    const ingle_status status = reads ? take_staging(p, t.bytes, &t.staging, err) : INGLE_OK;
    if (status == INGLE_OK)
        p->tickets.items[p->tickets.n++] = t;
    return status;
}

static ingle_status play_read(native *p, const uint32_t *w, ingle_error *err)
{
    const dawn_buffer from = buffer_of(p, w[0]);
    if (!from)
        return wrong(err, "READ of no buffer", w[0]);
    end_pass(p);
    const native_ticket t = {.ticket = w[6], .kind = TICKET_READ, .to = tape_address(w + 3), .bytes = w[5]};
    const ingle_status status = new_ticket(p, t, err);
    if (status != INGLE_OK)
        return status;
    const native_staging *s = &p->staging.items[p->tickets.items[p->tickets.n - 1].staging];
    p->d.call.CommandEncoderCopyBufferToBuffer(encoder(p), from, tape_u64(w + 1), s->handle, 0, w[5]);
    submit(p);
    return INGLE_OK;
}

static ingle_status play_ready(native *p, const uint32_t *w, ingle_error *err)
{
    const native_ticket t = {.ticket = w[0], .kind = TICKET_READY, .n = (uint32_t)p->pipelines.n};
    return new_ticket(p, t, err);
}

static ingle_status open_stamps(native *p, ingle_error *err)
{
    const dawn_query_set_desc desc = {.label = {"stamps", 6}, .type = DAWN_QUERY_TIMESTAMP, .count = STAMPS};
    if (p->queries)
        return INGLE_OK;
    p->stamps = create_buffer(p, STAMPS * STAMP_STRIDE, DAWN_USE_QUERY_RESOLVE | DAWN_USE_COPY_FROM, desc.label);
    p->queries = p->d.call.DeviceCreateQuerySet(p->d.device, &desc);
    return dawn_check(&p->d, "timestamps", NULL, err);
}

/* Time is taken at the end of a pass with nothing in it, which is when all that came before is done. */
static ingle_status play_stamp(native *p, const uint32_t *w, ingle_error *err)
{
    end_pass(p);
    if (!p->limits.timestamps)
        return new_ticket(p, (native_ticket){.ticket = w[0], .kind = TICKET_NO_STAMP}, err);
    ingle_status status = open_stamps(p, err);
    if (status == INGLE_OK)
        status = new_ticket(p, (native_ticket){.ticket = w[0], .kind = TICKET_STAMP, .bytes = 8}, err);
    if (status != INGLE_OK)
        return status;
    const native_staging *s = &p->staging.items[p->tickets.items[p->tickets.n - 1].staging];
    const uint32_t query = p->n_stamps++;
    const dawn_pass_timestamps writes = {.queries = p->queries, .begin = DAWN_NO_QUERY, .end = query};
    p->pass = begin_pass(p, "stamp", 5, &writes);
    end_pass(p);
    p->d.call.CommandEncoderResolveQuerySet(p->encoder, p->queries, query, 1, p->stamps, query * STAMP_STRIDE);
    p->d.call.CommandEncoderCopyBufferToBuffer(p->encoder, p->stamps, query * STAMP_STRIDE, s->handle, 0, 8);
    if (p->n_stamps == STAMPS)
        submit(p);
    return INGLE_OK;
}

static ingle_status play_submit(native *p, const uint32_t *w, ingle_error *err)
{
    (void)w, (void)err;
    submit(p);
    return INGLE_OK;
}

static ingle_status native_play(void *user, const uint32_t *words, size_t n, ingle_error *err)
{
    typedef ingle_status command_fn(native *p, const uint32_t *w, ingle_error *err);
    static command_fn *const commands[TAPE_COMMAND_COUNT] = {
        [TAPE_BUFFER] = play_buffer, [TAPE_FREE] = play_free,       [TAPE_WRITE] = play_write,
        [TAPE_PIPELINE] = play_pipeline, [TAPE_GROUP] = play_group, [TAPE_SECTION] = play_section,
        [TAPE_DISPATCH] = play_dispatch, [TAPE_RUN] = play_run,     [TAPE_COPY] = play_copy,
        [TAPE_READ] = play_read, [TAPE_READY] = play_ready,         [TAPE_STAMP] = play_stamp,
        [TAPE_SUBMIT] = play_submit,
    };
    native *p = user;
    ingle_status status = dawn_check(&p->d, "earlier", NULL, err);
    for (size_t at = 0, size; status == INGLE_OK && at < n; at += size) {
        size = tape_command_words(words + at, n - at);
        if (size == 0)
            return wrong(err, "not a command, or cut short: word", (uint32_t)at);
        status = commands[words[at]](p, words + at + 1, err);
    }
    return status == INGLE_OK ? dawn_check(&p->d, "tape", NULL, err) : status;
}

static ingle_status wait_ready(native *p, const native_ticket *t, ingle_error *err)
{
    const native_pipeline *failed = NULL;
    for (uint32_t i = 0; i < t->n; i++) {
        native_pipeline *pl = &p->pipelines.items[i];
        if (pl->state == PIPELINE_COMPILING)
            dawn_wait(&p->d, pl->future);
        if (pl->state == PIPELINE_READY || pl->told)
            continue;
        pl->told = true;
        failed = failed ? failed : pl;
    }
    const ingle_status status = dawn_check(&p->d, "kernels", NULL, err);
    if (status != INGLE_OK || !failed)
        return status;
    return error_set(err, INGLE_ERR_DEVICE, "kernel %s: %s", failed->label, failed->fault ? failed->fault : "refused");
}

static ingle_status wait_staging(native *p, const native_ticket *t, uint64_t *answer, ingle_error *err)
{
    native_staging *s = &p->staging.items[t->staging];
    dawn_wait(&p->d, s->mapping);
    const void *bytes = s->mapped ? p->d.call.BufferGetConstMappedRange(s->handle, 0, (size_t)t->bytes) : NULL;
    if (bytes && t->kind == TICKET_READ)
        memcpy(t->to, bytes, (size_t)t->bytes);
    else if (bytes)
        memcpy(answer, bytes, sizeof *answer);
    if (s->mapped)
        p->d.call.BufferUnmap(s->handle);
    s->busy = s->mapped = false;
    const ingle_status status = dawn_check(&p->d, "read-back", NULL, err);
    return status != INGLE_OK || bytes ? status : error_set(err, INGLE_ERR_DEVICE, "read-back: %s", p->map_text);
}

static ingle_status native_wait(void *user, uint32_t ticket, uint64_t *answer, ingle_error *err)
{
    native *p = user;
    uint64_t ignored;
    size_t i = 0;
    const ingle_status earlier = dawn_check(&p->d, "earlier", NULL, err);
    if (earlier != INGLE_OK)
        return earlier;
    while (i < p->tickets.n && p->tickets.items[i].ticket != ticket)
        i++;
    if (i == p->tickets.n)
        return wrong(err, "waiting for no ticket", ticket);
    if (p->tickets.items[i].kind == TICKET_STAMP && !p->tickets.items[i].submitted)
        submit(p);
    const native_ticket t = p->tickets.items[i];
    p->tickets.items[i] = p->tickets.items[--p->tickets.n];
    answer = answer ? answer : &ignored;
    *answer = 0;
    switch (t.kind) {
    case TICKET_READ:
    case TICKET_STAMP: return wait_staging(p, &t, answer, err);
    case TICKET_READY: return wait_ready(p, &t, err);
    case TICKET_NO_STAMP: break;
    }
    return INGLE_OK;
}

/* ---- opening and closing -------------------------------------------------------------------------- */

static void release_objects(native *p)
{
    end_pass(p);
    if (p->encoder)
        p->d.call.CommandEncoderRelease(p->encoder);
    for (size_t i = 0; i < p->groups.n; i++)
        if (p->groups.items[i].handle)
            p->d.call.BindGroupRelease(p->groups.items[i].handle);
    for (size_t i = 0; i < p->pipelines.n; i++)
        if (p->pipelines.items[i].handle)
            p->d.call.ComputePipelineRelease(p->pipelines.items[i].handle);
    for (size_t i = 0; i < p->layouts.n; i++) {
        p->d.call.PipelineLayoutRelease(p->layouts.items[i].pipeline);
        p->d.call.BindGroupLayoutRelease(p->layouts.items[i].group);
    }
    for (size_t i = 0; i < p->buffers.n; i++)
        drop_buffer(p, p->buffers.items[i].handle);
    for (size_t i = 0; i < p->staging.n; i++)
        drop_buffer(p, p->staging.items[i].handle);
    drop_buffer(p, p->stamps);
    if (p->queries)
        p->d.call.QuerySetRelease(p->queries);
}

/* Compilers are waited for: what they make must be released. Other callbacks come, if at all, when the
 * instance goes, so the lists that they write to go last. */
static void native_close(void *user)
{
    native *p = user;
    const ingle_allocator a = p->allocator;
    for (size_t i = 0; i < p->pipelines.n; i++)
        if (p->pipelines.items[i].state == PIPELINE_COMPILING)
            dawn_wait(&p->d, p->pipelines.items[i].future);
    release_objects(p);
    dawn_close(&p->d);
    for (size_t i = 0; i < p->pipelines.n; i++)
        mem_free(&a, p->pipelines.items[i].fault);
    for (size_t i = 0; i < p->sections.n; i++)
        mem_free(&a, p->sections.items[i].dispatches);
    mem_free(&a, p->buffers.items);
    mem_free(&a, p->layouts.items);
    mem_free(&a, p->pipelines.items);
    mem_free(&a, p->groups.items);
    mem_free(&a, p->sections.items);
    mem_free(&a, p->staging.items);
    mem_free(&a, p->tickets.items);
    mem_free(&a, p);
}

static size_t native_recall(void *user, void *to, size_t most)
{
    return host_cache_read(((native *)user)->cache_name, to, most);
}

static void native_remember(void *user, const void *bytes, size_t n)
{
    host_cache_write(((native *)user)->cache_name, bytes, n);
}

ingle_status gpu_native_open(gpu_player *out, const gpu_native_options *opt, const ingle_allocator *a, ingle_error *err)
{
    static const gpu_native_options defaults = {0};
    *out = (gpu_player){0};
    native *p = mem_zero(a, 1, sizeof *p);
    if (!p)
        return error_memory(err, sizeof *p, "a GPU device");
    if (a)
        p->allocator = *a;
    const ingle_status status = dawn_open(&p->d, &p->limits, opt ? opt : &defaults, err);
    if (status != INGLE_OK) {
        dawn_close(&p->d);
        mem_free(a, p);
        return status;
    }
    snprintf(p->cache_name, sizeof p->cache_name, "gpu-%08x", (unsigned)str_hash(str_of(p->limits.name)));
    *out = (gpu_player){.user = p, .limits = p->limits, .play = native_play, .wait = native_wait, .close = native_close,
                        .recall = native_recall, .remember = native_remember};
    return INGLE_OK;
}

void gpu_native_lose(gpu_player *p)
{
    dawn_lose(&((native *)p->user)->d);
}

ingle_status gpu_native_list(ingle_text *out, const char *library, ingle_error *err)
{
    return dawn_list(out, library, err);
}

ingle_status gpu_host_open(gpu_player *out, const ingle_allocator *a, ingle_error *err)
{
    return gpu_native_open(out, NULL, a, err);
}

bool gpu_host_offers(void)
{
    return false; // Dawn is used where it is asked for
}
