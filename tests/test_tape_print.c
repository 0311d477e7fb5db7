/* The printer of tapes against tests/golden/tape.txt, which a person has read, and what it does with
 * words that are no tape. */
#include "harness.h"

#include "gpu/tape_print.h"
#include "support.h"
#include "tape_hand.h"

static const char golden[] = "tests/golden/tape.txt";
static char bytes[4096];

/* Every command, in two tapes: labels are remembered from the first. */
static void set_up(tape *t)
{
    hand_buffer(t, 0, 4096, "numbers");
    hand_buffer(t, 1, 6ull << 30, "sums");
    hand_write(t, 0, 0, bytes, 4096);
    hand_pipeline(t, 0, "fn main() { }", 1, 1, "double");
    hand_pipeline(t, 1, "fn main() { }", 2, 2, "a label that is longer than it ought to be");
    hand_group(t, 0, 0, 1, (uint32_t[]){0}, 4096);
    WORDS(t, TAPE_GROUP, 1, 1, 2);
    hand_binding(t, 0, 0, 4096);
    hand_binding(t, 1, 5ull << 30, 4096);
    WORDS(t, TAPE_SECTION, 0, 2, 0, 0, 16, 1, 1, 1, 1, 16, 2, 1, TAPE_READY, 0);
}

static void token(tape *t)
{
    WORDS(t, TAPE_STAMP, 1, TAPE_DISPATCH, 1, 1, 4, 5, 6, TAPE_RUN, 0, 8);
    hand_copy(t, 0, 256, 1, 4ull << 30, 512);
    hand_read(t, 1, 5ull << 30, bytes, 64, 2);
    WORDS(t, TAPE_SUBMIT, TAPE_FREE, 0, TAPE_DISPATCH, 7, 8, 1, 1, 1, TAPE_FREE, 9);
}

static ingle_status print(ingle_text *out, const ingle_allocator *a)
{
    ingle_error e = {0};
    tape_printer *p = tape_printer_open(a);
    if (!p)
        return INGLE_ERR_MEMORY;
    tape t = {0};
    set_up(&t);
    ingle_status status = tape_print(p, out, t.words, t.n, &e);
    t.n = 0;
    token(&t);
    if (status == INGLE_OK)
        status = tape_print(p, out, t.words, t.n, &e);
    tape_free(&t);
    tape_printer_close(p);
    return status;
}

static void as_recorded(void)
{
    ingle_text out = {0};
    size_t n;
    char *want = test_read_file(golden, &n);
    CHECK(print(&out, NULL) == INGLE_OK);
    CHECK_TEXT(out.bytes, want ? want : "(no golden)");
    CHECK(out.n == n);
    free(want);
    ingle_text_free(&out);
}

/* Every command of the list has its name in the text. */
static void every_command(void)
{
    static const char *const names[] = {
#define NAME(NAME, words, names) #NAME,
        TAPE_COMMANDS(NAME)
#undef NAME
    };
    ingle_text out = {0};
    CHECK(print(&out, NULL) == INGLE_OK);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CHECK_MSG(strstr(out.bytes, names[i]), "%s", names[i]);
    ingle_text_free(&out);
}

static void no_tape(void)
{
    static const uint32_t broken[][4] = {
        {TAPE_SUBMIT, TAPE_END},
        {TAPE_SUBMIT, TAPE_COMMAND_COUNT},
        {TAPE_SUBMIT, TAPE_RUN, 1},
        {TAPE_SUBMIT, TAPE_SECTION, 0, 99},
    };
    static const size_t lengths[] = {2, 2, 3, 4};
    for (size_t i = 0; i < 4; i++) {
        ingle_text out = {0};
        ingle_error e = {0};
        tape_printer *p = tape_printer_open(NULL);
        CHECK(tape_print(p, &out, broken[i], lengths[i], &e) == INGLE_ERR_INTERNAL);
        CHECK_MSG(strstr(e.text, "word 1"), "%s", e.text);
        CHECK_TEXT(out.bytes, "SUBMIT\n"); // what comes before it
        tape_printer_close(p);
        ingle_text_free(&out);
    }
    tape_printer_close(NULL);
}

/* Numbers that no player would take do not make it ask for absurd memory. */
static void wild_numbers(void)
{
    ingle_text out = {0};
    ingle_error e = {0};
    tape t = {0};
    tape_printer *p = tape_printer_open(NULL);
    hand_buffer(&t, UINT32_MAX, 4, "far");
    WORDS(&t, TAPE_GROUP, UINT32_MAX, UINT32_MAX, 0, TAPE_DISPATCH, UINT32_MAX, UINT32_MAX, 1, 1, 1);
    WORDS(&t, TAPE_GROUP, 0, 0, 12); // more than a group may have
    for (uint32_t i = 0; i < 12; i++)
        hand_binding(&t, i, 0, 4);
    CHECK(tape_print(p, &out, t.words, t.n, &e) == INGLE_OK && strstr(out.bytes, "4294967295 \"?\""));
    tape_printer_close(p);
    ingle_text_free(&out);
    tape_free(&t);
}

static ingle_status work(void *user, const ingle_allocator *a)
{
    (void)user;
    ingle_text out = {.allocator = *a};
    const ingle_status status = print(&out, a);
    ingle_text_free(&out);
    return status;
}

static void every_allocation(void)
{
    CHECK(test_every_allocation(work, NULL) >= 5);
}

TESTS(T(as_recorded) T(every_command) T(no_tape) T(wild_numbers) T(every_allocation))
