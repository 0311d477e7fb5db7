/* ingle chat: a conversation. Owns the list of messages; the session keeps what it has computed,
 * so each turn costs only its own tokens. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "buffer.h"
#include "cmd.h"
#include "json_in.h"
#include "line_edit.h"
#include "setup.h"

typedef struct {
    const char *role; // one of the literals below
    ingle_text content;
} message;

typedef struct {
    const options *o;
    setup_model m;
    ingle_session *session;
    term_bar bar;
    message *messages; // the system message, if any, comes first
    size_t n, capacity;
    uint64_t seed;
    uint64_t n_generated, n_prompted; // tokens of all answers
    double gen_ms;
    answer last; // figures of the last answer
    bool leave;
    int code;
} chat;

static const char *const roles[] = {"system", "user", "assistant", "tool"};

/* ---- messages ----------------------------------------------------------------------------- */

static bool add_message(chat *c, const char *role, const char *content, size_t n)
{
    if (c->n == c->capacity) {
        const size_t capacity = c->capacity ? c->capacity * 2 : 16;
        message *moved = realloc(c->messages, capacity * sizeof *moved);
        if (!moved)
            return false;
        c->messages = moved;
        c->capacity = capacity;
    }
    message added = {.role = role};
    if (!buf_add(&added.content, content, n))
        return false;
    c->messages[c->n++] = added;
    return true;
}

static void drop_last(chat *c)
{
    ingle_text_free(&c->messages[--c->n].content);
}

static bool last_is(const chat *c, const char *role)
{
    return c->n > 0 && strcmp(c->messages[c->n - 1].role, role) == 0;
}

static bool has_system(const chat *c)
{
    return c->n > 0 && strcmp(c->messages[0].role, "system") == 0;
}

static bool set_system(chat *c, const char *text)
{
    if (has_system(c)) {
        c->messages[0].content.n = 0;
        return buf_add_text(&c->messages[0].content, text);
    }
    if (!add_message(c, "system", text, strlen(text)))
        return false;
    const message added = c->messages[c->n - 1];
    memmove(c->messages + 1, c->messages, (c->n - 1) * sizeof *c->messages);
    c->messages[0] = added;
    return true;
}

static void clear(chat *c)
{
    const size_t keep = has_system(c) ? 1 : 0;
    while (c->n > keep)
        drop_last(c);
}

/* ---- turns -------------------------------------------------------------------------------- */

/* Tokens of the conversation so far, with the assistant's turn opened. */
static ingle_status make_prompt(chat *c, ingle_tokens *prompt, ingle_error *err)
{
    ingle_text text = {0};
    json_out context = {0};
    ingle_status status;
    bool good = true;
    if (c->m.info->chat_template) {
        answer_message *list = malloc((c->n ? c->n : 1) * sizeof *list);
        good = list != NULL;
        for (size_t i = 0; good && i < c->n; i++)
            list[i] = (answer_message){c->messages[i].role, c->messages[i].content.bytes,
                                       c->messages[i].content.n};
        if (good)
            answer_messages(&context, list, c->n);
        free(list);
        good = good && jout_ok(&context);
        status = !good ? out_error(err, INGLE_ERR_MEMORY, "no room for the conversation")
                       : ingle_chat_tokenize(c->m.model, context.text.bytes, context.text.n, NULL,
                                             prompt, err);
    } else { // a model that was never taught turns: its text is simply continued
        for (size_t i = 0; good && i < c->n; i++)
            good = buf_add(&text, c->messages[i].content.bytes, c->messages[i].content.n);
        status = !good ? out_error(err, INGLE_ERR_MEMORY, "no room for the conversation")
                       : ingle_tokenize(c->m.model, text.bytes, text.n, INGLE_ADD_SPECIAL, prompt,
                                        err);
    }
    ingle_text_free(&context.text);
    ingle_text_free(&text);
    return status;
}

static void count_answer(chat *c, const answer *a)
{
    c->n_prompted += a->n_prompt;
    c->n_generated += a->n_drawn;
    c->gen_ms += a->gen_ms;
}

/* Answers the last message. On failure the message goes too, so that the user can go on. */
static void turn(chat *c)
{
    ingle_error err = {0};
    ingle_tokens prompt = {0};
    ingle_sampling sampling;
    const ingle_generate_options opt = setup_generation(c->o, c->seed++, &sampling);
    answer_free(&c->last);
    term_bar_start(&c->bar, "prompt", !c->o->quiet, false);
    ingle_status status = make_prompt(c, &prompt, &err);
    if (status == INGLE_OK && prompt.n == 0)
        status = out_error(&err, INGLE_ERR_USAGE, "nothing to answer");
    if (status == INGLE_OK)
        status = answer_make(&c->last, c->session, &prompt, &opt, c->o->n_predict == 0, true, &err);
    ingle_tokens_free(&prompt);
    const bool cut = c->last.stop == INGLE_STOP_CANCEL;
    out_printf("%s\n", cut && term_is_out() ? " ..." : "");
    if (!out_push())
        c->leave = true;
    count_answer(c, &c->last);
    term_forget_interrupt();
    if (status == INGLE_OK) {
        if (!add_message(c, "assistant", c->last.text.bytes ? c->last.text.bytes : "",
                         c->last.text.n))
            c->code = out_failf("chat", INGLE_ERR_MEMORY, "no room for the conversation");
        return;
    }
    drop_last(c);
    const int code = out_fail(c->m.name, &err);
    if (status == INGLE_ERR_CONTEXT_FULL)
        setup_note(c->o, "/clear begins again; -c N makes the context larger\n");
    else
        c->code = code;
}

