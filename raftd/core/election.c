/* election.c: terms, votes, timers and roles.
 *
 *                    timeout                majority of PreVotes           majority of votes
 *     follower ----------------> pre-candidate -------------> candidate -------------> leader
 *        ^                        |  ^                          |  |                     |
 *        |  leader, higher term   |  +------- timeout ----------+  | leader, higher term |
 *        +------------------------+--------------------------------+                     |
 *        +------- higher term, no majority heard, own disk stalls or full, removed ------+
 *
 * A follower to which the leader hands over (section 3.10) becomes candidate without PreVotes.
 *
 * PreVote (section 9.6) keeps a node that can't win from raising terms; stickiness (section 4.2.3)
 * keeps voters with a live leader from helping to depose it; the leader's check of its majority
 * (section 6.2) keeps a leader that can't commit from holding the others.
 *
 * Slow disks. An election takes two writes in a row, the candidate's vote for itself and then those of
 * its voters, and a disk may take longer than the election timeout for each, always. So that there is
 * a leader all the same,
 *  - a candidate whose vote is on its way to the disk goes on waiting: it blocks nobody;
 *  - timers start again when such a vote is on disk, the candidate's and its voters';
 *  - votes count as long as their term lasts, also when the candidate goes back to PreVotes; but only
 *    those for a candidacy of this process, and only until the term has a leader (`stood`);
 *  - without a leader a timer is at least as long as the two writes, and at most twice that, so that
 *    one node can win before the others stand;
 *  - and at least as long as the votes of the last election took. Two fast nodes that need the vote of a
 *    slow one would else both get its PreVote at the moment at which its write ends, and stand together
 *    each time;
 *  - a PreVote is not given while a batch is on its way: it would leave together with the votes of that
 *    batch, and make one node stand at the very moment at which they elect another.
 */
#include "raftd/core/raft_impl.h"

#include <assert.h>

