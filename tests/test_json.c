/* JSON: the reader against JSONTestSuite and cases of our own, numbers both ways, escaping. */
#include <float.h>
#include <locale.h>
#include <math.h>

#include <dirent.h>

#include "base/json.h"
#include "harness.h"
#include "support.h"

static ingle_status parse(const char *text, size_t n, arena *memory, const json **out, ingle_error *err)
{
    return json_parse(out, text, n, memory, err);
}

/* Prints a tree in a fixed form, so that a case is one line. */
static void show(ingle_text *out, const json *v)
{
    static const char *const words[] = {"null", "false", "true"};
    char number[64];
    if (v->type <= JSON_TRUE) {
        text_add_str(out, str_of(words[v->type]));
    } else if (v->type == JSON_INTEGER) {
        snprintf(number, sizeof number, "%lldi", (long long)v->integer);
        text_add_str(out, str_of(number));
    } else if (v->type == JSON_FLOAT) {
        json_write_double(out, v->number);
    } else if (v->type == JSON_STRING) {
        json_write_str(out, v->text, true);
    } else {
        size_t n = 0;
        text_add_byte(out, v->type == JSON_ARRAY ? '[' : '{');
        for (const json *c = v->first; c; c = c->next, n++) {
            if (n)
                text_add_byte(out, ',');
            if (v->type == JSON_OBJECT) {
                json_write_str(out, c->key, true);
                text_add_byte(out, ':');
            }
            show(out, c);
        }
        CHECK(n == v->n);
        text_add_byte(out, v->type == JSON_ARRAY ? ']' : '}');
    }
}

static void reads(void)
{
    static const char *const cases[][2] = {
        {"null", "null"},
        {" [1, 2.5 ,-0,\t1e2 ] ", "[1i,2.5,0i,100.0]"},
        {"{\"a\":{\"b\":[]},\"c\":\"\\u00e9\\n\\/\"}", "{\"a\":{\"b\":[]},\"c\":\"\\u00e9\\n/\"}"},
        {"\"\\ud83d\\ude00\"", "\"\\ud83d\\ude00\""},
        {"\"\\ud83d x\\ude00\"", "\"\\ufffd x\\ufffd\""},
        {"\"\\ud83d\\u0041\"", "\"\\ufffdA\""},
        {"\"\\u0000\"", "\"\\u0000\""},
        {"9223372036854775807", "9223372036854775807i"},
        {"-9223372036854775808", "-9223372036854775808i"},
        {"9223372036854775808", "9.223372036854776e+18"},
        {"1e400", "inf"},
        {"-1e-400", "-0.0"},
        {"{\"a\":1,\"b\":2,\"a\":[3,4]}", "{\"a\":[3i,4i],\"b\":2i}"},
        {"{\"a\":1,\"a\":2,\"a\":3}", "{\"a\":3i}"},
        {"{\"x\":{\"k\":[1],\"k\":{}},\"y\":1,\"x\":{\"q\":1,\"r\":2}}", "{\"x\":{\"q\":1i,\"r\":2i},\"y\":1i}"},
        {"{\"b\":1,\"a\":2}", "{\"b\":1i,\"a\":2i}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        arena memory = {0};
        ingle_text out = {0};
        ingle_error err;
        const json *v;
        const ingle_status status = parse(cases[i][0], strlen(cases[i][0]), &memory, &v, &err);
        CHECK_MSG(status == INGLE_OK, "%s: %s", cases[i][0], err.text);
        if (status == INGLE_OK) {
            show(&out, v);
            CHECK_TEXT(out.bytes, cases[i][1]);
        }
        ingle_text_free(&out);
        arena_free(&memory);
    }
}

static void refuses(void)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "line 1 column 1"},         {"[1,]", "line 1 column 4"},     {"[1\n 2]", "line 2 column 2"},
        {"{\"a\" 1}", "line 1 column 6"}, {"{a:1}", "key was expected"},   {"01", "not a number"},
        {"1.", "not a number"},          {"-", "not a number"},           {"1e+", "not a number"},
        {"\"a", "no end"},               {"\"\\", "no end"},              {"\"\\x\"", "escape"},
        {"\"\\u12\"", "escape"},         {"\"\n\"", "control character"}, {"\"\xff\"", "UTF-8"},
        {"nul", "expected"},             {"[1] 2", "follows"},            {"\xEF\xBB\xBF" "1", "expected"},
        {"[", "too early"},              {"{\"a\":", "too early"},        {"NaN", "expected"},
        {"\"\xed\xa0\x80\"", "UTF-8"},   {"{\"a\":1,}", "key was expected"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        arena memory = {0};
        ingle_error err;
        const json *v = &(const json){0};
        const ingle_status status = parse(cases[i].text, strlen(cases[i].text), &memory, &v, &err);
        CHECK_MSG(status == INGLE_ERR_FORMAT && !v, "%s", cases[i].text);
        CHECK_MSG(strstr(err.text, cases[i].says), "%s: %s", cases[i].text, err.text);
        arena_free(&memory);
    }
}

