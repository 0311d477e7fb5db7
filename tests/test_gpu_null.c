/* The null player: tapes that are right pass and are counted; of those that are wrong each fault is
 * found and named. */
#include "harness.h"

#include "gpu/player.h"
#include "support.h"
#include "tape_hand.h"

enum { BYTES = 1024 };

static const char doubling[] = "@group(0) @binding(0) var<storage, read_write> x: array<f32>;\n"
                               "@compute @workgroup_size(64) fn main() { x[0] *= 2.0; }\n";
static const char adding[] = "@group(0) @binding(0) var<storage, read> a: array<f32>;\n"
                             "@group(0) @binding(1) var<storage, read_write> b: array<f32>;\n"
                             "@compute @workgroup_size(64) fn main() { b[0] += a[0]; }\n";
static const char filling[] = "@group(0) @binding(0) var<storage, read_write> a: array<f32>;\n"
                              "@group(0) @binding(1) var<storage, read_write> b: array<f32>;\n"
                              "@compute @workgroup_size(64) fn main() { a[0] = 0.0; b[0] = 0.0; }\n";

static char memory[BYTES];

static ingle_status play(gpu_player *p, tape *t, ingle_error *e)
{
    *e = (ingle_error){0};
    const ingle_status status = p->play(p->user, t->words, t->n, e);
    t->n = 0;
    return status;
}

/* Buffers 0 numbers, 1 sums (BYTES each); pipelines 0 double, 1 add, 2 fill (two outputs), ready; groups 0 of
 * double on numbers, 1 of add from numbers to sums; section 0: both. Ticket 0 is taken. */
static void prepare(gpu_player *p, tape *t)
{
    ingle_error e;
    hand_buffer(t, 0, BYTES, "numbers");
    hand_buffer(t, 1, BYTES, "sums");
    hand_pipeline(t, 0, doubling, 1, 1, "double");
    hand_pipeline(t, 1, adding, 2, 2, "add");
    hand_pipeline(t, 2, filling, 2, 3, "fill");
    hand_group(t, 0, 0, 1, (uint32_t[]){0}, BYTES);
    hand_group(t, 1, 1, 2, (uint32_t[]){0, 1}, BYTES);
    WORDS(t, TAPE_SECTION, 0, 2, 0, 0, 4, 1, 1, 1, 1, 4, 1, 1);
    WORDS(t, TAPE_READY, 0);
    CHECK_MSG(play(p, t, &e) == INGLE_OK, "%s", e.text);
    CHECK(p->wait(p->user, 0, NULL, &e) == INGLE_OK);
}

/* ---- what is right ------------------------------------------------------------------------------ */

static void counts(void)
{
    gpu_player p;
    tape t = {0};
    ingle_error e = {0};
    CHECK(gpu_null_open(&p, NULL, NULL, &e) == INGLE_OK);
    CHECK(p.limits.max_binding == 128u << 20 && p.limits.max_groups == 65535);
    prepare(&p, &t);
    const gpu_null_counts *c = gpu_null_get_counts(&p);
    CHECK(c->buffers == 2 && c->buffer_bytes == 2 * BYTES && c->pipelines == 3 && c->groups == 2);
    CHECK(c->dispatches == 0 && c->submits == 0);

    hand_write(&t, 0, 256, memory, 512);
    WORDS(&t, TAPE_DISPATCH, 0, 0, 1, 1, 1, TAPE_RUN, 0, 3); // one pass of 7
    hand_copy(&t, 0, 0, 1, 512, 512);                        // ends it
    WORDS(&t, TAPE_DISPATCH, 0, 0, 1, 1, 1, TAPE_STAMP, 1, TAPE_RUN, 0, 1); // two more
    memset(memory, 1, sizeof memory);
    hand_read(&t, 1, 0, memory, 64, 2); // submits
    WORDS(&t, TAPE_SUBMIT, TAPE_SUBMIT);
    CHECK_MSG(play(&p, &t, &e) == INGLE_OK, "%s", e.text);
    CHECK(c->dispatches == 10 && c->passes == 3 && c->submits == 1 && c->written == 512 && c->read == 64);
    uint64_t when = 7;
    CHECK(p.wait(p.user, 2, NULL, &e) == INGLE_OK && p.wait(p.user, 1, &when, &e) == INGLE_OK && when == 0);
    CHECK(memory[0] == 0 && memory[63] == 0 && memory[64] == 1);

    WORDS(&t, TAPE_FREE, 0);
    hand_buffer(&t, 0, 256, "another");
    CHECK_MSG(play(&p, &t, &e) == INGLE_OK, "%s", e.text);
    CHECK(c->buffers == 2 && c->buffer_bytes == BYTES + 256 && c->most_bytes == 2 * BYTES);
    p.close(p.user);
    tape_free(&t);
}

