/* A GGUF file, parsed at once and by prefixes: what is accepted lies within the file, is found by
 * name, can be printed, and is the same after being written again. */
#include "file/gguf.h"
#include "fuzz.h"

static void check_tensors(const gguf *g, uint64_t total)
{
    uint64_t end = g->header_bytes;
    for (size_t i = 0; i < g->n_tensors; i++) {
        const gguf_tensor *t = &g->tensors[g->by_offset[i]];
        MUST(t->offset >= end && t->bytes > 0 && t->bytes <= total && t->offset <= total - t->bytes);
        MUST(t->offset % g->alignment == 0 && t->n_dims >= 1 && t->n_dims <= 4);
        end = t->offset + t->bytes;
        char name[64];
        if (t->name.n < sizeof name) {
            memcpy(name, t->name.p, t->name.n);
            name[t->name.n] = 0;
            MUST(gguf_find_tensor(g, name) == t);
        }
    }
}

static void check_values(const gguf *g)
{
    for (size_t i = 0; i < g->n_values; i++) {
        const gguf_value *v = &g->values[i];
        char text[40];
        int64_t whole;
        double number;
        str item;
        uint64_t n = 0;
        gguf_print_value(g, v, text, sizeof text);
        MUST(memchr(text, 0, sizeof text));
        gguf_item_i64(v, v->n_items ? v->n_items - 1 : 0, &whole);
        gguf_item_f64(v, v->n_items, &number);
        for (size_t cursor = 0; gguf_next_str(g, v, &cursor, &item); n++)
            MUST(item.n <= v->bytes.n);
        MUST(n == (v->type == GGUF_ARRAY && v->item_type == GGUF_STRING ? v->n_items : 0));
    }
}

/* Writes g's header anew; it must say the same. */
static void check_writing(const gguf *g)
{
    gguf_writer w = {0};
    ingle_text out = {0};
    gguf again;
    uint64_t need;
    ingle_error err;
    for (size_t i = 0; i < g->n_values; i++)
        gguf_write_value(&w, g, &g->values[i]);
    for (size_t i = 0; i < g->n_tensors; i++)
        gguf_write_tensor(&w, g->tensors[i].name, g->tensors[i].format, g->tensors[i].n_dims, g->tensors[i].shape);
    const ingle_status status = gguf_write_header(&w, &out, &err);
    fuzz_check_error(status, &err);
    MUST(status == INGLE_OK);
    MUST(gguf_parse(&again, out.bytes, out.n, out.n + w.data_bytes, &need, NULL, &err) == INGLE_OK);
    MUST(need == 0 && again.n_values == g->n_values && again.n_tensors == g->n_tensors);
    for (size_t i = 0; i < g->n_values; i++) {
        const gguf_value *a = &g->values[i], *b = &again.values[i];
        MUST(str_equal(a->key, b->key) && a->type == b->type && a->item_type == b->item_type && a->n_items == b->n_items);
        MUST(g->version == 1 || str_equal(a->bytes, b->bytes));
    }
    for (size_t i = 0; i < g->n_tensors; i++)
        MUST(str_equal(g->tensors[i].name, again.tensors[i].name) && g->tensors[i].bytes == again.tensors[i].bytes);
    gguf_free(&again);
    gguf_writer_free(&w);
    ingle_text_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    gguf g, part;
    uint64_t need;
    ingle_error err;
    const ingle_status status = gguf_parse(&g, bytes, n, n, &need, NULL, &err);
    fuzz_check_error(status, &err);
    MUST(need == 0);
    if (status == INGLE_OK) {
        check_tensors(&g, n);
        check_values(&g);
        check_writing(&g);
        gguf_add_part(&g, 1, bytes, n, n, &err); // itself as the next part: refused or joined
        gguf_free(&g);
    }
    for (size_t have = n / 2, calls = 0; have < n; calls++) {
        const ingle_status early = gguf_parse(&part, bytes, have, n, &need, NULL, &err);
        gguf_free(&part);
        MUST(early == INGLE_OK || status != INGLE_OK); // no prefix is refused if the whole is not
        if (early != INGLE_OK || need == 0)
            break;
        MUST(need > have && need <= n && calls < 64);
        have = (size_t)need;
    }
    return 0;
}
