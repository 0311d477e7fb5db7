/* Sessions: what they compute against an independent decoder, that batches, threads, prefixes and
 * cancelling change no bit of it, and every public call's edges. */
#include "harness.h"

#include <math.h>
#include <pthread.h>

#include "cpu_paths.h"
#include "oracle_decoder.h"
#include "support.h"

enum { N_IDS = 24, N_VOCAB = TINY_VOCAB };

typedef struct {
    const char *name;
    tiny_shape shape;
    bool halves; // the family's rotation
} model_case;

/* name, then arch, layers, heads, kv heads, d_model, d_head, d_ff, vocabulary, context */
static const model_case float_models[] = {
    {"one KV head a head", {"llama", 2, 2, 2, 64, 0, 50, N_VOCAB, 64, .seed = 1}, false},
    {"four heads a KV head", {"llama", 2, 4, 1, 64, 64, 100, N_VOCAB, 64, .seed = 2}, false},
    {"eight heads a KV head", {"llama", 1, 8, 1, 32, 128, 33, N_VOCAB, 64, .seed = 3}, false},
    {"tied, f16, odd sizes",
     {"llama", 2, 6, 3, 42, 14, 31, N_VOCAB, 64, .format = QUANT_F16, .tied = true, .seed = 4},
     false},
    {"one layer of one head", {"llama", 1, 1, 1, 8, 0, 1, N_VOCAB, 64, .seed = 5}, false},
    {"biases",
     {"llama", 2, 4, 2, 32, 0, 48, N_VOCAB, 64, .qkv_bias = true, .out_bias = true, .seed = 6},
     false},
    {"part of a head turned",
     {"llama", 2, 2, 1, 48, 0, 48, N_VOCAB, 64, .n_rot = 10, .eps = 1e-3f, .seed = 7},
     false},
    {"linear scaling",
     {"llama", 2, 2, 2, 64, 0, 40, N_VOCAB, 64, .freq_base = 500.0f, .scaling = "linear",
      .factor = 4.0f, .seed = 8},
     false},
    {"yarn",
     {"llama", 2, 2, 2, 128, 0, 40, N_VOCAB, 64, .freq_base = 1e4f, .scaling = "yarn",
      .factor = 8.0f, .attn_factor = 0.9f, .original_ctx = 512, .seed = 9},
     false},
    {"divisors",
     {"llama", 2, 4, 1, 64, 0, 40, N_VOCAB, 64, .rope_divisors = true, .seed = 10},
     false},
    {"window", {"llama", 2, 4, 2, 64, 0, 40, N_VOCAB, 64, .window = 5, .seed = 11}, false},
    {"bf16", {"llama", 1, 2, 1, 64, 0, 40, N_VOCAB, 64, .format = QUANT_BF16, .seed = 12}, false},
    {"qwen2: biases, halves",
     {"qwen2", 2, 4, 2, 64, 0, 50, N_VOCAB, 64, .qkv_bias = true, .freq_base = 1e6f, .seed = 13},
     true},
    {"qwen3: head norms, halves",
     {"qwen3", 2, 4, 2, 48, 32, 50, N_VOCAB, 64, .qk_norm = true, .tied = true, .seed = 14},
     true},
};

#define N_FLOAT_MODELS (sizeof float_models / sizeof *float_models)

static const model_case int_models[] = {
    {"q4_0", {"llama", 2, 4, 2, 64, 0, 96, N_VOCAB, 64, .format = QUANT_Q4_0, .seed = 21}, false},
    {"q8_0", {"llama", 2, 4, 1, 64, 0, 96, N_VOCAB, 64, .format = QUANT_Q8_0, .seed = 22}, false},
    {"q5_1, q4_1, f16",
     {"llama", 2, 2, 2, 64, 0, 96, N_VOCAB, 64, .format = QUANT_Q5_1, .n_formats = 2,
      .formats = (const tiny_format[]){{"attn_v", QUANT_Q4_1}, {"ffn_up", QUANT_F16}}, .seed = 23},
     false},
    {"q4_k, q6_k",
     {"llama", 1, 4, 2, 256, 0, 256, N_VOCAB, 64, .format = QUANT_Q4_K, .n_formats = 2,
      .formats = (const tiny_format[]){{"attn_v", QUANT_Q6_K}, {"token_embd", QUANT_Q6_K}},
      .tied = true, .seed = 24},
     false},
};

#define N_INT_MODELS (sizeof int_models / sizeof *int_models)

/* ---- helpers ---------------------------------------------------------------------------------- */

static void make_ids(int32_t *ids, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)(test_random(&seed) % N_VOCAB);
}

/* Every family of the tests is one that runs. */
static bool runnable(const ingle_model *m, const model_case *c)
{
    const ingle_model_info *info = ingle_model_get_info(m);
    CHECK_MSG(info->runnable == INGLE_OK, "%s: %s", c->name, info->why_not);
    return info->runnable == INGLE_OK;
}

