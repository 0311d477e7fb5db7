/* The reference path: what each op means, in the plainest arithmetic, activations in float and sums
 * in double. Slow and obvious; every other path is compared with it. */
#include <math.h>

#include "cpu/kernels.h"

/* Dequantise each row once, then one sum a token. Eight partial sums let the compiler use vectors
 * without changing the order from one machine to the next. */
static void ref_matmul(const graph_tensor *w, size_t row, size_t n_rows, const cpu_rows *x, float *y,
                       size_t y_stride, void *scratch)
{
    const quant_traits *format = quant_find(w->format);
    const size_t cols = x->cols, row_bytes = cols / format->values * format->bytes;
    float *values = scratch;
    for (size_t r = 0; r < n_rows; r++) {
        format->dequantize((const uint8_t *)w->data + (row + r) * row_bytes, values, cols);
        for (size_t t = 0; t < x->n_tokens; t++) {
            const float *in = x->f + t * x->f_stride;
            double sum[8] = {0};
            size_t i = 0;
            for (; i + 8 <= cols; i += 8)
                for (size_t j = 0; j < 8; j++)
                    sum[j] += (double)values[i + j] * (double)in[i + j];
            for (; i < cols; i++)
                sum[0] += (double)values[i] * (double)in[i];
            y[t * y_stride + r] = (float)(((sum[0] + sum[4]) + (sum[2] + sum[6])) +
                                          ((sum[1] + sum[5]) + (sum[3] + sum[7])));
        }
    }
}

static void ref_norm(const graph_norm *n, const float *weight, const float *bias, const float *x,
                     float *y, size_t width)
{
    double mean = 0, square = 0;
    if (n->kind == GRAPH_NORM_LAYER) {
        for (size_t i = 0; i < width; i++)
            mean += (double)x[i];
        mean /= (double)width;
    }
    for (size_t i = 0; i < width; i++)
        square += ((double)x[i] - mean) * ((double)x[i] - mean);
    const double scale = 1 / sqrt(square / (double)width + (double)n->eps);
    for (size_t i = 0; i < width; i++)
        y[i] = (float)(((double)x[i] - mean) * scale * (double)weight[i] +
                       (bias ? (double)bias[i] : 0));
}

static void ref_rotate(const graph_rope *r, const float *cos_sin, float *x)
{
    const size_t half = r->n_rot / 2;
    for (size_t i = 0; i < half; i++) {
        float *a = r->kind == GRAPH_ROPE_PAIRS ? x + 2 * i : x + i;
        float *b = r->kind == GRAPH_ROPE_PAIRS ? x + 2 * i + 1 : x + i + half;
        const float c = cos_sin[2 * i], s = cos_sin[2 * i + 1], x0 = *a, x1 = *b;
        *a = x0 * c - x1 * s;
        *b = x0 * s + x1 * c;
    }
}

static void attend_one(const cpu_cache *c, uint32_t kv_head, const float *q, size_t first, size_t last, float *out,
                       float *scratch)
{
    const size_t group = c->n_heads / c->n_kv_heads, d = c->d_head, n = last - first + 1;
    float *row = scratch, *score = scratch + d;
    for (size_t h = 0; h < group; h++) {
        double highest = -INFINITY, total = 0;
        for (size_t j = 0; j < n; j++) {
            c->k_format->dequantize(c->k + (first + j) * c->k_row + kv_head * c->k_head, row, d);
            double dot = 0;
            for (size_t i = 0; i < d; i++)
                dot += (double)q[h * d + i] * (double)row[i];
            score[j] = (float)(dot * (double)c->scale);
            highest = (double)score[j] > highest ? (double)score[j] : highest;
        }
        for (size_t j = 0; j < n; j++) {
            score[j] = (float)exp((double)score[j] - highest);
            total += (double)score[j];
        }
        memset(out + h * d, 0, d * sizeof *out);
        for (size_t j = 0; j < n; j++) {
            c->v_format->dequantize(c->v + (first + j) * c->v_row + kv_head * c->v_head, row, d);
            for (size_t i = 0; i < d; i++)
                out[h * d + i] += (float)((double)score[j] / total) * row[i];
        }
    }
}

static void ref_attend(const cpu_cache *c, uint32_t kv_head, const float *q, size_t stride, size_t n_tokens,
                       size_t position, float *out, float *scratch)
{
    for (size_t t = 0; t < n_tokens; t++, q += stride, out += stride) {
        const size_t last = position + t, first = c->window && last + 1 > c->window ? last + 1 - c->window : 0;
        attend_one(c, kv_head, q, first, last, out, scratch);
    }
}

static void ref_gate(graph_epilogue kind, const float *gate, const float *up, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double x = (double)gate[i];
        const double act =
            kind == GRAPH_GATE_SILU
                ? x / (1 + exp(-x))
                : 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
        out[i] = (float)(act * (double)up[i]);
    }
}

bool cpu_has_ref(void)
{
    return true;
}

void cpu_fill_ref(cpu_kernels *k)
{
    for (uint32_t id = 0; id < QUANT_ID_END; id++)
        k->matmul[id] = quant_find(id) ? ref_matmul : NULL;
    k->quantise = quant_activations;
    k->norm = ref_norm;
    k->rotate = ref_rotate;
    k->attend = ref_attend;
    k->gate = ref_gate;
}
