/* Growing text, whole files, lists of ids and character widths. Refuses nothing by content except
 * ids that are no numbers. */
#include "buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"
#include "terminal.h"

static bool room(ingle_text *t, size_t more)
{
    if (more >= SIZE_MAX / 2 - t->n)
        return false;
    const size_t need = t->n + more + 1;
    if (need <= t->capacity)
        return true;
    size_t capacity = t->capacity + t->capacity / 2;
    if (capacity < need)
        capacity = need < 256 ? 256 : need;
    char *moved = realloc(t->bytes, capacity);
    if (!moved)
        return false;
    t->bytes = moved;
    t->capacity = capacity;
    return true;
}

bool buf_add(ingle_text *t, const char *bytes, size_t n)
{
    if (!room(t, n))
        return false;
    if (n)
        memcpy(t->bytes + t->n, bytes, n);
    t->n += n;
    t->bytes[t->n] = 0;
    return true;
}

bool buf_add_text(ingle_text *t, const char *text)
{
    return buf_add(t, text, strlen(text));
}

bool buf_printf(ingle_text *t, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    const bool ok = n >= 0 && room(t, (size_t)n);
    if (ok) {
        vsnprintf(t->bytes + t->n, (size_t)n + 1, fmt, again);
        t->n += (size_t)n;
    }
    va_end(again);
    return ok;
}

/* ---- files -------------------------------------------------------------------------------- */

static ingle_status read_all(ingle_text *t, int fd, ingle_error *err)
{
    for (;;) {
        if (!room(t, 65536))
            return out_error(err, INGLE_ERR_MEMORY, "no room for more than %zu bytes", t->n);
        const ssize_t got = read(fd, t->bytes + t->n, 65536);
        if (term_interrupted())
            return out_error(err, INGLE_ERR_CANCELLED, "interrupted while reading");
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return out_error(err, INGLE_ERR_IO, "cannot be read: %s", strerror(errno));
        t->n += (size_t)got;
        t->bytes[t->n] = 0;
        if (got == 0)
            return INGLE_OK;
    }
}

ingle_status buf_read_file(ingle_text *t, const char *path, ingle_error *err)
{
    const bool standard = strcmp(path, "-") == 0;
    const int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return out_error(err, INGLE_ERR_IO, "cannot be opened: %s", strerror(errno));
    const ingle_status status = read_all(t, fd, err);
    if (!standard)
        close(fd);
    return status;
}

ingle_status buf_write_file(const char *path, const char *bytes, size_t n, ingle_error *err)
{
    ingle_text temporary = {0};
    if (!buf_printf(&temporary, "%s.%ld.tmp", path, (long)getpid()))
        return out_error(err, INGLE_ERR_MEMORY, "no room for a file name");
    ingle_status status = INGLE_OK;
    FILE *f = fopen(temporary.bytes, "wb");
    // fclose is part of the check: a full disk often shows only there.
    bool good = f && fwrite(bytes, 1, n, f) == n;
    good = f && fclose(f) == 0 && good;
    if (!good || rename(temporary.bytes, path) != 0) {
        status = out_error(err, out_is_full(errno) ? INGLE_ERR_QUOTA : INGLE_ERR_IO,
                           "cannot be written: %s", strerror(errno));
        if (f)
            remove(temporary.bytes);
    }
    ingle_text_free(&temporary);
    return status;
}

/* ---- ids ---------------------------------------------------------------------------------- */

static bool add_id(ingle_tokens *out, int32_t id)
{
    if (out->n == out->capacity) {
        const size_t capacity = out->capacity ? out->capacity * 2 : 64;
        if (capacity > SIZE_MAX / 2 / sizeof *out->ids)
            return false;
        int32_t *moved = realloc(out->ids, capacity * sizeof *out->ids);
        if (!moved)
            return false;
        out->ids = moved;
        out->capacity = capacity;
    }
    out->ids[out->n++] = id;
    return true;
}

ingle_status buf_parse_ids(ingle_tokens *out, const char *text, size_t n, ingle_error *err)
{
    size_t i = 0;
    while (i < n) {
        if (text[i] && strchr(" \t\r\n,[]", text[i])) {
            i++;
            continue;
        }
        const size_t start = i;
        int64_t id = 0;
        while (i < n && text[i] >= '0' && text[i] <= '9' && id <= INT32_MAX)
            id = id * 10 + (text[i++] - '0');
        const bool ends = i == n || (text[i] && strchr(" \t\r\n,[]", text[i]));
        if (i == start || !ends || id > INT32_MAX) {
            size_t end = start;
            while (end < n && end - start < 20 && text[end] && !strchr(" \t\r\n,[]", text[end]))
                end++;
            return out_error(err, INGLE_ERR_USAGE, "\"%.*s\" is not a token id",
                             (int)(end - start), text + start);
        }
        if (!add_id(out, (int32_t)id))
            return out_error(err, INGLE_ERR_MEMORY, "no room for %zu ids", out->n);
    }
    return INGLE_OK;
}

/* ---- characters --------------------------------------------------------------------------- */

size_t char_decode(const char *bytes, size_t n, uint32_t *code)
{
    const unsigned char *p = (const unsigned char *)bytes;
    *code = p[0];
    if (p[0] < 0x80)
        return 1;
    const size_t length = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    uint32_t c = p[0] & (0xFFu >> (length + 1));
    bool good = p[0] >= 0xC2 && p[0] <= 0xF4 && length <= n;
    for (size_t i = 1; good && i < length; i++) {
        good = (p[i] & 0xC0) == 0x80;
        c = c << 6 | (p[i] & 0x3F);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000}; // shorter forms are ill-formed
    if (!good || c < least[length] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) {
        *code = 0xFFFD;
        return 1;
    }
    *code = c;
    return length;
}

int char_width(uint32_t c)
{
    // Ranges that matter for a cursor: the libc's wcwidth would need a locale, which changes how
    // numbers are read and written.
    static const struct {
        uint32_t first, last;
        int width;
    } ranges[] = {
        {0x300, 0x36F, 0},     {0x483, 0x489, 0},     {0x591, 0x5BD, 0},     {0x610, 0x61A, 0},
        {0x64B, 0x65F, 0},     {0x93C, 0x93C, 0},     {0x941, 0x948, 0},     {0x94D, 0x94D, 0},
        {0xE31, 0xE31, 0},     {0xE34, 0xE3A, 0},     {0xE47, 0xE4E, 0},     {0x1100, 0x115F, 2},
        {0x1AB0, 0x1AFF, 0},   {0x1DC0, 0x1DFF, 0},   {0x200B, 0x200F, 0},   {0x20D0, 0x20F0, 0},
        {0x231A, 0x231B, 2},   {0x23E9, 0x23EC, 2},   {0x2E80, 0x303E, 2},   {0x3041, 0xA4CF, 2},
        {0xAC00, 0xD7A3, 2},   {0xF900, 0xFAFF, 2},   {0xFE00, 0xFE0F, 0},   {0xFE30, 0xFE6F, 2},
        {0xFF00, 0xFF60, 2},   {0xFFE0, 0xFFE6, 2},   {0x1F300, 0x1F64F, 2}, {0x1F680, 0x1F6FF, 2},
        {0x1F900, 0x1FAFF, 2}, {0x20000, 0x3FFFD, 2}, {0xE0100, 0xE01EF, 0},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges && c >= ranges[i].first; i++)
        if (c <= ranges[i].last)
            return ranges[i].width;
    return 1;
}
