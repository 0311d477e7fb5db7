/* Tokenizers over small vocabularies whose ids were worked out by hand. */
#include "harness.h"

#include "base/text.h"
#include "support.h"
#include "token/token.h"

#define N(array) (sizeof array / sizeof *array)
#define SP "\xE2\x96\x81" // U+2581
#define TEXT(literal) {literal, sizeof literal - 1} // STR for static arrays

static token_source source_of(const char *model, const char *pre, const str *tokens, size_t n)
{
    return (token_source){.model = str_of(model), .pre = str_of(pre), .tokens = tokens, .n_tokens = n,
                          .bos = -2, .eos = -2, .eot = -1, .eom = -1, .unk = -2, .sep = -2, .pad = -2,
                          .cls = -2, .mask = -2, .add_bos = -1, .add_eos = -1, .add_sep = -1,
                          .add_space_prefix = -1, .remove_extra_whitespaces = -1, .lowercase = -1,
                          .strip_accents = -1};
}

static tokenizer *must_open(const token_source *s)
{
    tokenizer *t = NULL;
    ingle_error err;
    const ingle_status status = token_open(&t, s, NULL, &err);
    CHECK_MSG(status == INGLE_OK && t, "%s", err.text);
    return t;
}

/* Encodes and compares with a list of ids that ends with -1. */
static void check_ids(const tokenizer *t, str text, const uint8_t *marks, unsigned flags,
                      const int32_t *want, int line)
{
    ingle_tokens out = {0};
    ingle_error err;
    size_t n = 0;
    CHECK_MSG(t && token_encode(t, text, marks, flags, &out, &err) == INGLE_OK, "line %d", line);
    while (want[n] >= 0)
        n++;
    bool same = out.n == n;
    for (size_t i = 0; i < n && same; i++)
        same = out.ids[i] == want[i];
    CHECK_MSG(same, "line %d: \"%.*s\"", line, STR_ARG(text));
    for (size_t i = 0; i < out.n && !same; i++)
        printf("    %d\n", (int)out.ids[i]);
    ingle_tokens_free(&out);
}
#define IDS(...) ((const int32_t[]){__VA_ARGS__, -1})
#define NO_IDS ((const int32_t[]){-1})
#define ENCODES(t, text, flags, ids) check_ids(t, STR(text), NULL, flags, ids, __LINE__)

static void check_text_of(const tokenizer *t, const int32_t *ids, bool special, const char *want, int line)
{
    ingle_text out = {0};
    ingle_error err;
    size_t n = 0;
    while (ids[n] >= 0)
        n++;
    CHECK_MSG(t && token_decode(t, ids, n, special, &out, &err) == INGLE_OK, "line %d", line);
    CHECK_MSG(strcmp(out.bytes ? out.bytes : "", want) == 0, "line %d: got \"%s\", want \"%s\"", line,
              out.bytes ? out.bytes : "", want);
    ingle_text_free(&out);
}
#define DECODES(t, ids, special, text) check_text_of(t, ids, special, text, __LINE__)

/* ---- byte-level BPE ------------------------------------------------------------------------ */

/* Bytes show as Latin letters: the space as U+0120, the line end as U+010A, 0xC3 as U+00C3. */
static const str bpe_tokens[] = {
    TEXT("a"), TEXT("b"), TEXT("c"), TEXT("\xC4\xA0"), TEXT("ab"), TEXT("bc"), TEXT("abc"), TEXT("\xC4\xA0" "ab"),
    TEXT("\xC3\x83"), TEXT("\xC2\xA9"), TEXT("\xC3\x83\xC2\xA9"), TEXT("<|im_end|>"), TEXT("<tool>"),
    TEXT("<|im"), TEXT("<unk>"), TEXT("<"), TEXT("|"), TEXT("cc"), TEXT("\xC4\x8A"), TEXT("<|eot|>")};
static const int32_t bpe_types[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 4, 3, 2, 1, 1, 1, 1, 3};
static const str bpe_merges[] = {TEXT("b c"), TEXT("a b"), TEXT("\xC4\xA0 ab"), TEXT("a bc"),
                                 TEXT("\xC3\x83 \xC2\xA9"), TEXT("no such"), TEXT("c c"), TEXT("x"), TEXT("")};

