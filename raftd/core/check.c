/* check.c: the invariants of one node as code. Those of a whole cluster (election safety, leader
 * completeness ...) need all nodes; the tests check them. */
#include "raftd/core/raft_impl.h"

#define CHECK(condition, sentence)                                                                 \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return (sentence);                                                                     \
    } while (0)

static const char *check_hard_state(const struct raft *r)
{
    CHECK(r->durable_term <= r->term, "the durable term leads the term");
    CHECK(r->durable_term != r->term || r->durable_vote == 0 || r->durable_vote == r->vote,
          "the vote changed within a term");
    CHECK(r->inflight_seq < r->next_seq, "a batch in flight that was never made");
    if (r->inflight_seq == 0)
        return NULL;
    CHECK(r->inflight_term >= r->durable_term && r->inflight_term <= r->term,
          "the batch in flight lowers the term or leads it");
    CHECK(r->inflight_term != r->term || r->inflight_vote == 0 || r->inflight_vote == r->vote,
          "the batch in flight holds another vote of this term");
    return NULL;
}

static const char *check_members(const struct raft *r)
{
    const struct raft_members *m = &r->members, *before = &r->members_before;
    CHECK(m->n == 0 || raft_members_valid(m), "members that can't be");
    CHECK(m->index <= r->trail.last, "members of an entry that is not there");
    CHECK(m->index <= r->commit_index ||
              (before->index < m->index && before->index <= r->commit_index),
          "two configurations are not committed");
    for (unsigned i = 0; i < m->n; i++)
        CHECK(m->m[i].id == r->cfg.id || raft_peer_slot(r, m->m[i].id) >= 0, "a member is no peer");
    CHECK(r->n_peers <= RAFT_PEERS_MAX, "more peers than places");
    for (unsigned i = 0; i < r->n_peers; i++) {
        const struct raft_peer *p = &r->peers[i];
        const struct raft_member *of = raft_member(m, p->id);
        CHECK(p->standing == (of == NULL ? RAFT_NO_MEMBER : of->standing),
              "a peer has another standing than the members give it");
        CHECK(p->id == 0 || raft_peer_slot(r, p->id) == (int)i, "a peer has two places");
        CHECK(p->id != r->cfg.id, "a node is its own peer");
        CHECK(of == NULL || p->incarnation == of->incarnation,
              "a peer of another directory counts");
        CHECK((p->leaves_at == 0) == (of != NULL || p->id == 0),
              "a member leaves, or a guest stays");
        CHECK((p->id == 0) == (p->pto == 0), "a peer is asked again without a pause");
    }
    return NULL;
}

static const char *check_log(const struct raft *r)
{
    const char *broken = raft_trail_check(&r->trail);
    CHECK(broken == NULL, broken);
    CHECK(raft_term_at(r, r->trail.last) <= r->term, "an entry of a future term");
    CHECK(r->commit_index >= r->trail.base_index, "what is not committed is gone from the log");
    CHECK(r->durable_index >= r->trail.base_index, "what is not durable is gone from the log");
    CHECK(r->commit_index <= r->trail.last, "committed beyond the log");
    CHECK(r->commit_index <= r->leader_commit, "committed more than any leader");
    CHECK(r->verified <= r->trail.last, "verified beyond the log");
    CHECK(r->written_last <= r->trail.last, "written beyond the log");
    CHECK(r->durable_index <= r->written_last, "durable but not written");
    CHECK(r->inflight_seq != 0 || r->durable_index == r->written_last,
          "written, not durable, and nothing in flight");
    CHECK(r->entries_at == 0 || r->inflight_seq != 0 || r->trail.last > r->written_last,
          "entries wait for room that are not there");
    CHECK(r->role != RAFT_LEADER || !raft_disk_full(r) || r->commit_index <= r->durable_index ||
              r->yield_at != RAFT_NEVER,
          "a leader without room holds up those that have it");
    CHECK(!r->truncate_pending || r->written_last == r->truncate_to,
          "written beyond a truncation that the disk has not seen");
    CHECK(!r->reset_pending || (r->trail.base_index > 0 && !r->truncate_pending &&
                                r->written_last == r->trail.base_index),
          "written behind a snapshot that the log on disk does not begin with");
    return NULL;
}

