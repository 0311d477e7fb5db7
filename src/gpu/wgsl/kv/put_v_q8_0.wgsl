// Values to write, in q8_0: whole blocks at a time, whose eights neighbouring threads hold.
@group(0) @binding(auto) var<storage, read_write> vc: array<u32>; // bytes [KV head][position][eight], then scales

fn put_v(head: u32, eight: u32, position: u32, x: Eight, t: u32) {
    let at = 2u * ((head * N_CTX + position) * EIGHTS + eight);
    let scale = block_scale(eight, t);
    vc[at] = q8_0_word(x.lo, scale);
    vc[at + 1u] = q8_0_word(x.hi, scale);
    if ((eight & 7u) == 0u) {
        vc[SCALES_AT + (head * N_CTX + position) * SCALES + eight / 8u] = block_scales(eight, t);
    }
}
