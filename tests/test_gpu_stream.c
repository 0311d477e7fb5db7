/* Weights streamed to the GPU: what lies there is what a mapped file gives, whatever the chunks and the order
 * of tensors; failures leave nothing behind; sessions of a model share a device. All without a GPU: over the
 * null player, and over one that keeps what is written. */
#include "base/error.h"
#include "gpu/gpu_impl.h"
#include "gpu/tape_read.h"
#include "harness.h"
#include "session/session.h"
#include "support.h"
#include "tiny_model.h"

/* ---- a player with memory -------------------------------------------------------------------------- */

enum { MOST_BUFFERS = 400 };

/* The null player's checks, and the bytes of WRITEs. */
typedef struct {
    gpu_player null;
    struct {
        uint8_t *bytes;
        uint64_t n;
        char label[TAPE_LABEL];
    } buffers[MOST_BUFFERS];
    long plays, fail_at; // the play that fails; 0 = none
    ingle_status fails;
    bool closed;
} keeper;

static ingle_status keeper_play(void *user, const uint32_t *words, size_t n, ingle_error *err)
{
    keeper *k = user;
    if (++k->plays == k->fail_at)
        return error_set(err, k->fails, "play %ld", k->plays);
    const ingle_status status = k->null.play(k->null.user, words, n, err);
    for (size_t at = 0, size; status == INGLE_OK && at < n; at += size) {
        const uint32_t *w = words + at;
        size = tape_command_words(w, n - at);
        if (w[0] == TAPE_BUFFER) {
            CHECK(w[1] < MOST_BUFFERS);
            free(k->buffers[w[1]].bytes);
            k->buffers[w[1]].n = tape_u64(w + 2);
            k->buffers[w[1]].bytes = calloc(1, (size_t)tape_u64(w + 2));
            tape_label(k->buffers[w[1]].label, w + 4);
        } else if (w[0] == TAPE_WRITE) {
            memcpy(k->buffers[w[1]].bytes + tape_u64(w + 2), tape_address(w + 4), w[6]);
        }
    }
    return status;
}

static ingle_status keeper_wait(void *user, uint32_t ticket, uint64_t *answer, ingle_error *err)
{
    keeper *k = user;
    return k->null.wait(k->null.user, ticket, answer, err);
}

static void keeper_close(void *user)
{
    keeper *k = user;
    k->null.close(k->null.user);
    k->closed = true;
}

/* What every WebGPU device has, but two bindings more. */
static gpu_limits usual_limits(void)
{
    gpu_player p;
    CHECK(gpu_null_open(&p, NULL, NULL, NULL) == INGLE_OK);
    gpu_limits limits = p.limits;
    p.close(p.user);
    limits.max_bindings = 10;
    return limits;
}

static ingle_status null_open(gpu_player *out, const ingle_allocator *a)
{
    const gpu_limits limits = usual_limits();
    return gpu_null_open(out, &limits, a, NULL);
}

static ingle_status keeper_open(keeper *k, gpu_player *out, const gpu_limits *limits, const ingle_allocator *a)
{
    const gpu_limits usual = usual_limits();
    const ingle_status status = gpu_null_open(&k->null, limits ? limits : &usual, a, NULL);
    *out = (gpu_player){.user = k, .limits = k->null.limits, .play = keeper_play, .wait = keeper_wait,
                         .close = keeper_close, .blind = true};
    return status;
}

static void keeper_free(keeper *k)
{
    for (size_t i = 0; i < MOST_BUFFERS; i++)
        free(k->buffers[i].bytes);
    *k = (keeper){0};
}

