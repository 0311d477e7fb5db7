/* GGUF (v1-v3): reading through bounds-checked cursors, and writing.
 * Specification: ggml docs/gguf.md. Every count, length and offset is checked against the true
 * size of the file before anything is allocated or read. Refuses: big-endian files, unknown value
 * types, nested arrays, empty or duplicate keys and tensor names, names with control characters,
 * booleans other than 0 and 1, alignments that are no power of two from 8 to 1 MiB, tensors
 * without dimensions or with an empty one, tensors that are unaligned or overlap the header, each
 * other or the end of the file, and formats that quant.h does not know (ERR_UNSUPPORTED with the
 * tensor's name: where it ends cannot be worked out). Gaps between tensors and bytes after the last
 * one are allowed. */
#ifndef INGLE_FILE_GGUF_H
#define INGLE_FILE_GGUF_H

#include "base/mem.h"
#include "base/text.h"

typedef enum {
    GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL,
    GGUF_STRING, GGUF_ARRAY, GGUF_U64, GGUF_I64, GGUF_F64, GGUF_TYPE_COUNT
} gguf_type;

enum {
    GGUF_NAME_MAX = 65535,      // bytes of a key (the specification's limit) or a tensor name
    GGUF_COUNT_MAX = 1 << 20,   // values, and tensors: the largest models have some 50,000
    GGUF_HEADER_MAX = 1 << 28,  // bytes: ten times the largest vocabulary known
    GGUF_ALIGNMENT_MAX = 1 << 20
};

/* A value; bytes are borrowed from the header. */
typedef struct {
    str key;
    gguf_type type;      // of the value
    gguf_type item_type; // of an array's items; else = type
    uint64_t n_items;    // of an array; else 1
    str bytes;           // scalar: its bytes; string: its text; array: all items as stored
} gguf_value;

typedef struct {
    str name;
    uint32_t format;   // id as in quant/formats.h, always a known one
    uint32_t n_dims;   // 1-4
    uint64_t shape[4]; // shape[0] contiguous; 1 beyond n_dims
    uint64_t n_values;
    uint64_t offset;   // absolute, in its part's file
    uint64_t bytes;
    uint32_t part;     // which file of a split set, 0-based
} gguf_tensor;

typedef struct {
    uint32_t version;
    uint64_t alignment;
    uint64_t header_bytes;  // where the data section starts
    gguf_value *values;     // [n_values], file order
    size_t n_values;
    gguf_tensor *tensors;   // [n_tensors], file order
    size_t n_tensors;
    uint32_t *by_offset;    // [n_tensors] indices of tensors by part and offset
    uint32_t n_parts;       // 1, or split.count
    uint32_t part_no;       // 0, or split.no: which of the parts was parsed
    arena memory;           // owns values and tensors and their index
    struct gguf_index *index; // private: values by key, tensors by name
} gguf;

/* Parses a header from bytes [n], the first n of a file of `total` bytes (total >= n; UINT64_MAX =
 * not known, then nothing is checked against the end). The bytes are borrowed until gguf_free.
 * When n < total and the header goes on beyond n, returns INGLE_OK with *need = a count of bytes
 * to come back with (> n) and *out empty; else *need = 0. *need grows by half from call to call,
 * so calls are few; stream.h finds the exact end. On failure *out is empty. */
ingle_status gguf_parse(gguf *out, const void *bytes, size_t n, uint64_t total, uint64_t *need,
                        const ingle_allocator *a, ingle_error *err);
void gguf_free(gguf *g);

/* Adds the tensors of a further part of a split set: parts 1, 2 ... n_parts - 1 in order; part's
 * header bytes are borrowed too. Checks split.no, split.count and, on the last, that names are
 * unique and split.tensors.count holds. g->tensors may move. gguf_find_tensor knows the added
 * tensors once the last part is there. After a failure g is as it was. */
ingle_status gguf_add_part(gguf *g, uint32_t part_no, const void *bytes, size_t n, uint64_t total,
                           ingle_error *err);

const gguf_value *gguf_find(const gguf *g, const char *key); // NULL if absent
const gguf_tensor *gguf_find_tensor(const gguf *g, const char *name);

