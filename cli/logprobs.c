/* Files of log-probabilities. A file that is read is foreign: sizes are checked against its length
 * before anything is allocated. */
#include "logprobs.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buffer.h"
#include "output.h"

struct logprobs_file {
    FILE *f;
    char *path, *temporary; // writing; NULL when reading
    uint8_t *bytes;         // [row_bytes] one row as it stands in the file
    size_t row_bytes;
    uint32_t n_vocab;
};

static const char magic[8] = {'i', 'n', 'g', 'l', 'e', 'l', 'p', '1'};
enum { HEAD_BYTES = 20, ROW_HEAD_BYTES = 8, VOCAB_LIMIT = 1 << 24 };

static void put32(uint8_t *p, uint32_t x)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(x >> 8 * i);
}

static uint32_t get32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static ingle_status write_failed(ingle_error *err)
{
    return out_error(err, out_is_full(errno) ? INGLE_ERR_QUOTA : INGLE_ERR_IO,
                     "log-probabilities cannot be written: %s", strerror(errno));
}

static logprobs_file *make(uint32_t n_vocab)
{
    logprobs_file *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->n_vocab = n_vocab;
    f->row_bytes = ROW_HEAD_BYTES + (size_t)n_vocab * 2;
    f->bytes = malloc(f->row_bytes);
    if (!f->bytes) {
        free(f);
        return NULL;
    }
    return f;
}

ingle_status logprobs_create(logprobs_file **out, const char *path, const logprobs_head *head,
                             const int32_t *ids, ingle_error *err)
{
    ingle_text temporary = {0};
    *out = NULL;
    logprobs_file *f = make(head->n_vocab);
    const size_t n = strlen(path) + 1;
    if (!f || !buf_printf(&temporary, "%s.%ld.tmp", path, (long)getpid()) ||
        !(f->path = malloc(n))) {
        logprobs_close(f);
        ingle_text_free(&temporary);
        return out_error(err, INGLE_ERR_MEMORY, "no room for a row");
    }
    memcpy(f->path, path, n);
    f->temporary = temporary.bytes; // the list's memory is plain malloc's
    f->f = fopen(f->temporary, "wb");
    uint8_t bytes[HEAD_BYTES];
    memcpy(bytes, magic, 8);
    put32(bytes + 8, head->n_vocab);
    put32(bytes + 12, head->n_ctx);
    put32(bytes + 16, head->n_chunks);
    bool good = f->f && fwrite(bytes, 1, HEAD_BYTES, f->f) == HEAD_BYTES;
    for (size_t i = 0; good && i < (size_t)head->n_chunks * head->n_ctx; i++) {
        put32(bytes, (uint32_t)ids[i]);
        good = fwrite(bytes, 1, 4, f->f) == 4;
    }
    if (!good) {
        const ingle_status status = write_failed(err);
        logprobs_close(f);
        return status;
    }
    *out = f;
    return INGLE_OK;
}

ingle_status logprobs_write(logprobs_file *f, const float *logits, double log_sum, uint32_t top,
                            ingle_error *err)
{
    // high is rounded to f32 first, so that reader and writer count steps from the same place
    const float high = (float)((double)logits[top] - log_sum);
    uint32_t bits;
    memcpy(&bits, &high, 4);
    put32(f->bytes, bits);
    put32(f->bytes + 4, top);
    for (uint32_t i = 0; i < f->n_vocab; i++) {
        double step = ((double)high - ((double)logits[i] - log_sum)) * (65535 / 24.0) + 0.5;
        step = step < 0 ? 0 : step > 65535 ? 65535 : step;
        const uint32_t v = (uint32_t)step;
        f->bytes[ROW_HEAD_BYTES + (size_t)i * 2] = (uint8_t)v;
        f->bytes[ROW_HEAD_BYTES + (size_t)i * 2 + 1] = (uint8_t)(v >> 8);
    }
    if (fwrite(f->bytes, 1, f->row_bytes, f->f) != f->row_bytes)
        return write_failed(err);
    return INGLE_OK;
}

ingle_status logprobs_finish(logprobs_file *f, ingle_error *err)
{
    const bool closed = fclose(f->f) == 0;
    f->f = NULL;
    if (!closed || rename(f->temporary, f->path) != 0)
        return write_failed(err);
    free(f->temporary);
    f->temporary = NULL;
    return INGLE_OK;
}

/* Bytes of the file, with the position left at its start; -1 if that cannot be known. */
static int64_t file_size(FILE *f)
{
    if (fseeko(f, 0, SEEK_END) != 0)
        return -1;
    const int64_t size = ftello(f);
    rewind(f);
    return size;
}

