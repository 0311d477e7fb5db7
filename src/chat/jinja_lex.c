/* The lexer: template source to tokens. Owns newline normalisation, whitespace control
 * (trim_blocks, lstrip_blocks, the - and + signs), raw blocks, comments and string escapes. Refuses
 * source that is not UTF-8 and, with the line, whatever Jinja's lexer refuses. */
#include <string.h>

#include "base/utf8.h"
#include "chat/jinja.h"

typedef struct {
    str source;
    size_t at;
    uint32_t line;
    const jinja_options *opt;
    jinja_tokens *out;
    arena *memory;
    ingle_error *err;
    ingle_status status;
    bool line_start; // what came before at ended with a newline
} lexer;

static bool fail(lexer *x, const char *what)
{
    x->status = error_set(x->err, INGLE_ERR_TEMPLATE, "line %u: %s", (unsigned)x->line, what);
    return false;
}

static bool no_memory(lexer *x)
{
    x->status = error_memory(x->err, x->source.n, "template");
    return false;
}

static char peek(const lexer *x, size_t ahead)
{
    return x->at + ahead < x->source.n ? x->source.p[x->at + ahead] : 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (unsigned char)c >= 0x80;
}

/* Length of the white space at s [from..], as a regular expression's \s or str.strip. */
static size_t space_at(str s, size_t from)
{
    if (from >= s.n)
        return 0;
    size_t used;
    const uint32_t code = utf8_decode((const uint8_t *)s.p + from, s.n - from, &used, NULL);
    return jinja_is_space(code) ? used : 0;
}

static void advance(lexer *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x->line += x->source.p[x->at + i] == '\n';
    x->at += n;
}

static void skip_space(lexer *x)
{
    for (size_t n; (n = space_at(x->source, x->at)) > 0;)
        advance(x, n);
}

static bool push(lexer *x, jinja_token token)
{
    jinja_tokens *t = x->out;
    jinja_token *moved = mem_grow(&x->memory->allocator, t->tokens, t->n, &t->capacity, sizeof token);
    if (!moved)
        return no_memory(x);
    t->tokens = moved;
    if (!token.line)
        token.line = x->line;
    t->tokens[t->n++] = token;
    return true;
}

/* ---- text between tags -------------------------------------------------------------------- */

/* What of text before a tag stays: sign is the tag's '-', '+' or 0. */
static size_t keep_before(const lexer *x, str text, char sign, bool print)
{
    if (sign == '-') {
        size_t keep = 0;
        for (size_t i = 0, used; i < text.n; i += used) {
            const uint32_t code =
                utf8_decode((const uint8_t *)text.p + i, text.n - i, &used, NULL);
            if (!jinja_is_space(code))
                keep = i + used;
        }
        return keep;
    }
    if (sign == '+' || !x->opt->lstrip_blocks || print)
        return text.n;
    size_t line = text.n;
    while (line > 0 && text.p[line - 1] != '\n')
        line--;
    if (line == 0 && !x->line_start)
        return text.n;
    for (size_t i = line, n; i < text.n; i += n)
        if ((n = space_at(text, i)) == 0)
            return text.n;
    return line;
}

static size_t find_tag(const lexer *x)
{
    for (size_t i = x->at; i + 1 < x->source.n; i++)
        if (x->source.p[i] == '{' && strchr("{%#", x->source.p[i + 1]) && x->source.p[i + 1])
            return i;
    return x->source.n;
}

static char sign_at(const lexer *x, size_t at)
{
    const char c = at < x->source.n ? x->source.p[at] : 0;
    return c == '-' || c == '+' ? c : 0;
}

static bool emit_data(lexer *x, size_t n, size_t keep)
{
    const jinja_token token = {
        .type = TOKEN_DATA, .line = x->line, .text = {x->source.p + x->at, keep}};
    advance(x, n);
    return keep == 0 || push(x, token);
}

/* Behind a block or comment: trim_blocks takes one newline, '-' all space. */
static void after_tag(lexer *x, char sign)
{
    if (sign == '-')
        skip_space(x);
    else if (sign != '+' && x->opt->trim_blocks && peek(x, 0) == '\n')
        advance(x, 1);
    x->line_start = x->at > 0 && x->source.p[x->at - 1] == '\n';
}

