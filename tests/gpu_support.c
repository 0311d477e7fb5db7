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

enum { TIMED_ROUNDS = 3, WARM_RUNS = 60 };

bool test_gpu_time(recorder *r, const uint32_t *sections, size_t n, double about, double *seconds)
{
    static uint32_t from[TEST_GPU_MOST_TIMED * TIMED_ROUNDS], to[TEST_GPU_MOST_TIMED * TIMED_ROUNDS];
    ingle_error e = {0};
    const uint32_t ready = recorder_ready(r), times = (uint32_t)(4e-3 / about) + 1;
    bool good = n <= TEST_GPU_MOST_TIMED && recorder_play(r, &e) == INGLE_OK && recorder_wait(r, ready, NULL, &e) == INGLE_OK;
    for (uint32_t i = 0; i < WARM_RUNS; i++) {
        recorder_run(r, sections[0], times);
        recorder_submit(r);
    }
    for (size_t i = 0; good && i < n * TIMED_ROUNDS; i++) {
        from[i] = recorder_stamp(r);
        recorder_run(r, sections[i % n], times);
        to[i] = recorder_stamp(r);
        recorder_submit(r);
    }
    good = good && recorder_play(r, &e) == INGLE_OK;
    for (size_t i = 0; good && i < n * TIMED_ROUNDS; i++) {
        uint64_t t0 = 0, t1 = 0;
        good = recorder_wait(r, from[i], &t0, &e) == INGLE_OK && recorder_wait(r, to[i], &t1, &e) == INGLE_OK;
        const double now = (double)(t1 - t0) * 1e-9 / times;
        seconds[i % n] = i < n || now < seconds[i % n] ? now : seconds[i % n];
    }
    if (!good)
        printf("%s\n", e.text);
    return good;
}
