/* What is fastest on this device, found by measuring it: which modes (int8 or f32, subgroups or none), and how the
 * products of single tokens are cut. The model's own matrices are multiplied, a few milliseconds for each candidate, by
 * the device's clock; from the usual shape on, neighbours are tried as long as one is faster.
 *
 * Once a device and model: what was found stays on the matrices (gpu_matrix.shape), and the player may keep it for
 * loads to come. Nothing is measured without timestamps, or on adapters that are the CPU, whose kernels take long to
 * compile; `measure` of gpu_options says otherwise. */
#ifndef INGLE_GPU_TUNE_H
#define INGLE_GPU_TUNE_H

#include "gpu/gpu_impl.h"

/* Takes what is known from earlier loads; asks for the kernels to be measured, where something is not. */
ingle_status tune_recall(gpu *g, ingle_error *err);

/* Measures, once the kernels are compiled. INGLE_WAIT. OK: nothing is left to measure; *changed: kernels are to be made
 * anew. */
ingle_status tune_step(gpu *g, bool *changed, ingle_error *err);

/* Back to usual shapes: some of the others compute wrongly. False: there are no others. */
bool tune_forget(gpu *g);

void tune_close(gpu *g); // what a session has under way

#endif
