/* SentencePiece Unigram ("t5"): normalise with the file's character map, then the most probable
 * way to cut the text into tokens (Viterbi). The map is a double-array trie from the file and is
 * hostile: every step is checked against its end.
 * Refuses maps whose parts do not fit and replacements over 255 bytes. */
#include <math.h>

#include "base/error.h"
#include "base/utf8.h"
#include "token/token_impl.h"

enum { MAP_LONGEST = 64, REPLACEMENT_LONGEST = 255 }; // bytes; the real maps stay under 20 and 40

static const double UNKNOWN_PENALTY = 10.0; // below the worst score, as SentencePiece has it

static uint32_t read_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* charsmap: u32 bytes of the trie, its units, then NUL-terminated replacements. */
static ingle_status open_map(tokenizer *t, ingle_error *err)
{
    const str map = t->s.charsmap;
    if (map.n == 0)
        return INGLE_OK;
    const uint8_t *p = (const uint8_t *)map.p;
    const size_t trie_bytes = map.n < 4 ? 0 : read_u32(p);
    if (map.n < 4 || trie_bytes % 4 || trie_bytes > map.n - 4)
        return error_set(err, INGLE_ERR_FORMAT, "precompiled_charsmap: a trie of %zu bytes in %zu",
                         trie_bytes, map.n);
    t->map_units = p + 4;
    t->n_map_units = trie_bytes / 4;
    t->map_texts = p + 4 + trie_bytes;
    t->n_map_texts = map.n - 4 - trie_bytes;
    for (size_t i = 0, length = 0; i < t->n_map_texts; i++) {
        length = t->map_texts[i] ? length + 1 : 0;
        if (length > REPLACEMENT_LONGEST || (length && i + 1 == t->n_map_texts))
            return error_set(err, INGLE_ERR_FORMAT, "precompiled_charsmap: a replacement has no end");
    }
    return INGLE_OK;
}

ingle_status unigram_open(tokenizer *t, ingle_error *err)
{
    if (!t->s.scores)
        return error_set(err, INGLE_ERR_FORMAT, "the vocabulary has no scores");
    const ingle_status status = open_map(t, err);
    if (status)
        return status;
    const size_t bytes = size_mul(t->s.n_tokens, sizeof(trie_entry));
    trie_entry *entries = mem_alloc(&t->memory.allocator, bytes);
    if (!entries)
        return error_memory(err, bytes, "the vocabulary's trie");
    size_t n = 0;
    double worst = 0;
    for (size_t i = 0; i < t->s.n_tokens; i++) {
        if (t->types[i] == TOKEN_NORMAL && t->s.scores[i] < worst)
            worst = (double)t->s.scores[i];
        if (token_is_plain(t, (int32_t)i))
            entries[n++] = (trie_entry){t->s.tokens[i], (int32_t)i};
    }
    t->unk_score = (isfinite(worst) ? worst : 0) - UNKNOWN_PENALTY;
    t->space_prefix = t->s.add_space_prefix != 0;
    t->trim = t->s.remove_extra_whitespaces != 0;
    t->add_bos = t->s.add_bos == 1;
    t->add_eos = t->s.add_eos != 0;
    const ingle_status built = trie_build(&t->pieces, entries, n, &t->memory, &t->memory.allocator, err);
    mem_free(&t->memory.allocator, entries);
    return built;
}

/* ---- normalising --------------------------------------------------------------------------- */

/* The longest prefix of text [n] that the map replaces; 0 = none. Units are those of Darts-clone:
 * bit 8 = a value hangs here, bits 10- = offset to the children (bit 9: times 256), low byte =
 * label; a value unit has its high bit set. */
static size_t map_prefix(const tokenizer *t, const uint8_t *text, size_t n, str *to)
{
    size_t found = 0;
    uint32_t value = 0;
    if (!t->n_map_units)
        return 0;
    uint32_t unit = read_u32(t->map_units);
    size_t at = (size_t)(unit >> 10) << ((unit & 0x200) >> 6);
    for (size_t i = 0; i < n && i < MAP_LONGEST; i++) {
        at ^= text[i];
        if (at >= t->n_map_units)
            break;
        unit = read_u32(t->map_units + 4 * at);
        if ((unit & 0x800000FFu) != text[i])
            break;
        at ^= (size_t)(unit >> 10) << ((unit & 0x200) >> 6);
        if (!(unit & 0x100))
            continue;
        if (at >= t->n_map_units)
            break;
        value = read_u32(t->map_units + 4 * at) & 0x7FFFFFFFu;
        found = i + 1;
    }
    if (!found || value >= t->n_map_texts)
        return 0;
    const char *replacement = (const char *)t->map_texts + value;
    *to = (str){replacement, strlen(replacement)}; // open_map saw the NUL
    return found;
}