static void depth_is_capped(void)
{
    for (int depth = JSON_MAX_DEPTH - 1; depth <= JSON_MAX_DEPTH + 1; depth++) {
        char text[2 * JSON_MAX_DEPTH + 8];
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        arena memory = {0};
        ingle_error err;
        const json *v;
        const ingle_status status = parse(text, 2 * (size_t)depth, &memory, &v, &err);
        CHECK_MSG((status == INGLE_OK) == (depth <= JSON_MAX_DEPTH), "%d", depth);
        arena_free(&memory);
    }
    char *deep = malloc(1000000);
    CHECK(deep != NULL);
    memset(deep, '[', 1000000);
    arena memory = {0};
    const json *v;
    CHECK(parse(deep, 1000000, &memory, &v, NULL) == INGLE_ERR_FORMAT);
    arena_free(&memory);
    free(deep);
}

static void gets(void)
{
    arena memory = {0};
    const json *v;
    const char *text = "{\"a\":1,\"b\":[2]}";
    CHECK(parse(text, strlen(text), &memory, &v, NULL) == INGLE_OK);
    CHECK(json_get(v, "a") && json_get(v, "a")->integer == 1);
    CHECK(!json_get(v, "c") && !json_get(json_get(v, "b"), "a") && !json_get(NULL, "a"));
    arena_free(&memory);
}

/* Many keys, all different or all the same, in a time that a square of them would miss. */
static void many_keys(void)
{
    enum { N = 100000 };
    for (int same = 0; same < 2; same++) {
        ingle_text text = {0};
        text_add_byte(&text, '{');
        for (int i = 0; i < N; i++) {
            char pair[40];
            snprintf(pair, sizeof pair, "%s\"k%d\":%d", i ? "," : "", same ? 7 : i, i);
            text_add_str(&text, str_of(pair));
        }
        text_add_byte(&text, '}');
        arena memory = {0};
        const json *v;
        CHECK(parse(text.bytes, text.n, &memory, &v, NULL) == INGLE_OK);
        CHECK(v && v->n == (same ? 1 : N) && v->first->integer == (same ? N - 1 : 0));
        arena_free(&memory);
        ingle_text_free(&text);
    }
}

static void conformance(void)
{
    const char *folder = "../shared/conformance/json-parsing/test_parsing";
    DIR *d = opendir(folder);
    if (!d) {
        SKIP("JSONTestSuite is not there");
        return;
    }
    int n = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[512];
        size_t size;
        if (strlen(e->d_name) < 3 || e->d_name[1] != '_')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        char *bytes = test_read_file(path, &size);
        CHECK_MSG(bytes, "%s", path);
        arena memory = {0};
        ingle_error err;
        const json *v;
        const ingle_status status = parse(bytes, size, &memory, &v, &err);
        CHECK_MSG(status == INGLE_OK || status == INGLE_ERR_FORMAT, "%s", e->d_name);
        CHECK_MSG(e->d_name[0] == 'i' || (status == INGLE_OK) == (e->d_name[0] == 'y'), "%s: %s", e->d_name,
                  err.text);
        arena_free(&memory);
        free(bytes);
        n++;
    }
    closedir(d);
    CHECK_MSG(n > 300, "%d files", n);
}

static void writes_doubles(void)
{
    static const struct {
        double x;
        const char *text;
    } cases[] = {
        {0, "0.0"},          {-0.0, "-0.0"},         {1, "1.0"},           {0.1, "0.1"},
        {1e16, "1e+16"},     {1e15, "1000000000000000.0"}, {123456789012345680.0, "1.2345678901234568e+17"},
        {1e-4, "0.0001"},    {1e-5, "1e-05"},        {5e-324, "5e-324"},   {DBL_MAX, "1.7976931348623157e+308"},
        {DBL_MIN, "2.2250738585072014e-308"},        {0.1 + 0.2, "0.30000000000000004"},
        {1.0 / 3, "0.3333333333333333"},             {9007199254740992.0, "9007199254740992.0"},
        {1e22, "1e+22"},     {1e23, "1e+23"},        {-2.5, "-2.5"},       {100.0, "100.0"},
        {9.5367431640625e-07, "9.5367431640625e-07"}, {2e-44, "2e-44"},    {4.35, "4.35"},
        {INFINITY, "inf"},   {-INFINITY, "-inf"},    {(double)NAN, "nan"}, {123.456, "123.456"},
        {9.007199254740993e15, "9007199254740992.0"}, {0x1p-44, "5.684341886080802e-14"},
        {0x1p-1074, "5e-324"}, {0x1p+100, "1.2676506002282294e+30"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ingle_text out = {0};
        CHECK(json_write_double(&out, cases[i].x));
        CHECK_TEXT(out.bytes, cases[i].text);
        ingle_text_free(&out);
    }
}

/* Every double comes back, and no text of fewer digits would. */
static void doubles_come_back(void)
{
    uint64_t seed = 1;
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = test_random(&seed);
        if (i < 2046)
            bits = (uint64_t)(i + 1) << 52; // each power of two
        double x, back = 0;
        memcpy(&x, &bits, sizeof x);
        if (isnan(x) || isinf(x))
            continue;
        char text[JSON_DOUBLE_TEXT], digits[18], fewer[48];
        const size_t n = json_print_double(text, x);
        CHECK(n < sizeof text && strlen(text) == n);
        CHECK_MSG(json_read_double((str){text, n}, &back) && memcmp(&x, &back, sizeof x) == 0, "%s", text);
        int exponent;
        const int n_digits = json_shortest_digits(x, digits, &exponent);
        if (n_digits > 1) {
            snprintf(fewer, sizeof fewer, "%.*e", n_digits - 2, x);
            CHECK_MSG(strtod(fewer, NULL) < x || strtod(fewer, NULL) > x, "%s is longer than %s", text, fewer);
        }
    }
}

