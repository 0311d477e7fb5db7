#include "gpu/op_attend.h"

#include "base/error.h"
#include "quant/quant.h"

/* ---- the cache -------------------------------------------------------------------------------- */

ingle_status kv_check(const kv_layout *l, ingle_error *err)
{
    const uint32_t types[] = {l->k_type, l->v_type};
    for (int i = 0; i < 2; i++) {
        if (types[i] != QUANT_F16 && types[i] != QUANT_Q8_0)
            return error_set(err, INGLE_ERR_UNSUPPORTED, "a cache of type %u: on the GPU it is f16 or q8_0",
                             (unsigned)types[i]);
        const uint32_t unit = types[i] == QUANT_F16 ? 8 : 32;
        if (l->d_head == 0 || l->d_head % unit || l->d_head > KV_MAX_HEAD)
            return error_set(err, INGLE_ERR_UNSUPPORTED, "heads of %u values: a %s cache on the GPU takes multiples "
                             "of %u up to %u", (unsigned)l->d_head, types[i] == QUANT_F16 ? "f16" : "q8_0",
                             (unsigned)unit, (unsigned)KV_MAX_HEAD);
    }
    uint64_t values;
    if (!u64_mul((uint64_t)l->n_kv_heads * l->d_head, l->n_ctx, &values) || values > UINT32_MAX)
        return error_set(err, INGLE_ERR_UNSUPPORTED, "a context of %u tokens with %u heads of %u values: too many for "
                         "the GPU's kernels", (unsigned)l->n_ctx, (unsigned)l->n_kv_heads, (unsigned)l->d_head);
    return INGLE_OK;
}

static uint64_t cache_bytes(const kv_layout *l, uint32_t type)
{
    const uint64_t vectors = (uint64_t)l->n_kv_heads * l->n_ctx;
    if (type == QUANT_F16)
        return vectors * l->d_head * 2;
    const uint64_t scale_words = vectors * ((l->d_head + 63) / 64);
    return vectors * l->d_head + (scale_words + 1) / 2 * 8; // kernels read them in twos
}

uint64_t kv_k_bytes(const kv_layout *l)
{
    return cache_bytes(l, l->k_type);
}

uint64_t kv_v_bytes(const kv_layout *l)
{
    return cache_bytes(l, l->v_type);
}

void kv_add_layout(shader *s, const kv_layout *l)
{
    shader_u32(s, "N_CTX", l->n_ctx);
    shader_u32(s, "N_KV_HEADS", l->n_kv_heads);
    shader_u32(s, "D_HEAD", l->d_head);
    shader_part(s, "kv");
    if (l->k_type == QUANT_F16 || l->v_type == QUANT_F16)
        shader_part(s, "kv/f16");
    if (l->k_type == QUANT_Q8_0 || l->v_type == QUANT_Q8_0)
        shader_part(s, "kv/q8_0");
}

void kv_add_readers(shader *s, const kv_layout *l)
{
    shader_part(s, l->k_type == QUANT_F16 ? "kv/k_f16" : "kv/k_q8_0");
    shader_part(s, l->v_type == QUANT_F16 ? "kv/v_f16" : "kv/v_q8_0");
}

void kv_add_writers(shader *s, const kv_layout *l)
{
    if (l->k_type == QUANT_Q8_0 || l->v_type == QUANT_Q8_0)
        shader_part(s, "kv/put_q8_0");
    shader_part(s, l->k_type == QUANT_F16 ? "kv/put_k_f16" : "kv/put_k_q8_0");
    shader_part(s, l->v_type == QUANT_F16 ? "kv/put_v_f16" : "kv/put_v_q8_0");
}

/* ---- how single tokens are cut ---------------------------------------------------------------- */

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t power_up(uint32_t n)
{
    uint32_t p = 1;
    while (p < n)
        p *= 2;
    return p;
}

static uint32_t group_of(const attend_op *op)
{
    return op->n_heads / op->kv.n_kv_heads;
}

