// Sums across threads by subgroup operations.  Constants: T, TPR (a power of two, at most SUBGROUP), R,
// SUBGROUP: threads in each subgroup.
var<workgroup> subgroup_sums: array<f32, T / SUBGROUP>;

// Of the TPR threads that share rows, in all of them.
fn add_up(own: array<f32, R>, t: u32) -> array<f32, R> {
    var sums = own;
    for (var far = TPR / 2u; far > 0u; far >>= 1u) {
@for r R
        sums[$r] += subgroupShuffleXor(sums[$r], far);
@end
    }
    return sums;
}

fn workgroup_sum(own: f32, t: u32) -> f32 {
    let sum = subgroupAdd(own);
    if (t % SUBGROUP == 0u) {
        subgroup_sums[t / SUBGROUP] = sum;
    }
    workgroupBarrier();
    var all = 0.0;
    for (var i = 0u; i < T / SUBGROUP; i++) {
        all += subgroup_sums[i];
    }
    return all;
}
