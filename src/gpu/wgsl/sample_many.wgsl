// Finding, over all keys, the token where a running sum in the order wanted reaches a goal. A histogram
// of 256 bins says in which bin that is; then the bin is divided, until its tokens fit in workgroup
// memory.

var<workgroup> listed: array<u32, ROOM>; // slices to look at
var<workgroup> n_listed: atomic<u32>;
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
    let start = bin << d.shift;
    let span = (1u << d.shift) - 1u;
    var inner = b;
    if (d.by_key) {
        inner.high = b.high - start;
        inner.low = inner.high - min(span, inner.high - b.low);
    } else {
        inner.first = b.first + start;
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
    for (var i = b.first / 4u + t; i <= b.last / 4u; i += THREADS) {
        if (slices[i / PART].x < b.low) { continue; }
        let k = keys[i];
        count_bin(b, c, d, m, k.x, 4u * i);
        count_bin(b, c, d, m, k.y, 4u * i + 1u);
        count_bin(b, c, d, m, k.z, 4u * i + 2u);
        count_bin(b, c, d, m, k.w, 4u * i + 3u);
    }
    workgroupBarrier();
}

// Puts the tokens within a box into `few`, unsorted; how many they are, even if too many.
fn gather(t: u32, b: Box, c: Cut, by_id: bool) -> u32 {
    if (t == 0u) {
        atomicStore(&n_listed, 0u);
        atomicStore(&n_few, 0u);
    }
    workgroupBarrier();
    for (var s = t; s < N_SLICES; s += THREADS) {
        if (slices[s].x >= b.low && s * SLICE <= b.last && s * SLICE + SLICE > b.first) {
            let at = atomicAdd(&n_listed, 1u);
            if (at < ROOM) { listed[at] = s; }
        }
    }
    workgroupBarrier();
    let n = atomicLoad(&n_listed);
    let all = n > ROOM;
    for (var i = t; i < select(n, N_SLICES, all) * PART; i += THREADS) {
        let at = select(listed[(i / PART) % ROOM], i / PART, all) * PART + i % PART;
        let k = keys[at];
        add_within(b, c, k.x, 4u * at, by_id);
        add_within(b, c, k.y, 4u * at + 1u, by_id);
        add_within(b, c, k.z, 4u * at + 2u, by_id);
        add_within(b, c, k.w, 4u * at + 3u, by_id);
    }
    workgroupBarrier();
    if (t == 0u) { said[0] = atomicLoad(&n_few); }
    return workgroupUniformLoad(&said)[0];
}

fn add_within(b: Box, c: Cut, key: u32, id: u32, by_id: bool) {
    if (is_within(b, c, key, id)) { add_few(key, id, by_id); }
}

// The weights of a thread's share of the slices, neighbours, from their sums.
const SHARE_OF_SLICES: u32 = (N_SLICES + THREADS - 1u) / THREADS;
const IDS_OF_SHARE: u32 = SHARE_OF_SLICES * SLICE;

fn slices_weight(t: u32, m: Measure) -> vec2<u32> {
    var sum = vec2(0u);
    for (var s = t * SHARE_OF_SLICES; s < min((t + 1u) * SHARE_OF_SLICES, N_SLICES); s++) {
        let all = slices[s];
        sum = add64(sum, fixed(weight(all.x, m.top, m.inverse, m.far) * bitcast<f32>(all.y)));
    }
    return sum;
}

// A division by slices, 4 of keys, 3 of ids.
const MOST_LEVELS: u32 = 8u;

struct Found {
    within: Box,
    goal: vec2<u32>, // what is left of it at the box's begin
}

// Where the running sum reaches the goal of this stage: a box of no more than ROOM tokens.
fn narrow(t: u32, stage: u32, c: Cut, m: Measure, by_id: bool) -> Found {
    var b = Box(m.least, m.top, 0u, N_VOCAB - 1u);
    var goal = vec2(0u);
    var of_slices = by_id && !has(MIN_P); // their sums are a histogram already
    for (var level = 0u; level < MOST_LEVELS; level++) {
        let d = division_of(b, by_id);
        var w = vec2(0u);
        var size = IDS_OF_SHARE;
        if (t == 0u) { said = array(0u, 0u, 0u, 0u); } // should nothing weigh anything
        if (of_slices) {
            w = slices_weight(t, m);
        } else {
            fill_bins(t, b, c, d, m);
            w = vec2(atomicLoad(&bin_low[t]), atomicLoad(&bin_high[t]));
            size = atomicLoad(&bin_size[t]);
        }
        let p = prefix64(t, w);
        if (level == 0u) { goal = goal_of(stage, p.total); }
        goal = min64(goal, p.total); // the sums of slices are rounded
        if (less64(p.before, goal) && !less64(add64(p.before, w), goal)) {
            let left = sub64(goal, p.before);
            said = array(t, size, left.x, left.y);
        }
        let found = workgroupUniformLoad(&said);
        if (of_slices) {
            b.first = found[0] * IDS_OF_SHARE;
            b.last = min(b.first + IDS_OF_SHARE, N_VOCAB) - 1u;
        } else {
            b = box_of(b, d, found[0]);
        }
        goal = vec2(found[2], found[3]);
        if (found[1] <= ROOM) { break; }
        of_slices = false;
    }
    return Found(b, goal);
}
