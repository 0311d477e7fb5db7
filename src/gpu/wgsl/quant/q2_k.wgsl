// Q2_K: value = d s q - dmin m, q = 0 ... 3, s and m = 0 ... 15 for 16 columns.
//   wq  q: bits 2 f, 2 f + 1 of byte c are of column 4 f + c in the first word, of column 16 + 4 f + c in
//       the second; [row][b]
//   wx  two bytes s + 16 m, [row / 2][b][row % 2][half]
//       d, dmin f16, [row][b / 8]

@group(0) @binding(auto) var<storage, read> wq: array<vec2<u32>>;
@group(0) @binding(auto) var<storage, read> wx: array<u32>;

const HAS_MIN = true;
const WX_D = ((ROWS + 1u) / 2u * NB + 63u) / 64u * 64u;

struct Block {
    q: vec2<u32>,
    s: u32,
    d: u32,
    shift: u32,
}

fn load_block(row: u32, b: u32) -> Block {
    return Block(wq[row * NB + b], wx[(row >> 1u) * NB + b], wx[WX_D + row * (NB / 8u) + (b >> 3u)], half_shift(row));
}

fn unpack_block(x: Block) -> Weights {
    let s = vec2<u32>(x.s >> x.shift) >> vec2<u32>(0u, 8u);
    let dm = unpack2x16float(x.d);
    return Weights((x.q.xxxx >> vec4<u32>(0u, 2u, 4u, 6u)) & vec4<u32>(0x03030303u),
                   (x.q.yyyy >> vec4<u32>(0u, 2u, 4u, 6u)) & vec4<u32>(0x03030303u),
                   dm.x * vec2<f32>(s & vec2<u32>(15u)), dm.y * vec2<f32>((s >> vec2<u32>(4u)) & vec2<u32>(15u)));
}
