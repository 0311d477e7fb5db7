// MXFP4: value = 2^(e - 127) E2M1[code].
//   wq  nibbles: codes, [row][b]
//   wx  e, a byte, [row / 2][b / 2][b % 2][row % 2]

@group(0) @binding(auto) var<storage, read> wq: array<vec4<u32>>;
@group(0) @binding(auto) var<storage, read> wx: array<u32>;

const HAS_MIN = false;

struct Block {
    q: vec4<u32>,
    e: u32,
    shift: u32,
}

fn load_block(row: u32, b: u32) -> Block {
    return Block(wq[row * NB + b], wx[(row >> 1u) * ((NB + 1u) / 2u) + (b >> 1u)], quarter_shift(row, b));
}

// Bytes are doubled, so d is 2^(e - 128); it is subnormal for e 0 and 1.
fn unpack_block(x: Block) -> Weights {
    let e = (x.e >> x.shift) & 255u;
    let d = bitcast<f32>(select((e - 1u) << 23u, 0x00200000u << e, e < 2u));
    let q = e2m1_bytes(x.q);
    return Weights(q.lo, q.hi, vec2<f32>(d), vec2<f32>());
}
