/* ring.h: bytes in order, kept between two growing positions, contiguous wherever they lie.
 *
 * The memory is mapped twice in a row, so a record that crosses the end is still one piece.
 * Positions are 64-bit and never wrap; byte p lies at p modulo the capacity. One owner, no locks.
 */
#ifndef RAFTD_RING_H
#define RAFTD_RING_H

#include <stddef.h>
#include <stdint.h>

struct ring {
    uint8_t *base;
    size_t cap;     /* bytes, a power of two and a multiple of the page size */
    uint64_t start; /* position of the first byte kept */
    uint64_t end;   /* one past the last. Invariant: end - start <= cap */
};

/* Maps at least min_bytes. 0 or -errno. */
int ring_init(struct ring *r, size_t min_bytes);
void ring_free(struct ring *r);

static inline uint8_t *ring_at(const struct ring *r, uint64_t pos)
{
    return r->base + (pos & (r->cap - 1));
}

static inline size_t ring_room(const struct ring *r)
{
    return r->cap - (size_t)(r->end - r->start);
}

#endif
