/* Tiny models with random weights, as GGUF files in memory: any shape, any format, a vocabulary
 * that can be used. What the engine's tests run on, with nothing to download. */
#ifndef INGLE_TINY_MODEL_H
#define INGLE_TINY_MODEL_H

#include "ingle.h"
#include "quant/quant.h"

/* A matrix whose name contains `part` has this format instead of tiny_shape.format. */
typedef struct {
    const char *part;
    uint32_t format;
} tiny_format;

/* What the file says. A zero leaves the key out of the file where it may be left out. */
typedef struct {
    const char *arch; // general.architecture and the prefix of the keys; NULL = "llama"
    uint32_t n_layers, n_heads, n_kv_heads, d_model, d_head, d_ff, n_vocab, n_ctx;
    uint32_t format;             // of every matrix
    const tiny_format *formats;  // [n_formats] exceptions, first match
    size_t n_formats;
    bool tied;                   // no output.weight
    bool qkv_bias, out_bias;     // attn_{q,k,v}.bias, attn_output.bias
    bool qk_norm;                // attn_{q,k}_norm.weight [d_head]
    bool rope_divisors;          // rope_freqs.weight [n_rot / 2], as Llama 3.1 has
    uint32_t n_rot;              // rope.dimension_count; 0 = d_head, not stated
    float freq_base;             // rope.freq_base; 0 = 10000, not stated
    const char *scaling;         // rope.scaling.type
    float factor, attn_factor;   // rope.scaling.*
    uint32_t original_ctx;
    uint32_t window;             // attention.sliding_window
    float eps;                   // 0 = 1e-5, not stated
    bool no_tokenizer, no_tensors;
    bool no_data;                // the file ends before the tensors' bytes
    bool no_space_prefix;        // tokenizer.ggml.add_space_prefix is false
    uint32_t n_tokens;           // entries of the vocabulary; 0 = n_vocab
    const char *chat_template;
    const char *skip_tensor;     // this tensor is left out
    const char *bad_tensor;      // this one has another shape: a row (or value) too many
    uint64_t seed;
} tiny_shape;

/* d_head 0 becomes d_model / n_heads, eps, freq_base and n_rot what a reader assumes. */
tiny_shape tiny_resolve(const tiny_shape *shape);

/* Ids of the vocabulary: <unk>, <s>, </s>, the ChatML marks, 256 bytes, the space mark, a ... z and
 * a few longer pieces; what n_vocab leaves room for beyond is filled up with words. */
enum {
    TINY_UNK, TINY_BOS, TINY_EOS, TINY_IM_START, TINY_IM_END, TINY_BYTE_0,
    TINY_SPACE = TINY_BYTE_0 + 256, TINY_LETTER_A, TINY_PIECES = TINY_LETTER_A + 26,
    TINY_VOCAB = 320
};

#define TINY_CHATML                                                                         \
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + "          \
    "'<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}"                       \
    "{{ '<|im_start|>assistant\n' }}{% endif %}"

/* The file; release with free(). Never fails: a test without memory stops with a message. */
char *tiny_model_file(const tiny_shape *shape, size_t *n);

/* Part part_no (0-based) of the same model split in n_parts. */
char *tiny_model_part(const tiny_shape *shape, uint32_t part_no, uint32_t n_parts, size_t *n);

/* Opens the file; *bytes is to be freed after the model is closed. Stops the test program with the
 * error if it cannot be opened. */
ingle_model *tiny_model_open(const tiny_shape *shape, char **bytes);

/* Random blocks of any format, n values, all finite and of at most `limit` in magnitude. */
void tiny_blocks(uint32_t format, size_t n, float limit, uint64_t *seed, void *out);

#endif