/* ---- models ---------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    tiny_shape shape;
} shapes[] = {
    {"q4_0", {"llama", 2, 4, 2, 64, 0, 96, TINY_VOCAB, 64, .format = QUANT_Q4_0, .seed = 1}},
    {"q8_0, tied", {"llama", 1, 2, 2, 64, 0, 160, TINY_VOCAB, 64, .format = QUANT_Q8_0, .tied = true, .seed = 2}},
    {"biases, halves", {"qwen2", 2, 4, 2, 64, 0, 52, TINY_VOCAB, 64, .qkv_bias = true, .out_bias = true, .seed = 3}},
    {"head norms", {"qwen3", 1, 4, 2, 48, 32, 52, TINY_VOCAB, 64, .qk_norm = true, .tied = true, .seed = 4}},
    {"formats that differ, part of a head turned",
     {"qwen2", 2, 4, 2, 64, 0, 96, TINY_VOCAB, 64, .format = QUANT_Q5_1, .n_formats = 2, .n_rot = 10,
      .formats = (const tiny_format[]){{"attn_v", QUANT_Q4_1}, {"ffn_down", QUANT_F16}}, .qkv_bias = true, .seed = 5}},
    {"divisors", {"llama", 1, 4, 1, 64, 0, 40, TINY_VOCAB, 64, .rope_divisors = true, .seed = 6}},
    {"odd numbers of rows", {"llama", 1, 2, 1, 48, 24, 31 * 4, 321, 64, .n_rot = 10, .n_tokens = TINY_VOCAB, .seed = 7}},
    {"k-quants", {"llama", 1, 4, 2, 256, 0, 512, TINY_VOCAB, 64, .format = QUANT_Q4_K, .n_formats = 1,
                  .formats = (const tiny_format[]){{"attn_v", QUANT_Q6_K}}, .seed = 9}},
};

#define N_SHAPES (sizeof shapes / sizeof *shapes)

/* The same file with its tensors' data last to first. */
static char *reversed(const char *bytes, size_t n, size_t *n_out)
{
    gguf g;
    uint64_t need;
    CHECK(gguf_parse(&g, bytes, n, n, &need, NULL, NULL) == INGLE_OK && need == 0);
    char *out = calloc(1, n + 64 * g.n_tensors);
    uint64_t start = UINT64_MAX, at = 0;
    for (size_t i = 0; i < g.n_tensors; i++)
        start = g.tensors[i].offset < start ? g.tensors[i].offset : start;
    memcpy(out, bytes, start < n ? (size_t)start : n);
    for (size_t i = g.n_tensors; i-- > 0;) {
        const gguf_tensor *t = &g.tensors[g.by_offset[i]];
        const size_t info = (size_t)(t->name.p + t->name.n - bytes);
        uint32_t n_dims;
        memcpy(&n_dims, bytes + info, sizeof n_dims);
        memcpy(out + info + 4 + 8 * n_dims + 4, &at, sizeof at);
        memcpy(out + start + at, bytes + t->offset, (size_t)t->bytes);
        at += (t->bytes + 31) / 32 * 32;
    }
    *n_out = (size_t)(start + at);
    gguf_free(&g);
    return out;
}

static ingle_status feed(void *to, const void *bytes, size_t n, ingle_error *err)
{
    return ingle_loader_feed(to, bytes, n, err);
}

static ingle_status feed_all(ingle_loader *l, const char *bytes, size_t n, size_t chunk, uint64_t seed, ingle_error *err)
{
    return test_feed(feed, l, bytes, n, chunk, seed, err);
}

static const ingle_session_options options = {.n_ctx = 64, .n_batch = 16};

/* A model whose weights went to the player's device. */
static ingle_status load(ingle_model **out, const gpu_player *player, const char *bytes, size_t n, size_t chunk,
                         const ingle_allocator *a, ingle_error *err)
{
    ingle_loader *l;
    *out = NULL;
    ingle_status status = ingle_loader_open(&l, &(ingle_model_options){.allocator = *a}, err);
    if (status != INGLE_OK) {
        player->close(player->user);
        return status;
    }
    status = session_load_on(l, player, NULL, &options, err);
    if (status == INGLE_OK)
        status = feed_all(l, bytes, n, chunk, chunk, err);
    if (status == INGLE_OK)
        status = ingle_loader_take(l, out, err);
    ingle_loader_close(l);
    return status;
}

/* ---- what lies on the device ------------------------------------------------------------------------ */

static void open_mapped(keeper *k, const char *bytes, size_t n, const gpu_limits *limits)
{
    ingle_model *m = NULL;
    gpu_player player;
    gpu_shared *d;
    gpu *g;
    ingle_error e = {0};
    CHECK(ingle_model_open_bytes(&m, bytes, n, NULL, &e) == INGLE_OK);
    CHECK(keeper_open(k, &player, limits, NULL) == INGLE_OK);
    CHECK(gpu_shared_open(&d, &m->graph, &player, false, &m->allocator, &e) == INGLE_OK);
    const gpu_options opt = {.n_ctx = options.n_ctx, .n_batch = options.n_batch, .k_format = QUANT_F16, .v_format = QUANT_F16};
    CHECK_MSG(gpu_open(&g, d, &opt, &m->allocator, &e) == INGLE_OK, "%s", e.text);
    CHECK(!g || gpu_ready(g, &e) == INGLE_OK);
    gpu_close(g);
    gpu_shared_close(d);
    ingle_model_close(m);
}

