// Rows are Q, K and V in pair order (2i and 2i + 1 turn together): rotates Q and K by the position, writes Q
// to q and K and V to the cache.  Parts state, kv, kv_write_f16, early_bias, rope_turn or rope_still.
// Constants: ROWS, R = 2 PAIRS, ROW_FIRST (even), N_HEADS, N_KV_HEADS, D_HEAD.
@group(0) @binding(auto) var<storage, read_write> q: array<vec2<f32>>;

const HALF = D_HEAD / 2u;
var<private> position: u32;
var<private> turns_of: array<vec2<f32>, PAIRS>;

fn prepare(first: u32) {
    position = first_position();
@for p PAIRS
    turns_of[$p] = turn_at(((ROW_FIRST + first) / 2u + $p) % HALF, position);
@end
}

fn epilogue(first: u32, y: array<f32, R>) {
@for p PAIRS
    let row = ROW_FIRST + first + 2u * $p;
    let head = row / D_HEAD;
    let pair = row / 2u % HALF;
    let value = vec2<f32>(y[2u * $p], y[2u * $p + 1u]);
    if (first + 2u * $p < ROWS) {
        if (head < N_HEADS) {
            q[row / 2u] = turned(value, turns_of[$p]);
        } else if (head < N_HEADS + N_KV_HEADS) {
            write_k(head - N_HEADS, position, pair, turned(value, turns_of[$p]));
        } else {
            write_v(head - N_HEADS - N_KV_HEADS, position, pair, value);
        }
    }
@end
}
