// Q4_1: value = d q + m, q = 0 ... 15.
//   wq  nibbles: q, [row][b]
//   wx  d, m f16, [row][b]

@group(0) @binding(auto) var<storage, read> wq: array<vec4<u32>>;
@group(0) @binding(auto) var<storage, read> wx: array<u32>;

const HAS_MIN = true;

struct Block {
    q: vec4<u32>,
    dm: u32,
}

fn load_block(row: u32, b: u32) -> Block {
    return Block(wq[row * NB + b], wx[row * NB + b]);
}

fn unpack_block(x: Block) -> Weights {
    let dm = unpack2x16float(x.dm);
    return Weights(x.q & vec4<u32>(0x0F0F0F0Fu), (x.q >> vec4<u32>(4u)) & vec4<u32>(0x0F0F0F0Fu), dm.xx, -dm.yy);
}