static token_source bpe_source(const char *pre)
{
    token_source s = source_of("gpt2", pre, bpe_tokens, N(bpe_tokens));
    s.types = bpe_types;
    s.merges = bpe_merges;
    s.n_merges = N(bpe_merges);
    s.bos = 19;
    s.eos = 11;
    return s;
}

static void bpe_merges_by_rank(void)
{
    const token_source s = bpe_source("gpt-2");
    tokenizer *t = must_open(&s);
    CHECK_TEXT(token_kind(t), "bpe");
    ENCODES(t, "", 0, NO_IDS);
    ENCODES(t, "ab", 0, IDS(4));
    ENCODES(t, "abc", 0, IDS(6));          // "b c" comes before "a b"
    ENCODES(t, "abab", 0, IDS(4, 4));
    ENCODES(t, "a ab", 0, IDS(0, 7));      // the space goes with the word after it
    ENCODES(t, "ccc", 0, IDS(17, 2));      // of equals the leftmost
    ENCODES(t, "\xC3\xA9", 0, IDS(10));
    ENCODES(t, "a\xC3", 0, IDS(0, 8));     // half a character is bytes
    ENCODES(t, "z", 0, NO_IDS);            // the vocabulary lacks the byte
    DECODES(t, IDS(6, 7, 10), false, "abc ab\xC3\xA9");
    DECODES(t, IDS(0, 8, 0), false, "a\xEF\xBF\xBD" "a"); // half a character
    CHECK(token_table_bytes(t) > 100);
    token_close(t);
}

/* More symbols than are merged by looking at every pair: the heap must agree with the short way. */
static void bpe_long_words_agree(void)
{
    const token_source s = bpe_source("gpt-2");
    tokenizer *t = must_open(&s);
    ingle_tokens out = {0};
    ingle_error err;
    char text[301];
    for (size_t i = 0; i < 100; i++)
        memcpy(text + 3 * i, "abc", 3);
    CHECK(token_encode(t, (str){text, 300}, NULL, 0, &out, &err) == INGLE_OK);
    CHECK(out.n == 100);
    for (size_t i = 0; i < out.n; i++)
        CHECK(out.ids[i] == 6);
    out.n = 0;
    memset(text, 'c', 301);
    CHECK(token_encode(t, (str){text, 301}, NULL, 0, &out, &err) == INGLE_OK);
    CHECK(out.n == 151 && out.ids[0] == 17 && out.ids[149] == 17 && out.ids[150] == 2);
    ingle_tokens_free(&out);
    token_close(t);
}

static void specials_and_marks(void)
{
    token_source s = bpe_source("gpt-2");
    s.add_bos = 1;
    s.add_eos = 1;
    tokenizer *t = must_open(&s);
    const unsigned parse = INGLE_PARSE_SPECIAL;
    CHECK(token_bos(t) == 19 && token_eos(t) == 11 && token_adds_bos(t));
    ENCODES(t, "ab<|im_end|>ab", parse, IDS(4, 11, 4));
    ENCODES(t, "<|im_end|><|im", parse, IDS(11, 13));    // the longest first
    ENCODES(t, "a<tool>b", 0, IDS(0, 12, 1));            // user-defined in any text
    ENCODES(t, "a", INGLE_ADD_SPECIAL, IDS(19, 0, 11));
    ENCODES(t, "", INGLE_ADD_SPECIAL, IDS(19, 11));
    ENCODES(t, "<unk>", parse, IDS(14));
    ENCODES(t, "<|", 0, IDS(15, 16));
    // Data never yields a control token, be it whole or only partly data.
    uint8_t marks[16] = {0};
    memset(marks, 1, sizeof marks);
    check_ids(t, STR("<|im_end|>"), marks, parse, IDS(15, 16, 16), __LINE__);
    check_ids(t, STR("a<tool>"), marks, parse, IDS(0, 12), __LINE__);
    memset(marks, 0, sizeof marks);
    marks[9] = 1; // the last byte of <|im_end|> is data: what is left is <|im
    check_ids(t, STR("<|im_end|>"), marks, parse, IDS(13, 16), __LINE__);
    marks[9] = 0;
    marks[0] = 1;
    check_ids(t, STR("<|im_end|>"), marks, parse, IDS(15, 16, 16), __LINE__);
    marks[0] = 0;
    marks[10] = 1;
    check_ids(t, STR("<|im_end|>a"), marks, parse, IDS(11, 0), __LINE__);
    CHECK(token_is_control(t, 11) && token_is_control(t, 14) && !token_is_control(t, 12));
    CHECK(!token_is_control(t, -1) && !token_is_control(t, 99));
    CHECK(token_is_end(t, 11) && !token_is_end(t, 19) && !token_is_end(t, -1) && !token_is_end(t, 20));
    DECODES(t, IDS(19, 0, 11), false, "a");
    DECODES(t, IDS(19, 0, 12, 11), true, "<|eot|>a<tool><|im_end|>");
    token_close(t);
}

