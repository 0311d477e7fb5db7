// IQ4_XS: value = d s T[code], T an uneven scale (weights.wgsl), s = -32 ... 31 for a block.
//   wq  nibbles: codes, top bit flipped, [row][b]
//   wx  s, a byte, [row / 2][b / 2][b % 2][row % 2]
//       d f16, [row / 2][b / 8][row % 2]

@group(0) @binding(auto) var<storage, read> wq: array<vec4<u32>>;
@group(0) @binding(auto) var<storage, read> wx: array<u32>;

const HAS_MIN = false;
const WX_D = ((ROWS + 1u) / 2u * (NB / 2u) + 63u) / 64u * 64u;

struct Block {
    q: vec4<u32>,
    s: u32,
    d: u32,
    row: u32,
    b: u32,
}

fn load_block(row: u32, b: u32) -> Block {
    return Block(wq[row * NB + b], wx[(row >> 1u) * (NB / 2u) + (b >> 1u)],
                 wx[WX_D + (row >> 1u) * (NB / 8u) + (b >> 3u)], row, b);
}

fn unpack_block(x: Block) -> Weights {
    let s = two_signed(x.s >> quarter_shift(x.row, x.b)).x;
    let d = s * unpack2x16float(x.d >> half_shift(x.row)).x;
    let q = iq4_bytes(x.q);
    return Weights(q.lo, q.hi, vec2<f32>(d), vec2<f32>());
}
