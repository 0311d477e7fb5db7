/* The front of the tokenizers: opening a vocabulary, special tokens in texts, what is added around
 * a text, and decoding. The kinds (bpe.c, spm.c, unigram.c, wordpiece.c) see only the fragments
 * between special tokens.
 * Special tokens are found leftmost first, of those the longest. A text of 2 GiB is refused. */
#include "token/token.h"

#include "base/error.h"
#include "base/utf8.h"
#include "token/token_impl.h"

static const token_kind_ops kinds[] = {
#define KIND(model, name, prefix) {model, name, prefix##_open, prefix##_encode, prefix##_bytes},
    TOKEN_KINDS(KIND)
#undef KIND
};

/* Longer special tokens stay unparsed: matching looks at no more than this many bytes a place. */
enum { SPECIAL_LONGEST = 256 };

/* ---- opening ------------------------------------------------------------------------------- */

/* Texts that end an answer, whatever the file calls its end tokens. `plain_too`: no ordinary
 * text is written so, and files are known to type the token as normal. */
static const struct {
    const char *text;
    bool plain_too;
} end_texts[] = {
    {"<|eot_id|>", true}, {"<|eom_id|>", true}, {"<|im_end|>", true}, {"<|end|>", true},
    {"<|return|>", true}, {"<|call|>", true}, {"<|calls|>", true}, {"<|flush|>", true},
    {"<|endoftext|>", true}, {"<|end_of_text|>", true}, {"<end_of_turn>", true},
    {"<end_of_utterance>", true}, {"<｜end▁of▁sentence｜>", true}, {"<turn|>", true},
    {"<|tool_response>", true}, {"</s>", false}, {"<eos>", false}, {"<EOT>", false},
    {"_<EOT>", false}, {"[EOT]", false}, {"[EOS]", false}, {"[e~[", false},
    {"<|fim_pad|>", true}, {"<|repo_name|>", true}, {"<|file_sep|>", true}};

static bool is_special(uint8_t type)
{
    return type == TOKEN_CONTROL || type == TOKEN_UNKNOWN || type == TOKEN_USER_DEFINED;
}

static void mark_end(tokenizer *t, int32_t id)
{
    if (id >= 0)
        t->ends[id] = 1;
}

static void find_ends(tokenizer *t)
{
    for (size_t i = 0; i < sizeof end_texts / sizeof *end_texts; i++) {
        const str text = str_of(end_texts[i].text);
        const int32_t id = token_find(t, text.p, text.n);
        if (id < 0 || (!is_special(t->types[id]) && !end_texts[i].plain_too))
            continue;
        if (!is_special(t->types[id]))
            t->types[id] = TOKEN_CONTROL;
        mark_end(t, id);
    }
    mark_end(t, t->s.eos);
    mark_end(t, t->s.eot);
    mark_end(t, t->s.eom);
    // Where <|return|> or <|flush|> ends the answer, <|end|> only ends one of its messages.
    const int32_t end = token_find(t, "<|end|>", 7);
    const bool call = token_find(t, "<|call|>", 8) >= 0 || token_find(t, "<|calls|>", 9) >= 0;
    const bool last = token_find(t, "<|return|>", 10) >= 0 || token_find(t, "<|flush|>", 9) >= 0;
    if (end >= 0 && call && last && end != t->s.eos && end != t->s.eot)
        t->ends[end] = 0;
    // Gemma 4 holds </s> as a piece of HTML.
    const int32_t html = token_find(t, "</s>", 4);
    if (html >= 0 && html != t->s.eos && token_find(t, "<|tool_response>", 16) >= 0)
        t->ends[html] = 0;
}

