/* Unicode 15.0.0: what the tokenizers ask about a character (unicode.c), lower case and canonical
 * normalisation (normalise.c). Tables are generated (tools/gen_unicode.py). */
#ifndef INGLE_TOKEN_UNICODE_H
#define INGLE_TOKEN_UNICODE_H

#include "base/mem.h"
#include "base/text.h"

typedef enum {
    CAT_CN, CAT_LU, CAT_LL, CAT_LT, CAT_LM, CAT_LO, CAT_MN, CAT_MC, CAT_ME, CAT_ND,
    CAT_NL, CAT_NO, CAT_PC, CAT_PD, CAT_PS, CAT_PE, CAT_PI, CAT_PF, CAT_PO, CAT_SM,
    CAT_SC, CAT_SK, CAT_SO, CAT_ZS, CAT_ZL, CAT_ZP, CAT_CC, CAT_CF, CAT_CS, CAT_CO
} unicode_category_id;

/* Of any uint32_t; beyond U+10FFFF and unassigned: CAT_CN. */
unicode_category_id unicode_category(uint32_t code);
bool unicode_is_space(uint32_t code); // White_Space
bool unicode_is_han(uint32_t code);   // Script=Han
bool unicode_is_mark(uint32_t code);  // Mn, Mc, Me
bool unicode_is_punctuation(uint32_t code); // P*

/* Lower case of one character into out [2]; returns 1, or 2 for U+0130 alone. */
size_t unicode_lower(uint32_t code, uint32_t *out);

typedef enum { UNICODE_NFC, UNICODE_NFD } unicode_form;

/* True if a quick look shows that text is in NFC already (false may also mean "not sure"). */
bool unicode_is_nfc(str text);

/* Appends text in the form. Ill-formed bytes are kept as they are and act as starters. Linear but
 * for the sorting of marks, which is a counting sort. ERR_MEMORY is the only failure. */
ingle_status unicode_normalise(str text, unicode_form form, ingle_text *out, ingle_error *err);

/* What stands as it is at the beginning of p [n], by a check flag: the next character that needs work
 * may begin at the byte returned; n if none does. */
size_t unicode_settled(const uint8_t *p, size_t n, uint8_t flag);

uint8_t unicode_entry(uint32_t code); // of the second stage

/* ---- the generated tables ------------------------------------------------------------------ */

/* Second-stage entry: category in the low 5 bits, and: */
enum {
    UNICODE_NFC_CHECK = 32, // NFC_Quick_Check is No or Maybe, or the combining class is not 0
    UNICODE_NFD_CHECK = 64, // decomposes, or the combining class is not 0
    UNICODE_HAN = 128,
    UNICODE_BLOCK = 256
};

/* Columns of unicode_pairs: a code and what it decomposes to; second 0: a singleton. */
enum { UNICODE_PAIR_CODE, UNICODE_PAIR_FIRST, UNICODE_PAIR_SECOND };

typedef struct {
    uint32_t first;
    uint16_t count, combining_class;
} unicode_class_range;

typedef struct {
    uint32_t first, last;
    int32_t difference : 30; // lower case minus code
    uint32_t step : 2;       // 1: every code of the range; 2: every second one
} unicode_case_range;

typedef struct {
    uint16_t pairs, composites, classes, cases;
    uint32_t limit; // codes below are in the two stages
} unicode_counts;

extern const uint8_t unicode_stage1[];
extern const uint8_t unicode_stage2[];
extern const uint8_t unicode_pairs[];       // [3 columns][3 bytes, the lowest first][pairs], sorted by code:
                                            // bytes of a kind together pack better for a download
extern const uint16_t unicode_composites[]; // indices of pairs, sorted by first and second
extern const unicode_class_range unicode_class_ranges[];
extern const unicode_case_range unicode_case_ranges[];
extern const unicode_counts unicode_count;

#endif
