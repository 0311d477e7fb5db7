/* Sessions on the GPU: what a model has there, made by the first session or by the loader that streams the
 * weights to it, and attached to by the others. */
#include <stdio.h>

#include "base/error.h"
#include "session/session.h"

/* What is asked of kernels. */
typedef struct {
    gpu_modes modes;
    bool named; // modes are: else the device's best
    gpu_measure measure;
} kernel_choice;

/* ingle_model.gpu_data */
typedef struct {
    ingle_allocator allocator;
    gpu_shared *shared;
    gpu *first; // the loader's session, until one is opened with these options
    gpu_options options;
    kernel_choice choice;
    uint32_t most_batch; // tokens of a pass that was found to fit; 0: no memory was lacking
} model_gpu;

static void free_model_gpu(void *data)
{
    model_gpu *mg = data;
    if (!mg)
        return;
    const ingle_allocator a = mg->allocator;
    gpu_close(mg->first);
    gpu_shared_close(mg->shared);
    mem_free(&a, mg);
}

/* What a text such as "int8,subgroups" names, of what the device has. */
static ingle_status choice_of(const char *names, const gpu_limits *limits, kernel_choice *out, ingle_error *err)
{
    const gpu_modes best = gpu_best_modes(limits);
    *out = (kernel_choice){.modes = {.rolled = best.rolled}};
    for (const char *at = names ? names : ""; *at;) {
        const str name = {at, strcspn(at, ",")};
        const bool measured = str_equal(name, STR("measured")), usual = str_equal(name, STR("usual"));
        if (measured || usual)
            out->measure = measured ? GPU_MEASURE_ALWAYS : GPU_MEASURE_NEVER;
        else if (str_equal(name, STR("int8")))
            out->modes.dot_int8 = best.dot_int8;
        else if (str_equal(name, STR("subgroups")))
            out->modes.subgroup = best.subgroup;
        else if (str_equal(name, STR("f16")))
            out->modes.f16 = best.f16;
        else if (!str_equal(name, STR("f32")))
            return error_set(err, INGLE_ERR_USAGE, "GPU kernels: \"%.*s\" is none of int8, subgroups, f16, f32, measured, usual",
                             STR_ARG(name));
        out->named = out->named || !(measured || usual);
        at += name.n + (at[name.n] == ',');
    }
    return INGLE_OK;
}

static gpu_options options_of(const cpu_options *o, const kernel_choice *k)
{
    return (gpu_options){.n_ctx = o->n_ctx, .n_batch = o->n_batch, .k_format = o->k_format, .v_format = o->v_format,
                         .modes = k->named ? &k->modes : NULL, .measure = k->measure};
}

static bool same_modes(const gpu_modes *a, const gpu_modes *b)
{
    return (!a && !b) || (a && b && a->subgroup == b->subgroup && a->f16 == b->f16 && a->dot_int8 == b->dot_int8);
}

static bool same_options(const gpu_options *a, const gpu_options *b)
{
    return a->n_ctx == b->n_ctx && a->n_batch == b->n_batch && a->k_format == b->k_format && a->v_format == b->v_format &&
           same_modes(a->modes, b->modes) && a->measure == b->measure;
}

/* ---- opening ---------------------------------------------------------------------------------- */

/* What the model has on a device; takes the player. */
static ingle_status open_model_gpu(model_gpu **out, const ingle_model *m, const gpu_player *player, bool streamed,
                                   ingle_error *err)
{
    model_gpu *mg = mem_zero(&m->allocator, 1, sizeof *mg);
    if (!mg) {
        player->close(player->user);
        return error_memory(err, sizeof *mg, "a GPU backend");
    }
    mg->allocator = m->allocator;
    const ingle_status status = gpu_shared_open(&mg->shared, &m->graph, player, streamed, &m->allocator, err);
    if (status != INGLE_OK) {
        mem_free(&m->allocator, mg);
        return status;
    }
    *out = mg;
    return INGLE_OK;
}

/* From now on sessions find it; the model closes it. */
static void give(ingle_model *m, model_gpu *mg)
{
    m->gpu_data = mg;
    m->gpu_free = free_model_gpu;
}

static void lock(ingle_model *m)
{
    while (atomic_flag_test_and_set(&m->backend_lock))
        host_relax();
}

/* A device that failed is of use to nobody: once its sessions are closed, another may be opened. */
static void drop_unused(ingle_model *m, bool failed)
{
    const model_gpu *mg = m->gpu_data;
    if (!mg || m->on_gpu || gpu_shared_sessions(mg->shared) > 0 || !(failed || gpu_shared_broken(mg->shared)))
        return;
    free_model_gpu(m->gpu_data);
    m->gpu_data = NULL;
}

