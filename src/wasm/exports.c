/* What JavaScript may call: the whole list, and nothing else of the module is for it.
 *
 * Builds: simd.wasm, relaxed.wasm, simd-threads.wasm, relaxed-threads.wasm. All import
 *   env.memory           a WebAssembly.Memory, initial: 64 pages or more; shared and with a maximum
 *                        for the -threads builds, unshared for the others
 *   host.now() -> ms     monotonic, a float
 *   host.date(p)         writes local time to int32 p[6]: year, month 1-12, day, hour, minute, second
 *   host.log(text, n)    a warning, UTF-8
 *   host.number(text, n) -> the number that ASCII digits say, as a float
 *   gpu.open, play, wait, failure, close   a GPU, or none: src/gpu/player_wasm.c
 *   math.cos, exp, log, pow, sin, tanh   JavaScript's Math as it is
 * and no WASI function. Call _initialize() once, in the first instance only.
 *
 * Rules
 * - One thread, the leader, calls everything but wasm_worker. It may block, so in a browser it is a
 *   worker too. Any call may grow the memory: make typed arrays anew after each.
 * - A handle or address is an unsigned 32-bit number (>>> 0), 0 = none. Text goes in as address and
 *   length of UTF-8, comes out as an address with its length in wasm_size().
 * - Failure: a function that returns an address gives 0, one that returns a status gives a negative
 *   number; then wasm_status() is the ingle_status and wasm_error() its text.
 * - On a GPU, session_ready, _prefill, _append and _finish, generation_open and _next fail with WAIT (-15) while the
 *   GPU has not answered: await it (src/gpu/player_wasm.c), then call again with the same arguments.
 *   They fail with ERR_DEVICE_LOST (-12) when the GPU went away: ask for another, have the weights read again
 *   (wasm_loader_use_gpu) and call again with the same arguments. The session then computes its timeline again; to
 *   the caller it is as if nothing had happened. Failing again although nothing new was lost is final.
 * - Text and token lists that come out are valid until the next call that returns such a list or
 *   a part; copy them at once. In -threads builds they lie in shared memory, which TextDecoder does
 *   not take: slice() first.
 * - close and free accept 0. Order: generations, sessions, models.
 *
 * memory and errors
 *   wasm_alloc(n) -> address, 16-byte aligned; 0 = no memory
 *   wasm_free(address)
 *   wasm_size() -> length of the last text (bytes) or list (items)
 *   wasm_status() -> status of the last failure;  wasm_error() -> text
 *   wasm_status_name(status) -> text, "ERR_FORMAT"
 *   wasm_version() -> text;  wasm_build() -> text, "relaxed+threads"
 *   wasm_set_cores(n)     what a session opened with 0 threads uses (at most 1 + workers added)
 * threads (the -threads builds; elsewhere wasm_worker_stack gives 0)
 *   wasm_worker_stack() -> top of a new stack, or 0.   For each worker: the leader calls this; the
 *       worker instantiates the same module on the same memory, sets __stack_pointer.value to it,
 *       tells the leader that it is ready and calls wasm_worker(slot), which blocks. Only then the
 *       leader calls wasm_worker_add(slot). Slots are 0, 1, 2 ... 62, each worker another.
 *   wasm_worker_add(slot)
 *   wasm_worker(slot)     returns after wasm_workers_stop
 *   wasm_workers_stop()   when no session is open; the workers' stacks are not given back
 * models
 *   wasm_loader_open() -> loader
 *   wasm_loader_use_gpu(loader, n_ctx, n_batch, kv_k, kv_v, gpu, model) -> status   before the first bytes, if JavaScript
 *       has opened a GPU: weights go there as they come, and the kernels of a session that is opened with these
 *       arguments are compiled meanwhile. All sessions of the model run there. A failure later means that
 *       the source must be read again for the CPU. The GPU may be behind: let it catch up now and then. model not 0:
 *       its GPU went away, and the same file is fed again for it; close the model that is taken then
 *   wasm_loader_feed(loader, bytes, n) -> status      chunks in order; the bytes are copied
 *   wasm_loader_total(loader) -> bytes of the file as a float; 0 until the header is complete
 *   wasm_loader_take(loader) -> model                 then close the loader
 *   wasm_loader_close(loader)
 *   wasm_model_info(model) -> JSON {name, architecture, licence, fileType, tokenizer, chatTemplate,
 *       parameters, sizeBytes, nLayers, nHeads, nKvHeads, dModel, dHead, dFf, vocabSize,
 *       contextLength, bos, eos, runnable ("OK" or a status name), whyNot}; not stated = null
 *   wasm_model_close(model)
 * tokens and chat: flags 1 = add special tokens, 2 = parse (detokenize: write) special tokens
 *   wasm_tokenize(model, text, n, flags) -> int32 ids
 *   wasm_detokenize(model, ids, n, flags) -> text
 *   wasm_token_is_end(model, id) -> 0 or 1
 *   wasm_chat_render(model, json, n) -> text          json: {messages, tools, add_generation_prompt}
 *   wasm_chat_tokenize(model, json, n) -> int32 ids
 *   wasm_template_render(source, n, json, n_json) -> text
 * sessions: n_ctx, n_batch, n_threads 0 = default; kv 0 f16, 1 q8_0, 2 q4_0; cpu: NUL-terminated
 *   name of the highest kernels allowed, 0 = the best. The first session packs the weights for its
 *   kernels where they lie; later ones must be able to read them (ERR_USAGE)
 *   wasm_session_memory(model, n_ctx, n_batch, n_threads, kv_k, kv_v) -> JSON {weights, kv, scratch,
 *       tables (bytes), contextSize, threads, cpu}
 *   wasm_session_open(model, n_ctx, n_batch, n_threads, kv_k, kv_v, cpu, gpu) -> session   gpu: NUL-terminated, what
 *       kernels may use of "int8,subgroups,f16", 0 = all. On a GPU if JavaScript has opened one that is free
 *   wasm_session_close(session)
 *   wasm_session_backend(session) -> text, "cpu/wasm";  wasm_session_context(session) -> tokens
 *   wasm_session_ready(session) -> status, of a GPU's self-test;  wasm_session_notes(session) -> text, what it failed at
 *   wasm_session_length(session);  wasm_session_ids(session) -> int32 ids
 *   wasm_session_truncate(session, n)
 *   wasm_session_flag(session) -> address of an int32 that means "cancel" while it is not 0. Read
 *       before each token and between passes of a prompt; only JavaScript writes it (Atomics.store
 *       from any thread), and clears it before the next answer.
 *   wasm_session_prefill(session, ids, n, most) -> status, or how many of ids [n] are on the timeline
 *       now: makes ids the timeline, computing at most `most` new tokens (0 = all). Call again until
 *       it returns n; between calls the leader can look at its messages.
 *   wasm_session_append(session, ids, n) -> status    for benchmarks
 *   wasm_session_finish(session) -> status            logits of the last token are at hand; or WAIT
 *   wasm_session_logits(session) -> address of n_vocab floats, or 0
 * generation
 *   wasm_generation_open(session, ids, n, settings, n_settings, stops, n_stops, bias, n_bias)
 *       settings: doubles in this order, NaN or absent = default: temperature, top_k, top_p, min_p,
 *       typical_p, repeat_penalty, repeat_last_n, presence_penalty, frequency_penalty, seed,
 *       n_predict (0 = to the context's end), ignore_eos, special, burst. stops: n_stops NUL-terminated
 *       strings, one after the other. bias: n_bias pairs of doubles, id and bias. Computes what is not yet
 *       on the timeline. One generation a session at a time.
 *   wasm_generation_next(generation) -> address of int32 [4]: text, its length, id (-1 = none),
 *       stop (0 not yet, 1 eos, 2 stop string, 3 length, 4 cancel); 0 = failure. After a stop: close.
 *   wasm_generation_close(generation)
 * checksums
 *   wasm_sha256_open() -> hash;  wasm_sha256_add(hash, bytes, n);
 *   wasm_sha256_end(hash) -> text, 64 hex digits; hash is spent */
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "host/host_wasm.h"
#include "ingle.h"

