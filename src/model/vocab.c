/* Reads a vocabulary's metadata keys. Checks types and lengths; what the ids and texts mean is the
 * tokenizer's to judge. */
#include "model/vocab.h"

#include "base/error.h"

#define KEY(name) "tokenizer.ggml." name

static ingle_status wrong(const char *key, const char *wanted, ingle_error *err)
{
    return error_set(err, INGLE_ERR_FORMAT, "%s: %s expected", key, wanted);
}

static ingle_status read_strs(const str **out, size_t *n, const gguf *g, const char *key, arena *memory,
                              ingle_error *err)
{
    const gguf_value *v = gguf_find(g, key);
    *out = NULL;
    *n = 0;
    if (!v)
        return INGLE_OK;
    if (v->type != GGUF_ARRAY || v->item_type != GGUF_STRING || v->n_items > SIZE_MAX / sizeof(str))
        return wrong(key, "an array of strings", err);
    const size_t count = (size_t)v->n_items;
    str *items = arena_alloc(memory, size_mul(count, sizeof *items));
    if (!items)
        return error_memory(err, size_mul(count, sizeof *items), key);
    size_t cursor = 0, i = 0;
    while (i < count && gguf_next_str(g, v, &cursor, &items[i]))
        i++;
    if (i < count)
        return error_set(err, INGLE_ERR_FORMAT, "%s: %zu of %zu strings", key, i, count);
    *out = items;
    *n = count;
    return INGLE_OK;
}

/* The array at key if it has the vocabulary's length; *v NULL if it is absent. */
static ingle_status find_numbers(const gguf_value **v, const gguf *g, const char *key, size_t n,
                                 ingle_error *err)
{
    *v = gguf_find(g, key);
    if (!*v)
        return INGLE_OK;
    if ((*v)->type != GGUF_ARRAY || (*v)->item_type == GGUF_STRING)
        return wrong(key, "an array of numbers", err);
    if ((*v)->n_items != n)
        return error_set(err, INGLE_ERR_FORMAT, "%s has %llu items, the vocabulary %zu tokens", key,
                         (unsigned long long)(*v)->n_items, n);
    return INGLE_OK;
}

static ingle_status read_scores(token_source *s, const gguf *g, arena *memory, ingle_error *err)
{
    const gguf_value *v;
    const ingle_status status = find_numbers(&v, g, KEY("scores"), s->n_tokens, err);
    if (status || !v)
        return status;
    float *scores = arena_alloc(memory, size_mul(s->n_tokens, sizeof *scores));
    if (!scores)
        return error_memory(err, size_mul(s->n_tokens, sizeof *scores), KEY("scores"));
    for (size_t i = 0; i < s->n_tokens; i++) {
        double x;
        if (!gguf_item_f64(v, i, &x))
            return wrong(KEY("scores"), "an array of numbers", err);
        scores[i] = (float)x;
    }
    s->scores = scores;
    return INGLE_OK;
}

static ingle_status read_types(token_source *s, const gguf *g, arena *memory, ingle_error *err)
{
    const gguf_value *v;
    const ingle_status status = find_numbers(&v, g, KEY("token_type"), s->n_tokens, err);
    if (status || !v)
        return status;
    int32_t *types = arena_alloc(memory, size_mul(s->n_tokens, sizeof *types));
    if (!types)
        return error_memory(err, size_mul(s->n_tokens, sizeof *types), KEY("token_type"));
    for (size_t i = 0; i < s->n_tokens; i++) {
        int64_t x;
        if (!gguf_item_i64(v, i, &x))
            return wrong(KEY("token_type"), "an array of integers", err);
        types[i] = x < INT32_MIN || x > INT32_MAX ? 0 : (int32_t)x;
    }
    s->types = types;
    return INGLE_OK;
}

/* An array of bytes, borrowed as it is stored. */
static ingle_status read_charsmap(token_source *s, const gguf *g, ingle_error *err)
{
    const char *key = KEY("precompiled_charsmap");
    const gguf_value *v = gguf_find(g, key);
    if (!v)
        return INGLE_OK;
    if (v->type != GGUF_ARRAY || (v->item_type != GGUF_U8 && v->item_type != GGUF_I8))
        return wrong(key, "an array of bytes", err);
    s->charsmap = v->bytes;
    return INGLE_OK;
}

static void read_ids(token_source *s, const gguf *g)
{
    const struct {
        const char *key;
        int32_t *id;
    } ids[] = {{KEY("bos_token_id"), &s->bos},         {KEY("eos_token_id"), &s->eos},
               {KEY("eot_token_id"), &s->eot},         {KEY("eom_token_id"), &s->eom},
               {KEY("unknown_token_id"), &s->unk},     {KEY("padding_token_id"), &s->pad},
               {KEY("seperator_token_id"), &s->sep}, // so spelt in files
               {KEY("separator_token_id"), &s->sep},   {KEY("cls_token_id"), &s->cls},
               {KEY("mask_token_id"), &s->mask}};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        uint32_t id;
        if (gguf_get_u32(g, ids[i].key, &id)) // -2: stated, but no token; not the kind's default
            *ids[i].id = id < s->n_tokens ? (int32_t)id : -2;
    }
}

static void read_switches(token_source *s, const gguf *g)
{
    const struct {
        const char *key;
        int *value;
    } switches[] = {{KEY("add_bos_token"), &s->add_bos},
                    {KEY("add_eos_token"), &s->add_eos},
                    {KEY("add_sep_token"), &s->add_sep},
                    {KEY("add_space_prefix"), &s->add_space_prefix},
                    {KEY("remove_extra_whitespaces"), &s->remove_extra_whitespaces},
                    {KEY("normalizer.lowercase"), &s->lowercase},
                    {KEY("normalizer.strip_accents"), &s->strip_accents}};
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        bool on;
        if (gguf_get_bool(g, switches[i].key, &on))
            *switches[i].value = on;
    }
}

ingle_status vocab_source(token_source *out, const gguf *g, arena *memory, ingle_error *err)
{
    token_source s = {.bos = -1, .eos = -1, .eot = -1, .eom = -1, .unk = -1, .sep = -1, .pad = -1,
                      .cls = -1, .mask = -1, .add_bos = -1, .add_eos = -1, .add_sep = -1,
                      .add_space_prefix = -1, .remove_extra_whitespaces = -1, .lowercase = -1,
                      .strip_accents = -1};
    *out = s;
    if (!gguf_get_str(g, KEY("model"), &s.model))
        return error_set(err, INGLE_ERR_UNSUPPORTED, "the file has no vocabulary (%s)", KEY("model"));
    gguf_get_str(g, KEY("pre"), &s.pre);
    gguf_get_str(g, "general.architecture", &s.architecture);
    ingle_status status = read_strs(&s.tokens, &s.n_tokens, g, KEY("tokens"), memory, err);
    if (!status)
        status = read_strs(&s.merges, &s.n_merges, g, KEY("merges"), memory, err);
    if (!status)
        status = read_scores(&s, g, memory, err);
    if (!status)
        status = read_types(&s, g, memory, err);
    if (!status)
        status = read_charsmap(&s, g, err);
    if (status)
        return status;
    read_ids(&s, g);
    read_switches(&s, g);
    *out = s;
    return INGLE_OK;
}
