/* Splitting: what characters are, the matchers, and running a rule's steps. */
#include "token/split.h"

#include "base/error.h"
#include "base/utf8.h"
#include "token/unicode.h"

/* ---- characters ---------------------------------------------------------------------------- */

static uint16_t bits_of(uint32_t code)
{
    static const uint16_t by_category[30] = {
        [CAT_LU] = CH_LETTER | CH_UPPER | CH_WORD,
        [CAT_LL] = CH_LETTER | CH_LOWER | CH_WORD,
        [CAT_LT] = CH_LETTER | CH_UPPER | CH_WORD,
        [CAT_LM] = CH_LETTER | CH_UPPER | CH_LOWER | CH_WORD,
        [CAT_LO] = CH_LETTER | CH_UPPER | CH_LOWER | CH_WORD,
        [CAT_MN] = CH_MARK | CH_UPPER | CH_LOWER | CH_WORD,
        [CAT_MC] = CH_MARK | CH_UPPER | CH_LOWER | CH_WORD,
        [CAT_ME] = CH_MARK | CH_UPPER | CH_LOWER | CH_WORD,
        [CAT_ND] = CH_NUMBER | CH_DIGIT | CH_WORD,
        [CAT_NL] = CH_NUMBER | CH_WORD,
        [CAT_NO] = CH_NUMBER,
        [CAT_PC] = CH_PUNCTUATION | CH_WORD,
        [CAT_PD] = CH_PUNCTUATION, [CAT_PS] = CH_PUNCTUATION, [CAT_PE] = CH_PUNCTUATION,
        [CAT_PI] = CH_PUNCTUATION, [CAT_PF] = CH_PUNCTUATION, [CAT_PO] = CH_PUNCTUATION,
        [CAT_SM] = CH_SYMBOL, [CAT_SC] = CH_SYMBOL, [CAT_SK] = CH_SYMBOL, [CAT_SO] = CH_SYMBOL,
    };
    uint16_t bits = by_category[unicode_category(code)];
    if (unicode_is_space(code))
        bits |= CH_SPACE;
    if (code == '\n' || code == '\r')
        bits |= CH_NEWLINE;
    if (unicode_is_han(code))
        bits |= CH_HAN;
    // Circled and squared letters are alphabetic symbols; of the numbers that are no digits,
    // Oniguruma takes those of Latin-1 into its words and no others.
    if ((code >= 0x24B6 && code <= 0x24E9) || (code >= 0x1F130 && code <= 0x1F149) ||
        (code >= 0x1F150 && code <= 0x1F169) || (code >= 0x1F170 && code <= 0x1F189) ||
        (code < 0x100 && bits & CH_NUMBER))
        bits |= CH_WORD;
    return bits;
}

static void classify(const uint8_t *text, size_t n, uint16_t *ch)
{
    uint16_t ascii[128];
    for (uint32_t c = 0; c < 128; c++)
        ascii[c] = bits_of(c);
    for (size_t at = 0; at < n;) {
        if (text[at] < 128) {
            ch[at] = ascii[text[at]];
            at++;
            continue;
        }
        size_t used;
        const uint16_t bits = bits_of(utf8_decode(text + at, n - at, &used, NULL));
        ch[at++] = bits;
        for (; used > 1; used--)
            ch[at++] = bits | CH_INNER;
    }
}

static size_t after(const split_piece *p, size_t at) // the next character
{
    do
        at++;
    while (at < p->end && p->ch[at] & CH_INNER);
    return at;
}

static size_t before(const split_piece *p, size_t at) // the character that ends at `at`
{
    do
        at--;
    while (p->ch[at] & CH_INNER);
    return at;
}

static size_t run(const split_piece *p, size_t at, unsigned bits)
{
    while (at < p->end && p->ch[at] & bits)
        at++;
    return at;
}

static size_t run_not(const split_piece *p, size_t at, unsigned bits)
{
    while (at < p->end && !(p->ch[at] & bits))
        at++;
    return at;
}

static bool is(const split_piece *p, size_t at, unsigned bits)
{
    return at < p->end && p->ch[at] & bits;
}

static bool is_byte(const split_piece *p, size_t at, char byte)
{
    return at < p->end && p->text[at] == (uint8_t)byte;
}