/* The functions have no header: JavaScript finds them by name. */
#pragma clang diagnostic ignored "-Wmissing-prototypes"
#define EXPORT(name) __attribute__((export_name(#name))) name

/* What the last calls left for the leader to read. */
static struct {
    ingle_error error;
    ingle_text text;
    ingle_tokens tokens;
    size_t size;
    int32_t part[4];
    char hex[65];
} reply;

/* ---- memory and errors ------------------------------------------------------------------------ */

void *EXPORT(wasm_alloc)(size_t n)
{
    return mem_alloc(NULL, n);
}

void EXPORT(wasm_free)(void *address)
{
    mem_free(NULL, address);
}

size_t EXPORT(wasm_size)(void)
{
    return reply.size;
}

int EXPORT(wasm_status)(void)
{
    return reply.error.status;
}

static const char *give_text(const char *text)
{
    reply.size = text ? strlen(text) : 0;
    return text;
}

const char *EXPORT(wasm_error)(void)
{
    return give_text(reply.error.text);
}

const char *EXPORT(wasm_status_name)(int status)
{
    return give_text(ingle_status_name((ingle_status)status));
}

const char *EXPORT(wasm_version)(void)
{
    return give_text(ingle_version());
}

const char *EXPORT(wasm_build)(void)
{
#ifdef __wasm_relaxed_simd__
#define BUILD "relaxed"
#else
#define BUILD "simd"
#endif
#ifdef __wasm_atomics__
    return give_text(BUILD "+threads");
#else
    return give_text(BUILD);
#endif
}

