#include "net/cwnd.h"

#include "net/u64.h"

static void grow(struct cwnd *c, uint64_t by)
{
    c->bytes = min_u64(c->bytes + by, c->most);
}

/* Slow start ends where the window was cut to. */
static void cut(struct cwnd *c, uint64_t to, unsigned least_datagrams)
{
    c->bytes = min_u64(c->bytes, max_u64(to, least_datagrams * c->mss));
    c->slow_until = c->bytes;
}

void cwnd_init(struct cwnd *c, uint64_t mss, uint64_t most)
{
    *c = (struct cwnd){.mss = mss, .most = most, .slow_until = UINT64_MAX};
    c->bytes = min_u64(CWND_FIRST_DATAGRAMS * mss, most);
}

void cwnd_mss(struct cwnd *c, uint64_t mss)
{
    c->mss = mss;
    c->bytes = min_u64(max_u64(c->bytes, CWND_LEAST_DATAGRAMS * mss), c->most);
}

uint64_t cwnd_window(const struct cwnd *c, uint64_t now_us)
{
    return now_us < c->dip_end_us ? CWND_DIP_DATAGRAMS * c->mss : c->bytes;
}

uint64_t cwnd_pace(const struct cwnd *c, uint64_t now_us)
{
    if (c->paced_us <= now_us + c->burst_us)
        return now_us;
    return max_u64(c->paced_us - c->burst_us, now_us + CWND_TICK_US);
}

/* How long `bytes` take at 1.25 windows per round trip (RFC 9002, 7.7), 2 in slow start. */
static uint64_t pace_time(const struct cwnd *c, const struct rtt *rtt, uint64_t bytes)
{
    uint64_t quarters = c->bytes < c->slow_until ? 8 : 5;
    return 4 * bytes * rtt->srtt_us / (quarters * c->bytes);
}

void cwnd_sent(struct cwnd *c, uint64_t now_us, const struct rtt *rtt, uint64_t bytes)
{
    if (now_us - c->active_us > CWND_IDLE_US)
        c->bytes = min_u64(c->bytes, CWND_FIRST_DATAGRAMS * c->mss);
    c->active_us = now_us;
    if (!rtt->has)
        return;
    c->burst_us = max_u64(pace_time(c, rtt, CWND_BURST_DATAGRAMS * c->mss), CWND_TICK_BURST_US);
    c->burst_us = min_u64(c->burst_us, pace_time(c, rtt, CWND_BURST_MOST_DATAGRAMS * c->mss));
    c->paced_us = max_u64(c->paced_us, now_us) + pace_time(c, rtt, bytes);
}

/* Rules 2 and 3, once per round trip. */
static void end_round(struct cwnd *c, uint64_t queue, uint64_t target)
{
    uint64_t sum = c->round_lost + c->round_acked;
    if (sum >= CWND_LEAST_DATAGRAMS * c->mss) {
        c->share = (3 * c->share + (unsigned)(256 * c->round_lost / sum)) / 4;
        c->round_lost = c->round_acked = 0;
    }
    if (c->share > CWND_LOST_SHARE)
        cut(c, c->bytes * 7 / 10, CWND_LEAST_DATAGRAMS);
    else if (queue > 2 * target)
        cut(c, c->bytes - c->bytes / 8, CWND_LEAST_DATAGRAMS);
}

/* Rule 5. */
static void dip(struct cwnd *c, uint64_t now_us, const struct rtt *rtt)
{
    if (now_us - rtt->low_at_us < CWND_DIP_EVERY_US || now_us - c->dip_at_us < CWND_DIP_EVERY_US)
        return;
    c->dip_at_us = now_us;
    c->dip_end_us = now_us + 2 * rtt->srtt_us;
}

void cwnd_acked(struct cwnd *c, const struct rtt *rtt, const struct cwnd_ack *a)
{
    uint64_t queue = rtt_queue(rtt);
    uint64_t target = max_u64(CWND_QUEUE_US, rtt->min_us / 2);
    c->round_acked += a->bytes;
    if (a->echo > c->round) {
        end_round(c, queue, target);
        c->round = a->newest;
    }
    bool slow_start = c->bytes < c->slow_until;
    /* In slow start a round trip begins with half of what it ends with. */
    bool limited = slow_start ? 2 * a->in_flight >= c->bytes : 4 * a->in_flight >= 3 * c->bytes;
    if (!rtt->has || !limited || a->now_us < c->dip_end_us)
        return;
    dip(c, a->now_us, rtt);
    if (queue > target) {
        c->slow_until = min_u64(c->slow_until, c->bytes);
        return;
    }
    if (slow_start)
        grow(c, a->bytes);
    else
        grow(c, c->mss * a->bytes / c->bytes);
}

bool cwnd_lost(struct cwnd *c, const struct rtt *rtt, uint64_t bytes, uint64_t stamp,
               uint64_t newest)
{
    c->round_lost += bytes;
    if (stamp <= c->recovery)
        return false;
    c->recovery = newest;
    uint64_t queue = rtt_queue(rtt);
    uint64_t backlog = rtt->has ? c->bytes * queue / max_u64(rtt->srtt_us, 1) : 0;
    if (queue >= CWND_RADIO_US && backlog >= CWND_RADIO_DATAGRAMS * c->mss)
        cut(c, c->bytes * 7 / 10, CWND_FLOOR_DATAGRAMS); /* rule 1 */
    return true;
}

void cwnd_silence(struct cwnd *c)
{
    uint64_t until = c->bytes * 7 / 10;
    cut(c, 0, CWND_FLOOR_DATAGRAMS);
    c->slow_until = max_u64(c->slow_until, until);
}
