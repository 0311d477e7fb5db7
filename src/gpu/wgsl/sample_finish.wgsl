// Telling of the chosen token: to the next step (ids, state), to the host (chosen), and to the
// penalties (history, after the pairs of all tokens: how many came into the window, and its ring).
@group(0) @binding(auto) var<storage, read_write> history: array<u32>;
@group(0) @binding(auto) var<storage, read_write> state: array<u32>;
@group(0) @binding(auto) var<storage, read_write> ids: array<u32>;
@group(0) @binding(auto) var<storage, read_write> chosen: array<u32>;

const POSITION: u32 = 0u; // words of state
const TOKENS: u32 = 1u;
const DRAWS: u32 = 2u;
const WRITTEN: u32 = 3u;

fn finish(id: u32) {
    let is_token = id < N_VOCAB;
    if (is_token && has(PENALTIES)) { remember(id); }
    chosen[state[WRITTEN] % RING] = id;
    ids[0] = select(0u, id, is_token); // what follows must find a row in the table of embeddings
    state[POSITION] += state[TOKENS];
    state[TOKENS] = 1u;
    state[DRAWS] += 1u;
    state[WRITTEN] += 1u;
}

fn remember(id: u32) {
    history[2u * id] += 1u;
    let size = settings[AT_WINDOW];
    if (size == 0u) { return; } // all are remembered
    let n = history[2u * N_VOCAB];
    let at = 2u * N_VOCAB + 1u + n % size;
    if (n >= size) { history[2u * history[at]] -= 1u; }
    history[at] = id;
    history[2u * N_VOCAB] = n + 1u;
}
