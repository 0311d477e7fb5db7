/* GGUF: reading what writers write, refusing what is damaged, splitting, printing, writing. */
#include "base/error.h"
#include "file/gguf_scan.h"
#include "harness.h"
#include "quant/quant.h"
#include "support.h"

#include <inttypes.h>
#include <math.h>
#include <time.h>

/* ---- a file put together byte by byte ----------------------------------------------------- */

static void add(ingle_text *t, const void *bytes, size_t n)
{
    if (!text_add(t, bytes, n))
        abort();
}

static void add_u32(ingle_text *t, uint32_t x)
{
    add(t, &x, 4);
}

static void add_u64(ingle_text *t, uint64_t x)
{
    add(t, &x, 8);
}

static void add_length(ingle_text *t, uint32_t version, uint64_t n)
{
    if (version == 1)
        add_u32(t, (uint32_t)n);
    else
        add_u64(t, n);
}

static void add_name(ingle_text *t, uint32_t version, const char *name)
{
    add_length(t, version, strlen(name));
    add(t, name, strlen(name));
}

static void add_head(ingle_text *t, uint32_t version, uint64_t n_tensors, uint64_t n_values)
{
    add(t, "GGUF", 4);
    add_u32(t, version);
    add_length(t, version, n_tensors);
    add_length(t, version, n_values);
}

static void add_key_u32(ingle_text *t, uint32_t version, const char *key, uint32_t value)
{
    add_name(t, version, key);
    add_u32(t, GGUF_U32);
    add_u32(t, value);
}

static void add_tensor(ingle_text *t, uint32_t version, const char *name, uint32_t n_dims,
                       const uint64_t *shape, uint32_t format, uint64_t offset)
{
    add_name(t, version, name);
    add_u32(t, n_dims);
    for (uint32_t i = 0; i < n_dims; i++)
        add_length(t, version, shape[i]);
    add_u32(t, format);
    add_u64(t, offset);
}

/* Zeros to the next multiple of 32, then n more. */
static void add_data(ingle_text *t, size_t n)
{
    static const char zeros[32];
    add(t, zeros, (32 - t->n % 32) % 32);
    for (; n > 32; n -= 32)
        add(t, zeros, 32);
    add(t, zeros, n);
}

static ingle_status parse(gguf *g, const ingle_text *t, ingle_error *err)
{
    uint64_t need;
    const ingle_status status = gguf_parse(g, t->bytes, t->n, t->n, &need, NULL, err);
    CHECK(need == 0);
    return status;
}

/* Parses and frees t; wants the failure to hold `text`. */
static void refused(ingle_text *t, ingle_status want, const char *text, int line)
{
    gguf g;
    ingle_error err;
    const ingle_status status = parse(&g, t, &err);
    CHECK_MSG(status == want && strstr(err.text, text), "(line %d: %s \"%s\", want \"%s\")", line,
              ingle_status_name(status), err.text, text);
    CHECK_MSG(g.values == NULL && g.index == NULL, "(line %d)", line);
    gguf_free(&g);
    ingle_text_free(t);
}
#define REFUSED(t, text) refused(t, INGLE_ERR_FORMAT, text, __LINE__)

/* ---- a real file -------------------------------------------------------------------------- */

static void reads_a_real_file(void)
{
    const char *path = test_find_model("stories260K.gguf");
    if (!path) {
        SKIP("no stories260K.gguf");
        return;
    }
    size_t n;
    char *bytes = test_read_file(path, &n);
    gguf g;
    uint64_t need;
    ingle_error err;
    CHECK_MSG(gguf_parse(&g, bytes, n, n, &need, NULL, &err) == INGLE_OK, "%s", err.text);
    CHECK(g.version == 3 && g.n_tensors == 48 && g.n_values == 19 && g.alignment == 32);
    CHECK(g.n_parts == 1 && g.part_no == 0);
    str arch = {0}, item;
    CHECK(gguf_get_str(&g, "general.architecture", &arch) && str_equal(arch, STR("llama")));
    uint32_t d = 0;
    CHECK(gguf_get_u32(&g, "llama.embedding_length", &d) && d == 64);
    CHECK(!gguf_get_u32(&g, "llama.embedding", &d) && !gguf_get_u32(&g, "zzz", &d));
    const gguf_value *tokens = gguf_find(&g, "tokenizer.ggml.tokens");
    CHECK(tokens && tokens->n_items == 512 && tokens->item_type == GGUF_STRING);
    size_t cursor = 0, count = 0;
    while (gguf_next_str(&g, tokens, &cursor, &item)) {
        if (count == 1)
            CHECK(str_equal(item, STR("<s>")));
        count++;
    }
    CHECK(count == 512);
    const gguf_tensor *t = gguf_find_tensor(&g, "token_embd.weight");
    CHECK(t && t->n_dims == 2 && t->shape[0] == 64 && t->shape[1] == 512 && t->shape[2] == 1);
    uint64_t end = g.header_bytes;
    for (size_t i = 0; i < g.n_tensors; i++) {
        const gguf_tensor *x = &g.tensors[g.by_offset[i]];
        CHECK(x->offset == end);
        end = (x->offset + x->bytes + 31) & ~(uint64_t)31;
        CHECK(gguf_find_tensor(&g, "no such tensor") == NULL);
    }
    CHECK(end == n);
    gguf_free(&g);
    free(bytes);
}

static void writes_a_real_file_again(void)
{
    const char *path = test_find_model("stories260K.gguf");
    if (!path) {
        SKIP("no stories260K.gguf");
        return;
    }
    size_t n;
    char *bytes = test_read_file(path, &n);
    gguf g;
    uint64_t need;
    ingle_error err;
    ingle_text out = {0};
    gguf_writer w = {0};
    CHECK(gguf_parse(&g, bytes, n, n, &need, NULL, &err) == INGLE_OK);
    for (size_t i = 0; i < g.n_values; i++)
        gguf_write_value(&w, &g, &g.values[i]);
    for (size_t i = 0; i < g.n_tensors; i++) {
        const gguf_tensor *t = &g.tensors[i];
        CHECK(gguf_write_tensor(&w, t->name, t->format, t->n_dims, t->shape) + g.header_bytes ==
              t->offset);
    }
    CHECK_MSG(gguf_write_header(&w, &out, &err) == INGLE_OK, "%s", err.text);
    for (size_t i = 0; i < g.n_tensors; i++) {
        add(&out, bytes + g.tensors[i].offset, (size_t)g.tensors[i].bytes);
        for (uint64_t pad = gguf_padding(&w, g.tensors[i].bytes); pad; pad--)
            add(&out, "", 1);
    }
    CHECK(out.n == n && memcmp(out.bytes, bytes, n) == 0);
    gguf_writer_free(&w);
    gguf_free(&g);
    ingle_text_free(&out);
    free(bytes);
}