/* Length of "{% word %}" at i, with any signs and space, or 0; *sign is the closing one. */
static size_t word_tag(const lexer *x, size_t i, const char *word, char *sign)
{
    const str s = x->source;
    const size_t start = i, n = strlen(word);
    if (i + 2 > s.n || s.p[i] != '{' || s.p[i + 1] != '%')
        return 0;
    i += 2;
    i += sign_at(x, i) != 0;
    for (size_t used; (used = space_at(s, i)) > 0;)
        i += used;
    if (s.n - i < n || memcmp(s.p + i, word, n) != 0)
        return 0;
    i += n;
    for (size_t used; (used = space_at(s, i)) > 0;)
        i += used;
    *sign = sign_at(x, i);
    i += *sign != 0;
    return i + 2 <= s.n && s.p[i] == '%' && s.p[i + 1] == '}' ? i + 2 - start : 0;
}

static bool lex_raw(lexer *x, size_t open, char sign)
{
    const uint32_t line = x->line;
    advance(x, open);
    if (sign == '-')
        skip_space(x);
    x->line_start = x->at > 0 && x->source.p[x->at - 1] == '\n';
    for (size_t i = x->at; i + 1 < x->source.n; i++) {
        char close_sign;
        const size_t close =
            x->source.p[i] == '{' ? word_tag(x, i, "endraw", &close_sign) : 0;
        if (!close)
            continue;
        const str text = {x->source.p + x->at, i - x->at};
        if (!emit_data(x, text.n, keep_before(x, text, sign_at(x, i + 2), false)))
            return false;
        advance(x, close);
        after_tag(x, close_sign);
        return true;
    }
    x->line = line;
    return fail(x, "Missing end of raw directive");
}

static bool lex_comment(lexer *x)
{
    const size_t body = x->at + 2 + (sign_at(x, x->at + 2) != 0); // in "{#-#}" the '-' opens
    for (size_t i = body; i + 1 < x->source.n; i++) {
        if (x->source.p[i] != '#' || x->source.p[i + 1] != '}')
            continue;
        const char sign = i > body ? sign_at(x, i - 1) : 0;
        advance(x, i + 2 - x->at);
        after_tag(x, sign);
        return true;
    }
    return fail(x, "Missing end of comment tag");
}

/* ---- inside tags -------------------------------------------------------------------------- */

static int hex_value(char c)
{
    return is_digit(c)             ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Python's escapes: the one at p [n] (behind the backslash) as UTF-8 into out; returns the bytes
 * read, 0 for a wrong escape. */
static size_t unescape(const char *p, size_t n, char *out, size_t *n_out)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    *n_out = 0;
    if (n == 0)
        return 0;
    const char *known = *p ? strchr(from, *p) : NULL;
    if (known) {
        out[(*n_out)++] = to[known - from];
        return 1;
    }
    if (*p == '\n')
        return 1;
    uint32_t code = 0;
    size_t used = 0;
    if (*p >= '0' && *p <= '7') {
        for (; used < 3 && used < n && p[used] >= '0' && p[used] <= '7'; used++)
            code = code * 8 + (uint32_t)(p[used] - '0');
    } else if (*p == 'x' || *p == 'u' || *p == 'U') {
        const size_t digits = *p == 'x' ? 2 : *p == 'u' ? 4 : 8;
        if (n < 1 + digits)
            return 0;
        for (used = 1; used <= digits; used++) {
            const int digit = hex_value(p[used]);
            if (digit < 0)
                return 0;
            code = code * 16 + (uint32_t)digit;
        }
        if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
            return 0;
    } else if (*p == 'N') {
        return 0;
    } else {
        out[(*n_out)++] = '\\'; // unknown escapes stand for themselves
        return SIZE_MAX;        // nothing of p is used up
    }
    *n_out = utf8_encode(code, out);
    return used;
}

