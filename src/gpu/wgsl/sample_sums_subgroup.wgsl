// Over the 256 threads of a workgroup: running sums, and the greatest of pairs. By shuffles within
// subgroups of SUBGROUP threads, then over what these gave.
var<workgroup> sums: array<vec2<u32>, THREADS / SUBGROUP>;

struct Prefix {
    before: vec2<u32>, // of the threads before
    total: vec2<u32>,
}

fn prefix64(t: u32, mine: vec2<u32>) -> Prefix {
    let lane = t % SUBGROUP;
    var sum = mine;
    for (var n = 1u; n < SUBGROUP; n = n * 2u) {
        let other = subgroupShuffleUp(sum, n);
        sum = add64(sum, select(vec2(0u), other, lane >= n));
    }
    workgroupBarrier(); // the last sums have been read
    if (lane == SUBGROUP - 1u) { sums[t / SUBGROUP] = sum; }
    workgroupBarrier();
    var before = vec2(0u);
    var total = vec2(0u);
    for (var i = 0u; i < turns(THREADS / SUBGROUP); i++) {
        if (i == t / SUBGROUP) { before = total; }
        total = add64(total, sums[i]);
    }
    return Prefix(sub64(add64(before, sum), mine), total);
}

// The greatest first word, and the greatest second one that goes with it.
fn greatest(t: u32, mine: vec2<u32>) -> vec2<u32> {
    let first = subgroupMax(mine.x);
    let second = subgroupMax(select(0u, mine.y, mine.x == first));
    if (t % SUBGROUP == 0u) { sums[t / SUBGROUP] = vec2(first, second); }
    workgroupBarrier();
    var best = vec2(0u);
    for (var i = 0u; i < turns(THREADS / SUBGROUP); i++) { best = greater(best, sums[i]); }
    return best;
}
