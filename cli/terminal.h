/* The terminal: colours, progress bars, Ctrl-C, time. */
#ifndef INGLE_CLI_TERMINAL_H
#define INGLE_CLI_TERMINAL_H

#include "ingle.h"

typedef enum { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER } term_color_mode;

void term_start(void); // first thing in main: the clock of "since the start", signals
double term_ms(void);  // milliseconds since term_start, monotonic

bool term_is_out(void); // is standard output a terminal?
bool term_is_err(void); // is standard error one?

/* Escape sequences for standard output, or "" where colours are off. */
typedef enum { TERM_PLAIN, TERM_BOLD, TERM_DIM, TERM_PROMPT } term_style;
void term_set_color(term_color_mode mode);
const char *term_code(term_style style);

/* Ctrl-C is counted; the second one before term_forget_interrupt ends the program. */
bool term_interrupted(void);
void term_forget_interrupt(void);

/* A bar on standard error. Silent unless that is a terminal; appears after half a second, so that
 * short work shows nothing. */
typedef struct {
    const char *label;
    bool on, bytes;       // bytes: rates in MB/s, else in tokens/s
    double started, drawn; // ms
    uint64_t first;       // amount done before the start
    bool begun;
} term_bar;

void term_bar_start(term_bar *b, const char *label, bool on, bool bytes);
void term_bar_show(term_bar *b, uint64_t done, uint64_t total); // total 0 = not known
void term_clear_bar(void); // wipes the line if a bar stands there

/* "12.3 MB" into text [24]; returns text. */
const char *term_size(char text[24], double bytes);

#endif
