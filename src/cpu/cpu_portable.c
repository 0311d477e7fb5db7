/* The portable path: plain C that compilers vectorise. Weights of the common formats are unpacked a
 * row at a time to int8 with one scale (and one minimum) a group, once for all tokens of the batch,
 * and multiplied with int8 activations in exact integer sums. Formats without such a form, and rows
 * that are not whole blocks of 32, go as floats. */
#include <math.h>

#include "cpu/kernels.h"

enum { BLOCK = 32, HALF = 16 }; // of weights, of activations

/* A row unpacked: w[i] = q[i] * d[i / group] + m[i / 32] (m only with groups of 32). */
typedef struct {
    int8_t *q; // [cols]
    float *d;  // [cols / group]
    float *m;  // [cols / 32]
} int_row;

static float load_f16(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return quant_f16_to_f32(h);
}

/* ---- unpackers: one a format; layouts as in docs/formats.md ----------------------------------- */

static void nibbles(const uint8_t *qs, int8_t *q, int offset)
{
    for (size_t i = 0; i < 16; i++) {
        q[i] = (int8_t)((qs[i] & 15) - offset);
        q[i + 16] = (int8_t)((qs[i] >> 4) - offset);
    }
}

static void unpack_q4_0(const uint8_t *b, size_t cols, int_row *out)
{
    for (size_t i = 0; i < cols / 32; i++, b += 18) {
        out->d[i] = load_f16(b);
        nibbles(b + 2, out->q + 32 * i, 8);
    }
}

static void unpack_q4_1(const uint8_t *b, size_t cols, int_row *out)
{
    for (size_t i = 0; i < cols / 32; i++, b += 20) {
        out->d[i] = load_f16(b);
        out->m[i] = load_f16(b + 2);
        nibbles(b + 4, out->q + 32 * i, 0);
    }
}

static void fifth_bits(const uint8_t *qh, int8_t *q)
{
    for (size_t i = 0; i < 32; i++)
        q[i] = (int8_t)(q[i] + ((qh[i / 8] >> (i % 8) & 1) << 4));
}

static void unpack_q5_0(const uint8_t *b, size_t cols, int_row *out)
{
    for (size_t i = 0; i < cols / 32; i++, b += 22) {
        out->d[i] = load_f16(b);
        nibbles(b + 6, out->q + 32 * i, 16);
        fifth_bits(b + 2, out->q + 32 * i);
    }
}

static void unpack_q5_1(const uint8_t *b, size_t cols, int_row *out)
{
    for (size_t i = 0; i < cols / 32; i++, b += 24) {
        out->d[i] = load_f16(b);
        out->m[i] = load_f16(b + 2);
        nibbles(b + 8, out->q + 32 * i, 0);
        fifth_bits(b + 4, out->q + 32 * i);
    }
}

static void unpack_q8_0(const uint8_t *b, size_t cols, int_row *out)
{
    for (size_t i = 0; i < cols / 32; i++, b += 34) {
        out->d[i] = load_f16(b);
        memcpy(out->q + 32 * i, b + 2, 32);
    }
}

static void unpack_iq4_nl(const uint8_t *b, size_t cols, int_row *out)
{
    static const int8_t value[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                     1,    13,   25,  38,  53,  69,  89,  113};
    for (size_t i = 0; i < cols / 32; i++, b += 18) {
        int8_t *q = out->q + 32 * i;
        out->d[i] = load_f16(b);
        for (size_t j = 0; j < 16; j++) {
            q[j] = value[b[2 + j] & 15];
            q[j + 16] = value[b[2 + j] >> 4];
        }
    }
}

/* Six-bit scales and minimums of Q4_K and Q5_K, eight each in 12 bytes. */
static void k_scales(const uint8_t *s, size_t j, float d, float dmin, float *scale, float *minimum)
{
    const int sc = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
    const int mn = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | (s[j] >> 6) << 4;
    *scale = d * (float)sc;
    *minimum = -dmin * (float)mn;
}

static void unpack_q4_k(const uint8_t *b, size_t cols, int_row *out)
{
    for (size_t i = 0; i < cols / 256; i++, b += 144) {
        const float d = load_f16(b), dmin = load_f16(b + 2);
        int8_t *q = out->q + 256 * i;
        for (size_t j = 0; j < 8; j++)
            k_scales(b + 4, j, d, dmin, &out->d[8 * i + j], &out->m[8 * i + j]);
        for (size_t j = 0; j < 128; j++) {
            q[j / 32 * 64 + j % 32] = (int8_t)(b[16 + j] & 15);
            q[j / 32 * 64 + j % 32 + 32] = (int8_t)(b[16 + j] >> 4);
        }
    }
}

