// x / sqrt(mean(x^2) + EPS) * gain.  Part rows_shared or rows_subgroup.  Constants: EPS.
@group(0) @binding(auto) var<storage, read> gain: array<vec4<f32>>;

fn statistics(token: u32, t: u32) -> f32 {
    var squares = 0.0;
    for (var word = t; word < WORDS; word += T) {
        let v = x_of(token, word);
        squares += dot(v, v);
    }
    return inverseSqrt(workgroup_sum(squares, t) / f32(COLS) + EPS);
}

fn normed(v: vec4<f32>, word: u32, s: f32) -> vec4<f32> {
    return v * s * gain[word];
}
