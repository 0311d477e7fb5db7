/* The WebAssembly builds' own snprintf (src/wasm/printf.c) against this machine's: the same text and
 * length for each conversion, flag and width, and for doubles of all sizes. */
#include "harness.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>

static int libc_print(char *out, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(out, size, format, args);
    va_end(args);
    return n;
}

int own_snprintf(char *restrict out, size_t size, const char *restrict format, ...);
int own_vsnprintf(char *restrict out, size_t size, const char *restrict format, va_list given);
#undef snprintf
#undef vsnprintf
#define snprintf own_snprintf
#define vsnprintf own_vsnprintf
#include "../src/wasm/printf.c"

enum { ROOM = 1500 };

/* Formats are made at run time, so that they are not checked against their arguments. */
#define SAME(format, ...)                                                                              \
    do {                                                                                               \
        char want[ROOM], got[ROOM];                                                                    \
        const char *volatile f = (format);                                                             \
        const int n = libc_print(want, sizeof want, f, __VA_ARGS__);                                   \
        const int m = own_snprintf(got, sizeof got, f, __VA_ARGS__);                                   \
        CHECK_MSG(n == m && strcmp(want, got) == 0, "%s: \"%s\", not \"%s\"", f, got, want);           \
    } while (0)

static const char *const flags[] = {"", "-", "0", "+", " ", "-0", "+0", "-+", " 0"};
static const char *const sizes[] = {"", "1", "5", "12", ".0", ".1", ".3", "9.2", "2.9", ".17"};
enum { N_FLAGS = sizeof flags / sizeof *flags, N_SIZES = sizeof sizes / sizeof *sizes };

static void integers(void)
{
    const long long values[] = {0, 1, -1, 7, 42, -100, 255, 65536, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    char format[32];
    for (size_t v = 0; v < sizeof values / sizeof *values; v++)
        for (size_t i = 0; i < N_FLAGS * N_SIZES; i++) {
            const char *flag = flags[i % N_FLAGS];
            const char *const types[] = {"d", "i", "u", "x", "X", "hd", "hhu", "hhd", "hx"};
            for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
                libc_print(format, sizeof format, "<%%%s%s%s>", flag, sizes[i / N_FLAGS], types[t]);
                SAME(format, (int)values[v]);
            }
            libc_print(format, sizeof format, "<%%%s%slld|%%zu|%%lu|%%jd>", flag, sizes[i / N_FLAGS]);
            SAME(format, values[v], (size_t)values[v], (unsigned long)values[v], (intmax_t)values[v]);
            libc_print(format, sizeof format, "%%%s%sllx", flag, sizes[i / N_FLAGS]);
            SAME(format, (unsigned long long)values[v]);
        }
    SAME("%*d|%-*d|%0*d|%.*d|%*d", 5, 3, 5, 3, 5, -3, 4, 7, -5, 3);
}

static void texts(void)
{
    SAME("%s|%5s|%-5s|%.2s|%5.1s|%.0s|%%|%c|%3c|%-3c|", "abc", "de", "fg", "hij", "kl", "mn", 'x', 'y', 'z');
    SAME("%.*s|%.*s|%*.*s", 2, "abcdef", -1, "ghi", 6, 2, "jkl");
    SAME("no argument is used%s", "");
    for (size_t size = 0; size < 12; size++) {
        char want[16] = "###############", got[16] = "###############";
        const int n = libc_print(want, size, "%s %d", "text", 12345), m = own_snprintf(got, size, "%s %d", "text", 12345);
        CHECK(n == m && memcmp(want, got, sizeof want) == 0);
    }
    char whole[16];
    CHECK(own_snprintf(whole, sizeof whole, "%n %p") == 5); // refused: they come out as they stand
    CHECK_TEXT(whole, "%n %p");
}

static void print_double(double x, const char *flag, const char *size)
{
    const char types[] = "efgEFG";
    for (size_t t = 0; t < sizeof types - 1; t++) {
        char format[32];
        libc_print(format, sizeof format, "<%%%s%s%c>", flag, size, types[t]);
        SAME(format, x);
    }
}

static double from_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void doubles(void)
{
    const double values[] = {0, -0.0, 1, -1, 0.5, 1.5, 2.5, 0.125, 9.5, 99.5, 0.1, 0.3, 1e15, 1e16, 123456789, 1e21,
                             1e22, 1e23, 9.999999e-5, 0.0001, 1e-5, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308,
                             999999.5, 9999995, 0.00001234, 1e100, NAN, INFINITY, -INFINITY, 4503599627370496.5, 1e-300};
    for (size_t v = 0; v < sizeof values / sizeof *values; v++)
        for (size_t i = 0; i < N_FLAGS * N_SIZES; i++)
            print_double(values[v], flags[i % N_FLAGS], sizes[i / N_FLAGS]);
    print_double(5e-324, "", ".1100");
    print_double(1.7976931348623157e308, "", ".1100");
}

static void doubles_at_random(void)
{
    uint64_t seed = 9;
    for (int i = 0; i < 20000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        const uint64_t bits = i % 2 ? seed : (seed >> 12) | (uint64_t)(1023 - 30 + i % 60) << 52;
        const char *const some[] = {"", ".1", ".16", ".17", ".40", "30.3"};
        print_double(from_bits(bits), "", some[i % 6]);
    }
    // Halfway cases: k + 1/2 at each place.
    for (int i = 0; i < 2000; i++)
        print_double((double)i / 16 * (i % 3 ? 1 : 1024), "", i % 2 ? ".0" : ".3");
}

TESTS(T(integers) T(texts) T(doubles) T(doubles_at_random))
