/* Line editing on a terminal: arrows, Home, End, Delete, Ctrl-A B E F K U W L, history, UTF-8,
 * pasted text with line ends (bracketed paste). One screen row that scrolls sideways; a line end
 * within the text shows as an arrow. The terminal is raw only while a line is read. */
#include "line_edit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "buffer.h"
#include "terminal.h"

enum { HISTORY_MAX = 200 };

struct line_editor {
    bool terminal;
    char *history[HISTORY_MAX]; // oldest first
    size_t n_history;
    // while a line is read
    ingle_text text;  // the line
    size_t cursor;    // byte in text
    size_t entry;     // of history; n_history = the new line
    ingle_text draft; // the new line while older ones are looked at
    const char *prompt;
    int prompt_columns;
    bool pasting;
    unsigned char input[256]; // bytes read ahead
    size_t n_input, at_input;
};

typedef enum { KEY_CHARS, KEY_ENTER, KEY_END, KEY_INTERRUPT, KEY_FAULT } key_result;

line_editor *line_open(void)
{
    line_editor *e = calloc(1, sizeof *e);
    if (e)
        e->terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    return e;
}

void line_close(line_editor *e)
{
    if (!e)
        return;
    for (size_t i = 0; i < e->n_history; i++)
        free(e->history[i]);
    ingle_text_free(&e->text);
    ingle_text_free(&e->draft);
    free(e);
}

/* ---- drawing ------------------------------------------------------------------------------ */

static int screen_columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

/* Columns of the character at byte i, and its length. */
static int width_at(const line_editor *e, size_t i, size_t *length)
{
    uint32_t code;
    *length = char_decode(e->text.bytes + i, e->text.n - i, &code);
    return code < 32 ? 1 : char_width(code);
}

static void draw(const line_editor *e)
{
    const int room = screen_columns() - e->prompt_columns - 1;
    // The start moves right until the cursor fits.
    size_t start = 0, length;
    int before = 0;
    for (size_t i = 0; i < e->cursor; i += length)
        before += width_at(e, i, &length);
    while (start < e->cursor && before > room) {
        before -= width_at(e, start, &length);
        start += length;
    }
    printf("\r\033[K%s%s%s", term_code(TERM_PROMPT), e->prompt, term_code(TERM_PLAIN));
    int used = 0;
    for (size_t i = start; i < e->text.n; i += length) {
        const int width = width_at(e, i, &length);
        if (used + width > room)
            break;
        const unsigned char c = (unsigned char)e->text.bytes[i];
        if (c == '\n')
            fputs("\xE2\x86\xB5", stdout); // a bent arrow
        else if (c < 32)
            fputc('?', stdout);
        else
            fwrite(e->text.bytes + i, 1, length, stdout);
        used += width;
    }
    printf("\r");
    if (e->prompt_columns + before > 0)
        printf("\033[%dC", e->prompt_columns + before);
    fflush(stdout);
}

/* ---- editing ------------------------------------------------------------------------------ */

static size_t previous(const line_editor *e, size_t i)
{
    if (i > 0)
        i--;
    while (i > 0 && ((unsigned char)e->text.bytes[i] & 0xC0) == 0x80)
        i--;
    return i;
}

static size_t following(const line_editor *e, size_t i)
{
    size_t length = 0;
    if (i < e->text.n)
        width_at(e, i, &length);
    return i + length;
}

static void erase(line_editor *e, size_t from, size_t to)
{
    memmove(e->text.bytes + from, e->text.bytes + to, e->text.n - to + 1);
    e->text.n -= to - from;
    e->cursor = from;
}

static bool insert(line_editor *e, const char *bytes, size_t n)
{
    if (!buf_add(&e->text, bytes, n)) // makes room; then the tail moves behind
        return false;
    memmove(e->text.bytes + e->cursor + n, e->text.bytes + e->cursor, e->text.n - n - e->cursor);
    memcpy(e->text.bytes + e->cursor, bytes, n);
    e->cursor += n;
    return true;
}

