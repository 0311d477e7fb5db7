/* The pre-tokenizer rules by name. To add one: write its steps (most are a choice of split_words or
 * split_set) and a row in the table, a row in docs/tokenizers.md, and its regular expressions in
 * tools/check_split.py, which compares the two over random text. */
#include "token/split.h"

#define RANGES(list) .ranges = list, .n_ranges = sizeof list / sizeof *list

/* ---- steps --------------------------------------------------------------------------------- */

enum { PLAIN_OTHERS = CH_SPACE | CH_LETTER | CH_NUMBER, PREFIX = CH_NEWLINE | CH_LETTER | CH_NUMBER };

static const split_step gpt2 = {.match = split_gpt2};

static const split_step llama3 = {
    .match = split_words, .letters = CH_LETTER, .prefix_not = PREFIX, .others_not = PLAIN_OTHERS,
    .max = 3, .tail = SPLIT_TAIL_LINES, .abbrev = SPLIT_ABBREV_ALONE};
static const split_step qwen2 = {
    .match = split_words, .letters = CH_LETTER, .prefix_not = PREFIX, .others_not = PLAIN_OTHERS,
    .max = 1, .tail = SPLIT_TAIL_LINES, .abbrev = SPLIT_ABBREV_ALONE};
static const split_step qwen35 = {
    .match = split_words, .letters = CH_LETTER | CH_MARK, .prefix_not = PREFIX,
    .others_not = PLAIN_OTHERS | CH_MARK, .max = 1, .tail = SPLIT_TAIL_LINES,
    .abbrev = SPLIT_ABBREV_ALONE};
static const split_step minicpm5 = {
    .match = split_words, .letters = CH_LETTER, .prefix_not = PREFIX, .others_not = PLAIN_OTHERS,
    .tail = SPLIT_TAIL_LINES, .abbrev = SPLIT_ABBREV_ALONE};
static const split_step seed_coder = {
    .match = split_words, .letters = CH_LETTER, .prefix_not = PREFIX, .others_not = PLAIN_OTHERS,
    .max = 1, .abbrev = SPLIT_ABBREV_ALONE};
static const split_step jais2 = {
    .match = split_words, .letters = CH_LETTER, .prefix_not = PREFIX, .others_not = PLAIN_OTHERS,
    .max = 3, .tail = SPLIT_TAIL_LINES, .abbrev = SPLIT_ABBREV_ALONE, .spaces_by_halves = true};
static const split_step exaone_moe = {
    .match = split_words, .word = SPLIT_PHRASE, .prefix_not = PREFIX, .others_not = PLAIN_OTHERS,
    .max = 1, .tail = SPLIT_TAIL_ONE, .abbrev = SPLIT_ABBREV_ALONE};

static const split_step tekken = {
    .match = split_words, .word = SPLIT_CASED, .prefix_not = PREFIX, .others_not = PLAIN_OTHERS,
    .max = 1, .tail = SPLIT_TAIL_SLASH};
static const split_step gpt4o = {
    .match = split_words, .word = SPLIT_CASED, .prefix_not = PREFIX, .others_not = PLAIN_OTHERS,
    .max = 3, .tail = SPLIT_TAIL_SLASH, .abbrev = SPLIT_ABBREV_SUFFIX};
static const split_step youtu = {
    .match = split_words, .word = SPLIT_CASED, .prefix_not = PREFIX, .others_not = PLAIN_OTHERS,
    .max = 1, .tail = SPLIT_TAIL_SLASH, .abbrev = SPLIT_ABBREV_SUFFIX};
static const split_step kimi = {
    .match = split_words, .word = SPLIT_CASED, .prefix_not = PREFIX, .others_not = PLAIN_OTHERS,
    .max = 3, .tail = SPLIT_TAIL_LINES, .abbrev = SPLIT_ABBREV_SUFFIX, .no_han = true};

