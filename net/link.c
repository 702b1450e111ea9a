#include "net/link.h"

enum { HOLD_MAX_US = WIRE_HOLD_OLD * WIRE_HOLD_UNIT_US };

/* Serial numbers: a is newer than b, if they are less than 35 minutes apart. */
static bool newer(uint32_t a, uint32_t b)
{
    return a != b && a - b < UINT32_C(1) << 31;
}

void link_stamp(struct link *l, uint64_t now_us, struct wire_header *h)
{
    uint32_t ts = (uint32_t)now_us;
    /* Many datagrams leave in one microsecond of the caller's clock: each gets its own number. */
    if (l->has_sent && !newer(ts, l->ts_sent) && l->ts_sent - ts < LINK_SAMPLE_MAX_US)
        ts = l->ts_sent + 1;
    l->ts_sent = ts;
    l->has_sent = true;
    l->sent++;

    h->ts = ts;
    h->tx_cnt = (uint16_t)l->sent;
    h->loss = 0;
    h->echo = l->has_peer;
    h->ts_echo = l->has_peer ? l->peer_ts : 0;
    uint64_t held = now_us - l->peer_ts_at;
    h->hold = 0;
    if (l->has_peer)
        h->hold = held < HOLD_MAX_US ? (uint16_t)(held / WIRE_HOLD_UNIT_US) : WIRE_HOLD_OLD;
}

static bool sample(struct link *l, uint64_t now_us, const struct wire_header *h)
{
    if (!h->echo || h->hold == WIRE_HOLD_OLD)
        return false;
    /* Echoed again, or overtaken on the way. A mark older than any possible sample is void. */
    bool marked = l->has_sample && now_us - l->sampled_at < 2 * (uint64_t)LINK_SAMPLE_MAX_US;
    if (marked && !newer(h->ts_echo, l->sampled_ts))
        return false;

    /* Unsigned: an echo of the future, or one held longer than it was away, gives a huge value. */
    uint32_t rtt = (uint32_t)now_us - h->ts_echo - (uint32_t)h->hold * WIRE_HOLD_UNIT_US;
    bool sent = l->has_sent && !newer(h->ts_echo, l->ts_sent);
    if (!sent || rtt > LINK_SAMPLE_MAX_US) {
        l->bad_echoes++;
        return false;
    }
    rtt_sample(&l->rtt, rtt);
    l->has_sample = true;
    l->sampled_ts = h->ts_echo;
    l->sampled_at = now_us;
    return true;
}

bool link_received(struct link *l, uint64_t now_us, const struct wire_header *h)
{
    l->accepted++;
    /* A peer that restarted on a fresh clock has older stamps: they are taken once the newest
     * one of its former life is too old to be echoed with a hold. */
    if (!l->has_peer || newer(h->ts, l->peer_ts) || now_us - l->peer_ts_at >= HOLD_MAX_US) {
        l->peer_ts = h->ts;
        l->peer_ts_at = now_us;
        l->has_peer = true;
    }
    return sample(l, now_us, h);
}
