/* Downloads, by running the program curl: it brings TLS, proxies and certificates that are kept up
 * to date. Resumes, checks sums, and never leaves half a file under a file's name. */
#ifndef INGLE_CLI_FETCH_H
#define INGLE_CLI_FETCH_H

#include "ingle.h"

typedef struct {
    const char *url;    // http: or https:
    const char *path;   // where the file is to be; path.part while it is not whole
    const char *sha256; // 64 hex digits; NULL = not known
    uint64_t size;      // 0 = not known
    bool quiet;         // no progress bar
} fetch_job;

/* ERR_NETWORK (curl is missing or fails, the server refuses), ERR_QUOTA (no space), ERR_INTEGRITY
 * (wrong sum; the bytes are removed), ERR_IO (another ingle is at it), ERR_CANCELLED (Ctrl-C; what
 * is there stays for the next time). sum: the file's SHA-256 as 64 hex digits and a NUL. */
ingle_status fetch_file(const fetch_job *job, char sum[65], ingle_error *err);

/* A small document of at most limit bytes, appended. ERR_NETWORK. */
ingle_status fetch_text(const char *url, size_t limit, ingle_text *out, ingle_error *err);

/* SHA-256 of a file. ERR_IO, ERR_CANCELLED. */
ingle_status fetch_sum(const char *path, bool quiet, char sum[65], ingle_error *err);

#endif
