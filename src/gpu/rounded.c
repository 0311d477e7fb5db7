#include "gpu/rounded.h"

enum { BLOCK = 32 };

static uint64_t rounded_q_bytes(uint64_t width, uint64_t n_tokens)
{
    const uint64_t bytes = (width + BLOCK - 1) / BLOCK * BLOCK * n_tokens;
    return (bytes + GPU_ALIGN - 1) / GPU_ALIGN * GPU_ALIGN;
}

static uint64_t rounded_d_bytes(uint64_t width, uint64_t n_tokens)
{
    return (width + BLOCK - 1) / BLOCK * 2 * sizeof(float) * n_tokens;
}

uint64_t gpu_rounded_bytes(uint64_t width, uint64_t n_tokens)
{
    return rounded_q_bytes(width, n_tokens) + rounded_d_bytes(width, n_tokens);
}

gpu_rounded gpu_rounded_in(gpu_slice room, uint64_t width, uint64_t n_tokens)
{
    const uint64_t q = rounded_q_bytes(width, n_tokens);
    return (gpu_rounded){gpu_part(room, 0, q), gpu_part(room, q, rounded_d_bytes(width, n_tokens))};
}
