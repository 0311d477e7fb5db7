/* What leaves the program: standard output with its errors noticed, error lines, exit codes. */
#ifndef INGLE_CLI_OUTPUT_H
#define INGLE_CLI_OUTPUT_H

#include "ingle.h"

enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,      // while running
    EXIT_USAGE = 2,       // wrong usage
    EXIT_BAD_FILE = 3,    // the model or a file is bad
    EXIT_NO_ROOM = 4,     // not enough memory or space
    EXIT_NETWORK = 5,
    EXIT_INTERRUPTED = 130
};

/* Fills *err and returns status. */
ingle_status out_error(ingle_error *err, ingle_status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Prints "ingle: NAME: what: text" (what: the file or option concerned, may be NULL) and returns
 * the exit code that belongs to the status. */
int out_fail(const char *what, const ingle_error *err);
int out_failf(const char *what, ingle_status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

bool out_is_full(int error_number); // does errno say that a disk or quota is full?

/* To standard output, buffered. Control characters are replaced if it is a terminal: what a model
 * or a file holds must not steer the user's terminal. */
void out_text(const char *bytes, size_t n);
void out_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void out_bytes(const void *bytes, size_t n); // as they are
bool out_push(void); // flushes; false once anything could not be written

/* Flushes and returns code, or says why standard output failed and returns that exit code. */
int out_finish(int code);

#endif
