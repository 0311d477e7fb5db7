/* ingle: small language models, where the user is.
 *
 *   ingle_model *model = NULL;
 *   ingle_session *session = NULL;
 *   ingle_generation *answer = NULL;
 *   ingle_tokens prompt = {0};
 *   ingle_error err;
 *   const char *chat = "{\"messages\":[{\"role\":\"user\",\"content\":\"Why is the sky blue?\"}],"
 *                      "\"add_generation_prompt\":true}";
 *
 *   if (ingle_model_open(&model, "model.gguf", NULL, &err) == INGLE_OK &&
 *       ingle_session_open(&session, model, NULL, &err) == INGLE_OK &&
 *       ingle_chat_tokenize(model, chat, strlen(chat), NULL, &prompt, &err) == INGLE_OK &&
 *       ingle_generation_open(&answer, session, prompt.ids, prompt.n, NULL, &err) == INGLE_OK) {
 *       ingle_part part;
 *       while (ingle_generation_next(answer, &part, &err) == INGLE_OK && !part.stop)
 *           fwrite(part.text, 1, part.n_text, stdout);
 *   }
 *   if (err.status != INGLE_OK) fprintf(stderr, "%s: %s\n", ingle_status_name(err.status), err.text);
 *   ingle_generation_close(answer);
 *   ingle_tokens_free(&prompt);
 *   ingle_session_close(session);
 *   ingle_model_close(model);
 *
 * Rules that hold everywhere:
 * - A function that can fail returns an ingle_status and fills *err (which may be NULL) with the
 *   fact that helps; on success err->status is INGLE_OK. On failure an out pointer is NULL.
 * - A NULL or all-zero options struct asks for the defaults. close and free accept NULL.
 * - Strings are UTF-8. Token ids are int32_t, 0 <= id < n_vocab; -1 means "none".
 * - A model is immutable and may be shared by threads; a session, a generation, a sampler and a
 *   detokenizer belong to one thread at a time.
 */
#ifndef INGLE_H
#define INGLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define INGLE_VERSION "0.1.0"

/* ---- errors ------------------------------------------------------------------------------- */

/* Every status: name, value, meaning. The names without INGLE_ are what the command line prints
 * and what JavaScript finds in IngleError.code. */
#define INGLE_STATUSES(X)                                                                  \
    X(OK, 0, "no error")                                                                   \
    X(ERR_USAGE, -1, "a wrong argument, option or order of calls")                         \
    X(ERR_IO, -2, "a file could not be read or written")                                   \
    X(ERR_FORMAT, -3, "a model or data file is damaged or not what it says")               \
    X(ERR_TEMPLATE, -4, "a chat template is wrong, refuses the messages or asks too much") \
    X(ERR_UNSUPPORTED, -5, "a model family, tensor format or feature that is not known")   \
    X(ERR_MEMORY, -6, "not enough memory")                                                 \
    X(ERR_CONTEXT_FULL, -7, "more tokens than the context holds")                          \
    X(ERR_NETWORK, -8, "a download failed")                                                \
    X(ERR_QUOTA, -9, "not enough storage space")                                           \
    X(ERR_INTEGRITY, -10, "bytes do not match their checksum")                             \
    X(ERR_DEVICE, -11, "the GPU or CPU lacks what is needed")                              \
    X(ERR_DEVICE_LOST, -12, "the GPU went away")                                           \
    X(ERR_CANCELLED, -13, "stopped on request")                                            \
    X(ERR_INTERNAL, -14, "a fault of ingle's own")                                         \
    X(WAIT, -15, "the GPU has not answered yet: ask again (where a host cannot wait)")

typedef enum {
#define INGLE_STATUS_ENUM(name, value, text) INGLE_##name = value,
    INGLE_STATUSES(INGLE_STATUS_ENUM)
#undef INGLE_STATUS_ENUM
} ingle_status;

typedef struct {
    ingle_status status;
    char text[240]; // one line, NUL-terminated, cut at a character if longer
} ingle_error;

