/* Byte-pair encoding by ranked merges ("gpt2", "gemma4"): normalise, split into pieces, merge inside
 * each. Byte-level vocabularies write a byte as one of 256 printable characters; raw ones ("gemma4"
 * and its like) hold plain UTF-8 with U+2581 for a space and <0xXX> for what they lack.
 * Refuses pre-tokenizers that split_rules.c does not know. */
#include "base/error.h"
#include "base/utf8.h"
#include "token/token_impl.h"
#include "token/unicode.h"

/* ---- the byte alphabet --------------------------------------------------------------------- */

/* Printable Latin-1 bytes stand for themselves; the 68 others follow from U+0100 on, in order. */
static bool printable(uint32_t b)
{
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
}

static uint32_t shown(uint32_t b)
{
    if (printable(b))
        return b;
    return 256 + (b < 33 ? b : b < 161 ? b - 127 + 33 : 67);
}

static int hidden(uint32_t code) // the byte that a character stands for; -1 = none
{
    if (code < 256)
        return printable(code) ? (int)code : -1;
    const uint32_t i = code - 256;
    return i < 33 ? (int)i : i < 67 ? (int)(i - 33 + 127) : i == 67 ? 173 : -1;
}

static bool add_shown(ingle_text *out, str bytes)
{
    out->n = 0;
    if (!text_room(out, size_mul(bytes.n, 2)))
        return false;
    for (size_t i = 0; i < bytes.n; i++)
        out->n += utf8_encode(shown((uint8_t)bytes.p[i]), out->bytes + out->n);
    return true;
}

/* ---- opening ------------------------------------------------------------------------------- */

enum { RANKLESS_LONGEST = 512 }; // of a token where merges are found by text

ingle_status bpe_open(tokenizer *t, ingle_error *err)
{
    const bool gemma = str_equal(t->s.model, STR("gemma4"));
    t->rule = split_find(gemma ? STR("gemma4") : t->s.pre);
    if (!t->rule)
        return error_set(err, INGLE_ERR_UNSUPPORTED, "pre-tokenizer \"%.*s\" is not known",
                         STR_ARG(t->s.pre));
    if (t->s.n_merges) {
        const ingle_status status = token_merges_build(t, err);
        if (status)
            return status;
    } else if (t->index.longest > RANKLESS_LONGEST)
        return error_set(err, INGLE_ERR_UNSUPPORTED,
                         "a vocabulary without merges has a token of %zu bytes", t->index.longest);
    if (t->rule->raw)
        token_find_bytes(t);
    else
        for (uint32_t b = 0; b < 256; b++) {
            char text[4];
            t->byte_ids[b] = token_find_plain(t, text, utf8_encode(shown(b), text));
        }
    t->add_bos = t->s.add_bos < 0 ? t->rule->add_bos || gemma : t->s.add_bos;
    t->add_eos = t->s.add_eos == 1;
    return INGLE_OK;
}

/* ---- encoding ------------------------------------------------------------------------------ */

static int32_t ranked(const token_job *job, const merge_symbol *left, const merge_symbol *right,
                      uint32_t *order)
{
    if (left->id < 0 || right->id < 0)
        return -1;
    const token_merge *m = token_find_merge(&job->t->merges, left->id, right->id, order);
    return m ? m->merged : -1;
}

/* Without merges (tiktoken's way): what makes a token merges, the lowest id first. */
static int32_t rankless(const token_job *job, const merge_symbol *left, const merge_symbol *right,
                        uint32_t *order)
{
    char both[2 * RANKLESS_LONGEST];
    if (left->id < 0 || right->id < 0)
        return -1;
    const str a = job->t->s.tokens[left->id], b = job->t->s.tokens[right->id];
    memcpy(both, a.p, a.n);
    memcpy(both + a.n, b.p, b.n);
    const int32_t id = token_find_plain(job->t, both, a.n + b.n);
    if (id >= 0)
        *order = (uint32_t)id;
    return id;
}

static bool add_symbols(token_job *job, str piece)
{
    const tokenizer *t = job->t;
    job->n_symbols = 0;
    job->base = piece.p;
    for (size_t at = 0, used = 1; at < piece.n; at += used) {
        int32_t id;
        if (t->rule->raw) {
            utf8_decode((const uint8_t *)piece.p + at, piece.n - at, &used, NULL);
            id = token_find_plain(t, piece.p + at, used);
        } else
            id = t->byte_ids[(uint8_t)piece.p[at]];
        if (!merge_add(job, id, at, used))
            return false;
    }
    return true;
}

