/* What several commands do first. */
#include "setup.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "buffer.h"
#include "models.h"

static void print_warning(void *user, const char *line)
{
    const options *o = user;
    setup_note(o, "ingle: %s\n", line);
}

int setup_open(setup_model *m, const options *o)
{
    ingle_error err;
    *m = (setup_model){.name = o->model};
    if (models_find(&m->path, o->model, &err) != INGLE_OK) {
        const int code = out_fail(o->model, &err);
        setup_close(m);
        return code;
    }
    const char *slash = strrchr(m->path.bytes, '/');
    m->name = slash && slash[1] ? slash + 1 : m->path.bytes;
    union {
        const options *in;
        void *out;
    } user = {o}; // the callback only reads it
    const ingle_model_options opt = {.log = print_warning, .log_user = user.out};
    const double start = term_ms();
    if (ingle_model_open(&m->model, m->path.bytes, &opt, &err) != INGLE_OK) {
        const int code = out_fail(m->name, &err);
        setup_close(m);
        return code;
    }
    m->load_ms = term_ms() - start;
    m->info = ingle_model_get_info(m->model);
    return EXIT_DONE;
}

void setup_close(setup_model *m)
{
    ingle_model_close(m->model);
    ingle_text_free(&m->path);
    *m = (setup_model){0};
}

static bool prompt_progress(void *user, size_t done, size_t total)
{
    term_bar_show(user, done, total);
    return !term_interrupted();
}

ingle_session_options setup_session(const options *o, term_bar *bar)
{
    term_bar_start(bar, "prompt", !o->quiet, false);
    const char *cpu = getenv("INGLE_CPU"), *gpu = getenv("INGLE_GPU");
    return (ingle_session_options){
        .n_ctx = o->n_ctx,
        .n_batch = o->n_batch,
        .n_threads = o->n_threads,
        .backend = o->gpu   ? INGLE_BACKEND_GPU
                   : o->cpu ? INGLE_BACKEND_CPU
                            : INGLE_BACKEND_AUTO,
        .kv_k = (ingle_kv_type)o->kv_k,
        .kv_v = (ingle_kv_type)o->kv_v,
        .cpu = cpu && *cpu ? cpu : NULL,
        .gpu = gpu && *gpu ? gpu : NULL,
        .progress = prompt_progress,
        .progress_user = bar,
    };
}

int setup_text(ingle_text *text, const options *o)
{
    if (o->prompt)
        return buf_add_text(text, o->prompt)
                   ? EXIT_DONE
                   : out_failf("-p", INGLE_ERR_MEMORY, "no room for the text");
    const char *file = o->file ? o->file : "-";
    const bool standard = strcmp(file, "-") == 0;
    if (standard && isatty(STDIN_FILENO))
        setup_note(o, "reading the text from the terminal; Ctrl-D ends it\n");
    ingle_error err;
    if (buf_read_file(text, file, &err) != INGLE_OK)
        return out_fail(standard ? "standard input" : file, &err);
    return EXIT_DONE;
}

uint64_t setup_seed(const options *o)
{
    if (o->seed >= 0)
        return (uint64_t)o->seed;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t x = (uint64_t)t.tv_sec * 1000000007u + (uint64_t)t.tv_nsec;
    x ^= (uint64_t)getpid() << 32;
    x = (x ^ x >> 29) * 0xBF58476D1CE4E5B9u; // neighbouring times must not give related seeds
    x = (x ^ x >> 32) * 0x94D049BB133111EBu;
    return x >> 32; // short enough to type again
}

ingle_generate_options setup_generation(const options *o, uint64_t seed, ingle_sampling *sampling)
{
    *sampling = o->sampling;
    sampling->seed = seed;
    sampling->logit_bias = o->biases.items;
    sampling->n_logit_bias = o->biases.n;
    return (ingle_generate_options){
        .sampling = *sampling,
        .has_sampling = true,
        .n_predict = o->n_predict > 0 ? (uint32_t)o->n_predict : 0,
        .stops = o->stops.items,
        .n_stops = o->stops.n,
        .ignore_eos = o->ignore_eos,
    };
}

const char *setup_stop_name(ingle_stop stop)
{
    switch (stop) {
    case INGLE_STOP_EOS:
        return "eos";
    case INGLE_STOP_TEXT:
        return "stop";
    case INGLE_STOP_LENGTH:
        return "length";
    case INGLE_STOP_CANCEL:
        return "cancel";
    case INGLE_STOP_NONE:
        break;
    }
    return "none";
}

void setup_note(const options *o, const char *fmt, ...)
{
    if (o->quiet)
        return;
    term_clear_bar();
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fflush(stderr);
}
