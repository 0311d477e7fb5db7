// Each token's x through a norm, as f32 or rounded to int8. A workgroup a token; a thread takes 16 columns at
// a time.
//
// Parts: state; norm_rms, norm_layer or norm_none; norm_float or norm_int8.
// Constants: T, COLS (a multiple of 4), GROUPS: sixteens of columns to write, those beyond COLS as zeros.
// Grid: tokens.
@group(0) @binding(auto) var<storage, read> x: array<vec4<f32>>; // [token][COLS / 4]

const WORDS = COLS / 4u;

fn x_of(token: u32, word: u32) -> vec4<f32> {
    return x[token * WORDS + word];
}

@compute @workgroup_size(T)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let token = id.x;
    if (token >= n_tokens()) {
        return;
    }
    let s = statistics(token, t);
    for (var at = t; at < GROUPS; at += T) {
        var y: array<vec4<f32>, 4>;
        for (var i = 0u; i < 4u; i++) {
            let word = at * 4u + i;
            if (word < WORDS) {
                y[i] = normed(x_of(token, word), word, s);
            }
        }
        put(token, at, y);
    }
}