static void unpack_q5_k(const uint8_t *b, size_t cols, int_row *out)
{
    for (size_t i = 0; i < cols / 256; i++, b += 176) {
        const float d = load_f16(b), dmin = load_f16(b + 2);
        const uint8_t *qh = b + 16, *qs = b + 48;
        int8_t *q = out->q + 256 * i;
        for (size_t j = 0; j < 8; j++)
            k_scales(b + 4, j, d, dmin, &out->d[8 * i + j], &out->m[8 * i + j]);
        for (size_t c = 0; c < 4; c++) // 64 values each: low nibbles, then high ones
            for (size_t l = 0; l < 32; l++) {
                const int low = qh[l] >> 2 * c & 1, high = qh[l] >> (2 * c + 1) & 1;
                q[64 * c + l] = (int8_t)((qs[32 * c + l] & 15) | low << 4);
                q[64 * c + l + 32] = (int8_t)(qs[32 * c + l] >> 4 | high << 4);
            }
    }
}

static void unpack_q6_k(const uint8_t *b, size_t cols, int_row *out)
{
    for (size_t i = 0; i < cols / 256; i++, b += 210) {
        const float d = load_f16(b + 208);
        for (size_t j = 0; j < 16; j++)
            out->d[16 * i + j] = d * (float)(int8_t)b[192 + j];
        for (size_t half = 0; half < 2; half++) {
            const uint8_t *ql = b + 64 * half, *qh = b + 128 + 32 * half;
            int8_t *q = out->q + 256 * i + 128 * half;
            for (size_t l = 0; l < 32; l++) {
                q[l] = (int8_t)(((ql[l] & 15) | (qh[l] & 3) << 4) - 32);
                q[l + 32] = (int8_t)(((ql[l + 32] & 15) | (qh[l] >> 2 & 3) << 4) - 32);
                q[l + 64] = (int8_t)((ql[l] >> 4 | (qh[l] >> 4 & 3) << 4) - 32);
                q[l + 96] = (int8_t)((ql[l + 32] >> 4 | qh[l] >> 6 << 4) - 32);
            }
        }
    }
}

/* ---- integer products ------------------------------------------------------------------------- */

