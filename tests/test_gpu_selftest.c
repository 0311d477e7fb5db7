/* The self-test of GPU kernels: it passes on what is right, in every format; kernels that are made wrong on
 * their way to the device are found, and the modes that need them given up. */
#include "harness.h"

#include "gpu/gpu.h"
#include "gpu/tape_read.h"
#include "gpu_support.h"
#include "model/model.h"
#include "tiny_model.h"

/* A text of kernels, and what it becomes. */
typedef struct {
    const char *find, *put;
    const char *only; // in kernels that hold this; NULL = in all
    int found;
} plant;

enum { MOST_TEXTS = 512 };

/* A player that plants a fault. */
typedef struct {
    gpu_player inner;
    plant *plant;
    char *texts[MOST_TEXTS]; // altered kernels
    size_t n_texts;
} faulty;

/* The kernel at w, altered, as words of the same command; false if it stays as it is. */
static bool alter(faulty *f, const uint32_t *w, uint32_t *out)
{
    const char *code = tape_address(w + 2);
    const size_t n = w[4], n_find = strlen(f->plant->find), n_put = strlen(f->plant->put);
    char *whole = calloc(n + 1, 1), *text = calloc(n * (1 + n_put) + 1, 1);
    memcpy(whole, code, n);
    const char *at = whole;
    bool is_found = false;
    for (const char *hit; (!f->plant->only || strstr(whole, f->plant->only)) && (hit = strstr(at, f->plant->find)); at = hit + n_find) {
        strncat(text, at, (size_t)(hit - at));
        strcat(text, f->plant->put);
        is_found = true;
    }
    strcat(text, at);
    free(whole);
    if (!is_found || f->n_texts == MOST_TEXTS) {
        free(text);
        return false;
    }
    f->plant->found++;
    f->texts[f->n_texts++] = text;
    const uint64_t address = (uint64_t)(uintptr_t)text;
    memcpy(out, w, 10 * sizeof *out);
    out[2] = (uint32_t)address;
    out[3] = (uint32_t)(address >> 32);
    out[4] = (uint32_t)strlen(text);
    return true;
}

static ingle_status play(void *user, const uint32_t *words, size_t n, ingle_error *err)
{
    faulty *f = user;
    ingle_status status = INGLE_OK;
    for (size_t at = 0, size; status == INGLE_OK && at < n; at += size) {
        uint32_t altered[10];
        size = tape_command_words(words + at, n - at);
        const bool other = words[at] == TAPE_PIPELINE && f->plant && alter(f, words + at, altered);
        status = f->inner.play(f->inner.user, other ? altered : words + at, size, err);
    }
    return status;
}

static ingle_status wait_for(void *user, uint32_t ticket, uint64_t *answer, ingle_error *err)
{
    const faulty *f = user;
    return f->inner.wait(f->inner.user, ticket, answer, err);
}

static void close_it(void *user)
{
    faulty *f = user;
    f->inner.close(f->inner.user);
    for (size_t i = 0; i < f->n_texts; i++)
        free(f->texts[i]);
    f->n_texts = 0;
}

/* What an adapter says it can do. A self-test for each mode that is given up takes software adapters seconds. */
typedef enum { ALL_IT_CAN, NO_SUBGROUPS, NO_MODES, CLAIMS_MATRICES } ability;

static bool has_matrices; // the device that was opened last

