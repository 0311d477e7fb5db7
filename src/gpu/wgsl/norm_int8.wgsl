// Part round_int8.
@group(0) @binding(auto) var<storage, read_write> out_q: array<vec4<u32>>; // [token][GROUPS]
@group(0) @binding(auto) var<storage, read_write> out_d: array<u32>;       // [token][GROUPS]: bits of f32

fn put(token: u32, at: u32, y: array<vec4<f32>, 4>) {
    let most = max(max(magnitude(y[0]), magnitude(y[1])), max(magnitude(y[2]), magnitude(y[3])));
    out_q[token * GROUPS + at] = rounded16(y, per_unit(most));
    out_d[token * GROUPS + at] = unit_of(most);
}
