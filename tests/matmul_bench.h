/* Speed of prompts' products on a GPU. */
#ifndef INGLE_TESTS_MATMUL_BENCH_H
#define INGLE_TESTS_MATMUL_BENCH_H

/* Prints a table a model shape. args [n]: formats by name; none: Q4_0. Returns an exit status. */
int matmul_bench(int n, char **args);

#endif