/* Sessions that are still open there get the failure again, and close it with the last of them. */
static void abandon_broken(ingle_model *m)
{
    model_gpu *mg = m->gpu_data;
    if (!mg || !gpu_shared_broken(mg->shared))
        return;
    gpu_close(mg->first);
    gpu_shared_abandon(mg->shared);
    mem_free(&m->allocator, mg);
    m->gpu_data = NULL;
}

static ingle_status attach(ingle_session *s, ingle_model *m, ingle_error *err)
{
    ingle_status status = INGLE_OK;
    gpu_player player;
    kernel_choice chosen;
    drop_unused(m, false);
    if (!m->gpu_data && m->on_gpu)
        return error_set(err, INGLE_ERR_DEVICE_LOST, "the weights went with the GPU: they must be read again");
    if (!m->gpu_data) {
        status = s->players.open(s->players.user, &player, &m->allocator, err);
        model_gpu *made = NULL;
        if (status == INGLE_OK)
            status = open_model_gpu(&made, m, &player, false, err);
        if (status == INGLE_OK)
            give(m, made);
    }
    model_gpu *mg = m->gpu_data;
    if (status == INGLE_OK)
        status = choice_of(s->has_gpu_names ? s->gpu_names : NULL, gpu_shared_limits(mg->shared), &chosen, err);
    if (status != INGLE_OK)
        return status;
    if (mg->most_batch && mg->most_batch < s->gpu_batch)
        s->gpu_batch = mg->most_batch;
    gpu_options opt = options_of(&s->options, &chosen);
    opt.n_batch = s->gpu_batch;
    gpu *first = mg->first;
    mg->first = NULL;
    if (first && same_options(&mg->options, &opt)) {
        s->gpu = first;
        return INGLE_OK;
    }
    gpu_close(first);
    return gpu_open(&s->gpu, mg->shared, &opt, &m->allocator, err);
}

void session_close_gpu(ingle_session *s)
{
    ingle_model *m = (ingle_model *)(uintptr_t)s->model;
    if (!s->gpu)
        return;
    lock(m);
    gpu_close(s->gpu);
    s->gpu = NULL;
    abandon_broken(m);
    atomic_flag_clear(&m->backend_lock);
}

ingle_status session_open_gpu(ingle_session *s, ingle_error *err)
{
    ingle_model *m = (ingle_model *)(uintptr_t)s->model;
    lock(m);
    const ingle_status status = attach(s, m, err);
    if (status != INGLE_OK)
        drop_unused(m, true);
    atomic_flag_clear(&m->backend_lock);
    if (status == INGLE_OK)
        snprintf(s->backend, sizeof s->backend, "%s", gpu_name(s->gpu));
    return status;
}

/* ---- loading ---------------------------------------------------------------------------------- */

static ingle_status not_lost(ingle_error *err)
{
    return error_set(err, INGLE_ERR_USAGE, "the model's weights did not go away with a GPU");
}

/* What a loader's sink knows. */
typedef struct {
    ingle_allocator allocator;
    gpu_player player;      // until the header is there; close NULL: taken
    session_players others; // where memory is short; open NULL: there are none
    ingle_session_options opt;
    kernel_choice choice;
    ingle_model *again; // whose weights are read again; NULL: the loader's own
    model_gpu *made;    // the model's when all weights are there: half of them are of no use to a session
} load;

static bool same_tensors(const graph *a, const graph *b)
{
    bool same = a->n_tensors == b->n_tensors;
    for (size_t i = 0; same && i < a->n_tensors; i++) {
        const graph_tensor *s = &a->tensors[i], *t = &b->tensors[i];
        same = s->rows == t->rows && s->cols == t->cols && s->format == t->format && strcmp(s->name, t->name) == 0;
    }
    return same;
}

/* Buffers, and a session whose kernels are compiled while the weights come. */
static ingle_status load_open(load *l, const ingle_model *m, const cpu_options *o, ingle_error *err)
{
    const gpu_player player = l->player;
    l->player = (gpu_player){0};
    const ingle_status status = open_model_gpu(&l->made, m, &player, true, err);
    if (status != INGLE_OK)
        return status;
    model_gpu *mg = l->made;
    mg->choice = l->choice;
    mg->options = options_of(o, &mg->choice);
    return gpu_open(&mg->first, mg->shared, &mg->options, &m->allocator, err);
}

/* The graph is known. Where memory is short, shorter passes are planned, on another device: one that could not
 * give a buffer is left with a tape cut short. */
