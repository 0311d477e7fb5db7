#include "oracle_decoder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PI 3.14159265358979323846

static void *must(void *p)
{
    if (!p) {
        printf("oracle_decoder: no memory\n");
        exit(1);
    }
    return p;
}

static double *numbers(size_t n)
{
    return must(calloc(n ? n : 1, sizeof(double)));
}

double oracle_half(double x)
{
    if (x == 0 || !isfinite(x))
        return x;
    int exponent;
    frexp(x, &exponent); // |x| in [2^(exponent - 1), 2^exponent)
    const double unit = ldexp(1, (exponent < -13 ? -13 : exponent) - 11); // 11 bits, or subnormal
    const double rounded = nearbyint(x / unit) * unit;
    return fabs(rounded) > 65504 ? copysign(INFINITY, x) : rounded;
}

double oracle_silu(double x)
{
    return x < -700 ? 0 : x / (1 + exp(-x));
}

double oracle_gelu(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / PI) * (x + 0.044715 * x * x * x)));
}

double oracle_distance(const float *got, const double *want, size_t n_vocab)
{
    double low = want[0], high = want[0], most = 0;
    for (size_t i = 0; i < n_vocab; i++) {
        low = want[i] < low ? want[i] : low;
        high = want[i] > high ? want[i] : high;
        const double error = fabs((double)got[i] - want[i]);
        most = error <= most ? most : isfinite(error) ? error : INFINITY;
    }
    return most / (high - low);
}

/* ---- weights ---------------------------------------------------------------------------------- */

/* All values of a tensor; layer < 0: the name stands alone. */
static double *weights(const ingle_model *m, int layer, const char *name, size_t n)
{
    char text[80];
    if (layer < 0)
        snprintf(text, sizeof text, "%s", name);
    else
        snprintf(text, sizeof text, "blk.%d.%s", layer, name);
    float *read = must(malloc(n * sizeof *read));
    ingle_error err;
    if (ingle_model_tensor_read(m, text, 0, n, read, &err) != INGLE_OK) {
        printf("oracle_decoder: %s\n", err.text);
        exit(1);
    }
    double *out = numbers(n);
    for (size_t i = 0; i < n; i++)
        out[i] = (double)read[i];
    free(read);
    return out;
}

/* ---- pieces ----------------------------------------------------------------------------------- */

static void rms(const double *x, const double *w, double eps, size_t n, double *y)
{
    double square = 0;
    for (size_t i = 0; i < n; i++)
        square += x[i] * x[i];
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] / sqrt(square / (double)n + eps) * w[i];
}

/* y [n_tokens][rows] = x [n_tokens][cols] W^T + b, for the tensor `name`. */
static double *project(const ingle_model *m, int layer, const char *name, const double *x,
                       size_t n_tokens, size_t cols, size_t rows, const char *bias)
{
    double *w = weights(m, layer, name, cols * rows);
    double *b = bias ? weights(m, layer, bias, rows) : numbers(rows);
    double *y = numbers(n_tokens * rows);
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t r = 0; r < rows; r++) {
            double sum = 0;
            for (size_t c = 0; c < cols; c++)
                sum += w[r * cols + c] * x[t * cols + c];
            y[t * rows + r] = sum + b[r];
        }
    free(w);
    free(b);
    return y;
}

