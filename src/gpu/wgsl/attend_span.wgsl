// Which positions a token sees, and how they are split among workgroups: from the first it sees, rounded
// down so that keys are read in whole lines, CHUNK to each.
// Constants: WINDOW: positions seen, or 2^32 - 1 for all; CHUNK.
fn first_seen(last: u32) -> u32 {
    return select(0u, last + 1u - WINDOW, last >= WINDOW);
}

fn split_start(last: u32, split: u32) -> u32 {
    return first_seen(last) / 16u * 16u + split * CHUNK;
}

// Splits that have something to do for a token at position `last`.
fn splits_at(last: u32) -> u32 {
    return (last - split_start(last, 0u)) / CHUNK + 1u;
}
