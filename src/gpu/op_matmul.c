#include "gpu/op_matmul.h"

#include <stdio.h>

enum { TILE_ROWS = 64 };

bool matmul_takes_int8(const recorder *r, const gpu_matrix *w)
{
    return r->modes.dot_int8 && w->parts[0].planes.integers;
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
    const uint64_t across = (w->rows + TILE_ROWS - 1) / TILE_ROWS;
    matmul_shape s = {int8 ? 128 : 64, 2, false};
    while (s.tokens > 32 && (across * ((n_tokens + s.tokens - 1) / s.tokens) < 128 || s.tokens / 2 >= n_tokens ||
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
    shader_part(s, int8 ? "matmul_int8" : "matmul_float");
    if (int8)
        shader_part(s, shape->by_bits ? "sums_by_bits" : "sums_converted");
    shader_part(s, tokens);
    add_epilogue(s, op);
}

void op_matmul(recorder *r, const matmul_op *op, uint32_t n_tokens)
{
    const matmul_shape shape = op->shape ? *op->shape : matmul_usual_shape(r, op->w, n_tokens);
    const bool int8 = matmul_takes_int8(r, op->w);
    for (uint32_t i = 0; i < op->w->n_parts; i++) {
        const gpu_matrix_part *w = &op->w->parts[i];
        shader s;
        write_kernel(&s, r, op, w, int8, &shape);
        const uint32_t kernel = recorder_kernel_of(r, &s, op->label);
        const gpu_bind binds[] = {
            {"state", op->state},    {"wq", w->wq},           {"wx", w->wx},     {"x", op->x},
            {"xq", op->rounded.q},   {"xd", op->rounded.d},   {"bias", op->bias}, {"out", op->out},
        };
        recorder_dispatch(r, kernel, binds, sizeof binds / sizeof *binds, (w->rows + TILE_ROWS - 1) / TILE_ROWS,
                          (n_tokens + shape.tokens - 1) / shape.tokens, 1);
    }
}
