/* Models from a stream: their weights are packed where they lie, and nobody notices. */
#include "harness.h"

#include "ingle.h"
#include "quant/quant.h"
#include "support.h"
#include "tiny_model.h"

/* Row counts that are no multiple of 16, columns that are none of 64, a head that is the embedding. */
static const tiny_shape shapes[] = {
    {.n_layers = 2, .n_heads = 2, .n_kv_heads = 1, .d_model = 96, .d_head = 48, .d_ff = 160, .n_vocab = 327, .n_ctx = 64,
     .format = QUANT_Q4_0, .seed = 1},
    {.n_layers = 2, .n_heads = 2, .n_kv_heads = 1, .d_model = 96, .d_head = 48, .d_ff = 160, .n_vocab = 327, .n_ctx = 64,
     .format = QUANT_Q4_1, .tied = true, .seed = 2},
    {.n_layers = 2, .n_heads = 2, .n_kv_heads = 2, .d_model = 64, .d_head = 32, .d_ff = 96, .n_vocab = 333, .n_ctx = 64,
     .format = QUANT_Q8_0, .tied = true, .seed = 3},
    {.n_layers = 1, .n_heads = 2, .n_kv_heads = 1, .d_model = 160, .d_head = 80, .d_ff = 96, .n_vocab = 321, .n_ctx = 64,
     .format = QUANT_IQ4_NL, .tied = true, .seed = 4},
    {.n_layers = 1, .n_heads = 4, .n_kv_heads = 2, .d_model = 256, .d_head = 64, .d_ff = 256, .n_vocab = 325, .n_ctx = 64,
     .format = QUANT_Q4_K, .tied = true, .seed = 5},
    {.n_layers = 1, .n_heads = 4, .n_kv_heads = 2, .d_model = 256, .d_head = 64, .d_ff = 512, .n_vocab = 325, .n_ctx = 64,
     .format = QUANT_Q5_K, .tied = true, .seed = 6},
    {.n_layers = 1, .n_heads = 4, .n_kv_heads = 2, .d_model = 256, .d_head = 64, .d_ff = 512, .n_vocab = 325, .n_ctx = 64,
     .format = QUANT_Q6_K, .tied = true, .seed = 7},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static ingle_model *stream(const char *bytes, size_t n, const ingle_model_options *opt)
{
    ingle_loader *loader = NULL;
    ingle_model *m = NULL;
    ingle_error err;
    if (ingle_loader_open(&loader, opt, &err) == INGLE_OK && ingle_loader_feed(loader, bytes, n, &err) == INGLE_OK)
        ingle_loader_take(loader, &m, &err);
    ingle_loader_close(loader);
    CHECK_MSG(m != NULL, "%s", err.text);
    return m;
}

static const int32_t ids[] = {1, 70, 300, 320, 7, 90, 280, 15};
enum { N_IDS = sizeof ids / sizeof *ids };

/* The logits after the prompt and after each of three further tokens are the same to the bit. */
static void check_same_numbers(const char *name, ingle_session *a, ingle_session *b, size_t n_vocab)
{
    ingle_error err;
    for (size_t i = 0; i < 4; i++) {
        const int32_t *more = i ? ids + i : ids;
        const size_t n = i ? 1 : N_IDS;
        CHECK_MSG(ingle_session_append(a, more, n, &err) == INGLE_OK, "%s", err.text);
        CHECK_MSG(ingle_session_append(b, more, n, &err) == INGLE_OK, "%s", err.text);
        CHECK_MSG(memcmp(ingle_session_logits(a), ingle_session_logits(b), n_vocab * sizeof(float)) == 0, "%s step %zu",
                  name, i);
    }
}

/* Every tensor reads as it did, whole and from the middle of a row. */
static void check_same_tensors(const ingle_model *a, const ingle_model *b)
{
    ingle_error err;
    for (size_t i = 0; i < ingle_model_tensor_count(a); i++) {
        ingle_tensor t;
        CHECK(ingle_model_tensor(a, i, &t));
        const uint64_t skip = t.n_dims == 1 ? 0 : t.shape[0] >= 512 ? 256 : t.shape[0] < 256 ? 32 : 0;
        const size_t n = (size_t)(t.n_values - skip);
        float *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
        if (!x || !y)
            exit(1);
        CHECK_MSG(ingle_model_tensor_read(a, t.name, skip, n, x, &err) == INGLE_OK, "%s", err.text);
        CHECK_MSG(ingle_model_tensor_read(b, t.name, skip, n, y, &err) == INGLE_OK, "%s", err.text);
        CHECK_MSG(memcmp(x, y, n * sizeof *x) == 0, "%s", t.name);
        free(x);
        free(y);
    }
}

static void streamed_models_compute_the_same(void)
{
    for (size_t i = 0; i < N_SHAPES; i++)
        for (uint32_t threads = 1; threads <= 3; threads += 2) {
            size_t n;
            char *file = tiny_model_file(&shapes[i], &n);
            const ingle_session_options opt = {.n_threads = threads, .n_batch = 5};
            ingle_model *whole = NULL, *streamed = stream(file, n, NULL);
            ingle_session *a = NULL, *b = NULL, *c = NULL;
            ingle_error err;
            CHECK(ingle_model_open_bytes(&whole, file, n, NULL, &err) == INGLE_OK);
            check_same_tensors(whole, streamed);
            CHECK_MSG(ingle_session_open(&a, whole, &opt, &err) == INGLE_OK, "%s", err.text);
            CHECK_MSG(ingle_session_open(&b, streamed, &opt, &err) == INGLE_OK, "%s", err.text);
            CHECK_MSG(ingle_session_open(&c, streamed, &opt, &err) == INGLE_OK, "%s", err.text);
            if (a && b && c) {
                check_same_numbers("first session", a, b, shapes[i].n_vocab);
                ingle_session_truncate(a, 0);
                check_same_numbers("second session", a, c, shapes[i].n_vocab);
            }
            check_same_tensors(whole, streamed);
            ingle_session_close(a);
            ingle_session_close(b);
            ingle_session_close(c);
            ingle_model_close(whole);
            ingle_model_close(streamed);
            free(file);
        }
}

/* A path that needs the file's layout comes first or not at all. */
static void other_paths_find_their_weights_or_say_so(void)
{
    size_t n;
    char *file = tiny_model_file(&shapes[1], &n);
    const ingle_session_options portable = {.cpu = "portable", .n_threads = 1};
    ingle_session *a = NULL, *b = NULL, *c = NULL, *d = NULL;
    ingle_error err;
    ingle_model *m = stream(file, n, NULL), *again = stream(file, n, NULL);
    CHECK(ingle_session_open(&a, m, NULL, &err) == INGLE_OK);
    const bool packs = strcmp(ingle_session_backend(a), "cpu/portable") != 0;
    const ingle_status status = ingle_session_open(&b, m, &portable, &err);
    CHECK_MSG(status == (packs ? INGLE_ERR_USAGE : INGLE_OK) && (b != NULL) == !packs, "%s", err.text);
    // The other way round both run, at the price of a second copy.
    CHECK(ingle_session_open(&c, again, &portable, &err) == INGLE_OK);
    CHECK(ingle_session_open(&d, again, NULL, &err) == INGLE_OK);
    if (a && d)
        check_same_numbers("beside another path", a, d, shapes[1].n_vocab);
    if (c)
        CHECK(ingle_session_append(c, ids, N_IDS, &err) == INGLE_OK);
    ingle_session_close(a);
    ingle_session_close(b);
    ingle_session_close(c);
    ingle_session_close(d);
    ingle_model_close(m);
    ingle_model_close(again);
    free(file);
}

/* A session that cannot be opened leaves the weights as they were. */
static ingle_status open_and_read(void *user, const ingle_allocator *a)
{
    const tiny_shape *shape = user;
    size_t n;
    char *file = tiny_model_file(shape, &n);
    const ingle_model_options opt = {.allocator = *a};
    ingle_loader *loader = NULL;
    ingle_model *m = NULL;
    ingle_session *s = NULL;
    ingle_error err;
    float x[32];
    ingle_status status = ingle_loader_open(&loader, &opt, &err);
    if (status == INGLE_OK)
        status = ingle_loader_feed(loader, file, n, &err);
    if (status == INGLE_OK)
        status = ingle_loader_take(loader, &m, &err);
    ingle_loader_close(loader);
    if (status == INGLE_OK)
        status = ingle_session_open(&s, m, &(ingle_session_options){.n_threads = 1}, &err);
    if (status == INGLE_OK)
        status = ingle_model_tensor_read(m, "token_embd.weight", 0, 32, x, &err);
    ingle_session_close(s);
    ingle_model_close(m);
    free(file);
    return status;
}

static void no_memory_is_survived(void)
{
    CHECK(test_every_allocation(open_and_read, (void *)(uintptr_t)&shapes[1]) > 20);
}

static void room_holds_what_is_asked(void)
{
    CHECK(quant_room(QUANT_F32, 3, 5) == 60);
    CHECK(quant_room(QUANT_Q4_0, 16, 64) == 16 * 36);
    CHECK(quant_room(QUANT_Q4_0, 17, 96) == 32 * 72);
    CHECK(quant_room(QUANT_Q6_K, 1, 256) == 16 * 214);
    CHECK(quant_room(9999, 1, 1) == UINT64_MAX);
    CHECK(quant_room(QUANT_Q4_0, UINT64_MAX, 64) == UINT64_MAX);
    CHECK(quant_room(QUANT_Q4_0, UINT64_MAX / 64, UINT64_MAX / 64) == UINT64_MAX);
    CHECK(quant_room(QUANT_F32, UINT64_MAX / 2, 4) == UINT64_MAX);
}

TESTS(T(streamed_models_compute_the_same) T(other_paths_find_their_weights_or_say_so) T(no_memory_is_survived)
      T(room_holds_what_is_asked))
