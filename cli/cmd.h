/* The commands: name, bit, positional argument, summary. One file each, cmd_NAME.c. */
#ifndef INGLE_CLI_CMD_H
#define INGLE_CLI_CMD_H

#include "options.h"

#define CMD_LIST(X)                                                                               \
    X(run, FOR_RUN, NULL, "one answer to one text")                                               \
    X(chat, FOR_CHAT, NULL, "a conversation")                                                     \
    X(info, FOR_INFO, NULL, "what a model file holds and what it needs")                          \
    X(tokenize, FOR_TOKENIZE, NULL, "text to token ids and back")                                 \
    X(template, FOR_TEMPLATE, NULL, "render a chat template")                                     \
    X(logits, FOR_LOGITS, NULL, "next-token logits after each id, as float32")                    \
    X(dump, FOR_DUMP, "TENSOR", "one tensor's values, as float32")                                \
    X(perplexity, FOR_PERPLEXITY, NULL, "how well a model predicts a text")                       \
    X(bench, FOR_BENCH, NULL, "prompt and generation speed")                                      \
    X(pull, FOR_PULL, "NAME", "download a model")

/* Each returns the exit code. */
#define CMD_DECLARE(name, bit, argument, summary) int cmd_##name(const options *o);
CMD_LIST(CMD_DECLARE)
#undef CMD_DECLARE

#endif
