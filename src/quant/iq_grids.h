/* The fixed grids of the IQ formats: the points that their indices name. Data, not code: the
 * points were chosen by the formats' author and every file relies on them. */
#ifndef INGLE_QUANT_IQ_GRIDS_H
#define INGLE_QUANT_IQ_GRIDS_H

#include <stdint.h>

/* A point is a word of 16 bits, first value lowest. Eight values of 2 bits: levels 0 1 2 stand for
 * 8 25 43 (IQ2) or -1 0 1 (IQ1). Four values of 3 bits: level k stands for IQ3_XXS's
 * 4 12 20 28 36 44 52 62 or IQ3_S's 2 k + 1. The low bytes are in the first row and the high ones in
 * the second, where they are in order: a download packs that better than whole words. */
#define QUANT_GRID_POINT(grid, index) ((uint16_t)((grid)[0][index] | (grid)[1][index] << 8))

extern const uint8_t quant_grid_iq2_xxs[2][256];
extern const uint8_t quant_grid_iq2_xs[2][512];
extern const uint8_t quant_grid_iq2_s[2][1024];
extern const uint8_t quant_grid_iq3_xxs[2][256];
extern const uint8_t quant_grid_iq3_s[2][512];
extern const uint8_t quant_grid_iq1[2][2048];

#endif
