// Random words by number: word 0 of Philox4x32-10 with the seed as key and the number as counter, and
// what a running sum of weights has to reach.

fn philox(number: u32) -> u32 {
    var c = vec4(number, 0u, 0u, 0u);
    var k = vec2(settings[AT_SEED], settings[AT_SEED + 1u]);
    for (var round = 0u; round < turns(10u); round++) {
        let p0 = mul_wide(0xd2511f53u, c.x);
        let p1 = mul_wide(0xcd9e8d57u, c.z);
        c = vec4(p1.y ^ c.y ^ k.x, p1.x, p0.y ^ c.w ^ k.y, p0.x);
        k += vec2(0x9e3779b9u, 0xbb67ae85u);
    }
    return c.x;
}

// Kinds of goals: so many tokens; top-p's share of the whole; beyond a share drawn at random. At least
// 1, because the first token is always kept.
const COUNT: u32 = 0u;
const SHARE: u32 = 1u;
const DRAW: u32 = 2u;

fn share_goal(total: vec2<u32>) -> vec2<u32> {
    let goal = share_of(total, settings[AT_TOP_P]);
    return select(goal, vec2(1u, 0u), all(goal == vec2(0u)));
}

fn draw_goal(total: vec2<u32>) -> vec2<u32> {
    return add64(drawn_of(total, philox(state[DRAWS])), vec2(1u, 0u));
}

fn goal_of(kind: u32, total: vec2<u32>) -> vec2<u32> {
    if (kind == COUNT) { return vec2(min(settings[AT_TOP_K], total.x), 0u); }
    if (kind == SHARE) { return share_goal(total); }
    return draw_goal(total);
}
