/* Weights re-packed for kernels that compute 16 rows side by side, one row a lane, so that no sum
 * is ever taken across a register. One layout for every instruction set: a 512-bit register holds
 * a line of 16 rows x 4 bytes, narrower ones take a half or a quarter of it.
 *
 * A group is 16 rows; a matrix is its groups one after the other, each a sequential stream:
 *
 *   32-column formats: pairs of blocks (64 columns; the last one padded with a zero block)
 *     Q4_0    d[2][16] f16 | per block 4 lines of nibbles
 *     IQ4_NL  the same
 *     Q4_1    d[2][16] f16 | m[2][16] f16 | per block 4 lines of nibbles
 *     Q5_0    as Q4_0, per block 4 lines of nibbles, 1 line of fifth bits
 *     Q5_1    as Q4_1, the same
 *     Q8_0    d[2][16] f16 | per block 8 lines of bytes, each weight + 128
 *   256-column formats: super-blocks
 *     Q4_K    d[16], dmin[16] f16 | scale[8][16], min[8][16] u8 | per block of 32: 4 lines
 *     Q5_K    the same | per block: 4 lines, 1 line of fifth bits
 *     Q6_K    d[16] f16, 32 bytes unused | scale[16][16] i8 | per block: 4 lines, 2 lines of high bits
 *
 *   line j of nibbles, byte 4r + c:  low nibble = row r, column 4j + c; high = column 16 + 4j + c
 *   line j of bytes,   byte 4r + c:  row r, column 4j + c
 *   fifth bits,        byte 4r + c:  bit j = column 4j + c, bit 4 + j = column 16 + 4j + c
 *   high bits (6 bit), byte 4r + c:  of line 0, bits 2j = column 4j + c; of line 1, column 16 + 4j + c
 *
 * Everything starts on a 64-byte boundary. Rows beyond the matrix have zero scales. */
#ifndef INGLE_CPU_PACK_H
#define INGLE_CPU_PACK_H

#include "graph/graph.h"
#include "quant/quant.h"

enum { PACK_ROWS = 16, PACK_LINE = 64 };

#define PACK_KINDS(X)  \
    /* format, columns a unit, bytes a unit of 16 rows */ \
    X(Q4_0, 64, 576)   \
    X(IQ4_NL, 64, 576) \
    X(Q4_1, 64, 640)   \
    X(Q5_0, 64, 704)   \
    X(Q5_1, 64, 768)   \
    X(Q8_0, 64, 1088)  \
    X(Q4_K, 256, 2368) \
    X(Q5_K, 256, 2880) \
    X(Q6_K, 256, 3392)

typedef enum {
#define PACK_ENUM(format, columns, bytes) PACK_##format,
    PACK_KINDS(PACK_ENUM)
#undef PACK_ENUM
    PACK_KIND_COUNT,
    PACK_NONE = -1
} pack_kind;

typedef struct {
    pack_kind kind;
    uint32_t unit_columns;
    const uint8_t *data;
    size_t rows, cols;
    size_t n_groups, n_units; // groups of 16 rows; units a group
    size_t unit_bytes, group_bytes;
} cpu_packed;

/* The kind for a format; PACK_NONE if it is not packed. */
pack_kind pack_kind_of(uint32_t format);

/* Sizes of a matrix [rows, cols]; data stays NULL. */
cpu_packed pack_plan(pack_kind kind, uint64_t rows, uint64_t cols);

/* Packs groups first ... first + n - 1 of w into the matrix's memory at data. */
void pack_groups(const cpu_packed *p, uint8_t *data, const graph_tensor *w, size_t first, size_t n);

/* The way back: row `row` as in the file. */
void pack_row(const cpu_packed *p, size_t row, uint8_t *out);

#endif
