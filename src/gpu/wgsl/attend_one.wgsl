// Attention of single tokens: out[h] = sum_j softmax_j(scale q[h] . k[j]) v[j] over the positions j that are
// seen, the sum split over workgroups.
//
// A workgroup takes CHUNK positions for G query heads of one KV head. For the scores a thread takes a
// position (DEEP of them if there are more positions than threads; a share of its values, one of PARTS, if
// there are more threads). For the sum of values it takes an eight of every V_ROWS-th position. Everything
// the workgroup needs from memory is asked for before anything is used: at this size, that is what counts.
// Positions outside of what is seen repeat one that is, with no weight, so what lies there has no effect.
//
// Parts: state, loops_<kind>, kv, kv/<type>, kv/k_<type>, kv/v_<type>, attend_span, attend_subgroup or attend_shared,
// attend_out (one split) or attend_partial.
// Constants: T, CHUNK: powers of two; G: divides N_HEADS / N_KV_HEADS; TOGETHER: V_ROWS that add_rows adds up;
// ROUND: heads whose sums go through workgroup memory at a time; SCALE: scores' scale, times log2(e);
// SPLITS, WINDOW, N_HEADS, N_KV_HEADS, D_HEAD, N_CTX.
// Grid: SPLITS, N_HEADS / G, tokens.
@group(0) @binding(auto) var<storage, read> q: array<vec4<f32>>; // [token][N_HEADS][D_HEAD], in pair order

const QUADS = D_HEAD / 4u;
const SLOTS = min(T, CHUNK);
const DEEP = CHUNK / SLOTS;
const PARTS = T / SLOTS;
const SHARE = (EIGHTS + PARTS - 1u) / PARTS; // eights of a key that a thread takes
const Q_QUADS = 2u * PARTS * SHARE;          // of a query, zeros beyond D_HEAD
const V_ROWS = T / EIGHTS;
const V_TURNS = (CHUNK + V_ROWS - 1u) / V_ROWS;
const SUMS = V_ROWS / TOGETHER;
const LOWEST = -1e30;

var<workgroup> pool: array<vec4<f32>, max(G * Q_QUADS, SUMS * ROUND * QUADS)>; // queries, then sums of values
var<workgroup> weights: array<f32, G * max(T, CHUNK)>;                         // scores first
var<workgroup> totals: array<f32, SUMS * ROUND>;
var<workgroup> tops: array<f32, G>;

fn stage_queries(first: u32, t: u32) {
    for (var i = t; i < G * Q_QUADS; i += T) {
        let at = i % Q_QUADS;
        let x = q[first + i / Q_QUADS * QUADS + min(at, QUADS - 1u)];
        pool[i] = select(vec4<f32>(), x, at < QUADS);
    }
}

@compute @workgroup_size(T)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let split = id.x;
    let head = id.y * G;
    let kv_head = head / (N_HEADS / N_KV_HEADS);
    let last = first_position() + id.z;
    let seen = first_seen(last);
    let start = split_start(last, split);
    if (start > last || id.z >= n_tokens()) {
        return;
    }

    let slot = t % SLOTS;
    let part = t / SLOTS;
    var keys: array<array<RawK, SHARE>, DEEP>;
    for (var n = 0u; n < DEEP; n++) {
        let position = clamp(start + slot + n * SLOTS, seen, last);
        for (var c = 0u; c < turns(SHARE); c++) {
            keys[n][c] = load_k(kv_head, min(part * SHARE + c, EIGHTS - 1u), position);
        }
    }
    let eight = t % EIGHTS;
    let row = t / EIGHTS;
    var values: array<RawV, V_TURNS>;
    for (var i = 0u; i < turns(V_TURNS); i++) {
        values[i] = load_v(kv_head, eight, clamp(start + row + i * V_ROWS, seen, last));
    }
    stage_queries((id.z * N_HEADS + head) * QUADS, t);
    workgroupBarrier();

    var scores: array<array<f32, DEEP>, G>;
    for (var n = 0u; n < DEEP; n++) {
        let position = clamp(start + slot + n * SLOTS, seen, last);
        for (var c = 0u; c < turns(SHARE); c++) {
            let at = part * SHARE + c;
            let key = k_of(keys[n][c], kv_head, min(at, EIGHTS - 1u), position);
            for (var g = 0u; g < G; g++) {
                scores[g][n] += dot(key.lo, pool[g * Q_QUADS + 2u * at]) + dot(key.hi, pool[g * Q_QUADS + 2u * at + 1u]);
            }
        }
    }
    if (PARTS > 1u) {
        for (var g = 0u; g < G; g++) {
            weights[g * T + t] = scores[g][0];
        }
        workgroupBarrier();
        for (var g = 0u; g < G; g++) {
            scores[g][0] = weights[g * T + slot];
            for (var p = 1u; p < PARTS; p++) {
                scores[g][0] += weights[g * T + p * SLOTS + slot];
            }
        }
    }
    var most: array<f32, G>;
    for (var g = 0u; g < G; g++) {
        most[g] = LOWEST;
        for (var n = 0u; n < DEEP; n++) {
            let position = start + slot + n * SLOTS;
            scores[g][n] = select(LOWEST, scores[g][n] * SCALE, position >= seen && position <= last);
            most[g] = max(most[g], scores[g][n]);
        }
    }
    most = highest(most, t); // its barriers: scores in `weights` have been read
    for (var g = 0u; g < G; g++) {
        for (var n = 0u; n < DEEP; n++) {
            let weight = select(0.0, exp2(scores[g][n] - most[g]), scores[g][n] > LOWEST);
            if (part == 0u) {
                weights[g * CHUNK + slot + n * SLOTS] = weight;
            }
        }
        if (t == 0u) {
            tops[g] = most[g];
        }
    }
    workgroupBarrier();

    var sums: array<Eight, G>;
    var sizes: array<f32, G>;
    for (var i = 0u; i < turns(V_TURNS); i++) {
        let at = row + i * V_ROWS;
        let value = v_of(values[i], kv_head, eight, clamp(start + at, seen, last));
        for (var g = 0u; g < G; g++) {
            let weight = select(0.0, weights[g * CHUNK + min(at, CHUNK - 1u)], at < CHUNK);
            sums[g].lo += weight * value.lo;
            sums[g].hi += weight * value.hi;
            sizes[g] += weight;
        }
    }
    for (var g = 0u; g < G; g++) {
        sums[g] = Eight(add_rows4(sums[g].lo), add_rows4(sums[g].hi));
        sizes[g] = add_rows(sizes[g]);
    }
    for (var first = 0u; first < G; first += ROUND) {
        if (row < V_ROWS && row % TOGETHER == 0u) {
            for (var i = 0u; i < ROUND; i++) {
                let at = row / TOGETHER * ROUND + i;
                let g = min(first + i, G - 1u);
                pool[at * QUADS + 2u * eight] = sums[g].lo;
                pool[at * QUADS + 2u * eight + 1u] = sums[g].hi;
                if (eight == 0u) {
                    totals[at] = sizes[g];
                }
            }
        }
        workgroupBarrier();
        for (var i = t; i < ROUND * QUADS; i += T) {
            let g = first + i / QUADS;
            var sum = vec4<f32>();
            var total = 0.0;
            for (var r = 0u; r < turns(SUMS); r++) {
                sum += pool[r * ROUND * QUADS + i];
                total += totals[r * ROUND + i / QUADS];
            }
            if (g < G) {
                put(id.z * N_HEADS + head + g, split, i % QUADS, sum, tops[g], total);
            }
        }
        workgroupBarrier();
    }
}
