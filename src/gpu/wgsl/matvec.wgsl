// y[row] = sum over columns of W[row][column] x[column], for one token.
//
// T threads a workgroup; TPR of them share R rows, each taking every TPR-th block of 32 columns. U blocks
// of each row are asked for ahead of their use, the first ones before the prologue fetches x, so that
// memory is busy while x is made. Rows beyond the last are computed again and not written: every thread
// reaches the barriers.
//
// Parts: quant/<format>; act_int8 or act_float; prologue_<kind>; rows_subgroup or rows_shared;
//        epilogue_<kind>, with finish_none unless it has a finish.  Constants: ROWS, NB, T, TPR, R, U, STEPS (of U blocks a thread).
// Grid: workgroups for all rows, in x, then y.

fn fetch(first: u32, b: u32) -> array<Block, R> {
    var blocks: array<Block, R>;
    let clamped = min(b, NB - 1u);
    for (var r = 0u; r < R; r++) {
        blocks[r] = load_block(min(first + r, ROWS - 1u), clamped);
    }
    return blocks;
}

@compute @workgroup_size(T)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) t: u32) {
    let part = t % TPR;
    let group = id.y * groups.x + id.x;
    let first = (group * (T / TPR) + t / TPR) * R;
    var ahead: array<array<Block, R>, U>;
    for (var u = 0u; u < U; u++) {
        ahead[u] = fetch(first, part + u * TPR);
    }
    let factor = prologue(t);
    var sums: array<f32, R>;
    for (var step = 0u; step < STEPS; step++) {
        for (var u = 0u; u < U; u++) {
            let b = part + (step * U + u) * TPR;
            let blocks = ahead[u];
            if (step + 1u < STEPS) {
                ahead[u] = fetch(first, b + U * TPR);
            }
            let x = activations(min(b, NB - 1u));
            for (var r = 0u; r < R; r++) {
                sums[r] += select(0.0, dot_block(blocks[r], x), b < NB);
            }
        }
    }
    sums = add_up(sums, t);
    if (part == 0u && first < ROWS) {
        for (var r = 0u; r < R; r++) {
            sums[r] *= factor;
        }
        epilogue(first, sums);
    }
    finish(group, t);
}
