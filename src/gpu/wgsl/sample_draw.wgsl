// Random words by number: word 0 of Philox4x32-10 with the seed as key and the number as counter.
fn philox(number: u32) -> u32 {
    var c = vec4(number, 0u, 0u, 0u);
    var k = vec2(settings[AT_SEED], settings[AT_SEED_HIGH]);
    for (var round = 0u; round < turns(10u); round++) {
        let p0 = mul_wide(0xd2511f53u, c.x);
        let p1 = mul_wide(0xcd9e8d57u, c.z);
        c = vec4(p1.y ^ c.y ^ k.x, p1.x, p0.y ^ c.w ^ k.y, p0.x);
        k += vec2(0x9e3779b9u, 0xbb67ae85u);
    }
    return c.x;
}
