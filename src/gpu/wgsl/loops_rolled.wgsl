// Loops stay loops: how often they go round is not known before the kernel runs. For adapters that compute on
// the CPU, whose compilers take seconds over what others write out at once.  Part state.
fn turns(n: u32) -> u32 {
    return select(0u, n, arrayLength(&state) > 0u);
}
