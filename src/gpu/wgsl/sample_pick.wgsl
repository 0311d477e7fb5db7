// Second of two dispatches that choose a token: one workgroup of 256 threads. What takes time here is
// one thing after another, so what memory has to give is asked for at the beginning.
//
// Nearly always the choice is among few tokens, and they are found without reading all keys again: the
// slices are dealt to 128 rows, and the k-th greatest of the rows' maxima is a bound that at least k
// tokens reach, and hardly more than k. These are gathered and sorted in workgroup memory
// (sample_few.wgsl). Where they have no room there, or the filters may keep others too, each of top-k,
// top-p and the draw is a search over all keys (sample_many.wgsl) for the last token to keep.
//
// keys, slices: of sample_scan.wgsl, N_SLICES a multiple of 256. The other bindings: sample_finish.wgsl.
@group(0) @binding(auto) var<storage, read> keys: array<vec4<u32>>;
@group(0) @binding(auto) var<storage, read> slices: array<vec2<u32>>;

const THREADS: u32 = 256u;
const ROWS: u32 = 128u;
const PART: u32 = SLICE / 4u;         // words of keys in a slice
const EACH: u32 = N_SLICES / THREADS; // slices of a thread: t, t + THREADS ...

alias Own = array<u32, EACH>; // their greatest keys

var<workgroup> said: array<u32, 4>; // what one thread tells all
var<workgroup> packed: array<vec4<u32>, ROWS / 4u>;
var<workgroup> rows_top: atomic<u32>;

struct Options {
    flags: u32,
    top_k: u32,
    top_p: u32, // times 2^32
    log_min_p: f32,
    inverse: f32,
    far: f32,
}

fn has(o: Options, flag: u32) -> bool { return (o.flags & flag) != 0u; }

struct Bounds {
    top: u32, // greatest key
    kth: u32, // at least k rows reach this
}

fn four_of(at: vec4<u32>) -> vec4<u32> {
    return vec4(atomicLoad(&bins[at.x]), atomicLoad(&bins[at.y]), atomicLoad(&bins[at.z]), atomicLoad(&bins[at.w]));
}

// mine: the greatest key of thread t's slices; t and t + 128 are one row. Rows have their numbers in
// place of the last 7 bits, so that no two are equal.
fn bounds_of(t: u32, mine: u32, k: u32) -> Bounds {
    atomicStore(&bins[t], mine);
    workgroupBarrier();
    if (t < ROWS / 4u) {
        let row = vec4(4u * t, 4u * t + 1u, 4u * t + 2u, 4u * t + 3u);
        let m = max(four_of(row), four_of(row + vec4(ROWS)));
        packed[t] = (m & vec4(~(ROWS - 1u))) | row;
        atomicMax(&rows_top, max(max(m.x, m.y), max(m.z, m.w)));
    }
    workgroupBarrier();
    if (t < ROWS) {
        let own = vec4(packed[t / 4u][t % 4u]);
        var before = vec4(0u);
        for (var i = 0u; i < turns(ROWS / 4u); i++) { before += vec4<u32>(packed[i] > own); }
        if (before.x + before.y + before.z + before.w == k - 1u) { said[1] = own.x & ~(ROWS - 1u); }
        if (t == 0u) { said[0] = atomicLoad(&rows_top); }
    }
    let all = workgroupUniformLoad(&said);
    return Bounds(all[0], all[1]);
}

// What min-p keeps has at least this key.
fn least_of_min_p(o: Options, top: u32) -> u32 {
    if (!has(o, MIN_P)) { return 1u; }
    if (top >= INFINITE) { return top; }
    return max(1u, min(top, key_of(bitcast<u32>(logit_of(top) + o.log_min_p))));
}

// Each of these stages looks for the last token to keep, where a running sum reaches a goal.
const COUNT: u32 = 0u; // top_k tokens
const SHARE: u32 = 1u; // the share top_p of all weights at temperature 1
const DRAW: u32 = 2u;  // beyond a share drawn at random

