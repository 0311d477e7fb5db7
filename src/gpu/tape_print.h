/* Tapes as text for people: a line a command, its words by the names in TAPE_COMMANDS, and objects with
 * their labels, which the printer remembers from tape to tape. Addresses are left out, so the text of
 * a tape is the same in every run. */
#ifndef INGLE_GPU_TAPE_PRINT_H
#define INGLE_GPU_TAPE_PRINT_H

#include "gpu/tape.h"

typedef struct tape_printer tape_printer;

tape_printer *tape_printer_open(const ingle_allocator *a); // NULL without memory
void tape_printer_close(tape_printer *p);                  // NULL is a no-op

/* Appends the text of words [n]. ERR_INTERNAL: they are no tape, from where the text ends on; ERR_MEMORY. */
ingle_status tape_print(tape_printer *p, ingle_text *out, const uint32_t *words, size_t n, ingle_error *err);

#endif
