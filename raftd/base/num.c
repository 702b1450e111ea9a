/* num.c: see num.h. */
#include "raftd/base/num.h"

bool num_take(const char **text, unsigned base, uint64_t max, uint64_t *out)
{
    const char *start = *text, *p = start;
    uint64_t value = 0;
    for (; *p >= '0' && *p < (char)('0' + base); p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (value > max / base || digit > max - value * base)
            return false;
        value = value * base + digit;
    }
    if (p == start || (base == 10 && *start == '0' && p > start + 1))
        return false;
    *text = p;
    *out = value;
    return true;
}

bool num_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t value;
    if (!num_take(&text, 10, max, &value) || *text != '\0' || value < min)
        return false;
    *out = value;
    return true;
}
