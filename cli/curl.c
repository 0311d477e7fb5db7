/* Running curl without a shell. Its standard output carries the heads of all answers and the body
 * of the last one, so one pipe tells everything in order. Answers are foreign text. */
#include "curl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buffer.h"
#include "output.h"
#include "terminal.h"

extern char **environ;

enum { HEAD_LIMIT = 32768, HEADS_MAX = 24 };

static bool make_pipe(int ends[2])
{
    if (pipe(ends) != 0)
        return false;
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    return true;
}

static ingle_status start(curl_run *c, char *const argv[], ingle_error *err)
{
    int out[2], errors[2];
    if (!make_pipe(out))
        return out_error(err, INGLE_ERR_IO, "no pipe: %s", strerror(errno));
    if (!make_pipe(errors)) {
        close(out[0]);
        close(out[1]);
        return out_error(err, INGLE_ERR_IO, "no pipe: %s", strerror(errno));
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, errors[1], STDERR_FILENO);
    const int failed = posix_spawnp(&c->pid, "curl", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    close(errors[1]);
    c->out = out[0];
    c->errors = errors[0];
    if (failed == 0)
        return INGLE_OK;
    close(out[0]);
    close(errors[0]);
    return out_error(err, INGLE_ERR_NETWORK, failed == ENOENT
                     ? "the program curl is needed for downloads and was not found"
                     : "the program curl could not be started: %s", strerror(failed));
}

/* ---- reading ------------------------------------------------------------------------------ */

static ingle_status fill(curl_run *c, ingle_error *err)
{
    for (;;) {
        const ssize_t got = read(c->out, c->buffer, sizeof c->buffer);
        if (term_interrupted())
            return out_error(err, INGLE_ERR_CANCELLED, "interrupted; the next pull goes on from "
                             "here");
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return out_error(err, INGLE_ERR_IO, "pipe from curl: %s", strerror(errno));
        c->at = 0;
        c->n = (size_t)got;
        return INGLE_OK;
    }
}

ingle_status curl_read(curl_run *c, const uint8_t **bytes, size_t *n, ingle_error *err)
{
    if (c->at == c->n && fill(c, err) != INGLE_OK)
        return err->status;
    *bytes = c->buffer + c->at;
    *n = c->n - c->at;
    c->at = c->n;
    return INGLE_OK;
}

/* One line of a head, without its end; *ended: the stream is over. */
static ingle_status read_line(curl_run *c, char line[1024], size_t *total, bool *ended,
                              ingle_error *err)
{
    size_t n = 0;
    *ended = false;
    for (;;) {
        if (c->at == c->n && fill(c, err) != INGLE_OK)
            return err->status;
        if (c->n == 0) {
            *ended = true;
            break;
        }
        const char byte = (char)c->buffer[c->at++];
        if (++*total > HEAD_LIMIT)
            return out_error(err, INGLE_ERR_NETWORK, "the server's head is too long");
        if (byte == '\n')
            break;
        if (n < 1023) // longer fields (cookies) are of no interest
            line[n++] = byte;
    }
    while (n && (line[n - 1] == '\r' || line[n - 1] == ' '))
        n--;
    line[n] = 0;
    return INGLE_OK;
}

static bool number(const char **p, uint64_t *out)
{
    if (**p < '0' || **p > '9')
        return false;
    *out = 0;
    while (**p >= '0' && **p <= '9') {
        const unsigned digit = (unsigned)(*(*p)++ - '0');
        if (*out > (UINT64_MAX - digit) / 10)
            return false;
        *out = *out * 10 + digit;
    }
    return true;
}

/* "bytes 100-199/200", "bytes 100-199/\*" */
static void parse_range(curl_head *h, const char *value)
{
    uint64_t last;
    const char *p = value;
    if (strncasecmp(p, "bytes ", 6) != 0)
        return;
    p += 6;
    if (!number(&p, &h->range_first) || *p++ != '-' || !number(&p, &last) || *p++ != '/')
        return;
    if (*p == '*')
        h->range_total = UINT64_MAX;
    else if (!number(&p, &h->range_total))
        return;
    h->has_range = true;
}

static void parse_field(curl_head *h, const char *line, bool *moved)
{
    const size_t name = strcspn(line, ":");
    if (!line[name])
        return;
    const char *value = line + name + 1;
    value += strspn(value, " \t");
    const char *p = value;
    if (name == 14 && strncasecmp(line, "content-length", name) == 0) {
        if (!number(&p, &h->length))
            h->length = UINT64_MAX;
    } else if (name == 13 && strncasecmp(line, "content-range", name) == 0) {
        parse_range(h, value);
    } else if (name == 16 && strncasecmp(line, "content-encoding", name) == 0) {
        h->encoded = strcasecmp(value, "identity") != 0;
    } else if (name == 12 && strncasecmp(line, "content-type", name) == 0) {
        h->page = strncasecmp(value, "text/html", 9) == 0;
    } else if (name == 8 && strncasecmp(line, "location", name) == 0) {
        *moved = true;
    } else if (name == 4 && strncasecmp(line, "etag", name) == 0) {
        if (*value == '"' && strlen(value) < sizeof h->validator) // a weak tag promises no bytes
            strcpy(h->validator, value);
    } else if (name == 13 && strncasecmp(line, "last-modified", name) == 0) {
        if (!*h->validator && strlen(value) < sizeof h->validator)
            strcpy(h->validator, value);
    }
}

/* Reads heads up to the one that a body follows. *ended: curl stopped before there was one. */
static ingle_status read_heads(curl_run *c, bool *ended, ingle_error *err)
{
    for (int i = 0; i < HEADS_MAX; i++) {
        char line[1024];
        size_t total = 0;
        bool moved = false;
        c->head = (curl_head){.length = UINT64_MAX};
        if (read_line(c, line, &total, ended, err) != INGLE_OK || *ended)
            return err->status;
        const char *p = line + strcspn(line, " ");
        uint64_t status = 0;
        p += *p == ' ';
        if (strncmp(line, "HTTP/", 5) != 0 || !number(&p, &status) || status > 999)
            return out_error(err, INGLE_ERR_NETWORK, "the answer is not HTTP");
        c->head.status = (int)status;
        do {
            if (read_line(c, line, &total, ended, err) != INGLE_OK || *ended)
                return err->status;
            parse_field(&c->head, line, &moved);
        } while (*line);
        if (status >= 200 && !(status >= 300 && status < 400 && moved))
            return INGLE_OK;
    }
    return out_error(err, INGLE_ERR_NETWORK, "too many redirects");
}

/* ---- start and end ------------------------------------------------------------------------ */

/* Header fields must not be able to begin another one. */
static bool one_line(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 32 || *text == 127)
            return false;
    return true;
}

