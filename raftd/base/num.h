/* num.h: numbers: the lesser and the greater of two, a time that never comes, and numbers that stand
 * in a text. There is one reader of them, so an option, a key and an id take the same texts. */
#ifndef RAFTD_NUM_H
#define RAFTD_NUM_H

#include <stdbool.h>
#include <stdint.h>

/* As a time in microseconds: later than all others. */
#define NEVER UINT64_MAX

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Reads the number that *text begins with and moves *text behind it. Digits of `base` (8 or 10) alone
 * make a number, no sign and no blank; a decimal number has no leading zero, for people take 010 for
 * ten or for eight. False if there is none, or it is above max; then nothing changes. */
bool num_take(const char **text, unsigned base, uint64_t max, uint64_t *out);

/* All of the text is a decimal number within [min, max]. False if not; *out is as before. */
bool num_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out);

#endif