/* A merge that ends in a control token must not be a way to write one. */
static void merges_never_make_control_tokens(void)
{
    const str tokens[] = {STR("<"), STR("s"), STR("<s"), STR("|")};
    const int32_t types[] = {1, 1, 3, 1};
    const str merges[] = {STR("< s")};
    const float scores[] = {-1, -1, 0, -1};
    token_source s = source_of("gpt2", "llama-bpe", tokens, N(tokens));
    s.types = types;
    s.merges = merges;
    s.n_merges = 1;
    tokenizer *t = must_open(&s);
    ENCODES(t, "<s", 0, IDS(0, 1));
    ENCODES(t, "<s", INGLE_PARSE_SPECIAL, IDS(2));
    token_close(t);
    s.n_merges = 0;
    t = must_open(&s);
    ENCODES(t, "<s", 0, IDS(0, 1));
    token_close(t);
    s.model = STR("llama");
    s.scores = scores;
    s.add_space_prefix = 0;
    t = must_open(&s);
    ENCODES(t, "<s", 0, IDS(0, 1));
    token_close(t);
}

static void bpe_rules_matter(void)
{
    const str tokens[] = {STR("a"), STR("b"), STR("ab"), STR("1"), STR("11"), STR("\xC3\xA9"),
                          STR("\xC3\x83"), STR("\xC2\xA9"), STR("e"), STR("\xC3\x8C"), STR("\xC4\xA3")};
    const str merges[] = {STR("1 1")};
    token_source s = source_of("gpt2", "llama-bpe", tokens, N(tokens));
    s.merges = merges;
    s.n_merges = 1;
    tokenizer *t = must_open(&s);
    ENCODES(t, "ab", 0, IDS(2)); // ignore_merges: the piece is a token, though no merge makes it
    ENCODES(t, "11", 0, IDS(4));
    ENCODES(t, "e\xCC\x81", 0, IDS(8, 9, 10));
    token_close(t);
    s.pre = STR("qwen2");
    t = must_open(&s);
    ENCODES(t, "ab", 0, IDS(0, 1));
    ENCODES(t, "11", 0, IDS(3, 3));          // digits stand alone
    ENCODES(t, "e\xCC\x81", 0, IDS(6, 7));   // NFC: one character
    token_close(t);
    s.pre = STR("kimi-k2"); // no merges: what makes a token merges
    s.n_merges = 0;
    t = must_open(&s);
    ENCODES(t, "abab", 0, IDS(2, 2));
    ENCODES(t, "111", 0, IDS(4, 3));
    token_close(t);
}

static void gemma_style(void)
{
    const str tokens[] = {STR("a"), STR(SP), STR(SP "a"), STR("\n"), STR("\n\n"), STR("<0xC3>"), STR("<0xA9>"),
                          STR("\xC3\xA8"), STR("<bos>"), STR("aa")};
    const int32_t types[] = {1, 1, 1, 1, 1, 6, 6, 1, 3, 1};
    const str merges[] = {STR("a a"), STR(SP " a")};
    token_source s = source_of("gemma4", "", tokens, N(tokens));
    s.types = types;
    s.merges = merges;
    s.n_merges = N(merges);
    s.bos = 8;
    tokenizer *t = must_open(&s);
    CHECK(token_adds_bos(t));
    ENCODES(t, "a a", 0, IDS(0, 2));
    ENCODES(t, "a aa\n\na", 0, IDS(0, 1, 9, 4, 0));
    ENCODES(t, "\n\n\n", 0, IDS(3, 3, 3));     // no token for three, no merge for two
    ENCODES(t, "\xC3\xA9\xC3\xA8", 0, IDS(5, 6, 7));
    DECODES(t, IDS(0, 2, 4, 5, 6, 7), false, "a a\n\n\xC3\xA9\xC3\xA8");
    token_close(t);
}

