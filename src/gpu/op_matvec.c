#include "gpu/op_matvec.h"

enum { MOST_LOADS = 32 }; // that a thread has on their way

/* Int8 activations where the format has integers; 36 bytes a block of 32, floats 128. */
static bool multiplies_int8(const recorder *r, const gpu_planes *p)
{
    return r->modes.dot_int8 && p->integers;
}

static uint32_t reduction_bytes(const recorder *r, const matvec_shape *s)
{
    return 4 * s->threads * (r->modes.subgroup ? 1 : s->rows);
}

static uint64_t staged_bytes(const recorder *r, const gpu_matrix_part *w)
{
    return (uint64_t)w->planes.n_blocks * (multiplies_int8(r, &w->planes) ? 40 : 128);
}

/* beside: bytes of workgroup memory that pro- or epilogue take for themselves. */
static bool fits(const recorder *r, const gpu_matrix_part *w, const matvec_shape *s, uint64_t beside)
{
    return staged_bytes(r, w) + reduction_bytes(r, s) + beside <= r->player->limits.max_workgroup_memory;
}

/* Loads of up to 16 bytes that a block takes: docs/gpu.md, "How weights lie". */
static uint32_t loads_a_block(const gpu_planes *p)
{
    return (uint32_t)((p->plane[0].pair_bytes / 2 / p->n_blocks + 15) / 16) + p->n_planes - 1;
}

/* Of the shapes that `test_gpu_matvec bench` tries, those that were fastest, or nearly, for the matrices of models
 * with 0.5 to 7 billion parameters on an NVIDIA H200. Few rows want few threads each, so that all processors have
 * some; what is short enough is asked for at once. */
static matvec_shape best_on_h200(uint32_t n_blocks, matvec_epilogue epilogue)
{
    static const struct {
        matvec_epilogue epilogue;
        uint32_t below; // blocks of a row
        matvec_shape shape;
    } best[] = {
        {MATVEC_QKV, 48, {128, 8, 2, 4}},         {MATVEC_QKV, 96, {128, 8, 2, 8}},
        {MATVEC_QKV, 128, {512, 16, 2, 6}},       {MATVEC_QKV, UINT32_MAX, {256, 16, 2, 2}},
        {MATVEC_GATE_SILU, 48, {256, 8, 2, 2}},   {MATVEC_GATE_SILU, 96, {256, 16, 2, 2}},
        {MATVEC_GATE_SILU, 128, {512, 16, 2, 2}}, {MATVEC_GATE_SILU, UINT32_MAX, {256, 16, 4, 1}},
        {MATVEC_ADD, 48, {128, 8, 1, 4}},         {MATVEC_ADD, 65, {128, 16, 1, 4}},
        {MATVEC_ADD, 128, {128, 32, 1, 4}},       {MATVEC_ADD, 129, {128, 16, 1, 4}},
        {MATVEC_ADD, 161, {256, 32, 1, 5}},       {MATVEC_ADD, 320, {256, 32, 1, 4}},
        {MATVEC_ADD, UINT32_MAX, {256, 16, 1, 4}},
        {MATVEC_STORE, 48, {128, 8, 2, 4}}, // heads, mostly
        {MATVEC_STORE, 128, {256, 16, 2, 2}},     {MATVEC_STORE, UINT32_MAX, {256, 32, 4, 2}},
    };
    const matvec_epilogue like = epilogue == MATVEC_GATE_GELU ? MATVEC_GATE_SILU : epilogue;
    size_t i = 0;
    while (best[i].epilogue != like || n_blocks >= best[i].below)
        i++;
    return best[i].shape;
}

/* A shape as device and matrix have it. */
static matvec_shape suited(const recorder *r, const gpu_matrix_part *w, matvec_shape s)
{
    const uint32_t n_blocks = w->planes.n_blocks;
    if (s.threads > r->player->limits.max_workgroup_threads)
        s.threads = r->player->limits.max_workgroup_threads;
    if (r->modes.subgroup && s.per_row > r->modes.subgroup)
        s.per_row = r->modes.subgroup;
    while (s.per_row > 1 && s.per_row / 2 >= n_blocks)
        s.per_row /= 2;
    const uint32_t a_thread = (n_blocks + s.per_row - 1) / s.per_row;
    s.ahead = a_thread < s.ahead ? a_thread : s.ahead;
    // what is on its way waits in registers: F32 has 8 loads a block where Q4_0 has 2
    while (s.ahead > 1 && s.rows * s.ahead * loads_a_block(&w->planes) > MOST_LOADS)
        s.ahead--;
    return s;
}

