#include "net/stream/cwnd.h"

#include "raftd/base/num.h"

enum { WHOLE = 256 }; /* unit of shares */

static void grow(struct cwnd *c, uint64_t by)
{
    c->bytes = min_u64(c->bytes + by, c->most);
}

/* Slow start ends where the window was cut to; nothing brings back what it was before. */
static void cut(struct cwnd *c, uint64_t to, unsigned least_datagrams)
{
    c->bytes = min_u64(c->bytes, max_u64(to, least_datagrams * c->mss));
    c->slow_until = c->bytes;
    c->trial.window = 0;
    c->uncut = 0;
}

/* A trial that showed nothing. */
static void trial_undone(struct cwnd *c)
{
    c->bytes = max_u64(c->bytes, c->trial.window);
    c->trial.window = 0;
}

/* Measuring begins after so many round trips, 0 = now. */
static void meter_begins(struct cwnd *c, uint64_t now_us, int skip)
{
    c->meter = (struct cwnd_meter){.from_us = now_us, .window = c->bytes, .trips = -skip};
}

void cwnd_init(struct cwnd *c, uint64_t mss, uint64_t most)
{
    *c = (struct cwnd){
        .mss = mss, .most = most, .slow_until = UINT64_MAX, .low_us = {UINT64_MAX, UINT64_MAX}};
    c->bytes = min_u64(CWND_FIRST_DATAGRAMS * mss, most);
    meter_begins(c, 0, 1);
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

static bool slow_start(const struct cwnd *c)
{
    return c->bytes < c->slow_until;
}

/* How long `bytes` take at 1.25 windows per round trip (RFC 9002, 7.7), 2 in slow start. */
static uint64_t pace_time(const struct cwnd *c, const struct rtt *rtt, uint64_t bytes)
{
    uint64_t quarters = slow_start(c) ? 8 : 5;
    return 4 * bytes * rtt->srtt_us / (quarters * c->bytes);
}

void cwnd_sent(struct cwnd *c, uint64_t now_us, const struct rtt *rtt, uint64_t bytes)
{
    if (now_us - c->active_us > CWND_IDLE_US) {
        trial_undone(c);
        c->bytes = min_u64(c->bytes, CWND_FIRST_DATAGRAMS * c->mss);
        c->uncut = 0;
        meter_begins(c, now_us, 1);
    }
    c->active_us = now_us;
    if (!rtt->has)
        return;
    c->burst_us = max_u64(pace_time(c, rtt, CWND_BURST_DATAGRAMS * c->mss), CWND_TICK_BURST_US);
    c->burst_us = min_u64(c->burst_us, pace_time(c, rtt, CWND_BURST_MOST_DATAGRAMS * c->mss));
    c->paced_us = max_u64(c->paced_us, now_us) + pace_time(c, rtt, bytes);
}

/* The queue. */

/* Slow start outgrows the least of the last samples while these are waited for, so it uses srtt. */
static uint64_t queue(const struct cwnd *c, const struct rtt *rtt)
{
    uint64_t base = max_u64(rtt->min_us, c->longer_us), low = c->low_us[0];
    if (c->samples < CWND_SAMPLES)
        low = min_u64(low, c->low_us[1]);
    if (slow_start(c) || low == UINT64_MAX)
        low = rtt->srtt_us;
    return low > base ? low - base : 0;
}

/* What may stand there. A path that is thought longer is allowed no longer queue: streams that share
 * one could drive each other up. */
static uint64_t target(const struct cwnd *c, const struct rtt *rtt)
{
    uint64_t jitter = slow_start(c) ? 0 : rtt->rttvar_us;
    return max_u64(max_u64(CWND_QUEUE_US, jitter), rtt->min_us / 2);
}

static void dip(struct cwnd *c, uint64_t now_us, const struct rtt *rtt)
{
    c->dip_at_us = now_us;
    c->dip_end_us = now_us + 2 * rtt->srtt_us;
    c->dip_low_us = UINT64_MAX;
    trial_undone(c);
}

/* Rule 2, and 7: shrinking that does not help asks for a dip. */
static void shrink(struct cwnd *c, uint64_t now_us, const struct rtt *rtt)
{
    if (queue(c, rtt) <= 2 * target(c, rtt)) {
        c->shrunk = 0;
        return;
    }
    if (c->shrunk == 0) {
        c->shrunk_from = c->bytes;
        c->shrunk_low_us = min_u64(c->low_us[0], c->low_us[1]);
    }
    cut(c, c->bytes - c->bytes / 8, CWND_LEAST_DATAGRAMS);
    if (++c->shrunk < CWND_SHRINKS)
        return;
    c->shrunk = 0;
    if (c->shrunk_from < 2 * CWND_LEAST_DATAGRAMS * c->mss)
        return; /* too little to be missed in a queue that others make */
    c->in_vain = true;
    dip(c, now_us, rtt);
}

static void sampled(struct cwnd *c, uint64_t now_us, uint64_t sample_us)
{
    c->samples++;
    c->low_us[0] = min_u64(c->low_us[0], sample_us);
    c->longer_us = min_u64(c->longer_us, sample_us);
    if (now_us < c->dip_end_us) {
        c->dip_low_us = min_u64(c->dip_low_us, sample_us);
        return;
    }
    if (c->in_vain && c->dip_low_us != UINT64_MAX &&
        c->dip_low_us >= c->shrunk_low_us - c->shrunk_low_us / 8) {
        c->longer_us = c->dip_low_us; /* rule 7 */
        c->slow_until = c->shrunk_from;
    }
    c->in_vain = false;
}

/* Rule 4: does less bring the same? */

/* What the meter shows. */
struct shown {
    uint64_t rate; /* bytes per second that arrive */
    unsigned share;
    bool limited;
};

static void trial_begins(struct cwnd *c, uint64_t now_us, const struct shown *s)
{
    uint64_t window = c->bytes;
    cut(c, min_u64(c->bytes, c->meter.window) * 7 / 10, CWND_LEAST_DATAGRAMS);
    c->trial = (struct cwnd_trial){.window = window, .rate = s->rate, .share = s->share};
    meter_begins(c, now_us, CWND_SETTLE_TRIPS);
}

/* True if it was congestion. */
static bool trial_ends(struct cwnd *c, const struct shown *s)
{
    struct cwnd_trial t = c->trial;
    c->trial.window = 0;
    bool same = 20 * s->rate >= 17 * t.rate && 20 * s->share <= 17 * t.share;
    bool fewer = 5 * s->share <= 3 * t.share;
    if (s->limited && (same || fewer)) {
        c->hold = CWND_HOLD_TRIPS;
        c->last_pause = 0;
        c->radio = 0;
        return true;
    }
    c->bytes = t.window;
    c->radio = t.window;
    c->pause = c->last_pause = c->last_pause > 0
                                   ? (unsigned)min_u64(2 * c->last_pause, CWND_PAUSE_MOST)
                                   : CWND_PAUSE_FIRST;
    return false;
}

static void metered(struct cwnd *c, uint64_t now_us)
{
    struct cwnd_meter *m = &c->meter;
    uint64_t sum = m->acked + m->lost;
    m->trips++;
    if (m->trips == 0)
        meter_begins(c, now_us, 0);
    if (m->trips <= 0)
        return;
    c->hold -= c->hold > 0;
    c->pause -= c->pause > 0;
    if (m->trips < CWND_METER_TRIPS || sum < CWND_METER_DATAGRAMS * c->mss)
        return;
    const struct shown s = {.rate = m->acked * 1000000 / max_u64(now_us - m->from_us, 1),
                            .share = (unsigned)(WHOLE * m->lost / sum),
                            .limited = 2 * m->limited >= m->acked};
    bool done = c->trial.window == 0 || trial_ends(c, &s);
    bool growing = slow_start(c) && c->bytes < c->most;
    if (done && c->pause == 0 && !growing && s.limited && s.share > CWND_TRIAL_SHARE &&
        c->bytes > CWND_LEAST_DATAGRAMS * c->mss)
        trial_begins(c, now_us, &s);
    else
        meter_begins(c, now_us, 0);
}

/* Rules 2 to 4, once per round trip. */
static void end_trip(struct cwnd *c, uint64_t now_us, const struct rtt *rtt)
{
    uint64_t sum = c->trip_lost + c->trip_acked;
    if (sum >= CWND_LEAST_DATAGRAMS * c->mss) {
        c->share = (3 * c->share + (unsigned)(WHOLE * c->trip_lost / sum)) / 4;
        c->trip_lost = c->trip_acked = 0;
    }
    if (c->trip > c->recovery)
        c->uncut = 0; /* the answers to what was sent again are here */
    if (now_us < c->dip_end_us)
        meter_begins(c, now_us, 1);
    else if (c->share > CWND_LOST_SHARE)
        cut(c, c->bytes * 7 / 10, CWND_LEAST_DATAGRAMS);
    else
        shrink(c, now_us, rtt);
    metered(c, now_us);
    if (c->samples >= CWND_SAMPLES || (slow_start(c) && c->samples > 0)) {
        c->low_us[1] = c->low_us[0];
        c->low_us[0] = UINT64_MAX;
        c->samples = 0;
    }
}

/* Whether the window may grow outside of slow start. Where much is lost: by a quarter until the meter
 * has shown what that brought, to the double of what a trial left to the radio. */
static bool may_grow(const struct cwnd *c)
{
    if (c->trial.window > 0 || c->hold > 0)
        return false;
    return c->share <= CWND_TRIAL_SHARE || c->bytes < 2 * c->radio ||
           4 * c->bytes < 5 * c->meter.window;
}

/* Timeouts, too, send for nothing, and count: hence no more than a window. */
static void found(struct cwnd *c, uint64_t bytes)
{
    c->found = min_u64(c->found + bytes, c->bytes);
    c->bytes = max_u64(c->bytes, c->uncut);
    c->uncut = 0;
}

void cwnd_acked(struct cwnd *c, const struct rtt *rtt, const struct cwnd_ack *a)
{
    c->trip_acked += a->bytes;
    c->meter.acked += a->bytes;
    if (a->found > 0)
        found(c, a->found);
    if (rtt->has)
        sampled(c, a->now_us, rtt->last_us);
    if (a->echo > c->trip) {
        end_trip(c, a->now_us, rtt);
        c->trip = a->newest;
    }
    bool slow = slow_start(c);
    /* In slow start a round trip begins with half of what it ends with. */
    bool limited = slow ? 2 * a->in_flight >= c->bytes : 4 * a->in_flight >= 3 * c->bytes;
    if (!rtt->has || !limited || a->now_us < c->dip_end_us)
        return;
    c->meter.limited += a->bytes;
    if (a->now_us - rtt->low_at_us >= CWND_DIP_EVERY_US &&
        a->now_us - c->dip_at_us >= CWND_DIP_EVERY_US)
        dip(c, a->now_us, rtt); /* rule 6 */
    if (queue(c, rtt) > target(c, rtt)) {
        c->slow_until = min_u64(c->slow_until, c->bytes);
    } else if (slow) {
        grow(c, a->bytes);
        c->meter.window = c->bytes;
    } else if (may_grow(c)) {
        grow(c, c->mss * a->bytes / c->bytes);
    }
}

/* Rule 1. */
static bool queue_overflowed(const struct cwnd *c, const struct rtt *rtt)
{
    uint64_t us = queue(c, rtt);
    uint64_t backlog = rtt->has ? c->bytes * us / max_u64(rtt->srtt_us, 1) : 0;
    return us >= CWND_RADIO_US && backlog >= CWND_RADIO_DATAGRAMS * c->mss;
}

bool cwnd_lost(struct cwnd *c, const struct rtt *rtt, uint64_t bytes, uint64_t stamp,
               uint64_t newest)
{
    uint64_t not_lost = min_u64(bytes, c->found);
    c->found -= not_lost;
    c->trip_lost += bytes - not_lost;
    c->meter.lost += bytes - not_lost;
    if (stamp <= c->recovery)
        return false;
    c->recovery = newest;
    if (queue_overflowed(c, rtt)) {
        uint64_t uncut = max_u64(c->uncut, c->bytes);
        cut(c, c->bytes * 7 / 10, CWND_FLOOR_DATAGRAMS);
        c->uncut = uncut;
    }
    return true;
}

void cwnd_silence(struct cwnd *c)
{
    trial_undone(c);
    uint64_t until = c->bytes * 7 / 10;
    cut(c, 0, CWND_FLOOR_DATAGRAMS);
    c->slow_until = max_u64(c->slow_until, until);
    meter_begins(c, 0, 1);
}
