/* Real vocabularies: every recorded text must encode exactly and decode back, the long text must be
 * quick, and hostile texts must stay so. Vocabularies from metadata: what vocab_source refuses. */
#include "harness.h"

#include <time.h>

#include "base/utf8.h"
#include "model/vocab.h"
#include "support.h"

#define FOLDER "../shared/conformance/llama-vocab/"
#define SEPARATOR "\n__ggml_vocab_test__\n"

typedef struct {
    char *bytes;
    gguf file;
    arena memory;
    token_source source;
    tokenizer *t;
} vocabulary;

static bool open_vocabulary(vocabulary *v, const char *name)
{
    char path[256];
    size_t n;
    uint64_t need;
    ingle_error err = {0};
    *v = (vocabulary){0};
    snprintf(path, sizeof path, FOLDER "ggml-vocab-%s.gguf", name);
    if (!(v->bytes = test_read_file(path, &n)))
        return false;
    const bool opened = gguf_parse(&v->file, v->bytes, n, n, &need, NULL, &err) == INGLE_OK &&
                        vocab_source(&v->source, &v->file, &v->memory, &err) == INGLE_OK &&
                        token_open(&v->t, &v->source, NULL, &err) == INGLE_OK;
    CHECK_MSG(opened, "%s: %s", name, err.text);
    return opened;
}

static void close_vocabulary(vocabulary *v)
{
    token_close(v->t);
    gguf_free(&v->file);
    arena_free(&v->memory);
    free(v->bytes);
}

/* ---- rank files ---------------------------------------------------------------------------- */

static size_t decode_base64(const char *p, size_t n, uint8_t *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t length = 0;
    uint32_t bits = 0, have = 0;
    for (size_t i = 0; i < n && p[i] != '='; i++) {
        bits = bits << 6 | (uint32_t)(strchr(digits, p[i]) - digits);
        have += 6;
        if (have >= 8)
            out[length++] = (uint8_t)(bits >> (have -= 8));
    }
    return length;
}

/* "token rank" lines in rank order. Without merges, the tokenizer merges by the rank of the result,
 * which is what these files mean. */
static bool open_ranks(vocabulary *v, const char *file, const char *pre)
{
    char path[256];
    size_t n, count = 0;
    ingle_error err = {0};
    *v = (vocabulary){0};
    snprintf(path, sizeof path, FOLDER "%s", file);
    char *lines = test_read_file(path, &n);
    if (!lines)
        return false;
    str *tokens = arena_alloc(&v->memory, 160000 * sizeof *tokens);
    for (char *p = lines; *p && count < 160000; count++) {
        uint8_t raw[512];
        char shown[1024];
        const size_t length = strcspn(p, " "), bytes = decode_base64(p, length, raw);
        size_t m = 0;
        for (size_t i = 0; i < bytes; i++) {
            const uint8_t b = raw[i];
            const bool plain = (b > 32 && b < 127) || (b > 160 && b != 173);
            const uint32_t code = plain ? b : b < 33 ? 256u + b : b < 161 ? 256u + b - 94 : 323u;
            m += utf8_encode(code, shown + m);
        }
        tokens[count] = (str){arena_text(&v->memory, shown, m), m};
        p += strcspn(p, "\n");
        p += *p == '\n';
    }
    free(lines);
    v->source = (token_source){.model = STR("gpt2"), .pre = str_of(pre), .tokens = tokens, .n_tokens = count,
                               .bos = -1, .eos = -1, .eot = -1, .eom = -1, .unk = -1, .sep = -1, .pad = -1,
                               .cls = -1, .mask = -1};
    const bool opened = token_open(&v->t, &v->source, NULL, &err) == INGLE_OK;
    CHECK_MSG(opened, "%s: %s", file, err.text);
    return opened;
}

/* ---- recorded texts ------------------------------------------------------------------------ */

static void check_case(const vocabulary *v, const char *name, str text, const char *ids)
{
    ingle_tokens out = {0};
    ingle_text back = {0};
    ingle_error err;
    CHECK(token_encode(v->t, text, NULL, 0, &out, &err) == INGLE_OK);
    bool same = true;
    size_t i = 0;
    for (; *ids && *ids != '\n'; i++) {
        char *end;
        const long id = strtol(ids, &end, 10);
        same = same && end != ids && i < out.n && out.ids[i] == id;
        ids = end + strspn(end, " ");
        if (end == ids && *ids != '\n' && *ids)
            break;
    }
    CHECK_MSG(same && i == out.n, "%s: %zu of %zu ids for \"%.*s\"", name, out.n, i, STR_ARG(text));
    CHECK(token_decode(v->t, out.ids, out.n, false, &back, &err) == INGLE_OK);
    const bool nfc = str_equal(v->source.pre, STR("qwen2")); // what comes back is normalised
    if (strcmp(token_kind(v->t), "wordpiece") != 0 && !nfc)
        CHECK_MSG(str_equal((str){back.bytes, back.n}, text), "%s: \"%.*s\" came back as \"%s\"", name,
                  STR_ARG(text), back.bytes ? back.bytes : "");
    ingle_tokens_free(&out);
    ingle_text_free(&back);
}