static bool lex_string(lexer *x)
{
    const char quote = peek(x, 0);
    const uint32_t line = x->line;
    size_t end = x->at + 1;
    while (end < x->source.n && x->source.p[end] != quote)
        end += x->source.p[end] == '\\' ? 2 : 1;
    if (end >= x->source.n)
        return fail(x, "a string has no end");
    const str body = {x->source.p + x->at + 1, end - x->at - 1};
    char *text = arena_alloc(x->memory, body.n + 4);
    if (!text)
        return no_memory(x);
    size_t n = 0;
    for (size_t i = 0; i < body.n;) {
        if (body.p[i] != '\\') {
            text[n++] = body.p[i++];
            continue;
        }
        size_t written;
        const size_t used = unescape(body.p + i + 1, body.n - i - 1, text + n, &written);
        if (!used)
            return fail(x, "wrong escape in a string");
        n += written;
        i += used == SIZE_MAX ? 1 : 1 + used;
    }
    text[n] = 0;
    advance(x, end + 1 - x->at);
    return push(x, (jinja_token){.type = TOKEN_STRING, .line = line, .text = {text, n}});
}

/* Copies digits and drops the underscores between them; returns the source's length. */
static size_t take_digits(str s, size_t i, char *out, size_t *n, size_t room)
{
    const size_t start = i;
    while (i < s.n && (is_digit(s.p[i]) || (s.p[i] == '_' && i > start && i + 1 < s.n &&
                                            is_digit(s.p[i + 1])))) {
        if (s.p[i] != '_' && *n < room)
            out[(*n)++] = s.p[i];
        i++;
    }
    return i - start;
}

static bool lex_radix(lexer *x, int base)
{
    uint64_t value = 0;
    size_t i = x->at + 2, n = 0;
    for (; i < x->source.n; i++) {
        if (x->source.p[i] == '_')
            continue;
        const int digit = hex_value(x->source.p[i]);
        if (digit < 0 || digit >= base)
            break;
        if (!u64_mul(value, (uint64_t)base, &value) || !u64_add(value, (uint64_t)digit, &value) ||
            value > INT64_MAX)
            return fail(x, "an integer beyond 64 bits");
        n++;
    }
    if (!n)
        return fail(x, "wrong number");
    advance(x, i - x->at);
    return push(x, (jinja_token){.type = TOKEN_INTEGER, .integer = (int64_t)value});
}

static bool lex_number(lexer *x)
{
    const char mark = peek(x, 1) | 0x20;
    if (peek(x, 0) == '0' && (mark == 'x' || mark == 'o' || mark == 'b') && hex_value(peek(x, 2)) >= 0)
        return lex_radix(x, mark == 'x' ? 16 : mark == 'o' ? 8 : 2);
    char text[400];
    size_t n = 0, i = x->at;
    const size_t room = sizeof text - 1;
    i += take_digits(x->source, i, text, &n, room);
    const size_t whole = n;
    const str s = x->source;
    // "1.foo" is an attribute of 1, and digits behind a dot ("a.0.1") are subscripts.
    const bool after_dot = x->at > 0 && s.p[x->at - 1] == '.';
    if (!after_dot && i + 1 < s.n && s.p[i] == '.' && is_digit(s.p[i + 1])) {
        text[n++] = '.';
        i++;
        i += take_digits(s, i, text, &n, room);
    }
    size_t e = i;
    if (!after_dot && e < s.n && (s.p[e] | 0x20) == 'e') {
        e++;
        const char sign = sign_at(x, e);
        e += sign != 0;
        if (e < s.n && is_digit(s.p[e]) && n + 2 < room) {
            text[n++] = 'e';
            text[n++] = sign ? sign : '+';
            i = e + take_digits(s, e, text, &n, room);
        }
    }
    if (n >= room)
        return fail(x, "a number has too many digits");
    jinja_token token = {.type = n > whole ? TOKEN_FLOAT : TOKEN_INTEGER};
    if (n > whole) {
        if (!json_read_double((str){text, n}, &token.number))
            return fail(x, "wrong number");
    } else {
        if (text[0] == '0' && n > 1) // Jinja reads "007" as the integers 00 and 7
            for (size_t k = 0; k < n; k++)
                if (text[k] != '0')
                    return fail(x, "a number starts with 0");
        uint64_t value = 0;
        for (size_t k = 0; k < n; k++)
            if (!u64_mul(value, 10, &value) || !u64_add(value, (uint64_t)(text[k] - '0'), &value) ||
                value > INT64_MAX)
                return fail(x, "an integer beyond 64 bits");
        token.integer = (int64_t)value;
    }
    advance(x, i - x->at);
    return push(x, token);
}