static void reads_doubles(void)
{
    static const char *const good[] = {"1",    "-1.5",  "+2",    ".5", "5.", "1e3", "1E-3", "0e0",
                                       "000.1", "1e400", "-1e-400", "123456789012345678901234567890",
                                       "2.2250738585072011e-308", "9007199254740993"};
    static const char *const bad[] = {"", "-", ".", "1e", "1e+", "e1", "1 ", " 1", "0x1", "inf", "1.2.3", "1_0"};
    double x = 0;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const double want = strtod(good[i], NULL);
        CHECK_MSG(json_read_double(str_of(good[i]), &x) && memcmp(&x, &want, sizeof x) == 0, "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_MSG(!json_read_double(str_of(bad[i]), &x), "%s", bad[i]);
    // Half-way between 1 and the next double; the last digit, 1,000 places on, decides.
    char text[1100] = "1.00000000000000011102230246251565404236316680908203125";
    const size_t n = strlen(text);
    memset(text + n, '0', 1000);
    CHECK(json_read_double((str){text, n + 1000}, &x) && x <= 1);
    text[n + 999] = '1';
    CHECK(json_read_double((str){text, n + 1000}, &x) && x > 1);
    CHECK(json_read_double(STR("1e999999999999999999999"), &x) && isinf(x));
    CHECK(json_read_double(STR("0e999999999999999999999"), &x) && x <= 0);
}

static void other_locale(void)
{
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8") && !setlocale(LC_NUMERIC, "fr_FR.UTF-8")) {
        SKIP("no locale with a decimal comma");
        return;
    }
    char text[JSON_DOUBLE_TEXT];
    double x = 0;
    json_print_double(text, 1234.5);
    CHECK_TEXT(text, "1234.5");
    CHECK(json_read_double(STR("1234.5"), &x) && x > 1234.4 && x < 1234.6);
    setlocale(LC_NUMERIC, "C");
}

static void escapes(void)
{
    static const struct {
        const char *text;
        bool ascii;
        const char *want;
    } cases[] = {
        {"a\"b\\c\n\r\t\f\b\x01/", false, "\"a\\\"b\\\\c\\n\\r\\t\\f\\b\\u0001/\""},
        {"\xC3\xA9\xF0\x9F\x98\x80", false, "\"\xC3\xA9\xF0\x9F\x98\x80\""},
        {"\xC3\xA9\xF0\x9F\x98\x80", true, "\"\\u00e9\\ud83d\\ude00\""},
        {"\xFFx", false, "\"\xEF\xBF\xBDx\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ingle_text out = {0};
        CHECK(json_write_str(&out, str_of(cases[i].text), cases[i].ascii));
        CHECK_TEXT(out.bytes, cases[i].want);
        ingle_text_free(&out);
    }
}

static ingle_status parse_with(void *user, const ingle_allocator *a)
{
    arena memory = {.allocator = *a};
    const json *v;
    ingle_text text = {.allocator = *a};
    (void)user;
    static char many[8192];
    size_t n = 0;
    many[n++] = '{';
    for (int i = 0; i < 200; i++)
        n += (size_t)snprintf(many + n, sizeof many - n, "%s\"key%d\": [\"v\\n\", 1.5]", i ? "," : "", i % 90);
    many[n++] = '}';
    ingle_status status = json_parse(&v, many, n, &memory, NULL);
    if (status == INGLE_OK && (!json_write_double(&text, 1.5) || !json_write_str(&text, STR("a\nb\x01\xC3\xA9"), true)))
        status = INGLE_ERR_MEMORY;
    ingle_text_free(&text);
    arena_free(&memory);
    return status;
}

static void every_allocation(void)
{
    CHECK(test_every_allocation(parse_with, NULL) > 2);
}

TESTS(T(reads) T(refuses) T(depth_is_capped) T(gets) T(many_keys) T(conformance) T(writes_doubles)
      T(doubles_come_back) T(reads_doubles) T(other_locale) T(escapes) T(every_allocation))
