/* In the WebAssembly builds for CPUs, in place of src/gpu: what sessions ask of the GPU backend, refused (see
 * absent_cpu.c). */
#include "base/error.h"
#include "gpu/gpu.h"

static ingle_status refuse(ingle_error *err)
{
    return error_set(err, INGLE_ERR_DEVICE, "this build of ingle computes on the CPU only");
}

ingle_status gpu_host_open(gpu_player *out, const ingle_allocator *a, ingle_error *err)
{
    (void)a;
    *out = (gpu_player){0};
    return refuse(err);
}

bool gpu_host_offers(void)
{
    return false;
}

ingle_status gpu_plan(const graph *g, const gpu_options *opt, gpu_needs *out, ingle_error *err)
{
    (void)g, (void)opt;
    *out = (gpu_needs){0};
    return refuse(err);
}

const char *gpu_name(const gpu *g)
{
    (void)g;
    return "none";
}

const char *gpu_notes(const gpu *g)
{
    (void)g;
    return "";
}

ingle_status gpu_ready(gpu *g, ingle_error *err)
{
    (void)g;
    return refuse(err);
}

ingle_status gpu_pass_most(gpu *g, size_t *n, ingle_error *err)
{
    (void)g, (void)n;
    return refuse(err);
}

ingle_status gpu_run(gpu *g, const int32_t *ids, size_t n, size_t first, ingle_error *err)
{
    (void)g, (void)ids, (void)n, (void)first;
    return refuse(err);
}

ingle_status gpu_logits(gpu *g, size_t row, const float **logits, ingle_error *err)
{
    (void)g, (void)row;
    *logits = NULL;
    return refuse(err);
}

bool gpu_can_sample(const gpu *g, const ingle_sampling *s)
{
    (void)g, (void)s;
    return false;
}

ingle_status gpu_sample_begin(gpu *g, const ingle_sampling *s, const int32_t *ids, size_t n, uint32_t n_draws,
                              ingle_error *err)
{
    (void)g, (void)s, (void)ids, (void)n, (void)n_draws;
    return refuse(err);
}

ingle_status gpu_queue(gpu *g, uint32_t n, ingle_error *err)
{
    (void)g, (void)n;
    return refuse(err);
}

size_t gpu_queued(const gpu *g)
{
    (void)g;
    return 0;
}

ingle_status gpu_take(gpu *g, int32_t *id, ingle_error *err)
{
    (void)g;
    *id = -1;
    return refuse(err);
}
