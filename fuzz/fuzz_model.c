/* A whole model file: described, read, its template rendered, and run for a few tokens if it can
 * be, on the slow path that defines the operations and on the one every machine has. */
#include "fuzz.h"

enum { MAX_BYTES = 1 << 20 };

static void describe(const ingle_model *m)
{
    const char *key, *value;
    ingle_tensor t;
    ingle_error err;
    float values[256];
    MUST(ingle_model_get_info(m));
    for (size_t i = 0; ingle_model_meta(m, i, &key, &value); i++)
        MUST(key && value);
    for (size_t i = 0; ingle_model_tensor(m, i, &t); i++) {
        MUST(t.n_dims >= 1 && t.n_dims <= 4 && t.n_values > 0);
        ingle_model_tensor_read(m, t.name, 0, t.n_values < 256 ? t.n_values : 256, values, &err);
        ingle_model_tensor_read(m, t.name, t.n_values, 256, values, &err);
    }
}

static void run(const ingle_model *m, const char *cpu)
{
    const ingle_session_options options = {.n_ctx = 8, .n_batch = 2, .n_threads = 1, .cpu = cpu};
    ingle_session *s;
    ingle_error err;
    ingle_memory memory;
    // A file may ask for a cache of many layers with nothing in them: not here.
    if (ingle_session_memory(m, &options, &memory, &err) != INGLE_OK || memory.kv + memory.scratch > 64 << 20)
        return;
    const ingle_status status = ingle_session_open(&s, m, &options, &err);
    fuzz_check_error(status, &err);
    if (status != INGLE_OK)
        return;
    const int32_t ids[] = {0, 1, 0};
    if (ingle_session_sync(s, ids, 3, NULL, &err) == INGLE_OK)
        MUST(ingle_session_logits(s) && ingle_session_length(s) == 3);
    ingle_session_close(s);
}

static void tokenize(const ingle_model *m)
{
    static const char context[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}";
    ingle_tokens ids = {0};
    ingle_text text = {0};
    ingle_error err;
    fuzz_check_error(ingle_tokenize(m, "Hello, <s> w\xC3\xB6rld", 17, INGLE_PARSE_SPECIAL, &ids, &err), &err);
    fuzz_check_error(ingle_detokenize(m, ids.ids, ids.n, 0, &text, &err), &err);
    fuzz_check_error(ingle_chat_tokenize(m, context, sizeof context - 1, "2024-01-01T00:00:00", &ids, &err), &err);
    ingle_tokens_free(&ids);
    ingle_text_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n > MAX_BYTES)
        return 0;
    ingle_model *m;
    ingle_error err;
    // Weights are mapped in real life: at least as aligned as this.
    void *copy = malloc(n ? n : 1);
    MUST(copy);
    memcpy(copy, bytes, n);
    const ingle_status status = ingle_model_open_bytes(&m, copy, n, NULL, &err);
    fuzz_check_error(status, &err);
    if (status == INGLE_OK) {
        describe(m);
        tokenize(m);
        run(m, "ref");
        run(m, "portable");
        ingle_model_close(m);
    }
    free(copy);
    return 0;
}
