/* Sessions whose GPU fails: gone in the middle of an answer, short of memory at each buffer, slow, broken. Over the
 * null player, whose tokens are pretended, and over a real device where there is one. */
#include "harness.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/error.h"
#include "faulty_player.h"
#include "support.h"
#include "tiny_model.h"

enum { N_PROMPT = 20, N_PREDICT = 24, N_CTX = 64, MOST_TEXT = 4096 };

static const tiny_shape shape = {"llama", 2, 4, 2, 64, 0, 96, TINY_VOCAB, 128, .format = QUANT_Q4_0, .seed = 5};

static int32_t prompt[300];

static void fill_prompt(void)
{
    for (size_t i = 0; i < sizeof prompt / sizeof *prompt; i++)
        prompt[i] = TINY_LETTER_A + (int32_t)(i * 5 % 26);
}

static ingle_status open_null(gpu_player *out, const ingle_allocator *a, ingle_error *err)
{
    return gpu_null_open(out, NULL, a, err);
}

typedef struct {
    int32_t ids[FAULTY_MOST_PASSES];
    size_t n;
    ingle_stop stop;
    char backend[200];
} answer;

/* An answer to prompt [n]; f, unless it is NULL, goes away after so many of its tokens. */
static ingle_status answer_losing(ingle_session *s, size_t n, const ingle_sampling *sampling, uint32_t n_predict,
                                  faulty *f, size_t after, answer *a, ingle_error *err)
{
    ingle_generation *g;
    ingle_part part = {0};
    const ingle_generate_options opt = {
        .n_predict = n_predict, .ignore_eos = true, .has_sampling = sampling, .sampling = sampling ? *sampling : (ingle_sampling){0}};
    *a = (answer){0};
    ingle_status status = ingle_generation_open(&g, s, prompt, n, &opt, err);
    if (status != INGLE_OK)
        return status;
    while (status == INGLE_OK && part.stop == INGLE_STOP_NONE) {
        status = ingle_generation_next(g, &part, err);
        if (status == INGLE_OK && part.id >= 0 && a->n < FAULTY_MOST_PASSES)
            a->ids[a->n++] = part.id;
        if (f && status == INGLE_OK && part.id >= 0 && a->n == after)
            f->lose_now = true;
    }
    a->stop = part.stop;
    snprintf(a->backend, sizeof a->backend, "%s", ingle_session_backend(s));
    ingle_generation_close(g);
    return status;
}

static ingle_status answer_of(ingle_session *s, size_t n, const ingle_sampling *sampling, uint32_t n_predict, answer *a,
                              ingle_error *err)
{
    return answer_losing(s, n, sampling, n_predict, NULL, 0, a, err);
}

static ingle_session *open_batches(const ingle_model *m, faulty *f, ingle_backend backend, uint32_t n_batch,
                                   ingle_error *err)
{
    const ingle_session_options opt = {.n_ctx = N_CTX, .n_batch = n_batch, .n_threads = 1, .backend = backend};
    const session_players players = faulty_players(f, true);
    ingle_session *s;
    session_open(&s, m, &opt, &players, err);
    return s;
}

static ingle_session *open_session(const ingle_model *m, faulty *f, ingle_backend backend, ingle_error *err)
{
    return open_batches(m, f, backend, N_CTX, err);
}

/* The device belongs to the model: one of each for every case. */
typedef struct {
    char *bytes;
    ingle_model *m;
} model;

static model open_model(const tiny_shape *of)
{
    model m;
    m.m = tiny_model_open(of, &m.bytes);
    return m;
}

static void close_model(model *m)
{
    ingle_model_close(m->m);
    free(m->bytes);
}

static void check_pretended(const answer *a, uint32_t n)
{
    CHECK_MSG(a->n == n && a->stop == INGLE_STOP_LENGTH, "%zu tokens", a->n);
    for (uint32_t i = 0; i < a->n; i++)
        CHECK_MSG(a->ids[i] == faulty_token(i), "token %u is %d", i, a->ids[i]);
}

/* ---- gone ------------------------------------------------------------------------------------- */

/* At each call of an answer: the tokens are those of an answer that nothing disturbed, the successor computes the
 * whole timeline, and its draws go on where they were. */
static void lost_anywhere(void)
{
    long in_answers = 0;
    bool happened = true;
    for (long at = 1; happened; at++) {
        model m = open_model(&shape);
        faulty f = {.open = open_null, .pretend = true, .lose_at = at};
        ingle_error e = {0};
        answer a;
        ingle_session *s = open_session(m.m, &f, INGLE_BACKEND_GPU, &e);
        if (!s) { // gone before there was a session
            close_model(&m);
            CHECK_MSG(e.status == INGLE_ERR_DEVICE_LOST && f.closed == f.opened, "%s", e.text);
            happened = e.status == INGLE_ERR_DEVICE_LOST;
            continue;
        }
        CHECK_MSG(answer_of(s, N_PROMPT, NULL, N_PREDICT, &a, &e) == INGLE_OK, "at %ld: %s", at, e.text);
        check_pretended(&a, N_PREDICT);
        CHECK(ingle_session_length(s) == N_PROMPT + N_PREDICT - 1);
        for (size_t i = N_PROMPT; i < ingle_session_length(s); i++)
            CHECK(ingle_session_ids(s)[i] == faulty_token((uint32_t)(i - N_PROMPT)));
        happened = f.lose_at == 0;
        CHECK(f.opened == 1 + happened);
        if (f.n_begun == 2) { // between two tokens
            const uint32_t *last = f.passes[f.n_passes - 1];
            in_answers++;
            CHECK_MSG(last[0] == 0 && last[1] == N_PROMPT + f.draws[1], "%u tokens from %u after %u draws", last[1],
                      last[0], f.draws[1]);
        }
        ingle_session_close(s);
        close_model(&m);
        CHECK(f.closed == f.opened);
    }
    CHECK_MSG(in_answers >= 8, "%ld", in_answers);
}

