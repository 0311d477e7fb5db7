// Rows 2i and 2i + 1 are row i of the gate and of up: out[token][i] = act(gate) * up. A thread's four slots
// hold the two rows of two results that neighbours' results follow, so that writes are of whole lines.
// Parts: gate_silu or gate_gelu; bias_<kind>.  Constants: ROWS and ROW_FIRST (even), OUT_WIDTH.
@group(0) @binding(auto) var<storage, read_write> out: array<f32>;

fn row_of(slot: u32) -> u32 {
    return (slot & 32u) + (slot & 15u) * 2u + ((slot >> 4u) & 1u);
}

fn old(token: u32, first: u32, tx: u32) -> vec4<f32> {
    return vec4<f32>();
}

fn put_one(token: u32, row: u32, y: vec2<f32>) {
    if (row < ROWS) {
        let column = ROW_FIRST + row;
        out[token * OUT_WIDTH + column / 2u] = gate(y.x + bias_of(column)) * (y.y + bias_of(column + 1u));
    }
}

fn put(token: u32, first: u32, tx: u32, y: vec4<f32>, before: vec4<f32>) {
    if (token < n_tokens()) {
        put_one(token, first + 2u * tx, y.xy);
        put_one(token, first + 32u + 2u * tx, y.zw);
    }
}
