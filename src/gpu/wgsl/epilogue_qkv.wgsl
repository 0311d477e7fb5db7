// Rows are Q, K and V in pair order (2i and 2i + 1 turn together): rotates Q and K by the position, writes Q
// to q and K and V to the cache.  Parts state, kv_write_<type>.
// Constants: ROWS, R (even), ROW_FIRST (even), N_HEADS, N_KV_HEADS, D_HEAD, N_PAIRS: pairs of a head that turn.
@group(0) @binding(auto) var<storage, read_write> q: array<vec2<f32>>;
@group(0) @binding(auto) var<storage, read> rope: array<vec2<f32>>; // [position][N_PAIRS]: cos, sin

const HALF = D_HEAD / 2u;

fn turned(y: vec2<f32>, pair: u32, position: u32) -> vec2<f32> {
    let turn = rope[position * N_PAIRS + min(pair, N_PAIRS - 1u)];
    return select(y, vec2<f32>(y.x * turn.x - y.y * turn.y, y.x * turn.y + y.y * turn.x), pair < N_PAIRS);
}

fn epilogue(first: u32, y: array<f32, R>) {
    let position = first_position();
    for (var r = 0u; r < R; r += 2u) {
        let row = ROW_FIRST + first + r;
        let head = row / D_HEAD;
        let pair = row / 2u % HALF;
        let value = vec2<f32>(y[r] + bias_of(row), y[r + 1u] + bias_of(row + 1u));
        if (first + r >= ROWS) {
            continue;
        }
        if (head < N_HEADS) {
            q[row / 2u] = turned(value, pair, position);
        } else if (head < N_HEADS + N_KV_HEADS) {
            write_k(head - N_HEADS, position, pair, turned(value, pair, position));
        } else {
            write_v(head - N_HEADS - N_KV_HEADS, position, pair, value);
        }
    }
}
