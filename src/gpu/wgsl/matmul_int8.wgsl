// y[token][row] = sum over columns of W[row][column] x[token][column], x in int8 as op_norm.h lays it out.
//
// A workgroup of 16 x 16 threads makes TOKENS x 64 results. It takes BLOCKS blocks of 32 columns a step:
// each thread brings at most one block of x and one of W, unpacked once, to workgroup memory. What the
// next step needs is on its way from memory meanwhile. Sums of 16 products are exact integers.
//
// Rows of W lie in workgroup memory by slots: thread (tx, ty) has slots tx + 16 j, j < 4, and tokens
// ty + 16 i. The epilogue says which row is in which slot. Tokens and rows beyond the last are computed
// from the last one's data and not written; blocks beyond the last get scales of 0.
//
// Parts: state; quant/<format>, weights; tokens_<TOKENS>; matmul_<epilogue>.
// Constants: ROWS, NB; TOKENS, BLOCKS: at most 256 / TOKENS and 4.
// Grid: rows / 64, tokens / TOKENS.
@group(0) @binding(auto) var<storage, read> xq: array<vec4<u32>>; // [token][2 NB]: 16 columns each
@group(0) @binding(auto) var<storage, read> xd: array<vec2<f32>>; // [token][NB]: their scales

const MIN_X = select(1u, BLOCKS * TOKENS, HAS_MIN);
const MIN_W = select(1u, BLOCKS * 64u, HAS_MIN);
var<workgroup> x_lo: array<vec4<u32>, BLOCKS * TOKENS>; // [block][token]: columns 0 - 15
var<workgroup> x_hi: array<vec4<u32>, BLOCKS * TOKENS>; // columns 16 - 31
var<workgroup> x_d: array<vec2<f32>, BLOCKS * TOKENS>;
var<workgroup> x_sum: array<vec2<f32>, MIN_X>;          // of 16 columns, with their scale
var<workgroup> w_lo: array<vec4<u32>, BLOCKS * 64>;     // [block][slot]
var<workgroup> w_hi: array<vec4<u32>, BLOCKS * 64>;
var<workgroup> w_d: array<vec2<f32>, BLOCKS * 64>;
var<workgroup> w_m: array<vec2<f32>, MIN_W>;

struct Rounded { lo: vec4<u32>, hi: vec4<u32>, d: vec2<f32> }

fn load_x(token: u32, b: u32) -> Rounded {
    let at = min(token, n_tokens() - 1u) * NB + min(b, NB - 1u);
    return Rounded(xq[2u * at], xq[2u * at + 1u], xd[at]);
}

fn load_w(row: u32, b: u32) -> Block {
    return load_block(min(row, ROWS - 1u), min(b, NB - 1u));
}

fn dot16(a: vec4<u32>, b: vec4<u32>) -> i32 {
    return dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w);
}

fn stage_x(at: u32, x: Rounded) {
    x_lo[at] = x.lo;
    x_hi[at] = x.hi;
    x_d[at] = x.d;
    if (HAS_MIN) {
        let ones = vec4<u32>(0x01010101u);
        x_sum[at] = x.d * vec2<f32>(vec2<i32>(dot16(ones, x.lo), dot16(ones, x.hi)));
    }
}

fn stage_w(at: u32, block: Block, b: u32) {
    let w = unpack_block(block);
    let inside = NB % BLOCKS == 0u || b < NB;
    w_lo[at] = w.lo;
    w_hi[at] = w.hi;
    w_d[at] = select(vec2<f32>(), w.d, inside);
    if (HAS_MIN) {
        w_m[at] = select(vec2<f32>(), w.m, inside);
    }
}

// A block of a thread's four rows.
struct Rows {
    lo0: vec4<u32>, lo1: vec4<u32>, lo2: vec4<u32>, lo3: vec4<u32>,
    hi0: vec4<u32>, hi1: vec4<u32>, hi2: vec4<u32>, hi3: vec4<u32>,
    d_lo: vec4<f32>, d_hi: vec4<f32>, m_lo: vec4<f32>, m_hi: vec4<f32>,
}

fn rows_at(at: u32) -> Rows {
    let d0 = w_d[at];
    let d1 = w_d[at + 16u];
    let d2 = w_d[at + 32u];
    let d3 = w_d[at + 48u];
    var r = Rows(w_lo[at], w_lo[at + 16u], w_lo[at + 32u], w_lo[at + 48u],
                 w_hi[at], w_hi[at + 16u], w_hi[at + 32u], w_hi[at + 48u],
                 vec4<f32>(d0.x, d1.x, d2.x, d3.x), vec4<f32>(d0.y, d1.y, d2.y, d3.y), vec4<f32>(), vec4<f32>());
    if (HAS_MIN) {
        let m0 = w_m[at];
        let m1 = w_m[at + 16u];
        let m2 = w_m[at + 32u];
        let m3 = w_m[at + 48u];
        r.m_lo = vec4<f32>(m0.x, m1.x, m2.x, m3.x);
        r.m_hi = vec4<f32>(m0.y, m1.y, m2.y, m3.y);
    }
    return r;
}

fn add_products(sum: vec4<f32>, w: Rows, at: u32) -> vec4<f32> {
    let lo = x_lo[at];
    let hi = x_hi[at];
    let d = x_d[at];
    let dot_lo = vec4<i32>(dot16(lo, w.lo0), dot16(lo, w.lo1), dot16(lo, w.lo2), dot16(lo, w.lo3));
    let dot_hi = vec4<i32>(dot16(hi, w.hi0), dot16(hi, w.hi1), dot16(hi, w.hi2), dot16(hi, w.hi3));
    var y = sum + (d.x * w.d_lo) * vec4<f32>(dot_lo) + (d.y * w.d_hi) * vec4<f32>(dot_hi);
    if (HAS_MIN) {
        let s = x_sum[at];
        y -= s.x * w.m_lo + s.y * w.m_hi;
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
    let x_at = own_block * TOKENS + own;
    let w_at = own_block * 64u + own;
    let token = token_first + own;
    let row = id.x * 64u + row_of(own % 64u);
    var x = load_x(token, own_block);
    var w = load_w(row, own_block);
    var sums: Sums;
    for (var b = 0u; b < NB; b += BLOCKS) {
        if (own < TOKENS) {
            stage_x(x_at, x);
        }
        if (own < 64u) {
            stage_w(w_at, w, b + own_block);
        }
        workgroupBarrier();
        if (own < TOKENS) {
            x = load_x(token, b + BLOCKS + own_block);
        }
        if (own < 64u) {
            w = load_w(row, b + BLOCKS + own_block);
        }
        for (var k = 0u; k < BLOCKS; k++) {
            sums = add_all(sums, rows_at(k * 64u + t % 16u), k * TOKENS + t / 16u);
        }
        workgroupBarrier();
    }
    put_all(sums, token_first + t / 16u, id.x * 64u, t % 16u);
}
