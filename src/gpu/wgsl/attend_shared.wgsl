// What attend_one.wgsl adds up across threads, through workgroup memory.  Constants: T, G; TOGETHER = 1.
const FEW = min(T, 16u);

var<workgroup> few_tops: array<f32, G * FEW>;

// The largest of all threads. `weights`, which has room for all, is free once all have come here.
fn highest(own: array<f32, G>, t: u32) -> array<f32, G> {
    workgroupBarrier();
    for (var g = 0u; g < G; g++) {
        weights[g * T + t] = own[g];
    }
    workgroupBarrier();
    for (var i = t; i < G * FEW; i += T) {
        var most = weights[i / FEW * T + i % FEW];
        for (var j = FEW; j < T; j += FEW) {
            most = max(most, weights[i / FEW * T + i % FEW + j]);
        }
        few_tops[i] = most;
    }
    workgroupBarrier();
    var most: array<f32, G>;
    for (var g = 0u; g < G; g++) {
        most[g] = few_tops[g * FEW];
        for (var i = 1u; i < FEW; i++) {
            most[g] = max(most[g], few_tops[g * FEW + i]);
        }
    }
    return most;
}

fn add_rows(own: f32) -> f32 {
    return own;
}

fn add_rows4(own: vec4<f32>) -> vec4<f32> {
    return own;
}
