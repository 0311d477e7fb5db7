/* What SmolLM2's shape costs on a GPU: the tape of a token and of a burst, over the null player, in the modes of
 * a usual device. tests/golden/smollm2.tape.txt is the printer's text, for a person to read; a change of it
 * is a change of how models run, and is wanted or a mistake. Anew, once it has been read:
 *
 *     build/native/tests/test_tape_golden write
 */
#include "base/error.h"
#include "gpu/gpu_impl.h"
#include "gpu/tape_print.h"
#include "gpu/tape_read.h"
#include "harness.h"
#include "session/session.h"
#include "support.h"
#include "tiny_model.h"

static const char golden[] = "tests/golden/smollm2.tape.txt";

enum { N_LAYERS = 30, N_CTX = 4096, BURST = 8, PER_LAYER = 5, MOST_SECTIONS = 64 };

/* SmolLM2-135M-Instruct.Q4_1.gguf. */
static const tiny_shape smollm2 = {
    "llama", N_LAYERS, 9, 3, 576, 64, 1536, 49152, 8192, .format = QUANT_Q4_1, .n_formats = 1, .tied = true,
    .formats = (const tiny_format[]){{"token_embd", QUANT_Q8_0}}, .freq_base = 100000, .no_data = true};

/* ---- a player that prints ----------------------------------------------------------------------- */

/* The null player, and the text of what it is given: of all sections, and of commands while `keeps`. */
typedef struct {
    gpu_player null;
    tape_printer *printer;
    ingle_text sections[MOST_SECTIONS], kept;
    bool keeps;
} teller;

static ingle_status tell(teller *t, const uint32_t *w, size_t n, ingle_error *err)
{
    ingle_text line = {0};
    const ingle_status status = tape_print(t->printer, &line, w, n, err);
    CHECK(status == INGLE_OK && line.n > 0);
    if (w[0] == TAPE_SECTION && w[1] < MOST_SECTIONS) {
        ingle_text_free(&t->sections[w[1]]);
        t->sections[w[1]] = line;
        return status;
    }
    if (t->keeps)
        CHECK(text_add(&t->kept, line.bytes, line.n));
    if (t->keeps && w[0] == TAPE_RUN && w[1] < MOST_SECTIONS)
        CHECK(text_add(&t->kept, t->sections[w[1]].bytes, t->sections[w[1]].n));
    ingle_text_free(&line);
    return status;
}

static ingle_status teller_play(void *user, const uint32_t *words, size_t n, ingle_error *err)
{
    teller *t = user;
    ingle_status status = t->null.play(t->null.user, words, n, err);
    for (size_t at = 0, size; status == INGLE_OK && at < n; at += size) {
        size = tape_command_words(words + at, n - at);
        status = tell(t, words + at, size, err);
    }
    return status;
}

static ingle_status teller_wait(void *user, uint32_t ticket, uint64_t *answer, ingle_error *err)
{
    teller *t = user;
    return t->null.wait(t->null.user, ticket, answer, err);
}

static void teller_close(void *user)
{
    teller *t = user;
    t->null.close(t->null.user);
    tape_printer_close(t->printer);
    for (size_t i = 0; i < MOST_SECTIONS; i++)
        ingle_text_free(&t->sections[i]);
    ingle_text_free(&t->kept);
}

static void teller_open(teller *t, gpu_player *out, bool f16)
{
    const gpu_limits usual = {.name = "usual", .max_buffer = 256u << 20, .max_binding = 128u << 20,
                              .max_workgroup_memory = 32768, .max_workgroup_threads = 256, .max_groups = 65535,
                              .max_bindings = 10, .subgroup_min = 32, .subgroup_max = 32, .f16 = f16, .packed_dot = 1};
    ingle_error e = {0};
    *t = (teller){.printer = tape_printer_open(NULL)};
    CHECK_MSG(gpu_null_open(&t->null, &usual, NULL, &e) == INGLE_OK, "%s", e.text);
    *out = (gpu_player){.user = t, .limits = t->null.limits, .play = teller_play, .wait = teller_wait,
                         .close = teller_close, .blind = true};
}

/* ---- the text ----------------------------------------------------------------------------------- */

