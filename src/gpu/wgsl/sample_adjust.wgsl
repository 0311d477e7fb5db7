// Biases and penalties, as the CPU's sampler applies them: bias added, then tokens of the window divided
// by the factor (multiplied where not positive), less an amount for each occurrence and one for any.
//
// history: for each token its occurrences in the window and its bias; then what sample_finish keeps.
fn adjusted(id: u32, logit: u32, flags: u32) -> u32 {
    var bits = logit;
    if ((flags & BIASES) != 0u) {
        bits = biased(bits, history[2u * id + 1u]);
    }
    if ((flags & PENALTIES) != 0u) {
        let count = history[2u * id];
        if (count != 0u && is_finite(bits)) { bits = penalised(bits, count); }
    }
    return bits;
}

fn is_finite(bits: u32) -> bool { return (bits & PLUS_INFINITY) != PLUS_INFINITY; }

fn biased(bits: u32, bias: u32) -> u32 {
    if (bias == 0u) { return bits; }
    if (bias == MINUS_INFINITY) { // from +infinity and NaN that gives NaN
        return select(MINUS_INFINITY, NOT_A_NUMBER, (bits & 0x7fffffffu) > PLUS_INFINITY || bits == PLUS_INFINITY);
    }
    if (!is_finite(bits)) { return bits; }
    return bitcast<u32>(bitcast<f32>(bits) + bitcast<f32>(bias));
}

fn penalised(bits: u32, count: u32) -> u32 {
    let factor = setting(AT_REPEAT);
    var x = bitcast<f32>(bits);
    if (x <= 0.0) { x = x * factor; } else { x = divided(x, factor); }
    x = x - (f32(count) * setting(AT_FREQUENCY) + setting(AT_PRESENCE));
    return bitcast<u32>(x);
}

// a / b of positive numbers, rounded as the CPU does, while GPUs may be 2.5 units off: two tokens whose
// logits are equal after one of them was divided must stay equal. By long division of the significands.
fn divided(a: f32, b: f32) -> f32 {
    let x = bitcast<u32>(a);
    let y = bitcast<u32>(b);
    var exponent = i32(x >> 23u) - i32(y >> 23u) + 127;
    if (x < 0x00800000u || y < 0x00800000u || y >= PLUS_INFINITY || exponent < 2 || exponent > 253) {
        return a / b; // denormal or beyond
    }
    let divisor = (y & 0x007fffffu) | 0x00800000u;
    var rest = (x & 0x007fffffu) | 0x00800000u;
    if (rest < divisor) {
        rest = rest << 1u;
        exponent--;
    }
    var quotient = 0u; // 24 bits and one to round by
    for (var i = 0; i < 25; i++) {
        quotient = quotient << 1u;
        if (rest >= divisor) {
            rest -= divisor;
            quotient |= 1u;
        }
        rest = rest << 1u;
    }
    let up = (quotient & 1u) != 0u && (rest != 0u || (quotient & 2u) != 0u);
    return bitcast<f32>((u32(exponent - 1) << 23u) + (quotient >> 1u) + select(0u, 1u, up));
}