matvec_shape matvec_usual_shape(const recorder *r, const gpu_matrix_part *w, matvec_epilogue epilogue)
{
    const matvec_shape s = best_on_h200(w->planes.n_blocks, epilogue);
    return suited(r, w, s);
}

/* A workgroup merges all of x before it multiplies, so it has a thread for every four values, if it can. */
static matvec_shape merging_shape(const recorder *r, const gpu_matrix_part *w)
{
    matvec_shape s = {256, 16, 1, 8};
    if (w->planes.cols > 1024)
        s = (matvec_shape){512, 32, 1, 8};
    return suited(r, w, s);
}

static matvec_shape shape_of(const recorder *r, const gpu_matrix *w, const gpu_matrix_part *part, matvec_epilogue epilogue,
                             bool merges)
{
    const matvec_shape *own = merges ? &w->merging : &w->shape;
    return own->threads ? suited(r, part, *own) : merges ? merging_shape(r, part) : matvec_usual_shape(r, part, epilogue);
}

matvec_shape matvec_shape_of(const recorder *r, const gpu_matrix *w, matvec_epilogue epilogue, bool merges)
{
    return shape_of(r, w, &w->parts[0], epilogue, merges);
}

bool matvec_takes_norm(const recorder *r, const gpu_matrix *w, matvec_epilogue epilogue)
{
    const matvec_shape s = matvec_shape_of(r, w, epilogue, false);
    return fits(r, &w->parts[0], &s, 0);
}

bool matvec_takes_rounded(const recorder *r, const gpu_matrix *w)
{
    const matvec_shape s = matvec_shape_of(r, w, MATVEC_ADD, false);
    return multiplies_int8(r, &w->parts[0].planes) && fits(r, &w->parts[0], &s, 0);
}

bool matvec_takes_merge(const recorder *r, const gpu_matrix *w)
{
    const matvec_shape s = matvec_shape_of(r, w, MATVEC_ADD, true);
    return w->cols % 32 == 0 && fits(r, &w->parts[0], &s, w->cols * sizeof(float));
}

static bool gives_rounded(const recorder *r, const gpu_matrix *w, const matvec_shape *s)
{
    const uint32_t outs = s->threads / s->per_row * s->rows / 2;
    return w->n_parts == 1 && w->rows % 32 == 0 && outs % 16 == 0 && fits(r, &w->parts[0], s, outs * sizeof(float));
}

bool matvec_gives_rounded(const recorder *r, const gpu_matrix *w, matvec_epilogue epilogue)
{
    const matvec_shape s = matvec_shape_of(r, w, epilogue, false);
    return gives_rounded(r, w, &s);
}

static bool power_of_two(uint32_t n)
{
    return n && (n & (n - 1)) == 0;
}

bool matvec_shape_suits(const recorder *r, const gpu_matrix *w, matvec_epilogue epilogue, bool merges,
                        const matvec_shape *s)
{
    const gpu_matrix_part *part = &w->parts[0];
    const gpu_matrix plain = {.rows = w->rows, .cols = w->cols, .n_parts = w->n_parts, .parts = w->parts};
    const matvec_shape usual = matvec_shape_of(r, &plain, epilogue, merges);
    const bool pairs = epilogue != MATVEC_STORE && epilogue != MATVEC_ADD;
    const uint64_t beside = merges ? w->cols * sizeof(float) : 0;
    if (!power_of_two(s->threads) || !power_of_two(s->per_row) || s->threads < s->per_row || s->threads < r->modes.subgroup ||
        s->threads < 32 || s->rows == 0 || s->rows > 8 || s->ahead == 0 || (s->rows % 2 && (pairs || s->rows > 1)))
        return false;
    const matvec_shape same = suited(r, part, *s);
    return memcmp(&same, s, sizeof same) == 0 && fits(r, part, s, beside) == fits(r, part, &usual, beside) &&
           (!pairs || gives_rounded(r, w, s) == gives_rounded(r, w, &usual));
}

