// Keys to read, in half precision.
@group(0) @binding(auto) var<storage, read> kc: array<vec4<u32>>; // [KV head][eight][position]

alias RawK = vec4<u32>;

fn load_k(head: u32, eight: u32, position: u32) -> RawK {
    return kc[(head * EIGHTS + eight) * N_CTX + position];
}

fn k_of(x: RawK, head: u32, eight: u32, position: u32) -> Eight {
    return eight_of_f16(x);
}
