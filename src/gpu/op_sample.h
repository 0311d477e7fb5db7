/* Sampling on the GPU: two dispatches choose a token from logits, remember it for penalties, and make
 * it the next step's input, so that steps recorded one after the other need no CPU.
 *
 * What is right is defined by src/session/sample.c: the same settings and seed give the same token,
 * but where the rounding of floats decides. Refused, so that the caller samples on the CPU:
 * typical_p, and vocabularies of more than SAMPLE_MOST_TOKENS.
 *
 * Settings are data, not constants: nothing is compiled for an answer, and one recorded section serves
 * all of them, greedy or not. */
#ifndef INGLE_GPU_OP_SAMPLE_H
#define INGLE_GPU_OP_SAMPLE_H

#include "gpu/recorder.h"

enum { SAMPLE_MOST_TOKENS = 1 << 19 };

/* Written to `chosen` instead of a token; what follows in the burst means nothing. */
#define SAMPLE_NAN UINT32_MAX            // a logit is NaN
#define SAMPLE_NO_TOKEN (UINT32_MAX - 1) // every logit is -infinity

/* The words of the binding `settings`: X(NAME), in order. Floats are in their bits. A weight is
 * exp((x - max) * INVERSE), and nothing where x - max < FAR. */
#define SAMPLE_WORDS(X)                                                                            \
    X(FLAGS)                                                                                       \
    X(TOP_K)       /* 0 = all */                                                                   \
    X(TOP_P)       /* times 2^32 */                                                                \
    X(LOG_MIN_P)   /* its logarithm */                                                             \
    X(INVERSE)     /* 1 / temperature */                                                           \
    X(FAR)         /* negative */                                                                  \
    X(SUM_INVERSE) /* the same for the sums over slices: of top-p's distribution or the draw's */  \
    X(SUM_FAR)                                                                                     \
    X(SEED)        /* its low word */                                                              \
    X(SEED_HIGH)                                                                                   \
    X(REPEAT)      /* divides */                                                                   \
    X(FREQUENCY)   /* taken off for each occurrence */                                             \
    X(PRESENCE)    /* taken off for any */                                                         \
    X(WINDOW)      /* tokens that penalties look back on; 0 = all */

enum {
#define SAMPLE_ENUM(NAME) SAMPLE_AT_##NAME,
    SAMPLE_WORDS(SAMPLE_ENUM)
#undef SAMPLE_ENUM
    SAMPLE_SETTINGS_WORDS
};

/* Of the word FLAGS. */
enum {
    SAMPLE_GREEDY = 1,
    SAMPLE_PENALTIES = 2,
    SAMPLE_BIASES = 4,
    SAMPLE_HAS_TOP_P = 8,
    SAMPLE_HAS_MIN_P = 16,
    SAMPLE_SLICE_SUMS = 32, // the sums over slices are read
};

typedef struct {
    uint32_t n_vocab;
    uint32_t ring;   // tokens in `chosen`
    uint32_t window; // tokens of the longest timeline: a window as long as that is all of it
    uint32_t slice;  // logits a slice
    uint32_t scan, pick; // kernels
    gpu_slice settings, history, keys, slices;
    uint32_t words[SAMPLE_SETTINGS_WORDS]; // host's copies, until they have been played
    uint32_t *history_words;               // [op_sample_history_words], NULL until an answer needs it
    ingle_allocator allocator;
} op_sample;

/* Whether an answer with these settings can be sampled on the GPU. */
bool op_sample_supports(const ingle_sampling *s, uint32_t n_vocab);

/* Buffers and kernels. The op must stay where it is, and is closed also when this failed.
 * ERR_UNSUPPORTED: n_vocab, for this code or for the device's limits; else as the recorder's. */
ingle_status op_sample_open(op_sample *op, recorder *r, uint32_t n_vocab, uint32_t ring, uint32_t window,
                            ingle_error *err);
void op_sample_close(op_sample *op, recorder *r);

/* An answer with settings s, valid and supported, begins; ids [n] have been said before, prompt and
 * all. What is written must be played before the next answer begins. ERR_MEMORY. */
ingle_status op_sample_begin(op_sample *op, recorder *r, const ingle_sampling *s, const int32_t *ids, size_t n,
                             ingle_error *err);

/* Chooses a token from logits [n_vocab] f32 with draw state[2]. Writes it to ids[0] and
 * chosen[state[3] % ring]; state[0] += state[1], state[1] = 1, state[2] and state[3] += 1. ids[0] is 0
 * where `chosen` says that there is no token. */
void op_sample_dispatch(const op_sample *op, recorder *r, gpu_slice logits, gpu_slice state, gpu_slice ids,
                        gpu_slice chosen);

/* ---- what begin writes ---------------------------------------------------------------------- */

void op_sample_settings(uint32_t words[SAMPLE_SETTINGS_WORDS], const ingle_sampling *s, uint32_t window);

/* For each token its occurrences in the window and its bias; then how many tokens came into the window,
 * and its ring: [window]. */
size_t op_sample_history_words(uint32_t n_vocab, uint32_t window);
void op_sample_history(uint32_t *words, uint32_t n_vocab, const uint32_t settings[SAMPLE_SETTINGS_WORDS],
                       const ingle_sampling *s, const int32_t *ids, size_t n);

#endif
