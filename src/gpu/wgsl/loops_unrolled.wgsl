// Loops go round as often as the constants say, so the GPU's compiler may write them out.
fn turns(n: u32) -> u32 {
    return n;
}
