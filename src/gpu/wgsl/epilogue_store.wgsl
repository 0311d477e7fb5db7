// out[OUT_FIRST + row] = y + bias.  Part early_bias.  Constants: ROWS, R, OUT_FIRST, ROW_FIRST: row of the whole matrix
// that this part begins with.
@group(0) @binding(auto) var<storage, read_write> out: array<f32>;

fn epilogue(first: u32, y: array<f32, R>) {
@for r R
    if (first + $r < ROWS) {
        out[OUT_FIRST + ROW_FIRST + first + $r] = y[$r];
    }
@end
}
