/* snprintf, vsnprintf and strtod for the WebAssembly builds. The C library's bring long doubles, wide
 * characters, files and the texts of its error numbers along, 20 kB of a module. These have what the
 * core uses: %% c s d i u x X e f g E F G with flags but #, width, precision and lengths. Doubles are
 * printed exactly and rounded half to even, as glibc does; JavaScript reads them. It refuses #, %n,
 * %a and %p, which come out as they stand. */
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the text goes: n counts on beyond the room there is, as the standard wants. */
typedef struct {
    char *p;
    size_t size, n;
} sink;

typedef struct {
    bool left, zero;
    char sign; // '+', ' ' or 0
    int width, precision; // precision -1: none
    int length; // bytes of an integer
} spec;

static void put(sink *to, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++, to->n++)
        if (to->n < to->size)
            to->p[to->n] = text[i];
}

static void repeat(sink *to, char c, int n)
{
    while (n-- > 0)
        put(to, &c, 1);
}

/* head (a sign), zeros and body in a field of the width. */
static void put_field(sink *to, const spec *s, const char *head, int zeros, const char *body, size_t n)
{
    const size_t n_head = strlen(head);
    int fill = s->width - (int)(n_head + n) - zeros;
    if (s->zero && !s->left && fill > 0) {
        zeros += fill;
        fill = 0;
    }
    repeat(to, ' ', s->left ? 0 : fill);
    put(to, head, n_head);
    repeat(to, '0', zeros);
    put(to, body, n);
    repeat(to, ' ', s->left ? fill : 0);
}

static void put_integer(sink *to, const spec *given, uint64_t value, bool negative, unsigned base, bool upper)
{
    spec s = *given;
    char digits[24];
    size_t at = sizeof digits;
    for (; value; value /= base)
        digits[--at] = (upper ? "0123456789ABCDEF" : "0123456789abcdef")[value % base];
    const char head[2] = {negative ? '-' : s.sign, 0};
    const int n = (int)(sizeof digits - at), least = s.precision < 0 ? 1 : s.precision;
    s.zero = s.zero && s.precision < 0;
    put_field(to, &s, head, least > n ? least - n : 0, digits + at, (size_t)n);
}

/* ---- doubles ---------------------------------------------------------------------------------- */

/* A number as all its decimal digits: 0.DDD * 10^point; n = 0 is zero. The longest double has 767. */
enum { WORDS = 90, WORD_DIGITS = 9, WORD = 1000000000 };
typedef struct {
    int n, point;
    char digits[WORDS * WORD_DIGITS];
} decimal;

/* words [n], base 10^9 and the lowest first, times factor; returns the new n. */
static int multiply(uint32_t *words, int n, uint32_t factor)
{
    uint64_t carry = 0;
    for (int i = 0; i < n; i++) {
        carry += (uint64_t)words[i] * factor;
        words[i] = (uint32_t)(carry % WORD);
        carry /= WORD;
    }
    for (; carry; carry /= WORD)
        words[n++] = (uint32_t)(carry % WORD);
    return n;
}

/* |x|, finite. m * 2^e is m * 5^-e with the point -e digits from its end where e is negative. */
static void expand(double x, decimal *d)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    const int biased = (int)(bits >> 52 & 0x7FF);
    const uint64_t mantissa = (bits & 0xFFFFFFFFFFFFF) | (biased ? (uint64_t)1 << 52 : 0);
    int e = (biased ? biased : 1) - 1075;
    uint32_t words[WORDS] = {(uint32_t)(mantissa % WORD), (uint32_t)(mantissa / WORD)};
    int n = words[1] ? 2 : 1;
    const int places = e < 0 ? -e : 0;
    const bool up = e > 0;
    for (e = up ? e : -e; e > 0; e -= up ? 29 : 13) {
        const int step = up ? 29 : 13;
        uint32_t factor = 1;
        for (int i = 0; i < step && i < e; i++)
            factor *= up ? 2 : 5;
        n = multiply(words, n, factor);
    }
    d->n = n * WORD_DIGITS;
    for (int i = 0; i < d->n; i++) {
        uint32_t *w = &words[i / WORD_DIGITS];
        d->digits[d->n - 1 - i] = (char)('0' + *w % 10);
        *w /= 10;
    }
    int zeros = 0;
    while (zeros < d->n && d->digits[zeros] == '0')
        zeros++;
    d->n -= zeros;
    memmove(d->digits, d->digits + zeros, (size_t)d->n);
    d->point = d->n - places;
}