/* Appends one normalised stretch: spaces become U+2581, and where `trim` says so, one a run. */
static bool add_stretch(const tokenizer *t, ingle_text *out, str text, bool *blank)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != ' ') {
            if (!text_add_byte(out, text.p[i]))
                return false;
            *blank = false;
        } else if (!(t->trim && *blank)) {
            if (!text_add_str(out, STR(TOKEN_SPACE)))
                return false;
            *blank = true;
        }
    }
    return true;
}

static bool normalise(const tokenizer *t, str text, ingle_text *out)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    const uint8_t *p = (const uint8_t *)text.p;
    bool blank = true;
    out->n = 0;
    if (t->space_prefix && !text_add_str(out, STR(TOKEN_SPACE)))
        return false;
    const size_t prefix = out->n;
    for (size_t at = 0, used; at < text.n; at += used) {
        str to;
        used = map_prefix(t, p + at, text.n - at, &to);
        if (!used) {
            bool valid;
            utf8_decode(p + at, text.n - at, &used, &valid);
            to = valid ? (str){text.p + at, used} : (str){replacement, 3};
        }
        if (!add_stretch(t, out, to, &blank))
            return false;
    }
    if (t->trim) {
        while (out->n >= prefix + 3 && memcmp(out->bytes + out->n - 3, TOKEN_SPACE, 3) == 0)
            out->n -= 3;
        if (out->n == prefix) // nothing but spaces: no text at all
            out->n = 0;
    }
    return true;
}

/* ---- the best path ------------------------------------------------------------------------- */

typedef struct {
    double score;   // of the best way to here
    int32_t id;     // its last token
    uint32_t from;  // where that token starts; UINT32_MAX: not reached
} step;

static void reach(step *steps, size_t to, double score, int32_t id, size_t from)
{
    if (steps[to].from == UINT32_MAX || score > steps[to].score)
        steps[to] = (step){score, id, (uint32_t)from};
}

static void find_path(const tokenizer *t, str text, step *steps)
{
    for (size_t i = 0; i <= text.n; i++)
        steps[i].from = UINT32_MAX;
    steps[0] = (step){0, -1, 0};
    for (size_t at = 0, used; at < text.n; at += used) {
        utf8_decode((const uint8_t *)text.p + at, text.n - at, &used, NULL);
        bool single = false; // is this one character a token?
        trie_cursor c = {0};
        while (trie_next(&t->pieces, &c, text.p + at, text.n - at)) {
            const bool user = t->types[c.id] == TOKEN_USER_DEFINED; // always worth taking
            const double score = user ? 0 : (double)t->s.scores[c.id];
            single |= c.length == used;
            reach(steps, at + c.length, steps[at].score + (score == score ? score : t->unk_score), c.id, at);
        }
        if (!single)
            reach(steps, at + used, steps[at].score + t->unk_score, t->s.unk, at);
    }
}

static bool add_path(token_job *job, const step *steps, size_t n)
{
    ingle_tokens *out = job->out;
    const size_t first = out->n;
    const int32_t unk = job->t->s.unk;
    bool after_unk = false;
    for (size_t at = n; at > 0; at = steps[at].from) {
        const bool unknown = steps[at].id == unk;
        // A run of unknown characters is one unknown token.
        if (!(unknown && (after_unk || unk < 0)) && !tokens_add(out, steps[at].id))
            return false;
        after_unk = unknown;
    }
    for (size_t low = first, high = out->n; low + 1 < high; low++) { // found from the end
        const int32_t id = out->ids[low];
        out->ids[low] = out->ids[--high];
        out->ids[high] = id;
    }
    return true;
}

ingle_status unigram_encode(token_job *job, str fragment, bool first, ingle_error *err)
{
    const tokenizer *t = job->t;
    (void)first;
    if (!normalise(t, fragment, &job->text))
        return error_memory(err, fragment.n, "normalising a text");
    const str text = {job->text.bytes, job->text.n};
    if (!text.n)
        return INGLE_OK;
    if (text.n >= INT32_MAX)
        return error_set(err, INGLE_ERR_USAGE, "a text of %zu bytes is too long", text.n);
    const size_t bytes = size_mul(text.n + 1, sizeof(step));
    if (job->path_capacity < bytes) {
        void *path = mem_resize(&t->memory.allocator, job->path, bytes);
        if (!path)
            return error_memory(err, bytes, "encoding a text");
        job->path = path;
        job->path_capacity = bytes;
    }
    find_path(t, text, job->path);
    return add_path(job, job->path, text.n) ? INGLE_OK : error_memory(err, bytes, "encoding a text");
}

ingle_status unigram_bytes(const tokenizer *t, int32_t id, bool first, ingle_text *out, ingle_error *err)
{
    const str text = t->s.tokens[id];
    return token_add_unescaped(out, text, first && t->space_prefix)
               ? INGLE_OK
               : error_memory(err, text.n, "decoding a token");
}