/* On the path asked for, or one that gives the same bits however a prompt is cut. */
static ingle_session *open_session(const ingle_model *m, const ingle_session_options *opt)
{
    ingle_session *s = NULL;
    ingle_error err;
    ingle_session_options o = opt ? *opt : (ingle_session_options){0};
    o.cpu = o.cpu ? o.cpu : exact_path();
    CHECK_MSG(ingle_session_open(&s, m, &o, &err) == INGLE_OK, "%s", err.text);
    CHECK((s != NULL) == (err.status == INGLE_OK));
    if (!s)
        exit(1);
    return s;
}

typedef struct {
    float *rows; // [n][N_VOCAB]
    size_t n, stop_at;
} collected;

static bool collect(void *user, size_t i, const float *logits)
{
    collected *c = user;
    CHECK(i == c->n);
    memcpy(c->rows + c->n++ * N_VOCAB, logits, N_VOCAB * sizeof *logits);
    return c->n != c->stop_at;
}

/* Logits after each of ids [n], computed in a session of its own. */
static float *score(const ingle_model *m, const ingle_session_options *opt, const int32_t *ids,
                    size_t n)
{
    collected c = {.rows = malloc(n * N_VOCAB * sizeof(float))};
    ingle_session *s = open_session(m, opt);
    ingle_error err;
    CHECK_MSG(ingle_session_score(s, ids, n, collect, &c, &err) == INGLE_OK, "%s", err.text);
    CHECK(c.n == n && ingle_session_length(s) == n);
    CHECK(memcmp(ingle_session_logits(s), c.rows + (n - 1) * N_VOCAB, N_VOCAB * sizeof(float)) ==
          0);
    ingle_session_close(s);
    return c.rows;
}

static double distance(const float *rows, const double *want, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = oracle_distance(rows + i * N_VOCAB, want + i * N_VOCAB, N_VOCAB);
        most = d <= most ? most : d;
    }
    return most;
}

static bool same(const float *a, const float *b)
{
    return a && b && memcmp(a, b, N_VOCAB * sizeof *a) == 0;
}

/* ---- what is computed ------------------------------------------------------------------------- */

/* Of the range of a row of logits. With the rounding of the cache in the oracle too, what is left
 * is float arithmetic (2^-24 an operation, some 2^-20 after a few layers) and keys or values that
 * lie so near the middle of two half-precision numbers that this decides which is taken: a step of
 * 2^-10 of one component of some thousand. The mistakes below show what the limit can see. */
#define FLOAT_LIMIT 2e-4

static void float_models_match_the_oracle(void)
{
    int32_t ids[N_IDS];
    for (size_t i = 0; i < N_FLOAT_MODELS; i++) {
        const model_case *c = &float_models[i];
        char *bytes;
        ingle_model *m = tiny_model_open(&c->shape, &bytes);
        make_ids(ids, N_IDS, i);
        if (runnable(m, c)) {
            double *want = oracle_logits(m, &c->shape,
                                         &(oracle_switches){.halves = c->halves, .f16_cache = true},
                                         ids, N_IDS);
            for (size_t p = 0; p < N_PATHS; p++) {
                const ingle_session_options opt = {.cpu = paths[p], .n_threads = 2, .n_batch = 10};
                float *rows = score(m, &opt, ids, N_IDS);
                const double d = distance(rows, want, N_IDS);
                CHECK_MSG(d < FLOAT_LIMIT, "%s on %s: %g", c->name, paths[p], d);
                free(rows);
            }
            free(want);
        }
        ingle_model_close(m);
        free(bytes);
    }
}

/* The comparison notices what can be wrong: each mistake, made in the oracle, is far outside. */
static void mistakes_would_be_noticed(void)
{
    const struct {
        size_t model;
        oracle_switches how;
    } mistakes[] = {
        {0, {.halves = true, .f16_cache = true}},
        {0, {.no_rotation = true, .f16_cache = true}},
        {0, {.no_causality = true, .f16_cache = true}},
        {3, {.wrong_group = true, .f16_cache = true}},
        {5, {.no_bias = true, .f16_cache = true}},
        {7, {.no_scaling = true, .f16_cache = true}},
        {8, {.no_scaling = true, .f16_cache = true}},
        {9, {.no_scaling = true, .f16_cache = true}},
        {10, {.no_window = true, .f16_cache = true}},
        {13, {.halves = true, .no_qk_norm = true, .f16_cache = true}},
    };
    int32_t ids[N_IDS];
    make_ids(ids, N_IDS, 99);
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        const model_case *c = &float_models[mistakes[i].model];
        char *bytes;
        ingle_model *m = tiny_model_open(&c->shape, &bytes);
        if (runnable(m, c)) {
            double *want = oracle_logits(m, &c->shape, &mistakes[i].how, ids, N_IDS);
            float *rows =
                score(m, &(ingle_session_options){.cpu = "ref", .n_threads = 1}, ids, N_IDS);
            const double d = distance(rows, want, N_IDS);
            CHECK_MSG(d > 10 * FLOAT_LIMIT, "mistake %zu in %s: only %g", i, c->name, d);
            free(want);
            free(rows);
        }
        ingle_model_close(m);
        free(bytes);
    }
}

