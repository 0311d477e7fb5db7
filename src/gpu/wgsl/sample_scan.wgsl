// First of two dispatches that choose a token: adjusts the logits and sums up every slice of them.
//
//     keys[i] = key of logit i after bias and penalties, 0 beyond N_VOCAB
//     slices[s] = (greatest key of slice s, sum of exp((x - its maximum) / temperature) if asked for)
//
// A slice is SLICE logits, 32 to 1,024; its SLICE / 4 threads have four neighbours each. Grid: a
// workgroup of 256 threads for each 1,024 logits. history: sample_adjust.wgsl.
@group(0) @binding(auto) var<storage, read> logits: array<u32>;
@group(0) @binding(auto) var<storage, read> history: array<u32>;
@group(0) @binding(auto) var<storage, read_write> keys: array<vec4<u32>>;
@group(0) @binding(auto) var<storage, read_write> slices: array<vec2<u32>>;

const SEGMENT: u32 = SLICE / 4u; // threads of a slice

fn key_at(id: u32) -> u32 {
    if (id >= N_VOCAB) { return 0u; }
    return key_of(adjusted(id, logits[id]));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let at = group.x * 256u + t;
    let k = vec4(key_at(4u * at), key_at(4u * at + 1u), key_at(4u * at + 2u), key_at(4u * at + 3u));
    keys[at] = k;
    let top = segment_max(t, max(max(k.x, k.y), max(k.z, k.w)));
    var sum = 0.0;
    if (has(SLICE_SUMS)) {
        let inverse = setting(AT_SUM_INVERSE);
        let far = setting(AT_SUM_FAR);
        sum = segment_sum(t, (weight(k.x, top, inverse, far) + weight(k.y, top, inverse, far)) +
                             (weight(k.z, top, inverse, far) + weight(k.w, top, inverse, far)));
    }
    if (t % SEGMENT == 0u) { slices[at / SEGMENT] = vec2(top, bitcast<u32>(sum)); }
}
