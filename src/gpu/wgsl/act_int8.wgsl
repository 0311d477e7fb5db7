// x in workgroup memory as int8 in blocks of 16 with one scale each.  Part round_int8.  Constants: NB, COLS.
var<workgroup> x_lo: array<vec4<u32>, NB>; // columns 0-15 of each block of 32
var<workgroup> x_hi: array<vec4<u32>, NB>;
var<workgroup> x_d: array<Scales, NB>;

struct Scales { lo: f32, hi: f32 } // no vector: two threads may write the halves

struct Activations { lo: vec4<u32>, hi: vec4<u32>, d: vec2<f32> }

// Columns 16 at ... 16 at + 15.
fn stage(at: u32, x: array<vec4<f32>, 4>) {
    let most = max(max(magnitude(x[0]), magnitude(x[1])), max(magnitude(x[2]), magnitude(x[3])));
    let q = rounded16(x, per_unit(most));
    if ((at & 1u) == 0u) {
        x_lo[at >> 1u] = q;
        x_d[at >> 1u].lo = bitcast<f32>(unit_of(most));
    } else {
        x_hi[at >> 1u] = q;
        x_d[at >> 1u].hi = bitcast<f32>(unit_of(most));
    }
}

fn activations(b: u32) -> Activations {
    return Activations(x_lo[b], x_hi[b], vec2<f32>(x_d[b].lo, x_d[b].hi));
}

fn dot16(a: vec4<u32>, b: vec4<u32>) -> i32 {
    return dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w);
}

fn dot_block(block: Block, x: Activations) -> f32 {
    let w = unpack_block(block);
    var sum = f32(dot16(w.lo, x.lo)) * (w.d.x * x.d.x) + f32(dot16(w.hi, x.hi)) * (w.d.y * x.d.y);
    if (HAS_MIN) {
        let ones = vec4<u32>(0x01010101u);
        sum -= f32(dot16(ones, x.lo)) * (w.m.x * x.d.x) + f32(dot16(ones, x.hi)) * (w.m.y * x.d.y);
    }
    return sum;
}
