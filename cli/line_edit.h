/* Line editing with history for a conversation. Falls back to plain reading where standard input
 * or output is no terminal. */
#ifndef INGLE_CLI_LINE_EDIT_H
#define INGLE_CLI_LINE_EDIT_H

#include "ingle.h"

typedef struct line_editor line_editor;

typedef enum { LINE_TEXT, LINE_END, LINE_INTERRUPT, LINE_NO_MEMORY } line_result;

line_editor *line_open(void); // NULL when memory runs out
void line_close(line_editor *e);

/* Replaces out with the next line, without its end. prompt is shown on a terminal only; `columns`
 * is its width there. LINE_INTERRUPT: Ctrl-C. */
line_result line_read(line_editor *e, const char *prompt, int columns, ingle_text *out);

#endif
