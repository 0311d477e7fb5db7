/* A text for a small sound vocabulary. First byte: kind; second: pre-tokenizer; third: flags and
 * which bytes are marked as a user's. Ids are in range, byte-level text comes back as it was, and
 * what is a user's never becomes a control token. */
#include "fuzz_vocab.h"
#include "token/split.h"

static bool well_formed(str s)
{
    bool valid = true;
    for (size_t i = 0, used; i < s.n && valid; i += used)
        utf8_decode((const uint8_t *)s.p + i, s.n - i, &used, &valid);
    return valid;
}

static const split_rule *choose_rule(unsigned choice)
{
    size_t n = 0;
    while (split_at(n))
        n++;
    return split_at(choice % n);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const unsigned kind = fuzz_byte(&bytes, &n) % 4;
    const split_rule *rule = choose_rule(fuzz_byte(&bytes, &n));
    const unsigned choice = fuzz_byte(&bytes, &n);
    fuzz_vocab *v = fuzz_vocab_make(kind, kind ? STR("") : str_of(rule->name));
    v->source.add_space_prefix = choice & 64 ? 0 : -1;
    v->source.lowercase = choice & 64 ? 0 : -1;
    v->source.remove_extra_whitespaces = choice & 128 ? 1 : -1;
    tokenizer *t;
    ingle_error err;
    MUST(token_open(&t, &v->source, NULL, &err) == INGLE_OK);
    const str text = {(const char *)bytes, n};
    uint8_t *marks = malloc(n ? n : 1);
    MUST(marks);
    const bool all = choice & 4, some = choice & 8;
    for (size_t i = 0; i < n; i++)
        marks[i] = all || (some && (i / 8 + choice) % 2);
    ingle_tokens ids = {0};
    ingle_text back = {0};
    fuzz_round_trip(t, v->n, text, all || some ? marks : NULL, choice & 3, &ids, &back);
    if (kind == 0 && !rule->nfc && !rule->raw && !(choice & INGLE_ADD_SPECIAL) && well_formed(text))
        MUST(back.n == n && (n == 0 || memcmp(back.bytes, bytes, n) == 0));
    if (all && !(choice & INGLE_ADD_SPECIAL))
        for (size_t i = 0; i < ids.n; i++)
            MUST(ids.ids[i] == v->source.unk || !token_is_control(t, ids.ids[i]));
    ingle_tokens_free(&ids);
    ingle_text_free(&back);
    free(marks);
    token_close(t);
    fuzz_vocab_free(v);
    return 0;
}