/* ---- commands ----------------------------------------------------------------------------- */

static void cmd_help(chat *c, const char *rest)
{
    (void)c, (void)rest;
    fputs("/help        this list\n"
          "/regen       another answer to the last message\n"
          "/clear       forget the conversation, keep the system message\n"
          "/save F      write the conversation to a file (JSON)\n"
          "/load F      read it back\n"
          "/read F      send a file's text as the next message\n"
          "/system T    set the system message; without T: show it\n"
          "/stats       tokens and speed\n"
          "/bye         leave\n", stderr);
}

static void cmd_regen(chat *c, const char *rest)
{
    (void)rest;
    if (last_is(c, "assistant"))
        drop_last(c);
    if (last_is(c, "user"))
        turn(c);
    else
        setup_note(c->o, "there is no message to answer\n");
}

static void cmd_clear(chat *c, const char *rest)
{
    (void)rest;
    clear(c);
    setup_note(c->o, "the conversation is empty\n");
}

static void cmd_save(chat *c, const char *rest)
{
    json_out j = {0};
    jout_open(&j, '{');
    jout_key(&j, "messages");
    jout_open(&j, '[');
    for (size_t i = 0; i < c->n; i++) {
        jout_open(&j, '{');
        jout_key(&j, "role");
        jout_text(&j, c->messages[i].role);
        jout_key(&j, "content");
        jout_string(&j, c->messages[i].content.bytes, c->messages[i].content.n);
        jout_close(&j, '}');
    }
    jout_close(&j, ']');
    jout_close(&j, '}');
    ingle_error err = {0};
    if (!jout_ok(&j) || !buf_add(&j.text, "\n", 1))
        out_failf(rest, INGLE_ERR_MEMORY, "no room for the conversation");
    else if (buf_write_file(rest, j.text.bytes, j.text.n, &err) != INGLE_OK)
        out_fail(rest, &err);
    else
        setup_note(c->o, "%zu messages written\n", c->n);
    ingle_text_free(&j.text);
}

/* One message object; extra members are passed over. */
static bool load_message(chat *c, json_in *j, ingle_text *key, ingle_text *role,
                         ingle_text *content)
{
    bool has_role = false, has_content = false;
    if (!jin_enter(j, '{'))
        return false;
    while (jin_member(j, key)) {
        if (strcmp(key->bytes, "role") == 0)
            has_role = jin_string(j, role);
        else if (strcmp(key->bytes, "content") == 0)
            has_content = jin_string(j, content);
        else
            jin_skip(j);
    }
    if (j->fault || !has_role || !has_content) {
        j->fault = j->fault ? j->fault : "a message needs a role and a content";
        return false;
    }
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strcmp(roles[i], role->bytes) == 0) {
            if (!add_message(c, roles[i], content->bytes, content->n))
                j->fault = "memory has run out";
            return !j->fault;
        }
    j->fault = "a role is none of system, user, assistant and tool";
    return false;
}

static bool load_messages(chat *c, json_in *j)
{
    ingle_text key = {0}, role = {0}, content = {0};
    if (jin_peek(j) == '{') { // {"messages": [...]}; a bare list is taken too
        jin_enter(j, '{');
        while (jin_member(j, &key)) {
            if (strcmp(key.bytes, "messages") != 0) {
                jin_skip(j);
                continue;
            }
            jin_enter(j, '[');
            while (jin_item(j) && load_message(c, j, &key, &role, &content))
                ;
        }
    } else if (jin_enter(j, '[')) {
        while (jin_item(j) && load_message(c, j, &key, &role, &content))
            ;
    }
    ingle_text_free(&key);
    ingle_text_free(&role);
    ingle_text_free(&content);
    return jin_end(j);
}

static void cmd_load(chat *c, const char *rest)
{
    ingle_text text = {0};
    ingle_error err = {0};
    chat fresh = {.o = c->o};
    if (buf_read_file(&text, rest, &err) != INGLE_OK) {
        out_fail(rest, &err);
        return;
    }
    json_in j = jin_over(text.bytes, text.n);
    const bool good = load_messages(&fresh, &j);
    chat *spent = good ? c : &fresh; // whose messages go
    if (!good)
        out_failf(rest, INGLE_ERR_FORMAT, "line %zu: %s", jin_line(&j), j.fault);
    while (spent->n)
        drop_last(spent);
    free(spent->messages);
    if (good) {
        c->messages = fresh.messages;
        c->n = fresh.n;
        c->capacity = fresh.capacity;
        setup_note(c->o, "%zu messages read\n", c->n);
    }
    ingle_text_free(&text);
}

