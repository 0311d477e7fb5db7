/* The kernel table: what one thread computes. Filled by cpu_ref.c (the definition of each), then
 * overridden by faster paths, one fill function a path in CPU_PATHS. */
#ifndef INGLE_CPU_KERNELS_H
#define INGLE_CPU_KERNELS_H

#include "cpu/pack.h"
#include "graph/graph.h"
#include "quant/quant.h"

/* Slowest to fastest; a path fills in what it does better than those before it. */
#define CPU_PATHS(X) \
    X(ref)           \
    X(portable)      \
    X(wasm)          \
    X(neon)          \
    X(i8mm)          \
    X(avx2)          \
    X(avx512)        \
    X(amx)

/* The inputs of a linear: n_tokens rows of `cols` values, as floats and, if the kernel asks for
 * them, as int8 in blocks of 16 with their scales and sums (see quant_activations). */
typedef struct cpu_rows cpu_rows;

struct cpu_rows {
    size_t n_tokens, cols;
    const float *f;      // [n_tokens][f_stride]
    size_t f_stride;
    const int8_t *q;     // [n_tokens][q_stride], q_stride = cols rounded up to 32
    const float *d;      // [n_tokens][q_stride / 16]
    const int32_t *sums; // the same
    const int32_t *starts;   // the same: -8 sums, from which kernels begin whose weights stand above 0
    const float *block_sums; // [n_tokens][q_stride / 32]: sums of d q
    size_t q_stride;
    const uint16_t *wide; // bfloat16 [n_tokens rounded up to CPU_WIDE_TOKENS][q_stride], or NULL
    bool is_rest;         // these are what rounding left over of inputs: a few bits of weights are enough
    const cpu_rows *rest; // one token: such, as int8 again, to be added; or NULL
};

/* Token t alone. */
static inline cpu_rows cpu_row(const cpu_rows *x, size_t t)
{
    const size_t at = x->q_stride / 16 * t;
    cpu_rows row = *x;
    row.n_tokens = 1;
    row.q += x->q_stride * t;
    row.d += at;
    row.sums += at;
    row.starts += at;
    row.block_sums += at / 2;
    return row;
}

/* starts and block_sums of a row from d and sums [n], n even. */
static inline void cpu_derive_sums(const float *d, const int32_t *sums, size_t n, int32_t *starts, float *block_sums)
{
    for (size_t i = 0; i < n; i++)
        starts[i] = -8 * sums[i];
    for (size_t i = 0; i < n / 2; i++)
        block_sums[i] = d[2 * i] * (float)sums[2 * i] + d[2 * i + 1] * (float)sums[2 * i + 1];
}

/* y[t * y_stride + r] = W[row + r, :] . x[t, :] for r < n_rows and all tokens.
 * scratch: 64-byte aligned, CPU_ROW_SCRATCH bytes a column of W. */
typedef void cpu_matmul_fn(const graph_tensor *w, size_t row, size_t n_rows, const cpu_rows *x,
                           float *y, size_t y_stride, void *scratch);

enum { CPU_ROW_SCRATCH = 8 };

/* What a thread multiplies next, for prefetching. */
typedef struct {
    const uint8_t *at;   // NULL: not known
    size_t n_groups;     // so many there are of the same kind and width, and are multiplied by the same inputs
    size_t stream_bytes; // one token: between the starts of its streams
} cpu_next;

/* Groups are read in so many streams side by side; all but the last have as many groups. */
static inline size_t cpu_stream_groups(size_t n_groups, size_t n_streams)
{
    return (n_groups + n_streams - 1) / n_streams;
}

/* Products over packed weights (pack.h), groups group ... group + n - 1 of 16 rows.
 * gemv: one token, y [16 n].
 * gemm: y[t * y_stride + r]; scratch: 64-byte aligned, CPU_PANEL_BYTES a column of W.
 * Rows beyond the matrix come out as 0. */
typedef void cpu_gemv_fn(const cpu_packed *w, size_t group, size_t n, const cpu_rows *x, float *y,
                         cpu_next next);
