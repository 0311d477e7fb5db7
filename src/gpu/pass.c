/* How long passes of many tokens take, and so how many tokens the next may have. On a slow GPU a pass that
 * takes seconds freezes the screen, and systems reset a GPU that does not answer for long. Owns the marks that
 * are read back behind each pass, and the clock. */
#include "base/error.h"
#include "gpu/gpu_impl.h"
#include "host/host.h"

/* A pass takes hundreds of dispatches: one of them is far from half a second when all together take as long. */
enum { PASS_LEAST = 8 };

static const double PASS_MS = 500, PASS_GROWTH = 4;

/* A wait that took so long ended when the pass did. */
static const double WAITED_MS = 0.5;

enum { N_PASSES = sizeof((gpu *)NULL)->passes / sizeof *((gpu *)NULL)->passes };

void gpu_note_pass(gpu *g, size_t n)
{
    const size_t i = g->passes_next++ % N_PASSES;
    g->passes[i].ticket = recorder_read(g->r, gpu_part(g->state, 0, sizeof g->passes[i].state), g->passes[i].state);
    g->passes[i].n = (uint32_t)n;
    g->passes[i].waited = false;
    g->passes[i].start_ms = host_now_ms();
}

/* Shrinks at once to what fits, grows by steps. A pass that nobody waited for may have ended long before it was
 * asked for: it shows that a GPU is fast, never that it is slow. */
static void judge(gpu *g, uint32_t n, double ms, bool exact)
{
    const double fits = ms > 0 ? n * (PASS_MS / ms) : (double)g->opt.n_batch;
    uint32_t most = g->pass_most;
    if (fits >= most) {
        const double grown = fits < n * PASS_GROWTH ? fits : n * PASS_GROWTH;
        most = grown > most ? (grown < g->opt.n_batch ? (uint32_t)grown : g->opt.n_batch) : most;
    } else if (exact) {
        most = (uint32_t)fits > PASS_LEAST ? (uint32_t)fits : PASS_LEAST;
    }
    g->pass_most = most < g->opt.n_batch ? most : g->opt.n_batch;
}

ingle_status gpu_wait_passes(gpu *g, size_t most, ingle_error *err)
{
    while (g->passes_next - g->passes_first > most) {
        const size_t i = g->passes_first % N_PASSES;
        const double asked = host_now_ms();
        const ingle_status status = recorder_wait(g->r, g->passes[i].ticket, NULL, err);
        if (status == INGLE_WAIT)
            g->passes[i].waited = true;
        if (status != INGLE_OK)
            return status;
        const double now = host_now_ms();
        const double start = g->passes[i].start_ms > g->pass_end_ms ? g->passes[i].start_ms : g->pass_end_ms;
        judge(g, g->passes[i].n, now - start, g->passes[i].waited || now - asked > WAITED_MS);
        g->pass_end_ms = now;
        g->passes_first++;
    }
    return INGLE_OK;
}

ingle_status gpu_pass_most(gpu *g, size_t *n, ingle_error *err)
{
    gpu_enter(g);
    // what comes after the first pass depends on how long that took
    const ingle_status status = gpu_wait_passes(g, g->pass_end_ms > 0 ? N_PASSES - 1 : 0, err);
    *n = g->pass_most;
    gpu_leave(g);
    return status;
}
