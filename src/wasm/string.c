/* The functions of string.h that the core uses of texts, for the WebAssembly builds: byte by byte, as
 * texts here are short. The C library's, which look at words or build tables, are ten times as large.
 * Copying, filling and comparing stay the compiler's and the C library's. */
#include <stddef.h>
#include <string.h>

size_t strlen(const char *text)
{
    const char *end = text;
    while (*end)
        end++;
    return (size_t)(end - text);
}

void *memchr(const void *bytes, int wanted, size_t n)
{
    const unsigned char *p = bytes;
    for (; n; n--, p++)
        if (*p == (unsigned char)wanted)
            return (void *)p;
    return NULL;
}

char *strchr(const char *text, int wanted)
{
    return memchr(text, wanted, strlen(text) + 1);
}

size_t strcspn(const char *text, const char *set)
{
    size_t n = 0;
    while (!strchr(set, text[n])) // the closing 0 is found in every set
        n++;
    return n;
}

char *strpbrk(const char *text, const char *set)
{
    text += strcspn(text, set);
    return *text ? (char *)text : NULL;
}

char *strstr(const char *text, const char *part)
{
    for (;; text++) {
        size_t n = 0;
        while (part[n] && text[n] == part[n])
            n++;
        if (!part[n])
            return (char *)text;
        if (!*text)
            return NULL;
    }
}