/* The angle a position adds to each pair, and what both its values are multiplied with. */
static double *frequencies(const ingle_model *m, const tiny_shape *s, const oracle_switches *how,
                           double *length)
{
    const size_t half = s->n_rot / 2;
    const double base = (double)s->freq_base, factor = (double)s->factor, dim = s->n_rot;
    double *theta = numbers(half);
    *length = 1;
    const bool scaled = s->scaling && !how->no_scaling;
    for (size_t i = 0; i < half; i++)
        theta[i] = pow(base, -2 * (double)i / dim);
    if (scaled && strcmp(s->scaling, "linear") == 0)
        for (size_t i = 0; i < half; i++)
            theta[i] /= factor;
    if (scaled && strcmp(s->scaling, "yarn") == 0) {
        // The pair that makes r turns within the original context has index dim/2 log_base(L/2 pi r):
        // below that of 32 turns nothing changes, above that of 1 turn all is divided by the factor.
        const double full = log((double)s->original_ctx / (2 * PI)) / log(base);
        double from = floor(dim / 2 * (full - log(32) / log(base)));
        double to = ceil(dim / 2 * full);
        from = fmax(from, 0);
        to = fmin(to, dim - 1);
        to = to - from < 0.001 ? from + 0.001 : to;
        for (size_t i = 0; i < half; i++) {
            const double slowed = fmin(fmax(((double)i - from) / (to - from), 0), 1);
            theta[i] = (1 - slowed) * theta[i] + slowed * theta[i] / factor;
        }
        *length = (0.1 * log(factor) + 1) * (double)s->attn_factor;
    }
    if (s->rope_divisors && !how->no_scaling) {
        double *divisor = weights(m, -1, "rope_freqs.weight", half);
        for (size_t i = 0; i < half; i++)
            theta[i] /= divisor[i];
        free(divisor);
    }
    return theta;
}

static void rotate(double *head, size_t n_rot, bool halves, size_t position, const double *theta,
                   double length)
{
    for (size_t i = 0; i < n_rot / 2; i++) {
        double *a = &head[halves ? i : 2 * i], *b = &head[halves ? i + n_rot / 2 : 2 * i + 1];
        const double angle = (double)position * theta[i], x = *a, y = *b;
        *a = length * (x * cos(angle) - y * sin(angle));
        *b = length * (x * sin(angle) + y * cos(angle));
    }
}

/* Norms and turns all heads of x [n_tokens][n_heads][d_head]. */
static void prepare_heads(const ingle_model *m, const tiny_shape *s, const oracle_switches *how,
                          int layer, const char *norm, double *x, size_t n_tokens, size_t n_heads)
{
    double length;
    double *theta = frequencies(m, s, how, &length);
    double *w = s->qk_norm && !how->no_qk_norm ? weights(m, layer, norm, s->d_head) : NULL;
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t h = 0; h < n_heads; h++) {
            double *head = x + (t * n_heads + h) * s->d_head;
            if (w)
                rms(head, w, (double)s->eps, s->d_head, head);
            if (!how->no_rotation)
                rotate(head, s->n_rot, how->halves, t, theta, length);
        }
    free(theta);
    free(w);
}

/* out [n_tokens][n_heads][d_head] */
static double *attention(const tiny_shape *s, const oracle_switches *how, const double *q,
                         const double *k, const double *v, size_t n_tokens)
{
    const size_t d = s->d_head, heads = s->n_heads, kv_heads = s->n_kv_heads;
    double *out = numbers(n_tokens * heads * d), *p = numbers(n_tokens);
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t h = 0; h < heads; h++) {
            const size_t kv = how->wrong_group ? h % kv_heads : h * kv_heads / heads;
            const size_t end = how->no_causality ? n_tokens : t + 1;
            const size_t begin =
                s->window && !how->no_window && t + 1 > s->window ? t + 1 - s->window : 0;
            double total = 0;
            for (size_t j = begin; j < end; j++) {
                double dot = 0;
                for (size_t i = 0; i < d; i++)
                    dot += q[(t * heads + h) * d + i] * k[(j * kv_heads + kv) * d + i];
                p[j] = exp(dot / sqrt((double)d));
                total += p[j];
            }
            for (size_t j = begin; j < end; j++)
                for (size_t i = 0; i < d; i++)
                    out[(t * heads + h) * d + i] += p[j] / total * v[(j * kv_heads + kv) * d + i];
        }
    free(p);
    return out;
}

static void round_to_half(double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = oracle_half(x[i]);
}

