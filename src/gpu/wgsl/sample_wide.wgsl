// Arithmetic on 64-bit numbers, (low, high) words.

fn add64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2(low, a.y + b.y + select(0u, 1u, low < a.x));
}

fn sub64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return vec2(a.x - b.x, a.y - b.y - select(0u, 1u, a.x < b.x));
}

fn less64(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.y < b.y || (a.y == b.y && a.x < b.x);
}

// Of two pairs the one with the greater first word, then second.
fn greater(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return select(a, b, b.x > a.x || (b.x == a.x && b.y > a.y));
}

fn min64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return select(a, b, less64(b, a)); }

// The product of two words, by halves.
fn mul_wide(a: u32, b: u32) -> vec2<u32> {
    let a0 = a & 0xffffu;
    let a1 = a >> 16u;
    let b0 = b & 0xffffu;
    let b1 = b >> 16u;
    let low = a0 * b0;
    let mid = a1 * b0 + (low >> 16u);
    let mid2 = a0 * b1 + (mid & 0xffffu);
    return vec2(a * b, a1 * b1 + (mid >> 16u) + (mid2 >> 16u));
}

// floor(total * share / 2^32)
fn share_of(total: vec2<u32>, share: u32) -> vec2<u32> {
    return add64(mul_wide(total.y, share), vec2(mul_wide(total.x, share).y, 0u));
}

// floor(total * u) with u = (word + 1/2) / 2^32, as (word * total + total / 2) / 2^32
fn drawn_of(total: vec2<u32>, word: u32) -> vec2<u32> {
    let half = vec2((total.x >> 1u) | (total.y << 31u), total.y >> 1u);
    let carry = add64(mul_wide(total.x, word), vec2(half.x, 0u)).y;
    return add64(mul_wide(total.y, word), add64(vec2(half.y, 0u), vec2(carry, 0u)));
}