static size_t count_buffers(const keeper *k)
{
    size_t n = 0;
    for (size_t i = 0; i < MOST_BUFFERS; i++)
        n += k->buffers[i].bytes != NULL;
    return n;
}

static void compare(const keeper *a, const keeper *b, const char *name, size_t chunk)
{
    size_t n = 0;
    for (size_t i = 0; i < MOST_BUFFERS; i++) {
        CHECK_MSG(a->buffers[i].n == b->buffers[i].n, "%s: buffer %zu", name, i);
        if (!a->buffers[i].bytes || a->buffers[i].n != b->buffers[i].n)
            continue;
        n++;
        CHECK_MSG(memcmp(a->buffers[i].bytes, b->buffers[i].bytes, (size_t)a->buffers[i].n) == 0 &&
                      strcmp(a->buffers[i].label, b->buffers[i].label) == 0,
                  "%s, chunks of %zu: %s", name, chunk, a->buffers[i].label);
    }
    CHECK(n > 20);
}

static void same_as_mapped_with(const char *name, const tiny_shape *shape, const gpu_limits *limits)
{
    static const size_t chunks[] = {0, 7, 1000, 1 << 30};
    size_t n, n_back;
    char *bytes = tiny_model_file(shape, &n), *back = reversed(bytes, n, &n_back);
    keeper want = {0};
    open_mapped(&want, bytes, n, limits);
    if (limits) { // and without, no matrix is
        keeper whole = {0};
        open_mapped(&whole, bytes, n, NULL);
        CHECK(count_buffers(&whole) < count_buffers(&want));
        keeper_free(&whole);
    }
    for (size_t i = 0; i < 8; i++) {
        keeper k = {0};
        gpu_player player;
        ingle_model *m;
        ingle_session *s;
        ingle_error e = {0};
        CHECK(keeper_open(&k, &player, limits, NULL) == INGLE_OK);
        const ingle_status status = load(&m, &player, i % 2 ? back : bytes, i % 2 ? n_back : n, chunks[i / 2],
                                         &(ingle_allocator){0}, &e);
        CHECK_MSG(status == INGLE_OK, "%s: %s", name, e.text);
        if (status != INGLE_OK)
            break;
        compare(&want, &k, name, chunks[i / 2]);
        const long plays = k.plays;
        CHECK_MSG(ingle_session_open(&s, m, &options, &e) == INGLE_OK, "%s", e.text);
        CHECK(k.plays == plays); // it was there
        const int32_t ids[] = {5, 6, 7};
        CHECK_MSG(ingle_session_append(s, ids, 3, &e) == INGLE_OK && ingle_session_logits(s), "%s", e.text);
        ingle_session_close(s);
        ingle_model_close(m);
        CHECK(k.closed);
        keeper_free(&k);
    }
    keeper_free(&want);
    free(back);
    free(bytes);
}

static void same_as_mapped(void)
{
    for (size_t i = 0; i < N_SHAPES; i++)
        same_as_mapped_with(shapes[i].name, &shapes[i].shape, NULL);
}

/* Matrices that are cut into several buffers. */
static void same_in_parts(void)
{
    gpu_limits limits = usual_limits();
    limits.max_binding = 32768; // the sampler's least
    same_as_mapped_with("floats in parts", &shapes[2].shape, &limits);
    same_as_mapped_with("k-quants in parts", &shapes[7].shape, &limits);
}