static const split_step number = {.match = split_set, .letters = CH_NUMBER, .max = 1};
static const split_step numbers = {.match = split_set, .letters = CH_NUMBER};
static const split_step three_numbers = {.match = split_set, .letters = CH_NUMBER, .max = 3};
static const split_range ascii_digit[] = {{'0', '9'}};
static const split_step three_digits = {.match = split_set, RANGES(ascii_digit), .min = 3, .max = 3};
static const split_step line_end = {.match = split_set, .letters = CH_NEWLINE, .max = 1};
static const split_step lines = {.match = split_lines};

/* What Hugging Face's Punctuation takes besides P*: ASCII symbols. */
static const split_range ascii_symbols[] = {{'$', '$'}, {'+', '+'}, {'<', '>'}, {'^', '^'},
                                            {'`', '`'}, {'|', '|'}, {'~', '~'}};
static const split_step punctuation = {
    .match = split_set, .letters = CH_PUNCTUATION, RANGES(ascii_symbols)};
static const split_step one_punctuation = {
    .match = split_set, .letters = CH_PUNCTUATION, RANGES(ascii_symbols), .max = 1};

static const split_step spaced_letters = {
    .match = split_set, .letters = CH_LETTER, .before = SPLIT_AFTER_SPACE};
static const split_step spaced_punctuation = {
    .match = split_set, .letters = CH_PUNCTUATION, .before = SPLIT_AFTER_SPACE};
static const split_range deepseek_cjk_ranges[] = {{0x800, 0x9FA5}, {0xAC00, 0xD7FF}};
static const split_step deepseek_cjk = {.match = split_set, RANGES(deepseek_cjk_ranges)};
static const split_range cased_ranges[] = { // letters with case, as the model's file lists them
    {0x41, 0x5A}, {0x61, 0x7A}, {0xB5, 0xB5}, {0xC0, 0xD6}, {0xD8, 0xF6}, {0xF8, 0x1BA},
    {0x1BC, 0x1BF}, {0x1C4, 0x293}, {0x295, 0x2AF}, {0x370, 0x373}, {0x376, 0x377},
    {0x37B, 0x37D}, {0x37F, 0x37F}, {0x386, 0x386}, {0x388, 0x38A}, {0x38C, 0x38C},
    {0x38E, 0x3A1}, {0x3A3, 0x3F5}, {0x3F7, 0x481}, {0x48A, 0x52F}, {0x531, 0x556},
    {0x10A0, 0x10C5}, {0x13A0, 0x13F5}, {0x13F8, 0x13FD}, {0x1C90, 0x1CBA}, {0x1CBD, 0x1CBF},
    {0x1D00, 0x1D2B}, {0x1D6B, 0x1D77}, {0x1D79, 0x1D9A}, {0x1E00, 0x1F15}, {0x1F18, 0x1F1D},
    {0x1F20, 0x1F45}, {0x1F48, 0x1F4D}, {0x1F50, 0x1F57}, {0x1F59, 0x1F59}, {0x1F5B, 0x1F5B},
    {0x1F5D, 0x1F5D}, {0x1F5F, 0x1F7D}, {0x1F80, 0x1FB4}, {0x1FB6, 0x1FBC}, {0x1FBE, 0x1FBE},
    {0x1FC2, 0x1FC4}, {0x1FC6, 0x1FCC}, {0x1FD0, 0x1FD3}, {0x1FD6, 0x1FDB}, {0x1FE0, 0x1FEC},
    {0x1FF2, 0x1FF4}, {0x1FF6, 0x1FFC}, {0x2102, 0x2102}, {0x2107, 0x2107}, {0x210A, 0x2113},
    {0x2115, 0x2115}, {0x2119, 0x211D}, {0x2124, 0x2124}, {0x2126, 0x2126}, {0x2128, 0x2128},
    {0x212A, 0x212D}, {0x212F, 0x2134}, {0x2139, 0x2139}, {0x213C, 0x213F}, {0x2145, 0x2149},
    {0x214E, 0x214E}, {0x2183, 0x2184}, {0x2C00, 0x2C7B}, {0x2C7E, 0x2CE4}, {0x2CEB, 0x2CEE},
    {0x2CF2, 0x2CF3}, {0xA640, 0xA66D}, {0xA680, 0xA69B}, {0xA722, 0xA76F}, {0xA771, 0xA787},
    {0xA78B, 0xA78E}, {0xAB70, 0xABBF}, {0xFB00, 0xFB06}, {0xFB13, 0xFB17}, {0xFF21, 0xFF3A},
    {0xFF41, 0xFF5A}, {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB},
    {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943}};
