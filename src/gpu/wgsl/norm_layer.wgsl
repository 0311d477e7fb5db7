// (x - mean) / sqrt(mean((x - mean)^2) + EPS) * gain + bias.  Parts: rows_shared or rows_subgroup;
// bias_<kind>.  Constants: EPS.
@group(0) @binding(auto) var<storage, read> gain: array<vec4<f32>>;

struct Statistics { mean: f32, factor: f32 }

fn statistics(token: u32, t: u32) -> Statistics {
    var sum = 0.0;
    for (var word = t; word < WORDS; word += T) {
        sum += dot(x_of(token, word), vec4<f32>(1.0));
    }
    let mean = workgroup_sum(sum, t) / f32(COLS);
    var squares = 0.0;
    for (var word = t; word < WORDS; word += T) {
        let v = x_of(token, word) - mean;
        squares += dot(v, v);
    }
    workgroupBarrier(); // the second sum uses the same memory as the first
    return Statistics(mean, inverseSqrt(workgroup_sum(squares, t) / f32(COLS) + EPS));
}

fn normed(v: vec4<f32>, word: u32, s: Statistics) -> vec4<f32> {
    let i = 4u * word;
    return (v - s.mean) * s.factor * gain[word] + vec4<f32>(bias_of(i), bias_of(i + 1u), bias_of(i + 2u), bias_of(i + 3u));
}
