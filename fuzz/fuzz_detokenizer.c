/* Ids for a detokenizer over a vocabulary of every byte and of parts of characters: what comes out
 * is UTF-8 at every step and in all the same as decoding the ids at once. First byte: kind and
 * flags; each further byte or two: an id. */
#include "file/gguf.h"
#include "fuzz_vocab.h"

/* A model file that holds the vocabulary and nothing else. */
static ingle_text make_model(unsigned kind)
{
    fuzz_vocab *v = fuzz_vocab_make(kind, STR("gpt-2"));
    gguf_writer w = {0};
    ingle_text out = {0};
    ingle_error err;
    gguf_write_str(&w, "general.architecture", STR("llama"));
    gguf_write_str(&w, "tokenizer.ggml.model", v->source.model);
    gguf_write_str(&w, "tokenizer.ggml.pre", v->source.pre);
    gguf_write_strs(&w, "tokenizer.ggml.tokens", v->tokens, v->n);
    gguf_write_array(&w, "tokenizer.ggml.scores", GGUF_F32, v->scores, v->n);
    gguf_write_array(&w, "tokenizer.ggml.token_type", GGUF_I32, v->types, v->n);
    if (v->source.n_merges)
        gguf_write_strs(&w, "tokenizer.ggml.merges", v->source.merges, v->source.n_merges);
    gguf_write_u32(&w, "tokenizer.ggml.bos_token_id", 1);
    gguf_write_u32(&w, "tokenizer.ggml.eos_token_id", 2);
    MUST(gguf_write_header(&w, &out, &err) == INGLE_OK);
    gguf_writer_free(&w);
    fuzz_vocab_free(v);
    return out;
}

static void push(ingle_detokenizer *d, int32_t id, ingle_text *out)
{
    const char *text;
    size_t n;
    ingle_error err;
    MUST(ingle_detokenizer_push(d, id, &text, &n, &err) == INGLE_OK);
    bool valid = true;
    for (size_t i = 0, used; i < n && valid; i += used)
        utf8_decode((const uint8_t *)text + i, n - i, &used, &valid);
    MUST(valid && text_add(out, text, n));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const unsigned choice = fuzz_byte(&bytes, &n);
    ingle_text file = make_model(choice % 3);
    ingle_model *model;
    ingle_error err;
    MUST(ingle_model_open_bytes(&model, file.bytes, file.n, NULL, &err) == INGLE_OK);
    const uint32_t n_vocab = ingle_model_get_info(model)->n_vocab;
    const unsigned flags = choice & 4 ? INGLE_PARSE_SPECIAL : 0;
    ingle_detokenizer *d;
    MUST(ingle_detokenizer_open(&d, model, flags, &err) == INGLE_OK);
    ingle_tokens ids = {0};
    ingle_text streamed = {0}, whole = {0};
    while (n) {
        const uint32_t low = fuzz_byte(&bytes, &n), high = low & 1 ? fuzz_byte(&bytes, &n) : 0;
        MUST(tokens_add(&ids, (int32_t)((low + 256 * high) % n_vocab)));
    }
    for (size_t i = 0; i < ids.n; i++)
        push(d, ids.ids[i], &streamed);
    push(d, -1, &streamed);
    MUST(ingle_detokenize(model, ids.ids, ids.n, flags, &whole, &err) == INGLE_OK);
    MUST(whole.n == streamed.n && (whole.n == 0 || memcmp(whole.bytes, streamed.bytes, whole.n) == 0));
    ingle_detokenizer_close(d);
    ingle_model_close(model);
    ingle_tokens_free(&ids);
    ingle_text_free(&streamed);
    ingle_text_free(&whole);
    ingle_text_free(&file);
    return 0;
}