/* Positions that a token's splits cover: its window may begin up to 15 after its first split. */
static uint32_t span_of(const attend_op *op)
{
    return op->window && op->window < op->max_positions - min_u32(op->max_positions, 15) ? op->window + 15
                                                                                         : op->max_positions;
}

/* Rows of V that subgroup operations add up: attend_subgroup.wgsl. */
static uint32_t rows_together(const recorder *r, const attend_op *op)
{
    const uint32_t eights = op->kv.d_head / 8, subgroup = r->modes.subgroup;
    return (eights & (eights - 1)) == 0 && subgroup > eights ? subgroup / eights : 1;
}

/* Heads whose sums of V go through workgroup memory at a time, as many as it holds; 0: the shape does not fit.
 * The sizes are attend_one.wgsl's. */
static uint32_t heads_a_round(const recorder *r, const attend_op *op, const attend_shape *s)
{
    const uint32_t eights = op->kv.d_head / 8, slots = min_u32(s->threads, s->chunk), parts = s->threads / slots;
    const uint64_t share = (eights + parts - 1) / parts, sums = s->threads / eights / rows_together(r, op);
    const uint64_t queries = 32 * s->heads * parts * share;
    const uint64_t weights = 4 * s->heads * (uint64_t)(s->threads > s->chunk ? s->threads : s->chunk);
    const uint64_t tops = 4 * s->heads * (uint64_t)(1 + (r->modes.subgroup ? s->threads / r->modes.subgroup : 16));
    for (uint32_t round = s->heads; round > 0; round--) {
        const uint64_t pool = sums * round * op->kv.d_head * 4;
        const uint64_t bytes = (pool > queries ? pool : queries) + weights + tops + 4 * sums * round;
        if (bytes <= r->player->limits.max_workgroup_memory)
            return round;
    }
    return 0;
}

/* Eights of keys that a thread asks for before it uses one, and about as many of values: four registers each. */
static uint32_t loads_of(const attend_op *op, const attend_shape *s)
{
    return s->chunk * (op->kv.d_head / 8) / s->threads;
}

enum { USUAL_LOADS = 8, MOST_LOADS = 16 };

static bool shape_fits(const recorder *r, const attend_op *op, const attend_shape *s)
{
    return s->threads >= op->kv.d_head / 8 && s->threads >= r->modes.subgroup &&
           s->threads <= r->player->limits.max_workgroup_threads && loads_of(op, s) <= MOST_LOADS &&
           group_of(op) % s->heads == 0 && heads_a_round(r, op, s) > 0;
}

/* Threads for a chunk so that each asks for `loads` eights of keys, and as many of values. */
static attend_shape shape_of(const recorder *r, const attend_op *op, uint32_t chunk, uint32_t heads, uint32_t loads)
{
    const uint32_t most = r->player->limits.max_workgroup_threads;
    const uint32_t least = r->modes.subgroup > 32 ? r->modes.subgroup : 32;
    uint32_t threads = power_up(chunk * (op->kv.d_head / 8) / loads);
    threads = threads < least ? least : threads;
    while (threads > most || threads > 512)
        threads /= 2;
    return (attend_shape){threads, chunk, heads};
}

/* Whole contexts as long as a workgroup can take them, so that nothing is left to merge; beyond, what was fastest
 * at 4,096 positions on a large GPU: long chunks of narrow heads, one query head each; short ones of wide heads,
 * for small groups together. Adapters that are the CPU have a few threads only, and gain from what is shared. */
attend_shape attend_usual_shape(const recorder *r, const attend_op *op)
{
    const bool narrow = op->kv.d_head <= 64, software = r->modes.rolled;
    const uint32_t span = power_up(span_of(op)), whole = narrow ? 512 : 256, group = group_of(op);
    const uint32_t loads = software ? MOST_LOADS : USUAL_LOADS;
    uint32_t chunk = span <= whole ? (span < 32 ? 32 : span) : narrow ? 512 : 128;
    uint32_t heads = software || (span > whole && !narrow && group <= 4) ? group : 1;
    attend_shape s = shape_of(r, op, chunk, heads, loads);
    for (; !shape_fits(r, op, &s) && chunk > 32; s = shape_of(r, op, chunk, heads, loads)) {
        chunk = heads > 1 ? chunk : chunk / 2;
        heads = 1;
    }
    return s;
}

