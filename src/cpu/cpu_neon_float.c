/* NEON: the ops between the products (lanes_float.h), and activations to int8. */
#include "cpu/lanes_neon.h"

#if CPU_NEON
#include "cpu/lanes_float.h"

/* As quant_activations, to the bit: the division is exact, the conversion rounds ties to even.
 * Magnitudes compare as integers, with infinity and NaN on top. */
static LANES_TARGET void quantise(const float *x, size_t n, int8_t *q, float *d, int32_t *sums)
{
    for (size_t b = 0; b < n / 16; b++, x += 16, q += 16) {
        vf v[4];
        uint32x4_t most = vdupq_n_u32(0);
        for (size_t i = 0; i < 4; i++) {
            v[i] = vf_load(x + LANES * i);
            most = vmaxq_u32(most, vreinterpretq_u32_f32(vabsq_f32(v[i])));
        }
        const float peak = vgetq_lane_f32(vreinterpretq_f32_u32(vdupq_n_u32(vmaxvq_u32(most))), 0);
        const float scale = peak / 127;
        if (!(peak <= 3.4028235e38f) || scale < 1.17549435e-38f) { // rare: the plain way
            quant_activations(x, 16, q, d + b, sums + b);
            continue;
        }
        int32x4_t i[4];
        for (size_t j = 0; j < 4; j++)
            i[j] = vcvtnq_s32_f32(vdivq_f32(v[j], vf_set1(scale)));
        const int16x8_t low = vcombine_s16(vmovn_s32(i[0]), vmovn_s32(i[1]));
        const int16x8_t high = vcombine_s16(vmovn_s32(i[2]), vmovn_s32(i[3]));
        vst1q_s8(q, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
        d[b] = scale;
        sums[b] = vaddvq_s32(vaddq_s32(vaddq_s32(i[0], i[1]), vaddq_s32(i[2], i[3])));
    }
}

void cpu_fill_neon_float(cpu_kernels *k)
{
    fill_float(k);
    k->quantise = quantise;
}

#endif
