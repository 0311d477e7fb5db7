#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

const char *ingle_version(void)
{
    return INGLE_VERSION;
}

const char *ingle_status_name(ingle_status status)
{
    switch (status) {
#define CASE(name, value, text) \
    case INGLE_##name:          \
        return #name;
        INGLE_STATUSES(CASE)
#undef CASE
    }
    return "ERR_INTERNAL";
}

const char *ingle_status_meaning(ingle_status status)
{
    switch (status) {
#define CASE(name, value, text) \
    case INGLE_##name:          \
        return text;
        INGLE_STATUSES(CASE)
#undef CASE
    }
    return "not a status";
}

ingle_status error_set(ingle_error *err, ingle_status status, const char *fmt, ...)
{
    if (!err)
        return status;
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    err->status = status;
    err->text[utf8_cut((const uint8_t *)err->text, strlen(err->text))] = 0;
    for (char *p = err->text; *p; p++)
        if ((unsigned char)*p < 32 || *p == 127)
            *p = '?';
    return status;
}

ingle_status error_clear(ingle_error *err)
{
    if (err) {
        err->status = INGLE_OK;
        err->text[0] = 0;
    }
    return INGLE_OK;
}

ingle_status error_memory(ingle_error *err, size_t bytes, const char *what)
{
    return error_set(err, INGLE_ERR_MEMORY, "%s: no room for %zu bytes", what, bytes);
}
