/* Lower case and canonical normalisation (UAX #15) over the generated tables; in WebAssembly
 * unicode_wasm.c has JavaScript's. Refuses nothing: ill-formed bytes pass through. */
#include "base/error.h"
#include "base/utf8.h"
#include "token/unicode.h"

size_t unicode_lower(uint32_t code, uint32_t *out)
{
    out[0] = code;
    if (code == 0x130) { // the one unconditional mapping to two characters
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    size_t low = 0, high = unicode_count.cases;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const unicode_case_range *r = &unicode_case_ranges[middle];
        if (code < r->first)
            high = middle;
        else if (code > r->last)
            low = middle + 1;
        else {
            if ((code - r->first) % r->step == 0)
                out[0] = (uint32_t)((int32_t)code + r->difference);
            return 1;
        }
    }
    return 1;
}

/* ---- decomposition and composition --------------------------------------------------------- */

enum {
    HANGUL_S = 0xAC00, HANGUL_L = 0x1100, HANGUL_V = 0x1161, HANGUL_T = 0x11A7,
    HANGUL_L_COUNT = 19, HANGUL_V_COUNT = 21, HANGUL_T_COUNT = 28,
    HANGUL_S_COUNT = HANGUL_L_COUNT * HANGUL_V_COUNT * HANGUL_T_COUNT,
    DECOMPOSITION_MAX = 8 // the longest canonical decomposition has 4
};

static uint32_t pair_at(size_t i, size_t column)
{
    const size_t n = unicode_count.pairs;
    const uint8_t *p = unicode_pairs + 3 * column * n + i;
    return p[0] | (uint32_t)p[n] << 8 | (uint32_t)p[2 * n] << 16;
}

/* The index of code's pair; SIZE_MAX if it does not decompose. */
static size_t find_pair(uint32_t code)
{
    size_t low = 0, high = unicode_count.pairs;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const uint32_t found = pair_at(middle, UNICODE_PAIR_CODE);
        if (found == code)
            return middle;
        if (found < code)
            low = middle + 1;
        else
            high = middle;
    }
    return SIZE_MAX;
}

/* Full canonical decomposition into out [DECOMPOSITION_MAX]; returns how many. */
static size_t decompose(uint32_t code, uint32_t *out)
{
    if (code >= HANGUL_S && code < HANGUL_S + HANGUL_S_COUNT) {
        const uint32_t s = code - HANGUL_S, t = s % HANGUL_T_COUNT;
        out[0] = HANGUL_L + s / (HANGUL_V_COUNT * HANGUL_T_COUNT);
        out[1] = HANGUL_V + s / HANGUL_T_COUNT % HANGUL_V_COUNT;
        out[2] = HANGUL_T + t;
        return t ? 3 : 2;
    }
    uint32_t tail[DECOMPOSITION_MAX];
    size_t n_tail = 0, n = 0;
    while (unicode_entry(code) & UNICODE_NFD_CHECK && n_tail < DECOMPOSITION_MAX - 1) {
        const size_t pair = find_pair(code);
        if (pair == SIZE_MAX)
            break;
        if (pair_at(pair, UNICODE_PAIR_SECOND))
            tail[n_tail++] = pair_at(pair, UNICODE_PAIR_SECOND);
        code = pair_at(pair, UNICODE_PAIR_FIRST);
    }
    out[n++] = code;
    while (n_tail)
        out[n++] = tail[--n_tail];
    return n;
}

static uint32_t compose(uint32_t a, uint32_t b) // 0: they do not compose
{
    if (a >= HANGUL_L && a < HANGUL_L + HANGUL_L_COUNT && b >= HANGUL_V &&
        b < HANGUL_V + HANGUL_V_COUNT)
        return HANGUL_S + ((a - HANGUL_L) * HANGUL_V_COUNT + (b - HANGUL_V)) * HANGUL_T_COUNT;
    if (a >= HANGUL_S && a < HANGUL_S + HANGUL_S_COUNT && (a - HANGUL_S) % HANGUL_T_COUNT == 0 &&
        b > HANGUL_T && b < HANGUL_T + HANGUL_T_COUNT)
        return a + (b - HANGUL_T);
    size_t low = 0, high = unicode_count.composites;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const size_t pair = unicode_composites[middle];
        const uint32_t first = pair_at(pair, UNICODE_PAIR_FIRST), second = pair_at(pair, UNICODE_PAIR_SECOND);
        if (first == a && second == b)
            return pair_at(pair, UNICODE_PAIR_CODE);
        if (first < a || (first == a && second < b))
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

static uint8_t combining_class(uint32_t code)
{
    if (!(unicode_entry(code) & UNICODE_NFC_CHECK)) // set for every class but 0
        return 0;
    size_t low = 0, high = unicode_count.classes;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const unicode_class_range *r = &unicode_class_ranges[middle];
        if (code < r->first)
            high = middle;
        else if (code >= r->first + r->count)
            low = middle + 1;
        else
            return (uint8_t)r->combining_class;
    }
    return 0;
}

