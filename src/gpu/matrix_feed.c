#include "gpu/matrix_feed.h"

#include "base/error.h"

enum { STEP_BYTES = 2 << 20 };

void matrix_feed_init(matrix_feed *f, gpu_matrix *m, const matrix_source *s, const ingle_allocator *a)
{
    *f = (matrix_feed){.matrix = m, .source = *s, .allocator = *a};
    quant_bytes(s->tensors[0]->format, s->tensors[0]->cols, &f->row_bytes);
}

static void free_stage(matrix_feed *f)
{
    mem_free(&f->allocator, f->rows);
    mem_free(&f->allocator, f->scratch);
    f->rows = NULL;
    f->scratch = NULL;
}

static void free_held(matrix_feed *f)
{
    for (uint32_t i = 0; i < f->source.n_tensors; i++) {
        mem_free(&f->allocator, f->held[i]);
        f->held[i] = NULL;
    }
}

void matrix_feed_free(matrix_feed *f)
{
    free_stage(f);
    free_held(f);
    *f = (matrix_feed){0};
}

static uint64_t tensor_bytes(const matrix_feed *f, uint32_t tensor)
{
    return f->source.tensors[tensor]->rows * f->row_bytes;
}

bool matrix_feed_full(const matrix_feed *f)
{
    for (uint32_t i = 0; i < f->source.n_tensors; i++)
        if (f->taken[i] < tensor_bytes(f, i))
            return false;
    return true;
}

uint64_t matrix_feed_held(const matrix_feed *f)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < f->source.n_tensors; i++)
        bytes += f->held[i] ? tensor_bytes(f, i) : 0;
    return bytes;
}

/* ---- to the GPU ------------------------------------------------------------------------------- */

/* Rows of a tensor that are neighbours in the matrix, whichever way they are ordered within: an even number,
 * since planes share words by pairs of rows. */
static uint64_t unit_rows(const matrix_feed *f, uint32_t tensor)
{
    const matrix_source *s = &f->source;
    if (s->order == MATRIX_INTERLEAVED)
        return 2;
    return s->order == MATRIX_PAIRS && tensor < s->n_paired ? s->d_head * (1 + (uint64_t)s->d_head % 2) : 2;
}

/* Rows of the matrix for one of the tensor that comes. */
static uint64_t rows_each(const matrix_feed *f)
{
    return f->source.order == MATRIX_INTERLEAVED ? f->source.n_tensors : 1;
}

/* For units of rows of a tensor, `most` rows at most. */
static ingle_status open_stage(matrix_feed *f, uint32_t tensor, uint64_t unit, uint64_t most, ingle_error *err)
{
    const gpu_planes *p = &f->matrix->parts[0].planes;
    uint64_t pair_bytes = 0;
    for (uint32_t i = 0; i < p->n_planes; i++)
        pair_bytes += p->plane[i].pair_bytes;
    const uint64_t unit_bytes = unit * rows_each(f) * (f->row_bytes + pair_bytes / 2) + 1;
    f->n = (STEP_BYTES / unit_bytes + 1) * unit;
    f->n = f->n < most ? f->n : most;
    f->current = tensor;
    f->first = 0;
    const uint64_t n = f->n * rows_each(f);
    const size_t at = size_add(size_mul((size_t)n, (size_t)f->row_bytes), 15) / 16 * 16;
    const size_t bytes = size_add(at, size_add(size_mul((size_t)(n / 2 + 1), (size_t)pair_bytes), 16 * PLANES_MAX));
    f->rows = mem_alloc(&f->allocator, bytes);
    f->scratch = mem_alloc(&f->allocator, planes_scratch(p));
    if (!f->rows || !f->scratch)
        return error_memory(err, bytes, "packing weights");
    f->planes = f->rows + at;
    return INGLE_OK;
}

/* Packs n rows of a part from its row `at` on, and has them written. */
static ingle_status write_rows(matrix_feed *f, recorder *r, const gpu_matrix_part *part, uint64_t at, const uint8_t *rows,
                               uint64_t n, ingle_error *err)
{
    const gpu_planes *p = &part->planes;
    uint8_t *planes[PLANES_MAX] = {0}, *next = f->planes;
    for (uint32_t i = 0; i < p->n_planes; i++) {
        planes[i] = next;
        next += ((n + 1) / 2 * p->plane[i].pair_bytes + 15) / 16 * 16;
    }
    planes_pack(p, f->source.tensors[0]->format, rows, n, planes, f->scratch);
    for (uint32_t i = 0; i < p->n_planes; i++)
        recorder_write(r, gpu_part(part->buffer, p->plane[i].offset + at / 2 * p->plane[i].pair_bytes, 0), planes[i],
                       (size_t)((n + 1) / 2 * p->plane[i].pair_bytes));
    return recorder_play(r, err);
}

/* The stage's rows [n] as rows of the matrix from `first` on, an even number. */
static ingle_status write_stage(matrix_feed *f, recorder *r, uint64_t first, uint64_t n, ingle_error *err)
{
    const uint8_t *rows = f->rows;
    ingle_status status = INGLE_OK;
    for (uint32_t i = 0; status == INGLE_OK && n > 0 && i < f->matrix->n_parts; i++) {
        const gpu_matrix_part *part = &f->matrix->parts[i];
        if (first >= part->first_row + part->rows)
            continue;
        const uint64_t at = first - part->first_row, left = part->rows - at, take = n < left ? n : left;
        status = write_rows(f, r, part, at, rows, take, err);
        first += take;
        n -= take;
        rows += take * f->row_bytes;
    }
    return status;
}

/* ---- as they come ----------------------------------------------------------------------------- */

