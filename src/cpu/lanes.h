/* Products over packed weights (pack.h), one row a lane, written once for every instruction set.
 *
 * An ISA's file defines what is listed here and includes this file, which then defines gemv_<KIND>
 * and gemm_<KIND> for every kind of PACK_KINDS, and fill_lanes(cpu_kernels *).
 *
 *   LANES          rows a register holds: 16, 8 or 4
 *   TILE_VECTORS   registers of weights in a tile; TILE_VECTORS * LANES is 8, 16 or 32
 *   TILE_TOKENS    tokens in a tile, 2 ... 6
 *   LANES_TARGET   function attribute with the instruction set
 *   PREFETCH_FAR(p) PREFETCH_NEAR(p)   ask for the cache line at p: into the second-level cache,
 *                  PREFETCH_BYTES ahead (0: not at all), and into the first, PREFETCH_NEAR_BYTES ahead
 *   STREAMS        of rows' groups, read side by side for one token
 *   HIGH_IN_PLACE  1: acc_dot takes weights of up to 240, so upper nibbles need no shift
 *   vi, vf         registers of LANES x 4 bytes / int32, and of LANES floats
 *   vi_load(p) vi_store(p, v) vi_set1(int32) vi_add (int32) vi_and vi_or
 *   vi_left(v, n) vi_right(v, n)   16-bit shifts;   vi_left32(v, n)
 *   vi_bytes(b)    all bytes b
 *   vi_iq4(v)      IQ4_NL's value of each nibble, + 128 if BYTE_ZERO is 128
 *   vi_four(x)     the four int8 at x, in every lane
 *   vacc acc_zero() acc_dot(acc, weights, x) vi acc_sum(acc)
 *                  sums of products of unsigned bytes and int8, four columns a lane
 *   ACC_INT32      defined where vacc is vi and holds int32 sums
 *   ACC_STEPS(m)   how many acc_dot of weights up to m fit in one vacc
 *   SPLIT_BYTES    1: bytes over 127 are multiplied as two nibbles; 0: acc_dot_byte takes any byte,
 *                  acc_sum_byte(acc) gives the sums (the same as acc_dot and acc_sum, or another way)
 *   BYTE_ZERO      what bytes of Q8_0 and IQ4_NL stand above their value when acc_dot_byte sees them
 *                  (128, or 0 if vi_byte(v) makes them signed); vi_byte(v)
 *   vf_load(p) vf_store(p, v) vf_zero() vf_set1(x) vf_add vf_mul vf_fma(a, b, c) = a * b + c
 *   vf_int(vi) vf_f16(p) vf_u8(p) vf_i8(p)   from int32, LANES halves, LANES bytes
 *   KEEP(p) ROLLED may be defined: before a block at p, so that the compiler knows p no longer as a sum; before a
 *                  loop over its lines, how to unroll it
 *   OWN_TILES      if defined, panel_store and tile_sums are the ISA file's own, after this one
 */
#include "cpu/kernels.h"
#include "cpu/lanes_packed.h"

#ifndef KEEP
#define KEEP(p) ((void)(p))
#endif
#ifndef ROLLED
#define ROLLED _Pragma("GCC unroll 4")
#endif

enum {
    SUBS = PACK_ROWS / LANES,                                // registers a line
    PANEL_GROUPS = TILE_VECTORS * LANES > PACK_ROWS ? 2 : 1, // groups a panel
    TILE_ROWS = TILE_VECTORS * LANES
};

LANES_INLINE int steps_of(pack_kind kind)
{
    return has_fifths(kind)    ? ACC_STEPS(31)
           : kind == PACK_Q6_K ? ACC_STEPS(63)
           : is_byte(kind) && !SPLIT_BYTES ? ACC_STEPS(255)
                                           : ACC_STEPS(15);
}

enum { RUN_STEPS = 4 };

/* A sum of products of 16 columns, four in each of RUN_STEPS, that is emptied into int32 as often as it must. */
typedef struct {
    vacc low, high; // high: of the upper nibbles of bytes, when they are split; low: where they start, then
    vi sum;
    int steps;
} running;

