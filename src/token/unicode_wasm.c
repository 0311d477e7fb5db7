/* Lower case and canonical normalisation in WebAssembly: JavaScript has them, and with them tables
 * that would be a twentieth of what a page downloads. Unicode never changes the forms of a character
 * once it has them, so both agree on every character that the tables here know; others are not shown
 * to JavaScript, which may know newer ones. Refuses nothing: ill-formed bytes pass through. */
#include "base/error.h"
#include "base/utf8.h"
#include "token/unicode.h"

#define IMPORT(name) __attribute__((import_module("host"), import_name(#name)))

IMPORT(lower) uint32_t host_import_lower(uint32_t code); // the first character of its lower case

/* Writes the form of text [n] to out, which has room for three times as much, the most that a form takes;
 * how many bytes. */
IMPORT(normalise) size_t host_import_normalise(unicode_form form, const char *text, size_t n, char *out);

size_t unicode_lower(uint32_t code, uint32_t *out)
{
    if (code < 128)
        out[0] = code >= 'A' && code <= 'Z' ? code + 32 : code;
    else
        out[0] = unicode_category(code) == CAT_CN ? code : host_import_lower(code);
    out[1] = 0x307;
    return code == 0x130 ? 2 : 1; // the one unconditional mapping to two characters
}

/* The length of the segment at p: a character that is left alone, or one known and those flagged after it. */
static size_t segment_length(const uint8_t *p, size_t n, uint8_t flag, bool *alone)
{
    size_t at, used;
    bool valid;
    const uint32_t first = utf8_decode(p, n, &at, &valid);
    *alone = !valid || unicode_category(first) == CAT_CN;
    for (; !*alone && at < n; at += used) {
        const uint32_t code = utf8_decode(p + at, n - at, &used, &valid);
        if (!valid || !(unicode_entry(code) & flag))
            break;
    }
    return at;
}

static bool normalise(const char *text, size_t n, unicode_form form, ingle_text *out)
{
    if (!text_room(out, size_mul(n, 3)))
        return false;
    out->n += host_import_normalise(form, text, n, out->bytes + out->n);
    out->bytes[out->n] = 0;
    return true;
}

ingle_status unicode_normalise(str text, unicode_form form, ingle_text *out, ingle_error *err)
{
    const uint8_t flag = form == UNICODE_NFC ? UNICODE_NFC_CHECK : UNICODE_NFD_CHECK;
    const uint8_t *p = (const uint8_t *)text.p;
    bool fine = true;
    for (size_t at = 0; at < text.n && fine;) {
        const size_t keep = unicode_settled(p + at, text.n - at, flag);
        fine = text_add(out, text.p + at, keep);
        at += keep;
        if (at == text.n || !fine)
            break;
        bool alone;
        const size_t n = segment_length(p + at, text.n - at, flag, &alone);
        fine = alone ? text_add(out, text.p + at, n) : normalise(text.p + at, n, form, out);
        at += n;
    }
    return fine ? INGLE_OK : error_memory(err, text.n, "normalisation");
}