const char *ingle_version(void);                       // "0.1.0"
const char *ingle_status_name(ingle_status status);    // "ERR_FORMAT"; never NULL
const char *ingle_status_meaning(ingle_status status); // the sentence of the list; never NULL

/* ---- memory and growing lists ------------------------------------------------------------- */

/* Where memory comes from. resize behaves like realloc: ptr NULL allocates, bytes 0 frees and
 * returns NULL, a failure returns NULL and leaves ptr as it was. Called from any thread that
 * calls ingle. resize NULL means the C library's allocator. */
typedef struct {
    void *(*resize)(void *user, void *ptr, size_t bytes);
    void *user;
} ingle_allocator;

/* Growing lists that functions append to. Start from {0} (or with .allocator set); *_free returns
 * the memory and makes the list empty again. Text is not NUL-terminated unless it says so. */
typedef struct {
    int32_t *ids; // [n]
    size_t n, capacity;
    ingle_allocator allocator;
} ingle_tokens;

typedef struct {
    char *bytes; // [n], followed by a NUL that n does not count
    size_t n, capacity;
    ingle_allocator allocator;
} ingle_text;

void ingle_tokens_free(ingle_tokens *tokens);
void ingle_text_free(ingle_text *text);

/* ---- models ------------------------------------------------------------------------------- */

typedef struct ingle_model ingle_model;

typedef struct {
    ingle_allocator allocator; // kept by the model and used by its sessions; zero = C library's
    void (*log)(void *user, const char *line); // warnings, without newline; NULL = silent
    void *log_user;
} ingle_model_options;

/* Opens a GGUF file (v1-v3; the first of a split set opens all its parts, which must lie beside
 * it). The weights are mapped, not read. A file without tensors is a vocabulary: it tokenizes and
 * renders but opens no session. A family that is not known opens too, so that it can be described;
 * ingle_session_open then says ERR_UNSUPPORTED.
 * ERR_IO, ERR_FORMAT (names the key or tensor), ERR_MEMORY. */
ingle_status ingle_model_open(ingle_model **out, const char *path, const ingle_model_options *opt,
                              ingle_error *err);

/* The same from memory: bytes [size] are borrowed until ingle_model_close. */
ingle_status ingle_model_open_bytes(ingle_model **out, const void *bytes, size_t size,
                                    const ingle_model_options *opt, ingle_error *err);

void ingle_model_close(ingle_model *model); // after its sessions; NULL is a no-op

/* A loader makes a model from a stream: chunks of any size, in order. The header is checked as
 * soon as it is complete; tensor data goes straight to where it will live. */
typedef struct ingle_loader ingle_loader;

ingle_status ingle_loader_open(ingle_loader **out, const ingle_model_options *opt, ingle_error *err);

/* Takes the next n bytes. After a failure every later call returns the same failure. */
ingle_status ingle_loader_feed(ingle_loader *loader, const void *bytes, size_t n, ingle_error *err);

/* Bytes of the whole file, known once the header is complete; 0 before. */
uint64_t ingle_loader_total(const ingle_loader *loader);

/* Ends the stream: *out owns the model; the loader is spent and only to be closed.
 * ERR_FORMAT when bytes are missing. */
ingle_status ingle_loader_take(ingle_loader *loader, ingle_model **out, ingle_error *err);
void ingle_loader_close(ingle_loader *loader);

/* What a model is. Strings and arrays are owned by the model; a NULL string means "not stated". */
typedef struct {
    const char *name, *architecture, *licence;
    const char *file_type;     // of most weights, "Q4_K_M"
    const char *tokenizer;     // "bpe", "spm", "unigram", "wordpiece", or NULL
    const char *chat_template; // Jinja source
    uint64_t n_params;         // values in all tensors
    uint64_t weight_bytes;     // bytes of all tensors
    uint32_t n_layers, n_heads, n_kv_heads, d_model, d_head, d_ff, n_vocab;
    uint32_t n_ctx_train;               // context length it was trained for; 0 = not stated
    int32_t bos, eos;                   // -1 = none
    ingle_status runnable;              // INGLE_OK, or why ingle_session_open will refuse
    const char *why_not;                // that refusal's text; NULL when runnable
} ingle_model_info;