/* From a number of which the sum is to start: that costs nothing where sums are int32 anyway. */
LANES_INLINE running run_from(vi start)
{
#ifdef ACC_INT32
    return (running){start, acc_zero(), vi_set1(0), 0};
#else
    return (running){acc_zero(), acc_zero(), start, 0};
#endif
}

LANES_INLINE running run_start(void)
{
    return (running){acc_zero(), acc_zero(), vi_set1(0), 0};
}

/* How weights meet acc_dot: as they are, as bytes of any value, as two nibbles, or as the upper one of these
 * alone, which is enough for what rounding left over of the input: a tenth of an error of a 254th. */
typedef enum { SMALL, BYTES, NIBBLES, UPPER } byte_form;

LANES_INLINE byte_form form_of(pack_kind kind)
{
    return !is_byte(kind) ? SMALL : SPLIT_BYTES ? NIBBLES : BYTES;
}

LANES_INLINE byte_form rest_form_of(pack_kind kind)
{
    return form_of(kind) == NIBBLES ? UPPER : form_of(kind);
}

/* Are these inputs multiplied otherwise than what they are the rest of? */
LANES_INLINE bool has_rest_form(pack_kind kind, const cpu_rows *x)
{
    return rest_form_of(kind) != form_of(kind) && x->is_rest;
}

LANES_INLINE vi run_sum(const running *r, byte_form form)
{
    if (form == BYTES)
        return acc_sum_byte(r->low);
    const vi sum = acc_sum(r->low);
    return form == NIBBLES || form == UPPER ? vi_add(sum, vi_left32(acc_sum(r->high), 4)) : sum;
}

LANES_INLINE void run_add(running *r, byte_form form, int steps, vi w, vi x)
{
    if (form == NIBBLES) {
        r->low = acc_dot(r->low, low(w), x);
        r->high = acc_dot(r->high, high(w), x);
    } else if (form == UPPER) {
        r->high = acc_dot(r->high, high(w), x);
    } else if (form == BYTES) {
        r->low = acc_dot_byte(r->low, w, x);
    } else {
        r->low = acc_dot(r->low, w, x);
    }
    if (steps >= RUN_STEPS || ++r->steps < steps)
        return;
    r->sum = vi_add(r->sum, run_sum(r, form));
    r->low = r->high = acc_zero();
    r->steps = 0;
}

LANES_INLINE vi run_end(const running *r, byte_form form, int steps)
{
    return steps < RUN_STEPS && r->steps == 0 ? r->sum : vi_add(r->sum, run_sum(r, form));
}

/* ---- one token ---------------------------------------------------------------------------------- */

/* Asks for what comes after the lines at p: near them, and at `far` as far on in the stream as prefetching
 * runs ahead. One line at a time: a burst would fill the queue that loads wait in, too. */
LANES_INLINE void fetch(const uint8_t *p, const uint8_t *far)
{
    if (PREFETCH_BYTES > 0) {
        PREFETCH_FAR(far);
        PREFETCH_NEAR(p + PREFETCH_NEAR_BYTES);
    }
}

/* Are upper nibbles left where they are, so that sums come out 16 times too large? */
LANES_INLINE bool in_place(pack_kind kind, int half)
{
    return HIGH_IN_PLACE && half && (kind == PACK_Q4_0 || kind == PACK_Q4_1 || kind == PACK_Q4_K);
}

LANES_INLINE vi half_weights(pack_kind kind, const uint8_t *p, int j, int half)
{
    return in_place(kind, half) ? vi_and(vi_load(p + 64 * j), vi_bytes(0xF0)) : weights(kind, p, j, half);
}

/* Where sums of 16 columns start whose weights stand above 0. The lower nibbles of which there are only upper
 * ones count as 8. */
