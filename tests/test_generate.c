/* Generation: the known text of a known model, stop strings against a plain search, and every way
 * an answer can end. */
#include "harness.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#include "file/gguf.h"
#include "support.h"
#include "tiny_model.h"

/* What stories260K says after its BOS, greedily: its trainer's example and every other engine's. */
#define STORY                                                                                      \
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the "      \
    "park."

enum { MAX_IDS = 256 };

typedef struct {
    char text[4096];
    size_t n_text, n_ids;
    int32_t ids[MAX_IDS];
    float logprobs[MAX_IDS];
    size_t ends[MAX_IDS]; // n_text after each token
    ingle_stop stop;
    size_t stop_after; // tokens, then cancel; 0 = never
} answer;

/* Runs an answer to its end, or fails the test. */
static bool run(ingle_session *s, const int32_t *prompt, size_t n,
                const ingle_generate_options *opt, answer *a)
{
    ingle_generation *g = NULL;
    ingle_error err;
    const size_t stop_after = a->stop_after;
    memset(a, 0, sizeof *a);
    ingle_status status = ingle_generation_open(&g, s, prompt, n, opt, &err);
    while (status == INGLE_OK && a->stop == INGLE_STOP_NONE) {
        ingle_part part;
        status = ingle_generation_next(g, &part, &err);
        if (status != INGLE_OK || a->n_text + part.n_text >= sizeof a->text)
            break;
        memcpy(a->text + a->n_text, part.text, part.n_text);
        a->n_text += part.n_text;
        if (part.id >= 0 && a->n_ids < MAX_IDS) {
            a->ids[a->n_ids] = part.id;
            a->logprobs[a->n_ids] = part.logprob;
            a->ends[a->n_ids++] = a->n_text;
        } else {
            CHECK(part.id == -1 && part.stop != INGLE_STOP_NONE && part.logprob == 0);
        }
        a->stop = part.stop;
        if (a->n_ids == stop_after)
            ingle_generation_cancel(g);
    }
    CHECK_MSG(status == INGLE_OK, "%s", err.text);
    if (status == INGLE_OK) { // the end is the end
        ingle_part part;
        CHECK(ingle_generation_next(g, &part, &err) == INGLE_ERR_USAGE);
        CHECK(part.n_text == 0 && part.id == -1 && part.stop == INGLE_STOP_NONE);
        CHECK(ingle_generation_next(g, &part, NULL) == INGLE_ERR_USAGE);
    }
    ingle_generation_close(g);
    return status == INGLE_OK;
}

/* ---- the known model -------------------------------------------------------------------------- */

static ingle_model *stories;
static const int32_t bos[] = {1};
static const ingle_generate_options greedy = {
    .has_sampling = true, .sampling = {.top_p = 1, .typical_p = 1, .repeat_penalty = 1}};

static ingle_session *stories_session(uint32_t n_ctx, const char *cpu)
{
    const char *path = test_find_model("stories260K.gguf");
    if (!path)
        return NULL;
    ingle_error err;
    ingle_session *s = NULL;
    if (!stories)
        CHECK_MSG(ingle_model_open(&stories, path, NULL, &err) == INGLE_OK, "%s", err.text);
    if (stories)
        CHECK_MSG(
            ingle_session_open(&s, stories,
                               &(ingle_session_options){.n_ctx = n_ctx, .n_threads = 1, .cpu = cpu},
                               &err) == INGLE_OK,
            "%s", err.text);
    return s;
}

#define NEED(s)                                                                                    \
    do {                                                                                           \
        if (!(s)) {                                                                                \
            SKIP("models/stories260K.gguf is not there");                                          \
            return;                                                                                \
        }                                                                                          \
    } while (0)

