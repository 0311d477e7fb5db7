// Running sums over the 256 threads of a workgroup: 16 threads add up 16 values each, then all add what
// the runs before theirs gave. Few barriers, because those are what takes time, and compiling too.
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
        for (var i = 16u * t; i < 16u * t + turns(16u); i++) {
            sum = add64(sum, sums[i]);
            sums[i] = sum;
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