/* Numbers of objects say only in what order these were made: without them. */
static void add_unnumbered(ingle_text *out, const char *p)
{
    static const char *const objects[] = {" section ", " pipeline ", " group ", " buffer ", " from ", " to ", " ticket "};
    while (*p) {
        size_t skip = 0;
        for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
            if (strncmp(p, objects[i], strlen(objects[i])) == 0)
                skip = strlen(objects[i]);
        const size_t digits = skip ? strspn(p + skip, "0123456789") : 0;
        CHECK(text_add(out, p, digits ? skip - 1 : 1));
        p += digits ? skip + digits : 1;
    }
}

/* Whether line b is line a of the layer after it. */
static bool next_layer(const char *a, const char *b)
{
    for (; *a && *a == *b; a++, b++) {
        if (*a == '\n')
            return true;
        char *end_a, *end_b;
        if (strncmp(a, "blk.", 4) != 0 || strncmp(b, "blk.", 4) != 0)
            continue;
        if (strtoul(a + 4, &end_a, 10) + 1 != strtoul(b + 4, &end_b, 10))
            return false;
        a = end_a;
        b = end_b;
    }
    return false;
}

static const char *line_after(const char *p, size_t n)
{
    for (; n > 0 && *p; n--) {
        p += strcspn(p, "\n");
        p += *p == '\n';
    }
    return p;
}

/* Layers that are like the first are told by their number alone. */
static void add_layers_once(ingle_text *out, const char *p)
{
    while (*p) {
        const char *const layer = p, *next = line_after(p, PER_LAYER);
        size_t more = 0, alike = 0;
        while (alike < PER_LAYER && next_layer(line_after(p, alike), line_after(next, alike)))
            if (++alike == PER_LAYER) {
                more++;
                alike = 0;
                p = next;
                next = line_after(p, PER_LAYER);
            }
        const char *const end = line_after(layer, more ? PER_LAYER : 1);
        CHECK(text_add(out, layer, (size_t)(end - layer)));
        char note[80];
        snprintf(note, sizeof note, "         and the same for %zu layers more\n", more);
        CHECK(more == 0 || text_add_str(out, str_of(note)));
        p = more ? line_after(p, PER_LAYER) : end;
    }
}

static void add_kept(ingle_text *out, teller *t, const char *what, uint32_t context)
{
    char title[80];
    ingle_text plain = {0};
    snprintf(title, sizeof title, "%s%s at a context of %u\n", out->n ? "\n" : "", what, context);
    CHECK(text_add_str(out, str_of(title)) && text_add_byte(&t->kept, 0));
    add_unnumbered(&plain, t->kept.bytes);
    CHECK(text_add_byte(&plain, 0));
    add_layers_once(out, plain.bytes);
    ingle_text_free(&plain);
    ingle_text_free(&t->kept);
}

/* A token, what follows it in an answer's first burst, and the next burst, which ends at `context`. */
static void run_at(ingle_text *out, teller *t, gpu *g, uint32_t context)
{
    static int32_t ids[N_CTX];
    const gpu_null_counts *c = gpu_null_get_counts(&t->null);
    const size_t first = context - 2 * BURST;
    ingle_sampling sampling;
    ingle_error e = {0};
    ingle_sampling_init(&sampling);

    gpu_null_counts before = *c;
    t->keeps = true;
    CHECK_MSG(gpu_run(g, ids, 1, first, &e) == INGLE_OK, "%s", e.text);
    t->keeps = false;
    add_kept(out, t, "a token", context);
    CHECK_MSG(c->dispatches == before.dispatches + 1 + PER_LAYER * N_LAYERS, "%llu dispatches",
              (unsigned long long)(c->dispatches - before.dispatches)); // embedding and layers
    CHECK(c->passes == before.passes + 1 && c->submits == before.submits + 1);

    CHECK_MSG(gpu_sample_begin(g, &sampling, ids, first + 1, 0, &e) == INGLE_OK, "%s", e.text);
    before = *c;
    CHECK_MSG(gpu_queue(g, BURST, &e) == INGLE_OK, "%s", e.text);
    const uint64_t choice = 3, step = 1 + PER_LAYER * N_LAYERS + choice; // head, scan, pick
    CHECK_MSG(c->dispatches == before.dispatches + choice + (BURST - 1) * step, "%llu dispatches",
              (unsigned long long)(c->dispatches - before.dispatches));
    CHECK(c->passes == before.passes + 1);

    before = *c;
    t->keeps = true;
    CHECK_MSG(gpu_queue(g, BURST, &e) == INGLE_OK, "%s", e.text);
    t->keeps = false;
    add_kept(out, t, "a burst", context);
    CHECK_MSG(c->dispatches == before.dispatches + BURST * step, "%llu dispatches",
              (unsigned long long)(c->dispatches - before.dispatches));
    CHECK(c->passes == before.passes + 1 && c->submits == before.submits + 1 && c->written == before.written);
    CHECK(c->groups == before.groups && c->pipelines == before.pipelines && c->buffers == before.buffers);
}