static void the_known_story(void)
{
    const char *const paths[] = {"ref", "portable", NULL};
    for (size_t i = 0; i < 3; i++) {
        answer a = {0};
        ingle_generate_options opt = greedy;
        opt.n_predict = 100;
        ingle_session *s = stories_session(0, paths[i]);
        NEED(s);
        CHECK(run(s, bos, 1, &opt, &a) && a.stop == INGLE_STOP_LENGTH && a.n_ids == 100);
        CHECK_MSG(strncmp(a.text, STORY, strlen(STORY)) == 0, "%s", a.text);
        // Text and tokens are two forms of the same.
        ingle_text text = {0};
        CHECK(ingle_detokenize(stories, a.ids, a.n_ids, 0, &text, NULL) == INGLE_OK);
        CHECK_TEXT(text.bytes, a.text);
        ingle_text_free(&text);
        // The session holds what was said but for the token that was never asked to go on.
        CHECK(ingle_session_length(s) == 1 + 99);
        CHECK(memcmp(ingle_session_ids(s) + 1, a.ids, 99 * sizeof *a.ids) == 0);
        ingle_session_close(s);
    }
}

/* Prompt and answer are one text: a word that follows words keeps the space before it. */
static void the_answer_continues_the_prompt(void)
{
    ingle_session *s = stories_session(0, NULL);
    NEED(s);
    answer whole = {0};
    ingle_generate_options opt = greedy;
    opt.n_predict = 40;
    CHECK(run(s, bos, 1, &opt, &whole));
    for (size_t n = 1; n < 30; n++) {
        int32_t prompt[MAX_IDS] = {1};
        memcpy(prompt + 1, whole.ids, n * sizeof *prompt);
        answer a = {0};
        opt.n_predict = (uint32_t)(40 - n);
        CHECK(run(s, prompt, n + 1, &opt, &a));
        CHECK_TEXT(a.text, whole.text + whole.ends[n - 1]);
    }
    ingle_session_close(s);
}

static void lengths_are_kept(void)
{
    ingle_session *s = stories_session(0, NULL);
    NEED(s);
    for (uint32_t n = 1; n < 30; n++) {
        answer a = {0};
        ingle_generate_options opt = greedy;
        opt.n_predict = n;
        CHECK(run(s, bos, 1, &opt, &a) && a.n_ids == n && a.stop == INGLE_STOP_LENGTH);
        CHECK(strncmp(a.text, STORY, a.n_text) == 0 && ingle_session_length(s) == n);
    }
    ingle_session_close(s);
}

static void a_full_context_ends_the_answer(void)
{
    enum { N_CTX = 12 };
    ingle_session *s = stories_session(N_CTX, NULL);
    NEED(s);
    answer a = {0};
    CHECK(run(s, bos, 1, &greedy, &a) && a.stop == INGLE_STOP_LENGTH);
    CHECK(a.n_ids == N_CTX && ingle_session_length(s) == N_CTX);
    CHECK(strncmp(a.text, STORY, a.n_text) == 0);
    // A prompt that fills it leaves room for one choice.
    int32_t full[N_CTX + 1];
    memcpy(full, ingle_session_ids(s), N_CTX * sizeof *full);
    full[N_CTX] = a.ids[N_CTX - 1];
    answer b = {0};
    CHECK(run(s, full, N_CTX, &greedy, &b) && b.n_ids == 1 && b.ids[0] == a.ids[N_CTX - 1]);
    // One that is longer leaves the session as it was.
    ingle_generation *g = (ingle_generation *)(void *)&b;
    ingle_error err;
    CHECK(ingle_generation_open(&g, s, full, N_CTX + 1, NULL, &err) == INGLE_ERR_CONTEXT_FULL &&
          !g);
    CHECK(ingle_generation_open(&g, s, full, 0, NULL, &err) == INGLE_ERR_USAGE && !g);
    CHECK(ingle_generation_open(&g, s, NULL, 1, NULL, &err) == INGLE_ERR_USAGE);
    CHECK(ingle_generation_open(&g, s, (const int32_t[]){512}, 1, NULL, &err) == INGLE_ERR_USAGE);
    CHECK(ingle_session_length(s) == N_CTX);
    ingle_session_close(s);
    ingle_generation_close(NULL);
}

/* ---- stop strings ----------------------------------------------------------------------------- */

