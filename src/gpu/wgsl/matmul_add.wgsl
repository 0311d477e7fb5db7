// out[token][row] += y + bias.  Parts: bias_<kind>.
// Constants: ROWS, OUT_WIDTH, ROW_FIRST: row of the whole matrix that this part begins with.
@group(0) @binding(auto) var<storage, read_write> out: array<f32>;

fn row_of(slot: u32) -> u32 {
    return slot;
}

fn at(token: u32, row: u32) -> u32 {
    return min(token, n_tokens() - 1u) * OUT_WIDTH + ROW_FIRST + min(row, ROWS - 1u);
}

fn old(token: u32, first: u32, tx: u32) -> vec4<f32> {
    let row = first + tx;
    return vec4<f32>(out[at(token, row)], out[at(token, row + 16u)], out[at(token, row + 32u)],
                     out[at(token, row + 48u)]);
}

fn put_one(token: u32, row: u32, y: f32) {
    if (row < ROWS) {
        out[token * OUT_WIDTH + ROW_FIRST + row] = y + bias_of(ROW_FIRST + row);
    }
}

fn put(token: u32, first: u32, tx: u32, y: vec4<f32>, before: vec4<f32>) {
    if (token < n_tokens()) {
        put_one(token, first + tx, before.x + y.x);
        put_one(token, first + tx + 16u, before.y + y.y);
        put_one(token, first + tx + 32u, before.z + y.z);
        put_one(token, first + tx + 48u, before.w + y.w);
    }
}
