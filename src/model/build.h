/* What an arch_<family>.c builds with: hyper-parameters, tensors with their expected shapes, and
 * the shared pieces of transformers. Every function is a no-op after the first failure, which
 * keeps its error, so a family reads as a plain list. */
#ifndef INGLE_MODEL_BUILD_H
#define INGLE_MODEL_BUILD_H

#include "model/model.h"

typedef struct {
    ingle_model *model;
    const gguf *file;
    graph *graph;
    arena *memory;      // of the model: converted vectors
    const char *prefix; // "llama": hyper-parameter keys are "llama.block_count" ...
    ingle_status status;
    ingle_error *err;

    graph_sizes sizes;  // read before the family's function is called
    uint32_t n_rot;     // rope.dimension_count, default d_head
    float norm_eps;     // RMS or LayerNorm, whichever the file states
} model_builder;

/* "prefix.key"; required ones fail with ERR_FORMAT that names the key. */
uint32_t build_u32(model_builder *b, const char *key);
uint32_t build_u32_or(model_builder *b, const char *key, uint32_t otherwise);
float build_f32_or(model_builder *b, const char *key, float otherwise);

/* A matrix [rows, cols] named by a format that may use the layer, "blk.%u.attn_q.weight". The
 * shape must fit and the format be known: ERR_FORMAT, ERR_UNSUPPORTED. */
graph_weight build_matrix(model_builder *b, const char *name, uint32_t layer, uint64_t rows,
                          uint64_t cols);
/* A vector [n], converted to f32. */
graph_weight build_vector(model_builder *b, const char *name, uint32_t layer, uint64_t n);
graph_weight build_optional_vector(model_builder *b, const char *name, uint32_t layer, uint64_t n);
bool build_has_tensor(const model_builder *b, const char *name, uint32_t layer);

graph_norm build_rms(model_builder *b, const char *name, uint32_t layer);

/* Rotary frequencies with whatever scaling the file states: none, linear, YaRN, and the per-pair
 * divisors of tensor rope_freqs.weight (Llama 3.1 and later). */
graph_rope build_rope(model_builder *b, graph_rope_kind kind);

/* token_embd -> value [d_model]; and the head over `x`, tied to token_embd when the file has no
 * output.weight. */
graph_value build_embedding(model_builder *b, float scale);
void build_head(model_builder *b, const graph_norm *norm, graph_value x);

/* The pieces of a layer, with names as most families have them. Biases and q/k norms are used when
 * the flags ask; a bias that is asked for must be there. */
typedef struct {
    bool qkv_bias, qk_norm;
    uint32_t window; // sliding attention; 0 = none
} build_attention_options;

void build_attention(model_builder *b, uint32_t layer, const graph_norm *norm,
                     const graph_rope *rope, const build_attention_options *opt, graph_value x);
void build_gated_ffn(model_builder *b, uint32_t layer, const graph_norm *norm,
                     graph_epilogue gate, graph_value x);

/* Reads the common hyper-parameters, calls the family, finishes the graph. On failure the graph is
 * freed and err says why. */
ingle_status build_graph(ingle_model *m, arena *memory, graph *g, ingle_error *err);

#endif
