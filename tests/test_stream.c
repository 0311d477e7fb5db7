/* The chunked loader: what it hands on does not depend on how the bytes come in. */
#include "base/error.h"
#include "file/stream.h"
#include "harness.h"
#include "quant/quant.h"
#include "support.h"

/* ---- a sink that keeps everything --------------------------------------------------------- */

typedef struct {
    char *data;          // [total] the file as far as tensors fill it
    uint64_t total, expected_next;
    const gguf_tensor *open; // the tensor that is not yet whole
    size_t n_headers, n_tensors;
    const gguf *g;
    ingle_status refuse_header, refuse_data; // returned instead of OK
    uint64_t refuse_at;                      // from this byte of the file on
} keeper;

static ingle_status keep_header(void *user, const gguf *g, ingle_error *err)
{
    keeper *k = user;
    k->n_headers++;
    k->g = g;
    k->total = 0;
    for (size_t i = 0; i < g->n_tensors; i++)
        if (g->tensors[i].offset + g->tensors[i].bytes > k->total)
            k->total = g->tensors[i].offset + g->tensors[i].bytes;
    k->data = calloc(1, (size_t)k->total + 1);
    return k->refuse_header ? error_set(err, k->refuse_header, "no such family") : INGLE_OK;
}

static ingle_status keep_data(void *user, const gguf_tensor *t, uint64_t at, const uint8_t *bytes,
                              size_t n, ingle_error *err)
{
    keeper *k = user;
    (void)err;
    if (k->refuse_data && t->offset + at + n > k->refuse_at)
        return k->refuse_data; // without a text
    CHECK(n > 0 && at + n <= t->bytes && t->offset + at + n <= k->total);
    if (k->open)
        CHECK(t == k->open && at == k->expected_next);
    else
        CHECK(at == 0 && t->offset >= k->expected_next); // expected_next: end of the one before
    memcpy(k->data + t->offset + at, bytes, n);
    k->open = at + n < t->bytes ? t : NULL;
    k->expected_next = k->open ? at + n : t->offset + t->bytes;
    k->n_tensors += k->open == NULL;
    return INGLE_OK;
}

static stream_sink sink_of(keeper *k)
{
    return (stream_sink){k, keep_header, keep_data};
}

/* Feeds bytes [n] in chunks: of `chunk` bytes, or of random ones where chunk is 0. */
static ingle_status feed(void *to, const void *bytes, size_t n, ingle_error *err)
{
    return stream_feed(to, bytes, n, err);
}

static ingle_status feed_all(stream *s, const char *bytes, size_t n, size_t chunk, uint64_t seed,
                             ingle_error *err)
{
    return test_feed(feed, s, bytes, n, chunk, seed, err);
}

/* ---- files -------------------------------------------------------------------------------- */

/* Three tensors, listed in another order than they lie in, with a gap before the last and junk
 * after it. *header is where its data section starts, *end the last tensor's end. */
static ingle_text make_file(size_t *header, size_t *end)
{
    static const uint64_t offsets[] = {160, 0, 64};
    static const char *const names[] = {"last", "first", "second"};
    static const uint64_t shapes[] = {5, 16, 3}; // F32: 20, 64 and 12 bytes
    ingle_text t = {0}, list = {0};
    gguf_writer w = {0};
    ingle_error err;
    gguf_write_str(&w, "general.architecture", STR("none"));
    const str strings[] = {STR("a"), STR(""), STR("ccc")};
    gguf_write_strs(&w, "strings", strings, 3);
    CHECK(gguf_write_header(&w, &t, &err) == INGLE_OK);
    const uint64_t n_tensors = 3;
    memcpy(t.bytes + 8, &n_tensors, 8);
    t.n = 24 + w.values.n; // without the padding
    for (int i = 0; i < 3; i++) {
        const uint64_t n_name = strlen(names[i]);
        const uint32_t n_dims = 1, format = QUANT_F32;
        text_add(&t, (const char *)&n_name, 8);
        text_add(&t, names[i], (size_t)n_name);
        text_add(&t, (const char *)&n_dims, 4);
        text_add(&t, (const char *)&shapes[i], 8);
        text_add(&t, (const char *)&format, 4);
        text_add(&t, (const char *)&offsets[i], 8);
    }
    while (t.n % 32)
        text_add_byte(&t, 0);
    *header = t.n;
    *end = t.n + 180;
    for (int i = 0; i < 200; i++) // never 0, so that what a gap holds would be seen
        text_add_byte(&t, (char)(i % 250 + 1));
    gguf_writer_free(&w);
    ingle_text_free(&list);
    return t;
}

