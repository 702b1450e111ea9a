#include "raftd/node/reads.h"

#include <string.h>

void reads_begin(struct reads *r, uint32_t boot)
{
    *r = (struct reads){.next = (uint64_t)boot << 32};
}

uint64_t reads_number(struct reads *r)
{
    return ++r->next;
}

void reads_add(struct reads *r, uint64_t read, uint64_t index)
{
    if (r->n == READS_MAX) /* the last place stands for all that come until it is served */
        r->n--;
    r->waiting[r->n++] = (struct confirmed_read){read, index};
}

uint64_t reads_served(struct reads *r, uint64_t applied)
{
    unsigned done = 0;
    while (done < r->n && r->waiting[done].index <= applied)
        done++;
    if (done == 0)
        return 0;
    uint64_t read = r->waiting[done - 1].read;
    r->n -= done;
    memmove(r->waiting, r->waiting + done, r->n * sizeof r->waiting[0]);
    return read;
}
