/* SentencePiece BPE ("llama"): characters merge by the score of what they become, the best first.
 * Characters outside the vocabulary become <0xXX> bytes. Where no token could join the end of
 * one word to the next, the words are merged apart, which gives the same result sooner. */
#include "base/error.h"
#include "base/utf8.h"
#include "token/token_impl.h"

/* Notes what a token holds before a U+2581 that follows something else: behind such a byte, merges
 * may cross the end of a word. */
static void note_joins(tokenizer *t, str text)
{
    for (size_t i = 1; i + 3 <= text.n; i++) {
        const bool blank = i >= 3 && memcmp(text.p + i - 3, TOKEN_SPACE, 3) == 0;
        if (memcmp(text.p + i, TOKEN_SPACE, 3) == 0 && !blank)
            t->joins[(uint8_t)text.p[i - 1]] = true;
    }
}

ingle_status spm_open(tokenizer *t, ingle_error *err)
{
    if (!t->s.scores)
        return error_set(err, INGLE_ERR_FORMAT, "the vocabulary has no scores");
    for (size_t i = 0; i < t->s.n_tokens; i++) {
        t->has_unused |= t->types[i] == TOKEN_UNUSED;
        if (token_is_plain(t, (int32_t)i))
            note_joins(t, t->s.tokens[i]);
    }
    token_find_bytes(t);
    t->space_prefix = t->s.add_space_prefix != 0;
    t->add_bos = t->s.add_bos != 0;
    t->add_eos = t->s.add_eos == 1;
    return INGLE_OK;
}

/* Scores as integers, so that a higher score is a lower order. Of no number is it MERGE_NONE. */
static uint32_t order_of(float score)
{
    uint32_t bits;
    if (score != score)
        return MERGE_NONE - 1;
    score += 0.0f; // -0 becomes 0
    memcpy(&bits, &score, sizeof bits);
    return bits & 0x80000000u ? bits : ~(bits | 0x80000000u);
}

static int32_t scored(const token_job *job, const merge_symbol *left, const merge_symbol *right,
                      uint32_t *order)
{
    const int32_t id = token_find_plain(job->t, job->base + left->start, (size_t)left->n + right->n);
    if (id >= 0)
        *order = order_of(job->t->s.scores[id]);
    return id;
}

static bool add_symbols(token_job *job, str text)
{
    job->n_symbols = job->n_nodes = 0;
    job->base = text.p;
    for (size_t at = 0, used; at < text.n; at += used) {
        utf8_decode((const uint8_t *)text.p + at, text.n - at, &used, NULL);
        if (!merge_add(job, token_find_plain(job->t, text.p + at, used), at, used))
            return false;
    }
    return true;
}

static bool add_bytes(token_job *job, const merge_part *part)
{
    const tokenizer *t = job->t;
    for (uint32_t i = 0; i < part->n; i++) {
        const int32_t byte = t->byte_ids[(uint8_t)job->base[part->start + i]];
        if (byte >= 0) {
            if (!tokens_add(job->out, byte))
                return false;
            continue;
        }
        // Without byte tokens a run of unknown characters is one unknown token.
        const bool repeats = job->out->n && job->out->ids[job->out->n - 1] == t->s.unk;
        if (t->s.unk >= 0 && !repeats && !tokens_add(job->out, t->s.unk))
            return false;
    }
    return true;
}

/* Writes a symbol out; an unused token is taken apart the way it was put together. */
static bool add_part(token_job *job, merge_part part)
{
    size_t n = 0;
    for (;;) {
        if (part.node) {
            merge_part *stack = mem_grow(&job->t->memory.allocator, job->stack, n,
                                         &job->stack_capacity, sizeof *stack);
            if (!stack)
                return false;
            job->stack = stack;
            stack[n++] = job->nodes[part.node].right;
            part = job->nodes[part.node].left;
            continue;
        }
        const bool whole = part.id >= 0 && job->t->types[part.id] != TOKEN_UNUSED;
        if (!(whole ? tokens_add(job->out, part.id) : add_bytes(job, &part)))
            return false;
        if (!n)
            return true;
        part = job->stack[--n];
    }
}

static bool encode_word(token_job *job, str word)
{
    // Words are short and often tokens; a token that is the whole text may still not be what merges
    // lead to, so there is no short cut by looking it up.
    if (!add_symbols(job, word) || !merge_all(job, scored))
        return false;
    for (uint32_t i = 0; i != MERGE_END; i = job->symbols[i].next) {
        const merge_symbol *s = &job->symbols[i];
        if (!add_part(job, (merge_part){s->id, s->start, s->n, s->node}))
            return false;
    }
    return true;
}

/* Where the word that starts at `at` ends: before the next U+2581 that follows something else, if
 * no token could hold the two together. */
static size_t word_end(const tokenizer *t, str text, size_t at)
{
    bool blank = true;
    while (at < text.n) {
        const bool space = text.n - at >= 3 && memcmp(text.p + at, TOKEN_SPACE, 3) == 0;
        if (space && !blank && !t->joins[(uint8_t)text.p[at - 1]])
            return at;
        blank = space;
        at += space ? 3 : 1;
    }
    return at;
}

ingle_status spm_encode(token_job *job, str fragment, bool first, ingle_error *err)
{
    const tokenizer *t = job->t;
    ingle_text *text = &job->text;
    text->n = 0;
    bool fine = !(first && t->space_prefix) || text_add_str(text, STR(TOKEN_SPACE));
    for (size_t i = 0; i < fragment.n && fine; i++)
        fine = fragment.p[i] == ' ' ? text_add_str(text, STR(TOKEN_SPACE))
                                    : text_add_byte(text, fragment.p[i]);
    const str all = {text->bytes, text->n};
    for (size_t at = 0; at < all.n && fine;) {
        const size_t end = word_end(t, all, at);
        fine = encode_word(job, (str){all.p + at, end - at});
        at = end;
    }
    return fine ? INGLE_OK : error_memory(err, fragment.n, "encoding a text");
}

ingle_status spm_bytes(const tokenizer *t, int32_t id, bool first, ingle_text *out, ingle_error *err)
{
    const str text = t->s.tokens[id];
    return token_add_unescaped(out, text, first && t->space_prefix)
               ? INGLE_OK
               : error_memory(err, text.n, "decoding a token");
}
