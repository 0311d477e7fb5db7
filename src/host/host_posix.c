/* The host contract over POSIX and, where Linux has better, Linux. */
#include "host/host.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif
#ifdef __aarch64__
#ifdef __linux__
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif
#endif

#include "base/error.h"

ingle_status host_file_map(host_file *out, const char *path, ingle_error *err)
{
    *out = (host_file){0};
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a pipe is refused, not waited for
    if (fd < 0)
        return error_set(err, INGLE_ERR_IO, "%.150s: %s", path, strerror(errno));
    struct stat st;
    ingle_status status = INGLE_OK;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        status = error_set(err, INGLE_ERR_IO, "%.150s: not a regular file", path);
    } else if (st.st_size == 0) {
        status = error_set(err, INGLE_ERR_FORMAT, "%.150s: the file is empty", path);
    } else if ((uint64_t)st.st_size > SIZE_MAX / 2) {
        status = error_set(err, INGLE_ERR_MEMORY, "%.150s: %lld bytes are more than can be mapped",
                           path, (long long)st.st_size);
    } else {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            status = error_set(err, INGLE_ERR_IO, "%.150s: cannot map: %s", path, strerror(errno));
        else
            *out = (host_file){p, (uint64_t)st.st_size};
    }
    close(fd);
    return status;
}

void host_file_unmap(host_file *f)
{
    if (f->bytes)
        munmap((void *)(uintptr_t)f->bytes, (size_t)f->size);
    *f = (host_file){0};
}

/* The whole pages within a range; false if there is none. */
static bool inner_pages(const void *p, size_t n, void **first, size_t *bytes)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t at = ((uintptr_t)p + page - 1) / page * page, end = ((uintptr_t)p + n) / page * page;
    *first = (void *)at;
    *bytes = end > at ? end - at : 0;
    return *bytes > 0;
}

void host_file_forget(const void *bytes, size_t n)
{
    void *first;
    if (inner_pages(bytes, n, &first, &n))
        madvise(first, n, MADV_DONTNEED);
}

void host_large_pages(void *block, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    void *first;
    if (inner_pages(block, bytes, &first, &bytes))
        madvise(first, bytes, MADV_HUGEPAGE); // a wish: nothing depends on it
#else
    (void)block, (void)bytes;
#endif
}

bool host_allow_tiles(void)
{
#if defined(__linux__) && defined(__x86_64__)
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 }; // arch_prctl(2), the XSAVE component
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return false;
#endif
}

/* ---- libraries ---------------------------------------------------------------------------- */

host_library *host_library_open(const char *path, ingle_error *err)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *why = dlerror(); // names the library
        error_set(err, INGLE_ERR_IO, "%.220s", why ? why : path);
    }
    return handle;
}

/* POSIX has both kinds of pointers look the same, C does not: the bytes are copied. */
host_function *host_library_symbol(host_library *l, const char *name)
{
    void *symbol = dlsym(l, name);
    host_function *function;
    memcpy(&function, &symbol, sizeof function);
    return function;
}

void host_library_close(host_library *l)
{
    if (l)
        dlclose(l);
}

/* ---- threads ------------------------------------------------------------------------------ */

struct host_thread {
    pthread_t id;
    void (*run)(void *arg);
    void *arg;
};

static void *thread_main(void *arg)
{
    host_thread *t = arg;
    t->run(t->arg);
    return NULL;
}

host_thread *host_thread_start(void (*run)(void *arg), void *arg)
{
    host_thread *t = malloc(sizeof *t);
    if (!t)
        return NULL;
    t->run = run;
    t->arg = arg;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 * 1024); // kernels keep their buffers in the session
    const int failed = pthread_create(&t->id, &attr, thread_main, t);
    pthread_attr_destroy(&attr);
    if (failed) {
        free(t);
        return NULL;
    }
    return t;
}

void host_thread_join(host_thread *t)
{
    if (!t)
        return;
    pthread_join(t->id, NULL);
    free(t);
}

void host_wait(uint32_t *address, uint32_t value)
{
#ifdef __linux__
    syscall(SYS_futex, address, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
#else
    (void)address, (void)value;
    const struct timespec nap = {0, 50 * 1000}; // no futex: poll
    nanosleep(&nap, NULL);
#endif
}

void host_wake(uint32_t *address)
{
#ifdef __linux__
    syscall(SYS_futex, address, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
#else
    (void)address;
#endif
}

void host_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#ifdef __linux__
/* Two hardware threads of one core name the same first sibling; counting first siblings counts
 * cores. */
static bool is_first_sibling(int cpu)
{
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    FILE *f = fopen(path, "r");
    int first = cpu;
    if (f) {
        if (fscanf(f, "%d", &first) != 1)
            first = cpu;
        fclose(f);
    }
    return first == cpu;
}
#endif

#ifdef __linux__
/* A container's share of the machine in whole processors, rounded up; UINT32_MAX without one. */
static uint32_t processor_quota(void)
{
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "r");
    long long quota, period;
    const bool limited = f && fscanf(f, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0;
    if (f)
        fclose(f);
    return limited ? (uint32_t)((quota + period - 1) / period) : UINT32_MAX;
}
#endif

static uint32_t count_processors(bool cores_only)
{
#ifdef __linux__
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        uint32_t n = 0;
        for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
            n += CPU_ISSET(cpu, &allowed) && (!cores_only || is_first_sibling((int)cpu));
        // A process pinned to second siblings alone still has those.
        n = n ? n : (uint32_t)CPU_COUNT(&allowed);
        const uint32_t quota = processor_quota();
        return n < quota ? n : quota;
    }
#else
    (void)cores_only; // not told apart
#endif
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (uint32_t)n : 1;
}

uint32_t host_core_count(void)
{
    return count_processors(true);
}

uint32_t host_processor_count(void)
{
    return count_processors(false);
}

#ifdef __aarch64__
unsigned host_arm_features(void)
{
    unsigned features = 0;
#ifdef __ARM_FEATURE_DOTPROD // compiled for such processors only
    features |= HOST_ARM_DOTPROD;
#endif
#ifdef __ARM_FEATURE_MATMUL_INT8
    features |= HOST_ARM_I8MM;
#endif
#ifdef __linux__ // bits of the kernel's interface, which older headers do not name
    features |= getauxval(AT_HWCAP) & 1ul << 20 ? HOST_ARM_DOTPROD : 0;
    features |= getauxval(AT_HWCAP2) & 1ul << 13 ? HOST_ARM_I8MM : 0;
#elif defined(__APPLE__)
    int has = 0;
    size_t bytes = sizeof has;
    if (sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &bytes, NULL, 0) == 0 && has)
        features |= HOST_ARM_DOTPROD;
    bytes = sizeof has;
    if (sysctlbyname("hw.optional.arm.FEAT_I8MM", &has, &bytes, NULL, 0) == 0 && has)
        features |= HOST_ARM_I8MM;
#endif
    return features;
}
#endif

/* ---- time --------------------------------------------------------------------------------- */

double host_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

host_date host_local_date(void)
{
    const time_t now = time(NULL);
    struct tm t;
    if (!localtime_r(&now, &t))
        return (host_date){1970, 1, 1, 0, 0, 0};
    return (host_date){t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec};
}
