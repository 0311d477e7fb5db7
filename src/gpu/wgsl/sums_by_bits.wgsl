// Integer sums as floats, for GPUs that add faster than they convert: counting begins at the bits of
// 1.5 x 2^23, whose last place is worth 1, and stays near enough for that to hold (sums of 16 products of
// signed bytes are below 2^19).
const SUMS_FROM = 0x4B400000i;

fn exact(sums: vec4<i32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(sums) - 12582912.0;
}
