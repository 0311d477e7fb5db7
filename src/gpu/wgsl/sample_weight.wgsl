// Weights exp((x - max) / temperature) of logits, four at a time: a GPU works on them side by side.
//
// Sums of many weights must not depend on their order, and 24 bits would lose the tail of a large
// vocabulary: they are kept in 64-bit fixed point, 2^44 for weight 1, as (low, high) words. Weights
// below exp(-31), half of the last bit, are 0; 2^19 of 1 do not overflow.

// exp(x) for -32 <= x <= 0 within 2 units in the last place: 2^n exp(r), |r| <= ln 2 / 2. The product
// of n with the first part of ln 2 is exact.
fn exp_negative(x: vec4<f32>) -> vec4<f32> {
    let n = round(x * 1.44269504);
    let r = (x - n * 0.693359375) + n * 2.12194440e-4;
    var p = vec4(1.0 / 5040.0);
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    return p * bitcast<vec4<f32>>(vec4<u32>(vec4<i32>(n) + 127) << vec4(23u));
}

struct Scale {
    top: u32,     // key of the maximum
    least: u32,   // lesser keys weigh nothing; at least 1
    inverse: f32, // of the temperature
    far: f32,     // nor does what lies farther below the maximum: negative, or 0 for a temperature so near
                  // 0 that its inverse would be infinite
}

fn weights(s: Scale, keys: vec4<u32>) -> vec4<f32> {
    let d = logits_of(keys) - logit_of(s.top);
    let w = exp_negative(clamp(d * s.inverse, vec4(-32.0), vec4(0.0)));
    let is_nothing = (d < vec4(s.far)) | (keys < vec4(s.least)) | vec4(s.top >= INFINITE);
    return select(select(w, vec4(0.0), is_nothing), vec4(1.0), keys == vec4(s.top));
}

struct Fixed {
    low: vec4<u32>,
    high: vec4<u32>,
}

fn fixed(w: vec4<f32>) -> Fixed { // w < 2^20
    let scaled = w * 4096.0;
    let high = floor(scaled);
    return Fixed(vec4<u32>((scaled - high) * 4294967296.0), vec4<u32>(high));
}
