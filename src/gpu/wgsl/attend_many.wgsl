// Attention of many tokens: tiles of 64 rows by 64 positions, the softmax's top and total carried along
// (FlashAttention). A row is a token and one of the query heads that share a KV head, so keys and values are
// fetched once for all of these.
//
// 256 threads stand 16 by 16: thread (tx, ty) has scores of rows ty + 16 i and positions tx + 16 j, and of the
// result, for the same rows, quads tx + 16 n of the head's values. What they multiply goes through one pool of
// 16 KiB, which every device has: first 32 dimensions at a time of queries and keys, then tops of rows, then
// weights for 32 positions beside the values of some of them.
//
// Parts: state, loops_<kind>, kv, kv/<type>, kv/k_<type>, kv/v_<type>, attend_window.
// Constants: SCALE: scores' scale, times log2(e); V_ROWS: positions whose values are staged at a time: a power of
// two up to 32, at most 256 / EIGHTS; N_HEADS, N_KV_HEADS, D_HEAD, N_CTX.
// Grid: workgroups of 64 rows for tokens * N_HEADS / N_KV_HEADS, N_KV_HEADS.
@group(0) @binding(auto) var<storage, read> q: array<vec4<f32>>;         // [token][N_HEADS][D_HEAD], in pair order
@group(0) @binding(auto) var<storage, read_write> out: array<vec4<f32>>; // [token][N_HEADS][D_HEAD]

const GROUP = N_HEADS / N_KV_HEADS;
const QUADS = D_HEAD / 4u;
const STEPS = (QUADS + 7u) / 8u;  // of 32 dimensions
const OWN = (QUADS + 15u) / 16u;  // quads of the result that a thread has
const HALF = 512u;                // of the pool
const LOWEST = -1e30;

var<workgroup> pool: array<vec4<f32>, 1024>;

// What a workgroup works on.
struct Block { kv_head: u32, first_row: u32, rows: u32, position: u32, last: u32 }

// Index of row `row` of the block's queries or results, in quads. Rows beyond the last repeat it.
fn row_at(b: Block, row: u32) -> u32 {
    let r = min(b.first_row + row, b.rows - 1u);
    return (r / GROUP * N_HEADS + b.kv_head * GROUP + r % GROUP) * QUADS;
}

fn position_of(b: Block, row: u32) -> u32 {
    return b.position + min(b.first_row + row, b.rows - 1u) / GROUP;
}

// 4 dimensions of rows w % 16 + 16 i, w < 128; as [dimension][w % 16], a vector's elements being the rows.
fn stage_queries(b: Block, step: u32, w: u32) {
    let quad = step * 8u + w / 16u;
    var x: array<vec4<f32>, 4>;
    for (var i = 0u; i < 4u; i++) {
        let there = q[row_at(b, w % 16u + 16u * i) + min(quad, QUADS - 1u)];
        x[i] = select(vec4<f32>(), there, quad < QUADS);
    }
    let at = w / 16u * 64u + w % 16u;
    pool[at] = vec4<f32>(x[0].x, x[1].x, x[2].x, x[3].x);
    pool[at + 16u] = vec4<f32>(x[0].y, x[1].y, x[2].y, x[3].y);
    pool[at + 32u] = vec4<f32>(x[0].z, x[1].z, x[2].z, x[3].z);
    pool[at + 48u] = vec4<f32>(x[0].w, x[1].w, x[2].w, x[3].w);
}

// 8 dimensions of positions first + w % 16 + 16 i, w < 64; laid out as the queries.
fn stage_keys(b: Block, first: u32, step: u32, w: u32) {
    let eight = step * 4u + w / 16u;
    let there = min(eight, EIGHTS - 1u);
    var raw: array<RawK, 4>;
    for (var i = 0u; i < 4u; i++) {
        raw[i] = load_k(b.kv_head, there, min(first + w % 16u + 16u * i, b.last));
    }
    var x: array<Eight, 4>;
    for (var i = 0u; i < 4u; i++) {
        let key = k_of(raw[i], b.kv_head, there, min(first + w % 16u + 16u * i, b.last));
        x[i].lo = select(vec4<f32>(), key.lo, eight < EIGHTS);
        x[i].hi = select(vec4<f32>(), key.hi, eight < EIGHTS);
    }
    let at = HALF + w / 16u * 128u + w % 16u;
    pool[at] = vec4<f32>(x[0].lo.x, x[1].lo.x, x[2].lo.x, x[3].lo.x);
    pool[at + 16u] = vec4<f32>(x[0].lo.y, x[1].lo.y, x[2].lo.y, x[3].lo.y);
    pool[at + 32u] = vec4<f32>(x[0].lo.z, x[1].lo.z, x[2].lo.z, x[3].lo.z);
    pool[at + 48u] = vec4<f32>(x[0].lo.w, x[1].lo.w, x[2].lo.w, x[3].lo.w);
    pool[at + 64u] = vec4<f32>(x[0].hi.x, x[1].hi.x, x[2].hi.x, x[3].hi.x);
    pool[at + 80u] = vec4<f32>(x[0].hi.y, x[1].hi.y, x[2].hi.y, x[3].hi.y);
    pool[at + 96u] = vec4<f32>(x[0].hi.z, x[1].hi.z, x[2].hi.z, x[3].hi.z);
    pool[at + 112u] = vec4<f32>(x[0].hi.w, x[1].hi.w, x[2].hi.w, x[3].hi.w);
}

// Values of positions first ... first + V_ROWS - 1, as [position][quad].
fn stage_values(b: Block, first: u32, t: u32) {
    if (t < V_ROWS * EIGHTS) {
        let position = min(first + t / EIGHTS, b.last);
        let eight = t % EIGHTS;
        let value = v_of(load_v(b.kv_head, eight, position), b.kv_head, eight, position);
        pool[HALF + t / EIGHTS * QUADS + 2u * eight] = value.lo;
        pool[HALF + t / EIGHTS * QUADS + 2u * eight + 1u] = value.hi;
    }
}

