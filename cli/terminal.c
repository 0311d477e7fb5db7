/* Colours, progress bars, Ctrl-C, time. Owns the signal counter and what is drawn on the last line
 * of standard error. */
#include "terminal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static double start_ms;
static volatile sig_atomic_t interrupts;
static term_color_mode color;
static bool bar_stands;

static double clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void on_interrupt(int number)
{
    if (interrupts) { // whatever should have stopped has not
        signal(number, SIG_DFL);
        raise(number);
    }
    interrupts = 1;
}

void term_start(void)
{
    start_ms = clock_ms();
    struct sigaction act;
    memset(&act, 0, sizeof act);
    sigemptyset(&act.sa_mask);
    act.sa_handler = on_interrupt; // no SA_RESTART: reads must notice
    sigaction(SIGINT, &act, NULL);
    // A reader that went away ends the program quietly, also under parents that ignore the signal.
    act.sa_handler = SIG_DFL;
    sigaction(SIGPIPE, &act, NULL);
    act.sa_handler = SIG_IGN; // a file size limit is an error that can be told
    sigaction(SIGXFSZ, &act, NULL);
}

double term_ms(void)
{
    return clock_ms() - start_ms;
}

bool term_is_out(void)
{
    static int known; // isatty is asked once: 1 no, 2 yes
    if (!known)
        known = isatty(STDOUT_FILENO) ? 2 : 1;
    return known == 2;
}

bool term_is_err(void)
{
    return isatty(STDERR_FILENO);
}

void term_set_color(term_color_mode mode)
{
    color = mode;
}

const char *term_code(term_style style)
{
    static const char *const codes[] = {"\033[0m", "\033[1m", "\033[2m", "\033[1;32m"};
    const char *no_color = getenv("NO_COLOR");
    const char *kind = getenv("TERM");
    const bool plain = (no_color && *no_color) || (kind && strcmp(kind, "dumb") == 0);
    const bool on = color == COLOR_ALWAYS || (color == COLOR_AUTO && term_is_out() && !plain);
    return on ? codes[style] : "";
}

bool term_interrupted(void)
{
    return interrupts != 0;
}

void term_forget_interrupt(void)
{
    interrupts = 0;
}

/* ---- progress bars ------------------------------------------------------------------------ */

const char *term_size(char text[24], double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t unit = 0;
    while (bytes >= 999.95 && unit < 4) {
        bytes /= 1000;
        unit++;
    }
    snprintf(text, 24, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return text;
}

void term_bar_start(term_bar *b, const char *label, bool on, bool bytes)
{
    *b = (term_bar){.label = label, .on = on && term_is_err(), .bytes = bytes};
    b->started = b->drawn = term_ms();
}

static int columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

void term_bar_show(term_bar *b, uint64_t done, uint64_t total)
{
    if (!b->on)
        return;
    const double now = term_ms();
    if (!b->begun) {
        b->begun = true;
        b->first = done;
    }
    if (now - b->started < 500 || now - b->drawn < 100)
        return;
    b->drawn = now;
    const double rate = (double)(done - b->first) / ((now - b->started) * 1e-3);
    char tail[96], size[24];
    if (b->bytes)
        snprintf(tail, sizeof tail, "%s/s", term_size(size, rate));
    else
        snprintf(tail, sizeof tail, "%.0f/s", rate);
    if (total > done && rate > 0) {
        const double left = (double)(total - done) / rate;
        const size_t n = strlen(tail);
        if (left < 360000)
            snprintf(tail + n, sizeof tail - n, "  %d:%02d left", (int)left / 60, (int)left % 60);
    }
    if (total == 0) {
        char shown[24];
        fprintf(stderr, "\r\033[K%s  %s  %s", b->label, term_size(shown, (double)done), tail);
    } else {
        const double part = done >= total ? 1 : (double)done / (double)total;
        int width = columns() - (int)strlen(b->label) - (int)strlen(tail) - 13;
        width = width > 40 ? 40 : width < 4 ? 4 : width;
        const int full = (int)(part * width);
        fprintf(stderr, "\r\033[K%s [", b->label);
        for (int i = 0; i < width; i++)
            fputc(i < full ? '#' : '.', stderr);
        fprintf(stderr, "] %3d %%  %s", (int)(part * 100), tail);
    }
    fflush(stderr);
    bar_stands = true;
}

void term_clear_bar(void)
{
    if (bar_stands)
        fputs("\r\033[K", stderr);
    bar_stands = false;
}
