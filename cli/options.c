/* The options table, its parser and its help text. Refuses unknown options, missing or ill-formed
 * values and values out of range, by name. */
#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

enum {
    RUNS = FOR_RUN | FOR_CHAT,
    SESSIONS = FOR_RUN | FOR_CHAT | FOR_LOGITS | FOR_PERPLEXITY | FOR_BENCH | FOR_INFO,
    MODELS = SESSIONS | FOR_TOKENIZE | FOR_TEMPLATE | FOR_DUMP,
    ALL = MODELS | FOR_PULL
};

typedef enum {
    KIND_FLAG,   // bool
    KIND_TEXT,   // const char *
    KIND_COUNT,  // uint32_t
    KIND_INT,    // int32_t
    KIND_SEED,   // int64_t
    KIND_REAL,   // float
    KIND_CHOICE, // int, index into the '|' list of `argument`
    KIND_COUNTS, // opt_counts
    KIND_TEXTS,  // opt_texts, one more each time
    KIND_BIAS    // opt_biases, one more each time
} kind;

typedef struct {
    const char *short_name, *long_name; // NULL = none
    kind kind;
    size_t offset; // in options
    unsigned commands;
    double low, high;     // of numbers, inclusive
    const char *argument; // how the help names the value
    const char *help;     // NULL = another name of a row, not listed
} row;

#define AT(field) offsetof(options, field)
#define COUNT_MAX 4294967295.0

