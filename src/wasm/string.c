/* The functions of string.h that the core uses of texts, and atoi, for the WebAssembly builds: byte by
 * byte, as texts here are short. The C library's, which look at words or build tables, are ten times as large.
 * Copying, filling and comparing stay the compiler's and the C library's. */
#include <stddef.h>
#include <stdlib.h>
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

int atoi(const char *text) // no spaces in front; what has more digits than an int is no matter
{
    const int sign = *text == '-' ? -1 : 1;
    int n = 0;
    for (text += *text == '-' || *text == '+'; *text >= '0' && *text <= '9'; text++)
        n = (int)((unsigned)n * 10 + (unsigned)(*text - '0'));
    return sign * n;
}