LANES_INLINE vi start_of(pack_kind kind, byte_form form, int32_t start)
{
    if (form == UPPER)
        return vi_set1(15 * start);
    const vi v = vi_set1(start);
    switch (zero_of(kind)) {
    case 16:
        return vi_left32(v, 1);
    case 32:
        return vi_left32(v, 2);
    case 128:
        return vi_left32(v, 4);
    default:
        return v;
    }
}

/* So many registers of a line are worked on together: all where each instruction counts, so that the input
 * is read once for 16 rows; one where registers are wide enough, which leaves more of them free. */
enum { TOGETHER = LANES == 4 ? SUBS : 1 };

/* Sums over columns 0 ... 15 and 16 ... 31 of a block, for TOGETHER registers of a line from p on. */
LANES_INLINE void half_sums(pack_kind kind, byte_form form, const uint8_t *p, const int8_t *x,
                            const int32_t *starts, const uint8_t *far, vi sums[2][TOGETHER])
{
    KEEP(p);
    KEEP(x);
    const vi low_start = zero_of(kind) ? start_of(kind, form, starts[0]) : vi_set1(0);
    const vi high_start = zero_of(kind) ? start_of(kind, form, starts[1]) : vi_set1(0);
    running r[2][TOGETHER];
    for (int sub = 0; sub < TOGETHER; sub++) {
        r[0][sub] = run_from(low_start);
        r[1][sub] = run_from(in_place(kind, 1) ? vi_left32(high_start, 4) : high_start);
    }
    ROLLED
    for (int j = 0; j < RUN_STEPS; j++)
#pragma GCC unroll 2
        for (int half = 0; half < 2; half++) { // of nibbles, both are in one line
            const size_t line = 64 * (size_t)(4 * half + j);
            if (far && line < block_of(kind))
                fetch(p + line, far + line);
            const vi four = vi_four(x + 16 * half + 4 * j);
#pragma GCC unroll 4
            for (int sub = 0; sub < TOGETHER; sub++)
                run_add(&r[half][sub], form, steps_of(kind), half_weights(kind, p + 4 * LANES * sub, j, half), four);
        }
    for (int sub = 0; sub < TOGETHER; sub++) {
        sums[0][sub] = run_end(&r[0][sub], form, steps_of(kind));
        sums[1][sub] = run_end(&r[1][sub], form, steps_of(kind));
    }
}

/* Adds 16 columns to a row's sum. gemv and gemm do this alike and in the same
 * order, so a token's numbers do not depend on how many are computed together. */
LANES_INLINE vf add_half(vf f, vi i, vf scale, float d)
{
    return vf_fma(vf_int(i), vf_mul(scale, vf_set1(d)), f);
}

/* The sums of a block, scaled, onto those of the rows of register `sub`. */
LANES_INLINE vf add_sums(pack_kind kind, const uint8_t *w, const cpu_rows *x, size_t u, size_t b, size_t sub, vi low_half,
                         vi high_half, vf f)
{
    const float *d = x->d + 2 * b;
    const bool halves = kind == PACK_Q6_K; // with scales of their own
    const vf scale = part_scale(kind, w, halves ? 2 * u : u, sub);
    const vf high_scale = halves               ? part_scale(kind, w, 2 * u + 1, sub)
                          : in_place(kind, 1) ? vf_mul(scale, vf_set1(0.0625f)) // its sum is 16 times too large
                                              : scale;
    f = add_half(f, low_half, scale, d[0]);
    f = add_half(f, high_half, high_scale, d[1]);
    return has_min(kind) ? vf_fma(part_min(kind, w, u, sub), vf_set1(x->block_sums[b]), f) : f;
}

