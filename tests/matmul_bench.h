/* Speed of prompts' products on a GPU. */
#ifndef INGLE_TESTS_MATMUL_BENCH_H
#define INGLE_TESTS_MATMUL_BENCH_H

/* Prints a table a model's shapes and kind of product: every tile, what op_matmul would take, and what a
 * prompt's products take in all. args [n]: formats by name; none: Q4_0. Stops after a minute. Returns an
 * exit status. */
int matmul_bench(int n, char **args);

#endif
