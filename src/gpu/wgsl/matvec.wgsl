// y[row] = sum over columns of W[row][column] x[column], for one token.
//
// T threads a workgroup; TPR of them share R rows, each taking every TPR-th block of 32 columns. U blocks
// of each row are asked for ahead of their use, the first ones before the prologue fetches x, so that
// memory is busy while x is made. Rows beyond the last are computed again and not written: every thread
// reaches the barriers.
//
// Parts: quant/<format>; act_int8 or act_float; prologue_<kind>; rows_subgroup or rows_shared;
//        epilogue_<kind>, with early_bias, prepare_none and finish_none for what it does not define.
// Constants: ROWS, NB, T, TPR, R, U, STEPS (of U blocks a thread).
// Grid: workgroups for all rows, in x, then y.

fn fetch(row: u32, b: u32) -> Block {
    return load_block(min(row, ROWS - 1u), min(b, NB - 1u));
}

@compute @workgroup_size(T)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) t: u32) {
    let part = t % TPR;
    let group = id.y * groups.x + id.x;
    let first = (group * (T / TPR) + t / TPR) * R;
    var ahead: array<array<Block, R>, U>;
@for u U
@for r R
    ahead[$u][$r] = fetch(first + $r, part + $u * TPR);
@end
@end
    prepare(first);
    var sums: array<f32, R>;
    var added: array<f32, R>; // asked for now: at the end it would be waited for
@for r R
    added[$r] = early(min(first + $r, ROWS - 1u));
@end
    let factor = prologue(t);
    for (var step = 0u; step < STEPS; step++) {
@for u U
        let b = part + (step * U + $u) * TPR;
        let x = activations(min(b, NB - 1u));
@for r R
        let block = ahead[$u][$r];
        if (step + 1u < STEPS) {
            ahead[$u][$r] = fetch(first + $r, b + U * TPR);
        }
        sums[$r] += select(0.0, dot_block(block, x), b < NB);
@end
@end
    }
    sums = add_up(sums, t);
    if (part == 0u && first < ROWS) {
@for r R
        sums[$r] = sums[$r] * factor + added[$r];
@end
        epilogue(first, sums);
    }
    finish(group, t);
}
