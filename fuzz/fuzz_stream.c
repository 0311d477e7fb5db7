/* A GGUF stream in chunks whose sizes are the input's last bytes: accepted exactly when the whole
 * file is, and handing on the same bytes. */
#include "file/stream.h"
#include "fuzz.h"

typedef struct {
    const uint8_t *file;
    size_t n, n_done;
    bool header;
    uint64_t at; // within the open tensor
} watcher;

static ingle_status see_header(void *user, const gguf *g, ingle_error *err)
{
    watcher *w = user;
    (void)g;
    (void)err;
    MUST(!w->header);
    w->header = true;
    return INGLE_OK;
}

static ingle_status see_data(void *user, const gguf_tensor *t, uint64_t at, const uint8_t *bytes,
                             size_t n, ingle_error *err)
{
    watcher *w = user;
    (void)err;
    MUST(w->header && n > 0 && at == w->at && at + n <= t->bytes);
    MUST(t->offset + at + n <= w->n && memcmp(bytes, w->file + t->offset + at, n) == 0);
    w->at = at + n == t->bytes ? 0 : at + n;
    w->n_done += w->at == 0;
    return INGLE_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const size_t n_sizes = n < 4 ? n : 4;
    const uint8_t *sizes = bytes + n - n_sizes;
    watcher w = {.file = bytes, .n = n};
    const stream_sink sink = {&w, see_header, see_data};
    stream *s;
    ingle_error err, whole_err;
    gguf g;
    uint64_t need;
    const ingle_status whole = gguf_parse(&g, bytes, n, n, &need, NULL, &whole_err);
    MUST(stream_open(&s, &sink, NULL, &err) == INGLE_OK);
    ingle_status status = INGLE_OK;
    for (size_t at = 0, i = 0; at < n && status == INGLE_OK; i++) {
        size_t take = sizes[i % n_sizes] % 64;
        take += i > 4096 || take == 63 ? 1000 : i % n_sizes == 0;
        take = take < n - at ? take : n - at;
        status = stream_feed(s, bytes + at, take, &err);
        fuzz_check_error(status, &err);
        at += take;
    }
    if (status == INGLE_OK)
        status = stream_end(s, &err);
    fuzz_check_error(status, &err);
    MUST((status == INGLE_OK) == (whole == INGLE_OK));
    if (status == INGLE_OK) {
        MUST(w.n_done == g.n_tensors && w.at == 0 && stream_header(s)->n_values == g.n_values);
        MUST(stream_total(s) <= n);
    }
    stream_close(s);
    gguf_free(&g);
    return 0;
}
