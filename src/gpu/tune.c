#include "gpu/tune.h"

#include <stdio.h>

#include "base/error.h"
#include "gpu/tune_store.h"

enum {
    MOST_KINDS = 12,   // of products; more stay as usual
    MOST_TRIALS = 128, // measured together
    CLIMBS = 3,        // times that neighbours are looked at
    ROUNDS = 2,        // of which the faster counts; a driver may compile when a kernel first runs
    USUAL_POSITIONS = 512
};
static const uint64_t ENOUGH_BYTES = 192u << 20; // of weights: more than caches hold
static const double TRIAL_SECONDS = 5e-3, LEAST_SECONDS = 25e-6; // browsers round to 100 us
/* What must be gained: by another shape, and by other modes, whose numbers differ. */
static const double FASTER = 0.95, FASTER_MODES = 0.9;

/* Products that are alike. */
typedef struct {
    uint32_t key; // with the modes of the moment
    matvec_epilogue epilogue;
    bool merges; // x comes in attention's splits
    const gpu_matrix *like;
    matvec_shape best;
    bool climbs; // neighbours are still to be looked at
} product_kind;

typedef struct {
    uint32_t kind; // MOST_KINDS: none, it is about modes
    gpu_modes modes;
    matvec_shape shape;
    uint32_t section, times, from[ROUNDS], to[ROUNDS]; // tickets
    uint64_t began;
    double seconds;
} trial;

struct gpu_tuning {
    product_kind kinds[MOST_KINDS];
    uint32_t n_kinds;
    bool modes_known, changed;
    uint32_t modes_key; // of what was asked for at first
    uint32_t climbs;
    trial trials[MOST_TRIALS];
    uint32_t n_trials, n_read;
    uint32_t ready; // ticket
    bool waits;     // for it: the first trials were compiled with all there is
    enum { COMPILING, ROUGH, TIMED } stage;
};

/* ---- what there is ---------------------------------------------------------------------------- */

static bool multiplies(const gpu_step *st)
{
    return st->kind == GPU_QKV || st->kind == GPU_LINEAR;
}

/* The context that products are measured for; attention leaves splits from some length on. */
static uint32_t usual_positions(const gpu *g)
{
    return gpu_bucket_positions(g, USUAL_POSITIONS);
}

static bool merges(const gpu *g, const gpu_step *st)
{
    return gpu_merges(g, st, usual_positions(g));
}

static bool is_of(const gpu *g, const product_kind *k, const gpu_step *st, const gpu_matrix *w)
{
    const gpu_planes *a = &k->like->parts[0].planes, *b = &w->parts[0].planes;
    return gpu_epilogue(st) == k->epilogue && merges(g, st) == k->merges && k->like->rows == w->rows &&
           k->like->cols == w->cols && strcmp(a->part, b->part) == 0;
}

static product_kind *find_kind(gpu_tuning *t, const gpu *g, const gpu_step *st, const gpu_matrix *w)
{
    for (uint32_t i = 0; i < t->n_kinds; i++)
        if (is_of(g, &t->kinds[i], st, w))
            return &t->kinds[i];
    return NULL;
}

static uint32_t key_of(const gpu *g, const product_kind *k)
{
    char text[128];
    const gpu_matrix *w = k->like;
    snprintf(text, sizeof text, "%d %d %s %llu %llu %u %d", (int)k->epilogue, k->merges, w->parts[0].planes.part,
             (unsigned long long)w->rows, (unsigned long long)w->cols, (unsigned)g->modes.subgroup, g->modes.dot_int8);
    return str_hash(str_of(text));
}

/* The session's products in its modes. */
static void find_kinds(gpu_tuning *t, const gpu *g)
{
    t->n_kinds = 0;
    for (size_t i = 0; i < g->n_steps; i++) {
        const gpu_step *st = &g->steps[i];
        for (uint32_t j = 0; multiplies(st) && j < st->n_w; j++) {
            if (t->n_kinds == MOST_KINDS || find_kind(t, g, st, st->w[j]))
                continue;
            product_kind *k = &t->kinds[t->n_kinds++];
            *k = (product_kind){.epilogue = gpu_epilogue(st), .merges = merges(g, st), .like = st->w[j],
                                .climbs = true};
            k->key = key_of(g, k);
            k->best = matvec_shape_of(g->r, k->like, k->epilogue, k->merges);
        }
    }
}

/* Which modes are best depends on all products. */
static uint32_t modes_key(const gpu_tuning *t)
{
    uint32_t key = 1;
    for (uint32_t i = 0; i < t->n_kinds; i++)
        key = key * 31 + t->kinds[i].key;
    return key;
}

