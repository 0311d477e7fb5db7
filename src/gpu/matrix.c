#include "gpu/matrix.h"

#include "base/error.h"
#include "gpu/matrix_feed.h"

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

uint64_t matrix_place_of(const matrix_source *s, uint32_t tensor, uint64_t row)
{
    if (s->order == MATRIX_INTERLEAVED)
        return row * s->n_tensors + tensor;
    uint64_t first = 0;
    for (uint32_t i = 0; i < tensor; i++)
        first += s->tensors[i]->rows;
    if (s->order != MATRIX_PAIRS || tensor >= s->n_paired)
        return first + row;
    const uint64_t in_head = row % s->d_head, half = s->n_rot / 2;
    if (in_head >= s->n_rot)
        return first + row;
    return first + row - in_head + (in_head < half ? 2 * in_head : 2 * (in_head - half) + 1);
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

static ingle_status open_part(gpu_matrix_part *part, recorder *r, const graph_tensor *t, ingle_error *err)
{
    const ingle_status status = planes_plan(&part->planes, t->format, part->rows, t->cols, err);
    if (status != INGLE_OK)
        return status;
    const gpu_planes *p = &part->planes;
    const uint64_t wq = p->n_planes > 1 ? p->plane[1].offset : p->bytes;
    part->buffer = recorder_buffer(r, p->bytes, t->name);
    part->wq = gpu_part(part->buffer, 0, wq);
    part->wx = gpu_part(part->buffer, wq, part->buffer.bytes - wq);
    if (err)
        *err = r->error;
    return r->error.status;
}

ingle_status matrix_reserve(gpu_matrix *out, recorder *r, const matrix_source *s, const ingle_allocator *a,
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
        status = open_part(part, r, s->tensors[0], err);
    }
    return status;
}

ingle_status matrix_open(gpu_matrix *out, recorder *r, const matrix_source *s, const ingle_allocator *a,
                         ingle_error *err)
{
    matrix_feed f;
    ingle_status status = matrix_reserve(out, r, s, a, err);
    matrix_feed_init(&f, out, s, a);
    for (uint32_t i = 0; status == INGLE_OK && i < s->n_tensors; i++) {
        const graph_tensor *t = s->tensors[i];
        status = matrix_feed_take(&f, r, i, t->data, (size_t)(t->rows * f.row_bytes), true, err);
    }
    matrix_feed_free(&f);
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