uint32_t attend_list_shapes(const recorder *r, const attend_op *op, attend_shape out[ATTEND_SHAPES])
{
    uint32_t n = 0;
    out[n++] = attend_usual_shape(r, op);
    for (uint32_t chunk = 64; chunk <= 1024; chunk *= 2)
        for (uint32_t all = 0; all < 2; all++)
            for (uint32_t loads = USUAL_LOADS; loads <= MOST_LOADS; loads *= 2) {
                const attend_shape s = shape_of(r, op, chunk, all ? group_of(op) : 1, loads);
                bool known = !shape_fits(r, op, &s) || chunk / 2 >= span_of(op) || n == ATTEND_SHAPES;
                for (uint32_t i = 0; i < n; i++)
                    known |= out[i].threads == s.threads && out[i].chunk == s.chunk && out[i].heads == s.heads;
                if (!known)
                    out[n++] = s;
            }
    return n;
}

static attend_shape shape_for(const recorder *r, const attend_op *op)
{
    return op->shape ? *op->shape : attend_usual_shape(r, op);
}

uint32_t attend_splits(const recorder *r, const attend_op *op)
{
    const uint32_t chunk = shape_for(r, op).chunk;
    return op->n_tokens > ATTEND_FEW ? 1 : (span_of(op) + chunk - 1) / chunk;
}

uint64_t attend_partial_bytes(const recorder *r, const attend_op *op)
{
    const uint64_t splits = attend_splits(r, op);
    return splits > 1 ? op->n_tokens * splits * op->n_heads * (op->kv.d_head * 4 + 16) : 0;
}

/* ---- dispatches ------------------------------------------------------------------------------- */

static void add_window(shader *s, const attend_op *op)
{
    shader_u32(s, "WINDOW", op->window ? op->window : UINT32_MAX);
    shader_part(s, "attend_window");
}

void attend_add_merge(shader *s, const recorder *r, const attend_op *op)
{
    shader_u32(s, "SPLITS", attend_splits(r, op));
    shader_u32(s, "MERGE_AHEAD", min_u32(attend_splits(r, op), MOST_LOADS));
    shader_u32(s, "CHUNK", shape_for(r, op).chunk);
    shader_u32(s, "N_HEADS", op->n_heads);
    shader_u32(s, "D_HEAD", op->kv.d_head);
    add_window(s, op);
    shader_part(s, "attend_span");
    shader_part(s, "attend_merge");
}

/* Softmax by powers of two: exp(x) = exp2(x * log2(e)). */
static void add_common(shader *s, const recorder *r, const attend_op *op)
{
    shader_f32(s, "SCALE", op->scale * 1.44269504f);
    shader_u32(s, "N_HEADS", op->n_heads);
    add_window(s, op);
    kv_add_layout(s, &op->kv);
    kv_add_readers(s, &op->kv);
    shader_part(s, "state");
    shader_part(s, r->modes.rolled ? "loops_rolled" : "loops_unrolled");
}

/* What follows from a shape: see attend_one.wgsl. */
static void add_sizes(shader *s, const recorder *r, const attend_op *op, const attend_shape *shape)
{
    const uint32_t eights = op->kv.d_head / 8, slots = min_u32(shape->threads, shape->chunk), parts = shape->threads / slots;
    const uint32_t share = (eights + parts - 1) / parts, q_quads = 2 * parts * share, round = heads_a_round(r, op, shape);
    const uint32_t v_rows = shape->threads / eights;
    shader_u32(s, "SLOTS", slots);
    shader_u32(s, "DEEP", shape->chunk / slots);
    shader_u32(s, "PARTS", parts);
    shader_u32(s, "SHARE", share);
    shader_u32(s, "Q_QUADS", q_quads);
    shader_u32(s, "Q_TURNS", (shape->heads * q_quads + shape->threads - 1) / shape->threads);
    shader_u32(s, "V_ROWS", v_rows);
    shader_u32(s, "V_TURNS", (shape->chunk + v_rows - 1) / v_rows);
    shader_u32(s, "SUMS", v_rows / rows_together(r, op));
    shader_u32(s, "ROUND", round);
    shader_u32(s, "ROUNDS", (shape->heads + round - 1) / round);
}