/* Rounding activations to 127 steps of a block's largest value adds noise of 1/(127 sqrt(12)) of
 * that value; the largest of 32 normal values is 2 (at times 3) times their root mean square, so
 * one linear adds 0.7 % of what goes in. The 4 a layer and the head add up as squares, the worst of
 * a few thousand logits is 4.5 standard deviations off, and a row's range is at least 4 of them:
 * 0.8 % times sqrt(4 n_layers + 1). */
static void integer_models_match_the_oracle(void)
{
    int32_t ids[N_IDS];
    for (size_t i = 0; i < N_INT_MODELS; i++) {
        const model_case *c = &int_models[i];
        char *bytes;
        ingle_model *m = tiny_model_open(&c->shape, &bytes);
        make_ids(ids, N_IDS, i);
        double *want =
            oracle_logits(m, &c->shape, &(oracle_switches){.f16_cache = true}, ids, N_IDS);
        float *ref = score(m, &(ingle_session_options){.cpu = "ref", .n_threads = 2}, ids, N_IDS);
        const double d_ref = distance(ref, want, N_IDS);
        CHECK_MSG(d_ref < FLOAT_LIMIT, "%s on ref: %g", c->name, d_ref);
        const double limit = 0.008 * sqrt(4.0 * c->shape.n_layers + 1);
        for (size_t p = 1; p < N_PATHS; p++) {
            float *rows = score(m, &(ingle_session_options){.cpu = paths[p]}, ids, N_IDS);
            const double d = distance(rows, want, N_IDS);
            CHECK_MSG(d < limit, "%s on %s: %g, limit %g", c->name, paths[p], d, limit);
            free(rows);
        }
        free(want);
        free(ref);
        ingle_model_close(m);
        free(bytes);
    }
}

/* A quantised cache is another rounding of keys and values: half a step of max/127 (Q8_0) or max/8
 * (Q4_0) of a block whose largest value is 2 to 3 times the root mean square, so 0.7 % or 10 % noise
 * in keys and in values, once a layer each, which the residual stream dilutes: at most that, times
 * sqrt(2 n_layers), on the range. */
static void quantised_caches_stay_near(void)
{
    int32_t ids[N_IDS];
    make_ids(ids, N_IDS, 5);
    const model_case *c = &float_models[1]; // d_head 64
    const double noise[] = {0.007, 0.1};
    char *bytes;
    ingle_model *m = tiny_model_open(&c->shape, &bytes);
    double *want = oracle_logits(m, &c->shape, &(oracle_switches){0}, ids, N_IDS);
    for (int kind = INGLE_KV_Q8_0; kind <= INGLE_KV_Q4_0; kind++)
        for (int path = 0; path < 2; path++) {
            const ingle_session_options opt = {.kv_k = (ingle_kv_type)kind,
                                               .kv_v = (ingle_kv_type)kind,
                                               .cpu = path ? NULL : "ref",
                                               .n_threads = 1};
            float *rows = score(m, &opt, ids, N_IDS);
            const double d = distance(rows, want, N_IDS),
                         limit = noise[kind - 1] * 2; // sqrt(2 * 2)
            CHECK_MSG(d < limit && d > limit / 1000, "cache type %d: %g, limit %g", kind, d, limit);
            free(rows);
        }
    free(want);
    ingle_model_close(m);
    free(bytes);
}

/* ---- what changes nothing --------------------------------------------------------------------- */

static void batches_and_threads_change_no_bit(void)
{
    const model_case *const cases[] = {&float_models[3], &int_models[0], &int_models[2]};
    const uint32_t batches[] = {1, 3, 256}, threads[] = {1, 2, 3, 7};
    int32_t ids[N_IDS];
    make_ids(ids, N_IDS, 7);
    for (size_t i = 0; i < 3; i++) {
        char *bytes;
        ingle_model *m = tiny_model_open(&cases[i]->shape, &bytes);
        for (int path = 0; path < 2; path++) {
            ingle_session_options opt = {
                .cpu = path ? NULL : "ref", .n_batch = 256, .n_threads = 1};
            float *first = score(m, &opt, ids, N_IDS);
            for (size_t b = 0; b < 3; b++)
                for (size_t t = 0; t < 4; t++) {
                    opt.n_batch = batches[b];
                    opt.n_threads = threads[t];
                    float *rows = score(m, &opt, ids, N_IDS);
                    CHECK_MSG(memcmp(first, rows, N_IDS * N_VOCAB * sizeof *rows) == 0,
                              "%s: batch %u, %u threads", cases[i]->name, batches[b], threads[t]);
                    free(rows);
                }
            free(first);
        }
        ingle_model_close(m);
        free(bytes);
    }
}

