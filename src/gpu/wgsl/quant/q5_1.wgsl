// Q5_1: value = d q + m, q = 0 ... 31.
//   wq  nibbles: low bits of q, [row][b]
//   wx  fifth bits: bit j of byte c is of column 4 j + c; then d, m f16; [row][b]

@group(0) @binding(auto) var<storage, read> wq: array<vec4<u32>>;
@group(0) @binding(auto) var<storage, read> wx: array<vec2<u32>>;

const HAS_MIN = true;

struct Block {
    q: vec4<u32>,
    x: vec2<u32>,
}

fn load_block(row: u32, b: u32) -> Block {
    return Block(wq[row * NB + b], wx[row * NB + b]);
}

fn unpack_block(x: Block) -> Weights {
    let dm = unpack2x16float(x.x.y);
    let fifths = vec4<u32>(x.x.x);
    let lo = (x.q & vec4<u32>(0x0F0F0F0Fu)) | ((fifths << vec4<u32>(4u, 3u, 2u, 1u)) & vec4<u32>(0x10101010u));
    let hi = ((x.q >> vec4<u32>(4u)) & vec4<u32>(0x0F0F0F0Fu)) |
             ((fifths >> vec4<u32>(0u, 1u, 2u, 3u)) & vec4<u32>(0x10101010u));
    return Weights(lo, hi, dm.xx, -dm.yy);
}