/* The third loss within a minute is the last, and is said; where the CPU may, it goes on. */
static void lost_again_and_again(void)
{
    long first = 0;
    {
        model m = open_model(&shape);
        faulty f = {.open = open_null, .pretend = true};
        ingle_error e = {0};
        ingle_session_close(open_session(m.m, &f, INGLE_BACKEND_GPU, &e));
        first = f.plays; // of opening
        close_model(&m);
    }
    for (int automatic = 0; automatic < 2; automatic++) {
        model m = open_model(&shape);
        faulty f = {.open = open_null, .pretend = true, .lose_at = first + 14, .lose_every = first + 5};
        ingle_error e = {0};
        answer a;
        ingle_session *s = open_session(m.m, &f, automatic ? INGLE_BACKEND_AUTO : INGLE_BACKEND_GPU, &e);
        const ingle_status status = answer_of(s, N_PROMPT, NULL, N_PREDICT, &a, &e);
        CHECK_MSG(f.opened == SESSION_MOST_LOSSES && f.closed == f.opened, "%ld opened", f.opened);
        if (automatic) {
            CHECK_MSG(status == INGLE_OK && a.n == N_PREDICT && strncmp(a.backend, "cpu/", 4) == 0, "%s %s", e.text,
                      a.backend);
            CHECK(f.n_begun > 0 && a.ids[0] == faulty_token(0)); // the first ones were the GPU's
        } else {
            CHECK_MSG(status == INGLE_ERR_DEVICE_LOST && strstr(e.text, "3 times within a minute"), "%s", e.text);
            CHECK(ingle_session_append(s, prompt, 1, &e) == INGLE_ERR_DEVICE_LOST);
        }
        ingle_session_close(s);
        close_model(&m);
    }
}

static void no_other_gpu(void)
{
    char *bytes;
    ingle_model *m = tiny_model_open(&shape, &bytes);
    faulty f = {.open = open_null, .pretend = true, .gone = true};
    ingle_error e = {0};
    answer a;
    ingle_session *s = open_session(m, &f, INGLE_BACKEND_GPU, &e);
    f.lose_at = f.plays + 6;
    CHECK(answer_of(s, N_PROMPT, NULL, N_PREDICT, &a, &e) == INGLE_ERR_DEVICE_LOST);
    CHECK_MSG(strstr(e.text, "a test's doing") && strstr(e.text, "no GPU adapter"), "%s", e.text);
    f.gone = false; // a driver that is there again: the next answer finds it
    CHECK_MSG(answer_of(s, N_PROMPT, NULL, N_PREDICT, &a, &e) == INGLE_OK, "%s", e.text);
    check_pretended(&a, N_PREDICT);
    ingle_session_close(s);
    ingle_model_close(m);
    free(bytes);
}

/* Two sessions on one device: each finds out by itself, and both go on on the next. */
static void two_sessions(void)
{
    model m = open_model(&shape);
    faulty f = {.open = open_null, .pretend = true};
    ingle_error e = {0};
    answer a, b;
    ingle_session *s = open_session(m.m, &f, INGLE_BACKEND_GPU, &e), *t = open_session(m.m, &f, INGLE_BACKEND_GPU, &e);
    CHECK(f.opened == 1);
    CHECK(answer_of(t, N_PROMPT, NULL, 4, &b, &e) == INGLE_OK);
    f.lose_at = f.plays + 10;
    CHECK_MSG(answer_of(s, N_PROMPT, NULL, N_PREDICT, &a, &e) == INGLE_OK, "%s", e.text);
    CHECK(f.lose_at == 0 && f.opened == 2 && f.closed == 1 && ingle_session_length(t) == N_PROMPT + 3);
    CHECK_MSG(answer_of(t, N_PROMPT, NULL, N_PREDICT, &b, &e) == INGLE_OK, "%s", e.text);
    CHECK_MSG(a.n == N_PREDICT && b.n == N_PREDICT && f.opened == 2, "%ld opened", f.opened);
    ingle_session_close(s);
    CHECK(answer_of(t, N_PROMPT, NULL, N_PREDICT, &b, &e) == INGLE_OK);
    ingle_session_close(t);
    close_model(&m);
    CHECK(f.closed == 2);
}

/* A loader for a model of its own or for `again`. */
static ingle_status open_loader(ingle_loader **l, faulty *f, const ingle_model *again, ingle_error *err)
{
    const ingle_session_options opt = {.n_ctx = N_CTX, .n_batch = N_CTX};
    const session_players players = faulty_players(f, true);
    gpu_player player;
    ingle_status status = ingle_loader_open(l, NULL, err);
    if (status == INGLE_OK)
        status = players.open(players.user, &player, NULL, err);
    if (status == INGLE_OK)
        status = again ? session_load_again(*l, again, &player, &players, &opt, err)
                       : session_load_on(*l, &player, &players, &opt, err);
    return status;
}

