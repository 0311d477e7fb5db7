// First of two dispatches that choose a token: adjusts the logits and sums up every slice of them.
//
//     keys[i] = key of logit i after bias and penalties, 0 beyond N_VOCAB; not written if GREEDY
//     slices[s] = greatest key of slice s, and of it
//                 the first token, if GREEDY
//                 the sum of exp((x - its maximum) / temperature), if SLICE_SUMS
//
// A slice is SLICE logits, 32 to 128; its SLICE / 4 threads have four neighbours each. Grid: a
// workgroup of 256 threads for each 1,024 logits. history: sample_adjust.wgsl.
@group(0) @binding(auto) var<storage, read> logits: array<u32>;
@group(0) @binding(auto) var<storage, read> history: array<u32>;
@group(0) @binding(auto) var<storage, read_write> keys: array<vec4<u32>>;
@group(0) @binding(auto) var<storage, read_write> slices: array<vec2<u32>>;

const SEGMENT: u32 = SLICE / 4u; // threads of a slice

fn key_at(id: u32, logit: u32, flags: u32) -> u32 {
    if (id >= N_VOCAB) { return 0u; }
    return key_of(adjusted(id, logit, flags));
}

fn first_with(k: vec4<u32>, key: u32, id: u32) -> u32 {
    let same = k == vec4(key);
    return select(select(select(select(0xffffffffu, id + 3u, same.w), id + 2u, same.z), id + 1u, same.y), id, same.x);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let at = group.x * 256u + t;
    let id = at * 4u;
    let last = N_VOCAB - 1u;
    let x = vec4(logits[min(id, last)], logits[min(id + 1u, last)], logits[min(id + 2u, last)], logits[min(id + 3u, last)]);
    let flags = settings[AT_FLAGS];
    let k = vec4(key_at(id, x.x, flags), key_at(id + 1u, x.y, flags), key_at(id + 2u, x.z, flags),
                 key_at(id + 3u, x.w, flags));
    let top = segment_max(t, max(max(k.x, k.y), max(k.z, k.w)));
    var more = 0u;
    if ((flags & GREEDY) != 0u) {
        more = ~segment_max(t, ~first_with(k, top, id));
    } else {
        keys[at] = k;
    }
    if ((flags & SLICE_SUMS) != 0u) {
        let w = weights(Scale(max(top, 1u), 1u, setting(AT_SUM_INVERSE), setting(AT_SUM_FAR)), k);
        more = bitcast<u32>(segment_sum(t, (w.x + w.y) + (w.z + w.w)));
    }
    if (t % SEGMENT == 0u) { slices[at / SEGMENT] = vec2(top, more); }
}
