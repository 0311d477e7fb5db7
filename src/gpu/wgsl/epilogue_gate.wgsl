// Rows 2i and 2i + 1 are row i of the gate and of up: out[i] = act(gate) * up.  Parts gate_silu or gate_gelu, early_bias.
// Constants: ROWS, R = 2 PAIRS, ROW_FIRST (even).
@group(0) @binding(auto) var<storage, read_write> out: array<f32>;

fn epilogue(first: u32, y: array<f32, R>) {
@for p PAIRS
    if (first + 2u * $p < ROWS) {
        out[(ROW_FIRST + first) / 2u + $p] = gate(y[2u * $p]) * y[2u * $p + 1u];
    }
@end
}