/* Whether the rows of a tensor can go as they come. Those before it must be of an even number where they lie
 * one after the other; those that it shares words with must be there. */
static bool can_go(const matrix_feed *f, uint32_t tensor)
{
    const matrix_source *s = &f->source;
    if (s->order == MATRIX_INTERLEAVED) {
        for (uint32_t i = 0; i < s->n_tensors; i++)
            if (i != tensor && !f->whole[i])
                return false;
        return true;
    }
    for (uint32_t i = 0; i + 1 < s->n_tensors; i++)
        if (s->tensors[i]->rows % 2)
            return false;
    return true;
}

/* Rows of the other tensors, for what the stage holds of this one. */
static void add_others(matrix_feed *f, uint64_t n)
{
    const matrix_source *s = &f->source;
    for (uint32_t t = 0; s->order == MATRIX_INTERLEAVED && t < s->n_tensors; t++)
        for (uint64_t i = 0; t != f->current && i < n; i++)
            memcpy(f->rows + (i * s->n_tensors + t) * f->row_bytes, f->whole[t] + (f->first + i) * f->row_bytes,
                   (size_t)f->row_bytes);
}

/* Row `row` of the tensor that comes: its place in the stage. */
static uint8_t *stage_row(const matrix_feed *f, uint64_t first_place, uint64_t row)
{
    return f->rows + (matrix_place_of(&f->source, f->current, row) - first_place) * f->row_bytes;
}

/* Where the stage's rows begin in the matrix: a tensor's units keep their order. */
static uint64_t first_place_of(const matrix_feed *f)
{
    const matrix_source *s = &f->source;
    uint64_t first = 0;
    if (s->order == MATRIX_INTERLEAVED)
        return f->first * s->n_tensors;
    for (uint32_t i = 0; i < f->current; i++)
        first += s->tensors[i]->rows;
    return first + f->first;
}

static ingle_status take_rows(matrix_feed *f, recorder *r, uint32_t tensor, const uint8_t *bytes, size_t n, ingle_error *err)
{
    const uint64_t rows = f->source.tensors[tensor]->rows;
    ingle_status status = f->taken[tensor] == 0 ? open_stage(f, tensor, unit_rows(f, tensor), rows, err) : INGLE_OK;
    while (status == INGLE_OK && n > 0) {
        const uint64_t place = first_place_of(f), row = f->taken[tensor] / f->row_bytes;
        const uint64_t at = f->taken[tensor] % f->row_bytes, left = f->row_bytes - at;
        const size_t take = left < n ? (size_t)left : n;
        memcpy(stage_row(f, place, row) + at, bytes, take);
        bytes += take;
        n -= take;
        f->taken[tensor] += take;
        if (take < left || (row + 1 < f->first + f->n && row + 1 < rows))
            continue;
        const uint64_t there = row + 1 - f->first;
        add_others(f, there);
        status = write_stage(f, r, place, there * rows_each(f), err);
        f->first = row + 1;
    }
    if (f->taken[tensor] == tensor_bytes(f, tensor))
        free_stage(f);
    return status;
}

/* ---- held ------------------------------------------------------------------------------------- */

static ingle_status hold(matrix_feed *f, uint32_t tensor, const uint8_t *bytes, size_t n, bool stays, ingle_error *err)
{
    if (stays) {
        f->whole[tensor] = bytes;
        f->taken[tensor] = n;
        return INGLE_OK;
    }
    const uint64_t all = tensor_bytes(f, tensor);
    if (!f->held[tensor])
        f->held[tensor] = all <= SIZE_MAX / 2 ? mem_alloc(&f->allocator, (size_t)all) : NULL;
    if (!f->held[tensor])
        return error_memory(err, (size_t)all, "weights that wait for others");
    memcpy(f->held[tensor] + f->taken[tensor], bytes, n);
    f->taken[tensor] += n;
    f->whole[tensor] = f->taken[tensor] == all ? f->held[tensor] : NULL;
    return INGLE_OK;
}

/* All rows, wherever they come from. */
static ingle_status write_all(matrix_feed *f, recorder *r, ingle_error *err)
{
    const uint64_t even = f->matrix->rows + f->matrix->rows % 2;
    ingle_status status = open_stage(f, 0, 2, even, err);
    const uint64_t step = f->n;
    for (uint64_t at = 0; status == INGLE_OK && at < f->matrix->rows; at += step) {
        const uint64_t left = f->matrix->rows - at, n = left < step ? left : step;
        for (uint64_t i = 0; i < n; i++) {
            uint32_t t;
            const uint64_t row = matrix_row_of(&f->source, at + i, &t);
            memcpy(f->rows + i * f->row_bytes, f->whole[t] + row * f->row_bytes, (size_t)f->row_bytes);
        }
        status = write_stage(f, r, at, n, err);
    }
    free_stage(f);
    return status;
}

ingle_status matrix_feed_take(matrix_feed *f, recorder *r, uint32_t tensor, const uint8_t *bytes, size_t n, bool stays,
                              ingle_error *err)
{
    ingle_status status;
    if (n > tensor_bytes(f, tensor) - f->taken[tensor])
        return error_set(err, INGLE_ERR_FORMAT, "tensor %.100s: more bytes than it has", f->source.tensors[tensor]->name);
    const bool goes = can_go(f, tensor);
    if (goes)
        status = take_rows(f, r, tensor, bytes, n, err);
    else
        status = hold(f, tensor, bytes, n, stays, err);
    if (status == INGLE_OK && matrix_feed_full(f)) {
        if (!goes)
            status = write_all(f, r, err);
        free_held(f);
    }
    return status;
}