/* Typed reading. Absent or of another kind (integers, booleans and floats convert where the value
 * fits; a one-per-layer array gives item 0): false, *out unchanged. */
bool gguf_get_u32(const gguf *g, const char *key, uint32_t *out);
bool gguf_get_f32(const gguf *g, const char *key, float *out);
bool gguf_get_bool(const gguf *g, const char *key, bool *out); // a boolean or a number 0, 1
bool gguf_get_str(const gguf *g, const char *key, str *out);

/* Item i of a numeric array, or i = 0 of a number; false beyond the end, for strings, and where
 * the value does not fit (strings: use the walk). */
bool gguf_item_i64(const gguf_value *v, uint64_t i, int64_t *out);
bool gguf_item_f64(const gguf_value *v, uint64_t i, double *out);

/* Walks an array of strings: cursor starts at 0; false at the end and for other values. */
bool gguf_next_str(const gguf *g, const gguf_value *v, size_t *cursor, str *out);

const char *gguf_type_name(gguf_type type); // "u32", "string"; never NULL

/* One line for people: numbers, text (control characters and ill-formed bytes as '?'), and arrays
 * as "[3 x string] a, b, c"; what does not fit ends in "...". Writes at most n bytes with the
 * NUL. */
void gguf_print_value(const gguf *g, const gguf_value *v, char *text, size_t n);

/* Names of a split set: the name of any part, "x-00001-of-00003.gguf", and part_no 1 (0-based, as
 * everywhere) give "x-00002-of-00003.gguf" in out [n]; false if name has no such ending, the set no
 * such part or out no room. count (may be NULL) is filled from the name. */
bool gguf_split_name(const char *name, uint32_t part_no, uint32_t *count, char *out, size_t n);

/* ---- writing ------------------------------------------------------------------------------ */

/* A writer collects metadata and tensor shapes, then gives the header (version 3); tensor data
 * follows in the same order, each padded to the alignment. The caller owns the file. Begin with
 * {.allocator = ...}; all functions are no-ops after a failure, which gguf_write_header reports.
 * The alignment is set here or by writing general.alignment, before the first tensor. */
typedef struct {
    ingle_allocator allocator;
    ingle_text values, tensors;
    uint64_t n_values, n_tensors, data_bytes;
    uint32_t alignment; // 0 = 32
    bool has_alignment; // private: the key is among values
    ingle_error error;  // the first failure
} gguf_writer;

void gguf_write_u32(gguf_writer *w, const char *key, uint32_t value);
void gguf_write_i32(gguf_writer *w, const char *key, int32_t value);
void gguf_write_u64(gguf_writer *w, const char *key, uint64_t value);
void gguf_write_f32(gguf_writer *w, const char *key, float value);
void gguf_write_bool(gguf_writer *w, const char *key, bool value);
void gguf_write_str(gguf_writer *w, const char *key, str value);
/* One number of any type; value points to it (bool: to a byte 0 or 1). */
void gguf_write_scalar(gguf_writer *w, const char *key, gguf_type type, const void *value);
void gguf_write_array(gguf_writer *w, const char *key, gguf_type item_type, const void *items,
                      uint64_t n);
void gguf_write_strs(gguf_writer *w, const char *key, const str *items, uint64_t n);
/* Copies any value of a read file g. */
void gguf_write_value(gguf_writer *w, const gguf *g, const gguf_value *v);
/* Announces a tensor; returns its offset in the data section. */
uint64_t gguf_write_tensor(gguf_writer *w, str name, uint32_t format, uint32_t n_dims,
                           const uint64_t *shape);
/* Appends the whole header, padded to where the data section starts. What it appends has been
 * parsed again: ERR_USAGE with the reader's words if that failed (a key twice, ...). */
ingle_status gguf_write_header(gguf_writer *w, ingle_text *out, ingle_error *err);
uint64_t gguf_padding(const gguf_writer *w, uint64_t bytes); // zeros to write after a tensor
void gguf_writer_free(gguf_writer *w);

#endif
