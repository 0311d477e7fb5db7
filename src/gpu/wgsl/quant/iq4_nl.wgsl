// IQ4_NL: value = d T[code], T an uneven scale (weights.wgsl).
//   wq  nibbles: codes, top bit flipped, [row][b]
//   wx  d f16, [row / 2][b][row % 2]

@group(0) @binding(auto) var<storage, read> wq: array<vec4<u32>>;
@group(0) @binding(auto) var<storage, read> wx: array<u32>;

const HAS_MIN = false;

struct Block {
    q: vec4<u32>,
    d: u32,
    shift: u32,
}

fn load_block(row: u32, b: u32) -> Block {
    return Block(wq[row * NB + b], wx[(row >> 1u) * NB + b], half_shift(row));
}

fn unpack_block(x: Block) -> Weights {
    let q = iq4_bytes(x.q);
    return Weights(q.lo, q.hi, vec2<f32>(unpack2x16float(x.d >> x.shift).x), vec2<f32>());
}