void EXPORT(wasm_set_cores)(uint32_t n)
{
    host_wasm_set_cores(n);
}

/* ---- threads ---------------------------------------------------------------------------------- */

uint32_t EXPORT(wasm_worker_stack)(void)
{
    return host_wasm_worker_stack();
}

void EXPORT(wasm_worker_add)(uint32_t slot)
{
    host_wasm_worker_add(slot);
}

void EXPORT(wasm_worker)(uint32_t slot)
{
    host_wasm_worker(slot);
}

void EXPORT(wasm_workers_stop)(void)
{
    host_wasm_workers_stop();
}

/* ---- texts and lists -------------------------------------------------------------------------- */

static ingle_text *new_text(void)
{
    reply.text.n = 0;
    return &reply.text;
}

static ingle_tokens *new_tokens(void)
{
    reply.tokens.n = 0;
    return &reply.tokens;
}

/* The text or list that a call with this status made; an empty one has an address too. */
static const char *text_result(ingle_status status)
{
    if (status == INGLE_OK && !text_room(&reply.text, 1))
        status = error_memory(&reply.error, 1, "a text");
    reply.size = status == INGLE_OK ? reply.text.n : 0;
    return status == INGLE_OK ? reply.text.bytes : NULL;
}

static const int32_t *tokens_result(ingle_status status)
{
    static const int32_t none;
    reply.size = status == INGLE_OK ? reply.tokens.n : 0;
    return status != INGLE_OK ? NULL : reply.tokens.ids ? reply.tokens.ids : &none;
}

/* Members of a JSON object; false when memory ran out. */
static bool add_key(ingle_text *t, const char *key)
{
    return text_add_byte(t, t->n ? ',' : '{') && json_write_str(t, str_of(key), false) && text_add_byte(t, ':');
}

static bool add_text(ingle_text *t, const char *key, const char *value)
{
    return add_key(t, key) &&
           (value ? json_write_str(t, str_of(value), false) : text_add_str(t, STR("null")));
}

static bool add_number(ingle_text *t, const char *key, double value)
{
    return add_key(t, key) && json_write_double(t, value);
}

/* 0 stands for "not stated". */
static bool add_size(ingle_text *t, const char *key, double value)
{
    return value > 0 ? add_number(t, key, value) : add_key(t, key) && text_add_str(t, STR("null"));
}

static const char *object_result(bool complete)
{
    complete = complete && text_add_byte(&reply.text, '}');
    return text_result(complete ? INGLE_OK : error_memory(&reply.error, reply.text.n, "a description"));
}

/* ---- models ----------------------------------------------------------------------------------- */

static void pass_log(void *user, const char *line)
{
    (void)user;
    host_wasm_log(line, strlen(line));
}

ingle_loader *EXPORT(wasm_loader_open)(void)
{
    const ingle_model_options opt = {.log = pass_log};
    ingle_loader *loader;
    ingle_loader_open(&loader, &opt, &reply.error);
    return loader;
}

int EXPORT(wasm_loader_use_gpu)(ingle_loader *loader, uint32_t n_ctx, uint32_t n_batch, uint32_t kv_k, uint32_t kv_v,
                                const char *gpu, const ingle_model *model)
{
    const ingle_session_options opt = {
        .n_ctx = n_ctx, .n_batch = n_batch, .kv_k = (ingle_kv_type)kv_k, .kv_v = (ingle_kv_type)kv_v, .gpu = gpu};
    return model ? ingle_loader_revive(loader, model, &opt, &reply.error)
                 : ingle_loader_use_gpu(loader, &opt, &reply.error);
}

int EXPORT(wasm_loader_feed)(ingle_loader *loader, const void *bytes, size_t n)
{
    return ingle_loader_feed(loader, bytes, n, &reply.error);
}