static void hands_on_the_same_in_any_chunks(void)
{
    size_t header, end;
    ingle_text t = make_file(&header, &end);
    static const size_t chunks[] = {1, 2, 3, 7, 8, 31, 32, 33, 100, 1000, 0, 0, 0};
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        keeper k = {0};
        const stream_sink sink = sink_of(&k);
        stream *s;
        ingle_error err;
        CHECK(stream_open(&s, &sink, NULL, &err) == INGLE_OK);
        CHECK(stream_total(s) == 0 && stream_header(s) == NULL);
        CHECK_MSG(feed_all(s, t.bytes, t.n, chunks[i], i, &err) == INGLE_OK, "%s", err.text);
        CHECK(k.n_headers == 1 && k.n_tensors == 3 && stream_header(s) == k.g && stream_total(s) == end);
        CHECK(k.total == end && memcmp(k.data + header, t.bytes + header, 76) == 0);
        for (size_t gap = header + 76; gap < header + 160; gap++)
            CHECK(k.data[gap] == 0);
        CHECK(memcmp(k.data + header + 160, t.bytes + header + 160, 20) == 0);
        CHECK(stream_end(s, &err) == INGLE_OK && err.status == INGLE_OK);
        stream_close(s);
        free(k.data);
    }
    ingle_text_free(&t);
}

/* The header is reported with its last byte, not later. */
static void tells_at_once(void)
{
    size_t header, end;
    ingle_text t = make_file(&header, &end);
    gguf g;
    uint64_t need;
    ingle_error err;
    size_t list_end = 0; // the shortest prefix that parses
    for (size_t n = 0; n <= header && !list_end; n++) {
        CHECK(gguf_parse(&g, t.bytes, n, UINT64_MAX, &need, NULL, &err) == INGLE_OK);
        if (need == 0)
            list_end = n;
        gguf_free(&g);
    }
    keeper k = {0};
    const stream_sink sink = sink_of(&k);
    stream *s;
    CHECK(stream_open(&s, &sink, NULL, &err) == INGLE_OK);
    CHECK(stream_feed(s, t.bytes, list_end - 1, &err) == INGLE_OK && k.n_headers == 0 && stream_total(s) == 0);
    CHECK(stream_feed(s, NULL, 0, &err) == INGLE_OK && k.n_headers == 0);
    CHECK(stream_feed(s, t.bytes + list_end - 1, 1, &err) == INGLE_OK && k.n_headers == 1 && stream_total(s) == end);
    stream_close(s);
    free(k.data);
    ingle_text_free(&t);
}

static void says_what_is_missing(void)
{
    size_t header, end;
    ingle_text t = make_file(&header, &end);
    for (size_t n = 0; n < t.n; n++) {
        keeper k = {0};
        const stream_sink sink = sink_of(&k);
        stream *s;
        ingle_error err;
        CHECK(stream_open(&s, &sink, NULL, &err) == INGLE_OK && feed_all(s, t.bytes, n, 0, n, &err) == INGLE_OK);
        const ingle_status status = stream_end(s, &err);
        CHECK_MSG(status == (n < end ? INGLE_ERR_FORMAT : INGLE_OK), "(%zu: %s)", n, err.text);
        CHECK(stream_end(s, &err) == status);
        if (n == 30)
            CHECK(strstr(err.text, "ends at byte 30, within the header"));
        if (n == header + 65)
            CHECK(strstr(err.text, "with 115 bytes missing, before the end of tensor second"));
        stream_close(s);
        free(k.data);
    }
    ingle_text_free(&t);
}

static void streams_a_real_file(void)
{
    const char *path = test_find_model("stories260K.gguf");
    if (!path) {
        SKIP("no stories260K.gguf");
        return;
    }
    size_t n;
    char *bytes = test_read_file(path, &n);
    static const size_t chunks[] = {1, 4096, 0, (size_t)4 << 20};
    for (size_t i = 0; i < 4; i++) {
        keeper k = {0};
        const stream_sink sink = sink_of(&k);
        stream *s;
        ingle_error err;
        CHECK(stream_open(&s, &sink, NULL, &err) == INGLE_OK);
        CHECK_MSG(feed_all(s, bytes, n, chunks[i], 5, &err) == INGLE_OK && stream_end(s, &err) == INGLE_OK, "%s", err.text);
        CHECK(k.n_tensors == 48 && k.total <= n && n - k.total < 32);
        const size_t header = (size_t)stream_header(s)->header_bytes;
        CHECK(memcmp(k.data + header, bytes + header, (size_t)k.total - header) == 0);
        stream_close(s);
        free(k.data);
    }
    free(bytes);
}

