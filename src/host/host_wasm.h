/* The WebAssembly host's own side: what JavaScript tells it. exports.c passes these on. */
#ifndef INGLE_HOST_HOST_WASM_H
#define INGLE_HOST_HOST_WASM_H

#include <stddef.h>
#include <stdint.h>

enum { HOST_WASM_WORKERS = 63, HOST_WASM_STACK = 256 * 1024 };

void host_wasm_set_cores(uint32_t n);
uint32_t host_wasm_threads(void); // the leader and the workers added
uint32_t host_wasm_worker_stack(void);
void host_wasm_worker_add(uint32_t slot);
void host_wasm_worker(uint32_t slot);
void host_wasm_workers_stop(void);
void host_wasm_log(const char *text, size_t n);

#endif
