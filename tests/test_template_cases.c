/* Every construct of the template language against what Python jinja2 renders (template_cases.h),
 * and the text functions that it rests on. */
#include "chat/jinja.h"
#include "harness.h"
#include "support.h"
#include "template_cases.h"

static void same_as_python(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        arena memory = {0};
        ingle_text text = {0};
        ingle_error err;
        const json *context = NULL;
        chat_template *t = NULL;
        chat_time now;
        CHECK(chat_time_parse("2024-07-26T09:05:03", &now));
        CHECK(json_parse(&context, context_text, strlen(context_text), &memory, NULL) == INGLE_OK);
        ingle_status status = chat_template_open(&t, str_of(rows[i].source), NULL, &err);
        if (status == INGLE_OK)
            status = chat_template_render(t, context, NULL, &now, &text, NULL, &err);
        if (rows[i].want) {
            CHECK_MSG(status == INGLE_OK, "%s: %s", rows[i].source, err.text);
            if (status == INGLE_OK)
                CHECK_TEXT(text.bytes ? text.bytes : "", rows[i].want);
        } else {
            CHECK_MSG(status == INGLE_ERR_TEMPLATE, "%s: %s", rows[i].source, text.bytes ? text.bytes : "");
        }
        chat_template_close(t);
        ingle_text_free(&text);
        arena_free(&memory);
    }
}

static size_t slow_find(str s, str what, bool last)
{
    size_t found = SIZE_MAX;
    for (size_t i = 0; i + what.n <= s.n && (last || found == SIZE_MAX); i++)
        if (memcmp(s.p + i, what.p, what.n) == 0)
            found = i;
    return found;
}

/* Needles of few letters, so that they repeat themselves and nearly match everywhere. */
static void searches(void)
{
    uint64_t seed = 3;
    char text[400], needle[80];
    int hits = 0;
    for (int i = 0; i < 60000; i++) {
        const size_t n = test_random(&seed) % sizeof text;
        const size_t m = 1 + test_random(&seed) % (i % 2 ? 70 : 36), letters = 1 + test_random(&seed) % 3;
        const size_t period = 1 + test_random(&seed) % 9;
        for (size_t k = 0; k < n; k++)
            text[k] = (char)(k >= period && test_random(&seed) % 16 ? text[k - period] : 'a' + (int)(test_random(&seed) % letters));
        if (n > m && test_random(&seed) % 4) {
            memcpy(needle, text + test_random(&seed) % (n - m), m);
        } else {
            for (size_t k = 0; k < m; k++)
                needle[k] = (char)(k >= period ? needle[k - period] : 'a' + (int)(test_random(&seed) % letters));
        }
        if (test_random(&seed) % 8 == 0)
            needle[test_random(&seed) % m] = (char)('a' + test_random(&seed) % 3);
        const str s = {text, n}, w = {needle, m};
        const size_t first = slow_find(s, w, false), last = slow_find(s, w, true);
        hits += first != SIZE_MAX;
        CHECK_MSG(jinja_find(s, w, 0) == first, "%.*s in %.*s", (int)m, needle, (int)n, text);
        CHECK_MSG(jinja_find_last(s, w) == last, "%.*s in %.*s from the end", (int)m, needle, (int)n, text);
    }
    CHECK(hits > 10000 && hits < 59000);
    CHECK(jinja_find(STR("abc"), STR(""), 3) == 3 && jinja_find(STR("abc"), STR(""), 4) == SIZE_MAX);
    CHECK(jinja_find(STR("abcabc"), STR("c"), 3) == 5 && jinja_find_last(STR("a"), STR("ab")) == SIZE_MAX);
}

/* Upper and lower case undo each other where both exist. */
static void cases_pair(void)
{
    int pairs = 0;
    for (uint32_t c = 0; c < 0x10000; c++) {
        const uint32_t lower = jinja_lower(c), upper = jinja_upper(c);
        CHECK_MSG(lower == c || upper == c, "U+%04X is both", (unsigned)c);
        CHECK_MSG(jinja_lower(lower) == lower && jinja_upper(upper) == upper, "U+%04X", (unsigned)c);
        if (lower != c && c != 0x1E9E) {
            CHECK_MSG(jinja_upper(lower) == c, "U+%04X", (unsigned)c);
            pairs++;
        }
    }
    CHECK_MSG(pairs > 500, "%d", pairs);
}

TESTS(T(same_as_python) T(searches) T(cases_pair))