static void reads_a_vocabulary(void)
{
    gguf_writer w = {0};
    ingle_text t = {0};
    ingle_error err;
    gguf_write_u32(&w, "k", 1);
    CHECK(gguf_write_header(&w, &t, &err) == INGLE_OK);
    for (int junk = 0; junk < 2; junk++) { // without a tensor the data section may be missing
        keeper k = {0};
        const stream_sink sink = {&k, junk ? NULL : keep_header, keep_data};
        stream *s;
        CHECK(stream_open(&s, &sink, NULL, &err) == INGLE_OK);
        CHECK(feed_all(s, t.bytes, junk ? t.n : 24 + w.values.n, 1, 0, &err) == INGLE_OK);
        CHECK(stream_end(s, &err) == INGLE_OK && stream_total(s) == 24 + w.values.n);
        CHECK(stream_header(s) && stream_header(s)->n_values == 1);
        stream_close(s);
        free(k.data);
    }
    gguf_writer_free(&w);
    ingle_text_free(&t);
}

/* ---- failures ----------------------------------------------------------------------------- */

static void keeps_its_failure(void)
{
    size_t header, end;
    ingle_text t = make_file(&header, &end);
    static const struct {
        ingle_status header, data;
        size_t damage; // this byte becomes 0xFF
        ingle_status want;
        const char *text;
    } cases[] = {
        {0, 0, 0, INGLE_ERR_FORMAT, "does not begin with GGUF"},
        {0, 0, 15, INGLE_ERR_FORMAT, "tensors are more than"},
        {0, 0, 31, INGLE_ERR_FORMAT, "a name of"},
        {INGLE_ERR_UNSUPPORTED, 0, SIZE_MAX, INGLE_ERR_UNSUPPORTED, "no such family"},
        {0, INGLE_ERR_CANCELLED, SIZE_MAX, INGLE_ERR_CANCELLED, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t chunk = 1; chunk < 1000; chunk += 333) {
            keeper k = {.refuse_header = cases[i].header, .refuse_data = cases[i].data, .refuse_at = header + 170};
            const stream_sink sink = sink_of(&k);
            stream *s;
            ingle_error err;
            char *bytes = malloc(t.n);
            memcpy(bytes, t.bytes, t.n);
            if (cases[i].damage < t.n)
                bytes[cases[i].damage] = (char)0xFF;
            CHECK(stream_open(&s, &sink, NULL, &err) == INGLE_OK);
            CHECK(feed_all(s, bytes, t.n, chunk, 0, &err) == cases[i].want);
            CHECK_MSG(err.status == cases[i].want && strstr(err.text, cases[i].text), "(%zu: %s)", i, err.text);
            const ingle_error first = err;
            CHECK(stream_feed(s, t.bytes, t.n, &err) == cases[i].want && strcmp(err.text, first.text) == 0);
            CHECK(stream_end(s, NULL) == cases[i].want && stream_end(s, &err) == cases[i].want);
            CHECK_TEXT(err.text, first.text);
            stream_close(s);
            free(k.data);
            free(bytes);
        }
    }
    ingle_text_free(&t);
}

/* A length that no header can have is refused when it is read, not waited for. */
static void does_not_wait_for_the_impossible(void)
{
    ingle_text t = {0};
    const uint64_t fields[] = {0, 1, 1};
    text_add(&t, "GGUF\3\0\0\0", 8);
    text_add(&t, (const char *)fields, 24);
    text_add(&t, "k\x8\0\0\0", 5);
    const uint64_t length = (uint64_t)GGUF_HEADER_MAX + 1;
    text_add(&t, (const char *)&length, 8);
    keeper k = {0};
    const stream_sink sink = sink_of(&k);
    stream *s;
    ingle_error err;
    test_memory memory = {0};
    const ingle_allocator a = test_allocator(&memory);
    CHECK(stream_open(&s, &sink, &a, &err) == INGLE_OK);
    CHECK(feed_all(s, t.bytes, t.n, 1, 0, &err) == INGLE_ERR_FORMAT);
    CHECK_TEXT(err.text, "key k goes on to byte 268435502, a header ends by 268435456");
    stream_close(s);
    CHECK(memory.live == 0);
    ingle_text_free(&t);
}

static ingle_status stream_once(void *user, const ingle_allocator *a)
{
    const ingle_text *t = user;
    keeper k = {0};
    const stream_sink sink = sink_of(&k);
    stream *s;
    ingle_status status = stream_open(&s, &sink, a, NULL);
    if (status == INGLE_OK)
        status = feed_all(s, t->bytes, t->n, 50, 0, NULL);
    if (status == INGLE_OK)
        status = stream_end(s, NULL);
    stream_close(s);
    free(k.data);
    return status;
}

static void survives_without_memory(void)
{
    size_t header, end;
    ingle_text t = make_file(&header, &end);
    CHECK(test_every_allocation(stream_once, &t) > 4);
    ingle_text_free(&t);
    stream_close(NULL);
}

TESTS(T(hands_on_the_same_in_any_chunks) T(tells_at_once) T(says_what_is_missing)
      T(streams_a_real_file) T(reads_a_vocabulary) T(keeps_its_failure)
      T(does_not_wait_for_the_impossible) T(survives_without_memory))