static const row rows[] = {
    {"-m", "--model", KIND_TEXT, AT(model), MODELS, 0, 0, "M",
     "model: a path, a known name or hf:user/repo[:file-or-quant] (default smollm2-135m)"},
    {"-p", "--prompt", KIND_TEXT, AT(prompt), FOR_RUN | FOR_TOKENIZE, 0, 0, "TEXT", "the text"},
    {"-f", "--file", KIND_TEXT, AT(file), FOR_RUN | FOR_TOKENIZE | FOR_PERPLEXITY, 0, 0, "FILE",
     "the text is in a file; - is standard input"},
    {"-sys", "--system", KIND_TEXT, AT(system), RUNS, 0, 0, "TEXT", "system message"},
    {NULL, "--system-prompt", KIND_TEXT, AT(system), RUNS, 0, 0, "TEXT", NULL},
    {NULL, "--raw", KIND_FLAG, AT(raw), FOR_RUN, 0, 0, NULL,
     "send the text as it is, without the model's chat template"},
    {NULL, "--decode", KIND_FLAG, AT(decode), FOR_TOKENIZE, 0, 0, NULL, "ids in, text out"},
    {NULL, "--no-special", KIND_FLAG, AT(no_special), FOR_TOKENIZE, 0, 0, NULL,
     "add no beginning and end tokens"},
    {NULL, "--no-parse-special", KIND_FLAG, AT(no_parse_special), FOR_TOKENIZE, 0, 0, NULL,
     "special tokens' text is plain text"},
    {NULL, "--graph", KIND_FLAG, AT(graph), FOR_INFO, 0, 0, NULL,
     "print only what the model computes, one line an operation"},
    {NULL, "--template", KIND_TEXT, AT(template_file), FOR_TEMPLATE, 0, 0, "FILE",
     "a Jinja template instead of the model's"},
    {NULL, "--context", KIND_TEXT, AT(context_file), FOR_TEMPLATE, 0, 0, "FILE",
     "JSON object with messages, tools, add_generation_prompt ...; - is standard input"},
    {NULL, "--now", KIND_TEXT, AT(now), FOR_TEMPLATE, 0, 0, "TIME",
     "the time that the template sees, 2024-07-26T12:00:00"},
    {NULL, "--ids", KIND_TEXT, AT(ids), FOR_LOGITS, 0, 0, "\"1 2 3\"", "token ids"},
    {"-p", "--prompt", KIND_COUNTS, AT(bench_prompt), FOR_BENCH, 0, 1e6, "N,...",
     "prompt lengths (default 512; 0 = none)"},
    {"-n", "--predict", KIND_COUNTS, AT(bench_predict), FOR_BENCH, 0, 1e6, "N,...",
     "tokens to generate (default 128; 0 = none)"},
    {"-d", "--depth", KIND_COUNTS, AT(bench_depth), FOR_BENCH, 0, 1e6, "N,...",
     "tokens already in the context (default 0)"},
    {"-t", "--threads", KIND_COUNTS, AT(bench_threads), FOR_BENCH, 0, 1024, "N,...",
     "CPU threads (default one a core)"},
    {"-r", "--repetitions", KIND_COUNT, AT(repetitions), FOR_BENCH, 1, 1000, "N",
     "runs of each test (default 5)"},
    {"-n", "--predict", KIND_INT, AT(n_predict), RUNS, -1, 2147483647, "N",
     "most tokens to generate (default -1: until the model ends or the context is full)"},
    {NULL, "--n-predict", KIND_INT, AT(n_predict), RUNS, -1, 2147483647, "N", NULL},
    {"-c", "--ctx-size", KIND_COUNT, AT(n_ctx), SESSIONS & ~FOR_BENCH, 0, COUNT_MAX, "N",
     "context in tokens (default: what the model was trained for, at most 4096;"
     " perplexity 512)"},
    {"-b", "--batch-size", KIND_COUNT, AT(n_batch), SESSIONS & ~FOR_INFO, 0, 65536, "N",
     "prompt tokens in one pass (default 512)"},
    {"-t", "--threads", KIND_COUNT, AT(n_threads), SESSIONS & ~FOR_BENCH, 0, 1024, "N",
     "CPU threads (default one a core)"},
    {NULL, "--chunks", KIND_COUNT, AT(chunks), FOR_PERPLEXITY, 0, COUNT_MAX, "N",
     "stop after N chunks of the context's length (default all)"},
    {NULL, "--save-logits", KIND_TEXT, AT(save_logits), FOR_PERPLEXITY, 0, 0, "FILE",
     "write the log-probabilities for a later --kl"},
    {NULL, "--kl", KIND_TEXT, AT(kl), FOR_PERPLEXITY, 0, 0, "FILE",
     "compare with a file that --save-logits wrote"},
    {"-s", "--seed", KIND_SEED, AT(seed), RUNS, -1, 9007199254740991.0, "N",
     "same seed, same text (default -1: another one each time)"},
    {NULL, "--temp", KIND_REAL, AT(sampling.temperature), RUNS, 0, 1e6, "X",
     "temperature (default 0.8; 0 = always the most probable token)"},
    {NULL, "--top-k", KIND_INT, AT(sampling.top_k), RUNS, 0, 2147483647, "N",
     "keep the N most probable tokens (default 40; 0 = all)"},
    {NULL, "--top-p", KIND_REAL, AT(sampling.top_p), RUNS, 0, 1, "X",
     "keep the most probable tokens that make up X (default 0.95; 1 = all)"},
    {NULL, "--min-p", KIND_REAL, AT(sampling.min_p), RUNS, 0, 1, "X",
     "keep tokens at least X times as probable as the best (default 0.05; 0 = all)"},
    {NULL, "--typical", KIND_REAL, AT(sampling.typical_p), RUNS, 0, 1, "X",
     "locally typical sampling (default 1 = off)"},
    {NULL, "--repeat-penalty", KIND_REAL, AT(sampling.repeat_penalty), RUNS, 1e-3, 1e3, "X",
     "make repeated tokens less probable (default 1 = off)"},
    {NULL, "--repeat-last-n", KIND_INT, AT(sampling.repeat_last_n), RUNS, -1, 2147483647, "N",
     "tokens that the penalties look back on (default 64; -1 = all, 0 = none)"},
    {NULL, "--presence-penalty", KIND_REAL, AT(sampling.presence_penalty), RUNS, -1e3, 1e3, "X",
     "taken off once for a token that occurred (default 0)"},
    {NULL, "--frequency-penalty", KIND_REAL, AT(sampling.frequency_penalty), RUNS, -1e3, 1e3, "X",
     "taken off each time that a token occurred (default 0)"},
    {NULL, "--logit-bias", KIND_BIAS, AT(biases), RUNS, 0, 0, "ID+V",
     "add V to a token's logit (ID-V: take off; ID-inf: forbid); may be repeated"},
    {NULL, "--stop", KIND_TEXTS, AT(stops), RUNS, 0, 0, "TEXT",
     "end the answer before this text; may be repeated"},
    {NULL, "--ignore-eos", KIND_FLAG, AT(ignore_eos), RUNS, 0, 0, NULL,
     "forbid the model's end tokens"},
    {"-ctk", "--cache-type-k", KIND_CHOICE, AT(kv_k), SESSIONS, 0, 0, "f16|q8_0|q4_0",
     "how keys are kept"},
    {"-ctv", "--cache-type-v", KIND_CHOICE, AT(kv_v), SESSIONS, 0, 0, "f16|q8_0|q4_0",
     "how values are kept"},
    {NULL, "--gpu", KIND_FLAG, AT(gpu), SESSIONS, 0, 0, NULL, "run on the GPU, or fail"},
    {NULL, "--cpu", KIND_FLAG, AT(cpu), SESSIONS, 0, 0, NULL, "run on the CPU"},
    {NULL, "--json", KIND_FLAG, AT(json),
     FOR_RUN | FOR_INFO | FOR_PERPLEXITY | FOR_BENCH, 0, 0, NULL, "print JSON"},
    {"-q", "--quiet", KIND_FLAG, AT(quiet), ALL, 0, 0, NULL, "no progress, timings or warnings"},
    {NULL, "--color", KIND_CHOICE, AT(color), ALL, 0, 0, "auto|always|never", "colours"},
    {"-h", "--help", KIND_FLAG, AT(help), ALL, 0, 0, NULL, "print this"},
};

