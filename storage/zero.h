/* zero.h: is a stretch of bytes all zero? Internal to storage. */
#ifndef STORAGE_ZERO_H
#define STORAGE_ZERO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline bool all_zero(const uint8_t *p, size_t len)
{
    /* Bytes are all equal if they equal themselves one byte on. memcmp() is fast, and needs no block of zeros
     * to compare with. */
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

#endif