static const char *check_role(const struct raft *r)
{
    bool follower = r->role == RAFT_FOLLOWER, leader = r->role == RAFT_LEADER;
    CHECK(leader == (r->leader == r->cfg.id), "leader of itself without the role");
    CHECK(r->leader == 0 || leader || raft_peer_slot(r, r->leader) >= 0, "the leader is no peer");
    CHECK(follower || leader || raft_may_stand(r),
          "a node stands that its members do not let stand");
    CHECK(follower || leader || r->leader == 0, "a candidate keeps a leader");
    CHECK(leader || r->n_reads == 0, "reads of others wait on a node that does not lead");
    CHECK(r->role != RAFT_CANDIDATE || r->stood, "a candidate that does not stand");
    CHECK(!r->stood || (r->vote == r->cfg.id && !leader),
          "it stands in a term that it leads, or without its own vote");
    CHECK(r->leader == 0 || r->votes_took == 0, "the votes of an old election outlast its leader");
    CHECK(!follower || r->leader == 0 || r->leader_heard != 0, "a leader that was never heard");
    CHECK(!leader || r->gone_at == RAFT_NEVER, "a leader waits for another one's end");
    CHECK(!r->ping_now || (follower && r->leader != 0), "a PING is due to nobody");
    CHECK(r->epoch == 0 || r->epoch == r->probe_seen, "a stream that is not of the newest probe");
    CHECK(!leader || (r->epoch == 0 && r->verified == 0), "a leader that follows a stream");
    CHECK((follower && r->leader != 0) ||
              (!r->ack_due && r->ack_by == RAFT_NEVER && r->refused_epoch == 0),
          "an acknowledgement is due to nobody");
    CHECK(r->refused_epoch == 0 || r->ack_due, "a stream was refused in silence");
    CHECK((r->doubt_index == 0) == (r->doubt_term == 0) && r->doubt_term <= r->term,
          "in doubt about an entry of no term, or of a future one");
    CHECK(!raft_in_doubt(r) || follower, "a node in doubt stands for election");
    CHECK(!r->installing || follower, "a node stands for election while it installs a snapshot");
    CHECK(!r->drained || leader || follower, "a drained node stands for election");
    CHECK(!r->handed || r->vote == r->cfg.id, "a leader handed over to it, and it did not stand");
    CHECK(r->heir == 0 || (leader && raft_is_voter(&r->members, r->heir)),
          "it hands over what it does not lead, or to nobody");
    CHECK((r->heir != 0) == (r->transfer == RAFT_TRANSFER_RUNS), "a hand-over without an heir");
    CHECK(!r->no_room || r->leader != 0, "nobody says that there is no room");
    CHECK(r->read_done <= r->read_want, "a read was answered that was not asked for");
    return NULL;
}

static const char *check_peer(const struct raft *r, const struct raft_peer *p)
{
    CHECK(p->match_index <= r->trail.last, "match beyond the log");
    CHECK(p->kept_index <= r->commit_index, "a peer must have what is not committed");
    CHECK(p->lost_index <= r->trail.last || p->lost_index == p->sure_index,
          "a peer lost what nobody has");
    CHECK(p->lost_index == 0 || p->match_index < p->lost_index || p->damaged_boot != 0,
          "a peer lost what it has");
    CHECK(p->sure_index <= r->trail.last + 1, "a damaged peer waits for ever");
    CHECK(p->base_index <= r->trail.last, "a stream starts beyond the log");
    CHECK(p->round <= r->round, "a round was acknowledged that was not made");
    CHECK(p->probe < r->next_probe, "a probe that was not made");
    CHECK(p->state != RAFT_PEER_SNAPSHOT ||
              (p->probe_index == r->trail.base_index && p->match_index < r->trail.base_index),
          "it needs a snapshot for what it has, or is not asked for one");
    switch (p->state) {
    case RAFT_PEER_SNAPSHOT:
    case RAFT_PEER_PROBE:
        CHECK(p->epoch == 0, "a stream while probing");
        CHECK(p->probe_index >= r->trail.base_index, "a probe for what the log no longer has");
        CHECK(p->probe_index <= r->trail.last, "a probe beyond the log");
        break;
    case RAFT_PEER_REPLICATE:
        CHECK(p->epoch != 0 && p->epoch == p->probe, "a stream without its probe");
        CHECK(p->base_index <= r->trail.last, "a stream that starts beyond the log");
        CHECK(p->boot != 0 || p->probe_index == p->base_index,
              "a stream that starts elsewhere than its probe, which is not answered");
        break;
    }
    return NULL;
}