/* Weights may lie at any address: a file in memory is borrowed as it is. */
static void alignment_changes_no_bit(void)
{
    int32_t ids[N_IDS];
    make_ids(ids, N_IDS, 8);
    const model_case *const cases[] = {&float_models[5], &int_models[2]};
    for (size_t i = 0; i < 2; i++) {
        size_t n;
        char *file = tiny_model_file(&cases[i]->shape, &n), *moved = malloc(n + 64);
        float *first = NULL;
        for (size_t shift = 0; shift < 4; shift++) {
            memcpy(moved + shift, file, n);
            ingle_model *m;
            CHECK(ingle_model_open_bytes(&m, moved + shift, n, NULL, NULL) == INGLE_OK);
            float *rows = score(m, NULL, ids, N_IDS);
            CHECK(!first || memcmp(first, rows, N_IDS * N_VOCAB * sizeof *rows) == 0);
            ingle_model_close(m);
            if (first)
                free(rows);
            else
                first = rows;
        }
        free(first);
        free(moved);
        free(file);
    }
}

/* ---- one session over int_models[0], for the calls --------------------------------------------- */

static char *calls_bytes;
static ingle_model *calls_model;
static float *calls_rows; // of calls_ids on the best path
static int32_t calls_ids[N_IDS];

static ingle_session *calls_session(uint32_t n_ctx)
{
    if (!calls_model) {
        calls_model = tiny_model_open(&int_models[0].shape, &calls_bytes);
        make_ids(calls_ids, N_IDS, 9);
        calls_rows = score(calls_model, NULL, calls_ids, N_IDS);
    }
    return open_session(calls_model, &(ingle_session_options){.n_ctx = n_ctx, .n_threads = 2});
}

static const float *row(size_t length)
{
    return calls_rows + (length - 1) * N_VOCAB;
}

static void appending_is_scoring(void)
{
    ingle_session *s = calls_session(0);
    ingle_error err;
    CHECK(ingle_session_logits(s) == NULL && ingle_session_length(s) == 0);
    for (size_t n = 0, more = 1; n < N_IDS; n += more, more = more % 5 + 1) {
        more = more < N_IDS - n ? more : N_IDS - n;
        CHECK(ingle_session_append(s, calls_ids + n, more, &err) == INGLE_OK &&
              err.status == INGLE_OK);
        CHECK(ingle_session_length(s) == n + more && same(ingle_session_logits(s), row(n + more)));
        CHECK(memcmp(ingle_session_ids(s), calls_ids, (n + more) * sizeof *calls_ids) == 0);
    }
    ingle_session_close(s);
}

static void scoring_stops_on_request(void)
{
    ingle_session *s = calls_session(0);
    ingle_error err;
    for (size_t stop = 1; stop <= 20; stop += 3) {
        collected c = {malloc(N_IDS * N_VOCAB * sizeof(float)), 0, stop};
        ingle_session_truncate(s, 0);
        CHECK(ingle_session_score(s, calls_ids, N_IDS, collect, &c, &err) == INGLE_ERR_CANCELLED);
        CHECK(c.n == stop && memcmp(c.rows, calls_rows, stop * N_VOCAB * sizeof(float)) == 0);
        // What has been computed stays, and what comes after it is as ever.
        const size_t length = ingle_session_length(s);
        CHECK(length >= stop && length <= N_IDS);
        CHECK(ingle_session_sync(s, calls_ids, N_IDS, NULL, &err) == INGLE_OK);
        CHECK(same(ingle_session_logits(s), row(N_IDS)));
        free(c.rows);
    }
    ingle_session_close(s);
}

/* Logits between stop and sync, at each length: NULL or those of the last token, never another's. */
static void logits_are_the_last_tokens(void)
{
    ingle_session *s = calls_session(0);
    collected c = {malloc(N_IDS * N_VOCAB * sizeof(float)), 0, 11};
    CHECK(ingle_session_score(s, calls_ids, N_IDS, collect, &c, NULL) == INGLE_ERR_CANCELLED);
    const float *logits = ingle_session_logits(s);
    CHECK(!logits || same(logits, row(ingle_session_length(s))));
    ingle_session_truncate(s, 5);
    logits = ingle_session_logits(s);
    CHECK(!logits || same(logits, row(5)));
    CHECK(ingle_session_sync(s, calls_ids, 5, NULL, NULL) == INGLE_OK);
    CHECK(same(ingle_session_logits(s), row(5)));
    free(c.rows);
    ingle_session_close(s);
}