/* The tape that native and browser players are allowed to hear: what is submitted may be written, two
 * outputs may lie in one buffer apart, and the same words read as others. */
static void allowed(void)
{
    gpu_player p;
    tape t = {0};
    ingle_error e = {0};
    CHECK(gpu_null_open(&p, NULL, NULL, &e) == INGLE_OK);
    prepare(&p, &t);
    WORDS(&t, TAPE_RUN, 0, 1, TAPE_SUBMIT);
    hand_write(&t, 0, 0, memory, BYTES);
    WORDS(&t, TAPE_GROUP, 2, 2, 2); // fill: halves of one buffer
    hand_binding(&t, 0, 0, 512);
    hand_binding(&t, 0, 512, 512);
    WORDS(&t, TAPE_DISPATCH, 2, 2, 65535, 1, 1);
    hand_write(&t, 1, 0, memory, BYTES); // not in the pass
    CHECK_MSG(play(&p, &t, &e) == INGLE_OK, "%s", e.text);
    const uint64_t before = gpu_null_get_counts(&p)->dispatches;
    WORDS(&t, TAPE_SECTION, 0, 1, 0, 0, 4, 1, 1, TAPE_RUN, 0, 3); // in the place of two
    CHECK_MSG(play(&p, &t, &e) == INGLE_OK, "%s", e.text);
    CHECK(gpu_null_get_counts(&p)->dispatches == before + 3);
    p.close(p.user);
    tape_free(&t);
}

/* ---- what is wrong ------------------------------------------------------------------------------ */

