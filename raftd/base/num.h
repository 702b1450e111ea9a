/* num.h: the lesser and the greater of two numbers, a time that never comes, and numbers in a text. Only
 * these functions read such a number, so an option, a key and an id take the same texts. */
#ifndef RAFTD_NUM_H
#define RAFTD_NUM_H

#include <stdbool.h>
#include <stdint.h>

/* A time in microseconds that is later than all others. */
#define NEVER UINT64_MAX

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Reads the number that *text begins with, and moves *text behind it. A number has digits of `base` (8, 10,
 * or 16 with small letters) only, no sign and no blank. A decimal number has no leading zero, for some people
 * take 010 for ten and some for eight. False if there is no number, or it is above max; then nothing
 * changes. */
bool num_take(const char **text, unsigned base, uint64_t max, uint64_t *out);

/* Reads a text that is a decimal number within [min, max] and nothing else. False if it is not; then *out is
 * as before. */
bool num_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* The same for a decimal number that may have a fraction, as 2.5, in thousandths: min, max and *out are in
 * those. More than three digits of a fraction are cut off. */
bool num_parse_thousandths(const char *text, uint64_t min, uint64_t max, uint64_t *out);

#endif
