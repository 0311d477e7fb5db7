/* What tests of the GPU share: a device to run on, buffers filled and read back. */
#ifndef INGLE_GPU_SUPPORT_H
#define INGLE_GPU_SUPPORT_H

#include "gpu/recorder.h"

/* Opens the host's device: Dawn's library from INGLE_DAWN or where make gpu-tools puts it. False, after
 * saying why on one line, when there is none. */
bool test_gpu_open(gpu_player *p, const gpu_native_options *opt, const char *test);

/* The modes to test on a device, most able first; how many of at most 4. */
size_t test_gpu_modes(const gpu_limits *l, gpu_modes out[4]);

gpu_slice test_gpu_buffer(recorder *r, const void *from, size_t bytes, const char *label); // played at once
/* Carries out the dispatches of the section that is open, once their kernels are compiled. */
bool test_gpu_run(recorder *r, uint32_t section);
/* Submits, waits, copies n bytes to `to`; false after printing an error. */
bool test_gpu_read(recorder *r, gpu_slice from, void *to, size_t bytes);

/* Seconds that each of n sections takes, the best of three runs of about 4 ms if it takes about `about` seconds, by the
 * GPU's clock. All are compiled first, then queued without a gap behind some work: a GPU that waits lowers its clock,
 * and the figures would be of that. False after printing an error. */
enum { TEST_GPU_MOST_TIMED = 128 };
bool test_gpu_time(recorder *r, const uint32_t *sections, size_t n, double about, double *seconds);

#endif