/* Keeps the first n digits, the rest rounded half to even; digits beyond the last are zeros. */
static void round_at(decimal *d, int n)
{
    if (n >= d->n)
        return;
    if (n < 0) {
        d->n = 0;
        return;
    }
    bool more = false;
    for (int i = n + 1; i < d->n; i++)
        more = more || d->digits[i] != '0';
    const char next = d->digits[n];
    const bool odd = n > 0 && (d->digits[n - 1] - '0') % 2 == 1;
    d->n = n;
    if (next < '5' || (next == '5' && !more && !odd))
        return;
    while (n > 0 && d->digits[n - 1] == '9')
        d->digits[--n] = '0';
    if (n > 0) {
        d->digits[n - 1]++;
    } else {
        memmove(d->digits + 1, d->digits, (size_t)d->n);
        d->digits[0] = '1';
        d->n++;
        d->point++;
    }
}

static char digit_at(const decimal *d, int i)
{
    return i >= 0 && i < d->n ? d->digits[i] : '0';
}

/* The digits from place first on, n of them. */
static void put_digits(sink *to, const decimal *d, int first, int n)
{
    for (int i = 0; i < n; i++)
        put(to, &(char){digit_at(d, first + i)}, 1);
}

static void put_exponent(sink *to, int exponent, char letter)
{
    const int size = exponent < 0 ? -exponent : exponent;
    put(to, (char[]){letter, exponent < 0 ? '-' : '+'}, 2);
    if (size > 99)
        put(to, &(char){(char)('0' + size / 100)}, 1);
    put(to, (char[]){(char)('0' + size / 10 % 10), (char)('0' + size % 10)}, 2);
}

/* What of a finite double comes after its sign. places: digits after the point. */
static void put_places(sink *to, const decimal *d, bool fixed, int places, char letter)
{
    const int whole = fixed && d->n ? d->point : 1;
    if (whole <= 0)
        put(to, "0", 1);
    put_digits(to, d, 0, whole);
    if (places > 0)
        put(to, ".", 1);
    put_digits(to, d, whole > 0 ? whole : d->n && fixed ? d->point : 1, places);
    if (!fixed)
        put_exponent(to, d->n ? d->point - 1 : 0, letter);
}

static void put_finite(sink *to, const spec *s, double x, char type)
{
    decimal d;
    expand(x, &d);
    int precision = s->precision < 0 ? 6 : s->precision;
    bool fixed = (type | 32) == 'f';
    if ((type | 32) == 'g') {
        precision += precision == 0;
        round_at(&d, precision);
        const int exponent = d.n ? d.point - 1 : 0;
        fixed = exponent >= -4 && exponent < precision;
        int significant = d.n;
        while (significant > 0 && d.digits[significant - 1] == '0')
            significant--;
        precision = significant - (fixed ? exponent + 1 : 1); // no zeros at the end
        precision = precision < 0 ? 0 : precision;
    } else {
        round_at(&d, fixed ? d.point + precision : precision + 1);
    }
    put_places(to, &d, fixed, precision, type < 'a' ? 'E' : 'e');
}

static void put_double(sink *to, const spec *given, double x, char type)
{
    spec s = *given;
    const char head[2] = {signbit(x) ? '-' : s.sign, 0};
    if (isnan(x) || isinf(x)) {
        s.zero = false;
        put_field(to, &s, head, 0, isnan(x) ? type < 'a' ? "NAN" : "nan" : type < 'a' ? "INF" : "inf", 3);
        return;
    }
    sink length = {NULL, 0, 0}; // printed twice: first to know how wide it is
    put_finite(&length, &s, x, type);
    const int fill = s.width - (int)(length.n + strlen(head));
    repeat(to, ' ', s.left || s.zero ? 0 : fill);
    put(to, head, strlen(head));
    repeat(to, '0', s.zero && !s.left ? fill : 0);
    put_finite(to, &s, x, type);
    repeat(to, ' ', s.left ? fill : 0);
}

/* ---- formats ---------------------------------------------------------------------------------- */

