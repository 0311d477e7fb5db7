// Scales of the blocks that rope_kv.wgsl's threads hold: thread t has `eight` of its vector, and its
// neighbours the others; sizes[] has the largest value of each.
fn block_scale(eight: u32, t: u32) -> f32 {
    let first = t - (eight & 3u);
    return q8_0_scale(max(max(sizes[first], sizes[first + 1u]), max(sizes[first + 2u], sizes[first + 3u])));
}

// For the first eight of two blocks: both scales.
fn block_scales(eight: u32, t: u32) -> u32 {
    var next = 0.0;
    if (eight + 4u < EIGHTS) {
        next = block_scale(eight + 4u, t + 4u);
    }
    return pack2x16float(vec2<f32>(block_scale(eight, t), next));
}
