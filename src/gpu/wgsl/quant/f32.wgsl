// F32: the values.
//   wq  columns in order, 4 a vector, [row][eighth][b]

@group(0) @binding(auto) var<storage, read> wq: array<vec4<f32>>;

const HAS_MIN = false;

struct Block {
    q: array<vec4<f32>, 8>,
}

fn load_block(row: u32, b: u32) -> Block {
    let at = row * (8u * NB) + b;
    return Block(array<vec4<f32>, 8>(wq[at], wq[at + NB], wq[at + 2u * NB], wq[at + 3u * NB],
                                     wq[at + 4u * NB], wq[at + 5u * NB], wq[at + 6u * NB], wq[at + 7u * NB]));
}

fn floats_of(x: Block) -> array<vec4<f32>, 8> {
    return x.q;
}
