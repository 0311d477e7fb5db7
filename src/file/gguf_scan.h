/* The walk over a GGUF header, one item at a time, shared by the parser and the stream. Owns no
 * memory and can stop anywhere for want of bytes and go on later; checks all that can be seen
 * without a table of the other items. */
#ifndef INGLE_FILE_GGUF_SCAN_H
#define INGLE_FILE_GGUF_SCAN_H

#include "base/error.h"
#include "file/gguf.h"

typedef enum { GGUF_SCAN_MORE, GGUF_SCAN_HEAD, GGUF_SCAN_VALUE, GGUF_SCAN_TENSOR, GGUF_SCAN_END } gguf_scan_event;

/* Begin with {.total = size of the file, or UINT64_MAX if not known}. */
typedef struct {
    uint64_t total;
    uint64_t at;   // everything before this byte has been checked
    uint64_t need; // MORE: come back with so many bytes
    uint32_t version;
    uint64_t n_values, n_tensors;   // as the file states them, checked to be possible
    uint64_t values_left, tensors_left;
    uint64_t strings_left;          // of an open array of strings
    uint64_t name_at, name_n;       // the item being read, for errors; n = 0: not known yet
    gguf_value value;               // VALUE: the item just read, if it lay in one call's bytes
    gguf_tensor tensor;             // TENSOR: the same; offset is relative to the data section
} gguf_scan;

/* Reads the next item of the header whose first n bytes are given (n never shrinks and the bytes
 * before s->at never change, but they may move). MORE: none is complete; END: `at` is where the
 * tensor list ends. Failures are ERR_FORMAT or ERR_UNSUPPORTED. */
ingle_status gguf_scan_next(gguf_scan *s, const void *bytes, size_t n, gguf_scan_event *event,
                            ingle_error *err);

size_t gguf_type_bytes(uint32_t type); // of a number or boolean; 0 for the rest

/* Numbers in files are little-endian, and so is every machine that maps weights; copying makes
 * odd addresses safe. */
static inline uint32_t gguf_load_u32(const void *p)
{
    uint32_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline uint64_t gguf_load_u64(const void *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* Lengths and counts: 4 bytes in version 1, 8 since. */
static inline unsigned gguf_length_bytes(uint32_t version)
{
    return version == 1 ? 4 : 8;
}

static inline uint64_t gguf_load_length(uint32_t version, const void *p)
{
    return version == 1 ? gguf_load_u32(p) : gguf_load_u64(p);
}

#endif
