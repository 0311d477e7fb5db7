/* The chunked loader: a GGUF stream, front to back, in chunks of any size. Holds the header and
 * nothing else; tensor bytes go straight to a sink, in the order in which they lie in the file.
 * Refuses what gguf.h refuses and a stream that ends early. Gaps, padding and bytes after the last
 * tensor are read over, as a reader of the whole file would. A part of a split set is streamed as a
 * file of its own: the sink's header call sees part_no and n_parts. */
#ifndef INGLE_FILE_STREAM_H
#define INGLE_FILE_STREAM_H

#include "file/gguf.h"

/* What takes the tensors. Each returns INGLE_OK or fills err and stops the stream. */
typedef struct {
    void *user;
    /* The header is complete: g is the stream's and lives as long as it. May be NULL. */
    ingle_status (*header)(void *user, const gguf *g, ingle_error *err);
    /* The next bytes [n] of tensor t, n > 0, which begin at `at` within it. The last call for a
     * tensor has at + n == t->bytes. Bytes are the caller's of stream_feed. */
    ingle_status (*data)(void *user, const gguf_tensor *t, uint64_t at, const uint8_t *bytes,
                         size_t n, ingle_error *err);
} stream_sink;

typedef struct stream stream;

ingle_status stream_open(stream **out, const stream_sink *sink, const ingle_allocator *a,
                         ingle_error *err);

/* Takes the next bytes [n]. After a failure every later call returns the same failure. */
ingle_status stream_feed(stream *s, const void *bytes, size_t n, ingle_error *err);

/* Bytes up to the end of the last tensor (of the header, if there is none); padding may follow.
 * 0 before the header is complete. */
uint64_t stream_total(const stream *s);
const gguf *stream_header(const stream *s); // NULL before

/* Ends the stream. ERR_FORMAT if bytes are missing, with how many; or the failure of a feed. */
ingle_status stream_end(stream *s, ingle_error *err);
void stream_close(stream *s);

#endif
