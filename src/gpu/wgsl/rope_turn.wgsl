// Rotary embedding of a pair.  Constants: N_PAIRS: pairs of a head that turn.
@group(0) @binding(auto) var<storage, read> rope: array<vec2<f32>>; // [position][N_PAIRS]: cos, sin

// cos and sin of what a pair turns by.
fn turn_at(pair: u32, position: u32) -> vec2<f32> {
    let turn = rope[position * N_PAIRS + min(pair, N_PAIRS - 1u)];
    return select(vec2<f32>(1.0, 0.0), turn, pair < N_PAIRS);
}

fn turned(y: vec2<f32>, turn: vec2<f32>) -> vec2<f32> {
    return vec2<f32>(y.x * turn.x - y.y * turn.y, y.x * turn.y + y.y * turn.x);
}