static bool add_ids(token_job *job)
{
    const tokenizer *t = job->t;
    for (uint32_t i = 0; i != MERGE_END; i = job->symbols[i].next) {
        const merge_symbol *s = &job->symbols[i];
        if (s->id >= 0) {
            if (!tokens_add(job->out, s->id))
                return false;
            continue;
        }
        // A byte-level vocabulary that lacks a byte leaves it out, as its own tokenizer does.
        for (uint32_t b = 0; b < s->n && t->rule->raw; b++) {
            const int32_t id = t->byte_ids[(uint8_t)job->base[s->start + b]];
            if ((id >= 0 || t->s.unk >= 0) && !tokens_add(job->out, id >= 0 ? id : t->s.unk))
                return false;
        }
    }
    return true;
}

/* The token that is the whole piece, where the rule asks for that; -1 = none. */
static int32_t whole(token_job *job, str piece, bool *memory)
{
    const tokenizer *t = job->t;
    if (t->rule->raw)
        return piece.p[0] == '\n' ? token_find_plain(t, piece.p, piece.n) : -1;
    if (!t->rule->ignore_merges || piece.n > t->index.longest)
        return -1;
    *memory = add_shown(&job->spare, piece);
    return *memory ? token_find_plain(t, job->spare.bytes, job->spare.n) : -1;
}

static bool encode_piece(token_job *job, str piece)
{
    const tokenizer *t = job->t;
    if (piece.n == 1 && !t->rule->raw && t->byte_ids[(uint8_t)piece.p[0]] >= 0)
        return tokens_add(job->out, t->byte_ids[(uint8_t)piece.p[0]]);
    bool memory = true;
    const int32_t id = whole(job, piece, &memory);
    if (id >= 0)
        return tokens_add(job->out, id);
    return memory && add_symbols(job, piece) && merge_all(job, t->s.n_merges ? ranked : rankless) &&
           add_ids(job);
}

static bool add_escaped(ingle_text *out, str text)
{
    size_t from = 0;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == ' ') {
            if (!text_add(out, text.p + from, i - from) || !text_add_str(out, STR(TOKEN_SPACE)))
                return false;
            from = i + 1;
        }
    return text_add(out, text.p + from, text.n - from);
}

ingle_status bpe_encode(token_job *job, str fragment, bool first, ingle_error *err)
{
    const split_rule *rule = job->t->rule;
    (void)first;
    job->text.n = 0;
    if (rule->nfc && !unicode_is_nfc(fragment)) {
        const ingle_status status = unicode_normalise(fragment, UNICODE_NFC, &job->text, err);
        if (status)
            return status;
        fragment = (str){job->text.bytes, job->text.n};
    } else if (rule->raw) {
        if (!add_escaped(&job->text, fragment))
            return error_memory(err, fragment.n, "encoding a text");
        fragment = (str){job->text.bytes, job->text.n};
    }
    const ingle_status status = split_text(&job->split, rule, fragment, err);
    if (status)
        return status;
    size_t start = 0;
    for (size_t i = 0; i < job->split.n; i++) {
        const size_t end = job->split.ends[i];
        if (!encode_piece(job, (str){fragment.p + start, end - start}))
            return error_memory(err, end - start, "encoding a piece of text");
        start = end;
    }
    return INGLE_OK;
}

/* ---- decoding ------------------------------------------------------------------------------ */

ingle_status bpe_bytes(const tokenizer *t, int32_t id, bool first, ingle_text *out, ingle_error *err)
{
    const str text = t->s.tokens[id];
    (void)first;
    if (t->rule->raw)
        return token_add_unescaped(out, text, false) ? INGLE_OK
                                                     : error_memory(err, text.n, "decoding a token");
    if (!text_room(out, text.n))
        return error_memory(err, text.n, "decoding a token");
    for (size_t at = 0, used; at < text.n; at += used) {
        const uint32_t code = utf8_decode((const uint8_t *)text.p + at, text.n - at, &used, NULL);
        const int byte = hidden(code);
        if (byte >= 0)
            out->bytes[out->n++] = (char)byte;
        else { // not of the alphabet: an added token, written as it is
            memcpy(out->bytes + out->n, text.p + at, used);
            out->n += used;
        }
    }
    out->bytes[out->n] = 0;
    return INGLE_OK;
}
