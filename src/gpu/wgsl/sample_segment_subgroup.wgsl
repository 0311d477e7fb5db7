// Reductions over the SEGMENT neighbouring threads of a slice, a power of two and no more than a
// subgroup has, by shuffles.

fn segment_max(t: u32, mine: u32) -> u32 {
    var greatest = mine;
    for (var n = SEGMENT / 2u; n > 0u; n = n / 2u) { greatest = max(greatest, subgroupShuffleXor(greatest, n)); }
    return greatest;
}

fn segment_sum(t: u32, mine: f32) -> f32 {
    var sum = mine;
    for (var n = SEGMENT / 2u; n > 0u; n = n / 2u) { sum += subgroupShuffleXor(sum, n); }
    return sum;
}
