#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *counted_resize(void *user, void *ptr, size_t bytes)
{
    test_memory *m = user;
    if (bytes == 0) {
        m->live -= ptr != NULL;
        free(ptr);
        return NULL;
    }
    m->requests++;
    if (m->fail_at && (m->forever ? m->requests >= m->fail_at : m->requests == m->fail_at))
        return NULL;
    void *p = realloc(ptr, bytes);
    m->live += p && !ptr;
    return p;
}

ingle_allocator test_allocator(test_memory *m)
{
    return (ingle_allocator){counted_resize, m};
}

long test_every_allocation(ingle_status (*work)(void *user, const ingle_allocator *a), void *user)
{
    for (int forever = 0; forever < 2; forever++) {
        for (long n = 1;; n++) {
            test_memory m = {.fail_at = n, .forever = forever};
            const ingle_allocator a = test_allocator(&m);
            const ingle_status status = work(user, &a);
            const bool failed = m.requests >= n;
            if ((status != INGLE_OK && status != INGLE_ERR_MEMORY) || m.live != 0 ||
                (!failed && status != INGLE_OK)) {
                printf("allocation %ld (%s) failed: %s, %ld blocks left\n", n,
                       forever ? "and all later" : "once", ingle_status_name(status), m.live);
                return -1;
            }
            if (!failed) {
                if (forever)
                    return n - 1;
                break;
            }
        }
    }
    return 0;
}

uint64_t test_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

float test_random_float(uint64_t *state)
{
    return (float)(test_random(state) >> 40) * (1.0f / 8388608.0f) - 1.0f;
}

char *test_read_file(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    fseek(f, 0, SEEK_END);
    const long size = ftell(f);
    rewind(f);
    char *bytes = size < 0 ? NULL : malloc((size_t)size + 1);
    if (bytes) {
        *n = fread(bytes, 1, (size_t)size, f);
        bytes[*n] = 0;
    }
    fclose(f);
    return bytes;
}

bool test_file_exists(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f)
        fclose(f);
    return f != NULL;
}

const char *test_find_model(const char *name)
{
    static char path[1024];
    const char *home = getenv("HOME"), *set = getenv("INGLE_MODELS");
    char cache[512];
    snprintf(cache, sizeof cache, "%s/.cache/ingle", home ? home : "");
    const char *folders[] = {set, "models", "../shared/models", cache};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (!folders[i])
            continue;
        snprintf(path, sizeof path, "%s/%s", folders[i], name);
        if (test_file_exists(path))
            return path;
    }
    return NULL;
}

const char *test_find_dawn(void)
{
    static const char installed[] = "build/gpu/node_modules/bun-webgpu-linux-x64/libwebgpu_wrapper.so";
    const char *const named = getenv("INGLE_DAWN");
    return named && *named ? named : test_file_exists(installed) ? installed : NULL;
}

ingle_status test_feed(test_feeder feed, void *to, const char *bytes, size_t n, size_t chunk, uint64_t seed,
                       ingle_error *err)
{
    for (size_t at = 0; at < n;) {
        size_t take = chunk ? chunk : (size_t)(test_random(&seed) % ((uint64_t)1 << test_random(&seed) % 18));
        take = take < n - at ? take : n - at;
        char *copy = malloc(take ? take : 1);
        memcpy(copy, bytes + at, take);
        const ingle_status status = feed(to, copy, take, err);
        free(copy);
        if (status != INGLE_OK)
            return status;
        at += take;
    }
    return INGLE_OK;
}
