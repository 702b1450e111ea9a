/* glob.c: see glob.h. */
#include <string.h>

#include "raftd/serve/glob.h"

/* The byte at *p, without the backslash before it, and moves *p behind it. */
static uint8_t literal(const uint8_t **p, const uint8_t *end)
{
    if (**p == '\\' && *p + 1 < end)
        (*p)++;
    return *(*p)++;
}

/* Is c in the class that begins behind '[' at *p? Moves *p behind its ']', or to the end if it has none. */
static bool in_class(const uint8_t **p, const uint8_t *end, uint8_t c)
{
    bool inverse = *p < end && **p == '^', found = false;
    if (inverse)
        (*p)++;
    while (*p < end && **p != ']') {
        uint8_t from = literal(p, end), to = from;
        if (end - *p >= 2 && **p == '-') { /* as in Redis, ']' ends a range, too */
            (*p)++;
            to = literal(p, end);
        }
        found |= (c >= from && c <= to) || (c >= to && c <= from);
    }
    if (*p < end)
        (*p)++;
    return found != inverse;
}

/* Is c what the pattern has at *p, which is no star? Moves *p behind that. */
static bool one(const uint8_t **p, const uint8_t *end, uint8_t c)
{
    if (**p == '?') {
        (*p)++;
        return true;
    }
    if (**p == '[') {
        (*p)++;
        return in_class(p, end, c);
    }
    return literal(p, end) == c;
}

bool glob_match(const uint8_t *pattern, size_t pattern_len, const uint8_t *text, size_t text_len,
                unsigned *steps)
{
    const uint8_t *p = pattern, *p_end = p + pattern_len, *t = text, *t_end = t + text_len;
    const uint8_t *star = NULL, *star_t = NULL; /* behind the newest star; where its bytes end */
    while (t < t_end) {
        const uint8_t *before = p;
        ++*steps;
        if (p < p_end && *p == '*') {
            star = ++p;
            star_t = t;
        } else if (p < p_end && one(&p, p_end, *t)) {
            *steps += (unsigned)(p - before);
            t++;
        } else if (star != NULL) {
            *steps += (unsigned)(p - before);
            p = star;
            t = ++star_t;
        } else {
            return false;
        }
    }
    while (p < p_end && *p == '*')
        p++;
    return p == p_end;
}

size_t glob_lead(const uint8_t *pattern, size_t len)
{
    size_t n = 0;
    while (n < len && memchr("*?[\\", pattern[n], 4) == NULL)
        n++;
    return n;
}