static ingle_status feed_all(ingle_loader *l, const char *bytes, size_t n, ingle_error *err)
{
    ingle_status status = INGLE_OK;
    for (size_t at = 0; status == INGLE_OK && at < n; at += 5000)
        status = ingle_loader_feed(l, bytes + at, n - at < 5000 ? n - at : 5000, err);
    return status;
}

/* Feeds a file, for a model of its own or for `again`; the model that is taken, or NULL with the reason. */
static ingle_model *stream_model(faulty *f, const ingle_model *again, const char *bytes, size_t n, ingle_error *err)
{
    ingle_loader *l = NULL;
    ingle_model *m = NULL;
    ingle_status status = open_loader(&l, f, again, err);
    if (status == INGLE_OK)
        status = feed_all(l, bytes, n, err);
    if (status == INGLE_OK)
        ingle_loader_take(l, &m, err);
    ingle_loader_close(l);
    return m;
}

/* The host's own GPU is asked for; where there is one, nothing was lost that it could stand in for. */
static void nothing_to_revive(void)
{
    model m = open_model(&shape);
    ingle_loader *l;
    ingle_error e = {0};
    CHECK(ingle_loader_open(&l, NULL, &e) == INGLE_OK);
    const ingle_status status = ingle_loader_revive(l, m.m, NULL, &e);
    CHECK_MSG(status == INGLE_ERR_DEVICE || (status == INGLE_ERR_USAGE && strstr(e.text, "did not go away")), "%s", e.text);
    ingle_loader_close(l);
    close_model(&m);
}

/* Weights that went to the GPU are gone with it: an answer waits until they have been read again. */
static void streamed(void)
{
    tiny_shape other = shape;
    size_t n, n_other;
    other.d_ff = 64;
    char *bytes = tiny_model_file(&shape, &n), *others = tiny_model_file(&other, &n_other);
    faulty f = {.open = open_null, .pretend = true};
    ingle_error e = {0};
    ingle_part part = {0};
    ingle_generation *g = NULL;
    ingle_model *m = stream_model(&f, NULL, bytes, n, &e);
    CHECK_MSG(m, "%s", e.text);
    CHECK(!stream_model(&f, m, bytes, n, &e) && e.status == INGLE_ERR_USAGE); // nothing was lost
    ingle_session *s = open_session(m, &f, INGLE_BACKEND_AUTO, &e);
    const ingle_generate_options opt = {.n_predict = N_PREDICT, .ignore_eos = true};
    CHECK_MSG(ingle_generation_open(&g, s, prompt, N_PROMPT, &opt, &e) == INGLE_OK, "%s", e.text);
    uint32_t done = 0;
    for (int losses = 0; part.stop == INGLE_STOP_NONE && losses < 3;) {
        if (done == 7 && losses == 0)
            f.lose_at = f.plays + 1;
        ingle_status status = ingle_generation_next(g, &part, &e);
        if (status != INGLE_OK) {
            CHECK_MSG(status == INGLE_ERR_DEVICE_LOST && f.closed == f.opened, "%s", e.text);
            CHECK(ingle_generation_next(g, &part, &e) == INGLE_ERR_DEVICE_LOST); // and again
            CHECK_MSG(!stream_model(&f, m, others, n_other, &e) && e.status == INGLE_ERR_FORMAT, "%s", e.text);
            CHECK(!stream_model(&f, m, bytes, n - 3000, &e));
            CHECK(ingle_generation_next(g, &part, &e) == INGLE_ERR_DEVICE_LOST && f.closed == f.opened);
            ingle_model *again = stream_model(&f, m, bytes, n, &e);
            CHECK_MSG(again, "%s", e.text);
            ingle_model_close(again);
            losses++;
        } else if (part.id >= 0) {
            CHECK_MSG(part.id == faulty_token(done), "token %u is %d", done, part.id);
            done++;
        }
    }
    CHECK_MSG(done == N_PREDICT && part.stop == INGLE_STOP_LENGTH && f.n_begun == 2, "%u tokens", done);
    ingle_generation_close(g);
    ingle_session_close(s);
    ingle_model_close(m);
    CHECK(f.closed == f.opened);
    free(bytes);
    free(others);
}

/* Sessions are called while the weights are read again: they find no GPU until all are there, and nothing of a
 * loader that gives up stays with them. Of two loaders the first that is done counts. */
