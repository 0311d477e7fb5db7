/* Llama 1-3.2 and what has its shape: Mistral, TinyLlama, SmolLM, SmolLM2.
 * RMS norms, grouped-query attention, rotary pairs (the converter permuted Q and K for that), a
 * SiLU-gated feed-forward, head tied to the embedding or not. Llama 3.1 and later bring their
 * frequency divisors as rope_freqs.weight. */
#include "model/build.h"

void arch_llama(model_builder *b);

void arch_llama(model_builder *b)
{
    const graph_rope rope = build_rope(b, GRAPH_ROPE_PAIRS);
    const build_attention_options attention = {
        .qkv_bias = build_has_tensor(b, "blk.0.attn_q.bias", 0),
        .window = build_u32_or(b, "attention.sliding_window", 0),
    };
    const graph_value x = build_embedding(b, 1.0f);
    for (uint32_t layer = 0; layer < b->sizes.n_layers; layer++) {
        const graph_norm before_attention = build_rms(b, "blk.%u.attn_norm.weight", layer);
        build_attention(b, layer, &before_attention, &rope, &attention, x);
        const graph_norm before_ffn = build_rms(b, "blk.%u.ffn_norm.weight", layer);
        build_gated_ffn(b, layer, &before_ffn, GRAPH_GATE_SILU, x);
    }
    const graph_norm last = build_rms(b, "output_norm.weight", 0);
    build_head(b, &last, x);
}
