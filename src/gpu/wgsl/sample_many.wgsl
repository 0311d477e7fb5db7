// Choosing over all keys, however many the filters keep: each of top-k, top-p and the draw is a search
// for the token where a running sum, in the order of choice, reaches a goal. A histogram of 256 bins
// says in which bin that is; then the bin is divided, until its tokens fit in workgroup memory.

var<workgroup> bin_size: array<atomic<u32>, THREADS>;
var<workgroup> bin_low: array<atomic<u32>, THREADS>;
var<workgroup> bin_high: array<atomic<u32>, THREADS>;

// The last token that is kept.
struct Cut {
    key: u32,
    id: u32,
}

// Where the token is: low <= key <= high and first <= id <= last.
struct Box {
    low: u32,
    high: u32,
    first: u32,
    last: u32,
}

fn is_within(b: Box, c: Cut, key: u32, id: u32) -> bool {
    return key >= b.low && key <= b.high && id >= b.first && id <= b.last &&
           (key > c.key || (key == c.key && id <= c.id));
}

// How a box is divided: by keys, greatest first, unless all are the same or ids are to decide.
struct Division {
    by_key: bool,
    shift: u32, // 2^shift keys or ids a bin
}

fn division_of(b: Box, by_id: bool) -> Division {
    let by_key = !by_id && b.low < b.high;
    let bits = 32u - countLeadingZeros(select(b.last - b.first, b.high - b.low, by_key));
    return Division(by_key, max(bits, 8u) - 8u);
}

fn bin_of(b: Box, d: Division, key: u32, id: u32) -> u32 {
    return select(id - b.first, b.high - key, d.by_key) >> d.shift;
}

fn box_of(b: Box, d: Division, bin: u32) -> Box {
    let from = bin << d.shift;
    let span = (1u << d.shift) - 1u;
    var inner = b;
    if (d.by_key) {
        inner.high = b.high - from;
        inner.low = inner.high - min(span, inner.high - b.low);
    } else {
        inner.first = b.first + from;
        inner.last = inner.first + min(span, b.last - inner.first);
    }
    return inner;
}

fn count_bin(b: Box, c: Cut, d: Division, m: Measure, key: u32, id: u32) {
    if (!is_within(b, c, key, id)) { return; }
    let bin = bin_of(b, d, key, id);
    let w = measured(m, key);
    atomicAdd(&bin_size[bin], 1u);
    let was = atomicAdd(&bin_low[bin], w.x);
    let high = w.y + select(0u, 1u, was + w.x < was);
    if (high > 0u) { atomicAdd(&bin_high[bin], high); }
}

fn fill_bins(t: u32, b: Box, c: Cut, d: Division, m: Measure) {
    atomicStore(&bin_size[t], 0u);
    atomicStore(&bin_low[t], 0u);
    atomicStore(&bin_high[t], 0u);
    workgroupBarrier();
    for (var i = t; i < N_SLICES * PART; i += THREADS) {
        if (slices[i / PART].x < b.low) { continue; }
        let k = keys[i];
        count_bin(b, c, d, m, k.x, 4u * i);
        count_bin(b, c, d, m, k.y, 4u * i + 1u);
        count_bin(b, c, d, m, k.z, 4u * i + 2u);
        count_bin(b, c, d, m, k.w, 4u * i + 3u);
    }
    workgroupBarrier();
}

fn add_within(b: Box, c: Cut, key: u32, id: u32, by_id: bool) {
    if (is_within(b, c, key, id)) { add_few(key, id, by_id); }
}

// Those within the box, no more than ROOM, into `few`, sorted.
fn gather_box(t: u32, b: Box, c: Cut, by_id: bool) -> u32 {
    if (t == 0u) { atomicStore(&n_few, 0u); }
    workgroupBarrier();
    for (var i = t; i < N_SLICES * PART; i += THREADS) {
        if (slices[i / PART].x < b.low) { continue; }
        let k = keys[i];
        add_within(b, c, k.x, 4u * i, by_id);
        add_within(b, c, k.y, 4u * i + 1u, by_id);
        add_within(b, c, k.z, 4u * i + 2u, by_id);
        add_within(b, c, k.w, 4u * i + 3u, by_id);
    }
    workgroupBarrier();
    if (t == 0u) { said[0] = atomicLoad(&n_few); }
    let n = workgroupUniformLoad(&said)[0];
    sort_few(t, n);
    return n;
}

// The token where the running sum reaches the goal of this kind.
fn narrow(t: u32, kind: u32, c: Cut, m: Measure, by_id: bool) -> Cut {
    var b = Box(m.least, m.top, 0u, N_VOCAB - 1u);
    var goal = vec2(0u); // what is left of it at the box's begin
    var is_first = true;
    loop {
        let d = division_of(b, by_id);
        fill_bins(t, b, c, d, m);
        let w = vec2(atomicLoad(&bin_low[t]), atomicLoad(&bin_high[t]));
        let p = prefix64(t, w);
        if (is_first) {
            goal = goal_of(kind, p.total);
            is_first = false;
        }
        if (less64(p.before, goal) && !less64(add64(p.before, w), goal)) {
            let left = sub64(goal, p.before);
            said[0] = t;
            said[1] = atomicLoad(&bin_size[t]);
            said[2] = left.x;
            said[3] = left.y;
        }
        let found = workgroupUniformLoad(&said);
        b = box_of(b, d, found[0]);
        goal = vec2(found[2], found[3]);
        if (found[1] <= ROOM) { break; }
    }
    let n = gather_box(t, b, c, by_id);
    let at = few[cross_few(t, weigh_few(t, n, m, by_id), goal)];
    return Cut(key_in(at, by_id), token_of(at, by_id));
}

fn choose_among_many(t: u32, drawn: Measure, by_id: bool) -> u32 {
    var c = Cut(1u, N_VOCAB - 1u);
    if (settings[AT_TOP_K] > 0u) {
        c = narrow(t, COUNT, c, Measure(drawn.top, 1u, 1.0, FAR, true), false);
    }
    if (has(TOP_P)) {
        c = narrow(t, SHARE, c, Measure(drawn.top, 1u, 1.0, FAR, false), false);
    }
    return narrow(t, DRAW, c, drawn, by_id).id;
}