double EXPORT(wasm_loader_total)(const ingle_loader *loader)
{
    return (double)ingle_loader_total(loader);
}

ingle_model *EXPORT(wasm_loader_take)(ingle_loader *loader)
{
    ingle_model *model;
    ingle_loader_take(loader, &model, &reply.error);
    return model;
}

void EXPORT(wasm_loader_close)(ingle_loader *loader)
{
    ingle_loader_close(loader);
}

void EXPORT(wasm_model_close)(ingle_model *model)
{
    ingle_model_close(model);
}

const char *EXPORT(wasm_model_info)(const ingle_model *model)
{
    const ingle_model_info *i = ingle_model_get_info(model);
    ingle_text *t = new_text();
    return object_result(
        add_text(t, "name", i->name) && add_text(t, "architecture", i->architecture) &&
        add_text(t, "licence", i->licence) && add_text(t, "fileType", i->file_type) &&
        add_text(t, "tokenizer", i->tokenizer) && add_text(t, "chatTemplate", i->chat_template) &&
        add_number(t, "parameters", (double)i->n_params) && add_number(t, "sizeBytes", (double)i->weight_bytes) &&
        add_number(t, "nLayers", i->n_layers) && add_number(t, "nHeads", i->n_heads) &&
        add_number(t, "nKvHeads", i->n_kv_heads) && add_number(t, "dModel", i->d_model) &&
        add_number(t, "dHead", i->d_head) && add_number(t, "dFf", i->d_ff) &&
        add_number(t, "vocabSize", i->n_vocab) && add_size(t, "contextLength", i->n_ctx_train) &&
        add_number(t, "bos", i->bos) && add_number(t, "eos", i->eos) &&
        add_text(t, "runnable", ingle_status_name(i->runnable)) && add_text(t, "whyNot", i->why_not));
}

/* ---- tokens and chat -------------------------------------------------------------------------- */

const int32_t *EXPORT(wasm_tokenize)(const ingle_model *model, const char *text, size_t n, unsigned flags)
{
    return tokens_result(ingle_tokenize(model, text, n, flags, new_tokens(), &reply.error));
}

const char *EXPORT(wasm_detokenize)(const ingle_model *model, const int32_t *ids, size_t n, unsigned flags)
{
    return text_result(ingle_detokenize(model, ids, n, flags, new_text(), &reply.error));
}

int EXPORT(wasm_token_is_end)(const ingle_model *model, int32_t id)
{
    return ingle_token_is_end(model, id);
}

const char *EXPORT(wasm_chat_render)(const ingle_model *model, const char *json, size_t n)
{
    return text_result(ingle_chat_render(model, json, n, NULL, new_text(), &reply.error));
}

const int32_t *EXPORT(wasm_chat_tokenize)(const ingle_model *model, const char *json, size_t n)
{
    return tokens_result(ingle_chat_tokenize(model, json, n, NULL, new_tokens(), &reply.error));
}

const char *EXPORT(wasm_template_render)(const char *source, size_t n, const char *json, size_t n_json)
{
    return text_result(ingle_template_render(source, n, json, n_json, NULL, new_text(), &reply.error));
}

/* ---- sessions --------------------------------------------------------------------------------- */

/* A session with the flag that stops it. */
typedef struct {
    ingle_session *s;
    _Atomic int32_t cancel;
    bool appending;     // an append is to be called again
    size_t append_from; // the timeline's length before it
} session;

static bool go_on(void *user, size_t done, size_t total)
{
    (void)done, (void)total;
    return ((session *)user)->cancel == 0;
}

static ingle_session_options session_options(uint32_t n_ctx, uint32_t n_batch, uint32_t n_threads, uint32_t kv_k,
                                             uint32_t kv_v)
{
    const uint32_t most = host_wasm_threads();
    return (ingle_session_options){.n_ctx = n_ctx,
                                   .n_batch = n_batch,
                                   .n_threads = n_threads > most ? most : n_threads,
                                   .kv_k = (ingle_kv_type)kv_k,
                                   .kv_v = (ingle_kv_type)kv_v};
}

