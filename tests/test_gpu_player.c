/* A player against a real WebGPU implementation: what tape.h and player.h say, command by command. The
 * native one; as a WebAssembly program JavaScript's (tests/gpu_wasi.c). Skipped without Dawn's library or an
 * adapter for it (make gpu-tools installs both). */
#include "harness.h"

#include "gpu/player.h"
#include "host/host.h"
#include "support.h"
#include "tape_hand.h"

static const char doubling[] = "@group(0) @binding(0) var<storage, read_write> x: array<f32>;\n"
                               "@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) i: vec3<u32>) {\n"
                               "    if (i.x < arrayLength(&x)) { x[i.x] *= 2.0; }\n"
                               "}\n";
static const char adding[] = "@group(0) @binding(0) var<storage, read> a: array<f32>;\n"
                             "@group(0) @binding(1) var<storage, read_write> b: array<f32>;\n"
                             "@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) i: vec3<u32>) {\n"
                             "    if (i.x < arrayLength(&b)) { b[i.x] += a[i.x]; }\n"
                             "}\n";

enum { N = 1000, BYTES = N * 4 };

/* False, and the test is skipped, where there is no library or no adapter. */
static bool open_player(gpu_player *p, const gpu_native_options *options, const char *test)
{
    gpu_native_options o = options ? *options : (gpu_native_options){0};
    o.library = test_find_dawn();
    ingle_error e = {0};
    const ingle_status status = gpu_native_open(p, &o, NULL, &e);
    if (status == INGLE_OK)
        return true;
    printf("skipped: %s: %s%s\n", test, e.text, o.library ? "" : " (make gpu-tools)");
    test_skip = 1;
    CHECK_MSG(status == INGLE_ERR_DEVICE, "%s", e.text);
    return false;
}

#define OPEN(p, options)                        \
    if (!open_player(&(p), options, __func__))  \
        return;                                 \
    tape t = {0}

static ingle_status play(gpu_player *p, tape *t, ingle_error *e)
{
    *e = (ingle_error){0};
    const ingle_status status = p->play(p->user, t->words, t->n, e);
    t->n = 0;
    return status;
}

/* As play; what a device says late is heard of by the next READY. */
static ingle_status play_and_hear(gpu_player *p, tape *t, ingle_error *e)
{
    ingle_status status = play(p, t, e);
    if (status != INGLE_OK)
        return status;
    WORDS(t, TAPE_READY, 999);
    status = play(p, t, e);
    return status == INGLE_OK ? p->wait(p->user, 999, NULL, e) : status;
}

#define PLAY(p, t)                                                                          \
    do {                                                                                    \
        ingle_error e_ = {0};                                                               \
        CHECK_MSG(play(&(p), &(t), &e_) == INGLE_OK, "%s", e_.text);                        \
    } while (0)
#define WAIT(p, ticket, answer)                                                             \
    do {                                                                                    \
        ingle_error e_ = {0};                                                               \
        CHECK_MSG((p).wait((p).user, ticket, answer, &e_) == INGLE_OK, "%s", e_.text);      \
    } while (0)

static void finish(gpu_player *p, tape *t)
{
    p->close(p->user);
    tape_free(t);
}

/* Buffer 0 holds 0, 1, 2 ...; buffer 1 zeros; pipeline 0 doubles (group 0: buffer 0), pipeline 1 adds
 * buffer 0 to buffer 1 (group 1). */
static void prepare(gpu_player *p, tape *t)
{
    static float numbers[N];
    for (int i = 0; i < N; i++)
        numbers[i] = (float)i;
    hand_buffer(t, 0, BYTES, "numbers");
    hand_buffer(t, 1, BYTES, "sums");
    hand_write(t, 0, 0, numbers, BYTES);
    hand_pipeline(t, 0, doubling, 1, 1, "double");
    hand_pipeline(t, 1, adding, 2, 2, "add");
    hand_group(t, 0, 0, 1, (uint32_t[]){0}, BYTES);
    hand_group(t, 1, 1, 2, (uint32_t[]){0, 1}, BYTES);
    WORDS(t, TAPE_READY, 1000);
    PLAY(*p, *t);
    WAIT(*p, 1000, NULL);
}