typedef void cpu_gemm_fn(const cpu_packed *w, size_t group, size_t n, const cpu_rows *x, float *y,
                         size_t y_stride, void *scratch, const uint8_t *next);

enum { CPU_PANEL_BYTES = 40 }; // two groups as bytes with scales and minimums

/* Weights as bfloat16 for the matrix unit, unpacked while the weights before them are multiplied. */
typedef struct {
    uint8_t *bytes;       // CPU_PANELS_BYTES, 64-byte aligned
    const uint8_t *holds; // the group whose first columns the call before has unpacked; NULL: none
    unsigned turn;        // in which half of bytes
} cpu_panels;

/* Many tokens at once, inputs as bfloat16 (x->wide), in blocks of 16 tokens and 32 rows. y has room for
 * whole blocks; what lies beyond the tokens and rows asked for is overwritten by anything. */
typedef void cpu_wide_fn(const cpu_packed *w, size_t group, size_t n, const cpu_rows *x, float *y, size_t y_stride,
                         cpu_panels *panels, cpu_next next);

enum { CPU_WIDE_TOKENS = 16, CPU_WIDE_ROWS = 32, CPU_PANELS_BYTES = 48 * 1024 };

/* One layer's cache and what a query needs of it. Rows [n_ctx] of n_kv_heads * d_head values; but
 * where k_tiled (half precision, d_head a multiple of 16), keys lie in tiles of CPU_KEY_TILE positions:
 * [n_ctx / 16][n_kv_heads][d_head][16], rounded up to CPU_KEY_BLOCK positions. */
enum { CPU_KEY_TILE = 16, CPU_KEY_BLOCK = 64, CPU_ATTEND_ROWS = 24 };

/* What a thread reads after the op in hand: asked for meanwhile, a line at a time, of its streams in turn. */
typedef struct {
    const uint8_t *at, *end; // of the first stream
    size_t stream_bytes, turn;
} cpu_ahead;

typedef struct {
    const uint8_t *k, *v;
    size_t k_row, v_row;   // bytes a position
    size_t k_head, v_head; // bytes a head within a row
    bool k_tiled;
    const quant_traits *k_format, *v_format;
    uint32_t n_heads, n_kv_heads, d_head;
    size_t window; // positions that a query sees; 0: all before it and its own
    float scale;
    // One token's: what this thread reads next, asked for meanwhile
    bool more_heads;  // the head after this one
    cpu_ahead *ahead; // or what comes after attention; may be NULL
} cpu_cache;

/* The block of positions in which the first one lies that a query at `position` sees. */
static inline size_t cpu_first_block(size_t window, size_t position)
{
    return (window && position + 1 > window ? position + 1 - window : 0) / CPU_KEY_BLOCK * CPU_KEY_BLOCK;
}

static inline const uint8_t *cpu_block_keys(const cpu_cache *c, uint32_t kv_head, size_t start)
{
    return c->k + start * c->k_row + kv_head * (c->k_tiled ? CPU_KEY_TILE : 1) * c->k_head;
}

static inline const uint8_t *cpu_block_values(const cpu_cache *c, uint32_t kv_head, size_t start)
{
    return c->v + start * c->v_row + kv_head * c->v_head;
}

/* GCC 12 takes a function that only prefetches for one without effects and drops its calls; an empty statement that it
 * must keep is an effect. */
#if defined(__GNUC__)
#define CPU_PREFETCH(p, change, level)             \
    do {                                           \
        __builtin_prefetch(p, change, level);      \
        __asm__ volatile("");                      \
    } while (0)
#else
#define CPU_PREFETCH(p, change, level) ((void)(p))
#endif

/* Asks for the cache line at p: to be read before long, soon, or to be changed at once. */
static inline void cpu_ask(const void *p)
{
    CPU_PREFETCH(p, 0, 2);
}

static inline void cpu_ask_near(const void *p)
{
    CPU_PREFETCH(p, 0, 3);
}

static inline void cpu_ask_to_change(const void *p)
{
    CPU_PREFETCH(p, 1, 2);
}

