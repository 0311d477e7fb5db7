// What is added to a row's sum.  Constants: ROW_FIRST.
fn early(row: u32) -> f32 {
    return bias_of(ROW_FIRST + row);
}