/* At most 16 * 128 * 128 = 2^18: exact in 32 bits, and in a float. */
static int32_t dot(const int8_t *a, const int8_t *b, size_t n)
{
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

typedef struct {
    void (*unpack)(const uint8_t *row, size_t cols, int_row *out);
    bool has_min;
    uint8_t group; // 32 or 16
} int_format;

/* Formats that have an integer form. Rows of other formats are NULL. */
static const int_format int_formats[QUANT_ID_END] = {
    [QUANT_Q4_0] = {unpack_q4_0, false, 32},     [QUANT_Q4_1] = {unpack_q4_1, true, 32},
    [QUANT_Q5_0] = {unpack_q5_0, false, 32},     [QUANT_Q5_1] = {unpack_q5_1, true, 32},
    [QUANT_Q8_0] = {unpack_q8_0, false, 32},     [QUANT_Q4_K] = {unpack_q4_k, true, 32},
    [QUANT_Q5_K] = {unpack_q5_k, true, 32},      [QUANT_Q6_K] = {unpack_q6_k, false, 16},
    [QUANT_IQ4_NL] = {unpack_iq4_nl, false, 32},
};

/* Four partial sums by block number: the adds of one token do not wait for each other. */
static float row_dot(const int_format *f, const int_row *w, const int8_t *q, const float *d,
                     const int32_t *sums, size_t n_blocks)
{
    float sum[4] = {0};
    for (size_t b = 0; b < n_blocks; b++, d += 2, sums += 2) {
        const int8_t *wq = w->q + BLOCK * b, *xq = q + BLOCK * b;
        const float low = (float)dot(wq, xq, HALF) * d[0], high = (float)dot(wq + HALF, xq + HALF, HALF) * d[1];
        sum[b % 4] += f->group == HALF ? w->d[2 * b] * low + w->d[2 * b + 1] * high : w->d[b] * (low + high);
        if (f->has_min)
            sum[b % 4] += w->m[b] * (d[0] * (float)sums[0] + d[1] * (float)sums[1]);
    }
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

static void int8_matmul(const graph_tensor *w, size_t row, size_t n_rows, const cpu_rows *x, float *y,
                        size_t y_stride, void *scratch)
{
    const int_format *f = &int_formats[w->format];
    const quant_traits *format = quant_find(w->format);
    const size_t cols = x->cols, n_blocks = cols / BLOCK;
    const size_t row_bytes = cols / format->values * format->bytes;
    // d has at most cols / 16 floats and m cols / 32: 1.375 bytes a column with q.
    float *const d = scratch;
    int_row unpacked = {.d = d, .m = d + cols / 16, .q = (int8_t *)(d + cols / 16 + cols / 32)};
    for (size_t r = 0; r < n_rows; r++) {
        f->unpack((const uint8_t *)w->data + (row + r) * row_bytes, cols, &unpacked);
        for (size_t t = 0; t < x->n_tokens; t++)
            y[t * y_stride + r] = row_dot(f, &unpacked, x->q + t * x->q_stride,
                                          x->d + t * (x->q_stride / HALF),
                                          x->sums + t * (x->q_stride / HALF), n_blocks);
    }
}

/* ---- floats ----------------------------------------------------------------------------------- */

/* Sixteen partial sums: vectors for the compiler, the same order everywhere. */
static float float_dot(const float *a, const float *b, size_t n)
{
    float sum[16] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t j = 0; j < 16; j++)
            sum[j] += a[i + j] * b[i + j];
    for (; i < n; i++)
        sum[i % 16] += a[i] * b[i];
    for (size_t width = 8; width; width /= 2)
        for (size_t j = 0; j < width; j++)
            sum[j] += sum[j + width];
    return sum[0];
}

static void float_matmul(const graph_tensor *w, size_t row, size_t n_rows, const cpu_rows *x,
                         float *y, size_t y_stride, void *scratch)
{
    const quant_traits *format = quant_find(w->format);
    const size_t cols = x->cols, row_bytes = cols / format->values * format->bytes;
    float *values = scratch;
    for (size_t r = 0; r < n_rows; r++) {
        format->dequantize((const uint8_t *)w->data + (row + r) * row_bytes, values, cols);
        for (size_t t = 0; t < x->n_tokens; t++)
            y[t * y_stride + r] = float_dot(values, x->f + t * x->f_stride, cols);
    }
}

/* ---- the other ops ---------------------------------------------------------------------------- */

static void norm(const graph_norm *n, const float *weight, const float *bias, const float *x,
                 float *y, size_t width)
{
    float mean = 0;
    if (n->kind == GRAPH_NORM_LAYER) {
        double sum = 0;
        for (size_t i = 0; i < width; i++)
            sum += (double)x[i];
        mean = (float)(sum / (double)width);
        for (size_t i = 0; i < width; i++)
            y[i] = x[i] - mean;
        x = y;
    }
    const float scale = 1 / sqrtf(float_dot(x, x, width) / (float)width + n->eps);
    for (size_t i = 0; i < width; i++)
        y[i] = x[i] * scale * weight[i];
    if (bias)
        for (size_t i = 0; i < width; i++)
            y[i] += bias[i];
}

/* The heads of a group share each key and value, which is dequantised once. */
static void attend_one(const cpu_cache *c, uint32_t kv_head, const float *q, size_t first, size_t last, float *out,
                       float *scratch)
{
    const size_t group = c->n_heads / c->n_kv_heads, d = c->d_head, n = last - first + 1;
    float *row = scratch, *scores = scratch + d; // scores [group][n]
    for (size_t j = 0; j < n; j++) {
        c->k_format->dequantize(c->k + (first + j) * c->k_row + kv_head * c->k_head, row, d);
        for (size_t h = 0; h < group; h++)
            scores[h * n + j] = float_dot(q + h * d, row, d) * c->scale;
    }
    for (size_t h = 0; h < group; h++) {
        float *s = scores + h * n, highest = -INFINITY;
        double total = 0;
        for (size_t j = 0; j < n; j++)
            highest = s[j] > highest ? s[j] : highest;
        for (size_t j = 0; j < n; j++) {
            s[j] = expf(s[j] - highest);
            total += (double)s[j];
        }
        const float scale = (float)(1 / total);
        for (size_t j = 0; j < n; j++)
            s[j] *= scale;
    }
    memset(out, 0, group * d * sizeof *out);
    for (size_t j = 0; j < n; j++) {
        c->v_format->dequantize(c->v + (first + j) * c->v_row + kv_head * c->v_head, row, d);
        for (size_t h = 0; h < group; h++) {
            const float p = scores[h * n + j];
            for (size_t i = 0; i < d; i++)
                out[h * d + i] += p * row[i];
        }
    }
}

void cpu_attend_portable(const cpu_cache *c, uint32_t kv_head, const float *q, size_t stride, size_t n_tokens,
                         size_t position, float *out, float *scratch)
{
    for (size_t t = 0; t < n_tokens; t++, q += stride, out += stride) {
        const size_t last = position + t, first = c->window && last + 1 > c->window ? last + 1 - c->window : 0;
        attend_one(c, kv_head, q, first, last, out, scratch);
    }
}

static void gate(graph_epilogue kind, const float *g, const float *up, float *out, size_t n)
{
    if (kind == GRAPH_GATE_SILU) {
        for (size_t i = 0; i < n; i++)
            out[i] = g[i] / (1 + expf(-g[i])) * up[i];
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const float x = g[i];
        out[i] = 0.5f * x * (1 + tanhf(0.7978845608f * (x + 0.044715f * x * x * x))) * up[i];
    }
}

bool cpu_has_portable(void)
{
    return true;
}

void cpu_fill_portable(cpu_kernels *k)
{
    for (uint32_t id = 0; id < QUANT_ID_END; id++) {
        if (!quant_find(id))
            continue;
        k->reads_int8[id] = int_formats[id].unpack != NULL;
        k->matmul[id] = k->reads_int8[id] ? int8_matmul : float_matmul;
    }
    k->norm = norm;
    k->attend = cpu_attend_portable;
    k->gate = gate;
}