enum { N_ROWS = sizeof rows / sizeof *rows };

void opt_init(options *o)
{
    *o = (options){.model = "smollm2-135m", .n_predict = -1, .seed = -1, .repetitions = 5};
    ingle_sampling_init(&o->sampling);
}

void opt_free(options *o)
{
    free(o->stops.items);
    free(o->biases.items);
}

/* ---- values ------------------------------------------------------------------------------- */

/* Room for one more item of a growing list; NULL when memory runs out. */
static void *grow(void *items, size_t n, size_t *capacity, size_t size)
{
    if (n < *capacity)
        return items;
    const size_t more = *capacity ? *capacity * 2 : 8;
    void *moved = realloc(items, more * size);
    if (moved)
        *capacity = more;
    return moved;
}

static bool whole_number(const char *text, const char **end, int64_t *out)
{
    char *stop;
    errno = 0;
    const long long number = strtoll(text, &stop, 10);
    const char first = text[0] == '-' ? text[1] : text[0]; // strtoll allows blanks and '+'
    *end = stop;
    *out = number;
    return stop != text && errno == 0 && first >= '0' && first <= '9';
}

static ingle_status set_number(void *field, const row *r, const char *text, ingle_error *err)
{
    const char *end;
    int64_t number;
    if (!whole_number(text, &end, &number) || *end)
        return out_error(err, INGLE_ERR_USAGE, "\"%.60s\" is not a whole number", text);
    if ((double)number < r->low || (double)number > r->high)
        return out_error(err, INGLE_ERR_USAGE, "%.60s is outside %.0f to %.0f", text, r->low,
                         r->high);
    if (r->kind == KIND_COUNT)
        *(uint32_t *)field = (uint32_t)number;
    else if (r->kind == KIND_INT)
        *(int32_t *)field = (int32_t)number;
    else
        *(int64_t *)field = number;
    return INGLE_OK;
}