/* What should come out, from the whole answer: tokens come one at a time, and as soon as a stop
 * string is complete the text ends where the first complete one begins. */
static bool cut(const answer *whole, const char *const *stops, size_t n_stops, char *want,
                size_t *n_ids)
{
    for (size_t i = 0; i < whole->n_ids; i++) {
        snprintf(want, sizeof whole->text, "%.*s", (int)whole->ends[i], whole->text);
        size_t best = SIZE_MAX;
        for (size_t j = 0; j < n_stops; j++) {
            const char *at = *stops[j] ? strstr(want, stops[j]) : NULL;
            if (at && (size_t)(at - want) < best)
                best = (size_t)(at - want);
        }
        *n_ids = i + 1;
        if (best != SIZE_MAX) {
            want[best] = 0;
            return true;
        }
    }
    return false;
}

static void check_stops(ingle_session *s, const answer *whole, const char *const *stops,
                        size_t n_stops)
{
    char want[sizeof whole->text];
    size_t n_ids = 0;
    const bool stopped = cut(whole, stops, n_stops, want, &n_ids);
    ingle_generate_options opt = greedy;
    opt.n_predict = (uint32_t)whole->n_ids;
    opt.stops = stops;
    opt.n_stops = n_stops;
    answer a = {0};
    if (!run(s, bos, 1, &opt, &a))
        return;
    CHECK_TEXT(a.text, want);
    CHECK(a.stop == (stopped ? INGLE_STOP_TEXT : INGLE_STOP_LENGTH));
    CHECK(a.n_ids == n_ids);
}

static void stop_strings_end_the_text_before_them(void)
{
    static const struct {
        const char *stops[4];
        size_t n;
    } cases[] = {
        {{" named"}, 1},
        {{"O"}, 1}, // at once: no text at all
        {{"Once upon a time, there"}, 1},
        {{"tle girl nam"}, 1},             // over several tokens
        {{"l"}, 1},                        // within one
        {{"park.", "girl"}, 2},            // the first to come
        {{"girl named Lily", "named"}, 2}, // one begins earlier, the other is complete earlier
        {{"Lily. She likes", "Lily. She loved"}, 2},
        {{"ee", "e"}, 2}, // one within the other
        {{"aaaaaaaaaaaaaaaab", "ther", "there was a litt"}, 3},
        {{"", "Lily"}, 2}, // an empty one stops nothing
        {{""}, 1},
        {{"She loved to play inside"}, 1}, // held back for long, and then given out
        {{"the park. And never again, whatever may come"}, 1},
        {{"Once upon a time, there was a little boy", "zzz", "park"}, 3},
        {{" ", "."}, 2},
    };
    ingle_session *s = stories_session(0, NULL);
    NEED(s);
    answer whole = {0};
    ingle_generate_options opt = greedy;
    opt.n_predict = 45;
    CHECK(run(s, bos, 1, &opt, &whole));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_stops(s, &whole, cases[i].stops, cases[i].n);
    ingle_session_close(s);
}

/* Pieces of the text, some with a changed end, three at a time. */
static void random_stop_strings(void)
{
    ingle_session *s = stories_session(0, NULL);
    NEED(s);
    answer whole = {0};
    ingle_generate_options opt = greedy;
    opt.n_predict = 40;
    CHECK(run(s, bos, 1, &opt, &whole) && whole.n_text > 40);
    uint64_t seed = 5;
    for (int round = 0; round < 60; round++) {
        char text[3][32];
        const char *stops[3];
        for (size_t i = 0; i < 3; i++) {
            const size_t at = test_random(&seed) % (whole.n_text - 25),
                         n = 1 + test_random(&seed) % 24;
            snprintf(text[i], sizeof text[i], "%.*s", (int)n, whole.text + at);
            if (test_random(&seed) % 2)
                text[i][n - 1] = '#';
            stops[i] = text[i];
        }
        check_stops(s, &whole, stops, 1 + (size_t)round % 3);
    }
    ingle_session_close(s);
}