const char *EXPORT(wasm_session_memory)(const ingle_model *model, uint32_t n_ctx, uint32_t n_batch,
                                        uint32_t n_threads, uint32_t kv_k, uint32_t kv_v)
{
    const ingle_session_options opt = session_options(n_ctx, n_batch, n_threads, kv_k, kv_v);
    ingle_memory m;
    if (ingle_session_memory(model, &opt, &m, &reply.error) != INGLE_OK)
        return give_text(NULL);
    ingle_text *t = new_text();
    return object_result(add_number(t, "weights", (double)m.weights) && add_number(t, "kv", (double)m.kv) &&
                         add_number(t, "scratch", (double)m.scratch) && add_number(t, "tables", (double)m.tables) &&
                         add_number(t, "contextSize", m.n_ctx) && add_number(t, "threads", m.n_threads) &&
                         add_text(t, "cpu", m.cpu));
}

session *EXPORT(wasm_session_open)(const ingle_model *model, uint32_t n_ctx, uint32_t n_batch, uint32_t n_threads,
                                   uint32_t kv_k, uint32_t kv_v, const char *cpu, const char *gpu)
{
    session *s = mem_zero(NULL, 1, sizeof *s);
    if (!s) {
        error_memory(&reply.error, sizeof *s, "a session");
        return NULL;
    }
    ingle_session_options opt = session_options(n_ctx, n_batch, n_threads, kv_k, kv_v);
    opt.cpu = cpu;
    opt.gpu = gpu;
    opt.progress = go_on;
    opt.progress_user = s;
    if (ingle_session_open(&s->s, model, &opt, &reply.error) == INGLE_OK)
        return s;
    mem_free(NULL, s);
    return NULL;
}

void EXPORT(wasm_session_close)(session *s)
{
    if (s)
        ingle_session_close(s->s);
    mem_free(NULL, s);
}

const char *EXPORT(wasm_session_backend)(const session *s)
{
    return give_text(ingle_session_backend(s->s));
}

const char *EXPORT(wasm_session_notes)(const session *s)
{
    return give_text(ingle_session_notes(s->s));
}

int EXPORT(wasm_session_ready)(session *s)
{
    return ingle_session_ready(s->s, &reply.error);
}

uint32_t EXPORT(wasm_session_context)(const session *s)
{
    return ingle_session_context(s->s);
}

size_t EXPORT(wasm_session_length)(const session *s)
{
    return ingle_session_length(s->s);
}

const int32_t *EXPORT(wasm_session_ids)(const session *s)
{
    reply.size = ingle_session_length(s->s);
    return ingle_session_ids(s->s);
}

void EXPORT(wasm_session_truncate)(session *s, size_t n)
{
    ingle_session_truncate(s->s, n);
}

_Atomic int32_t *EXPORT(wasm_session_flag)(session *s)
{
    return &s->cancel;
}

int EXPORT(wasm_session_prefill)(session *s, const int32_t *ids, size_t n, size_t most)
{
    const int32_t *have = ingle_session_ids(s->s);
    const size_t length = ingle_session_length(s->s);
    size_t common = 0;
    while (common < n && common < length && have[common] == ids[common])
        common++;
    const size_t end = most && most < n - common ? common + most : n;
    const ingle_status status = ingle_session_sync(s->s, ids, end, NULL, &reply.error);
    return status == INGLE_OK ? (int)end : status;
}

int EXPORT(wasm_session_append)(session *s, const int32_t *ids, size_t n)
{
    if (!s->appending)
        s->append_from = ingle_session_length(s->s);
    const size_t done = ingle_session_length(s->s) - s->append_from;
    const ingle_status status = ingle_session_append(s->s, ids + done, n - done, &reply.error);
    s->appending = status == INGLE_WAIT || status == INGLE_ERR_DEVICE_LOST;
    return status;
}

int EXPORT(wasm_session_finish)(session *s)
{
    return ingle_session_finish(s->s, &reply.error);
}

const float *EXPORT(wasm_session_logits)(const session *s)
{
    return ingle_session_logits(s->s);
}

/* ---- generation ------------------------------------------------------------------------------- */

typedef struct {
    ingle_generation *g;
    const session *s;
} generation;

enum {
    TEMPERATURE, TOP_K, TOP_P, MIN_P, TYPICAL_P, REPEAT_PENALTY, REPEAT_LAST_N, PRESENCE, FREQUENCY, SEED, N_PREDICT,
    IGNORE_EOS, SPECIAL, BURST, N_SETTINGS
};

/* A setting as a whole number from low to high; a number beyond is taken as the nearest. */
static double whole(double x, double low, double high)
{
    return x < low ? low : x > high ? high : trunc(x);
}