/* The comparison notices a byte: of a matrix, a norm and a divisor. */
static void differences_are_seen(void)
{
    static const char *const names[] = {"blk.0.ffn_up.weight", "blk.0.attn_norm.weight", "rope_freqs.weight",
                                        "blk.0.attn_k.weight", "token_embd.weight"};
    size_t n;
    char *bytes = tiny_model_file(&shapes[5].shape, &n);
    gguf g;
    uint64_t need;
    keeper want = {0};
    open_mapped(&want, bytes, n, NULL);
    CHECK(gguf_parse(&g, bytes, n, n, &need, NULL, NULL) == INGLE_OK);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        keeper k = {0};
        gpu_player player;
        ingle_model *m;
        ingle_error e = {0};
        const gguf_tensor *t = gguf_find_tensor(&g, names[i]);
        char *byte = bytes + t->offset + t->bytes - 2; // of the last float
        *byte ^= 0x40;
        CHECK(keeper_open(&k, &player, NULL, NULL) == INGLE_OK);
        CHECK(load(&m, &player, bytes, n, 1000, &(ingle_allocator){0}, &e) == INGLE_OK);
        *byte ^= 0x40;
        bool differs = false;
        for (size_t b = 0; b < MOST_BUFFERS; b++)
            differs = differs || (k.buffers[b].bytes && memcmp(k.buffers[b].bytes, want.buffers[b].bytes, (size_t)k.buffers[b].n) != 0);
        CHECK_MSG(differs, "%s", names[i]);
        ingle_model_close(m);
        keeper_free(&k);
    }
    keeper_free(&want);
    gguf_free(&g);
    free(bytes);
}

/* ---- matrices by themselves -------------------------------------------------------------------------- */

/* All rows packed at once. */
static void check_matrix(const keeper *k, const gpu_matrix *m, const matrix_source *s, const char *name)
{
    uint64_t row_bytes;
    quant_bytes(s->tensors[0]->format, s->tensors[0]->cols, &row_bytes);
    for (uint32_t i = 0; i < m->n_parts; i++) {
        const gpu_matrix_part *part = &m->parts[i];
        const gpu_planes *p = &part->planes;
        uint8_t *rows = malloc((size_t)(part->rows * row_bytes)), *planes = calloc(1, (size_t)p->bytes), *out[PLANES_MAX];
        for (uint64_t row = 0; row < part->rows; row++) {
            uint32_t t;
            const uint64_t at = matrix_row_of(s, part->first_row + row, &t);
            CHECK(matrix_place_of(s, t, at) == part->first_row + row);
            memcpy(rows + row * row_bytes, (const uint8_t *)s->tensors[t]->data + at * row_bytes, (size_t)row_bytes);
        }
        for (uint32_t j = 0; j < PLANES_MAX; j++)
            out[j] = planes + p->plane[j].offset;
        void *scratch = malloc(planes_scratch(p) + 1);
        planes_pack(p, s->tensors[0]->format, rows, part->rows, out, scratch);
        CHECK_MSG(memcmp(k->buffers[part->buffer.buffer].bytes, planes, (size_t)p->bytes) == 0, "%s, part %u", name, i);
        free(scratch);
        free(rows);
        free(planes);
    }
}

/* Tensors in an order, in chunks; the last of them wholly in memory if `stays`. */
static void feed_matrix(const matrix_source *s, const uint32_t *order, bool stays, uint64_t seed, const char *name)
{
    keeper k = {0};
    gpu_player player;
    gpu_limits limits = usual_limits();
    limits.max_binding = 8192;
    recorder r;
    gpu_matrix m;
    matrix_feed f;
    ingle_error e = {0};
    const ingle_allocator a = {0};
    CHECK(keeper_open(&k, &player, &limits, NULL) == INGLE_OK);
    recorder_init(&r, &player, &(gpu_modes){0}, NULL);
    CHECK(matrix_reserve(&m, &r, s, &a, &e) == INGLE_OK);
    matrix_feed_init(&f, &m, s, &a);
    for (uint32_t i = 0; i < s->n_tensors; i++) {
        const graph_tensor *t = s->tensors[order[i]];
        const size_t n = (size_t)(t->rows * f.row_bytes);
        CHECK(!matrix_feed_full(&f));
        for (size_t at = 0, take; at < n; at += take) {
            take = stays ? n : 1 + (size_t)(test_random(&seed) % 700);
            take = take < n - at ? take : n - at;
            CHECK_MSG(matrix_feed_take(&f, &r, order[i], (const uint8_t *)t->data + at, take, stays, &e) == INGLE_OK, "%s", e.text);
        }
        CHECK(matrix_feed_take(&f, &r, order[i], t->data, 1, stays, &e) == INGLE_ERR_FORMAT);
    }
    CHECK(matrix_feed_full(&f) && matrix_feed_held(&f) == 0);
    check_matrix(&k, &m, s, name);
    matrix_feed_free(&f);
    matrix_close(&m, &r);
    recorder_free(&r);
    player.close(player.user);
    keeper_free(&k);
}

