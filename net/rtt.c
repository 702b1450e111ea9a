#include "net/rtt.h"

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void rtt_sample(struct rtt *r, uint64_t sample_us)
{
    if (!r->has) {
        *r = (struct rtt){
            .has = true, .srtt_us = sample_us, .rttvar_us = sample_us / 2, .min_us = sample_us};
        return;
    }
    uint64_t off = r->srtt_us > sample_us ? r->srtt_us - sample_us : sample_us - r->srtt_us;
    r->rttvar_us = (3 * r->rttvar_us + off) / 4;
    r->srtt_us = (7 * r->srtt_us + sample_us) / 8;
    r->min_us = min_u64(r->min_us, sample_us);
}

uint64_t rtt_pto(const struct rtt *r, unsigned timeouts, uint64_t ack_delay_us, uint64_t cap_us)
{
    uint64_t pto = RTT_PTO_INITIAL_US;
    if (r->has)
        pto = r->srtt_us + max_u64(4 * r->rttvar_us, RTT_VAR_MIN_US) + ack_delay_us;
    pto = min_u64(max_u64(pto, RTT_PTO_MIN_US), RTT_PTO_MAX_US);

    uint64_t most = max_u64(pto, cap_us);
    uint64_t wait = pto;
    for (unsigned n = RTT_PLAIN_TIMEOUTS; n <= timeouts && wait < most; n++)
        wait *= 2;
    return min_u64(wait, most);
}
