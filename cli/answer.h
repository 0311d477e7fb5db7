/* One answer: from prompt tokens to streamed text with its timings. Shared by run and chat. */
#ifndef INGLE_CLI_ANSWER_H
#define INGLE_CLI_ANSWER_H

#include "json_out.h"
#include "options.h"

typedef struct {
    ingle_text text;
    ingle_tokens ids; // without the end token
    ingle_stop stop;
    size_t n_prompt, n_drawn; // n_drawn counts the end token
    double prompt_ms, gen_ms; // gen_ms: from the first token drawn to the last
    double first_ms;          // term_ms of the first token; 0 = none
} answer;

/* Generates. print: text goes to standard output as it becomes known. A Ctrl-C ends the answer
 * with INGLE_STOP_CANCEL and INGLE_OK. On failure what was made so far stands in *a. */
ingle_status answer_make(answer *a, ingle_session *s, const ingle_tokens *prompt,
                         const ingle_generate_options *opt, bool nothing, bool print,
                         ingle_error *err);
void answer_free(answer *a);

double answer_prompt_rate(const answer *a); // tokens a second, 0 = not known
double answer_gen_rate(const answer *a);

/* Appends the JSON of {"messages": [system?, user], "add_generation_prompt": true}. */
typedef struct {
    const char *role;
    const char *content;
    size_t n_content;
} answer_message;
void answer_messages(json_out *j, const answer_message *messages, size_t n);

#endif
