#include "gpu/dawn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

void dawn_copy_text(char *out, size_t size, dawn_text message)
{
    const size_t length = !message.p ? 0 : message.n == SIZE_MAX ? strlen(message.p) : message.n;
    size_t n = 0;
    for (size_t i = 0; i < length && n + 1 < size; i++) {
        const char c = message.p[i];
        if (c != '\n')
            out[n++] = c;
        else if (n && out[n - 1] != ' ')
            out[n++] = ' ';
    }
    out[n] = 0;
}

/* ---- trouble ---------------------------------------------------------------------------------- */

static void note_fault(dawn_fault *f, uint32_t type, dawn_text message)
{
    int none = DAWN_FAULT_NONE;
    if (!atomic_compare_exchange_strong(&f->state, &none, DAWN_FAULT_WRITING))
        return; // later ones follow from the first
    f->type = type;
    dawn_copy_text(f->text, sizeof f->text, message);
    atomic_store(&f->state, DAWN_FAULT_THERE);
}

static void on_error(const dawn_device *device, uint32_t type, dawn_text message, void *user1, void *user2)
{
    (void)device, (void)user2;
    note_fault(&((dawn *)user1)->error, type, message);
}

static void on_lost(const dawn_device *device, uint32_t reason, dawn_text message, void *user1, void *user2)
{
    (void)device, (void)user2;
    dawn *d = user1;
    if (!d->closing)
        note_fault(&d->lost, reason, message);
}

ingle_status dawn_check(dawn *d, const char *what, const char *label, ingle_error *err)
{
    if (atomic_load(&d->lost.state) == DAWN_FAULT_THERE)
        return error_set(err, INGLE_ERR_DEVICE_LOST, "the GPU went away: %s", d->lost.text);
    if (atomic_load(&d->error.state) != DAWN_FAULT_THERE)
        return INGLE_OK;
    const ingle_status status =
        d->error.type == DAWN_ERROR_OUT_OF_MEMORY ? INGLE_ERR_MEMORY : INGLE_ERR_DEVICE;
    error_set(err, status, "%s%s%s: %s", what, label ? " " : "", label ? label : "", d->error.text);
    atomic_store(&d->error.state, DAWN_FAULT_NONE);
    return status;
}

/* ---- the library ------------------------------------------------------------------------------ */

static host_library *open_library(const char *path, ingle_error *err)
{
    const char *const from_environment = getenv("INGLE_DAWN");
    if (!path && from_environment && *from_environment)
        path = from_environment;
    if (path)
        return host_library_open(path, err);
    host_library *library = host_library_open("libwebgpu_dawn.dylib", NULL);
    return library ? library : host_library_open("libwebgpu_dawn.so", err);
}

