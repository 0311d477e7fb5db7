/* Reading JSON front to back without a tree: the caller walks what it knows and skips the rest.
 *
 *     json_in j = jin_over(bytes, n);
 *     jin_enter(&j, '{');
 *     while (jin_member(&j, &key))
 *         if (strcmp(key.bytes, "content") == 0) jin_string(&j, &value); else jin_skip(&j);
 *     if (!jin_end(&j)) ...j.fault says what...
 *
 * After a fault every call returns false. Texts with NUL in them and numbers where a text is asked
 * for are faults. */
#ifndef INGLE_CLI_JSON_IN_H
#define INGLE_CLI_JSON_IN_H

#include "ingle.h"

typedef struct {
    const char *start, *p, *end;
    const char *fault; // NULL = none; a sentence's end: "a comma is missing"
    bool first;        // no item of the open list was read yet
} json_in;

json_in jin_over(const char *bytes, size_t n);
bool jin_enter(json_in *j, char bracket);        // '{' or '['
bool jin_member(json_in *j, ingle_text *key);    // replaces key; false at the closing brace
bool jin_item(json_in *j);                       // false at the closing bracket
char jin_peek(json_in *j);                       // first character of the value to come; 0 = none
bool jin_string(json_in *j, ingle_text *out);    // replaces out
bool jin_uint(json_in *j, uint64_t *out);
bool jin_skip(json_in *j);                       // any value, at most 64 deep
bool jin_end(json_in *j);                        // nothing but white space is left, and no fault
size_t jin_line(const json_in *j);               // where it stands, from 1

#endif
