/* UTF-8: decoding goes forward over any bytes, encoding inverts it, and cutting never parts what
 * belongs together. */
#include "base/utf8.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const size_t cut = utf8_cut(bytes, n);
    bool on_boundary = cut == 0;
    MUST(cut <= n && n - cut <= 3);
    for (size_t at = 0, used; at < n; at += used) {
        bool valid;
        char again[4];
        const uint32_t c = utf8_decode(bytes + at, n - at, &used, &valid);
        MUST(used >= 1 && used <= 4 && used <= n - at && c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF));
        if (valid)
            MUST(utf8_encode(c, again) == used && memcmp(again, bytes + at, used) == 0);
        else
            MUST(c == UTF8_REPLACEMENT && used <= 3);
        on_boundary |= at + used == cut;
    }
    MUST(on_boundary);
    if (cut < n) { // the tail could be completed: it is one ill-formed character as it stands
        size_t used;
        bool valid;
        utf8_decode(bytes + cut, n - cut, &used, &valid);
        MUST(!valid && used == n - cut);
    }
    return 0;
}