/* Asks for all of a block, in one burst. */
static inline void cpu_ask_block(const cpu_cache *c, uint32_t kv_head, size_t start)
{
    enum { LINE = 64 };
    const uint8_t *k = cpu_block_keys(c, kv_head, start), *v = cpu_block_values(c, kv_head, start);
    const size_t step = c->k_tiled ? CPU_KEY_TILE : 1;
    for (size_t j = 0; j < CPU_KEY_BLOCK; j++) {
        for (size_t i = 0; j % step == 0 && i < step * c->k_head; i += LINE)
            cpu_ask(k + j * c->k_row + i);
        for (size_t i = 0; i < c->v_head; i += LINE)
            cpu_ask(v + j * c->v_row + i);
    }
}

/* Attention of the query heads that share kv_head, for n_tokens tokens of which the first stands at
 * `position`. q and out: [n_tokens] rows `stride` apart, of which the group's heads, side by side, come
 * first. scratch: cpu_attend_scratch floats. */
typedef void cpu_attend_fn(const cpu_cache *c, uint32_t kv_head, const float *q, size_t stride, size_t n_tokens,
                           size_t position, float *out, float *scratch);

/* Scores of a whole context for a group (the plain paths), or a block of keys and values. */
static inline size_t cpu_attend_scratch(size_t group, size_t d_head, size_t n_ctx)
{
    const size_t whole = size_add(size_mul(group, n_ctx), d_head);
    const size_t block =
        size_add(size_mul(2 * CPU_KEY_BLOCK + CPU_ATTEND_ROWS + 1, d_head), CPU_ATTEND_ROWS * CPU_KEY_BLOCK);
    return whole > block ? whole : block;
}

typedef struct {
    const char *name;
    cpu_matmul_fn *matmul[QUANT_ID_END];
    bool reads_int8[QUANT_ID_END]; // does matmul[format] read x->q, d, sums?
    cpu_gemv_fn *gemv[PACK_KIND_COUNT]; // NULL: not packed on this path
    cpu_gemm_fn *gemm[PACK_KIND_COUNT]; // as gemv
    cpu_wide_fn *wide[PACK_KIND_COUNT]; // NULL: gemm does it
    bool prefetches;                    // gemv reads ahead
    size_t streams;                     // side by side, by gemv
    /* x [n], n a multiple of 32, as bfloat16; NULL if no kernel reads them */
    void (*round_wide)(const float *x, size_t n, uint16_t *out);
    /* quant_activations, to the bit */
    void (*quantise)(const float *x, size_t n, int8_t *q, float *d, int32_t *sums);
    void (*norm)(const graph_norm *n, const float *weight, const float *bias, const float *x,
                 float *y, size_t width);
    /* x [d_head] in place; cos_sin [n_rot / 2][2], scaled already */
    void (*rotate)(const graph_rope *r, const float *cos_sin, float *x);
    void (*halve)(const float *x, size_t n, uint16_t *out); // to half precision; NULL: the format's own way
    cpu_attend_fn *attend;
    bool tiles_keys; // attend reads tiles where keys may be tiled
    /* out[i] = act(gate[i]) * up[i] */
    void (*gate)(graph_epilogue kind, const float *gate, const float *up, float *out, size_t n);
} cpu_kernels;

#define CPU_DECLARE_FILL(path) void cpu_fill_##path(cpu_kernels *k);
CPU_PATHS(CPU_DECLARE_FILL)
#undef CPU_DECLARE_FILL

/* Shared between paths. */
extern const uint8_t cpu_iq4_bytes[16]; // IQ4_NL's values + 128
cpu_attend_fn cpu_attend_portable;
void cpu_fill_avx2_float(cpu_kernels *k);
void cpu_fill_avx512_float(cpu_kernels *k);
void cpu_fill_wasm_float(cpu_kernels *k);
void cpu_fill_neon_float(cpu_kernels *k);

/* Does this machine have the path's instructions? */
#define CPU_DECLARE_HAS(path) bool cpu_has_##path(void);
CPU_PATHS(CPU_DECLARE_HAS)
#undef CPU_DECLARE_HAS

/* Fills in all paths up to `highest` (NULL = all); false if it is no path's name. */
bool cpu_select(cpu_kernels *k, const char *highest);

#endif
