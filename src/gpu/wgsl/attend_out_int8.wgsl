// As attend_out.wgsl, and the result rounded for the product that follows, as op_norm.h lays it out.  Part round_int8.
// D_HEAD is a multiple of 16.
@group(0) @binding(auto) var<storage, read_write> out_q: array<u32>; // [token][N_HEADS][QUADS]
@group(0) @binding(auto) var<storage, read_write> out_d: array<u32>; // [token][N_HEADS][QUADS / 4]: bits of f32

// Into the slot of `pool` that no other thread reads.
fn put(head: u32, split: u32, quad: u32, slot: u32, sum: vec4<f32>, top: f32, total: f32) {
    pool[slot] = sum / total;
}

// Of n heads, all threads' results being there.
fn finish(head: u32, n: u32, t: u32) {
    for (var i = t; i < n * QUADS; i += T) {
        let sixteen = i & 0xFFFFFFFCu;
        let most = max(max(magnitude(pool[sixteen]), magnitude(pool[sixteen + 1u])),
                       max(magnitude(pool[sixteen + 2u]), magnitude(pool[sixteen + 3u])));
        out_q[head * QUADS + i] = rounded4(pool[i], per_unit(most));
        if (i == sixteen) {
            out_d[(head * QUADS + i) / 4u] = unit_of(most);
        }
    }
    workgroupBarrier(); // before the next round's sums
}
