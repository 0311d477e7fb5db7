// How the positions that a token sees are split among workgroups: from the first of them on, rounded down so
// that keys are read in whole lines, CHUNK to each.  Parts: attend_window.  Constants: CHUNK.
fn split_start(last: u32, split: u32) -> u32 {
    return first_seen(last) / 16u * 16u + split * CHUNK;
}

// Splits that have something to do for a token at position `last`.
fn splits_at(last: u32) -> u32 {
    return (last - split_start(last, 0u)) / CHUNK + 1u;
}
