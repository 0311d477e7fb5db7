/* Models: every way of opening one gives the same model; what is wrong with a file is said with the
 * key or tensor that it is wrong in; files that were cut or scrambled do no harm. */
#include "harness.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file/gguf.h"
#include "model/model.h"
#include "support.h"
#include "tiny_model.h"

/* Small: the tests here open it thousands of times. */
static const tiny_shape small = {"llama",
                                 2,
                                 4,
                                 2,
                                 32,
                                 0,
                                 32,
                                 TINY_VOCAB,
                                 48,
                                 .format = QUANT_Q8_0,
                                 .rope_divisors = true,
                                 .chat_template = TINY_CHATML,
                                 .seed = 31};
static const int32_t prompt[] = {1, 300, 17, 42, 5};

enum { N_PROMPT = sizeof prompt / sizeof *prompt };

/* ---- helpers ---------------------------------------------------------------------------------- */

/* Logits after the prompt, or all NaN. */
static void logits_of(const ingle_model *m, float out[TINY_VOCAB])
{
    ingle_session *s = NULL;
    ingle_error err;
    for (size_t i = 0; i < TINY_VOCAB; i++)
        out[i] = NAN;
    if (ingle_session_open(&s, m, &(ingle_session_options){.n_threads = 1}, &err) == INGLE_OK &&
        ingle_session_append(s, prompt, N_PROMPT, &err) == INGLE_OK)
        memcpy(out, ingle_session_logits(s), TINY_VOCAB * sizeof *out);
    else
        CHECK_MSG(false, "%s", err.text);
    ingle_session_close(s);
}

static bool same_logits(const ingle_model *a, const float *want)
{
    float got[TINY_VOCAB];
    logits_of(a, got);
    return memcmp(got, want, sizeof got) == 0;
}

static ingle_model *open_bytes(const char *file, size_t n)
{
    ingle_model *m = NULL;
    ingle_error err;
    CHECK_MSG(ingle_model_open_bytes(&m, file, n, NULL, &err) == INGLE_OK, "%s", err.text);
    return m;
}

/* A folder of this run; removed with what the tests wrote there. */
static char folder[512];