static const char *check_reads(const struct raft *r)
{
    for (unsigned i = 0; i < r->n_reads; i++) {
        const struct raft_read *read = &r->reads[i];
        unsigned same = 0;
        CHECK(read->from == r->cfg.id || raft_peer_slot(r, read->from) >= 0, "a read of no peer");
        CHECK(read->need <= r->round + 1, "a read waits for a round too late");
        CHECK(read->index >= r->term_first && read->index <= r->trail.last,
              "a read index outside of the term's log");
        for (unsigned j = i + 1; j < r->n_reads; j++) {
            if (r->reads[j].from != read->from)
                continue;
            same++;
            CHECK(r->reads[j].req > read->req && r->reads[j].need > read->need,
                  "reads of a node out of order");
        }
        CHECK(same <= 1, "more than two reads of a node");
    }
    return NULL;
}

/* What a disk lost after it was acknowledged stays committed: then it is the bound. */
static uint64_t acked_by(const void *ctx, uint16_t id)
{
    const struct raft *r = ctx;
    uint64_t copy = raft_lead_copy_of(r, id);
    return id == r->cfg.id ? copy : raft_max(copy, r->peers[raft_peer_slot(r, id)].lost_index);
}

static const char *check_leader(const struct raft *r)
{
    CHECK(raft_hard_state_durable(r) && r->vote == r->cfg.id,
          "a leader without a durable vote for itself");
    CHECK(r->term_first < r->trail.base_index || raft_term_at(r, r->term_first) == r->term,
          "the no-op is not of this term");
    CHECK(raft_term_at(r, r->term_first - 1) < r->term, "entries of this term before the no-op");
    CHECK(raft_term_at(r, r->trail.last) == r->term, "a leader's log ends in another term");

    CHECK(!raft_lead_removed(r) || r->yield_at != RAFT_NEVER, "a removed leader stays");
    for (unsigned i = 0; i < r->n_peers; i++) {
        CHECK(r->peers[i].served || r->peers[i].standing == RAFT_NO_MEMBER,
              "a member does not get the log");
        const char *broken = r->peers[i].served ? check_peer(r, &r->peers[i]) : NULL;
        if (broken != NULL)
            return broken;
    }
    uint64_t majority = raft_majority(&r->members, raft_lead_copy_of, r);
    /* What was committed under other members may be on fewer disks of these. */
    CHECK(r->commit_index < raft_max(r->term_first, r->members.index) ||
              r->commit_index <= raft_majority(&r->members, acked_by, r),
          "committed more than what a majority has on disk, or acknowledged");
    CHECK(majority < r->term_first || r->commit_index >= majority,
          "a majority has an entry of this term on disk and it is not committed");
    return check_reads(r);
}

static const char *check_messages(const struct raft *r)
{
    CHECK(r->n_now <= RAFT_MSGS_MAX && r->n_after <= RAFT_MSGS_MAX, "too many messages");
    for (size_t i = 0; i < r->n_now; i++)
        CHECK(r->now_msgs[i].term <= r->durable_term, "a message speaks of a term not on disk");
    for (size_t i = 0; i < r->n_after; i++)
        CHECK(r->after_msgs[i].term == r->term, "a message of an old term waits for the disk");
    for (size_t i = 0; i < r->n_now; i++) {
        const struct raft_msg *m = &r->now_msgs[i];
        if (m->term != r->durable_term)
            continue;
        CHECK(m->type != RAFT_MSG_VOTE_RSP || m->vote_rsp.pre || !m->vote_rsp.granted ||
                  m->to == r->durable_vote,
              "a vote leaves before it is on disk");
        CHECK(m->type != RAFT_MSG_VOTE_REQ || m->vote_req.pre || r->durable_vote == r->cfg.id,
              "a candidate asks for votes before its own is on disk");
    }
    return NULL;
}

const char *raft_check(const struct raft *r)
{
    const char *broken = check_hard_state(r);
    if (broken == NULL)
        broken = check_members(r);
    if (broken == NULL)
        broken = check_log(r);
    if (broken == NULL)
        broken = check_role(r);
    if (broken == NULL && r->role == RAFT_LEADER)
        broken = check_leader(r);
    if (broken == NULL)
        broken = check_messages(r);
    return broken;
}