/* ---- cancelling ------------------------------------------------------------------------------- */

static void cancelling_gives_out_what_was_held(void)
{
    ingle_session *s = stories_session(0, NULL);
    NEED(s);
    const char *const stops[] = {STORY " And so on"}; // holds everything back
    ingle_generate_options opt = greedy;
    opt.stops = stops;
    opt.n_stops = 1;
    answer a = {.stop_after = 6};
    CHECK(run(s, bos, 1, &opt, &a) && a.stop == INGLE_STOP_CANCEL && a.n_ids == 6);
    CHECK(a.ends[5] == 0 && a.n_text > 5 && strncmp(a.text, STORY, a.n_text) == 0);
    // And the session goes on.
    opt.n_predict = 20;
    answer b = {0};
    CHECK(run(s, bos, 1, &opt, &b) && b.stop == INGLE_STOP_LENGTH &&
          strncmp(b.text, a.text, a.n_text) == 0);
    ingle_session_close(s);
}

typedef struct {
    ingle_generation *g;
    atomic_size_t steps;
} watched;

static void *cancel_soon(void *arg)
{
    watched *w = arg;
    while (atomic_load(&w->steps) < 3)
        ;
    ingle_generation_cancel(w->g);
    return NULL;
}

static void cancelling_from_another_thread(void)
{
    ingle_session *s = stories_session(60000, NULL);
    NEED(s);
    watched w = {0};
    pthread_t thread;
    ingle_part part = {0};
    ingle_generate_options opt = greedy;
    opt.ignore_eos = true;
    CHECK(ingle_generation_open(&w.g, s, bos, 1, &opt, NULL) == INGLE_OK);
    CHECK(pthread_create(&thread, NULL, cancel_soon, &w) == 0);
    while (part.stop == INGLE_STOP_NONE && ingle_generation_next(w.g, &part, NULL) == INGLE_OK)
        atomic_fetch_add(&w.steps, 1);
    CHECK(part.stop == INGLE_STOP_CANCEL && part.id == -1);
    pthread_join(thread, NULL);
    ingle_generation_close(w.g);
    ingle_session_close(s);
}

static bool refuse(void *user, size_t done, size_t total)
{
    (void)user;
    return done >= total;
}

/* A long prompt can be given up between its passes; opening then fails, and can be tried again. */
static void a_prompt_can_be_given_up(void)
{
    ingle_session *first = stories_session(0, NULL), *s = NULL;
    NEED(first);
    ingle_session_close(first);
    ingle_generation *g = NULL;
    ingle_error err;
    const int32_t prompt[] = {1, 403, 407, 261, 378};
    CHECK(ingle_session_open(
              &s, stories,
              &(ingle_session_options){.n_batch = 2, .progress = refuse, .n_threads = 1},
              NULL) == INGLE_OK);
    CHECK(ingle_generation_open(&g, s, prompt, 5, NULL, &err) == INGLE_ERR_CANCELLED && !g);
    CHECK(ingle_session_length(s) == 2);
    CHECK(ingle_generation_open(&g, s, prompt, 5, NULL, &err) == INGLE_ERR_CANCELLED && !g);
    CHECK(ingle_generation_open(&g, s, prompt, 5, NULL, &err) == INGLE_OK && g);
    CHECK(ingle_session_length(s) == 5);
    ingle_generation_close(g);
    ingle_session_close(s);
}

/* ---- sampling --------------------------------------------------------------------------------- */