/* Every prefix asks for more, and following the advice takes few calls. */
static void asks_for_more(void)
{
    const char *path = test_find_model("stories260K.gguf");
    if (!path) {
        SKIP("no stories260K.gguf");
        return;
    }
    size_t n;
    char *bytes = test_read_file(path, &n);
    gguf g;
    uint64_t need = 0;
    ingle_error err;
    CHECK(gguf_parse(&g, bytes, n, n, &need, NULL, &err) == INGLE_OK);
    const size_t header = (size_t)g.header_bytes;
    gguf_free(&g);
    for (size_t have = 0; have < header; have += have < 600 ? 1 : 37) {
        char *part = malloc(have + 1); // its end guarded by the sanitizer
        memcpy(part, bytes, have);
        part = realloc(part, have ? have : 1);
        const ingle_status status = gguf_parse(&g, part, have, n, &need, NULL, &err);
        CHECK(status == INGLE_OK && (need == 0 || (need > have && need <= n && g.n_values == 0)));
        CHECK(need || have + 32 > header);
        gguf_free(&g);
        const ingle_status cut = gguf_parse(&g, part, have, have, &need, NULL, &err);
        CHECK_MSG(cut == INGLE_ERR_FORMAT && err.text[0], "(%zu: %s)", have, err.text);
        gguf_free(&g);
        free(part);
    }
    int calls = 0;
    need = 1;
    do {
        calls++;
        CHECK(gguf_parse(&g, bytes, (size_t)need, n, &need, NULL, &err) == INGLE_OK);
    } while (need && calls < 100);
    CHECK_MSG(calls < 30, "(%d calls)", calls);
    gguf_free(&g);
    CHECK(gguf_parse(&g, bytes, 10, 9, &need, NULL, &err) == INGLE_ERR_INTERNAL);
    free(bytes);
}

/* ---- values ------------------------------------------------------------------------------- */

static const float floats[] = {1.5f, -2.0f, 16777216.0f};
static const uint8_t bools[] = {0, 1, 1};
static const str strings[] = {{"one", 3}, {"", 0}, {"tw\0o", 4}};

static void write_all_types(gguf_writer *w)
{
    const uint8_t u8 = 255;
    const int8_t i8 = -128;
    const uint16_t u16 = 65535;
    const int16_t i16 = -32768;
    const int64_t i64 = INT64_MIN;
    const double f64 = 0.1;
    const int32_t i32s[] = {-1, 0, INT32_MAX};
    gguf_write_scalar(w, "u8", GGUF_U8, &u8);
    gguf_write_scalar(w, "i8", GGUF_I8, &i8);
    gguf_write_scalar(w, "u16", GGUF_U16, &u16);
    gguf_write_scalar(w, "i16", GGUF_I16, &i16);
    gguf_write_u32(w, "u32", UINT32_MAX);
    gguf_write_i32(w, "i32", INT32_MIN);
    gguf_write_f32(w, "f32", 0.5f);
    gguf_write_bool(w, "yes", true);
    gguf_write_bool(w, "no", false);
    gguf_write_str(w, "string", STR("text"));
    gguf_write_str(w, "empty", STR(""));
    gguf_write_u64(w, "u64", UINT64_MAX);
    gguf_write_scalar(w, "i64", GGUF_I64, &i64);
    gguf_write_scalar(w, "f64", GGUF_F64, &f64);
    gguf_write_array(w, "f32s", GGUF_F32, floats, 3);
    gguf_write_array(w, "bools", GGUF_BOOL, bools, 3);
    gguf_write_array(w, "i32s", GGUF_I32, i32s, 3);
    gguf_write_array(w, "none", GGUF_U64, NULL, 0);
    gguf_write_strs(w, "strings", strings, 3);
    gguf_write_strs(w, "no strings", NULL, 0);
}

