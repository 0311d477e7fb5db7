/* The player of WebAssembly: JavaScript's (js/src/player.ts), through the imports of module `gpu`.
 * JavaScript asks for a device, which takes a while, before the core opens it here; there is one at a
 * time, and it goes with close. It cannot block: wait gives INGLE_WAIT, the core returns to JavaScript,
 * which comes back when something was answered.
 *
 *   gpu.open(p) -> status           takes the device that JavaScript has, writes a gpu_limits to p; p = 0:
 *                                   only says whether there is one that nobody has taken
 *   gpu.play(words, n) -> status    as gpu_player's play
 *   gpu.wait(ticket, p) -> status   0: answered, nanoseconds written to p unless it is 0; WAIT: not yet
 *   gpu.failure(p, most) -> n       text of the last status that was neither, UTF-8
 *   gpu.close()
 *   gpu.recall(p, most) -> n        what is kept for this adapter, as gpu_player's recall
 *   gpu.remember(p, n)              keeps it */
#include "gpu/player.h"

#include "base/error.h"

#define IMPORT(name) __attribute__((import_module("gpu"), import_name(#name)))

IMPORT(open) int gpu_import_open(gpu_limits *limits);
IMPORT(play) int gpu_import_play(const uint32_t *words, size_t n);
IMPORT(wait) int gpu_import_wait(uint32_t ticket, uint64_t *answer);
IMPORT(failure) size_t gpu_import_failure(char *to, size_t most);
IMPORT(close) void gpu_import_close(void);
IMPORT(recall) size_t gpu_import_recall(void *to, size_t most);
IMPORT(remember) void gpu_import_remember(const void *bytes, size_t n);

/* js/src/gpu.ts writes it field by field. */
_Static_assert(offsetof(gpu_limits, max_buffer) == 128 && offsetof(gpu_limits, max_binding) == 136 &&
                   offsetof(gpu_limits, max_workgroup_memory) == 144 && offsetof(gpu_limits, max_workgroup_threads) == 148 &&
                   offsetof(gpu_limits, max_groups) == 152 && offsetof(gpu_limits, max_bindings) == 156 &&
                   offsetof(gpu_limits, subgroup_min) == 160 && offsetof(gpu_limits, subgroup_max) == 164 &&
                   offsetof(gpu_limits, f16) == 168 && offsetof(gpu_limits, packed_dot) == 172 &&
                   offsetof(gpu_limits, timestamps) == 176 && offsetof(gpu_limits, software) == 180 &&
                   offsetof(gpu_limits, matrices) == 184 && sizeof(gpu_limits) == 192,
               "gpu_limits is not what gpu.ts writes");

static ingle_status status_of(int status, ingle_error *err)
{
    if (status == INGLE_OK || status == INGLE_WAIT)
        return (ingle_status)status;
    char text[sizeof err->text];
    const size_t n = gpu_import_failure(text, sizeof text);
    return error_set(err, (ingle_status)status, "%.*s", (int)n, text);
}

static ingle_status play(void *user, const uint32_t *words, size_t n, ingle_error *err)
{
    (void)user;
    return status_of(gpu_import_play(words, n), err);
}

static ingle_status wait(void *user, uint32_t ticket, uint64_t *answer, ingle_error *err)
{
    (void)user;
    return status_of(gpu_import_wait(ticket, answer), err);
}

static void close(void *user)
{
    (void)user;
    gpu_import_close();
}

static size_t recall(void *user, void *to, size_t most)
{
    (void)user;
    return gpu_import_recall(to, most);
}

static void remember(void *user, const void *bytes, size_t n)
{
    (void)user;
    gpu_import_remember(bytes, n);
}

ingle_status gpu_host_open(gpu_player *out, const ingle_allocator *a, ingle_error *err)
{
    (void)a;
    *out = (gpu_player){0};
    const ingle_status status = status_of(gpu_import_open(&out->limits), err);
    if (status == INGLE_OK)
        *out = (gpu_player){.limits = out->limits, .play = play, .wait = wait, .close = close,
                            .recall = recall, .remember = remember};
    return status;
}

bool gpu_host_offers(void)
{
    return true; // this build has no other backend
}
