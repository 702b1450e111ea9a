#include "net/mtu.h"

#include <assert.h>

/* Chooses the size to try next, or ends this search. */
static void pick(struct mtu *m, uint64_t now)
{
    uint32_t next = m->max, least = MTU_UNIT; /* the largest is worth its last bytes ... */
    if (m->failed != 0) {
        next = (m->size + m->failed) / 2;
        next -= next % MTU_UNIT;
        least = MTU_STEP; /* ... one between is not */
    }
    m->tries = 0;
    m->at = now;
    m->probing = next;
    if (next < m->size + least) {
        m->at = m->size == m->max ? UINT64_MAX : now + MTU_AGAIN_US;
        m->probing = 0;
        m->failed = 0;
    }
}

void mtu_init(struct mtu *m, uint32_t max)
{
    assert(max >= MTU_LEAST && max <= MTU_MAX);
    max -= max % MTU_UNIT;
    *m = (struct mtu){.max = max, .size = max < MTU_BASE ? max : MTU_BASE};
    pick(m, 0);
}

uint32_t mtu_size(const struct mtu *m)
{
    return m->size;
}

bool mtu_probe(struct mtu *m, uint64_t now, uint32_t *size)
{
    if (!m->heard || now < m->at)
        return false;
    if (m->tries == MTU_TRIES)
        m->failed = m->probing;
    if (m->tries == MTU_TRIES || m->probing == 0)
        pick(m, now);
    if (m->probing == 0)
        return false;
    m->tries++;
    m->heard = false;
    m->at = now + MTU_WAIT_US;
    *size = m->probing;
    return true;
}

uint64_t mtu_deadline(const struct mtu *m)
{
    return m->heard ? m->at : UINT64_MAX;
}

void mtu_heard(struct mtu *m)
{
    m->heard = true;
}

void mtu_acked(struct mtu *m, uint64_t now, uint32_t size)
{
    if (size > MTU_BASE)
        m->lost = 0;
    if (size == m->probing && m->tries > 0) {
        m->size = size;
        pick(m, now);
    }
}

void mtu_timeout(struct mtu *m, uint64_t now, uint32_t size)
{
    if (size <= MTU_BASE || m->size == MTU_BASE || ++m->lost < MTU_HOLE_FLIGHTS)
        return;
    m->size = MTU_BASE;
    m->failed = 0;
    m->probing = 0;
    m->tries = 0;
    m->lost = 0;
    m->at = now + MTU_HOLE_WAIT_US;
}
