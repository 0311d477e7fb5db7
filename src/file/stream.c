/* The chunked loader. While the header comes in, exactly its bytes are collected: the walk says how
 * many it can use next, so nothing of the data section is ever copied. Then a position in the file
 * and one in the list of tensors by offset are all the state there is. */
#include "file/stream.h"

#include <inttypes.h>

#include "base/error.h"
#include "file/gguf_scan.h"

struct stream {
    ingle_allocator allocator;
    stream_sink sink;
    gguf_scan scan;
    ingle_text header; // its bytes; g borrows them
    gguf g;
    bool complete;     // the header is, and g is filled
    uint64_t at;       // bytes of the file taken
    uint64_t total;
    size_t next;       // index into g.by_offset
    ingle_error failed;
};

ingle_status stream_open(stream **out, const stream_sink *sink, const ingle_allocator *a,
                         ingle_error *err)
{
    *out = NULL;
    stream *s = mem_zero(a, 1, sizeof *s);
    if (!s)
        return error_memory(err, sizeof *s, "stream");
    if (a)
        s->allocator = *a;
    s->header.allocator = s->allocator;
    s->sink = *sink;
    s->scan.total = UINT64_MAX;
    *out = s;
    return error_clear(err);
}

/* All items are there: make the tables and tell the sink. */
static ingle_status complete_header(stream *s, ingle_error *err)
{
    uint64_t need;
    const ingle_status status = gguf_parse(&s->g, s->header.bytes, s->header.n, UINT64_MAX, &need,
                                           &s->allocator, err);
    if (status != INGLE_OK)
        return status;
    s->complete = true;
    s->total = s->header.n;
    if (s->g.n_tensors) {
        const gguf_tensor *last = &s->g.tensors[s->g.by_offset[s->g.n_tensors - 1]];
        s->total = last->offset + last->bytes;
    }
    return s->sink.header ? s->sink.header(s->sink.user, &s->g, err) : INGLE_OK;
}

/* Takes what the header needs from bytes [n]; *used says how much. */
static ingle_status feed_header(stream *s, const uint8_t *bytes, size_t n, size_t *used,
                                ingle_error *err)
{
    *used = 0;
    for (;;) {
        gguf_scan_event event = GGUF_SCAN_MORE;
        if (s->scan.need <= s->header.n) {
            const ingle_status status = gguf_scan_next(&s->scan, s->header.bytes, s->header.n, &event, err);
            if (status != INGLE_OK)
                return status;
        }
        if (event == GGUF_SCAN_END)
            return complete_header(s, err);
        if (event != GGUF_SCAN_MORE)
            continue;
        if (*used == n)
            return INGLE_OK;
        const uint64_t missing = s->scan.need - s->header.n;
        const size_t take = missing < n - *used ? (size_t)missing : n - *used;
        if (!text_add(&s->header, (const char *)bytes + *used, take))
            return error_memory(err, size_add(s->header.n, take), "GGUF header");
        *used += take;
        s->at += take;
    }
}

static ingle_status feed_data(stream *s, const uint8_t *bytes, size_t n, ingle_error *err)
{
    while (n && s->next < s->g.n_tensors) {
        const gguf_tensor *t = &s->g.tensors[s->g.by_offset[s->next]];
        const uint64_t left = s->at < t->offset ? t->offset - s->at : t->offset + t->bytes - s->at;
        const size_t take = left < n ? (size_t)left : n;
        if (s->at >= t->offset) {
            const ingle_status status = s->sink.data(s->sink.user, t, s->at - t->offset, bytes, take, err);
            if (status != INGLE_OK)
                return status;
            s->next += take == left;
        }
        s->at += take;
        bytes += take;
        n -= take;
    }
    return INGLE_OK;
}

/* Keeps the failure for later calls. A sink may have left err untouched. */
static ingle_status remember(stream *s, ingle_status status, const ingle_error *err)
{
    if (status != INGLE_OK) {
        s->failed = *err;
        s->failed.status = status;
    }
    return status;
}

static ingle_status report(const ingle_error *from, ingle_error *err)
{
    if (err)
        *err = *from;
    return from->status;
}

ingle_status stream_feed(stream *s, const void *bytes, size_t n, ingle_error *err)
{
    const uint8_t *p = bytes;
    size_t used = 0;
    ingle_error why;
    error_clear(&why);
    ingle_status status = s->failed.status;
    if (status == INGLE_OK && !s->complete)
        status = remember(s, feed_header(s, p, n, &used, &why), &why);
    if (status == INGLE_OK && s->complete && used < n)
        status = remember(s, feed_data(s, p + used, n - used, &why), &why);
    return status == INGLE_OK ? error_clear(err) : report(&s->failed, err);
}

uint64_t stream_total(const stream *s)
{
    return s->total;
}

const gguf *stream_header(const stream *s)
{
    return s->complete ? &s->g : NULL;
}

ingle_status stream_end(stream *s, ingle_error *err)
{
    if (s->failed.status != INGLE_OK)
        return report(&s->failed, err);
    if (!s->complete)
        return error_set(err, INGLE_ERR_FORMAT,
                         "the stream ends at byte %" PRIu64 ", within the header: %" PRIu64
                         " bytes or more are missing",
                         s->at, s->scan.need > s->at ? s->scan.need - s->at : 1);
    if (s->next < s->g.n_tensors) {
        const gguf_tensor *t = &s->g.tensors[s->g.by_offset[s->next]];
        return error_set(err, INGLE_ERR_FORMAT,
                         "the stream ends at byte %" PRIu64 " with %" PRIu64
                         " bytes missing, before the end of tensor %.*s",
                         s->at, s->total - s->at, STR_ARG(t->name));
    }
    return error_clear(err);
}

void stream_close(stream *s)
{
    if (!s)
        return;
    const ingle_allocator a = s->allocator;
    gguf_free(&s->g);
    ingle_text_free(&s->header);
    mem_free(&a, s);
}