static void streamed_meanwhile(void)
{
    size_t n;
    char *bytes = tiny_model_file(&shape, &n);
    faulty f = {.open = open_null, .pretend = true};
    ingle_error e = {0};
    answer a;
    ingle_loader *l[3] = {NULL};
    ingle_model *taken = NULL, *m = stream_model(&f, NULL, bytes, n, &e);
    CHECK_MSG(m, "%s", e.text);
    ingle_session *s = open_session(m, &f, INGLE_BACKEND_AUTO, &e), *t = NULL;
    f.lose_at = f.plays + 6;
    CHECK(answer_of(s, N_PROMPT, NULL, N_PREDICT, &a, &e) == INGLE_ERR_DEVICE_LOST && f.closed == f.opened);
    for (int i = 0; i < 3; i++)
        CHECK_MSG(open_loader(&l[i], &f, m, &e) == INGLE_OK && feed_all(l[i], bytes, n - 3000, &e) == INGLE_OK, "%s",
                  e.text);
    CHECK_MSG(ingle_session_append(s, prompt, 1, &e) == INGLE_ERR_DEVICE_LOST, "%s", e.text);
    t = open_session(m, &f, INGLE_BACKEND_AUTO, &e);
    CHECK_MSG(!t && e.status == INGLE_ERR_DEVICE_LOST, "%s", e.text);
    ingle_loader_close(l[0]);
    CHECK_MSG(ingle_session_append(s, prompt, 1, &e) == INGLE_ERR_DEVICE_LOST, "%s", e.text);
    CHECK_MSG(feed_all(l[1], bytes + n - 3000, 3000, &e) == INGLE_OK && ingle_loader_take(l[1], &taken, &e) == INGLE_OK,
              "%s", e.text);
    ingle_loader_close(l[1]);
    ingle_model_close(taken);
    CHECK_MSG(answer_of(s, N_PROMPT, NULL, N_PREDICT, &a, &e) == INGLE_OK, "%s", e.text);
    check_pretended(&a, N_PREDICT);
    CHECK(feed_all(l[2], bytes + n - 3000, 3000, &e) == INGLE_OK);
    CHECK_MSG(ingle_loader_take(l[2], &taken, &e) == INGLE_ERR_USAGE && !taken, "%s", e.text);
    ingle_loader_close(l[2]);
    CHECK_MSG(answer_of(s, N_PROMPT, NULL, 4, &a, &e) == INGLE_OK && f.opened == f.closed + 1, "%s", e.text);
    ingle_session_close(s);
    ingle_model_close(m);
    CHECK(f.closed == f.opened);
    free(bytes);
}

/* Logits of each token: those that were given are not given again, none is left out. */
static bool count_row(void *user, size_t i, const float *logits)
{
    size_t *n = user;
    CHECK_MSG(logits && i == *n, "row %zu after %zu", i, *n);
    (*n)++;
    return true;
}

static void lost_while_scoring(void)
{
    bool happened = true;
    for (long at = 1; happened; at++) {
        model m = open_model(&shape);
        faulty f = {.open = open_null};
        ingle_error e = {0};
        size_t n = 0;
        ingle_session *s = open_session(m.m, &f, INGLE_BACKEND_GPU, &e);
        f.lose_at = f.plays + at;
        CHECK_MSG(ingle_session_score(s, prompt, N_PROMPT, count_row, &n, &e) == INGLE_OK, "%s", e.text);
        CHECK_MSG(n == N_PROMPT && ingle_session_length(s) == N_PROMPT, "%zu rows", n);
        CHECK(ingle_session_logits(s) != NULL);
        happened = f.lose_at == 0;
        ingle_session_close(s);
        close_model(&m);
    }
}

/* ---- given up --------------------------------------------------------------------------------- */

/* Answers that are given up while logits, marks and tokens are still to come, on a host that cannot wait: what nobody
 * asked for is taken later, also that of sessions that are closed, and goes into memory that is there. */
static void given_up(void)
{
    model m = open_model(&shape);
    faulty f = {.open = open_null, .pretend = true, .waits = true};
    ingle_error e = {0};
    ingle_generation *g = NULL;
    ingle_part part;
    ingle_session *s = NULL;
    ingle_sampling sampling;
    ingle_sampling_init(&sampling);
    for (int i = 0; i < 12; i++) {
        if (i % 4 == 0) {
            ingle_session_close(s);
            s = open_session(m.m, &f, INGLE_BACKEND_GPU, &e);
            CHECK_MSG(s && f.to_answer == 1, "%ld to answer", f.to_answer); // whether it is ready
        }
        sampling.typical_p = i % 2 ? 1 : 0.9f; // logits are read, or tokens that the GPU chose
        const ingle_generate_options opt = {
            .n_predict = N_PREDICT, .ignore_eos = true, .has_sampling = true, .sampling = sampling};
        prompt[0] = TINY_LETTER_A + i;
        ingle_status status;
        do
            status = ingle_generation_open(&g, s, prompt, N_PROMPT, &opt, &e);
        while (status == INGLE_WAIT);
        CHECK_MSG(status == INGLE_OK, "%s", e.text);
        do
            status = ingle_generation_next(g, &part, &e);
        while (status == INGLE_WAIT && i % 4 == 2);
        CHECK_MSG(status == (i % 4 == 2 ? INGLE_OK : INGLE_WAIT), "answer %d: %s", i, e.text);
        if (i % 4 == 2) { // logits that nobody asks for again
            do
                status = ingle_session_append(s, prompt, 1, &e);
            while (status == INGLE_WAIT);
            CHECK_MSG(status == INGLE_OK && !ingle_session_logits(s), "%s", e.text);
        }
        ingle_generation_close(g);
        CHECK_MSG(f.to_answer <= 6, "%ld to answer after %d", f.to_answer, i); // 2 marks, 3 bursts or logits
    }
    ingle_session_close(s);
    close_model(&m);
    prompt[0] = TINY_LETTER_A;
    CHECK(f.closed == f.opened);
}

/* ---- side by side ----------------------------------------------------------------------------- */

static ingle_status open_narrow(gpu_player *out, const ingle_allocator *a, ingle_error *err)
{
    static const gpu_limits limits = {.name = "narrow", .max_buffer = 1 << 20, .max_binding = 1 << 20,
                                      .max_workgroup_memory = 16384, .max_workgroup_threads = 256,
                                      .max_groups = 65535, .max_bindings = 8};
    return gpu_null_open(out, &limits, a, err);
}