static void erase_word(line_editor *e)
{
    size_t i = e->cursor;
    while (i > 0 && e->text.bytes[i - 1] == ' ')
        i--;
    while (i > 0 && e->text.bytes[i - 1] != ' ')
        i--;
    erase(e, i, e->cursor);
}

static bool show_entry(line_editor *e, size_t entry)
{
    if (e->entry == e->n_history) {
        e->draft.n = 0;
        if (!buf_add(&e->draft, e->text.bytes, e->text.n))
            return false;
    }
    e->entry = entry;
    e->text.n = 0;
    const bool good = entry == e->n_history ? buf_add(&e->text, e->draft.bytes, e->draft.n)
                                            : buf_add_text(&e->text, e->history[entry]);
    e->cursor = e->text.n;
    return good;
}

static void remember(line_editor *e)
{
    if (e->text.n == 0 ||
        (e->n_history && strcmp(e->history[e->n_history - 1], e->text.bytes) == 0))
        return;
    char *copy = malloc(e->text.n + 1);
    if (!copy) // a history that misses a line harms nobody
        return;
    memcpy(copy, e->text.bytes, e->text.n + 1);
    if (e->n_history == HISTORY_MAX) {
        free(e->history[0]);
        memmove(e->history, e->history + 1, (HISTORY_MAX - 1) * sizeof *e->history);
        e->n_history--;
    }
    e->history[e->n_history++] = copy;
}

/* ---- keys --------------------------------------------------------------------------------- */

/* The next byte; -1 at the end of input or on Ctrl-C where the terminal still sends a signal. */
static int next_byte(line_editor *e)
{
    while (e->at_input == e->n_input) {
        const ssize_t got = read(STDIN_FILENO, e->input, sizeof e->input);
        if (got < 0 && errno == EINTR && !term_interrupted())
            continue;
        if (got <= 0)
            return -1;
        e->at_input = 0;
        e->n_input = (size_t)got;
    }
    return e->input[e->at_input++];
}

static bool arrow(line_editor *e, int final)
{
    switch (final) {
    case 'A':
        return e->entry == 0 || show_entry(e, e->entry - 1);
    case 'B':
        return e->entry == e->n_history || show_entry(e, e->entry + 1);
    case 'C':
        e->cursor = following(e, e->cursor);
        return true;
    case 'D':
        e->cursor = previous(e, e->cursor);
        return true;
    case 'H':
        e->cursor = 0;
        return true;
    case 'F':
        e->cursor = e->text.n;
        return true;
    }
    return true;
}

/* What follows an escape byte: CSI and SS3 sequences; others are dropped. */
static bool escape(line_editor *e)
{
    const int kind = next_byte(e);
    if (kind != '[' && kind != 'O')
        return true;
    int number = 0, c = next_byte(e);
    for (; c >= 0x20 && c < 0x40; c = next_byte(e)) // parameters; only the first counts
        if (c >= '0' && c <= '9' && number < 1000)
            number = number * 10 + c - '0';
    if (c != '~')
        return arrow(e, c);
    if (number == 200 || number == 201)
        e->pasting = number == 200;
    else if (number == 1 || number == 7)
        e->cursor = 0;
    else if (number == 4 || number == 8)
        e->cursor = e->text.n;
    else if (number == 3 && e->cursor < e->text.n)
        erase(e, e->cursor, following(e, e->cursor));
    return true;
}

static bool control(line_editor *e, int c)
{
    switch (c) {
    case 1: // Ctrl-A
        return arrow(e, 'H');
    case 2: // Ctrl-B
        return arrow(e, 'D');
    case 5: // Ctrl-E
        return arrow(e, 'F');
    case 6: // Ctrl-F
        return arrow(e, 'C');
    case 8:
    case 127: // backspace
        erase(e, previous(e, e->cursor), e->cursor);
        return true;
    case 9:
        return insert(e, " ", 1);
    case 11: // Ctrl-K
        erase(e, e->cursor, e->text.n);
        return true;
    case 12: // Ctrl-L
        fputs("\033[H\033[2J", stdout);
        return true;
    case 14: // Ctrl-N
        return arrow(e, 'B');
    case 16: // Ctrl-P
        return arrow(e, 'A');
    case 21: // Ctrl-U
        erase(e, 0, e->cursor);
        return true;
    case 23: // Ctrl-W
        erase_word(e);
        return true;
    case 27:
        return escape(e);
    }
    return true;
}

