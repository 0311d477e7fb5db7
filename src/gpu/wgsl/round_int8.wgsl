// 16 values as int8 with one scale d = max|y| / 127, each round(y / d): what quant_activations of
// src/quant/quant.h does, which also says what becomes of infinities and of what is too small.
const LEAST = 0x03FE0000u;    // 127 times the smallest normal number: its scale is normal
const INFINITE = 0x7F800000u;

// Of the largest: magnitudes compare as integers like floats do, with infinity and NaN on top.
fn magnitude(y: vec4<f32>) -> u32 {
    let m = bitcast<vec4<u32>>(y) & vec4<u32>(0x7FFFFFFFu);
    return max(max(m.x, m.y), max(m.z, m.w));
}

// What values are multiplied with; 0: they are zeros.
fn per_unit(most: u32) -> f32 {
    return select(127.0 / bitcast<f32>(most), 0.0, most < LEAST || most >= INFINITE);
}

// The bits of d.
fn unit_of(most: u32) -> u32 {
    return select(select(bitcast<u32>(bitcast<f32>(most) / 127.0), 0u, most < LEAST), 0x7FC00000u, most >= INFINITE);
}

fn rounded4(y: vec4<f32>, per: f32) -> u32 {
    return select(pack4xI8(vec4<i32>(round(y * per))), 0u, per == 0.0);
}

fn rounded16(y: array<vec4<f32>, 4>, per: f32) -> vec4<u32> {
    let q = vec4<u32>(pack4xI8(vec4<i32>(round(y[0] * per))), pack4xI8(vec4<i32>(round(y[1] * per))),
                      pack4xI8(vec4<i32>(round(y[2] * per))), pack4xI8(vec4<i32>(round(y[3] * per))));
    return select(q, vec4<u32>(), per == 0.0);
}