static void sync_keeps_the_common_prefix(void)
{
    ingle_session *s = calls_session(0);
    ingle_error err;
    size_t reused = 77;
    int32_t other[N_IDS];
    memcpy(other, calls_ids, sizeof other);
    other[10] = (other[10] + 1) % N_VOCAB;

    CHECK(ingle_session_sync(s, calls_ids, 20, &reused, &err) == INGLE_OK && reused == 0);
    CHECK(same(ingle_session_logits(s), row(20)));
    CHECK(ingle_session_sync(s, calls_ids, 20, &reused, &err) == INGLE_OK && reused == 20);
    CHECK(same(ingle_session_logits(s), row(20)));
    CHECK(ingle_session_sync(s, calls_ids, N_IDS, &reused, &err) == INGLE_OK && reused == 20);
    CHECK(same(ingle_session_logits(s), row(N_IDS)));
    // A prefix of what is there: its last token is computed again, for the logits.
    CHECK(ingle_session_sync(s, calls_ids, 15, &reused, &err) == INGLE_OK && reused == 14);
    CHECK(ingle_session_length(s) == 15 && same(ingle_session_logits(s), row(15)));
    // Another token in the middle, and back.
    float *fresh = score(calls_model, NULL, other, N_IDS);
    CHECK(ingle_session_sync(s, other, N_IDS, &reused, &err) == INGLE_OK && reused == 10);
    CHECK(same(ingle_session_logits(s), fresh + (N_IDS - 1) * N_VOCAB));
    CHECK(memcmp(ingle_session_ids(s), other, sizeof other) == 0);
    CHECK(ingle_session_sync(s, calls_ids, N_IDS, &reused, &err) == INGLE_OK && reused == 10);
    CHECK(same(ingle_session_logits(s), row(N_IDS)));
    // The session's own list as the argument.
    CHECK(ingle_session_sync(s, ingle_session_ids(s), 7, &reused, &err) == INGLE_OK && reused == 6);
    CHECK(ingle_session_length(s) == 7 && same(ingle_session_logits(s), row(7)));
    free(fresh);
    ingle_session_close(s);
}

static void truncating_and_going_on(void)
{
    ingle_session *s = calls_session(0);
    CHECK(ingle_session_append(s, calls_ids, 12, NULL) == INGLE_OK);
    ingle_session_truncate(s, 12);
    ingle_session_truncate(s, 400);
    CHECK(ingle_session_length(s) == 12 && same(ingle_session_logits(s), row(12)));
    ingle_session_truncate(s, 4);
    CHECK(ingle_session_length(s) == 4);
    CHECK(ingle_session_append(s, calls_ids + 4, 9, NULL) == INGLE_OK);
    CHECK(same(ingle_session_logits(s), row(13)));
    ingle_session_truncate(s, 0);
    CHECK(ingle_session_length(s) == 0 && ingle_session_logits(s) == NULL);
    CHECK(ingle_session_append(s, calls_ids, 3, NULL) == INGLE_OK);
    CHECK(same(ingle_session_logits(s), row(3)));
    ingle_session_close(s);
}

/* Refusals change nothing: length, ids and logits stay. */
static void refusals_change_nothing(void)
{
    enum { N_CTX = 8 };
    ingle_session *s = calls_session(N_CTX);
    ingle_error err;
    size_t reused;
    CHECK(ingle_session_context(s) == N_CTX);
    CHECK(ingle_session_append(s, calls_ids, N_CTX + 1, &err) == INGLE_ERR_CONTEXT_FULL);
    CHECK(strstr(err.text, "9") && strstr(err.text, "8"));
    CHECK(ingle_session_length(s) == 0 && !ingle_session_logits(s));
    CHECK(ingle_session_append(s, calls_ids, 6, &err) == INGLE_OK);

    const int32_t wrong[][2] = {{-1, 1}, {1, N_VOCAB}, {1, INT32_MIN}, {INT32_MAX, 0}};
    for (size_t i = 0; i < 4; i++) {
        CHECK(ingle_session_append(s, wrong[i], 2, &err) == INGLE_ERR_USAGE &&
              strstr(err.text, "vocabulary"));
        CHECK(ingle_session_sync(s, wrong[i], 2, &reused, &err) == INGLE_ERR_USAGE && reused == 0);
        CHECK(ingle_session_score(s, wrong[i], 2, collect, NULL, &err) == INGLE_ERR_USAGE);
        CHECK(ingle_session_length(s) == 6 && same(ingle_session_logits(s), row(6)));
    }
    CHECK(ingle_session_append(s, NULL, 1, &err) == INGLE_ERR_USAGE);
    CHECK(ingle_session_append(s, calls_ids, 0, &err) == INGLE_ERR_USAGE);
    CHECK(ingle_session_sync(s, calls_ids, 0, &reused, &err) == INGLE_ERR_USAGE);
    CHECK(ingle_session_sync(s, calls_ids, N_CTX + 1, &reused, &err) == INGLE_ERR_CONTEXT_FULL);
    CHECK(ingle_session_append(s, calls_ids, 3, &err) == INGLE_ERR_CONTEXT_FULL);
    CHECK(ingle_session_append(s, calls_ids, SIZE_MAX, &err) == INGLE_ERR_CONTEXT_FULL);
    CHECK(ingle_session_length(s) == 6 && same(ingle_session_logits(s), row(6)));
    // To the very edge, and no further.
    CHECK(ingle_session_append(s, calls_ids + 6, 2, &err) == INGLE_OK);
    CHECK(ingle_session_length(s) == N_CTX && same(ingle_session_logits(s), row(N_CTX)));
    CHECK(ingle_session_append(s, calls_ids, 1, &err) == INGLE_ERR_CONTEXT_FULL);
    CHECK(same(ingle_session_logits(s), row(N_CTX)));
    CHECK(ingle_session_sync(s, calls_ids, N_CTX, &reused, &err) == INGLE_OK && reused == N_CTX);
    ingle_session_close(s);
}

