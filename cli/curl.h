/* One run of the program curl: request, answer's head, body bytes. */
#ifndef INGLE_CLI_CURL_H
#define INGLE_CLI_CURL_H

#include <sys/types.h>

#include "ingle.h"

typedef struct {
    int status;              // 200, 206, 404 ...; of the last answer, after redirects
    uint64_t length;         // Content-Length; UINT64_MAX = not stated
    bool has_range;          // Content-Range was there
    uint64_t range_first, range_total; // of Content-Range; total UINT64_MAX = not stated
    bool encoded;            // Content-Encoding other than identity
    bool page;               // text/html
    char validator[200];     // strong ETag, else Last-Modified, else ""
} curl_head;

typedef struct {
    pid_t pid;
    int out, errors; // pipes
    uint8_t buffer[65536];
    size_t n, at; // bytes read ahead
    curl_head head;
} curl_run;

/* Starts a GET and reads the head. first > 0 asks for the bytes from there on, on the condition
 * that validator (may be "") still holds. On failure nothing runs any more. */
ingle_status curl_open(curl_run *c, const char *url, uint64_t first, const char *validator,
                       ingle_error *err);

/* The next bytes of the body: *n 0 = the end (curl_close tells whether all was well). */
ingle_status curl_read(curl_run *c, const uint8_t **bytes, size_t *n, ingle_error *err);

/* Waits for curl. OK, or ERR_NETWORK with its own words; *again: trying again may help.
 * stop: end it first; then the result is always OK. */
ingle_status curl_close(curl_run *c, bool stop, bool *again, ingle_error *err);

#endif
