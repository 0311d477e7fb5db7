// Finding, over all keys, the token where a running sum in the order wanted reaches a goal: 256 bins say
// in which of them that is; then the bin is divided, until its tokens fit in workgroup memory.

var<workgroup> bins: array<atomic<u32>, 3u * THREADS>; // their tokens, and weights, low and high words
var<workgroup> n_listed: atomic<u32>;                  // slices to look at, in bins

// The last token that is kept.
struct Cut {
    key: u32,
    id: u32,
}

// Where the token is: low <= key <= high, first <= id <= last, and in a coarse bin.
struct Box {
    low: u32,
    high: u32,
    first: u32,
    last: u32,
    bin: u32,
}

const ANY_BIN: u32 = THREADS;

// Coarse bins are eighths below the maximum: keys of logits spread unevenly, most of them would meet in
// few bins, and threads that add to the same word wait for each other.
fn coarse_of(keys: vec4<u32>, top: u32) -> vec4<u32> {
    let eighths = (logit_of(top) - logits_of(keys)) * 8.0;
    return select(vec4(THREADS - 1u), vec4<u32>(eighths), eighths < vec4(f32(THREADS - 1u)));
}

fn is_within(b: Box, c: Cut, top: u32, keys: vec4<u32>, id: u32) -> vec4<bool> {
    let ids = vec4(id, id + 1u, id + 2u, id + 3u);
    var yes = (keys >= vec4(b.low)) & (keys <= vec4(b.high)) & (ids >= vec4(b.first)) & (ids <= vec4(b.last)) &
              ((keys > vec4(c.key)) | ((keys == vec4(c.key)) & (ids <= vec4(c.id))));
    if (b.bin != ANY_BIN) { yes = yes & (coarse_of(keys, top) == vec4(b.bin)); }
    return yes;
}

fn add_bin(bin: u32, low: u32, high: u32, counts: bool) {
    atomicAdd(&bins[bin], 1u);
    if (counts) { return; }
    let was = atomicAdd(&bins[THREADS + bin], low);
    let more = high + select(0u, 1u, was + low < was);
    if (more > 0u) { atomicAdd(&bins[2u * THREADS + bin], more); }
}

struct Weighed {
    tokens: u32,
    sum: vec2<u32>,
}

// What a search goes by. counts: each token weighs 1.
struct Search {
    s: Scale,
    c: Cut,
    counts: bool,
}

fn weighed(q: Search, keys: vec4<u32>) -> Fixed {
    if (q.counts) { return Fixed(vec4(1u), vec4(0u)); }
    return fixed(weights(q.s, keys));
}

// By keys: coarse bins, or 2^shift keys a bin, the greatest first.
fn fill_bins(t: u32, q: Search, b: Box, shift: u32, is_coarse: bool) -> Weighed {
    for (var i = t; i < 3u * THREADS; i += THREADS) { atomicStore(&bins[i], 0u); }
    workgroupBarrier();
    var next = keys[t];
    for (var i = t; i < N_SLICES * PART; i += THREADS) {
        let k = next;
        next = keys[min(i + THREADS, N_SLICES * PART - 1u)]; // on its way while these are counted
        let yes = is_within(b, q.c, q.s.top, k, 4u * i);
        if (any(yes)) {
            var bin = (vec4(b.high) - k) >> vec4(shift);
            if (is_coarse) { bin = coarse_of(k, q.s.top); }
            let f = weighed(q, k);
            if (yes.x) { add_bin(bin.x, f.low.x, f.high.x, q.counts); }
            if (yes.y) { add_bin(bin.y, f.low.y, f.high.y, q.counts); }
            if (yes.z) { add_bin(bin.z, f.low.z, f.high.z, q.counts); }
            if (yes.w) { add_bin(bin.w, f.low.w, f.high.w, q.counts); }
        }
    }
    workgroupBarrier();
    let tokens = atomicLoad(&bins[t]);
    let sum = vec2(atomicLoad(&bins[THREADS + t]), atomicLoad(&bins[2u * THREADS + t]));
    return Weighed(tokens, select(sum, vec2(tokens, 0u), q.counts));
}

// By ids: thread t's bin are `each` of them, a multiple of 4.
fn add_ids(t: u32, q: Search, b: Box, each: u32) -> Weighed {
    var w = Weighed(0u, vec2(0u));
    let begin = (b.first + t * each) / 4u;
    let end = min(begin + each / 4u, b.last / 4u + 1u);
    for (var i = begin; i < end; i++) {
        let k = keys[i];
        let yes = is_within(b, q.c, q.s.top, k, 4u * i);
        let f = weighed(q, k);
        let low = select(vec4(0u), f.low, yes);
        let high = select(vec4(0u), f.high, yes);
        w.tokens += dot(vec4(1u), vec4<u32>(yes));
        w.sum = add64(add64(w.sum, add64(vec2(low.x, high.x), vec2(low.y, high.y))),
                      add64(vec2(low.z, high.z), vec2(low.w, high.w)));
    }
    return w;
}

// The weights of thread t's share of the slices, neighbours, from their sums.
fn slices_weight(t: u32, s: Scale) -> vec2<u32> {
    var sum = vec2(0u);
    for (var i = 0u; i < turns(EACH); i++) {
        let all = slices[t * EACH + i];
        let f = fixed(weights(s, vec4(all.x, 0u, 0u, 0u)) * bitcast<f32>(all.y));
        sum = add64(sum, vec2(f.low.x, f.high.x));
    }
    return sum;
}