/* Opens the shape's model with the plant and says how that ended; name and notes are the backend's. */
static ingle_status open_with(const tiny_shape *shape, plant *p, ability can, gpu_modes *modes, char name[192],
                              char notes[512], ingle_error *e)
{
    static faulty f;
    f = (faulty){.plant = p};
    *e = (ingle_error){0};
    *name = *notes = 0;
    if (!test_gpu_open(&f.inner, NULL, "self-test")) {
        test_skip = 1;
        return INGLE_ERR_UNSUPPORTED;
    }
    gpu_player player = {.user = &f, .limits = f.inner.limits, .play = play, .wait = wait_for, .close = close_it};
    has_matrices = player.limits.matrices;
    if (can == CLAIMS_MATRICES)
        player.limits.matrices = player.limits.f16 = 1;
    else if (can != ALL_IT_CAN)
        player.limits.subgroup_min = player.limits.subgroup_max = 0;
    if (can == NO_MODES)
        player.limits.packed_dot = 0;
    char *bytes;
    ingle_model *m = tiny_model_open(shape, &bytes);
    gpu *g = NULL;
    *modes = gpu_best_modes(&player.limits);
    const gpu_options opt = {.n_ctx = shape->n_ctx, .n_batch = 8, .k_format = QUANT_F16, .v_format = QUANT_F16,
                             .measure = GPU_MEASURE_NEVER}; // which could choose other modes
    const ingle_allocator plain = {0};
    gpu_shared *d;
    ingle_status status = gpu_shared_open(&d, &m->graph, &player, false, &plain, e);
    if (status == INGLE_OK)
        status = gpu_open(&g, d, &opt, &plain, e);
    if (status == INGLE_OK) {
        status = gpu_ready(g, e);
        snprintf(name, 192, "%s", gpu_name(g));
        snprintf(notes, 512, "%s", gpu_notes(g));
    }
    gpu_close(g);
    gpu_shared_close(d);
    ingle_model_close(m);
    free(bytes);
    return status;
}

static const tiny_shape small = {.n_layers = 1, .n_heads = 4, .n_kv_heads = 2, .d_model = 64, .d_ff = 96, .n_vocab = TINY_VOCAB,
                                 .n_ctx = 64, .format = QUANT_Q8_0, .seed = 3};

/* Contexts that attention splits. */
static const tiny_shape wide = {.n_layers = 1, .n_heads = 4, .n_kv_heads = 2, .d_model = 128, .d_ff = 96, .n_vocab = TINY_VOCAB,
                                .n_ctx = 4096, .format = QUANT_Q4_1, .seed = 5};

static void right(void)
{
    static const tiny_format formats[] = {
        {"attn_q", QUANT_Q6_K},    {"attn_k", QUANT_Q4_K},   {"attn_v", QUANT_IQ4_XS},  {"attn_output", QUANT_Q5_0},
        {"ffn_down", QUANT_MXFP4}, {"ffn", QUANT_IQ2_XS}, {"token_embd", QUANT_Q3_K}, {"output", QUANT_BF16},
    };
    const tiny_shape shapes[] = {
        small,
        wide,
        {.n_layers = 1, .n_heads = 4, .n_kv_heads = 2, .d_model = 256, .d_ff = 512, .n_vocab = TINY_VOCAB, .n_ctx = 64,
         .format = QUANT_TQ2_0, .formats = formats, .n_formats = sizeof formats / sizeof *formats, .qk_norm = true,
         .window = 4, .arch = "qwen3", .seed = 4},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        char name[192], notes[512];
        gpu_modes best;
        ingle_error e;
        const ingle_status status = open_with(&shapes[i], NULL, ALL_IT_CAN, &best, name, notes, &e);
        if (test_skip)
            return;
        CHECK_MSG(status == INGLE_OK, "%s", e.text);
        CHECK_TEXT(notes, "");
        CHECK_MSG((strstr(name, "+subgroups") != NULL) == (best.subgroup > 0), "%s", name);
        CHECK_MSG((strstr(name, "int8") != NULL) == best.dot_int8, "%s", name);
    }
}

