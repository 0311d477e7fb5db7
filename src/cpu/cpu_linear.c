/* Products: inputs normed and rounded to int8, rows handed out in chunks, epilogues. A thread takes
 * its next chunk before it computes the one in hand, so that the kernel can fetch those weights
 * ahead while it ends. */
#include "cpu/cpu_impl.h"

/* ---- how rows are cut ----------------------------------------------------------------------------- */

/* What one chunk reads while one token is computed: long enough for prefetching to run, where it does,
 * and short enough to share out evenly. Matrices of many megabytes take larger ones, and so does a thread alone. */
enum { CHUNK_BYTES = 24 * 1024, PLAIN_CHUNK_BYTES = 8 * 1024, MAX_CHUNK_BYTES = 460 * 1024, CHUNKS_A_THREAD = 8 };

static bool is_gated(const graph_linear *l)
{
    return l->epilogue == GRAPH_GATE_SILU || l->epilogue == GRAPH_GATE_GELU;
}

/* How many chunks all outputs have, each cut into pieces of `rows`. */
static size_t count_chunks(const cpu *c, const graph_linear *op, const cpu_step *s, size_t rows)
{
    size_t n = 0;
    for (uint32_t out = 0; out < s->n_out; out++)
        n += (c->graph->values[op->out[out]].width + rows - 1) / rows;
    return n;
}

typedef struct {
    uint32_t out; // which output
    size_t row, n_rows;
} chunk;

static chunk find_chunk(const cpu *c, const graph_linear *op, size_t rows, size_t i)
{
    for (uint32_t out = 0;; out++) {
        const size_t width = c->graph->values[op->out[out]].width, n = (width + rows - 1) / rows, row = i * rows;
        if (i < n)
            return (chunk){out, row, width - row < rows ? width - row : rows};
        i -= n;
    }
}

/* Rows of the largest of all threads' parts. */
static size_t largest_part(const cpu *c, const graph_linear *op, const cpu_step *s, size_t rows)
{
    const size_t n = count_chunks(c, op, s, rows), n_threads = pool_threads(c->pool);
    size_t largest = 0;
    for (size_t thread = 0; thread < n_threads; thread++) {
        size_t part = 0;
        for (size_t i = n * thread / n_threads; i < n * (thread + 1) / n_threads; i++)
            part += find_chunk(c, op, rows, i).n_rows;
        largest = part > largest ? part : largest;
    }
    return largest;
}

/* Groups a chunk at the most: as many in each stream, so that none ends before the others, and no fewer than there
 * are streams, unless threads would have too few chunks. */
static size_t most_groups(const cpu *c, const graph_linear *op, const cpu_step *s, const cpu_packed *p)
{
    const size_t n_threads = pool_threads(c->pool), room = CPU_ONE_ROWS / PACK_ROWS;
    const size_t least = c->kernels.prefetches ? CHUNK_BYTES : PLAIN_CHUNK_BYTES;
    size_t bytes = p->n_groups * p->group_bytes / (CHUNKS_A_THREAD * n_threads);
    bytes = bytes < least ? least : bytes > MAX_CHUNK_BYTES ? MAX_CHUNK_BYTES : bytes;
    if (n_threads == 1)
        bytes = MAX_CHUNK_BYTES;
    const size_t fit = bytes / p->group_bytes < room ? bytes / p->group_bytes : room, streams = c->kernels.streams;
    if (fit >= streams)
        return fit - fit % streams;
    const size_t half_part = count_chunks(c, op, s, PACK_ROWS) / (2 * n_threads);
    const size_t groups = half_part < streams ? half_part : streams, more = fit > groups ? fit : groups;
    return more < 1 ? 1 : more;
}

