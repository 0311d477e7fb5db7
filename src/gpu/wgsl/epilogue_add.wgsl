// out[row] += y + bias.  Constants: ROWS, R, ROW_FIRST.
@group(0) @binding(auto) var<storage, read_write> out: array<f32>;

fn early(row: u32) -> f32 {
    return out[ROW_FIRST + row] + bias_of(ROW_FIRST + row);
}

fn epilogue(first: u32, y: array<f32, R>) {
@for r R
    if (first + $r < ROWS) {
        out[ROW_FIRST + first + $r] = y[$r];
    }
@end
}