static void seeds_repeat(void)
{
    ingle_session *s = stories_session(0, NULL);
    NEED(s);
    ingle_generate_options opt = {.has_sampling = true, .n_predict = 40};
    ingle_sampling_init(&opt.sampling);
    opt.sampling.temperature = 1.5f;
    answer a[4] = {0};
    for (size_t i = 0; i < 4; i++) {
        opt.sampling.seed = i / 2 + 7;
        CHECK(run(s, bos, 1, &opt, &a[i]));
    }
    CHECK(a[0].n_ids == a[1].n_ids && memcmp(a[0].ids, a[1].ids, sizeof a[0].ids) == 0);
    CHECK(a[2].n_ids == a[3].n_ids && memcmp(a[2].ids, a[3].ids, sizeof a[2].ids) == 0);
    CHECK(memcmp(a[0].ids, a[2].ids, sizeof a[0].ids) != 0);
    // Without options: the default sampling, whose seed is a constant too.
    opt.has_sampling = false;
    CHECK(run(s, bos, 1, &opt, &a[0]) && run(s, bos, 1, &opt, &a[1]));
    CHECK(memcmp(a[0].ids, a[1].ids, sizeof a[0].ids) == 0);
    ingle_session_close(s);
}

/* Penalties see the prompt: a token of it that would be chosen is not, if repeating is forbidden. */
static void penalties_count_the_prompt(void)
{
    ingle_session *s = stories_session(0, NULL);
    NEED(s);
    answer a = {0}, b = {0};
    ingle_generate_options opt = greedy;
    opt.n_predict = 1;
    CHECK(run(s, bos, 1, &opt, &a));
    const int32_t prompt[] = {1, a.ids[0], 1};
    opt.sampling.repeat_last_n = -1;
    opt.sampling.presence_penalty = 1e6f;
    CHECK(run(s, prompt, 3, &opt, &b) && b.ids[0] != a.ids[0] && b.ids[0] != 1);
    ingle_session_close(s);
}

static void logprobs_are_of_the_models_logits(void)
{
    ingle_session *s = stories_session(0, NULL);
    NEED(s);
    answer a = {0}, b = {0};
    ingle_generate_options opt = {.n_predict = 25, .logprobs = true, .has_sampling = true};
    ingle_sampling_init(&opt.sampling);
    opt.sampling.seed = 3;
    CHECK(run(s, bos, 1, &opt, &a));
    for (size_t i = 0; i < a.n_ids; i++) {
        int32_t ids[MAX_IDS + 1] = {1};
        memcpy(ids + 1, a.ids, i * sizeof *ids);
        CHECK(ingle_session_sync(s, ids, 1 + i, NULL, NULL) == INGLE_OK);
        // Natural logarithm of the softmax, in doubles.
        const float *logits = ingle_session_logits(s);
        double total = 0, highest = -INFINITY;
        for (size_t j = 0; j < 512; j++)
            highest = fmax(highest, (double)logits[j]);
        for (size_t j = 0; j < 512; j++)
            total += exp((double)logits[j] - highest);
        const double want = (double)logits[a.ids[i]] - highest - log(total);
        CHECK_MSG(fabs((double)a.logprobs[i] - want) < 1e-5 * (1 + fabs(want)), "%g, %g",
                  (double)a.logprobs[i], want);
    }
    opt.logprobs = false;
    CHECK(run(s, bos, 1, &opt, &b) && memcmp(a.ids, b.ids, sizeof a.ids) == 0);
    for (size_t i = 0; i < b.n_ids; i++)
        CHECK(b.logprobs[i] == 0);
    ingle_session_close(s);
    ingle_model_close(stories);
    stories = NULL;
}

/* ---- tokens that mean something, forced by their bias ------------------------------------------ */

static const tiny_shape small = {"llama", 1, 2, 1, 32, 0, 32, TINY_VOCAB, 24, .seed = 41};

static bool run_forced(const tiny_shape *shape, int32_t id, ingle_generate_options opt, answer *a)
{
    char *file;
    ingle_model *m = tiny_model_open(shape, &file);
    ingle_session *s = NULL;
    const ingle_logit_bias bias = {id, 1000};
    opt.has_sampling = true;
    opt.sampling = greedy.sampling;
    opt.sampling.logit_bias = &bias;
    opt.sampling.n_logit_bias = 1;
    CHECK(ingle_session_open(&s, m, &(ingle_session_options){.n_threads = 1}, NULL) == INGLE_OK);
    const bool ok = run(s, bos, 1, &opt, a);
    ingle_session_close(s);
    ingle_model_close(m);
    free(file);
    return ok;
}

