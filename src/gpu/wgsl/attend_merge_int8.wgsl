// As attend_merge_out.wgsl, and the result rounded for the product that follows, as op_norm.h lays it out.  Part
// round_int8.  D_HEAD is a multiple of 16.
@group(0) @binding(auto) var<storage, read_write> out_q: array<u32>; // [token][N_HEADS][D_HEAD / 4]
@group(0) @binding(auto) var<storage, read_write> out_d: array<u32>; // [token][N_HEADS][D_HEAD / 16]: bits of f32

var<workgroup> results: array<vec4<f32>, 64>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let inside = id.x < n_tokens() * N_HEADS * (D_HEAD / 4u);
    if (inside) {
        results[t] = merged(id.x);
    }
    workgroupBarrier();
    if (inside) {
        let sixteen = t & 0xFFFFFFFCu;
        let most = max(max(magnitude(results[sixteen]), magnitude(results[sixteen + 1u])),
                       max(magnitude(results[sixteen + 2u]), magnitude(results[sixteen + 3u])));
        out_q[id.x] = rounded4(results[t], per_unit(most));
        if (t == sixteen) {
            out_d[id.x / 4u] = unit_of(most);
        }
    }
}
