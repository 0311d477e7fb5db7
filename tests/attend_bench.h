/* Microseconds of the GPU's attention at models' sizes, shape by shape: run by hand, on the device in question. */
#ifndef INGLE_ATTEND_BENCH_H
#define INGLE_ATTEND_BENCH_H

int attend_bench(void); // prints a table; 0, or 1 where there is no device

#endif
