/* ingle info: what a model file holds and what it needs. Everything printed comes from a foreign
 * file; output.h keeps control characters from a terminal. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "setup.h"

static void line(const char *name, const char *value)
{
    if (!value)
        return;
    out_printf("%-14s ", name);
    out_text(value, strlen(value));
    out_text("\n", 1);
}

static void number(const char *name, uint64_t value)
{
    if (value)
        out_printf("%-14s %" PRIu64 "\n", name, value);
}

static void shape_text(char *text, size_t size, const ingle_tensor *t)
{
    size_t n = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < t->n_dims && i < 4 && n < size; i++) {
        const int more = snprintf(text + n, size - n, "%s%" PRIu64, i ? " x " : "", t->shape[i]);
        n += more > 0 ? (size_t)more : 0;
    }
}

static void print_memory(const ingle_memory *memory)
{
    char size[24];
    const struct {
        const char *name;
        uint64_t bytes;
    } parts[] = {{"weights", memory->weights},
                 {"kv cache", memory->kv},
                 {"scratch", memory->scratch},
                 {"tables", memory->tables}};
    uint64_t total = 0;
    out_printf("\nmemory at a context of %" PRIu32 " tokens, %" PRIu32 " threads, path %s\n",
               memory->n_ctx, memory->n_threads, memory->cpu ? memory->cpu : "none");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        out_printf("  %-12s %10s\n", parts[i].name, term_size(size, (double)parts[i].bytes));
        total += parts[i].bytes;
    }
    out_printf("  %-12s %10s\n", "in all", term_size(size, (double)total));
}

static void print_people(const setup_model *m, const ingle_memory *memory)
{
    const ingle_model_info *info = m->info;
    char size[24], text[128];
    line("file", m->path.bytes);
    line("name", info->name);
    line("architecture", info->architecture);
    line("licence", info->licence);
    line("file type", info->file_type);
    line("tokenizer", info->tokenizer);
    line("chat template", info->chat_template ? "yes" : "none");
    out_printf("%-14s %" PRIu64 "\n", "parameters", info->n_params);
    out_printf("%-14s %s\n", "weights", term_size(size, (double)info->weight_bytes));
    number("layers", info->n_layers);
    number("heads", info->n_heads);
    number("kv heads", info->n_kv_heads);
    number("d_model", info->d_model);
    number("d_head", info->d_head);
    number("d_ff", info->d_ff);
    number("vocabulary", info->n_vocab);
    number("context", info->n_ctx_train);
    if (info->bos >= 0)
        out_printf("%-14s %" PRId32 "\n", "bos", info->bos);
    if (info->eos >= 0)
        out_printf("%-14s %" PRId32 "\n", "eos", info->eos);
    if (info->runnable == INGLE_OK) {
        line("runs", "yes");
    } else {
        out_printf("%-14s no: %s: ", "runs", ingle_status_name(info->runnable));
        const char *why = info->why_not ? info->why_not : "";
        out_text(why, strlen(why));
        out_text("\n", 1);
    }
    if (memory)
        print_memory(memory);
    const size_t n_meta = ingle_model_meta_count(m->model);
    out_printf("\nmetadata (%zu)\n", n_meta);
    const char *key, *value;
    for (size_t i = 0; i < n_meta && ingle_model_meta(m->model, i, &key, &value); i++) {
        // A template of many lines would drown the rest; --json has it whole.
        const size_t n = strcspn(value, "\n");
        const size_t shown = n > 100 ? 100 : n;
        out_text("  ", 2);
        out_text(key, strlen(key));
        out_text(" = ", 3);
        out_text(value, shown);
        out_printf("%s\n", value[shown] ? " ..." : "");
    }
    const size_t n_tensors = ingle_model_tensor_count(m->model);
    out_printf("\ntensors (%zu)\n", n_tensors);
    ingle_tensor t;
    for (size_t i = 0; i < n_tensors && ingle_model_tensor(m->model, i, &t); i++) {
        shape_text(text, sizeof text, &t);
        out_printf("  %-8s %-24s %12" PRIu64 "  ", t.format, text, t.bytes);
        out_text(t.name, strlen(t.name));
        out_text("\n", 1);
    }
}

static void text_field(json_out *j, const char *key, const char *value)
{
    jout_key(j, key);
    jout_text(j, value);
}

static void uint_field(json_out *j, const char *key, uint64_t value)
{
    jout_key(j, key);
    jout_uint(j, value);
}

static void add_memory(json_out *j, const ingle_memory *memory)
{
    jout_key(j, "memory");
    if (!memory) {
        jout_null(j);
        return;
    }
    jout_open(j, '{');
    uint_field(j, "weights", memory->weights);
    uint_field(j, "kv", memory->kv);
    uint_field(j, "scratch", memory->scratch);
    uint_field(j, "tables", memory->tables);
    uint_field(j, "total", memory->weights + memory->kv + memory->scratch + memory->tables);
    uint_field(j, "n_ctx", memory->n_ctx);
    uint_field(j, "n_threads", memory->n_threads);
    text_field(j, "cpu", memory->cpu);
    jout_close(j, '}');
}

static void add_lists(json_out *j, const ingle_model *model)
{
    const char *key, *value;
    jout_key(j, "metadata");
    jout_open(j, '{');
    for (size_t i = 0; i < ingle_model_meta_count(model); i++)
        if (ingle_model_meta(model, i, &key, &value))
            text_field(j, key, value);
    jout_close(j, '}');
    jout_key(j, "tensors");
    jout_open(j, '[');
    ingle_tensor t;
    for (size_t i = 0; i < ingle_model_tensor_count(model); i++) {
        if (!ingle_model_tensor(model, i, &t))
            continue;
        jout_open(j, '{');
        text_field(j, "name", t.name);
        text_field(j, "format", t.format);
        jout_key(j, "shape");
        jout_open(j, '[');
        for (uint32_t d = 0; d < t.n_dims && d < 4; d++)
            jout_uint(j, t.shape[d]);
        jout_close(j, ']');
        uint_field(j, "bytes", t.bytes);
        jout_close(j, '}');
    }
    jout_close(j, ']');
}

static ingle_status print_json(const setup_model *m, const ingle_memory *memory, ingle_error *err)
{
    const ingle_model_info *info = m->info;
    json_out j = {0};
    jout_open(&j, '{');
    text_field(&j, "path", m->path.bytes);
    text_field(&j, "name", info->name);
    text_field(&j, "architecture", info->architecture);
    text_field(&j, "licence", info->licence);
    text_field(&j, "file_type", info->file_type);
    text_field(&j, "tokenizer", info->tokenizer);
    text_field(&j, "chat_template", info->chat_template);
    uint_field(&j, "parameters", info->n_params);
    uint_field(&j, "weight_bytes", info->weight_bytes);
    uint_field(&j, "n_layers", info->n_layers);
    uint_field(&j, "n_heads", info->n_heads);
    uint_field(&j, "n_kv_heads", info->n_kv_heads);
    uint_field(&j, "d_model", info->d_model);
    uint_field(&j, "d_head", info->d_head);
    uint_field(&j, "d_ff", info->d_ff);
    uint_field(&j, "n_vocab", info->n_vocab);
    uint_field(&j, "n_ctx_train", info->n_ctx_train);
    jout_key(&j, "bos");
    jout_int(&j, info->bos);
    jout_key(&j, "eos");
    jout_int(&j, info->eos);
    text_field(&j, "runnable", ingle_status_name(info->runnable));
    text_field(&j, "why_not", info->runnable == INGLE_OK ? NULL : info->why_not);
    add_memory(&j, memory);
    add_lists(&j, m->model);
    jout_close(&j, '}');
    return jout_print(&j, err);
}

static int print_graph(const setup_model *m)
{
    ingle_text text = {0};
    ingle_error err;
    int code = EXIT_DONE;
    if (ingle_model_print_graph(m->model, &text, &err) == INGLE_OK)
        out_text(text.bytes, text.n);
    else
        code = out_fail(m->name, &err);
    ingle_text_free(&text);
    return code;
}

int cmd_info(const options *o)
{
    setup_model m;
    ingle_error err = {0};
    int code = setup_open(&m, o);
    if (code != EXIT_DONE)
        return code;
    if (o->graph) {
        code = print_graph(&m);
        setup_close(&m);
        return code;
    }
    term_bar bar;
    const ingle_session_options opt = setup_session(o, &bar);
    ingle_memory memory;
    const bool known = m.info->runnable == INGLE_OK &&
                       ingle_session_memory(m.model, &opt, &memory, &err) == INGLE_OK;
    // A model that cannot run is described all the same; an option that cannot be met is an error.
    if (m.info->runnable == INGLE_OK && !known) {
        code = out_fail(m.name, &err);
    } else if (o->json) {
        if (print_json(&m, known ? &memory : NULL, &err) != INGLE_OK)
            code = out_fail(m.name, &err);
    } else {
        print_people(&m, known ? &memory : NULL);
    }
    setup_close(&m);
    return code;
}
