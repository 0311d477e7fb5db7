/* A device of Dawn's: the library, its functions, the adapter, what went wrong. Owns these and knows
 * nothing of tapes. */
#ifndef INGLE_GPU_DAWN_H
#define INGLE_GPU_DAWN_H

#include <stdatomic.h>

#include "gpu/dawn_abi.h"
#include "gpu/player.h"
#include "host/host.h"

/* The first trouble since it was last asked for. Dawn may report from threads of its own. */
typedef struct {
    atomic_int state; // DAWN_FAULT_...
    uint32_t type;
    char text[200];
} dawn_fault;

enum { DAWN_FAULT_NONE, DAWN_FAULT_WRITING, DAWN_FAULT_THERE };

/* Must not move while it is open: callbacks have its address. */
typedef struct {
    dawn_calls call;
    dawn_instance instance;
    dawn_adapter adapter;
    dawn_device device;
    dawn_queue queue;
    dawn_fault error, lost;
    bool closing; // the device is being given up on purpose
} dawn;

ingle_status dawn_open(dawn *d, gpu_limits *limits, const gpu_native_options *opt, ingle_error *err);
void dawn_close(dawn *d); // of what dawn_open made, or {0}

/* Has the device go away. */
void dawn_lose(dawn *d);

/* A line an adapter, with what it has. */
ingle_status dawn_list(ingle_text *out, const char *library, ingle_error *err);

/* Waits until the future's callback has run. */
void dawn_wait(dawn *d, dawn_future future);

/* What Dawn has complained about since last time: ERR_MEMORY, ERR_DEVICE or ERR_DEVICE_LOST. what and
 * label say what was being done, label NULL = nothing in particular. */
ingle_status dawn_check(dawn *d, const char *what, const char *label, ingle_error *err);

/* The start of a message, on one line, NUL-terminated. */
void dawn_copy_text(char *out, size_t size, dawn_text message);

#endif