static void free_missing(tape *t) { WORDS(t, TAPE_FREE, 7); }
static void free_twice(tape *t) { WORDS(t, TAPE_FREE, 1, TAPE_FREE, 1); }
static void buffer_gap(tape *t) { hand_buffer(t, 3, BYTES, "far"); }
static void buffer_again(tape *t) { hand_buffer(t, 1, BYTES, "twice"); }
static void buffer_empty(tape *t) { hand_buffer(t, 2, 0, "empty"); }
static void buffer_odd(tape *t) { hand_buffer(t, 2, 6, "odd"); }
static void buffer_large(tape *t) { hand_buffer(t, 2, (256u << 20) + 4, "large"); }
static void buffer_nameless(tape *t) { hand_buffer(t, 2, 256, ""); }
static void write_missing(tape *t) { hand_write(t, 5, 0, memory, 4); }
static void write_beyond(tape *t) { hand_write(t, 0, BYTES - 4, memory, 8); }
static void write_wraps(tape *t) { hand_write(t, 0, UINT64_MAX - 3, memory, 8); }
static void write_odd(tape *t) { hand_write(t, 0, 2, memory, 4); }
static void write_odd_bytes(tape *t) { hand_write(t, 0, 0, memory, 6); }
static void write_nothing(tape *t) { hand_write(t, 0, 0, memory, 0); }
static void write_from_nowhere(tape *t) { hand_write(t, 0, 0, NULL, 4); }
static void write_overtakes(tape *t)
{
    WORDS(t, TAPE_RUN, 0, 1);
    hand_write(t, 0, 0, memory, 4);
}
static void write_overtakes_copy(tape *t)
{
    hand_copy(t, 0, 0, 1, 0, 4);
    hand_write(t, 0, 0, memory, 4);
}
static void copy_missing(tape *t) { hand_copy(t, 0, 0, 8, 0, 4); }
static void copy_from_missing(tape *t) { hand_copy(t, 8, 0, 0, 0, 4); }
static void copy_beyond(tape *t) { hand_copy(t, 0, 512, 1, 0, 516); }
static void copy_beyond_to(tape *t) { hand_copy(t, 0, 0, 1, 512, 516); }
static void copy_within(tape *t) { hand_copy(t, 0, 0, 0, 512, 256); }
static void pipeline_gap(tape *t) { hand_pipeline(t, 4, doubling, 1, 1, "far"); }
static void pipeline_nameless(tape *t) { hand_pipeline(t, 3, doubling, 1, 1, ""); }
static void pipeline_binds_much(tape *t) { hand_pipeline(t, 3, doubling, 9, 1, "wide"); }
static void pipeline_writes_much(tape *t) { hand_pipeline(t, 3, doubling, 1, 3, "double"); }
static void pipeline_says_reads(tape *t) { hand_pipeline(t, 3, doubling, 1, 0, "double"); }
static void pipeline_says_writes(tape *t) { hand_pipeline(t, 3, adding, 2, 3, "add"); }
static void pipeline_lacks(tape *t) { hand_pipeline(t, 3, adding, 3, 2, "add"); }
static void pipeline_has_more(tape *t) { hand_pipeline(t, 3, adding, 1, 0, "add"); }
static void pipeline_no_main(tape *t) { hand_pipeline(t, 3, "fn other() { }", 0, 0, "mainless"); }
static void pipeline_no_code(tape *t) { WORDS(t, TAPE_PIPELINE, 3, 0, 0, 0, 0, 0), hand_text(t, "none"); }
static void group_gap(tape *t) { hand_group(t, 3, 0, 1, (uint32_t[]){0}, BYTES); }
static void group_no_pipeline(tape *t) { hand_group(t, 2, 5, 1, (uint32_t[]){0}, BYTES); }
static void group_few(tape *t) { hand_group(t, 2, 1, 1, (uint32_t[]){0}, BYTES); }
static void group_missing(tape *t) { hand_group(t, 2, 1, 2, (uint32_t[]){0, 4}, BYTES); }
static void group_beyond(tape *t) { hand_group(t, 2, 0, 1, (uint32_t[]){0}, BYTES + 4); }
static void group_offset(tape *t) { WORDS(t, TAPE_GROUP, 2, 0, 1), hand_binding(t, 0, 128, 256); }
static void group_reads_output(tape *t)
{
    WORDS(t, TAPE_GROUP, 2, 1, 2); // even where they do not overlap
    hand_binding(t, 0, 0, 256);
    hand_binding(t, 0, 512, 256);
}
static void group_outputs_overlap(tape *t)
{
    WORDS(t, TAPE_GROUP, 2, 2, 2);
    hand_binding(t, 0, 0, 516);
    hand_binding(t, 0, 512, 256);
}
static void group_binds_much(tape *t)
{
    hand_buffer(t, 2, (128u << 20) + 256, "heavy");
    hand_group(t, 2, 0, 1, (uint32_t[]){2}, (128u << 20) + 4);
}
static void section_gap(tape *t) { WORDS(t, TAPE_SECTION, 2, 0); }
static void section_missing(tape *t) { WORDS(t, TAPE_SECTION, 1, 1, 0, 5, 1, 1, 1); }
static void section_no_pipeline(tape *t) { WORDS(t, TAPE_SECTION, 1, 1, 5, 0, 1, 1, 1); }
static void section_grid(tape *t) { WORDS(t, TAPE_SECTION, 1, 1, 0, 0, 1, 65536, 1); }
static void dispatch_grid(tape *t) { WORDS(t, TAPE_DISPATCH, 0, 0, 1, 1, 0); }
static void dispatch_other_group(tape *t) { WORDS(t, TAPE_DISPATCH, 0, 1, 1, 1, 1); }
static void dispatch_same_shape_writes(tape *t) { WORDS(t, TAPE_DISPATCH, 2, 1, 1, 1, 1); }
static void dispatch_not_ready(tape *t)
{
    hand_pipeline(t, 3, doubling, 1, 1, "late");
    WORDS(t, TAPE_DISPATCH, 3, 0, 1, 1, 1);
}
static void dispatch_freed(tape *t) { WORDS(t, TAPE_FREE, 0, TAPE_DISPATCH, 0, 0, 1, 1, 1); }
static void run_made_again(tape *t)
{
    WORDS(t, TAPE_FREE, 1);
    hand_buffer(t, 1, BYTES, "others");
    hand_group(t, 1, 1, 2, (uint32_t[]){0, 1}, BYTES);
    WORDS(t, TAPE_RUN, 0, 1);
}
static void group_twice(tape *t) { hand_group(t, 1, 1, 2, (uint32_t[]){0, 1}, BYTES); }
static void run_freed(tape *t) { WORDS(t, TAPE_FREE, 1, TAPE_RUN, 0, 1); }
static void run_missing(tape *t) { WORDS(t, TAPE_RUN, 4, 1); }
static void read_missing(tape *t) { hand_read(t, 5, 0, memory, 4, 1); }
static void read_beyond(tape *t) { hand_read(t, 0, BYTES, memory, 4, 1); }
static void read_to_nowhere(tape *t) { hand_read(t, 0, 0, NULL, 4, 1); }
static void read_ticket(tape *t) { hand_read(t, 0, 0, memory, 4, 0); }
static void ready_ticket(tape *t) { WORDS(t, TAPE_READY, 2); }
static void stamp_ticket(tape *t) { WORDS(t, TAPE_STAMP, 3); }
static void no_command(tape *t) { WORDS(t, TAPE_SUBMIT, TAPE_END); }
static void unknown_command(tape *t) { WORDS(t, TAPE_COMMAND_COUNT); }
static void cut_short(tape *t) { WORDS(t, TAPE_DISPATCH, 0, 0, 1, 1); }
static void group_cut_short(tape *t) { WORDS(t, TAPE_GROUP, 2, 0, 1, 0, 0, 0, 0); }

