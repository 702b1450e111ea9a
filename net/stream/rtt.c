#include "net/stream/rtt.h"

#include "raftd/base/num.h"

enum { LOW_US = 1000 }; /* above the minimum: noise of small boxes, not a queue */

static void minimum(struct rtt *r, uint64_t now_us, uint64_t sample_us)
{
    if (now_us - r->part_at_us >= RTT_MIN_AGE_US) {
        bool gap = now_us - r->part_at_us >= 2 * (uint64_t)RTT_MIN_AGE_US;
        r->part_us[1] = gap ? UINT64_MAX : r->part_us[0];
        r->part_us[0] = UINT64_MAX;
        r->part_at_us = now_us;
    }
    r->part_us[0] = min_u64(r->part_us[0], sample_us);
    r->min_us = min_u64(r->part_us[0], r->part_us[1]);
    if (sample_us <= r->min_us + r->min_us / 8 + LOW_US)
        r->low_at_us = now_us;
}

void rtt_sample(struct rtt *r, uint64_t now_us, uint64_t sample_us)
{
    if (!r->has) {
        *r = (struct rtt){.has = true,
                          .srtt_us = sample_us,
                          .rttvar_us = sample_us / 2,
                          .part_us = {UINT64_MAX, UINT64_MAX},
                          .part_at_us = now_us};
    } else {
        uint64_t off = r->srtt_us > sample_us ? r->srtt_us - sample_us : sample_us - r->srtt_us;
        r->rttvar_us = (3 * r->rttvar_us + off) / 4;
        r->srtt_us = (7 * r->srtt_us + sample_us) / 8;
    }
    r->last_us = sample_us;
    minimum(r, now_us, sample_us);
}

static uint64_t longest(const struct rtt *r)
{
    return r->srtt_us + max_u64(4 * r->rttvar_us, RTT_VAR_MIN_US);
}

uint64_t rtt_pto(const struct rtt *r, const struct rtt *answer, unsigned timeouts,
                 uint64_t ack_delay_us, uint64_t cap_us)
{
    uint64_t pto = RTT_PTO_INITIAL_US;
    if (r->has)
        pto = longest(r) + ack_delay_us;
    if (r->has && answer->has)
        pto = min_u64(pto, longest(answer));
    pto = min_u64(max_u64(pto, RTT_PTO_MIN_US), RTT_PTO_MAX_US);

    uint64_t most = max_u64(pto, cap_us);
    uint64_t wait = pto;
    for (unsigned n = RTT_PLAIN_TIMEOUTS; n <= timeouts && wait < most; n++)
        wait *= 2;
    return min_u64(wait, most);
}
