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

struct ingle_model {
    ingle_allocator allocator;
    void (*log)(void *user, const char *line);
    void *log_user;

    host_file *maps;      // [n_maps], when opened by path
    uint32_t n_maps;
    void *streamed;       // weights, when loaded from a stream
    stream *stream;       // then owns what `file` points to
    gguf file;
    const uint8_t **data; // [file.n_tensors], where each tensor's bytes are

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
};

const ingle_allocator *model_allocator(const ingle_model *m);
void model_log(const ingle_model *m, const char *fmt, ...);

/* Everything after the header is parsed and data[] is filled in: metadata, tokenizer, graph. */
ingle_status model_finish(ingle_model *m, ingle_error *err);

/* Allocates a model that owns nothing yet. */
ingle_status model_create(ingle_model **out, const ingle_model_options *opt, ingle_error *err);

#endif
