/* A pre-tokenizer rule (first byte) and a text: the pieces cover the text, none is empty, and
 * well-formed text is not cut inside a character. */
#include "fuzz.h"
#include "token/split.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    size_t n_rules = 0;
    while (split_at(n_rules))
        n_rules++;
    const split_rule *rule = split_at(fuzz_byte(&bytes, &n) % n_rules);
    splitter s = {.a = NULL};
    ingle_error err;
    const ingle_status status = split_text(&s, rule, (str){(const char *)bytes, n}, &err);
    MUST(status == INGLE_OK);
    size_t at = 0;
    for (size_t i = 0; i < s.n; i++) {
        MUST(s.ends[i] > at && s.ends[i] <= n);
        at = s.ends[i];
        // A cut before a continuation byte is right only where the byte before it is no lead.
        MUST(at == n || (bytes[at] & 0xC0) != 0x80 || bytes[at - 1] < 0xC2 || bytes[at - 1] > 0xDF);
    }
    MUST(at == n);
    split_free(&s);
    return 0;
}
