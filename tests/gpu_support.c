#include "gpu_support.h"

#include <stdio.h>
#include <stdlib.h>

#include "support.h"

#ifdef __wasi__
bool test_gpu_open(gpu_player *p, const gpu_native_options *opt, const char *test)
{
    (void)opt;
    ingle_error e = {0};
    if (gpu_host_open(p, NULL, &e) == INGLE_OK)
        return true;
    printf("skipped: %s: %s\n", test, e.text);
    return false;
}
#else
bool test_gpu_open(gpu_player *p, const gpu_native_options *opt, const char *test)
{
    gpu_native_options o = opt ? *opt : (gpu_native_options){0};
    o.library = o.library ? o.library : test_find_dawn();
    ingle_error e = {0};
    if (gpu_native_open(p, &o, NULL, &e) == INGLE_OK)
        return true;
    printf("skipped: %s: %s\n", test, e.text);
    return false;
}
#endif

size_t test_gpu_modes(const gpu_limits *l, gpu_modes out[4])
{
    const uint32_t subgroup = l->subgroup_min == l->subgroup_max ? l->subgroup_min : 0;
    size_t n = 0;
    for (int int8 = l->packed_dot ? 1 : 0; int8 >= 0; int8--)
        for (int groups = subgroup ? 1 : 0; groups >= 0; groups--)
            out[n++] = (gpu_modes){.subgroup = groups ? subgroup : 0, .dot_int8 = int8 != 0};
    return n;
}

gpu_slice test_gpu_buffer(recorder *r, const void *from, size_t bytes, const char *label)
{
    ingle_error e;
    const gpu_slice s = recorder_buffer(r, bytes, label);
    if (from)
        recorder_write(r, s, from, bytes);
    if (recorder_play(r, &e) != INGLE_OK)
        printf("%s: %s\n", label, e.text);
    return s;
}

bool test_gpu_run(recorder *r, uint32_t section)
{
    ingle_error e;
    recorder_section_end(r);
    const uint32_t ready = recorder_ready(r);
    bool ok = recorder_play(r, &e) == INGLE_OK && recorder_wait(r, ready, NULL, &e) == INGLE_OK;
    recorder_run(r, section, 1);
    recorder_submit(r);
    ok = ok && recorder_play(r, &e) == INGLE_OK;
    if (!ok)
        printf("a GPU test: %s\n", e.text);
    return ok;
}

bool test_gpu_read(recorder *r, gpu_slice from, void *to, size_t bytes)
{
    ingle_error e;
    const uint32_t ticket = recorder_read(r, gpu_part(from, 0, bytes), to);
    if (recorder_play(r, &e) == INGLE_OK && recorder_wait(r, ticket, NULL, &e) == INGLE_OK)
        return true;
    printf("a GPU test: %s\n", e.text);
    return false;
}