// The box of a coarse bin, hardly wider: what rounds to the bin decides.
fn coarse_box(b: Box, top: u32, bin: u32) -> Box {
    let x = logit_of(top) - f32(bin) / 8.0;
    let slack = 1.0 / 64.0 + abs(logit_of(top)) / 1048576.0;
    var inner = b;
    inner.bin = bin;
    inner.high = min(b.high, key_of(bitcast<u32>(x + slack)));
    if (bin < THREADS - 1u) { inner.low = max(b.low, key_of(bitcast<u32>(x - 1.0 / 8.0 - slack))); }
    return inner;
}

struct Found {
    within: Box,
    goal: vec2<u32>, // what is left of it at the box's begin
}

const MOST_LEVELS: u32 = 8u; // coarse, 4 of keys, 3 of ids
const FEW_IDS: u32 = 64u;    // a few ids more are quicker divided than sorted

fn narrow(t: u32, o: Options, stage: u32, word: u32, c: Cut, s: Scale, by_id: bool) -> Found {
    let q = Search(s, c, stage == COUNT);
    var b = Box(s.least, s.top, 0u, N_VOCAB - 1u, ANY_BIN);
    var goal = vec2(0u);
    for (var level = 0u; level < MOST_LEVELS; level++) {
        let by_key = !by_id && b.low < b.high;
        let is_coarse = by_key && level == 0u && s.top < INFINITE;
        let is_of_slices = by_id && level == 0u && !has(o, MIN_P); // they have been added up
        let shift = max(32u - countLeadingZeros(b.high - b.low), 8u) - 8u;
        var each = ((b.last - b.first) / THREADS + 4u) & ~3u;
        var w: Weighed;
        if (t == 0u) { said = array(0u, 0u, 0u, 0u); } // should nothing weigh anything
        if (by_key) {
            w = fill_bins(t, q, b, shift, is_coarse);
        } else if (is_of_slices) {
            each = EACH * SLICE;
            w = Weighed(each, slices_weight(t, s));
        } else {
            w = add_ids(t, q, b, each);
        }
        let p = prefix64(t, w.sum);
        if (level == 0u) { goal = goal_of(o, stage, word, p.total); }
        goal = min64(goal, p.total); // the sums of slices are rounded
        if (less64(p.before, goal) && !less64(add64(p.before, w.sum), goal)) {
            let left = sub64(goal, p.before);
            said = array(t, w.tokens, left.x, left.y);
        }
        let found = workgroupUniformLoad(&said);
        if (is_coarse) {
            b = coarse_box(b, s.top, found[0]);
        } else if (by_key) {
            b.high -= found[0] << shift;
            b.low = b.high - min((1u << shift) - 1u, b.high - b.low);
        } else {
            b.first += found[0] * each;
            b.last = min(b.first + each - 1u, b.last);
        }
        goal = vec2(found[2], found[3]);
        if (found[1] <= select(ROOM, FEW_IDS, by_id)) { break; }
    }
    return Found(b, goal);
}

// The i-th word of keys in the listed slices, or in all.
fn word_of(i: u32, end: u32, all: bool) -> u32 {
    let at = min(i, max(end, 1u) - 1u);
    return select(atomicLoad(&bins[(at / PART) % (3u * THREADS)]), at / PART, all) * PART + at % PART;
}

// Puts the tokens within a box into `few`, unsorted; how many they are, even if too many.
fn gather(t: u32, own: Own, b: Box, c: Cut, top: u32, by_id: bool) -> u32 {
    if (t == 0u) {
        atomicStore(&n_listed, 0u);
        atomicStore(&n_few, 0u);
    }
    workgroupBarrier();
    for (var i = 0u; i < EACH; i++) {
        let s = i * THREADS + t;
        if (own[i] >= b.low && s * SLICE <= b.last && (s + 1u) * SLICE > b.first) {
            let at = atomicAdd(&n_listed, 1u);
            if (at < 3u * THREADS) { atomicStore(&bins[at], s); }
        }
    }
    workgroupBarrier();
    let n = atomicLoad(&n_listed);
    let all = n > 3u * THREADS;
    let end = select(n, N_SLICES, all) * PART;
    var next_at = word_of(t, end, all);
    var second_at = word_of(t + THREADS, end, all);
    var next = keys[next_at]; // asked for before they are needed
    var second = keys[second_at];
    for (var i = t; i < end; i += THREADS) {
        let at = next_at;
        let k = next;
        next_at = second_at;
        next = second;
        second_at = word_of(i + 2u * THREADS, end, all);
        second = keys[second_at];
        let yes = is_within(b, c, top, k, 4u * at);
        if (yes.x) { add_few(k.x, 4u * at, by_id); }
        if (yes.y) { add_few(k.y, 4u * at + 1u, by_id); }
        if (yes.z) { add_few(k.z, 4u * at + 2u, by_id); }
        if (yes.w) { add_few(k.w, 4u * at + 3u, by_id); }
    }
    workgroupBarrier();
    let found = atomicLoad(&n_few);
    if (t < AHEAD) { few[min(found, ROOM) + t] = vec2(0u); }
    if (t == 0u) { said[0] = found; }
    return workgroupUniformLoad(&said)[0];
}
