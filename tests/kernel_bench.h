/* Speed of every kernel of a product, beside what this machine can read and multiply. */
#ifndef INGLE_TESTS_KERNEL_BENCH_H
#define INGLE_TESTS_KERNEL_BENCH_H

/* Prints a table for each path that this machine has; one thread. name: only formats whose name it
 * is part of; NULL = all. Returns an exit status. */
int kernel_bench(const char *name);

#endif
