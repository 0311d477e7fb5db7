#include "gpu/op_embed.h"

enum { THREADS = 64 };

static void write_kernel(shader *s, const recorder *r, const embed_op *op, const gpu_matrix_part *part)
{
    const gpu_planes *p = &part->planes;
    shader_init(s, &r->allocator);
    shader_u32(s, "ROWS", part->rows);
    shader_u32(s, "ROW_FIRST", part->first_row);
    shader_u32(s, "COLS", p->cols);
    shader_u32(s, "NB", p->n_blocks);
    shader_u32(s, "T", THREADS);
    shader_f32(s, "SCALE", op->scale);
    shader_part(s, p->part);
    if (p->integers) {
        shader_part(s, "weights");
        shader_part(s, "floats");
    }
    shader_part(s, "state");
    shader_part(s, "embed");
}

/* Each part of the table is asked for its own rows. */
void op_embed(recorder *r, const embed_op *op)
{
    for (uint32_t i = 0; i < op->table->n_parts; i++) {
        const gpu_matrix_part *part = &op->table->parts[i];
        shader s;
        write_kernel(&s, r, op, part);
        const uint32_t kernel = recorder_kernel_of(r, &s, op->label);
        const gpu_bind binds[] = {
            {"wq", part->wq}, {"wx", part->wx}, {"state", op->state}, {"ids", op->ids}, {"out", op->out},
        };
        recorder_dispatch(r, kernel, binds, sizeof binds / sizeof *binds,
                          (part->planes.n_blocks + THREADS - 1) / THREADS, op->n_tokens, 1);
    }
}