/* Block b of the input against block u of the unit w, added to the sums of 16 rows. */
LANES_INLINE void add_block(pack_kind kind, byte_form form, const uint8_t *w, const cpu_rows *x, size_t u,
                            size_t b, const uint8_t *far, vf f[SUBS])
{
    const size_t at = head_of(kind) + block_of(kind) * u;
#pragma GCC unroll 4
    for (size_t first = 0; first < SUBS; first += TOGETHER) {
        vi sums[2][TOGETHER];
        half_sums(kind, form, w + at + 4 * LANES * first, x->q + BLOCK * b, x->starts + 2 * b,
                  far && first == 0 ? far + at : NULL, sums);
#pragma GCC unroll 4
        for (size_t i = 0; i < TOGETHER; i++)
            f[first + i] = add_sums(kind, w, x, u, b, first + i, sums[0][i], sums[1][i], f[first + i]);
    }
}

/* Is what rounding left over multiplied once a unit is done, so that requests for lines never pause? Else it is
 * block by block. */
enum { REST_BY_UNIT = PREFETCH_BYTES > 0 };

/* Block b of one token's input, onto f, and of what rounding left over, onto rest: add_block. */
LANES_INLINE void add_blocks(pack_kind kind, const uint8_t *w, const cpu_rows *x, size_t u, size_t b, const uint8_t *far,
                             vf f[SUBS], vf rest[SUBS])
{
    for (const cpu_rows *q = x; q; q = REST_BY_UNIT ? NULL : q->rest)
        if (has_rest_form(kind, q))
            add_block(kind, rest_form_of(kind), w, q, u, b, far, q == x ? f : rest);
        else
            add_block(kind, form_of(kind), w, q, u, b, far, q == x ? f : rest);
}

/* PREFETCH_BYTES on in stream i from `at` on, which ends at `end`: there the stream's part of what is next follows. */
LANES_INLINE const uint8_t *far_of(const uint8_t *at, const uint8_t *end, const cpu_next *next, size_t i)
{
    const uint8_t *far = at + PREFETCH_BYTES;
    return PREFETCH_BYTES > 0 && far >= end && next->at ? next->at + i * next->stream_bytes + (far - end) : far;
}

/* One token against groups of rows, in STREAMS streams of groups side by side, a block of each in turn: memory
 * answers several streams faster than one. */
LANES_INLINE void gemv(pack_kind kind, const cpu_packed *w, size_t group, size_t n_groups, const cpu_rows *x,
                       float *y, const cpu_next *next)
{
    const size_t blocks = is_super(kind) ? 8 : 2, n_blocks = w->cols / BLOCK;
    const size_t length = cpu_stream_groups(n_groups, STREAMS), stride = length * w->group_bytes;
    const uint8_t *p = w->data + group * w->group_bytes, *start = p, *end = p + n_groups * w->group_bytes;
    for (size_t g = 0; g < length; g++, p += w->group_bytes, y += PACK_ROWS) {
        size_t n = 1; // streams that still have a group
        while (n < STREAMS && n * length + g < n_groups)
            n++;
        const uint8_t *unit = p;
        vf f[STREAMS * SUBS], rest[STREAMS * SUBS];
        for (size_t i = 0; i < STREAMS * SUBS; i++)
            f[i] = rest[i] = vf_zero();
        for (size_t u = 0; u < w->n_units; u++, unit += w->unit_bytes) {
            const uint8_t *far[STREAMS];
            for (size_t i = 0; i < n; i++) {
                const uint8_t *last = start + (i + 1) * stride;
                far[i] = far_of(unit + i * stride, last < end ? last : end, next, i);
                for (size_t line = 0; line < head_of(kind); line += 64)
                    fetch(unit + i * stride + line, far[i] + line);
            }
            const size_t first = u * blocks, left = is_super(kind) ? blocks : n_blocks - first;
            for (size_t b = 0; b < blocks && b < left; b++)
                for (size_t i = 0; i < n; i++)
                    add_blocks(kind, unit + i * stride, x, b, first + b, far[i], f + SUBS * i, rest + SUBS * i);
            for (size_t b = 0; REST_BY_UNIT && x->rest && b < blocks && b < left; b++)
                for (size_t i = 0; i < n; i++)
                    add_block(kind, rest_form_of(kind), unit + i * stride, x->rest, b, first + b, NULL, rest + SUBS * i);
        }
        for (size_t i = 0; i < n * SUBS; i++)
            vf_store(y + i / SUBS * length * PACK_ROWS + i % SUBS * LANES, x->rest ? vf_add(f[i], rest[i]) : f[i]);
    }
}

