/* Downloads to files. A file grows as PATH.part, with PATH.part.from beside it (address and
 * validator, so that bytes of two versions are never joined), is checked, then renamed. A lock on
 * the part keeps two pulls apart. */
#include "fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "buffer.h"
#include "curl.h"
#include "output.h"
#include "terminal.h"

enum { TRIES = 5 };

typedef struct {
    const fetch_job *job;
    ingle_text part, from; // paths
    int fd;                // of the part, locked
    uint64_t have;         // bytes in it
    uint64_t total;        // of the whole file; 0 = not known
    char validator[200];
    term_bar bar;
    curl_run *curl;
} fetch;

static ingle_status io_failed(ingle_error *err, const char *what)
{
    const int why = errno;
    return out_error(err, out_is_full(why) ? INGLE_ERR_QUOTA : INGLE_ERR_IO, "%s: %s", what,
                     strerror(why));
}

/* ---- the part ----------------------------------------------------------------------------- */

/* Opens and locks the part. A pull that ended in between has renamed or removed it: then the lock
 * is on a file that nobody sees, and the part is opened again. */
static ingle_status lock_part(fetch *f, ingle_error *err)
{
    for (int i = 0; i < 10; i++) {
        f->fd = open(f->part.bytes, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (f->fd < 0)
            return io_failed(err, "the download cannot be written");
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (fcntl(f->fd, F_SETLK, &lock) != 0) {
            struct flock holder = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
            fcntl(f->fd, F_GETLK, &holder);
            close(f->fd);
            f->fd = -1;
            return out_error(err, INGLE_ERR_IO, "another ingle (process %ld) is downloading this "
                             "file", (long)holder.l_pid);
        }
        struct stat mine, seen;
        if (fstat(f->fd, &mine) != 0)
            return io_failed(err, "the download cannot be read");
        if (stat(f->part.bytes, &seen) == 0 && seen.st_ino == mine.st_ino &&
            seen.st_dev == mine.st_dev) {
            f->have = (uint64_t)mine.st_size;
            return INGLE_OK;
        }
        close(f->fd);
        f->fd = -1;
    }
    return out_error(err, INGLE_ERR_IO, "another ingle is downloading this file");
}

/* May the bytes that are there be continued? Only if they came from the same address, and if the
 * server can be asked whether it still has the same file or a checksum will tell. */
static bool may_resume(fetch *f)
{
    ingle_text text = {0};
    ingle_error ignored;
    bool same = false;
    f->validator[0] = 0;
    if (f->have && buf_read_file(&text, f->from.bytes, &ignored) == INGLE_OK) {
        const size_t url = strcspn(text.bytes, "\n");
        same = strlen(f->job->url) == url && memcmp(text.bytes, f->job->url, url) == 0;
        const char *validator = text.bytes + url + (text.bytes[url] ? 1 : 0);
        const size_t n = strcspn(validator, "\n");
        if (same && n < sizeof f->validator) {
            memcpy(f->validator, validator, n);
            f->validator[n] = 0;
        }
    }
    ingle_text_free(&text);
    return same && (*f->validator || f->job->sha256);
}

static ingle_status start_over(fetch *f, ingle_error *err)
{
    f->have = 0;
    if (ftruncate(f->fd, 0) != 0)
        return io_failed(err, "the download cannot be begun again");
    return INGLE_OK;
}

static ingle_status note_origin(fetch *f, ingle_error *err)
{
    ingle_text text = {0};
    ingle_status status;
    if (buf_printf(&text, "%s\n%s\n", f->job->url, f->validator))
        status = buf_write_file(f->from.bytes, text.bytes, text.n, err);
    else
        status = out_error(err, INGLE_ERR_MEMORY, "no room for an address");
    ingle_text_free(&text);
    return status;
}

/* ---- one request -------------------------------------------------------------------------- */

static ingle_status check_space(const fetch *f, ingle_error *err)
{
    struct statvfs s;
    if (f->total <= f->have || fstatvfs(f->fd, &s) != 0 || s.f_frsize == 0)
        return INGLE_OK;
    const uint64_t need = f->total - f->have;
    if (s.f_bavail >= need / s.f_frsize + 1)
        return INGLE_OK;
    char a[24], b[24];
    return out_error(err, INGLE_ERR_QUOTA, "%s are needed, the disk has %s left",
                     term_size(a, (double)need),
                     term_size(b, (double)s.f_bavail * (double)s.f_frsize));
}

/* Judges the answer's head; may empty the part. *done: the part is the whole file already;
 * *restart: ask again from the beginning. */
static ingle_status judge(fetch *f, bool *done, bool *restart, ingle_error *err)
{
    const curl_head *h = &f->curl->head;
    *done = *restart = false;
    if (h->status == 416 && f->have) { // nothing behind what is there, or it became shorter
        *done = f->total && f->have == f->total;
        *restart = !*done;
        return *restart ? start_over(f, err) : INGLE_OK;
    }
    if (h->status != 200 && h->status != 206)
        return out_error(err, INGLE_ERR_NETWORK, "the server answers %d%s", h->status,
                         h->status == 404                         ? " (not found)"
                         : h->status == 401 || h->status == 403 ? " (access refused)"
                         : h->status == 429                       ? " (too many requests)"
                                                                  : "");
    if (h->encoded || h->page)
        return out_error(err, INGLE_ERR_NETWORK, h->page ? "the server sends a web page"
                                                         : "the server sends encoded bytes");
    if (h->status == 206) {
        if (!f->have || !h->has_range || h->range_first != f->have ||
            (f->total && h->range_total != UINT64_MAX && h->range_total != f->total)) {
            *restart = f->have > 0;
            return *restart ? start_over(f, err)
                            : out_error(err, INGLE_ERR_NETWORK, "the server sends a wrong range");
        }
        if (h->range_total != UINT64_MAX)
            f->total = h->range_total;
        return check_space(f, err);
    }
    // 200: the whole file, whether because it changed or because the server knows no ranges
    if (f->have && start_over(f, err) != INGLE_OK)
        return err->status;
    if (h->length != UINT64_MAX) {
        if (f->job->size && h->length != f->job->size)
            return out_error(err, INGLE_ERR_INTEGRITY, "the server has %" PRIu64 " bytes, %" PRIu64
                             " are expected", h->length, f->job->size);
        f->total = h->length;
    }
    memcpy(f->validator, h->validator, sizeof f->validator);
    const ingle_status status = note_origin(f, err);
    return status == INGLE_OK ? check_space(f, err) : status;
}

static ingle_status write_all(fetch *f, const uint8_t *bytes, size_t n, ingle_error *err)
{
    while (n > 0) {
        const ssize_t put = pwrite(f->fd, bytes, n, (off_t)f->have);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return io_failed(err, "the download cannot be written");
        bytes += put;
        n -= (size_t)put;
        f->have += (uint64_t)put;
    }
    return INGLE_OK;
}

static ingle_status copy_body(fetch *f, ingle_error *err)
{
    for (;;) {
        const uint8_t *bytes;
        size_t n;
        if (curl_read(f->curl, &bytes, &n, err) != INGLE_OK)
            return err->status;
        if (n == 0)
            return INGLE_OK;
        if (f->job->size && n > f->job->size - f->have)
            return out_error(err, INGLE_ERR_INTEGRITY, "the server sends more than %" PRIu64
                             " bytes", f->job->size);
        if (write_all(f, bytes, n, err) != INGLE_OK)
            return err->status;
        term_bar_show(&f->bar, f->have, f->total);
    }
}

/* One request and its body. *again: it broke off in a way that another try may mend. */
static ingle_status request(fetch *f, bool *again, ingle_error *err)
{
    bool done, restart, ignored;
    ingle_error unused;
    *again = false;
    if (curl_open(f->curl, f->job->url, f->have, f->validator, err) != INGLE_OK)
        return err->status;
    ingle_status status = judge(f, &done, &restart, err);
    if (status == INGLE_OK && !done && !restart)
        status = copy_body(f, err);
    else
        done = done || restart;
    if (status != INGLE_OK || done) {
        curl_close(f->curl, true, &ignored, &unused);
        *again = restart && status == INGLE_OK;
        return restart && status == INGLE_OK
                   ? out_error(err, INGLE_ERR_NETWORK, "the server no longer has the rest")
                   : status;
    }
    status = curl_close(f->curl, false, again, err);
    if (status == INGLE_OK && f->total && f->have != f->total) {
        *again = f->have < f->total;
        status = out_error(err, INGLE_ERR_NETWORK, "the server sent %" PRIu64 " of %" PRIu64
                           " bytes", f->have, f->total);
    }
    return status;
}

static ingle_status download(fetch *f, ingle_error *err)
{
    uint64_t most = f->have; // only bytes that no try brought before count as progress
    for (int tries = 1;; tries++) {
        bool again;
        const ingle_status status = request(f, &again, err);
        if (status == INGLE_OK || !again || tries == TRIES)
            return status;
        if (f->have > most) {
            most = f->have;
            tries = 0;
        } else {
            nanosleep(&(struct timespec){.tv_sec = tries}, NULL);
        }
        if (term_interrupted())
            return out_error(err, INGLE_ERR_CANCELLED, "interrupted; the next pull goes on from "
                             "here");
        // Without a validator or a sum, nothing would show that the file changed in between.
        if (!*f->validator && !f->job->sha256 && start_over(f, err) != INGLE_OK)
            return err->status;
    }
}

/* ---- the end ------------------------------------------------------------------------------ */

/* Reads by position and leaves fd open: closing any descriptor of the part would give up the
 * process's lock on it. */
static ingle_status sum_of(int fd, bool quiet, char sum[65], ingle_error *err)
{
    uint8_t bytes[1 << 15];
    struct stat s;
    term_bar bar;
    ingle_sha256 h;
    const uint64_t total = fstat(fd, &s) == 0 ? (uint64_t)s.st_size : 0;
    uint64_t done = 0;
    ingle_sha256_init(&h);
    term_bar_start(&bar, "verify", !quiet, true);
    ingle_status status = INGLE_OK;
    while (status == INGLE_OK) {
        const ssize_t got = pread(fd, bytes, sizeof bytes, (off_t)done);
        if (term_interrupted()) {
            status = out_error(err, INGLE_ERR_CANCELLED, "interrupted while it was verified");
        } else if (got < 0 && errno != EINTR) {
            status = io_failed(err, "cannot be read");
        } else if (got > 0) {
            ingle_sha256_add(&h, bytes, (size_t)got);
            done += (uint64_t)got;
            term_bar_show(&bar, done, total);
        } else if (got == 0) {
            break;
        }
    }
    term_clear_bar();
    ingle_sha256_end(&h, sum);
    return status;
}

ingle_status fetch_sum(const char *path, bool quiet, char sum[65], ingle_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return out_error(err, INGLE_ERR_IO, "cannot be opened: %s", strerror(errno));
    const ingle_status status = sum_of(fd, quiet, sum, err);
    close(fd);
    return status;
}

static bool looks_right(const fetch *f)
{
    const size_t n = strlen(f->job->path);
    char head[4];
    if (n < 5 || strcasecmp(f->job->path + n - 5, ".gguf") != 0)
        return true;
    return pread(f->fd, head, 4, 0) == 4 && memcmp(head, "GGUF", 4) == 0;
}

static void discard(fetch *f)
{
    remove(f->part.bytes);
    remove(f->from.bytes);
}

static ingle_status finish(fetch *f, char sum[65], ingle_error *err)
{
    const fetch_job *job = f->job;
    if (sum_of(f->fd, job->quiet, sum, err) != INGLE_OK)
        return err->status;
    if (job->sha256 && strcasecmp(sum, job->sha256) != 0) {
        discard(f);
        return out_error(err, INGLE_ERR_INTEGRITY, "the sum is %.16s..., %.16s... is expected; the "
                         "bytes were removed", sum, job->sha256);
    }
    if (!looks_right(f)) {
        discard(f);
        return out_error(err, INGLE_ERR_FORMAT, "what came is not a GGUF file; it was removed");
    }
    if (fsync(f->fd) != 0 || rename(f->part.bytes, job->path) != 0)
        return io_failed(err, "the download cannot be moved to its place");
    remove(f->from.bytes);
    return INGLE_OK;
}

ingle_status fetch_file(const fetch_job *job, char sum[65], ingle_error *err)
{
    fetch f = {.job = job, .fd = -1, .total = job->size, .curl = malloc(sizeof *f.curl)};
    ingle_status status = INGLE_OK;
    if (!f.curl || !buf_printf(&f.part, "%s.part", job->path) ||
        !buf_printf(&f.from, "%s.part.from", job->path))
        status = out_error(err, INGLE_ERR_MEMORY, "no room for a download");
    if (status == INGLE_OK)
        status = lock_part(&f, err);
    if (status == INGLE_OK && f.have &&
        (!may_resume(&f) || (job->size && f.have > job->size)))
        status = start_over(&f, err);
    term_bar_start(&f.bar, "pull", !job->quiet, true);
    if (status == INGLE_OK && !(job->size && f.have == job->size))
        status = download(&f, err);
    term_clear_bar();
    if (status == INGLE_ERR_INTEGRITY || (status != INGLE_OK && f.fd >= 0 && f.have == 0))
        discard(&f);
    if (status == INGLE_OK)
        status = finish(&f, sum, err);
    if (f.fd >= 0)
        close(f.fd);
    free(f.curl);
    ingle_text_free(&f.part);
    ingle_text_free(&f.from);
    return status;
}

ingle_status fetch_text(const char *url, size_t limit, ingle_text *out, ingle_error *err)
{
    curl_run *c = malloc(sizeof *c);
    bool again;
    if (!c)
        return out_error(err, INGLE_ERR_MEMORY, "no room for a download");
    ingle_status status = curl_open(c, url, 0, "", err);
    if (status != INGLE_OK) {
        free(c);
        return status;
    }
    if (c->head.status != 200)
        status = out_error(err, INGLE_ERR_NETWORK, "the server answers %d%s", c->head.status,
                           c->head.status == 404   ? " (not found)"
                           : c->head.status == 401 ? " (no such public repository)"
                                                   : "");
    while (status == INGLE_OK) {
        const uint8_t *bytes;
        size_t n;
        status = curl_read(c, &bytes, &n, err);
        if (status != INGLE_OK || n == 0)
            break;
        if (n > limit - out->n)
            status = out_error(err, INGLE_ERR_NETWORK, "the answer is longer than %zu bytes",
                               limit);
        else if (!buf_add(out, (const char *)bytes, n))
            status = out_error(err, INGLE_ERR_MEMORY, "no room for the server's answer");
    }
    ingle_error closing;
    const ingle_status ended = curl_close(c, status != INGLE_OK, &again, &closing);
    if (status == INGLE_OK && ended != INGLE_OK) {
        *err = closing;
        status = ended;
    }
    free(c);
    return status;
}
