// The cache in half precision, written a pair at a time by whoever makes keys and values: values 2 pair and
// 2 pair + 1 of a head, keys in pair order.  Constants: N_CTX, D_HEAD (a multiple of 8).
// q8_0 has no such part: the scale of 32 values is not known to who has two of them (op_rope_kv.h).
@group(0) @binding(auto) var<storage, read_write> kc: array<u32>; // [KV head][eight][position][4]
@group(0) @binding(auto) var<storage, read_write> vc: array<u32>; // [KV head][position][D_HEAD / 2]

// Beyond what a half holds the result of pack2x16float is anything.
fn half_pair(x: vec2<f32>) -> u32 {
    return pack2x16float(clamp(x, vec2<f32>(-65504.0), vec2<f32>(65504.0)));
}

fn write_k(head: u32, position: u32, pair: u32, value: vec2<f32>) {
    kc[((head * (D_HEAD / 8u) + pair / 4u) * N_CTX + position) * 4u + pair % 4u] = half_pair(value);
}

fn write_v(head: u32, position: u32, pair: u32, value: vec2<f32>) {
    vc[(head * N_CTX + position) * (D_HEAD / 2u) + pair] = half_pair(value);
}