static bool same_shape(const matvec_shape *a, const matvec_shape *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static void give_shape(gpu *g, const product_kind *k, const matvec_shape *shape)
{
    for (size_t i = 0; i < g->n_steps; i++)
        for (uint32_t j = 0; multiplies(&g->steps[i]) && j < g->steps[i].n_w; j++) {
            gpu_matrix *w = gpu_own_matrix(g->shared, g->steps[i].w[j]);
            if (is_of(g, k, &g->steps[i], w))
                *(k->merges ? &w->merging : &w->shape) = *shape;
        }
}

bool tune_forget(gpu *g)
{
    bool any = false;
    for (size_t i = 0; i < g->shared->n_weights; i++) {
        gpu_matrix *w = &g->shared->weights[i].m;
        any = any || w->shape.threads || w->merging.threads;
        w->shape = w->merging = (matvec_shape){0};
    }
    return any;
}

/* ---- what is remembered ------------------------------------------------------------------------ */

static void remember(gpu_tuning *t, gpu *g)
{
    tune_store *m = mem_alloc(&g->allocator, sizeof *m);
    if (!m)
        return; // it is found out again
    tune_store_read(m, &g->shared->player);
    if (!g->modes_forced)
        tune_store_put(m, t->modes_key, (uint32_t[4]){g->modes.subgroup, g->modes.dot_int8});
    for (uint32_t i = 0; i < t->n_kinds; i++) {
        const matvec_shape *s = &t->kinds[i].best;
        tune_store_put(m, t->kinds[i].key, (uint32_t[4]){s->threads, s->per_row, s->rows, s->ahead});
    }
    tune_store_write(m, &g->shared->player);
    mem_free(&g->allocator, m);
}

/* Modes that were best, if the adapter has them. */
static void recall_modes(gpu_tuning *t, gpu *g, const tune_store *m)
{
    const uint32_t *found = tune_store_find(m, t->modes_key);
    t->modes_known = found || g->modes_forced || (!g->modes.subgroup && !g->modes.dot_int8);
    if (!found || g->modes_forced || found[0] > g->modes.subgroup || found[1] > g->modes.dot_int8 ||
        (found[0] && found[0] != g->modes.subgroup))
        return;
    gpu_modes modes = g->modes;
    modes.subgroup = found[0];
    modes.dot_int8 = found[1] != 0;
    gpu_set_modes(g, &modes);
    find_kinds(t, g);
}

static bool recall_shapes(gpu_tuning *t, gpu *g, const tune_store *m)
{
    bool all = t->modes_known;
    for (uint32_t i = 0; i < t->n_kinds; i++) {
        product_kind *k = &t->kinds[i];
        const uint32_t *found = tune_store_find(m, k->key);
        const matvec_shape s = found ? (matvec_shape){found[0], found[1], found[2], found[3]} : (matvec_shape){0};
        k->climbs = !found || !matvec_shape_suits(g->r, k->like, k->epilogue, k->merges, &s);
        if (k->climbs) {
            all = false;
            continue;
        }
        k->best = s;
        give_shape(g, k, &s);
    }
    return all;
}

/* ---- trials ------------------------------------------------------------------------------------ */

static uint64_t step_bytes(const gpu_step *st)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < st->n_w; i++)
        bytes += gpu_matrix_bytes(st->w[i]);
    return bytes;
}

static bool has_kind(const gpu *g, const product_kind *k, const gpu_step *st)
{
    bool has = false;
    for (uint32_t i = 0; multiplies(st) && i < st->n_w; i++)
        has = has || is_of(g, k, st, st->w[i]);
    return has;
}

static trial *add_trial(gpu_tuning *t, const gpu *g, uint32_t kind)
{
    if (t->n_trials == MOST_TRIALS)
        return NULL;
    trial *k = &t->trials[t->n_trials++];
    *k = (trial){.kind = kind, .modes = g->modes, .times = 1};
    return k;
}

/* Steps with such products, of as many layers as it takes to read more than caches hold. */
static void add_shape(gpu_tuning *t, gpu *g, uint32_t kind, const matvec_shape *shape)
{
    product_kind *k = &t->kinds[kind];
    trial *new = add_trial(t, g, kind);
    if (!new)
        return;
    uint64_t bytes = 0;
    new->shape = *shape;
    give_shape(g, k, shape);
    new->section = recorder_section(g->r);
    for (size_t i = 0; i < g->n_steps && bytes < ENOUGH_BYTES; i++)
        if (has_kind(g, k, &g->steps[i])) {
            gpu_record_products(g, &g->steps[i], usual_positions(g));
            bytes += step_bytes(&g->steps[i]);
        }
    recorder_section_end(g->r);
    give_shape(g, k, &k->best);
}