static double *norm_all(const ingle_model *m, int layer, const char *name, const double *x,
                        size_t n_tokens, const tiny_shape *s)
{
    double *w = weights(m, layer, name, s->d_model), *y = numbers(n_tokens * s->d_model);
    for (size_t t = 0; t < n_tokens; t++)
        rms(x + t * s->d_model, w, (double)s->eps, s->d_model, y + t * s->d_model);
    free(w);
    return y;
}

static void add_and_free(double *x, double *more, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] += more[i];
    free(more);
}

static void attention_block(const ingle_model *m, const tiny_shape *s, const oracle_switches *how,
                            int layer, double *x, size_t n)
{
    const size_t d_q = (size_t)s->n_heads * s->d_head, d_kv = (size_t)s->n_kv_heads * s->d_head;
    const bool bias = s->qkv_bias && !how->no_bias;
    double *in = norm_all(m, layer, "attn_norm.weight", x, n, s);
    double *q =
        project(m, layer, "attn_q.weight", in, n, s->d_model, d_q, bias ? "attn_q.bias" : NULL);
    double *k =
        project(m, layer, "attn_k.weight", in, n, s->d_model, d_kv, bias ? "attn_k.bias" : NULL);
    double *v =
        project(m, layer, "attn_v.weight", in, n, s->d_model, d_kv, bias ? "attn_v.bias" : NULL);
    prepare_heads(m, s, how, layer, "attn_q_norm.weight", q, n, s->n_heads);
    prepare_heads(m, s, how, layer, "attn_k_norm.weight", k, n, s->n_kv_heads);
    if (how->f16_cache) {
        round_to_half(k, n * d_kv);
        round_to_half(v, n * d_kv);
    }
    double *heads = attention(s, how, q, k, v, n);
    add_and_free(x,
                 project(m, layer, "attn_output.weight", heads, n, d_q, s->d_model,
                         s->out_bias && !how->no_bias ? "attn_output.bias" : NULL),
                 n * s->d_model);
    free(in);
    free(q);
    free(k);
    free(v);
    free(heads);
}

static void feed_forward_block(const ingle_model *m, const tiny_shape *s, int layer, double *x,
                               size_t n)
{
    double *in = norm_all(m, layer, "ffn_norm.weight", x, n, s);
    double *gate = project(m, layer, "ffn_gate.weight", in, n, s->d_model, s->d_ff, NULL);
    double *up = project(m, layer, "ffn_up.weight", in, n, s->d_model, s->d_ff, NULL);
    for (size_t i = 0; i < n * s->d_ff; i++)
        up[i] *= oracle_silu(gate[i]);
    add_and_free(x, project(m, layer, "ffn_down.weight", up, n, s->d_ff, s->d_model, NULL),
                 n * s->d_model);
    free(in);
    free(gate);
    free(up);
}

double *oracle_logits(const ingle_model *m, const tiny_shape *shape, const oracle_switches *how,
                      const int32_t *ids, size_t n)
{
    const tiny_shape s = tiny_resolve(shape);
    double *table = weights(m, -1, "token_embd.weight", (size_t)s.n_vocab * s.d_model);
    double *x = numbers(n * s.d_model);
    for (size_t t = 0; t < n; t++)
        memcpy(x + t * s.d_model, table + (size_t)ids[t] * s.d_model, s.d_model * sizeof *x);
    for (uint32_t layer = 0; layer < s.n_layers; layer++) {
        attention_block(m, &s, how, (int)layer, x, n);
        feed_forward_block(m, &s, (int)layer, x, n);
    }
    double *last = norm_all(m, -1, "output_norm.weight", x, n, &s);
    double *logits = project(m, -1, s.tied ? "token_embd.weight" : "output.weight", last, n,
                             s.d_model, s.n_vocab, NULL);
    free(table);
    free(x);
    free(last);
    return logits;
}
