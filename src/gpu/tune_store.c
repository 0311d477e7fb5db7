#include "gpu/tune_store.h"

#include "gpu/shader.h"

static uint32_t version(void)
{
    uint32_t v = TUNE_ENTRY;
    for (const shader_file *f = shader_files; f->name; f++)
        v = v * 31 + str_hash(str_of(f->text));
    return v;
}

void tune_store_read(tune_store *s, const gpu_player *p)
{
    s->n = (p->recall ? p->recall(p->user, s->words, sizeof s->words) : 0) / sizeof *s->words;
    if (s->n % TUNE_ENTRY == 1 && s->words[0] == version())
        return;
    s->n = 1;
    s->words[0] = version();
}

void tune_store_write(const tune_store *s, const gpu_player *p)
{
    if (p->remember)
        p->remember(p->user, s->words, s->n * sizeof *s->words);
}

const uint32_t *tune_store_find(const tune_store *s, uint32_t key)
{
    for (size_t at = 1; at < s->n; at += TUNE_ENTRY)
        if (s->words[at] == key)
            return s->words + at + 1;
    return NULL;
}

void tune_store_put(tune_store *s, uint32_t key, const uint32_t values[4])
{
    const uint32_t *found = tune_store_find(s, key);
    size_t at = found ? (size_t)(found - s->words) - 1 : s->n;
    if (at + TUNE_ENTRY > sizeof s->words / sizeof *s->words) {
        memmove(s->words + 1, s->words + 1 + TUNE_ENTRY, (s->n - 1 - TUNE_ENTRY) * sizeof *s->words);
        at -= TUNE_ENTRY;
    }
    s->words[at] = key;
    memcpy(s->words + at + 1, values, 4 * sizeof *values);
    s->n = at + TUNE_ENTRY > s->n ? at + TUNE_ENTRY : s->n;
}
