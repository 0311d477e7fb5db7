#include "gpu/matrix.h"

#include "base/error.h"

enum { STEP_BYTES = 2 << 20 };

uint64_t matrix_row_of(const matrix_source *s, uint64_t row, uint32_t *tensor)
{
    *tensor = 0;
    if (s->order == MATRIX_INTERLEAVED) {
        *tensor = (uint32_t)(row % s->n_tensors);
        return row / s->n_tensors;
    }
    while (row >= s->tensors[*tensor]->rows)
        row -= s->tensors[(*tensor)++]->rows;
    if (s->order != MATRIX_PAIRS || *tensor >= s->n_paired)
        return row;
    const uint64_t in_head = row % s->d_head;
    if (in_head >= s->n_rot)
        return row;
    return row - in_head + in_head / 2 + in_head % 2 * (s->n_rot / 2);
}

/* As many rows as one buffer holds: its planes, and each of the two bindings, within the limits. */
static ingle_status rows_a_part(uint64_t *out, const matrix_source *s, uint64_t rows, const gpu_limits *limits,
                                ingle_error *err)
{
    const graph_tensor *t = s->tensors[0];
    for (uint64_t n = rows;; n = (n / 2 + 1) / 2 * 2) {
        gpu_planes p;
        const ingle_status status = planes_plan(&p, t->format, n, t->cols, err);
        if (status != INGLE_OK)
            return status;
        const uint64_t wq = p.n_planes > 1 ? p.plane[1].offset : p.bytes;
        if (p.bytes <= limits->max_buffer && wq <= limits->max_binding && p.bytes - wq <= limits->max_binding) {
            *out = n;
            return INGLE_OK;
        }
        if (n <= 2)
            return error_set(err, INGLE_ERR_MEMORY, "tensor %.100s: two rows take %llu bytes; this GPU binds %llu",
                             t->name, (unsigned long long)p.bytes, (unsigned long long)limits->max_binding);
    }
}

/* Memory for packing some rows at a time. */
typedef struct {
    uint8_t *rows;    // [n] of the file's format
    uint8_t *planes;  // what planes_pack makes of them, one after the other
    void *scratch;
    uint64_t n, row_bytes;
} stage;

static ingle_status open_stage(stage *st, const graph_tensor *t, const gpu_planes *p, const ingle_allocator *a,
                               ingle_error *err)
{
    *st = (stage){0};
    uint64_t pair_bytes = 0;
    quant_bytes(t->format, t->cols, &st->row_bytes);
    for (uint32_t i = 0; i < p->n_planes; i++)
        pair_bytes += p->plane[i].pair_bytes;
    st->n = STEP_BYTES / (2 * st->row_bytes + pair_bytes + 1) * 2 + 2;
    st->n = st->n < p->rows + 1 ? st->n : p->rows + 1;
    const size_t bytes = size_add(size_mul((size_t)st->n, (size_t)st->row_bytes),
                                  size_mul((size_t)(st->n / 2 + 1), (size_t)pair_bytes));
    st->rows = mem_alloc(a, size_add(bytes, 16 * PLANES_MAX + 16));
    st->scratch = mem_alloc(a, planes_scratch(p));
    if (!st->rows || !st->scratch)
        return error_memory(err, bytes, "packing weights");
    const size_t at = ((size_t)st->n * (size_t)st->row_bytes + 15) / 16 * 16;
    st->planes = st->rows + at;
    return INGLE_OK;
}

static ingle_status fill(recorder *r, const gpu_matrix_part *part, const matrix_source *s, stage *st, ingle_error *err)
{
    const gpu_planes *p = &part->planes;
    for (uint64_t at = 0; at < part->rows;) {
        const uint64_t left = part->rows - at, step = st->n / 2 * 2, n = left < step ? left : step;
        for (uint64_t i = 0; i < n; i++) {
            uint32_t tensor;
            const uint64_t row = matrix_row_of(s, part->first_row + at + i, &tensor);
            memcpy(st->rows + i * st->row_bytes, (const uint8_t *)s->tensors[tensor]->data + row * st->row_bytes,
                   (size_t)st->row_bytes);
        }
        uint8_t *planes[PLANES_MAX] = {0}, *next = st->planes;
        for (uint32_t i = 0; i < p->n_planes; i++) {
            planes[i] = next;
            next += ((n + 1) / 2 * p->plane[i].pair_bytes + 15) / 16 * 16;
        }
        planes_pack(p, s->tensors[0]->format, st->rows, n, planes, st->scratch);
        for (uint32_t i = 0; i < p->n_planes; i++)
            recorder_write(r, gpu_part(part->buffer, p->plane[i].offset + at / 2 * p->plane[i].pair_bytes, 0), planes[i],
                           (size_t)((n + 1) / 2 * p->plane[i].pair_bytes));
        const ingle_status status = recorder_play(r, err);
        if (status != INGLE_OK)
            return status;
        at += n;
    }
    return INGLE_OK;
}

static ingle_status open_part(gpu_matrix_part *part, recorder *r, const matrix_source *s, const ingle_allocator *a,
                              ingle_error *err)
{
    const graph_tensor *t = s->tensors[0];
    stage st = {0};
    ingle_status status = planes_plan(&part->planes, t->format, part->rows, t->cols, err);
    if (status != INGLE_OK)
        return status;
    const gpu_planes *p = &part->planes;
    const uint64_t wq = p->n_planes > 1 ? p->plane[1].offset : p->bytes;
    part->buffer = recorder_buffer(r, p->bytes, t->name);
    part->wq = gpu_part(part->buffer, 0, wq);
    part->wx = gpu_part(part->buffer, wq, part->buffer.bytes - wq);
    status = open_stage(&st, t, p, a, err);
    if (status == INGLE_OK)
        status = fill(r, part, s, &st, err);
    mem_free(a, st.rows);
    mem_free(a, st.scratch);
    return status;
}

ingle_status matrix_open(gpu_matrix *out, recorder *r, const matrix_source *s, const ingle_allocator *a,
                         ingle_error *err)
{
    *out = (gpu_matrix){.cols = s->tensors[0]->cols, .allocator = *a};
    for (uint32_t i = 0; i < s->n_tensors; i++)
        out->rows += s->tensors[i]->rows;
    uint64_t each = 0;
    ingle_status status = rows_a_part(&each, s, out->rows, &r->player->limits, err);
    if (status != INGLE_OK)
        return status;
    const uint64_t n_parts = (out->rows + each - 1) / each;
    out->parts = mem_zero(a, (size_t)n_parts, sizeof *out->parts);
    if (!out->parts)
        return error_memory(err, (size_t)n_parts * sizeof *out->parts, "a matrix's parts");
    for (uint64_t i = 0; status == INGLE_OK && i < n_parts; i++) {
        gpu_matrix_part *part = &out->parts[out->n_parts++];
        part->first_row = i * each;
        part->rows = out->rows - part->first_row < each ? out->rows - part->first_row : each;
        status = open_part(part, r, s, a, err);
    }
    return status;
}

void matrix_close(gpu_matrix *m, recorder *r)
{
    for (uint32_t i = 0; i < m->n_parts; i++)
        recorder_drop(r, &m->parts[i].buffer);
    if (m->parts)
        mem_free(&m->allocator, m->parts);
    *m = (gpu_matrix){0};
}
