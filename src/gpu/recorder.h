/* Recording: buffers, kernels and dispatches by name become a tape, which is played. A device has one
 * recorder, which numbers everything on it.
 *
 * Kernels with the same recipe are one pipeline, bindings that are the same one group. Failures are
 * sticky: after one, calls do nothing, and recorder_play reports it. */
#ifndef INGLE_GPU_RECORDER_H
#define INGLE_GPU_RECORDER_H

#include "gpu/player.h"
#include "gpu/shader.h"

enum { GPU_ALIGN = 256 }; // of bindings' offsets

/* Bytes of a buffer. */
typedef struct {
    uint32_t buffer;
    uint64_t offset, bytes;
} gpu_slice;

/* A buffer for a kernel's binding. */
typedef struct {
    const char *name;
    gpu_slice slice;
} gpu_bind;

/* How kernels are written for this device: chosen once, by tests or by measuring. */
typedef struct {
    uint32_t subgroup; // threads that a kernel may count on; 0: no subgroup operations
    bool f16;          // a prompt's products in f16, by subgroup matrices
    bool dot_int8;     // activations in int8, products by dot4I8Packed; else in f32
    bool rolled;       // kernels that compile soon rather than run fast: for adapters that are the CPU
} gpu_modes;

typedef struct recorder_kernel recorder_kernel;
typedef struct recorder_group recorder_group;

typedef struct {
    ingle_allocator allocator;
    gpu_player *player;
    gpu_modes modes;
    tape tape;    // not yet played
    tape section; // dispatches of the open section
    bool in_section;
    uint32_t open_section;
    recorder_kernel *kernels;
    recorder_group *groups;
    size_t n_kernels, kernels_capacity, groups_capacity;
    uint32_t n_groups, dead_group; // first of the numbers whose groups FREE killed; UINT32_MAX: none
    size_t n_played; // kernels whose source has gone to the player
    uint32_t n_buffers, n_sections, n_tickets;
    uint32_t *free_buffers; // numbers that FREE gave back
    size_t n_free, free_capacity;
    uint32_t *free_sections; // numbers that recorder_drop_section gave back
    size_t n_free_sections, free_sections_capacity;
    ingle_text *listing; // each dispatch is also written here for people; NULL = not
    ingle_error error;   // sticky
    bool broken;         // what was recorded has not all been played: the error stays
} recorder;

void recorder_init(recorder *r, gpu_player *p, const gpu_modes *modes, const ingle_allocator *a);
void recorder_free(recorder *r); // what it recorded stays with the player

/* A buffer of bytes (rounded up to GPU_ALIGN), all of it. */
gpu_slice recorder_buffer(recorder *r, uint64_t bytes, const char *label);
void recorder_drop(recorder *r, gpu_slice *whole); // gives the buffer back; *whole = {0}
gpu_slice gpu_part(gpu_slice s, uint64_t offset, uint64_t bytes);

/* from [bytes] must stay until the next recorder_play. */
void recorder_write(recorder *r, gpu_slice to, const void *from, size_t bytes);

/* A kernel; takes the shader and frees it. */
uint32_t recorder_kernel_of(recorder *r, shader *s, const char *label);

/* binds [n]: a slice for each of the kernel's bindings, in any order; others are left alone, so that
 * callers may offer more than a variant uses. In a section if one is open, else at once. */
void recorder_dispatch(recorder *r, uint32_t kernel, const gpu_bind *binds, size_t n, uint64_t x, uint64_t y,
                       uint64_t z);

uint32_t recorder_section(recorder *r); // opens one: its number
void recorder_section_again(recorder *r, uint32_t section); // opens one that replaces it
void recorder_section_end(recorder *r);
void recorder_drop_section(recorder *r, uint32_t section); // the number is given again
void recorder_run(recorder *r, uint32_t section, uint32_t times);

void recorder_copy(recorder *r, gpu_slice from, gpu_slice to); // from.bytes
uint32_t recorder_read(recorder *r, gpu_slice from, void *to); // ticket; `to` stays until it is answered
uint32_t recorder_ready(recorder *r);                           // ticket: all kernels are compiled
uint32_t recorder_stamp(recorder *r);                           // ticket: GPU time
void recorder_submit(recorder *r);

/* Plays what has been recorded since the last time. */
ingle_status recorder_play(recorder *r, ingle_error *err);
/* Forgets an error that came from what was asked for and not from the device, so that others can go on
 * with it: what was recorded before is played then. False if that cannot be. */
bool recorder_recover(recorder *r);
ingle_status recorder_wait(recorder *r, uint32_t ticket, uint64_t *answer, ingle_error *err);

#endif
