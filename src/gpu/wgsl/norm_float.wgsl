@group(0) @binding(auto) var<storage, read_write> out: array<vec4<f32>>; // [token][COLS / 4]

fn put(token: u32, at: u32, y: array<vec4<f32>, 4>) {
    for (var i = 0u; i < 4u; i++) {
        if (at * 4u + i < WORDS) {
            out[token * WORDS + at * 4u + i] = y[i];
        }
    }
}
