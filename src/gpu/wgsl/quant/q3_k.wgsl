// Q3_K: value = d s q, q = -4 ... 3, a scale s = -32 ... 31 for 16 columns.
//   wq  low two bits of q: bits 2 f, 2 f + 1 of byte c are of column 4 f + c in the first word, of column
//       16 + 4 f + c in the second; [row][b]
//   wx  signs: bit j of byte c is of column 4 j + c, [row][b]
//       two s, [row / 2][b][row % 2][half]
//       d f16, [row / 2][b / 8][row % 2]

@group(0) @binding(auto) var<storage, read> wq: array<vec2<u32>>;
@group(0) @binding(auto) var<storage, read> wx: array<u32>;

const HAS_MIN = false;
const WX_S = ((ROWS + 1u) / 2u * 2u * NB + 63u) / 64u * 64u;
const WX_D = WX_S + ((ROWS + 1u) / 2u * NB + 63u) / 64u * 64u;

struct Block {
    q: vec2<u32>,
    signs: u32,
    s: u32,
    d: u32,
    shift: u32,
}

fn load_block(row: u32, b: u32) -> Block {
    return Block(wq[row * NB + b], wx[row * NB + b], wx[WX_S + (row >> 1u) * NB + b],
                 wx[WX_D + (row >> 1u) * (NB / 8u) + (b >> 3u)], half_shift(row));
}

// Bits 0 ... 7 of each byte to bits 5 and 6, the sign to bit 7: 32 q.
fn three_bits(q: u32, signs: vec4<u32>) -> vec4<u32> {
    return (vec4<u32>(q << 5u, q << 3u, q << 1u, q >> 1u) & vec4<u32>(0x60606060u)) | (signs & vec4<u32>(0x80808080u));
}

fn unpack_block(x: Block) -> Weights {
    let d = unpack2x16float(x.d >> x.shift).x * 0.03125;
    return Weights(three_bits(x.q.x, vec4<u32>(x.signs) << vec4<u32>(7u, 6u, 5u, 4u)),
                   three_bits(x.q.y, vec4<u32>(x.signs) << vec4<u32>(3u, 2u, 1u, 0u)), d * two_signed(x.s >> x.shift),
                   vec2<f32>());
}