typedef struct {
    size_t done[16], total[16], n, refuse;
} seen;

static bool note(void *user, size_t done, size_t total)
{
    seen *p = user;
    p->done[p->n] = done;
    p->total[p->n] = total;
    return ++p->n != p->refuse;
}

static void progress_tells_and_cancels(void)
{
    ingle_session_close(calls_session(0));
    seen p = {.refuse = 2};
    ingle_error err;
    ingle_session *s = open_session(
        calls_model, &(ingle_session_options){.n_batch = 5, .progress = note, .progress_user = &p});
    CHECK(ingle_session_append(s, calls_ids, 23, &err) == INGLE_ERR_CANCELLED);
    CHECK(strstr(err.text, "10 of 23"));
    CHECK(p.n == 2 && p.done[0] == 5 && p.done[1] == 10 && p.total[0] == 23 && p.total[1] == 23);
    CHECK(ingle_session_length(s) == 10);
    CHECK(memcmp(ingle_session_ids(s), calls_ids, 10 * sizeof *calls_ids) == 0);
    size_t reused;
    CHECK(ingle_session_sync(s, calls_ids, 23, &reused, &err) == INGLE_OK && reused == 10);
    CHECK(p.n == 5 && p.done[2] == 5 && p.done[4] == 13 && p.total[4] == 13);
    CHECK(same(ingle_session_logits(s), row(23)));
    // A refusal after the last pass comes too late to stop anything.
    p = (seen){.refuse = 1};
    CHECK(ingle_session_append(s, calls_ids + 23, 1, &err) == INGLE_OK && p.n == 1);
    CHECK(same(ingle_session_logits(s), row(24)));
    // Scoring reports too.
    p = (seen){.refuse = 1};
    collected c = {malloc(N_IDS * N_VOCAB * sizeof(float)), 0, 0};
    ingle_session_truncate(s, 0);
    CHECK(ingle_session_score(s, calls_ids, 9, collect, &c, &err) == INGLE_ERR_CANCELLED);
    CHECK(c.n == 5 && ingle_session_length(s) == 5);
    free(c.rows);
    ingle_session_close(s);
}

/* ---- opening ---------------------------------------------------------------------------------- */

