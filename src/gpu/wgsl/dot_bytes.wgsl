// A block of an integer format times x in f32: scales count once for 16 columns.  Parts floats, act_float or act_direct.

fn dot16(q: vec4<u32>, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> f32 {
    return dot(four_bytes(q.x), a) + dot(four_bytes(q.y), b) + dot(four_bytes(q.z), c) + dot(four_bytes(q.w), d);
}

fn dot_block(block: Block, x: Activations) -> f32 {
    let w = unpack_block(block);
    var sum = dot16(w.lo, x[0], x[1], x[2], x[3]) * w.d.x + dot16(w.hi, x[4], x[5], x[6], x[7]) * w.d.y;
    if (HAS_MIN) {
        sum -= dot(x[0] + x[1] + x[2] + x[3], vec4<f32>(w.m.x)) + dot(x[4] + x[5] + x[6] + x[7], vec4<f32>(w.m.y));
    }
    return sum;
}
