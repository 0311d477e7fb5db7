// x times the norm's weights; 1 / sqrt(mean(x^2) + EPS) is the same for all columns, so it is a factor of
// the result and nothing waits for it.  Constants: COLS (a multiple of 4), NB, T, EPS.
@group(0) @binding(auto) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(auto) var<storage, read> gain: array<vec4<f32>>;

fn prologue(t: u32) -> f32 {
    var squares = 0.0;
    for (var at = t; at < NB * 2u; at += T) {
        var values: array<vec4<f32>, 4>;
        for (var i = 0u; i < 4u; i++) {
            let j = at * 4u + i;
            let k = min(j, COLS / 4u - 1u);
            let value = select(vec4<f32>(), x[k], j < COLS / 4u);
            squares += dot(value, value);
            values[i] = value * gain[k];
        }
        stage(at, values);
    }
    return inverseSqrt(workgroup_sum(squares, t) / f32(COLS) + EPS); // its barriers show what was staged
}