/* The library stays in memory when the device is closed: Dawn's threads may still be ending in it. */
static ingle_status find_calls(dawn *d, const char *path, ingle_error *err)
{
    ingle_error why = {0};
    host_library *library = open_library(path, &why);
    if (!library)
        return error_set(err, INGLE_ERR_DEVICE, "no GPU: no Dawn library (INGLE_DAWN names it): %s", why.text);
    const char *missing = NULL;
#define FIND_CALL(result, name, arguments)                                                          \
    d->call.name = (result(*) arguments)host_library_symbol(library, "wgpu" #name);                 \
    missing = d->call.name ? missing : "wgpu" #name;
    DAWN_CALLS(FIND_CALL)
#undef FIND_CALL
    if (!missing)
        return INGLE_OK;
    host_library_close(library);
    return error_set(err, INGLE_ERR_DEVICE, "the library is not Dawn's, or of another version: it lacks %s", missing);
}

/* ---- adapter and device ----------------------------------------------------------------------- */

void dawn_wait(dawn *d, dawn_future future)
{
    dawn_future_wait wait = {.future = future};
    while (!wait.completed && d->call.InstanceWaitAny(d->instance, 1, &wait, UINT64_MAX) == DAWN_SUCCESS)
        ;
}

typedef struct {
    dawn_adapter adapter;
    dawn_device device;
    char text[160];
} answer;

static void on_adapter(uint32_t status, dawn_adapter adapter, dawn_text message, void *user1, void *user2)
{
    (void)status, (void)user2;
    ((answer *)user1)->adapter = adapter;
    dawn_copy_text(((answer *)user1)->text, sizeof((answer *)user1)->text, message);
}

static void on_device(uint32_t status, dawn_device device, dawn_text message, void *user1, void *user2)
{
    (void)status, (void)user2;
    ((answer *)user1)->device = device;
    dawn_copy_text(((answer *)user1)->text, sizeof((answer *)user1)->text, message);
}

static void adapter_name(dawn *d, char *name, size_t size, gpu_limits *limits)
{
    dawn_adapter_info info = {0};
    d->call.AdapterGetInfo(d->adapter, &info);
    dawn_copy_text(name, size, info.device.n ? info.device : info.description);
    limits->subgroup_min = info.subgroup_min;
    limits->subgroup_max = info.subgroup_max;
    limits->software = info.adapter_type == DAWN_ADAPTER_CPU;
    d->call.AdapterInfoFreeMembers(info);
}

/* Adapters cannot be listed through this interface, only asked for: the fastest, the most frugal and
 * the one without hardware are all there is to choose from. */
static const dawn_adapter_options choices[] = {
    {.feature_level = DAWN_LEVEL_CORE, .power_preference = DAWN_HIGH_PERFORMANCE},
    {.feature_level = DAWN_LEVEL_CORE, .power_preference = DAWN_LOW_POWER},
    {.feature_level = DAWN_LEVEL_CORE, .force_fallback = 1},
};

enum { CHOICES = sizeof choices / sizeof *choices };

static void release_adapter(dawn *d)
{
    if (d->adapter)
        d->call.AdapterRelease(d->adapter);
    d->adapter = NULL;
}

/* False where there is none of that kind; why (size 160) says so. */
static bool ask_adapter(dawn *d, size_t choice, gpu_limits *limits, char *why)
{
    answer a = {0};
    const dawn_callback callback = {NULL, DAWN_WAIT_ANY_ONLY, (host_function *)on_adapter, &a, NULL};
    release_adapter(d);
    dawn_wait(d, d->call.InstanceRequestAdapter(d->instance, &choices[choice], callback));
    d->adapter = a.adapter;
    memcpy(why, a.text, sizeof a.text);
    if (d->adapter)
        adapter_name(d, limits->name, sizeof limits->name, limits);
    return d->adapter != NULL;
}

static ingle_status choose_adapter(dawn *d, gpu_limits *limits, const char *wanted, ingle_error *err)
{
    char why[160], last[160] = "";
    for (size_t i = 0; i < CHOICES; i++) {
        if (ask_adapter(d, i, limits, why) && (!wanted || strstr(limits->name, wanted)))
            return INGLE_OK;
        dawn_copy_text(last, sizeof last, (dawn_text){d->adapter ? limits->name : why, SIZE_MAX});
    }
    if (wanted)
        return error_set(err, INGLE_ERR_DEVICE, "no GPU adapter named %.60s, but %s", wanted, last);
    return error_set(err, INGLE_ERR_DEVICE, "no GPU adapter: %s", last);
}

static uint64_t at_most(uint64_t value, uint64_t most)
{
    return most && most < value ? most : value;
}

static void fill_limits(dawn *d, gpu_limits *out, const dawn_limits *has, const gpu_native_options *opt)
{
    out->max_buffer = at_most(has->buffer, opt->max_buffer);
    out->max_binding = at_most(at_most(has->storage_binding, opt->max_binding), out->max_buffer);
    out->max_workgroup_memory = has->workgroup_memory;
    out->max_workgroup_threads = has->workgroup_threads < has->workgroup_x ? has->workgroup_threads : has->workgroup_x;
    out->max_groups = has->workgroups;
    out->max_bindings = has->storage_buffers < TAPE_MAX_BINDINGS ? has->storage_buffers : TAPE_MAX_BINDINGS;
    out->f16 = !opt->no_f16 && d->call.AdapterHasFeature(d->adapter, DAWN_FEATURE_F16);
    out->packed_dot = d->call.InstanceHasWGSLLanguageFeature(d->instance, DAWN_WGSL_PACKED_DOT) != 0;
    out->timestamps = d->call.AdapterHasFeature(d->adapter, DAWN_FEATURE_TIMESTAMPS) != 0;
    if (opt->no_subgroups || !d->call.AdapterHasFeature(d->adapter, DAWN_FEATURE_SUBGROUPS))
        out->subgroup_min = out->subgroup_max = 0;
}

/* Timestamps as the GPU takes them: browsers round them so that pages cannot time each other. */
static const char *const switched_off[] = {"timestamp_quantization"};

static ingle_status open_device(dawn *d, gpu_limits *limits, const gpu_native_options *opt, ingle_error *err)
{
    dawn_limits has = {0};
    if (d->call.AdapterGetLimits(d->adapter, &has) != DAWN_SUCCESS)
        return error_set(err, INGLE_ERR_DEVICE, "%s does not tell its limits", limits->name);
    fill_limits(d, limits, &has, opt);
    uint32_t features[3], n = 0;
    if (limits->f16)
        features[n++] = DAWN_FEATURE_F16;
    if (limits->subgroup_max)
        features[n++] = DAWN_FEATURE_SUBGROUPS;
    if (limits->timestamps)
        features[n++] = DAWN_FEATURE_TIMESTAMPS;
    const dawn_toggles toggles = {.chain = {NULL, DAWN_CHAIN_TOGGLES}, .n_disabled = 1, .disabled = switched_off};
    const dawn_device_desc desc = {
        .chain = &toggles.chain,
        .label = {"ingle", 5},
        .n_features = n,
        .features = features,
        .limits = &has,
        .lost = {NULL, DAWN_ALLOW_SPONTANEOUS, (host_function *)on_lost, d, NULL},
        .uncaptured = {NULL, (host_function *)on_error, d, NULL},
    };
    answer a = {0};
    const dawn_callback callback = {NULL, DAWN_WAIT_ANY_ONLY, (host_function *)on_device, &a, NULL};
    dawn_wait(d, d->call.AdapterRequestDevice(d->adapter, &desc, callback));
    d->device = a.device;
    if (!d->device)
        return error_set(err, INGLE_ERR_DEVICE, "%.60s gave no device: %s", limits->name, a.text);
    d->queue = d->call.DeviceGetQueue(d->device);
    return INGLE_OK;
}

static ingle_status open_instance(dawn *d, const char *library, ingle_error *err)
{
    const ingle_status status = find_calls(d, library, err);
    if (status != INGLE_OK)
        return status;
    const dawn_instance_desc desc = {.capabilities = {.timed_wait_any = 1, .timed_wait_any_most = 1}};
    d->instance = d->call.CreateInstance(&desc);
    return d->instance ? INGLE_OK : error_set(err, INGLE_ERR_DEVICE, "Dawn gave no instance");
}

ingle_status dawn_open(dawn *d, gpu_limits *limits, const gpu_native_options *opt, ingle_error *err)
{
    ingle_status status = open_instance(d, opt->library, err);
    if (status == INGLE_OK)
        status = choose_adapter(d, limits, opt->adapter, err);
    return status == INGLE_OK ? open_device(d, limits, opt, err) : status;
}

void dawn_lose(dawn *d)
{
    d->call.DeviceDestroy(d->device);
}

void dawn_close(dawn *d)
{
    d->closing = true;
    if (d->queue)
        d->call.QueueRelease(d->queue);
    if (d->device) {
        d->call.DeviceDestroy(d->device);
        d->call.DeviceRelease(d->device);
    }
    release_adapter(d);
    if (d->instance)
        d->call.InstanceRelease(d->instance);
}

/* ---- listing ---------------------------------------------------------------------------------- */

static bool list_adapter(dawn *d, ingle_text *out, gpu_limits *l)
{
    static const gpu_native_options all = {0};
    char line[320], subgroups[48] = "";
    dawn_limits has = {0};
    if (d->call.AdapterGetLimits(d->adapter, &has) != DAWN_SUCCESS)
        return true;
    fill_limits(d, l, &has, &all);
    if (l->subgroup_max)
        snprintf(subgroups, sizeof subgroups, ", subgroups of %u to %u", l->subgroup_min, l->subgroup_max);
    snprintf(line, sizeof line, "%s: buffers of %llu MiB, bindings of %llu MiB%s%s%s%s\n", l->name,
             (unsigned long long)l->max_buffer >> 20, (unsigned long long)l->max_binding >> 20, subgroups,
             l->f16 ? ", f16" : "", l->packed_dot ? ", packed int8 products" : "",
             l->timestamps ? ", timestamps" : "");
    return text_add_str(out, str_of(line));
}

ingle_status dawn_list(ingle_text *out, const char *library, ingle_error *err)
{
    dawn d = {0};
    ingle_status status = open_instance(&d, library, err);
    char names[CHOICES][128] = {{0}}, why[160] = "";
    size_t n = 0;
    for (size_t i = 0; status == INGLE_OK && i < CHOICES; i++) {
        gpu_limits limits = {0};
        size_t known = 0;
        if (!ask_adapter(&d, i, &limits, why))
            continue;
        while (known < n && strcmp(names[known], limits.name) != 0)
            known++;
        if (known < n)
            continue;
        memcpy(names[n++], limits.name, sizeof limits.name);
        if (!list_adapter(&d, out, &limits))
            status = error_set(err, INGLE_ERR_MEMORY, "no memory for a list of adapters");
    }
    if (status == INGLE_OK && n == 0)
        status = error_set(err, INGLE_ERR_DEVICE, "no GPU adapter: %s", why);
    dawn_close(&d);
    return status;
}
