// What changes from token to token (docs/gpu.md).
@group(0) @binding(auto) var<storage, read> state: array<u32>;

fn first_position() -> u32 { return state[0]; }
fn n_tokens() -> u32 { return state[1]; }
