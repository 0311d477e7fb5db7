/* The public header, included first and alone: what its types promise to callers in C. */
#include "ingle.h"

#include "harness.h"

#define IS(expression, type) _Generic((expression), type: 1, default: 0)

static void types_are_as_documented(void)
{
    _Static_assert(INGLE_OK == 0, "success is 0");
    _Static_assert(sizeof(((ingle_error *)0)->text) == 240, "room for one line");
    _Static_assert(INGLE_BACKEND_AUTO == 0 && INGLE_KV_F16 == 0 && INGLE_STOP_NONE == 0,
                   "zeroed options ask for the defaults");
    _Static_assert((INGLE_ADD_SPECIAL & INGLE_PARSE_SPECIAL) == 0, "flags can be combined");
    const ingle_choice choice = {0};
    const ingle_part part = {0};
    const ingle_model_info info = {0};
    CHECK(IS(choice.id, int32_t) && IS(part.id, int32_t) && IS(info.bos, int32_t));
    CHECK(IS(choice.logprob, float) && IS(info.n_vocab, uint32_t) && IS(info.n_params, uint64_t));
}

static void statuses_are_distinct_and_negative(void)
{
    static const int values[] = {
#define VALUE(name, value, text) value,
        INGLE_STATUSES(VALUE)
#undef VALUE
    };
    const size_t n = sizeof values / sizeof *values;
    for (size_t i = 0; i < n; i++) {
        CHECK(i == 0 ? values[i] == 0 : values[i] < 0);
        for (size_t j = 0; j < i; j++)
            CHECK(values[i] != values[j]);
    }
}

static void version_reads_as_one(void)
{
    int major, minor, patch, used = 0;
    CHECK(sscanf(ingle_version(), "%d.%d.%d%n", &major, &minor, &patch, &used) == 3);
    CHECK(ingle_version()[used] == 0);
    CHECK_TEXT(ingle_version(), INGLE_VERSION);
}

/* close and free take NULL, as the header promises for all of them. */
static void closing_nothing_is_allowed(void)
{
    ingle_model_close(NULL);
    ingle_loader_close(NULL);
    ingle_detokenizer_close(NULL);
    ingle_session_close(NULL);
    ingle_sampler_close(NULL);
    ingle_generation_close(NULL);
    ingle_tokens_free(NULL);
    ingle_text_free(NULL);
    ingle_tokens tokens = {0};
    ingle_text text = {0};
    ingle_tokens_free(&tokens);
    ingle_text_free(&text);
    CHECK(tokens.n == 0 && text.n == 0);
}

TESTS(T(types_are_as_documented) T(statuses_are_distinct_and_negative) T(version_reads_as_one)
      T(closing_nothing_is_allowed))
