/* Known answers: before a device computes for anybody, each kind of kernel that the graph needs, on each
 * format in use, computes something small whose result is known, in the modes of the moment. gpu.c demotes
 * modes that fail. */
#ifndef INGLE_GPU_SELFTEST_H
#define INGLE_GPU_SELFTEST_H

#include "gpu/gpu_impl.h"

/* Data to the device; kernels and a section that is run once they are compiled. */
ingle_status selftest_open(gpu_selftest **out, gpu *g, ingle_error *err);

/* Runs the section and asks for the results; then compares them. INGLE_WAIT. ERR_DEVICE: a result is wrong, and
 * which. */
ingle_status selftest_check(gpu_selftest *t, gpu *g, ingle_error *err);

void selftest_close(gpu_selftest *t, gpu *g); // NULL is a no-op

#endif