/* Fault, and what must be in its text. */
static const struct {
    const char *name;
    void (*plant)(tape *t);
    const char *command, *object;
} faults[] = {
#define F(name, command, object) {#name, name, command, object},
    F(free_missing, "FREE", "7")
    F(free_twice, "FREE", "1")
    F(buffer_gap, "BUFFER 3", "order")
    F(buffer_again, "BUFFER 1", "already")
    F(buffer_empty, "BUFFER", "empty")
    F(buffer_odd, "BUFFER", "odd")
    F(buffer_large, "BUFFER", "large")
    F(buffer_nameless, "BUFFER 2", "label")
    F(write_missing, "WRITE", "5")
    F(write_beyond, "WRITE", "numbers")
    F(write_wraps, "WRITE", "numbers")
    F(write_odd, "WRITE", "numbers")
    F(write_odd_bytes, "WRITE", "numbers")
    F(write_nothing, "WRITE", "numbers")
    F(write_from_nowhere, "WRITE", "numbers")
    F(write_overtakes, "WRITE", "SUBMIT")
    F(write_overtakes_copy, "WRITE", "SUBMIT")
    F(copy_missing, "COPY to", "8")
    F(copy_from_missing, "COPY from", "8")
    F(copy_beyond, "COPY from", "numbers")
    F(copy_beyond_to, "COPY to", "sums")
    F(copy_within, "COPY within", "numbers")
    F(pipeline_gap, "PIPELINE 4", "order")
    F(pipeline_nameless, "PIPELINE 3", "label")
    F(pipeline_binds_much, "PIPELINE", "wide")
    F(pipeline_writes_much, "PIPELINE", "double")
    F(pipeline_says_reads, "PIPELINE", "binding 0 is written")
    F(pipeline_says_writes, "PIPELINE", "binding 0 is not written")
    F(pipeline_lacks, "PIPELINE", "lacks")
    F(pipeline_has_more, "PIPELINE", "too many")
    F(pipeline_no_main, "PIPELINE", "mainless")
    F(pipeline_no_code, "PIPELINE", "no code")
    F(group_gap, "GROUP 3", "order")
    F(group_no_pipeline, "GROUP 2", "5")
    F(group_few, "GROUP", "add")
    F(group_missing, "GROUP of add", "4")
    F(group_beyond, "GROUP of double", "numbers")
    F(group_offset, "GROUP of double", "not aligned")
    F(group_reads_output, "GROUP of add", "one of which writes")
    F(group_outputs_overlap, "GROUP of fill", "overlap")
    F(group_binds_much, "GROUP of double", "allowed")
    F(section_gap, "SECTION 2", "order")
    F(section_missing, "SECTION", "group 5")
    F(section_no_pipeline, "SECTION", "pipeline 5")
    F(section_grid, "SECTION of double", "65536")
    F(dispatch_grid, "DISPATCH of double", "1 x 1 x 0")
    F(dispatch_other_group, "DISPATCH of double", "add")
    F(dispatch_same_shape_writes, "DISPATCH of fill", "add")
    F(dispatch_not_ready, "DISPATCH of late", "READY")
    F(dispatch_freed, "DISPATCH of double", "freed")
    F(run_freed, "RUN of add", "freed")
    F(run_made_again, "RUN of add", "freed")
    F(group_twice, "GROUP 1", "there already")
    F(run_missing, "RUN", "4")
    F(read_missing, "READ", "5")
    F(read_beyond, "READ", "numbers")
    F(read_to_nowhere, "READ", "numbers")
    F(read_ticket, "READ", "ticket 0")
    F(ready_ticket, "READY", "ticket 2")
    F(stamp_ticket, "STAMP", "ticket 3")
    F(no_command, "word 1", "no command")
    F(unknown_command, "word 0", "no command")
    F(cut_short, "word 0", "cut short")
    F(group_cut_short, "word 0", "cut short")
};

