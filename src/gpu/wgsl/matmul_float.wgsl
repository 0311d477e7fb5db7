// y[token][row] = sum over columns of W[row][column] x[token][column] in f32.
//
// As matmul_int8, with one block of 32 columns a step: a workgroup of 16 x 16 threads makes TOKENS x 64
// results, thread (tx, ty) those of slots tx + 16 j, j < 4, and tokens ty + 16 i. In workgroup memory a
// word is four columns of a token or row. Words of x are turned by their number, so that threads that
// bring one token's words side by side meet no bank twice.
//
// Parts: state; loops_<kind>; quant/<format>, weights and floats; tokens_<TOKENS>; matmul_<epilogue>.
// Constants: ROWS, NB, COLS (a multiple of 4), TOKENS.
// Grid: rows / 64, tokens / TOKENS.
@group(0) @binding(auto) var<storage, read> x: array<vec4<f32>>; // [token][COLS / 4]

const SIXTEENS = TOKENS / 16u;
const OWN = TOKENS / 32u; // words of x that a thread brings, those of tokens 32 apart
var<workgroup> x_at: array<array<array<vec4<f32>, 16>, SIXTEENS>, 8>; // [word][i][ty ^ word]
var<workgroup> w_at: array<array<array<vec4<f32>, 16>, 4>, 8>;        // [word][j][tx]

fn load_x(token: u32, word: u32) -> vec4<f32> {
    let at = min(token, n_tokens() - 1u) * (COLS / 4u) + min(word, COLS / 4u - 1u);
    return select(vec4<f32>(), x[at], word < COLS / 4u);
}

fn load_w(row: u32, b: u32) -> Block {
    return load_block(min(row, ROWS - 1u), min(b, NB - 1u));
}

// A word of a thread's four rows: columns 0 - 3 of them all.
struct Rows { c0: vec4<f32>, c1: vec4<f32>, c2: vec4<f32>, c3: vec4<f32> }

fn rows_at(word: u32, tx: u32) -> Rows {
    let a = w_at[word][0][tx];
    let b = w_at[word][1][tx];
    let c = w_at[word][2][tx];
    let d = w_at[word][3][tx];
    return Rows(vec4<f32>(a.x, b.x, c.x, d.x), vec4<f32>(a.y, b.y, c.y, d.y), vec4<f32>(a.z, b.z, c.z, d.z),
                vec4<f32>(a.w, b.w, c.w, d.w));
}

fn add_products(sum: vec4<f32>, w: Rows, word: u32, i: u32, turned: u32) -> vec4<f32> {
    let v = x_at[word][i][turned];
    return sum + v.x * w.c0 + v.y * w.c1 + v.z * w.c2 + v.w * w.c3;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let token_first = id.y * TOKENS;
    if (token_first >= n_tokens()) {
        return;
    }
    let own_word = t % 8u;
    let own_token = t / 8u;
    let row = id.x * 64u + row_of(t % 64u);
    var next_x: array<vec4<f32>, OWN>;
    for (var i = 0u; i < OWN; i++) {
        next_x[i] = load_x(token_first + own_token + 32u * i, own_word);
    }
    var next_w = load_w(row, 0u);
    var sums: Sums;
    for (var b = 0u; b < turns(NB); b++) {
        for (var i = 0u; i < OWN; i++) {
            x_at[own_word][own_token / 16u + 2u * i][(own_token % 16u) ^ own_word] = next_x[i];
        }
        if (t < 64u) {
            let w = floats_of(next_w);
            for (var i = 0u; i < 8u; i++) {
                w_at[i][t / 16u][t % 16u] = w[i];
            }
        }
        workgroupBarrier();
        for (var i = 0u; i < OWN; i++) {
            next_x[i] = load_x(token_first + own_token + 32u * i, (b + 1u) * 8u + own_word);
        }
        if (t < 64u) {
            next_w = load_w(row, b + 1u);
        }
        for (var word = 0u; word < turns(8u); word++) {
            sums = add_all(sums, rows_at(word, t % 16u), word, (t / 16u) ^ word);
        }
        workgroupBarrier();
    }
    put_all(sums, token_first + t / 16u, id.x * 64u, t % 16u);
}
