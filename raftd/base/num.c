/* num.c: see num.h. */
#include "raftd/base/num.h"

/* The value of a digit; 16: it is none. */
static unsigned digit_of(char c)
{
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a' + 10);
    return c >= '0' && c <= '9' ? (unsigned)(c - '0') : 16;
}

bool num_take(const char **text, unsigned base, uint64_t max, uint64_t *out)
{
    const char *start = *text, *p = start;
    uint64_t value = 0;
    unsigned digit;
    for (; (digit = digit_of(*p)) < base; p++) {
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

bool num_parse_thousandths(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t value;
    unsigned digit;
    if (!num_take(&text, 10, max / 1000, &value))
        return false;
    value *= 1000;
    if (*text == '.') {
        for (uint64_t unit = 100; (digit = digit_of(*++text)) < 10; unit /= 10)
            value += digit * unit;
    }
    if (*text != '\0' || value < min || value > max)
        return false;
    *out = value;
    return true;
}
