// Eights in q8_0: 8 signed bytes, and a scale in half precision for each 32 values of a vector (4 eights).
// A word has two scales, the even one low; all scales follow all bytes.
const SCALES = (EIGHTS + 7u) / 8u;                    // words of scales of a vector
const SCALES_AT = N_KV_HEADS * EIGHTS * N_CTX * 2u;   // words before them

struct RawQ8 { q: vec2<u32>, d: vec2<u32> } // d: two neighbouring words of scales

fn signed_bytes(w: u32) -> vec4<f32> {
    return vec4<f32>(vec4<i32>(vec4<u32>(w) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u));
}

fn eight_of_q8_0(x: RawQ8, scale: u32, eight: u32) -> Eight {
    let both = unpack2x16float(select(x.d.x, x.d.y, (scale & 1u) == 1u));
    let d = select(both.x, both.y, (eight & 4u) != 0u);
    return Eight(signed_bytes(x.q.x) * d, signed_bytes(x.q.y) * d);
}

// The scale of a block whose largest value is `most`, before it is rounded.
fn q8_0_scale(most: f32) -> f32 {
    return min(most / 127.0, 65504.0);
}

fn q8_0_word(x: vec4<f32>, scale: f32) -> u32 {
    let q = vec4<u32>(clamp(vec4<i32>(round(x / select(1.0, scale, scale > 0.0))), vec4<i32>(-127), vec4<i32>(127)));
    let b = q & vec4<u32>(255u);
    return b.x | (b.y << 8u) | (b.z << 16u) | (b.w << 24u);
}
