// A split's sums, for attend_merge.wgsl: [token][N_HEADS][SPLITS][QUADS + 1], the last one with the split's
// highest score and sum of weights.
@group(0) @binding(auto) var<storage, read_write> partials: array<vec4<f32>>;

fn put(head: u32, split: u32, quad: u32, slot: u32, sum: vec4<f32>, top: f32, total: f32) {
    let at = (head * SPLITS + split) * (D_HEAD / 4u + 1u);
    partials[at + quad] = sum;
    if (quad == 0u) {
        partials[at + D_HEAD / 4u] = vec4<f32>(top, total, 0.0, 0.0);
    }
}

fn finish(head: u32, n: u32, t: u32) {}
