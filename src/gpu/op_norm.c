#include "gpu/op_norm.h"

enum { BLOCK = 32, GROUP = 16 };

/* Few columns keep few threads busy, and a sum over fewer threads is sooner there. */
static uint32_t threads_for(const recorder *r, uint32_t width)
{
    uint32_t threads = 64;
    while (threads < 256 && threads * GROUP < width)
        threads *= 2;
    while (threads > r->player->limits.max_workgroup_threads || threads < r->modes.subgroup)
        threads = threads < r->modes.subgroup ? threads * 2 : threads / 2;
    return threads;
}

static void add_norm(shader *s, const recorder *r, const norm_op *op)
{
    if (op->kind == GRAPH_NORM_NONE) {
        shader_part(s, "norm_none");
        return;
    }
    shader_f32(s, "EPS", op->eps);
    shader_u32(s, "TPR", 1); // of the matrix products' sums, one of which serves here
    shader_u32(s, "R", 1);
    if (r->modes.subgroup) {
        shader_enable(s, "subgroups");
        shader_u32(s, "SUBGROUP", r->modes.subgroup);
    }
    shader_part(s, r->modes.subgroup ? "rows_subgroup" : "rows_shared");
    shader_part(s, op->kind == GRAPH_NORM_RMS ? "norm_rms" : "norm_layer");
    if (op->kind == GRAPH_NORM_LAYER)
        shader_part(s, op->bias.bytes ? "bias_add" : "bias_none");
}

void op_norm(recorder *r, const norm_op *op, uint32_t n_tokens)
{
    const bool int8 = op->out.bytes == 0;
    const uint32_t a_group = int8 ? BLOCK : GROUP;
    shader s;
    shader_init(&s, &r->allocator);
    shader_u32(&s, "T", threads_for(r, op->width));
    shader_u32(&s, "COLS", op->width);
    shader_u32(&s, "GROUPS", (op->width + a_group - 1) / a_group * (a_group / GROUP));
    shader_part(&s, "state");
    add_norm(&s, r, op);
    if (int8)
        shader_part(&s, "round_int8");
    shader_part(&s, int8 ? "norm_int8" : "norm_float");
    shader_part(&s, "norm");
    const uint32_t kernel = recorder_kernel_of(r, &s, op->label);
    const gpu_bind binds[] = {
        {"state", op->state}, {"x", op->x},          {"gain", op->gain},    {"bias", op->bias},
        {"out", op->out},     {"out_q", op->rounded.q}, {"out_d", op->rounded.d},
    };
    recorder_dispatch(r, kernel, binds, sizeof binds / sizeof *binds, n_tokens, 1, 1);
}
