// Rows are Q, K and V in pair order (2i and 2i + 1 turn together): rotates Q and K by the position, writes Q
// to q and K and V to the cache.  Parts state, kv, kv_write_f16, rope_turn or
// rope_still.  Constants: ROWS, R (even), ROW_FIRST (even), N_HEADS, N_KV_HEADS, D_HEAD.
@group(0) @binding(auto) var<storage, read_write> q: array<vec2<f32>>;

const HALF = D_HEAD / 2u;

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