typedef struct {
    ingle_session *s;
    atomic_bool done;
    long calls;
    ingle_error failed;
} neighbour;

static void *keep_computing(void *user)
{
    neighbour *nb = user;
    while (!atomic_load(&nb->done) && nb->failed.status == INGLE_OK) {
        ingle_session_truncate(nb->s, 0);
        ingle_session_append(nb->s, prompt, 1, &nb->failed);
        nb->calls++;
    }
    return NULL;
}

/* Sessions whose rotations do not fit are refused, over and over, while another thread computes: none of its calls
 * gets their error. */
static void refused_beside_another(void)
{
    enum { TIMES = 4000, LARGE_CTX = 1 << 14 };
    model m = open_model(&(tiny_shape){"llama", 1, 4, 1, 64, 0, 32, TINY_VOCAB, LARGE_CTX, .format = QUANT_Q4_0, .seed = 5});
    faulty f = {.open = open_narrow};
    ingle_error e = {0};
    neighbour nb = {.s = open_session(m.m, &f, INGLE_BACKEND_GPU, &e)};
    CHECK_MSG(nb.s, "%s", e.text);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, keep_computing, &nb) == 0);
    const session_players players = faulty_players(&f, true);
    const ingle_session_options opt = {.n_ctx = LARGE_CTX + 1, .n_batch = 16, .backend = INGLE_BACKEND_GPU};
    for (int i = 0; i < TIMES; i++) {
        ingle_session *s;
        CHECK_MSG(session_open(&s, m.m, &opt, &players, &e) == INGLE_ERR_MEMORY && strstr(e.text, "rope"), "%s", e.text);
    }
    atomic_store(&nb.done, true);
    pthread_join(thread, NULL);
    CHECK_MSG(nb.failed.status == INGLE_OK && nb.calls > 0, "%s", nb.failed.text);
    ingle_session_close(nb.s);
    close_model(&m);
}

/* ---- memory ----------------------------------------------------------------------------------- */

/* Each buffer once: shorter passes are planned. From each on: an error that names it. Nothing stays. */
static void no_memory_at_each_buffer(void)
{
    long n = 0;
    for (long at = 1; !n; at++)
        for (int again = 0; again < 2; again++) {
            model m = open_model(&shape);
            faulty f = {.open = open_null, .pretend = true, .no_memory_at = at, .no_memory_again = again};
            ingle_error e = {0};
            answer a;
            ingle_session *s = open_session(m.m, &f, INGLE_BACKEND_GPU, &e);
            const bool happened = f.failed[0] != 0;
            if (happened && again) {
                CHECK_MSG(!s && e.status == INGLE_ERR_MEMORY && strstr(e.text, f.failed) && strstr(e.text, "bytes"),
                          "buffer %ld: %s", at, e.text);
            } else {
                CHECK_MSG(s && answer_of(s, N_PROMPT, NULL, N_PREDICT, &a, &e) == INGLE_OK, "buffer %ld: %s", at, e.text);
                check_pretended(&a, N_PREDICT);
                CHECK(f.opened == 1 + happened);
            }
            ingle_session_close(s);
            close_model(&m);
            CHECK(f.closed == f.opened);
            n = happened ? 0 : at - 1;
        }
    CHECK_MSG(n > 20, "%ld buffers", n);
}

/* The same while weights are streamed: sessions have the passes that were found to fit. */
static void streamed_without_memory(void)
{
    size_t n;
    char *bytes = tiny_model_file(&shape, &n);
    long buffers = 0;
    for (long at = 1; !buffers; at++)
        for (int again = 0; again < 2; again++) {
            faulty f = {.open = open_null, .pretend = true, .no_memory_at = at, .no_memory_again = again};
            ingle_error e = {0};
            answer a;
            ingle_model *m = stream_model(&f, NULL, bytes, n, &e);
            const bool happened = f.failed[0] != 0;
            buffers = happened ? 0 : f.buffers;
            if (happened && again) {
                CHECK_MSG(!m && e.status == INGLE_ERR_MEMORY && strstr(e.text, f.failed), "buffer %ld: %s", at, e.text);
                CHECK(f.closed == f.opened);
                continue;
            }
            CHECK_MSG(m && f.opened == 1 + happened, "buffer %ld: %s", at, e.text);
            const long before = f.buffers;
            ingle_session *s = open_session(m, &f, INGLE_BACKEND_AUTO, &e);
            CHECK_MSG(s && s->gpu_batch == (happened ? 32 : N_CTX) && f.buffers == before, "%s", e.text);
            CHECK_MSG(answer_of(s, N_PROMPT, NULL, N_PREDICT, &a, &e) == INGLE_OK, "buffer %ld: %s", at, e.text);
            check_pretended(&a, N_PREDICT);
            ingle_session_close(s);
            ingle_model_close(m);
            CHECK(f.closed == f.opened);
        }
    CHECK_MSG(buffers > 20, "%ld buffers", buffers);
    free(bytes);
}

/* Another session of the model finds no memory: its error, and the loss of the device to the one that computes there,
 * which goes on when the weights have been read again. */
