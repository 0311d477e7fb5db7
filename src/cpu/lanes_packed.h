/* How packed weights (pack.h) are read, LANES rows at a time: bytes, scales and minimums of any kind.
 * Written in an ISA's primitives (listed in lanes.h), shared by the kernels that multiply them. */
#ifndef INGLE_CPU_LANES_PACKED_H
#define INGLE_CPU_LANES_PACKED_H

enum { BLOCK = 32 };

/* Everything that depends on the kind; kind is a constant wherever this is inlined. */
LANES_INLINE bool has_min(pack_kind kind)
{
    return kind == PACK_Q4_1 || kind == PACK_Q5_1 || kind == PACK_Q4_K || kind == PACK_Q5_K;
}

LANES_INLINE bool has_fifths(pack_kind kind)
{
    return kind == PACK_Q5_0 || kind == PACK_Q5_1 || kind == PACK_Q5_K;
}

LANES_INLINE bool is_byte(pack_kind kind)
{
    return kind == PACK_Q8_0 || kind == PACK_IQ4_NL;
}

LANES_INLINE bool is_super(pack_kind kind)
{
    return kind == PACK_Q4_K || kind == PACK_Q5_K || kind == PACK_Q6_K;
}

LANES_INLINE int32_t zero_of(pack_kind kind)
{
    return kind == PACK_Q4_0   ? 8
           : kind == PACK_Q5_0 ? 16
           : kind == PACK_Q6_K ? 32
           : is_byte(kind)     ? BYTE_ZERO
                               : 0;
}

/* Bytes before the lines of a unit, and bytes of a block's lines. */
LANES_INLINE size_t head_of(pack_kind kind)
{
    return is_super(kind) ? 320 : has_min(kind) ? 128 : 64;
}

LANES_INLINE size_t block_of(pack_kind kind)
{
    return kind == PACK_Q8_0 ? 512 : has_fifths(kind) ? 320 : kind == PACK_Q6_K ? 384 : 256;
}

LANES_INLINE vi low(vi v)
{
    return vi_and(v, vi_bytes(15));
}

LANES_INLINE vi high(vi v)
{
    return vi_and(vi_right(v, 4), vi_bytes(15));
}

/* Weights of columns 4j ... 4j + 3 (half 0) or 16 + 4j ... (half 1) of the block at p, LANES rows. */
LANES_INLINE vi weights(pack_kind kind, const uint8_t *p, int j, int half)
{
    if (kind == PACK_Q8_0)
        return vi_byte(vi_load(p + 64 * (4 * half + j)));
    const vi v = vi_load(p + 64 * j), nibble = half ? high(v) : low(v);
    if (kind == PACK_IQ4_NL)
        return vi_iq4(nibble);
    if (has_fifths(kind)) {
        const vi fifth = vi_load(p + 256);
        const vi bit = half ? vi_right(fifth, j) : vi_left(vi_right(fifth, j), 4);
        return vi_or(nibble, vi_and(bit, vi_bytes(16)));
    }
    if (kind == PACK_Q6_K) {
        const vi bits = vi_load(p + 256 + 64 * half);
        return vi_or(nibble, vi_and(vi_left(vi_right(bits, 2 * j), 4), vi_bytes(48)));
    }
    return nibble;
}

/* Scales and minimums of a part of the unit w, rows of register `sub`. */
LANES_INLINE vf part_scale(pack_kind kind, const uint8_t *w, size_t part, size_t sub)
{
    const size_t at = LANES * sub;
    if (!is_super(kind))
        return vf_f16(w + 32 * part + 2 * at);
    const vf d = vf_f16(w + 2 * at);
    return vf_mul(d, kind == PACK_Q6_K ? vf_i8(w + 64 + 16 * part + at) : vf_u8(w + 64 + 16 * part + at));
}

LANES_INLINE vf part_min(pack_kind kind, const uint8_t *w, size_t part, size_t sub)
{
    const size_t at = LANES * sub;
    if (!has_min(kind))
        return vf_zero();
    if (!is_super(kind))
        return vf_f16(w + 64 + 32 * part + 2 * at);
    return vf_mul(vf_mul(vf_f16(w + 32 + 2 * at), vf_set1(-1)), vf_u8(w + 192 + 16 * part + at));
}

#endif
