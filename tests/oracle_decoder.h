/* What a decoder computes, a second time: the whole sequence at once, in doubles, by the formulas
 * of the papers, with no cache, no batch and no code of src/. Weights come through the public
 * ingle_model_tensor_read, sizes from the shape that the file was made from.
 *
 *   RMSNorm       Zhang, Sennrich 2019          x / sqrt(mean(x^2) + eps) * w
 *   rotation      Su et al. 2021                pair i of position p turned by p * base^(-2i/n_rot)
 *   YaRN          Peng et al. 2023              some pairs slowed down, lengths scaled
 *   grouped heads Ainslie et al. 2023           query head h reads KV head h * n_kv / n_heads
 *   SwiGLU        Shazeer 2020                  W3 (silu(W1 x) * W2 x)
 *   window        Beltagy et al. 2020           position p sees p - window + 1 ... p */
#ifndef INGLE_ORACLE_DECODER_H
#define INGLE_ORACLE_DECODER_H

#include "tiny_model.h"

typedef struct {
    bool halves;     // the rotation pairs value i with i + n_rot / 2, not 2i with 2i + 1
    bool f16_cache;  // keys (after rotation) and values are rounded to half precision
    /* Deliberate mistakes, which a comparison must notice. */
    bool no_rotation, no_bias, no_qk_norm, no_window, no_scaling, no_causality, wrong_group;
} oracle_switches;

/* Logits [n][n_vocab] after each of ids [n]; free() them. */
double *oracle_logits(const ingle_model *model, const tiny_shape *shape, const oracle_switches *how,
                      const int32_t *ids, size_t n);

double oracle_half(double x); // the nearest half-precision number, ties to even
double oracle_silu(double x);
double oracle_gelu(double x); // tanh form: Hendrycks, Gimpel 2016

/* The largest |got - want| over the largest want less the smallest, for one row of logits. */
double oracle_distance(const float *got, const double *want, size_t n_vocab);

#endif
