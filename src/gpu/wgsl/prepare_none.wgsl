fn prepare(first: u32) {}
