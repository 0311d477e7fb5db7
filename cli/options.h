/* The options of every command: one table, from which both the parser and the help text work. */
#ifndef INGLE_CLI_OPTIONS_H
#define INGLE_CLI_OPTIONS_H

#include "ingle.h"
#include "terminal.h"

/* Commands as bits: an option's row says which of them take it. */
enum {
    FOR_RUN = 1,
    FOR_CHAT = 2,
    FOR_INFO = 4,
    FOR_TOKENIZE = 8,
    FOR_TEMPLATE = 16,
    FOR_LOGITS = 32,
    FOR_DUMP = 64,
    FOR_PERPLEXITY = 128,
    FOR_BENCH = 256,
    FOR_PULL = 512
};

enum { OPT_COUNTS_MAX = 16 };

typedef struct {
    uint32_t items[OPT_COUNTS_MAX];
    uint32_t n;
} opt_counts;

typedef struct {
    const char **items; // borrowed from argv
    size_t n, capacity;
} opt_texts;

typedef struct {
    ingle_logit_bias *items;
    size_t n, capacity;
} opt_biases;

typedef struct {
    const char *command;
    const char *argument; // the positional one, NULL = none

    const char *model;    // never NULL after opt_parse
    bool model_given;
    const char *prompt, *file, *system, *ids;
    const char *template_file, *context_file, *now;
    const char *save_logits, *kl;

    int32_t n_predict; // -1 = until the end
    uint32_t n_ctx, n_batch, n_threads, chunks;
    int64_t seed; // -1 = pick one
    ingle_sampling sampling;
    opt_biases biases;
    opt_texts stops;
    int kv_k, kv_v; // ingle_kv_type
    opt_counts bench_prompt, bench_predict, bench_threads, bench_depth;
    uint32_t repetitions;

    int color; // term_color_mode
    bool raw, json, quiet, decode, no_special, no_parse_special, ignore_eos, graph;
    bool gpu, cpu, help;
} options;

void opt_init(options *o);
void opt_free(options *o);

/* Parses argv [argc] for a command. ERR_USAGE, ERR_MEMORY; *what (may stay NULL) is the option that
 * the error is about. At most one positional argument is taken, only if `positional`. */
ingle_status opt_parse(options *o, unsigned command, bool positional, int argc, char **argv,
                       const char **what, ingle_error *err);

void opt_print_help(unsigned command); // the rows of one command, on standard output

#endif
