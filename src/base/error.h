/* Errors: filling an ingle_error where the fault is seen. Owns nothing. */
#ifndef INGLE_BASE_ERROR_H
#define INGLE_BASE_ERROR_H

#include "ingle.h"

#if defined(__GNUC__)
#define INGLE_PRINTF(format_arg, first_arg) __attribute__((format(printf, format_arg, first_arg)))
#else
#define INGLE_PRINTF(format_arg, first_arg)
#endif

/* Sets *err (may be NULL) and returns status, so that a failure is one line:
 *     return error_set(err, INGLE_ERR_FORMAT, "tensor %s: ...", name);
 * Text that comes from a file goes through "%.*s" with a length; control characters in the result
 * become '?', so an error is always one clean line. */
ingle_status error_set(ingle_error *err, ingle_status status, const char *fmt, ...)
    INGLE_PRINTF(3, 4);

/* Says "no error" and returns INGLE_OK. Every public function does this first. */
ingle_status error_clear(ingle_error *err);

/* ERR_MEMORY with the number of bytes that were asked for and what for. */
ingle_status error_memory(ingle_error *err, size_t bytes, const char *what);

#endif
