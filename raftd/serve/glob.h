/* glob.h: patterns of keys, as KEYS and SCAN take them.
 *
 *   *  any bytes, also none     [abc] [a-z]  one of these     [^abc]  one byte that is none of these
 *   ?  any one byte             \c           the byte c, whatever it means else
 *
 * All is compared byte by byte. The time is bounded by the product of both lengths, however many stars a
 * pattern has: a later star makes the earlier ones settled.
 */
#ifndef RAFTD_GLOB_H
#define RAFTD_GLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GLOB_MAX_BYTES = 1024
}; /* of a pattern: keys have 256, and a few of their bytes may be classes */

/* True if all of the text is as the pattern says. Adds to *steps how many bytes it looked at. */
bool glob_match(const uint8_t *pattern, size_t pattern_len, const uint8_t *text, size_t text_len,
                unsigned *steps);

/* With how many bytes of the pattern all that it matches begins. */
size_t glob_lead(const uint8_t *pattern, size_t len);

#endif
