/* A model from a stream: the header, then each tensor's bytes straight to where they will live: memory of
 * the model's, or wherever a sink (model.h) takes them. */
#include "base/error.h"
#include "file/stream.h"
#include "model/model.h"
#include "quant/quant.h"

enum { TENSOR_ALIGN = 64 }; // a cache line: what vector loads like best

struct ingle_loader {
    ingle_allocator allocator;
    ingle_model *model; // until taken
    stream *stream;
    loader_sink sink; // takes the tensors; close NULL: none
    bool fed;
    ingle_error failed; // sticky
};

/* What a tensor takes, with room for a backend to re-pack it where it lies. */
static uint64_t room_of(const gguf_tensor *t)
{
    uint64_t bytes = t->bytes;
    if (quant_find(t->format) && t->shape[0])
        bytes = quant_room(t->format, t->n_values / t->shape[0], t->shape[0]);
    return bytes > UINT64_MAX - TENSOR_ALIGN ? UINT64_MAX : (bytes + TENSOR_ALIGN - 1) / TENSOR_ALIGN * TENSOR_ALIGN;
}

/* Tensors go to the sink: all that the header says is made of it now, so that the sink knows the graph. */
static ingle_status pass_header(ingle_loader *l, const gguf *g, ingle_error *err)
{
    ingle_model *m = l->model;
    m->data = arena_zero(&m->memory, g->n_tensors, sizeof *m->data);
    if (!m->data)
        return error_memory(err, g->n_tensors * sizeof *m->data, "a table of tensors");
    m->file = *g;
    const ingle_status status = model_finish(m, err);
    if (status != INGLE_OK)
        return status;
    if (m->runnable.status != INGLE_OK) {
        *err = m->runnable;
        return err->status;
    }
    m->on_gpu = true;
    return l->sink.header(l->sink.user, m, err);
}

static ingle_status take_header(void *user, const gguf *g, ingle_error *err)
{
    ingle_loader *l = user;
    ingle_model *m = l->model;
    if (g->n_parts > 1)
        return error_set(err, INGLE_ERR_UNSUPPORTED, "one part of a split set of %u files",
                         g->n_parts);
    if (l->sink.close)
        return pass_header(l, g, err);
    uint64_t bytes = TENSOR_ALIGN;
    for (size_t i = 0; i < g->n_tensors; i++)
        if (!u64_add(bytes, room_of(&g->tensors[i]), &bytes))
            bytes = UINT64_MAX;
    if (bytes > SIZE_MAX / 2)
        return error_set(err, INGLE_ERR_MEMORY, "the weights take %llu bytes",
                         (unsigned long long)bytes);
    m->streamed = mem_alloc(&m->allocator, (size_t)bytes);
    m->data = arena_zero(&m->memory, g->n_tensors, sizeof *m->data);
    if (!m->streamed || !m->data)
        return error_memory(err, (size_t)bytes, "the weights");
    uint8_t *at = m->streamed;
    at += (TENSOR_ALIGN - (uintptr_t)at % TENSOR_ALIGN) % TENSOR_ALIGN;
    for (size_t i = 0; i < g->n_tensors; i++) {
        m->data[i] = at;
        at += room_of(&g->tensors[i]);
    }
    return INGLE_OK;
}

static ingle_status take_data(void *user, const gguf_tensor *t, uint64_t at, const uint8_t *bytes,
                              size_t n, ingle_error *err)
{
    ingle_loader *l = user;
    const size_t index = (size_t)(t - stream_header(l->stream)->tensors);
    if (l->model->data[index])
        memcpy((uint8_t *)(uintptr_t)l->model->data[index] + at, bytes, n);
    return l->sink.close ? l->sink.data(l->sink.user, t, bytes, n, err) : INGLE_OK;
}

ingle_status ingle_loader_open(ingle_loader **out, const ingle_model_options *opt, ingle_error *err)
{
    *out = NULL;
    error_clear(err);
    const ingle_allocator a = opt ? opt->allocator : (ingle_allocator){0};
    ingle_loader *l = mem_zero(&a, 1, sizeof *l);
    if (!l)
        return error_memory(err, sizeof *l, "a loader");
    l->allocator = a;
    const stream_sink sink = {l, take_header, take_data};
    ingle_status status = model_create(&l->model, opt, err);
    if (status == INGLE_OK)
        status = stream_open(&l->stream, &sink, &a, err);
    if (status != INGLE_OK) {
        ingle_model_close(l->model);
        mem_free(&a, l);
        return status;
    }
    *out = l;
    return INGLE_OK;
}

ingle_status loader_use(ingle_loader *l, const loader_sink *sink, ingle_error *err)
{
    if (l->sink.close || !l->model || l->fed || l->failed.status != INGLE_OK) {
        sink->close(sink->user);
        return error_set(err, INGLE_ERR_USAGE, "where the weights go is said once, before the first bytes");
    }
    l->sink = *sink;
    return INGLE_OK;
}

const ingle_model *loader_model(const ingle_loader *l)
{
    return l->model;
}

static ingle_status fail(ingle_loader *l, ingle_status status, ingle_error *err)
{
    l->failed.status = status;
    if (err)
        *err = l->failed;
    return status;
}

ingle_status ingle_loader_feed(ingle_loader *l, const void *bytes, size_t n, ingle_error *err)
{
    error_clear(err);
    if (!l->model && l->failed.status == INGLE_OK)
        return error_set(err, INGLE_ERR_USAGE, "the model was taken already");
    l->fed = true;
    if (l->failed.status == INGLE_OK)
        stream_feed(l->stream, bytes, n, &l->failed);
    return fail(l, l->failed.status, err);
}

uint64_t ingle_loader_total(const ingle_loader *l)
{
    return l->stream ? stream_total(l->stream) : 0;
}

ingle_status ingle_loader_take(ingle_loader *l, ingle_model **out, ingle_error *err)
{
    *out = NULL;
    error_clear(err);
    if (!l->model && l->failed.status == INGLE_OK)
        return error_set(err, INGLE_ERR_USAGE, "the model was taken already");
    ingle_status status = l->failed.status;
    if (status == INGLE_OK)
        status = stream_end(l->stream, &l->failed);
    if (status == INGLE_OK && !l->sink.close) {
        l->model->file = *stream_header(l->stream);
        status = model_finish(l->model, &l->failed);
    }
    if (status == INGLE_OK)
        model_settle(l->model);
    if (status == INGLE_OK && l->sink.close)
        status = l->sink.end(l->sink.user, l->model, &l->failed);
    if (status != INGLE_OK)
        return fail(l, status, err);
    *out = l->model;
    (*out)->stream = l->stream; // the header's bytes and tables stay the stream's
    l->model = NULL;
    l->stream = NULL;
    return INGLE_OK;
}

void ingle_loader_close(ingle_loader *l)
{
    if (!l)
        return;
    const ingle_allocator a = l->allocator;
    if (l->sink.close)
        l->sink.close(l->sink.user);
    if (l->model)
        l->model->file = (gguf){0}; // the stream's own, perhaps lent by a take that failed
    ingle_model_close(l->model);
    stream_close(l->stream);
    mem_free(&a, l);
}
