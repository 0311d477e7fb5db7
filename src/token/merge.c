/* Merging neighbours, lowest order first: a linked list of symbols, and for all but short texts a
 * heap of pairs, so that n symbols take n log n steps whatever the text. */
#include "token/token_impl.h"

enum { SHORT = 24 }; // symbols up to which looking at every pair is quicker than a heap

bool merge_add(token_job *job, int32_t id, size_t start, size_t n)
{
    merge_symbol *symbols = mem_grow(&job->t->memory.allocator, job->symbols, job->n_symbols,
                                     &job->symbols_capacity, sizeof *symbols);
    if (!symbols)
        return false;
    job->symbols = symbols;
    const uint32_t i = (uint32_t)job->n_symbols++;
    symbols[i] = (merge_symbol){.id = id, .start = (uint32_t)start, .n = (uint32_t)n,
                                .previous = i ? i - 1 : MERGE_END, .next = MERGE_END,
                                .order = MERGE_NONE, .merged = -1};
    if (i)
        symbols[i - 1].next = i;
    return true;
}

static void look(token_job *job, uint32_t at, merge_rule *rule)
{
    merge_symbol *s = &job->symbols[at];
    s->order = MERGE_NONE;
    if (s->next == MERGE_END)
        return;
    uint32_t order = MERGE_NONE;
    s->merged = rule(job, s, &job->symbols[s->next], &order);
    if (s->merged >= 0)
        s->order = order;
}

static bool record(token_job *job, merge_symbol *left, const merge_symbol *right)
{
    if (!job->n_nodes)
        job->n_nodes = 1;
    merge_node *nodes = mem_grow(&job->t->memory.allocator, job->nodes, job->n_nodes,
                                 &job->nodes_capacity, sizeof *nodes);
    if (!nodes)
        return false;
    job->nodes = nodes;
    nodes[job->n_nodes] = (merge_node){{left->id, left->start, left->n, left->node},
                                       {right->id, right->start, right->n, right->node}};
    left->node = (uint32_t)job->n_nodes++;
    return true;
}

/* Joins the symbol at `at` with its next one. */
static bool join(token_job *job, uint32_t at)
{
    merge_symbol *left = &job->symbols[at], *right = &job->symbols[left->next];
    if (job->t->has_unused && job->t->types[left->merged] == TOKEN_UNUSED) {
        if (!record(job, left, right))
            return false;
    } else
        left->node = 0;
    left->id = left->merged;
    left->n += right->n;
    left->next = right->next;
    if (right->next != MERGE_END)
        job->symbols[right->next].previous = at;
    right->n = 0;
    right->order = MERGE_NONE;
    return true;
}

static bool merge_short(token_job *job, merge_rule *rule)
{
    for (uint32_t i = 0; i < job->n_symbols; i++)
        look(job, i, rule);
    for (;;) {
        uint32_t best = MERGE_END, order = MERGE_NONE;
        for (uint32_t i = 0; i != MERGE_END; i = job->symbols[i].next)
            if (job->symbols[i].order < order) {
                best = i;
                order = job->symbols[i].order;
            }
        if (best == MERGE_END)
            return true;
        if (!join(job, best))
            return false;
        look(job, best, rule);
        if (job->symbols[best].previous != MERGE_END)
            look(job, job->symbols[best].previous, rule);
    }
}

static void sift_down(uint64_t *heap, size_t n, size_t at)
{
    const uint64_t item = heap[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && heap[child + 1] < heap[child])
            child++;
        if (item <= heap[child])
            break;
        heap[at] = heap[child];
    }
    heap[at] = item;
}

static bool push(token_job *job, uint32_t at)
{
    if (job->symbols[at].order == MERGE_NONE)
        return true;
    uint64_t *heap = mem_grow(&job->t->memory.allocator, job->heap, job->n_heap,
                              &job->heap_capacity, sizeof *heap);
    if (!heap)
        return false;
    job->heap = heap;
    const uint64_t item = (uint64_t)job->symbols[at].order << 32 | at;
    size_t i = job->n_heap++;
    for (; i && item < heap[(i - 1) / 2]; i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = item;
    return true;
}

bool merge_all(token_job *job, merge_rule *rule)
{
    if (job->n_symbols <= SHORT)
        return merge_short(job, rule);
    job->n_heap = 0;
    for (uint32_t i = 0; i < job->n_symbols; i++) {
        look(job, i, rule);
        if (!push(job, i))
            return false;
    }
    while (job->n_heap) {
        const uint64_t item = job->heap[0];
        job->heap[0] = job->heap[--job->n_heap];
        if (job->n_heap)
            sift_down(job->heap, job->n_heap, 0);
        const uint32_t at = (uint32_t)item;
        if (job->symbols[at].order != item >> 32) // the pair is no more
            continue;
        if (!join(job, at))
            return false;
        look(job, at, rule);
        if (!push(job, at))
            return false;
        const uint32_t previous = job->symbols[at].previous;
        if (previous != MERGE_END) {
            look(job, previous, rule);
            if (!push(job, previous))
                return false;
        }
    }
    return true;
}
