// Q5_K: value = d s q - dmin m, q = 0 ... 31, s and m = 0 ... 63 for a block.
//   wq  nibbles: low bits of q, [row][b]
//   wx  fifth bits: bit j of byte c is of column 4 j + c, [row][b]
//       s, m as bytes, [row / 2][b][row % 2]
//       d, dmin f16, [row][b / 8]

@group(0) @binding(auto) var<storage, read> wq: array<vec4<u32>>;
@group(0) @binding(auto) var<storage, read> wx: array<u32>;

const HAS_MIN = true;
const WX_S = ((ROWS + 1u) / 2u * 2u * NB + 63u) / 64u * 64u;
const WX_D = WX_S + ((ROWS + 1u) / 2u * NB + 63u) / 64u * 64u;

struct Block {
    q: vec4<u32>,
    fifths: u32,
    s: u32,
    d: u32,
    shift: u32,
}

fn load_block(row: u32, b: u32) -> Block {
    return Block(wq[row * NB + b], wx[row * NB + b], wx[WX_S + (row >> 1u) * NB + b],
                 wx[WX_D + row * (NB / 8u) + (b >> 3u)], half_shift(row));
}

fn unpack_block(x: Block) -> Weights {
    let s = x.s >> x.shift;
    let dm = unpack2x16float(x.d) * vec2<f32>(vec2<u32>(s & 255u, (s >> 8u) & 255u));
    let fifths = vec4<u32>(x.fifths);
    let lo = (x.q & vec4<u32>(0x0F0F0F0Fu)) | ((fifths << vec4<u32>(4u, 3u, 2u, 1u)) & vec4<u32>(0x10101010u));
    let hi = ((x.q >> vec4<u32>(4u)) & vec4<u32>(0x0F0F0F0Fu)) |
             ((fifths >> vec4<u32>(0u, 1u, 2u, 3u)) & vec4<u32>(0x10101010u));
    return Weights(lo, hi, dm.xx, dm.yy);
}
