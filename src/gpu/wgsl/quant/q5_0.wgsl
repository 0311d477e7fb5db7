// Q5_0: value = d q, q = -16 ... 15.
//   wq  nibbles: low bits of q, [row][b]
//   wx  signs: bit j of byte c is of column 4 j + c, [row][b]
//       d f16, [row / 2][b][row % 2]

@group(0) @binding(auto) var<storage, read> wq: array<vec4<u32>>;
@group(0) @binding(auto) var<storage, read> wx: array<u32>;

const HAS_MIN = false;
const WX_D = ((ROWS + 1u) / 2u * 2u * NB + 63u) / 64u * 64u;

struct Block {
    q: vec4<u32>,
    signs: u32,
    d: u32,
    shift: u32,
}

fn load_block(row: u32, b: u32) -> Block {
    return Block(wq[row * NB + b], wx[row * NB + b], wx[WX_D + (row >> 1u) * NB + b], half_shift(row));
}

// The five bits at the top of a byte are 8 q.
fn unpack_block(x: Block) -> Weights {
    let d = unpack2x16float(x.d >> x.shift).x * 0.125;
    let signs = vec4<u32>(x.signs);
    let lo = ((x.q << vec4<u32>(3u)) & vec4<u32>(0x78787878u)) |
             ((signs << vec4<u32>(7u, 6u, 5u, 4u)) & vec4<u32>(0x80808080u));
    let hi = ((x.q >> vec4<u32>(1u)) & vec4<u32>(0x78787878u)) |
             ((signs << vec4<u32>(3u, 2u, 1u, 0u)) & vec4<u32>(0x80808080u));
    return Weights(lo, hi, vec2<f32>(d), vec2<f32>());
}