/* A model whose weights, all zeros, go by in small pieces. */
static ingle_model *load(const gpu_player *player)
{
    enum { PIECE = 1 << 20 };
    const ingle_session_options opt = {.n_ctx = N_CTX};
    size_t n;
    char *header = tiny_model_file(&smollm2, &n), *zeros = calloc(1, PIECE);
    ingle_loader *l;
    ingle_model *m = NULL;
    ingle_error e = {0};
    CHECK(ingle_loader_open(&l, NULL, &e) == INGLE_OK);
    CHECK_MSG(session_load_on(l, player, NULL, &opt, &e) == INGLE_OK, "%s", e.text);
    CHECK_MSG(ingle_loader_feed(l, header, n, &e) == INGLE_OK, "%s", e.text);
    const uint64_t total = ingle_loader_total(l);
    CHECK_MSG(total > 90 << 20, "%llu bytes", (unsigned long long)total);
    for (uint64_t at = n; at < total && e.status == INGLE_OK; at += PIECE)
        ingle_loader_feed(l, zeros, total - at < PIECE ? (size_t)(total - at) : PIECE, &e);
    CHECK_MSG(ingle_loader_take(l, &m, &e) == INGLE_OK, "%s", e.text);
    ingle_loader_close(l);
    free(header);
    free(zeros);
    return m;
}

static void tell_all(ingle_text *out, bool f16)
{
    const ingle_session_options opt = {.n_ctx = N_CTX};
    teller t;
    gpu_player player;
    ingle_error e = {0};
    ingle_session *s = NULL;
    teller_open(&t, &player, f16);
    ingle_model *m = load(&player);
    CHECK_MSG(m && ingle_session_open(&s, m, &opt, &e) == INGLE_OK, "%s", e.text);
    if (s) {
        CHECK(strncmp(ingle_session_backend(s), "gpu/int8+subgroups", 18) == 0);
        run_at(out, &t, s->gpu, 128);
        run_at(out, &t, s->gpu, N_CTX);
    }
    ingle_session_close(s);
    ingle_model_close(m);
}

/* ---- tests -------------------------------------------------------------------------------------- */

static void as_recorded(void)
{
    ingle_text out = {0};
    size_t n = 0;
    tell_all(&out, false);
    CHECK(text_add_byte(&out, 0));
    char *want = test_read_file(golden, &n);
    CHECK_MSG(want, "%s", golden);
    const char *got = out.bytes;
    for (size_t line = 1; want && got && strcmp(got, want) != 0; line++) { // the first line that differs says most
        const size_t a = strcspn(got, "\n"), b = strcspn(want, "\n");
        if (a == b && strncmp(got, want, a) == 0 && got[a] && want[b]) {
            memmove(want, want + b + 1, strlen(want + b + 1) + 1);
            got += a + 1;
            continue;
        }
        CHECK_MSG(false, "line %zu is\n%.*s, not\n%.*s", line, (int)a, got, (int)b, want);
        break;
    }
    free(want);
    ingle_text_free(&out);
}

/* f16 is never asked for: the tape of a device that has it is the same. */
static void without_f16(void)
{
    ingle_text with = {0}, without = {0};
    tell_all(&with, true);
    tell_all(&without, false);
    CHECK(with.n == without.n && with.n > 0 && memcmp(with.bytes, without.bytes, with.n) == 0);
    ingle_text_free(&with);
    ingle_text_free(&without);
}

static int write_golden(void)
{
    ingle_text out = {0};
    tell_all(&out, false);
    FILE *f = fopen(golden, "w");
    const bool ok = f && test_bad == 0 && fwrite(out.bytes, 1, out.n, f) == out.n;
    if (f)
        fclose(f);
    ingle_text_free(&out);
    printf("%s: %s\n", golden, ok ? "written; read it" : "NOT written");
    return !ok;
}
int run_tests(int argc, char **argv);

#define main run_tests
TESTS(T(as_recorded) T(without_f16))
#undef main

int main(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "write") == 0 ? write_golden() : run_tests(argc, argv);
}