// Where weights of position j (of 32) for rows ty + 16 i lie: turned by j, so that neighbours' writes do not
// meet in one bank of the memory.
fn weights_at(j: u32, ty: u32) -> u32 {
    return j * 16u + (ty ^ (j & 15u));
}

// Scores of rows ty + 16 i, elements, and positions first + tx + 16 j.
fn scores_of(b: Block, first: u32, t: u32) -> array<vec4<f32>, 4> {
    var scores = array<vec4<f32>, 4>();
    for (var step = 0u; step < turns(STEPS); step++) {
        workgroupBarrier();
        if (t < 128u) {
            stage_queries(b, step, t);
        } else if (t < 192u) {
            stage_keys(b, first, step, t - 128u);
        }
        workgroupBarrier();
        for (var d = 0u; d < turns(32u); d++) {
            let rows = pool[d * 16u + t / 16u];
            let positions = pool[HALF + d * 16u + t % 16u];
            scores[0] += rows * positions.x;
            scores[1] += rows * positions.y;
            scores[2] += rows * positions.z;
            scores[3] += rows * positions.w;
        }
    }
    return scores;
}

// The highest of each row in all threads that share it.
fn row_highest(own: vec4<f32>, t: u32) -> vec4<f32> {
    workgroupBarrier();
    pool[t % 16u * 16u + t / 16u] = own;
    workgroupBarrier();
    var most = own;
    for (var k = 0u; k < turns(16u); k++) {
        most = max(most, pool[k * 16u + t / 16u]);
    }
    return most;
}

fn row_sum(own: vec4<f32>, t: u32) -> vec4<f32> {
    workgroupBarrier();
    pool[t % 16u * 16u + t / 16u] = own;
    workgroupBarrier();
    var sum = vec4<f32>();
    for (var k = 0u; k < turns(16u); k++) {
        sum += pool[k * 16u + t / 16u];
    }
    return sum;
}

// Adds the values of 32 positions, first on, times their weights, of which a thread brings w0 and w1 for
// positions tx and tx + 16.
fn add_values(b: Block, first: u32, w0: vec4<f32>, w1: vec4<f32>, t: u32,
              result: ptr<function, array<vec4<f32>, 4 * OWN>>) {
    let tx = t % 16u;
    let ty = t / 16u;
    workgroupBarrier();
    pool[weights_at(tx, ty)] = w0;
    pool[weights_at(tx + 16u, ty)] = w1;
    for (var r0 = 0u; r0 < turns(32u); r0 += V_ROWS) {
        if (r0 > 0u) {
            workgroupBarrier();
        }
        stage_values(b, first + r0, t);
        workgroupBarrier();
        for (var r = 0u; r < turns(V_ROWS); r++) {
            let weight = pool[weights_at(r0 + r, ty)];
            for (var n = 0u; n < OWN; n++) {
                let value = pool[min(HALF + r * QUADS + tx + 16u * n, 1023u)]; // beyond QUADS: not written out
                (*result)[4u * n] += weight.x * value;
                (*result)[4u * n + 1u] += weight.y * value;
                (*result)[4u * n + 2u] += weight.z * value;
                (*result)[4u * n + 3u] += weight.w * value;
            }
        }
    }
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    var b = Block(id.y, id.x * 64u, n_tokens() * GROUP, first_position(), 0u);
    if (b.first_row >= b.rows) {
        return;
    }
    b.last = position_of(b, 63u);
    let ty = t / 16u;
    let own_position = vec4<u32>(position_of(b, ty), position_of(b, ty + 16u), position_of(b, ty + 32u),
                                 position_of(b, ty + 48u));
    var top = vec4<f32>(LOWEST);
    var total = vec4<f32>();
    var result: array<vec4<f32>, 4 * OWN>; // [n][i]
    for (var first = first_seen(position_of(b, 0u)) / 16u * 16u; first <= b.last; first += 64u) {
        var scores = scores_of(b, first, t);
        var highest = top;
        for (var j = 0u; j < 4u; j++) {
            let position = vec4<u32>(first + t % 16u + 16u * j);
            let seen = (position <= own_position) & (own_position - position < vec4<u32>(WINDOW));
            scores[j] = select(vec4<f32>(LOWEST), scores[j] * SCALE, seen);
            highest = max(highest, scores[j]);
        }
        highest = row_highest(highest, t);
        let factor = exp2(top - highest);
        top = highest;
        total *= factor;
        for (var j = 0u; j < 4u; j++) {
            scores[j] = select(vec4<f32>(), exp2(scores[j] - top), scores[j] > vec4<f32>(LOWEST));
            total += scores[j];
        }
        for (var n = 0u; n < OWN; n++) {
            for (var i = 0u; i < 4u; i++) {
                result[4u * n + i] *= factor[i];
            }
        }
        for (var half = 0u; half < turns(2u); half++) {
            let later = half == 1u;
            if (first + 32u * half <= b.last) {
                add_values(b, first + 32u * half, select(scores[0], scores[2], later),
                           select(scores[1], scores[3], later), t, &result);
            }
        }
    }
    total = row_sum(total, t);
    for (var i = 0u; i < 4u; i++) {
        let row = ty + 16u * i;
        for (var n = 0u; n < OWN; n++) {
            let quad = t % 16u + 16u * n;
            if (b.first_row + row < b.rows && quad < QUADS) {
                out[row_at(b, row) + quad] = result[4u * n + i] / total[i];
            }
        }
    }
}