static void check_recorded(const vocabulary *v, const char *name)
{
    char path[256];
    size_t n, m, count = 0;
    snprintf(path, sizeof path, FOLDER "ggml-vocab-%s.gguf.inp", name);
    char *texts = test_read_file(path, &n);
    snprintf(path, sizeof path, FOLDER "ggml-vocab-%s.gguf.out", name);
    char *ids = test_read_file(path, &m);
    for (char *p = texts, *q = ids; p && q && p < texts + n && *q; count++) {
        char *end = strstr(p, SEPARATOR), *line = strchr(q, '\n');
        check_case(v, name, (str){p, end ? (size_t)(end - p) : strlen(p)}, q);
        p = end ? end + strlen(SEPARATOR) : texts + n;
        q = line ? line + 1 : q + strlen(q);
    }
    CHECK_MSG(count == 46, "%s: %zu texts", name, count);
    free(texts);
    free(ids);
}

static void recorded_texts(void)
{
    static const char *const names[] = {"bert-bge", "deepseek-coder", "deepseek-llm", "falcon", "gpt-2",
                                        "llama-spm", "mpt", "phi-3", "refact", "starcoder"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        vocabulary v;
        if (!open_vocabulary(&v, names[i])) {
            SKIP("the vocabularies are not there");
            return;
        }
        check_recorded(&v, names[i]);
        CHECK(token_table_bytes(v.t) < 8u << 20);
        close_vocabulary(&v);
    }
}

static void recorded_texts_by_rank(void)
{
    vocabulary v;
    if (!open_ranks(&v, "llama3-tokenizer.model.tiktoken", "llama-bpe")) {
        SKIP("the rank files are not there");
        return;
    }
    check_recorded(&v, "llama-bpe");
    close_vocabulary(&v);
    if (open_ranks(&v, "qwen.tiktoken", "qwen2")) {
        check_recorded(&v, "qwen2");
        close_vocabulary(&v);
    }
}

/* ---- long texts ---------------------------------------------------------------------------- */

static void wikitext(void)
{
    size_t n;
    vocabulary v;
    char *wiki = test_read_file("../shared/conformance/wikitext2/wiki.test.raw", &n);
    if (!wiki || !open_vocabulary(&v, "llama-spm")) {
        SKIP("wiki.test.raw or the vocabulary is not there");
        free(wiki);
        return;
    }
    ingle_tokens out = {0};
    ingle_text back = {0};
    ingle_error err;
    CHECK(token_encode(v.t, (str){wiki, n}, NULL, INGLE_ADD_SPECIAL, &out, &err) == INGLE_OK);
    CHECK_MSG(out.n == 335688, "%zu tokens", out.n);
    CHECK(token_decode(v.t, out.ids, out.n, false, &back, &err) == INGLE_OK);
    CHECK(back.n == n && memcmp(back.bytes, wiki, n) == 0);
    ingle_tokens_free(&out);
    ingle_text_free(&back);
    close_vocabulary(&v);
    free(wiki);
}

/* Work that grew with the square of the length would take hours on these. */
static void one_character_repeated(void)
{
    static const char *const names[] = {"llama-spm", "gpt-2", "bert-bge", "deepseek-llm"};
    static const char *const units[] = {"a", " ", "\n", "\xF0\x9F\xA6\x99", "\xFF", "e\xCC\x81", "<", "7"};
    const size_t bytes = 400000;
    char *text = malloc(bytes + 8);
    for (size_t i = 0; text && i < sizeof names / sizeof *names; i++) {
        vocabulary v;
        if (!open_vocabulary(&v, names[i])) {
            SKIP("the vocabularies are not there");
            break;
        }
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            size_t n = 0;
            for (; n < bytes; n += strlen(units[u]))
                memcpy(text + n, units[u], strlen(units[u]));
            ingle_tokens out = {0};
            ingle_error err;
            const clock_t start = clock();
            CHECK(token_encode(v.t, (str){text, n}, NULL, INGLE_PARSE_SPECIAL, &out, &err) == INGLE_OK);
            const double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
            CHECK_MSG(seconds < 10, "%s, unit %zu: %.1f s", names[i], u, seconds);
            ingle_tokens_free(&out);
        }
        close_vocabulary(&v);
    }
    free(text);
}

/* ---- metadata ------------------------------------------------------------------------------ */

enum { BAD_NOTHING, BAD_MODEL, BAD_TOKENS, BAD_SCORES, BAD_SCORE_TYPE, BAD_TYPES, BAD_MERGES, BAD_MAP, BAD_COUNT };