static ingle_status set_real(float *field, const row *r, const char *text, ingle_error *err)
{
    char *end;
    const double number = strtod(text, &end);
    if (end == text || *end || !isfinite(number))
        return out_error(err, INGLE_ERR_USAGE, "\"%.60s\" is not a number", text);
    if (number < r->low || number > r->high)
        return out_error(err, INGLE_ERR_USAGE, "%.60s is outside %g to %g", text, r->low, r->high);
    *field = (float)number;
    return INGLE_OK;
}

static ingle_status set_choice(int *field, const row *r, const char *text, ingle_error *err)
{
    const size_t n = strlen(text);
    const char *p = r->argument;
    for (int i = 0; n > 0; i++) {
        const size_t length = strcspn(p, "|");
        if (length == n && memcmp(p, text, n) == 0) {
            *field = i;
            return INGLE_OK;
        }
        if (!p[length])
            break;
        p += length + 1;
    }
    return out_error(err, INGLE_ERR_USAGE, "\"%.60s\" is none of %s", text, r->argument);
}

static ingle_status set_counts(opt_counts *field, const row *r, const char *text, ingle_error *err)
{
    field->n = 0;
    for (const char *p = text;; p++) {
        int64_t number;
        const char *end;
        if (!whole_number(p, &end, &number) || (*end && *end != ','))
            return out_error(err, INGLE_ERR_USAGE, "\"%.60s\" is not a list like 1,2,4", text);
        if ((double)number < r->low || (double)number > r->high)
            return out_error(err, INGLE_ERR_USAGE, "%lld is outside %.0f to %.0f",
                             (long long)number, r->low, r->high);
        if (field->n == OPT_COUNTS_MAX)
            return out_error(err, INGLE_ERR_USAGE, "more than %d numbers", OPT_COUNTS_MAX);
        field->items[field->n++] = (uint32_t)number;
        p = end;
        if (!*p)
            return INGLE_OK;
    }
}

static ingle_status add_text(opt_texts *list, const char *text, ingle_error *err)
{
    if (!*text)
        return out_error(err, INGLE_ERR_USAGE, "the text is empty");
    const char **items = grow(list->items, list->n, &list->capacity, sizeof *items);
    if (!items)
        return out_error(err, INGLE_ERR_MEMORY, "no room for an option");
    list->items = items;
    items[list->n++] = text;
    return INGLE_OK;
}

/* "15043+1", "15043-0.5", "15043-inf" */
static ingle_status add_bias(opt_biases *list, const char *text, ingle_error *err)
{
    const char *sign;
    char *end = NULL;
    int64_t id;
    double bias = NAN;
    if (whole_number(text, &sign, &id) && (*sign == '+' || *sign == '-'))
        bias = strtod(sign, &end);
    if (!end || end == sign || *end || isnan(bias) || id < 0 || id > INT32_MAX || bias > 1e30)
        return out_error(err, INGLE_ERR_USAGE, "\"%.60s\" is not ID+V or ID-V", text);
    ingle_logit_bias *items = grow(list->items, list->n, &list->capacity, sizeof *items);
    if (!items)
        return out_error(err, INGLE_ERR_MEMORY, "no room for an option");
    list->items = items;
    items[list->n++] = (ingle_logit_bias){(int32_t)id, bias < -1e30 ? -INFINITY : (float)bias};
    return INGLE_OK;
}

