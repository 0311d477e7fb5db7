/* float32 values on standard output, little-endian on every machine. */
#ifndef INGLE_CLI_FLOATS_H
#define INGLE_CLI_FLOATS_H

#include <stddef.h>

void floats_write(const float *values, size_t n);

#endif