static ingle_status build_and_read(int bad, const ingle_allocator *a, token_source *out, arena *memory,
                                   ingle_text *header, gguf *g, ingle_error *err)
{
    const str tokens[] = {STR("<unk>"), STR("<s>"), STR("a")};
    const float scores[] = {0, 0, -1};
    const int32_t types[] = {2, 3, 1};
    const uint8_t map[] = {0, 0, 0, 0, 0};
    gguf_writer w = {0};
    uint64_t need;
    if (bad != BAD_MODEL)
        gguf_write_str(&w, "tokenizer.ggml.model", STR("llama"));
    gguf_write_str(&w, "tokenizer.ggml.pre", STR("default"));
    gguf_write_str(&w, "general.architecture", STR("llama"));
    if (bad == BAD_TOKENS)
        gguf_write_array(&w, "tokenizer.ggml.tokens", GGUF_I32, types, 3);
    else
        gguf_write_strs(&w, "tokenizer.ggml.tokens", tokens, 3);
    if (bad == BAD_SCORE_TYPE)
        gguf_write_strs(&w, "tokenizer.ggml.scores", tokens, 3);
    else
        gguf_write_array(&w, "tokenizer.ggml.scores", GGUF_F32, scores, bad == BAD_SCORES ? 2 : 3);
    gguf_write_array(&w, "tokenizer.ggml.token_type", bad == BAD_TYPES ? GGUF_F32 : GGUF_I32, types, 3);
    if (bad == BAD_MERGES)
        gguf_write_u32(&w, "tokenizer.ggml.merges", 1);
    else
        gguf_write_strs(&w, "tokenizer.ggml.merges", tokens, 1);
    gguf_write_array(&w, "tokenizer.ggml.precompiled_charsmap", bad == BAD_MAP ? GGUF_I32 : GGUF_U8,
                     bad == BAD_MAP ? (const void *)types : map, bad == BAD_MAP ? 3 : 5);
    gguf_write_u32(&w, "tokenizer.ggml.bos_token_id", 1);
    gguf_write_u32(&w, "tokenizer.ggml.eos_token_id", 7); // out of range: none
    gguf_write_bool(&w, "tokenizer.ggml.add_bos_token", false);
    gguf_write_bool(&w, "tokenizer.ggml.add_space_prefix", true);
    CHECK(gguf_write_header(&w, header, err) == INGLE_OK);
    gguf_writer_free(&w);
    const ingle_status status = gguf_parse(g, header->bytes, header->n, header->n, &need, a, err);
    return status ? status : vocab_source(out, g, memory, err);
}

static void metadata(void)
{
    static const char *const named[] = {"", "tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.scores",
                                        "tokenizer.ggml.scores", "tokenizer.ggml.token_type", "tokenizer.ggml.merges",
                                        "precompiled_charsmap"};
    for (int bad = 0; bad < BAD_COUNT; bad++) {
        token_source s;
        arena memory = {0};
        ingle_text header = {0};
        gguf g = {0};
        ingle_error err = {0};
        const ingle_status status = build_and_read(bad, NULL, &s, &memory, &header, &g, &err);
        if (bad == BAD_NOTHING) {
            CHECK_MSG(status == INGLE_OK, "%s", err.text);
            CHECK(s.n_tokens == 3 && s.n_merges == 1 && str_equal(s.tokens[1], STR("<s>")));
            CHECK(s.scores[2] == -1 && s.types[1] == 3 && s.charsmap.n == 5);
            CHECK(s.bos == 1 && s.eos == -2 && s.unk == -1 && s.add_bos == 0 && s.add_eos == -1);
            CHECK(s.add_space_prefix == 1 && str_equal(s.pre, STR("default")));
        } else {
            CHECK_MSG(status == (bad == BAD_MODEL ? INGLE_ERR_UNSUPPORTED : INGLE_ERR_FORMAT), "%d", bad);
            CHECK_MSG(strstr(err.text, named[bad]), "%s", err.text);
        }
        gguf_free(&g);
        arena_free(&memory);
        ingle_text_free(&header);
    }
}

static ingle_status read_once(void *user, const ingle_allocator *a)
{
    (void)user;
    token_source s;
    arena memory = {.allocator = *a};
    ingle_text header = {0};
    gguf g = {0};
    ingle_error err;
    const ingle_status status = build_and_read(BAD_NOTHING, a, &s, &memory, &header, &g, &err);
    gguf_free(&g);
    arena_free(&memory);
    ingle_text_free(&header);
    return status;
}

static void allocation_failures(void)
{
    CHECK(test_every_allocation(read_once, NULL) > 1);
}

TESTS(T(recorded_texts) T(recorded_texts_by_rank) T(wikitext) T(one_character_repeated) T(metadata)
      T(allocation_failures))
