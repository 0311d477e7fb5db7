// As epilogue_gate.wgsl, and the result rounded for the product that follows, as op_norm.h lays it out.  Parts:
// gate_silu or gate_gelu, round_int8, early_bias.  Constants: T, TPR, R = 2 PAIRS, ROWS (a multiple of 32).
const OUTS = T / TPR * R / 2u; // of a workgroup: a multiple of 16
@group(0) @binding(auto) var<storage, read_write> out_q: array<u32>; // 4 columns each
@group(0) @binding(auto) var<storage, read_write> out_d: array<u32>; // scales of 16, bits of f32
var<workgroup> gated: array<f32, OUTS>;

fn epilogue(first: u32, y: array<f32, R>) {
@for p PAIRS
    gated[(first / 2u + $p) % OUTS] = gate(y[2u * $p]) * y[2u * $p + 1u];
@end
}

fn four(i: u32) -> vec4<f32> {
    return vec4<f32>(gated[4u * i], gated[4u * i + 1u], gated[4u * i + 2u], gated[4u * i + 3u]);
}

// A thread writes four; each of the four threads of a scale works it out.
fn finish(group: u32, t: u32) {
    workgroupBarrier();
    let word = group * (OUTS / 4u) + t;
    if (t < OUTS / 4u && word < ROWS / 8u) {
        let sixteen = t & 0xFFFFFFFCu;
        let most = max(max(magnitude(four(sixteen)), magnitude(four(sixteen + 1u))),
                       max(magnitude(four(sixteen + 2u)), magnitude(four(sixteen + 3u))));
        out_q[word] = rounded4(four(t), per_unit(most));
        if (t == sixteen) {
            out_d[word / 4u] = unit_of(most);
        }
    }
}
