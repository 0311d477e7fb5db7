/* What JavaScript may call: the whole list, and nothing else of the module is for it.
 *
 * Builds: simd.wasm, relaxed.wasm, simd-threads.wasm, relaxed-threads.wasm. All import
 *   env.memory           a WebAssembly.Memory, initial: 64 pages or more; shared and with a maximum
 *                        for the -threads builds, unshared for the others
 *   host.now() -> ms     monotonic, a float
 *   host.date(p)         writes local time to int32 p[6]: year, month 1-12, day, hour, minute, second
 *   host.log(text, n)    a warning, UTF-8
 * and no WASI function. Call _initialize() once, in the first instance only.
 *
 * Rules
 * - One thread, the leader, calls everything but wasm_worker. It may block, so in a browser it is a
 *   worker too. Any call may grow the memory: make typed arrays anew after each.
 * - A handle or address is an unsigned 32-bit number (>>> 0), 0 = none. Text goes in as address and
 *   length of UTF-8, comes out as an address with its length in wasm_size().
 * - Failure: a function that returns an address gives 0, one that returns a status gives a negative
 *   number; then wasm_status() is the ingle_status and wasm_error() its text.
 * - Text and token lists that come out are valid until the next call that returns such a list or
 *   a part; copy them at once. In -threads builds they lie in shared memory, which TextDecoder does
 *   not take: slice() first.
 * - close and free accept 0. Order: generations, sessions, models.
 *
 * memory and errors
 *   wasm_alloc(n) -> address, 64-byte aligned; 0 without failure text: no memory
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
 *   name of the highest kernels allowed, 0 = the best
 *   wasm_session_memory(model, n_ctx, n_batch, n_threads, kv_k, kv_v) -> JSON {weights, kv, scratch,
 *       tables (bytes), contextSize, threads, cpu}
 *   wasm_session_open(model, n_ctx, n_batch, n_threads, kv_k, kv_v, cpu) -> session
 *   wasm_session_close(session)
 *   wasm_session_backend(session) -> text, "cpu/wasm";  wasm_session_context(session) -> tokens
 *   wasm_session_length(session);  wasm_session_ids(session) -> int32 ids
 *   wasm_session_truncate(session, n)
 *   wasm_session_flag(session) -> address of an int32 that means "cancel" while it is not 0. Read
 *       before each token and between passes of a prompt; only JavaScript writes it (Atomics.store
 *       from any thread), and clears it before the next answer.
 *   wasm_session_prefill(session, ids, n, most) -> status, or how many of ids [n] are on the timeline
 *       now: makes ids the timeline, computing at most `most` new tokens (0 = all). Call again until
 *       it returns n; between calls the leader can look at its messages.
 *   wasm_session_append(session, ids, n) -> status    for benchmarks
 *   wasm_session_logits(session) -> address of n_vocab floats, or 0
 * generation
 *   wasm_generation_open(session, ids, n, settings, n_settings, stops, n_stops, bias, n_bias)
 *       settings: doubles in this order, NaN or absent = default: temperature, top_k, top_p, min_p,
 *       typical_p, repeat_penalty, repeat_last_n, presence_penalty, frequency_penalty, seed,
 *       n_predict (0 = to the context's end), ignore_eos, special. stops: n_stops NUL-terminated
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

#include "base/json.h"
#include "base/text.h"
#include "ingle.h"

#define EXPORT(name) __attribute__((export_name(#name))) name
