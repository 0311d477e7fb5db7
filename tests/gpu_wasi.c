/* gpu_native_open for test programs in WebAssembly: JavaScript's player under the name of the native one,
 * so that one program tests both. tests/gpu_program.mjs has the other end. */
#include "gpu/player.h"

#ifdef __wasm__

__attribute__((import_module("gpu_test"), import_name("options")))
void gpu_test_options(uint32_t no_f16, uint32_t no_subgroups, double max_buffer, double max_binding);

__attribute__((import_module("gpu_test"), import_name("lose"))) void gpu_test_lose(void);

ingle_status gpu_native_open(gpu_player *out, const gpu_native_options *opt, const ingle_allocator *a, ingle_error *err)
{
    const gpu_native_options none = {0}, *o = opt ? opt : &none;
    gpu_test_options(o->no_f16, o->no_subgroups, (double)o->max_buffer, (double)o->max_binding);
    return gpu_host_open(out, a, err);
}

void gpu_native_lose(gpu_player *p)
{
    (void)p;
    gpu_test_lose();
}

#endif
