#include "gpu/tape.h"

static const uint8_t words_of[TAPE_COMMAND_COUNT] = {
#define TAPE_WORDS(NAME, words, names) [TAPE_##NAME] = words,
    TAPE_COMMANDS(TAPE_WORDS)
#undef TAPE_WORDS
};

void tape_add(tape *t, uint32_t word)
{
    if (t->failed)
        return;
    uint32_t *words = mem_grow(&t->allocator, t->words, t->n, &t->capacity, sizeof *words);
    if (!words) {
        t->failed = true;
        return;
    }
    t->words = words;
    t->words[t->n++] = word;
}

void tape_add64(tape *t, uint64_t number)
{
    tape_add(t, (uint32_t)number);
    tape_add(t, (uint32_t)(number >> 32));
}

void tape_add_address(tape *t, const void *address)
{
    tape_add64(t, (uintptr_t)address);
}

void tape_free(tape *t)
{
    mem_free(&t->allocator, t->words);
    *t = (tape){.allocator = t->allocator};
}

size_t tape_command_words(const uint32_t *words, size_t n)
{
    if (n == 0 || words[0] == TAPE_END || words[0] >= TAPE_COMMAND_COUNT)
        return 0;
    const size_t fixed = 1 + (size_t)words_of[words[0]];
    if (fixed > n)
        return 0;
    const size_t each = words[0] == TAPE_GROUP ? TAPE_GROUP_WORDS : words[0] == TAPE_SECTION ? TAPE_SECTION_WORDS : 0;
    const size_t items = each ? words[fixed - 1] : 0; // their number is the last of the words before them
    return items <= (n - fixed) / (each ? each : 1) ? fixed + items * each : 0;
}
