/* In the WebAssembly build for GPUs, in place of src/cpu: what sessions ask of the CPU backend, refused. A page
 * downloads one build, and the kernels of the other backend would be half of it. */
#include "base/error.h"
#include "cpu/cpu.h"

static ingle_status refuse(ingle_error *err)
{
    return error_set(err, INGLE_ERR_DEVICE, "this build of ingle computes on GPUs only");
}

void cpu_shared_free(void *list)
{
    (void)list;
}

bool cpu_shared_row(const void *list, const void *data, uint64_t row, uint8_t *out)
{
    (void)list, (void)data, (void)row, (void)out;
    return false;
}

ingle_status cpu_open(cpu **out, const graph *g, const cpu_options *opt, cpu_shared **shared, const ingle_allocator *a,
                      ingle_error *err)
{
    (void)g, (void)opt, (void)shared, (void)a;
    *out = NULL;
    return refuse(err);
}

void cpu_close(cpu *c)
{
    (void)c;
}

ingle_status cpu_plan(const graph *g, const cpu_options *opt, cpu_needs *out, ingle_error *err)
{
    (void)g, (void)opt;
    *out = (cpu_needs){0};
    return refuse(err);
}

void cpu_run(cpu *c, const int32_t *ids, size_t n, size_t first)
{
    (void)c, (void)ids, (void)n, (void)first;
}

const float *cpu_head(cpu *c, size_t row, size_t n_rows)
{
    (void)c, (void)row, (void)n_rows;
    return NULL;
}

ingle_status cpu_measure_limits(cpu *c, cpu_limits *out, ingle_error *err)
{
    (void)c;
    *out = (cpu_limits){0};
    return refuse(err);
}

const char *cpu_path(const cpu *c)
{
    (void)c;
    return "none";
}

uint32_t cpu_threads(const cpu *c)
{
    (void)c;
    return 0;
}
