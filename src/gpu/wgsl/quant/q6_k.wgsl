// Q6_K, and formats that fit it: value = d s q, q = -32 ... 31, a scale s = -128 ... 127 for 16 columns.
//   wq  nibbles: low bits of q, [row][b]
//   wx  high two bits of q's two's complement: bits 2 f, 2 f + 1 of byte c are of column 4 f + c in the
//       first word, of column 16 + 4 f + c in the second; [row][b]
//       two s, [row / 2][b][row % 2][half]
//       d f32, [row][b / 8]
// Words of the last two are fetched by twos, as wx is made of pairs for the first's sake.

@group(0) @binding(auto) var<storage, read> wq: array<vec4<u32>>;
@group(0) @binding(auto) var<storage, read> wx: array<vec2<u32>>;

const HAS_MIN = false;
const WX_S = ((ROWS + 1u) / 2u * 2u * NB + 31u) / 32u * 32u;
const WX_D = WX_S + ((ROWS + 1u) / 2u * NB + 63u) / 64u * 32u;

struct Block {
    q: vec4<u32>,
    high: vec2<u32>,
    s: vec2<u32>,
    d: vec2<u32>,
    row: u32,
    b: u32,
}

fn load_block(row: u32, b: u32) -> Block {
    let d = row * (NB / 8u) + (b >> 3u);
    return Block(wq[row * NB + b], wx[row * NB + b], wx[WX_S + (((row >> 1u) * NB + b) >> 1u)], wx[WX_D + (d >> 1u)],
                 row, b);
}

// The six bits at the top of a byte are 4 q. NB is a multiple of 8: b alone says which of two s it is.
fn unpack_block(x: Block) -> Weights {
    let s = select(x.s.x, x.s.y, (x.b & 1u) != 0u) >> half_shift(x.row);
    let d = select(x.d.x, x.d.y, ((x.row * (NB / 8u) + (x.b >> 3u)) & 1u) != 0u);
    let lo = ((x.q << vec4<u32>(2u)) & vec4<u32>(0x3C3C3C3Cu)) |
             ((x.high.xxxx << vec4<u32>(6u, 4u, 2u, 0u)) & vec4<u32>(0xC0C0C0C0u));
    let hi = ((x.q >> vec4<u32>(2u)) & vec4<u32>(0x3C3C3C3Cu)) |
             ((x.high.yyyy << vec4<u32>(6u, 4u, 2u, 0u)) & vec4<u32>(0xC0C0C0C0u));
    return Weights(lo, hi, bitcast<f32>(d) * 0.25 * two_signed(s), vec2<f32>());
}
