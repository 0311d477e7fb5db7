/* Answers do not depend on how many tokens are queued on a GPU at a time: for one seed, bursts of 1 to 16, and those
 * that a session chooses by itself, give the same tokens, text and end, with penalties, stop strings, an end
 * token or the context's end inside a burst; and so does the answer after it, which what was queued in vain must
 * not touch. On pretended tokens without a GPU, and on whole models with one. */
#include "faulty_player.h"
#include "gpu_support.h"
#include "harness.h"
#include "support.h"
#include "tiny_model.h"

enum { N_PROMPT = 20, N_CTX = 64, N_PREDICT = 27, MOST_TEXT = 2048 };

static const uint32_t lengths[] = {1, 2, 4, 8, 16, 0};

enum { N_LENGTHS = sizeof lengths / sizeof *lengths };

typedef struct {
    int32_t ids[N_CTX], timeline[N_CTX], after[8]; // chosen; left on the timeline; chosen by the answer after it
    size_t n, n_timeline, n_after, n_text;
    char text[MOST_TEXT];
    ingle_stop stop;
} answer;

static bool take(ingle_session *s, const int32_t *prompt, size_t n, const ingle_generate_options *how, answer *a)
{
    ingle_generation *g;
    ingle_part part = {0};
    ingle_error e = {0};
    *a = (answer){0};
    ingle_status status = ingle_generation_open(&g, s, prompt, n, how, &e);
    while (status == INGLE_OK && part.stop == INGLE_STOP_NONE) {
        status = ingle_generation_next(g, &part, &e);
        if (status == INGLE_OK && part.id >= 0 && a->n < N_CTX)
            a->ids[a->n++] = part.id;
        if (status == INGLE_OK && a->n_text + part.n_text < MOST_TEXT) {
            memcpy(a->text + a->n_text, part.text, part.n_text);
            a->n_text += part.n_text;
        }
    }
    CHECK_MSG(status == INGLE_OK, "%s", e.text);
    a->stop = part.stop;
    ingle_generation_close(status == INGLE_OK ? g : NULL);
    a->n_timeline = ingle_session_length(s);
    memcpy(a->timeline, ingle_session_ids(s), a->n_timeline * sizeof *a->timeline);
    return status == INGLE_OK;
}

/* An answer to the prompt in bursts of so many, and what the session says to that and half the prompt. */
static void ask(ingle_session *s, const int32_t *prompt, const ingle_generate_options *like, uint32_t burst, answer *a)
{
    ingle_generate_options how = *like;
    answer after;
    int32_t more[N_CTX];
    how.burst = burst;
    ingle_session_truncate(s, 0);
    if (!take(s, prompt, N_PROMPT, &how, a) || a->n_timeline + N_PROMPT / 2 + 8 > N_CTX)
        return;
    memcpy(more, a->timeline, a->n_timeline * sizeof *more);
    memcpy(more + a->n_timeline, prompt, N_PROMPT / 2 * sizeof *more);
    how.n_predict = 8;
    take(s, more, a->n_timeline + N_PROMPT / 2, &how, &after);
    a->n_after = after.n;
    memcpy(a->after, after.ids, after.n * sizeof *after.ids);
}

static bool same_ids(const int32_t *a, size_t n, const int32_t *b, size_t m)
{
    return n == m && memcmp(a, b, n * sizeof *a) == 0;
}

/* All lengths; *want is the answer of bursts of one. */
static void compare(ingle_session *s, const int32_t *prompt, const ingle_generate_options *how, const char *what, answer *want)
{
    static answer a;
    for (int i = 0; i < N_LENGTHS; i++) {
        ask(s, prompt, how, lengths[i], i ? &a : want);
        if (i == 0)
            continue;
        CHECK_MSG(same_ids(a.ids, a.n, want->ids, want->n), "%s, bursts of %u: %zu tokens, %zu", what, lengths[i], a.n, want->n);
        CHECK_MSG(a.n_text == want->n_text && memcmp(a.text, want->text, a.n_text) == 0, "%s, bursts of %u: \"%s\", \"%s\"", what,
                  lengths[i], a.text, want->text);
        CHECK_MSG(a.stop == want->stop, "%s, bursts of %u: %d, %d", what, lengths[i], (int)a.stop, (int)want->stop);
        CHECK_MSG(same_ids(a.timeline, a.n_timeline, want->timeline, want->n_timeline), "%s, bursts of %u", what, lengths[i]);
        CHECK_MSG(same_ids(a.after, a.n_after, want->after, want->n_after), "%s, bursts of %u: the answer after it", what, lengths[i]);
    }
}

