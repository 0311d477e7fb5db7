/* Small files in the user's cache directory. They are nobody's data: what goes wrong goes unnoticed. */
#include "host/host.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_ROOM = 512 };

/* The file's path, its directories made if that is asked for; false where there is no place for it. */
static bool path_of(const char *name, bool make, char path[PATH_ROOM])
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    const bool own = cache && cache[0] == '/';
    if (!own && !(home && home[0] == '/'))
        return false;
    int n = snprintf(path, PATH_ROOM, "%s%s", own ? cache : home, own ? "" : "/.cache");
    if (make && n > 0 && n < PATH_ROOM)
        mkdir(path, 0700);
    n = n > 0 && n < PATH_ROOM ? snprintf(path + n, (size_t)(PATH_ROOM - n), "/ingle") + n : PATH_ROOM;
    if (make && n < PATH_ROOM)
        mkdir(path, 0755);
    n = n < PATH_ROOM ? snprintf(path + n, (size_t)(PATH_ROOM - n), "/%s", name) + n : PATH_ROOM;
    return n < PATH_ROOM;
}

size_t host_cache_read(const char *name, void *to, size_t most)
{
    char path[PATH_ROOM];
    FILE *f = path_of(name, false, path) ? fopen(path, "rbe") : NULL;
    if (!f)
        return 0;
    const size_t n = fread(to, 1, most, f);
    const bool whole = !ferror(f) && fgetc(f) == EOF;
    fclose(f);
    return whole ? n : 0;
}

void host_cache_write(const char *name, const void *from, size_t n)
{
    char path[PATH_ROOM], temporary[PATH_ROOM + 32];
    if (!path_of(name, true, path))
        return;
    snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid());
    FILE *f = fopen(temporary, "wbe");
    bool good = f && fwrite(from, 1, n, f) == n;
    good = f && fclose(f) == 0 && good;
    if (!good || rename(temporary, path) != 0)
        unlink(temporary);
}
