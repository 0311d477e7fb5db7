/* The part of WebGPU's C interface (webgpu.h) that a tape needs, laid out as Dawn's libraries have it
 * since mid-2025: functions found by name at run time, structs passed as they lie in memory.
 * Names are WebGPU's without its prefix. Enums are 32 bits, flags 64. Owns nothing. */
#ifndef INGLE_GPU_DAWN_ABI_H
#define INGLE_GPU_DAWN_ABI_H

#include "ingle.h"

typedef struct dawn_instance_object *dawn_instance;
typedef struct dawn_adapter_object *dawn_adapter;
typedef struct dawn_device_object *dawn_device;
typedef struct dawn_queue_object *dawn_queue;
typedef struct dawn_buffer_object *dawn_buffer;
typedef struct dawn_group_layout_object *dawn_group_layout;
typedef struct dawn_pipeline_layout_object *dawn_pipeline_layout;
typedef struct dawn_group_object *dawn_group;
typedef struct dawn_module_object *dawn_module;
typedef struct dawn_pipeline_object *dawn_pipeline;
typedef struct dawn_query_set_object *dawn_query_set;
typedef struct dawn_encoder_object *dawn_encoder;
typedef struct dawn_pass_object *dawn_pass;
typedef struct dawn_commands_object *dawn_commands;

enum { DAWN_SUCCESS = 1 }; // of every status
enum { DAWN_WAIT_ANY_ONLY = 1, DAWN_ALLOW_SPONTANEOUS = 3 }; // when a callback may come
enum { DAWN_ERROR_OUT_OF_MEMORY = 3 }; // the others are faults of ours or of Dawn's
enum { DAWN_LOW_POWER = 1, DAWN_HIGH_PERFORMANCE = 2 };
enum { DAWN_LEVEL_CORE = 2, DAWN_ADAPTER_CPU = 3 };
enum { DAWN_FEATURE_TIMESTAMPS = 3, DAWN_FEATURE_F16 = 10, DAWN_FEATURE_SUBGROUPS = 17 };
enum { DAWN_WGSL_PACKED_DOT = 2 };
enum { DAWN_MAP_READ = 1, DAWN_STAGE_COMPUTE = 4, DAWN_QUERY_TIMESTAMP = 2 };
enum { DAWN_BINDING_STORAGE = 3, DAWN_BINDING_READ_ONLY_STORAGE = 4 };
enum {
    DAWN_USE_MAP_READ = 1,
    DAWN_USE_COPY_FROM = 4,
    DAWN_USE_COPY_TO = 8,
    DAWN_USE_STORAGE = 0x80,
    DAWN_USE_QUERY_RESOLVE = 0x200
};
enum { DAWN_CHAIN_WGSL = 2, DAWN_CHAIN_TOGGLES = 0x5000a };

#define DAWN_NO_QUERY UINT32_MAX

/* Not NUL-terminated. */
typedef struct {
    const char *p;
    size_t n;
} dawn_text;

/* Extensions of a struct. */
typedef struct dawn_chain {
    struct dawn_chain *next;
    uint32_t type;
} dawn_chain;

typedef struct {
    uint64_t id;
} dawn_future;

typedef struct {
    dawn_future future;
    uint32_t completed;
} dawn_future_wait;

/* What to call when something asked for is there: one of the types below. */
typedef struct {
    dawn_chain *chain;
    uint32_t mode;
    void (*callback)(void);
    void *user1, *user2;
} dawn_callback;

typedef void dawn_adapter_callback(uint32_t status, dawn_adapter adapter, dawn_text message, void *user1,
                                   void *user2);
typedef void dawn_device_callback(uint32_t status, dawn_device device, dawn_text message, void *user1, void *user2);
typedef void dawn_pipeline_callback(uint32_t status, dawn_pipeline pipeline, dawn_text message, void *user1,
                                    void *user2);
typedef void dawn_map_callback(uint32_t status, dawn_text message, void *user1, void *user2);
typedef void dawn_done_callback(uint32_t status, void *user1, void *user2);
typedef void dawn_lost_callback(const dawn_device *device, uint32_t reason, dawn_text message, void *user1,
                                void *user2);
typedef void dawn_error_callback(const dawn_device *device, uint32_t type, dawn_text message, void *user1,
                                 void *user2);

typedef struct {
    dawn_chain *chain;
    struct {
        dawn_chain *chain;
        uint32_t timed_wait_any;
        size_t timed_wait_any_most;
    } capabilities;
} dawn_instance_desc;

typedef struct {
    dawn_chain *chain;
    uint32_t feature_level, power_preference, force_fallback, backend;
    void *surface;
} dawn_adapter_options;

typedef struct {
    dawn_chain *chain;
    dawn_text vendor, architecture, device, description;
    uint32_t backend, adapter_type, vendor_id, device_id, subgroup_min, subgroup_max;
} dawn_adapter_info;