static void streamed_beside_another_without_memory(void)
{
    size_t n;
    char *bytes = tiny_model_file(&shape, &n);
    bool happened = true;
    for (long at = 1; happened; at++) {
        faulty f = {.open = open_null, .pretend = true};
        ingle_error e = {0};
        answer a;
        ingle_model *m = stream_model(&f, NULL, bytes, n, &e);
        CHECK_MSG(m, "%s", e.text);
        ingle_session *s = open_session(m, &f, INGLE_BACKEND_AUTO, &e);
        CHECK_MSG(answer_of(s, N_PROMPT, NULL, N_PREDICT, &a, &e) == INGLE_OK, "%s", e.text);
        f.no_memory_at = f.buffers + at;
        ingle_session *t = open_session(m, &f, INGLE_BACKEND_AUTO, &e);
        happened = f.failed[0] != 0;
        CHECK_MSG(happened ? !t && e.status == INGLE_ERR_MEMORY && strstr(e.text, f.failed) : t != NULL, "buffer %ld: %s", at,
                  e.text);
        if (happened) {
            CHECK_MSG(ingle_session_append(s, prompt, 1, &e) == INGLE_ERR_DEVICE_LOST, "buffer %ld: %s", at, e.text);
            CHECK(f.closed == f.opened);
            ingle_model_close(stream_model(&f, m, bytes, n, &e));
            CHECK_MSG(answer_of(s, N_PROMPT, NULL, N_PREDICT, &a, &e) == INGLE_OK, "buffer %ld: %s", at, e.text);
            check_pretended(&a, N_PREDICT);
        }
        CHECK_MSG(happened || at > 5, "%ld buffers", at);
        ingle_session_close(t);
        ingle_session_close(s);
        ingle_model_close(m);
        CHECK(f.closed == f.opened);
    }
    free(bytes);
}

/* The same by the allocator: whatever fails, nothing is left. */
typedef struct {
    long lose_at;
} every;

static ingle_status open_and_answer(void *user, const ingle_allocator *allocator)
{
    size_t n;
    char *bytes = tiny_model_file(&shape, &n);
    const ingle_model_options opt = {.allocator = *allocator};
    ingle_model *m = NULL;
    ingle_error e = {0};
    ingle_status status = ingle_model_open_bytes(&m, bytes, n, &opt, &e);
    faulty f = {.open = open_null, .pretend = true, .lose_at = ((const every *)user)->lose_at};
    ingle_session *s = m ? open_session(m, &f, INGLE_BACKEND_GPU, &e) : NULL;
    status = m ? e.status : status;
    answer a;
    if (s)
        status = answer_of(s, N_PROMPT, NULL, 4, &a, &e);
    ingle_session_close(s);
    ingle_model_close(m);
    free(bytes);
    return status;
}

static void every_allocation(void)
{
    every undisturbed = {0};
    CHECK(test_every_allocation(open_and_answer, &undisturbed) > 100);
}

/* ---- limits ----------------------------------------------------------------------------------- */

static ingle_status open_small(gpu_player *out, const ingle_allocator *a, ingle_error *err)
{
    static const gpu_limits limits = {.name = "small", .max_buffer = 65536, .max_binding = 32768,
                                      .max_workgroup_memory = 16384, .max_workgroup_threads = 256,
                                      .max_groups = 65535, .max_bindings = 8};
    return gpu_null_open(out, &limits, a, err);
}

/* Matrices in parts, passes as long as their rows fit into a buffer. */
static void small_limits(void)
{
    const tiny_shape wide = {"llama", 2, 4, 2, 256, 0, 384, TINY_VOCAB, 128, .format = QUANT_Q4_0, .seed = 5};
    model m = open_model(&wide), other = open_model(&wide);
    faulty f = {.open = open_small, .pretend = true}, usual = {.open = open_null};
    ingle_error e = {0};
    answer a;
    ingle_session_close(open_session(other.m, &usual, INGLE_BACKEND_GPU, &e));
    ingle_session *s = open_session(m.m, &f, INGLE_BACKEND_GPU, &e);
    CHECK_MSG(s && answer_of(s, N_PROMPT, NULL, N_PREDICT, &a, &e) == INGLE_OK, "%s", e.text);
    check_pretended(&a, N_PREDICT);
    CHECK_MSG(f.buffers > usual.buffers, "%ld, %ld buffers", f.buffers, usual.buffers);
    CHECK_MSG(f.opened == 1 && f.passes[0][1] < N_PROMPT, "%ld opened, %u tokens", f.opened, f.passes[0][1]);
    ingle_session_close(s);
    close_model(&m);
    close_model(&other);
}

static ingle_status open_tiny(gpu_player *out, const ingle_allocator *a, ingle_error *err)
{
    static const gpu_limits limits = {.name = "tiny", .max_buffer = 2048, .max_binding = 1024,
                                      .max_workgroup_memory = 16384, .max_workgroup_threads = 256,
                                      .max_groups = 65535, .max_bindings = 8};
    return gpu_null_open(out, &limits, a, err);
}

static void limits_too_small(void)
{
    char *bytes;
    ingle_model *m = tiny_model_open(&shape, &bytes);
    faulty f = {.open = open_tiny};
    ingle_error e = {0};
    CHECK(!open_session(m, &f, INGLE_BACKEND_GPU, &e));
    CHECK_MSG(e.status == INGLE_ERR_MEMORY && strstr(e.text, "1024"), "%s", e.text);
    CHECK(f.closed == f.opened);
    ingle_model_close(m);
    free(bytes);
}

