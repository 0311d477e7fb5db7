// No rotary embedding.
fn turned(y: vec2<f32>, pair: u32, position: u32) -> vec2<f32> {
    return y;
}
