// 16 columns as int8 with one scale d = max|y| / 127, each round(y / d): what quant_activations of
// src/quant/quant.h does, which also says what becomes of infinities and of what is too small.
@group(0) @binding(auto) var<storage, read_write> xq: array<vec4<u32>>; // [token][GROUPS]
@group(0) @binding(auto) var<storage, read_write> xd: array<u32>;       // [token][GROUPS]: bits of f32

const LEAST = 0x03FE0000u;    // 127 times the smallest normal number: its scale is normal
const INFINITE = 0x7F800000u;
const NOT_A_NUMBER = 0x7FC00000u;

// Magnitudes compare as integers like floats do, with infinity and NaN on top.
fn magnitude(y: vec4<f32>) -> vec4<u32> {
    return bitcast<vec4<u32>>(y) & vec4<u32>(0x7FFFFFFFu);
}

fn put(token: u32, at: u32, y: array<vec4<f32>, 4>) {
    let most4 = max(max(magnitude(y[0]), magnitude(y[1])), max(magnitude(y[2]), magnitude(y[3])));
    let most = max(max(most4.x, most4.y), max(most4.z, most4.w));
    let i = token * GROUPS + at;
    if (most < LEAST || most >= INFINITE) {
        xq[i] = vec4<u32>();
        xd[i] = select(0u, NOT_A_NUMBER, most >= INFINITE);
        return;
    }
    let per = 127.0 / bitcast<f32>(most);
    xq[i] = vec4<u32>(pack4xI8(vec4<i32>(round(y[0] * per))), pack4xI8(vec4<i32>(round(y[1] * per))),
                      pack4xI8(vec4<i32>(round(y[2] * per))), pack4xI8(vec4<i32>(round(y[3] * per))));
    xd[i] = bitcast<u32>(bitcast<f32>(most) / 127.0);
}
