// The order of choice, and the words of `settings` (op_sample.h: the constants AT_... and the flags come
// from there).
//
// A logit is known by its key: a u32 that is greater for a greater logit, the same for 0 and -0, 0 for
// -infinity (never chosen) and NOT_A_NUMBER for NaN. Comparing keys needs no floats, which a GPU may
// take to be neither infinite nor NaN.
@group(0) @binding(auto) var<storage, read> settings: array<u32>;

const PLUS_INFINITY: u32 = 0x7f800000u;  // bits
const MINUS_INFINITY: u32 = 0xff800000u;
const NOT_A_NUMBER: u32 = 0xffffffffu;   // a key
const INFINITE: u32 = 0xff800000u;       // the key of +infinity

fn setting(at: u32) -> f32 { return bitcast<f32>(settings[at]); }

fn key_of(bits: u32) -> u32 {
    let size = bits & 0x7fffffffu;
    if (size > PLUS_INFINITY) { return NOT_A_NUMBER; }
    if (bits == MINUS_INFINITY) { return 0u; }
    if (size == 0u) { return 0x80000000u; }
    return select(bits | 0x80000000u, ~bits, bits > 0x80000000u);
}

fn logit_of(key: u32) -> f32 { // not of +-infinity
    return bitcast<f32>(select(~key, key & 0x7fffffffu, key >= 0x80000000u));
}

fn logits_of(keys: vec4<u32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(select(~keys, keys & vec4(0x7fffffffu), keys >= vec4(0x80000000u)));
}
