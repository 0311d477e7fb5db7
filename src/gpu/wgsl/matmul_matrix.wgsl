// y[token][row] = sum over columns of W[row][column] x[token][column] by subgroup matrices of 16 x 16 x 16: factors in f16,
// sums in f32.
//
// A workgroup of 8 subgroups makes 128 x 64 results, each subgroup 32 x 32 of them, from two blocks of 32 columns a step. What
// the next step needs is on its way from memory meanwhile. Sums go through workgroup memory, in two halves, to the threads that
// finish them. Activations count a sixteenth, since f16 ends at 65504; the result makes up for it. A subgroup's sums have a
// name each: drivers keep an array of them in memory. Blocks beyond the last count nothing.
//
// Parts: state; quant/<format>, weights and floats; matmul_<epilogue>.
// Constants: ROWS, NB, COLS (a multiple of 4); WORDS: 8, of x that a thread brings; DEPTH: 4, of 16 columns in a step.
// Grid: rows / 64, tokens / 128.
@group(0) @binding(auto) var<storage, read> x: array<vec4<f32>>; // [token][COLS / 4]

alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Sum = subgroup_matrix_result<f32, 16, 16>;

const PITCH = 72u; // halves from one row of 64 columns to the next: eight rows meet no bank twice
var<workgroup> x_at: array<f16, 128u * PITCH>; // [token][column]
var<workgroup> w_at: array<f16, 64u * PITCH>;  // [slot][column]
var<workgroup> y_at: array<f32, 64u * 64u>;    // [token][slot]

fn load_x(token: u32, word: u32) -> vec4<f32> {
    return x[min(token, n_tokens() - 1u) * (COLS / 4u) + min(word, COLS / 4u - 1u)];
}

fn load_w(row: u32, b: u32) -> Block {
    return load_block(min(row, ROWS - 1u), min(b, NB - 1u));
}

fn stage_w(at: u32, w: vec4<f32>) {
    let h = vec4<f16>(w);
    w_at[at] = h.x;
    w_at[at + 1u] = h.y;
    w_at[at + 2u] = h.z;
    w_at[at + 3u] = h.w;
}

fn finish(token: u32, first: u32, t: u32) {
    for (var i = t / 16u; i < 64u; i += 16u) {
        let at = i * 64u + t % 16u;
        put(token + i, first, t % 16u, 16.0 * vec4<f32>(y_at[at], y_at[at + 16u], y_at[at + 32u], y_at[at + 48u]),
            old(token + i, first, t % 16u));
    }
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let token_first = id.y * 128u;
    if (token_first >= n_tokens()) {
        return;
    }
    let own_word = t % 16u;
    let own_token = t / 16u;
    let own_slot = t / 4u;
    let own_block = t / 2u % 2u;
    let own_half = t % 2u; // 16 columns
    let row = id.x * 64u + row_of(own_slot);
    let token = t / 64u * 32u; // of the subgroup's
    let slot = t / 32u % 2u * 32u;
    var next_x: array<vec4<f32>, WORDS>;
@for i WORDS
    next_x[$i] = load_x(token_first + own_token + 16u * $i, own_word);
@end
    var next_w = load_w(row, own_block);
    var s00: Sum;
    var s01: Sum;
    var s10: Sum;
    var s11: Sum;
    for (var b = 0u; b < NB; b += 2u) {
@for i WORDS
        let at = (own_token + 16u * $i) * PITCH + own_word * 4u;
        let h = vec4<f16>(next_x[$i] * 0.0625);
        x_at[at] = h.x;
        x_at[at + 1u] = h.y;
        x_at[at + 2u] = h.z;
        x_at[at + 3u] = h.w;
@end
        let w = unpack_block(next_w);
        let bytes = select(w.lo, w.hi, own_half > 0u);
        let inside = b + own_block < NB;
        let d = select(0.0, select(w.d.x, w.d.y, own_half > 0u), inside);
        let m = select(0.0, select(w.m.x, w.m.y, own_half > 0u), inside);
        let at = own_slot * PITCH + own_block * 32u + own_half * 16u;
        stage_w(at, four_values(bytes.x, d, m));
        stage_w(at + 4u, four_values(bytes.y, d, m));
        stage_w(at + 8u, four_values(bytes.z, d, m));
        stage_w(at + 12u, four_values(bytes.w, d, m));
        workgroupBarrier();
@for i WORDS
        next_x[$i] = load_x(token_first + own_token + 16u * $i, b * 8u + 16u + own_word);
@end
        next_w = load_w(row, b + 2u + own_block);
@for k DEPTH
        let right0 = subgroupMatrixLoad<Right, col_major>(&w_at, slot * PITCH + $k * 16u, PITCH);
        let right1 = subgroupMatrixLoad<Right, col_major>(&w_at, (slot + 16u) * PITCH + $k * 16u, PITCH);
        let left0 = subgroupMatrixLoad<Left, row_major>(&x_at, token * PITCH + $k * 16u, PITCH);
        let left1 = subgroupMatrixLoad<Left, row_major>(&x_at, (token + 16u) * PITCH + $k * 16u, PITCH);
        s00 = subgroupMatrixMultiplyAccumulate(left0, right0, s00);
        s01 = subgroupMatrixMultiplyAccumulate(left0, right1, s01);
        s10 = subgroupMatrixMultiplyAccumulate(left1, right0, s10);
        s11 = subgroupMatrixMultiplyAccumulate(left1, right1, s11);
@end
        workgroupBarrier();
    }
    for (var half = 0u; half < 128u; half += 64u) {
        if (token / 64u == half / 64u) {
            let to = (token - half) * 64u + slot;
            subgroupMatrixStore<row_major>(&y_at, to, s00, 64u);
            subgroupMatrixStore<row_major>(&y_at, to + 16u, s01, 64u);
            subgroupMatrixStore<row_major>(&y_at, to + 1024u, s10, 64u);
            subgroupMatrixStore<row_major>(&y_at, to + 1040u, s11, 64u);
        }
        workgroupBarrier();
        finish(token_first + half, id.x * 64u, t);
        workgroupBarrier();
    }
}
