// x as it is.  Constants: COLS (a multiple of 4), NB, T.
@group(0) @binding(auto) var<storage, read> x: array<vec4<f32>>;

fn prologue(t: u32) -> f32 {
    for (var at = t; at < NB * 2u; at += T) {
        var values: array<vec4<f32>, 4>;
        for (var i = 0u; i < 4u; i++) {
            let j = at * 4u + i;
            values[i] = select(vec4<f32>(), x[min(j, COLS / 4u - 1u)], j < COLS / 4u);
        }
        stage(at, values);
    }
    workgroupBarrier();
    return 1.0;
}
