// One workgroup saw all: its sums of values, over the sum of weights, are the result.
@group(0) @binding(auto) var<storage, read_write> out: array<vec4<f32>>; // [token][N_HEADS][D_HEAD]

fn put(head: u32, split: u32, quad: u32, slot: u32, sum: vec4<f32>, top: f32, total: f32) {
    out[head * (D_HEAD / 4u) + quad] = sum / total;
}

fn finish(head: u32, n: u32, t: u32) {}