static void each_fault(void)
{
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        gpu_player p;
        tape t = {0};
        ingle_error e = {0};
        CHECK(gpu_null_open(&p, NULL, NULL, &e) == INGLE_OK);
        prepare(&p, &t);
        faults[i].plant(&t);
        CHECK_MSG(play(&p, &t, &e) == INGLE_ERR_INTERNAL, "%s", faults[i].name);
        CHECK_MSG(strstr(e.text, faults[i].command) && strstr(e.text, faults[i].object), "%s: %s", faults[i].name,
                  e.text);
        p.close(p.user);
        tape_free(&t);
    }
}

static void wrong_tickets(void)
{
    gpu_player p;
    tape t = {0};
    ingle_error e = {0};
    CHECK(gpu_null_open(&p, NULL, NULL, &e) == INGLE_OK);
    prepare(&p, &t);
    CHECK(p.wait(p.user, 0, NULL, &e) == INGLE_ERR_INTERNAL); // answered
    CHECK(p.wait(p.user, 1, NULL, &e) == INGLE_ERR_INTERNAL); // not given
    CHECK(p.play(p.user, t.words, 0, &e) == INGLE_ERR_INTERNAL);
    p.close(p.user);
    tape_free(&t);
}

/* ---- memory ------------------------------------------------------------------------------------- */

static ingle_status everything(void *user, const ingle_allocator *a)
{
    (void)user;
    gpu_player p;
    tape t = {0};
    ingle_error e = {0};
    ingle_status status = gpu_null_open(&p, NULL, a, &e);
    if (status != INGLE_OK)
        return status;
    hand_buffer(&t, 0, BYTES, "numbers");
    hand_pipeline(&t, 0, doubling, 1, 1, "double");
    hand_group(&t, 0, 0, 1, (uint32_t[]){0}, BYTES);
    WORDS(&t, TAPE_SECTION, 0, 1, 0, 0, 1, 1, 1, TAPE_READY, 0);
    status = play(&p, &t, &e);
    p.close(p.user);
    tape_free(&t);
    return status;
}

static void every_allocation(void)
{
    const long sites = test_every_allocation(everything, NULL);
    CHECK_MSG(sites == 7, "%ld", sites); // the player, five lists, the section's dispatches
}

TESTS(T(counts) T(allowed) T(each_fault) T(wrong_tickets) T(every_allocation))