static ingle_status read_head(FILE *f, logprobs_head *head, ingle_error *err)
{
    uint8_t bytes[HEAD_BYTES];
    const int64_t size = file_size(f);
    if (size < 0)
        return out_error(err, INGLE_ERR_IO, "cannot be read: %s", strerror(errno));
    if (fread(bytes, 1, HEAD_BYTES, f) != HEAD_BYTES || memcmp(bytes, magic, 8) != 0)
        return out_error(err, INGLE_ERR_FORMAT, "not written by perplexity --save-logits");
    *head = (logprobs_head){get32(bytes + 8), get32(bytes + 12), get32(bytes + 16)};
    const uint64_t n_ids = (uint64_t)head->n_chunks * head->n_ctx;
    const uint64_t n_rows = (uint64_t)head->n_chunks * logprobs_scored(head->n_ctx);
    const uint64_t row = ROW_HEAD_BYTES + (uint64_t)head->n_vocab * 2;
    // Every factor is small enough after the first tests that no product can wrap.
    const bool sane = head->n_vocab > 0 && head->n_vocab <= VOCAB_LIMIT && head->n_ctx >= 4 &&
                      head->n_chunks > 0 && n_ids < (uint64_t)1 << 38;
    if (!sane || HEAD_BYTES + n_ids * 4 + n_rows * row != (uint64_t)size)
        return out_error(err, INGLE_ERR_FORMAT, "its length (%lld bytes) does not fit its head",
                         (long long)size);
    return INGLE_OK;
}

ingle_status logprobs_open(logprobs_file **out, const char *path, logprobs_head *head,
                           ingle_tokens *ids, ingle_error *err)
{
    *out = NULL;
    FILE *file = fopen(path, "rb");
    if (!file)
        return out_error(err, INGLE_ERR_IO, "cannot be opened: %s", strerror(errno));
    if (read_head(file, head, err) != INGLE_OK) {
        fclose(file);
        return err->status;
    }
    const size_t n = (size_t)head->n_chunks * head->n_ctx;
    logprobs_file *f = n <= SIZE_MAX / 8 ? make(head->n_vocab) : NULL;
    ids->ids = f ? malloc(n * sizeof *ids->ids) : NULL;
    if (!ids->ids) {
        fclose(file);
        logprobs_close(f);
        return out_error(err, INGLE_ERR_MEMORY, "no room for %zu tokens", n);
    }
    f->f = file;
    ids->capacity = n;
    uint8_t bytes[4];
    while (ids->n < n && fread(bytes, 1, 4, file) == 4)
        ids->ids[ids->n++] = (int32_t)get32(bytes);
    if (ids->n < n) {
        logprobs_close(f);
        return out_error(err, INGLE_ERR_IO, "cannot be read to its end");
    }
    *out = f;
    return INGLE_OK;
}

ingle_status logprobs_read(logprobs_file *f, logprobs_row *row, ingle_error *err)
{
    if (fread(f->bytes, 1, f->row_bytes, f->f) != f->row_bytes)
        return out_error(err, INGLE_ERR_IO, "log-probabilities cannot be read to their end");
    const uint32_t bits = get32(f->bytes);
    float high;
    memcpy(&high, &bits, 4);
    if (!isfinite(high) || high > 1e-3f)
        return out_error(err, INGLE_ERR_FORMAT, "a log-probability above 0 or not finite");
    row->high = (double)high;
    row->top = get32(f->bytes + 4);
    for (uint32_t i = 0; i < f->n_vocab; i++) {
        const uint8_t *p = f->bytes + ROW_HEAD_BYTES + (size_t)i * 2;
        row->steps[i] = (uint16_t)(p[0] | p[1] << 8);
    }
    return INGLE_OK;
}

void logprobs_close(logprobs_file *f)
{
    if (!f)
        return;
    if (f->f)
        fclose(f->f);
    if (f->temporary)
        remove(f->temporary);
    free(f->temporary);
    free(f->path);
    free(f->bytes);
    free(f);
}

logprobs_row *logprobs_row_open(uint32_t n_vocab)
{
    logprobs_row *row = calloc(1, sizeof *row);
    if (!row)
        return NULL;
    row->n_vocab = n_vocab;
    row->steps = malloc((size_t)n_vocab * sizeof *row->steps);
    if (!row->steps) {
        free(row);
        return NULL;
    }
    return row;
}

void logprobs_row_close(logprobs_row *row)
{
    if (row)
        free(row->steps);
    free(row);
}
