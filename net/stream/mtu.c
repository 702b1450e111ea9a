#include "net/stream/mtu.h"

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
        uint64_t wait = m->size < MTU_BASE ? MTU_NARROW_AGAIN_US : MTU_AGAIN_US;
        m->at = m->size == m->max ? UINT64_MAX : now + wait;
        m->probing = 0;
        m->failed = 0;
    }
}

void mtu_init(struct mtu *m, uint32_t max)
{
    assert(max >= MTU_LEAST && max <= MTU_MAX);
    max -= max % MTU_UNIT;
    *m = (struct mtu){.max = max, .size = max};
    m->size = mtu_usual(m);
    pick(m, 0);
}

uint32_t mtu_size(const struct mtu *m)
{
    return m->size;
}

uint32_t mtu_usual(const struct mtu *m)
{
    return m->max < MTU_BASE ? m->max : MTU_BASE;
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
    m->heard = m->spoke = true;
}

void mtu_acked(struct mtu *m, uint64_t now, uint32_t size)
{
    mtu_arrived(m, size);
    if (size == m->probing && m->tries > 0) {
        m->size = size;
        pick(m, now);
    }
}

void mtu_arrived(struct mtu *m, uint32_t size)
{
    m->carried = true;
    if (size >= m->lost_size)
        m->lost = 0;
}

bool mtu_carries(const struct mtu *m)
{
    return m->carried;
}

/* Smaller datagrams from now on, and a new search after `wait`. */
static void fall(struct mtu *m, uint64_t now, uint32_t size, uint64_t wait)
{
    m->size = size;
    m->failed = 0;
    m->probing = 0;
    m->tries = 0;
    m->lost = 0;
    m->carried = false;
    m->at = now + wait;
}

void mtu_timeout(struct mtu *m, uint64_t now, uint32_t size)
{
    if (size <= MTU_LEAST || m->size == MTU_LEAST || !m->spoke)
        return;
    if (size > m->size)
        size = m->size; /* it was sent before the size fell */
    bool wide = m->size > MTU_BASE;
    if (wide && size <= MTU_BASE)
        return;
    m->lost_size = m->lost == 0 || size < m->lost_size ? size : m->lost_size;
    m->lost++;
    m->spoke = false;
    if (wide && m->lost >= MTU_HOLE_FLIGHTS)
        fall(m, now, MTU_BASE, MTU_HOLE_WAIT_US);
    else if (m->lost >= MTU_NARROW_FLIGHTS)
        fall(m, now, MTU_LEAST, MTU_WAIT_US);
}

void mtu_refused(struct mtu *m, uint64_t now, uint32_t size)
{
    size -= size % MTU_UNIT;
    if (size <= m->size && m->size > MTU_LEAST)
        fall(m, now, size > MTU_BASE ? MTU_BASE : MTU_LEAST, 0);
    if (size <= m->size || (m->failed != 0 && m->failed <= size))
        return;
    m->failed = size; /* the search goes on below it, at once */
    m->probing = 0;
    m->tries = 0;
    m->at = now;
}
