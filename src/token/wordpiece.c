/* WordPiece ("bert"): clean, lower-case, cut into words, then the longest token first inside each.
 * Files hold a word's first token with U+2581 before it and the others bare. */
#include "base/error.h"
#include "base/utf8.h"
#include "token/token_impl.h"
#include "token/unicode.h"

enum { WORD_LONGEST = 100 }; // characters; a longer word is unknown as a whole, as in BERT's own

ingle_status wordpiece_open(tokenizer *t, ingle_error *err)
{
    const size_t bytes = size_mul(t->s.n_tokens, sizeof(trie_entry));
    trie_entry *entries = mem_alloc(&t->memory.allocator, bytes);
    if (!entries)
        return error_memory(err, bytes, "the vocabulary's trie");
    size_t n = 0;
    for (size_t i = 0; i < t->s.n_tokens; i++)
        if (token_is_plain(t, (int32_t)i))
            entries[n++] = (trie_entry){t->s.tokens[i], (int32_t)i};
    t->lowercase = t->s.lowercase != 0;
    t->strip_accents = t->s.strip_accents < 0 ? t->lowercase : t->s.strip_accents;
    t->add_bos = t->s.add_bos != 0;
    t->add_sep = t->s.add_sep != 0;
    const ingle_status built = trie_build(&t->pieces, entries, n, &t->memory, &t->memory.allocator, err);
    mem_free(&t->memory.allocator, entries);
    return built;
}

/* The blocks that BERT's tokenizer sets apart as Chinese characters. The sixth begins at 2B920
 * where the block begins at 2B820: models were trained with it so. */
static bool is_chinese(uint32_t c)
{
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
           (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
           (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

static bool stands_alone(uint32_t c)
{
    const bool ascii_mark = (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
                            (c >= 123 && c <= 126);
    return ascii_mark || unicode_is_punctuation(c) || is_chinese(c);
}

static bool is_dropped(uint32_t c) // by cleaning; tab, LF and CR are spaces and never come here
{
    const unicode_category_id category = unicode_category(c);
    return c == 0 || c == 0xFFFD || category == CAT_CC || category == CAT_CF || category == CAT_CN ||
           category == CAT_CO;
}

/* Longest tokens first; false and one unknown token if a part of the word is none. */
static bool encode_word(token_job *job, str word, size_t n_characters)
{
    const tokenizer *t = job->t;
    const size_t mark = job->out->n;
    for (size_t at = 0; at < word.n && n_characters <= WORD_LONGEST;) {
        trie_cursor c = {0}, best = {0};
        while (trie_next(&t->pieces, &c, word.p + at, word.n - at))
            best = c;
        // Past the start, a token that carries the word mark would not be a continuation.
        const bool misplaced = at && best.length >= 3 && memcmp(word.p + at, TOKEN_SPACE, 3) == 0;
        if (!best.length || misplaced)
            break;
        if (!tokens_add(job->out, best.id))
            return false;
        at += best.length;
        if (at == word.n)
            return true;
    }
    job->out->n = mark;
    return t->s.unk < 0 || tokens_add(job->out, t->s.unk);
}

typedef struct {
    token_job *job;
    size_t n_characters; // of the word in job->spare, after its U+2581
} words;

static bool end_word(words *w)
{
    ingle_text *word = &w->job->spare;
    const bool fine = !w->n_characters || encode_word(w->job, (str){word->bytes, word->n}, w->n_characters);
    word->n = 0;
    w->n_characters = 0;
    return fine;
}

static bool add_character(words *w, uint32_t code)
{
    ingle_text *word = &w->job->spare;
    char bytes[4];
    if (++w->n_characters > WORD_LONGEST)
        return true; // its text no longer matters
    return (word->n || text_add_str(word, STR(TOKEN_SPACE))) &&
           text_add(word, bytes, utf8_encode(code, bytes));
}

static bool take(words *w, uint32_t code)
{
    const tokenizer *t = w->job->t;
    if (unicode_is_space(code))
        return end_word(w);
    if (is_dropped(code) || (t->strip_accents && unicode_category(code) == CAT_MN))
        return true;
    uint32_t lower[2] = {code};
    const size_t n = t->lowercase ? unicode_lower(code, lower) : 1;
    const bool alone = stands_alone(code);
    if (alone && !end_word(w))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!add_character(w, lower[i]))
            return false;
    return !alone || end_word(w);
}

ingle_status wordpiece_encode(token_job *job, str fragment, bool first, ingle_error *err)
{
    (void)first;
    job->text.n = job->spare.n = 0;
    if (job->t->strip_accents) {
        const ingle_status status = unicode_normalise(fragment, UNICODE_NFD, &job->text, err);
        if (status)
            return status;
        fragment = (str){job->text.bytes, job->text.n};
    }
    words w = {.job = job};
    const uint8_t *p = (const uint8_t *)fragment.p;
    bool fine = true;
    for (size_t at = 0, used; at < fragment.n && fine; at += used)
        fine = take(&w, utf8_decode(p + at, fragment.n - at, &used, NULL));
    fine = fine && end_word(&w);
    return fine ? INGLE_OK : error_memory(err, fragment.n, "encoding a text");
}

/* Words are joined by a space, but for the marks that lean on the word before them. */
ingle_status wordpiece_bytes(const tokenizer *t, int32_t id, bool first, ingle_text *out, ingle_error *err)
{
    const str text = t->s.tokens[id];
    const bool begins = str_starts(text, STR(TOKEN_SPACE));
    const str rest = begins ? (str){text.p + 3, text.n - 3} : text;
    const bool leans = rest.n && (rest.p[0] == '.' || rest.p[0] == '?' || rest.p[0] == '!' || rest.p[0] == ',');
    const bool space = begins && !first && !leans;
    return (!space || text_add_byte(out, ' ')) && text_add_str(out, rest)
               ? INGLE_OK
               : error_memory(err, text.n, "decoding a token");
}