static void end_tokens_end_the_answer(void)
{
    for (int32_t id = TINY_EOS; id <= TINY_IM_END; id += TINY_IM_END - TINY_EOS) {
        answer a = {0};
        CHECK(run_forced(&small, id, (ingle_generate_options){0}, &a));
        CHECK_MSG(a.stop == INGLE_STOP_EOS && a.n_ids == 1 && a.ids[0] == id && a.n_text == 0,
                  "id %d", id);
        // Forbidden, whatever the bias.
        CHECK(run_forced(&small, id, (ingle_generate_options){.ignore_eos = true, .n_predict = 8},
                         &a));
        CHECK(a.stop == INGLE_STOP_LENGTH && a.n_ids == 8);
        for (size_t i = 0; i < a.n_ids; i++)
            CHECK(a.ids[i] != TINY_EOS && a.ids[i] != TINY_IM_END);
    }
}

static void control_tokens_show_on_request(void)
{
    answer a = {0};
    CHECK(run_forced(&small, TINY_IM_START, (ingle_generate_options){.n_predict = 3}, &a));
    CHECK(a.n_ids == 3 && a.n_text == 0);
    CHECK(run_forced(&small, TINY_IM_START,
                     (ingle_generate_options){.n_predict = 3, .special = true}, &a));
    CHECK_TEXT(a.text, "<|im_start|><|im_start|><|im_start|>");
    // Stop strings may be their text.
    const char *const stops[] = {"|><|im"};
    CHECK(run_forced(&small, TINY_IM_START,
                     (ingle_generate_options){.special = true, .stops = stops, .n_stops = 1}, &a));
    CHECK_TEXT(a.text, "<|im_start");
    CHECK(a.stop == INGLE_STOP_TEXT && a.n_ids == 2);
}