fn goal_of(o: Options, stage: u32, word: u32, total: vec2<u32>) -> vec2<u32> {
    if (stage == COUNT) { return vec2(min(o.top_k, total.x), 0u); }
    if (stage == DRAW) { return add64(drawn_of(total, word), vec2(1u, 0u)); }
    let goal = share_of(total, o.top_p);
    return select(goal, vec2(1u, 0u), all(goal == vec2(0u))); // the first token always stays
}

const FAR: f32 = -31.0; // of temperature 1

fn scale_of(o: Options, stage: u32, top: u32, least: u32) -> Scale {
    if (stage == DRAW) { return Scale(top, least, o.inverse, o.far); }
    return Scale(top, 1u, 1.0, FAR);
}

// word: random.
fn choose(t: u32, o: Options, word: u32, own: Own, top: u32, kth: u32) -> u32 {
    let least = least_of_min_p(o, top);
    let by_id = o.top_k == 0u && !has(o, TOP_P);
    // What min-p drops need not be gathered, unless top-p counts it in.
    var reach = least;
    if (!by_id) { reach = select(max(least, kth), max(1u, kth), o.top_k > 0u && has(o, TOP_P)); }
    var is_few = o.top_k <= MOST_K && (!by_id || has(o, MIN_P));
    var b = Box(reach, top, 0u, N_VOCAB - 1u, ANY_BIN);
    var c = Cut(1u, N_VOCAB - 1u);
    var n = 0u; // tokens that have been gathered
    var stage = COUNT;
    loop {
        if (stage == COUNT && (is_few || o.top_k == 0u)) { stage = SHARE; }
        if (stage == SHARE && !has(o, TOP_P)) { stage = DRAW; }
        let s = scale_of(o, stage, top, least);
        var goal = vec2(0u);
        if (!is_few) {
            let found = narrow(t, o, stage, word, c, s, by_id);
            b = found.within;
            goal = found.goal;
            n = 0u;
        }
        if (n == 0u) {
            n = gather(t, own, b, c, top, by_id);
            if (n > ROOM) { // of what was thought to be few
                is_few = false;
                stage = COUNT;
                continue;
            }
            sort_few(t, n);
            if (is_few && o.top_k > 0u) { n = min(n, o.top_k); }
        }
        let w = weigh_few(t, n, s, stage == COUNT, by_id);
        if (is_few) {
            var total = w.total;
            if (stage == SHARE && o.top_k == 0u) { total = prefix64(t, slices_weight(t, s)).total; }
            goal = goal_of(o, stage, word, total);
            if (stage == SHARE && o.top_k == 0u && reach > least) {
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
}

fn chosen_token(t: u32, o: Options, word: u32) -> u32 {
    var own: Own;
    var best = vec2(0u);
    for (var i = 0u; i < EACH; i++) {
        let s = slices[i * THREADS + t];
        own[i] = s.x;
        best = select(best, vec2(s.x, ~s.y), s.x > best.x);
    }
    if (has(o, GREEDY)) {
        let first = greatest(t, best);
        return select(select(~first.y, NO_TOKEN, first.x == 0u), NAN_AMONG_LOGITS, first.x == NOT_A_NUMBER);
    }
    let b = bounds_of(t, best.x, select(o.top_k, MOST_K, o.top_k == 0u || o.top_k > MOST_K));
    if (b.top == NOT_A_NUMBER) { return NAN_AMONG_LOGITS; }
    if (b.top == 0u) { return NO_TOKEN; }
    return choose(t, o, word, own, b.top, b.kth);
}

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) t: u32) {
    let before = recall();
    let o = Options(settings[AT_FLAGS], settings[AT_TOP_K], settings[AT_TOP_P], setting(AT_LOG_MIN_P),
                    setting(AT_INVERSE), setting(AT_FAR));
    let id = chosen_token(t, o, philox(before.draws));
    if (t == 0u) { finish(before, id); }
}