static bool holds(const float *x, float factor)
{
    for (int i = 0; i < N; i++)
        if (x[i] != (float)i * factor)
            return false;
    return true;
}

/* ---- what works --------------------------------------------------------------------------------- */

static void limits(void)
{
    gpu_player p;
    OPEN(p, NULL);
    const gpu_limits *l = &p.limits;
    printf("# %s: buffers of %llu MiB, bindings of %llu MiB, %u bindings, %u bytes and %u threads a workgroup,\n"
           "# subgroups of %u to %u, f16 %u, packed dot %u, timestamps %u\n",
           l->name, (unsigned long long)l->max_buffer >> 20, (unsigned long long)l->max_binding >> 20, l->max_bindings,
           l->max_workgroup_memory, l->max_workgroup_threads, l->subgroup_min, l->subgroup_max, l->f16, l->packed_dot,
           l->timestamps);
    CHECK(l->name[0]); // what every WebGPU device has at least
    CHECK(l->max_buffer >= 256u << 20 && l->max_binding >= 128u << 20 && l->max_bindings >= 8);
    CHECK(l->max_workgroup_memory >= 16384 && l->max_workgroup_threads >= 256 && l->max_groups == 65535);
    CHECK(l->subgroup_min <= l->subgroup_max);
    finish(&p, &t);
}

static void options_forbid(void)
{
    gpu_player p;
    const gpu_native_options none = {
        .no_f16 = true, .no_subgroups = true, .max_buffer = 64 << 20, .max_binding = 1 << 20};
    OPEN(p, &none);
    CHECK(!p.limits.f16 && !p.limits.subgroup_max);
    CHECK(p.limits.max_buffer == 64 << 20 && p.limits.max_binding == 1 << 20);
    ingle_error e;
    hand_buffer(&t, 0, (64 << 20) + 4, "weights");
    CHECK(play(&p, &t, &e) == INGLE_ERR_MEMORY);
    CHECK_MSG(strstr(e.text, "weights") && strstr(e.text, "67108868"), "%s", e.text);
    hand_buffer(&t, 0, 64 << 20, "weights");
    hand_pipeline(&t, 0, doubling, 1, 1, "double");
    hand_group(&t, 0, 0, 1, (uint32_t[]){0}, (1 << 20) + 256);
    CHECK(play(&p, &t, &e) == INGLE_ERR_DEVICE);
    CHECK_MSG(strstr(e.text, "double"), "%s", e.text);
    hand_pipeline(&t, 1, "enable f16;\n@compute @workgroup_size(1) fn main() { }\n", 0, 0, "half");
    WORDS(&t, TAPE_READY, 0);
    PLAY(p, t);
    CHECK(p.wait(p.user, 0, NULL, &e) == INGLE_ERR_DEVICE);
    finish(&p, &t);
}

#ifndef __wasm__
static void unknown_adapter(void)
{
    gpu_player p;
    OPEN(p, NULL);
    finish(&p, &t);
    ingle_error e = {0};
    const gpu_native_options o = {.library = test_find_dawn(), .adapter = "no such adapter"};
    CHECK(gpu_native_open(&p, &o, NULL, &e) == INGLE_ERR_DEVICE && strstr(e.text, "no such adapter"));
    CHECK(!p.play);
    const gpu_native_options elsewhere = {.library = "/no/such/library.so"};
    CHECK(gpu_native_open(&p, &elsewhere, NULL, &e) == INGLE_ERR_DEVICE && strstr(e.text, "/no/such/library.so"));
    const gpu_native_options another = {.library = "libm.so.6"};
    CHECK(gpu_native_open(&p, &another, NULL, &e) == INGLE_ERR_DEVICE && strstr(e.text, "wgpu"));
}
#endif

static void doubles(void)
{
    gpu_player p;
    OPEN(p, NULL);
    prepare(&p, &t);
    float got[N], zeros[N];
    hand_read(&t, 1, 0, zeros, BYTES, 0); // as it was made
    WORDS(&t, TAPE_DISPATCH, 0, 0, (N + 63) / 64, 1, 1);
    hand_read(&t, 0, 0, got, BYTES, 1);
    PLAY(p, t);
    WAIT(p, 1, NULL);
    WAIT(p, 0, NULL);
    CHECK(holds(got, 2) && holds(zeros, 0));
    finish(&p, &t);
}

