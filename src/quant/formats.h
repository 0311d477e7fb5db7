/* The one list of tensor formats: name, id in GGUF files, values a block, bytes a block.
 *
 * A format FMT is implemented in one src/quant/<family>.c, which defines
 *     void dequantize_<fmt>(const void *blocks, float *out, size_t n);
 * (n a multiple of the block; lower-case name as in the list) and is then known everywhere.
 * Q(…) rows also have  void quantize_<fmt>(const float *in, void *blocks, size_t n). */
#ifndef INGLE_QUANT_FORMATS_H
#define INGLE_QUANT_FORMATS_H

/*  D(NAME, lower, id, values, bytes): can be read;  Q(...): can be read and written. */
#define QUANT_FORMATS(D, Q)          \
    Q(F32, f32, 0, 1, 4)             \
    Q(F16, f16, 1, 1, 2)             \
    Q(Q4_0, q4_0, 2, 32, 18)         \
    Q(Q4_1, q4_1, 3, 32, 20)         \
    D(Q5_0, q5_0, 6, 32, 22)         \
    D(Q5_1, q5_1, 7, 32, 24)         \
    Q(Q8_0, q8_0, 8, 32, 34)         \
    D(Q8_1, q8_1, 9, 32, 36)         \
    D(Q2_K, q2_k, 10, 256, 84)       \
    D(Q3_K, q3_k, 11, 256, 110)      \
    D(Q4_K, q4_k, 12, 256, 144)      \
    D(Q5_K, q5_k, 13, 256, 176)      \
    D(Q6_K, q6_k, 14, 256, 210)      \
    D(Q8_K, q8_k, 15, 256, 292)      \
    D(IQ2_XXS, iq2_xxs, 16, 256, 66) \
    D(IQ2_XS, iq2_xs, 17, 256, 74)   \
    D(IQ3_XXS, iq3_xxs, 18, 256, 98) \
    D(IQ1_S, iq1_s, 19, 256, 50)     \
    D(IQ4_NL, iq4_nl, 20, 32, 18)    \
    D(IQ3_S, iq3_s, 21, 256, 110)    \
    D(IQ2_S, iq2_s, 22, 256, 82)     \
    D(IQ4_XS, iq4_xs, 23, 256, 136)  \
    D(I8, i8, 24, 1, 1)              \
    D(I16, i16, 25, 1, 2)            \
    D(I32, i32, 26, 1, 4)            \
    D(I64, i64, 27, 1, 8)            \
    D(F64, f64, 28, 1, 8)            \
    D(IQ1_M, iq1_m, 29, 256, 56)     \
    Q(BF16, bf16, 30, 1, 2)          \
    D(TQ1_0, tq1_0, 34, 256, 54)     \
    D(TQ2_0, tq2_0, 35, 256, 66)     \
    D(MXFP4, mxfp4, 39, 32, 17)      \
    D(NVFP4, nvfp4, 40, 64, 36)      \
    D(Q1_0, q1_0, 41, 128, 18)       \
    D(Q2_0, q2_0, 42, 64, 18)

#endif
