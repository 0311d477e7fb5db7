// Values to write, in half precision, an eight at a time.
@group(0) @binding(auto) var<storage, read_write> vc: array<vec4<u32>>; // [KV head][position][eight]

fn put_v(head: u32, eight: u32, position: u32, x: Eight, t: u32) {
    vc[(head * N_CTX + position) * EIGHTS + eight] = f16_of_eight(x);
}
