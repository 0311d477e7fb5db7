/* What the GPU backend asks of a host: an adapter's limits, and someone to carry tapes out.
 *
 * Implementations: player_native.c (Dawn, loaded at run time), player_wasm.c (JavaScript's player,
 * js/src/player.ts), player_null.c (no GPU: checks everything, computes nothing). */
#ifndef INGLE_GPU_PLAYER_H
#define INGLE_GPU_PLAYER_H

#include "gpu/tape.h"

typedef struct {
    char name[128]; // of the adapter, for people
    uint64_t max_buffer, max_binding;      // bytes
    uint32_t max_workgroup_memory;         // bytes
    uint32_t max_workgroup_threads;        // in all, and in x
    uint32_t max_groups;                   // workgroups a dimension
    uint32_t max_bindings;                 // storage buffers a kernel
    uint32_t subgroup_min, subgroup_max;   // threads; 0 = no subgroups
    uint32_t f16, packed_dot, timestamps;  // features: 0 or 1
    uint32_t software;                     // 1: the adapter is the CPU
    uint32_t matrices;                     // 1: all subgroups are of 32 and multiply 16 x 16 x 16, f16 with sums in f32
} gpu_limits;

/* One device. play and wait are called by one thread at a time. After ERR_DEVICE_LOST every call
 * gives that again, and the player can only be closed. */
typedef struct gpu_player {
    void *user;
    gpu_limits limits;

    /* Carries out words [n], n > 0. It may return before the GPU has done anything. It stops at a command
     * that fails: those before it are carried out, the others not.
     * ERR_MEMORY: a buffer could not be had; ERR_DEVICE: the device refused a call (its own text
     * follows), or a kernel is needed that did not compile; ERR_DEVICE_LOST; ERR_INTERNAL: the tape is wrong. */
    ingle_status (*play)(void *user, const uint32_t *words, size_t n, ingle_error *err);

    /* INGLE_OK when the ticket's command has been answered. A host that can block does so; one that
     * cannot gives INGLE_WAIT until it is: the caller returns to the host and asks again later. A
     * ticket answers once. *answer (may be NULL) is a STAMP's nanoseconds. Errors as for play. */
    ingle_status (*wait)(void *user, uint32_t ticket, uint64_t *answer, ingle_error *err);

    void (*close)(void *user); // frees the device and all buffers
    bool blind;                // it computes nothing: no self-test makes sense

    /* A few KB that are kept for this adapter from one device to the next, where the host can: what was last
     * remembered, how many bytes (0: nothing, or more than `most`). NULL: it cannot. */
    size_t (*recall)(void *user, void *to, size_t most);
    void (*remember)(void *user, const void *bytes, size_t n);
} gpu_player;

/* Carries out nothing. Checks every tape it gets against `limits`: numbers, states, ranges,
 * alignments, overlaps of what a dispatch writes with what it reads, grids. A fault is ERR_INTERNAL
 * and names command and object. Counts what a device would have done. Buffers have no memory: READ
 * gives zeros, STAMP 0. limits NULL: what every WebGPU device has. */
typedef struct {
    uint64_t buffers, buffer_bytes, most_bytes; // alive; bytes alive; most bytes ever alive
    uint64_t groups, group_numbers;             // alive; numbers that groups were ever given
    uint64_t pipelines, dispatches, passes, submits, written, read;
} gpu_null_counts;

ingle_status gpu_null_open(gpu_player *out, const gpu_limits *limits, const ingle_allocator *a, ingle_error *err);
const gpu_null_counts *gpu_null_get_counts(const gpu_player *p);

/* Dawn through its C interface. library: path of the shared library; NULL: $INGLE_DAWN, then
 * libwebgpu_dawn.so where the system looks for libraries. adapter: part of the wanted adapter's name,
 * NULL = the fastest. f16: whether to ask for it. ERR_DEVICE: no library, no adapter, or none that
 * does what is needed, and why. */
typedef struct {
    const char *library, *adapter;
    bool no_f16, no_subgroups; // as if the adapter had none
    uint64_t max_buffer, max_binding; // ask for no more than this; 0 = all there is
} gpu_native_options;

/* The host's own player: player_native.c with the options' defaults, or the one that JavaScript offers. */
ingle_status gpu_host_open(gpu_player *out, const ingle_allocator *a, ingle_error *err);
bool gpu_host_offers(void); // whether sessions use it unasked

ingle_status gpu_native_open(gpu_player *out, const gpu_native_options *opt, const ingle_allocator *a, ingle_error *err);

/* Has the device go away, as a crashed driver would: for tests of what happens then. */
void gpu_native_lose(gpu_player *p);

/* Appends a line an adapter: its name and what it offers. ERR_DEVICE: there is none, and why. */
ingle_status gpu_native_list(ingle_text *out, const char *library, ingle_error *err);

#endif
