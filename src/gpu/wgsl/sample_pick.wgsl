// Second of two dispatches that choose a token: one workgroup of 256 threads.
//
// Nearly always the choice is among few tokens, and they are found without reading all keys again: the
// slices are dealt to 256 rows, and the k-th greatest of the rows' maxima is a bound that at least k
// tokens reach, and hardly more than k. These are gathered and sorted in workgroup memory
// (sample_few.wgsl). Where they have no room there, or the filters may keep others too, the choice is
// narrowed down over all keys (sample_many.wgsl).
//
// keys, slices: of sample_scan.wgsl. The other bindings: sample_finish.wgsl.
@group(0) @binding(auto) var<storage, read> keys: array<vec4<u32>>;
@group(0) @binding(auto) var<storage, read> slices: array<vec2<u32>>;

const THREADS: u32 = 256u;
const PART: u32 = SLICE / 4u; // words of keys in a slice

var<workgroup> rows: array<u32, THREADS>;   // greatest keys
var<workgroup> said: array<u32, 4>;         // what one thread tells all
var<workgroup> listed: array<u32, ROOM>;    // slices to look at
var<workgroup> n_listed: atomic<u32>;
var<workgroup> lowest: atomic<u32>;

struct Bounds {
    top: u32,  // greatest key
    kth: u32,  // k-th greatest of the rows
}

fn bounds_of(t: u32, mine: u32, k: u32) -> Bounds {
    rows[t] = mine;
    workgroupBarrier();
    var before = 0u;
    for (var i = 0u; i < THREADS; i++) {
        let other = rows[i];
        before += select(0u, 1u, other > mine || (other == mine && i < t));
    }
    if (before == 0u) { said[0] = mine; }
    if (before == k - 1u) { said[1] = mine; }
    let all = workgroupUniformLoad(&said);
    return Bounds(all[0], all[1]);
}

// The first token of the greatest key. mine: the greatest of this thread's slices, and the first such.
fn first_of_top(t: u32, top: u32, mine: u32, mine_at: u32) -> u32 {
    if (t == 0u) {
        atomicStore(&n_listed, N_SLICES);
        atomicStore(&lowest, N_VOCAB);
    }
    workgroupBarrier();
    if (mine == top) { atomicMin(&n_listed, mine_at); }
    workgroupBarrier();
    for (var i = t; i < PART; i += THREADS) {
        let at = atomicLoad(&n_listed) * PART + i;
        let same = keys[at] == vec4(top);
        if (any(same)) {
            atomicMin(&lowest, 4u * at + select(select(select(3u, 2u, same.z), 1u, same.y), 0u, same.x));
        }
    }
    workgroupBarrier();
    return atomicLoad(&lowest);
}

// Gathers the tokens whose keys reach `least`; more than ROOM: there are too many.
fn gather_few(t: u32, least: u32, by_id: bool) -> u32 {
    if (t == 0u) {
        atomicStore(&n_listed, 0u);
        atomicStore(&n_few, 0u);
    }
    workgroupBarrier();
    for (var s = t; s < N_SLICES; s += THREADS) {
        if (slices[s].x >= least) {
            let at = atomicAdd(&n_listed, 1u);
            if (at < ROOM) { listed[at] = s; }
        }
    }
    workgroupBarrier();
    let n = atomicLoad(&n_listed);
    for (var i = t; i < min(n, ROOM) * PART; i += THREADS) {
        let at = listed[i / PART] * PART + i % PART;
        let k = keys[at];
        if (k.x >= least) { add_few(k.x, 4u * at, by_id); }
        if (k.y >= least) { add_few(k.y, 4u * at + 1u, by_id); }
        if (k.z >= least) { add_few(k.z, 4u * at + 2u, by_id); }
        if (k.w >= least) { add_few(k.w, 4u * at + 3u, by_id); }
    }
    workgroupBarrier();
    if (t == 0u) { said[0] = select(atomicLoad(&n_few), ROOM + 1u, n > ROOM); }
    return workgroupUniformLoad(&said)[0];
}

// What min-p keeps has at least this key.
fn least_of_min_p(top: u32) -> u32 {
    if (!has(MIN_P)) { return 1u; }
    if (top >= INFINITE) { return top; }
    return max(1u, min(top, key_of(bitcast<u32>(logit_of(top) + setting(AT_LOG_MIN_P)))));
}

fn slice_weight(s: u32, top: u32, inverse: f32, far: f32) -> vec2<u32> {
    let all = slices[s];
    return fixed(weight(all.x, top, inverse, far) * bitcast<f32>(all.y));
}

