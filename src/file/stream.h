/* The chunked loader: a GGUF stream, front to back, in chunks of any size. Holds the header and
 * nothing else; tensor bytes go straight to a sink, in file order. Refuses what gguf.h refuses and
 * a stream that ends early or late. */
#ifndef INGLE_FILE_STREAM_H
#define INGLE_FILE_STREAM_H

#include "file/gguf.h"

/* What takes the tensors. Each returns INGLE_OK or fills err and stops the stream. */
typedef struct {
    void *user;
    /* The header is complete: g is the stream's and lives as long as it. */
    ingle_status (*header)(void *user, const gguf *g, ingle_error *err);
    /* The next bytes [n] of tensor t, which begin at `at` within it. The last call for a tensor
     * has at + n == t->bytes; empty tensors get one call with n = 0. */
    ingle_status (*data)(void *user, const gguf_tensor *t, uint64_t at, const uint8_t *bytes,
                         size_t n, ingle_error *err);
} stream_sink;

typedef struct stream stream;

ingle_status stream_open(stream **out, const stream_sink *sink, const ingle_allocator *a,
                         ingle_error *err);
ingle_status stream_feed(stream *s, const void *bytes, size_t n, ingle_error *err);
uint64_t stream_total(const stream *s); // bytes of the whole file; 0 before the header is complete
const gguf *stream_header(const stream *s); // NULL before
/* ERR_FORMAT if bytes are missing, with how many. */
ingle_status stream_end(stream *s, ingle_error *err);
void stream_close(stream *s);

#endif
