// y[token][row] = sum over columns of W[row][column] x[token][column], x in int8 as op_norm.h lays it out.
//
// A workgroup of 16 x 16 threads makes TOKENS x 64 results. It takes BLOCKS blocks of 32 columns a step:
// each thread brings at most one block of x and one of W, unpacked once, to workgroup memory. What the
// next step needs is on its way from memory meanwhile. Sums of 16 products are exact integers.
//
// Rows of W lie in workgroup memory by slots: thread (tx, ty) has slots tx + 16 j, j < 4, and tokens
// ty + 16 i; i and j are constants in its addresses, so checking them costs nothing. The epilogue says
// which row is in which slot. Tokens and rows beyond the last are computed from the last one's data and
// not written; blocks beyond the last get scales of 0.
//
// Parts: state; loops_<kind>; quant/<format>, weights; tokens_<TOKENS>; sums_<way>; matmul_<epilogue>.
// Constants: ROWS, NB; TOKENS, BLOCKS: at most 256 / TOKENS and 4.
// Grid: rows / 64, tokens / TOKENS.
@group(0) @binding(auto) var<storage, read> xq: array<vec4<u32>>; // [token][2 NB]: 16 columns each
@group(0) @binding(auto) var<storage, read> xd: array<vec2<f32>>; // [token][NB]: their scales

const GROUPS = 2u * BLOCKS; // of 16 columns
const SIXTEENS = TOKENS / 16u;
const MIN_GROUPS = select(1u, GROUPS, HAS_MIN);
var<workgroup> x_q: array<array<array<vec4<u32>, 16>, SIXTEENS>, GROUPS>; // [group][i][ty]: 16 signed bytes
var<workgroup> x_d: array<array<array<f32, 16>, SIXTEENS>, GROUPS>;
var<workgroup> x_sum: array<array<array<f32, 16>, SIXTEENS>, MIN_GROUPS>; // of the 16, with their scale
var<workgroup> w_q: array<array<array<vec4<u32>, 16>, 4>, GROUPS>;        // [group][j][tx]
var<workgroup> w_d: array<array<array<f32, 16>, 4>, GROUPS>;
var<workgroup> w_m: array<array<array<f32, 16>, 4>, MIN_GROUPS>;

struct Rounded { lo: vec4<u32>, hi: vec4<u32>, d: vec2<f32> }

fn load_x(token: u32, b: u32) -> Rounded {
    let at = min(token, n_tokens() - 1u) * NB + min(b, NB - 1u);
    return Rounded(xq[2u * at], xq[2u * at + 1u], xd[at]);
}

fn load_w(row: u32, b: u32) -> Block {
    return load_block(min(row, ROWS - 1u), min(b, NB - 1u));
}

fn dot16(a: vec4<u32>, b: vec4<u32>) -> i32 {
    return SUMS_FROM + dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w);
}

fn stage_x(group: u32, token: u32, x: Rounded) {
    let i = token / 16u;
    let ty = token % 16u;
    x_q[group][i][ty] = x.lo;
    x_q[group + 1u][i][ty] = x.hi;
    x_d[group][i][ty] = x.d.x;
    x_d[group + 1u][i][ty] = x.d.y;
    if (HAS_MIN) {
        let ones = vec4<u32>(0x01010101u);
        let sums = exact(vec4<i32>(dot16(ones, x.lo), dot16(ones, x.hi), 0, 0));
        x_sum[group][i][ty] = x.d.x * sums.x;
        x_sum[group + 1u][i][ty] = x.d.y * sums.y;
    }
}

fn stage_w(group: u32, slot: u32, block: Block, b: u32) {
    let w = unpack_block(block);
    let inside = NB % BLOCKS == 0u || b < NB;
    let d = select(vec2<f32>(), w.d, inside);
    let j = slot / 16u;
    let tx = slot % 16u;
    w_q[group][j][tx] = w.lo;
    w_q[group + 1u][j][tx] = w.hi;
    w_d[group][j][tx] = d.x;
    w_d[group + 1u][j][tx] = d.y;
    if (HAS_MIN) {
        let m = select(vec2<f32>(), w.m, inside);
        w_m[group][j][tx] = m.x;
        w_m[group + 1u][j][tx] = m.y;
    }
}

// A group of a thread's four rows.
struct Rows { q0: vec4<u32>, q1: vec4<u32>, q2: vec4<u32>, q3: vec4<u32>, d: vec4<f32>, m: vec4<f32> }

fn rows_at(g: u32, tx: u32) -> Rows {
    let d = vec4<f32>(w_d[g][0][tx], w_d[g][1][tx], w_d[g][2][tx], w_d[g][3][tx]);
    var m = vec4<f32>();
    if (HAS_MIN) {
        m = vec4<f32>(w_m[g][0][tx], w_m[g][1][tx], w_m[g][2][tx], w_m[g][3][tx]);
    }
    return Rows(w_q[g][0][tx], w_q[g][1][tx], w_q[g][2][tx], w_q[g][3][tx], d, m);
}

fn add_products(sum: vec4<f32>, w: Rows, g: u32, i: u32, ty: u32) -> vec4<f32> {
    let x = x_q[g][i][ty];
    let dots = vec4<i32>(dot16(x, w.q0), dot16(x, w.q1), dot16(x, w.q2), dot16(x, w.q3));
    let y = sum + (x_d[g][i][ty] * w.d) * exact(dots);
    if (HAS_MIN) {
        return y - x_sum[g][i][ty] * w.m;
    }
    return y;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let token_first = id.y * TOKENS;
    if (token_first >= n_tokens()) {
        return;
    }
    let own_block = t % BLOCKS;
    let own = t / BLOCKS; // token or slot that this thread brings a block of
    let token = token_first + own;
    let row = id.x * 64u + row_of(own % 64u);
    var x = load_x(token, own_block);
    var w = load_w(row, own_block);
    var sums: Sums;
    for (var b = 0u; b < turns(NB); b += BLOCKS) {
        if (own < TOKENS) {
            stage_x(own_block * 2u, own, x);
        }
        if (own < 64u) {
            stage_w(own_block * 2u, own, w, b + own_block);
        }
        workgroupBarrier();
        if (own < TOKENS) {
            x = load_x(token, b + BLOCKS + own_block);
        }
        if (own < 64u) {
            w = load_w(row, b + BLOCKS + own_block);
        }
        for (var g = 0u; g < turns(GROUPS); g++) {
            sums = add_all(sums, rows_at(g, t % 16u), g, t / 16u);
        }
        workgroupBarrier();
    }
    put_all(sums, token_first + t / 16u, id.x * 64u, t % 16u);
}