static void matrices(void)
{
    static const uint32_t orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {0, 2, 1}}, formats[] = {QUANT_Q4_0, QUANT_F32, QUANT_Q8_0, QUANT_IQ4_XS};
    static const struct {
        const char *name;
        uint64_t rows[3];
        uint32_t n;
        matrix_order order;
        uint32_t d_head, n_rot;
    } cases[] = {
        {"one", {37}, 1, MATRIX_ROWS, 0, 0},
        {"a row", {1}, 1, MATRIX_ROWS, 0, 0},
        {"q, k, v", {32, 16, 16}, 3, MATRIX_ROWS, 0, 0},
        {"in pairs", {48, 16, 16}, 3, MATRIX_PAIRS, 16, 12},
        {"odd numbers", {15, 5, 7}, 3, MATRIX_ROWS, 0, 0},
        {"odd heads", {30, 10, 10}, 3, MATRIX_PAIRS, 5, 4},
        {"odd heads, odd numbers", {15, 5, 5}, 3, MATRIX_PAIRS, 5, 4},
        {"odd at the end", {30, 10, 5}, 3, MATRIX_PAIRS, 10, 10},
        {"gate, up", {64, 64}, 2, MATRIX_INTERLEAVED, 0, 0},
        {"gate, up, odd", {33, 33}, 2, MATRIX_INTERLEAVED, 0, 0},
    };
    uint64_t seed = 1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t j = 0; j < 4; j++) {
            graph_tensor tensors[3];
            matrix_source s = {.n_tensors = cases[i].n, .order = cases[i].order, .n_paired = 2, .d_head = cases[i].d_head,
                               .n_rot = cases[i].n_rot};
            void *data[3] = {0};
            for (uint32_t t = 0; t < s.n_tensors; t++) {
                uint64_t n_bytes;
                quant_bytes(formats[j], cases[i].rows[t] * 256, &n_bytes);
                data[t] = malloc((size_t)n_bytes);
                tiny_blocks(formats[j], (size_t)cases[i].rows[t] * 256, 1, &seed, data[t]);
                tensors[t] = (graph_tensor){"part", data[t], formats[j], cases[i].rows[t], 256, true};
                s.tensors[t] = &tensors[t];
            }
            for (size_t o = 0; o < 4; o++)
                if (s.n_tensors == 3 || (o < 1 + s.n_tensors / 2 && o < 2)) {
                    const uint32_t two[] = {1, 0};
                    feed_matrix(&s, s.n_tensors == 3 ? orders[o] : o ? two : orders[0], false, o, cases[i].name);
                    feed_matrix(&s, s.n_tensors == 3 ? orders[o] : o ? two : orders[0], true, o, cases[i].name);
                }
            for (uint32_t t = 0; t < s.n_tensors; t++)
                free(data[t]);
        }
}

/* ---- failures --------------------------------------------------------------------------------------- */

static void cut_short(void)
{
    size_t n;
    char *bytes = tiny_model_file(&shapes[0].shape, &n);
    for (size_t i = 1; i < 40; i++) {
        test_memory memory = {0};
        const ingle_allocator a = test_allocator(&memory);
        gpu_player player;
        ingle_model *m;
        ingle_error e = {0};
        CHECK(null_open(&player, &a) == INGLE_OK);
        CHECK(load(&m, &player, bytes, n * i / 40, 5000, &a, &e) == INGLE_ERR_FORMAT && !m);
        CHECK_MSG(strstr(e.text, "the stream ends at byte"), "%s", e.text);
        CHECK(memory.live == 0);
    }
    free(bytes);
}