static ingle_status load_header(void *user, ingle_model *m, ingle_error *err)
{
    load *l = user;
    cpu_options o;
    gpu_player player;
    ingle_error ignored;
    ingle_status status = session_resolve(m, &l->opt, &o, err);
    if (status != INGLE_OK)
        return status;
    if (l->again && !same_tensors(&l->again->graph, &m->graph))
        return error_set(err, INGLE_ERR_FORMAT, "this is not the file that the model was made of");
    m = l->again ? l->again : m;
    const uint32_t wanted = o.n_batch;
    status = load_open(l, m, &o, err);
    while (status == INGLE_ERR_MEMORY && l->others.open && session_take_less(&o.n_batch)) {
        free_model_gpu(l->made);
        l->made = NULL;
        if (l->others.open(l->others.user, &player, &m->allocator, &ignored) != INGLE_OK)
            return status;
        l->player = player;
        status = load_open(l, m, &o, err);
    }
    if (status == INGLE_OK && o.n_batch < wanted)
        l->made->most_batch = o.n_batch;
    return status;
}

static ingle_status load_data(void *user, const gguf_tensor *t, const uint8_t *bytes, size_t n, ingle_error *err)
{
    return gpu_shared_feed(((load *)user)->made->shared, t->name, bytes, n, err);
}

/* Another loader may have been sooner. */
static ingle_status load_end(void *user, ingle_model *m, ingle_error *err)
{
    load *l = user;
    const ingle_status status = gpu_shared_end(l->made->shared, err);
    if (status != INGLE_OK)
        return status;
    m = l->again ? l->again : m;
    lock(m);
    const bool lacks = !m->gpu_data;
    if (lacks)
        give(m, l->made);
    atomic_flag_clear(&m->backend_lock);
    if (!lacks)
        return not_lost(err);
    l->made = NULL;
    return INGLE_OK;
}

static void load_close(void *user)
{
    load *l = user;
    const ingle_allocator a = l->allocator;
    if (l->player.close)
        l->player.close(l->player.user);
    free_model_gpu(l->made);
    mem_free(&a, l);
}

static ingle_status load_on(ingle_loader *loader, ingle_model *again, const gpu_player *player,
                            const session_players *others, const ingle_session_options *opt, ingle_error *err)
{
    const ingle_session_options zero = {0};
    const ingle_model *m = loader_model(loader);
    if (!m) {
        player->close(player->user);
        return error_set(err, INGLE_ERR_USAGE, "the model was taken already");
    }
    load *l = mem_zero(&m->allocator, 1, sizeof *l);
    if (!l) {
        player->close(player->user);
        return error_memory(err, sizeof *l, "a loader");
    }
    *l = (load){.allocator = m->allocator, .player = *player, .opt = opt ? *opt : zero, .again = again};
    const ingle_status status = choice_of(l->opt.gpu, &player->limits, &l->choice, err);
    if (others)
        l->others = *others;
    l->opt.gpu = l->opt.cpu = NULL; // the caller's texts
    if (status != INGLE_OK) {
        load_close(l);
        return status;
    }
    return loader_use(loader, &(loader_sink){l, load_header, load_data, load_end, load_close}, err);
}

ingle_status session_load_on(ingle_loader *loader, const gpu_player *player, const session_players *others,
                             const ingle_session_options *opt, ingle_error *err)
{
    return load_on(loader, NULL, player, others, opt, err);
}

ingle_status session_load_again(ingle_loader *loader, const ingle_model *model, const gpu_player *player,
                                const session_players *others, const ingle_session_options *opt, ingle_error *err)
{
    ingle_model *m = (ingle_model *)(uintptr_t)model;
    lock(m);
    const bool lacks = m->on_gpu && !m->gpu_data;
    atomic_flag_clear(&m->backend_lock);
    if (lacks)
        return load_on(loader, m, player, others, opt, err);
    player->close(player->user);
    return not_lost(err);
}

ingle_status ingle_loader_revive(ingle_loader *loader, const ingle_model *model, const ingle_session_options *opt,
                                 ingle_error *err)
{
    gpu_player player;
    error_clear(err);
    const ingle_status status = gpu_host_open(&player, NULL, err);
    return status == INGLE_OK ? session_load_again(loader, model, &player, &session_host_players, opt, err) : status;
}

ingle_status ingle_loader_use_gpu(ingle_loader *loader, const ingle_session_options *opt, ingle_error *err)
{
    gpu_player player;
    error_clear(err);
    const ingle_status status = gpu_host_open(&player, NULL, err);
    return status == INGLE_OK ? session_load_on(loader, &player, &session_host_players, opt, err) : status;
}
