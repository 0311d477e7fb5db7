/* The WebAssembly builds' own string functions (src/wasm/string.c) against this machine's, over all short
 * texts of a few letters. */
#include "harness.h"

#include <stdbool.h>

size_t own_strlen(const char *text);
void *own_memchr(const void *bytes, int wanted, size_t n);
char *own_strchr(const char *text, int wanted);
size_t own_strcspn(const char *text, const char *set);
char *own_strpbrk(const char *text, const char *set);
char *own_strstr(const char *text, const char *part);
int own_atoi(const char *text);
#define strlen own_strlen
#define memchr own_memchr
#define strchr own_strchr
#define strcspn own_strcspn
#define strpbrk own_strpbrk
#define strstr own_strstr
#define atoi own_atoi
#include "../src/wasm/string.c"
#undef strlen
#undef memchr
#undef strchr
#undef strcspn
#undef strpbrk
#undef strstr
#undef atoi

enum { LONGEST = 6, LETTERS = 3 };

/* The text of this number, one for each number; false after the last. */
static bool text_of(unsigned number, unsigned longest, char *out)
{
    unsigned n = 0;
    for (; number; number = (number - 1) / LETTERS, n++) {
        if (n == longest)
            return false;
        out[n] = "ab\xE9"[(number - 1) % LETTERS];
    }
    out[n] = 0;
    return true;
}

static void as_the_c_library(void)
{
    char text[LONGEST + 1], other[LONGEST + 1];
    unsigned n_texts = 0;
    for (; text_of(n_texts, LONGEST, text); n_texts++) {
        const size_t n = strlen(text);
        CHECK(own_strlen(text) == n);
        for (const char *c = "ab\xE9" "c"; *c; c++) {
            CHECK(own_strchr(text, *c) == strchr(text, *c));
            CHECK(own_memchr(text, *c, n) == memchr(text, *c, n) && own_memchr(text, (unsigned char)*c, n / 2) == memchr(text, *c, n / 2));
        }
        CHECK(own_strchr(text, 0) == text + n);
        for (unsigned k = 0; text_of(k, 3, other); k++) {
            CHECK(own_strstr(text, other) == strstr(text, other));
            CHECK(own_strcspn(text, other) == strcspn(text, other));
            CHECK(own_strpbrk(text, other) == strpbrk(text, other));
        }
    }
    CHECK(n_texts == 1093); // 3^0 + .. + 3^6
}

static void reads_numbers(void)
{
    for (int n = -1000; n <= 1000; n++) {
        char text[16];
        snprintf(text, sizeof text, n % 2 ? "%d" : "%+04dx", n);
        CHECK(own_atoi(text) == n);
    }
    CHECK(own_atoi("") == 0 && own_atoi("-") == 0 && own_atoi("2147483647") == 2147483647);
}

TESTS(T(as_the_c_library) T(reads_numbers))
