// Q4_K: value = d s q - dmin m, q = 0 ... 15, s and m = 0 ... 63 for a block.
//   wq  nibbles: q, [row][b]
//   wx  s, m as bytes, [row / 2][b][row % 2]
//       d, dmin f16, [row][b / 8]

@group(0) @binding(auto) var<storage, read> wq: array<vec4<u32>>;
@group(0) @binding(auto) var<storage, read> wx: array<u32>;

const HAS_MIN = true;
const WX_D = ((ROWS + 1u) / 2u * NB + 63u) / 64u * 64u;

struct Block {
    q: vec4<u32>,
    s: u32,
    d: u32,
    shift: u32,
}

fn load_block(row: u32, b: u32) -> Block {
    return Block(wq[row * NB + b], wx[(row >> 1u) * NB + b], wx[WX_D + row * (NB / 8u) + (b >> 3u)], half_shift(row));
}

fn unpack_block(x: Block) -> Weights {
    let s = x.s >> x.shift;
    let dm = unpack2x16float(x.d) * vec2<f32>(vec2<u32>(s & 255u, (s >> 8u) & 255u));
    return Weights(x.q & vec4<u32>(0x0F0F0F0Fu), (x.q >> vec4<u32>(4u)) & vec4<u32>(0x0F0F0F0Fu), dm.xx, dm.yy);
}