/* ---- many tokens -------------------------------------------------------------------------------- */

/* A panel holds PANEL_GROUPS groups as bytes, unpacked once for all tokens. Its parts (32 columns, 16
 * for Q6_K) are, for each group: lines of bytes (twice as many, low nibbles then high ones, when bytes
 * are split), 16 scales and, with minimums, 16 of those, as floats. */
LANES_INLINE size_t part_lines(pack_kind kind)
{
    return kind == PACK_Q6_K ? 4 : 8;
}

LANES_INLINE bool splits(pack_kind kind)
{
    return is_byte(kind) && SPLIT_BYTES;
}

LANES_INLINE size_t part_bytes(pack_kind kind)
{
    return part_lines(kind) * (splits(kind) ? 128u : 64u) + 64 + (has_min(kind) ? 64u : 0u);
}

#ifdef OWN_TILES
LANES_INLINE void panel_store(uint8_t *part, size_t line, size_t sub, vi v);
LANES_INLINE void tile_sums(pack_kind kind, const uint8_t *part, size_t row, size_t first, const int8_t *q,
                            size_t q_stride, vi sums[TILE_VECTORS][TILE_TOKENS], int n);
#else
/* Register `sub` of a line of a part. */
LANES_INLINE void panel_store(uint8_t *part, size_t line, size_t sub, vi v)
{
    vi_store(part + 64 * line + 4 * LANES * sub, v);
}
#endif

LANES_INLINE void unpack_part(pack_kind kind, const uint8_t *w, size_t part, size_t sub, uint8_t *to)
{
    const size_t b = kind == PACK_Q6_K ? part / 2 : part, lines = part_lines(kind);
    const uint8_t *p = w + head_of(kind) + block_of(kind) * b + 4 * LANES * sub;
    for (size_t i = 0; i < lines; i++) {
        const int half = kind == PACK_Q6_K ? (int)(part % 2) : (int)(i / 4);
        const vi v = weights(kind, p, (int)(i % 4), half);
        panel_store(to, i, sub, splits(kind) ? low(v) : v);
        if (splits(kind))
            panel_store(to, lines + i, sub, high(v));
    }
    float *scale = (float *)(void *)(to + lines * (splits(kind) ? 128u : 64u)) + LANES * sub;
    vf_store(scale, part_scale(kind, w, part, sub));
    if (has_min(kind))
        vf_store(scale + 16, part_min(kind, w, part, sub));
}

#ifndef OWN_TILES
/* Sums of 16 columns, lines first ... first + 3 of a part, for a tile. */
LANES_INLINE void tile_sums(pack_kind kind, const uint8_t *part, size_t row, size_t first, const int8_t *q,
                            size_t q_stride, vi sums[TILE_VECTORS][TILE_TOKENS], int n)
{
    const size_t lines = part_lines(kind), bytes = part_bytes(kind);
    running r[TILE_VECTORS][TILE_TOKENS];
    for (int v = 0; v < TILE_VECTORS; v++)
        for (int t = 0; t < n; t++)
            r[v][t] = run_start();
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++) {
        vi w[TILE_VECTORS], w_high[TILE_VECTORS];
        for (int v = 0; v < TILE_VECTORS; v++) {
            const size_t at = row + (size_t)v * LANES;
            const uint8_t *p = part + at / 16 * bytes + 64 * (first + j) + 4 * (at % 16);
            w[v] = vi_load(p);
            if (splits(kind))
                w_high[v] = vi_load(p + 64 * lines);
        }
#pragma GCC unroll 6
        for (int t = 0; t < n; t++) {
            const vi four = vi_four(q + (size_t)t * q_stride + 4 * j);
            for (int v = 0; v < TILE_VECTORS; v++) {
                if (splits(kind))
                    r[v][t].high = acc_dot(r[v][t].high, w_high[v], four);
                run_add(&r[v][t], splits(kind) ? SMALL : form_of(kind), steps_of(kind), w[v], four);
            }
        }
    }
    for (int v = 0; v < TILE_VECTORS; v++)
        for (int t = 0; t < n; t++) {
            sums[v][t] = run_end(&r[v][t], splits(kind) ? SMALL : form_of(kind), steps_of(kind));
            if (splits(kind))
                sums[v][t] = vi_add(sums[v][t], vi_left32(acc_sum(r[v][t].high), 4));
        }
}
#endif

