// The result of attention from what attend_partial.wgsl wrote: a function, so that the product that follows
// can have it as its prologue.  Parts: state, attend_window, attend_span.  Constants: SPLITS; MERGE_AHEAD:
// of them, asked for at a time; N_HEADS, D_HEAD.
@group(0) @binding(auto) var<storage, read> partials: array<vec4<f32>>;

const MERGE_QUADS = D_HEAD / 4u;

// Values 4i ... 4i + 3 of [token][N_HEADS][D_HEAD].
fn merged(i: u32) -> vec4<f32> {
    let head = i / MERGE_QUADS;
    let n = splits_at(first_position() + head / N_HEADS);
    let at = head * SPLITS * (MERGE_QUADS + 1u) + MERGE_QUADS;
    var top = -1e30;
    var total = 0.0;
    var sum = vec4<f32>();
    for (var s = 0u; s < n; s += MERGE_AHEAD) {
        var ends: array<vec2<f32>, MERGE_AHEAD>;
        var parts: array<vec4<f32>, MERGE_AHEAD>;
        var most = top;
@for j MERGE_AHEAD
        let split = at + min(s + $j, n - 1u) * (MERGE_QUADS + 1u);
        ends[$j] = partials[split].xy;
        parts[$j] = partials[split - MERGE_QUADS + i % MERGE_QUADS];
@end
@for j MERGE_AHEAD
        most = max(most, ends[$j].x);
@end
        total *= exp2(top - most);
        sum *= exp2(top - most);
        top = most;
@for j MERGE_AHEAD
        let factor = select(0.0, exp2(ends[$j].x - top), s + $j < n);
        total += factor * ends[$j].y;
        sum += factor * parts[$j];
@end
    }
    return sum / total;
}
