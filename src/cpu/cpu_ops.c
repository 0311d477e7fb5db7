/* The ops between the products: embedding, norm, rotation and cache, attention. */
#include "cpu/cpu_impl.h"

#include <math.h>

/* The rotations of all positions of the run, once for all layers. The angle is taken in double: a
 * float loses it beyond a few thousand positions. */
void cpu_fill_ropes(cpu *c, uint32_t thread)
{
    for (size_t i = 0; i < c->n_ropes; i++) {
        const cpu_rope_table *r = &c->ropes[i];
        for (size_t t = thread; t < c->n; t += pool_threads(c->pool)) {
            float *to = r->cos_sin + t * r->half * 2;
            for (uint32_t j = 0; j < r->half; j++) {
                const double angle = (double)(c->first + t) * (double)r->theta[j];
                to[2 * j] = (float)cos(angle) * r->scale;
                to[2 * j + 1] = (float)sin(angle) * r->scale;
            }
        }
    }
}

void cpu_embed(cpu *c, const graph_embed *op, uint32_t thread)
{
    const graph_tensor *w = &c->graph->tensors[op->table];
    const quant_traits *format = quant_find(w->format);
    const size_t row_bytes = (size_t)w->cols / format->values * format->bytes;
    for (size_t t = thread; t < c->n; t += pool_threads(c->pool)) {
        float *to = cpu_value(c, op->out, t);
        const uint8_t *row = (const uint8_t *)w->data + (size_t)c->ids[t] * row_bytes;
        if (cpu_weights_row(c->weights, w->data, (uint64_t)c->ids[t], c->threads[thread].work))
            row = c->threads[thread].work;
        format->dequantize(row, to, (size_t)w->cols);
        if (op->scale != 1)
            for (size_t i = 0; i < w->cols; i++)
                to[i] *= op->scale;
    }
    pool_barrier(c->pool);
}

void cpu_norm(cpu *c, const graph_norm_op *op, uint32_t thread)
{
    for (size_t t = thread; t < c->n; t += pool_threads(c->pool))
        c->kernels.norm(&op->norm, cpu_vector(c, op->norm.weight), cpu_vector(c, op->norm.bias),
                        cpu_value(c, op->in, t), cpu_value(c, op->out, t),
                        c->graph->values[op->in].width);
    pool_barrier(c->pool);
}

static void turn_heads(cpu *c, const graph_rope_kv *op, graph_weight norm, float *x, uint32_t n_heads,
                       size_t token)
{
    const uint32_t d = c->graph->sizes.d_head;
    const graph_norm rms = {GRAPH_NORM_RMS, norm, GRAPH_NONE, op->norm_eps};
    const float *cos_sin = NULL;
    for (size_t i = 0; i < c->n_ropes; i++)
        if (c->ropes[i].theta == op->rope.theta)
            cos_sin = c->ropes[i].cos_sin + token * c->ropes[i].half * 2;
    for (uint32_t h = 0; h < n_heads; h++) {
        float *head = x + (size_t)h * d;
        if (norm >= 0)
            c->kernels.norm(&rms, cpu_vector(c, norm), NULL, head, head, d);
        if (op->rope.kind != GRAPH_ROPE_NONE)
            c->kernels.rotate(&op->rope, cos_sin, head);
    }
}

static uint8_t *cache_of(const cpu *c, uint32_t layer, bool v)
{
    const size_t k_bytes = c->k_row * c->k_ctx;
    return c->kv + layer * (k_bytes + c->v_row * c->opt.n_ctx) + (v ? k_bytes : 0);
}

static void store_row(const cpu *c, uint32_t format, const float *x, size_t n, uint8_t *to)
{
    if (format == QUANT_F16 && c->kernels.halve)
        c->kernels.halve(x, n, (uint16_t *)(void *)to);
    else
        quant_find(format)->quantize(x, to, n);
}

/* Where in a layer's keys the row, or the tile, of a position begins. */
static size_t key_offset(const cpu *c, size_t position)
{
    return (c->k_tiled ? position / CPU_KEY_TILE * CPU_KEY_TILE : position) * c->k_row;
}

/* A position's keys into its tile: every value goes into a column. */
static void put_tiled(const cpu *c, const uint16_t *row, size_t n, size_t position, uint8_t *cache)
{
    uint16_t *to = (uint16_t *)(void *)(cache + key_offset(c, position)) + position % CPU_KEY_TILE;
    for (size_t i = 0; i < n; i++)
        to[CPU_KEY_TILE * i] = row[i];
}

static cpu_cache open_cache(const cpu *c, const graph_attend *op)
{
    const graph_sizes *s = &c->graph->sizes;
    return (cpu_cache){.k = cache_of(c, op->layer, false),
                       .v = cache_of(c, op->layer, true),
                       .k_row = c->k_row,
                       .v_row = c->v_row,
                       .k_head = c->k_head,
                       .v_head = c->v_head,
                       .k_tiled = c->k_tiled,
                       .k_format = quant_find(c->opt.k_format),
                       .v_format = quant_find(c->opt.v_format),
                       .n_heads = s->n_heads,
                       .n_kv_heads = s->n_kv_heads,
                       .d_head = s->d_head,
                       .window = op->window,
                       .scale = op->scale};
}