/* A byte that begins a character of three is held until it is clear that they do not come. */
static void half_characters_never_show(void)
{
    answer a = {0};
    CHECK(run_forced(&small, TINY_BYTE_0 + 0xE2, (ingle_generate_options){.n_predict = 3}, &a));
    CHECK_TEXT(a.text, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    CHECK(a.ends[0] == 0 && a.ends[1] == 3 && a.ends[2] == 9);
    CHECK(run_forced(&small, TINY_LETTER_A, (ingle_generate_options){.n_predict = 5}, &a));
    CHECK_TEXT(a.text, "aaaaa");
}

/* Rows of the head beyond the vocabulary are not words of the model. */
static void rows_beyond_the_vocabulary(void)
{
    tiny_shape shape = small;
    shape.n_tokens = TINY_VOCAB - 5;
    answer a = {0};
    CHECK(run_forced(&shape, TINY_LETTER_A,
                     (ingle_generate_options){.n_predict = 5, .ignore_eos = true}, &a));
    CHECK_TEXT(a.text, "aaaaa");
    CHECK(run_forced(&shape, TINY_VOCAB - 1, (ingle_generate_options){.n_predict = 5}, &a));
    for (size_t i = 0; i < a.n_ids; i++)
        CHECK(a.ids[i] < TINY_VOCAB - 5);
}

/* A damaged weight: the logits are no numbers, and nothing is chosen. */
static void broken_weights_are_an_error(void)
{
    size_t n;
    char *file = tiny_model_file(&small, &n);
    gguf g;
    uint64_t need;
    CHECK(gguf_parse(&g, file, n, n, &need, &(ingle_allocator){0}, NULL) == INGLE_OK);
    memcpy(file + gguf_find_tensor(&g, "output_norm.weight")->offset, &(uint32_t){0x7FC00000}, 4);
    gguf_free(&g);
    ingle_model *m;
    ingle_session *s;
    ingle_generation *answering = NULL;
    ingle_part part;
    ingle_error err;
    CHECK(ingle_model_open_bytes(&m, file, n, NULL, NULL) == INGLE_OK);
    CHECK(ingle_session_open(&s, m, &(ingle_session_options){.n_threads = 1}, NULL) == INGLE_OK);
    CHECK(ingle_generation_open(&answering, s, bos, 1, NULL, &err) == INGLE_OK);
    CHECK(ingle_generation_next(answering, &part, &err) == INGLE_ERR_FORMAT &&
          strstr(err.text, "NaN"));
    CHECK(part.id == -1 && part.n_text == 0);
    ingle_generation_close(answering);
    ingle_session_close(s);
    ingle_model_close(m);
    free(file);
}

/* Without a vocabulary there is no text, so no answer. */
static void no_vocabulary_no_answer(void)
{
    tiny_shape shape = small;
    shape.no_tokenizer = true;
    char *file;
    ingle_model *m = tiny_model_open(&shape, &file);
    ingle_session *s;
    ingle_generation *g = NULL;
    ingle_error err;
    CHECK(ingle_session_open(&s, m, NULL, NULL) == INGLE_OK);
    CHECK(ingle_generation_open(&g, s, bos, 1, NULL, &err) == INGLE_ERR_UNSUPPORTED && !g);
    CHECK(ingle_session_length(s) == 0);
    const ingle_generate_options bad = {.has_sampling = true, .sampling = {.temperature = -1}};
    CHECK(ingle_generation_open(&g, s, bos, 1, &bad, &err) == INGLE_ERR_USAGE && !g);
    ingle_session_close(s);
    ingle_model_close(m);
    free(file);
}

/* ---- memory runs out -------------------------------------------------------------------------- */

typedef struct {
    const char *file;
    size_t n;
    uint32_t n_threads;
} without_memory;

static ingle_status generate(void *user, const ingle_allocator *a)
{
    static const char *const stops[] = {"never this", "nor that"};
    static const ingle_logit_bias bias = {TINY_IM_START, 1000};
    const without_memory *w = user;
    ingle_model *m = NULL;
    ingle_session *s = NULL;
    ingle_generation *g = NULL;
    ingle_error err;
    ingle_part part = {0};
    ingle_generate_options opt = {.n_predict = 6,
                                  .stops = stops,
                                  .n_stops = 2,
                                  .ignore_eos = true,
                                  .special = true,
                                  .has_sampling = true,
                                  .sampling = greedy.sampling};
    opt.sampling.logit_bias = &bias;
    opt.sampling.n_logit_bias = 1;
    ingle_status status =
        ingle_model_open_bytes(&m, w->file, w->n, &(ingle_model_options){.allocator = *a}, &err);
    if (status == INGLE_OK)
        status =
            ingle_session_open(&s, m, &(ingle_session_options){.n_threads = w->n_threads}, &err);
    if (status == INGLE_OK)
        status = ingle_generation_open(&g, s, bos, 1, &opt, &err);
    while (status == INGLE_OK && part.stop == INGLE_STOP_NONE)
        status = ingle_generation_next(g, &part, &err);
    CHECK(err.status == status && (status == INGLE_OK || err.text[0]));
    ingle_generation_close(g);
    ingle_session_close(s);
    ingle_model_close(m);
    return status;
}

static void allocation_failures(void)
{
    without_memory w = {0};
    char *file = tiny_model_file(&small, &w.n);
    w.file = file;
    for (w.n_threads = 1; w.n_threads <= 2; w.n_threads++)
        CHECK(test_every_allocation(generate, &w) > 20);
    free(file);
}

TESTS(T(the_known_story) T(the_answer_continues_the_prompt) T(lengths_are_kept)
      T(a_full_context_ends_the_answer) T(stop_strings_end_the_text_before_them)
      T(random_stop_strings) T(cancelling_gives_out_what_was_held)
      T(cancelling_from_another_thread) T(a_prompt_can_be_given_up) T(seeds_repeat)
      T(penalties_count_the_prompt) T(logprobs_are_of_the_models_logits)
      T(end_tokens_end_the_answer) T(control_tokens_show_on_request) T(half_characters_never_show)
      T(rows_beyond_the_vocabulary) T(broken_weights_are_an_error) T(no_vocabulary_no_answer)
      T(allocation_failures))
