/* Character properties and normalisation, against hand-picked facts and Unicode's own test file. */
#include "harness.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "support.h"
#include "token/unicode.h"

static void properties(void)
{
    CHECK(unicode_category('A') == CAT_LU && unicode_category('z') == CAT_LL);
    CHECK(unicode_category(0x1C5) == CAT_LT && unicode_category(0x2B0) == CAT_LM);
    CHECK(unicode_category(0x4E2D) == CAT_LO && unicode_category(0xAC00) == CAT_LO);
    CHECK(unicode_category(0x301) == CAT_MN && unicode_category(0x903) == CAT_MC);
    CHECK(unicode_category(0x20DD) == CAT_ME && unicode_category('7') == CAT_ND);
    CHECK(unicode_category(0x2167) == CAT_NL && unicode_category(0xBD) == CAT_NO);
    CHECK(unicode_category('_') == CAT_PC && unicode_category('-') == CAT_PD);
    CHECK(unicode_category('$') == CAT_SC && unicode_category(0x1F680) == CAT_SO);
    CHECK(unicode_category(0x378) == CAT_CN && unicode_category(0x10FFFF) == CAT_CN);
    CHECK(unicode_category(0xD800) == CAT_CS && unicode_category(0xE000) == CAT_CO);
    CHECK(unicode_category(0xE0001) == CAT_CF && unicode_category(0xE0041) == CAT_CF);
    CHECK(unicode_category(0xE0100) == CAT_MN && unicode_category(0xF0000) == CAT_CO);
    CHECK(unicode_category(0xFFFFE) == CAT_CN && unicode_category(0x110000) == CAT_CN);
    CHECK(unicode_category(0xFFFFFFFF) == CAT_CN);
    CHECK(unicode_category(0x31350) == CAT_LO); // the last block, new in 15.0
    CHECK(unicode_is_space(0x3000) && unicode_is_space('\v') && !unicode_is_space(0x200B));
    CHECK(unicode_is_han(0x4E00) && unicode_is_han(0x3007) && !unicode_is_han(0x3042));
    CHECK(unicode_is_mark(0x301) && !unicode_is_mark('a'));
    CHECK(unicode_is_punctuation('!') && !unicode_is_punctuation('+'));
}

static void lower_case(void)
{
    const uint32_t pairs[][2] = {{'A', 'a'}, {'z', 'z'}, {0xC9, 0xE9}, {0x100, 0x101}, {0x101, 0x101},
                                 {0x178, 0xFF}, {0x391, 0x3B1}, {0x1E9E, 0xDF}, {0x10400, 0x10428},
                                 {0x13A0, 0xAB70}, {0x2160, 0x2170}, {0x4E00, 0x4E00}, {0x10FFFF, 0x10FFFF}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        uint32_t out[2];
        CHECK(unicode_lower(pairs[i][0], out) == 1);
        CHECK_MSG(out[0] == pairs[i][1], "U+%X", pairs[i][0]);
    }
    uint32_t out[2];
    CHECK(unicode_lower(0x130, out) == 2 && out[0] == 'i' && out[1] == 0x307);
}

static void check_form(str text, unicode_form form, str want)
{
    ingle_text out = {0};
    ingle_error err;
    CHECK(unicode_normalise(text, form, &out, &err) == INGLE_OK);
    CHECK_MSG(str_equal((str){out.bytes, out.n}, want), "%.*s", STR_ARG(text));
    ingle_text_free(&out);
}

static void forms_by_hand(void)
{
    check_form(STR(""), UNICODE_NFC, STR(""));
    check_form(STR("plain"), UNICODE_NFC, STR("plain"));
    check_form(STR("xe\xCC\x81y"), UNICODE_NFC, STR("x\xC3\xA9y"));             // e + acute
    check_form(STR("\xC3\xA9"), UNICODE_NFD, STR("e\xCC\x81"));
    check_form(STR("\xEA\xB0\x81"), UNICODE_NFD, STR("\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8")); // Hangul
    check_form(STR("\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8"), UNICODE_NFC, STR("\xEA\xB0\x81"));
    check_form(STR("\xE2\x84\xAB"), UNICODE_NFC, STR("\xC3\x85"));               // Angstrom sign
    check_form(STR("a\xCC\xA3\xCC\x81"), UNICODE_NFC, STR("\xE1\xBA\xA1\xCC\x81")); // dot below, acute
    check_form(STR("a\xCC\x81\xCC\xA3"), UNICODE_NFC, STR("\xE1\xBA\xA1\xCC\x81")); // reordered first
    check_form(STR("\xCC\x81"), UNICODE_NFC, STR("\xCC\x81"));                   // nothing to join
    check_form(STR("\xF0\xAF\xA0\x80"), UNICODE_NFC, STR("\xE4\xB8\xBD"));       // U+2F800
    CHECK(unicode_is_nfc(STR("caf\xC3\xA9 \xE4\xB8\xAD")) && !unicode_is_nfc(STR("e\xCC\x81")));
}

