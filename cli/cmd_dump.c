/* ingle dump: one tensor, dequantised in pieces, so that memory stays small whatever its size. */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "floats.h"
#include "setup.h"

enum { PIECE = 1 << 16 }; // a multiple of every format's block

static bool find_tensor(const ingle_model *model, const char *name, ingle_tensor *t)
{
    for (size_t i = 0; i < ingle_model_tensor_count(model); i++)
        if (ingle_model_tensor(model, i, t) && strcmp(t->name, name) == 0)
            return true;
    return false;
}

static ingle_status dump(const ingle_model *model, const ingle_tensor *t, ingle_error *err)
{
    float *values = malloc(PIECE * sizeof *values);
    if (!values)
        return out_error(err, INGLE_ERR_MEMORY, "no room for %d values", PIECE);
    ingle_status status = INGLE_OK;
    for (uint64_t first = 0; status == INGLE_OK && first < t->n_values; first += PIECE) {
        const uint64_t left = t->n_values - first, n = left < PIECE ? left : PIECE;
        status = ingle_model_tensor_read(model, t->name, first, n, values, err);
        if (status == INGLE_OK && term_interrupted())
            status = out_error(err, INGLE_ERR_CANCELLED, "interrupted");
        if (status == INGLE_OK)
            floats_write(values, (size_t)n);
    }
    free(values);
    return status;
}

int cmd_dump(const options *o)
{
    setup_model m;
    ingle_tensor t;
    ingle_error err;
    int code = setup_open(&m, o);
    if (code != EXIT_DONE)
        return code;
    if (!find_tensor(m.model, o->argument, &t))
        code = out_failf(o->argument, INGLE_ERR_USAGE,
                         "%.100s has no such tensor; ingle info lists them", m.name);
    else if (dump(m.model, &t, &err) != INGLE_OK)
        code = out_fail(o->argument, &err);
    setup_close(&m);
    return code;
}
