#include "net/stream/flight.h"

#include <assert.h>

static unsigned slot(const struct flight *f, unsigned i)
{
    return (f->head + i) % FLIGHT_MAX;
}

struct flight_piece *flight_at(struct flight *f, unsigned i)
{
    assert(i < f->n);
    return &f->p[slot(f, i)];
}

void flight_push(struct flight *f, uint64_t stamp, uint64_t off, uint32_t len)
{
    if (f->n >= FLIGHT_MAX / 2) {
        struct flight_piece *last = flight_at(f, f->n - 1);
        if (last->len > 0 && last->off + last->len == off && last->len + len <= FLIGHT_JOIN_BYTES) {
            last->len += len;
            last->stamp = stamp;
            last->merged = true;
            return;
        }
    }
    assert(f->n < FLIGHT_MAX);
    f->p[slot(f, f->n++)] = (struct flight_piece){.off = off, .stamp = stamp, .len = len};
}

void flight_again(struct flight *f, uint64_t off, uint64_t end)
{
    for (unsigned i = 0; i < f->n; i++) {
        struct flight_piece *p = flight_at(f, i);
        p->again = p->again || (p->off < end && off < p->off + p->len);
    }
}

void flight_pop_done(struct flight *f)
{
    while (f->n > 0 && f->p[f->head].len == 0) {
        f->head = (f->head + 1) % FLIGHT_MAX;
        f->n--;
    }
}

unsigned flight_until(const struct flight *f, uint64_t stamp)
{
    unsigned low = 0;
    unsigned high = f->n; /* answer in low..high */
    while (low < high) {
        unsigned mid = low + (high - low) / 2;
        if (f->p[slot(f, mid)].stamp <= stamp)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}
