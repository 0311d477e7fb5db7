/* What the tokenizer kinds share: the opened vocabulary, finding a token by its text, and merging
 * symbols. Only src/token includes this. */
#ifndef INGLE_TOKEN_IMPL_H
#define INGLE_TOKEN_IMPL_H

#include "token/split.h"
#include "token/token.h"
#include "token/trie.h"

/* U+2581, which stands for a space in SentencePiece vocabularies. */
#define TOKEN_SPACE "\xE2\x96\x81"

/* ---- finding tokens by text ---------------------------------------------------------------- */

/* Open addressing. An entry never lies further than `reach` slots from its place; a vocabulary
 * that would need more than TABLE_REACH was made to collide and is refused. */
enum { TABLE_REACH = 1024 };

typedef struct {
    uint64_t *slots; // hash's high half, id + 1; 0 = empty
    uint32_t mask, reach;
    size_t longest;  // bytes of the longest token
} token_index;

typedef struct {
    int32_t left, right, merged; // ids
} token_merge;

typedef struct {
    uint32_t *slots;    // rank + 1; 0 = empty
    token_merge *items; // [n], by rank
    uint32_t mask, reach;
    size_t n;
} merge_table;

/* ---- the tokenizer ------------------------------------------------------------------------- */

typedef struct token_job token_job;

typedef struct {
    const char *model, *name;
    ingle_status (*open)(tokenizer *t, ingle_error *err);
    /* Appends the ids of a fragment without special tokens to job->out. first: it starts the text
     * or follows a special token. */
    ingle_status (*encode)(token_job *job, str fragment, bool first, ingle_error *err);
    /* Appends the text of a normal, unused or byte token. */
    ingle_status (*bytes)(const tokenizer *t, int32_t id, bool first, ingle_text *out,
                          ingle_error *err);
} token_kind_ops;

struct tokenizer {
    token_source s;        // ids out of range are -1; arrays are borrowed
    const token_kind_ops *ops;
    arena memory;          // every table
    uint8_t *types;        // [n_tokens]
    uint8_t *ends;         // [n_tokens]: does it end a text or a turn?
    token_index index;
    trie specials;
    bool add_bos, add_eos, add_sep, space_prefix;
    int32_t byte_ids[256]; // token of each byte, -1 = none
    // bpe
    const split_rule *rule;
    merge_table merges;
    // spm
    bool joins[256];       // may merges cross a word's end behind this byte?
    bool has_unused;
    // unigram, wordpiece
    trie pieces;
    double unk_score;
    const uint8_t *map_units, *map_texts; // the character map: trie units, replacements
    size_t n_map_units, n_map_texts;
    bool trim, lowercase, strip_accents;
};

/* A symbol while its text is merged. */
typedef struct {
    int32_t id;             // -1 = no token
    uint32_t start, n;      // bytes in the job's text; n = 0: merged away
    uint32_t previous, next;
    uint32_t order;         // of the pair with the next symbol: lower merges first; MERGE_NONE
    int32_t merged;         // what the pair becomes
    uint32_t node;          // how an unused token came about: index into nodes, 0 = not recorded
} merge_symbol;

typedef struct {
    int32_t id;
    uint32_t start, n, node;
} merge_part;

typedef struct {
    merge_part left, right;
} merge_node;

#define MERGE_END 0xFFFFFFFFu  // no such symbol
#define MERGE_NONE 0xFFFFFFFFu // no such pair

/* One call of token_encode: where ids go, and room that fragments share. */
struct token_job {
    const tokenizer *t;
    ingle_tokens *out;
    splitter split;
    ingle_text text, spare;   // normalised text; a kind's own
    const char *base;         // what symbols' starts count from
    merge_symbol *symbols;    // [n_symbols]
    size_t n_symbols, symbols_capacity;
    uint64_t *heap;           // order << 32 | symbol
    size_t n_heap, heap_capacity;
    merge_node *nodes;        // [n_nodes], 0 is not used
    size_t n_nodes, nodes_capacity;
    merge_part *stack;
    size_t stack_capacity;
    void *path;               // Unigram's best path
    size_t path_capacity;
};

/* ---- index.c ------------------------------------------------------------------------------- */

uint64_t token_hash(const char *bytes, size_t n);
ingle_status token_index_build(tokenizer *t, ingle_error *err);
int32_t token_find(const tokenizer *t, const char *text, size_t n); // any type; -1 = none
/* As token_find, but never a control, unknown or byte token: what text may turn into. */
int32_t token_find_plain(const tokenizer *t, const char *text, size_t n);
bool token_is_plain(const tokenizer *t, int32_t id); // normal, user-defined or unused
void token_find_bytes(tokenizer *t); // byte_ids from <0xXX>
ingle_status token_merges_build(tokenizer *t, ingle_error *err);
const token_merge *token_find_merge(const merge_table *m, int32_t left, int32_t right, uint32_t *rank);

/* ---- merge.c ------------------------------------------------------------------------------- */

/* What a pair of neighbours becomes: its id, and *order; -1 = they do not merge. */
typedef int32_t merge_rule(const token_job *job, const merge_symbol *left,
                           const merge_symbol *right, uint32_t *order);

bool merge_add(token_job *job, int32_t id, size_t start, size_t n); // appends a symbol
/* Merges job->symbols until no pair is left: lowest order first, of equals the leftmost. */
bool merge_all(token_job *job, merge_rule *rule);

/* ---- kinds --------------------------------------------------------------------------------- */

#define TOKEN_KIND_FUNCTIONS(model, name, prefix)                                                  \
    ingle_status prefix##_open(tokenizer *t, ingle_error *err);                                    \
    ingle_status prefix##_encode(token_job *job, str fragment, bool first, ingle_error *err);      \
    ingle_status prefix##_bytes(const tokenizer *t, int32_t id, bool first, ingle_text *out,       \
                                ingle_error *err);
TOKEN_KINDS(TOKEN_KIND_FUNCTIONS)
#undef TOKEN_KIND_FUNCTIONS

/* Appends text with every U+2581 as a space; drop: without its first space. */
bool token_add_unescaped(ingle_text *out, str text, bool drop);

#endif