/* ---- slow and broken -------------------------------------------------------------------------- */

/* A GPU that takes 8 ms a token of a prompt: passes shrink to what half a second allows, and all tokens come. */
static void slow(void)
{
    char *bytes;
    const tiny_shape long_shape = {"llama", 1, 2, 2, 32, 0, 32, TINY_VOCAB, 512, .format = QUANT_Q8_0, .seed = 6};
    ingle_model *m = tiny_model_open(&long_shape, &bytes);
    faulty f = {.open = open_null, .pretend = true, .ms_a_token = 8};
    const session_players players = faulty_players(&f, true);
    const ingle_session_options opt = {.n_ctx = 512, .n_batch = 512, .backend = INGLE_BACKEND_GPU};
    ingle_session *s;
    ingle_error e = {0};
    CHECK(session_open(&s, m, &opt, &players, &e) == INGLE_OK);
    CHECK_MSG(ingle_session_sync(s, prompt, 300, NULL, &e) == INGLE_OK, "%s", e.text);
    uint32_t done = 0;
    for (size_t i = 0; i < f.n_passes; i++) {
        const uint32_t *pass = f.passes[i];
        CHECK_MSG(pass[0] == done && (i == 0 || pass[1] <= 62), "pass %zu: %u tokens from %u", i, pass[1], pass[0]);
        done += pass[1];
    }
    CHECK(done == 300 && f.passes[0][1] == 128);
    f.ms_a_token = 0; // and grow again
    ingle_session_truncate(s, 0);
    CHECK(ingle_session_sync(s, prompt, 300, NULL, &e) == INGLE_OK);
    ingle_session_truncate(s, 0);
    f.n_passes = 0;
    CHECK(ingle_session_sync(s, prompt, 300, NULL, &e) == INGLE_OK);
    CHECK_MSG(f.n_passes <= 2, "%zu passes", f.n_passes);
    ingle_session_close(s);
    ingle_model_close(m);
    free(bytes);
}

/* A fault is told, the session says no more than that, and the model serves another one. */
static void broken(void)
{
    char *bytes;
    ingle_model *m = tiny_model_open(&shape, &bytes);
    faulty f = {.open = open_null, .pretend = true};
    ingle_error e = {0};
    answer a;
    ingle_session *s = open_session(m, &f, INGLE_BACKEND_GPU, &e);
    f.fault_at = f.plays + 6;
    for (int i = 0; i < 2; i++) {
        CHECK(answer_of(s, N_PROMPT, NULL, N_PREDICT, &a, &e) == INGLE_ERR_DEVICE);
        CHECK_MSG(strstr(e.text, "kernel attend"), "%s", e.text);
    }
    ingle_session_close(s);
    CHECK(f.opened == 1 && f.closed == 1);
    s = open_session(m, &f, INGLE_BACKEND_GPU, &e);
    CHECK_MSG(answer_of(s, N_PROMPT, NULL, N_PREDICT, &a, &e) == INGLE_OK, "%s", e.text);
    check_pretended(&a, N_PREDICT);
    ingle_session_close(s);
    ingle_model_close(m);
    free(bytes);
}

/* A session that may have the CPU goes on there when the GPU fails at something. */
static void broken_with_a_cpu(void)
{
    char *bytes;
    ingle_model *m = tiny_model_open(&shape, &bytes);
    faulty f = {.open = open_null, .pretend = true};
    ingle_error e = {0};
    answer a;
    ingle_session *s = open_session(m, &f, INGLE_BACKEND_CPU, &e);
    answer want;
    CHECK(answer_of(s, N_PROMPT, NULL, N_PREDICT, &want, &e) == INGLE_OK);
    ingle_session_close(s);
    for (long at = 1; at < 30; at++) {
        s = open_session(m, &f, INGLE_BACKEND_AUTO, &e);
        CHECK_MSG(s && strncmp(ingle_session_backend(s), "gpu", 3) == 0, "%ld: %s", at, e.text);
        if (!s)
            break;
        f.fault_at = f.plays + at;
        const ingle_status ready = ingle_session_ready(s, &e);
        CHECK_MSG(ready == INGLE_OK, "%ld: %s", at, e.text);
        CHECK_MSG(answer_of(s, N_PROMPT, NULL, N_PREDICT, &a, &e) == INGLE_OK, "%ld: %s", at, e.text);
        CHECK_MSG(f.plays < f.fault_at || strncmp(ingle_session_backend(s), "cpu", 3) == 0, "%ld", at);
        f.fault_at = 0;
        if (at == 1) // nothing was chosen before it failed
            CHECK(a.n == want.n && memcmp(a.ids, want.ids, a.n * sizeof *a.ids) == 0);
        ingle_session_close(s);
    }
    ingle_model_close(m);
    free(bytes);
}

/* ---- a real device ---------------------------------------------------------------------------- */

static gpu_native_options native_options; // of the next device

static ingle_status open_native(gpu_player *out, const ingle_allocator *a, ingle_error *err)
{
    native_options.library = test_find_dawn();
    return gpu_native_open(out, &native_options, a, err);
}

static bool has_device(void)
{
    ingle_error e;
    gpu_player p;
    if (!test_find_model("stories260K.gguf"))
        return false;
    if (open_native(&p, NULL, &e) != INGLE_OK) {
        printf("no device: %s\n", e.text);
        return false;
    }
    p.close(p.user);
    return true;
}