/* ---- normalisation ------------------------------------------------------------------------- */

typedef struct {
    uint32_t code;
    uint8_t class;
    bool raw; // an ill-formed byte: written as it is
} mark;

typedef struct {
    mark *items, *spare; // [n], room for the sort
    size_t n, capacity, spare_capacity;
    const ingle_allocator *a;
} segment;

static bool segment_add(segment *s, uint32_t code, bool raw)
{
    mark *items = mem_grow(s->a, s->items, s->n, &s->capacity, sizeof *items);
    if (!items)
        return false;
    s->items = items;
    s->items[s->n++] = (mark){code, raw ? 0 : combining_class(code), raw};
    return true;
}

/* Stable sort by class: insertion for the short runs of real text, counting for the long ones. */
static bool sort_run(segment *s, mark *run, size_t n)
{
    if (n <= 16) {
        for (size_t i = 1; i < n; i++) {
            const mark m = run[i];
            size_t j = i;
            for (; j && run[j - 1].class > m.class; j--)
                run[j] = run[j - 1];
            run[j] = m;
        }
        return true;
    }
    if (s->spare_capacity < n) {
        mark *spare = mem_resize(s->a, s->spare, size_mul(n, sizeof *spare));
        if (!spare)
            return false;
        s->spare = spare;
        s->spare_capacity = n;
    }
    size_t start[257] = {0};
    for (size_t i = 0; i < n; i++)
        start[run[i].class + 1]++;
    for (size_t i = 0; i < 256; i++)
        start[i + 1] += start[i];
    for (size_t i = 0; i < n; i++)
        s->spare[start[run[i].class]++] = run[i];
    memcpy(run, s->spare, n * sizeof *run);
    return true;
}

static bool segment_order(segment *s)
{
    for (size_t i = 0; i < s->n;) {
        size_t end = i;
        while (end < s->n && s->items[end].class)
            end++;
        if (end - i > 1 && !sort_run(s, s->items + i, end - i))
            return false;
        i = end + 1;
    }
    return true;
}

static void segment_compose(segment *s)
{
    size_t n = 0, starter = SIZE_MAX;
    uint8_t last = 0;
    for (size_t i = 0; i < s->n; i++) {
        const mark m = s->items[i];
        // A character reaches the starter if nothing stands between, or only lower classes.
        if (starter != SIZE_MAX && !m.raw && !s->items[starter].raw &&
            (n - 1 == starter || last < m.class)) {
            const uint32_t joined = compose(s->items[starter].code, m.code);
            if (joined) {
                s->items[starter].code = joined;
                continue;
            }
        }
        if (!m.class)
            starter = n;
        last = m.class;
        s->items[n++] = m;
    }
    s->n = n;
}

static bool segment_flush(segment *s, unicode_form form, ingle_text *out)
{
    if (!segment_order(s))
        return false;
    if (form == UNICODE_NFC)
        segment_compose(s);
    for (size_t i = 0; i < s->n; i++) {
        char bytes[4];
        const size_t n = utf8_encode(s->items[i].code, bytes);
        if (!(s->items[i].raw ? text_add_byte(out, (char)s->items[i].code) : text_add(out, bytes, n)))
            return false;
    }
    s->n = 0;
    return true;
}

static bool segment_decompose(segment *s, uint32_t code)
{
    uint32_t parts[DECOMPOSITION_MAX];
    const size_t n = decompose(code, parts);
    for (size_t i = 0; i < n; i++)
        if (!segment_add(s, parts[i], false))
            return false;
    return true;
}

static bool normalise(segment *s, str text, unicode_form form, ingle_text *out)
{
    const uint8_t flag = form == UNICODE_NFC ? UNICODE_NFC_CHECK : UNICODE_NFD_CHECK;
    const uint8_t *p = (const uint8_t *)text.p;
    for (size_t at = 0; at < text.n;) {
        const size_t keep = unicode_settled(p + at, text.n - at, flag);
        if (!text_add(out, text.p + at, keep))
            return false;
        at += keep;
        // From here to the next unflagged character is one segment.
        for (bool first = true; at < text.n; first = false) {
            size_t used;
            bool valid;
            const uint32_t code = utf8_decode(p + at, text.n - at, &used, &valid);
            if (!first && !(valid && unicode_entry(code) & flag))
                break;
            for (size_t i = 0; !valid && i < used; i++)
                if (!segment_add(s, p[at + i], true))
                    return false;
            if (valid && !segment_decompose(s, code))
                return false;
            at += used;
        }
        if (!segment_flush(s, form, out))
            return false;
    }
    return true;
}

ingle_status unicode_normalise(str text, unicode_form form, ingle_text *out, ingle_error *err)
{
    segment s = {.a = &out->allocator};
    const bool done = normalise(&s, text, form, out);
    mem_free(s.a, s.items);
    mem_free(s.a, s.spare);
    return done ? INGLE_OK : error_memory(err, text.n, "normalisation");
}
