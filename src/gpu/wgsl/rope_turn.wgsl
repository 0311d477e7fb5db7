// Rotary embedding of a pair.  Constants: N_PAIRS: pairs of a head that turn.
@group(0) @binding(auto) var<storage, read> rope: array<vec2<f32>>; // [position][N_PAIRS]: cos, sin

fn turned(y: vec2<f32>, pair: u32, position: u32) -> vec2<f32> {
    let turn = rope[position * N_PAIRS + min(pair, N_PAIRS - 1u)];
    return select(y, vec2<f32>(y.x * turn.x - y.y * turn.y, y.x * turn.y + y.y * turn.x), pair < N_PAIRS);
}