static void options_have_defaults_and_limits(void)
{
    ingle_session *s = calls_session(0);
    CHECK(ingle_session_context(s) == 64); // what the model was trained for
    CHECK(strncmp(ingle_session_backend(s), "cpu/", 4) == 0);
    ingle_session_close(s);
    s = open_session(calls_model,
                     &(ingle_session_options){
                         .cpu = "ref", .n_ctx = 5, .n_batch = 1000, .backend = INGLE_BACKEND_CPU});
    CHECK_TEXT(ingle_session_backend(s), "cpu/ref");
    ingle_error finish;
    CHECK(ingle_session_finish(s, &finish) == INGLE_ERR_USAGE && ingle_session_logits(s) == NULL);
    CHECK(ingle_session_append(s, calls_ids, 5, NULL) == INGLE_OK);
    CHECK(ingle_session_finish(s, &finish) == INGLE_OK && ingle_session_logits(s) != NULL);
    ingle_session_truncate(s, 4);
    CHECK(ingle_session_finish(s, &finish) == INGLE_ERR_USAGE && ingle_session_logits(s) == NULL);
    ingle_session_close(s);
    ingle_session_close(NULL);
    // Where Dawn is found this opens; elsewhere it says what is missing.
    const ingle_status gpu = ingle_session_open(&s, calls_model, &(ingle_session_options){.backend = INGLE_BACKEND_GPU}, &finish);
    CHECK_MSG(gpu == INGLE_OK || (gpu == INGLE_ERR_DEVICE && !s && strstr(finish.text, "GPU")), "%s", finish.text);
    ingle_session_close(s);

    const struct {
        ingle_session_options opt;
        ingle_status status;
        const char *says;
    } refused[] = {
        {{.cpu = "abacus"}, INGLE_ERR_USAGE, "abacus"},
        {{.cpu = ""}, INGLE_ERR_USAGE, "CPU path"},
        {{.n_ctx = (1u << 22) + 1}, INGLE_ERR_USAGE, "context"},
        {{.n_ctx = UINT32_MAX}, INGLE_ERR_USAGE, "context"},
        {{.kv_k = INGLE_KV_Q8_0}, INGLE_ERR_UNSUPPORTED, "Q8_0"},
        {{.kv_v = INGLE_KV_Q4_0}, INGLE_ERR_UNSUPPORTED, "heads of 16"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        ingle_error err;
        ingle_memory memory;
        ingle_session_options opt = refused[i].opt;
        opt.backend = INGLE_BACKEND_CPU;
        s = (ingle_session *)(void *)&err;
        CHECK_MSG(ingle_session_open(&s, calls_model, &opt, &err) == refused[i].status, "%zu", i);
        CHECK_MSG(s == NULL && strstr(err.text, refused[i].says), "%s", err.text);
        CHECK(ingle_session_memory(calls_model, &opt, &memory, &err) == refused[i].status);
        CHECK(memory.kv == 0 && memory.cpu == NULL);
    }
}

static void *small_resize(void *user, void *ptr, size_t bytes)
{
    if (bytes > *(size_t *)user)
        return NULL;
    if (bytes == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, bytes);
}

/* What bounds a session follows from the model's shape; measuring takes 64 MB. */
static void limits_are_known(void)
{
    size_t n, most = SIZE_MAX;
    char *file = tiny_model_file(&float_models[1].shape, &n);
    const ingle_model_options with = {.allocator = {small_resize, &most}};
    ingle_model *model;
    CHECK(ingle_model_open_bytes(&model, file, n, &with, NULL) == INGLE_OK);
    for (uint32_t n_threads = 1; n_threads <= 3; n_threads += 2) {
        ingle_session *s = open_session(model, &(ingle_session_options){.cpu = "ref", .n_threads = n_threads});
        ingle_limits limits;
        ingle_error err;
        most = SIZE_MAX;
        CHECK(ingle_session_limits(s, &limits, &err) == INGLE_OK);
        // 2 layers: Q and O of 256 x 64, K and V of 64 x 64, three of 100 x 64; floats as in the file.
        CHECK(limits.products == 2 * (2 * 256 * 64 + 2 * 64 * 64 + 3 * 100 * 64));
        CHECK(limits.weights == 4 * (limits.products + 64 * N_VOCAB));
        CHECK(limits.kv == 2 * (64 + 64) * 2); // of one KV head of 64 values
        CHECK(limits.read_per_second > 1e6);
        most = 32 << 20;
        CHECK(ingle_session_limits(s, &limits, &err) == INGLE_ERR_MEMORY && err.status == INGLE_ERR_MEMORY);
        CHECK(ingle_session_append(s, (const int32_t[]){1, 2}, 2, &err) == INGLE_OK);
        ingle_session_close(s);
    }
    ingle_model_close(model);
    free(file);
}

typedef struct {
    size_t bytes; // asked for in all
} meter;

static void *measured_resize(void *user, void *ptr, size_t bytes)
{
    ((meter *)user)->bytes += bytes;
    if (bytes == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, bytes);
}

/* What ingle_session_memory foretells is what opening takes, but for the session's own struct, the
 * threads' table and alignment. */
static void memory_is_foretold(void)
{
    const tiny_shape *shape = &float_models[1].shape;
    meter m = {0};
    size_t n;
    char *file = tiny_model_file(shape, &n);
    ingle_model *model;
    ingle_memory memory;
    CHECK(ingle_model_open_bytes(&model, file, n,
                                 &(ingle_model_options){.allocator = {measured_resize, &m}},
                                 NULL) == INGLE_OK);
    for (uint32_t n_ctx = 16; n_ctx <= 4096; n_ctx *= 4)
        for (uint32_t n_batch = 1; n_batch <= 256; n_batch *= 16) {
            const ingle_session_options opt = {
                .cpu = exact_path(), .n_ctx = n_ctx, .n_batch = n_batch, .n_threads = 3, .kv_v = INGLE_KV_Q8_0};
            ingle_error err;
            CHECK(ingle_session_memory(model, &opt, &memory, &err) == INGLE_OK);
            // 2 layers, one KV head of 64 values: keys of 2 bytes in whole blocks, values of 34 / 32.
            const uint64_t k_ctx = (n_ctx + CPU_KEY_BLOCK - 1) / CPU_KEY_BLOCK * CPU_KEY_BLOCK;
            CHECK(memory.kv == 2 * (k_ctx * 64 * 2 + n_ctx * (64 / 32 * 34)));
            CHECK(memory.n_ctx == n_ctx && memory.n_threads >= 1 && memory.n_threads <= 3 && memory.cpu);
            CHECK(memory.weights == ingle_model_get_info(model)->weight_bytes &&
                  memory.tables > 1000);
            m.bytes = 0;
            ingle_session *s = open_session(model, &opt);
            const uint64_t foretold = memory.kv + memory.scratch;
            CHECK_MSG(m.bytes >= foretold && m.bytes < foretold + 4096, "%zu taken, %llu foretold",
                      m.bytes, (unsigned long long)foretold);
            m.bytes = 0;
            // The token loop allocates nothing.
            CHECK(ingle_session_append(s, (const int32_t[]){1, 2, 3}, 3, &err) == INGLE_OK);
            CHECK(ingle_session_sync(s, (const int32_t[]){1, 4}, 2, NULL, &err) == INGLE_OK);
            CHECK(m.bytes == 0);
            ingle_session_close(s);
        }
    CHECK(ingle_session_memory(model, NULL, &memory, NULL) == INGLE_OK);
    CHECK(memory.n_ctx == 64 && memory.n_threads >= 1);
    ingle_model_close(model);
    free(file);
}

/* ---- a model shared by threads ---------------------------------------------------------------- */

static void *run_alone(void *arg)
{
    ingle_session *s = NULL;
    (void)arg;
    if (ingle_session_open(&s, calls_model, &(ingle_session_options){.n_threads = 2, .backend = INGLE_BACKEND_CPU, .cpu = exact_path()},
                           NULL) != INGLE_OK)
        return NULL;
    size_t good = 0;
    for (size_t round = 0; round < 3; round++) {
        ingle_session_truncate(s, 0);
        for (size_t i = 0; i < N_IDS; i++)
            good += ingle_session_append(s, calls_ids + i, 1, NULL) == INGLE_OK &&
                    same(ingle_session_logits(s), row(i + 1));
    }
    ingle_session_close(s);
    return (void *)(uintptr_t)good;
}

static void sessions_share_a_model(void)
{
    pthread_t threads[3];
    ingle_session_close(calls_session(0));
    for (size_t i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, run_alone, NULL) == 0);
    for (size_t i = 0; i < 3; i++) {
        void *good = NULL;
        pthread_join(threads[i], &good);
        CHECK((uintptr_t)good == 3 * N_IDS);
    }
}

