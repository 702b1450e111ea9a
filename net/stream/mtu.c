#include "net/stream/mtu.h"

#include "raftd/base/num.h"

void mtu_init(struct mtu *m, uint32_t max)
{
    *m = (struct mtu){.max = max, .size = max};
}

void mtu_rise(struct mtu *m, uint64_t now)
{
    if (m->size < m->max && now >= m->rise_at)
        m->size = m->max;
}

uint32_t mtu_size(const struct mtu *m)
{
    return m->size;
}

uint32_t mtu_passes(const struct mtu *m)
{
    return m->narrow ? MTU_LEAST : m->size;
}

void mtu_heard(struct mtu *m)
{
    m->spoke = true;
}

void mtu_arrived(struct mtu *m, uint32_t size)
{
    m->carried = true;
    if (size < m->lost_size)
        return;
    m->lost = 0;
    m->narrow = false;
    m->size = m->max;
}

static void fall(struct mtu *m, uint64_t now)
{
    m->wait_us = m->narrow ? min_u64(2 * m->wait_us, MTU_WAIT_MAX_US) : MTU_WAIT_US;
    m->rise_at = now + m->wait_us;
    m->size = MTU_LEAST;
    m->narrow = true;
    m->lost = 0;
    m->carried = false;
}

void mtu_timeout(struct mtu *m, uint64_t now, uint32_t size)
{
    if (size <= MTU_LEAST || m->size <= MTU_LEAST || !m->spoke)
        return;
    m->lost_size = m->lost == 0 || size < m->lost_size ? size : m->lost_size;
    m->lost++;
    m->spoke = false;
    if (m->narrow || m->lost == MTU_FLIGHTS)
        fall(m, now);
}

void mtu_refused(struct mtu *m, uint64_t now, uint32_t size)
{
    if (size > m->size || m->size <= MTU_LEAST)
        return;
    m->lost_size = size;
    fall(m, now);
}