static void reads_all_types(void)
{
    gguf_writer w = {0};
    ingle_text out = {0};
    ingle_error err;
    gguf g;
    write_all_types(&w);
    CHECK_MSG(gguf_write_header(&w, &out, &err) == INGLE_OK, "%s", err.text);
    CHECK(out.n % 32 == 0);
    CHECK(parse(&g, &out, &err) == INGLE_OK && g.n_values == 20 && g.n_tensors == 0);

    static const struct {
        const char *key, *print;
        gguf_type type, item_type;
        uint64_t n_items;
        bool has_i64, has_f64;
        int64_t i64; // item 0
        double f64;
    } want[] = {
        {"u8", "255", GGUF_U8, GGUF_U8, 1, 1, 1, 255, 255},
        {"i8", "-128", GGUF_I8, GGUF_I8, 1, 1, 1, -128, -128},
        {"u16", "65535", GGUF_U16, GGUF_U16, 1, 1, 1, 65535, 65535},
        {"i16", "-32768", GGUF_I16, GGUF_I16, 1, 1, 1, -32768, -32768},
        {"u32", "4294967295", GGUF_U32, GGUF_U32, 1, 1, 1, UINT32_MAX, 4294967295.0},
        {"i32", "-2147483648", GGUF_I32, GGUF_I32, 1, 1, 1, INT32_MIN, -2147483648.0},
        {"f32", "0.5", GGUF_F32, GGUF_F32, 1, 0, 1, 0, 0.5},
        {"yes", "true", GGUF_BOOL, GGUF_BOOL, 1, 1, 1, 1, 1},
        {"no", "false", GGUF_BOOL, GGUF_BOOL, 1, 1, 1, 0, 0},
        {"string", "text", GGUF_STRING, GGUF_STRING, 1, 0, 0, 0, 0},
        {"empty", "", GGUF_STRING, GGUF_STRING, 1, 0, 0, 0, 0},
        {"u64", "18446744073709551615", GGUF_U64, GGUF_U64, 1, 0, 1, 0, 18446744073709551616.0},
        {"i64", "-9223372036854775808", GGUF_I64, GGUF_I64, 1, 1, 1, INT64_MIN, -9223372036854775808.0},
        {"f64", "0.1", GGUF_F64, GGUF_F64, 1, 0, 1, 0, 0.1},
        {"f32s", "[3 x f32] 1.5, -2, 1.677722e+07", GGUF_ARRAY, GGUF_F32, 3, 0, 1, 0, 1.5},
        {"bools", "[3 x bool] false, true, true", GGUF_ARRAY, GGUF_BOOL, 3, 1, 1, 0, 0},
        {"i32s", "[3 x i32] -1, 0, 2147483647", GGUF_ARRAY, GGUF_I32, 3, 1, 1, -1, -1},
        {"none", "[0 x u64]", GGUF_ARRAY, GGUF_U64, 0, 0, 0, 0, 0},
        {"strings", "[3 x string] one, , tw?o", GGUF_ARRAY, GGUF_STRING, 3, 0, 0, 0, 0},
        {"no strings", "[0 x string]", GGUF_ARRAY, GGUF_STRING, 0, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const gguf_value *v = gguf_find(&g, want[i].key);
        CHECK_MSG(v == &g.values[i], "(%s)", want[i].key);
        CHECK(v->type == want[i].type && v->item_type == want[i].item_type && v->n_items == want[i].n_items);
        int64_t x = 0;
        double f = 0;
        CHECK_MSG(gguf_item_i64(v, 0, &x) == want[i].has_i64 && x == want[i].i64, "(%s)", want[i].key);
        CHECK_MSG(gguf_item_f64(v, 0, &f) == want[i].has_f64 && f == want[i].f64, "(%s)", want[i].key);
        CHECK(!gguf_item_i64(v, v->n_items, &x) && !gguf_item_f64(v, UINT64_MAX, &f));
        char text[64];
        gguf_print_value(&g, v, text, sizeof text);
        CHECK_TEXT(text, want[i].print);
    }
    size_t cursor = 0, n = 0;
    str item;
    while (gguf_next_str(&g, gguf_find(&g, "strings"), &cursor, &item)) {
        CHECK(n < 3 && str_equal(item, strings[n]));
        n++;
    }
    CHECK(n == 3);
    cursor = 0;
    CHECK(!gguf_next_str(&g, gguf_find(&g, "string"), &cursor, &item));
    gguf_free(&g);
    gguf_writer_free(&w);
    ingle_text_free(&out);
}

static void converts_what_fits(void)
{
    gguf_writer w = {0};
    ingle_text out = {0};
    ingle_error err;
    gguf g;
    const double whole = 4096.0, large = 1e300, tenth = 0.1, nothing = NAN, edge = 9223372036854775808.0;
    const uint32_t heads[] = {8, 9};
    gguf_write_scalar(&w, "whole", GGUF_F64, &whole);
    gguf_write_scalar(&w, "large", GGUF_F64, &large);
    gguf_write_scalar(&w, "tenth", GGUF_F64, &tenth);
    gguf_write_scalar(&w, "nan", GGUF_F64, &nothing);
    gguf_write_scalar(&w, "edge", GGUF_F64, &edge);
    gguf_write_i32(&w, "minus", -1);
    gguf_write_u64(&w, "long", (uint64_t)1 << 32);
    gguf_write_u32(&w, "one", 1);
    gguf_write_array(&w, "heads", GGUF_U32, heads, 2);
    gguf_write_str(&w, "text", STR("1"));
    CHECK(gguf_write_header(&w, &out, &err) == INGLE_OK && parse(&g, &out, &err) == INGLE_OK);
    uint32_t u = 77;
    float f = 77;
    bool b = false;
    str s = STR("kept");
    int64_t x;
    CHECK(gguf_get_u32(&g, "whole", &u) && u == 4096);
    CHECK(gguf_get_u32(&g, "heads", &u) && u == 8);
    CHECK(!gguf_get_u32(&g, "tenth", &u) && !gguf_get_u32(&g, "minus", &u) && u == 8);
    CHECK(!gguf_get_u32(&g, "long", &u) && !gguf_get_u32(&g, "text", &u) && !gguf_get_u32(&g, "nan", &u));
    CHECK(!gguf_item_i64(gguf_find(&g, "edge"), 0, &x) && !gguf_item_i64(gguf_find(&g, "nan"), 0, &x));
    CHECK(gguf_get_f32(&g, "tenth", &f) && f == 0.1f && gguf_get_f32(&g, "minus", &f) && f == -1.0f);
    CHECK(!gguf_get_f32(&g, "large", &f) && !gguf_get_f32(&g, "text", &f) && f == -1.0f);
    CHECK(gguf_get_f32(&g, "nan", &f) && isnan(f));
    CHECK(gguf_get_bool(&g, "one", &b) && b && !gguf_get_bool(&g, "heads", &b) && !gguf_get_bool(&g, "x", &b));
    CHECK(!gguf_get_str(&g, "one", &s) && !gguf_get_str(&g, "x", &s) && str_equal(s, STR("kept")));
    gguf_free(&g);
    gguf_writer_free(&w);
    ingle_text_free(&out);
}

static void prints_one_line(void)
{
    const char *raw = "a\033[31m\n\xC3\xA9\xFF\xC2\x85\xE2\x82\xAC";
    gguf_value v = {.type = GGUF_STRING, .item_type = GGUF_STRING, .n_items = 1, .bytes = {raw, strlen(raw)}};
    char text[64];
    gguf g = {.version = 3};
    gguf_print_value(&g, &v, text, sizeof text);
    CHECK_TEXT(text, "a?[31m?\xC3\xA9??\xE2\x82\xAC");
    // 7 bytes before the first accent, which takes two: it is kept whole or not at all
    for (size_t n = 0; n <= 20; n++) {
        char small[21];
        memset(small, 'x', sizeof small);
        gguf_print_value(&g, &v, small, n);
        if (n == 0)
            CHECK(small[0] == 'x');
        else
            CHECK(memchr(small, 0, n) != NULL);
        if (n == 12)
            CHECK_TEXT(small, "a?[31m?...");
        if (n == 13)
            CHECK_TEXT(small, "a?[31m?\xC3\xA9...");
    }
    const uint64_t large = UINT64_MAX;
    v = (gguf_value){.type = GGUF_U64, .item_type = GGUF_U64, .n_items = 1, .bytes = {(const char *)&large, 8}};
    char tiny[8];
    gguf_print_value(&g, &v, tiny, sizeof tiny);
    CHECK_TEXT(tiny, "...");
    CHECK_TEXT(gguf_type_name(GGUF_ARRAY), "array");
    CHECK_TEXT(gguf_type_name((gguf_type)99), "unknown");
}

/* ---- versions ----------------------------------------------------------------------------- */

static void reads_every_version(void)
{
    const uint64_t shape[] = {4, 3};
    for (uint32_t version = 1; version <= 3; version++) {
        ingle_text t = {0}, out = {0};
        add_head(&t, version, 1, 2);
        add_key_u32(&t, version, "a.b", 7);
        add_name(&t, version, "list");
        add_u32(&t, GGUF_ARRAY);
        add_u32(&t, GGUF_STRING);
        add_length(&t, version, 2);
        add_name(&t, version, "first");
        add_name(&t, version, "second");
        add_tensor(&t, version, "w", 2, shape, QUANT_F32, 0);
        add_data(&t, 48);
        gguf g;
        ingle_error err;
        CHECK_MSG(parse(&g, &t, &err) == INGLE_OK, "%s", err.text);
        uint32_t seven = 0;
        CHECK(g.version == version && gguf_get_u32(&g, "a.b", &seven) && seven == 7);
        const gguf_tensor *w = gguf_find_tensor(&g, "w");
        CHECK(w && w->bytes == 48 && w->offset == g.header_bytes && w->offset + 48 == t.n);
        // what is copied from any version is version 3
        gguf_writer writer = {0};
        gguf_write_value(&writer, &g, gguf_find(&g, "list"));
        CHECK(gguf_write_header(&writer, &out, &err) == INGLE_OK);
        gguf copy;
        CHECK(parse(&copy, &out, &err) == INGLE_OK && copy.version == 3);
        char text[64];
        gguf_print_value(&copy, &copy.values[0], text, sizeof text);
        CHECK_TEXT(text, "[2 x string] first, second");
        gguf_free(&copy);
        gguf_free(&g);
        gguf_writer_free(&writer);
        ingle_text_free(&out);
        ingle_text_free(&t);
    }
}

/* ---- refusing ----------------------------------------------------------------------------- */

static void refuses_heads(void)
{
    ingle_text t = {0};
    REFUSED(&t, "goes on to byte 8 or further, the file has 0");
    add(&t, "GGML", 4);
    REFUSED(&t, "not a GGUF file");
    add(&t, "GX", 2);
    REFUSED(&t, "not a GGUF file");
    add_head(&t, 3, 0, 0);
    t.n -= 1;
    REFUSED(&t, "the GGUF header goes on to byte 24 or further, the file has 23");
    add_head(&t, 0, 0, 0);
    REFUSED(&t, "version 0");
    add_head(&t, 4, 0, 0);
    refused(&t, INGLE_ERR_UNSUPPORTED, "version 4", __LINE__);
    add_head(&t, 3u << 24, 0, 0);
    refused(&t, INGLE_ERR_UNSUPPORTED, "big-endian", __LINE__);
    add_head(&t, 3, 0, (uint64_t)1 << 60);
    REFUSED(&t, "1152921504606846976 keys and 0 tensors are more than a file of 24 bytes");
    add_head(&t, 3, UINT64_MAX, UINT64_MAX);
    REFUSED(&t, "are more than a file of 24 bytes");
    add_head(&t, 3, 1, 0);
    REFUSED(&t, "0 keys and 1 tensors are more");
    // an unknown total leaves the cap
    gguf g;
    uint64_t need;
    ingle_error err;
    add_head(&t, 3, GGUF_COUNT_MAX + 1, 0);
    CHECK(gguf_parse(&g, t.bytes, t.n, UINT64_MAX, &need, NULL, &err) == INGLE_ERR_FORMAT);
    ingle_text_free(&t);
}

static void refuses_keys(void)
{
    ingle_text t = {0};
    add_head(&t, 3, 0, 1);
    add_key_u32(&t, 3, "", 1);
    add_u64(&t, 0);
    REFUSED(&t, "key 1 of 1 has a name of 0 bytes");
    add_head(&t, 3, 0, 1);
    add_u64(&t, 65536);
    add_u64(&t, 0);
    REFUSED(&t, "has a name of 65536 bytes");
    add_head(&t, 3, 0, 2);
    add_key_u32(&t, 3, "twice", 1);
    add_key_u32(&t, 3, "twice", 2);
    REFUSED(&t, "key twice is there twice");
    add_head(&t, 3, 0, 1);
    add_key_u32(&t, 3, "new\nline", 1);
    REFUSED(&t, "the name of key 1 of 1 is no plain text at byte 3");
    add_head(&t, 3, 0, 1);
    add_key_u32(&t, 3, "bad\xC3", 1);
    REFUSED(&t, "is no plain text at byte 3");
    add_head(&t, 3, 0, 2);
    add_key_u32(&t, 3, "a", 1);
    add_u64(&t, 900);
    add_u64(&t, 0);
    REFUSED(&t, "key 2 of 2 goes on to byte 949 or further, the file has 57");
}

static void refuses_values(void)
{
    ingle_text t = {0};
    add_head(&t, 3, 0, 1);
    add_name(&t, 3, "k");
    add_u32(&t, GGUF_TYPE_COUNT);
    add_u64(&t, 0);
    REFUSED(&t, "key k has a value of unknown type 13");
    add_head(&t, 3, 0, 1);
    add_name(&t, 3, "k");
    add_u32(&t, GGUF_BOOL);
    add(&t, "\2", 1);
    REFUSED(&t, "key k has a boolean of value 2");
    const uint64_t counts[] = {2, 1000, (uint64_t)1 << 32, (uint64_t)1 << 61, (uint64_t)1 << 63, UINT64_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        static const uint32_t types[] = {GGUF_U64, GGUF_STRING};
        for (int k = 0; k < 2; k++) {
            add_head(&t, 3, 0, 1);
            add_name(&t, 3, "k");
            add_u32(&t, GGUF_ARRAY);
            add_u32(&t, types[k]);
            add_u64(&t, counts[i]);
            add_u64(&t, 0);
            REFUSED(&t, "key k ");
        }
        add_head(&t, 3, 0, 1); // the same as the length of a text
        add_name(&t, 3, "k");
        add_u32(&t, GGUF_STRING);
        add_u64(&t, counts[i]);
        add(&t, "x", 1);
        REFUSED(&t, "key k goes on to byte");
        add_head(&t, 3, 0, 1); // and of an item of an array
        add_name(&t, 3, "k");
        add_u32(&t, GGUF_ARRAY);
        add_u32(&t, GGUF_STRING);
        add_u64(&t, 1);
        add_u64(&t, counts[i]);
        add(&t, "x", 1);
        REFUSED(&t, "key k goes on to byte");
    }
    static const uint32_t items[] = {GGUF_ARRAY, GGUF_TYPE_COUNT, UINT32_MAX};
    for (size_t i = 0; i < 3; i++) {
        add_head(&t, 3, 0, 1);
        add_name(&t, 3, "k");
        add_u32(&t, GGUF_ARRAY);
        add_u32(&t, items[i]);
        add_u64(&t, 0);
        add_u64(&t, 0);
        REFUSED(&t, i ? "key k is an array of unknown type" : "key k is an array of arrays");
    }
    add_head(&t, 3, 0, 1);
    add_name(&t, 3, "k");
    add_u32(&t, GGUF_ARRAY);
    add_u32(&t, GGUF_BOOL);
    add_u64(&t, 3);
    add(&t, "\0\1\xFF", 3);
    REFUSED(&t, "key k has a boolean of value 255");
}

static void refuses_alignments(void)
{
    static const uint32_t bad[] = {0, 1, 4, 24, 33, 2u << 20, UINT32_MAX};
    ingle_text t = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        add_head(&t, 3, 0, 1);
        add_key_u32(&t, 3, "general.alignment", bad[i]);
        REFUSED(&t, "general.alignment is");
    }
    add_head(&t, 3, 0, 1);
    add_name(&t, 3, "general.alignment");
    add_u32(&t, GGUF_STRING);
    add_name(&t, 3, "32\n");
    REFUSED(&t, "general.alignment is 32?, not a power of two");
    static const uint32_t good[] = {8, 16, 64, 4096, GGUF_ALIGNMENT_MAX};
    const uint64_t shape[] = {1};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        gguf g;
        ingle_error err;
        uint64_t need;
        add_head(&t, 3, 1, 1);
        add_key_u32(&t, 3, "general.alignment", good[i]);
        add_tensor(&t, 3, "w", 1, shape, QUANT_F32, good[i]);
        CHECK(gguf_parse(&g, t.bytes, t.n, UINT64_MAX, &need, NULL, &err) == INGLE_OK && need == 0);
        CHECK(g.alignment == good[i] && g.header_bytes % good[i] == 0 && g.header_bytes >= t.n &&
              g.header_bytes < t.n + good[i] && g.tensors[0].offset == g.header_bytes + good[i]);
        gguf_free(&g);
        ingle_text_free(&t);
    }
}

