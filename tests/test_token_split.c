/* Pre-tokenizer rules: text and the pieces it falls into, '|' between them. The expected pieces were
 * worked out from the rules' regular expressions and agree with Hugging Face's tokenizers. */
#include "harness.h"

#include <time.h>

#include "support.h"
#include "token/split.h"

static void show_pieces(char *out, size_t room, const splitter *s, const char *text)
{
    size_t n = 0, start = 0;
    for (size_t i = 0; i < s->n; i++) {
        const size_t length = s->ends[i] - start;
        if (n + length + 2 > room)
            return;
        if (i)
            out[n++] = '|';
        memcpy(out + n, text + start, length);
        n += length;
        start = s->ends[i];
    }
    out[n] = 0;
}

static const struct {
    const char *rule, *text, *pieces;
} table[] = {
    {"gpt-2", "", ""},
    {"gpt-2", "Hello world", "Hello| world"},
    {"gpt-2", "it's we'LL  12ab!?", "it|'s| we|'|LL| | 12|ab|!?"},
    {"gpt-2", "a   b\n\n c", "a|  | b|\n\n| c"},
    {"gpt-2", "x  ", "x|  "},
    {"starcoder", "a 123", "a| |1|2|3"},
    {"llama-bpe", "It'S 12345 a\r\n\r\n b", "It|'S| |123|45| a|\r\n\r\n| b"},
    {"llama-bpe", "(word) \tword  ;;\n x", "(word|)| |\tword| | ;;\n| x"},
    {"llama-bpe", "'\xC5\xBF'x", "'\xC5\xBF|'x"}, // the long s folds to s
    {"qwen2", "12 a'VE", "1|2| a|'VE"},
    {"qwen2", "e\xCC\x81" "a", "e|\xCC\x81" "a"},
    {"qwen35", "e\xCC\x81" "a!", "e\xCC\x81" "a|!"},
    {"minicpm5", "12345", "123|45"},
    {"seed-coder", "a!!\n\nb", "a|!!|\n\n|b"},
    {"jais-2", "a     b", "a|    | b"},
    {"jais-2", "a    b", "a|  | | b"},
    {"jais-2", "a     ", "a|    | "},
    {"exaone-moe", "to be or 1/\n", "to be or| |1|/\n"},
    {"laguna", "a\nb \n c", "a|\n|b| |\n| c"},
    {"tekken", "HTTPServer isOK it's 12", "HTTPServer| is|OK| it|'s| |1|2"},
    {"tekken", "a/\n/b", "a|/\n/|b"},
    {"gpt-4o", "HTTPServer's 1234 X", "HTTPServer's| |123|4| X"},
    {"gpt-4o", "ABC\xE3\x81\x82", "ABC\xE3\x81\x82"},
    {"gpt-4o", "\xE3\x81\x82" "ABC", "\xE3\x81\x82|ABC"},
    {"gpt-4o", "\xCC\x81", "\xCC\x81"},
    {"tiny_aya", "1234567 12ab", "1|234|567| |12|ab"},
    {"tiny_aya", "1234ab", "123|4|ab"},
    {"youtu", "\xED\x95\x9C" "ab\xE4\xB8\xAD\xE3\x80\x82", "\xED\x95\x9C|ab|\xE4\xB8\xAD|\xE3\x80\x82"},
    {"kimi-k2", "\xE4\xB8\xAD\xE6\x96\x87" "ab1234", "\xE4\xB8\xAD\xE6\x96\x87|ab|123|4"},
    {"kimi-k2", "ab\xE4\xB8\xAD", "ab|\xE4\xB8\xAD"},
    {"deepseek-llm", "a b\n\n \xE4\xB8\xAD, 12  ", "a| b|\n|\n| |\xE4\xB8\xAD|,| |12|  "},
    {"deepseek-coder", "a  b, 12", "a| | b|,| |1|2"},
    {"deepseek-v3", "x.y 1234 \xE4\xB8\xAD !!\n", "x|.y| |123|4| |\xE4\xB8\xAD| !!\n"},
    {"afmoe", "12345 \xE4\xB8\xAD" "a", "12|345| |\xE4\xB8\xAD|a"},
    {"falcon", "a,b 12345", "a|,|b| |123|45"},
    {"default", "a $b 12345", "a| |$|b| |123|45"},
    {"bloom", "a b, (c) d", "a| b|, (|c|)| d"},
    {"viking", "a12", "a|1|2"},
    {"superbpe", "a b 1234567", "a b |1|234|567"},
    {"chameleon", "<sentinel:12>IMGIMGABZ a  b1!?", "<|sentinel|:|1|2|>|IMGIMGABZ| a|  |b|1|!|?"},
    {"chameleon", "<sentinel:>IMGIMGZ\t    x", "<|sentinel|:|>|IMGIMGZ|\t|    |x"},
    {"gemma4", "a b\n\nc", "a b|\n\n|c"},
    {"gpt-2", "a\xFF\xC3 b", "a|\xFF\xC3| b"}, // ill-formed bytes count as symbols
};