const ingle_model_info *ingle_model_get_info(const ingle_model *model);

/* Metadata as key and printed value (long arrays shortened). i < count; else false. */
size_t ingle_model_meta_count(const ingle_model *model);
bool ingle_model_meta(const ingle_model *model, size_t i, const char **key, const char **value);

typedef struct {
    const char *name, *format; // "blk.0.attn_q.weight", "Q4_0"
    uint32_t n_dims;           // 1-4
    uint64_t shape[4];         // shape[0] is contiguous (a row); 1 beyond n_dims
    uint64_t n_values, bytes;
} ingle_tensor;

size_t ingle_model_tensor_count(const ingle_model *model);
bool ingle_model_tensor(const ingle_model *model, size_t i, ingle_tensor *out); // file order

/* Dequantises values [first, first + n) of a tensor, storage order, into out [n]. first and n are
 * multiples of the format's block or end with the tensor. ERR_USAGE: no such tensor or range. */
ingle_status ingle_model_tensor_read(const ingle_model *model, const char *name, uint64_t first,
                                     uint64_t n, float *out, ingle_error *err);

/* Appends what the model computes, one line an op with its operands, shapes and formats.
 * The model's own refusal if it is not runnable. */
ingle_status ingle_model_print_graph(const ingle_model *model, ingle_text *out, ingle_error *err);

/* ---- tokens ------------------------------------------------------------------------------- */

enum {
    INGLE_ADD_SPECIAL = 1,  // add the beginning and end tokens that the vocabulary asks for
    INGLE_PARSE_SPECIAL = 2 // text such as <|im_end|> becomes its control token
};

/* Appends the tokens of text [n]. Invalid UTF-8 is taken as U+FFFD or as bytes, as the
 * vocabulary's own tokenizer does. ERR_UNSUPPORTED: tokenizer not known; ERR_MEMORY. */
ingle_status ingle_tokenize(const ingle_model *model, const char *text, size_t n, unsigned flags,
                            ingle_tokens *out, ingle_error *err);

/* Appends the text of ids [n]; with INGLE_PARSE_SPECIAL control tokens are written out, else they
 * are left out. Bytes that are no UTF-8 become U+FFFD. ERR_USAGE: an id out of range. */
ingle_status ingle_detokenize(const ingle_model *model, const int32_t *ids, size_t n,
                              unsigned flags, ingle_text *out, ingle_error *err);

bool ingle_token_is_end(const ingle_model *model, int32_t id); // end of text or of turn

/* A detokenizer turns a stream of tokens into text and never emits half a character. */
typedef struct ingle_detokenizer ingle_detokenizer;

ingle_status ingle_detokenizer_open(ingle_detokenizer **out, const ingle_model *model,
                                    unsigned flags, ingle_error *err);

/* Text that became complete with id; valid until the next call; may be empty. id -1 ends the
 * stream: what is left comes out, an unfinished character as U+FFFD. */
ingle_status ingle_detokenizer_push(ingle_detokenizer *d, int32_t id, const char **text, size_t *n,
                                    ingle_error *err);
void ingle_detokenizer_close(ingle_detokenizer *d);

/* ---- chat templates ----------------------------------------------------------------------- */

/* Renders a Jinja chat template as Transformers does. context is a JSON object: messages, tools,
 * add_generation_prompt and whatever else the template reads. now is the time that strftime_now
 * sees, "2024-07-26T12:00:00" (local); NULL = the clock. Appends to out.
 * ERR_TEMPLATE: an unknown construct (named), raise_exception, or a budget passed;
 * ERR_FORMAT: context is not JSON. */
ingle_status ingle_template_render(const char *source, size_t n_source, const char *context,
                                   size_t n_context, const char *now, ingle_text *out,
                                   ingle_error *err);

/* The same with the model's own template; bos_token and eos_token are added to the context.
 * ERR_UNSUPPORTED: the model has no template. */
