// Q2_0, and formats that fit it: value = d t, t = -1 ... 2.
//   wq  -t as two's complement: bits 2 f, 2 f + 1 of byte c are of column 4 f + c in the first word, of
//       column 16 + 4 f + c in the second; [row][b]
//   wx  d f16, [row / 2][b / 2][row % 2]

@group(0) @binding(auto) var<storage, read> wq: array<vec2<u32>>;
@group(0) @binding(auto) var<storage, read> wx: array<u32>;

const HAS_MIN = false;

struct Block {
    q: vec2<u32>,
    d: u32,
    shift: u32,
}

fn load_block(row: u32, b: u32) -> Block {
    return Block(wq[row * NB + b], wx[(row >> 1u) * (NB / 2u) + (b >> 1u)], half_shift(row));
}

// Two bits at the top of a byte are -64 t.
fn unpack_block(x: Block) -> Weights {
    let d = unpack2x16float(x.d >> x.shift).x * -0.015625;
    return Weights((x.q.xxxx << vec4<u32>(6u, 4u, 2u, 0u)) & vec4<u32>(0xC0C0C0C0u),
                   (x.q.yyyy << vec4<u32>(6u, 4u, 2u, 0u)) & vec4<u32>(0xC0C0C0C0u), vec2<f32>(d), vec2<f32>());
}
