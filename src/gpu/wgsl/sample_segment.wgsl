// Reductions over the SEGMENT neighbouring threads of a slice, a power of two, in workgroup memory.
var<workgroup> segment: array<u32, 256>;

fn segment_max(t: u32, mine: u32) -> u32 {
    workgroupBarrier(); // the last result has been read
    segment[t] = mine;
    for (var n = SEGMENT / 2u; n > 0u; n = n / 2u) {
        workgroupBarrier();
        if (t % SEGMENT < n) { segment[t] = max(segment[t], segment[t + n]); }
    }
    workgroupBarrier();
    return segment[t - t % SEGMENT];
}

fn segment_sum(t: u32, mine: f32) -> f32 {
    workgroupBarrier();
    segment[t] = bitcast<u32>(mine);
    for (var n = SEGMENT / 2u; n > 0u; n = n / 2u) {
        workgroupBarrier();
        if (t % SEGMENT < n) {
            segment[t] = bitcast<u32>(bitcast<f32>(segment[t]) + bitcast<f32>(segment[t + n]));
        }
    }
    workgroupBarrier();
    return bitcast<f32>(segment[t - t % SEGMENT]);
}