static void refuses_tensors(void)
{
    static const struct {
        const char *name;
        uint32_t n_dims;
        uint64_t shape[4];
        uint32_t format;
        uint64_t offset;
        ingle_status status;
        const char *text;
    } cases[] = {
        {"w", 1, {8}, QUANT_F32, 0, INGLE_OK, ""},
        {"w", 4, {2, 2, 2, 1}, QUANT_F32, 32, INGLE_OK, ""},
        {"w", 0, {0}, QUANT_F32, 0, INGLE_ERR_FORMAT, "tensor w has 0 dimensions"},
        {"w", 5, {1, 1, 1, 1}, QUANT_F32, 0, INGLE_ERR_FORMAT, "tensor w has 5 dimensions"},
        {"w", UINT32_MAX, {1}, QUANT_F32, 0, INGLE_ERR_FORMAT, "tensor w has 4294967295 dimensions"},
        {"w", 2, {8, 0}, QUANT_F32, 0, INGLE_ERR_FORMAT, "tensor w has no values: dimension 1 is 0"},
        {"w", 1, {0}, QUANT_F32, 0, INGLE_ERR_FORMAT, "dimension 0 is 0"},
        {"", 1, {8}, QUANT_F32, 0, INGLE_ERR_FORMAT, "tensor 1 of 1 has a name of 0 bytes"},
        {"w\x7F", 1, {8}, QUANT_F32, 0, INGLE_ERR_FORMAT, "no plain text"},
        {"w", 1, {8}, 4, 0, INGLE_ERR_UNSUPPORTED, "tensor w has format 4"},
        {"w", 1, {8}, 144, 0, INGLE_ERR_UNSUPPORTED, "tensor w has format 144 ("},
        {"w", 1, {8}, 9999, 0, INGLE_ERR_UNSUPPORTED, "tensor w has format 9999, which"},
        {"w", 1, {8}, UINT32_MAX, 0, INGLE_ERR_UNSUPPORTED, "tensor w has format 4294967295"},
        {"w", 2, {33, 32}, QUANT_Q4_0, 0, INGLE_ERR_FORMAT, "rows of 33 values, which are no whole Q4_0 blocks of 32"},
        {"w", 1, {17}, QUANT_F32, 0, INGLE_ERR_FORMAT, "tensor w ends at byte"},
        {"w", 1, {9}, QUANT_F32, 32, INGLE_ERR_FORMAT, "the file has"},
        {"w", 1, {1}, QUANT_F32, 1, INGLE_ERR_FORMAT, "no multiple of 32"},
        {"w", 1, {1}, QUANT_F32, 96, INGLE_ERR_FORMAT, "ends at byte"},
        {"w", 1, {1}, QUANT_F32, ~(uint64_t)31, INGLE_ERR_FORMAT, "beyond any file"},
        {"w", 1, {1}, QUANT_F32, (uint64_t)1 << 63, INGLE_ERR_FORMAT, "ends at byte"},
        {"w", 2, {(uint64_t)1 << 32, (uint64_t)1 << 32}, QUANT_F32, 0, INGLE_ERR_FORMAT, "product is too large"},
        {"w", 4, {65536, 65536, 65536, 65536}, QUANT_I8, 0, INGLE_ERR_FORMAT, "product is too large"},
        {"w", 2, {((uint64_t)1 << 42) + 1, (uint64_t)1 << 22}, QUANT_F32, 0, INGLE_ERR_FORMAT, "product is too large"},
        {"w", 1, {INT64_MAX}, QUANT_F64, 0, INGLE_ERR_FORMAT, "tensor w "},
        {"w", 2, {(uint64_t)1 << 31, (uint64_t)1 << 31}, QUANT_F64, 0, INGLE_ERR_FORMAT, "tensor w "},
        {"w", 1, {UINT64_MAX}, QUANT_I8, 0, INGLE_ERR_FORMAT, "product is too large"},
        {"w", 2, {(uint64_t)1 << 30, 4}, QUANT_F32, 0, INGLE_ERR_FORMAT, "ends at byte"},
        {"w", 2, {(uint64_t)1 << 30, 1}, QUANT_F32, 0, INGLE_ERR_FORMAT, "ends at byte"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ingle_text t = {0};
        add_head(&t, 3, 1, 0);
        add_name(&t, 3, cases[i].name);
        add_u32(&t, cases[i].n_dims);
        for (uint32_t k = 0; k < cases[i].n_dims && k < 4; k++)
            add_u64(&t, cases[i].shape[k]);
        add_u32(&t, cases[i].format);
        add_u64(&t, cases[i].offset);
        add_data(&t, 64);
        if (cases[i].status != INGLE_OK) {
            refused(&t, cases[i].status, cases[i].text, (int)i);
            continue;
        }
        gguf g;
        ingle_error err;
        CHECK_MSG(parse(&g, &t, &err) == INGLE_OK, "(%zu: %s)", i, err.text);
        gguf_free(&g);
        ingle_text_free(&t);
    }
}

static void refuses_overlap(void)
{
    const uint64_t shape[] = {16};
    static const uint64_t offsets[][3] = {{0, 64, 128}, {128, 0, 64}, {0, 0, 128}, {0, 32, 128}, {160, 64, 128}, {64, 128, 32}};
    for (size_t i = 0; i < 6; i++) {
        ingle_text t = {0};
        add_head(&t, 3, 3, 0);
        add_tensor(&t, 3, "a", 1, shape, QUANT_F32, offsets[i][0]);
        add_tensor(&t, 3, "b", 1, shape, QUANT_F32, offsets[i][1]);
        add_tensor(&t, 3, "c", 1, shape, QUANT_F32, offsets[i][2]);
        add_data(&t, 256);
        if (i >= 2) {
            REFUSED(&t, ", within tensor ");
            continue;
        }
        gguf g;
        ingle_error err;
        CHECK(parse(&g, &t, &err) == INGLE_OK);
        for (size_t k = 1; k < 3; k++)
            CHECK(g.tensors[g.by_offset[k - 1]].offset < g.tensors[g.by_offset[k]].offset);
        gguf_free(&g);
        ingle_text_free(&t);
    }
    ingle_text t = {0};
    add_head(&t, 3, 2, 0);
    add_tensor(&t, 3, "same", 1, shape, QUANT_F32, 0);
    add_tensor(&t, 3, "same", 1, shape, QUANT_F32, 64);
    add_data(&t, 128);
    REFUSED(&t, "tensor same is there twice");
}

/* Sizes against 128-bit arithmetic, for shapes of every magnitude. */
static void sizes_never_wrap(void)
{
    __extension__ typedef unsigned __int128 wide;
    uint64_t seed = 1;
    static const uint32_t formats[] = {QUANT_F32, QUANT_Q4_0, QUANT_Q6_K, QUANT_I8, QUANT_F64};
    int fit = 0;
    for (int round = 0; round < 20000; round++) {
        const quant_traits *f = quant_find(formats[test_random(&seed) % 5]);
        const uint32_t n_dims = (uint32_t)(1 + test_random(&seed) % 4);
        uint64_t shape[4];
        wide values = 1;
        bool small = true; // the product so far fits 63 bits
        for (uint32_t i = 0; i < n_dims; i++) {
            shape[i] = test_random(&seed) >> (test_random(&seed) % 64);
            shape[i] += test_random(&seed) % 3;
            shape[i] = shape[i] ? shape[i] : 1;
            if (i == 0 && shape[0] > f->values)
                shape[0] -= shape[0] % f->values;
            if (small)
                values *= shape[i];
            small = small && values <= INT64_MAX;
        }
        const wide bytes = values / f->values * f->bytes;
        const bool want = small && shape[0] % f->values == 0 && bytes <= UINT64_MAX - 1024;
        ingle_text t = {0};
        gguf g;
        uint64_t need;
        ingle_error err;
        add_head(&t, 3, 1, 0);
        add_tensor(&t, 3, "w", n_dims, shape, f->id, 0);
        const ingle_status status = gguf_parse(&g, t.bytes, t.n, UINT64_MAX, &need, NULL, &err);
        CHECK_MSG((status == INGLE_OK) == want, "(%s, want %d)", err.text, want);
        if (status == INGLE_OK)
            CHECK(g.tensors[0].bytes == (uint64_t)bytes && g.tensors[0].n_values == (uint64_t)values);
        fit += want;
        gguf_free(&g);
        ingle_text_free(&t);
    }
    CHECK_MSG(fit > 2000 && fit < 18000, "(%d)", fit);
}

/* Flipped bytes and huge counts in a real file: refused, or every tensor lies in the file. */
static void survives_damage(void)
{
    const char *path = test_find_model("stories260K.gguf");
    if (!path) {
        SKIP("no stories260K.gguf");
        return;
    }
    size_t n;
    char *bytes = test_read_file(path, &n);
    gguf g;
    uint64_t need, seed = 7;
    CHECK(gguf_parse(&g, bytes, n, n, &need, NULL, NULL) == INGLE_OK);
    const size_t header = (size_t)g.header_bytes;
    gguf_free(&g);
    static const uint64_t huge[] = {(uint64_t)1 << 63, UINT64_MAX, (uint64_t)1 << 32, (uint64_t)1 << 31, ((uint64_t)1 << 62) + 1};
    char *copy = malloc(header);
    int opened = 0;
    for (int round = 0; round < 3000; round++) {
        memcpy(copy, bytes, header);
        if (round % 3 == 0)
            memcpy(copy + 8 + test_random(&seed) % (header - 16), &huge[test_random(&seed) % 5], 8);
        else
            for (uint64_t k = test_random(&seed) % 4 + 1; k; k--)
                copy[test_random(&seed) % header] = (char)test_random(&seed);
        ingle_error err;
        const ingle_status status = gguf_parse(&g, copy, header, n, &need, NULL, &err);
        CHECK(status == INGLE_OK || status == INGLE_ERR_FORMAT || status == INGLE_ERR_UNSUPPORTED);
        CHECK((status == INGLE_OK) == (err.text[0] == 0));
        opened += status == INGLE_OK && need == 0;
        for (size_t i = 0; i < g.n_tensors; i++)
            CHECK(g.tensors[i].offset >= g.header_bytes && g.tensors[i].offset + g.tensors[i].bytes <= n);
        gguf_free(&g);
    }
    CHECK_MSG(opened > 100, "(%d)", opened);
    free(copy);
    free(bytes);
}

/* ---- speed -------------------------------------------------------------------------------- */

static double parse_seconds(const ingle_text *t)
{
    gguf g;
    ingle_error err;
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    CHECK_MSG(parse(&g, t, &err) == INGLE_OK, "%s", err.text);
    clock_gettime(CLOCK_MONOTONIC, &b);
    gguf_free(&g);
    return (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
}

/* A large vocabulary, and a hundred thousand names that differ at their ends. Bounds that only a
 * reader of another order of growth would miss; the figures are printed on request. */
static void is_fast(void)
{
    ingle_text t = {0};
    char name[128];
    add_head(&t, 3, 0, 1);
    add_name(&t, 3, "tokenizer.ggml.tokens");
    add_u32(&t, GGUF_ARRAY);
    add_u32(&t, GGUF_STRING);
    add_u64(&t, 150000);
    for (int i = 0; i < 150000; i++) {
        snprintf(name, sizeof name, "%0*d", i % 50, i);
        add_name(&t, 3, name);
    }
    const double vocabulary = parse_seconds(&t);
    CHECK_MSG(vocabulary < 0.2, "(%.4f s for %zu bytes)", vocabulary, t.n);
    const size_t bytes = t.n;
    ingle_text_free(&t);
    add_head(&t, 3, 50000, 50000);
    for (int i = 0; i < 50000; i++) {
        snprintf(name, sizeof name, "%0100d", i * 7919 % 50000);
        add_key_u32(&t, 3, name, 1);
    }
    const uint64_t shape[] = {8};
    for (uint64_t i = 0; i < 50000; i++) {
        snprintf(name, sizeof name, "%0100d", (int)(i * 7919 % 50000));
        add_tensor(&t, 3, name, 1, shape, QUANT_F32, i * 32 * 7919 % (50000 * 32));
    }
    add_data(&t, 50000 * 32);
    const double names = parse_seconds(&t);
    CHECK_MSG(names < 2.0, "(%.3f s)", names);
    if (getenv("INGLE_TEST_TIMES"))
        printf("150000 strings (%zu bytes): %.2f ms; 100000 names: %.1f ms\n", bytes, vocabulary * 1e3, names * 1e3);
    ingle_text_free(&t);
}

/* ---- split sets --------------------------------------------------------------------------- */

/* Part no of a set of count, with n tensors named by `first` on; tells of `total` tensors. */
static ingle_text make_part(uint32_t no, uint32_t count, uint32_t n, uint32_t first, int32_t total)
{
    ingle_text t = {0};
    const uint64_t shape[] = {8};
    gguf_writer w = {0};
    const uint16_t no16 = (uint16_t)no, count16 = (uint16_t)count;
    gguf_write_scalar(&w, "split.no", GGUF_U16, &no16);
    gguf_write_scalar(&w, "split.count", GGUF_U16, &count16);
    gguf_write_i32(&w, "split.tensors.count", total);
    for (uint32_t i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "t%" PRIu32, first + i);
        gguf_write_tensor(&w, str_of(name), QUANT_F32, 1, shape);
    }
    ingle_error err;
    CHECK_MSG(gguf_write_header(&w, &t, &err) == INGLE_OK, "%s", err.text);
    add_data(&t, (size_t)w.data_bytes);
    gguf_writer_free(&w);
    return t;
}

static ingle_status add_part(gguf *g, uint32_t no, const ingle_text *t, ingle_error *err)
{
    return gguf_add_part(g, no, t->bytes, t->n, t->n, err);
}

static void joins_parts(void)
{
    ingle_text parts[4] = {make_part(0, 4, 0, 0, 30), make_part(1, 4, 10, 0, 30), make_part(2, 4, 15, 10, 30), make_part(3, 4, 5, 25, 30)};
    gguf g;
    ingle_error err;
    CHECK(parse(&g, &parts[0], &err) == INGLE_OK && g.n_parts == 4 && g.n_tensors == 0);
    CHECK(add_part(&g, 2, &parts[2], &err) == INGLE_ERR_USAGE);
    CHECK(add_part(&g, 1, &parts[2], &err) == INGLE_ERR_FORMAT);
    CHECK_TEXT(err.text, "part 2 of 4 says it is part 3 of 4");
    for (uint32_t i = 1; i < 4; i++)
        CHECK_MSG(add_part(&g, i, &parts[i], &err) == INGLE_OK, "%s", err.text);
    CHECK(add_part(&g, 4, &parts[3], &err) == INGLE_ERR_USAGE);
    CHECK(g.n_tensors == 30);
    for (uint32_t i = 0; i < 30; i++) {
        char name[32];
        snprintf(name, sizeof name, "t%" PRIu32, i);
        const gguf_tensor *t = gguf_find_tensor(&g, name);
        CHECK(t == &g.tensors[i] && t->part == (i < 10 ? 1u : i < 25 ? 2u : 3u));
        CHECK(g.by_offset[i] == i);
        CHECK(t->offset + t->bytes <= parts[t->part].n);
    }
    gguf_free(&g);
    CHECK(parse(&g, &parts[1], &err) == INGLE_OK && g.part_no == 1 && g.tensors[0].part == 1);
    CHECK(add_part(&g, 1, &parts[1], &err) == INGLE_ERR_FORMAT);
    CHECK_TEXT(err.text, "this is part 2 of 4: open the first part");
    gguf_free(&g);
    for (int i = 0; i < 4; i++)
        ingle_text_free(&parts[i]);
}

static void refuses_parts(void)
{
    ingle_text first = make_part(0, 2, 3, 0, 5), good = make_part(1, 2, 2, 3, 5);
    ingle_text twice = make_part(1, 2, 2, 2, 5), few = make_part(1, 2, 1, 3, 5), none = {0};
    add_head(&none, 3, 0, 0);
    gguf g;
    ingle_error err;
    CHECK(parse(&g, &first, &err) == INGLE_OK);
    CHECK(add_part(&g, 1, &twice, &err) == INGLE_ERR_FORMAT);
    CHECK_TEXT(err.text, "tensor t2 is in two parts");
    CHECK(g.n_tensors == 3 && gguf_find_tensor(&g, "t2") && !gguf_find_tensor(&g, "t3"));
    CHECK(add_part(&g, 1, &few, &err) == INGLE_ERR_FORMAT);
    CHECK_TEXT(err.text, "split.tensors.count is 5, the parts have 4 tensors");
    CHECK(add_part(&g, 1, &none, &err) == INGLE_ERR_FORMAT);
    CHECK(gguf_add_part(&g, 1, good.bytes, 40, good.n, &err) == INGLE_ERR_USAGE);
    CHECK(gguf_add_part(&g, 1, good.bytes, 40, 40, &err) == INGLE_ERR_FORMAT);
    CHECK(g.n_tensors == 3 && add_part(&g, 1, &good, &err) == INGLE_OK && g.n_tensors == 5);
    CHECK(gguf_find_tensor(&g, "t4") == &g.tensors[4]);
    gguf_free(&g);
    gguf alone = {.n_parts = 1}; // never parsed
    CHECK(add_part(&alone, 1, &good, &err) == INGLE_ERR_USAGE && !gguf_find_tensor(&alone, "t"));
    ingle_text t = {0};
    add_head(&t, 3, 0, 2);
    add_key_u32(&t, 3, "split.no", 2);
    add_key_u32(&t, 3, "split.count", 2);
    REFUSED(&t, "split.no 2 and split.count 2 make no set");
    add_head(&t, 3, 0, 1);
    add_key_u32(&t, 3, "split.count", 65536);
    REFUSED(&t, "make no set");
    add_head(&t, 3, 0, 1);
    add_key_u32(&t, 3, "split.count", 0);
    CHECK(parse(&g, &t, &err) == INGLE_OK && g.n_parts == 1);
    gguf_free(&g);
    ingle_text_free(&t);
    ingle_text_free(&first);
    ingle_text_free(&good);
    ingle_text_free(&twice);
    ingle_text_free(&few);
    ingle_text_free(&none);
}

static void names_parts(void)
{
    char out[64];
    uint32_t count = 0;
    CHECK(gguf_split_name("m/x-00001-of-00003.gguf", 1, &count, out, sizeof out) && count == 3);
    CHECK_TEXT(out, "m/x-00002-of-00003.gguf");
    CHECK(gguf_split_name("-00003-of-00003.gguf", 0, NULL, out, sizeof out));
    CHECK_TEXT(out, "-00001-of-00003.gguf");
    CHECK(gguf_split_name("x-99999-of-99999.gguf", 99998, &count, out, sizeof out) && count == 99999);
    CHECK(!gguf_split_name("x-00001-of-00003.gguf", 3, &count, out, sizeof out) && count == 3);
    CHECK(!gguf_split_name("x-00001-of-00003.gguf", 1, &count, out, 21));
    CHECK(gguf_split_name("x-00001-of-00003.gguf", 1, &count, out, 22));
    static const char *const bad[] = {"x.gguf", "", "x-00000-of-00003.gguf", "x-00004-of-00003.gguf", "x-0001-of-00003.gguf", "x-00001-of-0000a.gguf", "x_00001-of-00003.gguf", "x-00001-off00003.gguf", "x-00001-of-00003.ggux", "x-00001-of-00000.gguf", "x-00001-of-00003.gguf.part"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_MSG(!gguf_split_name(bad[i], 0, &count, out, sizeof out), "(%s)", bad[i]);
}

/* ---- writing ------------------------------------------------------------------------------ */

/* Writes with `fill`; wants a failure that holds text. */
static void not_written(void (*fill)(gguf_writer *), const char *text)
{
    gguf_writer w = {0};
    ingle_text out = {0};
    ingle_error err;
    add(&out, "before", 6);
    fill(&w);
    gguf_write_u32(&w, "later", 1); // a no-op after a failure
    const ingle_status status = gguf_write_header(&w, &out, &err);
    CHECK_MSG(status == INGLE_ERR_USAGE && err.status == status && strstr(err.text, text), "%s", err.text);
    CHECK(out.n == 6);
    gguf_writer_free(&w);
    ingle_text_free(&out);
}

static const uint64_t shape_8[] = {8}, shape_0[] = {0}, shape_33[] = {33}, shape_wide[] = {UINT64_MAX / 8, 4};

static void fill_twice(gguf_writer *w) { gguf_write_u32(w, "k", 1); gguf_write_str(w, "k", STR("")); }
static void fill_empty(gguf_writer *w) { gguf_write_u32(w, "", 1); }
static void fill_type(gguf_writer *w) { gguf_write_scalar(w, "k", GGUF_STRING, ""); }
static void fill_array(gguf_writer *w) { gguf_write_array(w, "k", GGUF_ARRAY, "", 0); }
static void fill_bool(gguf_writer *w) { gguf_write_scalar(w, "k", GGUF_BOOL, "\2"); }
static void fill_zero(gguf_writer *w) { gguf_write_tensor(w, STR("w"), QUANT_F32, 1, shape_0); }
static void fill_dims(gguf_writer *w) { gguf_write_tensor(w, STR("w"), QUANT_F32, 5, shape_8); }
static void fill_format(gguf_writer *w) { gguf_write_tensor(w, STR("w"), 4, 1, shape_8); }
static void fill_block(gguf_writer *w) { gguf_write_tensor(w, STR("w"), QUANT_Q4_0, 1, shape_33); }
static void fill_wide(gguf_writer *w) { gguf_write_tensor(w, STR("w"), QUANT_F32, 2, shape_wide); }
static void fill_same(gguf_writer *w)
{
    gguf_write_tensor(w, STR("w"), QUANT_F32, 1, shape_8);
    gguf_write_tensor(w, STR("w"), QUANT_F32, 1, shape_8);
}
static void fill_align(gguf_writer *w) { gguf_write_u32(w, "general.alignment", 12); }
static void fill_align_set(gguf_writer *w) { w->alignment = 12; }
static void fill_align_late(gguf_writer *w)
{
    gguf_write_tensor(w, STR("w"), QUANT_F32, 1, shape_8);
    gguf_write_u32(w, "general.alignment", 64);
}

static void refuses_to_write(void)
{
    not_written(fill_twice, "key k is there twice");
    not_written(fill_empty, "a name of 0 bytes");
    not_written(fill_type, "writing k: not a type of numbers");
    not_written(fill_array, "writing k: not an array of numbers");
    not_written(fill_bool, "a boolean of value 2");
    not_written(fill_zero, "writing w: no tensor has this shape");
    not_written(fill_dims, "no tensor has this shape");
    not_written(fill_format, "no tensor has this shape");
    not_written(fill_block, "no tensor has this shape");
    not_written(fill_wide, "no tensor has this shape");
    not_written(fill_same, "tensor w is there twice");
    not_written(fill_align, "a power of two");
    not_written(fill_align_set, "a power of two");
    not_written(fill_align_late, "before the first tensor");
}

static void writes_alignments(void)
{
    for (int by_key = 0; by_key < 2; by_key++) {
        gguf_writer w = {0};
        ingle_text out = {0};
        ingle_error err;
        gguf g;
        if (by_key)
            gguf_write_u32(&w, "general.alignment", 64);
        else
            w.alignment = 64;
        CHECK(gguf_write_tensor(&w, STR("a"), QUANT_F32, 1, shape_8) == 0);
        CHECK(gguf_write_tensor(&w, STR("b"), QUANT_F32, 1, shape_8) == 64);
        CHECK(w.data_bytes == 128 && gguf_padding(&w, 32) == 32 && gguf_padding(&w, 64) == 0 && gguf_padding(&w, 1) == 63);
        CHECK_MSG(gguf_write_header(&w, &out, &err) == INGLE_OK, "%s", err.text);
        CHECK(out.n % 64 == 0);
        add_data(&out, 128);
        CHECK(parse(&g, &out, &err) == INGLE_OK && g.alignment == 64 && g.header_bytes + 128 == out.n);
        gguf_free(&g);
        gguf_writer_free(&w);
        ingle_text_free(&out);
    }
}

/* ---- memory ------------------------------------------------------------------------------- */

static ingle_status write_and_read(void *user, const ingle_allocator *a)
{
    (void)user;
    gguf_writer w = {.allocator = *a};
    ingle_text out = {.allocator = *a};
    gguf g = {0};
    uint64_t need;
    w.alignment = 64;
    write_all_types(&w);
    gguf_write_tensor(&w, STR("w"), QUANT_F32, 1, shape_8);
    ingle_status status = gguf_write_header(&w, &out, NULL);
    if (status == INGLE_OK)
        status = gguf_parse(&g, out.bytes, out.n, out.n + 64, &need, a, NULL);
    gguf_writer copy = {.allocator = *a};
    for (size_t i = 0; i < g.n_values; i++)
        gguf_write_value(&copy, &g, &g.values[i]);
    if (status == INGLE_OK)
        status = gguf_write_header(&copy, &out, NULL);
    gguf_free(&g);
    gguf_writer_free(&copy);
    gguf_writer_free(&w);
    ingle_text_free(&out);
    return status;
}

static ingle_status join(void *user, const ingle_allocator *a)
{
    const ingle_text *parts = user;
    gguf g;
    uint64_t need;
    ingle_status status = gguf_parse(&g, parts[0].bytes, parts[0].n, parts[0].n, &need, a, NULL);
    for (uint32_t i = 1; i < 3 && status == INGLE_OK; i++)
        status = gguf_add_part(&g, i, parts[i].bytes, parts[i].n, parts[i].n, NULL);
    gguf_free(&g);
    return status;
}

static void survives_without_memory(void)
{
    CHECK(test_every_allocation(write_and_read, NULL) > 10);
    ingle_text parts[3] = {make_part(0, 3, 2, 0, 2000), make_part(1, 3, 1000, 2, 2000), make_part(2, 3, 998, 1002, 2000)};
    CHECK(test_every_allocation(join, parts) > 10);
    for (int i = 0; i < 3; i++)
        ingle_text_free(&parts[i]);
    gguf_free(NULL);
    gguf_writer_free(NULL);
}

TESTS(T(reads_a_real_file) T(writes_a_real_file_again) T(asks_for_more) T(reads_all_types)
      T(converts_what_fits) T(prints_one_line) T(reads_every_version) T(refuses_heads)
      T(refuses_keys) T(refuses_values) T(refuses_alignments) T(refuses_tensors)
      T(refuses_overlap) T(sizes_never_wrap) T(survives_damage) T(is_fast) T(joins_parts)
      T(refuses_parts) T(names_parts) T(refuses_to_write) T(writes_alignments)
      T(survives_without_memory))
