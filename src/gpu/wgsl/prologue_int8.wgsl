// x as op_norm.h lays out what is rounded already.  Part act_int8.  Constants: NB, T.
@group(0) @binding(auto) var<storage, read> xq: array<vec4<u32>>; // 16 columns each
@group(0) @binding(auto) var<storage, read> xd: array<vec2<f32>>; // scales of 32

fn prologue(t: u32) -> f32 {
    for (var b = t; b < NB; b += T) {
        x_lo[b] = xq[2u * b];
        x_hi[b] = xq[2u * b + 1u];
        x_d[b] = Scales(xd[b].x, xd[b].y);
    }
    workgroupBarrier();
    return 1.0;
}
