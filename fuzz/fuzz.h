/* What the fuzz targets share. A target is one file fuzz_<name>.c with LLVMFuzzerTestOneInput; it
 * runs under libFuzzer (make fuzz) and under replay.c (make fuzz-replay). Besides crashing it may
 * not break the promises that MUST states. */
#ifndef INGLE_FUZZ_H
#define INGLE_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ingle.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define MUST(cond)                                                                      \
    do {                                                                                \
        if (!(cond)) {                                                                  \
            fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #cond); \
            abort();                                                                    \
        }                                                                               \
    } while (0)

/* Takes one choice from the front of the input; 0 when it is spent. */
static inline uint8_t fuzz_byte(const uint8_t **bytes, size_t *n)
{
    if (*n == 0)
        return 0;
    (*n)--;
    return *(*bytes)++;
}

/* A failure has a text of one clean line, a success has none. */
static inline void fuzz_check_error(ingle_status status, const ingle_error *err)
{
    MUST(err->status == status);
    MUST((status == INGLE_OK) == (err->text[0] == 0));
    MUST(status != INGLE_ERR_INTERNAL);
    for (const char *p = err->text; *p; p++)
        MUST((unsigned char)*p >= 32 && *p != 127);
}

#endif
