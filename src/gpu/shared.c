/* What the sessions of a model share on a GPU: the device, weights, and a recorder that numbers all there is
 * on it. Weights come from mapped tensors when a session first names them, or are fed from a stream. */
#include "base/error.h"
#include "gpu/gpu_impl.h"
#include "host/host.h"

ingle_status gpu_shared_open(gpu_shared **out, const graph *g, const gpu_player *player, bool streamed,
                             const ingle_allocator *a, ingle_error *err)
{
    *out = NULL;
    gpu_shared *d = mem_zero(a, 1, sizeof *d);
    gpu_weight *weights = mem_zero(a, g->n_tensors, sizeof *weights);
    if (!d || !weights) {
        mem_free(a, d);
        mem_free(a, weights);
        player->close(player->user);
        return error_memory(err, sizeof *d, "a GPU backend");
    }
    if (a)
        d->allocator = *a;
    d->graph = g;
    d->player = *player;
    d->best = gpu_best_modes(&player->limits);
    d->head = (graph_tensor){.rows = g->sizes.d_head};
    d->weights = weights;
    d->weights_room = g->n_tensors;
    d->awaits = streamed;
    atomic_flag_clear(&d->lock);
    recorder_init(&d->r, &d->player, &d->best, a);
    *out = d;
    return INGLE_OK;
}

void gpu_shared_close(gpu_shared *d)
{
    if (!d)
        return;
    const ingle_allocator a = d->allocator;
    for (size_t i = 0; i < d->n_weights; i++) {
        matrix_feed_free(&d->weights[i].feed);
        mem_free(&a, d->weights[i].m.parts);
    }
    d->player.close(d->player.user); // and with it every buffer
    gpu_free_closed(d, true);
    recorder_free(&d->r);
    mem_free(&a, d->weights);
    mem_free(&a, d->vectors);
    mem_free(&a, d);
}

const gpu_limits *gpu_shared_limits(const gpu_shared *d)
{
    return &d->player.limits;
}

size_t gpu_shared_sessions(const gpu_shared *d)
{
    return d->n_sessions;
}

bool gpu_shared_broken(const gpu_shared *d)
{
    return d->r.broken;
}

static ingle_status play_nothing(void *user, const uint32_t *words, size_t n, ingle_error *err)
{
    (void)user, (void)words, (void)n;
    return error_set(err, INGLE_ERR_DEVICE_LOST, "the GPU was given up");
}

static ingle_status wait_for_nothing(void *user, uint32_t ticket, uint64_t *answer, ingle_error *err)
{
    (void)ticket, (void)answer;
    return play_nothing(user, NULL, 0, err);
}

static void close_nothing(void *user)
{
    (void)user;
}

static void lock(gpu_shared *d)
{
    while (atomic_flag_test_and_set(&d->lock))
        host_relax();
}

void gpu_enter(gpu *g)
{
    lock(g->shared);
    g->r->modes = g->modes;
}

void gpu_leave(gpu *g)
{
    atomic_flag_clear(&g->shared->lock);
}

/* The player goes at once: a host may have one device at a time. */
void gpu_shared_abandon(gpu_shared *d)
{
    lock(d);
    d->player.close(d->player.user);
    d->player = (gpu_player){.limits = d->player.limits, .play = play_nothing, .wait = wait_for_nothing,
                             .close = close_nothing, .blind = d->player.blind};
    d->abandoned = true;
    const bool last = d->n_sessions == 0;
    atomic_flag_clear(&d->lock);
    if (last)
        gpu_shared_close(d);
}

/* ---- weights ---------------------------------------------------------------------------------- */

/* Tensors of a file have names of their own. */
static bool same_source(const matrix_source *a, const matrix_source *b)
{
    if (a->n_tensors != b->n_tensors || a->order != b->order)
        return false;
    for (uint32_t i = 0; i < a->n_tensors; i++)
        if (strcmp(a->tensors[i]->name, b->tensors[i]->name) != 0)
            return false;
    return true;
}

const gpu_matrix *gpu_shared_matrix(gpu_shared *d, const matrix_source *source, ingle_status *status, ingle_error *err)
{
    if (*status != INGLE_OK)
        return NULL;
    for (size_t i = 0; i < d->n_weights; i++)
        if (same_source(&d->weights[i].source, source))
            return &d->weights[i].m;
    const graph_tensor *t = source->tensors[0];
    if (t->cols % 4)
        *status = error_set(err, INGLE_ERR_UNSUPPORTED, "tensor %.100s: %llu columns on a GPU, which takes fours", t->name,
                            (unsigned long long)t->cols);
    else if (d->n_weights == d->weights_room)
        *status = error_set(err, INGLE_ERR_INTERNAL, "tensor %.100s is part of several matrices", t->name);
    if (*status != INGLE_OK)
        return NULL;
    gpu_weight *w = &d->weights[d->n_weights++];
    w->source = *source;
    *status = (d->awaits ? matrix_reserve : matrix_open)(&w->m, &d->r, source, &d->allocator, err);
    if (*status != INGLE_OK) { // so that nobody takes it for whole
        matrix_close(&w->m, &d->r);
        d->n_weights--;
        return NULL;
    }
    if (d->awaits)
        matrix_feed_init(&w->feed, &w->m, source, &d->allocator);
    return &w->m;
}

