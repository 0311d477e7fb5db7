/* Sorted indices over values and tensors, private to the files that build a gguf. Sorted, not
 * hashed: whoever chooses the names of a file must not choose how long it takes. */
#ifndef INGLE_FILE_GGUF_INDEX_H
#define INGLE_FILE_GGUF_INDEX_H

#include "file/gguf.h"

struct gguf_index {
    uint32_t *by_key;  // [n_values] indices of values
    uint32_t *by_name; // [n_named] indices of tensors
    size_t n_named;    // tensors that gguf_find_tensor knows
    size_t capacity;   // of tensors and by_offset
    uint32_t next_part;
};

int gguf_compare(str a, str b); // as memcmp; of two texts with one beginning the shorter is less

/* Sorts tensor indices by name into ids [n_tensors], scratch the same size. False if a name is
 * there twice; *twice then is it. */
bool gguf_sort_names(const gguf *g, uint32_t *ids, uint32_t *scratch, str *twice);

#endif
