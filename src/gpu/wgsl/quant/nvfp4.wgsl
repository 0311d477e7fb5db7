// NVFP4: value = scale E2M1[code], a scale (E4M3 without a sign) for 16 columns.
//   wq  nibbles: codes, [row][b]
//   wx  two scales as bytes, [row / 2][b][row % 2][half]

@group(0) @binding(auto) var<storage, read> wq: array<vec4<u32>>;
@group(0) @binding(auto) var<storage, read> wx: array<u32>;

const HAS_MIN = false;

struct Block {
    q: vec4<u32>,
    s: u32,
    shift: u32,
}

fn load_block(row: u32, b: u32) -> Block {
    return Block(wq[row * NB + b], wx[(row >> 1u) * NB + b], half_shift(row));
}

// Half of a scale: bytes are doubled. Exponent 0 has no hidden bit.
fn half_e4m3(code: vec2<u32>) -> vec2<f32> {
    let tiny = vec2<f32>(code & vec2<u32>(7u)) * 0x1p-10;
    return select(bitcast<vec2<f32>>((code << vec2<u32>(20u)) + vec2<u32>(119u << 23u)), tiny, code < vec2<u32>(8u));
}

fn unpack_block(x: Block) -> Weights {
    let q = e2m1_bytes(x.q);
    let scales = vec2<u32>(x.s >> x.shift) >> vec2<u32>(0u, 8u);
    return Weights(q.lo, q.hi, half_e4m3(scales & vec2<u32>(127u)), vec2<f32>());
}
