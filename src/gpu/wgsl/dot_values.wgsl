// A block of a float format times x in f32.  Parts act_float or act_direct.

fn dot_block(block: Block, x: Activations) -> f32 {
    let w = floats_of(block);
    var sum = 0.0;
    for (var i = 0u; i < 8u; i++) {
        sum += dot(w[i], x[i]);
    }
    return sum;
}