static ingle_status find_specials(tokenizer *t, ingle_error *err)
{
    size_t n = 0, count = 0;
    for (size_t i = 0; i < t->s.n_tokens; i++)
        count += is_special(t->types[i]);
    trie_entry *entries = mem_alloc(&t->memory.allocator, size_mul(count, sizeof *entries));
    if (!entries)
        return error_memory(err, size_mul(count, sizeof *entries), "the special tokens");
    for (size_t i = 0; i < t->s.n_tokens; i++)
        if (is_special(t->types[i]) && t->s.tokens[i].n <= SPECIAL_LONGEST)
            entries[n++] = (trie_entry){t->s.tokens[i], (int32_t)i};
    const ingle_status status = trie_build(&t->specials, entries, n, &t->memory, &t->memory.allocator, err);
    mem_free(&t->memory.allocator, entries);
    return status;
}

/* An id that the file does not state is the kind's usual one; one out of range is none. */
static void settle(const tokenizer *t, int32_t *id, int32_t usual)
{
    if (*id == -1)
        *id = usual;
    if (*id < 0 || (size_t)*id >= t->s.n_tokens)
        *id = -1;
}

static void settle_ids(tokenizer *t)
{
    token_source *s = &t->s;
    const bool spm = str_equal(s->model, STR("llama")), t5 = str_equal(s->model, STR("t5"));
    const bool bert = str_equal(s->model, STR("bert"));
    settle(t, &s->bos, spm ? 1 : -1);
    settle(t, &s->eos, spm ? 2 : t5 ? 1 : -1);
    settle(t, &s->unk, spm ? 0 : t5 ? 2 : bert ? 100 : -1);
    settle(t, &s->sep, bert ? 102 : -1);
    settle(t, &s->pad, bert || t5 ? 0 : -1);
    settle(t, &s->cls, bert && s->bos < 0 ? 101 : -1);
    settle(t, &s->mask, bert ? 103 : -1);
    settle(t, &s->eot, -1);
    settle(t, &s->eom, -1);
    if (bert && s->cls >= 0) // what stands in front is [CLS]
        s->bos = s->cls;
}

static ingle_status check_source(const token_source *s, ingle_error *err)
{
    if (s->n_tokens == 0 || s->n_tokens >= INT32_MAX / 4)
        return error_set(err, INGLE_ERR_FORMAT, "a vocabulary of %zu tokens", s->n_tokens);
    if (s->n_merges >= INT32_MAX / 4)
        return error_set(err, INGLE_ERR_FORMAT, "a vocabulary with %zu merges", s->n_merges);
    return INGLE_OK;
}

static ingle_status open_tables(tokenizer *t, ingle_error *err)
{
    const token_source *s = &t->s;
    t->types = arena_alloc(&t->memory, s->n_tokens);
    t->ends = arena_zero(&t->memory, s->n_tokens, 1);
    if (!t->types || !t->ends)
        return error_memory(err, s->n_tokens, "the vocabulary's types");
    for (size_t i = 0; i < s->n_tokens; i++) {
        const bool known = s->types && s->types[i] >= TOKEN_NORMAL && s->types[i] <= TOKEN_BYTE;
        t->types[i] = known ? (uint8_t)s->types[i] : TOKEN_NORMAL;
    }
    settle_ids(t);
    ingle_status status = token_index_build(t, err);
    if (status)
        return status;
    find_ends(t);
    if ((status = t->ops->open(t, err)) == INGLE_OK)
        status = find_specials(t, err);
    return status;
}

ingle_status token_open(tokenizer **out, const token_source *source, const ingle_allocator *a,
                        ingle_error *err)
{
    *out = NULL;
    error_clear(err);
    ingle_status status = check_source(source, err);
    if (status)
        return status;
    const token_kind_ops *ops = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (str_equal(source->model, str_of(kinds[i].model)))
            ops = &kinds[i];
    if (!ops)
        return error_set(err, INGLE_ERR_UNSUPPORTED, "tokenizer \"%.*s\" is not known",
                         STR_ARG(source->model));
    tokenizer *t = mem_zero(a, 1, sizeof *t);
    if (!t)
        return error_memory(err, sizeof *t, "a tokenizer");
    t->s = *source;
    t->ops = ops;
    if (a)
        t->memory.allocator = *a;
    status = open_tables(t, err);
    if (status) {
        token_close(t);
        return status;
    }
    *out = t;
    return INGLE_OK;
}

