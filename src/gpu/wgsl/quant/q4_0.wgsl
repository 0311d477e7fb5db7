// Q4_0: value = d q, q = -8 ... 7.
//   wq  nibbles: q as two's complement, [row][b]
//   wx  d f16, [row / 2][b][row % 2]

@group(0) @binding(auto) var<storage, read> wq: array<vec4<u32>>;
@group(0) @binding(auto) var<storage, read> wx: array<u32>;

const HAS_MIN = false;

struct Block {
    q: vec4<u32>,
    d: u32,
    shift: u32,
}

fn load_block(row: u32, b: u32) -> Block {
    return Block(wq[row * NB + b], wx[(row >> 1u) * NB + b], half_shift(row));
}

// A nibble at the top of a byte is 16 q.
fn unpack_block(x: Block) -> Weights {
    let d = unpack2x16float(x.d >> x.shift).x * 0.0625;
    return Weights((x.q << vec4<u32>(4u)) & vec4<u32>(0xF0F0F0F0u), x.q & vec4<u32>(0xF0F0F0F0u), vec2<f32>(d),
                   vec2<f32>());
}