ingle_status ingle_chat_render(const ingle_model *model, const char *context, size_t n_context,
                               const char *now, ingle_text *out, ingle_error *err);

/* Renders and tokenizes. Control tokens come from the template's own text only: what the messages
 * hold stays text, so a user cannot forge a turn. */
ingle_status ingle_chat_tokenize(const ingle_model *model, const char *context, size_t n_context,
                                 const char *now, ingle_tokens *out, ingle_error *err);

/* ---- sessions ----------------------------------------------------------------------------- */

/* A session is one timeline of tokens over a model: it owns its KV cache and logits and borrows
 * the model, which must outlive it. */
typedef struct ingle_session ingle_session;

typedef enum { INGLE_BACKEND_AUTO, INGLE_BACKEND_CPU, INGLE_BACKEND_GPU } ingle_backend;
typedef enum { INGLE_KV_F16, INGLE_KV_Q8_0, INGLE_KV_Q4_0 } ingle_kv_type;

typedef struct {
    uint32_t n_ctx;     // tokens; 0 = the model's trained length, at most 4096
    uint32_t n_batch;   // prompt tokens in one pass; 0 = 512
    uint32_t n_threads; // CPU workers, this one included, at most one per processor; 0 = one per physical core
    ingle_backend backend;
    ingle_kv_type kv_k, kv_v;
    const char *cpu; // highest CPU path allowed: "ref", "portable", "avx2" ...; NULL = the best
    /* What GPU kernels may use, of "int8,subgroups,f16", or "f32"; NULL = whatever is fastest, which is measured when a
     * model is first opened on a GPU; "measured" also where compiling takes long, "usual" nowhere. */
    const char *gpu;
    /* Called between passes of a long prompt with tokens done and in all; false cancels:
     * ERR_CANCELLED, and what is done stays. May be NULL. */
    bool (*progress)(void *user, size_t done, size_t total);
    void *progress_user;
} ingle_session_options;

/* Opens a session. ERR_UNSUPPORTED: a family, format or operation that is not known, named;
 * ERR_FORMAT: a tensor is missing or has another shape; ERR_MEMORY.
 * Where its GPU goes away later on, the session goes on with another, within the call that found out; with
 * INGLE_BACKEND_AUTO, on the CPU if there is none. ERR_DEVICE_LOST: there is none, or it went away for the third time
 * within a minute; where the host cannot wait, also when another has to be asked for: call again then. */
ingle_status ingle_session_open(ingle_session **out, const ingle_model *model,
                                const ingle_session_options *opt, ingle_error *err);
void ingle_session_close(ingle_session *s);

/* Before a loader's first bytes: has the weights go to the GPU as they come and not be kept in memory
 * (docs/gpu.md says what waits there for how long). The kernels of a session with these options (NULL = the
 * defaults) are compiled meanwhile; the first that is opened so is that one. All sessions of the model run on
 * the GPU. ERR_DEVICE: there is none. Feeding may then fail as opening a session on the GPU does. */
ingle_status ingle_loader_use_gpu(ingle_loader *loader, const ingle_session_options *opt, ingle_error *err);

/* The same for a model that was loaded so and whose GPU went away (ERR_DEVICE_LOST): the loader is fed the same
 * file again, and the model's weights go to another GPU. The model that it gives in the end is of no use; that it
 * gives one means that calls on sessions of `model` may be made again. model must outlive the loader.
 * ERR_FORMAT, when the header is there: another file. */
ingle_status ingle_loader_revive(ingle_loader *loader, const ingle_model *model, const ingle_session_options *opt,
                                 ingle_error *err);

/* What a session with these options will take, worked out without opening it. */
typedef struct {
    uint64_t weights; // mapped or loaded, shared by the model's sessions
    uint64_t kv;      // at the full context
    uint64_t scratch; // activations, logits, samplers
    uint64_t tables;  // vocabulary and metadata
    uint32_t n_ctx, n_threads; // what 0 in the options became
    const char *cpu;           // the path that will run, "avx2"
} ingle_memory;