/* The letter after an apostrophe, in lower case if cases fold. U+017F folds to s. */
static size_t folded(const split_piece *p, size_t at, bool fold, char *letter)
{
    *letter = 0;
    if (at >= p->end)
        return at;
    const uint8_t c = p->text[at];
    if (fold && c == 0xC5 && is_byte(p, at + 1, '\xBF')) {
        *letter = 's';
        return at + 2;
    }
    *letter = (char)(fold && c >= 'A' && c <= 'Z' ? c + 32 : c);
    return at + 1;
}

/* 's 't 'm 'd 're 've 'll */
static size_t abbreviation(const split_piece *p, size_t at, bool fold)
{
    if (!is_byte(p, at, '\''))
        return at;
    char a, b;
    const size_t one = folded(p, at + 1, fold, &a), two = folded(p, one, fold, &b);
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return one;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
        return two;
    return at;
}

/* \s+(?!\S)|\s+ : all of a run, but for its last character if something follows. */
static size_t spaces(const split_piece *p, size_t at)
{
    const size_t end = run(p, at, CH_SPACE);
    if (end == at || end == p->end)
        return end;
    const size_t last = before(p, end);
    return last > at ? last : end;
}

/* \s{512}(?!\S)| ... |\s{4}(?!\S)|\s{1,2}(?!\S)|\s : never looks at more than 513 characters, so
 * that a long run stays linear. */
static size_t spaces_by_halves(const split_piece *p, size_t at)
{
    size_t count = 0, end = at;
    for (; count < 513 && is(p, end, CH_SPACE); count++)
        end = after(p, end);
    if (count < 2 || (count == 2 && end < p->end))
        return count ? after(p, at) : at;
    // n characters must be followed by another space or by the end.
    size_t take = 512;
    while (take > 1 && !(take < count || (take == count && end == p->end)))
        take = take == 4 ? 2 : take / 2;
    for (end = at; take; take--)
        end = after(p, end);
    return end;
}

/* \s*[\r\n]+ : a run of spaces up to its last line end. */
static size_t space_lines(const split_piece *p, size_t at)
{
    size_t end = run(p, at, CH_SPACE);
    while (end > at && !(p->ch[end - 1] & CH_NEWLINE))
        end--;
    return end;
}

/* ---- the matchers -------------------------------------------------------------------------- */

size_t split_gpt2(split_piece *p, size_t at, const split_step *step)
{
    (void)step;
    size_t end = abbreviation(p, at, false);
    if (end > at)
        return end;
    const unsigned known = CH_LETTER | CH_NUMBER | CH_SPACE;
    const size_t from = at + is_byte(p, at, ' ');
    if (is(p, from, CH_LETTER))
        return run(p, from, CH_LETTER);
    if (is(p, from, CH_NUMBER))
        return run(p, from, CH_NUMBER);
    end = run_not(p, from, known);
    return end > from ? end : spaces(p, at);
}

static size_t run_but(const split_piece *p, size_t at, unsigned bits, unsigned but)
{
    while (at < p->end && p->ch[at] & bits && !(p->ch[at] & but))
        at++;
    return at;
}

/* [Lu Lt Lm Lo M]*[Ll Lm Lo M]+ , else [Lu Lt Lm Lo M]+[Ll Lm Lo M]* , both without the characters
 * `but`. The first gives back what the upper run took too much, down to its last character that
 * may be lower too. */
static size_t cased_word(const split_piece *p, size_t at, unsigned but, bool first)
{
    const size_t upper = run_but(p, at, CH_UPPER, but);
    if (!first)
        return upper > at ? run_but(p, upper, CH_LOWER, but) : at;
    const size_t lower = run_but(p, upper, CH_LOWER, but);
    if (lower > upper)
        return lower;
    for (size_t end = upper; end > at; end = before(p, end))
        if (p->ch[end - 1] & CH_LOWER)
            return end;
    return at;
}

/* One letter with its marks after another, single spaces between them allowed. */
static size_t phrase(const split_piece *p, size_t at)
{
    size_t end = at;
    while (is(p, at, CH_LETTER)) {
        end = run(p, after(p, at), CH_MARK);
        at = end + (is_byte(p, end, ' ') && is(p, end + 1, CH_LETTER));
    }
    return end;
}

