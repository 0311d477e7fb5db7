// Sums across threads through workgroup memory.  Constants: T, TPR (a power of two), R.
var<workgroup> row_sums: array<f32, T * R>;

// Of the TPR threads that share rows, in the first of them.
fn add_up(own: array<f32, R>, t: u32) -> array<f32, R> {
    var sums = own;
    for (var r = 0u; r < R; r++) {
        row_sums[r * T + t] = sums[r];
    }
    for (var far = TPR / 2u; far > 0u; far >>= 1u) {
        workgroupBarrier();
        if (t % TPR < far) {
            for (var r = 0u; r < R; r++) {
                sums[r] += row_sums[r * T + t + far];
                row_sums[r * T + t] = sums[r];
            }
        }
    }
    return sums;
}

fn workgroup_sum(own: f32, t: u32) -> f32 {
    row_sums[t] = own;
    for (var far = T / 2u; far > 0u; far >>= 1u) {
        workgroupBarrier();
        if (t < far) {
            row_sums[t] += row_sums[t + far];
        }
    }
    workgroupBarrier();
    let all = row_sums[0];
    workgroupBarrier(); // before add_up writes there
    return all;
}