static void read_settings(const double *given, size_t n, ingle_generate_options *o)
{
    double x[N_SETTINGS];
    for (size_t i = 0; i < N_SETTINGS; i++)
        x[i] = i < n ? given[i] : NAN;
    ingle_sampling *s = &o->sampling;
    ingle_sampling_init(s);
    o->has_sampling = true;
    const struct {
        int setting;
        float *to;
    } floats[] = {{TEMPERATURE, &s->temperature}, {TOP_P, &s->top_p},
                  {MIN_P, &s->min_p},             {TYPICAL_P, &s->typical_p},
                  {REPEAT_PENALTY, &s->repeat_penalty}, {PRESENCE, &s->presence_penalty},
                  {FREQUENCY, &s->frequency_penalty}};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        if (!isnan(x[floats[i].setting]))
            *floats[i].to = (float)x[floats[i].setting];
    if (!isnan(x[TOP_K]))
        s->top_k = (int32_t)whole(x[TOP_K], 0, INT32_MAX);
    if (!isnan(x[REPEAT_LAST_N]))
        s->repeat_last_n = (int32_t)whole(x[REPEAT_LAST_N], -1, INT32_MAX);
    if (!isnan(x[SEED]))
        s->seed = (uint64_t)whole(x[SEED], 0, 9007199254740992.0);
    if (!isnan(x[N_PREDICT]))
        o->n_predict = (uint32_t)whole(x[N_PREDICT], 0, UINT32_MAX);
    o->ignore_eos = x[IGNORE_EOS] > 0;
    o->special = x[SPECIAL] > 0;
    if (!isnan(x[BURST]))
        o->burst = (uint32_t)whole(x[BURST], 0, UINT32_MAX);
}

generation *EXPORT(wasm_generation_open)(const session *s, const int32_t *ids, size_t n, const double *settings,
                                         size_t n_settings, const char *stops, size_t n_stops, const double *bias,
                                         size_t n_bias)
{
    ingle_generate_options o = {0};
    read_settings(settings, n_settings, &o);
    generation *g = mem_zero(NULL, 1, sizeof *g);
    const char **texts = mem_alloc(NULL, size_mul(n_stops, sizeof *texts));
    ingle_logit_bias *biases = mem_alloc(NULL, size_mul(n_bias, sizeof *biases));
    if (!g || !texts || !biases) {
        error_memory(&reply.error, sizeof *g, "an answer");
        goto done;
    }
    for (size_t i = 0; i < n_stops; i++, stops += strlen(stops) + 1)
        texts[i] = stops;
    for (size_t i = 0; i < n_bias; i++)
        biases[i] = (ingle_logit_bias){(int32_t)whole(bias[2 * i], -1, INT32_MAX), (float)bias[2 * i + 1]};
    o.stops = texts;
    o.n_stops = n_stops;
    o.sampling.logit_bias = biases;
    o.sampling.n_logit_bias = n_bias;
    g->s = s;
    ingle_generation_open(&g->g, s->s, ids, n, &o, &reply.error);
done:
    mem_free(NULL, texts);
    mem_free(NULL, biases);
    if (g && !g->g) {
        mem_free(NULL, g);
        g = NULL;
    }
    return g;
}

const int32_t *EXPORT(wasm_generation_next)(generation *g)
{
    if (g->s->cancel)
        ingle_generation_cancel(g->g);
    ingle_part part;
    if (ingle_generation_next(g->g, &part, &reply.error) != INGLE_OK)
        return NULL;
    reply.part[0] = (int32_t)(uintptr_t)part.text;
    reply.part[1] = (int32_t)part.n_text;
    reply.part[2] = part.id;
    reply.part[3] = (int32_t)part.stop;
    return reply.part;
}

void EXPORT(wasm_generation_close)(generation *g)
{
    if (g)
        ingle_generation_close(g->g);
    mem_free(NULL, g);
}

/* ---- checksums -------------------------------------------------------------------------------- */

ingle_sha256 *EXPORT(wasm_sha256_open)(void)
{
    ingle_sha256 *hash = mem_alloc(NULL, sizeof *hash);
    if (hash)
        ingle_sha256_init(hash);
    else
        error_memory(&reply.error, sizeof *hash, "a checksum");
    return hash;
}

void EXPORT(wasm_sha256_add)(ingle_sha256 *hash, const void *bytes, size_t n)
{
    ingle_sha256_add(hash, bytes, n);
}

const char *EXPORT(wasm_sha256_end)(ingle_sha256 *hash)
{
    ingle_sha256_end(hash, reply.hex);
    mem_free(NULL, hash);
    return give_text(reply.hex);
}
