/* The fixed grids of the IQ formats: the points that their indices name. Data, not code: the
 * points were chosen by the formats' author and every file relies on them. */
#ifndef INGLE_QUANT_IQ_GRIDS_H
#define INGLE_QUANT_IQ_GRIDS_H

#include <stdint.h>

/* A point as a word, first value lowest. Eight values of 2 bits: levels 0 1 2 stand for 8 25 43 (IQ2) or
 * -1 0 1 (IQ1). Four values of 3 bits: level k stands for IQ3_XXS's 4 12 20 28 36 44 52 62 or IQ3_S's 2 k + 1.
 *
 * Stored are the point's first half in one row and the second, by which points are in order, in another. A half
 * of an octet is a number in base 3, whose word quant_grid_levels has. A download packs that better than words. */
#define QUANT_GRID_OCTET(grid, index) \
    ((uint16_t)(quant_grid_levels[(grid)[0][index]] | quant_grid_levels[(grid)[1][index]] << 8))
#define QUANT_GRID_QUAD(grid, index) ((uint16_t)((grid)[0][index] | (grid)[1][index] << 6))

extern const uint8_t quant_grid_levels[81];
extern const uint8_t quant_grid_iq2_xxs[2][256];
extern const uint8_t quant_grid_iq2_xs[2][512];
extern const uint8_t quant_grid_iq2_s[2][1024];
extern const uint8_t quant_grid_iq3_xxs[2][256];
extern const uint8_t quant_grid_iq3_s[2][512];
extern const uint8_t quant_grid_iq1[2][2048];

#endif
