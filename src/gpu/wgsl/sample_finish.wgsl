// Telling of the chosen token: to the next step (ids, state), to the host (chosen), and to the
// penalties (history, after the pairs of all tokens: how many came into the window, and its ring).
@group(0) @binding(auto) var<storage, read_write> history: array<u32>;
@group(0) @binding(auto) var<storage, read_write> state: array<u32>;
@group(0) @binding(auto) var<storage, read_write> ids: array<u32>;
@group(0) @binding(auto) var<storage, read_write> chosen: array<u32>;

struct Before {
    position: u32, // words of state
    tokens: u32,
    draws: u32,
    written: u32,
    came: u32,   // into the window
    oldest: u32, // token of a window that is full, else N_VOCAB
}

const CAME: u32 = 2u * N_VOCAB; // words of history
const WINDOW: u32 = 2u * N_VOCAB + 1u;

fn recall() -> Before {
    var b = Before(state[0], state[1], state[2], state[3], 0u, N_VOCAB);
    let size = settings[AT_WINDOW];
    if (size > 0u) {
        b.came = history[CAME];
        if (b.came >= size) { b.oldest = history[WINDOW + b.came % size]; }
    }
    return b;
}

fn finish(b: Before, id: u32) {
    let is_token = id < N_VOCAB;
    if (is_token && (settings[AT_FLAGS] & PENALTIES) != 0u) { remember(b, id); }
    chosen[b.written % RING] = id;
    ids[0] = select(0u, id, is_token); // what follows must find a row in the table of embeddings
    state[0] = b.position + b.tokens;
    state[1] = 1u;
    state[2] = b.draws + 1u;
    state[3] = b.written + 1u;
}

fn remember(b: Before, id: u32) {
    let size = settings[AT_WINDOW];
    if (id != b.oldest) {
        history[2u * id] += 1u;
        if (b.oldest < N_VOCAB) { history[2u * b.oldest] -= 1u; }
    }
    if (size > 0u) { // else all are remembered
        history[WINDOW + b.came % size] = id;
        history[CAME] = b.came + 1u;
    }
}
