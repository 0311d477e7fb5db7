// x is what attention's splits make together.  Part attend_merge.  Constants: COLS (a multiple of 32), NB, T.
var<workgroup> merged_x: array<vec4<f32>, COLS / 4u>;

fn prologue(t: u32) -> f32 {
    for (var i = t; i < COLS / 4u; i += T) {
        merged_x[i] = merged(i);
    }
    workgroupBarrier();
    for (var at = t; at < NB * 2u; at += T) {
        stage(at, array<vec4<f32>, 4>(merged_x[4u * at], merged_x[4u * at + 1u], merged_x[4u * at + 2u],
                                      merged_x[4u * at + 3u]));
    }
    workgroupBarrier();
    return 1.0;
}
