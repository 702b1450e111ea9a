/* human.h: numbers for people: two or three digits and a unit. */
#ifndef RAFTCTL_HUMAN_H
#define RAFTCTL_HUMAN_H

#include <stdint.h>

/* At most 7 columns, whatever the number. */
struct human {
    char text[8];
};

struct human human_count(uint64_t n); /* "412", "9.9k", "12M" */
struct human human_bytes(uint64_t n); /* "412B", "9.9kB", "33MB": powers of 1000 */
struct human human_us(uint64_t us);   /* "260us", "1.2ms", "9.1s", "52min" */
struct human human_age_s(uint64_t s); /* "52s", "52min", "30h", "12d" */

#endif