/* One token's keys and values go into lines that nothing has touched since the token before, keys into one for every
 * other value: the thread that will write them asks for them before the product that makes them. */
void cpu_ask_new_lines(const cpu *c, const graph_op *o, uint32_t thread)
{
    if (c->n != 1 || thread != 0 || o + 1 >= c->graph->ops + c->graph->n_ops || o[1].kind != GRAPH_ROPE_KV)
        return;
    const uint32_t layer = o[1].u.rope_kv.layer;
    const size_t key_bytes = (c->k_tiled ? CPU_KEY_TILE : 1) * c->k_row;
    const uint8_t *keys = cache_of(c, layer, false) + key_offset(c, c->first);
    const uint8_t *values = cache_of(c, layer, true) + c->first * c->v_row;
    for (size_t i = 0; i < key_bytes; i += CPU_ALIGN)
        cpu_ask_to_change(keys + i);
    for (size_t i = 0; i < c->v_row; i += CPU_ALIGN)
        cpu_ask_to_change(values + i);
}

/* Keys of tokens t ... end - 1, which lie in one tile. */
static void put_keys(cpu *c, const graph_rope_kv *op, size_t t, size_t end, uint8_t *keys, uint8_t *work)
{
    const graph_sizes *s = &c->graph->sizes;
    const size_t d_kv = (size_t)s->n_kv_heads * s->d_head;
    for (; t < end; t++) {
        const size_t position = c->first + t;
        float *k = cpu_value(c, op->k, t);
        uint8_t *row = c->k_tiled ? work : keys + key_offset(c, position);
        turn_heads(c, op, op->k_norm, k, s->n_kv_heads, t);
        store_row(c, c->opt.k_format, k, d_kv, row);
        if (c->k_tiled)
            put_tiled(c, (const uint16_t *)(const void *)row, d_kv, position, keys);
    }
}

/* Keys go to threads a tile at a time: two that wrote into one would take its lines from each other. */
void cpu_rope_kv(cpu *c, const graph_op *o, uint32_t thread)
{
    const graph_rope_kv *op = &o->u.rope_kv;
    const graph_sizes *s = &c->graph->sizes;
    const size_t d_kv = (size_t)s->n_kv_heads * s->d_head, n_threads = pool_threads(c->pool);
    uint8_t *keys = cache_of(c, op->layer, false), *values = cache_of(c, op->layer, true);
    for (size_t t = thread; t < c->n; t += n_threads) {
        turn_heads(c, op, op->q_norm, cpu_value(c, op->q, t), s->n_heads, t);
        store_row(c, c->opt.v_format, cpu_value(c, op->v, t), d_kv, values + (c->first + t) * c->v_row);
    }
    const size_t end = c->first + c->n, first_tile = c->first / CPU_KEY_TILE;
    for (size_t tile = first_tile + thread; tile * CPU_KEY_TILE < end; tile += n_threads) {
        const size_t from = tile * CPU_KEY_TILE, to = from + CPU_KEY_TILE;
        put_keys(c, op, from < c->first ? 0 : from - c->first, (to < end ? to : end) - c->first, keys, c->threads[thread].work);
    }
    pool_barrier(c->pool);
}

/* A piece is a few tokens' queries of one group of heads; the last tokens see most and go first. */
void cpu_attend(cpu *c, const graph_op *o, uint32_t thread)
{
    const graph_attend *op = &o->u.attend;
    const graph_sizes *s = &c->graph->sizes;
    const size_t group = s->n_heads / s->n_kv_heads, stride = c->graph->values[op->q].width;
    const size_t step = group < CPU_ATTEND_ROWS ? CPU_ATTEND_ROWS / group : 1;
    const size_t n_steps = (c->n + step - 1) / step, n_items = n_steps * s->n_kv_heads;
    cpu_ahead ahead = cpu_read_following(c, &c->steps[o - c->graph->ops], c->n == 1, thread);
    cpu_cache cache = open_cache(c, op);
    cache.ahead = c->n == 1 ? &ahead : NULL;
    for (size_t item; pool_take(c->pool, thread, n_items, &item);) {
        const size_t t = (n_steps - 1 - item / s->n_kv_heads) * step, n = c->n - t < step ? c->n - t : step;
        const uint32_t kv_head = (uint32_t)(item % s->n_kv_heads);
        const size_t at = kv_head * group * s->d_head;
        cache.more_heads = c->n == 1 && item + 1 < n_items * (thread + 1) / pool_threads(c->pool);
        c->kernels.attend(&cache, kv_head, cpu_value(c, op->q, t) + at, stride, n, c->first + t,
                          cpu_value(c, op->out, t) + at, c->threads[thread].work);
    }
    pool_barrier(c->pool);
}