/* TILE_ROWS rows from row `row` of the panel, n tokens (a constant) from the rows of x. */
LANES_INLINE void tile(pack_kind kind, const uint8_t *panel, size_t stride, size_t row, size_t n_parts,
                       const cpu_rows *x, size_t token, float *y, size_t y_stride, int n)
{
    vf f[TILE_VECTORS][TILE_TOKENS];
    for (int v = 0; v < TILE_VECTORS; v++)
        for (int t = 0; t < n; t++)
            f[v][t] = vf_zero();
    const size_t lines = part_lines(kind), bytes = part_bytes(kind), d_stride = x->q_stride / 16;
    const size_t scales = lines * (splits(kind) ? 128u : 64u);
    const int8_t *q = x->q + token * x->q_stride;
    const float *d = x->d + token * d_stride;
    const int32_t *starts = x->starts + token * d_stride;
    const float *block_sums = x->block_sums + token * (d_stride / 2);
    for (size_t part = 0; part < n_parts; part++, panel += stride, block_sums++) { // (those of kinds with minimums)
        for (size_t first = 0; first < lines; first += 4, q += 16, d++, starts++) {
            vi i[TILE_VECTORS][TILE_TOKENS];
            tile_sums(kind, panel, row, first, q, x->q_stride, i, n);
            for (int v = 0; v < TILE_VECTORS; v++) {
                const size_t at = row + (size_t)v * LANES;
                const float *scale = (const float *)(const void *)(panel + at / 16 * bytes + scales) + at % 16;
#pragma GCC unroll 6
                for (int t = 0; t < n; t++) {
                    if (zero_of(kind))
                        i[v][t] = vi_add(i[v][t], start_of(kind, form_of(kind), starts[(size_t)t * d_stride]));
                    f[v][t] = add_half(f[v][t], i[v][t], vf_load(scale), d[(size_t)t * d_stride]);
                }
            }
        }
        for (int v = 0; has_min(kind) && v < TILE_VECTORS; v++) {
            const size_t at = row + (size_t)v * LANES;
            const float *minimum = (const float *)(const void *)(panel + at / 16 * bytes + scales) + 16 + at % 16;
            for (int t = 0; t < n; t++)
                f[v][t] = vf_fma(vf_load(minimum), vf_set1(block_sums[(size_t)t * (d_stride / 2)]), f[v][t]);
        }
    }
    for (int v = 0; v < TILE_VECTORS; v++)
        for (int t = 0; t < n; t++)
            vf_store(y + (size_t)t * y_stride + (size_t)v * LANES, f[v][t]);
}

LANES_INLINE void tiles(pack_kind kind, const uint8_t *panel, size_t stride, size_t row, size_t n_parts,
                        const cpu_rows *x, float *y, size_t y_stride)
{
    size_t t = 0;
    for (; t + TILE_TOKENS <= x->n_tokens; t += TILE_TOKENS)
        tile(kind, panel, stride, row, n_parts, x, t, y + t * y_stride, y_stride, TILE_TOKENS);
    for (; t + 2 <= x->n_tokens; t += 2)
        tile(kind, panel, stride, row, n_parts, x, t, y + t * y_stride, y_stride, 2);
    if (t < x->n_tokens)
        tile(kind, panel, stride, row, n_parts, x, t, y + t * y_stride, y_stride, 1);
}

