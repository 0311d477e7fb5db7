#include "gpu/op_rope_kv.h"

#include "quant/quant.h"

/* Threads of a workgroup: few, so that a single token's heads spread over the device. */
enum { ROPE_THREADS = 64 };

static void write_kernel(shader *s, const recorder *r, const rope_kv_op *op)
{
    const bool turns = op->kind != GRAPH_ROPE_NONE && op->n_rot > 0, norms = op->norm_q || op->norm_k;
    shader_init(s, &r->allocator);
    shader_u32(s, "T", ROPE_THREADS);
    shader_u32(s, "N_HEADS", op->n_heads);
    shader_u32(s, "N_PAIRS", turns ? op->n_rot / 2 : 0);
    shader_u32(s, "HALVES", op->kind == GRAPH_ROPE_HALVES);
    if (norms) {
        shader_f32(s, "EPS", op->norm_eps);
        shader_u32(s, "NORM_Q", op->norm_q);
        shader_u32(s, "NORM_K", op->norm_k);
    }
    kv_add_layout(s, &op->kv);
    kv_add_writers(s, &op->kv);
    shader_part(s, "state");
    shader_part(s, turns ? "rope_turn" : "rope_still");
    shader_part(s, norms ? "rope_norm_rms" : "rope_norm_none");
    shader_part(s, "rope_kv");
}

void op_rope_kv(recorder *r, const rope_kv_op *op)
{
    shader s;
    write_kernel(&s, r, op);
    const uint32_t kernel = recorder_kernel_of(r, &s, op->label);
    const gpu_bind binds[] = {
        {"state", op->state}, {"qkv", op->qkv},     {"q", op->out},      {"rope", op->rope},
        {"norms", op->norms}, {"kc", op->k_cache}, {"vc", op->v_cache},
    };
    const uint32_t heads = op->n_heads + 2 * op->kv.n_kv_heads, a_group = ROPE_THREADS / (op->kv.d_head / 8);
    recorder_dispatch(r, kernel, binds, sizeof binds / sizeof *binds, (heads + a_group - 1) / a_group, op->n_tokens, 1);
}
