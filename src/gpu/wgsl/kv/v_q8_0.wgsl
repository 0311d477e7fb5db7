// Values to read, in q8_0.
@group(0) @binding(auto) var<storage, read> vc: array<vec2<u32>>; // bytes [KV head][position][eight], then scales

alias RawV = RawQ8;

fn v_scale(head: u32, eight: u32, position: u32) -> u32 {
    return (head * N_CTX + position) * SCALES + eight / 8u;
}

fn load_v(head: u32, eight: u32, position: u32) -> RawV {
    return RawQ8(vc[(head * N_CTX + position) * EIGHTS + eight],
                 vc[(SCALES_AT + v_scale(head, eight, position)) / 2u]);
}

fn v_of(x: RawV, head: u32, eight: u32, position: u32) -> Eight {
    return eight_of_q8_0(x, v_scale(head, eight, position), eight);
}
