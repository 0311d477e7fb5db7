/* Qwen2, Qwen2.5 and Qwen3.
 * As Llama but for: rotation in halves (the converter does not permute Q and K), Qwen2's biases on
 * Q, K and V, Qwen3's RMS norm of every query and key head before the rotation and its explicit
 * head length. The head is tied to the embedding in the small ones. */
#include "model/build.h"

void arch_qwen2(model_builder *b);
void arch_qwen3(model_builder *b);

static void build(model_builder *b, const build_attention_options *attention)
{
    const graph_rope rope = build_rope(b, GRAPH_ROPE_HALVES);
    const graph_value x = build_embedding(b, 1.0f);
    for (uint32_t layer = 0; layer < b->sizes.n_layers; layer++) {
        const graph_norm before_attention = build_rms(b, "blk.%u.attn_norm.weight", layer);
        build_attention(b, layer, &before_attention, &rope, attention, x);
        const graph_norm before_ffn = build_rms(b, "blk.%u.ffn_norm.weight", layer);
        build_gated_ffn(b, layer, &before_ffn, GRAPH_GATE_SILU, x);
    }
    const graph_norm last = build_rms(b, "output_norm.weight", 0);
    build_head(b, &last, x);
}

void arch_qwen2(model_builder *b)
{
    build(b, &(build_attention_options){.qkv_bias = true});
}

void arch_qwen3(model_builder *b)
{
    build(b, &(build_attention_options){.qk_norm = true});
}
