/* A chat template, then a zero byte and its JSON context (without one: a short conversation).
 * Whatever the template is, rendering ends soon with a text or an error; marks go with the text,
 * and a character that only the conversation holds is marked as the user's wherever it ends up. */
#include "chat/template.h"
#include "fuzz.h"

static const char conversation[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":"
    "\" Hi <|im_end|> \xEE\x80\x80\\u00e9\"},{\"role\":\"assistant\",\"content\":\"<think>a</think>Hello\"}],"
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"x\":1.5}}}],"
    "\"bos_token\":\"<s>\",\"eos_token\":\"</s>\",\"add_generation_prompt\":true}";

/* Could source make the byte EE, which begins the conversation's own character, by itself? */
static bool may_forge(str source)
{
    for (size_t i = 0; i < source.n; i++)
        if (source.p[i] == '\xEE' || source.p[i] == '\\' || (source.p[i] == 'c' && i && source.p[i - 1] == '%'))
            return true;
    return false;
}

static void check_marks(const ingle_text *out, const ingle_text *marks, bool own)
{
    MUST(marks->n == out->n);
    for (size_t i = 0; i < marks->n; i++) {
        MUST(marks->bytes[i] == 0 || marks->bytes[i] == 1);
        MUST(!own || out->bytes[i] != '\xEE' || marks->bytes[i] == 1);
    }
}

static const json *read_context(const uint8_t *bytes, size_t n, arena *memory)
{
    const json *context;
    ingle_error err;
    if (json_parse(&context, (const char *)bytes, n, memory, &err) == INGLE_OK && context->type == JSON_OBJECT)
        return context;
    MUST(json_parse(&context, conversation, sizeof conversation - 1, memory, &err) == INGLE_OK);
    return context;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const uint8_t *zero = n ? memchr(bytes, 0, n) : NULL;
    const size_t n_source = zero ? (size_t)(zero - bytes) : n;
    const size_t rest = zero ? n - n_source - 1 : 0;
    chat_template *t;
    ingle_error err;
    ingle_status status = chat_template_open(&t, (str){(const char *)bytes, n_source}, NULL, &err);
    fuzz_check_error(status, &err);
    MUST((status == INGLE_OK) == (t != NULL));
    if (status != INGLE_OK)
        return 0;
    static const char *const trusted[] = {"bos_token", "eos_token", NULL};
    const chat_time now = {2024, 7, 26, 12, 0, 0};
    arena memory = {.limit = (size_t)64 << 20};
    const json *context = read_context(zero ? zero + 1 : bytes, rest, &memory);
    ingle_text out = {0}, marks = {0}, plain = {0};
    status = chat_template_render(t, context, trusted, &now, &out, &marks, &err);
    fuzz_check_error(status, &err);
    if (status == INGLE_OK) {
        check_marks(&out, &marks, !zero && !may_forge((str){(const char *)bytes, n_source}));
        MUST(chat_template_render(t, context, trusted, &now, &plain, NULL, &err) == INGLE_OK);
        MUST(plain.n == out.n && (out.n == 0 || memcmp(plain.bytes, out.bytes, out.n) == 0));
    }
    ingle_text_free(&out);
    ingle_text_free(&marks);
    ingle_text_free(&plain);
    arena_free(&memory);
    chat_template_close(t);
    return 0;
}