static void ill_formed_bytes_stay(void)
{
    check_form(STR("e\xFF\xCC\x81"), UNICODE_NFC, STR("e\xFF\xCC\x81"));
    check_form(STR("e\xCC\x81\xE2\x82"), UNICODE_NFC, STR("\xC3\xA9\xE2\x82"));
    check_form(STR("\xCC\x81\xCC"), UNICODE_NFD, STR("\xCC\x81\xCC"));
    check_form(STR("\xFF\xCC\x81\xFE"), UNICODE_NFC, STR("\xFF\xCC\x81\xFE"));
}

/* 200,000 marks after one letter: sorted by class in linear time. */
static void long_run_of_marks(void)
{
    ingle_text text = {0}, out = {0};
    ingle_error err;
    CHECK(text_add(&text, "q", 1));
    for (int i = 0; i < 100000; i++)
        CHECK(text_add(&text, "\xCC\x81\xCC\xA3", 4)); // 230, 220
    CHECK(unicode_normalise((str){text.bytes, text.n}, UNICODE_NFC, &out, &err) == INGLE_OK);
    CHECK(out.n == text.n);
    for (size_t i = 0; i < 200000; i++)
        if (memcmp(out.bytes + 1 + 2 * i, i < 100000 ? "\xCC\xA3" : "\xCC\x81", 2) != 0) {
            CHECK_MSG(false, "mark %zu", i);
            break;
        }
    ingle_text_free(&text);
    ingle_text_free(&out);
}

/* The file may be of a newer Unicode version than the tables. */
static bool all_assigned(str text)
{
    for (size_t at = 0, used; at < text.n; at += used)
        if (unicode_category(utf8_decode((const uint8_t *)text.p + at, text.n - at, &used, NULL)) == CAT_CN)
            return false;
    return true;
}

static size_t read_codes(const char **p, char *out)
{
    size_t n = 0;
    while (**p && **p != '\t' && **p != '\n') {
        char *end;
        const unsigned long code = strtoul(*p, &end, 16);
        if (end == *p)
            break;
        n += utf8_encode((uint32_t)code, out + n);
        *p = end + (*end == ' ');
    }
    *p += **p == '\t';
    return n;
}

static void conformance(void)
{
    size_t n, rows = 0, newer = 0;
    char *file = test_read_file("../shared/conformance/unicode/NormalizationTest.tsv", &n);
    if (!file) {
        SKIP("NormalizationTest.tsv is not there");
        return;
    }
    for (const char *p = file; *p;) {
        char columns[3][512];
        str text[3];
        const bool comment = *p == '#' || *p == '@';
        for (size_t i = 0; i < 3 && !comment; i++)
            text[i] = (str){columns[i], read_codes(&p, columns[i])};
        newer += !comment && text[0].n && !all_assigned(text[0]);
        if (!comment && text[0].n && all_assigned(text[0])) {
            for (size_t i = 0; i < 3; i++) {
                check_form(text[i], UNICODE_NFC, text[1]);
                check_form(text[i], UNICODE_NFD, text[2]);
            }
            if (unicode_is_nfc(text[0]))
                CHECK(str_equal(text[0], text[1]));
            rows++;
        }
        p += strcspn(p, "\n");
        p += *p == '\n';
    }
    CHECK_MSG(rows > 19800 && newer < 200, "%zu rows, %zu of a newer version", rows, newer);
    free(file);
}

static ingle_status normalise_once(void *user, const ingle_allocator *a)
{
    (void)user;
    ingle_text out = {.allocator = *a};
    ingle_error err;
    ingle_text text = {0};
    for (int i = 0; i < 40; i++)
        CHECK(text_add(&text, "\xCC\x81\xCC\xA3", 4));
    const ingle_status status = unicode_normalise((str){text.bytes, text.n}, UNICODE_NFC, &out, &err);
    ingle_text_free(&out);
    ingle_text_free(&text);
    return status;
}

static void allocation_failures(void)
{
    CHECK(test_every_allocation(normalise_once, NULL) > 3);
}

TESTS(T(properties) T(lower_case) T(forms_by_hand) T(ill_formed_bytes_stay) T(long_run_of_marks)
      T(conformance) T(allocation_failures))