static bool lex_operator(lexer *x)
{
    static const char *const pairs[] = {"**", "//", "==", "!=", "<=", ">="};
    const char c = peek(x, 0);
    jinja_token token = {.type = TOKEN_OP, .op = {c, 0}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (pairs[i][0] == c && pairs[i][1] == peek(x, 1))
            token.op[1] = pairs[i][1];
    if (!c || (!token.op[1] && !strchr("+-/*%~[](){}<>=.:|,;", c))) {
        x->status = error_set(x->err, INGLE_ERR_TEMPLATE, "line %u: unexpected character '%c'",
                              (unsigned)x->line, c);
        return false;
    }
    const bool pushed = push(x, token);
    advance(x, token.op[1] ? 2 : 1);
    return pushed;
}

enum { MAX_OPEN = 1000 }; // brackets in one tag

/* The brackets that are open; a tag's end does not count within them. */
static bool balance(lexer *x, char *open, size_t *n)
{
    const char c = peek(x, 0);
    if (c == '(' || c == '[' || c == '{') {
        if (*n == MAX_OPEN)
            return fail(x, "brackets nested too deeply");
        open[(*n)++] = c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
        if (*n == 0 || open[*n - 1] != c)
            return fail(x, "a bracket is closed that is not open");
        (*n)--;
    }
    return true;
}

/* Tokens of one tag, its end included. */
static bool lex_tag(lexer *x, bool print)
{
    const char end0 = print ? '}' : '%', end1 = '}';
    char open[MAX_OPEN];
    size_t n_open = 0;
    while (x->at < x->source.n) {
        if (n_open == 0) {
            const char sign = peek(x, 0) == '-' || (peek(x, 0) == '+' && !print) ? peek(x, 0) : 0;
            const size_t skip = sign != 0;
            if (peek(x, skip) == end0 && peek(x, skip + 1) == end1) {
                if (!push(x, (jinja_token){.type = print ? TOKEN_PRINT_END : TOKEN_BLOCK_END}))
                    return false;
                advance(x, skip + 2);
                if (!print)
                    after_tag(x, sign);
                else if (sign == '-')
                    skip_space(x);
                x->line_start = x->at > 0 && x->source.p[x->at - 1] == '\n';
                return true;
            }
        }
        const char c = peek(x, 0);
        const size_t space = space_at(x->source, x->at);
        bool good = true;
        if (space) {
            advance(x, space);
        } else if (is_digit(c)) {
            good = lex_number(x);
        } else if (is_word(c)) {
            const size_t start = x->at;
            while (x->at < x->source.n && is_word(x->source.p[x->at]) &&
                   !space_at(x->source, x->at))
                x->at++;
            good = push(x, (jinja_token){.type = TOKEN_NAME,
                                         .text = {x->source.p + start, x->at - start}});
        } else if (c == '\'' || c == '"') {
            good = lex_string(x);
        } else {
            good = balance(x, open, &n_open) && lex_operator(x);
        }
        if (!good)
            return false;
    }
    return fail(x, "a tag has no end");
}

static bool lex_all(lexer *x)
{
    x->line_start = true;
    while (x->at < x->source.n) {
        const size_t tag = find_tag(x);
        const str text = {x->source.p + x->at, tag - x->at};
        if (tag == x->source.n)
            return emit_data(x, text.n, text.n);
        const bool print = x->source.p[tag + 1] == '{';
        const char sign = sign_at(x, tag + 2);
        if (!emit_data(x, text.n, keep_before(x, text, sign, print)))
            return false;
        char raw_sign;
        const size_t raw = word_tag(x, tag, "raw", &raw_sign);
        if (raw) {
            if (raw_sign == '+')
                return fail(x, "unexpected '+'");
            if (!lex_raw(x, raw, raw_sign))
                return false;
        } else if (x->source.p[tag + 1] == '#') {
            if (!lex_comment(x))
                return false;
        } else {
            const jinja_token begin = {.type = print ? TOKEN_PRINT_BEGIN : TOKEN_BLOCK_BEGIN};
            if (!push(x, begin))
                return false;
            advance(x, sign == '-' || (sign == '+' && !print) ? 3 : 2);
            if (!lex_tag(x, print))
                return false;
        }
    }
    return true;
}

/* ---- names -------------------------------------------------------------------------------- */

static int token_order(const jinja_token *a, const jinja_token *b)
{
    const size_t n = a->text.n < b->text.n ? a->text.n : b->text.n;
    const int c = memcmp(a->text.p, b->text.p, n);
    return c ? c : (a->text.n > b->text.n) - (a->text.n < b->text.n);
}

/* Numbers the distinct names. Sorted rather than hashed: chosen collisions cost nothing. */
static bool number_names(lexer *x)
{
    jinja_tokens *t = x->out;
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++)
        n += t->tokens[i].type == TOKEN_NAME;
    const ingle_allocator *a = &x->memory->allocator;
    jinja_token **work = mem_alloc(a, size_mul(size_mul(n, 2), sizeof *work));
    t->names = arena_alloc(x->memory, size_mul(n, sizeof *t->names));
    if (!work || !t->names) {
        mem_free(a, work);
        return no_memory(x);
    }
    jinja_token **items = work, **spare = work + n;
    n = 0;
    for (size_t i = 0; i < t->n; i++)
        if (t->tokens[i].type == TOKEN_NAME)
            items[n++] = &t->tokens[i];
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t lo = 0; lo < n; lo += 2 * width) {
            const size_t mid = n - lo < width ? n : lo + width;
            const size_t hi = n - mid < width ? n : mid + width;
            for (size_t i = lo, p = lo, q = mid; i < hi; i++)
                spare[i] = q >= hi || (p < mid && token_order(items[p], items[q]) <= 0) ? items[p++]
                                                                                        : items[q++];
        }
        jinja_token **swap = items;
        items = spare;
        spare = swap;
    }
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || token_order(items[i - 1], items[i]) != 0)
            t->names[t->n_names++] = items[i]->text;
        items[i]->name = t->n_names - 1;
    }
    mem_free(a, work);
    return true;
}

