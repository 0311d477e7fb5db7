// What the integer parts quant/<format> share: a block as kernels multiply it, and how codes of four
// bits become signed bytes. src/gpu/planes.c says what each format's planes hold.
//
// Codes come as words of eight: column j of 16 in the low, column 16 + j in the high nibble of byte j.
// Masks and shifts work on a whole word at a time, so a byte never costs an instruction of its own.

struct Weights {
    lo: vec4<u32>, // columns 0 ... 15, signed bytes
    hi: vec4<u32>, // columns 16 ... 31
    d: vec2<f32>,  // value k = byte k * d[k / 16] - m[k / 16]
    m: vec2<f32>,
}

struct Bytes {
    lo: vec4<u32>,
    hi: vec4<u32>,
}

// Of two rows' 16 bits in a word, where row's begin.
fn half_shift(row: u32) -> u32 {
    return (row & 1u) << 4u;
}

// Of two rows' and two blocks' bytes in a word.
fn quarter_shift(row: u32, b: u32) -> u32 {
    return ((b & 1u) << 4u) | ((row & 1u) << 3u);
}

// Bytes 0 and 1 of a word, signed.
fn two_signed(word: u32) -> vec2<f32> {
    return vec2<f32>(bitcast<vec2<i32>>(vec2<u32>(word << 24u, word << 16u)) >> vec2<u32>(24u));
}

// IQ4's uneven scale, -127 -104 -83 -65 -49 -35 -22 -10 1 13 25 38 53 69 89 113, of codes with the top
// bit flipped. As bytes plus 128 the values are 16 (n - t) + g for n = 0 ... 15: t is one bit and g
// four, each a formula of the code's bits x0 ... x3, worked out for all eight codes of a word where
// the bit belongs. A table would be as many loads as there are columns.
fn iq4_bytes(c: vec4<u32>) -> Bytes {
    let l1 = c << vec4<u32>(1u);
    let l2 = c << vec4<u32>(2u);
    let l3 = c << vec4<u32>(3u);
    let r1 = c >> vec4<u32>(1u);
    let r2 = c >> vec4<u32>(2u);
    let r3 = c >> vec4<u32>(3u);
    let g0 = r2 ^ (~(c | r2) | (r1 ^ (~r3 & (r1 | ~r2))));
    let g1 = l1 ^ ((l1 & ~c) | (r1 & (l1 ^ r2)));
    let g2 = (l2 & ~(c ^ r1)) | (l1 ^ (c | (l1 & ~r1)));
    let g3 = (c & (l2 ^ l1)) | (l3 ^ (l2 | (l3 & l1)));
    let t = ~r3 & ((c ^ r1) | (c ^ r2));
    let g = (g0 & vec4<u32>(0x11111111u)) | (g1 & vec4<u32>(0x22222222u)) |
            (g2 & vec4<u32>(0x44444444u)) | (g3 & vec4<u32>(0x88888888u));
    let high = c - (t & vec4<u32>(0x11111111u)); // no code with a t is 0: nothing is borrowed
    return Bytes(((high << vec4<u32>(4u)) & vec4<u32>(0xF0F0F0F0u)) | (g & vec4<u32>(0x0F0F0F0Fu)),
                 (high & vec4<u32>(0xF0F0F0F0u)) | ((g >> vec4<u32>(4u)) & vec4<u32>(0x0F0F0F0Fu)));
}

// s (bit 0 of each byte) turns the byte v into -v. v is not 0 where s is set, so nothing is carried.
fn negated(v: vec4<u32>, s: vec4<u32>) -> vec4<u32> {
    return (v ^ (s * vec4<u32>(255u))) + s;
}

// Twice the values of E2M1 floats, 0 1 2 3 4 6 8 12 and their negatives. There is no code of -0.
fn e2m1_bytes(c: vec4<u32>) -> Bytes {
    let l1 = c << vec4<u32>(1u);
    let l2 = c << vec4<u32>(2u);
    let r1 = c >> vec4<u32>(1u);
    let r2 = c >> vec4<u32>(2u);
    let v = (c & ~r2 & vec4<u32>(0x11111111u)) |
            (((c & ~r1) | (~c & r1 & l1)) & vec4<u32>(0x22222222u)) |
            (c & (~l1 | l2) & vec4<u32>(0x44444444u)) |
            (l1 & l2 & vec4<u32>(0x88888888u));
    return Bytes(negated(v & vec4<u32>(0x0F0F0F0Fu), (c >> vec4<u32>(3u)) & vec4<u32>(0x01010101u)),
                 negated((v >> vec4<u32>(4u)) & vec4<u32>(0x0F0F0F0Fu), (c >> vec4<u32>(7u)) & vec4<u32>(0x01010101u)));
}