/* Dispatches of one pass see what those before wrote, in sections as well: after k runs of
 * [double, add] from x, s the sum is s + 2x + 4x + ... */
static void sections(void)
{
    gpu_player p;
    OPEN(p, NULL);
    prepare(&p, &t);
    float numbers[N], sums[N], copied[N];
    const uint32_t grid = (N + 63) / 64;
    hand_buffer(&t, 2, BYTES * 2, "copies");
    WORDS(&t, TAPE_SECTION, 0, 2, 0, 0, grid, 1, 1, 1, 1, grid, 1, 1);
    WORDS(&t, TAPE_RUN, 0, 3);
    hand_copy(&t, 1, 0, 2, BYTES, BYTES);
    WORDS(&t, TAPE_RUN, 0, 1);
    hand_read(&t, 0, 0, numbers, BYTES, 0);
    hand_read(&t, 1, 0, sums, BYTES, 1);
    hand_read(&t, 2, BYTES, copied, BYTES, 2);
    PLAY(p, t);
    for (uint32_t i = 0; i < 3; i++)
        WAIT(p, i, NULL);
    CHECK(holds(numbers, 16) && holds(sums, 2 + 4 + 8 + 16) && holds(copied, 2 + 4 + 8));
    WORDS(&t, TAPE_SECTION, 0, 1, 0, 0, grid, 1, 1, TAPE_RUN, 0, 2); // another in its place
    hand_read(&t, 0, 0, numbers, BYTES, 3);
    PLAY(p, t);
    WAIT(p, 3, NULL);
    CHECK(holds(numbers, 64));
    finish(&p, &t);
}

/* WRITE comes after what was submitted and before what is only recorded. */
static void write_order(void)
{
    gpu_player p;
    OPEN(p, NULL);
    prepare(&p, &t);
    float first[N], second[N], tens[N];
    for (int i = 0; i < N; i++)
        tens[i] = (float)i * 10;
    WORDS(&t, TAPE_DISPATCH, 1, 1, (N + 63) / 64, 1, 1); // sums = numbers
    WORDS(&t, TAPE_SUBMIT);
    hand_write(&t, 0, 0, tens, BYTES);
    hand_read(&t, 1, 0, first, BYTES, 0);
    WORDS(&t, TAPE_DISPATCH, 1, 1, (N + 63) / 64, 1, 1); // sums += 10 numbers
    hand_read(&t, 1, 0, second, BYTES, 1);
    PLAY(p, t);
    WAIT(p, 1, NULL);
    WAIT(p, 0, NULL);
    CHECK(holds(first, 1) && holds(second, 11));
    finish(&p, &t);
}

/* More than is written ahead of the GPU; a pass that is recorded stays as it was. */
static void large_writes(void)
{
    enum { WORDS_EACH = 4 << 20, BUFFERS = 5 }; // 16 MiB each
    gpu_player p;
    OPEN(p, NULL);
    prepare(&p, &t);
    uint32_t *numbers = malloc(WORDS_EACH * 4), got[BUFFERS][2];
    ingle_error e = {0};
    WORDS(&t, TAPE_DISPATCH, 1, 1, (N + 63) / 64, 1, 1);
    for (uint32_t i = 0; i < BUFFERS; i++) {
        hand_buffer(&t, 2 + i, WORDS_EACH * 4, "large");
        for (uint32_t k = 0; k < WORDS_EACH; k++)
            numbers[k] = i * WORDS_EACH + k;
        hand_write(&t, 2 + i, 0, numbers, WORDS_EACH * 4);
        CHECK_MSG(play(&p, &t, &e) == INGLE_OK, "%s", e.text); // numbers are another's from here on
    }
    float sums[N];
    for (uint32_t i = 0; i < BUFFERS; i++) {
        hand_read(&t, 2 + i, 0, &got[i][0], 4, 2 * i);
        hand_read(&t, 2 + i, WORDS_EACH * 4 - 4, &got[i][1], 4, 2 * i + 1);
    }
    hand_read(&t, 1, 0, sums, BYTES, 2 * BUFFERS);
    PLAY(p, t);
    for (uint32_t ticket = 0; ticket <= 2 * BUFFERS; ticket++)
        WAIT(p, ticket, NULL);
    for (uint32_t i = 0; i < BUFFERS; i++)
        CHECK(got[i][0] == i * WORDS_EACH && got[i][1] == (i + 1) * WORDS_EACH - 1);
    CHECK(holds(sums, 1));
    free(numbers);
    finish(&p, &t);
}

