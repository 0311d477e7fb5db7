// Rows 2i and 2i + 1 are row i of the gate and of up: out[i] = act(gate) * up.  Part gate_silu or
// gate_gelu.  Constants: ROWS, R (even), ROW_FIRST (even).
@group(0) @binding(auto) var<storage, read_write> out: array<f32>;

fn epilogue(first: u32, y: array<f32, R>) {
    for (var r = 0u; r < R; r += 2u) {
        if (first + r < ROWS) {
            let row = ROW_FIRST + first + r;
            out[row / 2u] = gate(y[r] + bias_of(row)) * (y[r + 1u] + bias_of(row + 1u));
        }
    }
}