ingle_status ingle_session_memory(const ingle_model *model, const ingle_session_options *opt,
                                  ingle_memory *out, ingle_error *err);

/* Makes ids [n] the whole timeline: the common prefix with what is there is kept (*reused tokens,
 * may be NULL), the rest is computed, and logits follow ids[n - 1]. n >= 1.
 * ERR_CONTEXT_FULL, ERR_CANCELLED, ERR_USAGE (id out of range). */
ingle_status ingle_session_sync(ingle_session *s, const int32_t *ids, size_t n, size_t *reused,
                                ingle_error *err);

/* Appends ids [n] to the timeline. Errors as sync. */
ingle_status ingle_session_append(ingle_session *s, const int32_t *ids, size_t n, ingle_error *err);

/* Appends ids [n] and calls row for each with the logits that follow it: logits [n_vocab], valid
 * during the call; false stops with ERR_CANCELLED. */
ingle_status ingle_session_score(ingle_session *s, const int32_t *ids, size_t n,
                                 bool (*row)(void *user, size_t i, const float *logits), void *user,
                                 ingle_error *err);

void ingle_session_truncate(ingle_session *s, size_t n);            // keep the first n tokens
size_t ingle_session_length(const ingle_session *s);                // tokens on the timeline
const int32_t *ingle_session_ids(const ingle_session *s);           // [length], until the next call
uint32_t ingle_session_context(const ingle_session *s);             // n_ctx in force
const char *ingle_session_backend(const ingle_session *s);          // "cpu/portable"
const char *ingle_session_notes(const ingle_session *s); // what a GPU failed at and does without, a line each; or ""

/* Waits until a GPU's kernels are compiled and have passed their self-test; other calls do so as they need it. Of what
 * fails the session does without: subgroups, int8, in the end the GPU, if it chose that by itself and may have the CPU.
 * ERR_DEVICE, ERR_DEVICE_LOST, ERR_MEMORY; INGLE_WAIT. */
ingle_status ingle_session_ready(ingle_session *s, ingle_error *err);

/* What bounds a session's speed. A token can be generated no faster than its bytes are read:
 * read_per_second / (weights + kv * tokens on the timeline). */
typedef struct {
    uint64_t weights;       // bytes of matrices that one token reads
    uint64_t kv;            // bytes of cache read for each token before it
    uint64_t products;      // multiply-adds of matrices for each token of a prompt, without the head
    double read_per_second; // bytes, by the session's threads, from memory as large as `weights`; on a GPU 0: not measured
} ingle_limits;

/* Measures for some tenths of a second, and takes as much memory as the weights, 64 MB at least,
 * while it does. ERR_MEMORY. */
ingle_status ingle_session_limits(ingle_session *s, ingle_limits *out, ingle_error *err);

/* Computes what is still to be computed for the last token's logits, and waits for it: a GPU works on
 * after append and sync have returned. ERR_USAGE on an empty timeline or after ingle_session_truncate;
 * INGLE_WAIT where the host cannot wait (WebAssembly): call again. */
ingle_status ingle_session_finish(ingle_session *s, ingle_error *err);

/* Logits [n_vocab] after the last token, until the next call on s; NULL where ingle_session_finish fails. */
const float *ingle_session_logits(const ingle_session *s);

/* ---- sampling ----------------------------------------------------------------------------- */

typedef struct {
    int32_t id;
    float bias; // added to the logit; -INFINITY forbids
} ingle_logit_bias;

/* Order: bias, penalties, top-k, typical, top-p, min-p, temperature, draw. */
typedef struct {
    float temperature;       // 0 = greedy
    int32_t top_k;           // 0 = all
    float top_p;             // 1 = off
    float min_p;             // 0 = off
    float typical_p;         // 1 = off
    float repeat_penalty;    // 1 = off
    int32_t repeat_last_n;   // tokens looked back on; 0 = none, -1 = all
    float presence_penalty;  // 0 = off
    float frequency_penalty; // 0 = off
    uint64_t seed;           // same seed, same text
    const ingle_logit_bias *logit_bias; // [n_logit_bias], copied
    size_t n_logit_bias;
} ingle_sampling;