static const char *path_of(const char *name)
{
    static char path[640];
    if (!folder[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%s/ingle-test-XXXXXX", base && *base ? base : "/tmp");
        if (!mkdtemp(folder)) {
            printf("test_model: no folder for files\n");
            exit(1);
        }
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static const char *write_file(const char *name, const void *bytes, size_t n)
{
    const char *path = path_of(name);
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(bytes, 1, n, f) == n);
    if (f)
        fclose(f);
    return path;
}

/* Where the value of a key lies in the file, to be written over. */
static char *value_of(char *file, size_t n, const char *key)
{
    gguf g;
    uint64_t need;
    char *at = NULL;
    if (gguf_parse(&g, file, n, n, &need, &(ingle_allocator){0}, NULL) == INGLE_OK) {
        const gguf_value *v = gguf_find(&g, key);
        if (v)
            at = file + (v->bytes.p - file);
        gguf_free(&g);
    }
    CHECK_MSG(at != NULL, "%s", key);
    return at;
}

/* It opens, to be described, but no session does, and both say the same. */
static void check_refused(const char *file, size_t n, ingle_status status, const char *says,
                          const char *also)
{
    ingle_error err;
    ingle_session *s = NULL;
    ingle_memory memory;
    ingle_model *m = NULL;
    CHECK_MSG(ingle_model_open_bytes(&m, file, n, NULL, &err) == INGLE_OK, "%s: %s", says,
              err.text);
    if (!m)
        return;
    const ingle_model_info *info = ingle_model_get_info(m);
    CHECK_MSG(info->runnable == status, "%s: %s", says, info->why_not ? info->why_not : "runs");
    CHECK(ingle_session_open(&s, m, NULL, &err) == status && !s && err.status == status);
    CHECK_MSG(strstr(err.text, says) && (!also || strstr(err.text, also)), "%s, %s: \"%s\"", says,
              also ? also : "", err.text);
    CHECK(info->why_not && strcmp(info->why_not, err.text) == 0);
    CHECK(ingle_session_memory(m, NULL, &memory, &err) == status);
    CHECK(info->n_vocab == TINY_VOCAB || strstr(says, "token")); // what can be told is told
    ingle_model_close(m);
    ingle_session_close(s);
}

/* ---- what a model is --------------------------------------------------------------------------- */

static void info_is_what_the_file_says(void)
{
    char *file;
    ingle_model *m = tiny_model_open(&small, &file);
    const ingle_model_info *i = ingle_model_get_info(m);
    CHECK_TEXT(i->name, "tiny");
    CHECK_TEXT(i->architecture, "llama");
    CHECK_TEXT(i->licence, "cc0-1.0");
    CHECK_TEXT(i->file_type, "Q8_0");
    CHECK_TEXT(i->tokenizer, "spm");
    CHECK_TEXT(i->chat_template, TINY_CHATML);
    CHECK(i->n_layers == 2 && i->n_heads == 4 && i->n_kv_heads == 2 && i->d_model == 32);
    CHECK(i->d_head == 8 && i->d_ff == 32 && i->n_vocab == TINY_VOCAB && i->n_ctx_train == 48);
    CHECK(i->bos == TINY_BOS && i->eos == TINY_EOS && i->runnable == INGLE_OK && !i->why_not);
    // Embedding and head; a layer's q, o (32 x 32), k, v (32 x 16), three of 32 x 32, two norms.
    const uint64_t matrices = 2 * TINY_VOCAB * 32 + 2 * (2 * 1024 + 2 * 512 + 3 * 1024);
    CHECK(i->n_params == matrices + 2 * 64 + 32 + 4);
    CHECK(i->weight_bytes == matrices / 32 * 34 + 4 * (2 * 64 + 32 + 4));
    ingle_model_close(m);
    free(file);
    ingle_model_close(NULL);
}

static void metadata_is_listed(void)
{
    char *file;
    ingle_model *m = tiny_model_open(&small, &file);
    const size_t n = ingle_model_meta_count(m);
    const char *key = "", *value = "";
    size_t seen = 0;
    for (size_t i = 0; i < n; i++) {
        CHECK(ingle_model_meta(m, i, &key, &value) && key && value && strlen(value) < 400);
        if (strcmp(key, "llama.block_count") == 0)
            seen += strcmp(value, "2") == 0;
        if (strcmp(key, "general.architecture") == 0)
            seen += strcmp(value, "llama") == 0;
        if (strcmp(key, "tokenizer.ggml.tokens") == 0)
            seen += strstr(value, "<unk>") && strstr(value, "320") && strstr(value, "...");
    }
    CHECK(seen == 3 && n > 15);
    key = "before";
    CHECK(!ingle_model_meta(m, n, &key, &value) && strcmp(key, "before") == 0);
    CHECK(!ingle_model_meta(m, SIZE_MAX, &key, &value));
    ingle_model_close(m);
    free(file);
}

static void tensors_are_listed(void)
{
    char *file;
    ingle_model *m = tiny_model_open(&small, &file);
    ingle_tensor t;
    CHECK(ingle_model_tensor_count(m) == 4 + 2 * 9);
    CHECK(ingle_model_tensor(m, 0, &t));
    CHECK_TEXT(t.name, "token_embd.weight");
    CHECK_TEXT(t.format, "Q8_0");
    CHECK(t.n_dims == 2 && t.shape[0] == 32 && t.shape[1] == TINY_VOCAB && t.shape[2] == 1 &&
          t.shape[3] == 1);
    CHECK(t.n_values == 32 * TINY_VOCAB && t.bytes == 34 * TINY_VOCAB);
    CHECK(ingle_model_tensor(m, 1, &t));
    CHECK_TEXT(t.name, "blk.0.attn_norm.weight");
    CHECK_TEXT(t.format, "F32");
    CHECK(t.n_dims == 1 && t.shape[0] == 32 && t.shape[1] == 1 && t.bytes == 128);
    CHECK(!ingle_model_tensor(m, 22, &t) && !ingle_model_tensor(m, SIZE_MAX, &t));
    ingle_model_close(m);
    free(file);
}

static void tensors_are_read_by_range(void)
{
    char *file;
    ingle_model *m = tiny_model_open(&small, &file);
    enum { N = 32 * TINY_VOCAB };
    static float all[N], part[N + 32];
    ingle_error err;
    CHECK(ingle_model_tensor_read(m, "token_embd.weight", 0, N, all, &err) == INGLE_OK);
    for (size_t first = 0; first < N; first += 32 * 31)
        for (size_t n = 0; n <= N - first; n += 32 * 57) {
            memset(part, 0x7F, sizeof part);
            CHECK(ingle_model_tensor_read(m, "token_embd.weight", first, n, part, &err) ==
                  INGLE_OK);
            CHECK(memcmp(part, all + first, n * sizeof *part) == 0);
            CHECK(((const uint8_t *)(part + n))[0] == 0x7F);
        }
    CHECK(ingle_model_tensor_read(m, "token_embd.weight", N, 0, part, &err) == INGLE_OK);
    const struct {
        const char *name;
        uint64_t first, n;
    } wrong[] = {{"token_embd.weight", 0, N + 32},
                 {"token_embd.weight", N, 32},
                 {"token_embd.weight", N + 32, 0},
                 {"token_embd.weight", 16, 32},
                 {"token_embd.weight", 0, 31},
                 {"token_embd.weight", UINT64_MAX, 32},
                 {"token_embd.weight", 32, UINT64_MAX},
                 {"token_embd.weight", 64, UINT64_MAX - 31},
                 {"token_embd", 0, 32},
                 {"", 0, 0},
                 {NULL, 0, 32}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK_MSG(ingle_model_tensor_read(m, wrong[i].name, wrong[i].first, wrong[i].n, part,
                                          &err) == INGLE_ERR_USAGE,
                  "%zu", i);
        CHECK(strstr(err.text, wrong[i].name ? wrong[i].name : "NULL"));
    }
    ingle_model_close(m);
    free(file);
}

/* ---- ways of opening --------------------------------------------------------------------------- */

static void a_path_gives_the_same_model(void)
{
    size_t n;
    char *file = tiny_model_file(&small, &n);
    float want[TINY_VOCAB];
    ingle_model *m = open_bytes(file, n);
    logits_of(m, want);
    ingle_model_close(m);
    ingle_error err;
    m = NULL;
    CHECK_MSG(ingle_model_open(&m, write_file("a.gguf", file, n), NULL, &err) == INGLE_OK, "%s",
              err.text);
    CHECK(m && same_logits(m, want));
    ingle_model_close(m);
    unlink(path_of("a.gguf"));
    free(file);
}

static ingle_status stream_in(ingle_loader *l, const char *file, size_t n, size_t chunk,
                              ingle_error *err)
{
    for (size_t at = 0; at < n; at += chunk) {
        // Each chunk lies alone, so that reading past it is noticed by a sanitizer.
        const size_t now = chunk < n - at ? chunk : n - at;
        char *copy = malloc(now);
        memcpy(copy, file + at, now);
        const ingle_status status = ingle_loader_feed(l, copy, now, err);
        free(copy);
        if (status != INGLE_OK)
            return status;
    }
    return INGLE_OK;
}

static void every_chunk_size_gives_the_same_model(void)
{
    size_t n;
    char *file = tiny_model_file(&small, &n);
    float want[TINY_VOCAB];
    ingle_model *m = open_bytes(file, n);
    logits_of(m, want);
    ingle_model_close(m);
    for (size_t chunk = 1; chunk < n + 400; chunk += chunk < 40 ? 1 : chunk < n - 20 ? 397 : 7) {
        ingle_loader *l;
        ingle_error err;
        CHECK(ingle_loader_open(&l, NULL, &err) == INGLE_OK && ingle_loader_total(l) == 0);
        CHECK_MSG(stream_in(l, file, n, chunk, &err) == INGLE_OK, "chunk %zu: %s", chunk, err.text);
        CHECK(ingle_loader_total(l) <= n && ingle_loader_total(l) + 32 > n);
        CHECK(ingle_loader_feed(l, NULL, 0, &err) == INGLE_OK);
        CHECK(ingle_loader_take(l, &m, &err) == INGLE_OK);
        CHECK_MSG(m && same_logits(m, want), "chunk %zu", chunk);
        for (size_t i = 0; i < ingle_model_tensor_count(m); i++) // where vector loads like it best
            CHECK((uintptr_t)m->data[i] % 64 == 0);
        // The loader is spent.
        ingle_model *again = m;
        CHECK(ingle_loader_feed(l, file, 1, &err) == INGLE_ERR_USAGE);
        CHECK(ingle_loader_take(l, &again, &err) == INGLE_ERR_USAGE && !again);
        if (chunk % 2)
            ingle_loader_close(l); // in either order
        ingle_model_close(m);
        if (chunk % 2 == 0)
            ingle_loader_close(l);
    }
    free(file);
}

static void a_stream_that_ends_early(void)
{
    size_t n;
    char *file = tiny_model_file(&small, &n);
    for (size_t cut = 0; cut < n - 32; cut += 611) {
        ingle_loader *l;
        ingle_model *m;
        ingle_error err;
        CHECK(ingle_loader_open(&l, NULL, NULL) == INGLE_OK);
        CHECK(stream_in(l, file, cut, 1000, &err) == INGLE_OK);
        CHECK(ingle_loader_take(l, &m, &err) == INGLE_ERR_FORMAT && !m && err.text[0]);
        ingle_loader_close(l);
    }
    ingle_loader_close(NULL);
    free(file);
}

static void a_failed_stream_stays_failed(void)
{
    ingle_loader *l;
    ingle_model *m;
    ingle_error first, err;
    CHECK(ingle_loader_open(&l, NULL, NULL) == INGLE_OK);
    CHECK(ingle_loader_feed(l, "GGML and more", 13, &first) == INGLE_ERR_FORMAT);
    for (int i = 0; i < 3; i++) {
        CHECK(ingle_loader_feed(l, "GGUF", 4, &err) == INGLE_ERR_FORMAT &&
              !strcmp(first.text, err.text));
        CHECK(ingle_loader_take(l, &m, &err) == INGLE_ERR_FORMAT && !strcmp(first.text, err.text) &&
              !m);
    }
    CHECK(ingle_loader_feed(l, "GGUF", 4, NULL) == INGLE_ERR_FORMAT);
    ingle_loader_close(l);
}

/* ---- split sets -------------------------------------------------------------------------------- */

static void split_sets_open_whole(void)
{
    enum { PARTS = 3 };
    float want[TINY_VOCAB];
    char *file, name[64];
    ingle_error err;
    ingle_model *m = tiny_model_open(&small, &file);
    logits_of(m, want);
    const uint64_t n_params = ingle_model_get_info(m)->n_params;
    ingle_model_close(m);
    free(file);
    for (uint32_t i = 0; i < PARTS; i++) {
        size_t n;
        file = tiny_model_part(&small, i, PARTS, &n);
        snprintf(name, sizeof name, "set-%05u-of-%05u.gguf", i + 1, (unsigned)PARTS);
        write_file(name, file, n);
        // A part by itself, in memory or as a stream, is no model.
        m = NULL;
        CHECK(ingle_model_open_bytes(&m, file, n, NULL, &err) == INGLE_ERR_UNSUPPORTED && !m);
        CHECK(strstr(err.text, "3 files"));
        ingle_loader *l;
        CHECK(ingle_loader_open(&l, NULL, NULL) == INGLE_OK);
        CHECK(stream_in(l, file, n, 5000, &err) == INGLE_ERR_UNSUPPORTED);
        ingle_loader_close(l);
        if (i == 0)
            write_file("unnumbered.gguf", file, n);
        if (i == 0)
            write_file("set-00001-of-00002.gguf", file, n);
        free(file);
    }
    CHECK_MSG(ingle_model_open(&m, path_of("set-00001-of-00003.gguf"), NULL, &err) == INGLE_OK,
              "%s", err.text);
    CHECK(m && same_logits(m, want) && ingle_model_get_info(m)->n_params == n_params);
    float row[32];
    CHECK(ingle_model_tensor_read(m, "output_norm.weight", 0, 32, row, &err) == INGLE_OK);
    ingle_model_close(m);

    CHECK(ingle_model_open(&m, path_of("set-00002-of-00003.gguf"), NULL, &err) ==
              INGLE_ERR_FORMAT &&
          !m);
    CHECK_MSG(strstr(err.text, "first part"), "%s", err.text);
    CHECK(ingle_model_open(&m, path_of("unnumbered.gguf"), NULL, &err) == INGLE_ERR_FORMAT);
    CHECK_MSG(strstr(err.text, "-of-00003.gguf"), "%s", err.text);
    CHECK(ingle_model_open(&m, path_of("set-00001-of-00002.gguf"), NULL, &err) == INGLE_ERR_FORMAT);
    CHECK_MSG(strstr(err.text, "holds 3"), "%s", err.text);
    unlink(path_of("set-00003-of-00003.gguf"));
    CHECK(ingle_model_open(&m, path_of("set-00001-of-00003.gguf"), NULL, &err) == INGLE_ERR_IO &&
          !m);
    CHECK_MSG(strstr(err.text, "set-00003-of-00003.gguf"), "%s", err.text);
    // A part of another set, under the right name.
    size_t n;
    file = tiny_model_part(&small, 1, PARTS, &n);
    write_file("set-00003-of-00003.gguf", file, n);
    CHECK(ingle_model_open(&m, path_of("set-00001-of-00003.gguf"), NULL, &err) ==
              INGLE_ERR_FORMAT &&
          !m);
    free(file);
    static const char *const left[] = {"set-00001-of-00003.gguf", "set-00002-of-00003.gguf",
                                       "set-00003-of-00003.gguf", "unnumbered.gguf",
                                       "set-00001-of-00002.gguf"};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        unlink(path_of(left[i]));
}

/* ---- what is wrong is named -------------------------------------------------------------------- */

static void tensors_that_are_missing_or_misshapen(void)
{
    static const char *const names[] = {
        "token_embd.weight",      "blk.0.attn_norm.weight", "blk.0.attn_q.weight",
        "blk.1.attn_k.weight",    "blk.1.attn_v.weight",    "blk.0.attn_output.weight",
        "blk.1.ffn_norm.weight",  "blk.0.ffn_gate.weight",  "blk.1.ffn_up.weight",
        "blk.1.ffn_down.weight",  "output_norm.weight",     "blk.1.attn_q.bias",
        "blk.0.attn_v.bias",      "rope_freqs.weight",      "output.weight",
        "blk.0.attn_output.bias",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        tiny_shape shape = small;
        size_t n;
        shape.qkv_bias = shape.out_bias = true;
        shape.format = QUANT_F32;
        shape.bad_tensor = names[i];
        char *file = tiny_model_file(&shape, &n);
        // One more row in the table of embeddings is a larger vocabulary: the head does not fit it.
        check_refused(file, n, INGLE_ERR_FORMAT, i == 0 ? "tensor output.weight" : names[i],
                      "expected");
        free(file);
        shape.bad_tensor = NULL;
        shape.skip_tensor = names[i];
        file = tiny_model_file(&shape, &n);
        if (i < 13) {
            check_refused(file, n, INGLE_ERR_FORMAT, names[i], "missing");
        } else { // these a file may do without
            ingle_model *m = open_bytes(file, n);
            CHECK_MSG(ingle_model_get_info(m)->runnable == INGLE_OK, "%s", names[i]);
            ingle_model_close(m);
        }
        free(file);
    }
    tiny_shape shape = small;
    size_t n;
    shape.bad_tensor = "blk.0.attn_k.weight";
    char *file = tiny_model_file(&shape, &n);
    check_refused(file, n, INGLE_ERR_FORMAT,
                  "tensor blk.0.attn_k.weight: 32 x 16 expected, the file has 32 x 17", NULL);
    free(file);
}

static void families_and_formats_that_are_not_known(void)
{
    tiny_shape shape = small;
    size_t n;
    shape.arch = "abacus";
    char *file = tiny_model_file(&shape, &n);
    check_refused(file, n, INGLE_ERR_UNSUPPORTED, "abacus", "family");
    free(file);

    file = tiny_model_file(&small, &n);
    memcpy(value_of(file, n, "general.architecture") - 12 - strlen("architecture"), "architectura",
           12);
    check_refused(file, n, INGLE_ERR_FORMAT, "general.architecture", "missing");
    free(file);

    // Where a tensor of an unknown format ends cannot be told, so the file is not opened at all.
    file = tiny_model_file(&small, &n);
    char *name = file;
    while (memcmp(name, "blk.1.ffn_up.weight", 19) != 0)
        name++;
    memcpy(name + 19 + 4 + 16, &(uint32_t){4711}, 4); // number of dimensions, two of them
    ingle_model *m = NULL;
    ingle_error err;
    CHECK(ingle_model_open_bytes(&m, file, n, NULL, &err) == INGLE_ERR_UNSUPPORTED && !m);
    CHECK_MSG(strstr(err.text, "blk.1.ffn_up.weight") && strstr(err.text, "4711"), "%s", err.text);
    free(file);

    shape = small;
    shape.scaling = "longrope";
    file = tiny_model_file(&shape, &n);
    check_refused(file, n, INGLE_ERR_UNSUPPORTED, "longrope", NULL);
    free(file);
}

static void sizes_that_make_no_sense(void)
{
    static const struct {
        const char *key;
        uint32_t value; // the bits, of a float too
        ingle_status status;
        const char *says;
    } cases[] = {
        {"llama.block_count", 0, INGLE_ERR_FORMAT, "llama.block_count"},
        {"llama.block_count", 3, INGLE_ERR_FORMAT, "blk.2."},
        {"llama.block_count", 1025, INGLE_ERR_FORMAT, "llama.block_count is 1025"},
        {"llama.block_count", UINT32_MAX, INGLE_ERR_FORMAT, "llama.block_count"},
        {"llama.embedding_length", 0, INGLE_ERR_FORMAT, "llama.embedding_length"},
        {"llama.embedding_length", 64, INGLE_ERR_FORMAT, "token_embd.weight: 64 x 320 expected"},
        {"llama.embedding_length", UINT32_MAX, INGLE_ERR_FORMAT, "llama.embedding_length"},
        {"llama.feed_forward_length", 0, INGLE_ERR_FORMAT, "llama.feed_forward_length"},
        {"llama.feed_forward_length", 33, INGLE_ERR_FORMAT, "blk.0.ffn_gate.weight"},
        {"llama.feed_forward_length", 0x80000000u, INGLE_ERR_FORMAT, "llama.feed_forward_length"},
        {"llama.attention.head_count", 0, INGLE_ERR_FORMAT, "llama.attention.head_count"},
        {"llama.attention.head_count", 3, INGLE_ERR_FORMAT, "heads"},
        {"llama.attention.head_count", 6, INGLE_ERR_FORMAT, "blk.0.attn_q.weight"},
        {"llama.attention.head_count", 4097, INGLE_ERR_FORMAT, "llama.attention.head_count"},
        {"llama.attention.head_count_kv", 0, INGLE_ERR_FORMAT, "llama.attention.head_count_kv"},
        {"llama.attention.head_count_kv", 3, INGLE_ERR_FORMAT, "4 heads do not share 3"},
        {"llama.attention.head_count_kv", 8, INGLE_ERR_FORMAT, "llama.attention.head_count_kv"},
        {"llama.attention.head_count_kv", UINT32_MAX, INGLE_ERR_FORMAT,
         "llama.attention.head_count_kv"},
        {"llama.attention.key_length", 0, INGLE_ERR_FORMAT, "llama.attention.key_length"},
        {"llama.attention.key_length", 1u << 30, INGLE_ERR_FORMAT, "llama.attention.key_length"},
        {"llama.attention.value_length", 4, INGLE_ERR_UNSUPPORTED, "keys of 8"},
        {"llama.rope.dimension_count", 10, INGLE_ERR_FORMAT, "llama.rope.dimension_count"},
        {"llama.rope.dimension_count", 7, INGLE_ERR_FORMAT, "llama.rope.dimension_count"},
        {"llama.rope.dimension_count", 6, INGLE_ERR_FORMAT, "rope_freqs.weight"},
        {"llama.rope.freq_base", 0x7FC00000u, INGLE_ERR_FORMAT, "rope.freq_base"}, // NaN
        {"llama.rope.freq_base", 0x7F800000u, INGLE_ERR_FORMAT, "rope.freq_base"}, // infinite
        {"llama.rope.freq_base", 0xC0000000u, INGLE_ERR_FORMAT, "rope.freq_base"}, // -2
        {"llama.rope.freq_base", 0x3F800000u, INGLE_ERR_FORMAT, "rope.freq_base"}, // 1
        {"llama.rope.scaling.factor", 0xBF800000u, INGLE_ERR_FORMAT, "rope.scaling.factor"}, // -1
        {"llama.rope.scaling.factor", 0x7FC00000u, INGLE_ERR_FORMAT, "rope.scaling.factor"},
        {"llama.rope.scaling.factor", 0, INGLE_OK, ""}, // none
        {"llama.block_count", 1, INGLE_OK, ""},         // fewer layers than the file has
        {"llama.context_length", 0, INGLE_OK, ""},      // not stated
        {"llama.attention.sliding_window", UINT32_MAX, INGLE_OK, ""},
    };
    tiny_shape shape = small;
    shape.d_head = shape.n_rot = 8;
    shape.freq_base = 1e4f;
    shape.scaling = "linear";
    shape.factor = 2;
    shape.window = 100;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n;
        char *file = tiny_model_file(&shape, &n);
        memcpy(value_of(file, n, cases[i].key), &cases[i].value, 4);
        if (cases[i].status != INGLE_OK) {
            check_refused(file, n, cases[i].status, cases[i].says, NULL);
        } else {
            float logits[TINY_VOCAB];
            ingle_model *m = open_bytes(file, n);
            logits_of(m, logits);
            CHECK_MSG(isfinite(logits[0]), "%s", cases[i].key);
            ingle_model_close(m);
        }
        free(file);
    }
}

static void keys_that_are_missing(void)
{
    static const char *const keys[] = {"block_count", "embedding_length", "feed_forward_length",
                                       "attention.head_count"};
    for (size_t i = 0; i < 4; i++) {
        tiny_shape shape = small; // a key is missing if it has another name
        size_t n;
        char key[64];
        char *file = tiny_model_file(&shape, &n);
        snprintf(key, sizeof key, "llama.%s", keys[i]);
        char *at = value_of(file, n, key) - 4 - strlen(key); // the key, its type, the value
        at[6] = 'X';
        check_refused(file, n, INGLE_ERR_FORMAT, key, "missing");
        free(file);
    }
}

static void vocabularies_alone(void)
{
    tiny_shape shape = small;
    size_t n;
    shape.no_tensors = true;
    char *file = tiny_model_file(&shape, &n);
    check_refused(file, n, INGLE_ERR_UNSUPPORTED, "vocabulary", NULL);
    ingle_model *m = open_bytes(file, n);
    ingle_tokens ids = {0};
    CHECK(ingle_tokenize(m, "hello", 5, 0, &ids, NULL) == INGLE_OK && ids.n > 0);
    CHECK(ingle_model_tensor_count(m) == 0 && ingle_model_get_info(m)->n_params == 0);
    ingle_tokens_free(&ids);
    ingle_model_close(m);
    free(file);

    // And the other way round: weights without a vocabulary compute, but know no text.
    shape = small;
    shape.no_tokenizer = true;
    ingle_error err;
    float logits[TINY_VOCAB];
    m = tiny_model_open(&shape, &file);
    logits_of(m, logits);
    CHECK(isfinite(logits[0]));
    const ingle_model_info *info = ingle_model_get_info(m);
    CHECK(!info->tokenizer && info->bos == -1 && info->eos == -1 && info->n_vocab == TINY_VOCAB);
    CHECK(ingle_tokenize(m, "a", 1, 0, &ids, &err) == INGLE_ERR_UNSUPPORTED && ids.n == 0);
    CHECK(strstr(err.text, "tokenizer.ggml.model") && !ingle_token_is_end(m, 2));
    ingle_model_close(m);
    free(file);
}

/* ---- files that are none ----------------------------------------------------------------------- */

static void paths_that_are_no_models(void)
{
    ingle_model *m = NULL;
    ingle_error err;
    CHECK(ingle_model_open(&m, path_of("nowhere.gguf"), NULL, &err) == INGLE_ERR_IO && !m);
    CHECK(strstr(err.text, "nowhere.gguf"));
    CHECK(ingle_model_open(&m, folder, NULL, &err) == INGLE_ERR_IO && !m);
    CHECK(mkfifo(path_of("pipe.gguf"), 0600) == 0);
    CHECK(ingle_model_open(&m, path_of("pipe.gguf"), NULL, &err) == INGLE_ERR_IO && !m);
    unlink(path_of("pipe.gguf"));
    CHECK(ingle_model_open(&m, write_file("empty.gguf", "", 0), NULL, &err) == INGLE_ERR_FORMAT &&
          !m);
    CHECK(strstr(err.text, "empty"));
    unlink(path_of("empty.gguf"));
    CHECK(ingle_model_open(&m, write_file("text.gguf", "GGML, they said", 15), NULL, &err) ==
          INGLE_ERR_FORMAT);
    unlink(path_of("text.gguf"));
    CHECK(ingle_model_open(&m, NULL, NULL, &err) == INGLE_ERR_USAGE && !m);
    CHECK(ingle_model_open_bytes(&m, NULL, 5, NULL, &err) == INGLE_ERR_USAGE && !m);
    CHECK(ingle_model_open_bytes(&m, "", 0, NULL, NULL) == INGLE_ERR_FORMAT && !m);
    CHECK(rmdir(folder) == 0);
    folder[0] = 0;
}

static void files_cut_anywhere(void)
{
    size_t n;
    char *file = tiny_model_file(&small, &n);
    for (size_t cut = 1; cut < n - 32; cut += cut < 3000 ? 7 : 331) {
        char *copy = malloc(cut);
        ingle_model *m = NULL;
        ingle_error err;
        memcpy(copy, file, cut);
        CHECK(ingle_model_open_bytes(&m, copy, cut, NULL, &err) == INGLE_ERR_FORMAT && !m &&
              err.text[0]);
        free(copy);
    }
    free(file);
}

/* Whatever the header says after some of its bytes have changed: a typed refusal, or a model that
 * runs without reading where it should not (which a sanitizer sees). */
static void files_scrambled_anywhere(void)
{
    tiny_shape shape = small;
    size_t n, opened = 0, ran = 0;
    shape.n_layers = 1;
    shape.scaling = "yarn";
    shape.factor = 2;
    char *file = tiny_model_file(&shape, &n);
    uint64_t seed = 11;
    for (int round = 0; round < 3000; round++) {
        char *copy = malloc(n);
        memcpy(copy, file, n);
        for (int i = 0; i < 1 + round % 3; i++) {
            const size_t at = test_random(&seed) % (round % 2 ? 1200 : n);
            copy[at] = (char)(round % 4 ? copy[at] ^ (1 << test_random(&seed) % 8)
                                        : (int)(test_random(&seed) & 0x7F));
        }
        ingle_model *m = NULL;
        ingle_session *s = NULL;
        ingle_error err;
        const ingle_status status = ingle_model_open_bytes(&m, copy, n, NULL, &err);
        CHECK((status == INGLE_OK) == (m != NULL));
        CHECK(status == INGLE_OK || err.text[0]);
        opened += m != NULL;
        if (m && ingle_session_open(&s, m, &(ingle_session_options){.n_threads = 1, .n_ctx = 8},
                                    &err) == INGLE_OK)
            ran += ingle_session_append(s, prompt, 2, &err) == INGLE_OK;
        ingle_session_close(s);
        ingle_model_close(m);
        free(copy);
    }
    CHECK_MSG(opened > 1000 && ran > 500 && opened < 3000, "%zu opened, %zu ran", opened, ran);
    free(file);
}

/* ---- memory runs out --------------------------------------------------------------------------- */

typedef struct {
    const char *file, *path;
    size_t n;
} source;

static ingle_status open_by_bytes(void *user, const ingle_allocator *a)
{
    const source *f = user;
    ingle_model *m = NULL;
    ingle_error err;
    const ingle_status status =
        f->path ? ingle_model_open(&m, f->path, &(ingle_model_options){.allocator = *a}, &err)
                : ingle_model_open_bytes(&m, f->file, f->n, &(ingle_model_options){.allocator = *a},
                                         &err);
    CHECK((status == INGLE_OK) == (m != NULL) && err.status == status);
    // Memory that runs out is no property of the model: it must not open as one that cannot run.
    CHECK(!m ||
          (ingle_model_get_info(m)->runnable == INGLE_OK && ingle_model_get_info(m)->tokenizer &&
           ingle_model_get_info(m)->name && ingle_model_get_info(m)->chat_template));
    ingle_model_close(m);
    return status;
}

static ingle_status open_by_stream(void *user, const ingle_allocator *a)
{
    const source *f = user;
    ingle_model *m = NULL;
    ingle_loader *l = NULL;
    ingle_error err;
    ingle_status status = ingle_loader_open(&l, &(ingle_model_options){.allocator = *a}, &err);
    if (status == INGLE_OK)
        status = stream_in(l, f->file, f->n, 2000, &err);
    if (status == INGLE_OK)
        status = ingle_loader_take(l, &m, &err);
    CHECK((status == INGLE_OK) == (m != NULL) && err.status == status);
    ingle_loader_close(l);
    ingle_model_close(m);
    return status;
}

static void allocation_failures(void)
{
    tiny_shape shape = small;
    source f = {0};
    // A template that needs an allocation of its own.
    char *template = calloc(1, 100001);
    memset(template, 'x', 100000);
    shape.chat_template = template;
    shape.n_layers = 1;
    char *file = tiny_model_file(&shape, &f.n);
    f.file = file;
    CHECK(test_every_allocation(open_by_bytes, &f) > 15);
    CHECK(test_every_allocation(open_by_stream, &f) > 15);
    for (uint32_t i = 0; i < 2; i++) {
        size_t n;
        char *part = tiny_model_part(&shape, i, 2, &n);
        write_file(i ? "m-00002-of-00002.gguf" : "m-00001-of-00002.gguf", part, n);
        free(part);
    }
    f.path = path_of("m-00001-of-00002.gguf");
    CHECK(test_every_allocation(open_by_bytes, &f) > 15);
    unlink(path_of("m-00001-of-00002.gguf"));
    unlink(path_of("m-00002-of-00002.gguf"));
    rmdir(folder);
    free(file);
    free(template);
}

TESTS(T(info_is_what_the_file_says) T(metadata_is_listed) T(tensors_are_listed)
      T(tensors_are_read_by_range) T(a_path_gives_the_same_model)
      T(every_chunk_size_gives_the_same_model) T(a_stream_that_ends_early)
      T(a_failed_stream_stays_failed) T(split_sets_open_whole)
      T(tensors_that_are_missing_or_misshapen) T(families_and_formats_that_are_not_known)
      T(sizes_that_make_no_sense) T(keys_that_are_missing) T(vocabularies_alone)
      T(paths_that_are_no_models) T(files_cut_anywhere) T(files_scrambled_anywhere)
      T(allocation_failures))
