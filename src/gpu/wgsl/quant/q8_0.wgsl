// Q8_0: value = d q.
//   wq  q as signed bytes: columns 0 ... 15, columns 16 ... 31, [row][half][b]
//   wx  d f16, [row / 2][b][row % 2]

@group(0) @binding(auto) var<storage, read> wq: array<vec4<u32>>;
@group(0) @binding(auto) var<storage, read> wx: array<u32>;

const HAS_MIN = false;

struct Block {
    lo: vec4<u32>,
    hi: vec4<u32>,
    d: u32,
    shift: u32,
}

fn load_block(row: u32, b: u32) -> Block {
    let at = row * (2u * NB) + b;
    return Block(wq[at], wq[at + NB], wx[(row >> 1u) * NB + b], half_shift(row));
}

fn unpack_block(x: Block) -> Weights {
    return Weights(x.lo, x.hi, vec2<f32>(unpack2x16float(x.d >> x.shift).x), vec2<f32>());
}