/* One group where a tile is two: the other half is computed from whatever the panel holds, into a
 * spare tile, and dropped. */
LANES_INLINE void lone_group(pack_kind kind, const uint8_t *panel, size_t stride, size_t n_parts,
                             const cpu_rows *x, float *y, size_t y_stride)
{
    for (size_t t = 0; t < x->n_tokens; t++) {
        float both[PANEL_GROUPS * PACK_ROWS];
        tile(kind, panel, stride, 0, n_parts, x, t, both, 0, 1);
        memcpy(y + t * y_stride, both, PACK_ROWS * sizeof *both);
    }
}

LANES_INLINE void gemm(pack_kind kind, const cpu_packed *w, size_t group, size_t n_groups, const cpu_rows *x,
                       float *y, size_t y_stride, uint8_t *panel)
{
    const size_t columns = 4 * part_lines(kind), unit_parts = w->unit_columns / columns;
    const size_t n_parts = w->cols / columns, stride = PANEL_GROUPS * part_bytes(kind);
    for (size_t g = 0; g < n_groups; g += PANEL_GROUPS) {
        const size_t groups = n_groups - g < PANEL_GROUPS ? n_groups - g : PANEL_GROUPS;
        for (size_t i = 0; i < groups; i++) {
            const uint8_t *unit = w->data + (group + g + i) * w->group_bytes;
            for (size_t part = 0; part < n_parts; part++)
                for (size_t sub = 0; sub < SUBS; sub++)
                    unpack_part(kind, unit + part / unit_parts * w->unit_bytes, part % unit_parts, sub,
                                panel + part * stride + i * part_bytes(kind));
        }
        if (groups < PANEL_GROUPS) { // a lone group in a wide panel: its tiles go by way of a spare one
            lone_group(kind, panel, stride, n_parts, x, y + 16 * g, y_stride);
            continue;
        }
        for (size_t row = 0; row < groups * PACK_ROWS; row += TILE_ROWS)
            tiles(kind, panel, stride, row, n_parts, x, y + 16 * g + row, y_stride);
    }
}

/* Panels hold both nibbles of bytes; what needs only upper ones goes without. */
LANES_INLINE void each_row(cpu_gemv_fn *gemv_kind, const cpu_packed *w, size_t group, size_t n_groups, const cpu_rows *x,
                           float *y, size_t y_stride)
{
    for (size_t t = 0; t < x->n_tokens; t++) {
        const cpu_rows row = cpu_row(x, t);
        gemv_kind(w, group, n_groups, &row, y + t * y_stride, (cpu_next){0});
    }
}

#define LANES_KERNELS(kind, columns, bytes)                                                              \
    static LANES_TARGET void gemv_##kind(const cpu_packed *w, size_t group, size_t n, const cpu_rows *x, \
                                         float *y, cpu_next next)                                        \
    {                                                                                                    \
        gemv(PACK_##kind, w, group, n, x, y, &next);                                                     \
    }                                                                                                    \
    static LANES_TARGET void gemm_##kind(const cpu_packed *w, size_t group, size_t n, const cpu_rows *x, \
                                         float *y, size_t y_stride, void *scratch, const uint8_t *next)  \
    {                                                                                                    \
        (void)next;                                                                                      \
        if (has_rest_form(PACK_##kind, x))                                                               \
            each_row(gemv_##kind, w, group, n, x, y, y_stride);                                          \
        else                                                                                             \
            gemm(PACK_##kind, w, group, n, x, y, y_stride, scratch);                                     \
    }
PACK_KINDS(LANES_KERNELS)
#undef LANES_KERNELS

static void fill_lanes(cpu_kernels *k)
{
    k->prefetches = PREFETCH_BYTES > 0;
    k->streams = STREAMS;
#define LANES_ROW(kind, columns, bytes) \
    k->gemv[PACK_##kind] = gemv_##kind; \
    k->gemm[PACK_##kind] = gemm_##kind;
    PACK_KINDS(LANES_ROW)
#undef LANES_ROW
}