/* ---- SentencePiece ------------------------------------------------------------------------- */

static const str spm_tokens[] = {
    TEXT("<unk>"), TEXT("<s>"), TEXT("</s>"), TEXT(SP), TEXT("a"), TEXT("b"), TEXT("ab"), TEXT(SP "a"), TEXT("ba"),
    TEXT("<0xC3>"), TEXT("<0xA9>"), TEXT("aba"), TEXT("<0xFF>"), TEXT("b" SP), TEXT("x"), TEXT("c"), TEXT("cc"), TEXT("ccc")};
static const int32_t spm_types[] = {2, 3, 3, 1, 1, 1, 1, 1, 1, 6, 6, 5, 6, 1, 1, 1, 5, 5};
static const float spm_scores[] = {0, 0, 0, -9, -8, -8, -2, -3, -2, 0, 0, -1, 0, -1, -8, -8, -1, -2};

static token_source spm_source(void)
{
    token_source s = source_of("llama", "", spm_tokens, N(spm_tokens));
    s.types = spm_types;
    s.scores = spm_scores;
    s.bos = s.eos = s.unk = -1; // the kind's own: 1, 2, 0
    return s;
}

static void spm_merges_by_score(void)
{
    token_source s = spm_source();
    tokenizer *t = must_open(&s);
    CHECK_TEXT(token_kind(t), "spm");
    CHECK(token_bos(t) == 1 && token_eos(t) == 2 && token_is_end(t, 2));
    ENCODES(t, "", INGLE_ADD_SPECIAL, IDS(1));
    ENCODES(t, "a", INGLE_ADD_SPECIAL, IDS(1, 7));
    ENCODES(t, "ab", 0, IDS(3, 6));              // -2 beats the word start's -3
    ENCODES(t, "ba", 0, IDS(3, 8));
    ENCODES(t, "\xC3\xA9", 0, IDS(3, 9, 10));    // bytes
    ENCODES(t, "\xFF", 0, IDS(3, 12));
    ENCODES(t, "z", 0, IDS(3, 0));               // no byte token either
    ENCODES(t, "zzz", 0, IDS(3, 0));
    // "aba": ab and ba both score -2, the leftmost goes first; aba is unused, so it is taken apart.
    ENCODES(t, "aba", 0, IDS(3, 6, 4));
    ENCODES(t, "ccc", 0, IDS(3, 15, 15, 15));    // an unused token made of an unused one
    ENCODES(t, "b b", 0, IDS(3, 13, 5));         // this vocabulary merges across words
    ENCODES(t, "a<s>a", INGLE_PARSE_SPECIAL, IDS(7, 1, 7)); // the prefix comes again after <s>
    DECODES(t, IDS(1, 7, 3, 6), false, "a ab");
    DECODES(t, IDS(3, 9, 10, 12), false, "\xC3\xA9\xEF\xBF\xBD");
    DECODES(t, IDS(1, 7), true, "<s> a");
    token_close(t);
    s.add_space_prefix = 0;
    s.add_bos = 0;
    s.add_eos = 1;
    t = must_open(&s);
    ENCODES(t, "a a", INGLE_ADD_SPECIAL, IDS(4, 7, 2));
    DECODES(t, IDS(7), false, " a");
    token_close(t);
}

