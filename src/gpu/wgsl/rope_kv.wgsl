// Queries and keys normed and turned, keys and values into the cache, for all tokens of a pass.
//
// A thread has 8 values of a head: pairs 4 eight ... 4 eight + 3; a head is within one workgroup. Queries go to
// q in pair order.
//
// Parts: state, kv, kv/<type> and kv/put_<k or v>_<type> (kv/put_q8_0 with q8_0), rope_turn or rope_still,
// rope_norm_rms or rope_norm_none.
// Constants: T, N_HEADS, N_KV_HEADS, D_HEAD, N_CTX, N_PAIRS: pairs that turn, HALVES: 1 if pair i is values
// i and i + N_PAIRS, 0 if 2i and 2i + 1.
// Grid: workgroups of T / EIGHTS heads for N_HEADS + 2 N_KV_HEADS, tokens.
@group(0) @binding(auto) var<storage, read> qkv: array<f32>;     // [token][N_HEADS + 2 N_KV_HEADS][D_HEAD]
@group(0) @binding(auto) var<storage, read_write> q: array<f32>; // [token][N_HEADS][D_HEAD]

var<workgroup> sizes: array<f32, T>; // largest value of each thread's eight

// Values of a head, in natural order, that are pair `pair`.
fn values_of(pair: u32) -> vec2<u32> {
    return select(vec2<u32>(2u * pair, 2u * pair + 1u), vec2<u32>(pair, pair + N_PAIRS),
                  HALVES == 1u && pair < N_PAIRS);
}

fn pair_at(token: u32, head: u32, pair: u32) -> vec2<f32> {
    let at = (token * (N_HEADS + 2u * N_KV_HEADS) + head) * D_HEAD;
    let two = select(vec2<u32>(2u * pair, 2u * pair + 1u), values_of(pair), head < N_HEADS + N_KV_HEADS);
    return vec2<f32>(qkv[at + two.x], qkv[at + two.y]);
}

fn put_q(token: u32, head: u32, eight: u32, x: Eight) {
    let at = (token * N_HEADS + head) * D_HEAD + 8u * eight;
    for (var i = 0u; i < 4u; i++) {
        q[at + i] = x.lo[i];
        q[at + 4u + i] = x.hi[i];
    }
}

@compute @workgroup_size(T)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let token = id.y;
    if (token >= n_tokens()) {
        return;
    }
    let eight = t % EIGHTS;
    let head = id.x * (T / EIGHTS) + t / EIGHTS;
    let live = t / EIGHTS < T / EIGHTS && head < N_HEADS + 2u * N_KV_HEADS;
    let position = first_position() + token;
    var y: array<vec2<f32>, 4>;
    if (live) {
        for (var i = 0u; i < 4u; i++) {
            y[i] = pair_at(token, head, eight * 4u + i);
        }
    }
    y = normed(y, head, eight, t);
    if (head < N_HEADS + N_KV_HEADS) {
        for (var i = 0u; i < 4u; i++) {
            y[i] = turned(y[i], turn_at(eight * 4u + i, position));
        }
    }
    let x = Eight(vec4<f32>(y[0], y[1]), vec4<f32>(y[2], y[3]));
    sizes[t] = largest(x);
    workgroupBarrier();
    if (!live) {
        return;
    }
    if (head < N_HEADS) {
        put_q(token, head, eight, x);
    } else if (head < N_HEADS + N_KV_HEADS) {
        put_k(head - N_HEADS, eight, position, x, t);
    } else {
        put_v(head - N_HEADS - N_KV_HEADS, eight, position, x, t);
    }
}