/* ---- what is asked ------------------------------------------------------------------------------ */

static ingle_sampling warm(void)
{
    ingle_sampling s;
    ingle_sampling_init(&s);
    s.temperature = 0.9f;
    s.seed = 11;
    return s;
}

static ingle_sampling penalised(void)
{
    ingle_sampling s = warm();
    s.repeat_penalty = 1.3f;
    s.repeat_last_n = 12; // tokens leave the window within an answer
    s.presence_penalty = 0.2f;
    s.frequency_penalty = 0.3f;
    return s;
}

/* Two characters from the middle of a text, as a stop string. */
static void stop_from(const answer *a, char stop[16])
{
    size_t n = 0, at = a->n_text / 2;
    while (at < a->n_text && ((unsigned char)a->text[at] & 0xC0) == 0x80)
        at++;
    for (int starts = 0; at < a->n_text && n < 15; at++) {
        starts += ((unsigned char)a->text[at] & 0xC0) != 0x80;
        if (starts == 3)
            break;
        stop[n++] = a->text[at];
    }
    stop[n] = 0;
}

static void compare_usual(ingle_session *s, const int32_t *prompt)
{
    static answer free_text, a, plain;
    ingle_generate_options how = {.n_predict = N_PREDICT, .ignore_eos = true, .has_sampling = true, .sampling = warm()};
    compare(s, prompt, &how, "sampled", &plain);
    how.sampling = penalised();
    compare(s, prompt, &how, "penalties", &free_text);
    CHECK(free_text.n == N_PREDICT && free_text.stop == INGLE_STOP_LENGTH);

    char stop[16];
    const char *const stops[] = {"never said", stop};
    stop_from(&free_text, stop);
    how.stops = stops;
    how.n_stops = 2;
    compare(s, prompt, &how, "a stop string", &a);
    const char *const cut = strstr(free_text.text, stop);
    CHECK_MSG(stop[0] && a.stop == INGLE_STOP_TEXT && cut && a.n_text == (size_t)(cut - free_text.text) && a.n < free_text.n &&
                  memcmp(a.text, free_text.text, a.n_text) == 0,
              "\"%s\" in \"%s\": \"%s\"", stop, free_text.text, a.text);

    how.n_stops = 0;
    how.n_predict = 0;
    compare(s, prompt, &how, "until the context is full", &a);
    CHECK_MSG(a.stop == INGLE_STOP_LENGTH && a.n == N_CTX - N_PROMPT + 1, "%zu tokens", a.n);
    how.n_predict = N_PREDICT;
    how.sampling.temperature = 0;
    compare(s, prompt, &how, "greedy, penalties", &a);
}

/* An end token that is made likely enough to come inside the first bursts of 8 and of 16. */
static void compare_end(ingle_session *s, const int32_t *prompt, int32_t eos)
{
    static answer a;
    ingle_generate_options how = {.n_predict = 8, .has_sampling = true, .sampling = penalised(), .burst = 1};
    ingle_logit_bias bias = {eos, 0};
    bool found = false;
    how.sampling.logit_bias = &bias;
    how.sampling.n_logit_bias = 1;
    for (int i = 0; i < 150 && !found; i++) {
        bias.bias = 3 + 2 * (float)(i % 15);
        how.sampling.seed = (uint64_t)i;
        ingle_session_truncate(s, 0);
        found = take(s, prompt, N_PROMPT, &how, &a) && a.stop == INGLE_STOP_EOS && a.n >= 3 && a.n <= 7;
    }
    CHECK(found);
    how.n_predict = N_PREDICT;
    compare(s, prompt, &how, "an end token", &a);
    CHECK(a.stop == INGLE_STOP_EOS && a.ids[a.n - 1] == eos);
}