/* Rows a chunk, down to a third of the most, so that threads' parts are as alike as can be. */
static uint32_t choose_rows(const cpu *c, const graph_linear *op, const cpu_step *s)
{
    const cpu_packed *p = s->packed[0];
    if (!p)
        return PACK_ROWS;
    const size_t most = most_groups(c, op, s, p);
    size_t best = most, best_part = SIZE_MAX;
    for (size_t g = most; g >= (most + 2) / 3; g--) {
        const size_t part = largest_part(c, op, s, PACK_ROWS * g);
        best = part < best_part ? g : best;
        best_part = part < best_part ? part : best_part;
    }
    return (uint32_t)(PACK_ROWS * best);
}

void cpu_plan_steps(cpu *c)
{
    const graph_op *following = NULL;
    for (size_t i = c->graph->n_ops; i-- > 0;) {
        const graph_op *op = &c->graph->ops[i];
        cpu_step *s = &c->steps[i];
        s->following = following;
        if (op->kind != GRAPH_LINEAR)
            continue;
        const graph_linear *l = &op->u.linear;
        s->gated = is_gated(l);
        s->n_out = s->gated ? 1 : l->n_out;
        for (uint32_t j = 0; j < l->n_out; j++) {
            s->packed[j] = cpu_weights_get(c->weights, l->weight[j]);
            s->wide = (j == 0 || s->wide) && s->packed[j] && c->kernels.wide[s->packed[j]->kind];
            s->int8 |= s->packed[j] || c->kernels.reads_int8[c->graph->tensors[l->weight[j]].format];
        }
        // The rounding of the head's input goes straight into the logits: a quarter of all that
        // int8 activations cost. A second pass over a chunk that is in the cache is cheap.
        s->fine = s->int8 && i + 1 == c->graph->n_ops;
        s->one_rows = choose_rows(c, l, s);
        following = op;
    }
}

/* ---- inputs ------------------------------------------------------------------------------------- */

static const float *norm_input(cpu *c, const graph_linear *op, const float *x, float *normed)
{
    if (op->norm.kind == GRAPH_NORM_NONE)
        return x;
    c->kernels.norm(&op->norm, cpu_vector(c, op->norm.weight), cpu_vector(c, op->norm.bias), x, normed,
                    c->graph->values[op->in].width);
    return normed;
}

/* x [width] as row t of q; such formats have rows of whole blocks. */
static void round_row(cpu *c, const cpu_int8 *q, const float *x, size_t width, size_t stride, size_t t)
{
    const size_t at = t * (stride / CPU_BLOCK);
    c->kernels.quantise(x, width, q->q + t * stride, q->d + at, q->sums + at);
    cpu_derive_sums(q->d + at, q->sums + at, width / CPU_BLOCK, q->starts + at, q->block_sums + at / 2);
}

static cpu_rows int8_rows(const cpu *c, const cpu_int8 *q, size_t n, size_t width)
{
    return (cpu_rows){.n_tokens = n,
                      .cols = width,
                      .q = q->q,
                      .d = q->d,
                      .sums = q->sums,
                      .starts = q->starts,
                      .block_sums = q->block_sums,
                      .q_stride = (width + CPU_PAD - 1) / CPU_PAD * CPU_PAD,
                      .is_rest = q == &c->fine};
}

/* One token: every thread makes the input for itself, which is cheaper than a barrier. */
static cpu_rows one_input(cpu *c, const graph_linear *op, const cpu_step *s, size_t row, uint32_t thread)
{
    const cpu_thread *t = &c->threads[thread];
    const size_t width = c->graph->values[op->in].width;
    cpu_rows rows = int8_rows(c, &t->q, 1, width);
    rows.f = norm_input(c, op, cpu_value(c, op->in, row), t->normed);
    rows.f_stride = width;
    if (s->int8)
        round_row(c, &t->q, rows.f, width, rows.q_stride, 0);
    return rows;
}

/* What int8 left over of row t, as int8 again. x [width] becomes the difference. */
static void make_fine_input(cpu *c, float *x, size_t width, size_t stride, size_t t)
{
    const int8_t *q = c->q.q + t * stride;
    const float *d = c->q.d + t * (stride / CPU_BLOCK);
    for (size_t i = 0; i < width; i++)
        x[i] -= d[i / CPU_BLOCK] * (float)q[i];
    round_row(c, &c->fine, x, width, stride, t);
}