static size_t word(const split_piece *p, size_t at, const split_step *step)
{
    const bool prefixed = !is(p, at, step->prefix_not);
    const size_t next = after(p, at);
    if (step->word == SPLIT_PHRASE) {
        const size_t end = prefixed ? phrase(p, next) : next;
        return end > next ? end : phrase(p, at);
    }
    if (step->word == SPLIT_WORD) {
        const size_t from = prefixed && !is(p, at, step->letters) ? next : at;
        const size_t end = run(p, from, step->letters);
        return end > from ? end : at;
    }
    const unsigned but = step->no_han ? CH_HAN : 0;
    for (int form = 0; form < 2; form++) {
        size_t end = prefixed ? cased_word(p, next, but, form == 0) : next;
        if (end == next)
            end = cased_word(p, at, but, form == 0);
        if (end > at)
            return step->abbrev == SPLIT_ABBREV_SUFFIX ? abbreviation(p, end, true) : end;
    }
    return at;
}

static size_t others(const split_piece *p, size_t at, const split_step *step)
{
    const size_t from = at + is_byte(p, at, ' ');
    size_t end = run_not(p, from, step->others_not);
    if (end == from)
        return at;
    if (step->tail == SPLIT_TAIL_LINES)
        return run(p, end, CH_NEWLINE);
    if (step->tail == SPLIT_TAIL_SLASH)
        while (is(p, end, CH_NEWLINE) || is_byte(p, end, '/'))
            end++;
    if (step->tail == SPLIT_TAIL_ONE && (is(p, end, CH_NEWLINE) || is_byte(p, end, '/')))
        end++;
    return end;
}

size_t split_words(split_piece *p, size_t at, const split_step *step)
{
    size_t end = at;
    if (step->no_han && is(p, at, CH_HAN))
        return run(p, at, CH_HAN);
    if (step->abbrev == SPLIT_ABBREV_ALONE && (end = abbreviation(p, at, true)) > at)
        return end;
    if ((end = word(p, at, step)) > at)
        return end;
    if (is(p, at, CH_NUMBER)) {
        if (!step->max)
            return run(p, at, CH_NUMBER);
        for (uint32_t i = 0; i < step->max && is(p, end, CH_NUMBER); i++)
            end = after(p, end);
        return end;
    }
    if ((end = others(p, at, step)) > at)
        return end;
    // Asked once a run: one without a line end is cut into pieces that would ask again.
    if (at >= p->seen_end) {
        if ((end = space_lines(p, at)) > at)
            return end;
        p->seen_end = run(p, at, CH_SPACE);
    }
    return step->spaces_by_halves ? spaces_by_halves(p, at) : spaces(p, at);
}

size_t split_deepseek(split_piece *p, size_t at, const split_step *step)
{
    (void)step;
    const uint8_t c = p->text[at];
    const bool ascii_mark = c < 128 && p->ch[at] & (CH_PUNCTUATION | CH_SYMBOL);
    size_t end = at + 1;
    while (ascii_mark && end < p->end && p->text[end] < 128 && p->ch[end] & CH_LETTER)
        end++;
    if (ascii_mark && end > at + 1)
        return end;
    const unsigned letters = CH_LETTER | CH_MARK, marks = CH_PUNCTUATION | CH_SYMBOL;
    size_t from = is(p, at, CH_NEWLINE | CH_LETTER | marks | CH_MARK) ? at : after(p, at);
    if (is(p, from, letters))
        return run(p, from, letters);
    from = at + (c == ' ');
    if (is(p, from, marks))
        return run(p, run(p, from, marks), CH_NEWLINE);
    if ((end = space_lines(p, at)) > at)
        return end;
    return spaces(p, at);
}

static bool in_ranges(const split_piece *p, size_t at, const split_range *ranges, size_t n)
{
    size_t used, low = 0;
    const uint32_t code = utf8_decode(p->text + at, p->end - at, &used, NULL);
    while (low < n) {
        const size_t middle = (low + n) / 2;
        if (code < ranges[middle].first)
            n = middle;
        else if (code > ranges[middle].last)
            low = middle + 1;
        else
            return true;
    }
    return false;
}

static size_t set_run(const split_piece *p, size_t at, const split_step *step)
{
    const size_t start = at;
    uint32_t count = 0;
    while (at < p->end && (!step->max || count < step->max) &&
           (is(p, at, step->letters) ||
            (step->n_ranges && in_ranges(p, at, step->ranges, step->n_ranges))) != step->negate) {
        at = after(p, at);
        count++;
    }
    return count < step->min ? start : at;
}

