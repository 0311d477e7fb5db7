// Attention of single tokens: out[h] = sum_j softmax_j(scale q[h] . k[j]) v[j] over the positions j that are
// seen, the sum split over workgroups.
//
// A workgroup takes CHUNK positions for G query heads of one KV head. For the scores a thread takes a
// position (DEEP of them if there are more positions than threads; a share of its values, one of PARTS, if
// there are more threads). For the sum of values it takes an eight of every V_ROWS-th position. Everything
// the workgroup needs from memory is asked for before anything is used: at this size, that is what counts.
// Positions outside of what is seen repeat one that is, with no weight, so what lies there has no effect.
//
// Parts: state, loops_<kind>, kv, kv/<type>, kv/k_<type>, kv/v_<type>, attend_window, attend_span,
// attend_subgroup or attend_shared, attend_out or attend_out_int8 (one split) or attend_partial.
// Constants: T, CHUNK: powers of two; G: divides N_HEADS / N_KV_HEADS; TOGETHER: V_ROWS that add_rows adds up;
// ROUND: heads whose sums go through workgroup memory at a time; SCALE: scores' scale, times log2(e);
// SLOTS, DEEP, PARTS, SHARE, Q_QUADS, Q_TURNS, V_ROWS, V_TURNS, SUMS, ROUNDS: what follows from these (op_attend.c);
// SPLITS, WINDOW, N_HEADS, N_KV_HEADS, D_HEAD, N_CTX.
// Grid: SPLITS, N_HEADS / G, tokens.
@group(0) @binding(auto) var<storage, read> q: array<vec4<f32>>; // [token][N_HEADS][D_HEAD], in pair order

const QUADS = D_HEAD / 4u;
const LOWEST = -1e30;

var<workgroup> pool: array<vec4<f32>, max(G * Q_QUADS, SUMS * ROUND * QUADS)>; // queries, then sums of values
var<workgroup> weights: array<f32, G * max(T, CHUNK)>;                         // scores first
var<workgroup> totals: array<f32, SUMS * ROUND>;
var<workgroup> tops: array<f32, G>;

@compute @workgroup_size(T)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let kv_head = id.y * G / (N_HEADS / N_KV_HEADS);
    let head = id.z * N_HEADS + id.y * G;
    let last = first_position() + id.z;
    let seen = first_seen(last);
    let start = split_start(last, id.x);
    if (start > last || id.z >= n_tokens()) {
        return;
    }
    let slot = t % SLOTS;
    let part = t / SLOTS;
    let eight = t % EIGHTS;
    let row = t / EIGHTS;

    // all that is needed from memory
    var queries: array<vec4<f32>, Q_TURNS>;
@for i Q_TURNS
    let at = t + $i * T;
    queries[$i] = q[head * QUADS + min(at / Q_QUADS, G - 1u) * QUADS + min(at % Q_QUADS, QUADS - 1u)];
@end
    var keys: array<array<RawK, SHARE>, DEEP>;
@for n DEEP
    let position = clamp(start + slot + $n * SLOTS, seen, last);
@for c SHARE
    keys[$n][$c] = load_k(kv_head, min(part * SHARE + $c, EIGHTS - 1u), position);
@end
@end
    var values: array<RawV, V_TURNS>;
@for i V_TURNS
    values[$i] = load_v(kv_head, eight, clamp(start + row + $i * V_ROWS, seen, last));
@end
@for i Q_TURNS
    let at = t + $i * T;
    if (at < G * Q_QUADS) {
        pool[at] = select(vec4<f32>(), queries[$i], at % Q_QUADS < QUADS);
    }
@end
    workgroupBarrier();

    // a thread's share of its positions' scores
    var scores: array<array<f32, DEEP>, G>;
@for n DEEP
    let position = clamp(start + slot + $n * SLOTS, seen, last);
@for c SHARE
    let key = k_of(keys[$n][$c], kv_head, min(part * SHARE + $c, EIGHTS - 1u), position);
    let at = 2u * (part * SHARE + $c);
@for g G
    scores[$g][$n] += dot(key.lo, pool[$g * Q_QUADS + at]) + dot(key.hi, pool[$g * Q_QUADS + at + 1u]);
@end
@end
@end
    if (PARTS > 1u) { // whole scores, in all threads of a position
@for g G
        weights[$g * T + t] = scores[$g][0];
@end
        workgroupBarrier();
@for g G
        var score = 0.0;
@for p PARTS
        score += weights[$g * T + $p * SLOTS + slot];
@end
        scores[$g][0] = score;
@end
    }

    // the chunk's weights into workgroup memory
    var most: array<f32, G>;
@for g G
    most[$g] = LOWEST;
@for n DEEP
    let position = start + slot + $n * SLOTS;
    scores[$g][$n] = select(LOWEST, scores[$g][$n] * SCALE, position >= seen && position <= last);
    most[$g] = max(most[$g], scores[$g][$n]);
@end
@end
    most = highest(most, t); // its barriers: shares in `weights` have been read
@for g G
@for n DEEP
    if (t < SLOTS) {
        let weight = exp2(scores[$g][$n] - most[$g]);
        weights[$g * CHUNK + t + $n * SLOTS] = select(0.0, weight, scores[$g][$n] > LOWEST);
    }
@end
    if (t == 0u) {
        tops[$g] = most[$g];
    }
@end
    workgroupBarrier();

    // sums of weighted values, and of weights, over the rows of V that a thread and its subgroup have
    var sums: array<Eight, G>;
    var sizes: array<f32, G>;
@for i V_TURNS
    let at = row + $i * V_ROWS;
    let value = v_of(values[$i], kv_head, eight, clamp(start + at, seen, last));
@for g G
    let weight = select(0.0, weights[$g * CHUNK + min(at, CHUNK - 1u)], at < CHUNK);
    sums[$g].lo += weight * value.lo;
    sums[$g].hi += weight * value.hi;
    sizes[$g] += weight;
@end
@end
@for g G
    sums[$g] = Eight(add_rows4(sums[$g].lo), add_rows4(sums[$g].hi));
    sizes[$g] = add_rows(sizes[$g]);
@end

@for round ROUNDS
    let first = $round * ROUND;
    if (row < V_ROWS && row % TOGETHER == 0u) {
@for i ROUND
        let at = row / TOGETHER * ROUND + $i;
        pool[at * QUADS + 2u * eight] = sums[min($round * ROUND + $i, G - 1u)].lo;
        pool[at * QUADS + 2u * eight + 1u] = sums[min($round * ROUND + $i, G - 1u)].hi;
        if (eight == 0u) {
            totals[at] = sizes[min($round * ROUND + $i, G - 1u)];
        }
@end
    }
    workgroupBarrier();
    for (var i = t; i < ROUND * QUADS; i += T) {
        let g = first + i / QUADS;
        var sum = vec4<f32>();
        var total = 0.0;
@for r SUMS
        sum += pool[$r * ROUND * QUADS + i];
        total += totals[$r * ROUND + i / QUADS];
@end
        if (g < G) {
            put(head + g, id.x, i % QUADS, i, sum, tops[g], total);
        }
    }
    workgroupBarrier();
    finish(head + first, min(ROUND, G - first), t);
@end
}
