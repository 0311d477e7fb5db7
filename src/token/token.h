/* Tokenizers: text to ids and back. One .c a kind, one line each in TOKEN_KINDS.
 * Owns its tables, borrows the texts in token_source. Linear or n log n in the text's length for
 * every text. Refuses pre-tokenizers it does not know (by name) and vocabularies whose arrays
 * disagree in length. */
#ifndef INGLE_TOKEN_TOKEN_H
#define INGLE_TOKEN_TOKEN_H

#include "base/mem.h"
#include "base/text.h"

/* tokenizer.ggml.model in files, name in ingle_model_info, open function's suffix */
#define TOKEN_KINDS(X)           \
    X("gpt2", "bpe", bpe)        \
    X("gemma4", "bpe", bpe)      \
    X("llama", "spm", spm)       \
    X("t5", "unigram", unigram)  \
    X("bert", "wordpiece", wordpiece)

/* tokenizer.ggml.token_type */
enum { TOKEN_NORMAL = 1, TOKEN_UNKNOWN, TOKEN_CONTROL, TOKEN_USER_DEFINED, TOKEN_UNUSED, TOKEN_BYTE };

/* A vocabulary as a file states it. Texts and arrays are borrowed and must outlive the tokenizer. */
typedef struct {
    str model;              // "gpt2", "llama", ...
    str pre;                // name of the pre-tokenizer rule, "" if not stated
    str architecture;       // of the model: a few rules hang on it
    const str *tokens;      // [n_tokens]
    const float *scores;    // [n_tokens] or NULL
    const int32_t *types;   // [n_tokens] or NULL = all normal
    size_t n_tokens;
    const str *merges;      // [n_merges] "left right" or NULL
    size_t n_merges;
    str charsmap;           // precompiled_charsmap, may be empty
    int32_t bos, eos, eot, eom, unk, sep, pad, cls, mask; // -1 = not stated (the kind's
                            // usual id); -2 or out of range = none
    /* -1 = not stated (the kind's own default), 0, 1 */
    int add_bos, add_eos, add_sep, add_space_prefix, remove_extra_whitespaces;
    int lowercase, strip_accents;
} token_source;

typedef struct tokenizer tokenizer;

ingle_status token_open(tokenizer **out, const token_source *source, const ingle_allocator *a,
                        ingle_error *err);
void token_close(tokenizer *t);
size_t token_table_bytes(const tokenizer *t); // memory it holds

const char *token_kind(const tokenizer *t); // "bpe"
int32_t token_bos(const tokenizer *t);      // what stands in the file or the kind's default; -1
int32_t token_eos(const tokenizer *t);
bool token_adds_bos(const tokenizer *t);    // does INGLE_ADD_SPECIAL put a BOS in front?
bool token_is_end(const tokenizer *t, int32_t id); // eos, eot, eom and the known texts
bool token_is_control(const tokenizer *t, int32_t id);

/* Appends ids of text; flags are INGLE_ADD_SPECIAL | INGLE_PARSE_SPECIAL. marks: NULL, or one byte
 * a text byte, nonzero where the byte came from a user's data, in which control tokens are never
 * parsed, not even ones that only part of the data would complete. (User-defined tokens are split
 * off in any text, as in the reference tokenizers.) */
ingle_status token_encode(const tokenizer *t, str text, const uint8_t *marks, unsigned flags,
                          ingle_tokens *out, ingle_error *err);

/* Raw bytes that one token stands for, appended; control tokens only if special. Bytes may be part
 * of a character. first: no token came before it in the text (SentencePiece drops the space that
 * its prefix rule added). ERR_USAGE: id out of range. */
ingle_status token_bytes(const tokenizer *t, int32_t id, bool special, bool first, ingle_text *out,
                         ingle_error *err);

/* A whole id list to text, for kinds whose decoding looks at neighbours (WordPiece); ill-formed
 * bytes become U+FFFD. */
ingle_status token_decode(const tokenizer *t, const int32_t *ids, size_t n, bool special,
                          ingle_text *out, ingle_error *err);

#endif
