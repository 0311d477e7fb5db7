// attend_merge.wgsl as a kernel: a thread has four values.
// Grid: workgroups of 64 for tokens * N_HEADS * D_HEAD / 4.
@group(0) @binding(auto) var<storage, read_write> out: array<vec4<f32>>; // [token][N_HEADS][D_HEAD]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < n_tokens() * N_HEADS * (D_HEAD / 4u)) {
        out[id.x] = merged(id.x);
    }
}
