// Over the 256 threads of a workgroup: running sums, and the greatest of pairs. 16 threads go through 16
// values each, then all through what they left. Few barriers, because those are what takes time, and
// compiling too.
var<workgroup> sums: array<vec2<u32>, THREADS>;

struct Prefix {
    before: vec2<u32>, // of the threads before
    total: vec2<u32>,
}

fn prefix64(t: u32, mine: vec2<u32>) -> Prefix {
    workgroupBarrier(); // the last sums have been read
    sums[t] = mine;
    workgroupBarrier();
    if (t < 16u) {
        var sum = vec2(0u);
        for (var i = 0u; i < turns(16u); i++) {
            sum = add64(sum, sums[16u * t + i]);
            sums[16u * t + i] = sum;
        }
    }
    workgroupBarrier();
    var before = vec2(0u);
    var total = vec2(0u);
    for (var i = 0u; i < turns(16u); i++) {
        if (i == t / 16u) { before = total; }
        total = add64(total, sums[16u * i + 15u]);
    }
    return Prefix(sub64(add64(before, sums[t]), mine), total);
}

// The greatest first word, and the greatest second one that goes with it.
fn greatest(t: u32, mine: vec2<u32>) -> vec2<u32> {
    sums[t] = mine;
    workgroupBarrier();
    var best = vec2(0u);
    for (var i = 0u; i < turns(16u); i++) { best = greater(best, sums[16u * (t % 16u) + i]); }
    workgroupBarrier();
    if (t < 16u) { sums[t] = best; }
    workgroupBarrier();
    for (var i = 0u; i < turns(16u); i++) { best = greater(best, sums[i]); }
    return best;
}
