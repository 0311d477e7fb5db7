// RMS norm of each query and key head: y = x / sqrt(mean(x^2) + EPS) * weight.
// Constants: T, EPS, NORM_Q, NORM_K: 1 where these heads are normed, else 0.
@group(0) @binding(auto) var<storage, read> norms: array<f32>; // [2][D_HEAD], in natural order: for queries, for keys

var<workgroup> squares: array<f32, T>;

// Every thread calls it, with its four pairs from 4 eight on.
fn normed(y: array<vec2<f32>, 4>, head: u32, eight: u32, t: u32) -> array<vec2<f32>, 4> {
    squares[t] = dot(y[0], y[0]) + dot(y[1], y[1]) + dot(y[2], y[2]) + dot(y[3], y[3]);
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < EIGHTS; i++) {
        sum += squares[min(t - eight + i, T - 1u)];
    }
    let is_key = head >= N_HEADS;
    if (head >= N_HEADS + N_KV_HEADS || select(NORM_Q, NORM_K, is_key) == 0u) {
        return y;
    }
    let factor = inverseSqrt(sum / f32(D_HEAD) + EPS);
    let first = select(0u, D_HEAD, is_key);
    var out = y;
    for (var i = 0u; i < 4u; i++) {
        let at = values_of(eight * 4u + i);
        out[i] = y[i] * factor * vec2<f32>(norms[first + at.x], norms[first + at.y]);
    }
    return out;
}