static void device_fails(void)
{
    static const ingle_status failures[] = {INGLE_ERR_DEVICE_LOST, INGLE_ERR_MEMORY, INGLE_ERR_DEVICE};
    size_t n;
    char *bytes = tiny_model_file(&shapes[2].shape, &n);
    for (long at = 1, failed = 1; failed; at++)
        for (size_t i = 0; i < 3; i++) {
            test_memory memory = {0};
            const ingle_allocator a = test_allocator(&memory);
            keeper k = {.fail_at = at, .fails = failures[i]};
            gpu_player player;
            ingle_model *m;
            ingle_error e = {0};
            CHECK(keeper_open(&k, &player, NULL, &a) == INGLE_OK);
            const ingle_status status = load(&m, &player, bytes, n, 5000, &a, &e);
            failed = k.plays >= at;
            CHECK_MSG(status == (failed ? failures[i] : INGLE_OK), "play %ld: %s", at, e.text);
            CHECK(failed || at > 30);
            ingle_model_close(m);
            CHECK(k.closed && memory.live == 0);
            keeper_free(&k);
        }
    free(bytes);
}

typedef struct {
    const char *bytes;
    size_t n;
} file;

static ingle_status load_once(void *user, const ingle_allocator *a)
{
    const file *f = user;
    gpu_player player;
    ingle_model *m = NULL;
    ingle_session *s = NULL, *other = NULL;
    ingle_error e = {0};
    ingle_status status = null_open(&player, a);
    if (status != INGLE_OK)
        return status;
    status = load(&m, &player, f->bytes, f->n, 20000, a, &e);
    if (status == INGLE_OK)
        status = ingle_session_open(&s, m, &options, &e);
    if (status == INGLE_OK)
        status = ingle_session_open(&other, m, &(ingle_session_options){.n_ctx = 32}, &e);
    ingle_session_close(other);
    ingle_session_close(s);
    ingle_model_close(m);
    return status;
}

static void every_allocation(void)
{
    const tiny_shape small = {"qwen2", 1, 2, 1, 32, 0, 32, TINY_VOCAB, 64, .qkv_bias = true, .rope_divisors = false, .seed = 1};
    file f;
    char *bytes = tiny_model_file(&small, &f.n);
    f.bytes = bytes;
    const long sites = test_every_allocation(load_once, &f);
    CHECK_MSG(sites > 200, "%ld", sites);
    free(bytes);
}

static void misuse(void)
{
    size_t n;
    char *bytes = tiny_model_file(&shapes[0].shape, &n);
    gpu_player player;
    ingle_loader *l;
    ingle_model *m = NULL;
    ingle_session *s;
    ingle_error e = {0};
    float x[32];
    CHECK(ingle_loader_open(&l, NULL, &e) == INGLE_OK);
    CHECK(null_open(&player, NULL) == INGLE_OK && session_load_on(l, &player, NULL, &options, &e) == INGLE_OK);
    CHECK(null_open(&player, NULL) == INGLE_OK && session_load_on(l, &player, NULL, &options, &e) == INGLE_ERR_USAGE);
    CHECK(ingle_loader_feed(l, bytes, 100, &e) == INGLE_OK);
    CHECK(null_open(&player, NULL) == INGLE_OK && session_load_on(l, &player, NULL, &options, &e) == INGLE_ERR_USAGE);
    CHECK(ingle_loader_feed(l, bytes + 100, n - 100, &e) == INGLE_OK && ingle_loader_take(l, &m, &e) == INGLE_OK);
    CHECK(null_open(&player, NULL) == INGLE_OK && session_load_on(l, &player, NULL, &options, &e) == INGLE_ERR_USAGE);
    ingle_loader_close(l);
    CHECK(ingle_session_open(&s, m, &(ingle_session_options){.backend = INGLE_BACKEND_CPU}, &e) == INGLE_ERR_USAGE && !s);
    CHECK(ingle_model_tensor_read(m, "token_embd.weight", 0, 32, x, &e) == INGLE_ERR_UNSUPPORTED);
    CHECK(ingle_model_tensor_read(m, "output_norm.weight", 0, 32, x, &e) == INGLE_OK);
    ingle_model_close(m);
    CHECK(ingle_loader_open(&l, NULL, &e) == INGLE_OK);
    CHECK(null_open(&player, NULL) == INGLE_OK);
    CHECK(session_load_on(l, &player, NULL, &(ingle_session_options){.gpu = "magic"}, &e) == INGLE_ERR_USAGE);
    // Without a GPU it says so; with one, it is opened and given back.
    const ingle_status status = ingle_loader_use_gpu(l, NULL, &e);
    CHECK_MSG(status == INGLE_OK || status == INGLE_ERR_DEVICE, "%s", e.text);
    ingle_loader_close(l);
    free(bytes);
}

