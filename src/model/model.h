/* A model: an opened file with its metadata, tokenizer and graph. Immutable once open.
 * Owns the maps or the streamed weights, the parsed header, the tokenizer and the graph. A part
 * that could not be understood (tokenizer, graph) leaves its error behind instead, so that the rest
 * still serves; whoever needs that part returns the error. */
#ifndef INGLE_MODEL_MODEL_H
#define INGLE_MODEL_MODEL_H

#include <stdatomic.h>

#include "file/stream.h"
#include "graph/graph.h"
#include "host/host.h"
#include "token/token.h"

/* What can be done only when a vector's bytes are there: made floats, or taken as divisors of frequencies. */
typedef struct model_vector {
    struct model_vector *next;
    const gguf_tensor *tensor; // values [n] = its own, converted
    float *values;
    size_t n;
    float *divided;            // [n] or NULL: divided by values
} model_vector;

struct ingle_model {
    ingle_allocator allocator;
    void (*log)(void *user, const char *line);
    void *log_user;

    host_file *maps;      // [n_maps], when opened by path
    uint32_t n_maps;
    void *streamed;       // weights, when loaded from a stream
    stream *stream;       // then owns what `file` points to
    gguf file;
    const uint8_t **data; // [file.n_tensors], where each tensor's bytes are; NULL: on the GPU, or dropped
    model_vector *vectors, **last_vector; // to be settled when all data is there, in this order

    arena memory;         // metadata texts, converted vectors
    tokenizer *tokens;    // NULL: token_error says why
    ingle_error token_error;
    graph graph;          // if runnable.status is OK
    ingle_error runnable;
    ingle_model_info info;
    const char **meta;    // [2 * file.n_values]: key, printed value
    const char **tensor_names; // [file.n_tensors]
    uint64_t tables_bytes; // of vocabulary and metadata

    /* What a backend made of the weights for all sessions; freed with the model. The only part that
     * changes after opening: under the lock. */
    atomic_flag backend_lock;
    void *backend_data;
    void (*backend_free)(void *data);
    /* Whether it has re-packed the matrix at `bytes` in place; then out is a row as in the file. */
    bool (*backend_row)(const void *data, const void *bytes, uint64_t row, uint8_t *out);

    /* The same of the GPU backend. on_gpu: the matrices are there alone. */
    void *gpu_data;
    void (*gpu_free)(void *data);
    bool on_gpu;
};

const ingle_allocator *model_allocator(const ingle_model *m);
void model_log(const ingle_model *m, const char *fmt, ...);

/* Everything that the header says, once it is parsed: metadata, tokenizer, graph. Tensors whose data[] is
 * missing may still come: the graph's vectors are given memory, and model_settle makes of them what the
 * graph wants when they are there. */
ingle_status model_finish(ingle_model *m, ingle_error *err);
void model_settle(ingle_model *m);

/* Takes the tensors of a stream in place of the model, which then keeps the graph's vectors alone. */
typedef struct {
    void *user;
    ingle_status (*header)(void *user, ingle_model *m, ingle_error *err); // all but the data is known; runnable
    /* The next bytes [n] of a tensor, n > 0, in the order of the file. */
    ingle_status (*data)(void *user, const gguf_tensor *t, const uint8_t *bytes, size_t n, ingle_error *err);
    ingle_status (*end)(void *user, ingle_model *m, ingle_error *err); // all have come, and are settled
    void (*close)(void *user); // however it ended; a model that was not taken is still there
} loader_sink;

/* Before anything is fed. Takes the sink, also when it fails: ERR_USAGE. */
ingle_status loader_use(ingle_loader *l, const loader_sink *sink, ingle_error *err);
const ingle_model *loader_model(const ingle_loader *l);

/* Allocates a model that owns nothing yet. */
ingle_status model_create(ingle_model **out, const ingle_model_options *opt, ingle_error *err);

#endif