/* ---- memory runs out -------------------------------------------------------------------------- */

typedef struct {
    const char *file;
    size_t n;
    uint32_t n_threads;
} without_memory;

static ingle_status open_and_append(void *user, const ingle_allocator *a)
{
    const without_memory *w = user;
    ingle_model *m = NULL;
    ingle_session *s = NULL;
    ingle_error err;
    ingle_status status =
        ingle_model_open_bytes(&m, w->file, w->n, &(ingle_model_options){.allocator = *a}, &err);
    if (status == INGLE_OK)
        status =
            ingle_session_open(&s, m, &(ingle_session_options){.n_threads = w->n_threads}, &err);
    if (status == INGLE_OK)
        status = ingle_session_append(s, calls_ids, 3, &err);
    CHECK(err.status == status && (status == INGLE_OK || err.text[0]));
    ingle_session_close(s);
    ingle_model_close(m);
    return status;
}

static void allocation_failures(void)
{
    ingle_session_close(calls_session(0));
    tiny_shape shape = int_models[0].shape;
    shape.n_layers = 1;
    shape.rope_divisors = true;
    without_memory w = {0};
    char *file = tiny_model_file(&shape, &w.n);
    w.file = file;
    for (w.n_threads = 1; w.n_threads <= 2; w.n_threads++)
        CHECK(test_every_allocation(open_and_append, &w) > 10);
    free(file);
    ingle_model_close(calls_model);
    free(calls_bytes);
    free(calls_rows);
    calls_model = NULL;
}

TESTS(T(float_models_match_the_oracle) T(mistakes_would_be_noticed)
      T(integer_models_match_the_oracle) T(quantised_caches_stay_near)
      T(batches_and_threads_change_no_bit) T(alignment_changes_no_bit) T(appending_is_scoring)
      T(scoring_stops_on_request) T(logits_are_the_last_tokens) T(sync_keeps_the_common_prefix)
      T(truncating_and_going_on) T(refusals_change_nothing) T(progress_tells_and_cancels)
      T(options_have_defaults_and_limits) T(memory_is_foretold) T(limits_are_known) T(sessions_share_a_model)
      T(allocation_failures))