/* ---- how much is held ------------------------------------------------------------------------------- */

typedef struct {
    size_t now, most;
} meter;

static void *metered(void *user, void *ptr, size_t bytes)
{
    meter *m = user;
    char *block = ptr ? (char *)ptr - 16 : NULL;
    size_t before = 0;
    if (block)
        memcpy(&before, block, sizeof before);
    m->now += bytes;
    m->now -= before;
    m->most = m->now > m->most ? m->now : m->most;
    if (bytes == 0) {
        free(block);
        return NULL;
    }
    block = realloc(block, bytes + 16);
    memcpy(block, &bytes, sizeof bytes);
    return block + 16;
}

/* Beyond what is there when the header is known: a gate, and rows on their way (twice: as in the file, and in
 * planes); a gate's and its up's are the most rows. However many layers there are. */
static void holds_little(void)
{
    const tiny_shape shape = {"llama", 12, 4, 2, 64, 0, 1024, TINY_VOCAB, 64, .format = QUANT_F16, .seed = 1};
    const size_t gate = 1024 * 64 * 2;
    size_t n;
    char *bytes = tiny_model_file(&shape, &n);
    CHECK(n > 24 * gate);
    meter m = {0};
    ingle_loader *l;
    ingle_model *model = NULL;
    gpu_player player;
    ingle_error e = {0};
    CHECK(ingle_loader_open(&l, &(ingle_model_options){.allocator = {metered, &m}}, &e) == INGLE_OK);
    CHECK(null_open(&player, NULL) == INGLE_OK && session_load_on(l, &player, NULL, &options, &e) == INGLE_OK);
    size_t at = 0;
    for (; ingle_loader_total(l) == 0; at++)
        CHECK(ingle_loader_feed(l, bytes + at, 1, &e) == INGLE_OK);
    const size_t before = m.now;
    m.most = 0;
    CHECK(feed_all(l, bytes + at, n - at, 3000, 0, &e) == INGLE_OK && ingle_loader_take(l, &model, &e) == INGLE_OK);
    CHECK_MSG(m.most > before + gate && m.most < before + 5 * gate + 4096, "%zu bytes", m.most - before);
    CHECK_MSG(m.now < before + 4096, "%zu bytes", m.now - before);
    ingle_loader_close(l);
    ingle_model_close(model);
    CHECK(m.now == 0);
    free(bytes);
}

/* ---- sessions share --------------------------------------------------------------------------------- */

static ingle_model *load_on_null(gpu_player *player)
{
    size_t n;
    char *bytes = tiny_model_file(&shapes[0].shape, &n);
    ingle_model *m = NULL;
    ingle_error e = {0};
    CHECK(null_open(player, NULL) == INGLE_OK);
    CHECK_MSG(load(&m, player, bytes, n, 5000, &(ingle_allocator){0}, &e) == INGLE_OK, "%s", e.text);
    free(bytes);
    return m;
}

static void compute(ingle_session *s, int n)
{
    const int32_t ids[] = {5, 6, 7};
    ingle_error e = {0};
    for (int i = 0; s && i < n; i++)
        CHECK_MSG(ingle_session_append(s, ids, 3, &e) == INGLE_OK && ingle_session_append(s, ids, 1, &e) == INGLE_OK &&
                      ingle_session_logits(s),
                  "%s", e.text);
}