static cpu_rows many_inputs(cpu *c, const graph_linear *op, const cpu_step *s, size_t row, size_t n,
                            uint32_t thread)
{
    const size_t width = c->graph->values[op->in].width;
    const bool wide = s->wide && !s->fine && n >= CPU_WIDE_TOKENS;
    cpu_rows rows = int8_rows(c, &c->q, n, width);
    for (size_t t = thread; t < n; t += pool_threads(c->pool)) {
        float *normed = c->normed + t * width;
        const float *x = norm_input(c, op, cpu_value(c, op->in, row + t), normed);
        if (wide)
            c->kernels.round_wide(x, width, c->wide + t * rows.q_stride);
        else if (s->int8)
            round_row(c, &c->q, x, width, rows.q_stride, t);
        if (s->fine && x != normed)
            memcpy(normed, x, width * sizeof *normed);
        if (s->fine)
            make_fine_input(c, normed, width, rows.q_stride, t);
    }
    pool_barrier(c->pool);
    rows.f = op->norm.kind != GRAPH_NORM_NONE ? c->normed : cpu_value(c, op->in, row);
    rows.f_stride = width;
    rows.wide = wide ? c->wide : NULL;
    return rows;
}

/* ---- what comes next ------------------------------------------------------------------------------ */

/* After weight `now` of an op (NULL: of another op) come rows of weight p. */
static cpu_next read_next(const cpu *c, const cpu_packed *now, const cpu_packed *p, const chunk *at)
{
    if (!p)
        return (cpu_next){0};
    const size_t n_groups = (at->n_rows + PACK_ROWS - 1) / PACK_ROWS;
    return (cpu_next){p->data + at->row / PACK_ROWS * p->group_bytes, now && now->kind == p->kind ? n_groups : 0,
                      cpu_stream_groups(n_groups, c->kernels.streams) * p->group_bytes};
}

/* The first chunk of the linear after step s, if its weights are packed. */
static cpu_next read_following(const cpu *c, const cpu_step *s, bool one, uint32_t thread)
{
    if (!s->following)
        return (cpu_next){0};
    const graph_linear *op = &s->following->u.linear;
    const cpu_step *f = &c->steps[s->following - c->graph->ops];
    const size_t rows = one ? f->one_rows : CPU_MANY_ROWS, n = count_chunks(c, op, f, rows);
    const chunk at = find_chunk(c, op, rows, n * thread / pool_threads(c->pool));
    return read_next(c, NULL, f->packed[at.out], &at);
}

cpu_ahead cpu_read_following(const cpu *c, const cpu_step *s, bool one, uint32_t thread)
{
    const cpu_next next = read_following(c, s, one, thread);
    return (cpu_ahead){next.at, next.at ? next.at + next.stream_bytes : NULL, next.stream_bytes, 0};
}

/* ---- products ------------------------------------------------------------------------------------- */

/* Rows of weight w for all tokens into tile[t * stride + r], bias added. */
static void multiply(cpu *c, const graph_linear *op, const cpu_step *s, uint32_t w, const chunk *at,
                     const cpu_rows *x, float *tile, size_t stride, cpu_next next, uint32_t thread)
{
    const graph_tensor *t = &c->graph->tensors[op->weight[w]];
    const cpu_packed *p = s->packed[w];
    const size_t group = at->row / PACK_ROWS, n_groups = (at->n_rows + PACK_ROWS - 1) / PACK_ROWS;
    void *work = c->threads[thread].work;
    if (!p)
        c->kernels.matmul[t->format](t, at->row, at->n_rows, x, tile, stride, work);
    else if (x->n_tokens == 1)
        c->kernels.gemv[p->kind](p, group, n_groups, x, tile, next);
    else if (x->wide)
        c->kernels.wide[p->kind](p, group, n_groups, x, tile, stride, &c->threads[thread].panels, next);
    else
        c->kernels.gemm[p->kind](p, group, n_groups, x, tile, stride, work, next.at);
    const float *b = x->is_rest ? NULL : cpu_vector(c, op->bias[w]); // once
    if (b)
        for (size_t i = 0; i < x->n_tokens; i++)
            for (size_t r = 0; r < at->n_rows; r++)
                tile[i * stride + r] += b[at->row + r];
}

