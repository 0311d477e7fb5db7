// No rotary embedding.
fn turn_at(pair: u32, position: u32) -> vec2<f32> {
    return vec2<f32>(1.0, 0.0);
}

fn turned(y: vec2<f32>, turn: vec2<f32>) -> vec2<f32> {
    return y;
}