/* More read-backs under way than any ring holds, answered last first. */
static void many_reads(void)
{
    gpu_player p;
    OPEN(p, NULL);
    prepare(&p, &t);
    enum { READS = 40 };
    static float got[READS][N];
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < READS; i++) {
            WORDS(&t, TAPE_DISPATCH, 1, 1, (N + 63) / 64, 1, 1);
            hand_read(&t, 1, 0, got[i], BYTES, i);
        }
        PLAY(p, t);
        for (uint32_t i = READS; i--;)
            WAIT(p, i, NULL);
        for (uint32_t i = 0; i < READS; i++)
            CHECK(holds(got[i], (float)(round * READS + i + 1)));
    }
    finish(&p, &t);
}

/* A freed number is another buffer later; its groups are gone, and sections with them do not run, even when their
 * numbers are those of other groups. */
static void numbers_used_again(void)
{
    gpu_player p;
    OPEN(p, NULL);
    prepare(&p, &t);
    float got[N];
    ingle_error e;
    const uint32_t grid = (N + 63) / 64;
    WORDS(&t, TAPE_SECTION, 0, 1, 1, 1, grid, 1, 1);
    WORDS(&t, TAPE_RUN, 0, 1);
    WORDS(&t, TAPE_FREE, 0); // what is recorded with it still happens
    hand_read(&t, 1, 0, got, BYTES, 0);
    PLAY(p, t);
    WAIT(p, 0, NULL);
    CHECK(holds(got, 1));
    WORDS(&t, TAPE_RUN, 0, 1);
    CHECK(play(&p, &t, &e) == INGLE_ERR_INTERNAL);
    WORDS(&t, TAPE_FREE, 0);
    CHECK(play(&p, &t, &e) == INGLE_ERR_INTERNAL);
    hand_buffer(&t, 0, BYTES, "another");
    hand_write(&t, 0, 0, got, BYTES);
    hand_group(&t, 1, 1, 2, (uint32_t[]){0, 1}, BYTES);
    WORDS(&t, TAPE_SECTION, 1, 1, 1, 1, grid, 1, 1);
    WORDS(&t, TAPE_RUN, 1, 1);
    hand_read(&t, 1, 0, got, BYTES, 1);
    PLAY(p, t);
    WAIT(p, 1, NULL);
    CHECK(holds(got, 2));
    WORDS(&t, TAPE_RUN, 0, 1);
    CHECK(play(&p, &t, &e) == INGLE_ERR_INTERNAL);
    hand_group(&t, 1, 1, 2, (uint32_t[]){0, 1}, BYTES); // there already
    CHECK(play(&p, &t, &e) == INGLE_ERR_INTERNAL);
    finish(&p, &t);
}

static void stamps(void)
{
    gpu_player p;
    OPEN(p, NULL);
    prepare(&p, &t);
    enum { STAMPS = 150 }; // more than one query set
    uint64_t before = 0, when[STAMPS];
    for (uint32_t i = 0; i < STAMPS; i++) {
        WORDS(&t, TAPE_STAMP, i);
        WORDS(&t, TAPE_DISPATCH, 0, 0, (N + 63) / 64, 1, 1);
    }
    PLAY(p, t); // without SUBMIT
    for (uint32_t i = 0; i < STAMPS; i++) {
        WAIT(p, i, &when[i]);
        if (p.limits.timestamps)
            CHECK_MSG(when[i] >= before && when[i] > 0, "%llu then %llu", (unsigned long long)before,
                      (unsigned long long)when[i]);
        else
            CHECK(when[i] == 0);
        before = when[i];
    }
    CHECK(!p.limits.timestamps || when[STAMPS - 1] > when[0]);
    finish(&p, &t);
}

/* ---- what does not ------------------------------------------------------------------------------ */

