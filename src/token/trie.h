/* A path-compressed trie over texts that someone else owns: which texts begin here?
 * Used for special tokens, Unigram and WordPiece. Built once; at most two nodes a text. */
#ifndef INGLE_TOKEN_TRIE_H
#define INGLE_TOKEN_TRIE_H

#include "base/mem.h"
#include "base/text.h"

typedef struct {
    str text;
    int32_t id;
} trie_entry;

typedef struct {
    const char *label;  // a text that goes through this node
    uint32_t depth;     // bytes of it that lead here
    int32_t id;         // of the text that ends here; -1 = none
    uint32_t children;  // first child; siblings follow, sorted by `first`
    uint16_t n_children;
    uint8_t first;      // first byte of the way from the parent
} trie_node;

typedef struct {
    trie_node *nodes;   // [n]
    uint32_t root[256]; // child of the root by first byte; 0 = none
    size_t n;
} trie;

/* Entries [n] are sorted in place; empty texts are left out, of equal texts the first given wins.
 * The nodes live in memory; entries and scratch come from a and may go afterwards. */
ingle_status trie_build(trie *t, trie_entry *entries, size_t n, arena *memory,
                        const ingle_allocator *a, ingle_error *err);

/* Walks the texts that `text` starts with, shortest first. Start from {0}. */
typedef struct {
    uint32_t node;
    uint32_t length; // of the text found
    int32_t id;
} trie_cursor;

bool trie_next(const trie *t, trie_cursor *c, const char *text, size_t n);

#endif
