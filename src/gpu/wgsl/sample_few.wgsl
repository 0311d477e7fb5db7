// Up to ROOM tokens in workgroup memory: sorted, weighed, and the one found where a running sum of
// weights reaches a goal. Each is two words that both fall in the order wanted: (key, ~id) in the order
// of choice, (~id, key) in the order of ids.
const AHEAD: u32 = 8u; // how many are read together; that many zeros follow

var<workgroup> few: array<vec2<u32>, ROOM + AHEAD>;
var<workgroup> n_few: atomic<u32>;

fn add_few(key: u32, id: u32, by_id: bool) {
    let at = atomicAdd(&n_few, 1u);
    if (at < ROOM) { few[at] = select(vec2(key, ~id), vec2(~id, key), by_id); }
}

fn key_in(x: vec2<u32>, by_id: bool) -> u32 { return select(x.x, x.y, by_id); }
fn token_of(x: vec2<u32>, by_id: bool) -> u32 { return ~select(x.y, x.x, by_id); }

fn is_before(a: vec2<u32>, b: vec2<u32>) -> u32 { return u32(a.x > b.x || (a.x == b.x && a.y > b.y)); }

// By counting, for each, those before it: n is small. Where there are fewer tokens than threads, 2 or 4
// threads count for one. Places are counted in bins.
fn sort_few(t: u32, n: u32) {
    let own = few[t];
    let other = few[t + THREADS];
    atomicStore(&bins[t], 0u);
    atomicStore(&bins[t + THREADS], 0u);
    workgroupBarrier();
    let width = select(select(THREADS, THREADS / 2u, n <= THREADS / 2u), THREADS / 4u, n <= THREADS / 4u);
    let span = ((n * width + THREADS - 1u) / THREADS + AHEAD - 1u) / AHEAD * AHEAD; // what a thread looks at
    let begin = t / width * span;
    for (var i = t % width; i < n; i += THREADS) {
        let x = few[i];
        var before = 0u;
        for (var k = begin; k < min(begin + span, n); k += AHEAD) {
            for (var j = 0u; j < turns(AHEAD); j++) { before += is_before(few[k + j], x); }
        }
        atomicAdd(&bins[i], before);
    }
    workgroupBarrier();
    if (t < n) { few[atomicLoad(&bins[t])] = own; }
    if (t + THREADS < n) { few[atomicLoad(&bins[t + THREADS])] = other; }
    workgroupBarrier();
}

// Running sums: thread t has the tokens 2t and 2t + 1.
struct Weights {
    before: vec2<u32>, // the sum of those before
    first: vec2<u32>,
    second: vec2<u32>,
    total: vec2<u32>,
}

// counts: each weighs 1.
fn weigh_few(t: u32, n: u32, s: Scale, counts: bool, by_id: bool) -> Weights {
    let key = vec4(key_in(few[2u * t], by_id), key_in(few[2u * t + 1u], by_id), 0u, 0u);
    let f = fixed(weights(s, key));
    let first = select(vec2(f.low.x, f.high.x), vec2(1u, 0u), counts);
    let second = select(vec2(f.low.y, f.high.y), vec2(1u, 0u), counts);
    if (t == 0u) { said[0] = 0u; } // for cross_few, should nothing weigh anything
    var w: Weights;
    w.first = select(vec2(0u), first, 2u * t < n);
    w.second = select(vec2(0u), second, 2u * t + 1u < n);
    let p = prefix64(t, add64(w.first, w.second));
    w.before = p.before;
    w.total = p.total;
    return w;
}

// Where the running sum reaches the goal, or, if it does not, the last one that weighs anything.
fn cross_few(t: u32, w: Weights, goal: vec2<u32>) -> u32 {
    let most = min64(goal, w.total);
    let middle = add64(w.before, w.first);
    if (less64(w.before, most)) {
        if (!less64(middle, most)) {
            said[0] = 2u * t;
        } else if (!less64(add64(middle, w.second), most)) {
            said[0] = 2u * t + 1u;
        }
    }
    return workgroupUniformLoad(&said)[0];
}