static void write_one(shader *s, const recorder *r, const attend_op *op, const attend_shape *shape, uint32_t splits)
{
    const bool subgroups = r->modes.subgroup > 0;
    shader_init(s, &r->allocator);
    if (subgroups) {
        shader_enable(s, "subgroups");
        shader_u32(s, "SUBGROUP", r->modes.subgroup);
        shader_u32(s, "SUBGROUPS", shape->threads / r->modes.subgroup);
    }
    shader_u32(s, "T", shape->threads);
    shader_u32(s, "CHUNK", shape->chunk);
    shader_u32(s, "G", shape->heads);
    shader_u32(s, "TOGETHER", rows_together(r, op));
    shader_u32(s, "SPLITS", splits);
    if (r->modes.rolled)
        shader_roll(s);
    add_sizes(s, r, op, shape);
    add_common(s, r, op);
    shader_part(s, "attend_span");
    shader_part(s, subgroups ? "attend_subgroup" : "attend_shared");
    const bool int8 = splits == 1 && op->rounded.q.bytes;
    if (int8)
        shader_part(s, "round_int8");
    shader_part(s, splits > 1 ? "attend_partial" : int8 ? "attend_out_int8" : "attend_out");
    shader_part(s, "attend_one");
}

static void write_merge(shader *s, const recorder *r, const attend_op *op)
{
    shader_init(s, &r->allocator);
    shader_part(s, "state");
    attend_add_merge(s, r, op);
    if (op->rounded.q.bytes)
        shader_part(s, "round_int8");
    shader_part(s, op->rounded.q.bytes ? "attend_merge_int8" : "attend_merge_out");
}

static void write_many(shader *s, const recorder *r, const attend_op *op)
{
    uint32_t v_rows = 32;
    while (v_rows * (op->kv.d_head / 8) > 256)
        v_rows /= 2;
    shader_init(s, &r->allocator);
    shader_u32(s, "V_ROWS", v_rows);
    add_common(s, r, op);
    shader_part(s, "attend_many");
}

void op_attend(recorder *r, const attend_op *op)
{
    const gpu_bind binds[] = {
        {"state", op->state},   {"q", op->q},     {"kc", op->k_cache},
        {"vc", op->v_cache},    {"out", op->out}, {"partials", op->partials},
        {"out_q", op->rounded.q}, {"out_d", op->rounded.d},
    };
    const size_t n = sizeof binds / sizeof *binds;
    shader s;
    if (op->n_tokens > ATTEND_FEW) {
        write_many(&s, r, op);
        const uint32_t kernel = recorder_kernel_of(r, &s, op->label);
        recorder_dispatch(r, kernel, binds, n, ((uint64_t)op->n_tokens * group_of(op) + 63) / 64, op->kv.n_kv_heads, 1);
        return;
    }
    const attend_shape shape = shape_for(r, op);
    const uint32_t splits = attend_splits(r, op);
    write_one(&s, r, op, &shape, splits);
    const uint32_t kernel = recorder_kernel_of(r, &s, op->label);
    recorder_dispatch(r, kernel, binds, n, splits, op->n_heads / shape.heads, op->n_tokens);
    if (splits == 1 || op->leave_partials)
        return;
    write_merge(&s, r, op);
    const uint32_t merge = recorder_kernel_of(r, &s, "attend merge");
    recorder_dispatch(r, merge, binds, n, ((uint64_t)op->n_tokens * op->n_heads * op->kv.d_head / 4 + 63) / 64, 1, 1);
}