/* What only a mode's kernels have is given up with the mode. Subgroups would go first, then int8. */
static void wrong_in_a_mode(void)
{
    static const struct {
        const char *what; // of the last note
        bool int8;        // the mode; else subgroups
    } wanted[] = {
        {"a token's product in Q8_0", false}, {"", false}, {"a token's product in Q8_0", true},
        {"a token's gate in Q8_0", true}, {"a token's product of int8 in Q8_0", true}, {"a token's attention", true},
    };
    plant plants[] = {
        {"subgroupShuffleXor(sums[0u], far)", "subgroupShuffleXor(sums[0u], 1u)", NULL, 0}, // sums
        {"enable subgroups;", "enable subgroups; const x = ;", NULL, 0},                  // does not compile
        {"127.0 / bitcast<f32>(most)", "63.0 / bitcast<f32>(most)", "x_lo[at >> 1u] = q", 0}, // single tokens'
        {"gated[4u * i + 3u]", "gated[4u * i + 2u]", NULL, 0},
        {"Scales(xd[b].x, xd[b].y)", "Scales(xd[b].x, xd[b].x)", NULL, 0},
        {"rounded4(pool[i]", "rounded4(pool[i ^ 1u]", NULL, 0},
    };
    for (size_t i = 0; i < sizeof plants / sizeof *plants; i++) {
        char name[192], notes[512];
        gpu_modes best;
        ingle_error e;
        const ability can = wanted[i].int8 ? NO_SUBGROUPS : ALL_IT_CAN;
        const ingle_status status = open_with(&small, &plants[i], can, &best, name, notes, &e);
        if (test_skip)
            return;
        if (wanted[i].int8 ? !best.dot_int8 : best.subgroup == 0) {
            SKIP("this device has not the mode");
            continue;
        }
        CHECK_MSG(plants[i].found > 0, "%s: not in any kernel", plants[i].find);
        CHECK_MSG(status == INGLE_OK, "%zu: %s", i, e.text);
        CHECK_MSG(!strstr(name, "+subgroups") && (strstr(name, "int8") != NULL) == (!wanted[i].int8 && best.dot_int8),
                  "%zu: %s", i, name);
        const char *last = strrchr(notes, '\n');
        const char *note = last ? last + 1 : notes, *given_up = wanted[i].int8 ? "int8 off: " : "subgroups off: ";
        CHECK_MSG(strncmp(note, given_up, strlen(given_up)) == 0 && strstr(note, wanted[i].what), "%zu: %s", i, notes);
    }
}

/* Kernels by matrices do not compile where there are none: they are given up, and nothing else. */
static void matrices_only_claimed(void)
{
    char name[192], notes[512];
    gpu_modes best;
    ingle_error e;
    const ingle_status status = open_with(&small, NULL, CLAIMS_MATRICES, &best, name, notes, &e);
    if (test_skip)
        return;
    if (has_matrices) {
        SKIP("this device has them");
        return;
    }
    CHECK_MSG(status == INGLE_OK, "%s", e.text);
    CHECK_MSG(strncmp(notes, "f16 off: ", 9) == 0 && !strchr(notes, '\n'), "%s", notes);
    CHECK_MSG(!strstr(name, "+f16") && (strstr(name, "+subgroups") != NULL) == (best.subgroup > 0), "%s", name);
}

/* What every mode has cannot be given up, whether there are others to try or not. */
static void wrong_everywhere(void)
{
    static const char *const names[] = {"embedding", "prompt's product", "prompt's attention", "token's attention",
                                        "norm", "sampling",
                                        "token's product of splits", "token's attention", "embed: "};
    static const tiny_shape *const shapes[] = {&small, &small, &small, &small, &small, &small, &wide, &wide, &small};
    plant plants[] = {
        {"values[i] * SCALE", "values[i] * 1.01", NULL, 0},
        {"put_all(sums, token_first", "put_all(sums, token_first + 1u", NULL, 0},
        {"scores[j] * SCALE", "scores[j] * 0.5", "var<workgroup> pool: array<vec4<f32>, 1024>", 0},
        {"position <= last)", "position < last)", NULL, 0},
        {"v * s * gain[word]", "v * s", NULL, 0},
        {"return ~select(x.y, x.x, by_id)", "return ~select(x.y, x.x, by_id) ^ 1u", NULL, 0},
        {"let n = splits_at(first_position()", "let n = 1u + 0u * splits_at(first_position()", "merged_x", 0},
        {"partials[at + quad] = sum", "partials[at + quad] = sum.yxzw", NULL, 0},
        {"values[i] * SCALE", "values[i] *", NULL, 0}, // does not compile; the same kernel in all modes
    };
    for (size_t i = 0; i < sizeof plants / sizeof *plants; i++) {
        char name[192], notes[512];
        gpu_modes best;
        ingle_error e;
        const ability can = i == 0 || i == 3 || i == 8 ? ALL_IT_CAN : NO_MODES;
        const ingle_status status = open_with(shapes[i], &plants[i], can, &best, name, notes, &e);
        if (test_skip)
            return;
        CHECK_MSG(plants[i].found > 0, "%s: not in any kernel", plants[i].find);
        CHECK_MSG(status == INGLE_ERR_DEVICE && strstr(e.text, names[i]), "%s: %d %s", names[i], (int)status, e.text);
    }
}

TESTS(T(right) T(wrong_in_a_mode) T(matrices_only_claimed) T(wrong_everywhere))
