#include "net/stream/link.h"

#include "raftd/base/num.h"

enum {
    HOLD_MAX_US = WIRE_HOLD_OLD * WIRE_HOLD_UNIT_US,
    LOSS_UNIT = LINK_LOSS_FULL / 256, /* of the header's field */
};

/* Serial numbers: a is newer than b, if they are less than 35 minutes apart. */
static bool newer(uint32_t a, uint32_t b)
{
    return a != b && a - b < UINT32_C(1) << 31;
}

uint64_t link_stamp(struct link *l, uint64_t now_us, struct wire_header *h)
{
    /* Many datagrams leave in one microsecond of the caller's clock: each gets its own stamp. */
    l->stamp = now_us > l->stamp ? now_us : l->stamp + 1;
    h->ts = (uint32_t)l->stamp;
    h->tx_cnt = (uint16_t)l->sent;
    h->loss = (uint8_t)min_u64(l->loss_in / LOSS_UNIT, UINT8_MAX);
    h->echo = l->has_peer;
    h->ts_echo = l->has_peer ? l->peer_ts : 0;
    h->waited = l->has_peer && l->peer_ts_waited;
    uint64_t age = now_us - l->peer_ts_at;
    h->hold = 0;
    if (l->has_peer)
        h->hold = age < HOLD_MAX_US ? (uint16_t)(age / WIRE_HOLD_UNIT_US) : WIRE_HOLD_OLD;
    return l->stamp;
}

void link_sent(struct link *l)
{
    l->sent++;
}

uint64_t link_echoed(const struct link *l, const struct wire_header *h)
{
    if (!h->echo || h->hold == WIRE_HOLD_OLD || l->stamp == 0)
        return 0;
    uint32_t ago = (uint32_t)l->stamp - h->ts_echo;
    bool past = !newer(h->ts_echo, (uint32_t)l->stamp) && ago < l->stamp;
    return past ? l->stamp - ago : 0;
}

static bool sample(struct link *l, uint64_t now_us, const struct wire_header *h)
{
    if (!h->echo || h->hold == WIRE_HOLD_OLD)
        return false;
    uint64_t stamp = link_echoed(l, h);
    uint64_t at_peer = (uint64_t)h->hold * WIRE_HOLD_UNIT_US;
    if (stamp != 0 && (stamp <= l->sampled || stamp <= l->late))
        return false; /* a repeated echo, or one that was overtaken; or see link_late() */
    uint64_t away = now_us > stamp ? now_us - stamp : 0;
    if (stamp == 0 || away < at_peer || away - at_peer > LINK_SAMPLE_MAX_US)
        return false; /* never sent, longer there than away, or one of us was stopped */
    rtt_sample(&l->rtt, now_us, away - at_peer);
    l->sampled = stamp;
    return true;
}

static void window_begins(struct link *l, uint64_t now_us, uint64_t first, uint64_t got)
{
    l->first = first;
    l->first_at = now_us;
    l->got = got;
    l->tainted = false;
}

/* Counts the peer's datagrams against their numbers. One that comes late, after its window was closed,
 * was counted lost there, so it adds to the present window, or to the next one. */
static void count(struct link *l, uint64_t now_us, uint16_t number)
{
    uint64_t ahead = (uint16_t)(number - (uint16_t)l->newest);
    bool old = ahead >= 1u << 15, cut = now_us - l->came_at >= LINK_SILENCE_US;
    l->came_at = now_us;
    if (!l->counting || cut || (old && 65536 - ahead > LINK_STRANGE_NUMBERS)) {
        l->counting = true;
        l->newest = number;
        window_begins(l, now_us, number, 0);
    } else if (!old) {
        l->newest += ahead;
    }
    l->got++;

    uint64_t sent = l->newest + 1 - l->first;
    bool quiet = now_us - l->first_at >= LINK_LOSS_WINDOW_US && sent >= LINK_LOSS_WINDOW_LEAST;
    if (sent < LINK_LOSS_WINDOW && !quiet)
        return;
    if (!l->tainted) {
        uint64_t lost = l->got < sent ? sent - l->got : 0;
        uint32_t loss = (uint32_t)(lost * LINK_LOSS_FULL / sent);
        l->loss_in = l->has_loss ? (3 * l->loss_in + loss) / 4 : loss;
        l->has_loss = true;
    }
    uint64_t over = l->got > sent ? l->got - sent : 0;
    window_begins(l, now_us, l->newest + 1, min_u64(over, LINK_LATE_MAX));
}

