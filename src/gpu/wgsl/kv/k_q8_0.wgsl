// Keys to read, in q8_0.
@group(0) @binding(auto) var<storage, read> kc: array<vec2<u32>>; // bytes [KV head][eight][position], then scales

alias RawK = RawQ8;

fn k_scale(head: u32, eight: u32, position: u32) -> u32 {
    return (head * SCALES + eight / 8u) * N_CTX + position;
}

fn load_k(head: u32, eight: u32, position: u32) -> RawK {
    return RawQ8(kc[(head * EIGHTS + eight) * N_CTX + position],
                 kc[(SCALES_AT + k_scale(head, eight, position)) / 2u]);
}

fn k_of(x: RawK, head: u32, eight: u32, position: u32) -> Eight {
    return eight_of_q8_0(x, k_scale(head, eight, position), eight);
}