static key_result key(line_editor *e)
{
    const int c = next_byte(e);
    if (c < 0)
        return KEY_END;
    if (e->pasting && (c == '\r' || c == '\n'))
        return insert(e, "\n", 1) ? KEY_CHARS : KEY_FAULT;
    if (c == '\r' || c == '\n')
        return KEY_ENTER;
    if (c == 3)
        return KEY_INTERRUPT;
    if (c == 4 && e->text.n == 0)
        return KEY_END;
    if (c == 4 && e->cursor < e->text.n)
        erase(e, e->cursor, following(e, e->cursor));
    if (c < 32 || c == 127)
        return control(e, c) ? KEY_CHARS : KEY_FAULT;
    // The rest of a character comes along, so that no half of one is drawn.
    char bytes[4] = {(char)c};
    size_t n = 1;
    const size_t length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
    while (n < length) {
        const int more = next_byte(e);
        if (more < 0)
            return KEY_END;
        bytes[n++] = (char)more;
    }
    return insert(e, bytes, n) ? KEY_CHARS : KEY_FAULT;
}

static line_result edit(line_editor *e)
{
    for (;;) {
        if (e->at_input == e->n_input) // nothing more is waiting: time to show it
            draw(e);
        switch (key(e)) {
        case KEY_CHARS:
            break;
        case KEY_ENTER:
            e->cursor = e->text.n;
            draw(e);
            remember(e);
            return LINE_TEXT;
        case KEY_END:
            return LINE_END;
        case KEY_INTERRUPT:
            return LINE_INTERRUPT;
        case KEY_FAULT:
            return LINE_NO_MEMORY;
        }
    }
}

/* ---- reading ------------------------------------------------------------------------------ */

static line_result read_plain(line_editor *e, ingle_text *out)
{
    out->n = 0;
    if (!buf_add(out, "", 0))
        return LINE_NO_MEMORY;
    for (;;) {
        const int c = next_byte(e);
        if (term_interrupted())
            return LINE_INTERRUPT;
        if (c < 0)
            return out->n ? LINE_TEXT : LINE_END;
        if (c == '\n')
            break;
        const char byte = (char)c;
        if (!buf_add(out, &byte, 1))
            return LINE_NO_MEMORY;
    }
    if (out->n && out->bytes[out->n - 1] == '\r')
        out->bytes[--out->n] = 0;
    return LINE_TEXT;
}

line_result line_read(line_editor *e, const char *prompt, int columns, ingle_text *out)
{
    struct termios kept;
    if (!e->terminal || tcgetattr(STDIN_FILENO, &kept) != 0)
        return read_plain(e, out);
    struct termios raw = kept;
    raw.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INPCK | ISTRIP | IXON);
    raw.c_lflag &= ~(tcflag_t)(ECHO | ICANON | IEXTEN | ISIG);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) != 0)
        return read_plain(e, out);
    fputs("\033[?2004h", stdout); // pasted text comes marked
    e->text.n = e->cursor = 0;
    e->entry = e->n_history;
    e->prompt = prompt;
    e->prompt_columns = columns;
    e->pasting = false;
    line_result result = buf_add(&e->text, "", 0) ? edit(e) : LINE_NO_MEMORY;
    fputs("\033[?2004l\r\n", stdout);
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &kept);
    out->n = 0;
    if (result == LINE_TEXT && !buf_add(out, e->text.bytes, e->text.n))
        result = LINE_NO_MEMORY;
    return result;
}