/* Ways are compared as serial numbers, since the clocks differ by anything. */
static void way_taken(struct link *l, uint64_t now_us, uint32_t way, bool anew)
{
    if (anew || now_us - l->way_at >= LINK_WAY_AGE_US) {
        l->way[1] = anew ? way : l->way[0];
        l->way[0] = way;
        l->way_at = now_us;
        l->has_way = true;
    } else if (newer(l->way[0], way)) {
        l->way[0] = way;
    }
}

/* How much longer this datagram took to us than others of late, in the 32 bits of stamps. */
static uint32_t way_over(const struct link *l, uint64_t now_us, const struct wire_header *h)
{
    uint32_t way = (uint32_t)now_us - h->ts;
    return way - (newer(l->way[0], l->way[1]) ? l->way[1] : l->way[0]);
}

static bool took_longer(uint32_t over, uint64_t us)
{
    return over > us && over < UINT32_MAX - LINK_EARLY_US;
}

bool link_held_back(struct link *l, uint64_t now_us, const struct wire_header *h, uint64_t life_us)
{
    uint32_t way = (uint32_t)now_us - h->ts;
    bool anew = !l->has_way || now_us - l->way_at >= 2 * (uint64_t)LINK_WAY_AGE_US;
    if (anew || !took_longer(way_over(l, now_us, h), LINK_HELD_US)) {
        way_taken(l, now_us, way, anew);
        l->held_since = 0;
        return false;
    }
    if (l->held_since == 0)
        l->held_since = now_us;
    if (now_us - l->held_since < max_u64(2 * life_us, LINK_HELD_LASTS_US))
        return true;
    way_taken(l, now_us, way, true);
    l->held_since = 0;
    return false;
}

bool link_is_late(const struct link *l, uint64_t now_us, const struct wire_header *h,
                  uint64_t life_us)
{
    if (now_us == l->late_at)
        return false; /* it may have waited for us */
    uint64_t echoed = link_echoed(l, h);
    uint64_t at_peer = (uint64_t)h->hold * WIRE_HOLD_UNIT_US;
    if (echoed <= l->late || h->waited)
        return l->has_way && took_longer(way_over(l, now_us, h), life_us);
    return now_us > echoed + at_peer && now_us - echoed - at_peer > life_us;
}

bool link_received(struct link *l, uint64_t now_us, const struct wire_header *h)
{
    l->accepted++;
    l->loss_out = (uint32_t)h->loss * LOSS_UNIT;
    count(l, now_us, h->tx_cnt);
    /* A peer that restarted on a fresh clock has older stamps: they are taken once the newest
     * one of its former life is too old to be echoed with a hold. */
    if (!l->has_peer || newer(h->ts, l->peer_ts) || now_us - l->peer_ts_at >= HOLD_MAX_US) {
        l->peer_ts = h->ts;
        l->peer_ts_at = now_us;
        l->peer_ts_waited = now_us == l->late_at;
        l->has_peer = true;
    }
    uint64_t echoed = link_echoed(l, h);
    if (h->waited && echoed > l->late)
        l->late = echoed;
    return sample(l, now_us, h);
}

void link_late(struct link *l, uint64_t now_us)
{
    l->late = l->stamp;
    l->late_at = now_us;
}

void link_rxq_dropped(struct link *l)
{
    l->tainted = true;
}

void link_reset(struct link *l)
{
    l->has_peer = false;
    l->has_way = false;
    l->counting = false;
}
