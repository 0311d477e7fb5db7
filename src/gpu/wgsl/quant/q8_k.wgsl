// Q8_K, and formats of a grid: value = d s q, a scale s = -128 ... 127 for 16 columns.
//   wq  q as signed bytes: columns 0 ... 15, columns 16 ... 31, [row][half][b]
//   wx  two s, [row / 2][b][row % 2][half]
//       d f32, [row][b / 8]

@group(0) @binding(auto) var<storage, read> wq: array<vec4<u32>>;
@group(0) @binding(auto) var<storage, read> wx: array<u32>;

const HAS_MIN = false;
const WX_D = ((ROWS + 1u) / 2u * NB + 63u) / 64u * 64u;

struct Block {
    lo: vec4<u32>,
    hi: vec4<u32>,
    s: u32,
    d: u32,
    shift: u32,
}

fn load_block(row: u32, b: u32) -> Block {
    let at = row * (2u * NB) + b;
    return Block(wq[at], wq[at + NB], wx[(row >> 1u) * NB + b], wx[WX_D + row * (NB / 8u) + (b >> 3u)],
                 half_shift(row));
}

fn unpack_block(x: Block) -> Weights {
    return Weights(x.lo, x.hi, bitcast<f32>(x.d) * two_signed(x.s >> x.shift), vec2<f32>());
}