static void wrong_code(void)
{
    gpu_player p;
    OPEN(p, NULL);
    prepare(&p, &t);
    ingle_error e = {0};
    float got[N];
    hand_pipeline(&t, 2, "@compute @workgroup_size(1) fn main() { let x = missing_name; }\n", 0, 0, "misspelt");
    hand_pipeline(&t, 3, doubling, 1, 0, "read_only"); // the layout does not let it write
    hand_pipeline(&t, 4, doubling, 1, 1, "double_again");
    hand_group(&t, 2, 4, 1, (uint32_t[]){0}, BYTES);
    WORDS(&t, TAPE_READY, 0);
    PLAY(p, t);
    CHECK(p.wait(p.user, 0, NULL, &e) == INGLE_ERR_DEVICE);
    CHECK_MSG(strstr(e.text, "misspelt") && strstr(e.text, "missing_name"), "%s", e.text);
    WORDS(&t, TAPE_DISPATCH, 2, 2, 1, 1, 1);
    CHECK_MSG(play(&p, &t, &e) == INGLE_ERR_DEVICE && strstr(e.text, "misspelt"), "%s", e.text);
    WORDS(&t, TAPE_DISPATCH, 3, 2, 1, 1, 1);
    CHECK_MSG(play(&p, &t, &e) == INGLE_ERR_DEVICE && strstr(e.text, "read_only"), "%s", e.text);
    WORDS(&t, TAPE_DISPATCH, 4, 2, (N + 63) / 64, 1, 1); // the good one works
    WORDS(&t, TAPE_READY, 0);                            // and what failed is told once
    hand_read(&t, 0, 0, got, BYTES, 1);
    PLAY(p, t);
    WAIT(p, 0, NULL);
    WAIT(p, 1, NULL);
    CHECK(holds(got, 2));
    finish(&p, &t);
}

static void refused_calls(void)
{
    gpu_player p;
    OPEN(p, NULL);
    prepare(&p, &t);
    ingle_error e = {0};
    float got[N];
    hand_copy(&t, 0, 0, 1, 0, BYTES + 4); // beyond the end
    WORDS(&t, TAPE_SUBMIT);
    CHECK(play_and_hear(&p, &t, &e) == INGLE_ERR_DEVICE);
    CHECK_MSG(e.text[0] != 0, "%s", e.text);
    hand_group(&t, 2, 0, 1, (uint32_t[]){0}, BYTES + 256); // a binding beyond the end
    CHECK(play_and_hear(&p, &t, &e) == INGLE_ERR_DEVICE);
    CHECK_MSG(strstr(e.text, "double"), "%s", e.text);
    WORDS(&t, TAPE_DISPATCH, 0, 0, 65536, 1, 1);
    WORDS(&t, TAPE_SUBMIT);
    CHECK(play_and_hear(&p, &t, &e) == INGLE_ERR_DEVICE);
    hand_write(&t, 0, 0, got, 6); // no multiple of 4
    const ingle_status status = play(&p, &t, &e);
    CHECK(status == INGLE_ERR_DEVICE || status == INGLE_ERR_INTERNAL); // as it is Dawn or JavaScript that refuses
    hand_read(&t, 0, 0, got, BYTES, 0); // and it goes on
    PLAY(p, t);
    WAIT(p, 0, NULL);
    CHECK(holds(got, 1));
    finish(&p, &t);
}

static void too_large(void)
{
    gpu_player p;
    OPEN(p, NULL);
    ingle_error e = {0};
    hand_buffer(&t, 0, p.limits.max_buffer + 4, "heavy");
    const ingle_status status = play(&p, &t, &e);
    CHECK(status == INGLE_ERR_MEMORY);
    CHECK_MSG(strstr(e.text, "heavy"), "%s", e.text);
    hand_buffer(&t, 0, 256, "light"); // its number is free
    PLAY(p, t);
    finish(&p, &t);
}

