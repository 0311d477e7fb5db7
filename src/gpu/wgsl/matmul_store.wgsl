// out[token][OUT_FIRST + row] = y + bias.  Parts: bias_<kind>.
// Constants: ROWS, OUT_WIDTH, OUT_FIRST, ROW_FIRST: row of the whole matrix that this part begins with.
@group(0) @binding(auto) var<storage, read_write> out: array<f32>;

fn row_of(slot: u32) -> u32 {
    return slot;
}

fn old(token: u32, first: u32, tx: u32) -> vec4<f32> {
    return vec4<f32>();
}

fn put_one(token: u32, row: u32, y: f32) {
    if (row < ROWS) {
        out[token * OUT_WIDTH + OUT_FIRST + ROW_FIRST + row] = y + bias_of(ROW_FIRST + row);
    }
}

fn put(token: u32, first: u32, tx: u32, y: vec4<f32>, before: vec4<f32>) {
    if (token < n_tokens()) {
        put_one(token, first + tx, y.x);
        put_one(token, first + tx + 16u, y.y);
        put_one(token, first + tx + 32u, y.z);
        put_one(token, first + tx + 48u, y.w);
    }
}
