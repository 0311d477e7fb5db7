#include "gpu/op_matmul.h"

#include <stdio.h>

enum { TILE_ROWS = 64 };

/* Subgroup matrices: the tile of matmul_matrix.wgsl and what it takes; and from where on it is faster than int8 on an H200:
 * it is large, so there have to be many of it, and nearly full. */
enum { MATRIX_TOKENS = 128, MATRIX_BYTES = (128 + 64) * 72 * 2 + 64 * 64 * 4, MATRIX_LEAST_TOKENS = 96, MATRIX_LEAST_GROUPS = 48 };

static uint64_t tiles(uint64_t n, uint32_t a_tile)
{
    return (n + a_tile - 1) / a_tile;
}

bool matmul_takes_int8(const recorder *r, const gpu_matrix *w)
{
    return r->modes.dot_int8 && w->parts[0].planes.integers;
}

bool matmul_suits_matrices(const gpu_matrix *w)
{
    const gpu_planes *p = &w->parts[0].planes;
    return p->integers && p->format != QUANT_MXFP4; // whose scales go up to 2^127
}

bool matmul_takes_matrices(const recorder *r, const gpu_matrix *w, uint32_t n_tokens)
{
    const gpu_limits *l = &r->player->limits;
    return r->modes.f16 && matmul_suits_matrices(w) && n_tokens >= MATRIX_LEAST_TOKENS &&
           tiles(w->rows, TILE_ROWS) * tiles(n_tokens, MATRIX_TOKENS) >= MATRIX_LEAST_GROUPS && l->max_workgroup_memory >= MATRIX_BYTES && l->max_workgroup_threads >= 256;
}

uint32_t matmul_shape_bytes(bool int8, const matmul_shape *shape)
{
    return (shape->tokens + TILE_ROWS) * (int8 ? 48 * shape->blocks : 128); // with minima; without 40
}

/* Large tiles fetch less for each product, small ones keep more of the device busy. WebGPU does not say
 * how many processors there are: some 128 workgroups fill large GPUs, and small ones lose little. */
matmul_shape matmul_usual_shape(const recorder *r, const gpu_matrix *w, uint32_t n_tokens)
{
    const bool int8 = matmul_takes_int8(r, w);
    const uint64_t across = tiles(w->rows, TILE_ROWS);
    matmul_shape s = {int8 ? 128 : 64, 2, false};
    while (s.tokens > 32 && (across * tiles(n_tokens, s.tokens) < 128 || s.tokens / 2 >= n_tokens ||
                             matmul_shape_bytes(int8, &s) > r->player->limits.max_workgroup_memory))
        s.tokens /= 2;
    return s;
}

static void add_epilogue(shader *s, const matmul_op *op)
{
    static const char *const names[] = {"matmul_store", "matmul_add", "matmul_gate", "matmul_gate"};
    shader_part(s, names[op->epilogue]);
    shader_part(s, op->bias.bytes ? "bias_add" : "bias_none");
    if (op->epilogue == GRAPH_GATE_SILU)
        shader_part(s, "gate_silu");
    if (op->epilogue == GRAPH_GATE_GELU)
        shader_part(s, "gate_gelu");
}

static uint64_t out_width(const matmul_op *op)
{
    const bool gate = op->epilogue == GRAPH_GATE_SILU || op->epilogue == GRAPH_GATE_GELU;
    return op->out_width ? op->out_width : gate ? op->w->rows / 2 : op->w->rows;
}

static void write_kernel(shader *s, const recorder *r, const matmul_op *op, const gpu_matrix_part *w, bool int8,
                         const matmul_shape *shape)
{
    const gpu_planes *p = &w->planes;
    char tokens[16];
    snprintf(tokens, sizeof tokens, "tokens_%u", (unsigned)shape->tokens);
    shader_init(s, &r->allocator);
    if (op->matrices) {
        shader_enable(s, "f16");
        shader_enable(s, "chromium_experimental_subgroup_matrix;diagnostic(off,chromium.subgroup_matrix_uniformity)");
        shader_u32(s, "WORDS", 8);
        shader_u32(s, "DEPTH", 4);
    }
    shader_u32(s, "ROWS", w->rows);
    shader_u32(s, "ROW_FIRST", w->first_row);
    shader_u32(s, "COLS", p->cols);
    shader_u32(s, "NB", p->n_blocks);
    shader_u32(s, "OUT_WIDTH", out_width(op));
    if (op->epilogue == GRAPH_STORE)
        shader_u32(s, "OUT_FIRST", op->out_first);
    shader_u32(s, "TOKENS", shape->tokens);
    shader_u32(s, "BLOCKS", shape->blocks);
    shader_part(s, "state");
    shader_part(s, r->modes.rolled ? "loops_rolled" : "loops_unrolled");
    shader_part(s, p->part);
    if (p->integers) {
        shader_part(s, "weights");
        if (!int8)
            shader_part(s, "floats");
    }
    shader_part(s, op->matrices ? "matmul_matrix" : int8 ? "matmul_int8" : "matmul_float");
    if (int8)
        shader_part(s, shape->by_bits ? "sums_by_bits" : "sums_converted");
    if (!op->matrices)
        shader_part(s, tokens);
    add_epilogue(s, op);
}

void op_matmul(recorder *r, const matmul_op *op, uint32_t n_tokens)
{
    const matmul_shape by_matrices = {.tokens = MATRIX_TOKENS};
    const matmul_shape shape = op->matrices ? by_matrices
                               : op->shape  ? *op->shape
                                            : matmul_usual_shape(r, op->w, n_tokens);
    const bool int8 = !op->matrices && matmul_takes_int8(r, op->w);
    for (uint32_t i = 0; i < op->w->n_parts; i++) {
        const gpu_matrix_part *w = &op->w->parts[i];
        shader s;
        write_kernel(&s, r, op, w, int8, &shape);
        const uint32_t kernel = recorder_kernel_of(r, &s, op->label);
        const gpu_bind binds[] = {
            {"state", op->state},    {"wq", w->wq},           {"wx", w->wx},     {"x", op->x},
            {"xq", op->rounded.q},   {"xd", op->rounded.d},   {"bias", op->bias}, {"out", op->out},
        };
        recorder_dispatch(r, kernel, binds, sizeof binds / sizeof *binds, tiles(w->rows, TILE_ROWS),
                          tiles(n_tokens, shape.tokens), 1);
    }
}