void ingle_sampling_init(ingle_sampling *s); // llama.cpp's defaults: 0.8, 40, 0.95, 0.05, off ...

typedef struct ingle_sampler ingle_sampler;

ingle_status ingle_sampler_open(ingle_sampler **out, const ingle_model *model,
                                const ingle_sampling *opt, ingle_error *err); // opt NULL = init's
void ingle_sampler_accept(ingle_sampler *s, int32_t id); // tells of a token that penalties count

/* Draws from logits [n_vocab] (unchanged). Does not accept the token.
 * ERR_FORMAT: logits hold NaN, or nothing is left to choose. */
ingle_status ingle_sampler_pick(ingle_sampler *s, const float *logits, int32_t *id,
                                ingle_error *err);
void ingle_sampler_close(ingle_sampler *s);

typedef struct {
    int32_t id;
    float logprob; // natural log of the softmax over all logits
} ingle_choice;

/* The n most probable tokens, most probable first, into out [n]; returns how many. */
size_t ingle_top_choices(const float *logits, size_t n_vocab, ingle_choice *out, size_t n);
float ingle_logprob(const float *logits, size_t n_vocab, int32_t id);

/* ---- generation --------------------------------------------------------------------------- */

typedef struct ingle_generation ingle_generation;

typedef enum {
    INGLE_STOP_NONE,   // not yet
    INGLE_STOP_EOS,    // an end token
    INGLE_STOP_TEXT,   // a stop string, which is not part of the text
    INGLE_STOP_LENGTH, // n_predict reached, or the context is full
    INGLE_STOP_CANCEL  // ingle_generation_cancel
} ingle_stop;

typedef struct {
    ingle_sampling sampling;   // used if has_sampling, else ingle_sampling_init's
    bool has_sampling;
    uint32_t n_predict;        // most tokens to generate; 0 = until the context is full
    const char *const *stops;  // [n_stops] NUL-terminated, copied
    size_t n_stops;
    bool ignore_eos;           // end tokens are forbidden
    bool special;              // control tokens appear in the text
    uint32_t burst;            // on a GPU: tokens queued together, at most 16; 0 = by their speed
    bool logprobs;             // ingle_part.logprob is wanted (a pass over the logits a token)
} ingle_generate_options;

/* A step of an answer. text may be empty while a character or a possible stop string is open. */
typedef struct {
    const char *text;   // [n_text], valid until the next call
    size_t n_text;
    int32_t id;         // the token chosen in this step; -1 when the step chose none
    float logprob;      // of that token, before sampling settings; 0 unless asked for
    ingle_stop stop;    // anything but NONE: this is the last part (its text counts)
} ingle_part;

/* Makes prompt [n] the session's timeline (see ingle_session_sync) and readies an answer. The
 * session is the generation's until it is closed. */
ingle_status ingle_generation_open(ingle_generation **out, ingle_session *s, const int32_t *prompt,
                                   size_t n, const ingle_generate_options *opt, ingle_error *err);
ingle_status ingle_generation_next(ingle_generation *g, ingle_part *part, ingle_error *err);
void ingle_generation_cancel(ingle_generation *g); // from any thread or signal handler
void ingle_generation_close(ingle_generation *g);

/* ---- checksums ---------------------------------------------------------------------------- */

/* SHA-256 of a stream (FIPS 180-4). init, any number of adds, then end writes 64 hex digits and a
 * NUL. */
typedef struct {
    uint32_t state[8];
    uint64_t n_bytes;
    uint8_t block[64];
} ingle_sha256;

void ingle_sha256_init(ingle_sha256 *h);
void ingle_sha256_add(ingle_sha256 *h, const void *bytes, size_t n);
void ingle_sha256_end(ingle_sha256 *h, char hex[65]);

#ifdef __cplusplus
}
#endif

#endif
