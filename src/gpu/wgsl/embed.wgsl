// out[t] = SCALE * row ids[t] of the table, for the tokens of the pass: a thread takes a block of 32
// columns. Of a table in parts, each part is asked and the one that has the row writes it.
//
// Parts: quant/<format>, weights and floats with it; state.
// Constants: ROWS of the part, ROW_FIRST, COLS (a multiple of 4), NB, T, SCALE.
// Grid: NB / T, most tokens of a pass.
@group(0) @binding(auto) var<storage, read> ids: array<u32>;
@group(0) @binding(auto) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(T)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let b = id.x;
    let t = id.y;
    if (b >= NB || t >= n_tokens()) {
        return;
    }
    let row = ids[t] - ROW_FIRST; // of an earlier part: wraps to more than any
    if (row >= ROWS) {
        return;
    }
    let values = floats_of(load_block(row, b));
    for (var i = 0u; i < 8u; i++) {
        if (b * 8u + i < COLS / 4u) {
            out[t * (COLS / 4u) + b * 8u + i] = values[i] * SCALE;
        }
    }
}
