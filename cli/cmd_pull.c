/* ingle pull: downloads a model and prints its path. Owns how names become addresses; every path
 * comes from models_keep, whatever a server calls its files. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "buffer.h"
#include "cmd.h"
#include "fetch.h"
#include "json_in.h"
#include "models.h"
#include "setup.h"

enum { LISTING_LIMIT = 16 << 20, HUB_FILES_MAX = 20000 };

/* A file of a repository, as its listing tells. */
typedef struct {
    char *name;
    uint64_t size; // 0 = not stated
    char sha256[65]; // "" = not stated
} hub_file;

typedef struct {
    hub_file *files;
    size_t n, capacity;
    char commit[65];
} hub_listing;

static bool is_hex(const char *text, size_t least, size_t most)
{
    const size_t n = strlen(text);
    return n >= least && n <= most && strspn(text, "0123456789abcdef") == n;
}

static bool exists(const char *path, uint64_t *size)
{
    struct stat s;
    *size = 0;
    if (stat(path, &s) != 0 || !S_ISREG(s.st_mode))
        return false;
    *size = (uint64_t)s.st_size;
    return true;
}

static void print_path(const ingle_text *path)
{
    out_bytes(path->bytes, path->n);
    out_bytes("\n", 1);
}

static ingle_status get(const options *o, fetch_job job, const char *relative, ingle_text *path,
                        ingle_error *err)
{
    char sum[65];
    ingle_status status = models_keep(path, relative, err);
    if (status != INGLE_OK)
        return status;
    job.path = path->bytes;
    job.quiet = o->quiet;
    status = fetch_file(&job, sum, err);
    if (status == INGLE_OK)
        setup_note(o, job.sha256 ? "sha256 %s, as published\n"
                                 : "sha256 %s (nothing to compare it with)\n", sum);
    return status;
}

/* ---- known names -------------------------------------------------------------------------- */

static ingle_status pull_known(const options *o, const models_known *k, ingle_text *path,
                               ingle_error *err)
{
    uint64_t size;
    char sum[65];
    // A copy anywhere that models are looked for will do, if it is whole.
    if (models_find(path, k->name, err) == INGLE_OK && exists(path->bytes, &size)) {
        if (size == k->size && fetch_sum(path->bytes, o->quiet, sum, err) == INGLE_OK &&
            strcmp(sum, k->sha256) == 0)
            return INGLE_OK;
        if (term_interrupted())
            return err->status;
        setup_note(o, "ingle: %s is not the published file; downloading it\n", path->bytes);
    }
    const fetch_job job = {.url = k->url, .sha256 = k->sha256, .size = k->size};
    return get(o, job, k->file, path, err);
}

/* ---- addresses ---------------------------------------------------------------------------- */

static ingle_status pull_url(const options *o, const char *url, ingle_text *path, ingle_error *err)
{
    // The file keeps its name; a folder named after the address keeps two servers' files apart.
    const char *host = strstr(url, "://") + 3;
    const char *slash = strchr(host, '/');
    const char *base = slash ? slash : "";
    const size_t whole = strcspn(base, "?#");
    size_t from = whole;
    while (from > 0 && base[from - 1] != '/')
        from--;
    ingle_sha256 h;
    char sum[65];
    ingle_sha256_init(&h);
    ingle_sha256_add(&h, url, strlen(url));
    ingle_sha256_end(&h, sum);
    ingle_text relative = {0};
    if (!buf_printf(&relative, "url/%.16s/%.*s", sum, (int)(whole - from), base + from))
        return out_error(err, INGLE_ERR_MEMORY, "no room for a path");
    ingle_status status;
    uint64_t size;
    if (!models_is_safe(relative.bytes))
        status = out_error(err, INGLE_ERR_USAGE, "the address does not end in a file's name");
    else if (models_keep(path, relative.bytes, err) != INGLE_OK)
        status = err->status;
    else if (exists(path->bytes, &size))
        status = INGLE_OK;
    else {
        path->n = 0;
        const fetch_job job = {.url = url};
        status = get(o, job, relative.bytes, path, err);
    }
    ingle_text_free(&relative);
    return status;
}

/* ---- repositories ------------------------------------------------------------------------- */

