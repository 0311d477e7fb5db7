// Sums over the 256 threads of a workgroup, in workgroup memory.
var<workgroup> sums: array<vec2<u32>, 512>; // two halves in turn: a barrier a step is enough

struct Prefix {
    before: vec2<u32>, // of the threads before
    total: vec2<u32>,
}

fn prefix64(t: u32, mine: vec2<u32>) -> Prefix {
    var sum = mine;
    var half = 0u;
    for (var n = 1u; n < THREADS; n = n * 2u) {
        sums[half + t] = sum;
        workgroupBarrier();
        if (t >= n) { sum = add64(sum, sums[half + t - n]); }
        half = THREADS - half;
    }
    sums[half + t] = sum;
    let total = workgroupUniformLoad(&sums[half + THREADS - 1u]);
    return Prefix(sub64(sum, mine), total);
}