static const split_step spaced_cased = {
    .match = split_set, RANGES(cased_ranges), .before = SPLIT_AFTER_SPACE};
static const split_range deepseek_mark_ranges[] = {{0x21, 0x2F}, {0x3A, 0x7E}, {0x2018, 0x201F},
                                                   {0x3000, 0x3002}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}};
static const split_step spaced_marks = {
    .match = split_set, RANGES(deepseek_mark_ranges), .before = SPLIT_AFTER_SPACE};
static const split_step end_spaces = {.match = split_end_spaces};
static const split_range kana_han_ranges[] = {{0x3040, 0x30FF}, {0x4E00, 0x9FA5}};
static const split_step kana_han = {.match = split_set, RANGES(kana_han_ranges)};
static const split_step deepseek = {.match = split_deepseek};

static const split_range asian_ranges[] = {
    {0xE40, 0xEFF}, {0x1000, 0x109F}, {0x1100, 0x11FF}, {0x1780, 0x17FF}, {0x2F00, 0x2FDF},
    {0x3040, 0x30FF}, {0x3400, 0x4DBF}, {0x4E00, 0x9FFF}, {0xA9E0, 0xA9FF}, {0xAA60, 0xAA7F},
    {0xAC00, 0xD7AF}, {0xF900, 0xFAFF}, {0xFF65, 0xFF9F}};
static const split_step asian = {.match = split_set, RANGES(asian_ranges)};
static const split_step numbers_right = {.match = split_numbers_right};

static const split_range stops[] = {{'!', '!'}, {'(', ')'}, {',', ','}, {'.', '.'}, {'?', '?'},
                                    {'|', '|'}, {0x60C, 0x60C}, {0x6D4, 0x6D4}, {0x964, 0x964},
                                    {0x2026, 0x2026}, {0x3001, 0x3002}, {0xFF0C, 0xFF0C}};
static const split_step bloom = {
    .match = split_set, .letters = CH_SPACE, RANGES(stops), .negate = true, .before = SPLIT_AFTER_BLANK};

static const split_step thousands = {.match = split_thousands};
static const split_step cut_thousands = {.match = split_cut_thousands};
static const split_step scripts = {.match = split_scripts};
static const split_step sentinel = {.match = split_sentinel};
static const split_step image = {.match = split_image};
static const split_step indent = {.match = split_indent};

/* ---- rules --------------------------------------------------------------------------------- */

#define GPT2 .steps = {&gpt2}
#define DIGIT_GPT2 .steps = {&number, &gpt2}
#define LLAMA3 .steps = {&llama3}
#define LLAMA3_WHOLE LLAMA3, .ignore_merges = true, .add_bos = true
#define QWEN2 .steps = {&qwen2}
#define GPT4O .steps = {&gpt4o}
#define DEEPSEEK3 .steps = {&three_numbers, &kana_han, &deepseek}
#define BLOOM .steps = {&bloom}

