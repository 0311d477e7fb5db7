/* What the core asks of a host: files as memory, threads, time. One implementation is linked:
 * host_posix.c and cache_posix.c natively. Nothing else in src/ touches a file, a clock or a thread. */
#ifndef INGLE_HOST_HOST_H
#define INGLE_HOST_HOST_H

#include "ingle.h"

/* A file mapped read-only. Its pages are the file's own, so they cost no memory of ours. */
typedef struct {
    const uint8_t *bytes; // [size], never NULL while mapped
    uint64_t size;
} host_file;

ingle_status host_file_map(host_file *out, const char *path, ingle_error *err);
void host_file_unmap(host_file *f); // {0} is a no-op

/* Small files of the user's that may be gone tomorrow: in $XDG_CACHE_HOME/ingle or ~/.cache/ingle. read: how many bytes
 * there are; 0: none, more than `most`, or not to be had. write: whole or not at all; it may fail in silence. */
size_t host_cache_read(const char *name, void *to, size_t most);
void host_cache_write(const char *name, const void *from, size_t n);

/* Says that these bytes of a mapped file are not needed in memory for now; they come back when read.
 * Only for host_file_map's memory: anywhere else bytes would be lost. */
void host_file_forget(const void *bytes, size_t n);

/* Asks for large pages behind a big block, where the system has them. */
void host_large_pages(void *block, size_t bytes);

/* Asks the system for the use of AMX tiles, which it gives to those who ask; true if it does. */
bool host_allow_tiles(void);

/* A shared library of the system's, opened at run time. NULL where there is none of that name; err
 * (may be NULL) says why. A symbol is cast to its own type by who asked for it; NULL = not there. */
typedef struct host_library host_library;
typedef void host_function(void);

host_library *host_library_open(const char *path, ingle_error *err); // ERR_IO
host_function *host_library_symbol(host_library *l, const char *name);
void host_library_close(host_library *l); // NULL is a no-op

/* Threads. start returns NULL when the system gives none; the caller goes on with fewer. */
typedef struct host_thread host_thread;

host_thread *host_thread_start(void (*run)(void *arg), void *arg);
void host_thread_join(host_thread *t); // NULL is a no-op

/* Sleeps while *address == value, at most until a wake (it may also return early); wakes all. */
void host_wait(uint32_t *address, uint32_t value);
void host_wake(uint32_t *address);
void host_relax(void); // one turn of a spin loop

uint32_t host_core_count(void);      // physical cores this process may use, >= 1
uint32_t host_processor_count(void); // hardware threads it may use, >= that: more workers only wait
double host_now_ms(void);       // monotonic

/* Instructions that not every 64-bit Arm processor has, which only the system can tell: a set of
 * these bits. There on that architecture only. */
enum { HOST_ARM_DOTPROD = 1, HOST_ARM_I8MM = 2 };
unsigned host_arm_features(void);

/* Local time, for templates that print the date. */
typedef struct {
    int year, month, day, hour, minute, second; // month, day from 1
} host_date;

host_date host_local_date(void);

#endif