static ingle_status real_answer_of(const char *name, faulty *f, const ingle_sampling *sampling, size_t lose_after, answer *a, ingle_error *e)
{
    ingle_model *m = NULL;
    if (ingle_model_open(&m, test_find_model(name), NULL, e) != INGLE_OK)
        return e->status;
    ingle_session *s = open_batches(m, f, INGLE_BACKEND_GPU, 2, e); // few kernels: software compiles them slowly
    const ingle_status status = s ? answer_losing(s, N_PROMPT, sampling, N_PREDICT, f, lose_after, a, e) : e->status;
    ingle_session_close(s);
    ingle_model_close(m);
    return status;
}

static ingle_status real_answer(faulty *f, const ingle_sampling *sampling, size_t lose_after, answer *a, ingle_error *e)
{
    return real_answer_of("stories260K.gguf", f, sampling, lose_after, a, e);
}

static void check_same(const answer *a, const answer *want, const char *what)
{
    CHECK_MSG(a->n == want->n, "%s: %zu tokens", what, a->n);
    for (size_t i = 0; i < a->n && i < want->n; i++)
        CHECK_MSG(a->ids[i] == want->ids[i], "%s: token %zu is %d, not %d", what, i, a->ids[i], want->ids[i]);
}

/* Seed, draws and penalties: the text is that of an undisturbed run. */
static void real_loss(void)
{
    if (!has_device()) {
        SKIP("no device, or no models/stories260K.gguf");
        return;
    }
    ingle_sampling sampling;
    ingle_sampling_init(&sampling);
    sampling.temperature = 0.9f;
    sampling.repeat_penalty = 1.2f;
    sampling.seed = 11;
    for (size_t i = 0; i < N_PROMPT; i++)
        prompt[i] = 260 + (int32_t)(i * 7 % 200);
    native_options = (gpu_native_options){0};
    faulty undisturbed = {.open = open_native};
    ingle_error e = {0};
    answer want, a;
    CHECK_MSG(real_answer(&undisturbed, &sampling, 0, &want, &e) == INGLE_OK, "%s", e.text);
    CHECK(want.n == N_PREDICT);
    for (size_t i = 1; i <= 2; i++) {
        faulty f = {.open = open_native};
        CHECK_MSG(real_answer(&f, &sampling, 5 * i, &a, &e) == INGLE_OK, "%s", e.text);
        CHECK(f.opened == 2 && f.closed == 2);
        check_same(&a, &want, "lost");
    }
    fill_prompt();
}

/* Bindings so small that the head, the embedding, QKV, gate and up lie in parts. */
static void real_limits(void)
{
    static const struct {
        const char *name;
        uint64_t buffer, binding;
    } limits[] = {{"as WebGPU's least", 256u << 20, 128u << 20}, {"tiny", 32768, 16384}};
    if (!has_device()) {
        SKIP("no device, or no models/stories260K.gguf");
        return;
    }
    native_options = (gpu_native_options){0};
    faulty usual = {.open = open_native};
    ingle_sampling greedy;
    ingle_error e = {0};
    answer want, a;
    ingle_sampling_init(&greedy);
    greedy.temperature = 0;
    CHECK_MSG(real_answer(&usual, &greedy, 0, &want, &e) == INGLE_OK, "%s", e.text);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        faulty f = {.open = open_native};
        native_options = (gpu_native_options){.max_buffer = limits[i].buffer, .max_binding = limits[i].binding};
        CHECK_MSG(real_answer(&f, &greedy, 0, &a, &e) == INGLE_OK, "%s: %s", limits[i].name, e.text);
        check_same(&a, &want, limits[i].name);
        CHECK_MSG(i == 0 || f.buffers > usual.buffers + 20, "%ld, %ld buffers", f.buffers, usual.buffers);
    }
}

static void real_limits_of_a_real_model(void)
{
    static const char name[] = "SmolLM2-135M-Instruct.Q4_1.gguf";
    if (!has_device() || !test_find_model(name)) {
        SKIP("no device, or no SmolLM2");
        return;
    }
    ingle_sampling greedy;
    ingle_error e = {0};
    answer answers[2];
    ingle_sampling_init(&greedy);
    greedy.temperature = 0;
    for (int least = 0; least < 2; least++) {
        faulty f = {.open = open_native};
        native_options = (gpu_native_options){.max_buffer = least ? 256u << 20 : 0, .max_binding = least ? 128u << 20 : 0};
        CHECK_MSG(real_answer_of(name, &f, &greedy, 0, &answers[least], &e) == INGLE_OK, "%s", e.text);
    }
    check_same(&answers[1], &answers[0], "WebGPU's least limits");
}

static void begins(void) // first of all
{
    fill_prompt();
    CHECK(prompt[1] == TINY_LETTER_A + 5);
}

TESTS(T(begins) T(lost_anywhere) T(lost_again_and_again) T(no_other_gpu) T(two_sessions) T(streamed) T(streamed_meanwhile)
      T(nothing_to_revive) T(lost_while_scoring) T(given_up) T(refused_beside_another)
      T(no_memory_at_each_buffer) T(streamed_without_memory)
      T(streamed_beside_another_without_memory) T(every_allocation) T(small_limits) T(limits_too_small) T(slow) T(broken)
      T(broken_with_a_cpu) T(real_loss) T(real_limits) T(real_limits_of_a_real_model))
