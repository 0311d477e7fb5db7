/* The host contract in WebAssembly. There are no files here. Threads are JavaScript workers that run
 * the same module on the same memory: each sits in host_wasm_worker, asleep in its slot, until a
 * pool asks for a thread; without shared memory there are none. Only the leader allocates: the C
 * library's allocator has no lock. */
#include "host/host.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "host/host_wasm.h"

#define IMPORT(name) __attribute__((import_module("host"), import_name(#name)))

IMPORT(now) double host_import_now(void);
IMPORT(date) void host_import_date(int32_t *out);
IMPORT(log) void host_import_log(const char *text, size_t n);

ingle_status host_file_map(host_file *out, const char *path, ingle_error *err)
{
    *out = (host_file){0};
    return error_set(err, INGLE_ERR_IO, "%.150s: there are no files here", path);
}

void host_file_unmap(host_file *f)
{
    *f = (host_file){0};
}

void host_file_forget(const void *bytes, size_t n)
{
    (void)bytes, (void)n;
}

void host_large_pages(void *block, size_t bytes)
{
    (void)block, (void)bytes;
}

host_library *host_library_open(const char *path, ingle_error *err)
{
    error_set(err, INGLE_ERR_IO, "%.150s: there are no libraries here", path);
    return NULL;
}

host_function *host_library_symbol(host_library *l, const char *name)
{
    (void)l, (void)name;
    return NULL;
}

void host_library_close(host_library *l)
{
    (void)l;
}

void host_wasm_log(const char *text, size_t n)
{
    host_import_log(text, n);
}

/* ---- threads ------------------------------------------------------------------------------ */

/* A worker's slot. The leader moves it from FREE to BUSY and to STOPPED, the worker from BUSY to
 * DONE, the leader's join back to FREE. */
enum { ABSENT, FREE, BUSY, DONE, STOPPED };

struct host_thread {
    _Atomic uint32_t state;
    void (*run)(void *arg);
    void *arg;
    char pad[64 - sizeof(uint32_t) - 2 * sizeof(void *)]; // a cache line each
};

static struct {
    host_thread slots[HOST_WASM_WORKERS];
    uint32_t cores;
} workers;

#ifdef __wasm_atomics__

void host_wait(uint32_t *address, uint32_t value)
{
    __builtin_wasm_memory_atomic_wait32((int *)address, (int)value, -1);
}

void host_wake(uint32_t *address)
{
    __builtin_wasm_memory_atomic_notify((int *)address, UINT32_MAX);
}

/* There is no pause instruction. A fence takes about as long: without it a thousand turns of a
 * spin loop last 0.3 us in V8 instead of some 30, and every phase would end in a sleep. */
void host_relax(void)
{
    for (int i = 0; i < 3; i++)
        atomic_thread_fence(memory_order_seq_cst);
}

static void set_state(host_thread *t, uint32_t state)
{
    t->state = state;
    host_wake((uint32_t *)&t->state);
}

void host_wasm_worker(uint32_t slot)
{
    if (slot >= HOST_WASM_WORKERS)
        return;
    host_thread *t = &workers.slots[slot];
    for (;;) {
        const uint32_t state = t->state;
        if (state == STOPPED)
            return;
        if (state != BUSY) {
            host_wait((uint32_t *)&t->state, state);
            continue;
        }
        t->run(t->arg);
        set_state(t, DONE);
    }
}

/* Stacks grow downwards from the address given. */
uint32_t host_wasm_worker_stack(void)
{
    uint8_t *block = malloc(HOST_WASM_STACK + 16);
    return block ? (uint32_t)((uintptr_t)(block + HOST_WASM_STACK) & ~(uintptr_t)15) : 0;
}

void host_wasm_worker_add(uint32_t slot)
{
    if (slot < HOST_WASM_WORKERS && workers.slots[slot].state == ABSENT)
        set_state(&workers.slots[slot], FREE);
}

void host_wasm_workers_stop(void)
{
    for (size_t i = 0; i < HOST_WASM_WORKERS; i++)
        set_state(&workers.slots[i], STOPPED);
}

