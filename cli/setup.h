/* What several commands do first: open the model, make session options, read the text, write
 * message lists. Functions that can fail have printed the error line and return the exit code. */
#ifndef INGLE_CLI_SETUP_H
#define INGLE_CLI_SETUP_H

#include "json_out.h"
#include "options.h"
#include "output.h"

/* A model with the name that error lines use for it. */
typedef struct {
    ingle_model *model;
    const ingle_model_info *info;
    ingle_text path;
    const char *name; // file name of path
    double load_ms;
} setup_model;

int setup_open(setup_model *m, const options *o); // EXIT_DONE or the exit code
void setup_close(setup_model *m);

/* Session options from the command line, $INGLE_CPU, $INGLE_GPU and a progress bar for long prompts. The bar
 * is the caller's and outlives the session. */
ingle_session_options setup_session(const options *o, term_bar *bar);

/* The text of -p, -f or standard input. */
int setup_text(ingle_text *text, const options *o);

uint64_t setup_seed(const options *o); // -s, or a fresh one below 2^32
ingle_generate_options setup_generation(const options *o, uint64_t seed, ingle_sampling *sampling);

const char *setup_stop_name(ingle_stop stop); // "eos", "stop", "length", "cancel"

/* Says something on standard error unless --quiet. */
void setup_note(const options *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
