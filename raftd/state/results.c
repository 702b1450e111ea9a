/* results.c: see results.h. */
#include "raftd/state/results.h"

#include <stdlib.h>
#include <string.h>

size_t results_value_bytes(const struct told *told, unsigned n)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < n; i++)
        bytes += told[i].value_len;
    return bytes;
}

void results_keep(struct results *r, const struct told *told, unsigned n)
{
    size_t size = n * sizeof *told;
    if (n == 1 && told->value == NULL) {
        r->only = *told;
        r->told = &r->only;
        r->n = 1;
        return;
    }
    size += results_value_bytes(told, n);
    struct told *copy = malloc(size);
    if (copy == NULL)
        return;
    uint8_t *value = (uint8_t *)(copy + n);
    for (unsigned i = 0; i < n; i++) {
        copy[i] = told[i];
        if (told[i].value == NULL)
            continue;
        copy[i].value = value;
        memcpy(value, told[i].value, told[i].value_len);
        value += told[i].value_len;
    }
    r->told = copy;
    r->n = n;
}

void results_free(struct results *r)
{
    if (r->told != &r->only)
        free(r->told);
    r->told = NULL;
    r->n = 0;
}
