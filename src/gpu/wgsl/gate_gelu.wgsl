// The tanh form. Beyond 10 tanh is 1 in f32, and some implementations overflow there.
fn gate(x: f32) -> f32 {
    return 0.5 * x * (1.0 + tanh(clamp(0.7978845608 * (x + 0.044715 * x * x * x), -10.0, 10.0)));
}