static const char *read_flags(const char *f, spec *s)
{
    for (;; f++) {
        s->left = s->left || *f == '-';
        s->zero = s->zero || *f == '0';
        if (*f == '+' || (*f == ' ' && !s->sign))
            s->sign = *f;
        if (!*f || !strchr("-0+ ", *f))
            return f;
    }
}

/* A width or precision: digits, or * for an argument. */
static const char *read_count(const char *f, va_list *args, int *out)
{
    if (*f == '*') {
        *out = va_arg(*args, int);
        return f + 1;
    }
    for (*out = 0; *f >= '0' && *f <= '9'; f++)
        *out = *out < 100000 ? *out * 10 + (*f - '0') : *out;
    return f;
}

static const char *read_length(const char *f, spec *s)
{
    size_t n = sizeof(int);
    for (; *f && strchr("hlzjt", *f); f++)
        n = *f == 'h' ? n / 2 : *f == 'j' || f[-1] == 'l' ? 8 : *f == 'l' ? sizeof(long) : sizeof(size_t);
    s->length = (int)n;
    return f;
}

static const char *read_spec(const char *f, va_list *args, spec *s)
{
    f = read_count(read_flags(f, s), args, &s->width);
    if (s->width < 0) {
        s->left = true;
        s->width = -s->width;
    }
    s->precision = -1;
    if (*f == '.')
        f = read_count(f + 1, args, &s->precision);
    s->precision = s->precision < 0 ? -1 : s->precision;
    return read_length(f, s);
}

static void put_signed(sink *to, const spec *s, int64_t value)
{
    value = s->length == 1 ? (signed char)value : s->length == 2 ? (short)value : value;
    put_integer(to, s, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0, 10, false);
}

static void put_unsigned(sink *to, const spec *given, uint64_t value, char type)
{
    spec s = *given;
    s.sign = 0;
    value = s.length == 1 ? (unsigned char)value : s.length == 2 ? (unsigned short)value : value;
    put_integer(to, &s, value, false, type == 'u' ? 10 : 16, type == 'X');
}

static void put_text(sink *to, const spec *s, const char *text)
{
    size_t n = 0;
    while ((s->precision < 0 || n < (size_t)s->precision) && text[n])
        n++;
    spec plain = *s;
    plain.zero = false;
    put_field(to, &plain, "", 0, text, n);
}

static bool put_one(sink *to, spec *s, char type, va_list *args)
{
    switch (type) {
    case '%': put(to, "%", 1); return true;
    case 'c': s->precision = 1, put_field(to, s, "", 0, &(char){(char)va_arg(*args, int)}, 1); return true;
    case 's': put_text(to, s, va_arg(*args, const char *)); return true;
    case 'd': case 'i': put_signed(to, s, s->length == 8 ? va_arg(*args, int64_t) : va_arg(*args, int)); return true;
    case 'u': case 'x': case 'X':
        put_unsigned(to, s, s->length == 8 ? va_arg(*args, uint64_t) : va_arg(*args, unsigned), type);
        return true;
    case 'e': case 'f': case 'g': case 'E': case 'F': case 'G':
        put_double(to, s, va_arg(*args, double), type);
        return true;
    default: return false;
    }
}

int vsnprintf(char *restrict out, size_t size, const char *restrict format, va_list given)
{
    sink to = {out, size ? size - 1 : 0, 0};
    va_list args;
    va_copy(args, given);
    for (const char *f = format; *f;) {
        const char *start = f++;
        if (*start == '%') {
            spec s = {0};
            f = read_spec(f, &args, &s);
            if (*f && put_one(&to, &s, *f, &args)) {
                f++;
                continue;
            }
            f = start + 1;
        }
        put(&to, start, 1);
    }
    va_end(args);
    if (size)
        out[to.n < size ? to.n : size - 1] = 0;
    return (int)to.n;
}

int snprintf(char *restrict out, size_t size, const char *restrict format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(out, size, format, args);
    va_end(args);
    return n;
}

#ifdef __wasm__

/* What the digits say, by JavaScript's Number. The core reads whole texts: end is never asked for. */
__attribute__((import_module("host"), import_name("number"))) double host_import_number(const char *text, size_t n);

double strtod(const char *restrict text, char **restrict end)
{
    if (end)
        *end = (char *)text;
    return end ? 0 : host_import_number(text, strlen(text));
}

#endif