/* Words merge on their own where no token crosses them; the result is the same. */
static void spm_words_apart_agree(void)
{
    str crossing[N(spm_tokens)], tokens[N(spm_tokens)];
    memcpy(crossing, spm_tokens, sizeof tokens);
    memcpy(tokens, spm_tokens, sizeof tokens);
    crossing[13] = STR("x" SP "x"); // no merge leads there, but it might cross
    token_source whole = spm_source(), apart = spm_source();
    tokens[13] = STR("xx");
    whole.tokens = crossing;
    apart.tokens = tokens;
    tokenizer *t = must_open(&whole), *u = must_open(&apart);
    uint64_t seed = 3;
    for (int round = 0; round < 200; round++) {
        char text[200];
        const size_t n = test_random(&seed) % sizeof text;
        for (size_t i = 0; i < n; i++)
            text[i] = "ab c\xC3"[test_random(&seed) % 5];
        ingle_tokens a = {0}, b = {0};
        ingle_error err;
        CHECK(token_encode(t, (str){text, n}, NULL, 0, &a, &err) == INGLE_OK);
        CHECK(token_encode(u, (str){text, n}, NULL, 0, &b, &err) == INGLE_OK);
        CHECK(a.n == b.n && (a.n == 0 || memcmp(a.ids, b.ids, a.n * sizeof *a.ids) == 0));
        ingle_tokens_free(&a);
        ingle_tokens_free(&b);
    }
    token_close(t);
    token_close(u);
}

/* ---- Unigram ------------------------------------------------------------------------------- */

/* A character map of one rule: 'A' becomes "a b". Unit 0 is the root with offset 1; 'A' leads to
 * unit 1 ^ 0x41 = 0x40, whose offset 1 leads to its value in unit 0x41. */
static str one_rule_map(uint8_t *map, size_t room)
{
    const size_t units = 0x42;
    memset(map, 0, room);
    map[0] = (uint8_t)(units * 4 & 255);
    map[1] = (uint8_t)(units * 4 >> 8);
    const uint32_t root = 1u << 10, letter = 1u << 10 | 1u << 8 | 'A', value = 0x80000000u;
    const struct {
        size_t at;
        uint32_t unit;
    } set[] = {{0, root}, {0x40, letter}, {0x41, value}};
    for (size_t i = 0; i < N(set); i++)
        for (size_t b = 0; b < 4; b++)
            map[4 + 4 * set[i].at + b] = (uint8_t)(set[i].unit >> 8 * b);
    memcpy(map + 4 + 4 * units, "a b", 4);
    return (str){(const char *)map, 4 + 4 * units + 4};
}

static const str unigram_tokens[] = {TEXT("<pad>"), TEXT("</s>"), TEXT("<unk>"), TEXT(SP), TEXT("a"), TEXT("b"),
                                     TEXT("ab"), TEXT(SP "a"), TEXT("abb"), TEXT("UU"), TEXT(SP "b")};
static const int32_t unigram_types[] = {3, 3, 2, 1, 1, 1, 1, 1, 1, 4, 1};
static const float unigram_scores[] = {0, 0, 0, -2, -3, -3, -4, -4, -12, 0, -4.5f};

static token_source unigram_source(void)
{
    token_source s = source_of("t5", "", unigram_tokens, N(unigram_tokens));
    s.types = unigram_types;
    s.scores = unigram_scores;
    s.eos = s.unk = -1;
    return s;
}

static void unigram_best_path(void)
{
    uint8_t map[512];
    token_source s = unigram_source();
    tokenizer *t = must_open(&s);
    CHECK_TEXT(token_kind(t), "unigram");
    CHECK(!token_adds_bos(t) && token_eos(t) == 1);
    ENCODES(t, "a", INGLE_ADD_SPECIAL, IDS(7, 1));
    ENCODES(t, "ab", 0, IDS(3, 6));                // -2 -4 beats -4 -3
    ENCODES(t, "abb", 0, IDS(3, 6, 5));            // -9 beats -2 -12
    ENCODES(t, "  a   a ", 0, IDS(7, 7));          // spaces collapse
    ENCODES(t, "   ", 0, NO_IDS);
    ENCODES(t, "azzb", 0, IDS(7, 2, 5));           // unknown characters join
    ENCODES(t, "a\xFF", 0, IDS(7, 2));
    ENCODES(t, "A", 0, IDS(3, 2));
    ENCODES(t, "aUUb", 0, IDS(7, 9, 10));
    DECODES(t, IDS(7, 3, 6, 1), false, "a ab");
    token_close(t);
    s.charsmap = one_rule_map(map, sizeof map);
    t = must_open(&s);
    ENCODES(t, "A", 0, IDS(7, 10));                // "a b"
    ENCODES(t, "B", 0, IDS(3, 2));
    token_close(t);
    s.remove_extra_whitespaces = 0;
    s.add_space_prefix = 0;
    t = must_open(&s);
    ENCODES(t, "  a ", 0, IDS(3, 7, 3));
    token_close(t);
}

