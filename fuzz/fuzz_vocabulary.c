/* A hostile vocabulary: a GGUF file whose tokenizer is opened and used, if it can be. */
#include "file/gguf.h"
#include "fuzz_vocab.h"
#include "model/vocab.h"

static const char sample[] = "Hello the\xC3\xA9 <s> <|im_end|>  12345\t\n\xE4\xBD\xA0\xF0\x9F\x98\x80 \xFF don't";

static void use(const tokenizer *t, size_t n_tokens, str text)
{
    for (unsigned flags = 0; flags < 4; flags++) {
        ingle_tokens ids = {0};
        ingle_text back = {0};
        fuzz_round_trip(t, n_tokens, text, NULL, flags, &ids, &back);
        ingle_tokens_free(&ids);
        ingle_text_free(&back);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    gguf g;
    uint64_t need;
    ingle_error err;
    if (gguf_parse(&g, bytes, n, n, &need, NULL, &err) != INGLE_OK)
        return 0;
    arena memory = {.limit = 0};
    token_source source;
    tokenizer *t = NULL;
    ingle_status status = vocab_source(&source, &g, &memory, &err);
    fuzz_check_error(status, &err);
    if (status == INGLE_OK) {
        status = token_open(&t, &source, NULL, &err);
        fuzz_check_error(status, &err);
        MUST((status == INGLE_OK) == (t != NULL));
    }
    if (status == INGLE_OK) {
        use(t, source.n_tokens, STR(sample));
        use(t, source.n_tokens, (str){(const char *)bytes, n < 300 ? n : 300}); // the file as a text
        token_is_end(t, -1);
        token_is_end(t, INT32_MAX);
        token_is_control(t, (int32_t)source.n_tokens);
        ingle_text out = {0};
        MUST(token_bytes(t, INT32_MAX, true, true, &out, &err) != INGLE_OK);
        MUST(token_bytes(t, -1, true, true, &out, &err) != INGLE_OK);
        ingle_text_free(&out);
    }
    token_close(t);
    arena_free(&memory);
    gguf_free(&g);
    return 0;
}
