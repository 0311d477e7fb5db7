// Integer sums as floats.
const SUMS_FROM = 0i;

fn exact(sums: vec4<i32>) -> vec4<f32> {
    return vec4<f32>(sums);
}