static const split_rule rules[] = {
    {"", .steps = {&punctuation, &gpt2, &numbers, &three_digits}},
    {"default", .steps = {&punctuation, &gpt2, &numbers, &three_digits}},

    {"gpt-2", GPT2}, {"phi-2", GPT2}, {"jais", GPT2}, {"mellum", GPT2}, {"trillion", GPT2},
    {"exaone4", GPT2}, {"granite-docling", GPT2}, {"gigachat", GPT2}, {"a.x-4.0", GPT2},
    {"jina-es", GPT2}, {"jina-de", GPT2}, {"jina-v2-es", GPT2}, {"jina-v2-de", GPT2},
    {"mpt", GPT2, .nfc = true}, {"olmo", GPT2, .nfc = true}, {"modern-bert", GPT2, .nfc = true},
    {"jina-v1-en", GPT2}, {"jina-v2-code", GPT2,},
    {"roberta-bpe", GPT2},

    {"smollm", DIGIT_GPT2}, {"starcoder", DIGIT_GPT2}, {"refact", DIGIT_GPT2},
    {"codeshell", DIGIT_GPT2}, {"exaone", DIGIT_GPT2}, {"minerva-7b", DIGIT_GPT2},
    {"mellum2", DIGIT_GPT2}, {"command-r", DIGIT_GPT2, .nfc = true},

    {"llama-bpe", LLAMA3_WHOLE}, {"llama3", LLAMA3_WHOLE}, {"llama-v3", LLAMA3_WHOLE},
    {"falcon3", LLAMA3_WHOLE}, {"falcon-h1", LLAMA3_WHOLE}, {"pixtral", LLAMA3_WHOLE},
    {"midm-2.0", LLAMA3_WHOLE}, {"lfm2", LLAMA3_WHOLE}, {"jina-v5-nano", LLAMA3_WHOLE},
    {"dbrx", LLAMA3}, {"smaug-bpe", LLAMA3}, {"glm4", LLAMA3}, {"chatglm-bpe", LLAMA3},

    {"qwen2", QWEN2, .nfc = true}, {"deepseek-r1-qwen", QWEN2, .nfc = true},
    {"megrez", QWEN2, .nfc = true}, {"f2llmv2", QWEN2, .nfc = true},
    {"stablelm2", QWEN2, .nfc = true}, {"hunyuan", QWEN2, .nfc = true},
    {"kormo", QWEN2}, {"solar-open", QWEN2}, {"grok-2", QWEN2},
    {"qwen35", .steps = {&qwen35}, .nfc = true},

    {"minicpm5", .steps = {&three_numbers, &minicpm5}, .ignore_merges = true},
    {"seed-coder", .steps = {&seed_coder}},
    {"jais-2", .steps = {&jais2}},
    {"exaone-moe", .steps = {&exaone_moe}},
    {"laguna", .steps = {&lines, &qwen2}},
    {"bailingmoe", QWEN2}, {"bailingmoe2", QWEN2}, {"llada-moe", QWEN2},

    {"tekken", .steps = {&tekken}, .ignore_merges = true, .add_bos = true},
    {"gpt-4o", GPT4O}, {"llama4", GPT4O}, {"kanana2", GPT4O}, {"talkie", GPT4O},
    {"minimax-m2", GPT4O}, {"granite-embed-multi-97m", GPT4O, .ignore_merges = true},
    {"tiny_aya", .steps = {&thousands, &gpt4o}, .nfc = true},
    {"cohere2moe", .steps = {&thousands, &gpt4o}, .nfc = true},
    {"youtu", .steps = {&scripts, &youtu}, .ignore_merges = true},
    {"kimi-k2", .steps = {&kimi}},

    {"deepseek-llm", .steps = {&line_end, &spaced_cased, &spaced_marks, &end_spaces, &deepseek_cjk,
                               &numbers}},
    {"deepseek-coder", .steps = {&line_end, &spaced_letters, &spaced_punctuation, &deepseek_cjk,
                                 &number}},
    {"deepseek-v3", DEEPSEEK3}, {"hunyuan-dense", DEEPSEEK3}, {"joyai-llm", DEEPSEEK3},
    {"afmoe", .steps = {&numbers_right, &asian, &deepseek}},

    {"falcon", .steps = {&punctuation, &gpt2, &three_digits}},
    {"bloom", BLOOM}, {"poro-chat", BLOOM}, {"gpt3-finnish", BLOOM},
    {"viking", .steps = {&bloom, &number}},
    {"superbpe", .steps = {&numbers, &cut_thousands}},
    {"chameleon", .steps = {&sentinel, &image, &indent, &number, &one_punctuation, &gpt2},
     .add_bos = true},

    {"gemma4", .steps = {&lines}, .raw = true},
    {"granite-embed-multi-311m", .steps = {&lines}, .raw = true},
    {"sarvam-moe", .steps = {&lines}, .raw = true},
};

const split_rule *split_at(size_t i)
{
    return i < sizeof rules / sizeof *rules ? &rules[i] : NULL;
}

const split_rule *split_find(str name)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (str_equal(name, str_of(rules[i].name)))
            return &rules[i];
    return NULL;
}
