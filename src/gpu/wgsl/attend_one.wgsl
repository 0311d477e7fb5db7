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

// What a workgroup works on: positions from start on that lie within seen ... last.
struct Span { kv_head: u32, head: u32, start: u32, seen: u32, last: u32 }

fn stage_queries(first: u32, t: u32) {
    for (var i = t; i < G * Q_QUADS; i += T) {
        let at = i % Q_QUADS;
        let x = q[first + i / Q_QUADS * QUADS + min(at, QUADS - 1u)];
        pool[i] = select(vec4<f32>(), x, at < QUADS);
    }
}

fn fetch_keys(s: Span, t: u32) -> array<array<RawK, SHARE>, DEEP> {
    var keys: array<array<RawK, SHARE>, DEEP>;
    for (var n = 0u; n < DEEP; n++) {
        let position = clamp(s.start + t % SLOTS + n * SLOTS, s.seen, s.last);
        for (var c = 0u; c < turns(SHARE); c++) {
            keys[n][c] = load_k(s.kv_head, min(t / SLOTS * SHARE + c, EIGHTS - 1u), position);
        }
    }
    return keys;
}

fn fetch_values(s: Span, t: u32) -> array<RawV, V_TURNS> {
    var values: array<RawV, V_TURNS>;
    for (var i = 0u; i < turns(V_TURNS); i++) {
        values[i] = load_v(s.kv_head, t % EIGHTS, clamp(s.start + t / EIGHTS + i * V_ROWS, s.seen, s.last));
    }
    return values;
}

// A thread's share of its positions' scores.
fn products(s: Span, keys: array<array<RawK, SHARE>, DEEP>, t: u32) -> array<array<f32, DEEP>, G> {
    var scores: array<array<f32, DEEP>, G>;
    for (var n = 0u; n < DEEP; n++) {
        let position = clamp(s.start + t % SLOTS + n * SLOTS, s.seen, s.last);
        for (var c = 0u; c < turns(SHARE); c++) {
            let eight = t / SLOTS * SHARE + c;
            let key = k_of(keys[n][c], s.kv_head, min(eight, EIGHTS - 1u), position);
            for (var g = 0u; g < G; g++) {
                let at = g * Q_QUADS + 2u * eight;
                scores[g][n] += dot(key.lo, pool[at]) + dot(key.hi, pool[at + 1u]);
            }
        }
    }
    return scores;
}

// Whole scores from shares, in all threads of a position.
fn add_shares(own: array<array<f32, DEEP>, G>, t: u32) -> array<array<f32, DEEP>, G> {
    var scores = own;
    for (var g = 0u; g < G; g++) {
        weights[g * T + t] = own[g][0];
    }
    workgroupBarrier();
    for (var g = 0u; g < G; g++) {
        scores[g][0] = weights[g * T + t % SLOTS];
        for (var p = 1u; p < PARTS; p++) {
            scores[g][0] += weights[g * T + p * SLOTS + t % SLOTS];
        }
    }
    return scores;
}

// The chunk's weights into workgroup memory, and their tops.
fn stage_weights(s: Span, own: array<array<f32, DEEP>, G>, t: u32) {
    var scores = own;
    var most: array<f32, G>;
    for (var g = 0u; g < G; g++) {
        most[g] = LOWEST;
        for (var n = 0u; n < DEEP; n++) {
            let position = s.start + t % SLOTS + n * SLOTS;
            scores[g][n] = select(LOWEST, scores[g][n] * SCALE, position >= s.seen && position <= s.last);
            most[g] = max(most[g], scores[g][n]);
        }
    }
    most = highest(most, t); // its barriers: shares in `weights` have been read
    for (var g = 0u; g < G; g++) {
        for (var n = 0u; n < DEEP; n++) {
            if (t < SLOTS) {
                let weight = exp2(scores[g][n] - most[g]);
                weights[g * CHUNK + t + n * SLOTS] = select(0.0, weight, scores[g][n] > LOWEST);
            }
        }
        if (t == 0u) {
            tops[g] = most[g];
        }
    }
}

// Sums of weighted values, and of weights, over the rows of V that a thread and its subgroup have, into
// `sums` and `sizes`.
fn add_values(s: Span, values: array<RawV, V_TURNS>, t: u32, sums: ptr<function, array<Eight, G>>,
              sizes: ptr<function, array<f32, G>>) {
    for (var i = 0u; i < turns(V_TURNS); i++) {
        let at = t / EIGHTS + i * V_ROWS;
        let value = v_of(values[i], s.kv_head, t % EIGHTS, clamp(s.start + at, s.seen, s.last));
        for (var g = 0u; g < G; g++) {
            let weight = select(0.0, weights[g * CHUNK + min(at, CHUNK - 1u)], at < CHUNK);
            (*sums)[g].lo += weight * value.lo;
            (*sums)[g].hi += weight * value.hi;
            (*sizes)[g] += weight;
        }
    }
    for (var g = 0u; g < G; g++) {
        (*sums)[g] = Eight(add_rows4((*sums)[g].lo), add_rows4((*sums)[g].hi));
        (*sizes)[g] = add_rows((*sizes)[g]);
    }
}

@compute @workgroup_size(T)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let last = first_position() + id.z;
    let s = Span(id.y * G / (N_HEADS / N_KV_HEADS), id.z * N_HEADS + id.y * G, split_start(last, id.x),
                 first_seen(last), last);
    if (s.start > last || id.z >= n_tokens()) {
        return;
    }
    let keys = fetch_keys(s, t);
    let values = fetch_values(s, t);
    stage_queries(s.head * QUADS, t);
    workgroupBarrier();
    var scores = products(s, keys, t);
    if (PARTS > 1u) {
        scores = add_shares(scores, t);
    }
    stage_weights(s, scores, t);
    workgroupBarrier();
    var sums: array<Eight, G>;
    var sizes: array<f32, G>;
    add_values(s, values, t, &sums, &sizes);

    let row = t / EIGHTS;
    let eight = t % EIGHTS;
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
                put(s.head + g, id.x, i % QUADS, i, sum, tops[g], total);
            }
        }
        workgroupBarrier();
        finish(s.head + first, min(ROUND, G - first), t);
    }
}
