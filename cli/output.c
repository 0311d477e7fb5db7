/* Standard output, error lines and exit codes. Owns the sticky error number of standard output. */
#include "output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "buffer.h"
#include "terminal.h"

static int write_error; // errno of the first write to standard output that failed

static void clean_line(char *text)
{
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 32 || *p == 127)
            *p = '?';
}

static void format_error(ingle_error *err, ingle_status status, const char *fmt, va_list args)
{
    err->status = status;
    vsnprintf(err->text, sizeof err->text, fmt, args);
    clean_line(err->text);
}

ingle_status out_error(ingle_error *err, ingle_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    format_error(err, status, fmt, args);
    va_end(args);
    return status;
}

static int exit_code(ingle_status status)
{
    switch (status) {
    case INGLE_OK:
        return EXIT_DONE;
    case INGLE_ERR_USAGE:
        return EXIT_USAGE;
    case INGLE_ERR_IO:
    case INGLE_ERR_FORMAT:
    case INGLE_ERR_TEMPLATE:
    case INGLE_ERR_UNSUPPORTED:
    case INGLE_ERR_INTEGRITY:
        return EXIT_BAD_FILE;
    case INGLE_ERR_MEMORY:
    case INGLE_ERR_QUOTA:
        return EXIT_NO_ROOM;
    case INGLE_ERR_NETWORK:
        return EXIT_NETWORK;
    case INGLE_ERR_CANCELLED:
        return EXIT_INTERRUPTED;
    default:
        return EXIT_FAILED;
    }
}

int out_fail(const char *what, const ingle_error *err)
{
    const char *name = ingle_status_name(err->status);
    term_clear_bar();
    if (what && *what) {
        char clean[512];
        snprintf(clean, sizeof clean, "%s", what);
        clean_line(clean);
        const size_t n = strlen(clean);
        // A text that begins with the same file name says it well enough.
        if (strncmp(err->text, clean, n) != 0 || err->text[n] != ':')
            fprintf(stderr, "ingle: %s: %s: %s\n", name, clean, err->text);
        else
            fprintf(stderr, "ingle: %s: %s\n", name, err->text);
    } else {
        fprintf(stderr, "ingle: %s: %s\n", name, err->text);
    }
    return exit_code(err->status);
}

int out_failf(const char *what, ingle_status status, const char *fmt, ...)
{
    ingle_error err;
    va_list args;
    va_start(args, fmt);
    format_error(&err, status, fmt, args);
    va_end(args);
    return out_fail(what, &err);
}

bool out_is_full(int error_number)
{
    return error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
}

void out_bytes(const void *bytes, size_t n)
{
    if (n && !write_error && fwrite(bytes, 1, n, stdout) != n)
        write_error = errno ? errno : EIO;
}

void out_text(const char *bytes, size_t n)
{
    if (!term_is_out()) {
        out_bytes(bytes, n);
        return;
    }
    size_t start = 0;
    for (size_t i = 0; i < n;) {
        uint32_t code;
        const size_t length = char_decode(bytes + i, n - i, &code);
        const bool control = (code < 32 && code != '\n' && code != '\t') ||
                             (code >= 127 && code < 160);
        if (control) {
            out_bytes(bytes + start, i - start);
            out_bytes("?", 1);
            start = i + length;
        }
        i += length;
    }
    out_bytes(bytes + start, n - start);
}

void out_printf(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char line[1024];
    const int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (n > 0)
        out_text(line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

bool out_push(void)
{
    if (!write_error && fflush(stdout) != 0)
        write_error = errno ? errno : EIO;
    return !write_error;
}

int out_finish(int code)
{
    if (out_push() || code != EXIT_DONE)
        return code;
    if (write_error == EPIPE) // whoever read has seen enough
        return EXIT_FAILED;
    if (out_is_full(write_error))
        return out_failf("standard output", INGLE_ERR_QUOTA, "%s", strerror(write_error));
    out_failf("standard output", INGLE_ERR_IO, "%s", strerror(write_error));
    return EXIT_FAILED;
}
