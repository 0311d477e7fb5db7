// Up to ROOM tokens in workgroup memory: sorted, weighed, and the one found where a running sum of
// weights passes a goal. Each is two words that both fall in the order wanted: (key, ~id) in the order
// of choice, (~id, key) in the order of ids.
var<workgroup> few: array<vec2<u32>, ROOM>;
var<workgroup> n_few: atomic<u32>;

fn add_few(key: u32, id: u32, by_id: bool) {
    let at = atomicAdd(&n_few, 1u);
    if (at < ROOM) { few[at] = select(vec2(key, ~id), vec2(~id, key), by_id); }
}

fn key_in(x: vec2<u32>, by_id: bool) -> u32 { return select(x.x, x.y, by_id); }
fn token_of(x: vec2<u32>, by_id: bool) -> u32 { return ~select(x.y, x.x, by_id); }

fn few_before(x: vec2<u32>, n: u32) -> u32 {
    var before = 0u;
    for (var i = 0u; i < n; i++) {
        let other = few[i];
        before += select(0u, 1u, other.x > x.x || (other.x == x.x && other.y > x.y));
    }
    return before;
}

// By counting, for each, those before it: no barriers, and n is small.
fn sort_few(t: u32, n: u32) {
    let a = few[t];
    let b = few[t + THREADS];
    var before = vec2(0u);
    if (t < n) { before.x = few_before(a, n); }
    if (t + THREADS < n) { before.y = few_before(b, n); }
    workgroupBarrier();
    if (t < n) { few[before.x] = a; }
    if (t + THREADS < n) { few[before.y] = b; }
    workgroupBarrier();
}

// How much a key weighs: exp((x - max) / temperature), nothing below `least`; or 1.
struct Measure {
    top: u32,
    least: u32,
    inverse: f32,
    far: f32,
    counts: bool,
}

const FAR: f32 = -31.0; // the far of temperature 1

fn measured(m: Measure, key: u32) -> vec2<u32> {
    if (key < m.least) { return vec2(0u); }
    if (m.counts) { return vec2(1u, 0u); }
    return fixed(weight(key, m.top, m.inverse, m.far));
}

// Running sums: thread t has the tokens 2t and 2t + 1.
struct Weights {
    before: vec2<u32>, // the sum of those before
    first: vec2<u32>,
    second: vec2<u32>,
    total: vec2<u32>,
}

fn weigh_few(t: u32, n: u32, m: Measure, by_id: bool) -> Weights {
    var w: Weights;
    if (2u * t < n) { w.first = measured(m, key_in(few[2u * t], by_id)); }
    if (2u * t + 1u < n) { w.second = measured(m, key_in(few[2u * t + 1u], by_id)); }
    let p = prefix64(t, add64(w.first, w.second));
    w.before = p.before;
    w.total = p.total;
    return w;
}

// Where the running sum reaches the goal, or, if it does not, the last one that weighs anything.
fn cross_few(t: u32, w: Weights, goal: vec2<u32>) -> u32 {
    let most = min64(goal, w.total);
    let middle = add64(w.before, w.first);
    if (t == 0u) { said[0] = 0u; }
    workgroupBarrier();
    if (less64(w.before, most)) {
        if (!less64(middle, most)) {
            said[0] = 2u * t;
        } else if (!less64(add64(middle, w.second), most)) {
            said[0] = 2u * t + 1u;
        }
    }
    return workgroupUniformLoad(&said)[0];
}