static void hostile_maps(void)
{
    uint8_t map[512], broken[512];
    const str good = one_rule_map(map, sizeof map);
    uint64_t seed = 5;
    for (int round = 0; round < 3000; round++) {
        token_source s = unigram_source();
        memcpy(broken, map, sizeof broken);
        for (uint64_t k = test_random(&seed) % 4 + 1; k; k--)
            broken[test_random(&seed) % good.n] = (uint8_t)test_random(&seed);
        s.charsmap = (str){(const char *)broken, round % 3 ? good.n : test_random(&seed) % good.n};
        tokenizer *t = NULL;
        ingle_error err;
        const ingle_status status = token_open(&t, &s, NULL, &err);
        CHECK(status == INGLE_OK || status == INGLE_ERR_FORMAT);
        ingle_tokens out = {0};
        if (t)
            CHECK(token_encode(t, STR("AA A\xC3\xA9" "A b"), NULL, 0, &out, &err) == INGLE_OK);
        ingle_tokens_free(&out);
        token_close(t);
    }
}

/* ---- WordPiece ----------------------------------------------------------------------------- */

static const str word_tokens[] = {TEXT("[PAD]"), TEXT("[UNK]"), TEXT("[CLS]"), TEXT("[SEP]"), TEXT(SP "un"), TEXT("aff"),
                                  TEXT("able"), TEXT(SP "cafe"), TEXT(SP "!"), TEXT(SP "a"), TEXT(SP "\xE4\xB8\xAD"),
                                  TEXT("s"), TEXT(SP "Up"), TEXT(SP "caf\xC3\xA9"), TEXT(SP ".")};