static void add_neighbours(gpu_tuning *t, gpu *g, uint32_t kind)
{
    const product_kind *k = &t->kinds[kind];
    for (uint32_t i = 0; i < 8; i++) {
        matvec_shape s = k->best;
        uint32_t *const fields[] = {&s.threads, &s.per_row, &s.rows, &s.ahead}, *field = fields[i / 2];
        *field = i % 2 ? *field * 2 : *field / 2;
        if (matvec_shape_suits(g->r, k->like, k->epilogue, k->merges, &s))
            add_shape(t, g, kind, &s);
    }
}

/* The largest products in each of the modes that there are. How steps go together depends on them. */
static void add_modes(gpu_tuning *t, gpu *g)
{
    const gpu_modes own = g->modes;
    const gpu_step *most = NULL;
    for (size_t i = 0; i + 1 < g->n_steps; i++) // not the head
        if (multiplies(&g->steps[i]) && (!most || step_bytes(&g->steps[i]) > step_bytes(most)))
            most = &g->steps[i];
    for (uint32_t i = 0; most && i < 4; i++) {
        const bool plain = i & 1, floats = i & 2;
        trial *new = (plain && !own.subgroup) || (floats && !own.dot_int8) ? NULL : add_trial(t, g, MOST_KINDS);
        if (!new)
            continue;
        uint64_t bytes = 0;
        new->modes.subgroup = plain ? 0 : own.subgroup;
        new->modes.dot_int8 = !floats && own.dot_int8;
        g->modes = g->r->modes = new->modes;
        gpu_fuse(g);
        new->section = recorder_section(g->r);
        for (const gpu_step *st = g->steps; st + 1 < g->steps + g->n_steps && bytes < ENOUGH_BYTES; st++)
            if (multiplies(st) && step_bytes(st) == step_bytes(most)) {
                gpu_record_products(g, st, 0);
                bytes += step_bytes(st);
            }
        recorder_section_end(g->r);
    }
    g->modes = g->r->modes = own;
    gpu_fuse(g);
}

/* What is measured next, in the modes of the moment; nothing when all is found. */
static void add_trials(gpu_tuning *t, gpu *g)
{
    if (!t->modes_known)
        add_modes(t, g);
    for (uint32_t i = 0; i < t->n_kinds && t->climbs < CLIMBS; i++)
        if (t->kinds[i].climbs) {
            add_shape(t, g, i, &t->kinds[i].best);
            add_neighbours(t, g, i);
        }
    t->climbs++;
}

static void drop_trials(gpu_tuning *t, gpu *g)
{
    for (uint32_t i = 0; i < t->n_trials; i++)
        recorder_drop_section(g->r, t->trials[i].section);
    t->n_trials = 0;
}

/* Queues all trials without a gap, behind some work: a GPU that waits lowers its clock. */
static ingle_status queue(gpu_tuning *t, gpu *g, ingle_error *err)
{
    recorder_run(g->r, t->trials[0].section, t->trials[0].times);
    recorder_submit(g->r);
    t->n_read = 0;
    for (uint32_t i = 0; i < ROUNDS * t->n_trials; i++) {
        trial *k = &t->trials[i % t->n_trials];
        k->from[i / t->n_trials] = recorder_stamp(g->r);
        recorder_run(g->r, k->section, k->times);
        k->to[i / t->n_trials] = recorder_stamp(g->r);
        recorder_submit(g->r);
    }
    return recorder_play(g->r, err);
}

/* Reads the stamps, in the order in which they were asked for. */
static ingle_status read_times(gpu_tuning *t, gpu *g, ingle_error *err)
{
    for (; t->n_read < 2 * ROUNDS * t->n_trials; t->n_read++) {
        const uint32_t run = t->n_read / 2, round = run / t->n_trials;
        trial *k = &t->trials[run % t->n_trials];
        uint64_t at = 0;
        const ingle_status status =
            recorder_wait(g->r, t->n_read % 2 ? k->to[round] : k->from[round], &at, err);
        if (status != INGLE_OK)
            return status;
        if (t->n_read % 2 == 0) {
            k->began = at;
            continue;
        }
        const double seconds = (double)(at - k->began) * 1e-9 / k->times;
        k->seconds = round == 0 || seconds < k->seconds ? seconds : k->seconds;
    }
    return INGLE_OK;
}

/* ---- choosing ---------------------------------------------------------------------------------- */

