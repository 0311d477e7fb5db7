// What a thread of a product has of 128 tokens: tokens ty + 16 i, four rows each. Written out, since not every
// compiler keeps an array that a loop indexes in registers.
struct Sums {
    y0: vec4<f32>, y1: vec4<f32>,
    y2: vec4<f32>, y3: vec4<f32>,
    y4: vec4<f32>, y5: vec4<f32>,
    y6: vec4<f32>, y7: vec4<f32>,
}

fn add_all(s: Sums, w: Rows, part: u32, ty: u32) -> Sums {
    return Sums(
        add_products(s.y0, w, part, 0u, ty), add_products(s.y1, w, part, 1u, ty),
        add_products(s.y2, w, part, 2u, ty), add_products(s.y3, w, part, 3u, ty),
        add_products(s.y4, w, part, 4u, ty), add_products(s.y5, w, part, 5u, ty),
        add_products(s.y6, w, part, 6u, ty), add_products(s.y7, w, part, 7u, ty));
}

// All of what was there is asked for before anything is written.
fn put_all(s: Sums, token: u32, first: u32, tx: u32) {
    let old0 = old(token, first, tx);
    let old1 = old(token + 16u, first, tx);
    let old2 = old(token + 32u, first, tx);
    let old3 = old(token + 48u, first, tx);
    let old4 = old(token + 64u, first, tx);
    let old5 = old(token + 80u, first, tx);
    let old6 = old(token + 96u, first, tx);
    let old7 = old(token + 112u, first, tx);
    put(token, first, tx, s.y0, old0);
    put(token + 16u, first, tx, s.y1, old1);
    put(token + 32u, first, tx, s.y2, old2);
    put(token + 48u, first, tx, s.y3, old3);
    put(token + 64u, first, tx, s.y4, old4);
    put(token + 80u, first, tx, s.y5, old5);
    put(token + 96u, first, tx, s.y6, old6);
    put(token + 112u, first, tx, s.y7, old7);
}
