// Keys to write, in q8_0: whole blocks at a time, whose eights neighbouring threads hold.
@group(0) @binding(auto) var<storage, read_write> kc: array<u32>; // bytes [KV head][eight][position], then scales

fn put_k(head: u32, eight: u32, position: u32, x: Eight, t: u32) {
    let at = 2u * ((head * EIGHTS + eight) * N_CTX + position);
    let scale = block_scale(eight, t);
    kc[at] = q8_0_word(x.lo, scale);
    kc[at + 1u] = q8_0_word(x.hi, scale);
    if ((eight & 7u) == 0u) {
        kc[SCALES_AT + (head * SCALES + eight / 8u) * N_CTX + position] = block_scales(eight, t);
    }
}