/* True: others than before; what was measured of shapes is of no use. */
static bool choose_modes(gpu_tuning *t, gpu *g)
{
    const trial *best = &t->trials[0]; // the usual ones
    for (uint32_t i = 1; i < t->n_trials && t->trials[i].kind == MOST_KINDS; i++)
        if (t->trials[i].seconds < (best == t->trials ? FASTER_MODES : 1) * best->seconds)
            best = &t->trials[i];
    if (t->modes_known || best == t->trials)
        return false;
    gpu_set_modes(g, &best->modes);
    find_kinds(t, g);
    t->climbs = 0;
    return t->changed = true;
}

static void choose_shapes(gpu_tuning *t, gpu *g)
{
    for (uint32_t i = 0; i < t->n_kinds; i++) {
        product_kind *k = &t->kinds[i];
        const trial *best = NULL; // the first of a kind is what was best before
        for (uint32_t j = 0; j < t->n_trials; j++) {
            const trial *c = &t->trials[j];
            if (c->kind == i && (!best || c->seconds < (same_shape(&best->shape, &k->best) ? FASTER : 1) * best->seconds))
                best = c;
        }
        k->climbs = best && !same_shape(&best->shape, &k->best);
        if (!k->climbs)
            continue;
        k->best = best->shape;
        give_shape(g, k, &k->best);
        t->changed = true;
    }
}

static ingle_status step(gpu_tuning *t, gpu *g, ingle_error *err)
{
    ingle_status status = INGLE_OK;
    while (status == INGLE_OK && t->n_trials > 0) {
        switch (t->stage) {
        case COMPILING:
            status = t->waits ? recorder_wait(g->r, t->ready, NULL, err) : INGLE_OK;
            if (status == INGLE_OK)
                status = queue(t, g, err);
            break;
        case ROUGH:
            status = read_times(t, g, err);
            for (uint32_t i = 0; status == INGLE_OK && i < t->n_trials; i++) {
                const double s = t->trials[i].seconds, times = TRIAL_SECONDS / (s > LEAST_SECONDS ? s : LEAST_SECONDS);
                t->trials[i].times = times < 1 ? 1 : (uint32_t)times;
            }
            if (status == INGLE_OK)
                status = queue(t, g, err);
            break;
        case TIMED:
            status = read_times(t, g, err);
            if (status != INGLE_OK)
                break;
            if (!choose_modes(t, g))
                choose_shapes(t, g);
            t->modes_known = true;
            drop_trials(t, g);
            add_trials(t, g);
            t->ready = recorder_ready(g->r);
            t->waits = true;
            status = recorder_play(g->r, err);
            break;
        }
        if (status == INGLE_OK)
            t->stage = (t->stage + 1) % (TIMED + 1);
    }
    return status;
}

ingle_status tune_recall(gpu *g, ingle_error *err)
{
    gpu_shared *d = g->shared;
    const gpu_limits *l = &d->player.limits;
    const bool may = g->opt.measure == GPU_MEASURE_ALWAYS || (g->opt.measure == GPU_MEASURE_USUALLY && !l->software);
    if (d->tuned || !may || !l->timestamps || d->player.blind)
        return INGLE_OK;
    gpu_tuning *t = mem_zero(&g->allocator, 1, sizeof *t);
    tune_store *m = mem_alloc(&g->allocator, sizeof *m);
    if (!t || !m) {
        mem_free(&g->allocator, t);
        mem_free(&g->allocator, m);
        return error_memory(err, sizeof *t, "measuring kernels");
    }
    d->tuned = true; // by this session
    tune_store_read(m, &d->player);
    find_kinds(t, g);
    t->modes_key = modes_key(t);
    recall_modes(t, g, m);
    if (recall_shapes(t, g, m)) {
        mem_free(&g->allocator, t);
    } else {
        g->tuning = t;
        add_trials(t, g); // their kernels are compiled with the others
    }
    mem_free(&g->allocator, m);
    return INGLE_OK;
}

ingle_status tune_step(gpu *g, bool *changed, ingle_error *err)
{
    gpu_tuning *t = g->tuning;
    *changed = false;
    if (!t)
        return INGLE_OK;
    const ingle_status status = step(t, g, err);
    if (status != INGLE_OK)
        return status;
    remember(t, g);
    *changed = t->changed;
    tune_close(g);
    return INGLE_OK;
}

void tune_close(gpu *g)
{
    if (g->tuning)
        drop_trials(g->tuning, g);
    mem_free(&g->allocator, g->tuning);
    g->tuning = NULL;
}