/* splitmix64: enough for timers, one word of state, any seed will do. */
static uint64_t next_random(struct raft *r)
{
    uint64_t z = (r->rng += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Section 3.4: election timeouts are chosen randomly from a fixed interval; here [t, 2t), where t is T,
 * or what an election takes if disks make that longer (section 9.3). A known leader that falls silent is
 * missed after T in any case. */
void raft_election_reset_timer(struct raft *r, raft_time now)
{
    raft_time t = r->cfg.election_timeout;
    if (r->leader == 0)
        t = raft_max(t, raft_max(RAFT_ELECTION_WRITES * raft_disk_time(r), r->votes_took));
    assert(t > 0);
    r->election_deadline = now + t + next_random(r) % t;
}

/* Whatever the network said of the leader, it is no reason to doubt it now. */
static void trust_leader(struct raft *r)
{
    r->ping_sent = 0;
    r->ping_now = false;
    r->gone_at = RAFT_NEVER;
}

/* Enters a term above the current one. All that is known of the old term's leader goes. */
static void enter_term(struct raft *r, uint64_t term)
{
    assert(term > r->term);
    r->term = term;
    r->vote = 0;
    r->stood = r->handed = false;
    for (unsigned i = 0; i < r->n_peers; i++)
        r->peers[i].vote_granted = r->peers[i].vote_refused = false;
    r->leader_heard = r->doubted_at = 0;
    trust_leader(r);
    r->verified = 0;
    r->epoch = 0;
    r->probe_seen = 0;
    r->round = 0;
    r->n_after = 0; /* messages of the old term that wait for the disk are never sent */
}

void raft_election_forget_acks(struct raft *r)
{
    r->ack_due = false;
    r->ack_by = RAFT_NEVER;
    r->refused_epoch = 0;
}

void raft_election_step_down(struct raft *r, raft_time now, uint64_t term, enum raft_why why)
{
    bool was_leader = r->role == RAFT_LEADER;
    if (term > r->term)
        enter_term(r, term); /* figure 3.1, rules for all servers */
    if (r->role != RAFT_FOLLOWER)
        r->why = r->heir != 0 && why == RAFT_WHY_HIGHER_TERM ? RAFT_WHY_HANDED : why;
    r->role = RAFT_FOLLOWER;
    r->leader = 0;
    r->ping_now = false;
    r->no_room = false;
    if (r->heir != 0)
        r->transfer = RAFT_TRANSFER_LEFT;
    r->heir = 0;
    r->n_reads = 0; /* reads of other nodes, which ask the next leader again */
    raft_election_forget_acks(r);
    if (was_leader)
        raft_election_reset_timer(r, now);
}

bool raft_election_heard_leader(struct raft *r, raft_time now, uint16_t from)
{
    /* Election safety (section 3.4): a term has at most one leader, and term 0 has none. */
    if (r->role == RAFT_LEADER || (r->leader != 0 && r->leader != from) || r->term == 0) {
        r->stats.impossible_msgs++;
        return false;
    }
    if (r->role != RAFT_FOLLOWER)
        raft_election_step_down(r, now, r->term, RAFT_WHY_OTHER_LEADER);
    if (r->leader == 0) {
        r->leader = from;
        raft_try_reset(&r->read_try); /* reads that wait go to this leader now */
    }
    r->stood = false; /* the term has its leader: votes from now on are too late */
    r->votes_took = 0;
    r->removed = 0;
    r->leader_heard = now;
    r->tries = 0;
    trust_leader(r);
    raft_election_reset_timer(r, now);
    return true;
}

static uint64_t heard_of(const void *ctx, uint16_t id)
{
    const struct raft *r = ctx;
    if (id == r->cfg.id)
        return RAFT_ALWAYS;
    const struct raft_peer *p = &r->peers[raft_peer_slot(r, id)];
    return raft_peer_counts(r, p) ? raft_max(p->heard, r->lead_since) : r->lead_since;
}

raft_time raft_election_quorum_heard(const struct raft *r)
{
    return raft_majority(&r->members, heard_of, r);
}

/* Section 4.2.3: a server that hears a current leader refuses to help a candidate, and does not take its
 * term. A leader counts itself as heard as long as a majority hears it. */
static bool has_live_leader(const struct raft *r, raft_time now)
{
    raft_time heard = r->role == RAFT_LEADER ? raft_election_quorum_heard(r) : r->leader_heard;
    return heard != 0 && now < heard + r->cfg.election_timeout && now < r->gone_at;
}

/* How many voters are to stand before this node when all know that the leader has ended. */
static unsigned place_among_heirs(const struct raft *r)
{
    unsigned place = 0;
    for (unsigned i = 0; i < r->members.n && r->members.m[i].id != r->cfg.id; i++)
        place += r->members.m[i].standing == RAFT_VOTER && r->members.m[i].priority != 0 &&
                 r->members.m[i].id != r->leader;
    return place;
}

/* A process that has ended need not be waited for, but anybody can forge what the network says. So the leader
 * is asked, and any word of it ends the matter. If none comes in time, this node helps candidates, and stands
 * itself: PreVote has a majority decide, as always. All learn it at about the same time, and random timeouts
 * as short as this would split the vote, so they stand in the order of their ids. */
void raft_election_closed(struct raft *r, raft_time now, uint16_t peer)
{
    if (r->role != RAFT_FOLLOWER || r->leader == 0 || r->leader != peer ||
        (r->closed_at != 0 && now < r->closed_at + r->cfg.heartbeat))
        return;
    raft_time step = r->cfg.election_timeout / RAFT_HEIR_STEPS;
    r->closed_at = now;
    r->gone_at = now + raft_last_tries(r, &r->peers[raft_peer_slot(r, peer)]);
    r->ping_now = true;
    r->election_deadline = raft_min(r->election_deadline, r->gone_at + place_among_heirs(r) * step);
}

/* For a PreVote, of which there may be any number, a leader that is heard is asked once in a while. A former
 * term's false alarm does not count. */
static void ask_leader(struct raft *r, raft_time now)
{
    raft_time pause = RAFT_DOUBT_TIMEOUTS * r->cfg.election_timeout;
    if (r->role != RAFT_FOLLOWER || r->leader == 0 || r->ping_sent != 0 ||
        (r->doubted_at != 0 && now < r->doubted_at + pause))
        return;
    r->doubted_at = now;
    r->ping_now = true;
}

/* The leader that this node hears, which may be this node, wants that candidate to lead in its place. */
static bool handed_by_ours(const struct raft *r, const struct raft_msg *m)
{
    return m->vote_req.handed && !m->vote_req.pre && m->term == r->term + 1;
}

/* The value of vote_rsp.removed for the sender. */
static uint64_t removed_index(const struct raft *r, const struct raft_msg *req)
{
    const struct raft_members *m = raft_members_committed(r);
    return raft_is_member(m, req->from, req->incarnation) ? 0 : m->index;
}

static void answer_vote(struct raft *r, const struct raft_msg *req, bool granted)
{
    struct raft_msg m = {.type = RAFT_MSG_VOTE_RSP, .to = req->from};
    m.vote_rsp.pre = req->vote_req.pre;
    m.vote_rsp.granted = granted;
    m.vote_rsp.campaign = req->vote_req.campaign;
    m.vote_rsp.vote_term = req->vote_req.vote_term;
    m.vote_rsp.removed = removed_index(r, req);
    raft_emit(r, &m);
}

bool raft_election_on_vote_req(struct raft *r, raft_time now, const struct raft_msg *m)
{
    bool pre = m->vote_req.pre;
    if (m->vote_req.vote_term != m->term + pre || m->vote_req.last_term > m->term) {
        r->stats.impossible_msgs++;
        return false;
    }
    if (m->term < r->term) {
        /* The answer's term lets the sender catch up: else a node with the better log and the
         * lower term could never win, nor the one with the higher term and the worse log. */
        r->stats.stale_msgs++;
        answer_vote(r, m, false);
        return false;
    }
    if (has_live_leader(r, now) && !handed_by_ours(r, m)) {
        r->stats.votes_refused_by_lease++;
        if (pre && m->term == r->term)
            ask_leader(r, now); /* the sender may know more */
        /* A sender of a higher term takes nothing from this answer but its removal. */
        if (m->term != r->term && removed_index(r, m) == 0)
            return false;
        answer_vote(r, m, false);
        return r->role == RAFT_LEADER && m->term == r->term;
    }
    if (m->term > r->term)
        raft_election_step_down(r, now, m->term, RAFT_WHY_HIGHER_TERM);

    /* Section 3.6.1: only a candidate whose log is at least as up-to-date can win. A node in doubt compares
     * with what it once acknowledged, too, as if it had lost nothing: so its vote elects nobody who lacks
     * an entry that was committed with its copy. While it does not know what it acknowledged, nobody gets
     * its vote. */
    uint64_t last_term = m->vote_req.last_term, last_index = m->vote_req.last_index;
    uint64_t own_last = r->trail.last;
    bool up_to_date = raft_knows(r) &&
                      raft_up_to_date(last_term, last_index, raft_term_at(r, own_last), own_last) &&
                      raft_up_to_date(last_term, last_index, r->doubt_term, r->doubt_index);
    if (pre) { /* section 9.6: an opinion; neither the vote nor the timer changes */
        /* An answer that had to wait for a batch is not given: the sender asks again. */
        if (raft_hard_state_durable(r) || r->inflight_seq == 0)
            answer_vote(r, m, up_to_date);
        return false;
    }
    /* Figure 3.1, RequestVote: votedFor is null or the candidate. */
    bool first = r->vote == 0 && r->leader == 0;
    bool granted = up_to_date && (first || r->vote == m->from);
    if (granted && first) {
        r->vote = m->from;
        if (r->role != RAFT_FOLLOWER) /* a pre-candidate of this term */
            raft_election_step_down(r, now, r->term, RAFT_WHY_SPLIT);
        /* Not for a repeated request, which could keep this node from standing for ever. */
        raft_election_reset_timer(r, now);
    }
    answer_vote(r, m, granted);
    return false;
}

static void campaign(struct raft *r, raft_time now, enum raft_role role)
{
    if (role == RAFT_CANDIDATE) { /* figure 3.1, rules for candidates */
        enter_term(r, r->term + 1);
        r->vote = r->cfg.id;
        r->stood = true;
        r->stood_at = now;
        r->stats.elections++;
    } else {
        r->stats.campaigns++;
        r->tries++;
    }
    r->role = role;
    r->leader = 0; /* else this node would go on refusing others in favour of that leader */
    r->ping_now = false;
    r->no_room = false;
    r->campaign++;
    for (unsigned i = 0; i < r->n_peers; i++) {
        raft_try_reset(&r->peers[i].vote_try);
        r->peers[i].vote_answered = false;
        r->peers[i].pre_granted = false;
    }
    raft_election_forget_acks(r);
    raft_election_reset_timer(r, now);
}

static uint64_t vote_of(const void *ctx, uint16_t id)
{
    const struct raft *r = ctx;
    return id == r->cfg.id || r->peers[raft_peer_slot(r, id)].vote_granted;
}

static uint64_t pre_vote_of(const void *ctx, uint16_t id)
{
    const struct raft *r = ctx;
    return id == r->cfg.id || r->peers[raft_peer_slot(r, id)].pre_granted;
}

static uint64_t answer_of(const void *ctx, uint16_t id)
{
    const struct raft *r = ctx;
    return vote_of(r, id) != 0 || r->peers[raft_peer_slot(r, id)].vote_refused;
}

bool raft_election_won(const struct raft *r)
{
    if (r->role != RAFT_PRE_CANDIDATE && r->role != RAFT_CANDIDATE)
        return false;
    /* The own vote counts like any other: once it is on disk. */
    return r->stood && raft_hard_state_durable(r) && raft_majority(&r->members, vote_of, r) != 0;
}

/* Counts answers and PreVotes. A candidate that has won does not stand anew: raft_step() makes it leader. */
static void count(struct raft *r, raft_time now)
{
    if (r->role != RAFT_PRE_CANDIDATE && r->role != RAFT_CANDIDATE)
        return;
    if (r->stood_at != 0 && raft_majority(&r->members, answer_of, r) != 0) {
        r->votes_took = raft_min(now - r->stood_at, RAFT_ELECTION_WRITES * RAFT_DISK_SLOW_MAX_US);
        r->stood_at = 0;
    }
    if (r->role == RAFT_PRE_CANDIDATE && !raft_election_won(r) &&
        raft_majority(&r->members, pre_vote_of, r) != 0)
        campaign(r, now, RAFT_CANDIDATE);
}

void raft_election_durable(struct raft *r, raft_time now)
{
    bool slow = RAFT_ELECTION_WRITES * r->disk_took[0] > r->cfg.election_timeout;
    if (slow && r->role != RAFT_LEADER && r->leader == 0)
        raft_election_reset_timer(r, now); /* until now it could neither ask nor answer */
}

void raft_election_on_vote_rsp(struct raft *r, raft_time now, const struct raft_msg *m)
{
    bool pre = m->vote_rsp.pre, granted = m->vote_rsp.granted;
    bool asked = r->role == (pre ? RAFT_PRE_CANDIDATE : RAFT_CANDIDATE) &&
                 m->vote_rsp.campaign == r->campaign;
    /* The voter's disk may have delayed the answer. But a vote for an earlier process of this node, which
     * stood in the same term and forgot it by damage, may have been forgotten by the voter as well. */
    bool late = r->stood && !pre && m->vote_rsp.campaign >> 32 == r->cfg.boot;
    if ((!asked && !late) || m->vote_rsp.vote_term != r->term + pre) {
        r->stats.stale_msgs++;
        return;
    }
    struct raft_peer *p = &r->peers[raft_peer_slot(r, m->from)];
    if (pre)
        p->pre_granted |= granted;
    else if (granted)
        p->vote_granted = true;
    else
        p->vote_refused = true;
    /* A refused PreVote may be granted later, since stickiness passes with time. It is asked for once more:
     * at first in the same campaign, later in the next one. */
    if (asked)
        p->vote_answered |= granted || !pre || r->tries > RAFT_EAGER_CAMPAIGNS;
    count(r, now);
}

/* A peer that is back may be the one that the majority lacked, so this node is eager once more. It is so only
 * from its next question on: if all nodes asked at once they would split the vote. Peers that were there all
 * the time change nothing: a minority whose nodes hear each other stays quiet. */
void raft_election_seen(struct raft *r, raft_time now, struct raft_peer *p)
{
    if (now >= raft_lost_at(r, p)) {
        r->tries = 0;
        raft_restless(r, now, RAFT_WAITS_PEER);
    }
    p->seen = now;
}

/* A committed configuration of our own that is newer counts for more: the sender's may be out of date. */
void raft_election_removed(struct raft *r, raft_time now, uint64_t index)
{
    if (r->role == RAFT_LEADER || index <= raft_members_committed(r)->index)
        return;
    r->removed = index;
    if (r->role != RAFT_FOLLOWER)
        raft_election_step_down(r, now, r->term, RAFT_WHY_REMOVED);
}

void raft_election_on_tick(struct raft *r, raft_time now)
{
    if (r->role == RAFT_LEADER || now < r->election_deadline)
        return;
    if (raft_in_doubt(r) || r->installing || r->drained || !raft_may_stand(r)) {
        /* It does not stand. It only forgets the silent leader. */
        raft_election_step_down(r, now, r->term, RAFT_WHY_NONE);
        raft_election_reset_timer(r, now);
        return;
    }
    if (r->role == RAFT_CANDIDATE && !raft_hard_state_durable(r)) {
        raft_election_reset_timer(r, now); /* it waits for its own write, and blocks nobody */
        return;
    }
    if (raft_disk_full(r)) { /* there is no room for the no-op of a new leader */
        raft_election_reset_timer(r, now);
        return;
    }
    if (r->inflight_seq != 0 && now >= r->inflight_since + r->cfg.election_timeout) {
        /* A candidate needs its disk at once, and this one does not keep up: others are to stand. */
        if (r->role != RAFT_FOLLOWER)
            raft_election_step_down(r, now, r->term, RAFT_WHY_DISK_STALL);
        raft_election_reset_timer(r, now);
        return;
    }
    if (r->role == RAFT_FOLLOWER && now >= r->gone_at)
        r->why = RAFT_WHY_CLOSED;
    else if (r->role == RAFT_FOLLOWER && r->leader_heard != 0)
        r->why = RAFT_WHY_SILENCE;
    else if (r->role == RAFT_FOLLOWER && r->why == RAFT_WHY_NONE)
        r->why = RAFT_WHY_START;
    else
        r->why = RAFT_WHY_SPLIT;
    campaign(r, now, RAFT_PRE_CANDIDATE);
    count(r, now); /* a cluster of one needs no answers */
}

/* Section 3.10. There is no PreVote: voters that hear the leader would refuse it, and the leader's next LEAD
 * would end the campaign. */
void raft_election_handed(struct raft *r, raft_time now)
{
    r->why = RAFT_WHY_HANDED;
    campaign(r, now, RAFT_CANDIDATE);
    r->handed = true;
}

/* A silent leader is asked soon after a heartbeat is missed: one that was lost must cost neither an election,
 * nor this node's trust in the leader when another node stands (has_live_leader()). And if the leader's
 * process has ended, the question brings word of that (raft_election_closed()). */
static raft_time ping_due_at(const struct raft *r)
{
    if (r->role != RAFT_FOLLOWER || r->leader == 0)
        return RAFT_NEVER;
    if (r->ping_now)
        return 0;
    if (r->ping_sent != 0)
        return r->ping_sent + raft_last_tries(r, &r->peers[raft_peer_slot(r, r->leader)]);
    return r->leader_heard + r->cfg.heartbeat + r->cfg.heartbeat / RAFT_HEARTBEAT_JITTER;
}

/* Not while its own term and vote are on their way to the disk: a request that can't leave yet
 * does not count as a try. */
static bool vote_wanted(const struct raft *r, const struct raft_peer *p)
{
    return (r->role == RAFT_PRE_CANDIDATE || r->role == RAFT_CANDIDATE) && !p->vote_answered &&
           p->standing == RAFT_VOTER && raft_hard_state_durable(r);
}

static void ask_vote(struct raft *r, raft_time now, struct raft_peer *p)
{
    struct raft_msg m = {.type = RAFT_MSG_VOTE_REQ, .to = p->id};
    m.vote_req.pre = r->role == RAFT_PRE_CANDIDATE;
    m.vote_req.handed = r->handed && !m.vote_req.pre;
    m.vote_req.campaign = r->campaign;
    m.vote_req.vote_term = r->term + m.vote_req.pre;
    m.vote_req.last_index = r->trail.last;
    m.vote_req.last_term = raft_term_at(r, r->trail.last);
    raft_try_sent(r, now, p, &p->vote_try);
    /* A bad link loses one of four datagrams of an election, so requests are repeated. But a node that has
     * campaigned often, and hears nobody new, is cut off from all others or from the leader: it asks only
     * once or twice in each campaign. */
    if (r->tries > RAFT_EAGER_CAMPAIGNS)
        p->vote_try.due = now + r->cfg.election_timeout;
    raft_emit(r, &m);
}

void raft_election_flush(struct raft *r, raft_time now)
{
    if (now >= ping_due_at(r)) {
        struct raft_msg m = {.type = RAFT_MSG_PING, .to = r->leader};
        r->ping_sent = now;
        r->ping_now = false;
        raft_emit(r, &m);
    }
    for (unsigned i = 0; i < r->n_peers; i++) {
        if (vote_wanted(r, &r->peers[i]) && now >= r->peers[i].vote_try.due)
            ask_vote(r, now, &r->peers[i]);
    }
}

raft_time raft_election_deadline(const struct raft *r)
{
    if (r->role == RAFT_LEADER)
        return RAFT_NEVER;
    raft_time t = raft_min(r->election_deadline, ping_due_at(r));
    for (unsigned i = 0; i < r->n_peers; i++) {
        if (vote_wanted(r, &r->peers[i]))
            t = raft_min(t, r->peers[i].vote_try.due);
    }
    return t;
}
