// BF16: the values.
//   wq  columns in order, 8 a vector, [row][quarter][b]

@group(0) @binding(auto) var<storage, read> wq: array<vec4<u32>>;

const HAS_MIN = false;

struct Block {
    q: array<vec4<u32>, 4>,
}

fn load_block(row: u32, b: u32) -> Block {
    let at = row * (4u * NB) + b;
    return Block(array<vec4<u32>, 4>(wq[at], wq[at + NB], wq[at + 2u * NB], wq[at + 3u * NB]));
}

fn four_values(two: vec2<u32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(two.x << 16u, two.x & 0xFFFF0000u, two.y << 16u, two.y & 0xFFFF0000u));
}

fn floats_of(x: Block) -> array<vec4<f32>, 8> {
    return array<vec4<f32>, 8>(
        four_values(x.q[0].xy), four_values(x.q[0].zw),
        four_values(x.q[1].xy), four_values(x.q[1].zw),
        four_values(x.q[2].xy), four_values(x.q[2].zw),
        four_values(x.q[3].xy), four_values(x.q[3].zw));
}
