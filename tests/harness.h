/* The test harness. A test file is a program:
 *
 *     #include "harness.h"
 *     static void adds(void) { CHECK(1 + 1 == 2); CHECK_TEXT(name, "x"); }
 *     TESTS(T(adds) T(another))
 *
 * It prints a line a failure and closes with "NAME: N passed, N failed, N skipped"; tools/test.sh
 * adds these up. A test that lacks its data calls SKIP("why") and returns. */
#ifndef INGLE_HARNESS_H
#define INGLE_HARNESS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int test_bad, test_skip; // of the running test

#define CHECK(cond) CHECK_MSG(cond, "%s", "")
#define CHECK_MSG(cond, ...)                                              \
    do {                                                                  \
        if (!(cond) && ++test_bad <= 20) {                                \
            printf("%s:%d: not true: %s ", __FILE__, __LINE__, #cond);    \
            printf(__VA_ARGS__);                                          \
            printf("\n");                                                 \
        }                                                                 \
    } while (0)
#define CHECK_TEXT(got, want) check_text(got, want, __FILE__, __LINE__)
#define SKIP(why)                                    \
    do {                                             \
        printf("skipped: %s: %s\n", __func__, why);  \
        test_skip = 1;                               \
    } while (0)

static inline void check_text(const char *got, const char *want, const char *file, int line)
{
    if ((!got || strcmp(got, want) != 0) && ++test_bad <= 20)
        printf("%s:%d: got \"%s\", want \"%s\"\n", file, line, got ? got : "(null)", want);
}

typedef struct {
    const char *name;
    void (*run)(void);
} test_case;

#define T(name) {#name, name},
#define TESTS(...)                                                                         \
    int main(int argc, char **argv)                                                        \
    {                                                                                      \
        const test_case cases[] = {__VA_ARGS__};                                           \
        int passed = 0, failed = 0, skipped = 0;                                           \
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {                        \
            if (argc > 1 && !strstr(cases[i].name, argv[1])) /* one test by part of name */ \
                continue;                                                                  \
            test_bad = test_skip = 0;                                                      \
            cases[i].run();                                                                \
            if (test_bad)                                                                  \
                printf("FAIL %s (%d)\n", cases[i].name, test_bad);                         \
            failed += test_bad > 0;                                                        \
            skipped += !test_bad && test_skip;                                             \
            passed += !test_bad && !test_skip;                                             \
        }                                                                                  \
        printf("%s: %d passed, %d failed, %d skipped\n", __FILE__, passed, failed, skipped); \
        return failed > 0;                                                                 \
    }

#endif