static void rules_by_hand(void)
{
    splitter s = {0};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char got[256] = "";
        const split_rule *rule = split_find(str_of(table[i].rule));
        CHECK_MSG(rule, "%s", table[i].rule);
        if (!rule)
            continue;
        CHECK(split_text(&s, rule, str_of(table[i].text), NULL) == INGLE_OK);
        show_pieces(got, sizeof got, &s, table[i].text);
        CHECK_TEXT(got, table[i].pieces);
    }
    split_free(&s);
}

static void names(void)
{
    CHECK(!split_find(STR("no-such-rule")));
    CHECK(!split_find(STR("gpt-")));
    CHECK(split_find(STR("")) != NULL);
    CHECK(split_find(STR("llama-bpe"))->ignore_merges && split_find(STR("llama-bpe"))->add_bos);
    CHECK(split_find(STR("qwen2"))->nfc && !split_find(STR("smollm"))->nfc);
    CHECK(split_find(STR("gemma4"))->raw);
    size_t n = 0;
    for (; split_at(n); n++)
        CHECK_MSG(split_find(str_of(split_at(n)->name)) == split_at(n), "%s twice", split_at(n)->name);
    CHECK(n > 70);
}

/* Whatever the rule and the text: pieces are not empty and cover the text. */
static void pieces_cover_any_text(void)
{
    static const char *const parts[] = {" ", "  ", "\n", "\r", "\t", "a", "Z", "7", "'s", "'", "!", "/",
                                        "\xC5\xBF", "\xCC\x81", "\xE4\xB8\xAD", "\xE3\x80\x80", "\xF0\x9F\xA6\x99",
                                        "\xFF", "\xE2\x82", "<sentinel:1", "IMGIMGA", "\xC2\xBD", "\xE3\x80\x87"};
    uint64_t seed = 11;
    splitter s = {0};
    for (size_t r = 0; split_at(r); r++)
        for (int round = 0; round < 200; round++) {
            char text[256];
            size_t n = 0;
            for (uint64_t k = test_random(&seed) % 20; k; k--) {
                const char *part = parts[test_random(&seed) % (sizeof parts / sizeof *parts)];
                memcpy(text + n, part, strlen(part));
                n += strlen(part);
            }
            CHECK(split_text(&s, split_at(r), (str){text, n}, NULL) == INGLE_OK);
            uint32_t end = 0;
            for (size_t i = 0; i < s.n; i++) {
                CHECK_MSG(s.ends[i] > end, "%s", split_at(r)->name);
                end = s.ends[i];
            }
            CHECK_MSG(end == n, "%s: %u of %zu", split_at(r)->name, end, n);
        }
    split_free(&s);
}

/* A step that looked at n characters again from each of n places would take hours here. */
static void long_texts_are_linear(void)
{
    static const char *const units[] = {"a", "A", " ", "\n", "7", "\xCC\x81", "\xE3\x81\x82", "A\xE3\x81\x82",
                                        " a", "<", "<sentinel:", "\xF0\x9F\xA6\x99", "1a", " \xC2\xA0", "'", "7 "};
    const size_t bytes = 200000;
    char *text = malloc(bytes + 16);
    splitter s = {0};
    const clock_t start = clock();
    for (size_t u = 0; text && u < sizeof units / sizeof *units; u++) {
        size_t n = 0;
        for (; n < bytes; n += strlen(units[u]))
            memcpy(text + n, units[u], strlen(units[u]));
        for (size_t r = 0; split_at(r); r++) {
            if (r && split_at(r)->steps[0] == split_at(r - 1)->steps[0])
                continue; // the same steps under another name
            CHECK(split_text(&s, split_at(r), (str){text, n}, NULL) == INGLE_OK);
            CHECK(s.n && s.ends[s.n - 1] == n);
        }
    }
    CHECK((double)(clock() - start) / CLOCKS_PER_SEC < 60);
    split_free(&s);
    free(text);
}

static ingle_status split_once(void *user, const ingle_allocator *a)
{
    (void)user;
    splitter s = {.a = a};
    ingle_status status = INGLE_OK;
    for (size_t r = 0; split_at(r) && !status; r += 20)
        status = split_text(&s, split_at(r), STR("Some words, 12345 of them; and (more) words."), NULL);
    split_free(&s);
    return status;
}

static void allocation_failures(void)
{
    CHECK(test_every_allocation(split_once, NULL) > 3);
}

TESTS(T(rules_by_hand) T(names) T(pieces_cover_any_text) T(long_texts_are_linear) T(allocation_failures))
