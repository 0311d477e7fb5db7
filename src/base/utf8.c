#include "base/utf8.h"

/* How many bytes a sequence that starts with `lead` has (0: none may start so), and what range its
 * second byte must lie in (table 3-7 of the standard: this is where overlong forms, surrogates and
 * codes over 10FFFF are refused). */
static size_t sequence(uint8_t lead, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xBF;
    if (lead < 0x80)
        return 1;
    if (lead < 0xC2)
        return 0;
    if (lead < 0xE0)
        return 2;
    if (lead < 0xF0) {
        if (lead == 0xE0)
            *low = 0xA0;
        if (lead == 0xED)
            *high = 0x9F;
        return 3;
    }
    if (lead < 0xF5) {
        if (lead == 0xF0)
            *low = 0x90;
        if (lead == 0xF4)
            *high = 0x8F;
        return 4;
    }
    return 0;
}

uint32_t utf8_decode(const uint8_t *bytes, size_t n, size_t *used, bool *valid)
{
    uint8_t low, high;
    const size_t length = sequence(bytes[0], &low, &high);
    if (valid)
        *valid = true;
    *used = 1;
    if (length == 1)
        return bytes[0];
    uint32_t code = length ? bytes[0] & (0x7Fu >> length) : 0;
    size_t i = 1;
    for (; i < length && i < n && bytes[i] >= low && bytes[i] <= high; i++) {
        code = code << 6 | (bytes[i] & 0x3Fu);
        low = 0x80;
        high = 0xBF;
    }
    *used = i;
    if (length && i == length)
        return code;
    if (valid)
        *valid = false;
    return UTF8_REPLACEMENT;
}

size_t utf8_encode(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

size_t utf8_cut(const uint8_t *bytes, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        uint8_t low, high;
        const uint8_t lead = bytes[n - back];
        if (lead >= 0x80 && lead < 0xC0)
            continue; // a continuation: its lead is further back
        const size_t length = sequence(lead, &low, &high);
        if (length <= back)
            return n; // complete, or no lead at all
        // Unfinished, but only if what is there could still be the start of a character.
        if (back > 1 && (bytes[n - back + 1] < low || bytes[n - back + 1] > high))
            return n;
        return n - back;
    }
    return n;
}
