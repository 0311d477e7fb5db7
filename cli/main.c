/* ingle: the command line. Owns the dispatch table and the general help; sees the library through
 * ingle.h only. */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "output.h"

typedef struct {
    const char *name;
    unsigned bit;
    const char *argument, *summary;
    int (*run)(const options *o);
} command;

static const command commands[] = {
#define CMD_ROW(name, bit, argument, summary) {#name, bit, argument, summary, cmd_##name},
    CMD_LIST(CMD_ROW)
#undef CMD_ROW
};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

/* What a page of options cannot say. */
static const struct {
    unsigned bit;
    const char *text;
} remarks[] = {
    {FOR_RUN, "The text comes from -p, -f or standard input. The model's chat template is applied\n"
              "unless --raw is given. Ctrl-C stops the answer.\n"},
    {FOR_CHAT, "Commands: /help /regen /clear /save F /load F /read F /system T /stats /bye.\n"
               "Ctrl-C stops the answer; twice leaves.\n"},
    {FOR_TOKENIZE, "The text comes from -p, -f or standard input. Ids are printed on one line.\n"},
    {FOR_LOGITS, "Prints n_ids x n_vocab little-endian float32 values.\n"},
    {FOR_DUMP, "Prints the values as little-endian float32 in storage order.\n"},
    {FOR_PERPLEXITY,
     "The text is cut into chunks of the context's length; the second half of each is scored.\n"},
    {FOR_PULL, "NAME is a known name (smollm2-135m, stories260k), hf:user/repo[:file-or-quant] or\n"
               "a URL. Files are kept in $INGLE_MODELS or the cache folder; an interrupted\n"
               "download resumes. Needs the program curl. Prints the path of the file.\n"},
};

static const command *find_command(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static void print_overview(void)
{
    out_printf("ingle %s: small language models, where you are\n\n"
               "usage: ingle COMMAND [options] [arguments]\n\n", ingle_version());
    for (size_t i = 0; i < N_COMMANDS; i++)
        out_printf("  %-12s %s\n", commands[i].name, commands[i].summary);
    out_printf("\ningle help COMMAND lists a command's options. Models are looked for in\n"
               "$INGLE_MODELS, ./models and ~/.cache/ingle.\n");
}

static void print_command(const command *c)
{
    out_printf("usage: ingle %s [options]%s%s\n\n%c%s.\n", c->name, c->argument ? " " : "",
               c->argument ? c->argument : "", c->summary[0] - 'a' + 'A', c->summary + 1);
    for (size_t i = 0; i < sizeof remarks / sizeof *remarks; i++)
        if (remarks[i].bit == c->bit)
            out_printf("%s", remarks[i].text);
    out_printf("\n");
    opt_print_help(c->bit);
}

static int unknown(const char *name)
{
    if (strcmp(name, "serve") == 0 || strcmp(name, "quantize") == 0) {
        out_failf(name, INGLE_ERR_UNSUPPORTED, "this version of ingle has no such command yet");
        return EXIT_USAGE;
    }
    return out_failf(name, INGLE_ERR_USAGE, "no such command; ingle help lists them");
}

static int help(int argc, char **argv)
{
    if (argc > 1)
        return out_failf(argv[1], INGLE_ERR_USAGE, "not expected here");
    if (argc == 0) {
        print_overview();
        return out_finish(EXIT_DONE);
    }
    const command *c = find_command(argv[0]);
    if (!c)
        return unknown(argv[0]);
    print_command(c);
    return out_finish(EXIT_DONE);
}

static int run_command(const command *c, int argc, char **argv)
{
    options o;
    ingle_error err;
    const char *what = NULL;
    int code;
    opt_init(&o);
    o.command = c->name;
    const ingle_status status = opt_parse(&o, c->bit, c->argument != NULL, argc, argv, &what, &err);
    term_set_color((term_color_mode)o.color);
    if (o.help) {
        print_command(c);
        code = EXIT_DONE;
    } else if (status != INGLE_OK) {
        code = out_fail(what, &err);
    } else if (c->argument && !o.argument) {
        code = out_failf(c->argument, INGLE_ERR_USAGE, "missing; see ingle help %s", c->name);
    } else {
        code = c->run(&o);
    }
    opt_free(&o);
    return out_finish(code);
}

int main(int argc, char **argv)
{
    term_start();
    if (argc < 2) {
        fputs("ingle: ERR_USAGE: a command is missing; ingle help lists them\n", stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return help(argc - 2, argv + 2);
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        out_printf("ingle %s\n", ingle_version());
        return out_finish(EXIT_DONE);
    }
    const command *c = find_command(name);
    return c ? run_command(c, argc - 2, argv + 2) : unknown(name);
}
