// Eights in half precision: 4 words, the even value low. No f16 arithmetic, so no feature is asked for.
fn eight_of_f16(x: vec4<u32>) -> Eight {
    return Eight(vec4<f32>(unpack2x16float(x.x), unpack2x16float(x.y)),
                 vec4<f32>(unpack2x16float(x.z), unpack2x16float(x.w)));
}

// Beyond what a half holds the result of pack2x16float is anything.
fn f16_of_eight(x: Eight) -> vec4<u32> {
    let most = vec4<f32>(65504.0);
    let lo = clamp(x.lo, -most, most);
    let hi = clamp(x.hi, -most, most);
    return vec4<u32>(pack2x16float(lo.xy), pack2x16float(lo.zw), pack2x16float(hi.xy), pack2x16float(hi.zw));
}