static bool add_file(hub_listing *l, const char *name, uint64_t size, const char *sha256)
{
    if (l->n == l->capacity) {
        const size_t capacity = l->capacity ? l->capacity * 2 : 32;
        hub_file *moved = realloc(l->files, capacity * sizeof *moved);
        if (!moved)
            return false;
        l->files = moved;
        l->capacity = capacity;
    }
    hub_file *f = &l->files[l->n];
    const size_t n = strlen(name) + 1;
    f->name = malloc(n);
    if (!f->name)
        return false;
    memcpy(f->name, name, n);
    f->size = size;
    snprintf(f->sha256, sizeof f->sha256, "%s", is_hex(sha256, 64, 64) ? sha256 : "");
    l->n++;
    return true;
}

static void free_listing(hub_listing *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->files[i].name);
    free(l->files);
}

/* {"rfilename": "x.gguf", "size": 1, "lfs": {"sha256": "...", "size": 1}} */
static void read_sibling(hub_listing *l, json_in *j)
{
    ingle_text key = {0}, name = {0}, sum = {0};
    uint64_t size = 0;
    buf_add(&name, "", 0);
    buf_add(&sum, "", 0);
    jin_enter(j, '{');
    while (jin_member(j, &key)) {
        if (strcmp(key.bytes, "rfilename") == 0) {
            jin_string(j, &name);
        } else if (strcmp(key.bytes, "size") == 0 && jin_peek(j) != 'n') {
            jin_uint(j, &size);
        } else if (strcmp(key.bytes, "lfs") == 0 && jin_peek(j) == '{') {
            jin_enter(j, '{');
            while (jin_member(j, &key))
                if (strcmp(key.bytes, "sha256") == 0)
                    jin_string(j, &sum);
                else
                    jin_skip(j);
        } else {
            jin_skip(j);
        }
    }
    const bool good = name.bytes && sum.bytes && l->n < HUB_FILES_MAX;
    if (!j->fault && (!good || !add_file(l, name.bytes, size, sum.bytes)))
        j->fault = "it lists too many files";
    ingle_text_free(&key);
    ingle_text_free(&name);
    ingle_text_free(&sum);
}

static ingle_status read_listing(hub_listing *l, const ingle_text *text, ingle_error *err)
{
    ingle_text key = {0}, commit = {0};
    json_in j = jin_over(text->bytes, text->n);
    jin_enter(&j, '{');
    while (jin_member(&j, &key)) {
        if (strcmp(key.bytes, "sha") == 0) {
            if (jin_string(&j, &commit) && is_hex(commit.bytes, 40, 64))
                snprintf(l->commit, sizeof l->commit, "%s", commit.bytes);
        } else if (strcmp(key.bytes, "siblings") == 0 && jin_enter(&j, '[')) {
            while (jin_item(&j))
                read_sibling(l, &j);
        } else {
            jin_skip(&j);
        }
    }
    ingle_text_free(&key);
    ingle_text_free(&commit);
    if (!jin_end(&j))
        return out_error(err, INGLE_ERR_NETWORK, "the server's file list is damaged: %s", j.fault);
    if (!*l->commit)
        return out_error(err, INGLE_ERR_NETWORK, "the server's file list names no commit");
    return INGLE_OK;
}

static const hub_file *find_word(const hub_listing *l, const char *what, size_t n)
{
    const hub_file *best = NULL;
    for (size_t i = 0; i < l->n; i++) {
        const hub_file *f = &l->files[i];
        if (n && strlen(f->name) == n && memcmp(f->name, what, n) == 0)
            return f;
        if (models_answers(f->name, what, n) && (!best || strcmp(f->name, best->name) < 0))
            best = f;
    }
    return best;
}

/* The file that a name means: what it says, else the format most people want. */
static const hub_file *choose(const hub_listing *l, const models_hub *hub)
{
    static const char *const wanted[] = {"Q4_K_M", "Q4_0", "Q8_0"};
    if (hub->n_what)
        return find_word(l, hub->what, hub->n_what);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const hub_file *f = find_word(l, wanted[i], strlen(wanted[i]));
        if (f)
            return f;
    }
    return find_word(l, "", 0);
}

/* Is b another part of the set that a belongs to ("x-00001-of-00003.gguf")? */
static bool same_set(const char *a, const char *b)
{
    const size_t n = strlen(a), tail = strlen("00001-of-00003.gguf");
    if (n <= tail || strlen(b) != n || strncmp(a + n - tail + 5, "-of-", 4) != 0 ||
        strspn(a + n - tail, "0123456789") != 5 || strspn(b + n - tail, "0123456789") != 5)
        return false;
    return memcmp(a, b, n - tail) == 0 && strcmp(a + n - tail + 5, b + n - tail + 5) == 0;
}

