// x in workgroup memory as it is: word i of block b at [i * NB + b], so that neighbouring threads, which
// take neighbouring blocks, meet no bank twice.  Constants: NB.
var<workgroup> x_at: array<vec4<f32>, NB * 8>;

alias Activations = array<vec4<f32>, 8>;

fn stage(at: u32, x: array<vec4<f32>, 4>) {
    for (var i = 0u; i < 4u; i++) {
        x_at[((at & 1u) * 4u + i) * NB + (at >> 1u)] = x[i];
    }
}

fn activations(b: u32) -> Activations {
    var x: Activations;
    for (var i = 0u; i < 8u; i++) {
        x[i] = x_at[i * NB + b];
    }
    return x;
}
