#include "matmul_bench.h"
int matmul_bench(int n, char **args) { (void)n; (void)args; return 0; }
