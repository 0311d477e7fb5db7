// What attend_one.wgsl adds up across threads, by subgroup operations.
// Constants: SUBGROUP, T (a multiple of it), G, EIGHTS; TOGETHER = SUBGROUP / EIGHTS rows where that is a power of
// two above 1, else 1.
var<workgroup> subgroup_tops: array<f32, G * (T / SUBGROUP)>;

// The largest of all threads.
fn highest(own: array<f32, G>, t: u32) -> array<f32, G> {
    var most = own;
    for (var far = SUBGROUP / 2u; far > 0u; far >>= 1u) {
        for (var g = 0u; g < G; g++) {
            most[g] = max(most[g], subgroupShuffleXor(most[g], far));
        }
    }
    for (var g = 0u; g < G; g++) {
        if (t % SUBGROUP == 0u) {
            subgroup_tops[g * (T / SUBGROUP) + t / SUBGROUP] = most[g];
        }
    }
    workgroupBarrier();
    for (var g = 0u; g < G; g++) {
        for (var i = 0u; i < T / SUBGROUP; i++) {
            most[g] = max(most[g], subgroup_tops[g * (T / SUBGROUP) + i]);
        }
    }
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