ingle_status curl_open(curl_run *c, const char *url, uint64_t first, const char *validator,
                       ingle_error *err)
{
    const bool secure = strncasecmp(url, "https://", 8) == 0;
    if ((!secure && strncasecmp(url, "http://", 7) != 0) || !one_line(url))
        return out_error(err, INGLE_ERR_USAGE, "not an http or https address");
    char range[32], condition[256];
    snprintf(range, sizeof range, "%" PRIu64 "-", first);
    snprintf(condition, sizeof condition, "If-Range: %s", validator);
    const char *argv[40];
    size_t n = 0;
    // -q: a user's .curlrc could redirect the output or print more; proxies come by environment
    static const char *const fixed[] = {
        "curl", "-q", "--silent", "--show-error", "--location", "--include", "--globoff",
        "--suppress-connect-headers", "--no-buffer", "--max-redirs", "10", "--proto",
        "=http,https", "--connect-timeout", "30", "--speed-limit", "1", "--speed-time", "60",
        "--user-agent", "ingle"};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        argv[n++] = fixed[i];
    argv[n++] = "--proto-redir"; // a redirect must not leave encryption behind
    argv[n++] = secure ? "=https" : "=http,https";
    if (first > 0) {
        argv[n++] = "--range";
        argv[n++] = range;
    }
    if (first > 0 && *validator && one_line(validator)) {
        argv[n++] = "--header";
        argv[n++] = condition;
    }
    argv[n++] = "--url";
    argv[n++] = url;
    argv[n] = NULL;
    union {
        const char **in;
        char *const *out;
    } list = {argv}; // posix_spawnp does not write to them
    c->n = c->at = 0;
    err->status = INGLE_OK;
    if (start(c, list.out, err) != INGLE_OK)
        return err->status;
    bool ended = false, again;
    const ingle_status status = read_heads(c, &ended, err);
    if (status != INGLE_OK) {
        ingle_error ignored;
        curl_close(c, true, &again, &ignored);
        return status;
    }
    if (!ended)
        return INGLE_OK;
    if (curl_close(c, false, &again, err) == INGLE_OK)
        return out_error(err, INGLE_ERR_NETWORK, "the server sent nothing");
    return err->status;
}

/* curl's exit statuses after which the same request may well succeed. */
static bool transient(int code)
{
    static const int codes[] = {16, 18, 28, 52, 55, 56, 92, 95};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i] == code)
            return true;
    return false;
}

/* What curl said on standard error: "curl: (6) Could not resolve host: x". */
static void read_complaint(int fd, char text[200])
{
    size_t n = 0;
    while (n < 199) {
        const ssize_t got = read(fd, text + n, 199 - n);
        if (got < 0 && errno == EINTR && !term_interrupted())
            continue;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    text[n] = 0;
    text[strcspn(text, "\r\n")] = 0;
}

ingle_status curl_close(curl_run *c, bool stop, bool *again, ingle_error *err)
{
    char complaint[200] = "";
    int state = 0;
    *again = false;
    if (stop)
        kill(c->pid, SIGTERM);
    close(c->out);
    if (!stop)
        read_complaint(c->errors, complaint);
    close(c->errors);
    while (waitpid(c->pid, &state, 0) < 0 && errno == EINTR)
        ;
    err->status = INGLE_OK;
    if (stop || (WIFEXITED(state) && WEXITSTATUS(state) == 0))
        return INGLE_OK;
    if (term_interrupted()) // the terminal told curl too
        return out_error(err, INGLE_ERR_CANCELLED, "interrupted; the next pull goes on from here");
    const int code = WIFEXITED(state) ? WEXITSTATUS(state) : -1;
    *again = transient(code);
    if (code == 127)
        return out_error(err, INGLE_ERR_NETWORK,
                         "the program curl is needed for downloads and was not found");
    return out_error(err, INGLE_ERR_NETWORK, "%s", *complaint ? complaint : "curl failed");
}