static ingle_status set_value(options *o, const row *r, const char *text, ingle_error *err)
{
    void *field = (char *)o + r->offset;
    switch (r->kind) {
    case KIND_FLAG:
        *(bool *)field = true;
        return INGLE_OK;
    case KIND_TEXT:
        *(const char **)field = text;
        return INGLE_OK;
    case KIND_COUNT:
    case KIND_INT:
    case KIND_SEED:
        return set_number(field, r, text, err);
    case KIND_REAL:
        return set_real(field, r, text, err);
    case KIND_CHOICE:
        return set_choice(field, r, text, err);
    case KIND_COUNTS:
        return set_counts(field, r, text, err);
    case KIND_TEXTS:
        return add_text(field, text, err);
    case KIND_BIAS:
        return add_bias(field, text, err);
    }
    return INGLE_OK;
}

/* ---- the line ----------------------------------------------------------------------------- */

/* The row of an argument such as "-n", "--predict" or "--predict=5" (*value behind the '='). */
static const row *find(unsigned command, const char *argument, const char **value)
{
    *value = NULL;
    const size_t name = strcspn(argument, "=");
    for (size_t i = 0; i < N_ROWS; i++) {
        const row *r = &rows[i];
        if (!(r->commands & command))
            continue;
        if (r->short_name && strcmp(r->short_name, argument) == 0)
            return r;
        if (r->long_name && strlen(r->long_name) == name &&
            memcmp(r->long_name, argument, name) == 0) {
            *value = argument[name] ? argument + name + 1 : NULL;
            return r;
        }
    }
    return NULL;
}

/* Is the option known to another command? Then the error can say so. */
static bool known_elsewhere(const char *argument)
{
    const char *value;
    return find(~0u, argument, &value) != NULL;
}

static ingle_status check(const options *o, const char **what, ingle_error *err)
{
    if (o->gpu && o->cpu) {
        *what = "--gpu";
        return out_error(err, INGLE_ERR_USAGE, "--cpu is given too");
    }
    if (o->prompt && o->file) {
        *what = "-p";
        return out_error(err, INGLE_ERR_USAGE, "-f is given too");
    }
    return INGLE_OK;
}

ingle_status opt_parse(options *o, unsigned command, bool positional, int argc, char **argv,
                       const char **what, ingle_error *err)
{
    bool only_arguments = false;
    for (int i = 0; i < argc; i++) {
        const char *a = argv[i];
        *what = a;
        if (only_arguments || a[0] != '-' || !a[1]) {
            if (!positional || o->argument)
                return out_error(err, INGLE_ERR_USAGE, "not expected here (a model is given with"
                                 " -m, a text with -p); see ingle help %s", o->command);
            o->argument = a;
            continue;
        }
        if (strcmp(a, "--") == 0) {
            only_arguments = true;
            continue;
        }
        const char *value;
        const row *r = find(command, a, &value);
        if (!r)
            return out_error(err, INGLE_ERR_USAGE, "%s; see ingle help %s",
                             known_elsewhere(a) ? "not an option of this command"
                                                : "no such option", o->command);
        *what = r->long_name;
        if (r->kind == KIND_FLAG && value)
            return out_error(err, INGLE_ERR_USAGE, "takes no value");
        if (r->kind != KIND_FLAG && !value) {
            if (i + 1 == argc)
                return out_error(err, INGLE_ERR_USAGE, "a value is missing: %s", r->argument);
            value = argv[++i];
        }
        const ingle_status status = set_value(o, r, value, err);
        if (status != INGLE_OK)
            return status;
        if (r->offset == AT(model))
            o->model_given = true;
    }
    *what = NULL;
    return check(o, what, err);
}

void opt_print_help(unsigned command)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        const row *r = &rows[i];
        if (!(r->commands & command) || !r->help)
            continue;
        char left[64];
        snprintf(left, sizeof left, "%s%s%s%s%s", r->short_name ? r->short_name : "",
                 r->short_name ? ", " : "", r->long_name, r->argument ? " " : "",
                 r->argument ? r->argument : "");
        if (strlen(left) > 24) // the text gets a line of its own
            out_printf("  %s\n  %-24s  %s\n", left, "", r->help);
        else
            out_printf("  %-24s  %s\n", left, r->help);
    }
}