static void wrong_tapes(void)
{
    static const uint32_t tapes[][8] = {
        {TAPE_END},
        {TAPE_COMMAND_COUNT},
        {TAPE_FREE, 7},
        {TAPE_DISPATCH, 9, 0, 1, 1, 1},
        {TAPE_DISPATCH, 0, 9, 1, 1, 1},
        {TAPE_RUN, 5, 1},
        {TAPE_WRITE, 8, 0, 0, 0, 0, 4},
        {TAPE_READ, 8, 0, 0, 0, 0, 4, 3},
        {TAPE_BUFFER, 1, 256, 0, 0, 0, 0},
        {TAPE_BUFFER, 3, 256, 0, 0, 0, 0},
        {TAPE_PIPELINE, 0},
        {TAPE_GROUP, 2, 7, 0},
        {TAPE_GROUP, 3, 0, 0},
        {TAPE_SECTION, 2, 0},
    };
    static const size_t lengths[] = {1, 1, 2, 6, 6, 3, 7, 8, 7, 7, 10, 4, 4, 3};
    gpu_player p;
    OPEN(p, NULL);
    prepare(&p, &t);
    ingle_error e = {0};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        uint32_t copy[16] = {0};
        memcpy(copy, tapes[i], sizeof tapes[i]);
        e = (ingle_error){0};
        CHECK_MSG(p.play(p.user, copy, lengths[i], &e) == INGLE_ERR_INTERNAL, "tape %zu: %s", i, e.text);
        CHECK_MSG(p.play(p.user, copy, lengths[i] - (lengths[i] > 1), &e) == INGLE_ERR_INTERNAL, "tape %zu cut", i);
    }
    CHECK(p.wait(p.user, 77, NULL, &e) == INGLE_ERR_INTERNAL);
    finish(&p, &t);
}

/* ---- devices that go away, memory that is not there --------------------------------------------- */

static void lost_device(void)
{
    gpu_player p;
    OPEN(p, NULL);
    prepare(&p, &t);
    ingle_error e = {0};
    float got[N];
    WORDS(&t, TAPE_DISPATCH, 0, 0, (N + 63) / 64, 1, 1);
    hand_read(&t, 0, 0, got, BYTES, 0);
    WORDS(&t, TAPE_STAMP, 1);
    PLAY(p, t);
    gpu_native_lose(&p);
    for (uint32_t ticket = 0; ticket < 3; ticket++) {
        e = (ingle_error){0};
        CHECK_MSG(p.wait(p.user, ticket, NULL, &e) == INGLE_ERR_DEVICE_LOST, "%u: %s", ticket, e.text);
    }
    for (int i = 0; i < 2; i++) {
        hand_buffer(&t, 2, BYTES, "late");
        CHECK_MSG(play(&p, &t, &e) == INGLE_ERR_DEVICE_LOST, "%s", e.text);
    }
    finish(&p, &t);
    CHECK(open_player(&p, NULL, __func__)); // another one works
    prepare(&p, &t);
    finish(&p, &t);
}

#ifndef __wasm__
/* Opens a device, has it compute, and closes it; all with the allocator given. */
static ingle_status everything(void *user, const ingle_allocator *a)
{
    float *got = user;
    gpu_player p;
    ingle_error e = {0};
    const gpu_native_options o = {.library = test_find_dawn()};
    ingle_status status = gpu_native_open(&p, &o, a, &e);
    if (status != INGLE_OK)
        return status;
    tape t = {0};
    hand_buffer(&t, 0, BYTES, "numbers");
    hand_pipeline(&t, 0, doubling, 1, 1, "double");
    hand_pipeline(&t, 1, "what is this?", 1, 1, "nonsense");
    hand_group(&t, 0, 0, 1, (uint32_t[]){0}, BYTES);
    WORDS(&t, TAPE_SECTION, 0, 1, 0, 0, 1, 1, 1);
    WORDS(&t, TAPE_READY, 0);
    status = play(&p, &t, &e);
    if (status == INGLE_OK) {
        status = p.wait(p.user, 0, NULL, &e);
        CHECK_MSG(status == INGLE_ERR_DEVICE || status == INGLE_ERR_MEMORY, "%s", e.text);
        WORDS(&t, TAPE_RUN, 0, 1, TAPE_STAMP, 2);
        hand_read(&t, 0, 0, got, BYTES, 1);
        status = play(&p, &t, &e);
    }
    if (status == INGLE_OK)
        status = p.wait(p.user, 1, NULL, &e);
    p.close(p.user);
    tape_free(&t);
    return status;
}

static void every_allocation(void)
{
    gpu_player p;
    OPEN(p, NULL);
    finish(&p, &t);
    float got[N];
    const long sites = test_every_allocation(everything, got);
    CHECK_MSG(sites >= 8, "%ld", sites);
}

