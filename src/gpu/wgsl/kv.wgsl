// What readers and writers of the cache share: vectors go in eights, 8 values of a head at a position.
// Constants: N_CTX, N_KV_HEADS, D_HEAD (a multiple of 8).  op_attend.h has the layouts.
const EIGHTS = D_HEAD / 8u; // of a vector

struct Eight { lo: vec4<f32>, hi: vec4<f32> }

fn largest(x: Eight) -> f32 {
    let size = max(abs(x.lo), abs(x.hi));
    return max(max(size.x, size.y), max(size.z, size.w));
}