static void cmd_read(chat *c, const char *rest)
{
    ingle_text text = {0};
    ingle_error err = {0};
    if (buf_read_file(&text, rest, &err) != INGLE_OK)
        out_fail(rest, &err);
    else if (!add_message(c, "user", text.bytes, text.n))
        c->code = out_failf(rest, INGLE_ERR_MEMORY, "no room for the text");
    else
        turn(c);
    ingle_text_free(&text);
}

static void cmd_system(chat *c, const char *rest)
{
    if (!*rest)
        setup_note(c->o, "%s\n", has_system(c) ? c->messages[0].content.bytes : "none is set");
    else if (!set_system(c, rest))
        c->code = out_failf("/system", INGLE_ERR_MEMORY, "no room for the text");
}

static void cmd_stats(chat *c, const char *rest)
{
    (void)rest;
    const answer *a = &c->last;
    fprintf(stderr, "context: %zu of %" PRIu32 " tokens, %zu messages, %s\n",
            ingle_session_length(c->session), ingle_session_context(c->session), c->n,
            ingle_session_backend(c->session));
    fprintf(stderr, "last answer: %zu prompt tokens in %.0f ms, %zu tokens at %.1f/s, stop: %s\n",
            a->n_prompt, a->prompt_ms, a->n_drawn, answer_gen_rate(a), setup_stop_name(a->stop));
    fprintf(stderr, "all answers: %" PRIu64 " tokens in %.1f s\n", c->n_generated,
            c->gen_ms * 1e-3);
}

static void cmd_bye(chat *c, const char *rest)
{
    (void)rest;
    c->leave = true;
}

static const struct {
    const char *name;
    bool needs;
    void (*run)(chat *c, const char *rest);
} slashes[] = {
    {"/help", false, cmd_help},  {"/regen", false, cmd_regen},   {"/clear", false, cmd_clear},
    {"/save", true, cmd_save},   {"/load", true, cmd_load},      {"/read", true, cmd_read},
    {"/stats", false, cmd_stats}, {"/system", false, cmd_system}, {"/bye", false, cmd_bye},
};

static void slash(chat *c, char *line)
{
    const size_t name = strcspn(line, " ");
    char *rest = line + name + strspn(line + name, " ");
    for (size_t n = strlen(rest); n > 0 && rest[n - 1] == ' '; n--)
        rest[n - 1] = 0;
    for (size_t i = 0; i < sizeof slashes / sizeof *slashes; i++) {
        if (strlen(slashes[i].name) != name || memcmp(slashes[i].name, line, name) != 0)
            continue;
        if (slashes[i].needs && !*rest)
            out_failf(slashes[i].name, INGLE_ERR_USAGE, "a file name is missing");
        else
            slashes[i].run(c, rest);
        return;
    }
    out_failf(line, INGLE_ERR_USAGE, "no such command; /help lists them");
}

/* ---- the conversation --------------------------------------------------------------------- */

static void converse(chat *c, line_editor *editor)
{
    ingle_text line = {0};
    bool warned = false; // by a first Ctrl-C at the prompt
    while (!c->leave) {
        const line_result got = line_read(editor, "> ", 2, &line);
        if (got == LINE_END)
            break;
        if (got == LINE_NO_MEMORY) {
            c->code = out_failf("chat", INGLE_ERR_MEMORY, "no room for the line");
            break;
        }
        if (got == LINE_INTERRUPT) {
            term_forget_interrupt();
            if (warned || !term_is_out()) {
                c->code = EXIT_INTERRUPTED;
                break;
            }
            setup_note(c->o, "Ctrl-C again or /bye leaves\n");
            warned = true;
            continue;
        }
        warned = false;
        if (line.n == 0)
            continue;
        if (line.bytes[0] == '/') {
            slash(c, line.bytes);
        } else if (add_message(c, "user", line.bytes, line.n)) {
            turn(c);
        } else {
            c->code = out_failf("chat", INGLE_ERR_MEMORY, "no room for the conversation");
        }
    }
    ingle_text_free(&line);
}

int cmd_chat(const options *o)
{
    chat c = {.o = o, .seed = setup_seed(o)};
    ingle_error err = {0};
    int code = setup_open(&c.m, o);
    if (code != EXIT_DONE)
        return code;
    const ingle_session_options opt = setup_session(o, &c.bar);
    line_editor *editor = line_open();
    if (ingle_session_open(&c.session, c.m.model, &opt, &err) != INGLE_OK) {
        code = out_fail(c.m.name, &err);
    } else if (!editor || (o->system && !set_system(&c, o->system))) {
        code = out_failf("chat", INGLE_ERR_MEMORY, "no room for the conversation");
    } else {
        if (!c.m.info->chat_template)
            setup_note(o, "ingle: %s has no chat template: texts are simply continued\n", c.m.name);
        if (term_is_out())
            setup_note(o, "%s, %s. /help lists the commands.\n", c.m.name,
                       ingle_session_backend(c.session));
        converse(&c, editor);
        code = c.code;
    }
    line_close(editor);
    answer_free(&c.last);
    while (c.n)
        drop_last(&c);
    free(c.messages);
    ingle_session_close(c.session);
    setup_close(&c.m);
    return code;
}