static void sessions_share(void)
{
    gpu_player player;
    ingle_model *m = load_on_null(&player);
    const gpu_null_counts *c = gpu_null_get_counts(&player);
    const uint64_t written = c->written;
    ingle_session *a, *b;
    ingle_error e = {0};
    CHECK(ingle_session_open(&a, m, &options, &e) == INGLE_OK && c->written == written);
    const uint64_t buffers = c->buffers, bytes = c->buffer_bytes, kernels = c->pipelines;
    CHECK_MSG(ingle_session_open(&b, m, &options, &e) == INGLE_OK, "%s", e.text);
    CHECK(c->pipelines == kernels && c->buffer_bytes > bytes);
    const uint64_t rope = (uint64_t)options.n_ctx * 16 * sizeof(float);
    CHECK_MSG(c->written == written + rope, "%llu", (unsigned long long)(c->written - written)); // no weights
    for (int i = 0; i < 3; i++) {
        compute(a, 1);
        compute(b, 1);
    }
    // An end token is not chosen, though all logits are 0, as its probability is as small as any other's.
    ingle_generation *ga, *gb;
    const int32_t prompt[] = {3, 4, 5, 6};
    ingle_generate_options how = {.n_predict = 12, .ignore_eos = true, .burst = 2};
    CHECK_MSG(ingle_generation_open(&ga, a, prompt, 4, &how, &e) == INGLE_OK, "%s", e.text);
    CHECK_MSG(ingle_generation_open(&gb, b, prompt, 3, &how, &e) == INGLE_OK, "%s", e.text);
    for (int i = 0; i < 12; i++) {
        ingle_part part;
        CHECK_MSG(ingle_generation_next(ga, &part, &e) == INGLE_OK, "%s", e.text);
        CHECK_MSG(ingle_generation_next(gb, &part, &e) == INGLE_OK, "%s", e.text);
    }
    ingle_generation_close(ga);
    ingle_generation_close(gb);
    ingle_session_close(b);
    CHECK(c->buffers == buffers && c->buffer_bytes == bytes);
    compute(a, 1);
    for (int i = 0; i < 5; i++) { // numbers are used again
        CHECK_MSG(ingle_session_open(&b, m, &(ingle_session_options){.n_ctx = 600 + 100 * (uint32_t)i}, &e) == INGLE_OK, "%s", e.text);
        compute(b, 1);
        ingle_session_close(b);
        compute(a, 1);
    }
    CHECK(c->buffers == buffers && c->buffer_bytes == bytes);
    const uint64_t groups = c->groups, numbers = c->group_numbers;
    for (int i = 0; i < 3; i++) { // groups' numbers, too
        CHECK_MSG(ingle_session_open(&b, m, &(ingle_session_options){.n_ctx = 600}, &e) == INGLE_OK, "%s", e.text);
        CHECK(c->groups > groups);
        ingle_session_close(b);
        compute(a, 1);
    }
    CHECK_MSG(c->groups == groups && c->group_numbers == numbers, "%llu groups", (unsigned long long)c->group_numbers);
    ingle_session_close(a);
    ingle_model_close(m);
}

/* A session that cannot be had is no matter to the others. */
static void failed_sessions_do_no_harm(void)
{
    gpu_player player;
    ingle_model *m = load_on_null(&player);
    const gpu_null_counts *c = gpu_null_get_counts(&player);
    ingle_session *a, *b;
    ingle_error e = {0};
    CHECK(ingle_session_open(&a, m, &options, &e) == INGLE_OK);
    const uint64_t buffers = c->buffers;
    for (int i = 0; i < 2; i++) {
        CHECK(ingle_session_open(&b, m, &(ingle_session_options){.n_ctx = 1 << 22}, &e) == INGLE_ERR_MEMORY && !b);
        CHECK(ingle_session_open(&b, m, &(ingle_session_options){.kv_k = INGLE_KV_Q4_0}, &e) == INGLE_ERR_UNSUPPORTED);
        CHECK_MSG(c->buffers == buffers, "%llu", (unsigned long long)c->buffers);
        compute(a, 1);
        CHECK_MSG(ingle_session_open(&b, m, &(ingle_session_options){.n_ctx = 2000}, &e) == INGLE_OK, "%s", e.text);
        compute(b, 1);
        ingle_session_close(b);
    }
    ingle_session_close(a);
    ingle_model_close(m);
}

/* The first session's options are not those that the loader was told. */
static void other_options(void)
{
    gpu_player player;
    ingle_model *m = load_on_null(&player);
    ingle_session *s;
    ingle_error e = {0};
    CHECK_MSG(ingle_session_open(&s, m, &(ingle_session_options){.n_ctx = 512, .gpu = "f32"}, &e) == INGLE_OK, "%s", e.text);
    CHECK(ingle_session_context(s) == 512);
    compute(s, 2);
    ingle_session_close(s);
    ingle_model_close(m);
}

TESTS(T(matrices) T(same_as_mapped) T(same_in_parts) T(differences_are_seen) T(cut_short) T(device_fails) T(every_allocation)
      T(misuse) T(holds_little) T(sessions_share) T(failed_sessions_do_no_harm) T(other_options))
