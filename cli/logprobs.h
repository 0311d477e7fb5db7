/* Files of log-probabilities, written by perplexity --save-logits and read by --kl.
 *
 * All numbers little-endian:
 *
 *     8 bytes   "inglelp1"
 *     u32       n_vocab
 *     u32       n_ctx
 *     u32       n_chunks
 *     i32       the tokens [n_chunks * n_ctx]
 *     rows      for each chunk, for each scored position (n_ctx - 1 - n_ctx / 2 of them):
 *         f32   high: the greatest log-probability of the row
 *         u32   top: its token
 *         u16   [n_vocab] v, meaning high - v * 24 / 65535: steps of 0.0004, probabilities under
 *               e^-24 of the greatest count as that
 */
#ifndef INGLE_CLI_LOGPROBS_H
#define INGLE_CLI_LOGPROBS_H

#include "ingle.h"

typedef struct {
    uint32_t n_vocab, n_ctx, n_chunks;
} logprobs_head;

/* The first position of a chunk whose prediction is scored, and how many are: the tokens of the second
 * half of the chunk, each predicted from all before it. (llama.cpp's tool leaves out the first of
 * them, which moves its figure by a few tenths of a percent.) */
static inline uint32_t logprobs_first(uint32_t n_ctx)
{
    return n_ctx / 2 - 1;
}

static inline uint32_t logprobs_scored(uint32_t n_ctx)
{
    return n_ctx - 1 - logprobs_first(n_ctx);
}

typedef struct {
    double high;
    uint32_t top;
    uint32_t n_vocab;
    uint16_t *steps; // [n_vocab]
} logprobs_row;

typedef struct logprobs_file logprobs_file;

/* Writing. The file appears under its name only by logprobs_finish. ERR_IO, ERR_QUOTA. */
ingle_status logprobs_create(logprobs_file **out, const char *path, const logprobs_head *head,
                             const int32_t *ids, ingle_error *err);
ingle_status logprobs_write(logprobs_file *f, const float *logits, double log_sum, uint32_t top,
                            ingle_error *err);
ingle_status logprobs_finish(logprobs_file *f, ingle_error *err);

/* Reading. Appends the tokens to ids. ERR_IO, ERR_FORMAT. */
ingle_status logprobs_open(logprobs_file **out, const char *path, logprobs_head *head,
                           ingle_tokens *ids, ingle_error *err);
ingle_status logprobs_read(logprobs_file *f, logprobs_row *row, ingle_error *err);
void logprobs_close(logprobs_file *f); // NULL is a no-op; an unfinished file is removed

logprobs_row *logprobs_row_open(uint32_t n_vocab); // NULL when memory runs out
void logprobs_row_close(logprobs_row *row);

static inline double logprobs_value(const logprobs_row *row, uint32_t i)
{
    return row->high - row->steps[i] * (24.0 / 65535);
}

#endif
