// The first position that a token at position `last` sees.
// Constants: WINDOW: how many it sees, or 2^32 - 1 for all.
fn first_seen(last: u32) -> u32 {
    return select(0u, last + 1u - WINDOW, last >= WINDOW);
}