size_t split_set(split_piece *p, size_t at, const split_step *step)
{
    if ((step->before == SPLIT_AFTER_BLANK && is_byte(p, at, ' ')) ||
        (step->before == SPLIT_AFTER_SPACE && is(p, at, CH_SPACE))) {
        const size_t next = after(p, at), end = set_run(p, next, step);
        if (end > next)
            return end;
    }
    return set_run(p, at, step);
}

size_t split_end_spaces(split_piece *p, size_t at, const split_step *step)
{
    (void)step;
    // Asked once a run: later characters of a run that does not reach the end are skipped.
    if (!is(p, at, CH_SPACE) || at < p->seen_end)
        return at;
    p->seen_end = run(p, at, CH_SPACE);
    return p->seen_end == p->end ? p->end : at;
}

size_t split_lines(split_piece *p, size_t at, const split_step *step)
{
    (void)step;
    const bool line_end = p->text[at] == '\n';
    while (at < p->end && (p->text[at] == '\n') == line_end)
        at++;
    return at;
}

/* ---- numbers from the right ---------------------------------------------------------------- */

/* How many characters with these bits stand from `at` to the end of their run. Counted once a run:
 * matches come from left to right, so the count goes down with them. */
static size_t digits_left(split_piece *p, size_t at, unsigned bits)
{
    if (at >= p->seen_end) {
        p->count_at = at;
        p->seen_end = at;
        p->count = 0;
        while (is(p, p->seen_end, bits)) {
            p->seen_end = after(p, p->seen_end);
            p->count++;
        }
    }
    for (; p->count_at < at; p->count--)
        p->count_at = after(p, p->count_at);
    return p->count;
}

static size_t take(const split_piece *p, size_t at, size_t count)
{
    for (; count; count--)
        at = after(p, at);
    return at;
}

size_t split_thousands(split_piece *p, size_t at, const split_step *step)
{
    (void)step;
    if (!is(p, at, CH_DIGIT))
        return at;
    const size_t left = digits_left(p, at, CH_DIGIT);
    if (is(p, p->seen_end, CH_WORD)) // no word boundary behind the digits
        return at;
    return take(p, at, left % 3 ? left % 3 : 3);
}

size_t split_numbers_right(split_piece *p, size_t at, const split_step *step)
{
    (void)step;
    if (!is(p, at, CH_NUMBER))
        return at;
    const size_t left = digits_left(p, at, CH_NUMBER);
    return take(p, at, left % 3 ? left % 3 : 3);
}

size_t split_cut_thousands(split_piece *p, size_t at, const split_step *step)
{
    (void)step;
    // The pattern matches nothing but the place of a cut, so a piece runs from cut to cut.
    size_t end = at;
    do
        end = after(p, end);
    while (end < p->end && !(is(p, end, CH_DIGIT) && digits_left(p, end, CH_DIGIT) % 3 == 0));
    return end;
}

/* ---- rules of one model -------------------------------------------------------------------- */

static size_t literal(const split_piece *p, size_t at, str text)
{
    return p->end - at >= text.n && memcmp(p->text + at, text.p, text.n) == 0 ? at + text.n : at;
}

/* <sentinel:[0-9]+>. The digits of a failed match hold no other '<', so nothing is read twice. */
size_t split_sentinel(split_piece *p, size_t at, const split_step *step)
{
    (void)step;
    const size_t from = literal(p, at, STR("<sentinel:"));
    size_t end = from;
    while (from > at && end < p->end && p->text[end] >= '0' && p->text[end] <= '9')
        end++;
    return end > from && is_byte(p, end, '>') ? end + 1 : at;
}

/* IMGIMG[A-I]{1,4}Z */
size_t split_image(split_piece *p, size_t at, const split_step *step)
{
    (void)step;
    const size_t from = literal(p, at, STR("IMGIMG"));
    size_t end = from;
    while (end < p->end && end - from < 4 && p->text[end] >= 'A' && p->text[end] <= 'I')
        end++;
    return from > at && end > from && is_byte(p, end, 'Z') ? end + 1 : at;
}

size_t split_indent(split_piece *p, size_t at, const split_step *step)
{
    (void)step;
    if (is_byte(p, at, '\t') || is_byte(p, at, '\n'))
        return at + 1;
    const size_t four = literal(p, at, STR("    "));
    return four > at ? four : literal(p, at, STR("  "));
}

