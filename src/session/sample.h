/* Choosing the next token: what the samplers share with the session and with tests. */
#ifndef INGLE_SESSION_SAMPLE_H
#define INGLE_SESSION_SAMPLE_H

#include "ingle.h"

/* ingle_sampler_open without a model. opt NULL or all zero = ingle_sampling_init's. Everything a
 * pick needs is allocated here; accept and pick allocate nothing.
 * ERR_USAGE: n_vocab 0, or an option out of its range, named; ERR_MEMORY. */
ingle_status sampler_open(ingle_sampler **out, uint32_t n_vocab, const ingle_allocator *a,
                          const ingle_sampling *opt, ingle_error *err);

/* The settings in force, biases and all; borrowed from s. */
const ingle_sampling *sampler_options(const ingle_sampler *s);

/* What sampler_open with these arguments allocates, without allocating it. */
uint64_t sampler_bytes(uint32_t n_vocab, const ingle_sampling *opt);

/* The next draw is number n_draws: as after so many picks. */
void sampler_skip(ingle_sampler *s, uint64_t n_draws);

/* The random source: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy
 * as 1, 2, 3", 2011), which has no state but a counter, so that draw number n of a seed can be had
 * anywhere, in any order, on a GPU too; it needs 32-bit arithmetic only (the product of two words
 * by halves). One block of four words:
 *
 *     c = counter, k = key; ten times:
 *         (h0, l0) = 0xD2511F53 * c0;  (h1, l1) = 0xCD9E8D57 * c2
 *         c = (h1 ^ c1 ^ k0, l1, h0 ^ c3 ^ k1, l0)
 *         k = (k0 + 0x9E3779B9, k1 + 0xBB67AE85)
 *
 * A draw uses key = (low, high word of the seed), counter = (low, high word of the number, 0, 0)
 * and word 0 of the result: u = (word + 1/2) / 2^32, which is never 0 and never 1. */
void sample_philox(uint32_t counter[4], const uint32_t key[2]); // counter becomes the result
double sample_uniform(uint64_t seed, uint64_t number);

#endif
