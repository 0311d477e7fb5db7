// Keys to write, in half precision, an eight at a time.
@group(0) @binding(auto) var<storage, read_write> kc: array<vec4<u32>>; // [KV head][eight][position]

fn put_k(head: u32, eight: u32, position: u32, x: Eight, t: u32) {
    kc[(head * EIGHTS + eight) * N_CTX + position] = f16_of_eight(x);
}