size_t split_scripts(split_piece *p, size_t at, const split_step *step)
{
    static const split_range hangul[] = {{0x3131, 0x318E}, {0xAC00, 0xD7A3}};
    static const split_range marks[] = {
        {0x2014, 0x2014}, {0x2018, 0x2019}, {0x201C, 0x201D}, {0x2026, 0x2026}, {0x3001, 0x303F},
        {0xFE30, 0xFE4F}, {0xFF01, 0xFF01}, {0xFF0C, 0xFF0C}, {0xFF1A, 0xFF1B}};
    static const split_range bopomofo[] = {{0x3105, 0x312F}};
    static const split_range chinese[] = {{0x3040, 0x30FF}, {0x4E00, 0x9FA5}};
    const split_step sets[] = {{.ranges = hangul, .n_ranges = 2}, {.ranges = marks, .n_ranges = 9},
                               {.ranges = bopomofo, .n_ranges = 1}, {.ranges = chinese, .n_ranges = 2}};
    (void)step;
    size_t end = at;
    for (size_t i = 0; i < sizeof sets / sizeof *sets && end == at; i++)
        end = set_run(p, at, &sets[i]);
    return end;
}

/* ---- running a rule ------------------------------------------------------------------------ */

static bool add_end(splitter *s, size_t *n, size_t end)
{
    uint32_t *ends = mem_grow(s->a, s->spare, *n, &s->spare_capacity, sizeof *ends);
    if (!ends)
        return false;
    s->spare = ends;
    s->spare[(*n)++] = (uint32_t)end;
    return true;
}

static bool cut(splitter *s, size_t *n, split_piece *p, size_t start, const split_step *step)
{
    size_t gap = start; // where the stretch began that nothing matched
    p->count_at = p->count = 0;
    p->seen_end = 0;
    for (size_t at = start; at < p->end;) {
        const size_t end = step->match(p, at, step);
        if (end == at) {
            at = after(p, at);
            continue;
        }
        if (at > gap && !add_end(s, n, at))
            return false;
        if (!add_end(s, n, end))
            return false;
        at = gap = end;
    }
    return p->end == gap || add_end(s, n, p->end);
}

static bool run_step(splitter *s, const uint8_t *text, const split_step *step)
{
    size_t n = 0, start = 0;
    for (size_t i = 0; i < s->n; i++) {
        split_piece p = {.text = text, .ch = s->ch, .end = s->ends[i]};
        if (!cut(s, &n, &p, start, step))
            return false;
        start = s->ends[i];
    }
    uint32_t *const ends = s->ends;
    const size_t capacity = s->ends_capacity;
    s->ends = s->spare;
    s->ends_capacity = s->spare_capacity;
    s->spare = ends;
    s->spare_capacity = capacity;
    s->n = n;
    return true;
}

ingle_status split_text(splitter *s, const split_rule *rule, str text, ingle_error *err)
{
    s->n = 0;
    if (text.n == 0)
        return INGLE_OK;
    if (text.n >= UINT32_MAX)
        return error_set(err, INGLE_ERR_USAGE, "a text of %zu bytes is too long", text.n);
    if (s->ch_capacity < text.n) {
        uint16_t *ch = mem_resize(s->a, s->ch, size_mul(text.n, sizeof *ch));
        if (!ch)
            return error_memory(err, size_mul(text.n, sizeof *ch), "splitting a text");
        s->ch = ch;
        s->ch_capacity = text.n;
    }
    classify((const uint8_t *)text.p, text.n, s->ch);
    size_t n = 0;
    if (!add_end(s, &n, text.n))
        return error_memory(err, sizeof *s->ends, "splitting a text");
    uint32_t *const ends = s->ends;
    const size_t capacity = s->ends_capacity;
    s->ends = s->spare;
    s->ends_capacity = s->spare_capacity;
    s->spare = ends;
    s->spare_capacity = capacity;
    s->n = 1;
    for (size_t i = 0; i < SPLIT_STEPS && rule->steps[i]; i++)
        if (!run_step(s, (const uint8_t *)text.p, rule->steps[i]))
            return error_memory(err, size_mul(s->spare_capacity, sizeof *s->spare), "splitting a text");
    return INGLE_OK;
}

void split_free(splitter *s)
{
    mem_free(s->a, s->ch);
    mem_free(s->a, s->ends);
    mem_free(s->a, s->spare);
    *s = (splitter){.a = s->a};
}
