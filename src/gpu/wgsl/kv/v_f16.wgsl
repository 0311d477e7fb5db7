// Values to read, in half precision.
@group(0) @binding(auto) var<storage, read> vc: array<vec4<u32>>; // [KV head][position][eight]

alias RawV = vec4<u32>;

fn load_v(head: u32, eight: u32, position: u32) -> RawV {
    return vc[(head * N_CTX + position) * EIGHTS + eight];
}

fn v_of(x: RawV, head: u32, eight: u32, position: u32) -> Eight {
    return eight_of_f16(x);
}
