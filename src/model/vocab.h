/* From a file's metadata to a vocabulary. */
#ifndef INGLE_MODEL_VOCAB_H
#define INGLE_MODEL_VOCAB_H

#include "file/gguf.h"
#include "token/token.h"

/* Fills *out from the tokenizer.ggml.* keys. Texts are borrowed from the file's header, arrays live
 * in memory: both must outlive the tokenizer. ERR_UNSUPPORTED: the file has no vocabulary;
 * ERR_FORMAT: a key of another type, or arrays that disagree in length (named). */
ingle_status vocab_source(token_source *out, const gguf *g, arena *memory, ingle_error *err);

#endif
