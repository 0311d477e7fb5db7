/* Runs inputs through one fuzz target without libFuzzer:
 *     replay_<name> [-v] [-m ROUNDS] FILE-OR-FOLDER...
 * in the order of their names. -m also runs ROUNDS damaged copies of each, always the same ones;
 * -v says which input comes next, so that the last line names the one that failed. Closes with
 * "N inputs". A failing input ends the program, as under libFuzzer. */
#include <dirent.h>
#include <sys/stat.h>

#include "fuzz.h"

typedef struct {
    char **paths;
    size_t n, capacity;
} path_list;

static void fail(const char *what, const char *path)
{
    fprintf(stderr, "replay: %s: %s\n", what, path);
    exit(2);
}

static void *must_have(void *memory)
{
    if (!memory)
        fail("no memory", "");
    return memory;
}

static void add_path(path_list *list, const char *folder, const char *name)
{
    if (list->n == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 64;
        list->paths = must_have(realloc(list->paths, list->capacity * sizeof *list->paths));
    }
    const size_t room = strlen(folder) + strlen(name) + 2;
    char *path = must_have(malloc(room));
    snprintf(path, room, "%s%s%s", folder, *folder ? "/" : "", name);
    list->paths[list->n++] = path;
}

/* Files of a folder (not of folders in it), or the file itself. */
static void add_all(path_list *list, const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0)
        fail("not there", path);
    if (!S_ISDIR(info.st_mode)) {
        add_path(list, "", path);
        return;
    }
    DIR *folder = opendir(path);
    if (!folder)
        fail("cannot be read", path);
    for (struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            add_path(list, path, entry->d_name);
    closedir(folder);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static uint8_t *read_all(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0)
        fail("cannot be read", path);
    const long size = ftell(f);
    if (size < 0)
        fail("cannot be read", path);
    rewind(f);
    uint8_t *bytes = must_have(malloc(size ? (size_t)size : 1));
    *n = fread(bytes, 1, (size_t)size, f);
    fclose(f);
    return bytes;
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    return z ^ z >> 31;
}

/* Bytes [*n] with a few changes: bytes replaced, bits flipped, a number made extreme, a stretch
 * copied elsewhere, the end cut off. */
static void damage(uint8_t *bytes, size_t *n, uint64_t *seed)
{
    static const uint64_t extremes[] = {0, 1, 0x7F, 0x80, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
                                        (uint64_t)1 << 32, (uint64_t)1 << 62, (uint64_t)1 << 63, UINT64_MAX};
    for (uint64_t changes = 1 + next_random(seed) % 4; changes && *n; changes--) {
        const size_t at = (size_t)(next_random(seed) % *n), room = *n - at;
        const uint64_t random = next_random(seed);
        const size_t from = (size_t)(next_random(seed) % *n);
        size_t length = (size_t)(random % 16);
        switch (random >> 8 & 7) {
        case 0: bytes[at] = (uint8_t)random; break;
        case 1: bytes[at] ^= (uint8_t)(1 << (random & 7)); break;
        case 2: memcpy(bytes + at, &extremes[random % 12], room < 8 ? room : 8); break;
        case 3: memcpy(bytes + at, &extremes[random % 12], room < 4 ? room : 4); break;
        case 4: *n = at + 1; break;
        case 5: bytes[at] = (uint8_t)"\"'{}[]()%<>\\ \n|-"[random % 16]; break;
        case 6: bytes[at] = (uint8_t)(bytes[at] + random % 5 - 2); break;
        default:
            length = length < room ? length : room;
            length = length < *n - from ? length : *n - from;
            memmove(bytes + at, bytes + from, length);
        }
    }
}

int main(int argc, char **argv)
{
    path_list list = {0};
    bool verbose = false;
    unsigned long rounds = 0;
    size_t runs = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-v") == 0)
            verbose = true;
        else if (strcmp(argv[i], "-m") == 0 && i + 1 < argc)
            rounds = strtoul(argv[++i], NULL, 10);
        else
            add_all(&list, argv[i]);
    }
    if (list.n)
        qsort(list.paths, list.n, sizeof *list.paths, by_name);
    for (size_t i = 0; i < list.n; i++) {
        size_t n;
        uint8_t *bytes = read_all(list.paths[i], &n);
        uint64_t seed = i;
        for (unsigned long round = 0; round <= rounds; round++, runs++) {
            size_t left = n;
            uint8_t *copy = must_have(malloc(n ? n : 1)); // of its own, so that its end is guarded
            memcpy(copy, bytes, n);
            if (round)
                damage(copy, &left, &seed);
            copy = must_have(realloc(copy, left ? left : 1));
            if (verbose) {
                printf("%s, copy %lu\n", list.paths[i], round);
                fflush(stdout);
            }
            LLVMFuzzerTestOneInput(copy, left);
            free(copy);
        }
        free(bytes);
        free(list.paths[i]);
    }
    free(list.paths);
    printf("%zu inputs\n", runs);
    return 0;
}
