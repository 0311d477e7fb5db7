/* Which kernels run: the paths in order, each over what the ones before it filled in, as far as the
 * machine has their instructions. */
#include "cpu/kernels.h"

bool cpu_select(cpu_kernels *k, const char *highest)
{
    static const struct {
        const char *name;
        void (*fill)(cpu_kernels *k);
        bool (*has)(void);
    } paths[] = {
#define ROW(path) {#path, cpu_fill_##path, cpu_has_##path},
        CPU_PATHS(ROW)
#undef ROW
    };
    memset(k, 0, sizeof *k);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        if (paths[i].has()) {
            paths[i].fill(k);
            k->name = paths[i].name;
        }
        if (highest && strcmp(highest, paths[i].name) == 0)
            return true;
    }
    return highest == NULL;
}