// The whole of all weights at temperature 1.
fn plain_total(t: u32, top: u32) -> vec2<u32> {
    var sum = vec2(0u);
    for (var s = t; s < N_SLICES; s += THREADS) { sum = add64(sum, slice_weight(s, top, 1.0, FAR)); }
    return prefix64(t, sum).total;
}

// Draws among all tokens in the order of their ids: first a slice, by the sums, then a token of it.
fn draw_among_all(t: u32, m: Measure) -> u32 {
    let per = (N_SLICES + THREADS - 1u) / THREADS;
    let begin = min(t * per, N_SLICES);
    let end = min(begin + per, N_SLICES);
    var sum = vec2(0u);
    for (var s = begin; s < end; s++) { sum = add64(sum, slice_weight(s, m.top, m.inverse, m.far)); }
    let p = prefix64(t, sum);
    let goal = draw_goal(p.total);
    if (less64(p.before, goal) && !less64(add64(p.before, sum), goal)) {
        var left = sub64(goal, p.before);
        var s = begin;
        for (; s + 1u < end; s++) {
            let w = slice_weight(s, m.top, m.inverse, m.far);
            if (!less64(w, left)) { break; }
            left = sub64(left, w);
        }
        said[0] = s;
        said[1] = left.x;
        said[2] = left.y;
    }
    let found = workgroupUniformLoad(&said);
    if (t == 0u) { atomicStore(&n_few, 0u); }
    workgroupBarrier();
    for (var i = t; i < PART; i += THREADS) {
        let at = found[0] * PART + i;
        let k = keys[at];
        if (k.x > 0u) { add_few(k.x, 4u * at, true); }
        if (k.y > 0u) { add_few(k.y, 4u * at + 1u, true); }
        if (k.z > 0u) { add_few(k.z, 4u * at + 2u, true); }
        if (k.w > 0u) { add_few(k.w, 4u * at + 3u, true); }
    }
    workgroupBarrier();
    if (t == 0u) { said[0] = atomicLoad(&n_few); }
    let n = workgroupUniformLoad(&said)[0];
    sort_few(t, n);
    let w = weigh_few(t, n, m, true);
    return token_of(few[cross_few(t, w, vec2(found[1], found[2]))], true);
}

fn choose(t: u32, top: u32, kth: u32) -> u32 {
    let top_k = settings[AT_TOP_K];
    let least = least_of_min_p(top);
    let drawn = Measure(top, least, setting(AT_INVERSE), setting(AT_FAR), false);
    let by_id = top_k == 0u && !has(TOP_P);
    if (by_id && !has(MIN_P)) { return draw_among_all(t, drawn); }
    if (top_k > MOST_K) { return choose_among_many(t, drawn, by_id); }

    var reach = least; // what min-p drops need not be gathered, unless top-p counts it in
    if (!by_id) { reach = select(max(least, kth), max(1u, kth), top_k > 0u && has(TOP_P)); }
    var n = gather_few(t, reach, by_id);
    if (n > ROOM) { return choose_among_many(t, drawn, by_id); }
    sort_few(t, n);
    if (top_k > 0u) { n = min(n, top_k); }
    if (has(TOP_P)) {
        var total = vec2(0u);
        if (top_k == 0u) { total = plain_total(t, top); }
        let w = weigh_few(t, n, Measure(top, 1u, 1.0, FAR, false), false);
        if (top_k > 0u) { total = w.total; }
        let goal = share_goal(total);
        if (top_k == 0u && reach > least && less64(w.total, goal)) { // top-p keeps more than these
            return choose_among_many(t, drawn, by_id);
        }
        n = cross_few(t, w, goal) + 1u;
    }
    let w = weigh_few(t, n, drawn, by_id);
    return token_of(few[cross_few(t, w, draw_goal(w.total))], by_id);
}

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) t: u32) {
    var mine = 0u;
    var mine_at = 0u;
    for (var s = t; s < N_SLICES; s += THREADS) {
        let key = slices[s].x;
        if (key > mine) {
            mine = key;
            mine_at = s;
        }
    }
    let top_k = settings[AT_TOP_K];
    let b = bounds_of(t, mine, select(top_k, MOST_K, top_k == 0u || top_k > MOST_K));
    var id = NO_TOKEN;
    if (b.top == NOT_A_NUMBER) {
        id = NAN_AMONG_LOGITS;
    } else if (b.top > 0u && has(GREEDY)) {
        id = first_of_top(t, b.top, mine, mine_at);
    } else if (b.top > 0u) {
        id = choose(t, b.top, b.kth);
    }
    if (t == 0u) { finish(id); }
}