static void add_epilogue(shader *s, const matvec_op *op)
{
    static const char *const names[] = {"epilogue_store", "epilogue_add", "epilogue_gate", "epilogue_gate",
                                        "epilogue_qkv"};
    const bool rounds = op->out_rounded.q.bytes;
    shader_part(s, rounds ? "epilogue_gate_int8" : names[op->epilogue]);
    if (!rounds)
        shader_part(s, "finish_none");
    if (op->epilogue != MATVEC_ADD)
        shader_part(s, "early_bias");
    if (op->epilogue != MATVEC_QKV)
        shader_part(s, "prepare_none");
    shader_part(s, op->bias.bytes ? "bias_add" : "bias_none");
    if (op->epilogue == MATVEC_GATE_SILU)
        shader_part(s, "gate_silu");
    if (op->epilogue == MATVEC_GATE_GELU)
        shader_part(s, "gate_gelu");
    if (op->epilogue != MATVEC_QKV)
        return;
    shader_u32(s, "N_HEADS", op->n_heads);
    shader_u32(s, "N_PAIRS", op->n_rot / 2);
    kv_add_layout(s, &op->kv);
    shader_part(s, "state");
    shader_part(s, op->n_rot ? "rope_turn" : "rope_still");
    shader_part(s, "kv_write_f16");
}

static void write_kernel(shader *s, const recorder *r, const matvec_op *op, const gpu_matrix_part *w,
                         const matvec_shape *shape)
{
    const gpu_planes *p = &w->planes;
    const bool staged = op->rounded.q.bytes || op->merge || op->out_rounded.q.bytes || fits(r, w, shape, 0);
    const bool int8 = staged && multiplies_int8(r, p);
    shader_init(s, &r->allocator);
    if (r->modes.subgroup) {
        shader_enable(s, "subgroups");
        shader_u32(s, "SUBGROUP", r->modes.subgroup);
    }
    shader_u32(s, "ROWS", w->rows);
    shader_u32(s, "ROW_FIRST", w->first_row);
    if (op->epilogue == MATVEC_STORE)
        shader_u32(s, "OUT_FIRST", op->out_first);
    shader_u32(s, "COLS", p->cols);
    shader_u32(s, "NB", p->n_blocks);
    shader_u32(s, "T", shape->threads);
    shader_u32(s, "TPR", shape->per_row);
    shader_u32(s, "R", shape->rows);
    shader_u32(s, "PAIRS", shape->rows / 2);
    shader_u32(s, "U", shape->ahead);
    shader_u32(s, "STEPS", (p->n_blocks + shape->per_row * shape->ahead - 1) / (shape->per_row * shape->ahead));
    if (op->gain.bytes)
        shader_f32(s, "EPS", op->eps);
    shader_part(s, p->part);
    if (p->integers) {
        shader_part(s, "weights");
        if (!int8)
            shader_part(s, "floats");
    }
    if (int8 || op->out_rounded.q.bytes)
        shader_part(s, "round_int8");
    shader_part(s, !staged ? "act_direct" : int8 ? "act_int8" : "act_float");
    if (!int8)
        shader_part(s, p->integers ? "dot_bytes" : "dot_values");
    if (op->merge) {
        shader_part(s, "state");
        attend_add_merge(s, r, op->merge);
    }
    if (staged)
        shader_part(s, op->merge             ? "prologue_merge"
                       : op->rounded.q.bytes ? "prologue_int8"
                       : op->gain.bytes      ? "prologue_rms"
                                             : "prologue_plain");
    shader_part(s, r->modes.subgroup ? "rows_subgroup" : "rows_shared");
    add_epilogue(s, op);
    shader_part(s, "matvec");
}

void op_matvec(recorder *r, const matvec_op *op)
{
    for (uint32_t i = 0; i < op->w->n_parts; i++) {
        const gpu_matrix_part *w = &op->w->parts[i];
        const matvec_shape shape = op->shape ? *op->shape : shape_of(r, op->w, w, op->epilogue, op->merge != NULL);
        shader s;
        write_kernel(&s, r, op, w, &shape);
        const uint32_t kernel = recorder_kernel_of(r, &s, op->label);
        const gpu_bind binds[] = {
            {"wq", w->wq},       {"wx", w->wx},     {"x", op->x},         {"gain", op->gain},       {"bias", op->bias},
            {"out", op->out},    {"q", op->out},    {"rope", op->rope},   {"state", op->state},     {"kc", op->k_cache},
            {"vc", op->v_cache},
            {"xq", op->rounded.q},
            {"xd", op->rounded.d},
            {"out_q", op->out_rounded.q},
            {"out_d", op->out_rounded.d},
            {"partials", op->merge ? op->merge->partials : (gpu_slice){0}},
        };
        const uint32_t a_group = shape.threads / shape.per_row * shape.rows, most = r->player->limits.max_groups;
        const uint64_t groups = (w->rows + a_group - 1) / a_group, down = (groups + most - 1) / most;
        recorder_dispatch(r, kernel, binds, sizeof binds / sizeof *binds, (groups + down - 1) / down, down, 1);
    }
}
