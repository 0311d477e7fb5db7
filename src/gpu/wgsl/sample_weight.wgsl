// Weights exp((x - max) / temperature) of logits.
//
// Sums of many weights must not depend on their order, and 24 bits would lose the tail of a large
// vocabulary: they are kept in 64-bit fixed point, 2^44 for weight 1, as (low, high) words. Weights
// below exp(-31), half of the last bit, are 0; 2^19 of 1 do not overflow.

// exp(x) for -32 < x <= 0 within 2 units in the last place: 2^n exp(r), |r| <= ln 2 / 2. The product
// of n with the first part of ln 2 is exact.
fn exp_negative(x: f32) -> f32 {
    let n = round(x * 1.44269504);
    let r = (x - n * 0.693359375) + n * 2.12194440e-4;
    var p = 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    return p * bitcast<f32>(u32(i32(n) + 127) << 23u);
}

// key <= top, the key of the maximum. inverse: of the temperature. Distances beyond `far` (negative)
// weigh nothing: a temperature near 0 would take them to infinity.
fn weight(key: u32, top: u32, inverse: f32, far: f32) -> f32 {
    if (key == top) { return 1.0; }
    if (key == 0u || top >= INFINITE) { return 0.0; }
    let d = logit_of(key) - logit_of(top);
    if (d < far) { return 0.0; }
    return exp_negative(d * inverse);
}

fn fixed(w: f32) -> vec2<u32> { // w < 2^20
    let scaled = w * 4096.0;
    let high = floor(scaled);
    return vec2(u32((scaled - high) * 4294967296.0), u32(high));
}
