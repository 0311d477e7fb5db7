/* Where models are: known names, hf: names, folders. Builds every path in which a download may
 * end. Refuses names with "..", leading dots, separators or control characters. */
#ifndef INGLE_CLI_MODELS_H
#define INGLE_CLI_MODELS_H

#include "ingle.h"

typedef struct {
    const char *name, *file; // "smollm2-135m", file name
    const char *url, *sha256;
    uint64_t size;
} models_known;

const models_known *models_by_name(const char *name); // NULL if not known

/* hf:user/repo[:file-or-quant]; parts are views into the name. n_what 0 = not stated. */
typedef struct {
    const char *user, *repo, *what;
    size_t n_user, n_repo, n_what;
} models_hub;

bool models_is_hub(const char *name); // begins with "hf:"
ingle_status models_parse_hub(models_hub *out, const char *name, ingle_error *err);

/* Does a file of a repository answer to "what": its path, or a format such as Q4_K_M in its name?
 * An empty what is answered by any model file. */
bool models_answers(const char *file, const char *what, size_t n_what);

/* Finds the file that -m means, in $INGLE_MODELS, ./models, the cache folder. ERR_IO says what was
 * looked for and how to fetch it. */
ingle_status models_find(ingle_text *path, const char *name, ingle_error *err);

/* Path in the folder where downloads are kept ($INGLE_MODELS or the cache folder), from one or
 * more '/'-separated safe names; folders on the way are made. */
ingle_status models_keep(ingle_text *path, const char *relative, ingle_error *err);

/* Is every '/'-separated part of a relative path harmless as a file name? */
bool models_is_safe(const char *relative);

#endif
