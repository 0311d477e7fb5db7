// Second of two dispatches that choose a token: one workgroup of 256 threads.
//
// Nearly always the choice is among few tokens, and they are found without reading all keys again: the
// slices are dealt to 256 rows, and the k-th greatest of the rows' maxima is a bound that at least k
// tokens reach, and hardly more than k. These are gathered and sorted in workgroup memory
// (sample_few.wgsl). Where they have no room there, or the filters may keep others too, each of top-k,
// top-p and the draw is a search over all keys (sample_many.wgsl) for the last token to keep.
//
// keys, slices: of sample_scan.wgsl. The other bindings: sample_finish.wgsl.
@group(0) @binding(auto) var<storage, read> keys: array<vec4<u32>>;
@group(0) @binding(auto) var<storage, read> slices: array<vec2<u32>>;

const THREADS: u32 = 256u;
const PART: u32 = SLICE / 4u; // words of keys in a slice

var<workgroup> rows: array<u32, THREADS>; // greatest keys
var<workgroup> said: array<u32, 4>;       // what one thread tells all
var<workgroup> lowest: array<atomic<u32>, 2>;

struct Bounds {
    top: u32, // greatest key
    kth: u32, // k-th greatest of the rows
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
    if (t < 2u) { atomicStore(&lowest[t], 0xffffffffu); }
    workgroupBarrier();
    if (mine == top) { atomicMin(&lowest[0], mine_at); }
    workgroupBarrier();
    for (var i = t; i < PART; i += THREADS) {
        let at = atomicLoad(&lowest[0]) * PART + i;
        let same = keys[at] == vec4(top);
        if (any(same)) {
            atomicMin(&lowest[1], 4u * at + select(select(select(3u, 2u, same.z), 1u, same.y), 0u, same.x));
        }
    }
    workgroupBarrier();
    return atomicLoad(&lowest[1]);
}

// What min-p keeps has at least this key.
fn least_of_min_p(top: u32) -> u32 {
    if (!has(MIN_P)) { return 1u; }
    if (top >= INFINITE) { return top; }
    return max(1u, min(top, key_of(bitcast<u32>(logit_of(top) + setting(AT_LOG_MIN_P)))));
}

// How a stage weighs tokens.
fn measure_of(stage: u32, top: u32, least: u32) -> Measure {
    if (stage == DRAW) { return Measure(top, least, setting(AT_INVERSE), setting(AT_FAR), false); }
    return Measure(top, 1u, 1.0, FAR, stage == COUNT);
}

fn choose(t: u32, top: u32, kth: u32) -> u32 {
    let top_k = settings[AT_TOP_K];
    let least = least_of_min_p(top);
    let by_id = top_k == 0u && !has(TOP_P);
    // What min-p drops need not be gathered, unless top-p counts it in.
    var reach = least;
    if (!by_id) { reach = select(max(least, kth), max(1u, kth), top_k > 0u && has(TOP_P)); }
    var is_few = top_k <= MOST_K && (!by_id || has(MIN_P));
    var b = Box(reach, top, 0u, N_VOCAB - 1u);
    var c = Cut(1u, N_VOCAB - 1u);
    var n = 0u; // tokens that have been gathered
    var stage = COUNT;
    loop {
        if (stage == COUNT && (is_few || top_k == 0u)) { stage = SHARE; }
        if (stage == SHARE && !has(TOP_P)) { stage = DRAW; }
        let m = measure_of(stage, top, least);
        var goal = vec2(0u);
        if (!is_few) {
            let found = narrow(t, stage, c, m, by_id);
            b = found.within;
            goal = found.goal;
            n = 0u;
        }
        if (n == 0u) {
            n = gather(t, b, c, by_id);
            if (n > ROOM) { // of what was thought to be few
                is_few = false;
                stage = COUNT;
                continue;
            }
            sort_few(t, n);
            if (is_few && top_k > 0u) { n = min(n, top_k); }
        }
        let w = weigh_few(t, n, m, by_id);
        if (is_few) {
            var total = w.total;
            if (stage == SHARE && top_k == 0u) { total = prefix64(t, slices_weight(t, m)).total; }
            goal = goal_of(stage, total);
            if (stage == SHARE && top_k == 0u && reach > least) {
                if (t == 0u) { said[0] = select(0u, 1u, less64(w.total, goal)); }
                if (workgroupUniformLoad(&said)[0] == 1u) { // top-p keeps more than these
                    is_few = false;
                    continue;
                }
            }
        }
        let at = cross_few(t, w, goal);
        let last = few[at];
        if (stage == DRAW) { return token_of(last, by_id); }
        n = at + 1u;
        if (!is_few) { c = Cut(key_in(last, by_id), token_of(last, by_id)); }
        stage++;
    }
    return NO_TOKEN;
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