void token_close(tokenizer *t)
{
    if (!t)
        return;
    const ingle_allocator a = t->memory.allocator;
    arena_free(&t->memory);
    mem_free(&a, t);
}

size_t token_table_bytes(const tokenizer *t)
{
    return t->memory.bytes + sizeof *t;
}

/* ---- questions ----------------------------------------------------------------------------- */

const char *token_kind(const tokenizer *t)
{
    return t->ops->name;
}

int32_t token_bos(const tokenizer *t)
{
    return t->s.bos;
}

int32_t token_eos(const tokenizer *t)
{
    return t->s.eos;
}

bool token_adds_bos(const tokenizer *t)
{
    return t->add_bos && t->s.bos >= 0;
}

static bool in_range(const tokenizer *t, int32_t id)
{
    return id >= 0 && (size_t)id < t->s.n_tokens;
}

bool token_is_end(const tokenizer *t, int32_t id)
{
    return in_range(t, id) && t->ends[id];
}

bool token_is_control(const tokenizer *t, int32_t id)
{
    return in_range(t, id) && (t->types[id] == TOKEN_CONTROL || t->types[id] == TOKEN_UNKNOWN);
}

/* ---- encoding ------------------------------------------------------------------------------ */

static bool any_mark(const uint8_t *marks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (marks[i])
            return true;
    return false;
}

/* The longest special token that text has at `at` and may be parsed; -1 = none. */
static int32_t special_at(const tokenizer *t, str text, size_t at, const uint8_t *marks,
                          unsigned flags, size_t *length)
{
    int32_t id = -1;
    trie_cursor c = {0};
    while (trie_next(&t->specials, &c, text.p + at, text.n - at)) {
        const bool user = t->types[c.id] == TOKEN_USER_DEFINED;
        if (!user && (!(flags & INGLE_PARSE_SPECIAL) || (marks && any_mark(marks + at, c.length))))
            continue;
        id = c.id;
        *length = c.length;
    }
    return id;
}

static ingle_status encode_text(token_job *job, str text, const uint8_t *marks, unsigned flags,
                                ingle_error *err)
{
    const tokenizer *t = job->t;
    bool first = true;
    for (size_t at = 0, from = 0; from < text.n;) {
        size_t length = 0;
        int32_t id = -1;
        while (at < text.n && (id = special_at(t, text, at, marks, flags, &length)) < 0)
            at++;
        if (at > from) {
            const ingle_status status = t->ops->encode(job, (str){text.p + from, at - from}, first, err);
            if (status)
                return status;
            first = false;
        }
        if (id >= 0) {
            if (!tokens_add(job->out, id))
                return error_memory(err, sizeof id, "a list of tokens");
            first = true;
        }
        from = at += length;
    }
    return INGLE_OK;
}

static void job_free(token_job *job)
{
    const ingle_allocator *a = &job->t->memory.allocator;
    split_free(&job->split);
    ingle_text_free(&job->text);
    ingle_text_free(&job->spare);
    mem_free(a, job->symbols);
    mem_free(a, job->heap);
    mem_free(a, job->nodes);
    mem_free(a, job->stack);
    mem_free(a, job->path);
}

static bool add_one(ingle_tokens *out, bool wanted, int32_t id)
{
    return !wanted || id < 0 || tokens_add(out, id);
}

