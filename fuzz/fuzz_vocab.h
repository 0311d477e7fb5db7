/* Small vocabularies of every kind, for targets in which the text is foreign and the vocabulary is
 * not. Each is built anew for a call and freed by fuzz_vocab_free. */
#ifndef INGLE_FUZZ_VOCAB_H
#define INGLE_FUZZ_VOCAB_H

#include "base/utf8.h"
#include "fuzz.h"
#include "token/token.h"

typedef struct {
    ingle_text text;     // of all tokens
    size_t ends[700];
    str tokens[700];
    float scores[700];
    int32_t types[700];
    size_t n;
    token_source source;
} fuzz_vocab;

static inline void fuzz_add_token(fuzz_vocab *v, const char *bytes, size_t n, int32_t type)
{
    MUST(v->n < 700 && text_add(&v->text, bytes, n));
    v->ends[v->n] = v->text.n;
    v->scores[v->n] = -(float)v->n / 8;
    v->types[v->n++] = type;
}

static inline void fuzz_add_word(fuzz_vocab *v, const char *word, int32_t type)
{
    fuzz_add_token(v, word, strlen(word), type);
}

static const char *const fuzz_words[] = {"he", "in", "ll", "er", "the", "ing", "lo", "hello", "xx", "12",
                                         "don", "\xC3\xA9", "\xE4\xBD\xA0", "aa", "aaaa"};

static const str fuzz_merges[] = {
    {"h e", 3}, {"i n", 3}, {"l l", 3}, {"e r", 3}, {"t he", 4}, {"in g", 4}, {"l o", 3}, {"a a", 3}, {"aa aa", 5},
    {"\xC4\xA0 t", 4}, {"\xC4\xA0t he", 6}, {"1 2", 3}, {"x x", 3}};

static inline void fuzz_add_specials(fuzz_vocab *v)
{
    fuzz_add_word(v, "<unk>", TOKEN_UNKNOWN);
    fuzz_add_word(v, "<s>", TOKEN_CONTROL);
    fuzz_add_word(v, "</s>", TOKEN_CONTROL);
    fuzz_add_word(v, "<|im_end|>", TOKEN_CONTROL);
    fuzz_add_word(v, "<|im_start|>", TOKEN_CONTROL);
    fuzz_add_word(v, "[TOOL]", TOKEN_USER_DEFINED);
}

static inline void fuzz_fill_bpe(fuzz_vocab *v)
{
    // A byte as GPT-2's vocabularies write it: printable Latin-1 as itself, the rest from U+0100 on.
    uint32_t next = 256;
    for (unsigned b = 0; b < 256; b++) {
        char utf8[8];
        const bool itself = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        fuzz_add_token(v, utf8, utf8_encode(itself ? b : next++, utf8), TOKEN_NORMAL);
    }
    for (size_t i = 0; i < sizeof fuzz_merges / sizeof *fuzz_merges; i++) {
        char joined[16];
        size_t n = 0;
        for (size_t k = 0; k < fuzz_merges[i].n; k++)
            if (fuzz_merges[i].p[k] != ' ')
                joined[n++] = fuzz_merges[i].p[k];
        fuzz_add_token(v, joined, n, TOKEN_NORMAL);
    }
    v->source.merges = fuzz_merges;
    v->source.n_merges = sizeof fuzz_merges / sizeof *fuzz_merges;
}

#define FUZZ_SPACE "\xE2\x96\x81" // U+2581, before the first piece of a word

static inline void fuzz_fill_pieces(fuzz_vocab *v, bool bytes)
{
    char text[16];
    for (unsigned b = 0; b < 256 && bytes; b++) {
        snprintf(text, sizeof text, "<0x%02X>", b);
        fuzz_add_word(v, text, TOKEN_BYTE);
    }
    for (unsigned c = 33; c < 127; c++)
        fuzz_add_token(v, &(const char){(char)c}, 1, TOKEN_NORMAL);
    for (size_t i = 0; i < sizeof fuzz_words / sizeof *fuzz_words; i++) {
        fuzz_add_word(v, fuzz_words[i], TOKEN_NORMAL);
        snprintf(text, sizeof text, FUZZ_SPACE "%s", fuzz_words[i]);
        fuzz_add_word(v, text, TOKEN_NORMAL);
    }
    fuzz_add_word(v, FUZZ_SPACE, TOKEN_NORMAL);
    for (unsigned c = 33; c < 127 && !bytes; c++) {
        snprintf(text, sizeof text, FUZZ_SPACE "%c", (char)c);
        fuzz_add_word(v, text, TOKEN_NORMAL);
    }
}

/* kind: 0 byte-level BPE with the pre-tokenizer `pre`, 1 SentencePiece, 2 unigram, 3 WordPiece. */
static inline fuzz_vocab *fuzz_vocab_make(unsigned kind, str pre)
{
    static const char *const models[] = {"gpt2", "llama", "t5", "bert"};
    fuzz_vocab *v = calloc(1, sizeof *v);
    MUST(v);
    v->source = (token_source){.model = str_of(models[kind]), .pre = pre, .architecture = STR("llama"),
                               .bos = 1, .eos = 2, .eot = 3, .eom = -1, .unk = 0, .sep = 2, .pad = -1,
                               .cls = 1, .mask = -1, .add_bos = -1, .add_eos = -1, .add_sep = -1,
                               .add_space_prefix = -1, .remove_extra_whitespaces = -1, .lowercase = -1,
                               .strip_accents = -1};
    fuzz_add_specials(v);
    if (kind == 0)
        fuzz_fill_bpe(v);
    else
        fuzz_fill_pieces(v, kind != 3);
    for (size_t i = 0, at = 0; i < v->n; at = v->ends[i++])
        v->tokens[i] = (str){v->text.bytes + at, v->ends[i] - at};
    v->source.tokens = v->tokens;
    v->source.scores = v->scores;
    v->source.types = v->types;
    v->source.n_tokens = v->n;
    return v;
}

static inline void fuzz_vocab_free(fuzz_vocab *v)
{
    ingle_text_free(&v->text);
    free(v);
}

/* Encodes text and decodes what comes out, whatever the vocabulary. Frees nothing of t's. */
static inline void fuzz_round_trip(const tokenizer *t, size_t n_tokens, str text, const uint8_t *marks,
                                   unsigned flags, ingle_tokens *ids, ingle_text *back)
{
    ingle_error err;
    ingle_status status = token_encode(t, text, marks, flags, ids, &err);
    fuzz_check_error(status, &err);
    if (status != INGLE_OK)
        return;
    for (size_t i = 0; i < ids->n; i++)
        MUST(ids->ids[i] >= 0 && (size_t)ids->ids[i] < n_tokens);
    status = token_decode(t, ids->ids, ids->n, (flags & INGLE_PARSE_SPECIAL) != 0, back, &err);
    fuzz_check_error(status, &err);
    bool valid = true;
    for (size_t i = 0, used; i < back->n && valid; i += used)
        utf8_decode((const uint8_t *)back->bytes + i, back->n - i, &used, &valid);
    MUST(valid);
    ingle_text raw = {0};
    for (size_t i = 0; i < ids->n && i < 1000; i++)
        MUST(token_bytes(t, ids->ids[i], true, i == 0, &raw, &err) == INGLE_OK);
    ingle_text_free(&raw);
}

#endif