static const int32_t word_types[] = {3, 2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

static void wordpiece_longest_first(void)
{
    token_source s = source_of("bert", "", word_tokens, N(word_tokens));
    s.types = word_types;
    s.unk = 1;
    s.cls = 2;
    s.sep = 3;
    tokenizer *t = must_open(&s);
    CHECK_TEXT(token_kind(t), "wordpiece");
    ENCODES(t, "unaffable", INGLE_ADD_SPECIAL, IDS(2, 4, 5, 6, 3));
    ENCODES(t, "UnAffAble!", 0, IDS(4, 5, 6, 8));
    ENCODES(t, "caf\xC3\xA9 cafe\xCC\x81", 0, IDS(7, 7)); // accents go
    ENCODES(t, "a\xE4\xB8\xAD" "a", 0, IDS(9, 10, 9));
    ENCODES(t, "unx a", 0, IDS(1, 9));                    // one unknown for the whole word
    ENCODES(t, "a\x01\xE2\x80\x8B" "s\t\n a", 0, IDS(9, 11, 9)); // controls are dropped
    ENCODES(t, "  ", 0, NO_IDS);
    ENCODES(t, "a" SP "a", 0, IDS(1));                    // no way to write a word start
    ENCODES(t, "[SEP]", INGLE_PARSE_SPECIAL, IDS(3));
    char word[102];
    memset(word, 's', sizeof word);
    word[0] = 'a';
    check_ids(t, (str){word, 101}, NULL, 0, IDS(1), __LINE__); // over 100 characters
    DECODES(t, IDS(2, 4, 5, 6, 8, 9, 11, 14, 3), false, "unaffable! as.");
    token_close(t);
    s.lowercase = 0;
    t = must_open(&s);
    ENCODES(t, "Up up caf\xC3\xA9", 0, IDS(12, 1, 13)); // accents stay with the case
    token_close(t);
    s.strip_accents = 1;
    t = must_open(&s);
    ENCODES(t, "caf\xC3\xA9", 0, IDS(7));
    token_close(t);
}

/* ---- what ends an answer ------------------------------------------------------------------- */

static void ends(void)
{
    const str tokens[] = {STR("a"), STR("<|end|>"), STR("<|return|>"), STR("<|call|>"), STR("<|im_end|>"),
                          STR("</s>"), STR("<|tool_response>"), STR("<eos>")};
    const int32_t types[] = {1, 3, 3, 3, 1, 4, 3, 1};
    token_source s = source_of("gpt2", "gpt-2", tokens, N(tokens));
    s.types = types;
    s.eos = 0;
    tokenizer *t = must_open(&s);
    CHECK(token_is_end(t, 0));                             // whatever the file says
    CHECK(!token_is_end(t, 1) && token_is_end(t, 2) && token_is_end(t, 3)); // harmony
    CHECK(token_is_end(t, 4) && token_is_control(t, 4));   // mistyped as normal
    CHECK(!token_is_end(t, 5));                            // HTML where <|tool_response> is known
    CHECK(!token_is_end(t, 7));                            // an ordinary token may read so
    token_close(t);
    s.n_tokens = 2;
    t = must_open(&s);
    CHECK(token_is_end(t, 1));
    token_close(t);
}

/* ---- refusals and hostile vocabularies ----------------------------------------------------- */

static void refusals(void)
{
    tokenizer *t = NULL;
    ingle_error err;
    token_source s = bpe_source("no-such-rule");
    CHECK(token_open(&t, &s, NULL, &err) == INGLE_ERR_UNSUPPORTED && !t);
    CHECK(strstr(err.text, "no-such-rule") != NULL);
    s = bpe_source("gpt-2");
    s.model = STR("rwkv");
    CHECK(token_open(&t, &s, NULL, &err) == INGLE_ERR_UNSUPPORTED && strstr(err.text, "rwkv"));
    s.model = STR("llama"); // without scores
    CHECK(token_open(&t, &s, NULL, &err) == INGLE_ERR_FORMAT);
    s.model = STR("t5");
    CHECK(token_open(&t, &s, NULL, &err) == INGLE_ERR_FORMAT);
    s.n_tokens = 0;
    CHECK(token_open(&t, &s, NULL, &err) == INGLE_ERR_FORMAT);
    s = bpe_source("gpt-2");
    s.n_merges = SIZE_MAX / 2;
    CHECK(token_open(&t, &s, NULL, &err) == INGLE_ERR_FORMAT);
    s = bpe_source("gpt-2");
    t = must_open(&s);
    ingle_text out = {0};
    const int32_t bad[] = {0, 20};
    CHECK(token_decode(t, bad, 2, false, &out, &err) == INGLE_ERR_USAGE && out.n == 0);
    CHECK(token_bytes(t, -1, false, true, &out, &err) == INGLE_ERR_USAGE);
    ingle_tokens ids = {0};
    CHECK(token_encode(t, (str){"", SIZE_MAX / 2}, NULL, 0, &ids, &err) == INGLE_ERR_USAGE);
    ingle_text_free(&out);
    token_close(t);
    token_close(NULL);
}

static void odd_vocabularies(void)
{
    static char big[65536];
    memset(big, 'a', sizeof big);
    const str tokens[] = {STR(""), STR("a"), STR("a"), {big, sizeof big}, STR("b"), STR(""), STR("a")};
    const int32_t types[] = {1, 3, 1, 4, 77, 3, 1};
    const str merges[] = {STR(" "), STR("a "), STR(" a"), STR("a b"), STR("a a"), {big, sizeof big}};
    token_source s = source_of("gpt2", "llama-bpe", tokens, N(tokens));
    s.types = types;
    s.merges = merges;
    s.n_merges = N(merges);
    s.bos = 1000;
    s.eos = 7;
    tokenizer *t = must_open(&s);
    CHECK(token_bos(t) == -1 && token_eos(t) == -1 && !token_adds_bos(t));
    ENCODES(t, "ab", INGLE_ADD_SPECIAL, IDS(2, 4)); // the repeated text that is no control token
    DECODES(t, IDS(0, 4, 5), true, "b");
    ingle_tokens out = {0};
    ingle_error err;
    CHECK(token_encode(t, (str){big, sizeof big}, NULL, 3, &out, &err) == INGLE_OK);
    CHECK(out.n > 0);
    ingle_tokens_free(&out);
    token_close(t);
}

/* Random bytes as text and random bytes as vocabularies: no crash, and every id in range. */
static void random_vocabularies(void)
{
    static const char *const models[] = {"gpt2", "gemma4", "llama", "t5", "bert"};
    uint64_t seed = 17;
    for (int round = 0; round < 300; round++) {
        str tokens[40], merges[20];
        char bytes[40][8], pairs[20][8];
        float scores[40];
        int32_t types[40];
        for (size_t i = 0; i < 40; i++) {
            tokens[i] = (str){bytes[i], test_random(&seed) % 5};
            for (size_t b = 0; b < 5; b++)
                bytes[i][b] = "ab \xE2\x96\x81\xC4\xA0<"[test_random(&seed) % 9];
            types[i] = (int32_t)(test_random(&seed) % 8);
            scores[i] = test_random(&seed) % 9 ? test_random_float(&seed) : (float)(0.0 / (double)(i > 50));
        }
        for (size_t i = 0; i < 20; i++) {
            merges[i] = (str){pairs[i], test_random(&seed) % 8};
            for (size_t b = 0; b < 8; b++)
                pairs[i][b] = "ab \xC4\xA0"[test_random(&seed) % 5];
        }
        token_source s = source_of(models[round % 5], "gpt-2", tokens, 40);
        s.types = types;
        s.scores = scores;
        s.merges = merges;
        s.n_merges = 20;
        s.unk = (int32_t)(test_random(&seed) % 60) - 10;
        tokenizer *t = must_open(&s);
        char text[64];
        for (size_t b = 0; b < sizeof text; b++)
            text[b] = "ab \xE2\x96\x81<\xFF"[test_random(&seed) % 8];
        ingle_tokens out = {0};
        ingle_text back = {0};
        ingle_error err;
        CHECK(token_encode(t, (str){text, sizeof text}, NULL, 3, &out, &err) == INGLE_OK);
        for (size_t i = 0; i < out.n; i++)
            CHECK(out.ids[i] >= 0 && out.ids[i] < 40);
        CHECK(token_decode(t, out.ids, out.n, true, &back, &err) == INGLE_OK);
        ingle_tokens_free(&out);
        ingle_text_free(&back);
        token_close(t);
    }
}

static ingle_status work(void *user, const ingle_allocator *a)
{
    const token_source *s = user;
    tokenizer *t = NULL;
    ingle_error err;
    ingle_tokens out = {.allocator = *a};
    ingle_text text = {.allocator = *a};
    const str long_text = STR("aba ba<tool> caf\xC3\xA9 e\xCC\x81 abcabcabcabcabcabcabcabcabcabcabcabc cccccccccc "
                              "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc zz unaffable");
    ingle_status status = token_open(&t, s, a, &err);
    if (!status)
        status = token_encode(t, long_text, NULL, 3, &out, &err);
    if (!status)
        status = token_decode(t, out.ids, out.n, true, &text, &err);
    token_close(t);
    ingle_tokens_free(&out);
    ingle_text_free(&text);
    return status;
}

static void allocation_failures(void)
{
    token_source s = bpe_source("qwen2");
    CHECK(test_every_allocation(work, &s) > 8);
    s.pre = STR("llama-bpe");
    CHECK(test_every_allocation(work, &s) > 8);
    s.model = STR("gemma4");
    CHECK(test_every_allocation(work, &s) > 8);
    s = spm_source();
    CHECK(test_every_allocation(work, &s) > 6);
    s = unigram_source();
    CHECK(test_every_allocation(work, &s) > 6);
    s = source_of("bert", "", word_tokens, N(word_tokens));
    s.types = word_types;
    s.unk = 1;
    CHECK(test_every_allocation(work, &s) > 6);
}

TESTS(T(bpe_merges_by_rank) T(bpe_long_words_agree) T(specials_and_marks) T(merges_never_make_control_tokens)
      T(bpe_rules_matter) T(gemma_style) T(spm_merges_by_score) T(spm_words_apart_agree) T(unigram_best_path)
      T(hostile_maps) T(wordpiece_longest_first) T(ends) T(refusals) T(odd_vocabularies)
      T(random_vocabularies) T(allocation_failures))