typedef struct {
    dawn_chain *chain;
    uint32_t texture_1d, texture_2d, texture_3d, texture_layers;
    uint32_t groups, groups_and_vertex_buffers, bindings;
    uint32_t dynamic_uniforms, dynamic_storages, textures, samplers;
    uint32_t storage_buffers; // a shader stage
    uint32_t storage_textures, uniforms;
    uint64_t uniform_binding, storage_binding; // bytes
    uint32_t uniform_align, storage_align, vertex_buffers;
    uint64_t buffer; // bytes
    uint32_t vertex_attributes, vertex_stride, inter_stage, colors, color_bytes;
    uint32_t workgroup_memory; // bytes
    uint32_t workgroup_threads, workgroup_x, workgroup_y, workgroup_z;
    uint32_t workgroups; // a dimension
    uint32_t immediates, vertex_storages, vertex_textures, fragment_storages, fragment_textures;
    uint32_t later[16]; // room for what another Dawn may write
} dawn_limits;

typedef struct {
    dawn_chain chain;
    size_t n_enabled;
    const char *const *enabled;
    size_t n_disabled;
    const char *const *disabled;
} dawn_toggles;

/* A descriptor of nothing but a name: queues, encoders, commands, modules. */
typedef struct {
    const dawn_chain *chain;
    dawn_text label;
} dawn_label_desc;

typedef struct {
    const dawn_chain *chain;
    dawn_text label;
    size_t n_features;
    const uint32_t *features;
    const dawn_limits *limits;
    dawn_label_desc queue;
    dawn_callback lost;
    struct {
        dawn_chain *chain;
        void (*callback)(void);
        void *user1, *user2;
    } uncaptured;
} dawn_device_desc;

typedef struct {
    dawn_chain *chain;
    dawn_text label;
    uint64_t usage, bytes;
    uint32_t mapped;
} dawn_buffer_desc;

typedef struct {
    dawn_chain *chain;
    uint32_t binding;
    uint64_t visibility;
    uint32_t array_size;
    struct {
        dawn_chain *chain;
        uint32_t type, dynamic;
        uint64_t min_bytes;
    } buffer;
    struct {
        dawn_chain *chain;
        uint32_t type;
    } sampler; // zeros: it is none
    struct {
        dawn_chain *chain;
        uint32_t type, dimension, multisampled;
    } texture, storage_texture;
} dawn_layout_entry;

typedef struct {
    dawn_chain *chain;
    dawn_text label;
    size_t n;
    const dawn_layout_entry *entries;
} dawn_group_layout_desc;

typedef struct {
    dawn_chain *chain;
    dawn_text label;
    size_t n;
    const dawn_group_layout *layouts;
    uint32_t immediates;
} dawn_pipeline_layout_desc;

typedef struct {
    dawn_chain *chain;
    uint32_t binding;
    dawn_buffer buffer;
    uint64_t offset, bytes;
    void *sampler, *texture;
} dawn_group_entry;

typedef struct {
    dawn_chain *chain;
    dawn_text label;
    dawn_group_layout layout;
    size_t n;
    const dawn_group_entry *entries;
} dawn_group_desc;

typedef struct {
    dawn_chain chain;
    dawn_text code;
} dawn_wgsl;

typedef struct {
    dawn_chain *chain;
    dawn_text label;
    dawn_pipeline_layout layout;
    struct {
        dawn_chain *chain;
        dawn_module module;
        dawn_text entry;
        size_t n_constants;
        const void *constants;
    } compute;
} dawn_pipeline_desc;

typedef struct {
    dawn_chain *chain;
    dawn_text label;
    uint32_t type, count;
} dawn_query_set_desc;

typedef struct {
    dawn_chain *chain;
    dawn_query_set queries;
    uint32_t begin, end; // DAWN_NO_QUERY = none
} dawn_pass_timestamps;

typedef struct {
    dawn_chain *chain;
    dawn_text label;
    const dawn_pass_timestamps *timestamps;
} dawn_pass_desc;

/* X(result, name without "wgpu", arguments). The first is not called: only Dawn's libraries of this layout
 * have it (before, an instance's features were asked for otherwise, and have been since). */