ingle_status token_encode(const tokenizer *t, str text, const uint8_t *marks, unsigned flags,
                          ingle_tokens *out, ingle_error *err)
{
    error_clear(err);
    if (text.n >= INT32_MAX / 2)
        return error_set(err, INGLE_ERR_USAGE, "a text of %zu bytes is too long", text.n);
    const size_t before = out->n;
    const bool around = flags & INGLE_ADD_SPECIAL;
    const ingle_allocator a = t->memory.allocator;
    token_job job = {.t = t, .out = out, .split = {.a = &t->memory.allocator},
                     .text = {.allocator = a}, .spare = {.allocator = a}};
    ingle_status status = INGLE_OK;
    if (!add_one(out, around && t->add_bos, t->s.bos))
        status = error_memory(err, sizeof *out->ids, "a list of tokens");
    if (!status)
        status = encode_text(&job, text, marks, flags, err);
    if (!status && !(add_one(out, around && t->add_eos, t->s.eos) &&
                     add_one(out, around && t->add_sep, t->s.sep)))
        status = error_memory(err, sizeof *out->ids, "a list of tokens");
    job_free(&job);
    if (status)
        out->n = before;
    return status;
}

/* ---- decoding ------------------------------------------------------------------------------ */

bool token_add_unescaped(ingle_text *out, str text, bool drop)
{
    if (!text_room(out, text.n))
        return false;
    for (size_t i = 0; i < text.n;) {
        const bool escaped = text.n - i >= 3 && memcmp(text.p + i, TOKEN_SPACE, 3) == 0;
        const char c = escaped ? ' ' : text.p[i];
        if (!(drop && i == 0 && c == ' '))
            out->bytes[out->n++] = c;
        i += escaped ? 3 : 1;
    }
    out->bytes[out->n] = 0;
    return true;
}

/* The byte of a token written <0xXX>; -1 if it is not. */
static int byte_of(str text)
{
    int value = 0;
    if (text.n != 6 || !str_starts(text, STR("<0x")) || text.p[5] != '>')
        return -1;
    for (size_t i = 3; i < 5; i++) {
        const char c = text.p[i];
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                                 : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

ingle_status token_bytes(const tokenizer *t, int32_t id, bool special, bool first, ingle_text *out,
                         ingle_error *err)
{
    error_clear(err);
    if (!in_range(t, id))
        return error_set(err, INGLE_ERR_USAGE, "token %ld of %zu", (long)id, t->s.n_tokens);
    const str text = t->s.tokens[id];
    const uint8_t type = t->types[id];
    if (type == TOKEN_CONTROL || type == TOKEN_UNKNOWN) {
        if (special && !text_add_str(out, text))
            return error_memory(err, text.n, "decoding a token");
        return INGLE_OK;
    }
    const int byte = type == TOKEN_BYTE ? byte_of(text) : -1;
    if (byte >= 0 || type == TOKEN_USER_DEFINED) {
        const bool added = byte >= 0 ? text_add_byte(out, (char)byte) : text_add_str(out, text);
        return added ? INGLE_OK : error_memory(err, text.n, "decoding a token");
    }
    return t->ops->bytes(t, id, first, out, err);
}

static bool add_valid(ingle_text *out, const ingle_text *raw)
{
    for (size_t at = 0, used; at < raw->n; at += used) {
        bool valid;
        char bytes[4];
        const uint32_t code = utf8_decode((const uint8_t *)raw->bytes + at, raw->n - at, &used, &valid);
        if (!(valid ? text_add(out, raw->bytes + at, used) : text_add(out, bytes, utf8_encode(code, bytes))))
            return false;
    }
    return true;
}

ingle_status token_decode(const tokenizer *t, const int32_t *ids, size_t n, bool special,
                          ingle_text *out, ingle_error *err)
{
    ingle_status status = error_clear(err);
    ingle_text raw = {.allocator = t->memory.allocator};
    bool first = true; // nothing but silent control tokens so far
    for (size_t i = 0; i < n && !status; i++) {
        status = token_bytes(t, ids[i], special, first, &raw, err);
        if (!status && !(token_is_control(t, ids[i]) && !special))
            first = false;
    }
    const size_t before = out->n;
    if (!status && !add_valid(out, &raw)) {
        out->n = before;
        status = error_memory(err, raw.n, "decoding tokens");
    }
    ingle_text_free(&raw);
    return status;
}