/* ---- models and players ------------------------------------------------------------------------- */

static const tiny_shape shape = {"llama", 2, 4, 2, 64, 0, 96, TINY_VOCAB, 128, .format = QUANT_Q4_0, .seed = 5};

static ingle_status open_null(gpu_player *out, const ingle_allocator *a, ingle_error *err)
{
    return gpu_null_open(out, NULL, a, err);
}

static ingle_status open_device(void *user, gpu_player *out, const ingle_allocator *a, ingle_error *err)
{
    (void)user;
    return gpu_native_open(out, &(gpu_native_options){.library = test_find_dawn()}, a, err);
}

/* Short passes of the prompt need few kernels, and software compiles them slowly. */
static ingle_session *open_session(const ingle_model *m, const session_players *players)
{
    const ingle_session_options opt = {.n_ctx = N_CTX, .n_batch = 2, .backend = INGLE_BACKEND_GPU};
    ingle_session *s;
    ingle_error e = {0};
    CHECK_MSG(session_open(&s, m, &opt, players, &e) == INGLE_OK, "%s", e.text);
    return s;
}

static void fill_prompt(int32_t prompt[N_PROMPT], int32_t first)
{
    for (int32_t i = 0; i < N_PROMPT; i++)
        prompt[i] = first + i * 5 % 26;
}

static void pretended_tokens(void)
{
    char *bytes;
    int32_t prompt[N_PROMPT];
    ingle_model *m = tiny_model_open(&shape, &bytes);
    faulty f = {.open = open_null, .pretend = true};
    const session_players players = faulty_players(&f, true);
    ingle_session *s = open_session(m, &players);
    fill_prompt(prompt, TINY_LETTER_A);
    compare_usual(s, prompt);
    CHECK_TEXT(ingle_session_notes(s), "");
    ingle_session_close(s);
    ingle_model_close(m);
    free(bytes);
}

static bool has_device(const char *test)
{
    gpu_player p;
    const bool has = test_gpu_open(&p, NULL, test);
    if (has)
        p.close(p.user);
    return has;
}

static void compare_on_device(const ingle_model *m, int32_t first, int32_t eos)
{
    int32_t prompt[N_PROMPT];
    const session_players players = {.open = open_device};
    ingle_session *s = open_session(m, &players);
    fill_prompt(prompt, first);
    if (s) {
        compare_usual(s, prompt);
        compare_end(s, prompt, eos);
        CHECK_TEXT(ingle_session_notes(s), ""); // all of it in the modes that the device has
    }
    ingle_session_close(s);
}

static void tiny_model(void)
{
    if (!has_device("tiny_model")) {
        test_skip = 1;
        return;
    }
    char *bytes;
    ingle_model *m = tiny_model_open(&shape, &bytes);
    compare_on_device(m, TINY_LETTER_A, TINY_EOS);
    ingle_model_close(m);
    free(bytes);
}

/* Needs a file: WebAssembly has none, and has the tiny model. */
#ifndef __wasm__
static void stories260K(void)
{
    enum { WORDS = 300, EOS = 2 };
    ingle_model *m;
    ingle_error e = {0};
    const char *path = test_find_model("stories260K.gguf");
    if (!path) {
        SKIP("no models/stories260K.gguf");
        return;
    }
    if (!has_device("stories260K")) {
        test_skip = 1;
        return;
    }
    CHECK_MSG(ingle_model_open(&m, path, NULL, &e) == INGLE_OK, "%s", e.text);
    compare_on_device(m, WORDS, EOS);
    ingle_model_close(m);
}

TESTS(T(pretended_tokens) T(tiny_model) T(stories260K))
#else
TESTS(T(pretended_tokens) T(tiny_model))
#endif