host_thread *host_thread_start(void (*run)(void *arg), void *arg)
{
    for (size_t i = 0; i < HOST_WASM_WORKERS; i++) {
        host_thread *t = &workers.slots[i];
        if (t->state != FREE)
            continue;
        t->run = run;
        t->arg = arg;
        set_state(t, BUSY);
        return t;
    }
    return NULL;
}

void host_thread_join(host_thread *t)
{
    if (!t)
        return;
    for (uint32_t state = t->state; state == BUSY; state = t->state)
        host_wait((uint32_t *)&t->state, state);
    if (t->state == DONE)
        t->state = FREE;
}

#else

/* One thread never waits for another. */
void host_relax(void)
{
}

void host_wait(uint32_t *address, uint32_t value)
{
    (void)address, (void)value;
}

void host_wake(uint32_t *address)
{
    (void)address;
}

void host_wasm_worker(uint32_t slot)
{
    (void)slot;
}

uint32_t host_wasm_worker_stack(void)
{
    return 0;
}

void host_wasm_worker_add(uint32_t slot)
{
    (void)slot;
}

void host_wasm_workers_stop(void)
{
}

host_thread *host_thread_start(void (*run)(void *arg), void *arg)
{
    (void)run, (void)arg;
    return NULL;
}

void host_thread_join(host_thread *t)
{
    (void)t;
}

#endif

uint32_t host_wasm_threads(void)
{
    uint32_t n = 1;
    for (size_t i = 0; i < HOST_WASM_WORKERS; i++)
        n += workers.slots[i].state != ABSENT && workers.slots[i].state != STOPPED;
    return n;
}

void host_wasm_set_cores(uint32_t n)
{
    workers.cores = n;
}

uint32_t host_core_count(void)
{
    const uint32_t most = host_wasm_threads();
    return workers.cores == 0 || workers.cores > most ? most : workers.cores;
}

uint32_t host_processor_count(void)
{
    return host_wasm_threads(); // as many workers as JavaScript has started
}

/* ---- time --------------------------------------------------------------------------------- */

double host_now_ms(void)
{
    return host_import_now();
}

host_date host_local_date(void)
{
    int32_t d[6] = {1970, 1, 1, 0, 0, 0};
    host_import_date(d);
    return (host_date){d[0], d[1], d[2], d[3], d[4], d[5]};
}

/* ---- mathematics -------------------------------------------------------------------------- */

/* JavaScript's own functions take the place of the C library's, whose tables are a tenth of what a
 * page would download. Both are within an ulp of a double; what the core keeps of them are floats. */
#define MATH(name) __attribute__((import_module("math"), import_name(#name)))

MATH(cos) double math_import_cos(double x);
MATH(exp) double math_import_exp(double x);
MATH(expm1) double math_import_expm1(double x);
MATH(log) double math_import_log(double x);
MATH(pow) double math_import_pow(double x, double y);
MATH(sin) double math_import_sin(double x);
MATH(tanh) double math_import_tanh(double x);
IMPORT(remainder) double host_import_remainder(double x, double y); // % has no name in Math

double cos(double x)
{
    return math_import_cos(x);
}

double exp(double x)
{
    return math_import_exp(x);
}

float expf(float x)
{
    return (float)math_import_exp(x);
}

double expm1(double x)
{
    return math_import_expm1(x);
}

double fmod(double x, double y)
{
    return host_import_remainder(x, y);
}

/* A double has room for the product and the power, so that only the last step rounds. */
float ldexpf(float x, int n)
{
    const int most = 400; // any float is 0 or infinite long before
    n = n > most ? most : n < -most ? -most : n;
    const uint64_t bits = (uint64_t)(1023 + n) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return (float)(x * power);
}

double log(double x)
{
    return math_import_log(x);
}

float logf(float x)
{
    return (float)math_import_log(x);
}

/* C says that 1 to any power and any number to the power 0 is 1, also beside a NaN or an infinity. */
double pow(double x, double y)
{
    return x == 1 || (x == -1 && isinf(y)) ? 1 : math_import_pow(x, y);
}

double sin(double x)
{
    return math_import_sin(x);
}

double tanh(double x)
{
    return math_import_tanh(x);
}

float tanhf(float x)
{
    return (float)math_import_tanh(x);
}
