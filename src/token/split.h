/* Pre-tokenizers: cutting text into the pieces that byte-pair merges stay inside.
 * A rule is a list of steps; each step cuts the pieces of the step before. A step is a matcher:
 * text that it matches becomes a piece, and so does a stretch that it does not match. The matchers
 * are hand-written equivalents of the regular expressions that Hugging Face tokenizer files use
 * (docs/tokenizers.md lists them); each reads a character a bounded number of times.
 * Refuses texts of 4 GiB and more, and knows nothing of vocabularies. */
#ifndef INGLE_TOKEN_SPLIT_H
#define INGLE_TOKEN_SPLIT_H

#include "base/mem.h"
#include "base/text.h"

/* What a character is, one set of bits a byte: every byte of a character carries its bits. */
enum {
    CH_LETTER = 1,      // L*
    CH_NUMBER = 2,      // N*
    CH_MARK = 4,        // M*
    CH_PUNCTUATION = 8, // P*
    CH_SYMBOL = 16,     // S*
    CH_SPACE = 32,      // White_Space
    CH_NEWLINE = 64,    // CR, LF
    CH_UPPER = 128,     // Lu Lt Lm Lo M
    CH_LOWER = 256,     // Ll Lm Lo M
    CH_DIGIT = 512,     // Nd
    CH_HAN = 1024,
    CH_WORD = 2048,     // what \w matches in Oniguruma: alphabetic, M*, Nd, Pc
    CH_INNER = 4096     // not the first byte of its character
};

/* A piece while a step cuts it. Look-aheads see no further than its end. */
typedef struct {
    const uint8_t *text;
    const uint16_t *ch;        // [whole text]
    size_t end;                // of the piece
    // Kept between matches, so that no run of characters is looked at again from each of them:
    size_t seen_end;           // end of the run that a matcher looked at last
    size_t count_at, count;    // characters from count_at to seen_end
} split_piece;

typedef struct split_step split_step;

/* Returns where the match that starts at `at` ends; `at` itself if there is none. */
typedef size_t split_match(split_piece *p, size_t at, const split_step *step);

typedef struct {
    uint32_t first, last;
} split_range;

/* A step and the choices within its matcher; zero is the plain choice. */
struct split_step {
    split_match *match;
    unsigned letters;          // bits of a word's characters
    unsigned prefix_not;       // bits that may not stand before a word
    unsigned others_not;       // bits that end a run of punctuation
    uint32_t max;              // numbers in a piece; split_set: most characters. 0 = any count
    uint32_t min;              // split_set: least characters. 0 = 1
    enum { SPLIT_WORD, SPLIT_CASED, SPLIT_PHRASE } word;
    enum { SPLIT_TAIL_NONE, SPLIT_TAIL_LINES, SPLIT_TAIL_SLASH, SPLIT_TAIL_ONE } tail;
    enum { SPLIT_ABBREV_NONE, SPLIT_ABBREV_ALONE, SPLIT_ABBREV_SUFFIX } abbrev;
    enum { SPLIT_BARE, SPLIT_AFTER_BLANK, SPLIT_AFTER_SPACE } before; // split_set: " ?" or "\s?"
    bool no_han;               // Han runs are pieces of their own
    bool spaces_by_halves;     // runs of spaces are cut at powers of two
    bool negate;               // split_set: characters that are not in the set
    const split_range *ranges; // split_set: besides `letters`; sorted
    size_t n_ranges;
};

enum { SPLIT_STEPS = 6 };

/* A rule and what else hangs on its name. */
typedef struct {
    const char *name;          // tokenizer.ggml.pre
    const split_step *steps[SPLIT_STEPS]; // NULL after the last
    bool ignore_merges;        // a piece that is a token is that token
    bool add_bos;              // where the file does not say
    bool nfc;                  // text is normalised first
    bool raw;                  // merges work on characters, spaces are U+2581, <0xXX> for the rest
} split_rule;

const split_rule *split_find(str name); // NULL if it is not known
const split_rule *split_at(size_t i);   // walks the table; NULL at the end

/* Room for splitting, used again from text to text. Start from {.a = ...}. */
typedef struct {
    const ingle_allocator *a;
    uint16_t *ch;
    size_t ch_capacity;
    uint32_t *ends, *spare;    // ends of pieces [n]
    size_t n, ends_capacity, spare_capacity;
} splitter;

/* Cuts text by rule: ends [n] hold where each piece ends; no piece is empty. */
ingle_status split_text(splitter *s, const split_rule *rule, str text, ingle_error *err);
void split_free(splitter *s);

/* The matchers. */
split_match split_gpt2;     // 's|'t|... and runs of letters, numbers, others, each after " ?"
split_match split_words;    // the family that begins with cl100k: prefix, words, numbers, ...
split_match split_deepseek; // DeepSeek-V3's last step
split_match split_set;      // runs of a set of characters
split_match split_end_spaces; // \s+$
split_match split_lines;    // [^\n]+|\n+
split_match split_thousands; // digits in threes from the right, before a word boundary
split_match split_numbers_right; // numbers in threes from the right
split_match split_cut_thousands; // a cut before every three digits counted from the right
split_match split_sentinel, split_image, split_indent; // Chameleon's own
split_match split_scripts;  // Youtu's runs by script

#endif
