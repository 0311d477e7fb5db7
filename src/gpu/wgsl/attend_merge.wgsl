// The result of attention from what attend_partial.wgsl wrote: a function, so that the product that follows
// can have it as its prologue.  Parts: state, attend_window, attend_span.  Constants: SPLITS, N_HEADS, D_HEAD.
@group(0) @binding(auto) var<storage, read> partials: array<vec4<f32>>;

const MERGE_QUADS = D_HEAD / 4u;
const MERGE_AHEAD = min(SPLITS, 8u); // asked for at a time

// Values 4i ... 4i + 3 of [token][N_HEADS][D_HEAD].
fn merged(i: u32) -> vec4<f32> {
    let head = i / MERGE_QUADS;
    let n = splits_at(first_position() + head / N_HEADS);
    let at = head * SPLITS * (MERGE_QUADS + 1u) + MERGE_QUADS;
    var top = -1e30;
    for (var s = 0u; s < n; s += MERGE_AHEAD) {
        for (var j = 0u; j < MERGE_AHEAD; j++) {
            top = max(top, partials[at + min(s + j, n - 1u) * (MERGE_QUADS + 1u)].x);
        }
    }
    var total = 0.0;
    var sum = vec4<f32>();
    for (var s = 0u; s < n; s += MERGE_AHEAD) {
        for (var j = 0u; j < MERGE_AHEAD; j++) {
            let split = at + min(s + j, n - 1u) * (MERGE_QUADS + 1u);
            let end = partials[split];
            let factor = select(0.0, exp2(end.x - top), s + j < n);
            total += factor * end.y;
            sum += factor * partials[split - MERGE_QUADS + i % MERGE_QUADS];
        }
    }
    return sum / total;
}
