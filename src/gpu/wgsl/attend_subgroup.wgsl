// What attend_one.wgsl adds up across threads, by subgroup operations.
// Constants: SUBGROUP; T = SUBGROUPS of them; G, EIGHTS; TOGETHER = SUBGROUP / EIGHTS rows where that is a power of
// two above 1, else 1.
var<workgroup> subgroup_tops: array<f32, G * SUBGROUPS>;

// The largest of all threads.
fn highest(own: array<f32, G>, t: u32) -> array<f32, G> {
    var most = own;
@for g G
    most[$g] = subgroupMax(most[$g]);
    if (t % SUBGROUP == 0u) {
        subgroup_tops[$g * SUBGROUPS + t / SUBGROUP] = most[$g];
    }
@end
    workgroupBarrier();
@for g G
@for i SUBGROUPS
    most[$g] = max(most[$g], subgroup_tops[$g * SUBGROUPS + $i]);
@end
@end
    return most;
}

// The sum over threads with the same eight in TOGETHER rows, in all of them.
fn add_rows(own: f32) -> f32 {
    var sum = own;
    for (var far = EIGHTS; far < EIGHTS * TOGETHER; far <<= 1u) {
        sum += subgroupShuffleXor(sum, far);
    }
    return sum;
}

fn add_rows4(own: vec4<f32>) -> vec4<f32> {
    var sum = own;
    for (var far = EIGHTS; far < EIGHTS * TOGETHER; far <<= 1u) {
        sum += subgroupShuffleXor(sum, far);
    }
    return sum;
}
