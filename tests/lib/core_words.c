/* core_words.c: messages of the simulated cluster, for people. */
#include "tests/lib/core_cluster.h"

#define LL(x) (unsigned long long)(x)

unsigned cl_kind(const struct cl_packet *p)
{
    if (p->data)
        return 0;
    if (p->msg.type == RAFT_MSG_VOTE_REQ && p->msg.vote_req.pre)
        return 12;
    if (p->msg.type == RAFT_MSG_VOTE_RSP && p->msg.vote_rsp.pre)
        return 13;
    return (unsigned)p->msg.type;
}

const char *cl_kind_name(unsigned kind)
{
    static const char *const names[CL_KINDS] = {
        "data", "vote-req", "vote", "probe",       "probe-ack", "lead",        "ack",
        "ping", "read-req", "read", "timeout-now", "transfer",  "prevote-req", "prevote"};
    return names[kind];
}

void cl_describe(const struct cl_packet *p, char *s, size_t size)
{
    const struct raft_msg *m = &p->msg;
    int n = snprintf(s, size, "%-11s term=%llu", cl_kind_name(cl_kind(p)), LL(m->term));
    s += n;
    size -= (size_t)n;
    if (p->data) {
        snprintf(s, size, " epoch=%u prev=%llu:%llu last=%llu:%llu", p->epoch, LL(p->prev_index),
                 LL(p->prev_term), LL(p->prev_index + p->n), LL(p->entries[p->n - 1].term));
        return;
    }
    switch (m->type) {
    case RAFT_MSG_VOTE_REQ:
        snprintf(s, size, " last=%llu:%llu%s", LL(m->vote_req.last_index),
                 LL(m->vote_req.last_term), m->vote_req.handed ? " handed" : "");
        break;
    case RAFT_MSG_VOTE_RSP:
        n = snprintf(s, size, " %s", m->vote_rsp.granted ? "granted" : "refused");
        if (m->vote_rsp.removed != 0)
            snprintf(s + n, size - (size_t)n, " removed=%llu", LL(m->vote_rsp.removed));
        break;
    case RAFT_MSG_PROBE:
        n = snprintf(s, size, " number=%u prev=%llu:%llu", m->probe.probe, LL(m->probe.prev_index),
                     LL(m->probe.prev_term));
        if (m->probe.acked_index != 0)
            snprintf(s + n, size - (size_t)n, " acked=%llu:%llu%s", LL(m->probe.acked_index),
                     LL(m->probe.acked_term), m->probe.damaged_boot != 0 ? " for-damaged" : "");
        break;
    case RAFT_MSG_PROBE_ACK:
        if (m->probe_ack.match)
            snprintf(s, size, " number=%u match%s", m->probe_ack.probe,
                     m->probe_ack.damaged ? " damaged" : "");
        else
            snprintf(s, size, " number=%u hint=%llu:%llu%s", m->probe_ack.probe,
                     LL(m->probe_ack.hint_index), LL(m->probe_ack.hint_term),
                     m->probe_ack.damaged ? " damaged" : "");
        break;
    case RAFT_MSG_LEAD:
        snprintf(s, size, " round=%llu commit=%llu epoch=%u%s%s", LL(m->lead.round),
                 LL(m->lead.commit), m->lead.epoch, m->lead.ack_now ? " ack-now" : "",
                 m->lead.no_room ? " no-room" : "");
        break;
    case RAFT_MSG_ACK:
        snprintf(s, size, " round=%llu durable=%llu epoch=%u%s%s%s", LL(m->ack.round),
                 LL(m->ack.durable), m->ack.epoch, m->ack.need_probe ? " need-probe" : "",
                 m->ack.unfit ? " unfit" : "", m->ack.damaged ? " damaged" : "");
        break;
    case RAFT_MSG_READ_REQ: snprintf(s, size, " req=%llu", LL(m->read_req.req & 0xffffffff)); break;
    case RAFT_MSG_READ_RSP:
        snprintf(s, size, " req=%llu index=%llu", LL(m->read_rsp.req & 0xffffffff),
                 LL(m->read_rsp.index));
        break;
    case RAFT_MSG_TIMEOUT_NOW:
        snprintf(s, size, " round=%llu last=%llu", LL(m->timeout_now.round),
                 LL(m->timeout_now.last_index));
        break;
    case RAFT_MSG_TRANSFER: snprintf(s, size, " heir=%u", m->transfer.heir); break;
    case RAFT_MSG_PING: break;
    }
}
