/* Unicode properties over the generated tables. Knows nothing of tokenizers; refuses nothing. */
#include "token/unicode.h"

#include "base/utf8.h"

uint8_t unicode_entry(uint32_t code)
{
    if (code < unicode_count.limit)
        return unicode_stage2[unicode_stage1[code / UNICODE_BLOCK] * UNICODE_BLOCK +
                              code % UNICODE_BLOCK];
    if (code == 0xE0001 || (code >= 0xE0020 && code < 0xE0080))
        return CAT_CF;
    if (code >= 0xE0100 && code < 0xE01F0)
        return CAT_MN;
    if (code >= 0xF0000 && code < 0x110000 && (code & 0xFFFF) < 0xFFFE)
        return CAT_CO;
    return CAT_CN;
}

unicode_category_id unicode_category(uint32_t code)
{
    return (unicode_category_id)(unicode_entry(code) & 31);
}

bool unicode_is_han(uint32_t code)
{
    return unicode_entry(code) & UNICODE_HAN;
}

bool unicode_is_mark(uint32_t code)
{
    const unicode_category_id c = unicode_category(code);
    return c >= CAT_MN && c <= CAT_ME;
}

bool unicode_is_punctuation(uint32_t code)
{
    const unicode_category_id c = unicode_category(code);
    return c >= CAT_PC && c <= CAT_PO;
}

bool unicode_is_space(uint32_t code)
{
    return (code >= 9 && code <= 13) || code == 0x20 || code == 0x85 || code == 0xA0 ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

/* ---- a quick look at normalisation -------------------------------------------------------- */

/* A character without a check flag is a starter that nothing before it can join, so work begins at
 * the one before the first flagged character. */
size_t unicode_settled(const uint8_t *p, size_t n, uint8_t flag)
{
    size_t at = 0, before = 0;
    while (at < n) {
        size_t used = 1;
        if (p[at] >= 0x80 && unicode_entry(utf8_decode(p + at, n - at, &used, NULL)) & flag)
            return before;
        before = at;
        at += used;
    }
    return n;
}

bool unicode_is_nfc(str text)
{
    return unicode_settled((const uint8_t *)text.p, text.n, UNICODE_NFC_CHECK) == text.n;
}