gpu_matrix *gpu_own_matrix(gpu_shared *d, const gpu_matrix *m)
{
    size_t i = 0;
    while (&d->weights[i].m != m)
        i++;
    return &d->weights[i].m;
}

static uint64_t vector_rows(const gpu_shared *d, const gpu_vector *v)
{
    uint64_t rows = 0;
    if (!v->order.tensors[0])
        return d->graph->tensors[v->w[0]].cols;
    for (uint32_t i = 0; i < v->order.n_tensors; i++)
        rows += v->order.tensors[i]->rows;
    return rows;
}

static ingle_status upload_vector(gpu_shared *d, const gpu_vector *v, ingle_error *err)
{
    const uint64_t rows = vector_rows(d, v);
    float *values = mem_alloc(&d->allocator, size_mul((size_t)rows, sizeof *values));
    if (!values)
        return error_memory(err, (size_t)rows * sizeof *values, "a vector");
    for (uint64_t row = 0; row < rows; row++) {
        uint32_t t = 0;
        const uint64_t at = v->order.tensors[0] ? matrix_row_of(&v->order, row, &t) : row;
        values[row] = v->w[t] >= 0 ? ((const float *)d->graph->tensors[v->w[t]].data)[at] : 0.0f;
    }
    recorder_write(&d->r, v->slice, values, (size_t)rows * sizeof *values);
    const ingle_status status = recorder_play(&d->r, err);
    mem_free(&d->allocator, values);
    return status;
}

static gpu_vector *find_vector(gpu_shared *d, const graph_weight *w, const matrix_source *order)
{
    for (size_t i = 0; i < d->n_vectors; i++) {
        gpu_vector *v = &d->vectors[i];
        if (v->order.n_tensors == order->n_tensors && v->order.order == order->order &&
            memcmp(v->w, w, order->n_tensors * sizeof *w) == 0)
            return v;
    }
    return NULL;
}

gpu_slice gpu_shared_vector(gpu_shared *d, const graph_weight *w, const matrix_source *order, const char *label,
                            ingle_status *status, ingle_error *err)
{
    bool any = false;
    for (uint32_t i = 0; i < order->n_tensors; i++)
        any = any || w[i] >= 0;
    if (!any || *status != INGLE_OK)
        return (gpu_slice){0};
    const gpu_vector *found = find_vector(d, w, order);
    if (found)
        return found->slice;
    gpu_vector *vectors = mem_grow(&d->allocator, d->vectors, d->n_vectors, &d->vectors_capacity, sizeof *vectors);
    if (!vectors) {
        *status = error_memory(err, sizeof *vectors, "a vector");
        return (gpu_slice){0};
    }
    d->vectors = vectors;
    gpu_vector *v = &vectors[d->n_vectors];
    *v = (gpu_vector){.order = *order, .label = label};
    memcpy(v->w, w, order->n_tensors * sizeof *w);
    v->slice = recorder_buffer(&d->r, vector_rows(d, v) * sizeof(float), label);
    *status = d->awaits ? recorder_play(&d->r, err) : upload_vector(d, v, err);
    if (*status != INGLE_OK) {
        recorder_drop(&d->r, &v->slice);
        return (gpu_slice){0};
    }
    d->n_vectors++;
    return v->slice;
}

/* ---- streams ---------------------------------------------------------------------------------- */

static ingle_status feed(gpu_shared *d, str tensor, const void *bytes, size_t n, ingle_error *err)
{
    ingle_status status = INGLE_OK;
    for (size_t i = 0; i < d->n_weights; i++) {
        gpu_weight *w = &d->weights[i];
        for (uint32_t k = 0; status == INGLE_OK && w->feed.matrix && k < w->source.n_tensors; k++)
            if (str_equal(str_of(w->source.tensors[k]->name), tensor))
                status = matrix_feed_take(&w->feed, &d->r, k, bytes, n, false, err);
    }
    return status;
}

ingle_status gpu_shared_feed(gpu_shared *d, str tensor, const void *bytes, size_t n, ingle_error *err)
{
    lock(d);
    const ingle_status status = feed(d, tensor, bytes, n, err);
    atomic_flag_clear(&d->lock);
    return status;
}

static ingle_status end(gpu_shared *d, ingle_error *err)
{
    ingle_status status = INGLE_OK;
    for (size_t i = 0; i < d->n_weights; i++) {
        gpu_weight *w = &d->weights[i];
        if (!matrix_feed_full(&w->feed))
            return error_set(err, INGLE_ERR_FORMAT, "tensor %.100s did not come whole", w->source.tensors[0]->name);
        matrix_feed_free(&w->feed);
    }
    for (size_t i = 0; status == INGLE_OK && i < d->n_vectors; i++)
        status = upload_vector(d, &d->vectors[i], err);
    if (status != INGLE_OK)
        return status;
    gpu *const first = d->first;
    d->awaits = false;
    d->first = NULL;
    return first ? gpu_settle(first, err) : INGLE_OK;
}

ingle_status gpu_shared_end(gpu_shared *d, ingle_error *err)
{
    lock(d);
    const ingle_status status = end(d, err);
    atomic_flag_clear(&d->lock);
    return status;
}