/* Copies source with one kind of newline and without the last one. */
static bool normalise(lexer *x, str source)
{
    char *copy = arena_alloc(x->memory, source.n + 1);
    if (!copy)
        return no_memory(x);
    size_t n = 0;
    for (size_t i = 0; i < source.n;) {
        const char c = source.p[i];
        if (c == '\r') {
            copy[n++] = '\n';
            i += i + 1 < source.n && source.p[i + 1] == '\n' ? 2 : 1;
            x->line++;
            continue;
        }
        size_t used;
        bool valid;
        utf8_decode((const uint8_t *)source.p + i, source.n - i, &used, &valid);
        if (!valid)
            return fail(x, "not UTF-8");
        memcpy(copy + n, source.p + i, used);
        x->line += c == '\n';
        n += used;
        i += used;
    }
    if (n > 0 && copy[n - 1] == '\n')
        n--;
    copy[n] = 0;
    x->source = (str){copy, n};
    x->line = 1;
    return true;
}

ingle_status jinja_lex(jinja_tokens *out, str source, const jinja_options *opt, arena *memory,
                       ingle_error *err)
{
    lexer x = {.line = 1, .opt = opt, .out = out, .memory = memory, .err = err};
    *out = (jinja_tokens){0};
    if (source.n > JINJA_MAX_SOURCE)
        return error_set(err, INGLE_ERR_TEMPLATE, "a template of %zu bytes is too long", source.n);
    if (normalise(&x, source) && lex_all(&x) && push(&x, (jinja_token){.type = TOKEN_END}) &&
        number_names(&x))
        return INGLE_OK;
    return x.status;
}
