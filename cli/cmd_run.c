/* ingle run: one answer to one text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "buffer.h"
#include "cmd.h"
#include "setup.h"

/* Tokens of the text: through the chat template, or as it is. */
static ingle_status make_prompt(ingle_tokens *prompt, const setup_model *m, const options *o,
                                const ingle_text *text, ingle_error *err)
{
    if (o->raw || !m->info->chat_template) {
        if (!o->raw)
            setup_note(o, "ingle: %s has no chat template: the text is sent as it is\n", m->name);
        // A prompt written by hand may spell out control tokens, as with llama.cpp.
        return ingle_tokenize(m->model, text->bytes, text->n,
                              INGLE_ADD_SPECIAL | INGLE_PARSE_SPECIAL, prompt, err);
    }
    answer_message messages[2];
    size_t n = 0;
    if (o->system)
        messages[n++] = (answer_message){"system", o->system, strlen(o->system)};
    messages[n++] = (answer_message){"user", text->bytes, text->n};
    json_out context = {0};
    answer_messages(&context, messages, n);
    const ingle_status status =
        jout_ok(&context) ? ingle_chat_tokenize(m->model, context.text.bytes, context.text.n, NULL,
                                                prompt, err)
                          : out_error(err, INGLE_ERR_MEMORY, "no room for the text");
    ingle_text_free(&context.text);
    return status;
}

static ingle_status print_json(const answer *a, double load_ms, uint64_t seed, ingle_error *err)
{
    json_out j = {0};
    jout_open(&j, '{');
    jout_key(&j, "text");
    jout_string(&j, a->text.bytes, a->text.n);
    jout_key(&j, "tokens");
    jout_open(&j, '[');
    for (size_t i = 0; i < a->ids.n; i++)
        jout_int(&j, a->ids.ids[i]);
    jout_close(&j, ']');
    jout_key(&j, "prompt_tokens");
    jout_uint(&j, a->n_prompt);
    jout_key(&j, "stop");
    jout_text(&j, setup_stop_name(a->stop));
    jout_key(&j, "seed");
    jout_uint(&j, seed);
    jout_key(&j, "timings");
    jout_open(&j, '{');
    const struct {
        const char *name;
        double value;
    } times[] = {{"load_ms", load_ms},
                 {"prompt_ms", a->prompt_ms},
                 {"prompt_per_s", answer_prompt_rate(a)},
                 {"gen_ms", a->gen_ms},
                 {"gen_per_s", answer_gen_rate(a)},
                 {"first_token_ms", a->first_ms}};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        jout_key(&j, times[i].name);
        jout_real(&j, times[i].value, 6);
    }
    jout_close(&j, '}');
    jout_close(&j, '}');
    return jout_print(&j, err);
}

static void print_timings(const options *o, const answer *a, double load_ms, uint64_t seed)
{
    setup_note(o, "load %.0f ms | prompt %zu tokens, %.1f/s | first token after %.0f ms | "
               "%zu tokens, %.1f/s | stop: %s", load_ms, a->n_prompt, answer_prompt_rate(a),
               a->first_ms, a->n_drawn, answer_gen_rate(a), setup_stop_name(a->stop));
    if (o->sampling.temperature > 0)
        setup_note(o, " | seed %llu", (unsigned long long)seed);
    setup_note(o, "\n");
}

static ingle_status respond(answer *a, const setup_model *m, const options *o,
                            const ingle_text *text, uint64_t seed, double *load_ms,
                            ingle_error *err)
{
    ingle_tokens prompt = {0};
    ingle_session *session = NULL;
    term_bar bar;
    ingle_sampling sampling;
    const ingle_session_options opt = setup_session(o, &bar);
    const ingle_generate_options generate = setup_generation(o, seed, &sampling);
    const double start = term_ms();
    ingle_status status = ingle_session_open(&session, m->model, &opt, err);
    *load_ms = m->load_ms + term_ms() - start;
    if (status == INGLE_OK)
        status = make_prompt(&prompt, m, o, text, err);
    if (status == INGLE_OK && prompt.n == 0)
        status = out_error(err, INGLE_ERR_USAGE, "the prompt is empty and the model adds no "
                           "beginning token");
    term_bar_start(&bar, "prompt", !o->quiet, false);
    if (status == INGLE_OK)
        status = answer_make(a, session, &prompt, &generate, o->n_predict == 0, !o->json, err);
    ingle_session_close(session);
    ingle_tokens_free(&prompt);
    return status;
}

int cmd_run(const options *o)
{
    setup_model m;
    ingle_text text = {0};
    answer a = {0};
    ingle_error err = {0};
    double load_ms = 0;
    const uint64_t seed = setup_seed(o);
    int code = setup_open(&m, o);
    if (code != EXIT_DONE)
        return code;
    code = setup_text(&text, o);
    if (code == EXIT_DONE) {
        const ingle_status status = respond(&a, &m, o, &text, seed, &load_ms, &err);
        if (!o->json && a.text.n && a.text.bytes[a.text.n - 1] != '\n')
            out_text("\n", 1);
        if (o->json && status == INGLE_OK)
            print_json(&a, load_ms, seed, &err);
        if (status == INGLE_OK && out_push())
            print_timings(o, &a, load_ms, seed);
        if (err.status != INGLE_OK) {
            out_push();
            code = out_fail(m.name, &err);
        } else if (a.stop == INGLE_STOP_CANCEL && term_interrupted()) {
            code = EXIT_INTERRUPTED;
        }
    }
    answer_free(&a);
    ingle_text_free(&text);
    setup_close(&m);
    return code;
}