/* The same rows times what the input's rounding left over, where the kernel did not see to it. */
static void add_rest(cpu *c, const graph_linear *op, const cpu_step *s, const chunk *at, const cpu_rows *x,
                     float *tile, size_t stride, uint32_t thread)
{
    const cpu_rows rest = int8_rows(c, &c->fine, x->n_tokens, x->cols);
    float *more = tile + stride * x->n_tokens;
    multiply(c, op, s, at->out, at, &rest, more, stride, (cpu_next){0}, thread);
    for (size_t t = 0; t < x->n_tokens; t++)
        for (size_t r = 0; r < at->n_rows; r++)
            tile[t * stride + r] += more[t * stride + r];
}

/* A chunk from weights to its output: out is [n][out_width]. */
static void run_chunk(cpu *c, const graph_linear *op, const cpu_step *s, const chunk *at, const cpu_rows *x,
                      float *out, size_t out_width, size_t stride, cpu_next next, uint32_t thread)
{
    float *tile = c->threads[thread].tile, *up = tile + stride * x->n_tokens;
    if (op->epilogue == GRAPH_ADD && x->n_tokens > 1) // another core wrote half of it: it comes meanwhile
        for (size_t t = 0; t < x->n_tokens; t++)
            for (size_t r = 0; r < at->n_rows; r += 16)
                cpu_ask_to_change(out + t * out_width + at->row + r);
    multiply(c, op, s, at->out, at, x, tile, stride, s->gated ? read_next(c, s->packed[0], s->packed[1], at) : next, thread);
    if (s->gated)
        multiply(c, op, s, 1, at, x, up, stride, next, thread);
    if (s->fine && !x->rest)
        add_rest(c, op, s, at, x, tile, stride, thread);
    for (size_t t = 0; t < x->n_tokens; t++) {
        const float *from = tile + t * stride;
        float *to = out + t * out_width + at->row;
        if (s->gated)
            c->kernels.gate(op->epilogue, from, up + t * stride, to, at->n_rows);
        else if (op->epilogue == GRAPH_ADD)
            for (size_t r = 0; r < at->n_rows; r++)
                to[r] += from[r];
        else
            memcpy(to, from, at->n_rows * sizeof *to);
    }
}

void cpu_linear(cpu *c, const graph_op *o, size_t row, size_t n, float *logits, uint32_t thread)
{
    const graph_linear *op = &o->u.linear;
    const cpu_step *s = &c->steps[o - c->graph->ops];
    cpu_rows x = n == 1 && !s->fine ? one_input(c, op, s, row, thread) : many_inputs(c, op, s, row, n, thread);
    const cpu_rows rest = int8_rows(c, &c->fine, n, x.cols);
    if (n == 1 && s->fine && s->packed[0])
        x.rest = &rest;
    const size_t rows = n == 1 ? s->one_rows : CPU_MANY_ROWS, n_chunks = count_chunks(c, op, s, rows);
    c->threads[thread].panels = (cpu_panels){.bytes = c->threads[thread].work};
    size_t i, then;
    bool more = pool_take(c->pool, thread, n_chunks, &i);
    for (; more; i = then) {
        const chunk at = find_chunk(c, op, rows, i);
        float *out = logits ? logits : cpu_value(c, op->out[at.out], row);
        cpu_next next;
        more = pool_take(c->pool, thread, n_chunks, &then);
        if (more) {
            const chunk after = find_chunk(c, op, rows, then);
            next = read_next(c, s->packed[s->gated ? 1 : at.out], s->packed[after.out], &after);
        } else {
            next = read_following(c, s, n == 1, thread);
        }
        run_chunk(c, op, s, &at, &x, out, c->graph->values[op->out[at.out]].width, rows, next, thread);
    }
    pool_barrier(c->pool);
}