/* Appends a name to an address, with everything but plain characters escaped. */
static bool add_escaped(ingle_text *url, const char *name)
{
    bool good = true;
    for (const unsigned char *p = (const unsigned char *)name; good && *p; p++) {
        const bool plain = (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') ||
                           (*p >= 'a' && *p <= 'z') || strchr("-_./", *p);
        good = plain ? buf_add(url, (const char *)p, 1) : buf_printf(url, "%%%02X", *p);
    }
    return good;
}

static ingle_status get_hub_file(const options *o, const models_hub *hub, const char *server,
                                 const hub_listing *l, const hub_file *f, ingle_text *path,
                                 ingle_error *err)
{
    ingle_text url = {0}, relative = {0};
    ingle_status status;
    uint64_t size;
    path->n = 0;
    const bool made =
        buf_printf(&url, "%s/%.*s/%.*s/resolve/%s/", server, (int)hub->n_user, hub->user,
                   (int)hub->n_repo, hub->repo, l->commit) &&
        add_escaped(&url, f->name) &&
        buf_printf(&relative, "hf/%.*s/%.*s/%s", (int)hub->n_user, hub->user, (int)hub->n_repo,
                   hub->repo, f->name);
    if (!made)
        status = out_error(err, INGLE_ERR_MEMORY, "no room for an address");
    else if (models_keep(path, relative.bytes, err) != INGLE_OK)
        status = err->status;
    else if (exists(path->bytes, &size) && (!f->size || size == f->size))
        status = INGLE_OK;
    else {
        path->n = 0;
        const fetch_job job = {
            .url = url.bytes, .sha256 = *f->sha256 ? f->sha256 : NULL, .size = f->size};
        status = get(o, job, relative.bytes, path, err);
    }
    ingle_text_free(&url);
    ingle_text_free(&relative);
    return status;
}

static ingle_status get_set(const options *o, const models_hub *hub, const char *server,
                            const hub_listing *l, ingle_text *path, ingle_error *err)
{
    const hub_file *first = choose(l, hub);
    if (!first)
        return out_error(err, INGLE_ERR_NETWORK, "the repository has no such model file (%zu files"
                         " in all)", l->n);
    ingle_text other = {0};
    for (size_t i = 0; i < l->n; i++) { // the parts that follow; the first is the one to open
        const hub_file *f = &l->files[i];
        if (f == first || !same_set(first->name, f->name))
            continue;
        if (get_hub_file(o, hub, server, l, f, &other, err) != INGLE_OK) {
            ingle_text_free(&other);
            return err->status;
        }
    }
    ingle_text_free(&other);
    return get_hub_file(o, hub, server, l, first, path, err);
}

static ingle_status pull_hub(const options *o, const char *name, ingle_text *path, ingle_error *err)
{
    models_hub hub;
    if (models_parse_hub(&hub, name, err) != INGLE_OK)
        return err->status;
    const char *server = getenv("HF_ENDPOINT"); // the hub's own clients know mirrors by this name
    if (!server || !*server)
        server = "https://huggingface.co";
    ingle_text url = {0}, text = {0};
    hub_listing listing = {0};
    ingle_status status;
    if (!buf_printf(&url, "%s/api/models/%.*s/%.*s?blobs=true", server, (int)hub.n_user, hub.user,
                    (int)hub.n_repo, hub.repo))
        status = out_error(err, INGLE_ERR_MEMORY, "no room for an address");
    else
        status = fetch_text(url.bytes, LISTING_LIMIT, &text, err);
    if (status == INGLE_OK)
        status = read_listing(&listing, &text, err);
    if (status == INGLE_OK)
        status = get_set(o, &hub, server, &listing, path, err);
    free_listing(&listing);
    ingle_text_free(&text);
    ingle_text_free(&url);
    return status;
}

int cmd_pull(const options *o)
{
    ingle_text path = {0};
    ingle_error err;
    ingle_status status;
    const char *name = o->argument;
    const models_known *k = models_by_name(name);
    if (k)
        status = pull_known(o, k, &path, &err);
    else if (models_is_hub(name))
        status = pull_hub(o, name, &path, &err);
    else if (strncasecmp(name, "https://", 8) == 0 || strncasecmp(name, "http://", 7) == 0)
        status = pull_url(o, name, &path, &err);
    else
        status = out_error(&err, INGLE_ERR_USAGE,
                           "not a known name, hf:user/repo[:file-or-quant] or an address");
    if (status == INGLE_OK)
        print_path(&path);
    ingle_text_free(&path);
    return status == INGLE_OK ? EXIT_DONE : out_fail(name, &err);
}
