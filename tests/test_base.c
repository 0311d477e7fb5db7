/* The base: errors, memory and size arithmetic, text, UTF-8, SHA-256. */
#include "harness.h"

#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"
#include "support.h"

/* ---- errors ------------------------------------------------------------------------------- */

static void statuses_have_names_and_meanings(void)
{
    CHECK_TEXT(ingle_version(), INGLE_VERSION);
    CHECK_TEXT(ingle_status_name(INGLE_OK), "OK");
    CHECK_TEXT(ingle_status_name(INGLE_ERR_CONTEXT_FULL), "ERR_CONTEXT_FULL");
    CHECK_TEXT(ingle_status_meaning(INGLE_ERR_MEMORY), "not enough memory");
    int n = 0;
#define COUNT(name, value, text)                                        \
    n++;                                                                \
    CHECK(INGLE_##name == (value));                                     \
    CHECK_TEXT(ingle_status_name((ingle_status)(value)), #name);        \
    CHECK_TEXT(ingle_status_meaning((ingle_status)(value)), text);
    INGLE_STATUSES(COUNT)
#undef COUNT
    CHECK(n == 16);
    for (int value = -n - 3; value < 4; value++) // also what is no status
        CHECK(*ingle_status_name((ingle_status)value) && *ingle_status_meaning((ingle_status)value));
}

static void errors_are_one_clean_line(void)
{
    ingle_error err;
    CHECK(error_set(&err, INGLE_ERR_FORMAT, "tensor %s: %d", "a\nb\tc\x7f", 7) == INGLE_ERR_FORMAT);
    CHECK(err.status == INGLE_ERR_FORMAT);
    CHECK_TEXT(err.text, "tensor a?b?c?: 7");
    CHECK(error_set(NULL, INGLE_ERR_IO, "%d", 1) == INGLE_ERR_IO);
    CHECK(error_memory(&err, 123, "cache") == INGLE_ERR_MEMORY);
    CHECK(strstr(err.text, "cache") && strstr(err.text, "123"));
    CHECK(error_memory(NULL, 1, "x") == INGLE_ERR_MEMORY);
    CHECK(error_clear(&err) == INGLE_OK && err.status == INGLE_OK && err.text[0] == 0);
    CHECK(error_clear(NULL) == INGLE_OK);
}

static void long_errors_are_cut_at_a_character(void)
{
    ingle_error err;
    const size_t room = sizeof err.text - 1;
    for (size_t lead = 0; lead < 4; lead++) { // the cut falls on each byte of a character
        char text[600] = "";
        memset(text, 'x', lead);
        for (size_t i = 0; i < 140; i++)
            memcpy(text + lead + 4 * i, "\xF0\x9F\x94\xA5", 4);
        text[lead + 560] = 0;
        error_set(&err, INGLE_ERR_USAGE, "%s", text);
        const size_t n = strlen(err.text);
        CHECK(n == room - (room - lead) % 4);
        CHECK(strncmp(err.text, text, n) == 0);
    }
    char plain[600];
    memset(plain, 'a', sizeof plain);
    plain[sizeof plain - 1] = 0;
    error_set(&err, INGLE_ERR_USAGE, "%s", plain);
    CHECK(strlen(err.text) == room);
}

/* ---- memory ------------------------------------------------------------------------------- */

static void sizes_do_not_wrap(void)
{
    CHECK(size_mul(0, SIZE_MAX) == 0 && size_mul(SIZE_MAX, 0) == 0);
    CHECK(size_mul(6, 7) == 42 && size_mul(SIZE_MAX, 1) == SIZE_MAX);
    CHECK(size_mul(SIZE_MAX / 2, 2) == SIZE_MAX - 1);
    CHECK(size_mul(SIZE_MAX / 2 + 1, 2) == SIZE_MAX && size_mul(SIZE_MAX, SIZE_MAX) == SIZE_MAX);
    CHECK(size_add(SIZE_MAX - 1, 1) == SIZE_MAX && size_add(SIZE_MAX, 1) == SIZE_MAX);
    CHECK(size_add(2, 3) == 5);
    uint64_t out = 9;
    CHECK(u64_mul(UINT32_MAX, UINT32_MAX, &out) && out == 0xFFFFFFFE00000001u);
    CHECK(!u64_mul(1ull << 32, 1ull << 32, &out) && out == 0xFFFFFFFE00000001u);
    CHECK(u64_mul(UINT64_MAX, 0, &out) && out == 0 && u64_mul(0, UINT64_MAX, &out) && out == 0);
    CHECK(u64_mul(UINT64_MAX, 1, &out) && out == UINT64_MAX && !u64_mul(UINT64_MAX, 2, &out));
    CHECK(u64_add(UINT64_MAX - 5, 5, &out) && out == UINT64_MAX);
    CHECK(!u64_add(UINT64_MAX - 5, 6, &out) && out == UINT64_MAX);
}

static void allocations(void)
{
    test_memory m = {0};
    const ingle_allocator counted = test_allocator(&m), zero = {0};
    const ingle_allocator *all[] = {NULL, &zero, &counted};
    for (size_t i = 0; i < 3; i++) {
        unsigned char *p = mem_alloc(all[i], 0);
        CHECK(p != NULL);
        p = mem_resize(all[i], p, 100);
        CHECK(p != NULL);
        mem_free(all[i], p);
        unsigned char *z = mem_zero(all[i], 10, 10);
        unsigned char any = 0;
        for (size_t b = 0; b < 100; b++)
            any |= z[b];
        CHECK(any == 0);
        mem_free(all[i], z);
        z = mem_zero(all[i], 0, 8);
        CHECK(z != NULL);
        mem_free(all[i], z);
        mem_free(all[i], NULL);
        CHECK(mem_alloc(all[i], SIZE_MAX) == NULL);
        CHECK(mem_alloc(all[i], (size_t)PTRDIFF_MAX + 1) == NULL);
        CHECK(mem_zero(all[i], SIZE_MAX / 2, 4) == NULL);
    }
    CHECK(m.live == 0 && m.requests == 4); // absurd sizes never reach the allocator
    m.fail_at = m.requests + 1;
    CHECK(mem_alloc(&counted, 8) == NULL);
    m.fail_at = m.requests + 1;
    CHECK(mem_zero(&counted, 8, 8) == NULL);
}

static void arrays_grow(void)
{
    test_memory m = {0};
    const ingle_allocator a = test_allocator(&m);
    uint32_t *items = NULL;
    size_t capacity = 0;
    for (uint32_t n = 0; n < 5000; n++) {
        items = mem_grow(&a, items, n, &capacity, sizeof *items);
        CHECK(items != NULL && capacity > n);
        items[n] = n * 3;
    }
    for (uint32_t n = 0; n < 5000; n++)
        CHECK(items[n] == n * 3);
    CHECK(m.requests < 25); // geometric, so appending is linear in all
    m.fail_at = m.requests + 1;
    const size_t before = capacity;
    CHECK(mem_grow(&a, items, capacity, &capacity, sizeof *items) == NULL);
    CHECK(capacity == before && items[4999] == 14997); // the old array stands
    size_t huge = SIZE_MAX / 8;
    CHECK(mem_grow(&a, items, huge, &huge, 64) == NULL && huge == SIZE_MAX / 8);
    mem_free(&a, items);
    CHECK(m.live == 0);
}

static void arenas(void)
{
    test_memory m = {0};
    arena a = {.allocator = test_allocator(&m)};
    unsigned char *blocks[200];
    for (size_t i = 0; i < 200; i++) { // small ones, big ones with a chunk of their own, and 0
        const size_t bytes = i % 7 == 0 ? 20000 : i * 13 % 300;
        blocks[i] = arena_alloc(&a, bytes);
        CHECK(blocks[i] && (uintptr_t)blocks[i] % 16 == 0);
        memset(blocks[i], (int)i, bytes ? bytes : 1);
    }
    for (size_t i = 0; i < 200; i++) { // nobody wrote into another's block
        const size_t bytes = i % 7 == 0 ? 20000 : i * 13 % 300;
        for (size_t b = 0; b < bytes; b++)
            CHECK(blocks[i][b] == (unsigned char)i);
    }
    const uint64_t *z = arena_zero(&a, 1000, sizeof *z);
    for (size_t i = 0; i < 1000; i++)
        CHECK(z[i] == 0);
    CHECK_TEXT(arena_text(&a, "abcdef", 3), "abc");
    CHECK_TEXT(arena_text(&a, NULL, 0), "");
    CHECK(m.live > 0 && m.live < 45 && a.bytes > 29 * 20000);
    CHECK(arena_alloc(&a, SIZE_MAX) == NULL && arena_alloc(&a, SIZE_MAX - 8) == NULL);
    CHECK(arena_alloc(&a, SIZE_MAX - 100) == NULL && arena_zero(&a, SIZE_MAX / 2, 4) == NULL);
    CHECK(arena_text(&a, "x", SIZE_MAX) == NULL);
    arena_free(&a);
    CHECK(m.live == 0 && a.bytes == 0 && a.chunks == NULL);
    arena_free(&a);
    CHECK(arena_alloc(&a, 1) != NULL); // fit for use again
    arena_free(&a);
}

static void arenas_keep_their_limit(void)
{
    test_memory m = {0};
    arena a = {.allocator = test_allocator(&m), .limit = 200000};
    size_t n = 0;
    while (n < 1000 && arena_alloc(&a, 1000))
        n++;
    CHECK(n > 100 && n < 200 && a.bytes <= a.limit);
    CHECK(arena_alloc(&a, 300000) == NULL && arena_alloc(&a, PTRDIFF_MAX) == NULL);
    arena_free(&a);
    a.limit = 10; // less than any chunk
    CHECK(arena_alloc(&a, 1) == NULL && m.live == 0);
}

static ingle_status fill_arena(void *user, const ingle_allocator *allocator)
{
    (void)user;
    arena a = {.allocator = *allocator};
    ingle_status status = INGLE_OK;
    for (size_t i = 0; i < 20 && status == INGLE_OK; i++)
        if (!arena_alloc(&a, i * 3000) || !arena_zero(&a, i, 100) || !arena_text(&a, "text", 4))
            status = INGLE_ERR_MEMORY;
    arena_free(&a);
    return status;
}

/* ---- text --------------------------------------------------------------------------------- */

static ingle_status fill_text(void *user, const ingle_allocator *a)
{
    (void)user;
    ingle_text text = {.allocator = *a};
    ingle_tokens tokens = {.allocator = *a};
    ingle_status status = INGLE_OK;
    for (int32_t i = 0; i < 300 && status == INGLE_OK; i++) {
        if (!text_add_str(&text, STR("seven b")) || !text_add_byte(&text, '.') ||
            !tokens_add(&tokens, i))
            status = INGLE_ERR_MEMORY;
        CHECK(!text.bytes || text.bytes[text.n] == 0);
    }
    CHECK(status != INGLE_OK || (text.n == 2400 && tokens.n == 300));
    ingle_text_free(&text);
    ingle_tokens_free(&tokens);
    CHECK(text.n == 0 && text.bytes == NULL && tokens.n == 0 && tokens.ids == NULL);
    return status;
}

static void memory_may_run_out_anywhere(void)
{
    CHECK(test_every_allocation(fill_arena, NULL) > 10);
    CHECK(test_every_allocation(fill_text, NULL) > 10);
}

static void text_grows(void)
{
    test_memory m = {0};
    ingle_text t = {.allocator = test_allocator(&m)};
    CHECK(text_room(&t, 0) && t.bytes && t.n == 0);
    CHECK_TEXT(t.bytes, "");
    CHECK(text_add(&t, "ab", 2) && text_add(&t, NULL, 0) && text_add_byte(&t, 0) &&
          text_add_str(&t, STR("c")));
    CHECK(t.n == 4 && memcmp(t.bytes, "ab\0c", 5) == 0);
    for (int i = 0; i < 10000; i++)
        text_add_byte(&t, 'z');
    CHECK(t.n == 10004 && m.requests < 20);
    CHECK(!text_room(&t, SIZE_MAX) && !text_room(&t, SIZE_MAX - t.n));
    CHECK(!text_add(&t, "x", SIZE_MAX / 2 + 1) && t.n == 10004 && t.bytes[10003] == 'z');
    ingle_text_free(&t);
    ingle_text_free(&t);
    ingle_text_free(NULL);
    ingle_tokens_free(NULL);
    CHECK(m.live == 0);
}

static void views_compare(void)
{
    CHECK(str_of(NULL).n == 0 && str_of("abc").n == 3);
    CHECK(str_equal(STR("abc"), str_of("abc")) && !str_equal(STR("abc"), STR("abd")));
    CHECK(!str_equal(STR("abc"), STR("ab")) && str_equal((str){NULL, 0}, STR("")));
    CHECK(str_starts(STR("abc"), STR("ab")) && str_starts(STR("abc"), (str){NULL, 0}));
    CHECK(!str_starts(STR("ab"), STR("abc")) && !str_starts(STR("abc"), STR("b")));
    CHECK(str_hash(STR("a")) == str_hash(str_of("a")) && str_hash(STR("a")) != str_hash(STR("b")));
    CHECK(str_hash(STR("ab")) != str_hash(STR("ba")));
    char shown[300];
    char many[250];
    memset(many, 'm', sizeof many);
    const str s = {many, sizeof many};
    CHECK(snprintf(shown, sizeof shown, "%.*s", STR_ARG(s)) == 100);
}

/* ---- UTF-8 -------------------------------------------------------------------------------- */

/* Whether bytes [k] begin some well-formed character, reckoned from what code points they could
 * still become; *length is the whole character's. Independent of the table in utf8.c. */
static bool begins_character(const uint8_t *bytes, size_t k, size_t *length)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t lead = bytes[0];
    const size_t n = lead < 0x80           ? 1
                     : (lead & 0xE0) == 0xC0 ? 2
                     : (lead & 0xF0) == 0xE0 ? 3
                     : (lead & 0xF8) == 0xF0 ? 4
                                             : 0;
    *length = n;
    if (n == 0 || k > n)
        return false;
    uint32_t low = n == 1 ? lead : lead & (0xFFu >> (n + 1));
    for (size_t i = 1; i < k; i++) {
        if ((bytes[i] & 0xC0) != 0x80)
            return false;
        low = low << 6 | (bytes[i] & 0x3Fu);
    }
    low <<= 6 * (n - k);
    uint32_t high = low | ((1u << 6 * (n - k)) - 1);
    low = low < least[n] ? least[n] : low;
    high = high > 0x10FFFF ? 0x10FFFF : high;
    return low <= high && !(low >= 0xD800 && high <= 0xDFFF);
}

/* Bytes of the first character or ill-formed part of bytes [n]; *open: more bytes could complete
 * it. */
static size_t expected_step(const uint8_t *bytes, size_t n, bool *valid, bool *open)
{
    size_t k = 0, length = 0;
    while (k < n && begins_character(bytes, k + 1, &length))
        k++;
    *valid = k > 0 && k == length;
    *open = k > 0 && k < length && k == n;
    return k ? k : 1;
}

static void check_bytes(const uint8_t *bytes, size_t n)
{
    size_t at = 0, used, cut = n;
    while (at < n) {
        bool valid, want_valid, open;
        const size_t want = expected_step(bytes + at, n - at, &want_valid, &open);
        const uint32_t code = utf8_decode(bytes + at, n - at, &used, &valid);
        CHECK_MSG(used == want && valid == want_valid && (valid || code == UTF8_REPLACEMENT),
                  "%02X %02X %02X %02X at %zu: used %zu", bytes[0], n > 1 ? bytes[1] : 0,
                  n > 2 ? bytes[2] : 0, n > 3 ? bytes[3] : 0, at, used);
        if (used == 0)
            return;
        if (open)
            cut = at;
        at += used;
    }
    CHECK_MSG(utf8_cut(bytes, n) == cut, "%02X %02X %02X %02X [%zu]: cut %zu, want %zu", bytes[0],
              n > 1 ? bytes[1] : 0, n > 2 ? bytes[2] : 0, n > 3 ? bytes[3] : 0, n,
              utf8_cut(bytes, n), cut);
}

static void utf8_round_trip_of_every_character(void)
{
    for (uint32_t code = 0; code <= 0x10FFFF; code++) {
        if (code >= 0xD800 && code <= 0xDFFF)
            continue;
        char out[4];
        size_t used;
        bool valid;
        const size_t n = utf8_encode(code, out);
        CHECK(n == (code < 0x80 ? 1u : code < 0x800 ? 2u : code < 0x10000 ? 3u : 4u));
        CHECK(utf8_decode((const uint8_t *)out, n, &used, &valid) == code && used == n && valid);
        CHECK(utf8_cut((const uint8_t *)out, n) == n && utf8_cut((const uint8_t *)out, n - 1) == 0);
    }
}

static void utf8_every_boundary(void)
{
    // Both sides of every limit in the definition of well-formed sequences.
    static const uint8_t edge[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0,
                                   0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC,
                                   0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};
    const size_t n = sizeof edge;
    uint8_t bytes[4];
    for (unsigned i = 0; i < 0x10000; i++) { // all pairs
        bytes[0] = (uint8_t)(i >> 8);
        bytes[1] = (uint8_t)i;
        check_bytes(bytes, 2);
        check_bytes(bytes, 1);
    }
    for (size_t i = 0; i < n * n * n * n; i++) {
        bytes[0] = edge[i % n];
        bytes[1] = edge[i / n % n];
        bytes[2] = edge[i / n / n % n];
        bytes[3] = edge[i / n / n / n];
        check_bytes(bytes, 4);
        if (i < n * n * n)
            check_bytes(bytes, 3);
    }
    size_t used;
    CHECK(utf8_decode((const uint8_t *)"\xFF", 1, &used, NULL) == UTF8_REPLACEMENT && used == 1);
    CHECK(utf8_cut((const uint8_t *)"", 0) == 0);
}

static size_t read_hex(const char **p, uint8_t *out, size_t room)
{
    size_t n = 0;
    unsigned byte;
    while (n < room) {
        while (**p == ' ')
            ++*p;
        if (!(**p && strchr("0123456789abcdefABCDEF", **p)) || sscanf(*p, "%2x", &byte) != 1)
            break;
        out[n++] = (uint8_t)byte;
        *p += 2;
    }
    return n;
}

/* Decodes bytes [n] with every ill-formed part replaced, or left out. */
static size_t mend(const uint8_t *bytes, size_t n, bool replace, uint8_t *out)
{
    size_t n_out = 0;
    for (size_t at = 0, used; at < n; at += used) {
        bool valid;
        const uint32_t code = utf8_decode(bytes + at, n - at, &used, &valid);
        if (valid || replace)
            n_out += utf8_encode(code, (char *)out + n_out);
    }
    return n_out;
}

/* Published cases, a line each: "name:valid hex:BYTES" or "name:invalid hex:BYTES:SKIPPED:REPLACED". */
static void utf8_published_cases(void)
{
    size_t size, cases = 0;
    char *file = test_read_file("../shared/conformance/unicode/utf8tests.txt", &size);
    if (!file) {
        SKIP("../shared/conformance/unicode/utf8tests.txt is not there");
        return;
    }
    for (char *line = strtok(file, "\r\n"); line; line = strtok(NULL, "\r\n")) {
        const char *p = strstr(line, ":valid hex:"), *q = strstr(line, ":invalid hex:");
        if (*line == '#' || (!p && !q))
            continue;
        uint8_t in[256], want[2][256], out[1024];
        size_t n_want[2];
        p = p ? p + strlen(":valid hex:") : q + strlen(":invalid hex:");
        const size_t n = read_hex(&p, in, sizeof in);
        for (size_t i = 0; i < 2; i++) { // 0: skipped, 1: replaced
            memcpy(want[i], in, n);
            n_want[i] = n;
            if (q && *p == ':') {
                p++;
                if (strncmp(p, "nothing", 7) == 0)
                    p += 7, n_want[i] = 0;
                else
                    n_want[i] = read_hex(&p, want[i], sizeof want[i]);
            }
            const size_t got = mend(in, n, i == 1, out);
            CHECK_MSG(got == n_want[i] && memcmp(out, want[i], got) == 0, "%s (%s)", line,
                      i ? "replaced" : "skipped");
        }
        cases++;
    }
    CHECK_MSG(cases > 100, "only %zu cases understood", cases);
    free(file);
}

/* ---- SHA-256 ------------------------------------------------------------------------------ */

static void check_digest(const char *bytes, size_t n, size_t piece, const char *want)
{
    ingle_sha256 h;
    char hex[65];
    ingle_sha256_init(&h);
    for (size_t at = 0; at < n; at += piece)
        ingle_sha256_add(&h, bytes + at, n - at < piece ? n - at : piece);
    ingle_sha256_end(&h, hex);
    CHECK_TEXT(hex, want);
}

/* The examples of FIPS 180-4 and NIST's long message. */
static void sha256_published_vectors(void)
{
    static const struct {
        const char *text, *digest;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrl"
         "mnopqrsmnopqrstnopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t piece = 1; piece < 130; piece += 7)
            check_digest(cases[i].text, strlen(cases[i].text), piece, cases[i].digest);
    char *million = malloc(1000000);
    if (!million)
        return;
    memset(million, 'a', 1000000);
    const size_t pieces[] = {63, 64, 65, 4096, 1000000};
    for (size_t i = 0; i < 5; i++)
        check_digest(million, 1000000, pieces[i],
                     "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}

/* Lengths around the block and padding limits, against digests of Python's hashlib: length n of the
 * bytes 0, 1, 2 ... */
static void sha256_padding(void)
{
    static const struct {
        size_t n;
        const char *digest;
    } cases[] = {
        {1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
        {54, "675f28acc0b90a72d1c3a570fe83ac565555db358cf01826dc8eefb2bf7ca0f3"},
        {55, "463eb28e72f82e0a96c0a4cc53690c571281131f672aa229e0d45ae59b598b59"},
        {56, "da2ae4d6b36748f2a318f23e7ab1dfdf45acdc9d049bd80e59de82a60895f562"},
        {57, "2fe741af801cc238602ac0ec6a7b0c3a8a87c7fc7d7f02a3fe03d1c12eac4d8f"},
        {63, "29af2686fd53374a36b0846694cc342177e428d1647515f078784d69cdb9e488"},
        {64, "fdeab9acf3710362bd2658cdc9a29e8f9c757fcf9811603a8c447cd1d9151108"},
        {65, "4bfd2c8b6f1eec7a2afeb48b934ee4b2694182027e6d0fc075074f2fabb31781"},
        {119, "da18797ed7c3a777f0847f429724a2d8cd5138e6ed2895c3fa1a6d39d18f7ec6"},
        {120, "f52b23db1fbb6ded89ef42a23ce0c8922c45f25c50b568a93bf1c075420bbb7c"},
        {128, "471fb943aa23c511f6f72f8d1652d9c880cfa392ad80503120547703e56a2be5"},
        {255, "3f8591112c6bbe5c963965954e293108b7208ed2af893e500d859368c654eabe"},
    };
    char bytes[256];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(unsigned char)i;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_digest(bytes, cases[i].n, 256, cases[i].digest);
        check_digest(bytes, cases[i].n, 1, cases[i].digest);
    }
}

TESTS(T(statuses_have_names_and_meanings) T(errors_are_one_clean_line)
      T(long_errors_are_cut_at_a_character) T(sizes_do_not_wrap) T(allocations) T(arrays_grow)
      T(arenas) T(arenas_keep_their_limit) T(memory_may_run_out_anywhere) T(text_grows)
      T(views_compare) T(utf8_round_trip_of_every_character) T(utf8_every_boundary)
      T(utf8_published_cases) T(sha256_published_vectors) T(sha256_padding))