#define DAWN_CALLS(X)                                                                                       \
    X(void *, GetInstanceCapabilities, (void *capabilities))                                                \
    X(dawn_instance, CreateInstance, (const dawn_instance_desc *))                                          \
    X(void, InstanceRelease, (dawn_instance))                                                               \
    X(dawn_future, InstanceRequestAdapter, (dawn_instance, const dawn_adapter_options *, dawn_callback))    \
    X(uint32_t, InstanceWaitAny, (dawn_instance, size_t n, dawn_future_wait *, uint64_t nanoseconds))       \
    X(uint32_t, InstanceHasWGSLLanguageFeature, (dawn_instance, uint32_t feature))                          \
    X(uint32_t, AdapterGetInfo, (dawn_adapter, dawn_adapter_info *))                                        \
    X(void, AdapterInfoFreeMembers, (dawn_adapter_info))                                                    \
    X(uint32_t, AdapterGetLimits, (dawn_adapter, dawn_limits *))                                            \
    X(uint32_t, AdapterHasFeature, (dawn_adapter, uint32_t feature))                                        \
    X(dawn_future, AdapterRequestDevice, (dawn_adapter, const dawn_device_desc *, dawn_callback))           \
    X(void, AdapterRelease, (dawn_adapter))                                                                 \
    X(dawn_queue, DeviceGetQueue, (dawn_device))                                                            \
    X(void, DeviceDestroy, (dawn_device))                                                                   \
    X(void, DeviceRelease, (dawn_device))                                                                   \
    X(dawn_buffer, DeviceCreateBuffer, (dawn_device, const dawn_buffer_desc *))                             \
    X(dawn_group_layout, DeviceCreateBindGroupLayout, (dawn_device, const dawn_group_layout_desc *))        \
    X(dawn_pipeline_layout, DeviceCreatePipelineLayout, (dawn_device, const dawn_pipeline_layout_desc *))   \
    X(dawn_group, DeviceCreateBindGroup, (dawn_device, const dawn_group_desc *))                            \
    X(dawn_module, DeviceCreateShaderModule, (dawn_device, const dawn_label_desc *))                        \
    X(dawn_future, DeviceCreateComputePipelineAsync, (dawn_device, const dawn_pipeline_desc *, dawn_callback)) \
    X(dawn_query_set, DeviceCreateQuerySet, (dawn_device, const dawn_query_set_desc *))                     \
    X(dawn_encoder, DeviceCreateCommandEncoder, (dawn_device, const dawn_label_desc *))                     \
    X(dawn_future, BufferMapAsync, (dawn_buffer, uint64_t mode, size_t offset, size_t bytes, dawn_callback)) \
    X(const void *, BufferGetConstMappedRange, (dawn_buffer, size_t offset, size_t bytes))                  \
    X(void, BufferUnmap, (dawn_buffer))                                                                     \
    X(void, BufferDestroy, (dawn_buffer))                                                                   \
    X(void, BufferRelease, (dawn_buffer))                                                                   \
    X(void, BindGroupLayoutRelease, (dawn_group_layout))                                                    \
    X(void, PipelineLayoutRelease, (dawn_pipeline_layout))                                                  \
    X(void, BindGroupRelease, (dawn_group))                                                                 \
    X(void, ShaderModuleRelease, (dawn_module))                                                             \
    X(void, ComputePipelineRelease, (dawn_pipeline))                                                        \
    X(void, QuerySetRelease, (dawn_query_set))                                                              \
    X(dawn_pass, CommandEncoderBeginComputePass, (dawn_encoder, const dawn_pass_desc *))                    \
    X(void, CommandEncoderCopyBufferToBuffer,                                                               \
      (dawn_encoder, dawn_buffer from, uint64_t offset, dawn_buffer to, uint64_t to_offset, uint64_t bytes)) \
    X(void, CommandEncoderResolveQuerySet,                                                                  \
      (dawn_encoder, dawn_query_set, uint32_t first, uint32_t n, dawn_buffer to, uint64_t offset))          \
    X(dawn_commands, CommandEncoderFinish, (dawn_encoder, const dawn_label_desc *))                         \
    X(void, CommandEncoderRelease, (dawn_encoder))                                                          \
    X(void, CommandBufferRelease, (dawn_commands))                                                          \
    X(void, ComputePassEncoderSetPipeline, (dawn_pass, dawn_pipeline))                                      \
    X(void, ComputePassEncoderSetBindGroup,                                                                 \
      (dawn_pass, uint32_t index, dawn_group, size_t n_offsets, const uint32_t *offsets))                   \
    X(void, ComputePassEncoderDispatchWorkgroups, (dawn_pass, uint32_t x, uint32_t y, uint32_t z))          \
    X(void, ComputePassEncoderEnd, (dawn_pass))                                                             \
    X(void, ComputePassEncoderRelease, (dawn_pass))                                                         \
    X(void, QueueWriteBuffer, (dawn_queue, dawn_buffer, uint64_t offset, const void *from, size_t bytes))   \
    X(dawn_future, QueueOnSubmittedWorkDone, (dawn_queue, dawn_callback))                                   \
    X(void, QueueSubmit, (dawn_queue, size_t n, const dawn_commands *))                                     \
    X(void, QueueRelease, (dawn_queue))

/* All of them, found in a library. */
typedef struct {
#define DAWN_CALL(result, name, arguments) result(*name) arguments;
    DAWN_CALLS(DAWN_CALL)
#undef DAWN_CALL
} dawn_calls;

#endif