/* Fills a GPU's own memory; one that is played by the processor would fill the machine's. */
static void memory_runs_out(void)
{
    enum { MOST = 2000 };
    gpu_player p;
    OPEN(p, NULL);
    if (strstr(p.limits.name, "llvmpipe") || strstr(p.limits.name, "SwiftShader")) {
        SKIP("no GPU with memory of its own");
        finish(&p, &t);
        return;
    }
    static char zeros[64];
    ingle_error e = {0};
    ingle_status status = INGLE_OK;
    uint32_t n = 0;
    for (; status == INGLE_OK && n < MOST; n++) {
        hand_buffer(&t, n, p.limits.max_binding, "fills");
        hand_write(&t, n, 0, zeros, sizeof zeros);
        WORDS(&t, TAPE_SUBMIT);
        status = play(&p, &t, &e);
    }
    printf("# %u buffers of %llu MiB, then: %s\n", n, (unsigned long long)p.limits.max_binding >> 20, e.text);
    CHECK_MSG(status == INGLE_ERR_MEMORY && n > 1 && strstr(e.text, "fills"), "%s", e.text);
    for (uint32_t i = 0; i + 1 < n; i++)
        WORDS(&t, TAPE_FREE, i);
    PLAY(p, t);
    hand_buffer(&t, 0, p.limits.max_binding, "fits again");
    PLAY(p, t);
    finish(&p, &t);
}

static void listed(void)
{
    gpu_player p;
    OPEN(p, NULL);
    ingle_text list = {0};
    ingle_error e = {0};
    CHECK_MSG(gpu_native_list(&list, test_find_dawn(), &e) == INGLE_OK, "%s", e.text);
    CHECK_MSG(list.n && strstr(list.bytes, p.limits.name), "%s", list.bytes);
    printf("# %s", list.bytes ? list.bytes : "\n");
    ingle_text_free(&list);
    CHECK(gpu_native_list(&list, "/no/such/library.so", &e) == INGLE_ERR_DEVICE && list.n == 0);
    finish(&p, &t);
}
#endif

/* ---- speed -------------------------------------------------------------------------------------- */

/* Nothing is allocated while a section runs, and ten thousand dispatches take no longer than they
 * should even on a processor that plays GPU. */
static void ten_thousand_dispatches(void)
{
    enum { EACH = 100, TIMES = 100 };
    gpu_player p;
    OPEN(p, NULL);
    prepare(&p, &t);
    float got[N];
    static float zeros[N];
    hand_write(&t, 0, 0, zeros, BYTES);
    WORDS(&t, TAPE_SECTION, 0, EACH);
    for (uint32_t i = 0; i < EACH; i++)
        WORDS(&t, i % 2, i % 2, 1, 1, 1);
    WORDS(&t, TAPE_RUN, 0, 1);
    hand_read(&t, 0, 0, got, BYTES, 0);
    PLAY(p, t);
    WAIT(p, 0, NULL);
    WORDS(&t, TAPE_RUN, 0, TIMES);
    const double start = host_now_ms();
    PLAY(p, t);
    const double recorded = host_now_ms();
    hand_read(&t, 0, 0, got, BYTES, 1);
    PLAY(p, t);
    const double submitted = host_now_ms();
    WAIT(p, 1, NULL);
    printf("# %d dispatches: %.3f us each to record, %.3f to submit, %.3f until read back\n", EACH * TIMES,
           (recorded - start) / 10, (submitted - recorded) / 10, (host_now_ms() - submitted) / 10);
    CHECK(recorded - start < 5000);
    CHECK(holds(got, 0));
    finish(&p, &t);
}

#ifdef __wasm__
#define NATIVE_TESTS // of libraries, allocators, a GPU's own memory
#else
#define NATIVE_TESTS T(unknown_adapter) T(every_allocation) T(memory_runs_out) T(listed)
#endif

TESTS(T(limits) T(options_forbid) T(doubles) T(sections) T(write_order) T(large_writes) T(many_reads)
      T(numbers_used_again) T(stamps) T(wrong_code) T(refused_calls) T(too_large) T(wrong_tapes) T(lost_device)
      NATIVE_TESTS T(ten_thousand_dispatches))
