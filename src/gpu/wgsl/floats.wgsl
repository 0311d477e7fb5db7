// A block of an integer format for kernels that multiply floats; every quant part whose planes say `integers`.

// A byte becomes a float where it lies, two of three instructions cheaper than converting it: as the last places
// of a float so large that they count ones, from which that float is taken away again. Turning the top bit adds
// the 128 that make it positive.
fn four_bytes(word: u32) -> vec4<f32> {
    let above = word >> 16u;
    let bits = (vec4<u32>(word, word, above, above) & vec4<u32>(0xFFu, 0xFF00u, 0xFFu, 0xFF00u)) ^
               vec4<u32>(0x4B000080u, 0x47008000u, 0x4B000080u, 0x47008000u);
    return bitcast<vec4<f32>>(bits) - vec4<f32>(8388736.0, 32896.0, 8388736.0, 32896.0);
}

fn four_values(bytes: u32, d: f32, m: f32) -> vec4<f32> {
    return four_bytes(bytes) * d - m;
}

fn floats_of(x: Block) -> array<vec4<f32>, 8> {
    let w = unpack_block(x);
    return array<vec4<f32>, 8>(
        four_values(w.lo.x, w.d.x, w.m.x), four_values(w.lo.y, w.d.x, w.m.x),
        four_values(w.lo.z, w.d.x, w.m.x), four_values(w.lo.w, w.d.x, w.m.x),
        four_values(w.hi.x, w.d.y, w.m.y), four_values(w.hi.y, w.d.y, w.m.y),
        four_values(w.hi.z, w.d.y, w.m.y), four_values(w.hi.w, w.d.y, w.m.y));
}
