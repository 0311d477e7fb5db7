// The values of a block of an integer format, for kernels that multiply floats; every quant part whose
// planes say `integers`.

fn four_values(bytes: u32, d: f32, m: f32) -> vec4<f32> {
    let q = bitcast<vec4<i32>>(vec4<u32>(bytes << 24u, bytes << 16u, bytes << 8u, bytes)) >> vec4<u32>(24u);
    if (HAS_MIN) {
        return vec4<f32>(q) * d - m;
    }
    return vec4<f32>(q) * d;
}

fn floats_of(x: Block) -> array<vec4<f32>, 8> {
    let w = unpack_block(x);
    return array<vec4<f32>, 8>(
        four_values(w.lo.x, w.d.x, w.m.x), four_values(w.lo.y, w.d.x, w.m.x),
        four_values(w.lo.z, w.d.x, w.m.x), four_values(w.lo.w, w.d.x, w.m.x),
        four_values(w.hi.x, w.d.y, w.m.y), four_values(w.hi.y, w.d.y, w.m.y),
        four_values(w.hi.z, w.d.y, w.m.y), four_values(w.hi.w, w.d.y, w.m.y));
}
